/* The program under the benchmarks: it answers 13 bytes at once, or after `/sleep?ms=200`, or as
 * many as `/bytes?n=16384` asks for, a MiB at most; as a queue-proxy would when it is probed.
 *
 * HTTP/1.1 with keep-alive and pipelining, bodies with a Content-Length (thrown away), one thread.
 * An upgrade to WebSocket with the key of RFC 6455's example gets an echo of each message of up to
 * 125 bytes. Environment: PORT, and BENCH_ANNOUNCE=address:port/word, whither it sends the word in
 * a UDP datagram as soon as it listens. SIGTERM ends it when nobody waits for an answer.
 *
 * gcc -O2 -static -o server server.c
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { MOST_CONNECTIONS = 4096, LONGEST_HEAD = 8192, LONGEST_SLEEP_MS = 60000, AT_ONCE = 64 };
enum { LARGEST_BODY = 1 << 20, MASKED_HEAD = 6, LARGEST_MESSAGE = 125 };

static const char ANSWER[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                             "Content-Length: 13\r\n\r\nHello, World!";
static const char PROBED[] = "HTTP/1.1 200 OK\r\nK-Pilotlight-Reports: 1\r\n"
                             "Content-Length: 5\r\n\r\nqueue";
static const char UPGRADED[] = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                               "Upgrade: websocket\r\n"
                               "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
static const char CONTINUE[] = "HTTP/1.1 100 Continue\r\n\r\n";
static const char KEY[] = "dGhlIHNhbXBsZSBub25jZQ==";
static char body[LARGEST_BODY], thrown_away[LARGEST_BODY];

struct connection {
    int fd; /* 0 when free */
    int last; /* close it after this answer */
    int echoes; /* it is a WebSocket */
    int expects; /* a word, before it sends the body of the request in hand */
    int64_t due_ms; /* when the request in hand is to be answered; 0 without one */
    const char *fixed; /* the answer to the request in hand; NULL for one of `asked` bytes */
    size_t asked;
    size_t coming; /* of the request's body */
    size_t owed; /* of the answer's body, what the socket did not take */
    size_t used;
    char head[LONGEST_HEAD + 1];
};

static struct connection connections[MOST_CONNECTIONS];
static int poller, sleepers;
static volatile sig_atomic_t ending;

static void end(int signal) {
    (void)signal;
    ending = 1;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void drop(struct connection *c) {
    sleepers -= c->due_ms != 0;
    close(c->fd);
    memset(c, 0, offsetof(struct connection, head));
}

static void wait_for(struct connection *c, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event) < 0)
        drop(c);
}

/* A short answer fits into a socket's buffer: one that does not has a client that does not read.
 * 0 when nothing more is to be served on this connection for now. */
static int say(struct connection *c, const char *text, size_t length) {
    if (send(c->fd, text, length, MSG_NOSIGNAL) != (ssize_t)length || c->last) {
        drop(c);
        return 0;
    }
    return 1;
}

/* What is still owed of a body; 0 when the socket takes no more of it, or the connection ends. */
static int pay(struct connection *c) {
    ssize_t sent = send(c->fd, body, c->owed, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN) {
        drop(c);
        return 0;
    }
    c->owed -= sent < 0 ? 0 : (size_t)sent;
    if (!c->owed && c->last)
        drop(c);
    return c->fd && !c->owed;
}

static int answer(struct connection *c) {
    char head[128];
    if (c->fixed)
        return say(c, c->fixed, strlen(c->fixed));
    int length = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                          "Content-Length: %zu\r\n\r\n", c->asked);
    struct iovec parts[] = {{head, (size_t)length}, {body, c->asked}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t sent = sendmsg(c->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < length) {
        drop(c);
        return 0;
    }
    c->owed = c->asked + (size_t)length - (size_t)sent;
    if (c->owed)
        wait_for(c, EPOLLOUT);
    else if (c->last)
        drop(c);
    return c->fd && !c->owed;
}

static long number_after(const char *text, const char *name, const char *end) {
    const char *found = strcasestr(text, name);
    return found && found < end ? strtol(found + strlen(name), NULL, 10) : 0;
}

/* Take in the head of a request, which ends at `end`. */
static void take_in(struct connection *c, const char *end) {
    const char *line = c->head + strcspn(c->head, "\r");
    long bytes = number_after(c->head, "/bytes?n=", line);
    long ms = number_after(c->head, "/sleep?ms=", line);
    long coming = number_after(line, "\r\ncontent-length: ", end);
    c->last = strcasestr(c->head, "\r\nconnection: close") != NULL;
    c->asked = (size_t)(bytes < LARGEST_BODY ? bytes : LARGEST_BODY);
    c->fixed = bytes > 0 ? NULL : ANSWER;
    if (strcasestr(line, "\r\nk-network-probe: queue"))
        c->fixed = PROBED;
    if (strcasestr(line, "\r\nupgrade: websocket") && strstr(line, KEY)) {
        c->fixed = UPGRADED;
        c->echoes = 1;
    }
    c->expects = strcasestr(line, "\r\nexpect: 100-continue") != NULL;
    c->coming = coming > 0 ? (size_t)coming : 0;
    if (ms > 0) {
        c->due_ms = now_ms() + (ms < LONGEST_SLEEP_MS ? ms : LONGEST_SLEEP_MS);
        sleepers++;
    }
}

