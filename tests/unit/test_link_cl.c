/* SPDX-License-Identifier: Apache-2.0
 *
 * berth-cl as a whole: TCPCL by TLS between two of them that are killed again and again, peers that
 * are not who they must be, UDP with strays.  Everything on the loopback.
 */
#include "tests/unit/cl_rig.h"

#include <sys/prctl.h>

#include "base/clock.h"
#include "link/cl_door.h"
#include "link/cl_net.h"
#include "link/cl_pace.h"
#include "link/tcpcl.h"

#define A_TO_B 2000U
#define B_TO_A 400U
#define KILLS 3U /* of each side */

static int make_certificates(void **state)
{
    time_t later = time(NULL) + 86400;
    int code = rig_begin_apart(state);
    struct rig_ca ca = rig_authority("ca.crt", "CN=test authority");
    struct rig_ca other = rig_authority("other.crt", "CN=other authority");

    rig_certificate(&ca, "a", "ipn:1.0", NULL, later);
    rig_certificate(&ca, "b", "ipn:2.0", NULL, later);
    rig_certificate(&ca, "dns", NULL, "b.example", later);
    rig_certificate(&ca, "old", "ipn:1.0", NULL, 2000000);
    rig_certificate(&ca, "longer", "ipn:1.01", NULL, later);
    rig_certificate(&other, "stranger", "ipn:1.0", NULL, later);
    rig_authority_free(&ca);
    rig_authority_free(&other);
    return code;
}

static struct rig_process start_a(unsigned port)
{
    char words[512];

    (void)snprintf(words, sizeof words,
                   "tcp --send @a.send --receive @a.recv --peer 127.0.0.1:%u --node-id ipn:1.0 "
                   "--peer-id ipn:2.0 --ca @ca.crt --cert @a.crt --key @a.key",
                   port);
    return rig_start("a", words, -1);
}

static struct rig_process start_b(int fd)
{
    return rig_start("b",
                     "tcp --send @b.send --receive @b.recv --listen fd:3 --node-id ipn:2.0 "
                     "--peer-id ipn:1.0 --ca @ca.crt --cert @b.crt --key @b.key",
                     fd);
}

/* How many sessions a process had. */
static size_t sessions(const struct rig_process *p)
{
    size_t n = 0;

    for (const char *at = rig_log(p); (at = strstr(at, "session peer=")) != NULL; at++)
        n++;
    return n;
}

/* Nothing is lost, whoever dies when; and no more comes twice than was on its way when a session
 * broke. */
static void test_killed(void **state)
{
    unsigned port = 0;
    int listener = rig_socket(SOCK_STREAM, &port);
    int a_send = rig_dir("a.send"), a_recv = rig_dir("a.recv");
    int b_send = rig_dir("b.send"), b_recv = rig_dir("b.recv");
    struct rig_process a, b;
    size_t n = 0;

    (void)state;
    for (unsigned i = 0; i < A_TO_B; i++)
        rig_put_number(a_send, i, i % 50 == 0 ? 200000 : 100 + i % 900);
    for (unsigned i = 0; i < B_TO_A; i++)
        rig_put_number(b_send, i, 100);
    a = start_a(port);
    b = start_b(listener);
    for (unsigned i = 1; i <= 2 * KILLS; i++) {
        size_t share = i * A_TO_B / (2 * KILLS + 1);

        rig_until(rig_count(b_recv) > share, i % 2 == 0 ? &a : &b);
        if (i % 2 == 0) {
            rig_kill(&a);
            n += sessions(&a);
            a = start_a(port);
        } else {
            rig_kill(&b);
            b = start_b(listener);
        }
    }
    rig_until(rig_count(a_send) == 0 && rig_count(b_send) == 0, &a);
    rig_stop(&a);
    rig_stop(&b);

    size_t at_b = rig_doubles(b_recv, A_TO_B), at_a = rig_doubles(a_recv, B_TO_A);

    n += sessions(&a);
    print_message("%u + %u bundles, %u kills, %zu sessions: %zu + %zu came twice\n", A_TO_B, B_TO_A,
                  2 * KILLS, n, at_b, at_a);
    assert_true(n > KILLS && at_b <= n * TCPCL_WINDOW && at_a <= n * TCPCL_WINDOW);
    close(listener);
    close(a_send);
    close(a_recv);
    close(b_send);
    close(b_recv);
}

