/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/wire.h"

static void read_what(struct cbor_in *r, struct manifest *d)
{
    wire_key(r, 1, "manifest.tenant");
    cbor_text(r, "manifest.tenant", d->tenant, sizeof d->tenant);
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
    (void)cbor_array(r, "manifest.content", 4, 4);
    wire_digest(r, "manifest.content", &d->content);
    d->content_bytes = wire_u64(r, "manifest.content_bytes");
    d->unpacked_bytes = wire_u64(r, "manifest.unpacked_bytes");
    d->files = wire_u32(r, "manifest.files");
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
    wire_close(&r);

    enum rc rc = cbor_done(&r, err);
    if (rc == RC_OK)
        rc = manifest_check(&d, err);
    if (rc == RC_OK)
        *ret = d;
    return rc;
}
