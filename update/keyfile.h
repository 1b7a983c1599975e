/* SPDX-License-Identifier: Apache-2.0
 *
 * update/keyfile: document keys on disk.  Ground only.
 *
 * NAME.key holds the private halves, encrypted under a passphrase (Argon2id, XChaCha20-Poly1305)
 * together with its role and public halves, which the encryption covers too.  NAME.pub holds the
 * public halves alone.  A key file that cannot be fully believed is RC_KEY_FILE, whatever the
 * reason: missing, empty, cut short, open to group or others, wrong passphrase.
 */
#ifndef BERTH_UPDATE_KEYFILE_H
#define BERTH_UPDATE_KEYFILE_H

#include "update/sign.h"

/* What a key was made for; a reminder for people and tools, the authority is the root or grant that
 * lists it. Numbers are in files. */
enum key_role {
    KEY_ROLE_ROOT = 1,
    KEY_ROLE_OPERATOR = 2,
    KEY_ROLE_TENANT = 3,
};

/* "root", "operator", "tenant"; "?" for anything else. */
const char *key_role_name(enum key_role role);

/* The role of a name; false, and *ret untouched, if there is none. */
bool key_role_parse(const char *text, enum key_role *ret);

/* Write NAME.key (mode 0600) and NAME.pub (mode 0644) below dirfd, durably.  RC_EXISTS if either is
 * there already: a private key is never overwritten.  The passphrase must not be empty
 * (RC_KEY_FILE). */
must_check enum rc keyfile_save(int dirfd, const char *name, enum key_role role,
                                const struct sign_key *key, struct bytes passphrase,
                                struct err *err);

/* Write NAME.pub alone: the private half is elsewhere (update/signer).  RC_EXISTS as above. */
must_check enum rc keyfile_save_public(int dirfd, const char *name, enum key_role role,
                                       const struct public_key *key, struct err *err);

/* Load a private key; file is its whole name ("alice.key"), beneath dirfd.  Takes about 0.1 s and
 * 64 MiB (Argon2id).  ret_role may be NULL.  Free with sign_key_free. */
must_check enum rc keyfile_load(int dirfd, const char *file, struct bytes passphrase,
                                enum key_role *ret_role, struct sign_key **ret, struct err *err);

/* Load a public key from a .pub file ("alice.pub"); RC_KEY_FILE if it is not one.  ret_role may be
 * NULL. */
must_check enum rc keyfile_load_public(int dirfd, const char *file, enum key_role *ret_role,
                                       struct public_key *ret, struct err *err);

#endif
