# cython: boundscheck=False, wraparound=False, cdivision=True
"""Register blocks to values, compiled; registers.py says what it does and is its reference."""

from cpython cimport array
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.math cimport NAN, isfinite
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

import array as arrays

from firmware_interfaces.quality import Quality

cdef enum:
    BIT = 0
    UNSIGNED = 1
    SIGNED = 2
    FLOAT = 3
    BCD = 4
    WIDEST = 8

cdef int BAD = 0x80
cdef int BAD_FRAME = Quality.BAD_FRAME
cdef int SENSOR_FAULT = Quality.SENSOR_FAULT
cdef int OUT_OF_RANGE = Quality.OUT_OF_RANGE

cdef double[23] POWERS
cdef int _place
for _place in range(23):
    POWERS[_place] = float(f"1e{_place}")

cdef array.array DOUBLES = arrays.array("d")

# Up to here a product is exact as a double, and so is the divisor: one division, rounded once.
EXACT = 2**53


cdef struct State:
    int field
    int quality

cdef struct Watch:
    int block
    int at
    int size
    int order[WIDEST]
    int shift
    uint64_t mask
    int first
    int count
    int otherwise

cdef struct Line:
    int block
    int at
    int kind
    int size
    int order[WIDEST]
    int shift
    uint64_t mask
    bint small
    int64_t multiplier
    int64_t addend
    double divisor
    double scale
    double offset
    double low
    double high
    int first_invalid
    int invalids
    int first_watch
    int watches


cdef void* allot(size_t count, size_t size) except NULL:
    cdef void* found = calloc(count if count else 1, size)
    if found == NULL:
        raise MemoryError
    return found


cdef int set_order(int* order, tuple places) except -1:
    if len(places) > WIDEST:
        raise ValueError("a number has 8 bytes at most")
    cdef int index
    for index in range(len(places)):
        order[index] = places[index]
    return len(places)


cdef inline uint64_t take(const unsigned char* data, int at, int size, const int* order) noexcept:
    cdef uint64_t raw = 0
    cdef int index
    if size == 0:
        return data[at >> 3] >> (at & 7) & 1
    for index in range(size):
        raw = raw << 8 | data[at + order[index]]
    return raw


cdef inline int cause(object block, Py_ssize_t size, int quality) except -1:
    if block is None:
        return quality if quality >= BAD else BAD_FRAME
    if type(block) is not bytes:
        raise TypeError("blocks are bytes or None")
    return 0 if PyBytes_GET_SIZE(block) == size else BAD_FRAME


cdef inline int64_t digits(uint64_t raw, int size) noexcept:
    """The decimal number of BCD digits, -1 where one of them is none."""
    cdef int64_t number = 0
    cdef int shift
    cdef int digit
    for shift in range(8 * size - 4, -1, -4):
        digit = raw >> shift & 15
        if digit > 9:
            return -1
        number = 10 * number + digit
    return number


