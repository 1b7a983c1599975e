/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/audit: whether a chain of audit records is whole, and who vouches for it.  Pure.
 *
 * Input is hostile: a store that somebody may have written to, or a file from anywhere.  The walk
 * takes the mission's roots first, each believed as a satellite believes it, then the records in
 * order.  An entry counts as signed if an operator key of the root that it names signed it.  The
 * root version never falls along the chain: a key that a later root has taken out vouches for what
 * was written before, and can add nothing.  What stands before a signed entry is under its
 * signature, too.
 *
 * What the walk cannot see is a chain that was cut off, or written again, with all that says how
 * long it was: that is for the witness in orbit (audit_witness).
 */
#ifndef BERTH_ORCHESTRATOR_AUDIT_H
#define BERTH_ORCHESTRATOR_AUDIT_H

#include "manifest/audit.h"
#include "manifest/trust.h"

#define AUDIT_ROOTS_MAX 4096U

/* How far a walk has come.  Begin with all zero; end with audit_walk_done. */
struct audit_walk {
    struct trust *trust; /* after the newest root taken */
    size_t n_roots;
    struct key_set **operators; /* of root i + 1 */
    struct mission mission;
    struct digest first_root; /* SHA-256 of its payload */

    uint64_t seq;          /* of the newest entry, 0 = none */
    struct digest head;    /* SHA-256 of its record */
    uint64_t root_version; /* that it names */
    uint64_t entries, n_signed;
    uint64_t signed_seq; /* the newest one with a signature: all up to it is under one */
    uint64_t n_lost;     /* numbers that operators have given up */
};
void audit_walk_done(struct audit_walk *walk); /* scope cleaner */

/* The next root, from version 1 on: the codes of trust_new and trust_next_root. */
must_check enum rc audit_walk_root(struct audit_walk *walk, struct bytes envelope, struct err *err);

/* The next record.  RC_AUDIT_BROKEN names the entry and what is wrong; the walk is over then.
 * ret and ret_hash may be NULL. */
must_check enum rc audit_walk_record(struct audit_walk *walk, struct bytes record,
                                     struct audit_entry *ret, struct digest *ret_hash,
                                     struct err *err);

/* The walk must have ended at this entry: RC_AUDIT_BROKEN says how many are missing or too many. */
must_check enum rc audit_walk_end(const struct audit_walk *walk, uint64_t seq,
                                  const struct digest *head, struct err *err);

#endif
