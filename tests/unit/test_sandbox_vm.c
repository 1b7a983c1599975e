/* SPDX-License-Identifier: Apache-2.0
 *
 * Payloads that are virtual machines: the real berth-launch, with QEMU where it is installed
 * (tests/probe/vm is the guest), and a program that stands in for any other tender.  Needs root.
 */
#include "tests/unit/test.h"

#include "sandbox/guest.h"
#include "sandbox/tender.h"
#include "tests/unit/sandbox_left.h"

#define MIB (1024ULL * 1024U)
#define MEMORY (128U * MIB)
#define DATA (32U * MIB)

static struct rig rig;
static struct rig_run one, two;
static char trees[] = "/tmp/berth-tenders-XXXXXX";
static char listed[256];
static bool have_qemu;

/* ---- set-up --------------------------------------------------------------------------------- */

static const char *tree(const char *name)
{
    static char path[4][128];
    static unsigned int turn;

    turn = (turn + 1) % 4;
    (void)snprintf(path[turn], sizeof path[turn], "%s/%s", trees, name);
    return path[turn];
}

/* Of this machine's QEMU, by the tool that integrators use. */
static bool make_qemu_tree(void)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        (void)execl("tools/tender", "tender", tree("qemu"), NULL);
        _exit(127);
    }
    return waitpid(pid, &status, 0) == pid && status == 0;
}

static void make_stand_in(void)
{
    static const char *const dirs[] = { "",       "/proc",   "/dev",  "/tmp", "/run",    "/data",
                                        "/inbox", "/outbox", "/slot", "/usr", "/usr/bin" };
    char path[160];
    char from[160];

    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
        (void)snprintf(path, sizeof path, "%s%s", tree("solo5"), dirs[i]);
        assert_int_equal(mkdir(path, 0755), 0);
    }
    (void)snprintf(from, sizeof from, "%s/tests/probe/vm_tender", rig_build());
    rig_copy(from, tree("solo5/usr/bin/tender"), 0755);
}

/* The guest, and a word for it. */
static void fill_slot(void)
{
    char from[160];

    rig_slot(&rig, "slot", "vm_tender");
    (void)snprintf(from, sizeof from, "%s/tests/probe/vm_guest", rig_build());
    if (access(from, R_OK) == 0)
        rig_copy(from, rig_path(&rig, "slot/guest"), 0755);
    for (const char *word = "ewmdpfs"; *word != '\0'; word++) {
        char name[16] = "slot/";

        name[5] = *word;
        rig_write(rig_path(&rig, name), name + 5);
        assert_int_equal(chmod(rig_path(&rig, name), 0644), 0);
    }
}

static int setup(void **state)
{
    const struct rig_options options = { .devices = listed };

    (void)state;
    if (geteuid() != 0) {
        print_error("the sandbox tests need root\n");
        return -1;
    }
    (void)umask(022);
    if (mkdtemp(trees) == NULL || chmod(trees, 0755) != 0)
        return -1;
    make_stand_in();
    have_qemu = access("/usr/bin/qemu-system-x86_64", X_OK) == 0;
    if (have_qemu && !make_qemu_tree())
        return -1;
    (void)snprintf(listed, sizeof listed, "tender qemu %s\ntender solo5 %s\n", tree("qemu"),
                   tree("solo5"));
    rig_open_with(&rig, "vm", &options);
    assert_int_equal(rig.walls.refused_rc, RC_OK);
    fill_slot();
    return 0;
}

static int teardown(void **state)
{
    int status = rig_end(&rig);
    size_t left = left_cgroups(&rig) + left_processes(&rig) + left_loops(&rig);
    scoped(close_fd) int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)state;
    return status == 0 && left == 0 && rig_remove(&rig) &&
                   fs_remove_tree(tmp, trees + strlen("/tmp/"), NULL) == RC_OK
               ? 0
               : -1;
}

static struct plan plan_of(uint32_t vm, const char *const *args, uint64_t data_bytes)
{
    struct plan plan = rig_plan(&rig, args, data_bytes);

    plan.vm = vm;
    plan.limits.memory_bytes = MEMORY;
    plan_fill_ops(&plan);
    return plan;
}

