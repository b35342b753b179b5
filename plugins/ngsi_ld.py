"""NGSI-LD: alarms and values as entities of a context broker (FIWARE Orion-LD, Scorpio, Stellio ...).

Source: ETSI GS CIM 009 (NGSI-LD API): entities, properties and relationships; batch creation or update (upsert).
Entity types and names of attributes are those of the Smart Data Models: Device, DeviceMeasurement, Alert.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from gateway_plugins.http_post import FOR_GOOD, Poster, check_url, header_of, judge

from gateway.api import CODES, Host, Mistake, Notice, Output, OutputError, Reading, Secret, Value, setting

__all__ = ["NgsiLdOutput", "NgsiLdSettings", "alert", "entities"]

UPSERT = "/ngsi-ld/v1/entityOperations/upsert?options=update"
CORE = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context.jsonld"
MODELS = "https://raw.githubusercontent.com/smart-data-models"
CONTEXT = (
    f"{MODELS}/dataModel.Device/master/context.jsonld",
    f"{MODELS}/dataModel.Alert/master/context.jsonld",
    CORE,
)
SEVERITIES = {"critical": "critical", "alert": "high", "maintenance": "medium", "advisory": "informational"}
"""Tiers of our alarms to the severities of the model Alert."""
KINDS = (("high", "degC", "highTemperature"), ("low", "degC", "lowTemperature"))
"""Rules of temperatures to subcategories of the model Alert."""
PROPERTIES = {"degC": "temperature", "K": "temperature", "%RH": "humidity", "Pa": "pressure", "hPa": "pressure",
    "kPa": "pressure", "bar": "pressure", "W": "power", "kW": "power", "Wh": "energy", "kWh": "energy", "pH": "pH",
    "kg": "weight", "g": "weight"}  # fmt: skip
"""Units to what the model Device calls a controlled property; for other units it is the channel's own name."""
_TENANT = re.compile(r"[A-Za-z0-9_]{1,50}")


def check_context(context: list[str]) -> None:
    """Raises `Mistake` for what is no list of addresses of contexts."""
    for url in context:
        check_url(url)


def check_tenant(tenant: str) -> None:
    """Raises `Mistake` for what brokers do not take as the name of a tenant."""
    if tenant and not _TENANT.fullmatch(tenant):
        raise Mistake(f"{tenant!r} is no name of a tenant", "use letters, digits and _")


@dataclass(frozen=True, slots=True, kw_only=True)
class NgsiLdSettings:
    """The broker's address without ``/ngsi-ld/v1``, and how it knows us."""

    url: str = setting(example="https://broker.example", check=check_url)
    tenant: str = setting("", example="alder", check=check_tenant)
    authorization: Secret | None = setting(None, example={"file": "broker.token"})
    context: list[str] = setting(list(CONTEXT), example=[CORE], least=1, most=10, check=check_context)
    entities: int = setting(100, example=100, least=1, most=1000)
    ca: Path | None = setting(None, example="broker-ca.pem")


class NgsiLdOutput(Output):
    """Taken when the broker has. An upsert that comes twice leaves the same entities."""

    title = "NGSI-LD context broker (FIWARE)"
    Settings = NgsiLdSettings
    values = True
    digests = False
    settings: NgsiLdSettings

    def __init__(self, settings: NgsiLdSettings, host: Host) -> None:
        super().__init__(settings, host)
        self._poster = Poster(settings.url.rstrip("/") + UPSERT, settings.ca, host.timeout_s)

    @classmethod
    def check(cls, settings: NgsiLdSettings) -> Iterable[Mistake]:
        """A token needs TLS, and the address is that of the broker alone."""
        parts = urlsplit(settings.url)
        if settings.authorization is not None and parts.scheme != "https":
            yield Mistake("would go over the network in the clear", "use https://", "authorization")
        if settings.ca is not None and parts.scheme != "https":
            yield Mistake("has no meaning without TLS", "use https://, or take it away", "ca")
        if parts.query or parts.fragment or "/ngsi-ld" in parts.path:
            yield Mistake(f"{settings.url!r} is more than the broker's address", "leave /ngsi-ld/v1 away", "url")

    async def send(self, notice: Notice) -> None:
        """The alarm as an entity ``Alert``; a test is none, and only tries the way."""
        if notice.alarm:
            self._upsert([alert(notice)])
        else:
            await self.test()

    async def take(self, readings: Sequence[Reading]) -> None:
        """The newest state of every device and channel in them, in as many requests as it needs."""
        found = entities(readings, self.host.member, self.host.gateway)
        for first in range(0, len(found), self.settings.entities):
            self._upsert(found[first : first + self.settings.entities])

    async def test(self) -> None:
        """Whether the broker can be connected to; nothing is asked of it."""
        parts = urlsplit(self.settings.url)
        connection = self._poster.connection(parts)
        with self._poster.named(parts.netloc):
            try:
                connection.connect()
            finally:
                connection.close()

    def _upsert(self, found: Sequence[Mapping[str, Any]]) -> None:
        content = [{**entity, "@context": self.settings.context} for entity in found]
        body = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        headers = {"Content-Type": "application/ld+json", "User-Agent": "Aurora-Gateway"}
        if self.settings.tenant:
            headers["NGSILD-Tenant"] = self.settings.tenant
        if self.settings.authorization is not None:
            headers["Authorization"] = header_of(self.settings.authorization)
        status, words, after = self._poster.post(body, headers)
        where = urlsplit(self.settings.url).netloc
        if status == 207:
            _judge_each(where, words)
        judge(where, status, words[:200], after)


