/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/trust.h"
#include "manifest/trust_parts.h"
#include "manifest/wire.h"

/* The latest time that is believed without the root role's word. */
static uint64_t ceiling_of(const struct trust *trust)
{
    return trust->anchor_ms + TRUST_AHEAD_MAX_MS;
}

/* What time it is at least.  A clock beyond the ceiling is as good as none. */
uint64_t trust_time_by(uint64_t floor_ms, uint64_t anchor_ms, uint64_t now_ms)
{
    return now_ms > floor_ms && now_ms <= anchor_ms + TRUST_AHEAD_MAX_MS ? now_ms : floor_ms;
}

uint64_t trust_time(const struct trust *trust, uint64_t now_ms)
{
    return trust_time_by(trust->floor_ms, trust->anchor_ms, now_ms);
}

/* For what the root role did not sign.  Measured from the root's word and not from the floor, so
 * that no chain of documents, each a little later, walks time to its end. */
enum rc trust_check_issued(const struct trust *trust, uint64_t issued_ms, struct err *err)
{
    if (issued_ms > ceiling_of(trust))
        return err_set(err, RC_TIME_JUMP, "issued");
    return RC_OK;
}

/* The same for what the operator signs; what is held already was not too late when it came. */
enum rc trust_check_operator_issued(const struct trust *trust, uint64_t issued_ms, bool held,
                                    struct err *err)
{
    if (issued_ms < trust->root.operator_since_ms)
        return err_set(err, RC_ISSUED_BEFORE, "issued");
    return held ? RC_OK : trust_check_issued(trust, issued_ms, err);
}

bool trust_is_expired(const struct trust *trust, uint64_t expires_ms, uint64_t now_ms)
{
    return expires_ms != 0 && trust_time(trust, now_ms) >= expires_ms;
}

/* The root role says that it is this late. */
void trust_raise_anchor(struct trust *trust, uint64_t issued_ms)
{
    if (issued_ms > trust->anchor_ms)
        trust->anchor_ms = issued_ms;
    trust_raise_floor(trust, issued_ms);
}

uint64_t trust_time_floor(const struct trust *trust)
{
    return trust->floor_ms;
}

void trust_raise_floor(struct trust *trust, uint64_t floor_ms)
{
    if (floor_ms > trust->floor_ms)
        trust->floor_ms = floor_ms;
}

void trust_restore_time(struct trust *trust, uint64_t floor_ms, uint64_t anchor_ms)
{
    trust_raise_anchor(trust, anchor_ms < WIRE_UINT_MAX ? anchor_ms : WIRE_UINT_MAX);
    trust_raise_floor(trust, floor_ms < WIRE_UINT_MAX ? floor_ms : WIRE_UINT_MAX);
}

uint64_t trust_time_anchor(const struct trust *trust)
{
    return trust->anchor_ms;
}

static uint64_t later(uint64_t at_ms, uint64_t by_ms)
{
    return by_ms < WIRE_UINT_MAX - at_ms ? at_ms + by_ms : WIRE_UINT_MAX;
}

void trust_pass(struct trust *trust, uint64_t elapsed_ms)
{
    trust->floor_ms = later(trust->floor_ms, elapsed_ms);
    trust->anchor_ms = later(trust->anchor_ms, elapsed_ms);
}

/* An expiry that the believed time has passed: it stays passed, wherever the clock goes. */
static void pin_expiry(struct trust *trust, uint64_t expires_ms, uint64_t now_ms)
{
    if (trust_is_expired(trust, expires_ms, now_ms))
        trust_raise_floor(trust, expires_ms);
}

uint32_t trust_expired(const struct trust *trust, uint64_t now_ms)
{
    uint32_t n = trust_is_expired(trust, trust->root.expires_ms, now_ms);

    for (size_t i = 0; i < trust->n_grants; i++)
        n += trust_is_expired(trust, trust->grant[i]->doc.expires_ms, now_ms);
    return n;
}

enum trust_clock trust_observe(struct trust *trust, uint64_t now_ms)
{
    pin_expiry(trust, trust->root.expires_ms, now_ms);
    for (size_t i = 0; i < trust->n_grants; i++)
        pin_expiry(trust, trust->grant[i]->doc.expires_ms, now_ms);
    trust_lapse_teams(trust, now_ms);
    if (now_ms > ceiling_of(trust))
        return TRUST_CLOCK_AHEAD;
    return now_ms + TRUST_CLOCK_SLACK_MS < trust->floor_ms ? TRUST_CLOCK_BEHIND : TRUST_CLOCK_GOOD;
}
