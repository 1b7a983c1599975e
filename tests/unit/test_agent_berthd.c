/* SPDX-License-Identifier: Apache-2.0
 *
 * The courses of a satellite: the real berthd and its processes, the test as the ground.
 */
#include "tests/unit/test.h"

#include <sys/resource.h>

#include "sandbox/cgroup_file.h"
#include "tests/unit/agent_sky.h"

/* ---- the courses --------------------------------------------------------------------------------
 */

static const struct version v1 = { "1.0", "good", 1, 0, K_ACME };
static const struct version v2 = { "2.0", "good", 2, 0, K_ACME };
static const struct version v3 = { "3.0", "silent", 3, 0, K_ACME, .ready_ms = 3000 };

static void installs_updates_and_rolls_back(void **state)
{
    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    assert_string_equal(sky->report.payload[0].version, "1.0");
    assert_int_equal(sky->report.generation, 1);
    assert_int_equal(sky->report.n_events, 0);

    struct digest d2 = send_version(&v2);
    send_order(2, &d2);
    await_standing(SLOT_COMMITTED, &d2);

    struct digest d3 = send_version(&v3);
    send_order(3, &d3);
    await_standing(SLOT_ROLLED_BACK, &d2);
    assert_int_equal(sky->report.payload[0].code, RC_HEALTH_TIMEOUT);
    assert_memory_equal(&sky->report.payload[0].wanted, &d3, sizeof d3);
    await_event(RC_ROLLED_BACK);

    /* A clean end, and the same again after it. */
    end_berthd(SIGTERM, 0);
    start_berthd();
    await_standing(SLOT_ROLLED_BACK, &d2);
    assert_int_equal(sky->report.epoch, 2);
    assert_int_equal(sky->report.generation, 3);
}

/* Where the pids controller has the payload of the tenant: a process of it, and its group. */
static pid_t find_payload(char group[200])
{
    DIR *proc = opendir("/proc");
    const struct dirent *e;
    char own[64], path[64], line[512];
    pid_t found = 0;

    (void)snprintf(own, sizeof own, "berth-test-%d/t-acme/i", getpid());
    assert_non_null(proc);
    while (found == 0 && (e = readdir(proc)) != NULL) {
        (void)snprintf(path, sizeof path, "/proc/%.20s/cgroup", e->d_name);
        FILE *f = e->d_name[0] < '1' || e->d_name[0] > '9' ? NULL : fopen(path, "re");
        while (f && fgets(line, sizeof line, f)) {
            const char *at = strstr(line, ":pids:");

            at = at ? at + 6 : strncmp(line, "0::", 3) == 0 ? line + 3 : NULL;
            if (!at || !strstr(at, own))
                continue;
            line[strcspn(line, "\n")] = '\0';
            (void)snprintf(group, 200, "/sys/fs/cgroup%s%.150s", at == line + 3 ? "" : "/pids", at);
            found = (pid_t)strtol(e->d_name, NULL, 10);
            if (access(group, F_OK) == 0)
                break; /* else the empty v2 tree of a hybrid host: another line has it */
            found = 0;
        }
        if (f)
            (void)fclose(f);
    }
    assert_int_equal(closedir(proc), 0);
    return found;
}

static uint64_t pids_max(const char *group)
{
    scoped(close_fd) int dir = open(group, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(dir >= 0);
    return cgroup_get_number(dir, "pids.max");
}

/* The same program with more to use goes on as it is, and is committed; with less it is tried. */
static void limits_change_without_a_start(void **state)
{
    static const struct version more = { "1.1", "good", 2, 0, K_ACME, .pids = 12 };
    char before[200], after[200];

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    const pid_t pid = find_payload(before);
    assert_int_not_equal(pid, 0);
    const uint64_t pids_max_of_v1 = pids_max(before);

    assert_int_not_equal(pids_max_of_v1, 13);

    struct digest d2 = send_version(&more);
    send_order(2, &d2);
    await_standing(SLOT_COMMITTED, &d2);
    assert_string_equal(sky->report.payload[0].version, "1.1");
    assert_int_equal(sky->report.payload[0].restarts, 0);
    assert_int_equal(find_payload(after), pid);
    assert_string_equal(after, before); /* the same instance */
    assert_int_equal(pids_max(after), 13);
    send_order(3, &d1); /* and back */
    await_standing(SLOT_COMMITTED, &d1);
    assert_int_not_equal(find_payload(after), pid);
    assert_int_equal(pids_max(after), pids_max_of_v1);
}

static void forgeries_change_nothing(void **state)
{
    const struct version forged = { "9.0", "good", 9, 0, K_ZENITH };

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(5, &d1);
    await_standing(SLOT_COMMITTED, &d1);

    struct digest d9 = send_version(&forged); /* another tenant's signature */
    await_event(RC_KEY_UNKNOWN);
    send_order(4, &d9); /* an older order */
    await_event(RC_ORDER_OLD);
    send_order(5, &d9); /* the same number, other content */
    await_event(RC_EQUIVOCATION);
    send_document(OBJECT_ROOT, bytes_of("nonsense"));
    await("root", has_event_about, "root");
    send_order_as(OBJECT_GRANT, 6, &d1); /* truly the operator's, but no grant */
    await("grant", has_event_about, "grant");
    send_hostile_archive();
    await_event(RC_ARCHIVE_PATH);
    await_standing(SLOT_COMMITTED, &d1);
    assert_int_equal(entries_in(sky->state, "staging"), 0);
    assert_int_equal(entries_in(sky->state, "slots/acme/cam-north"), 1);
    assert_int_equal(entries_in(sky->state, "refused"), 6); /* each moved aside to be looked at */
    assert_int_equal(sky->report.generation, 5);
    assert_int_equal(sky->report.payload[0].restarts, 0);
}

static bool look_for_noise(void *arg, const char *name)
{
    char path[300];

    (void)snprintf(path, sizeof path, "staging/%s/root/noise", name);
    if (faccessat(sky->state, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        *(bool *)arg = true;
    return true;
}

/* A process that does nothing but look, and kills berthd as soon as berth-unpack is writing the
 * large file: one exchange of the test may take longer than all of the unpacking. */
static pid_t start_killer(void)
{
    const pid_t killer = fork();

    assert_true(killer >= 0);
    if (killer > 0)
        return killer;

    struct err err = { 0 };
    bool found = false;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)setpriority(PRIO_PROCESS, 0, -20);
    while (!found) {
        (void)poll(NULL, 0, 1);
        (void)!fs_list(sky->state, "staging", 100, look_for_noise, &found, NULL, &err);
    }
    _exit(kill(sky->berthd, SIGKILL) == 0 ? 0 : 1);
}

/* Whether berthd was killed while berth-unpack was at work on a version.  On a busy machine it can
 * be done before anybody looks. */
static bool killed_unpacking(const struct version *v, uint64_t generation, struct digest *ret)
{
    const struct standing done = { SLOT_COMMITTED, ret };
    const uint64_t until = clock_mono_ms() + WAIT_MS;
    const pid_t killer = start_killer();
    int status = 0;

    *ret = send_version(v);
    send_order(generation, ret);
    while (waitpid(sky->berthd, &status, WNOHANG) == 0) {
        assert_true(clock_mono_ms() < until);
        if (stands(&sky->report, &done)) {
            assert_int_equal(kill(killer, SIGKILL), 0);
            assert_int_equal(waitpid(killer, NULL, 0), killer);
            return false;
        }
        exchange();
    }
    assert_int_equal(status, SIGKILL);
    sky->berthd = 0;
    assert_int_equal(waitpid(killer, &status, 0), killer);
    assert_int_equal(status, 0);
    return true;
}

/* SIGKILL while berth-unpack is at work; the next agent finishes from what is in the store. */
static void killed_in_an_install_it_finishes(void **state)
{
    static const char *const names[] = { "1.0", "2.0", "3.0", "4.0", "5.0" };
    struct digest digest = { 0 };
    bool killed = false;

    (void)state;
    start_berthd();
    await_reports(1);
    for (size_t i = 0; i < sizeof names / sizeof *names && !killed; i++) {
        const struct version large = { names[i], "good", i + 1, (40U + i) << 20, K_ACME };

        killed = killed_unpacking(&large, i + 1, &digest);
    }
    assert_true(killed);

    /* The ground sends nothing any more. */
    link_ground_close(&sky->link);
    open_link();
    start_berthd();
    await_standing(SLOT_COMMITTED, &digest);
    assert_int_equal(entries_in(sky->state, "staging"), 0);
}

static void exits_are_told_and_backed_off(void **state)
{
    const struct version quitter = { "1.0", "exit", 1, 0, K_ACME };

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&quitter);
    send_order(1, &d1);
    await_event(RC_EXITED);
    assert_int_equal(sky->report.payload[0].state, SLOT_FAILED);
    assert_int_equal(sky->report.payload[0].code, RC_EXITED);
    assert_false(sky->report.payload[0].is_running);
}

/* A bit of a file in a slot, a third into it. */
static noinline void flip_in_slot(const struct digest *manifest, const char *file)
{
    char hex[2 * DIGEST_SIZE + 1], path[200];
    struct stat st = { 0 };
    uint8_t byte = 0;

    (void)snprintf(path, sizeof path, "slots/acme/cam-north/%s/%s",
                   bytes_hex((struct bytes){ manifest->b, sizeof manifest->b }, hex), file);
    scoped(close_fd) int fd = openat(sky->state, path, O_RDWR | O_CLOEXEC);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(pread(fd, &byte, 1, st.st_size / 3), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, st.st_size / 3), 1);
}

