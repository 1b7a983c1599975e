/* SPDX-License-Identifier: Apache-2.0
 *
 * From one agent to another, under every fault: what berthd writes when it makes way, and
 * berth-boot's start.
 */
#include "tests/unit/fault_table.h"

#include "agent/own.h"
#include "boot/start.h"

#define STARTED 1 /* what the program in the place of berthd ends with */

static struct boot_record load(struct fault_world *w)
{
    struct boot_record record = { 0 };
    struct err err;

    assert_rc(fs_sweep(w->dir.fd, ".", &err), RC_OK); /* as a start does */
    assert_rc(boot_load(w->dir.fd, &record, &err), RC_OK);
    return record;
}

/* ---- berthd makes way -------------------------------------------------------------------------
 */

static struct agent *agent;

static struct boot_id id_of(char name)
{
    return (struct boot_id){ { (uint8_t)name, 0xaa } };
}

static void nothing_before(struct fault_world *w)
{
    (void)w;
}

static enum rc agent_begin(struct fault_world *w, struct err *err)
{
    agent = calloc(1, sizeof *agent);
    assert_non_null(agent);
    agent->state_dir = w->dir.fd;
    agent->own.booted = true;
    agent->own.terms = (struct boot_terms){ .trial_s = 60 };
    enum rc rc = own_load(agent, err);
    if (rc != RC_OK) {
        free(agent);
        agent = NULL;
    }
    return rc;
}

static void agent_end(struct fault_world *w)
{
    (void)w;
    free(agent);
    agent = NULL;
}

/* It ends only if it has; else it says why, and is asked again. */
static enum rc make_way(struct fault_world *w, struct err *err)
{
    const struct boot_id to = id_of('K');
    struct action action = { .type = ACTION_SWITCH };
    struct report_event event = { 0 };

    (void)w;
    memcpy(action.manifest.b, to.b, sizeof to.b);
    own_switch(agent, &action);
    if (agent->stopping) {
        agent->stopping = false;
        return RC_OK;
    }
    assert_int_equal(events_copy(&agent->events, &event, 1), 1);
    return err_set(err, rc_from_number(event.code), "%s", event.what);
}

/* There is a candidate with all its starts, and the state to go back to; or there is nobody. */
static bool is_chosen(struct fault_world *w)
{
    static struct state kept;
    const struct boot_record record = load(w);
    const struct boot_id k = id_of('K');
    struct err err;

    assert_true(boot_id_none(&record.current));
    if (boot_id_none(&record.candidate))
        return false;
    assert_true(boot_id_same(&record.candidate, &k));
    assert_int_equal(record.tries, BOOT_TRIES);
    assert_int_equal(record.format, STATE_FORMAT);
    assert_rc(state_load_kept(w->dir.fd, &kept, &err), RC_OK);
    return true;
}

/* ---- berth-boot starts ------------------------------------------------------------------------
 */

static void put_program(int bin)
{
    scoped(close_fd) int in = -1;
    char path[4096] = "";
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 64);
    uint8_t digest[DIGEST_SIZE];
    struct stat st;
    struct err err;

    assert_true(n > 0);
    char *unit = strstr(path, "/unit/");
    assert_non_null(unit);
    (void)snprintf(unit, 32, "/probe/agent_broken");
    in = open(path, O_RDONLY | O_CLOEXEC);
    scoped(close_fd) int out = openat(bin, "berthd", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    assert_int_equal(fstat(in, &st), 0);
    assert_rc(fs_copy_digest(in, out, (uint64_t)st.st_size, digest, &err), RC_OK);
    assert_rc(fs_write_file(bin, "broken", bytes_of("exit"), 0644, &err), RC_OK);
}

/* Not in /dev/shm, which may be mounted noexec: a directory of /tmp lies over it. */
static void trial_before(struct fault_world *w)
{
    const struct boot_id k = id_of('K');
    const struct boot_record record = { .candidate = k, .tries = BOOT_TRIES };
    scoped(close_fd) int bin = -1;
    char path[BOOT_PATH_CAP];
    int lock = -1;
    struct err err;

    scratch_done(&w->dir);
    (void)snprintf(w->dir.path, sizeof w->dir.path, "/tmp/berth-boot-XXXXXX");
    assert_non_null(mkdtemp(w->dir.path));
    w->dir.fd = open(w->dir.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    boot_path(&k, path);
    assert_rc(fs_make_dirs(w->dir.fd, path, 0755, &err), RC_OK);
    assert_rc(fs_open(w->dir.fd, path, O_RDONLY | O_DIRECTORY, 0, &bin, &err), RC_OK);
    put_program(bin);
    assert_rc(fs_lock(w->dir.fd, "lock", &lock, &err), RC_OK); /* as on every satellite */
    (void)close(lock);
    put_file(w->dir.fd, "lock.bad", "", 0600); /* one that cannot be opened is moved there */
    assert_rc(boot_save(w->dir.fd, &record, &err), RC_OK);
}

static enum rc boot(struct fault_world *w, struct err *err)
{
    char name[] = "berth-boot", option[] = "--state", limit[] = "--agent-trial-seconds", s[] = "1";
    char *argv[] = { name, option, w->dir.path, limit, s, NULL };
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        struct err why = { 0 };

        _exit(100 + (int)boot_start(5, argv, &why));
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == STARTED)
        return RC_OK;
    if (!WIFEXITED(status))
        return err_set(err, RC_INTERNAL, "killed by %d", WTERMSIG(status));
    return err_set(err, rc_from_number((uint32_t)WEXITSTATUS(status) - 100U), "berth-boot");
}

/* Each start is counted before it is one; none is counted twice. */
static bool is_counted(struct fault_world *w)
{
    const struct boot_record record = load(w);
    const struct boot_id k = id_of('K');

    assert_true(boot_id_same(&record.candidate, &k));
    assert_true(record.tries > 0 && record.tries <= BOOT_TRIES);
    return record.tries < BOOT_TRIES;
}

/* clang-format off */
static const struct fault_row rows[] = {
    { .name = "agent makes way for another", .before = nothing_before, .open = agent_begin,
      .run = make_way, .close = agent_end, .is_new = is_chosen, .one_way = true, .calls_min = 12 },
    /* with a record that cannot be written no candidate is started, and no other is there */
    { .name = "berth-boot starts a candidate", .before = trial_before, .run = boot,
      .is_new = is_counted, .also = RC_NOT_FOUND, .one_way = true, .calls_min = 10 },
};
/* clang-format on */

static void test_every_fault(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        fault_row_run(&rows[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_every_fault) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
