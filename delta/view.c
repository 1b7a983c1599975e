/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/view.h"

#include "delta/view_parts.h"

#define ELF_HEAD 64U
#define ELF_PHDR 56U
#define PT_LOAD 1U
#define ET_EXEC 2U
#define ET_DYN 3U
#define MO_HEAD 28U

static bool is_elf(struct bytes have)
{
    /* 64 bits, little-endian, and an executable or a library */
    return have.n >= ELF_HEAD && memcmp(have.p, "\177ELF\2\1", 6) == 0 &&
           (view_le16(have.p + 16) == ET_EXEC || view_le16(have.p + 16) == ET_DYN) &&
           view_le16(have.p + 54) == ELF_PHDR;
}

static bool is_mo(struct bytes have)
{
    return have.n >= MO_HEAD && view_le32(have.p) == 0x950412de && view_le16(have.p + 6) == 0;
}

size_t view_head_size(struct bytes have)
{
    if (!is_elf(have))
        return have.n < ELF_HEAD ? have.n : ELF_HEAD;

    uint64_t at = view_le64(have.p + 32);
    uint64_t size = (uint64_t)view_le16(have.p + 56) * ELF_PHDR;

    if (at > VIEW_HEAD_MAX || size > VIEW_HEAD_MAX - at || at + size < ELF_HEAD)
        return ELF_HEAD;
    return (size_t)(at + size);
}

/* A load after the ones before it, if it makes sense. */
static void add_load(struct view *v, const uint8_t *phdr, uint64_t size)
{
    struct view_load l = { .off = view_le64(phdr + 8),
                           .size = view_le64(phdr + 32),
                           .va = view_le64(phdr + 16) };
    uint64_t in_memory = view_le64(phdr + 40);
    uint64_t taken = v->n_loads ? v->loads[v->n_loads - 1].off + v->loads[v->n_loads - 1].size : 0;

    if (l.size == 0 || l.off > size || l.size > size - l.off || l.off < taken ||
        in_memory < l.size || l.va > INT64_MAX || in_memory > INT64_MAX ||
        v->n_loads == VIEW_LOADS_MAX)
        return;
    if (v->n_loads == 0 || l.va < v->low)
        v->low = l.va;
    if (l.va + in_memory > v->high)
        v->high = l.va + in_memory;
    v->loads[v->n_loads++] = l;
}

static void elf_loads(struct bytes head, uint64_t size, struct view *v)
{
    uint64_t at = view_le64(head.p + 32);
    uint32_t n = view_le16(head.p + 56);

    v->machine = view_le16(head.p + 18);
    v->fixed = view_le16(head.p + 16) == ET_EXEC;
    if (at > head.n || n * ELF_PHDR > head.n - at)
        return;
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *phdr = head.p + at + (size_t)i * ELF_PHDR;

        if (view_le32(phdr) == PT_LOAD)
            add_load(v, phdr, size);
    }
    if (v->n_loads > 0)
        v->format = VIEW_ELF;
}

void view_of_head(struct bytes head, uint64_t size, struct view *ret)
{
    *ret = (struct view){ .format = VIEW_PLAIN };
    if (is_elf(head)) {
        elf_loads(head, size, ret);
    } else if (is_mo(head)) {
        ret->format = VIEW_MO;
        ret->high = size;
        ret->n_loads = 1;
        ret->loads[0] = (struct view_load){ .size = size };
    }
}

void view_of(struct bytes file, struct view *ret)
{
    struct bytes head = { .p = file.p, .n = view_head_size(file) };

    if (head.n > file.n)
        head.n = file.n; /* the table is cut off: no load is found in it */
    view_of_head(head, file.n, ret);
    if (ret->format == VIEW_ELF)
        view_elf_parts(file, ret);
    else if (ret->format == VIEW_MO)
        view_mo_parts(file, ret);
}

bool view_fits(const struct view *old, const struct view *new)
{
    return old->format != VIEW_PLAIN && old->format == new->format && old->machine == new->machine;
}

bool view_va(const struct view *v, uint64_t off, uint64_t *ret)
{
    for (uint32_t i = 0; i < v->n_loads; i++)
        if (off - v->loads[i].off < v->loads[i].size) {
            *ret = off - v->loads[i].off + v->loads[i].va;
            return true;
        }
    return false;
}

bool view_offset(const struct view *v, uint64_t va, uint64_t *ret)
{
    for (uint32_t i = 0; i < v->n_loads; i++)
        if (va - v->loads[i].va < v->loads[i].size) {
            *ret = va - v->loads[i].va + v->loads[i].off;
            return true;
        }
    return false;
}
