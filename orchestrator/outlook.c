/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/outlook.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crypto.h"
#include "orchestrator/contact_find.h"
#include "orchestrator/contact_oem.h"
#include "orchestrator/path.h"

#define TLE_BYTES_MAX (1024U * 1024U)
#define STEP_MS 120000 /* of orchestrator/sky */

struct looking {
    const struct outlook_input *in;
    struct outlook *out;
    const struct sky *sky;
    uint32_t satellite; /* index */
    struct contact_search search;
    struct err *err;
};

void outlook_free(struct outlook **outlook)
{
    if (*outlook) {
        contacts_free(&(*outlook)->contacts);
        free((*outlook)->note);
    }
    free(*outlook);
    *outlook = NULL;
}

/* ---- files ---------------------------------------------------------------------------------- */

static const struct fleet_satellite *satellite_of(const struct looking *l)
{
    return &l->in->fleet->satellite[l->satellite];
}

/* files = SHA-256 (files before, SHA-256 of this one) */
static enum rc add_file(struct outlook *out, struct bytes file, struct err *err)
{
    uint8_t two[2U * DIGEST_SIZE];
    enum rc rc = sha256_of(file, two + DIGEST_SIZE, err);

    memcpy(two, out->files.b, DIGEST_SIZE);
    return rc == RC_OK ? sha256_of((struct bytes){ two, sizeof two }, out->files.b, err) : rc;
}

enum rc outlook_read(const struct fleet *fleet, uint32_t satellite, const char *path_of_fleet,
                     uint8_t **ret, size_t *ret_n, struct err *err)
{
    static const size_t most[FLEET_ORBITS] = { [FLEET_TLE_FILE] = TLE_BYTES_MAX,
                                               [FLEET_OEM] = OEM_BYTES_MAX,
                                               [FLEET_CONTACTS] = CONTACT_ION_BYTES_MAX };
    const struct fleet_satellite *sat = &fleet->satellite[satellite];
    const char *slash = strrchr(path_of_fleet, '/');
    size_t dir = slash && sat->file[0] != '/' ? (size_t)(slash - path_of_fleet) + 1 : 0;
    size_t n = strlen(sat->file);
    char path[PATH_MAX];
    struct err why = { 0 };

    if (dir + n >= sizeof path)
        return err_set(err, RC_NAME, "%s: %.40s", sat->id, sat->file);
    memcpy(path, path_of_fleet, dir);
    memcpy(path + dir, sat->file, n + 1);
    enum rc rc = path_read(path, most[sat->orbit], ret, ret_n, &why);

    /* the fleet file's line, since that is where it can be put right */
    return rc == RC_OK ? rc
                       : err_set(err, rc, "%.30s:%u: %s: %.30s", fleet->source, sat->line, sat->id,
                                 sat->file);
}

/* The same, and it counts for what the plan is made from. */
static enum rc read_named(const struct looking *l, uint8_t **ret, size_t *ret_n)
{
    enum rc rc = outlook_read(l->in->fleet, l->satellite, l->in->path, ret, ret_n, l->err);

    return rc == RC_OK ? add_file(l->out, (struct bytes){ *ret, *ret_n }, l->err) : rc;
}

static bool begins(const struct lines *l, char digit)
{
    return l->text.n == TLE_LINE && l->text.p[0] == (uint8_t)digit && l->text.p[1] == ' ';
}

enum rc outlook_tle(struct bytes text, const char *name, struct tle *ret, struct err *err)
{
    struct lines l = { .name = name, .left = text };
    struct bytes one = { 0 };
    struct tle tle = { 0 };
    bool more = true, found = false;
    enum rc rc = RC_OK;

    while (rc == RC_OK && more) {
        struct tle next;
        struct err why = { 0 };

        rc = lines_next(&l, &more, err);
        if (rc != RC_OK || !more)
            break;
        if (!begins(&l, '2')) {
            one = begins(&l, '1') ? l.text : (struct bytes){ 0 };
            continue;
        }
        if (one.n == 0 || tle_parse(one, l.text, &next, &why) != RC_OK)
            rc = lines_fail(&l, err, "%s", one.n == 0 ? "no line 1 above" : why.what);
        else if (found && next.catalog != tle.catalog)
            rc = lines_fail(&l, err, "a second satellite, %u: one file for each", next.catalog);
        tle = rc == RC_OK ? next : tle;
        found = rc == RC_OK;
    }
    if (rc == RC_OK && !found)
        rc = lines_fail(&l, err, "no element set of two lines with %u columns", TLE_LINE);
    if (rc == RC_OK)
        *ret = tle;
    return rc;
}

/* ---- one satellite -------------------------------------------------------------------------- */

static char *note_of(const struct looking *l)
{
    return l->out->note[l->satellite];
}

static enum rc look_by_elements(struct looking *l, const struct tle *tle)
{
    struct sgp4 orbit;
    struct err why = { 0 };
    int64_t age = l->in->from_ms - tle->epoch_ms;
    enum rc rc = sgp4_init(tle, &orbit, &why);

    if (age > OUTLOOK_OLD_MS || age < -OUTLOOK_OLD_MS)
        (void)snprintf(note_of(l), OUTLOOK_NOTE_CAP,
                       "elements are %lld days old: passes may be wrong by minutes or more",
                       (long long)(age / 86400000));
    if (rc == RC_OK) {
        struct sky_path path = sky_path_of(&orbit);

        rc = contact_find(&l->search, l->sky, &path, &l->out->contacts, &why);
    }
    if (rc == RC_ORBIT) {
        (void)snprintf(note_of(l), OUTLOOK_NOTE_CAP, "elements are of no use for this time");
        return RC_OK;
    }
    return rc == RC_OK ? rc : err_set(l->err, rc, "%s", why.what);
}

