/* SPDX-License-Identifier: Apache-2.0 */
#include "link/state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cbor.h"
#include "base/crypto.h"
#include "base/fs.h"

#define KEY_NAME "key"
#define FILES_MAX 4096U /* of the key directory */
#define FILE_CAP 64U
#define OFFER_PREFIX "offer-"
#define OFFER_MAX 128U

static const char *const prefixes[] = { COUNTER_PREFIX, REPLAY_PREFIX };

/* ---- both sides ---------------------------------------------------------------------------------
 */

uint32_t link_state_self(const struct link_state *state)
{
    return state->side == LINK_SIDE_GROUND ? state->ring->ground : state->ring->satellite;
}

/* Of one side: the node number of the other. */
static uint32_t peer_of(enum link_side side, uint32_t ground, uint32_t satellite)
{
    return side == LINK_SIDE_GROUND ? satellite : ground;
}

uint32_t link_state_peer(const struct link_state *state)
{
    return peer_of(state->side, state->ring->ground, state->ring->satellite);
}

const struct link_keys *link_state_send_keys(const struct link_state *state,
                                             const struct link_key *key)
{
    return state->side == LINK_SIDE_GROUND ? &key->keys.up : &key->keys.down;
}

const struct link_keys *link_state_receive_keys(const struct link_state *state,
                                                const struct link_key *key)
{
    return state->side == LINK_SIDE_GROUND ? &key->keys.down : &key->keys.up;
}

/* ---- the files of one key -----------------------------------------------------------------------
 */

static void remove_files(int dirfd, uint64_t number)
{
    for (size_t i = 0; i < 2 * sizeof prefixes / sizeof prefixes[0]; i++) {
        char name[FILE_CAP];
        struct err err = { 0 };

        snprintf(name, sizeof name, "%s%016" PRIx64 ".%c", prefixes[i / 2], number,
                 i % 2 == 0 ? 'a' : 'b');
        if (fs_unlink(dirfd, name, &err) != RC_OK)
            continue; /* the next start tries again */
    }
}

/* Begin to count at 1, with an empty window.  Nothing was ever sent or accepted under this key: it
 * is not in the ring, and the ring never takes a number for the second time. */
static enum rc make_files(int dirfd, uint32_t peer, uint64_t number, struct err *err)
{
    remove_files(dirfd, number);
    enum rc rc = counter_make(dirfd, number, err);

    return rc == RC_OK ? replay_make(dirfd, peer, number, err) : rc;
}

/* A counter or window that cannot be used is not an error here: the key says so. */
static void load_files(const struct link_state *state, struct link_key *key)
{
    struct err err = { 0 };

    if (counter_load(state->dirfd, key->number, &key->counter, &err) != RC_OK)
        key->counter = (struct counter){ .broken = true };
    key->deaf =
        replay_load(state->dirfd, link_state_peer(state), key->number, &key->replay, &err) != RC_OK;
}

struct leftovers {
    const struct link_keyring *ring;
    int dirfd;
};

/* What a power cut left of writing one of the files of this side, with secrets in it perhaps. */
static bool is_draft(const char *name)
{
    static const char *const files[] = { "." KEY_NAME ".", "." COUNTER_PREFIX, "." REPLAY_PREFIX };

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (strncmp(name, files[i], strlen(files[i])) == 0)
            return true;
    }
    return false;
}

/* Remove the counter or window of a key that is not in the ring, and drafts. */
static bool on_file(void *arg, const char *name)
{
    const struct leftovers *l = arg;
    const char *number = NULL;
    struct err err = { 0 };

    if (is_draft(name) && fs_unlink(l->dirfd, name, &err) != RC_OK)
        return true; /* the next start tries again */
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            number = name + strlen(prefixes[i]);
    }
    if (number == NULL)
        return true;
    uint64_t key = strtoull(number, NULL, 16);

    for (uint32_t i = 0; i < l->ring->n; i++) {
        if (l->ring->key[i].number == key)
            return true;
    }
    remove_files(l->dirfd, key);
    return true;
}

/* ---- making and opening -------------------------------------------------------------------------
 */

static void free_ring(struct link_keyring **ring)
{
    if (*ring == NULL)
        return;
    link_keyring_wipe(*ring);
    free(*ring);
    *ring = NULL;
}

static enum rc new_ring(struct link_keyring **ret, struct err *err)
{
    *ret = calloc(1, sizeof **ret);
    return *ret == NULL ? err_set(err, RC_NO_MEMORY, "keyring") : RC_OK;
}

