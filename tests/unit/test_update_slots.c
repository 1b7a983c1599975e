/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <sched.h>
#include <sys/mount.h>

#include "tests/unit/update_kill.h"
#include "tests/unit/update_signed.h"
#include "update/policy.h"
#include "update/slots.h"

/* ---- helpers ----------------------------------------------------------------------------------
 */

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

/* Stage, unpack and commit one payload. */
static enum rc install(struct slots *slots, const struct verified_payload *payload, struct err *err)
{
    struct unpack_spec spec = spec_of_payload(payload);
    struct stage stage = { .root = -1, .index = -1 };
    struct err ignored;
    enum rc rc = slot_stage(slots, payload, &stage, err);

    if (rc != RC_OK)
        return rc;
    rc = unpack_content(payload_fd(payload), &spec, stage.root, stage.index, err);
    if (rc == RC_OK)
        return slot_commit(slots, &stage, err);
    assert_rc(slot_abandon(slots, &stage, &ignored), RC_OK);
    return rc;
}

/* The slots there are, of two payloads that a test knows. */
struct found {
    struct digest known[2];
    bool there[2];
    size_t others;
};

static bool find(void *arg, const struct slot_id *id)
{
    struct found *f = arg;

    assert_string_equal(id->tenant, "acme");
    assert_string_equal(id->payload, "cam-north");
    for (size_t i = 0; i < 2; i++) {
        if (memcmp(&id->manifest, &f->known[i], sizeof f->known[i]) == 0) {
            f->there[i] = true;
            return true;
        }
    }
    f->others++;
    return true;
}

/* The slot is whole: its envelope is the signed one, its files say what they should. */
static void assert_whole(const struct slots *slots, const struct verified_payload *payload,
                         const char *text)
{
    scoped(slot_close) struct slot slot = { .root = -1 };
    struct slot_id id = slot_id_of(payload);
    uint8_t buf[64];
    size_t n = 0;
    struct err err;

    assert_rc(slot_open(slots, &id, &slot, &err), RC_OK);
    assert_true(bytes_equal((struct bytes){ .p = slot.envelope, .n = slot.envelope_bytes },
                            payload_envelope(payload)));
    assert_rc(fs_read_file(slot.root, "bin/app", buf, sizeof buf, &n, &err), RC_OK);
    assert_int_equal(n, strlen(text));
    assert_memory_equal(buf, text, n);
    assert_int_equal(entries_in(slot.root, "."), 1 + POLICY_MOUNT_POINTS);
}

/* Everything a test of slots starts from. */
struct bay {
    struct scratch state;
    struct trust *trust;
    struct verified_payload *one;
    struct verified_payload *two;
};

static struct bay bay_new(void)
{
    struct bay bay = { .state = scratch_new(), .trust = signed_trust() };

    bay.one = signed_payload(bay.trust, "version one");
    bay.two = signed_payload(bay.trust, "version two");
    return bay;
}

static void bay_done(struct bay *bay)
{
    payload_free(&bay->one);
    payload_free(&bay->two);
    trust_free(&bay->trust);
    scratch_done(&bay->state);
}

/* ---- the true path ----------------------------------------------------------------------------
 */

