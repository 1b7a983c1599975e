/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/rekeys: what the ground keeps of one satellite to make rekeys for it: its KEM key,
 * the master wrapping keys, the number of the last rekey.  Link secrets are link/state's.
 *
 * All of it lies in one state file, 0600, in the directory of the satellite's link keys, and never
 * in the store.  It is saved before anything that rests on it leaves the ground: a cut in between
 * costs a number, never a key that the satellite has and the ground has not.
 *
 * A satellite's KEM key comes in its report, which the link's keys vouch for.  The first one is
 * pinned; another one is believed only after it was asked for, by a rekey that the report says was
 * taken.  Anything else is RC_KEM_CHANGED: somebody may be speaking for the satellite.
 */
#ifndef BERTH_ORCHESTRATOR_REKEYS_H
#define BERTH_ORCHESTRATOR_REKEYS_H

#include "manifest/rekey.h"

#define REKEYS_MASTERS_MAX 4U

/* Secret: wipe with rekeys_wipe. */
struct rekeys {
    uint64_t number;    /* of the last rekey made, 0 = none */
    uint64_t kem_asked; /* of the last rekey that asked for a new KEM pair and was not answered, 0 =
                           none */
    bool has_kem;
    uint8_t kem_public[KEM_PUBLIC_SIZE]; /* the pinned one */
    uint8_t kem_id[KEY_ID_SIZE];
    uint32_t n_masters; /* newest last */
    struct {
        uint32_t epoch;
        uint8_t secret[REKEY_SECRET_SIZE];
    } master[REKEYS_MASTERS_MAX];
};
void rekeys_wipe(struct rekeys *rekeys); /* scope cleaner */

/* Have the file to oneself, in the directory of link keys, until *ret_lock is closed.  RC_BUSY. */
must_check enum rc rekeys_lock(int dirfd, int *ret_lock, struct err *err);

/* Load; nothing was ever saved is RC_OK and all zero.  RC_KEY_FILE for a file that is damaged. */
must_check enum rc rekeys_load(int dirfd, struct rekeys *ret, struct err *err);
must_check enum rc rekeys_save(int dirfd, const struct rekeys *rekeys, struct err *err);

/* The file's form, strict both ways; for loading and saving, and for tests. */
#define REKEYS_FILE_MAX (KEM_PUBLIC_SIZE + 512U)
must_check enum rc rekeys_encode(const struct rekeys *rekeys, uint8_t *buf, size_t cap,
                                 struct bytes *ret, struct err *err);
must_check enum rc rekeys_decode(struct bytes in, struct rekeys *ret, struct err *err);

/* What a report says: pin a KEM key, take a new one that was asked for, forget masters that are no
 * longer needed.  *ret_changed: it has to be saved.  RC_KEM_CHANGED; RC_VALUE for a public half
 * that its id does not fit. */
must_check enum rc rekeys_observe(struct rekeys *rekeys, const struct report_keys *report,
                                  bool *ret_changed, struct err *err);

/* What a rekey is to bring.  Secrets: wipe with rekeys_plan_wipe. */
struct rekeys_plan {
    uint32_t n;
    struct rekey_entry entry[REKEY_ENTRIES_MAX]; /* in any order; `wrapped` is filled later */
    uint8_t secret[REKEY_ENTRIES_MAX][REKEY_SECRET_SIZE]; /* of the entries, in their order */
};
void rekeys_plan_wipe(struct rekeys_plan *plan); /* scope cleaner */

/* Add an entry in its place, with a fresh secret.  RC_EXISTS: about the same key; RC_NO_ROOM. */
must_check enum rc rekeys_plan_add(struct rekeys_plan *plan, const struct rekey_entry *entry,
                                   struct err *err);

/* The epoch of the next master wrapping key. */
uint32_t rekeys_next_master(const struct rekeys *rekeys, const struct report_keys *report);

/* Make the next rekey: number, recipient (the master key that the report names if it is known here
 * and prefer is not REKEY_KEM, else the KEM key), wrapped secrets.  A new master is kept in rekeys,
 * which has to be saved before *ret goes anywhere.  RC_REKEY_RECIPIENT: no key of the satellite is
 * known yet.  report NULL: it has not reported. */
must_check enum rc rekeys_make(struct rekeys *rekeys, const struct report_keys *report,
                               const struct rekeys_plan *plan, enum rekey_recipient prefer,
                               const struct mission *mission, struct rekey *ret, struct err *err);

/* ---- the link's keys, in the same directory (link/state) ---- */

/* The epoch of the next key of the link ("" = the platform's own) or of a tenant: above all that
 * this end holds and that the report tells of. */
must_check enum rc rekeys_next_epoch(int dirfd, const char *tenant,
                                     const struct report_keys *report, uint32_t *ret,
                                     struct err *err);

/* What the ground knows, for people: "link" and tenants' keys as this end holds them. */
struct rekeys_link {
    char tenant[NAME_CAP];
    uint32_t epoch;
    bool sending; /* bundles go out under it */
};
#define REKEYS_LINKS_MAX 128U
must_check enum rc rekeys_links(int dirfd, struct rekeys_link ret[REKEYS_LINKS_MAX],
                                uint32_t *ret_n, struct err *err);

/* Leave the link secrets of a plan, durably, for whoever has the link open. */
must_check enum rc rekeys_offer(int dirfd, const struct rekeys_plan *plan, struct err *err);

#endif
