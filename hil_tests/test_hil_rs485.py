"""What only a wire can prove: that frames come whole, in time, and never as somebody else's."""

from conftest import Line

from firmware_interfaces.modbus.device import ModbusDevice
from firmware_interfaces.modbus.model import load_model
from firmware_interfaces.modbus.rtu import SerialLink
from firmware_interfaces.quality import Quality

POLLS = 50


async def test_fifty_polls_without_a_damaged_frame(line: Line) -> None:
    link = SerialLink(line.device, baud=line.baud, parity="N", stop_bits=1)
    await link.open(3.0)
    device = ModbusDevice(link, line.unit, load_model("xy-md02"))
    try:
        for _ in range(POLLS):
            answer = await device.poll(1.0)
            assert set(answer.quality) == {Quality.GOOD}
            assert -40 <= answer.values[0] <= 80
    finally:
        link.close()
    assert (link.stats.answers, link.stats.bad_frames, link.stats.timeouts) == (POLLS, 0, 0)


async def test_the_port_can_be_opened_again_at_once(line: Line) -> None:
    for _ in range(3):
        link = SerialLink(line.device, baud=line.baud, parity="N", stop_bits=1)
        await link.open(3.0)
        await ModbusDevice(link, line.unit, load_model("xy-md02")).poll(1.0)
        link.close()
