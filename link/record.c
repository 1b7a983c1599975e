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

void record_put(struct cbor_out *w, const struct record *record)
{
    cbor_put_array(w, 2);
    cbor_put_uint(w, RECORD_STATUS_REPORT);
    cbor_put_array(w, record->fragment ? 6 : 4);
    cbor_put_array(w, RECORD_EVENTS);
    for (size_t i = 0; i < RECORD_EVENTS; i++) {
        const struct record_item *item = &record->items[i];

        cbor_put_array(w, item->has_time ? 2 : 1);
        cbor_put_bool(w, item->asserted);
        if (item->has_time)
            cbor_put_uint(w, item->time_ms);
    }
    cbor_put_uint(w, record->reason);
    eid_put(w, &record->source);
    cbor_put_array(w, 2);
    cbor_put_uint(w, record->time_ms);
    cbor_put_uint(w, record->sequence);
    if (!record->fragment)
        return;
    cbor_put_uint(w, record->fragment_offset);
    cbor_put_uint(w, record->fragment_length);
}

enum record_reason record_reason_of(enum rc rc)
{
    static const struct {
        enum rc rc;
        enum record_reason reason;
    } rows[] = {
        { RC_OK, RECORD_NO_REASON },
        { RC_BUNDLE_EXPIRED, RECORD_EXPIRED },
        { RC_SPOOL_FULL, RECORD_DEPLETED_STORAGE },
        { RC_NO_SPACE, RECORD_DEPLETED_STORAGE },
        { RC_BUNDLE_DESTINATION, RECORD_NO_DESTINATION },
        { RC_BUNDLE_HOPS, RECORD_HOP_LIMIT },
        { RC_BUNDLE_BLOCK_UNSUPPORTED, RECORD_BLOCK_UNSUPPORTED },
        { RC_BPSEC_MISSING, RECORD_SECURITY_MISSING },
        { RC_BPSEC_CONTEXT, RECORD_SECURITY_UNKNOWN },
        { RC_BPSEC_KEY, RECORD_SECURITY_UNKNOWN },
        { RC_BPSEC_POLICY, RECORD_SECURITY_UNEXPECTED },
        { RC_BPSEC_TARGET, RECORD_SECURITY_CONFLICTING },
        { RC_BPSEC_AUTH, RECORD_SECURITY_FAILED },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].rc == rc)
            return rows[i].reason;
    }
    return RECORD_BLOCK_UNINTELLIGIBLE;
}

struct record record_about(const struct bundle *bundle, enum record_event event,
                           enum record_reason reason, uint64_t now_ms)
{
    struct record record = {
        .reason = (uint64_t)reason,
        .source = bundle->src,
        .time_ms = bundle->time_ms,
        .sequence = bundle->sequence,
        .fragment = (bundle->flags & BUNDLE_FRAGMENT) != 0,
    };

    record.items[event] = (struct record_item){
        .asserted = true,
        .has_time = (bundle->flags & BUNDLE_STATUS_TIME) != 0,
        .time_ms = now_ms,
    };
    if (record.fragment) {
        record.fragment_offset = bundle->fragment_offset;
        record.fragment_length = bundle_payload(bundle).n;
    }
    return record;
}

enum rc record_encode(const struct record *record, const struct eid *report_to,
                      const struct record_message *message, uint8_t *out, size_t cap,
                      struct bytes *ret, struct err *err)
{
    uint8_t room[RECORD_MAX];
    struct cbor_out payload = { .p = room, .cap = sizeof room };
    struct bundle b = {
        .flags = BUNDLE_ADMIN | BUNDLE_NO_FRAGMENT,
        .crc_type = CRC_32C,
        .dst = *report_to,
        .src = message->self,
        .time_ms = message->time_ms,
        .sequence = message->sequence,
        .lifetime_ms = message->lifetime_ms,
    };
    struct bytes content = { 0 };
    enum rc rc;

    record_put(&payload, record);
    rc = cbor_written(&payload, &content, err);
    if (rc != RC_OK)
        return rc;
    if (b.time_ms == 0)
        b.blocks[b.n_blocks++] =
            (struct bundle_block){ .type = BLOCK_AGE, .number = 2, .crc_type = CRC_32C };
    b.blocks[b.n_blocks++] = (struct bundle_block){
        .type = BLOCK_PAYLOAD, .number = 1, .crc_type = CRC_32C, .data = content
    };
    return bundle_encode(&b, out, cap, ret, err);
}

/* Whether the bundle asks to be told, and somebody who may be. */
static bool asked(const struct bundle *bundle, enum record_event event, enum record_reason reason)
{
    static const enum bundle_flag flags[RECORD_EVENTS] = {
        [RECORD_RECEIVED] = BUNDLE_REPORT_RECEIVED,
        [RECORD_FORWARDED] = BUNDLE_REPORT_FORWARDED,
        [RECORD_DELIVERED] = BUNDLE_REPORT_DELIVERED,
        [RECORD_DELETED] = BUNDLE_REPORT_DELETED,
    };

    if ((bundle->flags & BUNDLE_ADMIN) || eid_is_null(&bundle->src) ||
        eid_is_null(&bundle->report_to))
        return false;
    if (bundle->flags & (uint64_t)flags[event])
        return true;
    return event == RECORD_RECEIVED && reason == RECORD_BLOCK_UNSUPPORTED &&
           bundle_unknown(bundle, BLOCK_REPORT) != NULL;
}

bool record_wanted(struct record_gate *gate, const struct bundle *bundle, enum record_event event,
                   enum record_reason reason, bool authentic, uint64_t now_ms)
{
    if (!authentic || !asked(bundle, event, reason))
        return false;
    if (gate->made == 0 || now_ms - gate->began_ms >= gate->period_ms) {
        gate->began_ms = now_ms;
        gate->made = 0;
    }
    if (gate->made >= gate->max) {
        gate->withheld++;
        return false;
    }
    gate->made++;
    return true;
}
