/* SPDX-License-Identifier: Apache-2.0
 *
 * link/keyring: the file, the rules one by one, and then every order of rekeys, losses, duplicates,
 * delays and power cuts that two ends can meet: none parts them.
 */
#include "tests/unit/link_fixture.h"

#include <sys/stat.h>

#include "base/cbor.h"
#include "base/statefile.h"
#include "link/keyring.h"
#include "link/state.h"

/* ---- rules --------------------------------------------------------------------------------------
 */

static struct link_keyring ring;

static struct keys key_of(const char *tenant, uint32_t epoch, uint8_t secret)
{
    struct keys keys = { .ground = 1, .satellite = 42, .epoch = epoch, .secret = { secret } };
    struct err err;

    snprintf(keys.tenant, sizeof keys.tenant, "%s", tenant);
    assert_rc(keys_derive(&keys, &err), RC_OK);
    return keys;
}

static enum rc install(const char *tenant, uint32_t epoch, uint8_t secret)
{
    const struct keys keys = key_of(tenant, epoch, secret);
    struct link_key *at = NULL;
    struct err err;

    return link_keyring_install(&ring, &keys, &at, &err);
}

/* "1 2*": the epochs of a tenant, with a star for the one that is sent under. */
static void assert_held(const char *tenant, const char *want)
{
    char got[64] = "";

    for (uint32_t i = 0; i < ring.n; i++) {
        const struct link_key *key = &ring.key[i];
        char one[32];

        if (strcmp(key->keys.tenant, tenant) != 0)
            continue;
        snprintf(one, sizeof one, "%s%u%s", got[0] != '\0' ? " " : "", key->keys.epoch,
                 link_keyring_sender(&ring, tenant) == key ? "*" : "");
        assert_true(strlen(got) + strlen(one) < sizeof got);
        memcpy(got + strlen(got), one, strlen(one) + 1);
    }
    assert_string_equal(got, want);
}

static int begin(void **state)
{
    (void)state;
    ring = (struct link_keyring){ .ground = 1, .satellite = 42 };
    return install("", 1, 1) == RC_OK ? 0 : -1;
}

static void next_keys(void **state)
{
    (void)state;
    assert_held("", "1*");
    assert_rc(install("", 2, 2), RC_OK);
    assert_held("", "1* 2");
    assert_non_null(link_keyring_receiver(&ring, 1));
    assert_non_null(link_keyring_receiver(&ring, 2));
    assert_null(link_keyring_receiver(&ring, 3));
    assert_rc(install("", 2, 2), RC_OK); /* again */
    assert_rc(install("", 2, 3), RC_EQUIVOCATION);
    assert_rc(install("", 1, 1), RC_REKEY_OLD);
    assert_rc(install("", 2 + LINK_EPOCH_STEP_MAX + 1, 3), RC_VALUE);
    assert_rc(install("", 3, 3), RC_OK); /* 2 was never used */
    assert_held("", "1* 3");
    assert_false(link_keyring_confirm(&ring, "", 2));
    assert_true(link_keyring_confirm(&ring, "", 3));
    assert_false(link_keyring_confirm(&ring, "", 3));
    assert_held("", "1 3*");
    assert_rc(install("", 4, 4), RC_OK); /* 3 is in use: 1 goes */
    assert_held("", "3* 4");
    link_keyring_saw(link_keyring_receiver(&ring, 4));
    assert_null(link_keyring_receiver(&ring, 3));
    assert_true(link_keyring_settle(&ring));
    assert_false(link_keyring_settle(&ring));
    assert_held("", "4*");
}

static void tenants_are_apart(void **state)
{
    struct link_key *at = NULL;
    struct err err;

    (void)state;
    assert_null(link_keyring_sender(&ring, "acme"));
    assert_rc(install("zeta", 7, 1), RC_OK); /* a first key may begin anywhere */
    assert_rc(install("acme", 1, 1), RC_OK);
    assert_rc(install("acme", 2, 2), RC_OK);
    assert_rc(install("", 2, 2), RC_OK);
    link_keyring_saw(&ring.key[3]);
    assert_true(link_keyring_settle(&ring));
    assert_held("acme", "2*");
    assert_held("", "1* 2");
    assert_held("zeta", "7*");

    /* Keys of other nodes are not for this ring. */
    struct keys keys = key_of("", 3, 3);

    keys.satellite = 43;
    assert_rc(link_keyring_install(&ring, &keys, &at, &err), RC_VALUE);

    /* Two tenants whose numbers agree: found by trying names. */
    ring.key[3].number = keys_number(&(struct keys){ .tenant = "other", .epoch = 7 });
    assert_rc(install("other", 1, 1), RC_EXISTS);
}

