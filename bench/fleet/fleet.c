/* fleet: hundreds of gateways in one thread, as cheap as it goes, because it shares the machine with what it measures.
 *
 *   fleet CARGO [name=value ...]
 *
 *   port        of the broker on 127.0.0.1 (plain MQTT 5)      window      batches without a receipt (8)
 *   first       window at first and after a loss (window)      period      ms between two batches; 0: all at once
 *   timeout     ms without a receipt until resent (20000)      spread      ms over which the gateways connect (0)
 *   shout       ms between two messages of a disturber (50)    limit       s until it gives up (600)
 *   seed        of jitter and phases                           stay        1: go on until SIGTERM
 *   receipts    file for all answers                           times       file for the times of all batches
 *
 * Writes a line `done N of M` to stdout twice a second while N changes, and one line of JSON at the end.
 * Exit status 0 when every batch has a receipt.
 */
#include "fleet.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS 5
#define CONNECT_S 10.0
#define SILENT_NS 60000000000ull
#define PING_NS 30000000000ull

struct options options = {.window = 8, .timeout_ms = 20000, .shout_ms = 50, .limit_s = 600};
struct counters counters;
struct client *clients;
uint32_t client_count;
uint64_t done, due;
FILE *receipts;

static const char *times_file;
static uint64_t random_state = 1;
static int poller;
static volatile sig_atomic_t ended;

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

double chance(void)                                 /* splitmix64 */
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) / 9007199254740992.0;
}

static void end(int number)
{
    (void)number;
    ended = 1;
}

static void watch(struct client *client, int change)
{
    struct epoll_event event = {.events = EPOLLIN | (client->writing ? EPOLLOUT : 0), .data.u32 = client->index};
    epoll_ctl(poller, change, client->socket, &event);
}

static void hang_up(struct client *client, uint64_t now)
{
    counters.lost += client->phase == UP;
    close(client->socket);
    client->socket = -1;
    client->phase = DOWN;
    client->wake_ns = now + (uint64_t)(client->backoff_s * 1e9 * (0.5 + 0.5 * chance()));
    client->backoff_s = client->backoff_s * 2 > CONNECT_S ? CONNECT_S : client->backoff_s * 2;
}

static void flush(struct client *client, uint64_t now)
{
    struct buffer *out = &client->out;
    bool wanted = false;
    while (out->from < out->used) {
        ssize_t sent = send(client->socket, out->data + out->from, out->used - out->from, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno != EAGAIN && errno != ENOTCONN) {
            hang_up(client, now);
            return;
        }
        if (sent < 0) {
            wanted = true;
            break;
        }
        client->spoken_ns = now;
        out->from += (size_t)sent;
    }
    if (out->from == out->used)
        out->from = out->used = 0;
    if (wanted != client->writing) {
        client->writing = wanted;
        watch(client, EPOLL_CTL_MOD);
    }
}

static void dial(struct client *client, uint64_t now)
{
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    int on = 1;
    there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    client->socket = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->socket < 0) {
        perror("fleet: socket");
        exit(2);
    }
    setsockopt(client->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    client->in.from = client->in.used = client->out.from = client->out.used = 0;
    client->heard_ns = client->spoken_ns = now;
    client->phase = OPENING;
    client->writing = true;
    int outcome = connect(client->socket, (struct sockaddr *)&there, sizeof there);
    watch(client, EPOLL_CTL_ADD);
    if (outcome && errno != EINPROGRESS)
        hang_up(client, now);
}

static void hear(struct client *client, uint64_t now)
{
    uint8_t data[65536];
    ssize_t got = recv(client->socket, data, sizeof data, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        hang_up(client, now);
        return;
    }
    client->heard_ns = now;
    buffer_add(&client->in, data, (size_t)got);
    if (!mqtt_read(client))
        hang_up(client, now);
}

static void serve(struct client *client, uint32_t events, uint64_t now)
{
    if (client->socket < 0)
        return;
    if (client->phase == OPENING && events & EPOLLOUT && !(events & (EPOLLERR | EPOLLHUP))) {
        client->phase = GREETING;
        mqtt_connect(client);
    }
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        hear(client, now);
    if (client->socket >= 0 && client->phase != OPENING)
        flush(client, now);
}

static void tick(struct client *client, uint64_t now)
{
    if (client->socket < 0) {
        if (now >= client->wake_ns)
            dial(client, now);
        return;
    }
    if (now > client->heard_ns + SILENT_NS) {
        hang_up(client, now);
        return;
    }
    if (client->phase == UP && now > client->spoken_ns + PING_NS)
        mqtt_ping(client);
    gateway_tick(client, now);
    if (client->phase != OPENING && client->out.from < client->out.used)
        flush(client, now);
}

