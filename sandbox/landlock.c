/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the system's headers may be; numbers are kernel ABI. */
#define ACCESS_TRUNCATE (1ULL << 14)  /* ABI 3 */
#define ACCESS_IOCTL_DEV (1ULL << 15) /* ABI 5 */
#define SCOPE_ABSTRACT (1ULL << 0)    /* ABI 6 */
#define SCOPE_SIGNAL (1ULL << 1)      /* ABI 6 */

#define ACCESS_V1 ((1ULL << 13) - 1)
#define ACCESS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define ACCESS_NODES                                                                               \
    (LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK | ACCESS_IOCTL_DEV)

struct ruleset_attr {
    uint64_t fs;
    uint64_t net;
    uint64_t scoped;
};

int landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0UL, LANDLOCK_CREATE_RULESET_VERSION);

    return abi < 0 ? 0 : (int)abi;
}

static uint64_t handled(int abi)
{
    uint64_t access = ACCESS_V1;

    if (abi >= 2)
        access |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 3)
        access |= ACCESS_TRUNCATE;
    if (abi >= 5)
        access |= ACCESS_IOCTL_DEV;
    return access;
}

static int shut(const struct ruleset_attr *attr, size_t size)
{
    scoped(close_fd) int ruleset = (int)syscall(SYS_landlock_create_ruleset, attr, size, 0U);

    return ruleset < 0 ? -1 : (int)syscall(SYS_landlock_restrict_self, ruleset, 0U);
}

int landlock_shut_files(void)
{
    const struct ruleset_attr attr = { .fs = ACCESS_V1 };

    return shut(&attr, sizeof attr.fs);
}

int landlock_shut_scope(void)
{
    const struct ruleset_attr attr = { .scoped = SCOPE_ABSTRACT | SCOPE_SIGNAL };

    return shut(&attr, sizeof attr);
}

static int allow(int ruleset, const char *path, uint64_t access)
{
    scoped(close_fd) int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct landlock_path_beneath_attr rule = { .allowed_access = access, .parent_fd = dir };

    if (dir < 0)
        return -1;
    return (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0U);
}

static uint64_t access_of(const struct plan *plan, const struct plan_op *op, uint64_t all)
{
    /* A device that is granted is of little use without; which ones are allowed seccomp says. */
    uint64_t control = plan->n_devices > 0 ? ACCESS_IOCTL_DEV : 0;

    switch ((enum plan_op_type)op->type) {
    case PLAN_OP_ROOT:
        return ACCESS_READ | LANDLOCK_ACCESS_FS_EXECUTE;
    case PLAN_OP_SLOT: /* a guest's: its mount lets nothing here run it */
    case PLAN_OP_PROC: /* what can be set there (oom_score_adj) is not for the payload to set */
        return ACCESS_READ;
    case PLAN_OP_DEV:
        return (ACCESS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE | control) & all;
    case PLAN_OP_TMPFS:
    case PLAN_OP_DATA:
    case PLAN_OP_INBOX:
    case PLAN_OP_OUTBOX:
        return all & ~(ACCESS_NODES | LANDLOCK_ACCESS_FS_EXECUTE);
    case PLAN_OP_NONE:
    case PLAN_OP_TYPES:
        break;
    }
    return 0;
}

/* Older kernels know a shorter struct. */
static int new_ruleset(int abi)
{
    const struct ruleset_attr attr = {
        .fs = handled(abi),
        .scoped = abi >= 6 ? SCOPE_ABSTRACT | SCOPE_SIGNAL : 0,
    };

    return (int)syscall(SYS_landlock_create_ruleset, &attr, abi >= 6 ? sizeof attr : sizeof attr.fs,
                        0U);
}

int landlock_apply(const struct plan *plan, int abi)
{
    scoped(close_fd) int ruleset = new_ruleset(abi);

    if (ruleset < 0)
        return -1;
    for (uint32_t i = 0; i < plan->n_ops; i++) {
        if (allow(ruleset, plan->ops[i].path, access_of(plan, &plan->ops[i], handled(abi))) != 0)
            return -1;
    }
    return (int)syscall(SYS_landlock_restrict_self, ruleset, 0U);
}

int landlock_apply_tree(bool writable, const char *const *also, size_t n, int abi)
{
    uint64_t all = handled(abi);
    uint64_t change = all & ~ACCESS_NODES;
    scoped(close_fd) int ruleset = new_ruleset(abi);

    if (ruleset < 0 ||
        allow(ruleset, "/", writable ? change : (ACCESS_READ | LANDLOCK_ACCESS_FS_EXECUTE) & all) !=
            0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (allow(ruleset, also[i], change) != 0)
            return -1;
    }
    return (int)syscall(SYS_landlock_restrict_self, ruleset, 0U);
}
