/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/audit_file: an audit log in one file that can be checked without the store: a CBOR
 * sequence (RFC 8742) of a head and the records (docs/wire/audit.cddl).
 *
 * The head holds the mission's roots and says where the log ends.  It is signed by nobody: the
 * roots prove themselves, the records prove each other, and a file that was cut off together with
 * its head is told only by who knows a later head, as satellites do.  A file is hostile.
 */
#ifndef BERTH_ORCHESTRATOR_AUDIT_FILE_H
#define BERTH_ORCHESTRATOR_AUDIT_FILE_H

#include "orchestrator/audit.h"

#define AUDIT_FILE_MAX (512U * 1024U * 1024U)

/* One root of the head: its envelope. */
struct audit_file_root {
    struct bytes envelope;
};

/* What stands at the beginning.  Views; at most AUDIT_ROOTS_MAX roots. */
struct audit_file_head {
    struct mission mission;
    uint64_t seq; /* of the last record, 0 = there is none */
    struct digest head;
    size_t n_roots;
    const struct audit_file_root *root;
};

/* Encode the head into fresh memory; the caller frees *ret. */
must_check enum rc audit_file_head_encode(const struct audit_file_head *head, uint8_t **ret,
                                          size_t *ret_n, struct err *err);

/* Check a whole file: its roots, its records, its end.  RC_AUDIT_BROKEN names the entry and what is
 * wrong with it, or says that it is no such file.  Free *ret with audit_walk_done. */
must_check enum rc audit_file_check(struct bytes file, struct audit_walk *ret, struct err *err);

/* Whether the file was made from these roots: one of them has this payload digest. */
must_check enum rc audit_file_has_root(struct bytes file, const struct digest *root, bool *ret,
                                       struct err *err);

#endif
