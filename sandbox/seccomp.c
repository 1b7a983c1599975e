/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/seccomp.h"

#include <assert.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bytes.h"

#define JUMP_MAX 255U /* a conditional jump has 8 bits */
#define NUMBERS 1024U /* room for every number that a table has */
#define PATCHES_MAX 256U

#define DO(code, k) ((struct sock_filter)BPF_STMT(code, k))
#define LOAD(offset) DO(BPF_LD | BPF_W | BPF_ABS, offset)
#define RETURN(value) DO(BPF_RET | BPF_K, value)
#define IF(what, k, yes, no) ((struct sock_filter)BPF_JUMP(BPF_JMP | (what) | BPF_K, k, yes, no))
#define JUMP(over) DO(BPF_JMP | BPF_JA, over)

#define AT_NR ((uint32_t)offsetof(struct seccomp_data, nr))
#define AT_ARCH ((uint32_t)offsetof(struct seccomp_data, arch))
/* Both machines are little-endian: the half that an int lies in comes first. */
#define AT_ARG(i) ((uint32_t)(offsetof(struct seccomp_data, args) + 8U * (i)))

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "AT_ARG");

/* ---- verdicts ------------------------------------------------------------------------------- */

/* Process 1 of a sandbox does nothing else after its payload started. */
static const enum call reaping[] = {
    CALL_close,           CALL_wait4,           CALL_kill,
    CALL_write,           CALL_close,           CALL_exit,
    CALL_exit_group,      CALL_rt_sigtimedwait, CALL_rt_sigreturn,
    CALL_restart_syscall,
#if defined(BERTH_SANITIZED)
    CALL_sigaltstack, /* which the sanitizer makes before an _exit, and ends the process without */
#endif
};

static bool reaper_makes(enum call call)
{
    for (size_t i = 0; i < sizeof reaping / sizeof reaping[0]; i++) {
        if (reaping[i] == call)
            return true;
    }
    return false;
}

/* What becomes of each class, before anybody looks at arguments. */
struct answers {
    enum seccomp_verdict payload, legacy /* payload with posix-legacy */, reaper, launcher;
};

/* clang-format off */
static const struct answers answers[] = {
    [CALL_CLASS_ABSENT] = { SECCOMP_ENOSYS, SECCOMP_ENOSYS, SECCOMP_ENOSYS, SECCOMP_ALLOW },
    [CALL_CLASS_ALLOW] = { SECCOMP_ALLOW, SECCOMP_ALLOW, SECCOMP_ENOSYS, SECCOMP_ALLOW },
    [CALL_CLASS_RULES] = { SECCOMP_EPERM, SECCOMP_EPERM, SECCOMP_ENOSYS, SECCOMP_ALLOW },
    [CALL_CLASS_LEGACY] = { SECCOMP_ENOSYS, SECCOMP_ALLOW, SECCOMP_ENOSYS, SECCOMP_ALLOW },
    [CALL_CLASS_LEGACY_DENY] = { SECCOMP_EPERM, SECCOMP_ALLOW, SECCOMP_EPERM, SECCOMP_ALLOW },
    [CALL_CLASS_DENY_INSIDE] = { SECCOMP_EPERM, SECCOMP_EPERM, SECCOMP_EPERM, SECCOMP_ALLOW },
    [CALL_CLASS_DENY] = { SECCOMP_EPERM, SECCOMP_EPERM, SECCOMP_EPERM, SECCOMP_EPERM },
    [CALL_CLASS_TAMPER] = { SECCOMP_KILL, SECCOMP_KILL, SECCOMP_KILL, SECCOMP_KILL },
    [CALL_CLASS_QUIET] = { SECCOMP_ENOSYS_QUIET, SECCOMP_ENOSYS_QUIET, SECCOMP_ENOSYS, SECCOMP_ALLOW },
};
/* clang-format on */

/* The answer for a call; *ret_rules if its arguments may still move it up to allowed. */
static enum seccomp_verdict of_class(enum seccomp_role role, uint32_t profile, enum call call,
                                     bool *ret_rules)
{
    const struct answers *a = &answers[call_class(call)];

    *ret_rules = role == SECCOMP_PAYLOAD && call_class(call) == CALL_CLASS_RULES;
    if (role == SECCOMP_LAUNCHER)
        return a->launcher;
    if (role == SECCOMP_REAPER)
        return reaper_makes(call) ? SECCOMP_ALLOW : a->reaper;
    return (profile & PROFILE_LEGACY) != 0 ? a->legacy : a->payload;
}

