/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct bytes in, char *out)
{
    for (size_t i = 0; i < in.n; i += 3, out += 4) {
        const size_t left = in.n - i < 3 ? in.n - i : 3;
        uint32_t bits = (uint32_t)in.p[i] << 16U;

        if (left > 1)
            bits |= (uint32_t)in.p[i + 1] << 8U;
        if (left > 2)
            bits |= in.p[i + 2];
        for (size_t k = 0; k < 4; k++)
            out[k] = k <= left ? alphabet[bits >> (18U - 6U * k) & 63U] : '=';
    }
    *out = '\0';
}

/* 0 to 63; 64 = none of the alphabet. */
static uint32_t value_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return (uint32_t)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (uint32_t)(c - 'a') + 26U;
    if (c >= '0' && c <= '9')
        return (uint32_t)(c - '0') + 52U;
    return c == '+' ? 62U : c == '/' ? 63U : 64U;
}

/* Four characters, of which the last `padding` are '='. */
static bool take(const uint8_t *p, size_t padding, uint8_t out[3])
{
    uint32_t bits = 0;

    for (size_t k = 0; k < 4; k++) {
        const uint32_t v = k < 4 - padding ? value_of(p[k]) : 0;

        if (v > 63)
            return false;
        bits = bits << 6U | v;
    }
    for (size_t k = 0; k < 3; k++)
        out[k] = (uint8_t)(bits >> (16U - 8U * k));
    /* what the padding cuts off is nothing */
    return (padding == 0 || out[2] == 0) && (padding < 2 || out[1] == 0);
}

enum rc base64_decode(struct bytes text, uint8_t *out, size_t cap, size_t *ret_n, struct err *err)
{
    size_t padding = 0, n;

    if (text.n % 4 != 0)
        return err_set(err, RC_VALUE, "base64");
    while (padding < 2 && padding < text.n && text.p[text.n - 1 - padding] == '=')
        padding++;
    n = BASE64_ROOM(text.n) - padding;
    if (n > cap)
        return err_set(err, RC_TOO_LARGE, "base64");
    for (size_t i = 0, at = 0; i < text.n; i += 4, at += 3) {
        const bool last = i + 4 == text.n;
        const size_t cut = last ? padding : 0;
        uint8_t three[3];

        if (!take(text.p + i, cut, three))
            return err_set(err, RC_VALUE, "base64");
        memcpy(out + at, three, 3 - cut);
    }
    *ret_n = n;
    return RC_OK;
}
