/* SPDX-License-Identifier: Apache-2.0 */
#include "link/counter.h"

#include "base/cbor.h"
#include "base/statefile.h"

#define COUNTER_NAME "counter"
#define COUNTER_FILE_MAX 32U
#define COUNTER_END (UINT64_MAX - COUNTER_LEASE) /* no number beyond is ever leased */

/* Write the end of a lease: every number below it counts as used from now on. */
static enum rc save(int dirfd, uint32_t epoch, uint64_t end, struct err *err)
{
    uint8_t buf[COUNTER_FILE_MAX];
    struct cbor_out w = { .p = buf, .cap = sizeof buf };
    struct bytes content = { 0 };

    cbor_put_array(&w, 2);
    cbor_put_uint(&w, epoch);
    cbor_put_uint(&w, end);
    enum rc rc = cbor_written(&w, &content, err);
    return rc == RC_OK ? statefile_save(dirfd, COUNTER_NAME, content, err) : rc;
}

enum rc counter_make(int dirfd, uint32_t epoch, struct err *err)
{
    enum rc rc = save(dirfd, epoch, 1, err);

    /* Both copies, so that one alone always means that the other got lost. */
    return rc == RC_OK ? save(dirfd, epoch, 1, err) : rc;
}

enum rc counter_load(int dirfd, uint32_t epoch, struct counter *ret, struct err *err)
{
    uint8_t buf[COUNTER_FILE_MAX];
    size_t n = 0;
    struct statefile_info info = { 0 };
    enum rc rc = statefile_load(dirfd, COUNTER_NAME, buf, sizeof buf, &n, &info, err);

    if (rc != RC_OK)
        return err_set(err, RC_COUNTER, "send counter: %s", rc_name(rc));
    struct cbor_in r = cbor_read((struct bytes){ buf, n });

    cbor_array(&r, "counter", 2, 2);
    uint64_t saved_epoch = cbor_uint(&r, "epoch", UINT32_MAX);
    uint64_t end = cbor_uint(&r, "end", COUNTER_END);

    cbor_end(&r);
    rc = cbor_done(&r, err);
    if (rc != RC_OK || end == 0)
        return err_set(err, RC_COUNTER, "send counter: %s", rc_name(rc));
    if (saved_epoch != epoch)
        return err_set(err, RC_COUNTER, "send counter is of key epoch %llu",
                       (unsigned long long)saved_epoch);

    *ret = (struct counter){ .next = end, .end = end, .saved = end, .epoch = epoch };
    /* A damaged or lost copy may have been the newer one, one lease ahead and in use: skip that. */
    if (info.damaged || info.alone)
        ret->next = ret->end = end + COUNTER_LEASE;
    return RC_OK;
}

enum rc counter_next(struct counter *counter, int dirfd, uint64_t *ret, struct err *err)
{
    if (counter->broken || counter->next == 0)
        return err_set(err, RC_COUNTER, "send counter is not usable");
    if (counter->next >= counter->end) {
        if (counter->next > COUNTER_END - COUNTER_LEASE)
            return err_set(err, RC_COUNTER, "send counter is used up");
        uint64_t end = counter->next + COUNTER_LEASE;
        enum rc rc = save(dirfd, counter->epoch, end, err);

        /* No copy may lag by more than one lease, or the loss of the other would go unnoticed. */
        if (rc == RC_OK && end - counter->saved > COUNTER_LEASE)
            rc = save(dirfd, counter->epoch, end, err);

        /* What is on disk now is not known; a restart finds out. */
        if (rc != RC_OK) {
            counter->broken = rc != RC_NO_SPACE;
            return err_set(err, RC_COUNTER, "lease of the send counter: %s", rc_name(rc));
        }
        counter->end = counter->saved = end;
    }
    *ret = counter->next++;
    return RC_OK;
}
