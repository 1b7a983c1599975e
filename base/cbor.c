/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cbor.h"

#include <assert.h>

#define ADDITIONAL_1 24U /* RFC 8949 section 3: the argument follows in 1, 2, 4 or 8 bytes */
#define ADDITIONAL_8 27U
#define ADDITIONAL_INDEFINITE 31U
#define SIMPLE_FALSE 20U
#define SIMPLE_TRUE 21U
#define SIMPLE_NULL 22U

struct cbor_in cbor_read(struct bytes in)
{
    return (struct cbor_in){ .in = in };
}

static void fail_here(struct cbor_in *r, enum rc rc, size_t at, const char *field)
{
    if (r->rc != RC_OK)
        return;
    r->rc = rc;
    r->fail_at = at;
    r->field = field;
}

void cbor_fail(struct cbor_in *r, enum rc rc, const char *field)
{
    fail_here(r, rc, r->at, field);
}

/* An item is about to be read: the container it is in must still expect one. */
static bool begin_item(struct cbor_in *r, const char *field)
{
    if (r->rc != RC_OK)
        return false;
    if (r->depth == 0)
        return true;

    struct cbor_frame *f = &r->frame[r->depth - 1];

    if (f->map)
        return true; /* counted by cbor_key */
    if (f->left == 0) {
        cbor_fail(r, RC_CBOR_COUNT, field);
        return false;
    }
    f->left--;
    return true;
}

/* How many bytes of argument the low bits of a head's first byte announce. */
static size_t argument_width(uint8_t info)
{
    return (size_t)1 << (info - ADDITIONAL_1);
}

/* The shortest form of a value that needs `width` argument bytes is never below this. */
static uint64_t least_for_width(size_t width)
{
    switch (width) {
    case 1:
        return ADDITIONAL_1;
    case 2:
        return UINT64_C(1) << 8;
    case 4:
        return UINT64_C(1) << 16;
    default:
        return UINT64_C(1) << 32;
    }
}

/* Read one head: major type and argument.  Does not count the item. */
static bool head(struct cbor_in *r, const char *field, enum cbor_major *major, uint64_t *value)
{
    size_t at = r->at;
    size_t left = r->in.n - at;

    if (r->rc != RC_OK)
        return false;
    if (left == 0) {
        cbor_fail(r, RC_SHORT, field);
        return false;
    }

    uint8_t first = r->in.p[at];
    uint8_t info = first & 31U;

    *major = (enum cbor_major)(first >> 5);
    if (info < ADDITIONAL_1) {
        *value = info;
        r->at = at + 1;
        return true;
    }
    if (info == ADDITIONAL_INDEFINITE) {
        cbor_fail(r, RC_CBOR_INDEFINITE, field);
        return false;
    }
    if (info > ADDITIONAL_8) {
        cbor_fail(r, RC_CBOR_RESERVED, field);
        return false;
    }

    size_t width = argument_width(info);

    if (left - 1 < width) {
        cbor_fail(r, RC_SHORT, field);
        return false;
    }

    uint64_t v = bytes_get_be(r->in.p + at + 1, width);

    if (*major != CBOR_SIMPLE && v < least_for_width(width)) {
        cbor_fail(r, RC_CBOR_NOT_MINIMAL, field);
        return false;
    }
    *value = v;
    r->at = at + 1 + width;
    return true;
}

void cbor_head(struct cbor_in *r, const char *field, enum cbor_major *ret_major,
               uint64_t *ret_value)
{
    enum cbor_major major = CBOR_UINT;
    uint64_t value = 0;

    if (begin_item(r, field) && head(r, field, &major, &value)) {
        *ret_major = major;
        *ret_value = value;
    }
}

