/* SPDX-License-Identifier: Apache-2.0 */
#include "link/logs.h"

#include <assert.h>

#include "link/logs_pack.h"

#define FORMAT 1U
#define CHUNK_ITEMS 4U
#define PLAIN_ITEMS 5U
#define LINE_ITEMS 4U
#define GAP_ITEMS 4U
#define REQUEST_ITEMS 6U
#define HEAD_MAX 64U /* of what is unpacked, before its records */
#define RECORD_MAX (LOGS_TEXT_MAX + 32U)
#define ENVELOPE_MAX 16U /* around what is packed */

static_assert(HEAD_MAX + RECORD_MAX < 4096, "any chunk has room for a record");

/* ---- making -----------------------------------------------------------------------------------
 */

void logs_begin(struct logs_writer *w, uint64_t instance, size_t cap)
{
    assert(instance != 0);
    w->instance = instance;
    w->n = 0;
    w->cap = cap < LOGS_PLAIN_MAX ? cap : LOGS_PLAIN_MAX;
    w->cap = w->cap > HEAD_MAX + RECORD_MAX ? w->cap : HEAD_MAX + RECORD_MAX;
    w->cap -= ENVELOPE_MAX;
    w->records = (struct cbor_out){ .p = w->buf + HEAD_MAX, .cap = w->cap - HEAD_MAX };
}

static void put_record(struct cbor_out *o, const struct logs_record *r, uint64_t delta_ms)
{
    if (r->stream == LOGS_GAP) {
        cbor_put_array(o, GAP_ITEMS);
        cbor_put_uint(o, LOGS_GAP);
        cbor_put_uint(o, r->why);
        cbor_put_uint(o, r->lines);
        cbor_put_uint(o, r->bytes);
        return;
    }
    cbor_put_array(o, LINE_ITEMS);
    cbor_put_uint(o, r->stream);
    cbor_put_uint(o, delta_ms);
    cbor_put_uint(o, r->more ? 1 : 0);
    cbor_put_bstr(o, r->text);
}

bool logs_add(struct logs_writer *w, const struct logs_record *r)
{
    struct cbor_out o = w->records;
    const bool first = w->n == 0;
    const uint64_t before = first ? r->time_ms : w->time_ms;
    const bool later = r->stream != LOGS_GAP && r->time_ms > before;

    put_record(&o, r, later ? r->time_ms - before : 0);
    if (o.full || w->n == LOGS_RECORDS_MAX)
        return false;
    if (first) {
        w->first = r->number;
        w->offset = r->offset;
        w->begin_ms = r->time_ms;
    }
    w->time_ms = later ? r->time_ms : before;
    w->records = o;
    w->n++;
    return true;
}

enum rc logs_end(struct logs_writer *w, uint8_t *buf, struct bytes *ret, struct err *err)
{
    uint8_t head_buf[HEAD_MAX];
    struct cbor_out head = { .p = head_buf, .cap = sizeof head_buf };
    struct cbor_out out = { .p = buf, .cap = LOGS_BYTES_MAX };
    struct bytes packed = { 0 };

    assert(w->n > 0);
    cbor_put_array(&head, PLAIN_ITEMS);
    cbor_put_uint(&head, w->instance);
    cbor_put_uint(&head, w->first);
    cbor_put_uint(&head, w->offset);
    cbor_put_uint(&head, w->begin_ms);
    cbor_put_array(&head, w->n);
    assert(!head.full);
    memcpy(w->buf + HEAD_MAX - head.n, head_buf, head.n);

    const struct bytes plain = { w->buf + HEAD_MAX - head.n, head.n + w->records.n };
    uint8_t *at = buf + ENVELOPE_MAX;
    enum rc rc = logs_pack(plain, at, LOGS_BYTES_MAX - ENVELOPE_MAX, &packed, err);

    if (rc != RC_OK)
        return rc;
    cbor_put_array(&out, CHUNK_ITEMS);
    cbor_put_uint(&out, FORMAT);
    cbor_put_uint(&out, packed.n > 0 ? 1 : 0);
    cbor_put_uint(&out, plain.n);
    const struct bytes body = packed.n > 0 ? packed : plain;

