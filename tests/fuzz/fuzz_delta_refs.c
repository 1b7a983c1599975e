/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/refs.h"
#include "tests/unit/delta_rig.h"

#define SIZE_MAX_HERE 65536U
#define INSERTED 12U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* Walks are in order, within the file, and the same wherever they begin. */
static void walk(struct bytes file)
{
    scoped(refs_free) struct refs *refs = NULL;
    struct refs_walk all;
    struct refs_walk from;
    struct view view;
    struct ref a;
    struct ref b;
    struct err err;
    uint64_t end = 0;

    view_of(file, &view);
    must(refs_new(file, &view, &refs, &err) == RC_OK);
    refs_seek(&all, refs, 0);
    for (unsigned n = 0; refs_next(&all, file.n, &a); n++) {
        must(a.pos >= end && a.pos < file.n && a.width <= file.n - a.pos);
        end = a.pos + a.width;
        if (n % 16 != 0)
            continue;
        refs_seek(&from, refs, a.pos);
        must(refs_next(&from, end, &b) && b.pos == a.pos && b.kind == a.kind &&
             b.target == a.target && b.base == a.base);
    }
}

/* The input is an old file of any kind; the new one has some bytes more in the middle. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t new[SIZE_MAX_HERE + INSERTED];
    struct rig rig = { .n_old = 0 };
    struct err err;
    uint64_t delta_size = 0;

    if (size < 2 || size > SIZE_MAX_HERE)
        return 0;
    walk((struct bytes){ .p = data, .n = size });

    size_t half = size / 2;
    struct predict_match m[] = {
        { .at = 0, .size = (uint32_t)half & PREDICT_SIZE_MAX },
        { .from = half,
          .at = (uint32_t)(half + INSERTED),
          .size = (uint32_t)(size - half) & PREDICT_SIZE_MAX },
    };
    struct control_file file = {
        .plan = { .size = (uint32_t)(size + INSERTED), .n_matches = 2, .matches = m, .n_guides = 1 }
    };

    memcpy(new, data, half);
    memset(new + half, 0x90, INSERTED);
    memcpy(new + half + INSERTED, data + half, size - half);
    rig_old(&rig, data, size);
    rig_new(&rig, (struct bytes){ .p = new, .n = size + INSERTED }, &file);
    rig_head(&rig);

    scoped(close_fd) int fd = rig_delta(&rig, &delta_size);
    struct apply_spec spec = rig_spec(&rig, delta_size);

    must(rig_apply(&rig, fd, &spec, &err) == RC_OK);
    must(rig.out[0].n == size + INSERTED && memcmp(rig.out[0].p, new, rig.out[0].n) == 0);
    rig_done(&rig);
    return 0;
}
