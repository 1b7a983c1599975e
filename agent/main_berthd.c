/* SPDX-License-Identifier: Apache-2.0
 *
 * berthd: the agent on board.  Starts as root to make the state tree and to start berth-launch
 * (which stays privileged; or something else starts that for it, --launcher) and berth-link (which
 * becomes a user of its own), then becomes a user itself and gives up all but its state directory.
 *
 * When it ends, for whatever reason, the other two see their sockets close and end too;
 * berth-launch takes every payload with it.  Whoever starts berthd again finds nothing running.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/own.h"
#include "agent/place.h"
#include "agent/probe.h"
#include "agent/spawn.h"
#include "base/clock.h"
#include "base/confine.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/name.h"
#include "boot/tally.h"
#include "sandbox/door.h"
#include "sandbox/wire.h"

#define AGENT_USER "berth"
#define LINK_USER "berth-link"
#define AGENT_UID 64501U
#define LINK_UID 64502U
#define POST_USER "berth-post"
#define POST_UID 64504U
#define FILES_MAX 1024U

struct user {
    uid_t uid;
    gid_t gid;
};

struct options {
    const char *state, *uplink, *downlink, *cgroup;
    const char *user, *link_user, *post_user;
    const char *heartbeat_ms, *frozen_passes, *scrub_hours;
    const char *boot, *commit, *trial_s;
    const char *inputs, *inputs_user;
    const char *waive, *require, *devices, *audit_s, *launcher, *link_s;
    struct boot_terms terms;
    struct user agent, link, post, platform;
    uint32_t heartbeat, frozen, scrub, audit, link_limit;
};

/* ---- the command line ---------------------------------------------------------------------------
 */

static const char usage_text[] =
    "usage: berthd --state DIR --uplink DIR --downlink DIR [--cgroup NAME]\n"
    "              [--user UID[:GID]] [--link-user UID[:GID]] [--post-user UID[:GID]]\n"
    "              [--heartbeat-ms N]\n"
    "              [--frozen-passes N] [--agent-commit bundle|either] [--agent-trial-seconds N]\n"
    "              [--scrub-hours N] [--inputs PATH] [--inputs-user UID[:GID]]\n"
    "              [--waive WALL,...] [--require WALL,...] [--devices FILE]\n"
    "              [--audit-seconds N] [--launcher PATH] [--link-seconds N]\n"
    "              [--boot NAME]          (berth-boot says that)\n";

static bool number(const char *text, char end, uint32_t max, uint32_t *ret, const char **ret_rest)
{
    char *rest = NULL;

    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    unsigned long value = strtoul(text, &rest, 10);
    if (errno != 0 || value > max || (*rest != '\0' && *rest != end))
        return false;
    *ret = (uint32_t)value;
    *ret_rest = rest;
    return true;
}

/* "UID" or "UID:GID", never root; without it the named user, or else a number of ours. */
static bool find_user(const char *text, const char *name, uint32_t fallback, struct user *ret)
{
    /* cppcheck-suppress getpwnamCalled ; there is one thread */
    const struct passwd *known = text ? NULL : getpwnam(name);
    const char *rest = NULL;
    uint32_t uid = fallback;
    uint32_t gid = fallback;

    if (text) {
        if (!number(text, ':', UINT32_MAX - 1, &uid, &rest))
            return false;
        gid = uid;
        if (*rest == ':' && !number(rest + 1, '\0', UINT32_MAX - 1, &gid, &rest))
            return false;
    } else if (known) {
        uid = known->pw_uid;
        gid = known->pw_gid;
    }
    *ret = (struct user){ .uid = uid, .gid = gid };
    return uid != 0 && gid != 0;
}

