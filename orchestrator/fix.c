/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/fix.h"

#include <stddef.h>

#include "orchestrator/cli.h"

static const struct {
    enum rc rc;
    const char *fix;
} fixes[] = {
    { RC_NOT_FOUND, CLI_FIX_PATH },
    { RC_KEY_FILE, CLI_FIX_KEY },
    { RC_TRUST_MISSING, "berth fleet init NAME --root KEY --operator KEY, or --home DIR" },
    { RC_NO_SATELLITE, "berth status lists the satellites" },
    { RC_NO_PACKAGE, "berth push FILE.berth, or compare the digest: berth inspect FILE.berth" },
    { RC_KEY_UNKNOWN, "sign with keys of the role: berth trust status lists their ids, berth key "
                      "show NAME.pub one" },
    { RC_KEY_REVOKED,
      "sign with keys that are not revoked: berth trust status lists those that are" },
    { RC_KEY_DUPLICATE, "leave one of the two out: berth key show NAME.pub shows the ids" },
    { RC_THRESHOLD, "have more keys of the role sign: berth trust status says how many it takes" },
    { RC_SIG_BAD,
      "sign it again: berth sign FILE --key KEY; it was changed, or damaged on the way" },
    { RC_MISSION, "berth inspect FILE shows its mission, berth trust status --json this one" },
    { RC_DOC_TYPE, "berth inspect FILE says what it is" },
    { RC_GRANT_MISSING,
      "berth grant TENANT --keys PUB --quota FILE; berth trust status lists them" },
    { RC_GRANT_REVOKED, "berth grant TENANT --keys PUB --quota FILE makes the next epoch" },
    { RC_GRANT_OLD, "make it again: berth grant TENANT takes the next epoch" },
    { RC_MANIFEST_REVOKED, "build and sign another version: this one is revoked for good" },
    { RC_VERSION_OLD, "berth trust status shows the newest; make it again with a higher number" },
    { RC_EQUIVOCATION, "there is another one of this number: make it again with a higher one" },
    { RC_ROOT_GAP, "take the roots before it first: berth trust status shows the one in force" },
    { RC_ROOT_COMMITMENT, "use the keys that the root in force commits to: berth trust status" },
    { RC_EXPIRED, "make it again: it has expired" },
    { RC_ISSUED_BEFORE, "sign it again: the operator's keys have changed since" },
    { RC_DIGEST_WEAK, "make it with this version of berth: a key of its role wants SHA-384" },
    { RC_PLAN_STALE, "ask again, with --request and an empty directory" },
};

const char *fix_trust(enum rc rc, const char *other)
{
    for (size_t i = 0; i < sizeof fixes / sizeof fixes[0]; i++)
        if (fixes[i].rc == rc)
            return fixes[i].fix;
    return other;
}
