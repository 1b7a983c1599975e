/* SPDX-License-Identifier: Apache-2.0
 *
 * link/inbox: what it does about a directory that it may read and not change.  (Its work on bundles
 * is tested with the endpoint.)  Needs root.
 */
#include "tests/unit/link_fixture.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include "link/inbox.h"

#define USER 64502
#define FILES 300U

static enum rc take(void *arg, struct bytes message, struct err *err)
{
    (void)arg;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(directory_of_another),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
