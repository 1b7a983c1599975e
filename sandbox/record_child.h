/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/record_child: the payload's side of a recording: namespaces, its files as root, the
 * filter that holds every call, and the program.
 */
#ifndef BERTH_SANDBOX_RECORD_CHILD_H
#define BERTH_SANDBOX_RECORD_CHILD_H

#include "sandbox/record.h"

#define RECORD_NOTIFY_PATH "/run/notify"

/* What the child tells, one packet each; a descriptor comes with RECORD_LISTENER. */
enum record_kind {
    RECORD_FAILED = 1, /* step and error */
    RECORD_LISTENER,
    RECORD_STATUS, /* value: the program's wait status */
};

struct record_message {
    uint32_t kind;
    uint32_t has_proc;
    int32_t error; /* errno */
    int32_t value;
    char step[32];
};

/* Run it in a process that was forked for that; does not return.  sync: the socket for messages;
 * notify: a datagram socket, to be bound inside. */
_Noreturn void record_child(const struct record_job *job, int sync, int notify);

#endif
