/* SPDX-License-Identifier: Apache-2.0
 *
 * Devices and networks by grant: the real berth-launch in a network of this test's own.  Needs
 * root.
 */
#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sched.h>

#include "sandbox/netlink.h"
#include "sandbox/network.h"
#include "tests/unit/sandbox_rig.h"

#define LISTED_MAX 2048

static struct rig rig;
static struct rig_run one, two, three;
static char nodes[] = "/tmp/berth-nodes-XXXXXX";
static char listed[LISTED_MAX];

/* ---- set-up --------------------------------------------------------------------------------- */

static const char *node(const char *name)
{
    static char path[4][64];
    static unsigned int turn;

    turn = (turn + 1) % 4;
    (void)snprintf(path[turn], sizeof path[turn], "%s/%s", nodes, name);
    return path[turn];
}

/* Nodes that exist on every machine, under other names. */
static int make_nodes(void)
{
    if (mkdtemp(nodes) == NULL)
        return -1;
    return mknod(node("kmsg"), S_IFCHR | 0600, makedev(1, 11)) |
           mknod(node("full"), S_IFCHR | 0600, makedev(1, 7)) |
           mknod(node("mem"), S_IFCHR | 0600, makedev(1, 1)) |
           mknod(node("disk"), S_IFBLK | 0600, makedev(7, 0));
}

/* A network without anything but a pair of interfaces: one to be given away, one that stays. */
static int own_network(void **state)
{
    uint32_t link;
    int sock;

    (void)state;
    if (unshare(CLONE_NEWNET) != 0 || make_nodes() != 0)
        return -1;
    scoped(close_fd) int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    assert_rc(netlink_open(-1, &sock, NULL), RC_OK);
    const struct netlink_peer peer = { .name = "sat1", .namespace = here, .mac = { 2, 0, 1 } };
    assert_rc(netlink_add_pair(sock, "sat0", &peer, NULL), RC_OK);
    assert_rc(netlink_find(sock, "sat1", &link, NULL), RC_OK);
    assert_rc(netlink_address(sock, link, 0xc0000201U, 24, NULL), RC_OK); /* 192.0.2.1 */
    assert_rc(netlink_up(sock, link, true, NULL), RC_OK);
    (void)close(sock);
    return 0;
}

static int no_nodes(void **state)
{
    (void)state;
    return unlink(node("kmsg")) | unlink(node("full")) | unlink(node("mem")) |
           unlink(node("disk")) | rmdir(nodes);
}

static int setup(void **state)
{
    const struct rig_options options = { .devices = listed };

    (void)state;
    if (geteuid() != 0) {
        print_error("the sandbox tests need root\n");
        return -1;
    }
    (void)snprintf(listed, sizeof listed,
                   "# what payloads may have\n"
                   "device log %s rw\n"
                   "device  sink\t%s w   # only to write\n"
                   "device gone %s/gone rw\n"
                   "sysfs block /sys/block\n"
                   "sysfs lo /sys/class/net/lo\n"
                   "interface sat0 192.0.2.2/24\n"
                   "interface sat9\n",
                   node("kmsg"), node("full"), nodes);
    rig_open_with(&rig, "grants", &options);
    assert_int_equal(rig.walls.refused_rc, RC_OK);
    rig_slot(&rig, "slot", "sandbox_grants");
    return 0;
}

static int teardown(void **state)
{
    int status = rig_end(&rig);

    (void)state;
    return status == 0 && rig_remove(&rig) ? 0 : -1;
}

static struct plan plan_of(const char *const *args)
{
    return rig_plan(&rig, args, 0);
}

static void grant(struct plan *plan, const char *name)
{
    (void)snprintf(plan->device[plan->n_devices++], NAME_CAP, "%s", name);
}

