"""The code on the label, with which the first administrator of a new gateway makes themselves known.

There is no default password: until somebody has used this code nobody can sign in, and it is good for nothing
else.
"""

import os
from pathlib import Path

from gateway.access.secrets import CODE_LETTERS, new_code
from gateway.errors import AuroraError

__all__ = ["CODE_FILE", "first_code", "forget_first_code", "kept_code"]

CODE_FILE = "first-code.txt"


def first_code(data_dir: Path) -> str:
    """The code of this gateway; made at the first call and kept in ``first-code.txt``, for its owner's eyes alone.

    Raises `AuroraError` where the file can be neither read nor written.
    """
    kept = kept_code(data_dir)
    if kept is not None:
        return kept
    code, path = new_code(), data_dir / CODE_FILE
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{code}\n")
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        raise AuroraError(
            f"{path} cannot be written ({error.strerror}); make its folder the gateway's own"
        ) from error
    return code


def kept_code(data_dir: Path) -> str | None:
    """The code that was made before; None where there is none, or nothing that could be one."""
    try:
        code = (data_dir / CODE_FILE).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    letters = code.replace("-", "")
    return code if len(letters) == 8 and set(letters) <= set(CODE_LETTERS) else None


def forget_first_code(data_dir: Path) -> None:
    """It has been used."""
    (data_dir / CODE_FILE).unlink(missing_ok=True)
