/* SPDX-License-Identifier: Apache-2.0
 *
 * What came to manifests and grants later: amounts beyond the first six, what a payload asks for
 * beside amounts, how it lives.  That documents without any of it keep their bytes, that each field
 * comes through, is bounded, is refused beyond its grant, and has one encoding.
 */
#include "tests/unit/test.h"

#include <stdlib.h>

#include "base/cbor.h"
#include "base/crypto.h"
#include "manifest/delegation.h"
#include "tests/unit/documents.h"

#define MIB (1ULL << 20)

static uint8_t buf_a[DOCUMENT_MAX], buf_b[DOCUMENT_MAX];

/* doc_manifest() with all of it. */
static struct manifest full_manifest(void)
{
    struct manifest m = doc_manifest();

    m.limits.memory_high_bytes = 12 * MIB;
    m.limits.cpu_weight = 50;
    m.limits.io_weight = 20;
    m.limits.io_read_bps = MIB;
    m.limits.io_write_bps = 2 * MIB;
    m.limits.file_bytes = 3 * MIB;
    m.limits.shm_bytes = MIB;
    m.limits.data_files = 100;
    m.limits.tmp_files = 32;
    m.limits.log_bytes_hour = 4096;
    m.limits.inbox_bytes = MIB;
    m.limits.outbox_bytes = 2 * MIB;
    m.limits.outbox_bytes_day = 8 * MIB;
    m.limits.run_s_orbit = 600;
    m.limits.core_bytes = MIB / 2;
    m.limits.logs_bytes_day = 64 * 1024;
    m.limits.logs_bytes_pass = 16 * 1024;
    m.calls = CALLS_NET | CALLS_DEVICE;
    m.network = NETWORK_HOST;
    memcpy(m.interface, "can0", 5);
    m.net_bps = 100000;
    m.n_devices = 2;
    memcpy(m.device[0], "camera", 7);
    memcpy(m.device[1], "i2c-1", 6);
    m.inner_root = true;
    m.isolation = ISOLATION_VM;
    m.image = IMAGE_SOLO5;
    m.n_peers = 1;
    memcpy(m.peer[0], "cam-south", 10);
    m.kind = KIND_SCHEDULED;
    m.schedule = (struct schedule){ .every_s = 5400, .at_aos = true, .event = "ascending-node" };
    m.restart = (struct restart){ RESTART_ON_FAILURE, 500, 30000, 5, 3600 };
    m.n_after = 2;
    memcpy(m.after[0], "cam-db", 7);
    memcpy(m.after[1], "cam-bus", 8);
    m.modes = MODES_ALL;
    return m;
}

/* doc_grant() that allows exactly that. */
static struct grant full_grant(void)
{
    const struct manifest m = full_manifest();
    struct grant g = doc_grant();

    g.total.cpu_weight = m.limits.cpu_weight;
    g.total.io_weight = m.limits.io_weight;
    g.total.memory_high_bytes = m.limits.memory_high_bytes;
    g.total.io_read_bps = m.limits.io_read_bps;
    g.total.io_write_bps = m.limits.io_write_bps;
    g.total.file_bytes = m.limits.file_bytes;
    g.total.shm_bytes = m.limits.shm_bytes;
    g.total.data_files = m.limits.data_files;
    g.total.tmp_files = m.limits.tmp_files;
    g.total.log_bytes_hour = m.limits.log_bytes_hour;
    g.total.inbox_bytes = m.limits.inbox_bytes;
    g.total.outbox_bytes = m.limits.outbox_bytes;
    g.total.outbox_bytes_day = m.limits.outbox_bytes_day;
    g.total.run_s_orbit = m.limits.run_s_orbit;
    g.total.core_bytes = m.limits.core_bytes;
    g.total.logs_bytes_day = m.limits.logs_bytes_day;
    g.total.logs_bytes_pass = m.limits.logs_bytes_pass;
    g.may = allowance_of(&m);
    return g;
}

/* ---- what was there before ---- */

/* SHA-256 of what the encoders made of these documents before there was any of this. */
static void check_digest(struct bytes doc, const char *want)
{
    uint8_t digest[DIGEST_SIZE];
    char hex[2 * DIGEST_SIZE + 1];

    assert_rc(sha256_of(doc, digest, NULL), RC_OK);
    (void)bytes_hex((struct bytes){ digest, sizeof digest }, hex);
    assert_string_equal(hex, want);
}

