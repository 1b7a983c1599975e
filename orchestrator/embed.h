/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/embed: files of the source tree that programs carry inside them.
 */
#ifndef BERTH_ORCHESTRATOR_EMBED_H
#define BERTH_ORCHESTRATOR_EMBED_H

#include "base/bytes.h"

/* The assembler puts a file, as it is, between two symbols.  At file scope; the Makefile must say
 * that the object depends on the file. */
#define EMBED(symbol, file)                                                                        \
    __asm__(".pushsection .rodata\n"                                                               \
            "embedded_" #symbol ":\n.incbin \"" file "\"\n"                                        \
            "embedded_" #symbol "_end:\n.byte 0\n.popsection\n");                                  \
    extern const uint8_t embedded_##symbol[] __attribute__((visibility("hidden")));                \
    extern const uint8_t embedded_##symbol##_end[] __attribute__((visibility("hidden")))

/* Its content. */
#define EMBEDDED(symbol) embed_between(embedded_##symbol, embedded_##symbol##_end)

static inline struct bytes embed_between(const uint8_t *from, const uint8_t *to)
{
    return (struct bytes){ .p = from, .n = (size_t)((uintptr_t)to - (uintptr_t)from) };
}

#endif
