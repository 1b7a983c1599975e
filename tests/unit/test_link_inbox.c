/* SPDX-License-Identifier: Apache-2.0
 *
 * link/inbox: what it does about a directory that it may read and not change, and about files that
 * have holes, or change while they are read.  (Its work on bundles is tested with the endpoint.)
 * Needs root.
 */
#include "tests/unit/link_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/limits.h"
#include "link/inbox.h"
#include "link/outbox.h"
#include "tests/unit/bad_block.h"

#define USER 64502
#define FILES 300U

static enum rc take(void *arg, const char *tenant, struct bytes message, struct err *err)
{
    (void)arg;
    (void)tenant;
    (void)message;
    return err_set(err, RC_INTERNAL, "nothing here is authentic");
}

static enum rc commit(void *arg, struct err *err)
{
    (void)arg;
    (void)err;
    return RC_OK;
}

static void refused(void *arg, const struct err *why, uint32_t count)
{
    (void)why;
    *(uint32_t *)arg += count;
}

/* As berth-link's user, over a directory in which it can remove nothing: 0 if the inbox looked at
 * every file it should, once, and did not ask to go on at once. */
static int run_as_user(int dirfd, struct link_state *state)
{
    uint32_t count = 0, files = 0;
    const struct inbox_ops ops = {
        .take = take, .commit = commit, .refused = refused, .arg = &count
    };
    struct inbox *inbox = NULL;
    struct err err;
    bool more = true;

    if (setresgid(USER, USER, USER) != 0 || setresuid(USER, USER, USER) != 0)
        return 1;
    if (inbox_new(dirfd, state, NULL, &ops, &inbox, &err) != RC_OK)
        return 2;
    if (inbox_run(inbox, FILES - 1, &files, &more, &err) != RC_OK)
        return 3;
    inbox_free(&inbox);
    if (files != FILES - 1 || count != FILES - 1)
        return 4;
    return more ? 5 : 0;
}

static void directory_of_another(void **state)
{
    struct link_tmp t = link_tmp_new(), keys_dir = link_tmp_new();
    struct keys keys = { 0 };
    struct link_state link = { 0 };
    struct err err;
    char name[64];
    int status = 0;

    (void)state;
    assert_int_equal(fchmod(t.fd, 01777), 0); /* sticky: only owners remove */
    for (unsigned i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "%03u.bundle", i);
        int fd = openat(t.fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

        assert_int_equal(write(fd, "x", 1), 1);
        close_fd(&fd);
    }
    assert_rc(keys_make(1, 42, &keys, &err), RC_OK);
    assert_rc(link_state_make(keys_dir.fd, LINK_SIDE_SATELLITE, &keys, &err), RC_OK);
    assert_rc(link_state_open(keys_dir.fd, LINK_SIDE_SATELLITE, &link, &err), RC_OK);

    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(run_as_user(t.fd, &link));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    link_state_done(&link);
    link_tmp_free(&keys_dir);
    link_tmp_free(&t);
}

/* Files before a bad block are met and taken away; only then is it told that there is one. */
static void directory_with_a_bad_block(void **state)
{
    struct link_tmp t = link_tmp_new(), keys_dir = link_tmp_new();
    struct keys keys = { 0 };
    struct link_state link = { 0 };
    struct inbox *inbox = NULL;
    uint32_t count = 0, files = 0;
    const struct inbox_ops ops = {
        .take = take, .commit = commit, .refused = refused, .arg = &count
    };
    struct err err;
    char name[64];
    bool more = false;

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "%03u.bundle", i);
        assert_rc(fs_write_file(t.fd, name, bytes_of("x"), 0644, &err), RC_OK);
    }
    assert_rc(keys_make(1, 42, &keys, &err), RC_OK);
    assert_rc(link_state_make(keys_dir.fd, LINK_SIDE_SATELLITE, &keys, &err), RC_OK);
    assert_rc(link_state_open(keys_dir.fd, LINK_SIDE_SATELLITE, &link, &err), RC_OK);
    assert_rc(inbox_new(t.fd, &link, NULL, &ops, &inbox, &err), RC_OK);
    assert_true(bad_block_at(t.fd, ".", 3));
    assert_rc(inbox_run(inbox, FILES, &files, &more, &err), RC_OK);
    assert_int_equal(files, 3);
    assert_int_equal(count, 3);
    assert_true(more);
    bad_block.names = 0;
    assert_rc(inbox_run(inbox, FILES, &files, &more, &err), RC_IO);
    bad_block.on = false;
    assert_rc(inbox_run(inbox, FILES, &files, &more, &err), RC_OK);
    assert_int_equal(files, 2); /* the others are gone */
    assert_false(more);
    inbox_free(&inbox);
    link_state_done(&link);
    link_tmp_free(&keys_dir);
    link_tmp_free(&t);
}

/* ---- files that change ------------------------------------------------------------------------
 */

#define ENOUGH 60U /* files met */

struct shaker {
    struct link_tmp up, keys_dir[2];
    struct link_state state[2]; /* the satellite's and the ground's end */
    struct inbox *inbox;
    uint8_t *bundle;
    size_t n;
    atomic_bool stop;
    uint32_t met, taken, refusals[320];
};

static enum rc take_message(void *arg, const char *tenant, struct bytes message, struct err *err)
{
    struct shaker *s = arg;

