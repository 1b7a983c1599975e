/* SPDX-License-Identifier: Apache-2.0
 *
 * What slots take: looked at once, and again only when something has changed.  And what of it goes
 * for what.
 */
#include "tests/unit/test.h"

#include <sys/statvfs.h>

#include "agent/kept.h"
#include "agent/measure.h"
#include "agent/room.h"
#include "base/sum.h"
#include "tests/unit/fault_rig.h"
#include "tests/unit/update_signed.h"

#define SLOTS 3U

/* ---- the disk -----------------------------------------------------------------------------------
 */

static uint64_t free_bytes; /* of the disk; 0 = a lot */

int fstatvfs(int fd, struct statvfs *ret)
{
    (void)fd;
    *ret = (struct statvfs){ .f_frsize = 1, .f_bavail = free_bytes > 0 ? free_bytes : 1U << 30 };
    return 0;
}

/* ---- the slots ----------------------------------------------------------------------------------
 */

struct bay {
    struct scratch dir;
    struct agent *a;
    struct verified_payload *payload[SLOTS];
};

static struct stage stage_of(struct bay *b, uint32_t i)
{
    const struct verified_payload *payload = b->payload[i];
    const struct manifest *m = payload_manifest(payload);
    struct unpack_spec spec = {
        .content_at = payload_content_at(payload),
        .content_bytes = m->content_bytes,
        .unpacked_bytes = m->unpacked_bytes,
        .content = m->content,
        .files = m->files,
    };
    struct stage stage = { .root = -1, .index = -1 };
    struct err err;

    memcpy(spec.entry, m->args[0], sizeof spec.entry);
    assert_rc(slot_stage(&b->a->slots, payload, &stage, &err), RC_OK);
    assert_rc(unpack_content(payload_fd(payload), &spec, stage.root, stage.index, &err), RC_OK);
    return stage;
}

static struct bay bay_new(void)
{
    static const char *const texts[SLOTS] = { "one", "two, longer", "three" };
    struct bay b = { .dir = scratch_new(), .a = calloc(1, sizeof *b.a) };
    struct err err;

    assert_non_null(b.a);
    b.a->state_dir = b.dir.fd;
    b.a->data_dir = -1;
    b.a->trust = signed_trust();
    assert_rc(slots_open(b.dir.fd, &b.a->slots, &err), RC_OK);
    assert_rc(objects_open(b.dir.fd, 1U << 30, 128, &b.a->objects, &err), RC_OK);
    for (uint32_t i = 0; i < SLOTS; i++) {
        b.payload[i] = signed_payload(b.a->trust, texts[i]);
        struct stage stage = stage_of(&b, i);

        assert_rc(slot_commit(&b.a->slots, &stage, &err), RC_OK);
    }
    return b;
}

static void bay_done(struct bay *b)
{
    for (uint32_t i = 0; i < SLOTS; i++)
        payload_free(&b->payload[i]);
    slots_done(&b->a->slots);
    objects_done(&b->a->objects);
    trust_free(&b->a->trust);
    free(b->a);
    scratch_done(&b->dir);
}

static struct room_account account(struct bay *b)
{
    const struct authority who = grant_authority(trust_grant(b->a->trust, "acme"));
    struct room_account sum = { 0 };
    struct err err;

    assert_rc(room_account(b->a, &who, &sum, &err), RC_OK);
    return sum;
}

static int account_alone(void *arg)
{
    fault_arm();
    (void)account(arg);
    fault_disarm();
    return 0;
}

/* Reads of files below the state directory, seen from outside. */
static size_t reads_of(struct bay *b)
{
    const struct fault never = {
        .kind = FAULT_FAIL, .sys = EIO, .calls = CALLS_READ, .under = b->dir.path, .n = SIZE_MAX
    };
    struct fault_seen seen = fault_run(account_alone, b, &never, NULL);

    assert_int_equal(seen.exit_code, 0);
    return seen.calls;
}

