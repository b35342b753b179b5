/* modbus_sim: many Modbus units in one process, for benchmarks in which every read must be accounted for.
 *
 *   modbus_sim [--units N] [--port P] [--control P] [--signal walk|noise] [--pty LINK [--baud B]]
 *
 * Modbus TCP on loopback only: unit N answers on 127.0.1.N, and all units answer on 127.0.0.1 (units behind
 * one gateway). With --pty the units answer Modbus RTU on a pseudo-terminal instead, LINK being a symbolic
 * link to it; --baud imitates the time the bytes would take on the wire (11 bits each).
 * When ready, one line on standard output: {"port": P, "control": P, "tty": "..."}; port 0 means any free one.
 *
 * Holding registers of a unit (function codes 3 and 4, addresses 0..124):
 *   0, 1   how many reads of register 0 this unit has answered, low and high 16 bits
 *   2..    a bounded random walk, the largest step growing with the register (walk), or 16 random bits (noise)
 * Registers change only when register 0 is read, so one poll is one state, and each poll has its number.
 *
 * Control port, one command a line, one answer a line:
 *   stats                  requests, answered register-0 reads, connections ... as JSON
 *   mute U | unmute U|all  a muted unit takes requests and stays silent
 *   exception U CODE       the unit answers every request with this exception; 0 ends it
 *   delay MS               every answer takes this long, one after the other on each connection
 *   dump FILE              all counted reads so far: records of u32 unit, u32 number, u64 CLOCK_MONOTONIC ns
 */
#define _GNU_SOURCE
#include "modbus_sim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <termios.h>
#include <unistd.h>

enum { RTU_JUNK_NS = 20000000 };

struct reply {
    uint64_t due_ns;
    int size;
    uint8_t bytes[MAX_FRAME];
    struct reply *next;
};

enum kind { MODBUS_LISTENER, CONTROL_LISTENER, MODBUS_TCP, MODBUS_RTU, CONTROL, TIMER, SIGNALS };

struct link {
    enum kind kind;
    int fd;
    int only_unit; /* 0: all units answer here */
    int held;
    uint64_t heard_ns;
    uint64_t busy_until_ns;
    struct reply *first, *last;
    struct link *next;
    uint8_t in[4096];
};

static uint64_t delay_ns, byte_ns, connections, damaged;
static struct link *links, *dead_links;
static int poller, timer;

/* ---- links ---- */

static struct link *add_link(enum kind kind, int fd, int only_unit)
{
    struct link *link = calloc(1, sizeof *link);
    if (!link)
        die("memory for a link");
    link->kind = kind;
    link->fd = fd;
    link->only_unit = only_unit;
    link->next = links;
    links = link;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = link};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event))
        die("epoll");
    return link;
}

/* The link is only set aside: events for it may still be waiting in the batch that is being worked off. */
static void drop_link(struct link *link)
{
    for (struct link **place = &links; *place; place = &(*place)->next)
        if (*place == link) {
            *place = link->next;
            break;
        }
    close(link->fd);
    link->fd = -1;
    for (struct reply *reply; (reply = link->first);) {
        link->first = reply->next;
        free(reply);
    }
    link->next = dead_links;
    dead_links = link;
}

static void free_dead_links(void)
{
    for (struct link *link; (link = dead_links);) {
        dead_links = link->next;
        free(link);
    }
}

