"""The tables of a site file as pydantic models: names, types and ranges. What they mean together is checked after.

The example of a field is what a message proposes when the field is missing or of the wrong type.
"""

from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, InstanceOf
from pydantic_core import PydanticCustomError

from gateway.config.quantities import (
    Broker,
    Listen,
    Wrong,
    parse_broker,
    parse_duration_s,
    parse_listen,
    parse_size,
    parse_time_zone,
)

__all__ = [
    "BUSES",
    "BufferTable",
    "CalibrationTable",
    "ClockTable",
    "ClusterTable",
    "DeviceTable",
    "Duration",
    "GatewayTable",
    "Identifier",
    "PointTable",
    "Rs485Table",
    "RtuBus",
    "RtuOverTcpBus",
    "Table",
    "TcpBus",
    "Text",
    "TlsBus",
    "WebTable",
    "said",
]

NAME = "^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$"
IDENTIFIER = "^[A-Za-z0-9][A-Za-z0-9_-]*$"
HOST = r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?$"
ADAPTER = "^hci[0-9]{1,3}$"
MASTER = "^w1_bus_master[0-9]{1,3}$"
PATTERNS = {
    NAME: "use lower-case letters, digits and hyphens (it becomes part of an MQTT topic)",
    IDENTIFIER: "use letters, digits, - and _",
    HOST: "write a host name as a browser shows it, without port",
    ADAPTER: "write hci0, hci1 ...",
    MASTER: "write w1_bus_master1 ...",
}


