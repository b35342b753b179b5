"""Ports, adapters, broker and chain: against real terminals, sockets, certificates and journals."""

import asyncio
import os
import pty
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from doctor_tools import line, machine, site, write

from gateway.clock import wall_ms
from gateway.demo.pki import Authority, Certificate
from gateway.doctor import ports, record, uplink
from gateway.doctor.machine import Machine
from gateway.identity import open_identity
from gateway.site import BusSpec, ClusterSpec, Site

NOW = datetime.fromtimestamp(wall_ms() / 1000, UTC)


class TestPorts:
    @pytest.fixture
    def terminal(self) -> Iterator[str]:
        ours, theirs = pty.openpty()
        yield os.ttyname(theirs)
        os.close(ours)
        os.close(theirs)

    def one(self, bus: BusSpec, box: Machine, folder: Path) -> tuple[str, str, str]:
        (fact,) = ports.ports(site(folder, bus), box, user="nobody-at-all")
        return fact.state, fact.words, fact.remedy

    def test_one_that_is_there(self, tmp_path: Path, terminal: str) -> None:
        assert self.one(line(terminal), Machine(tmp_path), tmp_path)[0] == "good"

    def test_one_that_is_not_plugged_in_names_those_that_are(self, tmp_path: Path) -> None:
        write(tmp_path, "dev/serial/by-id/usb-FTDI_X", "")
        state, words, remedy = self.one(line(tmp_path / "tty"), Machine(tmp_path), tmp_path)
        assert (state, "No such file" in words, "usb-FTDI_X" in remedy) == ("bad", True, True)

    def test_a_file_is_no_port(self, tmp_path: Path) -> None:
        (tmp_path / "tty").write_text("")
        assert "no serial port" in self.one(line(tmp_path / "tty"), Machine(tmp_path), tmp_path)[1]

    def test_one_that_another_program_holds_is_told_with_the_program(self, tmp_path: Path, terminal: str) -> None:
        holding = f"import sys; f = open({terminal!r}); print('held', flush=True); sys.stdin.read()"
        words = [sys.executable, "-c", holding]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "held\n"
            state, told, _ = self.one(line(terminal), Machine(), tmp_path)
            assert (state, f"({other.pid})" in told) == ("bad", True)
            other.communicate("")

    def test_the_mini_uart_has_no_parity(self, tmp_path: Path, terminal: str) -> None:
        name = Path(terminal).name
        box = machine(tmp_path)
        write(tmp_path, f"sys/class/tty/{name}/device/of_node/compatible", "brcm,bcm2835-aux-uart\0")
        assert "no parity bit" in self.one(line(terminal, "E"), box, tmp_path)[1]
        assert self.one(line(terminal, "N"), box, tmp_path)[0] == "good"

    def test_a_port_that_the_gateway_s_user_may_not_open(self, tmp_path: Path) -> None:
        ours, theirs = pty.openpty()
        path = os.ttyname(theirs)
        os.fchmod(theirs, 0o600)
        (fact,) = ports.ports(site(tmp_path, line(path)), Machine(tmp_path), user="daemon")
        os.close(ours)
        os.close(theirs)
        assert (fact.state, "usermod" in fact.remedy) == ("bad", True)


class TestAdapters:
    BUS = BusSpec(id="air", kind="ble", adapters=("hci0",))

    def facts(self, folder: Path) -> dict[str, str]:
        return {fact.id: fact.state for fact in ports.adapters(site(folder, self.BUS), Machine(folder))}

    def test_nothing_there(self, tmp_path: Path) -> None:
        assert self.facts(tmp_path) == {"adapter-hci0": "bad", "bluez": "bad"}

    def test_blocked(self, tmp_path: Path) -> None:
        machine(
            tmp_path, proc__5__comm="bluetoothd\n", sys__class__bluetooth__hci0__rfkill1__soft="1\n"
        )  # fmt: skip
        assert self.facts(tmp_path) == {"adapter-hci0": "bad"}

    @pytest.mark.parametrize(("product", "state"), [("0001", "care"), ("0002", "good")])
    def test_radios_that_are_known_to_fail(self, tmp_path: Path, product: str, state: str) -> None:
        machine(tmp_path, proc__5__comm="bluetoothd\n", sys__usb__idVendor="0a12\n", sys__usb__idProduct=product)
        (tmp_path / "sys/class/bluetooth/hci0").mkdir(parents=True)
        (tmp_path / "sys/usb/1").mkdir()
        (tmp_path / "sys/class/bluetooth/hci0/device").symlink_to(tmp_path / "sys/usb/1")
        assert self.facts(tmp_path) == {"adapter-hci0": state}

    def test_a_site_without_bluetooth_is_not_asked(self, tmp_path: Path) -> None:
        assert list(ports.adapters(site(tmp_path), Machine(tmp_path))) == []


