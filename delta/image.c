/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/image.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "delta/gzip.h"

#define TOTAL_MAX (1ULL << 40) /* so that positions in bits stay far from the end of 64 */

#define FIXED_COST 1024U /* of a struct image: part of the format, as is the next one */
#define FILE_COST 16U

struct image {
    struct image_source from;
    uint32_t n;            /* files of the list and those added behind */
    uint32_t cap;          /* room for so many */
    const uint8_t **files; /* each mapped file, NULL = not yet; those added are allocated */
    uint64_t *starts;      /* of each file, and one more: the end */
};

static_assert(sizeof(struct image) <= FIXED_COST &&
                  sizeof(uint64_t) + sizeof(uint8_t *) <= FILE_COST,
              "what a delta declares stays enough");

uint64_t image_cost(uint32_t n)
{
    return FIXED_COST + ((uint64_t)n + 1) * FILE_COST;
}

/* Make room for n files in all. */
static enum rc resize(struct image *im, uint32_t n, struct err *err)
{
    uint64_t *starts = realloc(im->starts, ((size_t)n + 1) * sizeof *starts);

    if (starts)
        im->starts = starts;

    const uint8_t **files = realloc(im->files, ((size_t)n + 1) * sizeof *files);

    if (files)
        im->files = files;
    if (!starts || !files)
        return err_set(err, RC_NO_MEMORY, "image");
    im->cap = n;
    return RC_OK;
}

enum rc image_new(const struct image_source *from, struct image **ret, struct err *err)
{
    if (from->n > IMAGE_FILES_MAX)
        return err_set(err, RC_DELTA_BASE, "%u old files", from->n);

    scoped(image_free) struct image *im = calloc(1, sizeof *im);
    enum rc rc = im ? resize(im, from->n, err) : err_set(err, RC_NO_MEMORY, "image");

    if (rc != RC_OK)
        return rc;
    im->from = *from;
    im->starts[0] = 0;
    for (uint32_t i = 0; i < from->n; i++) {
        if (from->sizes[i] > TOTAL_MAX - im->starts[i])
            return err_set(err, RC_DELTA_BASE, "old files are too large");
        im->starts[i + 1] = im->starts[i] + from->sizes[i];
        im->files[i] = NULL;
        im->n++;
    }
    *ret = im;
    im = NULL;
    return RC_OK;
}

void image_free(struct image **im)
{
    if (!*im)
        return;
    image_drop(*im);
    for (uint32_t i = 0; i < (*im)->n; i++)
        if ((*im)->files[i])
            (void)munmap((void *)(uintptr_t)(*im)->files[i], (size_t)image_file_size(*im, i));
    free((void *)(uintptr_t)(*im)->files);
    free((*im)->starts);
    free(*im);
    *im = NULL;
}

uint32_t image_files(const struct image *im)
{
    return im->from.n;
}

uint64_t image_size(const struct image *im)
{
    return im->starts[im->n];
}

uint64_t image_start(const struct image *im, uint32_t i)
{
    assert(i < im->n);
    return im->starts[i];
}

uint64_t image_file_size(const struct image *im, uint32_t i)
{
    assert(i < im->n);
    return im->starts[i + 1] - im->starts[i];
}

bool image_find(const struct image *im, uint64_t pos, uint32_t *ret_file)
{
    uint32_t low = 0;
    uint32_t high = im->n;

    if (pos >= image_size(im))
        return false;
    while (high - low > 1) {
        uint32_t mid = low + (high - low) / 2;

        if (im->starts[mid] <= pos)
            low = mid;
        else
            high = mid;
    }
    *ret_file = low;
    return true;
}

static enum rc map_file(struct image *im, uint32_t i, struct err *err)
{
    scoped(close_fd) int fd = -1;
    struct stat st;
    enum rc rc = im->from.open(im->from.arg, i, &fd, err);
    uint64_t size = image_file_size(im, i);

    if (rc != RC_OK)
        return rc;
    if (fstat(fd, &st) != 0)
        return err_sys(err, RC_IO, "old file %u", i);
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != size)
        return err_set(err, RC_DELTA_BASE, "old file %u is not as the index says", i);
    if (size == 0)
        return RC_OK;

    void *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);

    if (p == MAP_FAILED)
        return err_sys(err, RC_IO, "old file %u", i);
    im->files[i] = p;
    return RC_OK;
}

enum rc image_map(struct image *im, uint32_t i, struct bytes *ret, struct err *err)
{
    enum rc rc = im->files[i] ? RC_OK : map_file(im, i, err);

    if (rc == RC_OK)
        *ret = (struct bytes){ .p = im->files[i], .n = (size_t)image_file_size(im, i) };
    return rc;
}

enum rc image_room(struct image *im, uint32_t n, struct err *err)
{
    assert(im->n == im->from.n);
    return resize(im, im->from.n + n, err);
}

enum rc image_opened(struct image *im, uint32_t i, uint64_t *ret, struct err *err)
{
    struct bytes file = { .n = 0 };
    uint32_t head = 0;
    enum rc rc = image_map(im, i, &file, err);

    if (rc == RC_OK && !gzip_size(file, ret, &head))
        rc = err_set(err, RC_DELTA_BASE, "old file %u cannot be opened", i);
    return rc;
}

enum rc image_add(struct image *im, uint32_t i, struct err *err)
{
    struct bytes file = { .n = 0 };
    uint64_t size = 0;
    enum rc rc = image_opened(im, i, &size, err);

    assert(im->n < im->cap);
    if (rc == RC_OK)
        rc = image_map(im, i, &file, err);
    if (rc != RC_OK)
        return rc;
    if (size > TOTAL_MAX - image_size(im))
        return err_set(err, RC_DELTA_BASE, "old files are too large");

    uint8_t *p = malloc((size_t)size);

    if (!p)
        return err_set(err, RC_NO_MEMORY, "%llu bytes", (unsigned long long)size);
    if (!gzip_open(file, p)) {
        free(p);
        return err_set(err, RC_DELTA_BASE, "old file %u cannot be opened", i);
    }
    im->files[im->n] = p;
    im->starts[im->n + 1] = im->starts[im->n] + size;
    im->n++;
    return RC_OK;
}

void image_drop(struct image *im)
{
    while (im->n > im->from.n)
        free((void *)(uintptr_t)im->files[--im->n]);
}
