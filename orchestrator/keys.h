/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/keys: the key files that a command line names, loaded.  Private halves are asked a
 * passphrase for, once per run when it comes from a file.
 */
#ifndef BERTH_ORCHESTRATOR_KEYS_H
#define BERTH_ORCHESTRATOR_KEYS_H

#include "orchestrator/cli.h"
#include "update/keyfile.h"
#include "update/signer.h"

#define KEY_SUFFIX ".key"
#define KEY_PUBLIC_SUFFIX ".pub"

/* Keys behind a program (update/signer), for the option tables of commands that sign. */
#define SIGNER_OPTIONS                                                                             \
    { "signer", CLI_PATH, "PROGRAM",                                                               \
      "have this program sign for --signer-key (protocol: berth key import --help)" },             \
        { "signer-key", CLI_LIST, "PUB", "public keys whose private half is behind --signer" },    \
        { "signer-rest", CLI_PATH, "KEY",                                                          \
          "key file with the ML-DSA half, where --signer has only Ed25519" },                      \
    {                                                                                              \
        "signer-timeout", CLI_TEXT, "S", "seconds that one call of it may take (else 120)"         \
    }

/* Private keys, owned.  keyring_done is a scope cleaner. */
struct keyring {
    size_t n;
    struct sign_key *key[SIGNERS_MAX];
};
void keyring_done(struct keyring *ring);

/* Add the private key of one file (NAME.key). */
must_check enum rc keyring_add(struct cli *cli, struct keyring *ring, const char *path,
                               struct err *err);

/* Add the keys of --signer-key. */
must_check enum rc keyring_add_signers(struct cli *cli, struct keyring *ring, struct err *err);

/* Add those of a list option and of --signer-key; with other, that file when neither was given. */
must_check enum rc keyring_load(struct cli *cli, const char *option, const char *other,
                                struct keyring *ring, struct err *err);

/* The key of --signer-rest; NULL when it was not given. */
must_check enum rc keys_rest(struct cli *cli, struct sign_key **ret, struct err *err);

/* Whom --signer and --signer-timeout name, for the key called name.  RC_USAGE without --signer. */
must_check enum rc keys_signer(const struct cli *cli, const char *name, struct signer *ret,
                               struct err *err);

/* The public half of NAME.pub, or of the NAME.pub beside a NAME.key. */
must_check enum rc keys_public(const char *path, struct public_key *ret, struct err *err);

/* The public halves of a list option as a key set; threshold 0 = the majority. */
must_check enum rc keys_set(const struct cli *cli, const char *option, uint64_t threshold,
                            struct key_set *ret, struct err *err);

/* Sign a document with every key of the ring into fresh memory; the caller frees *ret. */
must_check enum rc keyring_sign(const struct keyring *ring, enum doc_type type,
                                const struct mission *mission, struct bytes payload, uint8_t **ret,
                                size_t *ret_n, struct err *err);

#endif
