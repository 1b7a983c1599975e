/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/fleet_sky: stations, links, orbits and tenants' shares of a fleet file.
 */
#include <stdio.h>

#include "base/name.h"
#include "orchestrator/fleet_parts.h"
#include "orchestrator/schedule.h"
#include "orchestrator/yaml_units.h"

#define MILLIONTHS 1000000
#define DEGREES (TLE_PI / 180.0 / MILLIONTHS)
#define HEIGHT_LOWEST_M (-500)
#define HEIGHT_HIGHEST_M 9000
#define NODE_MAX ((UINT64_C(1) << 32) - 1)

/* ---- numbers with a sign -------------------------------------------------------------------- */

/* A decimal number between min and max, as value * scale; absent = fallback, INT64_MIN = needed. */
static int64_t read_signed(struct yaml_in *r, const struct yaml_node *map, const char *key,
                           const int64_t range[2], int64_t fallback, const char *help)
{
    const struct yaml_node *node = yaml_get(r, map, key);
    char text[24] = "";
    uint64_t size = 0;

    if (r->err.rc != RC_OK || !map)
        return 0;
    if (!node && fallback == INT64_MIN)
        yaml_fail(r, map, "'%s' is missing: %s", key, help);
    if (!node)
        return fallback;
    yaml_scalar(r, node, text, sizeof text);
    bool negative = text[0] == '-';
    bool good = !strchr(text, '%') && yaml_unit_parse(YAML_UNIT_FRACTION, text + negative, &size) &&
                size <= INT64_MAX;
    int64_t value = negative ? -(int64_t)size : (int64_t)size;

    if (r->err.rc == RC_OK && (!good || value < range[0] || value > range[1]))
        yaml_fail(r, node, "'%s' wants %s", key, help);
    return value;
}

#define DEGREE_RANGE(low, high)                                                                    \
    (const int64_t[2])                                                                             \
    {                                                                                              \
        (low) * (int64_t)MILLIONTHS, (high) * (int64_t)MILLIONTHS                                  \
    }

/* ---- stations ------------------------------------------------------------------------------- */

static void set_place(struct fleet_station *s)
{
    s->station.place = (struct sky_station){ .latitude = (double)s->latitude * DEGREES,
                                             .longitude = (double)s->longitude * DEGREES,
                                             .height_km = (double)s->height_m / 1000.0,
                                             .mask = (double)s->mask * DEGREES };
}

static void check_station(struct yaml_in *r, const struct yaml_node *node,
                          const struct fleet *fleet, const struct fleet_station *s)
{
    if (r->err.rc == RC_OK && !name_valid(s->station.id))
        yaml_fail(r, node, "id: lower-case letters, digits and '-' only");
    for (uint32_t i = 0; i < fleet->n_stations; i++) {
        const struct fleet_station *other = &fleet->station[i];

        if (strcmp(other->station.id, s->station.id) == 0)
            yaml_fail(r, node, "%s is listed twice (line %u)", s->station.id, other->line);
        if (s->station.node != 0 && other->station.node == s->station.node)
            yaml_fail(r, node, "node is that of %s", other->station.id);
    }
}

static void read_station(struct yaml_in *r, const struct yaml_node *node, struct fleet *fleet)
{
    if (fleet->n_stations == FLEET_STATIONS_MAX) {
        yaml_fail(r, node, "more than %u stations", FLEET_STATIONS_MAX);
        return;
    }
    struct fleet_station *s = &fleet->station[fleet->n_stations];

    yaml_keys(r, node, fleet_keys[FLEET_KEYS_STATION]);
    yaml_text(r, node, "id", NULL, s->station.id, sizeof s->station.id);
    s->latitude =
        read_signed(r, node, "lat", DEGREE_RANGE(-90, 90), INT64_MIN, "degrees north, -90 to 90");
    s->longitude = read_signed(r, node, "lon", DEGREE_RANGE(-180, 360), INT64_MIN,
                               "degrees east, -180 to 360");
    s->height_m = read_signed(r, node, "height", DEGREE_RANGE(HEIGHT_LOWEST_M, HEIGHT_HIGHEST_M), 0,
                              "metres, -500 to 9000") /
                  MILLIONTHS;
    s->mask = read_signed(r, node, "mask", DEGREE_RANGE(0, 89), 10 * MILLIONTHS,
                          "degrees of elevation, 0 to 89");
    s->station.antennas = (uint32_t)yaml_uint(r, node, "antennas", 1, 1, CONTACT_ANTENNAS_MAX);
    s->station.turn_ms = (uint32_t)yaml_time(r, node, "turn", 0, 0, CONTACT_TURN_MAX_MS);
    s->station.node = yaml_uint(r, node, "node", 0, 1, NODE_MAX);
    s->line = node->line;
    set_place(s);
    check_station(r, node, fleet, s);
    fleet->n_stations++;
}

