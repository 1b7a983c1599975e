/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/state.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"

#define RECORD "state.json"
#define LOCK "lock"
#define START "start"
#define RECORD_MAX (2U * OCI_CONFIG_MAX) /* with the annotations of a config.json */
#define LOCK_WAIT_MS 20000U              /* longer than any command takes */

const char *oci_status_name(enum oci_status status)
{
    static const char *const names[] = { "creating", "created", "running", "stopped" };

    return names[status];
}

/* ---- directories ---------------------------------------------------------------------------- */

/* Nobody else can write in it: what is found there is ours. */
static enum rc open_private(int at, const char *path, int *ret, struct err *err)
{
    scoped(close_fd) int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    if (fd < 0)
        return err_sys(err, RC_IO, "%.60s", path);
    if (fstat(fd, &st) != 0 || st.st_uid != geteuid() || (st.st_mode & 022) != 0)
        return err_set(err, RC_OCI_STATE, "%.60s can be written by others", path);
    *ret = take_fd(&fd);
    return RC_OK;
}

static enum rc open_or_make(const char *path, int *ret, struct err *err)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return err_sys(err, RC_IO, "%.60s", path);
    return open_private(AT_FDCWD, path, ret, err);
}

static enum rc wait_lock(int fd, const char *whose, struct err *err)
{
    uint64_t until = clock_mono_ms() + LOCK_WAIT_MS;

    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            return err_sys(err, RC_IO, "lock");
        if (clock_mono_ms() >= until)
            return err_set(err, RC_BUSY, "%.60s", whose);
        (void)poll(NULL, 0, 5);
    }
    return RC_OK;
}

static enum rc lock(struct oci_container *c, struct err *err)
{
    c->lock = openat(c->dir, LOCK, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    return c->lock < 0 ? err_sys(err, RC_OCI_STATE, "lock of %.60s", c->record.id)
                       : wait_lock(c->lock, c->record.id, err);
}

/* On the one directory of this host that all who run containers have in common. */
enum rc oci_lock_groups(int *ret, struct err *err)
{
    scoped(close_fd) int dir = -1;
    enum rc rc = open_or_make(OCI_IDS_DIR, &dir, err);

    if (rc == RC_OK)
        rc = wait_lock(dir, OCI_IDS_DIR, err);
    if (rc == RC_OK)
        *ret = take_fd(&dir);
    return rc;
}

enum rc oci_container_new(const char *root, const char *id, struct oci_container *ret,
                          struct err *err)
{
    scoped(oci_container_close) struct oci_container c = OCI_CONTAINER_NONE;

    if (!oci_id_valid(id))
        return err_set(err, RC_OCI_STATE, "\"%.60s\" is no id of a container", id);
    (void)snprintf(c.record.id, sizeof c.record.id, "%s", id);
    enum rc rc = open_or_make(root, &c.root, err);
    if (rc != RC_OK)
        return rc;
    if (mkdirat(c.root, id, 0700) != 0)
        return errno == EEXIST ? err_set(err, RC_OCI_STATE, "there is a container %.60s", id)
                               : err_sys(err, RC_IO, "%.60s", id);
    rc = open_private(c.root, id, &c.dir, err);
    if (rc == RC_OK)
        rc = lock(&c, err);
    if (rc != RC_OK)
        return rc;
    *ret = c;
    c = OCI_CONTAINER_NONE;
    return RC_OK;
}

/* ---- the record ----------------------------------------------------------------------------- */

static json_t *levels_json(const struct oci_levels *levels)
{
    json_t *list = json_array();

    for (size_t i = 0; list != NULL && i < OCI_CGROUP_TREES; i++)
        (void)json_array_append_new(list, json_integer(levels->n[i]));
    return list;
}

enum rc oci_container_save(const struct oci_container *c, struct err *err)
{
    const struct oci_record *r = &c->record;
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:s, s:o, s:b, s:i, s:i, s:i, s:I, s:I, s:O?}", "ociVersion",
                  r->version, "id", r->id, "bundle", r->bundle, "cgroup", r->cgroup, "levels",
                  levels_json(&r->levels), "empty", (int)r->empty, "filters", (int)r->filters,
                  "slot", r->slot, "pid", (int)r->pid, "born", (json_int_t)r->born, "started",
                  (json_int_t)r->started_ms, "annotations", r->annotations);
    scoped(free_ptr) char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
    enum rc rc = text == NULL ? err_set(err, RC_NO_MEMORY, RECORD)
                              : fs_write_file(c->dir, RECORD, bytes_of(text), 0600, err);

    json_decref(json);
    return rc;
}

