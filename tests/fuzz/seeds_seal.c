/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes the seeds of the corpora of fuzz_link_sealkey and fuzz_link_sealed with the project's own
 * encoders.  Run by hand when a format changes; the seeds are committed:
 *
 *     make programs
 *     gcc -std=gnu17 -D_GNU_SOURCE -I. tests/fuzz/seeds_seal.c build/release/lib{link,base}.a \
 *         -Lbuild/deps/lib -lcrypto -lsodium -Wl,--gc-sections -o build/seeds
 *     build/seeds
 */
#include <fcntl.h>
#include <stdlib.h>

#include "base/fs.h"
#include "link/mail.h"
#include "link/sealkey.h"

static void put(const char *target, const char *name, struct bytes content)
{
    scoped(close_fd) int all = -1, fd = -1;
    struct err err;

    if (fs_open_dir(AT_FDCWD, "tests/fuzz/corpus", 0755, &all, &err) != RC_OK ||
        fs_open_dir(all, target, 0755, &fd, &err) != RC_OK ||
        fs_write_file(fd, name, content, 0644, &err) != RC_OK)
        abort();
}

static void must(enum rc rc)
{
    if (rc != RC_OK)
        abort();
}

/* The same each time: nobody's. */
static struct keys key_of(uint32_t epoch)
{
    struct keys keys = { .ground = 1, .satellite = 42, .tenant = "acme", .payload = "cam" };
    struct err err;

    keys.epoch = epoch;
    for (size_t i = 0; i < sizeof keys.secret; i++)
        keys.secret[i] = (uint8_t)(i + epoch - 1);
    must(keys_derive(&keys, &err));
    return keys;
}

static void put_ring(const char *name, const struct seal_ring *ring)
{
    uint8_t buf[SEAL_RING_MAX];
    struct bytes out = { 0 };
    struct err err;

    must(seal_ring_encode(ring, buf, sizeof buf, &out, &err));
    put("fuzz_link_sealkey", name, out);
}

static void put_keys(void)
{
    const struct keys one = key_of(1), two = key_of(2);
    struct seal_ring ring = { .end = SEAL_GROUND, .grace_ms = 2592000000 };
    uint8_t buf[SEAL_KEYFILE_MAX];
    struct seal_epoch *at = NULL;
    struct bytes out = { 0 };
    uint64_t dropped = 0;
    struct err err;

    must(seal_keyfile_encode(&one, SEAL_PAYLOAD, buf, &out, &err));
    put("fuzz_link_sealkey", "keyfile", out);
    must(seal_ring_add(&ring, &one, SEAL_INSTALLED, &at, &dropped, &err));
    put_ring("ring-one", &ring);
    must(seal_ring_add(&ring, &two, SEAL_MADE, &at, &dropped, &err));
    put_ring("ring-waiting", &ring);
    ring.epoch[0].until_ms = 1800000000000;
    put_ring("superseded-by-nothing", &ring); /* which no rule leads to */
    ring.epoch[1].confirmed = true;
    put_ring("ring-grace", &ring);
}

/* As the target itself makes one, with a clock and without. */
static void put_messages(void)
{
    const struct link_keys known = { .mac = { 1, 2, 3 }, .aead = { 4, 5, 6 } };
    struct link_message m = { .sequence = 1, .lifetime_ms = 1000, .key = 1 };
    uint8_t buf[1024];
    size_t n = 0;
    struct err err;

    must(mail_eid(42, "acme", "cam", &m.src, &err));
    must(mail_eid(1, "acme", "", &m.dst, &err));
    m.counter = 7;
    m.salt = 9;
    m.payload = bytes_of("seed");
    must(link_seal(&m, &known, buf, sizeof buf, &n, &err));
    put("fuzz_link_sealed", "message", (struct bytes){ buf, n });
    m.time_ms = 1;
    must(link_seal(&m, &known, buf, sizeof buf, &n, &err));
    put("fuzz_link_sealed", "message-clock", (struct bytes){ buf, n });
}

int main(void)
{
    static const uint8_t there_and_back[] = { 0, 1, 1, 0, 1, 1 };

    put_keys();
    put_messages();
    put("fuzz_link_sealed", "nothing", (struct bytes){ 0 });
    put("fuzz_link_sealed", "one-bit", (struct bytes){ there_and_back, 3 });
    put("fuzz_link_sealed", "there-and-back",
        (struct bytes){ there_and_back, sizeof there_and_back });
    return 0;
}
