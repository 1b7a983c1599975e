/* SPDX-License-Identifier: Apache-2.0
 *
 * base/cbor: a strict pull reader and a writer for deterministic CBOR (RFC 8949 section 4.2.1).
 *
 * Input is hostile.  The reader allocates nothing, recurses never, returns views into the input,
 * and refuses: duplicates, unsorted keys, indefinite lengths, numbers not in their shortest form,
 * tags, floats, trailing bytes, nesting deeper than CBOR_DEPTH_MAX, and text that is not UTF-8. Its
 * error is sticky: after the first failure every call does nothing and returns zero or empty, so a
 * decoder is a straight list of reads and one final check.
 *
 *     struct cbor_in r = cbor_read(in);
 *     uint64_t key;
 *     cbor_map(&r, "order", ORDER_KEYS);
 *     while (cbor_key(&r, &key))
 *         ...
 *     cbor_end(&r);
 *     return cbor_done(&r, err);
 */
#ifndef BERTH_BASE_CBOR_H
#define BERTH_BASE_CBOR_H

#include "base/bytes.h"
#include "base/err.h"

#define CBOR_DEPTH_MAX 8U

enum cbor_major {
    CBOR_UINT = 0,
    CBOR_NINT = 1,
    CBOR_BSTR = 2,
    CBOR_TSTR = 3,
    CBOR_ARRAY = 4,
    CBOR_MAP = 5,
    CBOR_TAG = 6,
    CBOR_SIMPLE = 7,
};

/* One open array or map. */
struct cbor_frame {
    uint64_t left;  /* items (or key/value pairs) not yet begun */
    size_t key_at;  /* map: where the previous key began */
    size_t key_end; /* map: where the previous key ended, 0 = none yet */
    bool map;
};

struct cbor_in {
    struct bytes in;
    size_t at;         /* next byte */
    enum rc rc;        /* first failure, sticky */
    size_t fail_at;    /* where it was */
    const char *field; /* what was being read then */
    uint8_t depth;
    struct cbor_frame frame[CBOR_DEPTH_MAX];
};

/* A reader at the first byte of in. */
struct cbor_in cbor_read(struct bytes in);

/* Record a failure at the current item, unless one is recorded already.  For checks of meaning
 * inside a decoder. */
void cbor_fail(struct cbor_in *r, enum rc rc, const char *field);

/* An unsigned integer, at most max. */
uint64_t cbor_uint(struct cbor_in *r, const char *field, uint64_t max);

/* A signed integer between min and max. */
int64_t cbor_int(struct cbor_in *r, const char *field, int64_t min, int64_t max);

/* A byte string of min to max bytes: a view into the input. */
struct bytes cbor_bstr(struct cbor_in *r, const char *field, size_t min, size_t max);

/* A byte string of exactly n bytes, copied to out; out is untouched on failure. */
void cbor_fixed(struct cbor_in *r, const char *field, uint8_t *out, size_t n);

/* A text string of min to max bytes of UTF-8: a view, not NUL-terminated. */
struct bytes cbor_tstr(struct cbor_in *r, const char *field, size_t min, size_t max);

/* A text string copied into out with a terminator (at most cap - 1 bytes, no NUL inside); "" on
 * failure. */
void cbor_text(struct cbor_in *r, const char *field, char *out, size_t cap);

/* true or false. */
bool cbor_bool(struct cbor_in *r, const char *field);

/* Open an array of min to max items and return how many there are; close it with cbor_end. */
size_t cbor_array(struct cbor_in *r, const char *field, size_t min, size_t max);

/* Open a map of at most max pairs; iterate with cbor_key; close with cbor_end. */
size_t cbor_map(struct cbor_in *r, const char *field, size_t max);

/* The next key of the open map, an unsigned integer in strictly rising order.  False at the end or
 * on failure. */
bool cbor_key(struct cbor_in *r, uint64_t *ret_key);

/* Close the innermost array or map; a failure if items are left in it. */
void cbor_end(struct cbor_in *r);

/* Read past one item of any allowed type, checking it as strictly as the rest, and return its bytes
 * as a view. */
struct bytes cbor_skip(struct cbor_in *r, const char *field);

/* The head of the next item without opening it: for formats that bend the rules (BPv7's outer
 * array).  The argument must be in shortest form; an indefinite length or a break is reported as
 * RC_CBOR_INDEFINITE. */
void cbor_head(struct cbor_in *r, const char *field, enum cbor_major *ret_major,
               uint64_t *ret_value);

/* The first failure, or open containers, or bytes left over; fills err with field and offset. */
must_check enum rc cbor_done(struct cbor_in *r, struct err *err);

/* Whether in is exactly one well-formed deterministic item of allowed types. */
must_check enum rc cbor_check(struct bytes in, struct err *err);

/* Writer into a caller's buffer.  Sticky too: when the buffer is full nothing more is written and n
 * keeps the size so far; cbor_written tells.  The caller writes map keys in rising order; the
 * reader of the other end refuses anything else. */
struct cbor_out {
    uint8_t *p;
    size_t cap;
    size_t n;
    bool full;
};

void cbor_put_head(struct cbor_out *w, enum cbor_major major, uint64_t value);
void cbor_put_uint(struct cbor_out *w, uint64_t value);
void cbor_put_int(struct cbor_out *w, int64_t value);
void cbor_put_bstr(struct cbor_out *w, struct bytes value);
void cbor_put_tstr(struct cbor_out *w, struct bytes value);
void cbor_put_text(struct cbor_out *w, const char *value);
void cbor_put_bool(struct cbor_out *w, bool value);
void cbor_put_array(struct cbor_out *w, size_t items);
void cbor_put_map(struct cbor_out *w, size_t pairs);
void cbor_put_raw(struct cbor_out *w, struct bytes item); /* bytes that are CBOR already */

/* RC_OK and the view of what was written, or RC_NO_ROOM. */
must_check enum rc cbor_written(const struct cbor_out *w, struct bytes *ret, struct err *err);

#endif
