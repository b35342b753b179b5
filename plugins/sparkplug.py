"""Sparkplug B 3.0: the gateway as an edge node, its devices as devices, every channel as a metric.

Source: Eclipse Sparkplug Specification 3.0.0. The protocol demands QoS 0 for births and data: what is on its way
when the line breaks is lost to the host, and is in the signed record all the same. What could not be sent at all
waits in the gateway and goes out as history (``is_historical``), never as what is so now.
"""

import asyncio
import json
import re
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from gateway_plugins.sparkplug_payload import BOOLEAN, DOUBLE, INT32, INT64, STRING, Metric, commands, payload

from gateway.api import (
    DeviceInfo,
    Host,
    Mistake,
    MqttEndpoint,
    MqttLink,
    MqttLinkError,
    Notice,
    Output,
    OutputError,
    Reading,
    Secret,
    Value,
    mqtt_connect,
    setting,
)

__all__ = ["SparkplugOutput", "SparkplugSettings"]

REBIRTH = "Node Control/Rebirth"
GOOD, BAD, STALE = 192, 0, 500
"""The property Quality (6.4.7)."""
DEAD_AFTER = 2
"""Samples in a row without an answer, after which the device is dead to the host."""
HOST_WAIT_S = 1.0


def check_id(text: str) -> None:
    """Raises `Mistake` for what cannot be a level of a topic (4.1)."""
    if re.search(r"[+/#\x00-\x1f]", text):
        raise Mistake(f"{text!r} cannot be a level of a topic", "write it without + / and #")


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkplugSettings:
    """Where the broker is, and under which names. TLS where ``ca`` is given, mutual with ``certificate``."""

    host: str = setting(example="10.0.0.5", least=1)
    port: int = setting(1883, example=1883, least=1, most=65535)
    group: str = setting("", example="dairy", most=100, check=check_id)
    node: str = setting("", example="gw-1", most=100, check=check_id)
    primary_host: str = setting("", example="scada", most=100, check=check_id)
    client: str = setting("", example="aurora-sparkplug", most=100)
    user: str = setting("", example="gateway")
    password: Secret | None = setting(None, example={"file": "sparkplug.password"})
    ca: Path | None = setting(None, example="site-ca.pem")
    certificate: Path | None = setting(None, example="gateway.pem")
    private_key: Path | None = setting(None, example="gateway.key")


