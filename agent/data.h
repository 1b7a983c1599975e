/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/data: the payloads' persistent files: data/TENANT/PAYLOAD/{data.img,mail.img,index};
 * agent/snapshot and agent/mail have others beside them.
 *
 * data.img is an ext4 image of the manifest's data_bytes, its space taken at once, so that a
 * payload cannot fill the disk later; berth-launch mounts it.  index is the number of the id range
 * that owns what is inside: it is kept with the data, so that it is known even if the agent's state
 * is lost.
 */
#ifndef BERTH_AGENT_DATA_H
#define BERTH_AGENT_DATA_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"

#define DATA_MKFS "/sbin/mke2fs"

/* Whose data, and of which id range. */
struct data_id {
    const char *tenant;
    const char *name;
    uint32_t index;
    uint32_t files; /* at most so many, and what fills up a block of inodes; 0 = from the size.
                       Only of an image that is made */
};

/* Open the image read-write, making it on the first time (about 0.1 s).  An image that is there
 * already keeps its size.  RC_DATA_IMAGE: mke2fs failed, or the data belongs to another id range.
 * RC_NO_SPACE. */
must_check enum rc data_open(int data_dir, const struct data_id *id, uint64_t bytes, int *ret_fd,
                             struct err *err);

/* The same for mail.img: for an inbox and an outbox of so many bytes, the inbox's part kept free
 * for who delivers.  Of a version that asks for more or less in all a new one is made, and what
 * nobody had taken out of the old one is gone. */
must_check enum rc data_open_mail(int data_dir, const struct data_id *id, uint64_t inbox_bytes,
                                  uint64_t outbox_bytes, int *ret_fd, struct err *err);

/* Whether the payload has data; its id range then goes to *ret_index. */
bool data_index(int data_dir, const char *tenant, const char *name, uint32_t *ret_index);

/* Call fn for every payload that has data, until it returns false. */
must_check enum rc data_list(int data_dir, bool (*fn)(void *arg, const struct data_id *id),
                             void *arg, struct err *err);

/* Remove what a start that was cut off left of an image or of an index, whether or not its payload
 * ever starts again: half an image has taken all of its space.  At start, before any data_open; all
 * payloads are gone through whatever happens, and err tells of the first failure. */
must_check enum rc data_sweep(int data_dir, struct err *err);

#endif
