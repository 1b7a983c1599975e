/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/planning.h"

#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/admit.h"

#include "orchestrator/checking.h"

void planning_done(struct planning *p)
{
    plan_free(&p->plan);
    free_ptr(&p->bases);
    view_free(&p->view);
}

static enum rc find_block(struct store *store, struct planning *p, struct err *err)
{
    enum rc rc = RC_OK;

    for (uint32_t i = 0; rc == RC_OK && p->blocked_by == 0 && i < p->plan->n_satellites; i++) {
        if (!p->plan->satellite[i].changes && !p->plan->satellite[i].withdraws)
            continue;
        rc = store_rollout_on(store, p->fleet->satellite[i].id, &p->blocked_by, err);
        (void)snprintf(p->blocked_on, sizeof p->blocked_on, "%s", p->fleet->satellite[i].id);
    }
    return rc;
}

/* Whether a satellite, of this file or not, says that it wants this version and failed with it. */
static bool has_failed(const struct view_satellite *sat, const struct plan_change *change)
{
    const struct report_payload *p = verdict_payload(sat->seen, change->tenant, change->name);

    return p && memcmp(p->wanted.b, change->to_manifest.b, DIGEST_SIZE) == 0 &&
           (p->state == SLOT_REFUSED || p->state == SLOT_FAILED || p->state == SLOT_ROLLED_BACK);
}

/* The canary has its order already and so is no part of a second try: the version would begin on
 * another satellite as if nothing had happened. */
static void find_failed(struct planning *p)
{
    uint32_t asked = 0; /* rollouts, which are numbered as they come */

    for (uint32_t i = 0; i < p->plan->n_changes && !p->failed; i++) {
        const struct plan_change *change = &p->plan->change[i];

        /* the same for every change of a rollout: asked once */
        if (change->rollout < asked)
            continue;
        asked = change->rollout + 1;
        for (size_t k = 0; change->verb != PLAN_REMOVE && k < p->view->n && !p->failed; k++) {
            if (!has_failed(&p->view->satellite[k], change))
                continue;
            p->failed = change;
            (void)snprintf(p->failed_on, sizeof p->failed_on, "%s", p->view->satellite[k].row.id);
        }
    }
}

static enum rc count_rollouts(struct store *store, uint64_t *ret, struct err *err)
{
    scoped(free_ptr) struct store_rollout *rows = NULL;
    size_t n = 0;
    enum rc rc = store_rollouts(store, 0, &rows, &n, err);

    if (rc == RC_OK)
        *ret = n;
    return rc;
}

static struct ride ride_of(void *arg, uint32_t satellite, const struct store_package *package)
{
    const struct planning *p = arg;

    return view_ride(p->view, view_find(p->view, p->fleet->satellite[satellite].id), package);
}

static bool brings(void *arg, const struct store_package *package, const struct digest *object)
{
    const struct planning *p = arg;

    return view_brings(p->view, package, object);
}

enum rc planning_make(struct store *store, const struct fleet *fleet, const char *path,
                      struct planning *ret, struct err *err)
{
    scoped(planning_done) struct planning p = { .path = path, .fleet = fleet };
    struct plan_input in = { .fleet = fleet, .ride = ride_of, .brings = brings, .arg = &p };
    enum rc rc = view_load(store, &p.view, err);

    if (rc == RC_OK)
        rc = view_bases(p.view, fleet, &p.bases, err);
    if (rc == RC_OK)
        rc = count_rollouts(store, &in.rollouts, err);
    if (rc != RC_OK)
        return rc;
    in.packages = p.view->packages;
    in.n_packages = p.view->n_packages;
    in.base = p.bases;
    rc = plan_compute(&in, &p.plan, err);
    if (rc == RC_OK)
        rc = find_block(store, &p, err);
    if (rc != RC_OK)
        return rc;
    find_failed(&p);
    *ret = p;
    p = (struct planning){ 0 };
    return RC_OK;
}

/* Inside what each tenant may have, and what the satellite has. */
static enum rc check_sums(const struct home *home, struct admit_known *known,
                          const struct trust *trust, const struct want *order,
                          const struct fleet_satellite *satellite, struct err *err)
{
    enum rc rc = admit_sums(home, known, trust, order, err);

    return rc == RC_OK ? admit_capacity(home, known, order, satellite, err) : rc;
}

