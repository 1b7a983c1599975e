/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/plan: what the launcher is asked to do for one payload, as plain data.
 *
 * plan_make is pure: manifest + grant + id-range slot in, struct plan out, no I/O and no clock, so
 * what will happen can be printed and tested without privileges (`berth explain`).  A plan is
 * fixed-size and holds no pointers: it is copied as it is over the socket to berth-launch, which
 * believes nothing in it and calls plan_check before the first step.
 */
#ifndef BERTH_SANDBOX_PLAN_H
#define BERTH_SANDBOX_PLAN_H

#include <stdio.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"

struct manifest;
struct grant;

#define PLAN_MAGIC 0x42504c31U /* "BPL1" */
#define PLAN_UID_BASE 524288U  /* first host id of slot 0: systemd's container range */
#define PLAN_UID_COUNT 65536U  /* ids per payload */
#define PLAN_SLOTS 1024U       /* id ranges there are */
#define PLAN_UID 1000U         /* the payload's uid and gid inside its range, unless inner_root */
#define PLAN_OPS_MAX 12U
#define PLAN_PATH_CAP 32U
#define PLAN_ENV_MAX (PAYLOAD_ENV_MAX + 8U)
#define PLAN_NOTIFY_PATH "/run/notify"
#define PLAN_BUS_DIR "/run/berth"
#define PLAN_BUS_PATH PLAN_BUS_DIR "/bus.sock"
#define PLAN_INBOX_PATH "/inbox"
#define PLAN_OUTBOX_PATH "/outbox"
#define PLAN_DEV_DIR "/dev/"
#define PLAN_SHM_PATH PLAN_DEV_DIR "shm"
#define PLAN_SLOT_PATH "/slot"    /* of a payload that is a virtual machine */
#define PLAN_VM_DISK "/data/disk" /* what its disk is */
#define PLAN_CORE_DIR                                                                              \
    "/data" /* where a payload with core dumps begins: the kernel puts them there */

/* Smallest and largest of each limit.  Below the smallest nothing can start. */
#define PLAN_MEMORY_MIN (4ULL * 1024U * 1024U)
#define PLAN_MEMORY_MAX (64ULL * 1024U * 1024U * 1024U)
#define PLAN_TMP_MIN (64ULL * 1024U) /* at most half of memory */
#define PLAN_DATA_MIN (1024ULL * 1024U)
#define PLAN_DATA_MAX (64ULL * 1024U * 1024U * 1024U)
#define PLAN_MAIL_MIN (64ULL * 1024U) /* of /inbox and /outbox each */
#define PLAN_MAIL_MAX (1024ULL * 1024U * 1024U)
#define PLAN_SHM_MIN PLAN_TMP_MIN     /* at most half of memory, too */
#define PLAN_FILE_MAX (1ULL << 48)    /* of one file */
#define PLAN_TMP_FILES_MAX (1U << 24) /* if asked for by number */
#define PLAN_CORE_MIN 4096ULL /* below it is none: 0 and 1 mean other things to the kernel */
#define PLAN_CPU_MIN 10U      /* permille of one core */
#define PLAN_CPU_MAX 256000U  /* 256 cores */
#define PLAN_PIDS_MIN 2U      /* the reaper and the payload */
#define PLAN_PIDS_MAX 4096U
#define PLAN_FILES_MIN 8U
#define PLAN_FILES_MAX 65536U
#define PLAN_RUN_BYTES (256ULL * 1024U)
#define PLAN_WEIGHT 100U /* of cpu and io, unless asked otherwise */
#define PLAN_CPU_WEIGHT_MAX 10000U
#define PLAN_IO_WEIGHT_MAX 1000U
#define PLAN_NET_MIN 1024U /* bytes a second */
#define PLAN_NET_MAX (4ULL * 1024U * 1024U * 1024U)
#define PLAN_IO_MIN 4096U /* bytes a second */
#define PLAN_IO_MAX (64ULL * 1024U * 1024U * 1024U)
#define PLAN_VM_TENDER_BYTES (64ULL * 1024U * 1024U) /* of memory, not the guest's */
#define PLAN_VM_MEMORY_MIN (96ULL * 1024U * 1024U)
#define PLAN_VM_DATA_MIN (16ULL * 1024U * 1024U)
#define PLAN_VM_PIDS_MIN                                                                           \
    10U /* the reaper, and a tender's threads; QEMU has the relay of its ports, too */
