/* SPDX-License-Identifier: Apache-2.0
 *
 * Deltas that become the files of a slot, in this process and in berth-unpack; deltas, bases and
 * manifests that lie, each refused with its code and nothing left in staging.
 */
#include "tests/unit/test.h"

#include <poll.h>
#include <sys/resource.h>

#include "tests/unit/delta_package.h"
#include "tests/unit/update_signed.h"
#include "update/check.h"

/* Where one delta is tried: base, wanted result, and staging with an index beside it. */
struct bay {
    struct dp_tree old;
    struct dp_tree new;
    struct scratch out;
    int staging;
    int index;
};

static struct bay bay_new(void)
{
    struct bay b = { .old = dp_tree_new(dp_old, "/bin/app"),
                     .new = dp_tree_new(dp_new, "/bin/app"),
                     .out = scratch_new() };

    b.staging = make_dir(b.out.fd, "root");
    b.index = openat(b.out.fd, "index", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    assert_true(b.index >= 0);
    return b;
}

static void bay_done(struct bay *b)
{
    dp_tree_done(&b->old);
    dp_tree_done(&b->new);
    close_fd(&b->staging);
    close_fd(&b->index);
    scratch_done(&b->out);
}

static int absent(int fd)
{
    (void)fd;
    return EOPNOTSUPP;
}

/* Apply `delta` as the spec says. */
static enum rc apply(struct bay *b, struct bytes delta, const struct unpack_spec *spec,
                     struct err *err)
{
    const struct unpack_base base = { .root = b->old.root, .index = b->old.index };
    struct verity verity = { .enable = absent };
    const struct staging out = { .root = b->staging, .index = b->index, .verity = &verity };
    scoped(close_fd) int fd = memfd_of(delta);

    assert_int_equal(ftruncate(b->index, 0), 0);
    assert_int_equal(lseek(b->index, 0, SEEK_SET), 0);
    return unpack_delta(fd, spec, &base, &out, err);
}

/* What is found of it without making anything. */
static enum rc check(struct bay *b, struct bytes delta, const struct unpack_spec *spec,
                     struct err *err)
{
    const struct unpack_base base = { .root = b->old.root, .index = b->old.index };
    scoped(close_fd) int fd = memfd_of(delta);