static void arm_timer(void)
{
    uint64_t due = 0;
    for (struct link *link = links; link; link = link->next)
        if (link->first && (!due || link->first->due_ns < due))
            due = link->first->due_ns;
    struct itimerspec at = {.it_value = {.tv_sec = (time_t)(due / 1000000000u), .tv_nsec = (long)(due % 1000000000u)}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
}

/* Sends now, or when `cost_ns` of this link's time has passed. A peer that does not read is dropped. */
static bool send_reply(struct link *link, const uint8_t *bytes, int size, uint64_t cost_ns)
{
    if (!cost_ns)
        return write(link->fd, bytes, (size_t)size) == size;
    uint64_t now = now_ns();
    link->busy_until_ns = (link->busy_until_ns > now ? link->busy_until_ns : now) + cost_ns;
    if (!size)
        return true;
    struct reply *reply = calloc(1, sizeof *reply);
    if (!reply)
        die("memory for a reply");
    reply->due_ns = link->busy_until_ns;
    reply->size = size;
    memcpy(reply->bytes, bytes, (size_t)size);
    if (link->first)
        link->last->next = reply;
    else
        link->first = reply;
    link->last = reply;
    arm_timer();
    return true;
}

static void send_due(void)
{
    uint64_t now = now_ns();
    for (struct link *link = links, *next; link; link = next) {
        next = link->next;
        for (struct reply *reply; (reply = link->first) && reply->due_ns <= now;) {
            bool sent = write(link->fd, reply->bytes, (size_t)reply->size) == reply->size;
            link->first = reply->next;
            free(reply);
            if (!sent) {
                drop_link(link);
                break;
            }
        }
    }
    arm_timer();
}

static void take(struct link *link, int size)
{
    link->held -= size;
    memmove(link->in, link->in + size, (size_t)link->held);
}

/* ---- Modbus TCP: MBAP header of 7 bytes, then the pdu ---- */

static bool serve_tcp(struct link *link)
{
    while (link->held >= 8) {
        const uint8_t *in = link->in;
        int length = in[4] << 8 | in[5];
        if (in[2] || in[3] || length < 2 || length > MAX_FRAME - 6)
            return false;
        if (link->held < 6 + length)
            return true;
        uint8_t out[MAX_FRAME];
        memcpy(out, in, 7);
        int size = answer(in[6], link->only_unit, in + 7, length - 1, out + 7);
        out[4] = (uint8_t)((size + 1) >> 8);
        out[5] = (uint8_t)(size + 1);
        if (size && !send_reply(link, out, 7 + size, delay_ns))
            return false;
        take(link, 6 + length);
    }
    return true;
}

/* ---- Modbus RTU ---- */

static bool serve_rtu(struct link *link)
{
    while (link->held >= 4) {
        int size = rtu_request_size(link->in, link->held);
        if (size > link->held)
            return true;
        if (!size || crc16(link->in, size - 2) != (link->in[size - 2] | link->in[size - 1] << 8)) {
            damaged++;
            take(link, 1);
            continue;
        }
        uint8_t out[MAX_FRAME];
        out[0] = link->in[0];
        int reply = answer(link->in[0], 0, link->in + 1, size - 3, out + 1);
        uint64_t cost = byte_ns * (uint64_t)size + byte_ns * 7 / 2; /* the request, and 3.5 characters of silence */
        if (reply) {
            uint16_t crc = crc16(out, 1 + reply);
            out[1 + reply] = (uint8_t)crc;
            out[2 + reply] = (uint8_t)(crc >> 8);
            reply += 3;
            cost += byte_ns * (uint64_t)reply + delay_ns;
        }
        take(link, size);
        if ((reply || cost) && !send_reply(link, out, reply, cost))
            return false;
    }
    return true;
}

/* ---- control ---- */

static void obey(struct link *link, const char *line)
{
    char word[16] = "", argument[512] = "";
    int value = 0;
    bool done = false;
    sscanf(line, "%15s %511s %d", word, argument, &value);
    if (!strcmp(word, "stats")) {
        dprintf(link->fd,
                "{\"requests\": %lu, \"reads\": %zu, \"exceptions\": %lu, \"unanswered\": %lu, \"damaged\": %lu, "
                "\"connections\": %lu, \"units\": %d}\n",
                counters.requests, counters.reads, counters.exceptions, counters.unanswered, damaged, connections, unit_count);
        return;
    }
    if (!strcmp(word, "dump"))
        done = dump_records(argument);
    else if (!strcmp(word, "delay")) {
        delay_ns = 1000000u * strtoull(argument, NULL, 10);
        done = true;
    } else
        done = set_units(word, argument, value);
    dprintf(link->fd, done ? "ok\n" : "not understood\n");
}

static bool serve_control(struct link *link)
{
    for (uint8_t *end; (end = memchr(link->in, '\n', (size_t)link->held));) {
        *end = 0;
        obey(link, (const char *)link->in);
        take(link, (int)(end - link->in) + 1);
    }
    return link->held < (int)sizeof link->in;
}

/* ---- set-up and the loop ---- */

static int listen_on(uint32_t address, int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(address)};
    if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 256))
        die("listening");
    return fd;
}

