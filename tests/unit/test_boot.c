/* SPDX-License-Identifier: Apache-2.0
 *
 * Which agent starts: every event on every kind of record, random histories, records that are
 * damaged, and berth-boot's own work killed at every call that changes a file.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "boot/evict.h"
#include "boot/guard.h"
#include "boot/start.h"
#include "boot/tally.h"
#include "tests/unit/update_fixture.h"
#include "tests/unit/update_kill.h"

static const struct boot_id none;

static struct boot_id agent(char name)
{
    struct boot_id id = { { (uint8_t)name, 0xaa } };

    return id;
}

/* ---- every pair ---------------------------------------------------------------------------------
 */

/* 'C' current, 'P' previous, 'K' candidate. */
static const struct {
    const char *why;
    bool current, previous, candidate;
    uint32_t tries, starts, reason;
    char failed; /* 0 = none */
    uint32_t code;
} kinds[] = {
    { "fresh", false, false, false, 0, 0, 0 },
    { "committed", true, false, false, 0, 0, 0 },
    { "committed, worn", true, true, false, 0, 9, 0 },
    { "committed, worn out", true, true, false, 0, 10, 0 },
    { "committed, worn out, nothing before", true, false, false, 0, 10, 0 },
    { "trial", true, true, true, 3, 0, 0 },
    { "trial, last start used", true, true, true, 0, 0, 0 },
    { "trial given up", true, true, true, 0, 0, RC_HEALTH_TIMEOUT },
    { "first trial, last start used", false, false, true, 0, 0, 0 },
    { "trial over, current worn out", true, true, true, 0, 10, 0 },
    { "gone back to the one before", true, false, false, 0, 1, 0, 'F', RC_CRASH_LOOP },
    { "gone back from a trial", true, false, false, 0, 1, 0, 'F', RC_AGENT_DIED },
};
#define KINDS (sizeof kinds / sizeof kinds[0])

static struct boot_record record_of(size_t kind)
{
    struct boot_record r = { .tries = kinds[kind].tries,
                             .starts = kinds[kind].starts,
                             .reason = kinds[kind].reason,
                             .code = kinds[kind].code };

    if (kinds[kind].failed)
        r.failed = agent(kinds[kind].failed);
    r.current = kinds[kind].current ? agent('C') : none;
    r.previous = kinds[kind].previous ? agent('P') : none;
    r.candidate = kinds[kind].candidate ? agent('K') : none;
    return r;
}

static char letter(const struct boot_id *id)
{
    return boot_id_none(id) ? '-' : (char)id->b[0];
}

/* "K C P K 2 0 - 0": started, current, previous, candidate, tries, starts, failed, code */
static void text_of(enum rc rc, char started, const struct boot_record *r, char *out, size_t cap)
{
    if (rc != RC_OK)
        (void)snprintf(out, cap, "%s", rc_name(rc));
    else
        (void)snprintf(out, cap, "%c %c%c%c %u %u %c %s", started, letter(&r->current),
                       letter(&r->previous), letter(&r->candidate), r->tries, r->starts,
                       letter(&r->failed), r->code ? rc_name((enum rc)r->code) : "-");
}

/* clang-format off */
static const char *const outcomes[KINDS][BOOT_EVENTS] = {
    /*    START                        UNSTARTED (candidate, else current)   SWITCH to N       GIVE_UP                COMMIT            WELL              LEAVE            STOP (candidate, else current): a candidate gets nothing back   EXCUSE (failed) */
    { "- --- 0 0 - -",               "NOT_FOUND",                     ". --N 3 0 - -", "TRANSITION",        "TRANSITION",     ". --- 0 0 - -", ". --- 0 0 - -", "TRANSITION", "TRANSITION" },
    { "C C-- 0 1 - -",               "- --- 0 0 C SLOT_DAMAGED",      ". C-N 3 0 - -", "TRANSITION",        "TRANSITION",     ". C-- 0 0 - -", ". --- 0 0 - -", "TRANSITION", "TRANSITION" },
    { "C CP- 0 10 - -",              "P P-- 0 1 C SLOT_DAMAGED",      ". CPN 3 9 - -", "TRANSITION",        "TRANSITION",     ". CP- 0 0 - -", ". --- 0 0 - -", ". CP- 0 8 - -", "TRANSITION" },
    { "P P-- 0 1 C CRASH_LOOP",      "P P-- 0 1 C SLOT_DAMAGED",      ". CPN 3 10 - -", "TRANSITION",       "TRANSITION",     ". CP- 0 0 - -", ". --- 0 0 - -", ". CP- 0 9 - -", "TRANSITION" },
    { "- --- 0 0 C CRASH_LOOP",      "- --- 0 0 C SLOT_DAMAGED",      ". C-N 3 10 - -", "TRANSITION",       "TRANSITION",     ". C-- 0 0 - -", ". --- 0 0 - -", ". C-- 0 9 - -", "TRANSITION" },
    { "K CPK 2 0 - -",               "C CP- 0 1 K AGENT_START",       ". CPN 3 0 - -", ". CPK 0 0 - -",     ". KC- 0 0 - -",  ". CPK 3 0 - -", ". --- 0 0 - -", "TRANSITION", "TRANSITION" },
    { "C CP- 0 1 K AGENT_DIED",      "C CP- 0 1 K AGENT_START",       ". CPN 3 0 - -", ". CPK 0 0 - -",     ". KC- 0 0 - -",  ". CPK 0 0 - -", ". --- 0 0 - -", "TRANSITION", "TRANSITION" },
    { "C CP- 0 1 K HEALTH_TIMEOUT",  "C CP- 0 1 K AGENT_START",       ". CPN 3 0 - -", ". CPK 0 0 - -",     ". KC- 0 0 - -",  ". CPK 0 0 - -", ". --- 0 0 - -", "TRANSITION", "TRANSITION" },
    { "- --- 0 0 K AGENT_DIED",      "- --- 0 0 K AGENT_START",       ". --N 3 0 - -", ". --K 0 0 - -",     ". K-- 0 0 - -",  ". --K 0 0 - -", ". --- 0 0 - -", "TRANSITION", "TRANSITION" },
    { "P P-- 0 1 C CRASH_LOOP",      "P P-- 0 1 C CRASH_LOOP",        ". CPN 3 10 - -", ". CPK 0 10 - -",   ". KC- 0 0 - -",  ". CPK 0 0 - -", ". --- 0 0 - -", "TRANSITION", "TRANSITION" },
    { "C C-- 0 2 F CRASH_LOOP",      "- --- 0 0 C SLOT_DAMAGED",      ". C-N 3 1 F CRASH_LOOP", "TRANSITION", "TRANSITION",     ". C-- 0 0 F CRASH_LOOP", ". --- 0 0 F CRASH_LOOP", ". C-- 0 0 F CRASH_LOOP", ". C-- 0 1 F SLOT_DAMAGED" },
    { "C C-- 0 2 F AGENT_DIED",      "- --- 0 0 C SLOT_DAMAGED",      ". C-N 3 1 F AGENT_DIED", "TRANSITION", "TRANSITION",     ". C-- 0 0 F AGENT_DIED", ". --- 0 0 F AGENT_DIED", ". C-- 0 0 F AGENT_DIED", "TRANSITION" },
};
/* clang-format on */