    return unpack_check_delta(fd, spec, &base, err);
}

/* Staging holds exactly what the full package unpacks to, and the index beside it is its index. */
static void assert_result(struct bay *b)
{
    uint8_t *found = NULL;
    size_t n = 0;
    struct err err;

    assert_rc(check_tree(b->new.index, &b->new.spec, b->staging, &err), RC_OK);
    assert_int_equal(entries_in(b->staging, "."), entries_in(b->new.root, "."));
    assert_int_equal(entries_in(b->staging, "bin"), entries_in(b->new.root, "bin"));
    assert_int_equal(entries_in(b->staging, "more"), entries_in(b->new.root, "more"));
    assert_int_equal(entries_in(b->staging, "tmp"), 0);
    assert_rc(fs_read_alloc(b->out.fd, "index", INDEX_MAX, &found, &n, &err), RC_OK);
    assert_true(bytes_equal((struct bytes){ found, n }, dp_index(&b->new)));
    free(found);
}

static void test_round_trip(void **state)
{
    scoped(bay_done) struct bay b = bay_new();
    scoped(made_done) struct made made = dp_delta(&b.old, &b.new);
    struct unpack_spec spec = dp_spec(&b.old, &b.new, made.n);
    struct err err;

    (void)state;
    assert_true(made.n < DP_BIG / 10); /* the noise was not sent */
    assert_rc(apply(&b, (struct bytes){ made.p, made.n }, &spec, &err), RC_OK);
    assert_result(&b);

    /* what is there is not mixed with what comes */
    assert_rc(apply(&b, (struct bytes){ made.p, made.n }, &spec, &err), RC_EXISTS);
    assert_rc(check_tree(b.new.index, &b.new.spec, b.staging, &err), RC_OK);
}

/* ---- lies -------------------------------------------------------------------------------------
 */

/* What a row may change: what the delta gives, its head, its bytes, the base on disk, the manifest.
 */
struct lie {
    const char *why;
    enum rc rc;
    void (*files)(struct dp_files *files);
    void (*head)(struct format_head *head);
    void (*base)(struct bay *b);
    void (*spec)(struct unpack_spec *spec);
};

static void give_other_index(struct dp_files *f)
{
    f->own[0][f->f[0].n - 1] ^= 1; /* in the digest of the last file */
}
static void give_no_index(struct dp_files *f)
{
    free(f->own[0]);
    f->n--;
    memmove(&f->f[0], &f->f[1], f->n * sizeof f->f[0]);
    memmove(&f->own[0], &f->own[1], f->n * sizeof f->own[0]);
    memmove(&f->home[0], &f->home[1], f->n * sizeof f->home[0]);
    f->own[f->n] = NULL;
}
static void give_one_less(struct dp_files *f)
{
    f->n--;
}
static void give_index_only(struct dp_files *f)
{
    f->n = 1;
}
static void give_nothing(struct dp_files *f)
{
    f->n = 0;
}
static void give_one_more(struct dp_files *f)
{
    f->f[f->n] = bytes_of("nobody asked for this");
    f->home[f->n++] = TREE_NO_HOME;
}
static void give_other_bytes(struct dp_files *f)
{
    f->own[1][50] ^= 1;
}
static void give_shorter(struct dp_files *f)
{
    f->f[1].n--;
}
static void give_swapped(struct dp_files *f)
{
    struct bytes one = f->f[1];

    f->f[1] = f->f[2];
    f->f[2] = one;
}
static void give_huge_index(struct dp_files *f)
{
    f->own[0] = realloc(f->own[0], INDEX_MAX + 1);
    assert_non_null(f->own[0]);
    memset(f->own[0], 0, INDEX_MAX + 1);
    f->f[0] = (struct bytes){ .p = f->own[0], .n = INDEX_MAX + 1 };
}
static void give_too_much(struct dp_files *f)
{
    f->own[1] = realloc(f->own[1], INDEX_MAX + 2 * DP_BIG);
    assert_non_null(f->own[1]);
    memset(f->own[1], 0, INDEX_MAX + 2 * DP_BIG);
    f->f[1] = (struct bytes){ .p = f->own[1], .n = INDEX_MAX + 2 * DP_BIG };
}

static void head_base(struct format_head *h)
{
    h->base[0] ^= 1;
}
static void head_result(struct format_head *h)
{
    h->result[0] ^= 1;
}
static void head_memory_lies(struct format_head *h)
{
    h->memory = format_cost(h);
}
static void head_memory_huge(struct format_head *h)
{
    h->memory = APPLY_MEMORY_MAX + 1;
}
static void head_old_files(struct format_head *h)
{
    h->n_old--;
}
static void head_old_bytes(struct format_head *h)
{
    h->old_bytes++;
}
static void head_more_files(struct format_head *h)
{
    h->n_new++;
    h->groups[0].files++;
}

static void flip(int dirfd, const char *path, off_t at)
{
    scoped(close_fd) int fd = openat(dirfd, path, O_RDWR | O_CLOEXEC);
    uint8_t byte = 0;

    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}
static void base_matched_flipped(struct bay *b)
{
    flip(b->old.root, "bin/app", DP_EDIT / 2);
}
static void base_copied_flipped(struct bay *b)
{
    flip(b->old.root, "bin/same", 3);
}
static void base_index_flipped(struct bay *b)
{
    flip(b->old.dir.fd, "index", 20);
}
static void base_index_cut(struct bay *b)
{
    assert_int_equal(ftruncate(b->old.index, 20), 0);
}
static void base_index_empty(struct bay *b)
{
    assert_int_equal(ftruncate(b->old.index, 0), 0);
}
static void base_matched_gone(struct bay *b)
{
    assert_int_equal(unlinkat(b->old.root, "bin/app", 0), 0);
}
static void base_copied_gone(struct bay *b)
{
    assert_int_equal(unlinkat(b->old.root, "bin/same", 0), 0);
}
static void base_matched_longer(struct bay *b)
{
    scoped(close_fd) int fd = openat(b->old.root, "bin/app", O_WRONLY | O_APPEND | O_CLOEXEC);

    assert_int_equal(write(fd, "x", 1), 1);
}
static void base_copied_longer(struct bay *b)
{
    scoped(close_fd) int fd = openat(b->old.root, "bin/same", O_WRONLY | O_APPEND | O_CLOEXEC);

    assert_int_equal(write(fd, "x", 1), 1);
}
static void base_copied_cut(struct bay *b)
{
    scoped(close_fd) int fd = openat(b->old.root, "bin/same", O_WRONLY | O_CLOEXEC);

    assert_int_equal(ftruncate(fd, 3), 0);
}
static void base_copied_fifo(struct bay *b)
{
    base_copied_gone(b);
    assert_int_equal(mkfifoat(b->old.root, "bin/same", 0644), 0);
}
static void base_matched_link(struct bay *b)
{
    base_matched_gone(b);
    assert_int_equal(symlinkat("/proc/self/exe", b->old.root, "bin/app"), 0);
}
static void base_copied_link(struct bay *b)
{
    base_copied_gone(b);
    assert_int_equal(symlinkat("tool", b->old.root, "bin/same"), 0);
}

static void spec_files(struct unpack_spec *s)
{
    s->files++;
}
static void spec_unpacked(struct unpack_spec *s)
{
    s->unpacked_bytes++;
}
static void spec_entry(struct unpack_spec *s)
{
    (void)snprintf(s->entry, sizeof s->entry, "/bin/same");
}
static void spec_entry_endless(struct unpack_spec *s)
{
    memset(s->entry, 'a', sizeof s->entry);
}
static void spec_index384(struct unpack_spec *s)
{
    s->index384.b[7] ^= 1;
}
static void spec_no_index(struct unpack_spec *s)
{
    memset(&s->index, 0, sizeof s->index);
}
static void spec_huge(struct unpack_spec *s)
{
    s->unpacked_bytes = UNPACKED_MAX + 1;
}
static void spec_base(struct unpack_spec *s)
{
    s->base.b[3] ^= 1;
}

static const struct lie lies[] = {
    { "for another base", RC_DELTA_BASE, .head = head_base },
    { "for fewer old files", RC_DELTA_BASE, .head = head_old_files },
    { "for larger old files", RC_DELTA_BASE, .head = head_old_bytes },
    { "for another result", RC_INDEX_MISMATCH, .head = head_result },
    { "declares too little memory", RC_DELTA_MEMORY, .head = head_memory_lies },
    { "declares too much memory", RC_DELTA_LIMIT, .head = head_memory_huge },
    { "says it has a file more", RC_DELTA_BOMB, .head = head_more_files },
    { "gives nothing", RC_DELTA_COUNT, give_nothing },
    { "gives another index", RC_INDEX_MISMATCH, give_other_index },
    { "gives no index", RC_INDEX_MISMATCH, give_no_index },
    { "gives the index only", RC_DELTA_COUNT, give_index_only },
    { "lacks a file of the index", RC_DELTA_COUNT, give_one_less },
    { "gives a file that the index does not have", RC_DELTA_COUNT, give_one_more },
    { "gives other bytes", RC_INDEX_MISMATCH, give_other_bytes },
    { "gives fewer bytes", RC_INDEX_MISMATCH, give_shorter },
    { "gives files in each other's place", RC_INDEX_MISMATCH, give_swapped },
    { "gives an index over the limit", RC_TOO_LARGE, give_huge_index },
    { "gives more than the manifest says", RC_DELTA_LIMIT, give_too_much },
    { "a bit of a file that is matched", RC_INDEX_MISMATCH, .base = base_matched_flipped },
    { "a bit of a file that is copied", RC_SLOT_DAMAGED, .base = base_copied_flipped },
    { "a bit of the base's index", RC_SLOT_DAMAGED, .base = base_index_flipped },
    { "the base's index is cut", RC_SLOT_DAMAGED, .base = base_index_cut },
    { "the base's index is empty", RC_SLOT_DAMAGED, .base = base_index_empty },
    { "matched file is gone", RC_SLOT_DAMAGED, .base = base_matched_gone },
    { "copied file is gone", RC_SLOT_DAMAGED, .base = base_copied_gone },
    { "matched file is longer", RC_DELTA_BASE, .base = base_matched_longer },
    { "copied file is longer", RC_SLOT_DAMAGED, .base = base_copied_longer },
    { "copied file is shorter", RC_SLOT_DAMAGED, .base = base_copied_cut },
    { "copied file is a FIFO", RC_SLOT_DAMAGED, .base = base_copied_fifo },
    { "matched file is a link out of the slot", RC_SLOT_DAMAGED, .base = base_matched_link },
    { "copied file is a link within it", RC_SLOT_DAMAGED, .base = base_copied_link },
    { "base has another index than asked for", RC_SLOT_DAMAGED, .spec = spec_base },
    { "manifest has another number of entries", RC_ARCHIVE_COUNT, .spec = spec_files },
    { "manifest has another number of bytes", RC_PACKAGE_SIZE, .spec = spec_unpacked },
    { "manifest's entry point is no program", RC_ENTRY_POINT, .spec = spec_entry },
    { "manifest's entry point does not end", RC_PROTOCOL, .spec = spec_entry_endless },
    { "manifest's SHA-384 differs", RC_INDEX_MISMATCH, .spec = spec_index384 },
    { "manifest names no index", RC_DIGEST_MISSING, .spec = spec_no_index },
    { "manifest's sizes are over the limit", RC_ARCHIVE_BOMB, .spec = spec_huge },
};

/* The delta with its head changed. */
static void rewrite_head(struct made *made, void (*change)(struct format_head *head))
{
    struct format_head head;
    uint8_t buf[FORMAT_HEAD_MAX];
    struct bytes have = { made->p, made->n < sizeof buf ? made->n : sizeof buf };
    uint64_t at = 0;
    size_t n = 0;
    struct err err;

    assert_rc(format_decode(have, made->n, &head, &at, &err), RC_OK);
    change(&head);
    assert_rc(format_encode(&head, buf, &n, &err), RC_OK);

    uint8_t *p = malloc(n + made->n - at);

    assert_non_null(p);
    memcpy(p, buf, n);
    memcpy(p + n, made->p + at, made->n - at);
    free(made->p);
    made->p = p;
    made->n = n + made->n - at;
}

static void test_lies(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        const struct lie *lie = &lies[i];
        scoped(bay_done) struct bay b = bay_new();
        scoped(dp_files_done) struct dp_files files;
        struct err err = { .rc = RC_OK };

        dp_honest(&b.old, &b.new, &files);
        if (lie->files)
            lie->files(&files);

        scoped(made_done) struct made made = dp_make(&b.old, &files, &b.new.spec.index);

        if (lie->head)
            rewrite_head(&made, lie->head);

        struct unpack_spec spec = dp_spec(&b.old, &b.new, made.n);

        if (lie->base)
            lie->base(&b);
        if (lie->spec)
            lie->spec(&spec);

        /* What is no business of the delta's is seen when it is applied only. */
        enum rc rc = check(&b, (struct bytes){ made.p, made.n }, &spec, &err);
        if (rc != lie->rc && (rc != RC_OK || (!lie->base && !lie->spec)))
            fail_msg("%s: checked as %s, want %s", lie->why, rc_name(rc), rc_name(lie->rc));

        rc = apply(&b, (struct bytes){ made.p, made.n }, &spec, &err);
        if (rc != lie->rc || err.rc != rc)
            fail_msg("%s: got %s (%s), want %s", lie->why, rc_name(rc), err.what, rc_name(lie->rc));
        assert_int_equal(entries_in(b.staging, "."), 0);
    }
}

