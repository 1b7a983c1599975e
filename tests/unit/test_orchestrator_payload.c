/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "orchestrator/payload.h"
#include "orchestrator/quota.h"

static const char whole[] =
    "name: cam\n"
    "tenant: acme\n"
    "version: 1.0-rc1\n"
    "release: 3\n"
    "floor: 2\n"
    "arch: aarch64\n"
    "exec: [/bin/cam, --fast, \"\"]\n"
    "env: {TZ: UTC, EMPTY: \"\"}\n"
    "root: tree/rootfs\n"
    "copy:\n"
    "  - /bin/busybox\n"
    "  - {from: build/cam, to: /bin/cam, libs: auto}\n"
    "resources: {memory: 64M, cpu: 50%, pids: 8, data: 8M, tmp: 4M, files: 9}\n"
    "health: {type: notify, ready: 3s, soak: 500ms, watchdog: 10s}\n"
    "data: {snapshot: true}\n";

static struct err err;

static enum rc read_text(const char *text, struct payload_spec *spec)
{
    scoped(yaml_close) struct yaml *doc = NULL;
    enum rc rc = yaml_parse(bytes_of(text), PAYLOAD_FILE, &doc, &err);

    return rc == RC_OK ? payload_read(doc, spec, &err) : rc;
}

static void every_field_is_taken(void **state)
{
    struct payload_spec *spec = calloc(1, sizeof *spec);
    const struct manifest *m = &spec->manifest;

    (void)state;
    assert_rc(read_text(whole, spec), RC_OK);
    assert_string_equal(m->name, "cam");
    assert_string_equal(m->tenant, "acme");
    assert_string_equal(m->version, "1.0-rc1");
    assert_int_equal(m->release, 3);
    assert_int_equal(m->floor, 2);
    assert_string_equal(m->arch, "aarch64");
    assert_int_equal(m->n_args, 3);
    assert_string_equal(m->args[1], "--fast");
    assert_string_equal(m->args[2], "");
    assert_int_equal(m->n_env, 2);
    assert_string_equal(m->env[0], "TZ=UTC");
    assert_string_equal(m->env[1], "EMPTY=");
    assert_string_equal(spec->root, "tree/rootfs");
    assert_int_equal(spec->n_copies, 2);
    assert_string_equal(spec->copy[0].to, "/bin/busybox");
    assert_false(spec->copy[0].libs);
    assert_string_equal(spec->copy[1].from, "build/cam");
    assert_true(spec->copy[1].libs);
    assert_int_equal(m->limits.memory_bytes, 64U << 20);
    assert_int_equal(m->limits.cpu_permille, 500);
    assert_int_equal(m->limits.pids, 8);
    assert_int_equal(m->limits.data_bytes, 8U << 20);
    assert_int_equal(m->limits.tmp_bytes, 4U << 20);
    assert_int_equal(m->limits.open_files, 9);
    assert_int_equal(m->health.type, HEALTH_NOTIFY);
    assert_int_equal(m->health.ready_ms, 3000);
    assert_int_equal(m->health.soak_ms, 500);
    assert_int_equal(m->health.watchdog_ms, 10000);
    assert_true(m->snapshot);
    free(spec);
}

static const char newer[] =
    "name: cam\n"
    "tenant: acme\n"
    "version: 1.0\n"
    "release: 3\n"
    "exec: [/bin/cam]\n"
    "root: rootfs\n"
    "resources: {memory: 64M, cpu: 50%, pids: 8, data: 8M, memory-high: 48M, cpu-weight: 50,\n"
    "  io-weight: 20, io-read: 1M, io-write: 512K, file-size: 2M, shm: 4M, data-files: 99,\n"
    "  tmp-files: 77, log-per-hour: 64K, inbox: 1M, outbox: 2M, outbox-per-day: 10M,\n"
    "  run-per-orbit: 20m, core: 3M, logs: 32K, logs-per-pass: 8K}\n"
    "health: {type: alive}\n"
    "calls: [net, posix-legacy]\n"
    "network: {type: host, interface: can0, rate: 100K}\n"
    "devices: [camera, i2c-1]\n"
    "inner-root: true\n"
    "isolation: vm\n"
    "format: solo5\n"
    "peers: [db]\n"
    "mail: {sealed: true}\n"
    "kind: scheduled\n"
    "schedule: {every: 90m, at: [aos, los], event: ascending-node}\n"
    "restart: {policy: on-failure, backoff: 500ms, backoff-max: 30s, budget: 5, window: 1h}\n"
    "after: [db, bus]\n"
    "modes: [nominal, safe]\n";

