/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/image_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"

#define BLOCK 512U
#define NAME_FIELD 100U
#define EXTENDED_MAX (64U * 1024U) /* a pax record that is looked at */

/* Where a ustar head has what (POSIX.1-2017 pax, "ustar Interchange Format"). */
enum field { AT_SIZE = 124, AT_SUM = 148, AT_TYPE = 156, AT_LINK = 157, AT_MAGIC = 257 };
#define AT_PREFIX 345U
#define PREFIX_FIELD 155U

#define BLOB_NAME_CAP (PREFIX_FIELD + NAME_FIELD + 2U)

struct member {
    char name[BLOB_NAME_CAP];
    char link[NAME_FIELD + 1]; /* the member that this one stands for; "" = itself */
    uint64_t at;
    uint64_t n;
};

struct image_file {
    int fd;
    bool is_dir;
    uint32_t n;
    uint32_t cap;
    struct member *member; /* sorted by name */
};

void image_blob_done(struct image_blob *blob)
{
    close_fd(&blob->fd);
}

void image_file_close(struct image_file **file)
{
    if (!*file)
        return;
    close_fd(&(*file)->fd);
    free((*file)->member);
    free(*file);
    *file = NULL;
}

/* ---- one head ---------------------------------------------------------------------------------
 */

static enum rc format(uint64_t at, const char *why, struct err *err)
{
    return err_at(err, RC_IMAGE_FORMAT, at, "tar: %s", why);
}

/* Octal digits up to a blank or NUL; a size in the GNU base-256 form is above every limit. */
static bool octal(const uint8_t *field, size_t n, uint64_t *ret)
{
    size_t i = 0;

    *ret = 0;
    while (i < n && field[i] == ' ')
        i++;
    for (; i < n && field[i] >= '0' && field[i] <= '7'; i++)
        *ret = *ret << 3 | (uint64_t)(field[i] - '0');
    for (; i < n; i++) {
        if (field[i] != 0 && field[i] != ' ')
            return false;
    }
    return true;
}

static bool sum_is_right(const uint8_t *head)
{
    uint64_t sum = 0, want = 0;

    for (size_t i = 0; i < BLOCK; i++)
        sum += i >= AT_SUM && i < AT_SUM + 8 ? ' ' : head[i];
    return octal(head + AT_SUM, 8, &want) && sum == want;
}

static void text_field(const uint8_t *field, size_t n, char *out)
{
    size_t len = strnlen((const char *)field, n);

    memcpy(out, field, len);
    out[len] = '\0';
}

/* "./x" and "x" are the same name. */
static void read_name(const uint8_t *head, char out[BLOB_NAME_CAP])
{
    char prefix[PREFIX_FIELD + 1], name[NAME_FIELD + 1];
    const char *from;

    text_field(head + AT_PREFIX, PREFIX_FIELD, prefix);
    text_field(head, NAME_FIELD, name);
    from = name;
    if (prefix[0] == '\0' && name[0] == '.' && name[1] == '/')
        from = name + 2;
    (void)snprintf(out, BLOB_NAME_CAP, "%s%s%s", prefix, prefix[0] ? "/" : "", from);
}

/* ---- the whole tar ----------------------------------------------------------------------------
 */

static enum rc add_member(struct image_file *file, const struct member *member, struct err *err)
{
    if (file->n == IMAGE_BLOBS_MAX)
        return err_set(err, RC_TOO_LARGE, "more than %u files in the image", IMAGE_BLOBS_MAX);
    if (file->n == file->cap) {
        uint32_t cap = file->cap ? 2 * file->cap : 64;
        struct member *more = realloc(file->member, cap * sizeof *more);

        if (!more)
            return err_set(err, RC_NO_MEMORY, "image");
        file->member = more;
        file->cap = cap;
    }
    file->member[file->n++] = *member;
    return RC_OK;
}

/* A pax record set may say times and the like; what would change a name or a size is refused, since
 * no image's blob needs it: "LEN KEY=VALUE\n", again and again. */
static enum rc check_extended(const struct image_file *file, uint64_t at, uint64_t n,
                              struct err *err)
{
    static const char *const harmless[] = { "mtime=", "atime=", "ctime=", "comment=",
                                            "uid=",   "gid=",   "uname=", "gname=" };
    scoped(free_ptr) char *text = n <= EXTENDED_MAX ? calloc(1, (size_t)n + 1) : NULL;
    size_t done = 0;

    if (!text)
        return format(at, "extended head too large", err);

    enum rc rc = fs_pread_exact(file->fd, (uint8_t *)text, (size_t)n, at, err);

    if (rc != RC_OK)
        return rc;
    while (done < n) {
        char *key = NULL;
        unsigned long len = strtoul(text + done, &key, 10);
        bool known = false;

        if (len == 0 || len > n - done || *key != ' ' || key >= text + done + len)
            return format(at + done, "extended head", err);
        for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++)
            known = known || strncmp(key + 1, harmless[i], strlen(harmless[i])) == 0;
        if (!known)
            return format(at + done, "extended name, size or attribute of a blob", err);
        done += len;
    }
    return RC_OK;
}

/* "../x" in "dir/name" is "x": how `docker save` wrote a layer that it had written already. */
static enum rc read_link(const uint8_t *head, uint64_t at, struct member *member, struct err *err)
{
    char target[NAME_FIELD + 1];
    const char *to = target;
    const char *slash = strchr(member->name, '/');