static void test_old_documents_keep_their_bytes(void **state)
{
    (void)state;
    struct manifest m = doc_manifest(), back;
    struct bytes doc, again;

    /* doc_digest384 depends on keys made anew in every run */
    memset(&m.content384, 0, sizeof m.content384);
    assert_rc(manifest_encode(&m, buf_a, sizeof buf_a, &doc, NULL), RC_OK);
    check_digest(doc, "d6a0a353d9f3e59b034fe3da6ad6f5c609ded36ad1e57e7feac7d5845acd5763");
    assert_rc(manifest_decode(doc, &back, NULL), RC_OK);
    assert_rc(manifest_encode(&back, buf_b, sizeof buf_b, &again, NULL), RC_OK);
    assert_true(bytes_equal(doc, again));
    assert_int_equal(back.kind, KIND_SERVICE);
    assert_int_equal(manifest_modes(&back), MODE_NOMINAL);
    assert_int_equal(back.calls, 0);
    assert_int_equal(back.network, NETWORK_NONE);
    assert_int_equal(back.limits.shm_bytes, 0);
    assert_int_equal(back.restart.policy, RESTART_ALWAYS);
    assert_true(allowance_none(&(struct allowance){ 0 }));

    struct allowance none = allowance_of(&back);
    assert_true(allowance_none(&none));
}

/* ---- there and back ---- */

