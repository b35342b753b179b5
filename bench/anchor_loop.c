/* anchor_loop: the least that polling and publishing can cost. No storage, no time-outs worth the name.
 *
 *   anchor_loop PERIOD_MS UNITS REGISTERS separate|shared MODBUS_PORT BROKER_PORT
 *
 * One thread reads all units one after the other (libmodbus); each poll is one JSON message at QoS 1
 * (libmosquitto), kept in memory while the broker is away.
 */
#include <modbus/modbus.h>
#include <mosquitto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_UNITS = 247, MAX_REGISTERS = 125 };

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int publish(struct mosquitto *client, int unit, const uint16_t *registers, int count)
{
    char text[64 + 6 * MAX_REGISTERS];
    long ms = (long)(1000 * seconds(CLOCK_REALTIME));
    int size = snprintf(text, sizeof text, "{\"d\":%d,\"ts\":%ld,\"v\":[", unit, ms);
    for (int i = 0; i < count; i++)
        size += snprintf(text + size, sizeof text - (size_t)size, i ? ",%u" : "%u", registers[i]);
    size += snprintf(text + size, sizeof text - (size_t)size, "]}");
    return mosquitto_publish(client, NULL, "bench/loop", size, text, 1, false);
}

int main(int argc, char **argv)
{
    if (argc != 7)
        return 2;
    double period = atof(argv[1]) / 1000;
    int units = atoi(argv[2]), count = atoi(argv[3]), port = atoi(argv[5]);
    int separate = !strcmp(argv[4], "separate");
    mosquitto_lib_init();
    struct mosquitto *client = mosquitto_new("anchor-loop", true, NULL);
    mosquitto_max_inflight_messages_set(client, 1000);
    mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1);
    mosquitto_reconnect_delay_set(client, 1, 1, false);
    while (mosquitto_connect(client, "127.0.0.1", atoi(argv[6]), 60))
        usleep(200000);
    mosquitto_loop_start(client);
    modbus_t *lines[MAX_UNITS + 1];
    for (int u = 1; u <= units; u++) {
        if (!separate && u > 1) {
            lines[u] = lines[1];
            continue;
        }
        char address[16] = "127.0.0.1";
        if (separate)
            snprintf(address, sizeof address, "127.0.1.%d", u);
        lines[u] = modbus_new_tcp(address, port);
        modbus_set_response_timeout(lines[u], 1, 0);
        if (modbus_connect(lines[u]))
            return 1;
    }
    for (double next = seconds(CLOCK_MONOTONIC);;) {
        for (int u = 1; u <= units; u++) {
            uint16_t registers[MAX_REGISTERS];
            modbus_set_slave(lines[u], u);
            if (modbus_read_registers(lines[u], 0, count, registers) == count)
                publish(client, u, registers, count);
            else
                modbus_flush(lines[u]);
        }
        next += period;
        double rest = next - seconds(CLOCK_MONOTONIC);
        if (rest > 0)
            usleep((useconds_t)(1e6 * rest));
        else
            next = seconds(CLOCK_MONOTONIC);
    }
}
