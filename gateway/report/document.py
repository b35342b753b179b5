"""The HACCP record of a point in words."""

from collections.abc import Iterator, Sequence

from gateway.language import Language
from gateway.report.content import Block, Document, Facts, Heading, Paragraph, Signatures, Table
from gateway.report.haccp import HaccpRecord
from gateway.report.names import ALARM_STEPS, RULES, STATES, STEPS_OF_PEOPLE, TIERS, named
from gateway.report.parts import calibration_part, place_part
from gateway.report.period import Period
from gateway.report.picture import limit_words, picture_of
from gateway.report.proofparts import clock_part, evidence_part, operation_part
from gateway.report.samples import Gap, cause_words

__all__ = ["haccp_blocks", "haccp_document"]

ROWS = 60
"""Rows of a list that can be long: the longest ones are shown, the others are summed up."""


def haccp_document(record: HaccpRecord, language: Language) -> Document:
    """The record as a document of its own."""
    title = language("HACCP record, day") if record.period.kind == "day" else language("HACCP record, month")
    point, identity = record.setting.point, record.setting.identity
    when = period_words(record.period, language)
    document = Document(
        language=language,
        title=title,
        subtitle=f"{point.name} \N{EM DASH} {when}",
        running=" \N{MIDDLE DOT} ".join([identity.member, identity.site, identity.gateway, point.id, when]),
        identity=record.samples.digest,
        moment_ms=record.period.until_ms,
    )
    document.blocks += haccp_blocks(record, language)
    document.blocks.append(
        Signatures([language("Prepared by"), language("Quality manager"), language("Remarks of the reviewer")])
    )
    return document


def period_words(period: Period, language: Language) -> str:
    """The period by name: a day, a month, or from when to when."""
    if period.kind == "day":
        return language.day_of_year(period.first_day)
    if period.kind == "month":
        return language.month(period.first_day)
    start = language.moment(period.start_ms, period.zone, seconds=False)
    return f"{start} \N{EN DASH} {language.moment(period.end_ms, period.zone, seconds=False)}"


def haccp_blocks(record: HaccpRecord, language: Language) -> Iterator[Block]:
    """All sections, in the order in which an inspector reads."""
    yield from _identification(record, language)
    yield from _summary(record, language)
    yield picture_of(record, language)
    yield from _limits(record, language)
    if record.days:
        yield from _days(record, language)
    yield from _alarms(record, language)
    yield from place_part(record, language)
    yield from _gaps(record, language)
    yield from calibration_part(record, language)
    yield from clock_part(record, language)
    yield from operation_part(record, language)
    yield from evidence_part(record, language)


def _identification(record: HaccpRecord, language: Language) -> Iterator[Block]:
    setting, period, samples = record.setting, record.period, record.samples
    point = setting.point
    grids = ", ".join(language.duration(every) for every, _ in samples.grids) or "\N{EN DASH}"
    yield Facts(
        [
            (language("Member"), setting.identity.member),
            (language("Site"), setting.identity.site),
            (language("Gateway"), setting.identity.gateway),
            (language("Point"), f"{point.name} ({point.id})"),
            (
                language("Kind of point"),
                language("critical control point (CCP)") if point.critical else language("monitoring point"),
            ),
            (language("Sensor"), f"{point.device} \N{MIDDLE DOT} {point.channel}"),
            (language("From"), language.moment(period.start_ms, period.zone)),
            (language("To"), language.moment(period.end_ms, period.zone)),
            (language("Time zone"), period.zone.key.replace("_", " ")),
            (language("Sampling interval"), grids),
        ]
    )
    if not period.complete:
        moment = language.moment(period.until_ms, period.zone)
        yield Paragraph(language("The period is not over: this record ends at {moment}.", moment=moment), "warning")
    if samples.scheduled_from_ms > period.start_ms:
        moment = language.moment(samples.scheduled_from_ms, period.zone)
        yield Paragraph(
            language("The sensor was set up within the period: it counts from {moment}.", moment=moment)
        )


