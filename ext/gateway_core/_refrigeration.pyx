# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The bank of refrigerated channels, compiled; refrigeration.py says what it does, refrigeration_steps.py how."""

from libc.stdint cimport int32_t, uint8_t
from libc.stdlib cimport calloc, free, realloc

from gateway_core.refrigeration_state import FIELDS, RING
from gateway_core.refrigeration_state import Channel as Fresh

include "refrigeration_steps.pxi"

BYTES = sizeof(Channel)
"""Memory of one channel."""


cdef class Core:
    """Channels in one piece of memory. See `gateway_core.refrigeration.PureCore`."""

    cdef Channel *channels
    cdef Kind *kinds
    cdef Notices notices
    cdef readonly int count

    def __cinit__(self, kinds):
        self.count = len(kinds)
        self.channels = <Channel *>calloc(max(1, self.count), sizeof(Channel))
        self.kinds = <Kind *>calloc(max(1, self.count), sizeof(Kind))
        if self.channels == NULL or self.kinds == NULL:
            raise MemoryError
        first = Fresh(0)
        fresh = (*(getattr(first, name) for name in FIELDS), *first.ring)
        for index, kind in enumerate(kinds):
            self.kinds[index].room = kind.room
            self.kinds[index].bucket = kind.bucket
            self.kinds[index].block = kind.block
            self.kinds[index].floor = kind.floor
            self.channels[index].index = index
            self.write(index, fresh, 0)

    def __dealloc__(self):
        free(self.channels)
        free(self.kinds)
        free(self.notices.rows)

    cdef Channel *at(self, Py_ssize_t index) except NULL:
        if not 0 <= index < self.count:
            raise IndexError(f"channel {index} is not one of {self.count}")
        return self.channels + index

    def update(self, int channel, double t_s, double x, bint usable=True):
        return feed(self.at(channel), self.kinds + channel, &self.notices, t_s, x, usable)

    def update_many(
        self,
        const int32_t[::1] channel,
        const double[::1] t_s,
        const double[::1] x,
        const uint8_t[::1] usable,
        uint8_t[::1] flags,
    ):
        cdef Py_ssize_t n = channel.shape[0], k
        cdef int32_t index
        cdef int32_t count = self.count
        if t_s.shape[0] != n or x.shape[0] != n or usable.shape[0] != n or flags.shape[0] != n:
            raise ValueError("channel, t_s, x, usable and flags have to be of one length")
        with nogil:
            for k in range(n):
                if not 0 <= channel[k] < count:
                    break
            else:
                k = n
                for k in range(n):
                    index = channel[k]
                    flags[k] = <uint8_t>feed(
                        self.channels + index, self.kinds + index, &self.notices, t_s[k], x[k], usable[k]
                    )
                k = n
        if k < n:
            raise IndexError(f"channel {channel[k]} is not one of {count}")
        return self.notices.count

    def drain(self):
        rows = [
            tuple([self.notices.rows[k * ROW + column] for column in range(ROW)]) for k in range(self.notices.count)
        ]
        self.notices.count = 0
        return rows

    @property
    def lost(self):
        return self.notices.lost

    def forget_clock(self, int channel):
        forget_clock(self.at(channel), &self.notices)

    def read(self, int channel):
        cdef double *values = <double *>self.at(channel)
        cdef Py_ssize_t k
        return tuple([values[k] for k in range(len(FIELDS) + RING)]), self.channels[channel].active

    def write(self, int channel, values, unsigned int active):
        cdef double *target = <double *>self.at(channel)
        cdef Py_ssize_t k
        if len(values) != len(FIELDS) + RING:
            raise ValueError(f"a channel has {len(FIELDS) + RING} numbers")
        for k in range(len(values)):
            target[k] = values[k]
        self.channels[channel].active = active
