"""Signing in at a running gateway: from the label to the record, over a restart; back in from the command line."""

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import httpx
from app_tools import Unit, command, record_of, running, site_of, until

from gateway.access.firstcode import first_code
from gateway.config import load_site
from gateway.site import WebSpec

PASSWORD = "three warm blankets"


def file_of(folder: Path, port: int) -> Path:
    path = folder / "site.toml"
    path.write_text(
        f"""
[gateway]
member = "m"
site = "s"
id = "g"
data_dir = "data"

[[bus]]
id = "up"
type = "modbus-tcp"
host = "127.0.0.1"
port = {port}

[[device]]
id = "a"
bus = "up"
model = "generic-registers-20"
unit = 1
period_s = 1
"""
    )
    return path


async def test_from_the_label_to_the_record(tmp_path: Path) -> None:
    async with Unit() as unit:
        site = site_of(tmp_path, unit.port, web=WebSpec(port=0))
        async with running(site) as gateway:
            await until(lambda: gateway.page_address is not None)
            address = str(gateway.page_address)
            async with httpx.AsyncClient(base_url=address, headers={"origin": address.rstrip("/")}) as client:
                assert (await client.get("/")).status_code == 303
                fields = {"name": "Ana Smit", "code": first_code(tmp_path), "password": PASSWORD, "again": PASSWORD}
                assert (await client.post("/welcome", data=fields)).status_code == 303
                assert 'id="p-p"' in (await client.get("/")).text
                cookies = dict(client.cookies)
        async with running(site) as gateway:
            await until(lambda: gateway.page_address is not None)
            async with httpx.AsyncClient(base_url=str(gateway.page_address), cookies=cookies) as client:
                assert (await client.get("/people")).status_code == 200, "a restart of the daemon signs nobody out"
    record = record_of(site)
    assert record.one("access.joined").data["person"] == "Ana Smit"
    assert record.one("access.signed_in").data["role"] == "administrator"


async def test_whoever_is_at_the_machine_gets_back_in(tmp_path: Path) -> None:
    async with Unit() as unit:
        path = file_of(tmp_path, unit.port)
        site = replace(load_site(path), web=WebSpec(port=0))
        async with running(site) as gateway:
            await until(lambda: gateway.register is not None and gateway.people is not None)
            await until((site.data_dir / "control.sock").exists)

            def people(*words: str) -> str:
                ran = command("people", path, *words)
                assert ran.returncode == 0, ran.stderr
                return ran.stdout

            assert "nobody can sign in yet" in await asyncio.to_thread(people)
            made = await asyncio.to_thread(people, "invite", "Bo", "--role", "administrator", "--person", "root")
            code = re.search(r"[A-Z2-9]{4}-[A-Z2-9]{4}", made)
            assert code
            address = str(gateway.page_address)
            async with httpx.AsyncClient(base_url=address, headers={"origin": address.rstrip("/")}) as client:
                fields = {"name": "Bo", "code": code[0], "password": PASSWORD, "again": PASSWORD}
                assert (await client.post("/welcome", data=fields)).status_code == 303
            assert "Bo                       administrator" in await asyncio.to_thread(people, "list")
            refused = await asyncio.to_thread(command, "people", path, "remove", "Bo", "--person", "root")
            assert refused.returncode == 2
            assert "only administrator" in refused.stderr
