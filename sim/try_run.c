/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "sim/try.h"

#define DATAGRAMS_PER_TURN 16U
#define LAST_WORDS_MAX (64U * 1024U) /* output of a payload that has ended, still read */
#define FINISH_MS 4000U

/* ---- what it says ---------------------------------------------------------------------------- */

/* The oldest half goes when there is no more room. */
static void remember(struct try *t, const char *text, size_t n)
{
    if (t->n_seen + n > TRY_SEEN_CAP) {
        size_t keep = t->n_seen < TRY_SEEN_CAP / 2 ? t->n_seen : TRY_SEEN_CAP / 2;

        memmove(t->seen, t->seen + t->n_seen - keep, keep);
        t->n_seen = keep;
    }
    memcpy(t->seen + t->n_seen, text, n);
    t->n_seen += n;
}

static void end_line(struct try *t)
{
    t->line[t->n_line] = '\0';
    t->n_line = 0;
    try_printed(t, t->line);
}

static void take_output(struct try *t, const char *buf, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char c = buf[i];

        if (c == '\n' || t->n_line == TRY_LINE_CAP - 1)
            end_line(t);
        if (c != '\n')
            t->line[t->n_line++] = (char)(c >= ' ' && c <= '~' ? c : '?');
    }
    remember(t, buf, n);
}

/* As much as there is, at most max bytes. */
static void pump_output(struct try *t, size_t max)
{
    char buf[4096];
    ssize_t n = 1;

    while (max > 0 && n > 0) {
        n = read(t->result.fds.fd[WIRE_FD_OUTPUT], buf, max < sizeof buf ? max : sizeof buf);
        if (n > 0) {
            take_output(t, buf, (size_t)n);
            max -= (size_t)n;
        }
    }
}

static void became_ready(struct try *t, const char *why)
{
    t->ready = true;
    t->beat_ms = clock_mono_ms();
    t->failures = 0;
    try_event(t, "ready", "%s", why);
}

static void take_notify(struct try *t, const struct notify *n)
{
    if (n->refused > 0)
        try_event(t, "notify", "%s: a word that a payload may not say", rc_name(RC_NOTIFY_WORD));
    if (n->ready && !t->ready)
        became_ready(t, "READY=1");
    if (n->reloading)
        try_event(t, "notify", "RELOADING=1");
    if (n->stopping)
        try_event(t, "notify", "STOPPING=1");
    if (n->watchdog) {
        t->beat_ms = clock_mono_ms();
        if (t->plan.watchdog_ms != 0)
            try_event(t, "watchdog", "WATCHDOG=1");
    }
    if (n->status[0] != '\0') {
        memcpy(t->status, n->status, sizeof t->status);
        try_event(t, "status", "%s", t->status);
    }
}

static void pump_notify(struct try *t)
{
    struct notify n;
    struct err err;

    for (unsigned i = 0; i < DATAGRAMS_PER_TURN; i++) {
        if (notify_receive(t->result.fds.fd[WIRE_FD_NOTIFY], &n, &err) != RC_OK)
            return;
        take_notify(t, &n);
    }
}

/* ---- its beginning and its end --------------------------------------------------------------- */

enum rc try_start(struct try *t, struct err *err)
{
    struct wire_launch request = { .head = wire_head(WIRE_LAUNCH, ++t->next_instance),
                                   .plan = t->plan };
    struct wire_fds fds = WIRE_FDS_INIT;
    const char *step = "";

    fds.fd[WIRE_FD_ROOT] = t->input.unpacked.root;
    enum rc rc = launch_start(&t->launcher, &request, &fds, &t->instance, &t->result, &step, err);
    if (rc != RC_OK) {
        try_event(t, "refused", "the start, at step %s", step);
        return rc;
    }
    t->running = t->wanted = true;
    t->ready = t->frozen = t->kill_told = false;
    t->reason = RC_OK;
    t->kill_at_ms = 0;
    t->status[0] = '\0';
    t->since_ms = t->beat_ms = clock_mono_ms();
    t->starts++;
    try_event(t, "started", "%s/%s %s, process %d here", t->plan.tenant, t->plan.name,
              t->input.unpacked.manifest->version, t->instance.payload);
    try_bus_begin(t, &t->result.fds.fd[WIRE_FD_BUS]);
    return RC_OK;
}

static void ended(struct try *t)
{
    pump_notify(t);
    pump_output(t, LAST_WORDS_MAX);
    if (t->n_line > 0)
        end_line(t);
    wire_fds_close(&t->result.fds);
    try_bus_end(t);
    t->last = launch_finish(&t->launcher, &t->instance, clock_mono_ms() + FINISH_MS);
    if (t->reason != RC_OK)
        t->last.rc = (uint32_t)t->reason;
    t->running = false;
    t->ends++;
    try_show_end(t);
}

