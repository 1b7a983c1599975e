/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/flatsat/flushes.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "tests/flatsat/run.h"

#define LOG "log.img"
#define LOG_BYTES (4ULL << 30U) /* most of it a hole */
#define BEFORE "before.img"     /* the disk as it was launched */
#define SOME "some.img"
#define SECTOR 512U
#define ENTRY_SECTORS_MAX 65536U /* of one write; a kernel's are smaller */

/* The log as the kernel writes it (drivers/md/dm-log-writes.c): one sector of head, then entries:
 * one sector each, followed by the data.  Little endian, as this machine is. */
#define LOG_MAGIC 0x6a736677736872ULL
enum { LOG_FLUSH = 1, LOG_FUA = 2, LOG_DISCARD = 4, LOG_MARK = 8 };

struct log_head {
    uint64_t magic, version, entries;
    uint32_t sector_bytes;
};

struct log_entry {
    uint64_t sector, sectors, flags, data_bytes;
};

struct replay {
    struct run *run;
    const struct flushes_options *o;
    struct rng rng;
    int log_fd, disk_fd;           /* the disk at the last flush */
    uint64_t entries, done, at;    /* of the log: all, applied, where the next one lies */
    uint64_t flushes, looks, some; /* of them: all, looked at, looked at a little later */
    uint32_t committed[16];        /* versions that may be what committed last */
    uint32_t n_committed;
    struct disk_view view; /* at the last flush that was looked at */
    uint8_t *buf;
};

/* ---- the log ------------------------------------------------------------------------------------
 */

static enum rc read_entry(const struct replay *p, uint64_t at, struct log_entry *ret,
                          struct err *err)
{
    enum rc rc = fs_pread_exact(p->log_fd, (uint8_t *)ret, sizeof *ret, at, err);

    if (rc == RC_OK && ret->sectors > ENTRY_SECTORS_MAX && (ret->flags & LOG_DISCARD) == 0)
        rc = err_set(err, RC_SCENARIO, "log: a write of %llu sectors",
                     (unsigned long long)ret->sectors);
    return rc;
}

static uint64_t after(uint64_t at, const struct log_entry *e)
{
    return at + SECTOR + ((e->flags & LOG_DISCARD) == 0 ? e->sectors * SECTOR : 0);
}

static bool is_flush(const struct log_entry *e)
{
    return (e->flags & (LOG_FLUSH | LOG_FUA)) != 0;
}

/* What was discarded may read as anything; here it stays. */
static enum rc apply(const struct replay *p, int fd, uint64_t at, const struct log_entry *e,
                     struct err *err)
{
    const size_t n = (size_t)e->sectors * SECTOR;

    if (n == 0 || (e->flags & (LOG_DISCARD | LOG_MARK)) != 0)
        return RC_OK;
    enum rc rc = fs_pread_exact(p->log_fd, p->buf, n, at + SECTOR, err);

    if (rc == RC_OK && pwrite(fd, p->buf, n, (off_t)(e->sector * SECTOR)) != (ssize_t)n)
        rc = err_sys(err, RC_IO, "replay");
    return rc;
}

/* Count what there is. */
static enum rc open_log(struct replay *p, struct err *err)
{
    struct log_head head;
    struct log_entry e;
    enum rc rc = fs_open(p->run->work_fd, LOG, O_RDONLY, 0, &p->log_fd, err);

    if (rc == RC_OK)
        rc = fs_pread_exact(p->log_fd, (uint8_t *)&head, sizeof head, 0, err);
    if (rc == RC_OK && (head.magic != LOG_MAGIC || head.sector_bytes != SECTOR))
        rc = err_set(err, RC_SCENARIO, "log: not one of dm-log-writes");
    if (rc != RC_OK)
        return rc;
    p->entries = head.entries;
    p->at = SECTOR;
    uint64_t at = p->at;

    for (uint64_t i = 0; i < p->entries && rc == RC_OK; i++) {
        rc = read_entry(p, at, &e, err);
        p->flushes += is_flush(&e) ? 1 : 0;
        at = after(at, &e);
    }
    return rc;
}

