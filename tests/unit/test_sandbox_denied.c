/* SPDX-License-Identifier: Apache-2.0
 *
 * Records of refused calls: their text, whatever a payload calls itself; counting; and the kernel's
 * own, from real sandboxes.  The last part needs root.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "sandbox/calls.h"
#include "sandbox/denied.h"
#include "tests/unit/sandbox_rig.h"

#define HEAD                                                                                       \
    "audit(1796032205.632:46571): auid=4294967295 uid=589824 gid=589824 ses=4294967295 pid=7 "
#define TAIL " sig=0 arch=c000003e syscall=165 compat=0 ip=0x7f85c3ac3829 code=0x50000"

static struct bytes text_of(const char *text)
{
    return (struct bytes){ .p = (const uint8_t *)text, .n = strlen(text) };
}

struct row {
    const char *why;
    const char *text;
    bool good;
    uint32_t uid, nr;
    bool killed;
};

static const struct row rows[] = {
    { "as the kernel writes it", HEAD "comm=\"probe\" exe=\"/bin/probe\"" TAIL, true, 589824, 165,
      false },
    { "a name in hexadecimal", HEAD "comm=6120620a exe=\"/bin/probe\"" TAIL, true, 589824, 165,
      false },
    { "no program any more", HEAD "comm=\"probe\" exe=(null)" TAIL, true, 589824, 165, false },
    { "with a label", HEAD "subj=a_u:b_r:c comm=\"p\" exe=\"/p\"" TAIL, true, 589824, 165, false },
    { "killed",
      HEAD "comm=\"p\" exe=\"/p\" sig=31 arch=c000003e syscall=169 compat=0 ip=0x0 code=0x80000000",
      true, 589824, 169, true },
    { "a program that calls itself a record",
      HEAD "comm=\"p uid=0 sig=31 arch=c000003e syscall=1 compat=0\" exe=\"/p\"" TAIL, true, 589824,
      165, false },
    { "a path that calls itself a record",
      HEAD "comm=\"p\" exe=\"/ sig=31 arch=0 syscall=2 compat=0 ip=0 code=0 uid=5 \"" TAIL, true,
      589824, 165, false },
    { "a path that ends like one", HEAD "comm=\"p\" exe=\"/ sig=" TAIL, true, 589824, 165, false },
    { "nothing", "", false, 0, 0, false },
    { "no name", HEAD "exe=\"/p\"" TAIL, false, 0, 0, false },
    { "no user", "audit(1:2): auid=0 gid=0 comm=\"p\" exe=\"/p\"" TAIL, false, 0, 0, false },
    { "the user behind the name only", "audit(1:2): comm=\"p\" uid=4 exe=\"/p\"" TAIL, false, 0, 0,
      false },
    { "the call before the name only",
      "audit(1:2): uid=4 sig=0 arch=c000003e syscall=1 compat=0 comm=\"p\"", false, 0, 0, false },
    { "a user of 33 bits", "audit(1:2): uid=4294967296 comm=\"p\"" TAIL, false, 0, 0, false },
    { "a user that is no number", "audit(1:2): uid=-1 comm=\"p\"" TAIL, false, 0, 0, false },
    { "an empty user", "audit(1:2): uid= comm=\"p\"" TAIL, false, 0, 0, false },
    { "a call that is no number", HEAD "comm=\"p\" sig=0 arch=c000003e syscall=1f compat=0", false,
      0, 0, false },
    { "cut off", HEAD "comm=\"p\" sig=0 arch=c000003e syscall=", false, 0, 0, false },
    { "cut off before", HEAD "comm=\"p\" sig=0 arch=c000003e", false, 0, 0, false },
};

static void reads_records(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct denied_record untouched = { .uid = 77, .nr = 88 };
        struct denied_record r = untouched;

        if (denied_parse(text_of(rows[i].text), &r) != rows[i].good)
            fail_msg("%s", rows[i].why);
        if (!rows[i].good) {
            assert_memory_equal(&r, &untouched, sizeof r);
            continue;
        }
        assert_int_equal(r.uid, rows[i].uid);
        assert_int_equal(r.nr, rows[i].nr);
        assert_int_equal(r.arch, AUDIT_ARCH_X86_64);
        assert_int_equal(r.killed, rows[i].killed);
    }
}

/* Cut anywhere, and with any byte changed, it is a record or it is none: nothing is read outside of
 * it (the sanitizers watch), and a user that is read is the kernel's. */
