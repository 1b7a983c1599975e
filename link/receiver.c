/* SPDX-License-Identifier: Apache-2.0 */
#include "link/receiver.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "base/name.h"
#include "link/done.h"
#include "link/mail.h"
#include "link/partial.h"
#include "link/quota.h"
#include "link/transfer.h"

#define QUOTA_DEFAULT (UINT64_C(1) << 30)
#define STALE_DEFAULT_MS (UINT64_C(6) * 3600U * 1000U)
#define FOUND_STALE_PART 24U /* of that time, for objects that were there at the start */
#define PACKAGES_UNDER_WAY_MAX 12U
#define PACKAGES_READY_MAX 16U
#define MAILS_MAX 8U /* of those, under way or ready */
#define PARTIAL "partial"
#define READY "ready"
#define FILES_MAX (128U * 1024U) /* looked at in one spool directory at start */

static_assert(RECEIVER_OBJECTS_MAX <= PORT_TRANSFERS_MAX, "every object under way can be reported");
static_assert(RECEIVER_READY_MAX <= PORT_COMPLETE_MAX, "every ready object can be reported");

/* An object that is complete and not done. */
struct ready {
    struct port_object object;
    uint64_t serial;
    char owner[NAME_CAP];
};

/* A chunk whose descriptor is not there yet. */
struct early {
    struct transfer_chunk chunk;
    uint8_t *data;         /* what chunk.data views, owned */
    char tenant[NAME_CAP]; /* whose key it came under */
};

/* A damaged copy of an object. */
struct seed {
    uint8_t object[DIGEST_SIZE];
    int fd;
    uint64_t bytes;
    uint64_t came_ms;
};

struct receiver {
    int spool;
    int partial_dir;
    int ready_dir;
    uint64_t quota;
    uint64_t stale_ms;
    uint64_t version;
    bool was_new;    /* the last message */
    bool loading;    /* what is in the spool at the start was let in before */
    struct err note; /* RC_OK = none */
    size_t n_ready, n_early;
    size_t early_bytes;
    struct partial partial[RECEIVER_OBJECTS_MAX];
    struct ready ready[RECEIVER_READY_MAX]; /* oldest first, as the early ones */
    struct done done;
    struct early early[RECEIVER_EARLY_MAX];
    size_t n_seeds;
    struct seed seed[RECEIVER_SEEDS_MAX]; /* oldest first */
    struct port_spool lost;               /* what was refused and dropped */
};

#define ITEMS_MAX (RECEIVER_OBJECTS_MAX + RECEIVER_READY_MAX)

/* ---- names ------------------------------------------------------------------------------------
 */

static const char *ready_name(const struct ready *r, char out[PARTIAL_NAME_CAP])
{
    char suffix[32 + NAME_CAP];

    snprintf(suffix, sizeof suffix, "%u.%016" PRIx64 "%s%s", r->object.kind, r->serial,
             r->owner[0] != '\0' ? "." : "", r->owner);
    return partial_name(r->object.digest, suffix, out);
}

/* ---- small tables -----------------------------------------------------------------------------
 */

static struct partial *find_partial(struct receiver *r, const uint8_t object[DIGEST_SIZE])
{
    for (size_t i = 0; i < RECEIVER_OBJECTS_MAX; i++) {
        if (r->partial[i].used && memcmp(r->partial[i].d.object, object, DIGEST_SIZE) == 0)
            return &r->partial[i];
    }
    return NULL;
}

static size_t find_ready(const struct receiver *r, const uint8_t object[DIGEST_SIZE])
{
    size_t i = 0;

    while (i < r->n_ready && memcmp(r->ready[i].object.digest, object, DIGEST_SIZE) != 0)
        i++;
    return i;
}

/* Whether (object, serial) is complete already.  A higher serial of something that is done opens it
 * anew, and so does another kind: what was refused as a grant may be the order that it is. */
static bool is_known(struct receiver *r, const uint8_t object[DIGEST_SIZE], enum object_kind kind,
                     uint64_t serial)
{
    if (find_ready(r, object) < r->n_ready)
        return true;
    size_t i = done_find(&r->done, object);
    if (i == r->done.n)
        return false;
    r->version++;
    if (r->done.item[i].kind == kind && serial <= r->done.item[i].serial) {
        /* Newest again: the sender has not heard yet. */
        done_add(&r->done, object, kind, r->done.item[i].serial);
        return true;
    }
    done_drop(&r->done, i);
    return false;
}

static void drop_early(struct receiver *r, size_t i)
{
    r->early_bytes -= r->early[i].chunk.data.n;
    free(r->early[i].data);
    r->n_early--;
    memmove(&r->early[i], &r->early[i + 1], (r->n_early - i) * sizeof r->early[0]);
}

/* ---- damaged copies ---------------------------------------------------------------------------
 */

static size_t find_seed(const struct receiver *r, const uint8_t object[DIGEST_SIZE])
{
    size_t i = 0;

    while (i < r->n_seeds && memcmp(r->seed[i].object, object, DIGEST_SIZE) != 0)
        i++;
    return i;
}

static void drop_seed(struct receiver *r, size_t i)
{
    if (i == r->n_seeds)
        return;
    close_fd(&r->seed[i].fd);
    r->n_seeds--;
    memmove(&r->seed[i], &r->seed[i + 1], (r->n_seeds - i) * sizeof r->seed[0]);
}

static void use_seed(struct receiver *r, struct partial *p)
{
    size_t i = find_seed(r, p->d.object);

    if (i < r->n_seeds && partial_take_seed(p, r->seed[i].fd) > 0)
        r->version++;
}

/* What the copies that are held may keep from being freed. */
static uint64_t seed_bytes(const struct receiver *r)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < r->n_seeds; i++)
        bytes += r->seed[i].bytes;
    return bytes;
}

void receiver_age(struct receiver *r, uint64_t now_ms)
{
    for (size_t i = r->n_seeds; i-- > 0;)
        if (now_ms - r->seed[i].came_ms >= r->stale_ms)
            drop_seed(r, i);
}

