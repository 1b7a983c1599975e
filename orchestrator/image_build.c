/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/image_build.h"

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/image.h"

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static void note(struct image_notes *notes, const char *fmt, ...) printf_like(2, 3);

static void note(struct image_notes *notes, const char *fmt, ...)
{
    va_list args;
    char *text = notes->note[notes->n % IMAGE_BUILD_NOTES_MAX];

    if (notes->n == IMAGE_BUILD_NOTES_MAX)
        return;
    va_start(args, fmt);
    (void)vsnprintf(text, IMAGE_BUILD_NOTE_CAP, fmt, args);
    va_end(args);
    notes->n++;
    for (; *text; text++) { /* names in it are the image's: nothing may act on a terminal */
        if (*text < 0x20 || *text > 0x7e)
            *text = '?';
    }
}

/* ---- how to start -----------------------------------------------------------------------------
 */

static bool same_name(const char *a, const char *b)
{
    size_t n = strcspn(a, "=");

    return strncmp(a, b, n) == 0 && b[n] == '=';
}

static bool sets(const struct manifest *m, uint32_t n, const char *variable)
{
    for (uint32_t i = 0; i < n; i++) {
        if (same_name(variable, m->env[i]))
            return true;
    }
    return false;
}

/* The tenant's variables stay; of the image's come those that they do not set. */
static enum rc take_env(const struct image_start *start, struct manifest *m, struct err *err)
{
    uint32_t own = m->n_env;

    for (uint32_t i = 0; i < start->n_env; i++) {
        if (sets(m, own, start->env[i]))
            continue;
        if (m->n_env == PAYLOAD_ENV_MAX)
            return err_set(err, RC_IMAGE_CONFIG, "Env: more than %u with those of payload.yaml",
                           PAYLOAD_ENV_MAX);
        memcpy(m->env[m->n_env++], start->env[i], PAYLOAD_ARG_CAP);
    }
    return RC_OK;
}

static bool is_root_dir(const char *dir)
{
    return dir[strspn(dir, "/")] == '\0';
}

static enum rc take_args(const struct image_start *start, struct manifest *m,
                         struct image_notes *notes, struct err *err)
{
    if (m->n_args > 0) { /* the tenant has written what to run, and where it starts is known */
        if (start->n_args > 0)
            note(notes, "Entrypoint, Cmd: exec: in payload.yaml counts");
        if (!is_root_dir(start->dir))
            note(notes, "WorkingDir %s: a payload starts in /", start->dir);
        return RC_OK;
    }
    if (start->n_args == 0)
        return err_set(err, RC_IMAGE_CONFIG, "no Entrypoint and no Cmd");
    if (!is_root_dir(start->dir))
        return err_set(err, RC_IMAGE_CONFIG, "WorkingDir %.64s: a payload starts in /", start->dir);
    memcpy(m->args, start->args, sizeof m->args);
    m->n_args = start->n_args;
    return RC_OK;
}

/* A name without '/' is looked for in PATH, as a container's runtime would; the manifest has it in
 * full. */
static enum rc find_program(const struct merge *tree, struct manifest *m, struct err *err)
{
    const char *path = DEFAULT_PATH;
    char *name = m->args[0], full[PAYLOAD_ARG_CAP] = "";

    if (name[0] == '/')
        return merge_program(tree, name)
                   ? RC_OK
                   : err_set(err, RC_ENTRY_POINT, "%s: not an executable file in the image", name);
    if (name[0] == '\0' || strchr(name, '/'))
        return err_set(err, RC_ENTRY_POINT, "%s: neither absolute nor a plain name", name);
    for (uint32_t i = 0; i < m->n_env; i++) {
        if (same_name(DEFAULT_PATH, m->env[i]))
            path = m->env[i];
    }
    for (const char *at = path + strlen("PATH="); *at;) {
        size_t n = strcspn(at, ":");

        if (at[0] == '/' && n + strlen(name) + 2 <= sizeof full) {
            memcpy(full, at, n);
            full[n] = '/';
            memcpy(full + n + 1, name, strlen(name) + 1);
            if (merge_program(tree, full)) {
                memcpy(name, full, sizeof full);
                return RC_OK;
            }
        }
        at += n + (at[n] == ':');
    }
    return err_set(err, RC_ENTRY_POINT, "%s: not in the image's PATH", name);
}

/* ---- the whole --------------------------------------------------------------------------------
 */

static void tell(const struct image *image, const struct merge *tree, struct image_notes *notes)
{
    const struct merge_told *told = merge_told(tree);

    for (uint32_t i = 0; i < image->n_notes; i++)
        note(notes, "%s", image->note[i]);
    if (told->hidden > 0)
        note(notes, "%u entries in /data, /dev, /proc, /run, /tmp left out: mounted over on board",
             told->hidden);
    if (told->attributes > 0)
        note(notes, "%u entries lost extended attributes, ACL or flags", told->attributes);
    if (told->setuid > 0)
        note(notes, "%u files lost set-user-id and the like: %s%s", told->setuid, told->setuid_path,
             told->setuid > 1 ? ", ..." : "");
}

static enum rc pack_merged(const struct merge *tree, const struct spool *spool, unsigned level,
                           int content_fd, struct packed *ret, struct err *err)
{
    scoped(free_ptr) struct pack_item *items = NULL;
    size_t n = 0;
    enum rc rc = merge_items(tree, &items, &n, err);

    return rc == RC_OK ? pack_list(items, n, spool->fd, level, content_fd, ret, err) : rc;
}

static enum rc open_image(const char *base, const char *name, struct image_file **ret,
                          struct err *err)
{
    char path[PATH_MAX];
    int n = name[0] == '/' ? snprintf(path, sizeof path, "%s", name)
                           : snprintf(path, sizeof path, "%s/%s", base, name);

    if (n < 0 || (size_t)n >= sizeof path)
        return err_set(err, RC_TOO_LARGE, "%s", name);
    return image_file_open(path, ret, err);
}

enum rc image_build(const char *base, struct payload_spec *spec, unsigned level, int content_fd,
                    struct packed *ret, struct image_notes *notes, struct err *err)
{
    struct manifest *m = &spec->manifest;
    scoped(image_file_close) struct image_file *file = NULL;
    scoped(free_ptr) struct image *image = calloc(1, sizeof *image);
    scoped(merge_free) struct merge *tree = NULL;
    scoped(close_fd) int spool_fd = open(base, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    struct spool spool = { .fd = spool_fd };
    struct image_want want = { .arch = m->arch, .tag = spec->image.tag };
    enum rc rc = image ? RC_OK : err_set(err, RC_NO_MEMORY, "image");

    if (rc == RC_OK && spool_fd < 0)
        rc = err_sys(err, RC_IO, "%s", base);
    if (rc == RC_OK)
        rc = open_image(base, spec->image.file, &file, err);
    if (rc == RC_OK)
        rc = image_read(file, &want, image, err);
    if (rc == RC_OK)
        rc = take_args(&image->start, m, notes, err);
    if (rc == RC_OK)
        rc = take_env(&image->start, m, err);
    if (rc == RC_OK)
        rc = merge_new(spec->image.strip_setuid, &tree, err);
    if (rc == RC_OK)
        rc = image_layers(file, image, tree, &spool, err);
    if (rc == RC_OK)
        rc = find_program(tree, m, err);
    if (rc == RC_OK)
        rc = pack_merged(tree, &spool, level, content_fd, ret, err);
    if (rc == RC_OK)
        tell(image, tree, notes);
    return rc;
}