static const char **option_of(struct options *o, const char *name)
{
    const struct {
        const char *name;
        const char **value;
    } table[] = {
        { "--state", &o->state },
        { "--uplink", &o->uplink },
        { "--downlink", &o->downlink },
        { "--cgroup", &o->cgroup },
        { "--user", &o->user },
        { "--link-user", &o->link_user },
        { "--post-user", &o->post_user },
        { "--heartbeat-ms", &o->heartbeat_ms },
        { "--frozen-passes", &o->frozen_passes },
        { "--agent-commit", &o->commit },
        { "--agent-trial-seconds", &o->trial_s },
        { "--boot", &o->boot },
        { "--scrub-hours", &o->scrub_hours },
        { "--inputs", &o->inputs },
        { "--inputs-user", &o->inputs_user },
        { "--waive", &o->waive },
        { "--require", &o->require },
        { "--devices", &o->devices },
        { "--audit-seconds", &o->audit_s },
        { "--launcher", &o->launcher },
        { "--link-seconds", &o->link_s },
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].name, name) == 0)
            return table[i].value;
    return NULL;
}

static bool parse(int argc, char **argv, struct options *o)
{
    const char *rest = NULL;

    *o = (struct options){ .cgroup = "berth",
                           .heartbeat = AGENT_HEARTBEAT_MS,
                           .frozen = AGENT_FROZEN_PASSES,
                           .scrub = AGENT_SCRUB_HOURS,
                           .audit = AGENT_AUDIT_S,
                           .link_limit = PULSE_S,
                           .terms = { .trial_s = BOOT_TRIAL_S } };
    for (int i = 1; i < argc; i += 2) {
        const char **value = option_of(o, argv[i]);

        if (!value || i + 1 == argc)
            return false;
        *value = argv[i + 1];
    }
    if (o->heartbeat_ms &&
        (!number(o->heartbeat_ms, '\0', 24U * 3600U * 1000U, &o->heartbeat, &rest) ||
         o->heartbeat < AGENT_REPORT_GAP_MS))
        return false;
    if (o->frozen_passes && !number(o->frozen_passes, '\0', 1000000U, &o->frozen, &rest))
        return false;
    if ((o->commit && !boot_terms_read(&o->terms, "--agent-commit", o->commit)) ||
        (o->trial_s && !boot_terms_read(&o->terms, "--agent-trial-seconds", o->trial_s)))
        return false;
    if (o->audit_s && (!number(o->audit_s, '\0', 24U * 3600U, &o->audit, &rest) || o->audit == 0))
        return false;
    if (o->link_s && (!number(o->link_s, '\0', PULSE_S_MAX, &o->link_limit, &rest) ||
                      o->link_limit < PULSE_S_MIN))
        return false;
    if (o->scrub_hours &&
        (!number(o->scrub_hours, '\0', ROUNDS_HOURS_MAX, &o->scrub, &rest) || o->scrub == 0))
        return false;
    if (o->inputs_user && !find_user(o->inputs_user, NULL, 0, &o->platform))
        return false;
    return o->state && o->uplink && o->downlink && name_valid(o->cgroup) &&
           find_user(o->user, AGENT_USER, AGENT_UID, &o->agent) &&
           find_user(o->link_user, LINK_USER, LINK_UID, &o->link) &&
           find_user(o->post_user, POST_USER, POST_UID, &o->post) && o->agent.uid != o->link.uid &&
           o->post.uid != o->agent.uid && o->post.uid != o->link.uid;
}

/* ---- as root: the tree --------------------------------------------------------------------------
 */

static enum rc open_path(const char *path, int *ret_fd, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return err_sys(err, RC_IO, "%s", path);
    *ret_fd = fd;
    return RC_OK;
}

/* What changes hands, and to whom. */
struct gift {
    int dir;
    struct user user;
    bool failed;
};

/* Provisioning wrote as root; berthd reads and replaces as its user.  Links are not followed and
 * stay root's, so nothing outside the tree changes hands. */
