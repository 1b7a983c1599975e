/* SPDX-License-Identifier: Apache-2.0
 *
 * What differs between two trees, and the berth command that shows it, run on packages that it
 * built.
 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orchestrator/diff.h"
#include "tests/unit/berth_run.h"

#define ENTRIES 6U

/* ---- indexes ---- */

/* An entry: a file of content c and n bytes, a program, a directory or a link. */
struct listed {
    char kind; /* 'f', 'x', 'd', 'l' */
    const char *path;
    char content;
    unsigned size;
};

static struct bytes index_of(const struct listed *l)
{
    scoped(index_free) struct index *ix = NULL;
    int fd = memfd_create("index", MFD_CLOEXEC);
    struct digest digest;
    struct digest384 digest384;
    struct stat st;
    uint8_t *p;

    assert_rc(index_new(&ix, &err), RC_OK);
    for (unsigned i = 0; i < ENTRIES && l[i].path; i++) {
        struct policy_item item = { .type = S_IFREG, .mode = l[i].kind == 'x' ? 0755 : 0644 };
        struct digest content;

        memset(content.b, l[i].content, sizeof content.b);
        (void)snprintf(item.path, sizeof item.path, "%s", l[i].path);
        if (l[i].kind == 'd')
            item.type = S_IFDIR;
        if (l[i].kind == 'l') {
            item.type = S_IFLNK;
            (void)snprintf(item.target, sizeof item.target, "%c", l[i].content);
        }
        assert_rc(index_add(ix, &item, l[i].size, &content, &err), RC_OK);
    }
    assert_rc(index_end(ix, fd, &digest, &digest384, &err), RC_OK);
    assert_int_equal(fstat(fd, &st), 0);
    p = malloc((size_t)st.st_size);
    assert_non_null(p);
    assert_rc(fs_pread_exact(fd, p, (size_t)st.st_size, 0, &err), RC_OK);
    (void)close(fd);
    return (struct bytes){ .p = p, .n = (size_t)st.st_size };
}

/* "added b; moved c from a; same 2" */
static void text_of(const struct diff *d, char *out, size_t cap)
{
    FILE *f = fmemopen(out, cap, "w");

    assert_non_null(f);
    for (uint32_t i = 0; i < d->n; i++) {
        const struct diff_entry *e = &d->entries[i];

        (void)fprintf(f, "%s %.*s", diff_what_text(e->what), (int)e->path.n,
                      (const char *)e->path.p);
        if (e->what == DIFF_MOVED)
            (void)fprintf(f, " from %.*s", (int)e->from.n, (const char *)e->from.p);
        (void)fprintf(f, " %llu>%llu; ", (unsigned long long)e->old_size,
                      (unsigned long long)e->new_size);
    }
    (void)fprintf(f, "same %u", d->count[DIFF_SAME]);
    assert_int_equal(fclose(f), 0);
}

