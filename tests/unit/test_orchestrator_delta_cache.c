/* SPDX-License-Identifier: Apache-2.0
 *
 * Deltas of a home: made once from real packages, the same for the same packages, refused for
 * hostile ones, whole or not there when the maker is killed, and bounded.
 */
#include "tests/unit/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "delta/apply.h"
#include "link/port.h"
#include "orchestrator/delta_cache.h"
#include "tests/unit/store_rig.h"
#include "tests/unit/update_kill.h"
#include "tests/unit/update_signed.h"

#define NOW 1000000ULL
#define LIBRARY 60000U /* bytes of the large file */

static struct scratch scratch;
static struct home home;
static int program;
static struct err err;
static uint8_t noise[4][LIBRARY]; /* does not compress */

static void fill_noise(void)
{
    uint32_t x = 88172645U;

    for (size_t i = 0; i < sizeof noise; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        noise[i / LIBRARY][i % LIBRARY] = (uint8_t)x;
    }
}

static int set_up(void **state)
{
    char path[128];

    (void)state;
    fill_noise();
    scratch = scratch_new();
    (void)snprintf(path, sizeof path, "%s/home", scratch.path);
    assert_rc(home_open(path, true, &home, &err), RC_OK);
    program = open_program("berth-unpack");
    assert_true(program >= 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    home_close(&home);
    close_fd(&program);
    scratch_done(&scratch);
    return 0;
}

/* ---- packages ---- */

/* One version: a script that says its number, and a library of noise with so many bytes of it
 * changed. */
struct version {
    uint8_t number;
    unsigned noise;   /* which */
    unsigned changed; /* bytes */
    unsigned says;    /* the number in the script; 0 = its own */
    bool no_index;
    bool wrong_index;
    const char *name; /* NULL = cam */
};

static void put_bytes(int dirfd, const char *path, struct bytes content)
{
    assert_rc(fs_write_file(dirfd, path, content, 0644, &err), RC_OK);
}

static void fill_tree(int dirfd, const struct version *v)
{
    scoped(free_ptr) uint8_t *library = malloc(LIBRARY);
    char script[64];

    assert_non_null(library);
    memcpy(library, noise[v->noise], LIBRARY);
    for (unsigned i = 0; i < v->changed; i++)
        library[(i * 4099U) % LIBRARY] = (uint8_t)(library[(i * 4099U) % LIBRARY] + 1U);
    assert_rc(fs_make_dirs(dirfd, "bin", 0755, &err), RC_OK);
    assert_rc(fs_make_dirs(dirfd, "lib", 0755, &err), RC_OK);
    (void)snprintf(script, sizeof script, "#!/bin/self %u\n",
                   v->says ? v->says : (unsigned)v->number);
    put_file(dirfd, "bin/app", script, 0755);
    put_bytes(dirfd, "lib/large", (struct bytes){ library, LIBRARY });
}

/* Take a package file into the home as `berth push` does. */
static void push_file(int fd, const struct manifest *m, struct store_package *ret)
{
    struct stat st;
    uint8_t buf[DOCUMENT_MAX];
    struct bytes cbor;

    memset(ret, 0, sizeof *ret);
    assert_int_equal(fstat(fd, &st), 0);
    memcpy(ret->tenant, m->tenant, sizeof ret->tenant);
    memcpy(ret->name, m->name, sizeof ret->name);
    memcpy(ret->version, m->version, sizeof ret->version);
    ret->release = m->release;
    ret->size = (uint64_t)st.st_size;
    assert_rc(manifest_encode(m, buf, sizeof buf, &cbor, &err), RC_OK);
    assert_rc(sha256_of(cbor, ret->manifest.b, &err), RC_OK);
    assert_rc(home_add_file(&home, fd, ret->size, &ret->object, ret->path, &err), RC_OK);
    assert_rc(store_put_package(home.store, ret, &err), RC_OK);
}

static void push(const struct version *v, struct store_package *ret)
{
    struct scratch tree = scratch_new();
    scoped(close_fd) int content = memfd_create("content", MFD_CLOEXEC);
    scoped(free_ptr) struct manifest *m = calloc(1, sizeof *m);
    scoped(free_ptr) uint8_t *bytes = NULL;
    struct packed packed;

    assert_non_null(m);
    fill_tree(tree.fd, v);
    assert_rc(pack_tree(tree.fd, "/bin/app", 3, content, &packed, &err), RC_OK);
    scratch_done(&tree);
    bytes = malloc(packed.content_bytes);
    assert_non_null(bytes);
    assert_rc(fs_pread_exact(content, bytes, packed.content_bytes, 0, &err), RC_OK);
    *m = doc_manifest();
    pack_fill(&packed, m);
    if (v->name)
        (void)snprintf(m->name, sizeof m->name, "%s", v->name);
    (void)snprintf(m->version, sizeof m->version, "%u", v->number);
    (void)snprintf(m->arch, sizeof m->arch, "aarch64"); /* made for another machine than this one */
    m->n_args = 1;
    (void)snprintf(m->args[0], sizeof m->args[0], "/bin/app");
    if (v->no_index) {
        memset(&m->index, 0, sizeof m->index);
        memset(&m->index384, 0, sizeof m->index384);
    }
    if (v->wrong_index)
        m->index.b[0] ^= 1;

    scoped(close_fd) int fd =
        signed_package(m, (struct bytes){ bytes, packed.content_bytes }, K_ACME);

    push_file(fd, m, ret);
}

static const struct version one = { .number = 1 };
static const struct version two = { .number = 2, .changed = 40 };

/* ---- making ---- */

static enum rc make_in(const struct home *where, const struct store_package *base,
                       const struct store_package *to, struct store_delta *ret)
{
    const struct delta_pair pair = { .base = base, .to = to };
    scoped(delta_cache_close) struct delta_cache cache = DELTA_CACHE_NONE;
    enum rc rc = delta_cache_open(where, program, &cache, &err);

    return rc == RC_OK ? delta_cache_make(&cache, &pair, NULL, NOW, ret, &err) : rc;
}

static enum rc make(const struct store_package *base, const struct store_package *to,
                    struct store_delta *ret)
{
    return make_in(&home, base, to, ret);
}

/* Nothing but the lock lies in deltas/, and so many objects in objects/. */
static void assert_tidy(size_t objects)
{
    assert_int_equal(entries_in(home.dirfd, "deltas"), 1);
    assert_int_equal(faccessat(home.dirfd, "deltas/lock", F_OK, 0), 0);
    assert_int_equal(entries_in(home.dirfd, "objects"), objects);
}

/* The object is a delta package with the new package's envelope and a head for these two. */
static void assert_delta_of(const struct store_delta *row, const struct store_package *to)
{
    scoped(package_done) struct package delta = { 0 };
    scoped(package_done) struct package full = { 0 };
    scoped(close_fd) int fd = -1, full_fd = -1;
    struct format_head head;
    uint64_t size = 0, full_size = 0;

    assert_rc(home_open_object(&home, &row->object, &fd, &size, &err), RC_OK);
    assert_rc(home_open_object(&home, &to->object, &full_fd, &full_size, &err), RC_OK);
    assert_int_equal(size, row->size);
    assert_rc(package_open_delta(fd, &delta, &err), RC_OK);
    assert_rc(package_open(full_fd, &full, &err), RC_OK);
    assert_true(bytes_equal(package_envelope(&delta), package_envelope(&full)));

    const struct apply_spec spec = { .at = delta.content_at, .size = delta.content_bytes };

    assert_rc(apply_head(fd, &spec, &head, &err), RC_OK);
    assert_int_equal(head.memory, row->memory);
    assert_in_range(head.memory, 1, APPLY_MEMORY_MAX);
    assert_int_equal(head.n_old, 3); /* the index, and two files */
    assert_int_equal(head.n_new, 3);
}

static void a_delta_is_made_once(void **state)
{
    struct store_package a, b;
    struct store_delta row, again;

    (void)state;
    push(&one, &a);
    push(&two, &b);
    assert_rc(make(&a, &b, &row), RC_OK);
    assert_int_equal(row.state, DELTA_READY);
    assert_in_range(row.size, 1, b.size / 4);
    assert_delta_of(&row, &b);
    assert_tidy(3);
    /* the packages are not needed any more */
    assert_int_equal(unlinkat(home.dirfd, a.path, 0), 0);
    assert_rc(make(&a, &b, &again), RC_OK);
    assert_memory_equal(&again, &row, sizeof row);
}

/* Another manifest for the same files. */
static void a_version_of_the_same_files_costs_next_to_nothing(void **state)
{
    static const struct version again = { .number = 9, .says = 1 };
    struct store_package a, b;
    struct store_delta row;

    (void)state;
    push(&one, &a);
    push(&again, &b);
    assert_rc(make(&a, &b, &row), RC_OK);
    assert_int_equal(row.state, DELTA_READY);
    assert_in_range(row.size, 1, 6000); /* most of it is the envelope */
}

static void the_same_packages_give_the_same_delta(void **state)
{
    scoped(home_close) struct home other = HOME_NONE;
    struct store_package a, b;
    struct store_delta row, gone, again;
    char path[128];

    (void)state;
    push(&one, &a);
    push(&two, &b);
    assert_rc(make(&a, &b, &row), RC_OK);
    gone = row;
    gone.state = DELTA_DROPPED;
    assert_rc(store_put_delta(home.store, &gone, &err), RC_OK);
    (void)snprintf(
        path, sizeof path, "objects/%s",
        bytes_hex((struct bytes){ row.object.b, DIGEST_SIZE }, (char[2 * DIGEST_SIZE + 1]){ 0 }));
    assert_int_equal(unlinkat(home.dirfd, path, 0), 0);
    assert_rc(make(&a, &b, &again), RC_OK);
    assert_memory_equal(&again, &row, sizeof row);
    assert_tidy(3);
}

static void what_saves_nothing_is_remembered(void **state)
{
    static const struct version stranger = { .number = 3, .noise = 1 };
    static const struct version old_kind = { .number = 4, .changed = 9, .no_index = true };
    static const struct version radar = { .number = 5, .name = "radar" };
    struct store_package a, b, c, d;
    struct store_delta row;

    (void)state;
    push(&one, &a);
    push(&stranger, &b);
    push(&old_kind, &c);
    push(&radar, &d);
    assert_rc(make(&a, &b, &row), RC_OK);
    assert_int_equal(row.state, DELTA_NO_GAIN);
    assert_rc(make(&a, &c, &row), RC_OK);
    assert_int_equal(row.state, DELTA_NO_GAIN);
    assert_rc(make(&c, &a, &row), RC_OK);
    assert_int_equal(row.state, DELTA_NO_GAIN);
    assert_rc(make(&d, &a, &row), RC_OK);
    assert_int_equal(row.state, DELTA_NO_GAIN);
    assert_rc(store_delta(home.store, &a.manifest, &b.manifest, &row, &err), RC_OK);
    assert_tidy(4);
}

/* ---- hostile packages ---- */

static void push_raw(struct tar *t, uint8_t number, struct store_package *ret)
{
    struct content c = { 0 };

    tar_end(t);
    c = compress_window((struct bytes){ .p = t->p, .n = t->n }, 0);

    struct unpack_spec spec = spec_of(content_view(&c), t, "/bin/app");
    struct manifest m = signed_manifest(&spec);

    memset(&m.content384, 0, sizeof m.content384);
    memset(&m.index, 0x5a, sizeof m.index);
    (void)snprintf(m.version, sizeof m.version, "%u", number);
    scoped(close_fd) int fd = signed_package(&m, content_view(&c), K_ACME);

    push_file(fd, &m, ret);
    free(c.p);
    tar_done(t);
}

static void tar_escapes(struct tar *t)
{
    tar_file(t, "../../escaped", 0644, "x");
}

static void tar_device(struct tar *t)
{
    struct tar_entry e = { .type = '3', .name = "disk", .mode = 0644 };

    tar_add(t, &e);
}

static void tar_link_out(struct tar *t)
{
    tar_link(t, '2', "out", "/etc");
    tar_file(t, "out/passwd", 0644, "x");
}

static void tar_other_index(struct tar *t)
{
    tar_dir(t, "bin/");
    tar_file(t, "bin/app", 0755, "x");
}

static void hostile_packages_make_nothing(void **state)
{
    static const struct {
        const char *why;
        void (*fill)(struct tar *t);
        enum rc rc;
    } rows[] = {
        { "a path that leads out", tar_escapes, RC_ARCHIVE_PATH },
        { "a device", tar_device, RC_ARCHIVE_TYPE },
        { "a link that leads out", tar_link_out, RC_ARCHIVE_LINK },
        { "an index that is not its own", tar_other_index, RC_INDEX_MISMATCH },
    };
    struct store_package good, bad;
    struct store_delta row;

    (void)state;
    push(&one, &good);
    for (uint8_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tar t = { 0 };
        enum rc as_base, as_new;

        rows[i].fill(&t);
        push_raw(&t, (uint8_t)(100 + i), &bad);
        as_base = make(&bad, &good, &row);
        as_new = make(&good, &bad, &row);
        if (as_base != rows[i].rc || as_new != rows[i].rc)
            fail_msg("%s: %s, %s", rows[i].why, rc_name(as_base), rc_name(as_new));
        assert_rc(store_delta(home.store, &bad.manifest, &good.manifest, &row, &err), RC_NOT_FOUND);
        assert_tidy(2U + i);
    }
    assert_int_equal(faccessat(scratch.fd, "escaped", F_OK, 0), -1);
}

/* Files of the home that were changed since they were pushed. */
static void damaged_objects_make_nothing(void **state)
{
    struct store_package a, b;
    struct store_delta row;
    struct stat st;
    uint8_t byte = 0;

    (void)state;
    push(&one, &a);
    push(&two, &b);
    scoped(close_fd) int fd = openat(home.dirfd, b.path, O_RDWR | O_CLOEXEC);

    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(pread(fd, &byte, 1, st.st_size - 100), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, st.st_size - 100), 1);
    assert_rc(make(&a, &b, &row), RC_DIGEST_MISMATCH);
    assert_int_equal(ftruncate(fd, 20), 0);
    assert_rc(make(&a, &b, &row), RC_SHORT);
    assert_int_equal(unlinkat(home.dirfd, b.path, 0), 0);
    assert_rc(make(&a, &b, &row), RC_NOT_FOUND);
    assert_tidy(1);
}

