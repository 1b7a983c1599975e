/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <systemd/sd-daemon.h>

#include "agent/aside.h"
#include "agent/check.h"
#include "agent/copying.h"
#include "agent/install.h"
#include "agent/own.h"
#include "agent/platform.h"
#include "agent/probe.h"
#include "agent/receive.h"
#include "agent/recorded.h"
#include "agent/repair.h"
#include "agent/reserve.h"
#include "agent/revoke.h"
#include "agent/room.h"
#include "agent/scrub.h"
#include "agent/stored.h"
#include "agent/supervise.h"
#include "agent/teams.h"
#include "agent/used.h"
#include "base/clock.h"
#include "base/log.h"

#define ROUNDS_MAX 8U /* of deciding, before others get their turn */
#define STOP_WAIT_MS 10000U

uint64_t agent_now_unix(void)
{
    return clock_unix_ms();
}

void agent_exit(struct agent *a, int code)
{
    if (a->loop)
        (void)sd_event_exit(a->loop, code);
}

/* ---- telling ------------------------------------------------------------------------------------
 */

void agent_event(struct agent *a, enum rc code, uint32_t count, const char *what)
{
    if (events_add(&a->events, code, count, what))
        log_event(LOG_LEVEL_WARN, "event seq=%llu code=%s what=%s",
                  (unsigned long long)a->events.seq, rc_name(code), what);
    if (a->events.seq >= a->state.event_seq)
        a->unsaved = true;
    agent_report_soon(a);
}

void agent_event_err(struct agent *a, const struct err *err, const char *what)
{
    char text[WHY_CAP];

    log_err(LOG_LEVEL_WARN, err, "refused %s", what);
    agent_event(a, err->rc, 1, why_of(what, err, text));
}

