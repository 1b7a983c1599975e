/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/logline.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

static char letter(const struct logs_record *r)
{
    switch (r->stream) {
    case LOGS_OUT:
        return r->more ? 'O' : 'o';
    case LOGS_ERR:
        return r->more ? 'E' : 'e';
    case LOGS_NOTE:
        return 'n';
    case LOGS_GAP:
    case LOGS_STREAMS:
        break;
    }
    return '~';
}

size_t logline_put(uint64_t instance, const struct logs_record *r, char *buf)
{
    int n = snprintf(buf, LOGLINE_HEAD_MAX, "%" PRIu64 ".%" PRIu64 ".%" PRIu64 " %" PRIu64 " %c ",
                     instance, r->number, r->offset, r->time_ms, letter(r));

    assert(n > 0 && n < (int)LOGLINE_HEAD_MAX && r->text.n <= LOGS_TEXT_MAX);
    size_t at = (size_t)n;

    if (r->stream == LOGS_GAP) {
        n = snprintf(buf + at, LOGLINE_MAX - at, "%u %" PRIu64 " %" PRIu64, (unsigned)r->why,
                     r->lines, r->bytes);
        at += (size_t)n;
    } else if (r->text.n > 0) {
        memcpy(buf + at, r->text.p, r->text.n);
        at += r->text.n;
    }
    buf[at++] = '\n';
    return at;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

/* A decimal number up to `end`, which is stepped over; sticky. */
static uint64_t number(struct bytes *in, char end, bool *ok)
{
    uint64_t value = 0;
    size_t i = 0;

    for (; *ok && i < in->n && in->p[i] >= '0' && in->p[i] <= '9'; i++) {
        const uint64_t digit = (uint64_t)(in->p[i] - '0');

        if (value > (UINT64_MAX - digit) / 10U)
            *ok = false;
        value = value * 10U + digit;
    }
    const bool ends = end == '\0' ? i == in->n : i < in->n && in->p[i] == (uint8_t)end;

    if (!*ok || i == 0 || !ends) {
        *ok = false;
        return 0;
    }
    i += end != '\0';
    in->p += i;
    in->n -= i;
    return value;
}

static bool take_letter(struct bytes *in, struct logs_record *r)
{
    if (in->n < 2 || in->p[1] != ' ')
        return false;
    switch (in->p[0]) {
    case 'o':
    case 'O':
        r->stream = LOGS_OUT;
        break;
    case 'e':
    case 'E':
        r->stream = LOGS_ERR;
        break;
    case 'n':
        r->stream = LOGS_NOTE;
        break;
    case '~':
        r->stream = LOGS_GAP;
        break;
    default:
        return false;
    }
    r->more = in->p[0] == 'O' || in->p[0] == 'E';
    in->p += 2;
    in->n -= 2;
    return true;
}

bool logline_parse(struct bytes line, uint64_t *ret_instance, struct logs_record *ret)
{
    struct logs_record r = { .lines = 1 };
    bool ok = true;
    const uint64_t instance = number(&line, '.', &ok);

    r.number = number(&line, '.', &ok);
    r.offset = number(&line, ' ', &ok);
    r.time_ms = number(&line, ' ', &ok);
    if (!ok || !take_letter(&line, &r))
        return false;
    if (r.stream == LOGS_GAP) {
        const uint64_t why = number(&line, ' ', &ok);

        r.lines = number(&line, ' ', &ok);
        r.bytes = number(&line, '\0', &ok);
        if (!ok || why == LOGS_UNKNOWN || why >= LOGS_WHYS || r.lines == 0)
            return false;
        r.why = (enum logs_why)why;
    } else {
        r.text = line;
        r.bytes = line.n + (r.more ? 0 : 1);
    }
    if (instance == 0 || r.number == 0 || line.n > LOGS_TEXT_MAX ||
        r.number > LOGS_NUMBER_MAX / 2 || r.offset > LOGS_NUMBER_MAX / 2 ||
        r.lines > LOGS_NUMBER_MAX / 2 || r.bytes > LOGS_NUMBER_MAX / 2)
        return false;
    *ret_instance = instance;
    *ret = r;
    return true;
}