/* On to the next flush; false at the end. */
static bool next_flush(struct replay *p, enum rc *ret_rc, struct err *err)
{
    struct log_entry e = { 0 };

    while (p->done < p->entries) {
        *ret_rc = read_entry(p, p->at, &e, err);
        if (*ret_rc == RC_OK)
            *ret_rc = apply(p, p->disk_fd, p->at, &e, err);
        if (*ret_rc != RC_OK)
            return false;
        p->at = after(p->at, &e);
        p->done++;
        if (is_flush(&e))
            return true;
    }
    return false;
}

/* ---- looking ------------------------------------------------------------------------------------
 */

static enum rc look(struct replay *p, const char *file, struct disk_view *ret, struct err *err)
{
    enum rc rc = disk_look(p->run->work_fd, p->run->log_fd, file, ret, err);
    bool known = ret->good[0] == '\0' && p->view.good[0] == '\0';

    if (rc == RC_OK)
        rc = disk_compare(&p->view, ret, err);
    for (uint32_t i = 0; i < p->n_committed; i++)
        known |= strtoul(ret->good, NULL, 10) == p->committed[i];
    if (rc == RC_OK && !known)
        rc = err_set(err, RC_SCENARIO, "lost: '%s' is what committed last", ret->good);
    return rc;
}

/* The disk a little later: half of the writes up to the next flush are on it. */
static enum rc look_later(struct replay *p, struct err *err)
{
    scoped(close_fd) int fd = -1;
    struct disk_view view = { 0 };
    struct log_entry e = { 0 };
    uint64_t at = p->at, kept = 0;
    enum rc rc = disk_copy(p->run->work_fd, p->run->log_fd, BEFORE, SOME, err);

    if (rc == RC_OK)
        rc = fs_open(p->run->work_fd, SOME, O_RDWR, 0, &fd, err);
    for (uint64_t i = p->done; i < p->entries && rc == RC_OK; i++) {
        rc = read_entry(p, at, &e, err);
        if (rc != RC_OK || is_flush(&e))
            break;
        if (rng_below(&p->rng, 2) == 0) {
            rc = apply(p, fd, at, &e, err);
            kept++;
        }
        at = after(at, &e);
    }
    if (rc != RC_OK || kept == 0)
        return rc;
    p->some++;
    return look(p, SOME, &view, err);
}

static enum rc look_at_points(struct replay *p, struct err *err)
{
    enum rc rc = fs_open(p->run->work_fd, BEFORE, O_RDWR, 0, &p->disk_fd, err);
    uint64_t n = 0;

    while (rc == RC_OK && next_flush(p, &rc, err)) {
        /* evenly: the n-th of all is looked at when the share that is due has grown by one */
        const bool due = n * p->o->points / p->flushes != (n + 1) * p->o->points / p->flushes;

        n++;
        if (!due && p->flushes > p->o->points)
            continue;
        struct disk_view view = { 0 };

        rc = look(p, BEFORE, &view, err);
        if (rc != RC_OK)
            break;
        p->view = view;
        p->looks++;
        rc = look_later(p, err);
    }
    if (rc != RC_OK)
        run_say(p->run, "at entry %llu of %llu, flush %llu of %llu", (unsigned long long)p->done,
                (unsigned long long)p->entries, (unsigned long long)n,
                (unsigned long long)p->flushes);
    return rc;
}

/* ---- the run ------------------------------------------------------------------------------------
 */

/* What is logged: one errand of each kind, and an update at the end. */
static enum rc fly(struct replay *p, struct err *err)
{
    static const enum errand errands[] = { ERRAND_UPDATE, ERRAND_BAD, ERRAND_ROTATE, ERRAND_REVOKE,
                                           ERRAND_UPDATE };
    struct run *r = p->run;
    enum rc rc = run_first_version(r, err);

