/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_LEN 1024

static const char *program = "berth";
static enum log_level threshold = LOG_LEVEL_INFO;

void log_open(const char *ident, enum log_level least)
{
    program = ident;
    threshold = least;
}

static const char *level_word(enum log_level level)
{
    switch (level) {
    case LOG_LEVEL_ERROR:
        return "error";
    case LOG_LEVEL_WARN:
        return "warn";
    case LOG_LEVEL_INFO:
        return "info";
    case LOG_LEVEL_DEBUG:
        return "debug";
    }
    return "?";
}

/* One write per line, so that lines of several processes never mix. */
static void write_line(enum log_level level, const char *text)
{
    char line[LINE_MAX_LEN + 64];
    int printed;

    if (getenv("JOURNAL_STREAM"))
        printed = snprintf(line, sizeof line, "<%d>%s\n", (int)level, text);
    else
        printed = snprintf(line, sizeof line, "%s %s %s\n", program, level_word(level), text);
    if (printed < 1)
        return;

    size_t n = (size_t)printed < sizeof line ? (size_t)printed : sizeof line - 1;

    for (size_t i = 0; i < n - 1; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    line[n - 1] = '\n';
    if (write(STDERR_FILENO, line, n) < 0)
        return; /* there is nowhere left to say so */
}

void log_event(enum log_level level, const char *fmt, ...)
{
    char text[LINE_MAX_LEN];
    va_list args;

    if (level > threshold)
        return;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    write_line(level, text);
}

void log_err(enum log_level level, const struct err *err, const char *fmt, ...)
{
    char text[LINE_MAX_LEN];
    char why[256];
    char whole[LINE_MAX_LEN];
    va_list args;

    if (level > threshold)
        return;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    (void)snprintf(whole, sizeof whole, "%.700s: %s", text, err_text(err, why, sizeof why));
    write_line(level, whole);
}
