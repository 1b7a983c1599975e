/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/mail_inside: what agent/mail, its parts and agent/logs share of the messages on board; for
 * these alone.
 */
#ifndef BERTH_AGENT_MAIL_INSIDE_H
#define BERTH_AGENT_MAIL_INSIDE_H

#include "agent/mail.h"

/* ---- of agent/mail ---- */

/* What time it is, in Unix ms, as far as the trust believes the clock (manifest/trust). */
uint64_t mail_today_ms(const struct agent *a);

/* Whether a payload is in the table of units. */
bool mail_is_on_board(const struct agent *a, const char *tenant, const char *payload);

/* The box of an instance, NULL: it does not run with mail. */
struct mail_box *mail_find_box(struct agent *a, uint64_t instance);

/* The box of the payload of a message; NULL: it does not run with mail. */
struct mail_box *mail_box_of(struct agent *a, const struct mail_file *f);

/* Whether one more message of the payload of `like`, that way, may be kept. */
bool mail_has_room(const struct agent *a, const struct mail_file *like);

/* Count `cost` bytes more of this day to a payload, in *s, which is not saved here. RC_MAIL_BUDGET:
 * its day or its tenant's has not so many. */
must_check enum rc mail_charge(const struct agent *a, const struct mail_box *b,
                               struct mail_state *s, uint64_t now_ms, uint64_t cost,
                               struct err *err);

/* Put a message that is on disk among the others; take one away, from the disk too, which moves
 * those behind it. */
void mail_add_item(void *agent, const struct mail_file *f);
void mail_drop_item(struct agent *a, struct mail_item *item);

/* The message of this way in this object, or NULL. */
struct mail_item *mail_find_item(struct agent *a, enum mail_way way, const uint8_t digest[]);

/* The head of a message that is kept; ret_fd (NULL allowed) gets the file, which the caller closes.
 */
must_check enum rc mail_read_head(const struct agent *a, const struct mail_file *f, int *ret_fd,
                                  struct mail *ret, struct err *err);

/* mail_state_load; one that is damaged is written anew. */
must_check enum rc mail_load_state(const struct agent *a, const char *tenant, const char *payload,
                                   struct mail_state *ret, struct err *err);

/* A message of `size` bytes of a file behind a head, and that it is there.  On failure *ret_kept
 * tells whether it stays all the same: the note of it can be read, and is not durable. */
must_check enum rc mail_put_noted(const struct agent *a, struct mail_file *f, struct bytes head,
                                  int from, uint64_t size, const struct digest *want,
                                  const struct mail_state *s, bool *ret_kept, struct err *err);

/* Whether size bytes of a file at offset are a sealed bundle of this payload's and its own ground's
 * in this direction.  RC_MAIL_SEALED, RC_MAIL_ADDRESS. */
must_check enum rc mail_check_sealed(const struct agent *a, const struct mail_box *b,
                                     enum mail_direction direction, int fd, uint64_t offset,
                                     uint32_t size, struct err *err);

/* What could not be read: true, and told once, if it is tried again later; false if the disk has
 * lost it, or its payload takes nothing like it. */
bool mail_not_now(struct agent *a, struct mail_item *item, enum rc rc, uint64_t now_ms);

/* An event of a payload's mail. */
void mail_tell(struct agent *a, enum rc rc, const char *tenant, const char *payload);

/* ---- of agent/mail_command ---- */

/* Put what waits into the queues of the buses that are there. */
void mail_commands_due(struct agent *a, uint64_t now_ms);

/* A command has come to its end without its payload: it goes, and the ground is told.  False: that
 * could not be kept, and the command stays. */
bool mail_command_end(struct agent *a, struct mail_item *item, enum mail_outcome outcome,
                      enum rc code);

/* A command that is not taken, of a payload that is on board: the ground is told, if there is room.
 */
void mail_command_refuse(struct agent *a, const struct mail *head, const struct digest *object,
                         enum rc code);

/* At the start: a command with its last answer on board is not given to its payload again. */
void mail_commands_settle(struct agent *a);

#endif