/* Over the part of the span that the ephemeris covers, in whole steps of the sky. */
static enum rc look_by_states(struct looking *l, const struct oem *oem)
{
    scoped(sky_free) struct sky *sky = NULL;
    struct sky_path path = oem_path(oem);
    int64_t from = l->in->from_ms, to = l->in->to_ms;
    struct err why = { 0 };

    if (oem->state[0].at_ms > from)
        from = oem->state[0].at_ms;
    if (oem->state[oem->n - 1].at_ms < to)
        to = oem->state[oem->n - 1].at_ms;
    to -= (to - from) % STEP_MS;
    if (to > from && (from > l->in->from_ms || to + STEP_MS <= l->in->to_ms))
        (void)snprintf(note_of(l), OUTLOOK_NOTE_CAP, "the ephemeris covers a part of this time");
    enum rc rc = to > from
                     ? contact_sky(l->out->station, l->in->fleet->n_stations, from, to, &sky, &why)
                     : RC_ORBIT;

    if (rc == RC_OK)
        rc = contact_find(&l->search, sky, &path, &l->out->contacts, &why);
    if (rc == RC_ORBIT) {
        (void)snprintf(note_of(l), OUTLOOK_NOTE_CAP, "the ephemeris does not cover this time");
        return RC_OK;
    }
    return rc == RC_OK ? rc : err_set(l->err, rc, "%s", why.what);
}

static enum rc look_inline(struct looking *l)
{
    const struct fleet_satellite *sat = satellite_of(l);
    struct tle tle;
    enum rc rc = tle_parse(bytes_of(sat->line1), bytes_of(sat->line2), &tle, l->err);

    return rc == RC_OK ? look_by_elements(l, &tle) : rc;
}

static enum rc look_in_tle(struct looking *l)
{
    scoped(free_ptr) uint8_t *text = NULL;
    struct tle tle;
    size_t n = 0;
    enum rc rc = read_named(l, &text, &n);

    if (rc == RC_OK)
        rc = outlook_tle((struct bytes){ text, n }, satellite_of(l)->file, &tle, l->err);
    return rc == RC_OK ? look_by_elements(l, &tle) : rc;
}

static enum rc look_in_oem(struct looking *l)
{
    scoped(free_ptr) uint8_t *text = NULL;
    scoped(oem_free) struct oem oem = { 0 };
    size_t n = 0;
    enum rc rc = read_named(l, &text, &n);

    if (rc == RC_OK)
        rc = oem_read((struct bytes){ text, n }, satellite_of(l)->file, &oem, l->err);
    return rc == RC_OK ? look_by_states(l, &oem) : rc;
}

static enum rc look_in_plan(struct looking *l)
{
    scoped(free_ptr) uint8_t *text = NULL;
    scoped(contact_ion_free) struct contact_ion plan = { 0 };
    size_t n = 0, before = l->out->contacts.n;
    enum rc rc = read_named(l, &text, &n);

    if (rc == RC_OK)
        rc = contact_ion_read((struct bytes){ text, n }, satellite_of(l)->file, l->in->reference_ms,
                              &plan, l->err);
    if (rc == RC_OK)
        rc = contact_import(&l->search, &plan, l->in->from_ms, l->in->to_ms, &l->out->contacts,
                            l->err);
    if (rc == RC_OK && l->out->contacts.n == before)
        (void)snprintf(note_of(l), OUTLOOK_NOTE_CAP,
                       "no contact from a station to node %llu in its plan",
                       (unsigned long long)satellite_of(l)->node);
    return rc;
}

static enum rc look(struct looking *l)
{
    static enum rc (*const ways[FLEET_ORBITS])(struct looking *) = {
        [FLEET_TLE] = look_inline,
        [FLEET_TLE_FILE] = look_in_tle,
        [FLEET_OEM] = look_in_oem,
        [FLEET_CONTACTS] = look_in_plan,
    };
    const struct fleet_satellite *sat = satellite_of(l);

    if (l->in->satellite && strcmp(l->in->satellite, sat->id) != 0)
        return RC_OK;
    if (!ways[sat->orbit]) {
        (void)snprintf(note_of(l), OUTLOOK_NOTE_CAP, "no orbit in the fleet file");
        return RC_OK;
    }
    l->search = (struct contact_search){ .station = l->out->station,
                                         .n_stations = l->in->fleet->n_stations,
                                         .satellite = l->satellite,
                                         .node = sat->node,
                                         .link = &l->in->fleet->link[sat->link].link,
                                         .goodput = l->in->goodput,
                                         .arg = l->in->arg };
    return ways[sat->orbit](l);
}

enum rc outlook_make(const struct outlook_input *in, struct outlook **ret, struct err *err)
{
    scoped(outlook_free) struct outlook *out = calloc(1, sizeof *out);
    scoped(sky_free) struct sky *sky = NULL;
    struct looking l = { .in = in, .out = out, .err = err };

    if (!out)
        return err_set(err, RC_NO_MEMORY, "outlook");
    out->note = calloc(in->fleet->n_satellites + 1U, sizeof *out->note);
    if (!out->note)
        return err_set(err, RC_NO_MEMORY, "outlook");
    for (uint32_t i = 0; i < in->fleet->n_stations; i++)
        out->station[i] = in->fleet->station[i].station;
    enum rc rc =
        contact_sky(out->station, in->fleet->n_stations, in->from_ms, in->to_ms, &sky, err);

    l.sky = sky;
    for (; rc == RC_OK && l.satellite < in->fleet->n_satellites; l.satellite++)
        rc = look(&l);
    if (rc != RC_OK)
        return rc;
    contacts_sort(&out->contacts);
    *ret = out;
    out = NULL;
    return RC_OK;
}
