"""The forms of a report: page, PDF, JSON and CSV, in every language, with whatever people have written in it."""

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_site import DAY_MS, HOUR_MS, PARIS, Clock, Pen, Plant, day_period, make_layout, utc, wave

from gateway.errors import AuroraError
from gateway.language import LANGUAGES, language
from gateway.model import Quality
from gateway.report import pdf as pdf_module
from gateway.report.document import haccp_document
from gateway.report.figures import LimitLine
from gateway.report.fonts import find_fonts
from gateway.report.haccp import Setting, haccp_record
from gateway.report.page import page
from gateway.report.pdf import pdf
from gateway.report.samples import Happening
from gateway.site import PointSpec

AS_OF = "2027-01-02T00:00Z"
HOSTILE = (
    "</td></table><script>alert(1)</script><b>&amp;\" onload='x' <para><font size=9> \u202ee\x07 {0.__class__} %s"
)
CHINESE = "冷藏室 №1 Żółć ñ"
VOID = {"meta", "br", "path", "rect", "col", "pattern"}


class Reader(HTMLParser):
    """Collects the tags and texts of a page, and holds them to be balanced."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["script"]):
            self.texts.append(data)

    def read(self, text: str) -> "Reader":
        self.feed(text)
        self.close()
        assert self.open == []
        return self


class TestLanguages:
    @pytest.mark.parametrize("tag", LANGUAGES)
    @pytest.mark.parametrize("kind", ["day", "month", "lot", "calibration"])
    def test_every_report_in_every_language(self, month: Plant, tag: str, kind: str, tmp_path: Path) -> None:
        words = {
            "day": ("day", "--point", "cold-room-1", "--date", "2026-11-08"),
            "month": ("month", "--point", "cold-room-1", "--date", "2026-11"),
            "lot": ("lot", "--lot", "L-2026-118"),
            "calibration": ("calibration",),
        }[kind]
        out = tmp_path / "report"
        month.command(*words, "--lang", tag, "--as-of", AS_OF, out=out)
        text = out.read_text()
        assert f'<html lang="{tag}">' in text
        read = Reader().read(text)
        assert "script" not in read.tags
        assert not {name for name in read.attributes if name.startswith("on")}
        body = " ".join(read.texts)
        assert language(tag)("Quality manager") in body
        assert not re.search(r"\{[a-z]+\}", body), "a place in a text was not filled"
        if kind == "month" and tag != "en":
            assert "7,00\xa0°C" in body
            assert "7.00" not in body, "a decimal point in a language of commas"
            assert " value is " not in body

    def test_dates_and_offsets(self, month: Plant) -> None:
        record = month.record(day_period("2026-11-08", PARIS))
        for tag, written in (
            ("en", "8\xa0Nov\xa02026"),
            ("fr", "8\xa0nov.\xa02026"),
            ("nl", "8\xa0nov\xa02026"),
            ("pl", "8\xa0lis\xa02026"),
            ("es", "8\xa0nov\xa02026"),
        ):
            text = page(haccp_document(record, language(tag)))
            assert f"{written} 13:08:00 (UTC+01:00)" in text


class TestSameBytes:
    @pytest.mark.parametrize("form", ["html", "pdf", "json", "csv"])
    def test_the_same_data_gives_the_same_bytes(self, month: Plant, form: str, tmp_path: Path) -> None:
        words = ("day", "--point", "cold-room-1", "--date", "2026-11-08", "--format", form)
        month.command(*words, "--as-of", AS_OF, out=tmp_path / "one")
        month.command(*words, "--as-of", "2030-01-01", out=tmp_path / "other")
        assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes(), (
            "a day that is over stays as it is"
        )
        assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "other"]

    def test_other_data_gives_another_identity(self, month: Plant) -> None:
        one, other = (
            haccp_document(month.record(day_period(day, PARIS)), language("en")).identity
            for day in ("2026-11-08", "2026-11-09")
        )
        assert one != other


class TestPdf:
    def test_what_the_file_says_of_itself(self, month: Plant) -> None:
        record = month.record(day_period("2026-11-08", PARIS))
        document = pdf(haccp_document(record, language("pl")))
        assert document.startswith(b"%PDF-1.")
        assert b"D:20261108230000Z" in document, "the end of the period, not the time of printing"
        assert record.samples.digest.encode() in document
        assert b"/Lang" in document
        fonts = set(re.findall(rb"/BaseFont /([A-Za-z0-9+-]+)", document))
        assert fonts
        assert all(b"+" in font for font in fonts), "every font is embedded"
        assert b"/JavaScript" not in document
        assert b"/URI" not in document

    def test_pages_are_numbered_of_all(self, month: Plant) -> None:
        seen = []

        class Spy:
            tag = "en"

            def __call__(self, text: str, **values: object) -> str:
                seen.append((values["n"], values["m"]))
                return text

        document = haccp_document(month.record(day_period("2026-11-08", PARIS)), language("en"))
        document.language = Spy()  # type: ignore[assignment]
        pdf(document)
        last = seen[-1][0]
        assert seen[-last:] == [(n, last) for n in range(1, last + 1)]
        assert last >= 2

    def test_no_font_is_said_with_its_remedy(self, tmp_path: Path) -> None:
        with pytest.raises(AuroraError, match="apt-get install fonts-dejavu-core"):
            find_fonts((tmp_path,))
        for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"):
            (tmp_path / name).write_bytes(b"no font")
        with pytest.raises(AuroraError, match="cannot be used"):
            pdf_module._register(find_fonts((tmp_path,)))

    def test_without_reportlab_the_remedy_is_said(self, month: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
        document = haccp_document(month.record(day_period("2026-11-08", PARIS)), language("en"))
        monkeypatch.setitem(__import__("sys").modules, "reportlab", None)
        with pytest.raises(AuroraError, match=r"aurora-gateway\[report\]"):
            pdf(document)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    """A point and a person with names that want to be markup, and a text that is longer than a page."""
    start = utc("2026-11-24T00:00+01:00")
    point = PointSpec(
        id="cold-room-1", name=HOSTILE + CHINESE, device="room-probe", channel="temperature", critical=True
    )
    plant = Plant(tmp_path_factory.mktemp("hostile"), make_layout(60_000), (point,))

    def fill(pen: Pen) -> None:
        pen.scans(start, start + DAY_MS, wave)
        pen.alarm("alarm.raised", start + HOUR_MS, rule=HOSTILE, words=HOSTILE)
        pen.alarm(
            "alarm.confirmed",
            start + 2 * HOUR_MS,
            person=HOSTILE + CHINESE,
            text=HOSTILE * 40,
            raised=start + HOUR_MS,
        )
        pen.event(
            "record.corrective",
            start + HOUR_MS,
            record="=1+1",
            person="=cmd|' /C calc'!A1",
            text="x" * 4000,
            supersedes=None,
            point="cold-room-1",
        )
        pen.event(
            "config.changed",
            start + HOUR_MS,
            record=HOSTILE,
            person=HOSTILE,
            text="line one\nline two\r\n\tthree",
            supersedes=None,
        )
        pen.event(
            "process.result",
            start + HOUR_MS,
            point="cold-room-1",
            calculation=HOSTILE,
            result=float("nan"),
            source=HOSTILE,
        )

    plant.write(Clock(bytes(16), start - HOUR_MS), fill)
    return plant


class TestHostileText:
    WORDS = ("day", "--point", "cold-room-1", "--date", "2026-11-24", "--as-of", AS_OF)

    def test_on_the_page(self, hostile: Plant, tmp_path: Path) -> None:
        hostile.command(*self.WORDS, out=tmp_path / "page.html")
        read = Reader().read((tmp_path / "page.html").read_text())
        assert not read.tags & {"script", "b", "para", "font", "iframe", "img", "a"}
        assert "onload" not in read.attributes
        texts = " ".join(read.texts)
        assert "<script>alert(1)</script>" in texts, "it is there to be read"
        assert "{0.__class__} %s" in texts
        assert "\x07" not in texts
        assert "\u202e" not in texts
        assert CHINESE in texts

    def test_in_the_pdf(self, hostile: Plant, tmp_path: Path) -> None:
        hostile.command(*self.WORDS, "--format", "pdf", "--lang", "pl", out=tmp_path / "page.pdf")
        document = (tmp_path / "page.pdf").read_bytes()
        assert document.rstrip().endswith(b"%%EOF")
        assert b"/JavaScript" not in document

    def test_a_letter_that_the_font_lacks_is_named(self) -> None:
        glyphs = pdf_module._register(find_fonts())
        text = pdf_module._Text(glyphs)
        assert text.plain("Żółć ñ œ ĳ €") == "Żółć ñ œ ĳ €"
        assert text.plain("冷") == "[U+51B7]"
        assert text.markup("<b>&\n") == "&lt;b&gt;&amp;<br/>"

    def test_in_json_and_csv(self, hostile: Plant, tmp_path: Path) -> None:
        hostile.command(*self.WORDS, "--format", "json", out=tmp_path / "r.json")
        data = json.loads((tmp_path / "r.json").read_text())
        assert data["name"] == HOSTILE + CHINESE
        assert data["outcomes"][0]["result"] is None
        hostile.command(*self.WORDS, "--format", "csv", out=tmp_path / "r.csv")
        rows = list(csv.DictReader(io.StringIO((tmp_path / "r.csv").read_text())))
        (entry,) = [row for row in rows if row["section"] == "record.corrective"]
        assert entry["name"] == "'=1+1"
        assert entry["person"].startswith("'=cmd")


class TestWhatMustBeSaid:
    """Sentences without which a reader would take a record for more than it is."""

    def words(self, plant: Plant, day: str = "2026-11-24", as_of: str | None = AS_OF) -> str:
        period = day_period(day, PARIS, utc(as_of.replace("Z", "+00:00")) if as_of else None)
        return " ".join(Reader().read(page(haccp_document(plant.record(period), language("en")))).texts)

    def test_an_unfinished_day(self, plant: Plant) -> None:
        start = utc("2026-11-24T00:00+01:00")
        plant.write(Clock(bytes(16), start - HOUR_MS), lambda pen: pen.scans(start, start + 6 * HOUR_MS, wave))
        text = self.words(plant, as_of="2026-11-24T05:00:00Z")
        assert "The period is not over: this record ends at 24\xa0Nov\xa02026 06:00:00 (UTC+01:00)." in text
        assert "100.00\xa0% (360 of 360 scheduled samples)" in text

    def test_a_day_without_values_limits_and_calibration(self, plant: Plant) -> None:
        start = utc("2026-11-24T00:00+01:00")
        bare = Plant(plant.folder, make_layout(60_000, calibrated=False))
        bare.write(
            Clock(bytes(16), start - HOUR_MS), lambda pen: pen.misses(start, start + DAY_MS, Quality.BUS_DOWN)
        )
        text = self.words(bare)
        assert "There is no value in this period." in text
        assert "No limit is known for this point: its values were recorded, not judged." in text
        assert "none on record" in text
        assert "no connection to the bus" in text
        assert "0.00\xa0% (0 of 1,440 scheduled samples)" in text

    def test_values_without_time_uncertain_ones_and_a_missing_action(self, month: Plant, plant: Plant) -> None:
        assert "288 values are uncertain (calibration certificate has expired: 288)." in self.words(
            month, "2026-11-10"
        )
        assert "no corrective action on record" in self.words(month, "2026-11-15")
        assert "no corrective action on record" not in self.words(month, "2026-11-08")
        start = utc("2026-11-24T00:00+01:00")
        plant.write(Clock(bytes(16), start), lambda pen: pen.scans(start, start + HOUR_MS, wave))
        dark = Clock(bytes([4]) * 16, start, known=False)
        plant.write(dark, lambda pen: pen.scans(start + HOUR_MS, start + 2 * HOUR_MS, wave, 0x43))
        assert "60 samples of boot 04040404 have no known time and are not in this record" in self.words(plant)

    def test_what_was_superseded_stays(self, month: Plant) -> None:
        text = self.words(month, "2026-11-03")
        assert "superseded by R3" in text
        assert "supersedes R2" in text

    def test_limits_of_another_configuration(self, month: Plant) -> None:
        record = month.record(day_period("2026-11-24", PARIS))
        limit = LimitLine(
            rule="high-critical", side="high", tier="critical", value=7.0, unit="degC", sources=("law",)
        )
        for digest, words in (("ef" * 32, "which was changed since the period"), ("ab" * 32, "")):
            setting = Setting(record.setting.identity, record.setting.point, [limit], digest, "1")
            events = [Happening(record.period.start_ms - 1, bytes(16), 0, "power_up", {"config": "ab" * 32}, 1)]
            again = haccp_record(setting, record.samples, events, [], record.proof)
            text = page(haccp_document(again, language("en")))
            assert (words in text) if words else ("site file of today" not in text)
