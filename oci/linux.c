/* SPDX-License-Identifier: Apache-2.0
 *
 * The "linux" of a config.json.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "oci/parts.h"
#include "oci/state.h"
#include "oci/words.h"
#include "sandbox/plan.h"

/* ---- namespaces and ids --------------------------------------------------------------------- */

static const struct oci_word namespaces[] = {
    { "pid", 0 },  { "network", 1 }, { "mount", 2 }, { "ipc", 3 }, { "uts", 4 },
    { "user", 5 }, { "cgroup", 6 },  { "time", 7 },  { NULL, 0 },
};

/* Those whose absence means "the host's", and who would notice. */
static const char *const expected[] = { "pid", "network", "mount", "ipc", "uts" };

static enum rc read_namespaces(const json_t *value, struct oci_config *c, struct err *err)
{
    uint32_t seen = 0;

    if (value != NULL && !json_is_null(value) &&
        (!json_is_array(value) || json_array_size(value) > 16))
        return err_set(err, RC_OCI_FORMAT, "linux.namespaces");
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *one = json_array_get(value, i);
        const char *type = "";
        int64_t bit = 0;
        enum rc rc =
            oci_text(json_object_get(one, "type"), "linux.namespaces.type", 16, &type, err);

        if (rc != RC_OK)
            return rc;
        if (!oci_word(namespaces, type, &bit) || (seen & 1U << bit) != 0)
            return err_set(err, RC_OCI_FORMAT, "linux.namespaces: %.16s", type);
        seen |= 1U << bit;
        if (oci_none(json_object_get(one, "path"), "", NULL) != RC_OK)
            return err_set(err, RC_OCI_WANTS, "linux.namespaces: %.16s of another process", type);
    }
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        int64_t bit = 0;

        (void)oci_word(namespaces, expected[i], &bit);
        if ((seen & 1U << bit) == 0)
            oci_say(c, "linux.namespaces: a new %s namespace, not the host's", expected[i]);
    }
    return RC_OK;
}

static enum rc read_map(const json_t *value, const char *name, struct oci_map *ret, struct err *err)
{
    uint32_t inside = UINT32_MAX;
    struct oci_map map = { 0 };

    if (value == NULL || json_is_null(value) || json_array_size(value) == 0)
        return RC_OK;
    if (json_array_size(value) != 1)
        return err_set(err, RC_OCI_WANTS, "%s: more than one range", name);
    const json_t *one = json_array_get(value, 0);
    enum rc rc = oci_u32(json_object_get(one, "containerID"), name, UINT32_MAX - 1, &inside, err);
    if (rc == RC_OK)
        rc = oci_u32(json_object_get(one, "hostID"), name, UINT32_MAX - 1, &map.host, err);
    if (rc == RC_OK)
        rc = oci_u32(json_object_get(one, "size"), name, UINT32_MAX - 1, &map.count, err);
    if (rc != RC_OK)
        return rc;
    if (inside != 0)
        return err_set(err, RC_OCI_WANTS, "%s: a range that does not begin with 0", name);
    if (map.count == 0 || map.host < OCI_MAP_MIN || map.host > UINT32_MAX - map.count)
        return err_set(err, RC_OCI_WANTS, "%s: %u ids of the host from %u", name, map.count,
                       map.host);
    *ret = map;
    return RC_OK;
}

/* All that berthd's payloads and containers without a map of their own have: one range. */
static bool is_taken(const struct oci_map *map)
{
    static_assert(OCI_UID_BASE == PLAN_UID_BASE + PLAN_SLOTS * PLAN_UID_COUNT, "they touch");

    return map->host < OCI_UID_BASE + OCI_SLOTS * OCI_UID_COUNT &&
           map->host + map->count > PLAN_UID_BASE;
}

bool oci_map_read(const char *text, struct oci_map *ret)
{
    char *end = NULL;

    if (text[0] < '0' || text[0] > '9')
        return false;
    unsigned long long host = strtoull(text, &end, 10);
    if (*end != ':' || end[1] < '0' || end[1] > '9')
        return false;
    unsigned long long count = strtoull(end + 1, &end, 10);
    if (*end != '\0' || host < OCI_MAP_MIN || host > UINT32_MAX || count == 0 ||
        count > UINT32_MAX - host)
        return false;
    const struct oci_map map = { .host = (uint32_t)host, .count = (uint32_t)count };
    if (is_taken(&map))
        return false;
    *ret = map;
    return true;
}

static enum rc check_map(const struct oci_map *map, const char *name, const struct oci_map *given,
                         struct err *err)
{
    if (map->count == 0)
        return RC_OK;
    if (map->host < given->host || map->host - given->host > given->count ||
        map->count > given->count - (map->host - given->host) || is_taken(map))
        return err_set(err, RC_OCI_WANTS, "%s: %u ids of the host from %u, not in --ids", name,
                       map->count, map->host);
    return RC_OK;
}

enum rc oci_config_ids(const struct oci_config *config, const struct oci_map *given,
                       struct err *err)
{
    enum rc rc = check_map(&config->uids, "linux.uidMappings", given, err);

