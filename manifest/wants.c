/* SPDX-License-Identifier: Apache-2.0
 *
 * The newer half of a manifest: what it asks for beside amounts, and how the payload lives.  Two
 * maps on the wire, each there only if it says something, and in it only what is not the default.
 */
#include "base/name.h"
#include "manifest/wire.h"

/* Keys of the first map, ... */
enum want_key {
    WANT_CALLS = 1,
    WANT_NETWORK = 2,
    WANT_DEVICES = 3,
    WANT_INNER_ROOT = 4,
    WANT_ISOLATION = 5,
    WANT_IMAGE = 6,
    WANT_PEERS = 7,
};
#define WANT_KEYS 7U

/* ... and of the second. */
enum life_key {
    LIFE_KIND = 1,
    LIFE_RESTART = 2,
    LIFE_AFTER = 3,
    LIFE_MODES = 4,
    LIFE_FREEZE = 5,
};
#define LIFE_KEYS 5U

#define NET_BPS_MAX (1ULL << 48)
#define EVERY_S_MAX (31U * 86400U)
#define BACKOFF_MS_MAX (24U * 3600U * 1000U)
#define WINDOW_S_MAX (31U * 86400U)

/* ---- reading ---- */

/* A number from 1 to max: zero is the default, which is not written. */
static uint32_t read_number(struct cbor_in *r, const char *field, uint32_t max)
{
    uint32_t value = (uint32_t)cbor_uint(r, field, max);

    if (value == 0)
        cbor_fail(r, RC_VALUE, field);
    return value;
}

static bool read_true(struct cbor_in *r, const char *field)
{
    bool value = cbor_bool(r, field);

    if (!value)
        cbor_fail(r, RC_VALUE, field);
    return value;
}

static void read_network(struct cbor_in *r, struct manifest *d)
{
    (void)cbor_array(r, "manifest.network", 3, 3);
    d->network = (enum network)read_number(r, "manifest.network", NETWORKS - 1);
    d->net_bps = cbor_uint(r, "manifest.net-rate", NET_BPS_MAX);
    cbor_text(r, "manifest.interface", d->interface, sizeof d->interface);
    cbor_end(r);
}

void wire_wants(struct cbor_in *r, struct manifest *d)
{
    if (cbor_map(r, "manifest.wants", WANT_KEYS) == 0)
        cbor_fail(r, RC_VALUE, "manifest.wants");
    if (wire_optional(r, WANT_CALLS))
        d->calls = read_number(r, "manifest.calls", CALLS_ALL);
    if (wire_optional(r, WANT_NETWORK))
        read_network(r, d);
    if (wire_optional(r, WANT_DEVICES))
        d->n_devices = wire_names(r, "manifest.devices", d->device, MANIFEST_DEVICES_MAX);
    if (wire_optional(r, WANT_INNER_ROOT))
        d->inner_root = read_true(r, "manifest.inner-root");
    if (wire_optional(r, WANT_ISOLATION))
        d->isolation = (enum isolation)read_number(r, "manifest.isolation", ISOLATIONS - 1);
    if (wire_optional(r, WANT_IMAGE))
        d->image = (enum image_type)read_number(r, "manifest.image", IMAGE_TYPES - 1);
    if (wire_optional(r, WANT_PEERS))
        d->n_peers = wire_names(r, "manifest.peers", d->peer, MANIFEST_PEERS_MAX);
    wire_close(r);
}

static void read_kind(struct cbor_in *r, struct manifest *d)
{
    size_t n = cbor_array(r, "manifest.kind", 1, 5);

    d->kind = (enum payload_kind)read_number(r, "manifest.kind", KINDS - 1);
    if ((n == 5) != (d->kind == KIND_SCHEDULED) || (n != 5 && n != 1))
        cbor_fail(r, RC_CBOR_COUNT, "manifest.kind");
    if (n == 5) {
        d->schedule.every_s = wire_u32(r, "manifest.schedule.every");
        d->schedule.at_aos = cbor_bool(r, "manifest.schedule.at");
        d->schedule.at_los = cbor_bool(r, "manifest.schedule.at");
        cbor_text(r, "manifest.schedule.event", d->schedule.event, sizeof d->schedule.event);
    }
    cbor_end(r);
}

static bool restart_none(const struct restart *r)
{
    return r->policy == RESTART_ALWAYS && r->backoff_ms == 0 && r->backoff_max_ms == 0 &&
           r->budget == 0 && r->window_s == 0;
}

