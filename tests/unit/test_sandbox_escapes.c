/* SPDX-License-Identifier: Apache-2.0
 *
 * Escapes that are tests: tests/probe/escape tries them from inside of a real sandbox, as an
 * ordinary user and as uid 0 of its range, beside a neighbour of another tenant who says all the
 * time whether he is well.  Every one must end as the table says, and neighbour and host must be as
 * before.  docs/attacks.md lists all of them, with those that have tests of their own elsewhere.
 *
 * The table of what stopped what goes to escapes.txt in the build directory, with BERTH_TABLE=1 to
 * stdout too.  Needs root and fails without it.
 */
#include "tests/unit/escape_host.h"
#include "tests/unit/escape_peers.h"
#include "tests/unit/escape_table.h"

#include "sandbox/rules.h"

#define TMP_BYTES (4U << 20)
#define DATA_BYTES (8U << 20)
#define OUTPUT_TEXT 65536

static struct rig rig;
static struct rig_run attack;
static struct rig_run victim;
static struct sentinel sentinel;
static struct host before;
static int victim_image = -1;
static char tail[4096]; /* of the neighbour's words, since the last whole line */

/* ---- the neighbour --------------------------------------------------------------------------- */

/* Take the lines that are there; how many there were.  Any but "well N" is a failure. */
static unsigned int hear_victim(const char *after)
{
    unsigned int n = 0;
    size_t have = strlen(tail);
    ssize_t got;

    while ((got = read(victim.fds.fd[WIRE_FD_OUTPUT], tail + have, sizeof tail - 1 - have)) > 0) {
        char *line = tail;
        char *end;

        tail[have + (size_t)got] = '\0';
        for (; (end = strchr(line, '\n')) != NULL; line = end + 1, n++) {
            *end = '\0';
            if (strncmp(line, "well ", 5) != 0)
                fail_msg("after %s the neighbour says: %s", after, line);
        }
        have = strlen(line);
        memmove(tail, line, have + 1);
    }
    if (got == 0)
        fail_msg("after %s the neighbour is gone", after);
    return n;
}

/* What he says from now on: two lines, because the first may have been begun before. */
static void neighbour_is_well(const char *after)
{
    unsigned int n = 0;

    (void)hear_victim(after);
    while (n < 2) {
        if (!rig_wait(victim.fds.fd[WIRE_FD_OUTPUT]))
            fail_msg("after %s the neighbour says nothing", after);
        n += hear_victim(after);
    }
}

/* As neighbour_is_well, but the line that was begun may end as it likes. */
static void neighbour_is_back(void)
{
    char end = '\0';

    while (end != '\n') {
        if (!rig_wait(victim.fds.fd[WIRE_FD_OUTPUT]))
            fail_msg("the neighbour says nothing");
        if (read(victim.fds.fd[WIRE_FD_OUTPUT], &end, 1) == 0)
            fail_msg("the neighbour is gone");
    }
    neighbour_is_well("the peers");
}

