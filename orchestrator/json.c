/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/json.h"

#include <stdlib.h>

json_t *json_safe(const char *text)
{
    size_t n = strlen(text);
    char *copy = malloc(n + 1);
    json_t *value;

    if (!copy)
        return NULL;
    for (size_t i = 0; i <= n; i++)
        copy[i] = (text[i] >= 0x20 && text[i] < 0x7f) || i == n ? text[i] : '?';
    value = json_stringn(copy, n);
    free(copy);
    return value;
}

json_t *json_hex(struct bytes in)
{
    char *hex = malloc(2 * in.n + 1);
    json_t *value;

    if (!hex)
        return NULL;
    value = json_string(bytes_hex(in, hex));
    free(hex);
    return value;
}

json_t *json_digest(const struct digest *digest)
{
    static const struct digest none;

    if (memcmp(digest, &none, sizeof none) == 0)
        return json_null();
    return json_hex((struct bytes){ .p = digest->b, .n = sizeof digest->b });
}

json_t *json_uint(uint64_t value)
{
    return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}
