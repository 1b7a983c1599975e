/* SPDX-License-Identifier: Apache-2.0
 *
 * The ground's half of rekeys: which KEM key it believes, what it wraps for whom, what it keeps;
 * and berth trust rekey from the command line, opened as the satellite would.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "link/port.h"
#include "link/state.h"
#include "orchestrator/home.h"
#include "orchestrator/ingest.h"
#include "orchestrator/rekeys.h"

static const uint8_t seeds[2][KEM_SEED_SIZE] = { "the first pair grows from this.",
                                                 "and the second one out of this." };
static const struct mission mission = { "berth-test-fleet" };

static char dir[] = "/tmp/berth-rekeys-XXXXXX";
static char program[PATH_MAX];
static int dirfd = -1;
static char said[65536];
static struct rekeys rekeys;
static struct rekey doc;
static struct rekeys_plan plan;
static struct err err;

/* ---- a satellite of few words ---- */

static struct report_keys a_report(int kem, bool with_public)
{
    struct report_keys keys = { .has_kem = true, .has_kem_public = with_public };

    assert_rc(kem_public(seeds[kem], keys.kem_public, NULL), RC_OK);
    assert_rc(kem_id(keys.kem_public, keys.kem_id, NULL), RC_OK);
    if (!with_public)
        memset(keys.kem_public, 0, sizeof keys.kem_public);
    return keys;
}

static struct rekey_keys what_it_holds(int kem, const uint8_t *master)
{
    struct rekey_keys keys = { .n_kems = 1, .n_masters = master ? 1 : 0 };

    memcpy(keys.kem[0], seeds[kem], sizeof keys.kem[0]);
    if (master)
        memcpy(keys.master[0], master, sizeof keys.master[0]);
    return keys;
}

static void plan_of(enum rekey_what a, enum rekey_what b)
{
    const enum rekey_what what[] = { a, b };

    plan = (struct rekeys_plan){ 0 };
    for (size_t i = 0; i < (a == b ? 1 : 2); i++) {
        struct rekey_entry e = { .what = what[i], .epoch = 2 };

        if (what[i] == REKEY_LINK || what[i] == REKEY_TENANT_LINK)
            e.peer = GROUND_NODE;
        if (what[i] == REKEY_TENANT_LINK)
            memcpy(e.tenant, "acme", 5);
        if (what[i] == REKEY_NEW_KEM)
            e.epoch = 0;
        if (what[i] == REKEY_NEW_MASTER)
            e.epoch = rekeys_next_master(&rekeys, NULL);
        assert_rc(rekeys_plan_add(&plan, &e, NULL), RC_OK);
    }
}

static enum rc make(const struct report_keys *report, enum rekey_recipient prefer)
{
    doc = (struct rekey){ .satellite = "sat-1", .issued_ms = 1 };
    enum rc rc = rekeys_make(&rekeys, report, &plan, prefer, &mission, &doc, &err);
    if (rc == RC_OK)
        assert_rc(rekey_check(&doc, &err), RC_OK);
    return rc;
}

/* ---- which KEM key is believed ---- */

static void the_first_kem_key_is_pinned(void **state)
{
    struct report_keys keys = a_report(0, false);
    bool changed = true;

    (void)state;
    rekeys = (struct rekeys){ 0 };
    assert_rc(rekeys_observe(&rekeys, &keys, &changed, &err), RC_OK);
    assert_false(changed || rekeys.has_kem); /* an id alone is no key */
    keys = a_report(0, true);
    keys.kem_public[7] ^= 1;
    assert_rc(rekeys_observe(&rekeys, &keys, &changed, &err), RC_VALUE);
    assert_false(rekeys.has_kem);
    keys = a_report(0, true);
    assert_rc(rekeys_observe(&rekeys, &keys, &changed, &err), RC_OK);
    assert_true(changed && rekeys.has_kem);
    assert_rc(rekeys_observe(&rekeys, &keys, &changed, &err), RC_OK);
    assert_false(changed);
}