/* ---- links ---------------------------------------------------------------------------------- */

static void read_step(struct yaml_in *r, const struct yaml_node *node, struct fleet_link *link)
{
    uint32_t n = link->link.n_steps;

    if (n == CONTACT_STEPS_MAX) {
        yaml_fail(r, node, "more than %u steps", CONTACT_STEPS_MAX);
        return;
    }
    yaml_keys(r, node, fleet_keys[FLEET_KEYS_STEP]);
    link->from[n] = read_signed(r, node, "from", DEGREE_RANGE(0, 90), INT64_MIN,
                                "degrees of elevation, 0 to 90");
    link->link.step[n].from = (double)link->from[n] * DEGREES;
    link->link.step[n].rate = yaml_uint(r, node, "rate", YAML_NEEDED, 0, CONTACT_RATE_MAX);
    if (n > 0 && link->from[n] <= link->from[n - 1])
        yaml_fail(r, node, "steps must rise: 'from' is not above the step before");
    link->link.n_steps++;
}

static void read_link(struct yaml_in *r, const struct yaml_node *node, struct fleet *fleet)
{
    if (fleet->n_links == FLEET_LINKS_MAX) {
        yaml_fail(r, node, "more than %u links", FLEET_LINKS_MAX);
        return;
    }
    struct fleet_link *link = &fleet->link[fleet->n_links];
    struct contact_link *l = &link->link;

    if (!name_valid(node->key)) {
        yaml_fail(r, node, "link: lower-case letters, digits and '-' only");
        return;
    }
    (void)snprintf(link->name, sizeof link->name, "%s", node->key);
    yaml_keys(r, node, fleet_keys[FLEET_KEYS_LINK]);
    l->rate = yaml_uint(r, node, "rate", YAML_NEEDED, 1, CONTACT_RATE_MAX);
    l->setup_ms = (uint32_t)yaml_time(r, node, "setup", 0, 0, CONTACT_SETUP_MAX_MS);
    l->overhead_ppm = (uint32_t)yaml_fraction(r, node, "overhead", 50000, 0, CONTACT_PPM - 1);
    l->goodput_ppm =
        (uint32_t)yaml_fraction(r, node, "goodput", 700000, CONTACT_GOODPUT_MIN, CONTACT_PPM);
    for (const struct yaml_node *n = yaml_first(r, yaml_list(r, node, "steps", false)); n;
         n = yaml_next(r, n))
        read_step(r, n, link);
    fleet->n_links++;
}

/* ---- tenants -------------------------------------------------------------------------------- */

static void read_tenant(struct yaml_in *r, const struct yaml_node *node, struct fleet *fleet)
{
    if (fleet->n_tenants == TENANTS_MAX) {
        yaml_fail(r, node, "more than %u tenants", TENANTS_MAX);
        return;
    }
    struct fleet_tenant *t = &fleet->tenant[fleet->n_tenants++];

    if (!name_valid(node->key)) {
        yaml_fail(r, node, "tenant: lower-case letters, digits and '-' only");
        return;
    }
    (void)snprintf(t->id, sizeof t->id, "%s", node->key);
    yaml_keys(r, node, fleet_keys[FLEET_KEYS_TENANT]);
    t->share = (uint32_t)yaml_uint(r, node, "share", 1, 1, SCHEDULE_WEIGHT_MAX);
    t->uplink_bytes = yaml_size(r, node, "uplink", 0, 1, FLEET_UPLINK_MAX);
    fleet_read_quotas(r, node, fleet);
}

void fleet_read_sky(struct yaml_in *r, const struct yaml_node *top, struct fleet *fleet)
{
    for (const struct yaml_node *n = yaml_first(r, yaml_list(r, top, "stations", false)); n;
         n = yaml_next(r, n))
        read_station(r, n, fleet);
    for (const struct yaml_node *n = yaml_first(r, yaml_map(r, top, "links", false)); n;
         n = yaml_next(r, n))
        read_link(r, n, fleet);
    for (const struct yaml_node *n = yaml_first(r, yaml_map(r, top, "tenants", false)); n;
         n = yaml_next(r, n))
        read_tenant(r, n, fleet);
}

/* ---- orbits --------------------------------------------------------------------------------- */

