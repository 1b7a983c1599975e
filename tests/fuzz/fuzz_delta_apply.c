/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/delta_rig.h"

#define OUTPUT_MAX (1U << 20)

/* An old file that can be opened: what gzip makes of "hello hello hello". */
static const uint8_t gzip[] = { 0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03,
                                0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x57, 0xc8, 0x40, 0x90, 0x00,
                                0x80, 0x88, 0xf9, 0xe5, 0x11, 0x00, 0x00, 0x00 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum rc count(void *arg, struct bytes piece, struct err *err)
{
    uint64_t *given = arg;

    (void)err;
    *given += piece.n;
    if (*given > OUTPUT_MAX)
        abort();
    return RC_OK;
}

static enum rc begin(void *arg, uint32_t number, uint64_t size, struct err *err)
{
    (void)arg;
    (void)number;
    (void)size;
    (void)err;
    return RC_OK;
}

static enum rc end(void *arg, const uint8_t sha256[32], struct err *err)
{
    (void)arg;
    (void)sha256;
    (void)err;
    return RC_OK;
}

/* The input is a delta against two old files of 5,000 bytes, as those of test_delta_hostile, and
 * one that can be opened. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t old[2][5000];
    struct rig rig = { .n_old = 0 };
    uint64_t given = 0;
    struct apply_sink sink = { .arg = &given, .begin = begin, .data = count, .end = end };
    struct err err;
    scoped(close_fd) int fd = -1;

    for (size_t i = 0; i < sizeof old[0]; i++) {
        old[0][i] = (uint8_t)(i * 7);
        old[1][i] = (uint8_t)(i * 13);
    }
    rig_old(&rig, old[0], sizeof old[0]);
    rig_old(&rig, old[1], sizeof old[1]);
    rig_old(&rig, gzip, sizeof gzip);

    struct apply_spec spec = rig_spec(&rig, size);

    spec.output_max = OUTPUT_MAX;
    if (fs_sealed("delta", (struct bytes){ .p = data, .n = size }, &fd, &err) != RC_OK)
        abort();
    (void)!apply_delta(fd, &spec, &sink, &err);
    rig_done(&rig);
    return 0;
}
