/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/try_scenario.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/buswire.h"
#include "base/name.h"
#include "link/mail.h"
#include "orchestrator/yaml.h"
#include "orchestrator/yaml_units.h"

#define LIMIT_MAX_MS (3600U * 1000U)
#define ADVANCE_MAX_MS (UINT64_C(366) * 86400U * 1000U)
#define STARTS_MAX 1000U

static const struct verb_row verbs[TRY_VERBS] = {
    [TRY_SAY] = { "say", "text", { "text" }, { "text" } },
    [TRY_SEND] = { "send", NULL, { "name", "text" }, { "name", "text" } },
    [TRY_PASS] = { "pass", "do", { "do" }, { "do" } },
    [TRY_FAULT] = { "fault", "do", { "do" }, { "do" } },
    [TRY_ADVANCE] = { "advance", "by", { "by" }, { "by" } },
    [TRY_COMMAND] = { "command", NULL, { "name", "text" }, { "name", "text" } },
    [TRY_CLOCK] = { "clock", "by", { "by" }, { "by" } },
    [TRY_WAIT] = { "wait",
                   NULL,
                   { "check" },
                   { "ready", "output", "status", "taken", "down", "inbox", "ended", "starts",
                     "telemetry", "answered", "within", "check" } },
};

static const char *const faults[TRY_FAULTS] = {
    [FAULT_KILL] = "kill",
    [FAULT_STOP] = "stop",
    [FAULT_START] = "start",
    [FAULT_FREEZE] = "freeze",
    [FAULT_THAW] = "thaw",
    [FAULT_MEMORY] = "memory",
    [FAULT_DISK_FULL] = "disk-full",
    [FAULT_DISK_FREE] = "disk-free",
    [FAULT_AGENT_RESTART] = "agent-restart",
    [FAULT_POWER_CUT] = "power-cut",
};

static const char *const conditions[TRY_CONDITIONS] = {
    [TRY_READY] = "ready",       [TRY_OUTPUT] = "output", [TRY_STATUS] = "status",
    [TRY_TAKEN] = "taken",       [TRY_DOWN] = "down",     [TRY_INBOX] = "inbox",
    [TRY_ENDED] = "ended",       [TRY_STARTS] = "starts", [TRY_TOLD] = "telemetry",
    [TRY_ANSWERED] = "answered",
};

const char *try_fault_name(unsigned fault)
{
    return fault < TRY_FAULTS ? faults[fault] : "?";
}

const char *try_condition_name(unsigned condition)
{
    return condition < TRY_CONDITIONS ? conditions[condition] : "?";
}

static bool find(const char *const *list, unsigned n, const char *word, unsigned *ret)
{
    for (unsigned i = 0; i < n; i++) {
        if (strcmp(list[i], word) == 0) {
            *ret = i;
            return true;
        }
    }
    return false;
}

/* ---- what a step's arguments mean ------------------------------------------------------------ */

static void take_send(struct yaml_in *r, const struct yaml_node *node, const struct step *in,
                      struct try_step *out)
{
    (void)snprintf(out->name, sizeof out->name, "%s", step_arg(in, "name"));
    (void)snprintf(out->text, sizeof out->text, "%s", step_arg(in, "text"));
    if (!mail_name_ok(out->name))
        yaml_fail(r, node, "'%.64s' is no name of a message", out->name);
}

static void take_pass(struct yaml_in *r, const struct yaml_node *node, const struct step *in,
                      struct try_step *out)
{
    static const char *const words[] = { "end", "begin" };

    if (!find(words, 2, step_arg(in, "do"), &out->choice))
        yaml_fail(r, node, "a pass can 'begin' or 'end'");
}

static void take_fault(struct yaml_in *r, const struct yaml_node *node, const struct step *in,
                       struct try_step *out)
{
    if (!find(faults, TRY_FAULTS, step_arg(in, "do"), &out->choice))
        yaml_fail(r, node,
                  "faults: kill stop start freeze thaw memory disk-full disk-free agent-restart "
                  "power-cut");
}

static void take_advance(struct yaml_in *r, const struct yaml_node *node, const struct step *in,
                         struct try_step *out)
{
    if (!yaml_unit_parse(YAML_UNIT_TIME, step_arg(in, "by"), &out->number) ||
        out->number > ADVANCE_MAX_MS)
        yaml_fail(r, node, "'by' is a time such as 90m, of a year at most");
}

/* The queue of the bus takes so much of a command. */
static_assert(STEP_VALUE_CAP <= BUS_BODY_MAX, "what a step says is no command too long");

static void take_command(struct yaml_in *r, const struct yaml_node *node, const struct step *in,
                         struct try_step *out)
{
    (void)snprintf(out->name, sizeof out->name, "%s", step_arg(in, "name"));
    (void)snprintf(out->text, sizeof out->text, "%s", step_arg(in, "text"));
    if (!name_valid(out->name))
        yaml_fail(r, node, "'%.64s' is no name of a command: a-z, 0-9 and '-'", out->name);
}