static void test_install_and_remove(void **state)
{
    scoped(bay_done) struct bay bay = bay_new();
    scoped(slots_done) struct slots slots = { -1, -1 };
    struct slot_id one = slot_id_of(bay.one);
    struct slot_id two = slot_id_of(bay.two);
    uint64_t bytes = 0;
    uint64_t files = 0;
    struct err err;

    (void)state;
    assert_rc(slots_open(bay.state.fd, &slots, &err), RC_OK);
    assert_false(slot_exists(&slots, &one));
    assert_rc(install(&slots, bay.one, &err), RC_OK);
    assert_rc(install(&slots, bay.two, &err), RC_OK);
    assert_whole(&slots, bay.one, "version one");
    assert_whole(&slots, bay.two, "version two");

    assert_rc(slot_usage(&slots, "acme", &bytes, &files, &err), RC_OK);
    assert_int_equal(files, 6);
    assert_true(bytes >= 4 * 512);
    assert_rc(slot_usage(&slots, "zenith", &bytes, &files, &err), RC_OK);
    assert_int_equal(bytes + files, 0);
    assert_rc(slot_usage(&slots, "../acme", &bytes, &files, &err), RC_NAME);

    assert_rc(slot_remove(&slots, &one, &err), RC_OK);
    assert_rc(slot_remove(&slots, &one, &err), RC_OK);
    assert_false(slot_exists(&slots, &one));
    assert_whole(&slots, bay.two, "version two");
    assert_rc(slot_remove(&slots, &two, &err), RC_OK);
    assert_int_equal(entries_in(slots.dir, "."), 0);
    assert_int_equal(entries_in(slots.staging, "."), 0);
}

static void test_again_is_success(void **state)
{
    scoped(bay_done) struct bay bay = bay_new();
    scoped(slots_done) struct slots slots = { -1, -1 };
    struct stage stage = { .root = -1, .index = -1 };
    struct stage other = { .root = -1, .index = -1 };
    struct err err;

    (void)state;
    assert_rc(slots_open(bay.state.fd, &slots, &err), RC_OK);
    assert_rc(install(&slots, bay.one, &err), RC_OK);
    assert_rc(install(&slots, bay.one, &err), RC_OK);
    assert_whole(&slots, bay.one, "version one");
    assert_int_equal(entries_in(slots.staging, "."), 0);

    assert_rc(slot_stage(&slots, bay.two, &stage, &err), RC_OK);
    assert_rc(slot_stage(&slots, bay.two, &other, &err), RC_EXISTS);
    assert_int_equal(other.root, -1);
    assert_rc(slot_abandon(&slots, &stage, &err), RC_OK);
    assert_int_equal(stage.root, -1);
    assert_int_equal(entries_in(slots.staging, "."), 0);
}

/* The package that a slot came from: noted in the stage or later, and whatever cannot be read is no
 * note. */
static void test_object_note(void **state)
{
    scoped(bay_done) struct bay bay = bay_new();
    scoped(slots_done) struct slots slots = { -1, -1 };
    struct unpack_spec spec = spec_of_payload(bay.one);
    struct stage stage = { .root = -1, .index = -1 };
    struct slot_id one = slot_id_of(bay.one);
    struct digest note = { .b = { 1, 2, 3 } }, other = { .b = { 4 } }, found = { 0 };
    char path[200], hex[2 * DIGEST_SIZE + 1];
    struct err err;

    (void)state;
    assert_rc(slots_open(bay.state.fd, &slots, &err), RC_OK);
    assert_rc(slot_object(&slots, &one, &found, &err), RC_NOT_FOUND);
    assert_rc(slot_set_object(&slots, &one, &note, &err), RC_NOT_FOUND);
    assert_rc(slot_stage(&slots, bay.one, &stage, &err), RC_OK);
    assert_rc(unpack_content(payload_fd(bay.one), &spec, stage.root, stage.index, &err), RC_OK);
    assert_rc(slot_stage_object(&slots, &stage, &note, &err), RC_OK);
    assert_rc(slot_commit(&slots, &stage, &err), RC_OK);
    assert_rc(slot_object(&slots, &one, &found, &err), RC_OK);
    assert_memory_equal(&found, &note, sizeof note);
    assert_rc(slot_set_object(&slots, &one, &other, &err), RC_OK);
    assert_rc(slot_object(&slots, &one, &found, &err), RC_OK);
    assert_memory_equal(&found, &other, sizeof other);
    assert_whole(&slots, bay.one, "version one");

    (void)snprintf(path, sizeof path, "acme/cam-north/%s/object",
                   bytes_hex((struct bytes){ one.manifest.b, DIGEST_SIZE }, hex));
    assert_rc(fs_write_file(slots.dir, path, bytes_of("short"), 0644, &err), RC_OK);
    found = note;
    assert_rc(slot_object(&slots, &one, &found, &err), RC_NOT_FOUND);
    assert_memory_equal(&found, &note, sizeof note);
}

