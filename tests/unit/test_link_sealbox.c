/* SPDX-License-Identifier: Apache-2.0
 *
 * link/sealbox: what one end seals, the other opens, once; what anybody else makes, changes,
 * repeats or takes from elsewhere is refused with its code, and leaves no plaintext.
 */
#include "tests/unit/test.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/unit/seal_ends.h"

#include "link/bpsec.h"
#include "link/replay.h"
#include "link/seal.h"

#define TEXT "point north at dusk"

static void messages_go_both_ways(void **state)
{
    struct seal_ends e = seal_ends_new();

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        const struct sealed up = seal_text(&e.ground, TEXT), down = seal_text(&e.payload, "done");

        assert_rc(seal_take(&e.payload, &up, TEXT), RC_OK);
        assert_rc(seal_take(&e.ground, &down, "done"), RC_OK);
        assert_null(memmem(up.b, up.n, TEXT, strlen(TEXT)));
    }
    const struct sealed empty = seal_text(&e.ground, "");
    assert_rc(seal_take(&e.payload, &empty, ""), RC_OK);
    seal_ends_free(&e);
}

/* What berthd asks of it, without a key. */
static void the_agent_sees_addresses_only(void **state)
{
    struct seal_ends e = seal_ends_new();
    struct eid cam, ground;
    const struct sealed up = seal_text(&e.ground, TEXT), down = seal_text(&e.payload, TEXT);
    struct err err;

    (void)state;
    assert_rc(mail_eid(42, "acme", "cam", &cam, &err), RC_OK);
    assert_rc(mail_eid(1, "acme", "", &ground, &err), RC_OK);
    assert_rc(mail_sealed_check((struct bytes){ up.b, up.n }, &ground, &cam, &err), RC_OK);
    assert_rc(mail_sealed_check((struct bytes){ down.b, down.n }, &cam, &ground, &err), RC_OK);
    seal_ends_free(&e);
}

/* The largest, to the byte, and one more. */
static void there_is_a_largest_one(void **state)
{
    struct seal_ends e = seal_ends_new();
    uint8_t *plain = calloc(1, SEALBOX_PLAIN_MAX + 1);
    uint8_t *sealed = malloc(MAIL_CONTENT_MAX);
    struct sealbox_message m;
    size_t n = 0;
    uint32_t epoch = 0;
    struct err err;

    (void)state;
    assert_rc(sealbox_seal(&e.ground, (struct bytes){ plain, SEALBOX_PLAIN_MAX + 1 }, SEAL_NOW,
                           SEALBOX_LIFE_MS, sealed, &n, &epoch, &err),
              RC_TOO_LARGE);
    assert_rc(sealbox_seal(&e.ground, (struct bytes){ plain, SEALBOX_PLAIN_MAX }, SEAL_NOW,
                           SEALBOX_LIFE_MS, sealed, &n, &epoch, &err),
              RC_OK);
    assert_true(n <= MAIL_CONTENT_MAX);
    assert_rc(sealbox_open_message(&e.payload, sealed, n, SEAL_NOW, &m, &err), RC_OK);
    assert_int_equal(m.plain.n, SEALBOX_PLAIN_MAX);
    free(plain);
    free(sealed);
    seal_ends_free(&e);
}

/* ---- forgeries --------------------------------------------------------------------------------
 */

/* Every bit of every byte: refused, and nothing of the plaintext is left in the buffer. */
static void no_bit_can_be_changed(void **state)
{
    struct seal_ends e = seal_ends_new();
    const struct sealed good = seal_text(&e.ground, TEXT);

    (void)state;
    for (size_t at = 0; at < good.n; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            struct sealed bad = good;
            struct sealbox_message m;
            struct err err;

            bad.b[at] ^= (uint8_t)(1U << bit);
            if (sealbox_open_message(&e.payload, bad.b, bad.n, SEAL_NOW, &m, &err) == RC_OK)
                fail_msg("bit %u of byte %zu", bit, at);
            assert_null(memmem(bad.b, bad.n, "north", 5));
        }
    }
    for (size_t n = 0; n < good.n; n++) {
        struct sealed cut = good;

        cut.n = n;
        assert_int_not_equal(seal_take(&e.payload, &cut, NULL), RC_OK);
    }
    assert_rc(seal_take(&e.payload, &good, TEXT), RC_OK); /* none of it counted as seen */
    seal_ends_free(&e);
}

