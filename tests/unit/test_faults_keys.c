/* SPDX-License-Identifier: Apache-2.0
 *
 * link/state under every fault: keys come, are used and go, and each has a counter and a window
 * that can be used, or is not there.
 */
#include "tests/unit/fault_table.h"

#include "link/state.h"

static struct keys keys;
static struct link_state state_;

static const struct link_offer next_key = { .tenant = "", .epoch = 2, .secret = { 1, 2, 3 } };

static void keys_before(struct fault_world *w)
{
    struct err err;

    assert_rc(link_state_make(w->dir.fd, LINK_SIDE_SATELLITE, &keys, &err), RC_OK);
}

static void nothing_before(struct fault_world *w)
{
    (void)w;
}

/* Provisioning: what was cut off is done again. */
static enum rc keys_make_first(struct fault_world *w, struct err *err)
{
    enum rc rc = link_state_make(w->dir.fd, LINK_SIDE_SATELLITE, &keys, err);

    if (rc != RC_EXISTS)
        return rc;
    rc = link_state_open(w->dir.fd, LINK_SIDE_SATELLITE, &state_, err); /* brings both copies up */
    link_state_done(&state_);
    return rc;
}

static enum rc keys_open(struct fault_world *w, struct err *err)
{
    return link_state_open(w->dir.fd, LINK_SIDE_SATELLITE, &state_, err);
}

static void keys_close(struct fault_world *w)
{
    (void)w;
    link_state_done(&state_);
}

static enum rc key_install(struct fault_world *w, struct err *err)
{
    (void)w;
    return link_state_install(&state_, &next_key, err);
}

static enum rc key_offer(struct fault_world *w, struct err *err)
{
    return link_state_offer(w->dir.fd, &next_key, err);
}

static enum rc key_take_offer(struct fault_world *w, struct err *err)
{
    uint32_t n = 0;

    (void)w;
    return link_state_take_offers(&state_, &n, err);
}

static void keys_before_offer(struct fault_world *w)
{
    struct err err;

    keys_before(w);
    assert_rc(key_offer(w, &err), RC_OK);
}

static void keys_before_confirm(struct fault_world *w)
{
    struct err err;

    keys_before(w);
    assert_rc(keys_open(w, &err), RC_OK);
    assert_rc(key_install(w, &err), RC_OK);
    keys_close(w);
}

static enum rc key_confirm(struct fault_world *w, struct err *err)
{
    (void)w;
    return link_state_confirm(&state_, "", 2, err);
}

/* A bundle came under the next key: the one before it ends. */
static enum rc key_supersede(struct fault_world *w, struct err *err)
{
    (void)w;
    if (state_.ring->n < 2)
        return RC_OK;
    link_keyring_saw(&state_.ring->key[1]);
    return link_state_settle(&state_, err);
}

/* The ring: usable in every part. */
static uint32_t ring_look(struct fault_world *w, bool *ret_sending)
{
    struct link_held held[LINK_KEYRING_MAX];
    uint32_t n = 0;
    struct err err;

    assert_rc(fs_sweep(w->dir.fd, ".", &err), RC_OK);
    assert_rc(keys_open(w, &err), RC_OK);
    for (uint32_t i = 0; i < state_.ring->n; i++) {
        assert_false(state_.ring->key[i].deaf);
        assert_false(state_.ring->key[i].counter.broken);
    }
    link_state_held(&state_, held, &n);
    *ret_sending = held[n - 1].epoch == 2 && held[n - 1].sending;
    keys_close(w);
    return n;
}

static bool first_key_is_there(struct fault_world *w)
{
    bool sending = false;
    struct err err;

    assert_rc(fs_sweep(w->dir.fd, ".", &err), RC_OK);
    if (faccessat(w->dir.fd, "key.a", F_OK, 0) != 0)
        return false;
    assert_int_equal(ring_look(w, &sending), 1);
    return true;
}

static bool key_is_held(struct fault_world *w)
{
    bool sending = false;
    uint32_t n = ring_look(w, &sending);

    assert_true(n == 1 || n == 2);
    return n == 2;
}

static bool key_is_offered(struct fault_world *w)
{
    struct link_held held[2 * LINK_KEYRING_MAX];
    uint32_t n = 0;
    struct err err;

    (void)key_is_held(w);
    assert_rc(link_state_look(w->dir.fd, held, &n, &err), RC_OK);
    return n == 2 && held[1].offered;
}

static bool key_is_taken(struct fault_world *w)
{
    return key_is_held(w) && faccessat(w->dir.fd, "offer-0000000000000002", F_OK, 0) != 0;
}

static bool key_is_confirmed(struct fault_world *w)
{
    bool sending = false;

    assert_int_equal(ring_look(w, &sending), 2);
    return sending;
}

static bool key_is_alone(struct fault_world *w)
{
    bool sending = false;

    return ring_look(w, &sending) == 1;
}

/* ---- the rows ---------------------------------------------------------------------------------
 */

/* clang-format off */
static const struct fault_row key_rows[] = {
    { .name = "first key made", .before = nothing_before, .run = keys_make_first,
      .is_new = first_key_is_there, .one_way = true, .also = RC_STATE_DAMAGED, .calls_min = 36 },
    { .name = "key installed", .before = keys_before, .open = keys_open, .run = key_install,
      .close = keys_close, .is_new = key_is_held, .one_way = true, .also = RC_STATE_DAMAGED, .calls_min = 36 },
    { .name = "key offered", .before = keys_before, .run = key_offer, .is_new = key_is_offered,
      .one_way = true, .calls_min = 6 },
    { .name = "offered key taken", .before = keys_before_offer, .open = keys_open,
      .run = key_take_offer, .close = keys_close, .is_new = key_is_taken, .best_effort = true,
      .one_way = true,
      .also = RC_STATE_DAMAGED, .calls_min = 36 },
    { .name = "key confirmed", .before = keys_before_confirm, .open = keys_open,
      .run = key_confirm, .close = keys_close, .is_new = key_is_confirmed, .one_way = true,
      .calls_min = 12 },
    { .name = "key superseded", .before = keys_before_confirm, .open = keys_open,
      .run = key_supersede, .close = keys_close, .is_new = key_is_alone, .best_effort = true,
      .one_way = true,
      .calls_min = 12 },
};
/* clang-format on */

static void test_every_fault(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof key_rows / sizeof key_rows[0]; i++)
        fault_row_run(&key_rows[i]);
}

static int setup(void **state)
{
    struct err err;

    (void)state;
    assert_rc(keys_make(1, 42, &keys, &err), RC_OK);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_every_fault) };

    return cmocka_run_group_tests(tests, setup, NULL);
}