static void every_pair(void **state)
{
    unsigned wrong = 0;

    (void)state;
    for (size_t k = 0; k < KINDS; k++)
        for (enum boot_event e = 0; e < BOOT_EVENTS; e++) {
            struct boot_record r = record_of(k);
            const struct boot_record before = r;
            struct boot_id started = { { '.' } };
            struct boot_news news = { .code = RC_HEALTH_TIMEOUT };
            char got[80];

            if (e == BOOT_EV_UNSTARTED || e == BOOT_EV_STOP)
                news.id = kinds[k].candidate ? r.candidate : r.current;
            if (e == BOOT_EV_SWITCH)
                news.id = agent('N');
            if (e == BOOT_EV_EXCUSE)
                news.id = r.failed;
            enum rc rc = boot_next(&r, e, &news, &started);
            text_of(rc, letter(&started), &r, got, sizeof got);
            if (rc != RC_OK)
                assert_memory_equal(&r, &before, sizeof r);
            if (strcmp(got, outcomes[k][e]) != 0) {
                print_error("%s, event %u: got \"%s\", want \"%s\"\n", kinds[k].why, e, got,
                            outcomes[k][e]);
                wrong++;
            }
        }
    assert_int_equal(wrong, 0);
}

/* No agent is on trial that is current, or unknown. */
static void nonsense_changes_nothing(void **state)
{
    struct boot_record r = record_of(1);
    const struct boot_record before = r;
    struct boot_id started = none;
    const struct boot_news current = { .id = agent('C') }, nobody = { 0 },
                           other = { .id = agent('X') };

    (void)state;
    assert_rc(boot_next(&r, BOOT_EV_SWITCH, &current, NULL), RC_TRANSITION);
    assert_rc(boot_next(&r, BOOT_EV_SWITCH, &nobody, NULL), RC_TRANSITION);
    assert_rc(boot_next(&r, BOOT_EV_UNSTARTED, &other, &started), RC_TRANSITION);
    assert_rc(boot_next(&r, BOOT_EV_STOP, &other, NULL), RC_TRANSITION);
    assert_rc(boot_next(&r, BOOT_EV_STOP, &nobody, NULL), RC_TRANSITION);
    assert_rc(boot_next(&r, BOOT_EV_EXCUSE, &current, NULL), RC_TRANSITION);
    assert_rc(boot_next(&r, BOOT_EVENTS, &nobody, NULL), RC_TRANSITION);
    assert_memory_equal(&r, &before, sizeof r);
}

/* ---- histories ----------------------------------------------------------------------------------
 */

/* Whatever happens: a candidate gets no more than its starts, what runs is a candidate, committed
 * or of the launch, the record can be written and read, and starts alone end at the launch. */
static void random_histories(void **state)
{
    unsigned seed = 7;

    (void)state;
    for (unsigned course = 0; course < 2000; course++) {
        struct boot_record r = { 0 };
        bool committed[256] = { [0] = true };
        unsigned starts = 0;

        for (unsigned i = 0; i < 60; i++) {
            enum boot_event e = (enum boot_event)(rand_r(&seed) % BOOT_EVENTS);
            struct boot_news news = { .id = agent((char)('a' + rand_r(&seed) % 5)),
                                      .format = 5,
                                      .code = RC_HEALTH_TIMEOUT };
            struct boot_id who = none;
            const struct boot_id candidate = r.candidate;
            uint8_t buf[BOOT_RECORD_MAX];
            struct boot_record back;
            struct bytes out = { 0 };
            struct err err;

            if (e == BOOT_EV_UNSTARTED || e == BOOT_EV_STOP)
                news.id = boot_id_none(&r.candidate) ? r.current : r.candidate;
            if (e == BOOT_EV_EXCUSE && rand_r(&seed) % 2)
                news.id = r.failed;
            enum rc rc = boot_next(&r, e, &news, &who);
            if (rc == RC_OK && e == BOOT_EV_SWITCH)
                starts = 0;
            if (rc == RC_OK && e == BOOT_EV_COMMIT)
                committed[candidate.b[0]] = true;
            if (rc == RC_OK && (e == BOOT_EV_START || e == BOOT_EV_UNSTARTED)) {
                bool trial = !boot_id_none(&who) && boot_id_same(&who, &r.candidate);

                starts += trial;
                assert_true(starts <= BOOT_TRIES);
                assert_true(trial || committed[who.b[0]]);
            }
            assert_rc(boot_encode(&r, buf, sizeof buf, &out, &err), RC_OK);
            assert_rc(boot_decode(out, &back, &err), RC_OK);
            assert_memory_equal(&back, &r, sizeof r);
        }
        struct boot_id who = agent('?');
        for (unsigned i = 0; i < BOOT_TRIES + 2 * BOOT_STARTS_MAX + 1; i++)
            assert_rc(boot_next(&r, BOOT_EV_START, &(struct boot_news){ 0 }, &who), RC_OK);
        assert_true(boot_id_none(&who));
    }
}

