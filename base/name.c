/* SPDX-License-Identifier: Apache-2.0 */
#include "base/name.h"

#include "base/limits.h"

static bool lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool name_valid(const char *text)
{
    size_t n = strnlen(text, NAME_CAP);

    if (n == 0 || n > NAME_MAX_LEN || text[0] == '-' || text[n - 1] == '-')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!lower_or_digit(text[i]) && text[i] != '-')
            return false;
    return true;
}

bool version_valid(const char *text)
{
    size_t n = strnlen(text, VERSION_CAP);

    if (n == 0 || n > VERSION_MAX_LEN || strstr(text, ".."))
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        bool alnum = lower_or_digit(c) || (c >= 'A' && c <= 'Z');

        if (!alnum && (i == 0 || !strchr(".+~_-", c)))
            return false;
    }
    return true;
}
