/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/auditing: what every command that changes something shares: --why, and an operator
 * key that signs the entries of the audit log which tell of it.
 *
 * The key is the one of --as, else one that the command signs with anyway, else the fleet's own
 * (home_operator_key) if its passphrase is to be had.  Where there is none the entry stays bare,
 * with a note: the next signed one vouches for it, too.
 */
#ifndef BERTH_ORCHESTRATOR_AUDITING_H
#define BERTH_ORCHESTRATOR_AUDITING_H

#include "orchestrator/cli.h"
#include "orchestrator/home.h"
#include "orchestrator/keys.h"

/* For the option tables. */
#define AUDITING_OPTIONS                                                                           \
    { "why", CLI_TEXT, "TEXT", "why, for the audit log: at most 256 bytes" },                      \
    {                                                                                              \
        "as", CLI_PATH, "KEY", "operator key that signs the entry of the audit log"                \
    }

struct auditing {
    struct store_audit_by by;
    struct home *home;
    struct cli *cli;
    struct keyring own;    /* what was loaded for this */
    struct keyring others; /* of the command; not owned */
};

/* Before the command's first transaction: a passphrase may be asked for.  ring: the operator keys
 * that the command signs with; NULL = none.  RC_USAGE: --why is no why; --as that cannot be used is
 * its own error.  a and ring must live until the home is closed or auditing_done was called. */
must_check enum rc auditing_begin(struct auditing *a, struct cli *cli, struct home *home,
                                  const struct keyring *ring, struct err *err);

/* The same without looking for a key: it comes with the ring. */
must_check enum rc auditing_with(struct auditing *a, struct cli *cli, struct home *home,
                                 const struct keyring *ring, struct err *err);

/* Say whose signatures are on what is made: each is kept once. */
void auditing_approval(struct auditing *a, const uint8_t id[KEY_ID_SIZE]);
void auditing_approvals(struct auditing *a, const struct keyring *ring);
/* ... and of a document that was verified before, by what its signatures claim. */
void auditing_signers(struct auditing *a, struct bytes document);

void auditing_done(struct auditing *a); /* scope cleaner */

#endif
