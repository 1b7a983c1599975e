/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/audit.h"

#include <stdlib.h>

#include "base/crypto.h"
#include "manifest/envelope.h"

void audit_walk_done(struct audit_walk *walk)
{
    trust_free(&walk->trust);
    for (size_t i = 0; i < walk->n_roots; i++)
        free(walk->operators[i]);
    free(walk->operators);
    *walk = (struct audit_walk){ 0 };
}

/* One signature is enough: the log says who did what, it is not a decision. */
static enum rc keep_operators(struct audit_walk *walk, struct err *err)
{
    struct key_set **grown =
        realloc(walk->operators, (walk->n_roots + 1) * sizeof(struct key_set *));
    struct key_set *keys = malloc(sizeof *keys);

    if (grown)
        walk->operators = grown;
    if (!grown || !keys) {
        free(keys);
        return err_set(err, RC_NO_MEMORY, "roots");
    }
    *keys = trust_root(walk->trust)->operator_keys;
    keys->threshold = 1;
    walk->operators[walk->n_roots++] = keys;
    return RC_OK;
}

enum rc audit_walk_root(struct audit_walk *walk, struct bytes envelope, struct err *err)
{
    if (walk->n_roots == AUDIT_ROOTS_MAX)
        return err_set(err, RC_TOO_LARGE, "more than %u roots", AUDIT_ROOTS_MAX);
    if (walk->trust) {
        enum rc rc = trust_next_root(walk->trust, envelope, NULL, err);

        return rc == RC_OK && trust_root(walk->trust)->version == walk->n_roots + 1
                   ? keep_operators(walk, err)
                   : rc;
    }
    enum rc rc = trust_new(envelope, &walk->trust, err);

    if (rc != RC_OK)
        return rc;
    if (trust_root(walk->trust)->version != 1)
        return err_set(err, RC_VALUE, "the first root is not version 1");
    walk->mission = trust_root(walk->trust)->mission;
    walk->first_root = *trust_root_digest(walk->trust);
    return keep_operators(walk, err);
}

static enum rc broken(struct err *err, uint64_t seq, const char *why)
{
    return err_set(err, RC_AUDIT_BROKEN, "entry %llu: %s", (unsigned long long)seq, why);
}

/* The number that has to come next, given what the entry says is lost. */
static enum rc check_number(const struct audit_walk *walk, const struct audit_entry *e,
                            struct err *err)
{
    uint64_t next = (e->lost.last > walk->seq ? e->lost.last : walk->seq) + 1;

    if (e->seq == next)
        return RC_OK;
    if (e->seq <= walk->seq)
        return err_set(err, RC_AUDIT_BROKEN, "behind entry %llu stands entry %llu: out of order",
                       (unsigned long long)walk->seq, (unsigned long long)e->seq);
    return err_set(err, RC_AUDIT_BROKEN, "entry %llu is missing: entry %llu stands in its place",
                   (unsigned long long)next, (unsigned long long)e->seq);
}

static enum rc check_signed(struct audit_walk *walk, struct bytes record,
                            const struct audit_entry *e, struct err *err)
{
    struct envelope envelope;
    struct err inner = { 0 };

    if (e->root_version == 0)
        return broken(err, e->seq, "signed under no root");
    enum rc rc = envelope_open(record, &envelope, &inner);

    if (rc == RC_OK)
        rc = envelope_verify(&envelope, DOC_AUDIT, &walk->mission,
                             walk->operators[e->root_version - 1], &inner);
    if (rc == RC_NO_MEMORY)
        return err_set(err, rc, "audit record");
    if (rc == RC_KEY_UNKNOWN)
        return broken(err, e->seq, "signed by nobody who was an operator then");
    if (rc != RC_OK)
        return broken(err, e->seq, "its signature is not good");
    walk->n_signed++;
    walk->signed_seq = e->seq;
    return RC_OK;
}

static enum rc check_entry(struct audit_walk *walk, struct bytes record, bool is_signed,
                           const struct audit_entry *e, struct err *err)
{
    enum rc rc = check_number(walk, e, err);

    if (rc != RC_OK)
        return rc;
    if (!digest_same(&e->previous, &walk->head))
        return err_set(
            err, RC_AUDIT_BROKEN,
            "entry %llu does not follow on entry %llu: one of them was changed or put in",
            (unsigned long long)e->seq, (unsigned long long)walk->seq);
    if (e->root_version > walk->n_roots)
        return broken(err, e->seq, "it names a root that there is not");
    if (e->root_version < walk->root_version)
        return broken(err, e->seq, "it names an older root than the entry before");
    if (e->lost.first != 0 && !is_signed)
        return broken(err, e->seq, "it gives up entries, and no operator signed it");
    return is_signed ? check_signed(walk, record, e, err) : RC_OK;
}

enum rc audit_walk_record(struct audit_walk *walk, struct bytes record, struct audit_entry *ret,
                          struct digest *ret_hash, struct err *err)
{
    struct audit_entry e;
    struct bytes entry = { 0 };
    struct digest hash;
    struct err inner = { 0 };
    bool is_signed = false;
    enum rc rc = audit_record_open(record, &entry, &is_signed, &inner);

    if (rc == RC_OK)
        rc = audit_entry_decode(entry, &e, &inner);
    if (rc != RC_OK)
        return err_set(err, RC_AUDIT_BROKEN, "what is behind entry %llu is no entry (%s)",
                       (unsigned long long)walk->seq, rc_name(rc));
    rc = check_entry(walk, record, is_signed, &e, err);
    if (rc == RC_OK)
        rc = sha256_of(record, hash.b, err);
    if (rc != RC_OK)
        return rc;
    walk->n_lost += e.lost.last > walk->seq ? e.lost.last - walk->seq : 0;
    walk->seq = e.seq;
    walk->head = hash;
    walk->root_version = e.root_version;
    walk->entries++;
    if (ret)
        *ret = e;
    if (ret_hash)
        *ret_hash = hash;
    return RC_OK;
}

enum rc audit_walk_end(const struct audit_walk *walk, uint64_t seq, const struct digest *head,
                       struct err *err)
{
    if (walk->seq < seq)
        return err_set(err, RC_AUDIT_BROKEN, "entries %llu to %llu are missing at the end",
                       (unsigned long long)walk->seq + 1, (unsigned long long)seq);
    if (walk->seq > seq)
        return err_set(err, RC_AUDIT_BROKEN, "entries %llu to %llu stand behind the end",
                       (unsigned long long)seq + 1, (unsigned long long)walk->seq);
    if (!digest_same(&walk->head, head))
        return err_set(err, RC_AUDIT_BROKEN, "entry %llu was changed", (unsigned long long)seq);
    return RC_OK;
}
