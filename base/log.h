/* SPDX-License-Identifier: Apache-2.0
 *
 * base/log: structured lines for programs (libraries do not log).
 *
 * One line an event: "IDENT LEVEL event key=value ...".  Under systemd the line carries the <N>
 * priority prefix that the journal understands; else it goes to stderr as it is.  Control bytes in
 * values become '?', so hostile input cannot forge lines or colour a terminal.
 */
#ifndef BERTH_BASE_LOG_H
#define BERTH_BASE_LOG_H

#include "base/err.h"

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARN = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

/* Set the program's name and the least important level that is written.  ident must live as long as
 * the process. */
void log_open(const char *ident, enum log_level least);

/* Write one line. */
void log_event(enum log_level level, const char *fmt, ...) printf_like(2, 3);

/* Write one line that ends in the error's text and number. */
void log_err(enum log_level level, const struct err *err, const char *fmt, ...) printf_like(3, 4);

#endif
