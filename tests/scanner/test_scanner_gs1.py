"""GS1 codes as scanners send them: what is right is read, what is broken is named, nothing is guessed.

Figures and sections are of the GS1 General Specifications release 24, unless a test says otherwise.
"""

from datetime import date
from decimal import Decimal
from string import ascii_uppercase, digits
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware_interfaces.errors import CodeError, FirmwareError
from firmware_interfaces.scanner.gs1 import Code, check_key, parse
from firmware_interfaces.scanner.identifiers import BY_IDENTIFIER, PREDEFINED, check_digit

SLOW_MACHINE = [HealthCheck.too_slow]
"""Other jobs on the machine are no fault of a test."""

GS = "\x1d"
GTIN = "09506000134352"
TODAY = date(2026, 11, 24)


class TestCheckDigit:
    @pytest.mark.parametrize(
        "whole",
        ["6291041500213", "376104250021234569", "09506000134352", "96385074", "614141999996", "4012345000054"],
    )
    def test_published_keys(self, whole: str) -> None:
        """Section 7.9.1 and its calculator: GTIN-13, SSCC, GTIN-14, GTIN-8, GTIN-12, GLN."""
        assert check_digit(whole[:-1]) == whole[-1]

    @settings(deadline=None, suppress_health_check=SLOW_MACHINE)
    @given(st.text(digits, min_size=13, max_size=13), st.integers(0, 12), st.sampled_from(digits))
    def test_one_wrong_digit_is_always_found(self, body: str, place: int, other: str) -> None:
        code = body + check_digit(body)
        wrong = code[:place] + other + code[place + 1 :]
        if wrong == code:
            assert parse(f"]C101{code}").gtin == code
        else:
            with pytest.raises(CodeError, match="check digit"):
                parse(f"]C101{wrong}")


class TestElementStrings:
    @pytest.mark.parametrize("symbol", ["]C1", "]e0", "]d2", "]Q3", "]J1"])
    def test_lot_after_a_key_of_known_length(self, symbol: str) -> None:
        """Section 7.8.5: (01) and (17) need no separator, (10) needs one unless it is last."""
        code = parse(f"{symbol}01{GTIN}17261231{'10'}ABC-123")
        assert (code.gtin, code.lot, code.day("17", TODAY)) == (GTIN, "ABC-123", date(2026, 12, 31))

    def test_a_separator_ends_a_lot(self) -> None:
        code = parse(f"]C101{GTIN}10ABC{GS}21S-1{GS}3103000195")
        assert (code.lot, code.serial) == ("ABC", "S-1")
        assert code.weight is not None
        assert (code.weight.number, code.weight.unit) == (Decimal("0.195"), "KGM")
        assert code.text() == f"(01){GTIN}(10)ABC(21)S-1(3103)000195"

    def test_a_logistic_unit_with_its_content(self) -> None:
        code = parse("]C100376104250021234569" + f"02{GTIN}3740{GS}10L1{GS}3302001234")
        assert (code.sscc, code.gtin, code.get("37"), code.lot) == ("376104250021234569", GTIN, "40", "L1")
        assert code.weight is not None
        assert (code.weight.ai, code.weight.number) == ("3302", Decimal("12.34"))

    def test_a_leading_function_1_is_no_data(self) -> None:
        assert parse(f"{GS}01{GTIN}10A").lot == "A"
        assert parse(f"]d2{GS}01{GTIN}10A").lot == "A"

    def test_a_separator_that_is_not_needed_does_no_harm(self) -> None:
        assert parse(f"]d201{GTIN}{GS}10A").lot == "A"

    def test_the_same_element_twice_is_one(self) -> None:
        assert len(parse(f"]C101{GTIN}10A{GS}10A").elements) == 2

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ("", "empty"),
            ("]C1", "without data"),
            ("hello", "kind of code"),
            ("ABC123", "kind of code"),
            ("]C0ABC", "Function 1"),
            ("]X0123", "carries no GS1 code"),
            (f"]C101{GTIN[:-1]}", r"\(01\) GTIN has 13 characters"),
            (f"]C101{GTIN}10", r"\(10\) lot is empty"),
            (f"]C101{GTIN}10{GS}21A", r"\(10\) lot is empty"),
            (f"]C101{GTIN}10{'A' * 21}", "at most 20"),
            (f"]C101{GTIN}10A{GS}", "ends with a separator"),
            (f"]C101{GTIN}10A{GS}{GS}21B", "no identifier"),
            (f"]C101{GTIN}10\u00e4", "does not have|character"),
            (f"]C101{GTIN}10a b", "character"),
            (f"]C101{GTIN}17261340", "in no calendar"),
            (f"]C101{GTIN}17260231", "in no calendar"),
            (f"]C101{GTIN}3103 00195", "digits"),
            (f"]C101{GTIN}99", "is empty"),
            (f"]C101{GTIN}8013X", "no identifier"),
            (f"]C1019506{GS}00134352", "cut by a separator|characters"),
            (f"]C101{GTIN}10A{GS}10B", "two values"),
            (f"]C101{GTIN}02{GTIN}371", "its own content"),
            (f"]E0{GTIN}", "EAN-13"),
            ("]E04006381333932", "check digit"),
            ("]I10950600013435", "ITF-14"),
            ("9506000134353", "check digit"),
            ("]Q1hello", "carries no GS1 code"),
            ("x" * 4001, "4001 characters"),
        ],
    )
    def test_what_is_broken_is_named(self, line: str, words: str) -> None:
        with pytest.raises(CodeError, match=words) as refused:
            parse(line)
        assert refused.value.remedy
        assert isinstance(refused.value, FirmwareError)


