"""Durations, sizes and addresses as people write them. Every function raises `Wrong` in words for a person."""

import re
from typing import NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = [
    "Broker",
    "Listen",
    "Wrong",
    "parse_broker",
    "parse_duration_s",
    "parse_listen",
    "parse_size",
    "parse_time_zone",
]


class Wrong(ValueError):  # noqa: N818 - named for what is said to the person
    """What is wrong with a value, and what would be right."""

    def __init__(self, what: str, remedy: str) -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}; {remedy}")


class Listen(NamedTuple):
    """Address to serve on."""

    host: str
    port: int


class Broker(NamedTuple):
    """Where the cluster's MQTT broker is, and whether TLS is spoken to it."""

    tls: bool
    host: str
    port: int


_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*(ms|s|min|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
_SIZE = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)")
_BYTES = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BYTES |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_PORTS = {"mqtt": 1883, "mqtts": 8883}


def parse_duration_s(text: str) -> float:
    """Seconds of ``500ms``, ``10s``, ``1.5 min``, ``1h``."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise Wrong(f"{text!r} is not a duration", 'write a number and a unit: "500ms", "10s", "5min", "1h"')
    return round(float(match[1]) * _SECONDS[match[2]], 9)


def parse_size(text: str) -> int:
    """Bytes of ``500 MB``, ``4 GB``, ``2 GiB``."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise Wrong(f"{text!r} is not a size", 'write a number and a unit: "500 MB", "4 GB"')
    return round(float(match[1]) * _BYTES[match[2]])


def parse_time_zone(text: str) -> str:
    """The IANA name of a time zone that this machine knows."""
    try:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_+/-]{0,63}", text):
            raise ValueError
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Wrong(f"{text!r} is not a time zone", 'write an IANA name: "Europe/Paris"') from error
    return text


def parse_listen(text: str) -> Listen:
    """``127.0.0.1:8080`` or ``[::1]:8080``."""
    host, port = _host_and_port(f"//{text}", 'write an address and a port: "127.0.0.1:8080"')
    if port is None:
        raise Wrong(f"{text!r} has no port", 'write an address and a port: "127.0.0.1:8080"')
    return Listen(host, port)


def parse_broker(text: str) -> Broker:
    """``mqtts://broker.example:8883``; the port may be left out."""
    remedy = 'write scheme, name and port: "mqtts://broker.example:8883"'
    scheme, found, _ = text.partition("://")
    if not found:
        raise Wrong(f"{text!r} has no scheme", remedy)
    if scheme not in _PORTS:
        raise Wrong(
            f"{scheme!r} is not a way to reach an MQTT broker", "use mqtts:// (TLS), or mqtt:// without TLS"
        )
    host, port = _host_and_port(text, remedy)
    return Broker(scheme == "mqtts", host, port or _PORTS[scheme])


def _host_and_port(text: str, remedy: str) -> tuple[str, int | None]:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise Wrong(f"{text.removeprefix('//')!r} is not an address with a port of 1 to 65535", remedy) from None
    rest = parts.path.strip("/") or parts.query or parts.fragment or parts.username
    if not host or rest or port == 0 or re.search(r"[\s,;]", host):
        raise Wrong(f"{text.removeprefix('//')!r} is not an address", remedy)
    return host, port
