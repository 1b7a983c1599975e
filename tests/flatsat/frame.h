/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/flatsat/frame: what goes over the port between host and guest in place of a radio: a head,
 * a name, the bytes of one file.  Both ends are one machine's programs, so numbers are as they lie
 * in memory.  A frame that is cut off belongs to a guest that lost its power, and is forgotten.
 */
#ifndef BERTH_TESTS_FLATSAT_FRAME_H
#define BERTH_TESTS_FLATSAT_FRAME_H

#include <stdint.h>

#define FRAME_MAGIC 0x62727468U
#define FRAME_NAME_MAX 127U
#define FRAME_DATA_MAX (512U * 1024U)
#define FRAME_SUFFIX ".bundle"

struct frame_head {
    uint32_t magic;
    uint32_t name_bytes; /* 1 to FRAME_NAME_MAX; no '/', not hidden */
    uint32_t data_bytes; /* at most FRAME_DATA_MAX */
};

#define FRAME_MAX (sizeof(struct frame_head) + FRAME_NAME_MAX + FRAME_DATA_MAX)

#endif
