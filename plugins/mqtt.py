"""Notices on a broker at the site (MQTT 5, QoS 1), for control systems and displays.

``PREFIX/notice`` brings each notice once. ``PREFIX/alarm/ALARM`` is retained and says how that alarm stands, so
that a display that comes later knows too. ``PREFIX/status`` is retained: ``online``, or ``offline`` by the broker's
own hand (last will) when the gateway is silent.
"""

import asyncio
import json
import re
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from gateway.api import (
    Host,
    Mistake,
    MqttEndpoint,
    MqttLink,
    MqttLinkError,
    Notice,
    Output,
    OutputError,
    Secret,
    Standing,
    mqtt_connect,
    setting,
)

__all__ = ["MqttOutput", "MqttSettings"]

REFUSED = 0x80
PUBACK_S = 10.0
REASONS = {0x87: "not authorised", 0x90: "the topic name is not allowed", 0x97: "its quota is exceeded"}
"""PUBACK reason codes (MQTT 5, 3.4.2.1) that somebody can mend."""


def check_prefix(prefix: str) -> None:
    """Raises `Mistake` for what cannot begin a topic."""
    if prefix.startswith(("/", "$")) or prefix.endswith("/") or re.search(r"[+#\x00-\x1f]", prefix):
        raise Mistake(f"{prefix!r} cannot begin a topic", 'write it without + and #: "dairy/plant-1/alarms"')


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttSettings:
    """Where the broker is. TLS where ``ca`` is given, mutual with ``certificate`` and ``private_key``."""

    host: str = setting(example="127.0.0.1", least=1)
    port: int = setting(1883, example=1883, least=1, most=65535)
    prefix: str = setting("aurora/alarms", example="aurora/alarms", least=1, most=200, check=check_prefix)
    client: str = setting("", example="aurora-alarms", most=100)
    user: str = setting("", example="gateway")
    password: Secret | None = setting(None, example={"file": "mqtt.password"})
    ca: Path | None = setting(None, example="site-ca.pem")
    certificate: Path | None = setting(None, example="gateway.pem")
    private_key: Path | None = setting(None, example="gateway.key")


class MqttOutput(Output):
    """Delivered when the broker has answered with a PUBACK that is no refusal."""

    title = "MQTT topics on a broker at the site"
    Settings = MqttSettings
    follows = True
    digests = False
    settings: MqttSettings

    def __init__(self, settings: MqttSettings, host: Host) -> None:
        super().__init__(settings, host)
        self._stack: AsyncExitStack | None = None
        self._link: MqttLink | None = None
        self._waiting: dict[int, asyncio.Future[int]] = {}
        self._early: dict[int, int] = {}
        self._shown: dict[str, bytes] = {}

    @classmethod
    def check(cls, settings: MqttSettings) -> Iterable[Mistake]:
        """What belongs together is there together."""
        if settings.password is not None and not settings.user:
            yield Mistake("a password without a user", "write user", "user")
        if (settings.certificate is None) != (settings.private_key is None):
            yield Mistake("certificate and private_key belong together", "write both, or neither", "certificate")
        if settings.certificate is not None and settings.ca is None:
            yield Mistake("has no meaning without ca", "write ca", "certificate")

    async def send(self, notice: Notice) -> None:
        """One message, not retained."""
        await self._publish("notice", _json(notice), retain=False)

    async def follow(self, standing: Standing) -> None:
        """Bring the retained topics up to date: those that this connection has not said yet."""
        for notice in (*standing.unacknowledged, *standing.active, *standing.over):
            topic = f"alarm/{_level(notice.alarm)}"
            payload = _json(notice)
            if self._shown.get(topic) != payload:
                await self._publish(topic, payload, retain=True)
                self._shown[topic] = payload
        await self._connected()

    async def test(self) -> None:
        """Connect, and be accepted."""
        await self._connected()

    async def close(self) -> None:
        """Say goodbye: ``offline``, for which no last will is needed."""
        if self._link is not None:
            try:
                await self._publish("status", b"offline", retain=True)
            finally:
                await self._drop()

    async def _publish(self, topic: str, payload: bytes, *, retain: bool) -> None:
        link = await self._connected()
        try:
            message = link.send(f"{self.settings.prefix}/{topic}", payload, retain=retain)
            reason = await self._puback(message)
        except (MqttLinkError, TimeoutError) as error:
            await self._drop()
            raise OutputError(
                f"the broker {self.settings.host}:{self.settings.port} did not confirm ({error or 'no answer'})",
                "see whether it is well",
            ) from error
        if reason >= REFUSED:
            words = REASONS.get(reason, f"reason {reason:#04x}")
            raise OutputError(
                f"the broker {self.settings.host}:{self.settings.port} refuses the message ({words})",
                f"allow this client to write to {self.settings.prefix}/#",
            )

    async def _puback(self, message: int) -> int:
        if message in self._early:
            return self._early.pop(message)
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[message] = future
        try:
            async with asyncio.timeout(min(PUBACK_S, self.host.timeout_s)):
                return await future
        finally:
            self._waiting.pop(message, None)

    def _on_puback(self, message: int, reason: int) -> None:
        future = self._waiting.get(message)
        if future is None:
            self._early[message] = reason
        elif not future.done():
            future.set_result(reason)

    async def _connected(self) -> MqttLink:
        """The connection, made anew where it is lost; a new one says everything again."""
        if self._link is not None and not self._link.lost:
            return self._link
        await self._drop()
        settings = self.settings
        endpoint = MqttEndpoint(
            host=settings.host,
            port=settings.port,
            client=settings.client or f"{self.host.member}.{self.host.gateway}.{self.host.output}",
            ca=settings.ca,
            certificate=settings.certificate,
            key=settings.private_key,
            user=settings.user,
            password=settings.password.read() if settings.password is not None else "",
        )
        stack = AsyncExitStack()
        try:
            self._link = await stack.enter_async_context(
                mqtt_connect(endpoint, on_puback=self._on_puback, will=(f"{settings.prefix}/status", b"offline"))
            )
        except MqttLinkError as error:
            raise OutputError(str(error), "check host, port, certificates, user and the broker's log") from error
        self._stack = stack
        await self._publish("status", b"online", retain=True)
        return self._link

    async def _drop(self) -> None:
        stack, self._stack, self._link = self._stack, None, None
        self._shown.clear()
        self._early.clear()
        if stack is not None:
            await stack.aclose()


def _json(notice: Notice) -> bytes:
    """The notice as JSON, the same bytes for the same state."""
    fields = {**notice.fields(), "recipient": ""}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _level(alarm: str) -> str:
    """An alarm's id as levels of a topic, without what a topic must not hold."""
    return re.sub(r"[+#\x00-\x1f]", "-", alarm)
