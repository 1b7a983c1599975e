/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/seal_ends: the two ends of an end-to-end key, each with a directory of its own.
 * Include "tests/unit/test.h" first.
 */
#ifndef BERTH_TESTS_UNIT_SEAL_ENDS_H
#define BERTH_TESTS_UNIT_SEAL_ENDS_H

#include "tests/unit/link_fixture.h"

#include "link/sealbox.h"

#define SEAL_NOW UINT64_C(1790000000000) /* Unix ms */
#define SEAL_MAX 1024U

struct seal_ends {
    struct link_tmp ground_dir, payload_dir;
    struct sealbox ground, payload;
};

/* One sealed message. */
struct sealed {
    uint8_t b[SEAL_MAX];
    size_t n;
};

static inline struct keys seal_keys(const char *tenant, const char *payload, uint32_t satellite,
                                    uint32_t epoch)
{
    struct keys keys = { .ground = 1, .satellite = satellite };
    struct err err;

    (void)snprintf(keys.tenant, sizeof keys.tenant, "%s", tenant);
    (void)snprintf(keys.payload, sizeof keys.payload, "%s", payload);
    assert_rc(seal_key_make(&keys, epoch, &err), RC_OK);
    return keys;
}

static inline struct seal_ends seal_ends_of(const struct keys *keys)
{
    struct seal_ends e = { .ground_dir = link_tmp_new(), .payload_dir = link_tmp_new() };
    struct err err;

    assert_rc(sealbox_make(e.ground_dir.fd, SEAL_GROUND, keys, false, &err), RC_OK);
    assert_rc(sealbox_make(e.payload_dir.fd, SEAL_PAYLOAD, keys, true, &err), RC_OK);
    assert_rc(sealbox_open(e.ground_dir.fd, &e.ground, &err), RC_OK);
    assert_rc(sealbox_open(e.payload_dir.fd, &e.payload, &err), RC_OK);
    return e;
}

static inline struct seal_ends seal_ends_new(void)
{
    const struct keys keys = seal_keys("acme", "cam", 42, 1);

    return seal_ends_of(&keys);
}

static inline void seal_ends_free(struct seal_ends *e)
{
    sealbox_close(&e->ground);
    sealbox_close(&e->payload);
    link_tmp_free(&e->ground_dir);
    link_tmp_free(&e->payload_dir);
}

static inline struct sealed seal_text(struct sealbox *box, const char *text)
{
    struct sealed s;
    uint32_t epoch = 0;
    struct err err;

    assert_rc(sealbox_seal(box, bytes_of(text), SEAL_NOW, SEALBOX_LIFE_MS, s.b, &s.n, &epoch, &err),
              RC_OK);
    return s;
}

/* Open a copy and note it.  The text, if it is not NULL, must be what was sealed. */
static inline enum rc seal_take_at(struct sealbox *box, const struct sealed *s, const char *text,
                                   uint64_t now_ms)
{
    struct sealed copy = *s;
    struct sealbox_message m;
    struct err err;
    enum rc rc = sealbox_open_message(box, copy.b, copy.n, now_ms, &m, &err);

    if (rc == RC_OK && text && !bytes_equal(m.plain, bytes_of(text)))
        fail_msg("opened to something else");
    return rc == RC_OK ? sealbox_accept(box, &m, now_ms, &err) : rc;
}

static inline enum rc seal_take(struct sealbox *box, const struct sealed *s, const char *text)
{
    return seal_take_at(box, s, text, SEAL_NOW);
}

/* As after a restart. */
static inline void seal_again(struct sealbox *box, int dir)
{
    struct err err;

    sealbox_close(box);
    assert_rc(sealbox_open(dir, box, &err), RC_OK);
}

#endif
