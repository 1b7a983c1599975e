/* SPDX-License-Identifier: Apache-2.0
 *
 * The child's side of update/unpack: give everything up, then look at the archive.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/confine.h"
#include "base/fs.h"
#include "update/check.h"
#include "update/index.h"
#include "update/package.h"
#include "update/unpack_delta.h"

#define MEMORY_MAX (256ULL * 1024 * 1024)
#define FILES_MAX 32U
#define PAGE_BYTES 65536ULL /* the largest that a kernel of ours has */

/* Exactly one spec, then the end of the pipe. */
static enum rc read_spec(int fd, struct unpack_spec *ret, struct err *err)
{
    uint8_t buf[sizeof *ret + 1];
    size_t n = 0;

    while (n < sizeof buf) {
        ssize_t got = read(fd, buf + n, sizeof buf - n);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, RC_IO, "spec");
        if (got == 0)
            break;
        n += (size_t)got;
    }
    if (n != sizeof *ret)
        return err_set(err, RC_PROTOCOL, "spec of %zu bytes", n);
    memcpy(ret, buf, sizeof *ret);
    return RC_OK;
}

/* No network, no exec, no other directory than the staging one and, to read, the base of a delta; a
 * file no larger than the whole package may be. */
static enum rc confine(const struct unpack_spec *spec, struct err *err)
{
    const bool tree =
        spec->check == UNPACK_CHECK_NONE || spec->check == UNPACK_CHECK_TREE; /* it is given one */
    static const char *const calls[] = { "symlinkat", "fchmodat",   "fchmodat2", "syncfs",
                                         "umask",     "readlinkat", "fadvise64", NULL };
    const struct confine_dir dirs[] = {
        { .fd = UNPACK_FD_STAGING, .write = spec->check == UNPACK_CHECK_NONE },
        { .fd = UNPACK_FD_BASE, .write = false },
    };
    /* A delta's old files are mapped, each in whole pages; the pages are the file's, not ours. */
    uint64_t mapped = spec->base_bytes + INDEX_MAX + ((uint64_t)spec->base_files + 1) * PAGE_BYTES;
    const struct confine rules = {
        .name = "berth-unpack",
        .syscalls = calls,
        .dirs = tree ? dirs : dirs + 1,
        .n_dirs = (tree ? 1U : 0U) + (spec->delta ? 1U : 0U),
        .file_size_max = spec->unpacked_bytes > INDEX_MAX ? spec->unpacked_bytes : INDEX_MAX,
        .files_max = FILES_MAX,
        .memory_max = MEMORY_MAX + (spec->delta ? mapped : 0),
    };

    return confine_self(&rules, err);
}

/* Behind everybody else.  What the kernel does not grant is not missed. */
static void stand_back(void)
{
    const struct sched_param none = { 0 };

    (void)sched_setscheduler(0, SCHED_IDLE, &none);
    (void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0));
}

enum rc unpack_check_content(int content_fd, const struct unpack_spec *spec, struct err *err)
{
    static struct manifest m; /* large, and there is one thread */

    m = (struct manifest){ .content_bytes = spec->content_bytes,
                           .content = spec->content,
                           .content384 = spec->content384 };
    return package_check_content(content_fd, spec->content_at, &m, err);
}

/* What the spec asks for.  Nothing looks into content that nobody signed. */
static enum rc work(const struct unpack_spec *spec, struct verity *verity, struct err *err)
{
    const struct unpack_base base = { .root = UNPACK_FD_BASE, .index = UNPACK_FD_BASE_INDEX };
    const struct staging out = {
        .root = UNPACK_FD_STAGING,
        .index = fcntl(UNPACK_FD_INDEX, F_GETFD) < 0 ? -1 : UNPACK_FD_INDEX,
        .verity = verity,
    };

    if (spec->check == UNPACK_CHECK_TREE)
        return check_tree(UNPACK_FD_CONTENT, spec, UNPACK_FD_STAGING, err);
    if (spec->check == UNPACK_CHECK_OBJECT)
        return check_object(UNPACK_FD_CONTENT, spec, err);
    if (spec->check == UNPACK_CHECK_CONTENT)
        return spec->delta ? unpack_check_delta(UNPACK_FD_CONTENT, spec, &base, err)
                           : unpack_check_content(UNPACK_FD_CONTENT, spec, err);
    if (spec->check != UNPACK_CHECK_NONE)
        return err_set(err, RC_PROTOCOL, "check %u", spec->check);
    if (spec->delta)
        return unpack_delta(UNPACK_FD_CONTENT, spec, &base, &out, err);
    enum rc rc = spec->unread ? unpack_check_content(UNPACK_FD_CONTENT, spec, err) : RC_OK;
    return rc == RC_OK ? unpack_archive(UNPACK_FD_CONTENT, spec, &out, err) : rc;
}

int unpack_main(void)
{
    struct unpack_spec spec;
    struct verity verity = { .enable = verity_ioctl };
    struct err err = { .rc = RC_OK };
    enum rc rc = read_spec(UNPACK_FD_SPEC, &spec, &err);

    if (rc == RC_OK && spec.idle)
        stand_back();
    if (rc == RC_OK)
        rc = confine(&spec, &err);
    if (rc == RC_OK)
        rc = work(&spec, &verity, &err);

    struct unpack_verdict verdict = { .rc = (uint32_t)rc, .verity = verity.state };

    if (rc != RC_OK) {
        verdict.sys = err.sys;
        verdict.at = err.at;
        memcpy(verdict.what, err.what, sizeof verdict.what);
    }

    struct bytes out = { .p = (const uint8_t *)&verdict, .n = sizeof verdict };

    if (fs_write_all(UNPACK_FD_RESULT, out, &err) != RC_OK)
        return EXIT_FAILURE;
    return rc == RC_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