static void every_difference_has_its_name(void **state)
{
    static const struct {
        struct listed old[ENTRIES], new[ENTRIES];
        const char *text;
    } rows[] = {
        { { { 'f', "a", 1, 5 } }, { { 'f', "a", 1, 5 } }, "same 1" },
        { { { 'f', "a", 1, 5 } }, { { 'f', "a", 2, 6 } }, "changed a 5>6; same 0" },
        { { { 'f', "a", 1, 5 } }, { { 'x', "a", 1, 5 } }, "mode a 5>5; same 0" },
        { { { 'f', "a", 1, 5 } }, { { 'x', "a", 2, 5 } }, "changed a 5>5; same 0" },
        { { { 'f', "a", 1, 5 } }, { { 'd', "a", 0, 0 } }, "changed a 5>0; same 0" },
        { { { 'l', "a", 'p', 0 } }, { { 'l', "a", 'q', 0 } }, "changed a 0>0; same 0" },
        { { { 'l', "a", 'p', 0 } }, { { 'l', "a", 'p', 0 } }, "same 1" },
        { { { 'd', "a", 0, 0 } },
          { { 'd', "a", 0, 0 }, { 'f', "a/b", 1, 1 } },
          "added a/b 0>1; same 1" },
        { { { 'd', "a", 0, 0 }, { 'f', "a/b", 1, 1 } },
          { { 'd', "a", 0, 0 } },
          "removed a/b 1>0; same 1" },
        { { { 'f', "a", 1, 5 } }, { { 'f', "b", 1, 5 } }, "moved b from a 5>5; same 0" },
        { { { 'f', "a", 1, 5 } }, { { 'x', "b", 1, 5 } }, "moved b from a 5>5; same 0" },
        { { { 'f', "a", 1, 0 } }, { { 'f', "b", 1, 0 } }, "removed a 0>0; added b 0>0; same 0" },
        { { { 'l', "a", 'p', 0 } },
          { { 'l', "b", 'p', 0 } },
          "removed a 0>0; added b 0>0; same 0" },
        /* one move for each that is gone; a copy of what stays is new */
        { { { 'f', "a", 1, 5 } },
          { { 'f', "b", 1, 5 }, { 'f', "c", 1, 5 } },
          "moved b from a 5>5; added c 0>5; same 0" },
        { { { 'f', "a", 1, 5 } },
          { { 'f', "a", 1, 5 }, { 'f', "c", 1, 5 } },
          "added c 0>5; same 1" },
        { { { 'f', "a", 1, 5 }, { 'f', "b", 2, 7 } },
          { { 'f', "c", 2, 7 }, { 'f', "d", 1, 5 } },
          "moved c from b 7>7; moved d from a 5>5; same 0" },
        { { { 'f', "ab", 1, 5 } },
          { { 'f', "a", 2, 5 }, { 'f', "ab", 1, 5 } },
          "added a 0>5; same 1" },
    };
    char text[256];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        scoped(diff_done) struct diff d = { .n = 0 };
        struct bytes old = index_of(rows[i].old), new = index_of(rows[i].new);

        assert_rc(diff_indexes(old, new, &d, &err), RC_OK);
        text_of(&d, text, sizeof text);
        assert_string_equal(text, rows[i].text);
        free((void *)(uintptr_t)old.p);
        free((void *)(uintptr_t) new.p);
    }
}

/* Cut off, followed by more, or with any bit the other way: refused or read, never more than that;
 * and a refusal gives nothing. */
