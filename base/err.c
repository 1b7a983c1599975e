/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#undef err_set
#undef err_sys
#undef err_at

struct entry {
    enum rc rc;
    enum rc_class class;
    const char *name;
    const char *text;
};

static const struct entry table[] = {
#define RC(name, number, class, text) { RC_##name, RC_CLASS_##class, #name, text },
#include "base/rc.def"
#undef RC
};

static const struct entry *find(uint64_t number)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if ((uint64_t)table[i].rc == number)
            return &table[i];
    return NULL;
}

const char *rc_name(enum rc rc)
{
    const struct entry *e = find((uint64_t)rc);

    return e ? e->name : "?";
}

const char *rc_text(enum rc rc)
{
    const struct entry *e = find((uint64_t)rc);

    return e ? e->text : "unknown code";
}

enum rc_class rc_class(enum rc rc)
{
    const struct entry *e = find((uint64_t)rc);

    return e ? e->class : RC_CLASS_BROKEN;
}

bool err_passes(const struct err *err)
{
    return err->rc == RC_NO_MEMORY || err->sys == ENOMEM || err->sys == EAGAIN ||
           err->sys == EMFILE || err->sys == ENFILE || err->sys == EINTR;
}

enum rc rc_from_number(uint64_t number)
{
    const struct entry *e = find(number);

    return e ? e->rc : RC_INTERNAL;
}

static void fill(struct err *err, enum rc rc, const char *fmt, va_list args) printf_like(3, 0);

static void fill(struct err *err, enum rc rc, const char *fmt, va_list args)
{
    *err = (struct err){ .rc = rc };
    (void)vsnprintf(err->what, sizeof err->what, fmt, args);
    for (char *c = err->what; *c; c++)
        if (*c < 0x20 || *c > 0x7e)
            *c = '?';
}

enum rc err_set(struct err *err, enum rc rc, const char *fmt, ...)
{
    va_list args;

    if (!err)
        return rc;
    va_start(args, fmt);
    fill(err, rc, fmt, args);
    va_end(args);
    return rc;
}

enum rc err_sys(struct err *err, enum rc rc, const char *fmt, ...)
{
    int sys = errno;
    va_list args;

    if (rc == RC_IO && (sys == ENOSPC || sys == EDQUOT))
        rc = RC_NO_SPACE;
    if (rc == RC_IO && sys == ENOENT)
        rc = RC_NOT_FOUND;
    if (!err)
        return rc;
    va_start(args, fmt);
    fill(err, rc, fmt, args);
    va_end(args);
    err->sys = sys;
    return rc;
}

enum rc err_at(struct err *err, enum rc rc, uint64_t at, const char *fmt, ...)
{
    va_list args;

    if (!err)
        return rc;
    va_start(args, fmt);
    fill(err, rc, fmt, args);
    va_end(args);
    err->at = at;
    return rc;
}

const char *err_text(const struct err *err, char *out, size_t cap)
{
    char where[32] = "";
    const char *sys = err->sys ? strerrordesc_np(err->sys) : NULL;

    if (cap == 0)
        return "";
    if (err->at)
        (void)snprintf(where, sizeof where, " at byte %llu", (unsigned long long)err->at);
    (void)snprintf(out, cap, "%s%s%s%s (%s %d)%s%s", err->what, err->what[0] ? ": " : "",
                   rc_text(err->rc), where, rc_name(err->rc), (int)err->rc, sys ? ": " : "",
                   sys ? sys : "");
    return out;
}