static void reads_nothing_beyond(void **state)
{
    const char *whole = rows[0].text;
    size_t n = strlen(whole);

    (void)state;
    for (size_t cut = 0; cut <= n; cut++) {
        scoped(free_ptr) uint8_t *copy = malloc(cut + 1);
        struct denied_record r;

        assert_non_null(copy);
        memcpy(copy, whole, cut);
        bool good = denied_parse((struct bytes){ .p = copy, .n = cut }, &r);
        assert_true(!good || (r.uid == 589824 && cut > n - 40));
        for (unsigned int byte = 0; cut == n && byte < 256; byte += 5) {
            for (size_t at = 0; at < n; at++) {
                uint8_t was = copy[at];

                copy[at] = (uint8_t)byte;
                (void)denied_parse((struct bytes){ .p = copy, .n = n }, &r);
                copy[at] = was;
            }
        }
    }
}

static void counts_within_bounds(void **state)
{
    struct denied d = { 0 };
    struct denied_call top[4];
    char name[DENIED_CALL_CAP];

    (void)state;
    for (uint32_t nr = 0; nr < 40; nr++) {
        const struct denied_record r = { .arch = calls_audit_arch(CALLS_NATIVE), .nr = nr };

        for (uint32_t times = 0; times <= nr % 20; times++)
            assert_int_equal(denied_count(&d, &r), times == 0 && nr < DENIED_KINDS);
    }
    assert_int_equal(d.n, DENIED_KINDS);
    assert_int_equal(d.total, 2 * (20 * 21 / 2));
    assert_int_equal(denied_top(&d, top, 4), 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(top[i].nr, DENIED_KINDS - 1 - i);
        assert_int_equal(top[i].count, DENIED_KINDS - i);
    }
    d.total = d.call[0].count = UINT32_MAX;
    assert_false(denied_count(&d, &(struct denied_record){ .arch = top[0].arch, .nr = 0 }));
    assert_int_equal(d.total, UINT32_MAX);
    assert_int_equal(d.call[0].count, UINT32_MAX);

    const struct denied_call mount = { .arch = calls_audit_arch(CALLS_NATIVE),
                                       .nr = (uint32_t)call_nr(CALL_mount, CALLS_NATIVE) };
    assert_string_equal(denied_call_name(&mount, name), "mount");
    assert_string_equal(denied_call_name(&(struct denied_call){ mount.arch, 999, 1 }, name),
                        "number-999");
    assert_string_equal(denied_call_name(&(struct denied_call){ AUDIT_ARCH_I386, 20, 1 }, name),
                        "other-20");
}

/* ---- the kernel's own ----------------------------------------------------------------------- */

static struct rig rig;
static struct rig_run run;
static int audit = -1;

static int setup(void **state)
{
    struct err err = { 0 };
    char text[200];

    (void)state;
    if (geteuid() != 0) {
        print_error("this part needs root\n");
        return -1;
    }
    if (denied_open(&audit, &err) != RC_OK) {
        print_error("%s\n", err_text(&err, text, sizeof text));
        return -1;
    }
    rig_open(&rig, "denied");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close_fd(&audit);
    return rig_end(&rig) == 0 && rig_remove(&rig) ? 0 : -1;
}