static bool take_text(const json_t *json, const char *key, char *out, size_t cap)
{
    const char *text = json_string_value(json_object_get(json, key));

    return text != NULL && bytes_to_text(bytes_of(text), out, cap);
}

/* A container whose creator died before it wrote one has the empty record. */
static enum rc load(struct oci_container *c, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = NULL;
    struct oci_record *r = &c->record;
    size_t n = 0;
    enum rc rc = fs_read_alloc(c->dir, RECORD, RECORD_MAX, &buf, &n, err);

    if (rc == RC_NOT_FOUND)
        return RC_OK;
    if (rc != RC_OK)
        return rc;
    json_t *json = json_loadb((const char *)buf, n, JSON_REJECT_DUPLICATES, NULL);
    if (!take_text(json, "ociVersion", r->version, sizeof r->version) ||
        !take_text(json, "bundle", r->bundle, sizeof r->bundle) ||
        !take_text(json, "cgroup", r->cgroup, sizeof r->cgroup)) {
        json_decref(json);
        return err_set(err, RC_OCI_STATE, "record of %.60s", r->id);
    }
    for (size_t i = 0; i < OCI_CGROUP_TREES; i++)
        r->levels.n[i] =
            (uint32_t)json_integer_value(json_array_get(json_object_get(json, "levels"), i));
    r->empty = json_is_true(json_object_get(json, "empty"));
    r->filters = (uint32_t)json_integer_value(json_object_get(json, "filters"));
    r->slot = (int)json_integer_value(json_object_get(json, "slot"));
    r->pid = (pid_t)json_integer_value(json_object_get(json, "pid"));
    r->born = (uint64_t)json_integer_value(json_object_get(json, "born"));
    r->started_ms = (uint64_t)json_integer_value(json_object_get(json, "started"));
    if (json_is_object(json_object_get(json, "annotations")))
        r->annotations = json_incref(json_object_get(json, "annotations"));
    json_decref(json);
    return RC_OK;
}

enum rc oci_container_open(const char *root, const char *id, struct oci_container *ret,
                           struct err *err)
{
    scoped(oci_container_close) struct oci_container c = OCI_CONTAINER_NONE;
    struct stat held;
    struct stat there;

    if (!oci_id_valid(id))
        return err_set(err, RC_OCI_STATE, "\"%.60s\" is no id of a container", id);
    (void)snprintf(c.record.id, sizeof c.record.id, "%s", id);
    enum rc rc = open_private(AT_FDCWD, root, &c.root, err);
    if (rc == RC_OK)
        rc = open_private(c.root, id, &c.dir, err);
    if (rc == RC_NOT_FOUND)
        return err_set(err, RC_OCI_STATE, "there is no container %.60s", id);
    if (rc == RC_OK)
        rc = lock(&c, err);
    /* Whoever held the lock may have removed it meanwhile. */
    if (rc == RC_OK &&
        (fstat(c.dir, &held) != 0 || fstatat(c.root, id, &there, AT_SYMLINK_NOFOLLOW) != 0 ||
         held.st_ino != there.st_ino))
        rc = err_set(err, RC_OCI_STATE, "there is no container %.60s", id);
    if (rc == RC_OK)
        rc = load(&c, err);
    if (rc != RC_OK)
        return rc;
    *ret = c;
    c = OCI_CONTAINER_NONE;
    return RC_OK;
}

void oci_container_unlock(struct oci_container *c)
{
    close_fd(&c->lock);
}

void oci_container_close(struct oci_container *c)
{
    oci_container_unlock(c);
    close_fd(&c->dir);
    close_fd(&c->root);
    json_decref(c->record.annotations);
    c->record.annotations = NULL;
}

/* ---- ranges of ids -------------------------------------------------------------------------- */

/* Whose a range is: a link, which is made with its content or not at all, and leads nowhere. */
struct slots {
    int dir;
    char owner[200];
};

static enum rc open_slots(const struct oci_container *c, struct slots *ret, struct err *err)
{
    struct stat st;

    if (fstat(c->root, &st) != 0)
        return err_sys(err, RC_IO, "state");
    (void)snprintf(ret->owner, sizeof ret->owner, "%llx:%llx:%s", (unsigned long long)st.st_dev,
                   (unsigned long long)st.st_ino, c->record.id);
    return open_or_make(OCI_IDS_DIR, &ret->dir, err);
}

static void close_slots(struct slots *slots)
{
    close_fd(&slots->dir);
}

enum rc oci_slot_take(struct oci_container *c, struct err *err)
{
    scoped(close_slots) struct slots slots = { .dir = -1 };
    enum rc rc = open_slots(c, &slots, err);
    char name[16];