    cbor_put_head(&out, CBOR_BSTR, body.n);
    assert(!out.full && out.n <= ENVELOPE_MAX);
    memmove(buf + out.n, body.p, body.n);
    *ret = (struct bytes){ buf, out.n + body.n };
    return RC_OK;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static void read_gap(struct cbor_in *r, struct logs_record *ret)
{
    ret->why = (enum logs_why)cbor_uint(r, "why", LOGS_WHYS - 1);
    ret->lines = cbor_uint(r, "lines", LOGS_NUMBER_MAX);
    ret->bytes = cbor_uint(r, "bytes", LOGS_NUMBER_MAX);
    if (r->rc == RC_OK && (ret->why == LOGS_UNKNOWN || ret->lines == 0))
        cbor_fail(r, RC_MAIL_FORMAT, "gap");
}

static void read_line(struct cbor_in *r, uint64_t time_ms, struct logs_record *ret)
{
    ret->time_ms = time_ms + cbor_uint(r, "delta", UINT64_MAX - time_ms);
    ret->more = cbor_uint(r, "more", 1) != 0;
    ret->text = cbor_bstr(r, "text", 0, LOGS_TEXT_MAX);
    ret->lines = 1;
    ret->bytes = ret->text.n + (ret->more ? 0 : 1);
    if (r->rc == RC_OK && ret->text.n > 0 && memchr(ret->text.p, '\n', ret->text.n))
        cbor_fail(r, RC_MAIL_FORMAT, "text");
}

/* What a line or a gap adds is bounded by what is left to its limit, so that no sum wraps. */
static struct logs_record read_record(struct logs_reader *reader)
{
    struct cbor_in *r = &reader->records;
    struct logs_record record = { .number = reader->next,
                                  .offset = reader->next_offset,
                                  .time_ms = reader->time_ms };

    (void)cbor_array(r, "record", LINE_ITEMS, LINE_ITEMS);
    record.stream = (enum logs_stream)cbor_uint(r, "stream", LOGS_STREAMS - 1);
    if (record.stream == LOGS_GAP)
        read_gap(r, &record);
    else
        read_line(r, reader->time_ms, &record);
    cbor_end(r);
    if (r->rc == RC_OK && (record.lines > LOGS_NUMBER_MAX - reader->next ||
                           record.bytes > LOGS_NUMBER_MAX - reader->next_offset))
        cbor_fail(r, RC_MAIL_FORMAT, "number");
    if (r->rc == RC_OK) {
        reader->next += record.lines;
        reader->next_offset += record.bytes;
        reader->time_ms = record.time_ms;
    }
    return record;
}

static enum rc unpack(struct bytes in, uint8_t *buf, struct bytes *ret, struct err *err)
{
    struct cbor_in r = cbor_read(in);

    (void)cbor_array(&r, "log", CHUNK_ITEMS, CHUNK_ITEMS);
    if (cbor_uint(&r, "format", UINT32_MAX) != FORMAT)
        cbor_fail(&r, RC_MAIL_FORMAT, "format");
    const bool packed = cbor_uint(&r, "packed", 1) != 0;
    const size_t size = (size_t)cbor_uint(&r, "size", LOGS_PLAIN_MAX);
    const struct bytes body = cbor_bstr(&r, "body", 1, LOGS_BYTES_MAX);

    cbor_end(&r);
    if (r.rc == RC_OK && (size == 0 || (packed ? body.n >= size : body.n != size)))
        cbor_fail(&r, RC_MAIL_FORMAT, "size");
    enum rc rc = cbor_done(&r, err);

