/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/fleet_quota: what tenants and their teams may have, in a fleet file.
 */
#include <stdio.h>

#include "base/name.h"
#include "manifest/trust.h"
#include "orchestrator/cli.h"
#include "orchestrator/fleet_parts.h"
#include "orchestrator/yaml_units.h"

#define BYTES_MAX (UINT64_C(1) << 50)
#define CPU_MAX 1000000U

static const struct {
    const char *name;
    const char *per; /* what must stand behind the number */
    enum yaml_unit unit;
    uint64_t max;
    const char *help;
} bounds[FLEET_BOUNDS] = {
    [FLEET_MEMORY] = { "memory", "", YAML_UNIT_SIZE, BYTES_MAX, "a size such as 64M" },
    [FLEET_CPU] = { "cpu", "", YAML_UNIT_SHARE, CPU_MAX, "a share such as 0.5 or 50%" },
    [FLEET_STORE] = { "store", "", YAML_UNIT_SIZE, BYTES_MAX, "a size such as 64M" },
    [FLEET_UPLINK] = { "uplink", "/day", YAML_UNIT_SIZE, FLEET_UPLINK_MAX,
                       "a size a day such as 2M/day" },
    [FLEET_LOGS] = { "logs", "/pass", YAML_UNIT_SIZE, BYTES_MAX, "a size a pass such as 64K/pass" },
};

const char *fleet_bound_name(enum fleet_bound bound)
{
    return bounds[bound].name;
}

char *fleet_bound_text(enum fleet_bound bound, uint64_t value, char out[FLEET_BOUND_CAP])
{
    char size[CLI_SIZE_CAP];

    if (bound == FLEET_CPU)
        (void)snprintf(out, FLEET_BOUND_CAP, "%llu.%03llu", (unsigned long long)(value / 1000),
                       (unsigned long long)(value % 1000));
    else
        (void)snprintf(out, FLEET_BOUND_CAP, "%s%s", cli_size(value, size), bounds[bound].per);
    return out;
}

const struct fleet_quota *fleet_quota_of(const struct fleet *fleet, const char *tenant,
                                         const char *team, enum fleet_bound bound)
{
    for (uint32_t i = 0; i < fleet->n_quotas; i++) {
        const struct fleet_quota *q = &fleet->quota[i];

        if (q->most[bound] != 0 && strcmp(q->tenant, tenant) == 0 && strcmp(q->team, team) == 0)
            return q;
    }
    return NULL;
}

/* ---- reading -------------------------------------------------------------------------------- */

/* "2M/day": the number without what stands behind it. */
static void read_bound(struct yaml_in *r, const struct yaml_node *node, enum fleet_bound bound,
                       struct fleet_quota *ret)
{
    char text[32] = "";
    const char *per = bounds[bound].per;

    yaml_scalar(r, node, text, sizeof text);
    if (r->err.rc != RC_OK)
        return;
    size_t n = strlen(text), k = strlen(per);
    bool good = n > k && strcmp(text + n - k, per) == 0;

    text[good ? n - k : 0] = '\0';
    if (!good || !yaml_unit_parse(bounds[bound].unit, text, &ret->most[bound]) ||
        ret->most[bound] == 0 || ret->most[bound] > bounds[bound].max)
        yaml_fail(r, node, "'%s' wants %s, more than 0", bounds[bound].name, bounds[bound].help);
    ret->line[bound] = node->key_line;
}

static void read_quota(struct yaml_in *r, const struct yaml_node *map, const char *team,
                       struct fleet *fleet)
{
    struct fleet_quota *q = &fleet->quota[fleet->n_quotas];

    if (fleet->n_quotas == FLEET_QUOTAS_MAX) {
        yaml_fail(r, map, "more than %u quotas", FLEET_QUOTAS_MAX);
        return;
    }
    yaml_keys(r, map, fleet_keys[FLEET_KEYS_QUOTA]);
    if (r->err.rc == RC_OK && map->children == 0)
        yaml_fail(r, map, "bounds nothing: give one of memory, cpu, store, uplink, logs");
    if (r->err.rc != RC_OK)
        return;
    memcpy(q->tenant, fleet->tenant[fleet->n_tenants - 1].id, sizeof q->tenant);
    (void)snprintf(q->team, sizeof q->team, "%s", team);
    for (unsigned b = 0; b < FLEET_BOUNDS; b++) {
        const struct yaml_node *node = yaml_get(r, map, bounds[b].name);

        if (node)
            read_bound(r, node, (enum fleet_bound)b, q);
    }
    fleet->n_quotas++;
}