    for (int slot = 0; rc == RC_OK && slot < (int)OCI_SLOTS; slot++) {
        (void)snprintf(name, sizeof name, "%d", slot);
        if (symlinkat(slots.owner, slots.dir, name) == 0) {
            c->record.slot = slot;
            return RC_OK;
        }
        if (errno != EEXIST)
            return err_sys(err, RC_IO, OCI_IDS_DIR);
    }
    return rc == RC_OK ? err_set(err, RC_BUSY, "no range of ids is left") : rc;
}

static bool give_if_own(void *arg, const char *name)
{
    const struct slots *slots = arg;
    char owner[sizeof slots->owner] = { 0 };

    if (readlinkat(slots->dir, name, owner, sizeof owner - 1) > 0 &&
        strcmp(owner, slots->owner) == 0)
        (void)unlinkat(slots->dir, name, 0);
    return true;
}

/* All it has, whatever its record says. */
static void slots_give(const struct oci_container *c)
{
    scoped(close_slots) struct slots slots = { .dir = -1 };
    bool more = false;
    struct err ignored;

    if (open_slots(c, &slots, &ignored) == RC_OK)
        (void)!fs_list(slots.dir, ".", OCI_SLOTS, give_if_own, &slots, &more, &ignored);
}

enum rc oci_container_remove(struct oci_container *c, struct err *err)
{
    slots_give(c);
    c->record.slot = -1;
    return fs_remove_tree(c->root, c->record.id, err);
}

/* ---- its process ---------------------------------------------------------------------------- */

uint64_t oci_born(pid_t pid)
{
    char path[40];
    char text[1024];

    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

    if (n <= 0)
        return 0;
    text[n] = '\0';
    const char *at = strrchr(text, ')'); /* the name before it is the process's own to choose */
    if (at == NULL || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X')
        return 0;
    for (int field = 2; field < 22 && at != NULL; field++)
        at = strchr(at + 1, ' ');
    return at == NULL ? 0 : strtoull(at + 1, NULL, 10);
}

int oci_container_pidfd(const struct oci_container *c)
{
    if (c->record.pid <= 0)
        return -1;
    scoped(close_fd) int fd = (int)syscall(SYS_pidfd_open, c->record.pid, 0U);

    /* Asked after it was opened: the number was not another one's in between. */
    return fd >= 0 && oci_born(c->record.pid) == c->record.born ? take_fd(&fd) : -1;
}

enum oci_status oci_container_status(const struct oci_container *c)
{
    scoped(close_fd) int pidfd = oci_container_pidfd(c);

    if (c->record.pid == 0)
        return OCI_CREATING;
    if (pidfd < 0)
        return OCI_STOPPED;
    return faccessat(c->dir, START, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ? OCI_CREATED : OCI_RUNNING;
}

/* ---- the socket ----------------------------------------------------------------------------- */

static struct sockaddr_un start_address(const struct oci_container *c)
{
    struct sockaddr_un where = { .sun_family = AF_UNIX };

    (void)snprintf(where.sun_path, sizeof where.sun_path, "/proc/self/fd/%d/" START, c->dir);
    return where;
}

enum rc oci_start_listen(const struct oci_container *c, int *ret, struct err *err)
{
    const struct sockaddr_un where = start_address(c);
    scoped(close_fd) int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (sock < 0 || bind(sock, (const struct sockaddr *)&where, sizeof where) != 0 ||
        listen(sock, 1) != 0)
        return err_sys(err, RC_IO, START);
    *ret = take_fd(&sock);
    return RC_OK;
}

enum rc oci_start_connect(const struct oci_container *c, int *ret, struct err *err)
{
    const struct sockaddr_un where = start_address(c);
    scoped(close_fd) int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (sock < 0 || connect(sock, (const struct sockaddr *)&where, sizeof where) != 0 ||
        unlinkat(c->dir, START, 0) != 0)
        return err_sys(err, RC_OCI_STATE, START);
    *ret = take_fd(&sock);
    return RC_OK;
}

json_t *oci_state_json(const struct oci_container *c)
{
    const struct oci_record *r = &c->record;
    enum oci_status status = oci_container_status(c);
    json_t *json = json_pack("{s:s, s:s, s:s, s:s}", "ociVersion",
                             r->version[0] == '\0' ? "1.0.2" : r->version, "id", r->id, "status",
                             oci_status_name(status), "bundle", r->bundle);

    if (json != NULL && (status == OCI_CREATED || status == OCI_RUNNING))
        (void)json_object_set_new(json, "pid", json_integer(r->pid));
    if (json != NULL && r->annotations != NULL)
        (void)json_object_set(json, "annotations", r->annotations);
    return json;
}