/* What has committed is damaged while nobody looks, and its package is not kept: the version before
 * it runs, the ground is told and sends it again.  The same for an index, which is read before the
 * files. */
static void damaged_slot_gives_way(void **state)
{
    static const char *const files[] = { "root/bin/app", "index" };
    struct err err = { 0 };

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    struct digest d2 = send_version(&v2);
    send_order(2, &d2);
    await_standing(SLOT_COMMITTED, &d2);

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        end_berthd(SIGTERM, 0);
        flip_in_slot(&d2, files[i]);
        must(fs_remove_tree(sky->state, "objects/sha256", &err), &err);
        start_berthd();
        await_event(RC_SLOT_DAMAGED);
        await_standing(SLOT_RECEIVING, &d1);
        struct digest again = send_version(&v2);
        assert_memory_equal(&again, &d2, sizeof d2);
        await_standing(SLOT_COMMITTED, &d2);
    }
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

    enum rc rc = fs_list(sky->state, "objects/sha256", 256, count_fan, &n, NULL, &err);

    if (rc != RC_NOT_FOUND) /* the agent has not come to make it yet */
        must(rc, &err);
    return n;
}

/* Whole, and of a tenant that nobody has granted anything. */
static noinline void send_stranger(uint32_t number)
{
    struct tar t = { 0 };
    char text[16];

    (void)snprintf(text, sizeof text, "%u", number);
    tar_dir(&t, "bin/");
    tar_file(&t, "bin/app", 0755, text);
    tar_end(&t);

    struct content c = compress_window((struct bytes){ .p = t.p, .n = t.n }, 0);
    struct unpack_spec spec = spec_of(content_view(&c), &t, "/bin/app");
    struct manifest m = signed_manifest(&spec);
    (void)snprintf(m.tenant, sizeof m.tenant, "nobody");
    scoped(close_fd) int fd = signed_package(&m, content_view(&c), K_STRANGER);

    send_object(OBJECT_PACKAGE, fd, NULL);
    tar_done(&t);
    free(c.p);
}

/* Packages may wait for their grant, but not in the way of those that have one. */
static void strangers_do_not_fill_the_store(void **state)
{
    const size_t places = STORED_COUNT_MAX;

    (void)state;
    start_berthd();
    for (uint32_t i = 0; i < places; i++)
        send_stranger(i);
    for (uint64_t until = clock_mono_ms() + WAIT_MS; stored_objects() < places;) {
        assert_true(clock_mono_ms() < until);
        exchange();
    }
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1); /* so one of them has gone */
    assert_true(stored_objects() <= places);
}

static bool stopped(const struct report *r, const void *arg)
{
    return r->n_payloads == 1 && !r->payload[0].is_running &&
           r->payload[0].code == *(const uint32_t *)arg;
}

static noinline void send_grant_by(enum doc_key who, uint64_t epoch, enum doc_key tenant,
                                   uint64_t issued_ms, uint64_t expires_ms)
{
    struct grant grant = doc_grant();

    grant.epoch = epoch;
    grant.issued_ms = issued_ms;
    grant.expires_ms = expires_ms;
    grant.keys = doc_key_set(1, 1, tenant);
    doc_signed(&signed_doc_, DOC_GRANT, grant_encode, &grant, who);
    send_document(OBJECT_GRANT, signed_doc_.bytes);
}

static void send_grant(uint64_t epoch, enum doc_key tenant, uint64_t expires_ms)
{
    send_grant_by(K_OPERATOR_A, epoch, tenant, ISSUED_MS, expires_ms);
}

/* Both copies of the state are gone: what the order names goes on, and nothing new is taken until
 * the operator has signed another order. */
static void damaged_state_keeps_what_is_ordered(void **state)
{
    struct err err = { 0 };

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    end_berthd(SIGTERM, 0);
    must(fs_write_file(sky->state, "agent.a", bytes_of("x"), 0644, &err), &err);
    must(fs_write_file(sky->state, "agent.b", bytes_of("y"), 0644, &err), &err);

    start_berthd();
    await_event(RC_STATE_DAMAGED);
    await_standing(SLOT_COMMITTED, &d1);
    assert_int_equal(sky->report.lost, LOST_STATE);
    send_grant(4, K_ACME, 0); /* nothing new, and not even what is known already */
    await("a grant", has_event_about, "grant");
    send_order(1, &d1);
    run_on(4);
    assert_int_equal(sky->report.lost, LOST_STATE);

    /* A new order ends it: the operator knows. */
    send_order(2, &d1);
    await("anew", has_event_about, "state begun anew behind order 1");
    await_standing(SLOT_COMMITTED, &d1);
    while (sky->report.generation != 2)
        exchange();
    assert_int_equal(sky->report.lost, 0);
    assert_int_equal(faccessat(sky->state, "left.a", F_OK, 0), 0); /* to be looked at */
    send_grant(5, K_ACME, 0);
    struct digest d2 = send_version(&v2);
    send_order(3, &d2);
    await_standing(SLOT_COMMITTED, &d2);
    end_berthd(SIGTERM, 0);
    start_berthd();
    await_standing(SLOT_COMMITTED, &d2);
    assert_int_equal(sky->report.lost, 0);
    assert_int_equal(sky->report.n_events, 0);
}

/* A grant that leaves the tenant's key out ends what that key signed; one that has it again starts
 * it again. */
static void revoked_key_stops_what_it_signed(void **state)
{
    const uint32_t code = RC_KEY_UNKNOWN;

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    send_grant(4, K_STRANGER, 0);
    await("not running", stopped, &code);
    end_berthd(SIGTERM, 0);
    start_berthd(); /* and it stays so */
    await("not running", stopped, &code);
    send_grant(5, K_ACME, 0);
    await_standing(SLOT_COMMITTED, &d1);
}

/* Start, install and commit; how long all of that takes on this machine, in milliseconds. */
static uint64_t committed_in_ms(struct digest *ret)
{
    const uint64_t began = clock_mono_ms();

    start_berthd();
    *ret = send_version(&v1);
    send_order(1, ret);
    await_standing(SLOT_COMMITTED, ret);
    return clock_mono_ms() - began;
}

/* Time passes for what runs as it does for what is about to start.  What has expired when it
 * arrives is refused, so it must not on a slow machine. */
static void expired_grant_stops_what_runs(void **state)
{
    const uint32_t code = RC_EXPIRED;
    struct digest d1;

    (void)state;
    const uint64_t took_ms = committed_in_ms(&d1);
    send_grant(4, K_ACME, clock_unix_ms() + term(3000, 4 * took_ms, 90000));
    await("not running", stopped, &code);
    send_grant(5, K_ACME, 0);
    await_standing(SLOT_COMMITTED, &d1);
}

/* Root v: of the root keys if v is odd, else of the next keys; from root 2 on operator B alone. */
#define SINCE_MS (ISSUED_MS + 2 * DAY_MS)

