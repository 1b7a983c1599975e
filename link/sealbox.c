/* SPDX-License-Identifier: Apache-2.0 */
#include "link/sealbox.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "base/statefile.h"
#include "link/bundle.h"
#include "link/counter.h"
#include "link/replay.h"

#define KEY_NAME "key"
#define LOCK_NAME "lock"
#define DTN_EPOCH_MS UINT64_C(946684800000)           /* 2000-01-01 (RFC 9171 section 4.2.6) */
#define GRACE_MS (UINT64_C(30) * 24U * 3600U * 1000U) /* as long as mail lives */
#define COUNTER_BITS 40U                              /* below COUNTER_MAX */
#define OTHERS 077U                                   /* mode bits */

/* ---- the directory ----------------------------------------------------------------------------
 */

/* Whether only we can read it. */
static enum rc check_private(const struct stat *st, const char *what, struct err *err)
{
    if (st->st_uid != geteuid())
        return err_set(err, RC_KEY_FILE, "%s belongs to another user", what);
    if ((st->st_mode & OTHERS) != 0)
        return err_set(err, RC_KEY_FILE, "%s is open to others (mode %04o)", what,
                       (unsigned)st->st_mode & 07777U);
    return RC_OK;
}

static enum rc check_files(int dir, struct err *err)
{
    static const char *const names[] = { KEY_NAME ".a", KEY_NAME ".b" };
    struct stat st;
    enum rc rc = fstat(dir, &st) == 0 ? check_private(&st, "the directory", err)
                                      : err_sys(err, RC_IO, "directory of keys");

    for (size_t i = 0; rc == RC_OK && i < 2; i++) {
        if (fstatat(dir, names[i], &st, AT_SYMLINK_NOFOLLOW) == 0)
            rc = check_private(&st, names[i], err);
    }
    return rc;
}

static enum rc save_ring(const struct sealbox *box, struct err *err)
{
    uint8_t buf[SEAL_RING_MAX];
    struct bytes content = { 0 };
    enum rc rc = seal_ring_encode(&box->ring, buf, sizeof buf, &content, err);

    if (rc == RC_OK)
        rc = statefile_save_both(box->dir, KEY_NAME, content, err);
    crypto_wipe(buf, sizeof buf);
    return rc;
}

static enum rc load_ring(struct sealbox *box, struct err *err)
{
    uint8_t buf[SEAL_RING_MAX];
    size_t n = 0;
    enum rc rc = statefile_load(box->dir, KEY_NAME, buf, sizeof buf, &n, NULL, err);

    if (rc == RC_OK)
        rc = seal_ring_decode((struct bytes){ buf, n }, &box->ring, err);
    else if (rc == RC_STATE_DAMAGED || rc == RC_TOO_LARGE)
        rc = err_set(err, RC_KEY_FILE, KEY_NAME ": %s", rc_name(rc));
    crypto_wipe(buf, sizeof buf);
    return rc;
}

/* Which nodes numbers of the other end's are counted for. */
static uint32_t peer_of(const struct seal_ring *ring)
{
    const struct keys *keys = &ring->epoch[0].keys;

    return ring->end == SEAL_GROUND ? keys->satellite : keys->ground;
}

static bool is_there(int dir, const char *prefix, uint64_t number)
{
    char name[48];
    struct stat st;

    for (int copy = 'a'; copy <= 'b'; copy++) {
        (void)snprintf(name, sizeof name, "%s%016" PRIx64 ".%c", prefix, number, copy);
        if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            return true;
    }
    return false;
}

static void drop_count(int dir, const char *prefix, uint64_t number)
{
    char name[48];

    for (int copy = 'a'; copy <= 'b'; copy++) {
        (void)snprintf(name, sizeof name, "%s%016" PRIx64 ".%c", prefix, number, copy);
        (void)unlinkat(dir, name, 0);
    }
}

/* Of an epoch under which nothing can be opened any more.  A file that stays costs its bytes. */
static void drop_counts(int dir, uint64_t number)
{
    if (number == 0)
        return;
    drop_count(dir, COUNTER_PREFIX, number);
    drop_count(dir, REPLAY_PREFIX, number);
}

