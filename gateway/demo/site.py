"""The site file of the demonstration."""

import json
from collections.abc import Iterator
from pathlib import Path

from gateway.demo.pki import Certificate
from gateway.site import Identity

__all__ = ["IDENTITY", "SPEED", "site_text"]

SPEED = 20.0
"""Simulated seconds a second."""
IDENTITY = Identity(member="demo-dairy", site="plant-1", gateway="gw-0001")

SITE = """\
# The site of the demonstration: a simulated plant on one Modbus TCP endpoint and one RTU line.
[gateway]
member = "{member}"
site = "{site}"
id = "{gateway}"
data_dir = "gateway"

[cluster]
broker = "mqtts://127.0.0.1:{broker}"
ca = "{pki.ca}"
certificate = "{pki.certificate}"
key = "{pki.key}"
receipt_key = "cluster.pem"

[clock]                    # this machine's clock is taken at its word; on a real gateway leave this out
source = "host"
error_s = 1.0

[web]
listen = "127.0.0.1:{page}"
open_view = true           # of the demonstration: anyone on this machine may look without signing in

[[bus]]
id = "controllers"
type = "modbus-tcp"
host = "127.0.0.1"
port = {tcp}

[[bus]]
id = "line-1"
type = "modbus-rtu"
device = "{rtu}"
baud = 9600
parity = "N"
timeout_s = 0.5

"""

ROOM = "air s3 s4 s5 setpoint defrost door_alarm"
DEVICES = (
    ("room-1-controller", "controllers", "danfoss-ekc202d", 1, 1, ROOM),
    ("room-2-controller", "controllers", "danfoss-ekc202d", 2, 1, ROOM),
    ("freezer-controller", "controllers", "eliwell-idplus", 3, 1, "pb1 pb2 setpoint door defrost compressor"),
    ("energy-meter", "controllers", "eastron-sdm120", 10, 5, "voltage current power import"),
    ("room-1-climate", "line-1", "xy-md02", 1, 2, "temperature humidity"),
    ("room-2-climate", "line-1", "xy-md02", 2, 2, "temperature humidity"),
    ("core-probes", "line-1", "r4dcb08", 3, 5, "t1 t2 t3 t4 t5 t6"),
    ("pasteuriser-probes", "line-1", "pta8c04", 4, 1, "t1 t2 t3 t4"),
    ("pasteuriser-valve", "line-1", "waveshare-di8", 5, 1, "di1 di2 di3"),
)
"""Device id, bus, model, unit id, period in seconds, channels."""

CALIBRATION = """\
[device.calibration.t2]
certificate = "DEMO-0001"
valid_until = 2099-12-31
points = [[20.1, 20.0], [72.2, 72.0], [90.4, 90.1]]
"""

POINTS = """\
# The plant's time runs {speed:g} times as fast as ours, so the profile's delays are shortened as much.
[[profile]]
id = "demo-dairy"
base = "pasteurised-dairy"
title = "Chilled dairy, delays shortened for the demonstration"
reason = "simulated plant"

[profile.limits]
high-critical = {{ limit = 6.0, delay = "{critical}s" }}
high-alert = {{ limit = 5.0, delay = "{alert}s" }}
deficit = {{ limit = 0.0, delay = "{alert}s" }}

[[point]]
id = "cold-room-1"
name = "Cold room 1"
channel = "room-1-controller.air"
profile = "demo-dairy"

[[point]]
id = "cold-room-2"
name = "Cold room 2"
channel = "room-2-controller.air"
profile = "demo-dairy"

[[point]]
id = "freezer"
name = "Freezer"
channel = "freezer-controller.pb1"
profile = "quick-frozen"

[[point]]
id = "pasteuriser-outlet"
name = "Pasteuriser, end of holding tube"
channel = "pasteuriser-probes.t2"
critical = true
profile = "pasteurisation"
"""


def site_text(*, broker: int, tcp: int, page: int, rtu: Path, pki: Certificate) -> str:
    """The file for these ports, this serial line and these certificates."""
    head = SITE.format(
        member=IDENTITY.member,
        site=IDENTITY.site,
        gateway=IDENTITY.gateway,
        broker=broker,
        tcp=tcp,
        page=page,
        rtu=rtu,
        pki=pki,
    )
    return head + "\n".join(_tables())


def _tables() -> Iterator[str]:
    for name, bus, model, unit, period, channels in DEVICES:
        yield (
            f'[[device]]\nid = "{name}"\nbus = "{bus}"\nmodel = "{model}"\nunit = {unit}\nperiod_s = {period}\n'
            f"channels = {json.dumps(channels.split())}\n"
        )
        if name == "pasteuriser-probes":
            yield CALIBRATION
    yield POINTS.format(speed=SPEED, alert=round(45 * 60 / SPEED), critical=round(60 * 60 / SPEED))
