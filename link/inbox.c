/* SPDX-License-Identifier: Apache-2.0 */
#include "link/inbox.h"

#include <stdlib.h>

#include "base/limits.h"
#include "link/dircl.h"

#define BATCH_FILES 64U
#define BATCH_BYTES (4U * 1024U * 1024U)

static_assert(BATCH_BYTES >= BUNDLE_MAX, "any bundle fits into a batch");
static_assert(BATCH_FILES <= REPLAY_SKIP, "a batch without jumps needs one save of the window");

struct item {
    const char *name;
    struct bytes message;
};

struct inbox {
    int dirfd;
    struct link_state *state;
    struct rejects *rejects;
    struct inbox_ops ops;
    bool moved; /* this run took something out of the directory */
    size_t n;   /* of this batch */
    struct item item[BATCH_FILES];
    struct dircl_scan scan;
    uint8_t arena[BATCH_BYTES];
};

enum rc inbox_new(int dirfd, struct link_state *state, struct rejects *rejects,
                  const struct inbox_ops *ops, struct inbox **ret, struct err *err)
{
    struct inbox *inbox = calloc(1, sizeof *inbox);

    if (inbox == NULL)
        return err_set(err, RC_NO_MEMORY, "inbox");
    inbox->dirfd = dirfd;
    inbox->state = state;
    inbox->rejects = rejects;
    inbox->ops = *ops;
    *ret = inbox;
    return RC_OK;
}

void inbox_free(struct inbox **inbox)
{
    free(*inbox);
    *inbox = NULL;
}

/* Count a refusal and take its file away.  A duplicate is what links do, and not worth a look. */
static void refuse(struct inbox *inbox, const char *name, const struct err *why)
{
    if (inbox->rejects == NULL || why->rc == RC_REPLAY)
        inbox->moved |= dircl_remove(inbox->dirfd, name);
    else
        inbox->moved |= rejects_take(inbox->rejects, inbox->dirfd, name, why->rc);
    inbox->ops.refused(inbox->ops.arg, why, 1);
}

static enum rc find_keys(void *arg, const struct eid *src, struct link_keys *ret, struct err *err)
{
    const struct link_state *state = arg;
    const struct eid peer = eid_ipn(link_state_peer(state), LINK_SERVICE);

    if (!eid_equal(src, &peer))
        return err_set(err, RC_BPSEC_KEY, "bundle source");
    *ret = *link_state_receive_keys(state);
    return RC_OK;
}

/* Read and open one file into buf of BUNDLE_MAX bytes. */
static enum rc open_file(struct inbox *inbox, const char *name, uint8_t *buf, size_t *ret_n,
                         struct bytes *ret, struct err *err)
{
    const struct link_keyring keys = { .find = find_keys, .arg = inbox->state };
    const struct eid self = eid_ipn(link_state_self(inbox->state), LINK_SERVICE);
    struct link_opened opened = { 0 };
    size_t n = 0;
    enum rc rc = dircl_read(inbox->dirfd, name, buf, BUNDLE_MAX, &n, err);

    if (rc == RC_OK)
        rc = link_open(buf, n, &keys, &opened, err);
    if (rc == RC_OK && !eid_equal(&opened.dst, &self))
        rc = err_set(err, RC_BUNDLE_DESTINATION, "bundle destination");
    if (rc == RC_OK)
        rc = replay_accept(&inbox->state->replay, opened.counter, err);
    if (rc != RC_OK)
        return rc;
    *ret_n = n;
    *ret = opened.payload;
    return RC_OK;
}

/* Open files from the scan, beginning at *at, until the batch is full; *at moves on. */
static void gather(struct inbox *inbox, size_t *at, size_t end)
{
    size_t used = 0;

    inbox->n = 0;
    for (; *at < end && inbox->n < BATCH_FILES && used + BUNDLE_MAX <= BATCH_BYTES; (*at)++) {
        struct item *item = &inbox->item[inbox->n];
        struct err err = { 0 };
        size_t n = 0;

        item->name = inbox->scan.name[*at];
        enum rc rc = open_file(inbox, item->name, inbox->arena + used, &n, &item->message, &err);
        if (rc == RC_NOT_FOUND)
            continue; /* taken away while we looked */
        if (rc != RC_OK) {
            refuse(inbox, item->name, &err);
            continue;
        }
        used += n;
        inbox->n++;
    }
}

/* Hand the batch on, once the window that excludes it is safe on disk. */
static enum rc deliver(struct inbox *inbox, struct err *err)
{
    struct link_state *state = inbox->state;
    struct err why = { 0 };
    enum rc rc = replay_save(&state->replay, state->dirfd, err);

    if (rc != RC_OK) {
        /* The window in memory holds what was not accepted: go back to the one on disk. */
        if (replay_load(state->dirfd, state->replay.peer, state->replay.epoch, &state->replay,
                        &why) != RC_OK)
            state->replay.high = UINT64_MAX; /* refuses everything from now on */
        return rc;
    }
    for (size_t i = 0; i < inbox->n; i++) {
        if (inbox->ops.take(inbox->ops.arg, inbox->item[i].message, &why) == RC_OK)
            continue;
        refuse(inbox, inbox->item[i].name, &why);
        inbox->item[i].name = NULL;
    }
    rc = inbox->ops.commit(inbox->ops.arg, &why);
    if (rc != RC_OK)
        inbox->ops.refused(inbox->ops.arg, &why, 1);
    for (size_t i = 0; i < inbox->n; i++) {
        if (inbox->item[i].name != NULL)
            inbox->moved |= dircl_remove(inbox->dirfd, inbox->item[i].name);
    }
    return RC_OK;
}

enum rc inbox_run(struct inbox *inbox, size_t max, uint32_t *ret_files, bool *ret_more,
                  struct err *err)
{
    enum rc rc = dircl_scan(inbox->dirfd, &inbox->scan, err);

    if (rc != RC_OK)
        return rc;
    if (inbox->scan.junk > 0) {
        struct err why = { 0 };

        err_set(&why, RC_NAME, "not a bundle file");
        inbox->ops.refused(inbox->ops.arg, &why, (uint32_t)inbox->scan.junk);
    }
    size_t end = inbox->scan.n < max ? inbox->scan.n : max;

    inbox->moved = inbox->scan.junk > 0;

    for (size_t at = 0; at < end && rc == RC_OK;) {
        gather(inbox, &at, end);
        rc = inbox->n == 0 ? RC_OK : deliver(inbox, err);
    }
    *ret_files = (uint32_t)(end + inbox->scan.junk);
    *ret_more = inbox->moved && (inbox->scan.more || end < inbox->scan.n);
    return rc;
}