#define assert_round_trip(type, doc, back)                                                         \
    do {                                                                                           \
        struct bytes a_, b_;                                                                       \
        assert_rc(type##_encode(doc, buf_a, sizeof buf_a, &a_, NULL), RC_OK);                      \
        assert_rc(cbor_check(a_, NULL), RC_OK);                                                    \
        memset(back, 0, sizeof *(back));                                                           \
        assert_rc(type##_decode(a_, back, NULL), RC_OK);                                           \
        assert_rc(type##_encode(back, buf_b, sizeof buf_b, &b_, NULL), RC_OK);                     \
        assert_true(bytes_equal(a_, b_));                                                          \
    } while (0)

static void test_round_trips(void **state)
{
    (void)state;
    struct manifest m = full_manifest(), m_back;
    struct grant g = full_grant(), g_back;
    struct delegation d = doc_delegation(), d_back;

    assert_round_trip(manifest, &m, &m_back);
    assert_memory_equal(&m.limits, &m_back.limits, sizeof m.limits);
    assert_memory_equal(m.device, m_back.device, sizeof m.device);
    assert_memory_equal(m.after, m_back.after, sizeof m.after);
    assert_memory_equal(m.peer, m_back.peer, sizeof m.peer);
    assert_memory_equal(&m.restart, &m_back.restart, sizeof m.restart);
    assert_string_equal(m_back.interface, "can0");
    assert_string_equal(m_back.schedule.event, "ascending-node");
    assert_int_equal(m_back.schedule.every_s, 5400);
    assert_true(m_back.schedule.at_aos && !m_back.schedule.at_los && m_back.inner_root);
    assert_int_equal(m_back.calls, CALLS_NET | CALLS_DEVICE);
    assert_int_equal(m_back.net_bps, 100000);
    assert_int_equal(m_back.isolation, ISOLATION_VM);
    assert_int_equal(m_back.image, IMAGE_SOLO5);
    assert_int_equal(m_back.kind, KIND_SCHEDULED);
    assert_int_equal(m_back.modes, MODES_ALL);

    assert_round_trip(grant, &g, &g_back);
    assert_memory_equal(&g.total, &g_back.total, sizeof g.total);
    assert_memory_equal(&g.may, &g_back.may, sizeof g.may);
    g.total = doc_grant().total; /* either part alone */
    assert_round_trip(grant, &g, &g_back);
    d.total.shm_bytes = MIB;
    d.may = full_grant().may;
    assert_round_trip(delegation, &d, &d_back);
    assert_memory_equal(&d.may, &d_back.may, sizeof d.may);
    assert_int_equal(d_back.total.shm_bytes, MIB);

    m = doc_manifest(); /* and each part of the life alone */
    m.freeze = true;
    assert_round_trip(manifest, &m, &m_back);
    assert_true(m_back.freeze);
    m = doc_manifest();
    m.kind = KIND_ONESHOT;
    assert_round_trip(manifest, &m, &m_back);
    assert_int_equal(m_back.kind, KIND_ONESHOT);
}

/* ---- bounds ---- */

/* clang-format off */
#define SPOIL(name, change) static void name(struct manifest *d) { change; }
SPOIL(s_high, d->limits.memory_high_bytes = d->limits.memory_bytes + 1)
SPOIL(s_cpu_weight, d->limits.cpu_weight = 10001)
SPOIL(s_io_weight, d->limits.io_weight = 1001)
SPOIL(s_io_read, d->limits.io_read_bps = (1ULL << 48) + 1)
SPOIL(s_io_write, d->limits.io_write_bps = UINT64_MAX)
SPOIL(s_file, d->limits.file_bytes = (1ULL << 48) + 1)
SPOIL(s_shm, d->limits.shm_bytes = d->limits.memory_bytes / 2 + 1)
SPOIL(s_data_files, d->limits.data_files = (1U << 24) + 1)
SPOIL(s_data_files_none, d->limits.data_bytes = 0)
SPOIL(s_tmp_files, d->limits.tmp_files = (1U << 24) + 1)
SPOIL(s_log, d->limits.log_bytes_hour = (1ULL << 48) + 1)
SPOIL(s_inbox, d->limits.inbox_bytes = (1ULL << 48) + 1)
SPOIL(s_outbox, d->limits.outbox_bytes = (1ULL << 48) + 1)
SPOIL(s_outbox_day, d->limits.outbox_bytes_day = (1ULL << 48) + 1)
SPOIL(s_outbox_none, d->limits.outbox_bytes = 0)
SPOIL(s_run, d->limits.run_s_orbit = 86401)
SPOIL(s_core, d->limits.core_bytes = (1ULL << 48) + 1)
SPOIL(s_logs, d->limits.logs_bytes_day = (1ULL << 48) + 1)
SPOIL(s_logs_pass, d->limits.logs_bytes_pass = (1ULL << 48) + 1)
SPOIL(s_calls, d->calls = 8)
SPOIL(s_network, d->network = NETWORKS)
SPOIL(s_interface, d->interface[0] = '\0')
SPOIL(s_interface_long, memcpy(d->interface, "sixteen-letters0", 17))
SPOIL(s_interface_path, memcpy(d->interface, "../x", 5))
SPOIL(s_interface_alone, d->network = NETWORK_PRIVATE)
SPOIL(s_rate, d->net_bps = (1ULL << 48) + 1)
SPOIL(s_rate_alone, d->network = NETWORK_LOOPBACK; d->interface[0] = '\0')
SPOIL(s_devices, d->n_devices = MANIFEST_DEVICES_MAX + 1)
SPOIL(s_device, d->device[1][0] = '/')
SPOIL(s_device_none, d->device[0][0] = '\0')
SPOIL(s_device_twice, memcpy(d->device[1], "camera", 7))
SPOIL(s_isolation, d->isolation = ISOLATIONS)
SPOIL(s_image, d->image = IMAGE_TYPES)
SPOIL(s_solo5, d->isolation = ISOLATION_PROCESS)
SPOIL(s_peers, d->n_peers = MANIFEST_PEERS_MAX + 1)
SPOIL(s_peer, d->peer[0][3] = '/')
SPOIL(s_peer_self, memcpy(d->peer[0], d->name, NAME_CAP))
SPOIL(s_kind, d->kind = KINDS)
SPOIL(s_schedule_service, d->kind = KIND_SERVICE)
SPOIL(s_schedule_oneshot, d->kind = KIND_ONESHOT)
SPOIL(s_schedule_none, memset(&d->schedule, 0, sizeof d->schedule))
SPOIL(s_every, d->schedule.every_s = 31U * 86400U + 1)
SPOIL(s_event, d->schedule.event[0] = '-')
SPOIL(s_policy, d->restart.policy = RESTART_POLICIES)
SPOIL(s_backoff, d->restart.backoff_ms = d->restart.backoff_max_ms = 86400001)
SPOIL(s_backoff_max, d->restart.backoff_max_ms = 499)
SPOIL(s_budget, d->restart.budget = 33)
SPOIL(s_window, d->restart.window_s = 31U * 86400U + 1)
SPOIL(s_window_none, d->restart.window_s = 0)
SPOIL(s_budget_none, d->restart.budget = 0)
SPOIL(s_afters, d->n_after = MANIFEST_AFTER_MAX + 1)
SPOIL(s_after_self, memcpy(d->after[1], d->name, NAME_CAP))
SPOIL(s_after_twice, memcpy(d->after[1], "cam-db", 7))
SPOIL(s_after_name, memcpy(d->after[1], "a/b", 4))
SPOIL(s_modes, d->modes = 4)
SPOIL(s_freeze, d->freeze = true)

static const struct {
    const char *what; /* in the error */
    void (*spoil)(struct manifest *d);
    enum rc rc;
} spoiled[] = {
    { "memory-high", s_high, RC_VALUE },         { "cpu-weight", s_cpu_weight, RC_VALUE },
    { "io-weight", s_io_weight, RC_VALUE },      { "io-read", s_io_read, RC_VALUE },
    { "io-write", s_io_write, RC_VALUE },        { "file-size", s_file, RC_VALUE },
    { "shm", s_shm, RC_VALUE },                  { "data-files", s_data_files, RC_VALUE },
    { "data-files", s_data_files_none, RC_VALUE }, { "tmp-files", s_tmp_files, RC_VALUE },
    { "log-per-hour", s_log, RC_VALUE },         { "inbox", s_inbox, RC_VALUE },
    { "outbox", s_outbox, RC_VALUE },            { "outbox-per-day", s_outbox_day, RC_VALUE },
    { "outbox-per-day", s_outbox_none, RC_VALUE }, { "run-per-orbit", s_run, RC_VALUE },
    { "core", s_core, RC_VALUE },                { "logs", s_logs, RC_VALUE },
    { "logs-per-pass", s_logs_pass, RC_VALUE },
    { "calls", s_calls, RC_VALUE },
    { "network", s_network, RC_VALUE },          { "interface", s_interface, RC_NAME },
    { "interface", s_interface_long, RC_NAME },  { "interface", s_interface_path, RC_NAME },
    { "interface", s_interface_alone, RC_VALUE }, { "net-rate", s_rate, RC_VALUE },
    { "net-rate", s_rate_alone, RC_VALUE },      { "devices", s_devices, RC_VALUE },
    { "devices[1]", s_device, RC_NAME },         { "devices[0]", s_device_none, RC_NAME },
    { "devices[1]", s_device_twice, RC_VALUE },  { "isolation", s_isolation, RC_VALUE },
    { "image", s_image, RC_VALUE },              { "image", s_solo5, RC_VALUE },
    { "peers", s_peers, RC_VALUE },              { "peers[0]", s_peer, RC_NAME },
    { "peers[0]: itself", s_peer_self, RC_VALUE }, { "kind", s_kind, RC_VALUE },
    { "schedule", s_schedule_service, RC_VALUE }, { "schedule", s_schedule_oneshot, RC_VALUE },
    { "schedule: says nothing", s_schedule_none, RC_VALUE }, { "every", s_every, RC_VALUE },
    { "event", s_event, RC_NAME },               { "policy", s_policy, RC_VALUE },
    { "backoff", s_backoff, RC_VALUE },          { "backoff-max", s_backoff_max, RC_VALUE },
    { "budget", s_budget, RC_VALUE },            { "window", s_window, RC_VALUE },
    { "window", s_window_none, RC_VALUE },       { "window", s_budget_none, RC_VALUE },
    { "after", s_afters, RC_VALUE },             { "after[1]: itself", s_after_self, RC_VALUE },
    { "after[1]: twice", s_after_twice, RC_VALUE }, { "after[1]", s_after_name, RC_NAME },
    { "modes", s_modes, RC_VALUE },              { "freeze", s_freeze, RC_VALUE },
};
/* clang-format on */

static void test_bounds(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof spoiled / sizeof spoiled[0]; i++) {
        struct manifest m = full_manifest();
        struct bytes view = { 0 };
        struct err err = { 0 };

        spoiled[i].spoil(&m);
        enum rc rc = manifest_encode(&m, buf_a, sizeof buf_a, &view, &err);
        if (rc != spoiled[i].rc || !strstr(err.what, spoiled[i].what))
            fail_msg("row %zu, %s: got %s, %s", i, spoiled[i].what, rc_name(rc), err.what);
        assert_null(view.p);
    }
}

/* clang-format off */
#define GSPOIL(name, change) static void name(struct grant *d) { change; }
GSPOIL(g_calls, d->may.calls = 8)
GSPOIL(g_networks, d->may.networks = 1U << NETWORKS)
GSPOIL(g_network_none, d->may.networks |= 1U << NETWORK_NONE)
GSPOIL(g_modes, d->may.modes = MODE_NOMINAL)
GSPOIL(g_rate, d->may.net_bps = (1ULL << 48) + 1)
GSPOIL(g_interfaces, d->may.n_interfaces = ALLOWANCE_INTERFACES_MAX + 1)
GSPOIL(g_interface, memcpy(d->may.interface[0], "sixteen-letters0", 17))
GSPOIL(g_devices, d->may.n_devices = ALLOWANCE_DEVICES_MAX + 1)
GSPOIL(g_device, memcpy(d->may.device[1], "camera", 7))
GSPOIL(g_weight, d->total.cpu_weight = 10001)
/* clang-format on */

static void test_bounds_of_grants(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        void (*spoil)(struct grant *d);
        enum rc rc;
    } rows[] = { { "calls", g_calls, RC_VALUE },           { "networks", g_networks, RC_VALUE },
                 { "networks", g_network_none, RC_VALUE }, { "modes", g_modes, RC_VALUE },
                 { "net-rate", g_rate, RC_VALUE },         { "interfaces", g_interfaces, RC_VALUE },
                 { "interfaces", g_interface, RC_NAME },   { "devices", g_devices, RC_VALUE },
                 { "devices", g_device, RC_VALUE },        { "cpu-weight", g_weight, RC_VALUE } };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct grant g = full_grant();
        struct bytes view = { 0 };
        struct err err = { 0 };

        rows[i].spoil(&g);
        enum rc rc = grant_encode(&g, buf_a, sizeof buf_a, &view, &err);
        if (rc != rows[i].rc || !strstr(err.what, rows[i].what))
            fail_msg("row %zu, %s: got %s, %s", i, rows[i].what, rc_name(rc), err.what);
    }
}

