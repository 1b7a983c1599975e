/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inputs.h"

#include <stdio.h>

#include "base/name.h"

#define WORDS_MAX 4U

/* ---- understanding a line ------------------------------------------------------------------- */

/* A line cut at single spaces. */
struct words {
    uint32_t n;
    char word[WORDS_MAX][INPUT_LINE_MAX];
};

static enum rc refuse(struct err *err, const char *why)
{
    return err_set(err, RC_INPUT_LINE, "%s", why);
}

static enum rc split(struct bytes line, struct words *ret, struct err *err)
{
    size_t at = 0;

    if (line.n > 0 && line.p[line.n - 1] == '\n')
        line.n--;
    if (line.n == 0 || line.n > INPUT_LINE_MAX - 1)
        return refuse(err, line.n == 0 ? "empty" : "too long");
    for (size_t i = 0; i < line.n; i++)
        if (line.p[i] < ' ' || line.p[i] > '~')
            return refuse(err, "only printable ASCII");
    *ret = (struct words){ 0 };
    while (at <= line.n) {
        const uint8_t *begin = line.p + at;
        const uint8_t *space = memchr(begin, ' ', line.n - at);
        size_t n = space ? (size_t)(space - begin) : line.n - at;

        if (n == 0 || ret->n == WORDS_MAX)
            return refuse(err, n == 0 ? "one space between two words" : "too many words");
        memcpy(ret->word[ret->n++], begin, n);
        at += n + 1;
    }
    return RC_OK;
}

/* Decimal digits and nothing else, no leading zero. */
static bool number(const char *text, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;

    if (text[0] < '0' || text[0] > '9' || (text[0] == '0' && text[1] != '\0'))
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10U + (uint64_t)(*text - '0');
        if (value > max)
            return false;
    }
    *ret = value;
    return true;
}

static bool choose(const char *word, const char *yes, const char *no, bool *ret)
{
    *ret = strcmp(word, yes) == 0;
    return *ret || strcmp(word, no) == 0;
}

static enum rc take_name(const char *word, struct input *in, struct err *err)
{
    if (!name_valid(word))
        return refuse(err, "not a name: a-z, 0-9 and '-', 32 at most");
    memcpy(in->name, word, strlen(word) + 1);
    return RC_OK;
}

static enum rc take_mode(const struct words *w, struct input *in, struct err *err)
{
    return choose(w->word[1], "safe", "nominal", &in->safe) ? RC_OK
                                                            : refuse(err, "safe or nominal");
}

static enum rc take_named(const struct words *w, struct input *in, struct err *err)
{
    return take_name(w->word[1], in, err);
}

static enum rc take_nothing(const struct words *w, struct input *in, struct err *err)
{
    (void)w;
    (void)in;
    (void)err;
    return RC_OK;
}

static enum rc take_no_passes(const struct words *w, struct input *in, struct err *err)
{
    (void)in;
    return strcmp(w->word[1], "none") == 0 ? RC_OK : refuse(err, "pass START END STATION, or none");
}

static enum rc take_pass(const struct words *w, struct input *in, struct err *err)
{
    if (!number(w->word[1], INPUT_UNIX_MAX, &in->start_s) ||
        !number(w->word[2], INPUT_UNIX_MAX, &in->end_s))
        return refuse(err, "start and end are seconds since 1970");
    if (in->start_s >= in->end_s || in->end_s - in->start_s > INPUT_PASS_S_MAX)
        return refuse(err, "a pass ends after it starts, within a day");
    return take_name(w->word[3], in, err);
}

static enum rc take_eclipse(const struct words *w, struct input *in, struct err *err)
{
    bool inside = false;

    if (!choose(w->word[1], "in", "out", &inside))
        return refuse(err, "in or out");
    in->kind = inside ? INPUT_ECLIPSE_IN : INPUT_ECLIPSE_OUT;
    return RC_OK;
}

static enum rc take_time(const struct words *w, struct input *in, struct err *err)
{
    uint64_t uncertain = INPUT_UNCERTAIN_UNKNOWN;

    if (!number(w->word[1], INPUT_UNIX_MAX, &in->start_s))
        return refuse(err, "seconds since 1970");
    if (strcmp(w->word[2], "unknown") != 0 &&
        !number(w->word[2], INPUT_UNCERTAIN_MS_MAX, &uncertain))
        return refuse(err, "uncertainty in milliseconds, a day at most, or unknown");
    in->uncertain_ms = (uint32_t)uncertain;
    return RC_OK;
}

