/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/lists.h"

#include "base/log.h"

static enum rc pass_over(struct agent *a, enum place place, enum rc rc, const struct err *err)
{
    if (rc != RC_STATE_DIR)
        return rc;
    if ((a->bad_places & 1U << place) == 0) {
        a->bad_places |= 1U << place;
        log_err(LOG_LEVEL_ERROR, err, "%s/, a part of it", place_name(place));
        agent_event(a, RC_STATE_DIR, 1, place_name(place));
    }
    return RC_OK;
}

enum rc list_slots(struct agent *a, bool (*fn)(void *arg, const struct slot_id *id), void *arg,
                   struct err *err)
{
    struct err why = { 0 };
    enum rc rc = pass_over(a, PLACE_SLOTS, slot_list(&a->slots, fn, arg, &why), &why);

    if (rc != RC_OK)
        *err = why;
    return rc;
}

enum rc list_objects(struct agent *a,
                     bool (*fn)(void *arg, const struct digest *digest, uint64_t size), void *arg,
                     struct err *err)
{
    struct err why = { 0 };
    enum rc rc = pass_over(a, PLACE_OBJECTS, objects_list(&a->objects, fn, arg, &why), &why);

    if (rc != RC_OK)
        *err = why;
    return rc;
}
