/* Reads what the fleet is to send; bench/fleet/cargo.py writes it. Little-endian.
 *
 *   "AURFLEET", u32 clients; each client:
 *     text name, text issuer, u32 flags, u32 events, u32 scans, u32 shouts,
 *     events and scans: u32 length, body
 *     shouts: text topic, u32 victim (index of a client; 0xffffffff none), u32 least, u32 length, body
 *   text: u16 length, bytes
 */
#include "fleet.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint8_t *at, *end;

static void damaged(const char *what)
{
    fprintf(stderr, "fleet: the cargo is damaged (%s)\n", what);
    exit(2);
}

static const uint8_t *bytes(size_t length)
{
    if ((size_t)(end - at) < length)
        damaged("ends early");
    const uint8_t *found = at;
    at += length;
    return found;
}

static uint32_t number(void)
{
    const uint8_t *found = bytes(4);
    return (uint32_t)found[0] | (uint32_t)found[1] << 8 | (uint32_t)found[2] << 16 | (uint32_t)found[3] << 24;
}

static void text(char *into, size_t size)
{
    const uint8_t *length = bytes(2);
    size_t used = (size_t)(length[0] | length[1] << 8);
    if (used >= size)
        damaged("a long name");
    memcpy(into, bytes(used), used);
    into[used] = 0;
}

static void *room(size_t count, size_t size)
{
    void *found = calloc(count ? count : 1, size);
    if (!found)
        damaged("too large for memory");
    return found;
}

static void read_client(struct client *client)
{
    text(client->name, sizeof client->name);
    text(client->subject, sizeof client->subject);
    client->flags = number();
    for (int kind = EVENT; kind < STREAMS; kind++) {
        client->streams[kind].count = number();
        due += client->streams[kind].count;
    }
    client->shout_count = number();
    for (int kind = EVENT; kind < STREAMS; kind++) {
        struct stream *stream = &client->streams[kind];
        stream->batches = room(stream->count, sizeof *stream->batches);
        for (uint32_t seq = 0; seq < stream->count; seq++) {
            stream->batches[seq].length = number();
            stream->batches[seq].body = bytes(stream->batches[seq].length);
        }
    }
    client->shouts = room(client->shout_count, sizeof *client->shouts);
    for (uint32_t place = 0; place < client->shout_count; place++) {
        struct shout *shout = &client->shouts[place];
        char topic[256];
        text(topic, sizeof topic);
        shout->topic = strdup(topic);
        shout->victim = number();
        shout->least = number();
        shout->length = number();
        shout->body = bytes(shout->length);
    }
}

void cargo_read(const char *path)
{
    struct stat about;
    int file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &about)) {
        perror(path);
        exit(2);
    }
    at = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    if (at == MAP_FAILED) {
        perror(path);
        exit(2);
    }
    end = at + about.st_size;
    close(file);
    if (memcmp(bytes(8), "AURFLEET", 8))
        damaged("no cargo");
    client_count = number();
    clients = room(client_count, sizeof *clients);
    for (uint32_t index = 0; index < client_count; index++) {
        clients[index].index = index;
        clients[index].socket = -1;
        read_client(&clients[index]);
    }
}