/* What is counted under a key.  What is there already was made for the same key, by an end whose
 * ring was lost or brought back: it goes on, and outlives a call that fails.  What is made by half
 * goes: one copy alone would mean that the other got lost. */
static enum rc make_counts(int dir, uint32_t peer, uint64_t number, struct err *err)
{
    const bool counts = is_there(dir, COUNTER_PREFIX, number);
    const bool window = is_there(dir, REPLAY_PREFIX, number);
    enum rc rc = counts ? RC_OK : counter_make(dir, number, err);

    if (rc != RC_OK)
        drop_count(dir, COUNTER_PREFIX, number);
    else if (!window && (rc = replay_make(dir, peer, number, err)) != RC_OK)
        drop_count(dir, REPLAY_PREFIX, number);
    return rc;
}

enum rc sealbox_make(int dir, enum seal_end end, const struct keys *keys, bool confirmed,
                     struct err *err)
{
    scoped(sealbox_close) struct sealbox box = SEALBOX_NONE;
    struct seal_epoch *at = NULL;
    uint64_t dropped = 0;
    struct stat st;
    enum rc rc = check_files(dir, err);

    if (rc == RC_OK)
        rc = fs_lock(dir, LOCK_NAME, &box.lock, err);
    if (rc == RC_OK)
        rc = fs_sweep(dir, ".", err);
    if (rc == RC_OK && (fstatat(dir, KEY_NAME ".a", &st, AT_SYMLINK_NOFOLLOW) == 0 ||
                        fstatat(dir, KEY_NAME ".b", &st, AT_SYMLINK_NOFOLLOW) == 0))
        rc = err_set(err, RC_EXISTS, "there is a key in this directory");
    if (rc != RC_OK)
        return rc;
    box.dir = dir;
    box.ring.end = end;
    box.ring.grace_ms = GRACE_MS;
    rc = seal_ring_add(&box.ring, keys, confirmed ? SEAL_INSTALLED : SEAL_MADE, &at, &dropped, err);
    if (rc == RC_OK)
        rc = make_counts(dir, peer_of(&box.ring), at->number, err);
    if (rc == RC_OK)
        rc = save_ring(&box, err);
    if (rc != RC_OK) { /* or the next try would find a key that nobody was told of */
        (void)unlinkat(dir, KEY_NAME ".a", 0);
        (void)unlinkat(dir, KEY_NAME ".b", 0);
    }
    return rc;
}

enum rc sealbox_look(int dir, struct sealbox *ret, struct err *err)
{
    scoped(sealbox_close) struct sealbox box = SEALBOX_NONE;
    enum rc rc = check_files(dir, err);

    box.dir = dir;
    if (rc == RC_OK)
        rc = load_ring(&box, err);
    if (rc == RC_OK)
        *ret = box;
    return rc;
}

enum rc sealbox_open(int dir, struct sealbox *ret, struct err *err)
{
    scoped(close_fd) int lock = -1;
    enum rc rc = check_files(dir, err);

    if (rc == RC_OK)
        rc = fs_lock(dir, LOCK_NAME, &lock, err);
    if (rc == RC_OK)
        rc = fs_sweep(dir, ".", err);
    if (rc == RC_OK)
        rc = sealbox_look(dir, ret, err);
    if (rc == RC_OK)
        ret->lock = take_fd(&lock);
    return rc;
}

void sealbox_close(struct sealbox *box)
{
    close_fd(&box->lock);
    seal_ring_wipe(&box->ring);
}

/* ---- keys -------------------------------------------------------------------------------------
 */

enum rc sealbox_add(struct sealbox *box, const struct keys *keys, enum seal_add how, bool *ret_new,
                    struct err *err)
{
    scoped(seal_ring_wipe) struct seal_ring before = box->ring;
    struct seal_epoch *at = NULL;
    uint64_t dropped = 0;
    enum rc rc = seal_ring_add(&box->ring, keys, how, &at, &dropped, err);

    if (rc == RC_OK && at != NULL)
        rc = make_counts(box->dir, peer_of(&box->ring), at->number, err);
    if (rc == RC_OK) /* one that is held too: it may be there by half */
        rc = save_ring(box, err);
    if (rc != RC_OK) {
        box->ring = before;
        return rc;
    }
    drop_counts(box->dir, dropped);
    *ret_new = at != NULL;
    return RC_OK;
}

