/* SPDX-License-Identifier: Apache-2.0
 *
 * update/objects and update/slots under every fault: an object and a slot are there whole or not at
 * all, whatever goes wrong and when.
 */
#include "tests/unit/fault_table.h"

#include "tests/unit/update_signed.h"
#include "update/objects.h"
#include "update/policy.h"
#include "update/slots.h"

#define ROOM 100000U
#define OBJECT "the object, which is not long"

/* ---- objects ----------------------------------------------------------------------------------
 */

static struct objects store = { .dir = -1 };

static struct digest digest_of(const char *text)
{
    struct digest digest;
    struct err err;

    assert_rc(sha256_of(bytes_of(text), digest.b, &err), RC_OK);
    return digest;
}

static void object_path(const char *text, char out[80])
{
    struct digest digest = digest_of(text);
    char hex[65];

    (void)bytes_hex((struct bytes){ .p = digest.b, .n = sizeof digest.b }, hex);
    (void)snprintf(out, 80, "sha256/%.2s/%s", hex, hex + 2);
}

static enum rc store_open(struct fault_world *w, struct err *err)
{
    return objects_open(w->dir.fd, ROOM, 10, &store, err);
}

static void store_close(struct fault_world *w)
{
    (void)w;
    objects_done(&store);
}

static enum rc object_put(struct fault_world *w, struct err *err)
{
    struct digest digest = digest_of(OBJECT);
    scoped(close_fd) int fd = memfd_of(bytes_of(OBJECT));

    (void)w;
    return objects_put(&store, &digest, fd, strlen(OBJECT), err);
}

static enum rc object_remove(struct fault_world *w, struct err *err)
{
    struct digest digest = digest_of(OBJECT);

    (void)w;
    return objects_remove(&store, &digest, err);
}

static void scratch_is_empty(struct fault_world *w)
{
    assert_int_equal(entries_in(w->dir.fd, "."), 0);
}

static void store_before(struct fault_world *w)
{
    struct err err;

    assert_rc(store_open(w, &err), RC_OK);
    store_close(w);
}

static void object_before(struct fault_world *w)
{
    struct err err;

    assert_rc(store_open(w, &err), RC_OK);
    assert_rc(object_put(w, &err), RC_OK);
    store_close(w);
}

static void object_before_damaged(struct fault_world *w)
{
    char path[80];

    object_before(w);
    object_path(OBJECT, path);
    assert_int_equal(fchmodat(w->dir.fd, path, 0600, 0), 0);
    put_file(w->dir.fd, path, "the object, which is damaged!!", 0400);
}

/* What an interrupted put left goes at the start. */
static void store_before_cut(struct fault_world *w)
{
    object_before(w);
    for (int i = 0; i < 3; i++) {
        char path[32];

        (void)snprintf(path, sizeof path, "partial/leftover-%d", i);
        put_file(w->dir.fd, path, "half an object", 0600);
    }
}

static enum rc store_is_open(struct fault_world *w, struct err *err)
{
    (void)w;
    return store.dir >= 0 ? RC_OK : err_set(err, RC_INTERNAL, "store");
}

static bool store_is_clean(struct fault_world *w)
{
    size_t n = entries_in(w->dir.fd, "partial");

    assert_true(n <= 3);
    return n == 0;
}

static enum rc object_found(struct fault_world *w)
{
    struct digest digest = digest_of(OBJECT);
    scoped(close_fd) int fd = -1;
    uint64_t size = 0;
    struct err err;

    assert_rc(store_open(w, &err), RC_OK);
    assert_int_equal(entries_in(w->dir.fd, "partial"), 0);
    bool named = objects_has(&store, &digest);
    enum rc rc = objects_get(&store, &digest, &fd, &size, &err);
    assert_true(named == (rc != RC_NOT_FOUND));
    store_close(w);
    return rc;
}

static bool object_is_there(struct fault_world *w)
{
    enum rc rc = object_found(w);

    assert_true(rc == RC_OK || rc == RC_NOT_FOUND);
    return rc == RC_OK;
}

static bool object_is_gone(struct fault_world *w)
{
    return !object_is_there(w);
}

static bool damaged_is_whole(struct fault_world *w)
{
    char path[80];
    struct stat st = { 0 };
    struct err err;
    bool there = false;

    object_path(OBJECT, path);
    assert_rc(store_open(w, &err), RC_OK);
    store_close(w);
    there = fstatat(w->dir.fd, path, &st, 0) == 0;
    return there && (size_t)st.st_size == strlen(OBJECT) && object_is_there(w);
}

