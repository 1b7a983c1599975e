/* SPDX-License-Identifier: Apache-2.0
 *
 * link/cl_dir: bundles by the file interface of a host: one directory that the host empties, one
 * that it fills.
 *
 * Such directories are awkward: file systems that do not rename over what is there, or not at all;
 * short names; uploads that grow under their final name or under one like "x.part", from the front
 * or in any order; limits on the size and number of files; files that are there for us to read and
 * not to remove.  Nothing is relied on but this: a file that was synced stays, and a bundle tells
 * by itself where it ends, so that one whose end is missing is never taken for a whole one.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "link/cl.h"

#define BATCH 64U     /* files in one turn, each way */
#define LOOKS 1024U   /* files looked at in one turn */
#define WATCHED 1024U /* incomplete files whose time is measured */
#define DIGITS_MIN 8U /* of the number that is a file's name */
#define DIGITS_MAX 16U

/* A file that is waited for, as it was when it last looked different. */
struct watch {
    char name[DIRCL_NAME_CAP];
    off_t size;
    struct timespec changed;
    uint64_t since_ms;
    uint64_t pass; /* that met it last */
};

struct cl_dir {
    struct cl_config config;
    struct cl_store *store;
    int out_fd;
    int temp_fd; /* where a file is until it is whole; may be the same directory */
    int in_fd;
    unsigned digits;
    uint64_t number; /* of the next file */
    bool told_large;
    bool told_unreadable;
    bool told_stuck;
    bool more;      /* its turn ended before its work */
    size_t waiting; /* files in out_fd */
    struct cl_names in;
    bool passing; /* not all names in it were looked at yet */
    uint64_t pass;
    uint64_t now_ms;
    size_t n_watched;
    struct watch watched[WATCHED];
    size_t n_done;
    struct cl_item done[BATCH]; /* taken, to be removed; what cannot be stays here */
    uint8_t buf[BUNDLE_MAX];
};

