/* SPDX-License-Identifier: Apache-2.0
 *
 * A chunk of a log is read to its end or refused: its lines have numbers that rise, texts without
 * ends of lines, and come back when they are written again.  A request comes back as it was.
 */
#include <stdlib.h>

#include "link/logs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_request(struct bytes in)
{
    uint8_t buf[LOGS_REQUEST_MAX];
    struct bytes out = { 0 };
    struct logs_request q;
    struct err err;

    if (logs_request_decode(in, &q, &err) != RC_OK)
        return;
    if (q.bytes == 0 || (q.instance == 0) != (q.number == 0) ||
        logs_request_encode(&q, buf, &out, &err) != RC_OK || !bytes_equal(out, in))
        abort();
}

static bool same(const struct logs_record *a, const struct logs_record *b)
{
    return a->number == b->number && a->offset == b->offset && a->stream == b->stream &&
           a->why == b->why && a->lines == b->lines && a->bytes == b->bytes &&
           a->time_ms == b->time_ms && a->more == b->more && bytes_equal(a->text, b->text);
}

/* Write it again, as much as fits, and read that. */
static void check_again(const struct logs_reader *all)
{
    static struct logs_writer w;
    static uint8_t buf[LOGS_BYTES_MAX], plain[LOGS_PLAIN_MAX];
    struct logs_reader r = *all, first = *all, again;
    struct logs_record is, want;
    struct bytes out = { 0 };
    struct err err;

    logs_begin(&w, r.instance, LOGS_PLAIN_MAX);
    while (logs_next(&r, &is) && logs_add(&w, &is))
        continue;
    if (w.n == 0)
        abort();
    if (logs_end(&w, buf, &out, &err) != RC_OK || logs_open(out, plain, &again, &err) != RC_OK)
        abort();
    while (logs_next(&again, &is))
        if (!logs_next(&first, &want) || !same(&is, &want))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t plain[LOGS_PLAIN_MAX];
    const struct bytes in = { data, size };
    struct logs_reader r, pass;
    struct logs_record is;
    struct err err;

    check_request(in);
    if (logs_open(in, plain, &r, &err) != RC_OK)
        return 0;
    pass = r;
    uint64_t next = r.first, offset = r.offset;

    while (logs_next(&pass, &is)) {
        if (is.number != next || is.offset != offset || is.lines == 0 ||
            is.text.n > LOGS_TEXT_MAX || (is.text.n > 0 && memchr(is.text.p, '\n', is.text.n)) ||
            (is.stream == LOGS_GAP) != (is.why != LOGS_UNKNOWN))
            abort();
        next += is.lines;
        offset += is.bytes;
    }
    if (next != r.last + 1 || offset != r.end || next > LOGS_NUMBER_MAX)
        abort();
    check_again(&r);
    return 0;
}
