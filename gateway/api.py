"""The border to plugins: the only module of the gateway that a plugin imports (its parts are `gateway.api_*`).

An output is a class with its settings and ``send``. It lives in a thread with an event loop of its own, so it may
block, and cannot hold up the gateway or another output. How to write one: docs/plugins.md.
"""

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from firmware_interfaces.extra import GROUP as DEVICES
from firmware_interfaces.extra import AdvertFormat, AdvertQuantity, Devices
from gateway.api_loading import PluginError, load, one_line, types
from gateway.api_reports import REPORTS, Report
from gateway.api_rules import RULES, Finding, Rule, RuleHost
from gateway.api_units import CODES
from gateway.errors import AuroraError

if TYPE_CHECKING:
    from gateway.mqtt import Endpoint as MqttEndpoint
    from gateway.mqtt import Link as MqttLink
    from gateway.mqtt import LinkError as MqttLinkError
    from gateway.mqtt import connect as mqtt_connect

__all__ = [
    "BUILT_IN",
    "CODES",
    "DEVICES",
    "GROUP",
    "REPORTS",
    "RULES",
    "AdvertFormat",
    "AdvertQuantity",
    "DeviceInfo",
    "Devices",
    "Finding",
    "Host",
    "Mistake",
    "MqttEndpoint",
    "MqttLink",
    "MqttLinkError",
    "Notice",
    "Output",
    "OutputError",
    "PluginError",
    "Reading",
    "Report",
    "Rule",
    "RuleHost",
    "Secret",
    "Standing",
    "Value",
    "load_output",
    "load_report",
    "load_rule",
    "mqtt_connect",
    "output_types",
    "setting",
]

GROUP = "aurora_gateway.outputs"
"""Entry points of this group are outputs; the name of the entry point is what ``type`` says in the site file."""

BUILT_IN: Mapping[str, str] = {
    "email": "gateway_plugins.email:EmailOutput",
    "webhook": "gateway_plugins.webhook:WebhookOutput",
    "sms": "gateway_plugins.sms:SmsOutput",
    "siren-modbus": "gateway_plugins.siren_modbus:ModbusSiren",
    "siren-gpio": "gateway_plugins.siren_gpio:GpioSiren",
    "mqtt": "gateway_plugins.mqtt:MqttOutput",
    "sparkplug": "gateway_plugins.sparkplug:SparkplugOutput",
    "csv-drop": "gateway_plugins.csv_drop:CsvDrop",
    "ngsi-ld": "gateway_plugins.ngsi_ld:NgsiLdOutput",
}
LARGEST_SECRET = 64 << 10
_OURS_BY_NAME = {
    "MqttEndpoint": "Endpoint",
    "MqttLink": "Link",
    "MqttLinkError": "LinkError",
    "mqtt_connect": "connect",
}


class OutputError(AuroraError):
    """A notice was not delivered.

    ``retry`` says whether trying again can help: True for everything that somebody may mend meanwhile (network,
    password, credit), False where this notice will never be taken. ``recipient`` says that it is this recipient's
    trouble only, and the output works for others. ``after_s`` is the least wait that the other side asked for.
    ``taken`` is how many of the readings that were given are taken all the same, from the first on.
    """

    def __init__(
        self,
        what: str,
        remedy: str,
        *,
        retry: bool = True,
        recipient: bool = False,
        after_s: float = 0.0,
        taken: int = 0,
    ) -> None:
        self.what = one_line(what)
        self.remedy = one_line(remedy)
        self.retry = retry
        self.recipient = recipient
        self.after_s = after_s
        self.taken = taken
        super().__init__(f"{self.what}; {self.remedy}" if remedy else self.what)


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret lies: a file, or a credential that systemd hands to the service. Never the secret itself."""

    file: Path | None = None
    credential: str = ""

    @property
    def path(self) -> Path | None:
        """The file to read; None for a credential outside a service that was given any."""
        if self.file is not None:
            return self.file
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        return Path(folder) / self.credential if folder else None

    def read(self) -> str:
        """The secret as it is now, without a final end of line. Raises `OutputError`."""
        path = self.path
        if path is None:
            raise OutputError(
                f"the credential {self.credential!r} is not there: no credentials were handed to the service",
                f"add LoadCredential={self.credential}:FILE to the unit, or name a file",
            )
        try:
            with path.open("rb") as opened:
                content = opened.read(LARGEST_SECRET + 1)
            text = content.decode()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "is not UTF-8 text"
            raise OutputError(
                f"the secret {path} cannot be read ({why})", "put it there, readable for the gateway's user alone"
            ) from error
        text = text.removesuffix("\n").removesuffix("\r")
        if not text or len(content) > LARGEST_SECRET:
            raise OutputError(
                f"the secret {path} is {'empty' if not text else 'too large'}", "write it to the file"
            )
        return text


class Mistake(ValueError):  # noqa: N818 - named for what is said to the person
    """A setting that is wrong, and what would be right; ``key`` is the setting's name."""

    def __init__(self, what: str, remedy: str, key: str = "") -> None:
        self.what = what
        self.remedy = remedy
        self.key = key
        super().__init__(f"{what}; {remedy}")


