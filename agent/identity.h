/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/identity: who we are, kept so that no single bad sector can make us forget it.
 *
 * Provisioning writes config.cbor once (manifest/config).  That is one file without a checksum: a
 * flipped bit in it may decode to another satellite, and a bad block would stop every agent that is
 * ever started here.  So the first start in which the trust confirms what it says copies it into a
 * state file, config.{a,b}.  From then on the state file is believed, because it can tell whether
 * it is whole, and config.cbor stands in for it.
 */
#ifndef BERTH_AGENT_IDENTITY_H
#define BERTH_AGENT_IDENTITY_H

#include "agent/agent.h"

/* Where a->config was found. */
struct identity {
    bool plain_bad; /* config.cbor cannot be read, or does not say what the state file says */
    bool kept_bad;  /* a copy of the state file is damaged, or it has got lost */
    bool kept;      /* the state file has it, in both copies */
};

/* Fill a->config from the state file, or else from config.cbor.  *ret says what was wrong with
 * either; nothing is written.  RC_* of config.cbor if neither can be used. */
must_check enum rc identity_load(struct agent *a, struct identity *ret, struct err *err);

/* At the end of a start: tell what was found, and make the state file if it is not whole.  The
 * first time only if the trust is there, whose root names the same mission: that confirms it. */
void identity_keep(struct agent *a, const struct identity *found);

/* config.cbor again from memory, which vouches for it as long as the trust confirms it, if it is
 * not what memory holds.  True: *ret, in buf, is what belongs into the state file as well. */
bool identity_scrub(struct agent *a, uint8_t buf[CONFIG_MAX], struct bytes *ret);

#endif