/* Cut anywhere: refused, and nothing is left. */
static void test_cut_everywhere(void **state)
{
    scoped(bay_done) struct bay b = bay_new();
    scoped(made_done) struct made made = dp_delta(&b.old, &b.new);
    struct err err;

    (void)state;
    for (size_t n = 0; n < made.n; n++) {
        struct unpack_spec spec = dp_spec(&b.old, &b.new, n);
        enum rc rc = apply(&b, (struct bytes){ made.p, n }, &spec, &err);

        if (rc == RC_OK)
            fail_msg("cut after %zu bytes: taken", n);
        assert_rc(check(&b, (struct bytes){ made.p, n }, &spec, &err), rc);
        assert_true(rc_class(rc) == RC_CLASS_MALFORMED || rc_class(rc) == RC_CLASS_REFUSED);
        assert_int_equal(entries_in(b.staging, "."), 0);
        spec.content_bytes = made.n; /* and where the file ends before what it is said to hold */
        assert_int_not_equal(apply(&b, (struct bytes){ made.p, n }, &spec, &err), RC_OK);
        assert_int_equal(entries_in(b.staging, "."), 0);
    }
}

/* Every byte changed: refused with nothing left, or the very tree that was signed. */
static void test_every_byte(void **state)
{
    scoped(bay_done) struct bay b = bay_new();
    scoped(made_done) struct made made = dp_delta(&b.old, &b.new);
    struct unpack_spec spec = dp_spec(&b.old, &b.new, made.n);
    size_t taken = 0;
    struct err err;

    (void)state;
    for (size_t i = 0; i < made.n; i++) {
        made.p[i] ^= (uint8_t)(1U << i % 8);

        enum rc rc = apply(&b, (struct bytes){ made.p, made.n }, &spec, &err);

        made.p[i] ^= (uint8_t)(1U << i % 8);
        if (rc == RC_OK) {
            assert_result(&b);
            staging_clear(b.staging);
            taken++;
        }
        assert_int_equal(entries_in(b.staging, "."), 0);
    }
    assert_true(taken < made.n / 20); /* what no digest covers: numbers that do not matter */
}

