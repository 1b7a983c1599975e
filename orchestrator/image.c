/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/image.h"

#include <stdio.h>

#include "orchestrator/image_parts.h"
#include "update/package.h"

#define NESTED_MAX 4U /* indexes in indexes */

static bool is_one_of(const char *type, const char *const *types)
{
    for (; *types; types++) {
        if (strcmp(type, *types) == 0)
            return true;
    }
    return false;
}

static bool is_index(const char *type)
{
    static const char *const types[] = {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json", NULL
    };

    return is_one_of(type, types);
}

static bool is_manifest(const char *type)
{
    static const char *const types[] = { "application/vnd.oci.image.manifest.v1+json",
                                         "application/vnd.docker.distribution.manifest.v2+json",
                                         NULL };

    return is_one_of(type, types);
}

static bool is_config(const char *type)
{
    static const char *const types[] = { "application/vnd.oci.image.config.v1+json",
                                         "application/vnd.docker.container.image.v1+json", NULL };

    return is_one_of(type, types);
}

/* Layers that are somewhere else ("foreign", "nondistributable") are not among them. */
static bool is_layer(const char *type)
{
    static const char *const types[] = { "application/vnd.oci.image.layer.v1.tar",
                                         "application/vnd.oci.image.layer.v1.tar+gzip",
                                         "application/vnd.oci.image.layer.v1.tar+zstd",
                                         "application/vnd.docker.image.rootfs.diff.tar",
                                         "application/vnd.docker.image.rootfs.diff.tar.gzip",
                                         "application/vnd.docker.image.rootfs.diff.tar.zstd",
                                         NULL };

    return is_one_of(type, types);
}

/* ---- the OCI form -----------------------------------------------------------------------------
 */

/* "name:tag" of a list, or the tag alone, is what the tenant wrote. */
static bool is_tag(const char *found, const char *tag)
{
    size_t n = found ? strlen(found) : 0, want = strlen(tag);

    return found && (strcmp(found, tag) == 0 || (n > want && found[n - want - 1] == ':' &&
                                                 strcmp(found + n - want, tag) == 0));
}

static bool has_tag(const json_t *descriptor, const char *tag)
{
    const json_t *notes = json_object_get(descriptor, "annotations");

    return is_tag(json_string_value(json_object_get(notes, "org.opencontainers.image.ref.name")),
                  tag) ||
           is_tag(json_string_value(json_object_get(notes, "io.containerd.image.name")), tag);
}

/* Whether an index's entry may be the one: for our machine, or for none that it names. */
static bool is_candidate(const json_t *descriptor, const struct image_want *want, const char *tag)
{
    const json_t *platform = json_object_get(descriptor, "platform");
    const char *arch = json_string_value(json_object_get(platform, "architecture"));
    const char *os = json_string_value(json_object_get(platform, "os"));
    const char *go = strcmp(want->arch, "aarch64") == 0 ? "arm64" : "amd64";

    if (tag[0] != '\0' && !has_tag(descriptor, tag))
        return false;
    return !json_is_object(platform) ||
           (arch && os && strcmp(arch, go) == 0 && strcmp(os, "linux") == 0);
}

/* The one entry of an index that will do.  Tags are the outermost index's. */
static enum rc choose(const json_t *index, const struct image_want *want, const char *tag,
                      const json_t **ret, struct err *err)
{
    const json_t *list = json_object_get(index, "manifests");
    size_t found = 0;

    if (json_integer_value(json_object_get(index, "schemaVersion")) != 2 || !json_is_array(list))
        return err_set(err, RC_IMAGE_FORMAT, "index: schemaVersion or manifests");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);

        if (!is_candidate(entry, want, tag))
            continue;
        *ret = entry;
        found++;
    }
    if (found > 1)
        return err_set(err, RC_IMAGE_CHOICE, "%zu images for %s", found, want->arch);
    if (found == 0 && tag[0] != '\0')
        return err_set(err, RC_NOT_FOUND, "no image %.80s for %s", tag, want->arch);
    if (found == 0)
        return err_set(err, RC_ARCH, "no image for %s", want->arch);
    return RC_OK;
}

static enum rc take_layers(const json_t *manifest, struct image *ret, struct err *err)
{
    const json_t *list = json_object_get(manifest, "layers");
    size_t n = json_array_size(list);

