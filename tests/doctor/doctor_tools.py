"""A machine made of files, as the kernel shows one."""

from pathlib import Path

from gateway.doctor.machine import Machine
from gateway.site import BusSpec, ClusterSpec, Identity, Site

BOOT = "5f2c1a0e9d8b4c7aa1b2c3d4e5f60718"


def machine(root: Path, **files: str) -> Machine:
    """A machine whose files are named by their path, with ``__`` for the slash."""
    for name, content in files.items():
        write(root, name.replace("__", "/"), content)
    return Machine(root)


def write(root: Path, path: str, content: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)


def disk(root: Path, data_dir: Path, *, kind: str = "ext4", options: str = "rw", **card: str) -> Machine:
    """A machine that has ``data_dir`` on the second partition of an SD card."""
    write(
        root,
        "proc/self/mountinfo",
        f"36 1 179:2 / {data_dir} {options} shared:1 - {kind} /dev/mmcblk0p2 {options}\n",
    )
    block = root / "sys/devices/mmc/block/mmcblk0"
    write(root, "sys/devices/mmc/block/mmcblk0/size", f"{32_000_000_000 // 512}\n")
    write(root, "sys/devices/mmc/block/mmcblk0/mmcblk0p2/partition", "2\n")
    for name, content in {
        "cid": "1b534d30303030",
        "type": "SD",
        "name": "SD32G",
        "date": "03/2025",
        **card,
    }.items():
        write(root, f"sys/devices/mmc/block/mmcblk0/device/{name}", content)
    for link, target in (
        ("sys/class/block/mmcblk0", block),
        ("sys/dev/block/179:2", block / "mmcblk0p2"),
    ):
        (root / link).parent.mkdir(parents=True, exist_ok=True)
        if not (root / link).is_symlink():
            (root / link).symlink_to(target)
    return Machine(root)


def site(folder: Path, *buses: BusSpec, cluster: ClusterSpec | None = None) -> Site:
    return Site(
        identity=Identity(member="m", site="s", gateway="g"),
        data_dir=folder,
        buses=buses,
        devices=(),
        cluster=cluster,
        digest="00" * 32,
    )


def line(device: str | Path, parity: str = "N") -> BusSpec:
    return BusSpec(id="line-1", kind="modbus-rtu", device=str(device), parity=parity)  # type: ignore[arg-type]
