/* SPDX-License-Identifier: Apache-2.0
 *
 * base/name: the names that may come from outside and become part of a file name or a table.
 */
#ifndef BERTH_BASE_NAME_H
#define BERTH_BASE_NAME_H

#include "base/bytes.h"
#include "base/limits.h"

/* [a-z0-9-], 1 to NAME_MAX_LEN characters, no '-' at either end: tenants, payloads, satellites. */
bool name_valid(const char *text);

/* A team of a tenant: 1 to TEAM_DEPTH_MAX names joined by '/', the outermost first. */
bool team_valid(const char *text);

/* Whether a team is this one or lies inside it; "" is the tenant, whose teams all are. */
bool team_within(const char *outer, const char *team);

/* The part of a team's path that names the team depth levels down; 0 is "", the tenant. */
void team_cut(const char *team, uint32_t depth, char ret[TEAM_CAP]);

/* How many names a team's path has; 0 for "". */
uint32_t team_depth(const char *team);

/* Nothing but printable ASCII, so that it may be shown as it is; also if it is empty. */
bool text_printable(const char *text);

/* [A-Za-z0-9.+~_-], 1 to VERSION_MAX_LEN characters, first one a letter or digit, never "..":
 * versions. */
bool version_valid(const char *text);

#endif