static bool give_entry(void *arg, const char *name)
{
    struct gift *to = arg;
    struct stat st;

    if (fstatat(to->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
        st.st_nlink == 1 && st.st_uid != to->user.uid &&
        fchownat(to->dir, name, to->user.uid, to->user.gid, AT_SYMLINK_NOFOLLOW) != 0)
        to->failed = true;
    return true; /* one that cannot be had is no reason to keep the others */
}

/* To whom it belongs, and how; it mostly is so already, on a file system that may be read-only. */
static bool hand_over(int fd, mode_t mode, struct user user)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return false;
    return ((st.st_uid == user.uid && st.st_gid == user.gid) ||
            fchown(fd, user.uid, user.gid) == 0) &&
           ((st.st_mode & 07777) == mode || fchmod(fd, mode) == 0);
}

/* What is there for a place, and what it is needed for. */
struct place_plan {
    enum place place;
    mode_t mode;
    struct user user;
    bool spare;  /* somebody must be given a directory, or its content can be had again */
    int *ret_fd; /* NULL: whoever needs it opens it */
};

/* What is wrong with a place. */
struct fault {
    bool shut; /* it cannot be opened and read */
    bool any;  /* that, or it cannot be handed over */
};

/* A directory of the state tree and the plain files in it, for one user. */
static enum rc try_place(const struct agent *a, const struct place_plan *p, int *ret_fd,
                         struct fault *ret, struct err *err)
{
    enum rc rc = place_open(a->state_dir, p->place, p->mode, p->spare, ret_fd, &ret->shut, err);
    struct gift to = { .dir = *ret_fd, .user = p->user };

    ret->any = ret->shut;
    if (rc != RC_OK)
        return rc;
    if (!hand_over(*ret_fd, p->mode, p->user) ||
        fs_list(*ret_fd, ".", SIZE_MAX, give_entry, &to, NULL, err) != RC_OK || to.failed) {
        (void)err_sys(err, RC_IO, "%s", place_name(p->place));
        log_err(LOG_LEVEL_ERROR, err, "cannot be handed over");
        ret->any = true;
    }
    return RC_OK;
}

/* What fails twice is noted, told when there is somebody to tell, and no reason not to start; once
 * may pass, and nobody should be deaf for that until the next start.  RC_IO: there is no
 * descriptor, and there must be one. */
static enum rc give_place(struct agent *a, const struct place_plan *p, struct err *err)
{
    scoped(close_fd) int fd = -1;
    struct err why = { 0 };
    struct fault fault = { 0 };
    enum rc rc = try_place(a, p, &fd, &fault, &why);

    if (fault.any) {
        close_fd(&fd);
        rc = try_place(a, p, &fd, &fault, &why);
    }
    if (fault.any)
        a->bad_places |= 1U << p->place;
    if (fault.shut)
        a->shut_places |= 1U << p->place;
    if (rc == RC_OK && p->ret_fd)
        *p->ret_fd = take_fd(&fd);
    if (rc != RC_OK && p->spare) {
        *err = why;
        return rc;
    }
    return RC_OK;
}

/* A directory that berth-link must write to; it is lent one that nobody was given yet.  Where it is
 * missing (a mount that comes late) what is on board runs all the same, with a stand-in. */
static enum rc lend_dir(struct agent *a, enum place place, const char *path, struct user user,
                        int *ret_fd, struct err *err)
{
    struct stat st;
    bool shut = false;
    enum rc rc = place_open_outside(a->state_dir, place, path, ret_fd, &shut, err);

    if (rc != RC_OK)
        return rc;
    if (shut) {
        a->shut_places |= 1U << place;
        a->bad_places |= 1U << place;
    }
    if (fstat(*ret_fd, &st) != 0 || (st.st_uid == 0 && fchown(*ret_fd, user.uid, (gid_t)-1) != 0))
        return err_sys(err, RC_IO, "%s", path);
    return RC_OK;
}

struct tree {
    int spool, keys, up, down, own, lock, slots;
};