static void launch(struct rig_run *run, const struct plan *plan, int image)
{
    scoped(close_fd) int slot = open(rig_path(&rig, "slot"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(slot >= 0);
    rig_launch(&rig, plan, slot, image, run);
}

static void start(struct rig_run *run, const struct plan *plan, int image)
{
    launch(run, plan, image);
    if (!run->started)
        fail_msg("%s: %s", run->first.failed.step, run->first.failed.what);
}

static struct wire_exited run_guest(char word, int image)
{
    const char name[] = { '/', word, '\0' };
    const char *const args[] = { "/guest", name, NULL };
    const struct plan plan = plan_of(PLAN_VM_QEMU, args, image >= 0 ? DATA : 0);

    start(&one, &plan, image);
    return rig_exited(&rig, &one);
}

static void assert_refused(const struct plan *plan, enum rc rc, const char *what)
{
    launch(&one, plan, -1);
    assert_false(one.started);
    assert_rc((enum rc)one.first.failed.rc, rc);
    if (strstr(one.first.failed.what, what) == NULL)
        fail_msg("%s", one.first.failed.what);
}

static void assert_says(const struct rig_run *run, const char *text)
{
    if (strstr(run->out, text) == NULL)
        fail_msg("no '%s' in: %s", text, run->out);
}

/* Read on until it has said so. */
static void await(struct rig_run *run, const char *text)
{
    while (strstr(run->out, text) == NULL) {
        ssize_t n = 0;

        if (rig_wait(run->fds.fd[WIRE_FD_OUTPUT]))
            n = read(run->fds.fd[WIRE_FD_OUTPUT], run->out + run->n_out,
                     sizeof run->out - 1 - run->n_out);
        if (n <= 0)
            fail_msg("no '%s' in: %s", text, run->out);
        run->n_out += (size_t)n;
        run->out[run->n_out] = '\0';
    }
}

/* ---- with QEMU ------------------------------------------------------------------------------ */

#define NEEDS_QEMU()                                                                               \
    do {                                                                                           \
        if (!have_qemu) {                                                                          \
            print_message("no qemu-system-x86_64 here\n");                                         \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

static void boots_a_guest(void **state)
{
    (void)state;
    NEEDS_QEMU();
    struct wire_exited end = run_guest('e', -1);

    assert_says(&one, "guest: up\n");
    assert_says(&one, "console=ttyS0");
    assert_says(&one, "guest: ends\n");
    assert_rc((enum rc)end.rc, RC_EXITED);
    assert_int_equal(end.status, 0);
}

/* A reset is no good end by itself: what ends like that may have panicked.  Only what a guest says
 * of its end is believed. */
static void tells_a_guest_that_is_done_from_one_that_died(void **state)
{
    struct wire_exited end;

    (void)state;
    NEEDS_QEMU();
    end = run_guest('p', -1);
    assert_says(&one, "guest: ends\n");
    assert_rc((enum rc)end.rc, RC_EXITED);
    assert_int_equal(end.status, GUEST_SAID_NOTHING);
    end = run_guest('f', -1);
    assert_rc((enum rc)end.rc, RC_EXITED);
    assert_int_equal(end.status, 3);
}

static void hear_word(const struct rig_run *run, const char *text)
{
    char got[128] = "";

    assert_true(rig_wait(run->fds.fd[WIRE_FD_NOTIFY]));
    assert_true(recv(run->fds.fd[WIRE_FD_NOTIFY], got, sizeof got - 1, 0) > 0);
    assert_string_equal(got, text);
}

/* One connection to the bus: what the guest says, and what it is answered. */
static void answer_call(const struct rig_run *run, const char *said, const char *answer)
{
    char got[16] = "";

    assert_true(rig_wait(run->fds.fd[WIRE_FD_BUS]));
    scoped(close_fd) int sock = accept4(run->fds.fd[WIRE_FD_BUS], NULL, NULL, SOCK_CLOEXEC);
    assert_true(sock >= 0 && rig_wait(sock));
    assert_int_equal(read(sock, got, sizeof got - 1), strlen(said));
    assert_string_equal(got, said);
    assert_int_equal(write(sock, answer, strlen(answer)), strlen(answer));
}

/* The sockets of any payload, by serial ports: readiness, a watchdog, and calls to the bus, each a
 * connection of its own when the one before was closed. */
static void gives_a_guest_the_sockets_of_a_payload(void **state)
{
    static const char *const args[] = { "/guest", "/s", NULL };
    struct plan plan = plan_of(PLAN_VM_QEMU, args, 0);

    (void)state;
    NEEDS_QEMU();
    plan.watchdog_ms = 60000;
    start(&one, &plan, -1);
    hear_word(&one, "READY=1");
    hear_word(&one, "STATUS=guest on board");
    answer_call(&one, "hello", "who are you?");
    await(&one, "guest: bus says who are you?\n");
    answer_call(&one, "again", "goodbye");
    await(&one, "guest: bus says goodbye\n");
    hear_word(&one, "WATCHDOG=1");
    hear_word(&one, "WATCHDOG=1");
    rig_stop(&rig, &one, RIG_WAIT_MS);
    struct wire_exited end = rig_exited(&rig, &one);
    assert_rc((enum rc)end.rc, RC_EXITED); /* it was asked to end, and did */
    assert_int_equal(end.status, 0);
}

static void keeps_the_disk_of_a_guest(void **state)
{
    const struct plan plan = { .has_data = 1, .limits.data_bytes = DATA };
    char size[64];

    (void)state;
    NEEDS_QEMU();
    scoped(close_fd) int image = rig_image(&rig, "data", DATA);
    (void)snprintf(size, sizeof size, "guest: disk MiB %llu\n",
                   (unsigned long long)(tender_disk(&plan) / MIB));
    (void)run_guest('d', image);
    assert_says(&one, size);
    assert_says(&one, "guest: found ()\n");
    assert_says(&one, "guest: wrote 0\n");
    (void)run_guest('d', image);
    assert_says(&one, "guest: found (guest was here)\n");
    (void)run_guest('d', -1);
    assert_says(&one, "guest: no disk\n");
}

/* All of its memory is less than what the group may have: it is never killed for using it. */
static void gives_a_guest_what_its_tender_does_not_need(void **state)
{
    static const char *const args[] = { "/guest", "/m", NULL };
    const struct plan plan = plan_of(PLAN_VM_QEMU, args, 0);
    char size[64];

    (void)state;
    NEEDS_QEMU();
    (void)snprintf(size, sizeof size, "guest: memory MiB %llu\nguest: waits\n",
                   (unsigned long long)(tender_memory(&plan) / MIB));
    start(&one, &plan, -1);
    await(&one, size);
    rig_stop(&rig, &one, 0);
    struct wire_exited end = rig_exited(&rig, &one);
    assert_rc((enum rc)end.rc, RC_KILLED);
    assert_int_equal(end.usage.oom_kills, 0);
    assert_true(end.usage.memory_peak_bytes >= tender_memory(&plan));
    assert_true(end.usage.memory_peak_bytes <= MEMORY);
}

/* Its other limits change as it runs; its memory is that of its machine. */
static void keeps_the_memory_of_a_running_guest(void **state)
{
    static const char *const args[] = { "/guest", "/w", NULL };
    const struct plan plan = plan_of(PLAN_VM_QEMU, args, 0);
    struct wire_limits m = { .limits = plan.limits, .share = plan.share };
    union wire_message got = { 0 };
    struct wire_fds none;

    (void)state;
    NEEDS_QEMU();
    start(&one, &plan, -1);
    await(&one, "guest: waits\n");
    m.head = wire_head(WIRE_LIMITS, one.id);
    m.limits.cpu_permille = 500;
    assert_rc(wire_send(rig.sock, &m.head, NULL, 0, NULL), RC_OK);
    rig_recv(&rig, &got, &none);
    assert_int_equal(got.head.type, WIRE_LIMITED);
    assert_rc((enum rc)got.limited.rc, RC_OK);
    m.limits.memory_bytes += MIB;
    assert_rc(wire_send(rig.sock, &m.head, NULL, 0, NULL), RC_OK);
    rig_recv(&rig, &got, &none);
    assert_rc((enum rc)got.limited.rc, RC_PLAN_LIMIT);
    rig_stop(&rig, &one, 0);
    (void)rig_exited(&rig, &one);
}

static void stops_a_guest_and_not_its_neighbour(void **state)
{
    static const char *const args[] = { "/guest", "/w", NULL };
    struct plan plan = plan_of(PLAN_VM_QEMU, args, 0);

    (void)state;
    NEEDS_QEMU();
    start(&one, &plan, -1);
    rig_range(&rig, &plan, 1);
    start(&two, &plan, -1);
    await(&one, "guest: waits\n");
    await(&two, "guest: waits\n");
    rig_stop(&rig, &one, RIG_WAIT_MS);
    struct wire_exited end = rig_exited(&rig, &one);
    assert_rc((enum rc)end.rc, RC_EXITED); /* TERM is enough for QEMU */
    assert_int_equal(kill(two.first.launched.pid, 0), 0);
    rig_stop(&rig, &two, 0);
    end = rig_exited(&rig, &two);
    assert_rc((enum rc)end.rc, RC_KILLED);
}

/* ---- with any tender ------------------------------------------------------------------------ */

static void gives_a_tender_its_arguments_and_nothing_else(void **state)
{
    static const char *const args[] = { "/bin/probe", "--mem=9999", "told", NULL };
    const struct plan plan = plan_of(PLAN_VM_SOLO5, args, DATA);

    (void)state;
    scoped(close_fd) int image = rig_image(&rig, "data", DATA);
    start(&one, &plan, image);
    struct wire_exited end = rig_exited(&rig, &one);
    assert_rc((enum rc)end.rc, RC_EXITED);
    assert_string_equal(one.out, "arg (/usr/bin/tender)\n"
                                 "arg (--mem=64)\n"
                                 "arg (--block:data=/data/disk)\n"
                                 "arg (--)\n"
                                 "arg (/slot/bin/probe)\n"
                                 "arg (--mem=9999)\n"
                                 "arg (told)\n"
                                 "env 0\n"
                                 "slot read 0\n"
                                 "slot write 30\n"
                                 "root write 30\n"
                                 "slot exec 13\n"
                                 "disk 27262976\n"
                                 "id 1000\n");
}

static void limits_a_tender_like_any_payload(void **state)
{
    static const char *const args[] = { "/bin/probe", "eat", NULL };
    const struct plan plan = plan_of(PLAN_VM_SOLO5, args, 0);

    (void)state;
    start(&one, &plan, -1);
    struct wire_exited end = rig_exited(&rig, &one);
    assert_rc((enum rc)end.rc, RC_OOM);
    assert_true(end.usage.memory_peak_bytes <= MEMORY);
}

static void refuses_what_a_machine_has_not(void **state)
{
    static const char *const args[] = { "/guest", "/w", NULL };
    static const char *const comma[] = { "/guest", "/w,/slot/x", NULL };
    static const char *const outside[] = { "/proc/self/exe", NULL };
    static const char *const three[] = { "/guest", "/w", "/x", NULL };
    const struct plan good = plan_of(PLAN_VM_QEMU, args, 0);
    struct plan plan = good;

    (void)state;
    plan.vm = PLAN_VMS;
    assert_refused(&plan, RC_LAUNCH_REQUEST, "head");
    plan = good;
    plan.vm = PLAN_VM_NONE; /* the slot's place is there for a machine only */
    assert_refused(&plan, RC_PLAN_PATH, "operations");
    plan = good;
    plan.network = PLAN_NETWORK_LOOPBACK;
    assert_refused(&plan, RC_LAUNCH_REQUEST, "more than a vm has");
    plan = good;
    (void)snprintf(plan.device[plan.n_devices++], NAME_CAP, "qemu");
    assert_refused(&plan, RC_LAUNCH_REQUEST, "more than a vm has");
    plan.vm = PLAN_VM_SOLO5; /* which may have devices; a tender is none */
    assert_refused(&plan, RC_NOT_BUILT, "qemu");
    plan = good;
    plan.limits.memory_bytes = PLAN_VM_MEMORY_MIN - 1;
    assert_refused(&plan, RC_PLAN_LIMIT, "memory_bytes of a vm");
    plan = good;
    plan.limits.pids = PLAN_VM_PIDS_MIN - 1;
    assert_refused(&plan, RC_PLAN_LIMIT, "pids of a vm");
    plan = plan_of(PLAN_VM_QEMU, comma, 0);
    assert_refused(&plan, RC_PLAN_PATH, "args[1] of a vm");
    plan = plan_of(PLAN_VM_QEMU, outside, 0);
    assert_refused(&plan, RC_PLAN_PATH, "/proc/self/exe");
    plan = plan_of(PLAN_VM_QEMU, three, 0);
    assert_refused(&plan, RC_PLAN_PATH, "args[2] of a vm");
}

/* Looked at for each start, not only when the list is read. */
static void refuses_a_tender_that_others_can_write(void **state)
{
    static const char *const args[] = { "/bin/probe", NULL };
    const struct plan plan = plan_of(PLAN_VM_SOLO5, args, 0);

    (void)state;
    assert_int_equal(chmod(tree("solo5"), 0777), 0);
    assert_refused(&plan, RC_LAUNCH_STEP, "root's alone");
    assert_int_equal(chmod(tree("solo5"), 0755), 0);
    assert_int_equal(chown(tree("solo5/usr/bin/tender"), 1000, 0), 0);
    assert_refused(&plan, RC_LAUNCH_STEP, "root's alone");
    assert_int_equal(chown(tree("solo5/usr/bin/tender"), 0, 0), 0);
    start(&one, &plan, -1);
    (void)rig_exited(&rig, &one);
}

static void refuses_without_a_tender(void **state)
{
    static const char *const args[] = { "/guest", NULL };
    static struct rig bare;
    struct plan plan;

    (void)state;
    rig_open(&bare, "vmless");
    rig_slot(&bare, "slot", "vm_tender");
    plan = plan_of(PLAN_VM_QEMU, args, 0);
    rig_range(&bare, &plan, 0);
    scoped(close_fd) int slot = open(rig_path(&bare, "slot"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    rig_launch(&bare, &plan, slot, -1, &one);
    assert_false(one.started);
    assert_rc((enum rc)one.first.failed.rc, RC_NOT_BUILT);
    assert_string_equal(one.first.failed.what, "isolation: vm: no tender qemu is listed here");
    assert_int_equal(rig_end(&bare), 0);
    assert_true(rig_remove(&bare));
}

/* Nothing is launched where the list says what cannot be. */
static void refuses_lists_with_a_tender_that_is_none(void **state)
{
    static const char *const lists[] = { "tender xen /opt\n", "tender qemu\n", "tender qemu opt\n",
                                         "tender qemu /opt/../etc\n" };
    static struct rig bad;

    (void)state;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        rig_open_with(&bad, "vmbad", &(struct rig_options){ .devices = lists[i] });
        assert_rc((enum rc)bad.walls.refused_rc, RC_VALUE);
        assert_int_equal(rig_end(&bad), 0);
        assert_true(rig_remove(&bad));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(boots_a_guest),
        cmocka_unit_test(tells_a_guest_that_is_done_from_one_that_died),
        cmocka_unit_test(gives_a_guest_the_sockets_of_a_payload),
        cmocka_unit_test(keeps_the_disk_of_a_guest),
        cmocka_unit_test(gives_a_guest_what_its_tender_does_not_need),
        cmocka_unit_test(keeps_the_memory_of_a_running_guest),
        cmocka_unit_test(stops_a_guest_and_not_its_neighbour),
        cmocka_unit_test(gives_a_tender_its_arguments_and_nothing_else),
        cmocka_unit_test(limits_a_tender_like_any_payload),
        cmocka_unit_test(refuses_what_a_machine_has_not),
        cmocka_unit_test(refuses_a_tender_that_others_can_write),
        cmocka_unit_test(refuses_without_a_tender),
        cmocka_unit_test(refuses_lists_with_a_tender_that_is_none),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