static void another_kem_key_must_have_been_asked_for(void **state)
{
    struct report_keys other = a_report(1, true);
    struct report_keys first = a_report(0, true);
    bool changed = false;

    (void)state;
    rekeys = (struct rekeys){ 0 };
    assert_rc(rekeys_observe(&rekeys, &first, &changed, &err), RC_OK);
    assert_rc(rekeys_observe(&rekeys, &other, &changed, &err), RC_KEM_CHANGED);
    assert_false(changed);
    assert_memory_equal(rekeys.kem_id, first.kem_id, KEY_ID_SIZE);

    plan_of(REKEY_NEW_KEM, REKEY_NEW_KEM);
    assert_rc(make(&first, REKEY_NOBODY), RC_OK);
    assert_int_equal(doc.recipient, REKEY_NOBODY);
    assert_int_equal(rekeys.kem_asked, 1);
    assert_rc(rekeys_observe(&rekeys, &other, &changed, &err), RC_KEM_CHANGED); /* not taken yet */
    other.rekey = 1;
    other.has_kem_public = false;
    assert_rc(rekeys_observe(&rekeys, &other, &changed, &err), RC_OK); /* its public half comes */
    assert_false(changed);
    other.has_kem_public = true;
    assert_rc(rekeys_observe(&rekeys, &other, &changed, &err), RC_OK);
    assert_true(changed);
    assert_memory_equal(rekeys.kem_id, other.kem_id, KEY_ID_SIZE);
    assert_rc(rekeys_observe(&rekeys, &first, &changed, &err), RC_KEM_CHANGED); /* once */
}

/* ---- wrapping ---- */

static void nothing_is_wrapped_for_an_unknown_key(void **state)
{
    (void)state;
    rekeys = (struct rekeys){ 0 };
    plan_of(REKEY_LINK, REKEY_LINK);
    assert_rc(make(NULL, REKEY_NOBODY), RC_REKEY_RECIPIENT);
    assert_rc(make(NULL, REKEY_MASTER), RC_REKEY_RECIPIENT);
    assert_int_equal(rekeys.number, 0);
    plan = (struct rekeys_plan){ 0 };
    assert_rc(make(NULL, REKEY_NOBODY), RC_VALUE);
}

/* First under the KEM key, with a master; then small ones under the master; then its successor. */
static void a_master_is_used_once_it_is_held(void **state)
{
    struct report_keys report = a_report(0, true);
    struct rekey_keys held = what_it_holds(0, NULL);
    struct rekey_opened opened = { 0 };
    bool changed = false;

    (void)state;
    rekeys = (struct rekeys){ 0 };
    assert_rc(rekeys_observe(&rekeys, &report, &changed, &err), RC_OK);
    plan_of(REKEY_LINK, REKEY_NEW_MASTER);
    assert_rc(make(&report, REKEY_NOBODY), RC_OK);
    assert_int_equal(doc.recipient, REKEY_KEM);
    assert_int_equal(doc.number, 1);
    assert_rc(rekey_open(&doc, &mission, &held, &opened, &err), RC_OK);
    assert_memory_equal(opened.secret[0], plan.secret[0], REKEY_SECRET_SIZE);
    assert_memory_equal(opened.secret[1], rekeys.master[0].secret, REKEY_SECRET_SIZE);

    plan_of(REKEY_TENANT_LINK, REKEY_LINK); /* not in order: the plan sorts */
    assert_int_equal(plan.entry[0].what, REKEY_LINK);
    assert_rc(make(&report, REKEY_NOBODY), RC_OK);
    assert_int_equal(doc.recipient, REKEY_KEM); /* nobody said yet that it holds the master */

    report.master_epoch = 1;
    report.rekey = 2;
    assert_rc(rekey_master_id(rekeys.master[0].secret, report.master_id, NULL), RC_OK);
    assert_rc(make(&report, REKEY_NOBODY), RC_OK);
    assert_int_equal(doc.recipient, REKEY_MASTER);
    held = what_it_holds(0, rekeys.master[0].secret);
    assert_rc(rekey_open(&doc, &mission, &held, &opened, &err), RC_OK);
    assert_memory_equal(opened.secret[1], plan.secret[1], REKEY_SECRET_SIZE);
    assert_rc(make(&report, REKEY_KEM), RC_OK);
    assert_int_equal(doc.recipient, REKEY_KEM);

    /* The successor, lost a few times: the one that is held is never given up. */
    for (uint32_t i = 0; i < 6; i++) {
        plan_of(REKEY_NEW_MASTER, REKEY_NEW_MASTER);
        assert_int_equal(plan.entry[0].epoch, 2 + i);
        assert_rc(make(&report, REKEY_NOBODY), RC_OK);
        assert_int_equal(doc.recipient, REKEY_MASTER);
        assert_int_equal(rekeys.master[0].epoch, 1);
    }
    assert_int_equal(rekeys.n_masters, REKEYS_MASTERS_MAX);
    report.master_epoch = 7;
    assert_rc(rekey_master_id(rekeys.master[3].secret, report.master_id, NULL), RC_OK);
    assert_rc(rekeys_observe(&rekeys, &report, &changed, &err), RC_OK);
    assert_true(changed);
    assert_int_equal(rekeys.n_masters, 1);
    assert_int_equal(rekeys.master[0].epoch, 7);

    /* A master that is not ours by its id: not used. */
    report.master_id[0] ^= 1;
    plan_of(REKEY_LINK, REKEY_LINK);
    assert_rc(make(&report, REKEY_NOBODY), RC_OK);
    assert_int_equal(doc.recipient, REKEY_KEM);
    report.rekey = 99; /* the satellite is ahead of what this machine remembers */
    assert_rc(make(&report, REKEY_NOBODY), RC_OK);
    assert_int_equal(doc.number, 100);
    rekey_opened_wipe(&opened);
}