enum rc link_state_make(int dirfd, enum link_side side, const struct keys *keys, struct err *err)
{
    static const char *const names[] = { KEY_NAME ".a", KEY_NAME ".b" };
    scoped(free_ring) struct link_keyring *ring = NULL;
    struct link_key *key = NULL;
    enum rc rc = new_ring(&ring, err);

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (faccessat(dirfd, names[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
            return err_set(err, RC_EXISTS, "link key %s", names[i]);
    }
    if (rc != RC_OK)
        return rc;
    ring->ground = keys->ground;
    ring->satellite = keys->satellite;
    rc = link_keyring_install(ring, keys, &key, err);
    if (rc == RC_OK)
        rc = make_files(dirfd, peer_of(side, keys->ground, keys->satellite), key->number, err);
    /* The ring comes last: a state that was cut off here has none and can be made again. */
    if (rc != RC_OK)
        return rc;
    rc = link_keyring_save(ring, dirfd, KEY_NAME, err);
    for (size_t i = 0; rc != RC_OK && i < sizeof names / sizeof names[0]; i++)
        (void)unlinkat(dirfd, names[i], 0); /* or one copy would be in the way of that */
    return rc;
}

/* Whether a bundle under one of the link's own keys could be accepted. */
static bool can_hear(const struct link_keyring *ring)
{
    for (uint32_t i = 0; i < ring->n; i++) {
        if (ring->key[i].keys.tenant[0] == '\0' && !ring->key[i].deaf)
            return true;
    }
    return false;
}

enum rc link_state_open(int dirfd, enum link_side side, struct link_state *ret, struct err *err)
{
    scoped(link_state_done) struct link_state state = { .side = side, .dirfd = dirfd };
    struct err why = { 0 };
    enum rc rc = new_ring(&state.ring, err);

    if (rc == RC_OK)
        rc = link_keyring_load(dirfd, KEY_NAME, state.ring, err);
    if (rc != RC_OK)
        return rc;
    for (uint32_t i = 0; i < state.ring->n; i++)
        load_files(&state, &state.ring->key[i]);
    if (!can_hear(state.ring))
        return err_set(err, RC_STATE_DAMAGED, "replay window");
    /* One copy of the ring may be older, or damaged: bring it up.  Without room it stays so. */
    if (link_keyring_save(state.ring, dirfd, KEY_NAME, &why) == RC_OK) {
        struct leftovers l = { .ring = state.ring, .dirfd = dirfd };

        rc = fs_list(dirfd, ".", FILES_MAX, on_file, &l, NULL, &why);
        if (rc != RC_OK)
            why.rc = RC_OK; /* they harm nobody */
    }
    *ret = state;
    state.ring = NULL;
    return RC_OK;
}

void link_state_done(struct link_state *state)
{
    free_ring(&state->ring);
}

/* ---- changes ------------------------------------------------------------------------------------
 */

/* A copy of the ring to change and save before it is in force. */
static enum rc copy_ring(const struct link_state *state, struct link_keyring **ret, struct err *err)
{
    enum rc rc = new_ring(ret, err);

    if (rc == RC_OK)
        memcpy(*ret, state->ring, sizeof **ret);
    return rc;
}

/* next is on disk: put it in force and tidy up after the keys that are in it no more. */
static void take_ring(struct link_state *state, struct link_keyring **next)
{
    struct link_keyring *before = state->ring;

    state->ring = *next;
    *next = NULL;
    for (uint32_t i = 0; i < before->n; i++) {
        bool held = false;

        for (uint32_t k = 0; k < state->ring->n; k++)
            held |= state->ring->key[k].number == before->key[i].number;
        if (!held)
            remove_files(state->dirfd, before->key[i].number);
    }
    free_ring(&before);
}

static void wipe_offer(struct link_offer *offer)
{
    crypto_wipe(offer, sizeof *offer);
}

static enum rc keys_of(const struct link_keyring *ring, const struct link_offer *offer,
                       struct keys *ret, struct err *err)
{
    *ret = (struct keys){ .ground = ring->ground,
                          .satellite = ring->satellite,
                          .epoch = offer->epoch };
    memcpy(ret->tenant, offer->tenant, sizeof ret->tenant);
    ret->tenant[sizeof ret->tenant - 1] = '\0';
    memcpy(ret->secret, offer->secret, sizeof ret->secret);
    return keys_derive(ret, err);
}

enum rc link_state_install(struct link_state *state, const struct link_offer *offer,
                           struct err *err)
{
    scoped(free_ring) struct link_keyring *next = NULL;
    scoped(keys_wipe) struct keys keys = { 0 };
    struct link_key *key = NULL;
    enum rc rc = keys_of(state->ring, offer, &keys, err);

    if (rc == RC_OK)
        rc = copy_ring(state, &next, err);
    if (rc == RC_OK)
        rc = link_keyring_install(next, &keys, &key, err);
    if (rc != RC_OK || key == NULL)
        return rc;
    rc = make_files(state->dirfd, link_state_peer(state), key->number, err);
    if (rc == RC_OK)
        rc = link_keyring_save(next, state->dirfd, KEY_NAME, err);
    if (rc != RC_OK)
        return rc;
    load_files(state, key);
    take_ring(state, &next);
    return RC_OK;
}

enum rc link_state_confirm(struct link_state *state, const char *tenant, uint32_t epoch,
                           struct err *err)
{
    scoped(free_ring) struct link_keyring *next = NULL;
    enum rc rc = copy_ring(state, &next, err);

    if (rc != RC_OK || !link_keyring_confirm(next, tenant, epoch))
        return rc;
    rc = link_keyring_save(next, state->dirfd, KEY_NAME, err);
    if (rc == RC_OK)
        take_ring(state, &next);
    return rc;
}

/* ---- offers -------------------------------------------------------------------------------------
 */

enum rc link_state_offer(int dirfd, const struct link_offer *offer, struct err *err)
{
    scoped(free_ring) struct link_keyring *ring = NULL;
    scoped(keys_wipe) struct keys keys = { 0 };
    struct link_key *key = NULL;
    uint8_t buf[OFFER_MAX];
    struct cbor_out w = { .p = buf, .cap = sizeof buf };
    char name[FILE_CAP];
    enum rc rc = new_ring(&ring, err);

    if (rc == RC_OK)
        rc = link_keyring_load(dirfd, KEY_NAME, ring, err);
    if (rc == RC_OK)
        rc = keys_of(ring, offer, &keys, err);
    if (rc == RC_OK)
        rc = link_keyring_install(ring, &keys, &key, err);
    if (rc != RC_OK || key == NULL)
        return rc;
    cbor_put_array(&w, 3);
    cbor_put_text(&w, keys.tenant);
    cbor_put_uint(&w, keys.epoch);
    cbor_put_bstr(&w, (struct bytes){ keys.secret, sizeof keys.secret });
    snprintf(name, sizeof name, OFFER_PREFIX "%016" PRIx64, key->number);
    rc = fs_write_file(dirfd, name, (struct bytes){ buf, w.n }, 0600, err);
    crypto_wipe(buf, sizeof buf);
    return rc;
}

static enum rc read_offer(int dirfd, const char *name, struct link_offer *ret, struct err *err)
{
    uint8_t buf[OFFER_MAX];
    size_t n = 0;
    enum rc rc = fs_read_file(dirfd, name, buf, sizeof buf, &n, err);

    if (rc != RC_OK)
        return rc;
    struct cbor_in r = cbor_read((struct bytes){ buf, n });

    cbor_array(&r, "offer", 3, 3);
    cbor_text(&r, "tenant", ret->tenant, sizeof ret->tenant);
    ret->epoch = (uint32_t)cbor_uint(&r, "epoch", UINT32_MAX);
    cbor_fixed(&r, "secret", ret->secret, sizeof ret->secret);
    cbor_end(&r);
    rc = cbor_done(&r, err);
    crypto_wipe(buf, sizeof buf);
    return rc;
}

struct offers {
    int dirfd;
    uint32_t n;
    char name[LINK_KEYRING_MAX][FILE_CAP];
};

static bool on_offer(void *arg, const char *name)
{
    struct offers *o = arg;

    if (strncmp(name, OFFER_PREFIX, sizeof OFFER_PREFIX - 1) == 0 && strlen(name) < FILE_CAP)
        snprintf(o->name[o->n++], FILE_CAP, "%s", name);
    return o->n < LINK_KEYRING_MAX;
}

enum rc link_state_take_offers(struct link_state *state, uint32_t *ret, struct err *err)
{
    struct offers o = { .dirfd = state->dirfd };
    enum rc rc = fs_list(state->dirfd, ".", FILES_MAX, on_offer, &o, NULL, err);

    *ret = 0;
    for (uint32_t i = 0; rc == RC_OK && i < o.n; i++) {
        scoped(wipe_offer) struct link_offer offer = { 0 };

        rc = read_offer(state->dirfd, o.name[i], &offer, err);
        if (rc == RC_OK)
            rc = link_state_install(state, &offer, err);
        *ret += rc == RC_OK ? 1 : 0;
        if (rc == RC_OK || rc_class(rc) == RC_CLASS_REFUSED || rc_class(rc) == RC_CLASS_MALFORMED)
            rc = fs_unlink(state->dirfd, o.name[i], err);
    }
    return rc;
}

static void list_held(struct link_keyring *ring, struct link_held *ret, uint32_t *ret_n)
{
    for (uint32_t i = 0; i < ring->n; i++) {
        const struct link_key *key = &ring->key[i];
        struct link_held *held = &ret[i];

        *held = (struct link_held){ .epoch = key->keys.epoch,
                                    .sending = link_keyring_sender(ring, key->keys.tenant) == key };
        memcpy(held->tenant, key->keys.tenant, sizeof held->tenant);
    }
    *ret_n = ring->n;
}

void link_state_held(const struct link_state *state, struct link_held *ret, uint32_t *ret_n)
{
    list_held(state->ring, ret, ret_n);
}

static bool is_listed(const struct link_held *held, uint32_t n, const struct link_held *which)
{
    for (uint32_t i = 0; i < n; i++) {
        if (held[i].epoch == which->epoch && strcmp(held[i].tenant, which->tenant) == 0)
            return true;
    }
    return false;
}

enum rc link_state_look(int dirfd, struct link_held *ret, uint32_t *ret_n, struct err *err)
{
    scoped(free_ring) struct link_keyring *ring = NULL;
    struct link_held offered[LINK_KEYRING_MAX];
    struct offers o = { .dirfd = dirfd };
    uint32_t n_offered = 0;
    enum rc rc = new_ring(&ring, err);

    /* Offers first: one that is gone by now is in the ring by then, and is not missed. */
    if (rc == RC_OK)
        rc = fs_list(dirfd, ".", FILES_MAX, on_offer, &o, NULL, err);
    for (uint32_t i = 0; rc == RC_OK && i < o.n; i++) {
        scoped(wipe_offer) struct link_offer offer = { 0 };
        struct link_held *held = &offered[n_offered];

        if (read_offer(dirfd, o.name[i], &offer, err) != RC_OK)
            continue; /* installed while we looked, or none */
        *held = (struct link_held){ .epoch = offer.epoch, .offered = true };
        memcpy(held->tenant, offer.tenant, sizeof held->tenant);
        n_offered++;
    }
    if (rc == RC_OK)
        rc = link_keyring_load(dirfd, KEY_NAME, ring, err);
    if (rc != RC_OK)
        return rc;
    list_held(ring, ret, ret_n);
    for (uint32_t i = 0; i < n_offered; i++)
        if (!is_listed(ret, ring->n, &offered[i]))
            ret[(*ret_n)++] = offered[i];
    return RC_OK;
}

/* ---- settling -----------------------------------------------------------------------------------
 */

/* Forget what was superseded.  First of all: a window that remembers a bundle under the next key
 * never stands beside the old one. */
static enum rc settle_ring(struct link_state *state, struct err *err)
{
    scoped(free_ring) struct link_keyring *next = NULL;
    enum rc rc = copy_ring(state, &next, err);

    if (rc != RC_OK || !link_keyring_settle(next))
        return rc;
    rc = link_keyring_save(next, state->dirfd, KEY_NAME, err);
    if (rc == RC_OK)
        take_ring(state, &next);
    return rc;
}

/* What memory holds of the batch was not accepted: go back to what is on disk. */
static void revert(struct link_state *state)
{
    struct link_state again = { 0 };
    struct err err = { 0 };

    if (link_state_open(state->dirfd, state->side, &again, &err) == RC_OK) {
        link_state_done(state);
        *state = again;
        return;
    }
    for (uint32_t i = 0; i < state->ring->n; i++)
        state->ring->key[i].deaf = true; /* refuses everything from now on */
}

enum rc link_state_settle(struct link_state *state, struct err *err)
{
    enum rc rc = settle_ring(state, err);

    for (uint32_t i = 0; rc == RC_OK && i < state->ring->n; i++) {
        if (!state->ring->key[i].deaf)
            rc = replay_save(&state->ring->key[i].replay, state->dirfd, err);
    }
    if (rc != RC_OK)
        revert(state);
    return rc;
}

enum rc link_state_scrub(const struct link_state *state, struct scrubbed *count, struct err *err)
{
    enum rc rc = link_keyring_scrub(state->ring, state->dirfd, KEY_NAME, count, err);

    for (uint32_t i = 0; rc == RC_OK && i < state->ring->n; i++) {
        const struct link_key *key = &state->ring->key[i];

        rc = counter_scrub(&key->counter, state->dirfd, count, err);
        if (rc == RC_OK && !key->deaf)
            rc = replay_scrub(&key->replay, state->dirfd, count, err);
    }
    return rc;
}
