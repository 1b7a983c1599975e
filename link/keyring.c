/* SPDX-License-Identifier: Apache-2.0 */
#include "link/keyring.h"

#include "base/cbor.h"
#include "base/crypto.h"
#include "base/statefile.h"

#define KEYRING_FORMAT 2U

static bool is_of(const struct link_key *key, const char *tenant)
{
    return strcmp(key->keys.tenant, tenant) == 0;
}

/* The keys of a tenant stand together: how many, and *ret_first is where, or where they would. */
static uint32_t find(const struct link_keyring *ring, const char *tenant, uint32_t *ret_first)
{
    uint32_t first = 0, n = 0;

    while (first < ring->n && strcmp(ring->key[first].keys.tenant, tenant) < 0)
        first++;
    while (first + n < ring->n && is_of(&ring->key[first + n], tenant))
        n++;
    *ret_first = first;
    return n;
}

static void remove_at(struct link_keyring *ring, uint32_t i)
{
    memmove(&ring->key[i], &ring->key[i + 1], (ring->n - i - 1) * sizeof ring->key[0]);
    ring->n--;
    crypto_wipe(&ring->key[ring->n], sizeof ring->key[0]);
    crypto_forget();
}

/* ---- the rules ----------------------------------------------------------------------------------
 */

/* Whether the key may follow the newest one of its tenant. */
static enum rc check_next(const struct link_key *newest, const struct keys *next, bool *ret_held,
                          struct err *err)
{
    const struct keys *held = &newest->keys;

    *ret_held = false;
    if (next->epoch < held->epoch)
        return err_set(err, RC_REKEY_OLD, "key epoch %u, %u is held", next->epoch, held->epoch);
    if (next->epoch == held->epoch) {
        *ret_held = crypto_equal((struct bytes){ next->secret, sizeof next->secret },
                                 (struct bytes){ held->secret, sizeof held->secret });
        return *ret_held ? RC_OK
                         : err_set(err, RC_EQUIVOCATION, "key epoch %u, twice", next->epoch);
    }
    if (next->epoch - held->epoch > LINK_EPOCH_STEP_MAX)
        return err_set(err, RC_VALUE, "key epoch %u, %u is held", next->epoch, held->epoch);
    return RC_OK;
}

/* Whether another tenant's keys have the same upper half of their numbers. */
static bool is_taken(const struct link_keyring *ring, const struct keys *keys, uint64_t number)
{
    for (uint32_t i = 0; i < ring->n; i++) {
        const struct link_key *other = &ring->key[i];

        if (other->number >> 32 == number >> 32 && !is_of(other, keys->tenant))
            return true;
    }
    return false;
}

enum rc link_keyring_install(struct link_keyring *ring, const struct keys *keys,
                             struct link_key **ret, struct err *err)
{
    const uint64_t number = keys_number(keys);
    uint32_t first = 0;
    uint32_t n = find(ring, keys->tenant, &first);
    bool held = false;

    if (keys->ground != ring->ground || keys->satellite != ring->satellite)
        return err_set(err, RC_VALUE, "key of other nodes");
    if (n > 0) {
        enum rc rc = check_next(&ring->key[first + n - 1], keys, &held, err);

        if (rc == RC_OK && held)
            *ret = NULL;
        if (rc != RC_OK || held)
            return rc;
    }
    if (number == 0 || is_taken(ring, keys, number))
        return err_set(err, RC_EXISTS, "keys of another tenant with these numbers");
    if (n < 2 && ring->n == LINK_KEYRING_MAX)
        return err_set(err, RC_NO_ROOM, "keys of too many tenants");
    if (n == 2) {
        /* The one that waits was never used, or else the one before it is needed no more. */
        const struct link_key *waiting = &ring->key[first + 1];

        remove_at(ring, waiting->confirmed || waiting->seen ? first : first + 1);
        n = 1;
    }
    struct link_key *at = &ring->key[first + n];

    memmove(at + 1, at, (ring->n - first - n) * sizeof *at);
    ring->n++;
    *at = (struct link_key){ .keys = *keys, .number = number };
    *ret = at;
    return RC_OK;
}

bool link_keyring_confirm(struct link_keyring *ring, const char *tenant, uint32_t epoch)
{
    uint32_t first = 0;
    uint32_t n = find(ring, tenant, &first);

    for (uint32_t i = first; i < first + n; i++) {
        struct link_key *key = &ring->key[i];

        if (key->keys.epoch != epoch || key->confirmed)
            continue;
        key->confirmed = true;
        return true;
    }
    return false;
}

struct link_key *link_keyring_sender(struct link_keyring *ring, const char *tenant)
{
    uint32_t first = 0;
    uint32_t n = find(ring, tenant, &first);

    if (n == 0)
        return NULL;
    for (uint32_t i = first + n; i-- > first + 1;) {
        if (ring->key[i].confirmed)
            return &ring->key[i];
    }
    return &ring->key[first];
}

struct link_key *link_keyring_receiver(struct link_keyring *ring, uint64_t number)
{
    for (uint32_t i = 0; i < ring->n; i++) {
        struct link_key *key = &ring->key[i];
        const struct link_key *next = i + 1 < ring->n ? key + 1 : NULL;

        if (key->number == number)
            return next && next->seen && is_of(next, key->keys.tenant) ? NULL : key;
    }
    return NULL;
}

void link_keyring_saw(struct link_key *key)
{
    key->seen = true;
    key->confirmed = true;
}

