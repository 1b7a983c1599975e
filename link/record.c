/* SPDX-License-Identifier: Apache-2.0 */
#include "link/record.h"

#include "link/cursor.h"

#define RECORD_STATUS_REPORT 1U

static bool read_bool(struct cursor *c, const char *field)
{
    size_t start = c->at;
    enum cbor_major major;
    uint64_t value = cursor_any(c, &major, field);

    if (c->rc == RC_OK && (major != CBOR_SIMPLE || (value != 20 && value != 21)))
        cursor_fail_at(c, RC_CBOR_TYPE, start, field);
    return value == 21;
}

/* [asserted] or [asserted, time]. */
static void read_item(struct cursor *c, struct record_item *ret)
{
    size_t start = c->at;
    uint64_t n = cursor_head(c, CBOR_ARRAY, "status item");

    if (n != 1 && n != 2)
        cursor_fail_at(c, RC_CBOR_COUNT, start, "status item");
    ret->asserted = read_bool(c, "status asserted");
    ret->has_time = n == 2;
    if (ret->has_time)
        ret->time_ms = cursor_uint(c, "status time");
}

/* RFC 9171 section 6.1.1. */
static void read_report(struct cursor *c, struct record *ret)
{
    size_t start = c->at;
    uint64_t n = cursor_head(c, CBOR_ARRAY, "status report");

    if (n != 4 && n != 6)
        cursor_fail_at(c, RC_CBOR_COUNT, start, "status report");
    cursor_array(c, RECORD_EVENTS, "status items");
    for (size_t i = 0; i < RECORD_EVENTS; i++)
        read_item(c, &ret->items[i]);
    ret->reason = cursor_uint(c, "reason");
    eid_read(c, BUNDLE_LENIENT, &ret->source);
    cursor_array(c, 2, "creation timestamp");
    ret->time_ms = cursor_uint(c, "creation time");
    ret->sequence = cursor_uint(c, "sequence number");
    ret->fragment = n == 6;
    if (ret->fragment) {
        ret->fragment_offset = cursor_uint(c, "fragment offset");
        ret->fragment_length = cursor_uint(c, "fragment length");
    }
}

enum rc record_decode(struct bytes in, struct record *ret, struct err *err)
{
    struct cursor c = cursor_of(in);
    struct record record = { 0 };

    cursor_array(&c, 2, "administrative record");
    if (cursor_uint(&c, "record type") != RECORD_STATUS_REPORT)
        cursor_fail(&c, RC_BUNDLE_BLOCK_TYPE, "record type");
    read_report(&c, &record);
    cursor_end(&c, "administrative record");
    if (c.rc == RC_OK)
        *ret = record;
    return cursor_done(&c, err);
}