/* ---- slots ------------------------------------------------------------------------------------
 */

static struct slots slots = { -1, -1 };
static struct trust *trust;
static struct verified_payload *one, *two;
static int program = -1; /* berth-unpack */

static struct unpack_spec spec_of_payload(const struct verified_payload *payload)
{
    const struct manifest *m = payload_manifest(payload);
    struct unpack_spec spec = {
        .content_at = payload_content_at(payload),
        .content_bytes = m->content_bytes,
        .unpacked_bytes = m->unpacked_bytes,
        .content = m->content,
        .files = m->files,
    };

    memcpy(spec.entry, m->args[0], sizeof spec.entry);
    return spec;
}

static enum rc unpack_here(const struct verified_payload *payload, struct stage *stage,
                           struct err *err)
{
    struct unpack_spec spec = spec_of_payload(payload);

    return unpack_content(payload_fd(payload), &spec, stage->root, stage->index, err);
}

/* By the process that does it on board. */
static enum rc unpack_child(const struct verified_payload *payload, struct stage *stage,
                            struct err *err)
{
    struct unpack_job job;
    siginfo_t info;
    enum rc rc = unpack_start(payload, program, stage->root, stage->index, &job, err);

    if (rc != RC_OK)
        return rc;
    if (waitid(P_PIDFD, (id_t)job.pidfd, &info, WEXITED | WNOWAIT) != 0)
        abort();
    return unpack_result(&job, err);
}

static enum rc install(const struct verified_payload *payload,
                       enum rc (*unpack)(const struct verified_payload *, struct stage *,
                                         struct err *),
                       struct err *err)
{
    struct stage stage = { .root = -1, .index = -1 };
    struct err other;
    enum rc rc = slot_stage(&slots, payload, &stage, err);

    if (rc != RC_OK)
        return rc;
    rc = unpack(payload, &stage, err);
    if (rc == RC_OK)
        return slot_commit(&slots, &stage, err);
    (void)!slot_abandon(&slots, &stage, &other);
    return rc;
}

static enum rc bay_open(struct fault_world *w, struct err *err)
{
    return slots_open(w->dir.fd, &slots, err);
}

static void bay_close(struct fault_world *w)
{
    (void)w;
    slots_done(&slots);
}

static enum rc slot_install(struct fault_world *w, struct err *err)
{
    (void)w;
    return install(two, unpack_here, err);
}

static enum rc slot_install_child(struct fault_world *w, struct err *err)
{
    (void)w;
    return install(two, unpack_child, err);
}

/* Beside the damaged slot, and then into its place. */
static enum rc slot_repair(struct fault_world *w, struct err *err)
{
    struct stage stage = { .root = -1, .index = -1 };
    struct err ignored;
    enum rc rc = slot_stage(&slots, two, &stage, err);

    (void)w;
    if (rc != RC_OK)
        return rc;
    rc = unpack_here(two, &stage, err);
    if (rc == RC_OK)
        return slot_exchange(&slots, &stage, false, err);
    (void)!slot_abandon(&slots, &stage, &ignored);
    return rc;
}

static enum rc slot_take_away(struct fault_world *w, struct err *err)
{
    struct slot_id id = slot_id_of(two);

    (void)w;
    return slot_remove(&slots, &id, err);
}

/* Not slots_open: that would remove the stage by itself. */
static enum rc bay_open_plainly(struct fault_world *w, struct err *err)
{
    enum rc rc = fs_open(w->dir.fd, "slots", O_RDONLY | O_DIRECTORY, 0, &slots.dir, err);

    return rc == RC_OK
               ? fs_open(w->dir.fd, "staging", O_RDONLY | O_DIRECTORY, 0, &slots.staging, err)
               : rc;
}

static enum rc slot_give_up(struct fault_world *w, struct err *err)
{
    struct stage stage = { .id = slot_id_of(two), .root = -1, .index = -1 };

    (void)w;
    return slot_abandon(&slots, &stage, err);
}

static enum rc bay_is_open(struct fault_world *w, struct err *err)
{
    (void)w;
    return slots.dir >= 0 ? RC_OK : err_set(err, RC_INTERNAL, "slots");
}

/* Version one is installed, and must stay as it is. */
static void bay_before(struct fault_world *w)
{
    struct err err;

    assert_rc(bay_open(w, &err), RC_OK);
    assert_rc(install(one, unpack_here, &err), RC_OK);
    bay_close(w);
}

