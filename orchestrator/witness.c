/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/witness.h"

#include <stdio.h>
#include <stdlib.h>

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

enum witness_state witness_weigh(enum witness_state state, uint64_t seq, uint64_t good)
{
    return state == WITNESS_OTHER && seq <= good ? WITNESS_ACCUSED : state;
}

/* ---- whose does not count ---- */

#define IGNORED_KEY "witness-ignored/"
#define IGNORED_CAP (sizeof IGNORED_KEY + NAME_CAP)

static const char *ignored_key(const char *satellite, char out[IGNORED_CAP])
{
    (void)snprintf(out, IGNORED_CAP, IGNORED_KEY "%s", satellite);
    return out;
}

enum rc witness_ignore(struct store *store, const char *satellite, struct err *err)
{
    char key[IGNORED_CAP];

    return store_set(store, ignored_key(satellite, key), "1", err);
}

static int by_key(const void *a, const void *b)
{
    const struct store_setting *x = a, *y = b;

    return strcmp(x->key, y->key);
}

/* ---- the fleet ---- */

#define KEPT 256U /* records of the log: a fleet has seen few numbers, each often */

struct kept {
    uint64_t seq; /* 0 = none */
    bool held, lost;
    struct digest hash;
};

/* What is asked about every satellite, read once for all. */
struct looker {
    struct store *store;
    uint64_t head;
    struct store_setting *ignored; /* by key */
    size_t n_ignored;
    struct kept kept[KEPT];
};

static void looker_close(struct looker *l)
{
    free(l->ignored);
}

static enum rc looker_open(struct looker *l, struct store *store, struct err *err)
{
    struct digest digest;

    l->store = store;
    enum rc rc = store_audit_head(store, &l->head, &digest, err);
    if (rc == RC_OK)
        rc = store_settings(store, IGNORED_KEY, &l->ignored, &l->n_ignored, err);
    if (rc == RC_OK && l->n_ignored > 0)
        qsort(l->ignored, l->n_ignored, sizeof *l->ignored, by_key);
    return rc;
}

static bool is_ignored(const struct looker *l, const char *satellite)
{
    struct store_setting key = { 0 };
    char text[IGNORED_CAP];

    (void)snprintf(key.key, sizeof key.key, "%s", ignored_key(satellite, text));
    return l->n_ignored > 0 && bsearch(&key, l->ignored, l->n_ignored, sizeof key, by_key) != NULL;
}

static enum rc record(struct looker *l, uint64_t seq, const struct kept **ret, struct err *err)
{
    struct kept *k = &l->kept[seq % KEPT];

    if (k->seq != seq) {
        struct kept read = { .seq = seq };
        enum rc rc = store_audit_hash(l->store, seq, &read.hash, &read.lost, err);

        if (rc != RC_OK && rc != RC_NOT_FOUND)
            return rc;
        read.held = rc == RC_OK;
        *k = read;
    }
    *ret = k;
    return RC_OK;
}

static enum rc look_one(struct looker *l, const struct view_satellite *sat, enum witness_state *ret,
                        struct err *err)
{
    const struct kept *k = NULL;

    *ret = is_ignored(l, sat->row.id) ? WITNESS_IGNORED : WITNESS_NONE;
    if (*ret == WITNESS_IGNORED || !sat->seen || sat->seen->witness.seq == 0)
        return RC_OK;
    enum rc rc = record(l, sat->seen->witness.seq, &k, err);
    if (rc == RC_OK)
        *ret = witness_judge(&sat->seen->witness, l->head, k->held ? &k->hash : NULL, k->lost);
    return rc;
}

enum rc witness_states(struct store *store, const struct view *view, enum witness_state **ret,
                       struct err *err)
{
    scoped(free_ptr) enum witness_state *states = calloc(view->n + 1, sizeof *states);
    scoped(looker_close) struct looker looker = { 0 };
    uint64_t good = 0;

    if (!states)
        return err_set(err, RC_NO_MEMORY, "witnesses");
    enum rc rc = looker_open(&looker, store, err);

    for (size_t i = 0; rc == RC_OK && i < view->n; i++) {
        const struct view_satellite *sat = &view->satellite[i];

        rc = look_one(&looker, sat, &states[i], err);
        if (rc == RC_OK && states[i] == WITNESS_GOOD && sat->seen->witness.seq > good)
            good = sat->seen->witness.seq;
    }
    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < view->n; i++)
        if (view->satellite[i].seen)
            states[i] = witness_weigh(states[i], view->satellite[i].seen->witness.seq, good);
    *ret = states;
    states = NULL;
    return RC_OK;
}

bool witness_lost(const struct view *view, const enum witness_state *states, uint64_t head,
                  uint64_t below, struct audit_lost *ret, const char **ret_satellite)
{
    uint64_t seq = 0;

    for (size_t i = 0; i < view->n; i++) {
        const struct view_satellite *sat = &view->satellite[i];

        if (!witness_alarms(states[i]) || sat->seen->witness.seq >= below ||
            sat->seen->witness.seq <= seq)
            continue;
        seq = sat->seen->witness.seq;
        *ret_satellite = sat->row.id;
    }
    if (seq == 0)
        return false;
    *ret = (struct audit_lost){ .first = seq > head ? head + 1 : seq, .last = seq };
    return true;
}

static void count(struct witness_alarm *alarm, const struct view_satellite *sat,
                  enum witness_state state)
{
    const uint64_t seq = sat->seen ? sat->seen->witness.seq : 0;

    if (state == WITNESS_ACCUSED && alarm->accused++ == 0) {
        alarm->accused_seq = seq;
        (void)snprintf(alarm->accuses, sizeof alarm->accuses, "%s", sat->row.id);
    }
    if (!witness_alarms(state))
        return;
    alarm->satellites++;
    if (alarm->first == 0 || seq < alarm->first)
        alarm->first = seq;
    if (seq > alarm->last) {
        alarm->last = seq;
        alarm->state = state;
        (void)snprintf(alarm->satellite, sizeof alarm->satellite, "%s", sat->row.id);
    }
}

enum rc witness_fleet(struct store *store, const struct view *view, struct witness_alarm *ret,
                      struct err *err)
{
    scoped(free_ptr) enum witness_state *states = NULL;
    struct witness_alarm alarm = { 0 };
    struct digest digest;
    enum rc rc = store_audit_head(store, &alarm.head, &digest, err);

    if (rc == RC_OK)
        rc = witness_states(store, view, &states, err);
    for (size_t i = 0; rc == RC_OK && i < view->n; i++)
        count(&alarm, &view->satellite[i], states[i]);
    if (rc == RC_OK)
        *ret = alarm;
    return rc;
}

enum rc witness_accuse(const struct witness_alarm *alarm, struct err *err)
{
    if (alarm->accused == 0)
        return RC_OK;
    return err_set(err, RC_AUDIT_LOST, "%s: its entry %llu is not the log's, which others saw",
                   alarm->accuses, (unsigned long long)alarm->accused_seq);
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

enum rc witness_for(struct store *store, const struct sight *seen, struct witness *ret,
                    struct err *err)
{
    *ret = (struct witness){ 0 };
    return seen && seen->keeps_witness ? store_audit_head(store, &ret->seq, &ret->head, err)
                                       : RC_OK;
}
