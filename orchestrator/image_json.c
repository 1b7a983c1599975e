/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "base/nesting.h"
#include "orchestrator/image_parts.h"

void image_json_done(json_t **value)
{
    json_decref(*value);
    *value = NULL;
}

enum rc image_json(struct bytes in, const char *what, json_t **ret, struct err *err)
{
    json_error_t why;

    if (!nesting_within(in, IMAGE_DEPTH_MAX)) /* jansson takes the stack for each level */
        return err_set(err, RC_IMAGE_FORMAT, "%.80s: too deep", what);
    *ret = json_loadb((const char *)in.p, in.n, JSON_REJECT_DUPLICATES, &why);
    if (!*ret)
        return err_at(err, RC_IMAGE_FORMAT, (uint64_t)why.position, "%.80s: %.80s", what, why.text);
    return RC_OK;
}

enum rc image_load(const struct image_file *file, const char *name, const struct digest *digest,
                   uint64_t n, json_t **ret, struct err *err)
{
    scoped(image_blob_done) struct image_blob blob = { .fd = -1 };
    scoped(free_ptr) uint8_t *buf = NULL;
    struct digest found;
    enum rc rc = image_file_blob(file, name, &blob, err);

    if (rc != RC_OK)
        return rc;
    if (blob.n == 0 || blob.n > IMAGE_JSON_MAX)
        return err_set(err, RC_TOO_LARGE, "%.80s of %llu bytes", name, (unsigned long long)blob.n);
    if (digest && n != 0 && n != blob.n)
        return err_set(err, RC_DIGEST_MISMATCH, "%.80s: size", name);
    buf = malloc((size_t)blob.n);
    if (!buf)
        return err_set(err, RC_NO_MEMORY, "image");

    struct bytes in = { .p = buf, .n = (size_t)blob.n };

    rc = fs_pread_exact(blob.fd, buf, in.n, blob.at, err);
    if (rc == RC_OK)
        rc = sha256_of(in, found.b, err);
    if (rc == RC_OK && digest && memcmp(&found, digest, sizeof found) != 0)
        rc = err_set(err, RC_DIGEST_MISMATCH, "%.80s", name);
    return rc == RC_OK ? image_json(in, name, ret, err) : rc;
}

bool image_digest(const json_t *value, struct digest *ret)
{
    const char *text = json_string_value(value);

    if (!text || json_string_length(value) != 7 + 2 * (size_t)DIGEST_SIZE ||
        strncmp(text, "sha256:", 7) != 0)
        return false;
    for (const char *p = text + 7; *p; p++) {
        if (*p >= 'A' && *p <= 'F') /* one name for one blob */
            return false;
    }
    return bytes_unhex(text + 7, ret->b, DIGEST_SIZE);
}

enum rc image_descriptor(const json_t *value, struct descriptor *ret, struct err *err)
{
    const json_t *size = json_object_get(value, "size");
    const char *type = json_string_value(json_object_get(value, "mediaType"));
    char hex[2 * DIGEST_SIZE + 1];

    if (!image_digest(json_object_get(value, "digest"), &ret->digest))
        return err_set(err, RC_IMAGE_FORMAT, "descriptor: digest is not sha256:HEX");
    if (!json_is_integer(size) || json_integer_value(size) <= 0)
        return err_set(err, RC_IMAGE_FORMAT, "descriptor: size");
    ret->n = (uint64_t)json_integer_value(size);
    ret->type = type ? type : "";
    (void)snprintf(ret->name, sizeof ret->name, "blobs/sha256/%s",
                   bytes_hex((struct bytes){ .p = ret->digest.b, .n = DIGEST_SIZE }, hex));
    return RC_OK;
}