void agent_set_aside(struct agent *a, int fd, const struct digest *object, enum rc why)
{
    struct err err = { 0 };

    if (aside_keep(a->state_dir, fd, object, a->events.seq, why, &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "set aside");
}

static void wake(sd_event_source *source, uint64_t at_ms)
{
    if (!source)
        return;
    (void)sd_event_source_set_time(source, at_ms * 1000U);
    (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

void agent_report_soon(struct agent *a)
{
    if (a->report_wanted)
        return;
    a->report_wanted = true;
    wake(a->on_report, a->reported_ms + AGENT_REPORT_GAP_MS);
}

/* A brief instead, where that says all.  A ground whose orders bring a witness knows briefs. */
static enum rc shorten(struct agent *a, const struct report *report, struct port_message *m,
                       struct bytes *out, struct err *err)
{
    struct brief brief = { .epoch = report->epoch, .seq = report->seq, .time_ms = report->time_ms };
    enum rc rc = report_root(report, &brief.root, err);

    if (rc != RC_OK ||
        !report_brief_enough(&a->told, &brief.root, a->witness.seq > 0 && report_is_quiet(report)))
        return rc;
    memcpy(brief.satellite, report->satellite, sizeof brief.satellite);
    m->type = PORT_BRIEF;
    return brief_encode(&brief, m->report.bytes, REPORT_MAX, out, err);
}

static enum rc make_report(struct agent *a, struct port_message *m, struct err *err)
{
    scoped(free_ptr) struct report *report = calloc(1, sizeof *report);
    scoped(free_ptr) struct usage *usage = calloc(UNITS_MAX, sizeof *usage);
    struct bytes out = { 0 };

    if (!report || !usage)
        return err_set(err, RC_NO_MEMORY, "report");
    for (uint32_t i = 0; i < a->table.n_units; i++)
        usage[i] = supervise_usage(a, &a->table.unit[i]);
    const struct report_parts parts = {
        .satellite = a->config.satellite,
        .epoch = a->state.epoch,
        .seq = ++a->report_seq,
        .time_ms = agent_now_unix(),
        .root_version = a->trust ? trust_root(a->trust)->version : a->state.trust.root_version,
        .generation = a->state.generation,
        .lost = a->lost | (a->damaged ? LOST_STATE : 0),
        .passes_order = a->state.passes_order,
        .passes_document = a->state.passes_document,
        .staged = a->staged.generation,
        .table = &a->table,
        .usage = usage,
        .events = &a->events,
        .agent = own_report(a),
        .witness = a->witness,
        .walls = a->walls,
        .transfers = &a->transfers,
    };
    report_build(&parts, report);
    scrub_report(a, clock_mono_ms(), &report->scrub);
    used_report(a, report);
    refused_report(&a->refused, report);
    rekey_report(a, report->seq, &report->keys);
    enum rc rc = report_fit(report, m->report.bytes, &out, err);
    if (rc == RC_OK)
        rc = shorten(a, report, m, &out, err);
    if (rc == RC_OK)
        m->report.n = (uint32_t)out.n;
    return rc;
}

static void send_report(struct agent *a)
{
    static struct port_message m; /* large, and there is one thread */
    struct err err = { 0 };

    memset(&m, 0, sizeof m);
    m.type = PORT_REPORT;
    a->report_wanted = false;
    a->reported_ms = clock_mono_ms();
    wake(a->on_report, a->reported_ms + a->heartbeat_ms);
    enum rc rc = make_report(a, &m, &err);
    if (rc == RC_OK)
        rc = port_send(a->link_sock, &m, -1, &err);
    if (rc != RC_OK)
        a->told = (struct report_told){ 0 }; /* it was not told */
    if (rc == RC_TIMEOUT)
        agent_report_soon(a); /* berth-link is behind */
    else if (rc != RC_OK)
        log_err(LOG_LEVEL_ERROR, &err, "report");
}

/* ---- keeping ------------------------------------------------------------------------------------
 */

/* While this agent is on trial, the one before must be able to read what it finds when it comes
 * back.  What it does not know is written when the trial is over. */
static void keep_old_form(struct state *s)
{
    s->safe = false;
    for (uint32_t i = 0; i < s->n_units; i++) {
        s->unit[i].done = (struct digest){ 0 };
        s->unit[i].spent = 0;
    }
}

static void fill_state(struct agent *a)
{
    agent_record_versions(a);
    a->state.n_units = a->table.n_units;
    memset(a->state.unit, 0, sizeof a->state.unit);
    for (uint32_t i = 0; i < a->table.n_units; i++) {
        if (digest_is_none(&a->table.unit[i].kept.good))
            a->table.unit[i].kept.vouched = (struct digest){ 0 };
        a->state.unit[i] = a->table.unit[i].kept;
    }
    a->state.safe = a->table.mode == MODE_SAFE;
    if (a->own.trial)
        keep_old_form(&a->state);
    a->state.event_seq = a->events.seq + (a->stopping ? 0 : AGENT_EVENT_LEASE);
    if (a->trust) {
        a->state.time_floor = trust_time_floor(a->trust);
        a->state.time_anchor = trust_time_anchor(a->trust);
    }
}

/* What another agent left stays in its place until it is copied aside and the state is there: a cut
 * leaves the one or the other.  A place for the copy that is bad for good does not keep the state
 * from being saved. */
static enum rc save_state(struct agent *a, struct err *err)
{
    if (a->uncopied) {
        enum rc rc = state_copy_aside(a->state_dir, err);

        if (rc == RC_NO_SPACE || rc == RC_NO_MEMORY)
            return rc;
        if (rc != RC_OK)
            log_err(LOG_LEVEL_WARN, err, "state that is left");
        a->uncopied = false;
    }
    enum rc rc = a->foreign ? state_renew(a->state_dir, &a->state, err)
                            : state_save(a->state_dir, &a->state, a->unrecorded, err);
    a->foreign &= rc != RC_OK;
    return rc;
}

void agent_save(struct agent *a)
{
    struct err err = { 0 };

    a->table.changed = false;
    if (a->damaged) /* what is there is evidence, and not ours to replace */
        return;
    fill_state(a);
    bool failed_before = a->save_failed;
    enum rc rc = save_state(a, &err);
    if (rc == RC_NO_SPACE && reserve_release(a->state_dir))
        rc = save_state(a, &err);
    while (rc == RC_NO_SPACE && stored_give_up(a)) /* nothing else is left to give */
        rc = save_state(a, &err);
    a->save_failed = rc != RC_OK;
    a->unsaved = a->save_failed;
    a->unrecorded &= a->save_failed;
    a->floor_saved_ms = clock_mono_ms();
    if (a->save_failed && !failed_before)
        agent_event_err(a, &err, "state");
}

void agent_taken_new(struct agent *a, bool order)
{
    a->state.passes_document = 0;
    if (order)
        a->state.passes_order = 0;
    a->unsaved = true;
}

void agent_tell_frozen(struct agent *a)
{
    char what[48];

    (void)snprintf(what, sizeof what, "no new order for %u passes", a->state.passes_order);
    if (a->frozen_passes > 0 && a->state.passes_order >= a->frozen_passes)
        agent_event(a, RC_FROZEN, 1, what);
}

void agent_contact(struct agent *a)
{
    logs_contact(a);
    if (a->state.passes_order < UINT32_MAX) {
        a->state.passes_order++;
        a->state.passes_document++;
        a->unsaved = true;
    }
    if (a->state.passes_order == a->frozen_passes)
        agent_tell_frozen(a);
    agent_report_soon(a);
}

/* ---- deciding and doing -------------------------------------------------------------------------
 */

static void tell_action(struct agent *a, const struct action *action)
{
    const struct unit_record *r = &a->table.unit[action->unit].kept;
    char name[2 * NAME_CAP];
    char text[WHY_CAP];

    (void)snprintf(name, sizeof name, "%s/%s", r->tenant, r->name);
    if (action->type == ACTION_NOTE)
        agent_event(a, action->code, 1, why_text(&a->whys, name, action->code, text));
    if (action->type == ACTION_COMMIT)
        log_event(LOG_LEVEL_INFO, "committed payload=%s", name);
}

/* What is done to data must not be undone by the loss of one copy of the record. */
static bool rests_on_data(const struct agent *a)
{
    for (uint32_t i = 0; i < a->table.n_actions; i++) {
        const struct action *action = &a->table.action[i];

        if (action->type == ACTION_COMMIT || action->type == ACTION_RESTORE ||
            (action->type == ACTION_START &&
             !digest_is_none(&a->table.unit[action->unit].kept.snapshot)))
            return true;
    }
    return false;
}

static void carry_out(struct agent *a, const struct action *action)
{
    switch (action->type) {
    case ACTION_START:
        if (!a->stopping)
            supervise_start(a, action);
        break;
    case ACTION_STOP:
        supervise_stop(a, action->instance);
        break;
    case ACTION_COMMIT:
        copying_drop(a, &a->table.unit[action->unit].kept);
        break;
    case ACTION_RELIMIT:
        supervise_relimit(a, action);
        break;
    case ACTION_SNAPSHOT:
        copying_begin(a, action);
        break;
    case ACTION_RESTORE:
        copying_restore(a, action);
        break;
    case ACTION_FREEZE:
        supervise_freeze(a, action->instance);
        break;
    case ACTION_THAW:
        supervise_thaw(a, action->instance);
        break;
    case ACTION_SWITCH:
        own_switch(a, action);
        break;
    case ACTION_NOTE:
        break;
    }
}

static void act(struct agent *a)
{
    bool committed = false;
    bool any = a->table.n_actions > 0;

    bool twice = rests_on_data(a);
    a->unrecorded |= twice && (a->table.changed || a->save_failed);
    if (a->table.changed || (twice && a->save_failed))
        agent_save(a); /* before anything that rests on it */
    for (uint32_t i = 0; i < a->table.n_actions; i++) {
        const struct action action = a->table.action[i];

        tell_action(a, &action);
        committed |= action.type == ACTION_COMMIT;
        carry_out(a, &action);
    }
    /* A start that failed at once has added to the list: it is for the next round. */
    if (committed)
        room_collect(a);
    if (any)
        agent_report_soon(a);
}

static bool is_idle(const struct agent *a)
{
    for (uint32_t i = 0; i < a->table.n_units; i++)
        if (a->table.unit[i].run.phase != RUN_NONE)
            return false;
    return true;
}

void agent_step(struct agent *a)
{
    const struct reconcile_ask ask = { .admit = supervise_admit, .live = supervise_live, .arg = a };

    supervise_poll(a);
    for (uint32_t i = 0; i < ROUNDS_MAX; i++) {
        uint64_t now = clock_mono_ms();

        if (a->stopping)
            reconcile_shutdown(&a->table, now);
        else
            reconcile_step(&a->table, now, &ask);
        if (a->table.n_actions == 0 && !a->table.changed)
            break;
        act(a);
        reconcile_reset(&a->table);
    }
    if (a->table.stuck) {
        agent_event(a, RC_TIMEOUT, 1, "berth-launch");
        agent_exit(a, 1);
    }
    if (a->stopping && is_idle(a))
        agent_exit(a, a->own.exit_code);
    if (a->table.wake_ms != UINT64_MAX)
        wake(a->on_wake, a->table.wake_ms);
}

/* Units that are not ordered and own nothing give their place and their id range back. */
static void forget_units(struct agent *a)
{
    for (uint32_t i = a->table.n_units; i-- > 0;) {
        if (!install_owns(a, &a->table.unit[i].kept))
            (void)reconcile_forget(&a->table, i);
    }
}

void agent_apply_order(struct agent *a)
{
    char what[40];

    if (a->table.n_actions == 0)
        forget_units(a);
    uint32_t left_out = reconcile_order(&a->table, &a->order);
    (void)snprintf(what, sizeof what, "order %llu", (unsigned long long)a->order.generation);
    if (left_out > 0)
        agent_event(a, RC_NO_ROOM, left_out, what);
    log_event(LOG_LEVEL_INFO, "in force %s lines=%u", what, a->order.n_lines);
    agent_save(a);
    agent_report_soon(a);
}

/* ---- the loop -----------------------------------------------------------------------------------
 */

static int on_wake(sd_event_source *source, uint64_t usec, void *arg)
{
    (void)source;
    (void)usec;
    agent_step(arg);
    return 0;
}

static int on_report(sd_event_source *source, uint64_t usec, void *arg)
{
    (void)source;
    (void)usec;
    send_report(arg);
    return 0;
}

/* Behind is what a clock without a battery is after every start: only the log needs to know. */
static void watch_clock(struct agent *a)
{
    enum trust_clock clock = trust_observe(a->trust, agent_now_unix());

    teams_save(a);

    if (clock == a->clock)
        return;
    a->clock = clock;
    if (clock == TRUST_CLOCK_AHEAD)
        agent_event(a, RC_CLOCK, 1, "clock ahead");
    else
        log_event(LOG_LEVEL_INFO, "clock %s", clock == TRUST_CLOCK_GOOD ? "good" : "behind");
}

/* Time goes on with the one clock that cannot be set.  What has expired is written down at once: it
 * must be so after a power cut too, whatever the clock says then. */
void agent_pass_time(struct agent *a, uint64_t now)
{
    if (a->trust) {
        trust_pass(a->trust, now - a->ticked_ms);
        watch_clock(a);

        uint32_t expired = trust_expired(a->trust, agent_now_unix());
        a->unsaved |= expired != a->expired;
        a->expired = expired;
    } else {
        recorded_pass(a, now - a->ticked_ms, agent_now_unix());
    }
    recorded_lapse(a, agent_now_unix());
    a->unsaved |= now - a->floor_saved_ms >= AGENT_FLOOR_SAVE_MS;
    a->ticked_ms = now;
}

/* Now and then: it is there, nearly always. */
static void fill_reserve(struct agent *a, uint64_t now)
{
    if (now < a->reserve_ms)
        return;
    a->reserve_ms = now + AGENT_RESERVE_MS;
    (void)reserve_fill(a->state_dir);
}

static int on_tick(sd_event_source *source, uint64_t usec, void *arg)
{
    struct agent *a = arg;
    uint64_t now = clock_mono_ms();

    (void)source;
    (void)usec;
    agent_pass_time(a, now);
    supervise_tick(a);
    install_tick(a, now);
    check_tick(a, now);
    copying_tick(a, now);
    own_tick(a, now);
    repair_tick(a);
    scrub_tick(a, now);
    used_tick(a, now);
    platform_tick(a);
    refused_tick(a);
    logs_tick(a, now);
    mail_tick(a, now);
    receive_tick(a, now);
    receive_kick(a);
    agent_step(a);
    if (a->unsaved)
        agent_save(a);
    fill_reserve(a, now);
    wake(a->on_tick, now + AGENT_TICK_MS);
    return 0;
}

void agent_stop(struct agent *a, int code)
{
    if (a->stopping)
        return;
    /* Not STOPPING=1: where the launcher is a service of its own, systemd would end it now, with
     * the payloads that we are about to stop. */
    log_event(LOG_LEVEL_INFO, "stopping");
    a->stopping = true;
    a->own.exit_code = code;
    wake(a->on_late, clock_mono_ms() + STOP_WAIT_MS);
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *arg)
{
    struct agent *a = arg;

    (void)source;
    (void)info;
    agent_stop(a, 0);
    agent_step(a);
    return 0;
}

static int on_late(sd_event_source *source, uint64_t usec, void *arg)
{
    struct agent *a = arg;

    (void)source;
    (void)usec;
    agent_exit(a, a->own.exit_code); /* berth-launch kills what is left when its socket closes */
    return 0;
}

/* What could not be used can be, or nobody looks at it any more. */
static int on_probe(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct agent *a = arg;
    struct err err = { 0 };
    enum rc rc = probe_read(fd, &err);

    (void)events;
    if (rc == RC_IO) {
        (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
        log_err(LOG_LEVEL_ERROR, &err, "nobody looks at what could not be used");
    }
    if (rc == RC_OK) {
        own_start_anew(a, clock_mono_ms());
        agent_step(a);
    }
    return 0;
}

static enum rc add_probes(struct agent *a, struct err *err)
{
    for (size_t i = 0; i < sizeof a->probe / sizeof a->probe[0]; i++)
        if (a->probe[i] >= 0 &&
            sd_event_add_io(a->loop, NULL, a->probe[i], EPOLLIN, on_probe, a) < 0)
            return err_set(err, RC_IO, "probe");
    return RC_OK;
}

static enum rc add_timer(struct agent *a, sd_event_source **ret, uint64_t at_ms,
                         sd_event_time_handler_t fn, struct err *err)
{
    if (sd_event_add_time(a->loop, ret, CLOCK_BOOTTIME, at_ms * 1000U, 1000, fn, a) < 0)
        return err_set(err, RC_IO, "timer");
    return RC_OK;
}

enum rc agent_open(struct agent *a, struct err *err)
{
    uint64_t now = clock_mono_ms();

    a->ticked_ms = now;
    if (sd_event_default(&a->loop) < 0)
        return err_set(err, RC_IO, "event loop");
    if (sd_event_set_watchdog(a->loop, true) < 0 ||
        sd_event_add_signal(a->loop, NULL, SIGTERM, on_signal, a) < 0 ||
        sd_event_add_signal(a->loop, NULL, SIGINT, on_signal, a) < 0)
        return err_set(err, RC_IO, "event loop");
    enum rc rc = add_timer(a, &a->on_wake, now, on_wake, err);
    if (rc == RC_OK)
        rc = add_timer(a, &a->on_report, now, on_report, err);
    if (rc == RC_OK)
        rc = add_timer(a, &a->on_tick, now + AGENT_TICK_MS, on_tick, err);
    if (rc == RC_OK)
        rc = add_timer(a, &a->on_late, UINT64_MAX / 2000U, on_late, err);
    if (rc == RC_OK)
        rc = supervise_open(a, err);
    if (rc == RC_OK)
        rc = receive_open(a, err);
    if (rc == RC_OK)
        rc = mail_open(a, err);
    if (rc == RC_OK)
        logs_open_all(a);
    if (rc == RC_OK)
        rc = platform_open(a, err);
    if (rc == RC_OK)
        rc = scrub_open(a, err);
    if (rc == RC_OK)
        rc = add_probes(a, err);
    if (rc == RC_OK && a->ordered)
        agent_apply_order(a); /* it may be newer than the record of it */
    if (rc == RC_OK)
        revoke_apply(a); /* it may not have come to that */
    if (rc == RC_OK)
        room_collect(a); /* nor to that */
    return rc;
}

static void close_loop(struct agent *a)
{
    install_end(a);
    if (a->taking)
        objects_put_abandon(&a->objects, &a->intake);
    if (a->check.busy)
        unpack_cancel(&a->check.job);
    proof_stop(&a->own.proof);
    scrub_close(a);
    copying_end(a);
    if (!a->damaged)
        agent_save(a);
}

int agent_run(struct agent *a)
{
    (void)sd_notify(0, "READY=1");
    log_event(LOG_LEVEL_INFO, "ready satellite=%s epoch=%llu generation=%llu", a->config.satellite,
              (unsigned long long)a->state.epoch, (unsigned long long)a->state.generation);
    agent_step(a);

    int code = sd_event_loop(a->loop);
    close_loop(a);
    if (code == 0 && a->stopping)
        own_stopped(a);
    return code < 0 ? 1 : code;
}
