/* SPDX-License-Identifier: Apache-2.0
 *
 * The pure parts of the bus: HTTP as it is taken, paths, messages to and from berthd, queues.
 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/bus_api.h"
#include "agent/bus_store.h"

/* ---- HTTP ----------------------------------------------------------------------------------- */

static enum rc parse(const char *text, size_t n, struct http_request *r, struct err *err)
{
    return http_parse((struct bytes){ .p = (const uint8_t *)text, .n = n }, r, err);
}

static const char post[] = "POST /v1/peers/cam HTTP/1.1\r\nHost: bus\r\nAccept: */*\r\n"
                           "content-LENGTH:\t5 \r\nConnection: Close\r\n\r\nhelloGET /";

/* Whole, and cut at every byte: there is one answer to each beginning. */
static void takes_requests(void **state)
{
    const size_t whole = sizeof post - 1 - 5;
    struct http_request r = { .bytes = 7 };
    struct err err = { 0 };

    (void)state;
    for (size_t n = 0; n < whole; n++) {
        assert_rc(parse(post, n, &r, &err), RC_SHORT);
        assert_int_equal(r.bytes, 7);
    }
    for (size_t n = whole; n < sizeof post; n++) {
        assert_rc(parse(post, n, &r, &err), RC_OK);
        assert_int_equal(r.bytes, whole);
        assert_int_equal(r.method, HTTP_POST);
        assert_string_equal(r.target, "/v1/peers/cam");
        assert_true(r.close);
        assert_true(bytes_equal(r.body, bytes_of("hello")));
    }
    assert_rc(parse("GET /a?b=1 HTTP/1.1\r\nHost:\r\n\r\n", 30, &r, &err), RC_OK);
    assert_int_equal(r.body.n, 0);
    assert_false(r.close);
    assert_rc(parse("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 46, &r, &err), RC_OK);
}

struct bad {
    const char *why, *text;
    enum rc rc;
};

#define G "GET / HTTP/1.1\r\nHost: bus\r\n"
#define P "POST / HTTP/1.1\r\nHost: bus\r\n"

static const struct bad bad_requests[] = {
    { "two lengths", P "Content-Length: 2\r\nContent-Length: 30\r\n\r\nhi", RC_BUS_REQUEST },
    { "the same length twice", P "Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
      RC_BUS_REQUEST },
    { "a list of lengths", P "Content-Length: 2, 2\r\n\r\nhi", RC_BUS_REQUEST },
    { "length and coding", P "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      RC_BUS_REQUEST },
    { "coding and length", P "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
      RC_BUS_REQUEST },
    { "coding alone", P "Transfer-Encoding: identity\r\n\r\n", RC_BUS_REQUEST },
    { "coding, another case", P "tRANSFER-eNCODING: chunked\r\n\r\n", RC_BUS_REQUEST },
    { "space before the colon", P "Content-Length : 2\r\n\r\nhi", RC_BUS_REQUEST },
    { "sign", P "Content-Length: +2\r\n\r\nhi", RC_BUS_REQUEST },
    { "minus", P "Content-Length: -2\r\n\r\nhi", RC_BUS_REQUEST },
    { "hexadecimal", P "Content-Length: 0x2\r\n\r\nhi", RC_BUS_REQUEST },
    { "leading zero", P "Content-Length: 02\r\n\r\nhi", RC_BUS_REQUEST },
    { "no digits", P "Content-Length: \r\n\r\nhi", RC_BUS_REQUEST },
    { "2^64 + 2", P "Content-Length: 18446744073709551618\r\n\r\nhi", RC_BUS_REQUEST },
    { "larger than bodies are", P "Content-Length: 2049\r\n\r\n", RC_BUS_TOO_LARGE },
    { "no length", P "\r\nhi", RC_BUS_REQUEST },
    { "a body with GET", G "Content-Length: 2\r\n\r\nhi", RC_BUS_REQUEST },
    { "expect", P "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n", RC_BUS_REQUEST },
    { "no host", "GET / HTTP/1.1\r\nAccept: a\r\n\r\n", RC_BUS_REQUEST },
    { "two hosts", G "Host: other\r\n\r\n", RC_BUS_REQUEST },
    { "bare LF", "GET / HTTP/1.1\nHost: bus\n\n", RC_BUS_REQUEST },
    { "LF later", "GET / HTTP/1.1\r\nHost: bus\nX: y\r\n\r\n", RC_BUS_REQUEST },
    { "bare CR", "GET / HTTP/1.1\r\nHost: b\rus\r\n\r\n", RC_BUS_REQUEST },
    { "CR CR LF", "GET / HTTP/1.1\r\nHost: bus\r\r\n\r\n", RC_BUS_REQUEST },
    { "folded", G " more\r\n\r\n", RC_BUS_REQUEST },
    { "folded by tab", G "X: y\r\n\tmore\r\n\r\n", RC_BUS_REQUEST },
    { "no name", G ": y\r\n\r\n", RC_BUS_REQUEST },
    { "no colon", G "XY\r\n\r\n", RC_BUS_REQUEST },
    { "byte above ASCII", G "X: \x80\r\n\r\n", RC_BUS_REQUEST },
    { "HTTP/1.0", "GET / HTTP/1.0\r\nHost: bus\r\n\r\n", RC_BUS_REQUEST },
    { "HTTP/1.10", "GET / HTTP/1.10\r\nHost: bus\r\n\r\n", RC_BUS_REQUEST },
    { "HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", RC_BUS_METHOD },
    { "no version", "GET /\r\nHost: bus\r\n\r\n", RC_BUS_REQUEST },
    { "two spaces", "GET  / HTTP/1.1\r\nHost: bus\r\n\r\n", RC_BUS_REQUEST },
    { "space behind", "GET / HTTP/1.1 \r\nHost: bus\r\n\r\n", RC_BUS_REQUEST },
    { "empty line first", "\r\nGET / HTTP/1.1\r\nHost: bus\r\n\r\n", RC_BUS_REQUEST },
    { "absolute", "GET http://x/ HTTP/1.1\r\nHost: bus\r\n\r\n", RC_BUS_REQUEST },
    { "asterisk", "GET * HTTP/1.1\r\nHost: bus\r\n\r\n", RC_BUS_REQUEST },
    { "escape", "GET /v1/%74ime HTTP/1.1\r\nHost: bus\r\n\r\n", RC_BUS_REQUEST },
    { "fragment", "GET /v1/time#x HTTP/1.1\r\nHost: bus\r\n\r\n", RC_BUS_REQUEST },
    { "method in small letters", "get / HTTP/1.1\r\nHost: bus\r\n\r\n", RC_BUS_METHOD },
    { "another method", "PATCH / HTTP/1.1\r\nHost: bus\r\n\r\n", RC_BUS_METHOD },
    { "tunnel", "CONNECT host:80 HTTP/1.1\r\nHost: bus\r\n\r\n", RC_BUS_METHOD },
    { "TLS", "\x16\x03\x01\r\n\r\n", RC_BUS_REQUEST },
};

static void refuses_requests(void **state)
{
    static const char nul[] = "GET /\0 HTTP/1.1\r\nHost: bus\r\n\r\n";
    static const char nul_field[] = G "X: a\0b\r\n\r\n";
    static const char nul_name[] = G "X\0: a\r\n\r\n";
    const struct http_request before = { .bytes = 7 };
    struct http_request r = before;
    struct err err = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof bad_requests / sizeof *bad_requests; i++) {
        enum rc rc = parse(bad_requests[i].text, strlen(bad_requests[i].text), &r, &err);

        if (rc != bad_requests[i].rc)
            fail_msg("%s: %s", bad_requests[i].why, rc_name(rc));
        assert_memory_equal(&r, &before, sizeof r);
    }
    assert_rc(parse(nul, sizeof nul - 1, &r, &err), RC_BUS_REQUEST);
    assert_rc(parse(nul_field, sizeof nul_field - 1, &r, &err), RC_BUS_REQUEST);
    assert_rc(parse(nul_name, sizeof nul_name - 1, &r, &err), RC_BUS_REQUEST);
}

static void bounds_requests(void **state)
{
    static char text[HTTP_REQUEST_MAX + 1024];
    struct http_request r;
    struct err err = { 0 };

    (void)state;
    for (size_t fields = 1; fields <= HTTP_FIELDS_MAX + 1; fields++) { /* Host is one of them */
        size_t n = (size_t)snprintf(text, sizeof text, "%s", G);

        for (size_t i = 1; i < fields; i++)
            n += (size_t)snprintf(text + n, sizeof text - n, "X: %zu\r\n", i);
        n += (size_t)snprintf(text + n, sizeof text - n, "\r\n");
        assert_rc(parse(text, n, &r, &err), fields <= HTTP_FIELDS_MAX ? RC_OK : RC_BUS_TOO_LARGE);
    }
    for (size_t head = HTTP_HEAD_MAX - 2; head <= HTTP_HEAD_MAX + 2; head++) {
        memset(text, 'x', sizeof text);
        memcpy(text, G "X: ", sizeof G + 2);
        memcpy(text + head - 4, "\r\n\r\n", 4);
        assert_rc(parse(text, head, &r, &err), head <= HTTP_HEAD_MAX ? RC_OK : RC_BUS_TOO_LARGE);
    }
    for (size_t target = HTTP_TARGET_CAP - 2; target <= HTTP_TARGET_CAP + 1; target++) {
        int n = snprintf(text, sizeof text, "GET /%0*d HTTP/1.1\r\nHost: b\r\n\r\n",
                         (int)target - 1, 0);

        assert_rc(parse(text, (size_t)n, &r, &err),
                  target < HTTP_TARGET_CAP ? RC_OK : RC_BUS_TOO_LARGE);
    }
}

static void answers(void **state)
{
    static struct http_response out;
    const struct http_head none = { .status = 204 };
    struct err err = { 0 };

    (void)state;
    http_respond(&none, (struct bytes){ 0 }, &out);
    assert_true(bytes_equal((struct bytes){ out.bytes, out.n },
                            bytes_of("HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n")));
    (void)err_set(&err, RC_NAME, "a \"b\" \\ \n");
    http_refuse(&err, "do", true, &out);
    out.bytes[out.n] = '\0';
    assert_non_null(strstr((char *)out.bytes, "HTTP/1.1 400 Bad Request\r\n"));
    assert_non_null(strstr((char *)out.bytes, "Connection: close\r\n"));
    assert_non_null(strstr((char *)out.bytes, "\r\n\r\n{\"code\":5,\"name\":\"NAME\",\"what\":"
                                              "\"not a valid name: a \\\"b\\\" \\\\ ?\","
                                              "\"fix\":\"do\"}\n"));
}

/* ---- paths ---------------------------------------------------------------------------------- */

static void paths(void **state)
{
    static const struct {
        enum http_method method;
        const char *target, *body;
        enum rc rc;
        enum bus_op op;
        const char *name;
        uint64_t id;
        uint32_t wait_s;
    } rows[] = {
        { HTTP_GET, "/v1/identity", "", RC_OK, BUS_SELF, "", 0, 0 },
        { HTTP_GET, "/v1/time", "", RC_OK, BUS_TIME, "", 0, 0 },
        { HTTP_GET, "/v1/passes", "", RC_OK, BUS_SKY, "", 0, 0 },
        { HTTP_GET, "/v1/quota", "", RC_OK, BUS_QUOTA, "", 0, 0 },
        { HTTP_PUT, "/v1/telemetry/temp", "21", RC_OK, BUS_PUT, "temp", 0, 0 },
        { HTTP_POST, "/v1/peers/cam-2", "x", RC_OK, BUS_SEND, "cam-2", 0, 0 },
        { HTTP_GET, "/v1/messages", "", RC_OK, BUS_MESSAGE, "", 0, 0 },
        { HTTP_GET, "/v1/messages?wait=60", "", RC_OK, BUS_MESSAGE, "", 0, 60 },
        { HTTP_GET, "/v1/commands?wait=0", "", RC_OK, BUS_COMMAND, "", 0, 0 },
        { HTTP_DELETE, "/v1/messages/1", "", RC_OK, BUS_MESSAGE_DONE, "", 1, 0 },
        { HTTP_DELETE, "/v1/commands/18446744073709551615", "", RC_OK, BUS_COMMAND_DONE, "",
          UINT64_MAX, 0 },
        { HTTP_POST, "/v1/commands/7", "0", RC_OK, BUS_COMMAND_DONE, "", 7, 0 },
        { HTTP_POST, "/v1/commands/7", "4294967295 no such mode", RC_OK, BUS_COMMAND_DONE, "", 7,
          0 },
        { HTTP_POST, "/v1/commands/7", "", RC_BUS_REQUEST, 0, "", 0, 0 },
        { HTTP_POST, "/v1/commands/7", "well", RC_BUS_REQUEST, 0, "", 0, 0 },
        { HTTP_POST, "/v1/commands/7", "4294967296", RC_BUS_REQUEST, 0, "", 0, 0 },
        { HTTP_POST, "/v1/commands/7", "01", RC_BUS_REQUEST, 0, "", 0, 0 },
        { HTTP_POST, "/v1/commands/7", "-1", RC_BUS_REQUEST, 0, "", 0, 0 },
        { HTTP_POST, "/v1/commands/7", "1\tx", RC_BUS_REQUEST, 0, "", 0, 0 },
        { HTTP_POST, "/v1/commands/7", "1 two\nlines", RC_BUS_REQUEST, 0, "", 0, 0 },
        { HTTP_POST, "/v1/commands/7", "1 \x1b[2J", RC_BUS_REQUEST, 0, "", 0, 0 },
        { HTTP_POST, "/v1/commands/0", "1", RC_BUS_REQUEST, 0, "", 0, 0 },
        { HTTP_POST, "/v1/messages/7", "1", RC_BUS_METHOD, 0, "", 0, 0 },
        { HTTP_GET, "/v1/messages?wait=61", "", RC_BUS_REQUEST, 0, "", 0, 0 },
        { HTTP_GET, "/v1/messages?wait=", "", RC_BUS_REQUEST, 0, "", 0, 0 },
        { HTTP_GET, "/v1/messages?wait=1?wait=2", "", RC_BUS_REQUEST, 0, "", 0, 0 },
        { HTTP_GET, "/v1/messages?other=1", "", RC_BUS_REQUEST, 0, "", 0, 0 },
        { HTTP_GET, "/v1/time?wait=1", "", RC_BUS_REQUEST, 0, "", 0, 0 },
        { HTTP_DELETE, "/v1/messages/0", "", RC_BUS_REQUEST, 0, "", 0, 0 },
        { HTTP_DELETE, "/v1/messages/01", "", RC_BUS_REQUEST, 0, "", 0, 0 },
        { HTTP_DELETE, "/v1/messages/18446744073709551616", "", RC_BUS_REQUEST, 0, "", 0, 0 },
        { HTTP_DELETE, "/v1/messages/", "", RC_BUS_REQUEST, 0, "", 0, 0 },
        { HTTP_POST, "/v1/peers/", "x", RC_NAME, 0, "", 0, 0 },
        { HTTP_POST, "/v1/peers/../x", "x", RC_NAME, 0, "", 0, 0 },
        { HTTP_POST, "/v1/peers/cam?wait=1", "x", RC_NAME, 0, "", 0, 0 },
        { HTTP_POST, "/v1/peers/cam", "", RC_BUS_REQUEST, 0, "", 0, 0 },
        { HTTP_PUT, "/v1/telemetry/Temp", "21", RC_NAME, 0, "", 0, 0 },
        { HTTP_PUT, "/v1/telemetry/t", "", RC_BUS_REQUEST, 0, "", 0, 0 },
        { HTTP_GET, "/v1/telemetry/t", "", RC_BUS_METHOD, 0, "", 0, 0 },
        { HTTP_DELETE, "/v1/identity", "", RC_BUS_METHOD, 0, "", 0, 0 },
        { HTTP_POST, "/v1/messages", "x", RC_BUS_METHOD, 0, "", 0, 0 },
        { HTTP_GET, "/", "", RC_NOT_FOUND, 0, "", 0, 0 },
        { HTTP_GET, "/v1", "", RC_NOT_FOUND, 0, "", 0, 0 },
        { HTTP_GET, "/v1/identity/", "", RC_NOT_FOUND, 0, "", 0, 0 },
        { HTTP_GET, "//v1/identity", "", RC_NOT_FOUND, 0, "", 0, 0 },
        { HTTP_GET, "/v1/./identity", "", RC_NOT_FOUND, 0, "", 0, 0 },
        { HTTP_GET, "/V1/identity", "", RC_NOT_FOUND, 0, "", 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct http_request r = { .method = rows[i].method, .body = bytes_of(rows[i].body) };
        static struct bus_ask ask;
        uint32_t wait_s = 99;
        struct err err = { 0 };

        memset(&ask, 0, sizeof ask);
        (void)snprintf(r.target, sizeof r.target, "%s", rows[i].target);
        enum rc rc = bus_api_ask(&r, &ask, &wait_s, &err);
        if (rc != rows[i].rc)
            fail_msg("%s: %s", rows[i].target, rc_name(rc));
        assert_int_equal(ask.op, rows[i].op);
        if (rc != RC_OK)
            continue;
        assert_rc(bus_ask_check(&ask, &err), RC_OK); /* what is asked is what berthd takes */
        assert_string_equal(ask.name, rows[i].name);
        assert_int_equal(ask.id, rows[i].id);
        assert_int_equal(wait_s, rows[i].wait_s);
        assert_int_equal(ask.n, r.body.n);
    }
}

static void value_sizes(void **state)
{
    static uint8_t big[HTTP_BODY_MAX];
    struct http_request r = { .method = HTTP_PUT, .target = "/v1/telemetry/t" };
    static struct bus_ask ask;
    uint32_t wait_s;
    struct err err = { 0 };

    (void)state;
    r.body = (struct bytes){ big, BUS_VALUE_MAX };
    assert_rc(bus_api_ask(&r, &ask, &wait_s, &err), RC_OK);
    r.body.n++;
    assert_rc(bus_api_ask(&r, &ask, &wait_s, &err), RC_BUS_TOO_LARGE);
    (void)snprintf(r.target, sizeof r.target, "/v1/peers/t");
    r.method = HTTP_POST;
    r.body.n = HTTP_BODY_MAX;
    assert_rc(bus_api_ask(&r, &ask, &wait_s, &err), RC_OK);
    assert_int_equal(ask.n, BUS_BODY_MAX);
}

/* ---- berth-bus and berthd ------------------------------------------------------------------- */

static struct bus_ask good_ask(void)
{
    struct bus_ask ask = { .op = BUS_SEND, .n = 3, .name = "cam", .body = "abc" };

    return ask;
}

#define SPOIL(name, change)                                                                        \
    static void name(struct bus_ask *ask)                                                          \
    {                                                                                              \
        change;                                                                                    \
    }
SPOIL(op_zero, ask->op = 0)
SPOIL(op_high, ask->op = BUS_WAKE)
SPOIL(op_huge, ask->op = UINT32_MAX)
SPOIL(body_long, ask->n = BUS_BODY_MAX + 1)
SPOIL(body_huge, ask->n = UINT32_MAX)
SPOIL(body_tail, ask->body[BUS_BODY_MAX - 1] = 1)
SPOIL(id_extra, ask->id = 1)
SPOIL(reserved_set, ask->reserved[6] = 1)
SPOIL(name_none, memset(ask->name, 0, sizeof ask->name))
SPOIL(name_bad, ask->name[0] = '/')
SPOIL(name_open, memset(ask->name, 'a', sizeof ask->name))
SPOIL(name_tail, ask->name[NAME_CAP - 1] = 'x')
SPOIL(name_extra, ask->op = BUS_TIME; ask->n = 0; memset(ask->body, 0, 3))
SPOIL(body_extra, ask->op = BUS_TIME; memset(ask->name, 0, sizeof ask->name))
SPOIL(value_long, ask->op = BUS_PUT; ask->n = BUS_VALUE_MAX + 1)
SPOIL(id_none, *ask = (struct bus_ask){ .op = BUS_MESSAGE_DONE })

static void hostile_questions(void **state)
{
    static void (*const spoil[])(struct bus_ask * ask) = {
        op_zero,   op_high,  op_huge,   body_long, body_huge,  body_tail,  id_extra,   reserved_set,
        name_none, name_bad, name_open, name_tail, name_extra, body_extra, value_long, id_none,
    };
    struct bus_ask ask = good_ask();
    struct err err = { 0 };

    (void)state;
    assert_rc(bus_ask_check(&ask, &err), RC_OK);
    for (size_t i = 0; i < sizeof spoil / sizeof *spoil; i++) {
        ask = good_ask();
        spoil[i](&ask);
        assert_rc(bus_ask_check(&ask, &err), RC_PROTOCOL);
    }
}

static void packets(void **state)
{
    static struct bus_answer got;
    struct bus_ask ask = good_ask();
    struct bus_ask back;
    uint8_t more[sizeof ask + 1] = { 0 };
    struct err err = { 0 };
    int pair[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    assert_rc(bus_receive(pair[1], &back, sizeof back, &err), RC_TIMEOUT);
    assert_rc(bus_send(pair[0], &ask, sizeof ask, &err), RC_OK);
    assert_rc(bus_receive(pair[1], &back, sizeof back, &err), RC_OK);
    assert_memory_equal(&ask, &back, sizeof ask);
    static const size_t sizes[] = { 1, sizeof ask - 1, sizeof ask + 1 };
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(send(pair[0], more, sizes[i], 0), sizes[i]);
        assert_rc(bus_receive(pair[1], &back, sizeof back, &err), RC_PROTOCOL);
    }
    close_fd(&pair[0]);
    assert_rc(bus_receive(pair[1], &got, sizeof got, &err), RC_SHORT);
    assert_rc(bus_send(pair[1], &ask, sizeof ask, &err), RC_SHORT);
    close_fd(&pair[1]);
}

static bool says(const struct http_response *r, const char *text)
{
    return memmem(r->bytes, r->n, text, strlen(text)) != NULL;
}

static void responses(void **state)
{
    static struct bus_answer a;
    static struct http_response out;
    struct err err = { 0 };

    (void)state;
    a = (struct bus_answer){ .op = BUS_SELF,
                             .self = { .tenant = "acme",
                                       .payload = "cam",
                                       .satellite = "aurora-1",
                                       .version = "1.0",
                                       .instance = UINT64_MAX } };
    assert_rc(bus_answer_check(&a, &err), RC_OK);
    bus_api_respond(&a, false, &out);
    assert_true(says(&out, "{\"tenant\":\"acme\",\"payload\":\"cam\",\"version\":\"1.0\","
                           "\"satellite\":\"aurora-1\",\"manifest\":\"0000"));
    a.self.version[0] = '"';
    assert_rc(bus_answer_check(&a, &err), RC_PROTOCOL);

    a = (struct bus_answer){
        .op = BUS_TIME, .time = { .unix_ms = 5, .clock = 2, .told_ms = 7, .uncertain_ms = 20 }
    };
    bus_api_respond(&a, false, &out);
    assert_true(says(&out, "{\"unix_ms\":5,\"source\":\"platform\",\"floor_ms\":0,"
                           "\"uncertainty_ms\":20,\"told_ms_ago\":7}"));
    a.time.clock = 9;
    bus_api_respond(&a, false, &out);
    assert_true(says(&out, "\"source\":\"?\""));

    a = (struct bus_answer){ .op = BUS_SKY, .sky = { .safe = 1, .n = BUS_PASSES_MAX } };
    for (size_t i = 0; i < BUS_PASSES_MAX; i++) {
        a.sky.pass[i] = (struct input_pass){ .start_s = INPUT_UNIX_MAX, .end_s = INPUT_UNIX_MAX };
        memset(a.sky.pass[i].station, 'k', NAME_MAX_LEN);
    }
    assert_rc(bus_answer_check(&a, &err), RC_OK);
    bus_api_respond(&a, false, &out);
    assert_true(says(&out, "{\"mode\":\"safe\",\"eclipse\":false,\"in_view\":null,\"passes\":[{"));
    a.sky.n++;
    assert_rc(bus_answer_check(&a, &err), RC_PROTOCOL);

    memset(&a, 0xff, sizeof a); /* the largest numbers there are */
    a.op = BUS_QUOTA;
    a.rc = RC_OK;
    memset(a.what, 0, sizeof a.what);
    assert_rc(bus_answer_check(&a, &err), RC_OK);
    bus_api_respond(&a, true, &out);
    assert_true(says(&out, "\"cpu_permille\":{\"limit\":18446744073709551615,\"used_ms\":"));

    a = (struct bus_answer){ .op = BUS_MESSAGE,
                             .post = { .id = 4, .from = "nav", .n = 3, .body = "a\0b" } };
    assert_rc(bus_answer_check(&a, &err), RC_OK);
    assert_false(bus_api_is_empty(&a));
    bus_api_respond(&a, false, &out);
    assert_true(says(&out, "Berth-Id: 4\r\nBerth-From: nav\r\nContent-Length: 3\r\n"));
    assert_memory_equal(out.bytes + out.n - 3, "a\0b", 3);
    memset(a.post.from, 0, sizeof a.post.from);
    assert_rc(bus_answer_check(&a, &err), RC_PROTOCOL);
    a.post = (struct bus_post){ 0 };
    assert_rc(bus_answer_check(&a, &err), RC_OK);
    assert_true(bus_api_is_empty(&a));
    bus_api_respond(&a, false, &out);
    assert_true(says(&out, "HTTP/1.1 204 No Content\r\n"));

    a = (struct bus_answer){ .op = BUS_SEND, .rc = RC_BUS_PEER, .what = "nav" };
    bus_api_respond(&a, false, &out);
    assert_true(says(&out, "HTTP/1.1 403 Forbidden\r\n"));
    assert_true(says(&out, "{\"code\":327,\"name\":\"BUS_PEER\",\"what\":\""));
}

/* ---- queues --------------------------------------------------------------------------------- */

static void queues(void **state)
{
    static struct bus_queue q;
    static const uint8_t big[BUS_BODY_MAX + 1];
    struct err err = { 0 };

    (void)state;
    for (uint64_t i = 1; i <= BUS_MESSAGES_MAX; i++) {
        assert_rc(bus_queue_add(&q, "nav", bytes_of("hello"), &err), RC_OK);
        assert_int_equal(q.post[i - 1].id, i);
    }
    assert_rc(bus_queue_add(&q, "nav", bytes_of("hello"), &err), RC_BUS_QUEUE);
    assert_rc(bus_queue_done(&q, 3, &err), RC_OK);
    assert_rc(bus_queue_done(&q, 3, &err), RC_NOT_FOUND);
    assert_int_equal(q.post[0].id, 1);
    assert_int_equal(q.post[2].id, 4);
    assert_rc(bus_queue_add(&q, "nav", (struct bytes){ big, sizeof big }, &err), RC_BUS_TOO_LARGE);
    assert_rc(bus_queue_add(&q, "nav", (struct bytes){ big, sizeof big - 1 }, &err), RC_OK);
    assert_int_equal(q.post[q.n - 1].id, BUS_MESSAGES_MAX + 1); /* a number is not given twice */
    for (uint64_t id = 1; id <= BUS_MESSAGES_MAX + 1; id++)
        (void)!bus_queue_done(&q, id, &err);
    assert_int_equal(q.n, 0);
}

static void hours_and_values(void **state)
{
    static struct bus_store store;
    const uint64_t hour_ms = 3600000;
    struct bus_hour *h = &store.puts;
    struct err err = { 0 };
    char key[NAME_CAP];

    (void)state;
    for (uint32_t i = 0; i < 5; i++)
        assert_true(bus_hour_take(h, 5, 1000 + i));
    assert_false(bus_hour_take(h, 5, 999 + hour_ms));
    assert_int_equal(bus_hour_left(h, 5, 999 + hour_ms), 0);
    assert_int_equal(bus_hour_left(h, 5, 1000 + hour_ms), 5);
    assert_true(bus_hour_take(h, 5, 1000 + hour_ms));
    assert_int_equal(bus_hour_left(h, 5, 1000 + hour_ms), 4);

    for (uint32_t i = 0; i < BUS_KEYS_MAX; i++) {
        (void)snprintf(key, sizeof key, "key-%u", i);
        assert_rc(bus_sample_put(&store, key, bytes_of("1"), 5, 9, &err), RC_OK);
    }
    assert_rc(bus_sample_put(&store, "one-more", bytes_of("1"), 5, 9, &err), RC_BUS_QUEUE);
    assert_rc(bus_sample_put(&store, "key-3", bytes_of("22"), 6, 9, &err), RC_OK);
}

static void put_samples(struct bus_store *store, uint32_t n)
{
    struct err err = { 0 };
    char text[16];

    for (uint32_t i = 0; i < n; i++) {
        (void)snprintf(text, sizeof text, "%u", (unsigned)store->ring.next + 1);
        assert_rc(bus_sample_put(store, "count", bytes_of(text), 1000, 5000, &err), RC_OK);
    }
}

/* Each sample has its number, which is its value here. */
static void assert_batch(const struct bus_store *store, uint64_t first, uint32_t n)
{
    static struct telemetry_batch batch;
    char text[16];

    bus_batch(store, 7, &batch);
    assert_int_equal(batch.instance, 7);
    assert_int_equal(batch.first, first);
    assert_int_equal(batch.n, n);
    for (uint32_t i = 0; i < n; i++) {
        (void)snprintf(text, sizeof text, "%u", (unsigned)first + i);
        assert_int_equal(batch.sample[i].n, strlen(text));
        assert_memory_equal(batch.sample[i].value, text, strlen(text));
        assert_string_equal(batch.sample[i].key, "count");
        assert_int_equal(batch.sample[i].time_ms, 5000);
    }
}

/* In order, in batches, the oldest gives way, and its number tells. */
static void telemetry(void **state)
{
    static struct bus_store store;

    (void)state;
    memset(&store, 0, sizeof store);
    assert_false(bus_batch_due(&store, 1000));
    put_samples(&store, 3);
    assert_false(bus_batch_due(&store, 999 + BUS_TELEMETRY_GAP_MS));
    assert_true(bus_batch_due(&store, 1000 + BUS_TELEMETRY_GAP_MS));
    assert_batch(&store, 1, 3);
    bus_batch_done(&store, 3, 2000);
    assert_false(bus_batch_due(&store, UINT64_MAX));
    put_samples(&store, TELEMETRY_BATCH_MAX - 1);
    assert_false(bus_batch_due(&store, 1001));
    put_samples(&store, 1);
    assert_true(bus_batch_due(&store, 1001));
    put_samples(&store, BUS_RING + 5 - TELEMETRY_BATCH_MAX); /* five too many */
    assert_batch(&store, 3 + 5 + 1, TELEMETRY_BATCH_MAX);
    bus_batch_done(&store, TELEMETRY_BATCH_MAX, 2000);
    assert_batch(&store, 3 + 5 + 1 + TELEMETRY_BATCH_MAX, BUS_RING - TELEMETRY_BATCH_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_requests),
        cmocka_unit_test(refuses_requests),
        cmocka_unit_test(bounds_requests),
        cmocka_unit_test(answers),
        cmocka_unit_test(paths),
        cmocka_unit_test(value_sizes),
        cmocka_unit_test(hostile_questions),
        cmocka_unit_test(packets),
        cmocka_unit_test(responses),
        cmocka_unit_test(queues),
        cmocka_unit_test(hours_and_values),
        cmocka_unit_test(telemetry),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
