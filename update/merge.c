/* SPDX-License-Identifier: Apache-2.0 */
#include "update/merge.h"

#include <assert.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define WHITEOUT ".wh."
#define OPAQUE ".wh..wh..opq"
#define META ".wh..wh."
#define LINKS_MAX 40U
#define WALK_CAP (4U * PACKAGE_PATH_MAX)

/* A path that some layer had.  Never removed from the index, only marked as gone: what is gone has
 * nothing below it that is not. */
struct node {
    struct node *all;    /* next in the list of every node */
    struct node *parent; /* NULL: in the root */
    struct node *child;
    struct node *next; /* of the same parent */
    char *target;      /* of a link */
    mode_t mode;       /* type and bits; 0 = gone */
    uint32_t layer;    /* that said so last, of itself or of something below it */
    uint32_t wiped;    /* layer that has removed what lower ones have below it */
    uint64_t size;
    uint64_t at;
    char path[];
};

struct merge {
    bool strip_setuid;
    uint32_t layer;
    uint32_t entries; /* seen so far */
    uint32_t nodes;
    void *index; /* tsearch(3): a balanced tree, so chosen names cannot slow it down */
    struct node *all;
    struct node *root; /* in no index */
    struct merge_told told;
};

static int by_path(const void *path, const void *node)
{
    return strcmp(path, ((const struct node *)node)->path);
}

static int by_node(const void *a, const void *b)
{
    return strcmp(((const struct node *)a)->path, ((const struct node *)b)->path);
}

static struct node *find(const struct merge *m, const char *path)
{
    void *const *found = tfind(path, &m->index, by_path);

    return found ? *found : NULL;
}

static bool is_live(const struct node *node)
{
    return node && node->mode != 0;
}

/* ---- life -------------------------------------------------------------------------------------
 */

enum rc merge_new(bool strip_setuid, struct merge **ret, struct err *err)
{
    struct merge *m = calloc(1, sizeof *m);

    if (!m)
        return err_set(err, RC_NO_MEMORY, "tree");
    m->strip_setuid = strip_setuid;
    m->root = calloc(1, sizeof *m->root + 1);
    if (!m->root) {
        free(m);
        return err_set(err, RC_NO_MEMORY, "tree");
    }
    m->root->mode = S_IFDIR | 0755;
    *ret = m;
    return RC_OK;
}

static void keep(void *node)
{
    (void)node;
}

void merge_free(struct merge **merge)
{
    struct merge *m = *merge;

    if (!m)
        return;
    tdestroy(m->index, keep);
    while (m->all) {
        struct node *node = m->all;

        m->all = node->all;
        free(node->target);
        free(node);
    }
    free(m->root);
    free(m);
    *merge = NULL;
}

enum rc merge_layer(struct merge *merge, struct err *err)
{
    if (merge->layer == MERGE_LAYERS_MAX)
        return err_set(err, RC_TOO_LARGE, "more than %u layers", MERGE_LAYERS_MAX);
    merge->layer++;
    return RC_OK;
}

const struct merge_told *merge_told(const struct merge *merge)
{
    return &merge->told;
}

/* ---- removing ---------------------------------------------------------------------------------
 */

/* The node behind this one in a walk of everything below top; skips what is below a gone one. */
static struct node *step(const struct node *top, struct node *node, bool down)
{
    if (down && node->child)
        return node->child;
    while (node && node != top && !node->next)
        node = node->parent;
    return node && node != top ? node->next : NULL;
}

/* Remove what lower layers have below a directory. */
static void wipe(struct merge *m, struct node *top)
{
    struct node *node;

    if (top->wiped == m->layer) /* once for a layer is enough; more would only cost time */
        return;
    top->wiped = m->layer;
    node = top->child;
    while (node) {
        bool was_live = is_live(node);

        if (was_live && node->layer < m->layer)
            node->mode = 0;
        node = step(top, node, was_live);
    }
}

static enum rc through(const struct node *node, struct err *err)
{
    if (S_ISLNK(node->mode))
        return err_set(err, RC_ARCHIVE_LINK, "path through the link %s", node->path);
    return err_set(err, RC_ARCHIVE_PATH, "path through the file %s", node->path);
}

/* The node of the directory that holds path, or the one that keeps path from being reached; NULL
 * when something on the way is missing. */
