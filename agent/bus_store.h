/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/bus_store: what a payload has used its bus for: messages and commands that wait for it, the
 * newest values of its telemetry, and how much it has sent in this hour.  Pure; bounded whatever
 * the payloads do.
 */
#ifndef BERTH_AGENT_BUS_STORE_H
#define BERTH_AGENT_BUS_STORE_H

#include "agent/buswire.h"

#define BUS_TELEMETRY_GAP_MS (10U * 60U * 1000U) /* between two messages with the newest values */
#define BUS_TELEMETRY_MAX (BUS_KEYS_MAX * (NAME_CAP + BUS_VALUE_MAX + 48U))

/* So many since it began, an hour ago at the most. */
struct bus_hour {
    uint64_t began_ms;
    uint32_t n;
};

struct bus_value {
    char key[NAME_CAP];
    uint32_t n;       /* 0 = the place is free */
    uint64_t told_ms; /* monotonic */
    uint8_t bytes[BUS_VALUE_MAX];
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
    struct bus_value value[BUS_KEYS_MAX];
    bool fresh;       /* a value came since they were sent down */
    uint64_t sent_ms; /* they were, by the monotonic clock; 0 = never */
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

/* All values as one message to the ground, a line for each: key, Unix time in ms at which it was
 * told, bytes of the value, the value itself.  buf has BUS_TELEMETRY_MAX bytes. */
struct bytes bus_telemetry_encode(const struct bus_store *store, uint64_t now_ms,
                                  uint64_t now_unix_ms, uint8_t *buf);

/* Whether they are to be sent down now: one is new, and BUS_TELEMETRY_GAP_MS are over. */
bool bus_telemetry_due(const struct bus_store *store, uint64_t now_ms);

/* The newest value of a key.  RC_BUS_QUEUE: there are as many keys as can be held. */
must_check enum rc bus_value_put(struct bus_store *store, const char *key, struct bytes value,
                                 uint64_t now_ms, struct err *err);

#endif
