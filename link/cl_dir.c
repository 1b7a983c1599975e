/* SPDX-License-Identifier: Apache-2.0
 *
 * link/cl_dir: bundles by the file interface of a host: one directory that the host empties, one
 * that it fills.
 *
 * Such directories are awkward: file systems that do not rename over what is there, or not at all;
 * short names; uploads that grow under their final name or under one like "x.part"; limits on the
 * size and number of files.  Nothing is relied on but this: a file that was synced stays, and a
 * bundle tells by itself where it ends, so that an incomplete one is never taken for a whole one.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "link/cl.h"

#define BATCH 64U     /* files in one turn, each way */
#define DIGITS_MIN 8U /* of the number that is a file's name */
#define DIGITS_MAX 16U

struct cl_dir {
    struct cl_config config;
    struct cl_store *store;
    int out_fd;
    int in_fd;
    unsigned digits;
    uint64_t number; /* of the next file */
    bool told_large;
    bool more;      /* its turn ended before its work */
    size_t waiting; /* files in out_fd */
    struct cl_names in;
    size_t n_done;
    char done[BATCH][DIRCL_NAME_CAP]; /* taken, to be removed */
    uint8_t buf[BUNDLE_MAX];
};

static void dir_close(void *arg)
{
    struct cl_dir *d = arg;

    close_fd(&d->out_fd);
    close_fd(&d->in_fd);
    free(d);
}

/* ---- set-up ---- */

static bool ends_in(const char *name, const char *suffix)
{
    size_t n = strlen(name);
    size_t n_suffix = strlen(suffix);

    return n > n_suffix && strcasecmp(name + n - n_suffix, suffix) == 0;
}

/* The number of a file that was written here: digits, and nothing else, before the suffix. */
static bool number_of(const struct cl_dir *d, const char *name, const char *suffix, uint64_t *ret)
{
    char hex[DIGITS_MAX + 1];
    char *end = NULL;

    if (strlen(name) != d->digits + strlen(suffix) || !ends_in(name, suffix))
        return false;
    memcpy(hex, name, d->digits);
    hex[d->digits] = '\0';
    *ret = strtoull(hex, &end, 16);
    return *end == '\0' && hex[0] != '-' && hex[0] != '+' && hex[0] != ' ';
}

/* Go on behind what waits; remove what was being written when the power went. */
static bool note_old(void *arg, const char *name)
{
    struct cl_dir *d = arg;
    uint64_t number = 0;

    if (number_of(d, name, d->config.suffix, &number) && number >= d->number)
        d->number = number + 1;
    else if (!d->config.in_place && number_of(d, name, d->config.temp, &number))
        (void)unlinkat(d->out_fd, name, 0);
    return true;
}

static bool is_suffix(const char *text)
{
    size_t n = strlen(text);

    return n >= 2 && n <= 32 && text[0] == '.' && strchr(text, '/') == NULL;
}

static enum rc check_config(const struct cl_config *c, unsigned *ret_digits, struct err *err)
{
    size_t tail;

    if (!c->out || !c->in)
        return err_set(err, RC_USAGE, "--out and --in are needed: the host's directories");
    if (!is_suffix(c->suffix) || !is_suffix(c->temp) || strcasecmp(c->suffix, c->temp) == 0)
        return err_set(err, RC_USAGE, "--suffix and --temp differ and begin with a dot");
    tail = strlen(c->suffix);
    if (!c->in_place && strlen(c->temp) > tail)
        tail = strlen(c->temp);
    if (c->name_max >= DIRCL_NAME_CAP || c->name_max < tail + DIGITS_MIN)
        return err_set(err, RC_USAGE, "names have %zu to %u bytes: %u digits and a suffix",
                       tail + DIGITS_MIN, DIRCL_NAME_CAP - 1, DIGITS_MIN);
    *ret_digits = (unsigned)(c->name_max - tail);
    if (*ret_digits > DIGITS_MAX)
        *ret_digits = DIGITS_MAX;
    return RC_OK;
}

