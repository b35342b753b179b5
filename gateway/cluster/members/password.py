"""What PostgreSQL keeps of a password, made here: the password itself never goes over the line nor to a log.

Source: RFC 5802 (SCRAM), RFC 7677 (with SHA-256); the stored form: PostgreSQL's documentation of pg_authid.
"""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Callable

ROUNDS = 4096
"""Least number of RFC 7677; the passwords made here are random and long, so that guessing does not help."""
SALT = 16
SECRET = 24


def new_password(random: Callable[[int], bytes]) -> str:
    """A password of 192 random bits, in letters, digits, ``-`` and ``_``; ``random`` gives so many bytes."""
    return b64encode(random(SECRET), b"-_").decode()


def verifier(password: str, salt: bytes) -> str:
    """``SCRAM-SHA-256$...`` for an ASCII password (any other would have to be normalised first)."""
    if not password.isascii() or not password.isprintable():
        raise ValueError("the password is not printable ASCII")
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ROUNDS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    first, second, third = (b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${ROUNDS}:{first}${second}:{third}"
