/* What a gateway does with its batches: the rules of gateway/sync/lane.py and uplink.py, and a disturber's.
 *
 * A receipt counts here by the stream and the size of the tree that it names; each is written to a file, and whoever
 * reads the file checks signature and root. So the check costs nothing while something is measured.
 */
#define _GNU_SOURCE
#include "fleet.h"
#include <string.h>

#define NO_SUBSCRIBER 0x10
#define PATIENCE_FIRST_S 0.25
#define PATIENCE_LAST_S 30.0
#define DISBELIEF_S 2.0
#define SECOND 1000000000ull

static const char *const KINDS[STREAMS] = {"event", "scan"};

static uint32_t in_flight(const struct client *client)
{
    uint32_t count = 0;
    for (int kind = EVENT; kind < STREAMS; kind++)
        count += client->streams[kind].cursor - client->streams[kind].size;
    return count;
}

static uint64_t after(uint64_t now, double seconds)
{
    return now + (uint64_t)(seconds * 1e9 * (0.5 + 0.5 * chance()));
}

/* Send from the first batch without a receipt. */
void gateway_restart(struct client *client)
{
    for (int kind = EVENT; kind < STREAMS; kind++)
        client->streams[kind].cursor = client->streams[kind].size;
}

/* Send nothing for a while, then one batch at a time until a receipt comes. */
static void rest(struct client *client, uint64_t now, double seconds)
{
    gateway_restart(client);
    client->probing = true;
    client->window = options.first_window;
    client->resume_ns = after(now, seconds);
}

static void lose_patience(struct client *client, uint64_t now)
{
    rest(client, now, client->patience_s);
    client->patience_s = client->patience_s * 2 > PATIENCE_LAST_S ? PATIENCE_LAST_S : client->patience_s * 2;
}

static void send_one(struct client *client, int kind, uint32_t seq)
{
    struct batch *batch = &client->streams[kind].batches[seq];
    char topic[160];
    snprintf(topic, sizeof topic, "aurora/v1/%s/%s", client->name, KINDS[kind]);
    for (uint32_t times = client->flags & REPEATS ? 2 : 1; times; times--) {
        client->message = client->message == UINT16_MAX ? 1 : (uint16_t)(client->message + 1);
        client->sent[client->message % REMEMBERED].stream = (uint8_t)kind;
        client->sent[client->message % REMEMBERED].seq = seq;
        mqtt_publish(client, topic, batch->body, batch->length, client->message);
        counters.sent++;
        counters.bytes += batch->length;
    }
}

/* How many batches of a stream are sealed by now: all of them, or one more each period. */
static uint32_t sealed(const struct client *client, int kind, uint64_t now)
{
    const struct stream *stream = &client->streams[kind];
    if (!options.period_ms || kind == EVENT)
        return stream->count;
    uint32_t known = stream->size;
    while (known < stream->count && stream->batches[known].ready_ns <= now)
        known++;
    return known;
}

static void send_stream(struct client *client, int kind, uint64_t now)
{
    struct stream *stream = &client->streams[kind];
    uint32_t window = client->probing ? 1 : client->window;
    uint32_t last = sealed(client, kind, now), first = stream->cursor, busy = in_flight(client);
    uint32_t room = window > busy ? window - busy : 0;
    uint32_t upto = first + room < last ? first + room : last;
    if (first >= upto)
        return;
    if (first == stream->size)
        stream->oldest_ns = now;
    for (uint32_t place = first; place < upto; place++) {
        uint32_t seq = client->flags & REVERSES ? upto - 1 - (place - first) : place;
        struct batch *batch = &stream->batches[seq];
        if (!batch->ready_ns)
            batch->ready_ns = now;
        send_one(client, kind, seq);
    }
    stream->cursor = upto;
}

/* Send what may be sent. */
void gateway_pump(struct client *client, uint64_t now)
{
    if (client->phase != UP || now < client->resume_ns)
        return;
    for (int kind = EVENT; kind < STREAMS; kind++)
        send_stream(client, kind, now);
}

static void shout(struct client *client, uint64_t now)
{
    struct shout *one = &client->shouts[client->shout_next];
    client->shout_next = (client->shout_next + 1) % client->shout_count;
    client->resume_ns = after(now, options.shout_ms / 1e3);
    if (one->victim != UINT32_MAX && clients[one->victim].streams[SCAN].size < one->least)
        return;
    client->message = client->message == UINT16_MAX ? 1 : (uint16_t)(client->message + 1);
    mqtt_publish(client, one->topic, one->body, one->length, client->message);
    counters.shouted++;
}

