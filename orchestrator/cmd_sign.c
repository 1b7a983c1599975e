/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_sign: sign what `berth build` wrote, or add a signature to a package.
 */
#include <limits.h>

#include "orchestrator/cmd.h"
#include "orchestrator/draft.h"
#include "orchestrator/path.h"
#include "orchestrator/signing.h"

static bool ends_in(const char *text, const char *suffix)
{
    size_t n = strlen(text), cut = strlen(suffix);

    return n > cut && strcmp(text + n - cut, suffix) == 0;
}

static int run(struct cli *cli)
{
    const char *file = cli_arg(cli, 0), *out = cli_value(cli, "out");
    bool more = ends_in(file, SIGNING_SUFFIX);
    char path[PATH_MAX];
    struct err err;
    enum rc rc = out ? path_with_suffix(out, "", "", path, sizeof path, &err)
                     : path_with_suffix(file, more ? SIGNING_SUFFIX : DRAFT_SUFFIX, SIGNING_SUFFIX,
                                        path, sizeof path, &err);

    if (rc == RC_OK)
        rc = more ? signing_attach(cli, file, path, &err) : signing_draft(cli, file, path, &err);
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
    cli_say(cli, "%s", path);
    return cli_json(cli, json_pack("{s:o}", "file", json_safe(path)));
}

static const struct cli_option options[] = {
    { "out", CLI_PATH, "FILE", "write here (else beside the input, ending in .berth)" },
    SIGNING_OPTIONS,
    { 0 },
};

const struct cli_command cmd_sign[] = {
    { .name = "sign",
      .group = "Payloads",
      .args = "FILE",
      .summary = "Sign a built payload, or add a signature to a signed one",
      .about = "NAME.unsigned becomes NAME.berth; NAME.berth gets one signature more. The mission "
               "comes from --mission,\n--root, or the fleet in the home directory: a package is "
               "good for one mission only.",
      .args_min = 1,
      .args_max = 1,
      .options = options,
      .run = run },
    { 0 },
};