/* Every other pair of ends, and the same ends with another secret. */
static void others_cannot_open_or_seal(void **state)
{
    static const struct {
        const char *why, *tenant, *payload;
        uint32_t satellite;
        uint32_t epoch;
        enum rc rc;
    } rows[] = {
        { "another tenant", "zeta", "cam", 42, 1, RC_SEAL_KEY },
        { "another payload", "acme", "dog", 42, 1, RC_SEAL_KEY },
        { "another satellite", "acme", "cam", 43, 1, RC_SEAL_KEY },
        { "another secret", "acme", "cam", 42, 1, RC_BPSEC_AUTH },
        { "an epoch that is not held", "acme", "cam", 42, 2, RC_BPSEC_KEY },
    };
    struct seal_ends e = seal_ends_new();

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct keys keys =
            seal_keys(rows[i].tenant, rows[i].payload, rows[i].satellite, rows[i].epoch);
        struct seal_ends other = seal_ends_of(&keys);
        const struct sealed theirs[] = { seal_text(&other.ground, TEXT),
                                         seal_text(&other.payload, TEXT) };
        const struct sealed ours = seal_text(&e.ground, TEXT);

        if (seal_take(&e.payload, &theirs[0], NULL) != rows[i].rc)
            fail_msg("up, %s", rows[i].why);
        if (seal_take(&e.ground, &theirs[1], NULL) != rows[i].rc)
            fail_msg("down, %s", rows[i].why);
        assert_int_not_equal(seal_take(&other.payload, &ours, NULL), RC_OK);
        seal_ends_free(&other);
    }
    seal_ends_free(&e);
}

static void nothing_can_be_sent_back(void **state)
{
    struct seal_ends e = seal_ends_new();
    const struct sealed up = seal_text(&e.ground, TEXT), down = seal_text(&e.payload, TEXT);

    (void)state;
    assert_rc(seal_take(&e.ground, &up, NULL), RC_SEAL_KEY);
    assert_rc(seal_take(&e.payload, &down, NULL), RC_SEAL_KEY);
    seal_ends_free(&e);
}

/* A bundle with other endpoints, or with one block less, and a right form. */
static struct sealed rebuilt(const struct sealed *from, uint64_t without, const struct eid *src,
                             const struct eid *dst)
{
    struct bundle b, out;
    struct sealed s = { .n = 0 };
    struct bytes wire = { 0 };
    struct err err;

    assert_rc(bundle_decode((struct bytes){ from->b, from->n }, BUNDLE_STRICT, &b, &err), RC_OK);
    out = b;
    out.n_blocks = 0;
    for (size_t i = 0; i < b.n_blocks; i++) {
        if (b.blocks[i].type != without)
            out.blocks[out.n_blocks++] = b.blocks[i];
    }
    if (without == BLOCK_BIB)
        out.crc_type = CRC_32C;
    if (src)
        out.src = *src;
    if (dst)
        out.dst = *dst;
    assert_rc(bundle_encode(&out, s.b, sizeof s.b, &wire, &err), RC_OK);
    memmove(s.b, wire.p, wire.n);
    s.n = wire.n;
    return s;
}

