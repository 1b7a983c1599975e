/* SPDX-License-Identifier: Apache-2.0
 *
 * base/fs and base/statefile under every fault: what all the rest stands on.
 */
#include "tests/unit/fault_table.h"

#include "base/statefile.h"

#define OLD_TEXT "what it said before"
#define NEW_TEXT "and what it says now, which is longer"

/* ---- files ------------------------------------------------------------------------------------
 */

static bool text_is(const struct fault_world *w, const char *path, const char *text)
{
    uint8_t buf[128];
    size_t n = 0;
    struct err err;

    if (fs_read_file(w->dir.fd, path, buf, sizeof buf, &n, &err) != RC_OK)
        return false;
    return n == strlen(text) && memcmp(buf, text, n) == 0;
}

static void file_before(struct fault_world *w)
{
    (void)close(make_dir(w->dir.fd, "a/b"));
    put_file(w->dir.fd, "a/b/file", OLD_TEXT, 0600);
}

static enum rc file_write(struct fault_world *w, struct err *err)
{
    return fs_write_file(w->dir.fd, "a/b/file", bytes_of(NEW_TEXT), 0600, err);
}

static bool file_is_new(struct fault_world *w)
{
    struct err err;

    assert_rc(fs_sweep(w->dir.fd, "a/b", &err), RC_OK);
    if (text_is(w, "a/b/file", NEW_TEXT))
        return true;
    assert_true(text_is(w, "a/b/file", OLD_TEXT));
    return false;
}

static void nothing_before(struct fault_world *w)
{
    (void)w;
}

static enum rc dirs_make(struct fault_world *w, struct err *err)
{
    enum rc rc = fs_make_dirs(w->dir.fd, "one/two/three", 0700, err);

    return rc == RC_OK ? fs_write_file(w->dir.fd, "one/two/three/file", bytes_of("x"), 0600, err)
                       : rc;
}

static bool dirs_are_new(struct fault_world *w)
{
    struct err err;

    if (faccessat(w->dir.fd, "one/two/three", F_OK, 0) == 0)
        assert_rc(fs_sweep(w->dir.fd, "one/two/three", &err), RC_OK);
    return text_is(w, "one/two/three/file", "x");
}

static enum rc sync_dir(struct fault_world *w, const char *path, struct err *err)
{
    scoped(close_fd) int fd = -1;
    enum rc rc = fs_open(w->dir.fd, path, O_RDONLY | O_DIRECTORY, 0, &fd, err);

    return rc == RC_OK ? fs_sync(fd, path, err) : rc;
}

/* As its callers do: when it has failed it may have been done all the same, but not for good. */
static enum rc file_rename(struct fault_world *w, struct err *err)
{
    enum rc rc = fs_rename(w->dir.fd, "a/b/file", w->dir.fd, "a/other", false, err);

    if (rc != RC_NOT_FOUND || faccessat(w->dir.fd, "a/other", F_OK, 0) != 0)
        return rc;
    rc = sync_dir(w, "a", err);
    return rc == RC_OK ? sync_dir(w, "a/b", err) : rc;
}

static bool file_is_renamed(struct fault_world *w)
{
    bool old = text_is(w, "a/b/file", OLD_TEXT);
    bool new = text_is(w, "a/other", OLD_TEXT);

    assert_true(old != new);
    return new;
}

static enum rc file_unlink(struct fault_world *w, struct err *err)
{
    return fs_unlink(w->dir.fd, "a/b/file", err);
}

static bool file_is_gone(struct fault_world *w)
{
    return faccessat(w->dir.fd, "a/b/file", F_OK, 0) != 0;
}

/* ---- state files ------------------------------------------------------------------------------
 */

static void state_put(struct fault_world *w, const char *text)
{
    struct err err;

    assert_rc(statefile_save(w->dir.fd, "state", bytes_of(text), &err), RC_OK);
}

static void state_before(struct fault_world *w)
{
    state_put(w, "the oldest");
    state_put(w, OLD_TEXT);
}

