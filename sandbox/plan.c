/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/plan.h"

#include <stdarg.h>

#include "base/name.h"
#include "manifest/doc.h"
#include "sandbox/rules.h"

#define TMP_INODES_MIN 64U
#define TMP_INODES_MAX 16384U
#define RUN_INODES 64U
#define PLAN_SHARE_MEMORY_MAX (PLAN_MEMORY_MAX * PAYLOADS_MAX)
#define PLAN_SHARE_CPU_MAX (PLAN_CPU_MAX * PAYLOADS_MAX)
#define PLAN_SHARE_PIDS_MAX (PLAN_PIDS_MAX * PAYLOADS_MAX)

static_assert(PLAN_UID_BASE + (uint64_t)PLAN_SLOTS * PLAN_UID_COUNT < UINT32_MAX,
              "every id range is a range of valid ids");
static_assert(sizeof(struct plan_share) == 3 * 8 + 2 * 4, "no padding");
static_assert((uint32_t)CALLS_NET == PROFILE_NET && (uint32_t)CALLS_DEVICE == PROFILE_DEVICE &&
                  (uint32_t)CALLS_POSIX_LEGACY == PROFILE_LEGACY &&
                  (uint32_t)CALLS_ALL == PROFILE_ALL,
              "bits of documents are bits of profiles");
static_assert((int)PLAN_NETWORK_HOST == (int)NETWORK_HOST && (int)PLAN_NETWORKS == (int)NETWORKS,
              "numbers of the manifest");
static_assert(PLAN_DEVICES_MAX >= MANIFEST_DEVICES_MAX, "every device of a manifest");
static_assert(PLAN_UID < PLAN_UID_COUNT, "the payload's id lies in its range");
static_assert(sizeof(struct plan_limits) == 11 * 8 + 6 * 4,
              "no padding: plans are compared as bytes");

/* One limit: what is wanted, what is possible, what is granted. */
struct limit {
    const char *name;
    uint64_t value;
    uint64_t min;
    uint64_t max;
    uint64_t granted;
};

static bool text_ends(const char *text, size_t cap)
{
    return memchr(text, '\0', cap) != NULL;
}

/* ---- paths and environment ------------------------------------------------------------------ */

/* Directories that the sandbox itself fills: no program can come from there. */
static const char *const own_dirs[] = { "/proc", "/dev",   "/tmp",   "/run",
                                        "/data", "/inbox", "/outbox" };

