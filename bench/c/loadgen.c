// Load generator: one thread, epoll, keep-alive, a different request each time.
//
//   loadgen PORT CONNECTIONS SECONDS RATE REQUESTS [COUNT]
//
// REQUESTS is a file of whole HTTP requests, each with its length before it as a 32-bit little-endian
// number; they are sent in turn. RATE 0: a closed loop, as fast as answers come. Otherwise an open
// loop of RATE requests a second, whose latency counts from the scheduled instant, so that a server
// that stalls cannot hide it. COUNT ends either loop after so many requests. Prints one line of JSON;
// times are microseconds. "bad" is everything that was sent and not answered by a complete 200.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 262144, EVENTS = 256, SAMPLES = 4000000, LATE = 10000000, TIMER = 0x7fffffff };
#define SECOND 1000000000LL

typedef struct {
  int fd, busy, length, head;   // head: bytes of the answer's head, 0 until it is complete
  int chunked;
  long content_length;
  long long scheduled, first_byte;
  char buffer[BUFFER];
} Connection;

static Connection *connections;
static char **requests;
static int *request_lengths, request_count, next_request;
static double *latencies, *first_bytes;
static long samples, answered, in_time, failed, bytes;  // in_time: answered before `end`
static long long end;
static struct sockaddr_in address;
static int poller, in_flight;
static char first_failure[400];

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * SECOND + t.tv_nsec;
}

static void read_requests(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) { perror(path); exit(2); }
  uint32_t length;
  int room = 0;
  while (fread(&length, 4, 1, file) == 1) {
    if (request_count == room) {
      room = room ? room * 2 : 1024;
      requests = realloc(requests, room * sizeof *requests);
      request_lengths = realloc(request_lengths, room * sizeof *request_lengths);
    }
    requests[request_count] = malloc(length);
    if (fread(requests[request_count], 1, length, file) != length) { fprintf(stderr, "short file\n"); exit(2); }
    request_lengths[request_count++] = length;
  }
  fclose(file);
  if (!request_count) { fprintf(stderr, "no requests\n"); exit(2); }
}

static void open_connection(int i) {
  Connection *c = &connections[i];
  int one = 1;
  c->fd = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (connect(c->fd, (void *)&address, sizeof address)) { perror("connect"); exit(1); }
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
  epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event);
  c->busy = c->length = 0;
}

static void send_request(int i, long long scheduled) {
  Connection *c = &connections[i];
  int r = next_request++ % request_count;
  c->busy = 1;
  c->length = c->head = 0;
  c->first_byte = 0;
  c->scheduled = scheduled;
  in_flight++;
  // A request that cannot be written whole stays open: its connection's end or ours counts it.
  if (write(c->fd, requests[r], request_lengths[r]) < 0) {}
}

static int is_complete(Connection *c) {
  if (!c->head) {
    char *end = memmem(c->buffer, c->length, "\r\n\r\n", 4);
    if (!end) return 0;
    c->head = end - c->buffer + 4;
    c->content_length = -1;
    c->chunked = 0;
    for (char *line = c->buffer; line < end;) {
      char *newline = memchr(line, '\n', c->buffer + c->head - line);
      if (!newline) break;
      if (!strncasecmp(line, "content-length:", 15)) c->content_length = atol(line + 15);
      else if (!strncasecmp(line, "transfer-encoding:", 18)) c->chunked = 1;
      line = newline + 1;
    }
  }
  if (c->length > c->head && !c->first_byte) c->first_byte = now();
  if (c->chunked) return c->length >= c->head + 5 && !memcmp(c->buffer + c->length - 5, "0\r\n\r\n", 5);
  return c->content_length >= 0 && c->length >= c->head + c->content_length;
}