static enum seccomp_verdict unknown(enum seccomp_role role)
{
    return role == SECCOMP_LAUNCHER ? SECCOMP_ALLOW : SECCOMP_ENOSYS;
}

enum seccomp_verdict seccomp_verdict(enum seccomp_role role, uint32_t profile, enum calls_arch arch,
                                     uint32_t nr, const uint64_t args[6])
{
    enum call call;
    bool rules;

    if (arch == CALLS_X86_64 && nr >= CALLS_X32_BIT)
        return SECCOMP_KILL;
    if (!call_find(arch, nr, &call))
        return unknown(role);
    enum seccomp_verdict verdict = of_class(role, profile, call, &rules);

    return rules && rules_allow(profile, call, args) ? SECCOMP_ALLOW : verdict;
}

/* QUIET calls pass here: the other program has answered them already. */
static uint32_t action(enum seccomp_verdict verdict)
{
    switch (verdict) {
    case SECCOMP_ALLOW:
    case SECCOMP_ENOSYS_QUIET:
        return SECCOMP_RET_ALLOW;
    case SECCOMP_EPERM:
        return SECCOMP_RET_ERRNO | EPERM;
    case SECCOMP_ENOSYS:
        return SECCOMP_RET_ERRNO | ENOSYS;
    case SECCOMP_KILL:
        break;
    }
    return SECCOMP_RET_KILL_PROCESS;
}

/* ---- code ----------------------------------------------------------------------------------- */

/* Where the code goes, and whether it did not fit: looked at once, at the end. */
struct code {
    struct sock_filter *at;
    uint32_t n;
    uint32_t cap;
    bool full;
};

static uint32_t put(struct code *c, struct sock_filter i)
{
    if (c->n == c->cap) {
        c->full = true;
        return 0;
    }
    c->at[c->n] = i;
    return c->n++;
}

/* Jumps whose goal is not there yet. */
struct patches {
    uint32_t at[PATCHES_MAX];
    uint32_t n;
};

static void remember(struct code *c, struct patches *p, uint32_t at)
{
    if (p->n == PATCHES_MAX)
        c->full = true;
    else
        p->at[p->n++] = at;
}

/* Let the jumps lead here: those of comparisons that hold, or of those that do not. */
static void land(struct code *c, struct patches *p, bool held)
{
    for (uint32_t i = 0; i < p->n && !c->full; i++) {
        struct sock_filter *from = &c->at[p->at[i]];
        uint32_t over = c->n - p->at[i] - 1;

        if (over > JUMP_MAX)
            c->full = true;
        else if (held)
            from->jt = (uint8_t)over;
        else
            from->jf = (uint8_t)over;
    }
    p->n = 0;
}

/* ---- rules ---------------------------------------------------------------------------------- */

static bool cond_same_argument(const struct cond *a, const struct cond *b)
{
    return a->arg == b->arg && a->mask == b->mask;
}

/* Whether b differs from a in the last value at most, so that both can be one list. */
static bool rule_joins(const struct rule *a, const struct rule *b)
{
    if (a->n != b->n)
        return false;
    for (uint32_t i = 0; i + 1 < a->n; i++) {
        if (!cond_same_argument(&a->cond[i], &b->cond[i]) || a->cond[i].value != b->cond[i].value)
            return false;
    }
    return cond_same_argument(&a->cond[a->n - 1], &b->cond[b->n - 1]);
}

static void load_half(struct code *c, uint32_t at, uint32_t mask)
{
    (void)put(c, LOAD(at));
    if (mask != UINT32_MAX)
        (void)put(c, DO(BPF_ALU | BPF_AND | BPF_K, mask));
}

/* A condition that must hold for the code behind it; what fails is remembered.  Both halves are
 * looked at if the mask says so (pointers). */
static void require(struct code *c, const struct cond *cond, struct patches *failed)
{
    if (cond->mask >> 32 != 0) {
        load_half(c, AT_ARG(cond->arg) + 4, (uint32_t)(cond->mask >> 32));
        remember(c, failed, put(c, IF(BPF_JEQ, (uint32_t)(cond->value >> 32), 0, 0)));
    }
    load_half(c, AT_ARG(cond->arg), (uint32_t)cond->mask);
    remember(c, failed, put(c, IF(BPF_JEQ, (uint32_t)cond->value, 0, 0)));
}

