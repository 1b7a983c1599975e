/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/fleet.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/name.h"
#include "orchestrator/fleet_parts.h"

#define CAPACITY_BYTES_MAX (UINT64_C(1) << 50)

static const struct fleet_policy built_in = {
    .n_waves = 2,
    .wave = { { .n = 1, .label = { .key = "canary" } }, { .percent = 100 } },
    .n_first = 1,
    .first = { { .percent = 100 } },
    .fail_max = 1,
};

bool fleet_split(const char *text, char tenant[NAME_CAP], char name[NAME_CAP])
{
    char part[2U * NAME_CAP];
    int n = snprintf(part, sizeof part, "%s", text);
    char *slash = strchr(part, '/');

    if (n < 0 || (size_t)n >= sizeof part || !slash)
        return false;
    *slash = '\0';
    if (!name_valid(part) || !name_valid(slash + 1))
        return false;
    (void)snprintf(tenant, NAME_CAP, "%.*s", (int)NAME_MAX_LEN, part);
    (void)snprintf(name, NAME_CAP, "%.*s", (int)NAME_MAX_LEN, slash + 1);
    return true;
}

bool fleet_matches(const struct fleet_satellite *satellite, const struct fleet_label *condition)
{
    if (condition->key[0] == '\0')
        return true;
    if (strcmp(condition->key, "id") == 0)
        return strcmp(condition->value, satellite->id) == 0;
    for (uint32_t i = 0; i < satellite->n_labels; i++)
        if (strcmp(satellite->label[i].key, condition->key) == 0)
            return condition->value[0] == '\0' ||
                   strcmp(satellite->label[i].value, condition->value) == 0;
    return false;
}

const struct fleet_policy *fleet_policy_of(const struct fleet *fleet, const char *tenant,
                                           const char *name)
{
    const struct fleet_policy *found = &built_in;

    for (uint32_t i = 0; i < fleet->n_policies; i++) {
        const struct fleet_policy *p = &fleet->policy[i];

        if (strcmp(p->tenant, tenant) == 0 && strcmp(p->name, name) == 0)
            return p;
        if (p->tenant[0] == '\0')
            found = p;
    }
    return found;
}

/* A name or a label's value: a scalar in the alphabet of names. */
static void read_name(struct yaml_in *r, const struct yaml_node *node, const char *what, char *out)
{
    yaml_scalar(r, node, out, NAME_CAP);
    if (r->err.rc == RC_OK && !name_valid(out))
        yaml_fail(r, node, "%s: lower-case letters, digits and '-' only", what);
}

/* "all", "key" or "key=value".  `all` is not a condition on waves. */
static void read_condition(struct yaml_in *r, const struct yaml_node *node, struct fleet_label *ret)
{
    char text[2U * NAME_CAP] = "";

    yaml_scalar(r, node, text, sizeof text);
    if (r->err.rc != RC_OK)
        return;
    char *equals = strchr(text, '=');

    if (equals)
        *equals = '\0';
    if (!name_valid(text) || (equals && !name_valid(equals + 1))) {
        yaml_fail(r, node, "expected label or label=value");
        return;
    }
    (void)snprintf(ret->key, sizeof ret->key, "%.*s", (int)NAME_MAX_LEN, text);
    (void)snprintf(ret->value, sizeof ret->value, "%.*s", (int)NAME_MAX_LEN,
                   equals ? equals + 1 : "");
}

static void read_labels(struct yaml_in *r, const struct yaml_node *map, struct fleet_satellite *sat)
{
    for (const struct yaml_node *n = yaml_first(r, map); n; n = yaml_next(r, n)) {
        if (sat->n_labels == FLEET_LABELS_MAX) {
            yaml_fail(r, n, "more than %u labels", FLEET_LABELS_MAX);
            return;
        }
        struct fleet_label *label = &sat->label[sat->n_labels++];

        if (!name_valid(n->key) || strcmp(n->key, "id") == 0 || strcmp(n->key, "all") == 0) {
            yaml_fail(r, n, "label: lower-case letters, digits and '-' only, not 'id' or 'all'");
            return;
        }
        (void)snprintf(label->key, sizeof label->key, "%s", n->key);
        read_name(r, n, "label value", label->value);
    }
}

static void read_capacity(struct yaml_in *r, const struct yaml_node *map,
                          struct fleet_capacity *ret)
{
    static const char *const keys[] = {
        "memory", "cpu", "pids", "data", "store", "payloads", NULL
    };

    if (!map)
        return;
    yaml_keys(r, map, keys);
    ret->memory_bytes = yaml_size(r, map, "memory", 0, 1, CAPACITY_BYTES_MAX);
    ret->data_bytes = yaml_size(r, map, "data", 0, 1, CAPACITY_BYTES_MAX);
    ret->store_bytes = yaml_size(r, map, "store", 0, 1, CAPACITY_BYTES_MAX);
    ret->cpu_permille = (uint32_t)yaml_share(r, map, "cpu", 0, 1, 1000000);
    ret->pids = (uint32_t)yaml_uint(r, map, "pids", 0, 1, 1U << 22);
    ret->payloads = (uint32_t)yaml_uint(r, map, "payloads", 0, 1, PAYLOADS_MAX);
}

