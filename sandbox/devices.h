/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/devices: what of the host a payload may be given by name, as the integrator lists it in a
 * file (docs/guide/integrator.md):
 *
 *     device    camera   /dev/video0  rw         # a character device; r, w or rw
 *     sysfs     thermal  /sys/class/thermal      # a directory of sysfs, read-only
 *     interface eth1     192.0.2.2/24            # may be moved in; with this address, or without
 *     tender    qemu     /opt/berth/qemu         # the tree of what runs payloads that are a vm
 *
 * The file is root's own, so its paths are believed; what they lead to is looked at each time.  A
 * request names an entry and never a path.
 */
#ifndef BERTH_SANDBOX_DEVICES_H
#define BERTH_SANDBOX_DEVICES_H

#include "sandbox/cgroup.h"

#define DEVICES_LISTED_MAX 64U
#define DEVICES_PATH_CAP 128U

enum listed_kind {
    LISTED_DEVICE = 1,
    LISTED_SYSFS,
    LISTED_INTERFACE,
    LISTED_TENDER,
};

struct listed {
    enum listed_kind kind;
    char name[NAME_CAP]; /* in the sandbox: /dev/NAME, or that of the interface */
    char path[DEVICES_PATH_CAP];
    unsigned int access; /* of a device: CGROUP_READ | CGROUP_WRITE */
    uint32_t address;    /* of an interface, IPv4 in host order; 0 = none */
    uint32_t prefix;
};

struct devices_list {
    uint32_t n;
    struct listed of[DEVICES_LISTED_MAX];
};

/* Read the file.  RC_VALUE, with the line: it can be written by others, or says what cannot be.
 * What is listed and not there (yet) is no error here. */
must_check enum rc devices_load(const char *path, struct devices_list *ret, struct err *err);

/* The entry of a name; NULL if there is none. */
const struct listed *devices_find(const struct devices_list *list, const char *name);

/* The node that an entry stands for just now.  RC_LAUNCH_STEP: there is none, or it is no character
 * device. */
must_check enum rc devices_node(const struct listed *entry, struct cgroup_device *ret,
                                struct err *err);

/* A detached mount of the directory that an entry stands for: read-only, no devices, nothing to
 * run.  RC_LAUNCH_STEP. */
must_check enum rc devices_sysfs(const struct listed *entry, int *ret_fd, struct err *err);

/* A detached mount, read-only and without devices, of the tree of a tender: root's alone to write,
 * as its program is (what else lies in it is the integrator's to see to).  RC_LAUNCH_STEP. */
must_check enum rc devices_tender(const struct listed *entry, int *ret_fd, struct err *err);

#endif
