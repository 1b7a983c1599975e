/* SPDX-License-Identifier: Apache-2.0 */
#include "link/sealkey.h"

#include "base/cbor.h"
#include "base/crypto.h"

#define KEYFILE_FORMAT 1U
#define KEYFILE_LABEL "berth seal key"
#define RING_FORMAT 1U

/* ---- keys -------------------------------------------------------------------------------------
 */

/* Of both directions' keys, not of the secret itself: whoever is shown an id learns of none. */
enum rc seal_key_id(const struct keys *keys, uint8_t ret[SEAL_ID_SIZE], struct err *err)
{
    const struct bytes parts[] = { bytes_of("berth seal id"),
                                   { keys->down.mac, sizeof keys->down.mac } };
    uint8_t mac[DIGEST_SIZE];
    enum rc rc =
        crypto_hmac(256, (struct bytes){ keys->up.mac, sizeof keys->up.mac }, parts, 2, mac, err);

    if (rc == RC_OK)
        memcpy(ret, mac, SEAL_ID_SIZE);
    return rc;
}

enum rc seal_key_make(struct keys *keys, uint32_t epoch, struct err *err)
{
    keys->epoch = epoch;
    if (keys->tenant[0] == '\0' || keys->payload[0] == '\0')
        return err_set(err, RC_NAME, "tenant and payload");
    crypto_random(keys->secret, sizeof keys->secret);
    return keys_derive(keys, err);
}

static bool same_pair(const struct keys *a, const struct keys *b)
{
    return a->ground == b->ground && a->satellite == b->satellite &&
           strcmp(a->tenant, b->tenant) == 0 && strcmp(a->payload, b->payload) == 0;
}

/* ---- key files --------------------------------------------------------------------------------
 */

enum rc seal_keyfile_encode(const struct keys *keys, enum seal_end to, uint8_t *buf,
                            struct bytes *ret, struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = SEAL_KEYFILE_MAX };
    uint8_t id[SEAL_ID_SIZE];
    enum rc rc = seal_key_id(keys, id, err);

    if (rc != RC_OK)
        return rc;
    cbor_put_array(&w, 10);
    cbor_put_text(&w, KEYFILE_LABEL);
    cbor_put_uint(&w, KEYFILE_FORMAT);
    cbor_put_uint(&w, to);
    cbor_put_uint(&w, keys->ground);
    cbor_put_uint(&w, keys->satellite);
    cbor_put_text(&w, keys->tenant);
    cbor_put_text(&w, keys->payload);
    cbor_put_uint(&w, keys->epoch);
    cbor_put_bstr(&w, (struct bytes){ keys->secret, sizeof keys->secret });
    cbor_put_bstr(&w, (struct bytes){ id, sizeof id });
    return cbor_written(&w, ret, err);
}

/* Names and nodes, then what grows of them.  A key of a tenant's without a payload is the link's.
 */
static void check_and_derive(struct cbor_in *r, struct keys *keys)
{
    if (r->rc == RC_OK &&
        (keys->tenant[0] == '\0' || keys->payload[0] == '\0' || keys_derive(keys, NULL) != RC_OK))
        cbor_fail(r, RC_VALUE, "nodes, names or epoch");
}

enum rc seal_keyfile_decode(struct bytes in, enum seal_end *ret_to, struct keys *ret,
                            struct err *err)
{
    scoped(keys_wipe) struct keys keys = { 0 };
    struct cbor_in r = cbor_read(in);
    char label[sizeof KEYFILE_LABEL] = "";
    uint8_t id[SEAL_ID_SIZE] = { 0 }, want[SEAL_ID_SIZE] = { 0 };

    (void)cbor_array(&r, "key file", 10, 10);
    cbor_text(&r, "label", label, sizeof label);
    if (r.rc == RC_OK && strcmp(label, KEYFILE_LABEL) != 0)
        cbor_fail(&r, RC_VALUE, "label");
    if (cbor_uint(&r, "format", UINT32_MAX) != KEYFILE_FORMAT)
        cbor_fail(&r, RC_VALUE, "format");
    const uint64_t to = cbor_uint(&r, "end", SEAL_PAYLOAD);
    keys.ground = (uint32_t)cbor_uint(&r, "ground", UINT32_MAX);
    keys.satellite = (uint32_t)cbor_uint(&r, "satellite", UINT32_MAX);
    cbor_text(&r, "tenant", keys.tenant, sizeof keys.tenant);
    cbor_text(&r, "payload", keys.payload, sizeof keys.payload);
    keys.epoch = (uint32_t)cbor_uint(&r, "epoch", UINT32_MAX);
    cbor_fixed(&r, "secret", keys.secret, sizeof keys.secret);
    cbor_fixed(&r, "id", id, sizeof id);
    cbor_end(&r);
    check_and_derive(&r, &keys);
    if (r.rc == RC_OK &&
        (to == 0 || seal_key_id(&keys, want, NULL) != RC_OK || memcmp(id, want, sizeof id) != 0))
        cbor_fail(&r, RC_VALUE, "id");
    if (cbor_done(&r, err) != RC_OK)
        return err_set(err, RC_KEY_FILE, "%s: %s", r.field ? r.field : "key file", rc_name(r.rc));
    *ret_to = (enum seal_end)to;
    *ret = keys;
    return RC_OK;
}

