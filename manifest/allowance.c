/* SPDX-License-Identifier: Apache-2.0
 *
 * What manifests may ask for beside amounts: inside a grant, inside a delegation, and whether a
 * manifest stays inside one.
 */
#include <stdio.h>

#include "base/name.h"
#include "manifest/wire.h"

/* Keys of the map on the wire. */
enum key {
    KEY_CALLS = 1,
    KEY_NETWORKS = 2,
    KEY_INTERFACES = 3,
    KEY_DEVICES = 4,
    KEY_NET_BPS = 5,
    KEY_INNER_ROOT = 6,
    KEY_MODES = 7,
    KEY_VM = 8,
    KEY_PEERS = 9,
};
#define KEYS 9U

#define NET_BPS_MAX (1ULL << 48)
#define NETWORKS_ALL ((1U << NETWORKS) - 2U) /* all but NETWORK_NONE, which needs no leave */
#define MODES_EXTRA ((uint32_t)MODES_ALL & ~(uint32_t)MODE_NOMINAL)

/* ---- the wire form ---- */

/* A bit mask that is not zero: what is not there says that. */
static uint32_t read_mask(struct cbor_in *r, enum key key, const char *field, uint32_t all)
{
    if (!wire_optional(r, key))
        return 0;
    uint32_t mask = wire_u32(r, field);

    if (mask == 0 || (mask & ~all) != 0)
        cbor_fail(r, RC_VALUE, field);
    return mask;
}

static bool read_true(struct cbor_in *r, enum key key, const char *field)
{
    if (!wire_optional(r, key))
        return false;
    bool value = cbor_bool(r, field);

    if (!value)
        cbor_fail(r, RC_VALUE, field);
    return value;
}

uint32_t wire_names(struct cbor_in *r, const char *field, char (*ret)[NAME_CAP], uint32_t max)
{
    uint32_t n = (uint32_t)cbor_array(r, field, 1, max);

    for (uint32_t i = 0; i < n && r->rc == RC_OK; i++)
        cbor_text(r, field, ret[i], NAME_CAP);
    cbor_end(r);
    return n;
}

void wire_allowance(struct cbor_in *r, const char *field, struct allowance *ret)
{
    if (cbor_map(r, field, KEYS) == 0)
        cbor_fail(r, RC_VALUE, field);
    ret->calls = read_mask(r, KEY_CALLS, field, CALLS_ALL);
    ret->networks = read_mask(r, KEY_NETWORKS, field, NETWORKS_ALL);
    if (wire_optional(r, KEY_INTERFACES))
        ret->n_interfaces = wire_names(r, field, ret->interface, ALLOWANCE_INTERFACES_MAX);
    if (wire_optional(r, KEY_DEVICES))
        ret->n_devices = wire_names(r, field, ret->device, ALLOWANCE_DEVICES_MAX);
    if (wire_optional(r, KEY_NET_BPS)) {
        ret->net_bps = cbor_uint(r, field, NET_BPS_MAX);
        if (ret->net_bps == 0)
            cbor_fail(r, RC_VALUE, field);
    }
    ret->inner_root = read_true(r, KEY_INNER_ROOT, field);
    ret->modes = read_mask(r, KEY_MODES, field, MODES_EXTRA);
    ret->vm = read_true(r, KEY_VM, field);
    ret->peers = read_true(r, KEY_PEERS, field);
    wire_close(r);
}

void wire_put_names_at(struct cbor_out *w, uint64_t key, const char (*names)[NAME_CAP], uint32_t n)
{
    if (n == 0)
        return;
    cbor_put_uint(w, key);
    cbor_put_array(w, n);
    for (uint32_t i = 0; i < n; i++)
        cbor_put_text(w, names[i]);
}

void wire_put_true_at(struct cbor_out *w, uint64_t key, bool value)
{
    if (!value)
        return;
    cbor_put_uint(w, key);
    cbor_put_bool(w, true);
}

static void put_some(struct cbor_out *w, enum key key, uint64_t value)
{
    if (value != 0)
        wire_put_uint_at(w, key, value);
}

void wire_put_allowance(struct cbor_out *w, const struct allowance *a)
{
    cbor_put_map(w, (size_t)(a->calls != 0) + (a->networks != 0) + (a->n_interfaces != 0) +
                        (a->n_devices != 0) + (a->net_bps != 0) + a->inner_root + (a->modes != 0) +
                        a->vm + a->peers);
    put_some(w, KEY_CALLS, a->calls);
    put_some(w, KEY_NETWORKS, a->networks);
    wire_put_names_at(w, KEY_INTERFACES, a->interface, a->n_interfaces);
    wire_put_names_at(w, KEY_DEVICES, a->device, a->n_devices);
    put_some(w, KEY_NET_BPS, a->net_bps);
    wire_put_true_at(w, KEY_INNER_ROOT, a->inner_root);
    put_some(w, KEY_MODES, a->modes);
    wire_put_true_at(w, KEY_VM, a->vm);
    wire_put_true_at(w, KEY_PEERS, a->peers);
}

/* ---- checking ---- */

bool allowance_none(const struct allowance *a)
{
    return a->calls == 0 && a->networks == 0 && a->n_interfaces == 0 && a->n_devices == 0 &&
           a->net_bps == 0 && !a->inner_root && a->modes == 0 && !a->vm && !a->peers;
}

