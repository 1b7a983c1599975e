/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/prepare.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "orchestrator/checking.h"
#include "orchestrator/delta_cache.h"
#include "orchestrator/delta_make.h"
#include "orchestrator/screen.h"

#define ASK_AGAIN_MS 200

/* Pairs that a plan has no delta for. */
struct wanted {
    size_t n;
    struct delta_pair *pair;
};

static void wanted_done(struct wanted *wanted)
{
    free(wanted->pair);
}

static bool is_listed(const struct wanted *wanted, const struct delta_pair *pair)
{
    for (size_t i = 0; i < wanted->n; i++)
        if (wanted->pair[i].base == pair->base && wanted->pair[i].to == pair->to)
            return true;
    return false;
}

static enum rc find_wanted(const struct planning *p, struct wanted *ret, struct err *err)
{
    ret->n = 0;
    ret->pair = calloc(p->plan->n_changes + 1U, sizeof *ret->pair);
    if (!ret->pair)
        return err_set(err, RC_NO_MEMORY, "plan");
    for (uint32_t i = 0; i < p->plan->n_changes; i++) {
        const struct plan_change *c = &p->plan->change[i];
        const struct delta_pair pair = { .base = view_package(p->view, &c->ride.base),
                                         .to = view_package(p->view, &c->to_manifest) };

        const bool lacks = c->ride.why == RIDE_NOT_MADE || c->ride.why == RIDE_UNMAKABLE;

        if (c->bytes > 0 && lacks && pair.base && pair.to && !is_listed(ret, &pair))
            ret->pair[ret->n++] = pair;
    }
    return RC_OK;
}

/* ---- how far it is ----------------------------------------------------------------------------
 */

struct teller {
    struct cli *cli;
    char what[2 * NAME_CAP + 2 * VERSION_CAP + 16];
    bool shows; /* stderr is a terminal */
    unsigned percent;
};

static void tell(void *arg, uint64_t done, uint64_t total)
{
    struct teller *t = arg;
    unsigned percent = total > 0 ? (unsigned)(done * 100U / total) : 0;

    if (!t->shows || percent == t->percent)
        return;
    t->percent = percent;
    (void)fprintf(t->cli->err, "\r%s: %u %% ", t->what, percent);
    (void)fflush(t->cli->err);
}

static void tell_end(const struct teller *t, const struct delta_pair *pair,
                     const struct store_delta *row, const struct err *failed)
{
    char size[COST_TEXT_CAP], full[COST_TEXT_CAP], what[sizeof failed->what];

    if (t->shows)
        (void)fputs("\r\033[K", t->cli->err); /* the line is written again, without the percents */
    if (failed)
        cli_note(t->cli, "note: %s: %s: %s: the full package goes", t->what, rc_name(failed->rc),
                 screen_safe(failed->what, what, sizeof what)); /* names in it are a tenant's */
    else if (row->state == DELTA_READY)
        cli_note(t->cli, "%s: %s bytes (full %s)", t->what, cost_bytes(row->size, size),
                 cost_bytes(pair->to->size, full));
    else
        cli_note(t->cli, "%s: saves too little, the full package goes", t->what);
}

/* ---- making -----------------------------------------------------------------------------------
 */

static void make_one(struct cli *cli, struct delta_cache *cache, const struct delta_pair *pair)
{
    struct teller teller = { .cli = cli, .shows = !cli->json && isatty(STDERR_FILENO) };
    const struct make_progress progress = { .tell = tell, .arg = &teller };
    struct store_delta row;
    struct err err = { 0 };

    (void)snprintf(teller.what, sizeof teller.what, "delta %s/%s %s -> %s", pair->to->tenant,
                   pair->to->name, pair->base->version, pair->to->version);
    tell(&teller, 0, 1);
    if (delta_cache_make(cache, pair, &progress, clock_unix_ms(), &row, &err) == RC_OK)
        tell_end(&teller, pair, &row, NULL);
    else
        tell_end(&teller, pair, NULL, &err);
}

/* Another program may be at it: it ends, or it is given up after as long as one delta may take. */
static enum rc open_cache(struct cli *cli, const struct home *home, int program,
                          struct delta_cache *ret, struct err *err)
{
    const struct timespec pause = { .tv_nsec = ASK_AGAIN_MS * 1000000L };
    uint64_t until_ms = clock_mono_ms() + DELTA_MAKE_TIMEOUT_MS;
    enum rc rc = delta_cache_open(home, program, ret, err);
    bool said = false;

    while (rc == RC_BUSY && clock_mono_ms() < until_ms) {
        if (!said)
            cli_note(cli, "note: another berth is making deltas: waiting for it");
        said = true;
        (void)nanosleep(&pause, NULL);
        rc = delta_cache_open(home, program, ret, err);
    }
    return rc;
}

static enum rc make_all(struct cli *cli, const struct home *home, const struct wanted *wanted,
                        struct err *err)
{
    scoped(delta_cache_close) struct delta_cache cache = DELTA_CACHE_NONE;
    scoped(close_fd) int program = -1;
    enum rc rc = checking_sibling("berth-unpack", &program, err);

    if (rc == RC_OK)
        rc = open_cache(cli, home, program, &cache, err);
    cache.retry = cli_flag(cli, "retry");
    for (size_t i = 0; rc == RC_OK && i < wanted->n; i++)
        make_one(cli, &cache, &wanted->pair[i]);
    return rc == RC_OK ? delta_cache_trim(&cache, DELTA_CACHE_MAX, err) : rc;
}

enum rc prepare_deltas(struct cli *cli, const struct home *home, const struct fleet *fleet,
                       const char *path, struct err *err)
{
    scoped(planning_done) struct planning p = { 0 };
    scoped(wanted_done) struct wanted wanted = { 0 };
    struct err why = { 0 };
    enum rc rc = planning_make(home->store, fleet, path, &p, err);

    if (rc == RC_OK)
        rc = find_wanted(&p, &wanted, err);
    if (rc != RC_OK || wanted.n == 0)
        return rc;
    if (make_all(cli, home, &wanted, &why) != RC_OK)
        cli_note(cli, "note: no further deltas: %s: %s: full packages go", rc_name(why.rc),
                 why.what);
    return RC_OK;
}