/* ---- beyond the grant ---- */

/* One thing more than the grant has, or one of the grant's less than the manifest wants. */
/* clang-format off */
#define ASK(name, change) static void name(struct manifest *m, struct grant *g) { (void)m; (void)g; change; }
ASK(a_high, m->limits.memory_high_bytes++)
ASK(a_high_none, m->limits.memory_high_bytes = 0)
ASK(a_cpu_weight, m->limits.cpu_weight++)
ASK(a_cpu_weight_none, m->limits.cpu_weight = 0)
ASK(a_io_weight, m->limits.io_weight++)
ASK(a_read, m->limits.io_read_bps++)
ASK(a_read_none, m->limits.io_read_bps = 0)
ASK(a_write, m->limits.io_write_bps++)
ASK(a_write_none, m->limits.io_write_bps = 0)
ASK(a_file, m->limits.file_bytes++)
ASK(a_file_none, m->limits.file_bytes = 0)
ASK(a_shm, m->limits.shm_bytes++)
ASK(a_shm_none, g->total.shm_bytes = 0)
ASK(a_data_files, m->limits.data_files++)
ASK(a_tmp_files, m->limits.tmp_files++)
ASK(a_tmp_files_none, m->limits.tmp_files = 0)
ASK(a_log, m->limits.log_bytes_hour++)
ASK(a_log_none, m->limits.log_bytes_hour = 0)
ASK(a_inbox, m->limits.inbox_bytes++)
ASK(a_inbox_none, g->total.inbox_bytes = 0)
ASK(a_outbox, m->limits.outbox_bytes++)
ASK(a_outbox_day, m->limits.outbox_bytes_day++)
ASK(a_outbox_day_none, g->total.outbox_bytes_day = 0)
ASK(a_run, m->limits.run_s_orbit++)
ASK(a_run_none, m->limits.run_s_orbit = 0)
ASK(a_core, m->limits.core_bytes++)
ASK(a_core_none, g->total.core_bytes = 0)
ASK(a_logs, m->limits.logs_bytes_day++)
ASK(a_logs_pass, m->limits.logs_bytes_pass++)
ASK(a_logs_none, g->total.logs_bytes_day = 0)
ASK(a_calls, m->calls |= CALLS_POSIX_LEGACY)
ASK(a_calls_none, g->may.calls = 0)
ASK(a_network, m->network = NETWORK_PRIVATE; m->interface[0] = '\0')
ASK(a_network_none, g->may.networks = 0)
ASK(a_interface, memcpy(m->interface, "can1", 5))
ASK(a_interface_none, g->may.n_interfaces = 0)
ASK(a_rate, m->net_bps++)
ASK(a_rate_none, m->net_bps = 0)
ASK(a_device, memcpy(m->device[1], "i2c-2", 6))
ASK(a_device_none, g->may.n_devices = 0)
ASK(a_root, g->may.inner_root = false)
ASK(a_modes, g->may.modes = 0)
ASK(a_vm, g->may.vm = false)
ASK(a_peers, g->may.peers = false)
/* clang-format on */