static void bay_before_two(struct fault_world *w)
{
    struct err err;

    bay_before(w);
    assert_rc(bay_open(w, &err), RC_OK);
    assert_rc(install(two, unpack_here, &err), RC_OK);
    bay_close(w);
}

static void slot_path(const struct verified_payload *payload, const char *part, char out[256])
{
    struct slot_id id = slot_id_of(payload);
    char hex[65];

    (void)bytes_hex((struct bytes){ .p = id.manifest.b, .n = 32 }, hex);
    (void)snprintf(out, 256, "slots/%s/%s/%s/%s", id.tenant, id.payload, hex, part);
}

static void bay_before_damaged(struct fault_world *w)
{
    char path[256];

    bay_before_two(w);
    slot_path(two, "envelope", path);
    put_file(w->dir.fd, path, "not an envelope", 0644);
}

/* An unpacking that was cut off, and a slot on its way out. */
static void bay_before_staged(struct fault_world *w)
{
    struct stage stage = { .root = -1, .index = -1 };
    struct err err;

    bay_before(w);
    assert_rc(bay_open(w, &err), RC_OK);
    assert_rc(slot_stage(&slots, two, &stage, &err), RC_OK);
    assert_rc(unpack_here(two, &stage, &err), RC_OK);
    close_fd(&stage.root);
    close_fd(&stage.index);
    bay_close(w);
    (void)close(make_dir(w->dir.fd, "staging/rm-00/root/bin"));
    put_file(w->dir.fd, "staging/rm-00/root/bin/app", "x", 0755);
}

static void assert_whole(const struct verified_payload *payload, const char *text)
{
    scoped(slot_close) struct slot slot = { .root = -1 };
    struct slot_id id = slot_id_of(payload);
    uint8_t buf[64];
    size_t n = 0;
    struct err err;

    assert_rc(slot_open(&slots, &id, &slot, &err), RC_OK);
    assert_rc(fs_read_file(slot.root, "bin/app", buf, sizeof buf, &n, &err), RC_OK);
    assert_int_equal(n, strlen(text));
    assert_memory_equal(buf, text, n);
    assert_int_equal(entries_in(slot.root, "."), 1 + POLICY_MOUNT_POINTS);
}

/* Version one stands; version two is there whole, or not at all. */
static bool two_is_there(struct fault_world *w)
{
    struct slot_id id = slot_id_of(two);
    struct err err;

    assert_rc(bay_open(w, &err), RC_OK);
    assert_int_equal(entries_in(slots.staging, "."), 0);
    assert_whole(one, "version one");
    bool there = slot_exists(&slots, &id);
    if (there)
        assert_whole(two, "version two");
    bay_close(w);
    return there;
}

static bool two_is_gone(struct fault_world *w)
{
    return !two_is_there(w);
}

/* Damaged or whole, and never away. */
static bool repaired_two_is_whole(struct fault_world *w)
{
    scoped(slot_close) struct slot slot = { .root = -1 };
    struct slot_id id = slot_id_of(two);
    struct err err;

    assert_rc(bay_open(w, &err), RC_OK);
    assert_int_equal(entries_in(slots.staging, "."), 0);
    enum rc rc = slot_open(&slots, &id, &slot, &err);
    assert_true(rc == RC_OK || rc == RC_SLOT_DAMAGED);
    if (rc == RC_OK)
        assert_whole(two, "version two");
    bay_close(w);
    return rc == RC_OK;
}

/* Damaged, away, or whole: never whole in name only. */
static bool damaged_two_is_whole(struct fault_world *w)
{
    scoped(slot_close) struct slot slot = { .root = -1 };
    struct slot_id id = slot_id_of(two);
    struct err err;

    assert_rc(bay_open(w, &err), RC_OK);
    assert_whole(one, "version one");
    enum rc rc = slot_open(&slots, &id, &slot, &err);
    assert_true(rc == RC_OK || rc == RC_SLOT_DAMAGED || rc == RC_NOT_FOUND);
    if (rc == RC_OK)
        assert_whole(two, "version two");
    bay_close(w);
    return rc == RC_OK;
}

/* Without the start that would empty it. */
static bool staging_is_empty(struct fault_world *w)
{
    return entries_in(w->dir.fd, "staging") == 0;
}

