# Series into scans: the second half of _columns.pyx. What it does is told by columns.py.


cdef struct Stream:
    const char *data
    Py_ssize_t size
    Py_ssize_t at


@cython.final
cdef class Reader:
    cdef Stream[CODES] firsts
    cdef Stream[CODES] rests
    cdef Stream qualities
    cdef Stream kinds
    cdef int64_t first_ms
    cdef int64_t *steps
    cdef Py_ssize_t step_count
    cdef Py_ssize_t step_at
    cdef Buffer row_values, row_qualities, scratch
    cdef object held

    def __init__(self, int64_t first_ms, array.array steps, bytes qualities, bytes kinds, dict firsts, dict rests):
        if steps.ob_descr.typecode != c"q":
            raise TypeError("steps are an array of 64-bit integers")
        self.first_ms = first_ms
        self.held = (steps, qualities, kinds, firsts, rests)
        self.steps = <int64_t *>steps.data.as_longlongs
        self.step_count = len(steps)
        self.open(&self.qualities, qualities, 1)
        self.open(&self.kinds, kinds, 1)
        for code, data in firsts.items():
            self.open(&self.firsts[<int>code & 7], data, WIDTHS[<int>code & 7])
        for code, data in rests.items():
            self.open(&self.rests[<int>code & 7], data, WIDTHS[<int>code & 7])

    def __dealloc__(self):
        free(self.row_values.data)
        free(self.row_qualities.data)
        free(self.scratch.data)

    cdef int open(self, Stream *stream, bytes data, Py_ssize_t width) except -1:
        if PyBytes_GET_SIZE(data) % width:
            raise ValueError("an array ends inside an element")
        stream.data = PyBytes_AS_STRING(data)
        stream.size = PyBytes_GET_SIZE(data)
        return 0

    cdef int finish(self) except -1:
        cdef int code
        for code in range(CODES):
            if self.firsts[code].at != self.firsts[code].size or self.rests[code].at != self.rests[code].size:
                raise ValueError("an array is longer than its series")
        if (
            self.qualities.at != self.qualities.size
            or self.kinds.at != self.kinds.size
            or self.step_at != self.step_count
        ):
            raise ValueError("more qualities, kinds or steps than the rows account for")
        return 0

    cdef const char *take(self, Stream *stream, Py_ssize_t count, Py_ssize_t width) except NULL:
        if stream.data == NULL:
            raise ValueError("an array is missing")
        if count > (stream.size - stream.at) // width:
            raise ValueError("an array is shorter than its series")
        stream.at += count * width
        return stream.data + stream.at - count * width

    cdef int kind(self) except -1:
        if self.kinds.at == self.kinds.size:
            raise ValueError("fewer kinds than series")
        self.kinds.at += 1
        return <unsigned char>self.kinds.data[self.kinds.at - 1]

    cdef int64_t next_slot(self, int64_t slot) except? -1:
        cdef int64_t step = 0
        if self.step_count:
            if self.step_at == self.step_count:
                raise ValueError("slots that do not rise, or are too few for the rows")
            step = self.steps[self.step_at]
            self.step_at += 1
        if not 0 <= step <= LIMIT or slot > LIMIT:
            raise ValueError("slots that do not rise, or are too few for the rows")
        return slot + step + 1

    cdef int block(self, device, Plan plan, Py_ssize_t rows, int64_t slot, previous, make, list found) except -1:
        cdef Py_ssize_t columns = plan.columns, row, column
        cdef int64_t at_ms, before_ms
        cdef double *before_values = NULL
        cdef unsigned char *before_quality = NULL
        cdef array.array doubles
        cdef list all_values = []
        cdef list all_qualities = []
        if rows < 1:
            raise ValueError("a block without rows")
        self.row_values.size = self.row_qualities.size = self.scratch.size = 0
        reserve(&self.row_values, rows * sizeof(double *))
        reserve(&self.row_qualities, rows * sizeof(char *))
        reserve(&self.scratch, (rows + 1) * 16)
        cdef double **values = <double **>self.row_values.data
        cdef char **marks = <char **>self.row_qualities.data
        cdef int64_t *counts = <int64_t *>self.scratch.data
        cdef int64_t *times = counts + rows + 1
        if previous is not None:
            plan.look(previous, &before_values, &before_quality)
        if not -LIMIT <= slot <= LIMIT:
            raise ValueError(f"slot {slot} is outside the schedule")
        slot += plan.base_slot(self.first_ms)
        for row in range(rows):
            if row:
                slot = self.next_slot(slot)
            times[row] = slot
        if previous is not None:
            before_ms = plan.offset(previous.slot, previous.at_ms)
            counts[0] = before_ms
        self.integers(self.kind(), counts, rows, previous is not None)
        for row in range(rows):
            at_ms = plan.due(times[row]) + counts[row + 1]
            if not 0 <= at_ms <= LIMIT:
                raise ValueError("a time is not on the boot clock")
        if rows * columns > self.qualities.size - self.qualities.at:
            raise ValueError("fewer qualities than the rows account for")
        for row in range(rows):
            doubles = array.clone(DOUBLES, columns, False)
            quality = PyBytes_FromStringAndSize(NULL, columns)
            all_values.append(doubles)
            all_qualities.append(quality)
            values[row] = doubles.data.as_doubles
            marks[row] = PyBytes_AS_STRING(quality)
        # The offsets leave the scratch memory before the columns use it.
        cdef list all_times = [plan.due(times[row]) + counts[row + 1] for row in range(rows)]
        for column in range(columns):
            self.column(values, marks, rows, column, plan.scale[column], before_values, before_quality)
        for row in range(rows):
            found.append(make(device, times[row], all_times[row], all_values[row], all_qualities[row]))
        return 0

    cdef int column(
        self,
        double **values,
        char **marks,
        Py_ssize_t rows,
        Py_ssize_t column,
        double scale,
        double *before_values,
        unsigned char *before_quality,
    ) except -1:
        cdef const unsigned char *qualities = <const unsigned char *>self.qualities.data + self.qualities.at
        cdef int64_t *counts = <int64_t *>self.scratch.data
        cdef Py_ssize_t row, count = 0, at = 0
        cdef int kind = self.kind(), code
        cdef const char *source = NULL
        cdef double value
        cdef float single
        self.qualities.at += rows
        for row in range(rows):
            marks[row][column] = <char>qualities[row]
            count += qualities[row] < BAD
        if count == 0:
            if kind:
                raise ValueError("a kind where there is no value")
        elif kind == FLOAT32 or kind == FLOAT64:
            source = self.take(&self.firsts[kind], 1, WIDTHS[kind])
        elif kind == FLOAT32 << 4 or kind == FLOAT64 << 4:
            source = self.take(&self.rests[kind >> 4], count, WIDTHS[kind >> 4])
        elif scale != 0:
            self.integers(kind, counts, count, continues(before_values, before_quality, column, scale, counts))
        else:
            raise ValueError("integers in a column of binary floating point")
        code = kind if kind < 16 else kind >> 4
        for row in range(rows):
            if qualities[row] >= BAD:
                values[row][column] = NAN
                continue
            if source == NULL:
                at += 1
                value = <double>counts[at] / scale
            else:
                if code == FLOAT32:
                    memcpy(&single, source, 4)
                    value = single
                else:
                    memcpy(&value, source, 8)
                if kind >= 16:
                    source += WIDTHS[code]
                if not isfinite(value):
                    raise ValueError("an infinite value, or none where the quality says there is one")
            values[row][column] = value
        return 0

    cdef int integers(self, int kind, int64_t *counts, Py_ssize_t count, bint continued) except -1:
        """Read counts[1..count]; counts[0] is what they continue from."""
        cdef int first = kind & 15, rest = kind >> 4
        cdef Py_ssize_t start = 0, at
        cdef int64_t delta = 0, before
        cdef const char *source = NULL
        cdef Py_ssize_t width = 0
        if first:
            if not INT16 <= first <= UINT16:
                raise ValueError(f"kind {kind} is not defined")
            counts[1] = element(self.take(&self.firsts[first], 1, WIDTHS[first]), first)
            start = 1
        elif not continued:
            raise ValueError("a series without a first element")
        if rest:
            if not INT8 <= rest <= INT64:
                raise ValueError(f"kind {kind} is not defined")
            width = WIDTHS[rest]
            source = self.take(&self.rests[rest], count - start, width)
        before = counts[start]
        for at in range(start, count):
            if source != NULL:
                delta = element(source, rest)
                source += width
            if not (-LIMIT <= before <= LIMIT and -2 * LIMIT <= delta <= 2 * LIMIT):
                raise ValueError("a count beyond 2**53")
            before += delta
            counts[at + 1] = before
        if not -LIMIT <= before <= LIMIT:
            raise ValueError("a count beyond 2**53")
        return 0


cdef inline int64_t element(const char *source, int code) noexcept:
    cdef int16_t int16
    cdef int32_t int32
    cdef int64_t int64
    cdef uint16_t uint16
    if code == INT8:
        return (<const int8_t *>source)[0]
    if code == INT16:
        memcpy(&int16, source, 2)
        return int16
    if code == INT32:
        memcpy(&int32, source, 4)
        return int32
    if code == UINT16:
        memcpy(&uint16, source, 2)
        return uint16
    memcpy(&int64, source, 8)
    return int64


def unpack(shapes, series, make):
    """Put scans together again (see the twin)."""
    cdef Reader reader = Reader(*series)
    cdef list found = []
    for device, plan, rows, slot, previous in shapes:
        reader.block(device, plan, rows, slot, previous, make, found)
    reader.finish()
    return found