    if (rc == RC_OK)
        rc = check_map(&config->gids_map, "linux.gidMappings", given, err);
    for (size_t i = 0; rc == RC_OK && config->uids.count != 0 && i < config->n_devices; i++) {
        const struct oci_device *d = &config->devices[i];

        if (d->uid >= config->uids.count || d->gid >= config->gids_map.count)
            rc = err_set(err, RC_OCI_FORMAT, "linux.devices: %.60s of an id outside its range",
                         d->name);
    }
    return rc;
}

static enum rc read_uids(const json_t *value, struct oci_config *c, struct err *err)
{
    return read_map(value, "linux.uidMappings", &c->uids, err);
}

static enum rc read_gids(const json_t *value, struct oci_config *c, struct err *err)
{
    return read_map(value, "linux.gidMappings", &c->gids_map, err);
}

/* ---- files ---------------------------------------------------------------------------------- */

static enum rc read_paths(const json_t *value, const char *name, const char **ret, size_t *ret_n,
                          struct err *err)
{
    enum rc rc = oci_texts(value, name, OCI_PATH_MAX, OCI_PATHS_MAX, ret, ret_n, err);

    for (size_t i = 0; rc == RC_OK && i < *ret_n; i++) {
        if (!oci_path_valid(ret[i]))
            rc = err_set(err, RC_OCI_FORMAT, "%s: %.60s", name, ret[i]);
    }
    return rc;
}

static enum rc read_masked(const json_t *value, struct oci_config *c, struct err *err)
{
    return read_paths(value, "linux.maskedPaths", c->masked, &c->n_masked, err);
}

static enum rc read_readonly(const json_t *value, struct oci_config *c, struct err *err)
{
    return read_paths(value, "linux.readonlyPaths", c->readonly, &c->n_readonly, err);
}

static const struct oci_word device_types[] = {
    { "c", S_IFCHR }, { "u", S_IFCHR }, { "b", S_IFBLK }, { "p", S_IFIFO }, { NULL, 0 },
};

static enum rc read_device(const json_t *value, struct oci_config *c, struct err *err)
{
    static const char name[] = "linux.devices";
    struct oci_device d = { .mode = 0666 };
    const char *type = "";
    const char *path = "";
    int64_t number = 0;
    enum rc rc = oci_path(json_object_get(value, "path"), name, &path, err);

    if (rc == RC_OK)
        rc = oci_text(json_object_get(value, "type"), name, 2, &type, err);
    if (rc == RC_OK && !oci_word(device_types, type, &number))
        return err_set(err, RC_OCI_FORMAT, "linux.devices: type of %.60s", path);
    if (rc == RC_OK)
        rc = oci_u32(json_object_get(value, "major"), name, (1U << 12) - 1, &d.major, err);
    if (rc == RC_OK)
        rc = oci_u32(json_object_get(value, "minor"), name, (1U << 20) - 1, &d.minor, err);
    if (rc == RC_OK)
        rc = oci_u32(json_object_get(value, "fileMode"), name, 0777777, &d.mode, err);
    if (rc == RC_OK)
        rc = oci_u32(json_object_get(value, "uid"), name, 65535, &d.uid, err);
    if (rc == RC_OK)
        rc = oci_u32(json_object_get(value, "gid"), name, 65535, &d.gid, err);
    if (rc != RC_OK)
        return rc;
    if (strncmp(path, "/dev/", 5) != 0 || strchr(path + 5, '/') != NULL || strlen(path) > 64)
        return err_set(err, RC_OCI_WANTS, "linux.devices: %.60s", path);
    d.name = path + 5;
    d.type = (mode_t)number;
    d.mode &= 0777;
    if (d.type != S_IFIFO)
        oci_say(c, "linux.devices: /dev/%s can be seen, and not opened", d.name);
    c->devices[c->n_devices++] = d;
    return RC_OK;
}

static enum rc read_devices(const json_t *value, struct oci_config *c, struct err *err)
{
    return oci_each(value, "linux.devices", OCI_DEVICES_MAX, read_device, c, err);
}

static enum rc read_propagation(const json_t *value, struct oci_config *c, struct err *err)
{
    const char *text = "";
    enum rc rc = oci_text(value, "linux.rootfsPropagation", 16, &text, err);

    if (rc == RC_OK && text[0] != '\0' && strcmp(text, "private") != 0 &&
        strcmp(text, "rprivate") != 0)
        oci_say(c, "linux.rootfsPropagation is private, not %s", text);
    return rc;
}

static enum rc read_mount_label(const json_t *value, struct oci_config *c, struct err *err)
{
    const char *text = "";
    enum rc rc = oci_text(value, "linux.mountLabel", 256, &text, err);

    if (rc == RC_OK && text[0] != '\0')
        oci_say(c, "linux.mountLabel is left out: there are no labels here");
    return rc;
}

/* ---- settings of the kernel ----------------------------------------------------------------- */

