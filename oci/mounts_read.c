/* SPDX-License-Identifier: Apache-2.0
 *
 * The "mounts" of a config.json.
 */
#include <stdlib.h>
#include <string.h>

#include "oci/parts.h"
#include "oci/words.h"

#define OPTIONS_MAX 32U
#define SIZE_DIGITS_MAX 12U
#define TMPFS_BYTES_MAX (64LL << 30)

enum option {
    OPTION_NOTHING, /* so it is anyway, or it makes no difference to anybody else */
    OPTION_READONLY,
    OPTION_WRITABLE,
    OPTION_NOEXEC,
    OPTION_BIND,
    OPTION_RBIND,
    OPTION_PRIVATE, /* propagation of some other kind is asked for */
    OPTION_LESS,    /* it would take a wall away: left out, and said */
};

static const struct oci_word options[] = {
    { "ro", OPTION_READONLY },
    { "rw", OPTION_WRITABLE },
    { "noexec", OPTION_NOEXEC },
    { "exec", OPTION_NOTHING },
    { "nosuid", OPTION_NOTHING },
    { "nodev", OPTION_NOTHING },
    { "suid", OPTION_LESS },
    { "dev", OPTION_LESS },
    { "bind", OPTION_BIND },
    { "rbind", OPTION_RBIND },
    { "private", OPTION_NOTHING },
    { "rprivate", OPTION_NOTHING },
    { "shared", OPTION_PRIVATE },
    { "rshared", OPTION_PRIVATE },
    { "slave", OPTION_PRIVATE },
    { "rslave", OPTION_PRIVATE },
    { "unbindable", OPTION_PRIVATE },
    { "runbindable", OPTION_PRIVATE },
    { "atime", OPTION_NOTHING },
    { "noatime", OPTION_NOTHING },
    { "diratime", OPTION_NOTHING },
    { "nodiratime", OPTION_NOTHING },
    { "relatime", OPTION_NOTHING },
    { "norelatime", OPTION_NOTHING },
    { "strictatime", OPTION_NOTHING },
    { "nostrictatime", OPTION_NOTHING },
    { "newinstance", OPTION_NOTHING },
    { "defaults", OPTION_NOTHING },
    { NULL, 0 },
};

static const struct oci_word kinds[] = {
    { "proc", OCI_MOUNT_PROC },     { "sysfs", OCI_MOUNT_SYSFS },
    { "tmpfs", OCI_MOUNT_TMPFS },   { "devpts", OCI_MOUNT_DEVPTS },
    { "mqueue", OCI_MOUNT_MQUEUE }, { "bind", OCI_MOUNT_BIND },
    { "none", OCI_MOUNT_BIND },     { NULL, 0 },
};

/* "65536k" and the like, to the end of the text. */
static bool read_size(const char *text, uint64_t *ret)
{
    static const struct oci_word units[] = {
        { "", 1 },        { "k", 1 << 10 }, { "K", 1 << 10 }, { "m", 1 << 20 },
        { "M", 1 << 20 }, { "g", 1 << 30 }, { "G", 1 << 30 }, { NULL, 0 },
    };
    size_t n = strspn(text, "0123456789");
    int64_t unit;

    if (n == 0 || n > SIZE_DIGITS_MAX || !oci_word(units, text + n, &unit))
        return false;
    int64_t number = strtoll(text, NULL, 10);
    if (number == 0 || number > TMPFS_BYTES_MAX / unit)
        return false;
    *ret = (uint64_t)(number * unit);
    return true;
}

static bool read_octal(const char *text, uint32_t max, uint32_t *ret)
{
    size_t n = strspn(text, "01234567");
    unsigned long number = n == 0 || n > 5 || text[n] != '\0' ? ~0UL : strtoul(text, NULL, 8);

    if (number > max)
        return false;
    *ret = (uint32_t)number;
    return true;
}

static bool read_id(const char *text, uint32_t *ret)
{
    size_t n = strspn(text, "0123456789");
    unsigned long number = n == 0 || n > 5 || text[n] != '\0' ? ~0UL : strtoul(text, NULL, 10);

    if (number > 65535)
        return false;
    *ret = (uint32_t)number;
    return true;
}

static const char *after(const char *text, const char *start)
{
    size_t n = strlen(start);

    return strncmp(text, start, n) == 0 ? text + n : NULL;
}

/* Options with a value.  The device of a terminal is 0666 there, whatever ptmxmode says. */
static bool read_valued(const char *text, struct oci_mount *m)
{
    uint32_t ignored;
    const char *value;

    if ((value = after(text, "size=")) != NULL)
        return read_size(value, &m->bytes);
    if ((value = after(text, "mode=")) != NULL)
        return read_octal(value, 01777, &m->mode);
    if ((value = after(text, "gid=")) != NULL)
        return read_id(value, &m->gid);
    if ((value = after(text, "uid=")) != NULL)
        return read_id(value, &ignored);
    if ((value = after(text, "ptmxmode=")) != NULL)
        return read_octal(value, 0777, &ignored);
    return false;
}

static enum rc apply_option(const char *text, struct oci_mount *m, bool *bind, struct oci_config *c,
                            struct err *err)
{
    int64_t option = OPTION_NOTHING;

