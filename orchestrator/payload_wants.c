/* SPDX-License-Identifier: Apache-2.0
 *
 * The newer half of payload.yaml and of quota files: what a payload asks for beside amounts, how it
 * lives, and what a tenant's payloads may ask for.
 */
#include <stdio.h>

#include "base/name.h"
#include "orchestrator/payload.h"

#define NET_BPS_MAX (UINT64_C(1) << 40)
#define DAY_MS UINT64_C(86400000)

/* A word and its number or bit. */
struct word {
    const char *text;
    uint32_t value;
};

static const struct word calls_words[] = { { "net", CALLS_NET },
                                           { "device", CALLS_DEVICE },
                                           { "posix-legacy", CALLS_POSIX_LEGACY },
                                           { NULL, 0 } };
static const struct word network_words[] = { { "none", NETWORK_NONE },
                                             { "loopback", NETWORK_LOOPBACK },
                                             { "private", NETWORK_PRIVATE },
                                             { "host", NETWORK_HOST },
                                             { NULL, 0 } };
static const struct word mode_words[] = { { "nominal", MODE_NOMINAL },
                                          { "safe", MODE_SAFE },
                                          { NULL, 0 } };
static const struct word isolation_words[] = { { "process", ISOLATION_PROCESS },
                                               { "vm", ISOLATION_VM },
                                               { NULL, 0 } };
static const struct word format_words[] = { { "elf", IMAGE_ELF },
                                            { "solo5", IMAGE_SOLO5 },
                                            { NULL, 0 } };
static const struct word kind_words[] = { { "service", KIND_SERVICE },
                                          { "oneshot", KIND_ONESHOT },
                                          { "scheduled", KIND_SCHEDULED },
                                          { NULL, 0 } };
static const struct word policy_words[] = { { "always", RESTART_ALWAYS },
                                            { "on-failure", RESTART_ON_FAILURE },
                                            { "never", RESTART_NEVER },
                                            { NULL, 0 } };
static const struct word at_words[] = { { "aos", 1 }, { "los", 2 }, { NULL, 0 } };

/* "net, device or posix-legacy" */
static void list_words(const struct word *words, char *out, size_t cap)
{
    size_t n = 0;

    out[0] = '\0';
    for (; words->text; words++) {
        const char *joint = n == 0 ? "" : words[1].text ? ", " : " or ";
        int k = snprintf(out + n, cap - n, "%s%s", joint, words->text);

        if (k < 0 || (size_t)k >= cap - n)
            return;
        n += (size_t)k;
    }
}

static uint32_t word_value(struct yaml_in *r, const struct yaml_node *node, const char *key,
                           const struct word *words)
{
    char text[NAME_CAP], list[80];

    yaml_scalar(r, node, text, sizeof text);
    for (const struct word *w = words; w->text; w++)
        if (strcmp(w->text, text) == 0)
            return w->value;
    list_words(words, list, sizeof list);
    if (r->err.rc == RC_OK)
        yaml_fail(r, node, "'%s' must be %s", key, list);
    return 0;
}

/* One word; absent is zero. */
static uint32_t read_word(struct yaml_in *r, const struct yaml_node *map, const char *key,
                          const struct word *words)
{
    const struct yaml_node *node = yaml_get(r, map, key);

    return node ? word_value(r, node, key, words) : 0;
}

/* A list of words, as bits. */
static uint32_t read_bits(struct yaml_in *r, const struct yaml_node *map, const char *key,
                          const struct word *words)
{
    const struct yaml_node *list = yaml_list(r, map, key, false);
    uint32_t bits = 0;

    for (const struct yaml_node *n = yaml_first(r, list); n; n = yaml_next(r, n)) {
        uint32_t bit = word_value(r, n, key, words);

        if ((bits & bit) != 0)
            yaml_fail(r, n, "the same twice");
        bits |= bit;
    }
    return bits;
}