/* ---- the rules --------------------------------------------------------------------------------
 */

static struct seal_epoch *newest(struct seal_ring *ring)
{
    return &ring->epoch[ring->n - 1];
}

/* The other one moves into its place. */
static uint64_t drop(struct seal_ring *ring, uint32_t i)
{
    const uint64_t number = ring->epoch[i].number;

    if (i == 0)
        ring->epoch[0] = ring->epoch[1];
    crypto_wipe(&ring->epoch[1], sizeof ring->epoch[1]);
    crypto_forget();
    ring->n = 1;
    return number;
}

/* Whether the last step is not over: what was sealed under the older one may be under way, and what
 * comes may be sealed under either. */
static bool is_changing(const struct seal_ring *ring)
{
    return ring->n == SEAL_EPOCHS_MAX && ring->epoch[0].until_ms == 0;
}

uint32_t seal_ring_next(const struct seal_ring *ring)
{
    const struct seal_epoch *last = &ring->epoch[ring->n - 1];
    const uint32_t step = is_changing(ring) && !last->confirmed ? 2 : 1;

    return last->keys.epoch <= UINT32_MAX - step ? last->keys.epoch + step : 0;
}

/* Make room in a ring that is full; the number of what had to go.  Who makes an epoch holds the one
 * before it, unless that is one that it made itself and gave up: then it left out a number. */
static uint64_t make_room(struct seal_ring *ring, const struct keys *keys, enum seal_add how)
{
    const bool skipped = keys->epoch - newest(ring)->keys.epoch > 1;

    if (how == SEAL_INSTALLED ? is_changing(ring) && skipped : !newest(ring)->confirmed)
        return drop(ring, 1);
    newest(ring)->confirmed = true;
    return drop(ring, 0);
}

/* Whether the key may follow the newest one. */
static enum rc check_next(const struct keys *held, const struct keys *next, bool *ret_held,
                          struct err *err)
{
    *ret_held = false;
    if (!same_pair(held, next))
        return err_set(err, RC_SEAL_KEY, "key of %s/%s, satellite %u", next->tenant, next->payload,
                       next->satellite);
    if (next->epoch < held->epoch)
        return err_set(err, RC_REKEY_OLD, "epoch %u, %u is held", next->epoch, held->epoch);
    if (next->epoch == held->epoch) {
        *ret_held = crypto_equal((struct bytes){ next->secret, sizeof next->secret },
                                 (struct bytes){ held->secret, sizeof held->secret });
        return *ret_held ? RC_OK
                         : err_set(err, RC_EQUIVOCATION, "epoch %u is held with another secret",
                                   next->epoch);
    }
    if (next->epoch - held->epoch > SEAL_EPOCH_STEP_MAX)
        return err_set(err, RC_VALUE, "epoch %u, %u is held", next->epoch, held->epoch);
    return RC_OK;
}

enum rc seal_ring_add(struct seal_ring *ring, const struct keys *keys, enum seal_add how,
                      struct seal_epoch **ret, uint64_t *ret_dropped, struct err *err)
{
    const uint64_t number = keys_number(keys);
    bool held = false;

    if (number == 0)
        return err_set(err, RC_CRYPTO, "number of a key");
    enum rc rc = ring->n > 0 ? check_next(&newest(ring)->keys, keys, &held, err) : RC_OK;

    if (rc == RC_OK && !held && how == SEAL_MADE && is_changing(ring))
        rc = err_set(err, RC_BUSY, "epoch %u is not used by both ends yet",
                     newest(ring)->keys.epoch);
    if (rc != RC_OK)
        return rc;
    *ret = NULL;
    *ret_dropped = 0;
    if (held)
        return RC_OK;
    if (ring->n == SEAL_EPOCHS_MAX)
        *ret_dropped = make_room(ring, keys, how);
    ring->epoch[ring->n] =
        (struct seal_epoch){ .keys = *keys, .number = number, .confirmed = how == SEAL_INSTALLED };
    *ret = &ring->epoch[ring->n++];
    return RC_OK;
}

const struct seal_epoch *seal_ring_sender(const struct seal_ring *ring)
{
    const struct seal_epoch *last = &ring->epoch[ring->n - 1];

    return last->confirmed ? last : &ring->epoch[0];
}

struct seal_epoch *seal_ring_receiver(struct seal_ring *ring, uint64_t number, uint64_t now_ms)
{
    for (uint32_t i = 0; i < ring->n; i++) {
        struct seal_epoch *e = &ring->epoch[i];

        if (e->number == number && (e->until_ms == 0 || now_ms < e->until_ms))
            return e;
    }
    return NULL;
}

