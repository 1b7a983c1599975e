/* SPDX-License-Identifier: Apache-2.0
 *
 * Snapshots of data: the files, and a power cut before every durable step of a trial.  The course
 * is decided by the real agent/reconcile and recorded by the real agent/state; the payload is a
 * word in a file.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/reconcile.h"
#include "agent/snapshot.h"
#include "base/fs.h"

#define MIB (1024U * 1024U)
#define CUT_EXIT 77
#define IMG "acme/cam/data.img"
#define SNAP "acme/cam/data.snap"
#define HALF "acme/cam/data.snap.new"

/* ---- the power cut ------------------------------------------------------------------------------
 */

static uint32_t cut_at; /* 0 = never; before the cut_at-th durable call */
static uint32_t durable;

static void maybe_cut(void)
{
    if (cut_at > 0 && ++durable == cut_at)
        _exit(CUT_EXIT);
}

int fsync(int fd)
{
    maybe_cut();
    return (int)syscall(SYS_fsync, fd);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    maybe_cut();
    return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    maybe_cut();
    return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, 0);
}

int unlinkat(int fd, const char *path, int flags)
{
    maybe_cut();
    return (int)syscall(SYS_unlinkat, fd, path, flags);
}

int fallocate(int fd, int mode, off_t at, off_t n)
{
    maybe_cut();
    return (int)syscall(SYS_fallocate, fd, mode, at, n);
}

/* ---- a state directory --------------------------------------------------------------------------
 */

static char path[32];
static int dir = -1;

static int open_dir(void **state)
{
    struct err err = { 0 };

    (void)state;
    memcpy(path, "/tmp/berth-snap-XXXXXX", sizeof "/tmp/berth-snap-XXXXXX");
    assert_non_null(mkdtemp(path));
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_rc(fs_make_dirs(dir, "acme/cam", 0700, &err), RC_OK);
    return 0;
}

static int close_dir(void **state)
{
    struct err err = { 0 };

    (void)state;
    close_fd(&dir);
    return fs_remove_tree(AT_FDCWD, path, &err) != RC_OK;
}

