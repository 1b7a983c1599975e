/* SPDX-License-Identifier: Apache-2.0
 *
 * What a start finds and must not stop at: the real berthd, on a state directory in which one thing
 * after the other is missing, damaged or not to be written to.
 */
#include "tests/unit/test.h"

#include <dirent.h>
#include <sched.h>
#include <sys/mount.h>

#include "agent/probe.h"
#include "boot/tally.h"
#include "tests/unit/agent_sky.h"

/* ---- who we are ---------------------------------------------------------------------------------
 */

static uint8_t provisioned[CONFIG_MAX];
static size_t provisioned_n;

static void read_config(uint8_t *buf, size_t *ret_n)
{
    struct err err = { 0 };

    must(fs_read_file(sky->state, CONFIG_FILE, buf, CONFIG_MAX, ret_n, &err), &err);
}

static void flip_at(const char *path, off_t at)
{
    scoped(close_fd) int fd = openat(sky->state, path, O_RDWR | O_CLOEXEC);
    uint8_t byte = 0;

    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

static void config_gone(void)
{
    assert_int_equal(unlinkat(sky->state, CONFIG_FILE, 0), 0);
}

static void config_is_no_file(void)
{
    config_gone();
    assert_int_equal(mkdirat(sky->state, CONFIG_FILE, 0755), 0);
}

/* One bit, and it is the config of a sister: it decodes. */
static void config_of_a_sister(void)
{
    const uint8_t *name = memmem(provisioned, provisioned_n, "aurora-1", 8);

    assert_non_null(name);
    flip_at(CONFIG_FILE, name + 7 - provisioned);
}

static void config_of_another_mission(void)
{
    flip_at(CONFIG_FILE, (off_t)provisioned_n - 1);
}

static void config_and_one_copy(void)
{
    config_gone();
    flip_at(CONFIG_KEPT_FILE ".a", 30);
}

static void both_copies(void)
{
    flip_at(CONFIG_KEPT_FILE ".a", 30);
    flip_at(CONFIG_KEPT_FILE ".b", 30);
}

static void one_copy_gone(void)
{
    assert_int_equal(unlinkat(sky->state, CONFIG_KEPT_FILE ".a", 0), 0);
}

static bool scrubbed(const struct report *r, const void *arg)
{
    return r->scrub.rounds >= *(const uint32_t *)arg;
}

static void await_scrub(void)
{
    const uint32_t rounds = sky->report.scrub.rounds + 1;

    assert_int_equal(kill(sky->berthd, SIGUSR1), 0);
    await("scrub", scrubbed, &rounds);
}

/* The same satellite as before, and after a scrub everything is as it was. */
static void identity_outlives(void **state)
{
    static const struct {
        const char *why;
        void (*spoil)(void);
        const char *told; /* at the start */
        bool mended;      /* only by a scrub */
    } rows[] = {
        { "gone", config_gone, CONFIG_FILE ", its copy is used", true },
        { "a sister's", config_of_a_sister, CONFIG_FILE ", its copy is used", true },
        { "another mission", config_of_another_mission, CONFIG_FILE ", its copy is used", true },
        { "gone, and one copy damaged", config_and_one_copy, CONFIG_FILE ", its copy is used",
          true },
        { "both copies damaged", both_copies, "copies of " CONFIG_FILE, false },
        { "one copy gone", one_copy_gone, "copies of " CONFIG_FILE, false },
    };
    uint8_t now[CONFIG_MAX];
    size_t n = 0;

    (void)state;
    read_config(provisioned, &provisioned_n);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        start_berthd();
        await_reports(1);
        end_berthd(SIGTERM, 0);
        rows[i].spoil();
        start_berthd();
        await(rows[i].why, has_event_about, rows[i].told);
        assert_string_equal(sky->report.satellite, "aurora-1");
        assert_int_equal(sky->report.lost, 0);
        if (rows[i].mended)
            await_scrub();
        read_config(now, &n);
        assert_int_equal(n, provisioned_n);
        assert_memory_equal(now, provisioned, n);
        end_berthd(SIGTERM, 0);
        start_berthd();
        await_reports(1);
        assert_int_equal(sky->report.n_events, 0);
        end_berthd(SIGTERM, 0);
    }
}

