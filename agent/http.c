/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/http.h"

#include <assert.h>
#include <stdio.h>

static_assert(HTTP_BODY_MAX + 1024U < HTTP_RESPONSE_MAX, "a body and what goes before it fit");

/* ---- reading -------------------------------------------------------------------------------- */

/* What the fields have said so far. */
struct fields {
    uint32_t n;
    bool host, length;
    size_t length_bytes;
    bool close;
};

static enum rc refuse(struct err *err, const char *why)
{
    return err_set(err, RC_BUS_REQUEST, "%s", why);
}

static bool one_of(uint8_t c, const char *others)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr(others, c) != NULL);
}

/* RFC 9110 5.6.2 */
static bool is_token(struct bytes text)
{
    for (size_t i = 0; i < text.n; i++)
        if (!one_of(text.p[i], "!#$%&'*+-.^_`|~"))
            return false;
    return text.n > 0;
}

static bool same_word(struct bytes text, const char *lower)
{
    if (text.n != strlen(lower))
        return false;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];

        if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != (uint8_t)lower[i])
            return false;
    }
    return true;
}

/* What goes before the first `c`, and what after; false if there is none. */
static bool cut(struct bytes *rest, uint8_t c, struct bytes *ret)
{
    const uint8_t *at = rest->n > 0 ? memchr(rest->p, c, rest->n) : NULL;

    if (!at)
        return false;
    size_t n = (size_t)(at - rest->p);
    *ret = (struct bytes){ .p = rest->p, .n = n };
    *rest = (struct bytes){ .p = at + 1, .n = rest->n - n - 1 };
    return true;
}

static struct bytes trim(struct bytes text)
{
    while (text.n > 0 && (text.p[0] == ' ' || text.p[0] == '\t')) {
        text.p++;
        text.n--;
    }
    while (text.n > 0 && (text.p[text.n - 1] == ' ' || text.p[text.n - 1] == '\t'))
        text.n--;
    return text;
}

static enum rc take_method(struct bytes text, struct http_request *r, struct err *err)
{
    static const char *const names[HTTP_METHODS] = { "GET", "PUT", "POST", "DELETE" };

    if (!is_token(text))
        return refuse(err, "request line: METHOD /path HTTP/1.1");
    for (unsigned i = 0; i < HTTP_METHODS; i++)
        if (bytes_equal(text, bytes_of(names[i]))) {
            r->method = (enum http_method)i;
            return RC_OK;
        }
    return err_set(err, RC_BUS_METHOD, "GET, PUT, POST and DELETE are known");
}

static enum rc take_target(struct bytes text, struct http_request *r, struct err *err)
{
    if (text.n == 0 || text.p[0] != '/')
        return refuse(err, "target: a path that begins with '/'");
    for (size_t i = 0; i < text.n; i++)
        if (!one_of(text.p[i], "/._-?="))
            return refuse(err, "target: letters, digits and /._-?= only");
    return bytes_to_text(text, r->target, sizeof r->target)
               ? RC_OK
               : err_set(err, RC_BUS_TOO_LARGE, "target: %u bytes at most", HTTP_TARGET_CAP - 1);
}

static enum rc take_request_line(struct bytes line, struct http_request *r, struct err *err)
{
    struct bytes method, target;

    if (!cut(&line, ' ', &method) || !cut(&line, ' ', &target))
        return refuse(err, "request line: METHOD /path HTTP/1.1");
    enum rc rc = take_method(method, r, err);
    if (rc == RC_OK)
        rc = take_target(target, r, err);
    if (rc == RC_OK && !bytes_equal(line, bytes_of("HTTP/1.1")))
        rc = refuse(err, "version: HTTP/1.1");
    return rc;
}

static enum rc take_length(struct bytes value, struct fields *f, struct err *err)
{
    if (f->length)
        return refuse(err, "more than one Content-Length");
    if (value.n == 0 || value.n > 9 || (value.p[0] == '0' && value.n > 1))
        return refuse(err, "Content-Length: plain digits");
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] < '0' || value.p[i] > '9')
            return refuse(err, "Content-Length: plain digits");
        f->length_bytes = f->length_bytes * 10 + (size_t)(value.p[i] - '0');
    }
    f->length = true;
    return f->length_bytes > HTTP_BODY_MAX
               ? err_set(err, RC_BUS_TOO_LARGE, "body: %u bytes at most", HTTP_BODY_MAX)
               : RC_OK;
}

