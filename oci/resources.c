/* SPDX-License-Identifier: Apache-2.0
 *
 * The "linux.resources" of a config.json.  A limit that is asked for and cannot be set refuses the
 * container: it would run without.
 */
#include <string.h>

#include "oci/parts.h"

#define MEMORY_MIN (4LL << 20) /* below it nothing can start */
#define PIDS_MAX 4194304LL

/* Limits say "none" by -1 (and pids by 0); that is what a missing one is. */
static enum rc read_limit(const json_t *value, const char *name, int64_t min, int64_t *ret,
                          struct err *err)
{
    int64_t number = -1;
    enum rc rc = oci_number(value, name, -1, INT64_MAX, &number, err);

    if (rc == RC_OK && number != -1 && number < min)
        return err_set(err, RC_OCI_WANTS, "%s of %lld", name, (long long)number);
    if (rc == RC_OK)
        *ret = number;
    return rc;
}

/* ---- memory --------------------------------------------------------------------------------- */

static enum rc read_memory_limit(const json_t *value, struct oci_config *c, struct err *err)
{
    return read_limit(value, "linux.resources.memory.limit", MEMORY_MIN, &c->limits.memory, err);
}

static enum rc read_reservation(const json_t *value, struct oci_config *c, struct err *err)
{
    return read_limit(value, "linux.resources.memory.reservation", 0, &c->limits.reservation, err);
}

static enum rc read_kernel_tcp(const json_t *value, struct oci_config *c, struct err *err)
{
    return read_limit(value, "linux.resources.memory.kernelTCP", 0, &c->limits.kernel_tcp, err);
}

static enum rc read_kernel(const json_t *value, struct oci_config *c, struct err *err)
{
    int64_t bytes = -1;
    enum rc rc = read_limit(value, "linux.resources.memory.kernel", 0, &bytes, err);

    if (rc == RC_OK && bytes != -1)
        oci_say(c,
                "linux.resources.memory.kernel is left out: kernels have no such limit any more");
    return rc;
}

static enum rc read_swap(const json_t *value, struct oci_config *c, struct err *err)
{
    int64_t bytes = -1;
    enum rc rc = read_limit(value, "linux.resources.memory.swap", 0, &bytes, err);

    if (rc == RC_OK && bytes != c->limits.memory && value != NULL)
        oci_say(c, "linux.resources.memory.swap: no container swaps");
    return rc;
}

static enum rc read_swappiness(const json_t *value, struct oci_config *c, struct err *err)
{
    return oci_number(value, "linux.resources.memory.swappiness", 0, 100, &c->limits.swappiness,
                      err);
}

static enum rc read_oom(const json_t *value, struct oci_config *c, struct err *err)
{
    return oci_bool(value, "linux.resources.memory.disableOOMKiller", &c->limits.no_oom_kill, err);
}

static const struct oci_key memory_keys[] = {
    { "limit", read_memory_limit },
    { "reservation", read_reservation },
    { "swap", read_swap },
    { "kernel", read_kernel },
    { "kernelTCP", read_kernel_tcp },
    { "swappiness", read_swappiness },
    { "disableOOMKiller", read_oom },
};

static enum rc read_memory(const json_t *value, struct oci_config *c, struct err *err)
{
    return OCI_KEYS(value, "linux.resources.memory", memory_keys, c, err);
}

/* ---- cpu ------------------------------------------------------------------------------------ */

static enum rc read_shares(const json_t *value, struct oci_config *c, struct err *err)
{
    return oci_number(value, "linux.resources.cpu.shares", 2, 262144, &c->limits.shares, err);
}

static enum rc read_quota(const json_t *value, struct oci_config *c, struct err *err)
{
    return read_limit(value, "linux.resources.cpu.quota", 1000, &c->limits.quota, err);
}

static enum rc read_period(const json_t *value, struct oci_config *c, struct err *err)
{
    return oci_number(value, "linux.resources.cpu.period", 1000, 1000000, &c->limits.period, err);
}

static enum rc read_list(const json_t *value, const char *name, const char **ret, struct err *err)
{
    enum rc rc = oci_text(value, name, 256, ret, err);

    if (rc == RC_OK && *ret != NULL && strspn(*ret, "0123456789-,") != strlen(*ret))
        return err_set(err, RC_OCI_FORMAT, "%s", name);
    if (rc == RC_OK && *ret != NULL && (*ret)[0] == '\0')
        *ret = NULL;
    return rc;
}

static enum rc read_cpus(const json_t *value, struct oci_config *c, struct err *err)
{
    return read_list(value, "linux.resources.cpu.cpus", &c->limits.cpus, err);
}

