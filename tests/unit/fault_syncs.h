/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/fault_syncs: what a kill cannot show.  A process that is killed leaves its writes in
 * the page cache; a power cut does not.  So the calls of an operation that went well are gone
 * through as a disk would that keeps nothing it was not told to: a file gets its name only when its
 * bytes are down, and when the operation has returned, so are the bytes and the names it made.
 */
#ifndef BERTH_TESTS_UNIT_FAULT_SYNCS_H
#define BERTH_TESTS_UNIT_FAULT_SYNCS_H

#include "tests/unit/fault_rig.h"

#define SYNCS_MAX 256U

/* What is not down: files with bytes, directories with names. */
struct syncs {
    size_t n;
    struct {
        char path[256];
        bool dir;
        bool
            lost; /* a sync of its bytes has failed: they are gone, unless they are written again */
    } dirty[SYNCS_MAX];
    char complaint[640]; /* the first; "" = none */
};

static void syncs_parent(const char *path, char out[256])
{
    (void)snprintf(out, 256, "%s", path);
    char *slash = strrchr(out, '/');

    if (slash)
        *slash = 0;
}

static void syncs_mark(struct syncs *s, const char *path, bool dir)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->dirty[i].dir != dir || strcmp(s->dirty[i].path, path) != 0)
            continue;
        s->dirty[i].lost = false; /* taken for all that was lost: nothing here writes in part */
        return;
    }
    if (s->n == SYNCS_MAX)
        abort();
    memset(&s->dirty[s->n], 0, sizeof s->dirty[0]);
    (void)snprintf(s->dirty[s->n].path, sizeof s->dirty[0].path, "%s", path);
    s->dirty[s->n++].dir = dir;
}

static void syncs_mark_parent(struct syncs *s, const char *path)
{
    char parent[256];

    syncs_parent(path, parent);
    syncs_mark(s, parent, true);
}

static void syncs_drop(struct syncs *s, size_t i)
{
    s->n--;
    s->dirty[i] = s->dirty[s->n];
}

static void syncs_clean(struct syncs *s, const char *path, bool names)
{
    for (size_t i = s->n; i-- > 0;)
        if (strcmp(s->dirty[i].path, path) == 0 && (names || !s->dirty[i].dir) && !s->dirty[i].lost)
            syncs_drop(s, i);
}

/* A sync that failed.  The names of a directory stay in its journal, and can be synced again. */
static void syncs_lose(struct syncs *s, const struct fault_call *call)
{
    for (size_t i = 0; i < s->n; i++)
        if (!s->dirty[i].dir &&
            (call->nr == SYS_syncfs || strcmp(s->dirty[i].path, call->path) == 0))
            s->dirty[i].lost = true;
}

static void syncs_clean_all(struct syncs *s)
{
    for (size_t i = s->n; i-- > 0;)
        if (!s->dirty[i].lost)
            syncs_drop(s, i);
}

static bool syncs_below(const char *path, const char *top)
{
    size_t n = strlen(top);

    return strncmp(path, top, n) == 0 && (path[n] == 0 || path[n] == '/');
}

static void syncs_complain(struct syncs *s, const char *what, const char *path)
{
    if (s->complaint[0] == 0)
        (void)snprintf(s->complaint, sizeof s->complaint, "%s: %s", what, path);
}

/* Nothing in what is renamed may be in memory only; what it was called, it is not any more. */
static void syncs_rename(struct syncs *s, const struct fault_call *call)
{
    for (size_t i = s->n; i-- > 0;) {
        char moved[512];

        if (!syncs_below(s->dirty[i].path, call->path))
            continue;
        syncs_complain(s, "renamed before it was synced", s->dirty[i].path);
        (void)snprintf(moved, sizeof moved, "%s%s", call->to,
                       s->dirty[i].path + strlen(call->path));
        (void)snprintf(s->dirty[i].path, sizeof s->dirty[0].path, "%.255s", moved);
    }
    syncs_mark_parent(s, call->path);
    syncs_mark_parent(s, call->to);
}

static void syncs_remove(struct syncs *s, const char *path)
{
    for (size_t i = s->n; i-- > 0;)
        if (syncs_below(s->dirty[i].path, path))
            syncs_drop(s, i);
    syncs_mark_parent(s, path);
}

static void syncs_take(struct syncs *s, const struct fault_call *call)
{
    if (call->failed) {
        if (call->set & CALLS_SYNC)
            syncs_lose(s, call);
        return;
    }
    if (call->nr == SYS_syncfs)
        syncs_clean_all(s);
    else if (call->set & CALLS_SYNC)
        syncs_clean(s, call->path, call->nr == SYS_fsync);
    else if (call->to[0] != 0)
        syncs_rename(s, call);
    else if (call->set & CALLS_REMOVE)
        syncs_remove(s, call->path);
    else if (!call->named && !(call->set & CALLS_OTHER))
        syncs_mark(s, call->path, false);
    else if (!(call->set & CALLS_OTHER))
        syncs_mark_parent(s, call->path);
}

/* Go through the calls of an operation that went well, passing over what nobody would miss: what
 * matters says no to.  "" or what is wrong. */
static rig_unused const char *syncs_check(struct syncs *s, const struct fault_seen *seen,
                                          bool (*matters)(void *arg, const char *path, bool dir),
                                          void *arg)
{
    s->n = 0;
    s->complaint[0] = 0;
    for (size_t i = 0; i < seen->n_list; i++)
        syncs_take(s, &seen->list[i]);
    for (size_t i = 0; i < s->n; i++)
        if (matters(arg, s->dirty[i].path, s->dirty[i].dir))
            syncs_complain(s, s->dirty[i].dir ? "names not synced in" : "bytes not synced of",
                           s->dirty[i].path);
    return s->complaint;
}

#endif
