/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/payload.h"

#include <sys/utsname.h>

#include "base/name.h"

#define BYTES_MAX (UINT64_C(1) << 40)
#define DAY_MS UINT64_C(86400000)

void resources_read(struct yaml_in *r, const struct yaml_node *map, struct resources *ret)
{
    ret->memory_bytes = yaml_size(r, map, "memory", YAML_NEEDED, 1, BYTES_MAX);
    ret->data_bytes = yaml_size(r, map, "data", 0, 0, BYTES_MAX);
    ret->tmp_bytes = yaml_size(r, map, "tmp", ret->memory_bytes / 8, 0, BYTES_MAX);
    ret->cpu_permille = (uint32_t)yaml_share(r, map, "cpu", YAML_NEEDED, 1, 1000000);
    ret->pids = (uint32_t)yaml_uint(r, map, "pids", YAML_NEEDED, 1, 1U << 20);
    ret->open_files = (uint32_t)yaml_uint(r, map, "files", 64, 1, 1U << 20);
    ret->memory_high_bytes = yaml_size(r, map, "memory-high", 0, 1, BYTES_MAX);
    ret->cpu_weight = (uint32_t)yaml_uint(r, map, "cpu-weight", 0, 1, 10000);
    ret->io_weight = (uint32_t)yaml_uint(r, map, "io-weight", 0, 1, 1000);
    ret->io_read_bps = yaml_size(r, map, "io-read", 0, 1, BYTES_MAX);
    ret->io_write_bps = yaml_size(r, map, "io-write", 0, 1, BYTES_MAX);
    ret->file_bytes = yaml_size(r, map, "file-size", 0, 1, BYTES_MAX);
    ret->shm_bytes = yaml_size(r, map, "shm", 0, 0, BYTES_MAX);
    ret->data_files = (uint32_t)yaml_uint(r, map, "data-files", 0, 1, 1U << 24);
    ret->tmp_files = (uint32_t)yaml_uint(r, map, "tmp-files", 0, 1, 1U << 24);
    ret->log_bytes_hour = yaml_size(r, map, "log-per-hour", 0, 1, BYTES_MAX);
    ret->inbox_bytes = yaml_size(r, map, "inbox", 0, 0, BYTES_MAX);
    ret->outbox_bytes = yaml_size(r, map, "outbox", 0, 0, BYTES_MAX);
    ret->outbox_bytes_day = yaml_size(r, map, "outbox-per-day", 0, 1, BYTES_MAX);
    ret->run_s_orbit = (uint32_t)(yaml_time(r, map, "run-per-orbit", 0, 1000, DAY_MS) / 1000);
    ret->core_bytes = yaml_size(r, map, "core", 0, 0, BYTES_MAX);
    ret->logs_bytes_day = yaml_size(r, map, "logs", 0, 0, BYTES_MAX);
    ret->logs_bytes_pass = yaml_size(r, map, "logs-per-pass", 0, 1, BYTES_MAX);
}

static void read_limits(struct yaml_in *r, const struct yaml_node *top, struct resources *ret)
{
    static const char *const keys[] = { RESOURCE_NAMES, NULL };
    const struct yaml_node *map = yaml_map(r, top, "resources", true);

    yaml_keys(r, map, keys);
    resources_read(r, map, ret);
}

static void read_health(struct yaml_in *r, const struct yaml_node *top, struct health *ret)
{
    static const char *const keys[] = { "type", "ready", "soak", "watchdog", NULL };
    const struct yaml_node *map = yaml_map(r, top, "health", true);
    char type[16];

    yaml_keys(r, map, keys);
    yaml_text(r, map, "type", NULL, type, sizeof type);
    if (strcmp(type, "notify") == 0)
        ret->type = HEALTH_NOTIFY;
    else if (strcmp(type, "alive") == 0)
        ret->type = HEALTH_ALIVE;
    else if (yaml_get(r, map, "type"))
        yaml_fail(r, yaml_get(r, map, "type"), "'type' must be notify or alive");
    ret->ready_ms = (uint32_t)yaml_time(r, map, "ready", 5000, 1, DAY_MS);
    ret->soak_ms = (uint32_t)yaml_time(r, map, "soak", 2000, 0, DAY_MS);
    ret->watchdog_ms = (uint32_t)yaml_time(r, map, "watchdog", 0, 0, DAY_MS);
}

/* An image says itself what to run. */
static void read_exec(struct yaml_in *r, const struct yaml_node *top, struct manifest *ret)
{
    const struct yaml_node *list = yaml_list(r, top, "exec", !yaml_get(r, top, "image"));

    if (list && list->children == 0)
        yaml_fail(r, list, "'exec' is empty");
    for (const struct yaml_node *n = yaml_first(r, list); n; n = yaml_next(r, n)) {
        if (ret->n_args == PAYLOAD_ARGS_MAX) {
            yaml_fail(r, n, "more than %u arguments", PAYLOAD_ARGS_MAX);
            return;
        }
        yaml_scalar(r, n, ret->args[ret->n_args++], PAYLOAD_ARG_CAP);
    }
    if (list && ret->n_args > 0 && ret->args[0][0] != '/')
        yaml_fail(r, list, "'exec' must begin with an absolute path inside the package");
}

