/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/logline: a line of the files in which what payloads print is kept (agent/output).  One
 * record is one line of text, for people with a shell on a bench, too:
 *
 *     INSTANCE.NUMBER.OFFSET TIME S TEXT
 *
 * with a start of the payload, the line's number, the bytes printed before it, Unix ms, and S one
 * of o (stdout), e (stderr), n (a note of the agent's), O and E where the line goes on in the next
 * one, and ~ where lines are missing: TEXT is then WHY LINES BYTES (link/logs).
 *
 * Pure.  A file may have been damaged: what is not such a line is told.
 */
#ifndef BERTH_AGENT_LOGLINE_H
#define BERTH_AGENT_LOGLINE_H

#include "link/logs.h"

#define LOGLINE_HEAD_MAX 96U /* bytes before the text; of a gap, the whole line */
#define LOGLINE_MAX (LOGLINE_HEAD_MAX + LOGS_TEXT_MAX + 1U)

/* Write a record with its line feed into buf, of LOGLINE_MAX bytes; returns how many. */
size_t logline_put(uint64_t instance, const struct logs_record *record, char *buf);

/* Parse a line without its line feed.  The text of ret is a view of it.  False: it is none. */
bool logline_parse(struct bytes line, uint64_t *ret_instance, struct logs_record *ret);

#endif