def _judge_each(where: str, words: str) -> None:
    """207: some were taken, others not; those are in ``errors`` (5.2.16, 5.2.17). Raises `OutputError`."""
    try:
        errors = json.loads(words)["errors"]
        first = errors[0]
        statuses = [int(error.get("error", {}).get("status", 500)) for error in errors]
        what = f"{first.get('entityId')}: {first.get('error', {}).get('title', 'no reason given')}"
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise OutputError(f"{where} answers 207 without saying what failed", "see the broker's log") from None
    retry = any(status not in FOR_GOOD for status in statuses)
    raise OutputError(f"{where} did not take {len(errors)} entities ({what})", "see what it says", retry=retry)


def alert(notice: Notice) -> dict[str, Any]:
    """An alarm's occurrence as ``Alert``: one entity from its raising to its end."""
    place = f"urn:aurora:{_part(notice.member)}:{_part(notice.gateway)}"
    entity: dict[str, Any] = {
        "id": _id("Alert", notice.member, notice.gateway, notice.alarm, str(notice.occurrence)),
        "type": "Alert",
        "category": _property("health"),
        "severity": _property(SEVERITIES.get(notice.tier, "informational")),
        "alertSource": _property(f"{place}:point:{_part(notice.point)}" if notice.point else place),
        "dataProvider": _property(notice.member),
        "name": _property(notice.name or notice.alarm),
        "description": _property(notice.words or notice.subject or notice.alarm),
        "data": _property(
            {
                "alarm": notice.alarm,
                "rule": notice.rule,
                "state": notice.state,
                "active": notice.active,
                "transition": notice.transition,
                "site": notice.site,
                "unit": notice.unit,
                "key": notice.key,
                **({} if notice.value is None else {"value": notice.value}),
                **({} if notice.limit is None else {"limit": notice.limit}),
                **({"person": notice.person, "text": notice.text} if notice.person else {}),
            }
        ),
    }
    for start, unit, kind in KINDS:
        if notice.rule.startswith(start) and notice.unit == unit:
            entity["subCategory"] = _property(kind)
    if notice.raised_utc_ms is not None:
        entity["dateIssued"] = _moment(notice.raised_utc_ms)
    if notice.since_utc_ms is not None:
        entity["validFrom"] = _moment(notice.since_utc_ms)
    return entity


def entities(readings: Iterable[Reading], member: str, gateway: str) -> list[dict[str, Any]]:
    """Devices and their channels as the newest of these readings left them, each entity once.

    A channel without a value keeps the one that it had, with that one's time, and says its quality. What has no
    known time is left out: a broker would show it as what is so now. Where ``gateway`` is empty the device is named
    with its gateway (``gw-1/room``), as the cluster does.
    """
    found: dict[str, dict[str, Any]] = {}
    for reading in readings:
        if reading.utc_ms is None:
            continue
        box, device = (gateway, reading.device) if gateway else _split(reading.device)
        at = _utc(reading.utc_ms)
        own = _id("Device", member, box, device)
        state = "ok" if reading.answered else "no answer"
        entity = found.setdefault(own, {"id": own, "type": "Device", "category": _property(["sensor"])})
        entity["dataProvider"] = _property(member)
        entity["deviceState"] = _property(state) | {"observedAt": at}
        for value in reading.values:
            name = _id("DeviceMeasurement", member, box, device, value.channel)
            found.setdefault(name, {"id": name, "type": "DeviceMeasurement"}).update(_measured(value, own, at))
    return list(found.values())


def _measured(value: Value, device: str, at: str) -> dict[str, Any]:
    parts: dict[str, Any] = {
        "refDevice": {"type": "Relationship", "object": device},
        "controlledProperty": _property(PROPERTIES.get(value.unit, value.channel)),
        "measurementQuality": _property(value.severity)
        | {"observedAt": at, "reason": _property(value.reason), "unit": _property(value.unit or "1")},
    }
    if value.value is not None:
        number = _property(value.value) | {"observedAt": at}
        if value.unit in CODES:
            number["unitCode"] = CODES[value.unit]
        parts["numValue"] = number
    return parts


def _property(value: object) -> dict[str, Any]:
    return {"type": "Property", "value": value}


def _moment(utc_ms: int) -> dict[str, Any]:
    return _property({"@type": "DateTime", "@value": _utc(utc_ms)})


def _id(kind: str, *parts: str) -> str:
    """A URI as CIM 009 recommends it: urn:ngsi-ld:TYPE:..., our own names percent-encoded."""
    return ":".join(("urn:ngsi-ld", kind, *map(_part, parts)))


def _part(text: str) -> str:
    return quote(text, safe="")


def _split(device: str) -> tuple[str, str]:
    box, slash, name = device.partition("/")
    return (box, name) if slash else ("", device)


def _utc(utc_ms: int) -> str:
    moment = datetime.fromtimestamp(utc_ms // 1000, UTC).replace(microsecond=utc_ms % 1000 * 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