static int open_slot(const char *name)
{
    int fd = open(rig_path(&rig, name), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

static void start(struct rig_run *r, const struct plan *plan, const char *slot, int image)
{
    scoped(close_fd) int root = open_slot(slot);

    rig_launch(&rig, plan, root, image, r);
    if (!r->started)
        fail_msg("%s at %s: %s, errno %d", rc_name((enum rc)r->first.failed.rc),
                 r->first.failed.step, r->first.failed.what, r->first.failed.sys);
}

static void start_victim(void)
{
    const char *const args[] = { "/bin/probe", "victim", "victim", NULL };
    struct plan plan = rig_plan(&rig, args, DATA_BYTES);

    (void)snprintf(plan.tenant, sizeof plan.tenant, "umbrella");
    rig_range(&rig, &plan, 1);
    rig_slot(&rig, "victim", "escape");
    victim_image = rig_image(&rig, "victim.img", DATA_BYTES);
    start(&victim, &plan, "victim", victim_image);
    close_fd(&victim_image);
    tail[0] = '\0';
}

/* ---- the attacker ---------------------------------------------------------------------------- */

/* What no unpacker lets through, in the slot all the same. */
static void pack_attack(void)
{
    static const uint8_t all_caps[20] = { 1, 0, 0, 2, 0xff, 0xff, 0xff, 0xff, [12] = 0xff, 0x01 };
    char path[300];
    char from[300];

    rig_slot(&rig, "attack", "escape");
    (void)snprintf(from, sizeof from, "%s/tests/probe/escape", rig_build());
    (void)snprintf(path, sizeof path, "%s/bin/setuid", rig_path(&rig, "attack"));
    rig_copy(from, path, 06755);
    (void)snprintf(path, sizeof path, "%s/bin/filecap", rig_path(&rig, "attack"));
    rig_copy(from, path, 0755);
    assert_int_equal(setxattr(path, "security.capability", all_caps, sizeof all_caps, 0), 0);
    (void)snprintf(path, sizeof path, "%s/bin/text", rig_path(&rig, "attack"));
    rig_copy("/proc/self/comm", path, 0644);
    (void)snprintf(path, sizeof path, "%s/bin/block", rig_path(&rig, "attack"));
    assert_true(mknod(path, S_IFBLK | 0666, makedev(7, 0)) == 0 || errno == EEXIST);
    (void)snprintf(path, sizeof path, "%s/bin/mem", rig_path(&rig, "attack"));
    assert_true(mknod(path, S_IFCHR | 0666, makedev(1, 1)) == 0 || errno == EEXIST);
}

/* The attacker is told where to look, as if he had read it somewhere. */
static struct plan attack_plan(const char *what, const char *name, bool root)
{
    static char text[6][128];
    const char *args[12] = { "/bin/probe", what };
    size_t n = 2;
    struct plan plan;

    (void)snprintf(text[0], sizeof text[0], "host=%d", sentinel.pid);
    (void)snprintf(text[1], sizeof text[1], "victim=%d", victim.first.launched.pid);
    (void)snprintf(text[2], sizeof text[2], "uid=%u", victim.first.launched.receipt.uid[0]);
    (void)snprintf(text[3], sizeof text[3], "abstract=%s", sentinel.abstract_name);
    (void)snprintf(text[4], sizeof text[4], "path=%s", sentinel.path_name);
    (void)snprintf(text[5], sizeof text[5], "secret=%s", sentinel.secret_name);
    if (name != NULL)
        args[n++] = name;
    for (size_t i = 0; i < 6; i++)
        args[n++] = text[i];
    args[n++] = "data=/data";
    plan = rig_plan(&rig, args, DATA_BYTES);
    plan.inner_root = root ? 1 : 0;
    plan.limits.tmp_bytes = TMP_BYTES;
    plan_fill_ops(&plan);
    return plan;
}

static void start_attack(const struct plan *plan)
{
    scoped(close_fd) int image = open(rig_path(&rig, "attack.img"), O_RDWR | O_CLOEXEC);

    assert_true(image >= 0);
    start(&attack, plan, "attack", image);
}

/* ---- before and after ------------------------------------------------------------------------ */

static int setup(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_error("the escapes need root\n");
        return -1;
    }
    rig_open(&rig, "escapes");
    pack_attack();
    int image = rig_image(&rig, "attack.img", DATA_BYTES);
    close_fd(&image);
    start_victim();
    sentinel_start(&sentinel, &rig);
    host_take(&rig, &sentinel, &before);
    neighbour_is_well("nothing");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    neighbour_is_well("all");
    host_same(&rig, &sentinel, &before);
    sentinel_stop(&sentinel);
    rig_stop(&rig, &victim, 0);
    assert_rc((enum rc)rig_exited(&rig, &victim).rc, RC_KILLED);
    assert_int_equal(rig_end(&rig), 0);
    return rig_remove(&rig) ? 0 : -1;
}

/* ---- everything that leaves the others in the sandbox alive ---------------------------------- */

static void try_all(enum column column)
{
    struct plan plan = attack_plan("all", NULL, column != COLUMN_USER);
    unsigned int wrong = 0;

    plan.limits.memory_bytes = 64U << 20;
    if (column == COLUMN_GRANTED)
        plan.calls = PROFILE_ALL;
    start_attack(&plan);
    struct wire_exited e = rig_exited(&rig, &attack);
    assert_rc((enum rc)e.rc, RC_EXITED);
    assert_int_equal(e.status, 0);
    table_take(attack.out, column);
    for (size_t i = 0; i < TABLE_ROWS; i++)
        wrong += table_check(&table[i], column) ? 0 : 1;
    assert_int_equal(wrong, 0);
    neighbour_is_well("all attacks");
    host_same(&rig, &sentinel, &before);
}

static void as_user(void **state)
{
    (void)state;
    try_all(COLUMN_USER);
}

static void as_root(void **state)
{
    (void)state;
    try_all(COLUMN_ROOT);
}

static void with_every_call(void **state)
{
    (void)state;
    try_all(COLUMN_GRANTED);
}

/* ---- one start each -------------------------------------------------------------------------- */

/* Until the attacker says that it has begun. */
static void await_ready(const char *name)
{
    char text[8] = "";

    if (!rig_wait(attack.fds.fd[WIRE_FD_OUTPUT]) ||
        read(attack.fds.fd[WIRE_FD_OUTPUT], text, sizeof text - 1) < 5)
        fail_msg("%s does not begin", name);
}

static const char *ending(const struct wire_exited *e, bool stopped)
{
    static char text[24];

    if (e->rc == RC_OOM)
        return "oom";
    if (e->rc == RC_KILLED && stopped && e->status == SIGKILL)
        return "stopped";
    if (e->rc == RC_KILLED || e->rc == RC_SECCOMP) {
        (void)snprintf(text, sizeof text, "SIG%s", sigabbrev_np(e->status));
        return text;
    }
    if (sscanf(attack.out, "%*u %*s %15s", text) != 1)
        return "silent";
    return text;
}

/* What spins, or does not end: let it, with the neighbour well, and stop it. */
static void stop_attack(struct row *row, const struct plan *plan)
{
    uint64_t began_ms = clock_mono_ms();

    await_ready(row->name);
    neighbour_is_well(row->name);
    neighbour_is_well(row->name);
    rig_stop(&rig, &attack, 50);
    struct wire_exited e = rig_exited(&rig, &attack);
    uint64_t lived_ms = clock_mono_ms() - began_ms;

    table_put(row, COLUMN_ROOT, ending(&e, true));
    /* A quota is kept per period: one more of them, and a margin. */
    assert_in_range(e.usage.cpu_us, 0, (lived_ms + 200) * plan->limits.cpu_permille * 5 / 4);
}

static void try_alone(struct row *row)
{
    struct plan plan = attack_plan("one", row->name, true);
    bool stop = strcmp(row->want, "stopped") == 0;

    if (stop)
        plan.limits.cpu_permille = 200;
    start_attack(&plan);
    if (stop) {
        stop_attack(row, &plan);
    } else {
        struct wire_exited e = rig_exited(&rig, &attack);

        table_put(row, COLUMN_ROOT, ending(&e, false));
        assert_in_range(e.usage.memory_peak_bytes, 0, plan.limits.memory_bytes);
    }
    neighbour_is_well(row->name);
    host_same(&rig, &sentinel, &before);
    assert_int_equal(host_processes(plan.uid_base, plan.uid_base + PLAN_UID_COUNT), 0);
}

static void alone_and_whole(void **state)
{
    unsigned int wrong = 0;

    (void)state;
    for (size_t i = 0; i < ALONE_ROWS; i++) {
        try_alone(&alone[i]);
        wrong += table_check(&alone[i], COLUMN_ROOT) ? 0 : 1;
    }
    assert_int_equal(wrong, 0);
}

/* ---- the peers' columns ---------------------------------------------------------------------- */

struct peer {
    enum column column;
    const char *program;
    bool as_user;
};

static const struct peer peers[] = {
    { COLUMN_BUBBLEWRAP, "/usr/bin/bwrap", true },
    { COLUMN_CRUN, "/usr/bin/crun", false },
};

/* The probe's arguments are those of a plan. */
static int run_peer(const struct peer *peer, const char *what, const char *name, char *out,
                    size_t cap)
{
    static char root[300], data[300], bundle[300], state[300];
    struct plan plan = attack_plan(what, name, false);
    struct peer_args line = { .n = 0 };
    struct peer_args args = { .n = 0 };
    uint32_t owner = peer->as_user ? PEER_USER : PEER_RANGE + 1000;

    (void)snprintf(root, sizeof root, "%s", rig_path(&rig, "attack"));
    (void)snprintf(data, sizeof data, "%s", rig_path(&rig, "peer-data"));
    (void)snprintf(bundle, sizeof bundle, "%s", rig_path(&rig, "bundle"));
    (void)snprintf(state, sizeof state, "%s", rig_path(&rig, "crun"));
    (void)mkdir(data, 0700);
    (void)mkdir(bundle, 0755);
    assert_int_equal(chown(data, owner, owner), 0);
    for (uint32_t i = 0; i < plan.n_args; i++)
        peer_add(&args, (const char *const[]){ plan.args[i], NULL });
    if (peer->as_user) {
        peer_bubblewrap(&line, root, data);
        peer_add(&line, args.arg);
    } else {
        peer_crun_config(bundle, root, data, args.arg);
        peer_crun(&line, bundle, state);
    }
    return peer_run(&line, peer->as_user, out, cap);
}

/* One attack in a sandbox of its own: what it says, or what ended it. */
static void fill_cell(const struct peer *peer, struct row *row)
{
    static char out[4096];
    char how[16];
    int status = run_peer(peer, "one", row->name, out, sizeof out);

    if (sscanf(out, "%*u %*s %15s", how) != 1) {
        /* Both say of a signal that it was one: 128 and its number. */
        const char *name = sigabbrev_np(WEXITSTATUS(status) - 128);

        (void)snprintf(how, sizeof how, "SIG%.8s", name == NULL ? "?" : name);
    }
    table_put(row, peer->column, how);
}

/* All together; what did not have its turn, because one before ended everything, by itself. */
static void fill_column(const struct peer *peer)
{
    static char out[65536];

    if (!peer_there(peer->program)) {
        print_message("%s is not installed\n", peer->program);
        return;
    }
    (void)run_peer(peer, "all", NULL, out, sizeof out);
    table_take(out, peer->column);
    for (size_t i = 0; i < TABLE_ROWS; i++) {
        if (table[i].got[peer->column][0] == '\0')
            fill_cell(peer, &table[i]);
    }
    for (size_t i = 0; i < ALONE_ROWS; i++) {
        if (strcmp(alone[i].want, "stopped") != 0) /* they have nobody who stops */
            fill_cell(peer, &alone[i]);
    }
}

/* make escapes: for the table only.  What crun starts takes the host user's inotify instances from
 * our neighbour, who may say so. */
static void peers_beside(void **state)
{
    char words[4096];

    (void)state;
    if (getenv("BERTH_PEERS") == NULL)
        return;
    for (size_t i = 0; i < sizeof peers / sizeof peers[0]; i++)
        fill_column(&peers[i]);
    while (read(victim.fds.fd[WIRE_FD_OUTPUT], words, sizeof words) > 0)
        tail[0] = '\0';
    neighbour_is_back();
}

/* ---- the group ------------------------------------------------------------------------------- */

static void print_tables(void)
{
    const char *asked = getenv("BERTH_TABLE");
    bool with_peers = getenv("BERTH_PEERS") != NULL;
    char path[300];

    (void)snprintf(path, sizeof path, "%s/escapes.txt", rig_build());
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    table_print(f, with_peers);
    assert_int_equal(fclose(f), 0);
    if (asked != NULL && strcmp(asked, "1") == 0)
        table_print(stdout, with_peers);
}

static int enter(void **state)
{
    escape_host_enter();
    return setup(state);
}

/* Not a teardown of the group: cmocka does not count what fails there. */
static void leaves_all_as_it_was(void **state)
{
    print_tables();
    assert_int_equal(teardown(state), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_user),         cmocka_unit_test(as_root),
        cmocka_unit_test(with_every_call), cmocka_unit_test(alone_and_whole),
        cmocka_unit_test(peers_beside),    cmocka_unit_test(leaves_all_as_it_was),
    };

    return cmocka_run_group_tests(tests, enter, NULL);
}