static void consume(struct connection *c, size_t length) {
    c->used -= length;
    memmove(c->head, c->head + length, c->used + 1);
}

/* Send back every whole message that has been read; the echo of a close ends it. */
static void echo(struct connection *c) {
    char out[LONGEST_HEAD];
    size_t made = 0, read = 0, length;
    while (c->used - read >= MASKED_HEAD) {
        const char *frame = c->head + read;
        length = frame[1] & 127;
        if (length > LARGEST_MESSAGE || !(frame[1] & 128)) {
            drop(c);
            return;
        }
        if (c->used - read < MASKED_HEAD + length)
            break;
        c->last |= (frame[0] & 15) == 8;
        out[made++] = frame[0];
        out[made++] = (char)length;
        for (size_t i = 0; i < length; i++)
            out[made++] = frame[MASKED_HEAD + i] ^ frame[2 + i % 4];
        read += MASKED_HEAD + length;
    }
    consume(c, read);
    if (made)
        say(c, out, made);
}

/* Answer every whole request that has been read, until one has to wait. */
static void serve(struct connection *c) {
    char *end_of_head;
    while (c->fd && !c->echoes && !c->due_ms && !c->owed
           && (end_of_head = strstr(c->head, "\r\n\r\n"))) {
        size_t length = (size_t)(end_of_head - c->head) + 4;
        *end_of_head = '\0';
        take_in(c, end_of_head);
        consume(c, length);
        size_t here = c->coming < c->used ? c->coming : c->used;
        consume(c, here);
        c->coming -= here;
        if (c->coming && c->expects)
            send(c->fd, CONTINUE, sizeof CONTINUE - 1, MSG_NOSIGNAL);
        if (c->coming || (!c->due_ms && !answer(c)))
            return;
    }
    if (c->fd && c->echoes)
        echo(c);
}

static void receive(struct connection *c) {
    ssize_t got;
    if (c->coming)
        got = recv(c->fd, thrown_away, c->coming < LARGEST_BODY ? c->coming : LARGEST_BODY,
                   MSG_DONTWAIT);
    else
        got = recv(c->fd, c->head + c->used, LONGEST_HEAD - c->used, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) { /* also when the head is too long */
        drop(c);
        return;
    }
    if (c->coming) {
        c->coming -= (size_t)got;
        if (!c->coming && !c->due_ms)
            answer(c);
        return;
    }
    c->used += (size_t)got;
    c->head[c->used] = '\0';
    serve(c);
}

/* The socket takes more of what is owed. */
static void send_on(struct connection *c) {
    if (!pay(c))
        return;
    wait_for(c, EPOLLIN);
    if (c->fd)
        serve(c);
}

static void take(int listener) {
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        struct connection *c = connections;
        while (c < connections + MOST_CONNECTIONS && c->fd)
            c++;
        if (c == connections + MOST_CONNECTIONS) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0) {
            close(fd);
            continue;
        }
        c->fd = fd;
        c->head[0] = '\0';
    }
}

/* Answer whoever has slept enough; the milliseconds until the next one has, -1 without any. */
static int wake(void) {
    int64_t now, next = INT64_MAX;
    if (!sleepers)
        return -1;
    now = now_ms();
    for (struct connection *c = connections; c < connections + MOST_CONNECTIONS; c++) {
        if (c->due_ms && c->due_ms <= now) {
            c->due_ms = 0;
            sleepers--;
            if (answer(c))
                serve(c);
        }
        if (c->due_ms && c->due_ms < next)
            next = c->due_ms;
    }
    return next == INT64_MAX ? -1 : (int)(next - now);
}

static int listening(void) {
    const char *port = getenv("PORT");
    struct sockaddr_in address = {.sin_family = AF_INET};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    address.sin_port = htons((uint16_t)atoi(port ? port : "8080"));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 512) < 0)
        fail("cannot listen");
    return fd;
}

static void announce(void) {
    char text[256], *colon, *slash;
    const char *given = getenv("BENCH_ANNOUNCE");
    struct sockaddr_in address = {.sin_family = AF_INET};
    if (!given || strlen(given) >= sizeof text)
        return;
    strcpy(text, given);
    colon = strchr(text, ':');
    slash = strchr(text, '/');
    if (!colon || !slash || slash < colon)
        return;
    *colon = *slash = '\0';
    address.sin_port = htons((uint16_t)atoi(colon + 1));
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || inet_pton(AF_INET, text, &address.sin_addr) != 1)
        return;
    sendto(fd, slash + 1, strlen(slash + 1), 0, (struct sockaddr *)&address, sizeof address);
    close(fd);
}

int main(void) {
    struct epoll_event events[AT_ONCE], event = {.events = EPOLLIN, .data.ptr = NULL};
    struct sigaction action = {.sa_handler = end};
    sigset_t term, before;

    /* Signals are let in only while waiting, or one could come just before and go unseen. */
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigaddset(&term, SIGINT);
    sigprocmask(SIG_BLOCK, &term, &before);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    int listener = listening();
    announce();
    if ((poller = epoll_create1(EPOLL_CLOEXEC)) < 0)
        fail("epoll");
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int timeout = wake();
        if (ending && !sleepers)
            return 0;
        int ready = epoll_pwait(poller, events, AT_ONCE, timeout, &before);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c)
                take(listener);
            else if (c->fd && c->owed)
                send_on(c);
            else if (c->fd)
                receive(c);
        }
    }
}
