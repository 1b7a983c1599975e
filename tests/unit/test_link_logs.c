/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "base/cbor.h"
#include "link/logs.h"
#include "link/logs_pack.h"

static struct logs_writer w;
static uint8_t buf[LOGS_BYTES_MAX], plain[LOGS_PLAIN_MAX];
static struct bytes chunk;
static struct logs_reader reader;
static struct err err;

static struct logs_record line(enum logs_stream stream, uint64_t time_ms, const char *text)
{
    const struct bytes bytes = bytes_of(text);

    return (struct logs_record){
        .time_ms = time_ms, .stream = stream, .lines = 1, .bytes = bytes.n + 1, .text = bytes
    };
}

static void add(struct logs_record record)
{
    assert_true(logs_add(&w, &record));
}

static void reread(void)
{
    assert_rc(logs_end(&w, buf, &chunk, &err), RC_OK);
    assert_rc(logs_open(chunk, plain, &reader, &err), RC_OK);
}

static void assert_next(struct logs_record want)
{
    struct logs_record is;

    assert_true(logs_next(&reader, &is));
    assert_int_equal(is.number, want.number);
    assert_int_equal(is.offset, want.offset);
    assert_int_equal(is.stream, want.stream);
    assert_int_equal(is.why, want.why);
    assert_int_equal(is.lines, want.lines);
    assert_int_equal(is.bytes, want.bytes);
    assert_int_equal(is.time_ms, want.time_ms);
    assert_int_equal(is.more, want.more);
    assert_true(bytes_equal(is.text, want.text));
}

/* Lines, gaps and pieces, with numbers and offsets that follow; the clock that stepped back does
 * not take them back. */
static void chunks_come_back(void **state)
{
    struct logs_record first = line(LOGS_NOTE, 5000, "started"), is;
    struct logs_record piece = line(LOGS_OUT, 5001, "half");
    const struct logs_record gap = {
        .stream = LOGS_GAP, .why = LOGS_RATE, .lines = 12, .bytes = 1204
    };

    (void)state;
    first.number = 41;
    first.offset = 900;
    piece.more = true;
    piece.bytes = 4;
    logs_begin(&w, 7, LOGS_PLAIN_MAX);
    add(first);
    add(piece);
    add(gap);
    add(line(LOGS_ERR, 4000, ""));
    add(line(LOGS_OUT, UINT64_MAX, "\x1b[2J\xff"));
    reread();
    assert_int_equal(reader.instance, 7);
    assert_int_equal(reader.first, 41);
    assert_int_equal(reader.last, 41 + 4 + 11);
    assert_int_equal(reader.offset, 900);
    assert_int_equal(reader.end, 900 + 8 + 4 + 1204 + 1 + 6);
    assert_next(first);
    piece.number = 42;
    piece.offset = 908;
    assert_next(piece);
    is = gap;
    is.number = 43;
    is.offset = 912;
    is.time_ms = 5001;
    assert_next(is);
    is = line(LOGS_ERR, 5001, "");
    is.number = 55;
    is.offset = 2116;
    assert_next(is);
    is = line(LOGS_OUT, UINT64_MAX, "\x1b[2J\xff");
    is.number = 56;
    is.offset = 2117;
    assert_next(is);
    assert_false(logs_next(&reader, &is));
}

/* What compresses becomes small; what does not goes as it is, and always fits. */
static void chunks_are_packed(void **state)
{
    static uint8_t noise[LOGS_TEXT_MAX];
    struct logs_record r = line(LOGS_OUT, 1, "");
    uint32_t n = 0;

    (void)state;
    logs_begin(&w, 1, LOGS_PLAIN_MAX);
    r.number = 1;
    while (n < 600 && (r.text = bytes_of("temperature of the sensor 21.5"), logs_add(&w, &r)))
        n++;
    assert_int_equal(n, 600);
    reread();
    assert_true(chunk.n < 600);
    assert_int_equal(reader.last, 600);

    uint32_t seed = 1;
    logs_begin(&w, 1, LOGS_PLAIN_MAX);
    for (n = 0;; n++) {
        for (size_t i = 0; i < sizeof noise; i++) {
            seed = seed * 1664525U + 1013904223U;
            noise[i] = (uint8_t)(seed >> 24);
            noise[i] = noise[i] == '\n' ? 0 : noise[i];
        }
        r.text = (struct bytes){ noise, sizeof noise };
        r.bytes = sizeof noise + 1;
        if (!logs_add(&w, &r))
            break;
    }
    assert_true(n >= 40);
    reread();
    assert_true(chunk.n > (size_t)n * LOGS_TEXT_MAX && chunk.n <= LOGS_BYTES_MAX);
    assert_int_equal(reader.last, n);

    /* a small bound holds for what is unpacked, and has room for any line */
    logs_begin(&w, 1, 0);
    assert_true(logs_add(&w, &r));
    assert_false(logs_add(&w, &r));
    reread();
    assert_int_equal(reader.last, 1);
}

