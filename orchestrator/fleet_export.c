/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/fleet_export: a fleet as JSON, which is YAML too: fleet_read reads it as the same
 * fleet.
 */
#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/fleet_parts.h"

#define MILLIONTHS 1000000
#define NUMBER_CAP 32U

/* What is the default is left out. */
static void put(json_t *to, const char *key, json_t *value)
{
    (void)json_object_set_new(to, key, value);
}

static void put_uint(json_t *to, const char *key, uint64_t value)
{
    if (value != 0)
        put(to, key, json_uint(value));
}

static void put_ms(json_t *to, const char *key, uint64_t ms)
{
    char text[NUMBER_CAP];

    (void)snprintf(text, sizeof text, "%llums", (unsigned long long)ms);
    if (ms != 0)
        put(to, key, json_string(text));
}

/* Millionths as a decimal, with a unit behind. */
static json_t *decimal(int64_t millionths)
{
    char text[NUMBER_CAP];
    long long size = llabs((long long)millionths);

    (void)snprintf(text, sizeof text, "%s%lld.%06lld", millionths < 0 ? "-" : "", size / MILLIONTHS,
                   size % MILLIONTHS);
    return json_string(text);
}

static json_t *condition(const struct fleet_label *label)
{
    char text[2U * NAME_CAP + 1U];

    (void)snprintf(text, sizeof text, "%s%s%s", label->key, label->value[0] ? "=" : "",
                   label->value);
    return json_string(label->key[0] ? text : "all");
}

static json_t *capacity_json(const struct fleet_capacity *c)
{
    json_t *to = json_object();
    char cpu[NUMBER_CAP];

    put_uint(to, "memory", c->memory_bytes);
    put_uint(to, "data", c->data_bytes);
    put_uint(to, "store", c->store_bytes);
    put_uint(to, "pids", c->pids);
    put_uint(to, "payloads", c->payloads);
    (void)snprintf(cpu, sizeof cpu, "%um", c->cpu_permille);
    if (c->cpu_permille != 0)
        put(to, "cpu", json_string(cpu));
    return to;
}

static json_t *orbit_json(const struct fleet_satellite *sat)
{
    static const char *const keys[FLEET_ORBITS] = { "", "tle", "tle", "oem", "contacts" };

    if (sat->orbit == FLEET_TLE)
        return json_pack("{s:[s, s]}", "tle", sat->line1, sat->line2);
    return json_pack("{s:s}", keys[sat->orbit], sat->file);
}

static json_t *satellite_json(const struct fleet *fleet, const struct fleet_satellite *sat)
{
    json_t *to = json_pack("{s:s}", "id", sat->id);
    json_t *labels = json_object();
    json_t *capacity = capacity_json(&sat->capacity);

    for (uint32_t i = 0; i < sat->n_labels; i++)
        put(labels, sat->label[i].key, json_string(sat->label[i].value));
    put(to, "labels", labels);
    if (json_object_size(capacity) > 0)
        put(to, "capacity", json_incref(capacity));
    json_decref(capacity);
    put_uint(to, "node", sat->node);
    if (sat->orbit != FLEET_NO_ORBIT) {
        put(to, "orbit", orbit_json(sat));
        if (fleet->n_links > 0) /* none are needed where nobody asks for passes */
            put(to, "link", json_string(fleet->link[sat->link].name));
    }
    return to;
}

/* Each payload line under its own condition: the order of lines stays. */
static json_t *want_json(const struct fleet_want *want)
{
    char payload[2U * NAME_CAP + 1U], hex[2U * DIGEST_SIZE + 1U];
    json_t *what = json_object();

    (void)snprintf(payload, sizeof payload, "%s/%s", want->tenant, want->name);
    if (want->version[0])
        put(what, "version", json_string(want->version));
    if (want->has_digest)
        put(what, "digest",
            json_string(bytes_hex((struct bytes){ want->manifest.b, DIGEST_SIZE }, hex)));
    if (want->hold)
        put(what, "hold", json_true());
    return json_pack("{s:o, s:{s:o}}", "select", condition(&want->select), "payloads", payload,
                     what);
}

static json_t *percent_json(uint32_t percent)
{
    char text[NUMBER_CAP];

    (void)snprintf(text, sizeof text, "%u%%", percent);
    return json_string(text);
}

static json_t *waves_json(const struct fleet_wave *wave, uint32_t n)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < n; i++) {
        json_t *one = json_object();

        put_uint(one, "n", wave[i].n);
        if (wave[i].label.key[0])
            put(one, "label", condition(&wave[i].label));
        (void)json_array_append_new(list, wave[i].percent ? percent_json(wave[i].percent)
                                                          : json_incref(one));
        json_decref(one);
    }
    return list;
}

static json_t *roles_json(uint32_t bits)
{
    json_t *list = json_array();

    for (unsigned i = APPROVAL_OPERATOR; i < APPROVAL_ROLES; i++)
        if ((bits & APPROVAL_BIT(i)) != 0)
            (void)json_array_append_new(list,
                                        json_string(approval_role_name((enum approval_role)i)));
    return list;
}

