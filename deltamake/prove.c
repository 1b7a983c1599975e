/* SPDX-License-Identifier: Apache-2.0 */
#include "deltamake/prove.h"

#include <sys/mman.h>

#include "base/fs.h"
#include "delta/apply.h"

/* A sink that compares. */
struct proof {
    const struct files *new;
    uint32_t seen;   /* files that were whole */
    uint32_t number; /* the file that comes now, */
    uint64_t at;     /* up to here */
};

static enum rc proof_begin(void *arg, uint32_t number, uint64_t size, struct err *err)
{
    struct proof *p = arg;

    if (number >= p->new->n || size != p->new->f[number].n)
        return err_set(err, RC_INTERNAL, "delta gives a wrong file %u", number);
    p->number = number;
    p->at = 0;
    return RC_OK;
}

static enum rc proof_data(void *arg, struct bytes piece, struct err *err)
{
    struct proof *p = arg;
    struct bytes want = p->new->f[p->number];

    if (piece.n > want.n - p->at || memcmp(want.p + p->at, piece.p, piece.n) != 0)
        return err_at(err, RC_INTERNAL, p->at, "delta makes file %u wrong", p->number);
    p->at += piece.n;
    return RC_OK;
}

static enum rc proof_end(void *arg, const uint8_t sha256[32], struct err *err)
{
    struct proof *p = arg;

    (void)sha256;
    if (p->at != p->new->f[p->number].n)
        return err_set(err, RC_INTERNAL, "delta makes file %u too short", p->number);
    p->seen++;
    return RC_OK;
}

enum rc prove_delta(const struct make_spec *spec, const struct files *new, struct bytes delta,
                    struct err *err)
{
    scoped(close_fd) int fd = memfd_create("delta", MFD_CLOEXEC);
    struct proof proof = { .new = new };
    struct apply_sink sink = {
        .arg = &proof, .begin = proof_begin, .data = proof_data, .end = proof_end
    };
    struct apply_spec apply = {
        .size = delta.n, .old = spec->old, .memory_max = spec->memory_max, .output_max = new->bytes
    };

    memcpy(apply.base, spec->base, DIGEST_SIZE);
    if (fd < 0)
        return err_sys(err, RC_IO, "delta to try");

    enum rc rc = fs_write_all(fd, delta, err);

    if (rc == RC_OK)
        rc = apply_delta(fd, &apply, &sink, err);
    if (rc == RC_OK && proof.seen != new->n)
        rc = err_set(err, RC_INTERNAL, "delta gives %u files of %u", proof.seen, new->n);
    return rc;
}