enum rc planning_check(const struct planning *p, const struct home *home, const struct trust *trust,
                       uint64_t now_ms, struct err *err)
{
    scoped(admit_known_done) struct admit_known known = { 0 };
    enum rc rc = RC_OK;

    for (uint32_t i = 0; rc == RC_OK && i < p->plan->n_rollouts; i++)
        if (!digest_is_none(&p->plan->rollout[i].to_manifest)) /* else it is removed */
            rc =
                checking_version(home, trust, &p->plan->rollout[i].to_manifest, false, now_ms, err);
    for (uint32_t i = 0; rc == RC_OK && i < p->plan->n_satellites; i++)
        if (p->plan->satellite[i].changes)
            rc = check_sums(home, &known, trust, &p->plan->satellite[i].order,
                            &p->fleet->satellite[i], err);
    return rc;
}

int planning_fail(struct cli *cli, const struct err *err)
{
    switch ((int)err->rc) {
    case RC_NO_SATELLITE:
        return cli_fail(cli, err,
                        "berth provision SATELLITE --node N --out DIR, or correct the file");
    case RC_NO_PACKAGE:
        return cli_fail(cli, err, "berth push FILE.berth, or correct the version in the file");
    case RC_DIGEST_MISMATCH:
        return cli_fail(cli, err, "berth inspect FILE.berth shows the digest of a package");
    case RC_NOT_FOUND:
        return cli_fail(cli, err, CLI_FIX_PATH);
    case RC_YAML:
        return cli_fail(cli, err, "correct the line; docs/guide/operator.md lists every key");
    case RC_NOT_REGULAR:
    case RC_TOO_LARGE:
        return cli_fail(cli, err, "give a fleet file as docs/guide/operator.md shows it");
    case RC_PLAN_STALE:
        return cli_fail(cli, err, "type the same again");
    case RC_SOAK_ORBIT:
        return cli_fail(cli, err,
                        "give it orbit: {tle: FILE} or {oem: FILE}, or say its soak as a time: "
                        "soak: 5h");
    case RC_TLE:
    case RC_CONTACTS:
        return cli_fail(cli, err, "correct that file; docs/wire/contacts.md says what is read");
    case RC_MANIFEST_REVOKED:
        return cli_fail(cli, err, "name another version in the file: this one is revoked for good");
    case RC_KEY_REVOKED:
        return cli_fail(cli, err,
                        "have its tenant sign it with another key: berth sign, then berth push");
    case RC_NO_SPACE:
        return cli_fail(cli, err, "order less for it, or correct its capacity in the fleet file");
    case RC_QUOTA:
        return cli_fail(cli, err,
                        "order less, or raise that line of the file: berth quota shows what is "
                        "used");
    case RC_GRANT_MISSING:
    case RC_GRANT_REVOKED:
    case RC_EXPIRED:
        return cli_fail(cli, err, "berth grant TENANT --keys PUB --quota FILE makes the next one");
    default:
        return cli_fail(cli, err, NULL);
    }
}

/* ---- for people -------------------------------------------------------------------------------
 */

static void print_changes(struct cli *cli, const struct planning *p)
{
    static const char *const headings[] = { "SATELLITE", "PAYLOAD", "FROM", "TO", "SEND", "WAVE" };
    scoped(cli_table_free) struct cli_table *table = cli_table_new(headings, 6);

    for (uint32_t i = 0; i < p->plan->n_changes; i++) {
        const struct plan_change *c = &p->plan->change[i];
        char payload[2U * NAME_CAP + 1U];
        char size[CLI_SIZE_CAP];
        char send[CLI_SIZE_CAP + 8];
        char wave[12];
        const char *const cells[] = { p->fleet->satellite[c->satellite].id,
                                      payload,
                                      c->verb == PLAN_ADD ? "(new)" : c->from,
                                      c->verb == PLAN_REMOVE ? "(stop)" : c->to,
                                      send,
                                      wave };

        (void)snprintf(payload, sizeof payload, "%s/%s", c->tenant, c->name);
        (void)snprintf(wave, sizeof wave, "%u", p->plan->satellite[c->satellite].wave + 1);
        (void)snprintf(send, sizeof send, "%s", c->verb == PLAN_REMOVE ? "" : "on board");
        if (c->bytes > 0)
            (void)snprintf(send, sizeof send, "%s%s", cli_size(c->bytes, size),
                           c->ride.kind == RIDE_DELTA ? " delta" : "");
        cli_table_row(table, cells);
    }
    cli_table_print(cli, table);
}

