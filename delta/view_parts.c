/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/view_parts.h"

void view_add_part(struct view *v, uint64_t file_size, struct view_part part)
{
    if (part.size == 0 || part.off > file_size || part.size > file_size - part.off ||
        v->n_parts == VIEW_PARTS_MAX)
        return;
    v->parts[v->n_parts++] = part;
}

void view_sort_parts(struct view *v)
{
    uint32_t kept = 0;
    uint64_t end = 0;

    for (uint32_t i = 1; i < v->n_parts; i++) /* stable: insertion */
        for (uint32_t k = i; k > 0 && v->parts[k].off < v->parts[k - 1].off; k--) {
            struct view_part swap = v->parts[k];

            v->parts[k] = v->parts[k - 1];
            v->parts[k - 1] = swap;
        }
    for (uint32_t i = 0; i < v->n_parts; i++) {
        if (v->parts[i].off < end)
            continue;
        end = v->parts[i].off + v->parts[i].size;
        v->parts[kept++] = v->parts[i];
    }
    v->n_parts = kept;
}

void view_mo_parts(struct bytes file, struct view *v)
{
    uint64_t rows = view_le32(file.p + 8);

    for (size_t at = 12; at <= 16; at += 4) /* original strings, translations */
        view_add_part(v, file.n,
                      (struct view_part){ .off = view_le32(file.p + at),
                                          .size = rows * 8,
                                          .va = view_le32(file.p + at),
                                          .kind = VIEW_MOTABLE });
    view_sort_parts(v);
}