/* ---- indexes that tenants signed, and should not have -----------------------------------------
 */

/* A delta that gives this index, which the manifest names. */
static enum rc apply_index(struct bay *b, struct bytes index, uint32_t entries, uint64_t bytes)
{
    struct unpack_spec spec = b->new.spec;
    struct dp_files files = { .n = 1, .f = { index }, .home = { 0 } };
    struct err err;

    assert_rc(sha256_of(index, spec.index.b, &err), RC_OK);

    scoped(made_done) struct made made = dp_make(&b->old, &files, &spec.index);
    struct unpack_spec told = dp_spec(&b->old, &b->new, made.n);

    told.index = spec.index;
    memset(&told.index384, 0, sizeof told.index384);
    told.files = entries;
    told.unpacked_bytes = bytes;

    enum rc rc = apply(b, (struct bytes){ made.p, made.n }, &told, &err);

    assert_int_equal(entries_in(b->staging, "."), 0);
    return rc;
}

struct listed {
    const char *path;
    mode_t type;
    const char *target;
    const char *old; /* a file of the base whose content it has */
};

static enum rc apply_listed(struct bay *b, const struct listed *l, size_t n)
{
    scoped(index_free) struct index *ix = NULL;
    scoped(close_fd) int fd = memfd_create("index", MFD_CLOEXEC);
    struct digest whole;
    struct digest384 whole384;
    uint8_t buf[4096];
    uint64_t bytes = 0;
    struct err err;

