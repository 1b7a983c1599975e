/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "tests/unit/update_signed.h"

/* A small honest content, and what its manifest says. */
static struct content good_content(struct unpack_spec *ret_spec)
{
    struct tar t = { 0 };

    tar_dir(&t, "bin/");
    tar_file(&t, "bin/app", 0755, "#!/bin/sh\n");
    tar_end(&t);

    struct content c = compress_window((struct bytes){ .p = t.p, .n = t.n }, 0);

    *ret_spec = spec_of(content_view(&c), &t, "/bin/app");
    tar_done(&t);
    return c;
}

static void test_good(void **state)
{
    scoped(trust_free) struct trust *trust = signed_trust();
    scoped(payload_free) struct verified_payload *payload = NULL;
    struct unpack_spec spec;
    struct content c = good_content(&spec);
    struct manifest m = signed_manifest(&spec);
    scoped(close_fd) int fd = signed_package(&m, content_view(&c), K_ACME);
    struct digest digest;
    struct err err;

    (void)state;
    assert_rc(payload_verify(trust, fd, NOW_MS, &payload, &err), RC_OK);
    assert_string_equal(payload_manifest(payload)->name, "cam-north");
    assert_ptr_equal(verified_manifest_get(payload_verified(payload)), payload_manifest(payload));
    assert_rc(sha256_of(signed_doc_.payload, digest.b, &err), RC_OK);
    assert_memory_equal(payload_digest(payload), &digest, sizeof digest);
    assert_true(bytes_equal(payload_envelope(payload), signed_doc_.bytes));
    assert_int_equal(payload_content_at(payload), PACKAGE_HEAD_SIZE + signed_doc_.bytes.n);
    assert_int_not_equal(payload_fd(payload), fd);
    free(c.p);
}

/* What a manifest can say wrongly of its content. */
static void lie_digest(struct manifest *m)
{
    m->content.b[31] ^= 1;
}
static void lie_digest384(struct manifest *m)
{
    m->content384.b[47] = 1;
}
static void lie_longer(struct manifest *m)
{
    m->content_bytes++;
}
static void lie_shorter(struct manifest *m)
{
    m->content_bytes--;
}
static void lie_ratio(struct manifest *m)
{
    m->unpacked_bytes = 1U << 29;
}
static void lie_name(struct manifest *m)
{
    (void)snprintf(m->name, sizeof m->name, "radio");
}
static void lie_tenant(struct manifest *m)
{
    (void)snprintf(m->tenant, sizeof m->tenant, "zenith");
}
static void lie_nothing(struct manifest *m)
{
    (void)m;
}

static void test_signed_wrongly(void **state)
{
    static const struct {
        const char *why;
        void (*lie)(struct manifest *m);
        enum doc_key signer;
        enum rc rc;
    } rows[] = {
        { "other digest", lie_digest, K_ACME, RC_DIGEST_MISMATCH },
        { "other SHA-384", lie_digest384, K_ACME, RC_DIGEST_MISMATCH },
        { "longer", lie_longer, K_ACME, RC_PACKAGE_SIZE },
        { "shorter", lie_shorter, K_ACME, RC_PACKAGE_SIZE },
        { "out of proportion", lie_ratio, K_ACME, RC_ARCHIVE_BOMB },
        { "name not granted", lie_name, K_ACME, RC_NAME_NOT_GRANTED },
        { "tenant without grant", lie_tenant, K_ZENITH, RC_GRANT_MISSING },
        { "stranger's key", lie_nothing, K_STRANGER, RC_KEY_UNKNOWN },
        { "operator's key", lie_nothing, K_OPERATOR_A, RC_KEY_UNKNOWN },
    };
    scoped(trust_free) struct trust *trust = signed_trust();
    struct unpack_spec spec;
    struct content c = good_content(&spec);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct verified_payload *payload = NULL;
        struct manifest m = signed_manifest(&spec);
        struct err err = { .rc = RC_OK };

        rows[i].lie(&m);

        scoped(close_fd) int fd = signed_package(&m, content_view(&c), rows[i].signer);
        enum rc rc = payload_verify(trust, fd, NOW_MS, &payload, &err);

        if (rc != rows[i].rc || err.rc != rc)
            fail_msg("%s: %s (%s)", rows[i].why, rc_name(rc), err.what);
        assert_null(payload);
    }
    free(c.p);
}

/* The package's bytes in memory, to be changed. */
static uint8_t *package_bytes(size_t *ret_n)
{
    struct unpack_spec spec;
    struct content c = good_content(&spec);
    struct manifest m = signed_manifest(&spec);
    scoped(close_fd) int fd = signed_package(&m, content_view(&c), K_ACME);
    struct stat st;
    struct err err;

    assert_int_equal(fstat(fd, &st), 0);

    uint8_t *bytes = malloc((size_t)st.st_size);

    assert_rc(fs_pread_exact(fd, bytes, (size_t)st.st_size, 0, &err), RC_OK);
    free(c.p);
    *ret_n = (size_t)st.st_size;
    return bytes;
}