static void hostile_indexes_are_refused(void **state)
{
    static const struct listed good[ENTRIES] = { { 'd', "a", 0, 0 },
                                                 { 'x', "a/b", 1, 5 },
                                                 { 'l', "c", 'b', 0 } };
    struct bytes index = index_of(good);
    scoped(free_ptr) uint8_t *bad = malloc(index.n + 1);

    (void)state;
    assert_non_null(bad);
    for (size_t n = 0; n < index.n; n++) {
        struct diff d = { .n = 7 };

        assert_rc(diff_indexes((struct bytes){ index.p, n }, index, &d, &err), RC_INDEX_FORMAT);
        assert_rc(diff_indexes(index, (struct bytes){ index.p, n }, &d, &err), RC_INDEX_FORMAT);
        assert_int_equal(d.n, 7);
    }
    memcpy(bad, index.p, index.n);
    bad[index.n] = 0;
    for (size_t bit = 0; bit < 8 * index.n; bit++) {
        scoped(diff_done) struct diff d = { .n = 0 };

        bad[bit / 8] ^= (uint8_t)(1U << bit % 8);
        enum rc rc = diff_indexes(index, (struct bytes){ bad, index.n }, &d, &err);

        assert_true(rc == RC_INDEX_FORMAT || (rc == RC_OK && d.n > 0));
        bad[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    struct diff d = { .n = 7 };

    assert_rc(diff_indexes(index, (struct bytes){ bad, index.n + 1 }, &d, &err), RC_INDEX_FORMAT);
    free((void *)(uintptr_t)index.p);
}

/* ---- the command ---- */

static const char yaml[] = "name: cam\ntenant: acme\nversion: %s\nrelease: %s\nexec: [/bin/cam]\n"
                           "arch: any\nroot: rootfs\n"
                           "resources: {memory: 16M, cpu: 0.25, pids: %s, tmp: 1M, files: 16}\n"
                           "health: {type: notify, ready: 2s}\n";

static void put_noise(const char *path, uint32_t x)
{
    static uint8_t bytes[40000];

    for (size_t i = 0; i < sizeof bytes; i++) {
        x = x * 1664525U + 1013904223U;
        bytes[i] = (uint8_t)(x >> 24);
    }
    assert_rc(fs_write_file(dirfd, path, (struct bytes){ bytes, sizeof bytes }, 0644, &err), RC_OK);
}

static void put_yaml(const char *version, const char *release, const char *pids)
{
    char text[512];

    print_to(text, sizeof text, yaml, version, release, pids);
    put("cam/payload.yaml", text, 0644);
}

static int set_up(void **state)
{
    (void)begin(state);
    (void)setenv("BERTH_HOME", "home", 1);
    assert_rc(fs_make_dirs(dirfd, "cam/rootfs/bin", 0755, &err), RC_OK);
    assert_rc(fs_make_dirs(dirfd, "cam/rootfs/lib", 0755, &err), RC_OK);
    put("cam/rootfs/bin/cam", "#!/bin/self\n", 0755);
    put("cam/rootfs/lib/tool", "tool\n", 0644);
    put("cam/rootfs/lib/gone", "gone\n", 0644);
    put_noise("cam/rootfs/lib/moves", 1);
    put_yaml("1.0", "1", "4");
    assert_berth("build cam --level 1 --out one.unsigned", 0);
    put("cam/rootfs/bin/cam", "#!/bin/self -x\n", 0755);
    put("cam/rootfs/lib/tool", "tool\n", 0755);
    put("cam/rootfs/lib/new-file-with-a-name-that-is-much-too-long-for-the-table-it-is-in", "n\n",
        0644);
    assert_int_equal(unlinkat(dirfd, "cam/rootfs/lib/gone", 0), 0);
    assert_int_equal(renameat(dirfd, "cam/rootfs/lib/moves", dirfd, "cam/rootfs/lib/moved"), 0);
    put_yaml("2.0", "2", "8");
    put("bill", "bill\n", 0644);
    assert_berth("build cam --level 1 --sbom bill --out two.unsigned", 0);
    return 0;
}

static void a_package_does_not_differ_from_itself(void **state)
{
    (void)state;
    assert_berth("diff one.unsigned one.unsigned", 0);
    assert_said("0 added, 0 removed, 0 changed, 0 moved, 0 other mode, 6 same");
}

/* No line of a table is wider than a terminal of the old kind. */
static void assert_narrow(void)
{
    for (const char *line = said; *line;) {
        size_t n = strcspn(line, "\n");

        if (n > 80 && strncmp(line, "berth", 5) != 0)
            fail_msg("%zu columns: %.*s", n, (int)n, line);
        line += n + (line[n] == '\n');
    }
}

static void differences_are_shown(void **state)
{
    static const char *const says[] = {
        "acme/cam 1.0 -> acme/cam 2.0",
        "changed  12 B      15 B      bin/cam",
        "removed  5 B       -         lib/gone",
        "moved    39.1 KiB  39.1 KiB  lib/moved",
        "  from   -         -         lib/moves",
        "+x       5 B       5 B       lib/tool",
        "added    -         2 B       ...t-is-much-too-long-for-the-table-it-is-in",
        "1 added, 1 removed, 1 changed, 1 moved, 1 other mode, 2 same",
        "resources.pids  4",
        "version         \"1.0\"",
        "sbom            (none)",
        "full ",
        "delta  ",
        "of memory",
        "the delta goes",
        "not signed yet",
    };

    (void)state;
    assert_berth("diff one.unsigned two.unsigned", 3);
    for (size_t i = 0; i < sizeof says / sizeof says[0]; i++)
        assert_said(says[i]);
    assert_narrow();
    assert_berth("diff one.unsigned two.unsigned --rate 1000000 --pass 60 --no-delta", 3);
    assert_said("delta  none: not asked for");
    assert_said("at 1000000 bit/s and 60 s a pass: the full package goes");
}

static void programs_get_all_of_it(void **state)
{
    static const char *const says[] = {
        "\"change\": \"moved\"",
        "\"from\": \"lib/moves\"",
        "\"field\": \"resources.pids\"",
        "\"goes\": true",
        "\"memory_bytes\": ",
        "\"signed\": false",
        "\"old_kind\": \"file\"",
        "\"passes\": 0.1",
        "lib/new-file-with-a-name-that-is-much-too-long-for-the-table-it-is-in",
    };

    (void)state;
    assert_berth("diff one.unsigned two.unsigned --json", 3);
    for (size_t i = 0; i < sizeof says / sizeof says[0]; i++)
        assert_said(says[i]);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    put("noise", "nothing that anybody built\n", 0644);
    assert_berth("diff one.unsigned", 2);
    assert_berth("diff one.unsigned none.unsigned", 1);
    assert_said("NOT_FOUND");
    assert_berth("diff one.unsigned noise", 1);
    assert_said("PACKAGE_FORMAT");
    assert_berth("diff one.unsigned two.unsigned --rate 0", 2);
    assert_berth("diff one.unsigned two.unsigned --pass fast", 2);
    assert_berth("diff one.unsigned acme/cam@2.0", 1);
    assert_said("berth diff: home");
}

/* Signed, and by version from the home. */
static void versions_of_the_home(void **state)
{
    static const char quota[] = "memory: 64M\ncpu: 50%\npids: 32\ndata: 16M\ntmp: 16M\nfiles: 64\n"
                                "store: 64M\npayloads: 2\nexpires: 30d\n";

    (void)state;
    put("quota.yaml", quota, 0644);
    assert_berth("key new root --role root --out keys", 0);
    assert_berth("key new op --role operator --out keys", 0);
    assert_berth("key new acme --role tenant --out keys", 0);
    assert_berth("fleet init aurora --root keys/root.key --operator keys/op.key", 0);
    assert_berth("grant acme --keys keys/acme.pub --quota quota.yaml", 0);
    assert_berth("sign one.unsigned --key keys/acme.key --out one.berth", 0);
    assert_berth("sign two.unsigned --key keys/acme.key --out two.berth", 0);
    assert_berth("push one.berth", 0);
    assert_berth("diff acme/cam@1.0 acme/cam@2.0", 4);
    assert_said("NO_PACKAGE");
    assert_berth("push two.berth", 0);
    assert_berth("diff acme/cam@1.0 acme/cam@2.0", 3);
    assert_said("1 added, 1 removed, 1 changed, 1 moved, 1 other mode, 2 same");
    assert_null(strstr(said, "not signed yet"));
    assert_berth("diff acme/cam@2.0 two.berth", 0);
    assert_berth("diff one.unsigned acme/cam@1.0 --json", 0);
}

/* Content of which a byte has changed, and a file that ends early. */
static void damaged_files_are_refused(void **state)
{
    scoped(free_ptr) uint8_t *bytes = NULL;
    size_t n = slurp("two.berth", &bytes);

    (void)state;
    bytes[n - 50] ^= 1;
    assert_rc(fs_write_file(dirfd, "bad.berth", (struct bytes){ bytes, n }, 0644, &err), RC_OK);
    assert_berth("diff one.berth bad.berth", 5);
    assert_said("DIGEST_MISMATCH");
    assert_rc(fs_write_file(dirfd, "bad.berth", (struct bytes){ bytes, n / 2 }, 0644, &err), RC_OK);
    assert_berth("diff one.berth bad.berth", 1);
    assert_said("PACKAGE_SIZE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_difference_has_its_name),
        cmocka_unit_test(hostile_indexes_are_refused),
        cmocka_unit_test(a_package_does_not_differ_from_itself),
        cmocka_unit_test(differences_are_shown),
        cmocka_unit_test(programs_get_all_of_it),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(versions_of_the_home),
        cmocka_unit_test(damaged_files_are_refused),
    };

    return cmocka_run_group_tests(tests, set_up, end);
}
