/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"

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
                 uint64_t hour_bytes)
{
    *out =
        (struct output){ .dir = dir, .fd = -1, .hour_bytes = hour_bytes, .hour_left = hour_bytes };
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
    if (++out->hour_ticks > OUTPUT_HOUR_TICKS) {
        out->hour_ticks = 1;
        out->hour_left = out->hour_bytes;
    }
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

static void keep(struct output *out, const uint8_t *p, size_t n)
{
    struct err err = { 0 };

    if (n > out->write_left)
        n = out->write_left;
    if (n > out->hour_left)
        n = (size_t)out->hour_left;
    out->write_left -= (uint32_t)n;
    out->hour_left -= n;
    if (out->fd >= 0 && out->size + n > OUTPUT_FILE_MAX)
        turn_over(out);
    if (out->fd < 0 || n == 0)
        return;
    /* A full disk must not stop anything: the line is lost. */
    if (fs_write_all(out->fd, (struct bytes){ .p = p, .n = n }, &err) == RC_OK)
        out->size += (uint32_t)n;
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
