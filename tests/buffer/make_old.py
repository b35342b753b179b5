"""Writes data/journal-N.db: run once with the program of version N, kept to show that its files still open."""

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from buffer_bench import Bench, Clock, make_layout, scan

from gateway.buffer import schema
from gateway.model import Miss, Quality
from gateway.seal.keys import FileSigner
from gateway.site import BufferSpec

DATA = Path(__file__).parent / "data"


async def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        signer = FileSigner.create(folder / "gateway.key")
        spec = BufferSpec(loss_window_ms=20, batch_values=100, batch_min_age_s=1.0, batch_max_age_s=60.0)
        bench = Bench(folder, signer, Clock(), make_layout(), spec)
        journal = await bench.start()
        for slot in range(1000, 1004):
            journal.put(scan(0, slot))
        bench.clock.advance(60_000)
        await journal.flush()
        bench.clock.advance(60_000)
        await journal.flush()
        journal.put(scan(0, 1004))
        await journal.flush()
        journal.put(scan(0, 1005))
        journal.put(Miss(1, 1005, 1, Quality.TIMEOUT))
        await journal.flush()
        connection = schema.connect(bench.path, max_bytes=1 << 30)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        version = int(sys.argv[1])
        for later in ("meta", "memory")[version - 1 :]:
            connection.execute(f"DROP TABLE {later}")
        connection.execute(f"PRAGMA user_version={version}")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.close()
        DATA.mkdir(exist_ok=True)
        shutil.copy(bench.path, DATA / f"journal-{version}.db")
        await journal.close()


if __name__ == "__main__":
    asyncio.run(main())
