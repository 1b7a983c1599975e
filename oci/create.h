/* SPDX-License-Identifier: Apache-2.0
 *
 * oci/create: the commands of the OCI runtime interface.  Each opens the container by id, holds its
 * lock while it acts, and leaves nothing behind where it fails.
 */
#ifndef BERTH_OCI_CREATE_H
#define BERTH_OCI_CREATE_H

#include <stdio.h>

#include "oci/state.h"

struct oci_options {
    const char *root;             /* of all state */
    const char *bundle;           /* create: "" = the working directory */
    const char *pid_file;         /* create: NULL = none */
    const char *const *bind_from; /* directories of the host that may be bound, absolute */
    size_t n_bind_from;
    struct oci_map ids; /* of the host, that a config.json may map; count 0 = none */
    bool force;         /* delete: end it first */
    FILE *notes;        /* where what is left out or narrowed is said */
};

/* Everything but exec.  RC_OCI_FORMAT, RC_OCI_WANTS, RC_OCI_STATE, RC_LAYER_MISSING,
 * RC_LAUNCH_STEP, RC_CGROUP, RC_CONFINE.  The caller has no supplementary groups afterwards. */
must_check enum rc oci_create(const struct oci_options *options, const char *id, struct err *err);

/* Let a created container run.  It is looked at first: one that is not confined is ended. RC_DRIFT,
 * RC_LAUNCH_EXEC, RC_OCI_STATE. */
must_check enum rc oci_start(const struct oci_options *options, const char *id, struct err *err);

/* Send a signal; all: to everything in it, which only KILL can be. RC_OCI_STATE. */
must_check enum rc oci_kill(const struct oci_options *options, const char *id, int signal, bool all,
                            struct err *err);

/* Remove one that has stopped, with its control group and its ids.  RC_OCI_STATE. */
must_check enum rc oci_delete(const struct oci_options *options, const char *id, struct err *err);

/* Print the state as JSON.  RC_OCI_STATE. */
must_check enum rc oci_state(const struct oci_options *options, const char *id, FILE *out,
                             struct err *err);

#endif
