/* SPDX-License-Identifier: Apache-2.0 */
#include "link/sdls.h"

#include "link/frame.h"

#define SPI_SIZE 2U

size_t sdls_head_size(const struct sdls_association *a)
{
    return SPI_SIZE + GCM_IV_SIZE + a->sequence_size + a->pad_size;
}

static enum rc check_association(const struct sdls_association *a, size_t covered, struct err *err)
{
    if (a->spi == 0 || a->spi == UINT16_MAX || a->sequence_size > SDLS_SEQUENCE_MAX ||
        a->pad_size > 2 || (a->service != SDLS_AUTHENTICATE && a->service != SDLS_ENCRYPT))
        return err_set(err, RC_VALUE, "security association %u", a->spi);
    if (covered > SDLS_MASKED_MAX || (a->mask.n != 0 && a->mask.n != covered))
        return err_set(err, RC_VALUE, "bit mask of %zu bytes over %zu", a->mask.n, covered);
    return RC_OK;
}

/* Frame headers and security header under the mask: what is authenticated of them. */
static size_t masked(const struct sdls_association *a, struct bytes head, struct bytes security,
                     uint8_t *ret)
{
    size_t n = head.n + security.n;

    memcpy(ret, head.p, head.n);
    memcpy(ret + head.n, security.p, security.n);
    for (size_t i = 0; i < a->mask.n; i++)
        ret[i] &= a->mask.p[i];
    return n;
}

/* Check the MAC and undo the encryption of body, in place. */
static enum rc open_body(const struct sdls_association *a, struct bytes aad, const uint8_t *iv,
                         uint8_t *body, size_t n, struct err *err)
{
    static const uint8_t none = 0;
    const struct bytes key = { a->key, sizeof a->key };
    uint8_t all[SDLS_MASKED_MAX + TM_FRAME_MAX];
    uint8_t out[1];
    enum rc rc;

    if (a->service == SDLS_ENCRYPT) {
        rc = crypto_gcm_open(key, iv, aad, (struct bytes){ body, n }, body + n, body, err);
    } else {
        memcpy(all, aad.p, aad.n);
        memcpy(all + aad.n, body, n);
        rc = crypto_gcm_open(key, iv, (struct bytes){ all, aad.n + n }, (struct bytes){ &none, 0 },
                             body + n, out, err);
        if (rc != RC_OK)
            crypto_wipe(body, n);
    }
    return rc == RC_BPSEC_AUTH ? err_set(err, RC_FRAME_AUTH, "security association %u", a->spi)
                               : rc;
}

enum rc sdls_open(uint8_t *buf, struct bytes head, struct bytes data,
                  const struct sdls_association *a, struct sdls_opened *ret, struct err *err)
{
    uint8_t aad[SDLS_MASKED_MAX];
    enum rc rc = check_association(a, head.n + sdls_head_size(a), err);

    if (rc != RC_OK)
        return rc;
    if (data.n > TM_FRAME_MAX)
        return err_set(err, RC_TOO_LARGE, "data of %zu bytes", data.n);
    if (data.n < sdls_head_size(a) + GCM_TAG_SIZE)
        return err_at(err, RC_SHORT, data.n, "security header and MAC");
    if (bytes_get_be(data.p, SPI_SIZE) != a->spi)
        return err_at(err, RC_FRAME_KEY, 0, "security association %u",
                      (unsigned)bytes_get_be(data.p, SPI_SIZE));
    struct bytes security = { data.p, sdls_head_size(a) };
    const uint8_t *iv = data.p + SPI_SIZE;
    const uint8_t *sequence = iv + GCM_IV_SIZE;
    size_t n = data.n - security.n - GCM_TAG_SIZE;
    uint8_t *body = buf + (data.p - buf) + security.n;
    size_t covered = masked(a, head, security, aad);

    rc = open_body(a, (struct bytes){ aad, covered }, iv, body, n, err);
    if (rc != RC_OK)
        return rc;
    size_t pad =
        a->pad_size == 0 ? 0 : (size_t)bytes_get_be(sequence + a->sequence_size, a->pad_size);

    if (pad > n)
        return err_set(err, RC_FRAME, "%zu bytes of padding in %zu", pad, n);
    *ret = (struct sdls_opened){ .data = { body, n - pad },
                                 .counter = a->sequence_size > 0
                                                ? bytes_get_be(sequence, a->sequence_size)
                                                : bytes_get_be(iv + GCM_IV_SIZE - 8, 8) };
    return RC_OK;
}
