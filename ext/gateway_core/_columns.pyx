# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The hot loops of the scan codec, compiled. What they do is told by the twin, ``columns.py``."""

cimport cython
from cpython cimport array
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.math cimport isfinite, isnan, rint
from libc.stdint cimport INT8_MAX, INT8_MIN, INT16_MAX, INT16_MIN, INT32_MAX, INT32_MIN, UINT8_MAX, UINT16_MAX, UINT32_MAX
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint16_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memcpy

import array as arrays
import sys
from operator import attrgetter

from gateway_core.series import Packed

if sys.byteorder == "big":
    raise ImportError("the compiled codec writes the byte order of the machine, which has to be little-endian")

cdef enum:
    CODES = 8
    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT16 = 5
    FLOAT32 = 6
    FLOAT64 = 7
    BAD = 0x80

cdef int64_t LIMIT = 1LL << 53
cdef double DOUBLE_LIMIT = 9007199254740992.0
cdef double NAN = float("nan")
cdef Py_ssize_t[CODES] WIDTHS = [1, 1, 2, 4, 8, 2, 4, 8]

cdef array.array DOUBLES = arrays.array("d")
cdef array.array LONGS = arrays.array("q")
cdef object SLOT = attrgetter("slot")


cdef struct Buffer:
    char *data
    Py_ssize_t size
    Py_ssize_t room


cdef inline int reserve(Buffer *buffer, Py_ssize_t more) except -1:
    """Make room for ``more`` bytes after the used ones."""
    return grow(buffer, buffer.size + more) if buffer.size + more > buffer.room else 0


cdef int grow(Buffer *buffer, Py_ssize_t room) except -1:
    cdef char *data
    room += room // 2 + 256
    data = <char *>realloc(buffer.data, room)
    if data == NULL:
        raise MemoryError
    buffer.data = data
    buffer.room = room
    return 0


cdef inline int put_long(Buffer *buffer, int64_t value) except -1:
    reserve(buffer, 8)
    memcpy(buffer.data + buffer.size, &value, 8)
    buffer.size += 8
    return 0


cdef inline int put_byte(Buffer *buffer, unsigned char value) except -1:
    reserve(buffer, 1)
    buffer.data[buffer.size] = <char>value
    buffer.size += 1
    return 0


cdef inline bytes taken(Buffer *buffer):
    return PyBytes_FromStringAndSize(buffer.data, buffer.size)


cdef object longs(Buffer *buffer):
    cdef array.array found = array.clone(LONGS, buffer.size // 8, False)
    if buffer.size:
        memcpy(found.data.as_chars, buffer.data, buffer.size)
    return found


cdef tuple narrow(Buffer *buffer):
    """64-bit integers as tag and elements of the narrowest typed array; what was in the buffer is lost."""
    cdef int64_t *values = <int64_t *>buffer.data
    cdef Py_ssize_t count = buffer.size // 8, at, width
    cdef int64_t low = 0, high = 0
    for at in range(count):
        low = min(low, values[at])
        high = max(high, values[at])
    if low < 0:
        width = WIDTHS[narrowest(low, high)]
        tag = 72 if width == 1 else 77 if width == 2 else 78 if width == 4 else 79
    else:
        width = 1 if high <= UINT8_MAX else 2 if high <= UINT16_MAX else 4 if high <= UINT32_MAX else 8
        tag = 64 if width == 1 else 69 if width == 2 else 70 if width == 4 else 71
    for at in range(count):
        store(buffer.data + at * width, values[at], width)
    return tag, PyBytes_FromStringAndSize(buffer.data, count * width)


cdef dict by_code(Buffer *buffers):
    cdef dict found = {}
    cdef int code
    for code in range(1, CODES):
        if buffers[code].size:
            found[code] = taken(&buffers[code])
    return found


cdef inline void store(char *target, int64_t value, Py_ssize_t width) noexcept:
    """The low bytes of an integer; a copy of constant size is one instruction."""
    if width == 1:
        target[0] = <char>value
    elif width == 2:
        memcpy(target, &value, 2)
    elif width == 4:
        memcpy(target, &value, 4)
    else:
        memcpy(target, &value, 8)


cdef inline int narrowest(int64_t low, int64_t high) noexcept:
    if INT8_MIN <= low and high <= INT8_MAX:
        return INT8
    if INT16_MIN <= low and high <= INT16_MAX:
        return INT16
    return INT32 if INT32_MIN <= low and high <= INT32_MAX else INT64


cdef inline bint to_count(double value, double scale, int64_t *count) noexcept:
    """Whether an integer over ``scale`` gives back exactly this value; the integer in ``count``."""
    cdef double scaled = value * scale
    if not (-DOUBLE_LIMIT <= scaled <= DOUBLE_LIMIT):
        return False
    if scale == 1:
        count[0] = <int64_t>value
        return <double>count[0] == value
    scaled = rint(scaled)
    count[0] = <int64_t>scaled
    return scaled / scale == value


@cython.final
cdef class Plan:
    """What coding needs to know of a device, ready to compute with (see the twin)."""

    cdef double *scale
    cdef Py_ssize_t columns
    cdef int64_t period
    cdef int64_t phase
    cdef int64_t last_slot
    cdef array.array scales

    def __init__(self, array.array scales, int64_t period, int64_t phase):
        if scales.ob_descr.typecode != c"d" or period < 1 or not 0 <= phase <= LIMIT:
            raise ValueError("a plan has doubles as scales, a period and a phase on the boot clock")
        self.scales = scales
        self.scale = scales.data.as_doubles
        self.columns = len(scales)
        self.period = period
        self.phase = phase
        self.last_slot = (LIMIT - phase) // period

    cdef int64_t base_slot(self, int64_t first_ms) noexcept:
        cdef int64_t since = first_ms - self.phase
        return since // self.period if since >= 0 else -((self.period - 1 - since) // self.period)

    cdef int64_t due(self, int64_t slot) except? -1:
        if not 0 <= slot <= self.last_slot:
            raise ValueError(f"slot {slot} is outside the schedule")
        return slot * self.period + self.phase

    cdef int64_t offset(self, int64_t slot, int64_t at_ms) except? -1:
        cdef int64_t due = self.due(slot)
        if not 0 <= at_ms <= LIMIT:
            raise ValueError(f"time {at_ms} ms is not on the boot clock")
        return at_ms - due

    cdef int look(self, scan, double **values, unsigned char **quality) except -1:
        """Check the shape of a scan and borrow its memory (which lives as long as the scan)."""
        held = scan.values
        marks = scan.quality
        if not isinstance(held, array.array) or not isinstance(marks, bytes):
            raise TypeError("a scan has an array of doubles as values and bytes as quality")
        cdef array.array doubles = held
        if doubles.ob_descr.typecode != c"d" or len(doubles) != self.columns or PyBytes_GET_SIZE(marks) != self.columns:
            raise ValueError(f"a scan of this device has {self.columns} doubles and as many qualities")
        values[0] = doubles.data.as_doubles
        quality[0] = <unsigned char *>PyBytes_AS_STRING(marks)
        return 0


cdef bint continues(double *values, unsigned char *quality, Py_ssize_t column, double scale, int64_t *before) noexcept:
    """Whether a column goes on from an earlier scan, and from which count."""
    if values == NULL or quality[column] >= BAD:
        return False
    return to_count(values[column], scale, before)


include "columns_pack.pxi"
include "columns_unpack.pxi"
