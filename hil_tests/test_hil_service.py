"""The service under a real systemd: installed, set up, started, hung, restarted, stopped, taken away."""

import re
from collections.abc import Iterator

import pytest
from service_box import UNIT, enrol, install, log, show, start, stop, until
from vm.container import Container
from vm.machine import Machine


@pytest.fixture(scope="module")
def box(machine: Machine) -> Iterator[Machine]:
    """A machine with the programs, the unit and a simulated probe."""
    install(machine)
    yield machine
    machine.run(f"systemctl stop {UNIT} plant", check=False)


@pytest.fixture(scope="module")
def enrolled(box: Machine) -> Machine:
    """Set up from a stick, as a new box is."""
    enrol(box)
    return box


def speed(box: Machine) -> str:
    return "" if isinstance(box, Container) else ", on an emulated processor"


def pid(box: Machine) -> int:
    return int(show(box, "MainPID"))


class TestInstalled:
    def test_the_unit_is_enabled_and_systemd_finds_nothing_wrong(self, box: Machine) -> None:
        assert box.run(f"systemctl is-enabled {UNIT}").stdout.strip() == "enabled"
        box.run(f"systemd-analyze verify --recursive-errors=yes --man=no /etc/systemd/system/{UNIT}")

    def test_the_user_is_in_the_groups_of_the_ports(self, box: Machine) -> None:
        assert {"dialout", "gpio"} <= set(box.run("id -nG aurora").stdout.split())

    def test_the_rules_are_taken_by_udev(self, box: Machine) -> None:
        if isinstance(box, Container):
            pytest.skip("a container has no udev")
        done = box.run("udevadm control --reload && udevadm test /sys/class/tty/ttyS0 2>&1")
        assert "77-aurora.rules" in done.stdout
        assert not re.search(r"77-aurora\.rules:\d+ .*(nvalid|nknown)", done.stdout), done.stdout


class TestLife:
    def test_ready_means_that_scans_are_on_disk(self, enrolled: Machine) -> None:
        print(f"\nstart to ready by systemd{speed(enrolled)}: {start(enrolled):.1f} s")
        assert show(enrolled, "ActiveState") == "active"
        assert show(enrolled, "StatusText") == "1 of 1 devices answer; records reach the disk"
        assert "Traceback" not in log(enrolled)

    def test_the_sandbox_leaves_reading_the_clock_s_bound(self, enrolled: Machine) -> None:
        """adjtimex would be refused with EPERM, and the clock be counted as not synchronised."""
        if isinstance(enrolled, Container):
            pytest.skip("the container itself refuses everything about the clock")
        words = "import ctypes; print(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(208)))"
        properties = box_properties(enrolled)
        done = enrolled.run(f"systemd-run -q --pipe --wait {properties} python3 -c '{words}'")
        assert int(done.stdout) >= 0

    def test_the_page_has_the_facts_of_the_box(self, enrolled: Machine) -> None:
        read = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8080/metrics').read().decode())"
        until(lambda: "aurora_box_check{" in enrolled.run(f'python3 -c "{read}"', check=False).stdout)

    def test_a_reset_that_the_daemon_s_user_asks_for_is_tried_with_the_right_to_it(self, enrolled: Machine) -> None:
        """There is no adapter: the kernel says so, instead of refusing for want of rights."""
        folder = "/run/aurora-gateway"
        enrolled.run(f"setpriv --reuid aurora --clear-groups touch {folder}/reset-hci99")
        until(lambda: enrolled.run(f"test -e {folder}/reset-hci99", check=False).returncode == 1)
        words = enrolled.run(f"cat {folder}/failed-hci99; rm {folder}/failed-hci99").stdout
        assert "reset of hci99" in words
        assert "not permitted" not in words
        assert show(enrolled, "Result", "aurora-radio-reset.service") == "success"

    def test_a_stopped_process_is_ended_by_the_watchdog_and_started_again(self, enrolled: Machine) -> None:
        self.short_watchdog(enrolled)
        before = pid(enrolled)
        enrolled.run(f"kill -STOP {before}")
        until(lambda: pid(enrolled) not in {0, before} and show(enrolled, "ActiveState") == "active")
        assert "Watchdog timeout" in log(enrolled)

    def test_a_loop_that_stands_still_is_found_with_its_place(self, enrolled: Machine) -> None:
        self.short_watchdog(enrolled)
        before = pid(enrolled)
        enrolled.run(f"kill -USR1 {before}")
        until(lambda: pid(enrolled) not in {0, before} and show(enrolled, "ActiveState") == "active")
        assert "Fatal Python error: Aborted" in log(enrolled)

    def test_it_stops_with_a_clean_seal(self, enrolled: Machine) -> None:
        if show(enrolled, "ActiveState") != "active":
            enrolled.run(f"systemctl start {UNIT}", timeout=180)
        print(f"\nstop to stopped by systemd{speed(enrolled)}: {stop(enrolled):.1f} s")
        assert show(enrolled, "Result") == "success"
        words = (
            "from gateway.buffer.reader import Reader; from pathlib import Path; "
            "r = Reader(Path('/var/lib/aurora-gateway/journal.db')); print(len(r.rest(None)[1]), len(r.check()))"
        )
        assert enrolled.python(f'-c "{words}"').stdout.split() == ["0", "0"]

    @staticmethod
    def short_watchdog(box: Machine) -> None:
        """So that the tests need not wait for half a minute and more."""
        folder = f"/run/systemd/system/{UNIT}.d"
        if box.run(f"test -e {folder}/watchdog.conf", check=False).returncode:
            box.put({f"{folder}/watchdog.conf": b"[Service]\nWatchdogSec=8\nRestartSec=1\n"})
            box.run("systemctl daemon-reload")
            box.run(f"systemctl restart {UNIT}", timeout=180)


