/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "orchestrator/elf.h"

static struct err err;

/* A small file: header, three segments, strings, dynamic section. */
struct image {
    Elf64_Ehdr head;
    Elf64_Phdr segment[3];
    char interp[32];
    char strings[64];
    Elf64_Dyn dynamic[4];
};

static struct image sample(void)
{
    struct image m = { 0 };

    memcpy(m.head.e_ident, ELFMAG, SELFMAG);
    m.head.e_ident[EI_CLASS] = ELFCLASS64;
    m.head.e_ident[EI_DATA] = ELFDATA2LSB;
    m.head.e_machine = EM_X86_64;
    m.head.e_phoff = offsetof(struct image, segment);
    m.head.e_phentsize = sizeof(Elf64_Phdr);
    m.head.e_phnum = 3;
    m.segment[0] = (Elf64_Phdr){
        .p_type = PT_LOAD, .p_vaddr = 0x1000, .p_filesz = sizeof m, .p_memsz = sizeof m
    };
    m.segment[1] = (Elf64_Phdr){ .p_type = PT_INTERP,
                                 .p_offset = offsetof(struct image, interp),
                                 .p_filesz = sizeof m.interp };
    m.segment[2] = (Elf64_Phdr){ .p_type = PT_DYNAMIC,
                                 .p_offset = offsetof(struct image, dynamic),
                                 .p_filesz = sizeof m.dynamic };
    (void)snprintf(m.interp, sizeof m.interp, "/lib64/ld.so");
    memcpy(m.strings, "\0liba.so.1\0libc.so.6", 21);
    m.dynamic[0] = (Elf64_Dyn){ .d_tag = DT_NEEDED, .d_un.d_val = 1 };
    m.dynamic[1] = (Elf64_Dyn){ .d_tag = DT_NEEDED, .d_un.d_val = 11 };
    m.dynamic[2] =
        (Elf64_Dyn){ .d_tag = DT_STRTAB, .d_un.d_ptr = 0x1000 + offsetof(struct image, strings) };
    return m;
}

static enum rc read_bytes(const void *p, size_t n, struct elf_needs *ret)
{
    scoped(close_fd) int fd = memfd_create("elf", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, p, n), (ssize_t)n);
    return elf_read(fd, ret, &err);
}

static void sample_is_read(void **state)
{
    struct image m = sample();
    struct elf_needs needs;

    (void)state;
    assert_rc(read_bytes(&m, sizeof m, &needs), RC_OK);
    assert_int_equal(needs.machine, EM_X86_64);
    assert_string_equal(needs.interp, "/lib64/ld.so");
    assert_int_equal(needs.n, 2);
    assert_string_equal(needs.needed[0], "liba.so.1");
    assert_string_equal(needs.needed[1], "libc.so.6");
}

static void wrong_head(struct image *m)
{
    m->head.e_ident[0] = '#';
}
static void wrong_class(struct image *m)
{
    m->head.e_ident[EI_CLASS] = ELFCLASS32;
}
static void wrong_order(struct image *m)
{
    m->head.e_ident[EI_DATA] = ELFDATA2MSB;
}
static void wrong_entry_size(struct image *m)
{
    m->head.e_phentsize = 1;
}
static void many_segments(struct image *m)
{
    m->head.e_phnum = 0xffff;
}
static void segments_outside(struct image *m)
{
    m->head.e_phoff = UINT64_MAX - 8;
}
static void dynamic_outside(struct image *m)
{
    m->segment[2].p_offset = UINT64_MAX - 8;
}
static void dynamic_huge(struct image *m)
{
    m->segment[2].p_filesz = UINT64_MAX;
}
static void strings_nowhere(struct image *m)
{
    m->dynamic[2].d_un.d_ptr = 0x10;
}
static void name_outside(struct image *m)
{
    m->dynamic[0].d_un.d_val = UINT64_MAX;
}
static void name_empty(struct image *m)
{
    m->dynamic[0].d_un.d_val = 0;
}
static void name_is_a_path(struct image *m)
{
    memcpy(m->strings + 1, "../../etc", 9);
}
static void interp_unterminated(struct image *m)
{
    m->segment[1].p_filesz = 4;
}
static void interp_outside(struct image *m)
{
    m->segment[1].p_offset = UINT64_MAX;
}
static void load_wraps(struct image *m)
{
    m->segment[0].p_offset = UINT64_MAX;
}

static void damaged_files_are_refused(void **state)
{
    static const struct {
        const char *why;
        void (*damage)(struct image *m);
        enum rc rc;
    } rows[] = {
        { "another magic", wrong_head, RC_NOT_FOUND },
        { "32 bit", wrong_class, RC_ARCH },
        { "big-endian", wrong_order, RC_ARCH },
        { "entry size", wrong_entry_size, RC_VALUE },
        { "many segments", many_segments, RC_TOO_LARGE },
        { "segments outside", segments_outside, RC_SHORT },
        { "dynamic outside", dynamic_outside, RC_SHORT },
        { "dynamic huge", dynamic_huge, RC_TOO_LARGE },
        { "string table nowhere", strings_nowhere, RC_VALUE },
        { "name outside", name_outside, RC_VALUE },
        { "name empty", name_empty, RC_VALUE },
        { "name is a path", name_is_a_path, RC_VALUE },
        { "interpreter without end", interp_unterminated, RC_VALUE },
        { "interpreter outside", interp_outside, RC_SHORT },
        { "load offset wraps", load_wraps, RC_VALUE },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct image m = sample();
        struct elf_needs needs = { .n = 77 };
        enum rc rc;

        rows[i].damage(&m);
        rc = read_bytes(&m, sizeof m, &needs);
        if (rc != rows[i].rc || needs.n != 77)
            fail_msg("%s: %s", rows[i].why, rc_name(rc));
    }
}

static void every_cut_is_refused(void **state)
{
    struct image m = sample();

    (void)state;
    for (size_t n = 0; n < offsetof(struct image, dynamic) + sizeof m.dynamic; n++) {
        struct elf_needs needs = { .n = 77 };

        assert_int_not_equal(read_bytes(&m, n, &needs), RC_OK);
        assert_int_equal(needs.n, 77);
    }
}

static void this_program_needs_libc(void **state)
{
    scoped(close_fd) int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct elf_needs needs;
    bool found = false;

    (void)state;
    assert_rc(elf_read(fd, &needs, &err), RC_OK);
    assert_int_equal(needs.interp[0], '/');
    for (uint32_t i = 0; i < needs.n; i++)
        found = found || strcmp(needs.needed[i], "libc.so.6") == 0;
    assert_true(found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sample_is_read),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(this_program_needs_libc),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
