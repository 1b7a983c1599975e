/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/logs.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"

#define PATH_CAP (sizeof LOGS_DIR + 3U * (NAME_CAP + 1U))
#define FILE_CAP 51U /* INSTANCE-FIRST-LAST, 16 digits each */
#define LIST_MAX (2U * LOGS_KEPT_MAX)
#define OPEN_MAX 8U   /* chunks that overlap and are looked at together */
#define NOTES_MAX 16U /* reasons of gaps that are remembered */

const char *logs_why_text(enum logs_why why)
{
    static const char *const texts[LOGS_WHYS] = {
        [LOGS_UNKNOWN] = "not here",  [LOGS_RATE] = "too fast",
        [LOGS_HOUR] = "hour used up", [LOGS_DISK] = "disk",
        [LOGS_RING] = "ring full",    [LOGS_QUOTA] = "ring full, day's bytes used up",
    };

    return (unsigned)why < LOGS_WHYS ? texts[why] : texts[LOGS_UNKNOWN];
}

static void dir_path(const char *tenant, const char *satellite, const char *payload, char *out)
{
    (void)snprintf(out, PATH_CAP, LOGS_DIR "/%s/%s/%s", tenant, satellite, payload);
}

/* ---- names ------------------------------------------------------------------------------------
 */

struct names {
    size_t n;
    char (*name)[FILE_CAP]; /* LIST_MAX of them */
};

static bool is_chunk(const char *name)
{
    static const char digits[] = "0123456789abcdef";

    return strlen(name) == FILE_CAP - 1 && strspn(name, digits) == 16 && name[16] == '-' &&
           strspn(name + 17, digits) == 16 && name[33] == '-' && strspn(name + 34, digits) == 16;
}

static bool add_name(void *arg, const char *name)
{
    struct names *names = arg;

    if (is_chunk(name))
        memcpy(names->name[names->n++], name, FILE_CAP);
    return names->n < LIST_MAX;
}

static int by_name(const void *a, const void *b)
{
    return memcmp(a, b, FILE_CAP);
}

/* All chunks, in the order of their instances, and in that of their first lines. */
static enum rc list_names(int dir, struct names *ret, struct err *err)
{
    ret->n = 0;
    ret->name = calloc(LIST_MAX, sizeof *ret->name);
    if (!ret->name)
        return err_set(err, RC_NO_MEMORY, "logs");
    enum rc rc = fs_list(dir, ".", LIST_MAX, add_name, ret, NULL, err);

    qsort(ret->name, ret->n, sizeof *ret->name, by_name);
    return rc;
}

static uint64_t part_of(const char *name, unsigned part)
{
    return strtoull(name + 17U * part, NULL, 16);
}

/* ---- what came --------------------------------------------------------------------------------
 */

static void drop_oldest(int dir)
{
    struct names names;
    struct err ignored;
    enum rc rc = list_names(dir, &names, &ignored);

    for (size_t i = 0; rc == RC_OK && names.n - i > LOGS_KEPT_MAX; i++)
        rc = fs_unlink(dir, names.name[i], &ignored);
    free(names.name);
}

