/* SPDX-License-Identifier: Apache-2.0
 *
 * The real berthd on a disk of a few megabytes, filled by bytes and by inodes, and with two tenants
 * of whom one misbehaves.  Needs root, like test_agent_berthd.
 */
#include "tests/unit/test.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#include "agent/reserve.h"
#include "tests/unit/agent_sky.h"

#define DISK "size=64m,nr_inodes=2000,mode=0755"

/* ---- a small disk -------------------------------------------------------------------------------
 */

static int disk_open(void **state)
{
    char path[128];

    (void)state;
    sky_make();
    close_fd(&sky->state);
    (void)snprintf(path, sizeof path, "%s/state", sky->dir.path);
    assert_int_equal(mount("none", path, "tmpfs", MS_NODEV, DISK), 0);
    sky->state = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(sky->state >= 0);
    provision();
    open_link();
    return 0;
}

static int disk_close(void **state)
{
    char path[128];
    int status = 0;

    if (sky->berthd > 0) {
        (void)kill(sky->berthd, SIGTERM);
        (void)waitpid(sky->berthd, &status, 0);
        sky->berthd = 0;
    }
    close_fd(&sky->state);
    (void)snprintf(path, sizeof path, "%s/state", sky->dir.path);
    (void)umount2(path, MNT_DETACH);
    return sky_close(state);
}

static uint64_t free_bytes(void)
{
    struct statvfs st;

    assert_int_equal(fstatvfs(sky->state, &st), 0);
    return (uint64_t)st.f_bavail * st.f_frsize;
}

static uint64_t free_inodes(void)
{
    struct statvfs st;

    assert_int_equal(fstatvfs(sky->state, &st), 0);
    return st.f_favail;
}

/* Somebody else writes to the disk, until so many bytes are left. */
static void fill_bytes(uint64_t leave)
{
    scoped(close_fd) int fd = openat(sky->state, "ballast", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct stat st = { 0 };

    while (free_bytes() > leave) {
        uint64_t more = free_bytes() - leave;

        assert_int_equal(fstat(fd, &st), 0);
        if (fallocate(fd, 0, st.st_size, (off_t)more) != 0)
            assert_int_equal(errno, ENOSPC); /* berthd was faster */
    }
}

static void fill_inodes(uint64_t leave)
{
    scoped(close_fd) int dir = -1;
    struct err err = { 0 };

    must(fs_open_dir(sky->state, "ballast", 0700, &dir, &err), &err);
    for (uint32_t i = 0; free_inodes() > leave; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "%u", i);
        scoped(close_fd) int fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0 || errno == ENOSPC);
    }
}

static void give_back(void)
{
    struct err err = { 0 };

    if (unlinkat(sky->state, "ballast", 0) != 0)
        must(fs_remove_tree(sky->state, "ballast", &err), &err);
}

/* ---- what reports say ---------------------------------------------------------------------------
 */

static uint32_t times(enum rc code, const char *what)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < sky->report.n_events; i++)
        if (sky->report.event[i].code == (uint32_t)code &&
            strcmp(sky->report.event[i].what, what) == 0)
            n += sky->report.event[i].count;
    return n;
}

static bool says_committed(const struct report *r, const void *arg)
{
    const char *tenant = arg;

    for (uint32_t i = 0; i < r->n_payloads; i++)
        if (strcmp(r->payload[i].tenant, tenant) == 0)
            return r->payload[i].state == SLOT_COMMITTED && r->payload[i].is_running;
    return false;
}

static struct digest committed_version_1(void)
{
    const struct version v1 = { .version = "1.0", .how = "good", .release = 1, .signer = K_ACME };

    start_berthd();
    struct digest one = send_version(&v1);
    send_order(1, &one);
    await_standing(SLOT_COMMITTED, &one);
    return one;
}

/* ---- new work is refused, what runs goes on, and later it is done by itself ---------------------
 */

static void refuse_and_converge(const struct version *v2, void (*fill)(uint64_t leave),
                                uint64_t leave)
{
    struct digest one = committed_version_1();

    fill(leave);
    struct digest two = send_version(v2);
    send_order(2, &two);
    await_event(RC_NO_SPACE);
    await_standing(SLOT_RECEIVING, &one);
    assert_int_equal(times(RC_NO_SPACE, "acme/cam-north"), 1);
    await_no_staging();

    give_back();
    await_standing(SLOT_COMMITTED, &two);
    assert_int_equal(times(RC_NO_SPACE, "acme/cam-north"), 1); /* tried again, told once */
    end_berthd(SIGTERM, 0);
}

static void no_bytes_left_for_a_version(void **state)
{
    const struct version v2 = {
        .version = "2.0", .how = "good", .release = 2, .signer = K_ACME, .zeros = 16U << 20
    };

    (void)state;
    refuse_and_converge(&v2, fill_bytes, 10U << 20);
}

