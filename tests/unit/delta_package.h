/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/delta_package: two versions of a package, unpacked; the delta between them; and deltas
 * that give something else.
 */
#ifndef BERTH_TESTS_UNIT_DELTA_PACKAGE_H
#define BERTH_TESTS_UNIT_DELTA_PACKAGE_H

#include "delta/apply.h"
#include "deltamake/make.h"
#include "tests/unit/update_fixture.h"
#include "update/delta_plan.h"
#include "update/unpack_delta.h"

#define DP_FILES 12U  /* new files of one delta */
#define DP_BIG 20000U /* bytes of the file that changes a little */
#define DP_EDIT 7000U /* where it changes */
#define DP_MEMORY APPLY_MEMORY_MAX

#define dp_must(call)                                                                              \
    do {                                                                                           \
        enum rc dp_rc_ = (call);                                                                   \
        if (dp_rc_ != RC_OK) {                                                                     \
            (void)fprintf(stderr, "%s: %s\n", #call, rc_name(dp_rc_));                             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* A version, unpacked as a slot is. */
struct dp_tree {
    struct scratch dir;
    int root;
    int index;
    struct content content; /* of its full package */
    struct unpack_spec spec;
    uint8_t *index_bytes;
    size_t index_n;
};

static maybe_unused struct bytes dp_index(const struct dp_tree *t)
{
    return (struct bytes){ .p = t->index_bytes, .n = t->index_n };
}

/* Bytes that no compressor makes smaller, the same for one seed. */
static void dp_noise(uint64_t seed, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        out[i] = (uint8_t)(seed >> 56);
    }
}

/* A file of noise; edit changes some bytes of it and puts some in. */
static void dp_big(struct tar *t, const char *name, unsigned mode, bool edit)
{
    static uint8_t bytes[DP_BIG + 64];
    size_t n = DP_BIG;

    dp_noise(1, bytes, n);
    if (edit) {
        memmove(bytes + DP_EDIT + 64, bytes + DP_EDIT, n - DP_EDIT);
        dp_noise(2, bytes + DP_EDIT, 64);
        bytes[100] ^= 0x55;
        n += 64;
    }

    struct tar_entry e = { .type = '0', .name = name, .mode = mode, .data = bytes, .n = n };

    tar_add(t, &e);
}

/* The old version. */
static maybe_unused void dp_old(struct tar *t)
{
    tar_dir(t, "bin/");
    dp_big(t, "bin/app", 0755, false);
    tar_file(t, "bin/same", 0644, "what does not change");
    tar_file(t, "bin/tool", 0755, "what moves");
    tar_file(t, "bin/mode", 0644, "what becomes a program");
    tar_dir(t, "old/");
    tar_file(t, "old/gone", 0644, "what goes away");
    tar_file(t, "swap", 0644, "a file that becomes a directory");
    tar_link(t, '2', "link", "bin/app");
    tar_file(t, "twin-a", 0644, "the same twice");
    tar_file(t, "twin-b", 0644, "the same twice");
    tar_end(t);
}

/* The new one: changed, unchanged, moved, copied, new, twice new, empty, other modes and types. */
static maybe_unused void dp_new(struct tar *t)
{
    tar_dir(t, "bin/");
    dp_big(t, "bin/app", 0755, true);
    tar_file(t, "bin/same", 0644, "what does not change");
    tar_file(t, "bin/mode", 0755, "what becomes a program");
    tar_file(t, "bin/double", 0644, "new, and here twice");
    tar_file(t, "empty", 0644, "");
    tar_link(t, '2', "link", "bin/same");
    tar_dir(t, "more/");
    tar_file(t, "more/double", 0755, "new, and here twice");
    tar_file(t, "more/same", 0644, "what does not change");
    tar_file(t, "more/tool", 0755, "what moves");
    tar_dir(t, "swap/");
    tar_file(t, "swap/inside", 0644, "the same twice");
    tar_dir(t, "tmp/");
    tar_end(t);
}

/* Unpack what fill makes. */
static maybe_unused struct dp_tree dp_tree_new(void (*fill)(struct tar *t), const char *entry)
{
    struct dp_tree t = { .dir = scratch_new() };
    struct tar tar = { 0 };
    struct err err;

    fill(&tar);
    t.content = compress_window((struct bytes){ .p = tar.p, .n = tar.n }, 0);
    t.spec = spec_of(content_view(&t.content), &tar, entry);

    scoped(close_fd) int content = memfd_of(content_view(&t.content));

    t.root = make_dir(t.dir.fd, "root");
    t.index = openat(t.dir.fd, "index", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    dp_must(unpack_content(content, &t.spec, t.root, t.index, &err));
    dp_must(fs_read_alloc(t.dir.fd, "index", INDEX_MAX, &t.index_bytes, &t.index_n, &err));
    dp_must(sha256_of(dp_index(&t), t.spec.index.b, &err));
    dp_must(sha384_of(dp_index(&t), t.spec.index384.b, &err));
    tar_done(&tar);
    return t;
}

static maybe_unused void dp_tree_done(struct dp_tree *t)
{
    close_fd(&t->root);
    close_fd(&t->index);
    free(t->content.p);
    free(t->index_bytes);
    scratch_done(&t->dir);
}

/* What a delta gives. */
struct dp_files {
    uint32_t n;
    struct bytes f[DP_FILES];
    uint8_t *own[DP_FILES]; /* what f's bytes are, as far as they are to be freed */
    uint32_t home[DP_FILES];
};

static maybe_unused void dp_files_done(struct dp_files *files)
{
    for (uint32_t i = 0; i < DP_FILES; i++)
        free(files->own[i]);
}

static enum rc dp_open_bytes(void *arg, uint32_t i, int *ret_fd, struct err *err)
{
    const struct dp_files *files = arg;

    return fs_sealed("file", files->f[i], ret_fd, err);
}

/* One side of a plan as files in a tree. */
struct dp_side {
    const struct dp_tree *tree;
    const struct delta_side *side;
};

static enum rc dp_open_tree(void *arg, uint32_t i, int *ret_fd, struct err *err)
{
    const struct dp_side *s = arg;
    char path[PACKAGE_PATH_MAX + 1];

    if (i == 0)
        return fs_sealed("index", s->side->index, ret_fd, err);
    if (!bytes_to_text(s->side->tree.files[s->side->file[i]].path, path, sizeof path))
        abort();
    return fs_open(s->tree->root, path, O_RDONLY, 0, ret_fd, err);
}

/* What an honest delta from one to the other gives. */
static maybe_unused void dp_honest(const struct dp_tree *old, const struct dp_tree *new,
                                   struct dp_files *ret)
{
    scoped(delta_plan_done) struct delta_plan plan = { .home = NULL };
    struct err err;

    dp_must(delta_plan_old(&plan, dp_index(old), &err));
    dp_must(delta_plan_new(&plan, dp_index(new), &err));
    if (plan.new.n > DP_FILES)
        abort();
    *ret = (struct dp_files){ .n = plan.new.n };
    for (uint32_t i = 0; i < plan.new.n; i++) {
        struct dp_side side = { .tree = new, .side = &plan.new };
        size_t size = plan.new.sizes[i];
        int fd = -1;

        dp_must(dp_open_tree(&side, i, &fd, &err));
        ret->own[i] = malloc(size + 1);
        if (!ret->own[i])
            abort();
        dp_must(fs_pread_exact(fd, ret->own[i], size, 0, &err));
        ret->f[i] = (struct bytes){ .p = ret->own[i], .n = size };
        ret->home[i] = plan.home[i];
        close_fd(&fd);
    }
}

/* A delta from the old tree that gives these files, and claims to end in result. */
static maybe_unused struct made dp_make(const struct dp_tree *old, struct dp_files *files,
                                        const struct digest *result)
{
    scoped(delta_plan_done) struct delta_plan plan = { .home = NULL };
    uint64_t sizes[DP_FILES];
    struct made made = { .p = NULL };
    struct err err;

    dp_must(delta_plan_old(&plan, dp_index(old), &err));
    for (uint32_t i = 0; i < files->n; i++)
        sizes[i] = files->f[i].n;

    struct dp_side side = { .tree = old, .side = &plan.old };
    struct make_spec spec = {
        .old = { .arg = &side, .n = plan.old.n, .sizes = plan.old.sizes, .open = dp_open_tree },
        .new = { .arg = files, .n = files->n, .sizes = sizes, .open = dp_open_bytes },
        .home = files->home,
        .memory_max = DP_MEMORY,
    };

    memcpy(spec.base, old->spec.index.b, DIGEST_SIZE);
    memcpy(spec.result, result->b, DIGEST_SIZE);
    dp_must(make_delta(&spec, &made, &err));
    return made;
}

/* The honest one. */
static maybe_unused struct made dp_delta(const struct dp_tree *old, const struct dp_tree *new)
{
    scoped(dp_files_done) struct dp_files files;

    dp_honest(old, new, &files);
    return dp_make(old, &files, &new->spec.index);
}

/* What berth-unpack is told: the new version's manifest, the delta, the base. */
static maybe_unused struct unpack_spec dp_spec(const struct dp_tree *old, const struct dp_tree *new,
                                               size_t delta_bytes)
{
    struct unpack_spec spec = new->spec;

    spec.content_at = 0;
    spec.content_bytes = delta_bytes;
    spec.delta = 1;
    spec.base = old->spec.index;
    spec.base_bytes = old->spec.unpacked_bytes;
    spec.base_files = old->spec.files;
    return spec;
}

#endif
