/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "delta/refs.h"

static void free_file(struct bytes *b)
{
    if (b->n > 0)
        (void)munmap((void *)(uintptr_t)b->p, b->n);
}

static struct bytes load(const char *path)
{
    scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);

    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

    assert_ptr_not_equal(p, MAP_FAILED);
    return (struct bytes){ .p = p, .n = (size_t)st.st_size };
}

/* A walk that begins anywhere gives what a walk from the start gives from there on. */
static void test_seek(void **unused)
{
    scoped(free_file) struct bytes file = load("/proc/self/exe");
    scoped(refs_free) struct refs *refs = NULL;
    struct refs_walk all;
    struct refs_walk from;
    struct view view;
    struct ref a;
    struct ref b;
    struct err err;
    uint64_t end = 0;
    unsigned n = 0;

    (void)unused;
    view_of(file, &view);
    assert_int_equal(view.format, VIEW_ELF);
    assert_true(view.n_parts > 5);
    assert_rc(refs_new(file, &view, &refs, &err), RC_OK);
    refs_seek(&all, refs, 0);
    for (; refs_next(&all, file.n, &a); n++) {
        assert_true(a.pos >= end);
        assert_true(a.width <= file.n - a.pos);
        refs_seek(&from, refs, n % 2 ? a.pos : end);
        assert_true(refs_next(&from, a.pos + a.width, &b));
        assert_int_equal(b.pos, a.pos);
        assert_int_equal(b.kind, a.kind);
        assert_int_equal(b.target, a.target);
        assert_int_equal(b.base, a.base);
        refs_seek(&from, refs, a.pos);
        assert_false(refs_next(&from, a.pos + a.width - 1, &b));
        end = a.pos + a.width;
    }
    assert_true(n > 1000);
}

/* What objdump prints for one instruction: its address, and what it refers to in 32 bits. */
static bool parse_line(const char *line, uint64_t *ret_va, uint64_t *ret_target)
{
    char *end = NULL;
    const char *text = strchr(line, '\t');
    unsigned size = 0;

    *ret_va = strtoull(line, &end, 16);
    if (!text || end == line || *end != ':')
        return false;
    for (text++; isxdigit((unsigned char)text[0]) && isxdigit((unsigned char)text[1]); text += 3)
        size++;

    const char *comment = strstr(text, "# ");

    while (*text == ' ' || *text == '\t')
        text++;
    if (comment && strstr(text, "(%rip)")) {
        *ret_target = strtoull(comment + 2, NULL, 16);
        return true;
    }
    if (strncmp(text, "bnd ", 4) == 0)
        text += 4;
    if (size < 5 || (strncmp(text, "call", 4) != 0 && *text != 'j') || strchr(text, '*'))
        return false;
    text = strpbrk(text, " \t");
    if (!text)
        return false;
    *ret_target = strtoull(text, &end, 16);
    return strchr(end, '<') != NULL;
}

static FILE *objdump(const char *path, pid_t *ret_pid)
{
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    *ret_pid = fork();
    if (*ret_pid == 0) {
        (void)dup2(ends[1], 1);
        (void)execlp("objdump", "objdump", "-dw", "--insn-width=16", path, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    return fdopen(ends[0], "r");
}

/* The references in code that objdump sees, against ours. */
static void test_objdump(void **unused)
{
    static const char *const paths[] = { "/proc/self/exe", "/usr/bin/git", "/usr/bin/python3.11",
                                         "/usr/bin/bash", "/usr/bin/openssl" };
    unsigned long wanted = 0;
    unsigned long found = 0;

    (void)unused;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        scoped(free_ptr) char *path = realpath(paths[i], NULL);
        char line[1024];
        struct refs_walk w;
        struct view view;
        struct ref r = { .pos = 0 };
        struct err err;
        pid_t pid = 0;
        int status = 0;
        bool more = true;

        if (!path)
            continue;

        scoped(free_file) struct bytes file = load(path);
        scoped(refs_free) struct refs *refs = NULL;
        FILE *out = objdump(path, &pid);

        view_of(file, &view);
        assert_rc(refs_new(file, &view, &refs, &err), RC_OK);
        refs_seek(&w, refs, 0);
        while (fgets(line, sizeof line, out)) {
            uint64_t va = 0;
            uint64_t target = 0;
            uint64_t at = 0;

            if (!parse_line(line, &va, &target) || target < view.low || target > view.high ||
                !view_offset(&view, va, &at))
                continue;
            wanted++;
            while (more && r.pos < at)
                more = refs_next(&w, file.n, &r);
            found += more && r.pos < at + 15 && r.kind == REF_PC32 && r.target == target;
        }
        (void)fclose(out);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (status != 0)
            skip(); /* no objdump here */
    }
    print_message("%lu of %lu references found\n", found, wanted);
    assert_true(wanted > 1000 && found * 1000 >= wanted * 999);
}

/* One record of .eh_frame that hides a thousand blocks: a short walk is short all the same. */
static void test_hidden_frames(void **state)
{
    enum { SIZE = 1 << 20 };
    struct view view = { .format = VIEW_ELF,
                         .high = SIZE,
                         .n_loads = 1,
                         .n_parts = 1,
                         .loads = { { .size = SIZE } },
                         .parts = { { .size = SIZE, .kind = VIEW_EHFRAME } } };
    scoped(refs_free) struct refs *refs = NULL;
    scoped(free_ptr) uint8_t *file = calloc(1, SIZE);
    struct refs_walk w;
    struct ref r;
    struct err err;

    (void)state;
    assert_non_null(file);
    file[2] = 15; /* a record of 983,044 bytes */
    file[4] = 1;
    assert_rc(refs_new((struct bytes){ .p = file, .n = SIZE }, &view, &refs, &err), RC_OK);
    refs_seek(&w, refs, 0);
    assert_true(refs_next(&w, SIZE, &r));
    assert_int_equal(r.pos, 4);
    for (uint64_t pos = 2048; pos < SIZE / 2; pos += 4096) {
        refs_seek(&w, refs, pos);
        assert_false(refs_next(&w, pos + 4, &r));
        assert_in_range(w.steps, 1, 32);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seek),
        cmocka_unit_test(test_hidden_frames),
        cmocka_unit_test(test_objdump),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
