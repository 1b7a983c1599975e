/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/context.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/name.h"
#include "orchestrator/path.h"
#include "orchestrator/yaml.h"
#include "orchestrator/yaml_emit.h"

#define FILE_NAME "contexts.yaml"
#define FILE_MAX ((size_t)64 * 1024)
#define DIR_CAP 1024U

/* The members that are paths, as the file calls them. */
struct member {
    const char *key;
    char *text;
};
#define MEMBERS 5U

static void members_of(struct context *c, struct member ret[MEMBERS])
{
    ret[0] = (struct member){ "token-file", c->token_file };
    ret[1] = (struct member){ "ca", c->ca };
    ret[2] = (struct member){ "cert", c->cert };
    ret[3] = (struct member){ "key", c->key };
    ret[4] = (struct member){ "root", c->root };
}

enum rc context_check(const struct context *context, struct err *err)
{
    struct context copy = *context;
    struct member member[MEMBERS];
    enum rc rc = name_valid(context->name) ? RC_OK : err_set(err, RC_NAME, "%.60s", context->name);

    members_of(&copy, member);
    if (rc == RC_OK)
        rc = server_url_check(context->server, err);
    for (size_t i = 0; rc == RC_OK && i < MEMBERS; i++)
        if (member[i].text[0] != '\0' && member[i].text[0] != '/')
            rc = err_set(err, RC_CONTEXT, "%s: %s is not from / on", context->name, member[i].key);
    if (rc == RC_OK && (context->cert[0] == '\0') != (context->key[0] == '\0'))
        rc = err_set(err, RC_CONTEXT, "%s: cert and key go together", context->name);
    if (rc == RC_OK && context->token_file[0] == '\0')
        rc = err_set(err, RC_CONTEXT, "%s: no token-file", context->name);
    return rc;
}

/* ---- reading and writing ----------------------------------------------------------------------
 */

static enum rc read_one(struct yaml_in *r, const struct yaml_node *node, struct context *ret,
                        struct err *err)
{
    static const char *const keys[] = { "server", "token-file", "ca", "cert", "key", "root", NULL };
    struct member member[MEMBERS];

    *ret = (struct context){ 0 };
    members_of(ret, member);
    yaml_keys(r, node, keys);
    if (strlen(node->key) >= sizeof ret->name)
        yaml_fail(r, node, "longer than a name");
    else
        (void)snprintf(ret->name, sizeof ret->name, "%s", node->key);
    yaml_text(r, node, "server", NULL, ret->server, sizeof ret->server);
    for (size_t i = 0; i < MEMBERS; i++)
        yaml_text(r, node, member[i].key, "", member[i].text, CONTEXT_PATH_CAP);
    enum rc rc = yaml_done(r, err);

    return rc == RC_OK ? context_check(ret, err) : rc;
}

enum rc contexts_parse(struct bytes text, struct contexts *ret, struct err *err)
{
    static const char *const keys[] = { "current", "contexts", NULL };
    scoped(yaml_close) struct yaml *doc = NULL;
    enum rc rc = yaml_parse(text, FILE_NAME, &doc, err);

    if (rc != RC_OK)
        return rc;
    struct yaml_in r = yaml_read(doc);

    *ret = (struct contexts){ 0 };
    yaml_keys(&r, yaml_root(&r), keys);
    yaml_text(&r, yaml_root(&r), "current", "", ret->current, sizeof ret->current);
    const struct yaml_node *all = yaml_map(&r, yaml_root(&r), "contexts", false);

    rc = yaml_done(&r, err);
    for (const struct yaml_node *n = yaml_first(&r, all); rc == RC_OK && n; n = yaml_next(&r, n)) {
        if (ret->n == CONTEXTS_MAX)
            return err_set(err, RC_TOO_LARGE, "%u contexts", CONTEXTS_MAX);
        rc = read_one(&r, n, &ret->context[ret->n], err);
        ret->n += rc == RC_OK;
    }
    if (rc == RC_OK && ret->current[0] != '\0' && !contexts_find(ret, ret->current))
        rc = err_set(err, RC_CONTEXT, "current: %s is not there", ret->current);
    return rc;
}

json_t *contexts_json(const struct contexts *contexts)
{
    json_t *all = json_object();

    for (size_t i = 0; i < contexts->n; i++) {
        struct context c = contexts->context[i];
        json_t *one = json_pack("{s:s}", "server", c.server);
        struct member member[MEMBERS];

        members_of(&c, member);
        for (size_t k = 0; k < MEMBERS; k++)
            if (member[k].text[0] != '\0')
                (void)json_object_set_new(one, member[k].key, json_string(member[k].text));
        (void)json_object_set_new(all, c.name, one);
    }
    json_t *value = json_object();

    if (contexts->current[0] != '\0')
        (void)json_object_set_new(value, "current", json_string(contexts->current));
    (void)json_object_set_new(value, "contexts", all);
    return value;
}

