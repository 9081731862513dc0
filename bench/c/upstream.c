// Fake OpenAI-compatible upstream: one thread, epoll, keep-alive, canned answers.
//
//   upstream PORT [PACE_MICROSECONDS]
//
// GET: a model list. POST with "stream":true: EVENTS content events, a usage event and [DONE], in one
// write, or one each PACE_MICROSECONDS if the model's name contains "paced". Otherwise one JSON body.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { SOCKETS = 16384, EVENTS = 20, PARTS = EVENTS + 2, BUFFER = 1 << 20, BATCH = 256 };
#define ID "\"id\":\"chatcmpl-AbCdEf0123456789\",\"object\":\"chat.completion%s\",\"created\":1760000000,\"model\":\"gpt-4o-mini-2024-07-18\",\"system_fingerprint\":\"fp_0\","
#define USAGE "\"usage\":{\"prompt_tokens\":42,\"completion_tokens\":20,\"total_tokens\":62,\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0,\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}"

typedef struct { char *buffer; int length, part; long long due; } Socket;

static Socket sockets[SOCKETS];
static char whole[4096], head[512], models[512], *parts[PARTS], all[32768];
static int whole_length, head_length, models_length, part_lengths[PARTS], all_length;
static int queue[SOCKETS * 4], timer;
static unsigned first, last;
static long long pace;

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int answer(char *to, const char *body) {
  return sprintf(to, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nx-request-id: req_0123456789\r\n\r\n%s", strlen(body), body);
}

static void prepare(void) {
  char body[2048], event[1024];
  sprintf(body, "{" ID "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hello! This is a canned answer.\",\"refusal\":null,\"annotations\":[]},\"logprobs\":null,\"finish_reason\":\"stop\"}]," USAGE "}", "");
  whole_length = answer(whole, body);
  models_length = answer(models, "{\"object\":\"list\",\"data\":[{\"id\":\"bench\",\"object\":\"model\",\"created\":0,\"owned_by\":\"bench\"}]}");
  head_length = sprintf(head, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\nx-request-id: req_0123456789\r\n\r\n");
  memcpy(all, head, all_length = head_length);
  for (int i = 0; i < PARTS; i++) {
    if (i < EVENTS)
      sprintf(event, "data: {" ID "\"choices\":[{\"index\":0,\"delta\":{%s\"content\":\" token%d\"},\"logprobs\":null,\"finish_reason\":%s}]}\n\n", ".chunk", i ? "" : "\"role\":\"assistant\",", i, i == EVENTS - 1 ? "\"stop\"" : "null");
    else if (i == EVENTS) sprintf(event, "data: {" ID "\"choices\":[]," USAGE "}\n\n", ".chunk");
    else sprintf(event, "data: [DONE]\n\n");
    parts[i] = malloc(1200);
    part_lengths[i] = sprintf(parts[i], "%zx\r\n%s\r\n%s", strlen(event), event, i == PARTS - 1 ? "0\r\n\r\n" : "");
    memcpy(all + all_length, parts[i], part_lengths[i]);
    all_length += part_lengths[i];
  }
}

static void put(int fd, const char *data, int length) { if (write(fd, data, length) < 0) {} }

static void arm(void) {
  if (first == last) return;
  long long due = sockets[queue[first % (SOCKETS * 4)]].due;
  struct itimerspec at = {{0, 0}, {due / 1000000000LL, due % 1000000000LL}};
  timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, 0);
}

static void serve(int fd) {
  Socket *s = &sockets[fd];
  while (s->part < 0) {
    char *end = memmem(s->buffer, s->length, "\r\n\r\n", 4);
    if (!end) return;
    int head_bytes = end - s->buffer + 4;
    long content_length = 0;
    for (char *line = s->buffer; line < end;) {
      char *newline = memchr(line, '\n', s->buffer + head_bytes - line);
      if (!newline) break;
      if (!strncasecmp(line, "content-length:", 15)) content_length = atol(line + 15);
      line = newline + 1;
    }
    int total = head_bytes + content_length;
    if (s->length < total) return;
    char *body = s->buffer + head_bytes, *stream = memmem(body, content_length, "\"stream\"", 8);
    if (stream) for (stream += 8; *stream == ' ' || *stream == ':'; stream++) {}
    if (*s->buffer == 'G') put(fd, models, models_length);
    else if (!stream || *stream != 't') put(fd, whole, whole_length);
    else if (!memmem(body, content_length, "paced", 5)) put(fd, all, all_length);
    else {
      s->part = 0;
      s->due = now() + pace;
      put(fd, head, head_length);
      queue[last++ % (SOCKETS * 4)] = fd;
      arm();
    }
    memmove(s->buffer, s->buffer + total, s->length - total);
    s->length -= total;
    if (!s->length) return;
  }
}

static void tick(void) {
  unsigned long long ticks;
  if (read(timer, &ticks, 8) < 0) return;
  long long t = now();
  while (first != last) {
    int fd = queue[first % (SOCKETS * 4)];
    Socket *s = &sockets[fd];
    if (s->part < 0) { first++; continue; }
    if (s->due > t) break;
    first++;
    put(fd, parts[s->part], part_lengths[s->part]);
    if (++s->part == PARTS) { s->part = -1; serve(fd); }
    else { s->due += pace; queue[last++ % (SOCKETS * 4)] = fd; }
  }
  arm();
}

static void accept_all(int listener, int poller) {
  int fd, one = 1;
  while ((fd = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0) {
    if (fd >= SOCKETS) { close(fd); continue; }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (!sockets[fd].buffer) sockets[fd].buffer = malloc(BUFFER);
    sockets[fd].length = 0;
    sockets[fd].part = -1;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
  }
}

int main(int argc, char **argv) {
  if (argc < 2) { fprintf(stderr, "upstream PORT [PACE_MICROSECONDS]\n"); return 2; }
  struct rlimit files = {SOCKETS, SOCKETS};
  setrlimit(RLIMIT_NOFILE, &files);
  pace = (argc > 2 ? atoi(argv[2]) : 2000) * 1000LL;
  prepare();
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1, poller = epoll_create1(0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(listener, (void *)&address, sizeof address) || listen(listener, 4096)) { perror("bind"); return 1; }
  timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[BATCH];
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
  event.data.fd = timer;
  epoll_ctl(poller, EPOLL_CTL_ADD, timer, &event);
  for (;;) {
    int n = epoll_wait(poller, events, BATCH, -1);
    for (int i = 0; i < n; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) { accept_all(listener, poller); continue; }
      if (fd == timer) { tick(); continue; }
      Socket *s = &sockets[fd];
      int got = read(fd, s->buffer + s->length, BUFFER - s->length);
      if (got < 0 && errno == EAGAIN) continue;
      if (got <= 0) { epoll_ctl(poller, EPOLL_CTL_DEL, fd, 0); close(fd); s->part = -1; s->length = 0; continue; }
      s->length += got;
      serve(fd);
    }
  }
}