/* The rules from first on that are one list: how many. */
static size_t put_list(struct code *c, const struct rule *const *rules, size_t n,
                       struct patches *allowed)
{
    const struct rule *first = rules[0];
    const struct cond *last = &first->cond[first->n - 1];
    struct patches failed = { .n = 0 };
    size_t used = 1;

    for (uint32_t i = 0; i + 1 < first->n; i++)
        require(c, &first->cond[i], &failed);
    if (last->mask >> 32 != 0) {
        require(c, last, &failed);
        (void)put(c, RETURN(SECCOMP_RET_ALLOW));
    } else {
        load_half(c, AT_ARG(last->arg), (uint32_t)last->mask);
        remember(c, allowed, put(c, IF(BPF_JEQ, (uint32_t)last->value, 0, 0)));
        for (; used < n && rule_joins(first, rules[used]); used++) {
            const struct cond *next = &rules[used]->cond[first->n - 1];

            remember(c, allowed, put(c, IF(BPF_JEQ, (uint32_t)next->value, 0, 0)));
        }
    }
    land(c, &failed, false);
    return used;
}

static void put_rules(struct code *c, uint32_t profile, enum call call,
                      enum seccomp_verdict otherwise)
{
    const struct rule *of_call[PATCHES_MAX];
    struct patches allowed = { .n = 0 };
    size_t n_table;
    const struct rule *table = rules_table(&n_table);
    size_t n = 0;

    for (size_t i = 0; i < n_table; i++) {
        if (table[i].call != call || (table[i].profile != 0 && (table[i].profile & profile) == 0))
            continue;
        if (n < PATCHES_MAX)
            of_call[n++] = &table[i];
        else
            c->full = true;
    }
    for (size_t i = 0; i < n && !c->full;)
        i += put_list(c, of_call + i, n - i, &allowed);
    (void)put(c, RETURN(action(otherwise)));
    land(c, &allowed, true);
    (void)put(c, RETURN(SECCOMP_RET_ALLOW));
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* A run of numbers with one answer; a call with rules is a run of its own. */
struct run {
    uint32_t first;
    enum seccomp_verdict verdict;
    bool rules;
    enum call call;
};

struct runs {
    struct run run[NUMBERS];
    uint32_t n;
};

static void find_runs(enum seccomp_role role, uint32_t profile, enum calls_arch arch,
                      struct runs *ret)
{
    enum call of_number[NUMBERS];

