/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/api_http_stream: server-sent events, and the thread that wakes them.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "orchestrator/api_events.h"
#include "orchestrator/api_http_parts.h"
#include "orchestrator/api_token.h"
#include "orchestrator/api_told.h"

#define LOOK_MS 200U    /* how often the store is asked whether it changed */
#define GONE_MS 1000U   /* how often a stream looks whether its client is there */
#define ALIVE_MS 15000U /* a stream says something at least so often */
#define EVENT_MAX 4096U

struct stream {
    struct api_http *http;
    struct home home;
    int fd;     /* of the connection, which is the server's */
    bool tells; /* what satellites tell of; else what happens */
    struct api_events events;
    struct api_told told;
    char secret[API_SECRET_CAP];
    uint64_t generation;
    char *text; /* what goes out: n bytes, of which `at` went */
    size_t n, at;
};

static void close_stream(void *arg)
{
    struct stream *s = arg;

    s->http->streams--;
    home_close(&s->home);
    explicit_bzero(s->secret, sizeof s->secret);
    free(s->text);
    free(s);
}

/* Whether the client has gone: a place that nobody needs is somebody else's. */
static bool has_gone(const struct stream *s)
{
    struct pollfd p = { .fd = s->fd, .events = POLLRDHUP };

    return poll(&p, 1, 0) != 0 && p.revents != 0;
}

/* Until something changed, at most to a time; false when the server ends. */
static bool wait_until(struct stream *s, const struct timespec *until, bool *ret_changed)
{
    struct api_http *h = s->http;
    bool goes_on;

    (void)pthread_mutex_lock(&h->news);
    while (!h->ending && h->generation == s->generation &&
           pthread_cond_timedwait(&h->changed, &h->news, until) == 0)
        continue;
    *ret_changed = h->generation != s->generation;
    s->generation = h->generation;
    goes_on = !h->ending;
    (void)pthread_mutex_unlock(&h->news);
    return goes_on;
}

/* Until something changed, or for so long; false when the server ends, or the client has gone. */
static bool wait_news(struct stream *s)
{
    struct timespec until;
    bool goes_on = true, changed = false;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    for (unsigned ms = 0; goes_on && !changed && ms < ALIVE_MS; ms += GONE_MS) {
        until.tv_sec += GONE_MS / 1000;
        goes_on = wait_until(s, &until, &changed) && !has_gone(s);
    }
    return goes_on;
}

static enum rc copy_text(struct stream *s, const char *text, size_t n, struct err *err)
{
    s->text = malloc(n + 1);
    if (!s->text)
        return err_set(err, RC_NO_MEMORY, "event");
    memcpy(s->text, text, n);
    s->n = n;
    return RC_OK;
}

/* What there is to tell next; nothing: s->n is 0. */
static enum rc refill(struct stream *s, struct err *err)
{
    char text[EVENT_MAX];
    size_t n = 0;

    free_ptr(&s->text);
    s->n = s->at = 0;
    if (s->tells)
        return api_told_next(&s->told, clock_unix_ms(), &s->text, &s->n, err);
    enum rc rc = api_events_next(&s->events, clock_unix_ms(), text, sizeof text, &n, err);

    return rc == RC_OK && n > 0 ? copy_text(s, text, n, err) : rc;
}

static ssize_t read_stream(void *arg, uint64_t pos, char *buf, size_t max)
{
    static const char alive[] = ": alive\n\n";
    struct stream *s = arg;
    struct err err = { 0 };

    (void)pos;
    for (unsigned turn = 0; s->at == s->n; turn++) {
        if (refill(s, &err) != RC_OK)
            return MHD_CONTENT_READER_END_OF_STREAM;
        if (s->n == 0 && turn > 0 && copy_text(s, alive, sizeof alive - 1, &err) != RC_OK)
            return MHD_CONTENT_READER_END_OF_STREAM;
        if (s->n == 0 && !wait_news(s))
            return MHD_CONTENT_READER_END_OF_STREAM;
    }
    const size_t n = s->n - s->at < max ? s->n - s->at : max;

    memcpy(buf, s->text + s->at, n);
    s->at += n;
    return (ssize_t)n;
}

static enum rc begin_stream(struct stream *s, const struct api_call *call, const char *last_id,
                            struct err *err)
{
    enum rc rc = home_open(s->http->home, false, &s->home, err);

    s->events = (struct api_events){ .store = s->home.store, .secret = s->secret };
    s->told = (struct api_told){ .token = s->events };
    s->tells = call->route->what == API_TOLD;
    if (rc == RC_OK && s->tells)
        return api_told_begin(&s->told, call->variable, api_option_value(call, "last"), last_id,
                              err);
    return rc == RC_OK ? api_events_begin(&s->events, last_id, err) : rc;
}

enum MHD_Result api_http_events(struct api_http *h, struct MHD_Connection *c,
                                const struct api_call *call, const struct api_who *who,
                                const char *secret)
{
    const char *last = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Last-Event-ID");
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    const int fd = info ? info->connect_fd : -1;
    struct err err = { 0 };

    if (!api_places_admit(&h->places, api_http_place(c), who, true)) {
        (void)!err_set(&err, RC_API_LIMIT, "streams: %u of a token, %u in all", API_STREAMS_EACH,
                       API_STREAMS_MAX);
        return api_http_refuse(h, c, &err);
    }
    h->streams++;
    struct stream *s = calloc(1, sizeof *s);

    if (!s) {
        h->streams--;
        return MHD_NO;
    }
    s->http = h;
    s->home = (struct home)HOME_NONE;
    s->fd = fd;
    (void)snprintf(s->secret, sizeof s->secret, "%s", secret);
    if (begin_stream(s, call, last, &err) != RC_OK) {
        close_stream(s);
        return api_http_refuse(h, c, &err);
    }
    return api_http_queue(h, c, MHD_HTTP_OK, "text/event-stream",
                          MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, (size_t)2 * EVENT_MAX,
                                                            read_stream, s, close_stream));
}

/* Looks whether the store has changed, for all streams together, and who is late. */
void *api_http_watch(void *arg)
{
    scoped(home_close) struct home home = HOME_NONE;
    struct api_http *h = arg;
    struct err err = { 0 };
    uint64_t version = 0;
    bool ending = false;

    while (!ending) {
        struct timespec until;
        uint64_t is = version;

        if (home.store || home_open(h->home, false, &home, &err) == RC_OK)
            (void)!store_watch(home.store, &is, &err);
        api_places_end_late(&h->places, clock_mono_ms());
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += (long)LOOK_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        (void)pthread_mutex_lock(&h->news);
        if (is != version) {
            h->generation++;
            (void)pthread_cond_broadcast(&h->changed);
        }
        version = is;
        while (!h->ending && pthread_cond_timedwait(&h->changed, &h->news, &until) == 0)
            continue;
        ending = h->ending;
        (void)pthread_mutex_unlock(&h->news);
    }
    return NULL;
}
