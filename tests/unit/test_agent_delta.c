/* SPDX-License-Identifier: Apache-2.0
 *
 * Deltas on their way through the whole satellite: taken, refused with the full package taken
 * afterwards, cut off at work.
 */
#include "tests/unit/test.h"

#include "tests/unit/agent_sky.h"
#include "tests/unit/delta_package.h"
#include "update/check.h"

/* Versions as the ground has them: the probe as bin/app, and a file that differs. */
struct built {
    struct dp_tree tree;
    struct manifest manifest;
    struct digest digest; /* of the manifest */
};

#define PAYLOAD_BYTES (3U << 20)

/* What the tree of version n is made of: the probe, noise that changes in one place, a text. */
static uint32_t filling;

static void fill(struct tar *t)
{
    static uint8_t noise[PAYLOAD_BYTES];
    char path[700], text[64];
    uint8_t *probe = NULL;
    size_t n = 0;
    struct err err = { 0 };

    (void)snprintf(path, sizeof path, "%s/tests/probe/agent_payload", sky->build);
    must(fs_read_alloc(AT_FDCWD, path, 64U << 20, &probe, &n, &err), &err);
    dp_noise(5, noise, sizeof noise);
    dp_noise(100 + filling, noise + 100000, 500);
    (void)snprintf(text, sizeof text, "this is version %u", filling);

    const struct tar_entry app = {
        .type = '0', .name = "bin/app", .mode = 0755, .data = probe, .n = n
    };
    const struct tar_entry data = {
        .type = '0', .name = "data.bin", .mode = 0644, .data = noise, .n = sizeof noise
    };

    tar_dir(t, "bin/");
    tar_add(t, &app);
    tar_add(t, &data);
    tar_file(t, "text", 0644, text);
    tar_end(t);
    free(probe);
}

static noinline struct built build(uint32_t n)
{
    struct built b = { 0 };
    struct packed packed = { 0 };
    char version[8];
    struct version v = { version, "good", n, 0, K_ACME };
    struct err err = { 0 };

    filling = n;
    (void)snprintf(version, sizeof version, "%u.0", n);
    b.tree = dp_tree_new(fill, "/bin/app");
    packed.content = b.tree.spec.content;
    packed.content_bytes = b.tree.spec.content_bytes;
    packed.unpacked_bytes = b.tree.spec.unpacked_bytes;
    packed.files = b.tree.spec.files;
    packed.index = b.tree.spec.index;
    must(sha384_of(content_view(&b.tree.content), packed.content384.b, &err), &err);
    packed.index384 = b.tree.spec.index384;
    b.manifest = manifest_of(&v, &packed);
    doc_signed(&signed_doc_, DOC_MANIFEST, manifest_encode, &b.manifest, K_ACME);
    must(sha256_of(signed_doc_.payload, b.digest.b, &err), &err);
    return b;
}

static void built_done(struct built *b)
{
    dp_tree_done(&b->tree);
}

static noinline void send_full(const struct built *b)
{
    scoped(close_fd) int fd = signed_package(&b->manifest, content_view(&b->tree.content), K_ACME);

    send_object(OBJECT_PACKAGE, fd, NULL);
}

/* A delta package with these bytes as the delta. */
static noinline void send_delta_bytes(const struct built *to, struct bytes delta)
{
    scoped(close_fd) int from = memfd_of(delta);
    scoped(close_fd) int fd = memfd_create("package", MFD_CLOEXEC);
    struct err err = { 0 };

    doc_signed(&signed_doc_, DOC_MANIFEST, manifest_encode, &to->manifest, K_ACME);
    must(pack_assemble_delta(signed_doc_.bytes, from, delta.n, fd, &err), &err);
    send_object(OBJECT_PACKAGE, fd, NULL);
}

static noinline void send_delta(const struct built *from, const struct built *to)
{
    scoped(made_done) struct made made = dp_delta(&from->tree, &to->tree);

    assert_true(made.n < 10000);
    send_delta_bytes(to, (struct bytes){ made.p, made.n });
}