/* What each line begins with, how many words it has, and who understands the rest. */
struct verb {
    const char *word;
    uint32_t n;
    enum input_kind kind;
    enum rc (*take)(const struct words *w, struct input *in, struct err *err);
};

static const struct verb verbs[] = {
    { "mode", 2, INPUT_MODE, take_mode },
    { "aos", 2, INPUT_AOS, take_named },
    { "los", 1, INPUT_LOS, take_nothing },
    { "event", 2, INPUT_EVENT, take_named },
    { "pass", 2, INPUT_NO_PASSES, take_no_passes },
    { "pass", 4, INPUT_PASS, take_pass },
    { "eclipse", 2, INPUT_ECLIPSE_IN, take_eclipse },
    { "time", 3, INPUT_TIME, take_time },
};

enum rc input_parse(struct bytes datagram, struct input *ret, struct err *err)
{
    struct words w;
    bool known = false;
    enum rc rc = split(datagram, &w, err);

    for (size_t i = 0; rc == RC_OK && i < sizeof verbs / sizeof *verbs; i++) {
        struct input in = { .kind = verbs[i].kind };

        if (strcmp(verbs[i].word, w.word[0]) != 0)
            continue;
        known = true;
        if (verbs[i].n != w.n)
            continue;
        rc = verbs[i].take(&w, &in, err);
        if (rc == RC_OK)
            *ret = in;
        return rc;
    }
    if (rc != RC_OK)
        return rc;
    return refuse(err,
                  known ? "wrong number of words" : "mode, aos, los, event, pass, eclipse or time");
}

/* ---- what stands ---------------------------------------------------------------------------- */

static void remove_pass(struct inputs_table *t, uint32_t i)
{
    memmove(&t->pass[i], &t->pass[i + 1], (t->n_passes - i - 1) * sizeof t->pass[0]);
    t->n_passes--;
}

static void drop_passes(struct inputs_table *t, const struct input *in, uint64_t now_s)
{
    for (uint32_t i = t->n_passes; i-- > 0;) {
        const struct input_pass *p = &t->pass[i];
        bool replaced =
            strcmp(p->station, in->name) == 0 && p->start_s < in->end_s && in->start_s < p->end_s;

        if (p->end_s <= now_s || replaced)
            remove_pass(t, i);
    }
}

static enum rc add_pass(struct inputs_table *t, const struct input *in, uint64_t now_s,
                        struct err *err)
{
    uint32_t at = 0;

    if (in->end_s <= now_s)
        return refuse(err, "the pass is over");
    drop_passes(t, in, now_s);
    if (t->n_passes == INPUT_PASSES_MAX)
        return err_set(err, RC_NO_ROOM, "%u passes are held", INPUT_PASSES_MAX);
    while (at < t->n_passes && t->pass[at].start_s <= in->start_s)
        at++;
    memmove(&t->pass[at + 1], &t->pass[at], (t->n_passes - at) * sizeof t->pass[0]);
    t->n_passes++;
    t->pass[at] = (struct input_pass){ .start_s = in->start_s, .end_s = in->end_s };
    memcpy(t->pass[at].station, in->name, sizeof in->name);
    return RC_OK;
}

enum rc inputs_take(struct inputs_table *t, const struct input *in, uint64_t now_s,
                    uint64_t mono_ms, struct err *err)
{
    switch (in->kind) {
    case INPUT_MODE:
        t->safe = in->safe;
        break;
    case INPUT_AOS:
        memcpy(t->station, in->name, sizeof t->station);
        break;
    case INPUT_LOS:
        t->station[0] = '\0';
        break;
    case INPUT_PASS:
        return add_pass(t, in, now_s, err);
    case INPUT_NO_PASSES:
        t->n_passes = 0;
        break;
    case INPUT_ECLIPSE_IN:
    case INPUT_ECLIPSE_OUT:
        t->eclipse = in->kind == INPUT_ECLIPSE_IN;
        break;
    case INPUT_TIME:
        t->time_ms = in->start_s * 1000U;
        t->time_mono_ms = mono_ms;
        t->uncertain_ms = in->uncertain_ms;
        break;
    case INPUT_EVENT:
    case INPUT_NONE:
        break;
    }
    return RC_OK;
}

uint32_t inputs_passes(const struct inputs_table *t, uint64_t now_s, struct input_pass *ret,
                       uint32_t cap)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < t->n_passes && n < cap; i++)
        if (t->pass[i].end_s > now_s)
            ret[n++] = t->pass[i];
    return n;
}