static void tree_close(struct tree *t)
{
    close_fd(&t->spool);
    close_fd(&t->keys);
    close_fd(&t->up);
    close_fd(&t->down);
    close_fd(&t->own);
    close_fd(&t->lock);
    close_fd(&t->slots);
}

static enum rc make_tree(const struct options *o, struct agent *a, struct tree *t, struct err *err)
{
    /* berth-launch and berth-link are given a directory, if need be an empty one. */
    const struct place_plan plans[] = {
        { PLACE_STATE, 0755, o->agent, false, NULL },
        { PLACE_TRUST, 0700, o->agent, false, &a->trust_dir },
        { PLACE_OBJECTS, 0700, o->agent, false, NULL },
        { PLACE_SLOTS, 0755, o->agent, true, &t->slots },
        { PLACE_DATA, 0700, o->agent, false, &a->data_dir },
        { PLACE_STAGING, 0700, o->agent, false, NULL },
        { PLACE_LOG, 0750, o->agent, false, &a->log_dir },
        { PLACE_LINK, 0700, o->link, true, &t->keys },
        { PLACE_SPOOL, 0700, o->link, true, &t->spool },
    };
    enum rc rc = open_path(o->state, &a->state_dir, err);

    if (rc == RC_OK)
        rc = boot_lock(a->state_dir, &t->lock, err);
    for (size_t i = 0; rc == RC_OK && i < sizeof plans / sizeof *plans; i++)
        rc = give_place(a, &plans[i], err);
    if (rc == RC_OK)
        rc = lend_dir(a, PLACE_UPLINK, o->uplink, o->link, &t->up, err);
    if (rc == RC_OK)
        rc = lend_dir(a, PLACE_DOWNLINK, o->downlink, o->link, &t->down, err);
    return rc;
}

/* ---- as root: the others ------------------------------------------------------------------------
 */

/* A packet socket pair; our end does not block. */
static enum rc make_pair(int *ret_ours, int *ret_theirs, struct err *err)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return err_sys(err, RC_IO, "socketpair");
    *ret_ours = pair[0];
    *ret_theirs = pair[1];
    if (fcntl(pair[0], F_SETFL, O_NONBLOCK) != 0)
        return err_sys(err, RC_IO, "socketpair");
    return RC_OK;
}

/* berth-launch with those arguments, as a process of ours, or one that is started for us where
 * --launcher says: then we need not have what it needs. */
static enum rc start_launcher(const struct options *o, struct agent *a, const struct tree *t,
                              char *const argv[], struct err *err)
{
    scoped(close_fd) int theirs = -1;
    scoped(close_fd) int program = -1;
    pid_t pid = -1;

    if (!o->launcher) {
        enum rc rc = make_pair(&a->launch_sock, &theirs, err);
        const int fds[] = { theirs, t->slots, t->lock };

        if (rc == RC_OK)
            rc = wire_make_room(a->launch_sock, err);
        return rc == RC_OK ? spawn_program(t->own, argv, fds, 3, &pid, err) : rc;
    }
    enum rc rc = fs_open(t->own, argv[0], O_RDONLY, 0, &program, err);
    const int fds[DOOR_SELF] = {
        [DOOR_PROGRAM] = program, [DOOR_SLOTS] = t->slots, [DOOR_LOCK] = t->lock
    };

    return rc == RC_OK ? door_ask(o->launcher, argv, fds, &a->launch_sock, err) : rc;
}

static enum rc start_launch(const struct options *o, struct agent *a, const struct tree *t,
                            struct err *err)
{
    static char name[] = "berth-launch", flag[] = "--cgroup", mail[] = "--mail-user";
    char user[32];
    static char waive[] = "--waive", require[] = "--require", devices[] = "--devices";
    char *argv[12] = { name, flag, (char *)(uintptr_t)o->cgroup, mail, user };
    size_t n = 5;

