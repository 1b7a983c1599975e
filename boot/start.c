/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/start.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "boot/evict.h"
#include "boot/guard.h"
#include "boot/tally.h"

#define LOCK_WAIT_MS 20000U
#define LOCK_TRY_MS 20U
#define TRIAL_S_MAX (30U * 24U * 3600U)
#define SOAK_PART 20U
#define REST_PART 10U
#define GUARD_MARGIN_MIN_S 5U
#define GUARD_MARGIN_MAX_S 60U
#define ARGS_MAX 64

/* ---- shared with berthd -------------------------------------------------------------------------
 */

bool boot_terms_read(struct boot_terms *terms, const char *option, const char *value)
{
    char *rest = NULL;

    if (strcmp(option, "--agent-commit") == 0) {
        terms->policy = strcmp(value, "bundle") == 0 ? BOOT_BUNDLE : BOOT_EITHER;
        return strcmp(value, "bundle") == 0 || strcmp(value, "either") == 0;
    }
    if (strcmp(option, "--agent-trial-seconds") != 0 || value[0] < '0' || value[0] > '9')
        return false;
    errno = 0;
    unsigned long n = strtoul(value, &rest, 10);
    if (errno != 0 || *rest != '\0' || n == 0 || n > TRIAL_S_MAX)
        return false;
    terms->trial_s = (uint32_t)n;
    return true;
}

uint32_t boot_terms_limit(const struct boot_terms *terms)
{
    return terms->policy == BOOT_BUNDLE ? terms->trial_s : 2U * terms->trial_s;
}

uint32_t boot_terms_soak_ms(const struct boot_terms *terms)
{
    uint32_t ms = 1000U / SOAK_PART * terms->trial_s;

    return ms < 1000U * BOOT_SOAK_S_MAX ? ms : 1000U * BOOT_SOAK_S_MAX;
}

uint32_t boot_terms_well(const struct boot_terms *terms)
{
    return terms->trial_s < BOOT_SOAK_S_MAX ? terms->trial_s : BOOT_SOAK_S_MAX;
}

/* The current agent is late only on a machine that is very busy: it has a long margin. */
uint32_t boot_terms_guard(const struct boot_terms *terms, bool trial)
{
    uint32_t margin = terms->trial_s / 10U;

    if (!trial)
        return 2U * boot_terms_well(terms) + GUARD_MARGIN_MAX_S;
    margin = margin < GUARD_MARGIN_MIN_S ? GUARD_MARGIN_MIN_S : margin;
    return boot_terms_limit(terms) + (margin > GUARD_MARGIN_MAX_S ? GUARD_MARGIN_MAX_S : margin);
}

/* On a file system that is read-only the lock is taken on what is there. */
static enum rc lock_as_it_is(int state_dirfd, int *ret_fd, struct err *err)
{
    scoped(close_fd) int fd = -1;
    enum rc rc = fs_open(state_dirfd, "lock", O_RDONLY | O_NONBLOCK, 0, &fd, err);

    if (rc != RC_OK)
        rc = fs_open(state_dirfd, ".", O_RDONLY | O_DIRECTORY, 0, &fd, err);
    if (rc != RC_OK)
        return rc;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? err_set(err, RC_BUSY, "lock")
                                    : err_sys(err, RC_IO, "lock, read-only");
    *ret_fd = take_fd(&fd);
    return RC_OK;
}

/* The name itself is bad, and will be at the next start too.  Nothing that may pass is among these,
 * and no lack of rights: a lock that somebody may hold stays where it is. */
static bool is_bad_lock(int sys)
{
    return sys == EISDIR || sys == ELOOP || sys == ENXIO || sys == EIO || sys == EUCLEAN ||
           sys == EBADMSG;
}

/* What is no file, or cannot be read, would keep every agent from starting: it makes way. */
static enum rc lock_file(int state_dirfd, int *ret_fd, struct err *err)
{
    struct err why = { 0 };
    enum rc rc = fs_lock(state_dirfd, "lock", ret_fd, &why);

