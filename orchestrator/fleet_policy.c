/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/fleet_policy: the part of the fleet file that says how a change spreads.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/name.h"
#include "orchestrator/fleet_parts.h"
#include "orchestrator/yaml_units.h"

const struct fleet_policy fleet_built_in = {
    .n_waves = 2,
    .wave = { { .n = 1, .label = { .key = "canary" } }, { .percent = 100 } },
    .n_first = 1,
    .first = { { .percent = 100 } },
    .fail_max = 1,
};

/* "25%"; else a failure, and 0. */
static uint32_t percent_of(struct yaml_in *r, const struct yaml_node *node, const char *expected)
{
    char text[8] = "";
    char *end = text;

    yaml_scalar(r, node, text, sizeof text);
    if (r->err.rc != RC_OK)
        return 0;
    unsigned long value = text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : 0;

    if (value == 0 || value > 100 || strcmp(end, "%") != 0)
        yaml_fail(r, node, "%s", expected);
    return r->err.rc == RC_OK ? (uint32_t)value : 0;
}

static void read_wave(struct yaml_in *r, const struct yaml_node *node, struct fleet_wave *wave)
{
    if (node->type == YAML_SCALAR) {
        wave->percent = percent_of(r, node, "expected 1% to 100%, or {n: N, label: L}");
        return;
    }
    yaml_keys(r, node, fleet_keys[FLEET_KEYS_WAVE]);
    wave->n = (uint32_t)yaml_uint(r, node, "n", 0, 1, FLEET_SATELLITES_MAX);
    const struct yaml_node *label = yaml_get(r, node, "label");

    if (label)
        fleet_read_condition(r, label, &wave->label);
    if (wave->n == 0 && !label)
        yaml_fail(r, node, "a wave needs n, label or a percentage");
}

/* Returns the number of waves; the last one must take everything that is left. */
static uint32_t read_waves(struct yaml_in *r, const struct yaml_node *map, const char *key,
                           struct fleet_wave *waves)
{
    const struct yaml_node *list = yaml_list(r, map, key, true);
    uint32_t n = 0;

    for (const struct yaml_node *node = yaml_first(r, list); node; node = yaml_next(r, node)) {
        if (n == ROLLOUT_WAVES_MAX) {
            yaml_fail(r, node, "more than %u waves", ROLLOUT_WAVES_MAX);
            return 0;
        }
        waves[n] = (struct fleet_wave){ 0 };
        read_wave(r, node, &waves[n]);
        if (n > 0 && waves[n].percent != 0 && waves[n].percent <= waves[n - 1].percent)
            yaml_fail(r, node, "percentages must rise: they count all waves up to this one");
        n++;
    }
    if (r->err.rc == RC_OK && (n == 0 || waves[n - 1].percent != 100))
        yaml_fail(r, list, "the last wave must be 100%%");
    return n;
}

/* [operator, safety]: each once. */
static uint32_t read_approve(struct yaml_in *r, const struct yaml_node *map)
{
    const struct yaml_node *list = yaml_list(r, map, "approve", false);
    uint32_t bits = 0;

    for (const struct yaml_node *node = yaml_first(r, list); node; node = yaml_next(r, node)) {
        char text[NAME_CAP] = "";
        enum approval_role role = APPROVAL_OPERATOR;

        yaml_scalar(r, node, text, sizeof text);
        if (r->err.rc == RC_OK && !approval_role_parse(text, &role))
            yaml_fail(r, node, "approve: '%s' is no role: operator, safety or approver", text);
        else if (r->err.rc == RC_OK && (bits & APPROVAL_BIT(role)) != 0)
            yaml_fail(r, node, "approve: %s is there twice: name each role once", text);
        bits |= APPROVAL_BIT(role);
    }
    return bits;
}

/* fail: 2, or fail: {pct: 10%, min: 2}. */
static void read_fail(struct yaml_in *r, const struct yaml_node *map, struct fleet_policy *p)
{
    const struct yaml_node *node = yaml_get(r, map, "fail");

    if (!node || node->type == YAML_SCALAR) {
        p->fail_max =
            (uint32_t)yaml_uint(r, map, "fail", fleet_built_in.fail_max, 1, FLEET_FAIL_MAX);
        return;
    }
    yaml_keys(r, node, fleet_keys[FLEET_KEYS_FAIL]);
    const struct yaml_node *pct = yaml_get(r, node, "pct");

    if (!pct)
        yaml_fail(r, node, "fail needs pct: {pct: 10%%, min: 2}, or is a number of satellites");
    else
        p->fail_pct = percent_of(r, pct, "fail: pct: expected 1% to 100%");
    p->fail_min = (uint32_t)yaml_uint(r, node, "min", 1, 1, FLEET_FAIL_MAX);
    p->fail_max = FLEET_FAIL_MAX;
}

/* success: 90% */
static void read_success(struct yaml_in *r, const struct yaml_node *map, struct fleet_policy *p)
{
    const struct yaml_node *node = yaml_get(r, map, "success");

    if (!node)
        return;
    p->success_pct = percent_of(r, node, "success: expected 1% to 100%");
    if (p->success_pct > 0 && p->success_pct < 100 && p->fail_pct == 0 && p->fail_max == 1)
        yaml_fail(r, node, "success: %u%% lets some fail, and fail: 1 none: say fail, too",
                  p->success_pct);
}

