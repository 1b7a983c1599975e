/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "base/resident.h"

/* Read a byte of every page that is no more than read. */
__attribute__((no_sanitize_address)) static int touch(struct dl_phdr_info *object, size_t size,
                                                      void *arg)
{
    volatile const uint8_t *p;
    unsigned *sum = arg;

    (void)size;
    if (strstr(object->dlpi_name, "vdso") != NULL)
        return 0;
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &object->dlpi_phdr[i];

        p = (const uint8_t *)(object->dlpi_addr + h->p_vaddr);
        for (size_t at = 0; h->p_type == PT_LOAD && (h->p_flags & PF_W) == 0 && at < h->p_filesz;
             at += 4096)
            *sum += p[at];
    }
    return 0;
}

/* KiB of files that are mapped now. */
static long file_kib(void)
{
    scoped(close_fd) int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    char text[4096] = "";
    const char *line;

    assert_true(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
    line = strstr(text, "RssFile:");
    assert_non_null(line);
    return strtol(line + strlen("RssFile:"), NULL, 10);
}

/* Most of what the files hold is given back; whatever was written, and what comes after, is right.
 */
static void test_release(void **state)
{
    static uint8_t written[3 * 4096];
    static const char *const constant = "a constant";
    uint8_t *heap = malloc(100000);
    uint8_t digest[32], again[32];
    unsigned sum = 0;
    long before;
    struct err err;

    (void)state;
    assert_non_null(heap);
    memset(written, 7, sizeof written);
    memset(heap, 9, 100000);
    assert_rc(sha256_of(bytes_of(constant), digest, &err), RC_OK);
    (void)dl_iterate_phdr(touch, &sum);
    before = file_kib();
    resident_release();
    assert_true(file_kib() * 2 < before);
    for (size_t i = 0; i < sizeof written; i++)
        assert_int_equal(written[i], 7);
    for (size_t i = 0; i < 100000; i++)
        assert_int_equal(heap[i], 9);
    assert_rc(sha256_of(bytes_of(constant), again, &err), RC_OK);
    assert_memory_equal(again, digest, sizeof digest);
    free(heap);
    resident_release();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_release),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