static void blocks_and_addresses_are_bound(void **state)
{
    struct seal_ends e = seal_ends_new();
    const struct sealed up = seal_text(&e.ground, TEXT), down = seal_text(&e.payload, TEXT);
    struct eid cam, dog, ground;
    struct err err;

    (void)state;
    assert_rc(mail_eid(42, "acme", "cam", &cam, &err), RC_OK);
    assert_rc(mail_eid(42, "acme", "dog", &dog, &err), RC_OK);
    assert_rc(mail_eid(1, "acme", "", &ground, &err), RC_OK);

    const struct sealed same = rebuilt(&up, 0, NULL, NULL);
    const struct sealed no_bib = rebuilt(&up, BLOCK_BIB, NULL, NULL);
    const struct sealed no_bcb = rebuilt(&up, BLOCK_BCB, NULL, NULL);
    const struct sealed turned = rebuilt(&down, 0, &ground, &cam);
    const struct sealed moved = rebuilt(&up, 0, NULL, &dog);

    assert_rc(seal_take(&e.payload, &no_bib, NULL), RC_BPSEC_MISSING);
    assert_rc(seal_take(&e.payload, &no_bcb, NULL), RC_BPSEC_MISSING);
    assert_rc(seal_take(&e.payload, &turned, NULL), RC_BPSEC_CONTEXT);
    assert_rc(seal_take(&e.payload, &moved, NULL), RC_SEAL_KEY);
    /* What was for another payload of the tenant's, addressed anew. */
    const struct keys keys = seal_keys("acme", "dog", 42, 1);
    struct seal_ends other = seal_ends_of(&keys);
    const struct sealed theirs = seal_text(&other.ground, TEXT);
    const struct sealed given = rebuilt(&theirs, 0, NULL, &cam);
    assert_rc(seal_take(&e.payload, &given, NULL), RC_BPSEC_KEY);
    seal_ends_free(&other);
    assert_rc(seal_take(&e.payload, &same, TEXT), RC_OK);
    seal_ends_free(&e);
}

/* One end signs for another destination with the right keys: a fault of its own is found too. */
static void the_destination_is_looked_at(void **state)
{
    struct seal_ends e = seal_ends_new();
    const struct seal_epoch *at = seal_ring_sender(&e.ground.ring);
    struct link_message m = { .sequence = 1,
                              .lifetime_ms = 1000,
                              .key = at->number,
                              .counter = 1,
                              .payload = bytes_of(TEXT) };
    struct sealed s;
    struct err err;

    (void)state;
    assert_rc(mail_eid(1, "acme", "", &m.src, &err), RC_OK);
    assert_rc(mail_eid(42, "acme", "dog", &m.dst, &err), RC_OK);
    assert_rc(link_seal(&m, &at->keys.up, s.b, sizeof s.b, &s.n, &err), RC_OK);
    assert_rc(seal_take(&e.payload, &s, NULL), RC_SEAL_KEY);
    seal_ends_free(&e);
}

static void what_has_expired_is_refused(void **state)
{
    struct seal_ends e = seal_ends_new();
    struct sealed s;
    uint32_t epoch = 0;
    struct err err;

    (void)state;
    assert_rc(sealbox_seal(&e.ground, bytes_of(TEXT), SEAL_NOW, 1000, s.b, &s.n, &epoch, &err),
              RC_OK);
    assert_rc(seal_take_at(&e.payload, &s, TEXT, SEAL_NOW + 1001), RC_BUNDLE_EXPIRED);
    assert_rc(seal_take_at(&e.payload, &s, TEXT, 0), RC_OK); /* without a clock */
    /* And one that has no clock seals all the same. */
    assert_rc(sealbox_seal(&e.payload, bytes_of(TEXT), 5, 1000, s.b, &s.n, &epoch, &err), RC_OK);
    assert_rc(seal_take(&e.ground, &s, TEXT), RC_OK);
    seal_ends_free(&e);
}

/* ---- replay -----------------------------------------------------------------------------------
 */

static void each_is_opened_once(void **state)
{
    struct seal_ends e = seal_ends_new();
    static struct sealed s[40];

    (void)state;
    for (unsigned i = 0; i < 40; i++)
        s[i] = seal_text(&e.ground, TEXT);
    for (unsigned i = 40; i-- > 0;) { /* the last one first */
        assert_rc(seal_take(&e.payload, &s[i], TEXT), RC_OK);
        assert_rc(seal_take(&e.payload, &s[i], NULL), RC_REPLAY);
        if (i % 10 == 0)
            seal_again(&e.payload, e.payload_dir.fd);
        assert_rc(seal_take(&e.payload, &s[i], NULL), RC_REPLAY);
    }
    seal_ends_free(&e);
}