static const struct {
    const char *what; /* the whole error text */
    void (*ask)(struct manifest *m, struct grant *g);
} beyond[] = {
    { "memory-high", a_high },
    { "memory-high", a_high_none },
    { "cpu-weight", a_cpu_weight },
    { "cpu-weight", a_cpu_weight_none },
    { "io-weight", a_io_weight },
    { "io-read", a_read },
    { "io-read", a_read_none },
    { "io-write", a_write },
    { "io-write", a_write_none },
    { "file-size", a_file },
    { "file-size", a_file_none },
    { "shm", a_shm },
    { "shm", a_shm_none },
    { "data-files", a_data_files },
    { "tmp-files", a_tmp_files },
    { "tmp-files", a_tmp_files_none },
    { "log-per-hour", a_log },
    { "log-per-hour", a_log_none },
    { "inbox", a_inbox },
    { "inbox", a_inbox_none },
    { "outbox", a_outbox },
    { "outbox-per-day", a_outbox_day },
    { "outbox-per-day", a_outbox_day_none },
    { "run-per-orbit", a_run },
    { "run-per-orbit", a_run_none },
    { "core", a_core },
    { "core", a_core_none },
    { "logs", a_logs },
    { "logs-per-pass", a_logs_pass },
    { "logs", a_logs_none },
    { "calls", a_calls },
    { "calls", a_calls_none },
    { "network", a_network },
    { "network", a_network_none },
    { "interface", a_interface },
    { "interface", a_interface_none },
    { "net-rate", a_rate },
    { "net-rate", a_rate_none },
    { "devices", a_device },
    { "devices", a_device_none },
    { "inner-root", a_root },
    { "modes", a_modes },
    { "isolation", a_vm },
    { "peers", a_peers },
};

