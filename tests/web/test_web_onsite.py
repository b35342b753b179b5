"""The pages of commissioning, calibration and diagnostics in a real browser, at the width of a small phone."""

from pathlib import Path
from typing import Any

from chromium import Tab, tab
from test_web_door import join
from web_tools import House, serving, status

PHONE = {"width": 320, "height": 640, "deviceScaleFactor": 1, "mobile": True}
CHANNEL = {
    "key": "temperature",
    "title": "Temperature",
    "value": -18.2,
    "text": "-18.2",
    "unit": "degC",
    "decimals": 1,
    "raw": [65354],
    "quality": 0,
    "severity": "good",
    "words": "good",
    "marks": [],
}
FRAMES = [
    {
        "sent": False,
        "age_ms": 12.5,
        "hex": " ".join(["01", "04", "04", "ff", "4a"] * 12),
        "unit": 1,
        "words": "input registers: 65354 655",
        "wrong": False,
        "channels": ["temperature = -18.2 degC"],
    },
    {
        "sent": True,
        "age_ms": 20.0,
        "hex": "01 04 00 01",
        "unit": None,
        "words": "the checksum is wrong",
        "wrong": True,
        "channels": [],
    },
]
TAKEN = {
    "reference": 4.0,
    "shown": 4.1,
    "indicated": 4.1,
    "readings": 9,
    "window_s": 60.0,
    "spread": 0.1,
    "drift": 0.0,
    "limit": 0.2,
    "utc_ms": None,
    "error": 0.1,
    "passed": True,
}
SESSION = {
    "id": "K1",
    "channel": "cold-room-with-a-long-name.temperature",
    "unit": "degC",
    "person": "Ana",
    "found": [TAKEN],
    "left": [{**TAKEN, "passed": False}],
    "in_force": False,
    "photo": {"sha256": "ab" * 32},
    "tolerance": 1.0,
    "criterion": "readings stand still when they do",
    "reference_instrument": "Testo 110, serial number 12345678",
    "reference_certificate": "D-77",
    "reference_valid_until": "2099-05-01",
    "certificate": None,
    "valid_until": None,
    "laboratory": None,
}
JOB = {
    "job": "J1",
    "kind": "try",
    "title": "trying xy-md02 on unit 5 of line-1",
    "state": "running",
    "done": 1,
    "total": 3,
    "words": "2 of 2 channels of XY-MD02 have a good value",
    "remedy": "",
    "about": {"bus": "line-1", "unit": 5},
    "found": [{"channels": [CHANNEL], "reads": [], "identity": []}],
    "result": {},
}
MODEL = {"id": "xy-md02", "title": "XY-MD02 temperature and humidity probe", "channels": [CHANNEL]}
PROFILE = {
    "id": "poultry",
    "title": "Poultry, rabbit and small game, chilled",
    "sources": ["Regulation (EC) No 853/2004"],
    "limits": [{"rule": "high-critical", "limit": 4.0, "unit": "degC"}],
}
SENSOR = {
    "bus": "air",
    "address": "CB:B8:33:4C:88:4F",
    "name": "",
    "model": "ruuvi-tag",
    "title": "RuuviTag",
    "rssi": -48,
    "not_for_ccp": True,
    "adapter": "hci0",
    "age_s": 1.0,
    "fault": "",
    "device": None,
    "values": [CHANNEL, {**CHANNEL, "key": "humidity", "value": None}],
}
DEVICE = {
    "id": "freezer-with-a-very-long-name-indeed",
    "model": "xy-md02",
    "scans": 900,
    "missed": 12,
    "success": 0.9868,
    "causes": {"no answer from the device within the time limit": 12},
    "fault": "Modbus TCP 10.0.0.20:502 unit 1: no answer",
    "latency": {"mean_s": 0.0123, "within": {"50%": 0.025, "95%": None}},
    "breaker": {"open": True, "opened": 3},
}
ANSWERS: dict[str, dict[str, Any]] = {
    "commission.see": {
        "air": {"states": ["air: listening"], "sensors": [SENSOR, {**SENSOR, "device": "chiller"}]},
        "ports": [
            {
                "port": "/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0",
                "name": "ttyUSB0",
                "product": "FTDI USB-RS485",
                "usable": False,
                "bus": None,
            }
        ],
        "buses": [
            {
                "id": "line-1",
                "type": "modbus-tcp",
                "host": "10.0.0.20",
                "port": 502,
                "connected": False,
                "fault": "connection refused",
                "devices": [{"id": "room", "unit": 1, "model": "xy-md02", "answers": False}],
            }
        ],
    },
    "commission.models": {"modbus": [MODEL], "ble": [MODEL]},
    "commission.profiles": {"profiles": [PROFILE]},
    "calibrate.list": {"sessions": [SESSION]},
    "calibrate.show": SESSION,
    "diagnose.buses": {
        "buses": [
            {
                "id": "line-1",
                "where": "Modbus TCP 10.0.0.20:502",
                "connected": True,
                "fault": "",
                "requests": 912,
                "timeouts": 12,
                "bad_frames": 1,
                "devices": [DEVICE],
            },
            {
                "id": "air",
                "where": "Bluetooth LE",
                "connected": False,
                "fault": "no adapter",
                "devices": [{**DEVICE, "address": "CB:B8", "rssi_history": [-70, -71]}],
            },
        ]
    },
    "diagnose.journal": {
        "state": "ok",
        "fault": "",
        "file_bytes": 12_000_000,
        "disk": {"free": 5_000_000_000},
        "streams": {"scan": {"sealed": 12, "waiting": 3}, "event": {"sealed": 4, "waiting": 0}},
    },
    "diagnose.frames": {"bus": "line-1", "frames": FRAMES},
    "diagnose.air": {
        "device": "chiller",
        "adverts": [
            {
                "rssi": -70,
                "adapter": "hci0",
                "age_s": 2.0,
                "words": ["ruuvi-5: temperature 24.3 degC"],
                "parts": ["company 0x0499: " + "05 12 " * 12],
            }
        ],
    },
    "diagnose.log": {"lines": ["2026-11-24 22:00:00,000 WARNING gateway.acquire.worker: " + "x" * 200]},
    "job.show": JOB,
}
PATHS = (
    "/commission",
    "/commission/try?bus=line-1&unit=5",
    "/commission/try",
    "/calibrate",
    "/calibrate/K1",
    "/diagnose",
    "/commission/place?bus=line-1&unit=5&model=xy-md02",
    "/diagnose/frames/line-1",
    "/diagnose/air/chiller",
    "/diagnose/log",
    "/jobs/J1",
)
SMALL = """
const kinds = "a.button, button, select, summary, input:not([type=hidden])";
[...document.querySelector("main").querySelectorAll(kinds)]
  .filter((e) => e.offsetParent !== null && !["checkbox", "file"].includes(e.type))
  .filter((e) => e.getBoundingClientRect().height < 47.5)
  .map((e) => e.outerHTML.slice(0, 120))
"""
UNNAMED = """
[...document.querySelectorAll("main input:not([type=hidden]), main select, main textarea")]
  .filter((e) => !e.labels.length && !e.getAttribute("aria-label")).map((e) => e.outerHTML.slice(0, 120))
"""


