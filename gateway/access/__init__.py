"""Who may do what on this gateway: people, roles, sessions, tokens, the first code. Knows nothing of HTTP."""

from gateway.access.door import Door
from gateway.access.firstcode import first_code

__all__ = ["Door", "first_code"]
