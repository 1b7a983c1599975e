/* SPDX-License-Identifier: Apache-2.0 */
#include "update/policy.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

const char *const policy_mount_points[POLICY_MOUNT_POINTS] = { "data", "dev", "inbox", "outbox",
                                                               "proc", "run", "tmp" };

/* A path taken apart: where the next component begins. */
struct walk {
    struct bytes path;
    size_t at;
};

/* The next component; false at the end.  Empty components are given too. */
static bool walk_next(struct walk *walk, struct bytes *ret)
{
    if (walk->at > walk->path.n)
        return false;

    const uint8_t *start = walk->path.p + walk->at;
    size_t left = walk->path.n - walk->at;
    const uint8_t *slash = left > 0 ? memchr(start, '/', left) : NULL;
    size_t n = slash ? (size_t)(slash - start) : left;

    walk->at += n + 1;
    *ret = (struct bytes){ .p = start, .n = n };
    return true;
}

static bool is_text(struct bytes part, const char *text)
{
    return bytes_equal(part, bytes_of(text));
}

/* Length of the UTF-8 sequence that a lead byte announces and the smallest code point it may hold;
 * 0 for a byte that leads nothing (RFC 3629 section 3). */
static size_t utf8_lead(uint8_t lead, uint32_t *ret_bits, uint32_t *ret_least)
{
    static const struct {
        uint8_t mask, value;
        uint32_t least;
    } forms[] = {
        { 0x80, 0x00, 0 }, { 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 }, { 0xf8, 0xf0, 0x10000 }
    };

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if ((lead & forms[i].mask) != forms[i].value)
            continue;
        *ret_bits = lead & (uint8_t)~forms[i].mask;
        *ret_least = forms[i].least;
        return i + 1;
    }
    return 0;
}

/* Control characters of both sets: they would act on the terminal that shows the name. */
static bool is_control(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0);
}

/* UTF-8 in its shortest form, without control characters and surrogates. */
static bool is_clean_text(struct bytes in)
{
    for (size_t at = 0; at < in.n;) {
        uint32_t point = 0;
        uint32_t least = 0;
        size_t n = utf8_lead(in.p[at], &point, &least);

        if (n == 0 || n > in.n - at)
            return false;
        for (size_t i = 1; i < n; i++) {
            if ((in.p[at + i] & 0xc0) != 0x80)
                return false;
            point = point << 6 | (in.p[at + i] & 0x3fU);
        }
        if (point < least || point > 0x10ffff || (point >= 0xd800 && point < 0xe000) ||
            is_control(point))
            return false;
        at += n;
    }
    return true;
}

static enum rc path_refused(struct bytes path, const char *why, struct err *err)
{
    int n = path.n < 48 ? (int)path.n : 48;

    return err_set(err, RC_ARCHIVE_PATH, "%s: %.*s", why, n, n ? (const char *)path.p : "");
}

/* Components: none empty, "." or "..", none too long, not too many. */
static enum rc check_components(struct bytes path, size_t *ret_depth, struct bytes *ret_first,
                                struct err *err)
{
    struct walk walk = { .path = path };
    struct bytes part;
    size_t depth = 0;

    while (walk_next(&walk, &part)) {
        if (part.n == 0 || is_text(part, ".") || is_text(part, ".."))
            return path_refused(path, "component", err);
        if (part.n > POLICY_NAME_MAX)
            return path_refused(path, "name too long", err);
        if (depth == 0)
            *ret_first = part;
        if (++depth > PACKAGE_DEPTH_MAX)
            return path_refused(path, "too deep", err);
    }
    *ret_depth = depth;
    return RC_OK;
}

static bool is_mount_point(struct bytes name)
{
    for (size_t i = 0; i < POLICY_MOUNT_POINTS; i++) {
        if (is_text(name, policy_mount_points[i]))
            return true;
    }
    return false;
}

bool policy_is_hidden(struct bytes path, mode_t type)
{
    struct bytes first = { 0 };
    struct err ignored;
    size_t depth = 0;

    if (type == S_IFDIR && path.n > 1 && path.p[path.n - 1] == '/')
        path.n--;
    return check_components(path, &depth, &first, &ignored) == RC_OK && is_mount_point(first) &&
           (depth > 1 || type != S_IFDIR);
}

/* Check the path of an entry of this type; *ret is the path without a directory's final '/'. */
static enum rc check_path(struct bytes path, mode_t type, struct bytes *ret, size_t *ret_depth,
                          struct err *err)
{
    struct bytes first = { 0 };

    if (type == S_IFDIR && path.n > 1 && path.p[path.n - 1] == '/')
        path.n--;
    if (path.n == 0 || path.n > PACKAGE_PATH_MAX)
        return path_refused(path, "length", err);
    if (!is_clean_text(path))
        return path_refused(path, "characters", err);

    enum rc rc = check_components(path, ret_depth, &first, err);

