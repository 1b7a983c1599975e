/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/room.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#include "agent/data.h"
#include "agent/install.h"
#include "agent/kept.h"
#include "agent/lists.h"
#include "agent/measure.h"
#include "agent/own.h"
#include "agent/snapshot.h"
#include "agent/space.h"
#include "base/log.h"
#include "base/name.h"

#define FILE_OVERHEAD 4352ULL /* a last block, and its entry in the index */
#define SLOT_OVERHEAD 65536U

uint64_t room_files_max(uint64_t store_bytes)
{
    return ROOM_FILES_MIN + store_bytes / ROOM_FILE_BYTES;
}

struct room_need room_of_version(const struct manifest *m)
{
    return (struct room_need){
        .bytes = m->unpacked_bytes + FILE_OVERHEAD * m->files + SLOT_OVERHEAD,
        .files = (uint64_t)m->files + MEASURE_SLOT_FILES,
    };
}

/* ---- what there is ------------------------------------------------------------------------------
 */

/* What may go of a tenant, or of all, and the good versions: what is overtaken is judged by them.
 * However many slots there are, what can be reached is a few of each payload, and the others are
 * here, as many as find room: when those have gone there is room for more. */
struct things {
    struct agent *a;
    const char *tenant; /* NULL = of all */
    bool sized;         /* with bytes and files: every file is looked at for that */
    bool more;          /* there are some for which there was no room here */
    uint32_t n;
    struct space_thing thing[SPACE_THINGS_MAX];
};

static_assert(SPACE_THINGS_MAX >= 2 * UNITS_MAX + 2, "behind the good versions there is room");

static bool same_slot(const struct slot_id *a, const struct slot_id *b)
{
    return strcmp(a->tenant, b->tenant) == 0 && strcmp(a->payload, b->payload) == 0 &&
           digest_same(&a->manifest, &b->manifest);
}

/* What is being read, or what the boot record names. */
static bool is_pinned(const struct agent *a, const struct slot_id *id)
{
    for (uint32_t i = 0; i < INSTALL_JOBS_MAX; i++)
        if (a->install[i].busy && a->install[i].delta && same_slot(&a->install[i].origin, id))
            return true;
    return own_needs(a, id);
}

/* The package kept for a slot; false: there is none. */
static bool kept_thing(struct agent *a, const struct space_thing *slot, struct space_thing *ret)
{
    struct space_thing t = { .package = true, .id = slot->id, .release = slot->release };
    struct digest object;
    struct err ignored;

    memcpy(t.team, slot->team, sizeof t.team);
    if (kept_of(a, &t.id, &object, &ignored) != RC_OK ||
        objects_size(&a->objects, &object, &t.bytes, &ignored) != RC_OK)
        return false;
    /* A slot is about to be repaired from it.  A delta reads the slot that it starts from, and not
     * that slot's package. */
    t.pinned = own_needs(a, &t.id) || queue_find(&a->queue, &object) || install_runs(a, &object);
    *ret = t;
    return true;
}

static struct space_thing slot_thing(const struct agent *a, const struct slot_id *id, bool sized)
{
    struct space_thing t = { .id = *id, .pinned = is_pinned(a, id) };

    measure_slot(a, &t, sized);
    return t;
}

static struct space_view view_of(const struct things *s)
{
    const struct agent *a = s->a;

    return (struct space_view){
        .table = &a->table,
        .order = a->ordered ? &a->order : NULL,
        .staged = a->staged.generation > 0 ? &a->staged.order : NULL,
        .thing = s->thing,
        .n = s->n,
    };
}

/* Keep it only if it may go. */
static void add_thing(struct things *s, const struct space_thing *t)
{
    s->thing[s->n++] = *t;
    const struct space_view view = view_of(s);

    if (space_rank_of(&view, s->n - 1) == SPACE_REACHABLE)
        s->n--;
}

