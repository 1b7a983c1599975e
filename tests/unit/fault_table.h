/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/fault_table: rows of operations, each carried through every fault at every call that
 * changes files.  docs/testing.md says how to write a row, and what is checked.
 */
#ifndef BERTH_TESTS_UNIT_FAULT_TABLE_H
#define BERTH_TESTS_UNIT_FAULT_TABLE_H

#include "tests/unit/test.h"

#include <dirent.h>
#include <sys/mman.h>

#include "tests/unit/fault_syncs.h"
#include "tests/unit/update_fixture.h"

#define NAMES_CAP 128U
#define FAULT_FAILURES_SHOWN 12U

/* Names below a directory. */
struct names {
    size_t n;
    char name[NAMES_CAP][224];
};

/* What the child tells. */
struct fault_told {
    enum rc first, second;
    int sys;
    char what[96];
    int fds_before, fds_after;
    bool opened, ended;
    char left[224];     /* a file that a failure left behind; "" = none */
    uint64_t number[8]; /* the row's own: what must not go back */
};

/* One run: a directory of its own, and what the row needs. */
struct fault_world {
    struct scratch dir;
    struct fault_told *told; /* shared with the child */
    void *arg;               /* the row's; freed by nobody */
};

struct fault_row {
    const char *name;
    /* Make the world as it was before; not under the fault. */
    void (*before)(struct fault_world *w);
    /* The restart path of the module.  NULL: there is none.  The operation.  close ends what open
     * began; NULL allowed. */
    enum rc (*open)(struct fault_world *w, struct err *err);
    enum rc (*run)(struct fault_world *w, struct err *err);
    void (*close)(struct fault_world *w);
    /* After a restart: whether the world is exactly the new one; fails the test if it is neither
     * that nor exactly the old one. */
    bool (*is_new)(struct fault_world *w);
    void *arg;
    const char *const *passing; /* directories that every start empties, NULL at the end */
    enum rc also;               /* another code than RETRY that a failure may have, 0 = none */
    const char *under_way; /* names of this directory that do not begin with '.' may be there */
    bool may_lack;         /* what is replaced is gone before the new is there */
    bool best_effort;      /* success may leave something to the next start */
    bool one_way;          /* every cut from a certain one on finds the new world */
    bool thin;             /* slow, with many calls that are alike: every mode at every third */
    size_t calls_min;      /* it is no row if there are fewer */
};

/* ---- names ------------------------------------------------------------------------------------
 */

static void names_add(struct names *names, const char *path)
{
    if (names->n == NAMES_CAP || strlen(path) >= sizeof names->name[0])
        abort();
    (void)snprintf(names->name[names->n++], sizeof names->name[0], "%s", path);
}

