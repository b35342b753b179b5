"""What of the fleet somebody may see. Every query of the page takes one."""

from typing import NamedTuple

__all__ = ["ALL", "NOTHING", "Scope"]


class Scope(NamedTuple):
    """One member by its id, or all of them (None)."""

    member: int | None

    def condition(self, column: str, place: int) -> str:
        """The condition for ``column`` with the member as value ``$place``: it is there in any case."""
        return f"(CAST(${place} AS bigint) IS NULL OR {column} = ${place})"


ALL = Scope(None)
NOTHING = Scope(-1)
"""For somebody bound to a member that there is not: no row has this member."""
