/* SPDX-License-Identifier: Apache-2.0 */
#include "deltamake/files.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

static enum rc map_file(const struct image_source *from, uint32_t i, struct bytes *ret,
                        struct err *err)
{
    scoped(close_fd) int fd = -1;
    struct stat st;

    if (from->sizes[i] == 0)
        return RC_OK;

    enum rc rc = from->open(from->arg, i, &fd, err);

    if (rc != RC_OK)
        return rc;
    if (fstat(fd, &st) < 0)
        return err_sys(err, RC_IO, "file %u", i);
    if ((uint64_t)st.st_size != from->sizes[i])
        return err_set(err, RC_VALUE, "file %u has another size than the list says", i);

    void *p = mmap(NULL, from->sizes[i], PROT_READ, MAP_PRIVATE, fd, 0);

    if (p == MAP_FAILED)
        return err_sys(err, RC_NO_MEMORY, "mapping file %u", i);
    *ret = (struct bytes){ p, from->sizes[i] };
    return RC_OK;
}

enum rc files_init(const struct image_source *from, uint64_t max, struct files *ret,
                   struct err *err)
{
    scoped(files_done) struct files files = { .n = from->n };

    for (uint32_t i = 0; i < from->n; i++) {
        if (from->sizes[i] > max - files.bytes)
            return err_set(err, RC_TOO_LARGE, "files of more than %llu bytes",
                           (unsigned long long)max);
        files.bytes += from->sizes[i];
    }
    files.f = calloc((size_t)from->n + 1, sizeof *files.f);
    if (!files.f)
        return err_set(err, RC_NO_MEMORY, "list of %u files", from->n);
    for (uint32_t i = 0; i < from->n; i++) {
        enum rc rc = map_file(from, i, &files.f[i], err);

        if (rc != RC_OK)
            return rc;
    }
    *ret = files;
    files.f = NULL; /* handed on */
    return RC_OK;
}

void files_done(struct files *files)
{
    for (uint32_t i = 0; files->f && i < files->n; i++)
        if (files->f[i].n > 0)
            (void)munmap((void *)(uintptr_t)files->f[i].p, files->f[i].n);
    free(files->f);
    *files = (struct files){ .f = NULL };
}