@contextmanager
def tls_server(certificate: Certificate, *, client_ca: Path | None) -> Iterator[int]:
    """Makes handshakes on a loopback port until the end."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            with suppress(OSError):
                connection, _ = listener.accept()
                with (
                    closing(connection),
                    suppress(OSError),
                    context.wrap_socket(connection, server_side=True) as tls,
                ):
                    tls.settimeout(10)
                    tls.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1]
    ended.set()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(15)


class TestBroker:
    @pytest.fixture
    def pki(self, tmp_path: Path) -> Authority:
        return Authority(tmp_path / "pki", NOW)

    def cluster(self, port: int, own: Certificate, **changes: object) -> ClusterSpec:
        found = ClusterSpec(
            host="127.0.0.1", port=port, receipt_key=own.ca, ca=own.ca, certificate=own.certificate, key=own.key
        )  # fmt: skip
        return replace(found, **changes)  # type: ignore[arg-type]

    def states(self, cluster: ClusterSpec) -> dict[str, tuple[str, str]]:
        return {fact.id: (fact.state, fact.words) for fact in uplink.broker(cluster, wall_ms())}

    def test_a_broker_that_takes_us(self, pki: Authority) -> None:
        own = pki.client("m.g")
        with tls_server(pki.server("broker"), client_ca=pki.ca) as port:
            found = self.states(self.cluster(port, own))
        assert found["broker"][0] == "good"
        assert found["broker-certificate"][0] in {"good", "care"}

    def test_nobody_listens(self, pki: Authority) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        found = self.states(self.cluster(port, pki.client("m.g")))
        assert (found["broker"][0], "refused" in found["broker"][1]) == ("bad", True)

    def test_a_broker_of_another_authority(self, pki: Authority, tmp_path: Path) -> None:
        stranger = Authority(tmp_path / "other", NOW)
        with tls_server(stranger.server("broker"), client_ca=None) as port:
            found = self.states(self.cluster(port, pki.client("m.g")))
        assert (found["tls"][0], "not trusted" in found["tls"][1]) == ("bad", True)

    def test_a_broker_that_does_not_take_our_certificate(self, pki: Authority, tmp_path: Path) -> None:
        stranger = Authority(tmp_path / "other", NOW)
        with tls_server(pki.server("broker"), client_ca=stranger.ca) as port:
            found = self.states(self.cluster(port, pki.client("m.g")))
        assert (found["tls"][0], "refuses this gateway's certificate" in found["tls"][1]) == ("bad", True)

    def test_a_key_that_is_another_certificate_s(self, pki: Authority) -> None:
        own, other = pki.client("m.g"), pki.client("m.h")
        with tls_server(pki.server("broker"), client_ca=pki.ca) as port:
            found = self.states(self.cluster(port, own, key=other.key))
        assert (found["tls"][0], "cannot be used" in found["tls"][1]) == ("bad", True)

    def test_a_port_without_tls(self, pki: Authority) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def answer() -> None:
                connection, _ = listener.accept()
                connection.sendall(b"no TLS here\n")
                connection.close()

            thread = threading.Thread(target=answer)
            thread.start()
            found = self.states(self.cluster(listener.getsockname()[1], pki.client("m.g")))
            thread.join(10)
        assert (found["tls"][0], "no TLS" in found["tls"][1]) == ("bad", True)

    @pytest.mark.parametrize(("days", "state"), [(0.0, "care"), (-31.0, "bad"), (5.0, "bad"), (None, "unknown")])
    def test_certificate_dates(self, tmp_path: Path, days: float | None, state: str) -> None:
        """A certificate of 30 days: it ends soon, has ended, is of tomorrow, or the time is not known."""
        own = Authority(tmp_path, NOW + timedelta(days=days or 0)).client("m.g")
        facts = list(uplink.certificates(self.cluster(1, own), None if days is None else wall_ms()))
        assert {fact.state for fact in facts} == {state}

    @pytest.mark.parametrize(
        "content", [None, b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
    )
    def test_a_certificate_that_is_none(self, tmp_path: Path, content: bytes | None) -> None:
        path = tmp_path / "x.pem"
        if content is not None:
            path.write_bytes(content)
        cluster = ClusterSpec(host="x", port=1, receipt_key=path, certificate=path)
        assert [fact.state for fact in uplink.certificates(cluster, wall_ms())] == ["bad"]
        assert uplink.receipt_key(cluster).state == "bad"


class TestChain:
    @pytest.fixture
    def here(self, tmp_path: Path) -> Site:
        """A site whose gateway has run and recorded its own start and end."""
        from gateway.app import Gateway
        from gateway.clock import Clock

        here = replace(site(tmp_path), web=None)

        async def live() -> None:
            stop = asyncio.Event()
            await Gateway(here, Clock()).run(stop, stop.set)

        asyncio.run(live())
        return here

    def test_one_that_is_whole(self, here: Site) -> None:
        assert {fact.id: fact.state for fact in record.chain(here)} == {"chain-scan": "good", "chain-event": "good"}
        assert record.key(here).state == "good"

    def test_an_altered_batch_is_named(self, here: Site) -> None:
        import sqlite3

        with closing(sqlite3.connect(here.data_dir / "journal.db")) as db, db:
            db.execute("UPDATE event_batch SET leaf = zeroblob(32) WHERE seq = 0")
        words = {fact.id: (fact.state, fact.words) for fact in record.chain(here)}
        assert words["chain-event"][0] == "bad"

    def test_the_key_is_gone_or_another_s(self, here: Site, tmp_path: Path) -> None:
        key = here.data_dir / "keys/aurora-gateway.key"
        key.rename(tmp_path / "away")
        assert record.key(here).state == "bad"
        open_identity(replace(here, data_dir=tmp_path / "other"))
        (tmp_path / "other/keys/aurora-gateway.key").rename(key)
        assert "is not key" in record.key(here).words

    def test_before_the_first_start_there_is_nothing_to_say(self, tmp_path: Path) -> None:
        assert list(record.chain(site(tmp_path))) == []
        assert record.key(site(tmp_path)).state == "unknown"