/* A number far ahead, or far behind, under the right key. */
static void numbers_far_off_are_refused(void **state)
{
    static const struct {
        uint64_t counter;
        enum rc rc;
    } rows[] = {
        { REPLAY_JUMP_MAX + 1, RC_REPLAY_JUMP },
        { REPLAY_JUMP_MAX, RC_OK },
        { REPLAY_JUMP_MAX - REPLAY_WINDOW, RC_REPLAY_OLD },
        { REPLAY_JUMP_MAX - REPLAY_WINDOW + 1, RC_OK },
    };
    struct seal_ends e = seal_ends_new();
    const struct seal_epoch *at = seal_ring_sender(&e.ground.ring);
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct link_message m = { .sequence = 1,
                                  .lifetime_ms = 1000,
                                  .key = at->number,
                                  .counter = rows[i].counter,
                                  .payload = bytes_of(TEXT) };
        struct sealed s;

        assert_rc(mail_eid(1, "acme", "", &m.src, &err), RC_OK);
        assert_rc(mail_eid(42, "acme", "cam", &m.dst, &err), RC_OK);
        assert_rc(link_seal(&m, &at->keys.up, s.b, sizeof s.b, &s.n, &err), RC_OK);
        assert_rc(seal_take(&e.payload, &s, NULL), rows[i].rc);
    }
    seal_ends_free(&e);
}

/* A window that is lost or damaged accepts nothing, instead of everything. */
static void without_a_window_nothing_is_opened(void **state)
{
    struct seal_ends e = seal_ends_new();
    const struct sealed s = seal_text(&e.ground, TEXT);
    char name[64];

    (void)state;
    for (char copy = 'a'; copy <= 'b'; copy++) {
        (void)snprintf(name, sizeof name, "replay-%016llx.%c",
                       (unsigned long long)e.payload.ring.epoch[0].number, copy);
        assert_int_equal(unlinkat(e.payload_dir.fd, name, 0), 0);
    }
    assert_rc(seal_take(&e.payload, &s, NULL), RC_STATE_DAMAGED);
    seal_again(&e.payload, e.payload_dir.fd);
    assert_rc(seal_take(&e.payload, &s, NULL), RC_STATE_DAMAGED);
    seal_ends_free(&e);
}

/* ---- nonces -----------------------------------------------------------------------------------
 */

static void iv_of(const struct sealed *s, uint8_t ret[12])
{
    struct bundle b;
    struct bpsec_asb asb;
    struct err err;

    assert_rc(bundle_decode((struct bytes){ s->b, s->n }, BUNDLE_STRICT, &b, &err), RC_OK);
    for (size_t i = 0; i < b.n_blocks; i++) {
        if (b.blocks[i].type != BLOCK_BCB)
            continue;
        assert_rc(bpsec_asb_of(&b, &b.blocks[i], BUNDLE_STRICT, &asb, &err), RC_OK);
        assert_int_equal(asb.iv.n, 12);
        memcpy(ret, asb.iv.p, 12);
        return;
    }
    fail_msg("no BCB");
}

/* All files of a directory, as a backup has them. */
static void copy_all(int from, int to, uint64_t number)
{
    char name[64];
    uint8_t buf[1024];
    size_t n = 0;
    struct err err;

    for (unsigned i = 0; i < 6; i++) {
        const char copy = i % 2 ? 'b' : 'a';

        if (i < 2)
            (void)snprintf(name, sizeof name, "key.%c", copy);
        else
            (void)snprintf(name, sizeof name, "%s-%016llx.%c", i < 4 ? "counter" : "replay",
                           (unsigned long long)number, copy);
        assert_rc(fs_read_file(from, name, buf, sizeof buf, &n, &err), RC_OK);
        assert_rc(fs_write_file(to, name, (struct bytes){ buf, n }, 0600, &err), RC_OK);
    }
}

/* Files brought back over the newer ones, and into a new directory, again and again: no nonce comes
 * twice, and from a new directory the other end goes on the first time. */
