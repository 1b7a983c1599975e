/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/timetable.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/log.h"
#include "orchestrator/dispatch.h"
#include "orchestrator/learnt.h"
#include "orchestrator/outlook.h"
#include "orchestrator/reserved.h"

#define REFERENCE "sky-reference" /* setting: "HEX MS", when these files were seen first */

/* What tells that a file is another one. */
struct stamp {
    char path[HOME_PATH_CAP];
    ino_t inode;
    off_t size;
    struct timespec changed;
};

struct timetable {
    bool looked;
    int64_t looked_ms;
    struct stamp stamp;
    enum rc told;        /* last failure that was logged */
    struct fleet *fleet; /* owned; NULL = none with stations */
    struct outlook *outlook;
    uint64_t *planned;  /* bytes, of each contact */
    bool *has_contacts; /* of each satellite: some are ahead */
};

enum rc timetable_new(struct timetable **ret, struct err *err)
{
    struct timetable *t = calloc(1, sizeof *t);

    if (!t)
        return err_set(err, RC_NO_MEMORY, "timetable");
    *ret = t;
    return RC_OK;
}

static void forget(struct timetable *t)
{
    free_ptr(&t->fleet);
    outlook_free(&t->outlook);
    free_ptr(&t->planned);
    free_ptr(&t->has_contacts);
}

void timetable_free(struct timetable **timetable)
{
    if (*timetable)
        forget(*timetable);
    free(*timetable);
    *timetable = NULL;
}

const struct fleet *timetable_fleet(const struct timetable *t)
{
    return t->fleet;
}

uint32_t timetable_number(const struct timetable *t, const char *satellite)
{
    for (uint32_t i = 0; t->fleet && i < t->fleet->n_satellites; i++)
        if (strcmp(t->fleet->satellite[i].id, satellite) == 0)
            return t->has_contacts[i] ? i : TIMETABLE_NONE;
    return TIMETABLE_NONE;
}

/* ---- files ---------------------------------------------------------------------------------- */