bool link_keyring_settle(struct link_keyring *ring)
{
    bool changed = false;

    for (uint32_t i = ring->n; i-- > 1;) {
        if (!ring->key[i].seen || !is_of(&ring->key[i - 1], ring->key[i].keys.tenant))
            continue;
        remove_at(ring, i - 1);
        changed = true;
    }
    return changed;
}

/* ---- the file -----------------------------------------------------------------------------------
 */

enum rc link_keyring_encode(const struct link_keyring *ring, uint8_t *buf, size_t cap,
                            struct bytes *ret, struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };

    cbor_put_array(&w, 4);
    cbor_put_uint(&w, KEYRING_FORMAT);
    cbor_put_uint(&w, ring->ground);
    cbor_put_uint(&w, ring->satellite);
    cbor_put_array(&w, ring->n);
    for (uint32_t i = 0; i < ring->n; i++) {
        const struct link_key *key = &ring->key[i];

        cbor_put_array(&w, 4);
        cbor_put_text(&w, key->keys.tenant);
        cbor_put_uint(&w, key->keys.epoch);
        cbor_put_bool(&w, key->confirmed);
        cbor_put_bstr(&w, (struct bytes){ key->keys.secret, sizeof key->keys.secret });
    }
    return cbor_written(&w, ret, err);
}

enum rc link_keyring_save(const struct link_keyring *ring, int dirfd, const char *name,
                          struct err *err)
{
    uint8_t buf[LINK_KEYRING_BYTES];
    struct bytes content = { 0 };
    enum rc rc = link_keyring_encode(ring, buf, sizeof buf, &content, err);

    if (rc == RC_OK)
        rc = statefile_save(dirfd, name, content, err);
    if (rc == RC_OK)
        rc = statefile_save(dirfd, name, content, err);
    crypto_wipe(buf, sizeof buf);
    return rc;
}

enum rc link_keyring_scrub(const struct link_keyring *ring, int dirfd, const char *name,
                           struct scrubbed *count, struct err *err)
{
    uint8_t buf[LINK_KEYRING_BYTES];
    struct bytes content = { 0 };
    enum statefile_found found;
    enum rc rc = link_keyring_encode(ring, buf, sizeof buf, &content, err);

    if (rc == RC_OK)
        rc = statefile_scrub(dirfd, name, &content, &found, count, err);
    crypto_wipe(buf, sizeof buf);
    return rc;
}

/* One key; what it would be in the ring says whether it may stand there. */
static void decode_key(struct cbor_in *r, struct link_keyring *ring)
{
    struct link_key *at = NULL;
    struct keys keys = { .ground = ring->ground, .satellite = ring->satellite };
    uint32_t first = 0;

    cbor_array(r, "key", 4, 4);
    cbor_text(r, "tenant", keys.tenant, sizeof keys.tenant);
    keys.epoch = (uint32_t)cbor_uint(r, "epoch", UINT32_MAX);
    bool confirmed = cbor_bool(r, "confirmed");
    cbor_fixed(r, "secret", keys.secret, sizeof keys.secret);
    cbor_end(r);

    uint32_t held = find(ring, keys.tenant, &first);

    if (r->rc == RC_OK &&
        (keys_derive(&keys, NULL) != RC_OK || held == 2 || first + held != ring->n ||
         link_keyring_install(ring, &keys, &at, NULL) != RC_OK || at == NULL))
        cbor_fail(r, RC_VALUE, "key");
    if (at != NULL)
        at->confirmed = confirmed;
    keys_wipe(&keys);
}

enum rc link_keyring_decode(struct bytes in, struct link_keyring *ring, struct err *err)
{
    struct cbor_in r = cbor_read(in);

    *ring = (struct link_keyring){ 0 };
    cbor_array(&r, "key file", 4, 4);
    if (cbor_uint(&r, "format", UINT32_MAX) != KEYRING_FORMAT)
        cbor_fail(&r, RC_VALUE, "format");
    ring->ground = (uint32_t)cbor_uint(&r, "ground", UINT32_MAX);
    ring->satellite = (uint32_t)cbor_uint(&r, "satellite", UINT32_MAX);
    size_t n = cbor_array(&r, "keys", 1, LINK_KEYRING_MAX);
    for (size_t i = 0; i < n && r.rc == RC_OK; i++)
        decode_key(&r, ring);
    cbor_end(&r);
    cbor_end(&r);
    if (r.rc == RC_OK && ring->key[0].keys.tenant[0] != '\0')
        cbor_fail(&r, RC_VALUE, "no key of the link");
    return cbor_done(&r, err);
}

enum rc link_keyring_load(int dirfd, const char *name, struct link_keyring *ret, struct err *err)
{
    uint8_t buf[LINK_KEYRING_BYTES];
    size_t n = 0;
    enum rc rc = statefile_load(dirfd, name, buf, sizeof buf, &n, NULL, err);

    *ret = (struct link_keyring){ 0 };
    if (rc == RC_OK)
        rc = link_keyring_decode((struct bytes){ buf, n }, ret, err);
    crypto_wipe(buf, sizeof buf);
    if (rc == RC_OK)
        return RC_OK;
    link_keyring_wipe(ret);
    return err_set(err, RC_KEY_FILE, "link key %s: %s", name, rc_name(rc));
}

void link_keyring_wipe(struct link_keyring *ring)
{
    crypto_wipe(ring, sizeof *ring);
    crypto_forget();
}
