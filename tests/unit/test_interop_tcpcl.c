/* SPDX-License-Identifier: Apache-2.0
 *
 * What others make of our TCPCL: tshark's dissector, where it is installed, of a whole session; and
 * a DTN node, where BERTH_DTN_NODE=HOST:PORT and BERTH_DTN_NODE_ID=EID name one.  Else skipped.
 */
#include "tests/unit/cl_rig.h"

#include "link/tcpcl.h"

#define MRU 200000U

static struct tcpcl left, right;
static uint8_t left_buf[MRU], right_buf[MRU], sent[MRU];

static void answer(struct tcpcl *s, enum tcpcl_event event, uint8_t *buf)
{
    if (event == TCPCL_PEER)
        tcpcl_admit(s, buf, 0);
    if (event != TCPCL_BUNDLE)
        return;
    if (s == &right && s->event_id == 1)
        tcpcl_refuse(s, TCPCL_REFUSE_NO_RESOURCES);
    else
        tcpcl_keep(s);
    tcpcl_commit(s);
}

/* Move everything that one side has to say, and write it down. */
static bool move(struct tcpcl *from, struct tcpcl *to, uint8_t *buf, FILE *record)
{
    uint8_t out[1200];
    size_t n = tcpcl_output(from, out, sizeof out, 0);
    struct bytes in = { out, n };
    enum tcpcl_event event = TCPCL_DONE;

    if (n == 0)
        return false;
    (void)fprintf(record, "%c\n000000", from == &left ? 'O' : 'I');
    for (size_t i = 0; i < n; i++)
        (void)fprintf(record, " %02x", out[i]);
    (void)fprintf(record, "\n");
    while (event != TCPCL_NOTHING && event != TCPCL_OVER) {
        size_t used = 0;

        event = tcpcl_input(to, in, 0, &used);
        in = (struct bytes){ in.p + used, in.n - used };
        answer(to, event, buf);
    }
    return true;
}

static void settle(FILE *record)
{
    bool moved = true;

    while (moved) {
        moved = move(&left, &right, right_buf, record);
        moved |= move(&right, &left, left_buf, record);
    }
}

/* A session with one of everything that we ever send. */
static void record_session(FILE *record)
{
    struct tcpcl_config config = { .active = true,
                                   .keepalive_s = 10,
                                   .patience_ms = 60000,
                                   .transfer_mru = MRU,
                                   .node_id = "ipn:1.0" };
    uint64_t wait = 0;

    tcpcl_init(&left, &config, 0);
    config.active = false;
    config.node_id = "ipn:2.0";
    tcpcl_init(&right, &config, 0);
    settle(record);
    assert_int_equal(left.state, TCPCL_STATE_UP);

    struct bytes one = rig_bundle(1, 100, sent);

    (void)tcpcl_send(&left, one, 0);
    settle(record);
    one = rig_bundle(2, 150000, sent);
    (void)tcpcl_send(&right, one, 0);
    settle(record);
    one = rig_bundle(3, 100, sent);
    (void)tcpcl_send(&left, one, 0);
    settle(record);
    tcpcl_tick(&left, 10000, &wait);
    settle(record);
    tcpcl_end(&left, TCPCL_TERM_IDLE, 0);
    settle(record);
    size_t used = 0;

    assert_int_equal(tcpcl_input(&left, (struct bytes){ 0 }, 0, &used), TCPCL_OVER);
    assert_int_equal(left.err.rc, RC_OK);
}

/* Run a program; what it said on stdout goes to a file of the rig. */
static int command(const char *out, char *const argv[])
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        int to = openat(rig.fd, out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        if (to < 0 || null < 0 || dup2(null, 0) < 0 || dup2(to, 1) < 0 || dup2(null, 2) < 0 ||
            fchdir(rig.fd) < 0)
            _exit(99);
        (void)execvp(argv[0], argv);
        _exit(98);
    }
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 200;
}

#define W(word) ((char[]){ word })

static void test_tshark(void **state)
{
    static uint8_t text[65536];
    char *const version[] = { W("tshark"), W("--version"), NULL };
    char *const convert[] = { W("text2pcap"),  W("-q"),          W("-D"),           W("-T"),
                              W("50000,4556"), W("session.txt"), W("session.pcap"), NULL };
    /* Twice: acknowledgements come behind what they are about. */
    char *const faults[] = { W("tshark"), W("-2"),
                             W("-r"),     W("session.pcap"),
                             W("-Y"),     W("_ws.malformed || _ws.expert.severity >= 0x800000"),
                             W("-T"),     W("fields"),
                             W("-e"),     W("frame.number"),
                             W("-e"),     W("_ws.expert.message"),
                             NULL };
    char *const types[] = {
        W("tshark"), W("-2"),     W("-r"), W("session.pcap"),       W("-Y"), W("tcpcl"),
        W("-T"),     W("fields"), W("-e"), W("tcpcl.v4.mhdr.type"), NULL
    };
    char path[128];
    size_t n = 0;
    struct err err;

    (void)state;
    if (command("version", version) != 0) {
        print_message("skipped: tshark is not installed\n");
        skip();
    }
    rig_path(path, "session.txt");
    FILE *record = fopen(path, "we");

    assert_non_null(record);
    record_session(record);
    assert_int_equal(fclose(record), 0);
    assert_int_equal(command("log", convert), 0);
    assert_int_equal(command("faults", faults), 0);
    assert_rc(fs_read_file(rig.fd, "faults", text, sizeof text - 1, &n, &err), RC_OK);
    text[n] = '\0';
    if (n > 0)
        fail_msg("tshark finds fault:\n%.3000s", (const char *)text);
    assert_int_equal(command("types", types), 0);
    assert_rc(fs_read_file(rig.fd, "types", text, sizeof text - 1, &n, &err), RC_OK);
    text[n] = '\0';
    for (unsigned type = 1; type <= 7; type++) {
        char hex[8];

        (void)snprintf(hex, sizeof hex, "0x%02x", type);
        if (type != 6 && !strstr((const char *)text, hex))
            fail_msg("tshark sees no message of type %u:\n%.1000s", type, (const char *)text);
    }
}

static void test_node(void **state)
{
    const char *node = getenv("BERTH_DTN_NODE");
    const char *id = getenv("BERTH_DTN_NODE_ID");
    char words[512];

    (void)state;
    if (!node || !id) {
        print_message("skipped: BERTH_DTN_NODE and BERTH_DTN_NODE_ID name no node\n");
        skip();
    }
    int send = rig_dir("n.send");

    close(rig_dir("n.recv"));
    rig_put_number(send, 1, 1000);
    rig_put_number(send, 2, 200000);
    (void)snprintf(words, sizeof words,
                   "tcp --send @n.send --receive @n.recv --peer %s --node-id ipn:2.0 --peer-id %s "
                   "--tls plain-tcp",
                   node, id);
    struct rig_process p = rig_start("node", words, -1);

    rig_until(rig_count(send) == 0, &p);
    rig_stop(&p);
    assert_true(rig_said(&p, "sent=2 ") && rig_said(&p, "refused=0 "));
    close(send);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tshark),
        cmocka_unit_test(test_node),
    };

    return cmocka_run_group_tests(tests, rig_begin, rig_end);
}
