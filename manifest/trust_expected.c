/* SPDX-License-Identifier: Apache-2.0
 *
 * Teams whose delegation was held and has got lost.  Their marks come from what the caller kept,
 * and are believed.
 */
#include "base/name.h"
#include "manifest/trust.h"
#include "manifest/trust_parts.h"

static size_t mark_index(const struct trust *trust, const char *tenant, const char *team)
{
    size_t i = 0;

    while (i < trust->n_expected_teams && (strcmp(trust->expected_team[i].tenant, tenant) != 0 ||
                                           strcmp(trust->expected_team[i].team, team) != 0))
        i++;
    return i;
}

const struct team_mark *trust_expected_team(const struct trust *trust, const char *tenant,
                                            const char *team)
{
    size_t i = mark_index(trust, tenant, team);

    return i < trust->n_expected_teams ? &trust->expected_team[i] : NULL;
}

void trust_expect_team(struct trust *trust, const struct team_mark *mark)
{
    size_t i = mark_index(trust, mark->tenant, mark->team);

    if (i == TEAMS_HELD_MAX || trust_holds_team(trust, mark->tenant, mark->team) ||
        trust_team_void(trust, mark->tenant, mark->team, mark->issued_ms))
        return;
    trust->expected_team[i] = *mark;
    trust->n_expected_teams += i == trust->n_expected_teams;
}

void trust_unexpect_team(struct trust *trust, const char *tenant, const char *team)
{
    size_t i = mark_index(trust, tenant, team);

    if (i < trust->n_expected_teams)
        trust->expected_team[i] = trust->expected_team[--trust->n_expected_teams];
}

bool trust_expects_team(const struct trust *trust, const char *tenant, const char *team)
{
    uint32_t depth = team_depth(team);

    for (uint32_t i = 1; i <= depth; i++) {
        char path[TEAM_CAP];

        team_cut(team, i, path);
        if (trust_expected_team(trust, tenant, path))
            return true;
    }
    return false;
}

void trust_refresh_expected_teams(struct trust *trust)
{
    size_t kept = 0;

    for (size_t i = 0; i < trust->n_expected_teams; i++) {
        const struct team_mark mark = trust->expected_team[i];

        if (!trust_team_void(trust, mark.tenant, mark.team, mark.issued_ms))
            trust->expected_team[kept++] = mark;
    }
    trust->n_expected_teams = kept;
}