static bool good_of(const struct unit *u, struct slot_id *ret)
{
    *ret = (struct slot_id){ .manifest = u->kept.good };
    memcpy(ret->tenant, u->kept.tenant, sizeof ret->tenant);
    memcpy(ret->payload, u->kept.name, sizeof ret->payload);
    return !digest_is_none(&u->kept.good);
}

static bool is_good(const struct agent *a, const struct slot_id *id)
{
    struct slot_id good;

    for (uint32_t i = 0; i < a->table.n_units; i++)
        if (good_of(&a->table.unit[i], &good) && same_slot(&good, id))
            return true;
    return false;
}

static void add_good(struct things *s)
{
    for (uint32_t i = 0; i < s->a->table.n_units; i++) {
        struct space_thing kept;
        struct slot_id id;

        if (!good_of(&s->a->table.unit[i], &id) ||
            (s->tenant && strcmp(s->tenant, id.tenant) != 0) || !slot_exists(&s->a->slots, &id))
            continue;
        s->thing[s->n++] = slot_thing(s->a, &id, s->sized);
        if (kept_thing(s->a, &s->thing[s->n - 1], &kept))
            add_thing(s, &kept);
    }
}

static bool add_slot(void *arg, const struct slot_id *id)
{
    struct things *s = arg;
    struct space_thing kept;

    if ((s->tenant && strcmp(s->tenant, id->tenant) != 0) || is_good(s->a, id))
        return true;
    s->more = s->n + 2 > SPACE_THINGS_MAX;
    if (s->more)
        return false;
    const struct space_thing t = slot_thing(s->a, id, s->sized);

    add_thing(s, &t);
    if (kept_thing(s->a, &t, &kept))
        add_thing(s, &kept);
    return true;
}

/* The caller frees *ret. */
static enum rc gather(struct agent *a, const char *tenant, bool sized, struct things **ret,
                      struct err *err)
{
    struct things *s = calloc(1, sizeof *s);

    if (!s)
        return err_set(err, RC_NO_MEMORY, "slots");
    s->a = a;
    s->tenant = tenant;
    s->sized = sized;
    add_good(s);
    enum rc rc = list_slots(a, add_slot, s, err);
    if (rc != RC_OK) {
        free(s);
        return rc;
    }
    *ret = s;
    return RC_OK;
}

bool room_is_of_team(struct agent *a, const struct slot_id *id, const char *team)
{
    struct space_thing t = { .id = *id };

    if (team[0] == '\0')
        return true;
    measure_slot(a, &t, false);
    return t.team[0] != '\0' && team_within(team, t.team);
}

/* What the snapshots of a tenant's data take, or of one of its teams', the one under way too. */
static uint64_t snapshots_of(struct agent *a, const struct authority *who)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < a->table.n_units; i++) {
        const struct unit *u = &a->table.unit[i];
        bool copying = u->run.phase == RUN_COPYING;
        struct slot_id id = { .manifest = copying ? u->run.manifest : u->kept.snapshot };

        if (strcmp(u->kept.tenant, who->tenant) != 0)
            continue;
        memcpy(id.tenant, u->kept.tenant, sizeof id.tenant);
        memcpy(id.payload, u->kept.name, sizeof id.payload);
        uint64_t bytes = copying ? snapshot_need(a->data_dir, id.tenant, id.payload)
                                 : snapshot_bytes(a->data_dir, id.tenant, id.payload);
        if (bytes > 0 && room_is_of_team(a, &id, who->team))
            sum += bytes;
    }
    return sum;
}

static bool is_of(const struct authority *who, const char *tenant, const char *team)
{
    return strcmp(who->tenant, tenant) == 0 && team_within(who->team, team);
}

/* The walk that adds up what somebody's slots take, however many there are. */
struct adding {
    struct agent *a;
    const struct authority *who;
    struct room_account *sum;
};

static bool add_up(void *arg, const struct slot_id *id)
{
    const struct adding *s = arg;
    uint64_t kept = 0;
    struct err ignored;

    if (strcmp(id->tenant, s->who->tenant) != 0)
        return true;
    const struct measured m = measure_account(s->a, id);

    if (!is_of(s->who, id->tenant, m.team))
        return true;
    s->sum->slots += m.bytes;
    s->sum->slot_files += m.files;
    if (m.noted && objects_size(&s->a->objects, &m.object, &kept, &ignored) == RC_OK) {
        s->sum->kept += kept;
        s->sum->kept_files++;
    }
    return true;
}

