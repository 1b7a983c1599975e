/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/life.h"

#include <assert.h>

struct life life_of(const struct manifest *m)
{
    struct life life = { .kind = m->kind,
                         .schedule = m->schedule,
                         .restart = m->restart,
                         .modes = m->modes,
                         .run_s_orbit = m->limits.run_s_orbit,
                         .freeze = m->freeze,
                         .n_after = m->n_after };

    memcpy(life.after, m->after, sizeof life.after);
    return life;
}

bool life_in_mode(const struct life *life, enum mode mode)
{
    uint32_t modes = life->modes != 0 ? life->modes : (uint32_t)MODE_NOMINAL;

    return (modes & (uint32_t)(mode != 0 ? mode : MODE_NOMINAL)) != 0;
}

uint64_t life_backoff_ms(const struct restart *rule, uint32_t failures)
{
    uint64_t least = rule->backoff_ms > LIFE_BACKOFF_MS ? rule->backoff_ms : LIFE_BACKOFF_MS;
    uint64_t most = rule->backoff_max_ms != 0 ? rule->backoff_max_ms : LIFE_BACKOFF_MAX_MS;
    uint64_t ms = least;

    if (most < least)
        most = least;
    for (uint32_t i = 1; i < failures && ms < most; i++)
        ms *= 2;
    return ms < most ? ms : most;
}

bool life_starts_again(const struct life *life)
{
    if (life->kind == KIND_SCHEDULED) /* else the next time will do */
        return life->restart.policy == RESTART_ON_FAILURE;
    return life->restart.policy != RESTART_NEVER;
}

bool life_is_due(const struct schedule *s, const struct input *input)
{
    switch ((int)input->kind) {
    case INPUT_AOS:
        return s->at_aos;
    case INPUT_LOS:
        return s->at_los;
    case INPUT_EVENT:
        return s->event[0] != '\0' && strcmp(s->event, input->name) == 0;
    default:
        return false;
    }
}

uint32_t restarts_prune(struct restarts *r, const struct restart *rule, uint64_t now_ms)
{
    uint64_t window_ms = (uint64_t)rule->window_s * 1000U;
    uint32_t old = 0;

    assert(r->n <= RESTART_BUDGET_MAX);
    while (old < r->n && now_ms - r->at_ms[old] >= window_ms)
        old++;
    memmove(&r->at_ms[0], &r->at_ms[old], (r->n - old) * sizeof r->at_ms[0]);
    r->n -= old;
    return r->n;
}

bool restarts_spend(struct restarts *r, const struct restart *rule, uint64_t now_ms)
{
    if (rule->budget == 0)
        return true;
    assert(rule->budget <= RESTART_BUDGET_MAX);
    if (restarts_prune(r, rule, now_ms) >= rule->budget)
        return false;
    r->at_ms[r->n++] = now_ms;
    return true;
}

void restarts_assume(struct restarts *r, uint32_t n, uint64_t now_ms)
{
    r->n = n < RESTART_BUDGET_MAX ? n : RESTART_BUDGET_MAX;
    for (uint32_t i = 0; i < r->n; i++)
        r->at_ms[i] = now_ms;
}
