/* SPDX-License-Identifier: Apache-2.0
 *
 * Each step that writes to the disk, with every amount of room from none to enough, in bytes and in
 * inodes: it says NO_SPACE and leaves nothing behind that takes up room, until it succeeds.  Needs
 * root, to mount small disks.
 */
#include "tests/unit/test.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#include "agent/data.h"
#include "agent/reserve.h"
#include "agent/snapshot.h"
#include "base/statefile.h"
#include "tests/unit/update_signed.h"
#include "update/objects.h"
#include "update/slots.h"

#define STEPS_MAX 400U

/* What a step works with. */
struct rig {
    int dir; /* of the small disk */
    struct trust *trust;
    struct verified_payload *payload;
    int object;
    uint64_t object_bytes;
    struct digest object_digest;
};

/* ---- the steps ----------------------------------------------------------------------------------
 */

static enum rc put_object(struct rig *rig, struct err *err)
{
    struct objects store = { .dir = -1 };
    enum rc rc = objects_open(rig->dir, 1U << 30, 64, &store, err);

    if (rc == RC_OK)
        rc = objects_put(&store, &rig->object_digest, rig->object, rig->object_bytes, err);
    if (rc == RC_OK)
        rc = objects_remove(&store, &rig->object_digest, err);
    objects_done(&store);
    return rc;
}

/* From an empty stage to a slot, and away again. */
static enum rc install_slot(struct rig *rig, struct err *err)
{
    const struct manifest *m = payload_manifest(rig->payload);
    struct slots slots = { -1, -1 };
    struct stage stage = { .root = -1, .index = -1 };
    struct unpack_spec spec = { .content_at = payload_content_at(rig->payload),
                                .content_bytes = m->content_bytes,
                                .unpacked_bytes = m->unpacked_bytes,
                                .content = m->content,
                                .files = m->files };
    struct slot_id id = slot_id_of(rig->payload);
    struct err ignored;
    enum rc rc = slots_open(rig->dir, &slots, err);

    memcpy(spec.entry, m->args[0], sizeof spec.entry);
    if (rc == RC_OK)
        rc = slot_stage(&slots, rig->payload, &stage, err);
    if (rc == RC_OK) {
        rc = unpack_content(payload_fd(rig->payload), &spec, stage.root, stage.index, err);
        if (rc == RC_OK)
            rc = slot_commit(&slots, &stage, err);
        else
            assert_rc(slot_abandon(&slots, &stage, &ignored), RC_OK);
    }
    assert_int_equal(slots.staging < 0 ? 0 : entries_in(slots.staging, "."), 0);
    if (rc == RC_OK)
        rc = slot_remove(&slots, &id, err);
    slots_done(&slots);
    return rc;
}

static enum rc save_state(struct rig *rig, struct err *err)
{
    static uint8_t content[20000];
    enum rc rc = statefile_save(rig->dir, "state", (struct bytes){ content, sizeof content }, err);

    if (rc == RC_OK)
        rc = statefile_save(rig->dir, "state", (struct bytes){ content, sizeof content }, err);
    (void)unlinkat(rig->dir, "state.a", 0);
    (void)unlinkat(rig->dir, "state.b", 0);
    return rc;
}

static enum rc take_snapshot(struct rig *rig, struct err *err)
{
    struct err ignored;
    enum rc rc = snapshot_take(rig->dir, "acme", "cam", err);

    if (rc == RC_OK) {
        assert_true(snapshot_exists(rig->dir, "acme", "cam"));
        assert_rc(snapshot_drop(rig->dir, "acme", "cam", false, &ignored), RC_OK);
    } else {
        assert_int_equal(snapshot_bytes(rig->dir, "acme", "cam"), 0);
    }
    return rc;
}

static enum rc make_data(struct rig *rig, struct err *err)
{
    const struct data_id id = { .tenant = "acme", .name = "nav", .index = 7 };
    scoped(close_fd) int fd = -1;
    enum rc rc = data_open(rig->dir, &id, 1U << 20, &fd, err);

    if (rc == RC_OK)
        assert_int_equal(unlinkat(rig->dir, "acme/nav/data.img", 0), 0);
    else
        assert_int_equal(faccessat(rig->dir, "acme/nav/data.img", F_OK, 0), -1);
    return rc;
}