static void test_beyond_the_grant(void **state)
{
    (void)state;
    struct manifest m = full_manifest();
    struct grant g = full_grant();
    struct err err = { 0 };

    assert_rc(grant_allows(&g, &m, &err), RC_OK);
    for (size_t i = 0; i < sizeof beyond / sizeof beyond[0]; i++) {
        m = full_manifest();
        g = full_grant();
        beyond[i].ask(&m, &g);
        enum rc rc = grant_allows(&g, &m, &err);
        if (rc != RC_GRANT_EXCEEDED || strcmp(err.what, beyond[i].what) != 0)
            fail_msg("row %zu, %s: got %s, %s", i, beyond[i].what, rc_name(rc), err.what);
    }
}

/* An old grant lets old manifests through and nothing of this, and no limit of its own binds. */
static void test_an_old_grant(void **state)
{
    (void)state;
    const struct grant g = doc_grant();
    struct manifest m = doc_manifest();
    struct err err = { 0 };

    assert_rc(grant_allows(&g, &m, NULL), RC_OK);
    m.limits.memory_high_bytes = MIB; /* what only narrows needs no leave */
    m.limits.io_read_bps = MIB;
    m.limits.file_bytes = MIB;
    m.limits.run_s_orbit = 5;
    m.limits.cpu_weight = 99;
    m.limits.tmp_files = 4096; /* as many as 16 MiB have by themselves */
    m.restart.budget = 3;
    m.kind = KIND_ONESHOT;
    m.modes = MODE_NOMINAL;
    assert_rc(grant_allows(&g, &m, &err), RC_OK);
    m.limits.tmp_files++;
    assert_rc(grant_allows(&g, &m, &err), RC_GRANT_EXCEEDED);
    assert_string_equal(err.what, "tmp-files");
    m = doc_manifest();
    m.limits.cpu_weight = 101;
    assert_rc(grant_allows(&g, &m, &err), RC_GRANT_EXCEEDED);
    m = doc_manifest();
    m.modes = MODE_SAFE;
    assert_rc(grant_allows(&g, &m, &err), RC_GRANT_EXCEEDED);
    assert_string_equal(err.what, "modes");
}

/* ---- teams ---- */

static void test_teams(void **state)
{
    (void)state;
    struct grant g = full_grant();
    const struct authority parent = grant_authority(&g);
    struct delegation d = doc_delegation();
    struct manifest m = full_manifest();
    struct err err = { 0 };

    /* what is bounded above must be bounded below */
    assert_rc(delegation_fits(&parent, &d, &err), RC_DELEGATION_EXCEEDED);
    d.total = g.total;
    d.total.memory_bytes = m.limits.memory_bytes;
    assert_rc(delegation_fits(&parent, &d, &err), RC_OK);
    memcpy(m.team, "flight", 7);
    const struct authority bare = delegation_authority(&d);
    assert_rc(authority_allows(&bare, &m, &err), RC_DELEGATION_EXCEEDED);
    assert_string_equal(err.what, "calls");
    d.may = g.may;
    const struct authority full = delegation_authority(&d);
    assert_rc(delegation_fits(&parent, &d, &err), RC_OK);
    assert_rc(authority_allows(&full, &m, &err), RC_OK);

    static const struct {
        const char *what;
        size_t at, size;
    } parts[] = {
        { "calls", offsetof(struct allowance, calls), sizeof g.may.calls },
        { "networks", offsetof(struct allowance, networks), sizeof g.may.networks },
        { "interfaces", offsetof(struct allowance, n_interfaces), sizeof g.may.n_interfaces },
        { "devices", offsetof(struct allowance, n_devices), sizeof g.may.n_devices },
        { "inner-root", offsetof(struct allowance, inner_root), sizeof g.may.inner_root },
        { "modes", offsetof(struct allowance, modes), sizeof g.may.modes },
        { "vm", offsetof(struct allowance, vm), sizeof g.may.vm },
        { "peers", offsetof(struct allowance, peers), sizeof g.may.peers },
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        g = full_grant();
        memset((char *)&g.may + parts[i].at, 0, parts[i].size);
        assert_rc(delegation_fits(&parent, &d, &err), RC_DELEGATION_EXCEEDED);
        if (!strstr(err.what, parts[i].what))
            fail_msg("%s: %s", parts[i].what, err.what);
    }
    g = full_grant();
    d.may.net_bps++;
    assert_rc(delegation_fits(&parent, &d, &err), RC_DELEGATION_EXCEEDED);
    d.may.net_bps = 0; /* the grant's own bound is asked too */
    assert_rc(delegation_fits(&parent, &d, &err), RC_OK);

    struct delegation gone = doc_withdrawal();
    gone.may.vm = true;
    assert_rc(delegation_check(&gone, NULL), RC_VALUE);
}

