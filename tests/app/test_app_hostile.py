"""What comes over the network may be refused, but never ends the gateway; and a box begins without any sensor."""

from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from app_tools import Unit, more_scans, record_of, running, site_of, until

from gateway.assess.operator import named, written_text
from gateway.config import load_site
from gateway.errors import OperatorError
from gateway.model import Event
from gateway.site import WebSpec

HALF = "\ud83d"
"""Half a character: JSON can carry it, UTF-8 cannot."""


async def test_a_form_of_another_alphabet_is_refused_and_polling_goes_on(tmp_path: Path) -> None:
    async with Unit() as unit:
        site = site_of(tmp_path, unit.port, web=WebSpec(port=0))
        async with running(site) as gateway:
            await until(lambda: gateway.page_address is not None)
            address = str(gateway.page_address)
            body = b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\n+2D0-\r\n--b--\r\n'
            async with httpx.AsyncClient(base_url=address, headers={"origin": address.rstrip("/")}) as client:
                for charset in ("utf-7", '"utf-7"', "utf-16", "unicode_escape"):
                    kind = f"multipart/form-data; boundary=b; charset={charset}"
                    answer = await client.post("/sign-in", content=body, headers={"content-type": kind})
                    assert answer.status_code == 415, charset
                kind = "multipart/form-data; boundary=b; charset=UTF-8"
                answer = await client.post("/sign-in", content=body, headers={"content-type": kind})
                assert answer.status_code == 403, "a wrong name, as any other"
            await more_scans(gateway, 3)
    assert record_of(site).kinds()[-1] == "power_down"


async def test_half_a_character_over_the_api_is_refused(tmp_path: Path) -> None:
    async with Unit() as unit:
        site = site_of(tmp_path, unit.port, web=WebSpec(port=0))
        async with running(site) as gateway:
            await until(lambda: gateway.page_address is not None and gateway.people is not None)
            made = await gateway.register.handlers()["people.token"](
                {"label": "x", "role": "administrator", "person": "t"}
            )
            headers = {"authorization": f"Bearer {made['token']}", "content-type": "application/json"}
            async with httpx.AsyncClient(base_url=str(gateway.page_address), headers=headers) as client:
                for path, name in (
                    ("alarm/out-of-service", "text"),
                    ("people/invite", "name"),
                    ("report/make", "lot"),
                ):
                    sent = f'{{"alarm": "a", "role": "viewer", "kind": "lot", "{name}": "ok \\ud83d"}}'
                    answer = await client.post(f"/api/v1/{path}", content=sent)
                    assert (answer.status_code, answer.json()["error"]) == (400, "a text holds half a character")
            await more_scans(gateway, 3)


@pytest.mark.parametrize("text", [f"ok {HALF}", "a\u202eb", "a\x00b"])
def test_what_is_no_text_stands_in_no_record_of_an_alarm(text: str) -> None:
    with pytest.raises(OperatorError, match=r"is no text"):
        written_text(text)
    with pytest.raises(OperatorError, match=r"is no text"):
        named(text)
    assert written_text("first\nsecond") == "first\nsecond"


async def test_an_event_that_cannot_be_written_costs_itself_alone(tmp_path: Path) -> None:
    async with Unit() as unit:
        site = site_of(tmp_path, unit.port)
        async with running(site) as gateway:
            await more_scans(gateway, 1)
            gateway.record(Event("odd", gateway.clock.now_ms(), {"text": HALF}))
            gateway.record(Event("next", gateway.clock.now_ms(), {}))
            await until(lambda: gateway.counters.events_dropped == 1)
            await more_scans(gateway, 3)
    record = record_of(site)
    assert "odd" not in record.kinds()
    assert record.one("next").data == {}


async def test_the_first_sensor_of_a_new_box_is_added_while_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text('[gateway]\nmember = "m"\nsite = "s"\nid = "g"\ndata_dir = "data"\n\n[web]\nlisten = false\n')
    site = replace(load_site(path))
    async with Unit() as unit, running(site) as gateway:
        await until(lambda: gateway.people is not None and gateway.people.ready)
        text = path.read_text() + (
            f'\n[[bus]]\nid = "up"\ntype = "modbus-tcp"\nhost = "127.0.0.1"\nport = {unit.port}\n'
            '\n[[device]]\nid = "a"\nbus = "up"\nmodel = "generic-registers-20"\nunit = 1\nperiod_s = 0.2\n'
        )
        ask = gateway.people.control.carry_out
        shown = await ask("site.show", {})
        request = {"text": text, "base": shown["digest"], "person": "A. Smit", "reason": "the first one"}
        assert (await ask("site.apply", request))["applied"]
        await until(lambda: len(gateway.acquire.pollers) == 1)
        await more_scans(gateway, 3)