static void what_was_saved_is_loaded(void **state)
{
    struct rekeys got = { 0 };
    struct report_keys report = a_report(1, true);
    struct stat st;
    bool changed = false;

    (void)state;
    assert_rc(rekeys_load(dirfd, &got, &err), RC_OK);
    assert_int_equal(got.number, 0);
    rekeys = (struct rekeys){ .number = INT64_MAX, .kem_asked = 5 };
    assert_rc(rekeys_observe(&rekeys, &report, &changed, &err), RC_OK);
    rekeys.n_masters = REKEYS_MASTERS_MAX;
    for (uint32_t i = 0; i < REKEYS_MASTERS_MAX; i++) {
        rekeys.master[i].epoch = UINT32_MAX - i;
        memset(rekeys.master[i].secret, (int)i, REKEY_SECRET_SIZE);
    }
    assert_rc(rekeys_save(dirfd, &rekeys, &err), RC_OK);
    assert_rc(rekeys_load(dirfd, &got, &err), RC_OK);
    assert_memory_equal(&got, &rekeys, sizeof got);
    assert_int_equal(fstatat(dirfd, "rekeys.a", &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    memset(&got, 0, sizeof got);
    assert_rc(fs_write_file(dirfd, "rekeys.a", bytes_of("x"), 0600, &err), RC_OK);
    assert_rc(rekeys_load(dirfd, &got, &err), RC_OK); /* nothing older, whichever copy is lost */
    assert_memory_equal(&got, &rekeys, sizeof got);
    assert_rc(fs_write_file(dirfd, "rekeys.b", bytes_of("x"), 0600, &err), RC_OK);
    assert_rc(rekeys_load(dirfd, &got, &err), RC_KEY_FILE); /* never as if nothing had been */
    assert_rc(fs_unlink(dirfd, "rekeys.a", &err), RC_OK);
    assert_rc(fs_unlink(dirfd, "rekeys.b", &err), RC_OK);
}

/* Of a power cut: secrets do not stay where nobody looks. */
static void drafts_are_swept(void **state)
{
    static const char *const drafts[] = { ".rekeys.a.00112233445566aa",
                                          ".offer-0000000000000002.00112233445566aa" };
    scoped(close_fd) int lock = -1;
    scoped(close_fd) int second = -1;

    (void)state;
    for (size_t i = 0; i < 2; i++)
        assert_rc(fs_write_file(dirfd, drafts[i], bytes_of("x"), 0600, &err), RC_OK);
    assert_rc(fs_write_file(dirfd, ".key.a.00112233445566aa", bytes_of("x"), 0600, &err), RC_OK);
    assert_rc(rekeys_lock(dirfd, &lock, &err), RC_OK);
    for (size_t i = 0; i < 2; i++)
        assert_int_not_equal(faccessat(dirfd, drafts[i], F_OK, 0), 0);
    assert_int_equal(faccessat(dirfd, ".key.a.00112233445566aa", F_OK, 0), 0); /* berth-ground's */
    assert_rc(rekeys_lock(dirfd, &second, &err), RC_BUSY);
    assert_rc(fs_unlink(dirfd, ".key.a.00112233445566aa", &err), RC_OK);
}

/* ---- the command ---- */

static void child(const char *line)
{
    char copy[1024], *rest = NULL, *argv[64] = { program };
    size_t n = 1;
    int out = openat(dirfd, "said", O_RDWR | O_CREAT | O_TRUNC, 0600);

    (void)snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok_r(copy, " ", &rest); word && n < 63; word = strtok_r(NULL, " ", &rest))
        argv[n++] = word;
    if (fchdir(dirfd) == 0 && dup2(out, 1) >= 0 && dup2(out, 2) >= 0)
        (void)execv(program, argv);
    _exit(98);
}

static pid_t begin(const char *line)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        child(line);
    return pid;
}

