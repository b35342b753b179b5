"""Frames taken apart: every one in words, whatever is in it."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_interfaces.modbus.link import Frame
from firmware_interfaces.modbus.model import load_model
from gateway.demo.modbus_server import rtu_frame
from gateway.diagnostics.frames import plain, take_apart
from gateway.diagnostics.redact import Scrubber, redacted_site
from gateway.site import Identity, Site

CHANNELS = {1: list(load_model("xy-md02").channels.values())}
ASKED = "reading input registers was asked"
ASK = rtu_frame(1, bytes.fromhex("0400010002"))


def tcp(unit: int, pdu: bytes, transaction: int = 1) -> bytes:
    return transaction.to_bytes(2, "big") + b"\0\0" + (len(pdu) + 1).to_bytes(2, "big") + bytes((unit,)) + pdu


def words(kind: str, *frames: tuple[bool, bytes]) -> list[str]:
    told = take_apart(kind, [Frame(float(n), sent, data) for n, (sent, data) in enumerate(frames)], CHANNELS)
    return [one.words for one in told]


class TestRtu:
    def test_an_answer_in_pieces_is_one(self) -> None:
        answer = rtu_frame(1, bytes.fromhex("04040029028f"))
        frames = [Frame(0.0, True, ASK), Frame(0.1, False, answer[:3]), Frame(0.2, False, answer[3:])]
        told = take_apart("rtu", frames, CHANNELS)
        assert [one.words for one in told] == ["asks for input register 1 to 2", "input registers: 41 655"]
        assert told[1].frame.at == 0.1
        assert told[1].channels == ["temperature = 4.1 degC", "humidity = 65.5 %RH"]

    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            (rtu_frame(1, b"\x84\x02"), "refuses reading input registers: illegal data address (2)"),
            (rtu_frame(1, b"\x84\x63"), "refuses reading input registers: unknown exception (99)"),
            (
                rtu_frame(1, b"\x03\x02\0\1"),
                "answers reading holding registers where reading input registers was asked",
            ),
            (rtu_frame(1, b"\x04\x05\0\1"), "says 5 bytes, and 2 are there"),
            (b"\x00\x01", "2 bytes: shorter than any frame, noise"),
            (bytes.fromhex("01040400290290ffff"), "the checksum is wrong: damaged, or two answers at once"),
        ],
    )
    def test_what_is_wrong_is_named(self, answer: bytes, said: str) -> None:
        assert words("rtu", (True, ASK), (False, answer))[1] == said

    def test_a_sentinel_is_no_value(self) -> None:
        answer = rtu_frame(1, bytes.fromhex("04047fff028f"))
        (_, told) = take_apart("rtu", [Frame(0.0, True, ASK), Frame(0.1, False, answer)], CHANNELS)
        assert told.channels[0].startswith("temperature = no value degC (")

    def test_the_answer_of_another_unit_is_not_read_by_this_ones_question(self) -> None:
        (_, told) = take_apart(
            "rtu", [Frame(0.0, True, ASK), Frame(0.1, False, rtu_frame(2, b"\4\4\0\1\0\2"))], CHANNELS
        )
        assert (told.unit, told.channels) == (2, [])


class TestTcp:
    def test_headers_are_checked(self) -> None:
        good = tcp(1, bytes.fromhex("0400010002"))
        assert words("tcp", (True, good)) == ["asks for input register 1 to 2"]
        assert words("tcp", (False, b"HTTP/1.1 400"))[0].startswith("not Modbus TCP")
        assert words("tcp", (False, good + b"\0"))[0] == "the header says 6 bytes, and 7 are there"

    @given(st.sampled_from(["tcp", "rtu"]), st.lists(st.tuples(st.booleans(), st.binary(max_size=300)), max_size=6))
    def test_no_bytes_upset_it(self, kind: str, frames: list[tuple[bool, bytes]]) -> None:
        for one in take_apart(kind, [Frame(0.0, sent, data) for sent, data in frames], CHANNELS):
            assert one.words
            assert one.data(1.0)["hex"] == one.frame.data.hex(" ")


def test_what_is_no_modbus_is_shown_in_its_letters() -> None:
    assert plain(Frame(0.0, False, b"ST,+  1.234 kg\r\n")).words == "ST,+  1.234 kg.."


class TestRedaction:
    def test_what_is_not_known_to_be_harmless_is_left_out(self) -> None:
        text = '[gateway]\nid = "g"\n[vault]\nx = "y-secret-1"\n'
        text += '[[bus]]\nid = "b"\napi_key = "k-1"\nhost = "10.0.0.1"\n'
        shown, hidden = redacted_site(text)
        assert hidden == {"y-secret-1", "k-1"}
        assert "y-secret-1" not in shown
        assert 'host = "10.0.0.1"' in shown

    def test_a_file_that_is_not_toml_is_not_shown(self) -> None:
        shown, _ = redacted_site("password = hunter2\n")
        assert "hunter2" not in shown

    def test_a_secret_in_json_is_left_out_as_well(self) -> None:
        scrub = Scrubber(
            Site(identity=Identity(member="m", site="s", gateway="g"), data_dir=Path(), buses=(), devices=())
        )
        for line in (
            '{"password": "tiger-7", "user": "mail"}',
            "{'token': 'tiger-7'}",
            "password: tiger-7",
            "pin=tiger-7",
        ):
            assert "tiger-7" not in scrub(line), line
        assert '"user": "mail"' in scrub('{"password": "tiger-7", "user": "mail"}')

    @given(
        st.dictionaries(
            st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.text('aéł"\\=# ', min_size=4, max_size=9), min_size=1
        )
    )
    def test_unknown_tables_never_show_a_value(self, content: dict[str, str]) -> None:
        values = {key: value for key, value in content.items() if value.isprintable()}
        text = "[odd]\n" + "".join(
            f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items()
        )
        shown, hidden = redacted_site(text)
        assert shown == 'odd = "(left out)"'
        assert {value for value in values.values() if not value.isascii()} <= hidden