void receiver_seed(struct receiver *r, const uint8_t object[DIGEST_SIZE], int fd, uint64_t now_ms)
{
    const uint64_t max = r->quota / RECEIVER_SEEDS_PART;
    struct partial *p = find_partial(r, object);
    struct stat st;

    drop_seed(r, find_seed(r, object));
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size > max) {
        close_fd(&fd);
        return;
    }
    while (r->n_seeds > 0 &&
           (r->n_seeds == RECEIVER_SEEDS_MAX || seed_bytes(r) + (uint64_t)st.st_size > max))
        drop_seed(r, 0);
    struct seed *seed = &r->seed[r->n_seeds++];

    seed->fd = fd;
    seed->bytes = (uint64_t)st.st_size;
    seed->came_ms = now_ms;
    memcpy(seed->object, object, DIGEST_SIZE);
    if (p != NULL)
        use_seed(r, p);
}

/* ---- objects under way ------------------------------------------------------------------------
 */

/* Forget an object; with files, remove them too. */
static void drop_partial(struct receiver *r, struct partial *p, bool files)
{
    char name[PARTIAL_NAME_CAP];

    if (files) {
        (void)unlinkat(r->partial_dir, partial_name(p->d.object, "desc", name), 0);
        (void)unlinkat(r->partial_dir, partial_name(p->d.object, "part", name), 0);
        (void)unlinkat(r->partial_dir, partial_name(p->d.object, "fec", name), 0);
    }
    partial_close(p);
    r->version++;
}

static struct quota_limits limits_of(const struct receiver *r)
{
    return (struct quota_limits){ .bytes = r->quota,
                                  .bulk_bytes = r->quota - r->quota / 8,
                                  .way = RECEIVER_OBJECTS_MAX,
                                  .bulk_way = PACKAGES_UNDER_WAY_MAX,
                                  .all = RECEIVER_READY_MAX,
                                  .bulk_all = PACKAGES_READY_MAX,
                                  .mails = MAILS_MAX };
}

/* All that is there, one object under way aside: an older cut of what comes, or NULL. */
static size_t list_items(const struct receiver *r, const uint8_t *aside,
                         struct quota_item ret[ITEMS_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < RECEIVER_OBJECTS_MAX; i++) {
        const struct partial *p = &r->partial[i];

        if (!p->used || (aside != NULL && memcmp(p->d.object, aside, DIGEST_SIZE) == 0))
            continue;
        ret[n++] = (struct quota_item){ .owner = p->d.owner,
                                        .digest = p->d.object,
                                        .kind = p->d.kind,
                                        .bytes = r->loading ? p->d.size : partial_bytes(p, 0),
                                        .have = (uint64_t)p->n_have * p->d.chunk_size };
    }
    for (size_t i = 0; i < r->n_ready; i++) {
        const struct ready *ready = &r->ready[i];

        ret[n++] = (struct quota_item){ .owner = ready->owner,
                                        .digest = ready->object.digest,
                                        .kind = ready->object.kind,
                                        .whole = true,
                                        .bytes = ready->object.size,
                                        .have = ready->object.size };
    }
    return n;
}

/* What an object to come lacks; in items, n of them, what is there beside it. */
static enum quota_lack lacks(const struct receiver *r, const struct quota_item *want,
                             struct quota_item items[ITEMS_MAX], size_t *ret_n)
{
    const struct quota_limits limits = limits_of(r);

    *ret_n = list_items(r, want->digest, items);
    return quota_lacks(&limits, items, *ret_n, seed_bytes(r), want);
}

static struct quota_item item_of(const struct transfer_descriptor *d, bool whole)
{
    return (struct quota_item){
        .owner = d->owner, .digest = d->object, .kind = d->kind, .whole = whole, .bytes = d->size
    };
}

/* Whether an object has not moved for long.  One that was found at the start has not for longer
 * than is known: on a satellite that restarts often nothing would ever be stale. */
static bool is_stale(const struct receiver *r, const struct partial *p, uint64_t now_ms)
{
    return now_ms - p->moved_ms >= (p->found ? r->stale_ms / FOUND_STALE_PART : r->stale_ms);
}

/* Drop the object that has not moved for longest, if that is long. */
static bool drop_stale(struct receiver *r, uint64_t now_ms)
{
    struct partial *oldest = NULL;

    for (size_t i = 0; i < RECEIVER_OBJECTS_MAX; i++) {
        struct partial *p = &r->partial[i];

        if (p->used && is_stale(r, p, now_ms) && (oldest == NULL || p->moved_ms < oldest->moved_ms))
            oldest = p;
    }
    if (oldest == NULL)
        return false;
    err_set(&r->note, RC_SPOOL_FULL, "an object under way made room");
    quota_count(&r->lost, oldest->d.owner, QUOTA_DROPPED_OLD);
    drop_partial(r, oldest, true);
    return true;
}

static void drop_ready(struct receiver *r, size_t i)
{
    char name[PARTIAL_NAME_CAP];

    (void)unlinkat(r->ready_dir, ready_name(&r->ready[i], name), 0);
    r->n_ready--;
    memmove(&r->ready[i], &r->ready[i + 1], (r->n_ready - i) * sizeof r->ready[0]);
    r->version++;
}

/* Drop what a tenant has beyond its share for one that has less: what is complete, too, if nothing
 * else is left, but no mail: who reads it goes on, and it comes again. */
static bool drop_excess(struct receiver *r, const struct quota_item *want, enum quota_lack lack,
                        const struct quota_item *items, size_t n)
{
    const struct quota_limits limits = limits_of(r);
    const size_t i = quota_victim(&limits, items, n, want, lack);

    if (i == n)
        return false;
    err_set(&r->note, RC_SPOOL_FULL, "an object of %s made room", items[i].owner);
    quota_count(&r->lost, items[i].owner, QUOTA_DROPPED_ROOM);
    if (items[i].whole)
        drop_ready(r, find_ready(r, items[i].digest));
    else
        drop_partial(r, find_partial(r, items[i].digest), true);
    return true;
}

