/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/scenario.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/name.h"
#include "orchestrator/yaml.h"

#define CONDITION                                                                                  \
    "satellite", "payload", "version", "state", "code", "event", "verdict", "rekey", "rollout",    \
        "staged", "root", "running", "sent", "refused"

static const struct verb_row verbs[VERBS] = {
    [VERB_SAY] = { "say", "text", { "text" }, { "text" } },
    [VERB_BERTH] = { "berth", "run", { "run" }, { "run", "exit", "says", "within", "check" } },
    [VERB_COPY] = { "copy", NULL, { "from", "to" }, { "from", "to" } },
    [VERB_FORGE] = { "forge",
                     NULL,
                     { "kind", "out" },
                     { "kind", "out", "like", "content", "key", "satellite" } },
    [VERB_GROUND] = { "ground", "do", { "do" }, { "do" } },
    [VERB_CONTACT] = { "contact", NULL, { "satellite", "do" }, { "satellite", "do" } },
    [VERB_START] = { "start", "satellite", { "satellite" }, { "satellite" } },
    [VERB_KILL] = { "kill",
                    "satellite",
                    { "satellite" },
                    { "satellite", "when", "within", "check" } },
    [VERB_ATTACK] = { "attack", NULL, { "kind", "satellite" }, { "kind", "satellite", "file" } },
    [VERB_WAIT] = { "wait", NULL, { "check" }, { CONDITION, "within", "check" } },
    [VERB_NEVER] = { "never", NULL, { "check" }, { CONDITION, "check" } },
    [VERB_MEASURE] = { "measure", "satellite", { "satellite" }, { "satellite" } },
    [VERB_SAME] = { "same", NULL, { "file", "as", "check" }, { "file", "as", "check" } },
    [VERB_STEADY] = { "steady", NULL, { "check" }, { "satellite", "payload", "check" } },
};

const char *verb_name(enum verb verb)
{
    return verb < VERBS ? verbs[verb].name : "?";
}

const char *step_arg(const struct step *step, const char *key)
{
    for (uint32_t i = 0; i < step->n; i++)
        if (strcmp(step->arg[i].key, key) == 0)
            return step->arg[i].value;
    return NULL;
}

static void add_arg(struct yaml_in *r, struct step *step, const char *key,
                    const struct yaml_node *node)
{
    if (step->n >= STEP_ARGS_MAX) {
        yaml_fail(r, node, "too many arguments");
        return;
    }
    (void)snprintf(step->arg[step->n].key, STEP_KEY_CAP, "%s", key);
    yaml_scalar(r, node, step->arg[step->n].value, STEP_VALUE_CAP);
    step->n++;
}

void step_read(struct yaml_in *r, const struct yaml_node *node, const struct verb_row *rows,
               unsigned n_rows, struct step *step)
{
    const struct yaml_node *call = node->type == YAML_MAP ? yaml_first(r, node) : NULL;
    const struct verb_row *row = NULL;

    step->line = node->line;
    for (unsigned v = 0; call && v < n_rows; v++)
        if (strcmp(call->key, rows[v].name) == 0) {
            row = &rows[v];
            step->verb = v;
        }
    if (!row || node->children != 1) {
        yaml_fail(r, node, "a step is one verb with its arguments");
        return;
    }
    if (call->type == YAML_SCALAR && row->main) {
        add_arg(r, step, row->main, call);
        return;
    }
    yaml_keys(r, call, row->keys);
    for (const struct yaml_node *a = yaml_first(r, call); a; a = yaml_next(r, a))
        add_arg(r, step, a->key, a);
    for (size_t i = 0; i < 3 && row->needed[i]; i++)
        if (!step_arg(step, row->needed[i]))
            yaml_fail(r, call, "'%s' needs '%s'", row->name, row->needed[i]);
}