def _said(parse: Callable[[str], Any]) -> BeforeValidator:
    """A parser of `quantities` as a validator; anything but a string is left to pydantic."""

    def validate(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return parse(value)
        except Wrong as wrong:
            raise PydanticCustomError("said", "{what}", {"what": wrong.what, "remedy": wrong.remedy}) from wrong

    return BeforeValidator(validate)


def said(wrong: Wrong) -> PydanticCustomError:
    """What a parser says, as pydantic passes it on."""
    return PydanticCustomError("said", "{what}", {"what": wrong.what, "remedy": wrong.remedy})


def _duration(value: Any) -> Any:
    """Seconds of a duration with its unit; a bare number could mean minutes to its writer."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise said(Wrong(f"{value!r} has no unit", f'write the unit: "{value:g}s", "{value:g}min"'))
    if not isinstance(value, str):
        return value
    try:
        return parse_duration_s(value)
    except Wrong as wrong:
        raise said(wrong) from wrong


def _product(value: Any) -> Any:
    """``simulate``: true, false, or a time constant with its unit."""
    return value if isinstance(value, bool) else _duration(value)


def _switched_off(value: Any) -> Any:
    """TOML has no null: false is how a file says that there is no page."""
    return None if value is False else value


Name = Annotated[str, Field(pattern=NAME, max_length=63)]
Identifier = Annotated[str, Field(pattern=IDENTIFIER, max_length=64)]
HostName = Annotated[str, Field(pattern=HOST)]
Text = Annotated[str, Field(min_length=1, max_length=200)]
Seconds = Annotated[float, Field(ge=0.1, le=86400)]
Port = Annotated[int, Field(ge=1, le=65535)]
Baud = Annotated[int, Field(ge=300, le=1_000_000)]
Duration = Annotated[float, BeforeValidator(_duration), Field(ge=0, le=366 * 86400)]
"""Seconds, written with their unit."""
TimeZone = Annotated[str, _said(parse_time_zone)]
Pair = Annotated[list[float], Field(min_length=2, max_length=2)]


class Table(BaseModel):
    """Strict: a string is no number, an unknown key is a mistake, and nan and inf are no values."""

    model_config = ConfigDict(
        strict=True, extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True, defer_build=True
    )


class GatewayTable(Table):
    """Who this gateway is, and where it stores."""

    member: Name = Field(examples=["green-valley-dairy"])
    site: Name = Field(examples=["plant-1"])
    id: Name = Field(examples=["gw-0001"])
    data_dir: Text = Field("/var/lib/aurora-gateway", examples=["/var/lib/aurora-gateway"])
    time_zone: TimeZone = Field("UTC", examples=["Europe/Paris"])
    language: Literal["en", "fr", "nl", "pl", "es"] = Field("en", examples=["fr"])


class ClusterTable(Table):
    """Where batches go."""

    broker: Annotated[InstanceOf[Broker], _said(parse_broker)] = Field(examples=["mqtts://broker.example:8883"])
    receipt_key: Text = Field(examples=["cluster.pem"])
    ca: Text | None = Field(None, examples=["ca.pem"])
    certificate: Text | None = Field(None, examples=["gateway.pem"])
    key: Text | None = Field(None, examples=["gateway.key"])
    in_flight: int = Field(8, ge=1, le=100, examples=[8])


class BufferTable(Table):
    """How the journal stores."""

    loss_window_s: float = Field(1.0, ge=0.05, le=60, examples=[1.0])
    batch_values: int = Field(500, ge=1, le=50_000, examples=[500])
    batch_min_age_s: float = Field(5.0, ge=0.1, le=86400, examples=[5.0])
    batch_max_age_s: float = Field(900.0, ge=0.1, le=86400, examples=[900.0])
    keep_days: int = Field(400, ge=1, le=36500, examples=[400])
    max_size: Annotated[int, _said(parse_size), Field(ge=10**7, le=10**15)] = Field(4 * 10**9, examples=["4 GB"])
    card_endurance: Annotated[int, _said(parse_size), Field(ge=10**11, le=10**17)] | None = Field(
        None, examples=["117 TB"]
    )


class ClockTable(Table):
    """Whom to believe about the time."""

    source: Literal["auto", "host"] = Field("auto", examples=["auto"])
    error_s: float | None = Field(None, ge=0.001, le=60, examples=[1.0])


class WebTable(Table):
    """Where the status page and the metrics are served."""

    listen: Annotated[InstanceOf[Listen] | None, _said(parse_listen), BeforeValidator(_switched_off)] = Field(
        Listen("127.0.0.1", 8080), examples=["127.0.0.1:8080"]
    )
    open_view: bool = Field(False, examples=[True])
    names: list[HostName] = Field([], examples=[["gateway.plant.example"]])
    tls: Literal["off", "self"] = Field("off", examples=["self"])
    certificate: Text | None = Field(None, examples=["page.pem"])
    key: Text | None = Field(None, examples=["page.key"])


class BusTable(Table):
    """What all buses have."""

    id: Identifier = Field(examples=["line-1"])
    timeout_s: float | None = Field(None, ge=0.02, le=30, examples=[1.0])
    gap_ms: float | None = Field(None, ge=0, le=5000, examples=[10])
    connect_pause_ms: int = Field(0, ge=0, le=60_000, examples=[0])


class SerialLine(BusTable):
    """Settings of a serial line; what is not given is taken from the models of its devices."""

    baud: Baud | None = Field(None, examples=[9600])
    parity: Literal["N", "E", "O"] | None = Field(None, examples=["N"])
    stop_bits: Literal[1, 2] | None = Field(None, examples=[1])


class TcpBus(BusTable):
    """One Modbus TCP endpoint."""

    type: Literal["modbus-tcp"] = Field(examples=["modbus-tcp"])
    host: Text = Field(examples=["192.168.1.20"])
    port: Port = Field(502, examples=[502])
    connection: Literal["keep", "release"] = Field("keep", examples=["release"])


class TlsBus(TcpBus):
    """One Modbus TCP endpoint behind TLS with certificates on both sides."""

    type: Literal["modbus-tls"] = Field(examples=["modbus-tls"])  # type: ignore[assignment]
    port: Port = Field(802, examples=[802])
    ca: Text = Field(examples=["plant-ca.pem"])
    certificate: Text = Field(examples=["gateway.pem"])
    key: Text = Field(examples=["gateway.key"])
    server_name: Text | None = Field(None, examples=["controller-7.plant.example"])


class Rs485Table(Table):
    """Direction control of an RS-485 line by its driver."""

    rts_on_send: bool = Field(True, examples=[True])
    rts_after_send: bool = Field(False, examples=[False])
    delay_before_ms: int = Field(0, ge=0, le=100, examples=[0])
    delay_after_ms: int = Field(0, ge=0, le=100, examples=[0])
    rx_during_tx: bool = Field(False, examples=[False])
    terminate: bool = Field(False, examples=[False])


class RtuBus(SerialLine):
    """One serial line."""

    type: Literal["modbus-rtu"] = Field(examples=["modbus-rtu"])
    device: Text = Field(examples=["/dev/serial/by-id/usb-..."])
    rs485: dict[str, Any] | None = Field(None, examples=[{"rts_on_send": True}])


class RtuOverTcpBus(SerialLine):
    """A serial line behind a converter that passes RTU frames on; its speed serves the load estimate only."""

    type: Literal["modbus-rtu-over-tcp"] = Field(examples=["modbus-rtu-over-tcp"])
    host: Text = Field(examples=["192.168.1.20"])
    port: Port = Field(502, examples=[4001])
    connection: Literal["keep", "release"] = Field("keep", examples=["release"])


BUSES: dict[str, type[TcpBus | RtuBus | RtuOverTcpBus]] = {
    "modbus-tcp": TcpBus,
    "modbus-tls": TlsBus,
    "modbus-rtu": RtuBus,
    "modbus-rtu-over-tcp": RtuOverTcpBus,
}


class CalibrationTable(Table):
    """A calibration certificate of one channel."""

    certificate: Text = Field(examples=["K-2026-0815"])
    valid_until: date = Field(examples=[date(2027, 6, 30)])
    points: list[Pair] = Field(min_length=1, max_length=100, examples=[[[0.0, 0.12], [70.0, 70.05]]])


class DeviceTable(Table):
    """Something that answers on a bus, or is heard on it (with an address instead of a unit id)."""

    id: Identifier = Field(examples=["cold-room-1"])
    bus: Text = Field(examples=["line-1"])
    model: Text = Field(examples=["xy-md02"])
    unit: int | None = Field(None, examples=[1])
    address: Text | None = Field(None, examples=["CB:B8:33:4C:88:4F"])
    key_file: Text | None = Field(None, examples=["keys/cold-room-1.key"])
    backfill: bool | None = Field(None, examples=[False])
    interval: Annotated[Seconds | None, _said(parse_duration_s)] = Field(None, examples=["10s"])
    period_s: Seconds | None = Field(None, examples=[10])
    period: Annotated[Seconds | None, _said(parse_duration_s)] = Field(None, examples=["10s"])
    phase_s: float = Field(0.0, ge=0, le=86400, examples=[0.5])
    channels: list[Text] | None = Field(None, min_length=1, max_length=200, examples=[["temperature"]])
    calibration: dict[str, Any] = Field(default_factory=dict, examples=[{}])
    inputs: dict[str, Any] | None = Field(None, examples=[{"pressure": {"input": "voltage0"}}])
    write: list[Text] | None = Field(None, min_length=1, max_length=50, examples=[["setpoint"]])


class PointTable(Table):
    """A place that matters for food safety."""

    id: Identifier = Field(examples=["cold-room-1"])
    name: Text = Field(examples=["Cold room 1"])
    channel: Text = Field(examples=["cold-room-1.temperature"])
    critical: bool = Field(False, examples=[True])
    profile: Text | None = Field(None, examples=["chilled-meat"])
    limits: dict[str, Any] = Field(default_factory=dict, examples=[{}])
    stale: Duration | None = Field(None, examples=["30min"])
    group: Identifier | None = Field(None, examples=["compressor-1"])
    alert_hours: list[Text] | None = Field(None, min_length=1, max_length=20, examples=[["mon-fri 06:00-18:00"]])
    simulate: Annotated[bool | float, BeforeValidator(_product)] = Field(False, examples=["60min"])
    reason: Text | None = Field(None, examples=["label allows 8 C; HACCP plan, section 3"])
    advisories: bool | list[Text] = Field(True, examples=[["defrost-missing", "stuck"]])
    tolerance: float | None = Field(None, gt=0, le=1e6, examples=[0.5])
