"""One site.toml becomes a checked `gateway.site.Site`; every mistake in it is named with its place."""

from gateway.config.check import check_file, check_site, load_site
from gateway.config.explain import explain
from gateway.config.sample import sample_site

__all__ = ["check_file", "check_site", "explain", "load_site", "sample_site"]