static void room_for_all_tenants(void **state)
{
    char name[NAME_CAP];

    (void)state;
    for (unsigned i = 0; i < TENANTS_MAX; i++) {
        snprintf(name, sizeof name, "tenant-%u", i);
        assert_rc(install(name, 1, 1), RC_OK);
        assert_rc(install(name, 2, 2), RC_OK);
    }
    assert_rc(install("", 2, 2), RC_OK);
    assert_int_equal(ring.n, LINK_KEYRING_MAX);
    assert_rc(install("one-more", 1, 1), RC_NO_ROOM);
    assert_rc(install("tenant-3", 3, 3), RC_OK);
    assert_held("tenant-3", "1* 3");

    struct link_tmp t = link_tmp_new();
    struct link_keyring *again = calloc(1, sizeof *again);
    struct err err;

    assert_rc(link_keyring_save(&ring, t.fd, "key", &err), RC_OK);
    assert_rc(link_keyring_load(t.fd, "key", again, &err), RC_OK);
    assert_int_equal(again->n, ring.n);
    assert_memory_equal(&again->key[5].keys, &ring.key[5].keys, sizeof ring.key[5].keys);
    free(again);
    link_tmp_free(&t);
}

/* ---- the file -----------------------------------------------------------------------------------
 */

static void either_copy_is_enough(void **state)
{
    static const char *const copies[] = { "key.a", "key.b" };

    (void)state;
    assert_rc(install("", 2, 2), RC_OK);
    assert_true(link_keyring_confirm(&ring, "", 2));
    for (size_t i = 0; i < 2; i++) {
        struct link_tmp t = link_tmp_new();
        struct link_keyring *again = calloc(1, sizeof *again);
        struct stat st;
        struct err err;

        assert_rc(link_keyring_save(&ring, t.fd, "key", &err), RC_OK);
        assert_int_equal(fstatat(t.fd, copies[i], &st, 0), 0);
        assert_int_equal(st.st_mode & 077, 0);
        link_flip(t.fd, copies[i], 30);
        assert_rc(link_keyring_load(t.fd, "key", again, &err), RC_OK);
        assert_int_equal(again->n, 2);
        assert_true(again->key[1].confirmed);
        assert_false(again->key[0].confirmed);
        link_flip(t.fd, copies[1 - i], 30);
        assert_rc(link_keyring_load(t.fd, "key", again, &err), RC_KEY_FILE);
        assert_int_equal(again->n, 0);
        free(again);
        link_tmp_free(&t);
    }
}

