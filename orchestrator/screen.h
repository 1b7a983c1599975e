/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/screen: what only makes sense on a terminal: --watch and marks.  Elsewhere (a pipe,
 * TERM=dumb, --json) nothing but the words is written.
 */
#ifndef BERTH_ORCHESTRATOR_SCREEN_H
#define BERTH_ORCHESTRATOR_SCREEN_H

#include "orchestrator/cli.h"

/* Whether data goes to a terminal that can do more than print. */
bool screen_is_terminal(const struct cli *cli);

/* Characters in a line of it; 0 = it has no end. */
size_t screen_width(const struct cli *cli);

/* Start a new picture of --watch. */
void screen_clear(struct cli *cli);

/* Wait a second before the next picture.  False when nobody reads any more. */
bool screen_wait(struct cli *cli);

enum screen_mark { MARK_GOOD, MARK_BUSY, MARK_BAD, MARK_UNKNOWN };

/* A word with its mark in front of it on a terminal, never a mark or a colour alone; returns out.
 */
const char *screen_word(const struct cli *cli, enum screen_mark mark, const char *word, char *out,
                        size_t cap);

/* Text from a report made printable; returns out. */
const char *screen_safe(const char *text, char *out, size_t cap);

#endif