class TestNumbers:
    @pytest.mark.parametrize(
        ("line", "gtin"),
        [
            ("]E09506000134352", GTIN),
            ("]E0614141999996", "00614141999996"),
            ("]E496385074", "00000096385074"),
            ("]I109506000134352", GTIN),
            ("9506000134352", GTIN),
            ("96385074\r\n", "00000096385074"),
        ],
    )
    def test_a_bare_gtin_has_no_lot(self, line: str, gtin: str) -> None:
        """Section 3.3.2: shorter GTINs are filled with zeros; section 5.1.2 for the symbology identifiers."""
        code = parse(line)
        assert (code.gtin, code.lot) == (gtin, None)


class TestDates:
    @pytest.mark.parametrize(
        ("year", "whole"), [("26", 2026), ("76", 2076), ("77", 1977), ("99", 1999), ("00", 2000), ("75", 2075)]
    )
    def test_the_century(self, year: str, whole: int) -> None:
        """Section 7.12: 51 to 99 years ahead belong to the century before."""
        found = parse(f"]C101{GTIN}15{year}0630").day("15", TODAY)
        assert found is not None
        assert found.year == whole

    def test_the_next_century(self) -> None:
        assert parse(f"]C101{GTIN}15010101").day("15", date(2051, 1, 1)) == date(2101, 1, 1)

    @pytest.mark.parametrize(("text", "day"), [("260200", date(2026, 2, 28)), ("261200", date(2026, 12, 31))])
    def test_day_zero_is_the_last_of_the_month(self, text: str, day: date) -> None:
        """Section 3.4.2."""
        assert parse(f"]C101{GTIN}15{text}").day("15", TODAY) == day

    def test_what_is_no_date(self) -> None:
        code = parse(f"]C101{GTIN}10A")
        assert code.day("10", TODAY) is None
        assert code.day("17", TODAY) is None


class TestTyped:
    def test_as_it_is_printed_below_a_symbol(self) -> None:
        assert parse(f"(01){GTIN}(10)ABC").text() == f"(01){GTIN}(10)ABC"

    @pytest.mark.parametrize(
        "line", [f"x(01){GTIN}", f"(01){GTIN}(10)", "(98765)1", f"(01){GTIN}(8013)X", "(01)", "(01", f"(1){GTIN}"]
    )
    def test_what_is_broken(self, line: str) -> None:
        with pytest.raises(CodeError):
            parse(line)

    def test_a_key_on_its_own(self) -> None:
        assert check_key("00", "376104250021234569")
        with pytest.raises(CodeError):
            check_key("00", "376104250021234568")
        with pytest.raises(CodeError):
            check_key("5", "1")


