"""The outputs of the tests are known, and have no memory of the test before."""

import logging
from collections.abc import Iterator

import pytest
from notify_tools import Probe, TestingProbe, install


@pytest.fixture(autouse=True)
def fresh_outputs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    install(monkeypatch)
    for part in (Probe.told, Probe.shown, Probe.failure, Probe.threads, TestingProbe.tried):
        part.clear()
    Probe.release.clear()
    yield
    Probe.release.set()
    for name in [name for name in logging.Logger.manager.loggerDict if name.startswith("gateway.output.")]:
        logging.getLogger(name).filters.clear()