/* ---- the file ---------------------------------------------------------------------------------
 */

enum rc context_dir(bool create, int *ret_dirfd, struct err *err)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    char path[DIR_CAP];
    int n;

    if (config && config[0] == '/')
        n = snprintf(path, sizeof path, "%s/berth", config);
    else if (home && home[0] == '/')
        n = snprintf(path, sizeof path, "%s/.config/berth", home);
    else
        return err_set(err, RC_NOT_FOUND, "neither $XDG_CONFIG_HOME nor $HOME");
    if (n >= (int)sizeof path)
        return err_set(err, RC_TOO_LARGE, "path of " FILE_NAME);
    return path_open_dir(path, create, ret_dirfd, err);
}

static enum rc check_private(int dirfd, struct err *err)
{
    struct stat file, dir;

    if (fstatat(dirfd, FILE_NAME, &file, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? err_set(err, RC_NOT_FOUND, FILE_NAME)
                               : err_sys(err, RC_IO, FILE_NAME);
    if (fstat(dirfd, &dir) != 0)
        return err_sys(err, RC_IO, FILE_NAME);
    if (!S_ISREG(file.st_mode) || file.st_uid != geteuid() || (file.st_mode & 077U) != 0)
        return err_set(err, RC_CONTEXT, FILE_NAME " can be read or written by others");
    if (dir.st_uid != geteuid() || (dir.st_mode & 022U) != 0)
        return err_set(err, RC_CONTEXT, "directory of " FILE_NAME " can be written by others");
    return RC_OK;
}

enum rc contexts_load(struct contexts **ret, struct err *err)
{
    scoped(free_ptr) struct contexts *contexts = calloc(1, sizeof *contexts);
    scoped(free_ptr) uint8_t *text = NULL;
    scoped(close_fd) int dirfd = -1;
    size_t n = 0;

    if (!contexts)
        return err_set(err, RC_NO_MEMORY, "contexts");
    enum rc rc = context_dir(false, &dirfd, err);

    if (rc != RC_OK && err->sys == ENOENT)
        rc = RC_NOT_FOUND;
    if (rc == RC_OK)
        rc = check_private(dirfd, err);
    if (rc == RC_OK)
        rc = fs_read_alloc(dirfd, FILE_NAME, FILE_MAX, &text, &n, err);
    if (rc == RC_OK)
        rc = contexts_parse((struct bytes){ text, n }, contexts, err);
    if (rc != RC_OK && rc != RC_NOT_FOUND)
        return rc;
    *err = (struct err){ 0 };
    *ret = contexts;
    contexts = NULL;
    return RC_OK;
}

enum rc contexts_save(const struct contexts *contexts, struct err *err)
{
    scoped(close_fd) int dirfd = -1;
    json_t *value = contexts_json(contexts);
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    bool made = out && yaml_emit(value, out);

    json_decref(value);
    if (out && fclose(out) != 0)
        made = false;
    enum rc rc = made ? context_dir(true, &dirfd, err) : err_set(err, RC_NO_MEMORY, "contexts");

    if (rc == RC_OK)
        rc = fs_write_file(dirfd, FILE_NAME, (struct bytes){ (const uint8_t *)text, n }, 0600, err);
    free(text);
    return rc;
}

struct context *contexts_find(struct contexts *contexts, const char *name)
{
    for (size_t i = 0; i < contexts->n; i++)
        if (strcmp(contexts->context[i].name, name) == 0)
            return &contexts->context[i];
    return NULL;
}

static bool is_set(const char *variable)
{
    const char *value = getenv(variable);

    return value && value[0] != '\0';
}

enum rc context_choose(const char *context, const char *home, struct context *ret, bool *ret_any,
                       struct err *err)
{
    scoped(free_ptr) struct contexts *contexts = NULL;

    *ret_any = false;
    if (context && home)
        return err_set(err, RC_USAGE, "--context and --home: give one of them");
    if (home || (!context && !is_set("BERTH_CONTEXT") && is_set("BERTH_HOME")))
        return RC_OK;
    const char *name = context ? context : is_set("BERTH_CONTEXT") ? getenv("BERTH_CONTEXT") : NULL;
    enum rc rc = contexts_load(&contexts, err);

    if (rc != RC_OK || (!name && contexts->current[0] == '\0'))
        return rc;
    const struct context *found = contexts_find(contexts, name ? name : contexts->current);

    if (!found)
        return err_set(err, RC_CONTEXT, "there is no context %.60s", name);
    *ret = *found;
    *ret_any = true;
    return RC_OK;
}