/* Who is not the peer gets no session, on either side, and no bundle. */
static void test_strangers(void **state)
{
    static const struct {
        const char *why;
        const char *a; /* connects */
        const char *b; /* listens */
        bool b_tells;  /* else a */
        const char *text;
    } rows[] = {
        { "no TLS", "--node-id ipn:1.0 --peer-id ipn:2.0 --tls plain-tcp",
          "--node-id ipn:2.0 --peer-id ipn:1.0 --ca @ca.crt --cert @b.crt --key @b.key", true,
          "offers no TLS" },
        { "no TLS on the other side",
          "--node-id ipn:1.0 --peer-id ipn:2.0 --ca @ca.crt --cert @a.crt --key @a.key",
          "--node-id ipn:2.0 --peer-id ipn:1.0 --tls plain-tcp", false, "offers no TLS" },
        { "another authority",
          "--node-id ipn:1.0 --peer-id ipn:2.0 --ca @ca.crt --cert @stranger.crt --key "
          "@stranger.key",
          "--node-id ipn:2.0 --peer-id ipn:1.0 --ca @ca.crt --cert @b.crt --key @b.key", true,
          "CL_PEER" },
        { "another authority on the other side",
          "--node-id ipn:1.0 --peer-id ipn:2.0 --ca @other.crt --cert @a.crt --key @a.key",
          "--node-id ipn:2.0 --peer-id ipn:1.0 --ca @ca.crt --cert @b.crt --key @b.key", false,
          "unknown authority" },
        { "a certificate of another node",
          "--node-id ipn:1.0 --peer-id ipn:2.0 --ca @ca.crt --cert @b.crt --key @b.key",
          "--node-id ipn:2.0 --peer-id ipn:1.0 --ca @ca.crt --cert @b.crt --key @b.key", true,
          "does not name ipn:1.0" },
        { "a certificate of a node whose id begins alike",
          "--node-id ipn:1.0 --peer-id ipn:2.0 --ca @ca.crt --cert @longer.crt --key @longer.key",
          "--node-id ipn:2.0 --peer-id ipn:1.0 --ca @ca.crt --cert @b.crt --key @b.key", true,
          "does not name ipn:1.0" },
        { "another node id",
          "--node-id ipn:7.0 --peer-id ipn:2.0 --ca @ca.crt --cert @a.crt --key @a.key",
          "--node-id ipn:2.0 --peer-id ipn:1.0 --ca @ca.crt --cert @b.crt --key @b.key", true,
          "calls itself ipn:7.0" },
        { "a DNS name that was not agreed on",
          "--node-id ipn:1.0 --peer-id ipn:2.0 --ca @ca.crt --cert @a.crt --key @a.key",
          "--node-id ipn:2.0 --peer-id ipn:1.0 --ca @ca.crt --cert @dns.crt --key @dns.key", false,
          "does not name ipn:2.0" },
        { "a certificate that is over",
          "--node-id ipn:1.0 --peer-id ipn:2.0 --ca @ca.crt --cert @old.crt --key @old.key",
          "--node-id ipn:2.0 --peer-id ipn:1.0 --ca @ca.crt --cert @b.crt --key @b.key", true,
          "not valid at this time" },
        { "the same, where dates are ignored",
          "--node-id ipn:1.0 --peer-id ipn:2.0 --ca @ca.crt --cert @old.crt --key @old.key",
          "--node-id ipn:2.0 --peer-id ipn:1.0 --ca @ca.crt --cert @b.crt --key @b.key "
          "--ignore-dates",
          true, "session peer=ipn:1.0 tls=yes" },
        { "a DNS name that was agreed on",
          "--node-id ipn:1.0 --peer-id ipn:2.0 --peer-dns b.example --ca @ca.crt --cert @a.crt "
          "--key @a.key",
          "--node-id ipn:2.0 --peer-id ipn:1.0 --ca @ca.crt --cert @dns.crt --key @dns.key", false,
          "session peer=ipn:2.0 tls=yes" },
    };
    unsigned port = 0;
    int listener = rig_socket(SOCK_STREAM, &port);
    char words[512];

    (void)state;
    close(rig_dir("s.empty"));
    close(rig_dir("s.recv"));
    int send = rig_dir("s.send");

    rig_put_number(send, 0, 100);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool good = strstr(rows[i].text, "session peer") != NULL;

        (void)snprintf(words, sizeof words,
                       "tcp --send @%s --receive @s.recv --peer 127.0.0.1:%u %s",
                       good ? "s.empty" : "s.send", port, rows[i].a);
        struct rig_process a = rig_start("sa", words, -1);

        (void)snprintf(words, sizeof words, "tcp --send @%s --receive @s.recv --listen fd:3 %s",
                       good ? "s.empty" : "s.send", rows[i].b);
        struct rig_process b = rig_start("sb", words, listener);
        struct rig_process *teller = rows[i].b_tells ? &b : &a;

        rig_until(rig_said(teller, rows[i].text), teller);
        if (!good && rig_said(teller, "session peer"))
            fail_msg("%s: there was a session", rows[i].why);
        if (!good)
            assert_int_equal(rig_count(send), 1);
        rig_stop(&a);
        rig_stop(&b);
    }
    close(send);
    close(listener);
}