/* ---- what is not a slot -----------------------------------------------------------------------
 */

static void test_names(void **state)
{
    scoped(bay_done) struct bay bay = bay_new();
    scoped(slots_done) struct slots slots = { -1, -1 };
    const char *const names[] = { "", "..", ".", "a/b", "A", "-a", "a\n", "acme " };
    struct err err;

    (void)state;
    assert_rc(slots_open(bay.state.fd, &slots, &err), RC_OK);
    assert_rc(install(&slots, bay.one, &err), RC_OK);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct slot_id id = slot_id_of(bay.one);
        struct slot slot = { .root = -1 };

        (void)snprintf(i % 2 ? id.tenant : id.payload, NAME_CAP, "%s", names[i]);
        assert_false(slot_exists(&slots, &id));
        assert_rc(slot_open(&slots, &id, &slot, &err), RC_NAME);
        assert_rc(slot_remove(&slots, &id, &err), RC_NAME);
        assert_int_equal(slot.root, -1);
    }

    struct slot_id unterminated = slot_id_of(bay.one);

    memset(unterminated.tenant, 'a', sizeof unterminated.tenant);
    assert_rc(slot_remove(&slots, &unterminated, &err), RC_NAME);
    assert_whole(&slots, bay.one, "version one");
}

static void test_passed_over(void **state)
{
    scoped(bay_done) struct bay bay = bay_new();
    scoped(slots_done) struct slots slots = { -1, -1 };
    struct found found = { .known = { *payload_digest(bay.one), *payload_digest(bay.two) } };
    struct err err;

    (void)state;
    assert_rc(slots_open(bay.state.fd, &slots, &err), RC_OK);
    assert_rc(install(&slots, bay.one, &err), RC_OK);
    (void)close(make_dir(slots.dir, "UPPER/x/y"));
    (void)close(make_dir(slots.dir, "acme/cam-north/not-a-digest"));
    (void)close(make_dir(slots.dir, "acme/cam-north/00ff"));
    (void)close(make_dir(slots.dir, "empty"));
    assert_rc(slot_list(&slots, find, &found, &err), RC_OK);
    assert_true(found.there[0]);
    assert_false(found.there[1]);
    assert_int_equal(found.others, 0);
}

/* A directory of another tenant, or of another payload, cannot be read: the slots beside it can be
 * seen, in whatever order they are, and that there may be others is told. */
static void test_part_unreadable(void **state)
{
    static const char *const broken[] = { "aaa", "zzz", "acme/aaa", "acme/zzz" };
    scoped(bay_done) struct bay bay = bay_new();
    scoped(slots_done) struct slots slots = { -1, -1 };
    struct err err;

    (void)state;
    assert_rc(slots_open(bay.state.fd, &slots, &err), RC_OK);
    assert_rc(install(&slots, bay.one, &err), RC_OK);
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
        put_file(slots.dir, broken[i], "", 0600);
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        struct found found = { .known = { *payload_digest(bay.one), *payload_digest(bay.two) } };

        assert_rc(slot_list(&slots, find, &found, &err), RC_STATE_DIR);
        assert_true(found.there[0]);
        assert_int_equal(found.others, 0);
        assert_int_equal(unlinkat(slots.dir, broken[i], 0), 0);
    }
    struct found found = { .known = { *payload_digest(bay.one), *payload_digest(bay.two) } };
    assert_rc(slot_list(&slots, find, &found, &err), RC_OK);
    assert_true(found.there[0]);
}

/* ---- damage -----------------------------------------------------------------------------------
 */

