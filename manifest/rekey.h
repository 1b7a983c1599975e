/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest/rekey: new keys for a satellite, over the air.
 *
 * The operator role signs who gets which key; the keys themselves are wrapped so that only that
 * satellite can open them.  A rekey is for one recipient key: the satellite's KEM key (the document
 * carries an X-Wing ciphertext, base/kem) or a master wrapping key that it holds.  Every entry is
 * wrapped with AES-256 key wrap (RFC 3394) under a key of its own, by HKDF-SHA-384 (RFC 5869) from
 * the shared secret and bound to mission, satellite, number and all that the entry says, so that a
 * wrapped key opens in its own place only.
 *
 * Decoding is pure and strict.  Who may be believed is manifest/trust's business; what a satellite
 * does with the keys is agent/rekey's.
 */
#ifndef BERTH_MANIFEST_REKEY_H
#define BERTH_MANIFEST_REKEY_H

#include "base/kem.h"
#include "manifest/doc.h"

#define REKEY_ENTRIES_MAX 24U
#define REKEY_SECRET_SIZE 32U
#define REKEY_WRAPPED_SIZE 40U
/* A key epoch is above the one held, and by no more than this: whoever has stolen the operator key
 * cannot use up the numbers. */
#define REKEY_EPOCH_JUMP_MAX 1024U

/* Who can open it; the numbers are on the wire. */
enum rekey_recipient {
    REKEY_NOBODY = 0, /* nothing is wrapped: asks for a new KEM pair only */
    REKEY_KEM = 1,    /* the satellite's KEM key */
    REKEY_MASTER = 2, /* a master wrapping key that the satellite holds */
};

enum rekey_what {
    REKEY_LINK = 1,        /* secret of the link with a peer */
    REKEY_TENANT_LINK = 2, /* secret of a tenant's own link with a peer */
    REKEY_NEW_MASTER = 3,  /* the next master wrapping key */
    REKEY_NEW_KEM = 4,     /* make a new KEM pair; the old one stays until a rekey for the new one
                              was opened */
};

struct rekey_entry {
    enum rekey_what what;
    uint32_t peer;         /* node number, not 0; links only, else 0 */
    char tenant[NAME_CAP]; /* REKEY_TENANT_LINK only, else "" */
    uint32_t epoch;        /* of the key: from 1, rises per (peer, tenant), and per master; not of
                              REKEY_NEW_KEM */
    uint8_t wrapped[REKEY_WRAPPED_SIZE]; /* not of REKEY_NEW_KEM */
};

/* What the operator signs. */
struct rekey {
    char satellite[NAME_CAP];
    uint64_t number; /* rises with every rekey for this satellite */
    uint64_t issued_ms;
    enum rekey_recipient recipient;
    uint8_t key_id[KEY_ID_SIZE];     /* kem_id, or rekey_master_id; zero for REKEY_NOBODY */
    uint8_t sealed[KEM_SEALED_SIZE]; /* REKEY_KEM only, else zero */
    uint32_t n;                      /* at least 1 */
    struct rekey_entry entry[REKEY_ENTRIES_MAX]; /* sorted as rekey_order says, none twice */
};

/* How entries are sorted: what, then peer, then tenant.  0: they are about the same key. */
int rekey_order(const struct rekey_entry *a, const struct rekey_entry *b);

/* "link", "tenant-link", "master", "kem"; "?" for anything else. */
const char *rekey_what_name(enum rekey_what what);

/* The document. */
must_check enum rc rekey_decode(struct bytes in, struct rekey *ret, struct err *err);
must_check enum rc rekey_check(const struct rekey *doc, struct err *err);
must_check enum rc rekey_encode(const struct rekey *doc, uint8_t *buf, size_t cap,
                                struct bytes *ret, struct err *err);

/* What a master wrapping key is called: 16 bytes by HKDF from it. */
must_check enum rc rekey_master_id(const uint8_t master[REKEY_SECRET_SIZE],
                                   uint8_t ret[KEY_ID_SIZE], struct err *err);

/* The secret that both sides share is the KEM's, or the master key.  Wrap a secret into entry i,
 * whose other fields, and those of the document, are final.  Ground only. */
must_check enum rc rekey_wrap(struct rekey *doc, uint32_t i, const struct mission *mission,
                              const uint8_t shared[KEM_SHARED_SIZE],
                              const uint8_t secret[REKEY_SECRET_SIZE], struct err *err);

/* Unwrap the secret of entry i.  RC_REKEY_UNWRAP. */
must_check enum rc rekey_unwrap(const struct rekey *doc, uint32_t i, const struct mission *mission,
                                const uint8_t shared[KEM_SHARED_SIZE],
                                uint8_t ret[REKEY_SECRET_SIZE], struct err *err);

/* ---- on board ---- */

/* The private keys that rekeys can be for.  Secret: wipe. */
#define REKEY_KEMS_MAX 2U    /* the one in use, and the next one */
#define REKEY_MASTERS_MAX 2U /* the newest, and the one before */
struct rekey_keys {
    uint32_t n_kems;
    uint32_t n_masters;
    uint8_t kem[REKEY_KEMS_MAX][KEM_SEED_SIZE];
    uint8_t master[REKEY_MASTERS_MAX][REKEY_SECRET_SIZE];
};

/* Every secret of a rekey, in the order of its entries; that of a REKEY_NEW_KEM is zero. */
struct rekey_opened {
    uint32_t which; /* index of the KEM or master key that opened it */
    uint32_t n;
    uint8_t secret[REKEY_ENTRIES_MAX][REKEY_SECRET_SIZE];
};

/* Find the recipient's key among those held and open every entry, or none (*ret is untouched then).
 * RC_REKEY_RECIPIENT: the key is not held; RC_REKEY_UNWRAP.  Only for what
 * verified_rekey_get has given.  *ret is secret: wipe with rekey_opened_wipe (a scope cleaner). */
must_check enum rc rekey_open(const struct rekey *doc, const struct mission *mission,
                              const struct rekey_keys *keys, struct rekey_opened *ret,
                              struct err *err);
void rekey_opened_wipe(struct rekey_opened *opened);

#endif