/* Every shape that a key file must not have: each row lists what the keys would be. */
static void refuses_files(void **state)
{
    static const struct {
        const char *why;
        uint64_t format, ground, satellite;
        size_t n;
        struct {
            const char *tenant;
            uint64_t epoch;
            size_t secret;
        } key[4];
        enum rc rc;
    } rows[] = {
        { "right", 2, 1, 42, 3, { { "", 1, 32 }, { "", 3, 32 }, { "acme", 1, 32 } }, RC_OK },
        { "another format", 1, 1, 42, 1, { { "", 1, 32 } }, RC_KEY_FILE },
        { "node 0", 2, 0, 42, 1, { { "", 1, 32 } }, RC_KEY_FILE },
        { "the same node", 2, 42, 42, 1, { { "", 1, 32 } }, RC_KEY_FILE },
        { "no keys", 2, 1, 42, 0, { { "", 1, 32 } }, RC_KEY_FILE },
        { "none of the link", 2, 1, 42, 1, { { "acme", 1, 32 } }, RC_KEY_FILE },
        { "epoch 0", 2, 1, 42, 1, { { "", 0, 32 } }, RC_KEY_FILE },
        { "epoch of 33 bits", 2, 1, 42, 1, { { "", 1ULL << 32, 32 } }, RC_KEY_FILE },
        { "the same twice", 2, 1, 42, 2, { { "", 1, 32 }, { "", 1, 32 } }, RC_KEY_FILE },
        { "falling", 2, 1, 42, 2, { { "", 2, 32 }, { "", 1, 32 } }, RC_KEY_FILE },
        { "three", 2, 1, 42, 3, { { "", 1, 32 }, { "", 2, 32 }, { "", 3, 32 } }, RC_KEY_FILE },
        { "unsorted", 2, 1, 42, 3, { { "", 1, 32 }, { "b", 1, 32 }, { "a", 1, 32 } }, RC_KEY_FILE },
        { "a name", 2, 1, 42, 2, { { "", 1, 32 }, { "A", 1, 32 } }, RC_KEY_FILE },
        { "short secret", 2, 1, 42, 1, { { "", 1, 31 } }, RC_KEY_FILE },
    };
    static const uint8_t secret[32] = { 5 };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct link_tmp t = link_tmp_new();
        uint8_t buf[512];
        struct cbor_out w = { .p = buf, .cap = sizeof buf };
        struct err err;

        cbor_put_array(&w, 4);
        cbor_put_uint(&w, rows[i].format);
        cbor_put_uint(&w, rows[i].ground);
        cbor_put_uint(&w, rows[i].satellite);
        cbor_put_array(&w, rows[i].n);
        for (size_t k = 0; k < rows[i].n; k++) {
            cbor_put_array(&w, 4);
            cbor_put_text(&w, rows[i].key[k].tenant);
            cbor_put_uint(&w, rows[i].key[k].epoch);
            cbor_put_bool(&w, false);
            cbor_put_bstr(&w, (struct bytes){ secret, rows[i].key[k].secret });
        }
        assert_rc(statefile_save(t.fd, "key", (struct bytes){ buf, w.n }, &err), RC_OK);
        if (link_keyring_load(t.fd, "key", &ring, &err) != rows[i].rc)
            fail_msg("%s: %s", rows[i].why, err.what);
        if (rows[i].rc == RC_OK) { /* and nothing behind it */
            assert_int_equal(ring.n, rows[i].n);
            buf[w.n] = 0;
            assert_rc(statefile_save(t.fd, "key", (struct bytes){ buf, w.n + 1 }, &err), RC_OK);
            assert_rc(link_keyring_load(t.fd, "key", &ring, &err), RC_KEY_FILE);
        }
        link_tmp_free(&t);
    }
}

/* ---- both ends and what lies between them -------------------------------------------------------
 *
 * Epochs 1 to EPOCHS; the ground makes the next one whenever it likes.  What was ever sent may be
 * delivered at any later time, any number of times, in any order, or never.  Every durable step may
 * be the last before a power cut, after which memory is what the disk holds.
 */

#define EPOCHS 3U
#define ENTRIES (1U << 24) /* of the table of states; a power of two */

struct held {
    uint8_t epoch, confirmed, seen;
};

struct end {
    uint8_t n;
    struct held key[2];
};

/* No padding: states are compared as bytes. */
struct world {
    struct end ground, ground_disk, board, board_disk;
    uint8_t made;    /* newest epoch that the ground has made a rekey for */
    uint8_t taken;   /* number of the newest rekey that berthd has taken (durable) */
    uint8_t told;    /* epochs that a report may still call the newest held on board */
    uint8_t up;      /* bit e - 1: a bundle under e without a rekey */
    uint16_t rekeys; /* bit 4 * (e - 1) + (r - 1): one under e with rekey r */
    uint16_t down;   /* bit 4 * (e - 1) + (h - 1): a report under e that says h is held */
};

static_assert(sizeof(struct end) == 7 && sizeof(struct world) == 36, "no padding");

static struct link_keyring work;

/* A ring of the real thing from one of the model, and back. */
static void load(const struct end *end)
{
    work.ground = 1;
    work.satellite = 42;
    work.n = end->n;
    for (uint32_t i = 0; i < end->n; i++) {
        struct link_key *key = &work.key[i];

        key->keys.tenant[0] = '\0';
        key->keys.ground = 1;
        key->keys.satellite = 42;
        key->keys.epoch = end->key[i].epoch;
        key->keys.secret[0] = end->key[i].epoch;
        key->number = end->key[i].epoch;
        key->confirmed = end->key[i].confirmed != 0;
        key->seen = end->key[i].seen != 0;
    }
}

