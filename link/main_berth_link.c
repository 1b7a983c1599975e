/* SPDX-License-Identifier: Apache-2.0
 *
 * berth-link [--user UID[:GID]]: the process on board that meets bundles.  Started by berthd with
 * descriptors 3 (port to berthd), 4 (spool), 5 (uplink), 6 (downlink) and 7 (link keys); gives up
 * everything else before it reads a byte, and ends when berthd does.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/confine.h"
#include "base/crypto.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/resident.h"
#include "link/endpoint.h"
#include "link/port.h"
#include "link/repairs.h"

enum { FD_PORT = 3, FD_SPOOL = 4, FD_UP = 5, FD_DOWN = 6, FD_KEYS = 7 };

#define MEMORY_MAX (UINT64_C(256) * 1024U * 1024U)
#define FILES_MAX 64U
#define IDLE_MS 1000U /* a wait of so long in which nothing came: memory is given back */
/* The largest is that of an object's repairs: a slot for every chunk (link/repairs). */
#define SPOOL_FILE_MAX (OBJECT_MAX + CHUNK_MAX + CHUNKS_MAX * REPAIRS_HEAD + 65536U)

/* Beyond what every process of ours may call (base/confine.c).  Directories that somebody put into
 * the uplink are removed with what is in them, which may take a change of mode; where the
 * downlink's file system cannot sync directories, it is synced as a whole. */
static const char *const syscalls[] = { "renameat2", "unlinkat",  "mkdirat", "fdatasync",
                                        "fchmodat",  "fchmodat2", "fstatfs", "fallocate",
                                        "syncfs",    NULL };

/* Whether the descriptors are what berthd should have given. */
static enum rc check_fds(struct err *err)
{
    for (int fd = FD_PORT; fd <= FD_KEYS; fd++) {
        struct stat st;

        if (fstat(fd, &st) < 0)
            return err_sys(err, RC_PROTOCOL, "descriptor %d", fd);
        if (fd == FD_PORT ? !S_ISSOCK(st.st_mode) : !S_ISDIR(st.st_mode))
            return err_set(err, RC_PROTOCOL, "descriptor %d is of another type", fd);
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
            return err_sys(err, RC_IO, "descriptor %d", fd);
    }
    return RC_OK;
}

/* Tells when files arrive.  Only a hint: without it the directory is looked at by timer. */
static int watch_uplink(void)
{
    scoped(close_fd) int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    char path[32];

    snprintf(path, sizeof path, "/proc/self/fd/%d", FD_UP);
    if (fd < 0 || inotify_add_watch(fd, path, IN_MOVED_TO | IN_CLOSE_WRITE) < 0)
        return -1;
    return take_fd(&fd);
}

/* Drop everything that is not needed from here on. */
static enum rc confine(const char *user, struct err *err)
{
    static const struct confine_dir dirs[] = {
        { FD_SPOOL, true },
        { FD_UP, true },
        { FD_DOWN, true },
        { FD_KEYS, true },
    };
    static const struct confine rules = { .name = "berth-link",
                                          .syscalls = syscalls,
                                          .dirs = dirs,
                                          .n_dirs = sizeof dirs / sizeof dirs[0],
                                          .file_size_max = SPOOL_FILE_MAX,
                                          .files_max = FILES_MAX,
                                          .memory_max = MEMORY_MAX };
    uid_t uid = 0;
    gid_t gid = 0;
    uint8_t digest[DIGEST_SIZE];

    if (geteuid() == 0) {
        if (user == NULL || !confine_parse_user(user, &uid, &gid))
            return err_set(err, RC_USAGE, "started as root without --user UID[:GID]");
        enum rc rc = confine_user(uid, gid, err);
        if (rc != RC_OK)
            return rc;
    }
    /* Changing the user clears it; berthd may have died before: then the port has closed as well.
     */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return err_sys(err, RC_CONFINE, "parent death signal");
    /* Let libcrypto look for its configuration while it still can. */
    enum rc rc = sha256_of((struct bytes){ 0 }, digest, err);
    return rc == RC_OK ? confine_self(&rules, err) : rc;
}

/* Forget which files arrived: the tick looks itself. */
static void drain(int fd)
{
    char buf[4096];

    while (fd >= 0 && read(fd, buf, sizeof buf) > 0)
        continue;
}

static enum rc loop(struct endpoint *e, int watch, struct err *err)
{
    enum rc rc = RC_OK;
    bool worked = true; /* since memory was given back */

    while (rc == RC_OK) {
        struct pollfd fds[] = { { .fd = FD_PORT, .events = POLLIN },
                                { .fd = watch, .events = POLLIN } };
        uint64_t wait_ms = 0;

        rc = endpoint_tick(e, clock_mono_ms(), &wait_ms, err);
        if (rc != RC_OK)
            break;
        int ready = poll(fds, 2, (int)wait_ms);
        if (ready < 0 && errno != EINTR)
            return err_sys(err, RC_IO, "poll");
        if (ready == 0 && wait_ms >= IDLE_MS && worked) {
            resident_release();
            worked = false;
        } else if (ready > 0) {
            worked = true;
        }
        if ((fds[1].revents & POLLIN) != 0)
            drain(watch);
        if (fds[0].revents != 0)
            rc = endpoint_port(e, err);
    }
    return rc;
}

int main(int argc, char **argv)
{
    scoped(endpoint_free) struct endpoint *e = NULL;
    const struct endpoint_fds fds = {
        .port = FD_PORT, .spool = FD_SPOOL, .up = FD_UP, .down = FD_DOWN, .keys = FD_KEYS
    };
    const char *user = NULL;
    struct err err = { 0 };

    log_open("berth-link", LOG_LEVEL_INFO);
    if (argc == 3 && strcmp(argv[1], "--user") == 0) {
        user = argv[2];
    } else if (argc != 1) {
        fprintf(stderr, "usage: berth-link [--user UID[:GID]]   (started by berthd)\n");
        return 2;
    }
    enum rc rc = check_fds(&err);
    int watch = rc == RC_OK ? watch_uplink() : -1;

    if (rc == RC_OK)
        rc = confine(user, &err);
    if (rc == RC_OK)
        rc = endpoint_new(&fds, clock_mono_ms(), &e, &err);
    if (rc == RC_OK)
        rc = loop(e, watch, &err);
    if (rc == RC_SHORT)
        return 0; /* berthd is gone */
    log_err(LOG_LEVEL_ERROR, &err, "end");
    return 1;
}