/* Both lines, checked to the last digit. */
static void read_lines(struct yaml_in *r, const struct yaml_node *list, struct fleet_satellite *sat)
{
    const struct yaml_node *one = yaml_first(r, list), *two = one ? yaml_next(r, one) : NULL;
    struct tle tle;
    struct err err = { 0 };

    if (!two || yaml_next(r, two)) {
        yaml_fail(r, list, "'tle' wants the two lines, each in quotes, or a file's name");
        return;
    }
    yaml_scalar(r, one, sat->line1, sizeof sat->line1);
    yaml_scalar(r, two, sat->line2, sizeof sat->line2);
    if (r->err.rc == RC_OK &&
        tle_parse(bytes_of(sat->line1), bytes_of(sat->line2), &tle, &err) != RC_OK)
        yaml_fail(r, list, "tle: %s: copy both lines as they were published", err.what);
}

static void read_way(struct yaml_in *r, const struct yaml_node *orbit, struct fleet_satellite *sat)
{
    static const struct {
        const char *key;
        enum fleet_orbit kind;
    } ways[] = { { "tle", FLEET_TLE_FILE }, { "oem", FLEET_OEM }, { "contacts", FLEET_CONTACTS } };

    yaml_keys(r, orbit, fleet_keys[FLEET_KEYS_ORBIT]);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        const struct yaml_node *node = yaml_get(r, orbit, ways[i].key);

        if (!node)
            continue;
        if (sat->orbit != FLEET_NO_ORBIT)
            yaml_fail(r, orbit, "one of tle, oem and contacts");
        sat->orbit = ways[i].kind;
        if (node->type == YAML_LIST && ways[i].kind == FLEET_TLE_FILE) {
            sat->orbit = FLEET_TLE;
            read_lines(r, node, sat);
        } else {
            yaml_scalar(r, node, sat->file, sizeof sat->file);
            if (r->err.rc == RC_OK && sat->file[0] == '\0')
                yaml_fail(r, node, "'%s' wants a file's name", ways[i].key);
        }
    }
    if (r->err.rc == RC_OK && sat->orbit == FLEET_NO_ORBIT)
        yaml_fail(r, orbit, "'orbit' wants one of tle, oem and contacts");
}

static void find_link(struct yaml_in *r, const struct yaml_node *node, const struct fleet *fleet,
                      struct fleet_satellite *sat)
{
    char name[NAME_CAP] = "";

    yaml_text(r, node, "link", fleet->n_links == 1 ? fleet->link[0].name : NULL, name, sizeof name);
    for (uint32_t i = 0; i < fleet->n_links; i++)
        if (strcmp(fleet->link[i].name, name) == 0) {
            sat->link = i;
            return;
        }
    if (r->err.rc == RC_OK)
        yaml_fail(r, yaml_get(r, node, "link"), "link %s is not listed under 'links'", name);
}

void fleet_check_orbits(struct yaml_in *r, const struct yaml_node *list, const struct fleet *fleet)
{
    uint32_t i = 0;
    bool counts = fleet->n_stations > 0;

    for (uint32_t k = 0; k < fleet->n_policies; k++)
        counts = counts || fleet->policy[k].soak_orbits > 0;
    for (const struct yaml_node *n = yaml_first(r, list); n && !counts && r->err.rc == RC_OK;
         n = yaml_next(r, n), i++)
        if (fleet->satellite[i].orbit != FLEET_NO_ORBIT)
            yaml_fail(r, yaml_get(r, n, "orbit"),
                      "an orbit is of no use without 'stations' or a soak in orbits");
}

void fleet_read_orbit(struct yaml_in *r, const struct yaml_node *node, const struct fleet *fleet,
                      struct fleet_satellite *sat)
{
    const struct yaml_node *orbit = yaml_map(r, node, "orbit", false);

    sat->node = yaml_uint(r, node, "node", 0, 1, NODE_MAX);
    if (!orbit) {
        if (r->err.rc == RC_OK && yaml_get(r, node, "link"))
            yaml_fail(r, yaml_get(r, node, "link"), "a link without 'orbit' is of no use");
        return;
    }
    read_way(r, orbit, sat);
    if (fleet->n_stations > 0 || fleet->n_links > 0 || yaml_get(r, node, "link"))
        find_link(r, node, fleet, sat);
    if (r->err.rc == RC_OK && sat->orbit == FLEET_CONTACTS && sat->node == 0)
        yaml_fail(r, node, "'node' is missing: the satellite's number in the contact plan");
}
