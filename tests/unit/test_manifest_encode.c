/* SPDX-License-Identifier: Apache-2.0
 *
 * Encoding, and the checks that come before it: each row spoils one value of a good document.
 */
#include "tests/unit/test.h"

#include "base/cbor.h"
#include "tests/unit/documents.h"

static uint8_t buf_a[DOCUMENT_MAX], buf_b[DOCUMENT_MAX];
static struct report report_a, report_b;
static struct root root_a, root_b;

static const uint8_t sentinel[1] = { 0x5a };

/* The view that a refused encoder must leave alone. */
static struct bytes untouched(void)
{
    return (struct bytes){ sentinel, sizeof sentinel };
}

#define assert_untouched(view) assert_true((view).p == sentinel && (view).n == sizeof sentinel)

/* Twice the same bytes, strictly formed; decoded it is the same value, and encoded again the same
 * bytes. */
#define assert_round_trip(type, doc, back)                                                         \
    do {                                                                                           \
        struct bytes a_, b_;                                                                       \
        assert_rc(type##_encode(doc, buf_a, sizeof buf_a, &a_, NULL), RC_OK);                      \
        assert_rc(cbor_check(a_, NULL), RC_OK);                                                    \
        assert_rc(type##_decode(a_, back, NULL), RC_OK);                                           \
        assert_rc(type##_encode(back, buf_b, sizeof buf_b, &b_, NULL), RC_OK);                     \
        assert_int_equal(a_.n, b_.n);                                                              \
        assert_memory_equal(a_.p, b_.p, a_.n);                                                     \
    } while (0)

/* Refused calls of two payloads; the first of them. */
static struct report_denied *two_denied(struct report *r)
{
    r->n_denied = 2;
    r->denied[0] =
        (struct report_denied){ "acme", "cam", 41, 2, { { "mount", 40 }, { "bpf", 1 } } };
    r->denied[1] =
        (struct report_denied){ "acme", "gps", UINT32_MAX, 1, { { "x32-1", UINT32_MAX } } };
    return &r->denied[0];
}

static void test_round_trips(void **state)
{
    (void)state;
    struct manifest manifest = doc_manifest(), manifest_back;
    struct order order = doc_order(), order_back;

    root_a = doc_root();
    assert_round_trip(root, &root_a, &root_b);
    assert_memory_equal(&root_a, &root_b, sizeof root_a);
    assert_round_trip(manifest, &manifest, &manifest_back);
    assert_string_equal(manifest_back.args[1], "--fast");
    assert_string_equal(manifest_back.env[0], "MODE=night");
    assert_int_equal(manifest_back.health.watchdog_ms, 1000);
    assert_false(manifest_back.snapshot);
    manifest.snapshot = true;
    assert_round_trip(manifest, &manifest, &manifest_back);
    assert_true(manifest_back.snapshot);
    assert_false(manifest_back.sealed);
    manifest.sealed = true;
    manifest.limits.outbox_bytes = 65536;
    assert_round_trip(manifest, &manifest, &manifest_back);
    assert_true(manifest_back.sealed);
    assert_round_trip(order, &order, &order_back);
    assert_memory_equal(&order, &order_back, sizeof order);
    doc_report(&report_a);
    assert_round_trip(report, &report_a, &report_b);
    assert_int_equal(report_b.transfer[0].missing[1].first, 4);
    assert_true(memcmp(&report_a.payload[0].running, &report_b.payload[0].running, DIGEST_SIZE) ==
                0);
    report_a.scrub = (struct report_scrub){ 2, 60, 300, 70000, 5, 4, 1, 1, { { { 9 } } } };
    assert_round_trip(report, &report_a, &report_b);
    assert_memory_equal(&report_a.scrub, &report_b.scrub, sizeof report_a.scrub);
    report_a.traffic = (struct report_traffic){ 3, { 10, 5, 4, 9 }, { 30, 10, 20, 19 }, 2, 77, 60 };
    assert_round_trip(report, &report_a, &report_b);
    assert_memory_equal(&report_a.traffic, &report_b.traffic, sizeof report_a.traffic);
    report_a.traffic.key_epoch = report_a.traffic.highest = report_a.traffic.accepted = 0;
    assert_round_trip(report, &report_a, &report_b);
    assert_memory_equal(&report_a.traffic, &report_b.traffic, sizeof report_a.traffic);
    report_a.n_usage = 2;
    report_a.usage[0] = (struct report_usage){ "acme", 65536, { { 1, 2 }, { 3, 4 }, { 5, 6 } } };
    report_a.usage[1] =
        (struct report_usage){ "zenith", UINT32_MAX, { [USE_DATA] = { UINT32_MAX, UINT32_MAX } } };
    assert_round_trip(report, &report_a, &report_b);
    assert_memory_equal(report_a.usage, report_b.usage, sizeof report_a.usage);
    assert_int_equal(report_b.n_usage, 2);
    report_a.n_spool = 2;
    report_a.spool[0] = (struct report_spool){ "", 3, 4, { 0, 0, 0, 1 } };
    report_a.spool[1] = (struct report_spool){ "acme", 0, UINT32_MAX, { 1, 2, 3, UINT32_MAX } };
    assert_round_trip(report, &report_a, &report_b);
    assert_memory_equal(report_a.spool, report_b.spool, sizeof report_a.spool);
    assert_int_equal(report_b.n_spool, 2);
    report_a.denied_missed = 3;
    assert_round_trip(report, &report_a, &report_b);
    assert_int_equal(report_b.denied_missed, 3);
    report_a.denied_missed = 0;
    two_denied(&report_a);
    assert_round_trip(report, &report_a, &report_b);
    assert_int_equal(report_b.n_denied, 2);
    assert_memory_equal(report_a.denied, report_b.denied, sizeof report_a.denied);
    doc_report_walls(&report_a);
    assert_round_trip(report, &report_a, &report_b);
    assert_memory_equal(&report_a.walls, &report_b.walls, sizeof report_a.walls);
    assert_memory_equal(report_a.payload, report_b.payload, sizeof report_a.payload);
    memset(report_a.payload[0].receipt, 0, REPORT_RECEIPT_SIZE); /* nothing of it has started */
    assert_round_trip(report, &report_a, &report_b);
    assert_memory_equal(report_a.payload, report_b.payload, sizeof report_a.payload);
}

/* What an agent that knew nothing of walls has sent is read as before, and says nothing of them. */
static void test_reports_without_walls(void **state)
{
    static const struct report_walls none;
    struct bytes bytes, longer;

    (void)state;
    doc_report(&report_a);
    assert_rc(report_encode(&report_a, buf_a, sizeof buf_a, &bytes, NULL), RC_OK);
    assert_rc(report_decode(bytes, &report_b, NULL), RC_OK);
    assert_memory_equal(&report_b.walls, &none, sizeof none);
    doc_report_walls(&report_a);
    assert_rc(report_encode(&report_a, buf_b, sizeof buf_b, &longer, NULL), RC_OK);
    /* key, head, three masks, two versions, head, receipt */
    assert_int_equal(longer.n - bytes.n, 1 + 1 + (5 + 2 + 1) + 1 + 1 + 1 + 9);
    /* The same up to the number of keys, and then to the end. */
    assert_memory_equal(bytes.p + 1, longer.p + 1, bytes.n - 1);
}

/* A receipt of the wrong size, of nothing, or one too few. */
static void test_strange_receipts(void **state)
{
    static uint8_t cut[REPORT_MAX];
    struct bytes good;

    (void)state;
    doc_report(&report_a);
    doc_report_walls(&report_a);
    assert_rc(report_encode(&report_a, buf_a, sizeof buf_a, &good, NULL), RC_OK);
    memcpy(cut, good.p, good.n);
    cut[good.n - 9] = 0x47; /* seven bytes, and one is left over */
    assert_int_not_equal(report_decode((struct bytes){ cut, good.n }, &report_b, NULL), RC_OK);
    assert_rc(report_decode((struct bytes){ cut, good.n - 1 }, &report_b, NULL), RC_VALUE);
    memcpy(cut, good.p, good.n);
    memset(cut + good.n - 8, 0, 8);
    assert_rc(report_decode((struct bytes){ cut, good.n }, &report_b, NULL), RC_VALUE);
    memcpy(cut, good.p, good.n);
    cut[good.n - 10] = 0x80; /* an empty list, where there is a payload */
    assert_rc(report_decode((struct bytes){ cut, good.n - 9 }, &report_b, NULL), RC_CBOR_COUNT);
}

static void test_grant_round_trip(void **state)
{
    (void)state;
    struct grant grant = doc_grant(), back;

    assert_round_trip(grant, &grant, &back);
    assert_string_equal(back.prefix, "cam");
    assert_memory_equal(&back.keys, &grant.keys, sizeof grant.keys);
    grant.prefix[0] = '\0';
    assert_round_trip(grant, &grant, &back);
}

static void test_an_empty_order_is_an_order(void **state)
{
    (void)state;
    struct order order = doc_order(), back;

    order.n_lines = 0;
    assert_round_trip(order, &order, &back);
    assert_int_equal(back.n_lines, 0);
}

static void test_no_room(void **state)
{
    (void)state;
    struct order order = doc_order();
    struct bytes full, view = untouched();

    assert_rc(order_encode(&order, buf_a, sizeof buf_a, &full, NULL), RC_OK);
    for (size_t cap = 0; cap < full.n; cap++) {
        assert_rc(order_encode(&order, buf_b, cap, &view, NULL), RC_NO_ROOM);
        assert_untouched(view);
    }
}

/* ---- manifest ---- */

/* clang-format off */
#define SPOIL(name, type, change) static void name(struct type *d) { change; }
SPOIL(m_tenant, manifest, d->tenant[0] = '-')
SPOIL(m_name, manifest, d->name[0] = '\0')
SPOIL(m_name_path, manifest, d->name[3] = '/')
SPOIL(m_version, manifest, memcpy(d->version, "1..2", 5))
SPOIL(m_release, manifest, d->release = 0)
SPOIL(m_release_top, manifest, d->release = UINT64_MAX)
SPOIL(m_floor, manifest, d->floor = d->release + 1)
SPOIL(m_content, manifest, memset(&d->content, 0, sizeof d->content))
SPOIL(m_bytes, manifest, d->content_bytes = 0)
SPOIL(m_bytes_top, manifest, d->content_bytes = PACKAGE_MAX + 1)
SPOIL(m_unpacked, manifest, d->unpacked_bytes = UNPACKED_MAX + 1)
SPOIL(m_files, manifest, d->files = 0)
SPOIL(m_files_top, manifest, d->files = PACKAGE_FILES_MAX + 1)
SPOIL(m_arch, manifest, memcpy(d->arch, "z80", 4))
SPOIL(m_no_args, manifest, d->n_args = 0)
SPOIL(m_args_top, manifest, d->n_args = PAYLOAD_ARGS_MAX + 1)
SPOIL(m_arg_relative, manifest, memcpy(d->args[0], "bin/cam", 8))
SPOIL(m_arg_up, manifest, memcpy(d->args[0], "/bin/../sh", 11))
SPOIL(m_arg_up_last, manifest, memcpy(d->args[0], "/bin/..", 8))
SPOIL(m_arg_dot, manifest, memcpy(d->args[0], "/./cam", 7))
SPOIL(m_arg_double, manifest, memcpy(d->args[0], "//cam", 6))
SPOIL(m_arg_slash, manifest, memcpy(d->args[0], "/bin/", 6))
SPOIL(m_arg_root, manifest, memcpy(d->args[0], "/", 2))
SPOIL(m_arg_utf8, manifest, memcpy(d->args[1], "\xff", 2))
SPOIL(m_env_top, manifest, d->n_env = PAYLOAD_ENV_MAX + 1)
SPOIL(m_env_no_value, manifest, memcpy(d->env[0], "MODE", 5))
SPOIL(m_env_no_name, manifest, memcpy(d->env[0], "=x", 3))
SPOIL(m_env_digit, manifest, memcpy(d->env[0], "1A=x", 5))
SPOIL(m_env_twice, manifest, d->n_env = 2; memcpy(d->env[1], "MODE=day", 9))
SPOIL(m_memory, manifest, d->limits.memory_bytes = 0)
SPOIL(m_memory_top, manifest, d->limits.memory_bytes = (1ULL << 48) + 1)
SPOIL(m_data_top, manifest, d->limits.data_bytes = (1ULL << 48) + 1)
SPOIL(m_tmp, manifest, d->limits.tmp_bytes = 0)
SPOIL(m_tmp_half, manifest, d->limits.tmp_bytes = d->limits.memory_bytes / 2 + 1)
SPOIL(m_cpu, manifest, d->limits.cpu_permille = 0)
SPOIL(m_pids, manifest, d->limits.pids = 0)
SPOIL(m_open_files, manifest, d->limits.open_files = 0)
SPOIL(m_health, manifest, d->health.type = 0)
SPOIL(m_health_top, manifest, d->health.type = 3)
SPOIL(m_ready, manifest, d->health.ready_ms = 0)
SPOIL(m_ready_top, manifest, d->health.ready_ms = UINT32_MAX)
SPOIL(m_soak_top, manifest, d->health.soak_ms = UINT32_MAX)
SPOIL(m_watchdog_top, manifest, d->health.watchdog_ms = UINT32_MAX)
SPOIL(m_watchdog_alive, manifest, d->health.type = HEALTH_ALIVE)
SPOIL(m_sealed, manifest, d->sealed = true)
SPOIL(m_snapshot, manifest, d->snapshot = true; d->limits.data_bytes = 0)

static const struct {
    const char *why;
    void (*spoil)(struct manifest *d);
    enum rc rc;
} manifest_rows[] = {
    { "tenant begins with '-'", m_tenant, RC_NAME },
    { "no name", m_name, RC_NAME },
    { "name with a path part", m_name_path, RC_NAME },
    { "version with dots in a row", m_version, RC_NAME },
    { "release zero", m_release, RC_VALUE },
    { "release above 2^63-1", m_release_top, RC_VALUE },
    { "floor above release", m_floor, RC_VALUE },
    { "digest of content absent", m_content, RC_DIGEST_MISSING },
    { "content of no bytes", m_bytes, RC_VALUE },
    { "content above the limit", m_bytes_top, RC_VALUE },
    { "unpacked above the limit", m_unpacked, RC_VALUE },
    { "no files", m_files, RC_VALUE },
    { "too many files", m_files_top, RC_VALUE },
    { "unknown architecture", m_arch, RC_ARCH },
    { "no entry point", m_no_args, RC_VALUE },
    { "too many arguments", m_args_top, RC_VALUE },
    { "relative entry point", m_arg_relative, RC_VALUE },
    { "entry point goes up", m_arg_up, RC_VALUE },
    { "entry point ends by going up", m_arg_up_last, RC_VALUE },
    { "entry point with '.'", m_arg_dot, RC_VALUE },
    { "entry point with an empty part", m_arg_double, RC_VALUE },
    { "entry point is a directory", m_arg_slash, RC_VALUE },
    { "entry point is the root", m_arg_root, RC_VALUE },
    { "argument is not UTF-8", m_arg_utf8, RC_CBOR_UTF8 },
    { "too many variables", m_env_top, RC_VALUE },
    { "variable without value", m_env_no_value, RC_VALUE },
    { "variable without name", m_env_no_name, RC_VALUE },
    { "variable begins with a digit", m_env_digit, RC_VALUE },
    { "variable set twice", m_env_twice, RC_VALUE },
    { "no memory", m_memory, RC_VALUE },
    { "memory above any machine", m_memory_top, RC_VALUE },
    { "data above any machine", m_data_top, RC_VALUE },
    { "no /tmp", m_tmp, RC_VALUE },
    { "/tmp above half of memory", m_tmp_half, RC_VALUE },
    { "no CPU", m_cpu, RC_VALUE },
    { "no processes", m_pids, RC_VALUE },
    { "no open files", m_open_files, RC_VALUE },
    { "no health check", m_health, RC_VALUE },
    { "unknown health check", m_health_top, RC_VALUE },
    { "ready at once", m_ready, RC_VALUE },
    { "ready in weeks", m_ready_top, RC_VALUE },
    { "soak of weeks", m_soak_top, RC_VALUE },
    { "watchdog of weeks", m_watchdog_top, RC_VALUE },
    { "watchdog without notify", m_watchdog_alive, RC_VALUE },
    { "snapshot of no data", m_snapshot, RC_VALUE },
    { "sealed, and no mail", m_sealed, RC_VALUE },
};

/* ---- order ---- */

SPOIL(o_satellite, order, d->satellite[0] = '.')
SPOIL(o_generation, order, d->generation = 0)
SPOIL(o_generation_top, order, d->generation = 1ULL << 63)
SPOIL(o_issued, order, d->issued_ms = 0)
SPOIL(o_expires, order, d->expires_ms = d->issued_ms)
SPOIL(o_lines, order, d->n_lines = PAYLOADS_MAX + 1)
SPOIL(o_tenant, order, d->line[1].tenant[0] = 'Z')
SPOIL(o_digest, order, memset(&d->line[1].manifest, 0, DIGEST_SIZE))
SPOIL(o_unsorted, order, struct order_line l = d->line[0]; d->line[0] = d->line[1]; d->line[1] = l)
SPOIL(o_twice, order, d->line[1] = d->line[0])
SPOIL(o_twice_other, order, d->line[1] = d->line[0]; d->line[1].manifest.b[0] ^= 1)

static const struct {
    const char *why;
    void (*spoil)(struct order *d);
    enum rc rc;
} order_rows[] = {
    { "satellite is no name", o_satellite, RC_NAME },
    { "generation zero", o_generation, RC_VALUE },
    { "generation 2^63", o_generation_top, RC_VALUE },
    { "never issued", o_issued, RC_VALUE },
    { "expires as it is issued", o_expires, RC_VALUE },
    { "too many lines", o_lines, RC_VALUE },
    { "tenant of a line is no name", o_tenant, RC_NAME },
    { "digest of a line absent", o_digest, RC_DIGEST_MISSING },
    { "lines out of order", o_unsorted, RC_VALUE },
    { "a line twice", o_twice, RC_VALUE },
    { "a payload twice at two versions", o_twice_other, RC_VALUE },
};

/* ---- grant ---- */

SPOIL(g_tenant, grant, d->tenant[0] = '\0')
SPOIL(g_prefix, grant, memcpy(d->prefix, "cam-", 5))
SPOIL(g_epoch, grant, d->epoch = 0)
SPOIL(g_threshold, grant, d->keys.threshold = 0)
SPOIL(g_threshold_top, grant, d->keys.threshold = 2)
SPOIL(g_no_keys, grant, d->keys.n = 0)
SPOIL(g_many_keys, grant, d->keys.n = ROLE_KEYS_MAX + 1)
SPOIL(g_twice, grant, d->keys = doc_key_set(1, 2, K_ACME); d->keys.key[1] = d->keys.key[0])
SPOIL(g_half_twice, grant, d->keys = doc_key_set(1, 2, K_ACME);
      memcpy(doc_half(&d->keys.key[1], 0), doc_half(&d->keys.key[0], 0), 32);
      assert_rc(public_key_id(&d->keys.key[1], d->keys.key[1].id, NULL), RC_OK))
SPOIL(g_id, grant, d->keys.key[0].id[0] ^= 1)
SPOIL(g_suite, grant, d->keys.key[0].suite = 3)
SPOIL(g_memory, grant, d->total.memory_bytes = 0)
SPOIL(g_store, grant, d->store_bytes = 0)
SPOIL(g_payloads, grant, d->payloads_max = 0)
SPOIL(g_payloads_top, grant, d->payloads_max = PAYLOADS_MAX + 1)

static const struct {
    const char *why;
    void (*spoil)(struct grant *d);
    enum rc rc;
} grant_rows[] = {
    { "no tenant", g_tenant, RC_NAME },
    { "prefix ends in '-'", g_prefix, RC_NAME },
    { "epoch zero", g_epoch, RC_VALUE },
    { "threshold zero", g_threshold, RC_THRESHOLD_INVALID },
    { "threshold above the number of keys", g_threshold_top, RC_THRESHOLD_INVALID },
    { "no keys", g_no_keys, RC_THRESHOLD_INVALID },
    { "too many keys", g_many_keys, RC_THRESHOLD_INVALID },
    { "a key twice", g_twice, RC_KEY_DUPLICATE },
    { "two keys that share a half", g_half_twice, RC_KEY_DUPLICATE },
    { "id of another key", g_id, RC_VALUE },
    { "suite that is not known", g_suite, RC_SUITE_UNKNOWN },
    { "no memory", g_memory, RC_VALUE },
    { "no store", g_store, RC_VALUE },
    { "no payloads", g_payloads, RC_VALUE },
    { "too many payloads", g_payloads_top, RC_VALUE },
};

/* ---- root ---- */

SPOIL(r_version, root, d->version = 0)
SPOIL(r_mission, root, memset(&d->mission, 0, sizeof d->mission))
SPOIL(r_expires, root, d->expires_ms = d->issued_ms - 1)
SPOIL(r_root_keys, root, d->root_keys.threshold = 4)
SPOIL(r_operator_keys, root, d->operator_keys.threshold = 0)
SPOIL(r_next, root, memset(&d->next_keys, 0, sizeof d->next_keys))

static const struct {
    const char *why;
    void (*spoil)(struct root *d);
    enum rc rc;
} root_rows[] = {
    { "version zero", r_version, RC_VALUE },
    { "no mission", r_mission, RC_MISSION },
    { "expires before it is issued", r_expires, RC_VALUE },
    { "root threshold", r_root_keys, RC_THRESHOLD_INVALID },
    { "operator threshold", r_operator_keys, RC_THRESHOLD_INVALID },
    { "no commitment", r_next, RC_DIGEST_MISSING },
};

/* ---- report ---- */

SPOIL(p_satellite, report, d->satellite[0] = '\0')
SPOIL(p_counter, report, d->seq = UINT64_MAX)
SPOIL(p_payloads, report, d->n_payloads = PAYLOADS_MAX + 1)
SPOIL(p_name, report, d->payload[0].name[0] = '\x1b')
SPOIL(p_state, report, d->payload[0].state = SLOT_STATES)
SPOIL(p_version, report, d->payload[0].version[0] = ' ')
SPOIL(p_event_order, report, d->event[1].seq = d->event[0].seq)
SPOIL(p_event_text, report, d->event[0].what[0] = '\n')
SPOIL(p_object, report, memset(&d->transfer[0].object, 0, DIGEST_SIZE))
SPOIL(p_chunks, report, d->transfer[0].chunks = CHUNKS_MAX + 1)
SPOIL(p_range_empty, report, d->transfer[0].missing[0].count = 0)
SPOIL(p_range_touches, report, d->transfer[0].missing[0].count = 4)
SPOIL(p_range_back, report, d->transfer[0].missing[0].first = 6)
SPOIL(p_range_end, report, d->transfer[0].missing[1].count = 7)
SPOIL(p_range_wraps, report, d->transfer[0].missing[1].count = UINT32_MAX)
SPOIL(p_rekey, report, d->keys.rekey = UINT64_MAX)
SPOIL(p_kem, report, d->keys.has_kem_public = true)
SPOIL(p_links, report, d->keys.n_links = REPORT_LINKS_MAX + 1)
SPOIL(p_link, report, d->keys.n_links = 1)
SPOIL(p_scrub_files, report, d->scrub.damaged = 1)
SPOIL(p_scrub_damaged, report, (d->scrub.files = 1, d->scrub.repaired = 1))
SPOIL(p_scrub_age, report, d->scrub.age_s = 1)
SPOIL(p_scrub_many, report, d->scrub.n_wanted = REPORT_WANTED_MAX + 1)
SPOIL(p_scrub_none, report, d->scrub.n_wanted = 1)
SPOIL(p_spool_many, report, d->n_spool = REPORT_SPOOL_MAX + 1)
SPOIL(p_spool_none, report, d->n_spool = 1)
SPOIL(p_spool_name, report, (d->n_spool = d->spool[0].count[0] = 1, d->spool[0].tenant[0] = '-'))
SPOIL(p_spool_order, report, (d->n_spool = 2, d->spool[0].count[0] = d->spool[1].count[0] = 1))
SPOIL(p_usage_many, report, d->n_usage = TENANTS_MAX + 1)
SPOIL(p_usage_name, report, d->n_usage = 1)
SPOIL(p_usage_order, report,
      (d->n_usage = 2, d->usage[0].tenant[0] = d->usage[1].tenant[0] = 'a'))
SPOIL(p_denied_many, report, (two_denied(d), d->n_denied = REPORT_DENIED_MAX + 1))
SPOIL(p_denied_name, report, (two_denied(d), d->denied[0].name[0] = '\0'))
SPOIL(p_denied_order, report, (two_denied(d), d->denied[0].name[0] = 'z'))
SPOIL(p_denied_none, report, (two_denied(d), d->denied[1].n = 0))
SPOIL(p_denied_calls, report, (two_denied(d), d->denied[1].n = REPORT_DENIED_CALLS + 1))
SPOIL(p_denied_call, report, (two_denied(d), d->denied[0].call[0].name[1] = '\x1b'))
SPOIL(p_denied_long, report, memset(two_denied(d)->call[0].name, 'a', NAME_CAP))
SPOIL(p_denied_zero, report, two_denied(d)->call[1].count = 0)
SPOIL(p_denied_rising, report, two_denied(d)->call[1].count = 41)
SPOIL(p_denied_total, report, two_denied(d)->total = 40)
SPOIL(p_walls_both, report, (doc_report_walls(d), d->walls.missing |= 1))
SPOIL(p_walls_waived, report, (doc_report_walls(d), d->walls.waived |= 2))
SPOIL(p_walls_high, report, (doc_report_walls(d), d->walls.standing |= 1ULL << 63))
SPOIL(p_walls_cgroup, report, (doc_report_walls(d), d->walls.cgroup = 3))
SPOIL(p_walls_none, report, (doc_report_walls(d), memset(&d->walls, 0, sizeof d->walls)))
SPOIL(p_complete, report, memset(&d->object[0], 0, DIGEST_SIZE))

static const struct {
    const char *why;
    void (*spoil)(struct report *d);
    enum rc rc;
} report_rows[] = {
    { "no satellite", p_satellite, RC_NAME },
    { "counter above 2^63-1", p_counter, RC_VALUE },
    { "too many payloads", p_payloads, RC_VALUE },
    { "name with an escape", p_name, RC_NAME },
    { "unknown state", p_state, RC_VALUE },
    { "version with a space", p_version, RC_NAME },
    { "events out of order", p_event_order, RC_VALUE },
    { "line break in an event", p_event_text, RC_VALUE },
    { "transfer of nothing", p_object, RC_DIGEST_MISSING },
    { "too many chunks", p_chunks, RC_VALUE },
    { "empty range", p_range_empty, RC_VALUE },
    { "ranges that touch", p_range_touches, RC_VALUE },
    { "ranges out of order", p_range_back, RC_VALUE },
    { "range past the end", p_range_end, RC_VALUE },
    { "a wall that stands and is missing", p_walls_both, RC_VALUE },
    { "a wall that stands and is waived", p_walls_waived, RC_VALUE },
    { "a wall above 62", p_walls_high, RC_VALUE },
    { "control groups of version 3", p_walls_cgroup, RC_VALUE },
    { "a receipt without walls", p_walls_none, RC_VALUE },
    { "more damaged than read", p_scrub_files, RC_VALUE },
    { "more repaired than damaged", p_scrub_damaged, RC_VALUE },
    { "age of a round that never ended", p_scrub_age, RC_VALUE },
    { "too many packages wanted", p_scrub_many, RC_VALUE },
    { "package wanted without a manifest", p_scrub_none, RC_DIGEST_MISSING },
    { "too many tenants without room", p_spool_many, RC_VALUE },
    { "a tenant that had room", p_spool_none, RC_VALUE },
    { "a bad name without room", p_spool_name, RC_NAME },
    { "one tenant twice without room", p_spool_order, RC_VALUE },
    { "what too many tenants take", p_usage_many, RC_VALUE },
    { "what nobody takes", p_usage_name, RC_NAME },
    { "what one tenant takes, twice", p_usage_order, RC_VALUE },
    { "refusals to too many payloads", p_denied_many, RC_VALUE },
    { "refusals to nobody", p_denied_name, RC_NAME },
    { "refusals out of order", p_denied_order, RC_VALUE },
    { "refusals of no call", p_denied_none, RC_VALUE },
    { "refusals of too many calls", p_denied_calls, RC_VALUE },
    { "escape in the name of a call", p_denied_call, RC_VALUE },
    { "name of a call without end", p_denied_long, RC_VALUE },
    { "call that was refused no times", p_denied_zero, RC_VALUE },
    { "calls out of order", p_denied_rising, RC_VALUE },
    { "more calls than the total", p_denied_total, RC_VALUE },
    { "range that wraps", p_range_wraps, RC_VALUE },
    { "rekey number above 2^63-1", p_rekey, RC_VALUE },
    { "KEM key without id", p_kem, RC_VALUE },
    { "too many link keys", p_links, RC_VALUE },
    { "key of node 0", p_link, RC_VALUE },
    { "complete object without digest", p_complete, RC_DIGEST_MISSING },
};
/* clang-format on */

/* Each row: the code, and nothing handed out. */
#define walk_rows(type, rows, good)                                                                \
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {                                    \
        struct bytes view_ = untouched();                                                          \
        good;                                                                                      \
        rows[i].spoil(&doc);                                                                       \
        enum rc rc_ = type##_encode(&doc, buf_a, sizeof buf_a, &view_, NULL);                      \
        if (rc_ != rows[i].rc)                                                                     \
            fail_msg("%s: got %s", rows[i].why, rc_name(rc_));                                     \
        assert_untouched(view_);                                                                   \
    }

static void test_manifest_rows(void **state)
{
    (void)state;
    struct manifest doc;

    walk_rows(manifest, manifest_rows, doc = doc_manifest());
}

static void test_order_rows(void **state)
{
    (void)state;
    struct order doc;

    walk_rows(order, order_rows, doc = doc_order());
}

static void test_grant_rows(void **state)
{
    (void)state;
    struct grant doc;

    walk_rows(grant, grant_rows, doc = doc_grant());
}

static void test_root_rows(void **state)
{
    (void)state;
#define doc root_a
    walk_rows(root, root_rows, root_a = doc_root());
#undef doc
}

static void test_report_rows(void **state)
{
    (void)state;
#define doc report_a
    walk_rows(report, report_rows, doc_report(&report_a));
#undef doc
}

static void test_key_ids_and_commitments_tell_keys_apart(void **state)
{
    (void)state;
    struct public_key a = *sign_key_public(doc_key(K_ACME)), b = a;
    struct key_set set = doc_key_set(1, 2, K_ACME);
    struct digest one, two;
    uint8_t id[KEY_ID_SIZE];

    doc_half(&b, 1)[1951] ^= 1;
    assert_rc(public_key_id(&b, id, NULL), RC_OK);
    assert_memory_not_equal(id, a.id, sizeof id);
    assert_rc(key_set_digest(&set, &one, NULL, NULL), RC_OK);
    set.threshold = 2;
    assert_rc(key_set_digest(&set, &two, NULL, NULL), RC_OK);
    assert_memory_not_equal(&one, &two, sizeof one);
    set.threshold = 3;
    one = two;
    assert_rc(key_set_digest(&set, &one, NULL, NULL), RC_THRESHOLD_INVALID);
    assert_memory_equal(&one, &two, sizeof one);
}

static int teardown(void **state)
{
    (void)state;
    doc_keys_free();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_reports_without_walls),
        cmocka_unit_test(test_strange_receipts),
        cmocka_unit_test(test_grant_round_trip),
        cmocka_unit_test(test_an_empty_order_is_an_order),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_manifest_rows),
        cmocka_unit_test(test_order_rows),
        cmocka_unit_test(test_grant_rows),
        cmocka_unit_test(test_root_rows),
        cmocka_unit_test(test_report_rows),
        cmocka_unit_test(test_key_ids_and_commitments_tell_keys_apart),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