#define PLAN_VM_FILES_MIN 32U

/* Operations on the payload's file tree, carried out in the order of the list. */
enum plan_op_type {
    PLAN_OP_NONE = 0,
    PLAN_OP_ROOT = 1,  /* the slot, read-only, nosuid, nodev, becomes "/" */
    PLAN_OP_PROC = 2,  /* procfs: own processes only, nothing but process entries */
    PLAN_OP_DEV = 3,   /* null zero full random urandom and nothing else, read-only directory */
    PLAN_OP_TMPFS = 4, /* empty memory file system of `bytes` and `inodes`, noexec nosuid nodev */
    PLAN_OP_DATA =
        5, /* the data image, ids shifted into the payload's range, noexec nosuid nodev */
    PLAN_OP_INBOX = 6,  /* directory "in" of the mail image, mounted likewise */
    PLAN_OP_OUTBOX = 7, /* directory "out" of the same */
    PLAN_OP_SLOT = 8,   /* the slot of a virtual machine, read-only noexec: "/" is its tender's */
    PLAN_OP_TYPES
};

struct plan_op {
    uint32_t type;            /* enum plan_op_type */
    uint32_t inodes;          /* tmpfs: most files, 0 elsewhere */
    uint64_t bytes;           /* tmpfs, data and mail: size, 0 elsewhere */
    char path[PLAN_PATH_CAP]; /* where, absolute inside the sandbox */
};

#define PLAN_DEVICES_MAX 8U
#define PLAN_INTERFACE_CAP 16U /* IFNAMSIZ */

/* Which network the payload has; numbers of the manifest. */
enum plan_network {
    PLAN_NETWORK_NONE = 0,     /* not even "lo" is up */
    PLAN_NETWORK_LOOPBACK = 1, /* its own "lo" */
    PLAN_NETWORK_PRIVATE = 2,  /* and "eth0", to the payloads of its tenant that ask for it, too */
    PLAN_NETWORK_HOST = 3,     /* and an interface of the host, which the host lacks meanwhile */
    PLAN_NETWORKS
};

/* What runs the payload; the arguments of a tender are made from the plan's by sandbox/tender. */
enum plan_vm {
    PLAN_VM_NONE = 0,  /* the kernel: args are its program's */
    PLAN_VM_QEMU = 1,  /* args: the guest's kernel, and an initrd or not */
    PLAN_VM_SOLO5 = 2, /* args: the unikernel, and what it is told */
    PLAN_VMS
};

struct plan_limits {
    uint64_t memory_bytes;      /* with page cache and tmpfs; no swap */
    uint64_t tmp_bytes;         /* of /tmp */
    uint64_t data_bytes;        /* of /data, 0 = none */
    uint64_t inbox_bytes;       /* of /inbox, 0 = none */
    uint64_t outbox_bytes;      /* of /outbox, 0 = none */
    uint64_t memory_high_bytes; /* above it is slowed down and reclaimed from; 0 = no such mark */
    uint64_t io_read_bps;       /* from each disk, bytes a second; 0 = no limit of its own */
    uint64_t io_write_bps;      /* to each disk */
    uint64_t file_bytes;        /* of one file; 0 = no limit */
    uint64_t shm_bytes;         /* of /dev/shm, 0 = none */
    uint64_t core_bytes;        /* of one core dump, part of data_bytes; 0 = none */
    uint32_t cpu_permille;      /* 1000 = one core */
    uint32_t cpu_weight;        /* when several want the cpu; PLAN_WEIGHT is everybody's */
    uint32_t io_weight;         /* when several want a disk */
    uint32_t pids;              /* processes and threads, with the reaper */
    uint32_t open_files;        /* per process */
    uint32_t tmp_files;         /* in /tmp; 0 = from its size */
};

