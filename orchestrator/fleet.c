/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/fleet.h"

#include <assert.h>
#include <fcntl.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/name.h"
#include "orchestrator/fleet_parts.h"

#define CAPACITY_BYTES_MAX (UINT64_C(1) << 50)

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

const char *fleet_label_of(const struct fleet_satellite *satellite, const char *key)
{
    for (uint32_t i = 0; i < satellite->n_labels; i++)
        if (strcmp(satellite->label[i].key, key) == 0)
            return satellite->label[i].value;
    return NULL;
}

enum rc fleet_ids(const struct fleet *fleet, struct names *ret, struct err *err)
{
    enum rc rc = names_make(ret, fleet->n_satellites, err);

    for (uint32_t i = 0; rc == RC_OK && i < fleet->n_satellites; i++)
        (void)names_put(ret, fleet->satellite[i].id);
    return rc;
}

bool fleet_matches(const struct fleet_satellite *satellite, const struct fleet_label *condition)
{
    if (condition->key[0] == '\0')
        return true;
    if (strcmp(condition->key, "id") == 0)
        return strcmp(condition->value, satellite->id) == 0;
    const char *value = fleet_label_of(satellite, condition->key);

    return value && (condition->value[0] == '\0' || strcmp(value, condition->value) == 0);
}

const struct fleet_policy *fleet_policy_of(const struct fleet *fleet, const char *tenant,
                                           const char *name)
{
    const struct fleet_policy *found = &fleet_built_in;

    for (uint32_t i = 0; i < fleet->n_policies; i++) {
        const struct fleet_policy *p = &fleet->policy[i];

        if (strcmp(p->tenant, tenant) == 0 && strcmp(p->name, name) == 0)
            return p;
        if (p->tenant[0] == '\0')
            found = p;
    }
    return found;
}

struct fleet *fleet_new(uint32_t satellites, uint32_t wants)
{
    struct fleet *fleet;

    static_assert(alignof(struct fleet) >= alignof(struct fleet_satellite) &&
                      alignof(struct fleet_satellite) >= alignof(struct fleet_want),
                  "one behind the other");
    fleet = calloc(1, sizeof *fleet + satellites * sizeof *fleet->satellite +
                          wants * sizeof *fleet->want);
    if (!fleet)
        return NULL;
    fleet->satellite = (struct fleet_satellite *)(fleet + 1);
    fleet->want = (struct fleet_want *)(fleet->satellite + satellites);
    fleet->wants_max = wants;
    return fleet;
}

struct fleet *fleet_copy(const struct fleet *fleet, uint32_t wants)
{
    struct fleet *ret =
        fleet_new(fleet->n_satellites, wants > fleet->n_wants ? wants : fleet->n_wants);

    if (!ret)
        return NULL;
    struct fleet_satellite *satellite = ret->satellite;
    struct fleet_want *want = ret->want;
    const uint32_t wants_max = ret->wants_max;

    *ret = *fleet;
    ret->satellite = satellite;
    ret->want = want;
    ret->wants_max = wants_max;
    if (fleet->n_satellites > 0)
        memcpy(ret->satellite, fleet->satellite, fleet->n_satellites * sizeof *satellite);
    if (fleet->n_wants > 0)
        memcpy(ret->want, fleet->want, fleet->n_wants * sizeof *want);
    return ret;
}

/* A name or a label's value: a scalar in the alphabet of names. */
static void read_name(struct yaml_in *r, const struct yaml_node *node, const char *what, char *out)
{
    yaml_scalar(r, node, out, NAME_CAP);
    if (r->err.rc == RC_OK && !name_valid(out))
        yaml_fail(r, node, "%s: lower-case letters, digits and '-' only", what);
}

void fleet_read_condition(struct yaml_in *r, const struct yaml_node *node, struct fleet_label *ret)
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
    if (!map)
        return;
    yaml_keys(r, map, fleet_keys[FLEET_KEYS_CAPACITY]);
    ret->memory_bytes = yaml_size(r, map, "memory", 0, 1, CAPACITY_BYTES_MAX);
    ret->data_bytes = yaml_size(r, map, "data", 0, 1, CAPACITY_BYTES_MAX);
    ret->store_bytes = yaml_size(r, map, "store", 0, 1, CAPACITY_BYTES_MAX);
    ret->cpu_permille = (uint32_t)yaml_share(r, map, "cpu", 0, 1, 1000000);
    ret->pids = (uint32_t)yaml_uint(r, map, "pids", 0, 1, 1U << 22);
    ret->payloads = (uint32_t)yaml_uint(r, map, "payloads", 0, 1, PAYLOADS_MAX);
}

static void read_satellite(struct yaml_in *r, const struct yaml_node *node, struct names *ids,
                           struct fleet *fleet)
{
    struct fleet_satellite *sat = &fleet->satellite[fleet->n_satellites];

