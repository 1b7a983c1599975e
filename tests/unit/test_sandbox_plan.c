/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <stdlib.h>

#include "manifest/doc.h"
#include "sandbox/plan.h"
#include "sandbox/tender.h"

static struct manifest good_manifest(void)
{
    return (struct manifest){ .tenant = "acme",
                              .name = "cam",
                              .version = "1.0",
                              .arch = "any",
                              .n_args = 2,
                              .args = { "/bin/cam", "--fast" },
                              .n_env = 1,
                              .env = { "MODE=night" },
                              .limits = { .memory_bytes = 32U << 20,
                                          .data_bytes = 8U << 20,
                                          .tmp_bytes = 1U << 20,
                                          .cpu_permille = 250,
                                          .pids = 8,
                                          .open_files = 32 },
                              .health = { .type = HEALTH_NOTIFY, .watchdog_ms = 2000 } };
}

static struct grant good_grant(void)
{
    return (struct grant){ .tenant = "acme",
                           .total = { .memory_bytes = 64U << 20,
                                      .data_bytes = 16U << 20,
                                      .tmp_bytes = 8U << 20,
                                      .cpu_permille = 1000,
                                      .pids = 64,
                                      .open_files = 64 } };
}

static bool has_env(const struct plan *p, const char *line)
{
    for (uint32_t i = 0; i < p->n_env; i++) {
        if (strcmp(p->env[i], line) == 0)
            return true;
    }
    return false;
}

static void makes_the_plan(void **state)
{
    struct manifest m = good_manifest();
    struct grant g = good_grant();
    struct plan p;

    (void)state;
    assert_rc(plan_make(&m, &g, 3, true, &p, NULL), RC_OK);
    assert_int_equal(p.uid_base, 524288 + 3 * 65536);
    assert_string_equal(p.args[0], "/bin/cam");
    assert_int_equal(p.n_args, 2);
    assert_int_equal(p.limits.pids, 9); /* with the reaper */
    assert_int_equal(p.n_ops, 6);
    assert_int_equal(p.ops[0].type, PLAN_OP_ROOT);
    assert_int_equal(p.ops[5].type, PLAN_OP_DATA);
    assert_int_equal(p.ops[5].bytes, 8U << 20);
    assert_true(has_env(&p, "MODE=night"));
    assert_true(has_env(&p, "NOTIFY_SOCKET=/run/notify"));
    assert_true(has_env(&p, "WATCHDOG_USEC=2000000"));
    assert_true(has_env(&p, "HOME=/data"));
    assert_rc(plan_check(&p, NULL), RC_OK);
}

static void asks_for_mail_by_its_size(void **state)
{
    struct manifest m = good_manifest();
    struct grant g = good_grant();
    struct plan p;

    (void)state;
    m.limits.outbox_bytes = 1U << 20;
    assert_rc(plan_make(&m, &g, 3, true, &p, NULL), RC_PLAN_LIMIT); /* not granted */
    g.total.outbox_bytes = 1U << 20;
    assert_rc(plan_make(&m, &g, 3, true, &p, NULL), RC_OK);
    assert_int_equal(p.has_mail, 1);
    assert_int_equal(p.n_ops, 7);
    assert_int_equal(p.ops[6].type, PLAN_OP_OUTBOX);
    assert_int_equal(p.ops[6].bytes, 1U << 20);
    m.limits.inbox_bytes = g.total.inbox_bytes = PLAN_MAIL_MIN;
    assert_rc(plan_make(&m, &g, 3, true, &p, NULL), RC_OK);
    assert_int_equal(p.n_ops, 8);
    assert_int_equal(p.ops[6].type, PLAN_OP_INBOX);
    p.has_mail = 0; /* what the launcher is told */
    assert_rc(plan_check(&p, NULL), RC_LAUNCH_REQUEST);
    p.has_mail = 1;
    p.limits.inbox_bytes = 0;
    assert_rc(plan_check(&p, NULL), RC_PLAN_PATH);
    m.limits.inbox_bytes = PLAN_MAIL_MIN - 1;
    assert_rc(plan_make(&m, &g, 3, true, &p, NULL), RC_PLAN_LIMIT);

    assert_int_equal(plan_mail_image(0, 0), 0);
    assert_int_equal(plan_mail_image(PLAN_MAIL_MIN, 0), 3U << 20);
    assert_int_equal(plan_mail_image(8U << 20, 8U << 20), 19U << 20);
}

