"""What a site file amounts to, in a few lines for the person who wrote it."""

from firmware_interfaces.modbus.model import load_model
from gateway.config.kinds import KINDS, Kind
from gateway.config.wire import line_load, reads_of
from gateway.site import BusSpec, DeviceSpec, OutputSpec, PointSpec, Site

__all__ = ["explain"]


def explain(site: Site) -> str:
    """Devices with their reads and values a second, load of the lines, points, and where it all goes."""
    other = {bus.id for bus in site.buses if bus.kind in KINDS}
    models = {
        name: load_model(name) for name in {device.model for device in site.devices if device.bus not in other}
    }
    lines = [f"{site.identity.urn}, site {site.identity.site}; records in {site.data_dir}"]
    values_s = 0.0
    for bus in site.buses:
        mine = [device for device in site.devices if device.bus == bus.id]
        if (kind := KINDS.get(bus.kind)) is not None:
            lines.append(f"bus {bus.id}: {kind.place(bus)}")
            for device in mine:
                title, count = _title_and_values(kind, device)
                values_s += count * 1000 / device.period_ms
                lines.append(
                    f"  {device.id}: {title}, {_many(count, 'value')} every {device.period_ms / 1000:g} s"
                    f"{_calibrated(len(device.calibration))}"
                )
            continue
        load = line_load(bus, [(device, models[device.model]) for device in mine])
        lines.append(f"bus {bus.id}: {_place(bus)}{_load(bus, load)}")
        for device in mine:
            model = models[device.model]
            count = len(device.channels or model.channels)
            reads = len(reads_of(model, device.channels))
            values_s += count * 1000 / device.period_ms
            lines.append(
                f"  {device.id}: {model.title}, unit {device.unit}, {_many(count, 'value')} in"
                f" {_many(reads, 'read')} every {device.period_ms / 1000:g} s{_calibrated(len(device.calibration))}"
            )
    for point in site.points:
        device = next(device for device in site.devices if device.id == point.device)
        words = "critical point" if point.critical else "point"
        bare = point.critical and point.channel not in device.calibration
        remark = " (no calibration on record: its values will be marked uncertain)" if bare else ""
        lines.append(f"{words} {point.id}: {point.name} = {point.device}.{point.channel}{remark}{_judged(point)}")
    for process in site.processes:
        where = process.point if process.point is not None else f"{process.device}.{process.channel}"
        lines.append(f"process {process.id}: {process.calculation} on {where}, {process.tier}")
    for scanner in site.scanners:
        way = "into" if scanner.direction == "in" else "out of"
        lines.append(f"scanner {scanner.id}: lots {way} {scanner.point}, {scanner.device}")
    lines.append(f"together {values_s:.3g} values a second, {values_s * 86400:,.0f} a day")
    lines.append(_uplink(site))
    lines += [_told(site, output) for output in site.outputs]
    lines.append(f"page and metrics: http://{site.web.host}:{site.web.port}/" if site.web else "page: switched off")
    if site.clock.source == "host":
        lines.append(f"time: taken from the host on the operator's word, within {site.clock.error_s:g} s")
    return "\n".join(lines)


def _title_and_values(kind: Kind, device: DeviceSpec) -> tuple[str, int]:
    model = kind.load(device.model)
    whom = device.address or (f"unit {device.unit}" if device.unit else "")
    return f"{model.title}{whom and ', '}{whom}", len(device.channels or model.channels)


def _judged(point: PointSpec) -> str:
    if point.profile is None:
        return "; recorded, not judged"
    return f"; judged by {point.profile.id} ({', '.join(point.profile.rules)})"


def _place(bus: BusSpec) -> str:
    line = f"{bus.baud} baud, 8{bus.parity}{bus.stop_bits}"
    if bus.kind == "modbus-rtu":
        return f"serial line {bus.device}, {line}"
    if bus.kind in {"modbus-tcp", "modbus-tls"}:
        way = "Modbus TCP" if bus.kind == "modbus-tcp" else "Modbus over TLS"
        return f"{way} {bus.host}:{bus.port}{', connection given back after each poll' if bus.release else ''}"
    return f"serial line behind {bus.host}:{bus.port} (taken to run at {line})"


def _load(bus: BusSpec, load: float) -> str:
    if bus.kind in {"modbus-tcp", "modbus-tls"}:
        return ""
    return f"; line busy for {load:.1%} of the time, without the devices' own delay"


def _calibrated(count: int) -> str:
    return f", {_many(count, 'channel')} calibrated" if count else ""


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _told(site: Site, output: OutputSpec) -> str:
    rules = [rule for rule in site.notify if rule.output == output.id]
    recipients = {recipient for rule in rules for recipient in rule.to or output.to}
    to = f" to {_many(len(recipients), 'recipient')}" if recipients else ""
    return f"output {output.id}: {output.type}{to}, by {_many(len(rules), 'rule')}"


def _uplink(site: Site) -> str:
    if site.cluster is None:
        return "cluster: none; everything is recorded and signed, nothing is sent"
    way = "mutual TLS" if site.cluster.certificate is not None else "no TLS"
    return f"cluster: {site.cluster.host}:{site.cluster.port}, {way}, as {site.identity.client}"