cdef class Table:
    """The compiled twin of `gateway_core.registers.PureTable`."""

    cdef Line* lines
    cdef Watch* watches
    cdef State* states
    cdef uint64_t* invalid
    cdef Py_ssize_t* sizes
    cdef int blocks
    cdef int rows
    cdef tuple source

    def __cinit__(self, sizes, rows):
        from gateway_core.registers import check_place

        self.source = tuple(rows)
        guards = [guard for row in self.source for guard in row.guards]
        for place in (*self.source, *guards):
            check_place(sizes, place)
        self.rows = len(self.source)
        self.blocks = len(sizes)
        self.sizes = <Py_ssize_t*>allot(self.blocks, sizeof(Py_ssize_t))
        for index, size in enumerate(sizes):
            self.sizes[index] = size
        self.lines = <Line*>allot(self.rows, sizeof(Line))
        self.watches = <Watch*>allot(len(guards), sizeof(Watch))
        self.states = <State*>allot(sum(len(guard.states) for guard in guards), sizeof(State))
        self.invalid = <uint64_t*>allot(sum(len(row.invalid) for row in self.source), sizeof(uint64_t))
        self.fill()

    def __dealloc__(self):
        free(self.sizes)
        free(self.lines)
        free(self.watches)
        free(self.states)
        free(self.invalid)

    cdef int fill(self) except -1:
        cdef int number
        cdef int invalids = 0
        cdef int watches = 0
        cdef int states = 0
        cdef Line* line
        cdef Watch* watch
        for number in range(self.rows):
            row = self.source[number]
            line = &self.lines[number]
            line.block, line.at, line.kind = row.block, row.at, row.kind
            line.size = set_order(line.order, row.order)
            line.shift, line.mask = row.shift, row.mask
            line.scale, line.offset = row.scale, row.offset
            line.low, line.high = row.low, row.high
            line.small = is_small(row)
            if line.small:
                line.multiplier, line.addend = row.multiplier, row.addend
                line.divisor = POWERS[row.places]
            line.first_invalid, line.invalids = invalids, len(row.invalid)
            for pattern in row.invalid:
                self.invalid[invalids] = pattern
                invalids += 1
            line.first_watch, line.watches = watches, len(row.guards)
            for guard in row.guards:
                watch = &self.watches[watches]
                watches += 1
                watch.block, watch.at = guard.block, guard.at
                watch.size = set_order(watch.order, guard.order)
                watch.shift, watch.mask, watch.otherwise = guard.shift, guard.mask, guard.otherwise
                watch.first, watch.count = states, len(guard.states)
                for field, quality in guard.states:
                    self.states[states].field = field
                    self.states[states].quality = quality
                    states += 1
        return 0

    def decode(self, blocks, qualities):
        """One double and one quality byte per row; NaN exactly where the quality is bad."""
        cdef list data = blocks if type(blocks) is list else list(blocks)
        cdef list marks = qualities if type(qualities) is list else list(qualities)
        if len(data) != self.blocks or len(marks) != self.blocks:
            raise ValueError(f"{self.blocks} blocks and qualities are needed")
        cdef array.array values = array.clone(DOUBLES, self.rows, zero=False)
        cdef bytes quality = PyBytes_FromStringAndSize(NULL, self.rows)
        cdef unsigned char* out = <unsigned char*>PyBytes_AS_STRING(quality)
        cdef int row
        for row in range(self.rows):
            out[row] = self.judge(row, data, marks, &values.data.as_doubles[row])
        return values, quality

    cdef int judge(self, int row, list data, list marks, double* value) except -1:
        """Quality of one row; its value goes to ``value``."""
        cdef Line* line = &self.lines[row]
        cdef int mark
        cdef int index
        cdef uint64_t raw
        cdef object block = data[line.block]
        value[0] = NAN
        mark = cause(block, self.sizes[line.block], <int>(marks[line.block]) if block is None else 0)
        if not mark and line.watches:
            mark = self.guarded(line, data, marks)
        if mark >= BAD:
            return mark
        raw = take(<const unsigned char*>PyBytes_AS_STRING(block), line.at, line.size, line.order)
        if line.mask:
            raw = raw >> line.shift & line.mask
        for index in range(line.first_invalid, line.first_invalid + line.invalids):
            if self.invalid[index] == raw:
                return SENSOR_FAULT
        cdef double number = self.number(row, line, raw)
        if number != number:
            return SENSOR_FAULT
        if not (isfinite(number) and line.low <= number <= line.high):
            return OUT_OF_RANGE
        value[0] = number
        return mark

    cdef int guarded(self, Line* line, list data, list marks) except -1:
        """Worst quality that the guards of a row give."""
        cdef int worst = 0
        cdef int mark
        cdef int index
        cdef int state
        cdef int64_t field
        cdef Watch* watch
        for index in range(line.first_watch, line.first_watch + line.watches):
            watch = &self.watches[index]
            block = data[watch.block]
            mark = cause(block, self.sizes[watch.block], <int>(marks[watch.block]) if block is None else 0)
            if not mark:
                field = <int64_t>(
                    take(<const unsigned char*>PyBytes_AS_STRING(block), watch.at, watch.size, watch.order)
                    >> watch.shift
                    & watch.mask
                )
                mark = watch.otherwise
                for state in range(watch.first, watch.first + watch.count):
                    if self.states[state].field == field:
                        mark = self.states[state].quality
                        break
            if mark > worst:
                worst = mark
        return worst

    cdef double number(self, int row, Line* line, uint64_t raw) except? -1.0:
        """The number that raw bits stand for; NaN where they stand for none."""
        cdef uint32_t low_bits
        cdef float narrow
        cdef double wide
        cdef int64_t whole = <int64_t>raw
        cdef uint64_t sign
        if line.kind == FLOAT:
            if line.size == 4:
                low_bits = <uint32_t>raw
                memcpy(&narrow, &low_bits, 4)
                wide = narrow
            else:
                memcpy(&wide, &raw, 8)
            return wide * line.scale + line.offset if isfinite(wide) else NAN
        if line.kind == BCD:
            whole = digits(raw, line.size)
            if whole < 0:
                return NAN
        elif line.kind == SIGNED:
            sign = <uint64_t>1 << (8 * line.size - 1)
            whole = <int64_t>((raw ^ sign) - sign)
        if line.small:
            return <double>(whole * line.multiplier + line.addend) / line.divisor
        source = self.source[row]
        exact = <object>raw if line.kind == UNSIGNED else <object>whole
        return (exact * source.multiplier + source.addend) / 10 ** source.places


def is_small(row):
    """Whether every result of a row can be computed in machine numbers without rounding twice."""
    if row.kind == FLOAT or row.places > 22:
        return False
    bits = 8 * len(row.order) if row.order else 1
    if row.kind == SIGNED:
        reach = (-(1 << bits - 1), (1 << bits - 1) - 1)
    else:
        reach = (0, row.mask or (1 << bits) - 1)
    largest = max(abs(raw) * abs(row.multiplier) for raw in reach) + abs(row.addend)
    return largest <= EXACT