/* ---- killed ---- */

struct killed {
    const char *path; /* of the home */
    struct store_package a, b;
};

static int make_alone(void *arg)
{
    const struct killed *k = arg;
    scoped(home_close) struct home own = HOME_NONE;
    struct store_delta row;
    struct err mine;

    if (home_open(k->path, false, &own, &mine) != RC_OK)
        return 1;
    return make_in(&own, &k->a, &k->b, &row) == RC_OK ? 0 : 2;
}

/* As before the kill, so that the next one meets everything anew. */
static void forget(const struct store_delta *row)
{
    struct store_delta gone = *row;
    char path[HOME_OBJECT_CAP], hex[2 * DIGEST_SIZE + 1];

    gone.state = DELTA_DROPPED;
    assert_rc(store_put_delta(home.store, &gone, &err), RC_OK);
    (void)snprintf(path, sizeof path, "objects/%s",
                   bytes_hex((struct bytes){ row->object.b, DIGEST_SIZE }, hex));
    assert_rc(fs_unlink(home.dirfd, path, &err), RC_OK);
}

/* Once somebody has opened the cache there is no file that the store does not know of. */
static void assert_nothing_is_left(const struct killed *k)
{
    struct store_delta row;
    bool ready = store_delta(home.store, &k->a.manifest, &k->b.manifest, &row, &err) == RC_OK &&
                 row.state == DELTA_READY;
    scoped(delta_cache_close) struct delta_cache cache = DELTA_CACHE_NONE;

    assert_rc(delta_cache_open(&home, program, &cache, &err), RC_OK);
    assert_tidy(ready ? 3 : 2);
}