enum rc names_check(const char (*names)[NAME_CAP], uint32_t n, uint32_t max, const char *field,
                    struct err *err)
{
    if (n > max)
        return err_set(err, RC_VALUE, "%s: more than %u", field, max);
    for (uint32_t i = 0; i < n; i++) {
        if (!name_valid(names[i]))
            return err_set(err, RC_NAME, "%s[%u]", field, i);
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(names[i], names[j]) == 0)
                return err_set(err, RC_VALUE, "%s[%u]: twice", field, i);
    }
    return RC_OK;
}

bool interface_valid(const char *name)
{
    return name_valid(name) && strlen(name) <= INTERFACE_MAX_LEN;
}

enum rc allowance_check(const struct allowance *a, const char *field, struct err *err)
{
    char what[40];

    if ((a->calls & ~(uint32_t)CALLS_ALL) != 0)
        return err_set(err, RC_VALUE, "%s.calls", field);
    if ((a->networks & ~NETWORKS_ALL) != 0)
        return err_set(err, RC_VALUE, "%s.networks", field);
    if ((a->modes & ~MODES_EXTRA) != 0)
        return err_set(err, RC_VALUE, "%s.modes", field);
    if (a->net_bps > NET_BPS_MAX)
        return err_set(err, RC_VALUE, "%s.net-rate", field);
    (void)snprintf(what, sizeof what, "%.20s.interfaces", field);
    enum rc rc = names_check(a->interface, a->n_interfaces, ALLOWANCE_INTERFACES_MAX, what, err);
    for (uint32_t i = 0; rc == RC_OK && i < a->n_interfaces; i++)
        if (!interface_valid(a->interface[i]))
            rc = err_set(err, RC_NAME, "%s[%u]", what, i);
    (void)snprintf(what, sizeof what, "%.20s.devices", field);
    if (rc == RC_OK)
        rc = names_check(a->device, a->n_devices, ALLOWANCE_DEVICES_MAX, what, err);
    return rc;
}

/* ---- one inside another ---- */

static bool has_name(const char (*names)[NAME_CAP], uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static bool has_names(const char (*names)[NAME_CAP], uint32_t n, const char (*want)[NAME_CAP],
                      uint32_t n_want)
{
    for (uint32_t i = 0; i < n_want; i++)
        if (!has_name(names, n, want[i]))
            return false;
    return true;
}

const char *allowance_beyond(const struct manifest *want, const struct allowance *may)
{
    bool has_network = want->network == NETWORK_NONE || (may->networks & 1U << want->network) != 0;
    bool is_wired = want->network == NETWORK_PRIVATE || want->network == NETWORK_HOST;

    if ((want->calls & ~may->calls) != 0)
        return "calls";
    if (!has_network)
        return "network";
    if (want->network == NETWORK_HOST &&
        !has_name(may->interface, may->n_interfaces, want->interface))
        return "interface";
    if (is_wired && may->net_bps != 0 && (want->net_bps == 0 || want->net_bps > may->net_bps))
        return "net-rate";
    if (!has_names(may->device, may->n_devices, want->device, want->n_devices))
        return "devices";
    if (want->inner_root && !may->inner_root)
        return "inner-root";
    if ((want->modes & ~(may->modes | MODE_NOMINAL)) != 0)
        return "modes";
    if (want->isolation == ISOLATION_VM && !may->vm)
        return "isolation";
    return want->n_peers != 0 && !may->peers ? "peers" : NULL;
}

/* A bound that is missing here is there above: every level's is asked. */
const char *allowance_beyond_other(const struct allowance *want, const struct allowance *may)
{
    if ((want->calls & ~may->calls) != 0)
        return "calls";
    if ((want->networks & ~may->networks) != 0)
        return "networks";
    if (!has_names(may->interface, may->n_interfaces, want->interface, want->n_interfaces))
        return "interfaces";
    if (!has_names(may->device, may->n_devices, want->device, want->n_devices))
        return "devices";
    if (may->net_bps != 0 && want->net_bps > may->net_bps)
        return "net-rate";
    if (want->inner_root && !may->inner_root)
        return "inner-root";
    if ((want->modes & ~may->modes) != 0)
        return "modes";
    if (want->vm && !may->vm)
        return "vm";
    return want->peers && !may->peers ? "peers" : NULL;
}

struct allowance allowance_of(const struct manifest *want)
{
    struct allowance a = { .calls = want->calls,
                           .networks =
                               want->network == NETWORK_NONE ? 0 : 1U << (unsigned)want->network,
                           .modes = want->modes & MODES_EXTRA,
                           .inner_root = want->inner_root,
                           .vm = want->isolation == ISOLATION_VM,
                           .peers = want->n_peers != 0,
                           .net_bps = want->net_bps,
                           .n_devices = want->n_devices };

    memcpy(a.device, want->device, sizeof want->device);
    if (want->network == NETWORK_HOST) {
        memcpy(a.interface[0], want->interface, sizeof a.interface[0]);
        a.n_interfaces = 1;
    }
    return a;
}

void grant_as_asked(const struct manifest *want, struct grant *ret)
{
    *ret = (struct grant){ .total = want->limits, .may = allowance_of(want) };
    memcpy(ret->tenant, want->tenant, sizeof ret->tenant);
}
