/* SPDX-License-Identifier: Apache-2.0
 *
 * update/unpack: from verified content to files in a staging directory.
 *
 * The archive was signed by a tenant, and tenants are not trusted by each other or by the agent.
 * So a process of its own (berth-unpack) reads it: no network, no exec, nothing reachable but the
 * staging directory, bounded memory.  It believes no entry: types, names, modes, sizes and counts
 * are checked by update/policy before anything is made, and the first failure ends the job.  The
 * bytes are hashed again as they are read and must still be the ones that were verified.  Each file
 * is hashed as it is written, and the index of them all (update/index) must be the one that the
 * manifest names, if it names one.
 *
 * A delta (update/unpack_delta) goes the same way, with a slot of the same payload to read from.
 *
 * The agent's side never blocks: unpack_start gives a pidfd for its event loop, and unpack_result
 * collects the verdict.  A caller that has confined itself must leave to its children: executing
 * the program and reading its libraries (landlock), and landlock, seccomp and prctl (filter).
 */
#ifndef BERTH_UPDATE_UNPACK_H
#define BERTH_UPDATE_UNPACK_H

#include <sys/types.h>

#include "update/staging.h"
#include "update/verify.h"

/* Descriptors that berth-unpack finds open. */
enum unpack_fd {
    UNPACK_FD_CONTENT = 3,    /* the package file or memfd, read with pread only */
    UNPACK_FD_STAGING = 4,    /* an empty directory: the root of the slot to be */
    UNPACK_FD_SPEC = 5,       /* one struct unpack_spec, then the end */
    UNPACK_FD_RESULT = 6,     /* takes one struct unpack_verdict */
    UNPACK_FD_INDEX = 7,      /* takes the index; may be closed: nobody keeps it */
    UNPACK_FD_BASE = 8,       /* of a delta: the tree that it starts from, a directory */
    UNPACK_FD_BASE_INDEX = 9, /* ... and its index */
};

/* Of an unpack_start_job: content, directory, index or -1, base and its index or -1. */
#define UNPACK_FDS 5U

/* What is checked instead of unpacked (update/check). */
enum unpack_check {
    UNPACK_CHECK_NONE = 0,
    UNPACK_CHECK_TREE = 1, /* the index is the content, the tree the staging directory */
    UNPACK_CHECK_OBJECT =
        2, /* the content is content_bytes long and has the digest; nothing else */
    UNPACK_CHECK_CONTENT = 3, /* what would be unpacked is what was signed; nothing is made */
};

/* What the signed manifest says of the content.  Plain data: it crosses a pipe. */
struct unpack_spec {
    uint64_t content_at;
    uint64_t content_bytes;
    uint64_t unpacked_bytes;
    struct digest content;
    struct digest384 content384; /* all zero = the manifest has none */
    struct digest index;         /* all zero = the manifest has none */
    struct digest384 index384;   /* all zero = the manifest has none */
    uint32_t files;
    uint32_t check; /* enum unpack_check; else unpack */
    uint32_t delta; /* 1: content_at and content_bytes are those of a delta, for the base below */
    uint32_t base_files;
    uint64_t base_bytes;         /* of its files */
    struct digest base;          /* of its index */
    uint32_t idle;               /* 1: only when nobody else wants the processor or the medium */
    uint32_t unread;             /* 1: nobody has held the content against its digest yet */
    char entry[PAYLOAD_ARG_CAP]; /* absolute path inside the package, NUL-terminated */
};

/* How the job ended.  Plain data: it crosses a pipe. */
struct unpack_verdict {
    uint32_t rc;
    int32_t sys;
    uint64_t at;
    uint32_t verity; /* enum verity_state */
    char what[96];
};

/* A running job.  pidfd becomes readable when it has ended. */
struct unpack_job {
    pid_t pid;
    int pidfd;
    int result_fd;
    enum verity_state verity; /* after unpack_result: whether the files have it */
};

/* Whether the content is what the spec says, read whole.  RC_DIGEST_MISMATCH. */
must_check enum rc unpack_check_content(int content_fd, const struct unpack_spec *spec,
                                        struct err *err);

/* Start unpacking into staging_dirfd, an empty directory, and write the index to index_fd, a file
 * on the same file system, or -1 if nobody keeps it.  program_fd is berth-unpack, opened O_PATH or
 * O_RDONLY.  The payload may be freed once this has returned; the child dies with its parent.
 * RC_ARCH if the payload was built for another machine, RC_UNPACK_FAILED if there is no child. */
must_check enum rc unpack_start(const struct verified_payload *payload, int program_fd,
                                int staging_dirfd, int index_fd, struct unpack_job *ret,
                                struct err *err);

/* What berth-unpack is and where it puts what it makes. */
struct unpack_to {
    int program; /* opened O_PATH or O_RDONLY */
    int staging; /* an empty directory */
    int index;   /* a file on the same file system, or -1 */
};

/* The slot that a delta starts from; manifest is that of a verified one, of the same payload. */
struct unpack_from {
    int root;
    int index;
    const struct manifest *manifest;
};

/* Start applying a delta to what lies in a slot.  As unpack_start otherwise; the verdict may be one
 * of unpack_delta's. */
must_check enum rc unpack_start_delta(const struct verified_delta *delta,
                                      const struct unpack_from *from, const struct unpack_to *to,
                                      struct unpack_job *ret, struct err *err);

/* The same for any spec: what unpack_start and check_start are made of. */
must_check enum rc unpack_start_job(const struct unpack_spec *spec, int program_fd,
                                    const int fds[UNPACK_FDS], struct unpack_job *ret,
                                    struct err *err);

/* The verdict of a job that has ended, once: reaps the child and closes the job's descriptors.
 * RC_BUSY, and nothing changed, while it still runs.  RC_OK: every file is in place and synced, the
 * entry point is executable, and the mount points proc dev tmp run data exist.  The child's refusal
 * otherwise; RC_UNPACK_FAILED if it died without a verdict.  On any failure the caller removes the
 * staging directory. */
must_check enum rc unpack_result(struct unpack_job *job, struct err *err);

/* Whether unpack_result would say something else than RC_BUSY.  An event loop lets go of the pidfd
 * between this and unpack_result, which closes it: a child forked at the same time may hold a copy
 * until its exec, and a closed descriptor of which there is a copy is not forgotten by epoll. */
bool unpack_ended(const struct unpack_job *job);

/* Kill the child and wait for nothing: unpack_result finds no verdict.  Harmless on a job that was
 * collected. */
void unpack_kill(const struct unpack_job *job);

/* Kill the child, wait for it and close the job's descriptors; harmless on a job that was
 * collected. */
void unpack_cancel(struct unpack_job *job);

/* Start and wait, at most timeout_ms, keeping no index: for the ground and for tests.  RC_TIMEOUT.
 */
must_check enum rc unpack_run(const struct verified_payload *payload, int program_fd,
                              int staging_dirfd, uint32_t timeout_ms, struct err *err);

/* The work itself, in this process and without confinement: what berth-unpack does between reading
 * its spec and writing its verdict, unless it is told to apply a delta.  RC_INDEX_MISMATCH if the
 * files are others than the manifest's index says.  On failure the directory is emptied again. */
must_check enum rc unpack_archive(int content_fd, const struct unpack_spec *spec,
                                  const struct staging *out, struct err *err);

/* The same into two descriptors, with fs-verity if it is there. */
must_check enum rc unpack_content(int content_fd, const struct unpack_spec *spec, int staging_dirfd,
                                  int index_fd, struct err *err);

/* The whole of berth-unpack, from its open descriptors to its exit code. */
int unpack_main(void);

#endif