static void no_nonce_comes_twice(void **state)
{
    enum { ROUNDS = 20, EACH = 3 };
    struct seal_ends e = seal_ends_new();
    struct link_tmp backup = link_tmp_new(), again;
    static uint8_t iv[ROUNDS * EACH][12];
    const uint64_t number = e.ground.ring.epoch[0].number;
    unsigned n = 0;
    struct sealed s = seal_text(&e.ground, TEXT);

    (void)state;
    assert_rc(seal_take(&e.payload, &s, TEXT), RC_OK);
    copy_all(e.ground_dir.fd, backup.fd, number);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < EACH; i++) {
            s = seal_text(&e.ground, TEXT);
            iv_of(&s, iv[n]);
            for (unsigned k = 0; k < n; k++)
                assert_memory_not_equal(iv[k], iv[n], 12);
            n++;
        }
        if (round % 2 == 0) { /* over the newer one */
            copy_all(backup.fd, e.ground_dir.fd, number);
            seal_again(&e.ground, e.ground_dir.fd);
        } else {
            struct err err;

            again = link_tmp_new();
            copy_all(backup.fd, again.fd, number);
            sealbox_close(&e.ground);
            link_tmp_free(&e.ground_dir);
            e.ground_dir = again;
            assert_rc(sealbox_open(e.ground_dir.fd, &e.ground, &err), RC_OK);
            /* The same backup for the second time may be behind what the first one led to. */
            s = seal_text(&e.ground, TEXT);
            const enum rc rc = seal_take(&e.payload, &s, TEXT);
            assert_true(rc == RC_OK || (round > 1 && rc == RC_REPLAY_OLD));
        }
    }
    link_tmp_free(&backup);
    seal_ends_free(&e);
}

/* Numbers rise by one for each message, also over restarts, so that a window holds as many messages
 * as it has numbers. */
static void numbers_are_not_wasted(void **state)
{
    struct seal_ends e = seal_ends_new();

    (void)state;
    for (uint64_t i = 1; i < 20; i++) {
        const struct sealed s = seal_text(&e.ground, TEXT);
        uint8_t iv[12];

        iv_of(&s, iv);
        assert_int_equal(bytes_get_be(iv + 7, 5), i);
        seal_again(&e.ground, e.ground_dir.fd);
    }
    seal_ends_free(&e);
}

/* ---- epochs -----------------------------------------------------------------------------------
 */

/* The next epoch, from the ground to the payload. */
static struct keys rotate(struct seal_ends *e)
{
    struct keys keys = e->ground.ring.epoch[e->ground.ring.n - 1].keys;
    bool news = false;
    struct err err;

    assert_rc(seal_key_make(&keys, keys.epoch + 1, &err), RC_OK);
    assert_rc(sealbox_add(&e->ground, &keys, SEAL_MADE, &news, &err), RC_OK);
    assert_true(news);
    return keys;
}

static void an_old_epoch_opens_for_its_grace(void **state)
{
    struct seal_ends e = seal_ends_new();
    const struct sealed early = seal_text(&e.ground, "early"), late = seal_text(&e.payload, "late"),
                        later = seal_text(&e.payload, "later");
    bool news = false;
    struct err err;

    (void)state;
    sealbox_set_grace(&e.ground, 1000);
    sealbox_set_grace(&e.payload, 1000);
    const struct keys next = rotate(&e);

    /* Nothing is sealed under it before the other end is known to have it. */
    struct sealed s = seal_text(&e.ground, TEXT);
    assert_rc(seal_take(&e.payload, &s, TEXT), RC_OK);
    assert_rc(sealbox_add(&e.payload, &next, SEAL_INSTALLED, &news, &err), RC_OK);
    assert_true(news);
    assert_rc(sealbox_add(&e.payload, &next, SEAL_INSTALLED, &news, &err), RC_OK);
    assert_false(news); /* again */
    s = seal_text(&e.payload, TEXT);
    assert_rc(seal_take(&e.ground, &s, TEXT), RC_OK);
    s = seal_text(&e.ground, TEXT);
    seal_again(&e.payload, e.payload_dir.fd);
    assert_rc(seal_take(&e.payload, &s, TEXT), RC_OK);

    /* What was on its way is still opened, and then not any more: also with the clock set back. */
    seal_again(&e.ground, e.ground_dir.fd);
    assert_rc(seal_take_at(&e.ground, &late, "late", SEAL_NOW + 999), RC_OK);
    assert_rc(seal_take_at(&e.ground, &later, NULL, SEAL_NOW + 1000), RC_BPSEC_KEY);
    assert_rc(seal_take_at(&e.payload, &early, NULL, SEAL_NOW + 1000), RC_BPSEC_KEY);
    s = seal_text(&e.payload, TEXT);
    assert_rc(seal_take_at(&e.ground, &s, TEXT, SEAL_NOW + 1000), RC_OK);
    assert_rc(seal_take(&e.ground, &later, NULL), RC_BPSEC_KEY);
    assert_int_equal(e.ground.ring.n, 1);
    seal_ends_free(&e);
}