void sealbox_set_grace(struct sealbox *box, uint64_t grace_ms)
{
    box->ring.grace_ms = grace_ms < SEAL_GRACE_MAX_MS ? grace_ms : SEAL_GRACE_MAX_MS;
}

/* ---- messages ---------------------------------------------------------------------------------
 */

/* The endpoints of what goes from one end to the other. */
static enum rc ends_of(const struct seal_ring *ring, enum seal_end from, struct eid *ret_src,
                       struct eid *ret_dst, struct err *err)
{
    const struct keys *k = &ring->epoch[0].keys;
    const bool down = from == SEAL_PAYLOAD;
    enum rc rc = mail_eid(k->satellite, k->tenant, k->payload, down ? ret_src : ret_dst, err);

    return rc == RC_OK ? mail_eid(k->ground, k->tenant, "", down ? ret_dst : ret_src, err) : rc;
}

static const struct link_keys *sending(const struct seal_ring *ring, const struct keys *keys)
{
    return ring->end == SEAL_GROUND ? &keys->up : &keys->down;
}

static const struct link_keys *receiving(const struct seal_ring *ring, const struct keys *keys)
{
    return ring->end == SEAL_GROUND ? &keys->down : &keys->up;
}

/* Forget an epoch whose grace is over, for good: a clock may go back. */
static enum rc settle(struct sealbox *box, bool news, uint64_t now_ms, struct err *err)
{
    const uint64_t dropped = seal_ring_settle(&box->ring, now_ms);
    enum rc rc = news || dropped != 0 ? save_ring(box, err) : RC_OK;

    if (rc == RC_OK)
        drop_counts(box->dir, dropped);
    return rc;
}

enum rc sealbox_seal(struct sealbox *box, struct bytes plain, uint64_t now_ms, uint64_t life_ms,
                     uint8_t *out, size_t *ret_n, uint32_t *ret_epoch, struct err *err)
{
    struct link_message m = { .lifetime_ms = life_ms, .payload = plain };
    struct counter counter = { 0 };

    if (plain.n > SEALBOX_PLAIN_MAX)
        return err_set(err, RC_TOO_LARGE, "message of %zu bytes", plain.n);
    enum rc rc = settle(box, false, now_ms, err);
    const struct seal_epoch *e = seal_ring_sender(&box->ring);
    m.key = e->number;
    if (rc == RC_OK)
        rc = ends_of(&box->ring, box->ring.end, &m.src, &m.dst, err);
    if (rc == RC_OK)
        rc = counter_load(box->dir, e->number, &counter, err);
    counter.lease = 1; /* a receiver's window is for numbers that were used */
    if (rc == RC_OK)
        rc = counter_next(&counter, box->dir, &m.counter, err);
    if (rc != RC_OK)
        return rc;
    m.salt = counter.salt;
    m.sequence = counter_sequence(e->number, m.counter);
    m.time_ms = now_ms > DTN_EPOCH_MS ? now_ms - DTN_EPOCH_MS : 0;
    *ret_epoch = e->keys.epoch;
    return link_seal(&m, sending(&box->ring, &e->keys), out, plain.n + LINK_OVERHEAD_MAX, ret_n,
                     err);
}

/* What link_open asks for keys, and what it is told. */
struct finding {
    struct sealbox *box;
    struct eid src, dst;
    uint64_t now_ms;
};

/* Addresses as they are claimed: so that who takes the wrong directory is told that.  What is no
 * bundle is left to link_open. */
static enum rc check_claimed(const struct finding *f, struct bytes in, struct err *err)
{
    struct bundle b;
    struct err ignored;

    if (bundle_decode(in, BUNDLE_STRICT, &b, &ignored) != RC_OK)
        return RC_OK;
    if (eid_equal(&b.src, &f->dst) && eid_equal(&b.dst, &f->src))
        return err_set(err, RC_SEAL_KEY, "sealed by this end itself");
    if (!eid_equal(&b.src, &f->src) || !eid_equal(&b.dst, &f->dst))
        return err_set(err, RC_SEAL_KEY, "of another tenant, payload, satellite or ground");
    return RC_OK;
}