bool seal_ring_saw(struct seal_ring *ring, struct seal_epoch *epoch, uint64_t now_ms)
{
    const bool news = !epoch->confirmed;

    epoch->confirmed = true;
    if (epoch != newest(ring) || ring->n < SEAL_EPOCHS_MAX || ring->epoch[0].until_ms != 0)
        return news;
    ring->epoch[0].until_ms = now_ms + ring->grace_ms + (now_ms + ring->grace_ms == 0);
    return true;
}

uint64_t seal_ring_settle(struct seal_ring *ring, uint64_t now_ms)
{
    const uint64_t until = ring->epoch[0].until_ms;

    return ring->n == SEAL_EPOCHS_MAX && until != 0 && now_ms >= until ? drop(ring, 0) : 0;
}

/* ---- the file ---------------------------------------------------------------------------------
 */

enum rc seal_ring_encode(const struct seal_ring *ring, uint8_t *buf, size_t cap, struct bytes *ret,
                         struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };
    const struct keys *first = &ring->epoch[0].keys;

    cbor_put_array(&w, 8);
    cbor_put_uint(&w, RING_FORMAT);
    cbor_put_uint(&w, ring->end);
    cbor_put_uint(&w, first->ground);
    cbor_put_uint(&w, first->satellite);
    cbor_put_text(&w, first->tenant);
    cbor_put_text(&w, first->payload);
    cbor_put_uint(&w, ring->grace_ms);
    cbor_put_array(&w, ring->n);
    for (uint32_t i = 0; i < ring->n; i++) {
        const struct seal_epoch *e = &ring->epoch[i];

        cbor_put_array(&w, 4);
        cbor_put_uint(&w, e->keys.epoch);
        cbor_put_bool(&w, e->confirmed);
        cbor_put_uint(&w, e->until_ms);
        cbor_put_bstr(&w, (struct bytes){ e->keys.secret, sizeof e->keys.secret });
    }
    return cbor_written(&w, ret, err);
}

/* Only the first of two can be superseded. */
static void decode_epoch(struct cbor_in *r, const struct keys *pair, struct seal_ring *ring)
{
    scoped(keys_wipe) struct keys keys = *pair;
    struct seal_epoch *at = NULL;
    uint64_t dropped = 0;

    (void)cbor_array(r, "epoch", 4, 4);
    keys.epoch = (uint32_t)cbor_uint(r, "epoch", UINT32_MAX);
    const bool confirmed = cbor_bool(r, "confirmed");
    const uint64_t until_ms = cbor_uint(r, "until", UINT64_MAX);
    cbor_fixed(r, "secret", keys.secret, sizeof keys.secret);
    cbor_end(r);
    check_and_derive(r, &keys);
    if (r->rc == RC_OK && (seal_ring_add(ring, &keys, confirmed ? SEAL_INSTALLED : SEAL_MADE, &at,
                                         &dropped, NULL) != RC_OK ||
                           at == NULL))
        cbor_fail(r, RC_VALUE, "epoch");
    if (at != NULL)
        at->until_ms = until_ms;
}

enum rc seal_ring_decode(struct bytes in, struct seal_ring *ret, struct err *err)
{
    scoped(seal_ring_wipe) struct seal_ring ring = { 0 };
    struct cbor_in r = cbor_read(in);
    struct keys pair = { 0 };

    (void)cbor_array(&r, "ring", 8, 8);
    if (cbor_uint(&r, "format", UINT32_MAX) != RING_FORMAT)
        cbor_fail(&r, RC_VALUE, "format");
    ring.end = (enum seal_end)cbor_uint(&r, "end", SEAL_PAYLOAD);
    pair.ground = (uint32_t)cbor_uint(&r, "ground", UINT32_MAX);
    pair.satellite = (uint32_t)cbor_uint(&r, "satellite", UINT32_MAX);
    cbor_text(&r, "tenant", pair.tenant, sizeof pair.tenant);
    cbor_text(&r, "payload", pair.payload, sizeof pair.payload);
    ring.grace_ms = cbor_uint(&r, "grace", SEAL_GRACE_MAX_MS);
    const size_t n = cbor_array(&r, "epochs", 1, SEAL_EPOCHS_MAX);
    for (size_t i = 0; i < n && r.rc == RC_OK; i++)
        decode_epoch(&r, &pair, &ring);
    cbor_end(&r);
    cbor_end(&r);
    if (r.rc == RC_OK && ((unsigned)ring.end == 0 || ring.epoch[ring.n - 1].until_ms != 0))
        cbor_fail(&r, RC_VALUE, "end or until");
    /* What is not used has superseded nothing. */
    if (r.rc == RC_OK && ring.epoch[0].until_ms != 0 && !ring.epoch[ring.n - 1].confirmed)
        cbor_fail(&r, RC_VALUE, "confirmed");
    if (cbor_done(&r, err) != RC_OK)
        return err_set(err, RC_KEY_FILE, "%s: %s", r.field ? r.field : "ring", rc_name(r.rc));
    *ret = ring;
    return RC_OK;
}

void seal_ring_wipe(struct seal_ring *ring)
{
    crypto_wipe(ring, sizeof *ring);
    crypto_forget(); /* what was made of them for use again and again */
}