enum rc logs_keep(const struct home *home, const char *satellite, const struct mail *head, int fd,
                  struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(LOGS_BYTES_MAX + LOGS_PLAIN_MAX);
    scoped(close_fd) int dir = -1;
    char path[PATH_CAP], name[FILE_CAP];
    struct logs_reader r;

    if (!buf)
        return err_set(err, RC_NO_MEMORY, "logs");
    if (head->size > LOGS_BYTES_MAX)
        return err_set(err, RC_MAIL_FORMAT, "log");
    const struct bytes content = { buf, head->size };
    enum rc rc = fs_pread_exact(fd, buf, head->size, head->head, err);

    if (rc == RC_OK)
        rc = logs_open(content, buf + LOGS_BYTES_MAX, &r, err);
    if (rc != RC_OK)
        return rc;
    dir_path(head->tenant, satellite, head->payload, path);
    (void)snprintf(name, sizeof name, "%016" PRIx64 "-%016" PRIx64 "-%016" PRIx64, r.instance,
                   r.first, r.last);
    rc = fs_make_dirs(home->dirfd, path, 0700, err);
    if (rc == RC_OK)
        rc = fs_open(home->dirfd, path, O_RDONLY | O_DIRECTORY, 0, &dir, err);
    if (rc != RC_OK || faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return rc;
    rc = fs_write_file(dir, name, content, 0600, err);
    if (rc == RC_OK)
        drop_oldest(dir);
    return rc;
}

/* ---- what is there ----------------------------------------------------------------------------
 */

/* A chunk that is being read, and its next line. */
struct source {
    bool open;
    struct logs_reader r;
    struct logs_record line;
    uint64_t came_ms;
    uint8_t *plain; /* owned */
};

/* Why lines from..to - 1 are missing, as a chunk says. */
struct note {
    uint64_t from, to;
    enum logs_why why;
    uint64_t bytes;
};

struct merge {
    int dir;
    const struct names *names;
    size_t at; /* the next name */
    uint64_t instance;
    uint64_t next, offset;    /* what should come next */
    uint64_t after;           /* nothing up to this line is told */
    uint64_t end, end_offset; /* behind all that chunks tell of */
    uint64_t end_came_ms;     /* when that came */
    uint64_t last_ms;         /* the latest time that a record had */
    struct source source[OPEN_MAX];
    struct note note[NOTES_MAX];
    uint32_t n_notes; /* ever; the newest are there */
    uint8_t *packed;  /* owned */
    bool (*fn)(void *arg, const struct logs_told *told);
    void *arg;
};

/* Go to the next line that has not been told; gaps on the way are notes.  False: it has none. */
static bool advance(struct merge *m, struct source *s)
{
    while (logs_next(&s->r, &s->line)) {
        if (s->line.time_ms > m->last_ms)
            m->last_ms = s->line.time_ms;
        if (s->line.stream == LOGS_GAP)
            m->note[m->n_notes++ % NOTES_MAX] =
                (struct note){ s->line.number, s->line.number + s->line.lines, s->line.why,
                               s->line.bytes };
        else if (s->line.number >= m->next)
            return true;
    }
    s->open = false;
    return false;
}

/* Open the next chunk of the instance in a free source. */
static void open_next(struct merge *m, struct source *s)
{
    const char *name = m->names->name[m->at++];
    struct stat st = { 0 };
    struct err ignored;
    size_t n = 0;

    if (fs_read_file(m->dir, name, m->packed, LOGS_BYTES_MAX, &n, &ignored) != RC_OK ||
        logs_open((struct bytes){ m->packed, n }, s->plain, &s->r, &ignored) != RC_OK ||
        s->r.instance != m->instance)
        return;
    if (fstatat(m->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        s->came_ms = (uint64_t)st.st_mtim.tv_sec * 1000U;
    if (s->r.last >= m->end) {
        m->end = s->r.last + 1;
        m->end_offset = s->r.end;
        m->end_came_ms = s->came_ms;
    }
    s->open = true;
    (void)advance(m, s);
}

static struct source *lowest(struct merge *m)
{
    struct source *best = NULL;

    for (size_t i = 0; i < OPEN_MAX; i++) {
        struct source *s = &m->source[i];

        if (s->open && (!best || s->line.number < best->line.number))
            best = s;
    }
    return best;
}

static struct source *free_source(struct merge *m)
{
    for (size_t i = 0; i < OPEN_MAX; i++)
        if (!m->source[i].open)
            return &m->source[i];
    return NULL;
}

/* The source of the next line, with all chunks open that may have it. */
static struct source *next_source(struct merge *m, size_t end)
{
    for (;;) {
        struct source *best = lowest(m), *place = free_source(m);

        if (m->at == end || !place ||
            (best && part_of(m->names->name[m->at], 1) > best->line.number))
            return best;
        open_next(m, place);
    }
}

/* What is missing from line `from` on, up to line `to` at most: as far as one reason goes. */
static struct note part_of_gap(const struct merge *m, uint64_t from, uint64_t to)
{
    struct note part = { from, to, LOGS_UNKNOWN, UINT64_MAX };

    for (uint32_t i = 0; i < NOTES_MAX && i < m->n_notes; i++) {
        const struct note *n = &m->note[i];

        if (n->from <= from && n->to > from) {
            part = *n;
            part.from = from;
            if (n->to > to || n->from < from) /* not all of it: nobody knows how many bytes */
                part.bytes = UINT64_MAX;
            part.to = n->to < to ? n->to : to;
            return part;
        }
        if (n->from > from && n->from < part.to)
            part.to = n->from;
    }
    return part;
}

/* What is missing before a line, reason by reason; the bytes that no reason accounts for are those
 * of the last. */
static bool tell_gap(struct merge *m, uint64_t came_ms, const struct logs_record *line)
{
    while (m->next < line->number) {
        const struct note part = part_of_gap(m, m->next, line->number);
        const uint64_t left = line->offset > m->offset ? line->offset - m->offset : 0;
        const struct logs_told gap = {
            .instance = m->instance,
            .came_ms = came_ms,
            .record = { .number = m->next,
                        .offset = m->offset,
                        .time_ms = line->time_ms,
                        .stream = LOGS_GAP,
                        .why = part.why,
                        .lines = part.to - m->next,
                        .bytes = part.bytes < left && part.to < line->number ? part.bytes : left }
        };

        if (part.to > m->after + 1 && !m->fn(m->arg, &gap))
            return false;
        m->next = part.to;
        m->offset += gap.record.bytes;
    }
    return true;
}

/* What chunks say is missing behind all lines that are here. */
static bool tell_end(struct merge *m)
{
    const struct logs_record end = { .number = m->end,
                                     .offset = m->end_offset,
                                     .time_ms = m->last_ms };

    return tell_gap(m, m->end_came_ms, &end);
}

/* All chunks of one instance, which end at `end`. */
static bool tell_instance(struct merge *m, size_t end)
{
    struct source *s;

    while ((s = next_source(m, end)) != NULL) {
        const struct logs_told line = { m->instance, s->line, s->came_ms };

        if (line.record.number >= m->next) {
            if (!tell_gap(m, s->came_ms, &s->line) ||
                (line.record.number > m->after && !m->fn(m->arg, &line)))
                return false;
            m->next = line.record.number + 1;
            m->offset = line.record.offset + line.record.bytes;
        }
        (void)advance(m, s);
    }
    return tell_end(m);
}

/* Of the oldest chunk that is kept nobody misses what came before it: it was dropped here. */
static bool tell_all(struct merge *m, const struct logs_cursor *after)
{
    while (m->at < m->names->n) {
        const size_t begin = m->at;
        size_t end = begin;

        m->instance = part_of(m->names->name[begin], 0);
        while (end < m->names->n && part_of(m->names->name[end], 0) == m->instance)
            end++;
        m->next = begin == 0 ? part_of(m->names->name[0], 1) : 1;
        m->offset = 0;
        m->n_notes = 0;
        m->end = m->end_offset = m->end_came_ms = m->last_ms = 0;
        m->after = m->instance == after->instance ? after->number : 0;
        for (size_t i = 0; i < OPEN_MAX; i++)
            m->source[i].open = false;
        if (m->instance < after->instance)
            m->at = end;
        else if (!tell_instance(m, end))
            return false;
    }
    return true;
}

enum rc logs_list(const struct home *home, const char *tenant, const char *satellite,
                  const char *payload, const struct logs_cursor *after,
                  bool (*fn)(void *arg, const struct logs_told *told), void *arg, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(LOGS_BYTES_MAX + OPEN_MAX * LOGS_PLAIN_MAX);
    scoped(free_ptr) struct merge *m = calloc(1, sizeof *m);
    scoped(close_fd) int dir = -1;
    struct names names = { .n = 0 };
    char path[PATH_CAP];

    if (!buf || !m)
        return err_set(err, RC_NO_MEMORY, "logs");
    dir_path(tenant, satellite, payload, path);
    enum rc rc = fs_open(home->dirfd, path, O_RDONLY | O_DIRECTORY, 0, &dir, err);
    if (rc != RC_OK)
        return rc;
    rc = list_names(dir, &names, err);
    *m = (struct merge){ .dir = dir, .names = &names, .packed = buf, .fn = fn, .arg = arg };
    for (size_t i = 0; i < OPEN_MAX; i++)
        m->source[i].plain = buf + LOGS_BYTES_MAX + i * LOGS_PLAIN_MAX;
    if (rc == RC_OK)
        (void)tell_all(m, after);
    free(names.name);
    return rc == RC_OK && names.n == 0 ? err_set(err, RC_NOT_FOUND, "logs") : rc;
}

char *logs_printable(struct bytes text)
{
    const size_t cap = 4 * text.n + 1;
    char *out = malloc(cap);
    size_t n = 0;

    for (size_t i = 0; out && i < text.n; i++) {
        const uint8_t c = text.p[i];
        const bool mistakable = c == '\\' && i + 1 < text.n && text.p[i + 1] == 'x';

        if (((c >= ' ' && c <= '~') || c == '\t') && !mistakable)
            out[n++] = (char)c;
        else
            n += (size_t)snprintf(out + n, cap - n, "\\x%02x", (unsigned)c);
    }
    if (out)
        out[n] = '\0';
    return out;
}
