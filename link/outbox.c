/* SPDX-License-Identifier: Apache-2.0 */
#include "link/outbox.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fs.h"
#include "link/dircl.h"
#include "link/transfer.h"

static_assert(COUNTER_RESTORED_MAX + 2 * COUNTER_LEASE < REPLAY_JUMP_MAX,
              "the other end accepts what comes after a backup came back");

#define MAIL_MARK "-mail"
#define BRIEF_MARK "-brief"
#define LIFETIME_MS (UINT64_C(30) * 24U * 3600U * 1000U)

/* What a name says about the message, for who looks into the directory. */
enum mark { MARK_NONE, MARK_MAIL, MARK_BRIEF };

/* Old keys before new ones, so that what was sealed under an old key arrives before the first
 * bundle that ends it. */
static const char *bundle_name(uint64_t key, uint64_t counter, enum mark mark,
                               char out[DIRCL_NAME_CAP])
{
    const uint32_t epoch = (uint32_t)key, tag = (uint32_t)(key >> 32);

    if (mark != MARK_NONE)
        snprintf(out, DIRCL_NAME_CAP, "%08" PRIx32 "-%016" PRIx64 "%s" DIRCL_SUFFIX, epoch, counter,
                 mark == MARK_MAIL ? MAIL_MARK : BRIEF_MARK);
    else if (tag == 0)
        snprintf(out, DIRCL_NAME_CAP, "%08" PRIx32 "-%016" PRIx64 DIRCL_SUFFIX, epoch, counter);
    else
        snprintf(out, DIRCL_NAME_CAP, "%08" PRIx32 "-%016" PRIx64 "-%08" PRIx32 DIRCL_SUFFIX, epoch,
                 counter, tag);
    return out;
}

static enum rc put(struct link_state *state, const char *tenant, int dirfd, struct bytes message,
                   enum mark mark, struct err *err)
{
    size_t cap = message.n + LINK_OVERHEAD_MAX;
    scoped(free_ptr) uint8_t *buf = malloc(cap);
    struct link_key *key = link_keyring_sender(state->ring, tenant);
    uint64_t counter = 0;
    size_t n = 0;
    char name[DIRCL_NAME_CAP];

    if (buf == NULL)
        return err_set(err, RC_NO_MEMORY, "bundle");
    if (key == NULL)
        return err_set(err, RC_BPSEC_KEY, "link key of %s", tenant);
    enum rc rc = counter_next(&key->counter, state->dirfd, &counter, err);
    if (rc != RC_OK)
        return rc;
    /* No clock is assumed: creation time 0 with an age block, and the counter never repeats. */
    const struct link_message bundle = { .src = eid_ipn(link_state_self(state), LINK_SERVICE),
                                         .dst = eid_ipn(link_state_peer(state), LINK_SERVICE),
                                         .sequence = counter_sequence(key->number, counter),
                                         .key = key->number,
                                         .counter = counter,
                                         .salt = key->counter.salt,
                                         .lifetime_ms = LIFETIME_MS,
                                         .payload = message };

    rc = link_seal(&bundle, link_state_send_keys(state, key), buf, cap, &n, err);
    if (rc != RC_OK)
        return rc;
    rc = dircl_put(dirfd, bundle_name(key->number, counter, mark, name), (struct bytes){ buf, n },
                   err);
    state->written += rc == RC_OK ? n : 0;
    return rc;
}

enum rc outbox_put(struct link_state *state, const char *tenant, int dirfd, struct bytes message,
                   struct err *err)
{
    return put(state, tenant, dirfd, message, MARK_NONE, err);
}

enum rc outbox_put_mail(struct link_state *state, int dirfd, struct bytes message, struct err *err)
{
    return put(state, "", dirfd, message, MARK_MAIL, err);
}

enum rc outbox_put_brief(struct link_state *state, int dirfd, struct bytes message, struct err *err)
{
    return put(state, "", dirfd, message, MARK_BRIEF, err);
}

/* Whether a bundle of this name can have been written here. */
static bool is_ours(const struct link_state *state, const char *name, enum mark mark)
{
    for (uint32_t i = 0; i < state->ring->n; i++) {
        const struct link_key *key = &state->ring->key[i];
        char again[DIRCL_NAME_CAP];
        uint64_t counter = strlen(name) > 9 ? strtoull(name + 9, NULL, 16) : UINT64_MAX;

        if (counter < key->counter.next &&
            strcmp(bundle_name(key->number, counter, mark, again), name) == 0)
            return true;
    }
    return false;
}

enum rc outbox_trim(const struct link_state *state, int dirfd, size_t keep, struct err *err)
{
    scoped(free_ptr) struct dircl_scan *scan = calloc(1, sizeof *scan);

    bool whole = false; /* a report that is no brief was there */

    if (scan == NULL)
        return err_set(err, RC_NO_MEMORY, "directory listing");
    enum rc rc = dircl_scan(dirfd, clock_unix_ms(), scan, err);
    /* Names sort by age: from the newest down. */
    for (size_t i = scan->n; rc == RC_OK && i-- > 0;) {
        if (is_ours(state, scan->name[i], MARK_MAIL))
            continue;
        const bool full = is_ours(state, scan->name[i], MARK_NONE);

        if (keep > 0 && (full || is_ours(state, scan->name[i], MARK_BRIEF)))
            keep--;
        else if (!full || whole)
            dircl_remove(dirfd, scan->name[i]);
        whole |= full;
    }
    return rc;
}

struct count {
    size_t all, mail;
};

static bool count_name(void *arg, const char *name)
{
    static const char end[] = MAIL_MARK DIRCL_SUFFIX;
    struct count *count = arg;
    const size_t n = strlen(name);

    if (name[0] == '.')
        return true;
    count->all++;
    count->mail += n >= sizeof end - 1 && strcmp(name + n - (sizeof end - 1), end) == 0;
    return true;
}

enum rc outbox_count(int dirfd, size_t *ret, size_t *ret_mail, struct err *err)
{
    struct count count = { 0 };
    enum rc rc = fs_list(dirfd, ".", DIRCL_LIST_MAX, count_name, &count, NULL, err);

    if (rc != RC_OK)
        return rc;
    *ret = count.all;
    if (ret_mail != NULL)
        *ret_mail = count.mail;
    return RC_OK;
}
