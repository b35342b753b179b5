"""New boxes: from what a box says of itself to the signed setup file that makes it a gateway of this cluster."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.cluster.database import Database
from gateway.cluster.enrolment import Enrolment, enrol
from gateway.errors import ConfigError, Problem, SealError
from gateway.seal.cose import PublicKey
from gateway.seal.keys import FileSigner
from gateway.seal.setupfile import ANSWERS, write_setup
from gateway.site import Identity

__all__ = ["Box", "admit", "read_answers", "read_box"]

NEEDED = ("member", "site", "gateway")


@dataclass(frozen=True, slots=True)
class Box:
    """A box before it has a name: its key, which `aurora-gateway setup --identify` wrote."""

    public: PublicKey


def read_box(path: Path) -> Box:
    """Read a box file; raises `ConfigError`."""
    try:
        content = json.loads(path.read_bytes())
        public = PublicKey.from_pem(str(content["public_key_pem"]).encode())
        if content["thumbprint"] != public.thumbprint.hex():
            raise SealError("bad-key", "the thumbprint is not that of the key")
    except OSError as error:
        raise ConfigError(
            str(path), [Problem("file", f"cannot be read ({error.strerror})", "see its name")]
        ) from error
    except (ValueError, TypeError, KeyError, SealError) as error:
        remedy = "use the file that `aurora-gateway setup --identify` wrote"
        raise ConfigError(str(path), [Problem("file", f"is not of a box ({error})", remedy)]) from error
    return Box(public)


def read_answers(path: Path) -> dict[str, str]:
    """Read a TOML file of answers; raises `ConfigError` that names every mistake."""
    try:
        content: Mapping[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            str(path), [Problem("file", f"cannot be read ({error.strerror})", "see its name")]
        ) from error
    except ValueError as error:
        raise ConfigError(str(path), [Problem("file", f"is no TOML ({error})", "mend the line named")]) from error
    known = f"known are {', '.join(sorted(ANSWERS))}"
    wrong = [Problem(name, "is not known", known) for name in content if name not in ANSWERS]
    wrong += [
        Problem(name, "is not a text", "write it in quotes")
        for name, v in content.items()
        if not isinstance(v, str)
    ]
    wrong += [Problem(name, "is missing", f'add {name} = "..."') for name in NEEDED if name not in content]
    if wrong:
        raise ConfigError(str(path), wrong)
    return dict(content)


async def admit(
    database: Database,
    signer: FileSigner,
    box: Box,
    *,
    answers: Mapping[str, str],
    files: Mapping[str, bytes],
    at_ms: int,
) -> bytes:
    """Enrol the box under the names of the answers, and sign its setup file; raises `ConfigError`, `SealError`."""
    member, site, gateway = (answers[name] for name in NEEDED)
    content = write_setup(signer, box=box.public.thumbprint, serial=at_ms, answers=answers, files=files)
    await enrol(database, Enrolment(Identity(member=member, site=site, gateway=gateway), box.public), at_ms)
    return content