/* Read a head of the wanted major type.  On a mismatch the reader stays at the item. */
static bool expect(struct cbor_in *r, const char *field, enum cbor_major want, uint64_t *value)
{
    size_t at = r->at;
    enum cbor_major major = CBOR_UINT;

    if (!begin_item(r, field) || !head(r, field, &major, value))
        return false;
    if (major == want)
        return true;
    fail_here(r, major == CBOR_TAG ? RC_CBOR_TAG : RC_CBOR_TYPE, at, field);
    return false;
}

uint64_t cbor_uint(struct cbor_in *r, const char *field, uint64_t max)
{
    size_t at = r->at;
    uint64_t value = 0;

    if (!expect(r, field, CBOR_UINT, &value))
        return 0;
    if (value > max) {
        fail_here(r, RC_VALUE, at, field);
        return 0;
    }
    return value;
}

int64_t cbor_int(struct cbor_in *r, const char *field, int64_t min, int64_t max)
{
    size_t at = r->at;
    enum cbor_major major = CBOR_UINT;
    uint64_t value = 0;

    if (!begin_item(r, field) || !head(r, field, &major, &value))
        return 0;
    if (major != CBOR_UINT && major != CBOR_NINT) {
        fail_here(r, major == CBOR_TAG ? RC_CBOR_TAG : RC_CBOR_TYPE, at, field);
        return 0;
    }

    int64_t v = value > INT64_MAX ? 0 : (int64_t)value;

    if (major == CBOR_NINT)
        v = -1 - v;
    if (value > INT64_MAX || v < min || v > max) {
        fail_here(r, RC_VALUE, at, field);
        return 0;
    }
    return v;
}

/* The content of a string whose head has been read. */
static struct bytes content(struct cbor_in *r, const char *field, size_t at, uint64_t n, size_t min,
                            size_t max)
{
    const struct bytes none = { 0 };

    if (n > max || n < min) {
        fail_here(r, n > max ? RC_TOO_LARGE : RC_VALUE, at, field);
        return none;
    }
    if (n > r->in.n - r->at) {
        fail_here(r, RC_SHORT, at, field);
        return none;
    }

    struct bytes view = { .p = r->in.p + r->at, .n = (size_t)n };

    r->at += (size_t)n;
    return view;
}

struct bytes cbor_bstr(struct cbor_in *r, const char *field, size_t min, size_t max)
{
    size_t at = r->at;
    uint64_t n = 0;

    if (!expect(r, field, CBOR_BSTR, &n))
        return (struct bytes){ 0 };
    return content(r, field, at, n, min, max);
}

void cbor_fixed(struct cbor_in *r, const char *field, uint8_t *out, size_t n)
{
    struct bytes view = cbor_bstr(r, field, n, n);

    if (view.n == n && n > 0)
        memcpy(out, view.p, n);
}

/* Length of the UTF-8 sequence that a first byte announces, and the smallest second byte that is
 * not overlong, a surrogate or above U+10FFFF (RFC 3629 section 4). */
static size_t utf8_length(uint8_t first, uint8_t *low, uint8_t *high)
{
    *low = 0x80;
    *high = 0xbf;
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf)
        return 2;
    if (first >= 0xe0 && first <= 0xef) {
        if (first == 0xe0)
            *low = 0xa0;
        if (first == 0xed)
            *high = 0x9f;
        return 3;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        if (first == 0xf0)
            *low = 0x90;
        if (first == 0xf4)
            *high = 0x8f;
        return 4;
    }
    return 0;
}

static bool utf8_valid(struct bytes in)
{
    size_t i = 0;

    /*@ loop invariant i <= in.n;
        loop assigns i;
        loop variant in.n - i; */
    while (i < in.n) {
        uint8_t low;
        uint8_t high;
        size_t n = utf8_length(in.p[i], &low, &high);

        if (n == 0 || n > in.n - i)
            return false;
        /*@ loop invariant 1 <= k <= n;
            loop assigns k, low, high;
            loop variant n - k; */
        for (size_t k = 1; k < n; k++) {
            uint8_t c = in.p[i + k];

            if (c < low || c > high)
                return false;
            low = 0x80;
            high = 0xbf;
        }
        i += n;
    }
    return true;
}

