/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/rekey: what a rekey (manifest/rekey) does on board, and the private keys that rekeys are
 * for: the satellite's KEM pairs and the master wrapping keys, in berthd's state file "rekey"
 * (0600, both copies alike).
 *
 * Order of steps: verify; open everything of the document or nothing; hand the link keys to
 * berth-link, and wait until it holds each one durably; save masters, pairs and the rekey's number
 * in one file; done.  A power cut anywhere means that the object is offered again, and every step
 * can be done again: the same key twice is one key.  Keys that berth-link has and the number does
 * not cover yet are accepted but not used (link/keyring), so nothing rests on them.
 *
 * The number is kept with the keys: if the file is lost, so are the keys that older rekeys are for,
 * and none of these can be opened again.  Then a new pair is made and told; the link goes on.
 *
 * Secrets are wiped after use.  berth-link may have been taken over: it is given link keys, which
 * it has anyway, and never a KEM seed or a master key.
 */
#ifndef BERTH_AGENT_REKEY_H
#define BERTH_AGENT_REKEY_H

#include "link/port.h"
#include "manifest/trust.h"

struct agent;

#define REKEY_FILE "rekey" /* state file */
#define REKEY_BOX_MAX 512U /* of its content */
#define REKEY_ASK_MS 1000U /* berth-link is asked again after so long */

/* What is kept.  Secret. */
struct rekey_box {
    uint64_t number;      /* of the newest rekey taken, 0 = none */
    struct digest digest; /* SHA-256 of its payload */
    uint64_t issued_ms;
    bool proven; /* a rekey for the newest pair was opened: the ground has its public half */
    struct rekey_keys keys; /* oldest first: the pair and the master in use, and the next ones */
    uint32_t master_epoch[REKEY_MASTERS_MAX];
};

/* A rekey whose link keys berth-link is still to hold. */
struct rekey_wait {
    struct digest digest; /* of its payload; all zero = none */
    uint64_t asked_ms;
    uint32_t n;
    struct port_key_id id[REKEY_ENTRIES_MAX];
    bool held[REKEY_ENTRIES_MAX];
    uint32_t refused; /* enum rc: what berth-link said to one of them */
};

struct rekey_agent {
    struct rekey_box box;
    struct rekey_wait wait;
    uint32_t tell_public; /* reports that carry the public half */
    bool links_known;
    struct port_keys links; /* as berth-link says */
};

/* At start, when the state is loaded: load the box, or make the first pair. */
void rekey_load(struct agent *a);

/* A document of that kind.  RC_BUSY: it waits for berth-link, bring it again when rekey_answer says
 * so, or after REKEY_ASK_MS. */
must_check enum rc rekey_take(struct agent *a, struct bytes envelope, struct err *err);

/* What berth-link says; true if a waiting document is worth another look. */
bool rekey_answer(struct agent *a, const struct port_key_held *held);
void rekey_links(struct agent *a, const struct port_keys *keys);

/* Fill in the part of a report, for the report of this sequence number.  Counts what was told. */
void rekey_report(struct agent *a, uint64_t seq, struct report_keys *ret);

/* The file's form, strict both ways; for rekey_load, and for tests. */
must_check enum rc rekey_box_decode(struct bytes in, struct rekey_box *ret, struct err *err);
must_check enum rc rekey_box_encode(const struct rekey_box *box, uint8_t *buf, size_t cap,
                                    struct bytes *ret, struct err *err);

/* What a rekey makes of the box, all but the new pair's seed, which is given.  Pure. */
void rekey_box_apply(struct rekey_box *box, const struct rekey *doc, const struct digest *digest,
                     const struct rekey_opened *opened, const uint8_t fresh[KEM_SEED_SIZE]);

#endif