static void every_newer_field_is_taken(void **state)
{
    struct payload_spec *spec = calloc(1, sizeof *spec);
    const struct manifest *m = &spec->manifest;
    const struct resources *l = &m->limits;

    (void)state;
    assert_rc(read_text(newer, spec), RC_OK);
    assert_int_equal(l->memory_high_bytes, 48U << 20);
    assert_int_equal(l->cpu_weight, 50);
    assert_int_equal(l->io_weight, 20);
    assert_int_equal(l->io_read_bps, 1U << 20);
    assert_int_equal(l->io_write_bps, 512U << 10);
    assert_int_equal(l->file_bytes, 2U << 20);
    assert_int_equal(l->shm_bytes, 4U << 20);
    assert_int_equal(l->data_files, 99);
    assert_int_equal(l->tmp_files, 77);
    assert_int_equal(l->log_bytes_hour, 64U << 10);
    assert_int_equal(l->inbox_bytes, 1U << 20);
    assert_int_equal(l->outbox_bytes, 2U << 20);
    assert_int_equal(l->outbox_bytes_day, 10U << 20);
    assert_true(m->sealed);
    assert_int_equal(l->run_s_orbit, 1200);
    assert_int_equal(l->core_bytes, 3U << 20);
    assert_int_equal(l->logs_bytes_day, 32U << 10);
    assert_int_equal(l->logs_bytes_pass, 8U << 10);
    assert_int_equal(m->calls, CALLS_NET | CALLS_POSIX_LEGACY);
    assert_int_equal(m->network, NETWORK_HOST);
    assert_string_equal(m->interface, "can0");
    assert_int_equal(m->net_bps, 100U << 10);
    assert_int_equal(m->n_devices, 2);
    assert_string_equal(m->device[1], "i2c-1");
    assert_true(m->inner_root);
    assert_int_equal(m->isolation, ISOLATION_VM);
    assert_int_equal(m->image, IMAGE_SOLO5);
    assert_int_equal(m->n_peers, 1);
    assert_int_equal(m->kind, KIND_SCHEDULED);
    assert_int_equal(m->schedule.every_s, 5400);
    assert_true(m->schedule.at_aos && m->schedule.at_los);
    assert_string_equal(m->schedule.event, "ascending-node");
    assert_int_equal(m->restart.policy, RESTART_ON_FAILURE);
    assert_int_equal(m->restart.backoff_ms, 500);
    assert_int_equal(m->restart.backoff_max_ms, 30000);
    assert_int_equal(m->restart.budget, 5);
    assert_int_equal(m->restart.window_s, 3600);
    assert_int_equal(m->n_after, 2);
    assert_string_equal(m->after[1], "bus");
    assert_int_equal(m->modes, MODES_ALL);
    assert_false(m->freeze);
    memset(spec, 0, sizeof *spec);
    assert_rc(read_text(whole, spec), RC_OK); /* none of it written: all of it the default */
    assert_int_equal(m->kind, KIND_SERVICE);
    assert_int_equal(m->modes, 0);
    assert_int_equal(m->calls, 0);
    assert_int_equal(m->network, NETWORK_NONE);
    assert_int_equal(l->cpu_weight, 0);
    free(spec);
}

