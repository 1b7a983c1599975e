/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "orchestrator/json.h"
#include "sim/try.h"

#define TEXT_CAP 1200U

static void put(json_t *value)
{
    (void)json_dumpf(value, stdout, JSON_COMPACT);
    (void)fputc('\n', stdout);
    (void)fflush(stdout);
    json_decref(value);
}

static json_t *event_of(const struct try *t, const char *event)
{
    json_t *o = json_object();

    (void)json_object_set_new(o, "event", json_string(event));
    (void)json_object_set_new(o, "played_ms", json_uint(t->show.played_ms));
    return o;
}

static void plain(char *text)
{
    for (char *c = text; *c != '\0'; c++)
        *c = (char)(*c >= ' ' && *c <= '~' ? *c : '?');
}

static void clock_text(uint64_t ms, char out[32])
{
    (void)snprintf(out, 32, "%3" PRIu64 ":%02" PRIu64 ":%02" PRIu64, ms / 3600000U,
                   ms / 60000U % 60U, ms / 1000U % 60U);
}

void try_event(const struct try *t, const char *event, const char *fmt, ...)
{
    char text[TEXT_CAP];
    char when[32];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    plain(text);
    if (t->show.json) {
        json_t *o = event_of(t, event);

        (void)json_object_set_new(o, "text", json_safe(text));
        put(o);
        return;
    }
    clock_text(t->show.played_ms, when);
    (void)printf("%s  %-9s %s\n", when, event, text);
    (void)fflush(stdout);
}

void try_printed(const struct try *t, const char *line)
{
    try_event(t, "prints", "%s", line);
}

/* ---- walls ----------------------------------------------------------------------------------- */

static const char *state_of(const struct walls *w, enum wall wall)
{
    if (!walls_stand(w, wall))
        return "MISSING";
    return ordinary_weaker(w, wall) != NULL ? "weaker" : "holds";
}

/* Why, and what that means. */
static void reason_of(const struct walls *w, enum wall wall, char out[TEXT_CAP])
{
    const char *weaker = ordinary_weaker(w, wall);
    const char *why = ordinary_why(wall);

    if (walls_stand(w, wall))
        (void)snprintf(out, TEXT_CAP, "%s", weaker != NULL ? weaker : "");
    else
        (void)snprintf(out, TEXT_CAP, "%s: %s", why != NULL ? why : strerror(w->error[wall]),
                       weaker != NULL ? weaker : wall_without(wall));
}

static json_t *walls_json(const struct walls *w)
{
    json_t *list = json_array();
    char why[TEXT_CAP];

    for (unsigned i = 0; i < WALLS_MAX; i++) {
        if (wall_name(i) == NULL)
            continue;
        json_t *o = json_object();

        reason_of(w, (enum wall)i, why);
        (void)json_object_set_new(o, "wall", json_string(wall_name(i)));
        (void)json_object_set_new(o, "state", json_string(state_of(w, (enum wall)i)));
        (void)json_object_set_new(o, "why", json_safe(why));
        (void)json_array_append_new(list, o);
    }
    return list;
}

/* What the plan has and this machine has not, one line each. */
static void show_missing(const struct try *t)
{
    const struct plan *p = &t->plan;
    struct rlimit files;

    try_event(t, "note", "no signature is looked at: 'berth verify' does");
    if (p->network == PLAN_NETWORK_PRIVATE || p->network == PLAN_NETWORK_HOST)
        try_event(t, "note", "network: nobody to talk to here, only lo is up");
    for (uint32_t i = 0; i < p->n_devices; i++)
        try_event(t, "note", "device %s: there is none here", p->device[i]);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_max < p->limits.open_files)
        try_event(t, "note", "open files: your own limit is %llu",
                  (unsigned long long)files.rlim_max);
    if (t->self.no_proc)
        try_event(t, "note", "/proc: this machine lets no user mount it, it is empty");
    try_event(
        t, "note",
        "refused calls: counted only where they kill, because the kernel tells them to root alone; "
        "'berth lint payload' counts them all");
    if (t->bus.program < 0)
        try_event(t, "note",
                  "bus: berth-bus is not installed beside this program, connections are "
                  "refused");
}

void try_show_walls(const struct try *t)
{
    const struct walls *w = &t->launcher.walls;
    static const char orbit[] =
        "in orbit every wall stands or nothing starts (but for what an integrator waives): an id "
        "range of its own, limits by control groups, /data and mail on disk";
    char why[TEXT_CAP];

    if (t->show.json) {
        json_t *o = event_of(t, "walls");

        (void)json_object_set_new(o, "walls", walls_json(w));
        put(o);
    } else {
        for (unsigned i = 0; i < WALLS_MAX; i++) {
            if (wall_name(i) == NULL)
                continue;
            reason_of(w, (enum wall)i, why);
            (void)printf("  %-22s %-8s %s\n", wall_name(i), state_of(w, (enum wall)i), why);
        }
    }
    try_event(t, "orbit", "%s", orbit);
    show_missing(t);
}

/* ---- ends ------------------------------------------------------------------------------------ */

void try_show_end(const struct try *t)
{
    const struct wire_exited *e = &t->last;
    const char *limit = e->rc == RC_OOM ? "; over its memory limit"
                        : e->rc == RC_SECCOMP
                            ? "; it made a call that kills, see 'berth lint payload'"
                            : "";
    char used[96] = "";

    if (e->usage.cpu_us != 0 || e->usage.memory_peak_bytes != 0)
        (void)snprintf(used, sizeof used, "; %" PRIu64 " ms of processor, %" PRIu64 " KiB at most",
                       e->usage.cpu_us / 1000U, e->usage.memory_peak_bytes / 1024U);
    if (t->show.json) {
        json_t *o = event_of(t, "ended");

        (void)json_object_set_new(o, "reason", json_string(rc_name((enum rc)e->rc)));
        (void)json_object_set_new(o, "status", json_integer(e->status));
        (void)json_object_set_new(o, "cpu_us", json_uint(e->usage.cpu_us));
        (void)json_object_set_new(o, "memory_peak_bytes", json_uint(e->usage.memory_peak_bytes));
        put(o);
        return;
    }
    try_event(t, "ended", "%s, %s %d%s%s", rc_name((enum rc)e->rc),
              e->rc == RC_EXITED ? "status" : "signal", e->status, limit, used);
}
