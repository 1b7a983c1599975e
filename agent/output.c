/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/output.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/logline.h"
#include "base/fs.h"

#define STREAMS 2U

struct output_part {
    uint32_t n;
    bool aged; /* it was there at the last tick */
    uint8_t text[LOGS_TEXT_MAX];
};

void output_name(const char *tenant, const char *name, char out[2U * NAME_CAP + 8U])
{
    (void)snprintf(out, 2U * NAME_CAP + 8U, "%s.%s.log", tenant, name);
}

/* A record that the power cut off gets an end, so that the next one is whole. */
static void end_line(struct output *out)
{
    uint8_t last = '\n';
    struct err err = { 0 };

    if (out->size == 0 || fs_pread_exact(out->fd, &last, 1, out->size - 1, &err) != RC_OK ||
        last == '\n')
        return;
    if (fs_write_all(out->fd, bytes_of("\n"), &err) == RC_OK)
        out->size++;
}

static void open_file(struct output *out, int flags)
{
    struct err err = { 0 };
    struct stat st = { 0 };

    if (fs_open(out->dir, out->name, O_RDWR | O_CREAT | O_APPEND | flags, 0640, &out->fd, &err) !=
        RC_OK) {
        out->fd = -1;
        return;
    }
    if (fstat(out->fd, &st) != 0 || !S_ISREG(st.st_mode))
        close_fd(&out->fd);
    out->size = st.st_size < (off_t)OUTPUT_FILE_MAX ? (uint32_t)st.st_size : OUTPUT_FILE_MAX;
    if (out->fd >= 0 && out->size < OUTPUT_FILE_MAX)
        end_line(out);
}

void output_open(struct output *out, int dir, const char *tenant, const char *name,
                 uint64_t instance, struct output_budget *budget, uint64_t now_ms)
{
    *out = (struct output){
        .dir = dir, .fd = -1, .instance = instance, .number = 1, .budget = budget
    };
    output_name(tenant, name, out->name);
    out->part = calloc(STREAMS, sizeof *out->part);
    output_tick(out, now_ms);
    open_file(out, 0);
}

/* The full file becomes the older one. */
static void turn_over(struct output *out)
{
    char older[sizeof out->name + sizeof OUTPUT_OLDER];

    (void)snprintf(older, sizeof older, "%s" OUTPUT_OLDER, out->name);
    close_fd(&out->fd);
    if (renameat(out->dir, out->name, out->dir, older) != 0)
        return;
    open_file(out, O_TRUNC);
}

/* False: it is lost.  A full disk must not stop anything. */
static bool put(struct output *out, const char *line, size_t n)
{
    struct err err = { 0 };

    if (out->fd >= 0 && out->size + n > OUTPUT_FILE_MAX)
        turn_over(out);
    if (out->fd < 0)
        return false;
    if (fs_write_all(out->fd, (struct bytes){ .p = (const uint8_t *)line, .n = n }, &err) !=
        RC_OK) {
        turn_over(out); /* half of a line may be there */
        return false;
    }
    out->size += (uint32_t)n;
    out->kept += n;
    return true;
}

/* Whether so many bytes may be kept now, and if not, why. */
static bool has_room(const struct output *out, size_t n, enum logs_why *ret_why)
{
    *ret_why = n > out->write_left                                  ? LOGS_RATE
               : out->budget && n > output_budget_left(out->budget) ? LOGS_HOUR
                                                                    : LOGS_UNKNOWN;
    return *ret_why == LOGS_UNKNOWN;
}

static void charge(struct output *out, size_t n)
{
    out->write_left -= n < out->write_left ? (uint32_t)n : out->write_left;
    if (out->budget)
        (void)output_budget_take(out->budget, n);
}

/* Numbers and bytes count whatever becomes of a record. */
static void lose(struct output *out, const struct logs_record *r, enum logs_why why)
{
    if (out->lost_lines == 0)
        out->why = why;
    out->lost_lines += r->lines;
    out->lost_bytes += r->bytes;
}

static size_t put_gap(const struct output *out, char *buf)
{
    const struct logs_record gap = { .number = out->number - out->lost_lines,
                                     .offset = out->offset - out->lost_bytes,
                                     .time_ms = out->now_ms,
                                     .stream = LOGS_GAP,
                                     .why = out->why,
                                     .lines = out->lost_lines,
                                     .bytes = out->lost_bytes };

    return out->lost_lines > 0 ? logline_put(out->instance, &gap, buf) : 0;
}

