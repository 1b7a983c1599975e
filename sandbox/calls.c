/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/calls.h"

#include <assert.h>

struct row {
    const char *name;
    int16_t nr[CALLS_ARCHES];
    uint8_t class;
};

static const struct row rows[CALLS_N] = {
#define CALL(name, x86_64, aarch64, class)                                                         \
    [CALL_##name] = { #name, { x86_64, aarch64 }, CALL_CLASS_##class },
#include "sandbox/calls.def"
#undef CALL
};

const char *call_name(enum call call)
{
    assert((unsigned int)call < CALLS_N);
    return rows[call].name;
}

int call_nr(enum call call, enum calls_arch arch)
{
    assert((unsigned int)call < CALLS_N && (unsigned int)arch < CALLS_ARCHES);
    return rows[call].nr[arch];
}

enum call_class call_class(enum call call)
{
    assert((unsigned int)call < CALLS_N);
    return (enum call_class)rows[call].class;
}

bool call_find(enum calls_arch arch, uint32_t nr, enum call *ret)
{
    assert((unsigned int)arch < CALLS_ARCHES);
    for (unsigned int i = 0; i < CALLS_N; i++) {
        if (rows[i].nr[arch] >= 0 && (uint32_t)rows[i].nr[arch] == nr) {
            *ret = (enum call)i;
            return true;
        }
    }
    return false;
}

uint32_t calls_audit_arch(enum calls_arch arch)
{
    return arch == CALLS_X86_64 ? AUDIT_ARCH_X86_64 : AUDIT_ARCH_AARCH64;
}
