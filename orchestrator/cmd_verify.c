/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_verify: would a satellite take this file?
 */
#include <stdlib.h>

#include "base/clock.h"
#include "manifest/envelope.h"
#include "orchestrator/checking.h"
#include "orchestrator/cmd.h"
#include "orchestrator/fix.h"
#include "orchestrator/home.h"
#include "orchestrator/path.h"
#include "orchestrator/standpoint.h"

static enum rc add_grant_files(struct cli *cli, struct trust *trust, uint64_t now_ms,
                               struct err *err)
{
    const char *path;
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && (path = cli_value_at(cli, "grant", i)) != NULL; i++) {
        scoped(free_ptr) uint8_t *envelope = NULL;
        size_t n = 0;

        rc = path_read(path, DOCUMENT_MAX, &envelope, &n, err);
        if (rc == RC_OK)
            rc = trust_add_grant(trust, (struct bytes){ .p = envelope, .n = n }, now_ms, err);
    }
    return rc;
}

/* From files, or from the home directory. */
static enum rc find_trust(struct cli *cli, uint64_t now_ms, struct trust **ret, struct err *err)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(free_ptr) uint8_t *envelope = NULL;
    const char *root = cli_value(cli, "root");
    size_t n = 0;
    enum rc rc;

    if (!root) {
        rc = home_open(cli->home, false, &home, err);
        if (rc == RC_NOT_FOUND)
            return err_set(err, RC_TRUST_MISSING, "no --root, and no fleet in %s", cli->home);
        return rc == RC_OK ? home_trust(&home, now_ms, ret, err) : rc;
    }
    rc = path_read(root, DOCUMENT_MAX, &envelope, &n, err);
    if (rc == RC_OK)
        rc = trust_new((struct bytes){ .p = envelope, .n = n }, ret, err);
    return rc == RC_OK ? add_grant_files(cli, *ret, now_ms, err) : rc;
}

/* ---- as one satellite ---- */

/* 0: it has none. */
static uint64_t root_version(const struct standpoint *s)
{
    const struct root *root = trust_root(s->trust);

    return root ? root->version : 0;
}

static json_t *basis_json(const struct standpoint *s, uint64_t now_ms)
{
    return json_pack(
        "{s:o, s:o, s:o, s:b, s:o, s:o}", "root_version", json_uint(root_version(s)), "awaited",
        json_uint(s->awaited), "generation", json_uint(s->seen ? s->seen->generation : 0),
        "reported", s->seen != NULL, "report_age_ms",
        s->seen && now_ms > s->received_ms ? json_uint(now_ms - s->received_ms) : json_uint(0),
        "clock_ms", json_uint(s->now_ms));
}

static void print_basis(struct cli *cli, const struct standpoint *s, uint64_t now_ms)
{
    char age[CLI_SIZE_CAP];

    if (!s->seen) {
        cli_note(cli, "as the ground knows %s: it has not reported yet; root version %llu",
                 s->satellite, (unsigned long long)root_version(s));
        return;
    }
    cli_note(cli, "as the ground knows %s: root version %llu, order %llu in force, report %s old",
             s->satellite, (unsigned long long)s->seen->root_version,
             (unsigned long long)s->seen->generation,
             cli_age(now_ms > s->received_ms ? now_ms - s->received_ms : 0, age));
}

static int answer(struct cli *cli, const struct standpoint *s, const struct judged *judged,
                  json_t *basis, const struct err *err)
{
    bool ok = err->rc == RC_OK;

    if (cli->json) {
        (void)cli_json(cli, json_pack("{s:s, s:s, s:s, s:o, s:i, s:s, s:s, s:o, s:o}", "as",
                                      s->satellite, "verdict", ok ? "accept" : "refuse", "type",
                                      doc_type_name(judged->type), "file",
                                      json_safe(cli_arg(cli, 0)), "code", (int)err->rc, "code_name",
                                      rc_name(err->rc), "reason", rc_text(err->rc), "what",
                                      json_safe(ok ? judged->what : err->what), "basis", basis));
        return (int)cli_exit_of(err->rc);
    }
    json_decref(basis);
    if (!ok) {
        cli_say(cli, "%s would refuse it: %s %d, %s", s->satellite, rc_name(err->rc), (int)err->rc,
                rc_text(err->rc));
        return cli_fail(cli, err, "%s", fix_trust(err->rc, "berth inspect FILE"));
    }
    cli_say(cli, "%s would accept it: %s", s->satellite, judged->what);
    return CLI_OK;
}

static int run_as(struct cli *cli, const char *satellite)
{
    scoped(standpoint_done) struct standpoint s = { 0 };
    scoped(home_close) struct home home = HOME_NONE;
    uint64_t now_ms = clock_unix_ms();
    struct judged judged = { .what = "" };
    struct err err = { 0 };
    json_t *basis;
    enum rc rc = home_open(cli->home, false, &home, &err);

    if (rc == RC_OK)
        rc = standpoint_of(&home, satellite, now_ms, &s, &err);
    if (rc != RC_OK)
        return cli_fail(cli, &err, "berth status");
    basis = basis_json(&s, now_ms);
    print_basis(cli, &s, now_ms);
    if (s.awaited > 0)
        cli_note(cli, "note: judged without %u trust documents that have not arrived there yet",
                 s.awaited);
    rc = standpoint_judge(&s, cli_arg(cli, 0), &judged, &err);
    err.rc = rc;
    return answer(cli, &s, &judged, basis, &err);
}