    if (n == 0 || n > MERGE_LAYERS_MAX)
        return err_set(err, RC_IMAGE_FORMAT, "manifest: %zu layers", n);
    for (size_t i = 0; i < n; i++) {
        struct image_layer *layer = &ret->layer[i];
        struct descriptor blob;
        enum rc rc = image_descriptor(json_array_get(list, i), &blob, err);

        if (rc != RC_OK)
            return rc;
        if (!is_layer(blob.type))
            return err_set(err, RC_IMAGE_FORMAT, "layer of type %.64s", blob.type);
        memcpy(layer->name, blob.name, sizeof layer->name);
        layer->blob = blob.digest;
        layer->n = blob.n;
    }
    ret->n_layers = (uint32_t)n;
    return RC_OK;
}

static enum rc take_manifest(const struct image_file *file, const json_t *manifest,
                             const char *arch, struct image *ret, struct err *err)
{
    scoped(image_json_done) json_t *config = NULL;
    struct descriptor blob;
    enum rc rc = take_layers(manifest, ret, err);

    if (rc == RC_OK)
        rc = image_descriptor(json_object_get(manifest, "config"), &blob, err);
    if (rc == RC_OK && !is_config(blob.type))
        rc = err_set(err, RC_IMAGE_FORMAT, "config of type %.64s: no image that runs", blob.type);
    if (rc == RC_OK)
        rc = image_load(file, blob.name, &blob.digest, blob.n, &config, err);
    return rc == RC_OK ? image_config(config, arch, ret, err) : rc;
}

/* From index.json down to a manifest. */
static enum rc read_oci(const struct image_file *file, const struct image_want *want,
                        struct image *ret, struct err *err)
{
    scoped(image_json_done) json_t *at = NULL;
    const char *tag = want->tag;
    enum rc rc = image_load(file, "index.json", NULL, 0, &at, err);

    for (unsigned depth = 0; rc == RC_OK && depth < NESTED_MAX; depth++) {
        scoped(image_json_done) json_t *above = at;
        const json_t *entry = NULL;
        struct descriptor blob = { .type = "" };

        at = NULL;
        rc = choose(above, want, tag, &entry, err);
        if (rc == RC_OK)
            rc = image_descriptor(entry, &blob, err);
        if (rc == RC_OK)
            rc = image_load(file, blob.name, &blob.digest, blob.n, &at, err);
        if (rc == RC_OK && is_manifest(blob.type))
            return take_manifest(file, at, want->arch, ret, err);
        if (rc == RC_OK && !is_index(blob.type))
            rc = err_set(err, RC_IMAGE_FORMAT, "entry of type %.64s", blob.type);
        tag = "";
    }
    return rc == RC_OK ? err_set(err, RC_IMAGE_FORMAT, "too many indexes in each other") : rc;
}

/* ---- the form of older `docker save` ----------------------------------------------------------
 */

static bool lists_tag(const json_t *entry, const char *tag)
{
    const json_t *tags = json_object_get(entry, "RepoTags");

    for (size_t i = 0; i < json_array_size(tags); i++) {
        if (is_tag(json_string_value(json_array_get(tags, i)), tag))
            return true;
    }
    return false;
}

static enum rc choose_saved(const json_t *list, const char *tag, const json_t **ret,
                            struct err *err)
{
    size_t found = 0;

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);

        if (tag[0] != '\0' && !lists_tag(entry, tag))
            continue;
        *ret = entry;
        found++;
    }
    if (found == 0 && tag[0] != '\0')
        return err_set(err, RC_NOT_FOUND, "no image %.80s", tag);
    if (found != 1)
        return err_set(err, found ? RC_IMAGE_CHOICE : RC_IMAGE_FORMAT, "manifest.json: %zu images",
                       found);
    return RC_OK;
}

static bool take_name(const json_t *value, char *out)
{
    const char *text = json_string_value(value);
    size_t n = json_string_length(value);

    if (!text || n == 0 || n >= IMAGE_NAME_CAP || strlen(text) != n)
        return false;
    memcpy(out, text, n + 1);
    return true;
}