/* Make room.  A damaged copy has bytes and no place: where a place is wanted it is no use to drop
 * it, and where bytes are it goes before any object does. */
static enum rc make_room(struct receiver *r, const struct transfer_descriptor *d, bool whole,
                         uint64_t now_ms, struct err *err)
{
    const struct quota_item want = item_of(d, whole);
    struct quota_item items[ITEMS_MAX];
    enum quota_lack lack = QUOTA_FITS;
    size_t n = 0;

    while ((lack = lacks(r, &want, items, &n)) != QUOTA_FITS) {
        if (lack == QUOTA_BYTES && r->n_seeds > 0)
            drop_seed(r, 0);
        else if (!drop_stale(r, now_ms) && !drop_excess(r, &want, lack, items, n))
            return err_set(err, RC_SPOOL_FULL, "object of %" PRIu64 " bytes", d->size);
    }
    return RC_OK;
}

/* A slot that was free when it was asked for. */
static struct partial *free_partial(struct receiver *r)
{
    size_t i = 0;

    while (i < RECEIVER_OBJECTS_MAX && r->partial[i].used)
        i++;
    assert(i < RECEIVER_OBJECTS_MAX);
    return &r->partial[i];
}

/* Packages stop before the disk is full: documents, the state of the link and that of the agent
 * still have to find room on it. */
static enum rc check_disk(const struct receiver *r, uint32_t kind, struct err *err)
{
    struct statvfs st;

    if (!quota_is_bulk(kind))
        return RC_OK;
    if (fstatvfs(r->spool, &st) != 0)
        return err_sys(err, RC_IO, "spool directory");
    if ((uint64_t)st.f_bavail * st.f_frsize < RECEIVER_HEADROOM_BYTES ||
        (st.f_files > 0 && st.f_favail < RECEIVER_HEADROOM_FILES))
        return err_set(err, RC_NO_SPACE, "package: the disk is nearly full");
    return RC_OK;
}

/* Store a chunk of an object under way. */
static enum rc store_chunk(struct receiver *r, struct partial *p, const struct transfer_chunk *c,
                           uint64_t now_ms, struct err *err)
{
    bool is_new = false;
    enum rc rc = check_disk(r, p->d.kind, err);

    if (rc == RC_OK)
        rc = partial_store(p, c, &is_new, err);

    if (!is_new)
        return rc;
    r->was_new = true;
    if (rc != RC_OK) /* with the repairs that were there before */
        r->note = *err;
    p->moved_ms = now_ms;
    p->found = false;
    r->version++;
    return RC_OK;
}

/* Count what was refused for want of room, and give the code back. */
static enum rc refused(struct receiver *r, const char *owner, enum rc rc)
{
    if (rc == RC_SPOOL_FULL || rc == RC_NO_SPACE)
        quota_count(&r->lost, owner, rc == RC_NO_SPACE ? QUOTA_REFUSED_DISK : QUOTA_REFUSED_ROOM);
    return rc;
}

/* Whose an object is that comes under a tenant's key: packages and mail, and nobody else's. */
static enum rc settle_owner(const char *tenant, uint32_t kind, char owner[NAME_CAP],
                            struct err *err)
{
    if (tenant[0] == '\0')
        return RC_OK;
    if (!quota_is_bulk(kind))
        return err_set(err, RC_OBJECT_KIND, "%s under the key of %s", object_kind_name(kind),
                       tenant);
    if (owner[0] != '\0' && strcmp(owner, tenant) != 0)
        return err_set(err, RC_OBJECT_OWNER, "%s under the key of %s", owner, tenant);
    (void)snprintf(owner, NAME_CAP, "%s", tenant);
    return RC_OK;
}

/* Whether a part of an object may come under this key. */
static enum rc check_part(const struct partial *p, const char *tenant, struct err *err)
{
    if (tenant[0] != '\0' && strcmp(p->d.owner, tenant) != 0)
        return err_set(err, RC_OBJECT_OWNER, "part of another's under the key of %s", tenant);
    return RC_OK;
}

/* Its descriptor, which only the next start will read. */
static enum rc write_descriptor(const struct receiver *r, const struct partial *p, struct err *err)
{
    const struct transfer_message msg = { .type = TRANSFER_DESCRIPTOR, .descriptor = p->d };
    scoped(free_ptr) uint8_t *buf = malloc(TRANSFER_MESSAGE_MAX);
    char name[PARTIAL_NAME_CAP];
    struct bytes message = { 0 };

    if (buf == NULL)
        return err_set(err, RC_NO_MEMORY, "descriptor");
    enum rc rc = transfer_encode(&msg, buf, TRANSFER_MESSAGE_MAX, &message, err);

    return rc == RC_OK ? fs_write_file(r->partial_dir, partial_name(p->d.object, "desc", name),
                                       message, 0600, err)
                       : rc;
}

/* The same object again.  What is queued anew meanwhile is what will be done, and an owner is
 * learnt. */
static enum rc take_again(const struct receiver *r, struct partial *p,
                          const struct transfer_descriptor *d, struct err *err)
{
    if (p->d.serial < d->serial)
        p->d.serial = d->serial;
    if (p->d.owner[0] != '\0' || d->owner[0] == '\0')
        return RC_OK;
    memcpy(p->d.owner, d->owner, sizeof p->d.owner);
    return write_descriptor(r, p, err);
}

/* Chunks that came before their descriptor. */
static void use_early(struct receiver *r, struct partial *p, uint64_t now_ms)
{
    struct err ignored;

    for (size_t i = 0; i < r->n_early;) {
        if (memcmp(r->early[i].chunk.object, p->d.object, DIGEST_SIZE) != 0) {
            i++;
            continue;
        }
        if (check_part(p, r->early[i].tenant, &ignored) != RC_OK ||
            store_chunk(r, p, &r->early[i].chunk, now_ms, &ignored) != RC_OK)
            r->note = ignored;
        drop_early(r, i);
    }
}