    assert_rc(index_new(&ix, &err), RC_OK);
    for (size_t i = 0; i < n; i++) {
        struct policy_item item = { .type = l[i].type, .mode = 0755 };
        struct digest content = { { 0 } };
        uint8_t text[DP_BIG + 1];
        size_t size = 0;

        (void)snprintf(item.path, sizeof item.path, "%s", l[i].path);
        (void)snprintf(item.target, sizeof item.target, "%s", l[i].target ? l[i].target : "");
        if (l[i].old) {
            assert_rc(fs_read_file(b->old.root, l[i].old, text, sizeof text, &size, &err), RC_OK);
            assert_rc(sha256_of((struct bytes){ text, size }, content.b, &err), RC_OK);
            bytes += size;
        }
        assert_rc(index_add(ix, &item, size, &content, &err), RC_OK);
    }
    assert_rc(index_end(ix, fd, &whole, &whole384, &err), RC_OK);

    ssize_t got = pread(fd, buf, sizeof buf, 0);

    assert_true(got > 0);
    return apply_index(b, (struct bytes){ buf, (size_t)got }, (uint32_t)n, bytes);
}

static void test_signed_nonsense(void **state)
{
    static const struct listed through_link[] = {
        { "bin", S_IFDIR, NULL, NULL },
        { "bin/app", S_IFREG, NULL, "bin/app" },
        { "link", S_IFLNK, "bin", NULL },
        { "link/app2", S_IFREG, NULL, "bin/app" },
    };
    static const struct listed no_parent[] = { { "bin/app", S_IFREG, NULL, "bin/app" } };
    static const struct listed in_file[] = {
        { "app", S_IFREG, NULL, "bin/app" },
        { "app/inside", S_IFREG, NULL, "bin/same" },
    };
    static const struct listed no_app[] = { { "bin", S_IFDIR, NULL, NULL } };
    scoped(bay_done) struct bay b = bay_new();

    (void)state;
    assert_rc(apply_index(&b, bytes_of("not an index"), 1, 0), RC_INDEX_FORMAT);
    assert_rc(apply_index(&b, (struct bytes){ b.new.index_bytes, b.new.index_n - 1 },
                          b.new.spec.files, b.new.spec.unpacked_bytes),
              RC_INDEX_FORMAT);
    assert_rc(apply_listed(&b, through_link, 4), RC_ARCHIVE_PATH);
    assert_rc(apply_listed(&b, no_parent, 1), RC_ARCHIVE_PATH);
    assert_rc(apply_listed(&b, in_file, 2), RC_ARCHIVE_PATH);
    assert_rc(apply_listed(&b, no_app, 1), RC_ENTRY_POINT);
}

