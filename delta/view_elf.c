/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/view_parts.h"

#define SHDR 64U
#define SECTIONS_MAX 65280U /* SHN_LORESERVE */
#define PHDR 56U
#define MACHINE_X86_64 62U
#define MACHINE_ARM64 183U

#define SHF_WRITE 1U
#define SHF_ALLOC 2U
#define SHF_EXECINSTR 4U
#define SHF_COMPRESSED 0x800U

enum section_type {
    SHT_STRTAB = 3,
    SHT_RELA = 4,
    SHT_DYNAMIC = 6,
    SHT_NOBITS = 8,
    SHT_DYNSYM = 11,
    SHT_RELR = 19,
};

#define PT_LOAD 1U
#define PT_GNU_EH_FRAME 0x6474e550U
#define PF_X 1U
#define PF_W 2U

struct sections {
    struct bytes file;
    const uint8_t *headers;
    uint32_t n;
    struct bytes names;
};

struct section {
    uint32_t type;
    uint64_t flags;
    uint64_t va;
    uint64_t off;
    uint64_t size;
    uint32_t link;
    struct bytes name; /* up to the end of the name table */
};

static struct section section_at(const struct sections *all, uint32_t i)
{
    const uint8_t *p = all->headers + (size_t)i * SHDR;
    uint32_t name = view_le32(p);
    struct section s = { .type = view_le32(p + 4),
                         .flags = view_le64(p + 8),
                         .va = view_le64(p + 16),
                         .off = view_le64(p + 24),
                         .size = view_le64(p + 32),
                         .link = view_le32(p + 40) };

    if (name < all->names.n)
        s.name = (struct bytes){ .p = all->names.p + name, .n = all->names.n - name };
    return s;
}

/* Find the section headers; false if there are none that make sense. */
static bool sections_find(struct bytes file, struct sections *ret)
{
    uint64_t at = view_le64(file.p + 40);
    uint32_t n = view_le16(file.p + 60);
    uint32_t names = view_le16(file.p + 62);

    *ret = (struct sections){ .file = file, .n = n };
    if (n == 0 || n > SECTIONS_MAX || view_le16(file.p + 58) != SHDR || at > file.n ||
        (uint64_t)n * SHDR > file.n - at)
        return false;
    ret->headers = file.p + at;
    if (names < n) {
        struct section s = section_at(ret, names);

        if (s.off <= file.n && s.size <= file.n - s.off)
            ret->names = (struct bytes){ .p = file.p + s.off, .n = (size_t)s.size };
    }
    return true;
}

/* Whether the section is called name, or begins with it where whole is false. */
static bool called(const struct section *s, const char *name, bool whole)
{
    size_t n = strlen(name) + (whole ? 1 : 0);

    return s->name.n >= n && memcmp(s->name.p, name, n) == 0;
}

static bool is_pointers(const struct section *s)
{
    return (s->flags & SHF_WRITE) || called(s, ".go.", false) || called(s, ".itablink", true);
}

/* The kind of a section that holds data; false if it holds no references. */
static bool kind_by_name(const struct section *s, enum view_kind *ret)
{
    static const struct {
        const char *name;
        enum view_kind kind;
        bool whole;
    } rows[] = {
        { ".eh_frame", VIEW_EHFRAME, true },  { ".eh_frame_hdr", VIEW_EHHDR, true },
        { ".gopclntab", VIEW_PCLNTAB, true }, { ".data.rel.ro.gopclntab", VIEW_PCLNTAB, true },
        { ".typelink", VIEW_TYPELINK, true }, { ".rodata", VIEW_RODATA, false },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (called(s, rows[i].name, rows[i].whole)) {
            *ret = rows[i].kind;
            return true;
        }
    *ret = VIEW_POINTERS;
    return is_pointers(s);
}

static bool kind_of(const struct section *s, uint16_t machine, enum view_kind *ret)
{
    if (s->flags & SHF_EXECINSTR) {
        *ret = machine == MACHINE_X86_64 ? VIEW_CODE_X86 : VIEW_CODE_ARM64;
        return machine == MACHINE_X86_64 || machine == MACHINE_ARM64;
    }
    switch (s->type) {
    case SHT_RELA:
        *ret = VIEW_RELA;
        return true;
    case SHT_RELR:
        *ret = VIEW_RELR;
        return true;
    case SHT_DYNSYM:
        *ret = VIEW_DYNSYM;
        return true;
    case SHT_DYNAMIC:
        *ret = VIEW_DYNAMIC;
        return true;
    default:
        return kind_by_name(s, ret);
    }
}

/* Go's types begin where .rodata does. */
static uint64_t types_base(const struct sections *all)
{
    for (uint32_t i = 0; i < all->n; i++) {
        struct section s = section_at(all, i);

        if (called(&s, ".rodata", true))
            return s.va;
    }
    return 0;
}

/* What the fields of the part are relative to. */
static uint64_t base_of(const struct sections *all, const struct section *s, enum view_kind kind,
                        const struct view *v)
{
    if (kind == VIEW_DYNSYM)
        return s->link < all->n ? section_at(all, s->link).va : 0;
    if (kind == VIEW_RODATA)
        return v->fixed;
    return kind == VIEW_TYPELINK ? types_base(all) : 0;
}

static void parts_by_sections(const struct sections *all, struct view *v)
{
    /* once there is no room the rest is not looked at: types_base may run once per part only */
    for (uint32_t i = 0; i < all->n && v->n_parts < VIEW_PARTS_MAX; i++) {
        struct section s = section_at(all, i);
        struct view_part part = { .off = s.off, .size = s.size, .va = s.va };
        uint64_t va = 0;

        if (s.size == 0 || s.off > all->file.n || s.size > all->file.n - s.off)
            continue; /* before anything is looked up for it */
        if (!(s.flags & SHF_ALLOC) || (s.flags & SHF_COMPRESSED) || s.type == SHT_NOBITS ||
            !kind_of(&s, v->machine, &part.kind))
            continue;
        if (!view_va(v, s.off, &va) || va != s.va)
            continue; /* it says it is loaded where it is not */
        part.base = base_of(all, &s, part.kind, v);
        view_add_part(v, all->file.n, part);
    }
}

static void parts_by_segments(struct bytes file, struct view *v)
{
    uint64_t at = view_le64(file.p + 32);
    uint32_t n = view_le16(file.p + 56);

    for (uint32_t i = 0; i < n; i++) { /* view_head_size has found them within the file */
        const uint8_t *p = file.p + at + (size_t)i * PHDR;
        uint32_t type = view_le32(p);
        uint32_t flags = view_le32(p + 4);
        struct view_part part = { .off = view_le64(p + 8),
                                  .size = view_le64(p + 32),
                                  .va = view_le64(p + 16) };

        if (type == PT_GNU_EH_FRAME) {
            part.kind = VIEW_EHHDR;
        } else if (type == PT_LOAD && (flags & PF_X) &&
                   (v->machine == MACHINE_X86_64 || v->machine == MACHINE_ARM64)) {
            part.kind = v->machine == MACHINE_X86_64 ? VIEW_CODE_X86 : VIEW_CODE_ARM64;
        } else if (type == PT_LOAD && (flags & PF_W)) {
            part.kind = VIEW_POINTERS;
        } else {
            continue;
        }
        view_add_part(v, file.n, part);
    }
}

void view_elf_parts(struct bytes file, struct view *v)
{
    struct sections all;

    if (sections_find(file, &all))
        parts_by_sections(&all, v);
    else
        parts_by_segments(file, v);
    view_sort_parts(v);
}
