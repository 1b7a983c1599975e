/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sim/try.h"

struct play {
    struct try *t;
    const struct try_scenario *s;
    uint32_t ends_looked; /* ends that a wait has found */
    uint32_t ends_judged; /* that a restart was decided for */
    uint32_t checks;
};

/* ---- the agent's rules for what ends --------------------------------------------------------- */

static bool starts_again(const struct try *t, bool well)
{
    const struct life *l = &t->life;

    if (well && (l->kind != KIND_SERVICE || l->restart.policy == RESTART_ON_FAILURE))
        return false;
    return life_starts_again(l);
}

/* An end that nobody asked for: again, or not, by the manifest.  The wait before is played. */
static enum rc judge_end(struct play *p, struct err *err)
{
    struct try *t = p->t;

    if (t->running || !t->wanted || p->ends_judged == t->ends || t->interrupted)
        return RC_OK;
    p->ends_judged = t->ends;
    bool well = t->last.rc == RC_EXITED && t->last.status == 0;
    if (!starts_again(t, well)) {
        try_event(t, "agent", "%s: it does not start again by itself",
                  rc_name(t->life.kind == KIND_SCHEDULED ? RC_RESTS : RC_DONE));
        return RC_OK;
    }
    t->failures += well ? 0 : 1;
    uint64_t wait_ms = life_backoff_ms(&t->life.restart, t->failures > 0 ? t->failures : 1);
    t->show.played_ms += wait_ms;
    if (!restarts_spend(&t->restarts, &t->life.restart, t->show.played_ms)) {
        try_event(t, "agent", "%s: its budget of restarts is spent", rc_name(RC_CRASH_LOOP));
        return RC_OK;
    }
    try_event(t, "agent", "starts it again after %llu ms", (unsigned long long)wait_ms);
    return try_start(t, err);
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* Behind what the last wait found; what is found is behind the next one. */
static bool printed(struct try *t, const char *text)
{
    const char *at = memmem(t->seen, t->n_seen, text, strlen(text));

    if (at == NULL)
        return false;
    size_t end = (size_t)(at - t->seen) + strlen(text);

    memmove(t->seen, t->seen + end, t->n_seen - end);
    t->n_seen -= end;
    return true;
}

static bool holds(struct play *p, const struct try_step *s)
{
    struct try *t = p->t;

    switch ((enum try_condition)s->choice) {
    case TRY_READY:
        return t->running && t->ready;
    case TRY_OUTPUT:
        return printed(t, s->name);
    case TRY_STATUS:
        return strstr(t->status, s->name) != NULL;
    case TRY_TAKEN:
        return try_mail_was(t->taken, t->n_taken, s->name);
    case TRY_DOWN:
        return try_mail_was(t->down, t->n_down, s->name);
    case TRY_INBOX:
        return try_mail_was(t->came, t->n_came, s->name);
    case TRY_ENDED:
        if (p->ends_looked == t->ends || strcmp(rc_name((enum rc)t->last.rc), s->name) != 0)
            return false;
        p->ends_looked = t->ends;
        return true;
    case TRY_STARTS:
        return t->starts >= s->number;
    case TRY_TOLD:
        return try_bus_told(t, s->name);
    case TRY_ANSWERED:
        return try_bus_answered(t, s->name);
    case TRY_CONDITIONS:
        break;
    }
    return false;
}

static enum rc wait_for(struct play *p, const struct try_step *s, struct err *err)
{
    struct try *t = p->t;
    uint64_t until = clock_mono_ms() + s->within_ms;
    enum rc rc = RC_OK;

    if (t->until_ms != 0 && t->until_ms < until)
        until = t->until_ms;
    while (!holds(p, s)) {
        if (t->interrupted)
            return err_set(err, RC_EXPECTATION, "interrupted");
        if (clock_mono_ms() >= until) {
            try_event(t, "check", "NOT MET: %s", s->text);
            return err_set(err, RC_EXPECTATION, "line %u: %s", s->line, s->text);
        }
        rc = try_turn(t, until, err);
        if (rc == RC_OK)
            rc = judge_end(p, err);
        if (rc != RC_OK)
            return rc;
    }
    p->checks++;
    try_event(t, "check", "ok: %s", s->text);
    return RC_OK;
}

static enum rc pass(struct play *p, bool begin, struct err *err)
{
    struct try *t = p->t;
    const struct schedule *s = &t->life.schedule;

    if (t->pass == begin)
        return err_set(err, RC_SCENARIO, begin ? "a pass is under way" : "there is no pass");
    t->pass = begin;
    try_event(t, "pass", begin ? "AOS" : "LOS");
    if (begin)
        try_bus_pass(t);
    enum rc rc = try_mail_turn(t, err);
    if (rc == RC_OK && !t->running && (begin ? s->at_aos : s->at_los))
        rc = try_start(t, err);
    return rc;
}

static enum rc run_step(struct play *p, const struct try_step *s, struct err *err)
{
    struct try *t = p->t;
    enum rc rc;

    switch (s->verb) {
    case TRY_SAY:
        try_event(t, "say", "%s", s->text);
        return RC_OK;
    case TRY_SEND:
        if (t->plan.limits.inbox_bytes == 0)
            return err_set(err, RC_SCENARIO, "it has no inbox");
        rc = try_mail_send(t, s->name, bytes_of(s->text), err);
        return rc == RC_OK ? try_mail_turn(t, err) : rc;
    case TRY_PASS:
        return pass(p, s->choice == 1, err);
    case TRY_FAULT:
        return try_fault(t, (enum try_fault)s->choice, err);
    case TRY_ADVANCE:
        t->show.played_ms += s->number;
        return try_mail_turn(t, err);
    case TRY_COMMAND:
        if (t->plan.limits.inbox_bytes == 0)
            return err_set(err, RC_SCENARIO, "commands are for payloads with an inbox");
        rc = try_bus_command(t, s->name, s->text, err);
        if (rc == RC_OK && t->pass)
            try_bus_pass(t);
        return rc;
    case TRY_CLOCK:
        try_bus_step_clock(t, s->back ? -(int64_t)s->number : (int64_t)s->number);
        return RC_OK;
    case TRY_WAIT:
        return wait_for(p, s, err);
    case TRY_VERBS:
        break;
    }
    return err_set(err, RC_INTERNAL, "verb %u", (unsigned)s->verb);
}

enum rc try_play(struct try *t, const struct try_scenario *s, struct err *err)
{
    struct play p = { .t = t, .s = s };
    enum rc rc = try_start(t, err);

    t->until_ms = clock_mono_ms() + s->limit_ms;
    for (uint32_t i = 0; rc == RC_OK && i < s->n_steps; i++) {
        rc = run_step(&p, &s->step[i], err);
        if (rc == RC_SCENARIO)
            try_event(t, "check", "line %u makes no sense here: %s", s->step[i].line, err->what);
        if (rc == RC_OK)
            rc = judge_end(&p, err);
        if (rc == RC_OK && t->interrupted)
            rc = err_set(err, RC_EXPECTATION, "interrupted");
    }
    if (rc == RC_OK)
        try_event(t, "passed", "%s: %u checks held", s->name, p.checks);
    return rc;
}
