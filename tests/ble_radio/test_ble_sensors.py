"""Reports become news: each measurement once, nothing old, nothing replayed, memory bounded."""

from hypothesis import given
from hypothesis import strategies as st

from firmware_interfaces.ble import sensors as sensors_module
from firmware_interfaces.ble.bluez import Report
from firmware_interfaces.ble.decoders.dispatch import full_uuid
from firmware_interfaces.ble.decoders.nouns import AdvertFault, Decoded, Fault
from firmware_interfaces.ble.sensors import RESTARTED_S, Allow, News, Sensors

TAG = "CB:B8:33:4C:88:4F"
BTHOME = full_uuid(0xFCD2)
KEY = bytes.fromhex("231d39c1d7cc1ab1aee224cd096db932")
SEALED_SENDER = "54:48:E6:8F:80:A5"
SEALED = bytes.fromhex("41a47266c95f730011223378237214")


def ruuvi(sequence: int, temperature: int = 0x12FC) -> bytes:
    frame = bytearray.fromhex("0512fc5394c37c0004fffc040cac364200cdcbb8334c884f")
    frame[1:3] = temperature.to_bytes(2, "big")
    frame[16:18] = sequence.to_bytes(2, "big")
    return bytes(frame)


class World:
    def __init__(self, allow: Allow | None = None, keys: dict[str, bytes] | None = None) -> None:
        self.news: list[News] = []
        self.sensors = Sensors(self.news.append, allow, keys)
        self.now = 0.0

    def hear(
        self,
        manufacturer: dict[int, bytes] | None = None,
        service: dict[str, bytes] | None = None,
        *,
        address: str = TAG,
        adapter: str = "hci0",
        rssi: int | None = -60,
        after: float = 1.0,
        name: str | None = None,
        first: bool = False,
    ) -> list[News]:
        self.now += after
        before = len(self.news)
        self.sensors.report(Report(adapter, address, rssi, name, manufacturer, service, first), self.now)
        return self.news[before:]


def test_a_measurement_is_news_once_however_often_it_is_sent() -> None:
    world = World()
    (news,) = world.hear({0x0499: ruuvi(7)}, name="Ruuvi 884F")
    assert (news.address, news.name, news.at, news.rssi) == (TAG, "Ruuvi 884F", 1.0, -60)
    assert isinstance(news.outcome, Decoded)
    for adapter in ("hci0", "hci1", "hci0"):
        assert not world.hear({0x0499: ruuvi(7)}, adapter=adapter, rssi=-70)
    assert world.hear({0x0499: ruuvi(8)})
    sensor = world.sensors.known[TAG]
    assert (sensor.heard, sensor.measurements, sensor.repeats) == (5, 2, 3)
    assert sensor.last_heard == world.now
    assert sensor.rssi == {"hci0": -60, "hci1": -70}


def test_the_same_number_with_other_values_is_another_measurement() -> None:
    world = World()
    assert world.hear({0x0499: ruuvi(7)})
    assert world.hear({0x0499: ruuvi(7, 0x12FD)})


def test_an_equal_value_without_a_number_is_news_again_but_not_in_one_burst() -> None:
    world = World()
    assert world.hear({0x0757: b"\x12\x39\x06"})
    assert not world.hear({0x0757: b"\x12\x39\x06"}, after=0.1, adapter="hci1")
    assert world.hear({0x0757: b"\x12\x39\x06"}, after=5)


def test_what_has_piled_up_in_bluez_is_not_heard_again() -> None:
    world = World()
    telemetry = bytes.fromhex("20000bb815000000004500000258")
    climate = bytes.fromhex("a1016315803200aabbccddeeff")
    eddystone, minew = full_uuid(0xFEAA), full_uuid(0xFFE1)
    assert len(world.hear(service={eddystone: telemetry})) == 1
    (news,) = world.hear(service={eddystone: telemetry, minew: climate}, after=5)
    assert news.outcome.format == "minew-ht"
    assert world.hear(service={eddystone: telemetry, minew: climate}, after=5) == []
    later = bytes.fromhex("20000bb815000000004600000258")
    assert len(world.hear(service={eddystone: later, minew: climate}, after=5, first=True)) == 2


def test_what_had_piled_up_before_the_gateway_began_is_not_heard() -> None:
    world = World()
    telemetry = bytes.fromhex("20000bb815000000004500000258")
    climate = bytes.fromhex("a1016315803200aabbccddeeff")
    warmer = bytes.fromhex("a1016315813200aabbccddeeff")
    eddystone, minew = full_uuid(0xFEAA), full_uuid(0xFFE1)
    assert world.hear(service={eddystone: telemetry, minew: climate}) == []
    (news,) = world.hear(service={eddystone: telemetry, minew: warmer}, after=5)
    assert news.outcome.format == "minew-ht"


def test_each_adapter_has_its_own_pile() -> None:
    world = World()
    telemetry = bytes.fromhex("20000bb815000000004500000258")
    old, new = bytes.fromhex("a1016315803200aabbccddeeff"), bytes.fromhex("a1016315813200aabbccddeeff")
    eddystone, minew = full_uuid(0xFEAA), full_uuid(0xFFE1)
    world.hear(service={eddystone: telemetry, minew: old}, adapter="hci1", first=True)
    world.hear(service={eddystone: telemetry, minew: old}, adapter="hci0", first=True, after=5)
    (news,) = world.hear(service={eddystone: telemetry, minew: new}, adapter="hci0", after=5)
    assert news.raw == new
    assert world.hear(service={eddystone: telemetry, minew: old}, adapter="hci1", after=5) == []