/* At each system call that changes a file; sanitized programs are slow, and every sixth has to do.
 */
#if defined(BERTH_SANITIZED)
#define KILL_STEP 6U
#else
#define KILL_STEP 1U
#endif

static void killed_anywhere_it_is_whole_or_made_again(void **state)
{
    struct killed k = { .path = home.path };
    struct store_delta want, row;
    bool ended = false;
    size_t kills = 0;

    (void)state;
    push(&one, &k.a);
    push(&two, &k.b);
    assert_rc(make(&k.a, &k.b, &want), RC_OK);
    for (size_t n = 1; !ended; n += KILL_STEP) {
        struct view_making making;
        int code = -1;

        forget(&want);
        ended = !kill_at(n, make_alone, &k, NULL, &code);
        kills += !ended;
        if (ended)
            assert_int_equal(code, 0);
        delta_cache_making(&home, &making);
        assert_false(making.is); /* nobody waits for the dead */
        assert_nothing_is_left(&k);
        if (store_delta(home.store, &k.a.manifest, &k.b.manifest, &row, &err) == RC_OK &&
            row.state == DELTA_READY)
            assert_delta_of(&row, &k.b);
        assert_rc(make(&k.a, &k.b, &row), RC_OK);
        assert_memory_equal(&row, &want, sizeof row);
        assert_delta_of(&row, &k.b);
        {
            scoped(delta_cache_close) struct delta_cache cache = DELTA_CACHE_NONE;

            assert_rc(delta_cache_open(&home, program, &cache, &err), RC_OK);
        }
        assert_tidy(3);
    }
    assert_in_range(kills, 20U / KILL_STEP, 400);
}