/* Orders changes by what is sent, and why. */
static int by_ride(const struct plan_change *a, const struct plan_change *b)
{
    const int to = memcmp(a->to_manifest.b, b->to_manifest.b, DIGEST_SIZE);
    const int base = memcmp(a->ride.base.b, b->ride.base.b, DIGEST_SIZE);

    if (to != 0 || base != 0)
        return to != 0 ? to : base;
    if (a->ride.kind != b->ride.kind)
        return a->ride.kind < b->ride.kind ? -1 : 1;
    return (a->ride.why > b->ride.why) - (a->ride.why < b->ride.why);
}

static int by_place(const void *a, const void *b)
{
    const struct plan_change *x = *(const struct plan_change *const *)a,
                             *y = *(const struct plan_change *const *)b;

    return (x > y) - (x < y);
}

static int by_ride_then_place(const void *a, const void *b)
{
    const struct plan_change *x = *(const struct plan_change *const *)a,
                             *y = *(const struct plan_change *const *)b;
    const int ride = by_ride(x, y);

    return ride != 0 ? ride : by_place(a, b);
}

/* Changes with which something is sent, the first one of each ride and what it is for how many. */
struct rides {
    uint32_t n;
    const struct plan_change **first; /* in the order of the plan */
    uint32_t *times;                  /* by change */
};

static void rides_done(struct rides *r)
{
    free(r->first);
    free(r->times);
}

static bool rides_find(const struct plan *plan, struct rides *r)
{
    uint32_t n = 0;

    r->first = calloc(plan->n_changes + 1U, sizeof(const struct plan_change *));
    r->times = calloc(plan->n_changes + 1U, sizeof *r->times);
    if (!r->first || !r->times)
        return false;
    for (uint32_t i = 0; i < plan->n_changes; i++)
        if (plan->change[i].bytes > 0)
            r->first[n++] = &plan->change[i];
    if (n > 0)
        qsort(r->first, n, sizeof(const struct plan_change *), by_ride_then_place);
    for (uint32_t i = 0; i < n; i++) {
        if (r->n == 0 || by_ride(r->first[r->n - 1], r->first[i]) != 0)
            r->first[r->n++] = r->first[i];
        r->times[r->first[r->n - 1] - plan->change]++;
    }
    if (r->n > 0)
        qsort(r->first, r->n, sizeof(const struct plan_change *), by_place);
    return true;
}

/* "acme/cam 2.0.0: delta from 1.2.0, 48,831 bytes (full 1,184,792): 3 satellites" */
static void print_ride(struct cli *cli, const struct plan_change *c, uint32_t n)
{
    char bytes[COST_TEXT_CAP], full[COST_TEXT_CAP];
    const char *many = n == 1 ? "" : "s";

    if (c->ride.kind == RIDE_DELTA)
        cli_say(cli, "%s/%s %s: delta from %s, %s bytes (full %s): %u satellite%s", c->tenant,
                c->name, c->to, c->ride_from, cost_bytes(c->bytes, bytes),
                cost_bytes(c->full_bytes, full), n, many);
    else
        cli_say(cli, "%s/%s %s: full, %s bytes; %s%s%s: %u satellite%s", c->tenant, c->name, c->to,
                cost_bytes(c->bytes, bytes), ride_why_text(c->ride.why),
                c->ride_from[0] ? " from " : "", c->ride_from, n, many);
}

