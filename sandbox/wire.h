/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/wire: the messages between berthd and berth-launch, on one SOCK_SEQPACKET socket.
 *
 * Every message is one packet, one fixed-size struct that begins with struct wire_head, with a
 * number of descriptors that its type fixes.  The receiver checks all of that before anyone sees
 * the message; anything else is RC_PROTOCOL and every descriptor that came with it is closed.
 *
 *     berthd -> berth-launch                      descriptors
 *       LAUNCH   start this plan                    slot root directory, data image if has_data,
 *                                                   mail image if has_mail
 *       STOP     SIGTERM, after grace_ms kill       -
 *       STAT     ask for usage                      -
 *       FREEZE   let nothing of it run              -
 *       THAW     let it run again                   -
 *       LIMITS   give it other limits as it runs    -
 *       AUDIT    compare with the receipt           -
 *     berth-launch -> berthd
 *       WALLS           what can be built here      -
 *       LAUNCHED        the program was exec'd      pidfd, notify socket, stdout and stderr pipe,
 *                                                   bus socket, and a view of the mail image
 *                                                   if there is one
 *       LAUNCH_FAILED   it was not; nothing is left -
 *       EXITED          all of it is gone, cleaned  -
 *       AUDITED         how it compares             -
 *       STATS           usage now                   -
 *       FROZEN          what FREEZE or THAW did     -
 *       LIMITED         what LIMITS did             -
 *
 * The data image is open for reading and writing, and berthd closes its copy after sending: the
 * lock that keeps an image from being mounted twice lives as long as any copy.  The pidfd is that
 * of the sandbox's process 1: it becomes readable when everything inside is gone.  The bus socket
 * listens at PLAN_BUS_PATH inside, and nobody outside has a name for it.  The view is a detached
 * mount of the mail image in which what belongs to the payload belongs to the user of --mail-user.
 * The image is in use for as long as anybody has a descriptor in it: whoever has the view lets go
 * of it when the pidfd becomes readable, and EXITED waits for that, for a while.
 *
 * WALLS comes first, once, and of no instance.  Each LAUNCH is answered by exactly one LAUNCHED or
 * LAUNCH_FAILED, each LAUNCHED is followed by exactly one EXITED.  STOP, STAT, FREEZE, THAW and
 * LIMITS for an instance that is not running are not answered.  What is frozen can be stopped: it
 * is let run first, unless it is killed at once.
 */
#ifndef BERTH_SANDBOX_WIRE_H
#define BERTH_SANDBOX_WIRE_H

#include <stddef.h>

#include "sandbox/plan.h"

enum wire_type {
    WIRE_LAUNCH = 1,
    WIRE_STOP = 2,
    WIRE_STAT = 3,
    WIRE_FREEZE = 4,
    WIRE_THAW = 5,
    WIRE_LIMITS = 6,
    WIRE_AUDIT = 8,
    WIRE_LAUNCHED = 16,
    WIRE_LAUNCH_FAILED = 17,
    WIRE_EXITED = 18,
    WIRE_STATS = 19,
    WIRE_FROZEN = 20,
    WIRE_WALLS = 21,
    WIRE_LIMITED = 22,
    WIRE_AUDITED = 23,
};

struct wire_head {
    uint32_t type;     /* enum wire_type */
    uint32_t size;     /* of the whole message in bytes */
    uint64_t instance; /* chosen by berthd, unique among what runs; 0 for WALLS only */
};

struct wire_launch {
    struct wire_head head;
    struct plan plan;
};

struct wire_stop {
    struct wire_head head;
    uint32_t grace_ms; /* 0 = kill at once */
    uint32_t reserved; /* 0 */
};

struct wire_stat {
    struct wire_head head;
};

struct wire_audit {
    struct wire_head head;
};

/* FREEZE and THAW. */
struct wire_freeze {
    struct wire_head head;
};

struct wire_limits {
    struct wire_head head;
    struct plan_limits limits;
    struct plan_share share;
    uint64_t tag; /* for who asks; comes back */
};

/* Which walls stand around every payload: masks of enum wall (base/walls). */
struct wire_walls_seen {
    uint64_t standing;
    uint64_t missing; /* nothing in common with standing */
    uint64_t waived;  /* of missing: required, and the integrator does without */
    uint32_t landlock_abi;
    uint32_t cgroup_version; /* of the controllers: 1 or 2 */
};

struct wire_walls {
    struct wire_head head;
    struct wire_walls_seen seen;
    uint32_t refused_rc; /* 0: payloads are launched; else every one is refused with this code */
    int32_t refused_sys;
    char refused_what[96];
};

#define WIRE_RECEIPT_LIMITS 16U /* of the kernel's resource limits */

enum wire_receipt_ns {
    NS_USER,
    NS_MNT,
    NS_PID,
    NS_NET,
    NS_IPC,
    NS_UTS,
    NS_CGROUP,
    NS_TIME,
    NS_KINDS
};

