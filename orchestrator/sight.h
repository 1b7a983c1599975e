/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/sight: what the ground needs of every satellite's order and report all the time.
 * Pure.  A decoded report is 54 kB and an order 9 kB, whatever they hold: of a fleet only this is
 * kept, and who needs more of one satellite reads its report (view_report).
 *
 * Both are views: what they point to is somebody else's, and lives longer.
 */
#ifndef BERTH_ORCHESTRATOR_SIGHT_H
#define BERTH_ORCHESTRATOR_SIGHT_H

#include "manifest/doc.h"
#include "orchestrator/arena.h"

/* What an order asks for. */
struct want {
    uint64_t generation; /* 0 = there is no order */
    uint32_t n_lines;
    const struct order_line *line; /* sorted by tenant, then name */
};

/* What a report says.  Members are those of struct report that have their names, but for these. */
struct sight {
    uint64_t epoch;
    uint64_t seq;
    uint64_t root_version;
    uint64_t generation;
    uint64_t staged;
    struct witness witness;
    struct report_walls walls;
    uint32_t lost;
    uint32_t passes_order;
    uint32_t passes_document;
    bool keeps_witness;
    bool trial;                      /* agent.trial */
    char agent_version[VERSION_CAP]; /* agent.version */
    struct digest agent_running;     /* agent.running */
    uint32_t n_payloads;
    uint32_t n_objects;
    uint32_t n_damaged;
    const struct report_payload *payload;
    const struct digest *object;
    const struct digest *damaged; /* scrub.wanted */
    const char *drift; /* what the newest event of RC_DRIFT is about; NULL = there is none */
};

/* Views of a whole order (NULL: none) or report. */
struct want want_of(const struct order *order);
struct sight sight_of(const struct report *report);

/* The same with all of it in the arena.  RC_NO_MEMORY. */
must_check enum rc want_keep(struct arena *arena, const struct order *order, struct want *ret,
                             struct err *err);
must_check enum rc sight_keep(struct arena *arena, const struct report *report, struct sight **ret,
                              struct err *err);

/* Whether both orders name the same payloads at the same manifests, by tenant, name and SHA-256. */
bool want_same_lines(const struct want *a, const struct want *b);

/* A number of the lines of an order: those of want_same_lines have the same, on every machine, and
 * others mostly another. */
uint32_t want_mark(const struct want *want);

/* Orders whose lines were kept lately: satellites mostly run the same, and what is the same is then
 * kept once.  All zero has none. */
#define WANT_BOOK 512U
struct want_book {
    struct want slot[WANT_BOOK];
};

/* As want_keep, but lines that are the same to the last byte are those of an order that was kept
 * lately with the same book and arena. */
must_check enum rc want_keep_once(struct want_book *book, struct arena *arena,
                                  const struct order *order, struct want *ret, struct err *err);

/* A sight as bytes, for the store, which keeps it beside the report that it is of: some 100 bytes
 * and 100 more for each payload.  The store's own, of this version of the schema: who changes the
 * form adds a step to store_schema that forgets those there are.  Decoding refuses what encoding
 * would not have written, and keeps the sight in the arena. */
#define SIGHT_MAX (32U * 1024U)
must_check enum rc sight_encode(const struct sight *sight, uint8_t *buf, size_t cap,
                                struct bytes *ret, struct err *err);
must_check enum rc sight_decode(struct bytes in, struct arena *arena, struct sight **ret,
                                struct err *err);

#endif
