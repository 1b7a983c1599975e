/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/bench/bench_update: from a package file to an installed slot, durable, beside `bsdtar -xf`
 * and other update tools with the same content on the same file system, in turns: time and peak
 * memory.  Ours does more than unpacking: two signatures and two digests are checked, and the
 * archive is read by a confined process that believes nothing.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/unit/update_signed.h"
#include "update/slots.h"

#define TREE_BYTES (50U * 1024U * 1024U)
#define FILES 600U
#define ROUNDS 7U
#define ENTRY "/bin/f000"

/* ---- the tree ---------------------------------------------------------------------------------
 */

/* Bytes that compress about as well as programs do: runs of words among noise. */
static void fill(uint8_t *out, size_t n, uint64_t *seed)
{
    static const char words[] = "lea rax rdi mov call ret push pop jmp cmp test add sub xor ";
    size_t at = 0;

    while (at < n) {
        *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;

        uint64_t r = *seed >> 33;
        size_t take = 4 + r % 12;

        for (size_t i = 0; i < take && at < n; i++, at++)
            out[at] =
                r & 1 ? (uint8_t)(r >> (i % 24)) : (uint8_t)words[(r + i) % (sizeof words - 1)];
    }
}

/* The same tree every time: sizes from a few hundred bytes to megabytes, TREE_BYTES in all. */
static void make_tree(int dirfd)
{
    static uint8_t buf[4U * 1024U * 1024U];
    uint64_t seed = 1;
    size_t left = TREE_BYTES;
    static const char *const dirs[] = { "bin", "lib", "share" };

    for (size_t i = 0; i < 3; i++)
        (void)close(make_dir(dirfd, dirs[i]));
    for (unsigned i = 0; i < FILES; i++) {
        char name[32];
        size_t n = i % 60 == 0 ? sizeof buf : 300 + (i * 7919U) % 30000;
        struct err err;

        if (n > left || i == FILES - 1)
            n = left < sizeof buf ? left : sizeof buf;
        left -= n;
        fill(buf, n, &seed);
        (void)snprintf(name, sizeof name, "%s/f%03u", dirs[i % 3], i);

        scoped(close_fd) int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);

        must_rc(fs_write_all(fd, (struct bytes){ .p = buf, .n = n }, &err), &err);
    }
}

/* ---- what is timed ----------------------------------------------------------------------------
 */

/* Each round has directories of its own and nothing is removed before the end: ext4 does not use an
 * inode again within seconds of its removal, and looking past those would be what is measured. */
struct bench {
    struct scratch scratch;
    struct trust *trust;
    int program;
    int package; /* the file that would have come by link */
    const char *peer;
};

static double install(struct bench *b, size_t round)
{
    scoped(slots_done) struct slots slots = { -1, -1 };
    char name[32];
    scoped(payload_free) struct verified_payload *payload = NULL;
    struct stage stage = { .root = -1, .index = -1 };
    struct err err;

    (void)snprintf(name, sizeof name, "state%zu", round);

    scoped(close_fd) int state = make_dir(b->scratch.fd, name);

    must_rc(slots_open(state, &slots, &err), &err);
    sync();

    double start = bench_s(CLOCK_MONOTONIC);

    must_rc(payload_verify(b->trust, b->package, NOW_MS, &payload, &err), &err);
    must_rc(slot_stage(&slots, payload, &stage, &err), &err);
    must_rc(unpack_run(payload, b->program, stage.root, 600000, &err), &err);
    must_rc(slot_commit(&slots, &stage, &err), &err);

    return (bench_s(CLOCK_MONOTONIC) - start) * 1e3;
}

/* What was installed, and what it took. */
struct cost {
    double ms;
    long peak_kib; /* the largest process */
};

/* In a child of its own, so that the peak memory of what it starts is told apart.  What this
 * program itself holds when it forks counts, too: the figure is an upper bound. */
static struct cost in_child(struct bench *b, size_t round, double (*work)(struct bench *, size_t))
{
    struct cost ret = { 0 };
    struct rusage used;
    int ends[2];
    int status = 1;

    must(pipe2(ends, O_CLOEXEC) == 0, "pipe");

    pid_t pid = fork();

    if (pid == 0) {
        double ms = work(b, round);

        must(getrusage(RUSAGE_CHILDREN, &used) == 0, "getrusage");
        ret = (struct cost){ .ms = ms, .peak_kib = used.ru_maxrss };
        must(write(ends[1], &ret, sizeof ret) == (ssize_t)sizeof ret, "write");
        _exit(0);
    }
    (void)close(ends[1]);
    must(pid > 0 && read(ends[0], &ret, sizeof ret) == (ssize_t)sizeof ret, "child");
    must(waitpid(pid, &status, 0) == pid && status == 0, "child");
    (void)close(ends[0]);
    return ret;
}

/* ---- peers: tests/bench/install-peer -----------------------------------------------------------
 */

#define NOT_INSTALLED 77

static const char *const peers[] = { "bsdtar", "rauc", "swupdate", "ostree" };
#define PEERS (sizeof peers / sizeof peers[0])

static int run_peer(const char *name, const char *verb, const char *one, const char *two)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        (void)execl("tests/bench/install-peer", "install-peer", name, verb, one, two, (char *)NULL);
        _exit(127);
    }
    must(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status), name);
    return WEXITSTATUS(status);
}

