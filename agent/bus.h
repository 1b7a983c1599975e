/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/bus: berthd's end of the payloads' buses: it waits for a payload's first call, starts a
 * berth-bus for it, and answers what that asks.
 *
 * A berth-bus is as hostile as its payload.  It is known by the socket it was started with, asks
 * so many questions a second, and gets told what its own payload may know.  What it holds goes with
 * the instance: queues and newest values are in memory.
 */
#ifndef BERTH_AGENT_BUS_H
#define BERTH_AGENT_BUS_H

#include <systemd/sd-event.h>

#include "agent/abuse.h"
#include "agent/bus_start.h"
#include "agent/bus_store.h"
#include "manifest/doc.h"

#define BUS_ASKS_S 256U          /* answered in a second, for one payload */
#define BUS_BACKOFF_MIN_MS 1000U /* after a berth-bus that failed; doubles */
#define BUS_BACKOFF_MAX_MS 60000U

struct agent;
struct proc;

/* Who may be sent to, from manifest and grant. */
struct bus_peers {
    uint32_t n;
    char name[MANIFEST_PEERS_MAX][NAME_CAP];
};

/* What a payload is to its bus: set when it is launched. */
struct bus_facts {
    struct digest manifest;
    struct resources limits;
    struct bus_peers peers;
    bool sealed;
};

/* The bus of one payload.  All zero but the descriptors: it has none. */
struct bus {
    int listen_fd;              /* -1 = none */
    struct bus_process process; /* its berth-bus; pid 0 = none runs */
    uint32_t asks_left;
    uint32_t failures; /* of berth-bus, in a row */
    uint64_t not_before_ms;
    sd_event_source *on_call, *on_ask, *on_end;
    struct abuse abuse;
    struct bus_facts facts;
    struct bus_store *store; /* NULL = not used yet */
};

#define BUS_INIT ((struct bus){ .listen_fd = -1, .process = { .pidfd = -1, .sock = -1 } })

/* What the launched version of a payload is to its bus; it may send to the peers that its manifest
 * names if its grant lets payloads do that at all. */
struct bus_facts bus_facts(const struct manifest *m, const struct grant *grant,
                           const struct digest *manifest);

/* Wait for calls on a listening socket, which is taken over. */
must_check enum rc bus_open(struct agent *a, struct proc *p, int *listen_fd, struct err *err);

/* End its berth-bus and forget everything; harmless on BUS_INIT. */
void bus_close(struct bus *bus);

/* Every second, and when the payload has ended: go on listening, tell what was refused, and send
 * telemetry down. */
void bus_tick(struct agent *a, struct proc *p, bool ending);

/* A command for an instance that runs, from its ground; *ret_id is what its payload will name it
 * by. RC_NOT_FOUND: it does not run.  RC_BUS_QUEUE: it has not dealt with those before. */
must_check enum rc bus_command(struct agent *a, uint64_t instance, const char *name,
                               struct bytes body, uint64_t *ret_id, struct err *err);

/* Whether a bus is there that commands can go to. */
bool bus_serves(const struct agent *a, uint64_t instance);

/* Take a command back; nothing if it has been dealt with. */
void bus_withdraw(struct agent *a, uint64_t instance, uint64_t id);

#endif
