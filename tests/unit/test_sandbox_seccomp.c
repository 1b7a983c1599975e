/* SPDX-License-Identifier: Apache-2.0
 *
 * The filters of both architectures, run by an interpreter of our own over every number and over
 * arguments at and around every rule, and compared with the tables as read.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/seccomp.h"

#define NUMBERS 1024U
#define NOT_A_NUMBER 0x12345678U
#define RANDOM_ROWS 64U

static const char *const arch_names[CALLS_ARCHES] = { "x86_64", "aarch64" };
static const uint32_t libseccomp_arch[CALLS_ARCHES] = { SCMP_ARCH_X86_64, SCMP_ARCH_AARCH64 };

static struct seccomp_program program;
static unsigned int longest;

/* ---- the interpreter ------------------------------------------------------------------------ */

/* As the kernel runs it: what is not one of these instructions is a mistake of ours. */
static uint32_t run(const struct sock_filter *code, size_t n, const struct seccomp_data *data)
{
    uint32_t a = 0;
    size_t steps = 0;

    for (size_t at = 0; at < n; at++, steps++) {
        const struct sock_filter *i = &code[at];

        assert_true(steps < n); /* jumps go forward only */
        switch (i->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            assert_true(i->k % 4 == 0 && i->k + 4 <= sizeof *data);
            memcpy(&a, (const uint8_t *)data + i->k, sizeof a);
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= i->k;
            break;
        case BPF_JMP | BPF_JA:
            at += i->k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            at += a == i->k ? i->jt : i->jf;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            at += a >= i->k ? i->jt : i->jf;
            break;
        case BPF_RET | BPF_K:
            return i->k;
        default:
            fail_msg("instruction %zu: code %x", at, i->code);
        }
    }
    fail_msg("ran off the end");
    return 0;
}

static const uint32_t actions[] = {
    [SECCOMP_KILL] = SECCOMP_RET_KILL_PROCESS,
    [SECCOMP_EPERM] = SECCOMP_RET_ERRNO | EPERM,
    [SECCOMP_ENOSYS] = SECCOMP_RET_ERRNO | ENOSYS,
    [SECCOMP_ENOSYS_QUIET] = SECCOMP_RET_ERRNO | ENOSYS,
    [SECCOMP_ALLOW] = SECCOMP_RET_ALLOW,
};

/* What the kernel makes of both programs of a payload: the stricter one counts, the later of two
 * that are alike.  Whether it is written to the audit log goes by the one that counts. */
static uint32_t outcome(enum calls_arch arch, const struct seccomp_data *data, bool *ret_logged)
{
    size_t n_quiet;
    const struct sock_filter *quiet = seccomp_quiet(&n_quiet, arch);
    uint32_t own = run(program.code, program.n, data);
    uint32_t other =
        program.role == SECCOMP_PAYLOAD ? run(quiet, n_quiet, data) : SECCOMP_RET_ALLOW;
    bool own_counts =
        (int32_t)(own & SECCOMP_RET_ACTION_FULL) <= (int32_t)(other & SECCOMP_RET_ACTION_FULL);

    *ret_logged = own_counts && own != SECCOMP_RET_ALLOW;
    return own_counts ? own : other;
}

static void compare(enum seccomp_role role, uint32_t mask, enum calls_arch arch, uint32_t nr,
                    const uint64_t args[6])
{
    struct seccomp_data data = { .nr = (int)nr,
                                 .arch = calls_audit_arch(arch),
                                 .instruction_pointer = 0xffff800012345678ULL };
    enum seccomp_verdict want = seccomp_verdict(role, mask, arch, nr, args);
    bool logged = false;

    memcpy(data.args, args, sizeof data.args);
    uint32_t got = outcome(arch, &data, &logged);
    if (got != actions[want] || logged != (want != SECCOMP_ALLOW && want != SECCOMP_ENOSYS_QUIET))
        fail_msg("role %d, profile %u, %s, number %u (%llx %llx %llx): %x, logged %d, want %x",
                 (int)role, mask, arch_names[arch], nr, (unsigned long long)args[0],
                 (unsigned long long)args[1], (unsigned long long)args[2], got, logged,
                 actions[want]);
}

/* ---- arguments ------------------------------------------------------------------------------ */

static uint64_t seed = 88172645463325252ULL;

