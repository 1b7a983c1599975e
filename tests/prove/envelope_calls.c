/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/prove/envelope_calls.c: the envelope parser against the contract of the CBOR reader.
 *
 * The reader is replaced by a model that does anything which its contract (tests/prove/cbor.h,
 * which WP proves of base/cbor.c) allows, as far as the parser can see it: each call fails or
 * succeeds, and each count and each key is tried.  The program runs envelope_open once for each
 * combination of these choices, so it walks through every path that any input of any length can
 * take.  At each call it asserts what the contract requires of a caller, and that nobody but the
 * reader has changed the reader.  Built with ASan and UBSan (tools/prove).
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cbor.h"

/* clang-format off */
static struct cbor_in model_read(struct bytes in);
static void model_fail(struct cbor_in *r, enum rc rc, const char *field);
static size_t model_array(struct cbor_in *r, const char *field, size_t min, size_t max);
static size_t model_map(struct cbor_in *r, const char *field, size_t max);
static bool model_key(struct cbor_in *r, uint64_t *ret_key);
static struct bytes model_bstr(struct cbor_in *r, const char *field, size_t min, size_t max);
static int64_t model_int(struct cbor_in *r, const char *field, int64_t min, int64_t max);
static void model_end(struct cbor_in *r);
static enum rc model_done(struct cbor_in *r, struct err *err);
/* clang-format on */

#define cbor_read model_read
#define cbor_fail model_fail
#define cbor_array model_array
#define cbor_map model_map
#define cbor_key model_key
#define cbor_bstr model_bstr
#define cbor_int model_int
#define cbor_end model_end
#define cbor_done model_done

#include "manifest/envelope.c"

#define READERS_MAX 2U
#define CHOICES_MAX 1024U

/* ---- choices: all sequences, one after the other */

static struct {
    size_t n, at;
    uint32_t taken[CHOICES_MAX], of[CHOICES_MAX];
} path;

/* A number below n, and in the course of the program every one. */
static uint32_t choose(uint32_t n)
{
    assert(n > 0 && path.at < CHOICES_MAX);
    if (path.at == path.n) {
        path.taken[path.n] = 0;
        path.of[path.n++] = n;
    }
    assert(path.of[path.at] == n);
    return path.taken[path.at++];
}

/* Go to the next sequence.  False: there is none. */
static bool next_path(void)
{
    path.at = 0;
    while (path.n > 0 && path.taken[path.n - 1] + 1 == path.of[path.n - 1])
        path.n--;
    if (path.n == 0)
        return false;
    path.taken[path.n - 1]++;
    return true;
}

/* ---- what is required at every call */

static uint8_t input[DOCUMENT_MAX + 1];
static bool high; /* which end of its range a value has that the parser only hands on */
static uint64_t calls;

static struct {
    bool fresh; /* made by cbor_read and not used yet */
    struct cbor_in made;
    const struct cbor_in *reader[READERS_MAX];
    struct cbor_in left[READERS_MAX]; /* as the reader left it */
} seen;

static bool same(const struct cbor_in *a, const struct cbor_in *b)
{
    for (size_t i = 0; i < CBOR_DEPTH_MAX; i++) {
        const struct cbor_frame *f = &a->frame[i], *g = &b->frame[i];

        if (f->left != g->left || f->key_at != g->key_at || f->key_end != g->key_end ||
            f->map != g->map)
            return false;
    }
    return a->in.p == b->in.p && a->in.n == b->in.n && a->at == b->at && a->rc == b->rc &&
           a->fail_at == b->fail_at && a->field == b->field && a->depth == b->depth;
}

static void leave(const struct cbor_in *r)
{
    size_t i = 0;

    while (i < READERS_MAX && seen.reader[i] && seen.reader[i] != r)
        i++;
    assert(i < READERS_MAX);
    seen.reader[i] = r;
    seen.left[i] = *r;
}

/* A valid reader: as cbor_read made it, or as the last call left it. */
static void enter(const struct cbor_in *r)
{
    bool known = false;

    calls++;
    if (seen.fresh && same(r, &seen.made)) {
        seen.fresh = false;
        leave(r);
    }
    for (size_t i = 0; i < READERS_MAX; i++)
        known |= seen.reader[i] == r && same(r, &seen.left[i]);
    assert(known);
    assert(r->depth <= CBOR_DEPTH_MAX);
}

