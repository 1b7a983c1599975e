/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/bench/bench_spool: how long berth-link takes to come up over a spool that something has
 * filled with files, and to find its bundles in an uplink directory of as many.
 */
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "link/dircl.h"
#include "link/receiver.h"
#include "tests/bench/bench.h"

#define FILES 100000U

static int make_dir(int dirfd, const char *name)
{
    struct err err = { 0 };
    int fd = -1;

    must_rc(fs_open_dir(dirfd, name, 0700, &fd, &err), &err);
    return fd;
}

/* Files of a few bytes each. */
static void fill(int dirfd, const char *format_end)
{
    for (unsigned i = 0; i < FILES; i++) {
        char name[64];

        (void)snprintf(name, sizeof name, "%08x-%016x%s", 1U, i, format_end);
        int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

        must(fd >= 0 && write(fd, "x", 1) == 1, "write a file");
        (void)close(fd);
    }
}

static void report(FILE *out, const char *name, double seconds)
{
    (void)fprintf(out,
                  "{\"figure\":\"%s\",\"value\":%.3f,\"unit\":\"CPU s\",\"peer\":null,"
                  "\"peer_value\":null,\"ratio\":null,\"aim\":\"< 2\"}\n",
                  name, seconds);
    (void)printf("  %-46s %8.3f CPU s  (aim < 2)\n", name, seconds);
}

/* From nothing to a receiver that takes messages; every one of the files is looked at and goes. */
static void recover(FILE *out, int dirfd)
{
    const struct receiver_options options = { 0 };
    struct receiver *receiver = NULL;
    struct err err = { 0 };
    int partial = make_dir(dirfd, "partial");

    fill(partial, ".part");
    const double begin = bench_s(CLOCK_PROCESS_CPUTIME_ID);

    must_rc(receiver_open(dirfd, &options, 0, &receiver, &err), &err);
    report(out, "spool with 100000 stray files opened", bench_s(CLOCK_PROCESS_CPUTIME_ID) - begin);
    must(unlinkat(dirfd, "partial", AT_REMOVEDIR) == 0, "an empty directory is left");
    receiver_close(&receiver);
    (void)close(partial);
}

/* All names of a directory of bundles, and then all that a run of berth-link takes at once. */
static void scan(FILE *out, int dirfd)
{
    static struct dircl_scan found;
    struct err err = { 0 };
    int up = make_dir(dirfd, "up");
    double begin;

    fill(up, DIRCL_SUFFIX);
    begin = bench_s(CLOCK_PROCESS_CPUTIME_ID);
    for (unsigned seen = 0; seen < FILES;) {
        must_rc(dircl_scan(up, clock_unix_ms(), &found, &err), &err);
        must(found.n > 0, "bundles are found");
        seen += (unsigned)found.n;
        for (size_t i = 0; i < found.n; i++)
            must(dircl_remove(up, found.name[i]), "a bundle goes");
    }
    report(out, "uplink of 100000 bundle files found and removed",
           bench_s(CLOCK_PROCESS_CPUTIME_ID) - begin);
    (void)close(up);
}

int main(int argc, char **argv)
{
    /* In memory: what a disk takes to create and remove files is not the matter. */
    char path[] = "/dev/shm/berth-spool-XXXXXX";
    FILE *out = fopen(argc > 1 ? argv[1] : "/dev/null", "w");
    struct err err = { 0 };

    must(out != NULL && mkdtemp(path) != NULL, "a place for files");
    int dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    must(dirfd >= 0, path);
    recover(out, dirfd);
    scan(out, dirfd);
    (void)close(dirfd);
    must_rc(fs_remove_tree(AT_FDCWD, path, &err), &err);
    must(fclose(out) == 0, "figures are written");
    return 0;
}