static void knows_what_changes_as_it_runs(void **state)
{
    struct manifest m = good_manifest();
    struct grant g = good_grant();
    struct plan p;

    (void)state;
    g.payloads_max = 3;
    assert_rc(plan_make(&m, &g, 3, true, &p, NULL), RC_OK);
    assert_int_equal(p.share.memory_bytes, 64U << 20);
    assert_int_equal(p.share.cpu_permille, 1000);
    assert_int_equal(p.share.pids, 67); /* with a reaper for each */

    struct plan_limits l = p.limits;
    assert_true(plan_limits_live(&p.limits, &l));
    l.memory_bytes *= 2;
    l.memory_high_bytes = l.memory_bytes;
    l.cpu_permille = 1;
    l.cpu_weight = l.io_weight = 7;
    l.pids = 99;
    l.io_read_bps = l.io_write_bps = 1U << 20;
    assert_true(plan_limits_live(&p.limits, &l));
    l.tmp_bytes++;
    assert_false(plan_limits_live(&p.limits, &l));
    l.tmp_bytes--;
    l.open_files++;
    assert_false(plan_limits_live(&p.limits, &l));
    l.open_files--;
    l.data_bytes = 0;
    assert_false(plan_limits_live(&p.limits, &l));
}

static void lets_the_payload_choose_its_path(void **state)
{
    struct manifest m = good_manifest();
    struct grant g = good_grant();
    struct plan p;

    (void)state;
    memcpy(m.env[0], "PATH=/opt", 10);
    m.limits.data_bytes = 0;
    assert_rc(plan_make(&m, &g, 0, false, &p, NULL), RC_OK);
    assert_true(has_env(&p, "PATH=/opt"));
    assert_false(has_env(&p, "PATH=/usr/local/bin:/usr/bin:/bin"));
    assert_true(has_env(&p, "HOME=/tmp"));
    assert_int_equal(p.n_ops, 5);
}

/* One change to a good manifest, grant or slot, and how it must be refused. */
struct refusal {
    const char *why;
    void (*change)(struct manifest *m, struct grant *g);
    uint32_t slot;
    bool has_data;
    enum rc rc;
};

#define CHANGE(fn, statement)                                                                      \
    static void fn(struct manifest *m, struct grant *g)                                            \
    {                                                                                              \
        (void)g;                                                                                   \
        (void)m;                                                                                   \
        statement;                                                                                 \
    }

CHANGE(nothing, (void)0)
CHANGE(no_memory, m->limits.memory_bytes = 0)
CHANGE(little_memory, m->limits.memory_bytes = PLAN_MEMORY_MIN - 1)
CHANGE(much_memory, m->limits.memory_bytes = 65U << 20)
CHANGE(no_tmp, m->limits.tmp_bytes = 0)
CHANGE(much_tmp, m->limits.tmp_bytes = (16U << 20) + 1; g->total.tmp_bytes = UINT64_MAX)
CHANGE(no_cpu, m->limits.cpu_permille = 0)
CHANGE(much_cpu, m->limits.cpu_permille = 1001)
CHANGE(no_pids, m->limits.pids = 0)
CHANGE(much_pids, m->limits.pids = 65)
CHANGE(all_pids, m->limits.pids = UINT32_MAX; g->total.pids = UINT32_MAX)
CHANGE(no_files, m->limits.open_files = 0)
CHANGE(much_files, m->limits.open_files = 65)
CHANGE(much_data, m->limits.data_bytes = 17U << 20)
CHANGE(little_data, m->limits.data_bytes = 1)
CHANGE(no_data, m->limits.data_bytes = 0)
CHANGE(empty_grant, memset(&g->total, 0, sizeof g->total))
CHANGE(other_tenant, memcpy(g->tenant, "evil", 5))
CHANGE(bad_tenant, memcpy(m->tenant, "../x", 5); memcpy(g->tenant, "../x", 5))
CHANGE(bad_name, memcpy(m->name, "a/b", 4))
CHANGE(no_args, m->n_args = 0)
CHANGE(many_args, m->n_args = PAYLOAD_ARGS_MAX + 1)
CHANGE(many_env, m->n_env = PAYLOAD_ENV_MAX + 1)
CHANGE(relative, memcpy(m->args[0], "bin/cam", 8))
CHANGE(dotdot, memcpy(m->args[0], "/bin/../x", 10))
CHANGE(dot, memcpy(m->args[0], "/./x", 5))
CHANGE(doubled, memcpy(m->args[0], "//x", 4))
CHANGE(trailing, memcpy(m->args[0], "/bin/", 6))
CHANGE(root, memcpy(m->args[0], "/", 2))
CHANGE(self_exe, memcpy(m->args[0], "/proc/self/exe", 15))
CHANGE(from_tmp, memcpy(m->args[0], "/tmp/x", 7))
CHANGE(from_data, memcpy(m->args[0], "/data/x", 8))
CHANGE(from_inbox, memcpy(m->args[0], "/inbox/x", 9))
CHANGE(from_dev, memcpy(m->args[0], "/dev/null", 10))
CHANGE(endless_arg, memset(m->args[1], 'x', sizeof m->args[1]))
CHANGE(endless_env, memset(m->env[0], 'x', sizeof m->env[0]))
CHANGE(env_no_name, memcpy(m->env[0], "=x", 3))
CHANGE(env_no_value, memcpy(m->env[0], "MODE", 5))
CHANGE(env_digit, memcpy(m->env[0], "1A=x", 5))
CHANGE(env_notify, memcpy(m->env[0], "NOTIFY_SOCKET=@x", 17))
CHANGE(env_berth, memcpy(m->env[0], "BERTH_TENANT=x", 15))