static void read_env(struct yaml_in *r, const struct yaml_node *top, struct manifest *ret)
{
    const struct yaml_node *map = yaml_map(r, top, "env", false);
    char value[PAYLOAD_ARG_CAP];

    for (const struct yaml_node *n = yaml_first(r, map); n; n = yaml_next(r, n)) {
        size_t key_len = strlen(n->key);
        char *out;

        if (ret->n_env == PAYLOAD_ENV_MAX) {
            yaml_fail(r, n, "more than %u variables", PAYLOAD_ENV_MAX);
            return;
        }
        out = ret->env[ret->n_env];
        yaml_scalar(r, n, value, sizeof value);
        if (key_len + 1 + strlen(value) >= PAYLOAD_ARG_CAP) {
            yaml_fail(r, n, "'%s' is too long", n->key);
            return;
        }
        memcpy(out, n->key, key_len);
        out[key_len] = '=';
        memcpy(out + key_len + 1, value, strlen(value) + 1);
        ret->n_env++;
    }
}

/* A list item: a path, which keeps its place, or a map with from, to and libs. */
static void read_copy(struct yaml_in *r, const struct yaml_node *item, struct payload_copy *ret)
{
    static const char *const keys[] = { "from", "to", "libs", NULL };
    char libs[8];

    if (item->type == YAML_SCALAR) {
        yaml_scalar(r, item, ret->from, sizeof ret->from);
        memcpy(ret->to, ret->from, sizeof ret->to);
    } else {
        yaml_keys(r, item, keys);
        yaml_text(r, item, "from", NULL, ret->from, sizeof ret->from);
        yaml_text(r, item, "to", ret->from, ret->to, sizeof ret->to);
        yaml_text(r, item, "libs", "none", libs, sizeof libs);
        ret->libs = strcmp(libs, "auto") == 0;
        if (!ret->libs && strcmp(libs, "none") != 0)
            yaml_fail(r, yaml_get(r, item, "libs"), "'libs' must be auto or none");
    }
    if (ret->to[0] != '/')
        yaml_fail(r, item, "'to' must be an absolute path inside the package");
}

static void read_copies(struct yaml_in *r, const struct yaml_node *top, struct payload_spec *ret)
{
    const struct yaml_node *list = yaml_list(r, top, "copy", false);

    for (const struct yaml_node *n = yaml_first(r, list); n; n = yaml_next(r, n)) {
        if (ret->n_copies == PAYLOAD_COPIES_MAX) {
            yaml_fail(r, n, "more than %u entries", PAYLOAD_COPIES_MAX);
            return;
        }
        read_copy(r, n, &ret->copy[ret->n_copies++]);
    }
}

/* A path, or a map with file, tag and setuid. */
static void read_image(struct yaml_in *r, const struct yaml_node *top, struct payload_spec *ret)
{
    static const char *const keys[] = { "file", "tag", "setuid", NULL };
    const struct yaml_node *node = yaml_get(r, top, "image");
    struct payload_image *image = &ret->image;
    char setuid[8];

    if (!node)
        return;
    if (node->type == YAML_SCALAR) {
        yaml_scalar(r, node, image->file, sizeof image->file);
    } else {
        yaml_keys(r, node, keys);
        yaml_text(r, node, "file", NULL, image->file, sizeof image->file);
        yaml_text(r, node, "tag", "", image->tag, sizeof image->tag);
        yaml_text(r, node, "setuid", "refuse", setuid, sizeof setuid);
        image->strip_setuid = strcmp(setuid, "strip") == 0;
        if (!image->strip_setuid && strcmp(setuid, "refuse") != 0)
            yaml_fail(r, yaml_get(r, node, "setuid"), "'setuid' must be refuse or strip");
    }
    if (r->err.rc == RC_OK && image->file[0] == '\0')
        yaml_fail(r, node, "'image' must name a file");
    if (ret->root[0] != '\0' || ret->n_copies > 0)
        yaml_fail(r, node, "'image' is the whole package: 'root' and 'copy' do not go with it");
    if (strcmp(ret->manifest.arch, "any") == 0)
        yaml_fail(r, node, "an image is for one 'arch'");
}