/* What the trust does not confirm is copied nowhere: it would be believed for ever. */
static void unconfirmed_identity_is_not_kept(void **state)
{
    (void)state;
    read_config(provisioned, &provisioned_n);
    config_of_another_mission();
    start_berthd();
    await_event(RC_MISSION);
    await_scrub();
    end_berthd(SIGTERM, 0);
    assert_int_equal(faccessat(sky->state, CONFIG_KEPT_FILE ".a", F_OK, 0), -1);
    config_of_another_mission(); /* and back */
    start_berthd();
    await_reports(1);
    assert_int_equal(sky->report.n_events, 0);
    assert_int_equal(faccessat(sky->state, CONFIG_KEPT_FILE ".a", F_OK, 0), 0);
}

/* A directory in its place cannot be repaired, and is no reason to stop. */
static void no_file_in_the_way_of_a_start(void **state)
{
    (void)state;
    start_berthd();
    await_reports(1);
    end_berthd(SIGTERM, 0);
    config_is_no_file();
    start_berthd();
    await("a directory", has_event_about, CONFIG_FILE ", its copy is used");
    assert_string_equal(sky->report.satellite, "aurora-1");
    await_scrub();
}

/* ---- directories --------------------------------------------------------------------------------
 */

static const struct version v1 = { "1.0", "good", 1, .signer = K_ACME, .no_data = true };
static const struct version v2 = { "2.0", "good", 2, .signer = K_ACME, .no_data = true };

/* A file in the place of a directory: nothing can be opened in it, as behind a bad block. */
static void spoil_dir(const char *name)
{
    char was[64];

    (void)snprintf(was, sizeof was, "%s.was", name);
    assert_int_equal(renameat(sky->state, name, sky->state, was), 0);
    put_file(sky->state, name, "", 0600);
}

static void restore_dir(const char *name)
{
    char was[64];

    (void)snprintf(was, sizeof was, "%s.was", name);
    assert_int_equal(unlinkat(sky->state, name, 0), 0);
    assert_int_equal(renameat(sky->state, was, sky->state, name), 0);
}

struct trouble {
    enum rc code;
    const char *what;
};

static bool has_trouble(const struct report *r, const void *arg)
{
    const struct trouble *t = arg;

    for (uint32_t i = 0; i < r->n_events; i++)
        if (r->event[i].code == (uint32_t)t->code && strcmp(r->event[i].what, t->what) == 0)
            return true;
    return false;
}

/* All at once: what was committed runs, the ground is told of each, and what is new is taken with
 * stand-ins, which are gone when they are not needed any more. */
static void a_directory_is_no_reason_to_stop(void **state)
{
    static const char *const dirs[] = { "log", "staging", "objects", "data", "spool" };
    char spare[32];

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    end_berthd(SIGTERM, 0);
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
        spoil_dir(dirs[i]);
    start_berthd();
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
        const struct trouble want = { RC_STATE_DIR, dirs[i] };

        await(dirs[i], has_trouble, &want);
    }
    await_standing(SLOT_COMMITTED, &d1);
    struct digest d2 = send_version(&v2);
    send_order(2, &d2);
    await_standing(SLOT_COMMITTED, &d2);
    assert_int_equal(faccessat(sky->state, "objects.spare", F_OK, 0), 0);
    end_berthd(SIGTERM, 0);
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
        restore_dir(dirs[i]);
    start_berthd();
    await_standing(SLOT_COMMITTED, &d2);
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
        const struct trouble want = { RC_STATE_DIR, dirs[i] };

        assert_false(has_trouble(&sky->report, &want));
        (void)snprintf(spare, sizeof spare, "%s.spare", dirs[i]);
        assert_int_equal(faccessat(sky->state, spare, F_OK, 0), -1);
    }
}

/* Neither is a part of one: what is in it is passed over, and told; the others go on as ever. */
static void a_part_is_no_reason_to_stop(void **state)
{
    const struct trouble slots = { RC_STATE_DIR, "slots" }, objects = { RC_STATE_DIR, "objects" };

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    end_berthd(SIGTERM, 0);
    put_file(sky->state, "slots/aaa", "", 0600); /* on either side of what is there */
    put_file(sky->state, "slots/zzz", "", 0600);
    put_file(sky->state, "slots/acme/zzz", "", 0600);
    put_file(sky->state, "objects/sha256/zz", "", 0600); /* where no object will ever belong */
    start_berthd();
    await("slots", has_trouble, &slots);
    await("objects", has_trouble, &objects);
    await_standing(SLOT_COMMITTED, &d1);
    struct digest d2 = send_version(&v2);
    send_order(2, &d2);
    await_standing(SLOT_COMMITTED, &d2);
    end_berthd(SIGTERM, 0);
}

