/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/api_http.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "orchestrator/api.h"
#include "orchestrator/api_console.h"
#include "orchestrator/api_http_parts.h"
#include "orchestrator/api_metrics.h"
#include "orchestrator/api_plan.h"
#include "orchestrator/api_token.h"

#define CONNECTIONS_PER_ADDRESS 64U
#define IDLE_S 30U
#define ASK_MS 15000U       /* for a whole request, and the handshake before it */
#define LARGE_MS 60000U     /* ... with files in it */
#define LARGE_WAIT_MS 1000U /* ... until the one before is over */
#define ANSWER_MS 120000U   /* for a whole answer to be taken */
#define MEMORY_PER_CONNECTION ((size_t)32 * 1024) /* request line and headers with all */
#define STACK_SIZE ((size_t)1024 * 1024)
#define RATE_PER_S 50U
#define RATE_BURST 200U
#define FILES_PER_S 5U
#define FILES_BURST 50U
#define FAILURES_PER_S 1U
#define FAILURES_BURST 20U

/* What is kept of a request between the calls for its parts. */
struct request {
    bool known; /* its head has been seen */
    bool bad;
    size_t n;
    uint8_t body[API_BODY_MAX + 1];
    uint8_t *large; /* ... or so many bytes here */
    size_t n_large;
    bool admitted; /* whose body it is has a place for it */
    struct api_who who;
    struct err refused; /* why its body is dropped, RC_OK: it is not */
    struct api_request parsed;
};

/* ---- answers ----------------------------------------------------------------------------------
 */

static enum MHD_Result answer_me(struct api_http *h, struct MHD_Connection *c,
                                 const struct api_who *who)
{
    return api_http_json(h, c, MHD_HTTP_OK,
                         json_pack("{s:s, s:s, s:s}", "name", who->name, "role",
                                   api_role_name(who->role), "tenant", who->tenant));
}

static enum MHD_Result answer_metrics(struct api_http *h, struct MHD_Connection *c)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(view_free) struct view *view = NULL;
    scoped(free_ptr) struct store_rollout *rows = NULL;
    uint32_t rollouts[ROLLOUT_STATES] = { 0 };
    struct api_counts counts = { .refused = h->refused,
                                 .limited = h->limited,
                                 .streams = h->streams };
    struct err err = { 0 };
    char *text = NULL;
    size_t n = 0;
    enum rc rc = home_open(h->home, false, &home, &err);

    if (rc == RC_OK)
        rc = view_load(home.store, &view, &err);
    if (rc == RC_OK)
        rc = store_rollouts(home.store, 0, &rows, &n, &err);
    if (rc != RC_OK)
        return api_http_refuse(h, c, &err);
    for (size_t i = 0; i < n; i++)
        if ((unsigned)rows[i].state < ROLLOUT_STATES)
            rollouts[rows[i].state]++;
    for (size_t i = 0; i < 6; i++)
        counts.requests[i] = h->answered[i];
    FILE *out = open_memstream(&text, &n);

    if (!out)
        return MHD_NO;
    api_metrics_print(out, view, rollouts, &counts, clock_unix_ms(), VIEW_SILENT_MS);
    if (fclose(out) != 0 || !text) {
        free(text);
        return MHD_NO;
    }
    return api_http_queue(h, c, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8",
                          MHD_create_response_from_buffer(n, text, MHD_RESPMEM_MUST_FREE));
}

/* ---- places ----------------------------------------------------------------------------------
 */

static void on_connection(void *arg, struct MHD_Connection *c, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct api_http *h = arg;

    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        if (info)
            *context = api_places_take(&h->places, info->connect_fd, clock_mono_ms(), ASK_MS);
    } else if (*context) {
        api_places_give(&h->places, *context);
        *context = NULL;
    }
}

/* ---- who asks ---------------------------------------------------------------------------------
 */

static uint64_t hash_bytes(const void *p, size_t n)
{
    const uint8_t *at = p;
    uint64_t hash = 0xcbf29ce484222325U; /* FNV-1a: only to tell clients apart */

    for (size_t i = 0; i < n; i++)
        hash = (hash ^ at[i]) * 0x100000001b3U;
    return hash != 0 ? hash : 1;
}

/* Of the client's address, without its port. */
static uint64_t hash_address(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *a = info ? info->client_addr : NULL;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;

    if (a && a->sa_family == AF_INET) {
        memcpy(&in, a, sizeof in);
        return hash_bytes(&in.sin_addr, sizeof in.sin_addr);
    }
    if (a && a->sa_family == AF_INET6) {
        memcpy(&in6, a, sizeof in6);
        return hash_bytes(&in6.sin6_addr, 8); /* one net is one client */
    }
    return 1;
}

