/* rtu_wire: ten or more Modbus RTU units on a serial line that takes its time, for benchmarks of the master.
 *
 *   rtu_wire --units N --baud B [--bits 10] [--mute U]
 *
 * A pseudo-terminal has no speed; this models the wire. Bytes that the master writes lie on the wire from the moment
 * they were written, one character after the other; the unit sees the end of a request when 3.5 characters (1.75 ms
 * above 19 200 baud) have been silent, and answers at once; the answer reaches the master when its last character
 * is through, as from a UART whose FIFO is emptied at the end of a frame. A request that begins before the line has
 * been silent for 3.5 characters after an answer breaks the standard: it is counted.
 *
 * The first line on standard output is the path of the terminal. At the end of standard input one line of JSON:
 * requests, answers, and how often the silence was broken (by how much at most, in microseconds).
 */
#define _GNU_SOURCE
#include "modbus_sim.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { REQUEST = 8 };

static uint64_t now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static void wait_until(uint64_t due)
{
    struct timespec at = {(time_t)(due / 1000000000u), (long)(due % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) {
    }
}

static int answer_to(const uint8_t *request, uint8_t *out)
{
    int registers = request[4] << 8 | request[5];
    out[0] = request[0];
    out[1] = request[1];
    out[2] = (uint8_t)(2 * registers);
    for (int i = 0; i < registers; i++) {
        out[3 + 2 * i] = 0;
        out[4 + 2 * i] = (uint8_t)(request[0] + i);
    }
    int size = 3 + 2 * registers;
    uint16_t crc = crc16(out, size);
    out[size] = crc & 0xff;
    out[size + 1] = crc >> 8;
    return size + 2;
}

int main(int count, char **words)
{
    static const struct option options[] = {
        {"units", 1, 0, 'u'}, {"baud", 1, 0, 'b'}, {"bits", 1, 0, 'c'}, {"mute", 1, 0, 'm'}, {0}};
    int units = 10, baud = 9600, bits = 10, mute = 0;
    for (int option; (option = getopt_long(count, words, "", options, NULL)) != -1;) {
        if (option == 'u') units = atoi(optarg);
        else if (option == 'b') baud = atoi(optarg);
        else if (option == 'c') bits = atoi(optarg);
        else if (option == 'm') mute = atoi(optarg);
        else return 2;
    }
    uint64_t character = (uint64_t)bits * 1000000000u / (uint64_t)baud;
    uint64_t silence = baud > 19200 ? 1750000u : 7 * character / 2;
    int ours, theirs;
    struct termios raw;
    if (openpty(&ours, &theirs, NULL, NULL, NULL)) return 1;
    tcgetattr(theirs, &raw);
    cfmakeraw(&raw);
    tcsetattr(theirs, TCSANOW, &raw);
    printf("%s\n", ttyname(theirs));
    fflush(stdout);

    unsigned long requests = 0, answers = 0, broken = 0;
    uint64_t free_at = 0, worst = 0;
    uint8_t held[MAX_FRAME], out[MAX_FRAME];
    int size = 0;
    struct pollfd watched[2] = {{ours, POLLIN, 0}, {0, POLLIN, 0}};
    for (;;) {
        if (poll(watched, 2, -1) < 0) continue;
        if (watched[1].revents) {
            char end[16];
            if (read(0, end, sizeof end) <= 0) break;
        }
        if (!(watched[0].revents & POLLIN)) continue;
        uint64_t begun = now();
        int more = (int)read(ours, held + size, sizeof held - (size_t)size);
        if (more <= 0) continue;
        if (!size && free_at && begun < free_at) {
            broken++;
            if (free_at - begun > worst) worst = free_at - begun;
        }
        size += more;
        if (size < REQUEST) continue;
        size = 0;
        requests++;
        uint64_t at = begun + REQUEST * character;
        if (crc16(held, 6) != (uint16_t)(held[6] | held[7] << 8) || held[0] > units || held[0] == mute) {
            free_at = at + silence;
            continue;
        }
        int length = answer_to(held, out);
        at += silence + (uint64_t)length * character;
        wait_until(at);
        if (write(ours, out, (size_t)length) != length) return 1;
        answers++;
        free_at = at + silence;
    }
    printf("{\"requests\": %lu, \"answers\": %lu, \"broken\": %lu, \"worst_us\": %lu}\n", requests, answers, broken,
           (unsigned long)(worst / 1000));
    return 0;
}