static struct node *holder(struct merge *m, const char *path)
{
    char part[PACKAGE_PATH_MAX + 1];
    struct node *dir = m->root;

    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        memcpy(part, path, (size_t)(slash - path));
        part[slash - path] = 0;
        dir = find(m, part);
        if (!is_live(dir) || !S_ISDIR(dir->mode))
            return is_live(dir) ? dir : NULL;
    }
    return dir;
}

/* "dir/.wh.NAME" or "dir/.wh..wh..opq"; name is its last component. */
static enum rc whiteout(struct merge *m, const struct merge_entry *entry, const char *path,
                        const char *name, struct err *err)
{
    char victim[PACKAGE_PATH_MAX + 1];
    bool opaque = strcmp(name, OPAQUE) == 0;
    const char *rest = opaque ? "x" : name + strlen(WHITEOUT);
    struct policy_item item;
    struct node *dir, *node;

    if (entry->hardlink || !S_ISREG(entry->mode) || entry->size != 0)
        return err_set(err, RC_ARCHIVE_TYPE, "whiteout %.64s", path);
    if (!opaque && strncmp(name, META, strlen(META)) == 0)
        return err_set(err, RC_ARCHIVE_PATH, "whiteout %.64s", path);
    memcpy(victim, path,
           (size_t)(name - path)); /* shorter than the path, whose length is checked */
    memcpy(victim + (name - path), rest, strlen(rest) + 1);
    if (policy_is_hidden(bytes_of(victim), S_IFDIR))
        return RC_OK;

    struct policy_entry claim = { .path = bytes_of(victim), .mode = S_IFDIR | 0755 };
    enum rc rc = policy_check(&claim, &item, err);

    if (rc != RC_OK)
        return rc;
    if (strcmp(item.path, victim) != 0) /* ".wh.NAME/" */
        return err_set(err, RC_ARCHIVE_PATH, "whiteout %.64s", path);
    dir = holder(m, victim);
    if (dir && !S_ISDIR(dir->mode))
        return through(dir, err);
    node = !dir ? NULL : opaque ? dir : find(m, victim);
    if (!is_live(node))
        return RC_OK;
    wipe(m, node);
    if (!opaque && node->layer < m->layer)
        node->mode = 0;
    return RC_OK;
}

/* ---- adding -----------------------------------------------------------------------------------
 */

static enum rc make_node(struct merge *m, const char *path, struct node *parent, struct node **ret,
                         struct err *err)
{
    size_t n = strlen(path) + 1;
    struct node *node;

    if (m->nodes == MERGE_ENTRIES_MAX)
        return err_set(err, RC_ARCHIVE_COUNT, "more than %u paths", MERGE_ENTRIES_MAX);
    node = calloc(1, sizeof *node + n);
    if (!node)
        return err_set(err, RC_NO_MEMORY, "tree");
    memcpy(node->path, path, n);
    if (!tsearch(node, &m->index, by_node)) {
        free(node);
        return err_set(err, RC_NO_MEMORY, "tree");
    }
    m->nodes++;
    node->all = m->all;
    m->all = node;
    node->parent = parent;
    node->next = parent->child;
    parent->child = node;
    *ret = node;
    return RC_OK;
}

/* Find or make the node of path in parent. */
static enum rc place(struct merge *m, const char *path, struct node *parent, struct node **ret,
                     struct err *err)
{
    *ret = find(m, path);
    return *ret ? RC_OK : make_node(m, path, parent, ret, err);
}

/* The directories above path; one that no layer names is there all the same. */
static enum rc make_parents(struct merge *m, const char *path, struct node **ret, struct err *err)
{
    char part[PACKAGE_PATH_MAX + 1];
    enum rc rc = RC_OK;

    *ret = m->root;
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        memcpy(part, path, (size_t)(slash - path));
        part[slash - path] = 0;
        rc = place(m, part, *ret, ret, err);
        if (rc != RC_OK)
            return rc;
        if ((*ret)->mode == 0)
            (*ret)->mode = S_IFDIR | 0755;
        if (!S_ISDIR((*ret)->mode))
            return through(*ret, err);
        (*ret)->layer = m->layer;
    }
    return RC_OK;
}

/* Put the item in its place. */
static enum rc put(struct merge *m, const struct policy_item *item, uint64_t size, uint64_t at,
                   struct err *err)
{
    scoped(free_ptr) char *target = item->type == S_IFLNK ? strdup(item->target) : NULL;
    struct node *parent = NULL, *node = NULL;
    enum rc rc = make_parents(m, item->path, &parent, err);