static bool path_below(const char *path, const char *dir)
{
    size_t n = strlen(dir);

    return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* Absolute, in its one shortest form: no empty, "." or ".." component. */
static bool path_plain(const char *path)
{
    if (path[0] != '/' || path[1] == '\0')
        return false;
    for (const char *at = path; *at != '\0';) {
        const char *name = at + 1;
        size_t n = strcspn(name, "/");

        if (n == 0 || (n == 1 && name[0] == '.') || (n == 2 && name[0] == '.' && name[1] == '.'))
            return false;
        at = name + n;
    }
    return true;
}

static bool program_allowed(const char *path)
{
    if (!path_plain(path))
        return false;
    for (size_t i = 0; i < sizeof own_dirs / sizeof own_dirs[0]; i++) {
        if (path_below(path, own_dirs[i]))
            return false;
    }
    return true;
}

static bool env_names(const char *line, const char *name)
{
    size_t n = strlen(name);

    return strncmp(line, name, n) == 0 && line[n] == '=';
}

/* [A-Za-z_][A-Za-z0-9_]*=anything */
static bool env_valid(const char *line)
{
    size_t n = strspn(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");

    return n > 0 && line[n] == '=' && !(line[0] >= '0' && line[0] <= '9');
}

/* Names that the sandbox sets: a payload that set them itself would lie to its own libraries. */
static bool env_reserved(const char *line)
{
    return env_names(line, "NOTIFY_SOCKET") || env_names(line, "WATCHDOG_USEC") ||
           env_names(line, "WATCHDOG_PID") || strncmp(line, "BERTH_", 6) == 0;
}

/* ---- making --------------------------------------------------------------------------------- */

static enum rc check_limit(const struct limit *l, struct err *err)
{
    if (l->value < l->min || l->value > l->max)
        return err_set(err, RC_PLAN_LIMIT, "%s %llu", l->name, (unsigned long long)l->value);
    if (l->value > l->granted)
        return err_set(err, RC_PLAN_LIMIT, "%s %llu above grant %llu", l->name,
                       (unsigned long long)l->value, (unsigned long long)l->granted);
    return RC_OK;
}

/* Where 0 stands for "none". */
static struct limit limit_or_none(const char *name, uint64_t value, uint64_t min, uint64_t max)
{
    return (struct limit){ name, value, value == 0 ? 0 : min, max, UINT64_MAX };
}

static enum rc check_limits(const struct resources *want, const struct resources *granted,
                            struct err *err)
{
    const struct limit limits[] = {
        { "memory_bytes", want->memory_bytes, PLAN_MEMORY_MIN, PLAN_MEMORY_MAX,
          granted->memory_bytes },
        { "tmp_bytes", want->tmp_bytes, PLAN_TMP_MIN, want->memory_bytes / 2, granted->tmp_bytes },
        { "data_bytes", want->data_bytes, want->data_bytes == 0 ? 0 : PLAN_DATA_MIN, PLAN_DATA_MAX,
          granted->data_bytes },
        { "inbox_bytes", want->inbox_bytes, want->inbox_bytes == 0 ? 0 : PLAN_MAIL_MIN,
          PLAN_MAIL_MAX, granted->inbox_bytes },
        { "outbox_bytes", want->outbox_bytes, want->outbox_bytes == 0 ? 0 : PLAN_MAIL_MIN,
          PLAN_MAIL_MAX, granted->outbox_bytes },
        { "cpu_permille", want->cpu_permille, PLAN_CPU_MIN, PLAN_CPU_MAX, granted->cpu_permille },
        { "pids", want->pids, PLAN_PIDS_MIN - 1, PLAN_PIDS_MAX - 1, granted->pids },
        { "open_files", want->open_files, PLAN_FILES_MIN, PLAN_FILES_MAX, granted->open_files },
        limit_or_none("file_bytes", want->file_bytes, 1, PLAN_FILE_MAX),
        limit_or_none("tmp_files", want->tmp_files, 1, PLAN_TMP_FILES_MAX),
        { "shm_bytes", want->shm_bytes, want->shm_bytes == 0 ? 0 : PLAN_SHM_MIN,
          want->memory_bytes / 2, granted->shm_bytes },
        { "core_bytes", want->core_bytes, want->core_bytes == 0 ? 0 : PLAN_CORE_MIN,
          want->data_bytes, granted->core_bytes },
    };

    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        enum rc rc = check_limit(&limits[i], err);

        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

/* What a manifest may ask for and no virtual machine here gives: refused, never passed over.
 * Whoever builds it removes its line. */
static const char *not_built(const struct manifest *m)
{
    const bool solo5 = m->image == IMAGE_SOLO5;
    const struct {
        const char *field;
        bool asked;
    } rows[] = {
        { "isolation: vm with network", m->network != NETWORK_NONE },
        { "isolation: vm with devices", m->n_devices != 0 && !solo5 },
        { "format: solo5 with inbox or outbox",
          solo5 && (m->limits.inbox_bytes != 0 || m->limits.outbox_bytes != 0) },
        { "isolation: vm with env", m->n_env != 0 },
        { "isolation: vm with core", m->limits.core_bytes != 0 },
        { "format: solo5 with health: notify", solo5 && m->health.type == HEALTH_NOTIFY },
        { "format: solo5 with watchdog", solo5 && m->health.watchdog_ms != 0 },
    };

    if (m->isolation != ISOLATION_VM)
        return NULL;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].asked)
            return rows[i].field;
    return NULL;
}

static void add_op(struct plan *plan, enum plan_op_type type, const char *path, uint64_t bytes,
                   uint32_t inodes)
{
    assert(plan->n_ops < PLAN_OPS_MAX);
    struct plan_op *op = &plan->ops[plan->n_ops++];

    assert(strlen(path) < sizeof op->path);
    op->type = type;
    op->bytes = bytes;
    op->inodes = inodes;
    memcpy(op->path, path, strlen(path) + 1);
}

uint32_t plan_uid(const struct plan *plan)
{
    return plan->inner_root != 0 ? 0 : PLAN_UID;
}

/* In blocks of 1 KiB the journal takes a MiB, and inodes and tables less than a part in 16. */
uint64_t plan_mail_image(uint64_t inbox_bytes, uint64_t outbox_bytes)
{
    const uint64_t mib = 1024U * 1024U;
    const uint64_t bytes = inbox_bytes + outbox_bytes;

    return bytes == 0 ? 0 : (bytes + bytes / 16 + 2 * mib + mib - 1) / mib * mib;
}

static uint32_t wants_mail(const struct plan_limits *limits)
{
    return limits->inbox_bytes != 0 || limits->outbox_bytes != 0 ? 1 : 0;
}

/* From the size; with `files` so many, and one that is the directory itself. */
static uint32_t inodes_of(uint64_t bytes, uint32_t files)
{
    uint64_t inodes = bytes / 4096;

    if (files != 0)
        return files + 1;
    if (inodes < TMP_INODES_MIN)
        inodes = TMP_INODES_MIN;
    return inodes < TMP_INODES_MAX ? (uint32_t)inodes : TMP_INODES_MAX;
}

/* The file tree follows from the limits alone, so the launcher can make it again and compare. */
void plan_fill_ops(struct plan *plan)
{

    plan->n_ops = 0;
    memset(plan->ops, 0, sizeof plan->ops);
    add_op(plan, PLAN_OP_ROOT, "/", 0, 0);
    add_op(plan, PLAN_OP_PROC, "/proc", 0, 0);
    add_op(plan, PLAN_OP_DEV, "/dev", 0, 0);
    add_op(plan, PLAN_OP_TMPFS, "/tmp", plan->limits.tmp_bytes,
           inodes_of(plan->limits.tmp_bytes, plan->limits.tmp_files));
    if (plan->limits.shm_bytes != 0)
        add_op(plan, PLAN_OP_TMPFS, PLAN_SHM_PATH, plan->limits.shm_bytes,
               inodes_of(plan->limits.shm_bytes, 0));
    add_op(plan, PLAN_OP_TMPFS, "/run", PLAN_RUN_BYTES, RUN_INODES);
    if (plan->vm != PLAN_VM_NONE)
        add_op(plan, PLAN_OP_SLOT, PLAN_SLOT_PATH, 0, 0);
    if (plan->has_data != 0)
        add_op(plan, PLAN_OP_DATA, "/data", plan->limits.data_bytes, 0);
    if (plan->limits.inbox_bytes != 0)
        add_op(plan, PLAN_OP_INBOX, PLAN_INBOX_PATH, plan->limits.inbox_bytes, 0);
    if (plan->limits.outbox_bytes != 0)
        add_op(plan, PLAN_OP_OUTBOX, PLAN_OUTBOX_PATH, plan->limits.outbox_bytes, 0);
}

/* Set one variable unless the payload's own list has it. */
static void __attribute__((format(printf, 3, 4)))
add_env(struct plan *plan, const char *name, const char *fmt, ...)
{
    for (uint32_t i = 0; i < plan->n_env; i++) {
        if (env_names(plan->env[i], name))
            return;
    }
    assert(plan->n_env < PLAN_ENV_MAX);
    char *line = plan->env[plan->n_env++];
    int n = snprintf(line, PAYLOAD_ARG_CAP, "%s=", name);
    va_list args;

    va_start(args, fmt);
    n += vsnprintf(line + n, PAYLOAD_ARG_CAP - (size_t)n, fmt, args);
    va_end(args);
    assert(n > 0 && (size_t)n < PAYLOAD_ARG_CAP);
}

static enum rc fill_command(const struct manifest *m, struct plan *plan, struct err *err)
{
    if (m->n_args == 0 || m->n_args > PAYLOAD_ARGS_MAX || m->n_env > PAYLOAD_ENV_MAX)
        return err_set(err, RC_PLAN_LIMIT, "%u args, %u env", m->n_args, m->n_env);
    if (!text_ends(m->args[0], sizeof m->args[0]) || !program_allowed(m->args[0]))
        return err_set(err, RC_PLAN_PATH, "args[0] %.64s", m->args[0]);

    for (uint32_t i = 0; i < m->n_args; i++) {
        if (!text_ends(m->args[i], sizeof m->args[i]))
            return err_set(err, RC_PLAN_PATH, "args[%u]", i);
        (void)snprintf(plan->args[i], sizeof plan->args[i], "%s", m->args[i]);
    }
    for (uint32_t i = 0; i < m->n_env; i++) {
        if (!text_ends(m->env[i], sizeof m->env[i]) || !env_valid(m->env[i]) ||
            env_reserved(m->env[i]))
            return err_set(err, RC_PLAN_PATH, "env[%u] %.64s", i, m->env[i]);
        (void)snprintf(plan->env[i], sizeof plan->env[i], "%s", m->env[i]);
    }
    plan->n_args = m->n_args;
    plan->n_env = m->n_env;

    add_env(plan, "PATH", "/usr/local/bin:/usr/bin:/bin");
    add_env(plan, "HOME", "%s", plan->has_data != 0 ? "/data" : "/tmp");
    add_env(plan, "NOTIFY_SOCKET", "%s", PLAN_NOTIFY_PATH);
    add_env(plan, "BERTH_BUS", "%s", PLAN_BUS_PATH);
    add_env(plan, "BERTH_TENANT", "%s", plan->tenant);
    add_env(plan, "BERTH_PAYLOAD", "%s", plan->name);
    if (plan->watchdog_ms != 0)
        add_env(plan, "WATCHDOG_USEC", "%llu", (unsigned long long)plan->watchdog_ms * 1000);
    return RC_OK;
}

static bool listed(const char (*list)[NAME_CAP], uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++) {
        if (strcmp(list[i], name) == 0)
            return true;
    }
    return false;
}

