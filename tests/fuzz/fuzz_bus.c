/* SPDX-License-Identifier: Apache-2.0
 *
 * The doors of the bus.  First byte even: a payload's bytes to berth-bus, cut in two in every other
 * way; whatever is asked of berthd for them is what berthd takes.  Odd: a packet of a berth-bus to
 * berthd, or of berthd to a berth-bus, made into a response.
 */
#include <stdlib.h>

#include "agent/bus_api.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A beginning of a request is refused, not whole yet, or this very request. */
static void cut_it(struct bytes in, const struct http_request *whole)
{
    for (size_t n = 0; n < in.n && n < 256; n++) {
        struct http_request r;
        enum rc rc = http_parse((struct bytes){ in.p, n }, &r, NULL);

        if (whole && n < whole->bytes ? rc != RC_SHORT : rc == RC_OK && !whole)
            abort();
    }
}

static void payload(struct bytes in)
{
    static struct bus_ask ask;
    static struct http_response out;
    struct http_request r;
    struct err err = { 0 };
    uint32_t wait_s = 0;
    enum rc rc = http_parse(in, &r, &err);

    cut_it(in, rc == RC_OK ? &r : NULL);
    if (rc == RC_OK) {
        if (r.bytes == 0 || r.bytes > in.n || r.bytes > HTTP_REQUEST_MAX)
            abort();
        rc = bus_api_ask(&r, &ask, &wait_s, &err);
        if (rc == RC_OK && (bus_ask_check(&ask, NULL) != RC_OK || wait_s > BUS_WAIT_S_MAX))
            abort();
    }
    if (rc != RC_OK && rc != RC_SHORT) {
        bus_api_refuse(&err, true, &out);
        if (out.n == 0 || out.n > sizeof out.bytes)
            abort();
    }
}

static void packets(struct bytes in)
{
    static struct bus_ask ask;
    static struct bus_answer answer;
    static struct http_response out;

    memset(&ask, 0, sizeof ask);
    memset(&answer, 0, sizeof answer);
    memcpy(&ask, in.p, in.n < sizeof ask ? in.n : sizeof ask);
    memcpy(&answer, in.p, in.n < sizeof answer ? in.n : sizeof answer);
    (void)!bus_ask_check(&ask, NULL);
    if (bus_answer_check(&answer, NULL) != RC_OK)
        return;
    bus_api_respond(&answer, false, &out);
    if (out.n == 0 || out.n > sizeof out.bytes)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] % 2 == 0)
        payload((struct bytes){ data + 1, size - 1 });
    else
        packets((struct bytes){ data + 1, size - 1 });
    return 0;
}
