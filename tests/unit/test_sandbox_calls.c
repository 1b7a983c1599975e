/* SPDX-License-Identifier: Apache-2.0
 *
 * System calls inside real sandboxes: every number in every profile against the table, and random
 * ones with arguments that look real, after which the host must be what it was.  Needs root.
 */
#include "tests/unit/test.h"

#include <ftw.h>
#include <time.h>

#include "base/sum.h"
#include "sandbox/seccomp.h"
#include "tests/unit/sandbox_rig.h"

#define NUMBERS 1024U
#define SEEDS 500UL
#define SILENCE_MS 2000 /* of a program that a seed has stopped */

static struct rig rig;
static struct rig_run run;
static struct rig_run neighbour;

static int setup(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_error("the sandbox tests need root\n");
        return -1;
    }
    rig_open(&rig, "calls");
    return 0;
}

static int teardown(void **state)
{
    int status = rig_end(&rig);

    (void)state;
    if (status != 0)
        print_error("berth-launch ended with %d\n", status);
    return status == 0 && rig_remove(&rig) ? 0 : -1;
}

static void start(struct rig_run *r, const struct plan *plan, const char *slot)
{
    scoped(close_fd) int root = open(rig_path(&rig, slot), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(root >= 0);
    rig_launch(&rig, plan, root, -1, r);
    if (!r->started)
        fail_msg("%s at %s", rc_name((enum rc)r->first.failed.rc), r->first.failed.step);
}

/* ---- every call ----------------------------------------------------------------------------- */

/* Allowed, and refused by the kernel itself with the same errno: by what the sandbox is made of
 * (EPERM: no capability) or because this kernel has no such call. */
static bool kernel_refuses_too(enum call call, const char *outcome)
{
    static const enum call not_for_us[] = { CALL_setpriority, CALL_chown, CALL_fchown };

    if (strcmp(outcome, "38") == 0)
        return syscall(call_nr(call, CALLS_NATIVE), -1L, -1L, -1L, -1L, -1L, -1L) < 0 &&
               errno == ENOSYS;
    for (size_t i = 0; i < sizeof not_for_us / sizeof not_for_us[0]; i++) {
        if (not_for_us[i] == call)
            return true;
    }
    return false;
}

static void check_outcome(uint32_t mask, uint32_t nr, const char *outcome)
{
    static const uint64_t args[6] = { UINT64_MAX, UINT64_MAX, UINT64_MAX,
                                      UINT64_MAX, UINT64_MAX, UINT64_MAX };
    enum seccomp_verdict want = seccomp_verdict(SECCOMP_PAYLOAD, mask, CALLS_NATIVE, nr, args);
    enum call call = CALLS_N;
    bool good = false;

    (void)call_find(CALLS_NATIVE, nr, &call);
    /* The kernel lets these pass every filter, for its own use of them. */
    if (call == CALL_uretprobe || call == CALL_uprobe)
        return;
    switch (want) {
    case SECCOMP_KILL:
        good = strcmp(outcome, "signal 31") == 0;
        break;
    case SECCOMP_EPERM:
        good = strcmp(outcome, "1") == 0;
        break;
    case SECCOMP_ENOSYS:
    case SECCOMP_ENOSYS_QUIET:
        good = strcmp(outcome, "38") == 0;
        break;
    case SECCOMP_ALLOW:
        good = strcmp(outcome, "signal 31") != 0 &&
               ((strcmp(outcome, "1") != 0 && strcmp(outcome, "38") != 0) ||
                kernel_refuses_too(call, outcome));
        break;
    }
    if (!good)
        fail_msg("profile %u, %s (%u): %s, want verdict %d", mask,
                 call == CALLS_N ? "unknown" : call_name(call), nr, outcome, (int)want);
}

static void run_every(const char *how, uint32_t mask)
{
    const char *const args[] = { "/bin/probe", how, NULL };
    struct plan plan = rig_plan(&rig, args, 0);

    plan.calls = mask;
    start(&run, &plan, "every");
    struct wire_exited e = rig_exited(&rig, &run);
    assert_rc((enum rc)e.rc, RC_EXITED);
    assert_int_equal(e.status, 0);
}

static void every_call_is_as_the_table_says(void **state)
{
    (void)state;
    rig_slot(&rig, "every", "sandbox_every_call");
    for (uint32_t mask = 0; mask < PROFILE_MASKS; mask++) {
        uint32_t next = 0;
        char *rest = run.out;
        char *line;

        run_every("native", mask);
        while ((line = strsep(&rest, "\n")) != NULL && line[0] != '\0') {
            char *outcome = strchr(line, ' ');

            assert_non_null(outcome);
            assert_int_equal(strtoul(line, NULL, 10), next);
            check_outcome(mask, next++, outcome + 1);
        }
        assert_int_equal(next, NUMBERS);
    }
}

/* What programs do by libc works in the narrowest profile: threads, processes, events, sockets of
 * the machine, signals, and a shell with a pipe (Debian's static busybox). */
static void ordinary_programs_run(void **state)
{
    static const char *const args[] = { "/bin/probe", NULL };
    struct plan plan = rig_plan(&rig, args, 0);
    char path[300];

    (void)state;
    rig_slot(&rig, "ordinary", "sandbox_ordinary");
    (void)snprintf(path, sizeof path, "%s/bin/busybox", rig_path(&rig, "ordinary"));
    rig_copy("/bin/busybox", path, 0755);
    (void)snprintf(path, sizeof path, "%s/bin/sh", rig_path(&rig, "ordinary"));
    rig_copy("/bin/busybox", path, 0755);
    start(&run, &plan, "ordinary");
    struct wire_exited e = rig_exited(&rig, &run);
    assert_rc((enum rc)e.rc, RC_EXITED);
    assert_int_equal(e.status, 0);
    assert_string_equal(run.out, "threads 0\nspawn 0\nevents 0\nsockets 0\nmemory 0\nfiles 0\n"
                                 "signals 0\nsmall-things 0\nshell 0\n");
}

/* Whether this machine has a 32-bit entry at all; where it has none, its use ends by SIGSEGV. */
static bool old_entry_exists(void)
{
#if defined(__x86_64__)
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        long ret;

        (void)signal(SIGSEGV, SIG_DFL);
        __asm__ volatile("int $0x80" : "=a"(ret) : "a"(20L) : "memory");
        _exit(ret > 0 ? 0 : 1);
    }
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
    return !WIFSIGNALED(status);
#else
    return true;
#endif
}

