/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest/audit: one entry of the ground's audit log: who changed what, when, and why.
 *
 * An entry is kept as a record: in an envelope that an operator key signed (DOC_AUDIT), or bare
 * where nobody who could sign was there, as with what berth-ground does.  Each entry names the
 * SHA-256 of the record before it, so whoever vouches for one vouches for all that came before,
 * and no signature can be taken off later.  Plain values and their strict, deterministic CBOR;
 * whether a chain of them may be believed is orchestrator/audit's business.  Ground only: nothing
 * of it goes up but its head.
 */
#ifndef BERTH_MANIFEST_AUDIT_H
#define BERTH_MANIFEST_AUDIT_H

#include "manifest/doc.h"

#define AUDIT_WHO_CAP 64U
#define AUDIT_ACTION_CAP 32U
#define AUDIT_WHAT_CAP 512U
#define AUDIT_WHY_MAX 256U /* bytes of UTF-8 */
#define AUDIT_WHY_CAP (AUDIT_WHY_MAX + 1U)
#define AUDIT_APPROVALS_MAX SIGNERS_MAX
#define AUDIT_ENTRY_MAX 2048U   /* bytes of an entry, whatever is in it */
#define AUDIT_RECORD_MAX 49152U /* with the signatures of SIGNERS_MAX keys */

/* Numbers of entries that are gone for good, and that an operator has said they are. */
struct audit_lost {
    uint64_t first, last; /* both 0 = none */
};

struct audit_entry {
    uint64_t seq;            /* from 1; one higher each time, but see lost */
    struct digest previous;  /* SHA-256 of the record before; all zero in the first */
    uint64_t at_ms;          /* Unix time, as the ground believed it */
    uint64_t root_version;   /* of the root in force; 0 = there was none */
    char who[AUDIT_WHO_CAP]; /* printable ASCII, as all three: the login name, or the program */
    char action[AUDIT_ACTION_CAP]; /* "apply", "push", "rollout-pause", ... */
    char what[AUDIT_WHAT_CAP];     /* may be empty */
    char why[AUDIT_WHY_CAP];       /* UTF-8 without control characters, "" = nobody said */
    struct digest plan;            /* hash of the plan that was applied; all zero = none */
    uint32_t n_approvals;
    uint8_t approval[AUDIT_APPROVALS_MAX][KEY_ID_SIZE]; /* keys that signed what was made, by id */
    struct audit_lost lost; /* the entry's own number is above them: they are never used again */
};

/* Decode strictly and check.  *ret is untouched on failure. */
must_check enum rc audit_entry_decode(struct bytes in, struct audit_entry *ret, struct err *err);

/* Whether the values make sense together. */
must_check enum rc audit_entry_check(const struct audit_entry *doc, struct err *err);

/* Check, then encode into buf; *ret is a view of what was written.  AUDIT_ENTRY_MAX is always
 * enough. */
must_check enum rc audit_entry_encode(const struct audit_entry *doc, uint8_t *buf, size_t cap,
                                      struct bytes *ret, struct err *err);

/* The entry inside a record, a view, and whether there are signatures around it.  Only the form has
 * been looked at.  RC_ENVELOPE and CBOR codes. */
must_check enum rc audit_record_open(struct bytes record, struct bytes *ret_entry, bool *ret_signed,
                                     struct err *err);

/* Whether text is a why: at most AUDIT_WHY_MAX bytes of UTF-8 without control characters. */
bool audit_why_ok(const char *text);

#endif
