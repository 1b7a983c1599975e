/* SPDX-License-Identifier: Apache-2.0
 *
 * The filters that a launcher keeps (sandbox/filters): each is compiled once, whatever is started;
 * one with a wrong bit is never loaded, neither of the launcher's own nor of a copy that a stem has
 * of it, and the start succeeds with what it was.  The second half needs root.
 */
#include "tests/unit/test.h"

#include <sys/syscall.h>

#include "sandbox/filters.h"
#include "sandbox/stem.h"
#include "tests/unit/sandbox_left.h"

static struct filters filters, good;

/* ---- the table of them ---------------------------------------------------------------------- */

static void is_compiled_once(void **state)
{
    (void)state;
    assert_rc(filters_make(&filters, NULL), RC_OK);
    assert_int_equal(filters.compiled, FILTERS_N);
    for (int turn = 0; turn < 3; turn++) {
        for (uint32_t calls = 0; calls < PROFILE_MASKS; calls++) {
            assert_true(seccomp_whole(filters_get(&filters, SECCOMP_PAYLOAD, calls)));
            assert_ptr_equal(filters_get(&filters, SECCOMP_PAYLOAD, calls),
                             filters_get(&filters, SECCOMP_PAYLOAD, calls));
        }
        assert_true(seccomp_whole(filters_get(&filters, SECCOMP_REAPER, 0)));
        assert_rc(filters_mend(&filters, NULL), RC_OK); /* and there is nothing to mend */
    }
    assert_int_equal(filters.compiled, FILTERS_N);
    /* none of them is another one, so none was compiled that was there */
    for (uint32_t i = 0; i < FILTERS_N; i++) {
        for (uint32_t k = 0; k < i; k++)
            assert_memory_not_equal(filters.digest[i], filters.digest[k], SUM_SIZE);
    }
}

/* Each is the one that the tables make for it, and no other. */
static void is_the_one_asked_for(void **state)
{
    static struct seccomp_program fresh;

    (void)state;
    assert_rc(filters_make(&filters, NULL), RC_OK);
    for (uint32_t calls = 0; calls < PROFILE_MASKS; calls++) {
        assert_rc(seccomp_build(SECCOMP_PAYLOAD, calls, CALLS_NATIVE, &fresh, NULL), RC_OK);
        assert_memory_equal(fresh.digest, filters_get(&filters, SECCOMP_PAYLOAD, calls)->digest,
                            SUM_SIZE);
    }
    assert_rc(seccomp_build(SECCOMP_REAPER, 0, CALLS_NATIVE, &fresh, NULL), RC_OK);
    assert_memory_equal(fresh.digest, filters_get(&filters, SECCOMP_REAPER, 0)->digest, SUM_SIZE);
}

static void flip(void *at, size_t bit)
{
    ((uint8_t *)at)[bit / 8] ^= (uint8_t)(1U << bit % 8);
}

/* Every bit of the code, of its length, of its role and of its digest. */
static void tells_every_wrong_bit(void **state)
{
    struct seccomp_program *p = &filters.program[PROFILE_NET];

    (void)state;
    assert_rc(filters_make(&filters, NULL), RC_OK);
    for (size_t bit = 0; bit < 8U * sizeof p->code[0] * p->n; bit++) {
        flip(p->code, bit);
        if (seccomp_whole(p))
            fail_msg("bit %zu of the code", bit);
        flip(p->code, bit);
    }
    for (size_t bit = 0; bit < 8 * sizeof p->n; bit++) {
        flip(&p->n, bit);
        assert_false(seccomp_whole(p));
        flip(&p->n, bit);
    }
    for (size_t bit = 0; bit < 8 * sizeof p->role; bit++) {
        flip(&p->role, bit);
        assert_false(seccomp_whole(p));
        flip(&p->role, bit);
    }
    for (size_t bit = 0; bit < 8 * SUM_SIZE; bit++) {
        flip(p->digest, bit);
        assert_false(seccomp_whole(p));
        flip(p->digest, bit);
    }
    assert_true(seccomp_whole(p));
}