/* What of the things that this plan carries the grant does not have; NULL if it has all.  The
 * manifest was held against its grant before: here is where it counts. */
static const char *beyond_grant(const struct manifest *m, const struct allowance *may)
{
    if ((m->calls & ~may->calls) != 0)
        return "calls";
    if (m->isolation == ISOLATION_VM && !may->vm)
        return "isolation";
    if (m->inner_root && !may->inner_root)
        return "inner-root";
    if (m->network != NETWORK_NONE && (may->networks & 1U << (uint32_t)m->network) == 0)
        return "network";
    if (m->network == NETWORK_HOST && !listed(may->interface, may->n_interfaces, m->interface))
        return "interface";
    if (may->net_bps != 0 && m->net_bps > may->net_bps)
        return "net-rate";
    for (uint32_t i = 0; i < m->n_devices; i++) {
        if (!listed(may->device, may->n_devices, m->device[i]))
            return "devices";
    }
    return NULL;
}

static uint64_t at_most(uint64_t value, uint64_t max)
{
    return value < max ? value : max;
}

/* What a grant has beyond what the kernel can be told bounds nothing. */
static struct plan_share share_of(const struct grant *grant)
{
    const struct resources *total = &grant->total;
    uint64_t reapers = grant->payloads_max > 0 ? grant->payloads_max : 1;
    uint64_t pids = total->pids + reapers;