static enum rc find_keys(void *arg, const struct eid *src, uint64_t number, struct link_keys *ret,
                         struct err *err)
{
    const struct finding *f = arg;

    if (!eid_equal(src, &f->src))
        return err_set(err, RC_SEAL_KEY, "of another tenant, payload, satellite or ground");
    const struct seal_epoch *e = seal_ring_receiver(&f->box->ring, number, f->now_ms);
    if (e == NULL)
        return err_set(err, RC_BPSEC_KEY, "epoch %u is not held, or its grace is over",
                       (unsigned)(number & UINT32_MAX));
    *ret = *receiving(&f->box->ring, &e->keys);
    return RC_OK;
}

/* Meaning of what is authentic. */
static enum rc check_opened(const struct finding *f, const struct link_opened *o, struct err *err)
{
    if (!eid_equal(&o->dst, &f->dst))
        return err_set(err, RC_SEAL_KEY, "for another tenant, payload, satellite or ground");
    if (o->time_ms != 0 && f->now_ms > DTN_EPOCH_MS && f->now_ms - DTN_EPOCH_MS > o->time_ms &&
        f->now_ms - DTN_EPOCH_MS - o->time_ms > o->lifetime_ms)
        return err_set(err, RC_BUNDLE_EXPIRED, "sealed message");
    return RC_OK;
}

enum rc sealbox_open_message(struct sealbox *box, uint8_t *buf, size_t n, uint64_t now_ms,
                             struct sealbox_message *ret, struct err *err)
{
    const enum seal_end other = box->ring.end == SEAL_GROUND ? SEAL_PAYLOAD : SEAL_GROUND;
    struct finding f = { .box = box, .now_ms = now_ms };
    struct link_opened o;
    enum rc rc = ends_of(&box->ring, other, &f.src, &f.dst, err);

    if (rc == RC_OK)
        rc = check_claimed(&f, (struct bytes){ buf, n }, err);
    if (rc == RC_OK)
        rc = link_open(buf, n, &(struct link_finder){ .find = find_keys, .arg = &f }, &o, err);
    if (rc != RC_OK)
        return rc;
    rc = check_opened(&f, &o, err);
    if (rc != RC_OK) {
        crypto_wipe(buf, n);
        return rc;
    }
    *ret = (struct sealbox_message){ .plain = o.payload,
                                     .number = o.key,
                                     .epoch = (uint32_t)o.key,
                                     .counter = o.counter,
                                     .time_ms = o.time_ms != 0 ? o.time_ms + DTN_EPOCH_MS : 0 };
    return RC_OK;
}

enum rc sealbox_accept(struct sealbox *box, const struct sealbox_message *m, uint64_t now_ms,
                       struct err *err)
{
    struct seal_epoch *e = seal_ring_receiver(&box->ring, m->number, now_ms);
    struct replay window = { 0 };

    if (e == NULL)
        return err_set(err, RC_BPSEC_KEY, "epoch %u", m->epoch);
    enum rc rc = replay_load(box->dir, peer_of(&box->ring), m->number, &window, err);
    const bool gave_up = window.dirty; /* numbers, with a copy that is damaged (link/replay) */
    if (rc == RC_OK)
        rc = replay_accept(&window, m->counter, err);
    if (rc == RC_REPLAY && gave_up)
        rc = err_set(err, RC_REPLAY, "seen, or given up with a damaged copy of the window");
    if (rc == RC_OK)
        rc = replay_save(&window, box->dir, err);
    if (rc != RC_OK)
        return rc;

    /* Lost by a power cut it is made up for by the next message. */
    return settle(box, seal_ring_saw(&box->ring, e, now_ms), now_ms, err);
}

enum rc sealbox_note_again(struct sealbox *box, const struct sealbox_message *m, struct err *err)
{
    struct replay window = { 0 };
    enum rc rc = replay_load(box->dir, peer_of(&box->ring), m->number, &window, err);

    if (rc == RC_OK && replay_accept(&window, m->counter, err) != RC_REPLAY)
        rc = err_set(err, RC_REPLAY_OLD, "message %" PRIu64, m->counter);
    window.dirty = true;
    return rc == RC_OK ? replay_save(&window, box->dir, err) : rc;
}
