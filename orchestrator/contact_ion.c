/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/contact_ion.h"

#include <stdlib.h>

#include "orchestrator/contact.h"

#define FIRST 64U
#define RELATIVE_MAX_S UINT64_C(4000000000)
#define LIGHT_MAX_S 100000U /* 200 astronomical units */

struct input {
    struct lines lines;
    int64_t reference_ms;
    struct contact_ion plan;
};

void contact_ion_free(struct contact_ion *plan)
{
    free(plan->contact);
    free(plan->range);
    *plan = (struct contact_ion){ 0 };
}

/* Room for one more of `size` bytes. */
static enum rc room_for(const struct lines *l, void **list, size_t n, size_t *cap, size_t size,
                        struct err *err)
{
    size_t more = *cap == 0 ? FIRST : 2 * *cap;

    if (n < *cap)
        return RC_OK;
    if (n >= CONTACTS_MAX)
        return lines_fail(l, err, "more than %u of them", CONTACTS_MAX);
    void *grown = realloc(*list, more * size);

    if (!grown)
        return err_set(err, RC_NO_MEMORY, "%zu contacts", more);
    *list = grown;
    *cap = more;
    return RC_OK;
}

static enum rc read_time(const struct input *in, struct bytes word, const char *what,
                         int64_t *ret_ms, struct err *err)
{
    uint64_t seconds;

    if (word.n > 1 && word.p[0] == '+') {
        if (!lines_uint((struct bytes){ word.p + 1, word.n - 1 }, RELATIVE_MAX_S, &seconds))
            return lines_fail(&in->lines, err, "%s: expected +SECONDS", what);
        *ret_ms = in->reference_ms + (int64_t)seconds * 1000;
        return RC_OK;
    }
    if (!lines_time(word, '/', '-', ret_ms))
        return lines_fail(&in->lines, err, "%s: expected +SECONDS or YYYY/MM/DD-HH:MM:SS", what);
    return RC_OK;
}

/* Words 2 to 5 of both commands: from, to, node, node. */
static enum rc read_ends(const struct input *in, int64_t time[2], uint64_t node[2], struct err *err)
{
    const struct lines *l = &in->lines;
    enum rc rc = read_time(in, l->word[2], "start", &time[0], err);

    if (rc == RC_OK)
        rc = read_time(in, l->word[3], "end", &time[1], err);
    if (rc != RC_OK)
        return rc;
    if (time[1] <= time[0] || time[1] - time[0] > SKY_SPAN_MAX_MS)
        return lines_fail(l, err, "ends before it starts, or lasts longer than 31 days");
    if (!lines_uint(l->word[4], INT64_MAX, &node[0]) ||
        !lines_uint(l->word[5], INT64_MAX, &node[1]) || node[0] == 0 || node[1] == 0)
        return lines_fail(l, err, "expected two node numbers");
    return RC_OK;
}

static enum rc read_contact(struct input *in, struct err *err)
{
    const struct lines *l = &in->lines;
    struct contact_ion *plan = &in->plan;
    struct contact_ion_contact c = { .confidence_ppm = CONTACT_PPM, .line = l->line };
    int64_t time[2] = { 0 };
    uint64_t node[2] = { 0 };
    double confidence = 1;

    if (l->n < 7 || l->n > 8)
        return lines_fail(l, err, "expected a contact START END NODE NODE BYTES/S [CONFIDENCE]");
    enum rc rc = read_ends(in, time, node, err);

    if (rc != RC_OK)
        return rc;
    if (!lines_uint(l->word[6], CONTACT_ION_RATE_MAX, &c.rate))
        return lines_fail(l, err, "rate: expected bytes a second");
    if (l->n == 8 && (!lines_double(l->word[7], &confidence) || confidence < 0 || confidence > 1))
        return lines_fail(l, err, "confidence: expected 0 to 1");
    c.confidence_ppm = (uint32_t)(confidence * CONTACT_PPM);
    c.from_ms = time[0];
    c.to_ms = time[1];
    c.from = node[0];
    c.to = node[1];
    void *list = plan->contact;

    rc = room_for(l, &list, plan->n_contacts, &plan->cap_contacts, sizeof c, err);
    plan->contact = list;
    if (rc == RC_OK)
        plan->contact[plan->n_contacts++] = c;
    return rc;
}

static enum rc read_range(struct input *in, struct err *err)
{
    const struct lines *l = &in->lines;
    struct contact_ion *plan = &in->plan;
    int64_t time[2] = { 0 };
    uint64_t node[2] = { 0 };
    uint64_t light;

    if (l->n != 7)
        return lines_fail(l, err, "expected a range START END NODE NODE SECONDS");
    enum rc rc = read_ends(in, time, node, err);

    if (rc != RC_OK)
        return rc;
    if (!lines_uint(l->word[6], LIGHT_MAX_S, &light))
        return lines_fail(l, err, "range: expected whole light seconds");
    void *list = plan->range;

    rc = room_for(l, &list, plan->n_ranges, &plan->cap_ranges, sizeof plan->range[0], err);
    plan->range = list;
    if (rc == RC_OK)
        plan->range[plan->n_ranges++] = (struct contact_ion_range){ .from_ms = time[0],
                                                                    .to_ms = time[1],
                                                                    .from = node[0],
                                                                    .to = node[1],
                                                                    .light_ms = light * 1000 };
    return rc;
}

/* Commands that make no contact. */
static bool is_other(struct bytes word)
{
    static const char *const commands[] = { "1", "s", "e", "m", "v", "?", "h", "q" };

    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (lines_is(word, commands[i]))
            return true;
    return false;
}

static enum rc read_line(struct input *in, struct err *err)
{
    const struct lines *l = &in->lines;

    if (lines_is(l->word[0], "@") && l->n == 2)
        return read_time(in, l->word[1], "reference time", &in->reference_ms, err);
    if (lines_is(l->word[0], "a") && l->n > 1 && lines_is(l->word[1], "contact"))
        return read_contact(in, err);
    if (lines_is(l->word[0], "a") && l->n > 1 && lines_is(l->word[1], "range"))
        return read_range(in, err);
    if (is_other(l->word[0]))
        return RC_OK;
    return lines_fail(l, err, "expected a contact, a range, @ or a remark");
}

enum rc contact_ion_read(struct bytes text, const char *name, int64_t reference_ms,
                         struct contact_ion *ret, struct err *err)
{
    struct input in = { .lines = { .name = name, .left = text }, .reference_ms = reference_ms };
    bool more = text.n <= CONTACT_ION_BYTES_MAX;
    enum rc rc = more ? RC_OK : err_set(err, RC_TOO_LARGE, "%.60s", name);

    while (rc == RC_OK && more) {
        rc = lines_next(&in.lines, &more, err);
        if (rc == RC_OK && more)
            rc = read_line(&in, err);
    }
    if (rc != RC_OK) {
        contact_ion_free(&in.plan);
        return rc;
    }
    *ret = in.plan;
    return RC_OK;
}

uint64_t contact_ion_light(const struct contact_ion *plan, uint64_t from, uint64_t to,
                           int64_t at_ms)
{
    uint64_t light = 0;

    for (size_t i = 0; i < plan->n_ranges; i++) {
        const struct contact_ion_range *r = &plan->range[i];
        bool same = r->from == from && r->to == to;
        bool turned = r->from == to && r->to == from && r->from < r->to;

        if ((same || turned) && at_ms >= r->from_ms && at_ms < r->to_ms)
            light = r->light_ms;
    }
    return light;
}
