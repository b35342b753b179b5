"""Reports of plugins: another form for what the gateway reports. Part of the border to plugins: `gateway.api`.

A report runs in a process of its own, started by ``aurora-gateway report``, with a limit of time and memory. The
daemon is not concerned.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

__all__ = ["REPORTS", "Report"]

REPORTS = "aurora_gateway.reports"
"""Entry points of this group are forms of reports; the name is what ``--format`` says."""


class Report:
    """Base of all reports."""

    title: ClassVar[str] = ""
    """A few words for lists."""
    kinds: ClassVar[tuple[str, ...]] = ("day", "month", "lot", "calibration")
    """Which reports it can write."""

    def make(self, kind: str, data: Mapping[str, Any], language: str) -> bytes:
        """The report as a file. ``data`` is what ``--format json`` writes, ``language`` is en, fr, nl, pl or es."""
        raise NotImplementedError
