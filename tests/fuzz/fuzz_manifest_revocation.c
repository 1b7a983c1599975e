/* SPDX-License-Identifier: Apache-2.0
 *
 * The document and the set on board: what is accepted must be the one encoding of what was read,
 * and a document that was accepted can be added to any set without undoing anything.
 */
#include <stdlib.h>

#include "manifest/revocation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_added(const struct revoked_set *before, const struct revocation *doc)
{
    static struct revoked_set after;

    after = *before;
    if (revoked_set_add(&after, doc, NULL) != RC_OK)
        return;
    for (uint32_t i = 0; i < before->n; i++) {
        const struct revoked *e = &before->entry[i];
        enum revoke_policy now = e->kind == REVOKED_KEY ? revoked_key(&after, e->key)
                                 : e->kind == REVOKED_GRANT
                                     ? revoked_grant(&after, e->tenant, e->epoch)
                                     : revoked_manifest(&after, &e->manifest, &e->manifest384);

        if (now < e->policy)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct revocation doc;
    static struct revoked_set set;
    static uint8_t buf[REVOKED_FILE_MAX];
    struct bytes in = { data, size }, out;

    if (revocation_decode(in, &doc, NULL) == RC_OK) {
        if (revocation_encode(&doc, buf, sizeof buf, &out, NULL) != RC_OK || !bytes_equal(in, out))
            abort();
        check_added(&set, &doc);
        if (revoked_set_add(&set, &doc, NULL) != RC_OK)
            set = (struct revoked_set){ 0 };
        set.root_version = set.number = set.issued_ms = 1;
        set.newest.b[0] = 1;
        if (revoked_set_encode(&set, buf, sizeof buf, &out, NULL) != RC_OK)
            abort();
    }
    static struct revoked_set read;
    if (revoked_set_decode(in, &read, NULL) == RC_OK &&
        (revoked_set_encode(&read, buf, sizeof buf, &out, NULL) != RC_OK || !bytes_equal(in, out)))
        abort();
    return 0;
}
