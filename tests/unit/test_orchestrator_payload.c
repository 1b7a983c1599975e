/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/payload.h"

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
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(nothing_to_pack_is_refused),
        cmocka_unit_test(image_is_a_whole_package),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
