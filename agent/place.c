/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/place.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/fs.h"
#include "base/log.h"

static const char *const names[PLACES] = {
    [PLACE_STATE] = ".",       [PLACE_TRUST] = "trust",       [PLACE_OBJECTS] = "objects",
    [PLACE_SLOTS] = "slots",   [PLACE_DATA] = "data",         [PLACE_STAGING] = "staging",
    [PLACE_LOG] = "log",       [PLACE_LINK] = "link",         [PLACE_SPOOL] = "spool",
    [PLACE_UPLINK] = "uplink", [PLACE_DOWNLINK] = "downlink",
};

const char *place_name(enum place place)
{
    return names[place];
}

static bool any_name(void *arg, const char *name)
{
    (void)arg;
    (void)name;
    return true;
}

/* It may open, and its content be unreadable, at any place of it. */
static enum rc open_readable(int state_dir, const char *name, mode_t mode, int *ret_fd,
                             struct err *err)
{
    scoped(close_fd) int fd = -1;
    enum rc rc = fs_open_dir(state_dir, name, mode, &fd, err);

    if (rc == RC_OK)
        rc = fs_list(fd, ".", SIZE_MAX, any_name, NULL, NULL, err);
    if (rc == RC_OK)
        *ret_fd = take_fd(&fd);
    return rc;
}

static void spare_name(enum place place, char out[32])
{
    (void)snprintf(out, 32, "%s" PLACE_SPARE, names[place]);
}

enum rc place_spare(int state_dir, enum place place, mode_t mode, int *ret_fd, struct err *err)
{
    char spare[32];

    spare_name(place, spare);
    return open_readable(state_dir, spare, mode, ret_fd, err);
}

void place_forget_spare(int state_dir, enum place place)
{
    char spare[32];
    struct err ignored;

    spare_name(place, spare);
    (void)!fs_remove_tree(state_dir, spare, &ignored);
}

enum rc place_open(int state_dir, enum place place, mode_t mode, bool may_spare, int *ret_fd,
                   bool *ret_bad, struct err *err)
{
    enum rc rc = open_readable(state_dir, names[place], mode, ret_fd, err);

    *ret_bad = rc != RC_OK;
    if (rc != RC_OK)
        log_err(LOG_LEVEL_ERROR, err, "%s/ cannot be used", names[place]);
    if (!may_spare)
        return rc;
    if (rc == RC_OK) { /* the fault has passed, or there was none */
        place_forget_spare(state_dir, place);
        return RC_OK;
    }
    return place_spare(state_dir, place, mode, ret_fd, err);
}

static bool first_name(void *arg, const char *name)
{
    (void)arg;
    (void)name;
    return false;
}

/* Whoever fills it must not decide how long a start takes: no more than its first name is read. */
static enum rc open_outside(const char *path, int *ret_fd, struct err *err)
{
    scoped(close_fd) int fd = -1;
    enum rc rc = fs_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, &fd, err);

    if (rc == RC_OK)
        rc = fs_list(fd, ".", 1, first_name, NULL, NULL, err);
    if (rc == RC_OK)
        *ret_fd = take_fd(&fd);
    return rc;
}

enum rc place_open_outside(int state_dir, enum place place, const char *path, int *ret_fd,
                           bool *ret_bad, struct err *err)
{
    enum rc rc = open_outside(path, ret_fd, err);

    if (rc != RC_OK)
        rc = open_outside(path, ret_fd, err);
    *ret_bad = rc != RC_OK;
    if (rc == RC_OK) {
        place_forget_spare(state_dir, place);
        return RC_OK;
    }
    log_err(LOG_LEVEL_ERROR, err, "the %s cannot be used", names[place]);
    return place_spare(state_dir, place, 0700, ret_fd, err);
}
