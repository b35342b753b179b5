"""A siren or beacon on a Modbus relay: a coil that is on while an alarm wants somebody, and read back each time.

Modbus Application Protocol V1.1b3: 6.1 Read Coils, 6.5 Write Single Coil.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerType

from gateway.api import Mistake, Notice, Output, OutputError, Standing, setting

__all__ = ["ModbusSiren", "ModbusSirenSettings"]

TEST_S = 2.0
ANSWER_S = 2.0
"""Longest wait for an answer; a request is made twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusSirenSettings:
    """Which coil. ``on``: ``unacknowledged`` until somebody acknowledges, ``standing`` also until all is well.

    ``inverted`` is for a relay that is on at rest, so that a dead relay or wire sounds too.
    """

    host: str = setting("", example="192.168.1.30")
    port: int = setting(502, example=502, least=1, most=65535)
    device: str = setting("", example="/dev/serial/by-id/usb-...")
    baud: int = setting(9600, example=9600, least=300, most=1_000_000)
    parity: Literal["N", "E", "O"] = setting("N", example="N")
    stop_bits: Literal[1, 2] = setting(1, example=1)
    unit: int = setting(1, example=1, least=0, most=255)
    coil: int = setting(example=0, least=0, most=65535)
    on: Literal["unacknowledged", "standing"] = setting("unacknowledged", example="unacknowledged")
    inverted: bool = setting(False, example=False)


class ModbusSiren(Output):
    """Follows what stands. Shown means: written, and read back as written."""

    title = "siren or beacon on a Modbus coil"
    Settings = ModbusSirenSettings
    sends = False
    follows = True
    settings: ModbusSirenSettings

    @classmethod
    def check(cls, settings: ModbusSirenSettings) -> Iterable[Mistake]:
        """One way to the relay."""
        if bool(settings.host) == bool(settings.device):
            yield Mistake(
                "needs one way to the relay", 'write host = "192.168.1.30", or device = "/dev/..."', "host"
            )
        if settings.device and not 1 <= settings.unit <= 247:
            yield Mistake(f"{settings.unit} is not a unit id on a serial line", "write 1 to 247", "unit")

    async def follow(self, standing: Standing) -> None:
        """On, or off, as what stands wants it."""
        await self._set(wanted(self.settings.on, standing))

    async def send(self, notice: Notice) -> None:
        """A test: on for two seconds. What stands is shown again right after it."""
        del notice
        await self._set(True)
        await asyncio.sleep(TEST_S)
        await self._set(False)

    async def test(self) -> None:
        """Whether the relay answers."""
        async with self._client() as client:
            await self._read(client)

    async def _set(self, on: bool) -> None:
        coil = on is not self.settings.inverted
        async with self._client() as client:
            if await self._read(client) is coil:
                return
            answer = await client.write_coil(self.settings.coil, coil, device_id=self.settings.unit)
            if answer.isError():
                raise OutputError(f"{self._place} refuses to switch ({answer})", "check unit, coil and the relay")
            if await self._read(client) is not coil:
                raise OutputError(
                    f"{self._place} says {'off' if coil else 'on'} after it was switched the other way",
                    "see whether something else switches it too, or it is in manual mode",
                )

    async def _read(self, client: AsyncModbusTcpClient | AsyncModbusSerialClient) -> bool:
        answer = await client.read_coils(self.settings.coil, count=1, device_id=self.settings.unit)
        if answer.isError() or not answer.bits:
            raise OutputError(f"{self._place} cannot be read ({answer})", "check unit, coil and the relay")
        return bool(answer.bits[0])

    @property
    def _place(self) -> str:
        settings = self.settings
        where = f"{settings.host}:{settings.port}" if settings.host else settings.device
        return f"coil {settings.coil} of unit {settings.unit} on {where}"

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[AsyncModbusTcpClient | AsyncModbusSerialClient]:
        settings = self.settings
        client: AsyncModbusTcpClient | AsyncModbusSerialClient
        if settings.host:
            client = AsyncModbusTcpClient(
                settings.host, port=settings.port, timeout=ANSWER_S, retries=1, reconnect_delay=0
            )
        else:
            client = AsyncModbusSerialClient(
                settings.device,
                framer=FramerType.RTU,
                baudrate=settings.baud,
                parity=settings.parity,
                stopbits=settings.stop_bits,
                timeout=ANSWER_S,
                retries=1,
                reconnect_delay=0,
            )
        try:
            if not await client.connect():
                raise OutputError(f"{self._place} cannot be reached", "check power, cable, address and line")
            yield client
        except ModbusException as error:
            raise OutputError(f"{self._place} does not answer ({error})", "check power, cable and unit") from error
        except OSError as error:
            raise OutputError(
                f"{self._place} cannot be reached ({error})", "check power, cable and line"
            ) from error
        finally:
            client.close()


def wanted(on: Literal["unacknowledged", "standing"], standing: Standing) -> bool:
    """Whether a siren that is on while ``on`` has to be on."""
    return bool(standing.unacknowledged) or (on == "standing" and bool(standing.active))