    if (rc == RC_OK && item->type == S_IFLNK && !target)
        rc = err_set(err, RC_NO_MEMORY, "tree");
    if (rc == RC_OK)
        rc = place(m, item->path, parent, &node, err);
    if (rc != RC_OK)
        return rc;
    if (is_live(node) && node->layer == m->layer && !(S_ISDIR(node->mode) && item->type == S_IFDIR))
        return err_set(err, RC_ARCHIVE_DUPLICATE, "%s", item->path);
    if (is_live(node) && item->type != S_IFDIR)
        wipe(m, node);
    free(node->target);
    node->target = target;
    target = NULL;
    node->mode = item->type | item->mode;
    node->layer = m->layer;
    node->size = size;
    node->at = at;
    return RC_OK;
}

/* Set-user-id and the like: a directory's mean nothing in a package, a file's might. */
static mode_t plain_mode(struct merge *m, mode_t mode, const char *path)
{
    bool strip = S_ISDIR(mode) || m->strip_setuid;

    if (!S_ISDIR(mode) && !S_ISLNK(mode) && (mode & 07000) && strip) {
        if (m->told.setuid++ == 0)
            (void)snprintf(m->told.setuid_path, sizeof m->told.setuid_path, "%s", path);
    }
    return strip ? mode & ~(mode_t)07000 : mode;
}

static enum rc add_link(struct merge *m, const char *path, const char *to, struct err *err)
{
    while (to[0] == '.' && to[1] == '/')
        to += 2;

    struct node *file = find(m, to);
    struct policy_item item;

    if (!is_live(file) || !S_ISREG(file->mode))
        return err_set(err, RC_ARCHIVE_LINK, "hard link %.64s", path);

    struct policy_entry claim = { .path = bytes_of(path), .mode = file->mode };
    enum rc rc = policy_check(&claim, &item, err);

    if (rc != RC_OK)
        return rc;
    return put(m, &item, file->size, file->at, err);
}

static enum rc add_item(struct merge *m, const struct merge_entry *entry, const char *path,
                        struct err *err)
{
    char relative[PACKAGE_PATH_MAX + 1];
    const char *target = entry->target ? entry->target : "";
    struct policy_item item;

    if (S_ISLNK(entry->mode) && target[0] == '/') {
        if (!policy_relative_target(path, target, relative, sizeof relative))
            return err_set(err, RC_ARCHIVE_LINK, "%.64s", path);
        target = relative;
    }

    struct policy_entry claim = { .path = bytes_of(path),
                                  .target = bytes_of(target),
                                  .mode = plain_mode(m, entry->mode, path) };
    enum rc rc = policy_check(&claim, &item, err);

    if (rc != RC_OK)
        return err_set(err, rc, "%.64s", path);
    return put(m, &item, S_ISREG(entry->mode) ? entry->size : 0, entry->at, err);
}

/* A component before the last that is a whiteout's name: no layer means that. */
static bool is_in_whiteout(const char *path)
{
    for (const char *p = path; (p = strstr(p, WHITEOUT)); p++) {
        if ((p == path || p[-1] == '/') && strchr(p, '/') && strchr(p, '/')[1] != '\0')
            return true;
    }
    return false;
}

enum rc merge_add(struct merge *merge, const struct merge_entry *entry, bool *ret_wanted,
                  struct err *err)
{
    const char *path = entry->path, *name;
    enum rc rc;

    assert(merge->layer > 0);
    *ret_wanted = false;
    if (++merge->entries > MERGE_ENTRIES_MAX)
        return err_set(err, RC_ARCHIVE_COUNT, "more than %u entries", MERGE_ENTRIES_MAX);
    while (path[0] == '.' && path[1] == '/')
        path += 2;
    if ((path[0] == '\0' && path != entry->path) || strcmp(path, ".") == 0)
        return S_ISDIR(entry->mode) ? RC_OK : err_set(err, RC_ARCHIVE_PATH, "the root itself");
    if (strlen(path) > PACKAGE_PATH_MAX)
        return err_set(err, RC_ARCHIVE_PATH, "length: %.48s", path);
    name = strrchr(path, '/');
    name = name ? name + 1 : path;
    if (is_in_whiteout(path))
        return err_set(err, RC_ARCHIVE_PATH, "below a whiteout: %.48s", path);
    if (strncmp(name, WHITEOUT, strlen(WHITEOUT)) == 0)
        return whiteout(merge, entry, path, name, err);
    if (policy_is_hidden(bytes_of(path), entry->hardlink ? S_IFREG : entry->mode & S_IFMT)) {
        merge->told.hidden++;
        return RC_OK;
    }
    merge->told.attributes += entry->has_attributes;
    if (entry->hardlink)
        return add_link(merge, path, entry->hardlink, err);
    rc = add_item(merge, entry, path, err);
    *ret_wanted = rc == RC_OK && S_ISREG(entry->mode);
    return rc;
}