static void read_satellite(struct yaml_in *r, const struct yaml_node *node, struct fleet *fleet)
{
    static const char *const keys[] = { "id", "labels", "capacity", "orbit", "link", "node", NULL };

    if (fleet->n_satellites == FLEET_SATELLITES_MAX) {
        yaml_fail(r, node, "more than %u satellites", FLEET_SATELLITES_MAX);
        return;
    }
    struct fleet_satellite *sat = &fleet->satellite[fleet->n_satellites];

    yaml_keys(r, node, keys);
    yaml_text(r, node, "id", NULL, sat->id, sizeof sat->id);
    read_labels(r, yaml_map(r, node, "labels", false), sat);
    read_capacity(r, yaml_map(r, node, "capacity", false), &sat->capacity);
    fleet_read_orbit(r, node, fleet, sat);
    sat->line = node->line;
    if (r->err.rc == RC_OK && !name_valid(sat->id))
        yaml_fail(r, node, "id: lower-case letters, digits and '-' only");
    for (uint32_t i = 0; i < fleet->n_satellites; i++)
        if (strcmp(fleet->satellite[i].id, sat->id) == 0)
            yaml_fail(r, node, "%s is listed twice (line %u)", sat->id, fleet->satellite[i].line);
    fleet->n_satellites++;
}

static void read_want_map(struct yaml_in *r, const struct yaml_node *node, struct fleet_want *want)
{
    static const char *const keys[] = { "version", "digest", "hold", NULL };
    char hex[2U * DIGEST_SIZE + 1U] = "";

    yaml_keys(r, node, keys);
    want->hold = yaml_bool(r, node, "hold", false);
    yaml_text(r, node, "version", want->hold ? "" : NULL, want->version, sizeof want->version);
    yaml_text(r, node, "digest", "", hex, sizeof hex);
    want->has_digest = hex[0] != '\0';
    if (want->has_digest && !bytes_unhex(hex, want->manifest.b, DIGEST_SIZE))
        yaml_fail(r, yaml_get(r, node, "digest"), "digest: 64 hex digits");
}

static void read_want(struct yaml_in *r, const struct yaml_node *node,
                      const struct fleet_label *select, struct fleet *fleet)
{
    if (fleet->n_wants == FLEET_WANTS_MAX) {
        yaml_fail(r, node, "more than %u payload lines", FLEET_WANTS_MAX);
        return;
    }
    struct fleet_want *want = &fleet->want[fleet->n_wants++];

    want->select = *select;
    want->line = node->key_line;
    if (!fleet_split(node->key, want->tenant, want->name)) {
        yaml_fail(r, node, "expected tenant/payload: version");
        return;
    }
    if (node->type == YAML_SCALAR)
        yaml_scalar(r, node, want->version, sizeof want->version);
    else
        read_want_map(r, node, want);
    if (r->err.rc == RC_OK && !(want->hold && want->version[0] == '\0') &&
        !version_valid(want->version))
        yaml_fail(r, node, "not a valid version");
}

static void check_select(struct yaml_in *r, const struct yaml_node *node, const struct fleet *fleet,
                         const struct fleet_label *select)
{
    for (uint32_t i = 0; i < fleet->n_satellites; i++)
        if (fleet_matches(&fleet->satellite[i], select))
            return;
    yaml_fail(r, node, "selects no satellite of this file");
}

static void read_desired(struct yaml_in *r, const struct yaml_node *node, struct fleet *fleet)
{
    static const char *const keys[] = { "select", "payloads", NULL };
    struct fleet_label select = { 0 };

    yaml_keys(r, node, keys);
    const struct yaml_node *which = yaml_get(r, node, "select");
    const struct yaml_node *payloads = yaml_map(r, node, "payloads", true);

    if (!which)
        yaml_fail(r, node, "needs 'select: all' or 'select: label=value'");
    else
        read_condition(r, which, &select);
    if (strcmp(select.key, "all") == 0 && select.value[0] == '\0')
        select.key[0] = '\0';
    if (r->err.rc == RC_OK)
        check_select(r, which, fleet, &select);
    for (const struct yaml_node *n = yaml_first(r, payloads); n && r->err.rc == RC_OK;
         n = yaml_next(r, n))
        read_want(r, n, &select, fleet);
}

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
    static const char *const keys[] = { "n", "label", NULL };

    if (node->type == YAML_SCALAR) {
        wave->percent = percent_of(r, node, "expected 1% to 100%, or {n: N, label: L}");
        return;
    }
    yaml_keys(r, node, keys);
    wave->n = (uint32_t)yaml_uint(r, node, "n", 0, 1, FLEET_SATELLITES_MAX);
    const struct yaml_node *label = yaml_get(r, node, "label");

    if (label)
        read_condition(r, label, &wave->label);
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
    static const char *const keys[] = { "pct", "min", NULL };
    const struct yaml_node *node = yaml_get(r, map, "fail");

    if (!node || node->type == YAML_SCALAR) {
        p->fail_max = (uint32_t)yaml_uint(r, map, "fail", built_in.fail_max, 1, FLEET_FAIL_MAX);
        return;
    }
    yaml_keys(r, node, keys);
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
    static const char *const keys[] = { "passes", "after", "action", NULL };
    const struct yaml_node *node = yaml_map(r, map, "silent", false);
    char action[NAME_CAP] = "";

    if (!node)
        return;
    yaml_keys(r, node, keys);
    p->silent_passes = (uint32_t)yaml_uint(r, node, "passes", 0, 1, FLEET_SILENT_PASSES_MAX);
    p->silent_ms = yaml_time(r, node, "after", 0, 1000, FLEET_DEADLINE_MAX_MS);
    yaml_text(r, node, "action", "pause", action, sizeof action);
    p->silent_skip = strcmp(action, "skip") == 0;
    if (p->silent_passes == 0 && p->silent_ms == 0)
        yaml_fail(r, node, "silent needs passes: N, or after: TIME, or both");
    else if (!p->silent_skip && strcmp(action, "pause") != 0)
        yaml_fail(r, yaml_get(r, node, "action"), "action: '%s' is neither pause nor skip", action);
}

