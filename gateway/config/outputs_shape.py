"""The shapes of [[output]], [[notify]] and [notices].

The settings of an output are a dataclass of its plugin. Here it becomes a pydantic model, which is checked as
strictly as every other table; a running daemon, which has no pydantic, makes the dataclass itself from the result.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_type_hints
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, InstanceOf, create_model
from pydantic import Field as Shape
from pydantic_core import PydanticCustomError

from gateway.api import Mistake, Output, PluginError, Secret
from gateway.config.hours import parse_hours
from gateway.config.quantities import Wrong, parse_duration_s
from gateway.config.shape import Identifier, Table, Text, _said
from gateway.profile import Hours

__all__ = ["NoticesTable", "NotifyTable", "OutputTable", "output_shape", "own_settings", "plugin_shape"]

Base = TypeVar("Base", bound=Table)


def _link(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or re.search(r"\s", text):
        raise Wrong(f"{text!r} is no address of a page", 'write it whole: "http://gateway.local:8080/"')
    return text


def _with_unit(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise _custom(f"{value} has no unit", f'write it in quotes with its unit: "{value:g}s", "{value:g}min"')
    return value


Duration = Annotated[float, _said(parse_duration_s), BeforeValidator(_with_unit)]


class OutputTable(Table):
    """What all outputs have; a plugin's own settings come on top."""

    id: Identifier = Shape(examples=["mail"])
    type: Text = Shape(examples=["email"])
    to: list[Text] = Shape(default_factory=list, max_length=50, examples=[["quality@dairy.example"]])
    language: Literal["en", "fr", "nl", "pl", "es"] = Shape("en", examples=["en"])
    timeout: Annotated[Duration, Shape(ge=1, le=110)] | None = Shape(None, examples=["30s"])
    limit: int = Shape(20, ge=1, le=100_000, examples=[20])
    per: Annotated[Duration, Shape(ge=1, le=86400)] = Shape(3600.0, examples=["1h"])
    late: Annotated[Duration, Shape(ge=1, le=86400)] = Shape(600.0, examples=["10min"])
    give_up: Annotated[Duration, Shape(ge=60, le=2_592_000)] = Shape(259_200.0, examples=["72h"])
    alive: Annotated[Duration, Shape(ge=10, le=2_592_000)] | None = Shape(None, examples=["24h"])


class NotifyTable(Table):
    """One rule: who is told of what."""

    output: Text = Shape(examples=["mail"])
    tiers: list[Text] = Shape(default_factory=lambda: ["critical", "alert"], min_length=1, examples=[["critical"]])
    transitions: list[Text] = Shape(
        default_factory=lambda: ["raised", "returned", "escalated"], min_length=1, examples=[["raised"]]
    )
    points: list[Text] = Shape(default_factory=list, max_length=1000, examples=[["cold-room-1"]])
    to: list[Text] = Shape(default_factory=list, max_length=50, examples=[["manager@dairy.example"]])
    level: int = Shape(0, ge=0, le=100, examples=[1])
    delay: Annotated[Duration, Shape(ge=0, le=86400)] = Shape(0.0, examples=["5min"])
    times: list[Annotated[InstanceOf[Hours], _said(parse_hours)]] = Shape(
        default_factory=list, max_length=50, examples=[["mon-fri 07:00-18:00"]]
    )


class NoticesTable(Table):
    """What all notices share."""

    link: Annotated[Text, _said(_link)] | None = Shape(None, examples=["http://gateway.local:8080/"])
    unreachable: Annotated[Duration, Shape(ge=60, le=604_800)] = Shape(1800.0, examples=["30min"])


def output_shape(plugin: type[Output]) -> type[OutputTable]:
    """The table of one kind of output: what all have, and the plugin's settings. Raises `PluginError`."""
    return plugin_shape(plugin, plugin.Settings, OutputTable)


