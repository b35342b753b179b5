"""The models that come with the gateway: each loads, proves itself, and decodes what others have published."""

import hashlib
from pathlib import Path

import pytest

from firmware_interfaces.errors import ModelError
from firmware_interfaces.modbus import model as front
from firmware_interfaces.modbus.decode import Decoder
from firmware_interfaces.modbus.model import DeviceModel, TestCase, list_models, load_model, run_tests
from firmware_interfaces.modbus.planner import Read, plan_reads
from firmware_interfaces.quality import Quality

NAMES = list_models()
DOCS = Path(front.__file__).parents[2] / "docs/models.md"


@pytest.fixture(params=NAMES)
def model(request: pytest.FixtureRequest) -> DeviceModel:
    return load_model(request.param)


def test_there_are_enough_of_them() -> None:
    assert len(NAMES) >= 16
    assert sorted(NAMES) == NAMES
    assert "generic-registers-20" in NAMES


def test_passes_its_own_tests(model: DeviceModel) -> None:
    assert [str(failure) for failure in run_tests(model)] == []


def test_each_quantity_is_proven(model: DeviceModel) -> None:
    proven = {key for test in model.tests for key in test.expect}
    assert proven >= set(model.channels)
    assert proven >= {register.key for register in (*model.identity, *model.audit)}


def test_each_fault_is_proven(model: DeviceModel) -> None:
    """What can be a sensor fault or out of range is shown to be one."""
    shown = {(key, value) for test in model.tests for key, value in test.expect.items()}
    for channel in model.channels.values():
        if channel.invalid or channel.faults:
            assert (channel.key, Quality.SENSOR_FAULT) in shown or same_kind(model, channel.key, shown)


def same_kind(model: DeviceModel, key: str, shown: set[tuple[str, object]]) -> bool:
    """A sibling with the same rules has been shown to fail (probe 2 of 8)."""
    one = model.channels[key]
    return any(
        (other.key, Quality.SENSOR_FAULT) in shown
        for other in model.channels.values()
        if other.invalid == one.invalid and len(other.faults) == len(one.faults) and other.type == one.type
    )


def test_temperatures_are_proven_below_zero(model: DeviceModel) -> None:
    degrees = {key for key, channel in model.channels.items() if channel.unit == "degC"}
    below = [
        value
        for test in model.tests
        for key, value in test.expect.items()
        if key in degrees and isinstance(value, float) and value < 0
    ]
    assert below or not degrees


def test_names_where_its_facts_come_from(model: DeviceModel) -> None:
    assert len(model.source) > 20
    assert model.id in NAMES


def test_is_listed_in_the_documentation(model: DeviceModel) -> None:
    assert f"| `{model.id}` | {model.title} | {model.source} |" in DOCS.read_text(encoding="utf-8")


def test_carries_the_hash_of_its_bytes(model: DeviceModel) -> None:
    path = Path(front.__file__).parent / "models" / f"{model.id}.toml"
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert load_model(path) == model


def test_nothing_can_be_written(model: DeviceModel) -> None:
    assert not any(channel.writable for channel in model.channels.values())


PUBLISHED = [
    # model, channel, function, data bytes of the answer, value. Frames whose CRC was verified, then one whose
    # values were published without the CRC.
    # chmelat/r4dcb08@07a2d48, doc/R4DCB08 modbus rtu protocol.pdf
    ("r4dcb08", "t1", "00db", 21.9),
    ("r4dcb08", "t2", "ff90", -11.2),
    ("r4dcb08", "correction1", "0064", 10.0),
    ("r4dcb08", "correction2", "fff1", -1.5),
    ("r4dcb08", "t1", "8000", Quality.SENSOR_FAULT),
    # new.juyingele.com/en/service/2180
    ("dampt100", "t1", "09ef", 25.43),
    # product page of the SHT40 version, values printed there
    ("xy-md02", "temperature", "0131", 30.5),
    ("xy-md02", "temperature", "ff33", -20.5),
    ("xy-md02", "humidity", "0222", 54.6),
    # Novus RHT-WM-485-LCD manual, register 16
    ("novus-rht-485", "temperature", "d8f1", Quality.SENSOR_FAULT),
    # wb-mqtt-serial@7f7a2d4, Eliwell IDPlus, address 295
    ("eliwell-idplus", "pb1", "8000", Quality.SENSOR_FAULT),
]


