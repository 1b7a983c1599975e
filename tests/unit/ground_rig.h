/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/ground_rig: a fleet under tests/unit/berth_run, and satellites of it that answer in
 * this process over sealed bundles.  Time is the test's.
 */
#ifndef BERTH_TESTS_UNIT_GROUND_RIG_H
#define BERTH_TESTS_UNIT_GROUND_RIG_H

#include <sys/socket.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "link/dircl.h"
#include "link/endpoint.h"
#include "link/mail.h"
#include "link/port.h"
#include "manifest/doc.h"
#include "orchestrator/ground.h"
#include "orchestrator/home.h"
#include "tests/unit/berth_run.h" /* behind what has parameters named as its variables */

#define RIG_UNIX_MS UINT64_C(1800000000000)

#define rig_function static __attribute__((unused))

/* As begin, and a fleet without satellites. */
rig_function int rig_begin(void **state)
{
    (void)begin(state);
    assert_berth("key new root --role root", 0);
    assert_berth("key new operator --role operator", 0);
    assert_berth("fleet init test --root root.key --operator operator.key", 0);
    return 0;
}

/* A directory of a satellite, made if it is not there: ID-NAME. */
rig_function int rig_dir(const char *id, const char *name)
{
    char path[96];
    int fd = -1;

    print_to(path, sizeof path, "%s-%s", id, name);
    (void)mkdirat(dirfd, path, 0755);
    assert_rc(fs_open_dir(dirfd, path, 0755, &fd, &err), RC_OK);
    return fd;
}

/* Provision it: ID-up, ID-down, and its end of the link in ID-state/link. */
rig_function void rig_provision(const char *id, unsigned node)
{
    scoped(close_fd) int up = rig_dir(id, "up");
    scoped(close_fd) int down = rig_dir(id, "down");
    char line[256];

    print_to(line, sizeof line, "provision %s --node %u --up %s-up --down %s-down --out %s-state",
             id, node, id, id, id);
    assert_berth(line, 0);
}

/* ---- the ground -------------------------------------------------------------------------------
 */

rig_function struct ground *rig_ground(const struct ground_options *options)
{
    struct ground_options mine = *options;
    struct ground *ret = NULL;
    char home[96];

    print_to(home, sizeof home, "%s/ground/home", dir);
    mine.home = home;
    assert_rc(ground_open(&mine, &ret, &err), RC_OK);
    return ret;
}

rig_function struct home rig_home(void)
{
    struct home ret = HOME_NONE;
    char path[96];

    print_to(path, sizeof path, "%s/ground/home", dir);
    assert_rc(home_open(path, false, &ret, &err), RC_OK);
    return ret;
}

rig_function size_t rig_left_in_queue(void)
{
    scoped(home_close) struct home home = rig_home();
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    size_t n = 0;

    assert_rc(store_outgoing(home.store, NULL, OUTGOING_QUEUED, &rows, &n, &err), RC_OK);
    return n;
}

/* Queue new random bytes as a package. */
rig_function void rig_queue(const char *id, size_t size)
{
    scoped(free_ptr) uint8_t *bytes = malloc(size);
    char line[128];

    assert_non_null(bytes);
    crypto_random(bytes, size);
    assert_rc(fs_write_file(dirfd, "object", (struct bytes){ bytes, size }, 0644, &err), RC_OK);
    print_to(line, sizeof line, "uplink %s object --kind package", id);
    assert_berth(line, 0);
}

/* ---- a satellite ------------------------------------------------------------------------------
 */

struct rig_sat {
    char id[16];
    int up, down, spool, keys, port, link_port;
    struct endpoint *endpoint;
    struct port_transfers transfers; /* as its link told last */
    uint32_t objects;                /* that came whole, and are done with */
    uint64_t seq;                    /* of its last report, which tells one event of that number */
};

/* Provisioned already.  now_ms is what rig_sat_takes counts on from. */
rig_function void rig_sat_start(struct rig_sat *s, const char *id, uint64_t now_ms)
{
    int pair[2];

    *s = (struct rig_sat){ .up = rig_dir(id, "up"),
                           .down = rig_dir(id, "down"),
                           .spool = rig_dir(id, "spool"),
                           .keys = rig_dir(id, "state/link") };
    print_to(s->id, sizeof s->id, "%s", id);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
                     0);
    s->port = pair[0];
    s->link_port = pair[1];
    const struct endpoint_fds fds = {
        .port = pair[1], .spool = s->spool, .up = s->up, .down = s->down, .keys = s->keys
    };

    assert_rc(endpoint_new(&fds, now_ms, &s->endpoint, &err), RC_OK);
}

rig_function void rig_sat_stop(struct rig_sat *s)
{
    endpoint_free(&s->endpoint);
    close_fd(&s->port);
    close_fd(&s->link_port);
    close_fd(&s->up);
    close_fd(&s->down);
    close_fd(&s->spool);
    close_fd(&s->keys);
}

