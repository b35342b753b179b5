"""The catalogues: complete, with the same places in every language; numbers, dates and durations by locale."""

import ast
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from jinja2 import Environment, nodes

import gateway
from firmware_interfaces.quality import WORDS
from gateway.access.roles import Role
from gateway.cluster.fleet.staff import StaffRole
from gateway.errors import AuroraError
from gateway.language import FOLDER, LANGUAGES, Message, language, read_catalogue
from gateway.report.samples import ABSENT, OFF, UNTIMED, cause_words

ROOT = Path(gateway.__file__).parent
CALLS = {"language", "words", "N_", "t"}


TEMPLATES = (ROOT / "web" / "templates", ROOT / "cluster" / "fleet" / "templates")


def in_templates() -> Iterator[tuple[str, str, str]]:
    """The texts of the page's templates: what ``t`` and ``t.many`` are given, either of two included."""
    environment = Environment(autoescape=True)
    for path in sorted(path for folder in TEMPLATES for path in folder.glob("*.html")):
        for call in environment.parse(path.read_text(encoding="utf-8")).find_all(nodes.Call):
            place, function = f"{path.name}:{call.lineno}", call.node
            if isinstance(function, nodes.Name) and function.name == "t" and call.args:
                for text in said(call.args[0]):
                    yield place, text, ""
            elif isinstance(function, nodes.Getattr) and function.attr == "many":
                one, several = (list(said(argument)) for argument in call.args[:2])
                assert len(one) == len(several) == 1, place
                yield place, one[0], several[0]


def said(argument: nodes.Expr) -> Iterator[str]:
    """A text, or each of those that an expression chooses from."""
    if isinstance(argument, nodes.Const) and isinstance(argument.value, str):
        yield argument.value
    elif isinstance(argument, nodes.CondExpr):
        yield from said(argument.expr1)
        if argument.expr2 is not None:
            yield from said(argument.expr2)


def used() -> Iterator[tuple[str, str, str]]:
    """Place, msgid and plural of every text that the code and the templates translate."""
    yield from in_templates()
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            first = node.args[0]
            text = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None
            place = f"{path.name}:{node.lineno}"
            if name == "many" and text is not None:
                plural = node.args[1]
                assert isinstance(plural, ast.Constant), place
                yield place, text, str(plural.value)
            elif name in CALLS and text is not None and text not in LANGUAGES:
                yield place, text, ""
    for quality, text in WORDS.items():
        yield f"Quality.{quality.name}", text, ""
    for cause in (OFF, ABSENT, UNTIMED):
        yield cause, cause_words(cause), ""
    for role in (*Role, *StaffRole):
        yield f"Role.{role.name}", role.value, ""
    yield "language.py", "time not known", ""


USED = sorted(set(used()))
TAGS = {
    tag: [
        message
        for path in sorted((FOLDER / tag / "LC_MESSAGES").glob("*.po"))
        for message in read_catalogue(path)
        if message.msgid
    ]
    for tag in LANGUAGES
}
"""The messages of all files of a language together: one text stands in one of them."""