    if (rc != RC_OK)
        return rc;
    *ret = (struct bytes){ buf, size };
    if (packed)
        return logs_unpack(body, buf, size, err);
    memcpy(buf, body.p, body.n);
    return RC_OK;
}

/* All records once, so that reading them again cannot fail. */
static void check_records(struct logs_reader *ret)
{
    struct logs_reader pass = *ret;

    while (pass.records.rc == RC_OK && pass.left > 0) {
        (void)read_record(&pass);
        pass.left--;
    }
    ret->last = pass.next - 1;
    ret->end = pass.next_offset;
    cbor_end(&pass.records);
    cbor_end(&pass.records);
    ret->records.rc = pass.records.rc;
    ret->records.fail_at = pass.records.fail_at;
    ret->records.field = pass.records.field;
    if (pass.records.rc == RC_OK && pass.records.at != pass.records.in.n)
        cbor_fail(&ret->records, RC_TRAILING, "log");
}

enum rc logs_open(struct bytes in, uint8_t *buf, struct logs_reader *ret, struct err *err)
{
    struct logs_reader reader = { 0 };
    struct bytes plain = { 0 };
    enum rc rc = unpack(in, buf, &plain, err);

    if (rc != RC_OK)
        return rc;
    reader.records = cbor_read(plain);
    struct cbor_in *r = &reader.records;

    (void)cbor_array(r, "lines", PLAIN_ITEMS, PLAIN_ITEMS);
    reader.instance = cbor_uint(r, "instance", UINT64_MAX);
    reader.first = reader.next = cbor_uint(r, "first", LOGS_NUMBER_MAX);
    reader.offset = reader.next_offset = cbor_uint(r, "offset", LOGS_NUMBER_MAX);
    reader.time_ms = cbor_uint(r, "time", UINT64_MAX);
    reader.left = (uint32_t)cbor_array(r, "records", 1, LOGS_RECORDS_MAX);
    if (r->rc == RC_OK && (reader.instance == 0 || reader.first == 0))
        cbor_fail(r, RC_MAIL_FORMAT, "instance or first");
    if (r->rc == RC_OK)
        check_records(&reader);
    if (r->rc != RC_OK)
        return err_at(err, r->rc, r->fail_at, "%s", r->field ? r->field : "log");
    *ret = reader;
    return RC_OK;
}

bool logs_next(struct logs_reader *r, struct logs_record *ret)
{
    if (r->left == 0)
        return false;
    *ret = read_record(r);
    assert(r->records.rc == RC_OK); /* they were checked when it was opened */
    r->left--;
    return true;
}

/* ---- asking -----------------------------------------------------------------------------------
 */

enum rc logs_request_encode(const struct logs_request *request, uint8_t *buf, struct bytes *ret,
                            struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = LOGS_REQUEST_MAX };

    cbor_put_array(&w, REQUEST_ITEMS);
    cbor_put_uint(&w, FORMAT);
    cbor_put_uint(&w, request->instance);
    cbor_put_uint(&w, request->number);
    cbor_put_uint(&w, request->since_ms);
    cbor_put_uint(&w, request->bytes);
    cbor_put_uint(&w, request->newest ? 1 : 0);
    return cbor_written(&w, ret, err);
}

enum rc logs_request_decode(struct bytes in, struct logs_request *ret, struct err *err)
{
    struct logs_request q = { .newest = false };
    struct cbor_in r = cbor_read(in);

    (void)cbor_array(&r, "request", REQUEST_ITEMS, REQUEST_ITEMS);
    if (cbor_uint(&r, "format", UINT32_MAX) != FORMAT)
        cbor_fail(&r, RC_MAIL_FORMAT, "format");
    q.instance = cbor_uint(&r, "instance", UINT64_MAX);
    q.number = cbor_uint(&r, "number", LOGS_NUMBER_MAX);
    q.since_ms = cbor_uint(&r, "since", UINT64_MAX);
    q.bytes = cbor_uint(&r, "bytes", LOGS_NUMBER_MAX);
    q.newest = cbor_uint(&r, "newest", 1) != 0;
    cbor_end(&r);
    if (r.rc == RC_OK && (q.bytes == 0 || (q.instance == 0) != (q.number == 0)))
        cbor_fail(&r, RC_MAIL_FORMAT, "bytes, or half of a place");
    enum rc rc = cbor_done(&r, err);

    if (rc == RC_OK)
        *ret = q;
    return rc;
}