static const struct refusal refusals[] = {
    { "slot beyond the last", nothing, PLAN_SLOTS, true, RC_PLAN_LIMIT },
    { "slot that would wrap", nothing, UINT32_MAX, true, RC_PLAN_LIMIT },
    { "data asked for, none there", nothing, 0, false, RC_PLAN_LIMIT },
    { "data there, none asked for", no_data, 0, true, RC_PLAN_LIMIT },
    { "no memory limit", no_memory, 0, true, RC_PLAN_LIMIT },
    { "too little memory", little_memory, 0, true, RC_PLAN_LIMIT },
    { "memory above grant", much_memory, 0, true, RC_PLAN_LIMIT },
    { "no tmp limit would be no limit", no_tmp, 0, true, RC_PLAN_LIMIT },
    { "tmp above half of memory", much_tmp, 0, true, RC_PLAN_LIMIT },
    { "no cpu limit", no_cpu, 0, true, RC_PLAN_LIMIT },
    { "cpu above grant", much_cpu, 0, true, RC_PLAN_LIMIT },
    { "no pids limit", no_pids, 0, true, RC_PLAN_LIMIT },
    { "pids above grant", much_pids, 0, true, RC_PLAN_LIMIT },
    { "pids that would wrap", all_pids, 0, true, RC_PLAN_LIMIT },
    { "no files limit", no_files, 0, true, RC_PLAN_LIMIT },
    { "files above grant", much_files, 0, true, RC_PLAN_LIMIT },
    { "data above grant", much_data, 0, true, RC_PLAN_LIMIT },
    { "data too small for a file system", little_data, 0, true, RC_PLAN_LIMIT },
    { "a grant of nothing", empty_grant, 0, true, RC_PLAN_LIMIT },
    { "another tenant's grant", other_tenant, 0, true, RC_GRANT_MISSING },
    { "tenant is not a name", bad_tenant, 0, true, RC_NAME },
    { "payload is not a name", bad_name, 0, true, RC_NAME },
    { "no arguments", no_args, 0, true, RC_PLAN_LIMIT },
    { "too many arguments", many_args, 0, true, RC_PLAN_LIMIT },
    { "too many variables", many_env, 0, true, RC_PLAN_LIMIT },
    { "relative program", relative, 0, true, RC_PLAN_PATH },
    { "program with ..", dotdot, 0, true, RC_PLAN_PATH },
    { "program with .", dot, 0, true, RC_PLAN_PATH },
    { "program with //", doubled, 0, true, RC_PLAN_PATH },
    { "program is a directory", trailing, 0, true, RC_PLAN_PATH },
    { "program is the root", root, 0, true, RC_PLAN_PATH },
    { "program through /proc (CVE-2019-5736)", self_exe, 0, true, RC_PLAN_PATH },
    { "program from /tmp", from_tmp, 0, true, RC_PLAN_PATH },
    { "program from /data", from_data, 0, true, RC_PLAN_PATH },
    { "program from /dev", from_dev, 0, true, RC_PLAN_PATH },
    { "program from /inbox", from_inbox, 0, true, RC_PLAN_PATH },
    { "argument without end", endless_arg, 0, true, RC_PLAN_PATH },
    { "variable without end", endless_env, 0, true, RC_PLAN_PATH },
    { "variable without name", env_no_name, 0, true, RC_PLAN_PATH },
    { "variable without value", env_no_value, 0, true, RC_PLAN_PATH },
    { "variable begins with a digit", env_digit, 0, true, RC_PLAN_PATH },
    { "variable of the sandbox", env_notify, 0, true, RC_PLAN_PATH },
    { "variable of Berth", env_berth, 0, true, RC_PLAN_PATH },
};

static void refuses_and_leaves_the_result_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        const struct refusal *row = &refusals[i];
        struct manifest m = good_manifest();
        struct grant g = good_grant();
        struct plan p;
        struct plan before;
        struct err err = { 0 };

        memset(&p, 0xa5, sizeof p);
        before = p;
        row->change(&m, &g);
        enum rc rc = plan_make(&m, &g, row->slot, row->has_data, &p, &err);
        if (rc != row->rc || err.rc != row->rc)
            fail_msg("%s: got %s, want %s", row->why, rc_name(rc), rc_name(row->rc));
        assert_memory_equal(&p, &before, sizeof p);
    }
}

/* One change to a plan on its way to the launcher. */
struct tampering {
    const char *why;
    void (*change)(struct plan *p);
    enum rc rc;
};

#define TAMPER(fn, statement)                                                                      \
    static void fn(struct plan *p)                                                                 \
    {                                                                                              \
        statement;                                                                                 \
    }

