/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/bench/bench_update: from a package file to an installed slot, durable, beside `bsdtar -xf`
 * and `sync` of the same content on the same file system, in turns.  Ours does more: two signatures
 * and two digests are checked, and the archive is read by a confined process that believes nothing.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/update_signed.h"
#include "update/slots.h"

#define TREE_BYTES (50U * 1024U * 1024U)
#define FILES 600U
#define ROUNDS 7U
#define ENTRY "/bin/f000"

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    exit(1);
}

static void must_rc(enum rc rc, const struct err *err)
{
    char text[256];

    if (rc == RC_OK)
        return;
    (void)fprintf(stderr, "bench_update: %s\n", err_text(err, text, sizeof text));
    exit(1);
}

static double now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

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
    char content_path[128];
};

static double install(struct bench *b, size_t round)
{
    scoped(slots_done) struct slots slots = { -1, -1 };
    char name[32];
    scoped(payload_free) struct verified_payload *payload = NULL;
    struct stage stage = { .root = -1 };
    struct err err;

    (void)snprintf(name, sizeof name, "state%zu", round);

    scoped(close_fd) int state = make_dir(b->scratch.fd, name);

    must_rc(slots_open(state, &slots, &err), &err);
    sync();

    double start = now_ms();

    must_rc(payload_verify(b->trust, b->package, NOW_MS, &payload, &err), &err);
    must_rc(slot_stage(&slots, payload, &stage, &err), &err);
    must_rc(unpack_run(payload, b->program, stage.root, 600000, &err), &err);
    must_rc(slot_commit(&slots, &stage, &err), &err);

    return now_ms() - start;
}

static void run(char *const argv[])
{
    int status = 1;
    pid_t pid = fork();

    if (pid == 0) {
        (void)execvp(argv[0], argv);
        _exit(127);
    }
    must(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0, argv[0]);
}

static double peer(struct bench *b, size_t round)
{
    char path[128];
    char bsdtar[] = "bsdtar";
    char extract[] = "-xf";
    char into[] = "-C";
    char sync_name[] = "sync";
    char *const untar[] = { bsdtar, extract, b->content_path, into, path, NULL };
    char *const flush[] = { sync_name, NULL };

    (void)snprintf(path, sizeof path, "%s/peer%zu", b->scratch.path, round);
    must(mkdir(path, 0755) == 0, path);
    sync();

    double start = now_ms();

    run(untar);
    run(flush);

    return now_ms() - start;
}

static int by_value(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;

    return (*x > *y) - (*x < *y);
}

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, by_value);
    return values[n / 2];
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
    (void)snprintf(b->content_path, sizeof b->content_path, "%s/content.tar.zst", s->path);
    b->trust = signed_trust();
    b->program = open_program("berth-unpack");
    must(b->program >= 0, "berth-unpack");
    (void)printf("  %u files, %llu bytes, %llu packed\n", packed.files,
                 (unsigned long long)packed.unpacked_bytes,
                 (unsigned long long)packed.content_bytes);
}

static void report(FILE *out, double ours, double theirs)
{
    double ratio = ours / theirs;

    (void)fprintf(out,
                  "{\"figure\":\"verify, unpack and install 50 MiB, durable\",\"value\":%.1f,"
                  "\"unit\":\"ms\",\"peer\":\"bsdtar -xf; sync\",\"peer_value\":%.1f,"
                  "\"ratio\":%.3f,\"aim\":\"ratio <= 1.3\"}\n",
                  ours, theirs, ratio);
    (void)printf("  %-42s %10.1f ms     bsdtar -xf; sync: %.1f, ratio %.2f  (aim ratio <= 1.3)\n",
                 "verify, unpack and install 50 MiB, durable", ours, theirs, ratio);
}

static void measure(struct bench *b, const char *path)
{
    double ours[ROUNDS];
    double theirs[ROUNDS];

    for (size_t i = 0; i < ROUNDS; i++) {
        /* in turns, each going first as often as the other, each starting with nothing to flush */
        for (size_t turn = 0; turn < 2; turn++) {
            if ((i + turn) % 2 == 0)
                ours[i] = install(b, i);
            else
                theirs[i] = peer(b, i);
        }
    }

    FILE *out = fopen(path, "w");

    must(out != NULL, path);
    report(out, median(ours, ROUNDS), median(theirs, ROUNDS));
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