/* Of an epoch that is gone neither copy of any file has the secret. */
static void a_forgotten_secret_is_gone(void **state)
{
    struct seal_ends e = seal_ends_new();
    const struct keys first = e.payload.ring.epoch[0].keys;
    bool news = false;
    struct err err;

    (void)state;
    sealbox_set_grace(&e.payload, 0);
    const struct keys next = rotate(&e);
    assert_rc(sealbox_add(&e.payload, &next, SEAL_INSTALLED, &news, &err), RC_OK);
    struct sealed s = seal_text(&e.payload, TEXT);
    assert_rc(seal_take(&e.ground, &s, TEXT), RC_OK);
    s = seal_text(&e.ground, TEXT);
    assert_rc(seal_take(&e.payload, &s, TEXT), RC_OK);
    for (char copy = 'a'; copy <= 'b'; copy++) {
        const char name[] = { 'k', 'e', 'y', '.', copy, '\0' };
        uint8_t buf[1024];
        size_t n = 0;

        assert_rc(fs_read_file(e.payload_dir.fd, name, buf, sizeof buf, &n, &err), RC_OK);
        assert_null(memmem(buf, n, first.secret, sizeof first.secret));
        assert_non_null(memmem(buf, n, next.secret, sizeof next.secret));
    }
    seal_ends_free(&e);
}

/* ---- the directory ----------------------------------------------------------------------------
 */

static void keys_are_for_their_owner_alone(void **state)
{
    struct seal_ends e = seal_ends_new();
    struct sealbox other = SEALBOX_NONE;
    struct err err;

    (void)state;
    assert_rc(sealbox_open(e.ground_dir.fd, &other, &err), RC_BUSY);
    sealbox_close(&e.ground);
    for (unsigned bit = 0; bit < 6; bit++) {
        assert_int_equal(fchmod(e.ground_dir.fd, 0700 | 1U << bit), 0);
        assert_rc(sealbox_open(e.ground_dir.fd, &other, &err), RC_KEY_FILE);
        assert_int_equal(fchmod(e.ground_dir.fd, 0700), 0);
        assert_int_equal(fchmodat(e.ground_dir.fd, "key.b", 0600 | 1U << bit, 0), 0);
        assert_rc(sealbox_open(e.ground_dir.fd, &other, &err), RC_KEY_FILE);
        assert_rc(sealbox_look(e.ground_dir.fd, &other, &err), RC_KEY_FILE);
        assert_int_equal(fchmodat(e.ground_dir.fd, "key.b", 0600, 0), 0);
    }
    const struct keys keys = seal_keys("acme", "cam", 42, 1);
    assert_rc(sealbox_make(e.ground_dir.fd, SEAL_GROUND, &keys, false, &err), RC_EXISTS);
    assert_rc(sealbox_open(e.ground_dir.fd, &e.ground, &err), RC_OK);
    seal_ends_free(&e);
}

/* One damaged copy is no harm; two are told. */
static void damage_is_told(void **state)
{
    struct seal_ends e = seal_ends_new();
    struct sealbox box = SEALBOX_NONE;
    struct err err;

    (void)state;
    sealbox_close(&e.ground);
    assert_rc(fs_write_file(e.ground_dir.fd, "key.a", bytes_of("x"), 0600, &err), RC_OK);
    assert_rc(sealbox_look(e.ground_dir.fd, &box, &err), RC_OK);
    sealbox_close(&box);
    assert_rc(fs_write_file(e.ground_dir.fd, "key.b", bytes_of("x"), 0600, &err), RC_OK);
    assert_rc(sealbox_look(e.ground_dir.fd, &box, &err), RC_KEY_FILE);
    assert_rc(fs_unlink(e.ground_dir.fd, "key.a", &err), RC_OK);
    assert_rc(fs_unlink(e.ground_dir.fd, "key.b", &err), RC_OK);
    assert_rc(sealbox_look(e.ground_dir.fd, &box, &err), RC_NOT_FOUND);
    seal_ends_free(&e);
}

/* ---- what fails, and what is left -------------------------------------------------------------
 */

