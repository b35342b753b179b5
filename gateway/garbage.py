"""How the programs collect garbage."""

import gc

__all__ = ["settle"]


def settle() -> None:
    """To be called when everything is imported: what is there lives as long as the process.

    Scans and batches hold no cycles, so that there is little to look for, and rarely.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
