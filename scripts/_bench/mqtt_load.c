/* The load of `scripts/bench broker`: MQTT 3.1.1 clients in one epoll thread, packets encoded before the clock runs.
 *
 * Started as `mqtt_load name=number ...`.  It logs in and subscribes, warms the broker up, prints {"ready":clients},
 * and waits for a byte on stdin, so that whoever measures can look at an idle broker first.  Then it runs, prints
 * its counts as one JSON object, and keeps its connections until stdin says more or ends.
 *
 * Closed loop: at most `cap` messages are on their way (published, not delivered to the slowest subscriber), so a
 * broker is never measured while its own backlog grows.  A run ends after `count` messages, or after `msec`
 * milliseconds of publishing, and then waits for what is still on its way.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { SHEET = 64, INPUT = 1 << 18, EVENTS = 512, TEXT = 64, MOST_PACKET = 1 << 16 };
enum { MODE_TRAFFIC, MODE_CONNECTS, MODE_IDLE };
enum state { FREE, CONNECTING, LOGGING_IN, OPEN, LEAVING };

/* Every setting is a number; names as on the command line. */
static long mode, port, pubs = 10, subs = 1, qos, window = 20, cap = 5000, count = 100000, size = 100, filters = 1,
    rate, kept, users = 1, clients = 1000, together = 4, msec = 3000, warm = 1000, stall_ms = 5000;
static const struct setting { const char *name; long *value; } SETTINGS[] = {
    {"mode", &mode},         {"port", &port},   {"pubs", &pubs},       {"subs", &subs},   {"qos", &qos},
    {"window", &window},     {"cap", &cap},     {"count", &count},     {"size", &size},   {"filters", &filters},
    {"rate", &rate},         {"kept", &kept},   {"users", &users},     {"clients", &clients},
    {"together", &together}, {"msec", &msec},   {"warm", &warm},       {"stall_ms", &stall_ms},
};

struct client {
    int fd;
    enum state state;
    int awaits_write;
    long number, user;
    long published, acked, received;   /* of this run */
    uint16_t last_id;
    uint8_t *sheet;                    /* a publisher's next SHEET packets, one after the other */
    size_t packet_bytes, id_at, payload_at;
    uint8_t *in, *out;                 /* a packet cut short; bytes the socket did not take */
    size_t in_bytes, out_bytes, out_room;
};

static struct client *all;
static int epoll;
static uint8_t input[INPUT + MOST_PACKET];
static long open_now, subscribed, pongs, lost, left;
static int64_t *delays, delays_got, delays_room;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static double own_cpu_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void give_up(const char *why, long detail) {
    fprintf(stderr, "mqtt_load: %s (%ld)\n", why, detail);
    exit(1);
}

static void *room(size_t bytes) {
    void *got = calloc(1, bytes ? bytes : 1);
    if (!got) give_up("no memory", (long)bytes);
    return got;
}

/* ---- packets ---- */

static uint8_t *put_text(uint8_t *at, const char *text) {
    size_t length = strlen(text);
    *at++ = length >> 8;
    *at++ = length & 255;
    memcpy(at, text, length);
    return at + length;
}

static uint8_t *put_head(uint8_t *at, uint8_t first, size_t length) {
    *at++ = first;
    for (; length > 127; length >>= 7) *at++ = (length & 127) | 128;
    *at++ = length;
    return at;
}

static size_t put_connect(uint8_t *at, const struct client *c) {
    char id[TEXT], user[TEXT], password[TEXT];
    snprintf(id, sizeof id, "load-%ld", c->number);
    snprintf(user, sizeof user, "bench-%ld", c->user);
    snprintf(password, sizeof password, "secret-%ld", c->user);
    int is_kept = kept && mode == MODE_TRAFFIC && c->number >= pubs;
    size_t length = 10 + 6 + strlen(id) + strlen(user) + strlen(password);
    uint8_t *end = put_head(at, 0x10, length);
    end = put_text(end, "MQTT");
    *end++ = 4;
    *end++ = is_kept ? 0xC0 : 0xC2;
    *end++ = 600 >> 8; /* keep-alive: longer than any run */
    *end++ = 600 & 255;
    end = put_text(end, id);
    end = put_text(end, user);
    return put_text(end, password) - at;
}