static void nothing_is_looked_at_twice(void **state)
{
    struct bay b = bay_new();
    uint64_t bytes = 0, slot = 0, files = 0;
    struct err err;

    (void)state;
    assert_true(reads_of(&b) >= SLOTS);
    const struct room_account first = account(&b);
    assert_int_equal(b.a->measures.looked, SLOTS);
    for (uint32_t i = 0; i < SLOTS; i++) {
        const struct slot_id id = slot_id_of(b.payload[i]);
        const uint64_t promised = payload_manifest(b.payload[i])->files + MEASURE_SLOT_FILES;

        assert_rc(slot_size(&b.a->slots, &id, &slot, &files, &err), RC_OK);
        bytes += slot;
        assert_int_equal(measure_account(b.a, &id).bytes, slot);
        assert_int_equal(measure_account(b.a, &id).files, promised);
    }
    assert_int_equal(first.slots, bytes);
    for (uint32_t i = 0; i < 10; i++) {
        const struct room_account again = account(&b);

        assert_memory_equal(&again, &first, sizeof again);
    }
    assert_int_equal(b.a->measures.looked, SLOTS);
    assert_int_equal(reads_of(&b), 0);
    bay_done(&b);
}

/* A package that is noted, a slot that is exchanged, one that goes, one that comes back. */
static void what_changes_is_looked_at_again(void **state)
{
    struct bay b = bay_new();
    const struct slot_id one = slot_id_of(b.payload[0]), two = slot_id_of(b.payload[1]);
    scoped(close_fd) int package = memfd_of(bytes_of("a package, kept"));
    struct digest object;
    struct err err;

    (void)state;
    const struct room_account before = account(&b);
    assert_int_equal(before.kept_files, 0);
    assert_rc(sha256_of(bytes_of("a package, kept"), object.b, &err), RC_OK);
    assert_rc(objects_put(&b.a->objects, &object, package, 15, &err), RC_OK);
    kept_take(b.a, &one, "", &object);
    assert_int_equal(account(&b).kept, 15);
    assert_int_equal(account(&b).kept_files, 1);
    assert_int_equal(b.a->measures.looked, SLOTS + 1);
    assert_rc(objects_remove(&b.a->objects, &object, &err), RC_OK); /* it has made room */
    assert_int_equal(account(&b).kept_files, 0);

    struct stage stage = stage_of(&b, 1);
    assert_rc(slot_exchange(&b.a->slots, &stage, false, &err), RC_OK);
    (void)account(&b);
    assert_int_equal(b.a->measures.looked, SLOTS + 2);

    assert_rc(slot_remove(&b.a->slots, &two, &err), RC_OK);
    assert_true(account(&b).slots < before.slots);
    assert_int_equal(b.a->measures.looked, SLOTS + 2);
    stage = stage_of(&b, 1);
    assert_rc(slot_commit(&b.a->slots, &stage, &err), RC_OK);
    (void)account(&b);
    assert_int_equal(b.a->measures.looked, SLOTS + 3);
    bay_done(&b);
}

/* A package that nobody has read may cost its tenant what is kept, and no version that was
 * installed ahead; one that has been read may cost that too. */
static void what_waits_costs_no_version(void **state)
{
    struct bay b = bay_new();
    const struct slot_id one = slot_id_of(b.payload[0]);
    const struct room_need need = { .bytes = 100, .files = 1 };
    scoped(close_fd) int package = memfd_of(bytes_of("a package, kept"));
    struct digest object;
    struct err err;

    (void)state;
    sum_of(bytes_of("a package, kept"), object.b);
    assert_rc(objects_put(&b.a->objects, &object, package, 15, &err), RC_OK);
    assert_rc(slot_set_object(&b.a->slots, &one, &object, &err), RC_OK);

    free_bytes = ROOM_HEADROOM_BYTES + need.bytes - 16; /* more than is kept, less than a slot */
    assert_rc(room_to_wait(b.a, "acme", need.bytes, &err), RC_NO_SPACE);
    for (uint32_t i = 0; i < SLOTS; i++) {
        const struct slot_id id = slot_id_of(b.payload[i]);

        assert_true(slot_exists(&b.a->slots, &id));
    }
    assert_true(objects_has(&b.a->objects, &object)); /* nothing goes if it is not enough */

    free_bytes++;
    assert_rc(room_to_wait(b.a, "acme", need.bytes, &err), RC_NO_SPACE); /* this disk stays so */
    assert_false(objects_has(&b.a->objects, &object));
    assert_rc(room_on_disk(b.a, b.dir.fd, "acme", &need, &err), RC_NO_SPACE);
    uint32_t left = 0;
    for (uint32_t i = 0; i < SLOTS; i++) {
        const struct slot_id id = slot_id_of(b.payload[i]);

        left += slot_exists(&b.a->slots, &id);
    }
    assert_int_equal(left, SLOTS - 1);
    free_bytes = 0;
    bay_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_looked_at_twice),
        cmocka_unit_test(what_changes_is_looked_at_again),
        cmocka_unit_test(what_waits_costs_no_version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