static void assert_refused(const struct trust *trust, struct bytes bytes, const char *why,
                           size_t at)
{
    struct verified_payload *payload = NULL;
    scoped(close_fd) int fd = memfd_of(bytes);
    struct err err;

    if (payload_verify(trust, fd, NOW_MS, &payload, &err) == RC_OK)
        fail_msg("%s at %zu was accepted", why, at);
    assert_null(payload);
}

/* No bit of a package can change: all of the head, every part of the envelope, all of the content.
 * The envelope is sampled, since each try costs two signature checks. */
static void test_every_byte_counts(void **state)
{
    scoped(trust_free) struct trust *trust = signed_trust();
    size_t n = 0;
    scoped(free_ptr) uint8_t *bytes = package_bytes(&n);
    size_t content_at = PACKAGE_HEAD_SIZE + signed_doc_.bytes.n;

    (void)state;
    for (size_t at = 0; at < n; at += at < PACKAGE_HEAD_SIZE || at >= content_at ? 1 : 7) {
        uint8_t flip = (uint8_t)(1U << (at % 8));

        bytes[at] ^= flip;
        assert_refused(trust, (struct bytes){ .p = bytes, .n = n }, "flipped bit", at);
        bytes[at] ^= flip;
    }
    for (size_t cut = 1; cut < n; cut += cut < 200 ? 1 : 101)
        assert_refused(trust, (struct bytes){ .p = bytes, .n = n - cut }, "cut", n - cut);
}

static void test_trust_missing(void **state)
{
    size_t n = 0;
    scoped(free_ptr) uint8_t *bytes = package_bytes(&n);
    scoped(close_fd) int fd = memfd_of((struct bytes){ .p = bytes, .n = n });
    struct verified_payload *payload = NULL;
    struct err err;

    (void)state;
    assert_rc(payload_verify(NULL, fd, NOW_MS, &payload, &err), RC_TRUST_MISSING);
    assert_null(payload);
}

/* Only a descriptor that nobody else can write behind our back. */
static void test_frozen(void **state)
{
    scoped(trust_free) struct trust *trust = signed_trust();
    scoped(scratch_done) struct scratch s = scratch_new();
    size_t n = 0;
    scoped(free_ptr) uint8_t *bytes = package_bytes(&n);
    scoped(close_fd) int open_memfd = memfd_create("open", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    scoped(close_fd) int sealed = -1;
    scoped(close_fd) int file = openat(s.fd, "p", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct bytes package = { .p = bytes, .n = n };
    struct err err;

    (void)state;
    assert_rc(fs_write_all(open_memfd, package, &err), RC_OK);
    assert_rc(fs_write_all(file, package, &err), RC_OK);

    const struct {
        const char *why;
        int fd;
        mode_t mode;
        bool linked;
        uid_t owner;
        enum rc rc;
    } rows[] = {
        { "open memfd", open_memfd, 0600, false, 0, RC_NOT_REGULAR },
        { "own file", file, 0600, false, 0, RC_OK },
        { "read-only file", file, 0444, false, 0, RC_OK },
        { "group may write", file, 0620, false, 0, RC_NOT_REGULAR },
        { "others may write", file, 0602, false, 0, RC_NOT_REGULAR },
        { "another's file", file, 0600, false, 64999, RC_NOT_REGULAR },
        { "a second link", file, 0600, true, 0, RC_NOT_REGULAR },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        scoped(payload_free) struct verified_payload *payload = NULL;

        if (rows[i].owner != 0 && geteuid() != 0)
            continue;
        assert_int_equal(fchmod(rows[i].fd, rows[i].mode), 0);
        assert_int_equal(fchown(rows[i].fd, rows[i].owner ? rows[i].owner : geteuid(), getegid()),
                         0);
        if (rows[i].linked)
            assert_int_equal(linkat(s.fd, "p", s.fd, "q", 0), 0);

        enum rc rc = payload_verify(trust, rows[i].fd, NOW_MS, &payload, &err);

        if (rc != rows[i].rc)
            fail_msg("%s: %s", rows[i].why, rc_name(rc));
    }

    scoped(payload_free) struct verified_payload *payload = NULL;

    assert_rc(payload_seal(open_memfd, &sealed, &err), RC_OK);
    assert_rc(payload_verify(trust, sealed, NOW_MS, &payload, &err), RC_OK);
    assert_int_equal(write(sealed, "x", 1), -1);
}

static void test_seal_is_bounded(void **state)
{
    scoped(close_fd) int huge = memfd_create("huge", MFD_CLOEXEC);
    int sealed = -1;
    struct err err;

    (void)state;
    assert_int_equal(ftruncate(huge, (off_t)PACKAGE_FILE_MAX + 1), 0);
    assert_rc(payload_seal(huge, &sealed, &err), RC_TOO_LARGE);
    assert_int_equal(sealed, -1);
    assert_rc(payload_seal(-1, &sealed, &err), RC_IO);
}

static int teardown(void **state)
{
    (void)state;
    doc_keys_free();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_signed_wrongly),
        cmocka_unit_test(test_every_byte_counts),
        cmocka_unit_test(test_trust_missing),
        cmocka_unit_test(test_frozen),
        cmocka_unit_test(test_seal_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
