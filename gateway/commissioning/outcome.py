"""What becomes of a comparison: the points of a correction, and the record of it."""

from itertools import pairwise
from typing import Any

from gateway.commissioning.sessions import Session
from gateway.errors import OperatorError

__all__ = ["correction_points", "record_request"]


def correction_points(session: Session) -> list[list[float]]:
    """(indicated, reference) pairs of the readings as found, rising. Raises `OperatorError` where they do not."""
    if not session.found:
        raise OperatorError("there are no readings as found", "take them beside the reference first")
    points = sorted([one.indicated, one.reference] for one in session.found)
    for (low, low_is), (high, high_is) in pairwise(points):
        if low >= high or low_is >= high_is:
            what = f"{low:g} is {low_is:g} and {high:g} is {high_is:g} by the reference: that does not rise"
            raise OperatorError(
                what, "see whether sensor and reference were at the same place, and take them again"
            )
    return points


def record_request(session: Session, person: str, text: str | None) -> dict[str, Any]:
    """The session as a request to record: a calibration where there is a correction, else a verification."""
    corrected = bool(session.points)
    points: dict[float, dict[str, float]] = {}
    for which, kept in (("as_found", session.found), ("as_left", session.left if corrected else [])):
        for one in kept:
            points.setdefault(one.reference, {"reference": one.reference})[which] = one.shown
    figures = "; ".join(
        f"{which} {one.reference:g}: indicated {one.indicated:g}, {one.readings} readings in {one.window_s:g} s, "
        f"spread {one.spread:g}"
        for which, kept in (("found", session.found), ("left", session.left if corrected else []))
        for one in kept
    )
    request: dict[str, Any] = {
        "person": person,
        "source": "page",
        "channel": session.channel,
        "points": [points[reference] for reference in sorted(points)],
        "tolerance": session.tolerance if session.tolerance_source == "stated in this record" else None,
        "reference_instrument": session.reference_instrument,
        "reference_certificate": session.reference_certificate,
        "reference_valid_until": session.reference_valid_until,
        "environment": session.environment,
        "uncertainty": session.uncertainty,
        "photo": None if session.photo is None else session.photo["sha256"],
        "text": _text(session, text, figures),
    }
    if corrected:
        request |= {
            "certificate": session.certificate,
            "valid_until": session.valid_until,
            "laboratory": session.laboratory,
        }
    return {key: value for key, value in request.items() if value is not None}


def _text(session: Session, text: str | None, figures: str) -> str | None:
    """The person's words and the figures. What is wrong and not corrected wants words of the person."""
    wrong = any(abs(one.shown - one.reference) > session.tolerance for one in session.found)
    if session.points:
        figures = f"corrected by the points of {session.certificate}; {figures}"
    elif wrong and not text:
        return None
    return f"{text}\n{figures}" if text else figures