static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* Arguments that one rule is about: as it wants them, and each a little beside it. */
static size_t around(const struct rule *rule, uint64_t ret[64][6])
{
    size_t n = 0;

    for (uint32_t off = 0; off < 1 + 7 * rule->n; off++) {
        for (size_t i = 0; i < 6; i++)
            ret[n][i] = next_random();
        for (uint32_t i = 0; i < rule->n; i++)
            ret[n][rule->cond[i].arg] = rule->cond[i].value;
        if (off > 0) {
            uint64_t *arg = &ret[n][rule->cond[(off - 1) / 7].arg];
            const uint64_t beside[7] = {
                *arg ^ 1U, *arg ^ (1ULL << 31), *arg ^ (1ULL << 32), *arg ^ (1ULL << 63), *arg + 1,
                ~*arg,     next_random(),
            };

            *arg = beside[(off - 1) % 7];
        }
        n++;
    }
    return n;
}

static size_t try_program(enum seccomp_role role, uint32_t mask, enum calls_arch arch)
{
    static const uint64_t plain[][6] = { { 0 },
                                         { 1, 1, 1, 1, 1, 1 },
                                         { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX,
                                           UINT64_MAX, UINT64_MAX } };
    uint64_t args[64][6];
    size_t n_rules;
    const struct rule *rules = rules_table(&n_rules);
    size_t tried = 0;

    assert_rc(seccomp_build(role, mask, arch, &program, NULL), RC_OK);
    longest = program.n > longest ? program.n : longest;
    for (uint32_t nr = 0; nr < NUMBERS; nr++) {
        for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++, tried++)
            compare(role, mask, arch, nr, plain[i]);
        compare(role, mask, arch, nr | CALLS_X32_BIT, plain[0]);
    }
    for (uint32_t bit = 10; bit < 32; bit++)
        compare(role, mask, arch, 1U << bit | (uint32_t)(next_random() & 0x3ff), plain[0]);
    compare(role, mask, arch, UINT32_MAX, plain[0]);
    compare(role, mask, arch, NOT_A_NUMBER, plain[0]);
    for (size_t r = 0; r < n_rules; r++) {
        int nr = call_nr(rules[r].call, arch);
        size_t n = around(&rules[r], args);

        for (size_t i = 0; nr >= 0 && i < n; i++, tried++)
            compare(role, mask, arch, (uint32_t)nr, args[i]);
    }
    return tried;
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void filters_do_what_the_tables_say(void **state)
{
    size_t tried = 0;

    (void)state;
    for (unsigned int arch = 0; arch < CALLS_ARCHES; arch++) {
        for (uint32_t mask = 0; mask < PROFILE_MASKS; mask++)
            tried += try_program(SECCOMP_PAYLOAD, mask, (enum calls_arch)arch);
        tried += try_program(SECCOMP_REAPER, 0, (enum calls_arch)arch);
        tried += try_program(SECCOMP_LAUNCHER, 0, (enum calls_arch)arch);
    }
    print_message("%zu calls, the longest program %u instructions\n", tried, longest);
    assert_true(tried > 60000);
}

/* libseccomp has a table of its own; what both know they know alike, and it knows nothing below 451
 * that we do not. */
static void numbers_are_the_kernels(void **state)
{
    (void)state;
    for (unsigned int arch = 0; arch < CALLS_ARCHES; arch++) {
        size_t known = 0;

        for (unsigned int i = 0; i < CALLS_N; i++) {
            const char *name = call_name((enum call)i);
            int nr = seccomp_syscall_resolve_name_arch(libseccomp_arch[arch], name);

            if (nr == __NR_SCMP_ERROR)
                continue; /* newer than this library */
            known++;
            if ((nr < 0 ? -1 : nr) != call_nr((enum call)i, (enum calls_arch)arch))
                fail_msg("%s on %s: %d, not %d", name, arch_names[arch],
                         call_nr((enum call)i, (enum calls_arch)arch), nr);
        }
        assert_true(known > 330);
        for (uint32_t nr = 0; nr < 451; nr++) {
            char *name = seccomp_syscall_resolve_num_arch(libseccomp_arch[arch], (int)nr);
            enum call call;

            if (name != NULL && !call_find((enum calls_arch)arch, nr, &call))
                fail_msg("%s has %s at %u", arch_names[arch], name, nr);
            free(name);
        }
    }
}

struct row {
    const char *why;
    uint32_t mask;
    enum call call;
    uint64_t args[6];
    enum seccomp_verdict want;
};

#define HIGH (1ULL << 32)
#define NET PROFILE_NET
#define DEVICE PROFILE_DEVICE
#define LEGACY PROFILE_LEGACY