/* ---- looking ----------------------------------------------------------------------------------
 */

/* A walk along a path: where it has come to, and what is still before it. */
struct walk {
    char here[WALK_CAP];
    char rest[WALK_CAP];
};

/* The next component of rest goes to the end of here; "." and ".." act.  False if too long. */
static bool advance(struct walk *walk)
{
    const char *part = walk->rest + strspn(walk->rest, "/");
    size_t n = strcspn(part, "/"), len = strlen(walk->here);

    if (n == 2 && strncmp(part, "..", 2) == 0) {
        char *slash = strrchr(walk->here, '/');

        *(slash ? slash : walk->here) = '\0';
    } else if (n > 0 && !(n == 1 && part[0] == '.')) {
        if (len + n + 2 > sizeof walk->here)
            return false;
        if (len > 0)
            walk->here[len++] = '/';
        memcpy(walk->here + len, part, n);
        walk->here[len + n] = '\0';
    }
    memmove(walk->rest, part + n, strlen(part + n) + 1);
    return true;
}

/* The link at the end of here is left out for where it leads to.  False if too long. */
static bool follow(struct walk *walk, const char *target)
{
    size_t n = strlen(target), rest = strlen(walk->rest);
    char *slash = strrchr(walk->here, '/');

    if (n + rest + 2 > sizeof walk->rest)
        return false;
    memmove(walk->rest + n + 1, walk->rest, rest + 1);
    memcpy(walk->rest, target, n);
    walk->rest[n] = '/';
    *(slash ? slash : walk->here) = '\0';
    return true;
}

const char *merge_program(const struct merge *merge, const char *path)
{
    scoped(free_ptr) struct walk *walk = calloc(1, sizeof *walk);
    const struct node *node = NULL;
    unsigned links = 0;

    if (!walk || path[0] != '/' || strlen(path) >= sizeof walk->rest)
        return NULL;
    memcpy(walk->rest, path, strlen(path) + 1);
    while (walk->rest[strspn(walk->rest, "/")] != '\0') {
        if (node && !S_ISDIR(node->mode))
            return NULL;
        if (!advance(walk))
            return NULL;
        node = walk->here[0] ? find(merge, walk->here) : merge->root;
        if (!is_live(node))
            return NULL;
        if (!S_ISLNK(node->mode))
            continue;
        if (++links > LINKS_MAX || !follow(walk, node->target))
            return NULL;
        node = NULL;
    }
    return node && S_ISREG(node->mode) && (node->mode & 0111) != 0 ? node->path : NULL;
}

static int by_item(const void *a, const void *b)
{
    return strcmp(((const struct pack_item *)a)->path, ((const struct pack_item *)b)->path);
}

enum rc merge_items(const struct merge *merge, struct pack_item **ret, size_t *ret_n,
                    struct err *err)
{
    size_t n = 0, i = 0;

    for (const struct node *node = merge->all; node; node = node->all)
        n += is_live(node) ? 1 : 0;
    if (n == 0 || n > PACKAGE_FILES_MAX)
        return err_set(err, RC_ARCHIVE_COUNT, "%zu files", n);

    struct pack_item *items = calloc(n, sizeof *items);

    if (!items)
        return err_set(err, RC_NO_MEMORY, "tree");
    for (const struct node *node = merge->all; node; node = node->all) {
        if (!is_live(node))
            continue;
        items[i++] = (struct pack_item){ .path = node->path,
                                         .target = node->target ? node->target : "",
                                         .mode = node->mode,
                                         .size = S_ISREG(node->mode) ? node->size : 0,
                                         .at = node->at };
    }
    qsort(items, n, sizeof *items, by_item);
    *ret = items;
    *ret_n = n;
    return RC_OK;
}