/* The name of the config is its digest: "HEX.json", or the path of a blob. */
static bool name_digest(const char *name, struct digest *ret)
{
    const char *base = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
    size_t n = strcspn(base, ".");
    char hex[2 * DIGEST_SIZE + 1];

    if (n != sizeof hex - 1 || (base[n] != '\0' && strcmp(base + n, ".json") != 0))
        return false;
    memcpy(hex, base, n);
    hex[n] = '\0';
    return bytes_unhex(hex, ret->b, DIGEST_SIZE);
}

static enum rc take_saved_layers(const json_t *entry, struct image *ret, struct err *err)
{
    const json_t *list = json_object_get(entry, "Layers");
    size_t n = json_array_size(list);

    if (n == 0 || n > MERGE_LAYERS_MAX)
        return err_set(err, RC_IMAGE_FORMAT, "manifest.json: %zu layers", n);
    for (size_t i = 0; i < n; i++) {
        if (!take_name(json_array_get(list, i), ret->layer[i].name))
            return err_set(err, RC_IMAGE_FORMAT, "manifest.json: Layers[%zu]", i);
    }
    ret->n_layers = (uint32_t)n;
    return RC_OK;
}

static enum rc read_saved(const struct image_file *file, const struct image_want *want,
                          struct image *ret, struct err *err)
{
    scoped(image_json_done) json_t *list = NULL;
    scoped(image_json_done) json_t *config = NULL;
    const json_t *entry = NULL;
    char name[IMAGE_NAME_CAP];
    struct digest digest;
    enum rc rc = image_load(file, "manifest.json", NULL, 0, &list, err);

    if (rc == RC_OK)
        rc = choose_saved(list, want->tag, &entry, err);
    if (rc == RC_OK)
        rc = take_saved_layers(entry, ret, err);
    if (rc == RC_OK &&
        (!take_name(json_object_get(entry, "Config"), name) || !name_digest(name, &digest)))
        rc = err_set(err, RC_IMAGE_FORMAT, "manifest.json: Config is not named by its digest");
    if (rc == RC_OK)
        rc = image_load(file, name, &digest, 0, &config, err);
    return rc == RC_OK ? image_config(config, want->arch, ret, err) : rc;
}

/* ---- what the header promises -----------------------------------------------------------------
 */

enum rc image_read(const struct image_file *file, const struct image_want *want, struct image *ret,
                   struct err *err)
{
    scoped(image_blob_done) struct image_blob blob = { .fd = -1 };
    enum rc rc = image_file_blob(file, "index.json", &blob, err);

    if (rc == RC_OK)
        return read_oci(file, want, ret, err);
    if (rc != RC_NOT_FOUND)
        return rc;
    rc = image_file_blob(file, "manifest.json", &blob, err);
    if (rc == RC_NOT_FOUND)
        return err_set(err, RC_IMAGE_FORMAT, "neither index.json nor manifest.json");
    image_blob_done(&blob);
    return rc == RC_OK ? read_saved(file, want, ret, err) : rc;
}

/* A blob whose digest is known is that, and of that size. */
static enum rc check_blob(const struct image_layer *layer, const struct image_blob *blob,
                          struct err *err)
{
    struct digest found;
    enum rc rc;

    if (digest_is_none(&layer->blob))
        return RC_OK; /* the config's digest of it decompressed is what there is */
    if (blob->n != layer->n)
        return err_set(err, RC_DIGEST_MISMATCH, "%.80s: size", layer->name);
    rc = package_digest(blob->fd, blob->at, blob->n, found.b, err);
    if (rc == RC_OK && memcmp(&found, &layer->blob, sizeof found) != 0)
        rc = err_set(err, RC_DIGEST_MISMATCH, "%.80s", layer->name);
    return rc;
}

enum rc image_layers(const struct image_file *file, const struct image *image, struct merge *merge,
                     struct spool *spool, struct err *err)
{
    enum rc rc = RC_OK;

    for (uint32_t i = 0; rc == RC_OK && i < image->n_layers; i++) {
        scoped(image_blob_done) struct image_blob blob = { .fd = -1 };

        rc = image_file_blob(file, image->layer[i].name, &blob, err);
        if (rc == RC_OK)
            rc = check_blob(&image->layer[i], &blob, err);
        if (rc == RC_OK) {
            struct layer layer = {
                .fd = blob.fd, .at = blob.at, .n = blob.n, .plain = image->layer[i].plain
            };

            rc = layer_read(&layer, merge, spool, err);
        }
    }
    return rc;
}
