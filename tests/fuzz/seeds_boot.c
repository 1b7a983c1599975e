/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes the seeds of the fuzz_boot_record corpus with the project's own encoder.  Run by hand when
 * the format changes, which it must not once a satellite flies; the seeds are committed:
 *
 *     make programs
 *     gcc -std=gnu17 -D_GNU_SOURCE -I. tests/fuzz/seeds_boot.c build/release/lib{boot,base}.a \
 *         -Wl,--gc-sections -o build/seeds
 *     build/seeds
 */
#include <fcntl.h>
#include <stdlib.h>

#include "base/fs.h"
#include "boot/record.h"

static void put(const char *name, const struct boot_record *record)
{
    uint8_t buf[BOOT_RECORD_MAX];
    struct bytes content = { 0 };
    struct err err;
    scoped(close_fd) int fd = -1;

    if (fs_make_dirs(AT_FDCWD, "tests/fuzz/corpus/fuzz_boot_record", 0755, &err) != RC_OK ||
        fs_open_dir(AT_FDCWD, "tests/fuzz/corpus/fuzz_boot_record", 0755, &fd, &err) != RC_OK ||
        boot_encode(record, buf, sizeof buf, &content, &err) != RC_OK ||
        fs_write_file(fd, name, content, 0644, &err) != RC_OK)
        abort();
}

int main(void)
{
    const struct boot_id c = { { 'C', 1 } }, p = { { 'P', 2 } }, k = { { 'K', 3 } };

    put("fresh", &(struct boot_record){ 0 });
    put("committed", &(struct boot_record){ .current = c, .previous = p, .starts = 9 });
    put("trial", &(struct boot_record){ .current = c,
                                        .previous = p,
                                        .candidate = k,
                                        .tries = BOOT_TRIES,
                                        .format = 5,
                                        .ran = 12 });
    put("given-up", &(struct boot_record){ .current = c,
                                           .candidate = k,
                                           .reason = RC_HEALTH_TIMEOUT,
                                           .format = UINT32_MAX,
                                           .failed = p,
                                           .code = UINT32_MAX });
    put("failed", &(struct boot_record){ .failed = k, .code = RC_AGENT_DIED });
    return 0;
}