struct waiting_line {
    const struct digest *wanted;
    enum rc code;
};

/* The version waits for its package, and says why the delta was none. */
static bool waits(const struct report *r, const void *arg)
{
    const struct waiting_line *want = arg;

    return r->n_payloads == 1 && r->payload[0].state == SLOT_RECEIVING &&
           r->payload[0].code == (uint32_t)want->code &&
           digest_same(&r->payload[0].wanted, want->wanted);
}

static void await_waiting(const struct digest *wanted, enum rc code)
{
    const struct waiting_line want = { wanted, code };

    await(rc_name(code), waits, &want);
}

/* The files of a slot are those of the full package. */
static void assert_slot(const struct built *b)
{
    char hex[2 * DIGEST_SIZE + 1], path[200];
    struct err err = { 0 };

    (void)snprintf(path, sizeof path, "slots/acme/cam-north/%s/root",
                   bytes_hex((struct bytes){ b->digest.b, DIGEST_SIZE }, hex));

    scoped(close_fd) int root = openat(sky->state, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(root >= 0);
    assert_rc(check_tree(b->tree.index, &b->tree.spec, root, &err), RC_OK);
}

static bool count_fan(void *arg, const char *name)
{
    char path[64];

    (void)snprintf(path, sizeof path, "objects/sha256/%s", name);
    *(size_t *)arg += entries_in(sky->state, path);
    return true;
}

static size_t stored_objects(void)
{
    size_t n = 0;
    struct err err = { 0 };

    enum rc rc = fs_list(sky->state, "objects/sha256", 256, count_fan, &n, NULL, &err);

    if (rc != RC_NOT_FOUND) /* the agent has not come to make it yet */
        must(rc, &err);
    return n;
}

static void await_objects(size_t n)
{
    const uint64_t until = clock_mono_ms() + WAIT_MS;

    while (stored_objects() != n) {
        assert_true(clock_mono_ms() < until);
        exchange();
    }
}

/* ---- the courses --------------------------------------------------------------------------------
 */

/* From the version that runs, from the one before it, from one that came ahead of its order. */
static void deltas_are_taken(void **state)
{
    scoped(built_done) struct built b1 = build(1);
    scoped(built_done) struct built b2 = build(2);
    scoped(built_done) struct built b3 = build(3);

    (void)state;
    start_berthd();
    send_full(&b1);
    send_order(1, &b1.digest);
    await_standing(SLOT_COMMITTED, &b1.digest);
    send_order(2, &b2.digest);
    send_delta(&b1, &b2);
    await_standing(SLOT_COMMITTED, &b2.digest);
    assert_slot(&b2);
    send_delta(&b1, &b3); /* from the one before the one that runs */
    send_order(3, &b3.digest);
    await_standing(SLOT_COMMITTED, &b3.digest);
    assert_slot(&b3);
    assert_int_equal(sky->report.n_events, 0);
    await_no_staging();
    await_objects(0); /* deltas are not kept: nothing to repair from */
}

/* The satellite does not have what the delta starts from: said until the full package comes, also
 * by an agent that has been started again and whose first reports were lost. */
static void without_a_base_the_full_package_does(void **state)
{
    scoped(built_done) struct built b1 = build(1);
    scoped(built_done) struct built b2 = build(2);
    scoped(built_done) struct built b3 = build(3);

    (void)state;
    start_berthd();
    send_full(&b1);
    send_order(1, &b1.digest);
    await_standing(SLOT_COMMITTED, &b1.digest);
    send_order(2, &b3.digest);
    send_delta(&b2, &b3);
    await_waiting(&b3.digest, RC_DELTA_BASE);
    await_event(RC_DELTA_BASE);
    await_standing(SLOT_RECEIVING, &b1.digest); /* goes on */
    assert_int_equal(entries_in(sky->state, "refused"), 1);
    end_berthd(SIGKILL, SIGKILL);
    start_berthd();
    await_waiting(&b3.digest, RC_DELTA_BASE);
    assert_int_equal(sky->report.n_events, 0);
    send_full(&b3);
    await_standing(SLOT_COMMITTED, &b3.digest);
    assert_int_equal(sky->report.payload[0].code, RC_OK);
    assert_slot(&b3);
}

/* Hostile ones for the version that is wanted, one after the other; none is held against it. */
static void hostile_deltas_are_not_held_against_the_version(void **state)
{
    static const struct {
        size_t at; /* where a byte of an honest delta is changed; from the end if large */
        enum rc rc;
    } rows[] = {
        { 7, RC_DELTA_FORMAT },    /* magic */
        { 20, RC_DELTA_BASE },     /* base */
        { 60, RC_INDEX_MISMATCH }, /* result */
        { SIZE_MAX, RC_OK },       /* the last byte: whatever the decoder makes of it */
    };
    scoped(built_done) struct built b1 = build(1);
    scoped(built_done) struct built b2 = build(2);
    scoped(made_done) struct made made = dp_delta(&b1.tree, &b2.tree);

    (void)state;
    start_berthd();
    send_full(&b1);
    send_order(1, &b1.digest);
    await_standing(SLOT_COMMITTED, &b1.digest);
    send_order(2, &b2.digest);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t at = rows[i].at < made.n ? rows[i].at : made.n - 1;

        made.p[at] ^= 0x40;
        send_delta_bytes(&b2, (struct bytes){ made.p, made.n });
        made.p[at] ^= 0x40;
        if (rows[i].rc != RC_OK)
            await_waiting(&b2.digest, rows[i].rc);
    }
    send_delta_bytes(&b2, (struct bytes){ made.p, made.n / 2 });
    await_waiting(&b2.digest, RC_DELTA_STREAM);
    await_no_staging(); /* the one before may have ended the same */
    await_standing(SLOT_RECEIVING, &b1.digest);
    send_delta_bytes(&b2, (struct bytes){ made.p, made.n }); /* and the honest one still works */
    await_standing(SLOT_COMMITTED, &b2.digest);
    assert_slot(&b2);
}

