/* SPDX-License-Identifier: Apache-2.0
 *
 * Deltas into a staging directory, from a fixed old version (tests/unit/delta_package).  Byte 0:
 *
 *     even: the rest is a delta, the manifest is that of the fixed new version; what is taken is
 *           that version to the byte
 *     odd:  the rest is what an attacker who may sign can say: two bytes of length and an index,
 *           then files, each a byte of length and its bytes.  The delta around it is made here, and
 *           the manifest names that index; what is taken is what the index says
 *
 * A refusal leaves nothing behind, and nothing is ever made beside the directory.
 */
#include <stdint.h>
#include <stdlib.h>

#include "tests/fuzz/place.h"
#include "tests/unit/delta_package.h"
#include "update/check.h"

#define FILES_MAX 16U
#define DELTA_BUF (256U * 1024U)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Made once. */
struct world {
    struct dp_tree old;
    struct dp_tree new;
    int out;
    int staging;
    int index;
};

static const struct world *the_world(void)
{
    static struct world w = { .out = -1 };

    if (w.out >= 0)
        return &w;
    w.old = dp_tree_new(dp_old, "/bin/app");
    w.new = dp_tree_new(dp_new, "/bin/app");
    w.out = place();
    w.staging = make_dir(w.out, "staging");
    w.index = openat(w.out, "index", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (w.index < 0)
        abort();
    return &w;
}

static void trees_remove(void)
{
    const struct world *w = the_world();
    struct err err;

    (void)!fs_remove_tree(AT_FDCWD, w->old.dir.path, &err);
    (void)!fs_remove_tree(AT_FDCWD, w->new.dir.path, &err);
}

static void apply(const struct world *w, struct bytes delta, const struct unpack_spec *spec)
{
    const struct unpack_base base = { .root = w->old.root, .index = w->old.index };
    struct verity verity = { .enable = verity_ioctl };
    const struct staging out = { .root = w->staging, .index = w->index, .verity = &verity };
    scoped(close_fd) int fd = memfd_of(delta);
    struct err err;

    if (ftruncate(w->index, 0) != 0 || lseek(w->index, 0, SEEK_SET) != 0)
        abort();
    if (unpack_delta(fd, spec, &base, &out, &err) == RC_OK) {
        if (check_tree(w->index, spec, w->staging, &err) != RC_OK)
            abort();
        staging_clear(w->staging);
    }
    if (entries_in(w->staging, ".") != 0 || entries_in(w->out, ".") != 2)
        abort();
}

/* ---- what may be signed -----------------------------------------------------------------------
 */

/* The files that a delta gives, cut out of the input. */
struct given {
    uint32_t n;
    struct bytes f[FILES_MAX];
};

static void cut(struct bytes in, struct given *ret)
{
    size_t index = in.n < 2 ? 0 : (size_t)in.p[0] << 8 | in.p[1];
    size_t at = in.n < 2 ? in.n : 2;

    *ret = (struct given){ .n = 1 };
    ret->f[0] = (struct bytes){ in.p + at, index < in.n - at ? index : in.n - at };
    at += ret->f[0].n;
    while (at < in.n && ret->n < FILES_MAX) {
        size_t want = in.p[at++];

        ret->f[ret->n] = (struct bytes){ in.p + at, want < in.n - at ? want : in.n - at };
        at += ret->f[ret->n++].n;
    }
}

static size_t put_number(uint8_t *out, uint64_t v)
{
    size_t n = 0;

    for (; v >= 0x80; v >>= 7)
        out[n++] = (uint8_t)(v | 0x80);
    out[n++] = (uint8_t)v;
    return n;
}

/* A delta of literal bytes in stored streams. */
static struct bytes make(const struct world *w, const struct given *g, const struct digest *result,
                         uint8_t *buf)
{
    scoped(delta_plan_done) struct delta_plan plan = { .home = NULL };
    struct format_head head = { .n_new = g->n, .memory = APPLY_MEMORY_MAX, .n_groups = 1 };
    uint8_t control[FILES_MAX * 16U];
    uint8_t encoded[FORMAT_HEAD_MAX];
    size_t n_control = 0;
    size_t n = 0;
    struct err err;

    dp_must(delta_plan_old(&plan, dp_index(&w->old), &err));
    head.n_old = plan.old.n;
    for (uint32_t i = 0; i < plan.old.n; i++)
        head.old_bytes += plan.old.sizes[i];
    for (uint32_t i = 0; i < g->n; i++) {
        control[n_control++] = 0; /* the number that was expected */
        n_control += put_number(control + n_control, g->f[i].n);
        control[n_control++] = 0; /* no guides */
        control[n_control++] = 0; /* no matches */
        head.new_bytes += g->f[i].n;
    }
    memcpy(head.base, w->old.spec.index.b, DIGEST_SIZE);
    memcpy(head.result, result->b, DIGEST_SIZE);
    head.groups[0].files = g->n;
    head.groups[0].streams[FORMAT_CONTROL] =
        (struct stream_spec){ .size = n_control, .raw = n_control };
    head.groups[0].streams[FORMAT_EXTRA] =
        (struct stream_spec){ .size = head.new_bytes, .raw = head.new_bytes };
    dp_must(format_encode(&head, encoded, &n, &err));
    memcpy(buf, encoded, n);
    memcpy(buf + n, control, n_control);
    n += n_control;
    for (uint32_t i = 0; i < g->n; i++) {
        if (g->f[i].n > 0)
            memcpy(buf + n, g->f[i].p, g->f[i].n);
        n += g->f[i].n;
    }
    return (struct bytes){ buf, n };
}

/* A manifest that fits the index, if that is one. */
static void apply_signed(const struct world *w, struct bytes in)
{
    static uint8_t buf[DELTA_BUF];
    scoped(delta_plan_done) struct delta_plan plan = { .home = NULL };
    struct unpack_spec spec = w->new.spec;
    struct given given;
    struct err err;

    cut(in, &given);
    dp_must(sha256_of(given.f[0], spec.index.b, &err));
    dp_must(delta_plan_old(&plan, dp_index(&w->old), &err));
    if (delta_plan_new(&plan, given.f[0], &err) == RC_OK) {
        spec.files = plan.new.entries;
        spec.unpacked_bytes = plan.new.bytes;
    }

    struct bytes delta = make(w, &given, &spec.index, buf);

    spec.content_at = 0;
    spec.content_bytes = delta.n;
    spec.delta = 1;
    spec.base = w->old.spec.index;
    memset(&spec.index384, 0, sizeof spec.index384);
    dp_must(sha384_of(given.f[0], spec.index384.b, &err));
    apply(w, delta, &spec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool first = true;
    const struct world *w = the_world();
    struct bytes rest = { data + 1, size - 1 };

    if (first)
        (void)atexit(trees_remove);
    first = false;
    if (size < 2 || size > DELTA_BUF / 2)
        return 0;
    if (data[0] % 2 != 0) {
        apply_signed(w, rest);
    } else {
        struct unpack_spec spec = dp_spec(&w->old, &w->new, rest.n);

        apply(w, rest, &spec);
    }
    return 0;
}