/* What a reader would say, beside the tables. */
static const struct row rows[] = {
    { "read", 0, CALL_read, { 0 }, SECCOMP_ALLOW },
    { "clone3 is quiet", 0, CALL_clone3, { 0 }, SECCOMP_ENOSYS_QUIET },
    { "thread",
      0,
      CALL_clone,
      { CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD },
      SECCOMP_ALLOW },
    { "user namespace", PROFILE_ALL, CALL_clone, { CLONE_NEWUSER | SIGCHLD }, SECCOMP_EPERM },
    { "network namespace", PROFILE_ALL, CALL_clone, { CLONE_NEWNET }, SECCOMP_EPERM },
    { "unshare", PROFILE_ALL, CALL_unshare, { 0 }, SECCOMP_EPERM },
    { "TIOCSTI (CVE-2017-5226)", PROFILE_ALL, CALL_ioctl, { 0, TIOCSTI }, SECCOMP_EPERM },
    { "TIOCSTI, bit 32 set (CVE-2019-10063)",
      PROFILE_ALL,
      CALL_ioctl,
      { 0, TIOCSTI | HIGH },
      SECCOMP_EPERM },
    { "FIONREAD, bit 32 set", 0, CALL_ioctl, { 0, FIONREAD | HIGH }, SECCOMP_ALLOW },
    { "unix", 0, CALL_socket, { AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC }, SECCOMP_ALLOW },
    { "unix raw", PROFILE_ALL, CALL_socket, { AF_UNIX, SOCK_RAW }, SECCOMP_EPERM },
    { "inet", 0, CALL_socket, { AF_INET, SOCK_STREAM }, SECCOMP_EPERM },
    { "inet, bit 32 set", 0, CALL_socket, { AF_INET | HIGH, SOCK_STREAM }, SECCOMP_EPERM },
    { "inet by net", NET, CALL_socket, { AF_INET, SOCK_STREAM, 6 }, SECCOMP_ALLOW },
    { "inet by others", DEVICE | LEGACY, CALL_socket, { AF_INET, SOCK_STREAM, 6 }, SECCOMP_EPERM },
    { "inet6 datagram",
      NET,
      CALL_socket,
      { AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 17 },
      SECCOMP_ALLOW },
    { "ping", NET, CALL_socket, { AF_INET, SOCK_DGRAM, 1 }, SECCOMP_EPERM },
    { "raw", PROFILE_ALL, CALL_socket, { AF_INET, SOCK_RAW, 255 }, SECCOMP_EPERM },
    { "sctp", PROFILE_ALL, CALL_socket, { AF_INET, SOCK_STREAM, 132 }, SECCOMP_EPERM },
    { "netlink", PROFILE_ALL, CALL_socket, { AF_NETLINK, SOCK_RAW }, SECCOMP_EPERM },
    { "packet", PROFILE_ALL, CALL_socket, { AF_PACKET, SOCK_RAW }, SECCOMP_EPERM },
    { "vsock", PROFILE_ALL, CALL_socket, { AF_VSOCK, SOCK_STREAM }, SECCOMP_EPERM },
    { "alg", PROFILE_ALL, CALL_socket, { AF_ALG, SOCK_SEQPACKET }, SECCOMP_EPERM },
    { "xdp", PROFILE_ALL, CALL_socket, { AF_XDP, SOCK_RAW }, SECCOMP_EPERM },
    { "can raw", DEVICE, CALL_socket, { AF_CAN, SOCK_RAW, 1 }, SECCOMP_ALLOW },
    { "can broadcast manager", PROFILE_ALL, CALL_socket, { AF_CAN, SOCK_DGRAM, 2 }, SECCOMP_EPERM },
    { "a filter on a socket",
      PROFILE_ALL,
      CALL_setsockopt,
      { 0, SOL_SOCKET, SO_ATTACH_FILTER },
      SECCOMP_EPERM },
    { "iptables", PROFILE_ALL, CALL_setsockopt, { 0, 0, 64 }, SECCOMP_EPERM },
    { "no delay", NET, CALL_setsockopt, { 0, 6, 1 }, SECCOMP_ALLOW },
    { "GPIO line", DEVICE, CALL_ioctl, { 0, 0xc250b407 }, SECCOMP_ALLOW },
    { "GPIO line without device", NET | LEGACY, CALL_ioctl, { 0, 0xc250b407 }, SECCOMP_EPERM },
    { "SPI, one message", DEVICE, CALL_ioctl, { 0, 0x40206b00 }, SECCOMP_ALLOW },
    { "SPI, twelve", DEVICE, CALL_ioctl, { 0, 0x41806b00 }, SECCOMP_ALLOW },
    { "SPI, another direction", DEVICE, CALL_ioctl, { 0, 0x80206b00 }, SECCOMP_EPERM },
    { "I2C by force", PROFILE_ALL, CALL_ioctl, { 0, 0x0706 }, SECCOMP_EPERM },
    { "camera", DEVICE, CALL_ioctl, { 0, 0x80685600 }, SECCOMP_ALLOW },
    { "line discipline", PROFILE_ALL, CALL_ioctl, { 0, TIOCSETD }, SECCOMP_EPERM },
    { "namespace of a descriptor", PROFILE_ALL, CALL_ioctl, { 0, 0xb702 }, SECCOMP_EPERM },
    { "personality", PROFILE_ALL, CALL_personality, { 0x400000 }, SECCOMP_EPERM },
    { "personality asks", 0, CALL_personality, { 0xffffffff }, SECCOMP_ALLOW },
    { "block device", PROFILE_ALL, CALL_mknodat, { 0, 0, S_IFBLK | 0600 }, SECCOMP_EPERM },
    { "fifo", 0, CALL_mknodat, { 0, 0, S_IFIFO | 0600 }, SECCOMP_ALLOW },
    { "core limit", PROFILE_ALL, CALL_prlimit64, { 0, 4, 1 }, SECCOMP_EPERM },
    { "core limit, bit 32 set", PROFILE_ALL, CALL_prlimit64, { 0, 4 | HIGH, 1 }, SECCOMP_EPERM },
    { "core limit, pointer above", PROFILE_ALL, CALL_prlimit64, { 0, 4, HIGH }, SECCOMP_EPERM },
    { "core limit asks", 0, CALL_prlimit64, { 0, 4, 0 }, SECCOMP_ALLOW },
    { "seccomp by prctl", PROFILE_ALL, CALL_prctl, { 22 }, SECCOMP_EPERM },
    { "same-page merging", PROFILE_ALL, CALL_madvise, { 0, 0, 12 }, SECCOMP_EPERM },
    { "memory that can be run", PROFILE_ALL, CALL_memfd_create, { 0, 1 }, SECCOMP_EPERM },
    { "memory that says so", PROFILE_ALL, CALL_memfd_create, { 0, 0x10 | 8 }, SECCOMP_EPERM },
    { "memory that cannot", LEGACY, CALL_memfd_create, { 0, 8 | 1 }, SECCOMP_ALLOW },
    { "memory without the grant", NET, CALL_memfd_create, { 0, 8 | 1 }, SECCOMP_EPERM },
    { "realtime", PROFILE_ALL, CALL_sched_setscheduler, { 0, 1 }, SECCOMP_EPERM },
    { "batch", LEGACY, CALL_sched_setscheduler, { 0, 3 }, SECCOMP_ALLOW },
    { "shared memory", 0, CALL_shmget, { 0 }, SECCOMP_ENOSYS },
    { "shared memory by grant", LEGACY, CALL_shmget, { 0 }, SECCOMP_ALLOW },
    { "splice", NET | DEVICE, CALL_splice, { 0 }, SECCOMP_EPERM },
    { "splice by grant", LEGACY, CALL_splice, { 0 }, SECCOMP_ALLOW },
    { "vmsplice", PROFILE_ALL, CALL_vmsplice, { 0 }, SECCOMP_EPERM },
    { "io_uring", PROFILE_ALL, CALL_io_uring_setup, { 0 }, SECCOMP_EPERM },
    { "bpf", PROFILE_ALL, CALL_bpf, { 0 }, SECCOMP_EPERM },
    { "keys", PROFILE_ALL, CALL_add_key, { 0 }, SECCOMP_EPERM },
    { "handles", PROFILE_ALL, CALL_open_by_handle_at, { 0 }, SECCOMP_EPERM },
    { "modules", PROFILE_ALL, CALL_finit_module, { 0 }, SECCOMP_KILL },
    { "clock", PROFILE_ALL, CALL_clock_settime, { 0 }, SECCOMP_KILL },
    { "mount", PROFILE_ALL, CALL_move_mount, { 0 }, SECCOMP_EPERM },
    { "the newest", PROFILE_ALL, CALL_listns, { 0 }, SECCOMP_ENOSYS },
};

