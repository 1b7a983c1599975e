/* SPDX-License-Identifier: Apache-2.0
 *
 * update/unpack: from verified content to files in a staging directory.
 *
 * The archive was signed by a tenant, and tenants are not trusted by each other or by the agent.
 * So a process of its own (berth-unpack) reads it: no network, no exec, nothing reachable but the
 * staging directory, bounded memory.  It believes no entry: types, names, modes, sizes and counts
 * are checked by update/policy before anything is made, and the first failure ends the job.  The
 * bytes are hashed again as they are read and must still be the ones that were verified.
 *
 * The agent's side never blocks: unpack_start gives a pidfd for its event loop, and unpack_result
 * collects the verdict.  A caller that has confined itself must leave to its children: executing
 * the program and reading its libraries (landlock), and landlock, seccomp and prctl (filter).
 */
#ifndef BERTH_UPDATE_UNPACK_H
#define BERTH_UPDATE_UNPACK_H

#include <sys/types.h>

#include "update/verify.h"

/* Descriptors that berth-unpack finds open. */
enum unpack_fd {
    UNPACK_FD_CONTENT = 3, /* the package file or memfd, read with pread only */
    UNPACK_FD_STAGING = 4, /* an empty directory: the root of the slot to be */
    UNPACK_FD_SPEC = 5,    /* one struct unpack_spec, then the end */
    UNPACK_FD_RESULT = 6,  /* takes one struct unpack_verdict */
};

/* What the signed manifest says of the content.  Plain data: it crosses a pipe. */
struct unpack_spec {
    uint64_t content_at;
    uint64_t content_bytes;
    uint64_t unpacked_bytes;
    struct digest content;
    uint32_t files;
    char entry[PAYLOAD_ARG_CAP]; /* absolute path inside the package, NUL-terminated */
};

/* How the job ended.  Plain data: it crosses a pipe. */
struct unpack_verdict {
    uint32_t rc;
    int32_t sys;
    uint64_t at;
    char what[96];
};

/* A running job.  pidfd becomes readable when it has ended. */
struct unpack_job {
    pid_t pid;
    int pidfd;
    int result_fd;
};

/* Start unpacking into staging_dirfd, an empty directory.  program_fd is berth-unpack, opened
 * O_PATH or O_RDONLY.  The payload may be freed once this has returned; the child dies with its
 * parent.  RC_ARCH if the payload was built for another machine, RC_UNPACK_FAILED if there is no
 * child. */
must_check enum rc unpack_start(const struct verified_payload *payload, int program_fd,
                                int staging_dirfd, struct unpack_job *ret, struct err *err);

/* The verdict of a job that has ended, once: reaps the child and closes the job's descriptors.
 * RC_BUSY, and nothing changed, while it still runs.  RC_OK: every file is in place and synced, the
 * entry point is executable, and the mount points proc dev tmp run data exist.  The child's refusal
 * otherwise; RC_UNPACK_FAILED if it died without a verdict.  On any failure the caller removes the
 * staging directory. */
must_check enum rc unpack_result(struct unpack_job *job, struct err *err);

/* Kill the child, wait for it and close the job's descriptors; harmless on a job that was
 * collected. */
void unpack_cancel(struct unpack_job *job);

/* Start and wait, at most timeout_ms: for the ground and for tests.  RC_TIMEOUT. */
must_check enum rc unpack_run(const struct verified_payload *payload, int program_fd,
                              int staging_dirfd, uint32_t timeout_ms, struct err *err);

/* The work itself, in this process and without confinement: what berth-unpack does between reading
 * its spec and writing its verdict.  On failure the directory is emptied again. */
must_check enum rc unpack_content(int content_fd, const struct unpack_spec *spec, int staging_dirfd,
                                  struct err *err);

/* The whole of berth-unpack, from its open descriptors to its exit code. */
int unpack_main(void);

#endif