TAMPER(t_magic, p->magic++)
TAMPER(t_calls, p->calls = 8)
TAMPER(t_root_ids, p->uid_base = 0)
TAMPER(t_other_ids, p->uid_base += 1)
TAMPER(t_slot, p->slot = PLAN_SLOTS)
TAMPER(t_no_limit, p->limits.memory_bytes = 0)
TAMPER(t_no_pids, p->limits.pids = 0)
TAMPER(t_one_pid, p->limits.pids = 1)
TAMPER(t_file, p->limits.file_bytes = PLAN_FILE_MAX + 1)
TAMPER(t_tmp_files, p->limits.tmp_files = PLAN_TMP_FILES_MAX + 1)
TAMPER(t_tmp_files_ops, p->limits.tmp_files = 7)
TAMPER(t_little_shm, p->limits.shm_bytes = 1)
TAMPER(t_much_shm, p->limits.shm_bytes = p->limits.memory_bytes)
TAMPER(t_shm_ops, p->limits.shm_bytes = 1U << 20)
TAMPER(t_little_core, p->limits.core_bytes = 2)
TAMPER(t_much_core, p->limits.core_bytes = p->limits.data_bytes + 1)
TAMPER(t_no_weight, p->limits.cpu_weight = 0)
TAMPER(t_cpu_weight, p->limits.cpu_weight = 10001)
TAMPER(t_io_weight, p->limits.io_weight = 1001)
TAMPER(t_high, p->limits.memory_high_bytes = p->limits.memory_bytes + 1)
TAMPER(t_little_high, p->limits.memory_high_bytes = 1)
TAMPER(t_little_io, p->limits.io_read_bps = 1)
TAMPER(t_much_io, p->limits.io_write_bps = UINT64_MAX)
TAMPER(t_share_memory, p->share.memory_bytes = p->limits.memory_bytes - 1)
TAMPER(t_share_huge, p->share.memory_bytes = UINT64_MAX)
TAMPER(t_share_cpu, p->share.cpu_permille = p->limits.cpu_permille - 1)
TAMPER(t_share_cpu_huge, p->share.cpu_permille = UINT32_MAX)
TAMPER(t_share_pids, p->share.pids = p->limits.pids - 1)
TAMPER(t_share_io, p->limits.io_read_bps = 2U << 20; p->share.io_read_bps = 1U << 20)
TAMPER(t_tmp_size, p->ops[3].bytes = 0)
TAMPER(t_mount_path, memcpy(p->ops[3].path, "/bin", 5))
TAMPER(t_mount_up, memcpy(p->ops[3].path, "/../x", 6))
TAMPER(t_op_type, p->ops[1].type = 77)
TAMPER(t_more_ops, p->n_ops = UINT32_MAX)
TAMPER(t_hidden_op, p->ops[PLAN_OPS_MAX - 1].type = PLAN_OP_DATA)
TAMPER(t_data, p->has_data = 0)
TAMPER(t_data_two, p->has_data = 2)
TAMPER(t_root_two, p->inner_root = 2)
TAMPER(t_vm_unknown, p->vm = PLAN_VMS)
TAMPER(t_vm_tree, p->vm = PLAN_VM_QEMU)
TAMPER(t_args, p->n_args = UINT32_MAX)
TAMPER(t_env, p->n_env = UINT32_MAX)
TAMPER(t_arg_end, memset(p->args[1], 'x', sizeof p->args[1]))
TAMPER(t_env_end, memset(p->env[0], 'x', sizeof p->env[0]))
TAMPER(t_program, memcpy(p->args[0], "/proc/self/exe", 15))
TAMPER(t_hostname, memcpy(p->hostname, "a\nb", 4))
TAMPER(t_hostname_end, memset(p->hostname, 'x', sizeof p->hostname))

