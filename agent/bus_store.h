/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/bus_store: what a payload has used its bus for: messages and commands that wait for it, the
 * newest samples of its telemetry, and how much it has sent in this hour.  Pure; bounded whatever
 * the payloads do.
 */
#ifndef BERTH_AGENT_BUS_STORE_H
#define BERTH_AGENT_BUS_STORE_H

#include "agent/buswire.h"
#include "link/telemetry.h"

#define BUS_TELEMETRY_GAP_MS (10U * 60U * 1000U) /* from the first sample to a batch */
#define BUS_RING 128U /* samples of a payload that wait in memory; the oldest give way */

/* So many since it began, an hour ago at the most. */
struct bus_hour {
    uint64_t began_ms;
    uint32_t n;
};

/* The newest samples, in the order of their numbers, which begin at 1. */
struct bus_ring {
    uint64_t next;                            /* number of the next one, less 1 */
    uint32_t n;                               /* that wait: next - n + 1 .. next */
    uint64_t since_ms;                        /* monotonic, since when one waits */
    struct telemetry_sample sample[BUS_RING]; /* number modulo BUS_RING */
};

/* What waits for a payload: the oldest first. */
struct bus_queue {
    uint64_t next_id;
    uint32_t n;
    struct bus_post post[BUS_MESSAGES_MAX];
};

/* What a payload has used its bus for; made when it calls first, or is sent something. */
struct bus_store {
    struct bus_queue messages, commands;
    char key[BUS_KEYS_MAX][NAME_CAP]; /* that were used; "" = free */
    struct bus_ring ring;
    uint64_t batch_ms; /* no batch is tried before, by the monotonic clock */
    struct bus_hour puts, sends;
};

/* Put something at the end of a queue.  RC_BUS_QUEUE. */
must_check enum rc bus_queue_add(struct bus_queue *q, const char *from, struct bytes body,
                                 struct err *err);

/* Take what has this id out.  RC_NOT_FOUND. */
must_check enum rc bus_queue_done(struct bus_queue *q, uint64_t id, struct err *err);

/* One more in this hour; false if that is too many. */
bool bus_hour_take(struct bus_hour *hour, uint32_t most, uint64_t now_ms);

/* How many are left in this hour. */
uint32_t bus_hour_left(const struct bus_hour *hour, uint32_t most, uint64_t now_ms);

/* One more sample, in the place of the oldest if the ring is full.  RC_BUS_QUEUE: there are as many
 * keys as can be held.  RC_BUS_TOO_LARGE. */
must_check enum rc bus_sample_put(struct bus_store *store, const char *key, struct bytes value,
                                  uint64_t now_ms, uint64_t unix_ms, struct err *err);

/* Whether a batch is to be sent down: there is one, or a sample waits for BUS_TELEMETRY_GAP_MS. */
bool bus_batch_due(const struct bus_store *store, uint64_t now_ms);

/* The oldest samples that wait, which stay; at least one waits. */
void bus_batch(const struct bus_store *store, uint64_t instance, struct telemetry_batch *ret);

/* The n oldest are safe. */
void bus_batch_done(struct bus_store *store, uint32_t n, uint64_t now_ms);

#endif