    return (struct plan_share){
        .memory_bytes = at_most(total->memory_bytes, PLAN_SHARE_MEMORY_MAX),
        .cpu_permille = (uint32_t)at_most(total->cpu_permille, PLAN_SHARE_CPU_MAX),
        .pids = (uint32_t)at_most(pids, PLAN_SHARE_PIDS_MAX),
        .io_read_bps = at_most(total->io_read_bps, PLAN_IO_MAX),
        .io_write_bps = at_most(total->io_write_bps, PLAN_IO_MAX),
    };
}

/* What of the host it is given by name, and its network. */
static enum rc fill_grants(const struct manifest *m, const struct allowance *may, struct plan *plan,
                           struct err *err)
{
    if (m->n_devices > PLAN_DEVICES_MAX)
        return err_set(err, RC_PLAN_LIMIT, "%u devices", m->n_devices);
    if (strlen(m->interface) >= sizeof plan->interface)
        return err_set(err, RC_PLAN_LIMIT, "interface %s", m->interface);
    plan->n_devices = m->n_devices;
    for (uint32_t i = 0; i < m->n_devices; i++)
        (void)snprintf(plan->device[i], sizeof plan->device[i], "%s", m->device[i]);
    plan->network = (uint32_t)m->network;
    plan->net_bps = m->net_bps != 0 ? m->net_bps : may->net_bps; /* the grant bounds it anyway */
    memcpy(plan->interface, m->interface, strlen(m->interface));
    return RC_OK;
}