    if (rc != RC_OK && is_bad_lock(why.sys)) {
        log_err(LOG_LEVEL_ERROR, &why, "lock is made anew");
        if (renameat(state_dirfd, "lock", state_dirfd, "lock.bad") == 0 ||
            unlinkat(state_dirfd, "lock", 0) == 0)
            rc = fs_lock(state_dirfd, "lock", ret_fd, &why);
    }
    /* It cannot be replaced, or none can be made. */
    if (rc != RC_OK && rc != RC_BUSY &&
        (is_bad_lock(why.sys) || why.sys == EROFS || why.sys == ENOSPC || why.sys == EDQUOT))
        rc = lock_as_it_is(state_dirfd, ret_fd, &why);
    if (rc != RC_OK)
        *err = why;
    return rc;
}

enum rc boot_lock(int state_dirfd, int *ret_fd, struct err *err)
{
    const struct timespec pause = { .tv_nsec = LOCK_TRY_MS * 1000000L };
    const uint64_t began = clock_mono_ms();

    for (bool told = false;; told = true) {
        enum rc rc = lock_file(state_dirfd, ret_fd, err);

        if (rc != RC_BUSY || clock_mono_ms() - began > LOCK_WAIT_MS)
            return rc;
        if (!told)
            log_event(LOG_LEVEL_INFO, "waiting for the agent before this one to end");
        (void)nanosleep(&pause, NULL);
    }
}

enum rc boot_own_dir(int *ret_fd, struct err *err)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

    if (n <= 0)
        return err_sys(err, RC_IO, "/proc/self/exe");
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    if (!slash)
        return err_set(err, RC_IO, "/proc/self/exe");
    *slash = '\0';
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, RC_IO, "%s", path);
    *ret_fd = fd;
    return RC_OK;
}

/* ---- becoming berthd ----------------------------------------------------------------------------
 */

/* A start-up. */
struct booting {
    int argc;
    char **argv;
    int state, own;
    struct boot_terms terms;
    struct boot_record record;
    struct boot_record disk; /* if it is tallied: what the record is carried on from */
    bool readable;           /* the record is; else it is left as it is, to be looked at */
    bool tallied;            /* it cannot be written, and is carried on in memory */
};

static void booting_done(struct booting *b)
{
    close_fd(&b->state);
    close_fd(&b->own);
}

/* berthd of an agent.  What lies in the state directory belongs to whom that belongs to, and to
 * nobody else. */
static enum rc open_program(const struct booting *b, const struct boot_id *who, int *ret_fd,
                            struct err *err)
{
    scoped(close_fd) int fd = -1;
    char dir[BOOT_PATH_CAP], path[BOOT_PATH_CAP + sizeof "/berthd"] = "berthd";
    struct stat st, owner;
    bool slot = !boot_id_none(who);

    if (slot) {
        boot_path(who, dir);
        (void)snprintf(path, sizeof path, "%s/berthd", dir);
    }
    enum rc rc = fs_open(slot ? b->state : b->own, path, O_RDONLY, 0, &fd, err);
    if (rc != RC_OK)
        return rc;
    if (fstat(fd, &st) != 0 || fstat(b->state, &owner) != 0)
        return err_sys(err, RC_IO, "%s", path);
    if (!S_ISREG(st.st_mode) || st.st_size == 0 || (st.st_mode & 0100) == 0 ||
        (slot && (st.st_uid != owner.st_uid || (st.st_mode & 022) != 0 || st.st_nlink != 1)))
        return err_set(err, RC_NOT_REGULAR, "%s", path);
    *ret_fd = take_fd(&fd);
    return RC_OK;
}

/* Returns only if it cannot be started. */
static enum rc become(const struct booting *b, const struct boot_id *who, int program,
                      struct err *err)
{
    static char name[] = "berthd", option[] = "--boot", empty[] = "";
    char id[BOOT_NAME_CAP];
    char *argv[ARGS_MAX + 4];
    int n = 0;

