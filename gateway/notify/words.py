"""Notices in five languages: subject, body and a short text, from what is known and nothing else.

A value is written as it is. The sentence of a judge stays in English; what stands around it is in the language of
the output. Times are those of the site's zone, with their offset; a time that is not known is said to be unknown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo

from gateway.api import Notice

__all__ = ["clean", "dressed", "one_line"]

SHORT = 160
LISTED = 20
LONGEST_TEXT = 2000

_EN = {
    "critical": "CRITICAL",
    "alert": "Alert",
    "maintenance": "Maintenance",
    "advisory": "Advice",
    "returned": "back to normal",
    "acknowledged": "acknowledged",
    "confirmed": "corrective action",
    "escalated": "NOT ACKNOWLEDGED",
    "shelved": "shelved",
    "test": "Test",
    "alive": "Sign of life",
    "value": "Value",
    "limit": "limit",
    "since": "since",
    "raised": "Alarm at",
    "unknown": "time not known",
    "level": "escalation level",
    "person": "By",
    "late": "Told late, after {}",
    "late_short": "LATE",
    "more": "and {} more",
    "test_words": "This is a test. Nothing has happened.",
    "alive_words": "The gateway is running. If this message stays away, look after it.",
    "origin": "From",
    "page": "Page",
}
_FR = {
    "critical": "CRITIQUE",
    "alert": "Alerte",
    "maintenance": "Maintenance",
    "advisory": "Conseil",
    "returned": "retour à la normale",
    "acknowledged": "acquittée",
    "confirmed": "action corrective",
    "escalated": "NON ACQUITTÉE",
    "shelved": "mise de côté",
    "test": "Essai",
    "alive": "Signe de vie",
    "value": "Valeur",
    "limit": "limite",
    "since": "depuis",
    "raised": "Alarme à",
    "unknown": "heure inconnue",
    "level": "niveau d'escalade",
    "person": "Par",
    "late": "Annoncé en retard, après {}",
    "late_short": "RETARD",
    "more": "et {} de plus",
    "test_words": "Ceci est un essai. Il ne s'est rien passé.",
    "alive_words": "La passerelle fonctionne. Si ce message n'arrive plus, vérifiez-la.",
    "origin": "De",
    "page": "Page",
}
_NL = {
    "critical": "KRITIEK",
    "alert": "Waarschuwing",
    "maintenance": "Onderhoud",
    "advisory": "Advies",
    "returned": "weer normaal",
    "acknowledged": "bevestigd",
    "confirmed": "corrigerende maatregel",
    "escalated": "NIET BEVESTIGD",
    "shelved": "opzijgezet",
    "test": "Test",
    "alive": "Levensteken",
    "value": "Waarde",
    "limit": "grens",
    "since": "sinds",
    "raised": "Alarm om",
    "unknown": "tijd onbekend",
    "level": "escalatieniveau",
    "person": "Door",
    "late": "Te laat gemeld, na {}",
    "late_short": "TE LAAT",
    "more": "en nog {}",
    "test_words": "Dit is een test. Er is niets gebeurd.",
    "alive_words": "De gateway werkt. Blijft dit bericht uit, kijk hem dan na.",
    "origin": "Van",
    "page": "Pagina",
}
_PL = {
    "critical": "KRYTYCZNY",
    "alert": "Ostrzeżenie",
    "maintenance": "Konserwacja",
    "advisory": "Wskazówka",
    "returned": "powrót do normy",
    "acknowledged": "potwierdzony",
    "confirmed": "działanie korygujące",
    "escalated": "NIEPOTWIERDZONY",
    "shelved": "odłożony",
    "test": "Test",
    "alive": "Znak życia",
    "value": "Wartość",
    "limit": "limit",
    "since": "od",
    "raised": "Alarm o",
    "unknown": "czas nieznany",
    "level": "poziom eskalacji",
    "person": "Przez",
    "late": "Wysłano z opóźnieniem, po {}",
    "late_short": "OPÓŹNIONY",
    "more": "oraz jeszcze {}",
    "test_words": "To jest test. Nic się nie stało.",
    "alive_words": "Bramka działa. Jeśli ta wiadomość przestanie przychodzić, sprawdź ją.",
    "origin": "Od",
    "page": "Strona",
}
_ES = {
    "critical": "CRÍTICO",
    "alert": "Aviso",
    "maintenance": "Mantenimiento",
    "advisory": "Consejo",
    "returned": "vuelta a la normalidad",
    "acknowledged": "reconocida",
    "confirmed": "acción correctiva",
    "escalated": "NO RECONOCIDA",
    "shelved": "aplazada",
    "test": "Prueba",
    "alive": "Señal de vida",
    "value": "Valor",
    "limit": "límite",
    "since": "desde",
    "raised": "Alarma a las",
    "unknown": "hora desconocida",
    "level": "nivel de escalada",
    "person": "Por",
    "late": "Comunicado con retraso, tras {}",
    "late_short": "CON RETRASO",
    "more": "y {} más",
    "test_words": "Esto es una prueba. No ha pasado nada.",
    "alive_words": "La pasarela funciona. Si este mensaje deja de llegar, revísela.",
    "origin": "De",
    "page": "Página",
}
LANGUAGES: Mapping[str, Mapping[str, str]] = {"en": _EN, "fr": _FR, "nl": _NL, "pl": _PL, "es": _ES}
SIGNS = {"degC": "\N{DEGREE SIGN}C", "degF": "\N{DEGREE SIGN}F", "ohm": "\N{GREEK CAPITAL LETTER OMEGA}"}
"""Units of device models as people write them."""
COMMA = {"fr", "nl", "pl", "es"}


def clean(text: str, longest: int = LONGEST_TEXT) -> str:
    """A text of a person or a device as one line without control characters, cut where it is beyond all use."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= longest else line[: longest - 3] + "..."