/* What all payloads of the tenant may have together: limits of the group that theirs lie in. */
struct plan_share {
    uint64_t memory_bytes;
    uint64_t io_read_bps;  /* 0 = no limit */
    uint64_t io_write_bps; /* 0 = no limit */
    uint32_t cpu_permille;
    uint32_t pids; /* with a reaper for each payload */
};

struct plan {
    uint32_t magic; /* PLAN_MAGIC */
    uint32_t calls; /* system calls beyond compute: PROFILE_ bits (sandbox/rules) */
    char tenant[NAME_CAP];
    char name[NAME_CAP];
    char hostname[NAME_CAP]; /* in its own UTS namespace */
    char reserved[1];        /* 0 */
    uint32_t uid_base;       /* host id of id 0 inside; PLAN_UID_COUNT ids follow */
    uint32_t has_data;       /* 1: a data image descriptor comes with the request */
    uint32_t has_mail;       /* 1: and one of a mail image */
    uint32_t n_args;
    uint32_t n_env;
    uint32_t n_ops;
    uint32_t watchdog_ms; /* told to the payload, kept by berthd; 0 = none */
    uint32_t slot;        /* number of the id range: uid_base = PLAN_UID_BASE + slot * count */
    uint32_t inner_root;  /* 1: it is uid 0 inside its range, with no capability all the same */
    uint32_t vm;          /* enum plan_vm */
    uint32_t n_devices;
    uint32_t network;                        /* enum plan_network */
    uint64_t net_bps;                        /* bytes a second each way; 0 = no limit */
    char device[PLAN_DEVICES_MAX][NAME_CAP]; /* of the integrator's list, "" behind the last */
    char interface[PLAN_INTERFACE_CAP];      /* of PLAN_NETWORK_HOST */
    struct plan_limits limits;
    struct plan_share share;
    struct plan_op ops[PLAN_OPS_MAX];
    char args[PAYLOAD_ARGS_MAX][PAYLOAD_ARG_CAP]; /* args[0] is the program, absolute */
    char env[PLAN_ENV_MAX][PAYLOAD_ARG_CAP];      /* "NAME=value" */
};

/* Make the plan.  slot is the number of the id range (below PLAN_SLOTS), one per payload.  has_data
 * says whether there is a data image; it must be so exactly when the manifest asks for data_bytes.
 * A mail image comes with the request when it asks for inbox_bytes or outbox_bytes. RC_PLAN_LIMIT
 * (limit missing, outside the possible, or above the grant), RC_NOT_BUILT (it asks for what there
 * is not yet), RC_PLAN_PATH (entry point or environment not allowed). */
must_check enum rc plan_make(const struct manifest *manifest, const struct grant *grant,
                             uint32_t slot, bool has_data, struct plan *ret, struct err *err);

/* Whether a plan is complete and inside the bounds above: for the side that did not make it.
 * RC_PLAN_LIMIT, RC_PLAN_PATH, RC_LAUNCH_REQUEST. */
must_check enum rc plan_check(const struct plan *plan, struct err *err);

/* Bytes of the mail image for an /inbox and an /outbox of so many: with what the file system needs
 * for itself.  Whole MiB; 0 for none. */
uint64_t plan_mail_image(uint64_t inbox_bytes, uint64_t outbox_bytes);

/* The same of the limits alone, as a running payload may be given new ones.  RC_PLAN_LIMIT. */
must_check enum rc plan_check_limits(const struct plan_limits *limits,
                                     const struct plan_share *share, struct err *err);

/* Whether a payload that runs under one can be given the other without a new start. */
bool plan_limits_live(const struct plan_limits *running, const struct plan_limits *wanted);

/* The operations that follow from has_data and the limits: part of plan_make, and what plan_check
 * compares with. */
void plan_fill_ops(struct plan *plan);

/* The payload's uid and gid, as numbers inside its range. */
uint32_t plan_uid(const struct plan *plan);

const char *plan_op_name(uint32_t type);

/* Print a checked plan for people, or as one JSON object. */
void plan_print(const struct plan *plan, FILE *out);
void plan_print_json(const struct plan *plan, FILE *out);

#endif
