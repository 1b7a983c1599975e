/* SPDX-License-Identifier: Apache-2.0
 *
 * link/sealshow: what berth-seal prints: lines for people, or one JSON object; no secret in either.
 */
#ifndef BERTH_LINK_SEALSHOW_H
#define BERTH_LINK_SEALSHOW_H

#include <stdio.h>

#include "link/sealbox.h"

const char *seal_end_name(enum seal_end end);

/* Text in quotes.  It may be hostile, and goes to a terminal or a program. */
void sealshow_text(const char *text, FILE *out);

/* A key, by its id, behind a word for what was done. */
void sealshow_key(const struct keys *keys, const char *said, bool json);

/* What a key file says. */
void sealshow_keyfile(const struct keys *keys, enum seal_end to, bool json);

/* What an end holds, and has counted; what cannot be read is told as such. */
void sealshow_box(const struct sealbox *box, bool json);

/* What a sealed message says of itself, which anybody could have written.  RC_MAIL_SEALED, or a
 * code of the bundle's form. */
must_check enum rc sealshow_message(struct bytes in, bool json, struct err *err);

#endif