/* What the kernel says of the running payload, read back after exec (sandbox/receipt). */
struct wire_receipt {
    /* The same at every start of a plan in an id range, on this kernel: what the digest is of. */
    uint64_t caps[5]; /* inheritable, permitted, effective, bounding, ambient */
    uint64_t limit_max[WIRE_RECEIPT_LIMITS];
    uint32_t uid[4]; /* on the host: real, effective, saved, of files */
    uint32_t gid[4];
    uint32_t map[4]; /* first id on the host and count, of users and of groups */
    uint32_t no_new_privs;
    uint32_t seccomp_mode; /* 2 = filter */
    uint32_t seccomp_filters;
    uint32_t n_mounts;
    uint8_t mounts[32]; /* SHA-256 over point, options and kind of each mount */
    struct wire_walls_seen walls;
    /* Of this start only. */
    uint64_t ns[NS_KINDS]; /* inode numbers */
    uint8_t groups[32];    /* SHA-256 over its control groups */
    uint32_t descriptors;  /* open right before exec, which closes two of them */
    uint32_t gone;         /* 1: it ended before it could be looked at after exec: all is what was
                              seen right before */
    uint8_t digest[32];    /* SHA-256 */
};

static_assert(offsetof(struct wire_receipt, digest) + 32 == sizeof(struct wire_receipt),
              "no padding: receipts are digested as bytes");

struct wire_launched {
    struct wire_head head;
    int32_t pid;       /* of the payload itself on the host, for display */
    uint32_t start_ms; /* from receiving LAUNCH to exec */
    struct wire_receipt receipt;
};

struct wire_launch_failed {
    struct wire_head head;
    uint32_t rc;   /* enum rc */
    int32_t sys;   /* errno, or 0 */
    char step[32]; /* name of the step */
    char what[96];
};

struct wire_usage {
    uint64_t memory_bytes;
    uint64_t memory_peak_bytes;
    uint64_t cpu_us;
    uint32_t pids;
    uint32_t oom_kills;
};

struct wire_exited {
    struct wire_head head;
    uint32_t rc;    /* RC_EXITED, RC_KILLED, RC_OOM or RC_SECCOMP */
    int32_t status; /* RC_EXITED: exit code; else the signal */
    struct wire_usage usage;
};

struct wire_stats {
    struct wire_head head;
    struct wire_usage usage;
};

struct wire_frozen {
    struct wire_head head;
    uint32_t frozen; /* 1: FREEZE was asked for, 0: THAW */
    uint32_t rc;     /* RC_OK: it is so.  RC_TIMEOUT: not all of it yet, ask again.  RC_CGROUP */
};

struct wire_limited {
    struct wire_head head;
    uint64_t tag;
    uint32_t rc; /* RC_OK: all are in force and were read back; else none has changed */
    int32_t sys; /* errno, or 0 */
    char what[96];
};

/* A payload that differs is killed before the answer is sent: its EXITED says RC_DRIFT. */
struct wire_audited {
    struct wire_head head;
    uint32_t rc; /* RC_OK or RC_DRIFT */
    uint32_t reserved;
    char what[96]; /* RC_DRIFT: what differs */
};

union wire_message {
    struct wire_head head;
    struct wire_launch launch;
    struct wire_stop stop;
    struct wire_stat stat;
    struct wire_freeze freeze;
    struct wire_limits limits;
    struct wire_launched launched;
    struct wire_launch_failed failed;
    struct wire_exited exited;
    struct wire_stats stats;
    struct wire_frozen frozen;
    struct wire_walls walls;
    struct wire_limited limited;
    struct wire_audited audited;
};

#define WIRE_FDS_MAX 5U

/* Order of the descriptors that come with a message. */
enum { WIRE_FD_ROOT = 0 };   /* LAUNCH: then the data image and the mail image, if they are there */
enum { WIRE_FD_DENIED = 0 }; /* WALLS: the socket of sandbox/denied, where it could be opened */
enum {                       /* LAUNCHED */
       WIRE_FD_PIDFD = 0,
       WIRE_FD_NOTIFY = 1,
       WIRE_FD_OUTPUT = 2,
       WIRE_FD_BUS = 3,
       WIRE_FD_MAIL = 4
};

struct wire_fds {
    int fd[WIRE_FDS_MAX]; /* -1 where there is none */
    size_t n;
};

#define WIRE_FDS_INIT ((struct wire_fds){ .fd = { -1, -1, -1, -1, -1 }, .n = 0 })

/* Close what is left in it: a scope cleaner.  Take one out with take_fd(&fds.fd[WIRE_FD_X]). */
void wire_fds_close(struct wire_fds *fds);

/* Fill in a head for a message of this type; size is sizeof of its struct. */
struct wire_head wire_head(enum wire_type type, uint64_t instance);

/* Room in a socket for all that berthd may have to say at once: to start every payload, and a while
 * of STOP and STAT.  Needs CAP_NET_ADMIN (or a generous host): berthd does it as root, or the door
 * for it.  RC_IO. */
must_check enum rc wire_make_room(int sock, struct err *err);

/* Send one message with its descriptors (n_fds of them, borrowed).  Never raises SIGPIPE.
 * RC_NO_ROOM when a non-blocking socket is full, RC_IO otherwise. */
must_check enum rc wire_send(int sock, const struct wire_head *message, const int *fds,
                             size_t n_fds, struct err *err);

/* Receive one message.  On RC_OK *ret holds it and *ret_fds its descriptors, close-on-exec, owned
 * by the caller; else both are untouched.  RC_SHORT: the other end is closed.  RC_TIMEOUT: nothing
 * is there (non-blocking socket).  RC_PROTOCOL: a message that no honest peer sends. */
must_check enum rc wire_recv(int sock, union wire_message *ret, struct wire_fds *ret_fds,
                             struct err *err);

#endif