/* ---- the real program -------------------------------------------------------------------------
 */

static enum rc wait_for(struct unpack_job *job, struct err *err)
{
    struct pollfd ended = { .fd = job->pidfd, .events = POLLIN };

    assert_int_equal(poll(&ended, 1, 300000), 1);
    return unpack_result(job, err);
}

/* A signed delta package in a sealed memfd. */
static int package_of(const struct manifest *m, const struct made *made)
{
    scoped(close_fd) int delta = memfd_of((struct bytes){ made->p, made->n });
    int out = memfd_create("package", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct err err;

    doc_signed(&signed_doc_, DOC_MANIFEST, manifest_encode, m, K_ACME);
    doc_must(pack_assemble_delta(signed_doc_.bytes, delta, made->n, out, &err), &err);
    if (fcntl(out, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK) != 0)
        abort();
    return out;
}

/* Have berth-unpack look at it first, as the agent does when something would have to go for it. */
static enum rc look(struct bay *b, const struct verified_delta *delta, struct err *err)
{
    scoped(close_fd) int program = open_program("berth-unpack");
    struct manifest base = signed_manifest(&b->old.spec);
    const struct unpack_from from = { .root = b->old.root,
                                      .index = b->old.index,
                                      .manifest = &base };
    struct unpack_job job;
    enum rc rc = check_start_delta(delta, &from, program, &job, err);

    return rc == RC_OK ? wait_for(&job, err) : rc;
}

/* Start berth-unpack on it as the agent does. */
static enum rc run(struct bay *b, const struct verified_delta *delta, struct err *err)
{
    scoped(close_fd) int program = open_program("berth-unpack");
    struct manifest base = signed_manifest(&b->old.spec);
    const struct unpack_from from = { .root = b->old.root,
                                      .index = b->old.index,
                                      .manifest = &base };
    const struct unpack_to to = { .program = program, .staging = b->staging, .index = b->index };
    struct unpack_job job;
    enum rc rc = unpack_start_delta(delta, &from, &to, &job, err);

    assert_true(program >= 0);
    rc = rc == RC_OK ? wait_for(&job, err) : rc;
    if (rc == RC_OK)
        assert_int_equal(job.verity, VERITY_ABSENT); /* the scratch directory is a tmpfs */
    return rc;
}

static void test_real_program(void **state)
{
    scoped(bay_done) struct bay b = bay_new();
    scoped(trust_free) struct trust *trust = signed_trust();
    scoped(made_done) struct made made = dp_delta(&b.old, &b.new);
    scoped(delta_free) struct verified_delta *delta = NULL;
    struct manifest m = signed_manifest(&b.new.spec);
    scoped(close_fd) int fd = package_of(&m, &made);
    struct digest base;
    struct err err;

    (void)state;
    assert_rc(delta_verify(trust, fd, NOW_MS, &delta, &err), RC_OK);
    assert_rc(delta_base(delta, &base, &err), RC_OK);
    assert_true(digest_same(&base, &b.old.spec.index));
    assert_rc(look(&b, delta, &err), RC_OK);
    assert_int_equal(entries_in(b.staging, "."), 0);
    assert_rc(run(&b, delta, &err), RC_OK);
    assert_result(&b);

    /* what is there is not mixed with what comes */
    assert_rc(run(&b, delta, &err), RC_EXISTS);
    assert_result(&b);

    /* a damaged base, seen by the confined process, too */
    staging_clear(b.staging);
    flip(b.old.root, "bin/same", 1);
    assert_rc(look(&b, delta, &err), RC_OK); /* of what is copied there is nothing to see yet */
    assert_rc(run(&b, delta, &err), RC_SLOT_DAMAGED);
    assert_string_equal(err.what, "content: bin/same");
    assert_int_equal(entries_in(b.staging, "."), 0);
}

/* Half a delta behind a true envelope. */
static void test_real_program_looks_first(void **state)
{
    scoped(bay_done) struct bay b = bay_new();
    scoped(trust_free) struct trust *trust = signed_trust();
    scoped(made_done) struct made made = dp_delta(&b.old, &b.new);
    scoped(delta_free) struct verified_delta *delta = NULL;
    struct manifest m = signed_manifest(&b.new.spec);
    struct err err;

    (void)state;
    made.n /= 2;
    scoped(close_fd) int fd = package_of(&m, &made);
    assert_rc(delta_verify(trust, fd, NOW_MS, &delta, &err), RC_OK);
    assert_rc(look(&b, delta, &err), RC_DELTA_STREAM);
}

/* A delta of a version that wants another machine never gets that far. */
static void test_other_machine(void **state)
{
    scoped(bay_done) struct bay b = bay_new();
    scoped(trust_free) struct trust *trust = signed_trust();
    scoped(made_done) struct made made = dp_delta(&b.old, &b.new);
    scoped(delta_free) struct verified_delta *delta = NULL;
    struct manifest m = signed_manifest(&b.new.spec);
    struct err err;

    (void)state;
#if defined(__aarch64__)
    (void)snprintf(m.arch, sizeof m.arch, "x86_64");
#else
    (void)snprintf(m.arch, sizeof m.arch, "aarch64");
#endif
    scoped(close_fd) int fd = package_of(&m, &made);

    assert_rc(delta_verify(trust, fd, NOW_MS, &delta, &err), RC_OK);
    assert_rc(run(&b, delta, &err), RC_ARCH);
    assert_int_equal(entries_in(b.staging, "."), 0);
}

/* ---- what is verified before ------------------------------------------------------------------
 */

static void no_index(struct manifest *m, struct made *made)
{
    (void)made;
    memset(&m->index, 0, sizeof m->index);
}
static void bomb(struct manifest *m, struct made *made)
{
    (void)made;
    m->content_bytes = 1;
    m->unpacked_bytes = 512U << 20;
}
static void other_result(struct manifest *m, struct made *made)
{
    (void)made;
    m->index.b[0] ^= 1;
}
static void other_magic(struct manifest *m, struct made *made)
{
    (void)m;
    made->p[7] = '2';
}
static void head_cut(struct manifest *m, struct made *made)
{
    (void)m;
    made->n = 30;
}
static void head_key(struct manifest *m, struct made *made)
{
    (void)m;
    made->p[11] = 3;
}
static void empty(struct manifest *m, struct made *made)
{
    (void)m;
    made->n = 1;
}

static void test_verify(void **state)
{
    static const struct {
        const char *why;
        void (*change)(struct manifest *m, struct made *made);
        enum rc verify;
        enum rc base;
    } rows[] = {
        { "no index in the manifest", no_index, RC_DIGEST_MISSING, RC_OK },
        { "sizes out of proportion", bomb, RC_ARCHIVE_BOMB, RC_OK },
        { "another result than the manifest's", other_result, RC_OK, RC_INDEX_MISMATCH },
        { "another magic", other_magic, RC_OK, RC_DELTA_FORMAT },
        { "head cut", head_cut, RC_OK, RC_DELTA_FORMAT },
        { "another first key", head_key, RC_OK, RC_DELTA_FORMAT },
        { "next to nothing", empty, RC_OK, RC_DELTA_FORMAT },
    };
    scoped(bay_done) struct bay b = bay_new();
    scoped(trust_free) struct trust *trust = signed_trust();

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        scoped(made_done) struct made made = dp_delta(&b.old, &b.new);
        scoped(delta_free) struct verified_delta *delta = NULL;
        struct manifest m = signed_manifest(&b.new.spec);
        struct digest base = { { 7 } };
        struct err err;

        rows[i].change(&m, &made);

        scoped(close_fd) int fd = package_of(&m, &made);
        enum rc rc = delta_verify(trust, fd, NOW_MS, &delta, &err);

        if (rc != rows[i].verify)
            fail_msg("%s: %s", rows[i].why, rc_name(rc));
        if (rc != RC_OK) {
            assert_null(delta);
            continue;
        }
        rc = delta_base(delta, &base, &err);
        if (rc != rows[i].base)
            fail_msg("%s: %s", rows[i].why, rc_name(rc));
        assert_int_equal(base.b[0], 7);
    }
}

