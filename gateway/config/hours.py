"""Stretches of the week as a person writes them: ``mon-fri 06:00-18:00``."""

import re

from gateway.config.quantities import Wrong
from gateway.config.words import did_you_mean
from gateway.profile import Hours

__all__ = ["parse_hours"]

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MIN = 24 * 60
REMEDY = 'write days and times: "mon-fri 06:00-18:00", "sat 22:00-04:00", "06:00-18:00" for every day'
_HOURS = re.compile(r"(?:([a-z]{3})(?:-([a-z]{3}))?\s+)?(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})")


def parse_hours(text: str) -> Hours:
    """``sat 22:00-04:00`` goes past midnight; no days means every day. Raises `Wrong`."""
    match = _HOURS.fullmatch(text.strip().lower())
    if match is None:
        raise Wrong(f"{text!r} is no stretch of the week", REMEDY)
    first, last = match[1], match[2] or match[1]
    for day in (first, last):
        if day is not None and day not in DAYS:
            raise Wrong(f"{day!r} is no day", did_you_mean(day, DAYS))
    begin, end = int(match[3]) * 60 + int(match[4]), int(match[5]) * 60 + int(match[6])
    if begin >= DAY_MIN or end > DAY_MIN or int(match[4]) > 59 or int(match[6]) > 59 or begin == end:
        raise Wrong(f"{text!r} is no stretch of the week", REMEDY)
    if first is None:
        days = frozenset(range(7))
    else:
        start, count = DAYS.index(first), (DAYS.index(last) - DAYS.index(first)) % 7 + 1
        days = frozenset((start + step) % 7 for step in range(count))
    return Hours(days=days, start_min=begin, end_min=end % DAY_MIN)
