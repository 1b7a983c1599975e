/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/devices.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/name.h"
#include "sandbox/network.h"
#include "sandbox/tender.h"

#define WORDS_MAX 5U
#define MEMORY_MAJOR 1U

/* In /dev of every sandbox, or taken there for what other programs expect. */
static const char *const taken[] = {
    "null",   "zero",   "full", "random", "urandom", "fd",  "stdin",
    "stdout", "stderr", "shm",  "pts",    "ptmx",    "tty", "console",
};

struct line {
    uint32_t n;
    char *word[WORDS_MAX];
};

static void close_file(FILE **file)
{
    if (*file != NULL)
        (void)fclose(*file);
}

/* ---- one line ------------------------------------------------------------------------------- */

static void split(char *text, struct line *ret)
{
    char *rest = NULL;

    text[strcspn(text, "#\n")] = '\0';
    for (char *word = strtok_r(text, " \t", &rest); word != NULL && ret->n < WORDS_MAX;
         word = strtok_r(NULL, " \t", &rest))
        ret->word[ret->n++] = word;
}

static bool is_taken(const char *name)
{
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        if (strcmp(taken[i], name) == 0)
            return true;
    }
    return false;
}

/* Absolute, and nothing that goes up again. */
static bool take_path(const char *text, const char *below, struct listed *ret)
{
    size_t n = strlen(text);

    if (n >= sizeof ret->path || strncmp(text, below, strlen(below)) != 0 ||
        strstr(text, "/../") != NULL || (n >= 3 && strcmp(text + n - 3, "/..") == 0))
        return false;
    memcpy(ret->path, text, n + 1);
    return true;
}

static bool take_access(const char *text, struct listed *ret)
{
    if (strcmp(text, "r") == 0)
        ret->access = CGROUP_READ;
    else if (strcmp(text, "w") == 0)
        ret->access = CGROUP_WRITE;
    else if (strcmp(text, "rw") == 0)
        ret->access = CGROUP_READ | CGROUP_WRITE;
    return ret->access != 0;
}

/* "192.0.2.2/24" */
static bool take_address(char *text, struct listed *ret)
{
    char *slash = strchr(text, '/');
    struct in_addr address;
    char *end = NULL;

    if (slash == NULL || slash[1] < '0' || slash[1] > '9')
        return false;
    *slash = '\0';
    unsigned long prefix = strtoul(slash + 1, &end, 10);
    if (*end != '\0' || prefix < 1 || prefix > 32 || inet_pton(AF_INET, text, &address) != 1)
        return false;
    ret->address = ntohl(address.s_addr);
    ret->prefix = (uint32_t)prefix;
    return ret->address != 0;
}

static bool is_tender(const char *name)
{
    return strcmp(name, tender_name(PLAN_VM_QEMU)) == 0 ||
           strcmp(name, tender_name(PLAN_VM_SOLO5)) == 0;
}

static bool take_line(const struct line *line, struct listed *ret)
{
    const char *kind = line->word[0];

    if (line->n < 2 || strlen(line->word[1]) >= sizeof ret->name)
        return false;
    memcpy(ret->name, line->word[1], strlen(line->word[1]) + 1);
    if (strcmp(kind, "interface") == 0) {
        ret->kind = LISTED_INTERFACE;
        return network_name_valid(ret->name) &&
               (line->n == 2 || (line->n == 3 && take_address(line->word[2], ret)));
    }
    if (!name_valid(ret->name) || is_taken(ret->name))
        return false;
    if (strcmp(kind, "sysfs") == 0) {
        ret->kind = LISTED_SYSFS;
        return line->n == 3 && take_path(line->word[2], "/sys/", ret);
    }
    if (strcmp(kind, "tender") == 0) {
        ret->kind = LISTED_TENDER;
        return line->n == 3 && is_tender(ret->name) && take_path(line->word[2], "/", ret);
    }
    ret->kind = LISTED_DEVICE;
    return strcmp(kind, "device") == 0 && line->n == 4 && take_path(line->word[2], "/", ret) &&
           take_access(line->word[3], ret);
}

/* All of memory, or every port: whoever has that has the machine. */
static bool is_the_machine(const struct cgroup_device *d)
{
    return d->major == MEMORY_MAJOR && (d->minor == 1 || d->minor == 2 || d->minor == 4);
}

static enum rc check_entry(const struct devices_list *list, const struct listed *entry,
                           unsigned int number, struct err *err)
{
    struct cgroup_device device = { 0 };
    struct stat st;

    if (devices_find(list, entry->name) != NULL)
        return err_set(err, RC_VALUE, "line %u: %s again", number, entry->name);
    if (list->n == DEVICES_LISTED_MAX)
        return err_set(err, RC_VALUE, "line %u: more than %u", number, DEVICES_LISTED_MAX);
    if (entry->kind != LISTED_DEVICE || stat(entry->path, &st) != 0)
        return RC_OK; /* what is not there now may come */
    if (devices_node(entry, &device, err) != RC_OK || is_the_machine(&device))
        return err_set(err, RC_VALUE, "line %u: no device to give away: %.60s", number,
                       entry->path);
    return RC_OK;
}

