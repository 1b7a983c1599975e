/* SPDX-License-Identifier: Apache-2.0
 *
 * delta/view_parts: the halves of view_of that know one format each.
 */
#ifndef BERTH_DELTA_VIEW_PARTS_H
#define BERTH_DELTA_VIEW_PARTS_H

#include "delta/view.h"

/* Fill in v->parts of an ELF file whose loads are known: by its section headers, by its program
 * headers where there are none. */
void view_elf_parts(struct bytes file, struct view *v);

/* The two string tables of a message catalogue. */
void view_mo_parts(struct bytes file, struct view *v);

/* Add a part unless it is empty, lies outside the file or there is no room. */
void view_add_part(struct view *v, uint64_t file_size, struct view_part part);

/* Sort the parts by offset and take out those that overlap one before them. */
void view_sort_parts(struct view *v);

#endif