static void break_envelope(int dir)
{
    put_file(dir, "envelope", "not an envelope", 0644);
}
static void drop_envelope(int dir)
{
    assert_int_equal(unlinkat(dir, "envelope", 0), 0);
}
static void link_envelope(int dir)
{
    drop_envelope(dir);
    assert_int_equal(symlinkat("/etc/passwd", dir, "envelope"), 0);
}
static void drop_root(int dir)
{
    struct err err;

    assert_rc(fs_remove_tree(dir, "root", &err), RC_OK);
}
static void other_envelope(int dir)
{
    struct manifest m = doc_manifest();
    struct err err;

    doc_signed(&signed_doc_, DOC_MANIFEST, manifest_encode, &m, K_ACME);
    assert_rc(fs_write_file(dir, "envelope", signed_doc_.bytes, 0644, &err), RC_OK);
}

static void test_damaged_is_refused_and_repaired(void **state)
{
    void (*const breaks[])(int dir) = { break_envelope, drop_envelope, link_envelope, drop_root,
                                        other_envelope };

    (void)state;
    for (size_t i = 0; i < sizeof breaks / sizeof breaks[0]; i++) {
        scoped(bay_done) struct bay bay = bay_new();
        scoped(slots_done) struct slots slots = { -1, -1 };
        struct slot_id id = slot_id_of(bay.one);
        struct slot slot = { .root = -1 };
        char hex[65];
        char path[256];
        struct err err;

        assert_rc(slots_open(bay.state.fd, &slots, &err), RC_OK);
        assert_rc(install(&slots, bay.one, &err), RC_OK);
        (void)snprintf(path, sizeof path, "acme/cam-north/%s",
                       bytes_hex((struct bytes){ .p = id.manifest.b, .n = 32 }, hex));

        scoped(close_fd) int dir = make_dir(slots.dir, path);

        breaks[i](dir);
        assert_rc(slot_open(&slots, &id, &slot, &err), RC_SLOT_DAMAGED);
        assert_int_equal(slot.root, -1);
        assert_null(slot.envelope);
        assert_rc(install(&slots, bay.one, &err), RC_OK);
        assert_whole(&slots, bay.one, "version one");
        assert_int_equal(entries_in(slots.staging, "."), 0);
    }
}

static void test_start_empties_staging(void **state)
{
    scoped(bay_done) struct bay bay = bay_new();
    scoped(slots_done) struct slots slots = { -1, -1 };
    scoped(close_fd) int outside = make_dir(bay.state.fd, "outside");
    struct err err;

    (void)state;
    put_file(outside, "canary", "alive", 0644);
    (void)close(make_dir(bay.state.fd, "staging/a/b/c"));
    put_file(bay.state.fd, "staging/a/file", "x", 0000);
    put_file(bay.state.fd, "staging/plain", "x", 0644);
    assert_int_equal(symlinkat("../outside", bay.state.fd, "staging/link"), 0);
    assert_int_equal(symlinkat("../../outside", bay.state.fd, "staging/a/link"), 0);
    assert_int_equal(mkfifoat(bay.state.fd, "staging/fifo", 0600), 0);
    assert_int_equal(fchmodat(bay.state.fd, "staging/a/b", 0000, 0), 0);
    assert_rc(slots_open(bay.state.fd, &slots, &err), RC_OK);
    assert_int_equal(entries_in(slots.staging, "."), 0);
    assert_int_equal(entries_in(outside, "."), 1);
}

static void test_no_state_directory(void **state)
{
    scoped(scratch_done) struct scratch s = scratch_new();
    struct slots slots = { -1, -1 };
    struct err err;

    (void)state;
    put_file(s.fd, "slots", "in the way", 0644);
    assert_true(slots_open(s.fd, &slots, &err) != RC_OK);
    assert_int_equal(slots.dir, -1);
    assert_rc(slots_open(-1, &slots, &err), RC_IO);
}

/* ---- no room ----------------------------------------------------------------------------------
 */

/* On a file system that is too small, in space and in inodes: refused, staging empty, the other
 * slot whole. */