struct bytes cbor_tstr(struct cbor_in *r, const char *field, size_t min, size_t max)
{
    size_t at = r->at;
    uint64_t n = 0;

    if (!expect(r, field, CBOR_TSTR, &n))
        return (struct bytes){ 0 };

    struct bytes view = content(r, field, at, n, min, max);

    if (!utf8_valid(view)) {
        fail_here(r, RC_CBOR_UTF8, at, field);
        return (struct bytes){ 0 };
    }
    return view;
}

void cbor_text(struct cbor_in *r, const char *field, char *out, size_t cap)
{
    size_t at = r->at;

    assert(cap > 0);

    struct bytes view = cbor_tstr(r, field, 0, cap - 1);

    out[0] = 0;
    if (r->rc == RC_OK && !bytes_to_text(view, out, cap))
        fail_here(r, RC_VALUE, at, field);
}

bool cbor_bool(struct cbor_in *r, const char *field)
{
    size_t at = r->at;
    uint64_t value = 0;

    if (!expect(r, field, CBOR_SIMPLE, &value))
        return false;
    if (r->at != at + 1 || (value != SIMPLE_FALSE && value != SIMPLE_TRUE)) {
        fail_here(r, RC_CBOR_TYPE, at, field);
        return false;
    }
    return value == SIMPLE_TRUE;
}

static bool push(struct cbor_in *r, const char *field, size_t at, uint64_t n, bool map)
{
    if (r->depth == CBOR_DEPTH_MAX) {
        fail_here(r, RC_CBOR_DEPTH, at, field);
        return false;
    }

    struct cbor_frame *f = &r->frame[r->depth++];

    f->left = n;
    f->key_at = 0;
    f->key_end = 0;
    f->map = map;
    return true;
}

size_t cbor_array(struct cbor_in *r, const char *field, size_t min, size_t max)
{
    size_t at = r->at;
    uint64_t n = 0;

    if (!expect(r, field, CBOR_ARRAY, &n))
        return 0;
    if (n > max || n < min) {
        fail_here(r, RC_CBOR_COUNT, at, field);
        return 0;
    }
    return push(r, field, at, n, false) ? (size_t)n : 0;
}

size_t cbor_map(struct cbor_in *r, const char *field, size_t max)
{
    size_t at = r->at;
    uint64_t n = 0;

    if (!expect(r, field, CBOR_MAP, &n))
        return 0;
    if (n > max) {
        fail_here(r, RC_CBOR_COUNT, at, field);
        return 0;
    }
    return push(r, field, at, n, true) ? (size_t)n : 0;
}

/* Keys must rise in the bytewise order of their encodings (RFC 8949 section 4.2.1). */
static void check_order(struct cbor_in *r, struct cbor_frame *f, size_t at)
{
    if (f->key_end > 0) {
        size_t before = f->key_end - f->key_at;
        size_t now = r->at - at;
        size_t common = before < now ? before : now;
        int order = memcmp(r->in.p + f->key_at, r->in.p + at, common);

        if (order == 0 && before == now)
            fail_here(r, RC_CBOR_DUPLICATE, at, "key");
        else if (order > 0 || (order == 0 && before > now))
            fail_here(r, RC_CBOR_ORDER, at, "key");
    }
    f->key_at = at;
    f->key_end = r->at;
}

bool cbor_key(struct cbor_in *r, uint64_t *ret_key)
{
    if (r->rc != RC_OK)
        return false;
    assert(r->depth > 0 && r->frame[r->depth - 1].map);

    struct cbor_frame *f = &r->frame[r->depth - 1];
    size_t at = r->at;
    enum cbor_major major = CBOR_UINT;
    uint64_t value = 0;

    if (f->left == 0)
        return false;
    if (!head(r, "key", &major, &value))
        return false;
    if (major != CBOR_UINT) {
        fail_here(r, RC_CBOR_TYPE, at, "key");
        return false;
    }
    check_order(r, f, at);
    if (r->rc != RC_OK)
        return false;
    f->left--;
    *ret_key = value;
    return true;
}