enum rc room_account(struct agent *a, const struct authority *who, struct room_account *ret,
                     struct err *err)
{
    struct room_account sum = { .snapshots = snapshots_of(a, who) };
    struct adding adding = { .a = a, .who = who, .sum = &sum };
    enum rc rc = list_slots(a, add_up, &adding, err);

    if (rc != RC_OK)
        return rc;
    for (uint32_t i = 0; i < INSTALL_JOBS_MAX; i++) {
        const struct install *job = &a->install[i];

        if (!job->busy || !is_of(who, job->stage.id.tenant, job->team))
            continue;
        sum.staging += job->need.bytes;
        sum.staging_files += job->need.files;
    }
    *ret = sum;
    return RC_OK;
}

/* ---- making room --------------------------------------------------------------------------------
 */

/* 1 if it is gone. */
static uint32_t remove_thing(struct agent *a, const struct space_thing *t)
{
    struct err err = { 0 };

    kept_drop(a, &t->id); /* with its slot, or alone */
    if (t->package)
        return 1;
    if (slot_remove(&a->slots, &t->id, &err) != RC_OK) {
        log_err(LOG_LEVEL_WARN, &err, "remove payload=%s/%s", t->id.tenant, t->id.payload);
        return 0;
    }
    log_event(LOG_LEVEL_INFO, "removed payload=%s/%s", t->id.tenant, t->id.payload);
    return 1;
}

/* What space_choose says; the caller frees *ret.  Without trust or state nobody knows what will be
 * needed. */
static bool choose(struct agent *a, const struct space_need *need, struct things **ret,
                   uint32_t chosen[SPACE_THINGS_MAX], uint32_t *ret_n)
{
    const bool sized = need->bytes > 0 || need->files > 0;
    struct err err = { 0 };

    if (!a->trust || a->damaged)
        return false;
    if (gather(a, need->others ? NULL : need->tenant, sized, ret, &err) != RC_OK) {
        log_err(LOG_LEVEL_WARN, &err, "collect");
        return false;
    }
    const struct space_view view = view_of(*ret);
    struct space_need all = *need;

    all.partial |= (*ret)->more;
    return space_choose(&view, &all, chosen, ret_n) || (*ret)->more;
}

/* Whether what may go is enough. */
static bool could_collect(struct agent *a, const struct space_need *need)
{
    scoped(free_ptr) struct things *s = NULL;
    uint32_t chosen[SPACE_THINGS_MAX];
    uint32_t n = 0;

    return choose(a, need, &s, chosen, &n);
}

/* Remove it; *ret_removed says how much, NULL = nobody asks.  True: there was more than could be
 * looked at, and with what has gone there is room for that. */
static bool collect(struct agent *a, const struct space_need *need, uint32_t *ret_removed)
{
    scoped(free_ptr) struct things *s = NULL;
    uint32_t chosen[SPACE_THINGS_MAX];
    uint32_t n = 0, removed = 0;

    (void)choose(a, need, &s, chosen, &n);
    for (uint32_t i = 0; i < n; i++)
        removed += remove_thing(a, &s->thing[chosen[i]]);
    if (ret_removed)
        *ret_removed = removed;
    return s && s->more && removed > 0;
}

/* Whether anything has gone. */
static bool collect_garbage(struct agent *a)
{
    const struct space_need garbage = { .up_to = SPACE_GARBAGE };
    bool any = false, again = true;

    while (again) {
        uint32_t removed = 0;

        again = collect(a, &garbage, &removed);
        any |= removed > 0;
    }
    return any;
}

void room_collect(struct agent *a)
{
    (void)collect_garbage(a);
}

/* ---- quota --------------------------------------------------------------------------------------
 */