/* ---- the record on disk -------------------------------------------------------------------------
 */

static void flip(int dir, const char *name)
{
    uint8_t byte = 0;
    scoped(close_fd) int fd = openat(dir, name, O_RDWR | O_CLOEXEC);

    assert_int_equal(pread(fd, &byte, 1, 60), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, 60), 1);
}

static void damage_is_never_empty(void **state)
{
    struct scratch s = scratch_new();
    struct boot_record r = { 0 }, trial = record_of(5), untouched;
    struct err err = { 0 };

    (void)state;
    assert_rc(boot_load(s.fd, &r, &err), RC_OK); /* a satellite fresh from the ground */
    assert_true(boot_id_none(&r.current));
    assert_rc(boot_save(s.fd, &trial, &err), RC_OK);
    flip(s.fd, BOOT_FILE ".a");
    assert_rc(boot_load(s.fd, &r, &err), RC_OK);
    assert_memory_equal(&r, &trial, sizeof r);
    flip(s.fd, BOOT_FILE ".b");
    memset(&r, 0xa5, sizeof r);
    untouched = r;
    assert_rc(boot_load(s.fd, &r, &err), RC_STATE_DAMAGED);
    assert_memory_equal(&r, &untouched, sizeof r);
    assert_rc(boot_save(s.fd, &trial, &err), RC_OK); /* who knows better may write it anew */
    assert_rc(boot_load(s.fd, &r, &err), RC_OK);
    scratch_done(&s);
}

