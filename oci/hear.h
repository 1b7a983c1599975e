/* SPDX-License-Identifier: Apache-2.0
 *
 * oci/hear: the channel to a container's process before exec, for its creator and for who starts
 * it.
 */
#ifndef BERTH_OCI_HEAR_H
#define BERTH_OCI_HEAR_H

#include "base/err.h"

must_check enum rc oci_say_go(int sync, struct err *err);

/* Wait until it says that it is confined.  RC_LAUNCH_STEP names the step that failed, RC_TIMEOUT.
 */
must_check enum rc oci_hear_confined(int sync, uint64_t until_ms, struct err *err);

/* Wait until the channel ends, which is exec.  RC_LAUNCH_EXEC. */
must_check enum rc oci_hear_exec(int sync, uint64_t until_ms, struct err *err);

#endif