static bool within_rate(struct api_http *h, struct api_rate *rate, uint64_t key)
{
    (void)pthread_mutex_lock(&h->rates);
    bool within = api_rate_take(rate, key, clock_mono_ms());
    (void)pthread_mutex_unlock(&h->rates);
    return within;
}

static bool has_certificate(const struct api_http *h, struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    unsigned status = 1;

    if (!h->mutual)
        return true;
    return info && info->tls_session &&
           gnutls_certificate_verify_peers2((gnutls_session_t)info->tls_session, &status) ==
               GNUTLS_E_SUCCESS &&
           status == 0;
}

static enum rc identify(struct api_http *h, struct MHD_Connection *c, const char **ret_secret,
                        struct api_who *ret, struct err *err)
{
    static const char scheme[] = "Bearer ";
    scoped(home_close) struct home home = HOME_NONE;
    const char *text =
        MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
    enum rc rc = RC_OK;

    if (!has_certificate(h, c))
        return err_set(err, RC_API_AUTH, "client certificate");
    if (!text || strncmp(text, scheme, sizeof scheme - 1) != 0)
        rc = err_set(err, RC_API_AUTH, "token");
    if (rc == RC_OK)
        rc = home_open(h->home, false, &home, err);
    if (rc == RC_OK)
        rc = api_token_find(home.store, text + sizeof scheme - 1, clock_unix_ms(), ret, err);
    if (rc == RC_API_AUTH && !within_rate(h, &h->failures, hash_address(c)))
        return err_set(err, RC_API_LIMIT, "wrong tokens");
    if (rc == RC_OK && !within_rate(h, &h->rate, hash_bytes(ret->name, strlen(ret->name))))
        return err_set(err, RC_API_LIMIT, "requests");
    if (rc == RC_OK)
        *ret_secret = text + sizeof scheme - 1;
    return rc;
}

/* ---- requests ---------------------------------------------------------------------------------
 */

static enum MHD_Result take_param(void *arg, enum MHD_ValueKind kind, const char *key,
                                  const char *value)
{
    struct request *r = arg;

    (void)kind;
    if (r->parsed.n_params == API_PARAMS_MAX) {
        r->bad = true;
        return MHD_NO;
    }
    r->parsed.param[r->parsed.n_params++] = (struct api_param){ .name = key, .value = value };
    return MHD_YES;
}

/* Headers that decide where a request ends, or who asks, come once. */
struct head {
    unsigned length, coding, authorization, host, key;
};

