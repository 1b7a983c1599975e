/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/bench/bench_renew: what berth-unpack takes to make a version from a delta and the version
 * before, beside what it takes to unpack the full package: bytes, time, memory.  Run by
 * tools/bench-delta with two versions of a Debian package, or by hand:
 *
 *     bench_renew OLD NEW ENTRY
 *
 * One line on standard output: bytes of the full package, bytes of the delta; for each of the two
 * seconds, peak resident KiB and, of these, the most that was the process's own (not pages of the
 * old files, which the kernel may take back at any time).
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "delta/apply.h"
#include "deltamake/make.h"
#include "tests/bench/bench.h"
#include "tests/unit/update_signed.h"
#include "update/delta_plan.h"

#define LEVEL 19U

/* A version: its files where the Debian package was unpacked, and as a slot has them. */
struct side {
    int from;
    struct scratch slot;
    int root;
    int index;
    int content;
    struct packed packed;
    uint8_t *index_bytes;
    size_t index_n;
    struct manifest manifest;
};

/* What one run of berth-unpack took. */
struct cost {
    double s;
    long peak_kib;
    long own_kib;
};

/* What /proc/PID/status says, once the child has become berth-unpack: before that its memory is
 * ours. */
static void look(pid_t pid, struct cost *most)
{
    char path[64], line[256];
    bool is_child = false;

    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);

    FILE *in = fopen(path, "re");

    while (in && fgets(line, sizeof line, in)) {
        long peak = strncmp(line, "VmHWM:", 6) == 0 ? strtol(line + 6, NULL, 10) : 0;
        long own = strncmp(line, "RssAnon:", 8) == 0 ? strtol(line + 8, NULL, 10) : 0;

        is_child |= strcmp(line, "Name:\tberth-unpack\n") == 0;
        if (is_child && peak > most->peak_kib)
            most->peak_kib = peak;
        if (is_child && own > most->own_kib)
            most->own_kib = own;
    }
    if (in)
        (void)fclose(in);
}

/* Look every millisecond until it ends: what a process had at most is not told of one that is gone.
 */
static void watch(struct unpack_job *job, double start, struct cost *ret)
{
    struct pollfd ended = { .fd = job->pidfd, .events = POLLIN };
    struct err err;

    *ret = (struct cost){ 0 };
    while (poll(&ended, 1, 1) == 0)
        look(job->pid, ret);
    must_rc(unpack_result(job, &err), &err);
    ret->s = bench_s(CLOCK_MONOTONIC) - start;
}