static void no_inodes_left_for_a_version(void **state)
{
    const struct version v2 = {
        .version = "2.0", .how = "good", .release = 2, .signer = K_ACME, .empty = 120
    };

    (void)state;
    refuse_and_converge(&v2, fill_inodes, 160);
}

/* The link itself takes no package when the disk is nearly full, and the ground sends it again. */
static void the_link_stops_first(void **state)
{
    const struct version v2 = {
        .version = "2.0", .how = "good", .release = 2, .signer = K_ACME, .padding = 1U << 20
    };

    (void)state;
    struct digest one = committed_version_1();
    fill_bytes(6U << 20);
    struct digest two = send_version(&v2);
    send_order(2, &two); /* documents still find room */
    await_event(RC_NO_SPACE);
    await_standing(SLOT_RECEIVING, &one);
    assert_int_equal(sky->report.generation, 2);
    give_back();
    await_standing(SLOT_COMMITTED, &two);
    end_berthd(SIGTERM, 0);
}

static bool says_usage(const struct report *r, const void *arg)
{
    const struct report_usage *u = &r->usage[0];

    (void)arg;
    return r->n_usage == 1 && u->use[USE_SLOTS].kib > 1024;
}

/* What is on board is in the report, by kind. */
static void what_is_taken_is_told(void **state)
{
    const struct version v1 = {
        .version = "1.0", .how = "good", .release = 1, .signer = K_ACME, .padding = 1U << 20
    };

    (void)state;
    start_berthd();
    struct digest one = send_version(&v1);
    send_order(1, &one);
    await_standing(SLOT_COMMITTED, &one);
    end_berthd(SIGTERM, 0);
    start_berthd();
    await("usage", says_usage, NULL);
    const struct report_usage *u = &sky->report.usage[0];
    assert_string_equal(u->tenant, "acme");
    assert_true(u->store_kib > u->use[USE_SLOTS].kib);
    assert_true(u->use[USE_SLOTS].files > 2);
    assert_int_equal(u->use[USE_KEPT].files, 1);
    assert_true(u->use[USE_KEPT].kib > 1024); /* noise does not pack */
    assert_int_equal(u->use[USE_WAITING].files, 0);
    assert_int_equal(u->use[USE_STAGING].kib, 0);
    end_berthd(SIGTERM, 0);
}

/* More slots of one tenant than are looked at together: that is in nobody's way. */
static void more_slots_than_can_be_looked_at(void **state)
{
    const struct version v2 = { .version = "2.0", .how = "good", .release = 2, .signer = K_ACME };
    char path[64 + 2 * DIGEST_SIZE];
    struct err err = { 0 };

    (void)state;
    (void)committed_version_1();
    end_berthd(SIGTERM, 0);
    for (unsigned i = 0; i < 600; i++) {
        (void)snprintf(path, sizeof path, "slots/acme/old/%064x", i);
        must(fs_make_dirs(sky->state, path, 0755, &err), &err);
    }
    start_berthd();
    struct digest two = send_version(&v2);
    send_order(2, &two);
    await_standing(SLOT_COMMITTED, &two);
    end_berthd(SIGTERM, 0);
}

/* ---- decisions are recorded on a disk that is full to the last byte -----------------------------
 */

static void await_reserve(void)
{
    uint64_t until = clock_mono_ms() + WAIT_MS;

    while (faccessat(sky->state, RESERVE_DIR "/7", F_OK, 0) != 0) {
        assert_true(clock_mono_ms() < until);
        exchange();
    }
}

/* What an agent that is started now would know. */
static noinline struct unit_record recorded(void)
{
    static struct state state;
    struct err err = { 0 };

    must(state_load(sky->state, &state, NULL, &err), &err);
    assert_int_equal(state.n_units, 1);
    return state.unit[0];
}

static void decide_on_a_full_disk(const char *how, enum slot_state verdict,
                                  void (*fill)(uint64_t leave))
{
    const uint64_t began = clock_mono_ms();
    struct digest one = committed_version_1();
    const bool good = verdict == SLOT_COMMITTED;

    /* The trial must last until it has been reported and the disk is full, on any machine. */
    const uint32_t trial_ms = term(3000, 4 * (clock_mono_ms() - began), 90000);
    const struct version v2 = { .version = "2.0",
                                .how = how,
                                .release = 2,
                                .signer = K_ACME,
                                .soak_ms = trial_ms,
                                .ready_ms = good ? 0 : trial_ms };

    await_reserve();
    struct digest two = send_version(&v2);
    send_order(2, &two);
    await_standing(SLOT_TRIAL, &two);
    fill(0);
    await_standing(verdict, good ? &two : &one);

    end_berthd(SIGKILL, SIGKILL);
    struct unit_record r = recorded();
    assert_int_equal(r.state, verdict);
    assert_true(digest_same(&r.good, good ? &two : &one));
    assert_int_equal(r.n_failed, good ? 0 : 1);

    start_berthd(); /* there is no more room than before */
    await_standing(verdict, good ? &two : &one);
    give_back();
    await_reserve();
    end_berthd(SIGTERM, 0);
}

