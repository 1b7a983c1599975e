/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/rounds: when a scrub reads what next.  Pure: time comes in as an argument, and nothing is
 * read here.  A round is a list of items of known size; its items are spread over the time that a
 * round may take, in proportion to their bytes, so that the medium is never busy for long and a
 * round that was held up (something was being installed) catches up by itself.
 */
#ifndef BERTH_AGENT_ROUNDS_H
#define BERTH_AGENT_ROUNDS_H

#include <stdbool.h>
#include <stdint.h>

#define ROUNDS_HOURS_MAX 8760U

struct rounds {
    uint64_t round_s; /* so long takes a round */
    bool active;
    bool rush;         /* this one as fast as it goes: it was asked for */
    uint64_t began_ms; /* monotonic, of the newest round */
    uint64_t ended_ms; /* of the last one that ended */
    uint32_t ended;    /* rounds that did */
    uint32_t n, next;  /* items of this round, and the one to read next */
    uint64_t kib, done_kib;
};

/* The first round is due at once.  round_s is not 0. */
void rounds_init(struct rounds *r, uint64_t round_s);

/* Somebody asks for a whole round now: the one under way begins anew, and does not wait. */
void rounds_ask(struct rounds *r);

/* Whether it is time to make the list for a new round. */
bool rounds_may_begin(const struct rounds *r, uint64_t now_ms);

/* Begin with n items of so many bytes in all.  Without items it has ended at once. */
void rounds_begin(struct rounds *r, uint64_t now_ms, uint32_t n, uint64_t bytes);

/* Whether the next item (r->next) is to be read now. */
bool rounds_due(const struct rounds *r, uint64_t now_ms);

/* It has been read, or was passed over; bytes as the list had them.  True: that was the last. */
bool rounds_read(struct rounds *r, uint64_t now_ms, uint64_t bytes);

/* Seconds since the last round ended; 0 without one. */
uint32_t rounds_age_s(const struct rounds *r, uint64_t now_ms);

#endif