/* Nor are the directories in the spool, which only berth-link opens. */
static void a_part_of_the_spool_is_no_reason_to_stop(void **state)
{
    static const char *const dirs[] = { "spool/partial", "spool/ready", "spool/rej" };
    const struct trouble want = { RC_STATE_DIR, "bundle" };

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    end_berthd(SIGTERM, 0);
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
        spoil_dir(dirs[i]);
    start_berthd();
    await("spool", has_trouble, &want);
    await_standing(SLOT_COMMITTED, &d1);
    struct digest d2 = send_version(&v2);
    send_order(2, &d2);
    await_standing(SLOT_COMMITTED, &d2);
    end_berthd(SIGTERM, 0);
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
        restore_dir(dirs[i]);
    start_berthd();
    await_standing(SLOT_COMMITTED, &d2);
    assert_false(has_trouble(&sky->report, &want));
}

/* A store that opens and is broken within is none: another one is used, and this one left as it is.
 */
static void a_broken_store_has_a_stand_in(void **state)
{
    const struct trouble want = { RC_STATE_DIR, "objects" };

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    end_berthd(SIGTERM, 0);
    spoil_dir("objects/sha256");
    start_berthd();
    await("objects", has_trouble, &want);
    struct digest d2 = send_version(&v2);
    send_order(2, &d2);
    await_standing(SLOT_COMMITTED, &d2);
    end_berthd(SIGTERM, 0);
    assert_int_equal(faccessat(sky->state, "objects.spare", F_OK, 0), 0);
    restore_dir("objects/sha256");
    start_berthd();
    await_standing(SLOT_COMMITTED, &d2);
    assert_false(has_trouble(&sky->report, &want));
    assert_int_equal(faccessat(sky->state, "objects.spare", F_OK, 0), -1);
}

static bool has_generation(const struct report *r, const void *arg)
{
    return r->generation == *(const uint64_t *)arg;
}

/* The slots cannot be read: nothing runs, and nothing is forgotten.  When they can, all is as
 * before, and the ground sends nothing again. */
static void unreadable_slots_are_not_lost(void **state)
{
    const struct trouble want = { RC_STATE_DIR, "slots" };

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    end_berthd(SIGTERM, 0);
    spoil_dir("slots");
    start_berthd();
    await("slots", has_trouble, &want);
    send_order(2, &d1);
    await("order 2", has_generation, &(const uint64_t){ 2 });
    run_on(3);
    assert_false(sky->report.payload[0].is_running);
    end_berthd(SIGTERM, 0);
    restore_dir("slots");
    start_berthd();
    await_standing(SLOT_COMMITTED, &d1);
}

static bool is_lost(const struct report *r, const void *arg)
{
    return (r->lost & *(const uint32_t *)arg) != 0;
}

/* Safe mode, as if its files were gone. */
static void unreadable_trust_is_safe_mode(void **state)
{
    const struct trouble want = { RC_STATE_DIR, "trust" };
    const uint32_t root = LOST_ROOT;

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    end_berthd(SIGTERM, 0);
    spoil_dir("trust");
    start_berthd();
    await("trust", has_trouble, &want);
    await("safe mode", is_lost, &root);
    await_standing(SLOT_COMMITTED, &d1);
    end_berthd(SIGTERM, 0);
    restore_dir("trust");
    start_berthd();
    await_standing(SLOT_COMMITTED, &d1);
    assert_int_equal(sky->report.lost, 0);
}

/* ---- a disk that cannot be written to -----------------------------------------------------------
 */

static long parent_of(long pid)
{
    char path[64], text[512];

    (void)snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n <= 0)
        return 0;
    text[n] = 0;
    const char *after = strrchr(text, ')');
    return after ? strtol(after + 4, NULL, 10) : 0;
}

