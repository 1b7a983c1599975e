/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_key: make document keys, and look at them.
 */
#include <stdlib.h>

#include "base/crypto.h"
#include "base/name.h"
#include "orchestrator/cmd.h"
#include "orchestrator/keys.h"
#include "orchestrator/path.h"

static json_t *key_json(const char *name, const struct public_key *key, const char *role)
{
    return json_pack("{s:o, s:s, s:o, s:i, s:s}", "name", json_safe(name), "role", role, "id",
                     json_hex((struct bytes){ .p = key->id, .n = sizeof key->id }), "suite",
                     (int)key->suite, "algorithms", suite_title(key->suite));
}

/* --suite, or suite 1. */
static enum rc read_suite(const struct cli *cli, enum suite *ret, struct err *err)
{
    const char *text = cli_value(cli, "suite");
    const struct suite_row *row = text ? suite_parse(text) : suite_find(SUITE_ED25519_MLDSA65);

    if (!row)
        return err_set(err, RC_USAGE, "--suite must be 1 (hybrid) or 2 (cnsa)");
    *ret = row->suite;
    return RC_OK;
}

static enum rc make_key(struct cli *cli, int dirfd, enum key_role role, struct sign_key **ret,
                        struct err *err)
{
    uint8_t secret[CLI_PASSPHRASE_CAP];
    struct bytes passphrase = { 0 };
    const char *name = cli_arg(cli, 0);
    enum suite suite = SUITE_ED25519_MLDSA65;
    enum rc rc = read_suite(cli, &suite, err);

    if (rc == RC_OK)
        rc = cli_passphrase(cli, name, true, secret, sizeof secret, &passphrase, err);
    if (rc == RC_OK)
        rc = sign_key_new(suite, ret, err);
    if (rc == RC_OK)
        rc = keyfile_save(dirfd, name, role, *ret, passphrase, err);
    crypto_wipe(secret, sizeof secret);
    return rc;
}

static int run_new(struct cli *cli)
{
    const char *out = cli_value(cli, "out"), *role_name = cli_value(cli, "role");
    scoped(sign_key_free) struct sign_key *key = NULL;
    scoped(close_fd) int dirfd = -1;
    char hex[2 * KEY_ID_SIZE + 1];
    enum key_role role;
    struct err err;
    enum rc rc;

    if (!role_name || !key_role_parse(role_name, &role)) {
        (void)!err_set(&err, RC_USAGE, "--role must be root, operator or tenant");
        return cli_fail(cli, &err, "berth key new %s --role tenant", cli_arg(cli, 0));
    }
    rc = name_valid(cli_arg(cli, 0)) ? RC_OK : err_set(&err, RC_NAME, "%s", cli_arg(cli, 0));
    if (rc == RC_OK)
        rc = path_open_dir(out ? out : ".", true, &dirfd, &err);
    if (rc == RC_OK)
        rc = make_key(cli, dirfd, role, &key, &err);
    if (rc == RC_EXISTS)
        return cli_fail(cli, &err, "choose another name; a private key is never overwritten");
    if (rc == RC_KEY_FILE || rc == RC_USAGE)
        return cli_fail(cli, &err, "berth key new %s --role %s --passphrase-file FILE",
                        cli_arg(cli, 0), role_name);
    if (rc == RC_NAME)
        return cli_fail(cli, &err, "choose a name of a-z, 0-9 and '-'; --out says where it goes");
    if (rc != RC_OK)
        return cli_fail(cli, &err, NULL);
    cli_say(cli, "%s.key and %s.pub written to %s (%s key %s, %s)", cli_arg(cli, 0),
            cli_arg(cli, 0), out ? out : ".", role_name,
            bytes_hex((struct bytes){ .p = sign_key_public(key)->id, .n = KEY_ID_SIZE }, hex),
            suite_title(sign_key_public(key)->suite));
    return cli_json(cli, key_json(cli_arg(cli, 0), sign_key_public(key), role_name));
}

