/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/image_config: from an image's config (OCI image-spec, config.md; Docker's is the
 * same where it matters) to arguments and variables.
 */
#include "orchestrator/image_parts.h"

/* Why a field is there but not followed; the text is what people read. */
struct unfollowed {
    const char *key;
    const char *note;
};

static const struct unfollowed unfollowed[] = {
    { "User", "User: a payload has a user of its own" },
    { "Volumes", "Volumes: the package is read-only, /data is what stays" },
    { "ExposedPorts", "ExposedPorts: a payload has no network" },
    { "Healthcheck", "Healthcheck: health: in payload.yaml counts" },
    { "StopSignal", "StopSignal: a payload is stopped with SIGTERM" },
    { "OnBuild", "OnBuild: nothing is run at build time" },
};

/* Whether a field says anything: not absent, null, empty or false. */
static bool is_set(const json_t *value)
{
    return !(!value || json_is_null(value) || json_is_false(value) ||
             (json_is_string(value) && json_string_length(value) == 0) ||
             (json_is_array(value) && json_array_size(value) == 0) ||
             (json_is_object(value) && json_object_size(value) == 0));
}

/* Text of a bounded length without NUL. */
static bool take_text(const json_t *value, char *out, size_t cap)
{
    const char *text = json_string_value(value);
    size_t n = json_string_length(value);

    if (!text || n >= cap || strlen(text) != n)
        return false;
    memcpy(out, text, n + 1);
    return true;
}

/* Append a list of texts to one of at most max. */
static enum rc take_list(const json_t *list, const char *what, char (*out)[PAYLOAD_ARG_CAP],
                         uint32_t max, uint32_t *n, struct err *err)
{
    if (!list || json_is_null(list))
        return RC_OK;
    if (!json_is_array(list))
        return err_set(err, RC_IMAGE_FORMAT, "config: %s", what);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *value = json_array_get(list, i);

        if (!json_is_string(value))
            return err_set(err, RC_IMAGE_FORMAT, "config: %s", what);
        if (*n == max)
            return err_set(err, RC_IMAGE_CONFIG, "%s: more than %u", what, max);
        if (!take_text(value, out[*n], PAYLOAD_ARG_CAP))
            return err_set(err, RC_IMAGE_CONFIG, "%s: longer than %u bytes: %.40s", what,
                           PAYLOAD_ARG_CAP - 1, json_string_value(value));
        ++*n;
    }
    return RC_OK;
}

static enum rc take_start(const json_t *config, struct image *ret, struct err *err)
{
    struct image_start *s = &ret->start;
    const json_t *dir = json_object_get(config, "WorkingDir");
    enum rc rc;

    if (config && !json_is_object(config) && !json_is_null(config))
        return err_set(err, RC_IMAGE_FORMAT, "config: config");
    rc = take_list(json_object_get(config, "Entrypoint"), "Entrypoint", s->args, PAYLOAD_ARGS_MAX,
                   &s->n_args, err);
    if (rc == RC_OK)
        rc = take_list(json_object_get(config, "Cmd"), "Cmd", s->args, PAYLOAD_ARGS_MAX, &s->n_args,
                       err);
    if (rc == RC_OK)
        rc = take_list(json_object_get(config, "Env"), "Env", s->env, PAYLOAD_ENV_MAX, &s->n_env,
                       err);
    if (rc == RC_OK && is_set(dir) && !take_text(dir, s->dir, sizeof s->dir))
        rc = err_set(err, RC_IMAGE_FORMAT, "config: WorkingDir");
    for (size_t i = 0; i < sizeof unfollowed / sizeof unfollowed[0]; i++) {
        if (is_set(json_object_get(config, unfollowed[i].key)))
            ret->note[ret->n_notes++] = unfollowed[i].note;
    }
    return rc;
}

/* Names of machines as Go has them. */
static bool is_arch(const char *go, const char *arch)
{
    return go && ((strcmp(go, "amd64") == 0 && strcmp(arch, "x86_64") == 0) ||
                  (strcmp(go, "arm64") == 0 && strcmp(arch, "aarch64") == 0));
}

static enum rc check_platform(const json_t *config, const char *arch, struct err *err)
{
    const char *go = json_string_value(json_object_get(config, "architecture"));
    const char *os = json_string_value(json_object_get(config, "os"));

    if (!go || !os)
        return err_set(err, RC_IMAGE_FORMAT, "config: architecture or os");
    if (strcmp(os, "linux") != 0 || !is_arch(go, arch))
        return err_set(err, RC_ARCH, "image for %.32s/%.32s, wanted %s", os, go, arch);
    return RC_OK;
}

static enum rc take_digests(const json_t *config, struct image *ret, struct err *err)
{
    const json_t *rootfs = json_object_get(config, "rootfs");
    const json_t *list = json_object_get(rootfs, "diff_ids");
    const char *type = json_string_value(json_object_get(rootfs, "type"));

    if (!type || strcmp(type, "layers") != 0 || json_array_size(list) != ret->n_layers)
        return err_set(err, RC_IMAGE_FORMAT, "config: %zu layers, the manifest has %u",
                       json_array_size(list), ret->n_layers);
    for (uint32_t i = 0; i < ret->n_layers; i++) {
        if (!image_digest(json_array_get(list, i), &ret->layer[i].plain))
            return err_set(err, RC_IMAGE_FORMAT, "config: diff_ids[%u]", i);
    }
    return RC_OK;
}

enum rc image_config(const json_t *config, const char *arch, struct image *ret, struct err *err)
{
    enum rc rc = json_is_object(config) ? check_platform(config, arch, err)
                                        : err_set(err, RC_IMAGE_FORMAT, "config");

    if (rc == RC_OK)
        rc = take_digests(config, ret, err);
    return rc == RC_OK ? take_start(json_object_get(config, "config"), ret, err) : rc;
}