static void write_word(const char *file, const char *word)
{
    scoped(close_fd) int fd = openat(dir, file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_int_equal(pwrite(fd, word, 4, 0), 4);
}

/* The word in a file, "none" if there is no file. */
static const char *word_in(const char *file)
{
    static char word[8];
    scoped(close_fd) int fd = openat(dir, file, O_RDONLY | O_CLOEXEC);

    memset(word, 0, sizeof word);
    if (fd < 0)
        return "none";
    (void)!pread(fd, word, 4, 0);
    return word;
}

/* ---- the files ----------------------------------------------------------------------------------
 */

/* Holes stay holes, the space is taken all the same, and every byte is the same. */
static void sparse_images_are_copied_whole(void **state)
{
    static const off_t at[] = { 0, 3 * MIB + 17, 12 * MIB - 4 };
    scoped(close_fd) int in = openat(dir, IMG, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    scoped(free_ptr) uint8_t *a = malloc(12U * MIB), *b = malloc(12U * MIB);
    struct err err = { 0 };
    struct stat st;

    (void)state;
    assert_int_equal(fallocate(in, 0, 0, 12 * MIB), 0);
    for (size_t i = 0; i < sizeof at / sizeof *at; i++)
        assert_int_equal(pwrite(in, "word", 4, at[i]), 4);
    assert_int_equal(snapshot_need(dir, "acme", "cam"), 12 * MIB);
    assert_false(snapshot_exists(dir, "acme", "cam"));
    assert_rc(snapshot_take(dir, "acme", "cam", &err), RC_OK);
    assert_true(snapshot_exists(dir, "acme", "cam"));
    assert_int_equal(snapshot_bytes(dir, "acme", "cam"), 12 * MIB);
    assert_int_equal(faccessat(dir, HALF, F_OK, 0), -1);

    scoped(close_fd) int out = openat(dir, SNAP, O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(in, a, 12U * MIB, 0), 12 * MIB);
    assert_int_equal(pread(out, b, 12U * MIB, 0), 12 * MIB);
    assert_memory_equal(a, b, 12U * MIB);
    assert_int_equal(fstat(out, &st), 0);
    assert_true((uint64_t)st.st_blocks * 512U >= 12U * MIB);

    write_word(IMG, "newX");
    assert_rc(snapshot_restore(dir, "acme", "cam", &err), RC_OK);
    assert_string_equal(word_in(IMG), "word");
    assert_false(snapshot_exists(dir, "acme", "cam"));
    assert_rc(snapshot_restore(dir, "acme", "cam", &err), RC_OK); /* it has */
    assert_string_equal(word_in(IMG), "word");
}

/* A version that made the first data of all leaves none behind. */
static void no_data_comes_back_as_none(void **state)
{
    struct err err = { 0 };

    (void)state;
    assert_rc(snapshot_take(dir, "acme", "cam", &err), RC_OK);
    assert_true(snapshot_exists(dir, "acme", "cam"));
    write_word(IMG, "newX");
    assert_rc(snapshot_restore(dir, "acme", "cam", &err), RC_OK);
    assert_int_equal(faccessat(dir, IMG, F_OK, 0), -1);
    assert_false(snapshot_exists(dir, "acme", "cam"));
    assert_rc(snapshot_restore(dir, "acme", "new", &err), RC_OK); /* nothing at all */
    assert_rc(snapshot_drop(dir, "acme", "new", false, &err), RC_OK);
    assert_rc(snapshot_take(dir, "acme", "new", &err), RC_OK);
}

/* Nothing is copied while somebody has the image mounted, and links are not followed. */
static void images_in_use_are_waited_for(void **state)
{
    struct err err = { 0 };
    int pipe_fd[2], status = -1;
    char byte = 0;

    (void)state;
    write_word(IMG, "old1");
    int held = openat(dir, IMG, O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(held, LOCK_EX), 0);
    assert_int_equal(pipe2(pipe_fd, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(held);
        (void)!write(pipe_fd[1], "x", 1);
        _exit(snapshot_take(dir, "acme", "cam", &err) == RC_OK ? 0 : 1);
    }
    assert_int_equal(read(pipe_fd[0], &byte, 1), 1);
    write_word(IMG, "old2");
    assert_false(snapshot_exists(dir, "acme", "cam"));
    close_fd(&held);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_string_equal(word_in(SNAP), "old2");
    close_fd(&pipe_fd[0]);
    close_fd(&pipe_fd[1]);

    assert_rc(fs_unlink(dir, IMG, &err), RC_OK);
    assert_int_equal(symlinkat("/etc/passwd", dir, IMG), 0);
    assert_int_not_equal(snapshot_take(dir, "acme", "cam", &err), RC_OK);
    assert_string_equal(word_in(SNAP), "old2"); /* the one from before */
}

/* ---- a trial, cut at every step -----------------------------------------------------------------
 */

enum course { DIES, COMMITS, SUPERSEDED, COURSES };

struct board {
    enum course course;
    struct table t;
    struct state s;
    uint64_t now;
};

static struct digest version(uint8_t n)
{
    struct digest d = { { n } };

    return d;
}

static enum rc admit(void *arg, const struct unit_record *unit, const struct digest *manifest,
                     struct admission *ret)
{
    (void)arg;
    (void)unit;
    *ret = (struct admission){ .health = { .type = HEALTH_NOTIFY, .ready_ms = 10, .soak_ms = 10 },
                               .snapshot = manifest->b[0] == 2 };
    return RC_OK;
}

static void save(struct board *b)
{
    struct err err = { 0 };

    b->t.changed = false;
    b->s.epoch = 1;
    b->s.n_units = b->t.n_units;
    for (uint32_t i = 0; i < b->t.n_units; i++)
        b->s.unit[i] = b->t.unit[i].kept;
    assert_rc(state_save(dir, &b->s, true, &err), RC_OK);
}

static void load(struct board *b)
{
    const struct unit_record *r = &b->s.unit[0];
    struct err err = { 0 };
    bool repair = false;

    memset(&b->t, 0, sizeof b->t);
    b->t.next_instance = 1;
    assert_rc(state_load(dir, &b->s, &repair, &err), RC_OK);
    b->t.n_units = b->s.n_units;
    b->t.unit[0].kept = *r;
    assert_rc(snapshot_drop(dir, r->tenant, r->name, !digest_is_none(&r->snapshot), &err), RC_OK);
}

static void order(struct board *b, uint8_t v)
{
    struct order o = { .generation = v, .n_lines = 1 };

    memcpy(o.line[0].tenant, "acme", 4);
    memcpy(o.line[0].name, "cam", 3);
    o.line[0].manifest = version(v);
    assert_int_equal(reconcile_order(&b->t, &o), 0);
}

/* The payload: version 1 must find its word, or that of a version 2 that committed; version 2 may
 * find its own, and makes it. */
static void run_version(struct board *b, const struct action *action)
{
    uint64_t instance = action->instance;

    if (action->manifest.b[0] == 1)
        assert_string_equal(word_in(IMG), "old1");
    else
        write_word(IMG, "new2");
    reconcile_launched(&b->t, instance, b->now);
    if (action->manifest.b[0] == 2 && b->course == DIES)
        reconcile_exited(&b->t, instance, RC_EXITED, b->now);
    else
        reconcile_ready(&b->t, instance, b->now);
}

static void carry_out(struct board *b, const struct action *action)
{
    struct err err = { 0 };

    switch (action->type) {
    case ACTION_START:
        run_version(b, action);
        break;
    case ACTION_STOP:
        reconcile_exited(&b->t, action->instance, RC_KILLED, b->now);
        break;
    case ACTION_SNAPSHOT:
        assert_string_equal(word_in(IMG), "old1");
        reconcile_copied(&b->t, action->instance, snapshot_take(dir, "acme", "cam", &err));
        break;
    case ACTION_RESTORE:
        reconcile_restored(&b->t, action->unit, snapshot_restore(dir, "acme", "cam", &err), b->now);
        break;
    case ACTION_COMMIT:
        assert_rc(snapshot_drop(dir, "acme", "cam", false, &err), RC_OK);
        break;
    case ACTION_NOTE:
    case ACTION_SWITCH: /* of the agent only */
        break;
    case ACTION_RELIMIT: /* nobody asks for these here */
    case ACTION_FREEZE:
    case ACTION_THAW:
        fail_msg("action %d", (int)action->type);
        break;
    }
}

static void steps(struct board *b)
{
    const struct reconcile_ask ask = { .admit = admit, .arg = b };
    bool ordered_away = b->course != SUPERSEDED;

    for (int i = 0; i < 60; i++) {
        struct action todo[RECONCILE_ACTIONS_MAX];

        reconcile_step(&b->t, b->now, &ask);
        uint32_t n = b->t.n_actions;
        memcpy(todo, b->t.action, n * sizeof todo[0]);
        if (b->t.changed)
            save(b);
        reconcile_reset(&b->t);
        for (uint32_t k = 0; k < n; k++)
            carry_out(b, &todo[k]);
        if (!ordered_away && b->t.unit[0].run.phase == RUN_READY &&
            b->t.unit[0].run.manifest.b[0] == 2) {
            ordered_away = true;
            order(b, 1);
        }
        reconcile_reset(&b->t);
        b->now += 5;
    }
}

/* Version 2 is ordered, in a process that ends before its n-th durable step.  False: it came to the
 * end. */
static bool cut_off(enum course course, uint32_t n)
{
    static struct board b;
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        b = (struct board){ .course = course, .now = 1000 };
        load(&b);
        order(&b, 2);
        cut_at = n;
        steps(&b);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == CUT_EXIT);
    return WEXITSTATUS(status) == CUT_EXIT;
}

/* Before the cut or behind it: what runs in the end runs on its own data, and nothing is left. */
static bool cut_once(enum course course, uint32_t n)
{
    static struct board b;
    struct digest v1 = version(1);
    void *none = NULL;

    (void)open_dir(&none);
    b = (struct board){ .course = course, .now = 1000 };
    assert_true(reconcile_adopt(&b.t, "acme", "cam", 0));
    b.t.unit[0].kept.state = SLOT_COMMITTED;
    b.t.unit[0].kept.wanted = b.t.unit[0].kept.good = v1;
    save(&b);
    write_word(IMG, "old1");

    bool more = cut_off(course, n);
    load(&b);
    order(&b, 2);
    steps(&b);
    const struct unit *u = &b.t.unit[0];
    assert_int_equal(u->run.phase, RUN_READY);
    assert_int_equal(u->run.manifest.b[0], course == COMMITS ? 2 : 1);
    assert_string_equal(word_in(IMG), course == COMMITS ? "new2" : "old1");
    assert_true(digest_is_none(&u->kept.snapshot));
    assert_false(snapshot_exists(dir, "acme", "cam"));
    assert_int_equal(faccessat(dir, HALF, F_OK, 0), -1);
    load(&b); /* and what is on disk says the same */
    assert_true(digest_is_none(&b.t.unit[0].kept.snapshot));
    (void)close_dir(&none);
    return more;
}

static void cut_at_every_step(void **state)
{
    static const char *const names[COURSES] = { "rollback", "commit", "ordered away" };

    (void)state;
    for (enum course course = 0; course < COURSES; course++) {
        uint32_t n = 1;

        while (cut_once(course, n))
            n++;
        assert_true(n > 10);
        print_message("  %s: %u durable steps\n", names[course], n - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sparse_images_are_copied_whole, open_dir, close_dir),
        cmocka_unit_test_setup_teardown(no_data_comes_back_as_none, open_dir, close_dir),
        cmocka_unit_test_setup_teardown(images_in_use_are_waited_for, open_dir, close_dir),
        cmocka_unit_test(cut_at_every_step),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
