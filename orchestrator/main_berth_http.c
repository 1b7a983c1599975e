/* SPDX-License-Identifier: Apache-2.0
 *
 * berth-http: one request to a ground's API, for berth.  A program of its own: it holds no key of
 * the mission, and what speaks TLS to a stranger is in no process that does.
 *
 *     berth-http METHOD URL [--token-file F] [--ca F] [--cert F --key F] [--accept TYPE]
 *                [--idempotency-key K] [--last-event-id N] <BODY
 *
 * An answer of which text/event-stream is accepted has no end: it goes out as it comes, for as long
 * as the server says something once a minute.
 *
 * stdout gets the status, a newline, and the body; stderr why there is none.  Ends with 0, or as
 * berth does: 1, 2, 5 (the server is not the one that it should be, or the token's file is open to
 * others), 6 (too late).  The URL may only be one of server_url_check and a path; nobody's proxy,
 * redirection, cookie or netrc counts, and certificates are always checked.
 */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "orchestrator/server_url.h"

#define BODY_MAX ((size_t)12 * 1024 * 1024) /* as berth-api takes: a fleet's files */
#define TOKEN_MAX 256U
#define ANSWER_MAX ((curl_off_t)128 * 1024 * 1024)
#define CONNECT_MS 15000L
#define WHOLE_MS 180000L
#define STALL_S 60L

enum { END_OK, END_FAILED, END_USAGE, END_DENIED = 5, END_TIMEOUT = 6 };

struct program {
    const char *method, *url;
    const char *token_file, *ca, *cert, *key, *accept, *idempotency, *last_event;
    char *body; /* BODY_MAX and one more */
    size_t n;
};

static bool parse(struct program *p, int argc, char **argv)
{
    const struct {
        const char *name;
        const char **to;
    } options[] = {
        { "--token-file", &p->token_file },
        { "--ca", &p->ca },
        { "--cert", &p->cert },
        { "--key", &p->key },
        { "--accept", &p->accept },
        { "--idempotency-key", &p->idempotency },
        { "--last-event-id", &p->last_event },
    };

    if (argc < 3 || argc % 2 != 1)
        return false;
    p->method = argv[1];
    p->url = argv[2];
    for (int i = 3; i < argc; i += 2) {
        bool known = false;

        for (size_t k = 0; k < sizeof options / sizeof options[0] && !known; k++) {
            known = strcmp(argv[i], options[k].name) == 0;
            if (known)
                *options[k].to = argv[i + 1];
        }
        if (!known)
            return false;
    }
    return (strcmp(p->method, "GET") == 0 || strcmp(p->method, "POST") == 0) && !p->cert == !p->key;
}

/* Whether what is before the path may be asked. */
static bool url_ok(const char *url)
{
    const char *slashes = strstr(url, "://");
    const char *path = slashes ? strchr(slashes + 3, '/') : NULL;
    char server[SERVER_URL_CAP];
    struct err err = { 0 };

    if (!path || (size_t)(path - url) >= sizeof server)
        return false;
    (void)snprintf(server, sizeof server, "%.*s", (int)(path - url), url);
    if (server_url_check(server, &err) == RC_OK)
        return true;
    (void)fprintf(stderr, "%s\n", err.what);
    return false;
}

/* What lets somebody in lies in a file that nobody else can read. */
static bool private_file(const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0) {
        (void)fprintf(stderr, "%s: %s\n", path, strerrordesc_np(errno));
        return false;
    }
    if (st.st_uid == geteuid() && (st.st_mode & 077U) == 0)
        return true;
    (void)fprintf(stderr, "%s: others can read it\n", path);
    return false;
}

static bool read_token(const char *path, char *out, size_t cap)
{
    char text[TOKEN_MAX];
    size_t n = 0;
    struct err err = { 0 };

    if (!private_file(path))
        return false;
    if (fs_read_file(AT_FDCWD, path, (uint8_t *)text, sizeof text - 1, &n, &err) != RC_OK) {
        (void)fprintf(stderr, "%s: %s\n", path, rc_text(err.rc));
        return false;
    }
    text[n] = '\0';
    n = strcspn(text, "\r\n");
    const bool good = n > 0 && strspn(text, "abcdefghijklmnopqrstuvwxyz_0123456789") == n;

    if (good)
        (void)snprintf(out, cap, "Authorization: Bearer %.*s", (int)n, text);
    else
        (void)fprintf(stderr, "%s: no token\n", path);
    explicit_bzero(text, sizeof text);
    return good;
}

static size_t take(char *data, size_t one, size_t n, void *arg)
{
    curl_off_t *left = arg;

    if ((curl_off_t)(one * n) > *left || fwrite(data, one, n, stdout) != n)
        return 0;
    *left -= (curl_off_t)(one * n);
    return n;
}

/* Of what has no end: at once, and for ever. */
static size_t pass(char *data, size_t one, size_t n, void *arg)
{
    (void)arg;
    return fwrite(data, one, n, stdout) == n && fflush(stdout) == 0 ? n : 0;
}