static size_t put_subscribe(uint8_t *at, long which) {
    char filter[TEXT];
    if (which) snprintf(filter, sizeof filter, "load/area%ld/+/s/#", which);
    else snprintf(filter, sizeof filter, "load/+/value");
    uint8_t *end = put_head(at, 0x82, 2 + 2 + strlen(filter) + 1);
    *end++ = (which + 1) >> 8;
    *end++ = (which + 1) & 255;
    end = put_text(end, filter);
    *end++ = qos;
    return end - at;
}

static void make_sheet(struct client *c) {
    char topic[TEXT];
    snprintf(topic, sizeof topic, "load/%ld/value", c->number);
    size_t length = 2 + strlen(topic) + (qos ? 2 : 0) + size;
    uint8_t head[8];
    c->packet_bytes = put_head(head, 0x30 | qos << 1, length) - head + length;
    c->sheet = room(c->packet_bytes * SHEET);
    for (int i = 0; i < SHEET; i++) {
        uint8_t *start = c->sheet + i * c->packet_bytes, *at = put_head(start, 0x30 | qos << 1, length);
        at = put_text(at, topic);
        c->id_at = at - start;
        c->payload_at = c->id_at + (qos ? 2 : 0);
        memset(start + c->payload_at, 'x', size);
    }
}

/* ---- sockets ---- */

static void watch(struct client *c, int for_write) {
    if (c->awaits_write == for_write) return;
    c->awaits_write = for_write;
    struct epoll_event event = {.events = EPOLLIN | (for_write ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event);
}

static void drop(struct client *c) {
    if (c->state == OPEN) open_now--;
    if (c->state == LEAVING) left++;
    else lost++;
    close(c->fd);
    c->state = FREE;
    c->in_bytes = c->out_bytes = 0;
}

static void keep_unsent(struct client *c, const uint8_t *bytes, size_t length) {
    if (c->out_bytes + length > c->out_room) {
        c->out_room = (c->out_bytes + length) * 2;
        c->out = realloc(c->out, c->out_room);
        if (!c->out) give_up("no memory", (long)c->out_room);
    }
    memcpy(c->out + c->out_bytes, bytes, length);
    c->out_bytes += length;
    watch(c, 1);
}

static void transmit(struct client *c, const uint8_t *bytes, size_t length) {
    if (!c->out_bytes) {
        ssize_t done = send(c->fd, bytes, length, MSG_NOSIGNAL);
        if (done < 0 && errno != EAGAIN) return; /* reading will tell that it is gone */
        if (done == (ssize_t)length) return;
        if (done > 0) bytes += done, length -= done;
    }
    keep_unsent(c, bytes, length);
}

static void transmit_rest(struct client *c) {
    ssize_t done = send(c->fd, c->out, c->out_bytes, MSG_NOSIGNAL);
    if (done <= 0) return;
    c->out_bytes -= done;
    memmove(c->out, c->out + done, c->out_bytes);
    if (!c->out_bytes) watch(c, 0);
}

static void start(struct client *c, long number, long user) {
    c->number = number;
    c->user = user;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) give_up("no socket", errno);
    int on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) give_up("no connection", errno);
    c->state = CONNECTING;
    c->awaits_write = 1;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
}

/* ---- input ---- */

static void logged_in(struct client *c, int code) {
    if (code) give_up("CONNECT refused", code);
    c->state = OPEN;
    open_now++;
    if (mode == MODE_CONNECTS) {
        static const uint8_t disconnect[2] = {0xE0, 0};
        transmit(c, disconnect, 2);
        open_now--;
        c->state = LEAVING;
    }
}

