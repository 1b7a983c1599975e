/* SPDX-License-Identifier: Apache-2.0 */
#include "update/slots.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "base/name.h"
#include "manifest/envelope.h"
#include "update/index.h"

#define HEX_CAP (2U * DIGEST_SIZE + 1U)
#define PATH_CAP (2U * NAME_CAP + HEX_CAP + 2U)
#define OBJECT_NOTE "object"
#define DIR_ENTRIES_MAX 4096U /* looked at in one directory; there are far fewer */

static void hex_of(const struct digest *digest, char out[HEX_CAP])
{
    (void)bytes_hex((struct bytes){ .p = digest->b, .n = sizeof digest->b }, out);
}

/* "TENANT/PAYLOAD/DIGEST", and where its last part begins.  The names are checked: they become a
 * path. */
static enum rc path_of(const struct slot_id *id, char out[PATH_CAP], size_t *ret_last,
                       struct err *err)
{
    char hex[HEX_CAP];

    if (!memchr(id->tenant, 0, sizeof id->tenant) || !memchr(id->payload, 0, sizeof id->payload) ||
        !name_valid(id->tenant) || !name_valid(id->payload))
        return err_set(err, RC_NAME, "slot");
    hex_of(&id->manifest, hex);
    (void)snprintf(out, PATH_CAP, "%s/%s/%s", id->tenant, id->payload, hex);
    *ret_last = strlen(out) - strlen(hex);
    return RC_OK;
}

/* ---- the two directories ----------------------------------------------------------------------
 */

struct cleaning {
    int staging;
    size_t removed;
};

static bool remove_staged(void *arg, const char *name)
{
    struct cleaning *c = arg;
    struct err ignored;

    c->removed +=
        unlinkat(c->staging, name, 0) == 0 || fs_remove_tree(c->staging, name, &ignored) == RC_OK;
    return true;
}

/* Remove all that an earlier run left.  What cannot be removed stays and is in the way of one
 * package at the most: no reason not to start, and none to leave the others. */
static enum rc clean_staging(int staging, struct err *err)
{
    struct cleaning c = { .staging = staging, .removed = 1 };
    bool more = true;
    enum rc rc = RC_OK;

    /* An exchange that could not be made durable has left a tree here that the disk may still know
     * as the slot: it goes when the other is known to be there, or at another start. */
    if (syncfs(staging) != 0)
        return RC_OK;

    while (rc == RC_OK && more && c.removed > 0) {
        c.removed = 0;
        rc = fs_list(staging, ".", DIR_ENTRIES_MAX, remove_staged, &c, &more, err);
    }
    if (rc == RC_OK)
        rc = fs_sync(staging, "staging", err);
    return rc;
}

enum rc slots_open(int state_dirfd, struct slots *ret, struct err *err)
{
    scoped(close_fd) int dir = -1;
    scoped(close_fd) int staging = -1;
    enum rc rc = fs_open_dir(state_dirfd, "slots", 0755, &dir, err);

    if (rc == RC_OK)
        rc = fs_open_dir(state_dirfd, "staging", 0755, &staging, err);
    if (rc == RC_OK)
        rc = clean_staging(staging, err);
    if (rc == RC_OK)
        rc = fs_sync(state_dirfd, "state", err);
    if (rc != RC_OK)
        return rc;
    *ret = (struct slots){ .dir = take_fd(&dir), .staging = take_fd(&staging) };
    return RC_OK;
}

enum rc slots_open_at(int state_dirfd, int staging_dirfd, struct slots *ret, struct err *err)
{
    scoped(close_fd) int dir = -1;
    scoped(close_fd) int staging = -1;
    struct err ignored;
    enum rc rc = fs_open_dir(state_dirfd, "slots", 0755, &dir, err);

