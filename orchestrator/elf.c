/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/elf.h"

#include <elf.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/fs.h"

#define SEGMENTS_MAX 64U
#define DYNAMIC_MAX 4096U /* entries */

struct file {
    int fd;
    uint64_t size;
    uint32_t n_segments;
    Elf64_Phdr segment[SEGMENTS_MAX];
};

static enum rc read_at(const struct file *f, void *buf, size_t n, uint64_t at, struct err *err)
{
    if (at > f->size || n > f->size - at)
        return err_at(err, RC_SHORT, at, "ELF file ends early");
    return fs_pread_exact(f->fd, buf, n, at, err);
}

static enum rc read_header(struct file *f, uint16_t *ret_machine, struct err *err)
{
    Elf64_Ehdr head;
    enum rc rc = read_at(f, &head, sizeof head, 0, err);

    if (rc == RC_SHORT || (rc == RC_OK && memcmp(head.e_ident, ELFMAG, SELFMAG) != 0))
        return err_set(err, RC_NOT_FOUND, "not an ELF file");
    if (rc != RC_OK)
        return rc;
    if (head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_ident[EI_DATA] != ELFDATA2LSB)
        return err_set(err, RC_ARCH, "ELF file is not 64 bit little-endian");
    if (head.e_phentsize != sizeof(Elf64_Phdr))
        return err_set(err, RC_VALUE, "ELF program header size");
    if (head.e_phnum > SEGMENTS_MAX)
        return err_set(err, RC_TOO_LARGE, "ELF program headers");
    f->n_segments = head.e_phnum;
    *ret_machine = head.e_machine;
    return read_at(f, f->segment, head.e_phnum * sizeof(Elf64_Phdr), head.e_phoff, err);
}

static const Elf64_Phdr *find_segment(const struct file *f, uint32_t type)
{
    for (uint32_t i = 0; i < f->n_segments; i++) {
        if (f->segment[i].p_type == type)
            return &f->segment[i];
    }
    return NULL;
}

/* Where in the file a virtual address lies, and how many bytes of the segment follow it. */
static bool locate(const struct file *f, uint64_t address, uint64_t *ret_at, uint64_t *ret_left)
{
    for (uint32_t i = 0; i < f->n_segments; i++) {
        const Elf64_Phdr *s = &f->segment[i];

        if (s->p_type == PT_LOAD && address >= s->p_vaddr && address - s->p_vaddr < s->p_filesz &&
            !__builtin_add_overflow(s->p_offset, address - s->p_vaddr, ret_at)) {
            *ret_left = s->p_filesz - (address - s->p_vaddr);
            return true;
        }
    }
    return false;
}

/* A NUL-terminated string of at most left bytes. */
static enum rc read_text(const struct file *f, uint64_t at, uint64_t left, char out[ELF_NAME_CAP],
                         struct err *err)
{
    char text[ELF_NAME_CAP];
    size_t n = left < sizeof text ? (size_t)left : sizeof text;
    enum rc rc;

    if (at > f->size)
        return err_at(err, RC_SHORT, at, "ELF file ends early");
    if (n > f->size - at)
        n = (size_t)(f->size - at);
    rc = read_at(f, text, n, at, err);
    if (rc != RC_OK)
        return rc;
    if (!memchr(text, '\0', n) || text[0] == '\0')
        return err_at(err, RC_VALUE, at, "ELF string");
    memcpy(out, text, strlen(text) + 1);
    return RC_OK;
}

/* Names are later joined to a directory: no path may hide in one. */
static enum rc read_needed(const struct file *f, const Elf64_Dyn *dyn, size_t n, uint64_t strings,
                           uint64_t left, struct elf_needs *needs, struct err *err)
{
    enum rc rc = RC_OK;

    for (size_t i = 0; i < n && dyn[i].d_tag != DT_NULL && rc == RC_OK; i++) {
        uint64_t offset = dyn[i].d_un.d_val;

        if (dyn[i].d_tag != DT_NEEDED)
            continue;
        if (needs->n == ELF_NEEDED_MAX)
            return err_set(err, RC_TOO_LARGE, "ELF file needs more than %u libraries",
                           ELF_NEEDED_MAX);
        if (offset >= left)
            return err_at(err, RC_VALUE, offset, "ELF string offset");
        rc = read_text(f, strings + offset, left - offset, needs->needed[needs->n], err);
        if (rc == RC_OK && strchr(needs->needed[needs->n], '/'))
            rc = err_set(err, RC_VALUE, "ELF file needs a library by path: %s",
                         needs->needed[needs->n]);
        needs->n++;
    }
    return rc;
}

static enum rc read_dynamic(const struct file *f, const Elf64_Phdr *segment,
                            struct elf_needs *needs, struct err *err)
{
    size_t n = (size_t)(segment->p_filesz / sizeof(Elf64_Dyn));
    scoped(free_ptr) Elf64_Dyn *dyn = NULL;
    uint64_t strings = 0, at = 0, left = 0;
    enum rc rc;

    if (n > DYNAMIC_MAX)
        return err_set(err, RC_TOO_LARGE, "ELF dynamic section");
    dyn = calloc(n + 1, sizeof *dyn);
    if (!dyn)
        return err_set(err, RC_NO_MEMORY, "ELF");
    rc = read_at(f, dyn, n * sizeof *dyn, segment->p_offset, err);
    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < n && dyn[i].d_tag != DT_NULL; i++) {
        if (dyn[i].d_tag == DT_STRTAB)
            strings = dyn[i].d_un.d_ptr;
    }
    if (!locate(f, strings, &at, &left))
        return err_set(err, RC_VALUE, "ELF string table");
    return read_needed(f, dyn, n, at, left, needs, err);
}

enum rc elf_read(int fd, struct elf_needs *ret, struct err *err)
{
    scoped(free_ptr) struct elf_needs *needs = calloc(1, sizeof *needs);
    struct file f = { .fd = fd };
    const Elf64_Phdr *interp, *dynamic;
    struct stat st;
    enum rc rc;

    if (!needs)
        return err_set(err, RC_NO_MEMORY, "ELF");
    if (fstat(fd, &st) != 0)
        return err_sys(err, RC_IO, "ELF");
    f.size = (uint64_t)st.st_size;
    rc = read_header(&f, &needs->machine, err);
    if (rc != RC_OK)
        return rc;
    interp = find_segment(&f, PT_INTERP);
    if (interp)
        rc = read_text(&f, interp->p_offset, interp->p_filesz, needs->interp, err);
    dynamic = find_segment(&f, PT_DYNAMIC);
    if (rc == RC_OK && dynamic)
        rc = read_dynamic(&f, dynamic, needs, err);
    if (rc == RC_OK)
        *ret = *needs;
    return rc;
}
