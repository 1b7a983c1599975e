/* SPDX-License-Identifier: Apache-2.0
 *
 * Resources, allowances, what a manifest asks for and how its payload lives, as JSON: what is the
 * default is left out.
 */
#include "orchestrator/describe.h"

static void add(json_t *to, const char *name, uint64_t value)
{
    if (value != 0)
        (void)json_object_set_new(to, name, json_uint(value));
}

static void add_true(json_t *to, const char *name, bool value)
{
    if (value)
        (void)json_object_set_new(to, name, json_true());
}

static void add_word(json_t *to, const char *name, const char *const *words, uint32_t value)
{
    if (value != 0)
        (void)json_object_set_new(to, name, json_string(words[value]));
}

static void add_names(json_t *to, const char *name, const char (*names)[NAME_CAP], uint32_t n)
{
    json_t *list = n > 0 ? json_array() : NULL;

    for (uint32_t i = 0; i < n; i++)
        (void)json_array_append_new(list, json_safe(names[i]));
    if (list)
        (void)json_object_set_new(to, name, list);
}

/* The words of the bits that are set; first is the word of bit 0, and there are n. */
static void add_bits(json_t *to, const char *name, const char *const *words, uint32_t n,
                     uint32_t bits)
{
    json_t *list = bits != 0 ? json_array() : NULL;

    for (uint32_t i = 0; i < n; i++)
        if ((bits >> i & 1) != 0)
            (void)json_array_append_new(list, json_string(words[i]));
    if (list)
        (void)json_object_set_new(to, name, list);
}

static const char *const calls_words[] = { "net", "device", "posix-legacy" };
static const char *const network_words[NETWORKS] = { "none", "loopback", "private", "host" };
static const char *const mode_words[] = { "nominal", "safe" };
static const char *const isolation_words[ISOLATIONS] = { "process", "vm" };
static const char *const format_words[IMAGE_TYPES] = { "elf", "solo5" };
static const char *const kind_words[KINDS] = { "service", "oneshot", "scheduled" };
static const char *const policy_words[RESTART_POLICIES] = { "always", "on-failure", "never" };

json_t *describe_resources(const struct resources *r)
{
    json_t *value = json_pack(
        "{s:o, s:o, s:o, s:i, s:i, s:i}", "memory_bytes", json_uint(r->memory_bytes), "data_bytes",
        json_uint(r->data_bytes), "tmp_bytes", json_uint(r->tmp_bytes), "cpu_permille",
        (int)r->cpu_permille, "pids", (int)r->pids, "open_files", (int)r->open_files);

    add(value, "memory_high_bytes", r->memory_high_bytes);
    add(value, "cpu_weight", r->cpu_weight);
    add(value, "io_weight", r->io_weight);
    add(value, "io_read_bps", r->io_read_bps);
    add(value, "io_write_bps", r->io_write_bps);
    add(value, "file_bytes", r->file_bytes);
    add(value, "shm_bytes", r->shm_bytes);
    add(value, "data_files", r->data_files);
    add(value, "tmp_files", r->tmp_files);
    add(value, "log_bytes_hour", r->log_bytes_hour);
    add(value, "inbox_bytes", r->inbox_bytes);
    add(value, "outbox_bytes", r->outbox_bytes);
    add(value, "outbox_bytes_day", r->outbox_bytes_day);
    add(value, "run_s_orbit", r->run_s_orbit);
    add(value, "core_bytes", r->core_bytes);
    add(value, "logs_bytes_day", r->logs_bytes_day);
    add(value, "logs_bytes_pass", r->logs_bytes_pass);
    return value;
}

void describe_allowance(json_t *to, const struct allowance *a)
{
    if (allowance_none(a))
        return;
    json_t *may = json_object();

    add_bits(may, "calls", calls_words, 3, a->calls);
    add_bits(may, "networks", network_words, NETWORKS, a->networks);
    add_names(may, "interfaces", a->interface, a->n_interfaces);
    add_names(may, "devices", a->device, a->n_devices);
    add(may, "net_bps", a->net_bps);
    add_true(may, "inner_root", a->inner_root);
    add_bits(may, "modes", mode_words, 2, a->modes);
    add_true(may, "vm", a->vm);
    add_true(may, "peers", a->peers);
    (void)json_object_set_new(to, "may", may);
}

/* Set it if there is anything in it; takes the reference. */
static void set_unless_empty(json_t *to, const char *name, json_t *value)
{
    if (json_object_size(value) > 0)
        (void)json_object_set(to, name, value);
    json_decref(value);
}

static json_t *life_json(const struct manifest *m)
{
    json_t *life = json_object(), *schedule = json_object(), *restart = json_object();

    add_word(life, "kind", kind_words, m->kind);
    add(schedule, "every_s", m->schedule.every_s);
    add_true(schedule, "at_aos", m->schedule.at_aos);
    add_true(schedule, "at_los", m->schedule.at_los);
    if (m->schedule.event[0] != '\0')
        (void)json_object_set_new(schedule, "event", json_safe(m->schedule.event));
    set_unless_empty(life, "schedule", schedule);
    add_word(restart, "policy", policy_words, m->restart.policy);
    add(restart, "backoff_ms", m->restart.backoff_ms);
    add(restart, "backoff_max_ms", m->restart.backoff_max_ms);
    add(restart, "budget", m->restart.budget);
    add(restart, "window_s", m->restart.window_s);
    set_unless_empty(life, "restart", restart);
    add_names(life, "after", m->after, m->n_after);
    add_bits(life, "modes", mode_words, 2, m->modes);
    add_true(life, "freeze", m->freeze);
    return life;
}

void describe_wants(json_t *to, const struct manifest *m)
{
    json_t *wants = json_object();

    add_bits(wants, "calls", calls_words, 3, m->calls);
    add_word(wants, "network", network_words, m->network);
    if (m->interface[0] != '\0')
        (void)json_object_set_new(wants, "interface", json_safe(m->interface));
    add(wants, "net_bps", m->net_bps);
    add_names(wants, "devices", m->device, m->n_devices);
    add_true(wants, "inner_root", m->inner_root);
    add_word(wants, "isolation", isolation_words, m->isolation);
    add_word(wants, "format", format_words, m->image);
    add_names(wants, "peers", m->peer, m->n_peers);
    set_unless_empty(to, "wants", wants);
    set_unless_empty(to, "life", life_json(m));
}