static bool streams(const struct program *p)
{
    return p->accept && strcmp(p->accept, "text/event-stream") == 0;
}

static struct curl_slist *header(struct curl_slist *list, const char *name, const char *value)
{
    char line[512];

    if (!value || snprintf(line, sizeof line, "%s: %s", name, value) >= (int)sizeof line)
        return list;
    struct curl_slist *more = curl_slist_append(list, line);

    return more ? more : list;
}

static void set_up(CURL *c, const struct program *p, char why[CURL_ERROR_SIZE])
{
    (void)curl_easy_setopt(c, CURLOPT_URL, p->url);
    (void)curl_easy_setopt(c, CURLOPT_ERRORBUFFER, why);
    (void)curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(c, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    (void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
    (void)curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
    (void)curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
    (void)curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    (void)curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    (void)curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, streams(p) ? 0L : WHOLE_MS);
    (void)curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
    (void)curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, STALL_S);
    (void)curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(c, CURLOPT_USERAGENT, "berth");
    if (p->ca) {
        (void)curl_easy_setopt(c, CURLOPT_CAINFO, p->ca);
        (void)curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
    }
    if (p->cert) {
        (void)curl_easy_setopt(c, CURLOPT_SSLCERT, p->cert);
        (void)curl_easy_setopt(c, CURLOPT_SSLKEY, p->key);
    }
    if (strcmp(p->method, "POST") == 0) {
        (void)curl_easy_setopt(c, CURLOPT_POST, 1L);
        (void)curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)p->n);
        (void)curl_easy_setopt(c, CURLOPT_POSTFIELDS, p->body);
    }
}

static int end_of(CURLcode code)
{
    switch ((int)code) {
    case CURLE_OPERATION_TIMEDOUT:
        return END_TIMEOUT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
        return END_DENIED;
    default:
        return END_FAILED;
    }
}

/* The status goes out before the body: it is known when the headers are in. */
static size_t on_header(char *line, size_t one, size_t n, void *arg)
{
    bool *said = arg;

    if (!*said && one * n >= 13 && strncmp(line, "HTTP/1.1 ", 9) == 0 && line[9] != '1') {
        (void)printf("%.3s\n", line + 9);
        *said = true;
    }
    return one * n;
}

static int ask(const struct program *p, const char *token)
{
    char why[CURL_ERROR_SIZE] = "";
    curl_off_t left = ANSWER_MAX;
    bool said = false;
    struct curl_slist *list = header(NULL, "Accept", p->accept ? p->accept : "application/json");
    CURL *c = curl_easy_init();

    if (!c)
        return END_FAILED;
    list = header(list, "Content-Type", p->n > 0 ? "application/json" : NULL);
    list = header(list, "Idempotency-Key", p->idempotency);
    list = header(list, "Last-Event-ID", p->last_event);
    if (token[0] != '\0') {
        struct curl_slist *more = curl_slist_append(list, token);

        list = more ? more : list;
    }
    set_up(c, p, why);
    (void)curl_easy_setopt(c, CURLOPT_HTTPHEADER, list);
    (void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, streams(p) ? pass : take);
    (void)curl_easy_setopt(c, CURLOPT_WRITEDATA, &left);
    (void)curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(c, CURLOPT_HEADERDATA, &said);
    const CURLcode code = curl_easy_perform(c);

    if (code != CURLE_OK)
        (void)fprintf(stderr, "%s\n", why[0] != '\0' ? why : curl_easy_strerror(code));
    curl_slist_free_all(list);
    curl_easy_cleanup(c);
    if (code != CURLE_OK)
        return end_of(code);
    return said && fflush(stdout) == 0 ? END_OK : END_FAILED;
}

int main(int argc, char **argv)
{
    struct program p = { 0 };
    char token[TOKEN_MAX + 32] = "";

    if (!parse(&p, argc, argv)) {
        (void)fputs("usage: berth-http GET|POST URL [--token-file F] [--ca F] [--cert F --key F] "
                    "[--accept TYPE] [--idempotency-key K] [--last-event-id N] <BODY\n",
                    stderr);
        return END_USAGE;
    }
    if (!url_ok(p.url))
        return END_USAGE;
    if ((p.token_file && !read_token(p.token_file, token, sizeof token)) ||
        (p.key && !private_file(p.key)))
        return END_DENIED;
    scoped(free_ptr) char *body = malloc(BODY_MAX + 1);

    if (!body)
        return END_FAILED;
    p.body = body;
    if (strcmp(p.method, "POST") == 0)
        p.n = fread(p.body, 1, BODY_MAX + 1, stdin);
    if (p.n > BODY_MAX || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return END_USAGE;
    int code = ask(&p, token);

    explicit_bzero(token, sizeof token);
    curl_global_cleanup();
    return code;
}
