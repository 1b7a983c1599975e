/* SPDX-License-Identifier: Apache-2.0 */
#include "link/done.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cbor.h"
#include "base/statefile.h"

#define DONE_FILE "done"
#define DONE_FILE_MAX (DONE_MAX * (DIGEST_SIZE + 24U) + 16U)

size_t done_find(const struct done *done, const uint8_t object[DIGEST_SIZE])
{
    size_t i = 0;

    while (i < done->n && memcmp(done->item[i].digest, object, DIGEST_SIZE) != 0)
        i++;
    return i;
}

void done_drop(struct done *done, size_t i)
{
    assert(i < done->n);
    done->n--;
    memmove(&done->item[i], &done->item[i + 1], (done->n - i) * sizeof done->item[0]);
}

void done_add(struct done *done, const uint8_t object[DIGEST_SIZE], uint32_t kind, uint64_t serial)
{
    struct done_item item = { .kind = kind, .serial = serial };
    size_t i = done_find(done, object);

    memcpy(item.digest, object, DIGEST_SIZE);
    if (i < done->n)
        done_drop(done, i);
    else if (done->n == DONE_MAX)
        done_drop(done, 0);
    done->item[done->n++] = item;
}

/* Encode into fresh memory, the caller's to free. */
static enum rc encode(const struct done *done, uint8_t **ret_buf, struct bytes *ret,
                      struct err *err)
{
    uint8_t *buf = malloc(DONE_FILE_MAX);

    if (buf == NULL)
        return err_set(err, RC_NO_MEMORY, "list of done objects");
    *ret_buf = buf;
    struct cbor_out w = { .p = buf, .cap = DONE_FILE_MAX };

    cbor_put_array(&w, 3 * done->n);
    for (size_t i = 0; i < done->n; i++) {
        cbor_put_bstr(&w, (struct bytes){ done->item[i].digest, DIGEST_SIZE });
        cbor_put_uint(&w, done->item[i].kind);
        cbor_put_uint(&w, done->item[i].serial);
    }
    return cbor_written(&w, ret, err);
}

enum rc done_save(const struct done *done, int dirfd, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = NULL;
    struct bytes content = { 0 };
    enum rc rc = encode(done, &buf, &content, err);

    return rc == RC_OK ? statefile_save(dirfd, DONE_FILE, content, err) : rc;
}

enum rc done_scrub(const struct done *done, int dirfd, struct scrubbed *count, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = NULL;
    struct bytes content = { 0 };
    enum statefile_found found;
    enum rc rc = done->n > 0 ? encode(done, &buf, &content, err) : RC_OK;

    return rc == RC_OK && done->n > 0
               ? statefile_scrub(dirfd, DONE_FILE, &content, &found, count, err)
               : rc;
}

static enum rc decode(struct bytes in, struct done *done, struct err *err)
{
    struct cbor_in r = cbor_read(in);
    size_t items = cbor_array(&r, "done", 0, (size_t)3 * DONE_MAX);

    for (size_t i = 0; i + 2 < items && r.rc == RC_OK; i += 3) {
        struct done_item *item = &done->item[done->n++];

        cbor_fixed(&r, "digest", item->digest, DIGEST_SIZE);
        item->kind = (uint32_t)cbor_uint(&r, "kind", UINT32_MAX);
        item->serial = cbor_uint(&r, "serial", UINT64_MAX);
    }
    cbor_end(&r);
    return cbor_done(&r, err);
}

enum rc done_load(struct done *done, int dirfd, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(DONE_FILE_MAX);
    size_t n = 0;

    if (buf == NULL)
        return err_set(err, RC_NO_MEMORY, "list of done objects");
    enum rc rc = statefile_load(dirfd, DONE_FILE, buf, DONE_FILE_MAX, &n, NULL, err);
    if (rc == RC_NOT_FOUND)
        return RC_OK;
    if (rc == RC_OK)
        rc = decode((struct bytes){ buf, n }, done, err);
    if (rc == RC_OK)
        return RC_OK;
    done->n = 0;
    (void)unlinkat(dirfd, DONE_FILE ".a", 0);
    (void)unlinkat(dirfd, DONE_FILE ".b", 0);
    return err_set(err, RC_STATE_DAMAGED, "list of done objects: %s", rc_name(rc));
}
