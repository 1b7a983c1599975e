/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/fleet_parts: what fleet.c and fleet_sky.c share.
 */
#ifndef BERTH_ORCHESTRATOR_FLEET_PARTS_H
#define BERTH_ORCHESTRATOR_FLEET_PARTS_H

#include "orchestrator/fleet.h"

/* Stations, links and tenants of the file; before its satellites are read. */
void fleet_read_sky(struct yaml_in *r, const struct yaml_node *top, struct fleet *fleet);

/* Orbit, link and node of one satellite. */
void fleet_read_orbit(struct yaml_in *r, const struct yaml_node *node, const struct fleet *fleet,
                      struct fleet_satellite *sat);

/* 'quota' and 'teams' of the newest tenant; its 'uplink' is read. */
void fleet_read_quotas(struct yaml_in *r, const struct yaml_node *node, struct fleet *fleet);

/* Add both of a tenant to its export. */
void fleet_export_quotas(json_t *to, const struct fleet *fleet, const char *tenant);

#endif
