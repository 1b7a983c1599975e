/* SPDX-License-Identifier: Apache-2.0
 *
 * berth link dump and berth link capture on files of every kind.
 */
#include "tests/unit/test.h"

#include "tests/unit/berth_run.h"
#include "tests/unit/vectors.h"

static void put_vector(const char *path, const char *name)
{
    static struct vector v;

    vector_load(name, &v);
    assert_rc(fs_write_file(dirfd, path, vector_bytes(&v), 0644, &err), RC_OK);
}

static int set_up(void **state)
{
    (void)begin(state);
    assert_int_equal(mkdirat(dirfd, "good", 0755), 0);
    assert_int_equal(mkdirat(dirfd, "mixed", 0755), 0);
    put_vector("good/a.bundle", "bundles-valid/bplib-primary-payload-crc32c.hex");
    put_vector("mixed/a.bundle", "bundles-valid/bplib-primary-payload-crc32c.hex");
    put_vector("mixed/lenient.bundle", "bundles-valid/bp7rs-dtn-incoming-no-crc.hex");
    put_vector("mixed/bad.bundle", "derived-hostile/04-trailing-byte.hex");
    put("mixed/.hidden", "temporary", 0644);
    put("mixed/empty", "", 0644);
    assert_int_equal(mkfifoat(dirfd, "mixed/fifo", 0644), 0);
    assert_int_equal(symlinkat("a.bundle", dirfd, "mixed/link"), 0);
    return 0;
}

static void test_dump(void **state)
{
    (void)state;
    assert_berth("link dump good", 0);
    assert_said("ipn:100.1");
    assert_berth("link dump mixed", 1);
    assert_said("BUNDLE_UNPROTECTED");
    assert_said("primary block, at 1");
    assert_said("TRAILING");
    assert_said("bundle, at 54");
    assert_said("4 other entries were left alone");
    assert_berth("link dump mixed/bad.bundle --json", 1);
    assert_said("\"offset\": 54");
    assert_said("\"refused\": 1");
    assert_berth("link dump good/a.bundle mixed/lenient.bundle --json", 1);
    assert_said("\"destination\": \"dtn://node2/incoming\"");
    assert_berth("link dump nothing", 1);
    assert_said("NOT_FOUND");
    assert_berth("link dump", 2);
}

static void test_capture(void **state)
{
    (void)state;
    assert_berth("link capture mixed --to c.pcapng --in", 0);
    assert_said("3 bundles in c.pcapng");
    assert_berth("link capture good --to c.pcapng", 4);
    assert_said("EXISTS");
    assert_berth("link capture good", 2);
    assert_said("--to FILE.pcapng");
    assert_berth("link capture nothing --to d.pcapng", 1);
    /* To stdout: begins as every capture does, and holds the file's name. */
    assert_berth("link capture good --to - --out", 0);
    assert_memory_equal(said, "\x0a\x0d\x0d\x0a", 4);
    /* Nothing was touched. */
    assert_berth("link dump mixed", 1);
    assert_said("TRAILING");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dump),
        cmocka_unit_test(test_capture),
    };

    return cmocka_run_group_tests(tests, set_up, end);
}