static bool is_same(const struct stamp *a, const struct stamp *b)
{
    return strcmp(a->path, b->path) == 0 && a->inode == b->inode && a->size == b->size &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

/* The fleet file as it is now; all zero = none was applied, or it is not there. */
static enum rc stamp_now(const struct home *home, struct stamp *ret, struct err *err)
{
    struct stat st;

    *ret = (struct stamp){ 0 };
    enum rc rc = store_get(home->store, HOME_FLEET_FILE, ret->path, sizeof ret->path, err);

    if (rc == RC_NOT_FOUND)
        return RC_OK;
    if (rc == RC_OK && stat(ret->path, &st) == 0) {
        ret->inode = st.st_ino;
        ret->size = st.st_size;
        ret->changed = st.st_mtim;
    }
    return rc;
}

/* Times of contact plans that are told from "now" count from when the plans were seen first: else
 * they would come no nearer. */
static enum rc reference_of(struct store *store, const struct digest *files, int64_t now_ms,
                            int64_t *ret, struct err *err)
{
    char value[128], hex[2 * DIGEST_SIZE + 1];
    unsigned long long ms = 0;
    char *end = NULL;
    enum rc rc = store_get(store, REFERENCE, value, sizeof value, err);

    (void)bytes_hex((struct bytes){ files->b, DIGEST_SIZE }, hex);
    if (rc == RC_OK && strncmp(value, hex, sizeof hex - 1) == 0 && value[sizeof hex - 1] == ' ') {
        ms = strtoull(value + sizeof hex, &end, 10);
        if (*end == '\0' && ms > 0 && ms <= INT64_MAX) {
            *ret = (int64_t)ms;
            return RC_OK;
        }
    }
    if (rc != RC_OK && rc != RC_NOT_FOUND)
        return rc;
    *ret = now_ms;
    (void)snprintf(value, sizeof value, "%s %lld", hex, (long long)now_ms);
    return store_set(store, REFERENCE, value, err);
}

static enum rc find_contacts(const struct fleet *fleet, const struct learnt *learnt,
                             const char *path, int64_t now_ms, int64_t reference_ms,
                             struct outlook **ret, struct err *err)
{
    const struct outlook_input in = { .fleet = fleet,
                                      .path = path,
                                      .from_ms = now_ms,
                                      .to_ms = now_ms + TIMETABLE_SPAN_MS,
                                      .reference_ms = reference_ms,
                                      .goodput = learnt_goodput,
                                      .arg = (void *)(uintptr_t)learnt };

    return outlook_make(&in, ret, err);
}

/* Contacts of plans whose times count from another time are found again from there. */
static enum rc find_all(const struct fleet *fleet, struct store *store, const char *path,
                        int64_t now_ms, struct outlook **ret, struct err *err)
{
    scoped(learnt_done) struct learnt learnt = { 0 };
    scoped(outlook_free) struct outlook *outlook = NULL;
    int64_t reference = now_ms;
    enum rc rc = learnt_load(fleet, path, store, now_ms, &learnt, err);

    if (rc == RC_OK)
        rc = find_contacts(fleet, &learnt, path, now_ms, now_ms, &outlook, err);
    if (rc == RC_OK)
        rc = reference_of(store, &outlook->files, now_ms, &reference, err);
    if (rc == RC_OK && reference != now_ms) {
        outlook_free(&outlook);
        rc = find_contacts(fleet, &learnt, path, now_ms, reference, &outlook, err);
    }
    if (rc != RC_OK)
        return rc;
    *ret = outlook;
    outlook = NULL;
    return RC_OK;
}

/* Take over what was read; t keeps what it has if there is no memory. */
static enum rc take(struct timetable *t, struct fleet **fleet, struct outlook **outlook,
                    struct err *err)
{
    const struct contacts *contacts = &(*outlook)->contacts;
    uint64_t *planned = calloc(contacts->n + 1, sizeof *planned);
    bool *has = calloc((*fleet)->n_satellites + 1U, sizeof *has);

    if (!planned || !has) {
        free(planned);
        free(has);
        return err_set(err, RC_NO_MEMORY, "%zu contacts", contacts->n);
    }
    for (size_t i = 0; i < contacts->n; i++)
        has[contacts->at[i].satellite] = true;
    forget(t);
    t->planned = planned;
    t->has_contacts = has;
    t->fleet = *fleet;
    t->outlook = *outlook;
    *fleet = NULL;
    *outlook = NULL;
    return RC_OK;
}

static enum rc read_all(struct timetable *t, const struct home *home, const char *path,
                        int64_t now_ms, struct err *err)
{
    scoped(free_ptr) struct fleet *fleet = NULL;
    scoped(outlook_free) struct outlook *outlook = NULL;
    enum rc rc = fleet_load(path, &fleet, err);

    if (rc != RC_OK)
        return rc;
    if (fleet->n_stations == 0) {
        forget(t);
        return RC_OK;
    }
    rc = find_all(fleet, home->store, path, now_ms, &outlook, err);
    return rc == RC_OK ? take(t, &fleet, &outlook, err) : rc;
}

enum rc timetable_look(struct timetable *t, const struct home *home, int64_t now_ms,
                       bool *ret_changed, struct err *err)
{
    struct stamp stamp;
    enum rc rc = stamp_now(home, &stamp, err);

    *ret_changed = false;
    if (rc != RC_OK)
        return rc;
    if (t->looked && is_same(&stamp, &t->stamp) && now_ms >= t->looked_ms &&
        now_ms - t->looked_ms < TIMETABLE_LOOK_MS)
        return RC_OK;
    t->looked = true;
    t->looked_ms = now_ms;
    t->stamp = stamp;
    if (stamp.path[0] == '\0')
        return RC_OK;
    rc = read_all(t, home, stamp.path, now_ms, err);
    *ret_changed = rc == RC_OK;
    if (rc != RC_OK && rc != t->told)
        log_err(LOG_LEVEL_ERROR, err, "timetable file=%s", stamp.path);
    t->told = rc;
    return rc == RC_NO_MEMORY || rc == RC_STORE || rc == RC_BUSY ? rc : RC_OK;
}

/* ---- reserve and fill ----------------------------------------------------------------------- */

/* As found, before anything was reserved. */
static void clear(struct timetable *t)
{
    for (size_t i = 0; i < t->outlook->contacts.n; i++) {
        t->outlook->contacts.at[i].state = CONTACT_PREDICTED;
        t->outlook->contacts.at[i].antenna = 0;
    }
}

static enum rc reserve(struct timetable *t, struct store *store, struct schedule_input *in,
                       struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    scoped(free_ptr) struct schedule_taken *taken = NULL;
    struct contacts *contacts = &t->outlook->contacts;

    clear(t);
    enum rc rc = store_begin(store, &open, err);

    if (rc == RC_OK)
        rc = reserved_load(t->fleet, store, in->now_ms, contacts, &taken, &in->n_taken, err);
    in->taken = taken;
    if (rc == RC_OK)
        rc = schedule_antennas(in, contacts, err);
    in->taken = NULL;
    in->n_taken = 0;
    if (rc == RC_OK)
        rc = reserved_keep(t->fleet, contacts, store, in->now_ms, err);
    return rc == RC_OK ? store_commit(&open, err) : rc;
}

enum rc timetable_make(struct timetable *t, struct store *store, const struct shares *shares,
                       const struct schedule_job *job, uint32_t n_jobs, int64_t now_ms,
                       struct err *err)
{
    scoped(schedule_fill_free) struct schedule_fill fill = { 0 };

    if (!t->fleet)
        return RC_OK;
    struct schedule_input in = { .now_ms = now_ms,
                                 .station = t->outlook->station,
                                 .n_stations = t->fleet->n_stations,
                                 .n_satellites = t->fleet->n_satellites,
                                 .tenant = shares->tenant,
                                 .n_tenants = shares->n,
                                 .job = job,
                                 .n_jobs = n_jobs };
    enum rc rc = reserve(t, store, &in, err);

    if (rc == RC_OK)
        rc = schedule_fill(&in, &t->outlook->contacts, NULL, &fill, err);
    if (rc != RC_OK)
        return rc;
    memset(t->planned, 0, t->outlook->contacts.n * sizeof t->planned[0]);
    for (size_t i = 0; i < fill.n; i++)
        t->planned[fill.booking[i].contact] += fill.booking[i].bytes;
    return RC_OK;
}

/* ---- passes --------------------------------------------------------------------------------- */

bool timetable_pass(const struct timetable *t, uint32_t number, int64_t now_ms,
                    struct store_pass *ret)
{
    const struct contacts *list = &t->outlook->contacts;
    size_t i = contacts_first(list, now_ms - CONTACT_LONGEST_MS);

    for (; i < list->n && list->at[i].aos_ms <= now_ms + DISPATCH_LEAD_MS; i++) {
        const struct contact *c = &list->at[i];
        const struct dispatch_pass pass = { .aos_ms = c->aos_ms, .los_ms = c->los_ms };

        if (c->satellite != number || !dispatch_is_open(&pass, now_ms) ||
            (c->state != CONTACT_RESERVED && c->state != CONTACT_EXECUTING))
            continue;
        *ret = (struct store_pass){ .aos_ms = (uint64_t)c->aos_ms,
                                    .los_ms = (uint64_t)c->los_ms,
                                    .antenna = c->antenna,
                                    .capacity = c->capacity,
                                    .planned = t->planned[i] };
        (void)snprintf(ret->station, sizeof ret->station, "%s",
                       t->fleet->station[c->station].station.id);
        (void)snprintf(ret->satellite, sizeof ret->satellite, "%s", t->fleet->satellite[number].id);
        return true;
    }
    return false;
}
