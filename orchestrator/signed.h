/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/signed: which orders were signed on this machine for grounds elsewhere: of each
 * satellite of a mission the newest one, and the versions that were ever named.  A ground that is
 * asked can lie about all of it, so this is kept here, beside the contexts:
 *
 *     ~/.config/berth/signed/MISSION/SATELLITE.a and .b       (base/statefile, mode 0600)
 *         ["berth-signed", 1, mission, satellite, generation, content, server, newest,
 *          [ * [tenant, name, manifest] ]]                    deterministic CBOR
 *
 * It is written before a signature leaves.  What is damaged, another's or open to others is an
 * error, never "nothing was signed": forgetting would let the same generation be signed twice.
 */
#ifndef BERTH_ORCHESTRATOR_SIGNED_H
#define BERTH_ORCHESTRATOR_SIGNED_H

#include "manifest/doc.h"

#define SIGNED_LINES_MAX                                                                           \
    256U /* of one satellite: PAYLOADS_MAX newest, and what there was before                       \
          */
#define SIGNED_FILE_MAX ((size_t)32 * 1024)

struct signed_line {
    char tenant[NAME_CAP];
    char name[NAME_CAP];
    struct digest manifest;
};

/* What is remembered of one satellite.  Large: keep it on the heap. */
struct signed_before {
    char satellite[NAME_CAP];
    uint64_t generation;   /* of the newest order; 0 = none was signed here */
    struct digest content; /* of it, as signed_content */
    struct digest server;  /* who asked for it, as signed_server */
    uint32_t n_newest;     /* so many of the lines are what it names; the rest is older */
    uint32_t n_lines;
    struct signed_line line[SIGNED_LINES_MAX];
};

/* What an order says, whatever its time of issue and the head of the log that it brings up: two of
 * one generation that agree in this do the same. */
must_check enum rc signed_content(const struct order *order, struct digest *ret, struct err *err);

/* A server by its URL. */
must_check enum rc signed_server(const char *url, struct digest *ret, struct err *err);

/* Whether an order may be signed after what was: its generation is above, or it is that very order
 * once more for the same server, whose answer may have got lost; again: or another one of that
 * generation for that server, because somebody knows that it has refused the first.
 * RC_LOOK_GENERATION. */
must_check enum rc signed_allows(const struct signed_before *before, const struct order *order,
                                 const struct digest *server, bool again, struct err *err);

/* Add an order; what is oldest is forgotten when there is no room. */
must_check enum rc signed_add(struct signed_before *before, const struct order *order,
                              const struct digest *server, struct err *err);

/* Whether a version was named in an order for this satellite; newest: in the newest one. */
bool signed_names(const struct signed_before *before, const char *tenant, const char *name,
                  const struct digest *manifest, bool newest);

/* To and from the bytes of the file; strict.  *ret is untouched on failure. */
must_check enum rc signed_encode(const struct signed_before *before, const struct mission *mission,
                                 uint8_t *buf, size_t cap, struct bytes *ret, struct err *err);
must_check enum rc signed_decode(struct bytes in, const struct mission *mission,
                                 struct signed_before *ret, struct err *err);

/* The directory of a mission, in which only its owner can read and write; made if missing.
 * RC_SIGNED. */
must_check enum rc signed_open(const struct mission *mission, int *ret_dirfd, struct err *err);

/* What is remembered of a satellite; one that is not there has generation 0.  RC_SIGNED,
 * RC_STATE_DAMAGED. */
must_check enum rc signed_load(int dirfd, const struct mission *mission, const char *satellite,
                               struct signed_before *ret, struct err *err);

/* An order that is about to be signed, and what was remembered when it was looked at. */
struct signed_next {
    const struct order *order;
    uint64_t generation;
    struct digest content;
};

/* The version of a payload that was ordered before the newest order, or before the one that took
 * it away; NULL if none is known. */
const struct signed_line *signed_last(const struct signed_before *before, const char *tenant,
                                      const char *name);

/* Remember orders that are about to be signed, durably: all of them are allowed, or none is
 * written.  No other run of berth can come in between.  The codes of signed_allows and
 * signed_load; RC_BUSY: another run is at it, or was since they were looked at, so that what
 * looking has found no longer holds. */
must_check enum rc signed_note(int dirfd, const struct mission *mission,
                               const struct signed_next *next, size_t n,
                               const struct digest *server, bool again, struct err *err);

#endif
