/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/carrier.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"

#define TICK_MS 20U
#define BATCH_MAX 256U /* files looked at in one directory per tick */
#define HELD_MAX 512U

bool carrier_contact(const struct carrier_link *link, uint64_t t_ms, size_t index, size_t n)
{
    uint64_t period = link->pass_ms + link->gap_ms;
    uint64_t shift = n > 0 ? period * index / n : 0;

    if (link->gap_ms == 0)
        return true;
    return (t_ms + period - shift % period) % period < link->pass_ms;
}

struct carrier_fate carrier_fate(const struct carrier_link *link, struct rng *rng)
{
    struct carrier_fate fate = {
        .lost = rng_chance(rng, link->loss_ppm),
        .doubled = rng_chance(rng, link->duplicate_ppm),
        .damaged = rng_chance(rng, link->corrupt_ppm),
    };
    bool late = rng_chance(rng, link->reorder_ppm);
    uint64_t by = rng_below(rng, link->delay_ms + 1);

    fate.delay_ms = late ? by : 0;
    return fate;
}

void carrier_damage(uint8_t *data, size_t n, struct rng *rng)
{
    uint64_t bit = rng_below(rng, (uint64_t)n * 8);

    data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
}

/* A file that waits for its late arrival. */
struct held {
    bool used;
    int to;
    uint64_t due_ms;
    uint8_t *data;
    size_t n;
};

/* The carrier process. */
struct service {
    const struct carrier_link *link;
    const struct carrier_satellite *satellites;
    size_t n;
    struct rng rng;
    uint64_t start_ms;
    uint64_t names; /* arrivals so far: each gets a name of its own */
    bool in_contact[CARRIER_SATELLITES_MAX];
    uint64_t credit[CARRIER_SATELLITES_MAX][2]; /* bytes that may still pass, up and down */
    uint64_t captured[CARRIER_SATELLITES_MAX];
    struct held held[HELD_MAX];
    volatile struct carrier_counts *counts;
};

struct batch {
    char name[BATCH_MAX][128];
    size_t n;
};