static void verdicts_are_what_one_expects(void **state)
{
    (void)state;
    for (unsigned int arch = 0; arch < CALLS_ARCHES; arch++) {
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            const struct row *r = &rows[i];
            int nr = call_nr(r->call, (enum calls_arch)arch);

            if (nr < 0)
                continue;
            enum seccomp_verdict got = seccomp_verdict(
                SECCOMP_PAYLOAD, r->mask, (enum calls_arch)arch, (uint32_t)nr, r->args);
            if (got != r->want)
                fail_msg("%s on %s: %d, want %d", r->why, arch_names[arch], (int)got, (int)r->want);
        }
    }
}

/* A grant adds and never takes away, and what tampers kills whatever was granted. */
static void grants_only_add(void **state)
{
    const uint64_t args[6] = { 0 };

    (void)state;
    for (unsigned int i = 0; i < CALLS_N; i++) {
        int nr = call_nr((enum call)i, CALLS_NATIVE);

        for (uint32_t mask = 0; nr >= 0 && mask < PROFILE_MASKS; mask++) {
            enum seccomp_verdict got =
                seccomp_verdict(SECCOMP_PAYLOAD, mask, CALLS_NATIVE, (uint32_t)nr, args);

            for (uint32_t more = mask; more < PROFILE_MASKS; more++) {
                if ((more & mask) == mask && got == SECCOMP_ALLOW)
                    assert_int_equal(
                        seccomp_verdict(SECCOMP_PAYLOAD, more, CALLS_NATIVE, (uint32_t)nr, args),
                        SECCOMP_ALLOW);
            }
            if (call_class((enum call)i) == CALL_CLASS_TAMPER)
                assert_int_equal(got, SECCOMP_KILL);
        }
    }
}

