/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/measure.h"

#include <stdlib.h>

#include "base/log.h"
#include "manifest/delegation.h"
#include "manifest/envelope.h"

/* Who signed a slot, and its release: 0 if it does not verify today. */
static void read_envelope(const struct agent *a, struct bytes envelope, struct space_thing *t)
{
    struct verified_manifest *m = NULL;
    struct envelope parts;
    char tenant[NAME_CAP], team[TEAM_CAP] = "";
    struct err err = { 0 };

    if (envelope_open(envelope, &parts, &err) == RC_OK &&
        manifest_peek(parts.payload, tenant, team, &err) == RC_OK)
        memcpy(t->team, team, sizeof t->team);
    if (a->trust && trust_verify_manifest(a->trust, envelope, agent_now_unix(), &m, &err) == RC_OK)
        t->release = verified_manifest_get(m)->release;
    if (m) /* directories, too */
        t->files = verified_manifest_get(m)->files + MEASURE_SLOT_FILES;
    verified_manifest_free(&m);
}

void measure_slot(const struct agent *a, struct space_thing *t, bool sized)
{
    struct slot slot = { .root = -1 };
    struct err err = { 0 };

    if (sized && slot_size(&a->slots, &t->id, &t->bytes, &t->files, &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "size of %s/%s", t->id.tenant, t->id.payload);
    if (slot_open(&a->slots, &t->id, &slot, &err) == RC_OK)
        read_envelope(a, (struct bytes){ slot.envelope, slot.envelope_bytes }, t);
    slot_close(&slot);
}

/* ---- remembered ---------------------------------------------------------------------------------
 */

/* Verified when it was installed, and the envelope is the one that the slot is named by. */
static bool read_manifest(const struct agent *a, struct measured *m)
{
    scoped(free_ptr) struct manifest *manifest = malloc(sizeof *manifest);
    scoped(slot_close) struct slot slot = { .root = -1 };
    struct envelope parts;
    struct err err = { 0 };

    if (!manifest || slot_open(&a->slots, &m->id, &slot, &err) != RC_OK ||
        envelope_open((struct bytes){ slot.envelope, slot.envelope_bytes }, &parts, &err) !=
            RC_OK ||
        manifest_decode(parts.payload, manifest, &err) != RC_OK)
        return false;
    memcpy(m->team, manifest->team, sizeof m->team);
    m->files = manifest->files + MEASURE_SLOT_FILES; /* directories, too */
    return true;
}

/* Whether it may be remembered: all of it was found. */
static bool look(struct agent *a, struct measured *m)
{
    struct err err = { 0 };
    bool whole = slot_mark(&a->slots, &m->id, &m->mark, &err) == RC_OK;

    a->measures.looked++;
    if (slot_size(&a->slots, &m->id, &m->bytes, &m->files, &err) != RC_OK) {
        log_err(LOG_LEVEL_WARN, &err, "size of %s/%s", m->id.tenant, m->id.payload);
        whole = false;
    }
    return read_manifest(a, m) && whole;
}

static struct measured *find(struct agent *a, const struct slot_id *id)
{
    for (uint32_t i = 0; i < a->measures.n; i++) {
        struct measured *m = &a->measures.of[i];

        if (digest_same(&m->id.manifest, &id->manifest) && strcmp(m->id.tenant, id->tenant) == 0 &&
            strcmp(m->id.payload, id->payload) == 0)
            return m;
    }
    return NULL;
}

void measure_forget(struct agent *a, const struct slot_id *id)
{
    struct measured *m = find(a, id);

    if (m)
        *m = a->measures.of[--a->measures.n];
}

static void drop_gone(struct agent *a)
{
    for (uint32_t i = a->measures.n; i-- > 0;)
        if (!slot_exists(&a->slots, &a->measures.of[i].id))
            a->measures.of[i] = a->measures.of[--a->measures.n];
}

static void remember(struct agent *a, struct measured *there, const struct measured *m)
{
    if (!there && a->measures.n == MEASURED_MAX)
        drop_gone(a);
    if (there)
        *there = *m;
    else if (a->measures.n < MEASURED_MAX)
        a->measures.of[a->measures.n++] = *m;
}

struct measured measure_account(struct agent *a, const struct slot_id *id)
{
    struct measured *there = find(a, id);
    struct measured m = { .id = *id };
    struct slot_mark mark;
    struct err ignored;

    if (there && slot_mark(&a->slots, id, &mark, &ignored) == RC_OK &&
        slot_mark_same(&mark, &there->mark)) {
        m = *there;
    } else if (look(a, &m)) {
        remember(a, there, &m);
        there = find(a, id);
    } else {
        there = NULL;
    }
    /* Noted later, it would be in a directory that has changed; but it costs nothing to look. */
    if (!m.noted)
        m.noted = slot_object(&a->slots, id, &m.object, &ignored) == RC_OK;
    if (there)
        *there = m;
    return m;
}