static void finish(pid_t pid, const char *line, int want)
{
    scoped(close_fd) int out = -1;
    int status = 0;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_rc(fs_open(dirfd, "said", O_RDONLY, 0, &out, &err), RC_OK);
    ssize_t n = read(out, said, sizeof said - 1);
    assert_true(n >= 0);
    said[n] = '\0';
    if (!WIFEXITED(status) || WEXITSTATUS(status) != want)
        fail_msg("berth %s: exit %d, want %d\n%s", line, WEXITSTATUS(status), want, said);
}

static void run(const char *line, int want)
{
    finish(begin(line), line, want);
}

static void expect(const char *text)
{
    if (!strstr(said, text))
        fail_msg("did not say '%s' but\n%s", text, said);
}

static void a_home(void)
{
    assert_rc(fs_write_file(dirfd, "pass", bytes_of("correct horse\n"), 0600, &err), RC_OK);
    assert_int_equal(setenv("BERTH_HOME", "home", 1), 0);
    assert_int_equal(setenv("BERTH_PASSPHRASE_FILE", "pass", 1), 0);
    run("key new root --role root --out .", 0);
    run("key new next --role root --out .", 0);
    run("key new op --role operator --out .", 0);
    run("fleet init aurora --root root.key --next-root next.pub --operator op.key", 0);
    run("provision sat-1 --node 7 --out state", 0);
}

/* The satellite speaks: what its report says goes the way that berth-ground takes it. */
static void hear(const struct report_keys *keys, uint64_t seq)
{
    static struct report report, got;
    static uint8_t buf[REPORT_MAX];
    scoped(home_close) struct home home = HOME_NONE;
    scoped(close_fd) int link = -1;
    struct store_satellite row;
    struct bytes bytes = { 0 };
    char path[PATH_MAX];
    bool changed = false;

    report = (struct report){ .satellite = "sat-1", .epoch = 1, .seq = seq, .root_version = 1 };
    report.keys = *keys;
    (void)snprintf(path, sizeof path, "%s/home", dir);
    assert_rc(report_encode(&report, buf, sizeof buf, &bytes, &err), RC_OK);
    assert_rc(home_open(path, false, &home, &err), RC_OK);
    assert_rc(ingest_report(home.store, "sat-1", bytes, clock_unix_ms(), &got, &err), RC_OK);
    assert_rc(store_satellite(home.store, "sat-1", &row, &err), RC_OK);
    assert_rc(fs_open(AT_FDCWD, row.link_keys, O_RDONLY | O_DIRECTORY, 0, &link, &err), RC_OK);
    assert_rc(rekeys_load(link, &rekeys, &err), RC_OK);
    assert_rc(rekeys_observe(&rekeys, &got.keys, &changed, &err), RC_OK);
    if (changed)
        assert_rc(rekeys_save(link, &rekeys, &err), RC_OK);
}

