/* SPDX-License-Identifier: Apache-2.0 */
#include "link/counter.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/cbor.h"
#include "base/crypto.h"
#include "base/statefile.h"

#define COUNTER_NAME_CAP 32U
#define COUNTER_FILE_MAX 48U
#define COUNTER_END (COUNTER_MAX - COUNTER_LEASE) /* no lease begins beyond */
#define SALT_SIZE 7U

static const char *file_of(uint64_t key, char out[COUNTER_NAME_CAP])
{
    snprintf(out, COUNTER_NAME_CAP, COUNTER_PREFIX "%016" PRIx64, key);
    return out;
}

/* A number for the directory itself, which is another one for any copy of it: of its inode and of
 * when that was made.  0 if the system does not say. */
static uint64_t place_of(int dirfd)
{
    struct statx st = { 0 };
    uint8_t digest[32] = { 0 };
    uint64_t what[3];

    if (statx(dirfd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &st) != 0)
        return 0;
    what[0] = st.stx_ino;
    what[1] = st.stx_mask & STATX_BTIME ? (uint64_t)st.stx_btime.tv_sec : 0;
    what[2] = st.stx_mask & STATX_BTIME ? st.stx_btime.tv_nsec : 0;
    if (sha256_of((struct bytes){ (const uint8_t *)what, sizeof what }, digest, NULL) != RC_OK)
        return 0;
    return bytes_get_be(digest, 8);
}

static uint64_t random_salt(void)
{
    uint8_t salt[SALT_SIZE];

    crypto_random(salt, sizeof salt);
    return bytes_get_be(salt, sizeof salt);
}

/* How far ahead of a file that was brought back: not the same way twice, should it come back again.
 */
static uint64_t random_jump(void)
{
    return COUNTER_RESTORED_MIN + random_salt() % (COUNTER_RESTORED_MAX - COUNTER_RESTORED_MIN);
}

static enum rc encode(uint64_t key, uint64_t end, uint64_t place, uint8_t buf[COUNTER_FILE_MAX],
                      struct bytes *ret)
{
    struct cbor_out w = { .p = buf, .cap = COUNTER_FILE_MAX };

    cbor_put_array(&w, 3);
    cbor_put_uint(&w, key);
    cbor_put_uint(&w, end);
    cbor_put_uint(&w, place);
    return cbor_written(&w, ret, NULL);
}

/* Write the end of a lease: every number below it counts as used from now on. */
static enum rc save(int dirfd, uint64_t key, uint64_t end, uint64_t place, struct err *err)
{
    char name[COUNTER_NAME_CAP];
    uint8_t buf[COUNTER_FILE_MAX];
    struct bytes content = { 0 };
    enum rc rc = encode(key, end, place, buf, &content);

    return rc == RC_OK ? statefile_save(dirfd, file_of(key, name), content, err) : rc;
}

enum rc counter_make(int dirfd, uint64_t key, struct err *err)
{
    uint64_t place = place_of(dirfd);
    enum rc rc = save(dirfd, key, 1, place, err);

    /* Both copies, so that one alone always means that the other got lost. */
    return rc == RC_OK ? save(dirfd, key, 1, place, err) : rc;
}

enum rc counter_load(int dirfd, uint64_t key, struct counter *ret, struct err *err)
{
    uint8_t buf[COUNTER_FILE_MAX];
    char name[COUNTER_NAME_CAP];
    size_t n = 0;
    struct statefile_info info = { 0 };
    enum rc rc = statefile_load(dirfd, file_of(key, name), buf, sizeof buf, &n, &info, err);

    if (rc != RC_OK)
        return err_set(err, RC_COUNTER, "send counter: %s", rc_name(rc));
    struct cbor_in r = cbor_read((struct bytes){ buf, n });

    size_t fields = cbor_array(&r, "counter", 2, 3); /* two before there were places */
    uint64_t saved_key = cbor_uint(&r, "key", UINT64_MAX);
    uint64_t end = cbor_uint(&r, "end", COUNTER_MAX);
    uint64_t place = fields == 3 ? cbor_uint(&r, "place", UINT64_MAX) : 0;

