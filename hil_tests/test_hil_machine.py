"""The virtual machine itself: what the other tests take for granted."""

from vm.machine import Machine


def test_debian_with_systemd_runs(machine: Machine) -> None:
    assert machine.run("systemctl is-system-running --wait", check=False).stdout.strip() in {"running", "degraded"}
    assert machine.run("cat /etc/debian_version").stdout.startswith("12")


def test_status_and_output_of_a_command_come_through(machine: Machine) -> None:
    done = machine.run("echo out; echo err >&2; exit 7", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")


def test_the_gateway_runs_there_with_its_dependencies(machine: Machine) -> None:
    assert "xy-md02" in machine.python("-m gateway.cli models").stdout