    if (rc != RC_OK)
        return rc;
    if (is_mount_point(first) && (*ret_depth > 1 || type != S_IFDIR))
        return path_refused(path, "mount point", err);
    *ret = path;
    return RC_OK;
}

/* ".." may only lead a target, and not oftener than the link's directory is deep.  That directory
 * is a real one, never reached through a link, so the climb is exact; what follows only goes down,
 * through links that were checked the same way. */
static enum rc check_target(struct bytes target, size_t dir_depth, struct err *err)
{
    struct walk walk = { .path = target };
    struct bytes part;
    size_t up = 0;
    bool climbing = true;

    if (target.n == 0 || target.n > PACKAGE_PATH_MAX || !is_clean_text(target))
        return err_set(err, RC_ARCHIVE_LINK, "target's form");
    if (target.p[0] == '/')
        return err_set(err, RC_ARCHIVE_LINK, "absolute target");
    while (walk_next(&walk, &part)) {
        if (part.n == 0 || is_text(part, "."))
            continue;
        if (!is_text(part, ".."))
            climbing = false;
        else if (!climbing || ++up > dir_depth)
            return err_set(err, RC_ARCHIVE_LINK, "target climbs out");
    }
    return RC_OK;
}

static mode_t normal_mode(mode_t type, mode_t mode)
{
    if (type == S_IFLNK)
        return 0777;
    return type == S_IFDIR || (mode & 0111) ? 0755 : 0644;
}

enum rc policy_check(const struct policy_entry *entry, struct policy_item *ret, struct err *err)
{
    mode_t type = entry->mode & S_IFMT;
    struct bytes path = { 0 };
    size_t depth = 0;

    if (type != S_IFREG && type != S_IFDIR && type != S_IFLNK)
        return err_set(err, RC_ARCHIVE_TYPE, "type %o", (unsigned)type >> 12);
    if (type != S_IFLNK && (entry->mode & 07000))
        return err_set(err, RC_ARCHIVE_MODE, "mode %o", (unsigned)entry->mode & 07777);

    enum rc rc = check_path(entry->path, type, &path, &depth, err);

    if (rc == RC_OK && type == S_IFLNK)
        rc = check_target(entry->target, depth - 1, err);
    if (rc != RC_OK)
        return rc;

    struct policy_item item = { .type = type, .mode = normal_mode(type, entry->mode) };

    if (!bytes_to_text(path, item.path, sizeof item.path) ||
        (type == S_IFLNK && !bytes_to_text(entry->target, item.target, sizeof item.target)))
        return err_set(err, RC_ARCHIVE_PATH, "length");
    *ret = item;
    return RC_OK;
}

enum rc policy_check_sizes(uint64_t content_bytes, uint64_t unpacked_bytes, uint32_t files,
                           struct err *err)
{
    if (content_bytes == 0 || content_bytes > PACKAGE_MAX)
        return err_set(err, RC_PACKAGE_SIZE, "content of %llu bytes",
                       (unsigned long long)content_bytes);
    if (unpacked_bytes > UNPACKED_MAX ||
        unpacked_bytes > POLICY_RATIO_FREE + content_bytes * POLICY_RATIO_MAX)
        return err_set(err, RC_ARCHIVE_BOMB, "%llu bytes out of %llu",
                       (unsigned long long)unpacked_bytes, (unsigned long long)content_bytes);
    if (files == 0 || files > PACKAGE_FILES_MAX)
        return err_set(err, RC_ARCHIVE_COUNT, "%u files", files);
    return RC_OK;
}

enum rc policy_check_entry_point(int root, const char *entry, struct err *err)
{
    struct open_how how = { .flags = O_PATH | O_CLOEXEC,
                            .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
    struct stat st;

    if (entry[0] != '/')
        return err_set(err, RC_ENTRY_POINT, "%s: not absolute", entry);

    scoped(close_fd) int fd = (int)syscall(SYS_openat2, root, entry, &how, sizeof how);

    if (fd < 0)
        return err_sys(err, RC_ENTRY_POINT, "%s", entry);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || !(st.st_mode & 0111))
        return err_set(err, RC_ENTRY_POINT, "%s: not an executable file", entry);
    return RC_OK;
}

bool policy_relative_target(const char *path, const char *target, char *out, size_t cap)
{
    static const char up[] = { '.', '.', '/' };
    size_t n = 0;

    while (*target == '/')
        target++;
    for (const char *p = path; *p; p++) {
        if (*p != '/')
            continue;
        if (cap - n <= sizeof up)
            return false;
        memcpy(out + n, up, sizeof up);
        n += sizeof up;
    }

    size_t rest = strlen(*target || n > 0 ? target : ".");

    if (cap - n <= rest)
        return false;
    memcpy(out + n, *target || n > 0 ? target : ".", rest + 1);
    return true;
}
