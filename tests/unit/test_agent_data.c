/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/data.h"
#include "base/fs.h"
#include "sandbox/plan.h"

#define MIB (1024ULL * 1024U)

static char path[32];
static int dir = -1;

static int open_dir(void **state)
{
    (void)state;
    memcpy(path, "/tmp/berth-data-XXXXXX", sizeof "/tmp/berth-data-XXXXXX");
    assert_non_null(mkdtemp(path));
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir < 0;
}

static int close_dir(void **state)
{
    struct err err = { 0 };

    (void)state;
    close_fd(&dir);
    return fs_remove_tree(AT_FDCWD, path, &err) != RC_OK;
}

/* ext4's magic lies 1024 + 56 bytes in. */
static bool is_ext4(int fd)
{
    uint8_t magic[2] = { 0 };

    return pread(fd, magic, 2, 1080) == 2 && magic[0] == 0x53 && magic[1] == 0xef;
}

static void images_of_all_sizes(void **state)
{
    static const uint64_t sizes[] = { MIB, 2 * MIB + 100, 16 * MIB, 64 * MIB };
    static const char *const names[] = { "a", "b", "c", "d" };

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const struct data_id id = { .tenant = "acme", .name = names[i], .index = (uint32_t)i };
        scoped(close_fd) int fd = -1;
        struct stat st = { 0 };
        struct err err = { 0 };
        uint32_t index = 99;

        assert_false(data_index(dir, "acme", names[i], &index));
        assert_rc(data_open(dir, &id, sizes[i], &fd, &err), RC_OK);
        assert_true(is_ext4(fd));
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, sizes[i] / 4096 * 4096);
        assert_true((uint64_t)st.st_blocks * 512 >= (uint64_t)st.st_size); /* taken, not promised */
        assert_true(data_index(dir, "acme", names[i], &index));
        assert_int_equal(index, i);
    }
}

/* Words of an ext4 super block, at these offsets of its 1024. */
static uint32_t word_of(int fd, off_t offset)
{
    uint8_t w[4] = { 0 };

    assert_int_equal(pread(fd, w, 4, 1024 + offset), 4);
    return (uint32_t)w[0] | (uint32_t)w[1] << 8 | (uint32_t)w[2] << 16 | (uint32_t)w[3] << 24;
}

/* Of files as of bytes there are only so many; without a number it follows from the size. */
static void images_hold_so_many_files(void **state)
{
    struct data_id id = { .tenant = "acme", .name = "few", .index = 8, .files = 100 };
    scoped(close_fd) int few = -1;
    scoped(close_fd) int many = -1;
    struct err err = { 0 };

    (void)state;
    assert_rc(data_open(dir, &id, 16 * MIB, &few, &err), RC_OK);
    assert_in_range(word_of(few, 0), 111, 111 + 32);
    id = (struct data_id){ .tenant = "acme", .name = "many", .index = 9 };
    assert_rc(data_open(dir, &id, 16 * MIB, &many, &err), RC_OK);
    assert_true(word_of(many, 0) > 1000);
}