static uint32_t vm_of(const struct manifest *m)
{
    if (m->isolation != ISOLATION_VM)
        return PLAN_VM_NONE;
    return m->image == IMAGE_SOLO5 ? PLAN_VM_SOLO5 : PLAN_VM_QEMU;
}

enum rc plan_make(const struct manifest *m, const struct grant *grant, uint32_t slot, bool has_data,
                  struct plan *ret, struct err *err)
{
    struct plan plan = { .magic = PLAN_MAGIC, .slot = slot };
    const char *missing = not_built(m);

    if (slot >= PLAN_SLOTS)
        return err_set(err, RC_PLAN_LIMIT, "id range %u of %u", slot, PLAN_SLOTS);
    if (!name_valid(m->tenant) || !name_valid(m->name))
        return err_set(err, RC_NAME, "tenant or payload");
    if (strcmp(m->tenant, grant->tenant) != 0)
        return err_set(err, RC_GRANT_MISSING, "%s", m->tenant);
    if (has_data != (m->limits.data_bytes != 0))
        return err_set(err, RC_PLAN_LIMIT, "data image %s, data_bytes %llu",
                       has_data ? "yes" : "no", (unsigned long long)m->limits.data_bytes);

    enum rc rc = check_limits(&m->limits, &grant->total, err);
    const char *beyond = beyond_grant(m, &grant->may);
    if (rc == RC_OK && beyond != NULL)
        rc = err_set(err, RC_GRANT_EXCEEDED, "%s", beyond);
    if (rc == RC_OK && missing)
        rc = err_set(err, RC_NOT_BUILT, "%s", missing);
    if (rc != RC_OK)
        return rc;

