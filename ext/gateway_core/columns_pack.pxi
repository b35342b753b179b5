# Scans into series: the first half of _columns.pyx. What it does is told by columns.py.


@cython.final
cdef class Writer:
    cdef Buffer devices, rows, slots, steps, context, run_lengths, run_qualities, kinds, row_values, row_qualities, scratch
    cdef Buffer[CODES] firsts
    cdef Buffer[CODES] rests
    cdef list plans
    cdef list raws
    cdef Py_ssize_t row_count
    cdef Py_ssize_t cells
    cdef Py_ssize_t device
    cdef bint stepped
    cdef int quality
    cdef int64_t run
    cdef int64_t first_ms
    cdef int64_t last_ms
    cdef int64_t values

    def __cinit__(self, int64_t first_ms):
        self.quality = -1
        self.first_ms = first_ms
        self.plans = []
        self.raws = []
        self.device = -1

    def __dealloc__(self):
        cdef int code
        for code in range(CODES):
            free(self.firsts[code].data)
            free(self.rests[code].data)
        free(self.devices.data)
        free(self.rows.data)
        free(self.slots.data)
        free(self.context.data)
        free(self.steps.data)
        free(self.run_lengths.data)
        free(self.run_qualities.data)
        free(self.kinds.data)
        free(self.row_values.data)
        free(self.row_qualities.data)
        free(self.scratch.data)

    cdef object packed(self):
        cdef int64_t *slots = <int64_t *>self.slots.data
        cdef Plan plan
        cdef Py_ssize_t at = 0
        for plan in self.plans:
            slots[at] -= plan.base_slot(self.first_ms)
            at += 1
        self.end_run()
        if not self.stepped:
            self.steps.size = 0
        return Packed(
            narrow(&self.devices),
            narrow(&self.rows),
            narrow(&self.slots),
            narrow(&self.steps),
            narrow(&self.run_lengths),
            taken(&self.run_qualities),
            taken(&self.kinds),
            by_code(self.firsts),
            by_code(self.rests),
            self.raws,
            longs(&self.context),
            self.first_ms,
            self.last_ms,
            self.cells,
            self.values,
        )

    cdef int end_run(self) except -1:
        if self.run:
            put_byte(&self.run_qualities, <unsigned char>self.quality)
            put_long(&self.run_lengths, self.run)
        self.run = 0
        return 0

    cdef int block(self, Py_ssize_t device, Plan plan, list scans, previous) except -1:
        cdef Py_ssize_t rows = len(scans), columns = plan.columns, row = 0, column
        cdef int64_t slot, at_ms, step, last = -1
        cdef double *before_values = NULL
        cdef unsigned char *before_quality = NULL
        put_long(&self.devices, device - self.device - 1)
        put_long(&self.rows, rows)
        self.device = device
        self.cells += rows * columns
        self.row_values.size = self.row_qualities.size = self.scratch.size = 0
        reserve(&self.row_values, rows * sizeof(double *))
        reserve(&self.row_qualities, rows * sizeof(char *))
        reserve(&self.scratch, (rows + 1) * 8)
        cdef double **values = <double **>self.row_values.data
        cdef unsigned char **qualities = <unsigned char **>self.row_qualities.data
        cdef int64_t *offsets = <int64_t *>self.scratch.data
        for scan in scans:
            plan.look(scan, values + row, qualities + row)
            slot = scan.slot
            at_ms = scan.at_ms
            offsets[row + 1] = plan.offset(slot, at_ms)
            if row == 0:
                put_long(&self.slots, slot)
                self.plans.append(plan)
            elif slot <= last:
                raise ValueError(f"slot {slot} comes twice")
            else:
                step = slot - last - 1
                self.stepped |= step != 0
                put_long(&self.steps, step)
            last = slot
            raw = scan.raw
            if raw is not None:
                self.raws += (self.row_count, raw)
            self.row_count += 1
            self.first_ms = min(self.first_ms, at_ms)
            self.last_ms = max(self.last_ms, at_ms)
            row += 1
        last = -1
        if previous is not None:
            plan.look(previous, &before_values, &before_quality)
            last = previous.slot
            offsets[0] = plan.offset(last, previous.at_ms)
        put_long(&self.context, last)
        self.integers(offsets, rows, previous is not None)
        for column in range(columns):
            self.column(scans, values, qualities, rows, column, plan.scale[column], before_values, before_quality)
        return 0

    cdef int column(
        self,
        scans,
        double **values,
        unsigned char **qualities,
        Py_ssize_t rows,
        Py_ssize_t column,
        double scale,
        double *before_values,
        unsigned char *before_quality,
    ) except -1:
        cdef int64_t *counts = <int64_t *>self.scratch.data
        cdef Py_ssize_t row, count = 0
        cdef bint exact = scale != 0
        cdef unsigned char quality
        cdef double value
        for row in range(rows):
            quality = qualities[row][column]
            value = values[row][column]
            if quality != self.quality:
                self.end_run()
                self.quality = quality
            self.run += 1
            if quality >= BAD:
                if not isnan(value):
                    raise ValueError(f"slot {scans[row].slot}: a value of bad quality")
                continue
            if not isfinite(value):
                raise ValueError(f"slot {scans[row].slot}: no finite value, yet its quality is not bad")
            count += 1
            if exact:
                exact = to_count(value, scale, counts + count)
        self.values += count
        if count == 0:
            return put_byte(&self.kinds, 0)
        if exact:
            return self.integers(counts, count, continues(before_values, before_quality, column, scale, counts))
        count = 0
        cdef double *kept = <double *>self.scratch.data
        for row in range(rows):
            if qualities[row][column] < BAD:
                kept[count] = values[row][column] + 0.0 if scale != 0 else values[row][column]
                count += 1
        return self.floats(kept, count)

    cdef int integers(self, int64_t *counts, Py_ssize_t count, bint continued) except -1:
        """Write counts[1..count]; counts[0] is what they continue from."""
        cdef Py_ssize_t start = 0, at, width
        cdef int64_t first = counts[1], low = 0, high = 0, delta
        cdef int kind = UINT16, code
        cdef Buffer *buffer
        cdef char *target
        if not 0 <= first <= UINT16_MAX:
            kind = max(<int>INT16, narrowest(first, first))
        delta = first - counts[0] if continued else 0
        if continued and WIDTHS[narrowest(delta, delta)] <= WIDTHS[kind]:
            kind = 0
        else:
            buffer = &self.firsts[kind]
            reserve(buffer, 8)
            store(buffer.data + buffer.size, first, WIDTHS[kind])
            buffer.size += WIDTHS[kind]
            start = 1
        for at in range(start, count):
            delta = counts[at + 1] - counts[at]
            low = min(low, delta)
            high = max(high, delta)
        if low != 0 or high != 0:
            code = narrowest(low, high)
            width = WIDTHS[code]
            buffer = &self.rests[code]
            reserve(buffer, (count - start) * width)
            target = buffer.data + buffer.size
            buffer.size += (count - start) * width
            for at in range(start, count):
                store(target, counts[at + 1] - counts[at], width)
                target += width
            kind |= code << 4
        return put_byte(&self.kinds, <unsigned char>kind)

    cdef int floats(self, double *values, Py_ssize_t count) except -1:
        cdef Py_ssize_t at
        cdef int code = FLOAT32
        cdef bint constant = True
        cdef float single
        for at in range(count):
            if <double><float>values[at] != values[at]:
                code = FLOAT64
            if memcmp(values + at, values, 8) != 0:
                constant = False
        cdef Buffer *buffer = &self.firsts[code] if constant else &self.rests[code]
        for at in range(1 if constant else count):
            reserve(buffer, 8)
            if code == FLOAT32:
                single = <float>values[at]
                memcpy(buffer.data + buffer.size, &single, 4)
            else:
                memcpy(buffer.data + buffer.size, values + at, 8)
            buffer.size += WIDTHS[code]
        return put_byte(&self.kinds, <unsigned char>(code if constant else code << 4))


cdef list by_device(list scans, Py_ssize_t devices):
    """For each device its scans in slot order, None where there is none."""
    cdef list groups = [None] * devices
    cdef list group
    cdef Py_ssize_t device
    for scan in scans:
        device = scan.device
        if not 0 <= device < devices:
            raise ValueError(f"device {device} is not in the layout")
        if groups[device] is None:
            groups[device] = [scan]
        else:
            group = groups[device]
            group.append(scan)
    for group in groups:
        if group is not None and len(group) > 1:
            group.sort(key=SLOT)
    return groups


def pack(tuple plans, list scans, previous, first_ms):
    """Take scans apart into series (see the twin)."""
    cdef Writer writer = Writer(first_ms)
    cdef Py_ssize_t device = 0
    for group in by_device(scans, len(plans)):
        if group is not None:
            writer.block(device, plans[device], group, previous.get(device))
        device += 1
    return writer.packed()