static bool stage_is_gone(struct fault_world *w)
{
    char hex[65], path[96];
    struct slot_id id = slot_id_of(two);

    (void)bytes_hex((struct bytes){ .p = id.manifest.b, .n = 32 }, hex);
    (void)snprintf(path, sizeof path, "staging/%s", hex);
    return faccessat(w->dir.fd, path, F_OK, 0) != 0;
}

/* ---- the rows ---------------------------------------------------------------------------------
 */

static const char *const emptied[] = { "partial", "staging", NULL };

/* clang-format off */
static const struct fault_row object_rows[] = {
    { .name = "object put", .before = store_before, .open = store_open, .run = object_put,
      .close = store_close, .is_new = object_is_there, .passing = emptied, .one_way = true,
      .calls_min = 10 },
    { .name = "object put, the store made first", .before = scratch_is_empty, .open = store_open,
      .run = object_put, .close = store_close, .is_new = object_is_there, .passing = emptied,
      .one_way = true, .calls_min = 10 },
    { .name = "object put over a damaged one", .before = object_before_damaged,
      .open = store_open, .run = object_put, .close = store_close, .is_new = damaged_is_whole,
      .passing = emptied, .may_lack = true, .one_way = true, .calls_min = 10 },
    { .name = "object removed", .before = object_before, .open = store_open,
      .run = object_remove, .close = store_close, .is_new = object_is_gone, .passing = emptied,
      .one_way = true, .calls_min = 2 },
    { .name = "store opened behind a cut", .before = store_before_cut, .open = store_open,
      .run = store_is_open, .close = store_close, .is_new = store_is_clean, .passing = emptied, .best_effort = true,
      .one_way = true, .calls_min = 4 },
};

static const struct fault_row slot_rows[] = {
    { .name = "slot staged, unpacked, committed", .before = bay_before, .open = bay_open,
      .run = slot_install, .close = bay_close, .is_new = two_is_there, .passing = emptied,
      .one_way = true, .calls_min = 25 },
    { .name = "slot made over a damaged one", .before = bay_before_damaged, .open = bay_open,
      .run = slot_install, .close = bay_close, .is_new = damaged_two_is_whole,
      .passing = emptied, .may_lack = true, .one_way = true, .calls_min = 25 },
    { .name = "damaged slot exchanged", .before = bay_before_damaged, .open = bay_open,
      .run = slot_repair, .close = bay_close, .is_new = repaired_two_is_whole,
      .passing = emptied, .under_way = "staging", .one_way = true, .calls_min = 25 },
    { .name = "slot removed", .before = bay_before_two, .open = bay_open, .run = slot_take_away,
      .close = bay_close, .is_new = two_is_gone, .passing = emptied, .one_way = true,
      .calls_min = 10 },
    { .name = "stage abandoned", .before = bay_before_staged, .open = bay_open_plainly,
      .run = slot_give_up, .close = bay_close, .is_new = stage_is_gone, .passing = emptied, .one_way = true, .calls_min = 10 },
    { .name = "staging emptied at the start", .before = bay_before_staged, .open = bay_open,
      .run = bay_is_open, .close = bay_close, .is_new = staging_is_empty, .passing = emptied, .best_effort = true,
      .one_way = true, .calls_min = 10 },
};

static const struct fault_row child_rows[] = {
    { .name = "slot unpacked by berth-unpack", .before = bay_before, .open = bay_open,
      .run = slot_install_child, .close = bay_close, .is_new = two_is_there, .passing = emptied,
      .one_way = true, .calls_min = 25 },
};
/* clang-format on */

static void run_rows(const struct fault_row *row, size_t n)
{
    for (size_t i = 0; i < n; i++)
        fault_row_run(&row[i]);
}

static void test_objects(void **state)
{
    (void)state;
    run_rows(object_rows, sizeof object_rows / sizeof object_rows[0]);
}

static void test_slots(void **state)
{
    (void)state;
    run_rows(slot_rows, sizeof slot_rows / sizeof slot_rows[0]);
}

static void test_child(void **state)
{
    (void)state;
    run_rows(child_rows, sizeof child_rows / sizeof child_rows[0]);
}

static int setup(void **state)
{
    (void)state;
    trust = signed_trust();
    one = signed_payload(trust, "version one");
    two = signed_payload(trust, "version two");
    program = open_program("berth-unpack");
    return program < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    payload_free(&one);
    payload_free(&two);
    trust_free(&trust);
    close_fd(&program);
    doc_keys_free();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objects),
        cmocka_unit_test(test_slots),
        cmocka_unit_test(test_child),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