/* As on a disk that is full: no file of any size can be written. */
static void set_full(bool full)
{
    static struct rlimit before;

    if (full)
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, full ? SIG_IGN : SIG_DFL);
    assert_int_equal(
        setrlimit(RLIMIT_FSIZE, full ? &(struct rlimit){ .rlim_max = before.rlim_max } : &before),
        0);
}

/* The ring is lost, and bringing the same key back fails: what was opened is known afterwards. */
static void a_failed_install_forgets_nothing(void **state)
{
    struct seal_ends e = seal_ends_new();
    const struct keys keys = e.ground.ring.epoch[0].keys;
    const struct sealed old = seal_text(&e.ground, TEXT);
    struct err err;

    (void)state;
    assert_rc(seal_take(&e.payload, &old, TEXT), RC_OK);
    sealbox_close(&e.payload);
    assert_rc(fs_unlink(e.payload_dir.fd, "key.a", &err), RC_OK);
    assert_rc(fs_unlink(e.payload_dir.fd, "key.b", &err), RC_OK);
    set_full(true);
    const enum rc rc = sealbox_make(e.payload_dir.fd, SEAL_PAYLOAD, &keys, true, &err);
    set_full(false);
    assert_int_not_equal(rc, RC_OK);
    assert_rc(sealbox_open(e.payload_dir.fd, &e.payload, &err), RC_NOT_FOUND);

    assert_rc(sealbox_make(e.payload_dir.fd, SEAL_PAYLOAD, &keys, true, &err), RC_OK);
    assert_rc(sealbox_open(e.payload_dir.fd, &e.payload, &err), RC_OK);
    assert_rc(seal_take(&e.payload, &old, NULL), RC_REPLAY);
    const struct sealed fresh = seal_text(&e.ground, TEXT);
    assert_rc(seal_take(&e.payload, &fresh, TEXT), RC_OK);
    seal_ends_free(&e);
}

extern char __data_start, _end; /* of this program's variables (ld) */

/* Whether a program's variables have these bytes: read as a file, around the sanitizers' borders.
 */
static bool is_kept(const uint8_t *want, size_t n)
{
    const size_t size = (size_t)((uintptr_t)&_end - (uintptr_t)&__data_start);
    scoped(close_fd) int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    scoped(free_ptr) uint8_t *all = malloc(size);

    assert_non_null(all);
    assert_int_equal(pread(mem, all, size, (off_t)(uintptr_t)&__data_start), (ssize_t)size);
    return memmem(all, size, want, n) != NULL;
}

/* Keys stay ready for the next message, and go with the box. */
static void a_closed_box_leaves_no_key(void **state)
{
    struct seal_ends e = seal_ends_new();
    const struct link_keys keys = e.ground.ring.epoch[0].keys.up;

    (void)state;
    (void)seal_text(&e.ground, TEXT);
    assert_true(is_kept(keys.mac, sizeof keys.mac));
    sealbox_close(&e.ground);
    assert_false(is_kept(keys.mac, sizeof keys.mac));
    assert_false(is_kept(keys.aead, sizeof keys.aead));
    seal_ends_free(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_go_both_ways),
        cmocka_unit_test(the_agent_sees_addresses_only),
        cmocka_unit_test(there_is_a_largest_one),
        cmocka_unit_test(no_bit_can_be_changed),
        cmocka_unit_test(others_cannot_open_or_seal),
        cmocka_unit_test(nothing_can_be_sent_back),
        cmocka_unit_test(blocks_and_addresses_are_bound),
        cmocka_unit_test(the_destination_is_looked_at),
        cmocka_unit_test(what_has_expired_is_refused),
        cmocka_unit_test(each_is_opened_once),
        cmocka_unit_test(numbers_far_off_are_refused),
        cmocka_unit_test(without_a_window_nothing_is_opened),
        cmocka_unit_test(no_nonce_comes_twice),
        cmocka_unit_test(numbers_are_not_wasted),
        cmocka_unit_test(an_old_epoch_opens_for_its_grace),
        cmocka_unit_test(a_forgotten_secret_is_gone),
        cmocka_unit_test(keys_are_for_their_owner_alone),
        cmocka_unit_test(damage_is_told),
        cmocka_unit_test(a_failed_install_forgets_nothing),
        cmocka_unit_test(a_closed_box_leaves_no_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