static noinline void send_root(uint64_t v, bool with_old)
{
    static struct root root; /* too much for a frame, together */
    static struct key_set odd, even;
    struct err err = { 0 };

    root = doc_root();
    odd = doc_key_set(2, 3, K_ROOT_A);
    even = doc_key_set(2, 2, K_NEXT_A);
    root.version = v;
    root.issued_ms = ISSUED_MS + v * DAY_MS;
    root.expires_ms = 0;
    root.root_keys = v % 2 ? odd : even;
    root.operator_keys = doc_key_set(1, 1, K_OPERATOR_B);
    root.operator_since_ms = SINCE_MS;
    must(root_commit(&root, v % 2 ? &even : &odd, &err), &err);
    if (with_old)
        doc_signed(&signed_doc_, DOC_ROOT, root_encode, &root, K_NEXT_A, K_NEXT_B, K_ROOT_B,
                   K_ROOT_C);
    else if (v % 2)
        doc_signed(&signed_doc_, DOC_ROOT, root_encode, &root, K_ROOT_A, K_ROOT_B);
    else
        doc_signed(&signed_doc_, DOC_ROOT, root_encode, &root, K_NEXT_A, K_NEXT_B);
    send_document(OBJECT_ROOT, signed_doc_.bytes);
}

static bool has_root(const struct report *r, const void *arg)
{
    return r->root_version == *(const uint64_t *)arg;
}

static void await_root(uint64_t version)
{
    await("root", has_root, &version);
}

static bool has_generation(const struct report *r, const void *arg)
{
    return r->generation == *(const uint64_t *)arg;
}

static void await_generation(uint64_t generation)
{
    await("generation", has_generation, &generation);
}

/* Root and operator keys change in flight, in any order of arrival; what runs goes on; the stolen
 * operator key had driven the generation to its end; then the root keys are lost. */
