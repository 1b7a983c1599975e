/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/vectors: reads tests/vectors, from the top of the tree where tests are run.
 */
#ifndef BERTH_TESTS_UNIT_VECTORS_H
#define BERTH_TESTS_UNIT_VECTORS_H

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define VECTOR_MAX 16384U
#define VECTOR_DIR "tests/vectors/"

/* Bytes of one .hex file; comment lines begin with '#'.  A file that cannot be read ends the test.
 */
struct vector {
    uint8_t p[VECTOR_MAX];
    size_t n;
};

static inline unsigned vector_digit(int c)
{
    return (unsigned)(isdigit(c) ? c - '0' : tolower(c) - 'a' + 10);
}

static inline void vector_hex(const char *text, struct vector *v)
{
    unsigned high = 16;

    for (; *text; text++) {
        unsigned digit;

        if (isspace((unsigned char)*text))
            continue;
        if (!isxdigit((unsigned char)*text) || v->n == VECTOR_MAX)
            abort();
        digit = vector_digit((unsigned char)*text);
        if (high == 16) {
            high = digit;
            continue;
        }
        v->p[v->n++] = (uint8_t)(high << 4 | digit);
        high = 16;
    }
    if (high != 16)
        abort();
}

static inline void vector_load(const char *name, struct vector *ret)
{
    char path[512];
    char line[VECTOR_MAX];
    FILE *f;

    (void)snprintf(path, sizeof path, VECTOR_DIR "%s", name);
    f = fopen(path, "re");
    if (!f) {
        (void)fprintf(stderr, "%s: cannot be read\n", path);
        abort();
    }
    ret->n = 0;
    while (fgets(line, sizeof line, f)) {
        if (line[0] != '#')
            vector_hex(line, ret);
    }
    (void)fclose(f);
}

static inline struct bytes vector_bytes(const struct vector *v)
{
    return (struct bytes){ .p = v->p, .n = v->n };
}

/* A value of rfc9173/crypto.txt, "name = hex". */
static inline void vector_secret(const char *name, struct vector *ret)
{
    char line[1024];
    size_t n = strlen(name);
    FILE *f = fopen(VECTOR_DIR "rfc9173/crypto.txt", "re");

    if (!f)
        abort();
    ret->n = 0;
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, name, n) != 0 || strncmp(line + n, " = ", 3) != 0)
            continue;
        line[strcspn(line, "#\n")] = '\0';
        vector_hex(line + n + 3, ret);
    }
    (void)fclose(f);
    if (ret->n == 0)
        abort();
}

#endif
