/* SPDX-License-Identifier: Apache-2.0
 *
 * base/resident: memory that a waiting process does not need to hold.
 */
#ifndef BERTH_BASE_RESIDENT_H
#define BERTH_BASE_RESIDENT_H

/* Give back what this process can have again at any time: pages of program text and constants, its
 * own and its libraries', which lie in their files, and free memory of the heap.  What is used
 * again is mapped again, out of the page cache, some microseconds a page: for when nothing is to
 * do. Nothing that was ever written is touched.  Calls madvise and brk only. */
void resident_release(void);

#endif
