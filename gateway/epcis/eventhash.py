"""The EPCIS Event Hash ID: one name for an event, whatever its spelling in JSON. Pure functions.

Source: Core Business Vocabulary 2.0 (GS1), section on the EPCIS Event Hash ID; its rules' numbers stand below.
Where the text leaves room, the published test cases of github.com/RalphTro/epcis-event-hash-generator for CBV 2.0
decide (tests/epcis). Only object events are hashed here: the gateway makes no others.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from gateway.epcis.link import canonical_link
from gateway.errors import EpcisError

__all__ = ["CBV_2_0", "Rules", "event_hash", "pre_hash"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What differs between versions: the word ``sensorElementList``, the place of extensions, GS1's vocabulary."""

    version: str
    list_word: bool
    inline: bool
    vocabulary: str


CBV_2_0: Final = Rules("CBV2.0", list_word=False, inline=False, vocabulary="https://ref.gs1.org/voc/")
CBV: Final = "https://ref.gs1.org/cbv/"
URNS: Final = {"bizstep": "BizStep-", "disp": "Disp-", "btt": "BTT-", "sdt": "SDT-", "er": "ER-", "comp": "Comp-"}
IGNORED: Final = frozenset(
    {
        "type",
        "eventID",
        "recordTime",
        "errorDeclaration",
        "certificationInfo",
        "@context",
        "comment",
        "rdfs:comment",
    }
)
TIMES: Final = frozenset({"eventTime", "time", "startTime", "endTime"})
METADATA: Final = (
    "time", "startTime", "endTime", "deviceID", "deviceMetadata", "rawData", "dataProcessingMethod", "bizRules",
)  # fmt: skip
REPORT: Final = (
    "type", "exception", "deviceID", "deviceMetadata", "rawData", "dataProcessingMethod", "time", "microorganism",
    "chemicalSubstance", "value", "component", "stringValue", "booleanValue", "hexBinaryValue", "uriValue",
    "minValue", "maxValue", "meanValue", "sDev", "percRank", "percValue", "uom", "coordinateReferenceSystem",
)  # fmt: skip
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")


def event_hash(event: Mapping[str, Any], context: Sequence[Any] = (), rules: Rules = CBV_2_0) -> str:
    """``ni:///sha-256;...?ver=CBV2.0`` (RFC 6920) of an object event in JSON-LD; raises `EpcisError`.

    ``context`` is the document's ``@context``: the name spaces of extensions are looked up there.
    """
    digest = hashlib.sha256(pre_hash(event, context, rules).encode()).hexdigest()
    return f"ni:///sha-256;{digest}?ver={rules.version}"


def pre_hash(event: Mapping[str, Any], context: Sequence[Any] = (), rules: Rules = CBV_2_0) -> str:
    """The canonical text of an event, from which the hash is made."""
    if event.get("type") != "ObjectEvent":
        raise EpcisError(f"an event of type {event.get('type')!r:.60}", "only object events are hashed here")
    return _Canon(context, rules).text(event)


