/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus_api.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "agent/platform_clock.h"
#include "base/name.h"

/* ---- paths ---------------------------------------------------------------------------------- */

enum rest { REST_NONE, REST_NAME, REST_ID };

struct path {
    enum http_method method;
    const char *path; /* with a '/' at its end, something follows */
    enum rest rest;
    bool waits;
    enum bus_op op;
};

static const struct path paths[] = {
    { HTTP_GET, "/v1/identity", REST_NONE, false, BUS_SELF },
    { HTTP_GET, "/v1/time", REST_NONE, false, BUS_TIME },
    { HTTP_GET, "/v1/passes", REST_NONE, false, BUS_SKY },
    { HTTP_GET, "/v1/quota", REST_NONE, false, BUS_QUOTA },
    { HTTP_PUT, "/v1/telemetry/", REST_NAME, false, BUS_PUT },
    { HTTP_POST, "/v1/peers/", REST_NAME, false, BUS_SEND },
    { HTTP_GET, "/v1/messages", REST_NONE, true, BUS_MESSAGE },
    { HTTP_DELETE, "/v1/messages/", REST_ID, false, BUS_MESSAGE_DONE },
    { HTTP_GET, "/v1/commands", REST_NONE, true, BUS_COMMAND },
    { HTTP_POST, "/v1/commands/", REST_ID, false, BUS_COMMAND_DONE },
    { HTTP_DELETE, "/v1/commands/", REST_ID, false, BUS_COMMAND_DONE },
};

/* What follows the path, if the target is it; NULL if it is another. */
static const char *behind(const struct path *p, const char *target)
{
    size_t n = strlen(p->path);

    if (strncmp(target, p->path, n) != 0)
        return NULL;
    return p->rest != REST_NONE || target[n] == '\0' || target[n] == '?' ? target + n : NULL;
}

