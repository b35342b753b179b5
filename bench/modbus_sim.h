/* What the files of the Modbus simulator share: the units (sim_units.c) and RTU framing (sim_rtu.c). */
#ifndef MODBUS_SIM_H
#define MODBUS_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAX_UNITS = 247, REGISTERS = 125, MAX_FRAME = 260 };

struct unit {
    uint32_t reads;
    uint32_t random;
    uint16_t registers[REGISTERS];
    bool mute;
    uint8_t exception;
};

struct read_record {
    uint32_t unit;
    uint32_t number;
    uint64_t at_ns;
};

struct sim_counters {
    uint64_t requests, exceptions, unanswered;
    size_t reads;
};

extern struct unit units[MAX_UNITS + 1];
extern struct sim_counters counters;
extern int unit_count;
extern bool noise; /* registers hold random bits instead of a walk */

uint64_t now_ns(void); /* CLOCK_MONOTONIC */
void die(const char *what);
void start_units(void);

/* Answers a request pdu (function code first, `size` bytes) to unit `u` on a link on which only `only_unit` is
 * heard (0: all); returns the size of the answer, 0 for silence. */
int answer(int u, int only_unit, const uint8_t *pdu, int size, uint8_t *out);

/* Writes all counted reads to a file; false when that fails. */
bool dump_records(const char *path);

/* mute, unmute or exception (with `value` as its code) for one unit or "all"; false when not understood. */
bool set_units(const char *word, const char *which, int value);

uint16_t crc16(const uint8_t *bytes, int size);
int rtu_request_size(const uint8_t *in, int held);

#endif