static void dir_close(void *arg)
{
    struct cl_dir *d = arg;

    close_fd(&d->out_fd);
    close_fd(&d->temp_fd);
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

/* Go on behind what waits. */
static bool note_old(void *arg, const char *name)
{
    struct cl_dir *d = arg;
    uint64_t number = 0;

    if (number_of(d, name, d->config.suffix, &number) && number >= d->number)
        d->number = number + 1;
    return true;
}

/* Remove what was being written when the power went. */
static bool remove_temp(void *arg, const char *name)
{
    struct cl_dir *d = arg;
    uint64_t number = 0;

    if (number_of(d, name, d->config.temp, &number))
        (void)unlinkat(d->temp_fd, name, 0);
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
    if (c->in_place && c->out_temp)
        return err_set(err, RC_USAGE, "--in-place writes nothing into --out-temp");
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

/* The three directories; a file can be renamed within one file system only. */
static enum rc open_dirs(struct cl_dir *d, struct err *err)
{
    const struct cl_config *c = &d->config;
    const struct {
        const char *path;
        int *fd;
    } dirs[] = { { c->out, &d->out_fd },
                 { c->out_temp ? c->out_temp : c->out, &d->temp_fd },
                 { c->in, &d->in_fd } };
    struct stat out;
    struct stat temp;

    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
        *dirs[i].fd = open(dirs[i].path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (*dirs[i].fd < 0)
            return err_sys(err, RC_IO, "%s", dirs[i].path);
    }
    if (fstat(d->out_fd, &out) < 0 || fstat(d->temp_fd, &temp) < 0)
        return err_sys(err, RC_IO, "stat");
    if (out.st_dev != temp.st_dev)
        return err_set(err, RC_USAGE, "--out-temp is on another file system than --out");
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
    d->out_fd = d->temp_fd = d->in_fd = -1;
    /* The host may have taken all files of an earlier run: seconds are ahead of their numbers,
     * unless it took more than one in a second.  Only a help against names that come twice. */
    d->number = clock_unix_ms() / 1000U;
    rc = open_dirs(d, err);
    if (rc == RC_OK)
        rc = fs_list(d->out_fd, ".", DIRCL_LIST_MAX, note_old, d, NULL, err);
    if (rc == RC_OK && !config->in_place)
        rc = fs_list(d->temp_fd, ".", DIRCL_LIST_MAX, remove_temp, d, NULL, err);
    if (rc != RC_OK) {
        dir_close(d);
        return rc;
    }
    cl_names_init(&d->in, d->in_fd, config->any_name ? "" : d->config.suffix);
    d->in.but = d->config.temp;
    *ret = d;
    return RC_OK;
}

static size_t dir_dirs(const void *arg, struct confine_dir *ret)
{
    const struct cl_dir *d = arg;

    ret[0] = (struct confine_dir){ .fd = d->out_fd, .write = true };
    ret[1] = (struct confine_dir){ .fd = d->temp_fd, .write = true };
    ret[2] = (struct confine_dir){ .fd = d->in_fd, .write = true };
    return 3;
}

/* ---- out ---- */

static bool count_waiting(void *arg, const char *name)
{
    struct cl_dir *d = arg;

    d->waiting += ends_in(name, d->config.suffix) ? 1 : 0;
    return true;
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

/* Give a file that is whole its name, which nobody had a moment ago.  Where the file system can, it
 * makes sure that nobody has it now. */
static enum rc publish(const struct cl_dir *d, const char *temp, const char *name, struct err *err)
{
    if (renameat2(d->temp_fd, temp, d->out_fd, name, RENAME_NOREPLACE) == 0)
        return RC_OK;
    if ((errno == EINVAL || errno == ENOSYS) && renameat(d->temp_fd, temp, d->out_fd, name) == 0)
        return RC_OK;
    return err_sys(err, RC_IO, "rename to %s (without renames: --in-place)", name);
}

static enum rc put(struct cl_dir *d, struct bytes bundle, struct err *err)
{
    scoped(close_fd) int fd = -1;
    char name[DIRCL_NAME_CAP];
    char temp[DIRCL_NAME_CAP];
    const bool in_place = d->config.in_place;
    const int dir = in_place ? d->out_fd : d->temp_fd;
    const char *first = in_place ? name : temp;

    next_names(d, name, temp);
    if (!in_place)
        (void)dircl_remove(dir, temp);

    enum rc rc = fs_open(dir, first, O_WRONLY | O_CREAT | O_EXCL, 0644, &fd, err);

    if (rc != RC_OK)
        return rc;
    rc = fs_write_all(fd, bundle, err);
    if (rc == RC_OK)
        rc = fs_sync(fd, first, err);
    close_fd(&fd); /* some file systems do not rename what is open */
    if (rc == RC_OK && !in_place)
        rc = publish(d, temp, name, err);
    if (rc != RC_OK) {
        (void)unlinkat(dir, first, 0);
        return rc;
    }
    rc = dircl_sync(d->out_fd, err);
    if (rc != RC_OK)
        (void)unlinkat(d->out_fd, name, 0);
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

static struct watch *watch_of(struct cl_dir *d, const char *name)
{
    for (size_t i = 0; i < d->n_watched; i++)
        if (strcmp(d->watched[i].name, name) == 0)
            return &d->watched[i];
    if (d->n_watched == WATCHED)
        return NULL;

    struct watch *w = &d->watched[d->n_watched++];

    memcpy(w->name, name, strlen(name) + 1);
    w->size = -1;
    return w;
}

/* Whether a file has looked the same to us for so many seconds.  Its own times say nothing by
 * themselves: its writer may have no clock, or a file system that counts in another zone.  Where
 * more are waited for than there is room, the others wait for that. */
static bool is_quiet(struct cl_dir *d, const char *name, uint64_t for_s)
{
    struct stat st;
    struct watch *w;

    if (for_s == 0)
        return true;
    if (fstatat(d->in_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !(w = watch_of(d, name)))
        return false;
    if (w->size != st.st_size || w->changed.tv_sec != st.st_mtim.tv_sec ||
        w->changed.tv_nsec != st.st_mtim.tv_nsec) {
        w->size = st.st_size;
        w->changed = st.st_mtim;
        w->since_ms = d->now_ms;
    }
    w->pass = d->pass;
    return d->now_ms - w->since_ms >= for_s * 1000U;
}

/* A pass has met every file: what it has not met is gone. */
static void end_pass(struct cl_dir *d)
{
    size_t n = 0;

    for (size_t i = 0; i < d->n_watched; i++)
        if (d->watched[i].pass == d->pass)
            d->watched[n++] = d->watched[i];
    d->n_watched = n;
    d->pass++;
}

/* What is no bundle and is not removed either: a regular file of several names, of which one is
 * being given to it and another will go; where any name counts, the host's own directories. */
static bool is_left_alone(const struct cl_dir *d, const char *name)
{
    struct stat st;

    if (fstatat(d->in_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return true;
    return S_ISREG(st.st_mode) ? st.st_nlink > 1 : d->config.any_name;
}

/* What is no bundle: leave what may become one.  Who fills a file in any order makes anything of it
 * for a while; settle_s says that there is such a writer. */
static void leave_or_remove(struct cl_dir *d, const char *name, const struct err *why)
{
    bool may_become = why->rc == RC_SHORT || d->config.settle_s > 0;

    if (why->rc == RC_NOT_FOUND)
        return;
    if (rc_class(why->rc) == RC_CLASS_RETRY || rc_class(why->rc) == RC_CLASS_BROKEN) {
        if (!d->told_unreadable)
            log_err(LOG_LEVEL_WARN, why, "unreadable name=%s", name);
        d->told_unreadable = true;
        return; /* nothing is known about the file */
    }
    if (is_left_alone(d, name) || (may_become && !is_quiet(d, name, d->config.stale_s)))
        return;
    cl_store_remove(d->store, d->in_fd, name);
}

static bool is_done(const struct cl_dir *d, const char *name)
{
    for (size_t i = 0; i < d->n_done; i++)
        if (strcmp(d->done[i].name, name) == 0)
            return true;
    return false;
}

enum taking { TAKE_END, TAKE_LEFT, TAKE_DONE, TAKE_FAILED };

/* Take one file of the host: TAKE_END when there are no more names, TAKE_FAILED when there is no
 * room for what is in it. */
static enum taking take(struct cl_dir *d)
{
    struct err err = { 0 };
    struct cl_item item;
    const char *name = NULL;

    if (cl_names_next(&d->in, &name, &err) != RC_OK || !name)
        return TAKE_END;
    if (is_done(d, name) || !is_quiet(d, name, d->config.settle_s))
        return TAKE_LEFT;
    if (cl_store_read(d->in_fd, name, d->buf, sizeof d->buf, &item, &err) != RC_OK) {
        leave_or_remove(d, name, &err);
        return TAKE_LEFT;
    }
    if (cl_store_receive(d->store, (struct bytes){ d->buf, (size_t)item.size }, &err) != RC_OK) {
        log_err(LOG_LEVEL_ERROR, &err, "receive");
        return TAKE_FAILED;
    }
    d->done[d->n_done++] = item;
    return TAKE_DONE;
}

/* The host's files go when ours are durable.  One that it wrote anew is another, and stays; one
 * that is not ours to remove is not taken a second time. */
static void remove_done(struct cl_dir *d)
{
    size_t n = 0;

    for (size_t i = 0; i < d->n_done; i++)
        if (cl_store_is_same(d->in_fd, &d->done[i]) && !dircl_remove(d->in_fd, d->done[i].name))
            d->done[n++] = d->done[i];
    d->n_done = n;
    if (n > 0 && !d->told_stuck)
        log_event(LOG_LEVEL_WARN, "cannot-remove name=%s files=%zu", d->done[0].name, n);
    d->told_stuck = n > 0;
}

static void take_files(struct cl_dir *d)
{
    struct err err = { 0 };
    enum taking got = TAKE_LEFT;
    size_t n_before;

    remove_done(d);
    n_before = d->n_done;
    /* Nobody tells when the host has written: when all was looked at, all is looked at again. */
    d->in.hint |= !d->passing;
    for (size_t i = 0; i < LOOKS && d->n_done < BATCH; i++) {
        got = take(d);
        if (got == TAKE_END || got == TAKE_FAILED)
            break;
    }
    d->passing = got != TAKE_END;
    if (!d->passing)
        end_pass(d);
    if (cl_store_commit(d->store, &err) != RC_OK) {
        log_err(LOG_LEVEL_ERROR, &err, "commit");
        d->n_done = n_before;
        return;
    }
    remove_done(d);
    d->more |= d->passing && got != TAKE_FAILED && d->n_done < BATCH;
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

    d->now_ms = now_ms;
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