static void test_disk_full(void **state)
{
    static const char *const options[] = { "size=160k", "nr_inodes=30" };
    scoped(trust_free) struct trust *trust = signed_trust();
    scoped(payload_free) struct verified_payload *small = signed_payload(trust, "small");
    struct tar t = { 0 };
    struct err err;

    (void)state;
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        skip();
    tar_dir(&t, "bin/");
    tar_file(&t, "bin/app", 0755, "x");
    for (int i = 0; i < 64; i++) {
        char name[16];
        char text[8192];

        (void)snprintf(name, sizeof name, "bin/f%d", i);
        memset(text, 'a' + i % 26, sizeof text - 1);
        text[sizeof text - 1] = 0;
        tar_file(&t, name, 0644, text);
    }
    tar_end(&t);

    struct content c = compress_window((struct bytes){ .p = t.p, .n = t.n }, 0);
    struct unpack_spec spec = spec_of(content_view(&c), &t, "/bin/app");
    struct manifest m = signed_manifest(&spec);
    scoped(close_fd) int fd = signed_package(&m, content_view(&c), K_ACME);
    scoped(payload_free) struct verified_payload *big = NULL;

    assert_rc(payload_verify(trust, fd, NOW_MS, &big, &err), RC_OK);
    for (size_t i = 0; i < 2; i++) {
        scoped(scratch_done) struct scratch s = scratch_new();
        scoped(slots_done) struct slots slots = { -1, -1 };

        assert_int_equal(mount("none", s.path, "tmpfs", 0, options[i]), 0);

        scoped(close_fd) int small_disk = open(s.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        assert_rc(slots_open(small_disk, &slots, &err), RC_OK);
        assert_rc(install(&slots, small, &err), RC_OK);
        assert_rc(install(&slots, big, &err), RC_NO_SPACE);
        assert_int_equal(entries_in(slots.staging, "."), 0);
        assert_whole(&slots, small, "small");
        slots_done(&slots);
        close_fd(&small_disk);
        assert_int_equal(umount2(s.path, MNT_DETACH), 0);
    }
    tar_done(&t);
    free(c.p);
}

/* ---- killed at every step ---------------------------------------------------------------------
 */

/* Flip a bit of the slot's file, where nobody looks. */
static void damage_one(const struct slots *slots, const struct slot_id *id)
{
    char path[200], hex[2 * DIGEST_SIZE + 1];
    struct err err;

    (void)snprintf(path, sizeof path, "acme/cam-north/%s/root/bin/app",
                   bytes_hex((struct bytes){ id->manifest.b, DIGEST_SIZE }, hex));
    assert_rc(fs_write_file(slots->dir, path, bytes_of("versiom one"), 0755, &err), RC_OK);
}

static enum rc unpack_stage(struct slots *slots, const struct verified_payload *payload,
                            struct stage *stage, struct err *err)
{
    struct unpack_spec spec = spec_of_payload(payload);
    enum rc rc = slot_stage(slots, payload, stage, err);

    return rc == RC_OK ? unpack_content(payload_fd(payload), &spec, stage->root, stage->index, err)
                       : rc;
}

/* A damaged slot is exchanged for a whole one.  What runs from it keeps its tree until it is told
 * that nothing does any more; without a slot it is a commit. */
static void test_exchange(void **state)
{
    scoped(bay_done) struct bay bay = bay_new();
    scoped(slots_done) struct slots slots = { -1, -1 };
    struct slot_id one = slot_id_of(bay.one);
    struct stage stage = { .root = -1, .index = -1 };
    uint8_t buf[64];
    size_t n = 0;
    struct err err;

    (void)state;
    assert_rc(slots_open(bay.state.fd, &slots, &err), RC_OK);
    assert_rc(unpack_stage(&slots, bay.one, &stage, &err), RC_OK);
    assert_rc(slot_exchange(&slots, &stage, true, &err), RC_OK);
    assert_whole(&slots, bay.one, "version one");
    assert_int_equal(entries_in(slots.staging, "."), 0);

    scoped(slot_close) struct slot running = { .root = -1 };
    damage_one(&slots, &one);
    assert_rc(slot_open(&slots, &one, &running, &err), RC_OK);
    for (int again = 0; again < 2; again++) { /* the second time nothing runs from what goes */
        assert_rc(unpack_stage(&slots, bay.one, &stage, &err), RC_OK);
        assert_rc(slot_exchange(&slots, &stage, true, &err), RC_OK);
        assert_int_equal(stage.root, -1);
        assert_whole(&slots, bay.one, "version one");
        assert_int_equal(entries_in(slots.staging, "."), 1);
        assert_rc(fs_read_file(running.root, "bin/app", buf, sizeof buf, &n, &err), RC_OK);
        assert_memory_equal(buf, "versiom one", n);
    }
    assert_rc(slot_drop_old(&slots, &one, &err), RC_OK);
    assert_rc(slot_drop_old(&slots, &one, &err), RC_OK);
    assert_int_equal(entries_in(slots.staging, "."), 0);
    damage_one(&slots, &one);
    assert_rc(unpack_stage(&slots, bay.one, &stage, &err), RC_OK);
    assert_rc(slot_exchange(&slots, &stage, false, &err), RC_OK);
    assert_int_equal(entries_in(slots.staging, "."), 0);
    assert_whole(&slots, bay.one, "version one");
}

/* Start, unpack beside the damaged slot, exchange. */
static int repair(void *arg)
{
    struct bay *bay = arg;
    struct slots slots = { -1, -1 };
    struct stage stage = { .root = -1, .index = -1 };
    struct err err;

    return slots_open(bay->state.fd, &slots, &err) != RC_OK ||
           unpack_stage(&slots, bay->one, &stage, &err) != RC_OK ||
           slot_exchange(&slots, &stage, true, &err) != RC_OK;
}

/* At no step is there no slot: it is the damaged one or the whole one, and never back. */
static void test_exchange_killed_at_every_step(void **state)
{
    scoped(bay_done) struct bay bay = bay_new();
    bool ended = false, whole_before = false;
    int code = -1;
    size_t steps = 0;

    (void)state;
    for (size_t n = 1; !ended; n++) {
        scoped(slots_done) struct slots slots = { -1, -1 };
        scoped(slot_close) struct slot slot = { .root = -1 };
        struct slot_id one = slot_id_of(bay.one);
        uint8_t buf[64] = { 0 };
        size_t got = 0;
        struct err err;

        steps = n;
        assert_rc(slots_open(bay.state.fd, &slots, &err), RC_OK);
        assert_rc(install(&slots, bay.one, &err), RC_OK);
        damage_one(&slots, &one);
        slots_done(&slots);
        ended = !kill_at(n, repair, &bay, NULL, &code);

        assert_rc(slots_open(bay.state.fd, &slots, &err), RC_OK);
        assert_int_equal(entries_in(slots.staging, "."), 0);
        assert_rc(slot_open(&slots, &one, &slot, &err), RC_OK);
        assert_rc(fs_read_file(slot.root, "bin/app", buf, sizeof buf, &got, &err), RC_OK);
        bool whole = memcmp(buf, "version one", got) == 0;
        assert_true(whole || memcmp(buf, "versiom one", got) == 0);
        assert_true(whole || !whole_before);
        whole_before = whole;
    }
    assert_int_equal(code, 0);
    assert_true(whole_before);
    assert_true(steps > 20);
}

static int teardown(void **state)
{
    (void)state;
    doc_keys_free();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_install_and_remove),
        cmocka_unit_test(test_again_is_success),
        cmocka_unit_test(test_object_note),
        cmocka_unit_test(test_exchange),
        cmocka_unit_test(test_exchange_killed_at_every_step),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_passed_over),
        cmocka_unit_test(test_part_unreadable),
        cmocka_unit_test(test_damaged_is_refused_and_repaired),
        cmocka_unit_test(test_start_empties_staging),
        cmocka_unit_test(test_no_state_directory),
        cmocka_unit_test(test_disk_full),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