static void loop(uint64_t start)
{
    struct epoll_event found[256];
    uint64_t ticked = 0, told = 0, told_done = UINT64_MAX;
    while (!ended) {
        int count = epoll_wait(poller, found, 256, TICK_MS);
        uint64_t now = now_ns();
        for (int place = 0; place < count; place++)
            serve(&clients[found[place].data.u32], found[place].events, now);
        if (now - ticked >= TICK_MS * 1000000ull) {
            ticked = now;
            for (uint32_t index = 0; index < client_count; index++)
                tick(&clients[index], now);
        }
        if (done != told_done && (now - told > 500000000ull || done == due)) {
            told = now;
            told_done = done;
            printf("done %llu of %llu\n", (unsigned long long)done, (unsigned long long)due);
            fflush(stdout);
        }
        if ((done == due && !options.stay) || now - start > options.limit_s * 1000000000ull)
            return;
    }
}

static void save_times(void)
{
    FILE *file = fopen(times_file, "wb");
    if (!file) {
        perror(times_file);
        exit(2);
    }
    for (uint32_t index = 0; index < client_count; index++)
        for (int kind = EVENT; kind < STREAMS; kind++)
            for (uint32_t seq = 0; seq < clients[index].streams[kind].count; seq++) {
                const struct batch *batch = &clients[index].streams[kind].batches[seq];
                uint64_t row[4] = {index, (uint64_t)kind, batch->ready_ns, batch->receipt_ns};
                fwrite(row, sizeof row, 1, file);
            }
    fclose(file);
}

static void report(uint64_t start)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu = (double)used.ru_utime.tv_sec + (double)used.ru_stime.tv_sec +
                 (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    printf("{\"batches\": %llu, \"due\": %llu, \"seconds\": %.3f, \"cpu_s\": %.3f, ", (unsigned long long)done,
           (unsigned long long)due, (double)(now_ns() - start) / 1e9, cpu);
#define SAY(name) printf("\"" #name "\": %llu, ", (unsigned long long)counters.name)
    SAY(sent), SAY(bytes), SAY(connects), SAY(lost), SAY(receipts), SAY(news), SAY(refusals), SAY(gaps), SAY(forks),
        SAY(timeouts), SAY(shouted);
    printf("\"pubacks\": {");
    const char *between = "";
    for (int reason = 0; reason < 256; reason++)
        if (counters.pubacks[reason]) {
            printf("%s\"%d\": %llu", between, reason, (unsigned long long)counters.pubacks[reason]);
            between = ", ";
        }
    printf("}}\n");
    fflush(stdout);
}

static void option(const char *word)
{
    const char *value = strchr(word, '=');
    size_t length = value ? (size_t)(value - word) : 0;
#define NAMED(name) (length == strlen(name) && !strncmp(word, name, length))
    if (!length || !*++value) {
        fprintf(stderr, "fleet: %s is not name=value\n", word);
        exit(2);
    }
    uint32_t number = (uint32_t)strtoul(value, NULL, 10);
    if (NAMED("port")) options.port = (int)number;
    else if (NAMED("window")) options.window = number;
    else if (NAMED("first")) options.first_window = number;
    else if (NAMED("period")) options.period_ms = number;
    else if (NAMED("timeout")) options.timeout_ms = number;
    else if (NAMED("spread")) options.spread_ms = number;
    else if (NAMED("shout")) options.shout_ms = number;
    else if (NAMED("limit")) options.limit_s = number;
    else if (NAMED("stay")) options.stay = number != 0;
    else if (NAMED("seed")) random_state = number;
    else if (NAMED("times")) times_file = value;
    else if (NAMED("receipts")) receipts = fopen(value, "wb");
    else {
        fprintf(stderr, "fleet: %s is not known\n", word);
        exit(2);
    }
}

static void arrange(uint64_t start)
{
    for (uint32_t index = 0; index < client_count; index++) {
        struct client *client = &clients[index];
        client->patience_s = 0.25;
        client->backoff_s = 0.1;
        client->wake_ns = start + (uint64_t)(chance() * options.spread_ms * 1e6);
        double phase = chance();
        struct stream *scans = &client->streams[SCAN];
        for (uint32_t seq = 0; options.period_ms && seq < scans->count; seq++)
            scans->batches[seq].ready_ns =
                start + (uint64_t)((options.spread_ms + (seq + phase) * options.period_ms) * 1e6);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    for (int place = 2; place < argc; place++)
        option(argv[place]);
    if (!options.first_window || options.first_window > options.window)
        options.first_window = options.window;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGTERM, end);
    signal(SIGINT, end);
    cargo_read(argv[1]);
    poller = epoll_create1(EPOLL_CLOEXEC);
    uint64_t start = now_ns();
    arrange(start);
    loop(start);
    if (receipts)
        fclose(receipts);
    if (times_file)
        save_times();
    report(start);
    return done == due ? 0 : 1;
}