static void mail_has_its_own_image_and_the_inbox_its_part(void **state)
{
    static const char *const names[] = { "a", "b", "c", "d" };
    static const struct {
        uint64_t inbox, outbox;
        uint32_t percent;
    } rows[] = {
        { 64U << 10, 0, 50 }, { 0, 64U << 10, 0 }, { MIB, 3 * MIB, 25 }, { 8 * MIB, 8 * MIB, 50 }
    };
    uint8_t uuid[4] = { 0 }, again[4] = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct data_id id = { .tenant = "acme", .name = names[i], .index = 7 };
        scoped(close_fd) int fd = -1;
        struct stat st = { 0 };
        struct err err = { 0 };

        assert_rc(data_open_mail(dir, &id, rows[i].inbox, rows[i].outbox, &fd, &err), RC_OK);
        assert_true(is_ext4(fd));
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, plan_mail_image(rows[i].inbox, rows[i].outbox));
        assert_true((uint64_t)st.st_blocks * 512 >= (uint64_t)st.st_size);
        /* s_blocks_count, s_r_blocks_count, s_free_blocks_count, s_feature_compat */
        assert_in_range(word_of(fd, 8) + 1U, word_of(fd, 4) * (uint64_t)rows[i].percent / 100,
                        word_of(fd, 4) * (uint64_t)rows[i].percent / 100 + 2);
        assert_true((uint64_t)word_of(fd, 12) * 1024 >= rows[i].inbox + rows[i].outbox);
        assert_int_equal(word_of(fd, 92) & 4, 4); /* has_journal */
        assert_in_range(word_of(fd, 0), 256, (rows[i].inbox + rows[i].outbox) / 4096 + 512);
        assert_int_equal(pread(fd, uuid, 4, 1024 + 104), 4);
        close_fd(&fd);
        assert_rc(data_open_mail(dir, &id, rows[i].inbox, rows[i].outbox, &fd, &err), RC_OK);
        assert_int_equal(pread(fd, again, 4, 1024 + 104), 4);
        assert_memory_equal(uuid, again, 4); /* the same one */
    }
}

