/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/measure.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/fs.h"

#define TEXT_CAP 8192U

struct process {
    pid_t pid;
    pid_t parent;
    char name[32];
};

struct table {
    struct process row[4096];
    size_t n;
};

/* A file of /proc, which has no size to ask for. */
static bool read_text(pid_t pid, const char *file, char *out, size_t cap)
{
    char path[64];
    scoped(close_fd) int fd = -1;
    struct err err;
    size_t n = 0;

    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    if (fs_open(AT_FDCWD, path, O_RDONLY, 0, &fd, &err) != RC_OK)
        return false;
    for (;;) {
        ssize_t got = pread(fd, out + n, cap - 1 - n, (off_t)n);

        if (got <= 0)
            break;
        n += (size_t)got;
    }
    out[n] = 0;
    return n > 0;
}

/* "PID (name) S PPID ...": the name may hold anything, so it ends at the last parenthesis. */
static bool add_process(void *arg, const char *entry)
{
    struct table *t = arg;
    char text[TEXT_CAP];
    char *end = NULL;
    long pid = strtol(entry, &end, 10);
    const char *open;
    char *close;

    if (*end != 0 || pid <= 0 || t->n == sizeof t->row / sizeof *t->row ||
        !read_text((pid_t)pid, "stat", text, sizeof text))
        return true;
    open = strchr(text, '(');
    close = strrchr(text, ')');
    if (!open || !close || strlen(close) < 4)
        return true;

    struct process *p = &t->row[t->n++];

    *close = 0;
    p->pid = (pid_t)pid;
    p->parent = (pid_t)strtol(close + 4, NULL, 10);
    (void)snprintf(p->name, sizeof p->name, "%.31s", open + 1);
    return true;
}

static uint64_t field(const char *text, const char *key)
{
    const char *at = strstr(text, key);

    return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

static void add_row(const struct process *p, struct measured *ret, size_t *n)
{
    char text[TEXT_CAP];

    if (*n == MEASURE_MAX || !read_text(p->pid, "smaps_rollup", text, sizeof text))
        return;

    struct measured *m = &ret[(*n)++];

    *m = (struct measured){ .pid = p->pid,
                            .rss_kib = field(text, "\nRss:"),
                            .pss_kib = field(text, "\nPss:") };
    (void)snprintf(m->name, sizeof m->name, "%s", p->name);
}

enum rc measure_tree(pid_t top, struct measured *ret, size_t *ret_n, struct err *err)
{
    scoped(free_ptr) struct table *t = calloc(1, sizeof *t);
    enum rc rc = t ? fs_list(AT_FDCWD, "/proc", 100000, add_process, t, NULL, err)
                   : err_set(err, RC_NO_MEMORY, "processes");
    size_t n = 0;

    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < t->n; i++)
        if (t->row[i].pid == top)
            add_row(&t->row[i], ret, &n);
    /* each row found makes its own children findable */
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < t->n; i++)
            if (t->row[i].parent == ret[k].pid)
                add_row(&t->row[i], ret, &n);
    if (n == 0)
        return err_set(err, RC_NOT_FOUND, "process %d", (int)top);
    *ret_n = n;
    return RC_OK;
}
