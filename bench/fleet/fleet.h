/* What the simulator of a fleet is made of: fleet.c says what it does. */
#ifndef FLEET_H
#define FLEET_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { EVENT, SCAN, STREAMS };
enum { REPEATS = 1, REVERSES = 2 };                 /* flags of a gateway */
enum phase { DOWN, OPENING, GREETING, SUBSCRIBING, UP };

#define REMEMBERED 128                              /* messages whose PUBACK can be told apart */

struct buffer {
    uint8_t *data;
    size_t from, used, size;                        /* data[from..used) is filled */
};

struct batch {
    const uint8_t *body;
    uint32_t length;
    uint64_t ready_ns, receipt_ns;                  /* when it was first to be sent, and vouched for */
};

struct stream {
    struct batch *batches;
    uint32_t count, size, cursor;                   /* size: vouched for; cursor: next to send */
    uint64_t oldest_ns;                             /* when the oldest one without a receipt was sent */
};

struct shout {                                      /* what a disturber publishes */
    char *topic;
    const uint8_t *body;
    uint32_t length, victim, least;                 /* not before the victim's scan stream has so many receipts */
};

struct client {
    char name[96], subject[160];
    uint32_t flags, index;
    int socket;
    enum phase phase;
    bool writing;                                   /* waits for room in the socket */
    struct buffer in, out;
    struct stream streams[STREAMS];
    uint32_t window;                                /* may be under way now: begins with `first`, one more with each receipt */
    bool probing;                                   /* one at a time until a receipt comes */
    uint64_t resume_ns, wake_ns, heard_ns, spoken_ns;
    double patience_s, backoff_s;
    uint16_t message;
    struct { uint8_t stream; uint32_t seq; } sent[REMEMBERED];
    struct shout *shouts;
    uint32_t shout_count, shout_next;
};

struct counters {
    uint64_t sent, resent, connects, lost, receipts, news, refusals, gaps, forks, timeouts, shouted, bytes;
    uint64_t pubacks[256];
};

struct options {
    int port;
    uint32_t window, first_window, period_ms, timeout_ms, spread_ms, shout_ms, limit_s;
    bool stay;
};

extern struct options options;
extern struct counters counters;
extern struct client *clients;
extern uint32_t client_count;
extern uint64_t done, due;                          /* batches vouched for, and all of them */
extern FILE *receipts;

uint64_t now_ns(void);
double chance(void);                                /* 0 to 1, seeded */

/* fleet_mqtt.c */
void buffer_add(struct buffer *buffer, const void *data, size_t length);
void mqtt_connect(struct client *client);
void mqtt_subscribe(struct client *client, const char *topic);
void mqtt_publish(struct client *client, const char *topic, const uint8_t *body, uint32_t length, uint16_t id);
void mqtt_puback(struct client *client, uint16_t id);
void mqtt_ping(struct client *client);
/* Handles all whole packets of client->in; false when the broker says something that cannot be. */
bool mqtt_read(struct client *client);

/* fleet_gateway.c: what mqtt_read calls, and what the loop calls */
void on_connected(struct client *client);
void on_subscribed(struct client *client);
void on_puback(struct client *client, uint16_t id, uint8_t reason);
void on_message(struct client *client, const uint8_t *body, size_t length);
void gateway_restart(struct client *client);
void gateway_pump(struct client *client, uint64_t now);
void gateway_tick(struct client *client, uint64_t now);

/* fleet_cargo.c */
void cargo_read(const char *path);
#endif