    if (rc == RC_OK && staging_dirfd >= 0)
        rc = fs_open(staging_dirfd, ".", O_RDONLY | O_DIRECTORY, 0, &staging, err);
    if (rc != RC_OK)
        return rc;
    if (staging >= 0) /* what stays is in the way of one package at the most */
        (void)!clean_staging(staging, &ignored);
    if (fs_sync(state_dirfd, "state", &ignored) != RC_OK)
        close_fd(&staging); /* what would be made could get lost with a directory above it */
    *ret = (struct slots){ .dir = take_fd(&dir), .staging = take_fd(&staging) };
    return RC_OK;
}

void slots_done(struct slots *slots)
{
    close_fd(&slots->dir);
    close_fd(&slots->staging);
}

/* ---- making a slot ----------------------------------------------------------------------------
 */

static struct slot_id id_of(const struct verified_manifest *verified)
{
    const struct manifest *m = verified_manifest_get(verified);
    struct slot_id id = { .manifest = *verified_manifest_digest(verified) };

    memcpy(id.tenant, m->tenant, sizeof id.tenant);
    memcpy(id.payload, m->name, sizeof id.payload);
    return id;
}

struct slot_id slot_id_of(const struct verified_payload *payload)
{
    return id_of(payload_verified(payload));
}

struct slot_id slot_id_of_delta(const struct verified_delta *delta)
{
    return id_of(delta_verified(delta));
}

/* Whether a stage of this name was left by somebody who could not remove it: whoever fills one
 * holds the lock on its root, and a lock ends with its owner. */
static bool is_left(const struct slots *slots, const char *name)
{
    char path[HEX_CAP + sizeof "/root"];
    scoped(close_fd) int root = -1;
    struct err err;

    (void)snprintf(path, sizeof path, "%s/root", name);
    enum rc rc = fs_open(slots->staging, path, O_RDONLY | O_DIRECTORY, 0, &root, &err);

    return rc == RC_NOT_FOUND || (rc == RC_OK && flock(root, LOCK_EX | LOCK_NB) == 0);
}

/* The directory of a stage, empty. */
static enum rc make_stage(const struct slots *slots, const char *name, struct err *err)
{
    if (mkdirat(slots->staging, name, 0755) == 0)
        return RC_OK;
    if (errno != EEXIST)
        return err_sys(err, RC_IO, "stage %s", name);
    if (!is_left(slots, name))
        return err_set(err, RC_EXISTS, "stage %s", name);

    enum rc rc = fs_remove_tree(slots->staging, name, err);

    if (rc == RC_OK && mkdirat(slots->staging, name, 0755) != 0)
        rc = err_sys(err, RC_IO, "stage %s", name);
    return rc;
}

/* Fill the directory of a stage: envelope, empty index, empty root. */
static enum rc fill_stage(int staging, const char *name, struct bytes envelope, struct stage *stage,
                          struct err *err)
{
    scoped(close_fd) int dir = -1;
    enum rc rc = fs_open(staging, name, O_RDONLY | O_DIRECTORY, 0, &dir, err);

    if (rc == RC_OK)
        rc = fs_write_file(dir, "envelope", envelope, 0644, err);
    if (rc == RC_OK)
        rc = fs_open(dir, "index", O_WRONLY | O_CREAT | O_EXCL, 0644, &stage->index, err);
    if (rc == RC_OK)
        rc = fs_open_dir(dir, "root", 0755, &stage->root, err);
    if (rc == RC_OK && flock(stage->root, LOCK_EX | LOCK_NB) != 0)
        rc = err_sys(err, RC_IO, "lock stage");
    return rc;
}

static enum rc begin_stage(struct slots *slots, const struct slot_id *id, struct bytes envelope,
                           struct stage *ret, struct err *err)
{
    struct stage stage = { .id = *id, .root = -1, .index = -1 };
    char path[PATH_CAP];
    size_t last = 0;

    if (slots->dir < 0 || slots->staging < 0)
        return err_set(err, RC_STATE_DIR, "%s", slots->dir < 0 ? "slots" : "staging");

    enum rc rc = path_of(&stage.id, path, &last, err);

    if (rc == RC_OK)
        rc = make_stage(slots, path + last, err);
    if (rc != RC_OK)
        return rc;
    rc = fill_stage(slots->staging, path + last, envelope, &stage, err);
    if (rc != RC_OK) {
        struct err ignored;

        (void)!slot_abandon(slots, &stage, &ignored);
        return rc;
    }
    *ret = stage;
    return RC_OK;
}

