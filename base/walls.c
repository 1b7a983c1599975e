/* SPDX-License-Identifier: Apache-2.0 */
#include "base/walls.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

struct entry {
    const char *label;
    const char *without;
    enum wall_kind kind;
};

static const struct entry table[WALLS_MAX] = {
#define WALL(name, number, kind_, label_, without_)                                                \
    [number] = { .label = (label_), .without = (without_), .kind = WALL_KIND_##kind_ },
#include "base/walls.def"
#undef WALL
};

/* A label that is too long would not fit where names of walls go. */
#define WALL(name, number, kind, label, without)                                                   \
    static_assert(sizeof(label) <= WALL_NAME_CAP && (number) < WALLS_MAX, label);
#include "base/walls.def"
#undef WALL

/* All of them in a list. */
/* NOLINTNEXTLINE(bugprone-macro-parentheses): one summand of a list */
#define WALL(name, number, kind, label, without) (sizeof(label)) +
static_assert(
#include "base/walls.def"
    0 < WALLS_TEXT_CAP, "every list of walls fits");
#undef WALL

const char *wall_name(unsigned int number)
{
    return number < WALLS_MAX ? table[number].label : NULL;
}

const char *wall_without(unsigned int number)
{
    return wall_name(number) != NULL ? table[number].without : "";
}

enum wall_kind wall_kind(unsigned int number)
{
    return wall_name(number) != NULL ? table[number].kind : WALL_KIND_BASIS;
}

const char *wall_kind_name(enum wall_kind kind)
{
    switch (kind) {
    case WALL_KIND_BASIS:
        return "basis";
    case WALL_KIND_REQUIRED:
        return "required";
    case WALL_KIND_OPTIONAL:
        return "optional";
    }
    return "?";
}

uint64_t walls_all(void)
{
    uint64_t all = 0;

    for (unsigned int i = 0; i < WALLS_MAX; i++)
        all |= table[i].label != NULL ? 1ULL << i : 0;
    return all;
}

/* One name of a list, and where the next begins (NULL: it was the last).  A name that is too long
 * is cut, and so is none. */
static const char *next_name(const char *at, char name[WALL_NAME_CAP])
{
    size_t n = strcspn(at, ",");
    size_t kept = n < WALL_NAME_CAP - 1 ? n : WALL_NAME_CAP - 1;

    memcpy(name, at, kept);
    name[kept] = '\0';
    return at[n] == ',' ? at + n + 1 : NULL;
}

static int find(const char *name)
{
    for (unsigned int i = 0; i < WALLS_MAX; i++)
        if (table[i].label != NULL && strcmp(table[i].label, name) == 0)
            return (int)i;
    return -1;
}

void wall_policy_waive(struct wall_policy *policy, const char *list, char *passed_over)
{
    char name[WALL_NAME_CAP];

    passed_over[0] = '\0';
    for (const char *at = list; at != NULL;) {
        at = next_name(at, name);
        int number = find(name);

        if (number >= 0 && table[number].kind != WALL_KIND_BASIS)
            policy->waive |= 1ULL << number;
        else if (passed_over[0] == '\0')
            (void)snprintf(passed_over, WALL_NAME_CAP, "%s", name[0] ? name : "?");
    }
}

void wall_policy_require(struct wall_policy *policy, const char *list)
{
    char name[WALL_NAME_CAP];

    for (const char *at = list; at != NULL;) {
        at = next_name(at, name);
        int number = find(name);

        if (number >= 0)
            policy->require |= 1ULL << number;
        else if (policy->unknown[0] == '\0')
            (void)snprintf(policy->unknown, sizeof policy->unknown, "%s", name[0] ? name : "?");
    }
}

const char *walls_list(uint64_t mask, char *out)
{
    size_t n = 0;

    (void)snprintf(out, WALLS_TEXT_CAP, "-");
    for (unsigned int i = 0; i < WALLS_MAX; i++)
        if (table[i].label != NULL && (mask >> i & 1) != 0)
            n += (size_t)snprintf(out + n, WALLS_TEXT_CAP - n, "%s%s", n > 0 ? "," : "",
                                  table[i].label);
    return out;
}
