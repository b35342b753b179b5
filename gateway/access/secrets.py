"""Secrets as they are kept: never themselves, only what they can be checked against.

Passwords and PINs: scrypt (RFC 7914) with N = 2^14, r = 8, p = 5, one of the least settings of OWASP's password
storage cheat sheet; it takes 16 MiB for a moment, which a gateway with 60 MB can bear. Tokens and session ids are
256 random bits, for which one SHA-256 is enough.
"""

import base64
import hashlib
import hmac
import secrets

__all__ = ["CODE_LETTERS", "check_secret", "fingerprint", "hash_secret", "new_code", "new_token", "tidy_code"]

N, R, P = 1 << 14, 8, 5
MEMORY = 64 << 20
"""More than scrypt takes here (128 * N * r bytes); the library refuses beyond its limit."""
SALT_BYTES = 16
CODE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""32 letters without those that are taken for one another (I and 1, O and 0): five bits each."""
CODE_LENGTH = 8


def hash_secret(secret: str) -> str:
    """What is kept of a password: parameters, salt and hash in one line. Takes about 0.2 s: not on the loop."""
    salt = secrets.token_bytes(SALT_BYTES)
    key = _scrypt(secret, salt, N, R, P)
    return "$".join(("scrypt", str(N), str(R), str(P), _text(salt), _text(key)))


def check_secret(secret: str, kept: str) -> bool:
    """Whether a password is the one that ``kept`` was made of; false for a line that cannot be read."""
    try:
        name, n, r, p, salt, key = kept.split("$")
        if name != "scrypt":
            return False
        return hmac.compare_digest(
            _scrypt(secret, base64.b64decode(salt), int(n), int(r), int(p)), base64.b64decode(key)
        )
    except ValueError:
        return False


def _scrypt(secret: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(secret.encode(), salt=salt, n=n, r=r, p=p, maxmem=MEMORY, dklen=32)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def new_token() -> str:
    """256 random bits for a cookie or a header."""
    return secrets.token_urlsafe(32)


def fingerprint(token: str) -> str:
    """Under which a token is kept and found again."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_code() -> str:
    """A code for a label: eight letters in two groups, 40 bits."""
    letters = "".join(secrets.choice(CODE_LETTERS) for _ in range(CODE_LENGTH))
    return f"{letters[:4]}-{letters[4:]}"


def tidy_code(typed: str) -> str:
    """A code as somebody typed it, as `new_code` writes it: case, spaces and dashes do not matter."""
    letters = "".join(letter for letter in typed.upper() if letter.isalnum())
    return f"{letters[:4]}-{letters[4:]}"
