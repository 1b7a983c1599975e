/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

bool bytes_to_text(struct bytes in, char *out, size_t cap)
{
    if (in.n >= cap || (in.n > 0 && memchr(in.p, 0, in.n)))
        return false;
    if (in.n > 0)
        memcpy(out, in.p, in.n);
    out[in.n] = 0;
    return true;
}

char *bytes_hex(struct bytes in, char *out)
{
    static const char digit[] = "0123456789abcdef";

    for (size_t i = 0; i < in.n; i++) {
        out[2 * i] = digit[in.p[i] >> 4];
        out[2 * i + 1] = digit[in.p[i] & 15];
    }
    out[2 * in.n] = 0;
    return out;
}

#define NOT_HEX 16U

static unsigned nibble(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a') + 10;
    if (c >= 'A' && c <= 'F')
        return (unsigned)(c - 'A') + 10;
    return NOT_HEX;
}

bool bytes_unhex(const char *text, uint8_t *out, size_t n)
{
    if (strlen(text) != 2 * n)
        return false;
    for (size_t i = 0; i < 2 * n; i++)
        if (nibble(text[i]) == NOT_HEX)
            return false;
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(nibble(text[2 * i]) << 4 | nibble(text[2 * i + 1]));
    return true;
}

void close_fd(int *fd)
{
    int saved = errno;

    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
    errno = saved;
}

void free_ptr(void *p)
{
    void **at = p;

    free(*at);
    *at = NULL;
}