static void read_policy(struct yaml_in *r, const struct yaml_node *node, struct fleet *fleet)
{
    static const char *const keys[] = { "waves",    "first",   "fail",   "success", "soak",
                                        "deadline", "approve", "silent", NULL };

    if (fleet->n_policies == FLEET_POLICIES_MAX) {
        yaml_fail(r, node, "more than %u rollout entries", FLEET_POLICIES_MAX);
        return;
    }
    struct fleet_policy *p = &fleet->policy[fleet->n_policies];

    *p = built_in;
    if (strcmp(node->key, "default") != 0 && !fleet_split(node->key, p->tenant, p->name)) {
        yaml_fail(r, node, "expected default or tenant/payload");
        return;
    }
    yaml_keys(r, node, keys);
    if (yaml_get(r, node, "waves"))
        p->n_waves = read_waves(r, node, "waves", p->wave);
    if (yaml_get(r, node, "first"))
        p->n_first = read_waves(r, node, "first", p->first);
    read_fail(r, node, p);
    read_success(r, node, p);
    read_silent(r, node, p);
    p->soak_ms = yaml_time(r, node, "soak", built_in.soak_ms, 0, UINT32_MAX);
    p->deadline_ms = yaml_time(r, node, "deadline", 0, 0, FLEET_DEADLINE_MAX_MS);
    p->approve = read_approve(r, node);
    fleet->n_policies++;
}

static void read_top(struct yaml_in *r, struct fleet *fleet)
{
    static const char *const keys[] = { "fleet",    "satellites", "desired", "rollout",
                                        "stations", "links",      "tenants", NULL };
    const struct yaml_node *top = yaml_root(r);

    yaml_keys(r, top, keys);
    yaml_text(r, top, "fleet", NULL, fleet->name, sizeof fleet->name);
    if (r->err.rc == RC_OK && !name_valid(fleet->name))
        yaml_fail(r, yaml_get(r, top, "fleet"), "fleet: lower-case letters, digits and '-' only");

    fleet_read_sky(r, top, fleet);

    const struct yaml_node *list = yaml_list(r, top, "satellites", true);

    for (const struct yaml_node *n = yaml_first(r, list); n && r->err.rc == RC_OK;
         n = yaml_next(r, n))
        read_satellite(r, n, fleet);
    if (r->err.rc == RC_OK && fleet->n_satellites == 0)
        yaml_fail(r, list, "no satellites");

    list = yaml_list(r, top, "desired", true);
    for (const struct yaml_node *n = yaml_first(r, list); n && r->err.rc == RC_OK;
         n = yaml_next(r, n))
        read_desired(r, n, fleet);

    list = yaml_map(r, top, "rollout", false);
    for (const struct yaml_node *n = yaml_first(r, list); n && r->err.rc == RC_OK;
         n = yaml_next(r, n))
        read_policy(r, n, fleet);
}

enum rc fleet_read(const struct yaml *doc, const char *source, struct fleet **ret, struct err *err)
{
    scoped(free_ptr) struct fleet *fleet = calloc(1, sizeof *fleet);
    struct yaml_in r = yaml_read(doc);

    if (!fleet)
        return err_set(err, RC_NO_MEMORY, "fleet");
    const char *slash = strrchr(source, '/');

    (void)snprintf(fleet->source, sizeof fleet->source, "%.63s", slash ? slash + 1 : source);
    read_top(&r, fleet);
    enum rc rc = yaml_done(&r, err);

    if (rc != RC_OK)
        return rc;
    *ret = fleet;
    fleet = NULL;
    return RC_OK;
}

enum rc fleet_load(const char *path, struct fleet **ret, struct err *err)
{
    scoped(yaml_close) struct yaml *doc = NULL;
    enum rc rc = yaml_load(AT_FDCWD, path, &doc, err);

    return rc == RC_OK ? fleet_read(doc, path, ret, err) : rc;
}