    boot_name(who, id);
    argv[n++] = name;
    for (int i = 1; i < b->argc; i++)
        argv[n++] = b->argv[i];
    argv[n++] = option;
    argv[n++] = id;
    argv[n] = NULL;
    (void)execveat(program, empty, argv, environ, AT_EMPTY_PATH);
    return err_sys(err, RC_AGENT_START, "%s", id);
}

/* On disk before it starts.  What failed once is written once more; what failed twice may have come
 * to the first copy, and counts if that is there for good. */
static bool is_written(struct booting *b, const struct boot_record *next)
{
    struct boot_record found = { 0 };
    struct err err = { 0 };

    if (boot_save_patiently(b->state, next, &err) == RC_OK ||
        boot_save(b->state, next, &err) == RC_OK)
        return true;
    log_err(LOG_LEVEL_ERROR, &err, "boot record");
    if (boot_load(b->state, &found, &err) != RC_OK)
        return false;
    return memcmp(&found, next, sizeof found) == 0 && fs_sync(b->state, BOOT_FILE, &err) == RC_OK;
}

/* The record can be read and not be written: count in memory.  What was chosen cannot have been a
 * candidate, which is not started then: it could never be committed. */
static enum rc choose_unwritten(struct booting *b, enum boot_event event, struct boot_id *who,
                                struct err *err)
{
    const bool first = !b->tallied;
    const struct boot_news news = { .id = *who };
    struct boot_record next = first ? tally_load(b->state, &b->record) : b->record;
    const bool unknown = !boot_id_same(who, &next.current);
    enum rc rc = boot_next(&next, first && unknown ? BOOT_EV_START : event, &news, who);

    if (first)
        b->disk = b->record;
    b->tallied = true;
    b->record = next;
    if (rc != RC_OK)
        return err_set(err, rc, "nothing to start");
    tally_save(b->state, &b->disk, &next);
    return RC_OK;
}

/* Choose; what rests on the choice is written down before it starts.  A disk that cannot be written
 * to costs a candidate its trial for now, and the current agent nothing. */
static enum rc choose(struct booting *b, enum boot_event event, struct boot_id *who,
                      struct err *err)
{
    const struct boot_news news = { .id = *who };
    struct boot_record next = b->record;
    struct boot_id chosen = { 0 };

    if (b->tallied)
        return choose_unwritten(b, event, who, err);
    enum rc rc = boot_next(&next, event, &news, &chosen);
    if (rc != RC_OK)
        return err_set(err, rc, "nothing to start");
    if (b->readable && memcmp(&next, &b->record, sizeof next) != 0) {
        if (!is_written(b, &next))
            return choose_unwritten(b, event, who, err);
        tally_forget(b->state);
        b->record = next;
    }
    *who = chosen;
    return RC_OK;
}

/* Who cannot be guarded is no worse for it.  A trial waits, because a candidate may hang; a
 * committed agent has shown once that it does not. */
static enum rc guard_agent(const struct booting *b, const struct boot_id *who, struct err *err)
{
    const bool trial = boot_id_same(who, &b->record.candidate);
    const struct guard guard = { .state = b->state,
                                 .who = *who,
                                 .trial = trial,
                                 .tallied = b->tallied,
                                 .starts = b->record.starts,
                                 .after_s = boot_terms_guard(&b->terms, trial) };
    struct err why = { 0 };

    if (boot_id_none(who) || guard_start(&guard, &why) == RC_OK)
        return RC_OK;
    log_err(LOG_LEVEL_ERROR, &why, "no guard");
    return trial ? err_set(err, RC_BUSY, "a trial without a guard") : RC_OK;
}

