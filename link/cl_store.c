/* SPDX-License-Identifier: Apache-2.0 */
#include "link/cl_store.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "link/scan.h"

/* ---- names ---- */

static bool ends_in(const char *name, const char *suffix)
{
    size_t n = strlen(name);
    size_t n_suffix = strlen(suffix);

    return n > n_suffix && strcasecmp(name + n - n_suffix, suffix) == 0;
}

static bool is_bundle_name(const struct cl_names *names, const char *name)
{
    return name[0] != '.' && strlen(name) < DIRCL_NAME_CAP && ends_in(name, names->suffix) &&
           !(names->but && ends_in(name, names->but));
}

/* Where a name belongs among those that are held. */
static size_t place_of(const struct cl_names *names, const char *name)
{
    size_t low = 0;
    size_t high = names->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(names->name[middle], name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct scan {
    struct cl_names *names;
    char after[DIRCL_NAME_CAP]; /* only names behind this one */
};

/* Keep the first names of all that there are, however many. */
static bool scan_name(void *arg, const char *name)
{
    struct scan *scan = arg;
    struct cl_names *names = scan->names;
    size_t at;

    if (!is_bundle_name(names, name) || strcmp(name, scan->after) <= 0)
        return true;
    at = place_of(names, name);
    if (names->n == CL_NAMES) {
        names->more = true;
        if (at == CL_NAMES)
            return true;
        names->n--;
    }
    memmove(names->name[at + 1], names->name[at], (names->n - at) * sizeof names->name[0]);
    memcpy(names->name[at], name, strlen(name) + 1);
    names->n++;
    return true;
}

static enum rc scan_more(struct cl_names *names, struct err *err)
{
    struct scan scan = { .names = names };

    if (names->n > 0)
        memcpy(scan.after, names->name[names->n - 1], sizeof scan.after);
    names->n = names->next = 0;
    names->more = false;
    return fs_list(names->dirfd, ".", DIRCL_LIST_MAX, scan_name, &scan, NULL, err);
}

void cl_names_init(struct cl_names *names, int dirfd, const char *suffix)
{
    names->dirfd = dirfd;
    names->suffix = suffix;
    names->but = NULL;
    cl_names_rewind(names);
}

enum rc cl_names_next(struct cl_names *names, const char **ret, struct err *err)
{
    enum rc rc = RC_OK;

    *ret = NULL;
    if (names->next == names->n && !names->more && names->hint)
        cl_names_rewind(names);
    if (names->next == names->n && names->more)
        rc = scan_more(names, err);
    if (rc == RC_OK && names->next < names->n)
        *ret = names->name[names->next++];
    return rc;
}

void cl_names_rewind(struct cl_names *names)
{
    names->n = names->next = 0;
    names->more = true;
    names->hint = false;
}

/* ---- opening ---- */

/* Received bundles are called ORDER-TAG.bundle: 16 hex digits each. */
static bool note_order(void *arg, const char *name)
{
    struct cl_store *store = arg;
    uint8_t number[8];
    char hex[17] = { 0 };

    if (strlen(name) < 17 || name[16] != '-')
        return true;
    memcpy(hex, name, 16);
    if (bytes_unhex(hex, number, sizeof number)) {
        uint64_t order = bytes_get_be(number, sizeof number);

        if (order >= store->order && order < UINT64_MAX / 2)
            store->order = order + 1;
    }
    return true;
}

int cl_store_watch(int dirfd)
{
    scoped(close_fd) int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    char path[32];

    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", dirfd);
    if (fd < 0 || inotify_add_watch(fd, path, IN_MOVED_TO | IN_CLOSE_WRITE) < 0)
        return -1;
    return take_fd(&fd);
}

enum rc cl_store_open(int send_fd, int recv_fd, int watch_fd, struct cl_store *ret, struct err *err)
{
    *ret = (struct cl_store){
        .send_fd = send_fd, .recv_fd = recv_fd, .watch_fd = watch_fd, .order = 1
    };
    cl_names_init(&ret->names, send_fd, DIRCL_SUFFIX);
    return fs_list(recv_fd, ".", DIRCL_LIST_MAX, note_order, ret, NULL, err);
}

void cl_store_close(struct cl_store *store)
{
    close_fd(&store->watch_fd);
}

bool cl_store_look(struct cl_store *store, uint64_t now_ms)
{
    bool look = now_ms >= store->looked_ms + CL_LOOK_MS;
    uint8_t buf[4096];

    while (store->watch_fd >= 0 && read(store->watch_fd, buf, sizeof buf) > 0)
        look = true;
    if (look) {
        store->looked_ms = now_ms;
        store->names.hint = true;
    }
    return look;
}

/* ---- files ---- */

bool cl_store_is_bundle(struct bytes in)
{
    struct bundle_scan scan;
    size_t used = 0;

    bundle_scan_init(&scan, in.n);
    return bundle_scan(&scan, in, &used) == BUNDLE_SCAN_WHOLE && used == in.n;
}

/* Like cl_store_is_bundle, and tells what could still become one. */
static enum rc check_form(struct bytes in, size_t cap, struct err *err)
{
    struct bundle_scan scan;
    size_t used = 0;

    bundle_scan_init(&scan, cap);
    switch (bundle_scan(&scan, in, &used)) {
    case BUNDLE_SCAN_MORE:
        return err_at(err, RC_SHORT, in.n, "bundle is not whole");
    case BUNDLE_SCAN_WHOLE:
        return used == in.n ? RC_OK : err_at(err, RC_TRAILING, used, "bytes behind the bundle");
    case BUNDLE_SCAN_MALFORMED:
        break;
    }
    return err_at(err, scan.rc, scan.fail_at, "%s", scan.field);
}

enum rc cl_store_read(int dirfd, const char *name, uint8_t *buf, size_t cap, struct cl_item *ret,
                      struct err *err)
{
    struct stat st;
    size_t n = 0;

    if (strlen(name) >= sizeof ret->name)
        return err_set(err, RC_NAME, "%s", name);
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(err, RC_IO, "%s", name);

    enum rc rc = dircl_read(dirfd, name, buf, cap, &n, err);

    if (rc == RC_OK)
        rc = check_form((struct bytes){ buf, n }, cap, err);
    if (rc != RC_OK)
        return rc;
    *ret = (struct cl_item){ .ino = st.st_ino, .size = (off_t)n, .changed = st.st_mtim };
    memcpy(ret->name, name, strlen(name) + 1);
    return RC_OK;
}

bool cl_store_is_same(int dirfd, const struct cl_item *item)
{
    struct stat st;

    return fstatat(dirfd, item->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino == item->ino &&
           st.st_size == item->size && st.st_mtim.tv_sec == item->changed.tv_sec &&
           st.st_mtim.tv_nsec == item->changed.tv_nsec;
}

void cl_store_sent(struct cl_store *store, const struct cl_item *item)
{
    if (cl_store_is_same(store->send_fd, item))
        (void)unlinkat(store->send_fd, item->name, 0);
}

/* A clock that jumped makes a file old at worst: then its writer has to begin again. */
static bool is_stale(int dirfd, const char *name)
{
    struct stat st;
    uint64_t now_ms = clock_unix_ms();

    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
        st.st_mtime < 0)
        return true;

    uint64_t written_ms = (uint64_t)st.st_mtime * 1000U;

    return written_ms + CL_STALE_MS < now_ms || written_ms > now_ms + CL_STALE_MS;
}

void cl_store_remove(struct cl_store *store, int dirfd, const char *name)
{
    store->counts.garbage++;
    (void)dircl_remove(dirfd, name);
}

void cl_store_reject(struct cl_store *store, int dirfd, const char *name, enum rc why)
{
    if (why == RC_NOT_FOUND || (why == RC_SHORT && !is_stale(dirfd, name)))
        return;
    if (rc_class(why) == RC_CLASS_RETRY || rc_class(why) == RC_CLASS_BROKEN)
        return; /* nothing is known about the file */
    cl_store_remove(store, dirfd, name);
}

enum rc cl_store_receive(struct cl_store *store, struct bytes bundle, struct err *err)
{
    char name[64];
    char hex[17];
    uint8_t tag[8];

    /* The tag keeps apart what two runs wrote, should a reader have emptied the directory. */
    crypto_random(tag, sizeof tag);
    (void)snprintf(name, sizeof name, "%016" PRIx64 "-%s" DIRCL_SUFFIX, store->order,
                   bytes_hex((struct bytes){ tag, sizeof tag }, hex));

    enum rc rc = dircl_put(store->recv_fd, name, bundle, err);

    if (rc != RC_OK)
        return rc;
    store->order++;
    store->unsynced = true;
    store->counts.received++;
    store->counts.received_bytes += bundle.n;
    return RC_OK;
}

enum rc cl_store_commit(struct cl_store *store, struct err *err)
{
    if (!store->unsynced)
        return RC_OK;

    enum rc rc = dircl_sync(store->recv_fd, err);

    if (rc == RC_OK)
        store->unsynced = false;
    return rc;
}