static const struct tampering tamperings[] = {
    { "magic", t_magic, RC_LAUNCH_REQUEST },
    { "unknown calls", t_calls, RC_LAUNCH_REQUEST },
    { "host root", t_root_ids, RC_LAUNCH_REQUEST },
    { "overlapping ids", t_other_ids, RC_LAUNCH_REQUEST },
    { "slot beyond the last", t_slot, RC_LAUNCH_REQUEST },
    { "no memory limit", t_no_limit, RC_PLAN_LIMIT },
    { "no process limit", t_no_pids, RC_PLAN_LIMIT },
    { "no room for the payload", t_one_pid, RC_PLAN_LIMIT },
    { "a file larger than any", t_file, RC_PLAN_LIMIT },
    { "more files than any", t_tmp_files, RC_PLAN_LIMIT },
    { "files, and operations of others", t_tmp_files_ops, RC_PLAN_PATH },
    { "a byte of shared memory", t_little_shm, RC_PLAN_LIMIT },
    { "shared memory for all of it", t_much_shm, RC_PLAN_LIMIT },
    { "shared memory that is not mounted", t_shm_ops, RC_PLAN_PATH },
    { "a core limit that means a pipe", t_little_core, RC_PLAN_LIMIT },
    { "a core larger than its place", t_much_core, RC_PLAN_LIMIT },
    { "no weight", t_no_weight, RC_PLAN_LIMIT },
    { "cpu weight above all", t_cpu_weight, RC_PLAN_LIMIT },
    { "io weight above all", t_io_weight, RC_PLAN_LIMIT },
    { "mark above the limit", t_high, RC_PLAN_LIMIT },
    { "mark where nothing starts", t_little_high, RC_PLAN_LIMIT },
    { "a byte a second", t_little_io, RC_PLAN_LIMIT },
    { "rate above all", t_much_io, RC_PLAN_LIMIT },
    { "memory above the tenant's", t_share_memory, RC_PLAN_LIMIT },
    { "share of memory without bound", t_share_huge, RC_PLAN_LIMIT },
    { "cpu above the tenant's", t_share_cpu, RC_PLAN_LIMIT },
    { "share of cpu without bound", t_share_cpu_huge, RC_PLAN_LIMIT },
    { "processes above the tenant's", t_share_pids, RC_PLAN_LIMIT },
    { "rate above the tenant's", t_share_io, RC_PLAN_LIMIT },
    { "unlimited tmpfs", t_tmp_size, RC_PLAN_PATH },
    { "mount over the package", t_mount_path, RC_PLAN_PATH },
    { "mount outside", t_mount_up, RC_PLAN_PATH },
    { "unknown operation", t_op_type, RC_PLAN_PATH },
    { "more operations than there are", t_more_ops, RC_PLAN_PATH },
    { "operation behind the last", t_hidden_op, RC_PLAN_PATH },
    { "data without image", t_data, RC_LAUNCH_REQUEST },
    { "data neither yes nor no", t_data_two, RC_LAUNCH_REQUEST },
    { "root neither yes nor no", t_root_two, RC_LAUNCH_REQUEST },
    { "a machine that there is not", t_vm_unknown, RC_LAUNCH_REQUEST },
    { "a machine without its tree", t_vm_tree, RC_PLAN_PATH },
    { "too many arguments", t_args, RC_LAUNCH_REQUEST },
    { "too many variables", t_env, RC_LAUNCH_REQUEST },
    { "argument without end", t_arg_end, RC_LAUNCH_REQUEST },
    { "variable without end", t_env_end, RC_LAUNCH_REQUEST },
    { "program through /proc", t_program, RC_PLAN_PATH },
    { "hostname with a line break", t_hostname, RC_LAUNCH_REQUEST },
    { "hostname without end", t_hostname_end, RC_LAUNCH_REQUEST },
};

static void checks_what_it_did_not_make(void **state)
{
    struct manifest m = good_manifest();
    struct grant g = good_grant();
    struct plan good;

    (void)state;
    assert_rc(plan_make(&m, &g, 0, true, &good, NULL), RC_OK);
    for (size_t i = 0; i < sizeof tamperings / sizeof tamperings[0]; i++) {
        struct plan p = good;

        tamperings[i].change(&p);
        enum rc rc = plan_check(&p, NULL);
        if (rc != tamperings[i].rc)
            fail_msg("%s: got %s, want %s", tamperings[i].why, rc_name(rc),
                     rc_name(tamperings[i].rc));
    }
}