/* ---- sums ---- */

static void test_sums(void **state)
{
    (void)state;
    const struct grant g = full_grant();
    const struct resources one = full_manifest().limits;
    struct resources sum = { 0 }, total = g.total;

    resources_add(&sum, &one);
    assert_true(resources_within(&sum, &total));
    resources_add(&sum, &one);
    assert_int_equal(sum.shm_bytes, 2 * one.shm_bytes);
    assert_int_equal(sum.outbox_bytes_day, 2 * one.outbox_bytes_day);
    assert_int_equal(sum.cpu_weight, one.cpu_weight); /* each */
    assert_int_equal(sum.run_s_orbit, one.run_s_orbit);
    assert_int_equal(sum.core_bytes, one.core_bytes);
    assert_false(resources_within(&sum, &total));
    total.io_read_bps *= 2;
    total.io_write_bps *= 2;
    total.shm_bytes *= 2;
    total.inbox_bytes *= 2;
    total.outbox_bytes *= 2;
    assert_false(resources_within(&sum, &total));
    total.outbox_bytes_day *= 2;
    assert_false(resources_within(&sum, &total));
    total.logs_bytes_day *= 2;
    assert_true(resources_within(&sum, &total));

    /* a pass: each may have less than the bound, or say nothing; without one it may have any */
    total.logs_bytes_pass--;
    assert_false(resources_within(&sum, &total));
    assert_string_equal(resources_beyond(&one, &total), "logs-per-pass");
    total.logs_bytes_pass = 0;
    assert_true(resources_within(&sum, &total));
    assert_null(resources_beyond(&one, &total));

    /* one without a limit is more than any limit, and as much as none */
    const struct resources plain = doc_manifest().limits;
    sum = (struct resources){ 0 };
    resources_add(&sum, &plain);
    total = doc_grant().total;
    assert_true(resources_within(&sum, &total));
    total.io_read_bps = UINT32_MAX;
    assert_false(resources_within(&sum, &total));
    total.io_read_bps = 0;
    total.run_s_orbit = 86400;
    assert_false(resources_within(&sum, &total));

    /* no sum wraps */
    struct resources huge;
    memset(&huge, 0xff, sizeof huge);
    huge.memory_bytes = huge.data_bytes = huge.tmp_bytes = huge.shm_bytes = 1ULL << 48;
    huge.io_read_bps = huge.io_write_bps = huge.inbox_bytes = huge.outbox_bytes = 1ULL << 48;
    huge.outbox_bytes_day = huge.logs_bytes_day = huge.logs_bytes_pass = 1ULL << 48;
    sum = (struct resources){ 0 };
    for (uint32_t i = 0; i < PAYLOADS_MAX; i++)
        resources_add(&sum, &huge);
    assert_true(sum.shm_bytes == (uint64_t)PAYLOADS_MAX << 48);
    assert_int_equal(sum.pids, UINT32_MAX);
    assert_true(resources_none(&(struct resources){ 0 }));
    assert_false(resources_none(&(struct resources){ .core_bytes = 1 }));
}

/* ---- one encoding ---- */

/* Replace the last n bytes of the good document: what is optional stands at its end. */
static enum rc decode_with_tail(const struct manifest *m, size_t n, const char *hex)
{
    struct bytes good;
    struct manifest back;
    size_t more = strlen(hex) / 2;

    assert_rc(manifest_encode(m, buf_a, sizeof buf_a, &good, NULL), RC_OK);
    memcpy(buf_b, good.p, good.n - n);
    for (size_t i = 0; i < more; i++) {
        unsigned byte = 0;

        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        buf_b[good.n - n + i] = (uint8_t)byte;
    }
    return manifest_decode((struct bytes){ buf_b, good.n - n + more }, &back, NULL);
}

