/* SPDX-License-Identifier: Apache-2.0
 *
 * The child's side of update/unpack: give everything up, then look at the archive.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/confine.h"
#include "base/fs.h"
#include "update/unpack.h"

#define MEMORY_MAX (256ULL * 1024 * 1024)
#define FILES_MAX 32U

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

/* No network, no exec, no other directory; a file no larger than the whole package may be. */
static enum rc confine(const struct unpack_spec *spec, struct err *err)
{
    static const char *const calls[] = { "symlinkat", "fchmodat", "fchmodat2",
                                         "syncfs",    "umask",    NULL };
    const struct confine_dir staging = { .fd = UNPACK_FD_STAGING, .write = true };
    const struct confine rules = {
        .name = "berth-unpack",
        .syscalls = calls,
        .dirs = &staging,
        .n_dirs = 1,
        .file_size_max = spec->unpacked_bytes > 4096 ? spec->unpacked_bytes : 4096,
        .files_max = FILES_MAX,
        .memory_max = MEMORY_MAX,
    };

    return confine_self(&rules, err);
}

int unpack_main(void)
{
    struct unpack_spec spec;
    struct err err = { .rc = RC_OK };
    enum rc rc = read_spec(UNPACK_FD_SPEC, &spec, &err);

    if (rc == RC_OK)
        rc = confine(&spec, &err);
    if (rc == RC_OK)
        rc = unpack_content(UNPACK_FD_CONTENT, &spec, UNPACK_FD_STAGING, &err);

    struct unpack_verdict verdict = { .rc = (uint32_t)rc };

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