static void rotates_in_flight(void **state)
{
    const uint64_t end = INT64_MAX;

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(end, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    uint32_t restarts = sky->report.payload[0].restarts;

    send_root(3, true); /* too early: kept */
    run_on(2);
    assert_int_equal(sky->report.root_version, 1);
    send_root(2, true);
    await_root(3);
    await_generation(0);
    run_on(2);
    assert_true(sky->report.payload[0].is_running); /* no grant, no order, and it goes on */
    assert_false(has_event(&sky->report, &(enum rc){ RC_ROOT_GAP }));
    assert_false(has_event(&sky->report, &(enum rc){ RC_ROOT_RECOVERED }));

    sign_order(1, &d1, K_OPERATOR_A, SINCE_MS);
    send_document(OBJECT_ORDER, signed_doc_.bytes);
    await_event(RC_KEY_UNKNOWN);
    sign_order(1, &d1, K_OPERATOR_B, ISSUED_MS);
    send_document(OBJECT_ORDER, signed_doc_.bytes);
    await_event(RC_ISSUED_BEFORE);
    send_grant_by(K_OPERATOR_B, 1, K_ACME, SINCE_MS, 0);
    sign_order(1, &d1, K_OPERATOR_B, SINCE_MS);
    send_document(OBJECT_ORDER, signed_doc_.bytes);
    await_generation(1);
    await_standing(SLOT_COMMITTED, &d1);
    assert_int_equal(sky->report.payload[0].restarts, restarts);

    send_root(4, false);
    await_root(4);
    await_event(RC_ROOT_RECOVERED);
    end_berthd(SIGKILL, SIGKILL);
    start_berthd();
    await_root(4);
    await_standing(SLOT_COMMITTED, &d1);
    assert_int_equal(sky->report.generation, 1);
}

struct copy {
    uint8_t *p;
    size_t n;
};

static void copy_state(const char *file, struct copy *ret)
{
    struct err err = { 0 };

    ret->p = malloc(STATE_MAX);
    assert_non_null(ret->p);
    if (fs_read_file(sky->state, file, ret->p, STATE_MAX, &ret->n, &err) != RC_OK)
        ret->n = 0;
}

static void put_state(const char *file, struct copy *from)
{
    struct err err = { 0 };

    sky->went_back = true;
    must(fs_unlink(sky->state, file, &err), &err);
    if (from->n > 0)
        must(fs_write_file(sky->state, file, (struct bytes){ from->p, from->n }, 0600, &err), &err);
    free(from->p);
    assert_int_equal(fchownat(sky->state, file, 64501, 64501, AT_SYMLINK_NOFOLLOW), 0);
}

/* The power goes between the new root and the record that the old order's number is void: the
 * record as it was before is put back. */
static void cut_between_root_and_record(void **state)
{
    struct copy a, b;

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(900, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    end_berthd(SIGTERM, 0);
    copy_state(STATE_FILE ".a", &a);
    copy_state(STATE_FILE ".b", &b);
    start_berthd();
    send_root(2, true);
    await_root(2);
    end_berthd(SIGKILL, SIGKILL);
    put_state(STATE_FILE ".a", &a);
    put_state(STATE_FILE ".b", &b);

    start_berthd();
    await_root(2);
    assert_int_equal(sky->report.generation, 0);
    send_grant_by(K_OPERATOR_B, 1, K_ACME, SINCE_MS, 0);
    sign_order(7, &d1, K_OPERATOR_B, SINCE_MS);
    send_document(OBJECT_ORDER, signed_doc_.bytes);
    await_generation(7);
    await_standing(SLOT_COMMITTED, &d1);
}

/* The whole way up, each of two roots offered twice and killed as soon as the trust directory
 * moves. */
static void killed_at_every_root(void **state)
{
    char trust[128];

    (void)state;
    start_berthd();
    await_root(1);
    (void)snprintf(trust, sizeof trust, "%s/state/trust", sky->dir.path);
    scoped(close_fd) int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    assert_true(inotify_add_watch(watch, trust, IN_CREATE | IN_MOVED_TO) >= 0);
    for (uint64_t v = 2; v <= 5; v++) {
        struct pollfd p = { .fd = watch, .events = POLLIN };
        uint8_t drain[4096];

        while (read(watch, drain, sizeof drain) > 0)
            continue;
        send_root(v, v != 4);
        for (uint64_t until = clock_mono_ms() + WAIT_MS;
             clock_mono_ms() < until && poll(&p, 1, 0) == 0;)
            exchange();
        assert_int_equal(p.revents, POLLIN);
        end_berthd(SIGKILL, SIGKILL);
        start_berthd();
        await_root(v);
    }
}

static struct revoked revoked_version(const struct digest *manifest, enum revoke_policy policy)
{
    return (struct revoked){ .kind = REVOKED_MANIFEST, .policy = policy, .manifest = *manifest };
}

static struct revoked revoked_signer(enum doc_key which, enum revoke_policy policy)
{
    struct revoked e = { .kind = REVOKED_KEY, .policy = policy };

    memcpy(e.key, sign_key_public(doc_key(which))->id, KEY_ID_SIZE);
    return e;
}

static noinline void send_revocation(uint64_t number, struct revoked entry)
{
    struct revocation r = { .number = number, .issued_ms = ISSUED_MS, .n = 1 };

    r.entry[0] = entry;
    doc_signed(&signed_doc_, DOC_REVOCATION, revocation_encode, &r, K_ROOT_A, K_ROOT_B);
    send_document(OBJECT_REVOCATION, signed_doc_.bytes);
}

static bool is_stopped(const struct report *r, const void *arg)
{
    const enum rc *code = arg;

    return r->n_payloads == 1 && !r->payload[0].is_running && r->payload[0].code == (uint32_t)*code;
}

/* Keep, roll back, stop; an older revocation sent again; a restart after each. */
static void revocations_are_for_good(void **state)
{
    const enum rc revoked = RC_MANIFEST_REVOKED;

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    struct digest d2 = send_version(&v2);
    send_order(2, &d2);
    await_standing(SLOT_COMMITTED, &d2);

    send_revocation(1, revoked_signer(K_ACME, REVOKE_KEEP));
    struct digest d4 = send_version(&(struct version){ "4.0", "good", 4, 0, K_ACME });
    await_event(RC_KEY_REVOKED);
    await_standing(SLOT_COMMITTED, &d2);
    end_berthd(SIGKILL, SIGKILL);
    start_berthd(); /* "keep" is for what has to start again, too */
    await_standing(SLOT_COMMITTED, &d2);
    assert_memory_not_equal(&sky->report.payload[0].running, &d4, sizeof d4);

    send_revocation(2, revoked_version(&d2, REVOKE_ROLLBACK));
    await_standing(SLOT_ROLLED_BACK, &d1);
    await_event(RC_MANIFEST_REVOKED);
    end_berthd(SIGKILL, SIGKILL);
    start_berthd();
    await_standing(SLOT_ROLLED_BACK, &d1);
    send_revocation(1, revoked_version(&d4, REVOKE_STOP)); /* an older number */
    await_event(RC_VERSION_OLD);
    await_standing(SLOT_ROLLED_BACK, &d1);

    send_order(3, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    send_revocation(3, revoked_version(&d1, REVOKE_STOP));
    await("stopped", is_stopped, &revoked);
    end_berthd(SIGTERM, 0);
    start_berthd();
    await("stopped", is_stopped, &revoked);
    assert_int_equal(sky->report.generation, 3);
}

static noinline void send_delegation(const char *team, enum doc_key keys, enum doc_key signer)
{
    struct delegation d = doc_delegation();

    memset(d.team, 0, sizeof d.team);
    memcpy(d.team, team, strlen(team));
    d.expires_ms = 0;
    d.keys = doc_key_set(1, 1, keys);
    doc_signed(&signed_doc_, DOC_DELEGATION, delegation_encode, &d, signer);
    send_document(OBJECT_DELEGATION, signed_doc_.bytes);
}

/* A part of the store, and names of its own. */
static noinline void send_sibling(const char *team, enum doc_key keys, const char *prefix,
                                  uint64_t store_bytes)
{
    struct delegation d = doc_delegation();

    memset(d.team, 0, sizeof d.team);
    memcpy(d.team, team, strlen(team));
    memset(d.prefix, 0, sizeof d.prefix);
    memcpy(d.prefix, prefix, strlen(prefix));
    d.expires_ms = 0;
    d.store_bytes = store_bytes;
    d.keys = doc_key_set(1, 1, keys);
    doc_signed(&signed_doc_, DOC_DELEGATION, delegation_encode, &d, K_ACME);
    send_document(OBJECT_DELEGATION, signed_doc_.bytes);
}

static void await_slots_of(const char *name, size_t n)
{
    uint64_t until = clock_mono_ms() + WAIT_MS;
    char path[64];

    (void)snprintf(path, sizeof path, "slots/acme/%s", name);
    while (faccessat(sky->state, path, F_OK, 0) != 0 || entries_in(sky->state, path) != n) {
        if (clock_mono_ms() > until)
            fail_msg("%s never has %zu slots", path, n);
        exchange();
    }
}

/* One team fills its store: it makes room among its own or is refused, and what its sibling keeps
 * there stays, ordered or not. */
static void full_store_leaves_siblings_alone(void **state)
{
    const struct version spare = { "1.0", "good", 1, 0, K_CAM, "mapping", "cam-south" };
    const struct version f1 = { "1.0", "good", 1, 6U << 20, K_FLIGHT, "flight", NULL };
    const struct version f2 = { "1.1", "good", 2, 6U << 20, K_FLIGHT, "flight", NULL };
    const struct version f3 = { "1.2", "good", 3, 6U << 20, K_FLIGHT, "flight", NULL };
    const struct version more = { "1.1", "good", 2, 6U << 20, K_CAM, "mapping", "cam-south" };

    (void)state;
    start_berthd();
    send_sibling("flight", K_FLIGHT, "cam-north", 16U << 20);
    send_sibling("mapping", K_CAM, "cam-south", 40U << 20);
    send_version(&spare);
    await_slots_of("cam-south", 1);
    struct digest d1 = send_version(&f1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    struct digest d2 = send_version(&f2);
    send_order(2, &d2);
    await_standing(SLOT_COMMITTED, &d2);
    send_version(&f3); /* two are needed, and there is no place for three */
    await_event(RC_STORE_QUOTA);
    await_slots_of("cam-north", 2);
    await_slots_of("cam-south", 1);
    send_version(&more);
    await_slots_of("cam-south", 2);
    await_slots_of("cam-north", 2);
    await_standing(SLOT_COMMITTED, &d2);
}

static noinline void send_withdrawal(enum revoke_policy policy)
{
    struct delegation d = doc_withdrawal();

    d.issued_ms = ISSUED_MS;
    d.withdrawn = policy;
    doc_signed(&signed_doc_, DOC_DELEGATION, delegation_encode, &d, K_ACME);
    send_document(OBJECT_DELEGATION, signed_doc_.bytes);
}

/* A team's team, all of it in the wrong order; a restart; the end of the team above it. */
static void teams_come_and_go(void **state)
{
    const struct version theirs = { "1.0", "good", 1, 0, K_CAM, "flight/cam", NULL };
    const enum rc gone = RC_MANIFEST_REVOKED;

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&theirs);
    send_order(1, &d1);
    await_event(RC_DELEGATION_MISSING);
    send_delegation("flight/cam", K_CAM, K_FLIGHT); /* waits for its parent */
    run_on(2);
    send_delegation("flight", K_FLIGHT, K_ACME);
    await_standing(SLOT_COMMITTED, &d1);
    end_berthd(SIGKILL, SIGKILL);
    start_berthd();
    await_standing(SLOT_COMMITTED, &d1);

    send_withdrawal(REVOKE_STOP);
    await_event(RC_DELEGATION_WITHDRAWN);
    await("stopped", is_stopped, &gone);
    send_delegation("flight", K_FLIGHT, K_ACME); /* the one of before, once more */
    await_event(RC_DELEGATION_OLD);
    end_berthd(SIGKILL, SIGKILL);
    start_berthd();
    await("stopped", is_stopped, &gone);
    send_delegation("flight/cam", K_CAM, K_FLIGHT);
    await_event(RC_DELEGATION_WITHDRAWN);
    struct digest d2 = send_version(&v2); /* the tenant's own is as good as ever */
    send_order(2, &d2);
    await_standing(SLOT_COMMITTED, &d2);
}

/* What a stolen operator key ordered, and granted, ends with the key. */
static void revoked_operator_takes_its_order_along(void **state)
{
    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    send_revocation(1, revoked_signer(K_OPERATOR_A, REVOKE_STOP));
    await_event(RC_KEY_REVOKED);
    uint32_t reports = sky->reports;
    while (sky->reports < reports + 2 || sky->report.n_payloads > 0)
        exchange();
    end_berthd(SIGTERM, 0);
    start_berthd();
    send_order(2, &d1);
    await_event(RC_KEY_REVOKED);
    assert_int_equal(sky->report.n_payloads, 0);
}

/* ---- trust that got lost -----------------------------------------------------------------------
 */

static void damage(const char *file)
{
    struct err err = { 0 };

    if (faccessat(sky->state, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        must(fs_write_file(sky->state, file, bytes_of("flipped"), 0644, &err), &err);
}

static void lose(const char *file)
{
    struct err err = { 0 };

    must(fs_unlink(sky->state, file, &err), &err);
}

static void lose_root(void)
{
    lose("trust/root.cose");
    lose("trust/root.a");
    lose("trust/root.b");
}

/* The root that provisioning put on board, again. */
static noinline void send_first_root(void)
{
    static struct root root; /* too much for a frame, together */

    root = doc_root();
    root.expires_ms = 0;
    doc_signed(&signed_doc_, DOC_ROOT, root_encode, &root, K_ROOT_A, K_ROOT_B);
    send_document(OBJECT_ROOT, signed_doc_.bytes);
}

static bool has_lost(const struct report *r, const void *arg)
{
    return r->lost == *(const uint32_t *)arg;
}

static bool has_passes(const struct report *r, const void *arg)
{
    return r->passes_order >= *(const uint32_t *)arg;
}

static void await_lost(uint32_t lost)
{
    await("lost", has_lost, &lost);
}

/* Both copies of the root are gone: what was committed starts again, every report says so, nothing
 * new is taken, whoever signed it; the very root that was recorded ends it. */
static void lost_root_is_safe_mode(void **state)
{
    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    end_berthd(SIGTERM, 0);
    lose_root();

    start_berthd();
    await_event(RC_SAFE_MODE);
    await_standing(SLOT_COMMITTED, &d1);
    await_lost(LOST_ROOT);
    assert_int_equal(sky->report.root_version, 1); /* the one that is needed again */
    struct digest d2 = send_version(&v2);
    send_order(2, &d2);
    send_grant(4, K_ACME, 0);
    send_revocation(1, revoked_version(&d1, REVOKE_STOP));
    send_root(2, true); /* truly follows: kept until the recorded one is here */
    run_on(6);
    assert_int_equal(sky->report.generation, 1);
    assert_int_equal(sky->report.lost, LOST_ROOT);
    assert_int_equal(sky->report.root_version, 1);
    await_standing(SLOT_COMMITTED, &d1);
    assert_int_equal(entries_in(sky->state, "slots/acme/cam-north"), 1);

    end_berthd(SIGKILL, SIGKILL); /* and it stays so */
    start_berthd();
    await_standing(SLOT_COMMITTED, &d1);
    assert_int_equal(sky->report.lost, LOST_ROOT);
    uint32_t restarts = sky->report.payload[0].restarts;
    send_first_root();
    await_root(2); /* which was waiting, and changes the operator's keys */
    await_lost(0);
    run_on(2);
    assert_int_equal(sky->report.payload[0].restarts, restarts);
    assert_true(sky->report.payload[0].is_running);
    send_grant_by(K_OPERATOR_B, 1, K_ACME, SINCE_MS, 0);
    struct digest d3 = send_version(&(struct version){ "2.1", "good", 2, 0, K_ACME });
    sign_order(1, &d3, K_OPERATOR_B, SINCE_MS);
    send_document(OBJECT_ORDER, signed_doc_.bytes);
    await_standing(SLOT_COMMITTED, &d3);
}

/* What the trust had denied stays denied when it is lost: nothing is won by taking it away. */
static void losing_trust_widens_nothing(void **state)
{
    const uint32_t code = RC_KEY_UNKNOWN;

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    send_grant(4, K_STRANGER, 0); /* the tenant's key has been replaced */
    await("not running", stopped, &code);
    end_berthd(SIGKILL, SIGKILL);
    lose_root();
    lose("trust/grant-acme.a");
    lose("trust/grant-acme.b");

    start_berthd();
    await_event(RC_SAFE_MODE);
    run_on(3);
    assert_false(sky->report.payload[0].is_running);
    send_first_root();
    await_lost(LOST_GRANT); /* the provisioned one is older than the one recorded */
    run_on(2);
    assert_false(sky->report.payload[0].is_running);
    send_grant(3, K_ACME, 0); /* the one before it, truly signed */
    await_event(RC_GRANT_OLD);
    send_grant(4, K_ACME, 0); /* another of the same number */
    await_event(RC_EQUIVOCATION);
    assert_false(sky->report.payload[0].is_running);
    send_grant(5, K_ACME, 0);
    await_standing(SLOT_COMMITTED, &d1);
    await_lost(0);
}

/* Time goes on in safe mode, and over its restarts. */
static void lost_grant_still_expires(void **state)
{
    struct digest d1;

    (void)state;
    const uint64_t took_ms = committed_in_ms(&d1);
    send_grant(4, K_ACME, clock_unix_ms() + term(8000, 8 * took_ms, 180000));
    await_taken();
    end_berthd(SIGTERM, 0);
    lose_root();
    start_berthd();
    await_standing(SLOT_COMMITTED, &d1);
    await_event(RC_EXPIRED);
    run_on(2);
    assert_false(sky->report.payload[0].is_running);
    assert_int_equal(sky->report.lost, LOST_ROOT);
}

/* A lost grant concerns its tenant, and only until it is sent again. */
static void lost_grant_keeps_its_tenant_running(void **state)
{
    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    send_grant(9, K_ACME, 0);
    await_taken();
    end_berthd(SIGTERM, 0);
    damage("trust/grant-acme.a");
    damage("trust/grant-acme.b");

    start_berthd();
    await_standing(SLOT_COMMITTED, &d1);
    await_lost(LOST_GRANT);
    send_version(&v2); /* nobody can say whose it is */
    run_on(4);
    assert_int_equal(entries_in(sky->state, "slots/acme/cam-north"), 1);
    send_grant(8, K_ACME, 0);
    await_event(RC_GRANT_OLD);
    send_grant(9, K_ACME, 0);
    await_lost(0);
    assert_int_equal(sky->report.payload[0].restarts, 0);
    end_berthd(SIGTERM, 0);
    start_berthd();
    await_standing(SLOT_COMMITTED, &d1);
    assert_int_equal(sky->report.lost, 0);
}

/* A lost delegation concerns its team, and only until it is sent again. */
static void lost_team_keeps_running(void **state)
{
    const struct version theirs = { "1.0", "good", 1, 0, K_CAM, "flight/cam", NULL };

    (void)state;
    start_berthd();
    send_delegation("flight", K_FLIGHT, K_ACME);
    send_delegation("flight/cam", K_CAM, K_FLIGHT);
    struct digest d1 = send_version(&theirs);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    end_berthd(SIGTERM, 0);
    damage("trust/team-acme+flight.a");
    damage("trust/team-acme+flight.b");
    lose("trust/team-acme+flight+cam.a");
    lose("trust/team-acme+flight+cam.b");

    start_berthd();
    await_event(RC_SAFE_MODE);
    await_standing(SLOT_COMMITTED, &d1);
    await_lost(LOST_TEAM);
    send_delegation("flight/cam", K_CAM, K_FLIGHT); /* waits for its parent */
    run_on(2);
    assert_int_equal(sky->report.lost, LOST_TEAM);
    send_delegation("flight", K_FLIGHT, K_ACME);
    await_lost(0);
    assert_int_equal(sky->report.payload[0].restarts, 0);
    end_berthd(SIGTERM, 0);

    lose("trust/team-acme+flight.a");
    lose("trust/team-acme+flight.b");
    lose_root();
    start_berthd(); /* and with the root: the record knows the team */
    await_standing(SLOT_COMMITTED, &d1);
    await_lost(LOST_ROOT);
    send_first_root();
    await_lost(LOST_TEAM);
    send_withdrawal(REVOKE_STOP);
    await_lost(0);
    const enum rc gone = RC_MANIFEST_REVOKED;
    await("stopped", is_stopped, &gone);
}

/* Whoever deletes the set of revocations, or brings an older one back, changes nothing. */
static void lost_revocations_are_put_back(void **state)
{
    const enum rc revoked = RC_MANIFEST_REVOKED;
    const bool root_too[] = { false, true };

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    send_revocation(1, revoked_version(&d1, REVOKE_STOP));
    await("stopped", is_stopped, &revoked);
    for (size_t i = 0; i < sizeof root_too / sizeof root_too[0]; i++) {
        end_berthd(SIGKILL, SIGKILL);
        lose("trust/revoked.a");
        lose("trust/revoked.b");
        if (root_too[i])
            lose_root();
        start_berthd();
        await_event(RC_STATE_DAMAGED);
        run_on(3);
        assert_false(sky->report.payload[0].is_running);
    }
    send_first_root();
    await_lost(0);
    send_order(2, &d1); /* the operator orders it once more */
    await_generation(2);
    run_on(2);
    await("stopped", is_stopped, &revoked);
}

/* One bad copy of anything: the other one, told, and repaired. */
static void one_bad_copy_is_repaired(void **state)
{
    static const char *const files[] = { "trust/root.a",       "trust/root.b",
                                         "trust/grant-acme.a", "trust/grant-acme.b",
                                         "trust/revoked.a",    "agent.a" };

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct copy was = { 0 };

        end_berthd(SIGTERM, 0);
        if (i == 0)
            lose("trust/root.cose");
        damage(files[i]);
        start_berthd();
        await_standing(SLOT_COMMITTED, &d1);
        assert_int_equal(sky->report.lost, 0);
        await_event(RC_STATE_DAMAGED);
        copy_state(files[i], &was);
        assert_true(was.n > sizeof "flipped");
        free(was.p);
    }
}

/* Contacts without a new order are counted, told once, and forgotten with the next order. */
static void frozen_is_told(void **state)
{
    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    for (uint32_t i = 0; i < 3; i++) { /* every start sees a contact with the first file */
        end_berthd(SIGTERM, 0);
        start_berthd();
        send_order(1, &d1); /* the same again */
        uint32_t passes = i + 1;
        await("passes", has_passes, &passes);
    }
    await_event(RC_FROZEN);
    send_order(2, &d1);
    await_generation(2);
    assert_true(sky->report.passes_order < 2); /* the next contact may have begun */
}

static void without_trust_everything_is_refused(void **state)
{
    struct err err = { 0 };

    (void)state;
    must(fs_unlink(sky->state, "trust/root.cose", &err), &err);
    start_berthd();
    await_event(RC_TRUST_MISSING);
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    run_on(6);
    assert_int_equal(sky->report.n_payloads, 0);
    assert_int_equal(sky->report.generation, 0);
    assert_int_equal(entries_in(sky->state, "slots"), 0);
}

/* ---- staged orders and tokens ---- */

static struct digest waiting_order; /* the one signed last */

static noinline void sign_staged(uint64_t generation, const struct digest *manifest)
{
    struct order order = { .satellite = "aurora-1", .generation = generation, .staged = true };
    struct err err = { 0 };

    order.issued_ms = ISSUED_MS;
    order.n_lines = 1;
    order.line[0] = (struct order_line){ .tenant = "acme", .name = "cam-north" };
    order.line[0].manifest = *manifest;
    doc_signed(&signed_doc_, DOC_ORDER, order_encode, &order, K_OPERATOR_A);
    must(sha256_of(signed_doc_.payload, waiting_order.b, &err), &err);
}

static void send_staged(uint64_t generation, const struct digest *manifest)
{
    sign_staged(generation, manifest);
    send_document(OBJECT_ORDER, signed_doc_.bytes);
}

/* For the order signed last. */
static noinline void send_token(uint64_t generation, enum doc_key who)
{
    struct token token = doc_token();

    token.generation = generation;
    token.order = waiting_order;
    token.issued_ms = clock_unix_ms();
    token.expires_ms = token.issued_ms + DAY_MS;
    doc_signed(&signed_doc_, DOC_TOKEN, token_encode, &token, who);
    send_document(OBJECT_TOKEN, signed_doc_.bytes);
}

static bool waits_with(const struct report *r, const void *arg)
{
    return r->staged == *(const uint64_t *)arg;
}

static void await_staged(uint64_t generation)
{
    await("order waits", waits_with, &generation);
}

static void await_slots(size_t n)
{
    const uint64_t until = clock_mono_ms() + WAIT_MS;

    while (entries_in(sky->state, "slots/acme/cam-north") != n) {
        assert_true(clock_mono_ms() < until);
        exchange();
    }
}

static void waits_for_its_token(void **state)
{
    const struct version v4 = { "4.0", "good", 4, 0, K_ACME };

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);

    struct digest d2 = send_version(&v2);
    send_staged(2, &d2);
    await_staged(2);
    await_slots(2); /* installed ahead */
    send_token(2, K_ACME);
    await_event(RC_KEY_UNKNOWN);
    send_order_as(OBJECT_TOKEN, 2, &d2); /* truly the operator's, but no token */
    await("token", has_event_about, "token");
    end_berthd(SIGKILL, SIGKILL);
    start_berthd();
    await_staged(2);
    await_standing(SLOT_COMMITTED, &d1);
    assert_int_equal(sky->report.generation, 1);

    sign_staged(2, &d2);
    send_token(2, K_OPERATOR_A);
    await_standing(SLOT_COMMITTED, &d2);
    assert_int_equal(sky->report.generation, 2);
    assert_int_equal(sky->report.staged, 0);
    end_berthd(SIGTERM, 0);
    start_berthd();
    await_standing(SLOT_COMMITTED, &d2);
    assert_int_equal(sky->report.generation, 2);
    send_token(2, K_OPERATOR_B); /* another one for what is in force changes nothing */

    /* The token first: it is kept until its order comes. */
    struct digest d4 = send_version(&v4);
    sign_staged(3, &d4);
    send_token(3, K_OPERATOR_A);
    run_on(3);
    assert_int_equal(sky->report.generation, 2);
    send_staged(3, &d4);
    await_standing(SLOT_COMMITTED, &d4);
    assert_int_equal(sky->report.generation, 3);
}

static void newer_order_replaces_the_one_that_waits(void **state)
{
    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    struct digest d2 = send_version(&v2);
    send_staged(2, &d2);
    await_staged(2);
    send_staged(3, &d2);
    await_staged(3);
    sign_staged(2, &d2);
    send_token(2, K_OPERATOR_A); /* not the one that waits any more */
    await_event(RC_TOKEN_TARGET);
    send_order(4, &d1);
    await_staged(0);
    assert_int_equal(sky->report.generation, 4);
    await_standing(SLOT_COMMITTED, &d1);
    sign_staged(3, &d2);
    send_token(3, K_OPERATOR_A);
    run_on(3);
    assert_int_equal(sky->report.generation, 4);
    await_standing(SLOT_COMMITTED, &d1);
}

/* The power goes when order and token are on disk and nothing else is. */
static void cut_between_token_and_record(void **state)
{
    static const char *const files[] = { STATE_FILE ".a", STATE_FILE ".b", "staged.a" };
    struct copy copies[3];

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    struct digest d2 = send_version(&v2);
    send_staged(2, &d2);
    await_staged(2);
    await_slots(2);
    end_berthd(SIGTERM, 0);
    for (size_t i = 0; i < 3; i++)
        copy_state(files[i], &copies[i]);

    start_berthd();
    send_token(2, K_OPERATOR_A);
    await_standing(SLOT_COMMITTED, &d2);
    end_berthd(SIGKILL, SIGKILL);
    for (size_t i = 0; i < 3; i++)
        put_state(files[i], &copies[i]);

    start_berthd();
    await_staged(0);
    await_standing(SLOT_COMMITTED, &d2);
    assert_int_equal(sky->report.generation, 2);
    assert_int_equal(faccessat(sky->state, "staged.a", F_OK, 0), -1);
}

/* ---- rekeys -------------------------------------------------------------------------------------
 */

/* What the ground has at hand to make rekeys. */
struct vault {
    uint8_t kem[KEM_PUBLIC_SIZE]; /* the newest public half that was reported */
    uint8_t master[2][REKEY_SECRET_SIZE];
};

static struct vault vault;

static void secret_of(const struct rekey_entry *entry, uint8_t ret[REKEY_SECRET_SIZE])
{
    memset(ret, entry->tenant[0] == '\0' ? 0x10 : 0x20, REKEY_SECRET_SIZE);
    ret[0] = (uint8_t)entry->epoch;
    if (entry->what == REKEY_NEW_MASTER)
        memcpy(ret, vault.master[entry->epoch - 1], REKEY_SECRET_SIZE);
}

/* Wrap for the KEM key, or for master 1 or 2; offer the link keys to the ground's own link; send.
 */
static noinline void send_rekey(struct rekey *r, uint32_t master)
{
    uint8_t shared[KEM_SHARED_SIZE], secret[REKEY_SECRET_SIZE];
    struct err err = { 0 };

    r->recipient = master == 0 ? REKEY_KEM : REKEY_MASTER;
    (void)snprintf(r->satellite, sizeof r->satellite, "aurora-1");
    r->issued_ms = ISSUED_MS;
    if (master == 0) {
        must(kem_id(vault.kem, r->key_id, &err), &err);
        must(kem_seal(vault.kem, r->sealed, shared, &err), &err);
    } else {
        memcpy(shared, vault.master[master - 1], sizeof shared);
        must(rekey_master_id(shared, r->key_id, &err), &err);
    }
    for (uint32_t i = 0; i < r->n; i++) {
        const struct rekey_entry *entry = &r->entry[i];
        struct link_offer offer = { .epoch = entry->epoch };

        if (entry->what == REKEY_NEW_KEM)
            continue;
        secret_of(entry, secret);
        must(rekey_wrap(r, i, &doc_mission, shared, secret, &err), &err);
        memcpy(offer.tenant, entry->tenant, sizeof offer.tenant);
        memcpy(offer.secret, secret, sizeof offer.secret);
        if (entry->what != REKEY_NEW_MASTER)
            must(link_state_offer(sky->ground, &offer, &err), &err);
    }
    doc_signed(&signed_doc_, DOC_REKEY, rekey_encode, r, K_OPERATOR_A);
    send_document(OBJECT_REKEY, signed_doc_.bytes);
}

static void send_link_rekey(uint64_t number, uint32_t epoch, uint32_t master)
{
    struct rekey r = { .number = number, .n = 1 };

    r.entry[0] = (struct rekey_entry){ .what = REKEY_LINK, .peer = GROUND, .epoch = epoch };
    send_rekey(&r, master);
}

static void send_master_rekey(uint64_t number, uint32_t epoch, uint32_t master)
{
    struct rekey r = { .number = number, .n = 1 };

    r.entry[0] = (struct rekey_entry){ .what = REKEY_NEW_MASTER, .epoch = epoch };
    send_rekey(&r, master);
}

static bool has_kem_public(const struct report *r, const void *arg)
{
    const uint8_t *not_this = arg;

    return r->keys.has_kem_public && memcmp(r->keys.kem_id, not_this, KEY_ID_SIZE) != 0;
}

static bool has_rekey(const struct report *r, const void *arg)
{
    return r->keys.rekey == *(const uint64_t *)arg;
}

/* The newest public half, of another pair than not_this. */
static void await_kem(const uint8_t *not_this)
{
    await("KEM public half", has_kem_public, not_this);
    memcpy(vault.kem, sky->report.keys.kem_public, sizeof vault.kem);
}

/* Say to the ground's link which keys the newest report has, as the ground does with every report.
 */
static void confirm_links(void)
{
    struct err err = { 0 };

    for (uint32_t i = 0; i < sky->report.keys.n_links; i++) {
        const struct report_link *l = &sky->report.keys.link[i];

        assert_int_equal(l->peer, GROUND);
        must(link_ground_confirm(sky->link, l->tenant, l->epoch, &err), &err);
    }
}

static void await_rekey(uint64_t number)
{
    await("rekey taken", has_rekey, &number);
    confirm_links();
}

/* Both ends have only this epoch of the link's own key. */
static void await_epoch(uint32_t epoch)
{
    struct link_held held[LINK_KEYRING_MAX];
    uint32_t n = 0, own = 0, first = 0;
    uint64_t until = clock_mono_ms() + WAIT_MS, traffic = clock_mono_ms();
    struct digest unknown = { .b = { (uint8_t)epoch } };

    do {
        if (clock_mono_ms() >= traffic) { /* anything, so that there are bundles under it */
            send_order(90 + epoch, &unknown);
            traffic += 2000;
        }
        exchange();
        confirm_links(); /* berth-link may tell of a key after the report that the rekey was taken
                          */
        link_ground_held(sky->link, held, &n);
        for (own = 0; own < n && held[own].tenant[0] == '\0'; own++)
            continue;
        first = held[0].epoch;
    } while ((own != 1 || first != epoch) && clock_mono_ms() < until);
    assert_int_equal(own, 1);
    assert_int_equal(first, epoch);
}

/* A bundle under the key of provisioning, as a thief of that key could make it. */
static void send_under_first_key(void)
{
    scoped(close_fd) int dir = make_dir(sky->dir.fd, "thief");
    scoped(link_state_done) struct link_state thief = { 0 };
    struct err err = { 0 };

    must(link_state_make(dir, LINK_SIDE_GROUND, &sky->keys, &err), &err);
    must(link_state_open(dir, LINK_SIDE_GROUND, &thief, &err), &err);
    must(outbox_put(&thief, "", sky->up, bytes_of("anything"), &err), &err);
    must(dircl_sync(sky->up, &err), &err);
}

static bool has_two_links(const struct report *r, const void *arg)
{
    (void)arg;
    return r->keys.n_links == 2;
}

static void rekeys_in_flight(void **state)
{
    static const uint8_t none[KEY_ID_SIZE];
    uint8_t first_pair[KEY_ID_SIZE];
    struct rekey all = { .number = 1, .n = 4 };

    (void)state;
    crypto_random(vault.master[0], sizeof vault.master);
    start_berthd();
    await_kem(none);
    memcpy(first_pair, sky->report.keys.kem_id, sizeof first_pair);

    /* Everything at once, for the pair made on board. */
    all.entry[0] = (struct rekey_entry){ .what = REKEY_LINK, .peer = GROUND, .epoch = 2 };
    all.entry[1] = (struct rekey_entry){
        .what = REKEY_TENANT_LINK, .peer = GROUND, .tenant = "acme", .epoch = 1
    };
    all.entry[2] = (struct rekey_entry){ .what = REKEY_NEW_MASTER, .epoch = 1 };
    all.entry[3] = (struct rekey_entry){ .what = REKEY_NEW_KEM };
    send_rekey(&all, 0);
    await_rekey(1);
    await("both keys", has_two_links, NULL); /* berth-link may tell of them after that report */
    assert_int_equal(sky->report.keys.master_epoch, 1);
    await_kem(first_pair);
    await_epoch(2);
    send_under_first_key();
    await_event(RC_BPSEC_KEY);

    /* Under the master, with a kill while it is on its way. */
    send_link_rekey(2, 3, 1);
    exchange();
    end_berthd(SIGKILL, SIGKILL);
    start_berthd();
    await_rekey(2);
    await_epoch(3);

    /* The next master for the new pair; then the old master is good until the new one was used. */
    send_master_rekey(3, 2, 0);
    await_rekey(3);
    assert_int_equal(sky->report.keys.master_epoch, 2);
    send_link_rekey(4, 4, 1);
    await_rekey(4);
    await_epoch(4);
    send_link_rekey(5, 5, 2);
    await_rekey(5);
    await_epoch(5);
    send_link_rekey(6, 6, 1);
    await_event(RC_REKEY_RECIPIENT);
    assert_int_equal(sky->report.keys.rekey, 5);
}

static void damaged_rekey_keys_are_made_anew(void **state)
{
    static const char *const files[] = { "rekey.a", "rekey.b" };
    static const uint8_t none[KEY_ID_SIZE];
    uint8_t lost_pair[KEY_ID_SIZE];
    struct err err = { 0 };

    (void)state;
    start_berthd();
    await_kem(none);
    memcpy(lost_pair, sky->report.keys.kem_id, sizeof lost_pair);
    send_link_rekey(1, 2, 0);
    await_rekey(1);
    await_epoch(2);
    end_berthd(SIGTERM, 0);
    for (size_t i = 0; i < 2; i++)
        must(fs_write_file(sky->state, files[i], bytes_of("lost"), 0600, &err), &err);
    start_berthd();
    await_kem(lost_pair);
    await_event(RC_STATE_DAMAGED);
    send_link_rekey(2, 3, 0);
    await_rekey(2);
    await_epoch(3);
}

/* ---- data ---------------------------------------------------------------------------------------
 */

#define DATA "data/acme/cam-north/"

static const struct version keeper = { "1.0", "keeper", 1, 0, K_ACME };

/* The newest "word=" line of the payload; "" if there is none.  *ret_n counts them. */
static void last_word(char out[64], size_t *ret_n)
{
    static uint8_t log[OUTPUT_FILE_MAX + 1];
    size_t n = 0;
    struct err err = { 0 };

    out[0] = '\0';
    *ret_n = 0;
    if (fs_read_file(sky->state, "log/acme.cam-north.log", log, OUTPUT_FILE_MAX, &n, &err) != RC_OK)
        return;
    log[n] = '\0';
    for (const char *at = (const char *)log; (at = strstr(at, "word=")) != NULL; at += 5) {
        size_t line = strcspn(at, "\r\n");

        memcpy(out, at, line < 63 ? line : 63);
        out[line < 63 ? line : 63] = '\0';
        (*ret_n)++;
    }
}

/* Exchange until so many words have been printed; the newest. */
static void await_words(size_t want, char out[64])
{
    const uint64_t until = clock_mono_ms() + WAIT_MS;
    size_t n = 0;

    for (last_word(out, &n); n < want; last_word(out, &n)) {
        assert_true(clock_mono_ms() < until);
        exchange();
    }
}

static bool has_file(const char *path)
{
    return faccessat(sky->state, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Version 1 has committed and written its word. */
static struct digest keeper_committed(char word[64])
{
    start_berthd();
    struct digest d1 = send_version(&keeper);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    await_words(1, word);
    assert_memory_equal(word, "word=kept-", 10);
    return d1;
}

/* Version 2 migrates the data and dies; version 1 finds what it had left. */
static void rollback_brings_the_data_back(void **state)
{
    const struct version bad = {
        .version = "2.0", .how = "migrate-exit", .release = 2, .signer = K_ACME, .snapshot = true
    };
    char before[64], after[64];

    (void)state;
    struct digest d1 = keeper_committed(before);
    struct digest d2 = send_version(&bad);
    send_order(2, &d2);
    await_standing(SLOT_ROLLED_BACK, &d1);
    await_words(3, after);
    assert_string_equal(before, after);
    assert_false(has_file(DATA "data.snap"));
    assert_false(has_file(DATA "data.snap.new"));
    assert_int_equal(sky->report.payload[0].code, RC_EXITED);
}

static bool in_trial(const struct report *r, const void *arg)
{
    return r->n_payloads == 1 && r->payload[0].state == SLOT_TRIAL && r->payload[0].is_running &&
           memcmp(&r->payload[0].running, arg, DIGEST_SIZE) == 0;
}

/* The same with SIGKILL while version 2 is at it, and again when its data is back and the record
 * is not. */
static void killed_in_a_trial_the_data_comes_back(void **state)
{
    const struct version bad = {
        .version = "2.0",
        .how = "migrate",
        .release = 2,
        .signer = K_ACME,
        .snapshot = true,
        .ready_ms =
            30000, /* it must still be on trial when it has been seen and berthd is killed */
    };
    char before[64], after[64];
    size_t printed = 0;

    (void)state;
    struct digest d1 = keeper_committed(before);
    struct digest d2 = send_version(&bad);
    send_order(2, &d2);
    await("a trial", in_trial, &d2);
    await_words(2, after);
    assert_memory_equal(after, "word=migrated-", 14);
    assert_true(has_file(DATA "data.snap"));
    end_berthd(SIGKILL, SIGKILL);
    assert_true(has_file(DATA "data.snap"));

    start_berthd();
    await_words(3, after);
    assert_memory_equal(after, "word=migrated-", 14); /* tried again, on what it had made */
    await_standing(SLOT_ROLLED_BACK, &d1);
    end_berthd(SIGKILL, SIGKILL);
    last_word(after, &printed); /* the old version's is among them, or it died before that */
    start_berthd();
    await_standing(SLOT_ROLLED_BACK, &d1);
    await_words(printed + 1, after);
    assert_string_equal(before, after);
    assert_false(has_file(DATA "data.snap"));
}

/* What a cut leaves without a record means nothing, and what commits keeps its data. */
static void commit_ends_the_snapshot(void **state)
{
    const struct version fine = {
        .version = "2.0", .how = "migrate-good", .release = 2, .signer = K_ACME, .snapshot = true
    };
    char word[64], again[64];
    struct err err = { 0 };

    (void)state;
    (void)keeper_committed(word);
    end_berthd(SIGKILL, SIGKILL);
    must(fs_write_file(sky->state, DATA "data.snap", bytes_of("stale"), 0600, &err), &err);
    must(fs_write_file(sky->state, DATA "data.snap.new", bytes_of("half"), 0600, &err), &err);
    start_berthd();
    await_words(2, again);
    assert_string_equal(word, again);
    assert_false(has_file(DATA "data.snap"));
    assert_false(has_file(DATA "data.snap.new"));

    struct digest d2 = send_version(&fine);
    send_order(2, &d2);
    await_standing(SLOT_COMMITTED, &d2);
    await_words(3, word);
    assert_memory_equal(word, "word=migrated-", 14);
    assert_false(has_file(DATA "data.snap"));
    end_berthd(SIGTERM, 0);
    start_berthd();
    await_standing(SLOT_COMMITTED, &d2);
    assert_false(has_file(DATA "data.snap"));
}

static noinline void send_store(uint64_t epoch, uint64_t store_bytes)
{
    struct grant grant = doc_grant();

    grant.epoch = epoch;
    grant.expires_ms = 0;
    grant.store_bytes = store_bytes;
    doc_signed(&signed_doc_, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
    send_document(OBJECT_GRANT, signed_doc_.bytes);
}

static bool has_stored(const struct digest *object)
{
    char hex[2 * DIGEST_SIZE + 1], path[200];

    (void)bytes_hex((struct bytes){ object->b, sizeof object->b }, hex);
    (void)snprintf(path, sizeof path, "objects/sha256/%.2s/%s", hex, hex + 2);
    return faccessat(sky->state, path, F_OK, 0) == 0;
}

/* The packages of installed slots are kept, are not installed again by a start, and make room for
 * what is new; what they came from is noted in the slot. */
static void packages_are_kept(void **state)
{
    struct digest note = { 0 };
    char hex[2 * DIGEST_SIZE + 1], path[200];
    size_t n = 0;
    struct err err = { 0 };

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    assert_int_equal(stored_objects(), 1);
    end_berthd(SIGTERM, 0);
    start_berthd();
    await_standing(SLOT_COMMITTED, &d1);
    assert_int_equal(stored_objects(), 1);

    (void)snprintf(path, sizeof path, "slots/acme/cam-north/%s/object",
                   bytes_hex((struct bytes){ d1.b, sizeof d1.b }, hex));
    must(fs_read_file(sky->state, path, note.b, sizeof note.b, &n, &err), &err);
    assert_int_equal(n, sizeof note.b);
    assert_true(has_stored(&note));

    send_store(4, 2U << 20); /* as much as one slot and its package take, not two */
    await_taken();
    struct digest d2 = send_version(&v2);
    send_order(2, &d2);
    await_standing(SLOT_COMMITTED, &d2);
    assert_true(stored_objects() < 2);
}

/* Flip a bit of the last byte but n. */
static void spoil(int package, off_t n)
{
    struct stat st = { 0 };
    uint8_t byte = 0;

    assert_int_equal(fstat(package, &st), 0);
    assert_int_equal(pread(package, &byte, 1, st.st_size - 1 - n), 1);
    byte ^= 1;
    assert_int_equal(pwrite(package, &byte, 1, st.st_size - 1 - n), 1);
}

/* There is room for the next version only where the kept package of this one lies.  It does not go
 * for rubbish behind the next one's envelope; for the next one it does. */
static void rubbish_makes_no_room(void **state)
{
    const struct version padded1 = { "1.0", "good", 1, 2U << 20, K_ACME };
    const struct version padded2 = { "2.0", "good", 2, 2U << 20, K_ACME };
    scoped(close_fd) int package = memfd_create("package", MFD_CLOEXEC);
    struct digest kept = { 0 };
    struct slots slots = { .dir = -1, .staging = -1 };
    struct slot_id id = { .tenant = "acme", .payload = "cam-north" };
    struct err err = { 0 };

    (void)state;
    provision_store(store_for_two(2U << 20));
    start_berthd();
    id.manifest = send_version(&padded1);
    send_order(1, &id.manifest);
    await_standing(SLOT_COMMITTED, &id.manifest);
    slots.dir = openat(sky->state, "slots", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(slots.dir >= 0);
    must(slot_object(&slots, &id, &kept, &err), &err);
    assert_int_equal(stored_objects(), 1);

    struct digest d2 = make_version(&padded2, package);
    send_order(2, &d2);
    spoil(package, 100);
    send_object(OBJECT_PACKAGE, package, NULL);
    await_event(RC_DIGEST_MISMATCH);
    assert_true(has_stored(&kept));
    await_standing(SLOT_RECEIVING, &id.manifest);
    await_no_staging();

    spoil(package, 100);
    send_object(OBJECT_PACKAGE, package, NULL);
    await_standing(SLOT_COMMITTED, &d2);
    assert_false(has_stored(&kept));
    close_fd(&slots.dir);
}

/* No room for the snapshot: no trial, and what runs is not even stopped.  Then there is. */
static void no_room_for_a_snapshot_no_trial(void **state)
{
    const struct version fine = {
        .version = "2.0", .how = "migrate-good", .release = 2, .signer = K_ACME, .snapshot = true
    };
    char word[64];

    (void)state;
    struct digest d1 = keeper_committed(word);
    struct digest d2 = send_version(&fine);
    await_slots_of("cam-north", 2);
    send_store(10, 8U << 20); /* not more than the data */
    await_taken();
    send_order(2, &d2);
    await_event(RC_STORE_QUOTA);
    await_standing(SLOT_REFUSED, &d1);
    assert_int_equal(sky->report.payload[0].code, RC_STORE_QUOTA);
    assert_int_equal(sky->report.payload[0].restarts, 0);
    send_store(11, 100U << 20);
    await_standing(SLOT_COMMITTED, &d2);
    await_words(2, word);
    assert_memory_equal(word, "word=migrated-", 14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_room_for_a_snapshot_no_trial, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(rollback_brings_the_data_back, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(killed_in_a_trial_the_data_comes_back, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(commit_ends_the_snapshot, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(rekeys_in_flight, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(damaged_rekey_keys_are_made_anew, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(installs_updates_and_rolls_back, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(forgeries_change_nothing, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(killed_in_an_install_it_finishes, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(exits_are_told_and_backed_off, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(packages_are_kept, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(rubbish_makes_no_room, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(damaged_slot_gives_way, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(damaged_state_keeps_what_is_ordered, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(revoked_key_stops_what_it_signed, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(limits_change_without_a_start, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(expired_grant_stops_what_runs, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(strangers_do_not_fill_the_store, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(rotates_in_flight, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(cut_between_root_and_record, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(killed_at_every_root, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(revocations_are_for_good, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(teams_come_and_go, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(full_store_leaves_siblings_alone, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(lost_team_keeps_running, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(revoked_operator_takes_its_order_along, sky_open,
                                        sky_close),
        cmocka_unit_test_setup_teardown(waits_for_its_token, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(newer_order_replaces_the_one_that_waits, sky_open,
                                        sky_close),
        cmocka_unit_test_setup_teardown(cut_between_token_and_record, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(lost_root_is_safe_mode, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(losing_trust_widens_nothing, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(lost_grant_still_expires, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(lost_grant_keeps_its_tenant_running, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(lost_revocations_are_put_back, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(one_bad_copy_is_repaired, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(frozen_is_told, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(without_trust_everything_is_refused, sky_open, sky_close),
    };

    if (geteuid() != 0) {
        print_message("needs root\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
