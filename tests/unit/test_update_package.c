/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "tests/unit/update_fixture.h"
#include "update/package.h"

static void test_refusals(void **state)
{
    static const struct {
        const char *why;
        const char *bytes;
        size_t n;
        enum rc rc;
    } rows[] = {
        { "nothing", "", 0, RC_SHORT },
        { "half a head", "BERTHPK1\0\0", 10, RC_SHORT },
        { "other magic", "BERTHPK2\0\0\0\1xy", 14, RC_PACKAGE_FORMAT },
        { "empty envelope", "BERTHPK1\0\0\0\0xy", 14, RC_PACKAGE_FORMAT },
        { "no content", "BERTHPK1\0\0\0\1x", 13, RC_PACKAGE_FORMAT },
        { "envelope cut", "BERTHPK1\0\0\0\2x", 13, RC_SHORT },
        { "envelope over the limit", "BERTHPK1\0\1\0\1x", 13, RC_TOO_LARGE },
        { "envelope of 4 GiB", "BERTHPK1\xff\xff\xff\xffx", 13, RC_TOO_LARGE },
        { "envelope of 2 GiB", "BERTHPK1\x80\0\0\0x", 13, RC_TOO_LARGE },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        scoped(close_fd) int fd =
            memfd_of((struct bytes){ .p = (const uint8_t *)rows[i].bytes, .n = rows[i].n });
        struct package package = { .content_at = 99 };
        struct err err;
        enum rc rc = package_open(fd, &package, &err);

        if (rc != rows[i].rc)
            fail_msg("%s: %s", rows[i].why, rc_name(rc));
        assert_int_equal(package.content_at, 99);
        assert_null(package.envelope);
    }
}

static void test_parts(void **state)
{
    static const char text[] = "BERTHPK1\0\0\0\3abccontent";
    scoped(close_fd) int fd =
        memfd_of((struct bytes){ .p = (const uint8_t *)text, .n = sizeof text - 1 });
    scoped(package_done) struct package package = { 0 };
    uint8_t head[PACKAGE_HEAD_SIZE];
    struct err err;

    (void)state;
    assert_rc(package_open(fd, &package, &err), RC_OK);
    assert_true(bytes_equal(package_envelope(&package), bytes_of("abc")));
    assert_int_equal(package.content_at, 15);
    assert_int_equal(package.content_bytes, 7);
    package_head(PACKAGE_FULL, 3, head);
    assert_memory_equal(head, text, sizeof head);
    package_head(PACKAGE_FULL, DOCUMENT_MAX, head);
    assert_memory_equal(head + 8, "\0\1\0\0", 4);
}

/* Who opens packages does not open deltas by mistake, nor the other way round. */
static void test_kinds(void **state)
{
    static const char full[] = "BERTHPK1\0\0\0\3abccontent";
    static const char delta[] = "BERTHDP1\0\0\0\3abcdelta";
    scoped(close_fd) int full_fd =
        memfd_of((struct bytes){ .p = (const uint8_t *)full, .n = sizeof full - 1 });
    scoped(close_fd) int delta_fd =
        memfd_of((struct bytes){ .p = (const uint8_t *)delta, .n = sizeof delta - 1 });
    scoped(close_fd) int other_fd = memfd_of(bytes_of("BERTHDP2"));
    scoped(close_fd) int short_fd = memfd_of(bytes_of("BERTHDP"));
    scoped(package_done) struct package package = { 0 };
    enum package_kind kind = PACKAGE_FULL;
    uint8_t head[PACKAGE_HEAD_SIZE];
    struct err err;

    (void)state;
    assert_rc(package_kind(delta_fd, &kind, &err), RC_OK);
    assert_int_equal(kind, PACKAGE_DELTA);
    assert_rc(package_kind(full_fd, &kind, &err), RC_OK);
    assert_int_equal(kind, PACKAGE_FULL);
    assert_rc(package_kind(other_fd, &kind, &err), RC_PACKAGE_FORMAT);
    assert_rc(package_kind(short_fd, &kind, &err), RC_SHORT);
    assert_rc(package_kind(-1, &kind, &err), RC_IO);
    assert_rc(package_open(delta_fd, &package, &err), RC_PACKAGE_FORMAT);
    assert_rc(package_open_delta(full_fd, &package, &err), RC_PACKAGE_FORMAT);
    assert_null(package.envelope);
    assert_rc(package_open_delta(delta_fd, &package, &err), RC_OK);
    assert_true(bytes_equal(package_envelope(&package), bytes_of("abc")));
    assert_int_equal(package.content_at, 15);
    assert_int_equal(package.content_bytes, 5);
    package_head(PACKAGE_DELTA, 3, head);
    assert_memory_equal(head, delta, sizeof head);
}

/* Sizes around the places where lengths wrap, in files that are mostly holes. */
static void test_huge_files(void **state)
{
    static const uint64_t sizes[] = { PACKAGE_FILE_MAX,  (1ULL << 31) - 1,  1ULL << 31,
                                      (1ULL << 31) + 1,  (1ULL << 32) - 1,  1ULL << 32,
                                      (1ULL << 32) + 13, (1ULL << 32) + 14, 1ULL << 40 };
    static const char text[] = "BERTHPK1\0\0\0\1x";

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        scoped(close_fd) int fd = memfd_create("huge", MFD_CLOEXEC);
        struct package package = { 0 };
        struct err err;

        assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
        assert_int_equal(ftruncate(fd, (off_t)sizes[i]), 0);
        assert_rc(package_open(fd, &package, &err), RC_TOO_LARGE);
    }
}

static void test_not_a_file(void **state)
{
    scoped(scratch_done) struct scratch s = scratch_new();
    struct package package = { 0 };
    struct err err;
    int pipes[2];

    (void)state;
    assert_rc(package_open(s.fd, &package, &err), RC_NOT_REGULAR);
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    assert_rc(package_open(pipes[0], &package, &err), RC_NOT_REGULAR);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
    assert_rc(package_open(-1, &package, &err), RC_IO);
}

static void test_digest(void **state)
{
    scoped(close_fd) int fd = memfd_of(bytes_of("xxabcyy"));
    uint8_t digest[DIGEST_SIZE];
    char hex[2 * DIGEST_SIZE + 1];
    struct err err;

    (void)state;
    assert_rc(package_digest(fd, 2, 3, digest, &err), RC_OK);
    assert_string_equal(bytes_hex((struct bytes){ .p = digest, .n = sizeof digest }, hex),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_rc(package_digest(fd, 2, 6, digest, &err), RC_SHORT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),   cmocka_unit_test(test_parts),
        cmocka_unit_test(test_huge_files), cmocka_unit_test(test_not_a_file),
        cmocka_unit_test(test_digest),     cmocka_unit_test(test_kinds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
