/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/nesting.h"
#include "oci/parts.h"

#define ID_MAX 128U
#define EXACT 9007199254740992.0   /* 2^53 */
#define OVER 9223372036854775808.0 /* 2^63 */

bool oci_id_valid(const char *text)
{
    size_t n = strlen(text);

    if (n == 0 || n > ID_MAX || strchr("_.+-", text[0]) != NULL)
        return false;
    return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+-") == n;
}

bool oci_path_valid(const char *text)
{
    if (text[0] != '/' || strlen(text) > OCI_PATH_MAX)
        return false;
    if (text[1] == '\0')
        return true;
    for (const char *at = text; *at != '\0';) {
        size_t n = strcspn(at + 1, "/");

        if (n == 0 || (n == 1 && at[1] == '.') || (n == 2 && at[1] == '.' && at[2] == '.'))
            return false;
        at += 1 + n;
    }
    return true;
}

bool oci_path_within(const char *outer, const char *path)
{
    size_t n = strlen(outer);

    if (n == 1 && outer[0] == '/')
        return true;
    return strncmp(outer, path, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* ---- readers -------------------------------------------------------------------------------- */

void oci_say(struct oci_config *c, const char *fmt, ...)
{
    char *line = c->said[c->n_said < OCI_SAID_MAX ? c->n_said : OCI_SAID_MAX - 1];
    va_list args;

    if (c->n_said >= OCI_SAID_MAX) {
        (void)snprintf(line, OCI_SAID_CAP, "and more than is said here");
        return;
    }
    va_start(args, fmt);
    (void)vsnprintf(line, OCI_SAID_CAP, fmt, args);
    va_end(args);
    for (char *at = line; *at != '\0'; at++) {
        if (*at < ' ' || *at > '~')
            *at = '?';
    }
    c->n_said++;
}

static bool is_absent(const json_t *value)
{
    return value == NULL || json_is_null(value);
}

enum rc oci_keys(const json_t *value, const char *name, const struct oci_key *keys, size_t n,
                 struct oci_config *c, struct err *err)
{
    if (is_absent(value))
        return RC_OK;
    if (!json_is_object(value))
        return err_set(err, RC_OCI_FORMAT, "%s is no object", name);
    for (size_t i = 0; i < n; i++) {
        enum rc rc = keys[i].read(json_object_get(value, keys[i].key), c, err);

        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

enum rc oci_text(const json_t *value, const char *name, size_t max, const char **ret,
                 struct err *err)
{
    if (is_absent(value))
        return RC_OK;
    if (!json_is_string(value))
        return err_set(err, RC_OCI_FORMAT, "%s is no text", name);
    if (json_string_length(value) > max)
        return err_set(err, RC_OCI_FORMAT, "%s is longer than %zu", name, max);
    *ret = json_string_value(value);
    return RC_OK;
}

enum rc oci_bool(const json_t *value, const char *name, bool *ret, struct err *err)
{
    if (is_absent(value))
        return RC_OK;
    if (!json_is_boolean(value))
        return err_set(err, RC_OCI_FORMAT, "%s is neither true nor false", name);
    *ret = json_is_true(value);
    return RC_OK;
}

enum rc oci_number(const json_t *value, const char *name, int64_t min, int64_t max, int64_t *ret,
                   struct err *err)
{
    if (is_absent(value))
        return RC_OK;
    /* Exact up to 2^53; what is larger is only ever another way to say "no limit". */
    double number = json_is_real(value) ? json_real_value(value) : 0.5;
    int64_t whole = number >= -EXACT && number < OVER ? (int64_t)number : INT64_MAX;

    if (number < -EXACT || (number < EXACT && (double)whole != number) || whole < min ||
        whole > max)
        return err_set(err, RC_OCI_FORMAT, "%s is no number from %lld to %lld", name,
                       (long long)min, (long long)max);
    *ret = whole;
    return RC_OK;
}

enum rc oci_u32(const json_t *value, const char *name, uint32_t max, uint32_t *ret, struct err *err)
{
    int64_t number = *ret;
    enum rc rc = oci_number(value, name, 0, max, &number, err);

    if (rc == RC_OK)
        *ret = (uint32_t)number;
    return rc;
}

enum rc oci_path(const json_t *value, const char *name, const char **ret, struct err *err)
{
    const char *text = NULL;
    enum rc rc = oci_text(value, name, OCI_PATH_MAX, &text, err);

    if (rc == RC_OK && text != NULL && !oci_path_valid(text))
        return err_set(err, RC_OCI_FORMAT, "%s: %.64s", name, text);
    if (rc == RC_OK && text != NULL)
        *ret = text;
    return rc;
}

static enum rc list_size(const json_t *value, const char *name, size_t max, size_t *ret,
                         struct err *err)
{
    *ret = 0;
    if (is_absent(value))
        return RC_OK;
    if (!json_is_array(value) || json_array_size(value) > max)
        return err_set(err, RC_OCI_FORMAT, "%s is no list of at most %zu", name, max);
    *ret = json_array_size(value);
    return RC_OK;
}

enum rc oci_texts(const json_t *value, const char *name, size_t text_max, size_t max,
                  const char **ret, size_t *ret_n, struct err *err)
{
    size_t n;
    enum rc rc = list_size(value, name, max, &n, err);

    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        ret[i] = NULL;
        rc = oci_text(json_array_get(value, i), name, text_max, &ret[i], err);
        if (rc == RC_OK && ret[i] == NULL)
            rc = err_set(err, RC_OCI_FORMAT, "%s holds null", name);
    }
    if (rc == RC_OK)
        *ret_n = n;
    return rc;
}

enum rc oci_each(const json_t *value, const char *name, size_t max,
                 enum rc (*read)(const json_t *value, struct oci_config *c, struct err *err),
                 struct oci_config *c, struct err *err)
{
    size_t n;
    enum rc rc = list_size(value, name, max, &n, err);

    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        const json_t *one = json_array_get(value, i);

        rc = json_is_object(one) ? read(one, c, err)
                                 : err_set(err, RC_OCI_FORMAT, "%s holds no object", name);
    }
    return rc;
}

enum rc oci_none(const json_t *value, const char *name, struct err *err)
{
    if (is_absent(value) || (json_is_array(value) && json_array_size(value) == 0) ||
        (json_is_object(value) && json_object_size(value) == 0) ||
        (json_is_string(value) && json_string_length(value) == 0) || json_is_false(value))
        return RC_OK;
    return err_set(err, RC_OCI_WANTS, "%s", name);
}

/* ---- the top level -------------------------------------------------------------------------- */

/* "1." and two numbers, then what semantic versions may add. */
static enum rc read_version(const json_t *value, struct oci_config *c, struct err *err)
{
    enum rc rc = oci_text(value, "ociVersion", 64, &c->version, err);
    const char *at = c->version;

    if (rc != RC_OK)
        return rc;
    if (at == NULL || strncmp(at, "1.", 2) != 0)
        return err_set(err, RC_OCI_FORMAT, "ociVersion: %.40s", at == NULL ? "missing" : at);
    at += 2;
    for (int part = 0; part < 2; part++) {
        size_t n = strspn(at, "0123456789");

        if (n == 0 || n > 6 || (part == 0 && at[n] != '.') ||
            (part == 1 && at[n] != '\0' && at[n] != '-' && at[n] != '+'))
            return err_set(err, RC_OCI_FORMAT, "ociVersion: %.40s", c->version);
        at += n + (part == 0 ? 1 : 0);
    }
    return RC_OK;
}

static enum rc read_root_path(const json_t *value, struct oci_config *c, struct err *err)
{
    return oci_text(value, "root.path", OCI_PATH_MAX, &c->root, err);
}

static enum rc read_root_readonly(const json_t *value, struct oci_config *c, struct err *err)
{
    return oci_bool(value, "root.readonly", &c->root_readonly, err);
}

static const struct oci_key root_keys[] = {
    { "path", read_root_path },
    { "readonly", read_root_readonly },
};

static enum rc read_root(const json_t *value, struct oci_config *c, struct err *err)
{
    enum rc rc = OCI_KEYS(value, "root", root_keys, c, err);

    if (rc == RC_OK && (c->root == NULL || c->root[0] == '\0'))
        return err_set(err, RC_OCI_FORMAT, "root.path is missing");
    return rc;
}

static enum rc read_name(const json_t *value, const char *key, const char **ret, struct err *err)
{
    enum rc rc = oci_text(value, key, OCI_HOSTNAME_MAX, ret, err);

    for (const char *at = *ret; rc == RC_OK && *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~')
            rc = err_set(err, RC_OCI_FORMAT, "%s", key);
    }
    return rc;
}

static enum rc read_hostname(const json_t *value, struct oci_config *c, struct err *err)
{
    return read_name(value, "hostname", &c->hostname, err);
}

static enum rc read_domainname(const json_t *value, struct oci_config *c, struct err *err)
{
    return read_name(value, "domainname", &c->domainname, err);
}

static enum rc refuse_hooks(const json_t *value, struct oci_config *c, struct err *err)
{
    const char *key;
    json_t *list;

    (void)c;
    if (is_absent(value))
        return RC_OK;
    if (!json_is_object(value))
        return err_set(err, RC_OCI_FORMAT, "hooks is no object");
    json_object_foreach((json_t *)(uintptr_t)value, key, list)
    {
        if (oci_none(list, "hooks", NULL) != RC_OK)
            return err_set(err, RC_OCI_WANTS, "hooks.%.40s: no program of the host is run for it",
                           key);
    }
    return RC_OK;
}

static enum rc read_annotations(const json_t *value, struct oci_config *c, struct err *err)
{
    const char *key;
    json_t *text;

    if (is_absent(value))
        return RC_OK;
    if (!json_is_object(value))
        return err_set(err, RC_OCI_FORMAT, "annotations is no object");
    json_object_foreach((json_t *)(uintptr_t)value, key, text)
    {
        if (key[0] == '\0' || !json_is_string(text))
            return err_set(err, RC_OCI_FORMAT, "annotations: %.40s", key);
    }
    c->annotations = value;
    return RC_OK;
}

static const struct oci_key top_keys[] = {
    { "ociVersion", read_version },
    { "root", read_root },
    { "hostname", read_hostname },
    { "domainname", read_domainname },
    { "hooks", refuse_hooks },
    { "annotations", read_annotations },
    { "process", oci_read_process },
    { "linux", oci_read_linux }, /* before the mounts, which may be said to be left out */
    { "mounts", oci_read_mounts },
};

static const struct oci_config empty = {
    .hostname = "",
    .domainname = "",
    .cwd = "/",
    .umask = 022,
    .oom_score = 500, /* a container goes before anything of the host's */
    .cgroup = "",
    .limits = { .memory = -1,
                .reservation = -1,
                .swappiness = -1,
                .kernel_tcp = -1,
                .shares = -1,
                .quota = -1,
                .period = -1,
                .pids = -1 },
};

enum rc oci_config_read(struct bytes in, struct oci_config *ret, struct err *err)
{
    json_error_t why;

    if (in.n > OCI_CONFIG_MAX)
        return err_set(err, RC_TOO_LARGE, "config.json of %zu bytes", in.n);
    if (!nesting_within(in, OCI_DEPTH_MAX)) /* jansson takes the stack for each level */
        return err_set(err, RC_OCI_FORMAT, "config.json is too deep");
    /* As real numbers: limits come with all of 64 bits, and jansson has whole ones of 63. */
    json_t *json = json_loadb((const char *)in.p, in.n,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &why);
    if (json == NULL)
        return err_at(err, RC_OCI_FORMAT, (uint64_t)why.position, "%.80s", why.text);

    *ret = empty;
    ret->json = json;
    enum rc rc = json_is_object(json) ? OCI_KEYS(json, "config.json", top_keys, ret, err)
                                      : err_set(err, RC_OCI_FORMAT, "config.json is no object");
    if (rc != RC_OK)
        oci_config_done(ret);
    return rc;
}

void oci_config_done(struct oci_config *config)
{
    json_decref(config->json);
    *config = empty;
}