def dressed(notice: Notice, zone: tzinfo, also: Sequence[Notice] = ()) -> Notice:
    """The notice with its texts, and with ``also`` the others that it stands for."""
    say = LANGUAGES.get(notice.language, _EN)
    lines = tuple(one_line(other, zone) for other in also[:LISTED])
    notice = replace(notice, more=len(also), also=lines)
    headline = _headline(notice, say)
    subject = clean(f"{headline} ({say['more'].format(len(also))})" if also else headline, 200)
    return replace(
        notice,
        subject=subject,
        body="\n".join(_body(notice, say, zone)) + "\n",
        short=_short(notice, say, zone),
    )


def one_line(notice: Notice, zone: tzinfo) -> str:
    """A notice in a list: what, where, how much, since when."""
    say = LANGUAGES.get(notice.language, _EN)
    since = notice.since_utc_ms if notice.since_utc_ms is not None else notice.raised_utc_ms
    return f"{_headline(notice, say)}, {say['since']} {_moment(since, say, zone)}"


def _headline(notice: Notice, say: Mapping[str, str]) -> str:
    if notice.transition in {"test", "alive"}:
        return f"{say[notice.transition]}: {notice.site} {notice.gateway}"
    what = say.get(notice.tier, notice.tier)
    if notice.transition != "raised" and notice.transition in say:
        what = f"{what}, {say[notice.transition]}"
    facts = _facts(notice, say)
    return f"{what}: {_place(notice)}" + (f" {facts}" if facts else "")


def _place(notice: Notice) -> str:
    """The point's name; without one the judge's own sentence says more than an id."""
    return notice.name or notice.words or notice.alarm


def _facts(notice: Notice, say: Mapping[str, str]) -> str:
    parts = []
    if notice.value is not None:
        parts.append(_quantity(notice.value, notice.unit, notice.language))
    if notice.limit is not None:
        parts.append(f"({say['limit']} {_quantity(notice.limit, notice.unit, notice.language)})")
    return " ".join(parts)


def _quantity(value: float, unit: str, language: str) -> str:
    number = f"{value:.10g}"
    if language in COMMA:
        number = number.replace(".", ",")
    return f"{number} {SIGNS.get(unit, unit)}".rstrip()


def _body(notice: Notice, say: Mapping[str, str], zone: tzinfo) -> list[str]:
    lines = [_headline(notice, say)]
    if notice.transition in {"test", "alive"}:
        lines.append(say[f"{notice.transition}_words"])
    if notice.words:
        lines.append(notice.words)
    if notice.alarm:
        lines.append(f"{say['since']}: {_moment(notice.since_utc_ms, say, zone)}")
        lines.append(f"{say['raised']}: {_moment(notice.raised_utc_ms, say, zone)}")
    if notice.escalation:
        lines.append(f"{say['level']}: {notice.escalation}")
    if notice.person or notice.text:
        lines.append(f"{say['person']}: {notice.person} {notice.text}".rstrip())
    if notice.late_s > 0:
        lines.append(say["late"].format(_length(notice.late_s)))
    if notice.more:
        lines += ["", say["more"].format(notice.more) + ":"]
        lines += [f"- {line}" for line in notice.also]
        if notice.more > len(notice.also):
            lines.append(f"- ... ({notice.more - len(notice.also)})")
    lines += ["", f"{say['origin']}: {notice.member}, {notice.site}, {notice.gateway}"]
    if notice.alarm:
        lines.append(f"{notice.alarm} #{notice.occurrence}")
    if notice.link:
        lines.append(f"{say['page']}: {notice.link}")
    return lines


def _short(notice: Notice, say: Mapping[str, str], zone: tzinfo) -> str:
    """At most 160 characters: what does not fit is the end of the sentence or the name, never a number."""
    tail = ""
    if notice.alarm:
        since = notice.since_utc_ms if notice.since_utc_ms is not None else notice.raised_utc_ms
        tail = f", {say['since']} {_moment(since, say, zone)}"
    if notice.more:
        tail += f", {say['more'].format(notice.more)}"
    tail += f" [{notice.site}/{notice.gateway}]"
    head = _headline(notice, say)
    facts = _facts(notice, say)
    if notice.late_s > 0:
        head = f"{say['late_short']} {_length(notice.late_s)}: {head}"
    if len(head) + len(tail) <= SHORT:
        return head + tail
    if facts and head.endswith(facts):
        tail = f" {facts}{tail}"
        head = head[: -len(facts)].rstrip()
    room = max(SHORT - len(tail), 10)
    return (head[: room - 3].rstrip() + "..." if len(head) > room else head) + tail


def _moment(utc_ms: int | None, say: Mapping[str, str], zone: tzinfo) -> str:
    if utc_ms is None:
        return say["unknown"]
    moment = datetime.fromtimestamp(utc_ms / 1000, UTC).astimezone(zone)
    offset = moment.strftime("%z")
    name = "UTC" if offset == "+0000" else f"UTC{offset[:3]}:{offset[3:]}"
    return f"{moment:%Y-%m-%d %H:%M} {name}"


def _length(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} d {minutes // 60 % 24} h"