/* There is room for the next version only where the kept package of this one lies, and a delta is
 * signed by nobody: it is tried before anything goes for it. */
static void hostile_deltas_make_no_room(void **state)
{
    scoped(built_done) struct built b1 = build(1);
    scoped(built_done) struct built b2 = build(2);
    scoped(made_done) struct made made = dp_delta(&b1.tree, &b2.tree);

    (void)state;
    provision_store(store_for_two(PAYLOAD_BYTES));
    start_berthd();
    send_full(&b1);
    send_order(1, &b1.digest);
    await_standing(SLOT_COMMITTED, &b1.digest);
    assert_int_equal(stored_objects(), 1);
    send_order(2, &b2.digest);
    send_delta_bytes(&b2, (struct bytes){ made.p, made.n / 2 });
    await_waiting(&b2.digest, RC_DELTA_STREAM);
    await_objects(1);
    await_no_staging();
    send_delta_bytes(&b2, (struct bytes){ made.p, made.n });
    await_standing(SLOT_COMMITTED, &b2.digest);
    assert_slot(&b2);
    await_objects(0);
}

/* A bit of the base has flipped, in a file that is only copied: told as what it is. */
static void damaged_base_is_told(void **state)
{
    scoped(built_done) struct built b1 = build(1);
    scoped(built_done) struct built b2 = build(2);
    char hex[2 * DIGEST_SIZE + 1], path[200];

    (void)state;
    start_berthd();
    send_full(&b1);
    send_order(1, &b1.digest);
    await_standing(SLOT_COMMITTED, &b1.digest);
    (void)snprintf(path, sizeof path, "slots/acme/cam-north/%s/root/bin/app",
                   bytes_hex((struct bytes){ b1.digest.b, DIGEST_SIZE }, hex));

    scoped(close_fd) int copy = openat(sky->state, "app", O_RDWR | O_CREAT | O_CLOEXEC, 0755);
    scoped(close_fd) int app = openat(sky->state, path, O_RDONLY | O_CLOEXEC);
    uint8_t digest[DIGEST_SIZE];
    uint8_t byte = 0;
    struct stat st;
    struct err err = { 0 };

    /* it runs, so it cannot be written to: another file takes its place */
    assert_int_equal(fstat(app, &st), 0);
    must(fs_copy_digest(app, copy, (uint64_t)st.st_size, digest, &err), &err);
    assert_int_equal(pread(copy, &byte, 1, st.st_size / 3), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(copy, &byte, 1, st.st_size / 3), 1);
    assert_int_equal(renameat(sky->state, "app", sky->state, path), 0);
    send_order(2, &b2.digest);
    send_delta(&b1, &b2);
    await_waiting(&b2.digest, RC_SLOT_DAMAGED);
    await_no_staging();
    send_full(&b2);
    await_standing(SLOT_COMMITTED, &b2.digest);
    assert_slot(&b2);
}

