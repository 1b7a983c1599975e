/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/verdict.h"

#include <stdio.h>

const char *verdict_name(enum verdict verdict)
{
    static const char *const names[VERDICTS] = {
        [VERDICT_UNKNOWN] = "unknown",
        [VERDICT_PENDING] = "pending",
        [VERDICT_SILENT] = "silent",
        [VERDICT_SYNCED] = "synced",
    };

    return (unsigned)verdict < VERDICTS ? names[verdict] : "?";
}

const struct report_payload *verdict_payload(const struct sight *seen, const char *tenant,
                                             const char *name)
{
    for (uint32_t i = 0; seen && i < seen->n_payloads; i++)
        if (strcmp(seen->payload[i].tenant, tenant) == 0 &&
            strcmp(seen->payload[i].name, name) == 0)
            return &seen->payload[i];
    return NULL;
}

const struct order_line *verdict_order_line(const struct want *want, const char *tenant,
                                            const char *name)
{
    for (uint32_t i = 0; want && i < want->n_lines; i++)
        if (strcmp(want->line[i].tenant, tenant) == 0 && strcmp(want->line[i].name, name) == 0)
            return &want->line[i];
    return NULL;
}

/* It has proven itself, and does not run because it is not to: it has done its work, or waits for
 * its schedule or another mode. */
static bool is_resting(const struct report_payload *seen)
{
    return !seen->is_running && seen->code != RC_OK &&
           rc_class(rc_from_number(seen->code)) == RC_CLASS_FINE;
}

bool verdict_line_synced(const struct order_line *want, const struct report_payload *seen)
{
    /* An all-zero digest means "none" in a report, so it can never prove that something runs. */
    if (!seen || digest_is_none(&want->manifest) || seen->state != SLOT_COMMITTED ||
        !digest_same(&seen->wanted, &want->manifest))
        return false;
    return is_resting(seen) || (seen->is_running && digest_same(&seen->running, &want->manifest));
}

/* Whether nothing runs that the order does not name. */
static bool no_strangers(const struct want *want, const struct sight *seen)
{
    for (uint32_t i = 0; i < seen->n_payloads; i++) {
        const struct report_payload *p = &seen->payload[i];

        if (p->is_running && !verdict_order_line(want, p->tenant, p->name))
            return false;
    }
    return true;
}

/* Of a satellite that was heard of lately. */
static enum verdict verdict_heard(const struct want *want, const struct sight *seen)
{
    if (seen->generation != (want ? want->generation : 0) || !no_strangers(want, seen))
        return VERDICT_PENDING;
    for (uint32_t i = 0; want && i < want->n_lines; i++) {
        const struct order_line *line = &want->line[i];

        if (!verdict_line_synced(line, verdict_payload(seen, line->tenant, line->name)))
            return VERDICT_PENDING;
    }
    return VERDICT_SYNCED;
}

enum verdict verdict_of(const struct want *want, const struct sight *seen, uint64_t age_ms,
                        uint64_t silent_ms)
{
    if (!seen)
        return VERDICT_UNKNOWN;
    return age_ms > silent_ms ? VERDICT_SILENT : verdict_heard(want, seen);
}

enum verdict verdict_by_passes(const struct want *want, const struct sight *seen, uint64_t missed,
                               uint64_t most)
{
    if (!seen)
        return VERDICT_UNKNOWN;
    return missed > most ? VERDICT_SILENT : verdict_heard(want, seen);
}

const struct report_payload *verdict_drift(const struct sight *seen, uint32_t from,
                                           bool (*named)(void *arg, const struct report_payload *p),
                                           void *arg, uint32_t *ret_at)
{
    for (uint32_t i = from; seen && i < seen->n_payloads; i++) {
        const struct report_payload *p = &seen->payload[i];

        if (p->is_running && !digest_is_none(&p->running) && !named(arg, p)) {
            *ret_at = i;
            return p;
        }
    }
    return NULL;
}

static enum outcome change_outcome(const struct order_line *want, const struct report_payload *seen)
{
    if (!want)
        return seen && seen->is_running ? OUTCOME_WAITING : OUTCOME_HEALTHY;
    if (!seen || !digest_same(&seen->wanted, &want->manifest))
        return OUTCOME_WAITING;
    if (seen->state == SLOT_REFUSED || seen->state == SLOT_FAILED ||
        seen->state == SLOT_ROLLED_BACK)
        return OUTCOME_FAILED;
    return verdict_line_synced(want, seen) ? OUTCOME_HEALTHY : OUTCOME_WAITING;
}

struct rollout_seen verdict_outcome(const struct want *want, const struct verdict_change *change,
                                    size_t n_changes, const struct sight *seen)
{
    struct rollout_seen ret = { .outcome = OUTCOME_HEALTHY };

    if (!seen || seen->generation != want->generation)
        return (struct rollout_seen){ .outcome = OUTCOME_WAITING };
    for (size_t i = 0; i < n_changes; i++) {
        const struct report_payload *p = verdict_payload(seen, change[i].tenant, change[i].name);
        enum outcome one =
            change_outcome(verdict_order_line(want, change[i].tenant, change[i].name), p);

        if (one == OUTCOME_FAILED) {
            ret = (struct rollout_seen){ .outcome = OUTCOME_FAILED, .code = p ? p->code : 0 };
            (void)snprintf(ret.what, sizeof ret.what, "%s/%s", change[i].tenant, change[i].name);
            return ret;
        }
        if (one == OUTCOME_WAITING)
            ret.outcome = OUTCOME_WAITING;
    }
    return ret;
}