/* All 1024 numbers, in the widest profile and in the narrowest. */
static void other_entries_are_killed(void **state)
{
    static const uint32_t masks[] = { 0, PROFILE_ALL };
    char want[64];

    (void)state;
    rig_slot(&rig, "every", "sandbox_every_call");
    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++) {
#if defined(__x86_64__)
        run_every("x32", masks[i]);
        (void)snprintf(want, sizeof want, "0-%u signal %d\n", NUMBERS - 1, SIGSYS);
        assert_string_equal(run.out, want);
#endif
        run_every("int80", masks[i]);
        (void)snprintf(want, sizeof want, "0-%u signal %d\n", NUMBERS - 1,
                       old_entry_exists() ? SIGSYS : SIGSEGV);
        assert_string_equal(run.out, want);
    }
}

/* Numbers that no table reaches: around every power of two up to 2^31 (the x32 bit is one, and what
 * is a negative number to the kernel lies behind it), by both entries. */
static void far_numbers_are_as_the_table_says(void **state)
{
    char *rest = run.out;
    const char *line;
    unsigned int native = 0;
    unsigned int old = 0;

    (void)state;
    rig_slot(&rig, "every", "sandbox_every_call");
    run_every("far", PROFILE_ALL);
    while ((line = strsep(&rest, "\n")) != NULL && line[0] != '\0') {
        const char *at = strchr(line, ' ');
        char *outcome;

        assert_non_null(at);
        unsigned long nr = strtoul(at, &outcome, 10);
        assert_in_range(nr, NUMBERS - 1, UINT32_MAX);
        if (strncmp(line, "native ", 7) == 0) {
            check_outcome(PROFILE_ALL, (uint32_t)nr, outcome + 1);
            native++;
        } else {
            assert_string_equal(outcome, old_entry_exists() ? " signal 31" : " signal 11");
            old++;
        }
    }
    assert_int_equal(native, 3 * 22);
    assert_int_equal(old, native);
}

/* ---- what the host is ----------------------------------------------------------------------- */

/* Digests of what no payload may change; what counts by itself is left out. */
struct host {
    uint8_t settings[SUM_SIZE]; /* below /proc/sys */
    uint8_t files[SUM_SIZE];    /* of the test, the slots among them */
    uint8_t names[SUM_SIZE];    /* of this machine; its System V objects and its keys */
    int64_t clock_ms;           /* Unix time less the time since boot */
    size_t mounts, processes, cgroups;
};

static uint8_t sum_so_far[SUM_SIZE];

static void sum_more(const void *data, size_t n)
{
    uint8_t both[2 * SUM_SIZE];

    memcpy(both, sum_so_far, SUM_SIZE);
    sum_of((struct bytes){ .p = data, .n = n }, both + SUM_SIZE);
    sum_of((struct bytes){ .p = both, .n = sizeof both }, sum_so_far);
}

static void sum_file(const char *path)
{
    static char buf[65536];
    scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof buf);

    sum_more(path, strlen(path));
    if (n > 0)
        sum_more(buf, (size_t)n);
}