static void newer_mistakes_are_named(void **state)
{
    static const struct {
        const char *from, *to, *says;
    } rows[] = {
        { "cpu-weight: 50", "cpu-weight: 0", "'cpu-weight' must be 1 to 10000" },
        { "io-weight: 20", "io-wait: 20", "unknown key 'io-wait'" },
        { "run-per-orbit: 20m", "run-per-orbit: 20", "'run-per-orbit' wants a time" },
        { "calls: [net,", "calls: [nets,", "'calls' must be net, device or posix-legacy" },
        { "calls: [net, posix-legacy]", "calls: [net, net]", "the same twice" },
        { "calls: [net, posix-legacy]", "calls: net", "'calls' wants a list" },
        { "{type: host, interface: can0, rate: 100K}", "host", "which interface?" },
        { "type: host, interface: can0", "type: host", "'interface' is missing" },
        { "type: host,", "type: private,", "'interface' goes with type host" },
        { "{type: host, interface: can0,", "{type: loopback,", "'rate' goes with" },
        { "interface: can0", "interface: sixteen-letters0", "at most 15" },
        { "network: {type: host", "network: {typ: host", "did you mean 'type'?" },
        { "devices: [camera,", "devices: [/dev/cam,", "'devices' must name" },
        { "devices: [camera, i2c-1]", "devices: [a, a]", "the same twice" },
        { "devices: [camera, i2c-1]", "devices: [a,b,c,d,e,f,g,h,i]", "more than 8" },
        { "isolation: vm", "isolation: process", "'format' solo5 goes with isolation vm" },
        { "format: solo5", "format: pe", "'format' must be elf or solo5" },
        { "kind: scheduled", "kind: sometimes", "'kind' must be service, oneshot or scheduled" },
        { "kind: scheduled", "kind: oneshot", "'schedule' goes with kind scheduled" },
        { "schedule: {every: 90m, at: [aos, los], event: ascending-node}\n", "",
          "'schedule' is missing" },
        { "{every: 90m, at: [aos, los], event: ascending-node}", "{}",
          "'every', 'at' or 'event' is missing" },
        { "at: [aos, los]", "at: [noon]", "'at' must be aos or los" },
        { "event: ascending-node", "event: Node", "'event' must be letters" },
        { "policy: on-failure", "policy: maybe", "'policy' must be always, on-failure or never" },
        { ", window: 1h", "", "'budget' and 'window' go together" },
        { "backoff-max: 30s", "backoff-max: 400ms", "'backoff-max' is below 'backoff'" },
        { "after: [db, bus]", "after: [a,b,c,d,e]", "more than 4 in 'after'" },
        { "modes: [nominal, safe]", "modes: [asleep]", "'modes' must be nominal or safe" },
        { "modes: [nominal, safe]", "freeze: true", "'freeze' goes with kind service" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct payload_spec *spec = calloc(1, sizeof *spec);
        const char *at = strstr(newer, rows[i].from);
        char text[sizeof newer + 64];

        if (!at)
            fail_msg("row %zu is not in the text", i);
        (void)snprintf(text, sizeof text, "%.*s%s%s", (int)(at - newer), newer, rows[i].to,
                       at + strlen(rows[i].from));
        enum rc rc = read_text(text, spec);
        if (rc != RC_YAML || !strstr(err.what, rows[i].says))
            fail_msg("row %zu, %s: got %s, %s", i, rows[i].to, rc_name(rc), err.what);
        free(spec);
    }
}

/* A quota file's limits and leaves, and one without any. */
static void quotas_say_what_may_be_asked_for(void **state)
{
    static const char amounts[] =
        "memory: 64M\ncpu: 1.0\npids: 32\nstore: 64M\nshm: 4M\nrun-per-orbit: 1h\n";
    static const char leaves[] =
        "calls: [net]\nnetworks: [none, loopback, host]\n"
        "interfaces: [can0]\ndevices: [camera]\nnet-rate: 1M\n"
        "inner-root: true\nmodes: [nominal, safe]\nvm: true\npeers: true\n";
    char path[] = "/tmp/quota-XXXXXX";
    scoped(close_fd) int fd = mkstemp(path);
    struct quota q = { 0 };
    enum rc plain, full, bad;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, amounts, sizeof amounts - 1), sizeof amounts - 1);
    plain = quota_read(path, &q, &err);
    bool none = allowance_none(&q.may);
    assert_int_equal(write(fd, leaves, sizeof leaves - 1), sizeof leaves - 1);
    full = quota_read(path, &q, &err);
    assert_int_equal(write(fd, "network: host\n", 14), 14);
    struct quota unused = { 0 };
    bad = quota_read(path, &unused, &err);
    (void)unlink(path);
    assert_rc(plain, RC_OK);
    assert_true(none);
    assert_rc(full, RC_OK);
    assert_int_equal(q.total.shm_bytes, 4U << 20);
    assert_int_equal(q.total.run_s_orbit, 3600);
    assert_int_equal(q.may.calls, CALLS_NET);
    assert_int_equal(q.may.networks, 1U << NETWORK_LOOPBACK | 1U << NETWORK_HOST);
    assert_string_equal(q.may.interface[0], "can0");
    assert_string_equal(q.may.device[0], "camera");
    assert_int_equal(q.may.net_bps, 1U << 20);
    assert_int_equal(q.may.modes, MODE_SAFE);
    assert_true(q.may.inner_root && q.may.vm && q.may.peers);
    assert_rc(bad, RC_YAML);
    assert_non_null(strstr(err.what, "did you mean 'networks'?"));
}