    (void)snprintf(user, sizeof user, "%u:%u", o->post.uid, o->post.gid);
    if (o->waive) {
        argv[n++] = waive;
        argv[n++] = (char *)(uintptr_t)o->waive;
    }
    if (o->require) {
        argv[n++] = require;
        argv[n++] = (char *)(uintptr_t)o->require;
    }
    if (o->devices) {
        argv[n++] = devices;
        argv[n++] = (char *)(uintptr_t)o->devices;
    }
    argv[n] = NULL;
    return start_launcher(o, a, t, argv, err);
}

static enum rc start_link(const struct options *o, struct agent *a, const struct tree *t,
                          struct err *err)
{
    static char name[] = "berth-link", flag[] = "--user";
    char user[32];
    char *const argv[] = { name, flag, user, NULL };
    scoped(close_fd) int theirs = -1;
    pid_t pid = -1;
    enum rc rc = make_pair(&a->link_sock, &theirs, err);
    const int fds[] = { theirs, t->spool, t->up, t->down, t->keys, t->lock };

    (void)snprintf(user, sizeof user, "%u:%u", o->link.uid, o->link.gid);
    return rc == RC_OK ? spawn_program(t->own, argv, fds, 6, &pid, err) : rc;
}

static enum rc start_one_post(const struct options *o, const struct tree *t, int *ret_sock,
                              pid_t *ret_pid, struct err *err)
{
    static char name[] = "berth-post", flag[] = "--user";
    char user[32];
    char *const argv[] = { name, flag, user, NULL };
    scoped(close_fd) int theirs = -1;
    pid_t pid = -1;
    enum rc rc = make_pair(ret_sock, &theirs, err);
    const int fds[] = { theirs, t->lock };
    struct stat st;
    /* The lock may be the state directory itself (boot_lock), and no directory may come there. */
    const size_t n = fstat(t->lock, &st) == 0 && S_ISREG(st.st_mode) ? 2 : 1;

    (void)snprintf(user, sizeof user, "%u:%u", o->post.uid, o->post.gid);
    if (rc != RC_OK)
        return rc;
    /* Without it messages wait, as when it ends later: its end of the pair is closed either way. */
    if (spawn_program(t->own, argv, fds, n, &pid, err) == RC_OK)
        *ret_pid = pid;
    else
        log_err(LOG_LEVEL_ERROR, err, "mail");
    return RC_OK;
}

/* One that carries mail, and those that take its place when it ends: later nobody here may start
 * another. */
static enum rc start_post(const struct options *o, struct agent *a, const struct tree *t,
                          struct err *err)
{
    enum rc rc = start_one_post(o, t, &a->mail.sock, &a->mail.pid[0], err);

    for (uint32_t i = 0; rc == RC_OK && i < MAIL_SPARES; i++) {
        rc = start_one_post(o, t, &a->mail.spare[i], &a->mail.pid[1 + i], err);
        a->mail.n_spares += rc == RC_OK ? 1 : 0;
    }
    return rc;
}

static struct probe_place where_is(const struct options *o, enum place place)
{
    if (place == PLACE_UPLINK)
        return (struct probe_place){ o->uplink, true };
    if (place == PLACE_DOWNLINK)
        return (struct probe_place){ o->downlink, true };
    return (struct probe_place){ place_name(place), false };
}

/* Whoever goes on looking at what could not be used.  Without one it stays so until the next start,
 * which is no reason not to start now. */
static void start_probe(const struct options *o, struct agent *a, const struct user *user,
                        uint32_t places, int *ret_fd)
{
    struct probe_plan plan = {
        .state_dir = a->state_dir, .uid = user->uid, .gid = user->gid, .every_ms = PROBE_EVERY_MS
    };
    struct err err = { 0 };

    for (unsigned place = 0; place < PLACES; place++)
        if (a->shut_places & places & 1U << place)
            plan.place[plan.n++] = where_is(o, (enum place)place);
    if (plan.n > 0 && probe_start(&plan, ret_fd, &err) != RC_OK)
        log_err(LOG_LEVEL_ERROR, &err, "nobody looks at what could not be used");
}