/* Handles one packet; returns where its acknowledgement ends, if it needs one. */
static uint8_t *packet(struct client *c, uint8_t first, const uint8_t *body, size_t length, uint8_t *acks) {
    switch (first >> 4) {
    case 2:
        if (length >= 2) logged_in(c, body[1]);
        break;
    case 3: {
        size_t at = 2 + (body[0] << 8 | body[1]);
        if (first & 6) {
            *acks++ = 0x40;
            *acks++ = 2;
            *acks++ = body[at];
            *acks++ = body[at + 1];
            at += 2;
        }
        c->received++;
        if (rate && delays_got < delays_room) {
            int64_t sent_ns;
            memcpy(&sent_ns, body + at, sizeof sent_ns);
            delays[delays_got++] = now_ns() - sent_ns;
        }
        break;
    }
    case 4: c->acked++; break;
    case 9:
        if (body[2] & 0x80) give_up("SUBSCRIBE refused", body[2]);
        subscribed++;
        break;
    case 13: pongs++; break;
    default: break;
    }
    return acks;
}

static size_t packets(struct client *c, const uint8_t *bytes, size_t length) {
    static uint8_t acks[INPUT];
    uint8_t *acks_end = acks;
    size_t at = 0;
    while (length - at >= 2) {
        size_t body = at + 1, remaining = 0;
        int shift = 0, is_whole = 0;
        while (body < length && shift < 28 && !is_whole) {
            remaining |= (size_t)(bytes[body] & 127) << shift;
            shift += 7;
            is_whole = bytes[body++] < 128;
        }
        if (!is_whole || length - body < remaining) break;
        acks_end = packet(c, bytes[at], bytes + body, remaining, acks_end);
        at = body + remaining;
    }
    if (acks_end != acks) transmit(c, acks, acks_end - acks);
    return at;
}

static void receive(struct client *c) {
    memcpy(input, c->in, c->in_bytes);
    ssize_t got = recv(c->fd, input + c->in_bytes, INPUT, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        drop(c);
        return;
    }
    size_t length = c->in_bytes + got, used = packets(c, input, length);
    c->in_bytes = length - used;
    if (!c->in_bytes) return;
    if (c->in_bytes > MOST_PACKET) give_up("a packet that is too long", (long)c->in_bytes);
    if (!c->in) c->in = room(MOST_PACKET);
    memcpy(c->in, input + used, c->in_bytes);
}

static void writable(struct client *c) {
    if (c->state == CONNECTING) {
        uint8_t connect_packet[4 * TEXT];
        c->state = LOGGING_IN;
        watch(c, 0);
        transmit(c, connect_packet, put_connect(connect_packet, c));
    } else if (c->out_bytes) {
        transmit_rest(c);
    }
}

/* Waits for input at most so long and handles it; returns whether the timer (data.ptr NULL) was among it. */
static int turn(int milliseconds) {
    struct epoll_event events[EVENTS];
    int got = epoll_wait(epoll, events, EVENTS, milliseconds), ticked = 0;
    for (int i = 0; i < got; i++) {
        struct client *c = events[i].data.ptr;
        if (!c) {
            ticked = 1;
            continue;
        }
        if (events[i].events & EPOLLOUT) writable(c);
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(c);
    }
    return ticked;
}

/* ---- what is done ---- */

static void log_all_in(long number) {
    int64_t moved = now_ns();
    for (long started = 0, before = 0; open_now < number;) {
        while (started < number && started - open_now < together) {
            start(&all[started], started, started % users);
            started++;
        }
        turn(50);
        if (open_now != before) before = open_now, moved = now_ns();
        if (lost) give_up("a connection was closed while logging in", open_now);
        if (now_ns() - moved > stall_ms * 1000000LL) give_up("no CONNACK", open_now);
    }
}

