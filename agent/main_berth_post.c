/* SPDX-License-Identifier: Apache-2.0
 *
 * berth-post --user UID:GID: the process that carries messages in and out of payloads' mail
 * directories (agent/post).  Started by berthd with a socket on descriptor 3; ends when berthd
 * does.
 *
 * What it works on are mounts that have no name, which landlock cannot speak of.  So its root is an
 * empty memory file system that is mounted nowhere (where it may not mount, a removed directory):
 * no path leads anywhere, and a directory is what
 * it was handed.  Landlock still takes away everything that carrying files does not need.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/post.h"
#include "base/clock.h"
#include "base/confine.h"
#include "base/log.h"

#define SOCKET_FD 3
#define FILES_MAX 512U
#define MEMORY_MAX (UINT64_C(64) * 1024U * 1024U)

static const char *const syscalls[] = { NULL };

/* A file system that is mounted nowhere, with nothing in it; -1 with errno. */
static int empty_mount(void)
{
    scoped(close_fd) int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);

    if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0555", 0) != 0 ||
        fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0)
        return -1;
    return fsmount(fs, FSMOUNT_CLOEXEC,
                   MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

/* For who may not mount: a directory that is removed already.  Nobody finds anything in it or can
 * put anything there.  -1 with errno. */
static int removed_directory(void)
{
    char path[] = "/tmp/berth-post-XXXXXX";

    if (mkdtemp(path) == NULL)
        return -1;
    scoped(close_fd) int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (rmdir(path) != 0 || fd < 0)
        return -1;
    return take_fd(&fd);
}

/* Nothing is below our root any more. */
static enum rc leave_files(struct err *err)
{
    scoped(close_fd) int root = empty_mount();

    if (root < 0 && errno == EPERM)
        root = removed_directory();
    if (root < 0 || fchdir(root) != 0 || chroot(".") != 0)
        return err_sys(err, RC_CONFINE, "empty root");
    return RC_OK;
}

static enum rc confine(const char *user, struct err *err)
{
    static const struct confine rules = { .name = "berth-post",
                                          .syscalls = syscalls,
                                          .handed_dirs = true,
                                          .file_size_max = MAIL_OBJECT_MAX,
                                          .files_max = FILES_MAX,
                                          .memory_max = MEMORY_MAX };
    uid_t uid = 0;
    gid_t gid = 0;

    if (geteuid() != 0 || !confine_parse_user(user, &uid, &gid))
        return err_set(err, RC_USAGE, "must be started as root with --user UID:GID");
    enum rc rc = leave_files(err);
    if (rc == RC_OK)
        rc = confine_user(uid, gid, err);
    if (rc == RC_OK && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return err_sys(err, RC_CONFINE, "parent death signal");
    return rc == RC_OK ? confine_self(&rules, err) : rc;
}

static enum rc loop(struct post *post, struct err *err)
{
    enum rc rc = RC_OK;

    while (rc == RC_OK) {
        uint64_t wait_ms = 0;

        rc = post_turn(post, clock_mono_ms(), &wait_ms, err);
        if (rc == RC_OK)
            rc = post_wait(post, wait_ms, err);
    }
    return rc;
}

int main(int argc, char **argv)
{
    scoped(post_free) struct post *post = NULL;
    struct err err = { 0 };
    struct stat st;

    log_open("berth-post", LOG_LEVEL_INFO);
    if (argc != 3 || strcmp(argv[1], "--user") != 0) {
        (void)fputs("usage: berth-post --user UID:GID   (started by berthd, socket on 3)\n",
                    stderr);
        return 2;
    }
    (void)umask(0077);
    enum rc rc = RC_OK;
    if (fstat(SOCKET_FD, &st) != 0 || !S_ISSOCK(st.st_mode) ||
        fcntl(SOCKET_FD, F_SETFD, FD_CLOEXEC) != 0)
        rc = err_set(&err, RC_PROTOCOL, "descriptor %d", SOCKET_FD);
    if (rc == RC_OK)
        rc = confine(argv[2], &err);
    if (rc == RC_OK)
        rc = post_new(SOCKET_FD, &post, &err);
    if (rc == RC_OK)
        rc = loop(post, &err);
    if (rc == RC_SHORT)
        return 0; /* berthd is gone */
    log_err(LOG_LEVEL_ERROR, &err, "end");
    return 1;
}