/* Those without which payloads or the ground are cut off; for the others a stand-in does. */
#define OF_LINK (1U << PLACE_LINK | 1U << PLACE_UPLINK | 1U << PLACE_DOWNLINK)
#define OF_AGENT (1U << PLACE_SLOTS | 1U << PLACE_DATA | 1U << PLACE_TRUST)

static void start_probes(const struct options *o, struct agent *a)
{
    struct own *own = &a->own;
    struct err err = { 0 };

    own->begun_ms = clock_mono_ms();
    if ((a->shut_places & (OF_LINK | OF_AGENT)) == 0) {
        tally_anew_forget(a->state_dir);
        return;
    }
    if (tally_anew_open(a->state_dir, &own->anew_fd, &own->anew, &err) != RC_OK) {
        log_err(LOG_LEVEL_WARN, &err, "starts anew are not counted");
        own->anew = OWN_ANEW_UNKNOWN;
    }
    start_probe(o, a, &o->link, OF_LINK, &a->probe[0]);
    start_probe(o, a, &o->agent, OF_AGENT, &a->probe[1]);
}

/* ---- for good -----------------------------------------------------------------------------------
 */

/* What berthd and the programs that it starts (berth-unpack, mke2fs) need beyond the common list.
 */
static const char *const calls[] = {
    "accept4",
    "capget",
    "chdir",
    "clone",
    "clone3",
    "close_range",
    "connect",
    "copy_file_range",
    "dup2",
    "epoll_create",
    "execve",
    "execveat",
    "fadvise64",
    "fallocate",
    "fchdir",
    "fchmodat",
    "fchmodat2",
    "fstatfs",
    "getcwd",
    "getppid",
    "getresgid",
    "getresuid",
    "getrlimit",
    "getsockopt",
    "inotify_init1",
    "ioprio_set",
    "kill",
    "landlock_add_rule",
    "landlock_create_ruleset",
    "landlock_restrict_self",
    "linkat",
    "mincore",
    "newfstatat",
    "personality",
    "pidfd_open",
    "pidfd_send_signal",
    "pipe",
    "pipe2",
    "prctl",
    "readlink",
    "readlinkat",
    "rmdir",
    "sched_setaffinity",
    "sched_setscheduler",
    "seccomp",
    "set_tid_address",
    "setrlimit",
    "setsockopt",
    "socket",
    "socketpair",
    "statfs",
    "symlinkat",
    "sync",
    "syncfs",
    "umask",
    "utimensat",
    "vfork",
    "wait4",
    "waitid",
    "fchown",
    "getsockname",
    "sendmmsg",
    NULL,
};

/* Programs and libraries that its children read; no more of the file system than that. */
static const char *const read_only[] = { "/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc" };
#define READ_ONLY_MAX (sizeof read_only / sizeof *read_only)

static enum rc confine(const struct options *o, const struct agent *a, const struct tree *t,
                       struct err *err)
{
    struct confine_dir dirs[READ_ONLY_MAX + 4];
    int opened[READ_ONLY_MAX + 2];
    size_t n = 0;
    size_t n_opened = 0;

