"""One site.toml becomes a checked `gateway.site.Site`; every mistake in it is named with its place."""

from typing import TYPE_CHECKING, Any

from gateway.config.aside import load_site_aside

if TYPE_CHECKING:
    from gateway.config.check import check_file, check_site, load_site
    from gateway.config.sample import sample_site
    from gateway.config.summary import explain

__all__ = ["check_file", "check_site", "explain", "load_site", "load_site_aside", "sample_site"]

PLACES = {
    "check_file": "check",
    "check_site": "check",
    "load_site": "check",
    "explain": "summary",
    "sample_site": "sample",
}


def __getattr__(name: str) -> Any:
    """Load the checker when it is asked for: a running daemon is to live without it."""
    if name not in PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"gateway.config.{PLACES[name]}"), name)