/* One that is damaged is compiled once more, and only that one. */
static void mends_what_is_damaged(void **state)
{
    (void)state;
    assert_rc(filters_make(&good, NULL), RC_OK);
    for (uint32_t i = 0; i < FILTERS_N; i++) {
        void *const at[] = { filters.program[i].code, &filters.program[i].n,
                             filters.program[i].digest, filters.digest[i] };

        for (size_t k = 0; k < sizeof at / sizeof at[0]; k++) {
            filters = good;
            flip(at[k], 3);
            assert_rc(filters_mend(&filters, NULL), RC_OK);
            assert_int_equal(filters.compiled, FILTERS_N + 1);
            assert_true(seccomp_whole(&filters.program[i]));
            assert_memory_equal(filters.program[i].digest, good.digest[i], SUM_SIZE);
            assert_memory_equal(filters.digest[i], good.digest[i], SUM_SIZE);
        }
    }
}

/* What is compiled now must be what was compiled first: else both copies of the digest say no. */
static void refuses_what_comes_out_different(void **state)
{
    struct err err = { 0 };

    (void)state;
    filters = good;
    flip(filters.program[1].digest, 0);
    flip(filters.digest[1], 0);
    assert_rc(filters_mend(&filters, &err), RC_LAYER_MISSING);
    assert_false(seccomp_whole(&filters.program[1]));
    for (uint32_t i = 0; i < FILTERS_N; i++)
        assert_true(i == 1 || seccomp_whole(&filters.program[i]));
}

/* ---- of a launcher that runs ---------------------------------------------------------------- */

static struct rig rig;
static struct rig_run run;

static int setup(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_error("the sandbox tests need root\n");
        return -1;
    }
    rig_open(&rig, "filters");
    rig_slot(&rig, "slot", "sandbox_hog");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    int status = rig_end(&rig);

    assert_int_equal(left_cgroups(&rig), 0);
    assert_int_equal(left_processes(&rig), 0);
    return status == 0 && rig_remove(&rig) ? 0 : -1;
}

static void try_start(void)
{
    static const char *const args[] = { "/bin/probe", "exit", "5", NULL };
    scoped(close_fd) int root = open(rig_path(&rig, "slot"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct plan plan = rig_plan(&rig, args, 0);

    assert_true(root >= 0);
    rig_launch(&rig, &plan, root, -1, &run);
}

static void start(void)
{
    try_start();
    if (!run.started)
        fail_msg("%s at %s: %s, errno %d", rc_name((enum rc)run.first.failed.rc),
                 run.first.failed.step, run.first.failed.what, run.first.failed.sys);
    assert_int_equal(run.first.launched.receipt.seccomp_filters, SECCOMP_PAYLOAD_FILTERS);
    const struct wire_exited ended = rig_exited(&rig, &run);
    assert_rc((enum rc)ended.rc, RC_EXITED);
    assert_int_equal(ended.status, 5);
}

/* Change one bit wherever a process keeps so many bytes.  How many places there were. */
static size_t poke(pid_t pid, const void *bytes, size_t n)
{
    static uint8_t part[1U << 16];
    char path[64];
    char line[512];
    size_t found = 0;

    (void)snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "re");
    (void)snprintf(path, sizeof path, "/proc/%d/mem", pid);
    scoped(close_fd) int mem = open(path, O_RDWR | O_CLOEXEC);
    assert_non_null(maps);
    assert_true(mem >= 0);
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long at = 0;
        unsigned long end = 0;
        char mode[5];

        assert_int_equal(sscanf(line, "%lx-%lx %4s", &at, &end, mode), 3);
        if (end - at > RIG_MAPPING_MAX)
            continue;
        for (; mode[1] == 'w' && at < end; at += sizeof part - n) {
            ssize_t got = pread(mem, part, sizeof part, (off_t)at);
            const uint8_t *hit = got <= 0 ? NULL : memmem(part, (size_t)got, bytes, n);

            if (hit == NULL)
                continue;
            const uint8_t other = hit[n / 2] ^ 4;

            assert_int_equal(pwrite(mem, &other, 1, (off_t)(at + (size_t)(hit - part) + n / 2)), 1);
            found++;
        }
    }
    (void)fclose(maps);
    return found;
}

