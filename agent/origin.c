/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/origin.h"

#include <unistd.h>

#include "agent/lists.h"

#define ORIGINS_MAX 64U /* slots of one payload that are looked at; there are three as a rule */

/* The slots of one payload, the likely ones first. */
struct candidates {
    const struct slot_id *payload; /* whose */
    uint32_t n;
    struct slot_id id[ORIGINS_MAX];
};

static bool is_of(const struct slot_id *id, const struct slot_id *payload)
{
    return strcmp(id->tenant, payload->tenant) == 0 && strcmp(id->payload, payload->payload) == 0;
}

static bool add_candidate(void *arg, const struct slot_id *id)
{
    struct candidates *c = arg;

    if (is_of(id, c->payload))
        c->id[c->n++] = *id;
    return c->n < ORIGINS_MAX;
}

/* Bring a version to place `to`, if it is there and further back. */
static void prefer(struct candidates *c, const struct digest *manifest, uint32_t to)
{
    for (uint32_t i = to; i < c->n; i++)
        if (digest_same(&c->id[i].manifest, manifest)) {
            struct slot_id id = c->id[i];

            c->id[i] = c->id[to];
            c->id[to] = id;
            return;
        }
}

/* Open a slot if its manifest verifies today and names this index.  False: not this one. */
static bool try_slot(struct agent *a, const struct slot_id *id, const struct digest *index,
                     struct origin *ret)
{
    struct err ignored;

    *ret = ORIGIN_NONE;
    ret->id = *id;
    if (slot_open(&a->slots, id, &ret->slot, &ignored) == RC_OK) {
        struct bytes envelope = { .p = ret->slot.envelope, .n = ret->slot.envelope_bytes };

        if (trust_verify_manifest(a->trust, envelope, agent_now_unix(), &ret->manifest, &ignored) ==
                RC_OK &&
            digest_same(&verified_manifest_get(ret->manifest)->index, index))
            return true;
    }
    origin_done(ret);
    return false;
}

enum rc origin_find(struct agent *a, const struct verified_delta *delta, struct origin *ret,
                    struct err *err)
{
    const struct slot_id payload = slot_id_of_delta(delta);
    const struct unit *u = reconcile_find(&a->table, payload.tenant, payload.payload);
    struct candidates c = { .payload = &payload };
    struct origin found = ORIGIN_NONE;
    struct digest index;
    enum rc rc = delta_base(delta, &index, err);

    if (rc == RC_OK)
        rc = list_slots(a, add_candidate, &c, err);
    if (rc != RC_OK)
        return rc;
    if (u) {
        prefer(&c, &u->kept.good, 0);
        prefer(&c, &u->kept.previous, c.n > 0 && digest_same(&c.id[0].manifest, &u->kept.good));
    }
    for (uint32_t i = 0; i < c.n && rc == RC_OK && found.slot.root < 0; i++)
        if (try_slot(a, &c.id[i], &index, &found))
            rc = slot_open_index(&a->slots, &c.id[i], &found.index, err);
    if (rc == RC_OK && found.slot.root < 0)
        rc = err_set(err, RC_DELTA_BASE, "%s/%s: no such version here", payload.tenant,
                     payload.payload);
    if (rc != RC_OK) {
        origin_done(&found);
        return rc;
    }
    *ret = found;
    return RC_OK;
}

void origin_done(struct origin *origin)
{
    slot_close(&origin->slot);
    close_fd(&origin->index);
    if (origin->manifest)
        verified_manifest_free(&origin->manifest);
    *origin = ORIGIN_NONE;
}
