"""What is wrong with a gateway as far as the cluster sees: a bit for each reason, computed in SQL, told in words.

Thresholds are parameters of the query, so that a test can move them; these are the ones that hold.
"""

from enum import IntFlag
from typing import Final

from gateway.language import N_

__all__ = [
    "AHEAD_MS",
    "CERTIFICATE_MS",
    "COVERAGE",
    "DUE_MS",
    "HOLE_MS",
    "RED",
    "REFUSED_MS",
    "SILENT_MS",
    "VISIT",
    "WORDS",
    "Mark",
    "reasons",
]

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
SILENT_MS: Final = 30 * MINUTE_MS
"""A gateway delivers at least every minute; one that is silent for so long is off, or its line is."""
HOLE_MS: Final = DAY_MS
"""A hole that is older does not close by catching up."""
REFUSED_MS: Final = 7 * DAY_MS
"""So long a refused message marks its gateway."""
AHEAD_MS: Final = 1000
"""A clock that is ahead by more than this beyond its own claim is wrong."""
COVERAGE: Final = 95
"""Percent of the values due in a day; with fewer a sensor or its way is bad."""
DUE_MS: Final = 30 * DAY_MS
"""A calibration that ends within this time has to be planned."""
CERTIFICATE_MS: Final = 14 * DAY_MS


class Mark(IntFlag):
    """One bit a reason."""

    FORK = 1
    REFUSED = 2
    SILENT = 4
    NEVER = 8
    HOLE = 16
    CLOCK = 32
    AHEAD = 64
    COVERAGE = 128
    CALIBRATION = 256
    EXPIRED = 512
    UPKEEP = 1024
    UNREADABLE = 2048
    CERTIFICATE = 4096
    CUT_OFF = 8192


RED: Final = Mark.FORK | Mark.REFUSED
"""The evidence itself is in doubt."""
VISIT: Final = (
    Mark.FORK
    | Mark.SILENT
    | Mark.HOLE
    | Mark.CLOCK
    | Mark.AHEAD
    | Mark.COVERAGE
    | Mark.CALIBRATION
    | Mark.EXPIRED
    | Mark.UPKEEP
    | Mark.CERTIFICATE
)
"""Somebody has to go there, or has to be sent."""
WORDS: Final = {
    Mark.FORK: N_("Two signed histories: a copied card, a restored image or a stolen key"),
    Mark.REFUSED: N_("Messages under its name were refused"),
    Mark.SILENT: N_("Nothing has come for a while: box or line is down"),
    Mark.NEVER: N_("Nothing has come yet"),
    Mark.HOLE: N_("Batches are missing for more than a day"),
    Mark.CLOCK: N_("Its clock is not to be trusted"),
    Mark.AHEAD: N_("Its clock is ahead of the cluster's"),
    Mark.COVERAGE: N_("Too few of the values that were due have come"),
    Mark.CALIBRATION: N_("A calibration ends within 30 days"),
    Mark.EXPIRED: N_("A calibration has run out"),
    Mark.UPKEEP: N_("A maintenance alarm is open"),
    Mark.UNREADABLE: N_("Signed batches that cannot be read"),
    Mark.CERTIFICATE: N_("Its certificate runs out within 14 days"),
    Mark.CUT_OFF: N_("It was cut off"),
}


def reasons(marks: int) -> list[str]:
    """The reasons in words, gravest first; each a msgid of the catalogues."""
    return [words for mark, words in WORDS.items() if marks & mark]
