/* The program under the benchmarks: it answers 13 bytes at once, or after `/sleep?ms=200`.
 *
 * HTTP/1.1 with keep-alive and pipelining, requests without a body, one thread. Environment: PORT,
 * and BENCH_ANNOUNCE=address:port/word, whither it sends the word in a UDP datagram as soon as it
 * listens. SIGTERM ends it when nobody waits for an answer.
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
#include <time.h>
#include <unistd.h>

enum { MOST_CONNECTIONS = 1024, LONGEST_HEAD = 8192, LONGEST_SLEEP_MS = 60000, AT_ONCE = 64 };

static const char ANSWER[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                             "Content-Length: 13\r\n\r\nHello, World!";

struct connection {
    int fd; /* 0 when free */
    int last; /* close it after this answer */
    int64_t due_ms; /* when the request in hand is to be answered; 0 without one */
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

/* An answer fits into a socket's buffer: one that does not has a client that does not read. */
static int answer(struct connection *c) {
    ssize_t sent = send(c->fd, ANSWER, sizeof ANSWER - 1, MSG_NOSIGNAL);
    if (sent != (ssize_t)sizeof ANSWER - 1 || c->last) {
        drop(c);
        return 0;
    }
    return 1;
}

/* Answer every whole request that has been read, until one wants to sleep. */
static void serve(struct connection *c) {
    char *end_of_head;
    while (c->fd && !c->due_ms && (end_of_head = strstr(c->head, "\r\n\r\n"))) {
        size_t length = (size_t)(end_of_head - c->head) + 4;
        *end_of_head = '\0';
        c->last = strcasestr(c->head, "\r\nconnection: close") != NULL;
        long ms = 0;
        char *query = strstr(c->head, "/sleep?ms=");
        if (query && query < c->head + strcspn(c->head, "\r"))
            ms = strtol(query + strlen("/sleep?ms="), NULL, 10);
        c->used -= length;
        memmove(c->head, c->head + length, c->used + 1);
        if (ms > 0) {
            c->due_ms = now_ms() + (ms < LONGEST_SLEEP_MS ? ms : LONGEST_SLEEP_MS);
            sleepers++;
        } else if (!answer(c)) {
            return;
        }
    }
}

static void receive(struct connection *c) {
    ssize_t got = recv(c->fd, c->head + c->used, LONGEST_HEAD - c->used, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) { /* also when the head is too long */
        drop(c);
        return;
    }
    c->used += (size_t)got;
    c->head[c->used] = '\0';
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
            else if (c->fd)
                receive(c);
        }
    }
}