/* A list of names. */
static uint32_t read_names(struct yaml_in *r, const struct yaml_node *map, const char *key,
                           char (*ret)[NAME_CAP], uint32_t max)
{
    const struct yaml_node *list = yaml_list(r, map, key, false);
    uint32_t count = 0;

    for (const struct yaml_node *n = yaml_first(r, list); n; n = yaml_next(r, n)) {
        if (count == max) {
            yaml_fail(r, n, "more than %u in '%s'", max, key);
            return count;
        }
        yaml_scalar(r, n, ret[count], NAME_CAP);
        if (r->err.rc == RC_OK && !name_valid(ret[count]))
            yaml_fail(r, n, "'%s' must name what is letters a-z, digits and '-'", key);
        for (uint32_t i = 0; i < count; i++)
            if (r->err.rc == RC_OK && strcmp(ret[i], ret[count]) == 0)
                yaml_fail(r, n, "the same twice");
        count++;
    }
    return count;
}

static void read_interface(struct yaml_in *r, const struct yaml_node *map, struct manifest *m)
{
    bool is_host = m->network == NETWORK_HOST;

    yaml_text(r, map, "interface", is_host ? NULL : "", m->interface, sizeof m->interface);
    if (r->err.rc != RC_OK)
        return;
    if (!is_host && m->interface[0] != '\0')
        yaml_fail(r, yaml_get(r, map, "interface"), "'interface' goes with type host");
    if (is_host && (!name_valid(m->interface) || strlen(m->interface) > INTERFACE_MAX_LEN))
        yaml_fail(r, yaml_get(r, map, "interface"),
                  "'interface' must be letters a-z, digits and '-', at most %u", INTERFACE_MAX_LEN);
}

/* A word, or a map with type, interface and rate. */
static void read_network(struct yaml_in *r, const struct yaml_node *top, struct manifest *m)
{
    static const char *const keys[] = { "type", "interface", "rate", NULL };
    const struct yaml_node *node = yaml_get(r, top, "network");

    if (!node)
        return;
    if (node->type == YAML_SCALAR) {
        m->network = (enum network)word_value(r, node, "network", network_words);
        if (r->err.rc == RC_OK && m->network == NETWORK_HOST)
            yaml_fail(r, node, "which interface? {type: host, interface: NAME}");
        return;
    }
    yaml_keys(r, node, keys);
    m->network = (enum network)read_word(r, node, "type", network_words);
    read_interface(r, node, m);
    m->net_bps = yaml_size(r, node, "rate", 0, 1, NET_BPS_MAX);
    if (r->err.rc == RC_OK && m->net_bps != 0 && m->network != NETWORK_PRIVATE &&
        m->network != NETWORK_HOST)
        yaml_fail(r, yaml_get(r, node, "rate"), "'rate' goes with type private or host");
}

void wants_read(struct yaml_in *r, const struct yaml_node *top, struct manifest *m)
{
    m->calls = read_bits(r, top, "calls", calls_words);
    read_network(r, top, m);
    m->n_devices = read_names(r, top, "devices", m->device, MANIFEST_DEVICES_MAX);
    m->inner_root = yaml_bool(r, top, "inner-root", false);
    m->isolation = (enum isolation)read_word(r, top, "isolation", isolation_words);
    m->image = (enum image_type)read_word(r, top, "format", format_words);
    m->n_peers = read_names(r, top, "peers", m->peer, MANIFEST_PEERS_MAX);
    if (r->err.rc == RC_OK && m->image == IMAGE_SOLO5 && m->isolation != ISOLATION_VM)
        yaml_fail(r, yaml_get(r, top, "format"), "'format' solo5 goes with isolation vm");
}

