"""`aurora-gateway install`, into the root of an image: what is put there, and what stays when it is taken away."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.commands.install import udev_steps

ROOT = Path(__file__).parents[2]
PLACED = (
    "etc/systemd/system/aurora-gateway.service",
    "etc/systemd/system/aurora-gateway-retry.service",
    "etc/systemd/system/aurora-radio-reset.path",
    "etc/systemd/system/aurora-radio-reset.service",
    "etc/sysusers.d/aurora.conf",
    "etc/tmpfiles.d/aurora.conf",
    "etc/udev/rules.d/77-aurora.rules",
    "etc/systemd/system.conf.d/50-aurora.conf",
    "etc/systemd/journald.conf.d/50-aurora.conf",
)


def install(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "gateway.cli",
        "install",
        "--root",
        str(root),
        "--programs",
        "/opt/a/bin",
        *words,
    ]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=50)


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The least that an image has: a list of users and groups."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (tmp_path / "etc/group").write_text("root:x:0:\ndialout:x:20:\n")
    return tmp_path


class TestInstall:
    def test_everything_is_in_its_place(self, image: Path) -> None:
        done = install(image)
        assert done.returncode == 0, done.stdout + done.stderr
        for name in PLACED:
            assert (image / name).is_file(), name
            assert f"write     {image / name}" in done.stdout
        unit = (image / PLACED[0]).read_text()
        assert "ExecStart=/opt/a/bin/aurora-gateway run /etc/aurora-gateway/site.toml" in unit
        if shutil.which("systemctl"):
            wanted = image / "etc/systemd/system/multi-user.target.wants/aurora-gateway.service"
            assert wanted.is_symlink(), "enabled: it starts with the machine"

    @pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="SYSTEMD IS NOT HERE: no user is made")
    def test_the_user_is_made_with_its_groups_and_folder(self, image: Path) -> None:
        install(image)
        users = (image / "etc/passwd").read_text()
        assert "\naurora:" in users
        groups = {line.split(":")[0]: line.split(":")[3] for line in (image / "etc/group").read_text().splitlines()}
        assert groups["dialout"] == groups["gpio"] == "aurora"
        folder = (image / "etc/aurora-gateway").stat()
        assert folder.st_mode & 0o777 == 0o770

    def test_once_more_changes_nothing(self, image: Path) -> None:
        install(image)
        before = tree(image)
        done = install(image)
        assert done.returncode == 0
        assert done.stdout.count("same ") == len(PLACED)
        assert tree(image) == before

    def test_an_older_version_is_replaced(self, image: Path) -> None:
        install(image)
        done = install(image, "--programs", "/opt/b/bin")
        assert f"replace   {image / PLACED[0]}" in done.stdout
        assert "/opt/b/bin" in (image / PLACED[0]).read_text()

    def test_what_somebody_edited_is_kept_unless_forced(self, image: Path) -> None:
        install(image)
        unit = image / PLACED[0]
        unit.write_text(unit.read_text().replace("WatchdogSec=30", "WatchdogSec=60"))
        done = install(image)
        assert "KEPT" in done.stdout
        assert "WatchdogSec=60" in unit.read_text()
        install(image, "--force")
        assert "WatchdogSec=30" in unit.read_text()

    def test_a_dry_run_shows_all_and_does_nothing(self, image: Path) -> None:
        before = tree(image)
        done = install(image, "--dry-run")
        assert done.returncode == 0
        assert done.stdout.count("write ") == len(PLACED)
        assert tree(image) == before

    def test_the_receiver_of_a_cluster(self, image: Path) -> None:
        assert install(image, "--cluster").returncode == 0
        for name in ("", "-receiver@", "-follow", "-fleet", "-notary", "-desk", "-crl", "-handon"):
            assert (image / f"etc/systemd/system/aurora-cluster{name}.service").is_file()
        assert (image / "etc/systemd/system/aurora-cluster-crl.timer").is_file()
        # The first is enabled; who wants several receivers, or what is derived, says so.
        enabled = {path.name for path in (image / "etc/systemd/system").glob("*.wants/*")}
        assert enabled <= {"aurora-cluster.service"}
        assert not (image / PLACED[0]).exists()


class TestUdev:
    def test_where_it_runs_it_takes_the_rules(self, tmp_path: Path) -> None:
        (tmp_path / "control").touch()
        words = " ".join(step.words for step in udev_steps(Path("/"), tmp_path / "control"))
        assert "control --reload" in words
        assert "trigger --subsystem-match=tty" in words

    def test_a_container_without_it_is_no_failure(self, tmp_path: Path) -> None:
        (step,) = udev_steps(Path("/"), tmp_path / "control")
        assert step.words.startswith("SKIPPED")
        assert not step.command


class TestUninstall:
    def test_data_settings_and_user_stay(self, image: Path) -> None:
        install(image)
        for name in ("etc/aurora-gateway/site.toml", "var/lib/aurora-gateway/journal.db"):
            (image / name).parent.mkdir(parents=True, exist_ok=True)
            (image / name).write_text("precious")
        done = install(image, "--uninstall")
        assert done.returncode == 0, done.stderr
        left = tree(image)
        assert not any(name in left for name in PLACED)
        assert not list((image / "etc/systemd").rglob("aurora*"))
        assert left["etc/aurora-gateway/site.toml"] == left["var/lib/aurora-gateway/journal.db"] == b"precious"
        assert "kept:" in done.stdout

    def test_twice_is_no_fault(self, image: Path) -> None:
        install(image)
        install(image, "--uninstall")
        done = install(image, "--uninstall")
        assert done.returncode == 0
        assert done.stdout.count("not there") == len(PLACED)

    def test_an_edited_file_is_not_thrown_away(self, image: Path) -> None:
        install(image)
        with (image / PLACED[4]).open("a") as rules:
            rules.write("# ours\n")
        assert "KEPT" in install(image, "--uninstall").stdout
        assert (image / PLACED[4]).exists()
        install(image, "--uninstall", "--force")
        assert not (image / PLACED[4]).exists()
