/* SPDX-License-Identifier: Apache-2.0
 *
 * What follows a creation: start, kill, delete, state.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "oci/cgroup.h"
#include "oci/create.h"
#include "oci/hear.h"

#define START_WAIT_MS 10000U
#define DELETE_WAIT_MS 8000U
#define YOUNG_MS 10000U /* a program that was started has set its handlers by then */

/* ---- start ---------------------------------------------------------------------------------- */

static uint64_t line_number(const char *status, const char *key, int base)
{
    const char *at = strstr(status, key);

    return at == NULL ? UINT64_MAX : strtoull(at + strlen(key), NULL, base);
}

/* A process's status, as text; the bytes read, or what is not above 0. */
static ssize_t read_status(pid_t pid, char *text, size_t cap)
{
    char path[40];

    (void)snprintf(path, sizeof path, "/proc/%d/status", pid);
    scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, cap - 1);

    if (n > 0)
        text[n] = '\0';
    return n;
}

/* None of its supplementary groups is one of the host's own. */
static bool groups_high(const char *status)
{
    const char *at = strstr(status, "\nGroups:\t");
    char *end = NULL;

    if (at == NULL)
        return false;
    for (at += strlen("\nGroups:\t"); *at >= '0' && *at <= '9'; at = end + (*end == ' ' ? 1 : 0)) {
        if (strtoull(at, &end, 10) < 1000)
            return false;
    }
    return true;
}

/* Believe the kernel, not the child: its filters, its rights, its ids. */
static enum rc look(const struct oci_container *c, struct err *err)
{
    char text[4096];

    if (read_status(c->record.pid, text, sizeof text) <= 0)
        return err_sys(err, RC_DRIFT, "status of process %d", c->record.pid);
    if (line_number(text, "\nNoNewPrivs:\t", 10) != 1)
        return err_set(err, RC_DRIFT, "no_new_privs");
    if (line_number(text, "\nSeccomp:\t", 10) != 2)
        return err_set(err, RC_DRIFT, "seccomp");
    if (c->record.filters == 0 ||
        line_number(text, "\nSeccomp_filters:\t", 10) != c->record.filters)
        return err_set(err, RC_DRIFT, "filters of system calls: not %u", c->record.filters);
    if (line_number(text, "\nUid:\t", 10) < 1000)
        return err_set(err, RC_DRIFT, "user");
    if (line_number(text, "\nGid:\t", 10) < 1000 || !groups_high(text))
        return err_set(err, RC_DRIFT, "group");
    for (uint64_t caps = line_number(text, "\nCapBnd:\t", 16), bit = 0; bit < 64; bit++) {
        /* 14 of them, none above 31 (oci/process): each is of the container's own. */
        static const uint64_t own = 0xa80425fbULL;

        if ((caps & 1ULL << bit & ~own) != 0)
            return err_set(err, RC_DRIFT, "capability %u", (unsigned)bit);
    }
    return RC_OK;
}

static enum rc run_it(const struct oci_container *c, int sync, struct err *err)
{
    uint64_t until_ms = clock_mono_ms() + START_WAIT_MS;
    enum rc rc = oci_say_go(sync, err);

    if (rc == RC_OK)
        rc = oci_hear_confined(sync, until_ms, err);
    if (rc == RC_OK)
        rc = look(c, err);
    if (rc == RC_OK)
        rc = oci_say_go(sync, err);
    return rc == RC_OK ? oci_hear_exec(sync, until_ms, err) : rc;
}

enum rc oci_start(const struct oci_options *options, const char *id, struct err *err)
{
    scoped(oci_container_close) struct oci_container c = OCI_CONTAINER_NONE;
    scoped(close_fd) int sync = -1;
    enum rc rc = oci_container_open(options->root, id, &c, err);

    if (rc == RC_OK && oci_container_status(&c) != OCI_CREATED)
        rc = err_set(err, RC_OCI_STATE, "container %.60s is %s", id,
                     oci_status_name(oci_container_status(&c)));
    if (rc == RC_OK)
        rc = oci_start_connect(&c, &sync, err);
    if (rc != RC_OK)
        return rc;
    scoped(close_fd) int pidfd = oci_container_pidfd(&c);
    c.record.started_ms = clock_mono_ms();
    rc = oci_container_save(&c, err);
    if (rc == RC_OK)
        rc = run_it(&c, sync, err);
    if (rc != RC_OK && pidfd >= 0)
        (void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0U);
    return rc;
}

/* ---- kill and delete ------------------------------------------------------------------------ */

static void kill_group(const struct oci_container *c)
{
    scoped(oci_cgroup_close) struct oci_cgroup group = OCI_CGROUP_NONE;
    struct err ignored;

    if (c->record.cgroup[0] != '\0' && !c->record.empty &&
        oci_cgroup_open(c->record.cgroup, &c->record.levels, &group, &ignored) == RC_OK)
        cgroup_kill(&group.cgroup);
}

