/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes the seeds of the fuzz_update_delta corpus.  Run by hand when a format changes; the seeds
 * are committed:
 *
 *     make programs build/release/tests/unit/test_update_unpack_delta
 *     gcc -std=gnu17 -D_GNU_SOURCE -I. -isystem build/deps/include tests/fuzz/seeds_delta.c \
 *         build/release/lib{update,deltamake,delta,manifest,base}.a -Lbuild/deps/lib -lsodium \
 *         -lcrypto -larchive -lzstd -llzma -ldivsufsort \
 *         -Wl,--gc-sections,-rpath,$PWD/build/lib/berth -o build/seeds
 *     build/seeds
 */
#include "tests/unit/delta_package.h"

#define SEED_MAX 8192U

static uint8_t seed[SEED_MAX];
static size_t seed_n;

static void add(const void *p, size_t n)
{
    if (n > SEED_MAX - seed_n)
        abort();
    if (n > 0)
        memcpy(seed + seed_n, p, n);
    seed_n += n;
}

static void put(const char *name)
{
    scoped(close_fd) int fd = -1;
    struct err err;

    dp_must(fs_make_dirs(AT_FDCWD, "tests/fuzz/corpus/fuzz_update_delta", 0755, &err));
    dp_must(fs_open_dir(AT_FDCWD, "tests/fuzz/corpus/fuzz_update_delta", 0755, &fd, &err));
    dp_must(fs_write_file(fd, name, (struct bytes){ seed, seed_n }, 0644, &err));
    seed_n = 0;
}

struct listed {
    const char *path;
    mode_t type;
    mode_t mode;
    const char *target;
    const char *text; /* of a file */
};

/* What a tenant signs: an index of these, up to one without a path; and the files that come, up to
 * NULL. */
static void put_signed(const char *name, const struct listed *l, const char *const *given)
{
    scoped(index_free) struct index *ix = NULL;
    scoped(close_fd) int fd = memfd_create("index", MFD_CLOEXEC);
    struct digest whole;
    struct digest384 whole384;
    uint8_t buf[SEED_MAX];
    struct err err;

    dp_must(index_new(&ix, &err));
    for (size_t i = 0; l[i].path; i++) {
        struct policy_item item = { .type = l[i].type, .mode = l[i].mode };
        struct digest content = { { 0 } };
        struct bytes text = bytes_of(l[i].text ? l[i].text : "");

        (void)snprintf(item.path, sizeof item.path, "%s", l[i].path);
        (void)snprintf(item.target, sizeof item.target, "%s", l[i].target ? l[i].target : "");
        dp_must(sha256_of(text, content.b, &err));
        dp_must(index_add(ix, &item, text.n, &content, &err));
    }
    dp_must(index_end(ix, fd, &whole, &whole384, &err));

    ssize_t got = pread(fd, buf, sizeof buf, 0);

    if (got <= 0)
        abort();
    add(&(uint8_t[]){ 1, (uint8_t)(got >> 8), (uint8_t)got }, 3);
    add(buf, (size_t)got);
    for (; *given; given++) {
        uint8_t size = (uint8_t)strlen(*given);

        add(&size, 1);
        add(*given, size);
    }
    put(name);
}

/* "what ..." is a text that the old version has, too. */
static void put_all_signed(void)
{
    static const struct listed good[] = {
        { "bin", S_IFDIR, 0755, NULL, NULL },
        { "bin/app", S_IFREG, 0755, NULL, "new app" },
        { "bin/same", S_IFREG, 0644, NULL, "what does not change" },
        { "copy", S_IFREG, 0644, NULL, "new app" },
        { "empty", S_IFREG, 0644, NULL, "" },
        { "link", S_IFLNK, 0777, "bin/app", NULL },
        { "moved", S_IFREG, 0755, NULL, "what moves" },
        { NULL, 0, 0, NULL, NULL },
    };
    static const struct listed through[] = {
        { "bin", S_IFDIR, 0755, NULL, NULL },
        { "bin/app", S_IFREG, 0755, NULL, "new app" },
        { "link", S_IFLNK, 0777, "bin", NULL },
        { "link/app2", S_IFREG, 0755, NULL, "new app" },
        { NULL, 0, 0, NULL, NULL },
    };
    static const struct listed tmp[] = {
        { "bin", S_IFDIR, 0755, NULL, NULL },
        { "bin/app", S_IFREG, 0755, NULL, "new app" },
        { "tmp", S_IFDIR, 0755, NULL, NULL },
        { NULL, 0, 0, NULL, NULL },
    };
    static const char *const both[] = { "new app", "", NULL };
    static const char *const app[] = { "new app", NULL };

    put_signed("signed-good", good, both);
    put_signed("signed-lacks-one", good, app);
    put_signed("signed-through-a-link", through, app);
    put_signed("signed-tmp", tmp, app);
}

int main(void)
{
    scoped(dp_tree_done) struct dp_tree old = dp_tree_new(dp_old, "/bin/app");
    scoped(dp_tree_done) struct dp_tree new = dp_tree_new(dp_new, "/bin/app");
    struct made made = dp_delta(&old, &new);

    add("", 1);
    add(made.p, made.n);
    put("good");
    add("", 1);
    add(made.p, made.n / 2);
    put("cut");
    made.p[20] ^= 1;
    add("", 1);
    add(made.p, made.n);
    put("another-base");
    made_done(&made);
    put_all_signed();
    return 0;
}
