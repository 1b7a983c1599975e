/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/kernfile: writing to the kernel's small files: of a control group, of a process, or of
 * /proc/sys.
 */
#ifndef BERTH_SANDBOX_KERNFILE_H
#define BERTH_SANDBOX_KERNFILE_H

#include <dirent.h>

/* Write one value, in one piece; no link is followed at the end.  dir may be AT_FDCWD for a path
 * from the root.  Allocates nothing.  0, or -1 with errno. */
int kernfile_put(int dir, const char *file, const char *value);

/* Open a directory of the kernel's to be listed.  NULL with errno.  kernfile_close_dir is a scope
 * cleaner. */
DIR *kernfile_dir(int dir, const char *name);
void kernfile_close_dir(DIR **dir);

#endif