static void state_before_damaged(struct fault_world *w)
{
    state_before(w);
    put_file(w->dir.fd, "state.a", "not a state at all", 0600);
}

static void state_before_both_damaged(struct fault_world *w)
{
    state_before_damaged(w);
    put_file(w->dir.fd, "state.b", "nor this", 0600);
}

static enum rc state_save_one(struct fault_world *w, struct err *err)
{
    return statefile_save(w->dir.fd, "state", bytes_of(NEW_TEXT), err);
}

static enum rc state_save_two(struct fault_world *w, struct err *err)
{
    return statefile_save_both(w->dir.fd, "state", bytes_of(NEW_TEXT), err);
}

static enum rc state_renew(struct fault_world *w, struct err *err)
{
    return statefile_renew(w->dir.fd, "state", bytes_of(NEW_TEXT), err);
}

static enum rc state_text(struct fault_world *w, char out[128])
{
    size_t n = 0;
    struct err err;

    assert_rc(fs_sweep(w->dir.fd, ".", &err), RC_OK);
    memset(out, 0, 128);
    return statefile_load(w->dir.fd, "state", (uint8_t *)out, 127, &n, NULL, &err);
}

static bool state_is_new(struct fault_world *w)
{
    char text[128];

    assert_rc(state_text(w, text), RC_OK);
    if (strcmp(text, NEW_TEXT) != 0)
        assert_string_equal(text, OLD_TEXT);
    return strcmp(text, NEW_TEXT) == 0;
}

/* Neither copy is worth anything until the first is written. */
static bool state_is_renewed(struct fault_world *w)
{
    char text[128];
    enum rc rc = state_text(w, text);

    if (rc == RC_OK)
        assert_string_equal(text, NEW_TEXT);
    else
        assert_rc(rc, RC_STATE_DAMAGED);
    return rc == RC_OK;
}

static bool state_is_there(struct fault_world *w)
{
    char text[128];
    enum rc rc = state_text(w, text);

    if (rc == RC_OK)
        assert_string_equal(text, NEW_TEXT);
    else
        assert_rc(rc, RC_NOT_FOUND);
    return rc == RC_OK;
}

/* ---- the rows ---------------------------------------------------------------------------------
 */

static const struct fault_row rows[] = {
    { .name = "file written anew",
      .before = file_before,
      .run = file_write,
      .is_new = file_is_new,
      .one_way = true,
      .calls_min = 6 },
    { .name = "directories made",
      .before = nothing_before,
      .run = dirs_make,
      .is_new = dirs_are_new,
      .one_way = true,
      .calls_min = 8 },
    { .name = "file renamed",
      .before = file_before,
      .run = file_rename,
      .is_new = file_is_renamed,
      .one_way = true,
      .calls_min = 3 },
    { .name = "file unlinked",
      .before = file_before,
      .run = file_unlink,
      .is_new = file_is_gone,
      .one_way = true,
      .calls_min = 2 },
    { .name = "state file saved for the first time",
      .before = nothing_before,
      .run = state_save_one,
      .is_new = state_is_there,
      .one_way = true,
      .calls_min = 6 },
    { .name = "state file saved",
      .before = state_before,
      .run = state_save_one,
      .is_new = state_is_new,
      .one_way = true,
      .calls_min = 6 },
    { .name = "state file saved in both copies",
      .before = state_before,
      .run = state_save_two,
      .is_new = state_is_new,
      .one_way = true,
      .calls_min = 12 },
    { .name = "state file saved over a damaged copy",
      .before = state_before_damaged,
      .run = state_save_one,
      .is_new = state_is_new,
      .also = RC_STATE_DAMAGED,
      .one_way = true,
      .calls_min = 6 },
    { .name = "state file renewed over two damaged",
      .before = state_before_both_damaged,
      .run = state_renew,
      .is_new = state_is_renewed,
      .one_way = true,
      .calls_min = 12 },
};

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