/* The private half is behind a program: ask it for the public one. */
static int run_import(struct cli *cli)
{
    const char *out = cli_value(cli, "out"), *role_name = cli_value(cli, "role");
    scoped(sign_key_free) struct sign_key *rest = NULL;
    struct public_key *key = calloc(1, sizeof *key);
    scoped(close_fd) int dirfd = -1;
    char hex[2 * KEY_ID_SIZE + 1];
    struct signer signer;
    enum key_role role = KEY_ROLE_ROOT;
    enum suite suite = SUITE_ED25519_MLDSA65;
    struct err err;
    enum rc rc =
        key ? keys_signer(cli, cli_arg(cli, 0), &signer, &err) : err_set(&err, RC_NO_MEMORY, "key");
    int code;

    if (rc == RC_OK && (!role_name || !key_role_parse(role_name, &role)))
        rc = err_set(&err, RC_USAGE, "--role must be root, operator or tenant");
    if (rc == RC_OK)
        rc = read_suite(cli, &suite, &err);
    if (rc == RC_OK)
        rc = path_open_dir(out ? out : ".", true, &dirfd, &err);
    if (rc == RC_OK)
        rc = keys_rest(cli, &rest, &err);
    if (rc == RC_OK)
        rc = signer_public(&signer, suite, rest ? sign_key_public(rest) : NULL, key, &err);
    if (rc == RC_OK)
        rc = keyfile_save_public(dirfd, cli_arg(cli, 0), role, key, &err);
    if (rc != RC_OK) {
        free(key);
        return cli_fail(cli, &err, "berth key import %s --role ROLE --signer PROGRAM",
                        cli_arg(cli, 0));
    }
    cli_say(cli, "%s.pub written to %s (%s key %s, signed for by %s)", cli_arg(cli, 0),
            out ? out : ".", role_name, bytes_hex((struct bytes){ key->id, KEY_ID_SIZE }, hex),
            signer.program);
    code = cli_json(cli, key_json(cli_arg(cli, 0), key, role_name));
    free(key);
    return code;
}

static int run_show(struct cli *cli)
{
    struct public_key *key = calloc(1, sizeof *key);
    char hex[2 * KEY_ID_SIZE + 1];
    struct err err;
    enum rc rc = key ? keys_public(cli_arg(cli, 0), key, &err) : err_set(&err, RC_NO_MEMORY, "key");
    int code;

    if (rc != RC_OK) {
        free(key);
        return cli_fail(cli, &err, "berth key show NAME.pub");
    }
    cli_say(cli, "%s  %s", bytes_hex((struct bytes){ .p = key->id, .n = KEY_ID_SIZE }, hex),
            suite_title(key->suite));
    code = cli_json(cli, key_json(cli_arg(cli, 0), key, "?"));
    free(key);
    return code;
}

#define SUITE_OPTION                                                                               \
    {                                                                                              \
        "suite", CLI_TEXT, "SUITE",                                                                \
            "1 or hybrid: Ed25519 and ML-DSA-65 (else); 2 or cnsa: ML-DSA-87, SHA-384"             \
    }

static const struct cli_option new_options[] = {
    { "role", CLI_TEXT, "ROLE", "what it is for: root, operator or tenant" },
    SUITE_OPTION,
    { "out", CLI_PATH, "DIR", "where to put NAME.key and NAME.pub (made if missing; else here)" },
    CLI_OPTION_PASSPHRASE,
    { 0 },
};

static const struct cli_option import_options[] = {
    { "role", CLI_TEXT, "ROLE", "what it is for: root, operator or tenant" },
    SUITE_OPTION,
    { "out", CLI_PATH, "DIR", "where to put NAME.pub (made if missing; else here)" },
    { "signer", CLI_PATH, "PROGRAM", "the program that has the private halves" },
    { "signer-rest", CLI_PATH, "KEY",
      "take the ML-DSA half from this key file, for tokens that "
      "know only Ed25519" },
    { "signer-timeout", CLI_TEXT, "S", "seconds that one call of it may take (else 120)" },
    CLI_OPTION_PASSPHRASE,
    { 0 },
};

const struct cli_command cmd_key[] = {
    { .name = "key new",
      .group = "Keys and trust",
      .args = "NAME",
      .summary = "Make a signing key (Ed25519 and ML-DSA-65, or ML-DSA-87)",
      .about = "Writes NAME.key, encrypted under a passphrase (Argon2id), and NAME.pub, which may "
               "be given\nto anyone. A key that exists is never overwritten.",
      .args_min = 1,
      .args_max = 1,
      .options = new_options,
      .run = run_new },
    { .name = "key import",
      .group = "Keys and trust",
      .args = "NAME",
      .summary = "Write the public half of a key that a signer program holds",
      .about = "For tokens and HSMs. PROGRAM is started without a shell, once per half:\n"
               "  PROGRAM public HALF NAME   prints the raw public half\n"
               "  PROGRAM sign HALF NAME     signs the bytes on stdin, prints the raw signature\n"
               "HALF is ed25519 and ml-dsa-65 for a key of suite 1, ml-dsa-87 for one of suite 2.\n"
               "Every command that signs takes --signer PROGRAM --signer-key NAME.pub. "
               "A signature that does not\nverify with NAME.pub is refused.",
      .args_min = 1,
      .args_max = 1,
      .options = import_options,
      .run = run_import },
    { .name = "key show",
      .group = "Keys and trust",
      .args = "FILE",
      .summary = "Print the id and the suite of a public key",
      .args_min = 1,
      .args_max = 1,
      .run = run_show },
    { 0 },
};