/* A type for each: who verifies payloads gets no delta, who verifies deltas no payload; and a delta
 * that others can write to, or that nobody's tenant signed, is none. */
static void test_verify_kinds(void **state)
{
    scoped(bay_done) struct bay b = bay_new();
    scoped(trust_free) struct trust *trust = signed_trust();
    scoped(made_done) struct made made = dp_delta(&b.old, &b.new);
    scoped(delta_free) struct verified_delta *delta = NULL;
    scoped(payload_free) struct verified_payload *payload = NULL;
    struct manifest m = signed_manifest(&b.new.spec);
    scoped(close_fd) int fd = package_of(&m, &made);
    scoped(close_fd) int full = signed_package(&m, content_view(&b.new.content), K_ACME);
    scoped(close_fd) int open_to_all = memfd_create("package", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct stat st;
    uint8_t digest[DIGEST_SIZE];
    struct err err;

    (void)state;
    assert_rc(payload_verify(trust, fd, NOW_MS, &payload, &err), RC_PACKAGE_FORMAT);
    assert_null(payload);
    assert_rc(delta_verify(trust, full, NOW_MS, &delta, &err), RC_PACKAGE_FORMAT);
    assert_null(delta);
    assert_int_equal(fstat(fd, &st), 0);
    assert_rc(fs_copy_digest(fd, open_to_all, (uint64_t)st.st_size, digest, &err), RC_OK);
    assert_rc(delta_verify(trust, open_to_all, NOW_MS, &delta, &err), RC_NOT_REGULAR);
    assert_rc(delta_verify(trust, -1, NOW_MS, &delta, &err), RC_IO);
    doc_signed(&signed_doc_, DOC_MANIFEST, manifest_encode, &m, K_ROOT_A);

    scoped(close_fd) int content = memfd_of((struct bytes){ made.p, made.n });
    scoped(close_fd) int foreign = memfd_create("package", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_rc(pack_assemble_delta(signed_doc_.bytes, content, made.n, foreign, &err), RC_OK);
    assert_int_equal(fcntl(foreign, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK), 0);
    assert_rc(delta_verify(trust, foreign, NOW_MS, &delta, &err), RC_KEY_UNKNOWN);
    assert_null(delta);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_cut_everywhere),
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_signed_nonsense),
        cmocka_unit_test(test_real_program),
        cmocka_unit_test(test_real_program_looks_first),
        cmocka_unit_test(test_other_machine),
        cmocka_unit_test(test_verify),
        cmocka_unit_test(test_verify_kinds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
