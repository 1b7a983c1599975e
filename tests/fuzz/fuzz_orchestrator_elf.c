/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/mman.h>
#include <unistd.h>

#include "orchestrator/elf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    scoped(close_fd) int fd = memfd_create("elf", MFD_CLOEXEC);
    struct elf_needs needs;

    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        return 0;
    if (elf_read(fd, &needs, NULL) == RC_OK && needs.n > ELF_NEEDED_MAX)
        __builtin_trap();
    return 0;
}