/* Connections that say nothing, or nonsense, are no reason for the peer to wait. */
static void test_crowd(void **state)
{
    static const char nonsense[] = "GET / HTTP/1.1\r\n\r\n";
    unsigned port = 0;
    int listener = rig_socket(SOCK_STREAM, &port);
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons((uint16_t)port) };
    int crowd[24];
    char words[512];

    (void)state;
    close(rig_dir("c.empty"));
    int send = rig_dir("c.send"), recv = rig_dir("c.recv");
    struct rig_process b = rig_start("cb",
                                     "tcp --send @c.empty --receive @c.recv --listen fd:3 "
                                     "--node-id ipn:2.0 --peer-id ipn:1.0 --tls plain-tcp",
                                     listener);

    for (size_t i = 0; i < 24; i++) {
        crowd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(crowd[i], (struct sockaddr *)&at, sizeof at), 0);
        if (i % 3 == 0)
            assert_int_equal(write(crowd[i], nonsense, sizeof nonsense - 1), sizeof nonsense - 1);
    }
    for (unsigned i = 0; i < 50; i++)
        rig_put_number(send, i, 1000);
    (void)snprintf(words, sizeof words,
                   "tcp --send @c.send --receive @c.empty --peer 127.0.0.1:%u --node-id ipn:1.0 "
                   "--peer-id ipn:2.0 --tls plain-tcp",
                   port);
    struct rig_process a = rig_start("ca", words, -1);

    rig_until(rig_count(send) == 0, &a);
    assert_int_equal(rig_doubles(recv, 50), 0);
    assert_true(rig_said(&b, "TCPCL_CONTACT"));

    /* The peer came back while its old connection is still there: the new one counts. */
    for (unsigned i = 50; i < 60; i++)
        rig_put_number(send, i, 1000);
    struct rig_process again = rig_start("ca", words, -1);

    rig_until(rig_said(&again, "session peer"), &again);
    rig_until(rig_count(send) == 0, &b);
    rig_stop(&again);
    rig_stop(&a);
    rig_stop(&b);
    (void)rig_doubles(recv, 60);
    for (size_t i = 0; i < 24; i++)
        close(crowd[i]);
    close(send);
    close(recv);
    close(listener);
}

/* So many connections from another address at any time; one that is closed over there is made again
 * at once. */
