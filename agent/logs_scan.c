/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/logs_scan.h"

#include "agent/logline.h"

/* Lines of both files, one after the other. */
struct lines {
    struct bytes rest[2];
    unsigned file;
};

static struct lines lines_of(const struct logs_files *files)
{
    return (struct lines){ .rest = { files->older, files->newer } };
}

/* The next line that is a record; what is none is stepped over, and shows as missing.  *ret_size
 * counts it with its line feed. */
static bool next_line(struct lines *l, uint64_t *ret_instance, struct logs_record *ret,
                      size_t *ret_size)
{
    while (l->file < 2) {
        struct bytes *rest = &l->rest[l->file];
        const uint8_t *end = rest->n > 0 ? memchr(rest->p, '\n', rest->n) : NULL;

        if (!end) { /* half of a line is not there yet */
            l->file++;
            continue;
        }
        const struct bytes line = { rest->p, (size_t)(end - rest->p) };

        rest->p += line.n + 1;
        rest->n -= line.n + 1;
        if (logline_parse(line, ret_instance, ret)) {
            *ret_size = line.n + 1;
            return true;
        }
    }
    return false;
}

/* ---- where to begin ---------------------------------------------------------------------------
 */

static bool is_wanted(const struct logs_request *q, uint64_t instance, const struct logs_record *r)
{
    const bool behind =
        instance > q->instance || (instance == q->instance && r->number + r->lines > q->number);

    return behind && r->time_ms >= q->since_ms;
}

bool logs_find(const struct logs_files *files, const struct logs_request *q, struct logs_place *ret)
{
    struct lines l = lines_of(files);
    struct logs_record r;
    uint64_t instance = 0, all = 0, left = 0;
    size_t size = 0;
    bool begun = false;

    /* Everything from the first wanted line on, so that clocks that step leave no holes. */
    while (next_line(&l, &instance, &r, &size)) {
        begun = begun || is_wanted(q, instance, &r);
        all += begun ? size : 0;
    }
    l = lines_of(files);
    left = all;
    begun = false;
    while (next_line(&l, &instance, &r, &size)) {
        begun = begun || is_wanted(q, instance, &r);
        if (begun && (!q->newest || left <= q->bytes)) {
            *ret = (struct logs_place){ instance, r.number, r.offset };
            return true;
        }
        left -= begun ? size : 0;
    }
    return false;
}

/* ---- a chunk ----------------------------------------------------------------------------------
 */

struct collector {
    struct logs_writer *w;
    struct logs_place at;
    enum logs_why why; /* of what is missing next */
    bool begun;
};

/* What is missing before a record. */
static bool add_gap(struct collector *c, const struct logs_record *r)
{
    const struct logs_record gap = { .number = c->at.number,
                                     .offset = c->at.offset,
                                     .time_ms = r->time_ms,
                                     .stream = LOGS_GAP,
                                     .why = c->why,
                                     .lines = r->number - c->at.number,
                                     .bytes =
                                         r->offset > c->at.offset ? r->offset - c->at.offset : 0 };

    if (r->number <= c->at.number)
        return true;
    if (!logs_add(c->w, &gap))
        return false;
    c->at.number = r->number;
    c->at.offset = gap.offset + gap.bytes;
    return true;
}

/* False: there is no more room. */
static bool add_record(struct collector *c, struct logs_record *r)
{
    if (r->number < c->at.number) { /* a gap of which a part has gone */
        const uint64_t gone = c->at.number - r->number;

        r->lines -= gone;
        r->bytes = r->offset + r->bytes > c->at.offset ? r->offset + r->bytes - c->at.offset : 0;
        r->number = c->at.number;
        r->offset = c->at.offset;
    }
    if (!add_gap(c, r) || !logs_add(c->w, r))
        return false;
    c->at.number = r->number + r->lines;
    c->at.offset = r->offset + r->bytes;
    c->why = LOGS_DISK;
    return true;
}

static bool is_behind(const struct logs_place *place, uint64_t instance,
                      const struct logs_record *r)
{
    return instance > place->instance ||
           (instance == place->instance && r->number + r->lines > place->number);
}

uint64_t logs_collect(const struct logs_files *files, struct logs_place *place, enum logs_why why,
                      size_t cap, uint64_t most, struct logs_writer *w, bool *ret_more)
{
    struct collector c = { .w = w, .at = *place, .why = why };
    struct lines l = lines_of(files);
    struct logs_record r;
    uint64_t instance = 0, used = 0;
    size_t size = 0;

    *ret_more = false;
    while (next_line(&l, &instance, &r, &size)) {
        if (!is_behind(&c.at, instance, &r))
            continue;
        if (!c.begun) {
            c.begun = true;
            logs_begin(w, instance, cap);
            if (instance != c.at.instance)
                c.at = (struct logs_place){ .instance = instance, .number = 1 };
        }
        if (used > 0 && used + size > most)
            break; /* all that was wanted */
        if (instance != c.at.instance || !add_record(&c, &r)) {
            *ret_more = true;
            break;
        }
        used += size;
    }
    if (!c.begun || w->n == 0)
        return 0;
    *place = c.at;
    return used > 0 ? used : 1; /* a gap alone */
}
