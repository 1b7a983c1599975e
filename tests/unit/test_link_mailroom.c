/* SPDX-License-Identifier: Apache-2.0
 *
 * link/mailroom: mail that was lost goes again, whatever else lies in the downlink; mail that still
 * lies there does not.
 */
#include "tests/unit/link_fixture.h"

#include "link/dircl.h"
#include "link/mailroom.h"
#include "link/outbox.h"

struct rig {
    struct link_tmp keys, down;
    struct link_state state;
    struct mailroom *room;
};

static void rig_open(struct rig *r)
{
    struct port_mail mail = { .serial = 1 };
    struct link_object o = link_object_new(OBJECT_MAIL, 300, 1);
    struct keys keys;
    struct err err;
    int fd = -1;

    *r = (struct rig){ .keys = link_tmp_new(), .down = link_tmp_new() };
    assert_rc(keys_make(1, 42, &keys, &err), RC_OK);
    assert_rc(link_state_make(r->keys.fd, LINK_SIDE_SATELLITE, &keys, &err), RC_OK);
    assert_rc(link_state_open(r->keys.fd, LINK_SIDE_SATELLITE, &r->state, &err), RC_OK);
    assert_rc(mailroom_new(&r->room, &err), RC_OK);
    assert_rc(fs_sealed("mail", (struct bytes){ o.bytes, o.object.size }, &fd, &err), RC_OK);
    mail.size = o.object.size;
    memcpy(mail.digest, o.object.digest, DIGEST_SIZE);
    assert_rc(mailroom_add(r->room, &mail, fd, &err), RC_OK);
    free(o.bytes);
}

static void rig_close(struct rig *r)
{
    mailroom_free(&r->room);
    link_state_done(&r->state);
    link_tmp_free(&r->keys);
    link_tmp_free(&r->down);
}

/* The carrier takes everything away; how many bundles of mail there were. */
static size_t carry(struct rig *r)
{
    static struct dircl_scan scan;
    size_t all = 0, mail = 0;
    struct err err;

    assert_rc(outbox_count(r->down.fd, &all, &mail, &err), RC_OK);
    assert_rc(dircl_scan(r->down.fd, UINT64_C(1) << 40, &scan, &err), RC_OK);
    assert_int_equal(scan.n, all);
    for (size_t i = 0; i < scan.n; i++)
        assert_int_equal(unlinkat(r->down.fd, scan.name[i], 0), 0);
    return mail;
}

static uint32_t send_at(struct rig *r, uint64_t now_ms)
{
    uint32_t sent = 0;
    struct err err;

    assert_rc(mailroom_send(r->room, &r->state, r->down.fd, now_ms, &sent, &err), RC_OK);
    return sent;
}

/* A report lies in the downlink at every look, as where they are many.  The message was carried,
 * and lost on the way. */
static void reports_do_not_hold_mail_back(void **state)
{
    uint64_t again = 0;
    struct rig r;
    struct err err;

    (void)state;
    rig_open(&r);
    assert_int_equal(send_at(&r, 1000), 1);
    assert_int_equal(carry(&r), 1);
    for (uint64_t now = 2000; now <= 100000 && again == 0; now += 1000) {
        assert_rc(outbox_put(&r.state, "", r.down.fd, bytes_of("a report"), &err), RC_OK);
        if (send_at(&r, now) > 0)
            again = now;
        else
            assert_int_equal(carry(&r), 0);
    }
    assert_true(again > 1000 && again <= 1000 + 2 * 30000);
    rig_close(&r);
}

static void mail_that_waits_for_the_carrier_is_not_late(void **state)
{
    struct rig r;

    (void)state;
    rig_open(&r);
    assert_int_equal(send_at(&r, 1000), 1);
    for (uint64_t now = 2000; now <= 600000; now += 1000)
        assert_int_equal(send_at(&r, now), 0);
    assert_int_equal(carry(&r), 1);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_do_not_hold_mail_back),
        cmocka_unit_test(mail_that_waits_for_the_carrier_is_not_late),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