static void test_there_is_one_encoding(void **state)
{
    (void)state;
    struct manifest m = doc_manifest();
    const struct {
        const char *why, *hex;
        enum rc rc;
    } rows[] = {
        { "as it is: {1: 1}", "10a10101", RC_OK },
        { "nothing in the map", "10a0", RC_VALUE },
        { "calls zero", "10a10100", RC_VALUE },
        { "calls beyond all bits", "10a10108", RC_VALUE },
        { "network none", "10a1028300006060", RC_VALUE },
        { "network of two fields", "10a102820100", RC_CBOR_COUNT },
        { "network loopback", "10a10283010060", RC_OK },
        { "no devices", "10a10380", RC_CBOR_COUNT },
        { "a device without a name", "10a1038160", RC_NAME },
        { "inner-root false", "10a104f4", RC_VALUE },
        { "inner-root null", "10a104f6", RC_CBOR_TYPE },
        { "isolation zero", "10a10500", RC_VALUE },
        { "an unknown want", "10a10801", RC_CBOR_UNKNOWN_KEY },
        { "wants in another order", "10a204f50101", RC_CBOR_ORDER },
        { "nothing in the life", "11a0", RC_VALUE },
        { "kind service", "11a1018100", RC_VALUE },
        { "kind oneshot", "11a1018101", RC_OK },
        { "kind oneshot with a schedule", "11a101850100f4f460", RC_CBOR_COUNT },
        { "kind scheduled without one", "11a1018102", RC_CBOR_COUNT },
        { "kind scheduled, every 5 s", "11a101850205f4f460", RC_OK },
        { "kind scheduled, three fields", "11a101830205f4", RC_CBOR_COUNT },
        { "restart of defaults", "11a102850000000000", RC_VALUE },
        { "restart never", "11a102850200000000", RC_OK },
        { "restart of no policy", "11a102850300000000", RC_VALUE },
        { "modes zero", "11a10400", RC_VALUE },
        { "modes nominal, said", "11a10401", RC_OK },
        { "freeze false", "11a105f4", RC_VALUE },
        { "an unknown part of the life", "11a10601", RC_CBOR_UNKNOWN_KEY },
        { "sealed, but not so", "12f4", RC_VALUE },
        { "sealed by a number", "1201", RC_CBOR_TYPE },
        { "sealed without mail", "12f5", RC_VALUE },
        { "a key behind all", "1301", RC_CBOR_UNKNOWN_KEY },
    };

    m.calls = CALLS_NET;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum rc rc = decode_with_tail(&m, 4, rows[i].hex);

        if (rc != rows[i].rc)
            fail_msg("%s: got %s", rows[i].why, rc_name(rc));
    }
}

/* The map behind the six amounts: key 8 of a grant stands behind it. */
static void test_resources_have_one_encoding(void **state)
{
    (void)state;
    struct grant g = doc_grant(), back;
    struct bytes good;
    static const struct {
        const char *why, *map;
        enum rc rc;
    } rows[] = {
        { "cpu-weight 7", "\xa1\x02\x07", RC_OK },
        { "nothing in it", "\xa0\x02\x07", RC_VALUE },
        { "an unknown key", "\xa1\x12\x07", RC_CBOR_UNKNOWN_KEY },
        { "not a map", "\x82\x02\x07", RC_CBOR_TYPE },
        { "not an amount", "\xa1\x02\x20", RC_CBOR_TYPE },
    };

    g.total.cpu_weight = 7;
    assert_rc(grant_encode(&g, buf_a, sizeof buf_a, &good, NULL), RC_OK);
    size_t at = 0;
    while (memcmp(good.p + at, "\xa1\x02\x07\x08", 4) != 0)
        at++;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        memcpy(buf_a + at, rows[i].map, 3);
        enum rc rc = grant_decode(good, &back, NULL);
        if (rc != rows[i].rc)
            fail_msg("%s: got %s", rows[i].why, rc_name(rc));
    }
    memcpy(buf_a + at, "\xa1\x02\x00", 3);
    assert_rc(grant_decode(good, &back, NULL), RC_VALUE);
}

/* Every truncation, and every flip of a bit in the newer part, is refused or is another value. */
static void test_damage(void **state)
{
    (void)state;
    struct manifest m = full_manifest(), plain = doc_manifest(), back;
    struct bytes full, start;
    size_t refused = 0;

    assert_rc(manifest_encode(&plain, buf_a, sizeof buf_a, &start, NULL), RC_OK);
    assert_rc(manifest_encode(&m, buf_a, sizeof buf_a, &full, NULL), RC_OK);
    for (size_t n = 0; n < full.n; n++)
        assert_true(manifest_decode((struct bytes){ full.p, n }, &back, NULL) != RC_OK);
    for (size_t bit = start.n * 8; bit < full.n * 8; bit++) {
        struct bytes again;

        buf_a[bit / 8] ^= (uint8_t)(1U << bit % 8);
        if (manifest_decode(full, &back, NULL) == RC_OK) {
            assert_rc(manifest_encode(&back, buf_b, sizeof buf_b, &again, NULL), RC_OK);
            assert_true(bytes_equal(again, full)); /* no second way to write it */
        } else {
            refused++;
        }
        buf_a[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    assert_true(refused > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_old_documents_keep_their_bytes),
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_bounds_of_grants),
        cmocka_unit_test(test_beyond_the_grant),
        cmocka_unit_test(test_an_old_grant),
        cmocka_unit_test(test_teams),
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_there_is_one_encoding),
        cmocka_unit_test(test_resources_have_one_encoding),
        cmocka_unit_test(test_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
