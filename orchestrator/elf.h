/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/elf: which shared libraries a program needs, read from the file itself.
 *
 * Looking needs no loader, no shell and no execution: ldd runs the program that it looks at.  The
 * file may be anything; every offset and size in it is checked against the file's size, and every
 * count is bounded.  ELF64, little-endian (the gABI, chapters 4 and 5).
 */
#ifndef BERTH_ORCHESTRATOR_ELF_H
#define BERTH_ORCHESTRATOR_ELF_H

#include "base/bytes.h"
#include "base/err.h"

#define ELF_NEEDED_MAX 64U
#define ELF_NAME_CAP 128U

struct elf_needs {
    uint16_t machine;          /* e_machine: 62 x86_64, 183 aarch64 */
    char interp[ELF_NAME_CAP]; /* absolute path of the loader, "" = static */
    uint32_t n;
    char needed[ELF_NEEDED_MAX][ELF_NAME_CAP]; /* sonames, in the file's order */
};

/* Read fd.  RC_NOT_FOUND when it is no ELF file at all (a script); RC_ARCH for 32 bit or
 * big-endian; RC_SHORT, RC_VALUE, RC_TOO_LARGE for what is damaged or beyond the limits. */
must_check enum rc elf_read(int fd, struct elf_needs *ret, struct err *err);

#endif