/* Behind a gap nothing is kept before the gap is told, and that is not told before there is room to
 * go on. */
static void keep(struct output *out, struct logs_record *r, bool always)
{
    char gap[LOGLINE_MAX], line[LOGLINE_MAX];
    enum logs_why why = LOGS_DISK;

    r->number = out->number;
    r->offset = out->offset;
    r->time_ms = out->now_ms;
    const size_t n_gap = put_gap(out, gap), n = logline_put(out->instance, r, line);

    if (!has_room(out, n_gap + n, &why) && !always) {
        lose(out, r, why);
    } else {
        charge(out, n_gap + n);
        if (n_gap > 0 && put(out, gap, n_gap))
            out->lost_lines = out->lost_bytes = 0;
        if (out->lost_lines > 0 || !put(out, line, n))
            lose(out, r, LOGS_DISK);
    }
    out->number += r->lines;
    out->offset += r->bytes;
}

static void keep_part(struct output *out, struct output_part *part, bool more)
{
    struct logs_record r = { .stream = part == out->part ? LOGS_OUT : LOGS_ERR,
                             .lines = 1,
                             .bytes = part->n + (more ? 0U : 1U),
                             .more = more,
                             .text = { part->text, part->n } };

    keep(out, &r, false);
    part->n = 0;
    part->aged = false;
}

void output_note(struct output *out, const char *text, uint64_t now_ms)
{
    struct logs_record r = { .stream = LOGS_NOTE, .lines = 1, .text = bytes_of(text) };

    out->now_ms = now_ms;
    r.bytes = r.text.n + 1;
    for (uint32_t i = 0; out->part && i < STREAMS; i++)
        if (out->part[i].n > 0)
            keep_part(out, &out->part[i], true);
    keep(out, &r, true);
}

void output_close(struct output *out)
{
    char gap[LOGLINE_MAX];

    for (uint32_t i = 0; out->part && i < STREAMS; i++)
        if (out->part[i].n > 0)
            keep_part(out, &out->part[i], true);
    if (out->lost_lines > 0)
        (void)put(out, gap, put_gap(out, gap));
    free(out->part);
    if (out->name[0] != '\0')
        close_fd(&out->fd);
    *out = (struct output){ .fd = -1 };
}

/* What was printed without an end of line is kept when nothing has followed for a second. */
void output_tick(struct output *out, uint64_t now_ms)
{
    out->now_ms = now_ms;
    out->write_left = OUTPUT_WRITE_MAX;
    out->read_left = OUTPUT_READ_MAX;
    for (uint32_t i = 0; out->part && i < STREAMS; i++) {
        struct output_part *part = &out->part[i];

        if (part->n > 0 && part->aged)
            keep_part(out, part, true);
        part->aged = part->n > 0;
    }
}

static void take_byte(struct output *out, struct output_part *part, uint8_t byte)
{
    if (byte == '\n') {
        keep_part(out, part, false);
        return;
    }
    part->text[part->n++] = (byte < ' ' && byte != '\t') || byte == 0x7f ? '?' : byte;
    if (part->n == sizeof part->text)
        keep_part(out, part, true);
}

/* Without memory for lines all of it is one that is lost. */
static void take_bytes(struct output *out, enum logs_stream stream, const uint8_t *p, size_t n)
{
    struct logs_record r = { .stream = stream, .lines = 1, .bytes = n };

    for (size_t i = 0; out->part && i < n; i++)
        take_byte(out, &out->part[stream == LOGS_ERR], p[i]);
    if (out->part)
        return;
    lose(out, &r, LOGS_DISK);
    out->number++;
    out->offset += n;
}

enum rc output_pump(struct output *out, int pipe, enum logs_stream stream, uint64_t now_ms,
                    struct err *err)
{
    uint8_t buf[4096];

    assert(stream == LOGS_OUT || stream == LOGS_ERR);
    if (out->read_left < sizeof buf)
        return err_set(err, RC_BUSY, "output");

    ssize_t n = read(pipe, buf, sizeof buf);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return err_set(err, RC_TIMEOUT, "output");
    if (n <= 0)
        return err_set(err, RC_SHORT, "output");
    out->read_left -= (uint32_t)n;
    out->now_ms = now_ms;
    take_bytes(out, stream, buf, (size_t)n);
    return RC_OK;
}