/* Returns only if it cannot be started; RC_BUSY: nor can others, for now. */
static enum rc try_start(const struct booting *b, const struct boot_id *who, struct err *err)
{
    scoped(close_fd) int program = -1;
    bool trial = !boot_id_none(who) && boot_id_same(who, &b->record.candidate);
    char name[BOOT_NAME_CAP];
    enum rc rc = open_program(b, who, &program, err);

    if (rc != RC_OK)
        return boot_passes(err) ? RC_BUSY : rc;
    rc = guard_agent(b, who, err);
    if (rc != RC_OK)
        return rc;
    boot_name(who, name);
    log_event(LOG_LEVEL_INFO, "start agent=%s%s", name, trial ? " on trial" : "");
    rc = become(b, who, program, err);
    return boot_passes(err) ? RC_BUSY : rc;
}

static enum rc open_all(struct booting *b, struct err *err)
{
    const char *state = NULL;

    if (b->argc < 1 || b->argc > ARGS_MAX)
        return err_set(err, RC_USAGE, "arguments");
    b->terms = (struct boot_terms){ .trial_s = BOOT_TRIAL_S };
    for (int i = 1; i + 1 < b->argc; i += 2) {
        if (strcmp(b->argv[i], "--state") == 0)
            state = b->argv[i + 1];
        (void)boot_terms_read(&b->terms, b->argv[i], b->argv[i + 1]);
    }
    if (!state)
        return err_set(err, RC_USAGE, "--state DIR is missing");
    b->state = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (b->state < 0)
        return err_sys(err, RC_IO, "%s", state);
    return boot_own_dir(&b->own, err);
}

/* What hangs on to the lock without an agent would keep every agent from starting. */
static enum rc lock_or_evict(int state, int *ret_fd, struct err *err)
{
    struct err why = { 0 };
    uint32_t n = 0;
    enum rc rc = boot_lock(state, ret_fd, err);

    if (rc != RC_BUSY)
        return rc;
    if (boot_evict(state, &n, &why) != RC_OK) {
        log_err(LOG_LEVEL_ERROR, &why, "lock");
        return rc;
    }
    return n > 0 ? boot_lock(state, ret_fd, err) : rc;
}

/* Starts that ended badly make the next one wait; never long beside the time of a trial. */
static void rest(const struct booting *b)
{
    const struct boot_record tally = tally_load(b->state, &b->record);
    uint32_t s = boot_pause(&b->record), counted = boot_pause(&tally);
    struct timespec left = { 0 };

    s = counted > s ? counted : s;
    s = s < b->terms.trial_s / REST_PART ? s : b->terms.trial_s / REST_PART;
    if (s == 0)
        return;
    log_event(LOG_LEVEL_WARN, "the agent has ended before it was well: waiting seconds=%u", s);
    left.tv_sec = s;
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

enum rc boot_start(int argc, char **argv, struct err *err)
{
    scoped(booting_done) struct booting b = { .argc = argc, .argv = argv, .state = -1, .own = -1 };
    scoped(close_fd) int lock = -1;
    struct boot_id who = { 0 };
    enum rc rc = open_all(&b, err);

    if (rc == RC_OK)
        rc = lock_or_evict(b.state, &lock, err);
    if (rc != RC_OK)
        return rc;
    rc = boot_load_patiently(b.state, &b.record, err);
    if (rc != RC_OK && boot_passes(err)) /* nothing is known of it: the next start finds out */
        return rc;
    b.readable = rc == RC_OK;
    if (!b.readable)
        log_err(LOG_LEVEL_ERROR, err, "which agent is current is not known: as launched");
    rest(&b);
    rc = choose(&b, BOOT_EV_START, &who, err);
    while (rc == RC_OK) {
        close_fd(&lock); /* from here on berthd's */
        rc = try_start(&b, &who, err);
        log_err(LOG_LEVEL_ERROR, err, "start");
        if (rc != RC_BUSY)
            rc = choose(&b, BOOT_EV_UNSTARTED, &who, err);
    }
    return rc;
}