/* Those that wait for an order, some at least. */
static size_t await_stems(pid_t ret[STEMS_READY])
{
    const uint64_t until = clock_mono_ms() + RIG_WAIT_MS;
    size_t n = 0;

    while (n <= STEMS_LOW) {
        char path[64];
        char text[1024] = "";
        char *rest = text;

        if (clock_mono_ms() > until)
            fail_msg("the launcher makes no stems");
        (void)sched_yield();
        n = 0;
        (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", rig.launch, rig.launch);
        FILE *f = fopen(path, "re");
        assert_non_null(f);
        (void)!fgets(text, sizeof text, f);
        (void)fclose(f);
        for (long pid = strtol(rest, &rest, 10); pid > 0 && n < STEMS_READY;
             pid = strtol(rest, &rest, 10)) {
            long nr = -1;

            (void)snprintf(path, sizeof path, "/proc/%ld/syscall", pid);
            f = fopen(path, "re");
            if (f == NULL)
                continue;
            if (fscanf(f, "%ld", &nr) == 1 && nr == SYS_recvmsg)
                ret[n++] = (pid_t)pid;
            (void)fclose(f);
        }
    }
    return n;
}

/* Of the filters of payloads and of process 1, each in turn, where it is damaged: in the stems, in
 * the launcher, in both. */
static void starts_with_no_damaged_one(void **state)
{
    const struct seccomp_program *const used[] = { filters_get(&good, SECCOMP_PAYLOAD, 0),
                                                   filters_get(&good, SECCOMP_REAPER, 0) };

    (void)state;
    assert_rc(filters_make(&good, NULL), RC_OK);
    for (size_t i = 0; i < 2; i++) {
        const size_t n = used[i]->n * sizeof used[i]->code[0];

        for (unsigned int where = 1; where < 4; where++) {
            pid_t stems[STEMS_READY];

            const size_t waiting = await_stems(stems);

            for (size_t k = 0; (where & 1) != 0 && k < waiting; k++)
                assert_true(poke(stems[k], used[i]->code, n) > 0);
            if ((where & 2) != 0)
                assert_true(poke(rig.launch, used[i]->code, n) > 0);
            for (size_t k = 0; k <= STEMS_READY; k++) /* whatever they were made of, too */
                start();
        }
    }
}

/* Code and both digests: nothing says any more what was right, so nothing starts with it. */
static void refuses_what_cannot_be_mended(void **state)
{
    const struct seccomp_program *used = filters_get(&good, SECCOMP_PAYLOAD, 0);
    pid_t stems[STEMS_READY];

    (void)state;
    do { /* all that there are */
    } while (await_stems(stems) < STEMS_READY);
    for (size_t k = 0; k < STEMS_READY; k++)
        assert_true(poke(stems[k], used->digest, SUM_SIZE) > 0);
    assert_true(poke(rig.launch, used->digest, SUM_SIZE) > 0);
    while (poke(rig.launch, used->digest, SUM_SIZE) > 0)
        ;
    for (size_t k = 0; k <= STEMS_READY; k++) {
        try_start();
        assert_false(run.started);
        assert_string_equal(run.first.failed.step, "seccomp");
        assert_rc((enum rc)run.first.failed.rc, RC_LAYER_MISSING);
        assert_int_equal(left_processes(&rig), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_compiled_once),
        cmocka_unit_test(is_the_one_asked_for),
        cmocka_unit_test(tells_every_wrong_bit),
        cmocka_unit_test(mends_what_is_damaged),
        cmocka_unit_test(refuses_what_comes_out_different),
        cmocka_unit_test_setup_teardown(starts_with_no_damaged_one, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_what_cannot_be_mended, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
