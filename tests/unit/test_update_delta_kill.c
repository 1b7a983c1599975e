/* SPDX-License-Identifier: Apache-2.0
 *
 * A delta that becomes a slot, killed at each of its calls that change files: afterwards the slot
 * is there whole or not at all, the one it was made from is as it was, and nothing is left over.
 */
#include "tests/unit/test.h"

#include "tests/unit/delta_package.h"
#include "tests/unit/update_kill.h"
#include "tests/unit/update_signed.h"
#include "update/check.h"
#include "update/slots.h"

/* A satellite's state with the old version installed, and the delta to the new one. */
struct bay {
    struct trust *trust;
    struct dp_tree old;
    struct dp_tree new;
    struct scratch state;
    struct verified_payload *base;
    struct verified_delta *delta;
};

static void finish(struct slots *slots, struct stage *stage, enum rc rc)
{
    struct err err;

    assert_rc(rc, RC_OK);
    assert_rc(slot_commit(slots, stage, &err), RC_OK);
}

static void install_base(struct bay *b)
{
    scoped(slots_done) struct slots slots = { -1, -1 };
    struct stage stage;
    struct err err;

    assert_rc(slots_open(b->state.fd, &slots, &err), RC_OK);
    assert_rc(slot_stage(&slots, b->base, &stage, &err), RC_OK);

    struct unpack_spec spec = b->old.spec;

    spec.content_at = payload_content_at(b->base);
    finish(&slots, &stage,
           unpack_content(payload_fd(b->base), &spec, stage.root, stage.index, &err));
}

static struct bay bay_new(void)
{
    struct bay b = { .trust = signed_trust(),
                     .old = dp_tree_new(dp_old, "/bin/app"),
                     .new = dp_tree_new(dp_new, "/bin/app"),
                     .state = scratch_new() };
    scoped(made_done) struct made made = dp_delta(&b.old, &b.new);
    struct manifest m = signed_manifest(&b.old.spec);
    scoped(close_fd) int full = signed_package(&m, content_view(&b.old.content), K_ACME);
    scoped(close_fd) int bytes = memfd_of((struct bytes){ made.p, made.n });
    scoped(close_fd) int package = memfd_create("package", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct err err;

    assert_rc(payload_verify(b.trust, full, NOW_MS, &b.base, &err), RC_OK);
    m = signed_manifest(&b.new.spec);
    doc_signed(&signed_doc_, DOC_MANIFEST, manifest_encode, &m, K_ACME);
    assert_rc(pack_assemble_delta(signed_doc_.bytes, bytes, made.n, package, &err), RC_OK);
    assert_int_equal(fcntl(package, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK), 0);
    assert_rc(delta_verify(b.trust, package, NOW_MS, &b.delta, &err), RC_OK);
    install_base(&b);
    return b;
}

static void bay_done(struct bay *b)
{
    payload_free(&b->base);
    delta_free(&b->delta);
    trust_free(&b->trust);
    dp_tree_done(&b->old);
    dp_tree_done(&b->new);
    scratch_done(&b->state);
}

/* What the agent and berth-unpack do, in one process: start, apply the delta to the slot, commit.
 */
static int update(void *arg)
{
    struct bay *b = arg;
    struct slots slots = { -1, -1 };
    struct slot_id id = slot_id_of(b->base);
    struct slot origin = { .root = -1 };
    struct verity verity = { .enable = verity_ioctl };
    struct unpack_base base = { -1, -1 };
    struct stage stage;
    struct err err;

    if (slots_open(b->state.fd, &slots, &err) != RC_OK ||
        slot_open(&slots, &id, &origin, &err) != RC_OK ||
        slot_open_index(&slots, &id, &base.index, &err) != RC_OK ||
        slot_stage_delta(&slots, b->delta, &stage, &err) != RC_OK)
        return 1;
    base.root = origin.root;

    const struct staging out = { .root = stage.root, .index = stage.index, .verity = &verity };
    struct unpack_spec spec = dp_spec(&b->old, &b->new, delta_bytes(b->delta));

    spec.content_at = delta_at(b->delta);
    if (unpack_delta(delta_fd(b->delta), &spec, &base, &out, &err) != RC_OK ||
        slot_commit(&slots, &stage, &err) != RC_OK)
        return 2;
    return 0;
}

/* A slot is whole: its envelope, its index, its files. */
static void assert_whole(struct slots *slots, const struct slot_id *id, const struct dp_tree *tree)
{
    scoped(slot_close) struct slot slot = { .root = -1 };
    scoped(close_fd) int index = -1;
    struct err err;

    assert_rc(slot_open(slots, id, &slot, &err), RC_OK);
    assert_rc(slot_open_index(slots, id, &index, &err), RC_OK);
    assert_rc(check_tree(index, &tree->spec, slot.root, &err), RC_OK);
}

/* After a restart.  True: the new version is there. */
static bool look(struct bay *b)
{
    scoped(slots_done) struct slots slots = { -1, -1 };
    struct slot_id old = slot_id_of(b->base);
    struct slot_id new = slot_id_of_delta(b->delta);
    struct err err;

    assert_rc(slots_open(b->state.fd, &slots, &err), RC_OK);
    assert_int_equal(entries_in(slots.staging, "."), 0);
    assert_whole(&slots, &old, &b->old);
    if (!slot_exists(&slots, &new))
        return false;
    assert_whole(&slots, &new, &b->new);
    assert_rc(slot_remove(&slots, &new, &err), RC_OK);
    return true;
}

static void test_killed_at_every_step(void **state)
{
    scoped(bay_done) struct bay b = bay_new();
    bool there = false;
    bool killed = true;
    size_t n = 0;
    int code = -1;

    (void)state;
    while (killed) {
        killed = kill_at(++n, update, &b, NULL, &code);

        bool now = look(&b);

        if (there && !now) /* once the rename is done it is not undone */
            fail_msg("killed at call %zu: the new slot is gone", n);
        there = now;
    }
    assert_int_equal(code, 0);
    assert_true(there);
    assert_true(n > 50);
    print_message("killed at %zu calls\n", n - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_at_every_step),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
