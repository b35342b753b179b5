"""Framers: however a stream is cut, the frames are the same; noise never becomes one."""

from hypothesis import given
from hypothesis import strategies as st
from pty_tools import cuts

from firmware_interfaces.serial.framing import Framer, LineFramer
from firmware_interfaces.serial.mbus import ACK, MbusFramer, long_frame, reset_link
from firmware_interfaces.serial.nmea import checksum, parse, sentence_framer

PLACES = st.lists(st.integers(0, 10_000), max_size=20)
TEXT = st.text(st.sampled_from("SD +-.0123456789kg\r\n$*,\x00\xff"), max_size=60).map(lambda t: t.encode("latin-1"))


def fed(framer: Framer, data: bytes, places: list[int]) -> tuple[list[bytes], bytes]:
    frames = [frame for piece in cuts(data, places) for frame in framer.feed(piece)]
    return frames, framer.pending


class TestLines:
    @given(TEXT, PLACES, st.sampled_from([b"\r\n", b"\n", b"\r"]), st.sampled_from([b"", b"$"]))
    def test_the_cuts_do_not_matter(self, data: bytes, places: list[int], end: bytes, start: bytes) -> None:
        whole, _ = fed(LineFramer(end, start, 20), data, [])
        assert fed(LineFramer(end, start, 20), data, places)[0] == whole

    @given(TEXT, PLACES)
    def test_they_are_what_lies_between_the_ends(self, data: bytes, places: list[int]) -> None:
        *lines, _ = data.split(b"\r\n")
        assert fed(LineFramer(b"\r\n", longest=20), data, places)[0] == [x for x in lines if 0 < len(x) <= 20]

    @given(PLACES)
    def test_a_line_beyond_all_length_is_dropped_and_the_next_is_whole(self, places: list[int]) -> None:
        framer = LineFramer(b"\r\n", longest=50)
        data = b"x" * 5000 + b"\r\n" + b"S S 1.00 g\r\n"
        assert fed(framer, data, places)[0] == [b"S S 1.00 g"]

    def test_what_never_ends_does_not_fill_the_memory(self) -> None:
        framer = LineFramer(b"\r\n", longest=50)
        for _ in range(1000):
            framer.feed(b"y" * 100)
        assert len(framer.pending) < 100

    def test_noise_before_the_start_is_cut_off(self) -> None:
        assert LineFramer(b"\n", b"$").feed(b"\x00garbage$GPRMC,1\n") == [b"GPRMC,1"]

    def test_a_line_that_broke_off_does_not_lend_its_beginning(self) -> None:
        assert LineFramer(b"\n", b"$").feed(b"$GPRMC,0815$GPGGA,2\n") == [b"GPGGA,2"]

    def test_a_line_without_its_start_is_none(self) -> None:
        assert LineFramer(b"\n", b"$").feed(b"PRMC,1\n$A\n") == [b"A"]

    def test_clear_forgets_half_a_line(self) -> None:
        framer = LineFramer(b"\n")
        framer.feed(b"12")
        framer.clear()
        assert framer.feed(b"3\n") == [b"3"]


FRAMES = st.one_of(
    st.just(ACK),
    st.integers(0, 250).map(reset_link),
    st.binary(max_size=40).map(lambda data: long_frame(8, 1, 0x72, data)),
)


class TestMbus:
    @given(st.lists(FRAMES, max_size=6), PLACES)
    def test_sound_frames_are_found(self, frames: list[bytes], places: list[int]) -> None:
        assert fed(MbusFramer(), b"".join(frames), places) == (frames, b"")

    @given(st.binary(max_size=200), PLACES)
    def test_the_cuts_do_not_matter(self, noise: bytes, places: list[int]) -> None:
        assert fed(MbusFramer(), noise, places) == fed(MbusFramer(), noise, [])

    @given(st.binary(max_size=60), st.integers(0, 65), st.integers(1, 255))
    def test_a_flipped_bit_never_passes(self, data: bytes, place: int, flip: int) -> None:
        good = long_frame(8, 1, 0x72, data)
        bad = bytearray(good)
        bad[place % len(good)] ^= flip
        assert good not in MbusFramer().feed(bytes(bad))
        assert all(len(frame) < len(good) for frame in MbusFramer().feed(bytes(bad)))

    def test_noise_before_a_frame_is_passed_over(self) -> None:
        good = long_frame(8, 1, 0x72, b"abc")
        assert MbusFramer().feed(b"\x00\x68\x03\x04\x68\xff" + good) == [good]


def sentence(body: str) -> bytes:
    return f"${body}*{checksum(body.encode()):02X}\r\n".encode()


class TestNmea:
    @given(st.lists(st.sampled_from(["GPRMC,1,A", "GPGGA,", "GNZDA,,,"]), max_size=6), TEXT, PLACES)
    def test_the_cuts_do_not_matter(self, bodies: list[str], noise: bytes, places: list[int]) -> None:
        data = noise.join(sentence(body) for body in bodies)
        assert fed(sentence_framer(), data, places)[0] == fed(sentence_framer(), data, [])[0]

    @given(st.integers(0, 40), st.integers(1, 255))
    def test_one_wrong_byte_is_no_sentence(self, place: int, flip: int) -> None:
        good = sentence("GPRMC,083559.00,A,4717.11437,N,00833.91522,E,0.004,77.52,091202,,,A")[1:-1]
        bad = bytearray(good)
        bad[place % len(bad)] ^= flip
        found = parse(bytes(bad))
        # The case of a letter in the checksum is none of its value.
        assert found is None or found == parse(good)