static void another_machine_is_killed(void **state)
{
    static const uint32_t others[] = { 0, AUDIT_ARCH_I386, AUDIT_ARCH_ARM, AUDIT_ARCH_RISCV64,
                                       UINT32_MAX };

    (void)state;
    for (unsigned int arch = 0; arch < CALLS_ARCHES; arch++) {
        assert_rc(
            seccomp_build(SECCOMP_PAYLOAD, PROFILE_ALL, (enum calls_arch)arch, &program, NULL),
            RC_OK);
        for (uint32_t nr = 0; nr < NUMBERS; nr++) {
            for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
                const struct seccomp_data data = { .nr = (int)nr, .arch = others[i] };
                bool logged;

                assert_int_equal(outcome((enum calls_arch)arch, &data, &logged),
                                 SECCOMP_RET_KILL_PROCESS);
            }
        }
    }
}

/* ---- tables that must not become a filter --------------------------------------------------- */

#define INT 0xffffffffULL

struct bad {
    const char *why;
    struct rule rule;
};

static const struct bad bad[] = {
    { "an int compared without a mask",
      { CALL_ioctl, 0, 1, { { 1, COND_EQUAL, UINT64_MAX, TIOCSTI } } } },
    { "64 bits of an int", { CALL_socket, 0, 1, { { 0, COND_EQUAL, INT | HIGH, AF_UNIX } } } },
    { "what is forbidden", { CALL_ioctl, 0, 1, { { 1, COND_NOT_EQUAL, INT, TIOCSTI } } } },
    { "no test", { CALL_ioctl, 0, 1, { { 1, 0, INT, FIONREAD } } } },
    { "nothing", { CALL_ioctl, 0, 1, { { 1, COND_EQUAL, 0, 0 } } } },
    { "a value outside its mask", { CALL_clone, 0, 1, { { 0, COND_EQUAL, 1, 2 } } } },
    { "half a pointer", { CALL_prlimit64, 0, 1, { { 2, COND_EQUAL, INT, 0 } } } },
    { "a pointer's value", { CALL_prlimit64, 0, 1, { { 2, COND_EQUAL, UINT64_MAX, 4096 } } } },
    { "what a pointer points to", { CALL_fcntl, 0, 1, { { 2, COND_EQUAL, INT, 0 } } } },
    { "an argument that is not there", { CALL_socket, 0, 1, { { 3, COND_EQUAL, INT, 0 } } } },
    { "an argument twice",
      { CALL_socket, 0, 2, { { 0, COND_EQUAL, INT, 1 }, { 0, COND_EQUAL, INT, 2 } } } },
    { "no condition", { CALL_socket, 0, 0, { { 0 } } } },
    { "too many conditions", { CALL_socket, 0, 4, { { 0, COND_EQUAL, INT, 1 } } } },
    { "a call that kills", { CALL_reboot, 0, 1, { { 0, COND_EQUAL, INT, 1 } } } },
    { "a call that is refused", { CALL_ptrace, 0, 1, { { 0, COND_EQUAL, INT, 0 } } } },
    { "a call that is allowed anyway", { CALL_read, 0, 1, { { 0, COND_EQUAL, INT, 0 } } } },
    { "no call", { CALLS_N, 0, 1, { { 0, COND_EQUAL, INT, 0 } } } },
    { "two grants", { CALL_socket, NET | DEVICE, 1, { { 0, COND_EQUAL, INT, 1 } } } },
    { "an unknown grant", { CALL_socket, 8, 1, { { 0, COND_EQUAL, INT, 1 } } } },
};