static enum rc take_descriptor(struct receiver *r, const char *tenant,
                               const struct transfer_descriptor *d, uint64_t now_ms,
                               struct err *err)
{
    if (is_known(r, d->object, d->kind, d->serial))
        return RC_OK;
    struct partial *p = find_partial(r, d->object);
    enum rc rc = p != NULL ? check_part(p, tenant, err) : RC_OK;
    if (rc != RC_OK)
        return rc;
    if (p != NULL && partial_same(p, d))
        return take_again(r, p, d, err);
    rc = check_disk(r, d->kind, err);
    if (rc == RC_OK)
        rc = make_room(r, d, false, now_ms, err);
    if (rc != RC_OK)
        return refused(r, d->owner, rc);
    p = find_partial(r, d->object);
    if (p != NULL)
        drop_partial(r, p, true); /* cut in another way now */
    p = free_partial(r);
    rc = partial_open(p, r->partial_dir, d, O_CREAT | O_TRUNC, err);
    if (rc != RC_OK)
        return rc;
    p->moved_ms = now_ms;
    r->version++;
    rc = write_descriptor(r, p, err);
    if (rc != RC_OK) {
        drop_partial(r, p, true);
        return rc;
    }
    r->was_new = true;
    use_seed(r, p);
    use_early(r, p, now_ms);
    return RC_OK;
}

/* Keep a chunk until its descriptor comes; the oldest make room. */
static enum rc hold_early(struct receiver *r, const char *tenant, const struct transfer_chunk *c,
                          struct err *err)
{
    for (size_t i = 0; i < r->n_early; i++) {
        if (r->early[i].chunk.index == c->index && strcmp(r->early[i].tenant, tenant) == 0 &&
            memcmp(r->early[i].chunk.object, c->object, DIGEST_SIZE) == 0)
            drop_early(r, i--); /* which of two is right is not known yet: the newer one */
    }
    while (r->n_early == RECEIVER_EARLY_MAX || r->early_bytes + c->data.n > RECEIVER_EARLY_BYTES)
        drop_early(r, 0);
    uint8_t *data = malloc(c->data.n);

    if (data == NULL)
        return err_set(err, RC_NO_MEMORY, "chunk before its descriptor");
    memcpy(data, c->data.p, c->data.n);
    struct early *e = &r->early[r->n_early++];

    *e = (struct early){ .chunk = *c, .data = data };
    e->chunk.data.p = data;
    memcpy(e->tenant, tenant, strnlen(tenant, NAME_MAX_LEN));
    r->early_bytes += c->data.n;
    r->version++;
    r->was_new = true;
    return RC_OK;
}

static enum rc take_chunk(struct receiver *r, const char *tenant, const struct transfer_chunk *c,
                          uint64_t now_ms, struct err *err)
{
    struct partial *p = find_partial(r, c->object);

    if (p != NULL) {
        enum rc rc = check_part(p, tenant, err);

        return rc == RC_OK ? refused(r, p->d.owner, store_chunk(r, p, c, now_ms, err)) : rc;
    }
    /* Without a serial nothing is opened anew. */
    if (find_ready(r, c->object) < r->n_ready || done_find(&r->done, c->object) < r->done.n)
        return RC_OK;
    return hold_early(r, tenant, c, err);
}

/* A repair of an object under way.  One that comes before its descriptor is not held: there is no
 * telling what it is good for, and on a link that loses much the ground sends others. */
static enum rc take_repair(struct receiver *r, const char *tenant,
                           const struct transfer_repair *repair, uint64_t now_ms, struct err *err)
{
    struct partial *p = find_partial(r, repair->object);
    bool is_new = false;

    if (p == NULL)
        return RC_OK;
    struct quota_item items[ITEMS_MAX], want = item_of(&p->d, false);
    size_t n = 0;
    enum rc rc = check_part(p, tenant, err);
    if (rc == RC_OK)
        rc = check_disk(r, p->d.kind, err);
    want.bytes = partial_bytes(p, REPAIRS_HEAD + p->d.chunk_size);
    if (rc == RC_OK && lacks(r, &want, items, &n) == QUOTA_BYTES)
        rc = err_set(err, RC_SPOOL_FULL, "repair of an object");
    if (rc == RC_OK)
        rc = partial_repair(p, r->partial_dir, repair, &is_new, err);
    if (is_new || rc == RC_CHUNK_DIGEST)
        r->version++;
    if (rc != RC_OK || !is_new)
        return refused(r, p->d.owner, rc);
    r->was_new = true;
    p->moved_ms = now_ms;
    p->found = false;
    return RC_OK;
}

static void add_ready(struct receiver *r, const struct transfer_descriptor *d)
{
    struct ready *ready = &r->ready[r->n_ready++];

    assert(r->n_ready <= RECEIVER_READY_MAX);
    *ready = (struct ready){ .object = { .kind = d->kind, .size = d->size }, .serial = d->serial };
    memcpy(ready->object.digest, d->object, DIGEST_SIZE);
    memcpy(ready->owner, d->owner, sizeof ready->owner);
    drop_seed(r, find_seed(r, d->object));
    r->version++;
}

/* Whose mail it is, which it says itself; without a head that can be read, nobody's: what becomes
 * of that is not the link's to say. */
static void name_owner(struct bytes head, uint64_t size, char ret[NAME_CAP])
{
    struct mail mail;
    struct err ignored;

    if (mail_head_decode(head, size, &mail, &ignored) == RC_OK)
        memcpy(ret, mail.tenant, NAME_CAP);
}

