/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/proc: real processes for a simulation: started from argument vectors (never through a shell),
 * ended with their parent, ended by pid.
 */
#ifndef BERTH_SIM_PROC_H
#define BERTH_SIM_PROC_H

#include <sys/types.h>

#include "base/bytes.h"
#include "base/err.h"

#define PROC_ARGS_MAX 48U

/* Start argv[0] with stdin from nowhere, stdout and stderr appended to log_fd, in directory
 * cwd_fd.  The child gets SIGTERM when this process dies. */
must_check enum rc proc_start(char *const argv[], int cwd_fd, int log_fd, pid_t *ret,
                              struct err *err);

/* Run to the end, stderr to log_fd, stdout captured (at most max bytes, more is RC_TOO_LARGE).
 * *ret_out is the caller's to free; it is NUL-terminated. */
must_check enum rc proc_run(char *const argv[], int cwd_fd, int log_fd, size_t max, int *ret_exit,
                            char **ret_out, struct err *err);

/* Whether it still runs.  Reaps it when it does not; *ret_status is then its wait status. */
bool proc_running(pid_t pid, int *ret_status);

/* Send a signal and wait for the end, at most timeout_ms, then SIGKILL. */
void proc_stop(pid_t pid, int sig, uint64_t timeout_ms);

#endif