void cbor_end(struct cbor_in *r)
{
    if (r->rc != RC_OK)
        return;
    assert(r->depth > 0);
    if (r->frame[r->depth - 1].left > 0) {
        cbor_fail(r, RC_CBOR_COUNT, "end");
        return;
    }
    r->depth--;
}

/* Read the payload of one item whose head has been read; containers are pushed. */
static void skip_body(struct cbor_in *r, const char *field, size_t at, enum cbor_major major,
                      uint64_t value)
{
    switch (major) {
    case CBOR_UINT:
    case CBOR_NINT:
        return;
    case CBOR_BSTR:
        (void)content(r, field, at, value, 0, SIZE_MAX);
        return;
    case CBOR_TSTR:
        if (!utf8_valid(content(r, field, at, value, 0, SIZE_MAX)))
            fail_here(r, RC_CBOR_UTF8, at, field);
        return;
    case CBOR_ARRAY:
    case CBOR_MAP:
        /* every item takes a byte at least, so a count beyond the input is a lie */
        if (value > r->in.n - r->at)
            fail_here(r, RC_SHORT, at, field);
        else
            (void)push(r, field, at, value, major == CBOR_MAP);
        return;
    case CBOR_TAG:
        fail_here(r, RC_CBOR_TAG, at, field);
        return;
    case CBOR_SIMPLE:
        if (r->at != at + 1 || value < SIMPLE_FALSE || value > SIMPLE_NULL)
            fail_here(r, RC_CBOR_TAG, at, field);
        return;
    }
}

/* The next key of the innermost container, a map. */
static void skip_key(struct cbor_in *r, const char *field)
{
    size_t at = r->at;
    enum cbor_major major = CBOR_UINT;
    uint64_t value = 0;

    if (!head(r, field, &major, &value))
        return;
    if (major == CBOR_ARRAY || major == CBOR_MAP) {
        fail_here(r, RC_CBOR_TYPE, at, field); /* a container as a key has no use here */
        return;
    }
    skip_body(r, field, at, major, value);
    if (r->rc == RC_OK)
        check_order(r, &r->frame[r->depth - 1], at);
}

/* One step of a skip: an item of the innermost container, which is not empty, and its key. */
static void skip_step(struct cbor_in *r, const char *field)
{
    struct cbor_frame *f = &r->frame[r->depth - 1];
    enum cbor_major major = CBOR_UINT;
    uint64_t value = 0;

    f->left--;
    if (f->map)
        skip_key(r, field);

    size_t at = r->at;

    if (head(r, field, &major, &value))
        skip_body(r, field, at, major, value);
}

struct bytes cbor_skip(struct cbor_in *r, const char *field)
{
    size_t at = r->at;
    uint8_t base = r->depth;
    enum cbor_major major = CBOR_UINT;
    uint64_t value = 0;

    if (!begin_item(r, field) || !head(r, field, &major, &value))
        return (struct bytes){ 0 };
    skip_body(r, field, at, major, value);
    /*@ loop invariant reader(r);
        loop invariant at < r->at && base <= r->depth;
        loop invariant kept{Pre, Here}(r);
        loop assigns r->at, r->rc, r->fail_at, r->field, r->depth, r->frame[0 .. 7]; */
    while (r->rc == RC_OK && r->depth > base) {
        if (r->frame[r->depth - 1].left == 0)
            r->depth--;
        else
            skip_step(r, field);
    }
    if (r->rc != RC_OK)
        return (struct bytes){ 0 };
    return (struct bytes){ .p = r->in.p + at, .n = r->at - at };
}

