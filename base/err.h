/* SPDX-License-Identifier: Apache-2.0
 *
 * base/err: what went wrong, as one stable number and one fixed-size record.
 *
 * Library code returns enum rc and fills struct err; it never logs, never exits and never touches a
 * ret argument on failure.  Programs turn the record into words.  The numbers come from base/rc.def
 * and go down in reports.
 */
#ifndef BERTH_BASE_ERR_H
#define BERTH_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define must_check __attribute__((warn_unused_result))
#define printf_like(fmt, first) __attribute__((format(printf, fmt, first)))

enum rc {
#define RC(name, number, class, text) RC_##name = (number),
#include "base/rc.def"
#undef RC
};

/* What a caller should do about a code. */
enum rc_class {
    RC_CLASS_FINE,
    RC_CLASS_MALFORMED,
    RC_CLASS_REFUSED,
    RC_CLASS_RETRY,
    RC_CLASS_BROKEN,
};

/* Why a step failed, for the log and the downlinked report.  Fixed size: filling it never
 * allocates. */
struct err {
    enum rc rc;
    int sys;       /* errno, or 0 */
    uint64_t at;   /* offset in the input in bytes, or 0 */
    char what[96]; /* field, file or reason in printable ASCII, truncated */
};

/* The short upper-case name of a code, such as "BUNDLE_CRC"; "?" for a number that is not in the
 * table. */
const char *rc_name(enum rc rc);

/* The one-line text of a code, in English; never NULL. */
const char *rc_text(enum rc rc);

/* The class of a code; BROKEN for a number that is not in the table. */
enum rc_class rc_class(enum rc rc);

/* Whether it is want of memory or descriptors, or an interruption: it says nothing of what was to
 * be read or written, and may be over at the next try. */
bool err_passes(const struct err *err);

/* Look a number from a report up.  RC_INTERNAL when the table does not have it. */
enum rc rc_from_number(uint64_t number);

/* Fill *err (NULL allowed) and return rc, so that a failure is one statement.  errno is stored only
 * by err_sys. The text is cut at the size of what and every byte outside printable ASCII becomes
 * '?': it may name hostile input, and ends up in logs. */
enum rc err_set(struct err *err, enum rc rc, const char *fmt, ...) printf_like(3, 4);

/* Like err_set, and stores errno as it is at the call.  ENOSPC and EDQUOT turn RC_IO into
 * RC_NO_SPACE, ENOENT into RC_NOT_FOUND. */
enum rc err_sys(struct err *err, enum rc rc, const char *fmt, ...) printf_like(3, 4);

/* Like err_set, with the offset in the input. */
enum rc err_at(struct err *err, enum rc rc, uint64_t at, const char *fmt, ...) printf_like(4, 5);

#if defined(__clang_analyzer__)
/* A static analyzer looks at one file at a time: tell it that a failure stays a failure. */
int err_uses(const char *fmt, ...);
static inline void err_clear(struct err *err)
{
    if (err)
        *err = (struct err){ .sys = 0 };
}
#define err_set(err, rc, ...) (err_clear(err), (void)err_uses(__VA_ARGS__), (rc))
#define err_sys(err, rc, ...) err_set(err, rc, __VA_ARGS__)
#define err_at(err, rc, at, ...) ((void)(at), err_set(err, rc, __VA_ARGS__))
#endif

/* Write "what: text (NAME number): errno text" into out, always NUL-terminated, and return out. */
const char *err_text(const struct err *err, char *out, size_t cap);

#endif