static uint64_t over(uint64_t used, uint64_t need, uint64_t max)
{
    return used + need > max ? used + need - max : 0;
}

/* How much too much it would be; both 0: it fits. */
static enum rc excess(struct agent *a, const struct authority *who, const struct room_need *need,
                      struct room_need *ret, struct err *err)
{
    struct room_account sum = { 0 };
    enum rc rc = room_account(a, who, &sum, err);

    if (rc != RC_OK)
        return rc;
    const uint64_t used = sum.slots + sum.staging + sum.kept + sum.snapshots;
    const uint64_t files = sum.slot_files + sum.staging_files;

    *ret =
        (struct room_need){ .bytes = over(used, need->bytes, who->store_bytes),
                            .files = over(files, need->files, room_files_max(who->store_bytes)) };
    if (ret->bytes > 0 || ret->files > 0)
        log_event(LOG_LEVEL_INFO,
                  "quota tenant=%s team=%s store=%llu slots=%llu staging=%llu "
                  "kept=%llu snapshots=%llu need=%llu files=%llu+%llu",
                  who->tenant, who->team, (unsigned long long)who->store_bytes,
                  (unsigned long long)sum.slots, (unsigned long long)sum.staging,
                  (unsigned long long)sum.kept, (unsigned long long)sum.snapshots,
                  (unsigned long long)need->bytes, (unsigned long long)files,
                  (unsigned long long)need->files);
    return RC_OK;
}

/* Its own, to the last: a tenant that has no room for a version but that of its kept packages gives
 * those up for it. */
static struct space_need need_of(const struct authority *who, const struct room_need *much)
{
    return (struct space_need){ .tenant = who->tenant,
                                .team = who->team,
                                .up_to = SPACE_SOURCE,
                                .bytes = much->bytes,
                                .files = much->files };
}

static enum rc check_store(struct agent *a, const struct authority *who,
                           const struct room_need *need, bool dry, struct err *err)
{
    struct room_need much = { 0 };
    enum rc rc = excess(a, who, need, &much, err);

    if (rc != RC_OK || (much.bytes == 0 && much.files == 0))
        return rc;
    const struct space_need lack = need_of(who, &much);

    if (dry && could_collect(a, &lack))
        return RC_OK;
    for (bool again = !dry; again && rc == RC_OK;) {
        again = collect(a, &lack, NULL);
        rc = excess(a, who, need, &much, err);
        again &= much.bytes > 0 || much.files > 0;
    }
    if (rc == RC_OK && much.bytes > 0)
        rc = err_set(err, RC_STORE_QUOTA, "%s: %llu KiB too much", who->tenant,
                     (unsigned long long)(much.bytes + 1023) / 1024);
    if (rc == RC_OK && much.files > 0)
        rc = err_set(err, RC_STORE_QUOTA, "%s: %llu files too many", who->tenant,
                     (unsigned long long)much.files);
    return rc;
}

/* The innermost first, so that a team makes room among its own before others lose anything. */
static enum rc check_quota(struct agent *a, const struct manifest *m, const struct room_need *need,
                           bool dry, struct err *err)
{
    const struct grant *grant = trust_grant(a->trust, m->tenant);
    struct chain chain = { 0 };

    assert(grant); /* or the manifest would not have been verified */
    enum rc rc = trust_authorities(a->trust, grant, m->team, &chain, err);
    for (uint32_t i = chain.n; rc == RC_OK && i-- > 0;)
        rc = check_store(a, &chain.of[i], need, dry, err);
    return rc;
}

enum rc room_for_kept(struct agent *a, const struct slot_id *id, const char *team, struct err *err)
{
    const struct grant *grant = a->trust ? trust_grant(a->trust, id->tenant) : NULL;
    const struct room_need none = { 0 };
    struct chain chain = { 0 };
    enum rc rc = grant ? trust_authorities(a->trust, grant, team, &chain, err)
                       : err_set(err, RC_GRANT_MISSING, "%s", id->tenant);