/* Whether process 1 does anything about a signal: catches, ignores or blocks it. */
static bool minds(pid_t pid, int signal)
{
    static const char *const masks[] = { "\nSigCgt:\t", "\nSigIgn:\t", "\nSigBlk:\t" };
    char text[4096];
    ssize_t n = read_status(pid, text, sizeof text);
    bool does = n <= 0; /* it is gone: there is nothing to wait for */

    for (size_t i = 0; n > 0 && i < sizeof masks / sizeof masks[0]; i++)
        does = does || (line_number(text, masks[i], 16) >> (signal - 1) & 1) != 0;
    return does;
}

/* Process 1 of a namespace has no default action: the kernel drops a signal that it has no handler
 * for, without a word.  A program that has only just been started is given the time to set one, or
 * it would never learn that it was to end.  No event tells of that. */
static void let_handle(const struct oci_record *r, int pidfd, int signal)
{
    struct pollfd p = { .fd = pidfd, .events = POLLIN };

    if (signal <= 0 || signal > 64 || signal == SIGKILL || signal == SIGSTOP || r->started_ms == 0)
        return;
    while (clock_mono_ms() < r->started_ms + YOUNG_MS && !minds(r->pid, signal) &&
           poll(&p, 1, 5) == 0)
        ;
}

enum rc oci_kill(const struct oci_options *options, const char *id, int signal, bool all,
                 struct err *err)
{
    scoped(oci_container_close) struct oci_container c = OCI_CONTAINER_NONE;
    enum rc rc = oci_container_open(options->root, id, &c, err);

    if (rc != RC_OK)
        return rc;
    scoped(close_fd) int pidfd = oci_container_pidfd(&c);
    if (all && signal != SIGKILL)
        return err_set(err, RC_OCI_WANTS, "kill --all with another signal than KILL");
    if (pidfd < 0)
        return err_set(err, RC_OCI_STATE, "container %.60s is %s", id,
                       oci_status_name(oci_container_status(&c)));
    oci_container_unlock(&c); /* others may look at it while this waits */
    let_handle(&c.record, pidfd, signal);
    if (syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0U) != 0)
        return err_sys(err, RC_OCI_STATE, "signal %d", signal);
    /* Process 1 takes its whole namespace with it; the group is the second rope. */
    if (signal == SIGKILL)
        kill_group(&c);
    return RC_OK;
}

static enum rc end_it(const struct oci_container *c, struct err *err)
{
    scoped(close_fd) int pidfd = oci_container_pidfd(c);
    struct pollfd p = { .fd = pidfd, .events = POLLIN };

    if (pidfd < 0)
        return RC_OK;
    (void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0U);
    kill_group(c);
    return poll(&p, 1, (int)DELETE_WAIT_MS) > 0
               ? RC_OK
               : err_set(err, RC_TIMEOUT, "container %.60s", c->record.id);
}

static enum rc remove_group(const struct oci_container *c, struct err *err)
{
    scoped(oci_cgroup_close) struct oci_cgroup group = OCI_CGROUP_NONE;
    const struct oci_record *r = &c->record;

    if (r->cgroup[0] == '\0')
        return RC_OK;
    enum rc rc = oci_cgroup_open(r->cgroup, &r->levels, &group, err);
    if (rc == RC_OK && r->empty) {
        /* It may not have come to be: what is inside is another's, who was faster. */
        oci_cgroup_drop(&group, r->cgroup);
        return RC_OK;
    }
    return rc == RC_OK ? oci_cgroup_remove(&group, r->cgroup, clock_mono_ms() + DELETE_WAIT_MS, err)
                       : rc;
}

enum rc oci_delete(const struct oci_options *options, const char *id, struct err *err)
{
    scoped(oci_container_close) struct oci_container c = OCI_CONTAINER_NONE;
    enum rc rc = oci_container_open(options->root, id, &c, err);

    if (rc != RC_OK)
        return rc;
    enum oci_status status = oci_container_status(&c);
    if (!options->force && (status == OCI_CREATED || status == OCI_RUNNING))
        return err_set(err, RC_OCI_STATE, "container %.60s is %s", id, oci_status_name(status));
    rc = end_it(&c, err);
    if (rc == RC_OK)
        rc = remove_group(&c, err);
    return rc == RC_OK ? oci_container_remove(&c, err) : rc;
}

enum rc oci_state(const struct oci_options *options, const char *id, FILE *out, struct err *err)
{
    scoped(oci_container_close) struct oci_container c = OCI_CONTAINER_NONE;
    enum rc rc = oci_container_open(options->root, id, &c, err);

    if (rc != RC_OK)
        return rc;
    json_t *json = oci_state_json(&c);
    scoped(free_ptr) char *text = json == NULL ? NULL : json_dumps(json, JSON_INDENT(2));

    json_decref(json);
    if (text == NULL)
        return err_set(err, RC_NO_MEMORY, "state");
    return fprintf(out, "%s\n", text) < 0 || fflush(out) != 0 ? err_sys(err, RC_IO, "state")
                                                              : RC_OK;
}
