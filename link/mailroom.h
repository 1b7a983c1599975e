/* SPDX-License-Identifier: Apache-2.0
 *
 * link/mailroom: berth-link's way down for messages of payloads: link/sender, fed by berthd with
 * descriptors, answered by the ground with a status (link/status).  It keeps nothing: berthd has
 * the messages, and hands them over again after every start.
 */
#ifndef BERTH_LINK_MAILROOM_H
#define BERTH_LINK_MAILROOM_H

#include "link/port.h"
#include "link/state.h"

struct mailroom;

must_check enum rc mailroom_new(struct mailroom **ret, struct err *err);
void mailroom_free(struct mailroom **room); /* scope cleaner */

/* Begin to send an object; fd is the room's from now on, on failure closed.  RC_SPOOL_FULL beyond
 * PORT_MAILS_MAX; RC_EXISTS if it is on its way; RC_OBJECT_DIGEST; RC_IO. */
must_check enum rc mailroom_add(struct mailroom *room, const struct port_mail *mail, int fd,
                                struct err *err);

/* Forget one; nothing if it is not there. */
void mailroom_drop(struct mailroom *room, const uint8_t digest[DIGEST_SIZE]);

/* What the ground says that it has. */
void mailroom_status(struct mailroom *room, const struct port_transfers *status, uint64_t now_ms);

/* The next object that the ground has whole: false if there is none.  It is forgotten. */
bool mailroom_sent(struct mailroom *room, uint8_t ret[DIGEST_SIZE]);

/* Write bundles that are due into the downlink directory, while few wait there; *ret_sent of them,
 * on failure too.  Durable after dircl_sync. */
must_check enum rc mailroom_send(struct mailroom *room, struct link_state *state, int down_dir,
                                 uint64_t now_ms, uint32_t *ret_sent, struct err *err);

/* Whether anything is on its way. */
bool mailroom_busy(const struct mailroom *room);

#endif