    yaml_keys(r, node, fleet_keys[FLEET_KEYS_SATELLITE]);
    yaml_text(r, node, "id", NULL, sat->id, sizeof sat->id);
    read_labels(r, yaml_map(r, node, "labels", false), sat);
    read_capacity(r, yaml_map(r, node, "capacity", false), &sat->capacity);
    fleet_read_orbit(r, node, fleet, sat);
    sat->line = node->line;
    if (r->err.rc == RC_OK && !name_valid(sat->id))
        yaml_fail(r, node, "id: lower-case letters, digits and '-' only");
    const uint32_t number = names_put(ids, sat->id);

    if (number < fleet->n_satellites)
        yaml_fail(r, node, "%s is listed twice (line %u)", sat->id, fleet->satellite[number].line);
    fleet->n_satellites++;
}

static void read_satellites(struct yaml_in *r, const struct yaml_node *list, struct fleet *fleet)
{
    scoped(names_done) struct names ids = { 0 };

    if (!list)
        return;
    if (list->children > FLEET_SATELLITES_MAX) {
        yaml_fail(r, list, "more than %u satellites", FLEET_SATELLITES_MAX);
        return;
    }
    if (r->err.rc == RC_OK)
        (void)!names_make(&ids, list->children, &r->err);
    for (const struct yaml_node *n = yaml_first(r, list); n && r->err.rc == RC_OK;
         n = yaml_next(r, n))
        read_satellite(r, n, &ids, fleet);
    if (r->err.rc == RC_OK && fleet->n_satellites == 0)
        yaml_fail(r, list, "no satellites");
}

static void read_want_map(struct yaml_in *r, const struct yaml_node *node, struct fleet_want *want)
{
    char hex[2U * DIGEST_SIZE + 1U] = "";

    yaml_keys(r, node, fleet_keys[FLEET_KEYS_PAYLOAD]);
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
    if (fleet->n_wants == fleet->wants_max) {
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
    struct fleet_label select = { 0 };

    yaml_keys(r, node, fleet_keys[FLEET_KEYS_DESIRED]);
    const struct yaml_node *which = yaml_get(r, node, "select");
    const struct yaml_node *payloads = yaml_map(r, node, "payloads", true);

    if (!which)
        yaml_fail(r, node, "needs 'select: all' or 'select: label=value'");
    else
        fleet_read_condition(r, which, &select);
    if (strcmp(select.key, "all") == 0 && select.value[0] == '\0')
        select.key[0] = '\0';
    if (r->err.rc == RC_OK)
        check_select(r, which, fleet, &select);
    for (const struct yaml_node *n = yaml_first(r, payloads); n && r->err.rc == RC_OK;
         n = yaml_next(r, n))
        read_want(r, n, &select, fleet);
}

static void read_top(struct yaml_in *r, struct fleet *fleet)
{
    const struct yaml_node *top = yaml_root(r);

    yaml_keys(r, top, fleet_keys[FLEET_KEYS_TOP]);
    yaml_text(r, top, "fleet", NULL, fleet->name, sizeof fleet->name);
    if (r->err.rc == RC_OK && !name_valid(fleet->name))
        yaml_fail(r, yaml_get(r, top, "fleet"), "fleet: lower-case letters, digits and '-' only");

    fleet_read_sky(r, top, fleet);

    read_satellites(r, yaml_list(r, top, "satellites", true), fleet);

    const struct yaml_node *list = yaml_list(r, top, "desired", true);

    /* each looks at every satellite */
    if (list && list->children > FLEET_WANTS_MAX)
        yaml_fail(r, list, "more than %u entries of 'desired'", FLEET_WANTS_MAX);
    for (const struct yaml_node *n = yaml_first(r, list); n && r->err.rc == RC_OK;
         n = yaml_next(r, n))
        read_desired(r, n, fleet);

    list = yaml_map(r, top, "rollout", false);
    for (const struct yaml_node *n = yaml_first(r, list); n && r->err.rc == RC_OK;
         n = yaml_next(r, n))
        fleet_read_policy(r, n, fleet);
    if (r->err.rc == RC_OK)
        fleet_check_orbits(r, yaml_get(r, top, "satellites"), fleet);
}

/* As far as there may be. */
static uint32_t count_satellites(const struct yaml_in *r)
{
    const struct yaml_node *list = yaml_get(r, yaml_root(r), "satellites");

    return !list                                   ? 0
           : list->children < FLEET_SATELLITES_MAX ? list->children
                                                   : FLEET_SATELLITES_MAX;
}

enum rc fleet_read(const struct yaml *doc, const char *source, struct fleet **ret, struct err *err)
{
    struct yaml_in r = yaml_read(doc);
    scoped(free_ptr) struct fleet *fleet = fleet_new(count_satellites(&r), FLEET_WANTS_MAX);

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