    (void)snprintf(plan.tenant, sizeof plan.tenant, "%s", m->tenant);
    (void)snprintf(plan.name, sizeof plan.name, "%s", m->name);
    (void)snprintf(plan.hostname, sizeof plan.hostname, "%s", m->name);
    plan.uid_base = PLAN_UID_BASE + slot * PLAN_UID_COUNT;
    plan.has_data = has_data ? 1 : 0;
    plan.watchdog_ms = m->health.watchdog_ms;
    plan.calls = m->calls;
    plan.inner_root = m->inner_root ? 1 : 0;
    plan.vm = vm_of(m);
    plan.limits = (struct plan_limits){
        .memory_bytes = m->limits.memory_bytes,
        .tmp_bytes = m->limits.tmp_bytes,
        .data_bytes = m->limits.data_bytes,
        .inbox_bytes = m->limits.inbox_bytes,
        .outbox_bytes = m->limits.outbox_bytes,
        .cpu_permille = m->limits.cpu_permille,
        .pids = m->limits.pids + 1, /* the reaper is ours, not the tenant's */
        .open_files = m->limits.open_files,
        .memory_high_bytes = m->limits.memory_high_bytes,
        .io_read_bps = m->limits.io_read_bps,
        .io_write_bps = m->limits.io_write_bps,
        .file_bytes = m->limits.file_bytes,
        .shm_bytes = m->limits.shm_bytes,
        .core_bytes = m->limits.core_bytes,
        .tmp_files = m->limits.tmp_files,
        .cpu_weight = m->limits.cpu_weight != 0 ? m->limits.cpu_weight : PLAN_WEIGHT,
        .io_weight = m->limits.io_weight != 0 ? m->limits.io_weight : PLAN_WEIGHT,
    };
    plan.has_mail = wants_mail(&plan.limits);
    plan.share = share_of(grant);
    plan_fill_ops(&plan);
    rc = fill_grants(m, &grant->may, &plan, err);
    if (rc == RC_OK)
        rc = fill_command(m, &plan, err);
    if (rc != RC_OK)
        return rc;

    /* What is sent is checked by the same rules as what is received. */
    rc = plan_check(&plan, err);
    if (rc == RC_OK)
        *ret = plan;
    return rc;
}

/* ---- checking ------------------------------------------------------------------------------- */

static enum rc check_command(const struct plan *p, struct err *err)
{
    if (p->n_args == 0 || p->n_args > PAYLOAD_ARGS_MAX || p->n_env > PLAN_ENV_MAX)
        return err_set(err, RC_LAUNCH_REQUEST, "%u args, %u env", p->n_args, p->n_env);
    for (uint32_t i = 0; i < p->n_args; i++) {
        if (!text_ends(p->args[i], sizeof p->args[i]))
            return err_set(err, RC_LAUNCH_REQUEST, "args[%u]", i);
    }
    for (uint32_t i = 0; i < p->n_env; i++) {
        if (!text_ends(p->env[i], sizeof p->env[i]) || !env_valid(p->env[i]))
            return err_set(err, RC_LAUNCH_REQUEST, "env[%u]", i);
    }
    if (!program_allowed(p->args[0]))
        return err_set(err, RC_PLAN_PATH, "%.64s", p->args[0]);
    return RC_OK;
}

static enum rc check_ops(const struct plan *p, struct err *err)
{
    struct plan want = { .limits = p->limits, .has_data = p->has_data, .vm = p->vm };

    plan_fill_ops(&want);
    if (p->n_ops != want.n_ops || memcmp(p->ops, want.ops, sizeof want.ops) != 0)
        return err_set(err, RC_PLAN_PATH, "operations differ from the limits");
    return RC_OK;
}

/* A share holds what is in it, and is not more than the kernel can be told. */
static enum rc check_share(const struct plan_limits *l, const struct plan_share *share,
                           struct err *err)
{
    const struct limit limits[] = {
        { "memory_bytes of the tenant", share->memory_bytes, l->memory_bytes, PLAN_SHARE_MEMORY_MAX,
          UINT64_MAX },
        { "cpu_permille of the tenant", share->cpu_permille, l->cpu_permille, PLAN_SHARE_CPU_MAX,
          UINT64_MAX },
        { "pids of the tenant", share->pids, l->pids, PLAN_SHARE_PIDS_MAX, UINT64_MAX },
        limit_or_none("io_read_bps of the tenant", share->io_read_bps, l->io_read_bps, PLAN_IO_MAX),
        limit_or_none("io_write_bps of the tenant", share->io_write_bps, l->io_write_bps,
                      PLAN_IO_MAX),
    };
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < sizeof limits / sizeof limits[0]; i++)
        rc = check_limit(&limits[i], err);
    return rc;
}