static enum rc take_field(struct bytes name, struct bytes value, struct fields *f, struct err *err)
{
    if (same_word(name, "content-length"))
        return take_length(value, f, err);
    if (same_word(name, "transfer-encoding"))
        return refuse(err, "Transfer-Encoding is not taken: send a Content-Length");
    if (same_word(name, "expect"))
        return refuse(err, "Expect is not taken: send the body at once");
    if (same_word(name, "host")) {
        if (f->host)
            return refuse(err, "more than one Host");
        f->host = true;
    }
    if (same_word(name, "connection"))
        f->close |= same_word(value, "close");
    return RC_OK;
}

static enum rc take_field_line(struct bytes line, struct fields *f, struct err *err)
{
    struct bytes name;

    if (++f->n > HTTP_FIELDS_MAX)
        return err_set(err, RC_BUS_TOO_LARGE, "%u fields at most", HTTP_FIELDS_MAX);
    for (size_t i = 0; i < line.n; i++)
        if ((line.p[i] < ' ' && line.p[i] != '\t') || line.p[i] >= 0x7f)
            return refuse(err, "fields: printable ASCII");
    if (!cut(&line, ':', &name) || !is_token(name))
        return refuse(err, "fields: Name: value, nothing before the colon but the name");
    return take_field(name, trim(line), f, err);
}

/* The next line without its CRLF. */
static enum rc next_line(struct bytes *rest, struct bytes *ret, struct err *err)
{
    if (!cut(rest, '\n', ret) || ret->n == 0 || ret->p[ret->n - 1] != '\r')
        return refuse(err, "lines end in CR LF");
    ret->n--;
    return memchr(ret->p, '\r', ret->n) ? refuse(err, "lines end in CR LF") : RC_OK;
}

static enum rc take_head(struct bytes head, struct http_request *r, struct fields *f,
                         struct err *err)
{
    struct bytes line;
    enum rc rc = next_line(&head, &line, err);

    if (rc == RC_OK)
        rc = take_request_line(line, r, err);
    while (rc == RC_OK && head.n > 0) {
        rc = next_line(&head, &line, err);
        if (rc == RC_OK)
            rc = take_field_line(line, f, err);
    }
    if (rc == RC_OK && !f->host)
        rc = refuse(err, "Host is missing");
    return rc;
}

/* What has a body says how long it is, and what has none has none. */
static enum rc check_body(const struct http_request *r, const struct fields *f, struct err *err)
{
    bool wanted = r->method == HTTP_PUT || r->method == HTTP_POST;

    if (wanted && !f->length)
        return refuse(err, "Content-Length is missing");
    if (!wanted && f->length_bytes > 0)
        return refuse(err, "a body with GET or DELETE");
    return RC_OK;
}

enum rc http_parse(struct bytes in, struct http_request *ret, struct err *err)
{
    struct http_request r = { .method = HTTP_GET };
    struct fields f = { 0 };
    struct bytes look = { .p = in.p, .n = in.n < HTTP_HEAD_MAX ? in.n : HTTP_HEAD_MAX };
    const uint8_t *end = look.n > 0 ? memmem(look.p, look.n, "\r\n\r\n", 4) : NULL;

    /* A line that ends otherwise would have us wait for an end that nobody means to send. */
    const uint8_t *lf = look.n > 0 ? memchr(look.p, '\n', look.n) : NULL;
    if (lf && (lf == look.p || lf[-1] != '\r'))
        return refuse(err, "lines end in CR LF");
    if (!end)
        return in.n < HTTP_HEAD_MAX
                   ? err_set(err, RC_SHORT, "request")
                   : err_set(err, RC_BUS_TOO_LARGE, "head: %u bytes at most", HTTP_HEAD_MAX);

