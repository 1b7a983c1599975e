/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/pulse: whether berth-link, or berth-post, is there, or only seems to be.  berthd's own
 * watchdog is its init's: a turn of its event loop, within half of that time, is what keeps it.
 * berth-link has the same of berthd: a PORT_PING (berth-post: POST_PING), and it has come to it
 * within the time.  Pure: time is an argument.
 *
 * Turns of berthd are counted, not time alone: one that could not run itself for a while finds the
 * answers that lie there before it asks for the next one.
 */
#ifndef BERTH_AGENT_PULSE_H
#define BERTH_AGENT_PULSE_H

#include <stdbool.h>
#include <stdint.h>

#define PULSE_S 120U   /* without an answer: it hangs */
#define PULSE_S_MIN 4U /* a turn of a second for each question */
#define PULSE_S_MAX 86400U
#define PULSE_QUESTIONS 4U /* in that time */
#define PULSE_PATIENCE 5U  /* times as long, while it reads all that it keeps */

/* Begin with pulse_init. */
struct pulse {
    uint64_t every_ms; /* between questions */
    uint64_t next_ms;
    uint64_t asked, heard; /* numbers */
    uint64_t patient;      /* until something behind this number is heard */
    uint32_t missed;       /* questions in a row without any answer between them */
};

enum pulse_says { PULSE_REST, PULSE_ASK, PULSE_DEAD };

/* Without an answer for limit_s seconds, PULSE_S_MIN to PULSE_S_MAX, it is dead.  Until its first
 * answer it is given as long as for its longest work. */
void pulse_init(struct pulse *pulse, uint32_t limit_s);

/* At every turn.  PULSE_ASK: ask with the number pulse->asked; if that cannot be sent, it counts as
 * not answered. */
enum pulse_says pulse_turn(struct pulse *pulse, uint64_t now_ms);

/* An answer.  A number that was not asked says nothing. */
void pulse_heard(struct pulse *pulse, uint64_t number);

/* It has been given something that may take long, and answers nothing before that is done. */
void pulse_be_patient(struct pulse *pulse);

#endif
