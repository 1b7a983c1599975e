/* SPDX-License-Identifier: Apache-2.0
 *
 * What berthd keeps beside its documents, under every fault: the state, the order, data and their
 * snapshots, what was refused.
 */
#include "tests/unit/fault_table.h"

#include <spawn.h>

#include "agent/aside.h"
#include "agent/data.h"
#include "agent/snapshot.h"
#include "agent/staged.h"
#include "agent/state.h"

#define OLD_DATA "data of the version before"
#define TRIAL_DATA "what the trial has made of it"

/* ---- state and order --------------------------------------------------------------------------
 */

static struct state kept;

static void state_put(struct fault_world *w, uint64_t epoch)
{
    struct err err;

    kept = (struct state){ .epoch = epoch, .event_seq = epoch * 10 };
    assert_rc(state_save(w->dir.fd, &kept, true, &err), RC_OK);
}

static void state_before(struct fault_world *w)
{
    state_put(w, 1);
}

static enum rc state_write(struct fault_world *w, struct err *err)
{
    kept = (struct state){ .epoch = 2, .event_seq = 20 };
    return state_save(w->dir.fd, &kept, true, err);
}

/* A start: one copy that cannot be read is no reason to take what it did not say. */
static enum rc state_start(struct fault_world *w, struct err *err)
{
    bool repair = false;
    enum rc rc = state_load(w->dir.fd, &kept, &repair, err);

    if (rc == RC_OK && (kept.epoch != 1 && kept.epoch != 2))
        return err_set(err, RC_INTERNAL, "epoch %u", (unsigned)kept.epoch);
    return rc;
}

static bool state_is_new(struct fault_world *w)
{
    struct err err;
    bool repair = false;

    assert_rc(fs_sweep(w->dir.fd, ".", &err), RC_OK);
    assert_rc(state_load(w->dir.fd, &kept, &repair, &err), RC_OK);
    assert_false(repair);
    assert_true(kept.epoch == 1 || kept.epoch == 2);
    assert_int_equal(kept.event_seq, kept.epoch * 10);
    return kept.epoch == 2;
}

/* Two items of CBOR: the file is split where the first ends. */
static enum rc order_write(struct fault_world *w, struct err *err)
{
    static const uint8_t order[] = { 0x42, 'o', '2' }, token[] = { 0x42, 't', '2' };

    return order_file_save(w->dir.fd, (struct bytes){ order, sizeof order },
                           (struct bytes){ token, sizeof token }, err);
}

static void order_before(struct fault_world *w)
{
    static const uint8_t order[] = { 0x42, 'o', '1' };
    struct err err;

    assert_rc(order_file_save(w->dir.fd, (struct bytes){ order, sizeof order }, (struct bytes){ 0 },
                              &err),
              RC_OK);
}

static bool order_is_new(struct fault_world *w)
{
    scoped(order_file_done) struct order_file file = { 0 };
    struct err err;

    assert_rc(fs_sweep(w->dir.fd, ".", &err), RC_OK);
    assert_rc(order_file_load(w->dir.fd, &file, &err), RC_OK);
    bool new = file.order.p[2] == '2';
    assert_int_equal(file.token.n, new ? 3 : 0); /* never the token of another */
    return new;
}

/* ---- data -------------------------------------------------------------------------------------
 */

#define DATA_DIR "acme/cam"

static bool text_is(struct fault_world *w, const char *name, const char *text)
{
    char path[64];
    uint8_t buf[64];
    size_t n = 0;
    struct err err;

    (void)snprintf(path, sizeof path, DATA_DIR "/%s", name);
    return fs_read_file(w->dir.fd, path, buf, sizeof buf, &n, &err) == RC_OK && n == strlen(text) &&
           memcmp(buf, text, n) == 0;
}

static void data_before(struct fault_world *w)
{
    (void)close(make_dir(w->dir.fd, DATA_DIR));
    put_file(w->dir.fd, DATA_DIR "/data.img", OLD_DATA, 0600);
}

static enum rc data_copy(struct fault_world *w, struct err *err)
{
    return snapshot_take(w->dir.fd, "acme", "cam", err);
}

static bool data_is_copied(struct fault_world *w)
{
    struct err err;

    assert_rc(snapshot_drop(w->dir.fd, "acme", "cam", true, &err), RC_OK); /* as a start does */
    assert_true(text_is(w, "data.img", OLD_DATA));
    bool copied = snapshot_exists(w->dir.fd, "acme", "cam");
    if (copied)
        assert_true(text_is(w, "data.snap", OLD_DATA));
    return copied;
}

static void data_before_trial(struct fault_world *w)
{
    struct err err;

    data_before(w);
    assert_rc(data_copy(w, &err), RC_OK);
    put_file(w->dir.fd, DATA_DIR "/data.img", TRIAL_DATA, 0600);
}

static enum rc data_restore(struct fault_world *w, struct err *err)
{
    return snapshot_restore(w->dir.fd, "acme", "cam", err);
}

static bool data_is_restored(struct fault_world *w)
{
    bool left = snapshot_exists(w->dir.fd, "acme", "cam");

    assert_true(text_is(w, "data.img", left ? TRIAL_DATA : OLD_DATA));
    return !left;
}

static enum rc data_drop(struct fault_world *w, struct err *err)
{
    return snapshot_drop(w->dir.fd, "acme", "cam", false, err);
}

