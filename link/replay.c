/* SPDX-License-Identifier: Apache-2.0 */
#include "link/replay.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/cbor.h"
#include "base/statefile.h"

#define REPLAY_NAME_CAP 32U
#define WORDS (REPLAY_WINDOW / 64U)
#define REPLAY_FILE_MAX (REPLAY_WINDOW / 8U + 64U)

static_assert(REPLAY_WINDOW % 64 == 0, "the window is whole words");

static const char *file_of(uint64_t key, char out[REPLAY_NAME_CAP])
{
    snprintf(out, REPLAY_NAME_CAP, REPLAY_PREFIX "%016" PRIx64, key);
    return out;
}

static enum rc encode(const struct replay *replay, uint8_t buf[REPLAY_FILE_MAX], struct bytes *ret,
                      struct err *err)
{
    uint8_t window[REPLAY_WINDOW / 8U];
    struct cbor_out w = { .p = buf, .cap = REPLAY_FILE_MAX };

    for (size_t i = 0; i < sizeof window; i++)
        window[i] = (uint8_t)(replay->seen[i / 8] >> (8 * (i % 8)));
    cbor_put_array(&w, 4);
    cbor_put_uint(&w, replay->peer);
    cbor_put_uint(&w, replay->key);
    cbor_put_uint(&w, replay->high);
    cbor_put_bstr(&w, (struct bytes){ window, sizeof window });
    return cbor_written(&w, ret, err);
}

static enum rc save(int dirfd, const struct replay *replay, struct err *err)
{
    char name[REPLAY_NAME_CAP];
    uint8_t buf[REPLAY_FILE_MAX];
    struct bytes content = { 0 };
    enum rc rc = encode(replay, buf, &content, err);

    return rc == RC_OK ? statefile_save(dirfd, file_of(replay->key, name), content, err) : rc;
}

enum rc replay_make(int dirfd, uint32_t peer, uint64_t key, struct err *err)
{
    const struct replay empty = { .peer = peer, .key = key };

    enum rc rc = save(dirfd, &empty, err);

    /* Both copies, so that one alone always means that the other got lost. */
    return rc == RC_OK ? save(dirfd, &empty, err) : rc;
}

/* The saved state as it was written. */
static enum rc decode(struct bytes in, struct replay *ret, struct err *err)
{
    uint8_t window[REPLAY_WINDOW / 8U] = { 0 };
    struct cbor_in r = cbor_read(in);

    cbor_array(&r, "replay", 4, 4);
    ret->peer = (uint32_t)cbor_uint(&r, "peer", UINT32_MAX);
    ret->key = cbor_uint(&r, "key", UINT64_MAX);
    ret->high = cbor_uint(&r, "high", UINT64_MAX);
    cbor_fixed(&r, "window", window, sizeof window);
    cbor_end(&r);
    for (size_t i = 0; i < sizeof window; i++)
        ret->seen[i / 8] |= (uint64_t)window[i] << (8 * (i % 8));
    return cbor_done(&r, err);
}

enum rc replay_load(int dirfd, uint32_t peer, uint64_t key, struct replay *ret, struct err *err)
{
    uint8_t buf[REPLAY_FILE_MAX];
    char name[REPLAY_NAME_CAP];
    size_t n = 0;
    struct replay found = { 0 };
    struct statefile_info info = { 0 };
    enum rc rc = statefile_load(dirfd, file_of(key, name), buf, sizeof buf, &n, &info, err);

    if (rc == RC_OK)
        rc = decode((struct bytes){ buf, n }, &found, err);
    if (rc == RC_OK && (found.peer != peer || found.key != key))
        rc = RC_VALUE;
    if (rc != RC_OK)
        return err_set(err, RC_STATE_DAMAGED, "replay window: %s", rc_name(rc));
    found.saved = found.high;
    /* A damaged or lost copy may have been the newer one.  It was at most REPLAY_SKIP ahead of this
     * one (see replay_save): refuse all that it can have accepted. */
    if ((info.damaged || info.alone) && found.high < UINT64_MAX - REPLAY_SKIP) {
        memset(found.seen, 0xff, sizeof found.seen);
        found.high += REPLAY_SKIP;
        found.dirty = true;
    }
    *ret = found;
    return RC_OK;
}

static uint64_t bit_of(uint64_t counter)
{
    return UINT64_C(1) << (counter % 64);
}

static uint64_t *word_of(struct replay *replay, uint64_t counter)
{
    return &replay->seen[(counter % REPLAY_WINDOW) / 64];
}

enum rc replay_accept(struct replay *replay, uint64_t counter, struct err *err)
{
    if (counter == 0)
        return err_set(err, RC_VALUE, "bundle counter 0");
    if (counter > replay->high) {
        uint64_t step = counter - replay->high;

        if (step > REPLAY_JUMP_MAX)
            return err_set(err, RC_REPLAY_JUMP, "bundle counter %llu after %llu",
                           (unsigned long long)counter, (unsigned long long)replay->high);
        /* The numbers that enter the window now take the bits of those that leave it. */
        for (uint64_t i = 1; i <= step && i <= REPLAY_WINDOW; i++)
            *word_of(replay, counter - i + 1) &= ~bit_of(counter - i + 1);
        replay->high = counter;
    } else if (replay->high - counter >= REPLAY_WINDOW) {
        return err_set(err, RC_REPLAY_OLD, "bundle counter %llu below window of %llu",
                       (unsigned long long)counter, (unsigned long long)replay->high);
    } else if ((*word_of(replay, counter) & bit_of(counter)) != 0) {
        return err_set(err, RC_REPLAY, "bundle counter %llu", (unsigned long long)counter);
    }
    *word_of(replay, counter) |= bit_of(counter);
    replay->dirty = true;
    replay->accepted++;
    return RC_OK;
}

enum rc replay_save(struct replay *replay, int dirfd, struct err *err)
{
    if (!replay->dirty)
        return RC_OK;
    enum rc rc = save(dirfd, replay, err);
    /* Far ahead of the other copy: bring that up as well, so that the loss of either one is small.
     */
    if (rc == RC_OK && replay->high - replay->saved > REPLAY_SKIP)
        rc = save(dirfd, replay, err);
    if (rc != RC_OK)
        return rc;
    replay->dirty = false;
    replay->saved = replay->high;
    return RC_OK;
}

enum rc replay_scrub(const struct replay *replay, int dirfd, struct scrubbed *count,
                     struct err *err)
{
    char name[REPLAY_NAME_CAP];
    uint8_t buf[REPLAY_FILE_MAX];
    struct bytes content = { 0 };
    enum statefile_found found;
    enum rc rc = encode(replay, buf, &content, err);

    return rc == RC_OK
               ? statefile_scrub(dirfd, file_of(replay->key, name), &content, &found, count, err)
               : rc;
}