static enum MHD_Result take_header(void *arg, enum MHD_ValueKind kind, const char *key,
                                   const char *value)
{
    struct head *h = arg;

    (void)kind;
    (void)value;
    h->length += strcasecmp(key, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0;
    h->coding += strcasecmp(key, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0;
    h->authorization += strcasecmp(key, MHD_HTTP_HEADER_AUTHORIZATION) == 0;
    h->host += strcasecmp(key, MHD_HTTP_HEADER_HOST) == 0;
    h->key += strcasecmp(key, "Idempotency-Key") == 0;
    return MHD_YES;
}

static bool head_ok(struct MHD_Connection *c)
{
    struct head h = { 0 };

    (void)MHD_get_connection_values(c, MHD_HEADER_KIND, take_header, &h);
    return h.length <= 1 && h.coding == 0 && h.authorization <= 1 && h.host == 1 && h.key <= 1;
}

static enum MHD_Result serve(struct api_http *h, struct MHD_Connection *c, struct request *r)
{
    const struct api_file *file =
        strcmp(r->parsed.method, "GET") == 0 ? api_console_file(r->parsed.path) : NULL;
    struct api_call call;
    struct api_who who;
    struct err err = { 0 };
    const char *secret = NULL;

    if (file)
        return api_http_bytes(h, c, file->type, file->content);
    if (strcmp(r->parsed.path, "/healthz") == 0)
        return api_http_json(h, c, MHD_HTTP_OK, json_pack("{s:s}", "status", "ok"));
    if (r->refused.rc != RC_OK)
        return api_http_refuse(h, c, &r->refused);
    enum rc rc = identify(h, c, &secret, &who, &err);

    if (rc == RC_OK && (r->bad || !head_ok(c)))
        rc = err_set(&err, RC_API_REQUEST, "headers or parameters");
    if (rc == RC_OK)
        rc = api_match(&r->parsed, &who, &call, &err);
    if (rc != RC_OK)
        return api_http_refuse(h, c, &err);
    switch (call.route->what) {
    case API_ME:
        return answer_me(h, c, &who);
    case API_EVENTS:
    case API_TOLD:
        return api_http_events(h, c, &call, &who, secret);
    case API_METRICS:
        return answer_metrics(h, c);
    case API_OPENAPI:
        return api_http_bytes(h, c, "application/json", api_console_openapi());
    case API_COMMAND:
    case API_PLAN_ASK:
    case API_PLAN_UNDO:
    case API_PLAN_GIVE:
    case API_DELEGATION:
        break;
    }
    if (!api_places_admit(&h->places, api_http_place(c), &who, false)) {
        (void)!err_set(&err, RC_API_LIMIT, "requests of a token at once");
        return api_http_refuse(h, c, &err);
    }
    struct api_answer answer =
        api_run(&h->runner, &r->parsed, &call, &(struct acting){ .who = who, .secret = secret },
                MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Idempotency-Key"));

    return api_http_give(h, c, &answer);
}

static bool accepts_printed(struct MHD_Connection *c)
{
    const char *accept = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);

    return accept && strcmp(accept, API_PRINTED) == 0;
}

/* Whether a body with files may come: who sends it is known, may do that, and has said how long it
 * is, before there is memory for it. */
static enum rc admit_large(struct api_http *h, struct MHD_Connection *c,
                           const struct api_route *route, struct request *r, struct err *err)
{
    const char *length =
        MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    const char *secret = NULL;
    size_t n = 0;
    enum rc rc;

    if ((!length || strcmp(length, "0") == 0) &&
        !MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING))
        return RC_OK;
    rc = identify(h, c, &secret, &r->who, err);
    if (rc != RC_OK)
        return rc;
    if ((route->roles & (1U << r->who.role)) == 0)
        return err_set(err, RC_API_ROLE, "%s", api_role_name(r->who.role));
    if (!head_ok(c) || !api_large_length(length, &n))
        return err_set(err, RC_API_REQUEST, "headers or parameters");
    if (n > api_plan_room(route))
        return err_set(err, RC_TOO_LARGE, "a body of more than %zu bytes", api_plan_room(route));
    if (!within_rate(h, &h->files, hash_bytes(r->who.name, strlen(r->who.name))) ||
        !api_large_take(&h->large, &r->who, LARGE_WAIT_MS))
        return err_set(err, RC_API_LIMIT, "bodies with files at once");
    r->admitted = true;
    r->large = malloc(n + 1);
    if (!r->large)
        return err_set(err, RC_NO_MEMORY, "body");
    r->n_large = n;
    api_places_allow(&h->places, api_http_place(c), clock_mono_ms(), LARGE_MS);
    return RC_OK;
}

/* The head of a request is there.  Who asks before it sends is told at once. */
static enum MHD_Result begin_request(struct api_http *h, struct MHD_Connection *c,
                                     const char *method, const char *url, struct request *r)
{
    const struct api_route *route = api_route_of(method, url);

    if (!route || route->body != API_FILES || admit_large(h, c, route, r, &r->refused) == RC_OK)
        return MHD_YES;
    return MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_EXPECT)
               ? api_http_refuse(h, c, &r->refused)
               : MHD_YES;
}

/* A part of the body; what is too much is read and dropped: the answer comes behind it. */
static void take_body(struct request *r, const char *data, size_t n)
{
    uint8_t *body = r->large ? r->large : r->body;
    const size_t max = r->large ? r->n_large : API_BODY_MAX;
    const size_t room = max + 1 - r->n;

    if (r->refused.rc != RC_OK)
        return;
    memcpy(body + r->n, data, n < room ? n : room);
    r->n += n < room ? n : room;
    r->bad = r->bad || r->n > max;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *n_data, void **state)
{
    struct request *r = *state;
    struct api_http *http = arg;

    (void)version;
    if (!r) {
        r = calloc(1, sizeof *r);
        *state = r;
        return r ? begin_request(http, c, method, url, r) : MHD_NO;
    }
    if (*n_data > 0) {
        take_body(r, data, *n_data);
        *n_data = 0;
        return MHD_YES;
    }
    r->parsed.method = method;
    r->parsed.path = url;
    r->parsed.body = (struct bytes){ .p = r->large ? r->large : r->body, .n = r->n };
    r->parsed.printed = accepts_printed(c);
    (void)MHD_get_connection_values(c, MHD_GET_ARGUMENT_KIND, take_param, r);
    api_places_allow(&http->places, api_http_place(c), clock_mono_ms(), ANSWER_MS);
    return serve(http, c, r);
}