static bool counts_by_itself(const char *path)
{
    static const char *const parts[] = {
        "/random/",      "/fs/dentry-state", "/fs/file-nr",     "/fs/inode-",
        "/fs/aio-nr",    "/ns_last_pid",     "/pty/nr",         "_count",
        "/stat_",        "/sched_domain",    "/keys/",          "/fs/quota/",
        "/nf_conntrack", "/neigh/",          "/fs/binfmt_misc", "/tcp_metrics",
        "/conf/",        "/route/flush",     "/drop_caches",    "/net/ipv4/tcp_fastopen_key",
    };

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (strstr(path, parts[i]) != NULL)
            return true;
    }
    return false;
}

static int sum_setting(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)ftw;
    if (type == FTW_F && (st->st_mode & 0444) != 0 && !counts_by_itself(path))
        sum_file(path);
    return 0;
}

static int sum_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    const uint64_t facts[] = { st->st_mode,
                               st->st_uid,
                               st->st_gid,
                               st->st_nlink,
                               (uint64_t)st->st_mtim.tv_sec,
                               (uint64_t)st->st_mtim.tv_nsec };

    (void)ftw;
    sum_more(facts, sizeof facts);
    if (type == FTW_F)
        sum_file(path);
    else
        sum_more(path, strlen(path));
    return 0;
}

static void take_sum(uint8_t ret[SUM_SIZE])
{
    memcpy(ret, sum_so_far, SUM_SIZE);
    memset(sum_so_far, 0, SUM_SIZE);
}

static size_t lines_with(const char *path, const char *text)
{
    FILE *f = fopen(path, "re");
    char line[1024];
    size_t n = 0;

    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL)
        n += strstr(line, text) != NULL;
    assert_int_equal(fclose(f), 0);
    return n;
}

/* Live processes of the ranges of this test, but for those of the neighbour. */
static size_t count_processes(void)
{
    const uint32_t low = PLAN_UID_BASE + rig.slot * PLAN_UID_COUNT;
    DIR *dir = opendir("/proc");
    const struct dirent *e;
    size_t n = 0;

    assert_non_null(dir);
    while ((e = readdir(dir)) != NULL) {
        char path[300];
        struct stat st;

        (void)snprintf(path, sizeof path, "/proc/%s", e->d_name);
        if (e->d_name[0] >= '1' && e->d_name[0] <= '9' && stat(path, &st) == 0 &&
            st.st_uid >= low && st.st_uid < low + PLAN_UID_COUNT)
            n++;
    }
    assert_int_equal(closedir(dir), 0);
    return n;
}

static int64_t clock_offset_ms(void)
{
    struct timespec real;
    struct timespec boot;

    assert_int_equal(clock_gettime(CLOCK_REALTIME, &real), 0);
    assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &boot), 0);
    return (int64_t)(real.tv_sec - boot.tv_sec) * 1000 + (real.tv_nsec - boot.tv_nsec) / 1000000;
}

static struct host look_at_host(void)
{
    static const char *const names[] = { "/proc/sys/kernel/hostname",
                                         "/proc/sys/kernel/domainname",
                                         "/proc/sysvipc/shm",
                                         "/proc/sysvipc/sem",
                                         "/proc/sysvipc/msg",
                                         "/proc/modules",
                                         "/proc/swaps",
                                         "/proc/self/cgroup" };
    struct host h = { .clock_ms = clock_offset_ms(),
                      .mounts = lines_with("/proc/self/mountinfo", rig.dir),
                      .processes = count_processes() };

    memset(sum_so_far, 0, sizeof sum_so_far);
    assert_int_equal(nftw("/proc/sys/kernel", sum_setting, 8, FTW_PHYS), 0);
    assert_int_equal(nftw("/proc/sys/vm", sum_setting, 8, FTW_PHYS), 0);
    assert_int_equal(nftw("/proc/sys/fs", sum_setting, 8, FTW_PHYS), 0);
    assert_int_equal(nftw("/proc/sys/net", sum_setting, 8, FTW_PHYS), 0);
    take_sum(h.settings);
    assert_int_equal(nftw(rig.dir, sum_entry, 8, FTW_PHYS), 0);
    take_sum(h.files);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        sum_file(names[i]);
    take_sum(h.names);
    return h;
}

static void assert_same_host(const struct host *was)
{
    struct host is = look_at_host();

    assert_memory_equal(was->settings, is.settings, SUM_SIZE);
    assert_memory_equal(was->files, is.files, SUM_SIZE);
    assert_memory_equal(was->names, is.names, SUM_SIZE);
    assert_in_range(is.clock_ms - was->clock_ms + 100, 0, 200);
    assert_int_equal(was->mounts, is.mounts);
    assert_int_equal(was->processes, is.processes);
}

