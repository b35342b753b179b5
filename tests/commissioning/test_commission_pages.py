"""The pages of commissioning, calibration and diagnostics on a running gateway, asked without any script."""

import asyncio
import io
import re
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from onsite_tools import SITE, Bench, bench, probe, until
from test_commission_calibrate import JPEG

from gateway.access.firstcode import first_code

PASSWORD = "three warm blankets"
CALM = SITE.replace("listen = false", 'listen = "127.0.0.1:{page}"')
PAGE = CALM.replace("period_s = 1", "period_s = 0.2")


class Browser:
    """Follows forms and links, and holds what every page must keep to."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.page = httpx.Response(200, text="")

    @property
    def text(self) -> str:
        return re.sub(r"[ \n\t]+", " ", unescape(re.sub(r"<[^>]+>", " ", self.page.text)))

    @property
    def path(self) -> str:
        return self.page.url.path

    async def go(self, path: str, status: int = 200) -> str:
        self.page = await self.client.get(path, follow_redirects=True)
        self._check(status)
        return self.text

    async def send(self, action: str, status: int = 200, files: Any = None, **fields: Any) -> str:
        """The form of the present page with this action: its hidden fields, and what is typed."""
        form = re.search(rf'<form method="post" action="{re.escape(action)}".*?</form>', self.page.text, re.S)
        if form is None:  # a button of another form that goes there
            form = re.search(
                rf'<form(?:(?!</form>).)*formaction="{re.escape(action)}".*?</form>', self.page.text, re.S
            )
        assert form, f"no form for {action} on {self.page.url}: {self.text[:500]}"
        data: dict[str, Any] = {}
        for tag in re.findall(r"<input[^>]*>", form[0]):
            attributes = dict(re.findall(r'(\w+)="([^"]*)"', tag))
            if attributes.get("type") in {"checkbox", "file"}:
                if "checked" in tag:
                    data.setdefault(attributes["name"], []).append(unescape(attributes["value"]))
                continue
            data[attributes["name"]] = unescape(attributes.get("value", ""))
        for name, options in re.findall(r'<select[^>]*name="(\w+)"[^>]*>(.*?)</select>', form[0], re.S):
            chosen = re.search(r'value="([^"]*)" selected', options) or re.search(r'value="([^"]*)"', options)
            data[name] = unescape(chosen[1]) if chosen else ""
        data |= fields
        self.page = await self.client.post(action, data=data, files=files, follow_redirects=True)
        self._check(status)
        return self.text

    async def ended(self) -> str:
        """Load the page of a job again until the job is over."""
        assert self.path.startswith("/jobs/"), self.text
        async with asyncio.timeout(40):
            while 'http-equiv="refresh"' in self.page.text:
                await asyncio.sleep(0.05)
                await self.go(self.path)
        return self.text

    def _check(self, status: int) -> None:
        assert self.page.status_code == status, (self.page.url, self.text[:1500])
        assert " style=" not in self.page.text
        assert "<script>" not in self.page.text
        if status == 200 and "text/html" in self.page.headers["content-type"]:
            assert self.page.text.count("<h1>") == 1
            ids = re.findall(r' id="([^"]+)"', self.page.text)
            assert len(ids) == len(set(ids)), "an id stands for one thing"
            for label in re.findall(r'<label for="([^"]+)"', self.page.text):
                assert label in ids


@asynccontextmanager
async def browsing(folder: Path, text: str = PAGE, **units: Any) -> AsyncIterator[tuple[Bench, Browser]]:
    """An administrator who has signed in at the page of a running gateway."""
    async with bench(folder, units.get("units") or {1: probe(41), 5: probe(52, unit=5)}, text) as at:
        gateway = at.gateway
        await until(lambda: gateway.page_address is not None and gateway.people is not None)
        await until(lambda: gateway.people.records.book is not None)
        async with httpx.AsyncClient(base_url=str(gateway.page_address), timeout=60) as client:
            client.headers["origin"] = str(client.base_url).rstrip("/")
            code = first_code(gateway.site.data_dir)
            joined = await client.post(
                "/welcome", data={"name": "Ana", "code": code, "password": PASSWORD, "again": PASSWORD}
            )
            assert joined.status_code == 303, joined.text
            yield at, Browser(client)


class TestCommissioning:
    async def test_from_a_walk_to_a_trial(self, tmp_path: Path) -> None:
        async with browsing(tmp_path, CALM) as (_, browser):
            seen = await browser.go("/commission")
            assert "unit 1 · room · xy-md02" in seen
            await browser.send("/commission/walk", first="1", last="6")
            walked = await browser.ended()
            assert "unit 5 answers: illegal data address" in walked
            link = re.search(r'href="(/commission/try\?[^"]+)"', browser.page.text)
            assert link
            await browser.go(unescape(link[1]))
            await browser.send("/commission/try", model="xy-md02")
            tried = await browser.ended()
            assert "fits" in tried
            assert "temperature 52 5.2\N{NO-BREAK SPACE}°C good" in tried
            assert "/commission/place?" in browser.page.text

    async def test_a_mistake_is_told_on_the_page_with_what_was_typed(self, tmp_path: Path) -> None:
        async with browsing(tmp_path) as (_, browser):
            await browser.go("/commission/try?bus=line-1")
            wrong = await browser.send("/commission/try", 409, unit="five")
            assert "'five' is no number" in wrong
            assert 'value="five"' in browser.page.text
            await browser.go("/commission/try")
            wrong = await browser.send("/commission/try", 409, unit="5", type="modbus-rtu", device="")
            assert "connection.device is missing" in wrong

    async def test_place_asks_for_a_name_and_offers_profiles_with_the_law(self, tmp_path: Path) -> None:
        async with browsing(tmp_path) as (_, browser):
            place = await browser.go("/commission/place?bus=line-1&unit=5&model=xy-md02")
            assert "Regulation (EC) No 853/2004" in place
            wrong = await browser.send("/commission/place", 409, name="", profile="poultry")
            assert "name is missing" in wrong
            assert 'value="poultry" selected' in browser.page.text


class TestFromFoundToProven:
    async def test_a_new_sensor_is_placed_and_read_by_forms_alone(self, tmp_path: Path) -> None:
        async with browsing(tmp_path) as (at, browser):
            before = at.gateway.acquire.pollers[0].stats.scans
            await browser.go("/commission/place?bus=line-1&unit=5&model=xy-md02")
            change = await browser.send(
                "/commission/place", name="Poultry room", profile="poultry", critical="yes", period_s="0,2"
            )
            assert "device poultry-room is polled from then on" in change
            assert '+name = "Poultry room"' in change
            assert "marked uncertain" in change
            await browser.send("/commission/apply", reason="new room")
            first = await browser.ended()
            assert "temperature 5.2\N{NO-BREAK SPACE}°C" in first, first
            assert [point.id for point in at.gateway.site.points] == ["cold-room", "poultry-room"]
            assert at.gateway.acquire.pollers[0].stats.scans > before, "the other device was not disturbed"

    async def test_a_sensor_is_corrected_and_proven_by_forms_alone(self, tmp_path: Path) -> None:
        async with browsing(tmp_path) as (at, browser):
            await browser.go("/calibrate")
            await browser.send(
                "/calibrate", channel="room.temperature", reference_instrument="Testo 110, 1234",
                reference_certificate="D-77", reference_valid_until="2099-05-01",
            )  # fmt: skip
            session = browser.path
            await browser.send(f"{session}/take", reference="4,0", window_s="1")
            await browser.ended()
            await browser.go(session)
            change = await browser.send(f"{session}/draft", certificate="K-1", valid_until="2099-06-30")
            assert "the correction is -0.1" in change
            assert "+[device.calibration.temperature]" in change
            await browser.send("/commission/apply", reason="calibration")
            assert browser.path == session
            assert "Readings as left" in browser.text
            await browser.send(f"{session}/take", reference="4,0", window_s="1")
            taken = await browser.ended()
            assert "done" in taken, taken
            await browser.go(session)
            await browser.send(f"{session}/finish")
            assert "It is on record as R" in browser.text
            (record,) = at.gateway.people.records.book.comparisons("room.temperature")
            assert record.kind == "record.calibration"
            assert record.data["points"] == [{"reference": 4.0, "as_found": 4.1, "as_left": 4.0}]
            assert record.data["certificate"] == "K-1"


class TestCalibration:
    async def test_a_verification_by_forms_alone(self, tmp_path: Path) -> None:
        async with browsing(tmp_path) as (at, browser):
            await browser.go("/calibrate")
            wrong = await browser.send("/calibrate", 409, channel="room.temperature", kind="verification")
            assert "reference_instrument is missing" in wrong
            await browser.send(
                "/calibrate", channel="room.temperature", kind="verification", tolerance="0,5",
                reference_instrument="Testo 110, 1234", reference_certificate="D-77",
                reference_valid_until="2099-05-01",
            )  # fmt: skip
            session = browser.path
            await browser.send(f"{session}/take", reference="4,0", window_s="1")
            await browser.ended()
            shown = await browser.go(session)
            assert "4.00 4.10 0.10 within" in shown
            await browser.send(
                f"/photos{session.replace('/calibrate', '/calibration')}", files={"photo": ("a.jpg", JPEG)}
            )
            assert "SHA-256" in browser.text
            await browser.send(f"{session}/finish", text="with the door shut")
            assert browser.path == "/calibrate"
            assert "It is on record as R" in browser.text
            (record,) = at.gateway.people.records.book.comparisons("room.temperature")
            assert record.data["person"] == "Ana"
            assert record.data["tolerance"] == 0.5
            assert record.data["text"].startswith("with the door shut\n")
            assert len(record.data["photo"]) == 64


class TestDiagnostics:
    async def test_buses_frames_journal_and_verification(self, tmp_path: Path) -> None:
        async with browsing(tmp_path) as (_, browser):
            shown = await browser.go("/diagnose")
            assert "Answered slots" in shown
            assert "closed (0)" in shown
            await browser.send("/diagnose/verify")
            verified = await browser.ended()
            assert "the record is whole" in verified or "nothing to verify yet" in verified
            frames = await browser.go("/diagnose/frames/line-1")
            assert "asks for input register 1 to 2" in frames
            assert "temperature = 4.1 degC" in frames
            await browser.go("/diagnose/frames/line-9", 409)
            await browser.go("/diagnose/log")

    async def test_the_support_file_is_downloaded(self, tmp_path: Path) -> None:
        async with browsing(tmp_path) as (_, browser):
            await browser.go("/diagnose")
            await browser.send("/diagnose/bundle")
            assert browser.page.headers["content-type"] == "application/zip"
            assert browser.page.headers["content-disposition"].startswith('attachment; filename="support-g-')
            with zipfile.ZipFile(io.BytesIO(browser.page.content)) as bundle:
                assert "site.toml" in bundle.namelist()


@pytest.mark.parametrize("path", ["/commission", "/commission/try", "/calibrate", "/diagnose", "/jobs/J1"])
async def test_nobody_who_has_not_signed_in_sees_them(tmp_path: Path, path: str) -> None:
    async with browsing(tmp_path) as (_, browser):
        browser.client.cookies.clear()
        answer = await browser.client.get(path)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/sign-in")
        refused = await browser.client.post("/diagnose/bundle", data={})
        assert refused.status_code in {401, 403}
