/* SPDX-License-Identifier: Apache-2.0
 *
 * base/bytes: views of memory, and scope-bound cleanup.  A struct bytes never owns what it points
 * to.
 */
#ifndef BERTH_BASE_BYTES_H
#define BERTH_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A read-only view: n bytes at p.  p may be NULL only when n is 0. */
struct bytes {
    const uint8_t *p;
    size_t n;
};

/* A view of a NUL-terminated string without its terminator. */
static inline struct bytes bytes_of(const char *text)
{
    return (struct bytes){ .p = (const uint8_t *)text, .n = strlen(text) };
}

/* Same length and same content.  Not constant time: never for secrets, see crypto_equal. */
static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Copy a view into a NUL-terminated buffer.  False, and out untouched, if it does not fit or holds
 * a NUL. */
bool bytes_to_text(struct bytes in, char *out, size_t cap);

/* Lower-case hex of in, NUL-terminated.  out must hold 2 * n + 1 bytes; returns out. */
char *bytes_hex(struct bytes in, char *out);

/* Parse exactly n bytes of hex (2 * n digits, then the end of the string).  False on anything else.
 */
bool bytes_unhex(const char *text, uint8_t *out, size_t n);

/* Big-endian numbers of n bytes, 1 to 8. */
static inline void bytes_put_be(uint8_t *p, size_t n, uint64_t v)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
}

static inline uint64_t bytes_get_be(const uint8_t *p, size_t n)
{
    uint64_t v = 0;

    /*@ loop invariant i <= n;
        loop assigns i, v;
        loop variant n - i; */
    for (size_t i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

/* Scope-bound cleanup: scoped(close_fd) int fd = -1; ... return take_fd(&fd); */
#define scoped(fn) __attribute__((__cleanup__(fn)))

void close_fd(int *fd); /* closes and sets to -1; keeps errno */
void free_ptr(void *p); /* takes the address of a pointer; frees and sets to NULL */

/* Hand the descriptor on: the scope no longer closes it. */
static inline int take_fd(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}

#endif