/* What is sent, once for all satellites that get the same. */
static void print_rides(struct cli *cli, const struct planning *p)
{
    const struct plan_change *change = p->plan->change;
    scoped(rides_done) struct rides rides = { 0 };
    bool made = true, makable = true;

    if (!rides_find(p->plan, &rides))
        cli_note(cli, "note: no memory to say what is sent");
    for (uint32_t i = 0; i < rides.n; i++) {
        const struct plan_change *first = rides.first[i];

        print_ride(cli, first, rides.times[first - change]);
        made = made && first->ride.why != RIDE_NOT_MADE;
        makable = makable && first->ride.why != RIDE_UNMAKABLE;
    }
    if (!made)
        cli_note(cli, "note: apply makes the missing deltas first; berth plan --deltas makes them "
                      "now");
    if (!makable)
        cli_note(cli, "note: where a delta could not be made the full package goes; --retry (of "
                      "apply and plan --deltas) tries again");
}

/* The satellite that gets most, and all together. */
static void print_cost(struct cli *cli, const struct planning *p, const struct cost *cost)
{
    char most_text[COST_TEXT_CAP], all_text[COST_TEXT_CAP];
    uint32_t most = 0;

    for (uint32_t i = 1; i < p->plan->n_satellites; i++)
        if (p->plan->satellite[i].bytes > p->plan->satellite[most].bytes)
            most = i;
    if (p->plan->bytes > 0)
        cli_say(cli, "at %llu bit/s and %llu s a pass: %s for %s, the most; %s in all",
                (unsigned long long)cost->rate, (unsigned long long)cost->pass_s,
                cost_text(cost, p->plan->satellite[most].bytes, most_text),
                p->fleet->satellite[most].id, cost_text(cost, p->plan->bytes, all_text));
}

/* Append " id"; what does not fit is left out. */
static void append(char *line, size_t cap, const char *id)
{
    size_t at = strlen(line);
    size_t n = strlen(id);

    if (at + n + 2 > cap)
        return;
    line[at] = ' ';
    memcpy(line + at + 1, id, n + 1);
}

static void print_waves(struct cli *cli, const struct planning *p)
{
    for (uint32_t w = 0; w < p->plan->n_waves; w++) {
        char line[6U * (NAME_CAP + 1U)] = "";
        char size[CLI_SIZE_CAP], soak[CLI_SIZE_CAP] = "";
        const uint64_t soak_ms = plan_soak_ms(p->plan, p->fleet, w);
        uint64_t bytes = 0;
        uint32_t n = 0;

        for (uint32_t i = 0; i < p->plan->n_satellites; i++) {
            const struct plan_satellite *sat = &p->plan->satellite[i];

            if (!sat->changes || sat->wave != w)
                continue;
            bytes += sat->bytes;
            if (n++ < 6)
                append(line, sizeof line, p->fleet->satellite[i].id);
        }
        if (soak_ms > 0)
            (void)cli_age(soak_ms, soak);
        cli_say(cli, "wave %u of %u:%s%s (%u satellite%s, %s)%s%s", w + 1, p->plan->n_waves, line,
                n > 6 ? " ..." : "", n, n == 1 ? "" : "s", cli_size(bytes, size),
                soak_ms > 0 ? ", then soaks " : "", soak);
    }
}

bool planning_acts(const struct planning *p)
{
    return p->plan->n_changed > 0 || p->plan->n_withdrawn > 0;
}

void planning_print_hash(struct cli *cli, const struct planning *p)
{
    char hash[PLAN_HASH_CAP];

    if (planning_acts(p))
        cli_say(cli, "PLAN %s", plan_hash_text(p->plan, hash));
}

void planning_print(struct cli *cli, const struct planning *p, const struct cost *cost)
{
    char size[CLI_SIZE_CAP], full[CLI_SIZE_CAP];
    const struct plan *plan = p->plan;

    for (uint32_t i = 0; i < plan->n_satellites; i++)
        if (plan->satellite[i].withdraws)
            cli_say(cli, "%s: runs what the file says; the order that is held for it goes",
                    p->fleet->satellite[i].id);
    if (!planning_acts(p)) {
        cli_say(cli, "fleet %s: all %u satellites are ordered to run what the file says",
                p->fleet->name, plan->n_satellites);
        return;
    }
    if (plan->n_changed > 0)
        print_changes(cli, p);
    print_rides(cli, p);
    print_waves(cli, p);
    cli_say(cli, "fleet %s: %u of %u satellites change, %s to send%s%s%s", p->fleet->name,
            plan->n_changed, plan->n_satellites, cli_size(plan->bytes, size),
            plan->bytes < plan->full_bytes ? " (without deltas " : "",
            plan->bytes < plan->full_bytes ? cli_size(plan->full_bytes, full) : "",
            plan->bytes < plan->full_bytes ? ")" : "");
    if (p->fleet->n_stations == 0) /* else the passes themselves are told */
        print_cost(cli, p, cost);
    if (p->blocked_by != 0)
        cli_note(cli, "note: rollout %llu is under way on %s: apply needs --supersede",
                 (unsigned long long)p->blocked_by, p->blocked_on);
    if (p->failed)
        cli_note(cli, "note: %s/%s %s has failed on %s: apply needs --despite-failure",
                 p->failed->tenant, p->failed->name, p->failed->to, p->failed_on);
}

