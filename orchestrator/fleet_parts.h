/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/fleet_parts: what fleet.c and fleet_sky.c share.
 */
#ifndef BERTH_ORCHESTRATOR_FLEET_PARTS_H
#define BERTH_ORCHESTRATOR_FLEET_PARTS_H

#include "orchestrator/fleet.h"

/* The keys that the maps of the file may have, each list ended by NULL. */
enum fleet_map {
    FLEET_KEYS_TOP,
    FLEET_KEYS_STATION,
    FLEET_KEYS_LINK,
    FLEET_KEYS_STEP,
    FLEET_KEYS_TENANT,
    FLEET_KEYS_QUOTA,
    FLEET_KEYS_SATELLITE,
    FLEET_KEYS_CAPACITY,
    FLEET_KEYS_ORBIT,
    FLEET_KEYS_DESIRED,
    FLEET_KEYS_PAYLOAD,
    FLEET_KEYS_POLICY,
    FLEET_KEYS_WAVE,
    FLEET_KEYS_FAIL,
    FLEET_KEYS_SILENT,
    FLEET_MAPS
};
extern const char *const *const fleet_keys[FLEET_MAPS];

/* "all", "key" or "key=value".  `all` is not a condition on waves. */
void fleet_read_condition(struct yaml_in *r, const struct yaml_node *node, struct fleet_label *ret);

/* What holds where the file says nothing: a canary, then all. */
extern const struct fleet_policy fleet_built_in;

/* One entry of 'rollout'; after the satellites. */
void fleet_read_policy(struct yaml_in *r, const struct yaml_node *node, struct fleet *fleet);

/* Stations, links and tenants of the file; before its satellites are read. */
void fleet_read_sky(struct yaml_in *r, const struct yaml_node *top, struct fleet *fleet);

/* Orbit, link and node of one satellite. */
void fleet_read_orbit(struct yaml_in *r, const struct yaml_node *node, const struct fleet *fleet,
                      struct fleet_satellite *sat);

/* Whether orbits are of use: for passes over stations, or for what counts them.  Behind policies.
 */
void fleet_check_orbits(struct yaml_in *r, const struct yaml_node *list, const struct fleet *fleet);

/* 'quota' and 'teams' of the newest tenant; its 'uplink' is read. */
void fleet_read_quotas(struct yaml_in *r, const struct yaml_node *node, struct fleet *fleet);

/* Add both of a tenant to its export. */
void fleet_export_quotas(json_t *to, const struct fleet *fleet, const char *tenant);

#endif