static bool collect(void *arg, const char *name)
{
    struct batch *b = arg;

    if (name[0] != '.' && strlen(name) < sizeof b->name[0] && b->n < BATCH_MAX)
        (void)snprintf(b->name[b->n++], sizeof b->name[0], "%s", name);
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static enum rc arrive(struct service *s, int to, struct bytes data, struct err *err)
{
    char name[64];

    (void)snprintf(name, sizeof name, "%016llx.bundle", (unsigned long long)s->names++);
    s->counts->delivered++;
    return fs_write_file(to, name, data, 0644, err);
}

static void hold(struct service *s, int to, struct bytes data, uint64_t due_ms)
{
    for (size_t i = 0; i < HELD_MAX; i++) {
        struct held *h = &s->held[i];

        if (h->used)
            continue;
        *h = (struct held){ .used = true, .to = to, .due_ms = due_ms, .n = data.n };
        h->data = malloc(data.n + 1);
        if (!h->data)
            h->used = false; /* lost, as any file may be */
        else
            memcpy(h->data, data.p, data.n);
        s->counts->held_back++;
        return;
    }
}

static enum rc release(struct service *s, uint64_t t_ms, struct err *err)
{
    enum rc rc = RC_OK;

    for (size_t i = 0; i < HELD_MAX && rc == RC_OK; i++) {
        struct held *h = &s->held[i];

        if (!h->used || h->due_ms > t_ms)
            continue;
        rc = arrive(s, h->to, (struct bytes){ .p = h->data, .n = h->n }, err);
        free(h->data);
        *h = (struct held){ 0 };
    }
    return rc;
}

/* Carry one file's bytes according to its fate. */
static enum rc carry(struct service *s, int to, uint8_t *data, size_t n, uint64_t t_ms,
                     struct err *err)
{
    struct carrier_fate fate = carrier_fate(s->link, &s->rng);
    struct bytes view = { .p = data, .n = n };
    enum rc rc = RC_OK;

    s->counts->sent++;
    if (fate.lost) {
        s->counts->lost++;
        return RC_OK;
    }
    if (fate.damaged && n > 0) {
        s->counts->damaged++;
        carrier_damage(data, n, &s->rng);
    }
    if (fate.delay_ms > 0)
        hold(s, to, view, t_ms + fate.delay_ms);
    else
        rc = arrive(s, to, view, err);
    if (fate.doubled) {
        s->counts->doubled++;
        hold(s, to, view, t_ms + 1 + fate.delay_ms / 2);
    }
    return rc;
}

static enum rc keep_copy(struct service *s, size_t index, struct bytes data, struct err *err)
{
    char name[32];

    if (s->captured[index] >= CARRIER_CAPTURE_MAX)
        return RC_OK;
    (void)snprintf(name, sizeof name, "%04llu.bundle", (unsigned long long)s->captured[index]++);
    return fs_write_file(s->satellites[index].capture, name, data, 0644, err);
}

/* Take files out of one directory, oldest name first, while the rate allows it. */
static enum rc drain(struct service *s, size_t index, bool up, uint64_t t_ms, struct err *err)
{
    const struct carrier_satellite *sat = &s->satellites[index];
    int from = up ? sat->from_ground : sat->from_satellite;
    int to = up ? sat->to_satellite : sat->to_ground;
    uint64_t *credit = &s->credit[index][up ? 0 : 1];
    struct batch batch = { .n = 0 };
    enum rc rc = fs_list(from, ".", 100000, collect, &batch, NULL, err);

    qsort(batch.name, batch.n, sizeof batch.name[0], by_name);
    for (size_t i = 0; i < batch.n && rc == RC_OK; i++) {
        scoped(free_ptr) uint8_t *data = NULL;
        size_t n = 0;

        rc = fs_read_alloc(from, batch.name[i], BUNDLE_MAX, &data, &n, err);
        if (rc == RC_NOT_FOUND) { /* replaced by its writer meanwhile */
            rc = RC_OK;
            continue;
        }
        if (rc != RC_OK || n > *credit)
            break;
        *credit -= n;
        if (up)
            s->counts->bytes_up += n;
        else
            s->counts->bytes_down += n;
        if (up)
            rc = keep_copy(s, index, (struct bytes){ .p = data, .n = n }, err);
        if (rc == RC_OK && unlinkat(from, batch.name[i], 0) < 0 && errno != ENOENT)
            rc = err_sys(err, RC_IO, "unlink %s", batch.name[i]);
        if (rc == RC_OK)
            rc = carry(s, to, data, n, t_ms, err);
    }
    return rc;
}

static enum rc tick(struct service *s, struct err *err)
{
    uint64_t t = clock_mono_ms() - s->start_ms;
    enum rc rc = release(s, t, err);

    for (size_t i = 0; i < s->n && rc == RC_OK; i++) {
        bool now = carrier_contact(s->link, t, i, s->n) && !s->counts->away[i];

        if (now && !s->in_contact[i])
            s->counts->passes++;
        s->in_contact[i] = now;
        for (size_t d = 0; d < 2; d++) {
            uint64_t most = s->link->rate > BUNDLE_MAX ? s->link->rate : BUNDLE_MAX;

            s->credit[i][d] += now ? s->link->rate * TICK_MS / 1000 : 0;
            if (s->credit[i][d] > most)
                s->credit[i][d] = most;
        }
        if (!now)
            continue;
        rc = drain(s, i, true, t, err);
        if (rc == RC_OK)
            rc = drain(s, i, false, t, err);
    }
    return rc;
}

static volatile sig_atomic_t stop;

static void on_term(int sig)
{
    (void)sig;
    stop = 1;
}

static int serve(struct service *s, pid_t parent)
{
    const struct timespec pause = { .tv_nsec = TICK_MS * 1000000L };
    const struct sigaction act = { .sa_handler = on_term };
    struct err err;
    char text[256];

    if (sigaction(SIGTERM, &act, NULL) < 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
        return 1;
    while (!stop && getppid() == parent) {
        if (tick(s, &err) != RC_OK) {
            (void)fprintf(stderr, "carrier: %s\n", err_text(&err, text, sizeof text));
            return 1;
        }
        (void)nanosleep(&pause, NULL);
    }
    return 0;
}

enum rc carrier_start(const struct carrier_link *link, uint64_t seed,
                      const struct carrier_satellite *satellites, size_t n, struct carrier *ret,
                      struct err *err)
{
    if (n > CARRIER_SATELLITES_MAX)
        return err_set(err, RC_TOO_LARGE, "satellites");

    void *shared = mmap(NULL, sizeof(struct carrier_counts), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t parent = getpid();

    if (shared == MAP_FAILED)
        return err_sys(err, RC_IO, "carrier memory");

    pid_t pid = fork();

    if (pid < 0) {
        (void)munmap(shared, sizeof(struct carrier_counts));
        return err_sys(err, RC_IO, "carrier");
    }
    if (pid == 0) {
        struct service *s = calloc(1, sizeof *s);

        if (!s)
            _exit(1);
        *s = (struct service){ .link = link,
                               .satellites = satellites,
                               .n = n,
                               .rng = rng_make(seed, 1),
                               .start_ms = clock_mono_ms(),
                               .counts = shared };
        _exit(serve(s, parent));
    }
    *ret = (struct carrier){ .pid = pid, .counts = shared };
    return RC_OK;
}

void carrier_stop(struct carrier *carrier)
{
    if (carrier->pid <= 0)
        return;
    (void)kill(carrier->pid, SIGTERM);
    while (waitpid(carrier->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    carrier->pid = 0;
}
