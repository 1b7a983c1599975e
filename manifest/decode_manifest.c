/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/wire.h"

static void read_what(struct cbor_in *r, struct manifest *d)
{
    wire_key(r, 1, "manifest.tenant");
    wire_signer(r, "manifest.tenant", d->tenant, d->team);
    wire_key(r, 2, "manifest.name");
    cbor_text(r, "manifest.name", d->name, sizeof d->name);
    wire_key(r, 3, "manifest.version");
    cbor_text(r, "manifest.version", d->version, sizeof d->version);
    wire_key(r, 4, "manifest.release");
    d->release = wire_u64(r, "manifest.release");
    wire_key(r, 5, "manifest.floor");
    d->floor = wire_u64(r, "manifest.floor");
}

static void read_content(struct cbor_in *r, struct manifest *d)
{
    wire_key(r, 6, "manifest.content");
    size_t n = cbor_array(r, "manifest.content", 4, 5);
    wire_digest(r, "manifest.content", &d->content);
    d->content_bytes = wire_u64(r, "manifest.content_bytes");
    d->unpacked_bytes = wire_u64(r, "manifest.unpacked_bytes");
    d->files = wire_u32(r, "manifest.files");
    if (n == 5)
        wire_digest384(r, "manifest.content384", &d->content384);
    cbor_end(r);
    wire_key(r, 7, "manifest.arch");
    cbor_text(r, "manifest.arch", d->arch, sizeof d->arch);
}

static void read_start(struct cbor_in *r, struct manifest *d)
{
    wire_key(r, 8, "manifest.args");
    d->n_args = (uint32_t)cbor_array(r, "manifest.args", 1, PAYLOAD_ARGS_MAX);
    for (uint32_t i = 0; i < d->n_args; i++)
        cbor_text(r, "manifest.args", d->args[i], sizeof d->args[i]);
    cbor_end(r);
    wire_key(r, 9, "manifest.env");
    d->n_env = (uint32_t)cbor_array(r, "manifest.env", 0, PAYLOAD_ENV_MAX);
    for (uint32_t i = 0; i < d->n_env; i++)
        cbor_text(r, "manifest.env", d->env[i], sizeof d->env[i]);
    cbor_end(r);
}

static void read_health(struct cbor_in *r, struct health *h)
{
    (void)cbor_array(r, "manifest.health", 4, 4);
    h->type = (enum health_type)wire_u32(r, "manifest.health.type");
    h->ready_ms = wire_u32(r, "manifest.health.ready");
    h->soak_ms = wire_u32(r, "manifest.health.soak");
    h->watchdog_ms = wire_u32(r, "manifest.health.watchdog");
    cbor_end(r);
}

/* All zero would say the same as no index. */
static void read_index(struct cbor_in *r, struct manifest *d)
{
    size_t n = cbor_array(r, "manifest.index", 1, 2);

    wire_digest(r, "manifest.index", &d->index);
    if (r->rc == RC_OK && digest_is_none(&d->index))
        cbor_fail(r, RC_VALUE, "manifest.index");
    if (n == 2)
        wire_digest384(r, "manifest.index384", &d->index384);
    cbor_end(r);
}

/* The digest of a file that came with the package; all zero would say the same as none. */
static void read_attached(struct cbor_in *r, uint64_t key, const char *field, struct digest *ret)
{
    if (!wire_optional(r, key))
        return;
    wire_digest(r, field, ret);
    if (r->rc == RC_OK && digest_is_none(ret))
        cbor_fail(r, RC_VALUE, field);
}

enum rc manifest_decode(struct bytes in, struct manifest *ret, struct err *err)
{
    struct cbor_in r = cbor_read(in);
    struct manifest d = { 0 };

    wire_open(&r, DOC_MANIFEST);
    read_what(&r, &d);
    read_content(&r, &d);
    read_start(&r, &d);
    wire_key(&r, 10, "manifest.limits");
    wire_resources(&r, "manifest.limits", &d.limits);
    wire_key(&r, 11, "manifest.health");
    read_health(&r, &d.health);
    if (wire_optional(&r, 12))
        read_index(&r, &d);
    if (wire_optional(&r, 13)) {
        d.snapshot = cbor_bool(&r, "manifest.snapshot");
        if (!d.snapshot)
            cbor_fail(&r, RC_VALUE, "manifest.snapshot");
    }
    read_attached(&r, 14, "manifest.sbom", &d.sbom);
    read_attached(&r, 15, "manifest.provenance", &d.provenance);
    if (wire_optional(&r, 16))
        wire_wants(&r, &d);
    if (wire_optional(&r, 17))
        wire_life(&r, &d);
    if (wire_optional(&r, 18)) {
        d.sealed = cbor_bool(&r, "manifest.sealed");
        if (!d.sealed)
            cbor_fail(&r, RC_VALUE, "manifest.sealed");
    }
    wire_close(&r);

    enum rc rc = cbor_done(&r, err);
    if (rc == RC_OK)
        rc = manifest_check(&d, err);
    if (rc == RC_OK)
        *ret = d;
    return rc;
}