enum rc slot_stage(struct slots *slots, const struct verified_payload *payload, struct stage *ret,
                   struct err *err)
{
    const struct slot_id id = slot_id_of(payload);

    return begin_stage(slots, &id, payload_envelope(payload), ret, err);
}

enum rc slot_stage_delta(struct slots *slots, const struct verified_delta *delta, struct stage *ret,
                         struct err *err)
{
    const struct slot_id id = slot_id_of_delta(delta);

    return begin_stage(slots, &id, delta_envelope(delta), ret, err);
}

/* Write the note of a slot or stage. */
static enum rc put_object(int dirfd, const char *path, const struct digest *object, struct err *err)
{
    const struct bytes content = { .p = object->b, .n = sizeof object->b };
    scoped(close_fd) int dir = -1;
    enum rc rc = fs_open(dirfd, path, O_RDONLY | O_DIRECTORY, 0, &dir, err);

    return rc == RC_OK ? fs_write_file(dir, OBJECT_NOTE, content, 0644, err) : rc;
}

enum rc slot_stage_object(struct slots *slots, const struct stage *stage,
                          const struct digest *object, struct err *err)
{
    char hex[HEX_CAP];

    hex_of(&stage->id.manifest, hex);
    return put_object(slots->staging, hex, object, err);
}

enum rc slot_abandon(struct slots *slots, struct stage *stage, struct err *err)
{
    char hex[HEX_CAP];

    close_fd(&stage->root);
    close_fd(&stage->index);
    hex_of(&stage->id.manifest, hex);
    return fs_remove_tree(slots->staging, hex, err);
}

/* Make the levels above a slot, durably: a rename into a directory that is lost is lost too. */
static enum rc make_levels(const struct slots *slots, const struct slot_id *id, struct err *err)
{
    scoped(close_fd) int tenant = -1;
    scoped(close_fd) int payload = -1;
    enum rc rc = fs_open_dir(slots->dir, id->tenant, 0755, &tenant, err);

    if (rc == RC_OK)
        rc = fs_open_dir(tenant, id->payload, 0755, &payload, err);
    if (rc == RC_OK)
        rc = fs_sync(tenant, "slot", err);
    if (rc == RC_OK)
        rc = fs_sync(slots->dir, "slots", err);
    return rc;
}

/* The directory of the stage holds its two names durably before it becomes a slot. */
static enum rc sync_stage(const struct slots *slots, const char *name, struct err *err)
{
    scoped(close_fd) int dir = -1;
    enum rc rc = fs_open(slots->staging, name, O_RDONLY | O_DIRECTORY, 0, &dir, err);

    return rc == RC_OK ? fs_sync(dir, "stage", err) : rc;
}

/* Whether the slot is there and its envelope is the right one. */
static bool is_whole(const struct slots *slots, const struct slot_id *id)
{
    scoped(slot_close) struct slot slot = { .root = -1 };
    struct err ignored;

    return slot_open(slots, id, &slot, &ignored) == RC_OK;
}

/* Levels that are empty go too; one that another payload still uses stays. */
static void remove_levels(const struct slots *slots, const struct slot_id *id)
{
    char path[PATH_CAP];

    (void)snprintf(path, sizeof path, "%s/%s", id->tenant, id->payload);
    (void)unlinkat(slots->dir, path, AT_REMOVEDIR);
    (void)unlinkat(slots->dir, id->tenant, AT_REMOVEDIR);
}

static enum rc move_in(struct slots *slots, const struct slot_id *id, struct err *err)
{
    char path[PATH_CAP];
    size_t last = 0;
    enum rc rc = path_of(id, path, &last, err);

    if (rc != RC_OK)
        return rc;
    rc = make_levels(slots, id, err);
    if (rc == RC_OK)
        rc = sync_stage(slots, path + last, err);
    if (rc == RC_OK)
        rc = fs_rename(slots->staging, path + last, slots->dir, path, true, err);
    if (rc != RC_OK)
        remove_levels(slots, id);
    return rc;
}