/* The payload's program, wherever it is below this berthd. */
static bool is_payload(const char *pid, pid_t berthd)
{
    char path[64], name[32] = "";
    long number = strtol(pid, NULL, 10);

    (void)snprintf(path, sizeof path, "/proc/%.20s/comm", pid);
    scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, name, sizeof name - 1) <= 0 || strcmp(name, "app\n") != 0)
        return false;
    while (number > 1 && number != berthd)
        number = parent_of(number); /* 0: somebody else's, and gone meanwhile */
    return number == berthd;
}

static bool payload_runs(pid_t berthd)
{
    DIR *proc = opendir("/proc");
    bool found = false;

    assert_non_null(proc);
    for (const struct dirent *e = readdir(proc); e && !found; e = readdir(proc))
        found = e->d_name[0] >= '1' && e->d_name[0] <= '9' && is_payload(e->d_name, berthd);
    (void)closedir(proc);
    return found;
}

static void await_payload(void)
{
    for (uint64_t until = clock_mono_ms() + WAIT_MS; !payload_runs(sky->berthd);) {
        assert_true(clock_mono_ms() < until);
        assert_int_equal(waitpid(sky->berthd, NULL, WNOHANG), 0);
        exchange();
    }
}

/* Nothing can be counted, so nothing can be sent; what was committed runs all the same, and when
 * the disk can be written to again it is found as it was left. */
static void read_only_disk_runs_what_it_holds(void **state)
{
    char path[128];

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    assert_true(payload_runs(sky->berthd));
    end_berthd(SIGTERM, 0);
    (void)snprintf(path, sizeof path, "%s/state", sky->dir.path);
    assert_int_equal(mount(path, path, NULL, MS_BIND, NULL), 0);
    assert_int_equal(mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), 0);
    start_berthd();
    await_payload();
    end_berthd(SIGTERM, 0);
    assert_int_equal(umount2(path, MNT_DETACH), 0);
    start_berthd();
    await_standing(SLOT_COMMITTED, &d1);
    assert_int_equal(sky->report.lost, 0);
}

/* ---- what can be used again ---------------------------------------------------------------------
 */

/* Wait until it has ended by itself, in order. */
static void await_own_end(void)
{
    uint64_t until = clock_mono_ms() + 3U * PROBE_EVERY_MS + WAIT_MS;
    int status = -1;

    while (waitpid(sky->berthd, &status, WNOHANG) == 0) {
        assert_true(clock_mono_ms() < until);
        exchange();
    }
    sky->berthd = 0;
    assert_int_equal(status, 0);
}

/* As they are counted, for berthd to wait the longer the next time. */
static uint32_t starts_anew(void)
{
    scoped(close_fd) int fd = -1;
    struct err err = { 0 };
    uint32_t n = 0;

    must(tally_anew_open(sky->state, &fd, &n, &err), &err);
    if (n == 0)
        tally_anew_forget(sky->state);
    return n;
}

/* Nobody is heard meanwhile, so no report can say so; when the directory is back the agent ends in
 * order, and whoever starts it again has it as it was. */
static void unreadable_link_is_looked_at_again(void **state)
{
    const struct trouble want = { RC_STATE_DIR, "link" };

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    end_berthd(SIGTERM, 0);
    spoil_dir("link");
    start_berthd();
    await_payload();
    restore_dir("link");
    await_own_end();
    assert_int_equal(sky->reports, 0);
    assert_int_equal(starts_anew(), 1);
    start_berthd();
    await_standing(SLOT_COMMITTED, &d1);
    assert_false(has_trouble(&sky->report, &want));
    assert_int_equal(starts_anew(), 0);
    assert_int_equal(faccessat(sky->state, "link.spare", F_OK, 0), -1);
}

/* The mount that they are on comes late, for both of them or for one: what is on board runs without
 * them, and when they are there it is as if they had always been.  With the downlink alone the
 * ground is told. */