    if (!oci_word(options, text, &option) && !read_valued(text, m))
        return err_set(err, RC_OCI_WANTS, "mounts: %.40s with %.40s", m->path, text);
    switch ((enum option)option) {
    case OPTION_READONLY:
        m->readonly = true;
        break;
    case OPTION_WRITABLE:
        m->readonly = false;
        break;
    case OPTION_NOEXEC:
        m->noexec = true;
        break;
    case OPTION_RBIND:
        m->recursive = true;
        *bind = true;
        break;
    case OPTION_BIND:
        *bind = true;
        break;
    case OPTION_PRIVATE:
        oci_say(c, "mounts: %.60s is private, not %s", m->path, text);
        break;
    case OPTION_LESS:
        oci_say(c, "mounts: %.60s without %s: no mount of a container is", m->path, text);
        break;
    case OPTION_NOTHING:
        break;
    }
    return RC_OK;
}

/* Control groups are shown to no container; left out, so that what others make by default runs. */
static bool is_left_out(const char *type, const struct oci_mount *m, struct oci_config *c)
{
    if (strcmp(type, "cgroup") != 0 && strcmp(type, "cgroup2") != 0)
        return false;
    oci_say(c, "mounts: %.60s is left out: no container sees control groups", m->path);
    return true;
}

static enum rc read_kind(const char *type, bool bind, struct oci_mount *m, struct err *err)
{
    int64_t kind = OCI_MOUNT_BIND;

    if (!bind && !oci_word(kinds, type, &kind))
        return err_set(err, RC_OCI_WANTS, "mounts: %.40s of type %.20s", m->path, type);
    m->kind = (enum oci_mount_kind)kind;
    if (m->kind == OCI_MOUNT_TMPFS && strcmp(m->path, "/dev") == 0)
        m->kind = OCI_MOUNT_DEV;
    if (strcmp(m->path, "/") == 0 || (m->kind != OCI_MOUNT_DEV && strcmp(m->path, "/dev") == 0))
        return err_set(err, RC_OCI_WANTS, "mounts: something else at %s", m->path);
    if (m->kind != OCI_MOUNT_PROC && oci_path_within("/proc", m->path))
        return err_set(err, RC_OCI_WANTS, "mounts: %.40s, below /proc", m->path);
    if (m->kind == OCI_MOUNT_BIND && !oci_path_valid(m->source))
        return err_set(err, RC_OCI_FORMAT, "mounts: source of %.40s", m->path);
    return RC_OK;
}

static enum rc read_mount(const json_t *value, struct oci_config *c, struct err *err)
{
    struct oci_mount m = { .source = "", .mode = 0755 };
    const char *option[OPTIONS_MAX];
    const char *type = "";
    bool bind = false;
    size_t n = 0;
    enum rc rc =
        oci_path(json_object_get(value, "destination"), "mounts.destination", &m.path, err);

    if (rc == RC_OK && m.path == NULL)
        rc = err_set(err, RC_OCI_FORMAT, "mounts.destination is missing");
    if (rc == RC_OK)
        rc = oci_text(json_object_get(value, "type"), "mounts.type", 32, &type, err);
    if (rc == RC_OK)
        rc = oci_text(json_object_get(value, "source"), "mounts.source", OCI_PATH_MAX, &m.source,
                      err);
    if (rc == RC_OK)
        rc = oci_texts(json_object_get(value, "options"), "mounts.options", 64, OPTIONS_MAX, option,
                       &n, err);
    if (rc != RC_OK || is_left_out(type, &m, c))
        return rc;
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        rc = apply_option(option[i], &m, &bind, c, err);
    if (rc == RC_OK)
        rc = read_kind(type, bind, &m, err);
    if (rc == RC_OK)
        c->mounts[c->n_mounts++] = m;
    return rc;
}

static bool has_mount(const struct oci_config *c, const char *path)
{
    for (size_t i = 0; i < c->n_mounts; i++) {
        if (strcmp(c->mounts[i].path, path) == 0)
            return true;
    }
    return false;
}

/* A container has its own /proc and /dev, whether it asks or not: walls stand on them. */
enum rc oci_read_mounts(const json_t *value, struct oci_config *c, struct err *err)
{
    enum rc rc = oci_each(value, "mounts", OCI_MOUNTS_MAX - 2, read_mount, c, err);

    if (rc != RC_OK)
        return rc;
    if (!has_mount(c, "/dev")) {
        for (size_t i = 0; i < c->n_mounts; i++) {
            if (oci_path_within("/dev", c->mounts[i].path))
                return err_set(err, RC_OCI_WANTS, "mounts: below /dev without /dev");
        }
        c->mounts[c->n_mounts++] = (struct oci_mount){
            .kind = OCI_MOUNT_DEV, .path = "/dev", .source = "tmpfs", .mode = 0755
        };
    }
    if (!has_mount(c, "/proc"))
        c->mounts[c->n_mounts++] =
            (struct oci_mount){ .kind = OCI_MOUNT_PROC, .path = "/proc", .source = "proc" };
    return RC_OK;
}