static void few_records(void **state)
{
    struct logs_record r = line(LOGS_OUT, 1, "");
    uint32_t n = 0;

    (void)state;
    r.number = 1;
    logs_begin(&w, 1, LOGS_PLAIN_MAX);
    while (logs_add(&w, &r))
        n++;
    assert_int_equal(n, LOGS_RECORDS_MAX);
    reread();
}

/* ---- hostile ----------------------------------------------------------------------------------
 */

/* A chunk by hand: its records, and how it is wrapped. */
struct wild {
    const char *why;
    uint64_t instance, first, offset, time_ms;
    uint64_t record[2][4]; /* of a line: stream, delta, more, bytes of text */
    unsigned n;
    char fill; /* of the texts; 0 = x */
    unsigned format, packed, more_size, behind;
};

static struct bytes wrap(const struct wild *v)
{
    static uint8_t body[8192], out[8192];
    static uint8_t text[2048];
    struct cbor_out b = { .p = body, .cap = sizeof body }, o = { .p = out, .cap = sizeof out };
    struct bytes ret = { 0 };

    memset(text, v->fill ? v->fill : 'x', sizeof text);
    cbor_put_array(&b, 5);
    cbor_put_uint(&b, v->instance);
    cbor_put_uint(&b, v->first);
    cbor_put_uint(&b, v->offset);
    cbor_put_uint(&b, v->time_ms);
    cbor_put_array(&b, v->n);
    for (unsigned i = 0; i < v->n; i++) {
        cbor_put_array(&b, 4);
        for (unsigned k = 0; k < 3; k++)
            cbor_put_uint(&b, v->record[i][k]);
        if (v->record[i][0] == LOGS_GAP)
            cbor_put_uint(&b, v->record[i][3]);
        else
            cbor_put_bstr(&b, (struct bytes){ text, v->record[i][3] });
    }
    if (v->behind > 0)
        cbor_put_uint(&b, 0);
    cbor_put_array(&o, 4);
    cbor_put_uint(&o, 1 + v->format);
    cbor_put_uint(&o, v->packed);
    cbor_put_uint(&o, b.n + v->more_size);
    cbor_put_bstr(&o, (struct bytes){ body, b.n });
    assert_rc(cbor_written(&o, &ret, &err), RC_OK);
    return ret;
}

#define GOOD .instance = 1, .first = 1, .n = 1, .record = { { 1, 0, 0, 3 } }

static void bad_chunks_are_refused(void **state)
{
    static const struct wild good = { .why = "good", GOOD };
    static const struct wild rows[] = {
        { .why = "instance", .first = 1, .n = 1, .record = { { 1, 0, 0, 3 } } },
        { .why = "first", .instance = 1, .n = 1, .record = { { 1, 0, 0, 3 } } },
        { .why = "no records", .instance = 1, .first = 1 },
        { .why = "stream", .instance = 1, .first = 1, .n = 1, .record = { { 4, 0, 0, 3 } } },
        { .why = "more", .instance = 1, .first = 1, .n = 1, .record = { { 1, 0, 2, 3 } } },
        { .why = "long text", .instance = 1, .first = 1, .n = 1, .record = { { 1, 0, 0, 1025 } } },
        { .why = "end of line in a text", GOOD, .fill = '\n' },
        { .why = "gap without a reason",
          .instance = 1,
          .first = 1,
          .n = 1,
          .record = { { 0, 0, 1, 1 } } },
        { .why = "gap with a strange one",
          .instance = 1,
          .first = 1,
          .n = 1,
          .record = { { 0, 6, 1, 1 } } },
        { .why = "gap of no line",
          .instance = 1,
          .first = 1,
          .n = 1,
          .record = { { 0, 1, 0, 1 } } },
        { .why = "number wraps",
          .instance = 1,
          .first = LOGS_NUMBER_MAX,
          .n = 2,
          .record = { { 1, 0, 0, 3 }, { 1, 0, 0, 3 } } },
        { .why = "gap wraps the number",
          .instance = 1,
          .first = 2,
          .n = 1,
          .record = { { 0, 1, LOGS_NUMBER_MAX, 1 } } },
        { .why = "offset wraps",
          .instance = 1,
          .first = 1,
          .offset = 5,
          .n = 1,
          .record = { { 0, 1, 1, LOGS_NUMBER_MAX } } },
        { .why = "time wraps",
          .instance = 1,
          .first = 1,
          .time_ms = UINT64_MAX,
          .n = 1,
          .record = { { 1, 1, 0, 3 } } },
        { .why = "format", GOOD, .format = 1 },
        { .why = "said to be packed", GOOD, .packed = 1, .more_size = 40 },
        { .why = "packed and not smaller", GOOD, .packed = 1 },
        { .why = "size", GOOD, .more_size = 1 },
        { .why = "something behind", GOOD, .behind = 1 },
    };

    (void)state;
    assert_rc(logs_open(wrap(&good), plain, &reader, &err), RC_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct logs_reader untouched = { .instance = 77 };

        if (logs_open(wrap(&rows[i]), plain, &untouched, &err) == RC_OK)
            fail_msg("%s", rows[i].why);
        assert_int_equal(untouched.instance, 77);
    }
}

