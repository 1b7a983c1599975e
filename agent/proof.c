/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/proof.h"

#include "base/crypto.h"
#include "base/fs.h"
#include "base/log.h"
#include "update/check.h"

#define PROOF_TIMEOUT_MS 60000U /* for a few bytes, on a machine that has much else to do */

static const char sample[] = "read by an unpacker that works\n";

static enum rc begin(struct proof *proof, int program_fd, struct err *err)
{
    const struct bytes content = { .p = (const uint8_t *)sample, .n = sizeof sample - 1 };
    struct check_object what = { .fd = -1, .size = content.n };
    enum rc rc = sha256_of(content, what.digest.b, err);

    if (rc == RC_OK)
        rc = fs_sealed("proof", content, &what.fd, err);
    if (rc == RC_OK)
        rc = check_start_object(&what, program_fd, false, &proof->job, err);
    close_fd(&what.fd);
    return rc;
}

static enum rc fail(struct proof *proof, const struct err *why, struct err *err)
{
    proof->tries++;
    log_err(LOG_LEVEL_WARN, why, "berth-unpack does not work here");
    return proof->tries < PROOF_TRIES_MAX
               ? RC_BUSY
               : err_set(err, RC_UNPACK_FAILED, "berth-unpack does not work here");
}

enum rc proof_step(struct proof *proof, int program_fd, uint64_t now_ms, struct err *err)
{
    struct err why = { 0 };

    if (proof->good)
        return RC_OK;
    if (proof->tries >= PROOF_TRIES_MAX)
        return err_set(err, RC_UNPACK_FAILED, "berth-unpack does not work here");
    if (!proof->busy) {
        if (begin(proof, program_fd, &why) != RC_OK)
            return fail(proof, &why, err);
        proof->busy = true;
        proof->until_ms = now_ms + PROOF_TIMEOUT_MS;
        return RC_BUSY;
    }
    if (!unpack_ended(&proof->job)) {
        if (now_ms >= proof->until_ms)
            unpack_kill(&proof->job);
        return RC_BUSY;
    }
    proof->busy = false;
    if (unpack_result(&proof->job, &why) != RC_OK)
        return fail(proof, &why, err);
    proof->good = true;
    return RC_OK;
}

void proof_stop(struct proof *proof)
{
    if (proof->busy)
        unpack_cancel(&proof->job);
    proof->busy = false;
}