/* Pack a tree and unpack it into a slot, in this process. */
static void side_open(struct side *s, const char *path)
{
    s->manifest = doc_manifest();
    memset(s->manifest.args, 0, sizeof s->manifest.args);
    s->manifest.n_args = 1;
    s->from = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(s->from >= 0, path);
    s->slot = scratch_new();
    s->root = make_dir(s->slot.fd, "root");
    s->index = openat(s->slot.fd, "index", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    s->content = memfd_create("content", MFD_CLOEXEC);
    must(s->index >= 0 && s->content >= 0, "index");
}

static void side_fill(struct side *s, const char *entry)
{
    struct err err;

    must_rc(pack_tree(s->from, entry, LEVEL, s->content, &s->packed, &err), &err);
    pack_fill(&s->packed, &s->manifest);
    (void)snprintf(s->manifest.arch, sizeof s->manifest.arch, "any");
    (void)snprintf(s->manifest.args[0], sizeof s->manifest.args[0], "%s", entry);

    struct unpack_spec spec = { .content_bytes = s->packed.content_bytes,
                                .unpacked_bytes = s->packed.unpacked_bytes,
                                .files = s->packed.files,
                                .content = s->packed.content,
                                .index = s->packed.index };

    (void)snprintf(spec.entry, sizeof spec.entry, "%s", entry);
    must_rc(unpack_content(s->content, &spec, s->root, s->index, &err), &err);
    must_rc(fs_read_alloc(s->slot.fd, "index", INDEX_MAX, &s->index_bytes, &s->index_n, &err),
            &err);
}

static void side_done(struct side *s)
{
    close_fd(&s->from);
    close_fd(&s->root);
    close_fd(&s->index);
    close_fd(&s->content);
    free(s->index_bytes);
    scratch_done(&s->slot);
}

/* ---- the delta --------------------------------------------------------------------------------
 */

struct source {
    const struct side *side;
    const struct delta_side *plan;
};

static enum rc open_file(void *arg, uint32_t i, int *ret_fd, struct err *err)
{
    const struct source *s = arg;
    char path[PACKAGE_PATH_MAX + 1];

    if (i == 0)
        return fs_sealed("index", s->plan->index, ret_fd, err);
    must(bytes_to_text(s->plan->tree.files[s->plan->file[i]].path, path, sizeof path), "path");
    return fs_open(s->side->root, path, O_RDONLY, 0, ret_fd, err);
}

static int make_package(struct side *old, struct side *new, size_t *ret_n)
{
    scoped(delta_plan_done) struct delta_plan plan = { .home = NULL };
    struct source from = { .side = old, .plan = &plan.old };
    struct source to = { .side = new, .plan = &plan.new };
    struct made made = { .p = NULL };
    struct err err;

    must_rc(delta_plan_old(&plan, (struct bytes){ old->index_bytes, old->index_n }, &err), &err);
    must_rc(delta_plan_new(&plan, (struct bytes){ new->index_bytes, new->index_n }, &err), &err);

    struct make_spec spec = {
        .old = { .arg = &from, .n = plan.old.n, .sizes = plan.old.sizes, .open = open_file },
        .new = { .arg = &to, .n = plan.new.n, .sizes = plan.new.sizes, .open = open_file },
        .home = plan.home,
        .memory_max = APPLY_MEMORY_MAX,
    };

    memcpy(spec.base, old->packed.index.b, DIGEST_SIZE);
    memcpy(spec.result, new->packed.index.b, DIGEST_SIZE);
    must_rc(make_delta(&spec, &made, &err), &err);

    scoped(close_fd) int delta = memfd_of((struct bytes){ made.p, made.n });
    int out = memfd_create("package", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    doc_signed(&signed_doc_, DOC_MANIFEST, manifest_encode, &new->manifest, K_ACME);
    must_rc(pack_assemble_delta(signed_doc_.bytes, delta, made.n, out, &err), &err);
    must(fcntl(out, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK) == 0, "seal");
    *ret_n = made.n;
    made_done(&made);
    return out;
}

/* ---- what is measured -------------------------------------------------------------------------
 */

static void run_full(const struct trust *trust, int program, struct side *new, struct cost *ret)
{
    scoped(scratch_done) struct scratch s = scratch_new();
    scoped(close_fd) int root = make_dir(s.fd, "root");
    scoped(payload_free) struct verified_payload *payload = NULL;
    uint8_t *bytes = malloc(new->packed.content_bytes);
    struct unpack_job job;
    struct err err;

    must(bytes, "package");
    must_rc(fs_pread_exact(new->content, bytes, new->packed.content_bytes, 0, &err), &err);

    scoped(close_fd) int fd =
        signed_package(&new->manifest, (struct bytes){ bytes, new->packed.content_bytes }, K_ACME);

    free(bytes);
    must_rc(payload_verify(trust, fd, NOW_MS, &payload, &err), &err);

    double start = bench_s(CLOCK_MONOTONIC);

    must_rc(unpack_start(payload, program, root, -1, &job, &err), &err);
    watch(&job, start, ret);
}

static void run_delta(const struct trust *trust, int program, struct side *sides, int package,
                      struct cost *ret)
{
    scoped(scratch_done) struct scratch s = scratch_new();
    scoped(close_fd) int root = make_dir(s.fd, "root");
    scoped(delta_free) struct verified_delta *delta = NULL;
    const struct unpack_from from = { .root = sides[0].root,
                                      .index = sides[0].index,
                                      .manifest = &sides[0].manifest };
    const struct unpack_to to = { .program = program, .staging = root, .index = -1 };
    struct unpack_job job;
    struct err err;

    must_rc(delta_verify(trust, package, NOW_MS, &delta, &err), &err);

    double start = bench_s(CLOCK_MONOTONIC);

    must_rc(unpack_start_delta(delta, &from, &to, &job, &err), &err);
    watch(&job, start, ret);
}

int main(int argc, char **argv)
{
    static struct side sides[2];
    struct cost full, delta;
    size_t delta_bytes = 0;

    if (argc != 4) {
        (void)fputs("usage: bench_renew OLD NEW ENTRY\n", stderr);
        return 2;
    }

    scoped(trust_free) struct trust *trust = signed_trust();
    scoped(close_fd) int program = open_program("berth-unpack");

    must(program >= 0, "berth-unpack");
    for (size_t i = 0; i < 2; i++) {
        side_open(&sides[i], argv[i + 1]);
        side_fill(&sides[i], argv[3]);
    }

    scoped(close_fd) int package = make_package(&sides[0], &sides[1], &delta_bytes);

    run_full(trust, program, &sides[1], &full);
    run_delta(trust, program, sides, package, &delta);
    (void)printf("%llu %zu %.3f %ld %ld %.3f %ld %ld\n",
                 (unsigned long long)sides[1].packed.content_bytes, delta_bytes, full.s,
                 full.peak_kib, full.own_kib, delta.s, delta.peak_kib, delta.own_kib);
    side_done(&sides[0]);
    side_done(&sides[1]);
    return 0;
}