/* ---- for programs -----------------------------------------------------------------------------
 */

static json_t *change_json(const struct planning *p, const struct plan_change *c)
{
    static const char *const verbs[] = {
        [PLAN_ADD] = "add", [PLAN_CHANGE] = "change", [PLAN_REMOVE] = "remove"
    };
    static const char *const rides[] = {
        [0] = "none", [RIDE_FULL] = "full", [RIDE_DELTA] = "delta", [RIDE_WAIT] = "full"
    };
    char payload[2U * NAME_CAP + 1U];

    (void)snprintf(payload, sizeof payload, "%s/%s", c->tenant, c->name);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:s, s:s, s:s, s:i}", "satellite",
                     p->fleet->satellite[c->satellite].id, "payload", payload, "change",
                     verbs[c->verb], "from", c->from, "to", c->to, "to_digest",
                     json_digest(&c->to_manifest), "bytes", json_uint(c->bytes), "full_bytes",
                     json_uint(c->full_bytes), "sends", rides[c->ride.kind], "delta_from",
                     c->ride_from, "because", c->bytes > 0 ? ride_why_text(c->ride.why) : "",
                     "wave", (int)p->plan->satellite[c->satellite].wave + 1);
}

/* What the rate makes of the bytes, for all and for each satellite that gets any. */
static json_t *cost_json(const struct planning *p, const struct cost *cost)
{
    json_t *each = json_object();

    for (uint32_t i = 0; i < p->plan->n_satellites; i++)
        if (p->plan->satellite[i].bytes > 0)
            (void)json_object_set_new(each, p->fleet->satellite[i].id,
                                      cost_passes_json(cost, p->plan->satellite[i].bytes));
    return json_pack("{s:o, s:o, s:o, s:o}", "rate", json_uint(cost->rate), "pass_seconds",
                     json_uint(cost->pass_s), "passes", cost_passes_json(cost, p->plan->bytes),
                     "passes_of", each);
}

json_t *planning_json(const struct planning *p, const struct cost *cost)
{
    json_t *changes = json_array();
    json_t *waves = json_array(), *soaks = json_array();
    char hash[PLAN_HASH_CAP];

    for (uint32_t i = 0; i < p->plan->n_changes; i++)
        (void)json_array_append_new(changes, change_json(p, &p->plan->change[i]));
    for (uint32_t w = 0; w < p->plan->n_waves; w++) {
        json_t *members = json_array();

        for (uint32_t i = 0; i < p->plan->n_satellites; i++)
            if (p->plan->satellite[i].changes && p->plan->satellite[i].wave == w)
                (void)json_array_append_new(members, json_string(p->fleet->satellite[i].id));
        (void)json_array_append_new(waves, members);
        (void)json_array_append_new(soaks, json_uint(plan_soak_ms(p->plan, p->fleet, w)));
    }
    return json_pack("{s:s, s:s, s:i, s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "fleet",
                     p->fleet->name, "plan", plan_hash_text(p->plan, hash), "satellites",
                     (int)p->plan->n_satellites, "changed", (int)p->plan->n_changed, "withdrawn",
                     (int)p->plan->n_withdrawn, "bytes", json_uint(p->plan->bytes), "full_bytes",
                     json_uint(p->plan->full_bytes), "link", cost_json(p, cost), "blocked_by",
                     p->blocked_by ? json_uint(p->blocked_by) : json_null(), "failed_on",
                     p->failed ? json_string(p->failed_on) : json_null(), "changes", changes,
                     "waves", waves, "soaks_ms", soaks);
}
