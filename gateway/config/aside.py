"""Reads a site file in a child process: the checker's library takes 11 MB that a daemon would keep for ever."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

from gateway.errors import AuroraError, ConfigError
from gateway.site import Site

__all__ = ["load_site_aside"]


def load_site_aside(path: Path) -> Callable[[], Site]:
    """Begin to read a site file; the function that is returned waits for the result.

    The caller can import what it needs meanwhile. To be called before there are threads or an event loop. The
    result raises `ConfigError` as `load_site` does.
    """
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        _tell(path, write_end)
    os.close(write_end)

    def result() -> Site:
        with open(read_end, "rb") as pipe:  # noqa: PTH123 - a descriptor, not a path
            answer = pipe.read()
        os.waitpid(child, 0)
        if not answer:
            raise AuroraError(f"{path}: the process that read the site file ended without a word; see its output")
        found = pickle.loads(answer)  # noqa: S301 - from our own child
        if isinstance(found, Site):
            return found
        raise ConfigError(*found)

    return result


def _tell(path: Path, write_end: int) -> None:
    """The child's whole life: read, answer, end without the parent's exit handlers."""
    status = 1
    try:
        from gateway.config.check import load_site

        try:
            answer: object = load_site(path)
        except ConfigError as error:
            answer = (error.source, error.problems)
        with open(write_end, "wb") as pipe:
            pickle.dump(answer, pipe)
        status = 0
    except BaseException:  # noqa: BLE001 - the border of the process: told on standard error, and by the status
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)