static struct end store(void)
{
    struct end end = { .n = (uint8_t)work.n };

    assert_true(work.n >= 1 && work.n <= 2);
    for (uint32_t i = 0; i < work.n; i++) {
        end.key[i].epoch = (uint8_t)work.key[i].keys.epoch;
        end.key[i].confirmed = work.key[i].confirmed;
        end.key[i].seen = work.key[i].seen;
    }
    return end;
}

/* What is saved: whether a key was seen is not. */
static struct end saved(struct end end)
{
    for (uint32_t i = 0; i < end.n; i++)
        end.key[i].seen = 0;
    return end;
}

static uint32_t sends_under(const struct end *end)
{
    load(end);
    return link_keyring_sender(&work, "")->keys.epoch;
}

static bool accepts(const struct end *end, uint32_t epoch)
{
    load(end);
    return link_keyring_receiver(&work, epoch) != NULL;
}

static struct end with_installed(const struct end *end, uint32_t epoch)
{
    struct keys keys = { .ground = 1, .satellite = 42, .epoch = epoch };
    struct link_key *at = NULL;

    keys.secret[0] = (uint8_t)epoch;
    load(end);
    if (link_keyring_install(&work, &keys, &at, NULL) != RC_OK)
        return *end; /* refused: an old one */
    return store();
}

static struct end with_seen(const struct end *end, uint32_t epoch)
{
    load(end);
    link_keyring_saw(link_keyring_receiver(&work, epoch));
    (void)link_keyring_settle(&work);
    return store();
}

static struct end with_confirmed(const struct end *end, uint32_t epoch)
{
    load(end);
    (void)link_keyring_confirm(&work, "", epoch);
    return store();
}

static void note_told(struct world *w)
{
    w->told |= (uint8_t)(1U << (w->board.key[w->board.n - 1].epoch - 1));
}

/* ---- the table of states ---- */

static struct world *states;
static uint32_t *slots; /* index + 1 of states, 0 = empty */
static uint32_t n_states;

static void reach(const struct world *w)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < sizeof *w; i++)
        hash = (hash ^ ((const uint8_t *)w)[i]) * UINT64_C(1099511628211);
    for (uint32_t at = (uint32_t)(hash >> 20) % ENTRIES;; at = (at + 1) % ENTRIES) {
        if (slots[at] == 0) {
            assert_true(n_states < ENTRIES / 2);
            states[n_states++] = *w;
            slots[at] = n_states;
            return;
        }
        if (memcmp(&states[slots[at] - 1], w, sizeof *w) == 0)
            return;
    }
}

/* ---- what can happen ---- */

/* The board opens a bundle: cut after the ring was saved, or taken. */
static bool board_opens(struct world *w, uint32_t epoch)
{
    if (!accepts(&w->board, epoch))
        return false;
    w->board = with_seen(&w->board, epoch);
    w->board_disk = saved(w->board);
    return true;
}

static void board_receives(const struct world *before, uint32_t epoch, uint32_t rekey)
{
    struct world w = *before;

    if (!board_opens(&w, epoch))
        return;
    reach(&w); /* cut here: the bundle had no effect, and lies there still */
    if (rekey == 0 || rekey <= w.taken)
        return;
    struct end next = with_installed(&w.board, rekey);
    struct world half = w;

    half.board_disk =
        saved(next); /* saved, and cut before anybody knew; or the second copy failed */
    reach(&half);
    w.board = next;
    w.board_disk = saved(next);
    note_told(&w);
    reach(&w); /* berthd is cut before it keeps the number */
    w.taken = (uint8_t)rekey;
    reach(&w);
}

static void ground_receives(const struct world *before, uint32_t epoch, uint32_t says)
{
    struct world w = *before;

    if (!accepts(&w.ground, epoch))
        return;
    w.ground = with_seen(&w.ground, epoch);
    w.ground_disk = saved(w.ground);
    reach(&w);
    w.ground = with_confirmed(&w.ground, says);
    w.ground_disk = saved(w.ground);
    reach(&w);
}

