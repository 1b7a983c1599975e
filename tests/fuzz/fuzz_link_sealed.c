/* SPDX-License-Identifier: Apache-2.0
 *
 * A sealed message of which the input says what to change (places and values, three bytes each):
 * opens if nothing is changed, and else never, with no plaintext left.  And the input itself, as a
 * message: what the two who meet it say is no crash.
 */
#include <stdlib.h>

#include "link/mail.h"
#include "link/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT "what nobody else can read, or write"
#define SEALED_MAX 1024U

static const struct link_keys known = { .mac = { 1, 2, 3 }, .aead = { 4, 5, 6 } };

static enum rc find(void *arg, const struct eid *src, uint64_t number, struct link_keys *ret,
                    struct err *err)
{
    (void)arg;
    (void)src;
    if (number != 1)
        return err_set(err, RC_BPSEC_KEY, "number");
    *ret = known;
    return RC_OK;
}

static const struct link_finder finder = { .find = find };

static size_t make(uint8_t buf[SEALED_MAX], struct eid *src, struct eid *dst)
{
    struct link_message m = { .time_ms = 1, .sequence = 1, .lifetime_ms = 1000, .key = 1 };
    size_t n = 0;
    struct err err;

    if (mail_eid(42, "acme", "cam", src, &err) != RC_OK ||
        mail_eid(1, "acme", "", dst, &err) != RC_OK)
        abort();
    m.src = *src;
    m.dst = *dst;
    m.counter = 7;
    m.salt = 9;
    m.payload = bytes_of(TEXT);
    if (link_seal(&m, &known, buf, SEALED_MAX, &n, &err) != RC_OK)
        abort();
    return n;
}

static void changed(const uint8_t *data, size_t size)
{
    uint8_t buf[SEALED_MAX], good[SEALED_MAX];
    struct eid src, dst;
    const size_t n = make(good, &src, &dst);
    struct link_opened opened;
    struct err err;

    memcpy(buf, good, n);
    for (size_t i = 0; i + 3 <= size; i += 3)
        buf[(size_t)(data[i] << 8 | data[i + 1]) % n] ^= data[i + 2];
    const bool same = memcmp(buf, good, n) == 0;

    if (same && mail_sealed_check((struct bytes){ buf, n }, &src, &dst, &err) != RC_OK)
        abort();
    if ((link_open(buf, n, &finder, &opened, &err) == RC_OK) != same)
        abort();
    if (!same && memmem(buf, n, TEXT, 8) != NULL)
        abort();
}

static void given(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + 1U);
    struct eid src, dst;
    struct link_opened opened;
    struct err err;

    if (copy == NULL || mail_eid(42, "acme", "cam", &src, &err) != RC_OK ||
        mail_eid(1, "acme", "", &dst, &err) != RC_OK)
        abort();
    memcpy(copy, data, size);
    (void)!mail_sealed_check((struct bytes){ copy, size }, &src, &dst, &err);
    (void)!link_open(copy, size, &finder, &opened, &err);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0 && data[0] == 0x9f)
        given(data, size);
    else
        changed(data, size);
    return 0;
}