/* An object that came whole. */
static enum rc take_inline(struct receiver *r, const char *tenant, const struct transfer_inline *w,
                           uint64_t now_ms, struct err *err)
{
    struct transfer_descriptor d = { .kind = w->kind, .size = w->data.n, .serial = w->serial };
    const size_t head = w->data.n < MAIL_HEAD_MAX ? w->data.n : MAIL_HEAD_MAX;
    char name[PARTIAL_NAME_CAP];

    memcpy(d.owner, w->owner, sizeof d.owner);
    if (w->kind == OBJECT_MAIL)
        name_owner((struct bytes){ w->data.p, head }, w->data.n, d.owner);
    enum rc rc = settle_owner(tenant, d.kind, d.owner, err);
    if (rc == RC_OK)
        rc = sha256_of(w->data, d.object, err);
    if (rc != RC_OK || is_known(r, d.object, d.kind, d.serial))
        return rc;
    rc = check_disk(r, d.kind, err);
    if (rc == RC_OK)
        rc = make_room(r, &d, true, now_ms, err);
    if (rc != RC_OK)
        return refused(r, d.owner, rc);
    struct partial *p = find_partial(r, d.object);
    if (p != NULL)
        drop_partial(r, p, true);
    struct ready ready = { .object = { .kind = w->kind }, .serial = w->serial };

    memcpy(ready.object.digest, d.object, DIGEST_SIZE);
    memcpy(ready.owner, d.owner, sizeof ready.owner);
    rc = fs_write_file(r->ready_dir, ready_name(&ready, name), w->data, 0600, err);
    if (rc != RC_OK)
        return rc;
    add_ready(r, &d);
    r->was_new = true;
    return RC_OK;
}

enum rc receiver_take(struct receiver *r, const char *tenant, struct bytes message, uint64_t now_ms,
                      struct err *err)
{
    struct transfer_message msg = { 0 };
    enum rc rc = transfer_decode(message, &msg, err);

    r->was_new = false;
    if (rc != RC_OK)
        return rc;
    if (msg.type == TRANSFER_CHUNK)
        return take_chunk(r, tenant, &msg.chunk, now_ms, err);
    if (msg.type == TRANSFER_REPAIR)
        return take_repair(r, tenant, &msg.repair, now_ms, err);
    enum object_kind kind = msg.type == TRANSFER_INLINE ? msg.whole.kind : msg.descriptor.kind;
    if (kind == OBJECT_REPORT)
        return err_set(err, RC_OBJECT_KIND, "a report on the uplink");
    if (msg.type == TRANSFER_INLINE)
        return take_inline(r, tenant, &msg.whole, now_ms, err);
    /* Or a few large "documents" would use up what packages leave to documents. */
    if (kind == OBJECT_MAIL ? msg.descriptor.size > MAIL_OBJECT_MAX
                            : kind != OBJECT_PACKAGE && msg.descriptor.size > DOCUMENT_MAX)
        return err_set(err, RC_TOO_LARGE, "document or message of %" PRIu64 " bytes",
                       msg.descriptor.size);
    rc = settle_owner(tenant, kind, msg.descriptor.owner, err);
    return rc == RC_OK ? take_descriptor(r, tenant, &msg.descriptor, now_ms, err) : rc;
}

/* ---- completion -------------------------------------------------------------------------------
 */

/* An object that has its name in ready/ already: make sure of it. */
static enum rc sync_ready(const struct receiver *r, const char *name, struct err *err)
{
    struct stat st;