/* What cannot be opened is not therefore made anew; a mail image of another size is. */
static void nothing_is_made_in_the_place_of_what_is_there(void **state)
{
    const struct data_id id = { .tenant = "acme", .name = "cam", .index = 7 };
    scoped(close_fd) int fd = -1;
    struct stat st = { 0 };
    struct err err = { 0 };

    (void)state;
    assert_rc(fs_make_dirs(dir, "acme/cam", 0700, &err), RC_OK);
    assert_rc(fs_write_file(dir, "acme/cam/index", bytes_of("7\n"), 0600, &err), RC_OK);
    assert_int_equal(symlinkat("nowhere", dir, "acme/cam/data.img"), 0);
    assert_int_equal(symlinkat("nowhere", dir, "acme/cam/mail.img"), 0);
    assert_true(data_open(dir, &id, MIB, &fd, &err) != RC_OK);
    assert_true(data_open_mail(dir, &id, MIB, MIB, &fd, &err) != RC_OK);
    assert_int_equal(fd, -1);
    assert_int_equal(fstatat(dir, "acme/cam/data.img", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(fstatat(dir, "acme/cam/mail.img", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(S_ISLNK(st.st_mode));

    assert_rc(fs_unlink(dir, "acme/cam/mail.img", &err), RC_OK);
    assert_rc(data_open_mail(dir, &id, MIB, MIB, &fd, &err), RC_OK);
    close_fd(&fd);
    assert_rc(data_open_mail(dir, &id, MIB, 2 * MIB, &fd, &err), RC_OK);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, plan_mail_image(MIB, 2 * MIB));
}

static void data_outlives_versions_and_owners_do_not_change(void **state)
{
    struct data_id id = { .tenant = "acme", .name = "cam", .index = 7 };
    scoped(close_fd) int first = -1;
    scoped(close_fd) int again = -1;
    int other = -1;
    struct stat st = { 0 };
    struct err err = { 0 };
    char word[5] = "";

    (void)state;
    assert_rc(data_open(dir, &id, 2 * MIB, &first, &err), RC_OK);
    assert_int_equal(pwrite(first, "kept", 4, MIB), 4);
    assert_rc(data_open(dir, &id, 8 * MIB, &again, &err), RC_OK);
    assert_int_equal(pread(again, word, 4, MIB), 4);
    assert_string_equal(word, "kept");
    assert_int_equal(fstat(again, &st), 0);
    assert_int_equal(st.st_size, 2 * MIB);

    id.index = 8;
    assert_rc(data_open(dir, &id, 2 * MIB, &other, &err), RC_DATA_IMAGE);
    assert_rc(fs_unlink(dir, "acme/cam/index", &err), RC_OK);
    assert_rc(data_open(dir, &id, 2 * MIB, &other, &err), RC_DATA_IMAGE); /* whose is it? */
    assert_int_equal(other, -1);
}

/* A start that was cut off leaves a half image behind: it is made again. */
static void half_made_image_is_made_again(void **state)
{
    const struct data_id id = { .tenant = "acme", .name = "cam", .index = 7 };
    scoped(close_fd) int fd = -1;
    struct err err = { 0 };

    (void)state;
    assert_rc(fs_make_dirs(dir, "acme/cam", 0700, &err), RC_OK);
    assert_rc(fs_write_file(dir, "acme/cam/index", bytes_of("7\n"), 0600, &err), RC_OK);
    assert_rc(fs_write_file(dir, "acme/cam/data.img.new", bytes_of("half"), 0600, &err), RC_OK);
    assert_rc(data_open(dir, &id, MIB, &fd, &err), RC_OK);
    assert_true(is_ext4(fd));
    assert_int_equal(faccessat(dir, "acme/cam/data.img.new", F_OK, 0), -1);
}

static bool count(void *arg, const struct data_id *id)
{
    unsigned *seen = arg;

    assert_string_equal(id->tenant, "acme");
    *seen += 1U << id->index;
    return true;
}

static void only_sound_ones_are_listed(void **state)
{
    static const struct {
        const char *dir, *file, *text;
    } files[] = {
        { "acme/a", "acme/a/index", "1\n" },  { "acme/b", "acme/b/index", "2\n" },
        { "acme/c", "acme/c/index", "" },     { "acme/d", "acme/d/index", "-4\n" },
        { "acme/e", "acme/e/index", "5" },    { "acme/F", "acme/F/index", "6\n" },
        { "acme/g", "acme/g/index", "7x\n" }, { "BAD/h", "BAD/h/index", "8\n" },
        { "acme/i", "acme/i/other", "9\n" },
    };
    unsigned seen = 0;
    struct err err = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        assert_rc(fs_make_dirs(dir, files[i].dir, 0700, &err), RC_OK);
        assert_rc(fs_write_file(dir, files[i].file, bytes_of(files[i].text), 0600, &err), RC_OK);
    }
    assert_rc(data_list(dir, count, &seen, &err), RC_OK);
    assert_int_equal(seen, (1U << 1) + (1U << 2));

    /* A tenant's directory that cannot be read is told, and keeps none of another's from its turn,
     * whatever order they are in. */
    for (size_t i = 0; i < 2; i++) {
        const char *broken = i == 0 ? "aaa" : "zzz";

        assert_rc(fs_write_file(dir, broken, bytes_of(""), 0600, &err), RC_OK);
        assert_rc(fs_write_file(dir, "acme/a/data.img.new", bytes_of(""), 0600, &err), RC_OK);
        seen = 0;
        assert_rc(data_list(dir, count, &seen, &err), RC_IO);
        assert_int_equal(seen, (1U << 1) + (1U << 2));
        assert_rc(data_sweep(dir, &err), RC_IO);
        assert_int_equal(faccessat(dir, "acme/a/data.img.new", F_OK, 0), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(images_of_all_sizes, open_dir, close_dir),
        cmocka_unit_test_setup_teardown(images_hold_so_many_files, open_dir, close_dir),
        cmocka_unit_test_setup_teardown(nothing_is_made_in_the_place_of_what_is_there, open_dir,
                                        close_dir),
        cmocka_unit_test_setup_teardown(mail_has_its_own_image_and_the_inbox_its_part, open_dir,
                                        close_dir),
        cmocka_unit_test_setup_teardown(data_outlives_versions_and_owners_do_not_change, open_dir,
                                        close_dir),
        cmocka_unit_test_setup_teardown(half_made_image_is_made_again, open_dir, close_dir),
        cmocka_unit_test_setup_teardown(only_sound_ones_are_listed, open_dir, close_dir),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