def setting(
    default: Any = ...,
    *,
    example: Any,
    least: float | None = None,
    most: float | None = None,
    check: Callable[[Any], None] | None = None,
) -> Any:
    """A field of an output's settings (a frozen dataclass), without a default: required.

    ``example`` is what a message proposes. ``least`` and ``most`` bound numbers, and the length of texts and lists.
    ``check`` raises `Mistake`. Types: str, int, float, bool, Literal, list and dict of these, `Secret`, `Path`
    (relative to the site file), each also with ``| None``.
    """
    metadata = {"example": example, "least": least, "most": most, "check": check}
    if default is ...:
        return field(metadata=metadata)
    if isinstance(default, list | dict):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing to tell one recipient.

    ``key`` is the same whenever the same notice is sent again: what was sent but not confirmed comes twice.
    ``transition`` is raised, returned, acknowledged, confirmed, escalated or shelved; ``test`` when somebody tries
    the output; ``alive`` for the regular sign of life. Times are Unix milliseconds, None where the time is not
    known. ``late_s`` is above 0 when it could not be told in time. ``subject``, ``body`` and ``short`` (at most 160
    characters) say it all in ``language``; ``more`` further notices are told with this one, the first in ``also``.
    """

    key: str
    transition: str
    recipient: str = ""
    alarm: str = ""
    occurrence: int = 0
    escalation: int = 0
    state: str = ""
    active: bool = False
    tier: str = ""
    rule: str = ""
    point: str = ""
    name: str = ""
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    since_utc_ms: int | None = None
    raised_utc_ms: int | None = None
    sent_utc_ms: int | None = None
    late_s: float = 0.0
    words: str = ""
    person: str = ""
    text: str = ""
    member: str = ""
    site: str = ""
    gateway: str = ""
    link: str = ""
    language: str = "en"
    more: int = 0
    also: tuple[str, ...] = ()
    subject: str = ""
    body: str = ""
    short: str = ""

    def fields(self) -> dict[str, Any]:
        """All of it as plain data, for JSON."""
        return {**asdict(self), "also": list(self.also)}


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands now of the alarms that the rules give to an output: for what shows a state, as a siren does.

    ``unacknowledged`` wait for a person, whether they have returned to normal or not; ``active`` are beyond their
    limit now, acknowledged or not; ``over`` need nothing any more, or are shelved or suppressed.
    """

    unacknowledged: tuple[Notice, ...] = ()
    active: tuple[Notice, ...] = ()
    over: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class Value:
    """One channel of a reading.

    ``value`` is None exactly where there is none: then ``severity`` is ``bad`` and ``reason`` says why (the names
    of docs/payload-format.md: ``timeout``, ``sensor_fault`` ...). ``uncertain`` is a value to be used with the
    named care. ``points`` are the ids of the points that the channel feeds.
    """

    channel: str
    value: float | None
    unit: str
    decimals: int | None
    severity: str
    reason: str
    points: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """One scheduled sample of one device, or a run of ``count`` samples that brought no answer.

    ``slot`` is its number in the device's schedule, ``boot_ms`` the gateway's boot clock, ``utc_ms`` the same
    moment in Unix milliseconds, None while the time is not known. ``stored`` says that it could not be given when
    it was new: it is history, and must not be shown as what is so now. ``answered`` is False where the device did
    not answer.
    """

    device: str
    slot: int
    count: int
    boot_ms: int
    utc_ms: int | None
    answered: bool
    stored: bool
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """A device of the site file: its model, how often it is read, and its channels with their units."""

    id: str
    model: str
    period_s: float
    channels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Host:
    """What an output may know of the gateway: its own id in the site file, who and where we are, its time limit.

    ``devices`` are those of the site file, for an output that takes ``values``.
    """

    output: str
    member: str
    site: str
    gateway: str
    timeout_s: float
    log: logging.Logger | logging.LoggerAdapter[logging.Logger]
    devices: tuple[DeviceInfo, ...] = ()


