/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/bench/bench_delta: make a delta between two directories, or apply one, and say what it
 * took. tools/bench-delta puts the figures beside those of peers.
 *
 *     bench_delta make OLD NEW DELTA     prints: bytes, seconds
 *     bench_delta apply OLD NEW DELTA    prints: seconds of the processor, output bytes,
 *                                           peak KiB, declared KiB
 *
 * A listing of each tree (paths, modes, link targets, sizes) is one more file of it: this is what a
 * package's index costs.  Apply is to run in a process of its own; the peak is its anonymous memory
 * (resident less what is mapped from files), looked at every 64 KiB of output, less what it had
 * before.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "delta/apply.h"
#include "delta/tree.h"
#include "deltamake/make.h"
#include "tests/bench/bench.h"

#define FILES_MAX PACKAGE_FILES_MAX
#define LISTING_MAX (8U * 1024U * 1024U)
#define LISTING ".index"

struct side {
    const char *root;
    struct tree_file files[FILES_MAX];
    struct tree tree;
    char *listing;
    size_t listing_n;
    int listing_fd;
    uint32_t *chosen; /* of the plan */
    uint64_t *sizes;
};

static struct side sides[2];
static struct side *walked; /* by nftw */

/* ---- trees ------------------------------------------------------------------------------------
 */

static void digest_file(const char *path, struct tree_file *file)
{
    struct err err;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *p = NULL;

    must(fd >= 0, path);
    if (file->size > 0)
        p = mmap(NULL, file->size, PROT_READ, MAP_PRIVATE, fd, 0);
    must(p != MAP_FAILED, path);
    must_rc(sha256_of((struct bytes){ p, file->size }, file->sha256, &err), &err);
    if (p)
        (void)munmap(p, file->size);
    (void)close(fd);
}

/* Paths of this program end in a NUL. */
static const char *path_of(const struct tree_file *f)
{
    return (const char *)f->path.p;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(path_of(a), path_of(b));
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    struct side *s = walked;
    char target[4096] = "";
    const char *below = path + strlen(s->root);

    (void)ftw;
    if (type == FTW_SL)
        must(readlink(path, target, sizeof target - 1) >= 0, path);
    s->listing_n += (size_t)snprintf(s->listing + s->listing_n, LISTING_MAX - s->listing_n,
                                     "%o %s %s\n", (unsigned)st->st_mode, below, target);
    must(s->listing_n + 8192 < LISTING_MAX, "listing is too long");
    if (S_ISREG(st->st_mode)) {
        must(s->tree.n + 1 < FILES_MAX, "too many files");

        struct tree_file *f = &s->files[s->tree.n++];

        *f = (struct tree_file){ .path = bytes_of(strdup(below)), .size = (uint64_t)st->st_size };
        digest_file(path, f);
    }
    return 0;
}

/* nftw's order is the directory's: sort the listing's lines, too. */
static int by_line(const void *a, const void *b)
{
    return strcmp(strchr(*(char *const *)a, ' '), strchr(*(char *const *)b, ' '));
}

static void sort_listing(struct side *s)
{
    static char *lines[FILES_MAX * 4];
    char *out = malloc(LISTING_MAX);
    size_t n = 0;
    size_t at = 0;
    char *rest = NULL;

    must(out, "listing");
    for (char *l = strtok_r(s->listing, "\n", &rest); l; l = strtok_r(NULL, "\n", &rest))
        lines[n++] = l;
    qsort(lines, n, sizeof *lines, by_line);
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(out + at, LISTING_MAX - at, "%s\n", lines[i]);
    free(s->listing);
    s->listing = out;
}

static void read_side(struct side *s, const char *root)
{
    struct err err;

    s->root = root;
    s->listing = malloc(LISTING_MAX);
    must(s->listing, "listing");
    walked = s;
    must(nftw(root, visit, 64, FTW_PHYS) == 0, root);
    sort_listing(s);
    s->listing_fd = memfd_create("listing", MFD_CLOEXEC);
    must(s->listing_fd >= 0, "memfd_create");
    must_rc(
        fs_write_all(s->listing_fd, (struct bytes){ (uint8_t *)s->listing, s->listing_n }, &err),
        &err);

    struct tree_file *f = &s->files[s->tree.n++];

    *f = (struct tree_file){ .path = bytes_of(LISTING), .size = s->listing_n };
    must_rc(sha256_of((struct bytes){ (uint8_t *)s->listing, s->listing_n }, f->sha256, &err),
            &err);
    s->tree.files = s->files;
    qsort(s->files, s->tree.n, sizeof *s->files, by_path);
}

static enum rc open_file(void *arg, uint32_t i, int *ret_fd, struct err *err)
{
    const struct side *s = arg;
    const char *path = path_of(&s->files[s->chosen[i]]);
    char full[4096];