def plugin_shape(plugin: type, wanted: Any, base: type[Base]) -> type[Base]:
    """The table of a plugin: what all of its kind have (``base``), and its settings. Raises `PluginError`."""
    try:
        hints = get_type_hints(wanted)
        parts: dict[str, Any] = {part.name: _part(part, hints[part.name]) for part in fields(wanted)}
        if taken := sorted(parts.keys() & base.model_fields.keys()):
            raise PluginError(
                f"its settings {', '.join(taken)} are names that every {_kind(base)} has", "rename them"
            )
        model = create_model(f"{plugin.__name__}Table", __base__=base, **parts)
        model.model_rebuild()
    except PluginError:
        raise
    except Exception as error:
        raise PluginError(
            f"the settings of {plugin.__module__}.{plugin.__name__} are no dataclass that can be checked"
            f" ({type(error).__name__}: {error})",
            "see docs/plugins.md, or ask its maker",
        ) from error
    return model


def _part(part: "Field[Any]", hint: Any) -> tuple[Any, Any]:
    said: Mapping[str, Any] = part.metadata
    extra: list[Any] = []
    bounds = {"least": said.get("least"), "most": said.get("most")}
    if any(limit is not None for limit in bounds.values()):
        extra.append(_bounds(hint, bounds))
    if (check := said.get("check")) is not None:
        extra.append(AfterValidator(_checked(check)))
    if Secret in _members(hint):
        hint = Annotated[InstanceOf[Secret] | None if type(None) in _members(hint) else InstanceOf[Secret], _SECRET]
    elif Path in _members(hint):
        hint = Annotated[hint, BeforeValidator(lambda value: Path(value) if isinstance(value, str) else value)]
    for one in extra:
        hint = Annotated[hint, one]
    if part.default_factory is not MISSING:
        return hint, Shape(default_factory=part.default_factory, examples=[said.get("example")])
    default = ... if part.default is MISSING else part.default
    return hint, Shape(default, examples=[said.get("example")])


def _members(hint: Any) -> tuple[Any, ...]:
    return getattr(hint, "__args__", None) or (hint,)


def _bounds(hint: Any, bounds: Mapping[str, float | None]) -> Any:
    least, most = bounds["least"], bounds["most"]
    if int in _members(hint) or float in _members(hint):
        return Shape(ge=least, le=most)
    whole = [None if limit is None else int(limit) for limit in (least, most)]
    return Shape(min_length=whole[0], max_length=whole[1])


def _checked(check: Callable[[Any], None]) -> Callable[[Any], Any]:
    def validate(value: Any) -> Any:
        try:
            check(value)
        except Mistake as mistake:
            raise _custom(mistake.what, mistake.remedy) from mistake
        return value

    return validate


def _custom(what: str, remedy: str) -> PydanticCustomError:
    return PydanticCustomError("said", "{what}", {"what": what, "remedy": remedy})


def _secret(value: Any) -> Any:
    remedy = 'write where it lies: { file = "secret.txt" }, or { credential = "NAME" } for one of systemd'
    if isinstance(value, str):
        raise _custom("a secret does not belong in the site file", remedy)
    if isinstance(value, dict):
        given = [(key, text) for key, text in value.items() if isinstance(text, str) and text]
        if len(value) != 1 or len(given) != 1 or given[0][0] not in {"file", "credential"}:
            raise _custom("does not say where the secret lies", remedy)
        key, text = given[0]
        if key == "file":
            return Secret(file=Path(text))
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text):
            raise _custom(f"{text!r} is not the name of a credential", "use letters, digits, . - and _")
        return Secret(credential=text)
    if value is None or isinstance(value, Secret):
        return value
    raise _custom("does not say where the secret lies", remedy)


_SECRET = BeforeValidator(_secret)


def _kind(base: type[Table]) -> str:
    return base.__name__.removesuffix("Table").lower()


def own_settings(table: Table, base: type[Table] = OutputTable) -> dict[str, Any]:
    """The plugin's own settings out of a checked table."""
    own = [name for name in type(table).model_fields if name not in base.model_fields]
    return {name: getattr(table, name) for name in own}