@pytest.mark.parametrize(("name", "key", "data", "expected"), PUBLISHED)
def test_published_answers_decode(name: str, key: str, data: str, expected: float | Quality) -> None:
    model = load_model(name)
    channel = {c.key: c for c in (*model.channels.values(), *model.audit)}[key]
    (read,) = plan_reads(model, (channel,))
    values, quality = Decoder((channel,), (read,)).decode([bytes.fromhex(data)], [Quality.GOOD])
    if isinstance(expected, Quality):
        assert quality[0] == expected
    else:
        assert (values[0], quality[0]) == (expected, Quality.GOOD)


@pytest.mark.parametrize(
    ("name", "key", "request_pdu"),
    [
        ("r4dcb08", "t1", "0300000001"),
        ("r4dcb08", "t2", "0300010001"),
        ("r4dcb08", "correction1", "0300080001"),
        ("dampt100", "t1", "0400000001"),
        ("xy-md02", "temperature", "0400010001"),
        ("eliwell-idplus", "pb1", "0301270001"),
        # "register 0x31 is physically sent as value 0x30", Comet T3311 manual, page 8
        ("comet-t33xx", "temperature", "0300300001"),
        ("comet-tx6xx", "temperature", "0300310001"),
        # register number 1 = address 0, Vaisala M212287EN page 118
        ("vaisala-hmp", "humidity", "0300000002"),
    ],
)
def test_asks_for_the_address_that_the_source_sends(name: str, key: str, request_pdu: str) -> None:
    model = load_model(name)
    channel = {c.key: c for c in (*model.channels.values(), *model.audit)}[key]
    sent = bytes.fromhex(request_pdu)
    expected = Read(sent[0], int.from_bytes(sent[1:3], "big"), int.from_bytes(sent[3:5], "big"))
    assert any(read == expected for read in plan_reads(model, (channel,)))


def test_the_door_of_siblings_is_not_the_same_register() -> None:
    """The alarms of the EKC family shift by one between models: the trap that a copied file falls into."""
    assert load_model("danfoss-ekc202d").channels["door_alarm"].address == 20006
    assert load_model("danfoss-ekc204a1").channels["door_alarm"].address == 20007


def test_a_model_that_lies_is_caught(tmp_path: Path) -> None:
    text = (Path(front.__file__).parent / "models/xy-md02.toml").read_text(encoding="utf-8")
    path = tmp_path / "xy-md02.toml"
    path.write_text(text.replace("scale = 0.1", "scale = 0.01", 1), encoding="utf-8")
    failures = run_tests(load_model(path))
    assert [(failure.key, failure.expected, failure.got) for failure in failures] == [
        ("temperature", 30.5, 3.05),
        ("temperature", -20.5, -2.05),
        ("temperature", Quality.OUT_OF_RANGE, 12.51),
    ]
    assert str(failures[0]) == "vendor's example: temperature is 3.05, not 30.5"


def test_a_test_must_name_the_registers_of_what_it_expects() -> None:
    model = load_model("xy-md02")
    silent = TestCase("says nothing", {}, {"humidity": 0.0})
    (failure,) = run_tests(DeviceModel(**{f: getattr(model, f) for f in FIELDS} | {"tests": (silent,)}))
    assert failure.got == "registers that the test does not name"


FIELDS = ("id", "title", "maker", "source", "sha256", "link", "channels", "identity", "audit")


def test_a_fault_is_not_taken_for_its_number() -> None:
    """SENSOR_FAULT is 133 as a number; a test that expects 133 must not pass on a fault."""
    model = load_model("generic-registers-20")
    cells = {(3, 0): 133}
    wrong = TestCase("fault expected", cells, {"r0": Quality.SENSOR_FAULT})
    (failure,) = run_tests(DeviceModel(**{f: getattr(model, f) for f in FIELDS} | {"tests": (wrong,)}))
    assert failure.got == 133.0


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(ModelError) as caught:
        load_model("danfoss-ekc202")
    (problem,) = caught.value.problems
    assert "no model 'danfoss-ekc202'" in problem.what
    assert problem.remedy == "did you mean 'danfoss-ekc202d'?"


def test_a_missing_file_is_told_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        load_model(tmp_path / "gone.toml")
    assert caught.value.source == str(tmp_path / "gone.toml")
    assert caught.value.problems[0].what == "No such file or directory"


def test_the_example_in_the_readme_works(tmp_path: Path) -> None:
    readme = Path(front.__file__).with_name("README.md").read_text(encoding="utf-8")
    example = readme.split("```toml\n")[1].split("```")[0]
    path = tmp_path / "acme-12.toml"
    path.write_text(example, encoding="utf-8")
    assert run_tests(load_model(path)) == []