static void read_name(struct yaml_in *r, const struct yaml_node *top, const char *key,
                      bool (*valid)(const char *), char *out, size_t cap)
{
    yaml_text(r, top, key, NULL, out, cap);
    if (r->err.rc == RC_OK && !valid(out))
        yaml_fail(r, yaml_get(r, top, key), "'%s' must be %s", key,
                  valid == name_valid ? "letters a-z, digits and '-'"
                                      : "letters, digits and . + ~ _ -");
}

/* Whose keys sign it: a team of the tenant's, else the tenant's own. */
static void read_team(struct yaml_in *r, const struct yaml_node *top, struct manifest *m)
{
    yaml_text(r, top, "team", "", m->team, sizeof m->team);
    if (r->err.rc == RC_OK && m->team[0] != '\0' && !team_valid(m->team))
        yaml_fail(r, yaml_get(r, top, "team"), "'team' must be names joined by '/', as flight/cam");
}

/* What becomes of /data when a version does not prove itself. */
static void read_data(struct yaml_in *r, const struct yaml_node *top, struct manifest *m)
{
    static const char *const keys[] = { "snapshot", NULL };
    const struct yaml_node *map = yaml_map(r, top, "data", false);

    if (!map)
        return;
    yaml_keys(r, map, keys);
    m->snapshot = yaml_bool(r, map, "snapshot", false);
    if (r->err.rc == RC_OK && m->snapshot && m->limits.data_bytes == 0)
        yaml_fail(r, yaml_get(r, map, "snapshot"), "'snapshot' wants 'data' among the resources");
}

/* Whether mail has to be sealed between the payload and its own ground (berth-seal). */
static void read_mail(struct yaml_in *r, const struct yaml_node *top, struct manifest *m)
{
    static const char *const keys[] = { "sealed", NULL };
    const struct yaml_node *map = yaml_map(r, top, "mail", false);

    if (!map)
        return;
    yaml_keys(r, map, keys);
    m->sealed = yaml_bool(r, map, "sealed", false);
    if (r->err.rc == RC_OK && m->sealed && m->limits.inbox_bytes == 0 &&
        m->limits.outbox_bytes == 0)
        yaml_fail(r, yaml_get(r, map, "sealed"),
                  "'sealed' wants 'inbox' or 'outbox' among the resources");
}

/* A directory below that of payload.yaml: what lies elsewhere comes in by `copy`. */
static bool is_below(const char *path)
{
    if (path[0] == '/' || strcmp(path, ".") == 0)
        return false;
    while (*path != '\0') {
        size_t n = strcspn(path, "/");

        if (n == 2 && path[0] == '.' && path[1] == '.')
            return false;
        path += n + (path[n] == '/');
    }
    return true;
}

enum rc payload_read(const struct yaml *doc, struct payload_spec *ret, struct err *err)
{
    static const char *const keys[] = { "name",   "tenant",  "team",    "version",    "release",
                                        "floor",  "arch",    "exec",    "env",        "root",
                                        "copy",   "image",   "health",  "resources",  "data",
                                        "calls",  "network", "devices", "inner-root", "isolation",
                                        "format", "peers",   "kind",    "schedule",   "restart",
                                        "after",  "modes",   "freeze",  "mail",       NULL };
    struct yaml_in r = yaml_read(doc);
    const struct yaml_node *top = yaml_root(&r);
    struct manifest *m = &ret->manifest;
    struct utsname machine;

    if (uname(&machine) != 0)
        return err_sys(err, RC_IO, "uname");
    machine.machine[sizeof m->arch - 1] = '\0';
    yaml_keys(&r, top, keys);
    read_name(&r, top, "name", name_valid, m->name, sizeof m->name);
    read_name(&r, top, "tenant", name_valid, m->tenant, sizeof m->tenant);
    read_team(&r, top, m);
    read_name(&r, top, "version", version_valid, m->version, sizeof m->version);
    m->release = yaml_uint(&r, top, "release", YAML_NEEDED, 1, INT64_MAX);
    m->floor = yaml_uint(&r, top, "floor", 0, 0, INT64_MAX);
    yaml_text(&r, top, "arch", machine.machine, m->arch, sizeof m->arch);
    read_exec(&r, top, m);
    read_env(&r, top, m);
    yaml_text(&r, top, "root", "", ret->root, sizeof ret->root);
    if (!is_below(ret->root))
        yaml_fail(&r, yaml_get(&r, top, "root"), "'root' must name a directory below this one");
    read_copies(&r, top, ret);
    read_image(&r, top, ret);
    read_limits(&r, top, &m->limits);
    read_data(&r, top, m);
    read_mail(&r, top, m);
    read_health(&r, top, &m->health);
    wants_read(&r, top, m);
    life_read(&r, top, m);
    if (r.err.rc == RC_OK && ret->root[0] == '\0' && ret->n_copies == 0 && !ret->image.file[0])
        yaml_fail(&r, top, "'root', 'copy' or 'image' is missing: the package would be empty");
    return yaml_done(&r, err);
}
