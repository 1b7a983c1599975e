/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/strong.h"

#include "base/crypto.h"
#include "orchestrator/checking.h"

enum rc strong_manifest(const struct home *home, const struct digest *manifest,
                        struct digest384 *ret, struct err *err)
{
    scoped(pushed_done) struct pushed pushed = { 0 };
    enum rc rc = checking_pushed(home, manifest, &pushed, err);

    return rc == RC_OK ? sha384_of(pushed.envelope.payload, ret->b, err) : rc;
}

enum rc strong_order(const struct home *home, const struct root *root, struct order *order,
                     struct err *err)
{
    enum rc rc = RC_OK;

    if (!key_set_wants_384(&root->operator_keys) && !key_set_wants_384(&root->safety_keys))
        return RC_OK;
    for (uint32_t i = 0; rc == RC_OK && i < order->n_lines; i++)
        rc = strong_manifest(home, &order->line[i].manifest, &order->line[i].manifest384, err);
    return rc;
}

enum rc strong_revocation(const struct home *home, const struct trust *trust,
                          struct revocation *doc, struct err *err)
{
    enum rc rc = RC_OK;

    if (!key_set_wants_384(&trust_root(trust)->root_keys))
        return RC_OK;
    for (uint32_t i = 0; rc == RC_OK && i < doc->n; i++) {
        if (doc->entry[i].kind == REVOKED_MANIFEST)
            rc = strong_manifest(home, &doc->entry[i].manifest, &doc->entry[i].manifest384, err);
    }
    return rc;
}