/* All files, breadth first; directories are not counted, they hold nothing by themselves. */
static void names_read(int dir, struct names *ret)
{
    static struct names dirs;

    ret->n = dirs.n = 0;
    names_add(&dirs, ".");
    for (size_t i = 0; i < dirs.n; i++) {
        int fd = openat(dir, dirs.name[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *d = fd < 0 ? NULL : fdopendir(fd);

        for (const struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
            char path[512];
            struct stat st;

            if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
                continue;
            (void)snprintf(path, sizeof path, "%s/%s", dirs.name[i], e->d_name);
            if (fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
                names_add(S_ISDIR(st.st_mode) ? &dirs : ret, path);
        }
        if (d)
            (void)closedir(d);
    }
}

static bool names_has(const struct names *names, const char *path)
{
    for (size_t i = 0; i < names->n; i++)
        if (strcmp(names->name[i], path) == 0)
            return true;
    return false;
}

static int fds_open(void)
{
    struct dirent *e = NULL;
    DIR *d = opendir("/proc/self/fd");
    int n = 0;

    if (!d)
        abort();
    while ((e = readdir(d)))
        n++;
    (void)closedir(d);
    return n;
}

/* ---- one run ----------------------------------------------------------------------------------
 */

/* All that a run needs to know. */
struct fault_job {
    const struct fault_row *row;
    struct fault_world w;
    struct names old, new;
    bool again; /* the process that has met the fault tries once more */
    size_t failures;
    struct syncs syncs;
};

/* "./DIR/name" of the directory in which things are under way. */
static bool fault_under_way(const struct fault_row *row, const char *path)
{
    size_t n = row->under_way ? strlen(row->under_way) : 0;

    return n > 0 && strncmp(path + 2, row->under_way, n) == 0 && path[2 + n] == '/' &&
           path[3 + n] != '.';
}

/* A file that is in neither world, or one of both that is not there; NULL = all is well. */
static const char *fault_odd(const struct fault_job *job, const struct names *now)
{
    for (size_t i = 0; i < now->n; i++)
        if (!names_has(&job->old, now->name[i]) && !names_has(&job->new, now->name[i]) &&
            !fault_under_way(job->row, now->name[i]))
            return now->name[i];
    for (size_t i = 0; i < job->old.n && !job->row->may_lack; i++)
        if (names_has(&job->new, job->old.name[i]) && !names_has(now, job->old.name[i]))
            return job->old.name[i];
    return NULL;
}

static enum rc fault_try(struct fault_job *job, struct err *err)
{
    enum rc rc = RC_OK;

    if (job->row->open && !job->w.told->opened)
        rc = job->row->open(&job->w, err);
    if (rc != RC_OK)
        return rc;
    job->w.told->opened = true;
    return job->row->run(&job->w, err);
}

static int fault_child(void *arg)
{
    static struct names now;
    struct fault_job *job = arg;
    struct fault_told *told = job->w.told;
    struct err err = { 0 };

    told->opened = false;
    told->fds_before = fds_open();
    fault_arm();
    told->first = told->second = fault_try(job, &err);
    fault_disarm();
    told->sys = err.sys;
    (void)snprintf(told->what, sizeof told->what, "%.95s", err.what);
    if (told->first != RC_OK) {
        names_read(job->w.dir.fd, &now);
        const char *odd = fault_odd(job, &now);

        (void)snprintf(told->left, sizeof told->left, "%s", odd ? odd : "");
    }
    if (told->first != RC_OK && job->again)
        told->second = fault_try(job, &err);
    if (job->row->close && told->opened)
        job->row->close(&job->w);
    told->fds_after = fds_open();
    told->ended = true;
    return 0;
}

static void fault_world_begin(struct fault_job *job)
{
    *job->w.told = (struct fault_told){ 0 };
    job->w.dir = scratch_new();
    job->w.arg = job->row->arg;
    job->row->before(&job->w);
}

/* ---- what must hold ---------------------------------------------------------------------------
 */

struct fault_mode {
    const char *name;
    struct fault fault;
    bool each;         /* at every call, in every run of the test */
    bool plain, again; /* without and with a second try in the process */
};

/* clang-format off */
static const struct fault_mode fault_modes[] = {
    { "killed before", { .kind = FAULT_KILL_BEFORE }, true, true, false },
    { "killed behind", { .kind = FAULT_KILL_AFTER }, true, true, false },
    { "EIO once", { .kind = FAULT_FAIL, .sys = EIO }, true, true, true },
    { "ENOSPC once", { .kind = FAULT_FAIL, .sys = ENOSPC, .calls = CALLS_ALLOCATE | CALLS_SYNC },
      false, false, true },
    { "EDQUOT once", { .kind = FAULT_FAIL, .sys = EDQUOT, .calls = CALLS_ALLOCATE },
      false, true, false },
    { "full from then on", { .kind = FAULT_FAIL, .sys = ENOSPC, .lasting = true,
                             .calls = CALLS_ALLOCATE }, false, true, true },
    { "read-only from then on", { .kind = FAULT_FAIL, .sys = EROFS, .lasting = true },
      false, true, true },
    { "EIO at a read", { .kind = FAULT_FAIL, .sys = EIO, .calls = CALLS_READ }, false, true, true },
    { "short", { .kind = FAULT_SHORT, .calls = CALLS_WRITE }, true, true, false },
};
/* clang-format on */

/* What came of one injection. */
struct fault_outcome {
    struct fault_seen seen;
    size_t n;
    bool is_new;
};

/* Go on behind a failure: the next ones may tell why. */
static void __attribute__((format(printf, 4, 5)))
fault_fail(struct fault_job *job, const struct fault_mode *mode, const struct fault_outcome *o,
           const char *fmt, ...)
{
    char text[512];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (job->failures++ < FAULT_FAILURES_SHOWN)
        print_error("%s, %s%s, call %zu (%s %s%s%s): %s\n", job->row->name, mode->name,
                    job->again ? " and tried again" : "", o->n, fault_call_name(o->seen.at.nr),
                    o->seen.at.path, o->seen.at.to[0] ? " to " : "", o->seen.at.to, text);
}

/* After a restart: no file that belongs to neither world. */
static bool fault_restart(struct fault_job *job, const struct fault_mode *mode,
                          struct fault_outcome *o)
{
    static struct names now;

    o->is_new = job->row->is_new(&job->w);
    names_read(job->w.dir.fd, &now);
    const char *odd = fault_odd(job, &now);

    if (odd)
        fault_fail(job, mode, o, "after a restart %s is there, or missing", odd);
    return o->is_new;
}

/* Of a file: it belongs to the new world.  Of a directory: no start empties it. */
static bool fault_matters(void *arg, const char *path, bool dir)
{
    const struct fault_job *job = arg;
    size_t top = strlen(job->w.dir.path);
    char name[260];

    if (strncmp(path, job->w.dir.path, top) != 0)
        return false;
    (void)snprintf(name, sizeof name, ".%s", path + top);
    if (!dir)
        return names_has(&job->new, name);
    for (size_t i = 0; job->row->passing && job->row->passing[i]; i++) {
        const char *at = strstr(name, job->row->passing[i]);
        size_t n = strlen(job->row->passing[i]);

        if (at && at[-1] == '/' && (at[n] == 0 || at[n] == '/'))
            return false;
    }
    return true;
}

static bool fault_would_be_lost(struct fault_job *job, const struct fault_outcome *o)
{
    return syncs_check(&job->syncs, &o->seen, fault_matters, job)[0] != 0;
}

static void fault_check_failed(struct fault_job *job, const struct fault_mode *mode,
                               struct fault_outcome *o)
{
    const struct fault_told *told = job->w.told;
    bool could_tidy = !(o->seen.at.set & CALLS_REMOVE) && mode->fault.sys != EROFS;
    bool full = mode->fault.sys == ENOSPC || mode->fault.sys == EDQUOT;

    if (!told->ended || o->seen.exit_code != 0)
        fault_fail(job, mode, o, "ended with %d", o->seen.exit_code);
    if (told->first != RC_OK && rc_class(told->first) != RC_CLASS_RETRY &&
        told->first != job->row->also)
        fault_fail(job, mode, o, "gives %s (%s)", rc_name(told->first), told->what);
    if (told->first == RC_IO && full)
        fault_fail(job, mode, o, "a full disk is told as IO (%s)", told->what);
    if (told->first != RC_OK && could_tidy && told->left[0])
        fault_fail(job, mode, o, "leaves %s", told->left);
    if (told->fds_after != told->fds_before)
        fault_fail(job, mode, o, "%d descriptors before, %d after", told->fds_before,
                   told->fds_after);
    if (job->again && told->second != RC_OK)
        fault_fail(job, mode, o, "the second try gives %s", rc_name(told->second));
    bool done = (told->first == RC_OK || job->again) && !job->row->best_effort;

    if (done && mode->fault.kind == FAULT_FAIL && fault_would_be_lost(job, o))
        fault_fail(job, mode, o, "success, and would be lost: %s", job->syncs.complaint);
    if (!fault_restart(job, mode, o) && done)
        fault_fail(job, mode, o, "success, and the world is the old one");
}

/* The next start, or the next try behind it, does what was asked. */
static void fault_check_heals(struct fault_job *job, const struct fault_mode *mode,
                              struct fault_outcome *o)
{
    const struct fault none = { .kind = FAULT_NONE };
    const struct fault_told before = *job->w.told;

    *job->w.told = (struct fault_told){ 0 };
    memcpy(job->w.told->number, before.number, sizeof before.number);
    struct fault_seen seen = fault_run(fault_child, job, &none, NULL);
    if (seen.exit_code != 0 || job->w.told->first != RC_OK)
        fault_fail(job, mode, o, "after a restart it gives %s (%s)", rc_name(job->w.told->first),
                   job->w.told->what);
    if (!fault_restart(job, mode, o))
        fault_fail(job, mode, o, "after a restart and another try the world is the old one");
}

/* The first call of a mode, and how many to go on by.  Kills and one EIO are at every call, the
 * other modes at every third unless BERTH_FAULTS=all asks for all; the sanitizers, under which all
 * of it takes five times as long, see a fifth of them.  Behind one call is before the next, so that
 * only the last one makes a difference. */
static size_t fault_first(const struct fault_row *row, const struct fault_mode *mode, size_t calls,
                          size_t *ret_stride)
{
    const char *asked = getenv("BERTH_FAULTS");
    bool all = asked && strcmp(asked, "all") == 0;
    bool each = (mode->each && !row->thin) || all;

    *ret_stride = each ? 1 : 3;
#if defined(BERTH_SANITIZED)
    *ret_stride *= all ? 1 : 5;
#endif
    if (mode->fault.kind == FAULT_KILL_AFTER)
        return calls;
    if (row->thin && !all) /* so that the last but one is met, which is what makes it durable */
        return 1 + (calls + 1) % 3;
    return each ? 1 : 1 + calls % 3;
}

/* Every call of one mode that is looked at; how many there were. */
static size_t fault_every(struct fault_job *job, const struct fault_mode *mode, bool again,
                          size_t calls)
{
    bool kills = mode->fault.kind == FAULT_KILL_BEFORE || mode->fault.kind == FAULT_KILL_AFTER;
    bool was_new = false;
    size_t stride = 1, injected = 0;

    struct fault_call *list = calloc(FAULT_CALLS_MAX, sizeof *list);

    assert_non_null(list);
    job->again = again;
    for (size_t n = fault_first(job->row, mode, calls, &stride);; n += stride) {
        struct fault_outcome o = { .n = n };
        struct fault fault = mode->fault;

        fault.n = n;
        fault_world_begin(job);
        if (fault.calls == CALLS_READ) /* programs and their libraries are read too */
            fault.under = job->w.dir.path;
        o.seen = fault_run(fault_child, job, &fault, kills ? NULL : list);
        if (o.seen.fired == 0) {
            scratch_done(&job->w.dir);
            free(list);
            return injected;
        }
        injected++;
        if (kills && !o.seen.killed)
            fault_fail(job, mode, &o, "was not killed");
        if (kills)
            (void)fault_restart(job, mode, &o);
        else
            fault_check_failed(job, mode, &o);
        if (kills && job->row->one_way && was_new && !o.is_new)
            fault_fail(job, mode, &o, "went back to the old world");
        was_new |= o.is_new;
        if (!again)
            fault_check_heals(job, mode, &o);
        scratch_done(&job->w.dir);
    }
}

/* What doing it once more adds, such as the second copy of a state file, is part of the new. */
static void fault_again(struct fault_job *job)
{
    static struct names more;
    const struct fault none = { .kind = FAULT_NONE };

    (void)fault_run(fault_child, job, &none, NULL);
    names_read(job->w.dir.fd, &more);
    for (size_t i = 0; i < more.n; i++)
        if (!names_has(&job->new, more.name[i]))
            names_add(&job->new, more.name[i]);
}

/* Without any fault: what the new world is, and whether it would outlast a power cut. */
static size_t fault_reference(struct fault_job *job)
{
    const struct fault_mode mode = { .name = "no fault" };
    struct fault_outcome o = { 0 };
    struct fault_call *list = calloc(FAULT_CALLS_MAX, sizeof *list);
    struct fault_told *told = job->w.told;

    assert_non_null(list);
    fault_world_begin(job);
    if (job->row->is_new(&job->w))
        fail_msg("%s: new before anything was done", job->row->name);
    names_read(job->w.dir.fd, &job->old);
    scratch_done(&job->w.dir);
    fault_world_begin(job);
    o.seen = fault_run(fault_child, job, &mode.fault, list);
    if (o.seen.exit_code != 0 || told->first != RC_OK)
        fail_msg("%s: %s (%s), exit %d", job->row->name, rc_name(told->first), told->what,
                 o.seen.exit_code);
    if (!job->row->is_new(&job->w))
        fail_msg("%s: nothing was done", job->row->name);
    names_read(job->w.dir.fd, &job->new);
    fault_again(job);
    if (told->first != RC_OK || told->fds_before != told->fds_after)
        fail_msg("%s, once more: %s (%s), %d descriptors before, %d after", job->row->name,
                 rc_name(told->first), told->what, told->fds_before, told->fds_after);
    if (fault_would_be_lost(job, &o))
        fault_fail(job, &mode, &o, "would be lost: %s", job->syncs.complaint);
    scratch_done(&job->w.dir);
    free(list);
    return o.seen.calls;
}

/* Carry one row through everything. */
static rig_unused void fault_row_run(const struct fault_row *row)
{
    struct fault_job *job = calloc(1, sizeof *job);
    size_t injected = 0;

    assert_non_null(job);
    job->row = row;
    job->w.told =
        mmap(NULL, sizeof *job->w.told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(job->w.told != MAP_FAILED);
    size_t calls = fault_reference(job);
    if (calls == 0 || calls < row->calls_min)
        fail_msg("%s: %zu calls, at least %zu were to be seen", row->name, calls, row->calls_min);
    for (size_t i = 0; i < sizeof fault_modes / sizeof fault_modes[0]; i++) {
        const struct fault_mode *mode = &fault_modes[i];

        if (mode->plain)
            injected += fault_every(job, mode, false, calls);
        if (mode->again)
            injected += fault_every(job, mode, true, calls);
    }
    print_message("  %-40s %4zu calls, %5zu injections\n", row->name, calls, injected);
    size_t failures = job->failures;
    (void)munmap(job->w.told, sizeof *job->w.told);
    free(job);
    if (failures > 0)
        fail_msg("%s: %zu failures", row->name, failures);
}

#endif