static json_t *fail_json(const struct fleet_policy *p)
{
    return p->fail_pct == 0 ? json_uint(p->fail_max)
                            : json_pack("{s:o, s:o}", "pct", percent_json(p->fail_pct), "min",
                                        json_uint(p->fail_min));
}

static void put_silent(json_t *to, const struct fleet_policy *p)
{
    json_t *one;

    if (p->silent_passes == 0 && p->silent_ms == 0)
        return;
    one = json_pack("{s:s}", "action", p->silent_skip ? "skip" : "pause");
    put_uint(one, "passes", p->silent_passes);
    put_ms(one, "after", p->silent_ms);
    put(to, "silent", one);
}

static void put_spread(json_t *to, const struct fleet_policy *p)
{
    json_t *one = json_object();

    for (uint32_t i = 0; i < p->n_spread; i++)
        put(one, p->spread[i].key,
            p->spread[i].percent ? percent_json(p->spread[i].percent) : json_uint(p->spread[i].n));
    if (p->n_spread > 0)
        put(to, "spread", json_incref(one));
    json_decref(one);
}

static void put_soak(json_t *to, const struct fleet_policy *p)
{
    char text[NUMBER_CAP];

    (void)snprintf(text, sizeof text, "%u orbit%s", p->soak_orbits, p->soak_orbits == 1 ? "" : "s");
    if (p->soak_orbits > 0)
        put(to, "soak", json_string(text));
    else
        put_ms(to, "soak", p->soak_ms);
}

static void put_policy(json_t *to, const struct fleet_policy *p)
{
    char payload[2U * NAME_CAP + 1U];
    json_t *one = json_pack("{s:o, s:o, s:o}", "waves", waves_json(p->wave, p->n_waves), "first",
                            waves_json(p->first, p->n_first), "fail", fail_json(p));

    (void)snprintf(payload, sizeof payload, "%s/%s", p->tenant, p->name);
    put_soak(one, p);
    put_ms(one, "deadline", p->deadline_ms);
    if (p->success_pct > 0)
        put(one, "success", percent_json(p->success_pct));
    put_silent(one, p);
    put_spread(one, p);
    put(one, "approve", roles_json(p->approve));
    put(to, p->tenant[0] ? payload : "default", one);
}

static json_t *station_json(const struct fleet_station *s)
{
    json_t *to = json_pack("{s:s, s:o, s:o, s:I, s:o, s:o}", "id", s->station.id, "lat",
                           decimal(s->latitude), "lon", decimal(s->longitude), "height",
                           (json_int_t)s->height_m, "mask", decimal(s->mask), "antennas",
                           json_uint(s->station.antennas));

    put_ms(to, "turn", s->station.turn_ms);
    put_uint(to, "node", s->station.node);
    return to;
}

static json_t *link_json(const struct fleet_link *link)
{
    const struct contact_link *l = &link->link;
    json_t *steps = json_array();
    json_t *to =
        json_pack("{s:o, s:o, s:o, s:o}", "rate", json_uint(l->rate), "overhead",
                  decimal(l->overhead_ppm), "goodput", decimal(l->goodput_ppm), "steps", steps);

    put_ms(to, "setup", l->setup_ms);
    for (uint32_t i = 0; i < l->n_steps; i++)
        (void)json_array_append_new(steps, json_pack("{s:o, s:o}", "from", decimal(link->from[i]),
                                                     "rate", json_uint(l->step[i].rate)));
    return to;
}

json_t *fleet_export(const struct fleet *fleet)
{
    json_t *satellites = json_array(), *desired = json_array(), *stations = json_array();
    json_t *links = json_object(), *tenants = json_object(), *rollout = json_object();

    for (uint32_t i = 0; i < fleet->n_satellites; i++)
        (void)json_array_append_new(satellites, satellite_json(fleet, &fleet->satellite[i]));
    for (uint32_t i = 0; i < fleet->n_wants; i++)
        (void)json_array_append_new(desired, want_json(&fleet->want[i]));
    for (uint32_t i = 0; i < fleet->n_policies; i++)
        put_policy(rollout, &fleet->policy[i]);
    for (uint32_t i = 0; i < fleet->n_stations; i++)
        (void)json_array_append_new(stations, station_json(&fleet->station[i]));
    for (uint32_t i = 0; i < fleet->n_links; i++)
        put(links, fleet->link[i].name, link_json(&fleet->link[i]));
    for (uint32_t i = 0; i < fleet->n_tenants; i++) {
        json_t *one = json_pack("{s:o}", "share", json_uint(fleet->tenant[i].share));

        if (!fleet_quota_of(fleet, fleet->tenant[i].id, "", FLEET_UPLINK))
            put_uint(one, "uplink", fleet->tenant[i].uplink_bytes);
        fleet_export_quotas(one, fleet, fleet->tenant[i].id);
        put(tenants, fleet->tenant[i].id, one);
    }
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "fleet", fleet->name, "satellites",
                     satellites, "desired", desired, "rollout", rollout, "stations", stations,
                     "links", links, "tenants", tenants);
}