static void start_probe(const char *probe, const char *const *args)
{
    struct plan plan = rig_plan(&rig, args, 0);

    rig_slot(&rig, "slot", probe);
    scoped(close_fd) int root = open(rig_path(&rig, "slot"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    rig_launch(&rig, &plan, root, -1, &run);
    assert_true(run.started);
}

/* Count what comes for the payload until `last` was counted; messages of others pass by.  False: so
 * much came at once, from another test's storm, that some of it was lost. */
static bool await_call(enum call last, struct denied *ret)
{
    const uint32_t low = PLAN_UID_BASE + rig.slot * PLAN_UID_COUNT;

    *ret = (struct denied){ 0 };
    for (;;) {
        struct denied_record r;

        assert_true(rig_wait(audit));
        enum denied_got got = denied_read(audit, &r);
        if (got == DENIED_MISSED)
            return false;
        if (got != DENIED_RECORD || r.uid < low || r.uid >= low + PLAN_UID_COUNT)
            continue;
        (void)denied_count(ret, &r);
        if (r.nr == (uint32_t)call_nr(last, CALLS_NATIVE))
            return true;
    }
}

/* Run the probe until all of it was heard. */
static struct denied hear(const char *const *args, enum call last, struct wire_exited *ret)
{
    struct denied d;
    bool whole;

    do {
        start_probe("sandbox_syscalls", args);
        whole = await_call(last, &d);
        *ret = rig_exited(&rig, &run);
    } while (!whole);
    return d;
}

static uint32_t count_of(const struct denied *d, enum call call)
{
    for (uint32_t i = 0; i < d->n; i++) {
        if (d->call[i].nr == (uint32_t)call_nr(call, CALLS_NATIVE))
            return d->call[i].count;
    }
    return 0;
}

static void hears_of_refused_calls(void **state)
{
    static const char *const args[] = { "/bin/probe", NULL };

    (void)state;
    /* It makes a dozen kinds before this one, and clone3, of which nothing is to be heard. */
    struct wire_exited e;
    struct denied d = hear(args, CALL_process_vm_readv, &e);

    assert_rc((enum rc)e.rc, RC_EXITED);
    assert_int_equal(count_of(&d, CALL_mount), 1);
    assert_int_equal(count_of(&d, CALL_umount2), 1);
    assert_int_equal(count_of(&d, CALL_unshare), 1);
    assert_int_equal(count_of(&d, CALL_ptrace), 1);
    assert_int_equal(count_of(&d, CALL_clone3), 0);
    assert_int_equal(count_of(&d, CALL_getpid), 0);
}

static void hears_of_a_killing_call(void **state)
{
    static const char *const args[] = { "/bin/probe", "reboot", NULL };

    (void)state;
    struct wire_exited e;
    struct denied d = hear(args, CALL_reboot, &e);

    assert_rc((enum rc)e.rc, RC_SECCOMP);
    assert_int_equal(count_of(&d, CALL_reboot), 1);
}

/* Whoever it was handed to: what else the machine audits is not for him. */
static void nobody_hears_more(void **state)
{
    struct sock_filter all[] = { BPF_STMT(BPF_RET | BPF_K, UINT32_MAX) };
    const struct sock_fprog other = { .len = 1, .filter = all };
    scoped(close_fd) int fd = -1;
    const int off = 0;
    struct err err = { 0 };

    (void)state;
    assert_rc(denied_open(&fd, &err), RC_OK);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &off, sizeof off), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &other, sizeof other), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &off, sizeof off), -1);
    assert_int_equal(errno, EPERM);
}

static uint64_t own_cpu_us(void)
{
    struct rusage u;

    assert_int_equal(getrusage(RUSAGE_SELF, &u), 0);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000U +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* Nobody reads while a payload is refused without end: the kernel keeps so many records and drops
 * the others, and says so once; what there is to read afterwards does not grow with the storm. */
static void keeps_a_storm_out(void **state)
{
    static const char *const args[] = { "/bin/probe", "storm", "200000", NULL };
    uint64_t began;
    size_t records = 0;
    bool missed = false;
    enum denied_got got;

    (void)state;
    start_probe("sandbox_hog", args);
    struct wire_exited e = rig_exited(&rig, &run);
    assert_rc((enum rc)e.rc, RC_EXITED);
    assert_int_equal(e.status, 0);
    began = own_cpu_us();
    do {
        struct denied_record r;

        got = denied_read(audit, &r);
        records += got == DENIED_RECORD;
        missed = missed || got == DENIED_MISSED;
    } while (got != DENIED_NOTHING);
    print_message("200000 refused calls: %zu records to read, %llu us\n", records,
                  (unsigned long long)(own_cpu_us() - began));
    assert_true(missed);
    assert_in_range(records, 1, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_records),
        cmocka_unit_test(reads_nothing_beyond),
        cmocka_unit_test(counts_within_bounds),
        cmocka_unit_test(nobody_hears_more),
        cmocka_unit_test_setup_teardown(hears_of_refused_calls, setup, teardown),
        cmocka_unit_test_setup_teardown(hears_of_a_killing_call, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_a_storm_out, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
