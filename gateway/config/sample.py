"""The commented sample: what `aurora-gateway check --sample` prints, and what the documentation shows."""

from importlib.resources import files

__all__ = ["sample_site"]


def sample_site() -> str:
    """Text of a complete site file, which passes its own check."""
    return files("gateway.config").joinpath("sample.toml").read_text(encoding="utf-8")