static enum rc add_line(char *text, unsigned int number, struct devices_list *list, struct err *err)
{
    struct line line = { 0 };
    struct listed entry = { 0 };

    split(text, &line);
    if (line.n == 0)
        return RC_OK;
    if (!take_line(&line, &entry))
        return err_set(err, RC_VALUE, "line %u", number);
    enum rc rc = check_entry(list, &entry, number, err);
    if (rc == RC_OK)
        list->of[list->n++] = entry;
    return rc;
}

/* ---- the file ------------------------------------------------------------------------------- */

/* Nobody but root can have put it there, or write to it. */
static bool is_roots(int fd, mode_t type)
{
    struct stat st;

    return fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == type && st.st_uid == 0 &&
           (st.st_mode & 022) == 0;
}

enum rc devices_load(const char *path, struct devices_list *ret, struct err *err)
{
    static struct devices_list list; /* large, and there is one thread */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    scoped(close_file) FILE *file = fd < 0 ? NULL : fdopen(fd, "re");
    char text[512];
    enum rc rc = RC_OK;

    list.n = 0;
    if (file == NULL)
        return err_sys(err, RC_VALUE, "%.80s", path);
    if (!is_roots(fd, S_IFREG))
        return err_set(err, RC_VALUE, "%.60s is not root's alone to write", path);
    for (unsigned int n = 1; rc == RC_OK && fgets(text, sizeof text, file) != NULL; n++) {
        if (strchr(text, '\n') == NULL && !feof(file))
            rc = err_set(err, RC_VALUE, "line %u is too long", n);
        else
            rc = add_line(text, n, &list, err);
    }
    if (rc == RC_OK && ferror(file) != 0)
        rc = err_sys(err, RC_VALUE, "%.80s", path);
    if (rc == RC_OK)
        *ret = list;
    return rc;
}

const struct listed *devices_find(const struct devices_list *list, const char *name)
{
    for (uint32_t i = 0; i < list->n; i++) {
        if (strcmp(list->of[i].name, name) == 0)
            return &list->of[i];
    }
    return NULL;
}

enum rc devices_node(const struct listed *entry, struct cgroup_device *ret, struct err *err)
{
    struct stat st;

    if (stat(entry->path, &st) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "%s: %.60s", entry->name, entry->path);
    if (!S_ISCHR(st.st_mode))
        return err_set(err, RC_LAUNCH_STEP, "%s: %.60s is no character device", entry->name,
                       entry->path);
    *ret = (struct cgroup_device){ .major = major(st.st_rdev),
                                   .minor = minor(st.st_rdev),
                                   .access = entry->access };
    return is_the_machine(ret) ? err_set(err, RC_VALUE, "%s is the machine itself", entry->name)
                               : RC_OK;
}

enum rc devices_sysfs(const struct listed *entry, int *ret_fd, struct err *err)
{
    struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
                                           MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
                               .propagation = MS_PRIVATE };
    scoped(close_fd) int dir = open(entry->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct statfs fs;

    if (dir < 0 || fstatfs(dir, &fs) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "%s: %.60s", entry->name, entry->path);
    if ((long)fs.f_type != SYSFS_MAGIC)
        return err_set(err, RC_LAUNCH_STEP, "%s: %.60s is not of sysfs", entry->name, entry->path);
    scoped(close_fd) int fd =
        open_tree(dir, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof attr) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "mount of %s", entry->name);
    *ret_fd = take_fd(&fd);
    return RC_OK;
}

enum rc devices_tender(const struct listed *entry, int *ret_fd, struct err *err)
{
    struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
                               .propagation = MS_PRIVATE };
    scoped(close_fd) int dir = open(entry->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    scoped(close_fd) int program =
        dir < 0 ? -1 : openat(dir, &TENDER_PROGRAM[1], O_PATH | O_NOFOLLOW | O_CLOEXEC);

    if (program < 0)
        return err_sys(err, RC_LAUNCH_STEP, "tender %s: %.60s", entry->name, entry->path);
    if (!is_roots(dir, S_IFDIR) || !is_roots(program, S_IFREG))
        return err_set(err, RC_LAUNCH_STEP, "tender %s: %.60s is not root's alone to write",
                       entry->name, entry->path);
    scoped(close_fd) int fd =
        open_tree(dir, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof attr) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "mount of tender %s", entry->name);
    *ret_fd = take_fd(&fd);
    return RC_OK;
}