/* Cut anywhere, or with any bit turned: refused, or read to its end. */
static void damaged_chunks(void **state)
{
    static uint8_t copy[LOGS_BYTES_MAX];
    struct logs_record r = line(LOGS_OUT, 1, "the same line over and over"), is;

    (void)state;
    r.number = 1;
    logs_begin(&w, 1, LOGS_PLAIN_MAX);
    for (unsigned i = 0; i < 50; i++)
        add(r);
    reread();
    memcpy(copy, chunk.p, chunk.n);
    for (size_t n = 0; n < chunk.n; n++)
        assert_int_not_equal(logs_open((struct bytes){ copy, n }, plain, &reader, &err), RC_OK);
    for (size_t bit = 0; bit < 8 * chunk.n; bit++) {
        copy[bit / 8] ^= (uint8_t)(1U << bit % 8);
        if (logs_open((struct bytes){ copy, chunk.n }, plain, &reader, &err) == RC_OK) {
            uint64_t lines = 0;

            while (logs_next(&reader, &is))
                lines += is.lines;
            assert_int_equal(lines, reader.last - reader.first + 1);
        }
        copy[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

/* A frame that becomes more than it says, or is followed by another. */
static void frames_have_one_size(void **state)
{
    static const uint8_t zeros[4096];
    uint8_t packed[512], out[4096];
    struct bytes frame = { 0 };

    (void)state;
    assert_rc(logs_pack((struct bytes){ zeros, 4096 }, packed, 256, &frame, &err), RC_OK);
    assert_true(frame.n > 0 && frame.n < 64);
    assert_rc(logs_unpack(frame, out, 4096, &err), RC_OK);
    assert_rc(logs_unpack(frame, out, 4095, &err), RC_MAIL_FORMAT);
    memcpy(packed + frame.n, packed, frame.n);
    assert_rc(logs_unpack((struct bytes){ packed, 2 * frame.n }, out, 4096, &err), RC_MAIL_FORMAT);
    assert_rc(logs_unpack((struct bytes){ packed, frame.n - 1 }, out, 4096, &err), RC_MAIL_FORMAT);
}

static void requests_come_back(void **state)
{
    static const struct logs_request rows[] = {
        { .bytes = 1 },
        { .instance = UINT64_MAX,
          .number = LOGS_NUMBER_MAX,
          .since_ms = UINT64_MAX,
          .bytes = LOGS_NUMBER_MAX,
          .newest = true },
    };
    static const struct logs_request bad[] = {
        { .bytes = 0 },
        { .bytes = 1, .instance = 1 },
        { .bytes = 1, .number = 1 },
        { .bytes = LOGS_NUMBER_MAX + 1 },
    };
    struct logs_request out;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_rc(logs_request_encode(&rows[i], buf, &chunk, &err), RC_OK);
        assert_rc(logs_request_decode(chunk, &out, &err), RC_OK);
        assert_memory_equal(&out, &rows[i], sizeof out);
        for (size_t n = 0; n < chunk.n; n++)
            assert_int_not_equal(logs_request_decode((struct bytes){ buf, n }, &out, &err), RC_OK);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_rc(logs_request_encode(&bad[i], buf, &chunk, &err), RC_OK);
        assert_int_not_equal(logs_request_decode(chunk, &out, &err), RC_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_come_back),   cmocka_unit_test(chunks_are_packed),
        cmocka_unit_test(few_records),        cmocka_unit_test(bad_chunks_are_refused),
        cmocka_unit_test(damaged_chunks),     cmocka_unit_test(frames_have_one_size),
        cmocka_unit_test(requests_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
