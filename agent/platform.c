/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/platform.h"

#include <sys/epoll.h>

#include "base/clock.h"
#include "base/log.h"

#define LINES_PER_TURN 16U

uint64_t platform_now_ms(const struct agent *a, enum platform_clock *ret)
{
    const struct inputs_table *t = &a->inputs;
    uint64_t floor = a->trust ? trust_time_floor(a->trust) : a->state.time_floor;
    uint64_t now = agent_now_unix();
    enum platform_clock clock = PLATFORM_CLOCK_MACHINE;

    if (t->time_ms != 0) {
        now = t->time_ms + (clock_mono_ms() - t->time_mono_ms);
        clock = PLATFORM_CLOCK_TOLD;
    }
    if (now < floor) {
        now = floor;
        clock = PLATFORM_CLOCK_FLOOR;
    }
    if (ret)
        *ret = clock;
    return now;
}

static enum rc take(struct agent *a, const struct input *in, struct err *err)
{
    enum rc rc =
        inputs_take(&a->inputs, in, platform_now_ms(a, NULL) / 1000U, clock_mono_ms(), err);

    if (rc == RC_OK)
        reconcile_input(&a->table, in);
    return rc;
}

/* False: nothing more is there. */
static bool hear_one(struct agent *a)
{
    struct input in = { .kind = INPUT_NONE };
    struct input_sender from;
    struct err err = { 0 };
    enum rc rc = inputs_receive(a->inputs_sock, a->inputs_uid, &in, &from, &err);

    if (rc == RC_TIMEOUT)
        return false;
    if (rc == RC_IO) {
        log_err(LOG_LEVEL_ERROR, &err, "the platform is not heard any more");
        a->on_inputs = sd_event_source_disable_unref(a->on_inputs);
        return false;
    }
    if (rc == RC_OK)
        rc = take(a, &in, &err);
    inputs_answer(a->inputs_sock, &from, rc == RC_OK ? NULL : &err);
    if (rc != RC_OK) {
        log_err(LOG_LEVEL_DEBUG, &err, "refused line of user %u", from.uid);
        abuse_add(rc == RC_INPUT_SENDER ? &a->strangers : &a->misheard, 1);
    }
    return true;
}

static int on_inputs(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct agent *a = arg;

    (void)source;
    (void)fd;
    (void)events;
    for (uint32_t i = 0; i < LINES_PER_TURN && hear_one(a); i++)
        continue;
    agent_step(a);
    return 0;
}

void platform_tick(struct agent *a)
{
    uint64_t now = clock_mono_ms();
    uint32_t strangers = abuse_due(&a->strangers, now, false);
    uint32_t misheard = abuse_due(&a->misheard, now, false);

    if (strangers > 0)
        agent_event(a, RC_INPUT_SENDER, strangers, "inputs");
    if (misheard > 0)
        agent_event(a, RC_INPUT_LINE, misheard, "inputs");
}

enum rc platform_open(struct agent *a, struct err *err)
{
    if (a->inputs_sock >= 0 &&
        sd_event_add_io(a->loop, &a->on_inputs, a->inputs_sock, EPOLLIN, on_inputs, a) < 0)
        return err_set(err, RC_IO, "inputs");
    return RC_OK;
}