static enum rc read_mems(const json_t *value, struct oci_config *c, struct err *err)
{
    return read_list(value, "linux.resources.cpu.mems", &c->limits.mems, err);
}

static enum rc read_realtime(const json_t *value, struct oci_config *c, struct err *err)
{
    int64_t number = 0;
    enum rc rc = oci_number(value, "linux.resources.cpu.realtime", 0, INT64_MAX, &number, err);

    if (rc == RC_OK && number != 0)
        oci_say(c, "linux.resources.cpu: no container runs in real time");
    return rc;
}

static enum rc read_idle(const json_t *value, struct oci_config *c, struct err *err)
{
    int64_t idle = 0;

    (void)c;
    return oci_number(value, "linux.resources.cpu.idle", 0, 0, &idle, err);
}

static const struct oci_key cpu_keys[] = {
    { "idle", read_idle },
    { "shares", read_shares },
    { "quota", read_quota },
    { "period", read_period },
    { "cpus", read_cpus },
    { "mems", read_mems },
    { "realtimeRuntime", read_realtime },
    { "realtimePeriod", read_realtime },
};

static enum rc read_cpu(const json_t *value, struct oci_config *c, struct err *err)
{
    return OCI_KEYS(value, "linux.resources.cpu", cpu_keys, c, err);
}

/* ---- the others ----------------------------------------------------------------------------- */

static enum rc read_pids_limit(const json_t *value, struct oci_config *c, struct err *err)
{
    int64_t limit = -1;
    enum rc rc = oci_number(value, "linux.resources.pids.limit", -1, PIDS_MAX, &limit, err);

    if (rc == RC_OK && limit > 0)
        c->limits.pids = limit;
    return rc;
}

static const struct oci_key pids_keys[] = { { "limit", read_pids_limit } };

static enum rc read_pids(const json_t *value, struct oci_config *c, struct err *err)
{
    return OCI_KEYS(value, "linux.resources.pids", pids_keys, c, err);
}

/* A rule that forbids is no news: everything but the five is forbidden. */
static enum rc read_device_rule(const json_t *value, struct oci_config *c, struct err *err)
{
    const char *access = "";
    const char *type = "a";
    int64_t major = -1;
    int64_t minor = -1;
    bool allow = false;
    enum rc rc = oci_bool(json_object_get(value, "allow"), "linux.resources.devices", &allow, err);

    if (rc == RC_OK)
        rc = oci_text(json_object_get(value, "type"), "linux.resources.devices", 1, &type, err);
    if (rc == RC_OK)
        rc = oci_text(json_object_get(value, "access"), "linux.resources.devices", 3, &access, err);
    if (rc == RC_OK)
        rc = oci_number(json_object_get(value, "major"), "linux.resources.devices", -1, 4095,
                        &major, err);
    if (rc == RC_OK)
        rc = oci_number(json_object_get(value, "minor"), "linux.resources.devices", -1, 1048575,
                        &minor, err);
    if (rc == RC_OK && allow)
        oci_say(c, "linux.resources.devices: %s %lld:%lld is not allowed for it", type,
                (long long)major, (long long)minor);
    return rc;
}

static enum rc read_device_rules(const json_t *value, struct oci_config *c, struct err *err)
{
    return oci_each(value, "linux.resources.devices", 64, read_device_rule, c, err);
}

static enum rc refuse_block(const json_t *value, struct oci_config *c, struct err *err)
{
    (void)c;
    return oci_none(value, "linux.resources.blockIO", err);
}

static enum rc refuse_huge(const json_t *value, struct oci_config *c, struct err *err)
{
    (void)c;
    return oci_none(value, "linux.resources.hugepageLimits", err);
}

static enum rc refuse_network(const json_t *value, struct oci_config *c, struct err *err)
{
    (void)c;
    return oci_none(value, "linux.resources.network", err);
}

static enum rc refuse_rdma(const json_t *value, struct oci_config *c, struct err *err)
{
    (void)c;
    return oci_none(value, "linux.resources.rdma", err);
}

static enum rc refuse_unified(const json_t *value, struct oci_config *c, struct err *err)
{
    (void)c;
    return oci_none(value, "linux.resources.unified", err);
}

static const struct oci_key resource_keys[] = {
    { "memory", read_memory },     { "cpu", read_cpu },
    { "pids", read_pids },         { "devices", read_device_rules },
    { "blockIO", refuse_block },   { "hugepageLimits", refuse_huge },
    { "network", refuse_network }, { "rdma", refuse_rdma },
    { "unified", refuse_unified },
};

enum rc oci_read_resources(const json_t *value, struct oci_config *c, struct err *err)
{
    return OCI_KEYS(value, "linux.resources", resource_keys, c, err);
}
