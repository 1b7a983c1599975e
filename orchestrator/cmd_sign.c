/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_sign: sign what `berth build` wrote, add a signature to a package; and the three
 * steps of signing across an air gap: ask, sign, attach.
 */
#include <limits.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/name.h"
#include "orchestrator/cmd.h"
#include "orchestrator/home.h"
#include "orchestrator/path.h"
#include "orchestrator/signing.h"

#define ENVELOPE_SUFFIX ".cose"
#define ID_SHOWN 8U /* bytes of a key id in the name of a signature file */

static bool ends_in(const char *text, const char *suffix)
{
    size_t n = strlen(text), cut = strlen(suffix);

    return n > cut && strcmp(text + n - cut, suffix) == 0;
}

/* ---- at once, where the key is ---- */

static enum rc sign_here(struct cli *cli, const char *file, char out[PATH_MAX], struct err *err)
{
    const char *to = cli_value(cli, "out");
    bool more = ends_in(file, SIGNING_SUFFIX);
    enum rc rc = to ? path_with_suffix(to, "", "", out, PATH_MAX, err)
                    : path_with_suffix(file, more ? SIGNING_SUFFIX : DRAFT_SUFFIX, SIGNING_SUFFIX,
                                       out, PATH_MAX, err);

    if (rc != RC_OK)
        return rc;
    return more ? signing_attach(cli, file, out, err) : signing_draft(cli, file, out, err);
}

static int run_here(struct cli *cli, const char *file)
{
    char out[PATH_MAX];
    struct err err;
    enum rc rc = sign_here(cli, file, out, &err);

    if (rc == RC_USAGE)
        return cli_fail(cli, &err, "berth sign %s --key KEY --root FILE", file);
    if (rc == RC_KEY_FILE)
        return cli_fail(cli, &err, CLI_FIX_KEY);
    if (rc == RC_NOT_FOUND)
        return cli_fail(cli, &err, CLI_FIX_PATH);
    if (rc == RC_PACKAGE_FORMAT)
        return cli_fail(cli, &err, "berth build");
    if (rc != RC_OK)
        return cli_fail(cli, &err, "berth sign --help");
    cli_say(cli, "%s", out);
    return cli_json(cli, json_pack("{s:o}", "file", json_safe(out)));
}

/* ---- ask ---- */

static enum rc ask(struct cli *cli, const char *file, char out[PATH_MAX], struct err *err)
{
    scoped(subject_done) struct subject subject = SUBJECT_NONE;
    scoped(free_ptr) uint8_t *buf = malloc(REQUEST_FILE_MAX);
    scoped(free_ptr) char *words = NULL;
    const char *to = cli_value(cli, "out"), *note = cli_value(cli, "note");
    struct bytes bytes = { 0 };
    enum rc rc = buf ? subject_open(cli, file, &subject, err) : err_set(err, RC_NO_MEMORY, "file");

    if (rc == RC_OK && note && strlen(note) >= REQUEST_NOTE_CAP)
        rc = err_set(err, RC_USAGE, "--note is longer than %u bytes", REQUEST_NOTE_CAP - 1);
    if (rc == RC_OK && note)
        memcpy(subject.request.note, note, strlen(note) + 1);
    if (rc == RC_OK)
        rc = request_encode(&subject.request, buf, REQUEST_FILE_MAX, &bytes, err);
    if (rc == RC_OK)
        rc = offline_words(&subject.request, &words, err);
    if (rc == RC_OK)
        rc = path_with_suffix(to ? to : file, to ? "" : DRAFT_SUFFIX, to ? "" : REQUEST_SUFFIX, out,
                              PATH_MAX, err);
    if (rc == RC_OK)
        rc = path_write(out, bytes, 0644, err);
    if (rc == RC_OK)
        cli_say(cli, "%.*s", (int)strlen(words) - 1, words);
    return rc;
}

static int run_ask(struct cli *cli, const char *file)
{
    char out[PATH_MAX];
    struct err err;
    enum rc rc = ask(cli, file, out, &err);

    if (rc == RC_USAGE)
        return cli_fail(cli, &err, "berth sign %s --request --root FILE", file);
    if (rc != RC_OK)
        return cli_fail(cli, &err, "berth sign --help");
    cli_note(cli, "carry %s to each signer: berth sign %s --key KEY", out, out);
    return cli_json(cli, json_pack("{s:o}", "file", json_safe(out)));
}

/* ---- sign, on the machine that is never online ---- */

/* One file per key: NAME.0123456789abcdef.sig, so that signers do not overwrite each other. */
static enum rc signature_path(const char *request, const char *out, const struct sign_key *key,
                              char ret[PATH_MAX], struct err *err)
{
    char suffix[2 * ID_SHOWN + sizeof "." SIGNATURE_SUFFIX], hex[2 * ID_SHOWN + 1];

    if (out)
        return path_with_suffix(out, "", "", ret, PATH_MAX, err);
    (void)snprintf(suffix, sizeof suffix, ".%s%s",
                   bytes_hex((struct bytes){ sign_key_public(key)->id, ID_SHOWN }, hex),
                   SIGNATURE_SUFFIX);
    return path_with_suffix(request, REQUEST_SUFFIX, suffix, ret, PATH_MAX, err);
}