/* ---- a disk that fails ---- */

/* What the child tells. */
struct told {
    enum rc first, second;
    char what[64];
};

struct failing {
    const struct killed *k;
    struct told *told; /* shared */
};

static int make_failing(void *arg)
{
    const struct failing *f = arg;
    scoped(home_close) struct home own = HOME_NONE;
    struct store_delta row;
    struct err mine;

    if (home_open(f->k->path, false, &own, &mine) != RC_OK)
        return 1;
    fault_arm();
    f->told->first = make_in(&own, &f->k->a, &f->k->b, &row);
    fault_disarm();
    (void)snprintf(f->told->what, sizeof f->told->what, "%.63s", err.what);
    f->told->second = make_in(&own, &f->k->a, &f->k->b, &row);
    return 0;
}

/* In a child of its own; what that starts is not looked at: makers are in groups of their own. */
static struct fault_seen run_alone(const struct fault *fault, int (*fn)(void *arg), void *arg)
{
    struct fault_trace *t = calloc(1, sizeof *t);
    int go = -1;

    assert_non_null(t);
    t->fault = *fault;
    pid_t pid = fault_fork(fn, arg, &go, NULL);
    fault_seize(t, pid, false);
    assert_int_equal(write(go, "x", 1), 1);
    while (!t->ended && fault_pump(t, 0))
        ;
    close_fd(&go);
    const struct fault_seen seen = t->seen;
    free(t);
    return seen;
}