    cbor_end(&r);
    rc = cbor_done(&r, err);
    if (rc != RC_OK || end == 0)
        return err_set(err, RC_COUNTER, "send counter: %s", rc_name(rc));
    if (saved_key != key)
        return err_set(err, RC_COUNTER, "send counter is of key %llx",
                       (unsigned long long)saved_key);

    *ret = (struct counter){ .next = end, .end = end, .saved = end, .key = key };
    ret->salt = random_salt();
    ret->place = place_of(dirfd);
    /* Where nothing was ever leased, this is how provisioning brought the file here. */
    ret->restored = place != ret->place && end > 1;
    if (ret->restored)
        ret->next = ret->end = end + random_jump();
    /* A damaged or lost copy may have been the newer one, one lease ahead and in use: skip that. */
    if (info.damaged || info.alone)
        ret->next = ret->end = ret->end + COUNTER_LEASE;
    return RC_OK;
}

enum rc counter_next(struct counter *counter, int dirfd, uint64_t *ret, struct err *err)
{
    if (counter->broken || counter->next == 0)
        return err_set(err, RC_COUNTER, "send counter is not usable");
    if (counter->next >= counter->end) {
        if (counter->next > COUNTER_END)
            return err_set(err, RC_COUNTER, "send counter is used up");
        uint64_t end = counter->next + (counter->lease != 0 ? counter->lease : COUNTER_LEASE);
        enum rc rc = save(dirfd, counter->key, end, counter->place, err);

        /* No copy may lag by more than one lease, or the loss of the other would go unnoticed. */
        if (rc == RC_OK && (counter->unsure || end - counter->saved > COUNTER_LEASE))
            rc = save(dirfd, counter->key, end, counter->place, err);

        /* Nothing of this lease was used, so it may be written once more, whatever is on disk. */
        if (rc != RC_OK) {
            counter->unsure = true;
            counter->broken = rc_class(rc) != RC_CLASS_RETRY;
            return err_set(err, RC_COUNTER, "lease of the send counter: %s", rc_name(rc));
        }
        counter->end = counter->saved = end;
        counter->unsure = false;
    }
    /* Of each number: memory may be brought back in the middle of a lease, too. */
    counter->salt = random_salt();
    *ret = counter->next++;
    return RC_OK;
}

bool counter_go_on(struct counter *counter, const struct counter *left)
{
    if (counter->next == 0 || counter->next != counter->saved || counter->restored ||
        counter->key != left->key || counter->place != left->place ||
        counter->saved != left->saved || left->broken || left->unsure || left->end != left->saved ||
        left->next == 0 || left->next >= left->end)
        return false;
    counter->next = left->next;
    return true;
}

bool counter_pass(struct counter *counter, uint64_t seen)
{
    if (counter->broken || counter->next == 0 || seen < counter->next ||
        seen - counter->next >= COUNTER_BEHIND_MAX)
        return false;
    /* Beyond what it has seen are numbers that were still on their way. */
    const uint64_t next = seen + random_jump();

    if (next > COUNTER_END)
        return false;
    counter->next = counter->end = next;
    return true;
}

uint64_t counter_sequence(uint64_t key, uint64_t counter)
{
    const uint64_t epoch = (uint32_t)key, tag = key >> 32;
    const uint64_t high = tag == 0 ? (epoch - 1) & 0x7fffff : 0x800000 | ((tag + epoch) & 0x7fffff);

    return high << 40 | (counter & COUNTER_MAX);
}

enum rc counter_scrub(const struct counter *counter, int dirfd, struct scrubbed *count,
                      struct err *err)
{
    char name[COUNTER_NAME_CAP];
    uint8_t buf[COUNTER_FILE_MAX];
    struct bytes content = { 0 };
    enum statefile_found found;

    if (counter->broken || counter->next == 0)
        return RC_OK;
    enum rc rc = encode(counter->key, counter->end, counter->place, buf, &content);
    return rc == RC_OK
               ? statefile_scrub(dirfd, file_of(counter->key, name), &content, &found, count, err)
               : rc;
}
