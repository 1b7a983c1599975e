/* SPDX-License-Identifier: Apache-2.0
 *
 * The package that is kept for a slot stays while nobody can read that slot's directory.
 */
#include "tests/unit/test.h"

#include <sys/resource.h>

#include "agent/kept.h"
#include "agent/lists.h"
#include "agent/receive.h"
#include "agent/stored.h"
#include "base/sum.h"
#include "tests/unit/update_signed.h"

#define KEPT "the package of a slot"
#define OTHER "one that waits"

/* A slot of acme, and the package that is kept for it. */
struct bay {
    struct scratch dir;
    struct agent *a;
    struct verified_payload *payload;
    struct slot_id id;
    struct digest kept;
};

static struct digest put_object(struct agent *a, const char *text)
{
    scoped(close_fd) int fd = memfd_of(bytes_of(text));
    struct digest object;
    struct err err;

    sum_of(bytes_of(text), object.b);
    assert_rc(objects_put(&a->objects, &object, fd, strlen(text), &err), RC_OK);
    return object;
}

static void stage_all(struct bay *b, struct stage *stage)
{
    const struct manifest *m = payload_manifest(b->payload);
    struct unpack_spec spec = {
        .content_at = payload_content_at(b->payload),
        .content_bytes = m->content_bytes,
        .unpacked_bytes = m->unpacked_bytes,
        .content = m->content,
        .files = m->files,
    };
    struct err err;

    memcpy(spec.entry, m->args[0], sizeof spec.entry);
    assert_rc(slot_stage(&b->a->slots, b->payload, stage, &err), RC_OK);
    assert_rc(unpack_content(payload_fd(b->payload), &spec, stage->root, stage->index, &err),
              RC_OK);
    assert_rc(slot_commit(&b->a->slots, stage, &err), RC_OK);
}

static struct bay bay_new(void)
{
    struct bay b = { .dir = scratch_new(), .a = calloc(1, sizeof *b.a) };
    struct stage stage = { .root = -1, .index = -1 };
    struct err err;

    assert_non_null(b.a);
    b.a->state_dir = b.dir.fd;
    b.a->data_dir = b.a->link_sock = -1;
    b.a->trust = signed_trust();
    assert_rc(slots_open(b.dir.fd, &b.a->slots, &err), RC_OK);
    assert_rc(objects_open(b.dir.fd, 1U << 20, 128, &b.a->objects, &err), RC_OK);
    b.payload = signed_payload(b.a->trust, "one");
    stage_all(&b, &stage);
    b.id = slot_id_of(b.payload);
    b.kept = put_object(b.a, KEPT);
    assert_rc(slot_set_object(&b.a->slots, &b.id, &b.kept, &err), RC_OK);
    return b;
}

static void bay_done(struct bay *b)
{
    payload_free(&b->payload);
    slots_done(&b->a->slots);
    objects_done(&b->a->objects);
    trust_free(&b->a->trust);
    free(b->a);
    scratch_done(&b->dir);
}

/* Something else is in the place of a directory, which cannot be read then. */
static void break_dir(struct bay *b, const char *name)
{
    (void)renameat(b->a->slots.dir, name, b->dir.fd, "hidden");
    put_file(b->a->slots.dir, name, "", 0600);
}

static void mend_dir(struct bay *b, const char *name)
{
    assert_int_equal(unlinkat(b->a->slots.dir, name, 0), 0);
    (void)renameat(b->dir.fd, "hidden", b->a->slots.dir, name);
}

static void it_may_be_of_what_cannot_be_read(void **state)
{
    static const char *const broken[] = { "acme", "acme/cam-north" };
    struct bay b = bay_new();
    struct digest other = put_object(b.a, OTHER);

    (void)state;
    assert_int_equal(kept_is(b.a, "", &b.kept), KEPT_YES);
    assert_int_equal(kept_is(b.a, "", &other), KEPT_NO);
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        break_dir(&b, broken[i]);
        assert_int_equal(kept_is(b.a, "", &b.kept), KEPT_PERHAPS);
        assert_int_equal(kept_is(b.a, "acme", &b.kept), KEPT_PERHAPS);
        assert_int_equal(kept_is(b.a, "zenith", &other), KEPT_NO);
        mend_dir(&b, broken[i]);
    }
    /* another tenant's: nothing of this one is in doubt */
    break_dir(&b, "zenith");
    assert_int_equal(kept_is(b.a, "acme", &b.kept), KEPT_YES);
    assert_int_equal(kept_is(b.a, "acme", &other), KEPT_NO);
    assert_int_equal(kept_is(b.a, "", &other), KEPT_PERHAPS);
    bay_done(&b);
}