def _summary(record: HaccpRecord, language: Language) -> Iterator[Block]:
    figures, samples, zone = record.figures, record.samples, record.period.zone

    def value(number: float | None, at_ms: int | None = None) -> str:
        words = language.quantity(number, samples.decimals, samples.unit)
        return words if at_ms is None else f"{words}, {language.moment(at_ms, zone)}"

    yield Heading(language("Summary"))
    # One decimal more than the sensor has: a mean is finer than what it is made of.
    finer = None if samples.decimals is None else samples.decimals + 1
    pairs = [
        (language("Lowest"), value(figures.low, figures.low_at_ms)),
        (language("Highest"), value(figures.high, figures.high_at_ms)),
        (language("Mean (by time, without gaps)"), language.quantity(figures.mean, finer, samples.unit)),
        (
            language("Coverage"),
            language(
                "{share} ({covered} of {scheduled} scheduled samples)",
                share=language.percent(figures.covered, figures.scheduled),
                covered=language.number(figures.covered, 0),
                scheduled=language.number(figures.scheduled, 0),
            ),
        ),
        (
            language("Time beyond critical limits"),
            language("no critical limit known")
            if record.beyond_critical_ms is None
            else language.duration(record.beyond_critical_ms),
        ),
        (language("Alarms"), language.number(len(record.alarms), 0)),
        (
            language("Corrective actions"),
            language.number(
                sum(len(held.of("alarm.confirmed")) for held in record.alarms)
                + sum(entry.kind == "record.corrective" and entry.holds for entry in record.actions),
                0,
            ),
        ),
    ]
    yield Facts(pairs)
    if not figures.covered:
        yield Paragraph(language("There is no value in this period."), "warning")
    if figures.uncertain:
        reasons = ", ".join(
            f"{language(cause_words(cause))}: {language.number(count, 0)}"
            for cause, count in figures.uncertain_by.items()
        )
        words = language.many(
            "{n} value is uncertain ({reasons}).",
            "{n} values are uncertain ({reasons}).",
            figures.uncertain,
            reasons=reasons,
        )
        yield Paragraph(words, "warning")


def _limits(record: HaccpRecord, language: Language) -> Iterator[Block]:
    samples, zone = record.samples, record.period.zone
    yield Heading(language("Limits in force and deviations"))
    if not record.limits:
        yield Paragraph(
            language("No limit is known for this point: its values were recorded, not judged."), "warning"
        )
        return
    rows = []
    for past in record.beyond:
        limit = past.limit
        force = ""
        if limit.since_ms is not None or limit.until_ms is not None:
            start = language.moment(limit.since_ms, zone, seconds=False) if limit.since_ms is not None else ""
            end = language.moment(limit.until_ms, zone, seconds=False) if limit.until_ms is not None else ""
            force = f" [{start} \N{EN DASH} {end}]"
        worst = language.quantity(past.worst, samples.decimals, samples.unit)
        rows.append(
            [
                limit_words(limit, samples.decimals, language) + force,
                language("not above") if limit.side == "high" else language("not below"),
                "\N{EN DASH}" if limit.delay_s is None else language.duration(limit.delay_s * 1000),
                language.number(past.samples, 0),
                language.duration(past.duration_ms),
                language.duration(past.longest_ms),
                worst if past.worst is None else f"{worst}, {language.moment(past.worst_at_ms, zone)}",
            ]
        )
    head = [
        language("Limit"),
        language("Sense"),
        language("Alarm delay"),
        language("Samples beyond"),
        language("Time beyond"),
        language("Longest"),
        language("Worst value"),
    ]
    yield Table(head, rows, "lllrrrl", (24, 10, 10, 10, 11, 11, 24))
    for profile in dict.fromkeys((limit.profile, limit.profile_hash, limit.sources) for limit in record.limits):
        name, digest, sources = profile
        if name or sources:
            words = language(
                "Profile {profile}, legal source: {source}",
                profile=name or "\N{EN DASH}",
                source="; ".join(sources) or "\N{EN DASH}",
            )
            yield Paragraph(f"{words} (SHA-256 {digest})" if digest else words, "note")
    if record.limits_from == "alarm record":
        yield Paragraph(language("The limits are those that alarms of this period carried."), "note")
    elif record.same_configuration is not True:
        yield Paragraph(
            language("The limits are those of the site file of today; whether it was in use then is not on record.")
            if record.same_configuration is None
            else language("The limits are those of the site file of today, which was changed since the period."),
            "warning",
        )


def _days(record: HaccpRecord, language: Language) -> Iterator[Block]:
    samples = record.samples
    finer = None if samples.decimals is None else samples.decimals + 1
    yield Heading(language("Day by day"))
    rows = [
        [
            language.weekday(day.day),
            language.number(day.figures.low, samples.decimals),
            language.number(day.figures.high, samples.decimals),
            language.number(day.figures.mean, finer),
            language.percent(day.figures.covered, day.figures.scheduled),
            language.number(day.figures.scheduled, 0),
            language.duration(day.beyond_ms),
            language.number(day.alarms, 0),
        ]
        for day in record.days
    ]
    unit = language.unit(samples.unit)
    head = [
        language("Day"),
        f"{language('Lowest')} ({unit})",
        f"{language('Highest')} ({unit})",
        f"{language('Mean')} ({unit})",
        language("Coverage"),
        language("Scheduled"),
        language("Beyond critical"),
        language("Alarms raised"),
    ]
    yield Table(head, rows, "lrrrrrrr", (16, 12, 12, 12, 13, 12, 13, 10))


