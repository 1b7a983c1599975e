/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/witness.h"

enum witness_state witness_judge(const struct witness *seen, uint64_t head,
                                 const struct digest *held, bool lost)
{
    if (seen->seq == 0)
        return WITNESS_NONE;
    if (held && digest_same(held, &seen->head))
        return WITNESS_GOOD;
    if (lost)
        return WITNESS_GIVEN_UP;
    if (seen->seq <= head)
        return WITNESS_OTHER;
    return seen->seq - head > WITNESS_AHEAD_MAX ? WITNESS_ABSURD : WITNESS_AHEAD;
}

bool witness_alarms(enum witness_state state)
{
    return state == WITNESS_AHEAD || state == WITNESS_OTHER;
}

static enum rc look(struct store *store, const struct witness *seen, uint64_t head,
                    enum witness_state *ret, struct err *err)
{
    struct digest held;
    bool lost = false;
    enum rc rc =
        seen->seq > 0 ? store_audit_hash(store, seen->seq, &held, &lost, err) : RC_NOT_FOUND;

    if (rc != RC_OK && rc != RC_NOT_FOUND)
        return rc;
    *ret = witness_judge(seen, head, rc == RC_OK ? &held : NULL, lost);
    return RC_OK;
}

enum rc witness_look(struct store *store, const struct report *seen, enum witness_state *ret,
                     struct err *err)
{
    struct digest digest;
    uint64_t head = 0;
    enum rc rc = store_audit_head(store, &head, &digest, err);

    if (rc != RC_OK)
        return rc;
    if (seen)
        return look(store, &seen->witness, head, ret, err);
    *ret = WITNESS_NONE;
    return RC_OK;
}

enum rc witness_fleet(struct store *store, const struct view *view, struct witness_alarm *ret,
                      struct err *err)
{
    struct witness_alarm alarm = { 0 };
    struct digest digest;
    enum rc rc = store_audit_head(store, &alarm.head, &digest, err);

    for (size_t i = 0; rc == RC_OK && i < view->n; i++) {
        const struct view_satellite *sat = &view->satellite[i];
        enum witness_state state = WITNESS_NONE;

        if (!sat->seen)
            continue;
        rc = look(store, &sat->seen->witness, alarm.head, &state, err);
        if (rc != RC_OK || !witness_alarms(state))
            continue;
        uint64_t seq = sat->seen->witness.seq;

        alarm.satellites++;
        if (alarm.first == 0 || seq < alarm.first)
            alarm.first = seq;
        if (seq > alarm.last) {
            alarm.last = seq;
            alarm.state = state;
            (void)snprintf(alarm.satellite, sizeof alarm.satellite, "%s", sat->row.id);
        }
    }
    if (rc == RC_OK)
        *ret = alarm;
    return rc;
}

enum rc witness_refuse(const struct witness_alarm *alarm, struct err *err)
{
    if (alarm->satellites == 0)
        return RC_OK;
    if (alarm->state == WITNESS_AHEAD)
        return err_set(err, RC_AUDIT_LOST, "%s has seen entry %llu, the log ends with %llu",
                       alarm->satellite, (unsigned long long)alarm->last,
                       (unsigned long long)alarm->head);
    return err_set(err, RC_AUDIT_LOST, "%s has seen another entry %llu than the log has",
                   alarm->satellite, (unsigned long long)alarm->last);
}

enum rc witness_for(struct store *store, const struct report *seen, struct witness *ret,
                    struct err *err)
{
    *ret = (struct witness){ 0 };
    return seen && seen->keeps_witness ? store_audit_head(store, &ret->seq, &ret->head, err)
                                       : RC_OK;
}
