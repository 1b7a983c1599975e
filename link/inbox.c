/* SPDX-License-Identifier: Apache-2.0 */
#include "link/inbox.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "link/dircl.h"

#define BATCH_FILES 64U
#define BATCH_BYTES (4U * 1024U * 1024U)

static_assert(BATCH_BYTES >= BUNDLE_MAX, "any bundle fits into a batch");
static_assert(BATCH_FILES <= REPLAY_SKIP, "a batch without jumps needs one save of the window");

struct item {
    const char *name;
    size_t n; /* bytes of its file */
    struct bytes message;
    char tenant[NAME_CAP]; /* whose key it came under; a copy, since keys may go before it is taken
                            */
};

struct inbox {
    int dirfd;
    struct link_state *state;
    struct rejects *rejects;
    struct inbox_ops ops;
    bool moved; /* this run took something out of the directory */
    bool more;  /* there were more files than the batch that is held */
    size_t n;   /* of this batch; between inbox_take and inbox_let_go it is held */
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

static void met(const struct inbox *inbox, const struct item *item, enum rc rc)
{
    if (inbox->ops.met != NULL)
        inbox->ops.met(inbox->ops.arg, item->n, rc);
}

/* Count a refusal and take its file away.  A duplicate is what links do, and not worth a look. */
static void refuse(struct inbox *inbox, const struct item *item, const struct err *why)
{
    const char *name = item->name;

    if (inbox->rejects == NULL || why->rc == RC_REPLAY)
        inbox->moved |= dircl_remove(inbox->dirfd, name);
    else
        inbox->moved |= rejects_take(inbox->rejects, inbox->dirfd, name, why->rc);
    inbox->ops.refused(inbox->ops.arg, why, 1);
    met(inbox, item, why->rc);
}

static enum rc find_keys(void *arg, const struct eid *src, uint64_t number, struct link_keys *ret,
                         struct err *err)
{
    const struct link_state *state = arg;
    const struct eid peer = eid_ipn(link_state_peer(state), LINK_SERVICE);
    const struct link_key *key = link_keyring_receiver(state->ring, number);

    if (!eid_equal(src, &peer))
        return err_set(err, RC_BPSEC_KEY, "bundle source");
    if (key == NULL)
        return err_set(err, RC_BPSEC_KEY, "key epoch %u", (unsigned)(uint32_t)number);
    if (key->deaf)
        return err_set(err, RC_STATE_DAMAGED, "replay window");
    *ret = *link_state_receive_keys(state, key);
    return RC_OK;
}

/* Take an authentic bundle's number, once; its key is the one in use from now on. */
static enum rc accept(struct link_state *state, const struct link_opened *opened,
                      char ret_tenant[NAME_CAP], struct err *err)
{
    struct link_key *key = link_keyring_receiver(state->ring, opened->key);
    enum rc rc = replay_accept(&key->replay, opened->counter, err);

    if (rc == RC_OK) {
        memcpy(ret_tenant, key->keys.tenant, NAME_CAP);
        link_keyring_saw(key);
    }
    return rc;
}

/* Read and open one file into buf of BUNDLE_MAX bytes; item has its name and gets the rest. */
static enum rc open_file(struct inbox *inbox, struct item *item, uint8_t *buf, struct err *err)
{
    const struct link_finder keys = { .find = find_keys, .arg = inbox->state };
    const struct eid self = eid_ipn(link_state_self(inbox->state), LINK_SERVICE);
    struct link_opened opened = { 0 };
    enum rc rc = dircl_read(inbox->dirfd, item->name, buf, BUNDLE_MAX, &item->n, err);

