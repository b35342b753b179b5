"""Benchmark suite: the gateway beside two anchors on the same simulated site (docs/performance.md)."""