/* ---- room ---------------------------------------------------------------------------------------
 */

static void room_of(int dir, uint64_t *ret_blocks, uint64_t *ret_inodes)
{
    struct statvfs st;

    assert_int_equal(fstatvfs(dir, &st), 0);
    *ret_blocks = st.f_bavail;
    *ret_inodes = st.f_favail;
}

/* Take all but so many blocks of 4096 bytes. */
static void leave_blocks(int dir, uint64_t leave)
{
    scoped(close_fd) int fd = openat(dir, "ballast", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    uint64_t blocks = 0, inodes = 0;

    assert_true(fd >= 0);
    room_of(dir, &blocks, &inodes);
    assert_true(blocks >= leave);
    if (blocks > leave)
        assert_int_equal(fallocate(fd, 0, 0, (off_t)((blocks - leave) * 4096)), 0);
}

static void leave_inodes(int dir, uint64_t leave)
{
    uint64_t blocks = 0, inodes = 0;

    assert_int_equal(mkdirat(dir, "ballast", 0700), 0);
    room_of(dir, &blocks, &inodes);
    for (uint64_t i = inodes; i > leave; i--) {
        char name[48];

        (void)snprintf(name, sizeof name, "ballast/%llu", (unsigned long long)i);
        scoped(close_fd) int fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
    }
}

static void give_back(int dir)
{
    struct err err;

    if (unlinkat(dir, "ballast", 0) != 0)
        assert_rc(fs_remove_tree(dir, "ballast", &err), RC_OK);
}

/* ---- every amount of it -------------------------------------------------------------------------
 */

struct step {
    const char *name;
    enum rc (*fn)(struct rig *rig, struct err *err);
    enum rc or ; /* another code for the same, of a program that cannot say why */
};

static void sweep(struct rig *rig, const struct step *step, void (*leave)(int dir, uint64_t n))
{
    uint64_t blocks = 0, inodes = 0, blocks_after = 0, inodes_after = 0;
    uint64_t n = 0;
    enum rc rc = RC_NO_SPACE;

    /* once with all the room there is: directories that stay are made */
    struct err err = { 0 };
    assert_rc(step->fn(rig, &err), RC_OK);
    for (; rc != RC_OK && n < STEPS_MAX; n++) {
        char text[256];

        room_of(rig->dir, &blocks, &inodes);
        leave(rig->dir, n);
        err = (struct err){ 0 };
        rc = step->fn(rig, &err);
        if (rc != RC_OK && rc != RC_NO_SPACE && rc != step->or)
            fail_msg("%s with room for %llu: %s", step->name, (unsigned long long)n,
                     err_text(&err, text, sizeof text));
        give_back(rig->dir);
        room_of(rig->dir, &blocks_after, &inodes_after);
        if (blocks_after != blocks || inodes_after != inodes)
            fail_msg("%s with room for %llu: leaves %lld blocks and %lld inodes", step->name,
                     (unsigned long long)n, (long long)(blocks - blocks_after),
                     (long long)(inodes - inodes_after));
    }
    assert_rc(rc, RC_OK);
    if (n < 2)
        fail_msg("%s needs no room at all", step->name);
}

static const struct step steps[] = {
    { "put an object", put_object, RC_NO_SPACE },
    { "install a slot", install_slot, RC_NO_SPACE },
    { "save a state file", save_state, RC_NO_SPACE },
    { "take a snapshot", take_snapshot, RC_NO_SPACE },
    { "make data", make_data, RC_DATA_IMAGE },
};

static noinline void rig_open(struct rig *rig, struct scratch *s)
{
    static const char text[30000] = "an object";
    struct err err;

    *s = scratch_new();
    assert_int_equal(mount("none", s->path, "tmpfs", 0, "size=8m,nr_inodes=200"), 0);
    *rig = (struct rig){ .dir = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
    rig->trust = signed_trust();
    rig->payload = signed_payload(rig->trust, text);
    rig->object = memfd_of((struct bytes){ (const uint8_t *)text, sizeof text });
    rig->object_bytes = sizeof text;
    assert_rc(
        sha256_of((struct bytes){ (const uint8_t *)text, sizeof text }, rig->object_digest.b, &err),
        RC_OK);
    /* something to take a snapshot of */
    const struct data_id id = { .tenant = "acme", .name = "cam", .index = 3 };
    scoped(close_fd) int data = -1;
    assert_rc(data_open(rig->dir, &id, 1U << 20, &data, &err), RC_OK);
}

static void rig_close(struct rig *rig, struct scratch *s)
{
    close_fd(&rig->dir);
    close_fd(&rig->object);
    payload_free(&rig->payload);
    trust_free(&rig->trust);
    assert_int_equal(umount2(s->path, MNT_DETACH), 0);
    scratch_done(s);
}

static void any_number_of_bytes(void **state)
{
    struct scratch s;
    struct rig rig;

    (void)state;
    rig_open(&rig, &s);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        sweep(&rig, &steps[i], leave_blocks);
    rig_close(&rig, &s);
}

static void any_number_of_inodes(void **state)
{
    struct scratch s;
    struct rig rig;

    (void)state;
    rig_open(&rig, &s);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        sweep(&rig, &steps[i], leave_inodes);
    rig_close(&rig, &s);
}

/* The reserve frees what it holds back, is made again, and never takes the last room itself. */
static void reserve_comes_and_goes(void **state)
{
    struct scratch s;
    struct rig rig;
    uint64_t blocks = 0, inodes = 0, blocks_after = 0, inodes_after = 0;

    (void)state;
    rig_open(&rig, &s);
    assert_true(reserve_fill(rig.dir));
    assert_true(reserve_fill(rig.dir));
    room_of(rig.dir, &blocks, &inodes);
    assert_true(reserve_release(rig.dir));
    assert_false(reserve_release(rig.dir)); /* nothing is left that could help */
    room_of(rig.dir, &blocks_after, &inodes_after);
    assert_int_equal(blocks_after - blocks, RESERVE_FILES * RESERVE_FILE_BYTES / 4096);
    assert_int_equal(inodes_after - inodes, RESERVE_FILES);
    leave_blocks(rig.dir, 2 * RESERVE_FILES * RESERVE_FILE_BYTES / 4096);
    assert_false(reserve_fill(rig.dir));
    give_back(rig.dir);
    assert_true(reserve_fill(rig.dir));
    rig_close(&rig, &s);
}

/* Whoever holds a file of a version that is removed keeps the file and holds up nothing. */
static void open_files_hold_up_nothing(void **state)
{
    struct scratch s;
    struct rig rig;
    struct slots slots = { -1, -1 };
    struct stage stage = { .root = -1, .index = -1 };
    struct slot slot = { .root = -1 };
    struct err err;
    char byte = 0;

    (void)state;
    rig_open(&rig, &s);
    struct slot_id id = slot_id_of(rig.payload);
    assert_rc(slots_open(rig.dir, &slots, &err), RC_OK);
    assert_rc(slot_stage(&slots, rig.payload, &stage, &err), RC_OK);
    put_file(stage.root, "held", "x", 0644);
    assert_rc(slot_commit(&slots, &stage, &err), RC_OK);
    assert_rc(slot_open(&slots, &id, &slot, &err), RC_OK);
    scoped(close_fd) int held = openat(slot.root, "held", O_RDONLY | O_CLOEXEC);
    assert_true(held >= 0);
    assert_rc(slot_remove(&slots, &id, &err), RC_OK);
    assert_false(slot_exists(&slots, &id));
    assert_int_equal(entries_in(slots.staging, "."), 0);
    assert_int_equal(pread(held, &byte, 1, 0), 1);
    assert_int_equal(byte, 'x');
    assert_int_equal(openat(slot.root, "new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600), -1);
    slot_close(&slot);
    slots_done(&slots);
    close_fd(&held);
    rig_close(&rig, &s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_of_bytes),
        cmocka_unit_test(any_number_of_inodes),
        cmocka_unit_test(reserve_comes_and_goes),
        cmocka_unit_test(open_files_hold_up_nothing),
    };

    /* what is mounted here is nobody else's business */
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        perror("test_update_full: needs root, to mount small disks");
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
