/* SPDX-License-Identifier: Apache-2.0
 *
 * Payloads of the real berthd at the edge of what they were given: a core dump, a full /dev/shm,
 * and being uid 0.  What each of them sees, and what the report says of it.
 */
#include "tests/unit/test.h"

#include <dirent.h>

#include "agent/data.h"
#include "sandbox/plan.h"
#include "tests/unit/agent_sky.h"

#define CORE_BYTES 65536U
#define EXTENT_BLOCK 4096U /* of the file system, where the dump is in many parts */
#define SHM_BYTES (2U << 20)

/* The grant that it gets in the next epoch, or has at the start. */
static noinline struct grant wide_grant(uint64_t epoch)
{
    struct grant grant = doc_grant();

    grant.epoch = epoch;
    grant.expires_ms = 0;
    grant.total.core_bytes = CORE_BYTES;
    grant.total.shm_bytes = SHM_BYTES;
    grant.may.inner_root = true;
    return grant;
}

static noinline void send_wide_grant(void)
{
    struct grant grant = wide_grant(doc_grant().epoch + 1);

    doc_signed(&signed_doc_, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
    send_document(OBJECT_GRANT, signed_doc_.bytes);
}

static int open_wide(void **state)
{
    sky_open(state);
    scoped(close_fd) int trust = openat(sky->state, TRUST_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct grant grant = wide_grant(doc_grant().epoch);
    struct err err = { 0 };

    doc_signed(&signed_doc_, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
    must(fs_write_file(trust, "grant-acme.cose", signed_doc_.bytes, 0600, &err), &err);
    return 0;
}

static struct digest commit(uint64_t generation, const struct version *v)
{
    struct digest digest = send_version(v);

    send_order(generation, &digest);
    await_standing(SLOT_COMMITTED, &digest);
    return digest;
}

/* The host writes core dumps as plain "core": else none can be had here, which is a test of the
 * launcher's. */
static bool has_plain_cores(void)
{
    char pattern[64] = "", with_pid[8] = "";
    scoped(close_fd) int fd = open("/proc/sys/kernel/core_pattern", O_RDONLY | O_CLOEXEC);
    scoped(close_fd) int pid = open("/proc/sys/kernel/core_uses_pid", O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0 && read(fd, pattern, sizeof pattern - 1) > 0);
    assert_true(pid >= 0 && read(pid, with_pid, sizeof with_pid - 1) > 0);
    return strcmp(pattern, "core\n") == 0 && with_pid[0] == '0';
}

/* A version dies on trial, and the one before it, which has the same /data, sees what that left: of
 * one that asked for no dump nothing, else no more than it asked for.  The report has the reason
 * both times. */
static void crash_leaves_what_was_asked_for(void **state)
{
    const struct version sees = { .version = "1.0", .how = "core", .release = 1, .signer = K_ACME };
    /* A soak that no machine is slow enough to end before the crash: it is the trial's end. */
    const struct version silent = {
        .version = "2.0", .how = "crash", .release = 2, .signer = K_ACME, .soak_ms = WAIT_MS
    };
    const struct version leaves = { .version = "3.0",
                                    .how = "crash",
                                    .release = 3,
                                    .signer = K_ACME,
                                    .core = CORE_BYTES,
                                    .soak_ms = WAIT_MS };
    unsigned long bytes = 0;

    (void)state;
    if (!has_plain_cores())
        skip();
    start_berthd();
    struct digest good = commit(1, &sees);
    (void)await_said("cam-north", "core errno=2\n");

    struct digest bad = send_version(&silent);
    send_order(2, &bad);
    await_standing(SLOT_ROLLED_BACK, &good);
    assert_int_equal(sky->report.payload[0].code, RC_KILLED);
    assert_memory_equal(&sky->report.payload[0].wanted, &bad, sizeof bad);
    (void)await_said("cam-north", "crash starts\nended KILLED 6\nstarted 1.0\ncore starts\n"
                                  "core errno=2\n");

    struct digest worse = send_version(&leaves);
    send_order(3, &worse);
    await_standing(SLOT_ROLLED_BACK, &good);
    while (memcmp(&sky->report.payload[0].wanted, &worse, sizeof worse) != 0)
        exchange();
    await_standing(SLOT_ROLLED_BACK, &good);
    assert_int_equal(sky->report.payload[0].code, RC_KILLED);
    assert_string_equal(sky->report.payload[0].version, "1.0");
    (void)await_said("cam-north", "started 3.0\ncrash starts\nended KILLED 6\n");
    const char *said = await_said("cam-north", "core bytes=");
    assert_int_equal(sscanf(said, "core bytes=%lu elf=1", &bytes), 1);
    assert_non_null(strstr(said, " elf=1\n"));
    assert_in_range(bytes, CORE_BYTES / 2, CORE_BYTES + EXTENT_BLOCK);
}

static bool uses_shm(const struct report *r, const void *arg)
{
    (void)arg;
    return r->payload[0].memory_kib >= SHM_BYTES / 1024U;
}

/* It is told ENOSPC at the last byte that it was given, and goes on; the memory is its own. */
static void full_shm_is_its_own_matter(void **state)
{
    const struct version fills = {
        .version = "1.0", .how = "shm", .release = 1, .signer = K_ACME, .shm = SHM_BYTES
    };
    const struct version without = {
        .version = "2.0", .how = "shm", .release = 2, .signer = K_ACME
    };

    (void)state;
    start_berthd();
    (void)commit(1, &fills);
    (void)await_said("cam-north", "shm errno=28 bytes=2097152\n");
    await("memory of the full /dev/shm", uses_shm, NULL);
    assert_int_equal(sky->report.payload[0].restarts, 0);
    assert_int_equal(sky->report.payload[0].code, RC_OK);
    assert_int_equal(sky->report.n_events, 0);

    (void)commit(2, &without); /* who has not asked has none */
    (void)await_said("cam-north", "shm errno=2 bytes=0\n");
    assert_int_equal(sky->report.n_events, 0);
}

static bool in_a_payload(const char *pid)
{
    char own[64], path[64], line[512];
    bool found = false;

    (void)snprintf(own, sizeof own, "berth-test-%d/t-acme/i", getpid());
    (void)snprintf(path, sizeof path, "/proc/%.20s/cgroup", pid);
    FILE *in = fopen(path, "re");
    while (in && !found && fgets(line, sizeof line, in))
        found = strstr(line, own) != NULL;
    if (in)
        (void)fclose(in);
    return found;
}

/* How many processes of payloads this test has, each of which has nothing but this uid. */
static size_t processes_of(uint32_t uid)
{
    DIR *proc = opendir("/proc");
    const struct dirent *e;
    size_t n = 0;

    assert_non_null(proc);
    while ((e = readdir(proc)) != NULL) {
        char path[64], line[256];
        unsigned int u[4] = { 0 };

        if (e->d_name[0] < '1' || e->d_name[0] > '9' || !in_a_payload(e->d_name))
            continue;
        (void)snprintf(path, sizeof path, "/proc/%.20s/status", e->d_name);
        FILE *in = fopen(path, "re");
        while (in && fgets(line, sizeof line, in)) {
            if (sscanf(line, "Uid: %u %u %u %u", &u[0], &u[1], &u[2], &u[3]) != 4)
                continue;
            for (size_t i = 0; i < 4; i++)
                assert_int_equal(u[i], uid);
            n++;
        }
        if (in)
            (void)fclose(in);
    }
    assert_int_equal(closedir(proc), 0);
    return n;
}

static uint32_t first_id(void)
{
    scoped(close_fd) int dir = openat(sky->state, "data", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uint32_t index = 0;

    assert_true(dir >= 0);
    assert_true(data_index(dir, "acme", "cam-north", &index));
    return PLAN_UID_BASE + index * PLAN_UID_COUNT;
}

/* Only by its grant; and then it is 0 among the ids of its own range, and may no more than any: not
 * even open what the version before, which was 1000, had kept for itself in the same /data. */
static void inner_root_is_nobody_outside(void **state)
{
    const struct version root = {
        .version = "2.0", .how = "who", .release = 2, .signer = K_ACME, .inner_root = true
    };
    const struct version user = { .version = "1.0", .how = "who", .release = 1, .signer = K_ACME };
    uint8_t receipt[REPORT_RECEIPT_SIZE], none[REPORT_RECEIPT_SIZE] = { 0 };

    (void)state;
    start_berthd();
    struct digest before = commit(1, &user);
    (void)await_said("cam-north", "who uid=1000 gid=1000 file=1000 caps=0000000000000000 chown=1 "
                                  "setuid=1 of-1000=0\n");
    memcpy(receipt, sky->report.payload[0].receipt, sizeof receipt);
    assert_memory_not_equal(receipt, none, sizeof none);
    assert_true(processes_of(first_id() + PLAN_UID) >= 1);

    struct digest d = send_version(&root);
    send_order(2, &d);
    await_event(RC_GRANT_EXCEEDED);
    await_standing(SLOT_RECEIVING, &before);
    assert_null(strstr(printed("cam-north"), "uid=0"));

    send_wide_grant();
    await_taken();
    struct digest again = send_version(&root);
    assert_memory_equal(&again, &d, sizeof d);
    await_standing(SLOT_COMMITTED, &d);
    (void)await_said("cam-north", "who uid=0 gid=0 file=0 caps=0000000000000000 chown=1 "
                                  "setuid=1 of-1000=13\n");
    assert_memory_not_equal(sky->report.payload[0].receipt, none, sizeof none);
    assert_memory_not_equal(sky->report.payload[0].receipt, receipt, sizeof receipt);
    assert_int_equal(sky->report.payload[0].restarts, 0);
    assert_true(processes_of(first_id()) >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(crash_leaves_what_was_asked_for, open_wide, sky_close),
        cmocka_unit_test_setup_teardown(full_shm_is_its_own_matter, open_wide, sky_close),
        cmocka_unit_test_setup_teardown(inner_root_is_nobody_outside, sky_open, sky_close),
    };

    if (geteuid() != 0) {
        print_message("needs root\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