static int port_of(int fd)
{
    struct sockaddr_in at;
    socklen_t size = sizeof at;
    getsockname(fd, (struct sockaddr *)&at, &size);
    return ntohs(at.sin_port);
}

static int open_tty(const char *path)
{
    int master, slave; /* the slave side stays open here, so that a client may come and go without a hang-up */
    char name[128];
    struct termios mode;
    if (openpty(&master, &slave, name, NULL, NULL))
        die("pseudo-terminal");
    tcgetattr(slave, &mode);
    cfmakeraw(&mode);
    tcsetattr(slave, TCSANOW, &mode);
    unlink(path);
    if (symlink(name, path))
        die(path);
    return master;
}

static void accept_on(struct link *listener)
{
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK), one = 1;
    if (fd < 0)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    connections += listener->kind == MODBUS_LISTENER;
    add_link(listener->kind == MODBUS_LISTENER ? MODBUS_TCP : CONTROL, fd, listener->only_unit);
}

static void serve(struct link *link)
{
    uint64_t now = now_ns();
    if (link->kind == MODBUS_RTU && now - link->heard_ns > RTU_JUNK_NS)
        link->held = 0; /* a silence ends a frame, finished or not */
    link->heard_ns = now;
    ssize_t size = read(link->fd, link->in + link->held, sizeof link->in - (size_t)link->held);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    bool well = size > 0;
    if (well) {
        link->held += (int)size;
        well = link->kind == CONTROL ? serve_control(link) : link->kind == MODBUS_RTU ? serve_rtu(link) : serve_tcp(link);
    }
    if (!well)
        drop_link(link);
}

static void run(void)
{
    struct epoll_event events[256];
    for (;;) {
        int count = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < count; i++) {
            struct link *link = events[i].data.ptr;
            uint64_t ignored;
            if (link->fd < 0)
                continue;
            if (link->kind == SIGNALS)
                return;
            if (link->kind == MODBUS_LISTENER || link->kind == CONTROL_LISTENER)
                accept_on(link);
            else if (link->kind != TIMER)
                serve(link);
            else if (read(timer, &ignored, sizeof ignored) > 0)
                send_due();
        }
        free_dead_links();
    }
}

int main(int argc, char **argv)
{
    int port = 0, control = 0, baud = 0, option;
    const char *tty = NULL;
    static const struct option options[] = {
        {"units", 1, 0, 'u'}, {"port", 1, 0, 'p'}, {"control", 1, 0, 'c'}, {"signal", 1, 0, 's'},
        {"pty", 1, 0, 't'},   {"baud", 1, 0, 'b'}, {0},
    };
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        switch (option) {
        case 'u': unit_count = atoi(optarg); break;
        case 'p': port = atoi(optarg); break;
        case 'c': control = atoi(optarg); break;
        case 's': noise = !strcmp(optarg, "noise"); break;
        case 't': tty = optarg; break;
        case 'b': baud = atoi(optarg); break;
        default: return 2;
        }
    if (unit_count < 1 || unit_count > MAX_UNITS) {
        fprintf(stderr, "--units: 1 to %d\n", MAX_UNITS);
        return 2;
    }
    start_units();
    byte_ns = baud ? 11000000000ull / (unsigned)baud : 0;
    poller = epoll_create1(0);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    add_link(TIMER, timer, 0);
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    signal(SIGPIPE, SIG_IGN);
    add_link(SIGNALS, signalfd(-1, &ends, 0), 0);
    int control_fd = listen_on(INADDR_LOOPBACK, control);
    add_link(CONTROL_LISTENER, control_fd, 0);
    if (tty) {
        add_link(MODBUS_RTU, open_tty(tty), 0);
    } else {
        int fd = listen_on(INADDR_LOOPBACK, port);
        port = port_of(fd);
        add_link(MODBUS_LISTENER, fd, 0);
        for (int u = 1; u <= unit_count; u++)
            add_link(MODBUS_LISTENER, listen_on(0x7f000100u + (uint32_t)u, port), u);
    }
    printf("{\"port\": %d, \"control\": %d, \"tty\": \"%s\"}\n", port, port_of(control_fd), tty ? tty : "");
    fflush(stdout);
    run();
    if (tty)
        unlink(tty);
    return 0;
}