static enum rc sign_all(struct cli *cli, const char *file, const struct request *request,
                        json_t *files, struct err *err)
{
    scoped(keyring_done) struct keyring ring = { 0 };
    const char *out = cli_value(cli, "out");
    char path[PATH_MAX];
    enum rc rc = offline_confirm(cli, request, err);

    if (rc == RC_OK)
        rc = keyring_load(cli, "key", NULL, &ring, err);
    if (rc == RC_OK && out && ring.n > 1)
        rc = err_set(err, RC_USAGE, "--out is for one key; leave it out");
    for (size_t i = 0; rc == RC_OK && i < ring.n; i++) {
        rc = signature_path(file, out, ring.key[i], path, err);
        if (rc == RC_OK)
            rc = offline_sign(request, ring.key[i], path, err);
        if (rc == RC_OK) {
            cli_say(cli, "%s", path);
            (void)json_array_append_new(files, json_safe(path));
        }
    }
    return rc;
}

static int run_request(struct cli *cli, const char *file)
{
    scoped(offline_done) struct offline offline = { 0 };
    json_t *files = json_array();
    struct err err;
    enum rc rc = offline_read(file, &offline, &err);

    if (rc == RC_OK)
        rc = sign_all(cli, file, &offline.request, files, &err);
    if (rc == RC_OK)
        return cli_json(cli, json_pack("{s:o}", "files", files));
    json_decref(files);
    if (rc == RC_NOT_CONFIRMED)
        return cli_fail(cli, &err, "berth inspect %s; then berth sign %s --key KEY --yes", file,
                        file);
    if (rc == RC_USAGE)
        return cli_fail(cli, &err, "berth sign %s --key KEY", file);
    return cli_fail(cli, &err, NULL);
}

/* ---- attach ---- */

/* How far the document has come, as far as that can be told here. */
struct standing {
    bool known;
    uint32_t has, needs, keys;
};

static enum rc find_trust(struct cli *cli, struct trust **ret, struct err *err)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(free_ptr) uint8_t *envelope = NULL;
    const char *root = cli_value(cli, "root");
    size_t n = 0;
    enum rc rc = root ? path_read(root, DOCUMENT_MAX, &envelope, &n, err)
                      : home_open(cli->home, false, &home, err);

    if (rc != RC_OK)
        return rc;
    return root ? trust_new((struct bytes){ envelope, n }, ret, err)
                : home_trust(&home, clock_unix_ms(), ret, err);
}

/* Of a manifest the tenant's keys or its team's, of a delegation those of the level above. */
static bool signers_of(const struct request *request, const struct trust *trust,
                       struct key_set *ret)
{
    char tenant[NAME_CAP], team[TEAM_CAP];
    struct err ignored;
    struct chain chain;

    if (request->type == DOC_MANIFEST) {
        if (manifest_peek(request->payload, tenant, team, &ignored) != RC_OK)
            return false;
    } else if (request->type == DOC_DELEGATION) {
        char path[TEAM_CAP];

        if (delegation_peek(request->payload, tenant, path, &ignored) != RC_OK)
            return false;
        team_cut(path, team_depth(path) - 1, team);
    } else {
        return false;
    }
    const struct grant *grant = trust_grant(trust, tenant);
    if (!grant || trust_authorities(trust, grant, team, &chain, &ignored) != RC_OK)
        return false;
    *ret = *chain.of[chain.n - 1].keys;
    return true;
}

/* Whose keys must sign this document, copied; false when that is not known here. */
static bool role_keys(struct cli *cli, const struct request *request, struct key_set *ret)
{
    scoped(free_ptr) struct root *root = calloc(1, sizeof *root);
    scoped(trust_free) struct trust *trust = NULL;
    struct err ignored;

    if (!root)
        return false;
    if (request->type == DOC_ROOT) {
        if (root_decode(request->payload, root, &ignored) != RC_OK)
            return false;
        *ret = root->root_keys;
        return true;
    }
    if (find_trust(cli, &trust, &ignored) != RC_OK)
        return false;
    if (request->type == DOC_REVOCATION) {
        *ret = trust_root(trust)->root_keys;
        return true;
    }
    if (request->type == DOC_GRANT || request->type == DOC_ORDER || request->type == DOC_REKEY ||
        request->type == DOC_TOKEN) {
        *ret = trust_root(trust)->operator_keys;
        return true;
    }
    return signers_of(request, trust, ret);
}

static struct standing stand(struct cli *cli, const struct request *request, struct bytes envelope)
{
    scoped(free_ptr) struct key_set *keys = calloc(1, sizeof *keys);
    struct standing s = { 0 };

    if (!keys || !role_keys(cli, request, keys))
        return s;
    return (struct standing){ .known = true,
                              .has = request_signed(envelope, keys),
                              .needs = keys->threshold,
                              .keys = keys->n };
}

