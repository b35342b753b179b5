/* mqtt_sink: records every message of a broker with the time of its arrival.
 *
 *   mqtt_sink HOST PORT FILE TOPIC
 *
 * Record: u64 CLOCK_MONOTONIC ns, u32 topic size, u32 payload size, topic, payload. The file is complete
 * whenever no message is waiting, and at SIGTERM. Writes "ready" once subscribed. QoS 1, clean session.
 */
#include <mosquitto.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static FILE *file;
static const char *topic;
static volatile sig_atomic_t ended;

static void end(int number)
{
    (void)number;
    ended = 1;
}

static void connected(struct mosquitto *client, void *unused, int code)
{
    (void)unused;
    if (!code)
        mosquitto_subscribe(client, NULL, topic, 1);
}

static void subscribed(struct mosquitto *client, void *unused, int id, int count, const int *granted)
{
    (void)client, (void)unused, (void)id, (void)count, (void)granted;
    puts("ready");
    fflush(stdout);
}

static void arrived(struct mosquitto *client, void *unused, const struct mosquitto_message *message)
{
    (void)client, (void)unused;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    uint64_t at_ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    uint32_t sizes[2] = {(uint32_t)strlen(message->topic), (uint32_t)message->payloadlen};
    fwrite(&at_ns, sizeof at_ns, 1, file);
    fwrite(sizes, sizeof sizes, 1, file);
    fwrite(message->topic, 1, sizes[0], file);
    fwrite(message->payload, 1, sizes[1], file);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    topic = argv[4];
    file = fopen(argv[3], "wb");
    if (!file)
        return 1;
    signal(SIGTERM, end);
    signal(SIGINT, end);
    mosquitto_lib_init();
    struct mosquitto *client = mosquitto_new(NULL, true, NULL);
    mosquitto_connect_callback_set(client, connected);
    mosquitto_subscribe_callback_set(client, subscribed);
    mosquitto_message_callback_set(client, arrived);
    int broken = mosquitto_connect(client, argv[1], atoi(argv[2]), 60);
    while (!ended) {
        if (broken) {
            usleep(50000);
            broken = mosquitto_reconnect(client);
        } else {
            broken = mosquitto_loop(client, 100, 1);
            fflush(file);
        }
    }
    return fclose(file) != 0;
}
