/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pulse.h"

#include <assert.h>

static_assert(PULSE_S_MIN >= PULSE_QUESTIONS, "a question takes a turn, of a second");

void pulse_init(struct pulse *pulse, uint32_t limit_s)
{
    assert(limit_s >= PULSE_S_MIN && limit_s <= PULSE_S_MAX);
    *pulse = (struct pulse){ .every_ms = limit_s * UINT64_C(1000) / PULSE_QUESTIONS };
}

static bool is_patient(const struct pulse *pulse)
{
    return pulse->heard <= pulse->patient;
}

enum pulse_says pulse_turn(struct pulse *pulse, uint64_t now_ms)
{
    const uint32_t most = PULSE_QUESTIONS * (is_patient(pulse) ? PULSE_PATIENCE : 1U);

    if (now_ms < pulse->next_ms)
        return PULSE_REST;
    if (pulse->missed >= most)
        return PULSE_DEAD;
    pulse->next_ms = now_ms + pulse->every_ms;
    pulse->missed++;
    pulse->asked++;
    return PULSE_ASK;
}

void pulse_heard(struct pulse *pulse, uint64_t number)
{
    if (number > pulse->asked || number <= pulse->heard)
        return;
    pulse->heard = number;
    pulse->missed = 0;
}

void pulse_be_patient(struct pulse *pulse)
{
    pulse->patient = pulse->asked;
}