static void subscribe_all(void) {
    uint8_t bytes[4 * TEXT];
    int64_t started = now_ns();
    for (long i = 0; i < subs; i++)
        for (long which = filters - 1; which >= 0; which--) transmit(&all[pubs + i], bytes, put_subscribe(bytes, which));
    while (subscribed < subs * filters) {
        turn(50);
        if (lost || now_ns() - started > stall_ms * 1000000LL) give_up("no SUBACK", subscribed);
    }
}

static long arrived(void) {
    long least = all[pubs].received;
    for (long i = 1; i < subs; i++)
        if (all[pubs + i].received < least) least = all[pubs + i].received;
    return least;
}

static void publish(struct client *c, long number) {
    int64_t stamp = rate ? now_ns() : 0;
    for (long i = 0; i < number && (qos || rate); i++) {
        uint8_t *start_at = c->sheet + i * c->packet_bytes;
        if (rate) memcpy(start_at + c->payload_at, &stamp, sizeof stamp);
        if (!qos) continue;
        if (!++c->last_id) c->last_id = 1;
        start_at[c->id_at] = c->last_id >> 8;
        start_at[c->id_at + 1] = c->last_id & 255;
    }
    c->published += number;
    transmit(c, c->sheet, number * c->packet_bytes);
}

/* Lets each publisher send what window and cap allow, not more than a sheet; returns how many were sent. */
static long top_up(long wanted, long published) {
    long before = published, least = arrived();
    for (long i = 0; i < pubs; i++) {
        struct client *c = &all[i];
        long number = wanted - published, ahead = cap - (published - least);
        if (ahead < number) number = ahead;
        if (qos && window - (c->published - c->acked) < number) number = window - (c->published - c->acked);
        if (number > SHEET) number = SHEET;
        if (number <= 0 || c->out_bytes || c->state != OPEN) continue;
        publish(c, number);
        published += number;
    }
    return published - before;
}

struct totals { long published, received, acked; };

static struct totals totals(void) {
    struct totals sum = {0, 0, 0};
    for (long i = 0; i < pubs; i++) sum.published += all[i].published, sum.acked += all[i].acked;
    for (long i = 0; i < subs; i++) sum.received += all[pubs + i].received;
    return sum;
}

static int timer_of(long per_second) {
    long each_ns = 1000000000L / per_second;
    struct itimerspec every = {{0, each_ns}, {0, each_ns}};
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    timerfd_settime(timer, 0, &every, NULL);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event);
    return timer;
}

/* Publishes `number` messages, or as many as `most_ms` allows (0: all), and waits for their deliveries and acks. */
static double drive(long number, long most_ms) {
    for (long i = 0; i < pubs + subs; i++) all[i].published = all[i].acked = all[i].received = 0;
    delays_got = 0;
    int timer = rate ? timer_of(rate) : -1;
    int64_t started = now_ns(), moved = started;
    long published = 0, due = 0, progress = -1;
    for (;;) {
        long allowed = rate && due < number ? due : number;
        published += top_up(allowed, published);
        struct totals sum = totals();
        if (published >= number && sum.received >= published * subs && (!qos || sum.acked >= published)) break;
        if (sum.received + sum.acked != progress) progress = sum.received + sum.acked, moved = now_ns();
        int64_t now = now_ns();
        if (now - moved > stall_ms * 1000000LL || lost) break;
        if (most_ms && now - started > most_ms * 1000000LL && number > published) number = published;
        if (turn(20) && timer >= 0) {
            uint64_t ticks;
            if (read(timer, &ticks, sizeof ticks) == sizeof ticks) due += ticks;
        }
    }
    if (timer >= 0) close(timer);
    return (now_ns() - started) / 1e9;
}