static void read_restart(struct cbor_in *r, struct restart *ret)
{
    (void)cbor_array(r, "manifest.restart", 5, 5);
    ret->policy =
        (enum restart_policy)cbor_uint(r, "manifest.restart.policy", RESTART_POLICIES - 1);
    ret->backoff_ms = wire_u32(r, "manifest.restart.backoff");
    ret->backoff_max_ms = wire_u32(r, "manifest.restart.backoff-max");
    ret->budget = wire_u32(r, "manifest.restart.budget");
    ret->window_s = wire_u32(r, "manifest.restart.window");
    if (restart_none(ret))
        cbor_fail(r, RC_VALUE, "manifest.restart");
    cbor_end(r);
}

void wire_life(struct cbor_in *r, struct manifest *d)
{
    if (cbor_map(r, "manifest.life", LIFE_KEYS) == 0)
        cbor_fail(r, RC_VALUE, "manifest.life");
    if (wire_optional(r, LIFE_KIND))
        read_kind(r, d);
    if (wire_optional(r, LIFE_RESTART))
        read_restart(r, &d->restart);
    if (wire_optional(r, LIFE_AFTER))
        d->n_after = wire_names(r, "manifest.after", d->after, MANIFEST_AFTER_MAX);
    if (wire_optional(r, LIFE_MODES))
        d->modes = read_number(r, "manifest.modes", MODES_ALL);
    if (wire_optional(r, LIFE_FREEZE))
        d->freeze = read_true(r, "manifest.freeze");
    wire_close(r);
}

/* ---- writing ---- */

static size_t want_keys(const struct manifest *d)
{
    return (size_t)(d->calls != 0) + (d->network != NETWORK_NONE) + (d->n_devices != 0) +
           d->inner_root + (d->isolation != ISOLATION_PROCESS) + (d->image != IMAGE_ELF) +
           (d->n_peers != 0);
}

static size_t life_keys(const struct manifest *d)
{
    return (size_t)(d->kind != KIND_SERVICE) + !restart_none(&d->restart) + (d->n_after != 0) +
           (d->modes != 0) + d->freeze;
}

bool wire_has_wants(const struct manifest *d)
{
    return want_keys(d) != 0;
}

bool wire_has_life(const struct manifest *d)
{
    return life_keys(d) != 0;
}

void wire_put_wants(struct cbor_out *w, const struct manifest *d)
{
    cbor_put_map(w, want_keys(d));
    if (d->calls != 0)
        wire_put_uint_at(w, WANT_CALLS, d->calls);
    if (d->network != NETWORK_NONE) {
        cbor_put_uint(w, WANT_NETWORK);
        cbor_put_array(w, 3);
        cbor_put_uint(w, d->network);
        cbor_put_uint(w, d->net_bps);
        cbor_put_text(w, d->interface);
    }
    wire_put_names_at(w, WANT_DEVICES, d->device, d->n_devices);
    wire_put_true_at(w, WANT_INNER_ROOT, d->inner_root);
    if (d->isolation != ISOLATION_PROCESS)
        wire_put_uint_at(w, WANT_ISOLATION, d->isolation);
    if (d->image != IMAGE_ELF)
        wire_put_uint_at(w, WANT_IMAGE, d->image);
    wire_put_names_at(w, WANT_PEERS, d->peer, d->n_peers);
}

static void put_kind(struct cbor_out *w, const struct manifest *d)
{
    bool scheduled = d->kind == KIND_SCHEDULED;

    cbor_put_uint(w, LIFE_KIND);
    cbor_put_array(w, scheduled ? 5 : 1);
    cbor_put_uint(w, d->kind);
    if (!scheduled)
        return;
    cbor_put_uint(w, d->schedule.every_s);
    cbor_put_bool(w, d->schedule.at_aos);
    cbor_put_bool(w, d->schedule.at_los);
    cbor_put_text(w, d->schedule.event);
}

static void put_restart(struct cbor_out *w, const struct restart *r)
{
    cbor_put_uint(w, LIFE_RESTART);
    cbor_put_array(w, 5);
    cbor_put_uint(w, r->policy);
    cbor_put_uint(w, r->backoff_ms);
    cbor_put_uint(w, r->backoff_max_ms);
    cbor_put_uint(w, r->budget);
    cbor_put_uint(w, r->window_s);
}

void wire_put_life(struct cbor_out *w, const struct manifest *d)
{
    cbor_put_map(w, life_keys(d));
    if (d->kind != KIND_SERVICE)
        put_kind(w, d);
    if (!restart_none(&d->restart))
        put_restart(w, &d->restart);
    wire_put_names_at(w, LIFE_AFTER, d->after, d->n_after);
    if (d->modes != 0)
        wire_put_uint_at(w, LIFE_MODES, d->modes);
    wire_put_true_at(w, LIFE_FREEZE, d->freeze);
}

/* ---- checking ---- */