static void read_schedule(struct yaml_in *r, const struct yaml_node *top, struct manifest *m)
{
    static const char *const keys[] = { "every", "at", "event", NULL };
    const struct yaml_node *map = yaml_map(r, top, "schedule", m->kind == KIND_SCHEDULED);

    if (!map)
        return;
    yaml_keys(r, map, keys);
    if (r->err.rc == RC_OK && m->kind != KIND_SCHEDULED)
        yaml_fail(r, map, "'schedule' goes with kind scheduled");
    m->schedule.every_s = (uint32_t)(yaml_time(r, map, "every", 0, 1000, 31 * DAY_MS) / 1000);
    uint32_t at = read_bits(r, map, "at", at_words);
    m->schedule.at_aos = (at & 1) != 0;
    m->schedule.at_los = (at & 2) != 0;
    yaml_text(r, map, "event", "", m->schedule.event, sizeof m->schedule.event);
    if (r->err.rc == RC_OK && m->schedule.event[0] != '\0' && !name_valid(m->schedule.event))
        yaml_fail(r, yaml_get(r, map, "event"), "'event' must be letters a-z, digits and '-'");
    if (r->err.rc == RC_OK && m->schedule.every_s == 0 && at == 0 && m->schedule.event[0] == '\0')
        yaml_fail(r, map, "'every', 'at' or 'event' is missing");
}

static void read_restart(struct yaml_in *r, const struct yaml_node *top, struct restart *ret)
{
    static const char *const keys[] = {
        "policy", "backoff", "backoff-max", "budget", "window", NULL
    };
    const struct yaml_node *map = yaml_map(r, top, "restart", false);

    if (!map)
        return;
    yaml_keys(r, map, keys);
    ret->policy = (enum restart_policy)read_word(r, map, "policy", policy_words);
    ret->backoff_ms = (uint32_t)yaml_time(r, map, "backoff", 0, 1, DAY_MS);
    ret->backoff_max_ms = (uint32_t)yaml_time(r, map, "backoff-max", 0, 1, DAY_MS);
    ret->budget = (uint32_t)yaml_uint(r, map, "budget", 0, 1, RESTART_BUDGET_MAX);
    ret->window_s = (uint32_t)(yaml_time(r, map, "window", 0, 1000, 31 * DAY_MS) / 1000);
    if (r->err.rc == RC_OK && (ret->budget == 0) != (ret->window_s == 0))
        yaml_fail(r, map, "'budget' and 'window' go together");
    if (r->err.rc == RC_OK && ret->backoff_max_ms != 0 && ret->backoff_max_ms < ret->backoff_ms)
        yaml_fail(r, yaml_get(r, map, "backoff-max"), "'backoff-max' is below 'backoff'");
}

void life_read(struct yaml_in *r, const struct yaml_node *top, struct manifest *m)
{
    m->kind = (enum payload_kind)read_word(r, top, "kind", kind_words);
    read_schedule(r, top, m);
    read_restart(r, top, &m->restart);
    m->n_after = read_names(r, top, "after", m->after, MANIFEST_AFTER_MAX);
    m->modes = read_bits(r, top, "modes", mode_words);
    m->freeze = yaml_bool(r, top, "freeze", false);
    if (r->err.rc == RC_OK && m->freeze && m->kind != KIND_SERVICE)
        yaml_fail(r, yaml_get(r, top, "freeze"), "'freeze' goes with kind service");
}

void allowance_read(struct yaml_in *r, const struct yaml_node *map, struct allowance *ret)
{
    const struct yaml_node *networks = yaml_list(r, map, "networks", false);

    ret->calls = read_bits(r, map, "calls", calls_words);
    for (const struct yaml_node *n = yaml_first(r, networks); n; n = yaml_next(r, n))
        ret->networks |= 1U << word_value(r, n, "networks", network_words);
    ret->networks &= ~(1U << NETWORK_NONE); /* needs no leave */
    ret->n_interfaces = read_names(r, map, "interfaces", ret->interface, ALLOWANCE_INTERFACES_MAX);
    ret->n_devices = read_names(r, map, "devices", ret->device, ALLOWANCE_DEVICES_MAX);
    ret->net_bps = yaml_size(r, map, "net-rate", 0, 1, NET_BPS_MAX);
    ret->inner_root = yaml_bool(r, map, "inner-root", false);
    ret->modes = read_bits(r, map, "modes", mode_words) & ~(uint32_t)MODE_NOMINAL;
    ret->vm = yaml_bool(r, map, "vm", false);
    ret->peers = yaml_bool(r, map, "peers", false);
}
