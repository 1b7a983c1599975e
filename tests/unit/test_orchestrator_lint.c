/* SPDX-License-Identifier: Apache-2.0
 *
 * What `berth lint payload` does not run at all; what it says of what it runs: test_sandbox_record.
 */
#include "tests/unit/test.h"

#include "tests/unit/berth_run.h"

#define REST                                                                                       \
    "tenant: acme\nversion: \"1.0\"\nrelease: 1\nroot: rootfs\nexec: [/guest]\n"                   \
    "resources: {memory: 128M, cpu: 1, pids: 16, files: 64}\n"                                     \
    "health: {type: alive, ready: 1s, soak: 1s}\n"

static int set_up(void **state)
{
    const int result = begin(state);

    for (size_t i = 0; i < 2; i++) {
        const char *name = i == 0 ? "vm" : "plain";
        char path[64];

        assert_int_equal(mkdirat(dirfd, name, 0755), 0);
        print_to(path, sizeof path, "%s/rootfs", name);
        assert_int_equal(mkdirat(dirfd, path, 0755), 0);
        print_to(path, sizeof path, "%s/rootfs/guest", name);
        put(path, "x", 0755);
        print_to(path, sizeof path, "%s/payload.yaml", name);
        put(path, i == 0 ? "name: vm\nisolation: vm\n" REST : "name: plain\n" REST, 0644);
    }
    return result;
}

static void runs_no_machine(void **state)
{
    (void)state;
    assert_int_not_equal(berth("lint payload vm"), 0);
    assert_said("a guest makes no calls of its own");
    assert_said("NOT_BUILT");
    assert_berth("build vm", 0);
    assert_int_not_equal(berth("lint payload vm/vm-1.0.unsigned"), 0);
    assert_said("NOT_BUILT");
}

static void runs_nothing_as_root(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_not_equal(berth("lint payload plain"), 0);
    assert_said("recording as root");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_no_machine),
        cmocka_unit_test(runs_nothing_as_root),
    };

    return cmocka_run_group_tests(tests, set_up, end);
}