/* Bundle files that wait in its uplink, in the order of their counters. */
rig_function const struct dircl_scan *rig_uplink(const struct rig_sat *s)
{
    static struct dircl_scan scan;

    assert_rc(dircl_scan(s->up, clock_unix_ms(), &scan, &err), RC_OK);
    return &scan;
}

/* What its link says to its agent, which is done with an object at once. */
static void rig_sat_hears(struct rig_sat *s)
{
    scoped(free_ptr) struct port_message *m = malloc(sizeof *m);
    struct port_message done = { .type = PORT_OBJECT_DONE };

    assert_non_null(m);
    for (;;) {
        scoped(close_fd) int fd = -1;

        if (port_recv(s->port, PORT_FROM_LINK, m, &fd, &err) != RC_OK)
            return;
        if (m->type == PORT_TRANSFERS)
            s->transfers = m->transfers;
        if (m->type != PORT_OBJECT)
            continue;
        s->objects++;
        memcpy(done.done.digest, m->object.digest, DIGEST_SIZE);
        assert_rc(port_send(s->port, &done, -1, &err), RC_OK);
        assert_rc(endpoint_port(s->endpoint, &err), RC_OK);
    }
}

/* Take all that waits in the uplink. */
rig_function void rig_sat_takes(struct rig_sat *s, uint64_t now_ms)
{
    uint64_t wait_ms = 0;

    do
        assert_rc(endpoint_tick(s->endpoint, now_ms, &wait_ms, &err), RC_OK);
    while (rig_uplink(s)->n > 0);
    rig_sat_hears(s);
}

/* A message of a payload, of a tenant that the ground does not know. */
rig_function void rig_sat_mails(struct rig_sat *s)
{
    const struct mail mail = { .direction = MAIL_DOWN,
                               .node = 101,
                               .tenant = "nobody",
                               .payload = "cam",
                               .number = 1,
                               .time_ms = RIG_UNIX_MS,
                               .name = "x",
                               .size = 1 };
    struct port_message m = { .type = PORT_MAIL, .mail = { .serial = 1 } };
    scoped(close_fd) int fd = -1;
    uint8_t buf[MAIL_HEAD_MAX + 1];
    struct bytes all;

    assert_rc(mail_head_encode(&mail, buf, &all, &err), RC_OK);
    buf[all.n++] = 'x';
    m.mail.size = all.n;
    assert_rc(sha256_of(all, m.mail.digest, &err), RC_OK);
    assert_rc(fs_sealed("mail", all, &fd, &err), RC_OK);
    assert_rc(port_send(s->port, &m, fd, &err), RC_OK);
    assert_rc(endpoint_port(s->endpoint, &err), RC_OK);
}

/* A report of what its link told of transfers. */
rig_function void rig_sat_reports(struct rig_sat *s)
{
    scoped(free_ptr) struct report *report = calloc(1, sizeof *report);
    scoped(free_ptr) struct port_message *m = calloc(1, sizeof *m);
    struct bytes bytes;

    assert_non_null(report);
    assert_non_null(m);
    print_to(report->satellite, sizeof report->satellite, "%s", s->id);
    report->epoch = 1;
    report->seq = ++s->seq;
    report->time_ms = RIG_UNIX_MS;
    report->root_version = 1;
    report->n_events = 1;
    report->event[0] = (struct report_event){ .seq = s->seq, .code = RC_BPSEC_AUTH, .count = 1 };
    print_to(report->event[0].what, sizeof report->event[0].what, "bundle");
    report->n_objects = s->transfers.n_complete;
    for (uint32_t i = 0; i < report->n_objects; i++)
        memcpy(report->object[i].b, s->transfers.complete[i], DIGEST_SIZE);
    report->n_transfers = s->transfers.n_transfers;
    for (uint32_t i = 0; i < report->n_transfers; i++) {
        const struct transfer_status *from = &s->transfers.transfer[i];

        memcpy(report->transfer[i].object.b, from->object, DIGEST_SIZE);
        report->transfer[i].chunks = from->chunks;
        report->transfer[i].n_missing = from->n_missing;
        for (uint32_t k = 0; k < from->n_missing; k++) {
            report->transfer[i].missing[k].first = from->missing[k].first;
            report->transfer[i].missing[k].count = from->missing[k].count;
        }
    }
    m->type = PORT_REPORT;
    assert_rc(report_encode(report, m->report.bytes, REPORT_MAX, &bytes, &err), RC_OK);
    m->report.n = (uint32_t)bytes.n;
    assert_rc(port_send(s->port, m, -1, &err), RC_OK);
    assert_rc(endpoint_port(s->endpoint, &err), RC_OK);
}

#endif
