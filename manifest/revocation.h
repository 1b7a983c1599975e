/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest/revocation: what the root role takes back: keys, grants, manifests.
 *
 * A revocation is one short document, so that it fits one bundle and can lie signed in a safe until
 * it is needed.  On board its entries are added to a set that only grows: no later document, and no
 * older one that is sent again, takes an entry out or makes its policy milder.  The set is kept in
 * a state file of its own, since the root keys that signed may be gone by the next start.  Both
 * forms are deterministic CBOR and read strictly.  What an entry means is manifest/trust's
 * business, what becomes of a version that runs is agent/reconcile's.
 */
#ifndef BERTH_MANIFEST_REVOCATION_H
#define BERTH_MANIFEST_REVOCATION_H

#include "manifest/doc.h"

#define REVOCATION_ENTRIES_MAX 16U /* in one document: fits 8 KB with two signatures of suite 1 */
#define REVOCATION_BYTES_MAX (8U * 1024U - 400U) /* what one bundle of 8 KB leaves to it */
#define REVOKED_MAX 256U                         /* in the set */
#define REVOKED_FILE_MAX (26U * 1024U)

enum revoked_kind {
    REVOKED_KEY = 1,      /* counts towards no threshold any more */
    REVOKED_GRANT = 2,    /* of a tenant, up to and with this epoch */
    REVOKED_MANIFEST = 3, /* this one version */
};

/* What becomes of what runs already.  The higher number wins where several entries meet. */
enum revoke_policy {
    REVOKE_NONE = 0,     /* not revoked; never in a document */
    REVOKE_KEEP = 1,     /* goes on, and starts again; nothing new is taken */
    REVOKE_ROLLBACK = 2, /* gives way to the version that was committed before, or stops */
    REVOKE_STOP = 3,     /* ends */
};

struct revoked {
    enum revoked_kind kind;
    enum revoke_policy policy;
    uint8_t key[KEY_ID_SIZE];     /* REVOKED_KEY */
    char tenant[NAME_CAP];        /* REVOKED_GRANT */
    uint64_t epoch;               /* REVOKED_GRANT */
    struct digest manifest;       /* REVOKED_MANIFEST */
    struct digest384 manifest384; /* REVOKED_MANIFEST: the same in SHA-384; must be there if a root
                                     key is of suite 2 */
};

/* What the root role signs.  Without entries it only says that it is `issued_ms` now. */
struct revocation {
    uint64_t number;    /* rises with every revocation under one root */
    uint64_t issued_ms; /* Unix time */
    uint32_t n;
    struct revoked entry[REVOCATION_ENTRIES_MAX]; /* sorted as revoked_order says, none twice */
};

/* Everything that was ever taken back. */
struct revoked_set {
    uint64_t root_version; /* of the root under which the newest document came, 0 = none came */
    uint64_t number;       /* of that document; the next root starts counting anew */
    uint64_t issued_ms;    /* the latest of all */
    struct digest newest;  /* SHA-256 of the newest document's payload */
    uint32_t n;
    struct revoked entry[REVOKED_MAX]; /* sorted, none twice */
};

/* How entries are sorted: kind, then key id, tenant, or digest.  0: they are about the same. */
int revoked_order(const struct revoked *a, const struct revoked *b);

/* "keep", "rollback", "stop"; "none" for anything else.  False: not one of the three. */
const char *revoke_policy_name(enum revoke_policy policy);
bool revoke_policy_find(const char *name, enum revoke_policy *ret);

/* The document. */
must_check enum rc revocation_decode(struct bytes in, struct revocation *ret, struct err *err);
must_check enum rc revocation_check(const struct revocation *doc, struct err *err);
must_check enum rc revocation_encode(const struct revocation *doc, uint8_t *buf, size_t cap,
                                     struct bytes *ret, struct err *err);

/* The set, as the agent keeps it.  REVOKED_FILE_MAX bytes are always enough. */
must_check enum rc revoked_set_decode(struct bytes in, struct revoked_set *ret, struct err *err);
must_check enum rc revoked_set_encode(const struct revoked_set *set, uint8_t *buf, size_t cap,
                                      struct bytes *ret, struct err *err);

/* Put an entry into its place of a sorted list; one about the same becomes the stricter of the two:
 * the higher policy, the higher epoch.  RC_NO_ROOM when the list holds `cap` already. */
must_check enum rc revoked_put(struct revoked *list, uint32_t *n, uint32_t cap,
                               const struct revoked *entry, struct err *err);

/* Add the entries of a document to the set, all of them or nothing (RC_NO_ROOM).  Who the newest
 * is, is the caller's to say. */
must_check enum rc revoked_set_add(struct revoked_set *set, const struct revocation *doc,
                                   struct err *err);

/* Add what another copy of the set holds: all entries, the stricter of two about the same, and the
 * newest document that either names.  False: nothing of it was new. */
must_check enum rc revoked_set_merge(struct revoked_set *set, const struct revoked_set *other,
                                     bool *ret_changed, struct err *err);

/* Whether every entry that names a manifest does so in SHA-384, too. */
bool revocation_has_384(const struct revocation *doc);

/* What the set says of one thing.  manifest384 may be NULL where only the SHA-256 is known; a
 * manifest that matches in one and not in the other is not the one that was revoked. */
enum revoke_policy revoked_key(const struct revoked_set *set, const uint8_t id[KEY_ID_SIZE]);
enum revoke_policy revoked_grant(const struct revoked_set *set, const char *tenant, uint64_t epoch);
enum revoke_policy revoked_manifest(const struct revoked_set *set, const struct digest *manifest,
                                    const struct digest384 *manifest384);

#endif
