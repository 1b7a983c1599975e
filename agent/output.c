/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"

#define NOTE_MAX 64U   /* bytes of the line that tells of a gap */
#define NOTE_ROOM 128U /* it is written when there is room for it and some more */

static void open_file(struct output *out, int flags)
{
    struct err err = { 0 };
    struct stat st = { 0 };

    if (fs_open(out->dir, out->name, O_WRONLY | O_CREAT | O_APPEND | flags, 0640, &out->fd, &err) !=
        RC_OK) {
        out->fd = -1;
        return;
    }
    if (fstat(out->fd, &st) != 0 || !S_ISREG(st.st_mode))
        close_fd(&out->fd);
    out->size = st.st_size < (off_t)OUTPUT_FILE_MAX ? (uint32_t)st.st_size : OUTPUT_FILE_MAX;
}

void output_open(struct output *out, int dir, const char *tenant, const char *name,
                 struct output_budget *budget)
{
    *out = (struct output){ .dir = dir, .fd = -1, .budget = budget };
    (void)snprintf(out->name, sizeof out->name, "%s.%s.log", tenant, name);
    output_tick(out);
    open_file(out, 0);
}

void output_close(struct output *out)
{
    if (out->name[0] != '\0')
        close_fd(&out->fd);
    *out = (struct output){ .fd = -1 };
}

void output_tick(struct output *out)
{
    out->write_left = OUTPUT_WRITE_MAX;
    out->read_left = OUTPUT_READ_MAX;
}

/* The full file becomes the older one. */
static void turn_over(struct output *out)
{
    char older[sizeof out->name + 8];

    (void)snprintf(older, sizeof older, "%s.old", out->name);
    close_fd(&out->fd);
    if (renameat(out->dir, out->name, out->dir, older) != 0)
        return;
    open_file(out, O_TRUNC);
}

/* How many of so many bytes may be kept now. */
static size_t take(struct output *out, size_t n)
{
    if (n > out->write_left)
        n = out->write_left;
    if (out->budget)
        n = output_budget_take(out->budget, n);
    out->write_left -= (uint32_t)n;
    return n;
}

static void put(struct output *out, const void *p, size_t n)
{
    struct err err = { 0 };

    if (out->fd >= 0 && out->size + n > OUTPUT_FILE_MAX)
        turn_over(out);
    if (out->fd < 0 || n == 0)
        return;
    /* A full disk must not stop anything: the line is lost. */
    if (fs_write_all(out->fd, (struct bytes){ .p = p, .n = n }, &err) == RC_OK)
        out->size += (uint32_t)n;
}

/* Where something is missing, before what comes behind it; not before there is room to go on. */
static void tell_dropped(struct output *out)
{
    char line[NOTE_MAX];
    int n = snprintf(line, sizeof line, "\n[%llu bytes were dropped here]\n",
                     (unsigned long long)out->dropped);

    if (out->dropped == 0 || out->write_left < NOTE_ROOM ||
        (out->budget && out->budget->left / OUTPUT_HOUR_S < NOTE_ROOM))
        return;
    put(out, line, take(out, (size_t)n));
    out->dropped = 0;
}

/* Behind a gap nothing is kept before the gap is told. */
static void keep(struct output *out, const uint8_t *p, size_t n)
{
    tell_dropped(out);

    size_t kept = out->dropped == 0 ? take(out, n) : 0;

    put(out, p, kept);
    out->dropped += n - kept;
}

enum rc output_pump(struct output *out, int pipe, struct err *err)
{
    uint8_t buf[4096];

    if (out->read_left < sizeof buf)
        return err_set(err, RC_BUSY, "output");

    ssize_t n = read(pipe, buf, sizeof buf);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return err_set(err, RC_TIMEOUT, "output");
    if (n <= 0)
        return err_set(err, RC_SHORT, "output");
    out->read_left -= (uint32_t)n;
    for (ssize_t i = 0; i < n; i++)
        if ((buf[i] < ' ' && buf[i] != '\n' && buf[i] != '\t') || buf[i] == 0x7f)
            buf[i] = '?';
    keep(out, buf, (size_t)n);
    return RC_OK;
}