/* Time-outs, and what has become due. */
void gateway_tick(struct client *client, uint64_t now)
{
    if (client->phase != UP || now < client->resume_ns)
        return;
    if (client->shout_count) {
        shout(client, now);
        return;
    }
    for (int kind = EVENT; kind < STREAMS; kind++) {
        struct stream *stream = &client->streams[kind];
        if (stream->cursor > stream->size && now > stream->oldest_ns + options.timeout_ms * 1000000ull) {
            counters.timeouts++;
            lose_patience(client, now);
            return;
        }
    }
    gateway_pump(client, now);
}

void on_connected(struct client *client)
{
    char topic[160];
    snprintf(topic, sizeof topic, "aurora/v1/%s/receipt", client->name);
    client->phase = SUBSCRIBING;
    mqtt_subscribe(client, topic);
}

void on_subscribed(struct client *client)
{
    client->phase = UP;
    client->message = 1;
    client->window = options.first_window;
    counters.connects++;
    gateway_restart(client);
}

void on_puback(struct client *client, uint16_t id, uint8_t reason)
{
    counters.pubacks[reason]++;
    if (reason < NO_SUBSCRIBER || client->shout_count)
        return;
    struct stream *stream = &client->streams[client->sent[id % REMEMBERED].stream];
    uint32_t seq = client->sent[id % REMEMBERED].seq;
    if (seq >= stream->size && seq < stream->cursor)
        lose_patience(client, now_ns());
}

/* The unsigned CBOR integer behind a label. */
static bool number_after(const uint8_t *body, size_t length, const char *label, size_t used, uint64_t *value)
{
    const uint8_t *found = memmem(body, length, label, used);
    if (!found || (found += used) >= body + length)
        return false;
    uint32_t more = *found < 24 ? 0 : *found <= 27 ? 1u << (*found - 24) : 99;
    if (found + more >= body + length)
        return false;
    *value = more ? 0 : *found;
    for (uint32_t place = 1; place <= more; place++)
        *value = *value << 8 | found[place];
    return true;
}

/* The size of the tree from a receipt's protected header: private label -65538. */
static bool tree_size(const uint8_t *body, size_t length, uint64_t *size)
{
    return number_after(body, length, "\x3a\x00\x01\x00\x01", 5, size);
}

static void vouched(struct client *client, int kind, uint64_t size)
{
    struct stream *stream = &client->streams[kind];
    counters.receipts++;
    if (size <= stream->size || size > stream->count)
        return;
    uint64_t now = now_ns();
    uint32_t before = stream->size;
    counters.news++;
    done += size - before;
    for (; stream->size < size; stream->size++)
        stream->batches[stream->size].receipt_ns = now;
    if (stream->cursor < stream->size)
        stream->cursor = stream->size;
    stream->oldest_ns = now;
    client->probing = false;
    client->resume_ns = 0;
    client->patience_s = PATIENCE_FIRST_S;
    client->backoff_s = 0.1;
    client->window += client->window < options.window;
}

static void refused(struct client *client, int kind, const uint8_t *body, size_t length)
{
    struct stream *stream = &client->streams[kind];
    uint64_t now = now_ns();
    counters.refusals++;
    if (memmem(body, length, "cgap", 4)) {
        counters.gaps++;
        /* What was sent and has not come is known to be lost: no need to wait for the time-out. */
        if (stream->cursor > stream->size && now >= client->resume_ns) {
            gateway_restart(client);
            client->window = options.first_window;
            client->resume_ns = after(now, client->patience_s);
            client->patience_s = client->patience_s * 2 > PATIENCE_LAST_S ? PATIENCE_LAST_S : client->patience_s * 2;
        }
        return;
    }
    counters.forks += memmem(body, length, "dfork", 5) != NULL;
    /* About something that was not sent: somebody else is at work, which slows nothing down. */
    uint64_t seq;
    if (number_after(body, length, "cseq", 4, &seq) && seq >= stream->size && seq < stream->cursor)
        rest(client, now, DISBELIEF_S);
}

void on_message(struct client *client, const uint8_t *body, size_t length)
{
    if (client->shout_count)
        return;
    uint64_t size;
    uint32_t sizes[2] = {client->index, (uint32_t)length};
    if (receipts) {
        fwrite(sizes, sizeof sizes, 1, receipts);
        fwrite(body, 1, length, receipts);
    }
    for (int kind = EVENT; kind < STREAMS; kind++) {
        char subject[192];
        int used = snprintf(subject, sizeof subject, "%s:%s", client->subject, KINDS[kind]);
        if (!memmem(body, length, subject, (size_t)used))
            continue;
        if (body[0] != 0xd2)
            refused(client, kind, body, length);
        else if (tree_size(body, length, &size))
            vouched(client, kind, size);
        gateway_pump(client, now_ns());
        return;
    }
}