static double peer_install(struct bench *b, size_t round)
{
    char work[160];
    char turn[24];

    (void)snprintf(work, sizeof work, "%s/%s", b->scratch.path, b->peer);
    (void)snprintf(turn, sizeof turn, "%zu", round);
    sync();

    double start = bench_s(CLOCK_MONOTONIC);

    must(run_peer(b->peer, "install", work, turn) == 0, b->peer);
    return (bench_s(CLOCK_MONOTONIC) - start) * 1e3;
}

/* Whether it is installed; then what it will install is there. */
static bool peer_setup(struct bench *b, const char *name)
{
    char tree[160];
    char work[160];

    (void)snprintf(tree, sizeof tree, "%s/tree", b->scratch.path);
    (void)snprintf(work, sizeof work, "%s/%s", b->scratch.path, name);

    int code = run_peer(name, "setup", tree, work);

    if (code == NOT_INSTALLED) {
        (void)printf("  %s is not installed: no figure beside it\n", name);
        return false;
    }
    must(code == 0, name);
    return true;
}

static int by_value(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;

    return (*x > *y) - (*x < *y);
}

static double median(const double *values, size_t n)
{
    double sorted[ROUNDS];

    memcpy(sorted, values, n * sizeof *values);
    qsort(sorted, n, sizeof *sorted, by_value);
    return sorted[n / 2];
}

/* ---- set-up -----------------------------------------------------------------------------------
 */

/* Pack the tree, sign it, and leave content and package as files in the scratch directory. */
static void prepare(struct bench *b)
{
    const struct scratch *s = &b->scratch;
    scoped(close_fd) int tree = make_dir(s->fd, "tree");
    scoped(close_fd) int content =
        openat(s->fd, "content.tar.zst", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    struct packed packed;
    struct manifest m = doc_manifest();
    struct err err;

    make_tree(tree);
    must_rc(pack_tree(tree, ENTRY, 3, content, &packed, &err), &err);
    pack_fill(&packed, &m);
    (void)snprintf(m.arch, sizeof m.arch, "any");
    (void)snprintf(m.args[0], sizeof m.args[0], ENTRY);
    doc_signed(&signed_doc_, DOC_MANIFEST, manifest_encode, &m, K_ACME);
    b->package = openat(s->fd, "package", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    must_rc(pack_assemble(signed_doc_.bytes, content, 0, packed.content_bytes, b->package, &err),
            &err);
    b->trust = signed_trust();
    b->program = open_program("berth-unpack");
    must(b->program >= 0, "berth-unpack");
    (void)printf("  %u files, %llu bytes, %llu packed\n", packed.files,
                 (unsigned long long)packed.unpacked_bytes,
                 (unsigned long long)packed.content_bytes);
}

/* aim is a text for people, or "" */
static void report(FILE *out, const char *figure, const char *unit, const char *peer,
                   const double values[2], const char *aim)
{
    double ratio = values[0] / values[1];

    (void)fprintf(out,
                  "{\"figure\":\"%s\",\"value\":%.1f,\"unit\":\"%s\",\"peer\":\"%s\","
                  "\"peer_value\":%.1f,\"ratio\":%.3f,\"aim\":\"%s\"}\n",
                  figure, values[0], unit, peer, values[1], ratio, aim);
    (void)printf("  %-42s %10.1f %-4s  %s: %.1f, ratio %.2f%s%s\n", figure, values[0], unit, peer,
                 values[1], ratio, aim[0] ? "  aim " : "", aim);
}

/* Ours and one peer in turns, each going first as often as the other, each starting with nothing to
 * flush. */
static void beside(struct bench *b, size_t which, FILE *out)
{
    double ms[2][ROUNDS], peak[2] = { 0, 0 };

    b->peer = peers[which];
    if (!peer_setup(b, b->peer))
        return;
    for (size_t i = 0; i < ROUNDS; i++) {
        for (size_t turn = 0; turn < 2; turn++) {
            bool theirs = (i + turn) % 2 == 1;
            struct cost c =
                theirs ? in_child(b, i, peer_install) : in_child(b, which * ROUNDS + i, install);

            ms[theirs][i] = c.ms;
            peak[theirs] = (double)c.peak_kib > peak[theirs] ? (double)c.peak_kib : peak[theirs];
        }
    }
    report(out, "verify, unpack and install 50 MiB, durable", "ms", b->peer,
           (double[]){ median(ms[0], ROUNDS), median(ms[1], ROUNDS) },
           which == 0 ? "ratio <= 1.3" : "");
    report(out, "peak memory of the largest process in it", "KiB", b->peer, peak,
           which == 0 ? "<= 24576 KiB" : "");
}

static void measure(struct bench *b, const char *path)
{
    FILE *out = fopen(path, "w");

    must(out != NULL, path);
    for (size_t i = 0; i < PEERS; i++)
        beside(b, i, out);
    must(fclose(out) == 0, path);
}

int main(int argc, char **argv)
{
    struct bench b = { .scratch = { .path = "/var/tmp/berth-bench-XXXXXX", .fd = -1 } };

    if (argc != 2) {
        (void)fprintf(stderr, "usage: bench_update FILE.jsonl\n");
        return 2;
    }
    must(mkdtemp(b.scratch.path) != NULL, b.scratch.path);
    b.scratch.fd = open(b.scratch.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    prepare(&b);
    measure(&b, argv[1]);
    close_fd(&b.program);
    close_fd(&b.package);
    trust_free(&b.trust);
    doc_keys_free();
    scratch_done(&b.scratch);
    return 0;
}
