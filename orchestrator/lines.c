/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/lines.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define NUMBER_CAP 40U
#define DAY_S 86400
#define YEAR_FIRST 1970U
#define YEAR_LAST 2199U

enum rc lines_fail(const struct lines *l, struct err *err, const char *fmt, ...)
{
    const char *slash = strrchr(l->name, '/');
    char reason[80];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(reason, sizeof reason, fmt, args);
    va_end(args);
    return err_set(err, RC_CONTACTS, "%.40s:%u: %s", slash ? slash + 1 : l->name, l->line, reason);
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* Take the next line out of what is left. */
static void take(struct lines *l)
{
    const uint8_t *end = memchr(l->left.p, '\n', l->left.n);
    size_t n = end ? (size_t)(end - l->left.p) : l->left.n;
    size_t all = end ? n + 1 : n;

    l->text = (struct bytes){ l->left.p, n };
    l->left = (struct bytes){ l->left.p + all, l->left.n - all };
    l->line++;
    if (l->text.n > 0 && l->text.p[l->text.n - 1] == '\r')
        l->text.n--;
}

/* Words above LINES_WORDS_MAX are counted only. */
static void split(struct lines *l)
{
    for (size_t i = 0; i < l->text.n; i++) {
        size_t from = i;

        while (i < l->text.n && !is_blank(l->text.p[i]))
            i++;
        if (i > from && l->n < LINES_WORDS_MAX)
            l->word[l->n] = (struct bytes){ l->text.p + from, i - from };
        l->n += i > from;
    }
}

/* Blanks off, and nothing but printable ASCII left. */
static enum rc clean(struct lines *l, struct err *err)
{
    while (l->text.n > 0 && is_blank(l->text.p[0])) {
        l->text.p++;
        l->text.n--;
    }
    while (l->text.n > 0 && is_blank(l->text.p[l->text.n - 1]))
        l->text.n--;
    if (l->text.n > LINES_MAX)
        return lines_fail(l, err, "longer than %u characters", LINES_MAX);
    for (size_t i = 0; i < l->text.n; i++)
        if ((l->text.p[i] < ' ' || l->text.p[i] > '~') && l->text.p[i] != '\t')
            return lines_fail(l, err, "byte %u is no printable ASCII", (unsigned int)i + 1);
    return RC_OK;
}

enum rc lines_next(struct lines *l, bool *ret, struct err *err)
{
    enum rc rc = RC_OK;

    l->n = 0;
    while (rc == RC_OK && l->n == 0 && l->left.n > 0) {
        take(l);
        rc = clean(l, err);
        if (rc == RC_OK && l->text.n > 0 && l->text.p[0] != '#')
            split(l);
    }
    if (rc == RC_OK)
        *ret = l->n > 0;
    return rc;
}

bool lines_is(struct bytes word, const char *text)
{
    return bytes_equal(word, bytes_of(text));
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

bool lines_uint(struct bytes word, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;

    if (word.n == 0)
        return false;
    for (size_t i = 0; i < word.n; i++) {
        if (!is_digit(word.p[i]) || __builtin_mul_overflow(value, 10U, &value) ||
            __builtin_add_overflow(value, (uint64_t)(word.p[i] - '0'), &value))
            return false;
    }
    if (value > max)
        return false;
    *ret = value;
    return true;
}

/* strtod knows more than numbers ("inf", "0x1p3", blanks): only these characters reach it. */
bool lines_double(struct bytes word, double *ret)
{
    char text[NUMBER_CAP];
    char *end = NULL;

    for (size_t i = 0; i < word.n; i++)
        if (!is_digit(word.p[i]) && !strchr("+-.eE", word.p[i]))
            return false;
    if (word.n == 0 || !bytes_to_text(word, text, sizeof text))
        return false;
    double value = strtod(text, &end);

    if (*end != '\0' || !isfinite(value))
        return false;
    *ret = value;
    return true;
}

/* ---- times ---------------------------------------------------------------------------------- */

static bool is_leap(unsigned int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned int days_in(unsigned int year, unsigned int month)
{
    static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

    return days[month - 1] + (month == 2 && is_leap(year) ? 1U : 0U);
}

static int64_t days_before_year(unsigned int year)
{
    unsigned int y = year - 1;

    return (int64_t)365 * (year - YEAR_FIRST) + (y / 4 - y / 100 + y / 400) -
           ((YEAR_FIRST - 1) / 4 - (YEAR_FIRST - 1) / 100 + (YEAR_FIRST - 1) / 400);
}

/* Exactly n digits, moved over. */
static bool digits(struct bytes *in, size_t n, unsigned int *ret)
{
    uint64_t value;

    if (in->n < n || !lines_uint((struct bytes){ in->p, n }, 9999, &value))
        return false;
    *in = (struct bytes){ in->p + n, in->n - n };
    *ret = (unsigned int)value;
    return true;
}

static bool mark(struct bytes *in, char c)
{
    if (in->n == 0 || in->p[0] != (uint8_t)c)
        return false;
    *in = (struct bytes){ in->p + 1, in->n - 1 };
    return true;
}

/* "MM-DD" or, where ISO 8601 is written, "DDD": days since the year began. */
static bool day_of_year(struct bytes *in, unsigned int year, char day, unsigned int *ret)
{
    unsigned int month, of_month, number;
    bool ordinal = in->n > 3 && is_digit(in->p[2]);

    if (ordinal && day == '-' && digits(in, 3, &number)) {
        *ret = number - 1;
        return number >= 1 && number <= 365U + is_leap(year);
    }
    if (!digits(in, 2, &month) || !mark(in, day) || !digits(in, 2, &of_month) || month < 1 ||
        month > 12 || of_month < 1 || of_month > days_in(year, month))
        return false;
    *ret = of_month - 1;
    for (unsigned int m = 1; m < month; m++)
        *ret += days_in(year, m);
    return true;
}

/* ".25" and "Z": milliseconds, and nothing behind. */
static bool fraction(struct bytes *in, unsigned int *ret)
{
    unsigned int unit = 100;

    *ret = 0;
    if (mark(in, '.')) {
        if (in->n == 0 || !is_digit(in->p[0]))
            return false;
        for (; in->n > 0 && is_digit(in->p[0]); unit /= 10) {
            *ret += unit * (unsigned int)(in->p[0] - '0');
            (void)mark(in, (char)in->p[0]);
        }
    }
    (void)mark(in, 'Z');
    return in->n == 0;
}

bool lines_time(struct bytes word, char day, char clock, int64_t *ret_ms)
{
    unsigned int year, days, hour, minute, second, ms = 0;

    if (!digits(&word, 4, &year) || year < YEAR_FIRST || year > YEAR_LAST || !mark(&word, day) ||
        !day_of_year(&word, year, day, &days) || !mark(&word, clock) || !digits(&word, 2, &hour) ||
        !mark(&word, ':') || !digits(&word, 2, &minute) || !mark(&word, ':') ||
        !digits(&word, 2, &second) || hour > 23 || minute > 59 || second > 60)
        return false;
    if (clock == 'T' ? !fraction(&word, &ms) : word.n > 0)
        return false;
    *ret_ms =
        ((days_before_year(year) + days) * DAY_S + (int64_t)hour * 3600 + minute * 60 + second) *
            1000 +
        ms;
    return true;
}
