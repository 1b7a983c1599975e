/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/filters.h"

#include <assert.h>
#include <string.h>

#define REAPER PROFILE_MASKS /* behind those of payloads, which are numbered by their grants */

static enum rc compile(struct filters *f, uint32_t i, struct seccomp_program *ret, struct err *err)
{
    f->compiled++;
    return seccomp_build(i == REAPER ? SECCOMP_REAPER : SECCOMP_PAYLOAD, i == REAPER ? 0 : i,
                         CALLS_NATIVE, ret, err);
}

enum rc filters_make(struct filters *ret, struct err *err)
{
    ret->compiled = 0;
    for (uint32_t i = 0; i < FILTERS_N; i++) {
        enum rc rc = compile(ret, i, &ret->program[i], err);

        if (rc != RC_OK)
            return rc;
        memcpy(ret->digest[i], ret->program[i].digest, SUM_SIZE);
    }
    return RC_OK;
}

const struct seccomp_program *filters_get(const struct filters *filters, enum seccomp_role role,
                                          uint32_t calls)
{
    assert(role == SECCOMP_REAPER || (role == SECCOMP_PAYLOAD && calls < PROFILE_MASKS));
    return &filters->program[role == SECCOMP_REAPER ? REAPER : calls];
}

static enum rc mend(struct filters *f, uint32_t i, struct err *err)
{
    static struct seccomp_program again; /* large, and there is one thread */
    struct seccomp_program *p = &f->program[i];

    if (seccomp_whole(p) && memcmp(p->digest, f->digest[i], SUM_SIZE) == 0)
        return RC_OK;
    enum rc rc = compile(f, i, &again, err);
    if (rc != RC_OK)
        return rc;
    if (memcmp(again.digest, p->digest, SUM_SIZE) != 0 &&
        memcmp(again.digest, f->digest[i], SUM_SIZE) != 0)
        return err_set(err, RC_LAYER_MISSING, "seccomp filter %u cannot be made as it was", i);
    *p = again;
    memcpy(f->digest[i], again.digest, SUM_SIZE);
    return RC_OK;
}

enum rc filters_mend(struct filters *filters, struct err *err)
{
    enum rc rc = RC_OK;

    for (uint32_t i = 0; i < FILTERS_N; i++) {
        enum rc one = mend(filters, i, err);

        rc = rc == RC_OK ? one : rc;
    }
    return rc;
}