static enum rc check_network(const struct manifest *d, struct err *err)
{
    bool is_wired = d->network == NETWORK_PRIVATE || d->network == NETWORK_HOST;

    if ((unsigned)d->network >= NETWORKS)
        return err_set(err, RC_VALUE, "manifest.network");
    if (d->network == NETWORK_HOST && !interface_valid(d->interface))
        return err_set(err, RC_NAME, "manifest.interface");
    if (d->network != NETWORK_HOST && d->interface[0] != '\0')
        return err_set(err, RC_VALUE, "manifest.interface: without network host");
    if (d->net_bps > NET_BPS_MAX)
        return err_set(err, RC_VALUE, "manifest.net-rate");
    if (d->net_bps != 0 && !is_wired)
        return err_set(err, RC_VALUE, "manifest.net-rate: without a network");
    return RC_OK;
}

/* Names of other payloads. */
static enum rc check_others(const struct manifest *d, const char (*names)[NAME_CAP], uint32_t n,
                            uint32_t max, const char *field, struct err *err)
{
    enum rc rc = names_check(names, n, max, field, err);

    for (uint32_t i = 0; rc == RC_OK && i < n; i++)
        if (strcmp(names[i], d->name) == 0)
            rc = err_set(err, RC_VALUE, "%s[%u]: itself", field, i);
    return rc;
}

enum rc wants_check(const struct manifest *d, struct err *err)
{
    if ((d->calls & ~(uint32_t)CALLS_ALL) != 0)
        return err_set(err, RC_VALUE, "manifest.calls");
    if ((unsigned)d->isolation >= ISOLATIONS)
        return err_set(err, RC_VALUE, "manifest.isolation");
    if ((unsigned)d->image >= IMAGE_TYPES)
        return err_set(err, RC_VALUE, "manifest.image");
    if (d->image == IMAGE_SOLO5 && d->isolation != ISOLATION_VM)
        return err_set(err, RC_VALUE, "manifest.image: solo5 needs isolation vm");

    enum rc rc = check_network(d, err);
    if (rc == RC_OK)
        rc = names_check(d->device, d->n_devices, MANIFEST_DEVICES_MAX, "manifest.devices", err);
    if (rc == RC_OK)
        rc = check_others(d, d->peer, d->n_peers, MANIFEST_PEERS_MAX, "manifest.peers", err);
    return rc;
}

static enum rc check_schedule(const struct manifest *d, struct err *err)
{
    const struct schedule *s = &d->schedule;
    bool says = s->every_s != 0 || s->at_aos || s->at_los || s->event[0] != '\0';

    if ((unsigned)d->kind >= KINDS)
        return err_set(err, RC_VALUE, "manifest.kind");
    if (says != (d->kind == KIND_SCHEDULED))
        return err_set(err, RC_VALUE, "manifest.schedule: %s",
                       says ? "of a kind that has none" : "says nothing");
    if (s->every_s > EVERY_S_MAX)
        return err_set(err, RC_VALUE, "manifest.schedule.every");
    if (s->event[0] != '\0' && !name_valid(s->event))
        return err_set(err, RC_NAME, "manifest.schedule.event");
    return RC_OK;
}

static enum rc check_restart(const struct restart *r, struct err *err)
{
    if ((unsigned)r->policy >= RESTART_POLICIES)
        return err_set(err, RC_VALUE, "manifest.restart.policy");
    if (r->backoff_ms > BACKOFF_MS_MAX)
        return err_set(err, RC_VALUE, "manifest.restart.backoff");
    if (r->backoff_max_ms > BACKOFF_MS_MAX ||
        (r->backoff_max_ms != 0 && r->backoff_max_ms < r->backoff_ms))
        return err_set(err, RC_VALUE, "manifest.restart.backoff-max");
    if (r->budget > RESTART_BUDGET_MAX)
        return err_set(err, RC_VALUE, "manifest.restart.budget");
    if (r->window_s > WINDOW_S_MAX || (r->window_s == 0) != (r->budget == 0))
        return err_set(err, RC_VALUE, "manifest.restart.window");
    return RC_OK;
}

enum rc life_check(const struct manifest *d, struct err *err)
{
    enum rc rc = check_schedule(d, err);

    if (rc == RC_OK)
        rc = check_restart(&d->restart, err);
    if (rc == RC_OK)
        rc = check_others(d, d->after, d->n_after, MANIFEST_AFTER_MAX, "manifest.after", err);
    if (rc == RC_OK && (d->modes & ~(uint32_t)MODES_ALL) != 0)
        rc = err_set(err, RC_VALUE, "manifest.modes");
    if (rc == RC_OK && d->freeze && d->kind != KIND_SERVICE)
        rc = err_set(err, RC_VALUE, "manifest.freeze: not a service");
    return rc;
}
