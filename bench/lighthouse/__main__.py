"""See the package."""

import asyncio
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import httpx

from bench.page import Unit, free_port, site_text

PROGRAM = Path(__file__).parent / "node_modules" / ".bin" / "lighthouse"
FLAGS = "--headless=new --no-sandbox --disable-dev-shm-usage"
TIMES = ("first-contentful-paint", "largest-contentful-paint", "total-blocking-time", "cumulative-layout-shift")


async def measure() -> dict[str, object]:
    """Scores of 100, and times as Lighthouse words them."""
    server = await asyncio.start_server(Unit().serve, "127.0.0.1", 0)
    with tempfile.TemporaryDirectory() as folder:
        page, site, out = free_port(), Path(folder, "site.toml"), Path(folder, "report.json")
        await asyncio.to_thread(site.write_text, site_text(server.sockets[0].getsockname()[1], page))
        daemon = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.cli", "run", str(site), "--log", "error"
        )
        url = f"http://127.0.0.1:{page}/"
        async with httpx.AsyncClient(timeout=30) as client:
            for _ in range(200):
                try:
                    await client.get(url)
                    break
                except httpx.HTTPError:
                    await asyncio.sleep(0.2)
        run = await asyncio.create_subprocess_exec(
            str(PROGRAM),
            url,
            "--quiet",
            f"--chrome-flags={FLAGS}",
            "--max-wait-for-load=15000",
            "--output=json",
            f"--output-path={out}",
            env={**os.environ, "CHROME_PATH": shutil.which("chromium") or ""},
        )
        await run.wait()
        daemon.terminate()
        await daemon.wait()
        server.close()
        found = json.loads(await asyncio.to_thread(out.read_text))
    scores = {
        name: round(100 * one["score"]) for name, one in found["categories"].items() if one["score"] is not None
    }
    failed = [name for name, one in found["audits"].items() if one.get("score") is not None and one["score"] < 0.9]
    return {**scores, **{name: found["audits"][name]["displayValue"] for name in TIMES}, "below 0.9": failed}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure()), indent=2))