static enum rc check_rates(const struct plan_limits *l, struct err *err)
{
    const struct limit limits[] = {
        limit_or_none("memory_high_bytes", l->memory_high_bytes, PLAN_MEMORY_MIN, l->memory_bytes),
        limit_or_none("io_read_bps", l->io_read_bps, PLAN_IO_MIN, PLAN_IO_MAX),
        limit_or_none("io_write_bps", l->io_write_bps, PLAN_IO_MIN, PLAN_IO_MAX),
        { "cpu_weight", l->cpu_weight, 1, PLAN_CPU_WEIGHT_MAX, UINT64_MAX },
        { "io_weight", l->io_weight, 1, PLAN_IO_WEIGHT_MAX, UINT64_MAX },
    };
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < sizeof limits / sizeof limits[0]; i++)
        rc = check_limit(&limits[i], err);
    return rc;
}

enum rc plan_check_limits(const struct plan_limits *l, const struct plan_share *share,
                          struct err *err)
{
    const struct resources limits = {
        .memory_bytes = l->memory_bytes,
        .data_bytes = l->data_bytes,
        .inbox_bytes = l->inbox_bytes,
        .outbox_bytes = l->outbox_bytes,
        .tmp_bytes = l->tmp_bytes,
        .cpu_permille = l->cpu_permille,
        .pids = l->pids - 1,
        .open_files = l->open_files,
        .file_bytes = l->file_bytes,
        .shm_bytes = l->shm_bytes,
        .core_bytes = l->core_bytes,
        .tmp_files = l->tmp_files,
    };
    enum rc rc = check_limits(&limits, &limits, err);

    if (rc == RC_OK)
        rc = check_rates(l, err);
    return rc == RC_OK ? check_share(l, share, err) : rc;
}

bool plan_limits_live(const struct plan_limits *running, const struct plan_limits *wanted)
{
    struct plan_limits same = *running;

    same.memory_bytes = wanted->memory_bytes;
    same.memory_high_bytes = wanted->memory_high_bytes;
    same.io_read_bps = wanted->io_read_bps;
    same.io_write_bps = wanted->io_write_bps;
    same.cpu_permille = wanted->cpu_permille;
    same.cpu_weight = wanted->cpu_weight;
    same.io_weight = wanted->io_weight;
    same.pids = wanted->pids;
    return memcmp(&same, wanted, sizeof same) == 0;
}

static enum rc check_devices(const struct plan *p, struct err *err)
{
    static const char none[NAME_CAP];

    if (p->n_devices > PLAN_DEVICES_MAX)
        return err_set(err, RC_LAUNCH_REQUEST, "%u devices", p->n_devices);
    for (uint32_t i = 0; i < PLAN_DEVICES_MAX; i++) {
        const char *name = p->device[i];
        bool good = i < p->n_devices ? text_ends(name, NAME_CAP) && name_valid(name)
                                     : memcmp(name, none, NAME_CAP) == 0;

        for (uint32_t k = 0; good && i < p->n_devices && k < i; k++)
            good = strcmp(name, p->device[k]) != 0;
        if (!good)
            return err_set(err, RC_LAUNCH_REQUEST, "device %u", i);
    }
    return RC_OK;
}

static enum rc check_network(const struct plan *p, struct err *err)
{
    bool named = p->interface[0] != '\0';

    if (p->network >= PLAN_NETWORKS || !text_ends(p->interface, sizeof p->interface) ||
        named != (p->network == PLAN_NETWORK_HOST))
        return err_set(err, RC_LAUNCH_REQUEST, "network %u", p->network);
    if (p->net_bps != 0 && (p->net_bps < PLAN_NET_MIN || p->net_bps > PLAN_NET_MAX))
        return err_set(err, RC_PLAN_LIMIT, "net_bps %llu", (unsigned long long)p->net_bps);
    return RC_OK;
}

