/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/alloc_count: the memory that this program has allocated, counted at every allocation
 * and every release, those of libraries too.  For programs of one thread; include it in one file
 * of a program only.
 */
#ifndef BERTH_TESTS_UNIT_ALLOC_COUNT_H
#define BERTH_TESTS_UNIT_ALLOC_COUNT_H

#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>

struct alloc_count {
    int64_t now;  /* bytes that were allocated since alloc_begin and not released */
    int64_t most; /* the most that now was */
};

/* Compilers know of malloc that it changes no variable: this one it does. */
static volatile struct alloc_count alloc_count;

static inline void alloc_more(size_t n)
{
    alloc_count.now += (int64_t)n;
    if (alloc_count.now > alloc_count.most)
        alloc_count.most = alloc_count.now;
}

static inline void alloc_less(size_t n)
{
    alloc_count.now -= (int64_t)n;
}

#if defined(BERTH_SANITIZED)

/* Of the sanitizers' allocator interface, whose header not every compiler brings. */
/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
int __sanitizer_install_malloc_and_free_hooks(void (*more)(const volatile void *p, size_t n),
                                              void (*less)(const volatile void *p));
size_t __sanitizer_get_allocated_size(const volatile void *p);
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

static inline void alloc_hook_more(const volatile void *p, size_t n)
{
    (void)p;
    alloc_more(n);
}

static inline void alloc_hook_less(const volatile void *p)
{
    if (p)
        alloc_less(__sanitizer_get_allocated_size(p));
}

static inline void alloc_start(void)
{
    static int installed;

    if (!installed && !__sanitizer_install_malloc_and_free_hooks(alloc_hook_more, alloc_hook_less))
        abort();
    installed = 1;
}

#else

/* These take the place of the C library's, for all that is loaded. */
#define ALLOC_FOR_ALL __attribute__((visibility("default")))

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);
void __libc_free(void *p);
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

ALLOC_FOR_ALL void *malloc(size_t n)
{
    void *p = __libc_malloc(n);

    alloc_more(malloc_usable_size(p));
    return p;
}

ALLOC_FOR_ALL void *calloc(size_t n, size_t size)
{
    void *p = __libc_calloc(n, size);

    alloc_more(malloc_usable_size(p));
    return p;
}

/* Counted as if it were always moved: for a moment both are there. */
ALLOC_FOR_ALL void *realloc(void *old, size_t n)
{
    size_t before = malloc_usable_size(old);
    void *p = __libc_realloc(old, n);

    if (p)
        alloc_more(malloc_usable_size(p));
    if (p || n == 0)
        alloc_less(before);
    return p;
}

ALLOC_FOR_ALL void *memalign(size_t align, size_t n)
{
    void *p = __libc_memalign(align, n);

    alloc_more(malloc_usable_size(p));
    return p;
}

ALLOC_FOR_ALL void *aligned_alloc(size_t align, size_t n)
{
    return memalign(align, n);
}

ALLOC_FOR_ALL int posix_memalign(void **ret, size_t align, size_t n)
{
    void *p = memalign(align, n);

    if (!p)
        return ENOMEM;
    *ret = p;
    return 0;
}

ALLOC_FOR_ALL void free(void *p)
{
    alloc_less(malloc_usable_size(p));
    __libc_free(p);
}

static inline void alloc_start(void)
{
}

#endif

/* Count from nothing. */
static inline void alloc_begin(void)
{
    alloc_start();
    alloc_count = (struct alloc_count){ .now = 0 };
}

/* The test itself allocates between these two: it does not count.  The first one returns what the
 * second one wants. */
static inline struct alloc_count alloc_pause(void)
{
    return alloc_count;
}

static inline void alloc_resume(struct alloc_count paused)
{
    alloc_count = paused;
}

#endif
