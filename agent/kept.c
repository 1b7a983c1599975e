/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/kept.h"

#include "agent/lists.h"
#include "agent/measure.h"
#include "agent/repair.h"
#include "agent/room.h"
#include "agent/stored.h"
#include "base/log.h"

static void drop(struct agent *a, const struct digest *object)
{
    struct err err = { 0 };

    if (objects_remove(&a->objects, object, &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "remove kept package");
}

enum rc kept_of(const struct agent *a, const struct slot_id *id, struct digest *ret,
                struct err *err)
{
    struct digest object;
    enum rc rc = slot_object(&a->slots, id, &object, err);

    if (rc == RC_OK && !objects_has(&a->objects, &object))
        rc = err_set(err, RC_NOT_FOUND, "%s/%s: package", id->tenant, id->payload);
    if (rc == RC_OK)
        *ret = object;
    return rc;
}

/* The note may be the only trace of a package that came again in another envelope. */
void kept_take(struct agent *a, const struct slot_id *id, const char *team,
               const struct digest *object)
{
    struct digest before;
    struct err err = { 0 };

    if (kept_of(a, id, &before, &err) == RC_OK && !digest_same(&before, object))
        drop(a, &before);
    enum rc rc = slot_set_object(&a->slots, id, object, &err);
    measure_forget(a, id);
    if (rc == RC_OK)
        rc = room_for_kept(a, id, team, &err);
    if (rc == RC_OK)
        rc = stored_may_keep(a, id, object, &err);
    if (rc == RC_OK) {
        repair_kept(a, id);
        return;
    }
    if (rc != RC_STORE_QUOTA)
        log_err(LOG_LEVEL_WARN, &err, "keep the package of %s/%s", id->tenant, id->payload);
    drop(a, object);
}

void kept_drop(struct agent *a, const struct slot_id *id)
{
    struct digest object;
    struct err err = { 0 };

    if (kept_of(a, id, &object, &err) == RC_OK)
        drop(a, &object);
}

/* ---- all of them --------------------------------------------------------------------------------
 */

/* A walk over the slots that looks for an object. */
struct search {
    const struct agent *a;
    const struct digest *object;
    bool found;
    bool doubt; /* there was no memory or descriptor to look into one */
};

static bool look(void *arg, const struct slot_id *id)
{
    struct search *s = arg;
    struct digest object;
    struct err err = { 0 };

    s->found = kept_of(s->a, id, &object, &err) == RC_OK && digest_same(&object, s->object);
    s->doubt |= err_passes(&err);
    return !s->found;
}

enum kept kept_is(struct agent *a, const char *tenant, const struct digest *object)
{
    struct search s = { .a = a, .object = object };
    struct err err = { 0 };
    enum rc rc = list_slots_strictly(a, "", look, &s, &err);

    if (!s.found && rc == RC_STATE_DIR && tenant[0] != '\0') /* or is it another's that is bad? */
        rc = list_slots_strictly(a, tenant, look, &s, &err);
    if (!s.found && rc != RC_OK && rc != RC_STATE_DIR)
        log_err(LOG_LEVEL_WARN, &err, "kept packages");
    if (s.found)
        return KEPT_YES;
    return rc == RC_OK && !s.doubt ? KEPT_NO : KEPT_PERHAPS;
}