    for (uint32_t nr = 0; nr < NUMBERS; nr++)
        of_number[nr] = CALLS_N;
    for (unsigned int i = 0; i < CALLS_N; i++) {
        int nr = call_nr((enum call)i, arch);

        assert(nr < (int)NUMBERS);
        if (nr >= 0)
            of_number[nr] = (enum call)i;
    }
    ret->n = 0;
    for (uint32_t nr = 0; nr < NUMBERS; nr++) {
        struct run r = { .first = nr, .verdict = unknown(role), .call = of_number[nr] };

        if (r.call != CALLS_N)
            r.verdict = of_class(role, profile, r.call, &r.rules);
        const struct run *before = ret->n > 0 ? &ret->run[ret->n - 1] : NULL;

        if (before == NULL || before->rules || r.rules ||
            action(before->verdict) != action(r.verdict))
            ret->run[ret->n++] = r;
    }
}

/* A search tree over the runs, by halves.  Jumps are relative, so code can be moved behind one that
 * turned out to be short.  As deep as the logarithm of NUMBERS. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static void put_tree(struct code *c, uint32_t profile, const struct run *run, uint32_t n)
{
    if (n == 1) {
        if (run->rules)
            put_rules(c, profile, run->call, run->verdict);
        else
            (void)put(c, RETURN(action(run->verdict)));
        return;
    }

    uint32_t half = n / 2;
    uint32_t branch = put(c, IF(BPF_JGE, run[half].first, 0, 1));
    uint32_t over = put(c, JUMP(0));

    put_tree(c, profile, run, half);
    if (c->full)
        return;
    uint32_t size = c->n - over - 1;
    if (size <= JUMP_MAX) {
        memmove(&c->at[over], &c->at[over + 1], size * sizeof c->at[0]);
        c->n--;
        c->at[branch].jt = (uint8_t)size;
        c->at[branch].jf = 0;
    } else {
        c->at[over].k = size;
    }
    put_tree(c, profile, run + half, n - half);
}

/* The lengths are within bounds. */
static void digest(const struct seccomp_program *p, uint8_t ret[SUM_SIZE])
{
    size_t n_quiet;
    const struct sock_filter *quiet = seccomp_quiet(&n_quiet, p->arch);
    struct sock_filter all[SECCOMP_PROGRAM_MAX + 8];
    size_t n = 0;

    assert(n_quiet <= 8);
    if (p->role == SECCOMP_PAYLOAD) {
        memcpy(all, quiet, n_quiet * sizeof all[0]);
        n = n_quiet;
    }
    memcpy(all + n, p->code, p->n * sizeof all[0]);
    n += p->n;
    sum_of((struct bytes){ .p = (const uint8_t *)all, .n = n * sizeof all[0] }, ret);
}

bool seccomp_whole(const struct seccomp_program *program)
{
    uint8_t now[SUM_SIZE];

    if (program->n == 0 || program->n > SECCOMP_PROGRAM_MAX || program->arch >= CALLS_ARCHES ||
        program->role < SECCOMP_PAYLOAD || program->role > SECCOMP_LAUNCHER)
        return false;
    digest(program, now);
    return memcmp(now, program->digest, SUM_SIZE) == 0;
}

enum rc seccomp_build(enum seccomp_role role, uint32_t profile, enum calls_arch arch,
                      struct seccomp_program *ret, struct err *err)
{
    struct code c = { .at = ret->code, .cap = SECCOMP_PROGRAM_MAX };
    struct runs runs;
    size_t n_table;
    const struct rule *table = rules_table(&n_table);
    enum rc rc = rules_check(table, n_table, err);

    assert(profile <= PROFILE_ALL);
    if (rc != RC_OK)
        return rc;
    (void)put(&c, LOAD(AT_ARCH));
    (void)put(&c, IF(BPF_JEQ, calls_audit_arch(arch), 1, 0));
    (void)put(&c, RETURN(SECCOMP_RET_KILL_PROCESS));
    (void)put(&c, LOAD(AT_NR));
    if (arch == CALLS_X86_64) {
        (void)put(&c, IF(BPF_JGE, CALLS_X32_BIT, 0, 1));
        (void)put(&c, RETURN(SECCOMP_RET_KILL_PROCESS));
    }
    find_runs(role, profile, arch, &runs);
    put_tree(&c, profile, runs.run, runs.n);
    if (c.full)
        return err_set(err, RC_LAYER_MISSING, "seccomp filter is too long");
    ret->n = (unsigned short)c.n;
    ret->role = role;
    ret->arch = arch;
    digest(ret, ret->digest);
    return RC_OK;
}

/* There is one such call, and it has one number everywhere. */
#define QUIET(machine)                                                                             \
    {                                                                                              \
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),                   \
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, machine, 0, 3),                                    \
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),                 \
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 435 /* clone3 */, 0, 1),                           \
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),                                 \
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),                                          \
    }
#define QUIET_N 6U

const struct sock_filter *seccomp_quiet(size_t *ret_n, enum calls_arch arch)
{
    static const struct sock_filter quiet[CALLS_ARCHES][QUIET_N] = {
        [CALLS_X86_64] = QUIET(AUDIT_ARCH_X86_64),
        [CALLS_AARCH64] = QUIET(AUDIT_ARCH_AARCH64),
    };

    *ret_n = QUIET_N;
    return quiet[arch];
}

static int load(const struct sock_filter *code, size_t n, unsigned int flags)
{
    struct sock_fprog prog = { .len = (unsigned short)n,
                               .filter = (struct sock_filter *)(uintptr_t)code };

    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
}

int seccomp_apply(const struct seccomp_program *program)
{
    size_t n;
    const struct sock_filter *quiet = seccomp_quiet(&n, program->arch);

    if (program->role == SECCOMP_PAYLOAD && load(quiet, n, 0) != 0)
        return -1;
    return load(program->code, program->n, SECCOMP_FILTER_FLAG_LOG);
}
