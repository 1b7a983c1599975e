/* SPDX-License-Identifier: Apache-2.0
 *
 * oci/state: what is kept of each container: one directory of its own, 0700, below the state root,
 * with a lock, the record, and the socket at which a created container waits for its start.  All of
 * it is opened by descriptor, and through no link.
 */
#ifndef BERTH_OCI_STATE_H
#define BERTH_OCI_STATE_H

#include "oci/cgroup.h"
#include "oci/config.h"

#define OCI_ROOT_DEFAULT "/run/berth-oci"
#define OCI_IDS_DIR                                                                                \
    "/run/berth-oci.ids" /* one file for each range of ids in use, for all roots                   \
                          */
#define OCI_SLOTS 1024U
#define OCI_UID_BASE 67633152U /* above every range of berthd's payloads (sandbox/plan.h) */
#define OCI_UID_COUNT 65536U

enum oci_status { OCI_CREATING, OCI_CREATED, OCI_RUNNING, OCI_STOPPED };

const char *oci_status_name(enum oci_status status);

struct oci_record {
    char version[65];
    char id[129];
    char bundle[1024];
    char cgroup[300]; /* "" = none yet */
    struct oci_levels levels;
    bool empty;       /* it was about to be made: nothing of the container is inside */
    uint32_t filters; /* of system calls, once all are loaded: the creator's, its own, ours; 0 = not
                       * known yet */
    int slot;         /* range of ids that was taken; -1 = none */
    pid_t pid;        /* 0 = none yet */
    uint64_t born; /* when that process started, in the kernel's ticks: tells it from a later one */
    uint64_t started_ms; /* of clock_mono_ms, when it was let go; 0 = not yet */
    json_t *annotations; /* an object, or NULL */
};

#define OCI_RECORD_NONE ((struct oci_record){ .slot = -1 })

/* An open container: nobody else acts on it meanwhile. */
struct oci_container {
    int root;
    int dir;
    int lock;
    struct oci_record record;
};

#define OCI_CONTAINER_NONE                                                                         \
    ((struct oci_container){ .root = -1, .dir = -1, .lock = -1, .record = OCI_RECORD_NONE })

/* Make the directory of a new container and lock it.  RC_EXISTS is RC_OCI_STATE: there is one. */
must_check enum rc oci_container_new(const char *root, const char *id, struct oci_container *ret,
                                     struct err *err);

/* Open and lock one that is there, waiting for who acts on it.  RC_OCI_STATE: there is none. */
must_check enum rc oci_container_open(const char *root, const char *id, struct oci_container *ret,
                                      struct err *err);

/* Write its record. */
must_check enum rc oci_container_save(const struct oci_container *c, struct err *err);

/* Remove its directory, and give its range of ids back. */
must_check enum rc oci_container_remove(struct oci_container *c, struct err *err);

/* Let others act on it; what is in *c stays as it was read. */
void oci_container_unlock(struct oci_container *c);

/* Close: a scope cleaner. */
void oci_container_close(struct oci_container *c);

/* Held while control groups are made and taken away, on the whole host one at a time; closing it
 * gives it back.  RC_BUSY, RC_IO, RC_OCI_STATE. */
must_check enum rc oci_lock_groups(int *ret, struct err *err);

/* Take a range of ids that no container of this host has, and note it in the record.  RC_BUSY. */
must_check enum rc oci_slot_take(struct oci_container *c, struct err *err);

/* A pidfd of its process, or -1: it has ended. */
int oci_container_pidfd(const struct oci_container *c);

enum oci_status oci_container_status(const struct oci_container *c);

/* When a process started; 0: there is none, or only what is left of it. */
uint64_t oci_born(pid_t pid);

/* The socket of a created one: make it, listening; connect to it and take its name away. */
must_check enum rc oci_start_listen(const struct oci_container *c, int *ret, struct err *err);
must_check enum rc oci_start_connect(const struct oci_container *c, int *ret, struct err *err);

/* The state of the specification, as JSON; the caller's. */
json_t *oci_state_json(const struct oci_container *c);

#endif
