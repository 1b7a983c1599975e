/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/lines: text files of other people's programs, a line at a time: words between
 * blanks, numbers, times.
 *
 * What comes in is hostile: a file is a view of bounded memory, a line has at most LINES_MAX
 * printable ASCII characters, and every refusal names file and line.
 * Nothing is allocated and nothing is remembered of earlier lines.
 */
#ifndef BERTH_ORCHESTRATOR_LINES_H
#define BERTH_ORCHESTRATOR_LINES_H

#include "base/bytes.h"
#include "base/err.h"

#define LINES_MAX 512U
#define LINES_WORDS_MAX 12U

struct lines {
    const char *name; /* of the file, for messages; only its last path component is shown */
    struct bytes left;
    unsigned int line;                  /* number of the current one, from 1 */
    struct bytes text;                  /* without blanks at its ends; a view */
    unsigned int n;                     /* words, all of them */
    struct bytes word[LINES_WORDS_MAX]; /* the first ones; views */
};

/* Go to the next line that is neither blank nor begins with '#'; false in *ret at the end.  Lines
 * end in LF or CR LF.  RC_CONTACTS: a line is too long, or has other characters. */
must_check enum rc lines_next(struct lines *l, bool *ret, struct err *err);

/* Fill err with RC_CONTACTS and "FILE:LINE: reason". */
enum rc lines_fail(const struct lines *l, struct err *err, const char *fmt, ...) printf_like(3, 4);

/* Whether a word is this text. */
bool lines_is(struct bytes word, const char *text);

/* Digits alone, 0 to max. */
bool lines_uint(struct bytes word, uint64_t max, uint64_t *ret);

/* A decimal number with sign, point and exponent, as programs print doubles; finite. */
bool lines_double(struct bytes word, double *ret);

/* "2026/11/30-12:00:00" with separators '/' and '-', or "2026-11-30T12:00:00.25Z" and
 * "2026-334T12:00:00" with '-' and 'T': Unix time in ms, 1970 to 2199.  A fraction is cut after
 * milliseconds; second 60 is the first of the next minute. */
bool lines_time(struct bytes word, char day, char clock, int64_t *ret_ms);

#endif
