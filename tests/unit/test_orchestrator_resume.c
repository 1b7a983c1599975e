/* SPDX-License-Identifier: Apache-2.0
 *
 * A restart of the ground in the middle of an object: only what the satellite lacks goes up.  The
 * ground and the satellite's end of the link run in this process, over sealed bundles; time is
 * moved by hand.
 */
#include "tests/unit/test.h"

#include <sys/socket.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "link/dircl.h"
#include "link/endpoint.h"
#include "link/port.h"
#include "manifest/doc.h"
#include "orchestrator/ground.h"
#include "tests/unit/berth_run.h"

#define OBJECT_BYTES 300000U
#define CHUNKS 10U /* of 32 KiB */
#define LOST 4U
#define UNIX_MS UINT64_C(1800000000000)

struct sat {
    int up, down, spool, keys, port, link_port;
    struct endpoint *endpoint;
    struct port_transfers transfers;
    uint32_t objects;
    uint64_t seq;
};

static int open_dir(const char *name)
{
    int fd = -1;

    assert_rc(fs_open_dir(dirfd, name, 0755, &fd, &err), RC_OK);
    return fd;
}

static void sat_start(struct sat *s)
{
    int pair[2];

    *s = (struct sat){ .up = open_dir("up"),
                       .down = open_dir("down"),
                       .spool = open_dir("spool"),
                       .keys = open_dir("state/link") };
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
                     0);
    s->port = pair[0];
    s->link_port = pair[1];
    const struct endpoint_fds fds = {
        .port = pair[1], .spool = s->spool, .up = s->up, .down = s->down, .keys = s->keys
    };

    assert_rc(endpoint_new(&fds, clock_mono_ms(), &s->endpoint, &err), RC_OK);
}

static void sat_stop(struct sat *s)
{
    endpoint_free(&s->endpoint);
    close_fd(&s->port);
    close_fd(&s->link_port);
    close_fd(&s->up);
    close_fd(&s->down);
    close_fd(&s->spool);
    close_fd(&s->keys);
}

/* Bundle files that wait in the uplink; of the last ones so many are lost on the way. */
static uint32_t on_the_way(const struct sat *s, uint32_t lost)
{
    static struct dircl_scan scan;

    assert_rc(dircl_scan(s->up, clock_unix_ms(), &scan, &err), RC_OK);
    assert_true(scan.n >= lost);
    for (size_t i = scan.n - lost; i < scan.n; i++)
        assert_int_equal(unlinkat(s->up, scan.name[i], 0), 0);
    return (uint32_t)scan.n;
}

/* Take all that waits in the uplink. */
static void sat_takes(struct sat *s)
{
    scoped(free_ptr) struct port_message *m = malloc(sizeof *m);
    uint64_t wait_ms = 0;

    assert_non_null(m);
    do
        assert_rc(endpoint_tick(s->endpoint, clock_mono_ms(), &wait_ms, &err), RC_OK);
    while (on_the_way(s, 0) > 0);
    for (;;) {
        scoped(close_fd) int fd = -1;

        if (port_recv(s->port, PORT_FROM_LINK, m, &fd, &err) != RC_OK)
            return;
        s->objects += m->type == PORT_OBJECT;
        if (m->type == PORT_TRANSFERS)
            s->transfers = m->transfers;
    }
}

static void sat_reports(struct sat *s)
{
    scoped(free_ptr) struct report *report = calloc(1, sizeof *report);
    scoped(free_ptr) struct port_message *m = calloc(1, sizeof *m);
    const struct transfer_status *from = &s->transfers.transfer[0];
    struct bytes bytes;

    assert_non_null(report);
    assert_non_null(m);
    print_to(report->satellite, sizeof report->satellite, "sat-1");
    report->epoch = 1;
    report->seq = ++s->seq;
    report->time_ms = UNIX_MS;
    report->root_version = 1;
    assert_int_equal(s->transfers.n_transfers, 1);
    report->n_transfers = 1;
    memcpy(report->transfer[0].object.b, from->object, DIGEST_SIZE);
    report->transfer[0].chunks = from->chunks;
    report->transfer[0].n_missing = from->n_missing;
    for (uint32_t k = 0; k < from->n_missing; k++) {
        report->transfer[0].missing[k].first = from->missing[k].first;
        report->transfer[0].missing[k].count = from->missing[k].count;
    }
    m->type = PORT_REPORT;
    assert_rc(report_encode(report, m->report.bytes, REPORT_MAX, &bytes, &err), RC_OK);
    m->report.n = (uint32_t)bytes.n;
    assert_rc(port_send(s->port, m, -1, &err), RC_OK);
    assert_rc(endpoint_port(s->endpoint, &err), RC_OK);
}

static struct ground *start_ground(void)
{
    char home[64];
    const struct ground_options options = { .home = home,
                                            .up_budget = UINT64_C(1) << 30,
                                            .up_files = 1000 };
    struct ground *g = NULL;

    print_to(home, sizeof home, "%s/ground/home", dir);
    assert_rc(ground_open(&options, &g, &err), RC_OK);
    return g;
}

static int set_up(void **state)
{
    scoped(free_ptr) uint8_t *bytes = malloc(OBJECT_BYTES);

    (void)begin(state);
    assert_non_null(bytes);
    assert_berth("key new root --role root", 0);
    assert_berth("key new operator --role operator", 0);
    assert_berth("fleet init test --root root.key --operator operator.key", 0);
    assert_int_equal(mkdirat(dirfd, "up", 0755), 0);
    assert_int_equal(mkdirat(dirfd, "down", 0755), 0);
    assert_berth("provision sat-1 --node 101 --up up --down down --out state", 0);
    crypto_random(bytes, OBJECT_BYTES);
    assert_rc(fs_write_file(dirfd, "object", (struct bytes){ bytes, OBJECT_BYTES }, 0644, &err),
              RC_OK);
    assert_berth("uplink sat-1 object --kind package", 0);
    return 0;
}

/* Chunks that came before are not sent again, and the object is whole with those that did not. */
static void a_restart_goes_on(void **state)
{
    struct ground *g = start_ground();
    struct sat s;

    (void)state;
    sat_start(&s);
    assert_rc(ground_tick(g, 1000, UNIX_MS, &err), RC_OK);
    assert_int_equal(on_the_way(&s, LOST), 1 + CHUNKS);
    sat_takes(&s);
    sat_reports(&s);
    /* The report is kept; what it says is missing was sent only just now, and may still come. */
    assert_rc(ground_tick(g, 1500, UNIX_MS + 500, &err), RC_OK);
    assert_int_equal(on_the_way(&s, 0), 0);
    ground_close(&g);

    for (int again = 0; again < 2; again++) {
        g = start_ground();
        assert_rc(ground_tick(g, 2000, UNIX_MS + 1000, &err), RC_OK);
        assert_int_equal(on_the_way(&s, again == 0 ? 1 + LOST : 0), 1 + LOST);
        /* Nor does anything go for the second time, before somebody has been silent for long. */
        assert_rc(ground_tick(g, 9000, UNIX_MS + 8000, &err), RC_OK);
        assert_int_equal(on_the_way(&s, 0), again == 0 ? 0 : 1 + LOST);
        ground_close(&g);
    }
    assert_int_equal(s.objects, 0);
    sat_takes(&s);
    assert_int_equal(s.objects, 1);
    sat_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_restart_goes_on, set_up, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