/* A tender is given the name of a file as it is: what could mean something to one is in none. */
static bool file_plain(const char *path)
{
    return program_allowed(path) && path[strspn(path, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                      "abcdefghijklmnopqrstuvwxyz"
                                                      "0123456789._+-/")] == '\0';
}

/* What a tender needs to work in, and what a guest cannot have. */
static enum rc check_vm(const struct plan *p, struct err *err)
{
    const struct plan_limits *l = &p->limits;
    const bool qemu = p->vm == PLAN_VM_QEMU;
    const struct limit limits[] = {
        { "memory_bytes of a vm", l->memory_bytes, PLAN_VM_MEMORY_MIN, UINT64_MAX, UINT64_MAX },
        limit_or_none("data_bytes of a vm", l->data_bytes, PLAN_VM_DATA_MIN, UINT64_MAX),
        limit_or_none("file_bytes of a vm", l->file_bytes, l->data_bytes, UINT64_MAX),
        { "pids of a vm", l->pids, PLAN_VM_PIDS_MIN + (qemu ? 1U : 0U), UINT64_MAX, UINT64_MAX },
        { "open_files of a vm", l->open_files, PLAN_VM_FILES_MIN, UINT64_MAX, UINT64_MAX },
    };
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < sizeof limits / sizeof limits[0]; i++)
        rc = check_limit(&limits[i], err);
    if (rc != RC_OK)
        return rc;
    if (p->network != PLAN_NETWORK_NONE || l->core_bytes != 0 || (qemu && p->n_devices != 0) ||
        (!qemu && (p->has_mail != 0 || p->watchdog_ms != 0)))
        return err_set(err, RC_LAUNCH_REQUEST, "more than a vm has");
    for (uint32_t i = 0; i < (qemu ? p->n_args : 1); i++) {
        if (i > 1 || !file_plain(p->args[i]))
            return err_set(err, RC_PLAN_PATH, "args[%u] of a vm: %.64s", i, p->args[i]);
    }
    return RC_OK;
}

enum rc plan_check(const struct plan *p, struct err *err)
{
    if (p->magic != PLAN_MAGIC || p->reserved[0] != 0 || p->has_data > 1 || p->inner_root > 1 ||
        p->vm >= PLAN_VMS)
        return err_set(err, RC_LAUNCH_REQUEST, "head");
    if ((p->calls & ~PROFILE_ALL) != 0)
        return err_set(err, RC_LAUNCH_REQUEST, "calls %u", p->calls);
    if (!text_ends(p->tenant, sizeof p->tenant) || !name_valid(p->tenant) ||
        !text_ends(p->name, sizeof p->name) || !name_valid(p->name) ||
        !text_ends(p->hostname, sizeof p->hostname) || !name_valid(p->hostname))
        return err_set(err, RC_LAUNCH_REQUEST, "names");
    if (p->slot >= PLAN_SLOTS || p->uid_base != PLAN_UID_BASE + p->slot * PLAN_UID_COUNT)
        return err_set(err, RC_LAUNCH_REQUEST, "id range %u", p->uid_base);
    if (p->has_data != (p->limits.data_bytes != 0 ? 1U : 0U))
        return err_set(err, RC_LAUNCH_REQUEST, "data");
    if (p->has_mail != wants_mail(&p->limits))
        return err_set(err, RC_LAUNCH_REQUEST, "mail");

    enum rc rc = plan_check_limits(&p->limits, &p->share, err);
    if (rc == RC_OK)
        rc = check_devices(p, err);
    if (rc == RC_OK)
        rc = check_network(p, err);
    if (rc == RC_OK)
        rc = check_ops(p, err);
    if (rc == RC_OK)
        rc = check_command(p, err);
    if (rc == RC_OK && p->vm != PLAN_VM_NONE)
        rc = check_vm(p, err);
    return rc;
}