    (void)err;
    assert_string_equal(tenant, "");
    assert_int_equal(message.n, 60000);
    for (size_t i = 0; i < message.n; i++)
        assert_int_equal(message.p[i], 7);
    s->taken++;
    return RC_OK;
}

static void count_refusal(void *arg, const struct err *why, uint32_t count)
{
    struct shaker *s = arg;

    s->refusals[why->rc] += count;
    s->met += count;
}

static void shaker_new(struct shaker *s)
{
    static uint8_t message[60000];
    const struct inbox_ops ops = {
        .take = take_message, .commit = commit, .refused = count_refusal, .arg = s
    };
    static const enum link_side sides[] = { LINK_SIDE_SATELLITE, LINK_SIDE_GROUND };
    struct keys keys = { 0 };
    struct err err;

    *s = (struct shaker){ .up = link_tmp_new() };
    assert_rc(keys_make(1, 42, &keys, &err), RC_OK);
    for (size_t i = 0; i < 2; i++) {
        s->keys_dir[i] = link_tmp_new();
        assert_rc(link_state_make(s->keys_dir[i].fd, sides[i], &keys, &err), RC_OK);
        assert_rc(link_state_open(s->keys_dir[i].fd, sides[i], &s->state[i], &err), RC_OK);
    }
    memset(message, 7, sizeof message);
    assert_rc(
        outbox_put(&s->state[1], "", s->up.fd, (struct bytes){ message, sizeof message }, &err),
        RC_OK);
    assert_rc(fs_read_alloc(s->up.fd, "00000001-0000000000000001.bundle", BUNDLE_MAX, &s->bundle,
                            &s->n, &err),
              RC_OK);
    assert_int_equal(unlinkat(s->up.fd, "00000001-0000000000000001.bundle", 0), 0);
    assert_rc(inbox_new(s->up.fd, &s->state[0], NULL, &ops, &s->inbox, &err), RC_OK);
}

static void shaker_free(struct shaker *s)
{
    inbox_free(&s->inbox);
    for (size_t i = 0; i < 2; i++) {
        link_state_done(&s->state[i]);
        link_tmp_free(&s->keys_dir[i]);
    }
    free(s->bundle);
    link_tmp_free(&s->up);
}

static void run_inbox(struct shaker *s)
{
    uint32_t files = 0;
    bool more = false;
    struct err err;

    assert_rc(inbox_run(s->inbox, 100, &files, &more, &err), RC_OK);
}

/* Holes read as zeros, and zeros are no bundle; a bundle with a hole in it is not authentic. */
static void sparse_files(void **state)
{
    struct shaker s;
    int fd = -1;

    (void)state;
    shaker_new(&s);
    fd = openat(s.up.fd, "hole.bundle", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(ftruncate(fd, BUNDLE_MAX), 0);
    close_fd(&fd);
    run_inbox(&s);
    assert_int_equal(s.refusals[RC_CBOR_TYPE] + s.refusals[RC_BUNDLE_FORMAT], 1);
    fd = openat(s.up.fd, "holed.bundle", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(pwrite(fd, s.bundle, 8192, 0), 8192);
    assert_int_equal(pwrite(fd, s.bundle + 40960, s.n - 40960, 40960), (ssize_t)(s.n - 40960));
    close_fd(&fd);
    run_inbox(&s);
    assert_int_equal(s.refusals[RC_BPSEC_AUTH], 1);
    assert_int_equal(s.taken, 0);
    shaker_free(&s);
}

/* Somebody who writes the same file again and again, whole, half, bent and empty. */
static void *shake(void *arg)
{
    struct shaker *s = arg;
    int fd = openat(s->up.fd, "shaken.bundle", O_RDWR | O_CREAT | O_CLOEXEC, 0644);

    for (unsigned i = 0; !atomic_load(&s->stop); i++) {
        if (i % 7 == 0) { /* the last one may have been removed */
            close_fd(&fd);
            fd = openat(s->up.fd, "shaken.bundle", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        }
        if (i % 3 == 0)
            (void)!ftruncate(fd, (off_t)(i % 5 * 9000));
        (void)!pwrite(fd, s->bundle, s->n, 0);
        if (i % 2 == 0)
            (void)!pwrite(fd, "????", 4, (off_t)(i * 131 % s->n));
    }
    close_fd(&fd);
    return NULL;
}

/* What is taken is what was sealed, at most once, whatever the file was in between; what is not is
 * refused with a code of form or authenticity. */
static void rewritten_while_read(void **state)
{
    struct shaker s;
    pthread_t thread;
    struct err err;

    (void)state;
    shaker_new(&s);
    assert_int_equal(pthread_create(&thread, NULL, shake, &s), 0);
    while (s.met < ENOUGH)
        run_inbox(&s);
    atomic_store(&s.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(s.taken <= 1);
    for (uint32_t code = 0; code < 320; code++)
        if (s.refusals[code] > 0 && rc_class((enum rc)code) == RC_CLASS_BROKEN)
            fail_msg("%s", rc_name((enum rc)code));
    /* And the link lives: the bundle, left alone, is taken or was. */
    assert_rc(fs_write_file(s.up.fd, "quiet.bundle", (struct bytes){ s.bundle, s.n }, 0644, &err),
              RC_OK);
    run_inbox(&s);
    assert_int_equal(s.taken, 1);
    shaker_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(directory_of_another),
        cmocka_unit_test(directory_with_a_bad_block),
        cmocka_unit_test(sparse_files),
        cmocka_unit_test(rewritten_while_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