/* The directory that holds the name of a slot, whether the slot is there or not any more. */
static enum rc sync_level(const struct slots *slots, const struct slot_id *id, struct err *err)
{
    scoped(close_fd) int level = -1;
    char path[PATH_CAP];
    size_t last = 0;
    enum rc rc = path_of(id, path, &last, err);

    if (rc != RC_OK)
        return rc;
    path[last - 1] = 0;
    rc = fs_open(slots->dir, path, O_RDONLY | O_DIRECTORY, 0, &level, err);
    return rc == RC_OK ? fs_sync(level, path, err) : rc;
}

enum rc slot_settle(const struct slots *slots, const struct slot_id *id, struct err *err)
{
    return slot_exists(slots, id) ? sync_level(slots, id, err)
                                  : err_set(err, RC_NOT_FOUND, "%s/%s", id->tenant, id->payload);
}

enum rc slot_commit(struct slots *slots, struct stage *stage, struct err *err)
{
    struct err ignored;
    enum rc rc = RC_OK;

    close_fd(&stage->root);
    close_fd(&stage->index);
    if (slot_exists(slots, &stage->id) && !is_whole(slots, &stage->id))
        rc = slot_remove(slots, &stage->id, err);
    if (rc == RC_OK)
        rc = move_in(slots, &stage->id, err);
    if (rc == RC_EXISTS)
        rc = slot_settle(slots, &stage->id, err);
    (void)!slot_abandon(slots, stage, &ignored);
    return rc;
}

/* The name of the tree that an exchange leaves aside; staging/ is emptied at start. */
static void old_name(const struct slot_id *id, char out[HEX_CAP + 4])
{
    char hex[HEX_CAP];

    hex_of(&id->manifest, hex);
    (void)snprintf(out, HEX_CAP + 4, "old-%s", hex);
}

/* Where the stage was lies the damaged slot now. */
static enum rc set_old_aside(struct slots *slots, const struct slot_id *id, bool keep,
                             struct err *err)
{
    char hex[HEX_CAP], old[HEX_CAP + 4];
    enum rc rc = RC_EXISTS;

    hex_of(&id->manifest, hex);
    old_name(id, old);
    if (keep)
        rc = fs_rename(slots->staging, hex, slots->staging, old, true, err);
    return rc == RC_EXISTS ? fs_remove_tree(slots->staging, hex, err) : rc;
}

/* Whether the slot's name leads to what the stage was: an exchange that could not be made durable
 * has happened all the same. */