class Output:
    """Base of all outputs. All methods run in the output's own thread, one at a time, within ``host.timeout_s``."""

    title: ClassVar[str] = ""
    """A few words for lists."""
    Settings: ClassVar[type]
    """Frozen dataclass, its fields made with `setting`."""
    address: ClassVar[str] = ""
    """What ``to`` holds (``an e-mail address``); empty for an output without recipients."""
    sends: ClassVar[bool] = True
    """Whether it is given notices."""
    follows: ClassVar[bool] = False
    """Whether it is given what stands: at the start, at each change, and about once a minute."""
    values: ClassVar[bool] = False
    """Whether it is given every reading. (``sends = False`` for one that takes nothing else.)"""
    timeout_s: ClassVar[float] = 30.0
    """How long one notice may take, unless the site file says otherwise."""
    digests: ClassVar[bool] = True
    """Whether several notices may be told as one when the rate limit is reached; False lifts the limit."""

    def __init__(self, settings: Any, host: Host) -> None:
        self.settings = settings
        self.host = host
        self.log = host.log

    @classmethod
    def check(cls, settings: Any) -> Iterable[Mistake]:  # noqa: ARG003 - for those that override it
        """What is wrong with settings that are right each on its own. Must touch neither network nor hardware."""
        return ()

    @classmethod
    def check_address(cls, address: str) -> None:
        """Raises `Mistake` where a recipient's address cannot be one."""

    async def send(self, notice: Notice) -> None:
        """Deliver; return only when the other side has taken it. Raises `OutputError`."""
        raise NotImplementedError

    async def follow(self, standing: Standing) -> None:
        """Show what stands, and make sure that it is shown. Raises `OutputError`."""
        raise NotImplementedError

    async def take(self, readings: Sequence[Reading]) -> None:
        """Take readings, oldest first. Raises `OutputError`, with ``taken`` where some of them were: the others
        come again. One that is not to be tried again (``retry=False``) costs these readings, and is counted.
        """
        raise NotImplementedError

    async def test(self) -> None:
        """Find out whether the way is open without telling anybody anything. Raises `OutputError`."""

    async def close(self) -> None:
        """Give back what is open."""


def output_types() -> dict[str, str]:
    """Name of every output there is, with where its class lies (``module:class``)."""
    return types(GROUP, BUILT_IN)


def load_output(name: str) -> type[Output]:
    """The class of an output. Raises `PluginError`, also for whatever importing a plugin raises."""
    found: type[Output] = load(GROUP, name, Output, BUILT_IN)
    if not hasattr(found, "Settings"):
        raise PluginError(f"the plugin {name!r} is no output", "its class must say its Settings")
    return found


def load_rule(name: str) -> type[Rule]:
    """The class of a rule. Raises `PluginError`."""
    found: type[Rule] = load(RULES, name, Rule)
    if not hasattr(found, "Settings"):
        raise PluginError(f"the plugin {name!r} is no rule", "its class must say its Settings")
    return found


def load_report(name: str) -> type[Report]:
    """The class of a form of reports. Raises `PluginError`."""
    found: type[Report] = load(REPORTS, name, Report)
    return found


def __getattr__(name: str) -> Any:
    """MQTT as the gateway speaks it; its library is loaded only when an output asks for it."""
    if name in _OURS_BY_NAME:
        return getattr(import_module("gateway.mqtt"), _OURS_BY_NAME[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