def test_a_number_that_comes_late_by_another_adapter_is_no_news() -> None:
    world = World()
    assert world.hear({0x0499: ruuvi(7)})
    assert world.hear({0x0499: ruuvi(8)})
    assert not world.hear({0x0499: ruuvi(7)}, adapter="hci1", after=0.1)
    assert world.hear({0x0499: ruuvi(0)}, after=1)


def test_characteristics_that_belong_together_are_news_together() -> None:
    world = World()
    parts = {full_uuid(0x2A6E): b"\xa3\x04", full_uuid(0x2A6F): b"\x23"}
    assert len(world.hear(service=parts)) == 2
    assert len(world.hear(service=parts, after=60)) == 2


def test_foreign_senders_are_counted_and_not_remembered() -> None:
    world = World()
    for number in range(10):
        assert not world.hear({0x004C: bytes([number])}, address=f"00:00:00:00:00:{number:02X}")
    assert (world.sensors.foreign, world.sensors.known) == (10, {})


def test_a_frame_that_proves_to_be_foreign_is_foreign() -> None:
    world = World()
    assert not world.hear({0x0001: bytes(6)})
    assert not world.hear({0x0011: bytes(18)})
    assert (world.sensors.foreign, world.sensors.known) == (2, {})


def test_a_signal_strength_alone_is_no_news() -> None:
    world = World()
    world.hear({0x0499: ruuvi(1)})
    assert not world.hear(rssi=-90)
    sensor = world.sensors.known[TAG]
    assert (sensor.rssi, sensor.last_heard) == ({"hci0": -90}, 1.0)


def test_faults_are_news_with_their_name() -> None:
    world = World()
    (news,) = world.hear({0x0499: b"\x05\x00"})
    assert isinstance(news.outcome, AdvertFault)
    assert news.outcome.fault is Fault.TRUNCATED
    assert world.sensors.known[TAG].faults == 1
    assert world.sensors.known[TAG].formats == {}


def test_allowed_by_address_or_by_format() -> None:
    other = "AA:AA:AA:AA:AA:AA"
    by_address = World(Allow(addresses=frozenset({TAG})))
    assert by_address.hear({0x0757: b"\x12\x39\x06"})
    assert not by_address.hear({0x0499: ruuvi(1)}, address=other)
    assert other not in by_address.sensors.known
    by_format = World(Allow(formats=("ruuvi",)))
    assert by_format.hear({0x0499: ruuvi(1)}, address=other)
    assert not by_format.hear({0x0757: b"\x12\x39\x06"})


def sealed(counter: int) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESCCM

    count = counter.to_bytes(4, "little")
    nonce = bytes.fromhex(SEALED_SENDER.replace(":", "")) + b"\xd2\xfc\x41" + count
    box = AESCCM(KEY, tag_length=4).encrypt(nonce, bytes.fromhex("02ca09"), None)
    return b"\x41" + box[:-4] + count + box[-4:]


def test_encrypted_sensors_are_opened_with_their_key_and_not_replayed() -> None:
    world = World(keys={SEALED_SENDER: KEY})
    (news,) = world.hear(service={BTHOME: SEALED}, address=SEALED_SENDER)
    assert isinstance(news.outcome, Decoded)
    world = World(keys={SEALED_SENDER: KEY})
    assert world.hear(service={BTHOME: sealed(100)}, address=SEALED_SENDER)
    assert not world.hear(service={BTHOME: sealed(100)}, address=SEALED_SENDER)
    assert world.hear(service={BTHOME: sealed(101)}, address=SEALED_SENDER)
    assert not world.hear(service={BTHOME: sealed(100)}, address=SEALED_SENDER)
    sensor = world.sensors.known[SEALED_SENDER]
    assert (sensor.repeats, sensor.replays) == (1, 1)
    assert world.hear(service={BTHOME: sealed(1)}, address=SEALED_SENDER, after=RESTARTED_S)


def test_made_up_addresses_do_not_fill_the_memory(monkeypatch: object) -> None:
    world = World()
    most = sensors_module.MOST_SENSORS
    for number in range(most + 50):
        world.hear({0x0499: ruuvi(1)}, address=":".join(f"{byte:02X}" for byte in number.to_bytes(6, "big")))
    assert len(world.sensors.known) == most
    assert next(iter(world.sensors.known)).endswith("00:32")


@given(
    st.lists(
        st.tuples(
            st.dictionaries(st.sampled_from([0x0499, 0x0757, 0x004C]), st.binary(max_size=26), max_size=2),
            st.dictionaries(
                st.sampled_from([BTHOME, full_uuid(0xFEAA), full_uuid(0xFEED)]), st.binary(max_size=20)
            ),
        ),
        max_size=20,
    )
)
def test_whatever_is_reported_only_what_was_in_the_report_is_news(
    reports: list[tuple[dict[int, bytes], dict[str, bytes]]],
) -> None:
    world = World()
    for manufacturer, service in reports:
        for news in world.hear(manufacturer, service):
            if isinstance(news.outcome, Decoded):
                assert news.at == world.now
                assert manufacturer or service