static void launch(struct rig_run *run, const struct plan *plan)
{
    scoped(close_fd) int slot = open(rig_path(&rig, "slot"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(slot >= 0);
    rig_launch(&rig, plan, slot, -1, run);
}

static void start(struct rig_run *run, const struct plan *plan)
{
    launch(run, plan);
    if (!run->started)
        fail_msg("%s: %s", run->first.failed.step, run->first.failed.what);
}

static void stop(struct rig_run *run)
{
    rig_stop(&rig, run, 0);
    (void)rig_exited(&rig, run);
}

static void assert_refused(const struct plan *plan, enum rc rc)
{
    launch(&one, plan);
    assert_false(one.started);
    assert_rc((enum rc)one.first.failed.rc, rc);
}

/* What the probe printed behind a name. */
static int value(const struct rig_run *run, const char *name)
{
    const char *at = strstr(run->out, name);

    if (at == NULL)
        fail_msg("no %s in: %s", name, run->out);
    return (int)strtol(at + strlen(name), NULL, 10);
}

/* ---- devices -------------------------------------------------------------------------------- */

static void opens_what_is_granted(void **state)
{
    static const char *const args[] = { "/bin/probe", "open",      "/dev/log", "/dev/sink",
                                        "/dev/null",  "/dev/gone", NULL };
    struct plan plan = plan_of(args);

    (void)state;
    start(&one, &plan);
    (void)rig_exited(&rig, &one);
    assert_int_equal(value(&one, "rw /dev/log "), ENOENT); /* not granted: not there */
    assert_int_equal(value(&one, "rw /dev/null "), 0);
    grant(&plan, "log");
    grant(&plan, "sink");
    start(&one, &plan);
    (void)rig_exited(&rig, &one);
    assert_int_equal(value(&one, "w /dev/log "), 0);
    assert_int_equal(value(&one, "w /dev/sink "), 0);
    assert_int_equal(value(&one, "r /dev/sink "), EACCES);
    assert_int_equal(value(&one, "rw /dev/sink "), EACCES);
    assert_int_equal(value(&one, "rw /dev/null "), 0);
}

static void refuses_what_is_not_listed(void **state)
{
    static const char *const args[] = { "/bin/probe", "open", NULL };
    struct plan plan = plan_of(args);
    const struct plan none = plan;

    (void)state;
    grant(&plan, "camera");
    assert_refused(&plan, RC_NOT_BUILT);
    plan = none;
    grant(&plan, "gone");
    assert_refused(&plan, RC_LAUNCH_STEP);
    plan = none;
    grant(&plan, "sat0"); /* an interface is no device */
    assert_refused(&plan, RC_NOT_BUILT);
    plan = none;
    grant(&plan, "../mem");
    assert_refused(&plan, RC_LAUNCH_REQUEST);
    plan = none;
    grant(&plan, "log");
    grant(&plan, "log");
    assert_refused(&plan, RC_LAUNCH_REQUEST);
    plan = none;
    plan.n_devices = PLAN_DEVICES_MAX + 1;
    assert_refused(&plan, RC_LAUNCH_REQUEST);
    plan = none;
    grant(&plan, "log");
    plan.n_devices = 0; /* something behind the last */
    assert_refused(&plan, RC_LAUNCH_REQUEST);
}

static void shows_directories_to_read(void **state)
{
    static const char *const args[] = { "/bin/probe", "look", "/dev/lo", "/dev/block", NULL };
    struct plan plan = plan_of(args);

    (void)state;
    grant(&plan, "lo");
    grant(&plan, "block");
    start(&one, &plan);
    (void)rig_exited(&rig, &one);
    assert_int_equal(value(&one, "list /dev/lo "), 0);
    assert_int_equal(value(&one, "list /dev/block "), 0);
    assert_int_equal(value(&one, "read /dev/lo "), 0);
    assert_int_not_equal(value(&one, "change /dev/lo "), 0);
    assert_int_not_equal(value(&one, "create /dev/lo "), 0);
    assert_int_equal(value(&one, "up /dev/lo "), ENOENT);
}

/* One line of a list, and whether it is one. */
struct list_row {
    const char *text;
    bool good;
};

static const struct list_row list_rows[] = {
    { "device a /dev/null rw", true },
    { "  # nothing", true },
    { "interface can0", true },
    { "interface eth1 192.0.2.2/24", true },
    { "sysfs a /sys/class", true },
    { "device a /dev/null", false },
    { "device a /dev/null rwm", false },
    { "device a /dev/null rw more", false },
    { "device a dev/null rw", false },
    { "device a /dev/../dev/mem rw", false },
    { "device a /dev/.. rw", false },
    { "device a /tmp rw", false },
    { "device null /dev/zero rw", false }, /* taken */
    { "device shm /dev/zero rw", false },
    { "device A /dev/zero rw", false },
    { "device ../a /dev/zero rw", false },
    { "sysfs a /proc", false },
    { "sysfs a /sys/../proc", false },
    { "interface lo", false },
    { "interface a/b", false },
    { "interface eth1 192.0.2.2", false },
    { "interface eth1 192.0.2.2/33", false },
    { "interface eth1 192.0.2/24", false },
    { "interface averyveryverylongname", false },
    { "camera a /dev/video0 rw", false },
    { "device", false },
};

static void reads_a_list_strictly(void **state)
{
    static struct devices_list list;
    char path[] = "/tmp/berth-list-XXXXXX";
    char text[128];
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    for (size_t i = 0; i < sizeof list_rows / sizeof list_rows[0]; i++) {
        list.n = 77;
        (void)snprintf(text, sizeof text, "%s\n", list_rows[i].text);
        rig_write(path, text);
        enum rc rc = devices_load(path, &list, NULL);
        if ((rc == RC_OK) != list_rows[i].good)
            fail_msg("%s: %s", list_rows[i].text, rc_name(rc));
        if (rc != RC_OK)
            assert_int_equal(list.n, 77);
    }
    (void)snprintf(text, sizeof text, "device a %s rw\n", node("mem")); /* the machine itself */
    rig_write(path, text);
    assert_rc(devices_load(path, &list, NULL), RC_VALUE);
    (void)snprintf(text, sizeof text, "device a %s rw\n", node("disk"));
    rig_write(path, text);
    assert_rc(devices_load(path, &list, NULL), RC_VALUE);
    rig_write(path, "interface a\ninterface a\n");
    assert_rc(devices_load(path, &list, NULL), RC_VALUE);
    rig_write(path, "interface a\n");
    assert_int_equal(fchmod(fd, 0666), 0); /* anybody's to change */
    assert_rc(devices_load(path, &list, NULL), RC_VALUE);
    assert_int_equal(fchmod(fd, 0600) | fchown(fd, 1000, 1000), 0);
    assert_rc(devices_load(path, &list, NULL), RC_VALUE);
    assert_int_equal(unlink(path), 0);
    (void)close(fd);
    assert_rc(devices_load(path, &list, NULL), RC_VALUE);
}

/* ---- networks ------------------------------------------------------------------------------- */

/* A socket of ours in the network of a payload: what it could do if it had the calls. */
static int socket_in(const struct rig_run *run, int type)
{
    char path[40];
    scoped(close_fd) int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

    (void)snprintf(path, sizeof path, "/proc/%d/ns/net", run->first.launched.pid);
    scoped(close_fd) int there = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(own >= 0 && there >= 0);
    assert_int_equal(setns(there, CLONE_NEWNET), 0);
    int sock = type < 0 ? -1 : socket(AF_INET, type | SOCK_CLOEXEC, 0);
    if (type < 0)
        assert_rc(netlink_open(-1, &sock, NULL), RC_OK);
    assert_int_equal(setns(own, CLONE_NEWNET), 0);
    assert_true(sock >= 0);
    return sock;
}

static bool has_interface(int netlink, const char *name)
{
    uint32_t link;

    return netlink_find(netlink, name, &link, NULL) == RC_OK;
}

static struct sockaddr_in at(uint32_t address, uint16_t port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET,
                                 .sin_port = htons(port),
                                 .sin_addr.s_addr = htonl(address) };
}

static void listen_at(int sock, uint32_t address)
{
    const struct sockaddr_in a = at(address, 4711);

    assert_int_equal(bind(sock, (const struct sockaddr *)&a, sizeof a), 0);
}

/* 0, or an errno. */
static int say(int sock, uint32_t address)
{
    const struct sockaddr_in a = at(address, 4711);

    return sendto(sock, "hello", 5, 0, (const struct sockaddr *)&a, sizeof a) == 5 ? 0 : errno;
}

static void assert_hears(int sock)
{
    char text[16];

    assert_true(rig_wait(sock));
    assert_int_equal(recv(sock, text, sizeof text, 0), 5);
}

static uint32_t address_of(const struct plan *plan)
{
    return NETWORK_BASE + plan->slot + 1;
}

static struct plan waiting(uint32_t network)
{
    static const char *const args[] = { "/bin/probe", "wait", NULL };
    struct plan plan = plan_of(args);

    plan.network = network;
    return plan;
}

static void has_none_or_its_own_loopback(void **state)
{
    struct plan plan = waiting(PLAN_NETWORK_NONE);

    (void)state;
    start(&one, &plan);
    int sock = socket_in(&one, SOCK_DGRAM);
    assert_int_equal(say(sock, INADDR_LOOPBACK), ENETUNREACH);
    (void)close(sock);
    stop(&one);

    plan = waiting(PLAN_NETWORK_LOOPBACK);
    start(&one, &plan);
    sock = socket_in(&one, SOCK_DGRAM);
    int netlink = socket_in(&one, -1);
    listen_at(sock, INADDR_LOOPBACK);
    assert_int_equal(say(sock, INADDR_LOOPBACK), 0);
    assert_hears(sock);
    assert_int_not_equal(say(sock, 0xc0000201U), 0); /* no way out */
    assert_false(has_interface(netlink, "eth0"));
    (void)close(sock);
    (void)close(netlink);
    stop(&one);
}

/* Two of one tenant hear each other; one of another tenant has the same network, and is alone. */
static void shares_a_network_within_the_tenant(void **state)
{
    struct plan a = waiting(PLAN_NETWORK_PRIVATE), b = a, c = a;

    (void)state;
    rig_range(&rig, &b, 1);
    rig_range(&rig, &c, 2);
    (void)snprintf(c.tenant, sizeof c.tenant, "zenith");
    start(&one, &a);
    start(&two, &b);
    start(&three, &c);
    int from = socket_in(&one, SOCK_DGRAM), to = socket_in(&two, SOCK_DGRAM);
    int stranger = socket_in(&three, SOCK_DGRAM), again = socket_in(&three, SOCK_DGRAM);
    listen_at(to, address_of(&b));
    listen_at(stranger, address_of(&c));
    assert_int_equal(say(from, address_of(&b)), 0);
    assert_hears(to);
    /* The stranger's own network takes it nowhere: its own address answers, the others' do not. */
    assert_int_equal(say(again, address_of(&b)), 0);
    assert_int_equal(say(again, address_of(&c)), 0);
    assert_hears(stranger);
    assert_int_equal(say(from, address_of(&b)), 0);
    assert_hears(to); /* the second of ours, and none of the stranger's between */
    assert_int_equal(recv(to, &(char){ 0 }, 1, MSG_DONTWAIT), -1);
    assert_int_equal(say(from, 0xc0000201U), ENETUNREACH); /* nor to the host */
    (void)close(from);
    (void)close(to);
    (void)close(stranger);
    (void)close(again);
    stop(&two);
    start(&two, &b); /* the network is still there, and takes it in again */
    from = socket_in(&one, SOCK_DGRAM);
    to = socket_in(&two, SOCK_DGRAM);
    listen_at(to, address_of(&b));
    assert_int_equal(say(from, address_of(&b)), 0);
    assert_hears(to);
    (void)close(from);
    (void)close(to);
    stop(&one);
    stop(&two);
    stop(&three);
}

static void moves_an_interface_in_and_back(void **state)
{
    struct plan plan = waiting(PLAN_NETWORK_HOST), other;
    int here;

    (void)state;
    assert_rc(netlink_open(-1, &here, NULL), RC_OK);
    (void)snprintf(plan.interface, sizeof plan.interface, "sat0");
    other = plan;
    rig_range(&rig, &other, 1);
    start(&two, &plan);
    assert_false(has_interface(here, "sat0"));
    int inside = socket_in(&two, SOCK_DGRAM), outside = socket(AF_INET, SOCK_DGRAM, 0);
    listen_at(outside, 0xc0000201U);
    assert_int_equal(say(inside, 0xc0000201U), 0);
    assert_hears(outside);
    assert_refused(&other, RC_LAUNCH_STEP); /* there is one of it */
    (void)close(inside);
    (void)close(outside);
    stop(&two);
    assert_true(has_interface(here, "sat0")); /* back, before EXITED was said */
    start(&two, &plan);
    assert_false(has_interface(here, "sat0"));
    stop(&two);
    assert_true(has_interface(here, "sat0"));

    plan.args[0][1] = 'n'; /* a program that is not there: what was set up is undone */
    assert_refused(&plan, RC_LAUNCH_EXEC);
    assert_true(has_interface(here, "sat0"));
    (void)close(here);
}

static void refuses_other_interfaces(void **state)
{
    struct plan plan = waiting(PLAN_NETWORK_HOST);
    int here;

    (void)state;
    assert_rc(netlink_open(-1, &here, NULL), RC_OK);
    assert_refused(&plan, RC_LAUNCH_REQUEST); /* none named */
    (void)snprintf(plan.interface, sizeof plan.interface, "sat1");
    assert_refused(&plan, RC_NOT_BUILT); /* there, and not listed */
    assert_true(has_interface(here, "sat1"));
    (void)snprintf(plan.interface, sizeof plan.interface, "log");
    assert_refused(&plan, RC_NOT_BUILT); /* listed, and no interface */
    (void)snprintf(plan.interface, sizeof plan.interface, "sat9");
    assert_refused(&plan, RC_LAUNCH_STEP); /* listed, and not there */
    plan.network = PLAN_NETWORK_LOOPBACK;
    assert_refused(&plan, RC_LAUNCH_REQUEST); /* named for nothing */
    plan.network = PLAN_NETWORKS;
    assert_refused(&plan, RC_LAUNCH_REQUEST);
    (void)close(here);
}

/* Kind of the queue at an interface's exit. */
static void queue_of(int netlink, const char *name, char out[16])
{
    struct {
        struct nlmsghdr head;
        struct tcmsg tc;
    } ask = { .head = { .nlmsg_len = sizeof ask,
                        .nlmsg_type = RTM_GETQDISC,
                        .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
              .tc = { .tcm_family = AF_UNSPEC } };
    _Alignas(8) static char answer[16384];
    uint32_t link;

    out[0] = '\0';
    assert_rc(netlink_find(netlink, name, &link, NULL), RC_OK);
    assert_int_equal(send(netlink, &ask, sizeof ask, 0), sizeof ask);
    for (;;) {
        ssize_t n = recv(netlink, answer, sizeof answer, 0);

        assert_true(n > 0);
        for (struct nlmsghdr *h = (void *)answer; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
            if (h->nlmsg_type == NLMSG_DONE)
                return;
            const struct tcmsg *tc = NLMSG_DATA(h);
            const struct rtattr *kind = TCA_RTA(tc);

            if (h->nlmsg_type == RTM_NEWQDISC && tc->tcm_ifindex == (int)link &&
                kind->rta_type == TCA_KIND)
                (void)snprintf(out, 16, "%.15s", (const char *)RTA_DATA(kind));
        }
    }
}

/* What is sent at once beyond the bucket and its queue does not arrive. */
static size_t arrives(int from, int to, uint32_t address)
{
    const struct sockaddr_in a = at(address, 4711);
    static char packet[1400];
    const int room = 8 << 20;
    size_t n = 0;

    assert_int_equal(setsockopt(to, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room), 0);
    assert_int_equal(setsockopt(from, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room), 0);
    for (int i = 0; i < 1000; i++)
        (void)sendto(from, packet, sizeof packet, MSG_DONTWAIT, (const struct sockaddr *)&a,
                     sizeof a);
    while (recv(to, packet, sizeof packet, MSG_DONTWAIT) > 0)
        n++;
    return n;
}

static void caps_what_comes_and_goes(void **state)
{
    struct plan a = waiting(PLAN_NETWORK_PRIVATE), b = a;
    char kind[16];

    (void)state;
    a.net_bps = 100000;
    rig_range(&rig, &b, 1);
    start(&one, &a);
    start(&two, &b);
    int netlink = socket_in(&one, -1);
    int from = socket_in(&one, SOCK_DGRAM), to = socket_in(&two, SOCK_DGRAM);
    listen_at(from, address_of(&a));
    listen_at(to, address_of(&b));
    assert_int_equal(say(from, address_of(&b)), 0); /* they know each other from here on */
    assert_hears(to);
    assert_true(arrives(from, to, address_of(&b)) < 500);
    assert_true(arrives(to, from, address_of(&a)) < 500);
    queue_of(netlink, "eth0", kind);
    assert_string_equal(kind, "tbf");
    (void)close(netlink);
    (void)close(from);
    (void)close(to);
    stop(&one);
    a.net_bps = 0; /* as before, without */
    start(&one, &a);
    from = socket_in(&one, SOCK_DGRAM);
    to = socket_in(&two, SOCK_DGRAM);
    listen_at(to, address_of(&b));
    assert_int_equal(say(from, address_of(&b)), 0);
    assert_hears(to);
    assert_true(arrives(from, to, address_of(&b)) > 900);
    (void)close(from);
    (void)close(to);
    stop(&one);
    stop(&two);
    a.net_bps = 1; /* no rate */
    assert_refused(&a, RC_PLAN_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(opens_what_is_granted, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_what_is_not_listed, setup, teardown),
        cmocka_unit_test_setup_teardown(shows_directories_to_read, setup, teardown),
        cmocka_unit_test(reads_a_list_strictly),
        cmocka_unit_test_setup_teardown(has_none_or_its_own_loopback, setup, teardown),
        cmocka_unit_test_setup_teardown(shares_a_network_within_the_tenant, setup, teardown),
        cmocka_unit_test_setup_teardown(moves_an_interface_in_and_back, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_other_interfaces, setup, teardown),
        cmocka_unit_test_setup_teardown(caps_what_comes_and_goes, setup, teardown),
    };

    return cmocka_run_group_tests(tests, own_network, no_nodes);
}