def places(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


class TestCatalogues:
    def test_the_code_uses_many_texts(self) -> None:
        assert len(USED) > 200, "the search for texts still finds them"

    @pytest.mark.parametrize("tag", LANGUAGES)
    def test_every_text_is_translated(self, tag: str) -> None:
        known = {message.msgid: message for message in TAGS[tag]}
        missing = [(place, text) for place, text, _ in USED if text not in known]
        assert missing == []
        other = [(place, text) for place, text, plural in USED if known[text].plural != plural]
        assert other == [], "another plural than the code has"

    @pytest.mark.parametrize("tag", LANGUAGES)
    def test_nothing_is_fuzzy_empty_double_or_left_over(self, tag: str) -> None:
        texts = {text for _, text, _ in USED}
        forms = {"pl": 3}.get(tag, 2)
        for message in TAGS[tag]:
            assert not message.fuzzy, message
            assert all(message.strings), message
            assert len(message.strings) == (forms if message.plural else 1), message
            assert message.msgid in texts, f"line {message.line}: no code uses {message.msgid!r}"
        assert len({message.msgid for message in TAGS[tag]}) == len(TAGS[tag])

    @pytest.mark.parametrize("tag", LANGUAGES)
    def test_places_match(self, tag: str) -> None:
        for message in TAGS[tag]:
            for number, text in enumerate(message.strings):
                # One may be said in words ("once") where its msgid does so.
                wanted = places(message.plural) if message.plural and number else places(message.msgid)
                assert places(text) == wanted, message
                assert text.count("{") == text.count("}") == len(re.findall(r"\{\w+\}", text)), message

    def test_translations_are_translations(self) -> None:
        for tag in LANGUAGES[1:]:
            same = [message.msgid for message in TAGS[tag] if message.strings[0] == message.msgid]
            assert len(same) < 40, same

    def test_terms_of_the_trade(self) -> None:
        assert language("fr")("Corrective actions") == "Actions correctives"
        assert language("nl")("critical limit {value}", value="7") == "kritische grens 7"
        assert language("pl")("critical limit {value}", value="7") == "limit krytyczny 7"
        assert language("es")("critical limit {value}", value="7") == "límite crítico 7"

    def test_a_language_that_there_is_not(self) -> None:
        with pytest.raises(AuroraError, match="en, fr, nl, pl, es"):
            language("de")


class TestReadingCatalogues:
    def read(self, tmp_path: Path, text: str) -> list[Message]:
        path = tmp_path / "aurora.po"
        path.write_text(text, encoding="utf-8")
        return read_catalogue(path)

    def test_forms_of_an_entry(self, tmp_path: Path) -> None:
        text = (
            'msgid ""\nmsgstr ""\n"A: b\\n"\n\n#: x.py\n#, fuzzy\nmsgid "a"\n"b"\nmsgstr "c\\"d\\n"\n'
            'msgid "one"\nmsgid_plural "many"\nmsgstr[0] "uno"\nmsgstr[1] "muchos"\n'
        )
        header, one, two = self.read(tmp_path, text)
        assert header.strings == ("A: b\n",)
        assert (one.msgid, one.strings, one.fuzzy) == ("ab", ('c"d\n',), True)
        assert (two.msgid, two.plural, two.strings, two.fuzzy) == ("one", "many", ("uno", "muchos"), False)

    @pytest.mark.parametrize("line", ['msgid "a', "nonsense", '"lost"', 'msgstr "a" b', 'msgid "\\"'])
    def test_a_broken_line_is_named(self, tmp_path: Path, line: str) -> None:
        with pytest.raises(AuroraError, match="line 3"):
            self.read(tmp_path, f'msgid "x"\nmsgstr "y"\n{line}\n' if line != '"lost"' else f"\n\n{line}\n")

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(AuroraError, match="install the package again"):
            read_catalogue(tmp_path / "none.po")


class TestNumbers:
    @pytest.mark.parametrize(
        ("tag", "large", "small"),
        [
            ("en", "\N{MINUS SIGN}1,234,567.5", "\N{MINUS SIGN}1,234.5"),
            ("fr", "\N{MINUS SIGN}1\xa0234\xa0567,5", "\N{MINUS SIGN}1\xa0234,5"),
            ("nl", "\N{MINUS SIGN}1.234.567,5", "\N{MINUS SIGN}1.234,5"),
            ("pl", "\N{MINUS SIGN}1\xa0234\xa0567,5", "\N{MINUS SIGN}1234,5"),
            ("es", "\N{MINUS SIGN}1.234.567,5", "\N{MINUS SIGN}1234,5"),
        ],
    )
    def test_groups_and_marks(self, tag: str, large: str, small: str) -> None:
        assert language(tag).number(-1234567.5, 1) == large
        assert language(tag).number(-1234.5, 1) == small

    def test_nothing_zero_and_powers(self) -> None:
        en = language("en")
        assert en.number(None, 1) == "\N{EN DASH}"
        assert en.number(-0.04, 1) == "0.0"
        assert en.number(1.5e-7, None) == "1.5e\N{MINUS SIGN}07"
        assert en.quantity(4.0, 1, "degC") == "4.0\xa0°C"
        assert language("fr").quantity(55.0, 0, "%RH") == "55\xa0% HR"

    def test_all_is_not_said_of_almost_all(self) -> None:
        assert language("en").percent(43_199, 43_200) == "99.99\xa0%"
        assert language("en").percent(43_200, 43_200) == "100.00\xa0%"
        assert language("en").percent(0, 0) == "\N{EN DASH}"

    def test_plurals(self) -> None:
        words = [language("pl").many("{n} alarm.", "{n} alarms.", n) for n in (1, 2, 5, 12, 22, 0)]
        assert words == ["1 alarm.", "2 alarmy.", "5 alarmów.", "12 alarmów.", "22 alarmy.", "0 alarmów."]
        assert language("fr").many("{n} alarm.", "{n} alarms.", 0) == "0 alarme."

    def test_dates(self) -> None:
        day = date(2026, 1, 5)
        assert [language(tag).day_of_year(day).replace("\xa0", " ") for tag in LANGUAGES] == [
            "5 Jan 2026",
            "5 janv. 2026",
            "5 jan 2026",
            "5 sty 2026",
            "5 ene 2026",
        ]
        assert language("es").month(day) == "enero de 2026"

    def test_a_moment_has_its_offset_on_both_sides_of_a_change(self) -> None:
        en, paris = language("en"), ZoneInfo("Europe/Paris")
        before = en.moment(1_792_888_200_000, paris, seconds=False).replace("\xa0", " ")
        after = en.moment(1_792_891_800_000, paris, seconds=False).replace("\xa0", " ")
        assert before == "25 Oct 2026 02:30 (UTC+02:00)"
        assert after == "25 Oct 2026 02:30 (UTC+01:00)"
        assert en.moment(0, ZoneInfo("America/St_Johns")).endswith("(UTC\N{MINUS SIGN}03:30)")
        assert en.moment(None, paris) == "time not known"

    @pytest.mark.parametrize(
        ("ms", "words"),
        [
            (400, "0 s"),
            (59_400, "59 s"),
            (61_000, "1 min 01 s"),
            (3_600_000, "1 h"),
            (7_500_000, "2 h 05 min"),
            (180_000_000, "2 d 2 h"),
        ],
    )
    def test_durations(self, ms: int, words: str) -> None:
        assert language("en").duration(ms).replace("\xa0", " ") == words