/* ---- as any satellite with this root ---- */

static int say_package(struct cli *cli, const struct checked *checked)
{
    const struct manifest *m = payload_manifest(checked->payload);
    const struct digest *digest = payload_digest(checked->payload);
    char hex[2 * DIGEST_SIZE + 1];

    cli_say(cli, "%s/%s %s is signed, whole and inside its grant", m->tenant, m->name, m->version);
    cli_say(cli, "manifest %s",
            bytes_hex((struct bytes){ .p = digest->b, .n = sizeof digest->b }, hex));
    if (!checked->unpacked)
        cli_note(cli, "note: built for %s, so unpacking it was not tried here", m->arch);
    return cli_json(cli, json_pack("{s:s, s:s, s:s, s:o, s:b, s:b}", "tenant", m->tenant, "name",
                                   m->name, "version", m->version, "manifest", json_digest(digest),
                                   "verified", 1, "unpacked", (int)checked->unpacked));
}

/* A root or grant; an order needs a satellite. */
static int run_document(struct cli *cli, struct trust **trust, uint64_t now_ms)
{
    scoped(standpoint_done) struct standpoint s = { .trust = *trust, .now_ms = now_ms };
    struct judged judged = { .what = "" };
    struct err err = { 0 };

    *trust = NULL;
    if (standpoint_judge(&s, cli_arg(cli, 0), &judged, &err) != RC_OK)
        return cli_fail(cli, &err, "berth verify %s --as SATELLITE", cli_arg(cli, 0));
    cli_say(cli, "%s: signed by those who may", judged.what);
    return cli_json(cli, json_pack("{s:s, s:o, s:b}", "type", doc_type_name(judged.type), "what",
                                   json_safe(judged.what), "verified", 1));
}

static bool is_envelope(const char *path)
{
    scoped(free_ptr) uint8_t *file = NULL;
    struct envelope envelope;
    struct err ignored;
    size_t n = 0;

    return path_read(path, DOCUMENT_MAX, &file, &n, &ignored) == RC_OK &&
           envelope_open((struct bytes){ file, n }, &envelope, &ignored) == RC_OK;
}

static int run(struct cli *cli)
{
    scoped(checked_done) struct checked checked = CHECKED_NONE;
    scoped(trust_free) struct trust *trust = NULL;
    uint64_t now_ms = clock_unix_ms();
    struct err err;

    if (cli_value(cli, "as"))
        return run_as(cli, cli_value(cli, "as"));
    enum rc rc = find_trust(cli, now_ms, &trust, &err);

    if (rc == RC_OK && is_envelope(cli_arg(cli, 0)))
        return run_document(cli, &trust, now_ms);
    if (rc == RC_OK)
        rc = checking_package(trust, cli_arg(cli, 0), now_ms, &checked, &err);
    if (rc == RC_TRUST_MISSING)
        return cli_fail(cli, &err, "berth verify %s --root FILE --grant FILE", cli_arg(cli, 0));
    if (rc == RC_NOT_FOUND)
        return cli_fail(cli, &err, CLI_FIX_PATH);
    if (rc == RC_PACKAGE_FORMAT)
        return cli_fail(cli, &err, "berth build, then berth sign, make the NAME.berth to give");
    if (rc == RC_GRANT_MISSING)
        return cli_fail(cli, &err, "berth grant TENANT --keys PUB --quota FILE");
    if (rc != RC_OK)
        return cli_fail(cli, &err, "%s", fix_trust(rc, "berth inspect FILE"));
    return say_package(cli, &checked);
}

static const struct cli_option options[] = {
    { "as", CLI_TEXT, "SATELLITE", "judge with this satellite's state as the ground knows it" },
    { "root", CLI_PATH, "FILE", "trust root (else that of the home directory)" },
    { "grant", CLI_LIST, "FILE", "the tenant's grant, with --root" },
    { 0 },
};

const struct cli_command cmd_verify[] = {
    { .name = "verify",
      .group = "Payloads",
      .args = "FILE",
      .summary = "Say whether a satellite will take a package, root, grant or order, and why not",
      .about = "The verifier is the one that flies. Without --as it judges by root and grants "
               "alone: signatures, limits, digests,\nunpacking. With --as SATELLITE also by the "
               "order in force there, its clock, the floors of what it runs and\nwhat failed there "
               "before, all by its last report; the answer is accept or refuse, with the code that "
               "the\nsatellite would report.",
      .args_min = 1,
      .args_max = 1,
      .options = options,
      .run = run },
    { 0 },
};