static char *printed(void (*print)(const struct plan *, FILE *), const struct plan *p)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);

    assert_non_null(out);
    print(p, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void prints_for_people_and_programs(void **state)
{
    struct manifest m = good_manifest();
    struct grant g = good_grant();
    struct plan p;

    (void)state;
    memcpy(m.args[1], "\x1b[31m\"", 7); /* tries to colour the terminal and to end the string */
    assert_rc(plan_make(&m, &g, 0, true, &p, NULL), RC_OK);

    scoped(free_ptr) char *text = printed(plan_print, &p);
    assert_non_null(strstr(text, "/bin/cam ?[31m\""));
    assert_null(strchr(text, '\x1b'));
    assert_non_null(strstr(text, "32 MiB"));
    assert_non_null(strstr(text, "0.250 cores"));
    assert_non_null(strstr(text, "/data  data"));

    scoped(free_ptr) char *json = printed(plan_print_json, &p);
    assert_non_null(strstr(json, "\"\\u001b[31m\\\"\""));
    assert_non_null(strstr(json, "{\"type\":\"data\",\"path\":\"/data\",\"bytes\":8388608"));
    assert_non_null(strstr(json, "\"uid_base\":524288"));
}

/* Which system calls a payload may make beyond compute: what it asks for, if the grant has it. */
static void takes_over_the_calls(void **state)
{
    (void)state;
    for (uint32_t asked = 0; asked <= CALLS_ALL; asked++) {
        for (uint32_t granted = 0; granted <= CALLS_ALL; granted++) {
            struct manifest m = good_manifest();
            struct grant g = good_grant();
            struct plan p;

            m.calls = asked;
            g.may.calls = granted;
            bool may = (asked & ~granted) == 0;
            assert_rc(plan_make(&m, &g, 0, true, &p, NULL), may ? RC_OK : RC_GRANT_EXCEEDED);
            if (may)
                assert_int_equal(p.calls, asked);
        }
    }
}

/* The network and the devices that it asks for, if the grant has them. */
static void takes_over_what_is_granted(void **state)
{
    struct manifest m = good_manifest();
    struct grant g = good_grant();
    struct plan p;

    (void)state;
    m.network = NETWORK_HOST;
    m.net_bps = 1U << 20;
    m.n_devices = 1;
    (void)snprintf(m.interface, sizeof m.interface, "eth1");
    (void)snprintf(m.device[0], sizeof m.device[0], "camera");
    m.limits.cpu_weight = 300;
    m.limits.io_read_bps = 2U << 20;
    m.limits.memory_high_bytes = 16U << 20;
    g.total.cpu_weight = 300;
    g.total.io_read_bps = 8U << 20;
    assert_rc(plan_make(&m, &g, 0, true, &p, NULL), RC_GRANT_EXCEEDED);
    g.may.networks = 1U << NETWORK_HOST;
    g.may.n_interfaces = g.may.n_devices = 1;
    (void)snprintf(g.may.interface[0], sizeof g.may.interface[0], "eth1");
    assert_rc(plan_make(&m, &g, 0, true, &p, NULL), RC_GRANT_EXCEEDED);
    (void)snprintf(g.may.device[0], sizeof g.may.device[0], "camera");
    assert_rc(plan_make(&m, &g, 0, true, &p, NULL), RC_OK);
    assert_int_equal(p.network, PLAN_NETWORK_HOST);
    assert_string_equal(p.interface, "eth1");
    assert_int_equal(p.net_bps, 1U << 20);
    g.may.net_bps = (1U << 20) - 1;
    assert_rc(plan_make(&m, &g, 0, true, &p, NULL), RC_GRANT_EXCEEDED);
    m.net_bps = 0; /* as much as it may */
    assert_rc(plan_make(&m, &g, 0, true, &p, NULL), RC_OK);
    assert_int_equal(p.net_bps, (1U << 20) - 1);
    assert_int_equal(p.n_devices, 1);
    assert_string_equal(p.device[0], "camera");
    assert_int_equal(p.limits.cpu_weight, 300);
    assert_int_equal(p.limits.io_weight, PLAN_WEIGHT);
    assert_int_equal(p.limits.memory_high_bytes, 16U << 20);
    assert_int_equal(p.limits.io_read_bps, 2U << 20);
    assert_int_equal(p.share.io_read_bps, 8U << 20);
    assert_int_equal(p.share.io_write_bps, 0);
}

static void takes_over_limits_that_are_asked_for(void **state)
{
    struct manifest m = good_manifest();
    struct grant g = good_grant();
    struct plan p;

    (void)state;
    m.limits.file_bytes = 3U << 20;
    m.limits.tmp_files = 9;
    m.limits.shm_bytes = 1U << 20;
    m.limits.core_bytes = 1U << 20;
    m.inner_root = true;
    assert_rc(plan_make(&m, &g, 0, true, &p, NULL), RC_PLAN_LIMIT); /* no shm is granted */
    g.total.shm_bytes = 1U << 20;
    assert_rc(plan_make(&m, &g, 0, true, &p, NULL), RC_PLAN_LIMIT); /* no core */
    g.total.core_bytes = 1U << 20;
    assert_rc(plan_make(&m, &g, 0, true, &p, NULL), RC_GRANT_EXCEEDED); /* nor root inside */
    g.may.inner_root = true;
    assert_rc(plan_make(&m, &g, 0, true, &p, NULL), RC_OK);
    assert_int_equal(p.limits.file_bytes, 3U << 20);
    assert_int_equal(p.limits.core_bytes, 1U << 20);
    assert_int_equal(plan_uid(&p), 0);
    assert_int_equal(p.n_ops, 7);
    assert_string_equal(p.ops[3].path, "/tmp");
    assert_int_equal(p.ops[3].inodes, 10); /* and the directory */
    assert_int_equal(p.ops[4].type, PLAN_OP_TMPFS);
    assert_string_equal(p.ops[4].path, "/dev/shm");
    assert_int_equal(p.ops[4].bytes, 1U << 20);
    assert_int_equal(p.ops[4].inodes, 256);
}

/* ---- virtual machines ----------------------------------------------------------------------- */

static struct manifest vm_manifest(void)
{
    struct manifest m = good_manifest();

    m.isolation = ISOLATION_VM;
    m.health = (struct health){ .type = HEALTH_ALIVE };
    m.n_env = 0;
    (void)snprintf(m.args[1], sizeof m.args[1], "/initrd");
    m.limits.memory_bytes = PLAN_VM_MEMORY_MIN;
    m.limits.data_bytes = PLAN_VM_DATA_MIN;
    m.limits.pids = PLAN_VM_PIDS_MIN;
    return m;
}

static struct grant vm_grant(void)
{
    struct grant g = good_grant();

    g.total.memory_bytes = 1U << 30;
    g.may.vm = true;
    g.may.networks = 1U << NETWORK_LOOPBACK;
    g.may.n_devices = 1;
    (void)snprintf(g.may.device[0], sizeof g.may.device[0], "kvm");
    return g;
}

static bool has_arg(const struct tender_args *args, const char *one, const char *next)
{
    for (uint32_t i = 0; i + 1 < args->n; i++) {
        if (strcmp(args->text[i], one) == 0 && strcmp(args->text[i + 1], next) == 0)
            return true;
    }
    return false;
}

static void makes_a_machine(void **state)
{
    struct manifest m = vm_manifest();
    struct grant g = vm_grant();
    struct tender_args args;
    struct plan p;

    (void)state;
    assert_rc(plan_make(&m, &g, 0, true, &p, NULL), RC_OK);
    assert_int_equal(p.vm, PLAN_VM_QEMU);
    assert_int_equal(p.ops[5].type, PLAN_OP_SLOT);
    assert_string_equal(p.ops[5].path, "/slot");
    tender_args(&p, &args);
    assert_string_equal(args.text[0], "/usr/bin/tender");
    assert_true(has_arg(&args, "-m", "32M"));
    assert_true(has_arg(&args, "-kernel", "/slot/bin/cam"));
    assert_true(has_arg(&args, "-initrd", "/slot/initrd"));
    assert_true(has_arg(&args, "-device", "virtio-blk-device,drive=data"));
    assert_true(has_arg(&args, "-accel", "tcg,tb-size=32"));
    assert_int_equal(tender_disk(&p), 11U << 20); /* 16 - 1 - 4 */
    {
        scoped(free_ptr) char *text = printed(plan_print, &p);
        scoped(free_ptr) char *json = printed(plan_print_json, &p);

        assert_non_null(strstr(text, "/usr/bin/tender -nodefaults"));
        assert_non_null(strstr(text, "the tender, read-only"));
        assert_non_null(strstr(text, "/slot  slot   the package"));
        assert_non_null(strstr(json, "\"tender\":\"qemu\""));
    }

    assert_true(has_arg(&args, "-chardev", "socket,id=port1,fd=5"));
    assert_true(has_arg(&args, "-device", "virtserialport,chardev=port1,nr=1,name=berth.notify"));
    assert_true(has_arg(&args, "-chardev", "socket,id=port2,fd=6"));
    assert_true(has_arg(&args, "-device", "virtserialport,chardev=port2,nr=2,name=berth.bus"));

    /* By its ports it has what any payload has. */
    m.health = (struct health){ .type = HEALTH_NOTIFY, .ready_ms = 1000, .watchdog_ms = 2000 };
    m.limits.inbox_bytes = m.limits.outbox_bytes = PLAN_MAIL_MIN;
    g.total.inbox_bytes = g.total.outbox_bytes = 1U << 20;
    assert_rc(plan_make(&m, &g, 0, true, &p, NULL), RC_OK);
    assert_int_equal(p.watchdog_ms, 2000);
    assert_int_equal(p.has_mail, 1);
    m = vm_manifest();

    m.image = IMAGE_SOLO5;
    m.n_devices = 1;
    (void)snprintf(m.device[0], sizeof m.device[0], "kvm");
    (void)snprintf(m.args[1], sizeof m.args[1], "-kernel");
    assert_rc(plan_make(&m, &g, 0, true, &p, NULL), RC_OK);
    assert_int_equal(p.vm, PLAN_VM_SOLO5);
    tender_args(&p, &args);
    assert_int_equal(args.n, 6);
    assert_string_equal(args.text[1], "--mem=32");
    assert_true(has_arg(&args, "--", "/slot/bin/cam"));
    assert_string_equal(args.text[5], "-kernel"); /* behind "--" and a name: the unikernel's */
}

/* Every word as long as it may be, and as many as there may be. */
static void holds_the_longest_command(void **state)
{
    struct plan p = { .vm = PLAN_VM_SOLO5,
                      .has_data = 1,
                      .n_args = PAYLOAD_ARGS_MAX,
                      .limits = { .memory_bytes = PLAN_MEMORY_MAX, .data_bytes = PLAN_DATA_MAX } };
    struct tender_args args;

    (void)state;
    for (uint32_t i = 0; i < p.n_args; i++) {
        memset(p.args[i], 'x', PAYLOAD_ARG_CAP - 1);
        p.args[i][0] = '/';
    }
    tender_args(&p, &args);
    assert_int_equal(args.n, PAYLOAD_ARGS_MAX + 4);
    assert_int_equal(strlen(args.text[4]), strlen("/slot") + PAYLOAD_ARG_CAP - 1);
    p.vm = PLAN_VM_QEMU;
    p.n_args = 2;
    tender_args(&p, &args);
    assert_true(has_arg(&args, "-m", "65472M"));
}

CHANGE(vm_not_granted, g->may.vm = false)
CHANGE(vm_network, m->network = NETWORK_LOOPBACK)
CHANGE(vm_device, m->n_devices = 1; (void)snprintf(m->device[0], sizeof m->device[0], "kvm"))
CHANGE(vm_inbox, m->image = IMAGE_SOLO5; m->limits.inbox_bytes = g->total.inbox_bytes = 1U << 20)
CHANGE(vm_env, m->n_env = 1)
CHANGE(vm_core, m->limits.core_bytes = g->total.core_bytes = 1U << 20)
CHANGE(vm_notify, m->image = IMAGE_SOLO5; m->health.type = HEALTH_NOTIFY)
CHANGE(vm_watchdog, m->image = IMAGE_SOLO5; m->health.watchdog_ms = 2000)
CHANGE(vm_small, m->limits.memory_bytes--)
CHANGE(vm_disk, m->limits.data_bytes--)
CHANGE(vm_pids, m->limits.pids = PLAN_VM_PIDS_MIN - 2)
CHANGE(vm_files, m->limits.open_files = PLAN_VM_FILES_MIN - 1)
CHANGE(vm_file, m->limits.file_bytes = 1U << 20)
CHANGE(vm_words, m->n_args = 3; (void)snprintf(m->args[2], sizeof m->args[2], "/x"))
CHANGE(vm_option, (void)snprintf(m->args[1], sizeof m->args[1], "-monitor"))
CHANGE(vm_comma, (void)snprintf(m->args[0], sizeof m->args[0], "/a,b"))
CHANGE(vm_up, (void)snprintf(m->args[1], sizeof m->args[1], "/../usr/bin/tender"))

/* Refused by name, and never passed over. */
static void refuses_what_a_machine_has_not(void **state)
{
    static const struct {
        enum rc rc;
        const char *what;
        void (*change)(struct manifest *m, struct grant *g);
    } rows[] = {
        { RC_GRANT_EXCEEDED, "isolation", vm_not_granted },
        { RC_NOT_BUILT, "isolation: vm with network", vm_network },
        { RC_NOT_BUILT, "isolation: vm with devices", vm_device },
        { RC_NOT_BUILT, "format: solo5 with inbox or outbox", vm_inbox },
        { RC_NOT_BUILT, "isolation: vm with env", vm_env },
        { RC_NOT_BUILT, "isolation: vm with core", vm_core },
        { RC_NOT_BUILT, "format: solo5 with health: notify", vm_notify },
        { RC_NOT_BUILT, "format: solo5 with watchdog", vm_watchdog },
        { RC_PLAN_LIMIT, "memory_bytes of a vm", vm_small },
        { RC_PLAN_LIMIT, "data_bytes of a vm", vm_disk },
        { RC_PLAN_LIMIT, "pids of a vm", vm_pids },
        { RC_PLAN_LIMIT, "open_files of a vm", vm_files },
        { RC_PLAN_LIMIT, "file_bytes of a vm", vm_file },
        { RC_PLAN_PATH, "args[2] of a vm", vm_words },
        { RC_PLAN_PATH, "args[1] of a vm: -monitor", vm_option },
        { RC_PLAN_PATH, "args[0] of a vm: /a,b", vm_comma },
        { RC_PLAN_PATH, "args[1] of a vm", vm_up },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct manifest m = vm_manifest();
        struct grant g = vm_grant();
        struct err err = { 0 };
        struct plan p;

        rows[i].change(&m, &g);
        assert_rc(plan_make(&m, &g, 0, true, &p, &err), rows[i].rc);
        if (strncmp(err.what, rows[i].what, strlen(rows[i].what)) != 0)
            fail_msg("%s, and not %s", err.what, rows[i].what);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_the_plan),
        cmocka_unit_test(asks_for_mail_by_its_size),
        cmocka_unit_test(knows_what_changes_as_it_runs),
        cmocka_unit_test(takes_over_the_calls),
        cmocka_unit_test(takes_over_what_is_granted),
        cmocka_unit_test(takes_over_limits_that_are_asked_for),
        cmocka_unit_test(makes_a_machine),
        cmocka_unit_test(holds_the_longest_command),
        cmocka_unit_test(refuses_what_a_machine_has_not),
        cmocka_unit_test(lets_the_payload_choose_its_path),
        cmocka_unit_test(refuses_and_leaves_the_result_alone),
        cmocka_unit_test(checks_what_it_did_not_make),
        cmocka_unit_test(prints_for_people_and_programs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
