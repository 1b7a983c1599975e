/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/contact_find.h"

#define BITS_PER_BYTE 8U

static uint32_t goodput_of(const struct contact_search *s, uint32_t station)
{
    if (s->goodput)
        return s->goodput(s->arg, station, s->satellite).mean_ppm;
    return contact_prior(s->link).mean_ppm;
}

enum rc contact_sky(const struct contact_station *station, uint32_t n, int64_t from_ms,
                    int64_t to_ms, struct sky **ret, struct err *err)
{
    struct sky_station place[SKY_STATIONS_MAX];

    if (n > SKY_STATIONS_MAX)
        return err_set(err, RC_ORBIT, "%u stations", n);
    for (uint32_t i = 0; i < n; i++)
        place[i] = station[i].place;
    return sky_new(place, n, from_ms, to_ms, ret, err);
}

/* ---- from a path ---------------------------------------------------------------------------- */

struct finding {
    const struct contact_search *s;
    const struct sky_path *path;
    const struct sky_station *place; /* of the pass that is looked at */
    struct contacts *list;
    enum rc rc;
    struct err *err;
};

static double elevation(void *arg, int64_t time_ms)
{
    const struct finding *f = arg;
    double value;
    struct err ignored;

    /* the edge of what the path covers: as low as it gets */
    if (sky_elevation(f->place, f->path, time_ms, &value, &ignored) != RC_OK)
        return 0;
    return value;
}

static bool take(void *arg, const struct sky_pass *pass)
{
    struct finding *f = arg;
    const struct contact_view view = { elevation, f };
    struct contact c = { .station = pass->station,
                         .satellite = f->s->satellite,
                         .aos_ms = pass->aos_ms,
                         .los_ms = pass->los_ms,
                         .top = pass->top };

    f->place = &f->s->station[pass->station].place;
    c.room = contact_room(f->s->link, pass, &view);
    c.capacity = contact_expect(c.room, goodput_of(f->s, c.station));
    f->rc = contacts_add(f->list, &c, f->err);
    return f->rc == RC_OK;
}

enum rc contact_find(const struct contact_search *s, const struct sky *sky,
                     const struct sky_path *path, struct contacts *list, struct err *err)
{
    struct finding f = { .s = s, .path = path, .list = list, .err = err };
    enum rc rc = sky_passes_on(sky, path, take, &f, err);

    return f.rc != RC_OK ? f.rc : rc;
}

/* ---- from a plan ---------------------------------------------------------------------------- */

static bool station_of(const struct contact_search *s, uint64_t node, uint32_t *ret)
{
    for (uint32_t i = 0; i < s->n_stations; i++)
        if (s->station[i].node != 0 && s->station[i].node == node) {
            *ret = i;
            return true;
        }
    return false;
}

enum rc contact_import(const struct contact_search *s, const struct contact_ion *plan,
                       int64_t from_ms, int64_t to_ms, struct contacts *list, struct err *err)
{
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < plan->n_contacts; i++) {
        const struct contact_ion_contact *p = &plan->contact[i];
        struct contact_link link = *s->link;
        struct contact c = { .satellite = s->satellite };

        if (p->to != s->node || !station_of(s, p->from, &c.station))
            continue;
        struct sky_pass pass = { .station = c.station,
                                 .aos_ms = p->from_ms > from_ms ? p->from_ms : from_ms,
                                 .los_ms = p->to_ms < to_ms ? p->to_ms : to_ms };

        if (pass.los_ms <= pass.aos_ms)
            continue;
        link.rate = p->rate * BITS_PER_BYTE;
        link.n_steps = 0;
        c.aos_ms = pass.aos_ms;
        c.los_ms = pass.los_ms;
        c.room = contact_room(&link, &pass, NULL);
        c.capacity =
            contact_expect(contact_expect(c.room, goodput_of(s, c.station)), p->confidence_ppm);
        rc = contacts_add(list, &c, err);
    }
    return rc;
}
