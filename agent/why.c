/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/why.h"

#include <stdio.h>
#include <string.h>

static bool names_something(enum rc code)
{
    static const enum rc codes[] = { RC_GRANT_EXCEEDED, RC_DELEGATION_EXCEEDED, RC_NAME_NOT_GRANTED,
                                     RC_PLAN_LIMIT,     RC_PLAN_PATH,           RC_NOT_BUILT,
                                     RC_LAUNCH_STEP,    RC_LAUNCH_EXEC };

    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (codes[i] == code)
            return true;
    }
    return false;
}

static struct why *place_of(struct whys *whys, const char *name)
{
    for (uint32_t i = 0; i < UNITS_MAX; i++) {
        if (strcmp(whys->of[i].name, name) == 0)
            return &whys->of[i];
    }
    return NULL;
}

void why_keep(struct whys *whys, const char *name, const struct err *err)
{
    struct why *place = place_of(whys, name);

    if (!names_something(err->rc) || err->what[0] == '\0')
        return;
    if (!place) {
        place = &whys->of[whys->next];
        whys->next = (whys->next + 1) % UNITS_MAX;
    }
    (void)snprintf(place->name, sizeof place->name, "%s", name);
    (void)snprintf(place->what, sizeof place->what, "%.*s", (int)(WHY_CAP - 1), err->what);
    place->code = err->rc;
}

/* Not twice where the text begins with the name. */
static const char *join(const char *name, const char *what, char out[WHY_CAP])
{
    const char *const parts[] = { name, ": ", what };
    bool named = strncmp(what, name, strlen(name)) == 0;
    size_t n = 0;

    for (size_t i = named ? 2 : 0; i < (named || what[0] != '\0' ? 3 : 1); i++) {
        for (const char *c = parts[i]; *c != '\0' && n + 1 < WHY_CAP; c++)
            out[n++] = *c;
    }
    out[n] = '\0';
    return out;
}

const char *why_text(const struct whys *whys, const char *name, enum rc code, char out[WHY_CAP])
{
    for (uint32_t i = 0; i < UNITS_MAX; i++) {
        if (whys->of[i].code == code && strcmp(whys->of[i].name, name) == 0)
            return join(name, whys->of[i].what, out);
    }
    return join(name, "", out);
}

const char *why_of(const char *name, const struct err *err, char out[WHY_CAP])
{
    return join(name, names_something(err->rc) ? err->what : "", out);
}