    size_t head = (size_t)(end - in.p) + 4;
    enum rc rc = take_head((struct bytes){ .p = in.p, .n = head - 2 }, &r, &f, err);
    if (rc == RC_OK)
        rc = check_body(&r, &f, err);
    if (rc != RC_OK)
        return rc;
    if (in.n - head < f.length_bytes)
        return err_set(err, RC_SHORT, "body");
    r.close = f.close;
    r.body = (struct bytes){ .p = in.p + head, .n = f.length_bytes };
    r.bytes = head + f.length_bytes;
    *ret = r;
    return RC_OK;
}

/* ---- answering ------------------------------------------------------------------------------ */

struct status {
    unsigned number;
    const char *text;
};

static const struct status statuses[] = {
    { 200, "OK" },
    { 204, "No Content" },
    { 400, "Bad Request" },
    { 403, "Forbidden" },
    { 404, "Not Found" },
    { 405, "Method Not Allowed" },
    { 408, "Request Timeout" },
    { 413, "Content Too Large" },
    { 429, "Too Many Requests" },
    { 503, "Service Unavailable" },
};

static const char *status_text(unsigned status)
{
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if (statuses[i].number == status)
            return statuses[i].text;
    return "?";
}

unsigned http_status(enum rc rc)
{
    static const struct {
        enum rc rc;
        unsigned status;
    } table[] = {
        { RC_OK, 200 },        { RC_BUS_REQUEST, 400 },
        { RC_VALUE, 400 },     { RC_NAME, 400 },
        { RC_BUS_PEER, 403 },  { RC_MAIL_SEALED, 403 },
        { RC_NOT_FOUND, 404 }, { RC_BUS_METHOD, 405 },
        { RC_TIMEOUT, 408 },   { RC_BUS_TOO_LARGE, 413 },
        { RC_BUS_RATE, 429 },  { RC_BUS_QUEUE, 429 },
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].rc == rc)
            return table[i].status;
    return 503;
}

void http_respond(const struct http_head *head, struct bytes body, struct http_response *ret)
{
    char length[48] = "";

    assert(body.n == 0 || head->type);
    if (head->status != 204) /* RFC 9110 8.6: that one has none */
        (void)snprintf(length, sizeof length, "Content-Length: %zu\r\n", body.n);
    int n = snprintf(
        (char *)ret->bytes, sizeof ret->bytes, "HTTP/1.1 %u %s\r\n%s%s%s%s%sConnection: %s\r\n\r\n",
        head->status, status_text(head->status), head->type ? "Content-Type: " : "",
        head->type ? head->type : "", head->type ? "\r\n" : "", head->fields ? head->fields : "",
        length, head->close ? "close" : "keep-alive");

    assert(n > 0 && (size_t)n + body.n <= sizeof ret->bytes);
    if (body.n > 0)
        memcpy(ret->bytes + n, body.p, body.n);
    ret->n = (size_t)n + body.n;
}

/* Texts of ours, and what err_set has made printable: quotes and backslashes are what is left. */
static void escape(const char *text, char *out, size_t cap)
{
    size_t n = 0;

    for (; *text != '\0' && n + 3 < cap; text++) {
        if (*text == '"' || *text == '\\')
            out[n++] = '\\';
        out[n++] = *text >= ' ' && *text <= '~' ? *text : '?';
    }
    out[n] = '\0';
}

void http_refuse(const struct err *err, const char *fix, bool close, struct http_response *ret)
{
    const struct http_head head = { .status = http_status(err->rc),
                                    .type = "application/json",
                                    .close = close };
    char what[256], body[1024];

    escape(err->what, what, sizeof what);
    int n = snprintf(body, sizeof body,
                     "{\"code\":%u,\"name\":\"%s\",\"what\":\"%s%s%s\",\"fix\":\"%s\"}\n",
                     (unsigned)err->rc, rc_name(err->rc), rc_text(err->rc),
                     what[0] != '\0' ? ": " : "", what, fix ? fix : "see docs/wire/bus.md");

    assert(n > 0 && (size_t)n < sizeof body);
    http_respond(&head, (struct bytes){ .p = (const uint8_t *)body, .n = (size_t)n }, ret);
}