static void knock(unsigned port)
{
    const struct sockaddr_in to = { .sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                    .sin_port = htons((uint16_t)port) };
    const struct sockaddr_in from = { .sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1) };
    struct pollfd conns[12];
    const size_t n = sizeof conns / sizeof conns[0];

    for (size_t i = 0; i < n; i++)
        conns[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
    for (;;) {
        for (size_t i = 0; i < n; i++) {
            if (conns[i].fd >= 0 && conns[i].revents == 0)
                continue;
            close(conns[i].fd);
            conns[i].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            if (bind(conns[i].fd, (const struct sockaddr *)&from, sizeof from) < 0 ||
                connect(conns[i].fd, (const struct sockaddr *)&to, sizeof to) < 0)
                _exit(1);
        }
        (void)poll(conns, n, 1000);
    }
}

/* Somebody knocks without end, and as fast as it is turned away: the peer gets its session all the
 * same, and keeps it. */
static void test_flood(void **state)
{
    unsigned port = 0;
    int listener = rig_socket(SOCK_STREAM, &port);
    int send = rig_dir("f.send"), recv = rig_dir("f.recv");
    char words[512];

    (void)state;
    close(rig_dir("f.empty"));
    struct rig_process b = rig_start("fb",
                                     "tcp --send @f.empty --receive @f.recv --listen fd:3 "
                                     "--node-id ipn:2.0 --peer-id ipn:1.0 --from 127.0.0.1 "
                                     "--ca @ca.crt --cert @b.crt --key @b.key",
                                     listener);
    pid_t flood = fork();

    if (flood == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        knock(port);
    }
    assert_true(flood > 0);
    rig_until(rig_said(&b, "turned-away count="), &b);
    for (unsigned i = 0; i < 200; i++)
        rig_put_number(send, i, 1000);
    (void)snprintf(words, sizeof words,
                   "tcp --send @f.send --receive @f.empty --peer 127.0.0.1:%u --node-id ipn:1.0 "
                   "--peer-id ipn:2.0 --ca @ca.crt --cert @a.crt --key @a.key",
                   port);
    struct rig_process a = rig_start("fa", words, -1);

    rig_until(rig_count(send) == 0, &a);
    assert_int_equal(rig_doubles(recv, 200), 0);
    assert_int_equal(sessions(&b), 1);
    assert_int_equal(waitpid(flood, NULL, WNOHANG), 0); /* it knocked all the time */
    assert_int_equal(kill(flood, SIGKILL), 0);
    assert_int_equal(waitpid(flood, NULL, 0), flood);
    rig_stop(&a);
    rig_stop(&b);
    close(send);
    close(recv);
    close(listener);
}

/* Who gets which place; "h" a handshake, "s" the session, "o" one that is over, "." a free place,
 * each with the last number of its address and its age in seconds. */
