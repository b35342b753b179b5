# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The bank of detectors, compiled: memory, borders and snapshots. The arithmetic is in ``anomaly_core.h``.

anomaly.py says what it does and is its reference.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, uint8_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

import sys

from gateway_core.anomaly_state import DOUBLES, State, freeze, thaw
from gateway_core.anomaly_words import Config, Explanation, Verdict

cdef extern from "anomaly_core.h" nogil:
    ctypedef struct anomaly_config:
        pass
    ctypedef struct anomaly_state:
        double verdict
    void anomaly_begin(anomaly_state *state)
    double anomaly_update(
        const anomaly_config *config, anomaly_state *state, double t, double x, int usable, int expected
    )

if sys.byteorder == "big":
    raise ImportError("the compiled detectors write the byte order of the machine, which has to be little-endian")
if sizeof(anomaly_state) != 8 * DOUBLES or sizeof(anomaly_config) != 8 * len(Config._fields):
    raise ImportError("anomaly_core.h and its twins disagree about the state; run: make build")


cdef class Bank:
    """Detectors for ``channels`` channels with the same settings; see `gateway_core.anomaly.PureBank`."""

    cdef anomaly_state *_states
    cdef anomaly_config _config
    cdef readonly int channels
    cdef readonly object config

    def __cinit__(self, int channels, config=Config()):
        cdef int place
        cdef double *field = <double *>&self._config
        if channels < 1:
            raise ValueError(f"a bank has at least one channel, not {channels}")
        config.check()
        self.channels = channels
        self.config = config
        for place in range(len(config)):
            field[place] = config[place]
        self._states = <anomaly_state *>calloc(channels, sizeof(anomaly_state))
        if self._states == NULL:
            raise MemoryError
        for place in range(channels):
            anomaly_begin(&self._states[place])

    def __dealloc__(self):
        free(self._states)

    @property
    def channel_bytes(self):
        return sizeof(anomaly_state)

    cdef int _check(self, int channel) except -1:
        if not 0 <= channel < self.channels:
            raise ValueError(f"there is no channel {channel}; the bank has {self.channels}")
        return 0

    def update(self, int channel, double t_s, double x, bint usable=True, bint expected=False):
        self._check(channel)
        return anomaly_update(&self._config, &self._states[channel], t_s, x, usable, expected)

    def update_many(
        self,
        const int32_t[::1] channel,
        const double[::1] t_s,
        const double[::1] x,
        const uint8_t[::1] usable,
        double[::1] score,
        *,
        const uint8_t[::1] expected=None,
    ):
        cdef Py_ssize_t count = channel.shape[0], place
        cdef bint labelled = expected is not None
        cdef int channels = self.channels
        if (
            t_s.shape[0] != count or x.shape[0] != count or usable.shape[0] != count or score.shape[0] != count
            or labelled and expected.shape[0] != count
        ):
            raise ValueError("the arrays of a batch have to be equally long")
        with nogil:
            for place in range(count):
                if not 0 <= channel[place] < channels:
                    break
            else:
                place = -1
        if place >= 0:
            self._check(channel[place])
        with nogil:
            for place in range(count):
                score[place] = anomaly_update(
                    &self._config, &self._states[channel[place]], t_s[place], x[place], usable[place],
                    expected[place] if labelled else 0,
                )

    def verdict(self, int channel):
        self._check(channel)
        return Verdict(int(self._states[channel].verdict))

    def explain(self, int channel):
        self._check(channel)
        return Explanation.of(
            self.config,
            State.unpack(PyBytes_FromStringAndSize(<char *>&self._states[channel], sizeof(anomaly_state))),
        )

    def forget(self, int channel):
        self._check(channel)
        anomaly_begin(&self._states[channel])

    def snapshot(self):
        return freeze(
            self.config,
            PyBytes_FromStringAndSize(<char *>self._states, self.channels * sizeof(anomaly_state)),
        )

    def restore(self, bytes kept not None):
        states = thaw(self.config, self.channels, kept)
        memcpy(self._states, PyBytes_AS_STRING(states), self.channels * sizeof(anomaly_state))