def canned(home: House, job: dict[str, Any] = JOB) -> None:
    home.answers |= {**ANSWERS, "job.show": job}


async def signed_in(page: Tab, home: House, client: Any) -> None:
    """The browser with the session of somebody who has joined."""
    client.headers["origin"] = str(client.base_url).rstrip("/")
    cookie = (await join(home, client)).cookies["aurora"]
    await page.call("Network.setCookie", name="aurora", value=cookie, url=str(client.base_url))
    await page.call("Emulation.setDeviceMetricsOverride", **PHONE)


async def test_every_page_fits_a_phone_also_in_long_words(tmp_path: Path) -> None:
    home = House(tmp_path / "house")
    result = {"fits": "doubtful", "marks": ["every value is 0"], "model": "xy-md02", "frames": FRAMES}
    canned(home, {**JOB, "state": "done", "result": result})
    async with tab(tmp_path / "browser") as page, serving(home.pages(status)) as (client, _):
        base = str(client.base_url).rstrip("/")
        await signed_in(page, home, client)
        for tag in ("en", "fr", "pl"):
            await page.call("Network.setCookie", name="language", value=tag, url=base)
            for path in PATHS:
                await page.go(f"{base}{path}")
                assert await page.evaluate("document.documentElement.lang") == tag
                await page.evaluate("document.querySelectorAll('main details').forEach((one) => one.open = true)")
                wide = await page.evaluate("document.documentElement.scrollWidth")
                assert wide <= 320, (path, tag, wide)
                assert await page.evaluate("document.querySelectorAll('h1').length") == 1, path
                assert await page.evaluate(SMALL) == [], path
                assert await page.evaluate(UNNAMED) == [], path
        assert page.complaints == []


async def test_the_page_of_a_job_loads_itself_again_until_it_is_over(tmp_path: Path) -> None:
    home = House(tmp_path / "house")
    canned(home)
    async with tab(tmp_path / "browser") as page, serving(home.pages(status)) as (client, _):
        await signed_in(page, home, client)
        await page.go(f"{str(client.base_url).rstrip('/')}/jobs/J1")
        assert "under way" in await page.text("main")
        canned(home, {**JOB, "state": "cancelled", "words": "cancelled"})
        await page.until("!!document.querySelector('main')?.innerText.includes('cancelled')")
        assert not await page.evaluate("!!document.querySelector('meta[http-equiv]')")