/* The newest rekey in the queue, verified and opened as on board. */
static void receive(const struct rekey_keys *held, uint64_t number, struct rekey_opened *ret)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(trust_free) struct trust *trust = NULL;
    scoped(verified_rekey_free) struct verified_rekey *verified = NULL;
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    const struct rekey_position position = { .satellite = "sat-1", .number = number - 1 };
    static uint8_t buf[8192];
    scoped(close_fd) int fd = -1;
    char path[PATH_MAX];
    uint64_t size = 0;
    size_t n = 0;

    (void)snprintf(path, sizeof path, "%s/home", dir);
    assert_rc(home_open(path, false, &home, &err), RC_OK);
    assert_rc(home_trust(&home, clock_unix_ms(), &trust, &err), RC_OK);
    assert_rc(store_outgoing(home.store, "sat-1", OUTGOING_QUEUED, &rows, &n, &err), RC_OK);
    assert_true(n > 0);
    assert_int_equal(rows[n - 1].kind, OBJECT_REKEY);
    assert_int_equal(rows[n - 1].class, CLASS_TRUST);
    assert_rc(home_open_object(&home, &rows[n - 1].object, &fd, &size, &err), RC_OK);
    assert_true(size <= sizeof buf);
    assert_rc(fs_pread_exact(fd, buf, size, 0, &err), RC_OK);
    assert_rc(trust_verify_rekey(trust, (struct bytes){ buf, size }, &position, clock_unix_ms(),
                                 &verified, &err),
              RC_OK);
    doc = *verified_rekey_get(verified);
    assert_int_equal(doc.number, number);
    assert_rc(rekey_open(&doc, &trust_root(trust)->mission, held, ret, &err), RC_OK);
}

/* What the ground will accept is there before the document is: the offers of link/state. */
static uint32_t ground_holds(void)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(close_fd) int link = -1;
    static struct rekeys_link links[REKEYS_LINKS_MAX];
    struct store_satellite row;
    char path[PATH_MAX];
    uint32_t n = 0, newest = 0;

    (void)snprintf(path, sizeof path, "%s/home", dir);
    assert_rc(home_open(path, false, &home, &err), RC_OK);
    assert_rc(store_satellite(home.store, "sat-1", &row, &err), RC_OK);
    assert_rc(fs_open(AT_FDCWD, row.link_keys, O_RDONLY | O_DIRECTORY, 0, &link, &err), RC_OK);
    assert_rc(rekeys_links(link, links, &n, &err), RC_OK);
    for (uint32_t i = 0; i < n; i++)
        newest = links[i].epoch > newest ? links[i].epoch : newest;
    return newest;
}

/* The newest rekey for sat-1, as a file. */
static void save_rekey(const char *to)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(free_ptr) uint8_t *envelope = NULL;
    char path[PATH_MAX];
    size_t n = 0;

    (void)snprintf(path, sizeof path, "%s/home", dir);
    assert_rc(home_open(path, false, &home, &err), RC_OK);
    assert_rc(store_document(home.store, DOC_REKEY, "sat-1", &envelope, &n, &err), RC_OK);
    assert_rc(fs_write_file(dirfd, to, (struct bytes){ envelope, n }, 0644, &err), RC_OK);
}