static enum rc attach(struct cli *cli, const struct subject *subject, uint8_t *envelope,
                      size_t *ret_n, struct err *err)
{
    const char *path;
    enum rc rc = RC_OK;

    memcpy(envelope, subject->envelope.n > 0 ? subject->envelope.p : envelope, subject->envelope.n);
    *ret_n = subject->envelope.n;
    for (size_t i = 0; rc == RC_OK && (path = cli_value_at(cli, "attach", i)) != NULL; i++)
        rc = offline_attach(&subject->request, path, envelope, ret_n, err);
    return rc;
}

static enum rc attached_path(const struct subject *subject, const char *file, const char *out,
                             char ret[PATH_MAX], struct err *err)
{
    if (out || subject->kind == SUBJECT_ENVELOPE || subject->kind == SUBJECT_PACKAGE)
        return path_with_suffix(out ? out : file, "", "", ret, PATH_MAX, err);
    if (subject->kind == SUBJECT_DRAFT)
        return path_with_suffix(file, DRAFT_SUFFIX, SIGNING_SUFFIX, ret, PATH_MAX, err);
    return path_with_suffix(file, REQUEST_SUFFIX, ENVELOPE_SUFFIX, ret, PATH_MAX, err);
}

static int say_standing(struct cli *cli, const char *path, const struct standing *s)
{
    bool complete = s->known && s->has >= s->needs;

    if (!s->known)
        cli_say(cli, "%s: attached; whose keys it needs is not known here", path);
    else
        cli_say(cli, "%s: %u of %u keys have signed, %u needed: %s", path, s->has, s->keys,
                s->needs, complete ? "complete" : "not complete yet");
    return cli_json(cli, json_pack("{s:o, s:b, s:i, s:i, s:b}", "file", json_safe(path), "known",
                                   (int)s->known, "signed", (int)s->has, "needed", (int)s->needs,
                                   "complete", (int)complete));
}

static int run_attach(struct cli *cli, const char *file)
{
    scoped(subject_done) struct subject subject = SUBJECT_NONE;
    scoped(free_ptr) uint8_t *envelope = malloc(DOCUMENT_MAX);
    struct standing standing;
    char out[PATH_MAX];
    struct err err;
    size_t n = 0;
    enum rc rc = envelope ? subject_open(cli, file, &subject, &err)
                          : err_set(&err, RC_NO_MEMORY, "envelope");

    if (rc == RC_OK)
        rc = attach(cli, &subject, envelope, &n, &err);
    if (rc == RC_OK)
        rc = attached_path(&subject, file, cli_value(cli, "out"), out, &err);
    if (rc == RC_OK)
        rc = subject_write(&subject, (struct bytes){ envelope, n }, out, &err);
    if (rc != RC_OK)
        return cli_fail(cli, &err, "berth inspect SIG, and compare its digest with that of %s",
                        file);
    standing = stand(cli, &subject.request, (struct bytes){ envelope, n });
    return say_standing(cli, out, &standing);
}

/* ---- the command ---- */

static bool is_request(const char *path)
{
    scoped(free_ptr) uint8_t *file = NULL;
    struct err ignored;
    size_t n = 0;

    return path_read(path, REQUEST_FILE_MAX, &file, &n, &ignored) == RC_OK &&
           request_is((struct bytes){ file, n });
}

static int run(struct cli *cli)
{
    const char *file = cli_arg(cli, 0);

    if (cli_flag(cli, "request"))
        return run_ask(cli, file);
    if (cli_value(cli, "attach"))
        return run_attach(cli, file);
    return is_request(file) ? run_request(cli, file) : run_here(cli, file);
}

static const struct cli_option options[] = {
    { "out", CLI_PATH, "FILE", "write here (else beside the input)" },
    { "request", CLI_FLAG, NULL, "do not sign: write a request to carry to an offline machine" },
    { "note", CLI_TEXT, "TEXT", "with --request: what to tell the signers" },
    { "attach", CLI_LIST, "SIG", "check these signature files and add them to FILE" },
    { "yes", CLI_FLAG, NULL, "sign a request without asking" },
    SIGNING_OPTIONS,
    { 0 },
};

const struct cli_command cmd_sign[] = {
    { .name = "sign",
      .group = "Payloads",
      .args = "FILE",
      .summary = "Sign a payload or any document, here or across an air gap",
      .about =
          "NAME.unsigned becomes NAME.berth; NAME.berth gets one signature more. The mission "
          "comes from --mission,\n--root, or the fleet in the home directory: a package is "
          "good for one mission only.\n\nWhere the key is on a machine that is never online: "
          "`berth sign FILE --request` writes NAME.request;\nthere, `berth sign NAME.request "
          "--key KEY` says in words what it is, asks, and writes NAME.ID.sig;\nback here, `berth "
          "sign FILE --attach SIG...` checks each signature and adds it, and says whether enough\n"
          "keys have signed. Several signers may sign in any order. FILE is an unsigned package, a "
          "package, a root,\ngrant or order in its envelope, or the request itself (the result "
          "is NAME.cose).",
      .args_min = 1,
      .args_max = 1,
      .options = options,
      .run = run },
    { 0 },
};
