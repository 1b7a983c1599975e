/* SPDX-License-Identifier: Apache-2.0
 *
 * Our three verifying doors against the vectors of tests/vectors/signatures: what is ok there is
 * RC_OK here, what is bad is RC_SIG_BAD, one by one, and their number is what it should be.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crypto.h"
#include "base/fs.h"

#define LINE_MAX_BYTES (1U << 16)

static uint8_t file[2U << 20]; /* one file of vectors, NUL at its end */
static uint8_t message[LINE_MAX_BYTES], signature[LINE_MAX_BYTES];
static uint8_t key[MLDSA87_PUBLIC_SIZE];

struct scheme {
    const char *path;
    size_t key_size;
    enum rc (*verify)(const uint8_t *key, struct bytes message, struct bytes signature,
                      struct err *err);
    unsigned ok, bad; /* how many there are */
};

static struct bytes unhex(const char *text, uint8_t *buf)
{
    size_t n = strcmp(text, "-") == 0 ? 0 : strlen(text) / 2;

    assert_true(n <= LINE_MAX_BYTES && (n == 0 || bytes_unhex(text, buf, n)));
    return (struct bytes){ buf, n };
}

/* "ok|bad MESSAGE SIGNATURE WHY"; 1 if the door answered something else. */
static unsigned judge(const struct scheme *s, bool ok, char *rest)
{
    char *save = NULL;
    char *m = strtok_r(rest, " ", &save);
    char *sig = strtok_r(NULL, " ", &save);
    enum rc want = ok ? RC_OK : RC_SIG_BAD;
    struct err err;

    assert_true(m && sig);
    enum rc rc = s->verify(key, unhex(m, message), unhex(sig, signature), &err);
    if (rc != want)
        print_error("%s: %s: got %s, want %s\n", s->path, save, rc_name(rc), rc_name(want));
    return rc != want;
}

static void run(const struct scheme *s)
{
    unsigned ok = 0, bad = 0, wrong = 0;
    char *save = NULL;
    size_t n = 0;

    assert_rc(fs_read_file(AT_FDCWD, s->path, file, sizeof file - 1, &n, NULL), RC_OK);
    file[n] = '\0';
    for (char *line = strtok_r((char *)file, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        if (strncmp(line, "key ", 4) == 0) {
            assert_true(bytes_unhex(line + 4, key, s->key_size));
        } else if (strncmp(line, "ok ", 3) == 0) {
            wrong += judge(s, true, line + 3);
            ok++;
        } else if (strncmp(line, "bad ", 4) == 0) {
            wrong += judge(s, false, line + 4);
            bad++;
        } else {
            assert_int_equal(line[0], '#');
        }
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(ok, s->ok);
    assert_int_equal(bad, s->bad);
}

static void test_ed25519(void **state)
{
    (void)state;
    run(&(struct scheme){ "tests/vectors/signatures/ed25519.txt", ED25519_PUBLIC_SIZE,
                          crypto_ed25519_verify, 18, 188 });
}

static void test_mldsa65(void **state)
{
    (void)state;
    run(&(struct scheme){ "tests/vectors/signatures/mldsa65.txt", MLDSA65_PUBLIC_SIZE,
                          crypto_mldsa65_verify, 64, 32 });
}

static void test_mldsa87(void **state)
{
    (void)state;
    run(&(struct scheme){ "tests/vectors/signatures/mldsa87.txt", MLDSA87_PUBLIC_SIZE,
                          crypto_mldsa87_verify, 54, 35 });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ed25519),
        cmocka_unit_test(test_mldsa65),
        cmocka_unit_test(test_mldsa87),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