class SparkplugOutput(Output):
    """Delivered when it was written to a connection that lives, and the primary host, where one is named, is
    online."""

    title = "Sparkplug B: values for a SCADA host"
    Settings = SparkplugSettings
    sends = False
    values = True
    settings: SparkplugSettings

    def __init__(self, settings: SparkplugSettings, host: Host) -> None:
        super().__init__(settings, host)
        group, node = settings.group or host.member, settings.node or host.gateway
        self._topic = f"spBv1.0/{group}/{{}}/{node}"
        self._state = f"spBv1.0/STATE/{settings.primary_host}"
        self._devices = {device.id: device for device in host.devices}
        self._aliases = _aliases(host.devices)
        self._stack: AsyncExitStack | None = None
        self._link: MqttLink | None = None
        self._listener: asyncio.Task[None] | None = None
        self._host_online = asyncio.Event()
        self._host_ms = -1
        self._bd_seq = -1
        self._seq = 0
        self._born = False
        self._alive: set[str] = set()
        self._missed: dict[str, int] = {}
        self._now: dict[str, Reading] = {}
        """By device its newest reading that was given when it was new: what a birth may show."""
        self._newest_ms: int | None = None

    @classmethod
    def check(cls, settings: SparkplugSettings) -> Iterable[Mistake]:
        """What belongs together is there together."""
        if settings.password is not None and not settings.user:
            yield Mistake("a password without a user", "write user", "user")
        if (settings.certificate is None) != (settings.private_key is None):
            yield Mistake("certificate and private_key belong together", "write both, or neither", "certificate")
        if settings.certificate is not None and settings.ca is None:
            yield Mistake("has no meaning without ca", "write ca", "certificate")

    async def send(self, notice: Notice) -> None:
        """Only asked for by a test of a person: connect, and be accepted."""
        await self._connected(notice.sent_utc_ms)

    async def take(self, readings: Sequence[Reading]) -> None:
        """Births where they are due, then the readings."""
        taken = 0
        try:
            for reading in readings:
                if reading.utc_ms is None:
                    raise OutputError(
                        "the time is not known, and Sparkplug has no value without one",
                        "give the gateway a time source; until then values wait",
                        taken=taken,
                    )
                await self._ready(reading.utc_ms)
                self._one(reading, reading.utc_ms)
                taken += 1
            await asyncio.sleep(0)
            if self._link is None or self._link.lost:
                raise MqttLinkError("the connection is lost")
        except MqttLinkError as error:
            await self._drop()
            # What was written to a connection that has died since may not have arrived: it goes again, as history.
            raise OutputError(f"the broker is gone ({error})", "see whether it is well") from error

    async def close(self) -> None:
        """Die in order: the death certificate, then a goodbye, so that the broker need not send it."""
        await self._die()

    # one reading

    def _one(self, reading: Reading, utc_ms: int) -> None:
        device = reading.device
        self._newest_ms = utc_ms
        if not reading.stored:
            self._now[device] = reading
        if reading.answered:
            self._missed[device] = 0
            if device not in self._alive:
                self._birth(device, utc_ms)
                if not reading.stored:
                    return
            self._publish("DDATA", utc_ms, self._metrics(reading, utc_ms), device)
            return
        if device not in self._alive:
            return
        self._missed[device] = self._missed.get(device, 0) + reading.count
        if self._missed[device] >= DEAD_AFTER:
            self._alive.discard(device)
            self._publish("DDEATH", utc_ms, [], device)
        else:
            self._publish("DDATA", utc_ms, self._metrics(reading, utc_ms), device)

    def _metrics(self, reading: Reading, utc_ms: int, *, birth: bool = False) -> list[Metric]:
        return [
            Metric(
                name=value.channel if birth else None,
                datatype=DOUBLE,
                value=value.value,
                timestamp_ms=utc_ms,
                alias=self._aliases[reading.device, value.channel],
                historical=reading.stored,
                properties=_properties(value, birth=birth),
            )
            for value in reading.values
        ]

    # births and deaths

    def _birth(self, device: str, utc_ms: int) -> None:
        """The device with all its metrics: as they are now where that is known, else null. Never an old value."""
        now = self._now.get(device)
        if now is not None and now.utc_ms is not None:
            metrics = self._metrics(now, now.utc_ms, birth=True)
        else:
            metrics = [
                Metric(
                    name=channel,
                    datatype=DOUBLE,
                    value=None,
                    timestamp_ms=utc_ms,
                    alias=self._aliases[device, channel],
                    properties={"engUnit": (STRING, unit), "Quality": (INT32, STALE)},
                )
                for channel, unit in self._devices[device].channels.items()
            ]
        self._alive.add(device)
        self._publish("DBIRTH", utc_ms, metrics, device)

    def _node_birth(self, utc_ms: int) -> None:
        self._seq = 0
        self._born = True
        metrics = [
            Metric("bdSeq", INT64, self._bd_seq, utc_ms),
            Metric(REBIRTH, BOOLEAN, False, utc_ms),
            Metric("Properties/Make", STRING, "Aurora Gateway", utc_ms),
            Metric("Properties/Site", STRING, self.host.site, utc_ms),
        ]
        self._publish("NBIRTH", utc_ms, metrics)

    def _rebirth(self) -> None:
        """Everything anew, as the host asks who has missed something."""
        if not self._born or self._newest_ms is None:
            return
        alive, self._alive = sorted(self._alive), set()
        self._node_birth(self._newest_ms)
        for device in alive:
            self._birth(device, self._newest_ms)

    def _publish(self, kind: str, utc_ms: int, metrics: list[Metric], device: str = "") -> None:
        if self._link is None:
            raise MqttLinkError("there is no connection")
        topic = self._topic.format(kind) + (f"/{device}" if device else "")
        self._link.send(topic, payload(utc_ms, metrics, self._seq), qos=0)
        self._seq = (self._seq + 1) % 256

    # the connection

    async def _ready(self, utc_ms: int) -> None:
        """Connected, the host there, the node born."""
        if self._born and self._link is not None and not self._link.lost:
            return
        await self._connected(utc_ms)
        if self.settings.primary_host and not self._host_online.is_set():
            try:
                async with asyncio.timeout(min(HOST_WAIT_S, self.host.timeout_s / 2)):
                    await self._host_online.wait()
            except TimeoutError as error:
                what = f"the primary host {self.settings.primary_host!r} is not online"
                raise OutputError(what, "values wait for it; see whether it is well") from error
        if not self._born:
            self._node_birth(utc_ms)

    async def _connected(self, utc_ms: int | None) -> None:
        if self._link is not None and not self._link.lost:
            return
        await self._drop()
        settings = self.settings
        self._bd_seq = (self._bd_seq + 1) % 256
        stack = AsyncExitStack()
        try:
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
            link = await stack.enter_async_context(
                mqtt_connect(endpoint, will=(self._topic.format("NDEATH"), self._death(utc_ms)), will_retain=False)
            )
            await link.subscribe(self._topic.format("NCMD"), *([self._state] if settings.primary_host else []))
        except MqttLinkError as error:
            await stack.aclose()
            raise OutputError(str(error), "check host, port, certificates, user and the broker's log") from error
        self._stack, self._link = stack, link
        self._listener = asyncio.create_task(self._listen(link))

    def _death(self, utc_ms: int | None) -> bytes:
        """The certificate: the number of the birth that it ends, and no sequence (6.4.26)."""
        metrics = [Metric("bdSeq", INT64, self._bd_seq, utc_ms)]
        certificate: bytes = payload(utc_ms, metrics)
        return certificate

    async def _listen(self, link: MqttLink) -> None:
        """Commands and the state of the host, until the connection ends."""
        with suppress(MqttLinkError):
            while True:
                for message in await link.receive(20):
                    if message.topic == self._state:
                        await self._host_state(message.payload)
                    else:
                        self._command(message.payload)

    def _command(self, data: bytes) -> None:
        try:
            wanted = commands(data)
        except ValueError as error:
            self.log.warning("a command that is none was left: %s", error)
            return
        if wanted.get(REBIRTH):
            self._rebirth()
        for name in wanted.keys() - {REBIRTH}:
            self.log.warning("the command %.60r was left: this gateway only reads", name)

    async def _host_state(self, data: bytes) -> None:
        """Online or offline; an older word than the last is left (5.17)."""
        try:
            state = json.loads(data)
            online, at_ms = state["online"] is True, int(state["timestamp"])
        except (ValueError, TypeError, KeyError):
            self.log.warning("the state of the primary host is not understood")
            return
        if at_ms < self._host_ms:
            return
        self._host_ms = at_ms
        if online:
            self._host_online.set()
            return
        self._host_online.clear()
        if self._born:
            await self._die(of_itself=False)

    async def _die(self, *, of_itself: bool = True) -> None:
        """Publish the death and leave. ``of_itself``: called from outside the listener, which is ended too."""
        if self._link is not None and self._born and not self._link.lost:
            with suppress(MqttLinkError):
                self._link.send(self._topic.format("NDEATH"), self._death(self._newest_ms), qos=0)
                await asyncio.sleep(0)
        await self._drop(listener=of_itself)

    async def _drop(self, *, listener: bool = True) -> None:
        stack, self._stack, self._link = self._stack, None, None
        self._born = False
        self._alive.clear()
        self._now.clear()
        self._host_online.clear()
        self._host_ms = -1
        listening, self._listener = self._listener, None
        if listening is not None and listener:
            listening.cancel()
            await asyncio.wait([listening])
        if stack is not None:
            await stack.aclose()


def _properties(value: Value, *, birth: bool) -> dict[str, tuple[int, bool | int | float | str]]:
    """Quality as the protocol has it, and in words where it is not simply good."""
    found: dict[str, tuple[int, bool | int | float | str]] = {}
    if birth:
        found["engUnit"] = STRING, value.unit
    if birth or value.severity != "good":
        quality = BAD if value.severity == "bad" else GOOD
        found["Quality"] = INT32, STALE if value.reason == "stale" else quality
        found["Aurora Quality"] = STRING, f"{value.severity}: {value.reason}"
    return found


def _aliases(devices: Sequence[DeviceInfo]) -> dict[tuple[str, str], int]:
    """A number for each channel of the node, the same as long as the site file is."""
    pairs = [(device.id, channel) for device in devices for channel in device.channels]
    return {pair: number for number, pair in enumerate(pairs, 1)}