static double in_and_out(long number, long most_ms, long at_once) {
    int64_t started = now_ns(), moved = started;
    long begun = 0, ended = 0;
    left = 0;
    while (ended < number) {
        for (long i = 0; i < at_once && begun < number; i++)
            if (all[i].state == FREE) start(&all[i], i, begun++ % users);
        turn(50);
        int64_t now = now_ns();
        if (left != ended) ended = left, moved = now;
        if (lost || now - moved > stall_ms * 1000000LL) break;
        if (most_ms && now - started > most_ms * 1000000LL) number = begun;
    }
    clients = begun;
    return (now_ns() - started) / 1e9;
}

static double ping_all(void) {
    static const uint8_t pingreq[2] = {0xC0, 0};
    int64_t started = now_ns(), moved = started;
    for (long i = 0; i < clients; i++) transmit(&all[i], pingreq, 2);
    for (long before = 0; pongs < clients && !lost;) {
        turn(50);
        if (pongs != before) before = pongs, moved = now_ns();
        if (now_ns() - moved > stall_ms * 1000000LL) break;
    }
    return (now_ns() - started) / 1e9;
}

static void wait_for_word(long ready) {
    char word;
    printf("{\"ready\": %ld}\n", ready);
    fflush(stdout);
    if (read(0, &word, 1) <= 0) exit(0);
}

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double delay_us(double share) {
    return delays_got ? delays[(int64_t)((delays_got - 1) * share)] / 1e3 : 0;
}

static void report(long sent, long expected, long received, long acked, double took_s, double cpu_s) {
    if (delays_got) qsort(delays, delays_got, sizeof *delays, ascending);
    printf("{\"sent\": %ld, \"expected\": %ld, \"received\": %ld, \"acked\": %ld, \"lost\": %ld, \"took_s\": %.6f, "
           "\"load_cpu_s\": %.6f, \"p50_us\": %.1f, \"p99_us\": %.1f}\n",
           sent, expected, received, acked, lost, took_s, cpu_s, delay_us(.5), delay_us(.99));
    fflush(stdout);
}

static void traffic(void) {
    all = room(sizeof *all * (pubs + subs));
    delays = room(sizeof *delays * (delays_room = rate ? count : 0));
    log_all_in(pubs + subs);
    subscribe_all();
    for (long i = 0; i < pubs; i++) make_sheet(&all[i]);
    long paced = rate;
    rate = 0;
    drive(warm, 2000);
    rate = paced;
    wait_for_word(pubs + subs);
    double before = own_cpu_s(), took_s = drive(count, rate ? 0 : msec);
    struct totals sum = totals();
    report(sum.published, sum.published * subs, sum.received, qos ? sum.acked : sum.published, took_s, own_cpu_s() - before);
}

static void connects(void) {
    all = room(sizeof *all * together * 4);
    in_and_out(users, 0, together);
    in_and_out(warm, msec, together * 4);
    wait_for_word(users);
    double before = own_cpu_s(), took_s = in_and_out(count, msec, together * 4);
    report(clients, clients, left, clients, took_s, own_cpu_s() - before);
}

static void idle(void) {
    all = room(sizeof *all * clients);
    wait_for_word(0);
    int64_t started = now_ns();
    double before = own_cpu_s();
    log_all_in(clients);
    double took_s = (now_ns() - started) / 1e9;
    wait_for_word(open_now);
    ping_all();
    report(clients, clients, pongs, clients, took_s, own_cpu_s() - before);
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        size_t which = 0, known = sizeof SETTINGS / sizeof *SETTINGS;
        if (!value) give_up("settings are written name=number; this one is not", i);
        while (which < known && (strlen(SETTINGS[which].name) != (size_t)(value - argv[i]) ||
                                 strncmp(SETTINGS[which].name, argv[i], value - argv[i])))
            which++;
        if (which == known) give_up("an unknown setting", i);
        *SETTINGS[which].value = atol(value + 1);
    }
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (mode == MODE_TRAFFIC) traffic();
    else if (mode == MODE_CONNECTS) connects();
    else idle();
    char word;
    return read(0, &word, 1) < 0;
}