/* silent: {passes: 3, after: 12h, action: skip} */
static void read_silent(struct yaml_in *r, const struct yaml_node *map, struct fleet_policy *p)
{
    const struct yaml_node *node = yaml_map(r, map, "silent", false);
    char action[NAME_CAP] = "";

    if (!node)
        return;
    yaml_keys(r, node, fleet_keys[FLEET_KEYS_SILENT]);
    p->silent_passes = (uint32_t)yaml_uint(r, node, "passes", 0, 1, FLEET_SILENT_PASSES_MAX);
    p->silent_ms = yaml_time(r, node, "after", 0, 1000, FLEET_DEADLINE_MAX_MS);
    yaml_text(r, node, "action", "pause", action, sizeof action);
    p->silent_skip = strcmp(action, "skip") == 0;
    if (p->silent_passes == 0 && p->silent_ms == 0)
        yaml_fail(r, node, "silent needs passes: N, or after: TIME, or both");
    else if (!p->silent_skip && strcmp(action, "pause") != 0)
        yaml_fail(r, yaml_get(r, node, "action"), "action: '%s' is neither pause nor skip", action);
}

/* soak: 3h, or soak: 3 orbits; "0" is no soak in either. */
static void read_soak(struct yaml_in *r, const struct yaml_node *map, struct fleet_policy *p)
{
    const struct yaml_node *node = yaml_get(r, map, "soak");
    uint64_t any;

    if (node && node->type == YAML_SCALAR && yaml_unit_parse(YAML_UNIT_TIME, node->text, &any))
        p->soak_ms = yaml_time(r, map, "soak", 0, 0, UINT32_MAX);
    else
        p->soak_orbits = (uint32_t)yaml_orbits(r, map, "soak", 0, 0, ROLLOUT_SOAK_ORBITS_MAX);
}

static bool is_label(const struct fleet *fleet, const char *key)
{
    const struct fleet_label any = { .key = "", .value = "" };
    struct fleet_label label = any;

    (void)snprintf(label.key, sizeof label.key, "%.*s", (int)NAME_MAX_LEN, key);
    for (uint32_t i = 0; i < fleet->n_satellites; i++)
        if (fleet_matches(&fleet->satellite[i], &label))
            return true;
    return false;
}

/* spread: {plane: 50%, lot: 2} */
static void read_spread(struct yaml_in *r, const struct yaml_node *map, const struct fleet *fleet,
                        struct fleet_policy *p)
{
    const struct yaml_node *rules = yaml_map(r, map, "spread", false);

    for (const struct yaml_node *n = yaml_first(r, rules); n; n = yaml_next(r, n)) {
        char text[8] = "";

        if (p->n_spread == FLEET_SPREAD_MAX) {
            yaml_fail(r, n, "spread: more than %u labels", FLEET_SPREAD_MAX);
            return;
        }
        struct fleet_spread *s = &p->spread[p->n_spread++];

        if (!name_valid(n->key) || strcmp(n->key, "id") == 0 || !is_label(fleet, n->key)) {
            yaml_fail(r, n, "spread: no satellite of this file has label '%.40s'", n->key);
            return;
        }
        *s = (struct fleet_spread){ .line = n->line };
        (void)snprintf(s->key, sizeof s->key, "%s", n->key);
        yaml_scalar(r, n, text, sizeof text);
        if (strchr(text, '%'))
            s->percent = percent_of(r, n, "spread: expected 1% to 100%, or a number of satellites");
        else
            s->n = (uint32_t)yaml_uint(r, rules, n->key, 0, 1, FLEET_SATELLITES_MAX);
    }
}

void fleet_read_policy(struct yaml_in *r, const struct yaml_node *node, struct fleet *fleet)
{
    if (fleet->n_policies == FLEET_POLICIES_MAX) {
        yaml_fail(r, node, "more than %u rollout entries", FLEET_POLICIES_MAX);
        return;
    }
    struct fleet_policy *p = &fleet->policy[fleet->n_policies];

    *p = fleet_built_in;
    if (strcmp(node->key, "default") != 0 && !fleet_split(node->key, p->tenant, p->name)) {
        yaml_fail(r, node, "expected default or tenant/payload");
        return;
    }
    yaml_keys(r, node, fleet_keys[FLEET_KEYS_POLICY]);
    if (yaml_get(r, node, "waves"))
        p->n_waves = read_waves(r, node, "waves", p->wave);
    if (yaml_get(r, node, "first"))
        p->n_first = read_waves(r, node, "first", p->first);
    read_fail(r, node, p);
    read_success(r, node, p);
    read_silent(r, node, p);
    read_soak(r, node, p);
    p->deadline_ms = yaml_time(r, node, "deadline", 0, 0, FLEET_DEADLINE_MAX_MS);
    p->approve = read_approve(r, node);
    read_spread(r, node, fleet, p);
    fleet->n_policies++;
}
