/* SPDX-License-Identifier: Apache-2.0 */
#include "base/name.h"

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

uint32_t team_depth(const char *team)
{
    uint32_t n = *team ? 1 : 0;

    for (; *team; team++)
        n += *team == '/';
    return n;
}

void team_cut(const char *team, uint32_t depth, char ret[TEAM_CAP])
{
    size_t n = 0;

    for (uint32_t i = 0; i < depth && team[n]; i++)
        n += (i > 0) + strcspn(team + n + (i > 0), "/");
    memset(ret, 0, TEAM_CAP);
    memcpy(ret, team, n < TEAM_CAP ? n : TEAM_CAP - 1);
}

bool team_valid(const char *text)
{
    size_t n = strnlen(text, TEAM_CAP);
    uint32_t names = 0;

    if (n >= TEAM_CAP)
        return false;
    for (const char *p = text;; p++) {
        char name[NAME_CAP] = "";
        size_t len = strcspn(p, "/");

        if (len > NAME_MAX_LEN || ++names > TEAM_DEPTH_MAX)
            return false;
        memcpy(name, p, len);
        if (!name_valid(name))
            return false;
        p += len;
        if (*p == '\0')
            return true;
    }
}

bool team_within(const char *outer, const char *team)
{
    size_t n = strlen(outer);

    return n == 0 || (strncmp(outer, team, n) == 0 && (team[n] == '\0' || team[n] == '/'));
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

bool text_printable(const char *text)
{
    for (; *text; text++) {
        if (*text < ' ' || *text > '~')
            return false;
    }
    return true;
}
