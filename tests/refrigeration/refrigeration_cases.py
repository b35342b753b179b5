"""Feeding the bank in tests: whole series in one call, findings and labels apart."""

import dataclasses
from array import array
from typing import Any

from gateway_core.refrigeration import Bank, Finding, Label

from gateway.demo.months import KINDS, Fault, Life, Month, simulate

DAY_S = 86400.0


def feed(bank: Bank, t_s: "array[float]", x: "array[float]", channel: int = 0) -> bytes:
    """The flags of all samples."""
    flags = array("B", bytes(len(t_s)))
    bank.update_many(array("i", [channel]) * len(t_s), t_s, x, array("B", b"\1" * len(t_s)), flags)
    return flags.tobytes()


def live(kind: str, *, days: float, seed: int, period_s: float, fault: Fault | None = None, **life: Any) -> Month:
    spec, usual = KINDS[kind]
    lived: Life = dataclasses.replace(usual, **life)
    return simulate(spec, lived, days=days, seed=seed, period_s=period_s, fault=fault)


def judged(month: Month, kind: str = "room") -> tuple[list[Label], list[Finding], Bank]:
    """Labels, findings that began, and the bank afterwards."""
    bank = Bank([kind])
    feed(bank, month.t_s, month.x)
    taken = bank.take()
    labels = [notice for notice in taken if isinstance(notice, Label)]
    findings = [notice for notice in taken if isinstance(notice, Finding) and notice.active]
    return labels, findings, bank
