/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/cl_box: berth-cl dir in this process, turn by turn, at a time that the test tells: so
 * what is not taken is known not to be.
 */
#ifndef BERTH_TESTS_UNIT_CL_BOX_H
#define BERTH_TESTS_UNIT_CL_BOX_H

#include "tests/unit/cl_rig.h"

#include "link/cl.h"

static struct cl_store store;

struct box {
    int out, temp, in, send, recv;
    void *cl;
    struct cl_config config;
    char path[3][128];
    uint64_t now_ms;
};

/* A directory PREFIX.NAME, which may be there already. */
static int box_dir(const char *prefix, const char *name)
{
    char path[64];
    int fd;

    (void)snprintf(path, sizeof path, "%s.%s", prefix, name);
    if (faccessat(rig.fd, path, F_OK, 0) < 0)
        return rig_dir(path);
    fd = openat(rig.fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void box_start(struct box *b)
{
    struct err err;

    assert_rc(cl_dir.open(&b->config, &store, &b->cl, &err), RC_OK);
    assert_rc(cl_store_open(b->send, b->recv, -1, &store, &err), RC_OK);
}

/* What config leaves at 0 is as berth-cl has it; out_temp is any text. */
static void box_open(struct box *b, const char *prefix, const struct cl_config *config)
{
    static const char *const names[3] = { "out", "in", "temp" };

    *b = (struct box){ .out = box_dir(prefix, "out"),
                       .temp = box_dir(prefix, "temp"),
                       .in = box_dir(prefix, "in"),
                       .send = box_dir(prefix, "send"),
                       .recv = box_dir(prefix, "recv"),
                       .config = *config,
                       .now_ms = 1000000 };
    for (size_t i = 0; i < 3; i++)
        assert_true(snprintf(b->path[i], sizeof b->path[i], "%s/%s.%s", rig.path, prefix,
                             names[i]) < (int)sizeof b->path[i]);
    b->config.out = b->path[0];
    b->config.in = b->path[1];
    b->config.out_temp = config->out_temp ? b->path[2] : NULL;
    b->config.suffix = config->suffix ? config->suffix : DIRCL_SUFFIX;
    b->config.temp = config->temp ? config->temp : ".part";
    b->config.size_max = config->size_max ? config->size_max : BUNDLE_MAX;
    b->config.name_max = config->name_max ? config->name_max : 64;
    b->config.files_max = 256;
    b->config.stale_s = config->stale_s ? config->stale_s : 3600;
    box_start(b);
}

static void box_stop(struct box *b)
{
    cl_dir.close(b->cl);
    cl_store_close(&store);
}

static void box_close(struct box *b)
{
    box_stop(b);
    close(b->out);
    close(b->temp);
    close(b->in);
    close(b->send);
    close(b->recv);
}

/* Turns until it would wait: then every file was looked at. */
static void box_look(struct box *b)
{
    uint64_t wait = 0;
    size_t turns = 0;

    store.names.hint = true;
    do {
        struct pollfd fds[CL_FDS];

        if (++turns > 1000)
            fail_msg("it never rests");
        cl_dir.turn(b->cl, b->now_ms);
        wait = CL_LOOK_MS;
        (void)cl_dir.wait(b->cl, b->now_ms, fds, &wait);
    } while (wait < CL_LOOK_MS);
}

/* The same, so much later. */
static __attribute__((unused)) void box_later(struct box *b, uint64_t s)
{
    b->now_ms += s * 1000U;
    box_look(b);
}

/* Write a part of a file at its place.  Each write has a time of its own, whatever the clock's
 * grain. */
static __attribute__((unused)) void box_fill(int dir, const char *name, struct bytes all, size_t at,
                                             size_t n)
{
    static time_t when = 1000;
    const struct timespec times[2] = { { .tv_sec = ++when }, { .tv_sec = when } };
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

    assert_true(fd >= 0 && at + n <= all.n);
    if (n > 0)
        assert_int_equal(pwrite(fd, all.p + at, n, (off_t)at), n);
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static __attribute__((unused)) bool box_has(int dir, const char *name)
{
    return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

#endif