/* Every bit and every length: nothing is taken that would not be written so. */
static void strict(void **state)
{
    struct boot_record r = record_of(7), back;
    uint8_t buf[BOOT_RECORD_MAX], again[BOOT_RECORD_MAX];
    struct bytes out = { 0 }, second = { 0 };
    struct err err;

    (void)state;
    r.failed = agent('F');
    r.code = RC_AGENT_DIED;
    r.format = 5;
    r.ran = 3;
    assert_rc(boot_encode(&r, buf, sizeof buf, &out, &err), RC_OK);
    for (size_t n = 0; n < out.n; n++)
        assert_true(boot_decode((struct bytes){ .p = buf, .n = n }, &back, &err) != RC_OK);
    for (size_t bit = 0; bit < 8 * out.n; bit++) {
        buf[bit / 8] ^= (uint8_t)(1U << bit % 8);
        if (boot_decode(out, &back, &err) == RC_OK) {
            assert_rc(boot_encode(&back, again, sizeof again, &second, &err), RC_OK);
            assert_true(bytes_equal(out, second));
        }
        buf[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    r.candidate = r.current;
    assert_rc(boot_encode(&r, buf, sizeof buf, &out, &err), RC_VALUE);
}

/* ---- berth-boot ---------------------------------------------------------------------------------
 */

/* A state directory with an agent on trial, whose berthd ends with 1 at once. */
struct rig {
    struct scratch dir;
    struct boot_id id;
};

static void copy_program(int dir, const char *name, mode_t mode)
{
    const char *build = getenv("BERTH_BUILD");
    char path[512];
    uint8_t digest[DIGEST_SIZE];
    struct stat st;
    struct err err;

    (void)snprintf(path, sizeof path, "%s/tests/probe/agent_broken",
                   build ? build : "build/release");
    scoped(close_fd) int in = open(path, O_RDONLY | O_CLOEXEC);
    scoped(close_fd) int out = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    assert_int_equal(fstat(in, &st), 0);
    assert_rc(fs_copy_digest(in, out, (uint64_t)st.st_size, digest, &err), RC_OK);
    assert_int_equal(fchmod(out, mode), 0);
}

static int open_bin(const struct rig *r)
{
    char path[BOOT_PATH_CAP];
    int fd = -1;
    struct err err;

    boot_path(&r->id, path);
    assert_rc(fs_make_dirs(r->dir.fd, path, 0755, &err), RC_OK);
    assert_rc(fs_open(r->dir.fd, path, O_RDONLY | O_DIRECTORY, 0, &fd, &err), RC_OK);
    return fd;
}

static void put_mode(int bin, const char *mode)
{
    struct err err;

    assert_rc(fs_write_file(bin, "broken", bytes_of(mode), 0644, &err), RC_OK);
}

static struct rig rig_new(void)
{
    struct rig r = { .id = agent('K') };
    struct boot_record record = { .candidate = r.id, .tries = BOOT_TRIES };
    struct err err;

    /* not in /dev/shm, which may be mounted noexec */
    (void)snprintf(r.dir.path, sizeof r.dir.path, "/tmp/berth-boot-XXXXXX");
    assert_non_null(mkdtemp(r.dir.path));
    r.dir.fd = open(r.dir.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    scoped(close_fd) int bin = open_bin(&r);
    copy_program(bin, "berthd", 0755);
    put_mode(bin, "exit");
    assert_rc(boot_save(r.dir.fd, &record, &err), RC_OK);
    return r;
}

#define STARTED 1 /* what the program ends with */
#define NOTHING 42

static int run_boot(void *arg)
{
    struct rig *r = arg;
    char name[] = "berth-boot", option[] = "--state", limit[] = "--agent-trial-seconds", s[] = "1";
    char *argv[] = { name, option, r->dir.path, limit, s, NULL };
    struct err err;

    (void)boot_start(5, argv, &err);
    return NOTHING;
}

static int run_plainly(struct rig *r)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0)
        _exit(run_boot(r));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static struct boot_record load(const struct rig *r)
{
    struct boot_record record;
    struct err err;

    assert_rc(boot_load(r->dir.fd, &record, &err), RC_OK);
    return record;
}

static bool no_trial(const struct rig *r)
{
    const struct boot_record record = load(r);

    return boot_id_none(&record.candidate);
}

/* Three starts, then it is over: there is no berthd beside this test. */
static void starts_are_counted_before(void **state)
{
    struct rig r = rig_new();

    (void)state;
    for (uint32_t i = 1; i <= BOOT_TRIES; i++) {
        assert_int_equal(run_plainly(&r), STARTED);
        assert_int_equal(load(&r).tries, BOOT_TRIES - i);
    }
    assert_int_equal(run_plainly(&r), NOTHING);
    assert_true(no_trial(&r));
    assert_int_equal(load(&r).code, RC_AGENT_DIED);
    assert_true(load(&r).failed.b[0] == r.id.b[0]);
    scratch_done(&r.dir);
}

/* Killed at any call, the record is whole, and the next start starts something: never more often
 * than the record allows. */
static void killed_anywhere(void **state)
{
    size_t n = 1;
    bool killed = true;

    (void)state;
    for (; killed; n++) {
        struct rig r = rig_new();
        int code = 0;

        killed = kill_at(n, run_boot, &r, NULL, &code);
        assert_true(load(&r).tries >= BOOT_TRIES - 1);
        assert_true(killed || code == STARTED);
        assert_int_equal(run_plainly(&r), STARTED);
        assert_true(load(&r).tries >= BOOT_TRIES - 2);
        scratch_done(&r.dir);
    }
    assert_true(n > 10); /* both copies, each written, synced, renamed, synced */
}

static void in_hands_of_another(const struct rig *r, int bin)
{
    (void)r;
    assert_int_equal(fchownat(bin, "berthd", 12345, 12345, 0), 0);
}

static void others_may_write(const struct rig *r, int bin)
{
    (void)r;
    assert_int_equal(fchmodat(bin, "berthd", 0775, 0), 0);
}

static void not_executable(const struct rig *r, int bin)
{
    (void)r;
    assert_int_equal(fchmodat(bin, "berthd", 0644, 0), 0);
}

static void is_empty(const struct rig *r, int bin)
{
    struct err err;

    (void)r;
    assert_rc(fs_write_file(bin, "berthd", (struct bytes){ 0 }, 0755, &err), RC_OK);
}

static void is_no_program(const struct rig *r, int bin)
{
    struct err err;

    (void)r;
    assert_rc(fs_write_file(bin, "berthd", bytes_of("\177ELF"), 0755, &err), RC_OK);
}

static void is_missing(const struct rig *r, int bin)
{
    (void)r;
    assert_int_equal(unlinkat(bin, "berthd", 0), 0);
}

static void is_a_link(const struct rig *r, int bin)
{
    (void)r;
    assert_int_equal(renameat(bin, "berthd", bin, "other"), 0);
    assert_int_equal(symlinkat("other", bin, "berthd"), 0);
}

static void has_another_name(const struct rig *r, int bin)
{
    assert_int_equal(linkat(bin, "berthd", r->dir.fd, "elsewhere", 0), 0);
}

static void what_cannot_be_started_fails_at_once(void **state)
{
    static void (*const spoils[])(const struct rig *r, int bin) = {
        in_hands_of_another, others_may_write, not_executable, is_empty,
        is_no_program,       is_missing,       is_a_link,      has_another_name,
    };

    (void)state;
    for (size_t i = 0; i < sizeof spoils / sizeof spoils[0]; i++) {
        struct rig r = rig_new();
        scoped(close_fd) int bin = open_bin(&r);

        spoils[i](&r, bin);
        assert_int_equal(run_plainly(&r), NOTHING);
        assert_int_equal(load(&r).code, RC_AGENT_START);
        assert_true(no_trial(&r));
        scratch_done(&r.dir);
    }
}

/* A record that cannot be read is left to be looked at, and its candidate is not started. */
static void damaged_record_starts_the_launch(void **state)
{
    struct rig r = rig_new();
    struct boot_record record;
    struct err err;

    (void)state;
    flip(r.dir.fd, BOOT_FILE ".a");
    flip(r.dir.fd, BOOT_FILE ".b");
    assert_int_equal(run_plainly(&r), NOTHING); /* no berthd lies beside this test */
    assert_rc(boot_load(r.dir.fd, &record, &err), RC_STATE_DAMAGED);
    scratch_done(&r.dir);
}

static int run_short(void *arg)
{
    struct rig *r = arg;
    char name[] = "berth-boot", option[] = "--state", limit[] = "--agent-trial-seconds", s[] = "1";
    char *argv[] = { name, option, r->dir.path, limit, s, NULL };
    struct err err;

    fault_arm();
    return (int)boot_start(5, argv, &err);
}

/* A record that cannot be read for want of memory is not damaged: read again, its candidate is
 * started.  When it never can be, nobody is, and nothing is written. */
static void want_of_memory_is_no_damage(void **state)
{
    const struct fault lasting = {
        .kind = FAULT_FAIL, .sys = ENOMEM, .calls = CALLS_READ, .lasting = true, .n = 1
    };
    size_t met = 0;

    (void)state;
    for (bool record = true; record;) {
        struct rig r = rig_new();
        const struct fault once = { .kind = FAULT_FAIL,
                                    .sys = ENOMEM,
                                    .calls = CALLS_READ,
                                    .under = r.dir.path,
                                    .n = met + 1 };
        struct fault_seen seen = fault_run(run_short, &r, &once, NULL);

        record = seen.fired > 0 && strstr(seen.at.path, "/" BOOT_FILE ".") != NULL;
        met += record;
        if (record)
            assert_int_equal(seen.exit_code, STARTED);
        assert_int_equal(load(&r).tries, BOOT_TRIES - 1);
        scratch_done(&r.dir);
    }
    assert_true(met >= 2);

    struct rig r = rig_new();
    const struct boot_record before = load(&r);
    struct fault never = lasting;

    never.under = r.dir.path;
    assert_int_equal(fault_run(run_short, &r, &never, NULL).exit_code, RC_IO);
    const struct boot_record after = load(&r);
    assert_memory_equal(&before, &after, sizeof after);
    scratch_done(&r.dir);
}

/* A lock that is a directory or a socket, or leads elsewhere, keeps no agent from starting. */
static void lock_that_is_no_file_makes_way(void **state)
{
    enum { AS_DIR, AS_LINK, AS_SOCKET, WAYS };
    struct stat st;

    (void)state;
    for (int way = 0; way < WAYS; way++) {
        struct rig r = rig_new();
        int code;

        (void)unlinkat(r.dir.fd, "lock", 0);
        if (way == AS_LINK)
            assert_int_equal(symlinkat("/etc/passwd", r.dir.fd, "lock"), 0);
        else if (way == AS_SOCKET)
            assert_int_equal(mknodat(r.dir.fd, "lock", S_IFSOCK | 0600, 0), 0);
        else
            assert_int_equal(mkdirat(r.dir.fd, "lock", 0700), 0);
        code = run_plainly(&r);
        assert_int_equal(code, STARTED);
        assert_int_equal(fstatat(r.dir.fd, "lock", &st, AT_SYMLINK_NOFOLLOW), 0);
        assert_true(S_ISREG(st.st_mode));
        scratch_done(&r.dir);
    }
}

/* A lack of descriptors passes, and somebody may hold the lock meanwhile: it stays where it is. */
static void passing_fault_moves_no_lock(void **state)
{
    struct rig r = rig_new();
    struct rlimit had, none_left;
    struct stat before, after;
    int held = -1, lock = -1;
    struct err err;

    (void)state;
    assert_rc(fs_lock(r.dir.fd, "lock", &held, &err), RC_OK);
    assert_int_equal(fstatat(r.dir.fd, "lock", &before, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &had), 0);
    none_left = (struct rlimit){ .rlim_cur = 0, .rlim_max = had.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none_left), 0);
    enum rc rc = boot_lock(r.dir.fd, &lock, &err);

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &had), 0);
    assert_int_equal(rc, RC_IO);
    assert_int_equal(err.sys, EMFILE);
    assert_int_equal(fstatat(r.dir.fd, "lock", &after, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(after.st_ino, before.st_ino);
    assert_int_equal(faccessat(r.dir.fd, "lock.bad", F_OK, 0), -1);
    (void)close(held);
    scratch_done(&r.dir);
}

/* Codes that only a later agent knows are none of this program's business. */
static void codes_of_later_agents_are_kept(void **state)
{
    struct boot_record r = record_of(7), back;
    uint8_t buf[BOOT_RECORD_MAX];
    struct bytes out;
    struct err err;

    (void)state;
    r.failed = agent('F');
    r.code = 4000000000U;
    assert_rc(boot_encode(&r, buf, sizeof buf, &out, &err), RC_OK);
    assert_rc(boot_decode(out, &back, &err), RC_OK);
    assert_int_equal(back.code, r.code);
}

/* ---- when to wait, and whom to watch ------------------------------------------------------------
 */

static void bad_starts_make_the_next_one_wait(void **state)
{
    static const struct {
        size_t kind; /* of the record */
        uint32_t tries, starts, pause;
    } rows[] = {
        { 0, 0, 0, 0 },
        { 1, 0, 0, 0 },
        { 1, 0, 1, 10 },
        { 1, 0, 2, 30 },
        { 1, 0, 3, 60 },
        { 1, 0, 10, 60 },
        { 5, 3, 7, 0 },
        { 5, 2, 7, 10 },
        { 5, 1, 0, 30 },
        { 5, 0, 0, 60 },
        { 7, 0, 0, 0 } /* given up: the current one is next */,
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct boot_record r = record_of(rows[i].kind);

        r.tries = rows[i].tries;
        r.starts = rows[i].starts;
        if (boot_pause(&r) != rows[i].pause)
            fail_msg("row %zu: waits %u s", i, boot_pause(&r));
    }
}

static void unproven(void **state)
{
    const struct boot_id c = agent('C'), p = agent('P'), k = agent('K');
    struct boot_record r = record_of(5);

    (void)state;
    assert_true(guard_unproven(&r, &k));
    assert_false(guard_unproven(&r, &c)); /* well, and not even the one that was started */
    r.starts = 1;
    assert_true(guard_unproven(&r, &c));
    assert_false(guard_unproven(&r, &p));
    assert_rc(boot_next(&r, BOOT_EV_COMMIT, &(struct boot_news){ 0 }, NULL), RC_OK);
    assert_false(guard_unproven(&r, &k));
}

/* A process that would hang for ever, guarded for a second.  Returns when the guard has ended: it
 * alone holds the pipe then. */
static pid_t hang_guarded(struct rig *r, bool trial, uint32_t starts)
{
    char byte = 0;
    int ends[2];
    struct err err;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        const struct guard guard = {
            .state = r->dir.fd, .who = r->id, .trial = trial, .starts = starts, .after_s = 1
        };
        bool guarded = guard_start(&guard, &err) == RC_OK;

        (void)close(ends[0]);
        (void)close(ends[1]);
        while (guarded)
            (void)pause();
        _exit(1);
    }
    (void)close(ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 0);
    (void)close(ends[0]);
    return pid;
}

