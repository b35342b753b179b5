"""What people ask for, checked: a name, a text, a length of time. `OperatorError` for what cannot be used."""

from gateway.assess.entry import Hold
from gateway.assess.sentences import duration
from gateway.errors import OperatorError
from gateway.language import no_text

__all__ = ["LOOK", "hold_for", "named", "written_text"]

LONGEST_NAME = 200
LONGEST_TEXT = 2000

LOOK = "see the list of alarms"


def named(person: str) -> str:
    """The name of who does something."""
    name = person.strip() if isinstance(person, str) else ""
    if not name or len(name) > LONGEST_NAME:
        raise OperatorError("no person is named", "say who does it: the record needs a name")
    _readable(name, lines=False)
    return name


def written_text(text: str, what: str = "", remedy: str = "") -> str:
    """A text; one that must not be empty where ``what`` says what it is."""
    written = text.strip() if isinstance(text, str) else ""
    if what and not written:
        raise OperatorError(f"{what} is missing", remedy)
    if len(written) > LONGEST_TEXT:
        raise OperatorError(f"the text is longer than {LONGEST_TEXT} characters", "keep to the essential")
    _readable(written, lines=True)
    return written


def _readable(text: str, *, lines: bool) -> None:
    """What stands in the signed record reads as it is stored."""
    wrong = no_text(text, lines=lines)
    if wrong is not None:
        raise OperatorError(f"the text holds U+{ord(wrong):04X}, which is no text", "type it again")


def hold_for(at_ms: int, for_s: float, longest_s: float) -> Hold:
    """Something that lasts for ``for_s`` seconds, at most ``longest_s``."""
    if not 0 < for_s <= longest_s:  # nan is refused as well
        what = f"{for_s:g} s is not a time for which it can be held back"
        raise OperatorError(what, f"give a time above 0 and up to {duration(longest_s * 1000)}")
    return Hold(at_ms, round(for_s * 1000))
