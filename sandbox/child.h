/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/child: what happens between clone and exec, as a list of named steps.
 *
 * The code runs in a copy of berth-launch's memory (that of its stem), in the new namespaces; the
 * payload's process in that of process 1, which waits until it has exec'd.  It allocates nothing,
 * calls no library but system-call wrappers, and ends in one of three ways: the payload is exec'd;
 * process 1 of the sandbox stays as its reaper; or the number of the failed step and its errno go
 * to the launcher and the process exits.
 */
#ifndef BERTH_SANDBOX_CHILD_H
#define BERTH_SANDBOX_CHILD_H

#include <sys/un.h>

#include "sandbox/counts.h"
#include "sandbox/mounts.h"
#include "sandbox/seccomp.h"
#include "sandbox/tender.h"
#include "sandbox/walls.h"

enum child_message_kind {
    CHILD_FAILED = 1, /* step and error */
    CHILD_CONFINED,   /* everything but exec is done; the credentials name the payload's process */
    CHILD_BORN,       /* process 1 is there; the credentials name it */
    CHILD_UNBORN,     /* it will not be: step and error, of the stem (sandbox/stem) */
};

/* Child to launcher, one packet each. */
struct child_message {
    uint32_t kind;
    uint32_t step;
    int32_t error; /* errno */
};

/* Descriptors of struct child are not below this, so that the low ones are free for use. */
#define CHILD_FD_MIN 10

/* Connections to the bus that wait; whoever comes on top of these waits in connect. */
#define CHILD_BUS_BACKLOG 16

/* All that the child needs, made ready before clone.  Descriptors belong to the launcher. */
struct child {
    const struct plan *plan;
    uint64_t disk_bytes; /* of the disk of a virtual machine; 0 = it has none */
    const struct seccomp_program *payload_filter;
    const struct seccomp_program *reaper_filter;
    const struct walls *walls; /* what is missing here was waived, or is optional */
    const struct counts *counts;
    bool one_id; /* an ordinary user's: there is no id but the payload's own, also not 0 */
    struct mounts mounts;
    int sync;          /* SEQPACKET: bytes from the launcher let it go on, messages go back */
    int sync_launcher; /* the launcher's end, to be closed; -1: it does not have it */
    void *shared;      /* a page that the launcher sees, to be unmapped; NULL = none */
    int status;        /* write end: the reaper puts the payload's wait status here */
    int output;        /* write end: stdout and stderr */
    int notify;        /* datagram socket, to be bound inside */
    int bus;           /* stream socket, to be bound inside and made to listen */
    char *argv[TENDER_ARGS_MAX + 1];
    char *envp[PLAN_ENV_MAX + 1];
};

/* What is to be exec'd, and with which arguments and environment, of child->plan.  A tender's
 * arguments are written to *tender, which must live as long. */
void child_fill_command(struct child *child, struct tender_args *tender);

/* Run the steps; does not return. */
_Noreturn void child_run(const struct child *child);

/* The name of a step in a message; "?" for a number that is none. */
const char *child_step_name(uint32_t step);

/* Whether the step is the exec itself: then the payload is to blame, not the machine. */
bool child_step_is_exec(uint32_t step);

/* Whether the step is the one that holds the filters against their digests. */
bool child_step_is_hold(uint32_t step);

#endif