class _Canon:
    """Writes one event. ``_left`` collects the extensions, which CBV 2.0 has at the end (rules 19 to 21)."""

    def __init__(self, context: Sequence[Any], rules: Rules) -> None:
        self._rules = rules
        self._left: list[str] = []
        self._spaces: dict[str, str] = {}
        for item in context:
            if isinstance(item, Mapping):
                self._spaces |= {str(name): uri for name, uri in item.items() if isinstance(uri, str)}
        self._spaces |= {
            "gs1": rules.vocabulary,
            "cbv": CBV,
            "epcis": "https://ref.gs1.org/epcis/",
            "cbvmda": "urn:epcglobal:cbv:mda",
        }

    def text(self, event: Mapping[str, Any]) -> str:
        """Canonical property order; what is not there adds nothing (rules 1 to 4)."""
        rest = {key: value for key, value in event.items() if key not in IGNORED}
        steps: dict[str, Callable[[Any], str]] = {
            "eventTime": lambda v: f"eventTime={_time(v)}",
            "eventTimeZoneOffset": lambda v: f"eventTimeZoneOffset={v}",
            "epcList": lambda v: _listed("epcList", (f"epc={self._value(epc)}" for epc in v)),
            "quantityList": lambda v: _listed("quantityList", map(self._quantity, v)),
            "action": lambda v: f"action={v}",
            "bizStep": lambda v: f"bizStep={self._term(v, CBV + 'BizStep-')}",
            "disposition": lambda v: f"disposition={self._term(v, CBV + 'Disp-')}",
            "persistentDisposition": self._persistent,
            "readPoint": lambda v: self._place("readPoint", v),
            "bizLocation": lambda v: self._place("bizLocation", v),
            "bizTransactionList": lambda v: self._typed("bizTransaction", v, "BTT-"),
            "sourceList": lambda v: self._typed("source", v, "SDT-"),
            "destinationList": lambda v: self._typed("destination", v, "SDT-"),
            "sensorElementList": self._sensors,
        }
        written = "eventType=ObjectEvent"
        for name, write in steps.items():
            if name in rest:
                try:
                    written += write(rest.pop(name))
                except (TypeError, AttributeError, KeyError) as error:
                    raise EpcisError(f"{name} is not as EPCIS has it ({error!r})", "see EPCIS 2.0") from error
        if (ilmd := rest.pop("ilmd", None)) is not None:
            self._left.append("ilmd" + self._extensions(ilmd))
        self._left += self._extension_texts(rest)
        return written + "".join(sorted(self._left))

    def _quantity(self, element: Mapping[str, Any]) -> str:
        return "quantityElement" + self._fields(element, ("epcClass", "quantity", "uom"))

    def _persistent(self, value: Mapping[str, Any]) -> str:
        text = ""
        for which in ("set", "unset"):
            terms = (f"{which}={self._term(term, CBV + 'Disp-')}" for term in value.get(which, ()))
            text += "".join(sorted(terms))
        return f"persistentDisposition{text}" if text else ""

    def _place(self, name: str, value: Mapping[str, Any]) -> str:
        own = f"{name}id={self._value(value['id'])}"
        return own + self._extended(name, {k: v for k, v in value.items() if k != "id"})

    def _typed(self, name: str, values: Sequence[Mapping[str, Any]], prefix: str) -> str:
        """Rule 13, as the published test cases have it: the type comes first."""
        items = []
        for value in values:
            kind = f"type={self._term(value['type'], CBV + prefix)}" if "type" in value else ""
            items.append(f"{kind}{name}={self._value(value[name])}")
        return _listed(f"{name}List", items)

    def _sensors(self, elements: Sequence[Mapping[str, Any]]) -> str:
        texts = []
        for element in elements:
            left: list[str] = []
            text = ""
            if (metadata := element.get("sensorMetadata")) is not None:
                text = self._part("sensorMetadata", metadata, METADATA, left)
            text += "".join(
                sorted(self._part("sensorReport", report, REPORT, left) for report in element["sensorReport"])
            )
            own = self._extension_texts(
                {k: v for k, v in element.items() if k not in {"sensorMetadata", "sensorReport"}}
            )
            if self._rules.inline:
                text += "".join(sorted(own))
            elif own or left:
                self._left.append("sensorElement" + "".join(sorted([*left, *own])))
            texts.append(f"sensorElement{text}")
        return _listed("sensorElementList" if self._rules.list_word else "", texts)

    def _part(self, name: str, value: Mapping[str, Any], order: Sequence[str], left: list[str]) -> str:
        text = self._fields(value, order)
        extensions = self._extensions({k: v for k, v in value.items() if k not in order})
        if extensions and not self._rules.inline:
            left.append(name + extensions)
            extensions = ""
        return f"{name}{text}{extensions}" if text or extensions else ""

    def _fields(self, value: Mapping[str, Any], order: Sequence[str]) -> str:
        text = ""
        for name in order:
            if name not in value:
                continue
            item = value[name]
            if name in TIMES:
                canonical = _time(item)
            elif name in {"type", "exception"}:
                canonical = self._term(item, self._rules.vocabulary)
            elif name == "component":
                canonical = self._term(item, f"{CBV}Comp-")
            else:
                canonical = self._value(item)
            text += f"{name}={canonical}"
        return text

    def _extended(self, name: str, extensions: Mapping[str, Any]) -> str:
        text = self._extensions(extensions)
        if text and not self._rules.inline:
            self._left.append(name + text)
            return ""
        return text

    def _extensions(self, value: Mapping[str, Any]) -> str:
        return "".join(sorted(self._extension_texts(value)))

    def _extension_texts(self, value: Mapping[str, Any]) -> list[str]:
        """Rule 20: full name in braces, then value or children, one text an element."""
        texts = []
        for key, content in value.items():
            prefix, colon, local = key.partition(":")
            if not colon or prefix not in self._spaces:
                raise EpcisError(
                    f"{key!r:.80} is no field of EPCIS", "give an extension a prefix from the @context"
                )
            name = f"{{{self._spaces[prefix]}}}{local}"
            for item in content if isinstance(content, list) else [content]:
                inner = self._extensions(item) if isinstance(item, Mapping) else f"={self._value(item)}"
                texts.append(name + inner)
        return texts

    def _term(self, value: str, prefix: str) -> str:
        """A word of the vocabulary as its full URI (rules 14 to 16)."""
        text = value.strip()
        if ":" not in text:
            return prefix + text
        if (match := re.fullmatch(r"urn:epcglobal:cbv:([a-z]+):(.+)", text)) is not None and match[1] in URNS:
            return CBV + URNS[match[1]] + match[2]
        return self._expanded(text)

    def _expanded(self, text: str) -> str:
        prefix, colon, local = text.partition(":")
        if colon and prefix in {"gs1", "cbv", "epcis"}:
            return self._spaces[prefix] + local
        return text

    def _value(self, value: object) -> str:
        """One value (rules 5 to 7, 15, 17, 18)."""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float | Decimal):
            return _number(repr(value) if isinstance(value, float) else str(value))
        if not isinstance(value, str):
            raise EpcisError(f"{value!r:.60} is no plain value", "see EPCIS 2.0")
        text = value.strip()
        if _NUMBER.fullmatch(text):
            return _number(text)
        return canonical_link(self._expanded(text))


def _listed(name: str, items: Iterable[str]) -> str:
    """Rule 11: sorted by code points; an empty list does not stand there."""
    texts = sorted(item for item in items if item)
    return name + "".join(texts) if texts else ""


def _number(text: str) -> str:
    """Rule 6: no trailing zeros, no exponent."""
    number = Decimal(text)
    if not number.is_finite():
        raise EpcisError(f"{text} is no quantity", "leave it out")
    plain = format(number.normalize(), "f")
    return "0" if plain in {"-0", "0"} else plain


def _time(value: str) -> str:
    """Rules 8 and 9: UTC, milliseconds; finer ones are rounded (a half upwards, as the published cases have it)."""
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError as error:
        raise EpcisError(f"{value!r:.60} is no time", "write it by ISO 8601 with its offset") from error
    if moment.tzinfo is None:
        raise EpcisError(f"{value!r:.60} has no offset from UTC", "write it by ISO 8601 with its offset")
    rounded = moment.astimezone(UTC) + timedelta(microseconds=500)
    return rounded.isoformat(timespec="milliseconds").replace("+00:00", "Z")
