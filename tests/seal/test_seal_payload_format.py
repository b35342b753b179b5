"""The document on payloads is true: its example is what the codec writes, and says what it claims."""

import math
import re
import zlib
from array import array
from pathlib import Path

import cbor2

from gateway.model import Column, DeviceLayout, Layout, Miss, Quality, Scan
from gateway.seal import body, columns, layout, payload
from gateway.seal.columns import decode_scans, encode_scans, layout_id

TEXT = (Path(__file__).parents[2] / "docs/payload-format.md").read_text(encoding="utf-8")
LAYOUT = Layout(
    (
        DeviceLayout(
            "cold-1",
            "rs485",
            "danfoss-ekc",
            "00" * 32,
            10_000,
            40,
            (Column("air", "degC", 1), Column("flow", "m3/h", None)),
        ),
        DeviceLayout("probe-2", "rs485", "generic", "00" * 32, 60_000, 0, (Column("core", "degC", 1),)),
    )
)
RECORDS = [
    Scan(0, 100, 1_000_065, array("d", [-18.4, 0.5]), bytes(2)),
    Scan(0, 101, 1_010_071, array("d", [-18.3, math.nan]), bytes([0, Quality.SENSOR_FAULT])),
    Miss(0, 102, 1, Quality.TIMEOUT),
    Scan(0, 103, 1_030_067, array("d", [-18.5, 0.75]), bytes(2)),
    Scan(1, 17, 1_020_800, array("d", [63.2]), bytes(1)),
]


def documented() -> bytes:
    block = re.search(r"```payload\n(.*?)```", TEXT, re.DOTALL)
    assert block
    return bytes.fromhex("".join(line.split(";")[0] for line in block[1].splitlines()))


def test_the_example_is_what_the_codec_writes_and_reads():
    written = encode_scans(LAYOUT, RECORDS)
    assert zlib.decompress(written) == documented()
    assert repr(decode_scans(LAYOUT, zlib.compress(documented()))) == repr(RECORDS).replace(
        repr(Quality.TIMEOUT), str(int(Quality.TIMEOUT))
    )
    assert cbor2.dumps(cbor2.loads(documented()), canonical=True) == documented()


def test_the_example_names_its_layout():
    assert f"named `{layout_id(LAYOUT).hex()}`" in TEXT


def test_the_limits_and_codes_are_those_of_the_code():
    plain = TEXT.replace("\n", " ")
    for limit in (columns.MAX_ROWS, columns.MAX_CELLS, payload.MAX_ITEMS):
        assert f"{limit:,}".replace(",", " ") in plain
    assert f"decimals: 0..{layout.MAX_DECIMALS}" in TEXT
    assert f"period-ms: 1..{layout.MAX_PERIOD_MS}" in TEXT
    assert "| tag | nothing there | " + " | ".join(str(body.TAGS[code]) for code in range(1, 8)) + " |" in TEXT
