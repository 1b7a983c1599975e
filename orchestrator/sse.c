/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/sse.h"

#include <stdlib.h>
#include <string.h>

#define FIRST ((size_t)4096)

void sse_done(struct sse *sse)
{
    free(sse->line);
    free(sse->kept);
    *sse = (struct sse){ 0 };
}

static enum rc keep(struct sse *s, uint8_t byte, struct err *err)
{
    if (s->n == s->cap) {
        const size_t cap = s->cap > 0 ? 2 * s->cap : FIRST;
        uint8_t *grown = s->n < SSE_LINE_MAX ? realloc(s->line, cap) : NULL;

        if (!grown)
            return err_set(err, s->n < SSE_LINE_MAX ? RC_NO_MEMORY : RC_API_SERVER, "line");
        s->line = grown;
        s->cap = cap;
    }
    s->line[s->n++] = byte;
    return RC_OK;
}

/* The line is NAME or NAME: VALUE; value becomes what is behind the colon and one blank. */
static bool is_field(struct bytes line, const char *name, struct bytes *ret_value)
{
    const size_t n = strlen(name);

    if (line.n < n || memcmp(line.p, name, n) != 0 || (line.n > n && line.p[n] != ':'))
        return false;
    const size_t from = n + (line.n > n) + (line.n > n + 1 && line.p[n + 1] == ' ');

    *ret_value = (struct bytes){ .p = line.p + from, .n = line.n - from };
    return true;
}

static enum rc take_word(struct bytes value, char out[SSE_WORD_CAP], struct err *err)
{
    return bytes_to_text(value, out, SSE_WORD_CAP) ? RC_OK : err_set(err, RC_API_SERVER, "field");
}

/* The line is kept as it is, and the next one gets room of its own. */
static enum rc take_data(struct sse *s, struct bytes value, struct err *err)
{
    if (s->kept)
        return err_set(err, RC_API_SERVER, "two lines of data");
    s->kept = s->line;
    s->data = value;
    s->line = NULL;
    s->cap = 0;
    return RC_OK;
}

/* A blank line ends a message; one without data is none. */
static enum rc end_message(struct sse *s,
                           enum rc (*fn)(void *arg, const struct sse_message *m, struct err *err),
                           void *arg, struct err *err)
{
    const struct sse_message m = { .event = s->event, .id = s->id, .data = s->data };
    const enum rc rc = s->kept ? fn(arg, &m, err) : RC_OK;

    free_ptr(&s->kept);
    s->event[0] = s->id[0] = '\0';
    return rc;
}

enum rc sse_feed(struct sse *s, struct bytes in,
                 enum rc (*fn)(void *arg, const struct sse_message *m, struct err *err), void *arg,
                 struct err *err)
{
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < in.n; i++) {
        if (in.p[i] != '\n') {
            rc = keep(s, in.p[i], err);
            continue;
        }
        struct bytes line = { .p = s->line, .n = s->n };
        struct bytes value;

        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        if (line.n == 0)
            rc = end_message(s, fn, arg, err);
        else if (is_field(line, "event", &value))
            rc = take_word(value, s->event, err);
        else if (is_field(line, "id", &value))
            rc = take_word(value, s->id, err);
        else if (is_field(line, "data", &value))
            rc = take_data(s, value, err);
        s->n = 0;
    }
    return rc;
}
