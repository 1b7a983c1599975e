/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/auditing.h"

#include <stdlib.h>

void auditing_done(struct auditing *a)
{
    if (a->home && a->home->store)
        store_audit_by(a->home->store, NULL);
    keyring_done(&a->own);
    *a = (struct auditing){ 0 };
}

/* The newest root of the store: it is the ground's own, and what it says is proven by the walk. */
static enum rc newest_root(const struct home *home, struct root *ret, struct err *err)
{
    scoped(free_ptr) uint8_t *bytes = NULL;
    struct envelope envelope;
    size_t n = 0;
    enum rc rc = store_document(home->store, DOC_ROOT, "root", &bytes, &n, err);

    if (rc == RC_OK)
        rc = envelope_open((struct bytes){ bytes, n }, &envelope, err);
    return rc == RC_OK ? root_decode(envelope.payload, ret, err) : rc;
}

static bool is_operator(const struct root *root, const struct sign_key *key)
{
    const uint8_t *id = sign_key_public(key)->id;

    for (uint32_t i = 0; i < root->operator_keys.n; i++)
        if (memcmp(root->operator_keys.key[i].id, id, KEY_ID_SIZE) == 0)
            return true;
    return false;
}

/* Which keys are operators' is asked when an entry is written: a root may just have changed it. */
static enum rc sign_entry(void *arg, struct bytes entry, uint8_t **ret, size_t *ret_n,
                          struct err *err)
{
    struct auditing *a = arg;
    const struct keyring *rings[] = { &a->own, &a->others };
    scoped(free_ptr) struct root *root = calloc(1, sizeof *root);
    struct keyring ring = { 0 };
    enum rc rc = root ? newest_root(a->home, root, err) : err_set(err, RC_NO_MEMORY, "root");

    if (rc != RC_OK)
        return rc;
    for (size_t r = 0; r < 2 && ring.n == 0; r++)
        for (size_t i = 0; i < rings[r]->n && ring.n == 0; i++)
            if (is_operator(root, rings[r]->key[i]))
                ring.key[ring.n++] = rings[r]->key[i];
    if (ring.n == 0)
        return RC_NOT_FOUND;
    return keyring_sign(&ring, DOC_AUDIT, &root->mission, entry, ret, ret_n, err);
}

enum rc auditing_with(struct auditing *a, struct cli *cli, struct home *home,
                      const struct keyring *ring, struct err *err)
{
    const char *why = cli_value(cli, "why");

    if (why && !audit_why_ok(why))
        return err_set(err, RC_USAGE,
                       "--why: at most %u bytes of UTF-8, without control characters",
                       AUDIT_WHY_MAX);
    *a = (struct auditing){ .home = home, .cli = cli };
    if (ring)
        a->others = *ring;
    a->by = (struct store_audit_by){ .why = why, .sign = sign_entry, .arg = a };
    store_audit_by(home->store, &a->by);
    return RC_OK;
}

enum rc auditing_begin(struct auditing *a, struct cli *cli, struct home *home,
                       const struct keyring *ring, struct err *err)
{
    const char *as = cli_value(cli, "as");
    char path[HOME_PATH_CAP] = "";
    struct err why_not;
    enum rc rc = auditing_with(a, cli, home, ring, err);

    if (rc != RC_OK)
        return rc;
    if (as)
        return keyring_add(cli, &a->own, as, err);
    if ((ring && ring->n > 0) || home_operator_key(home, path, sizeof path, &why_not) != RC_OK)
        return RC_OK;
    if (keyring_add(cli, &a->own, path, &why_not) != RC_OK)
        cli_note(cli, "note: no operator key signs the audit log's entry (%s); --as KEY names one",
                 why_not.what);
    return RC_OK;
}

void auditing_approval(struct auditing *a, const uint8_t id[KEY_ID_SIZE])
{
    struct store_audit_by *by = &a->by;
    uint32_t at = 0;

    while (at < by->n_approvals && memcmp(by->approval[at], id, KEY_ID_SIZE) < 0)
        at++;
    if (by->n_approvals == AUDIT_APPROVALS_MAX ||
        (at < by->n_approvals && memcmp(by->approval[at], id, KEY_ID_SIZE) == 0))
        return;
    memmove(by->approval[at + 1], by->approval[at], (by->n_approvals - at) * KEY_ID_SIZE);
    memcpy(by->approval[at], id, KEY_ID_SIZE);
    by->n_approvals++;
}

void auditing_approvals(struct auditing *a, const struct keyring *ring)
{
    for (size_t i = 0; i < ring->n; i++)
        auditing_approval(a, sign_key_public(ring->key[i])->id);
}

void auditing_signers(struct auditing *a, struct bytes document)
{
    struct envelope envelope;
    struct err ignored;

    if (envelope_open(document, &envelope, &ignored) != RC_OK)
        return;
    for (uint32_t i = 0; i < envelope.n; i++)
        if (envelope.signature[i].key_id.n == KEY_ID_SIZE)
            auditing_approval(a, envelope.signature[i].key_id.p);
}