static void finish(Connection *c) {
  long long t = now();
  c->busy = 0;
  in_flight--;
  if (memcmp(c->buffer + 9, "200", 3)) {
    failed++;
    if (!*first_failure)
      snprintf(first_failure, sizeof first_failure, "%.12s %.*s", c->buffer + 9,
               c->length - c->head, c->buffer + c->head);
    return;
  }
  answered++;
  if (t <= end) in_time++;
  if (samples < SAMPLES) {
    latencies[samples] = (t - c->scheduled) / 1e3;
    first_bytes[samples++] = ((c->first_byte ? c->first_byte : t) - c->scheduled) / 1e3;
  }
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static double quantile(double *values, double q) {
  long i = q * samples;
  return samples ? values[i < samples ? i : samples - 1] : 0;
}

int main(int argc, char **argv) {
  if (argc < 6) { fprintf(stderr, "loadgen PORT CONNECTIONS SECONDS RATE REQUESTS [COUNT]\n"); return 2; }
  int count = atoi(argv[2]), idle_count = 0;
  double seconds = atof(argv[3]), rate = atof(argv[4]);
  long most = argc > 6 ? atol(argv[6]) : 0x7fffffff;
  signal(SIGPIPE, SIG_IGN);
  read_requests(argv[5]);
  address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  connections = calloc(count, sizeof *connections);
  latencies = malloc(SAMPLES * sizeof *latencies);
  first_bytes = malloc(SAMPLES * sizeof *first_bytes);
  int *idle = malloc(count * sizeof *idle);
  long long *late = malloc(LATE * sizeof *late);
  long late_first = 0, late_end = 0, issued = 0;
  poller = epoll_create1(0);
  for (int i = 0; i < count; i++) open_connection(i);
  int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = TIMER};
  if (rate > 0) epoll_ctl(poller, EPOLL_CTL_ADD, timer, &event);
  long long start = now(), next = start;
  end = start + (long long)(seconds * SECOND);
  double step = rate > 0 ? SECOND / rate : 0;
  if (rate > 0) {
    for (int i = count - 1; i >= 0; i--) idle[idle_count++] = i;
    struct itimerspec soon = {{0, 0}, {0, 1}};
    timerfd_settime(timer, 0, &soon, 0);
  } else {
    for (int i = 0; i < count && next_request < most; i++) send_request(i, now());
  }
  struct epoll_event events[EVENTS];
  for (;;) {
    long long t = now();
    if (next_request >= most && end > t) end = t;
    if (t >= end && (in_flight <= 0 || t > end + 3 * SECOND)) break;
    int n = epoll_wait(poller, events, EVENTS, 100);
    for (int k = 0; k < n; k++) {
      unsigned i = events[k].data.u32;
      if (i == TIMER) {
        unsigned long long ticks;
        if (read(timer, &ticks, 8) < 0) continue;
        for (t = now(); next <= t && next < end && next_request < most; next = start + (long long)(++issued * step)) {
          if (idle_count) send_request(idle[--idle_count], next);
          else if (late_end < LATE) late[late_end++] = next;
        }
        if (next < end) {
          struct itimerspec at = {{0, 0}, {next / SECOND, next % SECOND}};
          timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, 0);
        }
        continue;
      }
      Connection *c = &connections[i];
      int got = read(c->fd, c->buffer + c->length, BUFFER - c->length);
      if (got < 0 && errno == EAGAIN) continue;
      int is_free = 0;
      if (got <= 0) {
        if (c->busy) { failed++; in_flight--; }
        epoll_ctl(poller, EPOLL_CTL_DEL, c->fd, 0);
        close(c->fd);
        if (now() >= end) { c->busy = 0; continue; }
        open_connection(i);
        is_free = 1;
      } else {
        bytes += got;
        c->length += got;
        if (!c->busy || !is_complete(c)) continue;
        finish(c);
        is_free = 1;
      }
      t = now();
      if (!is_free || t >= end || next_request >= most) continue;
      if (rate <= 0) send_request(i, t);
      else if (late_first < late_end) send_request(i, late[late_first++]);
      else idle[idle_count++] = i;
    }
  }
  failed += in_flight;
  double elapsed = (now() - start) / (double)SECOND;
  if (elapsed > seconds) elapsed = seconds;
  qsort(latencies, samples, sizeof *latencies, ascending);
  qsort(first_bytes, samples, sizeof *first_bytes, ascending);
  printf("{\"rps\":%.1f,\"ok\":%ld,\"bad\":%ld,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"max\":%.1f,"
         "\"first50\":%.1f,\"first99\":%.1f,\"bytes\":%ld,\"late\":%ld}\n",
         in_time / elapsed, answered, failed, quantile(latencies, .5), quantile(latencies, .9),
         quantile(latencies, .99), quantile(latencies, 1), quantile(first_bytes, .5),
         quantile(first_bytes, .99), bytes, late_end - late_first);
  if (*first_failure) {
    for (char *p = first_failure; *p; p++) if (*p == '\r' || *p == '\n') *p = ' ';
    fprintf(stderr, "first failure: %s\n", first_failure);
  }
  return 0;
}