static void commit_without_bytes(void **state)
{
    (void)state;
    decide_on_a_full_disk("good", SLOT_COMMITTED, fill_bytes);
}

static void commit_without_inodes(void **state)
{
    (void)state;
    decide_on_a_full_disk("good", SLOT_COMMITTED, fill_inodes);
}

static void rollback_without_bytes(void **state)
{
    (void)state;
    decide_on_a_full_disk("silent", SLOT_ROLLED_BACK, fill_bytes);
}

static void rollback_without_inodes(void **state)
{
    (void)state;
    decide_on_a_full_disk("silent", SLOT_ROLLED_BACK, fill_inodes);
}

/* ---- two tenants --------------------------------------------------------------------------------
 */

static noinline void send_grant_of_zenith(void)
{
    struct grant grant = doc_grant();

    (void)snprintf(grant.tenant, sizeof grant.tenant, "zenith");
    grant.keys = doc_key_set(1, 1, K_ZENITH);
    grant.expires_ms = 0;
    doc_signed(&signed_doc_, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
    send_document(OBJECT_GRANT, signed_doc_.bytes);
}

static noinline void send_order_of_both(uint64_t generation, const struct digest *acme,
                                        const struct digest *zenith)
{
    struct order order = {
        .satellite = "aurora-1",
        .generation = generation,
        .issued_ms = ISSUED_MS,
        .n_lines = 2,
        .line = { { .tenant = "acme", .name = "cam-north", .manifest = *acme },
                  { .tenant = "zenith", .name = "cam-north", .manifest = *zenith } },
    };

    doc_signed(&signed_doc_, DOC_ORDER, order_encode, &order, K_OPERATOR_A);
    send_document(OBJECT_ORDER, signed_doc_.bytes);
}

/* A process of berthd that is berth-unpack; 0 = none. */
static pid_t find_unpack(void)
{
    char path[64], text[4096] = "", comm[32] = "";
    char *rest = text;

    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", sky->berthd, sky->berthd);
    scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
        return 0;
    for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        (void)snprintf(path, sizeof path, "/proc/%.20s/comm", word);
        scoped(close_fd) int name = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = name < 0 ? -1 : read(name, comm, sizeof comm - 1);

        if (n > 0 && strncmp(comm, "berth-unpack", 12) == 0)
            return (pid_t)strtol(word, NULL, 10);
    }
    return 0;
}

/* A process that stops the first berth-unpack that it sees, and says which.  It looks all the time
 * and before others: unpacking takes some hundredths of a second. */
static int start_catcher(void)
{
    int pipes[2];

    assert_int_equal(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
    pid_t catcher = fork();
    if (catcher == 0) {
        pid_t pid = 0;

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)setpriority(PRIO_PROCESS, 0, -20);
        do {
            (void)sched_yield();
            pid = find_unpack();
        } while (pid == 0 || kill(pid, SIGSTOP) != 0 || find_unpack() != pid);
        _exit(write(pipes[1], &pid, sizeof pid) == sizeof pid ? 0 : 1);
    }
    assert_true(catcher > 0);
    close_fd(&pipes[1]);
    return pipes[0];
}

/* Exchange until it has stopped one. */
static pid_t await_caught(int catcher)
{
    uint64_t until = clock_mono_ms() + WAIT_MS;
    pid_t pid = 0;

    while (read(catcher, &pid, sizeof pid) != sizeof pid) {
        assert_true(clock_mono_ms() < until);
        exchange();
    }
    close_fd(&catcher);
    return pid;
}

/* acme's package is being unpacked and gets nowhere: zenith's is installed, starts and commits. */
static void a_hanging_install_holds_up_nobody(void **state)
{
    const struct version huge = { .version = "1.0",
                                  .how = "good",
                                  .release = 1,
                                  .signer = K_ACME,
                                  .padding = 4U << 20,
                                  .zeros = 24U << 20 };
    const struct version other = {
        .version = "1.0", .how = "good", .release = 1, .signer = K_ZENITH, .tenant = "zenith"
    };

    (void)state;
    start_berthd();
    send_grant_of_zenith();
    int catcher = start_catcher();
    struct digest acme = send_version(&huge);
    pid_t pid = await_caught(catcher);
    struct digest zenith = send_version(&other);
    send_order_of_both(1, &acme, &zenith);
    await("zenith runs", says_committed, "zenith");
    assert_false(says_committed(&sky->report, "acme"));
    if (kill(pid, SIGCONT) != 0)
        assert_int_equal(errno, ESRCH); /* so slow that it had to make way: it begins again */
    await("acme runs", says_committed, "acme");
    end_berthd(SIGTERM, 0);
}