static void mistakes_are_named(void **state)
{
    static const struct {
        const char *from, *to, *says;
    } rows[] = {
        { "name: cam", "name: Cam", "1:7: 'name' must be letters a-z" },
        { "name: cam\n", "", "'name' is missing" },
        { "tenant: acme", "tenant: [acme]", "2:9: plain text is expected here" },
        { "release: 3", "release: 0", "4:10: 'release' must be 1 to" },
        { "release: 3", "release: -1", "'release' wants a number" },
        { "exec: [/bin/cam, --fast, \"\"]", "exec: []", "'exec' is empty" },
        { "exec: [/bin/cam", "exec: [bin/cam", "absolute path inside the package" },
        { "exec: [/bin/cam, --fast, \"\"]", "exec: /bin/cam", "'exec' wants a list" },
        { "--fast", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", "more than 16 arguments" },
        { "root: tree/rootfs", "root: /", "'root' must name a directory below" },
        { "root: tree/rootfs", "root: a/../../b", "'root' must name a directory below" },
        { "root: tree/rootfs", "root: .", "'root' must name a directory below" },
        { "libs: auto", "libs: maybe", "'libs' must be auto or none" },
        { "to: /bin/cam", "to: bin/cam", "'to' must be an absolute path" },
        { "- /bin/busybox", "- busybox", "'to' must be an absolute path" },
        { "from: build/cam, ", "", "'from' is missing" },
        { "libs: auto", "lib: auto", "unknown key 'lib', did you mean 'libs'?" },
        { "memory: 64M, ", "", "'memory' is missing" },
        { "cpu: 50%", "cpu: fast", "'cpu' wants a share" },
        { "pids: 8", "pid: 8", "unknown key 'pid', did you mean 'pids'?" },
        { "type: notify", "type: pray", "'type' must be notify or alive" },
        { "ready: 3s", "ready: 3", "'ready' wants a time such as 5s" },
        { "env: {TZ: UTC", "env: {TZ: [UTC]", "plain text is expected here" },
        { "root: tree/rootfs", "image: a.tar", "'root' and 'copy' do not go with it" },
        { "root: tree/rootfs", "image: {fil: a.tar}", "unknown key 'fil', did you mean 'file'?" },
        { "root: tree/rootfs", "image: {file: a, setuid: keep}",
          "'setuid' must be refuse or strip" },
        { "root: tree/rootfs", "image: \"\"", "'image' must name a file" },
        { "resources: {", "resources: [{", "" },
        { "data: 8M, ", "", "'snapshot' wants 'data' among the resources" },
        { "snapshot: true", "snapshot: maybe", "'snapshot'" },
        { "snapshot: true", "snapshots: true", "did you mean 'snapshot'?" },
        { "data: {snapshot: true}", "mail: {sealed: true}",
          "'sealed' wants 'inbox' or 'outbox' among the resources" },
        { "data: {snapshot: true}", "mail: {seal: true}", "did you mean 'sealed'?" },
        { "data: {snapshot: true}", "mail: {sealed: maybe}", "'sealed'" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct payload_spec *spec = calloc(1, sizeof *spec);
        const char *at = strstr(whole, rows[i].from);
        char text[2048];

        assert_non_null(at);
        (void)snprintf(text, sizeof text, "%.*s%s%s", (int)(at - whole), whole, rows[i].to,
                       at + strlen(rows[i].from));
        assert_rc(read_text(text, spec), RC_YAML);
        if (!strstr(err.what, rows[i].says))
            fail_msg("'%s' says '%s', not '%s'", rows[i].to, err.what, rows[i].says);
        free(spec);
    }
}

static void nothing_to_pack_is_refused(void **state)
{
    struct payload_spec *spec = calloc(1, sizeof *spec);

    (void)state;
    assert_rc(read_text("name: a\ntenant: b\nversion: 1\nrelease: 1\nexec: [/x]\n"
                        "resources: {memory: 1M, cpu: 1, pids: 1}\nhealth: {type: alive}\n",
                        spec),
              RC_YAML);
    assert_non_null(strstr(err.what, "the package would be empty"));
    free(spec);
}

/* An image says what to run, so `exec` may be missing. */
static void image_is_a_whole_package(void **state)
{
    struct payload_spec *spec = calloc(1, sizeof *spec);

    (void)state;
    assert_rc(read_text("name: a\ntenant: b\nversion: 1\nrelease: 1\n"
                        "image: {file: a.tar, tag: \"1\", setuid: strip}\n"
                        "resources: {memory: 1M, cpu: 1, pids: 1}\nhealth: {type: alive}\n",
                        spec),
              RC_OK);
    assert_string_equal(spec->image.file, "a.tar");
    assert_string_equal(spec->image.tag, "1");
    assert_true(spec->image.strip_setuid);
    assert_int_equal(spec->manifest.n_args, 0);
    free(spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_is_taken),
        cmocka_unit_test(every_newer_field_is_taken),
        cmocka_unit_test(newer_mistakes_are_named),
        cmocka_unit_test(quotas_say_what_may_be_asked_for),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(nothing_to_pack_is_refused),
        cmocka_unit_test(image_is_a_whole_package),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