/* Every fourth call of a mode, every read; how many were met.  What the disk did is held against
 * the disk: it is told as something to try again, nothing is remembered of the pair, and the next
 * try makes it.
 */
static size_t fail_at_calls(const struct failing *f, struct fault fault,
                            const struct store_delta *want)
{
    struct store_delta_failed failed;
    const size_t stride = (fault.calls == CALLS_READ ? 1U : 4U) * KILL_STEP;
    struct store_delta row;
    size_t met = 0;

    for (fault.n = 1;; fault.n += stride) {
        forget(want);
        *f->told = (struct told){ .first = RC_INTERNAL, .second = RC_INTERNAL };
        struct fault_seen seen = run_alone(&fault, make_failing, (void *)(uintptr_t)f);

        if (seen.exit_code != 0 || f->told->second != RC_OK ||
            (f->told->first != RC_OK && f->told->first != RC_STORE &&
             rc_class(f->told->first) != RC_CLASS_RETRY))
            fail_msg("errno %d at call %zu (%s %s): %s (%s), then %s, exit %d", fault.sys, fault.n,
                     fault_call_name(seen.at.nr), seen.at.path, rc_name(f->told->first),
                     f->told->what, rc_name(f->told->second), seen.exit_code);
        assert_rc(
            store_delta_failed(home.store, &f->k->a.manifest, &f->k->b.manifest, &failed, &err),
            RC_NOT_FOUND);
        assert_rc(make(&f->k->a, &f->k->b, &row), RC_OK);
        assert_memory_equal(&row, want, sizeof row);
        assert_delta_of(&row, &f->k->b);
        assert_tidy(3);
        if (seen.fired == 0)
            return met;
        met++;
    }
}

