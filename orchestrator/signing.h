/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/signing: a tenant signs a package; shared by `berth sign` and `berth build --key`.
 */
#ifndef BERTH_ORCHESTRATOR_SIGNING_H
#define BERTH_ORCHESTRATOR_SIGNING_H

#include "manifest/doc.h"
#include "orchestrator/cli.h"
#include "orchestrator/draft.h"
#include "orchestrator/keys.h"
#include "orchestrator/offline.h"
#include "update/package.h"

#define SIGNING_SUFFIX ".berth"

/* What both commands take, for their option tables. */
#define SIGNING_OPTIONS                                                                            \
    { "key", CLI_LIST, "KEY", "private keys that sign" },                                          \
        { "mission", CLI_TEXT, "ID",                                                               \
          "mission id, 32 hex digits: what the signature is good for" },                           \
        { "root", CLI_PATH, "FILE", "take the mission id from this trust root" }, SIGNER_OPTIONS,  \
        CLI_OPTION_PASSPHRASE

/* Which mission the signature is for: --mission, --root, else that of the ground that is asked,
 * else the home's.  RC_USAGE. */
must_check enum rc signing_mission(struct cli *cli, struct mission *ret, struct err *err);

/* Turn an unsigned package into a signed one. */
must_check enum rc signing_draft(struct cli *cli, const char *draft, const char *out,
                                 struct err *err);

/* Add the keys' signatures to a package that is signed already. */
must_check enum rc signing_attach(struct cli *cli, const char *package, const char *out,
                                  struct err *err);

/* ---- across an air gap ---- */

enum subject_kind { SUBJECT_REQUEST, SUBJECT_DRAFT, SUBJECT_PACKAGE, SUBJECT_ENVELOPE };

/* A file that holds something to sign, and the signatures that it has.  Owns what it points to. */
struct subject {
    enum subject_kind kind;
    int fd;
    struct request request;
    struct bytes envelope; /* empty: nobody has signed yet */
    uint8_t *file;         /* request or envelope */
    struct draft draft;
    struct package package;
};
#define SUBJECT_NONE                                                                               \
    {                                                                                              \
        .fd = -1                                                                                   \
    }
void subject_done(struct subject *subject); /* scope cleaner */

/* Read a request, an unsigned package, a package or a document in its envelope.  The mission comes
 * from the file where it says it (requests, roots), else as for signing. */
must_check enum rc subject_open(struct cli *cli, const char *path, struct subject *ret,
                                struct err *err);

/* Write what became of it: the envelope alone, or in its package. */
must_check enum rc subject_write(const struct subject *subject, struct bytes envelope,
                                 const char *out, struct err *err);

#endif