static void take_clock(struct yaml_in *r, const struct yaml_node *node, const struct step *in,
                       struct try_step *out)
{
    const char *by = step_arg(in, "by");

    out->back = by[0] == '-';
    if (!yaml_unit_parse(YAML_UNIT_TIME, by + (out->back ? 1 : 0), &out->number) ||
        out->number > ADVANCE_MAX_MS)
        yaml_fail(r, node, "'by' is a time such as 90m or -90m, of a year at most");
}

static void take_condition(struct yaml_in *r, const struct yaml_node *node, const char *value,
                           struct try_step *out)
{
    (void)snprintf(out->name, sizeof out->name, "%s", value);
    if (out->choice == TRY_READY && strcmp(value, "true") != 0)
        yaml_fail(r, node, "ready: true");
    if (out->choice == TRY_STARTS && (!yaml_unit_parse(YAML_UNIT_NONE, value, &out->number) ||
                                      out->number == 0 || out->number > STARTS_MAX))
        yaml_fail(r, node, "'starts' is a number from 1 to %u", STARTS_MAX);
    if (value[0] == '\0')
        yaml_fail(r, node, "'%s' of what?", conditions[out->choice]);
}

static void take_wait(struct yaml_in *r, const struct yaml_node *node, const struct step *in,
                      struct try_step *out)
{
    const char *within = step_arg(in, "within");
    unsigned given = 0;

    out->within_ms = TRY_WITHIN_MS;
    if (within != NULL && (!yaml_unit_parse(YAML_UNIT_TIME, within, &out->within_ms) ||
                           out->within_ms == 0 || out->within_ms > LIMIT_MAX_MS))
        yaml_fail(r, node, "'within' is a time such as 5s, of an hour at most");
    out->within_ms *= SCENARIO_SLOWNESS;
    (void)snprintf(out->text, sizeof out->text, "%s", step_arg(in, "check"));
    for (unsigned i = 0; i < TRY_CONDITIONS; i++) {
        if (step_arg(in, conditions[i]) == NULL)
            continue;
        out->choice = i;
        given++;
        take_condition(r, node, step_arg(in, conditions[i]), out);
    }
    if (given != 1)
        yaml_fail(r, node,
                  "wait for one thing: ready output status taken down inbox ended starts "
                  "telemetry answered");
}

static void take_say(struct yaml_in *r, const struct yaml_node *node, const struct step *in,
                     struct try_step *out)
{
    (void)r;
    (void)node;
    (void)snprintf(out->text, sizeof out->text, "%s", step_arg(in, "text"));
}

/* ---- whole files ----------------------------------------------------------------------------- */

static void read_step(struct yaml_in *r, const struct yaml_node *node, struct step *raw,
                      struct try_step *out)
{
    static void (*const take[TRY_VERBS])(struct yaml_in *, const struct yaml_node *,
                                         const struct step *, struct try_step *) = {
        [TRY_SAY] = take_say,         [TRY_SEND] = take_send,       [TRY_PASS] = take_pass,
        [TRY_FAULT] = take_fault,     [TRY_ADVANCE] = take_advance, [TRY_WAIT] = take_wait,
        [TRY_COMMAND] = take_command, [TRY_CLOCK] = take_clock,
    };

    memset(raw, 0, sizeof *raw);
    step_read(r, node, verbs, TRY_VERBS, raw);
    out->line = raw->line;
    if (r->err.rc != RC_OK) /* not all that is needed is there */
        return;
    out->verb = (enum try_verb)raw->verb;
    take[out->verb](r, node, raw, out);
}

enum rc try_scenario_load(const char *path, struct try_scenario **ret, struct err *err)
{
    static const char *const keys[] = { "try", "limit", "steps", NULL };
    scoped(yaml_close) struct yaml *doc = NULL;
    scoped(free_ptr) struct try_scenario *s = calloc(1, sizeof *s);
    scoped(free_ptr) struct step *raw = calloc(1, sizeof *raw);
    enum rc rc = yaml_load(AT_FDCWD, path, &doc, err);

    if (rc != RC_OK)
        return rc;
    if (!s || !raw)
        return err_set(err, RC_NO_MEMORY, "scenario");
    struct yaml_in r = yaml_read(doc);
    const struct yaml_node *top = yaml_root(&r);

    yaml_keys(&r, top, keys);
    yaml_text(&r, top, "try", NULL, s->name, sizeof s->name);
    s->limit_ms = yaml_time(&r, top, "limit", 120000, 1000, LIMIT_MAX_MS) * SCENARIO_SLOWNESS;
    const struct yaml_node *list = yaml_list(&r, top, "steps", true);

    for (const struct yaml_node *n = yaml_first(&r, list); n; n = yaml_next(&r, n)) {
        if (s->n_steps >= TRY_STEPS_MAX) {
            yaml_fail(&r, n, "more than %u steps", TRY_STEPS_MAX);
            break;
        }
        read_step(&r, n, raw, &s->step[s->n_steps++]);
    }
    rc = yaml_done(&r, err);
    if (rc != RC_OK)
        return rc;
    *ret = s;
    s = NULL;
    return RC_OK;
}
