/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest/config: config.cbor, the few facts that make one satellite different from its sisters.
 *
 * `berth provision` writes it into the state directory, berthd reads it at start, keeps copies of
 * it and writes it only to repair it.  It carries no secret and no authority: orders name the
 * satellite, and the trust root names the mission; config.cbor only says which of them are ours. It
 * is read as strictly as anything that came over the link.
 */
#ifndef BERTH_MANIFEST_CONFIG_H
#define BERTH_MANIFEST_CONFIG_H

#include "manifest/doc.h"

#define CONFIG_FILE "config.cbor"
#define CONFIG_KEPT_FILE "config" /* state file: berthd's copies of it (agent/identity) */
#define CONFIG_MAX 128U           /* bytes of the file */
#define CONFIG_FORMAT 1U

/* Beside it in the state directory: what provisioning puts into trust/ as plain files, each one
 * envelope.  berthd takes them over into state files of its own at its first start
 * (root.{a,b}, grant-TENANT.{a,b}), and what came later over the link wins from then on. */
#define TRUST_DIR "trust"
#define TRUST_ROOT_FILE "root.cose"
#define TRUST_TEAM_PREFIX "team-" /* team-TENANT+TEAM.cose, with '+' for '/' in TEAM */
#define TRUST_TEAM_SUFFIX ".cose"
#define TRUST_GRANT_PREFIX "grant-" /* grant-TENANT.cose */
#define TRUST_GRANT_SUFFIX ".cose"
#define TRUST_REVOKED_FILE "revoked" /* a state file (base/statefile) with a struct revoked_set */

struct agent_config {
    char satellite[NAME_CAP];
    uint32_t node;          /* ipn:NODE.1 is this satellite; not 0 */
    uint32_t ground;        /* ipn:GROUND.1 is the other end of the link; not 0, not node */
    struct mission mission; /* must be that of the trust root beside it */
};

/* Decode strictly and check.  *ret is untouched on failure. */
must_check enum rc config_decode(struct bytes in, struct agent_config *ret, struct err *err);

/* Whether the values make sense together: RC_NAME, RC_VALUE. */
must_check enum rc config_check(const struct agent_config *config, struct err *err);

/* Encode into buf (CONFIG_MAX bytes are enough); *ret is a view of what was written.  Checks first.
 */
must_check enum rc config_encode(const struct agent_config *config, uint8_t *buf, size_t cap,
                                 struct bytes *ret, struct err *err);

#endif