enum rc cbor_done(struct cbor_in *r, struct err *err)
{
    if (r->rc == RC_OK && r->depth > 0)
        cbor_fail(r, RC_CBOR_COUNT, "end");
    if (r->rc == RC_OK && r->at != r->in.n)
        cbor_fail(r, RC_TRAILING, "end");
    if (r->rc != RC_OK)
        return err_at(err, r->rc, r->fail_at, "%s", r->field ? r->field : "");
    return RC_OK;
}

enum rc cbor_check(struct bytes in, struct err *err)
{
    struct cbor_in r = cbor_read(in);

    (void)cbor_skip(&r, "item");
    return cbor_done(&r, err);
}

static void put(struct cbor_out *w, const void *p, size_t n)
{
    if (w->full || n > w->cap - w->n) {
        w->full = true;
        return;
    }
    if (n > 0)
        memcpy(w->p + w->n, p, n);
    w->n += n;
}

/* One with an argument of its own, or for which there is no room.  Apart from the others, which
 * would pay for its buffer. */
__attribute__((noinline)) static void put_long_head(struct cbor_out *w, enum cbor_major major,
                                                    uint64_t value)
{
    uint8_t buf[9];
    size_t width = 0;

    if (value >= UINT64_C(1) << 32)
        width = 8;
    else if (value >= UINT64_C(1) << 16)
        width = 4;
    else if (value >= UINT64_C(1) << 8)
        width = 2;
    else if (value >= ADDITIONAL_1)
        width = 1;

    uint8_t info = (uint8_t)value;

    if (width > 0) {
        info = ADDITIONAL_1;
        for (size_t w2 = width; w2 > 1; w2 /= 2)
            info++;
    }
    buf[0] = (uint8_t)((unsigned)major << 5 | info);
    for (size_t i = 0; i < width; i++)
        buf[1 + i] = (uint8_t)(value >> (8 * (width - 1 - i)));
    put(w, buf, 1 + width);
}

void cbor_put_head(struct cbor_out *w, enum cbor_major major, uint64_t value)
{
    if (value >= ADDITIONAL_1 || w->full || w->n >= w->cap) {
        put_long_head(w, major, value);
        return;
    }
    w->p[w->n++] = (uint8_t)((unsigned)major << 5 | (unsigned)value);
}

void cbor_put_uint(struct cbor_out *w, uint64_t value)
{
    cbor_put_head(w, CBOR_UINT, value);
}

void cbor_put_int(struct cbor_out *w, int64_t value)
{
    if (value >= 0)
        cbor_put_head(w, CBOR_UINT, (uint64_t)value);
    else
        cbor_put_head(w, CBOR_NINT, (uint64_t)(-1 - value));
}

void cbor_put_bstr(struct cbor_out *w, struct bytes value)
{
    cbor_put_head(w, CBOR_BSTR, value.n);
    put(w, value.p, value.n);
}

void cbor_put_tstr(struct cbor_out *w, struct bytes value)
{
    cbor_put_head(w, CBOR_TSTR, value.n);
    put(w, value.p, value.n);
}

void cbor_put_text(struct cbor_out *w, const char *value)
{
    cbor_put_tstr(w, bytes_of(value));
}

void cbor_put_bool(struct cbor_out *w, bool value)
{
    cbor_put_head(w, CBOR_SIMPLE, value ? SIMPLE_TRUE : SIMPLE_FALSE);
}

void cbor_put_array(struct cbor_out *w, size_t items)
{
    cbor_put_head(w, CBOR_ARRAY, items);
}

void cbor_put_map(struct cbor_out *w, size_t pairs)
{
    cbor_put_head(w, CBOR_MAP, pairs);
}

void cbor_put_raw(struct cbor_out *w, struct bytes item)
{
    put(w, item.p, item.n);
}

enum rc cbor_written(const struct cbor_out *w, struct bytes *ret, struct err *err)
{
    if (w->full)
        return err_set(err, RC_NO_ROOM, "%zu bytes", w->cap);
    *ret = (struct bytes){ .p = w->p, .n = w->n };
    return RC_OK;
}