static void test_door(void **state)
{
    static const struct {
        const char *why;
        const char *places; /* "h1:9" and so on */
        unsigned from, expected;
        size_t at; /* CL_DOOR_PLACES = none */
    } rows[] = {
        { "nobody there", ". . . . . . . .", 1, 0, 7 },
        { "a free place", "h1:0 h2:0 h3:0 h4:0 . h6:0 h7:0 s8:9", 1, 0, 4 },
        { "one that is over", "h1:0 h2:0 h3:0 o4:0 h5:0 h6:0 h7:0 s8:9", 9, 0, 3 },
        { "all are young", "h1:0 h2:1 h3:2 h4:3 h5:0 h6:0 h7:0 s8:9", 9, 0, 8 },
        { "the oldest, not the session", "h1:0 h2:1 h3:2 h4:4 h5:5 h6:0 h7:0 s8:9", 9, 0, 4 },
        { "three of one host", "h1:0 h1:1 h1:2 . . . . s8:9", 1, 0, 8 },
        { "the oldest of that host", "h1:4 h1:5 h1:6 . h2:9 . . s8:9", 1, 0, 2 },
        { "another host", "h1:0 h1:1 h1:2 . . . . s8:9", 2, 0, 6 },
        { "what is over counts for none", "h1:0 o1:1 o1:2 . . . . s8:9", 1, 0, 6 },
        { "its own session neither", "s1:0 h1:1 h1:2 . . . . .", 1, 0, 7 },
        { "the last one but one is kept", "h1:0 h2:1 h3:2 h4:3 h5:3 h6:0 . s8:9", 7, 8, 8 },
        { "for the expected host", "h1:0 h2:1 h3:2 h4:3 h5:3 h6:0 . s8:9", 8, 8, 6 },
        { "others are by themselves", "h1:0 h2:1 h3:4 h4:3 h5:3 h6:0 . s8:9", 7, 8, 2 },
        { "not from the expected host", "h1:0 h2:1 h3:2 h4:3 h5:3 h6:0 h8:9 s8:9", 7, 8, 8 },
        { "which may come back at once", "h1:0 h2:1 h3:2 h4:3 h5:3 h6:0 h8:9 s8:9", 8, 8, 3 },
        { "though not without end", "h8:0 h8:1 h8:2 h4:3 h5:3 h6:0 h1:9 s8:9", 8, 8, 8 },
    };
    const uint64_t now_ms = 100000;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cl_door_place places[CL_DOOR_PLACES] = { 0 };
        struct cl_address from, expected;
        const char *at = rows[i].places;
        char host[32];
        struct err err;

        for (size_t k = 0; k < CL_DOOR_PLACES; k++, at += strcspn(at, " "), at += *at == ' ') {
            unsigned number = 0, age = 0;

            if (*at == '.')
                continue;
            assert_int_equal(sscanf(at + 1, "%u:%u", &number, &age), 2);
            places[k].is = *at == 'h'   ? CL_DOOR_HANDSHAKE
                           : *at == 's' ? CL_DOOR_SESSION
                                        : CL_DOOR_OVER;
            places[k].since_ms = now_ms - age * 1000U;
            (void)snprintf(host, sizeof host, "192.0.2.%u", number);
            assert_rc(cl_net_parse(host, false, &places[k].from, &err), RC_OK);
        }
        (void)snprintf(host, sizeof host, "192.0.2.%u", rows[i].from);
        assert_rc(cl_net_parse(host, false, &from, &err), RC_OK);
        (void)snprintf(host, sizeof host, "192.0.2.%u", rows[i].expected);
        assert_rc(cl_net_parse(host, false, &expected, &err), RC_OK);
        size_t got = cl_door(places, &from, rows[i].expected ? &expected : NULL, now_ms);

        if (got != rows[i].at)
            fail_msg("%s: %zu, want %zu", rows[i].why, got, rows[i].at);
    }
}

static struct cl_address address_of(const char *host)
{
    struct cl_address at;
    struct err err;

    assert_rc(cl_net_parse(host, false, &at, &err), RC_OK);
    return at;
}

/* Of IPv6 a network counts as one host, but the expected one is by itself there. */
static void test_door_to_a_network(void **state)
{
    const struct cl_address peer = address_of("2001:db8::5");
    struct cl_door_place places[CL_DOOR_PLACES] = { 0 };

    (void)state;
    for (unsigned i = 0; i < CL_DOOR_HOST; i++) {
        char host[32];

        (void)snprintf(host, sizeof host, "2001:db8::10%u", i);
        places[i].is = CL_DOOR_HANDSHAKE;
        places[i].since_ms = 9000 + i;
        places[i].from = address_of(host);
    }
    const struct cl_address neighbour = address_of("2001:db8::104");

    assert_int_equal(cl_door(places, &neighbour, &peer, 10000), CL_DOOR_PLACES);
    assert_int_equal(cl_door(places, &peer, &peer, 10000), CL_DOOR_PLACES - 1);
    /* nor do its own handshakes count as its neighbours' */
    for (unsigned i = 0; i < CL_DOOR_HOST; i++)
        places[i].from = peer;
    assert_int_equal(cl_door(places, &peer, &peer, 10000), CL_DOOR_PLACES);
    assert_int_equal(cl_door(places, &neighbour, &peer, 10000), CL_DOOR_PLACES - 1);
}