/* Nobody but the guard is there to end it. */
static void whoever_is_not_proven_is_ended(void **state)
{
    const struct boot_id id = agent('K');
    const struct {
        struct boot_record record;
        bool trial, killed;
        const char *spoilt; /* a file in the place of this directory */
        uint32_t starts;    /* when it was started */
    } rows[] = {
        { { .candidate = id, .tries = 2 }, true, true },
        { { .current = id, .starts = 4 }, false, true, NULL, 4 },
        { { .current = id, .starts = 3 }, false, false, NULL, 4 }, /* this one does not count */
        { { .candidate = id, .tries = 2, .starts = 3 }, true, true, NULL, 4 },

        { { .current = id }, true, false }, /* it has committed itself */
        { { .current = id, .starts = 1 }, false, true },
        { { .current = id }, false, false },
        { { .current = id, .candidate = agent('N'), .tries = 3 }, false, false },
        { { .current = id, .starts = 1 }, false, false, "link" }, /* nobody could be well */
        { { .candidate = id, .tries = 2 }, true, true, "link" },
        { { .current = id, .starts = 1 }, false, true, "data" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rig r = rig_new();
        int status = 0;
        struct err err;

        assert_rc(boot_save(r.dir.fd, &rows[i].record, &err), RC_OK);
        if (rows[i].spoilt)
            put_file(r.dir.fd, rows[i].spoilt, "", 0600);
        pid_t pid = hang_guarded(&r, rows[i].trial, rows[i].starts);
        if (!rows[i].killed)
            assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
        if (!rows[i].killed)
            assert_int_equal(kill(pid, SIGTERM), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), rows[i].killed ? SIGKILL : SIGTERM);
        scratch_done(&r.dir);
    }
}

