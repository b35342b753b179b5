"""Write ``refrigeration_steps.pxi`` from the readable twin, so that the two cannot drift apart.

    python -m gateway_core.translate

The twin keeps to what both languages say alike: functions of doubles on one record. Only signatures, casts to int
and declarations differ. A test compares the file with what this gives, another one compares the results.
"""

import re
from pathlib import Path

from gateway_core import refrigeration_state
from gateway_core.refrigeration_state import FIELDS, RING

__all__ = ["TARGET", "translated"]

HERE = Path(__file__).parent
PARTS = ("base", "defrosts", "events", "turns", "blocks", "steps")
"""Files of the twin, each using those before it."""
TARGET = HERE / "refrigeration_steps.pxi"

TYPES = {
    "Channel": "Channel *",
    "Kind": "const Kind *",
    "Notices": "Notices *",
    "float": "double ",
    "bool": "bint ",
    "int": "int ",
    "None": "void ",
}
INLINE = {"absolute", "larger", "smaller", "within", "width", "margin", "reversal", "active"}
HEAD = '''# cython: language_level=3
"""Written by ``python -m gateway_core.translate`` from refrigeration_base.py to _steps.py; change those."""

from libc.math cimport NAN

cdef extern from *:
    """
{defines}
    """
{names}

cdef struct Kind:
    double room
    double bucket
    double block
    double floor

cdef struct Channel:
{fields}
    double ring[{ring}]
    unsigned int active
    int index
'''


def translated() -> str:
    """The text that belongs into `TARGET`."""
    wanted: set[str] = set()
    body = ""
    for part in PARTS:
        source = (HERE / f"refrigeration_{part}.py").read_text(encoding="utf-8")
        start = re.search(r"^__all__ = \[[^]]*\]\n", source, flags=re.M)
        assert start is not None
        wanted.update(re.findall(r"\b[A-Z][A-Z_]+\b", source[start.end() :]))
        body += source[start.end() :]
    constants = {
        name: value
        for name in sorted(wanted - {"NAN"})
        if isinstance(value := getattr(refrigeration_state, name, None), float)
    }
    head = HEAD.format(
        defines="\n".join(f"    #define R_{name} {value!r}" for name, value in constants.items()),
        names="\n".join(f'    double {name} "R_{name}"' for name in constants),
        fields="\n".join(f"    double {name}" for name in FIELDS),
        ring=RING,
    )
    body = re.sub(r"^def (\w+)\(([^)]*)\) -> (\w+):$", _signature, body, flags=re.M | re.S)
    body = re.sub(r"\bint\((code|s\.\w+)\)", r"<int>\1", body).replace("  # fmt: skip", "")
    return head + PUT + body.replace("range(12):", f"range({RING}):")


PUT = """
cdef struct Notices:
    double *rows
    Py_ssize_t count
    Py_ssize_t room
    Py_ssize_t lost

cdef enum:
    ROW = 12
    MOST = 65536

cdef void put(
    Notices *o, Channel *s, double code, double state, double at,
    double a, double b, double c, double d, double e, double f, double g, double h,
) noexcept nogil:
    cdef double *row
    cdef Py_ssize_t room
    if o.count == o.room:
        room = 2 * o.room if o.room else 64
        row = <double *>realloc(o.rows, room * ROW * sizeof(double)) if o.count < MOST else NULL
        if row == NULL:
            o.lost += 1
            return
        o.rows = row
        o.room = room
    row = o.rows + o.count * ROW
    o.count += 1
    row[0] = s.index
    row[1] = code
    row[2] = state
    row[3] = at
    row[4] = a
    row[5] = b
    row[6] = c
    row[7] = d
    row[8] = e
    row[9] = f
    row[10] = g
    row[11] = h
"""


def _signature(match: "re.Match[str]") -> str:
    name, arguments, result = match.groups()
    typed = []
    for argument in arguments.split(","):
        if argument.strip():
            what, kind = (part.strip() for part in argument.split(":"))
            typed.append(TYPES[kind] + what)
    inline = "inline " if name in INLINE else ""
    return f"cdef {inline}{TYPES[result]}{name}({', '.join(typed)}) noexcept nogil:"


def _local(match: "re.Match[str]") -> str:
    return f"    cdef {TYPES[match[2]]}{match[1]} = "


if __name__ == "__main__":
    TARGET.write_text(translated(), encoding="utf-8")