struct running {
    const char *tenant;
    const struct digest *version;
};

static bool runs_committed(const struct report *r, const void *arg)
{
    const struct running *want = arg;

    for (uint32_t i = 0; i < r->n_payloads; i++)
        if (strcmp(r->payload[i].tenant, want->tenant) == 0)
            return r->payload[i].state == SLOT_COMMITTED && r->payload[i].is_running &&
                   digest_same(&r->payload[i].running, want->version);
    return false;
}

static bool count_fan(void *arg, const char *name)
{
    char path[64];

    (void)snprintf(path, sizeof path, "objects/sha256/%s", name);
    *(size_t *)arg += entries_in(sky->state, path);
    return true;
}

static size_t stored_objects(void)
{
    size_t n = 0;
    struct err err = { 0 };

    must(fs_list(sky->state, "objects/sha256", 256, count_fan, &n, NULL, &err), &err);
    return n;
}

/* What only came over the link may be anything: the disk has no room for acme's package, and would
 * have without one that is kept for zenith, which stays. */
static void what_waits_costs_others_nothing(void **state)
{
    const struct version a1 = { .version = "1.0", .how = "good", .release = 1, .signer = K_ACME };
    const struct version a2 = {
        .version = "2.0", .how = "good", .release = 2, .signer = K_ACME, .padding = 5U << 20
    };
    struct version z = { .version = "1.0",
                         .how = "good",
                         .release = 1,
                         .signer = K_ZENITH,
                         .tenant = "zenith",
                         .padding = 3U << 20 };

    (void)state;
    start_berthd();
    send_grant_of_zenith();
    struct digest acme = send_version(&a1);
    struct digest zenith = send_version(&z);
    send_order_of_both(1, &acme, &zenith);
    await("zenith's first", runs_committed, &(struct running){ "zenith", &zenith });
    z.version = "2.0";
    z.release = 2;
    zenith = send_version(&z);
    send_order_of_both(2, &acme, &zenith);
    await("zenith's second", runs_committed, &(struct running){ "zenith", &zenith });
    await("acme's first", runs_committed, &(struct running){ "acme", &acme });
    assert_int_equal(stored_objects(), 3);

    fill_bytes(14U << 20); /* it has room with berth-link, not a second time and 4 MiB besides */
    acme = send_version(&a2);
    await("no room for acme", has_event_about, "acme");
    assert_int_equal(times(RC_NO_SPACE, "acme"), 1);
    assert_int_equal(stored_objects(), 3);
    give_back();
    send_order_of_both(3, &acme, &zenith);
    await("acme's second", runs_committed, &(struct running){ "acme", &acme });
    end_berthd(SIGTERM, 0);
}

/* More packages than there is room for in the queue, the spool and the store, each of them refused
 * while it is unpacked: zenith's one gets through.  What becomes of acme's own good one is acme's
 * own doing. */
static void a_flood_holds_up_nobody(void **state)
{
    const struct version good = {
        .version = "1.0", .how = "good", .release = 1, .signer = K_ZENITH, .tenant = "zenith"
    };
    const struct version mine = {
        .version = "1.0", .how = "good", .release = 1000, .signer = K_ACME
    };

    (void)state;
    start_berthd();
    send_grant_of_zenith();
    for (uint32_t i = 0; i < 128; i++)
        send_hostile_archive_of(100 + i);
    struct digest zenith = send_version(&good);
    struct digest acme = send_version(&mine);
    send_order_of_both(1, &acme, &zenith);
    await("zenith runs", says_committed, "zenith");
    end_berthd(SIGTERM, 0);
}

#define on_disk(test) cmocka_unit_test_setup_teardown(test, disk_open, disk_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        on_disk(no_bytes_left_for_a_version),
        on_disk(no_inodes_left_for_a_version),
        on_disk(more_slots_than_can_be_looked_at),
        on_disk(what_is_taken_is_told),
        on_disk(the_link_stops_first),
        on_disk(commit_without_bytes),
        on_disk(commit_without_inodes),
        on_disk(rollback_without_bytes),
        on_disk(rollback_without_inodes),
        on_disk(a_hanging_install_holds_up_nobody),
        on_disk(what_waits_costs_others_nothing),
        on_disk(a_flood_holds_up_nobody),
    };

    /* what is mounted here is nobody else's business */
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        perror("test_agent_full: needs root, to mount a small disk");
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