/* A delta that came before its order and was refused: nobody's line says so, the event does; the
 * line then waits, and the full package is taken. */
static void refused_ahead_of_its_order(void **state)
{
    scoped(built_done) struct built b1 = build(1);
    scoped(built_done) struct built b2 = build(2);
    scoped(built_done) struct built b3 = build(3);

    (void)state;
    start_berthd();
    send_full(&b1);
    send_order(1, &b1.digest);
    await_standing(SLOT_COMMITTED, &b1.digest);
    send_delta(&b2, &b3);
    await_event(RC_DELTA_BASE);
    await_standing(SLOT_COMMITTED, &b1.digest);
    send_order(2, &b3.digest);
    await_waiting(&b3.digest, RC_OK);
    send_full(&b3);
    await_standing(SLOT_COMMITTED, &b3.digest);
}

static bool look_for_new(void *arg, const char *name)
{
    char path[300];

    (void)snprintf(path, sizeof path, "staging/%s/root/tmp", name);
    if (faccessat(sky->state, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        *(bool *)arg = true;
    return true;
}

/* SIGKILL while a delta is at work, or just before or after; the next agent finishes from what is
 * in the store. */
static void killed_in_a_delta_it_finishes(void **state)
{
    scoped(built_done) struct built b1 = build(1);
    scoped(built_done) struct built b2 = build(2);
    char staging[128];
    bool found = false;
    struct err err = { 0 };

    (void)state;
    start_berthd();
    send_full(&b1);
    send_order(1, &b1.digest);
    await_standing(SLOT_COMMITTED, &b1.digest);
    (void)snprintf(staging, sizeof staging, "%s/state/staging", sky->dir.path);
    assert_true(inotify_add_watch(sky->watch, staging, IN_CREATE) >= 0);
    send_order(2, &b2.digest);
    send_delta(&b1, &b2);

    const uint64_t until = clock_mono_ms() + WAIT_MS;
    const struct standing done = { SLOT_COMMITTED, &b2.digest };

    while (!found && !stands(&sky->report, &done)) {
        assert_true(clock_mono_ms() < until);
        must(fs_list(sky->state, "staging", 100, look_for_new, &found, NULL, &err), &err);
        if (!found)
            exchange();
    }
    end_berthd(SIGKILL, SIGKILL);

    /* The ground sends nothing any more. */
    link_ground_close(&sky->link);
    open_link();
    start_berthd();
    await_standing(SLOT_COMMITTED, &b2.digest);
    assert_slot(&b2);
    assert_int_equal(entries_in(sky->state, "staging"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sky_open, sky_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(deltas_are_taken),
        TEST(without_a_base_the_full_package_does),
        TEST(hostile_deltas_are_not_held_against_the_version),
        TEST(hostile_deltas_make_no_room),
        TEST(damaged_base_is_told),
        TEST(refused_ahead_of_its_order),
        TEST(killed_in_a_delta_it_finishes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