static void read_link(struct yaml_in *r, const struct yaml_node *top, struct carrier_link *link)
{
    static const char *const keys[] = { "pass",      "gap",     "rate",    "delay", "loss",
                                        "duplicate", "reorder", "corrupt", NULL };
    const struct yaml_node *map = yaml_map(r, top, "link", true);

    if (!map)
        return;
    yaml_keys(r, map, keys);
    link->pass_ms = yaml_time(r, map, "pass", YAML_NEEDED, 1, 86400000);
    link->gap_ms = yaml_time(r, map, "gap", 0, 0, 86400000);
    link->rate = yaml_size(r, map, "rate", YAML_NEEDED, 100, UINT32_MAX);
    link->delay_ms = yaml_time(r, map, "delay", 0, 0, 3600000);
    link->loss_ppm = (uint32_t)yaml_fraction(r, map, "loss", 0, 0, 1000000);
    link->duplicate_ppm = (uint32_t)yaml_fraction(r, map, "duplicate", 0, 0, 1000000);
    link->reorder_ppm = (uint32_t)yaml_fraction(r, map, "reorder", 0, 0, 1000000);
    link->corrupt_ppm = (uint32_t)yaml_fraction(r, map, "corrupt", 0, 0, 1000000);
}

static void read_satellites(struct yaml_in *r, const struct yaml_node *top, struct scenario *s)
{
    static const char *const keys[] = { "id", "node", NULL };
    const struct yaml_node *list = yaml_list(r, top, "satellites", true);

    for (const struct yaml_node *n = yaml_first(r, list); n; n = yaml_next(r, n)) {
        if (s->n_satellites >= SCENARIO_SATELLITES_MAX) {
            yaml_fail(r, n, "more than %u satellites", SCENARIO_SATELLITES_MAX);
            return;
        }

        struct scenario_satellite *sat = &s->satellite[s->n_satellites++];

        yaml_keys(r, n, keys);
        yaml_text(r, n, "id", NULL, sat->id, sizeof sat->id);
        sat->node = yaml_uint(r, n, "node", YAML_NEEDED, 2, UINT32_MAX);
        if (!name_valid(sat->id))
            yaml_fail(r, n, "a satellite's id is [a-z0-9-]");
    }
}

static void read_steps(struct yaml_in *r, const struct yaml_node *top, struct scenario *s)
{
    const struct yaml_node *list = yaml_list(r, top, "steps", true);

    for (const struct yaml_node *n = yaml_first(r, list); n; n = yaml_next(r, n)) {
        if (s->n_steps >= SCENARIO_STEPS_MAX) {
            yaml_fail(r, n, "more than %u steps", SCENARIO_STEPS_MAX);
            return;
        }
        step_read(r, n, verbs, VERBS, &s->step[s->n_steps++]);
    }
}

enum rc scenario_load(const char *path, struct scenario **ret, struct err *err)
{
    static const char *const keys[] = { "scenario",   "seed",  "limit", "link",
                                        "satellites", "steps", NULL };
    scoped(yaml_close) struct yaml *doc = NULL;
    scoped(free_ptr) struct scenario *s = calloc(1, sizeof *s);
    enum rc rc = yaml_load(AT_FDCWD, path, &doc, err);

    if (rc != RC_OK)
        return rc;
    if (!s)
        return err_set(err, RC_NO_MEMORY, "scenario");

    struct yaml_in r = yaml_read(doc);
    const struct yaml_node *top = yaml_root(&r);

    yaml_keys(&r, top, keys);
    yaml_text(&r, top, "scenario", NULL, s->name, sizeof s->name);
    s->seed = yaml_uint(&r, top, "seed", 1, 0, UINT64_MAX - 1);
    s->limit_ms = yaml_time(&r, top, "limit", 60000, 1000, 3600000) * SCENARIO_SLOWNESS;
    read_link(&r, top, &s->link);
    read_satellites(&r, top, s);
    read_steps(&r, top, s);
    rc = yaml_done(&r, err);
    if (rc != RC_OK)
        return rc;
    *ret = s;
    s = NULL;
    return RC_OK;
}