/* The look itself must see a change: of a file, and of a setting. */
static void sees_a_changed_host(void **state)
{
    struct host before;
    struct host after;

    (void)state;
    rig_slot(&rig, "seen", "sandbox_hog");
    before = look_at_host();
    assert_same_host(&before);
    assert_int_equal(chmod(rig_path(&rig, "seen/bin/probe"), 0700), 0);
    after = look_at_host();
    assert_memory_not_equal(before.files, after.files, SUM_SIZE);
    assert_memory_equal(before.settings, after.settings, SUM_SIZE);
}

/* ---- random calls --------------------------------------------------------------------------- */

/* What one sandbox made of its seeds. */
struct tally {
    unsigned long next; /* first seed that was not begun */
    unsigned long calls;
    unsigned int sandboxes;
    unsigned int stopped; /* sandboxes in which nobody went on any more */
};

/* Read the output until it ends; a program that a seed has stopped is ended. */
static void listen_to(struct rig_run *r, struct tally *t)
{
    const int fd = r->fds.fd[WIRE_FD_OUTPUT];
    char *rest = r->out;
    char *line;
    ssize_t n = 1;

    while (n > 0 && r->n_out < sizeof r->out - 1) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        if (poll(&p, 1, SILENCE_MS) <= 0) {
            rig_stop(&rig, r, 0);
            t->stopped++;
            assert_true(rig_wait(fd));
        }
        n = read(fd, r->out + r->n_out, sizeof r->out - 1 - r->n_out);
        r->n_out += n > 0 ? (size_t)n : 0;
    }
    r->out[r->n_out] = '\0';
    while ((line = strsep(&rest, "\n")) != NULL) {
        unsigned long value;

        if (sscanf(line, "seed %lu", &value) == 1 && value >= t->next && value < SEEDS)
            t->next = value + 1;
        else if (sscanf(line, "calls %lu", &value) == 1 && value <= 1000)
            t->calls += value;
    }
}

static void one_sandbox(struct tally *t)
{
    char first[24], last[24], pid[24];
    const char *const args[] = { "/bin/probe", first, last, pid, NULL };
    unsigned long from = t->next;
    struct plan plan;

    (void)snprintf(first, sizeof first, "%lu", from);
    (void)snprintf(last, sizeof last, "%lu", from + 70 < SEEDS ? from + 70 : SEEDS);
    (void)snprintf(pid, sizeof pid, "%d", getpid());
    plan = rig_plan(&rig, args, 0);
    plan.calls = t->sandboxes % PROFILE_MASKS;
    start(&run, &plan, "random");
    listen_to(&run, t);
    (void)rig_exited(&rig, &run);
    t->sandboxes++;
    assert_true(t->next > from || t->stopped > 0); /* each gets somewhere */
}

static bool neighbour_ready(void)
{
    char text[64] = "";
    int fd = neighbour.fds.fd[WIRE_FD_NOTIFY];

    return rig_wait(fd) && recv(fd, text, sizeof text - 1, 0) > 0 && strcmp(text, "READY=1") == 0;
}

static void random_calls_change_nothing(void **state)
{
    static const char *const polite[] = { "/bin/probe", "polite", NULL };
    struct plan plan = rig_plan(&rig, polite, 0);
    struct tally t = { 0 };

    (void)state;
    rig_slot(&rig, "neighbour", "sandbox_hog");
    rig_slot(&rig, "random", "sandbox_random_calls");
    rig_range(&rig, &plan, 1);
    start(&neighbour, &plan, "neighbour");
    assert_true(neighbour_ready());
    struct host before = look_at_host();

    while (t.next < SEEDS)
        one_sandbox(&t);
    print_message("%lu seeds, %lu calls, %u sandboxes, %u of them stopped\n", t.next, t.calls,
                  t.sandboxes, t.stopped);
    assert_true(t.calls > SEEDS * 20);
    assert_same_host(&before);

    /* It heard nothing of it, and ends when it is asked to. */
    rig_stop(&rig, &neighbour, 20000);
    struct wire_exited e = rig_exited(&rig, &neighbour);
    assert_rc((enum rc)e.rc, RC_EXITED);
    assert_int_equal(e.status, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ordinary_programs_run, setup, teardown),
        cmocka_unit_test_setup_teardown(every_call_is_as_the_table_says, setup, teardown),
        cmocka_unit_test_setup_teardown(other_entries_are_killed, setup, teardown),
        cmocka_unit_test_setup_teardown(far_numbers_are_as_the_table_says, setup, teardown),
        cmocka_unit_test_setup_teardown(sees_a_changed_host, setup, teardown),
        cmocka_unit_test_setup_teardown(random_calls_change_nothing, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