static bool data_is_kept(struct fault_world *w)
{
    assert_true(text_is(w, "data.img", TRIAL_DATA));
    return !snapshot_exists(w->dir.fd, "acme", "cam");
}

/* ---- the first start of a payload with data ----------------------------------------------------
 */

#define IMAGE_BYTES (128U * 1024U)

static const struct data_id owner = { .tenant = "acme", .name = "cam", .index = 7 };

static enum rc data_make(struct fault_world *w, struct err *err)
{
    scoped(close_fd) int fd = -1;

    return data_open(w->dir.fd, &owner, IMAGE_BYTES, &fd, err);
}

static enum rc data_start(struct fault_world *w, struct err *err)
{
    return data_sweep(w->dir.fd, err);
}

static void data_before_first(struct fault_world *w)
{
    (void)close(make_dir(w->dir.fd, "acme"));
}

/* A file system that its own checker finds nothing wrong with. */
static void assert_image_whole(struct fault_world *w)
{
    static char check[] = "e2fsck", how[] = "-fn";
    char path[128];
    char *const argv[] = { check, how, path, NULL };
    char *const envp[] = { NULL };
    posix_spawn_file_actions_t quiet;
    pid_t pid = -1;
    int status = -1;

    (void)snprintf(path, sizeof path, "%s/" DATA_DIR "/data.img", w->dir.path);
    assert_int_equal(posix_spawn_file_actions_init(&quiet), 0);
    assert_int_equal(posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&quiet, 1, 2), 0);
    assert_int_equal(posix_spawn(&pid, "/sbin/e2fsck", &quiet, NULL, argv, envp), 0);
    assert_int_equal(posix_spawn_file_actions_destroy(&quiet), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* An image never lies there without its owner, nor half of one under its name. */
static bool data_is_made(struct fault_world *w)
{
    struct err err;
    uint32_t index = 0;

    assert_rc(data_sweep(w->dir.fd, &err), RC_OK);
    bool made = faccessat(w->dir.fd, DATA_DIR "/data.img", F_OK, 0) == 0;
    if (made) {
        assert_image_whole(w);
        assert_true(data_index(w->dir.fd, owner.tenant, owner.name, &index));
        assert_int_equal(index, owner.index);
    }
    return made;
}

/* What cuts have left, of a payload that never starts again too. */
static void data_before_cut(struct fault_world *w)
{
    data_before(w);
    put_file(w->dir.fd, DATA_DIR "/.index.0123456789abcdef", "7", 0600);
    put_file(w->dir.fd, DATA_DIR "/data.img.new", "half an image", 0600);
    (void)close(make_dir(w->dir.fd, "acme/radio"));
    put_file(w->dir.fd, "acme/radio/data.img.new", "half an image", 0600);
}

static bool data_is_swept(struct fault_world *w)
{
    assert_true(text_is(w, "data.img", OLD_DATA));
    return entries_in(w->dir.fd, DATA_DIR) == 1 && entries_in(w->dir.fd, "acme/radio") == 0;
}

/* ---- what was refused -------------------------------------------------------------------------
 */

static void aside_before(struct fault_world *w)
{
    (void)close(make_dir(w->dir.fd, ASIDE_DIR));
}

static enum rc aside_put(struct fault_world *w, struct err *err)
{
    const struct digest digest = { .b = { 1, 2, 3 } };
    scoped(close_fd) int fd = memfd_of(bytes_of("refused"));

    return aside_keep(w->dir.fd, fd, &digest, 7, RC_SIG_BAD, err);
}

static bool aside_is_there(struct fault_world *w)
{
    struct err err;

    assert_rc(fs_sweep(w->dir.fd, ASIDE_DIR, &err), RC_OK);
    return entries_in(w->dir.fd, ASIDE_DIR) == 1;
}

/* ---- the rows ---------------------------------------------------------------------------------
 */

static const char *const swept[] = { "acme", NULL }; /* by every start */

/* clang-format off */
static const struct fault_row rows[] = {
    { .name = "state of the agent saved", .before = state_before, .open = state_start, .run = state_write,
      .is_new = state_is_new, .one_way = true, .calls_min = 12 },
    { .name = "order and its token in force", .before = order_before, .run = order_write,
      .is_new = order_is_new, .one_way = true, .calls_min = 12 },
    { .name = "data copied for a trial", .before = data_before, .run = data_copy,
      .is_new = data_is_copied, .one_way = true, .calls_min = 8 },
    { .name = "data of before a trial put back", .before = data_before_trial,
      .run = data_restore, .is_new = data_is_restored, .best_effort = true, .may_lack = true,
      .one_way = true, .calls_min = 3 },
    { .name = "copy removed when a trial commits", .before = data_before_trial,
      .run = data_drop, .is_new = data_is_kept, .one_way = true, .calls_min = 3 },
    { .name = "data image made", .before = data_before_first, .open = data_start,
      .run = data_make, .is_new = data_is_made, .also = RC_DATA_IMAGE, .one_way = true,
      .thin = true, .calls_min = 12 },
    { .name = "leftovers of data images removed", .before = data_before_cut, .run = data_start,
      .is_new = data_is_swept, .passing = swept, .one_way = true, .calls_min = 5 },
    { .name = "refused object set aside", .before = aside_before, .run = aside_put,
      .is_new = aside_is_there, .best_effort = true, .one_way = true, .calls_min = 6 },
};
/* clang-format on */

static void test_every_fault(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        fault_row_run(&rows[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_every_fault) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