    p->committed[p->n_committed++] = r->runs;
    for (size_t i = 0; i < sizeof errands / sizeof *errands && rc == RC_OK; i++) {
        rc = run_begin(r, errands[i], err);
        if (rc == RC_OK)
            rc = run_wait_end(r, err);
        if (rc != RC_OK)
            break;
        run_settle(r);
        run_say(r, "%s: %u.0.0 runs", errand_name(errands[i]), r->runs);
        p->committed[p->n_committed++] = r->runs;
    }
    return rc == RC_OK ? guest_power_off(&r->guest, RUN_COMMAND_MS, err) : rc;
}

static enum rc make_log(struct run *r, struct err *err)
{
    scoped(close_fd) int fd = -1;
    enum rc rc = fs_open(r->work_fd, LOG, O_RDWR | O_CREAT | O_EXCL, 0644, &fd, err);

    if (rc == RC_OK && ftruncate(fd, (off_t)LOG_BYTES) != 0)
        rc = err_sys(err, RC_IO, LOG);
    return rc;
}

static enum rc whole_run(struct replay *p, struct err *err)
{
    char log[PATH_MAX];
    enum rc rc = run_prepare(p->run, err);

    (void)snprintf(log, sizeof log, "%.4000s/" LOG, p->run->work);
    p->run->log = log;
    if (rc == RC_OK)
        rc = make_log(p->run, err);
    if (rc == RC_OK)
        rc = disk_copy(p->run->work_fd, p->run->log_fd, RUN_STATE, BEFORE, err);
    if (rc == RC_OK)
        rc = fly(p, err);
    ground_stop(&p->run->ground);
    if (rc == RC_OK)
        rc = open_log(p, err);
    if (rc == RC_OK)
        run_say(p->run, "%llu writes, %llu flushes", (unsigned long long)p->entries,
                (unsigned long long)p->flushes);
    return rc == RC_OK ? look_at_points(p, err) : rc;
}

static void tell(const struct replay *p, bool good, const struct err *err)
{
    FILE *out = p->o->row ? fopen(p->o->row, "ae") : NULL;
    char text[256];

    (void)printf("flatsat: %llu writes, %llu flushes; the disk at %llu of them, and %llu times a "
                 "little later; %s%s\n",
                 (unsigned long long)p->entries, (unsigned long long)p->flushes,
                 (unsigned long long)p->looks, (unsigned long long)p->some,
                 good ? "lost 0" : "FAILED: ", good ? "" : err_text(err, text, sizeof text));
    if (!good)
        (void)printf(
            "disks, log, console.txt, log.txt: %s\nagain: make flatsat-flushes SEED=%llu\n",
            p->run->work, (unsigned long long)p->o->seed);
    if (!out)
        return;
    (void)fprintf(
        out,
        "{\"figure\":\"disks at flushes of a flatsat with nothing lost\",\"value\":%llu,"
        "\"unit\":\"disks\",\"seed\":%llu,\"flushes\":%llu,\"lost\":%d,\"seconds\":%llu}\n",
        (unsigned long long)(p->looks + p->some), (unsigned long long)p->o->seed,
        (unsigned long long)p->flushes, good ? 0 : 1,
        (unsigned long long)(clock_mono_ms() - p->run->began_ms) / 1000);
    (void)fclose(out);
}

int flushes_run(const struct flushes_options *options)
{
    scoped(free_ptr) struct run *r = calloc(1, sizeof *r);
    scoped(free_ptr) uint8_t *buf = malloc((size_t)ENTRY_SECTORS_MAX * SECTOR);
    struct replay p = { .run = r,
                        .o = options,
                        .rng = rng_make(options->seed, 2),
                        .log_fd = -1,
                        .disk_fd = -1,
                        .buf = buf };
    struct err err = { 0 };

    if (!r || !buf)
        return 1;
    r->images = options->images;
    r->seed = options->seed;
    r->verbose = options->verbose;
    const bool good = whole_run(&p, &err) == RC_OK;

    tell(&p, good, &err);
    close_fd(&p.log_fd);
    close_fd(&p.disk_fd);
    run_close(r, options->keep || !good);
    return good ? 0 : 1;
}