/* Those that are of the container's own network and ipc namespace. */
static bool sysctl_allowed(const char *name)
{
    static const char *const own[] = { "net.", "kernel.shm", "kernel.msg", "fs.mqueue." };

    if (strlen(name) > 120 || strstr(name, "..") != NULL || strchr(name, '/') != NULL ||
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") !=
            strlen(name))
        return false;
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (strncmp(name, own[i], strlen(own[i])) == 0)
            return true;
    }
    return strcmp(name, "kernel.sem") == 0;
}

static enum rc read_sysctls(const json_t *value, struct oci_config *c, struct err *err)
{
    const char *name;
    json_t *one;

    if (value == NULL || json_is_null(value))
        return RC_OK;
    if (!json_is_object(value) || json_object_size(value) > OCI_SYSCTLS_MAX)
        return err_set(err, RC_OCI_FORMAT, "linux.sysctl");
    json_object_foreach((json_t *)(uintptr_t)value, name, one)
    {
        struct oci_sysctl s = { .name = name };

        if (!sysctl_allowed(name))
            return err_set(err, RC_OCI_WANTS, "linux.sysctl %.60s", name);
        enum rc rc = oci_text(one, "linux.sysctl", 256, &s.value, err);
        if (rc == RC_OK && s.value == NULL)
            rc = err_set(err, RC_OCI_FORMAT, "linux.sysctl %.60s", name);
        if (rc != RC_OK)
            return rc;
        c->sysctls[c->n_sysctls++] = s;
    }
    return RC_OK;
}

static enum rc read_seccomp(const json_t *value, struct oci_config *c, struct err *err)
{
    if (value == NULL || json_is_null(value))
        return RC_OK;
    if (!json_is_object(value))
        return err_set(err, RC_OCI_FORMAT, "linux.seccomp is no object");
    c->seccomp = value;
    return RC_OK;
}

static enum rc read_cgroup(const json_t *value, struct oci_config *c, struct err *err)
{
    /* Of containers that name none, and berthd's, also where it does not run just now. */
    static const char *const taken[] = { "/" OCI_CGROUP_PARENT, "/berth" };
    enum rc rc = oci_text(value, "linux.cgroupsPath", 255, &c->cgroup, err);
    const char *path = c->cgroup;
    char whole[260];

    if (rc != RC_OK || path[0] == '\0')
        return rc;
    (void)snprintf(whole, sizeof whole, "%s%s", path[0] == '/' ? "" : "/", path);
    if (!oci_path_valid(whole) || whole[1] == '\0')
        return err_set(err, RC_OCI_FORMAT, "linux.cgroupsPath: %.60s", path);
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        if (oci_path_within(taken[i], whole))
            return err_set(err, RC_OCI_WANTS, "linux.cgroupsPath: %.60s is not for it", taken[i]);
    }
    return RC_OK;
}

static enum rc refuse_rdt(const json_t *value, struct oci_config *c, struct err *err)
{
    (void)c;
    return oci_none(value, "linux.intelRdt", err);
}

static enum rc refuse_personality(const json_t *value, struct oci_config *c, struct err *err)
{
    const char *domain = "LINUX";
    enum rc rc =
        oci_text(json_object_get(value, "domain"), "linux.personality.domain", 16, &domain, err);

    (void)c;
    if (rc == RC_OK && strcmp(domain, "LINUX") != 0)
        rc = err_set(err, RC_OCI_WANTS, "linux.personality");
    return rc == RC_OK ? oci_none(json_object_get(value, "flags"), "linux.personality", err) : rc;
}

static enum rc refuse_net_devices(const json_t *value, struct oci_config *c, struct err *err)
{
    (void)c;
    return oci_none(value, "linux.netDevices", err);
}

static enum rc refuse_time_offsets(const json_t *value, struct oci_config *c, struct err *err)
{
    (void)c;
    return oci_none(value, "linux.timeOffsets", err);
}

static const struct oci_key linux_keys[] = {
    { "namespaces", read_namespaces },
    { "uidMappings", read_uids },
    { "gidMappings", read_gids },
    { "devices", read_devices },
    { "cgroupsPath", read_cgroup },
    { "resources", oci_read_resources },
    { "rootfsPropagation", read_propagation },
    { "maskedPaths", read_masked },
    { "readonlyPaths", read_readonly },
    { "mountLabel", read_mount_label },
    { "sysctl", read_sysctls },
    { "seccomp", read_seccomp },
    { "intelRdt", refuse_rdt },
    { "personality", refuse_personality },
    { "netDevices", refuse_net_devices },
    { "timeOffsets", refuse_time_offsets },
};

enum rc oci_read_linux(const json_t *value, struct oci_config *c, struct err *err)
{
    enum rc rc = OCI_KEYS(value, "linux", linux_keys, c, err);

    if (rc == RC_OK && (c->uids.count == 0) != (c->gids_map.count == 0))
        rc = err_set(err, RC_OCI_FORMAT, "linux: one of uidMappings and gidMappings alone");
    return rc;
}