/* It is not taken for one that waits: that would be unpacked into what cannot be written to, until
 * it is given up. */
static void it_is_not_queued(void **state)
{
    struct bay b = bay_new();

    (void)state;
    receive_rescan(b.a);
    assert_int_equal(b.a->queue.n, 0);
    break_dir(&b, "acme");
    receive_rescan(b.a);
    assert_int_equal(b.a->queue.n, 0);
    mend_dir(&b, "acme");
    struct digest other = put_object(b.a, OTHER);
    receive_rescan(b.a);
    assert_int_equal(b.a->queue.n, 1);
    assert_true(receive_has(b.a, &other));
    bay_done(&b);
}

/* And what is given up is removed only if it is nobody's. */
static void it_is_given_up_and_stays(void **state)
{
    struct bay b = bay_new();
    const struct digest other = put_object(b.a, OTHER);
    const struct digest *objects[] = { &b.kept, &other, &other };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const bool whole = i == 2;

        if (!whole)
            break_dir(&b, "acme");
        receive_stored(b.a, objects[i]);
        for (unsigned tries = 0; receive_has(b.a, objects[i]); tries++) {
            assert_true(tries < 10);
            receive_installed(b.a, objects[i], RC_IO);
        }
        assert_int_equal(objects_has(&b.a->objects, objects[i]), !whole);
        if (!whole)
            mend_dir(&b, "acme");
    }
    assert_true(objects_has(&b.a->objects, &b.kept));
    assert_int_equal(kept_is(b.a, "", &b.kept), KEPT_YES);
    bay_done(&b);
}

/* Nor does it make room for what comes; what waits does, as ever. */
static void it_makes_no_room(void **state)
{
    struct bay b = bay_new();
    const struct digest other = put_object(b.a, OTHER);
    struct err err;

    (void)state;
    receive_stored(b.a, &other);
    b.a->objects.count_max = 2;
    break_dir(&b, "acme");
    assert_rc(stored_make_room(b.a, "acme", 1, &err), RC_OK);
    assert_true(objects_has(&b.a->objects, &b.kept));
    assert_false(objects_has(&b.a->objects, &other));
    b.a->objects.count_max = 1;
    assert_rc(stored_make_room(b.a, "acme", 1, &err), RC_STORE_QUOTA);
    assert_true(objects_has(&b.a->objects, &b.kept));
    mend_dir(&b, "acme");
    assert_rc(stored_make_room(b.a, "acme", 1, &err), RC_OK); /* its own, and known */
    assert_false(objects_has(&b.a->objects, &b.kept));
    bay_done(&b);
}

static bool see(void *arg, const struct slot_id *id)
{
    (void)id;
    *(uint32_t *)arg += 1;
    return true;
}

static bool see_object(void *arg, const struct digest *object, uint64_t size)
{
    (void)object;
    (void)size;
    *(uint32_t *)arg += 1;
    return true;
}

/* Want of descriptors is no bad directory: nothing is passed over, and nothing told. */
static void want_of_descriptors_is_told_apart(void **state)
{
    struct bay b = bay_new();
    struct rlimit before, now;
    int lowest = dup(b.dir.fd);
    uint32_t failed[2] = { 0 };

    (void)state;
    assert_true(lowest >= 0);
    (void)close(lowest);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    now = before;
    for (unsigned spare = 0; spare < 8; spare++) {
        uint32_t n[2] = { 0 };
        struct err err[2] = { 0 };

        now.rlim_cur = (rlim_t)lowest + spare;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
        const enum rc rc[] = { list_slots(b.a, see, &n[0], &err[0]),
                               list_objects(b.a, see_object, &n[1], &err[1]) };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        for (size_t i = 0; i < 2; i++) {
            if (rc[i] == RC_OK) {
                assert_int_equal(n[i], 1);
                continue;
            }
            failed[i]++;
            assert_true(err_passes(&err[i]));
        }
        if (rc[0] == RC_OK && rc[1] == RC_OK)
            break;
        assert_true(spare < 7);
    }
    assert_true(failed[0] > 1 && failed[1] > 1); /* also behind the first directory */
    assert_int_equal(b.a->bad_places, 0);
    bay_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_may_be_of_what_cannot_be_read),  cmocka_unit_test(it_is_not_queued),
        cmocka_unit_test(it_is_given_up_and_stays),          cmocka_unit_test(it_makes_no_room),
        cmocka_unit_test(want_of_descriptors_is_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
