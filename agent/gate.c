/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/gate.h"

const struct life *gate_life(const struct unit *u, const struct digest *manifest)
{
    for (uint32_t i = 0; i < sizeof u->known / sizeof u->known[0]; i++)
        if (!digest_is_none(manifest) && digest_same(&u->known[i].manifest, manifest))
            return &u->known[i].life;
    return NULL;
}

static const struct unit *neighbour(const struct table *t, const struct unit *u, const char *name)
{
    for (uint32_t i = 0; i < t->n_units; i++)
        if (strcmp(t->unit[i].kept.tenant, u->kept.tenant) == 0 &&
            strcmp(t->unit[i].kept.name, name) == 0)
            return &t->unit[i];
    return NULL;
}

/* One that has done its work is as good as one that works. */
static bool is_ready(const struct unit *n)
{
    if (!n)
        return false;
    if (n->run.phase == RUN_READY && n->run.frozen_ms == 0)
        return true;
    return !digest_is_none(&n->kept.done) && digest_same(&n->kept.done, &n->kept.good);
}

bool gate_after_ready(const struct table *t, const struct unit *u, const struct life *life)
{
    for (uint32_t i = 0; i < life->n_after; i++)
        if (!is_ready(neighbour(t, u, life->after[i])))
            return false;
    return true;
}

/* Whom a payload waits for, and whom those wait for. */
static bool waits_for_itself(const struct table *t, const struct unit *u, const struct life *life)
{
    bool seen[UNITS_MAX] = { 0 };
    uint32_t todo[UNITS_MAX];
    uint32_t n = 0;

    for (const struct life *l = life; l;) {
        for (uint32_t i = 0; i < l->n_after; i++) {
            const struct unit *next = neighbour(t, u, l->after[i]);

            if (next == u)
                return true;
            if (!next || seen[next - t->unit])
                continue;
            seen[next - t->unit] = true;
            todo[n++] = (uint32_t)(next - t->unit);
        }
        l = NULL;
        while (n > 0 && !l) {
            const struct unit *next = &t->unit[todo[--n]];

            l = gate_life(next, &next->kept.wanted);
            if (!l)
                l = gate_life(next, &next->kept.good);
        }
    }
    return false;
}

/* A schedule by time begins with the agent. */
static bool is_due(const struct unit *u, const struct life *life, uint64_t now_ms,
                   uint64_t *ret_wake_ms)
{
    if (life->kind != KIND_SCHEDULED || u->due)
        return true;
    if (life->schedule.every_s == 0)
        return false;
    if (now_ms >= u->next_ms)
        return true;
    *ret_wake_ms = u->next_ms;
    return false;
}

enum rc gate_check(const struct table *t, const struct unit *u, const struct digest *manifest,
                   const struct life *life, uint64_t now_ms, uint64_t *ret_wake_ms)
{
    *ret_wake_ms = UINT64_MAX;
    if (digest_same(&u->kept.done, manifest) || digest_same(&u->rested, manifest))
        return RC_DONE;
    if (!life_in_mode(life, t->mode))
        return RC_OUT_OF_MODE;
    if (!is_due(u, life, now_ms, ret_wake_ms))
        return RC_RESTS;
    if (life->run_s_orbit != 0 && u->orbit_ms >= (uint64_t)life->run_s_orbit * 1000U)
        return RC_RUN_TIME;
    if (!gate_after_ready(t, u, life))
        return waits_for_itself(t, u, life) ? RC_AFTER_CYCLE : RC_AFTER;
    return RC_OK;
}