/* ---- a disk that cannot be written to -----------------------------------------------------------
 */

/* For who comes by the path; the test's own descriptor goes on writing. */
static void make_read_only(const struct rig *r)
{
    assert_int_equal(mount(r->dir.path, r->dir.path, NULL, MS_BIND, NULL), 0);
    assert_int_equal(mount(NULL, r->dir.path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), 0);
}

static void make_writable(const struct rig *r)
{
    assert_int_equal(umount2(r->dir.path, MNT_DETACH), 0);
}

/* An agent that dies gives way, although nobody can write that down; and when somebody can, it is
 * as if nothing had happened. */
static void unwritable_record_counts_in_memory(void **state)
{
    struct rig r = rig_new();
    struct boot_record record = { .current = r.id, .starts = BOOT_STARTS_MAX - 2 }, disk, tally;
    int lock = -1;
    struct err err;

    (void)state;
    assert_rc(fs_lock(r.dir.fd, "lock", &lock, &err),
              RC_OK); /* it is there, as on every satellite */
    (void)close(lock);
    assert_rc(boot_save(r.dir.fd, &record, &err), RC_OK);
    make_read_only(&r);
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(run_plainly(&r), STARTED);
    assert_int_equal(run_plainly(&r), NOTHING); /* the launch, which is not there */
    assert_int_equal(run_plainly(&r), NOTHING);
    disk = load(&r);
    assert_memory_equal(&disk, &record, sizeof disk);
    tally = tally_load(r.dir.fd, &disk);
    assert_true(boot_id_none(&tally.current));
    assert_int_equal(tally.code, RC_CRASH_LOOP);

    record.starts--; /* somebody has written it: what was counted on top of another is void */
    tally = tally_load(r.dir.fd, &record);
    assert_memory_equal(&tally, &record, sizeof tally);

    make_writable(&r);
    assert_int_equal(run_plainly(&r), STARTED);
    assert_int_equal(load(&r).starts, BOOT_STARTS_MAX - 1);
    tally = tally_load(r.dir.fd, &disk);
    assert_memory_equal(&tally, &disk, sizeof tally);
    scratch_done(&r.dir);
}

/* For each state directory on its own, by descriptors that outlive the way to them. */
static void starts_anew_are_counted(void **state)
{
    struct rig r = rig_new(), other = rig_new();
    struct err err = { 0 };
    uint32_t n = 9;
    int fd = -1;

    (void)state;
    tally_anew_forget(r.dir.fd); /* of another directory, which was in the same place */
    tally_anew_forget(other.dir.fd);
    for (uint32_t want = 0; want <= 200; want += 100) {
        assert_rc(tally_anew_open(r.dir.fd, &fd, &n, &err), RC_OK);
        assert_int_equal(n, want);
        assert_rc(tally_anew_save(fd, want + 100, &err), RC_OK);
        (void)close(fd);
    }
    /* 300 does not fit */
    assert_rc(tally_anew_open(r.dir.fd, &fd, &n, &err), RC_OK);
    (void)close(fd);
    assert_int_equal(n, TALLY_ANEW_MAX);
    assert_rc(tally_anew_open(other.dir.fd, &fd, &n, &err), RC_OK);
    (void)close(fd);
    assert_int_equal(n, 0);
    tally_anew_forget(r.dir.fd);
    tally_anew_forget(other.dir.fd);
    assert_rc(tally_anew_open(r.dir.fd, &fd, &n, &err), RC_OK);
    (void)close(fd);
    assert_int_equal(n, 0);
    tally_anew_forget(r.dir.fd);
    scratch_done(&r.dir);
    scratch_done(&other.dir);
}

