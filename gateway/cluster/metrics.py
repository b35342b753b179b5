"""What a receiver tells Prometheus: is it at work, how much, and what it does not take."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.errors import ConfigError, Problem

if TYPE_CHECKING:
    from gateway.cluster.receiver import ReceiverStats

__all__ = ["metric_names", "serve_metrics"]


class _Receiver(Collector):
    """Reads plain counters of a running receiver, from whatever thread asks."""

    def __init__(self, stats: "ReceiverStats") -> None:
        self._stats = stats

    def collect(self) -> Iterator[Metric]:
        """One family after the other."""
        stats = self._stats
        yield GaugeMetricFamily(
            "aurora_cluster_connected", "1 while the broker is connected.", float(stats.connected)
        )
        for name, words, value in (
            ("connects", "Connections to the broker made.", stats.connects),
            ("messages", "Messages written and acknowledged to the broker.", stats.messages),
            ("received_bytes", "Bytes in those messages.", stats.bytes_received),
            ("groups", "Transactions that these messages were written in.", stats.groups),
            ("answers", "Receipts and refusals sent.", stats.answers),
            ("failures", "Times that broker or store failed and everything began again.", stats.failures),
        ):
            yield CounterMetricFamily(f"aurora_cluster_{name}", words, value)
        refusals = CounterMetricFamily(
            "aurora_cluster_refusals", "Messages that were not taken, by reason.", labels=["reason"]
        )
        for reason, times in list(stats.refusals.items()):
            refusals.add_metric([reason], times)
        yield refusals
        unsent = CounterMetricFamily(
            "aurora_cluster_answers_refused",
            "Answers that the broker did not take, by its reason.",
            labels=["code"],
        )
        for code, times in list(stats.refused.items()):
            unsent.add_metric([str(code)], times)
        yield unsent
        committed = GaugeMetricFamily(
            "aurora_cluster_committed_timestamp_seconds", "When the last transaction was on the disk, Unix seconds."
        )
        if stats.committed_ms is not None:
            committed.add_metric([], stats.committed_ms / 1000)
        yield committed


def metric_names(stats: "ReceiverStats") -> set[str]:
    """The names under which samples can appear."""
    return {family.name + ("_total" if family.type == "counter" else "") for family in _Receiver(stats).collect()}


def serve_metrics(stats: "ReceiverStats", listen: str) -> int:
    """Serve them at ``HOST:PORT`` from a thread until the process ends; returns the port. Raises `ConfigError`."""
    host, _, port = listen.rpartition(":")
    registry = CollectorRegistry()
    registry.register(_Receiver(stats))
    try:
        server, _ = start_http_server(int(port), host or "127.0.0.1", registry)
    except (ValueError, OverflowError, OSError) as error:
        problem = Problem("metrics", f"cannot listen at {listen!r} ({error})", "write HOST:PORT of a free port")
        raise ConfigError("flags", [problem]) from error
    return int(server.server_port)
