"""The picture in words, for those who do not see it."""

from collections.abc import Sequence

from gateway.chart.content import Chart, Limit
from gateway.chart.envelope import Run
from gateway.language import Language

__all__ = ["describe"]


def describe(chart: Chart, limits: Sequence[Limit], found: Sequence[Run], language: Language) -> str:
    """Period, lowest and highest value, limits, gaps and alarms, in sentences."""
    parts = [
        language(
            "From {start} to {end}.",
            start=language.moment(chart.start_ms, chart.zone, seconds=False),
            end=language.moment(chart.end_ms, chart.zone, seconds=False),
        )
    ]
    if found:
        own = [value for run in found for value in _ends(chart, run)]
        parts.append(
            language(
                "Lowest {low}, highest {high}.",
                low=language.quantity(min(own), chart.decimals, chart.unit),
                high=language.quantity(max(own), chart.decimals, chart.unit),
            )
        )
    else:
        parts.append(language("No values in this period."))
    parts += [f"{label}." for label in dict.fromkeys(limit.label for limit in limits)]
    gaps = [gap for gap in chart.gaps if gap.end_ms > chart.start_ms and gap.start_ms < chart.end_ms]
    if gaps:
        missing_ms = sum(min(gap.end_ms, chart.end_ms) - max(gap.start_ms, chart.start_ms) for gap in gaps)
        parts.append(
            language.many(
                "{n} gap without data, {time} long.",
                "{n} gaps without data, {time} together.",
                len(gaps),
                time=language.duration(missing_ms),
            )
        )
    alarms = sum(
        span.kind != "bar"
        and span.start_ms < chart.end_ms
        and (span.end_ms is None or span.end_ms > chart.start_ms)
        for span in chart.spans
    )
    if alarms:
        parts.append(language.many("{n} alarm.", "{n} alarms.", alarms))
    if any(run.uncertain for run in found):
        parts.append(language("Some values are uncertain."))
    return " ".join(parts)


def _ends(chart: Chart, run: Run) -> tuple[float, float]:
    here = chart.series.values[run.first : run.last]
    return min(here), max(here)