def box_properties(box: Machine) -> str:
    """The sandbox of the unit as properties for systemd-run."""
    text = box.run(f"cat /etc/systemd/system/{UNIT}").stdout
    names = (
        r"SystemCall\w+|Protect\w+|Private\w+|Restrict\w+|NoNewPrivileges|CapabilityBoundingSet|User|MemoryDeny\w+"
    )
    return " ".join(f"-p '{line}'" for line in text.splitlines() if re.match(rf"({names})=", line))


class TestKeys:
    def test_a_signing_key_that_only_systemd_can_read(self, enrolled: Machine) -> None:
        """Encrypted for this machine, handed over as a credential, and the record goes on under the same key."""
        key = "/var/lib/aurora-gateway/keys/aurora-gateway.key"
        enrolled.run(f"systemctl stop {UNIT}")
        enrolled.run("mkdir -p -m 700 /etc/credstore.encrypted && systemd-creds setup")
        target = "/etc/credstore.encrypted/aurora-gateway.key"
        enrolled.run(f"systemd-creds encrypt --with-key=host --name=aurora-gateway.key {key} {target}")
        enrolled.run(f"mv {key} /root/kept.key")
        enrolled.run(f"systemctl start {UNIT}", timeout=180)
        assert show(enrolled, "ActiveState") == "active", log(enrolled)[-2000:]
        assert enrolled.run(f"test -e {key}", check=False).returncode, "no other key was made"
        enrolled.run(f"systemctl stop {UNIT}; rm {target}; mv /root/kept.key {key}")


class TestFailing:
    def test_after_too_many_failures_it_rests_and_tries_again(self, enrolled: Machine) -> None:
        names = ("aurora-gateway", "aurora-gateway-retry")
        failing, resting = (f"/run/systemd/system/{name}.service.d/test.conf" for name in names)
        again = b'ExecStart=/bin/sh -c "sleep 65 && exec systemctl start --no-block aurora-gateway.service"\n'
        enrolled.put({
            failing: b"[Unit]\nStartLimitBurst=2\nStartLimitIntervalSec=60\n"
            b"[Service]\nRestartSec=100ms\nExecStart=\nExecStart=/bin/false\n",
            resting: b"[Service]\nExecStart=\n" + again,
        })  # fmt: skip
        enrolled.run("systemctl daemon-reload")
        enrolled.run(f"systemctl reset-failed {UNIT}; systemctl start {UNIT}", check=False, timeout=180)
        until(lambda: show(enrolled, "ActiveState") == "failed")
        assert show(enrolled, "ActiveState", "aurora-gateway-retry.service") == "activating"
        enrolled.run(f"rm {failing}; systemctl daemon-reload")
        until(lambda: show(enrolled, "ActiveState") == "active", 400.0)
        enrolled.run(f"rm {resting}; systemctl daemon-reload; systemctl stop {UNIT}")

    def test_stopped_by_hand_it_stays_stopped(self, enrolled: Machine) -> None:
        enrolled.run("systemctl start --no-block aurora-gateway-retry.service")
        enrolled.run(f"systemctl stop {UNIT}")
        until(lambda: show(enrolled, "ActiveState", "aurora-gateway-retry.service") != "activating")


class TestTakenAway:
    def test_the_data_stays(self, enrolled: Machine) -> None:
        enrolled.run("/opt/aurora-gateway/bin/aurora-gateway install --uninstall")
        assert enrolled.run(f"systemctl cat {UNIT}", check=False).returncode
        enrolled.run("test -s /var/lib/aurora-gateway/journal.db -a -s /etc/aurora-gateway/site.toml")
        enrolled.run("id aurora")