static bool number(const char *text, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;

    if (text[0] < '0' || text[0] > '9' || (text[0] == '0' && text[1] != '\0'))
        return false;
    for (; *text >= '0' && *text <= '9'; text++) {
        uint64_t digit = (uint64_t)(*text - '0');

        if (value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *ret = value;
    return *text == '\0';
}

static enum rc take_rest(const struct path *p, const char *rest, struct bus_ask *ask,
                         uint32_t *ret_wait_s, struct err *err)
{
    uint64_t wait_s = 0;

    *ret_wait_s = 0;
    if (p->rest == REST_NAME) {
        if (!name_valid(rest))
            return err_set(err, RC_NAME, "a-z, 0-9 and '-', 32 at most");
        memcpy(ask->name, rest, strlen(rest));
    } else if (p->rest == REST_ID) {
        if (!number(rest, UINT64_MAX, &ask->id) || ask->id == 0)
            return err_set(err, RC_BUS_REQUEST, "the number that came as Berth-Id");
    } else if (rest[0] == '?') {
        if (!p->waits || strncmp(rest, "?wait=", 6) != 0 ||
            !number(rest + 6, BUS_WAIT_S_MAX, &wait_s))
            return err_set(err, RC_BUS_REQUEST, "query: ?wait=SECONDS, %u at most, where one waits",
                           BUS_WAIT_S_MAX);
        *ret_wait_s = (uint32_t)wait_s;
    }
    return RC_OK;
}

static enum rc take_body(const struct path *p, struct bytes body, struct bus_ask *ask,
                         struct err *err)
{
    const size_t max = p->op == BUS_PUT            ? BUS_VALUE_MAX
                       : p->op == BUS_COMMAND_DONE ? BUS_RESULT_MAX
                                                   : BUS_BODY_MAX;
    struct bus_result result;

    if (p->method != HTTP_PUT && p->method != HTTP_POST)
        return RC_OK; /* http has let none through */
    if (body.n == 0)
        return err_set(err, RC_BUS_REQUEST, "the body is empty");
    if (body.n > max)
        return err_set(err, RC_BUS_TOO_LARGE, "body: %zu bytes at most", max);
    if (p->op == BUS_COMMAND_DONE) {
        enum rc rc = bus_result_read(body, &result, err);

        if (rc != RC_OK)
            return rc;
    }
    memcpy(ask->body, body.p, body.n);
    ask->n = (uint32_t)body.n;
    return RC_OK;
}

enum rc bus_api_ask(const struct http_request *r, struct bus_ask *ret, uint32_t *ret_wait_s,
                    struct err *err)
{
    bool known = false;

    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        const struct path *p = &paths[i];
        const char *rest = behind(p, r->target);
        struct bus_ask ask = { .op = p->op };
        uint32_t wait_s = 0;

        known |= rest != NULL;
        if (!rest || p->method != r->method)
            continue;
        enum rc rc = take_rest(p, rest, &ask, &wait_s, err);
        if (rc == RC_OK)
            rc = take_body(p, r->body, &ask, err);
        if (rc != RC_OK)
            return rc;
        *ret = ask;
        *ret_wait_s = wait_s;
        return RC_OK;
    }
    return known ? err_set(err, RC_BUS_METHOD, "%s", r->target)
                 : err_set(err, RC_NOT_FOUND, "%s", r->target);
}

/* ---- answers -------------------------------------------------------------------------------- */

/* A body in the making; names and versions need no escapes, and nothing else goes in as text. */
struct text {
    size_t n;
    char at[4096];
};

static void put(struct text *t, const char *fmt, ...) printf_like(2, 3);
static void put(struct text *t, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    int n = vsnprintf(t->at + t->n, sizeof t->at - t->n, fmt, args);
    va_end(args);
    assert(n >= 0 && (size_t)n < sizeof t->at - t->n);
    t->n += (size_t)n;
}

static void put_self(struct text *t, const struct bus_self *s)
{
    char hex[2 * DIGEST_SIZE + 1];

    put(t, "{\"tenant\":\"%s\",\"payload\":\"%s\",\"version\":\"%s\",\"satellite\":\"%s\",",
        s->tenant, s->payload, s->version, s->satellite);
    put(t, "\"manifest\":\"%s\",\"instance\":\"%" PRIu64 "\"}\n",
        bytes_hex((struct bytes){ s->manifest, sizeof s->manifest }, hex), s->instance);
}

static void put_time(struct text *t, const struct bus_time *time)
{
    static const char *const sources[] = { "machine", "floor", "platform" };
    bool told = time->clock == PLATFORM_CLOCK_TOLD;

    put(t, "{\"unix_ms\":%" PRIu64 ",\"source\":\"%s\",\"floor_ms\":%" PRIu64 ",", time->unix_ms,
        time->clock < 3 ? sources[time->clock] : "?", time->floor_ms);
    if (told && time->uncertain_ms != INPUT_UNCERTAIN_UNKNOWN)
        put(t, "\"uncertainty_ms\":%u,", time->uncertain_ms);
    else
        put(t, "\"uncertainty_ms\":null,");
    if (told)
        put(t, "\"told_ms_ago\":%" PRIu64 "}\n", time->told_ms);
    else
        put(t, "\"told_ms_ago\":null}\n");
}

static void put_sky(struct text *t, const struct bus_sky *s)
{
    put(t, "{\"mode\":\"%s\",\"eclipse\":%s,", s->safe ? "safe" : "nominal",
        s->eclipse ? "true" : "false");
    if (s->station[0] != '\0')
        put(t, "\"in_view\":\"%s\",\"passes\":[", s->station);
    else
        put(t, "\"in_view\":null,\"passes\":[");
    for (uint32_t i = 0; i < s->n; i++)
        put(t, "%s{\"start\":%" PRIu64 ",\"end\":%" PRIu64 ",\"station\":\"%s\"}", i > 0 ? "," : "",
            s->pass[i].start_s, s->pass[i].end_s, s->pass[i].station);
    put(t, "]}\n");
}

static void put_quota(struct text *t, const struct bus_quota *q)
{
    static const char *const names[BUS_QUOTA_LINES] = {
        [BUS_QUOTA_MEMORY] = "memory_bytes",
        [BUS_QUOTA_CPU] = "cpu_permille",
        [BUS_QUOTA_PIDS] = "pids",
        [BUS_QUOTA_FILES] = "open_files",
        [BUS_QUOTA_TMP] = "tmp_bytes",
        [BUS_QUOTA_DATA] = "data_bytes",
        [BUS_QUOTA_LOG] = "log_bytes_hour",
        [BUS_QUOTA_OUTBOX] = "outbox_bytes_day",
        [BUS_QUOTA_TELEMETRY] = "telemetry_hour",
        [BUS_QUOTA_SENDS] = "sends_hour",
        [BUS_QUOTA_MESSAGES] = "messages",
    };

    put(t, "%c", '{');
    for (size_t i = 0; i < BUS_QUOTA_LINES; i++) {
        const struct bus_amount *a = &q->line[i];

        if (a->limit == 0)
            continue; /* it has none of that, or no limit of its own */
        put(t, "%s\"%s\":{\"limit\":%" PRIu64, t->n > 1 ? "," : "", names[i], a->limit);
        if (a->known & BUS_KNOWN_USED)
            put(t, ",\"%s\":%" PRIu64, i == BUS_QUOTA_CPU ? "used_ms" : "used", a->used);
        if (a->known & BUS_KNOWN_LEFT)
            put(t, ",\"left\":%" PRIu64, a->left);
        put(t, "}");
    }
    put(t, "}\n");
}

bool bus_api_is_empty(const struct bus_answer *a)
{
    return a->rc == RC_OK && (a->op == BUS_MESSAGE || a->op == BUS_COMMAND) && a->post.id == 0;
}

static void respond_post(const struct bus_answer *a, bool close, struct http_response *ret)
{
    char fields[160];
    const struct http_head head = {
        .status = 200, .type = "application/octet-stream", .fields = fields, .close = close
    };

    (void)snprintf(fields, sizeof fields, "Berth-Id: %" PRIu64 "\r\nBerth-%s: %s\r\n", a->post.id,
                   a->op == BUS_MESSAGE ? "From" : "Name", a->post.from);
    http_respond(&head, (struct bytes){ .p = a->post.body, .n = a->post.n }, ret);
}

void bus_api_respond(const struct bus_answer *a, bool close, struct http_response *ret)
{
    const struct http_head json = { .status = 200, .type = "application/json", .close = close };
    const struct http_head none = { .status = 204, .close = close };
    static struct text t; /* large, and there is one thread */

    t.n = 0;
    if (a->rc != RC_OK) {
        struct err err = { .rc = rc_from_number(a->rc) };

        memcpy(err.what, a->what, sizeof err.what);
        err.what[sizeof err.what - 1] = '\0';
        bus_api_refuse(&err, close, ret);
        return;
    }
    if (a->op == BUS_SELF)
        put_self(&t, &a->self);
    else if (a->op == BUS_TIME)
        put_time(&t, &a->time);
    else if (a->op == BUS_SKY)
        put_sky(&t, &a->sky);
    else if (a->op == BUS_QUOTA)
        put_quota(&t, &a->quota);
    if (t.n > 0)
        http_respond(&json, (struct bytes){ .p = (const uint8_t *)t.at, .n = t.n }, ret);
    else if ((a->op == BUS_MESSAGE || a->op == BUS_COMMAND) && a->post.id != 0)
        respond_post(a, close, ret);
    else
        http_respond(&none, (struct bytes){ 0 }, ret);
}

void bus_api_refuse(const struct err *err, bool close, struct http_response *ret)
{
    static const struct {
        enum rc rc;
        const char *fix;
    } fixes[] = {
        { RC_NOT_FOUND, "paths: /v1/identity time passes quota messages commands, "
                        "/v1/telemetry/KEY, /v1/peers/NAME" },
        { RC_BUS_METHOD, "GET to read, PUT /v1/telemetry/KEY, POST /v1/peers/NAME, "
                         "POST /v1/commands/ID, DELETE what came with a Berth-Id" },
        { RC_BUS_TOO_LARGE, "send less at once" },
        { RC_BUS_RATE, "send less often; GET /v1/quota says what is left" },
        { RC_BUS_PEER, "name it under peers in payload.yaml, and ask the operator for a grant with "
                       "peers" },
        { RC_BUS_QUEUE, "try again when the other has taken its messages" },
        { RC_BUS_CLOSED, "try again" },
        { RC_MAIL_SEALED,
          "only a code: words of a payload whose mail is sealed go as sealed mail" },
        { RC_TIMEOUT, "send the whole request at once" },
    };
    const char *fix = NULL;

    for (size_t i = 0; i < sizeof fixes / sizeof *fixes; i++)
        if (fixes[i].rc == err->rc)
            fix = fixes[i].fix;
    http_refuse(err, fix, close, ret);
}
