/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/crypto.h"
#include "link/state.h"
#include "orchestrator/rekeys.h"

static_assert(2U * LINK_KEYRING_MAX <= REKEYS_LINKS_MAX, "all that link_state_look tells of");

enum rc rekeys_links(int dirfd, struct rekeys_link ret[REKEYS_LINKS_MAX], uint32_t *ret_n,
                     struct err *err)
{
    scoped(free_ptr) struct link_held *held = calloc(REKEYS_LINKS_MAX, sizeof *held);
    uint32_t n = 0;

    if (!held)
        return err_set(err, RC_NO_MEMORY, "link keys");
    enum rc rc = link_state_look(dirfd, held, &n, err);
    for (uint32_t i = 0; rc == RC_OK && i < n; i++) {
        memcpy(ret[i].tenant, held[i].tenant, sizeof ret[i].tenant);
        ret[i].epoch = held[i].epoch;
        ret[i].sending = held[i].sending;
    }
    if (rc == RC_OK)
        *ret_n = n;
    return rc;
}

enum rc rekeys_next_epoch(int dirfd, const char *tenant, const struct report_keys *report,
                          uint32_t *ret, struct err *err)
{
    scoped(free_ptr) struct rekeys_link *held = calloc(REKEYS_LINKS_MAX, sizeof *held);
    uint32_t newest = 0, n = 0;
    enum rc rc = held ? rekeys_links(dirfd, held, &n, err) : err_set(err, RC_NO_MEMORY, "link");

    if (rc != RC_OK)
        return rc;
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(held[i].tenant, tenant) == 0 && held[i].epoch > newest)
            newest = held[i].epoch;
    for (uint32_t i = 0; report && i < report->n_links; i++)
        if (strcmp(report->link[i].tenant, tenant) == 0 && report->link[i].epoch > newest)
            newest = report->link[i].epoch;
    if (newest == UINT32_MAX)
        return err_set(err, RC_VALUE, "no epoch is left");
    *ret = newest + 1;
    return RC_OK;
}

enum rc rekeys_offer(int dirfd, const struct rekeys_plan *plan, struct err *err)
{
    enum rc rc = RC_OK;

    for (uint32_t i = 0; rc == RC_OK && i < plan->n; i++) {
        const struct rekey_entry *e = &plan->entry[i];
        struct link_offer offer = { .epoch = e->epoch };

        if (e->what != REKEY_LINK && e->what != REKEY_TENANT_LINK)
            continue;
        memcpy(offer.tenant, e->tenant, sizeof offer.tenant);
        memcpy(offer.secret, plan->secret[i], sizeof offer.secret);
        rc = link_state_offer(dirfd, &offer, err);
        crypto_wipe(&offer, sizeof offer);
    }
    return rc;
}