/* A peer without room is left alone for a while, and gets everything when it has room again. */
static void test_full(void **state)
{
    enum { FILES = 200 };
    unsigned port = 0;
    int listener = rig_socket(SOCK_STREAM, &port);
    char words[512], path[128];
    const char *at;

    (void)state;
    close(rig_dir("full.empty"));
    close(rig_dir("full.recv"));
    rig_path(path, "full.recv");
    if (mount("tmpfs", path, "tmpfs", 0, "size=256k,mode=0777") < 0) {
        print_message("skipped: no file system can be mounted here\n");
        skip();
    }
    int send = rig_dir("full.send");
    int recv = openat(rig.fd, "full.recv", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    for (unsigned i = 0; i < FILES; i++)
        rig_put_number(send, i, 20000);
    struct rig_process b = rig_start("fb",
                                     "tcp --send @full.empty --receive @full.recv --listen fd:3 "
                                     "--node-id ipn:2.0 --peer-id ipn:1.0 --tls plain-tcp",
                                     listener);

    (void)snprintf(
        words, sizeof words,
        "tcp --send @full.send --receive @full.empty --peer 127.0.0.1:%u --node-id ipn:1.0 "
        "--peer-id ipn:2.0 --tls plain-tcp",
        port);
    uint64_t start_ms = clock_mono_ms();
    struct rig_process a = rig_start("fa", words, -1);

    rig_until(rig_said(&a, "peer-full"), &a);
    rig_until(clock_mono_ms() >= start_ms + 3000, &a); /* long enough to ask thousands of times */
    assert_true(rig_count(send) > 0);
    assert_int_equal(mount(NULL, path, NULL, MS_REMOUNT, "size=64m,mode=0777"), 0);
    rig_until(rig_count(send) == 0, &a);

    /* What it was offered in vain: at most what is under way at once, once a second. */
    uint64_t tries = 2 + (clock_mono_ms() - start_ms) / 1000U;

    rig_stop(&a);
    rig_stop(&b);
    assert_int_equal(rig_doubles(recv, FILES), 0);
    at = strstr(rig_log(&a), "no_room=");
    assert_non_null(at);
    unsigned long vain = strtoul(at + strlen("no_room="), NULL, 10);

    if (vain == 0 || vain > tries * TCPCL_WINDOW)
        fail_msg("%lu bundles were offered in vain, in %llu tries", vain,
                 (unsigned long long)tries);
    close(send);
    close(recv);
    close(listener);
    assert_int_equal(umount2(path, MNT_DETACH), 0);
}

static void send_from(const char *address, unsigned port, struct bytes datagram)
{
    struct sockaddr_in from = { .sin_family = AF_INET };
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons((uint16_t)port) };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_int_equal(inet_pton(AF_INET, address, &from.sin_addr), 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
    assert_int_equal(sendto(fd, datagram.p, datagram.n, 0, (struct sockaddr *)&to, sizeof to),
                     datagram.n);
    close(fd);
}

static void test_udp(void **state)
{
    static uint8_t bundle[2000];
    unsigned a_port = 0, b_port = 0;
    int a_fd = rig_socket(SOCK_DGRAM, &a_port), b_fd = rig_socket(SOCK_DGRAM, &b_port);
    int send = rig_dir("u.send"), recv = rig_dir("u.recv");
    char words[512];

    (void)state;
    close(rig_dir("u.empty"));
    for (unsigned i = 0; i < 100; i++)
        rig_put_number(send, i, 100);
    rig_put_number(send, 100, 70000); /* in no datagram */
    rig_put(send, "x.bundle", bytes_of("this is none"));
    (void)snprintf(words, sizeof words,
                   "udp --send @u.empty --receive @u.recv --listen fd:3 --peer 127.0.0.1:%u",
                   a_port);
    struct rig_process b = rig_start("ub", words, b_fd);

    (void)snprintf(words, sizeof words,
                   "udp --send @u.send --receive @u.empty --listen fd:3 --peer 127.0.0.1:%u "
                   "--rate 1000000",
                   b_port);
    struct rig_process a = rig_start("ua", words, a_fd);

    rig_until(rig_count(recv) == 100, &b);
    rig_until(rig_count(send) == 1, &a);
    assert_int_equal(rig_doubles(recv, 100), 0);

    struct bytes good = rig_bundle(100, 100, bundle);

    send_from("127.0.0.2", b_port, good); /* not the peer */
    send_from("127.0.0.1", b_port, (struct bytes){ good.p, good.n - 1 });
    send_from("127.0.0.1", b_port, (struct bytes){ 0 });
    send_from("127.0.0.1", b_port, bytes_of("\x9f\x88\x07"));
    bundle[good.n] = 0xff;
    send_from("127.0.0.1", b_port, (struct bytes){ good.p, good.n + 1 });
    send_from("127.0.0.1", b_port, good); /* another port of the peer's host will do */
    rig_until(rig_count(recv) == 101, &b);
    assert_int_equal(rig_doubles(recv, 101), 0);
    rig_stop(&a);
    rig_stop(&b);
    if (!rig_said(&b, "received=101") || !rig_said(&b, "garbage=4 strangers=1"))
        fail_msg("%s", rig_log(&b));
    if (!rig_said(&a, "sent=100 ") || !rig_said(&a, "garbage=1 ") ||
        !rig_said(&a, "too-large-for-a-datagram"))
        fail_msg("%s", rig_log(&a));
    close(a_fd);
    close(b_fd);
    close(send);
    close(recv);
}

static void test_pace(void **state)
{
    struct cl_pace pace = { .rate = 1000 };
    uint64_t wait = 0, gone = 0, now = 5000;

    (void)state;
    /* After any rest, one bundle at once; then each waits for its bytes. */
    assert_true(cl_pace_take(&pace, 100, now, &wait));
    assert_false(cl_pace_take(&pace, 100, now, &wait));
    assert_int_equal(wait, 100);
    assert_false(cl_pace_take(&pace, 100, now + 99, &wait));
    assert_int_equal(wait, 1);
    assert_true(cl_pace_take(&pace, 100, now + 100, &wait));
    /* Bundles of every size, over a minute: never more than the rate and one bundle. */
    uint32_t n = 1;

    for (uint64_t i = 0; i < 60000; i++) {
        if (cl_pace_take(&pace, n, now + 100 + i, &wait)) {
            gone += n;
            n = (uint32_t)(i * 7919 % 3000 + 1);
        }
        assert_true(gone <= i + 3000);
    }
    assert_true(gone > 50000);
    pace.rate = 0;
    assert_true(cl_pace_take(&pace, UINT32_MAX, 0, &wait));
    pace = (struct cl_pace){ .rate = 1000000000 };
    assert_true(cl_pace_take(&pace, UINT32_MAX, UINT64_MAX, &wait));
}

static void test_addresses(void **state)
{
    static const struct {
        const char *text;
        bool need_port;
        enum rc rc;
        const char *is;
    } rows[] = {
        { "127.0.0.1:4556", true, RC_OK, "127.0.0.1:4556" },
        { "[::1]:0", true, RC_OK, "[::1]:0" },
        { "::1", false, RC_OK, "[::1]:0" },
        { "127.0.0.2", false, RC_OK, "127.0.0.2:0" },
        { "127.0.0.1", true, RC_USAGE, NULL },
        { "127.0.0.1:", true, RC_USAGE, NULL },
        { "127.0.0.1:65536", true, RC_USAGE, NULL },
        { "127.0.0.1:45x", true, RC_USAGE, NULL },
        { ":4556", true, RC_USAGE, NULL },
        { "[::1", true, RC_USAGE, NULL },
        { "[::1]4556", true, RC_USAGE, NULL },
        { "", true, RC_USAGE, NULL },
        { "::1", true, RC_USAGE, NULL },
    };
    struct cl_address four, mapped, other;
    char text[CL_NET_TEXT_CAP];
    struct err err;
    int fd = -1;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cl_address at = { .n = 0 };
        enum rc rc = cl_net_parse(rows[i].text, rows[i].need_port, &at, &err);

        if (rc != rows[i].rc || (rc == RC_OK && strcmp(cl_net_text(&at, text), rows[i].is) != 0))
            fail_msg("%s: %s", rows[i].text, rc_name(rc));
    }
    assert_rc(cl_net_parse("127.0.0.1:1", true, &four, &err), RC_OK);
    assert_rc(cl_net_parse("[::ffff:127.0.0.1]:2", true, &mapped, &err), RC_OK);
    assert_rc(cl_net_parse("127.0.0.2:1", true, &other, &err), RC_OK);
    assert_true(cl_net_same_host(&four, &mapped));
    assert_false(cl_net_same_host(&four, &other));
    assert_true(cl_net_same_source(&four, &mapped));
    assert_false(cl_net_same_source(&mapped, &other));
    assert_rc(cl_net_parse("2001:db8::1", false, &four, &err), RC_OK);
    assert_rc(cl_net_parse("2001:db8::ffff:0:0:2", false, &other, &err), RC_OK);
    assert_true(cl_net_same_source(&four, &other));
    assert_rc(cl_net_parse("2001:db8:0:1::1", false, &other, &err), RC_OK);
    assert_false(cl_net_same_source(&four, &other));
    assert_false(cl_net_same_source(&four, &mapped));
    assert_rc(cl_net_bind("fd:2x", SOCK_STREAM, &fd, &err), RC_USAGE);
    assert_rc(cl_net_bind("fd:0", SOCK_STREAM, &fd, &err), RC_USAGE);
    assert_rc(cl_net_bind("127.0.0.1:0", SOCK_DGRAM, &fd, &err), RC_OK);
    close(fd);
}

