/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/ingest: what a report changes in the store.  The bytes are authentic (the
 * satellite's link keys opened them) and still not trusted: a satellite may be taken over.  A
 * report speaks for its own satellite only, and what it says is kept as what it said.
 */
#ifndef BERTH_ORCHESTRATOR_INGEST_H
#define BERTH_ORCHESTRATOR_INGEST_H

#include "link/port.h"
#include "orchestrator/view.h"

/* An object that was delivered and whose effect no report shows after so long is sent again. */
#define INGEST_LOST_MS (60ULL * 1000U)

/* A satellite that has had a whole package for so long and still says that it waits for it, without
 * a code that would say why, has lost it.  Long, since a package is dear and a satellite without
 * room waits, too. */
#define INGEST_PACKAGE_LOST_MS (60ULL * 60U * 1000U)

/* Events kept of one satellite: the newest.  One that is taken over can invent them without end. */
#define INGEST_EVENTS_MAX 1024U

/* A satellite whose agent is on trial waits to be spoken to (docs/guide/integrator.md): it gets the
 * order that it has, so often. */
#define INGEST_GREETING_MS (10ULL * 60U * 1000U)

/* Begin to take something in: a transaction, or within one, a part that is undone by itself.  Both
 * go into scopes of store_rollback and store_undo. */
must_check enum rc ingest_begin(struct store *store, struct store **ret_open,
                                struct store **ret_mark, struct err *err);
must_check enum rc ingest_end(struct store **open, struct store **mark, struct err *err);

/* Keep a report, whole and as a sight; bytes are what it decodes from. */
must_check enum rc ingest_keep(struct store *store, const struct store_observed *row,
                               struct bytes bytes, const struct report *report, struct err *err);

/* Take one report in, as one transaction, or as a part of the caller's: keep it and its events, and
 * mark the order that it names as in force.  RC_REPORT_OLD when (epoch, seq) is not above what is
 * held; RC_NO_SATELLITE when it names another satellite than the one whose keys opened it; nothing
 * is changed then. */
must_check enum rc ingest_report(struct store *store, const char *satellite, struct bytes bytes,
                                 uint64_t now_ms, struct report *ret, struct err *err);

/* What the report says about transfers, as the link's sender takes it. */
void ingest_transfers(const struct report *report, struct port_transfers *ret);

/* A satellite has shown that it has this object. */
must_check enum rc ingest_complete(struct store *store, const char *satellite,
                                   const uint8_t object[DIGEST_SIZE], uint64_t now_ms,
                                   struct err *err);

/* Queue again what the satellite once had and, by its newest report, has lost: the package of a
 * payload that it wants and lacks, the one that it needs to repair a slot, and the newest order
 * while an older one, or none, is in force, or while a new agent is on trial. *ret_again counts. */
must_check enum rc ingest_repair(struct store *store, const struct view *view,
                                 const struct view_satellite *sat, uint64_t now_ms,
                                 uint32_t *ret_again, struct err *err);

#endif