    (void)o;
    dirs[n++] = (struct confine_dir){ .fd = a->state_dir, .write = true };
    dirs[n++] = (struct confine_dir){ .fd = t->own };
    for (size_t i = 0; i < READ_ONLY_MAX; i++) {
        int fd = open(read_only[i], O_PATH | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
            continue; /* not every system has every one of them */
        opened[n_opened++] = fd;
        dirs[n++] = (struct confine_dir){ .fd = fd };
    }
    int private_lib = openat(t->own, "../lib/berth", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (private_lib >= 0) {
        opened[n_opened++] = private_lib;
        dirs[n++] = (struct confine_dir){ .fd = private_lib };
    }
    const struct confine rules = { .name = "berthd",
                                   .syscalls = calls,
                                   .dirs = dirs,
                                   .n_dirs = n,
                                   .may_exec = true,
                                   .files_max = FILES_MAX };
    enum rc rc = confine_self(&rules, err);

    for (size_t i = 0; i < n_opened; i++)
        close_fd(&opened[i]);
    return rc;
}

/* The privileged part, in order; afterwards there is no way back. */
static enum rc start(const struct options *o, struct agent *a, struct err *err)
{
    scoped(tree_close) struct tree t = { -1, -1, -1, -1, -1, -1, -1 };
    sigset_t mask;

    (void)umask(0022);
    (void)sigemptyset(&mask);
    (void)sigaddset(&mask, SIGTERM);
    (void)sigaddset(&mask, SIGINT);
    (void)sigaddset(&mask, SIGUSR1);
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || sigprocmask(SIG_BLOCK, &mask, NULL) != 0)
        return err_sys(err, RC_IO, "signals");
    a->inputs_uid = o->platform.uid;
    enum rc rc = inputs_open(o->inputs, o->platform.uid, o->platform.gid, &a->inputs_sock, err);
    if (rc == RC_OK)
        rc = boot_own_dir(&t.own, err);
    if (rc == RC_OK)
        rc = fs_open(t.own, "berth-unpack", O_RDONLY, 0, &a->unpack_program, err);
    if (rc == RC_OK)
        rc = fs_open(t.own, "berth-bus", O_RDONLY, 0, &a->bus_program, err);
    if (rc == RC_OK)
        rc = make_tree(o, a, &t, err);
    if (rc == RC_OK) {
        own_claim(a, t.own, o->boot);
        rc = start_launch(o, a, &t, err);
    }
    if (rc == RC_OK)
        rc = start_link(o, a, &t, err);
    if (rc == RC_OK)
        rc = start_post(o, a, &t, err);
    if (rc == RC_OK)
        start_probes(o, a);
    if (rc == RC_OK)
        rc = confine_user(o->agent.uid, o->agent.gid, err);
    if (rc == RC_OK)
        rc = agent_load(a, err);
    if (rc == RC_OK)
        rc = agent_open(a, err);
    if (rc == RC_OK)
        rc = confine(o, a, &t, err);
    return rc;
}

int main(int argc, char **argv)
{
    struct options o;
    struct err err = { 0 };
    struct agent *a = calloc(1, sizeof *a);

    (void)prctl(PR_SET_NAME, "berthd"); /* it may have been started by descriptor, without a name */
    log_open("berthd", LOG_LEVEL_INFO);
    if (!parse(argc, argv, &o)) {
        (void)fputs(usage_text, stderr);
        return 2;
    }
    if (!a || geteuid() != 0) {
        (void)fputs("berthd: must be started as root; it becomes another user by itself\n", stderr);
        return 1;
    }
    a->heartbeat_ms = o.heartbeat;
    a->frozen_passes = o.frozen;
    a->audit_every_ms = o.audit * 1000U;
    pulse_init(&a->pulse, o.link_limit);
    a->mail.pulse_s = o.link_limit;
    a->own.terms = o.terms;
    rounds_init(&a->scrub.rounds, (uint64_t)o.scrub * 3600U);
    a->state_dir = a->trust_dir = a->data_dir = a->log_dir = -1;
    a->mail.sock = -1;
    a->link_sock = a->launch_sock = a->unpack_program = a->inputs_sock = a->refused.fd = -1;
    a->bus_program = -1;
    a->check.fd = a->scrub.fd = a->probe[0] = a->probe[1] = a->own.anew_fd = -1;
    if (start(&o, a, &err) != RC_OK) {
        log_err(LOG_LEVEL_ERROR, &err, "start");
        return 1;
    }
    return agent_run(a);
}
