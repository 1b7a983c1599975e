/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/home_trust: the mission's trust from the documents that the store keeps.  Roots make
 * a chain, a revocation counts under the root that was newest when it was published, and what a
 * grant is worth depends on both: so all of them are taken again, one after the other.
 */
#include <stdlib.h>

#include "orchestrator/home.h"

/* What was good when it was published holds its number, whatever has expired since. */
static enum rc take(struct trust **trust, enum doc_type type, struct bytes envelope,
                    uint64_t now_ms, struct err *err)
{
    bool taken = false;

    if (type == DOC_ROOT)
        return *trust ? trust_next_root(*trust, envelope, NULL, err)
                      : trust_new(envelope, trust, err);
    if (type == DOC_GRANT)
        return trust_restore_grant(*trust, envelope, now_ms, err);
    if (type == DOC_REVOCATION)
        return trust_add_revocation(*trust, envelope, &taken, err);

    enum rc rc = trust_add_delegation(*trust, envelope, now_ms, NULL, err);

    return rc == RC_NO_MEMORY ? rc : RC_OK; /* its team is refused, the others are not */
}

static enum rc take_entry(const struct home *home, const struct store_entry *entry,
                          const struct home_holds *who, uint64_t now_ms, struct trust **trust,
                          struct err *err)
{
    scoped(free_ptr) uint8_t *bytes = NULL;
    size_t n = 0;
    enum rc rc = store_document_version(home->store, entry->type, entry->name, entry->version,
                                        &bytes, &n, err);
    struct bytes envelope = { bytes, n };

    if (rc != RC_OK)
        return rc;
    if (who && !who->holds(who->arg, entry, envelope))
        return RC_OK;
    rc = take(trust, entry->type, envelope, now_ms, err);
    return who && rc != RC_NO_MEMORY ? RC_OK : rc;
}

enum rc home_trust_of(const struct home *home, const struct home_holds *who, uint64_t now_ms,
                      struct trust **ret, struct err *err)
{
    scoped(free_ptr) struct store_entry *entries = NULL;
    scoped(trust_free) struct trust *trust = NULL;
    size_t n = 0;
    enum rc rc = store_history(home->store, &entries, &n, err);

    for (size_t i = 0; rc == RC_OK && i < n; i++)
        rc = take_entry(home, &entries[i], who, now_ms, &trust, err);
    if (rc == RC_OK && !trust)
        rc = err_set(err, RC_TRUST_MISSING, "%s has no trust root", home->path);
    if (rc != RC_OK)
        return rc;
    *ret = trust;
    trust = NULL;
    return RC_OK;
}

enum rc home_trust(const struct home *home, uint64_t now_ms, struct trust **ret, struct err *err)
{
    return home_trust_of(home, NULL, now_ms, ret, err);
}