/* Whether `over` is the nearest above a team that says this bound. */
static bool is_over(const struct fleet *fleet, const struct fleet_quota *over,
                    const struct fleet_quota *team, enum fleet_bound bound)
{
    if (over == team || over->most[bound] == 0 || strcmp(over->tenant, team->tenant) != 0 ||
        !team_within(over->team, team->team))
        return false;
    for (uint32_t i = 0; i < fleet->n_quotas; i++) {
        const struct fleet_quota *q = &fleet->quota[i];

        if (q != team && q != over && q->most[bound] != 0 && strcmp(q->tenant, team->tenant) == 0 &&
            team_within(q->team, team->team) && team_within(over->team, q->team))
            return false;
    }
    return true;
}

/* What the teams right below one may have together is not more than it has. */
static void check_teams(struct yaml_in *r, const struct yaml_node *teams, const struct fleet *fleet,
                        const struct fleet_quota *over, enum fleet_bound bound)
{
    char asks[FLEET_BOUND_CAP], has[FLEET_BOUND_CAP];
    uint64_t sum = 0;

    for (uint32_t i = 0; i < fleet->n_quotas; i++) {
        const struct fleet_quota *team = &fleet->quota[i];

        if (team->most[bound] == 0 || !is_over(fleet, over, team, bound))
            continue;
        sum += team->most[bound];
        if (sum > over->most[bound])
            yaml_fail(r, yaml_get(r, teams, team->team), "%s: teams have %s of %s %s",
                      bounds[bound].name, fleet_bound_text(bound, sum, asks),
                      over->team[0] ? over->team : over->tenant,
                      fleet_bound_text(bound, over->most[bound], has));
    }
}

static void read_teams(struct yaml_in *r, const struct yaml_node *teams, struct fleet *fleet)
{
    const uint32_t first = fleet->n_quotas;

    for (const struct yaml_node *n = yaml_first(r, teams); n && r->err.rc == RC_OK;
         n = yaml_next(r, n)) {
        if (!team_valid(n->key))
            yaml_fail(r, n, "team: names of lower-case letters, digits and '-', with '/' between");
        else if (n->type != YAML_MAP)
            yaml_fail(r, n, "expected a quota such as {memory: 64M}");
        else
            read_quota(r, n, n->key, fleet);
    }
    for (uint32_t i = first > 0 ? first - 1 : 0; r->err.rc == RC_OK && i < fleet->n_quotas; i++)
        for (unsigned b = 0; b < FLEET_BOUNDS; b++)
            check_teams(r, teams, fleet, &fleet->quota[i], (enum fleet_bound)b);
}

void fleet_read_quotas(struct yaml_in *r, const struct yaml_node *node, struct fleet *fleet)
{
    struct fleet_tenant *tenant = &fleet->tenant[fleet->n_tenants - 1];
    const struct yaml_node *quota = yaml_map(r, node, "quota", false);
    const struct yaml_node *teams = yaml_map(r, node, "teams", false);

    if (quota && r->err.rc == RC_OK)
        read_quota(r, quota, "", fleet);
    const struct fleet_quota *own = fleet_quota_of(fleet, tenant->id, "", FLEET_UPLINK);

    if (own && tenant->uplink_bytes != 0)
        yaml_fail(r, yaml_get(r, node, "uplink"), "'uplink' stands in 'quota', too: leave one out");
    if (own)
        tenant->uplink_bytes = own->most[FLEET_UPLINK];
    if (teams && r->err.rc == RC_OK)
        read_teams(r, teams, fleet);
}

/* ---- writing -------------------------------------------------------------------------------- */

static json_t *quota_json(const struct fleet_quota *q)
{
    json_t *to = json_object();

    for (unsigned b = 0; b < FLEET_BOUNDS; b++) {
        char text[FLEET_BOUND_CAP];

        (void)snprintf(text, sizeof text, "%llu%s%s", (unsigned long long)q->most[b],
                       b == FLEET_CPU ? "m" : "", bounds[b].per);
        if (q->most[b] != 0)
            (void)json_object_set_new(to, bounds[b].name, json_string(text));
    }
    return to;
}

void fleet_export_quotas(json_t *to, const struct fleet *fleet, const char *tenant)
{
    json_t *teams = json_object();

    for (uint32_t i = 0; i < fleet->n_quotas; i++) {
        const struct fleet_quota *q = &fleet->quota[i];

        if (strcmp(q->tenant, tenant) == 0)
            (void)json_object_set_new(q->team[0] ? teams : to, q->team[0] ? q->team : "quota",
                                      quota_json(q));
    }
    if (json_object_size(teams) > 0)
        (void)json_object_set(to, "teams", teams);
    json_decref(teams);
}