static enum rc dir_open(const struct cl_config *config, struct cl_store *store, void **ret,
                        struct err *err)
{
    struct cl_dir *d = NULL;
    unsigned digits = 0;
    enum rc rc = check_config(config, &digits, err);

    if (rc != RC_OK)
        return rc;
    d = calloc(1, sizeof *d);
    if (!d)
        return err_set(err, RC_IO, "no memory");
    d->config = *config;
    d->store = store;
    d->digits = digits;
    /* The host may have taken all files of an earlier run: seconds are ahead of their numbers,
     * unless it took more than one in a second.  Only a help against names that come twice. */
    d->number = clock_unix_ms() / 1000U;
    d->out_fd = open(config->out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->out_fd < 0)
        rc = err_sys(err, RC_IO, "%s", config->out);
    d->in_fd = rc == RC_OK ? open(config->in, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (rc == RC_OK && d->in_fd < 0)
        rc = err_sys(err, RC_IO, "%s", config->in);
    if (rc == RC_OK)
        rc = fs_list(d->out_fd, ".", DIRCL_LIST_MAX, note_old, d, NULL, err);
    if (rc != RC_OK) {
        dir_close(d);
        return rc;
    }
    cl_names_init(&d->in, d->in_fd, d->config.suffix);
    *ret = d;
    return RC_OK;
}

static size_t dir_dirs(const void *arg, struct confine_dir *ret)
{
    const struct cl_dir *d = arg;

    ret[0] = (struct confine_dir){ .fd = d->out_fd, .write = true };
    ret[1] = (struct confine_dir){ .fd = d->in_fd, .write = true };
    return 2;
}

/* ---- out ---- */

static bool count_waiting(void *arg, const char *name)
{
    struct cl_dir *d = arg;

    d->waiting += ends_in(name, d->config.suffix) ? 1 : 0;
    return true;
}

/* Some file systems cannot sync a directory; then there is nothing to be had. */
static enum rc sync_out(const struct cl_dir *d, struct err *err)
{
    if (fsync(d->out_fd) == 0 || errno == EINVAL)
        return RC_OK;
    return err_sys(err, RC_IO, "sync of the host's directory");
}

/* Two names of the next file that nobody has. */
static void next_names(struct cl_dir *d, char name[DIRCL_NAME_CAP], char temp[DIRCL_NAME_CAP])
{
    char hex[DIGITS_MAX + 1];

    for (size_t i = 0; i < DIRCL_LIST_MAX; i++) {
        const char *last = hex + DIGITS_MAX - d->digits;

        (void)snprintf(hex, sizeof hex, "%016" PRIx64, d->number++);
        (void)snprintf(name, DIRCL_NAME_CAP, "%s%s", last, d->config.suffix);
        (void)snprintf(temp, DIRCL_NAME_CAP, "%s%s", last, d->config.temp);
        if (faccessat(d->out_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
            return;
    }
}

static enum rc put(struct cl_dir *d, struct bytes bundle, struct err *err)
{
    scoped(close_fd) int fd = -1;
    char name[DIRCL_NAME_CAP];
    char temp[DIRCL_NAME_CAP];
    const char *first;

    next_names(d, name, temp);
    first = d->config.in_place ? name : temp;
    if (!d->config.in_place)
        (void)dircl_remove(d->out_fd, temp);

    enum rc rc = fs_open(d->out_fd, first, O_WRONLY | O_CREAT | O_EXCL, 0644, &fd, err);

    if (rc != RC_OK)
        return rc;
    rc = fs_write_all(fd, bundle, err);
    if (rc == RC_OK)
        rc = fs_sync(fd, first, err);
    if (rc == RC_OK && !d->config.in_place && renameat(d->out_fd, temp, d->out_fd, name) < 0)
        rc = err_sys(err, RC_IO, "rename to %s", name);
    if (rc == RC_OK)
        rc = sync_out(d, err);
    if (rc != RC_OK)
        (void)unlinkat(d->out_fd, first, 0);
    return rc;
}

/* Hand one bundle to the host.  False: there is none, or no room for one. */
static bool hand_over(struct cl_dir *d)
{
    struct err err = { 0 };
    struct cl_item item;
    const char *name = NULL;
    enum rc rc = cl_names_next(&d->store->names, &name, &err);

    if (rc != RC_OK || !name)
        return false;
    rc = cl_store_read(d->store->send_fd, name, d->buf, (size_t)d->config.size_max, &item, &err);
    if (rc == RC_TOO_LARGE) {
        d->store->counts.too_large++;
        if (!d->told_large)
            log_event(LOG_LEVEL_WARN, "too-large-for-host name=%s limit=%llu", name,
                      (unsigned long long)d->config.size_max);
        d->told_large = true;
        return true;
    }
    if (rc != RC_OK) {
        cl_store_reject(d->store, d->store->send_fd, name, rc);
        return true;
    }
    rc = put(d, (struct bytes){ d->buf, (size_t)item.size }, &err);
    if (rc != RC_OK) {
        log_err(LOG_LEVEL_ERROR, &err, "hand-over");
        return false;
    }
    d->waiting++;
    d->store->counts.sent++;
    d->store->counts.sent_bytes += (uint64_t)item.size;
    cl_store_sent(d->store, &item);
    return true;
}

static void send_files(struct cl_dir *d)
{
    struct err err = { 0 };

    d->waiting = 0;
    if (fs_list(d->out_fd, ".", DIRCL_LIST_MAX, count_waiting, d, NULL, &err) != RC_OK)
        return;
    for (size_t i = 0; i < BATCH; i++)
        if (d->waiting >= d->config.files_max || !hand_over(d))
            return;
    d->more = true;
}

/* ---- in ---- */

/* Take one file of the host.  False: there is none, or no room for what is in it. */
static bool take(struct cl_dir *d)
{
    struct err err = { 0 };
    struct cl_item item;
    const char *name = NULL;
    enum rc rc = cl_names_next(&d->in, &name, &err);

    if (rc != RC_OK || !name)
        return false;
    rc = cl_store_read(d->in_fd, name, d->buf, sizeof d->buf, &item, &err);
    if (rc != RC_OK) {
        cl_store_reject(d->store, d->in_fd, name, rc);
        return true;
    }
    rc = cl_store_receive(d->store, (struct bytes){ d->buf, (size_t)item.size }, &err);
    if (rc != RC_OK) {
        log_err(LOG_LEVEL_ERROR, &err, "receive");
        return false;
    }
    memcpy(d->done[d->n_done++], name, strlen(name) + 1);
    return true;
}

/* The host's files go when ours are durable. */
static void take_files(struct cl_dir *d)
{
    struct err err = { 0 };
    size_t i = 0;

    d->in.hint = true; /* nobody tells when the host has written: look every time */
    d->n_done = 0;
    while (i < BATCH && take(d))
        i++;
    if (cl_store_commit(d->store, &err) != RC_OK) {
        log_err(LOG_LEVEL_ERROR, &err, "commit");
        return;
    }
    for (size_t k = 0; k < d->n_done; k++)
        (void)dircl_remove(d->in_fd, d->done[k]);
    d->more |= i == BATCH;
}

/* ---- the table ---- */

static size_t dir_wait(void *arg, uint64_t now_ms, struct pollfd *ret, uint64_t *ret_wait_ms)
{
    const struct cl_dir *d = arg;

    (void)now_ms;
    (void)ret;
    if (d->more)
        *ret_wait_ms = 0;
    return 0;
}

static void dir_turn(void *arg, uint64_t now_ms)
{
    struct cl_dir *d = arg;

    (void)now_ms;
    d->more = false;
    take_files(d);
    send_files(d);
}

static bool dir_stop(void *arg, uint64_t now_ms)
{
    (void)arg;
    (void)now_ms;
    return true; /* between two turns nothing is under way */
}

const struct cl_kind cl_dir = {
    .name = "dir",
    .open = dir_open,
    .dirs = dir_dirs,
    .wait = dir_wait,
    .turn = dir_turn,
    .stop = dir_stop,
    .close = dir_close,
};
