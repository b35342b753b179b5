"""Anomaly detectors for many channels: a bank of them, compiled where there is a compiler.

Work per value and memory per channel are constant, time is in seconds and may be irregular, nothing looks ahead and
nothing needs to know the range of a stream. ``anomaly_twin.py`` has the arithmetic, ``anomaly_core.h`` the same for
the compiler, ``_anomaly.pyx`` the compiled bank; docs/anomaly.md says what a score means.
"""

from collections.abc import Mapping, MutableSequence, Sequence

from gateway_core import compiled, snapshots
from gateway_core.anomaly_state import DOUBLES, HEAD_BYTES, State, freeze, thaw
from gateway_core.anomaly_twin import update
from gateway_core.anomaly_words import THRESHOLD, Config, Explanation, Verdict

__all__ = ["THRESHOLD", "Bank", "Config", "Explanation", "PureBank", "Verdict", "carried"]


class PureBank:
    """Detectors for ``channels`` channels with the same settings. Not safe for use from several threads at once.

    Raises `ValueError` for a number of channels below 1 and for settings that do not hold.
    """

    def __init__(self, channels: int, config: Config = Config()) -> None:  # noqa: B008 - immutable
        if channels < 1:
            raise ValueError(f"a bank has at least one channel, not {channels}")
        config.check()
        self.channels = channels
        self.config = config
        self._states = [State() for _ in range(channels)]

    @property
    def channel_bytes(self) -> int:
        """Memory that a channel takes in the compiled bank, and in a snapshot."""
        return 8 * DOUBLES

    def update(self, channel: int, t_s: float, x: float, usable: bool = True, expected: bool = False) -> float:
        """Judge one value: ``t_s`` in seconds, ``x`` in the channel's unit.

        Returns a score in [0, 1]: 0 where nothing is outside, `THRESHOLD` and above where an advisory begins, and
        NaN where nothing is judged (not usable, not finite, a second value for the same instant). ``expected``
        marks a value in a labelled excursion, which is neither alarmed nor learned from. Raises `ValueError` for a
        channel that does not exist.
        """
        self._check(channel)
        return update(self.config, self._states[channel], t_s, x, usable=usable, expected=expected)

    def update_many(
        self,
        channel: Sequence[int],
        t_s: Sequence[float],
        x: Sequence[float],
        usable: Sequence[int],
        score: MutableSequence[float],
        *,
        expected: Sequence[int] | None = None,
    ) -> None:
        """Judge many values in the order given, as `update` does, and write the scores into ``score``.

        Arrays of int32, double, double, uint8, double (written) and uint8. A channel may come more than once.
        Raises `ValueError`, before any value is judged, for unequal lengths or a channel that does not exist.
        """
        count = len(channel)
        if any(
            len(column) != count for column in (t_s, x, usable, score, channel if expected is None else expected)
        ):
            raise ValueError("the arrays of a batch have to be equally long")
        for one in channel:
            self._check(one)
        for place in range(count):
            score[place] = self.update(
                channel[place],
                t_s[place],
                x[place],
                bool(usable[place]),
                expected is not None and bool(expected[place]),
            )

    def verdict(self, channel: int) -> Verdict:
        """What became of the channel's last value."""
        self._check(channel)
        return Verdict(int(self._states[channel].verdict))

    def explain(self, channel: int) -> Explanation:
        """Why the channel's last value was judged as it was."""
        self._check(channel)
        return Explanation.of(self.config, self._states[channel])

    def forget(self, channel: int) -> None:
        """Begin anew with a channel, as after its sensor was changed."""
        self._check(channel)
        self._states[channel] = State()

    def snapshot(self) -> bytes:
        """All that is remembered. A bank that takes it back goes on to the bit as if nothing had been."""
        return freeze(self.config, b"".join(state.pack() for state in self._states))

    def restore(self, kept: bytes) -> None:
        """Take a snapshot back. Raises `ValueError`, naming what is wrong, for one that does not fit."""
        states = thaw(self.config, self.channels, kept)
        size = 8 * DOUBLES
        self._states = [State.unpack(states[at : at + size]) for at in range(0, len(states), size)]

    def _check(self, channel: int) -> None:
        if not 0 <= channel < self.channels:
            raise ValueError(f"there is no channel {channel}; the bank has {self.channels}")


_core = compiled("_anomaly")
Bank: type[PureBank] = PureBank if _core is None else _core.Bank
"""The compiled bank where there is one."""


def carried(fresh: bytes, kept: bytes, channels: Mapping[int, int]) -> bytes:
    """A snapshot for another bank: ``channels`` maps its channels to those of ``kept``; the rest is ``fresh``.

    Raises `ValueError` for a ``kept`` that is damaged or of other settings.
    """
    return snapshots.carried(fresh, kept, channels, head=HEAD_BYTES)