static void require_readable(struct bytes v)
{
    assert(v.n == 0 || (v.p >= input && v.n <= sizeof input - (size_t)(v.p - input)));
}

/* The call fails, or has failed before. */
static bool fails(struct cbor_in *r)
{
    if (r->rc == RC_OK && choose(2) == 1)
        r->rc = RC_SHORT;
    return r->rc != RC_OK;
}

/* ---- the model */

static struct cbor_in model_read(struct bytes in)
{
    require_readable(in);
    seen.made = (struct cbor_in){ .in = in };
    seen.fresh = true;
    return seen.made;
}

static void model_fail(struct cbor_in *r, enum rc rc, const char *field)
{
    enter(r);
    assert(rc != RC_OK && field);
    if (r->rc == RC_OK)
        r->rc = rc;
    leave(r);
}

static size_t container(struct cbor_in *r, size_t min, size_t max, bool map)
{
    size_t n = 0;

    enter(r);
    assert(min <= max);
    if (r->rc == RC_OK && r->depth == CBOR_DEPTH_MAX)
        r->rc = RC_CBOR_DEPTH;
    if (!fails(r)) {
        r->frame[r->depth++].map = map;
        n = min + choose((uint32_t)(max - min) + 1);
    }
    leave(r);
    return n;
}

static size_t model_array(struct cbor_in *r, const char *field, size_t min, size_t max)
{
    (void)field;
    return container(r, min, max, false);
}

static size_t model_map(struct cbor_in *r, const char *field, size_t max)
{
    /* The one count that is not looked at. */
    size_t min = strcmp(field, "signature.protected") == 0 ? max : 0;

    return container(r, min, max, true);
}

/* Each label that the parser knows, and others; the end of the map; a failure. */
static bool model_key(struct cbor_in *r, uint64_t *ret_key)
{
    static const uint64_t labels[] = { 0, LABEL_ALG, LABEL_KID, UINT64_MAX };
    bool got = false;

    enter(r);
    assert(r->rc != RC_OK || (r->depth > 0 && r->frame[r->depth - 1].map));
    if (!fails(r)) {
        *ret_key = labels[choose(sizeof labels / sizeof labels[0])];
        got = choose(2) == 0;
    }
    leave(r);
    return got;
}

static struct bytes model_bstr(struct cbor_in *r, const char *field, size_t min, size_t max)
{
    struct bytes view = { .p = input };

    (void)field;
    enter(r);
    assert(max <= sizeof input);
    view.n = fails(r) ? (high ? max : 0) : (high ? max : min);
    leave(r);
    return view;
}

static int64_t model_int(struct cbor_in *r, const char *field, int64_t min, int64_t max)
{
    (void)field;
    enter(r);
    assert(min <= 0 && 0 <= max);
    bool failed = fails(r);

    leave(r);
    return failed ? 0 : high ? max : min;
}

static void model_end(struct cbor_in *r)
{
    enter(r);
    assert(r->rc != RC_OK || r->depth > 0);
    if (!fails(r))
        r->depth--;
    leave(r);
}

static enum rc model_done(struct cbor_in *r, struct err *err)
{
    (void)err;
    enter(r);
    if (r->rc == RC_OK && r->depth > 0)
        r->rc = RC_CBOR_COUNT;
    (void)fails(r);
    leave(r);
    return r->rc;
}

/* ---- */

static bool open_once(void)
{
    struct bytes in = { .p = input, .n = DOCUMENT_MAX };
    struct envelope e = { 0 };
    struct err err = { 0 };

    memset(&seen, 0, sizeof seen);
    bool opened = envelope_open(in, &e, &err) == RC_OK;

    assert(opened ? e.n >= 1 && e.n <= ENVELOPE_SIGNATURES_MAX : e.n == 0);
    for (uint32_t i = 0; i < e.n; i++)
        assert(e.signature[i].key_id.n == KEY_ID_SIZE && e.signature[i].protected_header.n > 0 &&
               e.signature[i].signature.n > 0);
    return opened;
}

int main(void)
{
    uint64_t paths = 0, opened = 0;

    for (int i = 0; i < 2; i++) {
        high = i == 1;
        do {
            paths++;
            opened += open_once() ? 1 : 0;
        } while (next_path());
    }
    (void)printf("%llu paths, %llu calls of the reader, %llu envelopes opened\n",
                 (unsigned long long)paths, (unsigned long long)calls, (unsigned long long)opened);
    return opened > 0 ? 0 : 1;
}