class TestDigitalLinks:
    @pytest.mark.parametrize(
        "uri",
        [
            "https://id.gs1.org/01/09506000134352/10/ABC%2F1/21/12345?17=261231&3103=000195",
            "https://example.com/some/where/01/9506000134352/10/ABC%2f1/21/12345?17=261231&3103=000195&utm=x",
            "]Q1https://id.gs1.org/01/09506000134352/22/2A/10/ABC%2F1/21/12345?17=261231;3103=000195",
            "]d1HTTPS://ID.GS1.ORG/01/09506000134352/10/ABC%2F1/21/12345?17=261231&3103=000195",
        ],
    )
    def test_keys_in_the_path_and_attributes_behind_it(self, uri: str) -> None:
        """GS1 Digital Link: URI Syntax 1.4, sections 4.8 to 4.10."""
        code = parse(uri)
        assert (code.gtin, code.lot, code.serial) == (GTIN, "ABC/1", "12345")
        assert code.day("17", TODAY) == date(2026, 12, 31)
        assert code.weight is not None
        assert code.weight.number == Decimal("0.195")

    def test_a_logistic_unit(self) -> None:
        assert parse("https://id.gs1.org/00/376104250021234569").sscc == "376104250021234569"

    @pytest.mark.parametrize(
        "uri",
        [
            "https://example.com/lot/ABC",
            "https://id.gs1.org/01/09506000134353",
            "https://id.gs1.org/01/09506000134352/21/1/10/A",
            "https://id.gs1.org/01/09506000134352/10",
            "https://id.gs1.org/01/09506000134352/10/%zz",
            "https://id.gs1.org/01/09506000134352/10/%ff",
            "https://id.gs1.org/01/09506000134352?8013=1",
            "https://id.gs1.org/01/09506000134352?17=269999",
            "https://id.gs1.org/414/4012345000054/10/A",
            "https://[::1/01/09506000134352",
        ],
    )
    def test_what_is_no_digital_link(self, uri: str) -> None:
        with pytest.raises(CodeError):
            parse(uri)


def gtins() -> st.SearchStrategy[str]:
    return st.text(digits, min_size=13, max_size=13).map(lambda body: body + check_digit(body))


VALUES = st.text(ascii_uppercase + digits + "-./_!", min_size=1, max_size=20)
CODES = st.fixed_dictionaries(
    {"01": gtins()},
    optional={
        "10": VALUES,
        "21": VALUES,
        "17": st.dates(date(2000, 1, 1), date(2075, 12, 31)).map(lambda day: day.strftime("%y%m%d")),
        "3103": st.text(digits, min_size=6, max_size=6),
        "37": st.text(digits, min_size=1, max_size=8),
        "422": st.text(digits, min_size=3, max_size=3),
    },
)


class TestProperties:
    @settings(deadline=None, suppress_health_check=SLOW_MACHINE)
    @given(CODES, st.randoms(use_true_random=False))
    def test_elements_come_back_in_any_order(self, elements: dict[str, str], source) -> None:
        pairs = list(elements.items())
        source.shuffle(pairs)
        line = "".join(ai + value + ("" if ai[:2] in PREDEFINED else GS) for ai, value in pairs).removesuffix(GS)
        code = parse("]C1" + line)
        assert {element.ai: element.value for element in code.elements} == elements
        assert parse(code.text()).elements == code.elements

    @settings(deadline=None, suppress_health_check=SLOW_MACHINE)
    @given(gtins(), VALUES)
    def test_a_link_says_the_same_as_a_symbol(self, gtin: str, lot: str) -> None:
        link = parse(f"https://id.gs1.org/01/{gtin}/10/{quote(lot, safe='')}")
        assert link.elements == parse(f"]d201{gtin}10{lot}").elements

    @settings(deadline=None, suppress_health_check=SLOW_MACHINE)
    @given(
        st.one_of(st.text(max_size=60), st.text("]CdQ13 01" + GS + digits, max_size=40).map(lambda t: "]C1" + t))
    )
    def test_whatever_comes_is_a_sound_code_or_a_refusal(self, line: str) -> None:
        try:
            code = parse(line)
        except CodeError:
            return
        assert isinstance(code, Code)
        for element in code.elements:
            identifier = BY_IDENTIFIER[element.ai]
            assert len(element.value) <= identifier.length
            if identifier.key:
                key = element.value[: identifier.key]
                assert check_digit(key[:-1]) == key[-1]
