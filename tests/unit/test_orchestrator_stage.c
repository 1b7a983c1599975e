/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "orchestrator/elf.h"
#include "orchestrator/stage.h"

static char base[64];
static int base_fd = -1, stage_fd = -1;
static struct payload_spec *spec;
static struct err err;

static int setup(void **state)
{
    (void)state;
    (void)snprintf(base, sizeof base, "/tmp/berth-stage-XXXXXX");
    assert_non_null(mkdtemp(base));
    base_fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_rc(fs_make_dirs(base_fd, "rootfs/etc/deep", 0755, &err), RC_OK);
    assert_rc(fs_open_dir(base_fd, "stage", 0755, &stage_fd, &err), RC_OK);
    spec = calloc(1, sizeof *spec);
    assert_non_null(spec);
    return 0;
}

static int teardown(void **state)
{
    scoped(close_fd) int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)state;
    close_fd(&stage_fd);
    close_fd(&base_fd);
    free(spec);
    assert_rc(fs_remove_tree(tmp, base + strlen("/tmp/"), &err), RC_OK);
    return 0;
}

static void put(const char *path, const char *text, mode_t mode)
{
    assert_rc(fs_write_file(base_fd, path, bytes_of(text), mode, &err), RC_OK);
}

static void copy(const char *from, const char *to, bool libs)
{
    struct payload_copy *c = &spec->copy[spec->n_copies++];

    (void)snprintf(c->from, sizeof c->from, "%s", from);
    (void)snprintf(c->to, sizeof c->to, "%s", to);
    c->libs = libs;
}

static bool there(const char *path)
{
    while (*path == '/')
        path++;
    return faccessat(stage_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void tree_and_files_come_together(void **state)
{
    struct stat st;
    char link[16] = "";

    (void)state;
    (void)snprintf(spec->root, sizeof spec->root, "rootfs");
    put("rootfs/etc/deep/conf", "x", 0600);
    put("tool", "#!/x\n", 0700);
    assert_int_equal(symlinkat("deep/conf", base_fd, "rootfs/etc/link"), 0);
    copy("tool", "/opt/bin/tool", true); /* a script needs no libraries */
    assert_rc(stage_fill(base, spec, stage_fd, &err), RC_OK);
    assert_true(there("etc/deep/conf"));
    assert_int_equal(fstatat(stage_fd, "opt/bin/tool", &st, 0), 0);
    assert_int_equal(st.st_mode & 0777U, 0755);
    assert_int_equal(fstatat(stage_fd, "etc/deep/conf", &st, 0), 0);
    assert_int_equal(st.st_mode & 0777U, 0644);
    assert_int_equal(readlinkat(stage_fd, "etc/link", link, sizeof link), 9);
    assert_memory_equal(link, "deep/conf", 9);
}

static void libraries_follow_their_program(void **state)
{
    scoped(close_fd) int fd = open("/bin/ls", O_RDONLY | O_CLOEXEC);
    struct elf_needs needs;

    (void)state;
    assert_rc(elf_read(fd, &needs, &err), RC_OK);
    copy("/bin/ls", "/bin/ls", true);
    copy("/bin/cat", "/bin/cat", true); /* the same libc, wanted twice */
    assert_rc(stage_fill(base, spec, stage_fd, &err), RC_OK);
    assert_true(there(needs.interp));
    for (uint32_t i = 0; i < needs.n; i++) {
        static const char *const dirs[] = { "lib/x86_64-linux-gnu",
                                            "lib/aarch64-linux-gnu",
                                            "usr/lib/x86_64-linux-gnu",
                                            "usr/lib/aarch64-linux-gnu",
                                            "lib64",
                                            "usr/lib64",
                                            "lib",
                                            "usr/lib" };
        bool found = false;
        char path[256];

        for (size_t d = 0; d < sizeof dirs / sizeof dirs[0]; d++) {
            (void)snprintf(path, sizeof path, "%s/%s", dirs[d], needs.needed[i]);
            found = found || there(path);
        }
        if (!found)
            fail_msg("%s is missing", needs.needed[i]);
    }
}

static void missing_program(void)
{
    copy("/no/such/program", "/bin/x", false);
}
static void missing_root(void)
{
    (void)snprintf(spec->root, sizeof spec->root, "none");
}
static void root_is_a_file(void)
{
    put("file", "x", 0644);
    (void)snprintf(spec->root, sizeof spec->root, "file");
}
static void fifo_in_root(void)
{
    (void)snprintf(spec->root, sizeof spec->root, "rootfs");
    assert_int_equal(mkfifoat(base_fd, "rootfs/fifo", 0600), 0);
}
static void fifo_as_file(void)
{
    assert_int_equal(mkfifoat(base_fd, "fifo", 0600), 0);
    copy("fifo", "/bin/x", false);
}
static void same_place_twice(void)
{
    put("a", "a", 0755);
    put("b", "b", 0755);
    copy("a", "/bin/x", false);
    copy("b", "/bin/x", false);
}
static void leaves_the_stage(void)
{
    put("a", "a", 0755);
    copy("a", "/../escaped", false);
}
static void through_a_link(void)
{
    put("a", "a", 0755);
    (void)snprintf(spec->root, sizeof spec->root, "rootfs");
    assert_int_equal(symlinkat("/tmp", base_fd, "rootfs/out"), 0);
    copy("a", "/out/escaped", false);
}

static void what_cannot_be_staged_is_refused(void **state)
{
    static const struct {
        const char *why;
        void (*make)(void);
        enum rc rc; /* RC_OK: any failure */
    } rows[] = {
        { "missing program", missing_program, RC_NOT_FOUND },
        { "missing root", missing_root, RC_OK },
        { "root is a file", root_is_a_file, RC_NOT_FOUND },
        { "FIFO in root", fifo_in_root, RC_ARCHIVE_TYPE },
        { "FIFO as file", fifo_as_file, RC_NOT_REGULAR },
        { "same place twice", same_place_twice, RC_OK },
        { "leaves the stage", leaves_the_stage, RC_OK },
        { "through a link", through_a_link, RC_OK },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum rc rc;

        if (i > 0)
            assert_int_equal(setup(state), 0);
        rows[i].make();
        rc = stage_fill(base, spec, stage_fd, &err);
        if (rc == RC_OK || (rows[i].rc != RC_OK && rc != rows[i].rc))
            fail_msg("%s: %s", rows[i].why, rc_name(rc));
        assert_int_equal(faccessat(base_fd, "escaped", F_OK, AT_SYMLINK_NOFOLLOW), -1);
        assert_int_equal(access("/tmp/escaped", F_OK), -1);
        if (i + 1 < sizeof rows / sizeof rows[0])
            assert_int_equal(teardown(state), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tree_and_files_come_together, setup, teardown),
        cmocka_unit_test_setup_teardown(libraries_follow_their_program, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_staged_is_refused, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
