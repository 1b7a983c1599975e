/* SPDX-License-Identifier: Apache-2.0
 *
 * The verdicts of link/ on changed bundles beside those of tests/interop/bundle.py, which shares
 * nothing with it.  Seeds are the vectors, as they are and without CRCs, so that changes come
 * through to the rules behind; what is accepted without CRCs is tried with them too.  BERTH_BUNDLES
 * says how many (make differential: a hundred thousand).
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "link/bpsec.h"
#include "tests/unit/link_fixture.h"
#include "tests/unit/vectors.h"

#define SEEDS_MAX 400U
#define SEED_SIZE_MAX 400U /* short ones: every change hits something */
#define COUNT 100000U      /* some five seconds of Python */

struct seed {
    uint8_t p[SEED_SIZE_MAX];
    size_t n;
};

static struct seed seeds[SEEDS_MAX];
static size_t n_seeds;
static unsigned written;
static unsigned wanted;

static bool taken(struct bytes in, enum bundle_level level)
{
    static struct bundle b;

    return bpsec_take(in, level, &b, NULL) == RC_OK;
}

static void put(FILE *f, struct bytes in)
{
    uint8_t head[5];

    if (written == wanted)
        return;
    bytes_put_be(head, 4, in.n);
    head[4] = (uint8_t)(taken(in, BUNDLE_STRICT) | taken(in, BUNDLE_LENIENT) << 1);
    assert_int_equal(fwrite(head, 1, sizeof head, f), sizeof head);
    assert_int_equal(fwrite(in.p, 1, in.n, f), in.n);
    written++;
}

static void add_seed(struct bytes in)
{
    if (in.n == 0 || in.n > SEED_SIZE_MAX)
        return;
    assert_true(n_seeds < SEEDS_MAX);
    memcpy(seeds[n_seeds].p, in.p, in.n);
    seeds[n_seeds++].n = in.n;
}

/* The same with other CRCs everywhere; false if it is no bundle at all. */
static bool with_crcs(struct bytes in, const enum crc_type types[2], struct vector *ret)
{
    static struct bundle b;
    struct bytes out = { 0 };

    if (bundle_decode(in, BUNDLE_LENIENT, &b, NULL) != RC_OK)
        return false;
    b.crc_type = types[0];
    for (size_t i = 0; i < b.n_blocks; i++)
        b.blocks[i].crc_type = types[1];
    assert_rc(bundle_encode(&b, ret->p, sizeof ret->p, &out, NULL), RC_OK);
    ret->n = out.n;
    return true;
}

static void load_seeds(void)
{
    static const enum crc_type none[2] = { CRC_NONE, CRC_NONE };
    static struct vector v, bare;
    char line[1024];
    FILE *f = fopen(VECTOR_DIR "OUTCOMES.tsv", "re");

    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        size_t name = strcspn(line, "\t");

        if (strncmp(line + name, "\tbundle\t", 8) != 0)
            continue;
        line[name] = '\0';
        vector_load(line, &v);
        add_seed(vector_bytes(&v));
        if (with_crcs(vector_bytes(&v), none, &bare))
            add_seed(vector_bytes(&bare));
    }
    (void)fclose(f);
}

/* Change a few bytes: heads of every kind, numbers around the limits, and parts left out, doubled
 * or taken from another seed. */
static size_t mutate(uint8_t *p, size_t n, uint64_t *random)
{
    static const uint8_t heads[] = { 0x00, 0x01, 0x02, 0x04, 0x07, 0x0a, 0x0b, 0x0c, 0x11,
                                     0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1f, 0x20, 0x40,
                                     0x41, 0x58, 0x5f, 0x60, 0x80, 0x81, 0x82, 0x83, 0x84,
                                     0x85, 0x86, 0x88, 0x89, 0x8a, 0x8b, 0x98, 0x9f, 0xa0,
                                     0xc0, 0xd8, 0xf4, 0xf6, 0xf8, 0xf9, 0xff };
    const struct seed *other = &seeds[link_random(random) % n_seeds];
    size_t at = link_random(random) % n;
    size_t size = 1 + link_random(random) % 12;
    size_t from = link_random(random) % other->n;

    if (size > n - at)
        size = n - at;
    switch (link_random(random) % 8) {
    case 0:
        memmove(p + at, p + at + size, n - at - size);
        return n - size;
    case 1:
        memmove(p + at + size, p + at, n - at);
        return n + size;
    case 2:
        if (size > other->n - from)
            size = other->n - from;
        memmove(p + at + size, p + at, n - at);
        memcpy(p + at, other->p + from, size);
        return n + size;
    case 3:
        p[at] ^= (uint8_t)(1U << link_random(random) % 8);
        return n;
    case 4:
        p[at] = (uint8_t)(p[at] + (link_random(random) % 2 ? 1 : 255));
        return n;
    default:
        p[at] = heads[link_random(random) % sizeof heads];
        return n;
    }
}

static void put_mutations(FILE *f)
{
    static struct vector v, crcs;
    uint64_t random = 9171;

    while (written < wanted) {
        const enum crc_type types[2] = { (enum crc_type)(1 + link_random(&random) % 2),
                                         (enum crc_type)(link_random(&random) % 3) };
        const struct seed *seed = &seeds[link_random(&random) % n_seeds];
        size_t changes = 1 + link_random(&random) % 3;

        memcpy(v.p, seed->p, seed->n);
        v.n = seed->n;
        for (size_t i = 0; i < changes && v.n > 0; i++)
            v.n = mutate(v.p, v.n, &random);
        put(f, vector_bytes(&v));
        if (with_crcs(vector_bytes(&v), types, &crcs))
            put(f, vector_bytes(&crcs));
    }
}

static void test_same_verdicts(void **state)
{
    char path[] = "/tmp/berth-bundles-XXXXXX";
    char python[] = "/usr/bin/python3", quiet[] = "-B",
         script[] = "tests/interop/compare_bundles.py";
    char *const argv[] = { python, quiet, script, path, NULL };
    const char *count = getenv("BERTH_BUNDLES");
    scoped(close_fd) int fd = mkstemp(path);
    pid_t pid = 0;
    int status = 0;
    FILE *f;

    (void)state;
    assert_true(fd >= 0);
    wanted = count ? (unsigned)strtoul(count, NULL, 10) : COUNT;
    load_seeds();
    f = fdopen(take_fd(&fd), "we");
    assert_non_null(f);
    for (size_t i = 0; i < n_seeds; i++)
        put(f, (struct bytes){ .p = seeds[i].p, .n = seeds[i].n });
    put_mutations(f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(posix_spawn(&pid, python, NULL, NULL, argv, environ), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    unlink(path);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_verdicts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