/* A candidate that could not be committed is not started, and loses nothing by that. */
static void unwritable_record_starts_no_trial(void **state)
{
    struct rig r = rig_new();
    const struct boot_record before = load(&r);
    struct boot_record disk;
    int lock = -1;
    struct err err;

    (void)state;
    assert_rc(fs_lock(r.dir.fd, "lock", &lock, &err), RC_OK);
    (void)close(lock);
    make_read_only(&r);
    assert_int_equal(run_plainly(&r), NOTHING);
    disk = load(&r);
    assert_memory_equal(&disk, &before, sizeof disk);
    make_writable(&r);
    assert_int_equal(run_plainly(&r), STARTED);
    assert_int_equal(load(&r).tries, BOOT_TRIES - 1);
    scratch_done(&r.dir);
}

/* The lock is the same one, whether it can be written to or not. */
static void read_only_lock(void **state)
{
    struct rig r = rig_new();
    int lock = -1, other = -1;
    struct err err;

    (void)state;
    assert_rc(fs_lock(r.dir.fd, "lock", &lock, &err), RC_OK);
    (void)close(lock);
    make_read_only(&r);
    scoped(close_fd) int state_dir = open(r.dir.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_rc(boot_lock(state_dir, &lock, &err), RC_OK);
    assert_rc(fs_lock(r.dir.fd, "lock", &other, &err), RC_BUSY);
    (void)close(lock);
    assert_rc(fs_lock(r.dir.fd, "lock", &other, &err), RC_OK);
    (void)close(other);
    make_writable(&r);
    scratch_done(&r.dir);
}

/* ---- what is left of an agent -------------------------------------------------------------------
 */

/* A process that has this file or directory open and locked, and never ends by itself. */
static pid_t start_with(struct rig *r, const char *program, int lock)
{
    scoped(close_fd) int bin = open_bin(r);

    copy_program(bin, program, 0755);
    put_mode(bin, "hang");
    pid_t pid = fork();
    if (pid == 0) {
        (void)fcntl(lock, F_SETFD, 0);
        if (fchdir(bin) == 0)
            (void)execl(program, program, (char *)NULL);
        _exit(127);
    }
    (void)close(lock);
    return pid;
}

static pid_t start_holder(struct rig *r, const char *program)
{
    int lock = -1;
    struct err err;

    assert_rc(fs_lock(r->dir.fd, "lock", &lock, &err), RC_OK);
    return start_with(r, program, lock);
}

static void wait_for_program(pid_t pid, const char *program)
{
    char path[64], text[512];
    const struct timespec pause = { .tv_nsec = 1000000 };

    (void)snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    for (;;) {
        ssize_t n = readlink(path, text, sizeof text - 1);

        assert_true(n > 0);
        text[n] = '\0';
        if (strcmp(strrchr(text, '/') + 1, program) == 0)
            return;
        (void)nanosleep(&pause, NULL);
    }
}

static void orphans_are_killed(void **state)
{
    struct rig r = rig_new();
    pid_t pid = start_holder(&r, "berth-link");
    scoped(close_fd) int lock = -1;
    uint32_t n = 0;
    int status = 0;
    struct err err;

    (void)state;
    wait_for_program(pid, "berth-link");
    assert_rc(fs_lock(r.dir.fd, "lock", &lock, &err), RC_BUSY);
    assert_rc(boot_evict(r.dir.fd, &n, &err), RC_OK);
    assert_int_equal(n, 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_rc(fs_lock(r.dir.fd, "lock", &lock, &err), RC_OK);
    scratch_done(&r.dir);
}

/* Where the lock cannot be made, or is a directory that cannot be moved away, that is locked; and
 * others may have it open. */
static void orphans_with_a_directory_are_killed(void **state)
{
    static const char *const names[] = { ".", "lock" };

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct rig r = rig_new();
        uint32_t n = 0;
        int status = 0;
        struct err err;

        if (i > 0)
            assert_int_equal(mkdirat(r.dir.fd, "lock", 0700), 0);
        int locked = openat(r.dir.fd, names[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(flock(locked, LOCK_EX | LOCK_NB), 0);
        pid_t holder = start_with(&r, "berth-link", locked);
        wait_for_program(holder, "berth-link");
        pid_t reader = start_with(&r, "reader",
                                  openat(r.dir.fd, names[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        wait_for_program(reader, "reader");
        assert_rc(boot_evict(r.dir.fd, &n, &err), RC_OK);
        assert_int_equal(n, 1);
        assert_int_equal(waitpid(holder, &status, 0), holder);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_int_equal(waitpid(reader, &status, WNOHANG), 0);
        assert_int_equal(kill(reader, SIGKILL), 0);
        assert_int_equal(waitpid(reader, &status, 0), reader);
        scratch_done(&r.dir);
    }
}

static void a_living_agent_is_left_alone(void **state)
{
    struct rig r = rig_new();
    pid_t pid = start_holder(&r, "berthd");
    uint32_t n = 0;
    int status = 0;
    struct err err;

    (void)state;
    wait_for_program(pid, "berthd");
    assert_rc(boot_evict(r.dir.fd, &n, &err), RC_BUSY);
    assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    scratch_done(&r.dir);
}

/* berthd itself lets go of the lock; those that it started hold it. */
static void a_living_agents_companion_is_left_alone(void **state)
{
    struct rig r = rig_new();
    scoped(close_fd) int bin = open_bin(&r);
    int ends[2], lock = -1, status = 0;
    pid_t companion = -1;
    uint32_t n = 0;
    struct err err;

    (void)state;
    copy_program(bin, "berth-link", 0755);
    put_mode(bin, "hang");
    assert_int_equal(pipe(ends), 0);
    assert_rc(fs_lock(r.dir.fd, "lock", &lock, &err), RC_OK);
    pid_t pid = fork();
    if (pid == 0) {
        companion = fork();
        if (companion == 0)
            (void)fcntl(lock, F_SETFD, 0);
        else
            (void)!write(ends[1], &companion, sizeof companion);
        if (fchdir(bin) == 0)
            (void)execl(companion == 0 ? "berth-link" : "berthd", "agent", (char *)NULL);
        _exit(127);
    }
    (void)close(lock);
    assert_int_equal(read(ends[0], &companion, sizeof companion), sizeof companion);
    wait_for_program(pid, "berthd");
    wait_for_program(companion, "berth-link");
    assert_rc(boot_evict(r.dir.fd, &n, &err), RC_BUSY);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_rc(boot_evict(r.dir.fd, &n, &err), RC_OK); /* now it is nobody's */
    assert_int_equal(n, 1);
    (void)close(ends[0]);
    (void)close(ends[1]);
    scratch_done(&r.dir);
}

/* ---- terms --------------------------------------------------------------------------------------
 */

static void terms(void **state)
{
    static const struct {
        const char *option, *value;
        bool good;
    } rows[] = {
        { "--agent-commit", "either", true },     { "--agent-commit", "bundle", true },
        { "--agent-commit", "", false },          { "--agent-commit", "never", false },
        { "--agent-trial-seconds", "1", true },   { "--agent-trial-seconds", "2592000", true },
        { "--agent-trial-seconds", "0", false },  { "--agent-trial-seconds", "2592001", false },
        { "--agent-trial-seconds", "", false },   { "--agent-trial-seconds", "5s", false },
        { "--agent-trial-seconds", "-1", false }, { "--agent", "1", false },
    };
    struct boot_terms t = { .policy = BOOT_EITHER, .trial_s = 600 };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct boot_terms any = { .trial_s = 600 };

        assert_int_equal(boot_terms_read(&any, rows[i].option, rows[i].value), rows[i].good);
    }
    assert_int_equal(boot_terms_limit(&t), 1200);
    assert_int_equal(boot_terms_guard(&t, true), 1260);
    assert_int_equal(boot_terms_guard(&t, false), 1260);
    assert_int_equal(boot_terms_soak_ms(&t), 30000);
    assert_int_equal(boot_terms_well(&t), 600);
    t.policy = BOOT_BUNDLE;
    assert_int_equal(boot_terms_limit(&t), 600);
    t.trial_s = 3;
    assert_int_equal(boot_terms_guard(&t, true), 8);
    assert_int_equal(boot_terms_guard(&t, false), 66);
    assert_int_equal(boot_terms_soak_ms(&t), 150);
    assert_int_equal(boot_terms_well(&t), 3);
    t.trial_s = 2592000;
    assert_int_equal(boot_terms_soak_ms(&t), 600000);
    assert_int_equal(boot_terms_well(&t), 600);
    assert_int_equal(boot_terms_guard(&t, false), 1260);
}

static void names(void **state)
{
    char name[BOOT_NAME_CAP];
    struct boot_id id = agent('K'), back = { 0 };

    (void)state;
    boot_name(&id, name);
    assert_true(boot_name_read(name, &back) && boot_id_same(&id, &back));
    boot_name(&none, name);
    assert_string_equal(name, "launch");
    assert_true(boot_name_read(name, &back) && boot_id_none(&back));
    assert_false(boot_name_read("", &back));
    assert_false(boot_name_read("../launch", &back));
    assert_false(boot_name_read("00", &back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair),
        cmocka_unit_test(nonsense_changes_nothing),
        cmocka_unit_test(random_histories),
        cmocka_unit_test(damage_is_never_empty),
        cmocka_unit_test(strict),
        cmocka_unit_test(starts_are_counted_before),
        cmocka_unit_test(killed_anywhere),
        cmocka_unit_test(what_cannot_be_started_fails_at_once),
        cmocka_unit_test(damaged_record_starts_the_launch),
        cmocka_unit_test(want_of_memory_is_no_damage),
        cmocka_unit_test(lock_that_is_no_file_makes_way),
        cmocka_unit_test(passing_fault_moves_no_lock),
        cmocka_unit_test(codes_of_later_agents_are_kept),
        cmocka_unit_test(bad_starts_make_the_next_one_wait),
        cmocka_unit_test(unproven),
        cmocka_unit_test(whoever_is_not_proven_is_ended),
        cmocka_unit_test(unwritable_record_counts_in_memory),
        cmocka_unit_test(starts_anew_are_counted),
        cmocka_unit_test(unwritable_record_starts_no_trial),
        cmocka_unit_test(read_only_lock),
        cmocka_unit_test(orphans_are_killed),
        cmocka_unit_test(orphans_with_a_directory_are_killed),
        cmocka_unit_test(a_living_agent_is_left_alone),
        cmocka_unit_test(a_living_agents_companion_is_left_alone),
        cmocka_unit_test(terms),
        cmocka_unit_test(names),
    };

    /* what is mounted here is nobody else's business */
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        perror("test_boot: needs root, to mount a directory read-only");
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