    if (rc == RC_OK)
        rc = link_open(buf, item->n, &keys, &opened, err);
    if (rc == RC_OK && !eid_equal(&opened.dst, &self))
        rc = err_set(err, RC_BUNDLE_DESTINATION, "bundle destination");
    if (rc == RC_OK)
        rc = accept(inbox->state, &opened, item->tenant, err);
    if (rc == RC_OK)
        item->message = opened.payload;
    return rc;
}

/* Open files from the scan, beginning at *at, until the batch is full; *at moves on. */
static void gather(struct inbox *inbox, size_t *at, size_t end)
{
    size_t used = 0;

    inbox->n = 0;
    for (; *at < end && inbox->n < BATCH_FILES && used + BUNDLE_MAX <= BATCH_BYTES; (*at)++) {
        struct item *item = &inbox->item[inbox->n];
        struct err err = { 0 };

        *item = (struct item){ .name = inbox->scan.name[*at] };
        enum rc rc = open_file(inbox, item, inbox->arena + used, &err);
        if (rc == RC_NOT_FOUND)
            continue; /* taken away while we looked */
        if (rc != RC_OK) {
            refuse(inbox, item, &err);
            continue;
        }
        used += item->n;
        inbox->n++;
    }
}

static void hand_on(struct inbox *inbox)
{
    struct err why = { 0 };

    for (size_t i = 0; i < inbox->n; i++) {
        const struct item *item = &inbox->item[i];

        if (item->name == NULL) /* refused when it was handed on before */
            continue;
        if (inbox->ops.take(inbox->ops.arg, item->tenant, item->message, &why) == RC_OK) {
            met(inbox, &inbox->item[i], RC_OK);
            continue;
        }
        refuse(inbox, &inbox->item[i], &why);
        inbox->item[i].name = NULL;
    }
    if (inbox->ops.commit(inbox->ops.arg, &why) != RC_OK)
        inbox->ops.refused(inbox->ops.arg, &why, 1);
}

static void remove_files(struct inbox *inbox)
{
    for (size_t i = 0; i < inbox->n; i++) {
        if (inbox->item[i].name != NULL)
            inbox->moved |= dircl_remove(inbox->dirfd, inbox->item[i].name);
    }
    inbox->n = 0;
}

/* Hand the batch on, once the window that excludes it is safe on disk. */
static enum rc deliver(struct inbox *inbox, struct err *err)
{
    enum rc rc = link_state_settle(inbox->state, err);

    if (rc != RC_OK)
        return rc;
    hand_on(inbox);
    remove_files(inbox);
    return RC_OK;
}

static enum rc scan(struct inbox *inbox, struct err *err)
{
    enum rc rc = dircl_scan(inbox->dirfd, clock_unix_ms(), &inbox->scan, err);

    if (rc != RC_OK)
        return rc;
    if (inbox->scan.junk > 0) {
        struct err why = { 0 };

        err_set(&why, RC_NAME, "not a bundle file");
        inbox->ops.refused(inbox->ops.arg, &why, (uint32_t)inbox->scan.junk);
    }
    inbox->moved = inbox->scan.junk > 0;
    return RC_OK;
}

enum rc inbox_run(struct inbox *inbox, size_t max, uint32_t *ret_files, bool *ret_more,
                  struct err *err)
{
    enum rc rc = scan(inbox, err);

    if (rc != RC_OK)
        return rc;
    size_t end = inbox->scan.n < max ? inbox->scan.n : max;

    for (size_t at = 0; at < end && rc == RC_OK;) {
        gather(inbox, &at, end);
        rc = inbox->n == 0 ? RC_OK : deliver(inbox, err);
    }
    *ret_files = (uint32_t)(end + inbox->scan.junk);
    *ret_more = inbox->moved && (inbox->scan.more || end < inbox->scan.n);
    return rc;
}

enum rc inbox_take(struct inbox *inbox, size_t max, uint32_t *ret_files, bool *ret_more,
                   struct err *err)
{
    size_t at = 0;

    *ret_files = 0;
    if (inbox->n == 0) {
        enum rc rc = scan(inbox, err);

        if (rc != RC_OK)
            return rc;
        gather(inbox, &at, inbox->scan.n < max ? inbox->scan.n : max);
        *ret_files = (uint32_t)(at + inbox->scan.junk);
        inbox->more = inbox->scan.more || at < inbox->scan.n;
    }
    *ret_more = inbox->more && (inbox->moved || inbox->n > 0);
    if (inbox->n > 0)
        hand_on(inbox);
    return RC_OK;
}

enum rc inbox_let_go(struct inbox *inbox, struct err *err)
{
    if (inbox->n == 0)
        return RC_OK;
    enum rc rc = link_state_settle(inbox->state, err);

    if (rc != RC_OK) {
        inbox->n = 0; /* the windows are those on disk again: what is held is opened once more */
        return rc;
    }
    remove_files(inbox);
    return RC_OK;
}