static void late_directories_of_the_link_are_found(void **state)
{
    const struct trouble up = { RC_STATE_DIR, "uplink" }, down = { RC_STATE_DIR, "downlink" };

    (void)state;
    assert_int_equal(fchmod(sky->dir.fd, 0711), 0); /* the link's user must be able to get there */
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    end_berthd(SIGTERM, 0);
    assert_int_equal(renameat(sky->dir.fd, "up", sky->dir.fd, "up.was"), 0);
    start_berthd();
    await("no uplink", has_trouble, &up);
    await_standing(SLOT_COMMITTED, &d1);
    end_berthd(SIGTERM, 0);

    assert_int_equal(renameat(sky->dir.fd, "down", sky->dir.fd, "down.was"), 0);
    start_berthd();
    await_payload();
    assert_int_equal(faccessat(sky->state, "uplink.spare", F_OK, 0), 0);
    assert_int_equal(faccessat(sky->state, "downlink.spare", F_OK, 0), 0);
    assert_int_equal(renameat(sky->dir.fd, "up.was", sky->dir.fd, "up"), 0);
    assert_int_equal(renameat(sky->dir.fd, "down.was", sky->dir.fd, "down"), 0);
    await_own_end();
    start_berthd();
    await_standing(SLOT_COMMITTED, &d1);
    assert_false(has_trouble(&sky->report, &up) || has_trouble(&sky->report, &down));
    assert_int_equal(faccessat(sky->state, "uplink.spare", F_OK, 0), -1);
    assert_int_equal(faccessat(sky->state, "downlink.spare", F_OK, 0), -1);
    struct digest d2 = send_version(&v2);
    send_order(2, &d2);
    await_standing(SLOT_COMMITTED, &d2);
}

/* ---- another format -----------------------------------------------------------------------------
 */

/* What own_switch does when another agent is chosen. */
static void keep_state(void)
{
    scoped(free_ptr) struct state *s = calloc(1, sizeof *s);
    struct err err = { 0 };

    assert_non_null(s);
    must(state_load(sky->state, s, NULL, &err), &err);
    must(state_keep(sky->state, s, &err), &err);
}

/* Another agent was committed, has written the state for long in a form of its own, and then was
 * left for this one.  What was kept when it was chosen is older than the order in force, and the
 * data of a payload that came under it belongs to it still. */
static void committed_agent_of_another_format_is_left(void **state)
{
    static const struct version cam = { "1.0", "good", 1, .signer = K_ACME };
    static const struct version newer = { "2.0", "good", 2, .signer = K_ACME };
    const struct trouble want = { RC_STATE_DAMAGED, "state, as before the trial of an agent" };
    struct err err = { 0 };

    (void)state;
    start_berthd();
    await_reports(1);
    end_berthd(SIGTERM, 0);
    keep_state();
    start_berthd();
    struct digest d1 = send_version(&cam);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    const uint64_t epoch = sky->report.epoch;
    end_berthd(SIGTERM, 0);
    assert_int_equal(faccessat(sky->state, "kept.a", F_OK, 0), 0); /* no start removes it */
    must(statefile_renew(sky->state, STATE_FILE, bytes_of("another format"), &err), &err);

    start_berthd();
    await("kept", has_trouble, &want);
    await_standing(SLOT_COMMITTED, &d1);
    assert_int_equal(sky->report.lost, 0);
    assert_int_equal(sky->report.generation, 1);
    assert_true(sky->report.epoch > epoch);
    struct digest d2 = send_version(&newer);
    send_order(2, &d2);
    await_standing(SLOT_COMMITTED, &d2);
    end_berthd(SIGTERM, 0);
    assert_int_equal(faccessat(sky->state, "left.a", F_OK, 0), 0); /* for those who can read it */
    start_berthd();
    await_standing(SLOT_COMMITTED, &d2);
    assert_int_equal(sky->report.n_events, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(identity_outlives, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(unconfirmed_identity_is_not_kept, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(no_file_in_the_way_of_a_start, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(a_directory_is_no_reason_to_stop, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(a_part_is_no_reason_to_stop, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(a_part_of_the_spool_is_no_reason_to_stop, sky_open,
                                        sky_close),
        cmocka_unit_test_setup_teardown(a_broken_store_has_a_stand_in, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(unreadable_slots_are_not_lost, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(unreadable_trust_is_safe_mode, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(read_only_disk_runs_what_it_holds, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(unreadable_link_is_looked_at_again, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(late_directories_of_the_link_are_found, sky_open,
                                        sky_close),
        cmocka_unit_test_setup_teardown(committed_agent_of_another_format_is_left, sky_open,
                                        sky_close),
    };

    if (geteuid() != 0) {
        print_message("needs root\n");
        return 0;
    }
    /* what is mounted here is nobody else's business */
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        perror("test_agent_start: needs root, to mount a directory read-only");
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