static void from_the_command_line(void **state)
{
    struct report_keys report = a_report(0, true);
    struct rekey_keys held = what_it_holds(0, NULL);
    struct rekey_opened opened = { 0 };

    (void)state;
    a_home();
    run("trust rekey sat-1", 5); /* its KEM key is not known: nothing to wrap for */
    expect("wait for a report");
    run("trust rekey sat-9", 4);
    expect("berth status lists");
    run("trust rekey sat-1 --tenant nobody", 5);
    expect("berth grant TENANT");
    run("trust rekey sat-1 --kem --request both --attach both", 2);
    expect("give one of them");
    hear(&report, 1);
    run("trust rekey sat-1 --link --master", 0);
    expect("wrapped for its KEM key");
    expect("link, epoch 2");
    assert_int_equal(ground_holds(), 2);
    receive(&held, 1, &opened);
    assert_int_equal(opened.n, 2);
    save_rekey("first.cose");
    run("verify first.cose --as sat-1", 0);
    expect("rekey");

    /* It took it, and says so; from now on rekeys are small. */
    report.rekey = 1;
    report.has_kem_public = false;
    report.master_epoch = 1;
    held = what_it_holds(0, opened.secret[1]);
    assert_rc(rekey_master_id(opened.secret[1], report.master_id, &err), RC_OK);
    report.link[report.n_links++] = (struct report_link){ .peer = GROUND_NODE, .epoch = 2 };
    hear(&report, 2);
    run("trust status sat-1", 0);
    expect("rekey 1 taken, 1 made; master epoch 1; KEM key pinned");
    run("trust rekey sat-1", 0);
    expect("wrapped for its master key");
    expect("link, epoch 3");
    receive(&held, 2, &opened);
    assert_int_equal(doc.recipient, REKEY_MASTER);

    /* With the operator's key offline. */
    run("trust rekey sat-1 --kem --request stick", 0);
    run("inspect stick/rekey-sat-1.request", 0);
    expect("REKEY, number 3: satellite sat-1");
    run("sign stick/rekey-sat-1.request --key op.key --yes", 0);
    run("trust rekey sat-1 --attach stick", 0);
    receive(&held, 3, &opened);
    assert_int_equal(doc.entry[0].what, REKEY_NEW_KEM);
    run("trust rekey sat-1 --under master", 0);
    save_rekey("fourth.cose");
    run("verify fourth.cose --as sat-1", 0);
    report.rekey = 3;
    hear(&report, 3);
    run("verify first.cose --as sat-1", 5); /* it has taken the first and reports a later one */
    expect("REKEY_OLD");
    run("trust rekey sat-1 --attach stick", 4); /* another one was made since */
    expect("makes another");
    run("trust rekey sat-1 --under magic", 2);
    rekey_opened_wipe(&opened);
}

/* berth-ground has the keys at every report for a moment: the command comes after it. */
static void the_ground_is_waited_for(void **state)
{
    static const char line[] = "trust rekey sat-1 --under master";
    scoped(home_close) struct home home = HOME_NONE;
    scoped(close_fd) int link = -1;
    scoped(close_fd) int lock = -1;
    scoped(close_fd) int watch = inotify_init1(IN_CLOEXEC);
    struct store_satellite row;
    char path[PATH_MAX];
    unsigned tries = 0;

    (void)state;
    (void)snprintf(path, sizeof path, "%s/home", dir);
    assert_rc(home_open(path, false, &home, &err), RC_OK);
    assert_rc(store_satellite(home.store, "sat-1", &row, &err), RC_OK);
    assert_rc(fs_open(AT_FDCWD, row.link_keys, O_RDONLY | O_DIRECTORY, 0, &link, &err), RC_OK);
    assert_rc(rekeys_lock(link, &lock, &err), RC_OK);
    (void)snprintf(path, sizeof path, "%s/rekeys.lock", row.link_keys);
    assert_true(inotify_add_watch(watch, path, IN_OPEN | IN_CLOSE) >= 0);

    pid_t pid = begin(line);

    while (tries < 2) { /* the second is behind one in vain */
        struct pollfd p = { .fd = watch, .events = POLLIN };
        struct inotify_event e;

        assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
        if (poll(&p, 1, 100) <= 0)
            continue;
        assert_int_equal(read(watch, &e, sizeof e), sizeof e);
        tries += (e.mask & IN_OPEN) != 0;
    }
    close_fd(&lock);
    finish(pid, line, 0);
    expect("link, epoch");
}

static int begins(void **state)
{
    const char *build = getenv("BERTH_BUILD");
    char path[PATH_MAX];

    (void)state;
    (void)snprintf(path, sizeof path, "%s/berth", build ? build : "build/release");
    if (!mkdtemp(dir) || !realpath(path, program))
        return -1;
    dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dirfd < 0;
}

static int ends(void **state)
{
    (void)state;
    close_fd(&dirfd);
    return fs_remove_tree(AT_FDCWD, dir, &err) != RC_OK;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_kem_key_is_pinned),
        cmocka_unit_test(another_kem_key_must_have_been_asked_for),
        cmocka_unit_test(nothing_is_wrapped_for_an_unknown_key),
        cmocka_unit_test(a_master_is_used_once_it_is_held),
        cmocka_unit_test(what_was_saved_is_loaded),
        cmocka_unit_test(drafts_are_swept),
        cmocka_unit_test(from_the_command_line),
        cmocka_unit_test(the_ground_is_waited_for),
    };

    return cmocka_run_group_tests(tests, begins, ends);
}