static void both_send(const struct world *before)
{
    struct world w = *before;
    uint32_t epoch = sends_under(&w.ground);

    w.up |= (uint8_t)(1U << (epoch - 1));
    reach(&w);
    for (uint32_t r = 2; r <= w.made; r++) {
        w = *before;
        w.rekeys |= (uint16_t)(1U << (4 * (epoch - 1) + (r - 1)));
        reach(&w);
    }
    epoch = sends_under(&before->board);
    for (uint32_t h = 1; h <= EPOCHS; h++) {
        w = *before;
        w.down |= (uint16_t)(1U << (4 * (epoch - 1) + (h - 1)));
        if (w.told >> (h - 1) & 1)
            reach(&w);
    }
}

static void expand(const struct world *before)
{
    struct world w = *before;

    if (w.made < EPOCHS) {
        w.made++;
        w.ground = with_installed(&w.ground, w.made);
        w.ground_disk = saved(w.ground);
        reach(&w);
    }
    both_send(before);
    for (uint32_t e = 1; e <= EPOCHS; e++) {
        if (before->up >> (e - 1) & 1)
            board_receives(before, e, 0);
        for (uint32_t k = 1; k <= EPOCHS; k++) {
            if (before->rekeys >> (4 * (e - 1) + (k - 1)) & 1)
                board_receives(before, e, k);
            if (before->down >> (4 * (e - 1) + (k - 1)) & 1)
                ground_receives(before, e, k);
        }
    }
    w = *before;
    w.ground = w.ground_disk;
    reach(&w);
    w = *before;
    w.board = w.board_disk;
    note_told(&w);
    reach(&w);
}

/* ---- what must hold in every state ---- */

/* From here on nothing is lost for a while: both ends come to hold the newest key and no other. */
static bool heals(struct world w)
{
    for (int round = 0; round < 4; round++) {
        uint32_t epoch = sends_under(&w.ground);

        if (board_opens(&w, epoch) && w.taken < w.made) {
            w.board = with_installed(&w.board, w.made);
            w.board_disk = saved(w.board);
            w.taken = w.made;
        }
        epoch = sends_under(&w.board);
        if (accepts(&w.ground, epoch)) {
            w.ground = with_seen(&w.ground, epoch);
            w.ground = with_confirmed(&w.ground, w.board.key[w.board.n - 1].epoch);
        }
    }
    return w.ground.n == 1 && w.board.n == 1 && w.ground.key[0].epoch == w.made &&
           w.board.key[0].epoch == w.made;
}

static void check(const struct world *w)
{
    struct world cut = *w;

    cut.ground = cut.ground_disk;
    cut.board = cut.board_disk;
    /* What the ground sends is always accepted, cuts on either side or both included. */
    assert_true(accepts(&w->board, sends_under(&w->ground)));
    assert_true(accepts(&cut.board, sends_under(&w->ground)));
    assert_true(accepts(&w->board, sends_under(&cut.ground)));
    assert_true(accepts(&cut.board, sends_under(&cut.ground)));
    assert_true(heals(*w));
    assert_true(heals(cut));
}

static void nothing_parts_the_ends(void **state)
{
    static const struct end fresh = { .n = 1, .key = { { .epoch = 1 } } };
    const struct world first = { .ground = fresh,
                                 .ground_disk = fresh,
                                 .board = fresh,
                                 .board_disk = fresh,
                                 .made = 1,
                                 .taken = 1,
                                 .told = 1 };

    (void)state;
    states = malloc(sizeof *states * (ENTRIES / 2));
    slots = calloc(ENTRIES, sizeof *slots);
    assert_true(states != NULL && slots != NULL);
    reach(&first);
    for (uint32_t i = 0; i < n_states; i++) {
        const struct world w = states[i];

        check(&w);
        expand(&w);
    }
    print_message("%u states\n", n_states);
    assert_true(n_states > 1000);
    free(states);
    free(slots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(next_keys, begin),
        cmocka_unit_test_setup(tenants_are_apart, begin),
        cmocka_unit_test_setup(room_for_all_tenants, begin),
        cmocka_unit_test_setup(either_copy_is_enough, begin),
        cmocka_unit_test_setup(refuses_files, begin),
        cmocka_unit_test(nothing_parts_the_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