    (void)snprintf(full, sizeof full, "%s%s", s->root, path);
    *ret_fd = strcmp(path, LISTING) == 0 ? fcntl(s->listing_fd, F_DUPFD_CLOEXEC, 3)
                                         : open(full, O_RDONLY | O_CLOEXEC);
    return *ret_fd >= 0 ? RC_OK : err_sys(err, RC_IO, "%s", path);
}

static struct image_source source_of(struct side *s, uint32_t *chosen, uint32_t n)
{
    s->chosen = chosen;
    s->sizes = malloc(((size_t)n + 1) * sizeof *s->sizes);
    must(s->sizes, "sizes");
    for (uint32_t i = 0; i < n; i++)
        s->sizes[i] = s->files[chosen[i]].size;
    return (struct image_source){ .arg = s, .n = n, .sizes = s->sizes, .open = open_file };
}

/* ---- make -------------------------------------------------------------------------------------
 */

/* 16 MiB, and 1 % of the largest new file. */
static uint64_t memory_max(const struct image_source *new)
{
    uint64_t largest = 0;

    for (uint32_t i = 0; i < new->n; i++)
        if (new->sizes[i] > largest)
            largest = new->sizes[i];
    return APPLY_MEMORY_MAX + largest / 100;
}

static void make(const struct make_spec *spec, const char *path)
{
    struct made made = { .p = NULL };
    struct err err;
    double begin = bench_s(CLOCK_MONOTONIC);

    must_rc(make_delta(spec, &made, &err), &err);
    (void)printf("%zu %.2f\n", made.n, bench_s(CLOCK_MONOTONIC) - begin);
    must_rc(fs_write_file(AT_FDCWD, path, (struct bytes){ made.p, made.n }, 0644, &err), &err);
    made_done(&made);
}

/* ---- apply ------------------------------------------------------------------------------------
 */

struct meter {
    uint64_t out;
    uint64_t next;
    long before;
    long peak;
};

/* Anonymous resident pages. */
static long anonymous(void)
{
    char text[128] = "";
    long resident = 0;
    long shared = 0;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

    must(fd >= 0 && read(fd, text, sizeof text - 1) > 0, "statm");
    (void)close(fd);

    char *at = strchr(text, ' ');

    must(at, "statm");
    resident = strtol(at, &at, 10);
    shared = strtol(at, NULL, 10);
    return resident - shared;
}

static void look(struct meter *m)
{
    long now = anonymous();

    if (now > m->peak)
        m->peak = now;
    m->next = m->out + 64U * 1024U;
}

static enum rc sink_begin(void *arg, uint32_t number, uint64_t size, struct err *err)
{
    (void)number;
    (void)size;
    (void)err;
    if (((struct meter *)arg)->out >= ((struct meter *)arg)->next)
        look(arg);
    return RC_OK;
}

static enum rc sink_data(void *arg, struct bytes piece, struct err *err)
{
    struct meter *m = arg;

    (void)err;
    m->out += piece.n;
    if (m->out >= m->next)
        look(m);
    return RC_OK;
}

static enum rc sink_end(void *arg, const uint8_t sha256[32], struct err *err)
{
    (void)arg;
    (void)sha256;
    (void)err;
    return RC_OK;
}

static void apply(const struct make_spec *spec, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    struct meter m = { .before = anonymous() };
    struct apply_sink sink = { .arg = &m, .begin = sink_begin, .data = sink_data, .end = sink_end };
    struct format_head head;
    struct err err;

    must(fd >= 0 && fstat(fd, &st) == 0, path);

    struct apply_spec how = { .size = (uint64_t)st.st_size,
                              .old = spec->old,
                              .memory_max = spec->memory_max,
                              .output_max = UNPACKED_MAX };

    must_rc(apply_head(fd, &how, &head, &err), &err);

    double begin = bench_s(CLOCK_PROCESS_CPUTIME_ID);

    must_rc(apply_delta(fd, &how, &sink, &err), &err);
    (void)printf("%.3f %llu %ld %llu\n", bench_s(CLOCK_PROCESS_CPUTIME_ID) - begin,
                 (unsigned long long)m.out, (m.peak - m.before) * (sysconf(_SC_PAGESIZE) / 1024),
                 (unsigned long long)(head.memory / 1024));
    (void)close(fd);
}

int main(int argc, char **argv)
{
    struct tree_plan plan = { .n_old = 0 };
    struct err err;

    if (argc != 5) {
        (void)fputs("usage: bench_delta make|apply OLD NEW DELTA\n", stderr);
        return 2;
    }
    read_side(&sides[0], argv[2]);
    read_side(&sides[1], argv[3]);
    must_rc(tree_plan(&sides[0].tree, &sides[1].tree, &plan, &err), &err);

    struct make_spec spec = { .old = source_of(&sides[0], plan.old, plan.n_old),
                              .new = source_of(&sides[1], plan.new, plan.n_new),
                              .home = plan.home };

    spec.memory_max = memory_max(&spec.new);
    if (strcmp(argv[1], "make") == 0)
        make(&spec, argv[4]);
    else
        apply(&spec, argv[4]);
    tree_plan_done(&plan);
    return 0;
}
