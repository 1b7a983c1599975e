/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/platform_clock: where a time that is told to a payload comes from.
 */
#ifndef BERTH_AGENT_PLATFORM_CLOCK_H
#define BERTH_AGENT_PLATFORM_CLOCK_H

/* The numbers go to berth-bus. */
enum platform_clock {
    PLATFORM_CLOCK_MACHINE = 0, /* the machine's clock, of which nobody has said that it is right */
    PLATFORM_CLOCK_FLOOR = 1,   /* that is behind what documents have shown: it is at least this */
    PLATFORM_CLOCK_TOLD = 2,    /* the platform's, and the time since it told */
};

#endif