/* The command line: nothing insecure by omission, and every fault is told. */
static void test_usage(void **state)
{
    static const struct {
        const char *words;
        const char *text;
    } rows[] = {
        { "carrier-pigeon", "usage:" },
        { "tcp --send @x.dir", "usage:" },
        { "tcp --send @x.dir --receive @x.dir --wrong", "usage:" },
        { "tcp --send @x.dir --receive @x.dir --tls no", "--tls is require or plain-tcp" },
        { "tcp --send @x.dir --receive @x.dir --keepalive-s 65536", "is not a number" },
        { "tcp --send @x.dir --receive @x.dir", "give --listen or --peer" },
        { "tcp --send @x.dir --receive @x.dir --peer 127.0.0.1:1", "--peer-id" },
        { "tcp --send @x.dir --receive @x.dir --peer 127.0.0.1:1 --node-id a --peer-id b",
          "--cert and --key" },
        { "tcp --send @x.dir --receive @x.dir --peer 127.0.0.1:1 --node-id a --peer-id b "
          "--tls plain-tcp --ca @ca.crt",
          "of no use" },
        { "tcp --send @x.dir --receive @x.dir --peer 127.0.0.1:1 --from 127.0.0.1",
          "--from goes with --listen" },
        { "udp --send @x.dir --receive @x.dir --listen 127.0.0.1:0", "--peer are needed" },
        { "dir --send @x.dir --receive @x.dir", "--out and --in" },
        { "dir --send @x.dir --receive @x.dir --out @x.dir --in @x.dir --name-max 10",
          "names have" },
        { "dir --send @x.dir --receive @x.dir --out @x.dir --in @x.dir --temp .bundle", "differ" },
    };

    (void)state;
    close(rig_dir("x.dir"));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rig_process p = rig_start("x", rows[i].words, -1);

        if (rig_wait(&p) != 2 || !rig_said(&p, rows[i].text))
            fail_msg("%s:\n%s", rows[i].words, rig_log(&p));
    }
    struct rig_process p = rig_start("x",
                                     "tcp --send @x.dir --receive @x.dir --peer 127.0.0.1:1 "
                                     "--node-id a --peer-id b --ca @a.key --cert @a.crt "
                                     "--key @a.key",
                                     -1);

    assert_int_equal(rig_wait(&p), 1);
    assert_true(rig_said(&p, "CL_PEER"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pace),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_usage),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_crowd),
        cmocka_unit_test(test_flood),
        cmocka_unit_test(test_door),
        cmocka_unit_test(test_door_to_a_network),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_udp),
    };

    return cmocka_run_group_tests(tests, make_certificates, rig_end);
}