    text_field(head + AT_LINK, NAME_FIELD, target);
    if (head[AT_TYPE] == '2' && slash && !strchr(slash + 1, '/') && strncmp(to, "../", 3) == 0)
        to += 3;
    else if (head[AT_TYPE] == '2')
        return format(at, "link", err);
    if (*to == '\0')
        return format(at, "link", err);
    memmove(member->link, to, strlen(to) + 1);
    return RC_OK;
}

/* Take one member whose head is at `at`; *ret_next is where the next one is. */
static enum rc read_member(struct image_file *file, const uint8_t *head, uint64_t at, uint64_t size,
                           uint64_t *ret_next, struct err *err)
{
    struct member member = { .at = at + BLOCK };
    enum rc rc = RC_OK;

    if (memcmp(head + AT_MAGIC, "ustar", 5) != 0 || !sum_is_right(head) ||
        !octal(head + AT_SIZE, 12, &member.n))
        return format(at, "head", err);
    if (member.n > size - member.at)
        return err_at(err, RC_SHORT, at, "tar: the file ends inside a blob");
    *ret_next = member.at + (member.n + BLOCK - 1) / BLOCK * BLOCK;
    read_name(head, member.name);
    switch (head[AT_TYPE]) {
    case '5':
        return RC_OK;
    case 'x':
    case 'g':
        return check_extended(file, member.at, member.n, err);
    case '1':
    case '2':
        rc = read_link(head, at, &member, err);
        break;
    case '0':
    case '\0':
        break;
    default:
        return format(at, "type of a blob", err);
    }
    return rc == RC_OK ? add_member(file, &member, err) : rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct member *)a)->name, ((const struct member *)b)->name);
}

static enum rc sort_members(struct image_file *file, struct err *err)
{
    if (file->n == 0)
        return err_set(err, RC_IMAGE_FORMAT, "tar: empty");
    qsort(file->member, file->n, sizeof *file->member, by_name);
    for (uint32_t i = 1; i < file->n; i++) {
        if (by_name(&file->member[i - 1], &file->member[i]) == 0)
            return err_set(err, RC_ARCHIVE_DUPLICATE, "%.64s", file->member[i].name);
    }
    return RC_OK;
}

static enum rc read_tar(struct image_file *file, uint64_t size, struct err *err)
{
    static const uint8_t zeros[BLOCK];
    uint8_t head[BLOCK];
    uint64_t at = 0;
    enum rc rc = RC_OK;

    while (rc == RC_OK && at < size) {
        if (size - at < BLOCK)
            return err_at(err, RC_SHORT, at, "tar: the file ends inside a head");
        rc = fs_pread_exact(file->fd, head, BLOCK, at, err);
        if (rc == RC_OK && memcmp(head, zeros, BLOCK) == 0)
            break;
        if (rc == RC_OK)
            rc = read_member(file, head, at, size, &at, err);
    }
    return rc == RC_OK ? sort_members(file, err) : rc;
}

/* ---- what the header promises -----------------------------------------------------------------
 */

enum rc image_file_open(const char *path, struct image_file **ret, struct err *err)
{
    scoped(image_file_close) struct image_file *file = calloc(1, sizeof *file);
    struct stat st;
    enum rc rc = RC_OK;

    if (!file)
        return err_set(err, RC_NO_MEMORY, "image");
    file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (file->fd < 0)
        return err_sys(err, errno == ENOENT ? RC_NOT_FOUND : RC_IO, "%s", path);
    if (fstat(file->fd, &st) != 0)
        return err_sys(err, RC_IO, "%s", path);
    file->is_dir = S_ISDIR(st.st_mode);
    if (!file->is_dir && !S_ISREG(st.st_mode))
        return err_set(err, RC_NOT_REGULAR, "%s", path);
    if (!file->is_dir && (uint64_t)st.st_size > IMAGE_FILE_MAX)
        return err_set(err, RC_TOO_LARGE, "%s", path);
    if (!file->is_dir)
        rc = read_tar(file, (uint64_t)st.st_size, err);
    if (rc != RC_OK)
        return rc;
    *ret = file;
    file = NULL;
    return RC_OK;
}

static const struct member *find(const struct image_file *file, const char *name)
{
    struct member key = { 0 };

    if (strlen(name) >= sizeof key.name || file->n == 0)
        return NULL;
    memcpy(key.name, name, strlen(name) + 1);
    return bsearch(&key, file->member, file->n, sizeof key, by_name);
}

static enum rc blob_below(const struct image_file *file, const char *name, struct image_blob *ret,
                          struct err *err)
{
    return fs_open_plain(file->fd, name, IMAGE_FILE_MAX, &ret->fd, &ret->n, err);
}

enum rc image_file_blob(const struct image_file *file, const char *name, struct image_blob *ret,
                        struct err *err)
{
    scoped(image_blob_done) struct image_blob blob = { .fd = -1 };

    if (file->is_dir) {
        enum rc rc = blob_below(file, name, &blob, err);

        if (rc != RC_OK)
            return rc;
    } else {
        const struct member *member = find(file, name);

        if (member && member->link[0]) /* one step: a link to a link is no blob */
            member = find(file, member->link);
        if (!member || member->link[0])
            return err_set(err, RC_NOT_FOUND, "%.80s is not in the image", name);
        blob.at = member->at;
        blob.n = member->n;
        blob.fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 3);
        if (blob.fd < 0)
            return err_sys(err, RC_IO, "image");
    }
    *ret = blob;
    blob.fd = -1;
    return RC_OK;
}
