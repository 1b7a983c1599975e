/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/ride.h"

const struct digest *ride_base(const struct report_payload *seen)
{
    if (!seen || !seen->is_running || digest_is_none(&seen->running))
        return NULL;
    /* On trial it may be gone tomorrow.  What runs while another version is wanted was committed.
     */
    if (digest_same(&seen->running, &seen->wanted) && seen->state != SLOT_COMMITTED)
        return NULL;
    return &seen->running;
}

bool ride_gains(uint64_t size, uint64_t full)
{
    return size <= full - full / RIDE_MARGIN_PART;
}

/* Why there is no choice but the full package, or RIDE_SMALLEST. */
static enum ride_why obstacle(const struct ride_input *in)
{
    if (in->refused != 0)
        return RIDE_REFUSED;
    if (!in->seen)
        return RIDE_NO_REPORT;
    if (!ride_base(in->seen))
        return RIDE_NO_BASE;
    if (!in->base)
        return RIDE_NO_PACKAGE;
    if (!in->delta || in->delta->state == DELTA_DROPPED)
        return in->making ? RIDE_MAKING : in->failed ? RIDE_UNMAKABLE : RIDE_NOT_MADE;
    if (in->delta->state != DELTA_READY || !ride_gains(in->delta->size, in->package->size))
        return RIDE_NO_GAIN;
    return RIDE_SMALLEST;
}

struct ride ride_choose(const struct ride_input *in)
{
    struct ride ride = { .kind = RIDE_FULL, .why = obstacle(in) };

    if (ride.why == RIDE_SMALLEST || ride.why == RIDE_NOT_MADE || ride.why == RIDE_MAKING ||
        ride.why == RIDE_UNMAKABLE)
        ride.base = in->base->manifest;
    if (ride.why == RIDE_SMALLEST) {
        ride.kind = RIDE_DELTA;
        ride.object = in->delta->object;
        ride.size = in->delta->size;
    } else if (ride.why == RIDE_MAKING) {
        ride.kind = RIDE_WAIT;
    } else {
        ride.object = in->package->object;
        ride.size = in->package->size;
    }
    if (ride.why == RIDE_REFUSED)
        ride.refused = in->refused;
    return ride;
}

bool ride_is_deltas(uint32_t code)
{
    switch ((int)rc_from_number(code)) {
    case RC_DELTA_FORMAT:
    case RC_DELTA_BASE:
    case RC_DELTA_LIMIT:
    case RC_DELTA_MEMORY:
    case RC_DELTA_BOMB:
    case RC_DELTA_RANGE:
    case RC_DELTA_STREAM:
    case RC_DELTA_TRAILING:
    case RC_DELTA_WORK:
    case RC_DELTA_COUNT:
    case RC_SLOT_DAMAGED:
    case RC_INDEX_MISMATCH:
        return true;
    default:
        return false;
    }
}

bool ride_failed(const struct report_payload *seen)
{
    return seen && seen->state == SLOT_RECEIVING && seen->code != 0;
}

const char *ride_why_text(enum ride_why why)
{
    static const char *const texts[RIDE_WHYS] = {
        [RIDE_SMALLEST] = "the delta is smaller",
        [RIDE_NO_REPORT] = "no report of it yet",
        [RIDE_NO_BASE] = "nothing committed runs there",
        [RIDE_NO_PACKAGE] = "no package of what runs there",
        [RIDE_REFUSED] = "a delta did not work there",
        [RIDE_NO_GAIN] = "a delta saves too little",
        [RIDE_NOT_MADE] = "no delta was made",
        [RIDE_MAKING] = "a delta is being made",
        [RIDE_UNMAKABLE] = "a delta could not be made",
    };

    return (unsigned)why < RIDE_WHYS && texts[why] ? texts[why] : "?";
}