    for (uint32_t i = chain.n; rc == RC_OK && i-- > 0;) {
        struct room_need much = { 0 };

        rc = excess(a, &chain.of[i], &none, &much, err);
        if (rc == RC_OK && much.bytes > 0)
            rc = err_set(err, RC_STORE_QUOTA, "kept packages of %s", id->tenant);
    }
    return rc;
}

enum rc room_for_data(struct agent *a, const struct unit_record *unit, const struct manifest *m,
                      struct err *err)
{
    const struct grant *grant = a->trust ? trust_grant(a->trust, m->tenant) : NULL;
    const struct room_need need = { .bytes = m->limits.data_bytes, .files = 4 };
    uint64_t sum = 0;

    if (m->limits.data_bytes == 0 || snapshot_need(a->data_dir, unit->tenant, unit->name) > 0)
        return RC_OK;
    for (uint32_t i = 0; i < a->table.n_units; i++) {
        const struct unit_record *r = &a->table.unit[i].kept;

        if (strcmp(r->tenant, unit->tenant) == 0)
            sum += snapshot_need(a->data_dir, r->tenant, r->name);
    }
    if (grant && over(sum, need.bytes, grant->total.data_bytes) > 0)
        return err_set(err, RC_STORE_QUOTA, "%s/%s: data", m->tenant, m->name);
    return room_on_disk(a, a->data_dir, m->tenant, &need, err);
}

/* ---- the disk -----------------------------------------------------------------------------------
 */

/* What has been promised to jobs counts as used, however much of it they have written: rather too
 * much than a version that is begun and cannot be ended. */
static enum rc shortage(const struct agent *a, int dirfd, const struct room_need *need,
                        struct room_need *ret, struct err *err)
{
    uint64_t bytes = need->bytes + ROOM_HEADROOM_BYTES;
    uint64_t files = need->files + ROOM_HEADROOM_FILES;
    struct statvfs st;

    if (fstatvfs(dirfd, &st) != 0)
        return err_sys(err, RC_IO, "free space");
    for (uint32_t i = 0; i < INSTALL_JOBS_MAX; i++)
        if (a->install[i].busy) {
            bytes += a->install[i].need.bytes;
            files += a->install[i].need.files;
        }
    uint64_t free_bytes = (uint64_t)st.f_bavail * st.f_frsize;
    *ret = (struct room_need){ .bytes = bytes > free_bytes ? bytes - free_bytes : 0 };
    /* Some file systems make inodes as they need them, and say that they have none. */
    if (st.f_files > 0 && files > st.f_favail)
        ret->files = files - st.f_favail;
    return RC_OK;
}

enum making {
    MAKE_DRY, /* only say whether it could be made */
    MAKE_OWN, /* among what is kept of the tenant's, and what nobody will need again */
    MAKE_ALL,
};

/* What is lacking, and who may make room for it: the tenant, then anybody with what is kept or came
 * ahead of its order.  Nobody's package is no reason to remove anything of anybody's, and one that
 * nobody has read none to remove a version. */
static enum rc check_disk(struct agent *a, int dirfd, const char *tenant,
                          const struct room_need *need, enum making how)
{
    struct room_need lack = { 0 };
    struct err err = { 0 };
    enum rc rc = shortage(a, dirfd, need, &lack, &err);

    if (rc != RC_OK || tenant[0] == '\0' || (lack.bytes == 0 && lack.files == 0))
        return rc;
    const struct space_need wanted = { .tenant = tenant,
                                       .team = "",
                                       .up_to = how == MAKE_OWN ? SPACE_KEPT : SPACE_IDLE,
                                       .others = how != MAKE_OWN,
                                       .others_up_to = SPACE_AHEAD,
                                       .bytes = lack.bytes,
                                       .files = lack.files };
    if (how == MAKE_DRY)
        return could_collect(a, &wanted) ? RC_OK : RC_NO_SPACE;
    (void)collect(a, &wanted, NULL);
    return RC_OK;
}