static void on_completed(void *arg, struct MHD_Connection *c, void **state,
                         enum MHD_RequestTerminationCode why)
{
    struct api_http *http = arg;
    struct request *r = *state;

    (void)why;
    api_places_rest(&http->places, api_http_place(c), clock_mono_ms(), (uint64_t)IDLE_S * 1000);
    if (r && r->admitted)
        api_large_give(&http->large, &r->who);
    if (r)
        free(r->large);
    free(r);
    *state = NULL;
}

/* ---- start and end ----------------------------------------------------------------------------
 */

static enum rc start_daemon(struct api_http *h, const struct api_http_options *o, struct err *err)
{
    struct MHD_OptionItem tls[] = {
        { MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)o->key },
        { MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)o->cert },
        { MHD_OPTION_HTTPS_PRIORITIES, 0,
          (void *)(uintptr_t) "SECURE256:SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2" },
        { o->ca ? MHD_OPTION_HTTPS_MEM_TRUST : MHD_OPTION_END, 0, (void *)(uintptr_t)o->ca },
        { MHD_OPTION_END, 0, NULL },
    };
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION |
                     MHD_USE_POLL | (o->cert ? MHD_USE_TLS : 0U);

    h->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, h, MHD_OPTION_LISTEN_SOCKET, o->listen_fd,
        MHD_OPTION_CONNECTION_LIMIT, API_CONNECTIONS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        CONNECTIONS_PER_ADDRESS, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, MEMORY_PER_CONNECTION, MHD_OPTION_THREAD_STACK_SIZE,
        STACK_SIZE, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_ARRAY,
        o->cert ? tls : &tls[sizeof tls / sizeof tls[0] - 1], MHD_OPTION_END);
    return h->daemon ? RC_OK : err_set(err, RC_IO, "HTTP server; or its certificate and key");
}

enum rc api_http_start(const struct api_http_options *options, struct api_http **ret,
                       struct err *err)
{
    scoped(home_close) struct home home = HOME_NONE;
    pthread_condattr_t monotonic;
    enum rc rc = home_open(options->home, false, &home, err);

    if (rc != RC_OK) {
        (void)close(options->listen_fd);
        return rc;
    }
    /* What base/crypto looks up once it has looked up before there are threads. */
    struct digest none;
    struct api_http *h = calloc(1, sizeof *h);

    if (!h || sha256_of((struct bytes){ 0 }, none.b, err) != RC_OK) {
        free(h);
        (void)close(options->listen_fd);
        return err_set(err, RC_NO_MEMORY, "HTTP server");
    }
    (void)snprintf(h->home, sizeof h->home, "%s", home.path);
    h->tls = options->cert != NULL;
    h->mutual = options->ca != NULL;
    h->rate = (struct api_rate){ .per_s = RATE_PER_S, .burst = RATE_BURST };
    h->failures = (struct api_rate){ .per_s = FAILURES_PER_S, .burst = FAILURES_BURST };
    h->files = (struct api_rate){ .per_s = FILES_PER_S, .burst = FILES_BURST };
    api_large_init(&h->large);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    api_runner_init(&h->runner, h->home);
    (void)pthread_mutex_init(&h->rates, NULL);
    api_places_init(&h->places);
    (void)pthread_mutex_init(&h->news, NULL);
    (void)pthread_cond_init(&h->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    *ret = h;
    h->watches = pthread_create(&h->watcher, NULL, api_http_watch, h) == 0;
    if (!h->watches)
        rc = err_set(err, RC_IO, "thread");
    if (rc == RC_OK)
        rc = start_daemon(h, options, err);
    if (rc != RC_OK && !h->daemon)
        (void)close(options->listen_fd);
    if (rc != RC_OK)
        api_http_stop(ret);
    return rc;
}

void api_http_stop(struct api_http **http)
{
    struct api_http *h = *http;

    if (!h)
        return;
    (void)pthread_mutex_lock(&h->news);
    h->ending = true;
    (void)pthread_cond_broadcast(&h->changed);
    (void)pthread_mutex_unlock(&h->news);
    if (h->daemon)
        MHD_stop_daemon(h->daemon);
    if (h->watches)
        (void)pthread_join(h->watcher, NULL);
    (void)pthread_cond_destroy(&h->changed);
    (void)pthread_mutex_destroy(&h->news);
    api_places_done(&h->places);
    api_large_done(&h->large);
    (void)pthread_mutex_destroy(&h->rates);
    api_runner_done(&h->runner);
    free(h);
    *http = NULL;
}
