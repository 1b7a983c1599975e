/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/signing: a tenant signs a package; shared by `berth sign` and `berth build --key`.
 */
#ifndef BERTH_ORCHESTRATOR_SIGNING_H
#define BERTH_ORCHESTRATOR_SIGNING_H

#include "manifest/doc.h"
#include "orchestrator/cli.h"

#define SIGNING_SUFFIX ".berth"

/* What both commands take, for their option tables. */
#define SIGNING_OPTIONS                                                                            \
    { "key", CLI_LIST, "KEY", "private keys that sign" },                                          \
        { "mission", CLI_TEXT, "ID",                                                               \
          "mission id, 32 hex digits: what the signature is good for" },                           \
        { "root", CLI_PATH, "FILE", "take the mission id from this trust root" },                  \
        CLI_OPTION_PASSPHRASE

/* Turn an unsigned package into a signed one. */
must_check enum rc signing_draft(struct cli *cli, const char *draft, const char *out,
                                 struct err *err);

/* Add the keys' signatures to a package that is signed already. */
must_check enum rc signing_attach(struct cli *cli, const char *package, const char *out,
                                  struct err *err);

#endif