void try_end(struct try *t, uint32_t grace_ms, enum rc reason)
{
    struct err err;

    if (!t->running)
        return;
    if (reason != RC_OK)
        t->reason = reason;
    if (t->frozen && ordinary_stand_still(&t->instance, false, &err) == RC_OK)
        t->frozen = false; /* what stands still hears nothing */
    if (grace_ms > 0 && !t->kill_told) {
        launch_terminate(&t->instance);
        t->kill_told = true;
        t->kill_at_ms = clock_mono_ms() + grace_ms;
        return;
    }
    launch_kill(&t->instance);
    t->kill_told = true;
    t->kill_at_ms = 0;
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* What is overdue, and when the next thing will be. */
static uint64_t overdue(struct try *t, uint64_t until_ms)
{
    const struct health *h = &t->input.unpacked.manifest->health;
    uint64_t now = clock_mono_ms();
    uint64_t due = until_ms;

    if (!t->running)
        return due;
    if (t->kill_at_ms != 0) {
        if (now >= t->kill_at_ms)
            try_end(t, 0, RC_OK);
        else if (t->kill_at_ms < due)
            due = t->kill_at_ms;
    }
    if (t->kill_told || t->frozen)
        return due;
    uint64_t late = t->ready ? t->beat_ms + t->plan.watchdog_ms + 1 : t->since_ms + h->ready_ms;

    if (t->ready && t->plan.watchdog_ms == 0)
        return due;
    if (now < late)
        return late < due ? late : due;
    if (t->ready)
        try_end(t, TRY_GRACE_MS, RC_WATCHDOG);
    else if (h->type == HEALTH_ALIVE)
        became_ready(t, "alive for as long as it has to be");
    else
        try_end(t, TRY_GRACE_MS, RC_HEALTH_TIMEOUT);
    return now;
}

static void take_signals(struct try *t)
{
    struct signalfd_siginfo info;

    while (read(t->signals, &info, sizeof info) == sizeof info) {
        try_event(t, "signal", "ending it%s", t->interrupted ? " at once" : "");
        t->wanted = false;
        try_end(t, t->interrupted ? 0 : TRY_GRACE_MS, RC_OK);
        t->interrupted = true;
    }
}

/* As `| head` does it: who has heard enough wants no more of it. */
static void nobody_listens(struct try *t)
{
    t->unheard = t->interrupted = true;
    t->wanted = false;
    try_end(t, TRY_GRACE_MS, RC_OK);
}

static void drain(int fd)
{
    char buf[4096];

    while (read(fd, buf, sizeof buf) > 0)
        continue;
}

/* v1 kills one process when the limit is hit; the rest must not go on half. */
static void out_of_memory(struct try *t)
{
    uint64_t n;

    if (read(t->instance.oom, &n, sizeof n) == sizeof n) {
        t->instance.oom_hit = true;
        launch_kill(&t->instance);
    }
}

enum rc try_turn(struct try *t, uint64_t until_ms, struct err *err)
{
    enum { SIGNALS, WATCH, OUTPUT, NOTIFY, OOM, PIDFD, LISTENER, BUS, BUS_END, FDS };
    const uint64_t due = overdue(t, until_ms);
    const uint64_t now = clock_mono_ms();
    struct pollfd p[FDS] = {
        [SIGNALS] = { .fd = t->signals, .events = POLLIN },
        [WATCH] = { .fd = t->watch, .events = POLLIN },
        [OUTPUT] = { .fd = t->running ? t->result.fds.fd[WIRE_FD_OUTPUT] : -1, .events = POLLIN },
        [NOTIFY] = { .fd = t->running ? t->result.fds.fd[WIRE_FD_NOTIFY] : -1, .events = POLLIN },
        [OOM] = { .fd = t->running ? t->instance.oom : -1, .events = POLLIN },
        [PIDFD] = { .fd = t->running ? t->instance.pidfd : -1, .events = POLLIN },
        [LISTENER] = { .fd = t->unheard ? -1 : STDOUT_FILENO, .events = 0 },
    };
    uint64_t wait_ms = due > now ? due - now : 0;

    try_bus_wait(t, &p[BUS]);
    if (poll(p, FDS, wait_ms > INT32_MAX ? INT32_MAX : (int)wait_ms) < 0 && errno != EINTR)
        return err_sys(err, RC_IO, "poll");
    if (p[SIGNALS].revents != 0)
        take_signals(t);
    if ((p[LISTENER].revents & POLLERR) != 0)
        nobody_listens(t);
    if (p[WATCH].revents != 0)
        drain(t->watch);
    if (p[NOTIFY].revents != 0)
        pump_notify(t);
    if ((p[OUTPUT].revents & POLLIN) != 0)
        pump_output(t, sizeof t->line * 4U);
    if (p[OUTPUT].revents == POLLHUP) /* it closed both; its end is told by the pidfd */
        close_fd(&t->result.fds.fd[WIRE_FD_OUTPUT]);
    if (p[OOM].revents != 0)
        out_of_memory(t);
    if (t->running)
        try_bus_turn(t, &p[BUS]);
    if (p[PIDFD].revents != 0)
        ended(t);
    if (t->pass)
        try_bus_pass(t);
    return try_mail_turn(t, err);
}

enum rc try_await_end(struct try *t, struct err *err)
{
    enum rc rc = RC_OK;

    while (rc == RC_OK && t->running) {
        if (t->until_ms != 0 && clock_mono_ms() >= t->until_ms) {
            launch_kill(&t->instance);
            return err_set(err, RC_TIMEOUT, "the end of the payload");
        }
        rc = try_turn(t, t->until_ms != 0 ? t->until_ms : UINT64_MAX, err);
    }
    return rc;
}

/* ---- faults ---------------------------------------------------------------------------------- */

static enum rc freeze(struct try *t, bool still, struct err *err)
{
    enum rc rc = walls_stand(&t->launcher.walls, WALL_CGROUP_FREEZE)
                     ? cgroup_freeze(&t->instance.cgroup, still, err)
                     : ordinary_stand_still(&t->instance, still, err);

    if (rc == RC_OK) {
        t->frozen = still;
        t->beat_ms = t->since_ms = clock_mono_ms(); /* its watchdog stood still with it */
    }
    return rc;
}

static enum rc resize_data(struct try *t, bool full, struct err *err)
{
    struct statvfs st;

    if (t->self.data < 0)
        return err_set(err, RC_SCENARIO, "it has no /data");
    if (fstatvfs(t->self.data, &st) != 0)
        return err_sys(err, RC_IO, "/data");
    uint64_t used = (uint64_t)(st.f_blocks - st.f_bfree) * st.f_bsize;
    if (used == 0) /* of no bytes the kernel makes as many as there are */
        used = st.f_bsize;
    if (mounts_resize_memory(t->self.data, full ? used : t->plan.limits.data_bytes) != 0)
        return err_sys(err, RC_IO, "size of /data");
    return RC_OK;
}

/* All of it at once, and then again from the beginning. */
static enum rc again(struct try *t, struct err *err)
{
    t->wanted = false;
    try_end(t, 0, RC_OK);
    enum rc rc = try_await_end(t, err);

    return rc == RC_OK ? try_start(t, err) : rc;
}

/* What stands still does not die of a signal, on v1. */
static enum rc kill_payload(struct try *t, struct err *err)
{
    enum rc rc = t->frozen ? freeze(t, false, err) : RC_OK;

    if (rc != RC_OK)
        return rc;
    (void)syscall(SYS_pidfd_send_signal, t->instance.payload_pidfd, SIGKILL, NULL, 0U);
    return try_await_end(t, err);
}

enum rc try_fault(struct try *t, enum try_fault fault, struct err *err)
{
    const bool needs_it = fault != FAULT_START && fault != FAULT_DISK_FULL &&
                          fault != FAULT_DISK_FREE && fault != FAULT_POWER_CUT &&
                          fault != FAULT_AGENT_RESTART;

    try_event(t, "fault", "%s", try_fault_name(fault));
    if (needs_it && !t->running)
        return err_set(err, RC_SCENARIO, "%s: it does not run", try_fault_name(fault));
    switch (fault) {
    case FAULT_KILL:
        return kill_payload(t, err);
    case FAULT_STOP:
        t->wanted = false;
        try_end(t, TRY_GRACE_MS, RC_OK);
        return try_await_end(t, err);
    case FAULT_START:
        return t->running ? err_set(err, RC_SCENARIO, "it runs already") : try_start(t, err);
    case FAULT_FREEZE:
    case FAULT_THAW:
        return freeze(t, fault == FAULT_FREEZE, err);
    case FAULT_MEMORY: /* what the kernel does then, without the wait for it */
        try_end(t, 0, RC_OOM);
        return try_await_end(t, err);
    case FAULT_DISK_FULL:
    case FAULT_DISK_FREE:
        return resize_data(t, fault == FAULT_DISK_FULL, err);
    case FAULT_AGENT_RESTART:
    case FAULT_POWER_CUT:
        return again(t, err);
    case TRY_FAULTS:
        break;
    }
    return err_set(err, RC_INTERNAL, "fault %u", (unsigned)fault);
}
