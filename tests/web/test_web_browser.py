"""The page in a real browser: live, complete, without complaints, and honest when the gateway has gone."""

import asyncio
from pathlib import Path
from typing import Any

from chromium import tab
from web_tools import channel, pages_of, serving, status

PHONE = {"width": 320, "height": 640, "deviceScaleFactor": 1, "mobile": True}


async def test_a_phone_sees_live_values_and_is_told_when_they_are_old(tmp_path: Path) -> None:
    air = 2.0

    def snapshot() -> dict[str, Any]:
        gone = channel(name="s3", value=None, severity="bad", words="device reports a sensor fault")
        good = status()
        device = {**good["devices"][0], "channels": [channel(value=air), gone]}
        named = {
            **good["points"][0],
            "value": air,
            "name": "<b>Cold room</b> of the longest name there is in Aurora",
        }
        return {
            **good,
            "points": [named, {**good["points"][0], **gone, "id": "core", "name": "Core"}],
            "devices": [device],
        }

    async with tab(tmp_path) as page:
        await page.call("Emulation.setDeviceMetricsOverride", **PHONE)
        async with serving(pages_of(snapshot)) as (client, _):
            await page.go(str(client.base_url))
            await page.until("document.getElementById('link').textContent === 'Live'")
            assert "<b>Cold room</b>" in await page.text("main")
            assert "2.0\N{NO-BREAK SPACE}°C" in await page.text("#p-p")
            bad = await page.text(".point.bad")
            assert "\N{EN DASH}" in bad
            assert "device reports a sensor fault" in bad

            await page.evaluate("document.querySelector('.point h3 a').focus()")
            air = 3.5
            await page.until("document.querySelector('#p-p').innerText.includes('3.5')")
            assert await page.evaluate("document.activeElement.textContent.includes('Cold room')"), "focus stays"
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "no sideways scroll"
            assert await page.evaluate("getComputedStyle(document.querySelector('.reading')).fontSize") == "40px"
            assert page.complaints == []
            port = client.base_url.port

        await page.later(10)
        await page.until("document.body.classList.contains('old')")
        assert "these values are old" in await page.text("#link")

        air = 4.5
        async with serving(pages_of(snapshot), port):
            await page.later(30)
            await page.until("document.getElementById('link').textContent === 'Live'")
            assert "4.5" in await page.text("#p-p")
            assert not await page.evaluate("document.body.classList.contains('old')")


async def test_a_stream_that_says_nothing_is_replaced(tmp_path: Path) -> None:
    """A phone that changes the Wi-Fi keeps an open stream in which nothing comes, without any error."""
    silent, asked = True, 0
    pages = pages_of()
    stream = pages.overview.stream.listen

    async def events(key: str, allowed: Any) -> Any:
        nonlocal asked
        asked += 1
        if silent:
            yield ": nothing\n\n"
            await pages.stopping.wait()
        async for event in stream(key):
            yield event

    pages.overview.stream.listen = events  # type: ignore[method-assign]
    async with tab(tmp_path) as page, serving(pages) as (client, _):
        await page.go(str(client.base_url))
        async with asyncio.timeout(20):
            while not asked:
                await asyncio.sleep(0.01)
        silent = False
        await page.later(30)
        await page.until("document.getElementById('link').textContent === 'Live'")
        assert asked == 2
