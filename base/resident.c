/* SPDX-License-Identifier: Apache-2.0 */
#include "base/resident.h"

#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* Segments that are not writable hold no page of their own: nothing here has text relocations, and
 * what the loader writes to and protects afterwards (RELRO) lies in a writable one. */
static int release_object(struct dl_phdr_info *object, size_t size, void *arg)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE) - 1;

    (void)size;
    (void)arg;
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &object->dlpi_phdr[i];
        uintptr_t start = (object->dlpi_addr + p->p_vaddr) & ~page;
        uintptr_t end = (object->dlpi_addr + p->p_vaddr + p->p_memsz + page) & ~page;

        /* Where the kernel will not, as with its own vDSO, the pages simply stay. */
        if (p->p_type == PT_LOAD && (p->p_flags & PF_W) == 0)
            (void)madvise((void *)start, end - start, MADV_DONTNEED);
    }
    return 0;
}

void resident_release(void)
{
    (void)malloc_trim(0);
    (void)dl_iterate_phdr(release_object, NULL);
}