def _alarms(record: HaccpRecord, language: Language) -> Iterator[Block]:
    samples, zone = record.samples, record.period.zone
    yield Heading(language("Alarms, acknowledgements and corrective actions"))
    if not record.alarms:
        yield Paragraph(language("No alarm in this period."))
        return
    rows = []
    for held in record.alarms:
        known = held.unit == samples.unit
        decimals = samples.decimals if known else None
        worst = held.worst if held.worst is not None else held.value
        ended = held.returned_ms if held.returned_ms is not None else record.period.until_ms
        lasted = "\N{EN DASH}" if held.since_ms is None else language.duration(ended - held.since_ms)
        actions = held.of("alarm.confirmed")
        rows.append(
            [
                str(held.number),
                f"{named(RULES, held.rule, language)} ({named(TIERS, held.tier, language)})"
                + (f", {language('simulated product')}" if held.simulated else ""),
                language.moment(held.since_ms, zone, seconds=False),
                language.moment(held.raised_ms, zone, seconds=False),
                language.moment(held.returned_ms, zone, seconds=False)
                if held.returned_ms is not None
                else language("not returned"),
                lasted,
                " / ".join(language.quantity(value, decimals, held.unit) for value in (worst, held.limit)),
                named(STATES, held.state, language)
                + ("" if actions or held.tier != "critical" else f"; {language('no corrective action on record')}"),
            ]
        )
    head = [
        language("No."),
        language("Alarm"),
        language("Began"),
        language("Raised"),
        language("Returned"),
        language("Duration"),
        language("Worst / limit"),
        language("State"),
    ]
    yield Table(head, rows, "llllllll", (5, 18, 14, 14, 14, 9, 12, 14))
    yield Heading(language("All steps of these alarms"), 3)
    yield _steps(record, language)


def _steps(record: HaccpRecord, language: Language) -> Table:
    zone = record.period.zone
    rows: list[Sequence[str]] = []
    for held in record.alarms:
        for step in held.transitions:
            # Events of the alarm itself carry who acknowledged it last: that person did not take this step.
            own = step.kind in STEPS_OF_PEOPLE
            until = (
                f" ({language('until')} {language.moment(step.until_ms, zone)})"
                if step.until_ms is not None
                else ""
            )
            rows.append(
                [
                    str(held.number),
                    language.moment(step.at_ms, zone),
                    named(ALARM_STEPS, step.kind, language) + until,
                    (step.person if own else "") or "\N{EN DASH}",
                    (step.text if own else "") or step.words or "\N{EN DASH}",
                    str(step.batch),
                ]
            )
    head = [
        language("No."),
        language("Time"),
        language("Step"),
        language("Person"),
        language("Text"),
        language("Event batch"),
    ]
    return Table(head, rows, "lllllr", (5, 20, 17, 15, 35, 8))


def _gaps(record: HaccpRecord, language: Language) -> Iterator[Block]:
    samples, zone = record.samples, record.period.zone
    yield Heading(language("Gaps"))
    if not samples.gaps:
        yield Paragraph(language("No sample is missing."))
        return
    shown = sorted(sorted(samples.gaps, key=lambda gap: -gap.slots)[:ROWS])
    rows = [
        [
            language.moment(gap.start_ms, zone),
            language.moment(gap.end_ms, zone),
            language.duration(gap.end_ms - gap.start_ms),
            language.number(gap.slots, 0),
            _causes(gap, language),
        ]
        for gap in shown
    ]
    head = [language("From"), language("To"), language("Duration"), language("Samples"), language("Cause")]
    yield Table(head, rows, "lllrl", (22, 22, 12, 9, 35))
    left = len(samples.gaps) - len(shown)
    if left:
        slots = sum(gap.slots for gap in samples.gaps) - sum(gap.slots for gap in shown)
        words = language.many(
            "{n} shorter gap is not listed ({slots} samples); the electronic form has it.",
            "{n} shorter gaps are not listed ({slots} samples); the electronic form has them.",
            left,
            slots=language.number(slots, 0),
        )
        yield Paragraph(words, "note")
    if record.later:
        yield from _later(record, language)


def _later(record: HaccpRecord, language: Language) -> Iterator[Block]:
    samples, zone = record.samples, record.period.zone
    yield Paragraph(
        language("Read later from the sensor's own memory. These values are not part of the figures above.")
    )
    rows = [
        [
            language.moment(one.start_ms, zone),
            language.moment(one.end_ms, zone),
            language.number(one.slots, 0),
            language.quantity(one.low, samples.decimals, samples.unit),
            language.quantity(one.high, samples.decimals, samples.unit),
            language.duration(one.error_ms),
            ", ".join(map(str, one.batches)),
        ]
        for one in record.later
    ]
    head = [
        language("From"),
        language("To"),
        language("Samples"),
        language("Lowest"),
        language("Highest"),
        language("Largest error of a time"),
        language("Event batch"),
    ]
    yield Table(head, rows, "llrrrrl", (18, 18, 10, 13, 13, 14, 14))


def _causes(gap: Gap, language: Language) -> str:
    causes = sorted(gap.causes.items(), key=lambda pair: (-pair[1], pair[0]))
    if len(causes) == 1:
        return language(cause_words(causes[0][0]))
    return ", ".join(f"{language(cause_words(name))}: {language.number(slots, 0)}" for name, slots in causes)
