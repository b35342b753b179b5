/* Simulated Modbus units; the register map stands in modbus_sim.c. */
#include "modbus_sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ILLEGAL_FUNCTION = 1, ILLEGAL_ADDRESS = 2 };

struct unit units[MAX_UNITS + 1];
struct sim_counters counters;
int unit_count = 50;
bool noise;
static struct read_record *records;
static size_t record_room;

void die(const char *what)
{
    perror(what);
    exit(1);
}

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint32_t next_random(struct unit *unit) /* xorshift32 (Marsaglia 2003) */
{
    uint32_t x = unit->random;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return unit->random = x;
}

void start_units(void)
{
    for (int u = 1; u <= MAX_UNITS; u++) {
        units[u].random = 2463534242u + 7919u * (uint32_t)u;
        for (int r = 2; r < REGISTERS; r++)
            units[u].registers[r] = (uint16_t)(2000 + next_random(&units[u]) % 4000);
    }
}

static void count_read(int u)
{
    struct unit *unit = &units[u];
    unit->reads++;
    unit->registers[0] = (uint16_t)unit->reads;
    unit->registers[1] = (uint16_t)(unit->reads >> 16);
    for (int r = 2; r < REGISTERS; r++) {
        uint32_t random = next_random(unit);
        if (noise) {
            unit->registers[r] = (uint16_t)(random >> 16);
            continue;
        }
        int largest = 1 << (r % 5); /* steps of at most 1, 2, 4, 8 or 16 */
        int value = unit->registers[r] + (int)(random % (uint32_t)(2 * largest + 1)) - largest;
        unit->registers[r] = (uint16_t)(value < 0 ? -value : value > 9999 ? 19998 - value : value);
    }
    if (counters.reads == record_room) {
        record_room = record_room ? 2 * record_room : 1 << 16;
        records = realloc(records, record_room * sizeof *records);
        if (!records)
            die("memory for the record of reads");
    }
    records[counters.reads++] = (struct read_record){(uint32_t)u, unit->reads, now_ns()};
}

int answer(int u, int only_unit, const uint8_t *pdu, int size, uint8_t *out)
{
    counters.requests++;
    if (u < 1 || u > unit_count || (only_unit && u != only_unit) || units[u].mute) {
        counters.unanswered++;
        return 0;
    }
    int code = units[u].exception;
    if (!code && pdu[0] != 3 && pdu[0] != 4)
        code = ILLEGAL_FUNCTION;
    int address = 0, count = 0;
    if (!code) {
        address = size >= 5 ? pdu[1] << 8 | pdu[2] : 0;
        count = size >= 5 ? pdu[3] << 8 | pdu[4] : 0;
        if (count < 1 || count > REGISTERS || address + count > REGISTERS)
            code = ILLEGAL_ADDRESS;
    }
    if (code) {
        counters.exceptions++;
        out[0] = pdu[0] | 0x80;
        out[1] = (uint8_t)code;
        return 2;
    }
    if (address == 0)
        count_read(u);
    out[0] = pdu[0];
    out[1] = (uint8_t)(2 * count);
    for (int i = 0; i < count; i++) {
        out[2 + 2 * i] = (uint8_t)(units[u].registers[address + i] >> 8);
        out[3 + 2 * i] = (uint8_t)units[u].registers[address + i];
    }
    return 2 + 2 * count;
}

bool dump_records(const char *path)
{
    FILE *file = fopen(path, "wb");
    if (!file)
        return false;
    bool written = fwrite(records, sizeof *records, counters.reads, file) == counters.reads;
    return !fclose(file) && written;
}

static bool set_unit(struct unit *unit, const char *word, int value)
{
    if (!strcmp(word, "mute"))
        unit->mute = true;
    else if (!strcmp(word, "unmute"))
        unit->mute = false;
    else if (!strcmp(word, "exception"))
        unit->exception = (uint8_t)value;
    else
        return false;
    return true;
}

bool set_units(const char *word, const char *which, int value)
{
    int first = 1, last = MAX_UNITS;
    if (strcmp(which, "all"))
        first = last = atoi(which);
    if (first < 1 || last > MAX_UNITS)
        return false;
    for (int u = first; u <= last; u++)
        if (!set_unit(&units[u], word, value))
            return false;
    return true;
}