static void a_disk_that_fails_is_no_fault_of_the_maker(void **state)
{
    const struct fault modes[] = {
        { .kind = FAULT_FAIL, .sys = EIO },
        { .kind = FAULT_FAIL, .sys = ENOSPC, .calls = CALLS_ALLOCATE | CALLS_SYNC },
        { .kind = FAULT_FAIL, .sys = EIO, .calls = CALLS_READ, .under = home.path },
    };
    struct killed k = { .path = home.path };
    struct failing f = { .k = &k };
    struct store_delta want;
    const unsigned fewest = store_rig_is_pg() ? 6 : 8; /* the store's own are the server's then */

    (void)state;
    f.told = mmap(NULL, sizeof *f.told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(f.told != MAP_FAILED);
    push(&one, &k.a);
    push(&two, &k.b);
    assert_rc(make(&k.a, &k.b, &want), RC_OK);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        assert_in_range(fail_at_calls(&f, modes[i], &want), fewest / KILL_STEP, 400);
    (void)munmap(f.told, sizeof *f.told);
}

/* ---- one maker at a time ---- */

static void only_one_program_makes_deltas(void **state)
{
    scoped(delta_cache_close) struct delta_cache first = DELTA_CACHE_NONE;
    struct delta_cache second = DELTA_CACHE_NONE;
    struct view_making making = { .is = true };

    (void)state;
    delta_cache_making(&home, &making);
    assert_false(making.is); /* there is no deltas/ yet */
    assert_rc(delta_cache_open(&home, program, &first, &err), RC_OK);
    assert_rc(delta_cache_open(&home, program, &second, &err), RC_BUSY);
    delta_cache_making(&home, &making);
    assert_false(making.is); /* it makes none at the moment */
}

struct watch {
    unsigned calls;
    bool right; /* each time */
    const struct delta_pair *pair;
};

static void watch_tell(void *arg, uint64_t done, uint64_t total)
{
    struct watch *w = arg;
    struct view_making making;

    delta_cache_making(&home, &making);
    w->right = (w->calls == 0 || w->right) && done <= total && making.is &&
               digest_same(&making.base, &w->pair->base->manifest) &&
               digest_same(&making.manifest, &w->pair->to->manifest);
    w->calls++;
}

static void what_is_being_made_can_be_seen(void **state)
{
    scoped(delta_cache_close) struct delta_cache cache = DELTA_CACHE_NONE;
    struct store_package a, b;
    const struct delta_pair pair = { .base = &a, .to = &b };
    struct watch watch = { .pair = &pair };
    const struct make_progress progress = { .tell = watch_tell, .arg = &watch };
    struct view_making making;
    struct store_delta row;

    (void)state;
    push(&one, &a);
    push(&two, &b);
    assert_rc(delta_cache_open(&home, program, &cache, &err), RC_OK);
    assert_rc(delta_cache_make(&cache, &pair, &progress, NOW, &row, &err), RC_OK);
    assert_true(watch.calls > 0);
    assert_true(watch.right);
    delta_cache_making(&home, &making);
    assert_false(making.is);
}

/* ---- failures ---- */

/* Makers of deltas that died at the first word that they had for their parent.  They count
 * themselves: nobody else is sure to come before they are done. */
static struct {
    pid_t test; /* not to be taken for a maker; 0 = they live */
    volatile unsigned *ended;
} dying;

#define MAKER_TELLS 4 /* the maker's pipe to its parent */

ssize_t write(int fd, const void *buf, size_t n)
{
    if (dying.test != 0 && getpid() != dying.test && fd == MAKER_TELLS) {
        ++*dying.ended;
        (void)raise(SIGKILL);
    }
    return syscall(SYS_write, fd, buf, n);
}

static void let_makers_die(bool yes)
{
    if (!dying.ended) {
        void *shared = mmap(NULL, sizeof *dying.ended, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        assert_true(shared != MAP_FAILED);
        dying.ended = shared;
    }
    dying.test = yes ? getpid() : 0;
}

/* Why a satellite that has committed `from` gets what it gets, as a plan says it. */
static enum ride_why planned(const struct store_package *from, const struct store_package *to)
{
    scoped(view_free) struct view *view = NULL;
    struct report_payload payload = { .state = SLOT_COMMITTED,
                                      .is_running = true,
                                      .wanted = from->manifest,
                                      .running = from->manifest };
    struct sight seen = { .n_payloads = 1, .payload = &payload };
    struct view_satellite sat = { .seen = &seen };

    memcpy(payload.tenant, from->tenant, sizeof from->tenant);
    memcpy(payload.name, from->name, sizeof from->name);
    assert_rc(view_load(home.store, &view, &err), RC_OK);
    const struct ride ride = view_ride(view, &sat, view_package(view, &to->manifest));
    assert_true(digest_same(&ride.base, &from->manifest));
    assert_int_equal(ride.kind, ride.why == RIDE_SMALLEST ? RIDE_DELTA : RIDE_FULL);
    return ride.why;
}

static void what_failed_is_remembered(void **state)
{
    scoped(delta_cache_close) struct delta_cache cache = DELTA_CACHE_NONE;
    struct store_package a, b;
    const struct delta_pair pair = { .base = &a, .to = &b };
    struct store_delta_failed failed;
    struct store_delta row;

    (void)state;
    push(&one, &a);
    push(&two, &b);
    assert_rc(delta_cache_open(&home, program, &cache, &err), RC_OK);
    assert_int_equal(planned(&a, &b), RIDE_NOT_MADE);
    let_makers_die(true);
    assert_rc(delta_cache_make(&cache, &pair, NULL, NOW, &row, &err), RC_UNPACK_FAILED);
    assert_int_equal(*dying.ended, 1);
    assert_int_equal(planned(&a, &b), RIDE_UNMAKABLE);
    assert_int_equal(planned(&b, &a), RIDE_NOT_MADE);
    assert_rc(store_delta_failed(home.store, &a.manifest, &b.manifest, &failed, &err), RC_OK);
    assert_int_equal(failed.code, RC_UNPACK_FAILED);
    assert_int_equal(failed.engine, MAKE_ENGINE);
    assert_int_equal(failed.at_ms, NOW);

    /* no maker is started again, and the words say what to do; the other way is another pair */
    assert_rc(delta_cache_make(&cache, &pair, NULL, NOW + 1, &row, &err), RC_UNPACK_FAILED);
    assert_int_equal(*dying.ended, 1);
    let_makers_die(false);
    assert_non_null(strstr(err.what, "--retry"));
    assert_rc(store_delta(home.store, &a.manifest, &b.manifest, &row, &err), RC_NOT_FOUND);
    assert_rc(delta_cache_make(&cache, &(struct delta_pair){ &b, &a }, NULL, NOW, &row, &err),
              RC_OK);

    /* asked to, it tries again, and what fails again is remembered again */
    cache.retry = true;
    let_makers_die(true);
    assert_rc(delta_cache_make(&cache, &pair, NULL, NOW + 2, &row, &err), RC_UNPACK_FAILED);
    assert_int_equal(*dying.ended, 2);
    let_makers_die(false);
    assert_rc(store_delta_failed(home.store, &a.manifest, &b.manifest, &failed, &err), RC_OK);
    assert_int_equal(failed.at_ms, NOW + 2);

    /* and so does a later engine; what works then is forgotten */
    cache.retry = false;
    failed.engine = MAKE_ENGINE - 1;
    assert_rc(store_put_delta_failed(home.store, &failed, &err), RC_OK);
    assert_int_equal(planned(&a, &b), RIDE_NOT_MADE);
    assert_rc(delta_cache_make(&cache, &pair, NULL, NOW, &row, &err), RC_OK);
    assert_int_equal(row.state, DELTA_READY);
    assert_int_equal(planned(&a, &b), RIDE_SMALLEST);
    assert_rc(store_delta_failed(home.store, &a.manifest, &b.manifest, &failed, &err),
              RC_NOT_FOUND);
    assert_tidy(4);
}

/* ---- bounded ---- */

static bool has_object(const struct store_delta *row)
{
    scoped(close_fd) int fd = -1;
    uint64_t size = 0;

    return home_open_object(&home, &row->object, &fd, &size, &err) == RC_OK;
}

static void the_oldest_gives_way(void **state)
{
    static const struct version three = { .number = 3, .changed = 60 };
    scoped(delta_cache_close) struct delta_cache cache = DELTA_CACHE_NONE;
    struct store_satellite sat = { .id = "sat-1", .node = 7 };
    struct store_outgoing waiting = { .satellite = "sat-1", .kind = OBJECT_PACKAGE };
    struct store_package a, b, c;
    struct store_delta ab, bc, ac;

    (void)state;
    push(&one, &a);
    push(&two, &b);
    push(&three, &c);
    assert_rc(make(&a, &b, &ab), RC_OK);
    assert_rc(make(&b, &c, &bc), RC_OK);
    assert_rc(make(&a, &c, &ac), RC_OK);
    assert_rc(store_use_delta(home.store, &ab, NOW + 3, &err), RC_OK);
    assert_rc(store_use_delta(home.store, &bc, NOW + 1, &err), RC_OK);
    assert_rc(store_use_delta(home.store, &ac, NOW + 2, &err), RC_OK);
    assert_rc(delta_cache_open(&home, program, &cache, &err), RC_OK);
    assert_rc(delta_cache_trim(&cache, ab.size + bc.size + ac.size, &err), RC_OK);
    assert_tidy(6);
    assert_rc(delta_cache_trim(&cache, ab.size + ac.size, &err), RC_OK);
    assert_false(has_object(&bc));
    assert_true(has_object(&ab) && has_object(&ac));
    assert_rc(store_delta(home.store, &b.manifest, &c.manifest, &bc, &err), RC_OK);
    assert_int_equal(bc.state, DELTA_DROPPED);

    /* what a satellite waits for stays, and a younger one goes instead */
    assert_rc(store_put_satellite(home.store, &sat, &err), RC_OK);
    waiting.object = ac.object;
    assert_rc(store_queue(home.store, &waiting, false, &err), RC_OK);
    assert_rc(delta_cache_trim(&cache, ac.size, &err), RC_OK);
    assert_true(has_object(&ac));
    assert_false(has_object(&ab));
    assert_rc(delta_cache_trim(&cache, 0, &err), RC_OK);
    assert_true(has_object(&ac));
    assert_tidy(4);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ROW(a_delta_is_made_once),
        ROW(a_version_of_the_same_files_costs_next_to_nothing),
        ROW(the_same_packages_give_the_same_delta),
        ROW(what_saves_nothing_is_remembered),
        ROW(hostile_packages_make_nothing),
        ROW(damaged_objects_make_nothing),
        ROW(killed_anywhere_it_is_whole_or_made_again),
        ROW(a_disk_that_fails_is_no_fault_of_the_maker),
        ROW(only_one_program_makes_deltas),
        ROW(what_is_being_made_can_be_seen),
        ROW(what_failed_is_remembered),
        ROW(the_oldest_gives_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