    if (fstatat(r->ready_dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(err, RC_IO, "%s", name);
    return fs_sync(r->ready_dir, "ready", err);
}

/* Whether a message is the tenant's that it was announced for. */
static enum rc check_owner(const struct partial *p, struct err *err)
{
    struct mail head;
    struct err ignored;

    if (p->d.kind != OBJECT_MAIL || p->d.owner[0] == '\0' ||
        mail_head_read(p->fd, p->d.size, &head, &ignored) != RC_OK ||
        strcmp(head.tenant, p->d.owner) == 0)
        return RC_OK;
    return err_set(err, RC_OBJECT_OWNER, "message of %s, said to be of %s", head.tenant,
                   p->d.owner);
}

/* All chunks are there: check the whole and move it to ready/. */
static enum rc complete(struct receiver *r, struct partial *p, struct err *err)
{
    char from[PARTIAL_NAME_CAP], to[PARTIAL_NAME_CAP];
    struct err ignored;
    enum rc rc = partial_check_whole(p->fd, p->d.size, p->d.object, err);

    if (rc == RC_OBJECT_DIGEST) {
        /* Either the file has changed under us, then some chunks go missing again; or the
         * descriptor never described the object, then there is nothing to wait for. */
        if (partial_rehash(p, r->partial_dir, &ignored) == RC_OK && p->n_have == p->d.chunks)
            drop_partial(r, p, true);
        r->version++;
        return rc;
    }
    if (rc == RC_OK)
        rc = check_owner(p, err);
    if (rc == RC_OBJECT_OWNER)
        drop_partial(r, p, true);
    if (rc != RC_OK)
        return rc;
    struct ready ready = { .object = { .kind = p->d.kind }, .serial = p->d.serial };

    memcpy(ready.object.digest, p->d.object, DIGEST_SIZE);
    memcpy(ready.owner, p->d.owner, sizeof ready.owner);
    rc = fs_rename(r->partial_dir, partial_name(p->d.object, "part", from), r->ready_dir,
                   ready_name(&ready, to), false, err);
    if (rc == RC_NOT_FOUND) /* done the last time, when it could not be synced */
        rc = sync_ready(r, to, err);
    if (rc != RC_OK)
        return rc;
    add_ready(r, &p->d);
    drop_partial(r, p, true);
    return RC_OK;
}

/* Bring what was written to the disk.  When that fails for the second time in a row the object
 * goes: the ground sends it again, perhaps to a better place. */
static enum rc sync_partial(struct receiver *r, struct partial *p, struct err *err)
{
    struct err other;

    if (fdatasync(p->fd) == 0) {
        p->dirty = p->failed = false;
        partial_settled(p);
        return RC_OK;
    }
    enum rc rc = err_sys(err, RC_IO, "sync of an object");

    if (p->failed || partial_rewrite(p, &other) != RC_OK) {
        drop_partial(r, p, true);
        return rc;
    }
    p->failed = true;
    r->version++;
    return rc;
}

enum rc receiver_commit(struct receiver *r, struct err *err)
{
    enum rc first = RC_OK;
    struct err other;

    for (size_t i = 0; i < RECEIVER_OBJECTS_MAX; i++) {
        struct partial *p = &r->partial[i];
        struct err *at = first == RC_OK ? err : &other;
        enum rc rc = RC_OK;

        if (!p->used)
            continue;
        rc = repairs_sync(&p->repairs, at);
        r->version += rc != RC_OK;
        first = first == RC_OK ? rc : first;
        at = first == RC_OK ? err : &other;
        rc = p->dirty ? sync_partial(r, p, at) : RC_OK;
        if (rc == RC_OK && p->n_have == p->d.chunks)
            rc = complete(r, p, at);
        first = first == RC_OK ? rc : first;
    }
    return first;
}

/* ---- start ------------------------------------------------------------------------------------
 */

/* Load one .desc with its .part; RC_NOT_FOUND etc. mean that both should go. */
static enum rc load_partial(struct receiver *r, const uint8_t object[DIGEST_SIZE], const char *name,
                            uint64_t now_ms, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = NULL;
    size_t n = 0;
    struct transfer_message msg = { 0 };
    enum rc rc = fs_read_alloc(r->partial_dir, name, TRANSFER_MESSAGE_MAX, &buf, &n, err);

    if (rc == RC_OK)
        rc = transfer_decode((struct bytes){ buf, n }, &msg, err);
    if (rc != RC_OK)
        return rc;
    const struct transfer_descriptor *d = &msg.descriptor;
    if (msg.type != TRANSFER_DESCRIPTOR || memcmp(d->object, object, DIGEST_SIZE) != 0 ||
        d->kind == OBJECT_REPORT)
        return err_set(err, RC_TRANSFER_FORMAT, "%s", name);
    if (is_known(r, d->object, d->kind, d->serial))
        return err_set(err, RC_EXISTS, "%s", name);
    const struct quota_item want = item_of(d, false);
    struct quota_item items[ITEMS_MAX];
    size_t n_items = 0;

    if (lacks(r, &want, items, &n_items) != QUOTA_FITS)
        return err_set(err, RC_SPOOL_FULL, "%s", name);
    struct partial *p = free_partial(r);

    rc = partial_open(p, r->partial_dir, d, 0, err);
    if (rc != RC_OK)
        return rc;
    p->moved_ms = now_ms;
    p->found = true;
    p->dirty = true; /* what is read may not be on disk yet */
    return partial_rehash(p, r->partial_dir, err);
}

struct loader {
    struct receiver *r;
    uint64_t now_ms;
};

static bool load_partial_name(void *arg, const char *name)
{
    struct loader *l = arg;
    uint8_t object[DIGEST_SIZE];
    const char *suffix = "";
    struct err err = { 0 };

    if (partial_parse_name(name, object, &suffix) && strcmp(suffix, "desc") == 0 &&
        load_partial(l->r, object, name, l->now_ms, &err) != RC_OK) {
        if (err.rc != RC_EXISTS)
            l->r->note = err;
        (void)unlinkat(l->r->partial_dir, name, 0);
    }
    return true;
}

/* Second look: remove what belongs to no object under way. */
static bool sweep_partial_name(void *arg, const char *name)
{
    struct loader *l = arg;
    uint8_t object[DIGEST_SIZE];
    const char *suffix = "";

    if (!partial_parse_name(name, object, &suffix) || find_partial(l->r, object) == NULL ||
        (strcmp(suffix, "desc") != 0 && strcmp(suffix, "part") != 0 && strcmp(suffix, "fec") != 0))
        (void)unlinkat(l->r->partial_dir, name, 0);
    return true;
}

/* Load one complete object, or say why it cannot stay. */
static enum rc load_ready(struct receiver *r, const char *name, struct err *err)
{
    struct ready ready = { 0 };
    const char *suffix = "";
    char again[PARTIAL_NAME_CAP];
    scoped(close_fd) int fd = -1;

    if (!partial_parse_name(name, ready.object.digest, &suffix))
        return err_set(err, RC_NAME, "%s", name);
    char *dot = NULL;
    unsigned long kind = strtoul(suffix, &dot, 10);

    if (kind < OBJECT_ROOT || kind > OBJECT_KIND_MAX || kind == OBJECT_REPORT || *dot != '.')
        return err_set(err, RC_NAME, "%s", name);
    ready.object.kind = (uint32_t)kind;
    ready.serial = strtoull(dot + 1, &dot, 16);
    if (*dot == '.' && name_valid(dot + 1))
        memcpy(ready.owner, dot + 1, strlen(dot + 1));
    if (strcmp(ready_name(&ready, again), name) != 0)
        return err_set(err, RC_NAME, "%s", name);
    if (r->n_ready == RECEIVER_READY_MAX)
        return err_set(err, RC_SPOOL_FULL, "%s", name);
    size_t done = done_find(&r->done, ready.object.digest);
    if (done < r->done.n && r->done.item[done].kind == ready.object.kind &&
        ready.serial <= r->done.item[done].serial)
        return err_set(err, RC_EXISTS, "%s", name); /* cut off between remembering and removing */
    enum rc rc = fs_open_plain(r->ready_dir, name, OBJECT_MAX, &fd, &ready.object.size, err);
    if (rc == RC_OK)
        rc = partial_check_whole(fd, ready.object.size, ready.object.digest, err);
    if (rc == RC_OK && find_ready(r, ready.object.digest) < r->n_ready)
        rc = err_set(err, RC_EXISTS, "%s", name);
    if (rc == RC_OK)
        r->ready[r->n_ready++] = ready;
    return rc;
}

static bool load_ready_name(void *arg, const char *name)
{
    struct loader *l = arg;
    struct err err = { 0 };

    if (load_ready(l->r, name, &err) == RC_OK)
        return true;
    if (err.rc != RC_EXISTS && name[0] != '.')
        l->r->note = err;
    (void)unlinkat(l->r->ready_dir, name, 0);
    return true;
}

/* Whether it could be read to its end.  What lies behind a bad block is passed over: the ground
 * sends it again, or a later start finds it. */
static bool list_part(struct receiver *r, int dirfd, bool (*fn)(void *arg, const char *name),
                      struct loader *l)
{
    struct err ignored = { 0 };

    if (fs_list(dirfd, ".", FILES_MAX, fn, l, NULL, &ignored) == RC_OK)
        return true;
    err_set(&r->note, RC_STATE_DIR, "%s", dirfd == r->ready_dir ? READY : PARTIAL);
    return false;
}

static void load(struct receiver *r, uint64_t now_ms)
{
    struct loader l = { .r = r, .now_ms = now_ms };
    struct err ignored = { 0 };

    if (fs_sweep(r->spool, ".", &ignored) != RC_OK) /* of the list of done objects */
        r->note = ignored;
    if (done_load(&r->done, r->spool, &ignored) != RC_OK)
        r->note = ignored;
    (void)list_part(r, r->ready_dir, load_ready_name, &l);
    r->loading = true;
    bool all = list_part(r, r->partial_dir, load_partial_name, &l);
    r->loading = false;
    /* Else what belongs to an object that was not seen would go. */
    if (all)
        (void)list_part(r, r->partial_dir, sweep_partial_name, &l);
}

static bool any_name(void *arg, const char *name)
{
    (void)arg;
    (void)name;
    return false;
}

/* Open a directory of the spool in which something can be read, if there is anything. */
static enum rc try_part(const struct receiver *r, const char *name, int *ret_fd)
{
    scoped(close_fd) int fd = -1;
    struct err ignored = { 0 };
    enum rc rc = fs_open_dir(r->spool, name, 0700, &fd, &ignored);

    if (rc == RC_OK)
        rc = fs_list(fd, ".", 1, any_name, NULL, NULL, &ignored);
    if (rc == RC_OK)
        *ret_fd = take_fd(&fd);
    return rc;
}

/* Where that fails twice (once may pass) NAME.spare stands in for it, and it is left as it is: a
 * later start at which the fault has passed finds all that it held, and removes the stand-in. */
static enum rc open_part(struct receiver *r, const char *name, int *ret_fd, struct err *err)
{
    struct err ignored = { 0 };
    char spare[32];
    enum rc rc = try_part(r, name, ret_fd);

    (void)snprintf(spare, sizeof spare, "%s.spare", name);
    if (rc != RC_OK)
        rc = try_part(r, name, ret_fd);
    if (rc == RC_OK) {
        (void)!fs_remove_tree(r->spool, spare, &ignored);
        return RC_OK;
    }
    err_set(&r->note, RC_STATE_DIR, "%s", name);
    return fs_open_dir(r->spool, spare, 0700, ret_fd, err);
}

enum rc receiver_open(int spool_dirfd, const struct receiver_options *options, uint64_t now_ms,
                      struct receiver **ret, struct err *err)
{
    scoped(receiver_close) struct receiver *r = calloc(1, sizeof *r);

    if (r == NULL)
        return err_set(err, RC_NO_MEMORY, "receiver");
    r->spool = r->partial_dir = r->ready_dir = -1;
    for (size_t i = 0; i < RECEIVER_OBJECTS_MAX; i++)
        r->partial[i].fd = r->partial[i].repairs.fd = -1;
    r->quota = options->quota == 0 ? QUOTA_DEFAULT : options->quota;
    r->stale_ms = options->stale_ms == 0 ? STALE_DEFAULT_MS : options->stale_ms;
    r->version = 1;
    r->spool = fcntl(spool_dirfd, F_DUPFD_CLOEXEC, 3);
    if (r->spool < 0)
        return err_sys(err, RC_IO, "spool directory");
    enum rc rc = open_part(r, PARTIAL, &r->partial_dir, err);
    if (rc == RC_OK)
        rc = open_part(r, READY, &r->ready_dir, err);
    if (rc != RC_OK)
        return rc;
    load(r, now_ms);
    *ret = r;
    r = NULL;
    return RC_OK;
}

void receiver_close(struct receiver **receiver)
{
    struct receiver *r = *receiver;

    if (r == NULL)
        return;
    for (size_t i = 0; i < RECEIVER_OBJECTS_MAX; i++)
        drop_partial(r, &r->partial[i], false);
    while (r->n_early > 0)
        drop_early(r, r->n_early - 1);
    while (r->n_seeds > 0)
        drop_seed(r, r->n_seeds - 1);
    close_fd(&r->ready_dir);
    close_fd(&r->partial_dir);
    close_fd(&r->spool);
    free(r);
    *receiver = NULL;
}

/* ---- reading it all again ---------------------------------------------------------------------
 */

/* The chunks of an object under way. */
static enum rc scrub_part(struct receiver *r, struct partial *p, struct scrubbed *count,
                          struct err *err)
{
    const uint32_t before = p->n_have;
    enum rc rc = partial_rehash(p, r->partial_dir, err);

    count->files++;
    count->bytes += (uint64_t)p->n_have * p->d.chunk_size;
    if (rc != RC_OK || p->n_have >= before)
        return rc;
    count->damaged++;
    count->repaired++; /* missing again, and asked for */
    r->version++;
    return RC_OK;
}

static enum rc scrub_desc(struct receiver *r, const struct partial *p, struct scrubbed *count,
                          struct err *err)
{
    const struct transfer_message msg = { .type = TRANSFER_DESCRIPTOR, .descriptor = p->d };
    scoped(free_ptr) uint8_t *buf = malloc(TRANSFER_MESSAGE_MAX);
    scoped(free_ptr) uint8_t *found = NULL;
    char name[PARTIAL_NAME_CAP];
    struct bytes want = { 0 };
    struct err why;
    size_t n = 0;

    if (buf == NULL)
        return err_set(err, RC_NO_MEMORY, "descriptor");
    enum rc rc = transfer_encode(&msg, buf, TRANSFER_MESSAGE_MAX, &want, err);
    if (rc != RC_OK)
        return rc;
    partial_name(p->d.object, "desc", name);
    count->files++;
    count->bytes += want.n;
    if (fs_read_alloc(r->partial_dir, name, TRANSFER_MESSAGE_MAX, &found, &n, &why) == RC_OK &&
        bytes_equal(want, (struct bytes){ found, n }))
        return RC_OK;
    count->damaged++;
    rc = write_descriptor(r, p, err);
    count->repaired += rc == RC_OK;
    return rc;
}

/* The i-th complete object; false: it was damaged and is gone. */
static bool scrub_ready(struct receiver *r, size_t i, struct scrubbed *count)
{
    const struct ready ready = r->ready[i];
    scoped(close_fd) int fd = -1;
    struct err err = { 0 };
    enum rc rc = receiver_open_object(r, ready.object.digest, &fd, &err);

    if (rc == RC_OK)
        rc = partial_check_whole(fd, ready.object.size, ready.object.digest, &err);
    count->files++;
    count->bytes += ready.object.size;
    if (rc != RC_OBJECT_DIGEST && rc != RC_SHORT && rc != RC_NOT_FOUND)
        return true;
    count->damaged++;
    count->repaired++; /* the ground sees that it is not here, and sends it again */
    r->note = err;
    drop_ready(r, i);
    return false;
}

enum rc receiver_scrub(struct receiver *r, struct scrubbed *count, struct err *err)
{
    enum rc rc = done_scrub(&r->done, r->spool, count, err);

    for (size_t i = 0; rc == RC_OK && i < RECEIVER_OBJECTS_MAX; i++) {
        struct partial *p = &r->partial[i];

        if (!p->used)
            continue;
        rc = scrub_part(r, p, count, err);
        if (rc == RC_OK)
            rc = scrub_desc(r, p, count, err);
    }
    for (size_t i = 0; rc == RC_OK && i < r->n_ready;)
        i += scrub_ready(r, i, count) ? 1 : 0;
    return rc;
}

/* ---- what the rest of the process asks --------------------------------------------------------
 */

bool receiver_ready(const struct receiver *r, size_t i, struct port_object *ret)
{
    if (i >= r->n_ready)
        return false;
    *ret = r->ready[i].object;
    return true;
}

enum rc receiver_open_object(struct receiver *r, const uint8_t digest[DIGEST_SIZE], int *ret_fd,
                             struct err *err)
{
    size_t i = find_ready(r, digest);
    char name[PARTIAL_NAME_CAP];

    if (i == r->n_ready)
        return err_set(err, RC_NOT_FOUND, "ready object");
    return fs_open(r->ready_dir, ready_name(&r->ready[i], name), O_RDONLY, 0, ret_fd, err);
}

enum rc receiver_done(struct receiver *r, const uint8_t digest[DIGEST_SIZE], struct err *err)
{
    size_t i = find_ready(r, digest);
    char name[PARTIAL_NAME_CAP];

    if (i == r->n_ready)
        return err_set(err, RC_NOT_FOUND, "ready object");
    ready_name(&r->ready[i], name);
    done_add(&r->done, digest, r->ready[i].object.kind, r->ready[i].serial);
    r->n_ready--;
    memmove(&r->ready[i], &r->ready[i + 1], (r->n_ready - i) * sizeof r->ready[0]);
    r->version++;
    /* What cannot be remembered goes all the same: a late duplicate may cost work then, but a full
     * disk that keeps its objects stays full. */
    enum rc saved = done_save(&r->done, r->spool, err);
    enum rc removed = fs_unlink(r->ready_dir, name, saved == RC_OK ? err : NULL);
    return saved == RC_OK ? removed : saved;
}

bool receiver_note(struct receiver *r, struct err *ret)
{
    if (r->note.rc == RC_OK)
        return false;
    *ret = r->note;
    r->note = (struct err){ 0 };
    return true;
}

/* Objects of which only chunks have come. */
static void status_of_early(const struct receiver *r, struct port_transfers *ret)
{
    for (size_t i = 0; i < r->n_early && ret->n_transfers < PORT_TRANSFERS_MAX; i++) {
        bool listed = false;

        for (uint32_t k = 0; k < ret->n_transfers; k++)
            listed |= memcmp(ret->transfer[k].object, r->early[i].chunk.object, DIGEST_SIZE) == 0;
        if (!listed)
            memcpy(ret->transfer[ret->n_transfers++].object, r->early[i].chunk.object, DIGEST_SIZE);
    }
}

void receiver_status(const struct receiver *r, struct port_transfers *ret)
{
    struct quota_item items[ITEMS_MAX];

    *ret = (struct port_transfers){ .spool = r->lost };
    quota_fill(&ret->spool, items, list_items(r, NULL, items));
    for (size_t i = 0; i < RECEIVER_OBJECTS_MAX; i++) {
        if (r->partial[i].used)
            partial_status(&r->partial[i], &ret->transfer[ret->n_transfers++]);
    }
    status_of_early(r, ret);

    size_t room = PORT_COMPLETE_MAX - r->n_ready;
    size_t skip = r->done.n > room ? r->done.n - room : 0;

    for (size_t i = skip; i < r->done.n; i++)
        memcpy(ret->complete[ret->n_complete++], r->done.item[i].digest, DIGEST_SIZE);
    for (size_t i = 0; i < r->n_ready; i++)
        memcpy(ret->complete[ret->n_complete++], r->ready[i].object.digest, DIGEST_SIZE);
}

bool receiver_was_new(const struct receiver *r)
{
    return r->was_new;
}

uint64_t receiver_version(const struct receiver *r)
{
    return r->version;
}
