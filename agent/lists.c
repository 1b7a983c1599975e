/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/lists.h"

#include "base/log.h"

static void tell_part(struct agent *a, enum place place, const struct err *err)
{
    if ((a->bad_places & 1U << place) == 0) {
        a->bad_places |= 1U << place;
        log_err(LOG_LEVEL_ERROR, err, "%s/, a part of it", place_name(place));
        agent_event(a, RC_STATE_DIR, 1, place_name(place));
    }
}

enum rc list_slots_strictly(struct agent *a, const char *tenant,
                            bool (*fn)(void *arg, const struct slot_id *id), void *arg,
                            struct err *err)
{
    struct err why = { 0 };
    enum rc rc = tenant[0] == '\0' ? slot_list(&a->slots, fn, arg, &why)
                                   : slot_list_of(&a->slots, tenant, fn, arg, &why);

    if (rc == RC_STATE_DIR)
        tell_part(a, PLACE_SLOTS, &why);
    if (rc != RC_OK)
        *err = why;
    return rc;
}

enum rc list_slots(struct agent *a, bool (*fn)(void *arg, const struct slot_id *id), void *arg,
                   struct err *err)
{
    struct err why = { 0 };
    enum rc rc = list_slots_strictly(a, "", fn, arg, &why);

    if (rc == RC_STATE_DIR)
        return RC_OK;
    if (rc != RC_OK)
        *err = why;
    return rc;
}

enum rc list_objects(struct agent *a,
                     bool (*fn)(void *arg, const struct digest *digest, uint64_t size), void *arg,
                     struct err *err)
{
    struct err why = { 0 };
    enum rc rc = objects_list(&a->objects, fn, arg, &why);

    if (rc == RC_STATE_DIR) {
        tell_part(a, PLACE_OBJECTS, &why);
        return RC_OK;
    }
    if (rc != RC_OK)
        *err = why;
    return rc;
}
