/* SPDX-License-Identifier: Apache-2.0 */
#include "link/outbox.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"
#include "link/dircl.h"
#include "link/transfer.h"

#define LIFETIME_MS (UINT64_C(30) * 24U * 3600U * 1000U)

static const char *bundle_name(uint64_t counter, char out[DIRCL_NAME_CAP])
{
    snprintf(out, DIRCL_NAME_CAP, "%016" PRIx64 DIRCL_SUFFIX, counter);
    return out;
}

enum rc outbox_put(struct link_state *state, int dirfd, struct bytes message, struct err *err)
{
    size_t cap = message.n + LINK_OVERHEAD_MAX;
    scoped(free_ptr) uint8_t *buf = malloc(cap);
    uint64_t counter = 0;
    size_t n = 0;
    char name[DIRCL_NAME_CAP];

    if (buf == NULL)
        return err_set(err, RC_NO_MEMORY, "bundle");
    enum rc rc = counter_next(&state->counter, state->dirfd, &counter, err);
    if (rc != RC_OK)
        return rc;
    /* No clock is assumed: creation time 0 with an age block, and the counter never repeats. */
    const struct link_message bundle = { .src = eid_ipn(link_state_self(state), LINK_SERVICE),
                                         .dst = eid_ipn(link_state_peer(state), LINK_SERVICE),
                                         .sequence = counter,
                                         .counter = counter,
                                         .lifetime_ms = LIFETIME_MS,
                                         .payload = message };

    rc = link_seal(&bundle, link_state_send_keys(state), buf, cap, &n, err);
    if (rc != RC_OK)
        return rc;
    return dircl_put(dirfd, bundle_name(counter, name), (struct bytes){ buf, n }, err);
}

/* Whether a bundle of this name can have been written here. */
static bool is_ours(const struct link_state *state, const char *name)
{
    uint64_t counter = strtoull(name, NULL, 16);
    char again[DIRCL_NAME_CAP];

    return counter < state->counter.next && strcmp(bundle_name(counter, again), name) == 0;
}

enum rc outbox_trim(const struct link_state *state, int dirfd, size_t keep, struct err *err)
{
    scoped(free_ptr) struct dircl_scan *scan = calloc(1, sizeof *scan);

    if (scan == NULL)
        return err_set(err, RC_NO_MEMORY, "directory listing");
    enum rc rc = dircl_scan(dirfd, scan, err);
    /* Names sort by age: from the newest down. */
    for (size_t i = scan->n; rc == RC_OK && i-- > 0;) {
        if (keep > 0 && is_ours(state, scan->name[i]))
            keep--;
        else
            dircl_remove(dirfd, scan->name[i]);
    }
    return rc;
}

static bool count_name(void *arg, const char *name)
{
    *(size_t *)arg += name[0] == '.' ? 0 : 1;
    return true;
}

enum rc outbox_count(int dirfd, size_t *ret, struct err *err)
{
    size_t n = 0;
    enum rc rc = fs_list(dirfd, ".", DIRCL_LIST_MAX, count_name, &n, NULL, err);

    if (rc == RC_OK)
        *ret = n;
    return rc;
}
