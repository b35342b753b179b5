/* MQTT 5 as far as a gateway speaks it: packets are written into a buffer and read out of one. */
#include "fleet.h"
#include <stdlib.h>
#include <string.h>

void buffer_add(struct buffer *buffer, const void *data, size_t length)
{
    if (buffer->used + length > buffer->size) {
        memmove(buffer->data, buffer->data + buffer->from, buffer->used - buffer->from);
        buffer->used -= buffer->from;
        buffer->from = 0;
        while (buffer->used + length > buffer->size)
            buffer->size = buffer->size ? 2 * buffer->size : 4096;
        buffer->data = realloc(buffer->data, buffer->size);
        if (!buffer->data)
            abort();
    }
    memcpy(buffer->data + buffer->used, data, length);
    buffer->used += length;
}

static void head(struct client *client, uint8_t kind, uint32_t length)
{
    uint8_t bytes[5] = {kind};
    size_t used = 1;
    do {
        bytes[used] = length & 127;
        length >>= 7;
        bytes[used++] |= length ? 128 : 0;
    } while (length);
    buffer_add(&client->out, bytes, used);
}

static void number(struct client *client, uint16_t value)
{
    uint8_t bytes[2] = {value >> 8, value & 255};
    buffer_add(&client->out, bytes, 2);
}

static void text(struct client *client, const char *words)
{
    number(client, (uint16_t)strlen(words));
    buffer_add(&client->out, words, strlen(words));
}

void mqtt_connect(struct client *client)
{
    head(client, 0x10, (uint32_t)(6 + 1 + 1 + 2 + 1 + 2 + strlen(client->name)));
    text(client, "MQTT");
    buffer_add(&client->out, "\x05\x02\x00\x3c\x00", 5);        /* version 5, clean start, keep alive 60 s */
    text(client, client->name);
}

void mqtt_subscribe(struct client *client, const char *topic)
{
    head(client, 0x82, (uint32_t)(2 + 1 + 2 + strlen(topic) + 1));
    number(client, 1);
    buffer_add(&client->out, "\x00", 1);
    text(client, topic);
    buffer_add(&client->out, "\x01", 1);
}

void mqtt_publish(struct client *client, const char *topic, const uint8_t *body, uint32_t length, uint16_t id)
{
    head(client, 0x32, (uint32_t)(2 + strlen(topic) + 2 + 1 + length));
    text(client, topic);
    number(client, id);
    buffer_add(&client->out, "\x00", 1);
    buffer_add(&client->out, body, length);
}

void mqtt_puback(struct client *client, uint16_t id)
{
    head(client, 0x40, 2);
    number(client, id);
}

void mqtt_ping(struct client *client)
{
    head(client, 0xc0, 0);
}

/* A variable length of at most four bytes at data[*at]; false when it does not end within `end`. */
static bool varint(const uint8_t *data, size_t end, size_t *at, uint32_t *value)
{
    *value = 0;
    for (int place = 0; place < 4 && *at < end; place++) {
        uint8_t byte = data[(*at)++];
        *value |= (uint32_t)(byte & 127) << (7 * place);
        if (!(byte & 128))
            return true;
    }
    return false;
}

static bool message(struct client *client, uint8_t flags, const uint8_t *data, size_t length)
{
    if (length < 2)
        return false;
    size_t at = 2 + (size_t)(data[0] << 8 | data[1]);
    uint16_t id = 0;
    uint32_t properties;
    if (flags & 6) {
        if (at + 2 > length)
            return false;
        id = (uint16_t)(data[at] << 8 | data[at + 1]);
        at += 2;
    }
    if (!varint(data, length, &at, &properties) || at + properties > length)
        return false;
    at += properties;
    if (id)
        mqtt_puback(client, id);
    on_message(client, data + at, length - at);
    return true;
}

static bool packet(struct client *client, uint8_t kind, const uint8_t *data, size_t length)
{
    switch (kind >> 4) {
    case 2:
        if (length < 2 || data[1])
            return false;
        on_connected(client);
        return true;
    case 3:
        return message(client, kind & 15, data, length);
    case 4:
        if (length < 2)
            return false;
        on_puback(client, (uint16_t)(data[0] << 8 | data[1]), length > 2 ? data[2] : 0);
        return true;
    case 9:
        if (length < 4 || data[length - 1] >= 0x80)
            return false;
        on_subscribed(client);
        return true;
    case 13:
        return true;
    default:                                        /* DISCONNECT and what a broker does not send */
        return false;
    }
}

bool mqtt_read(struct client *client)
{
    struct buffer *in = &client->in;
    while (in->used - in->from >= 2) {
        size_t at = in->from + 1;
        uint32_t length;
        if (!varint(in->data, in->used, &at, &length))
            return in->used - in->from < 5;
        if (at + length > in->used)
            return true;
        uint8_t kind = in->data[in->from];
        in->from = at + length;
        if (!packet(client, kind, in->data + at, length))
            return false;
    }
    if (in->from == in->used)
        in->from = in->used = 0;
    return true;
}