static bool has_place(const struct slots *slots, const char *path, const struct stat *stage)
{
    struct stat st;

    return fstatat(slots->dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == stage->st_dev &&
           st.st_ino == stage->st_ino;
}

/* After a power cut either tree may have the slot's place, so both stay.  Not under the name of a
 * stage: the next repair would take that for something left over. */
static void keep_both(const struct slots *slots, const char *hex)
{
    char was[HEX_CAP + 4];
    struct err ignored;

    (void)snprintf(was, sizeof was, "was-%s", hex);
    (void)!fs_rename(slots->staging, hex, slots->staging, was, true, &ignored);
}

enum rc slot_exchange(struct slots *slots, struct stage *stage, bool keep_old, struct err *err)
{
    char path[PATH_CAP];
    struct stat st = { 0 };
    struct err ignored;
    size_t last = 0;
    enum rc rc = path_of(&stage->id, path, &last, err);

    if (rc == RC_OK && !slot_exists(slots, &stage->id))
        return slot_commit(slots, stage, err);
    close_fd(&stage->root);
    close_fd(&stage->index);
    if (rc == RC_OK)
        rc = sync_stage(slots, path + last, err);
    if (rc == RC_OK && fstatat(slots->staging, path + last, &st, AT_SYMLINK_NOFOLLOW) != 0)
        rc = err_sys(err, RC_IO, "stage %s", path + last);
    if (rc == RC_OK)
        rc = fs_exchange(slots->staging, path + last, slots->dir, path, err);
    if (rc == RC_OK)
        return set_old_aside(slots, &stage->id, keep_old, err);
    if (has_place(slots, path, &st))
        keep_both(slots, path + last);
    else
        (void)!slot_abandon(slots, stage, &ignored);
    return rc;
}

enum rc slot_drop_old(struct slots *slots, const struct slot_id *id, struct err *err)
{
    char old[HEX_CAP + 4];

    old_name(id, old);
    return fs_remove_tree(slots->staging, old, err);
}

/* ---- installed slots --------------------------------------------------------------------------
 */

bool slot_exists(const struct slots *slots, const struct slot_id *id)
{
    char path[PATH_CAP];
    size_t last = 0;
    struct stat st;

    return path_of(id, path, &last, NULL) == RC_OK &&
           fstatat(slots->dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

bool slot_has_root(const struct slots *slots, const struct slot_id *id, int root_fd)
{
    char path[PATH_CAP + sizeof "/root"];
    size_t last = 0;
    struct stat is, was;

    if (path_of(id, path, &last, NULL) != RC_OK)
        return false;
    (void)snprintf(path + strlen(path), sizeof "/root", "/root");
    return fstatat(slots->dir, path, &is, AT_SYMLINK_NOFOLLOW) == 0 && fstat(root_fd, &was) == 0 &&
           is.st_dev == was.st_dev && is.st_ino == was.st_ino;
}

enum rc slot_mark(const struct slots *slots, const struct slot_id *id, struct slot_mark *ret,
                  struct err *err)
{
    char path[PATH_CAP];
    size_t last = 0;
    struct stat st;
    enum rc rc = path_of(id, path, &last, err);

    if (rc != RC_OK)
        return rc;
    if (fstatat(slots->dir, path, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return err_sys(err, errno == ENOENT ? RC_NOT_FOUND : RC_IO, "%s", path);
    *ret = (struct slot_mark){ .dev = st.st_dev,
                               .ino = st.st_ino,
                               .changed_s = st.st_ctim.tv_sec,
                               .changed_ns = st.st_ctim.tv_nsec };
    return RC_OK;
}

bool slot_mark_same(const struct slot_mark *a, const struct slot_mark *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->changed_s == b->changed_s &&
           a->changed_ns == b->changed_ns;
}

/* The envelope is the one whose payload has the digest in the slot's name. */
static enum rc check_envelope(const struct slot_id *id, struct bytes envelope, struct err *err)
{
    scoped(free_ptr) struct envelope *parts = calloc(1, sizeof *parts);
    struct digest found;

    if (!parts)
        return err_set(err, RC_NO_MEMORY, "envelope");
    if (envelope_open(envelope, parts, err) != RC_OK)
        return err_set(err, RC_SLOT_DAMAGED, "%s/%s: envelope", id->tenant, id->payload);

    enum rc rc = sha256_of(parts->payload, found.b, err);

    if (rc == RC_OK && memcmp(&found, &id->manifest, sizeof found) != 0)
        rc = err_set(err, RC_SLOT_DAMAGED, "%s/%s: envelope", id->tenant, id->payload);
    return rc;
}

/* Read both parts of a slot; one that is missing means damage, not absence. */
static enum rc open_parts(int dir, const struct slot_id *id, struct slot *slot, struct err *err)
{
    enum rc rc =
        fs_read_alloc(dir, "envelope", DOCUMENT_MAX, &slot->envelope, &slot->envelope_bytes, err);

    if (rc == RC_OK)
        rc = fs_open(dir, "root", O_RDONLY | O_DIRECTORY, 0, &slot->root, err);
    if (rc == RC_NOT_FOUND || rc == RC_NOT_REGULAR || rc == RC_TOO_LARGE)
        return err_set(err, RC_SLOT_DAMAGED, "%s/%s: a part is missing", id->tenant, id->payload);
    if (rc != RC_OK)
        return rc;
    return check_envelope(id, (struct bytes){ .p = slot->envelope, .n = slot->envelope_bytes },
                          err);
}

enum rc slot_open(const struct slots *slots, const struct slot_id *id, struct slot *ret,
                  struct err *err)
{
    scoped(close_fd) int dir = -1;
    struct slot slot = { .root = -1 };
    char path[PATH_CAP];
    size_t last = 0;
    enum rc rc = path_of(id, path, &last, err);

    if (rc == RC_OK)
        rc = fs_open(slots->dir, path, O_RDONLY | O_DIRECTORY, 0, &dir, err);
    if (rc == RC_OK)
        rc = open_parts(dir, id, &slot, err);
    if (rc != RC_OK) {
        slot_close(&slot);
        return rc;
    }
    *ret = slot;
    return RC_OK;
}

enum rc slot_open_index(const struct slots *slots, const struct slot_id *id, int *ret_fd,
                        struct err *err)
{
    scoped(close_fd) int dir = -1;
    char path[PATH_CAP];
    uint64_t size = 0;
    size_t last = 0;
    enum rc rc = path_of(id, path, &last, err);

    if (rc == RC_OK)
        rc = fs_open(slots->dir, path, O_RDONLY | O_DIRECTORY, 0, &dir, err);
    if (rc == RC_OK)
        rc = fs_open_plain(dir, "index", INDEX_MAX, ret_fd, &size, err);
    if (rc == RC_NOT_FOUND || rc == RC_NOT_REGULAR || rc == RC_TOO_LARGE)
        return err_set(err, RC_SLOT_DAMAGED, "%s/%s: index", id->tenant, id->payload);
    return rc;
}

enum rc slot_object(const struct slots *slots, const struct slot_id *id, struct digest *ret,
                    struct err *err)
{
    scoped(close_fd) int dir = -1;
    char path[PATH_CAP];
    struct digest found;
    size_t last = 0;
    size_t n = 0;
    enum rc rc = path_of(id, path, &last, err);

    if (rc == RC_OK)
        rc = fs_open(slots->dir, path, O_RDONLY | O_DIRECTORY, 0, &dir, err);
    if (rc == RC_OK)
        rc = fs_read_file(dir, OBJECT_NOTE, found.b, sizeof found.b, &n, err);
    if (rc == RC_NOT_REGULAR || rc == RC_TOO_LARGE || (rc == RC_OK && n != sizeof found.b))
        rc = err_set(err, RC_NOT_FOUND, "%s/%s: " OBJECT_NOTE, id->tenant, id->payload);
    if (rc == RC_OK)
        *ret = found;
    return rc;
}

enum rc slot_set_object(const struct slots *slots, const struct slot_id *id,
                        const struct digest *object, struct err *err)
{
    char path[PATH_CAP];
    size_t last = 0;
    enum rc rc = path_of(id, path, &last, err);

    return rc == RC_OK ? put_object(slots->dir, path, object, err) : rc;
}

void slot_close(struct slot *slot)
{
    close_fd(&slot->root);
    free(slot->envelope);
    *slot = (struct slot){ .root = -1 };
}

enum rc slot_remove(struct slots *slots, const struct slot_id *id, struct err *err)
{
    char path[PATH_CAP];
    char away[HEX_CAP + 4];
    size_t last = 0;
    enum rc rc = path_of(id, path, &last, err);

    if (rc != RC_OK)
        return rc;
    /* not the name of a stage: the same payload may be on its way in again */
    (void)snprintf(away, sizeof away, "rm-%s", path + last);
    rc = fs_remove_tree(slots->staging, away, err);
    if (rc == RC_OK)
        rc = fs_rename(slots->dir, path, slots->staging, away, true, err);
    if (rc == RC_NOT_FOUND) {
        rc = sync_level(slots, id, err); /* it may have been removed, but not for good */
        return rc == RC_NOT_FOUND ? RC_OK : rc;
    }
    /* Also when it failed: it may be out of place already. */
    enum rc gone = fs_remove_tree(slots->staging, away, rc == RC_OK ? err : NULL);
    if (rc == RC_OK)
        rc = gone;
    if (rc == RC_OK)
        remove_levels(slots, id);
    return rc;
}

/* ---- listing ----------------------------------------------------------------------------------
 */

/* A walk over three fixed levels. */
struct listing {
    const struct slots *slots;
    bool (*fn)(void *arg, const struct slot_id *id);
    void *arg;
    struct slot_id id;
    struct err *err;
    enum rc rc; /* of the first that could not be read */
    bool stop;
};

static bool list_digest(void *arg, const char *name)
{
    struct listing *l = arg;

    if (bytes_unhex(name, l->id.manifest.b, DIGEST_SIZE))
        l->stop = !l->fn(l->arg, &l->id);
    return !l->stop;
}

/* A directory may vanish between two levels, or not be one; neither is a slot.  One that cannot be
 * read is somebody's, and does not keep the others from their turn.  That there was no memory or no
 * descriptor says nothing of it, and is told before anything else. */
static void list_level(struct listing *l, const char *path, bool (*fn)(void *, const char *))
{
    struct err why = { 0 };
    enum rc rc = fs_list(l->slots->dir, path, DIR_ENTRIES_MAX, fn, l, NULL, &why);

    if (rc == RC_OK || rc == RC_NOT_FOUND)
        return;
    if (!err_passes(&why))
        rc = why.rc = RC_STATE_DIR;
    if (l->rc == RC_OK || (l->rc == RC_STATE_DIR && rc != RC_STATE_DIR)) {
        l->rc = rc;
        if (l->err)
            *l->err = why;
    }
}

static bool list_payload(void *arg, const char *name)
{
    struct listing *l = arg;
    char path[PATH_CAP];

    if (!name_valid(name))
        return true;
    (void)snprintf(l->id.payload, sizeof l->id.payload, "%s", name);
    (void)snprintf(path, sizeof path, "%s/%s", l->id.tenant, name);
    list_level(l, path, list_digest);
    return !l->stop;
}

static bool list_tenant(void *arg, const char *name)
{
    struct listing *l = arg;

    if (!name_valid(name))
        return true;
    (void)snprintf(l->id.tenant, sizeof l->id.tenant, "%s", name);
    list_level(l, name, list_payload);
    return !l->stop;
}

enum rc slot_list(const struct slots *slots, bool (*fn)(void *arg, const struct slot_id *id),
                  void *arg, struct err *err)
{
    struct listing l = { .slots = slots, .fn = fn, .arg = arg, .err = err };
    enum rc rc = fs_list(slots->dir, ".", DIR_ENTRIES_MAX, list_tenant, &l, NULL, err);

    return rc != RC_OK ? rc : l.rc;
}

enum rc slot_list_of(const struct slots *slots, const char *tenant,
                     bool (*fn)(void *arg, const struct slot_id *id), void *arg, struct err *err)
{
    struct listing l = { .slots = slots, .fn = fn, .arg = arg, .err = err };

    (void)list_tenant(&l, tenant);
    return l.rc;
}

enum rc slot_size(const struct slots *slots, const struct slot_id *id, uint64_t *ret_bytes,
                  uint64_t *ret_files, struct err *err)
{
    char path[PATH_CAP];
    uint64_t bytes = 0;
    size_t last = 0;
    enum rc rc = path_of(id, path, &last, err);

    if (rc == RC_OK)
        rc = fs_tree_usage(slots->dir, path, &bytes, ret_files, err);
    if (rc == RC_OK)
        *ret_bytes = bytes + 4096U; /* its own directory */
    return rc;
}

enum rc slot_usage(const struct slots *slots, const char *tenant, uint64_t *ret_bytes,
                   uint64_t *ret_files, struct err *err)
{
    enum rc rc;

    if (!name_valid(tenant))
        return err_set(err, RC_NAME, "tenant");
    rc = fs_tree_usage(slots->dir, tenant, ret_bytes, ret_files, err);
    if (rc != RC_NOT_FOUND)
        return rc;
    if (ret_bytes)
        *ret_bytes = 0;
    if (ret_files)
        *ret_files = 0;
    return RC_OK;
}