/* Say what the disk lacks. */
static enum rc tell_shortage(const struct agent *a, int dirfd, const char *tenant,
                             const struct room_need *need, struct err *err)
{
    struct room_need lack = { 0 };
    enum rc rc = shortage(a, dirfd, need, &lack, err);

    if (rc == RC_OK && lack.bytes > 0)
        return err_set(err, RC_NO_SPACE, "%s: %llu KiB of the disk", tenant,
                       (unsigned long long)(lack.bytes + 1023) / 1024);
    if (rc == RC_OK && lack.files > 0)
        return err_set(err, RC_NO_SPACE, "%s: %llu inodes of the disk", tenant,
                       (unsigned long long)lack.files);
    return rc;
}

enum rc room_on_disk(struct agent *a, int dirfd, const char *tenant, const struct room_need *need,
                     struct err *err)
{
    (void)check_disk(a, dirfd, tenant, need, MAKE_ALL);
    return tell_shortage(a, dirfd, tenant, need, err);
}

enum rc room_for_version(struct agent *a, int dirfd, const struct manifest *m,
                         const struct room_need *need, struct err *err)
{
    enum rc rc = check_quota(a, m, need, true, err);

    if (rc == RC_OK && check_disk(a, dirfd, m->tenant, need, MAKE_DRY) != RC_OK)
        return tell_shortage(a, dirfd, m->tenant, need, err);
    if (rc == RC_OK)
        rc = check_quota(a, m, need, false, err);
    return rc == RC_OK ? room_on_disk(a, dirfd, m->tenant, need, err) : rc;
}

enum rc room_to_wait(struct agent *a, const char *tenant, uint64_t size, struct err *err)
{
    const struct grant *grant = a->trust ? trust_grant(a->trust, tenant) : NULL;
    const struct room_need need = { .bytes = size, .files = 1 };

    if (grant && size > grant->store_bytes)
        return err_set(err, RC_STORE_QUOTA, "%s: %llu KiB", tenant,
                       (unsigned long long)(size + 1023) / 1024);
    (void)check_disk(a, a->objects.dir, tenant, &need, MAKE_OWN);
    return tell_shortage(a, a->objects.dir, tenant, &need, err);
}

/* ---- before a package has been read -------------------------------------------------------------
 */

/* Whether it fits with all that is there. */
static enum rc fits(struct agent *a, const struct room_ask *ask, bool *ret, struct err *err)
{
    const struct grant *grant = trust_grant(a->trust, ask->m->tenant);
    struct room_need much = { 0 };
    struct chain chain = { 0 };
    enum rc rc = shortage(a, ask->dirfd, &ask->need, &much, err);
    bool none = much.bytes == 0 && much.files == 0;

    assert(grant);
    if (rc == RC_OK && none && !ask->repair)
        rc = trust_authorities(a->trust, grant, ask->m->team, &chain, err);
    for (uint32_t i = 0; rc == RC_OK && none && i < chain.n; i++) {
        rc = excess(a, &chain.of[i], &ask->need, &much, err);
        none = much.bytes == 0 && much.files == 0;
    }
    if (rc == RC_OK)
        *ret = none;
    return rc;
}

enum rc room_look(struct agent *a, const struct room_ask *ask, bool *ret_there, struct err *err)
{
    bool there = false;
    enum rc rc = fits(a, ask, &there, err);

    if (rc == RC_OK && !there && collect_garbage(a))
        rc = fits(a, ask, &there, err);
    if (rc == RC_OK && !there && !ask->repair)
        rc = check_quota(a, ask->m, &ask->need, true, err);
    if (rc == RC_OK && !there &&
        check_disk(a, ask->dirfd, ask->m->tenant, &ask->need, MAKE_DRY) != RC_OK)
        rc = tell_shortage(a, ask->dirfd, ask->m->tenant, &ask->need, err);
    if (rc == RC_OK)
        *ret_there = there;
    return rc;
}

enum rc room_make(struct agent *a, const struct room_ask *ask, struct err *err)
{
    return ask->repair ? room_on_disk(a, ask->dirfd, ask->m->tenant, &ask->need, err)
                       : room_for_version(a, ask->dirfd, ask->m, &ask->need, err);
}
