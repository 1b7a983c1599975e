/* SPDX-License-Identifier: Apache-2.0 */
#include "update/slots.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "base/name.h"
#include "manifest/envelope.h"

#define HEX_CAP (2U * DIGEST_SIZE + 1U)
#define PATH_CAP (2U * NAME_CAP + HEX_CAP + 2U)
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

void slots_done(struct slots *slots)
{
    close_fd(&slots->dir);
    close_fd(&slots->staging);
}

/* ---- making a slot ----------------------------------------------------------------------------
 */

struct slot_id slot_id_of(const struct verified_payload *payload)
{
    const struct manifest *m = payload_manifest(payload);
    struct slot_id id = { .manifest = *payload_digest(payload) };

    memcpy(id.tenant, m->tenant, sizeof id.tenant);
    memcpy(id.payload, m->name, sizeof id.payload);
    return id;
}

/* Fill the directory of a stage: envelope and empty root. */
static enum rc fill_stage(int staging, const char *name, struct bytes envelope, int *ret_root,
                          struct err *err)
{
    scoped(close_fd) int dir = -1;
    enum rc rc = fs_open(staging, name, O_RDONLY | O_DIRECTORY, 0, &dir, err);

    if (rc == RC_OK)
        rc = fs_write_file(dir, "envelope", envelope, 0644, err);
    if (rc == RC_OK)
        rc = fs_open_dir(dir, "root", 0755, ret_root, err);
    return rc;
}

enum rc slot_stage(struct slots *slots, const struct verified_payload *payload, struct stage *ret,
                   struct err *err)
{
    struct stage stage = { .id = slot_id_of(payload), .root = -1 };
    char path[PATH_CAP];
    size_t last = 0;
    enum rc rc = path_of(&stage.id, path, &last, err);

    if (rc != RC_OK)
        return rc;
    if (mkdirat(slots->staging, path + last, 0755) != 0)
        return err_sys(err, errno == EEXIST ? RC_EXISTS : RC_IO, "stage %s", path);
    rc = fill_stage(slots->staging, path + last, payload_envelope(payload), &stage.root, err);
    if (rc != RC_OK) {
        struct err ignored;

        (void)!slot_abandon(slots, &stage, &ignored);
        return rc;
    }
    *ret = stage;
    return RC_OK;
}

enum rc slot_abandon(struct slots *slots, struct stage *stage, struct err *err)
{
    char hex[HEX_CAP];

    close_fd(&stage->root);
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

static enum rc move_in(struct slots *slots, const struct slot_id *id, struct err *err)
{
    char path[PATH_CAP];
    size_t last = 0;
    enum rc rc = path_of(id, path, &last, err);

    if (rc == RC_OK)
        rc = make_levels(slots, id, err);
    if (rc == RC_OK)
        rc = sync_stage(slots, path + last, err);
    if (rc == RC_OK)
        rc = fs_rename(slots->staging, path + last, slots->dir, path, true, err);
    return rc;
}

enum rc slot_commit(struct slots *slots, struct stage *stage, struct err *err)
{
    struct err ignored;
    enum rc rc = RC_OK;

    close_fd(&stage->root);
    if (slot_exists(slots, &stage->id) && !is_whole(slots, &stage->id))
        rc = slot_remove(slots, &stage->id, err);
    if (rc == RC_OK)
        rc = move_in(slots, &stage->id, err);
    if (rc == RC_EXISTS)
        rc = RC_OK;
    (void)!slot_abandon(slots, stage, &ignored);
    return rc;
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

void slot_close(struct slot *slot)
{
    close_fd(&slot->root);
    free(slot->envelope);
    *slot = (struct slot){ .root = -1 };
}

/* Levels that became empty go too; one that another payload still uses stays. */
static void remove_levels(const struct slots *slots, const struct slot_id *id)
{
    char path[PATH_CAP];

    (void)snprintf(path, sizeof path, "%s/%s", id->tenant, id->payload);
    if (unlinkat(slots->dir, path, AT_REMOVEDIR) == 0)
        (void)unlinkat(slots->dir, id->tenant, AT_REMOVEDIR);
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
    if (rc == RC_NOT_FOUND)
        return RC_OK;
    if (rc == RC_OK)
        rc = fs_remove_tree(slots->staging, away, err);
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
    enum rc rc;
    bool stop;
};

static bool list_digest(void *arg, const char *name)
{
    struct listing *l = arg;

    if (bytes_unhex(name, l->id.manifest.b, DIGEST_SIZE))
        l->stop = !l->fn(l->arg, &l->id);
    return !l->stop;
}

/* A directory may vanish between two levels, or not be one; neither is a slot. */
static void list_level(struct listing *l, const char *path, bool (*fn)(void *, const char *))
{
    enum rc rc = fs_list(l->slots->dir, path, DIR_ENTRIES_MAX, fn, l, NULL, l->err);

    if (rc != RC_OK && rc != RC_NOT_FOUND && l->rc == RC_OK)
        l->rc = rc;
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
    return l->rc == RC_OK && !l->stop;
}

static bool list_tenant(void *arg, const char *name)
{
    struct listing *l = arg;

    if (!name_valid(name))
        return true;
    (void)snprintf(l->id.tenant, sizeof l->id.tenant, "%s", name);
    list_level(l, name, list_payload);
    return l->rc == RC_OK && !l->stop;
}

enum rc slot_list(const struct slots *slots, bool (*fn)(void *arg, const struct slot_id *id),
                  void *arg, struct err *err)
{
    struct listing l = { .slots = slots, .fn = fn, .arg = arg, .err = err };
    enum rc rc = fs_list(slots->dir, ".", DIR_ENTRIES_MAX, list_tenant, &l, NULL, err);

    return rc != RC_OK ? rc : l.rc;
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