static void refuses_bad_rules(void **state)
{
    static struct rule table[512];
    size_t n;
    const struct rule *good = rules_table(&n);
    struct err err = { 0 };

    (void)state;
    assert_true(n + 1 < sizeof table / sizeof table[0]);
    assert_rc(rules_check(good, n, &err), RC_OK);
    memcpy(table, good, n * sizeof table[0]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_rc(rules_check(&bad[i].rule, 1, &err), RC_VALUE);
        table[n] = bad[i].rule; /* at the end of a good table, too */
        if (rules_check(table, n + 1, &err) != RC_VALUE)
            fail_msg("a rule that looks at %s", bad[i].why);
    }
    table[n] = good[0]; /* good, but away from the others of its call */
    assert_rc(rules_check(table, n + 1, &err), RC_VALUE);
}

/* ---- in the kernel -------------------------------------------------------------------------- */

/* Load a program in a child and make one call; its wait status. */
static int in_kernel(const struct seccomp_program *p, long nr, long arg)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0 || seccomp_apply(p) != 0)
            _exit(100);
        long got = syscall(nr, arg, 0L, 0L, 0L, 0L, 0L);

        _exit(got < 0 ? errno : 0);
    }
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
    return status;
}

static void kernel_takes_every_program(void **state)
{
    const enum calls_arch foreign = CALLS_NATIVE == CALLS_X86_64 ? CALLS_AARCH64 : CALLS_X86_64;

    (void)state;
    for (uint32_t mask = 0; mask < PROFILE_MASKS; mask++) {
        assert_rc(seccomp_build(SECCOMP_PAYLOAD, mask, CALLS_NATIVE, &program, NULL), RC_OK);
        assert_int_equal(in_kernel(&program, SYS_getppid, 0), 0);
        int status = in_kernel(&program, SYS_unshare, CLONE_NEWUSER);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == EPERM);
        status = in_kernel(&program, SYS_clone3, 0);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == ENOSYS);
        status = in_kernel(&program, SYS_syslog, 0);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);

        /* The other machine's is as valid, and lets nothing of this machine through. */
        assert_rc(seccomp_build(SECCOMP_PAYLOAD, mask, foreign, &program, NULL), RC_OK);
        status = in_kernel(&program, SYS_getppid, 0);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
    }
}

static void digest_names_a_filter(void **state)
{
    uint8_t seen[2 * PROFILE_MASKS][SUM_SIZE];
    size_t n = 0;

    (void)state;
    for (unsigned int arch = 0; arch < CALLS_ARCHES; arch++) {
        for (uint32_t mask = 0; mask < PROFILE_MASKS; mask++) {
            for (int twice = 0; twice < 2; twice++) {
                memset(&program, 0xa5, sizeof program);
                assert_rc(
                    seccomp_build(SECCOMP_PAYLOAD, mask, (enum calls_arch)arch, &program, NULL),
                    RC_OK);
                if (twice == 0)
                    memcpy(seen[n], program.digest, SUM_SIZE);
                assert_memory_equal(seen[n], program.digest, SUM_SIZE);
            }
            for (size_t i = 0; i < n; i++)
                assert_memory_not_equal(seen[i], seen[n], SUM_SIZE);
            n++;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_do_what_the_tables_say), cmocka_unit_test(numbers_are_the_kernels),
        cmocka_unit_test(verdicts_are_what_one_expects),  cmocka_unit_test(grants_only_add),
        cmocka_unit_test(another_machine_is_killed),      cmocka_unit_test(refuses_bad_rules),
        cmocka_unit_test(kernel_takes_every_program),     cmocka_unit_test(digest_names_a_filter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
