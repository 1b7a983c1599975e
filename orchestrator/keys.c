/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/keys.h"

#include <limits.h>
#include <stdlib.h>

#include "base/crypto.h"
#include "orchestrator/path.h"

void keyring_done(struct keyring *ring)
{
    for (size_t i = 0; i < ring->n; i++)
        sign_key_free(&ring->key[i]);
    ring->n = 0;
}

enum rc keyring_add(struct cli *cli, struct keyring *ring, const char *path, struct err *err)
{
    scoped(close_fd) int dirfd = -1;
    uint8_t secret[CLI_PASSPHRASE_CAP];
    struct bytes passphrase = { 0 };
    char name[PATH_NAME_CAP];
    enum rc rc;

    if (ring->n == SIGNERS_MAX)
        return err_set(err, RC_USAGE, "more than %u signing keys", SIGNERS_MAX);
    rc = path_open_parent(path, &dirfd, name, err);
    if (rc == RC_NOT_FOUND)
        return err_set(err, RC_KEY_FILE, "%s", path);
    if (rc == RC_OK)
        rc = cli_passphrase(cli, path, false, secret, sizeof secret, &passphrase, err);
    if (rc == RC_OK)
        rc = keyfile_load(dirfd, name, passphrase, NULL, &ring->key[ring->n], err);
    crypto_wipe(secret, sizeof secret);
    if (rc == RC_OK)
        ring->n++;
    return rc;
}

enum rc keys_signer(const struct cli *cli, const char *name, struct signer *ret, struct err *err)
{
    uint64_t seconds = 0;
    struct signer signer = { .program = cli_value(cli, "signer"), .name = name };

    if (!signer.program)
        return err_set(err, RC_USAGE, "--signer is missing");
    enum rc rc =
        cli_number(cli, "signer-timeout", SIGNER_TIMEOUT_MS / 1000, 1, 3600, &seconds, err);

    if (rc != RC_OK)
        return rc;
    signer.timeout_ms = (uint32_t)seconds * 1000U;
    *ret = signer;
    return RC_OK;
}

enum rc keys_rest(struct cli *cli, struct sign_key **ret, struct err *err)
{
    scoped(keyring_done) struct keyring ring = { 0 };
    const char *path = cli_value(cli, "signer-rest");
    enum rc rc = path ? keyring_add(cli, &ring, path, err) : RC_OK;

    if (rc == RC_OK && path) {
        *ret = ring.key[0];
        ring.n = 0;
    }
    return rc;
}

/* The program knows the key by the name of its public file: "keys/op.pub" is "op". */
static enum rc add_signer(struct cli *cli, struct keyring *ring, const char *path, struct err *err)
{
    const char *slash = strrchr(path, '/');
    scoped(sign_key_free) struct sign_key *rest = NULL;
    struct public_key *public = calloc(1, sizeof *public);
    char name[PATH_MAX];
    struct signer signer;
    enum rc rc = public ? RC_OK : err_set(err, RC_NO_MEMORY, "key");

    if (rc == RC_OK && ring->n == SIGNERS_MAX)
        rc = err_set(err, RC_USAGE, "more than %u signing keys", SIGNERS_MAX);
    if (rc == RC_OK)
        rc = keys_public(path, public, err);
    if (rc == RC_OK)
        rc = path_with_suffix(slash ? slash + 1 : path, KEY_PUBLIC_SUFFIX, "", name, sizeof name,
                              err);
    if (rc == RC_OK)
        rc = keys_signer(cli, name, &signer, err);
    if (rc == RC_OK)
        rc = keys_rest(cli, &rest, err);
    if (rc == RC_OK)
        rc = signer_key(&signer, public, &rest, &ring->key[ring->n], err);
    if (rc == RC_OK)
        ring->n++;
    free(public);
    return rc;
}

enum rc keyring_add_signers(struct cli *cli, struct keyring *ring, struct err *err)
{
    const char *path;
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && (path = cli_value_at(cli, "signer-key", i)) != NULL; i++)
        rc = add_signer(cli, ring, path, err);
    return rc;
}

enum rc keyring_load(struct cli *cli, const char *option, const char *other, struct keyring *ring,
                     struct err *err)
{
    const char *path;
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && (path = cli_value_at(cli, option, i)) != NULL; i++)
        rc = keyring_add(cli, ring, path, err);
    if (rc == RC_OK)
        rc = keyring_add_signers(cli, ring, err);
    if (rc == RC_OK && ring->n == 0 && other)
        rc = keyring_add(cli, ring, other, err);
    if (rc == RC_OK && ring->n == 0)
        rc = err_set(err, RC_USAGE, "--%s is missing", option);
    return rc;
}

enum rc keys_public(const char *path, struct public_key *ret, struct err *err)
{
    scoped(close_fd) int dirfd = -1;
    char name[PATH_NAME_CAP], full[PATH_MAX];
    size_t n = strlen(path), cut = strlen(KEY_PUBLIC_SUFFIX);
    enum rc rc;

    if (n > cut && strcmp(path + n - cut, KEY_PUBLIC_SUFFIX) == 0)
        cut = 0;
    rc = path_with_suffix(path, cut == 0 ? KEY_PUBLIC_SUFFIX : KEY_SUFFIX, KEY_PUBLIC_SUFFIX, full,
                          sizeof full, err);
    if (rc == RC_OK)
        rc = path_open_parent(full, &dirfd, name, err);
    if (rc == RC_NOT_FOUND)
        rc = err_set(err, RC_KEY_FILE, "%s", full);
    return rc == RC_OK ? keyfile_load_public(dirfd, name, NULL, ret, err) : rc;
}

enum rc keys_set(const struct cli *cli, const char *option, uint64_t threshold, struct key_set *ret,
                 struct err *err)
{
    scoped(free_ptr) struct key_set *set = calloc(1, sizeof *set);
    const char *path;
    enum rc rc = RC_OK;

    if (!set)
        return err_set(err, RC_NO_MEMORY, "keys");
    while (rc == RC_OK && (path = cli_value_at(cli, option, set->n)) != NULL) {
        if (set->n == ROLE_KEYS_MAX)
            return err_set(err, RC_USAGE, "--%s: more than %u keys", option, ROLE_KEYS_MAX);
        rc = keys_public(path, &set->key[set->n], err);
        set->n++;
    }
    if (rc != RC_OK)
        return rc;
    if (set->n == 0)
        return err_set(err, RC_USAGE, "--%s is missing", option);
    set->threshold = threshold > 0 ? (uint32_t)threshold : set->n / 2 + 1;
    *ret = *set;
    return RC_OK;
}

enum rc keyring_sign(const struct keyring *ring, enum doc_type type, const struct mission *mission,
                     struct bytes payload, uint8_t **ret, size_t *ret_n, struct err *err)
{
    const struct sign_key *keys[SIGNERS_MAX];
    scoped(free_ptr) uint8_t *buf = malloc(DOCUMENT_MAX);
    struct bytes envelope = { 0 };
    enum rc rc;

    if (!buf)
        return err_set(err, RC_NO_MEMORY, "envelope");
    for (size_t i = 0; i < ring->n; i++)
        keys[i] = ring->key[i];
    rc = sign_document(type, mission, payload, keys, ring->n, buf, DOCUMENT_MAX, &envelope, err);
    if (rc == RC_OK) {
        /* The view starts at the buffer's first byte or behind it; hand out one that free takes. */
        memmove(buf, envelope.p, envelope.n);
        *ret = buf;
        *ret_n = envelope.n;
        buf = NULL;
    }
    return rc;
}
