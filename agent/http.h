/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/http: HTTP/1.1 (RFC 9110, 9112) as the bus speaks it, and no more of it.  Pure.
 *
 * Requests come from payloads and are hostile.  One form of everything is taken: CRLF, one Host,
 * one Content-Length of plain digits, no transfer coding, no folded lines, no escapes in the
 * target.  Two readers that see different requests in the same bytes have nothing to work with
 * here, since there is one reader and it refuses what could be read in two ways.  The connection
 * is not used again after a refusal.
 */
#ifndef BERTH_AGENT_HTTP_H
#define BERTH_AGENT_HTTP_H

#include "base/bytes.h"
#include "base/err.h"

#define HTTP_HEAD_MAX 4096U /* request line and fields, in bytes */
#define HTTP_FIELDS_MAX 32U
#define HTTP_TARGET_CAP 128U
#define HTTP_BODY_MAX 2048U
#define HTTP_REQUEST_MAX (HTTP_HEAD_MAX + HTTP_BODY_MAX)
#define HTTP_RESPONSE_MAX 8192U

enum http_method { HTTP_GET, HTTP_PUT, HTTP_POST, HTTP_DELETE, HTTP_METHODS };

struct http_request {
    enum http_method method;
    char target[HTTP_TARGET_CAP]; /* path and query: [A-Za-z0-9/._-], '?' and '=' */
    bool close;                   /* the client does not want to go on */
    struct bytes body;            /* a view of the input */
    size_t bytes;                 /* that the whole request has */
};

/* Read the request at the beginning of the input.  RC_SHORT: it is not whole yet.  Else a refusal,
 * with what is wrong in err: RC_BUS_REQUEST, RC_BUS_TOO_LARGE, RC_BUS_METHOD. */
must_check enum rc http_parse(struct bytes in, struct http_request *ret, struct err *err);

/* The answer to a client, or the part of it that has not been sent. */
struct http_response {
    size_t n;
    uint8_t bytes[HTTP_RESPONSE_MAX];
};

/* What goes before a body. */
struct http_head {
    unsigned status;
    const char *type;   /* of the body; NULL = there is none */
    const char *fields; /* more fields, each ending in CRLF, or NULL */
    bool close;
};

/* Put an answer together; a body that does not fit is a programmer's mistake. */
void http_respond(const struct http_head *head, struct bytes body, struct http_response *ret);

/* The answer to what was refused: {"code","name","what","fix"}.  fix may be NULL. */
void http_refuse(const struct err *err, const char *fix, bool close, struct http_response *ret);

/* The status that goes with a code. */
unsigned http_status(enum rc rc);

#endif
