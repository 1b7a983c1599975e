/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "tests/unit/update_signed.h"
#include "update/policy.h"

/* What is said of the content, and how it is packed, for one hostile archive. */
struct attack {
    struct tar tar;
    int window_log;      /* 0 = the compressor's own */
    bool raw;            /* the bytes are the content as they are */
    int64_t extra_bytes; /* added to the declared figures */
    int32_t extra_files;
    const char *entry;
    struct bytes behind; /* after the frame */
    size_t cut;          /* content bytes left out at the end */
    bool other_index;
    bool flip; /* a content bit, after the digest was taken */
};

/* ---- 33: out of the directory -----------------------------------------------------------------
 */
static void dot_dot(struct attack *a)
{
    tar_file(&a->tar, "../x", 0644, "x");
}
static void absolute(struct attack *a)
{
    tar_file(&a->tar, "/abs", 0644, "x");
}
static void dot_dot_inside(struct attack *a)
{
    tar_file(&a->tar, "bin/../../x", 0644, "x");
}
static void dot_dot_last(struct attack *a)
{
    tar_dir(&a->tar, "bin/..");
}
static void hard_link_up(struct attack *a)
{
    tar_link(&a->tar, '1', "h", "../outside/canary");
}
static void hard_link_abs(struct attack *a)
{
    tar_link(&a->tar, '1', "h", "/etc/passwd");
}
/* ---- 34: links --------------------------------------------------------------------------------
 */
static void link_abs(struct attack *a)
{
    tar_link(&a->tar, '2', "l", "/etc/shadow");
}
static void link_up(struct attack *a)
{
    tar_link(&a->tar, '2', "bin/l", "../../../etc");
}
static void link_up_late(struct attack *a)
{
    tar_link(&a->tar, '2', "bin/l", "../x/..");
}
static void link_empty(struct attack *a)
{
    tar_link(&a->tar, '2', "l", "");
}
static void link_escape(struct attack *a)
{
    tar_link(&a->tar, '2', "l", "a\033[2J");
}
/* ---- 35: through links ------------------------------------------------------------------------
 */
static void through_link(struct attack *a)
{
    tar_link(&a->tar, '2', "d", "bin");
    tar_file(&a->tar, "d/x", 0644, "x");
}
static void dir_becomes_link(struct attack *a)
{
    tar_dir(&a->tar, "d/");
    tar_link(&a->tar, '2', "d", "bin");
}
static void link_becomes_file(struct attack *a)
{
    tar_link(&a->tar, '2', "d", "bin/app");
    tar_file(&a->tar, "d", 0644, "x");
}
static void through_file(struct attack *a)
{
    tar_file(&a->tar, "bin/app/x", 0644, "x");
}
static void no_parent(struct attack *a)
{
    tar_file(&a->tar, "none/x", 0644, "x");
}
/* ---- 36: duplicates ---------------------------------------------------------------------------
 */
static void duplicate_file(struct attack *a)
{
    tar_file(&a->tar, "c", 0644, "one");
    tar_file(&a->tar, "c", 0644, "two");
}
static void duplicate_dir(struct attack *a)
{
    tar_dir(&a->tar, "bin");
}
static void dot_alias(struct attack *a)
{
    tar_file(&a->tar, "c", 0644, "one");
    tar_file(&a->tar, "./c", 0644, "two");
}
static void slash_alias(struct attack *a)
{
    tar_file(&a->tar, "bin//c", 0644, "two");
}
/* ---- 37: types and modes ----------------------------------------------------------------------
 */
static void add_type(struct attack *a, char type, unsigned mode)
{
    struct tar_entry e = { .type = type, .name = "special", .mode = mode };

    tar_add(&a->tar, &e);
}
static void char_device(struct attack *a)
{
    add_type(a, '3', 0644);
}
static void block_device(struct attack *a)
{
    add_type(a, '4', 0644);
}
static void fifo(struct attack *a)
{
    add_type(a, '6', 0644);
}
static void setuid_file(struct attack *a)
{
    add_type(a, '0', 04755);
}
static void setgid_file(struct attack *a)
{
    add_type(a, '0', 02755);
}
static void sticky_dir(struct attack *a)
{
    add_type(a, '5', 01777);
}
/* ---- 38 ---------------------------------------------------------------------------------------
 */
static void hard_link_to_link(struct attack *a)
{
    tar_link(&a->tar, '2', "l", "bin/app");
    tar_link(&a->tar, '1', "h", "l");
}
/* ---- 39: attributes ---------------------------------------------------------------------------
 */
static void pax_on_file(struct attack *a, const char *key, struct bytes value)
{
    tar_pax(&a->tar, key, value);
    tar_file(&a->tar, "f", 0644, "x");
}
static void xattr_capability(struct attack *a)
{
    static const uint8_t cap[20] = { 1, 0, 0, 2, 0xff };

    pax_on_file(a, "SCHILY.xattr.security.capability", (struct bytes){ .p = cap, .n = sizeof cap });
}
static void xattr_libarchive(struct attack *a)
{
    pax_on_file(a, "LIBARCHIVE.xattr.user.x", bytes_of("eHg"));
}
static void acl_access(struct attack *a)
{
    pax_on_file(a, "SCHILY.acl.access",
                bytes_of("user::rwx,user:root:rwx:0,group::r--,mask::rwx,other::r--"));
}
static void acl_default(struct attack *a)
{
    tar_pax(&a->tar, "SCHILY.acl.default",
            bytes_of("user::rwx,user:root:rwx:0,group::r--,mask::rwx,other::r--"));
    tar_dir(&a->tar, "d");
}
static void flags(struct attack *a)
{
    pax_on_file(a, "SCHILY.fflags", bytes_of("immutable"));
}
/* ---- 40: names --------------------------------------------------------------------------------
 */
static void name_newline(struct attack *a)
{
    tar_file(&a->tar, "a\nb", 0644, "x");
}
static void name_escape(struct attack *a)
{
    tar_file(&a->tar, "a\033[2Jb", 0644, "x");
}
static void name_c1(struct attack *a)
{
    tar_file(&a->tar, "a\302\233b", 0644, "x");
}
static void name_empty(struct attack *a)
{
    tar_file(&a->tar, "", 0644, "x");
}
static void name_dot(struct attack *a)
{
    tar_dir(&a->tar, "./");
}
static void name_utf8(struct attack *a)
{
    tar_file(&a->tar, "a\xff\xfe", 0644, "x");
}
static void name_overlong(struct attack *a)
{
    tar_file(&a->tar,
             "a\xc0\xaf"
             "b",
             0644, "x");
}
static void name_surrogate(struct attack *a)
{
    tar_file(&a->tar, "a\xed\xa0\x80", 0644, "x");
}
static void long_name(struct attack *a, size_t n, bool deep)
{
    char name[2048];

    for (size_t i = 0; i < n; i++)
        name[i] = deep && i % 2 ? '/' : 'a';
    pax_on_file(a, "path", (struct bytes){ .p = (const uint8_t *)name, .n = n });
}
static void name_256(struct attack *a)
{
    long_name(a, 256, false);
}
static void path_1025(struct attack *a)
{
    long_name(a, 1025, true);
}
static void path_deep(struct attack *a)
{
    long_name(a, 2 * PACKAGE_DEPTH_MAX + 1, true);
}
static void file_with_slash(struct attack *a)
{
    pax_on_file(a, "path", bytes_of("f/"));
}
static void mount_point_file(struct attack *a)
{
    tar_dir(&a->tar, "dev");
    tar_file(&a->tar, "dev/null", 0666, "");
}
static void mount_point_link(struct attack *a)
{
    tar_link(&a->tar, '2', "data", "bin");
}
/* ---- 41: bombs --------------------------------------------------------------------------------
 */
static void add_zeros(struct attack *a, const char *name, size_t n)
{
    void *zeros = calloc(1, n);
    struct tar_entry e = { .type = '0', .name = name, .mode = 0644, .data = zeros, .n = n };

    tar_add(&a->tar, &e);
    free(zeros);
}
static void more_bytes(struct attack *a)
{
    add_zeros(a, "z", 1000000);
    a->extra_bytes = -1;
}
static void far_more_bytes(struct attack *a)
{
    add_zeros(a, "z", 64U << 20);
    a->extra_bytes = -(64 << 20);
}
static void ratio(struct attack *a)
{
    add_zeros(a, "z", 64U << 20);
}
static void fewer_bytes(struct attack *a)
{
    a->extra_bytes = 1;
}
static void size_lies(struct attack *a)
{
    struct tar_entry e = { .type = '0', .name = "z", .mode = 0644, .n = 1U << 30 };

    tar_add(&a->tar, &e);
    a->extra_bytes = -(1 << 30) + 100;
}
static void more_files(struct attack *a)
{
    tar_file(&a->tar, "f", 0644, "x");
    a->extra_files = -1;
}
static void fewer_files(struct attack *a)
{
    a->extra_files = 1;
}
static void many_files(struct attack *a)
{
    char name[32];

    for (int i = 0; i < 30000; i++) {
        (void)snprintf(name, sizeof name, "f%d", i);
        tar_file(&a->tar, name, 0644, "");
    }
    a->extra_files = -29000;
}
static void window(struct attack *a)
{
    add_zeros(a, "z", 1000);
    a->window_log = 24;
}
static void sparse_gnu(struct attack *a)
{
    pax_on_file(a, "GNU.sparse.map", bytes_of("1125899906842624,1"));
}
static void sparse_size(struct attack *a)
{
    pax_on_file(a, "GNU.sparse.realsize", bytes_of("1125899906842624"));
}
static void pax_size(struct attack *a)
{
    pax_on_file(a, "size", bytes_of("1125899906842624"));
}
static void pax_size_huge(struct attack *a)
{
    pax_on_file(a, "size", bytes_of("99999999999999999999999"));
}
/* ---- 42: other formats ------------------------------------------------------------------------
 */
static void replace(struct attack *a, const char *bytes, size_t n)
{
    struct tar fresh = { .files = a->tar.files, .unpacked = a->tar.unpacked };

    tar_raw(&fresh, bytes, n);
    tar_done(&a->tar);
    a->tar = fresh;
}
#define REPLACE(a, text) replace(a, text, sizeof(text) - 1)
static void is_zip(struct attack *a)
{
    REPLACE(a, "PK\3\4\24\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0a");
}
static void is_cpio(struct attack *a)
{
    REPLACE(a, "070701000000010000A1ED0000000000000000000000010000000000000001000000000000000000"
               "0000000000000000000002000000000a\0x");
}
static void is_mtree(struct attack *a)
{
    REPLACE(a, "#mtree\n./bin/app type=file mode=0755\n");
}
static void is_7z(struct attack *a)
{
    REPLACE(a, "7z\274\257\047\034\0\4");
}
static void is_ar(struct attack *a)
{
    REPLACE(a, "!<arch>\na/              0           0     0     644     2         `\nx\n");
}
static void is_nothing(struct attack *a)
{
    REPLACE(a, "hello");
}
static void is_empty_tar(struct attack *a)
{
    REPLACE(a, "");
}
static void is_double(struct attack *a)
{
    struct content c = compress_window((struct bytes){ .p = a->tar.p, .n = a->tar.n }, 0);

    replace(a, (const char *)c.p, c.n);
    free(c.p);
}
static void is_raw_tar(struct attack *a)
{
    a->raw = true;
}
static void is_gzip(struct attack *a)
{
    REPLACE(a, "\37\213\10\0\0\0\0\0\0\3K\4\0C\276\267\350\1\0\0\0");
    a->raw = true;
}
static void is_xz(struct attack *a)
{
    REPLACE(a, "\3757zXZ\0\0\4\346\326\264F");
    a->raw = true;
}
static void bad_checksum(struct attack *a)
{
    tar_file(&a->tar, "f", 0644, "x");
    a->tar.p[a->tar.n - 1024 + 150] ^= 1;
}
/* ---- 28, 29, 30, 32: every byte is covered ----------------------------------------------------
 */
static void behind_frame(struct attack *a)
{
    a->behind = bytes_of("x");
}
static void second_frame(struct attack *a)
{
    static const uint8_t empty[] = { 0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x00, 0x01, 0x00, 0x00 };

    a->behind = (struct bytes){ .p = empty, .n = sizeof empty };
}
static void skippable_frame(struct attack *a)
{
    static const uint8_t skip[] = { 0x50, 0x2a, 0x4d, 0x18, 0x01, 0x00, 0x00, 0x00, 0x00 };

    a->behind = (struct bytes){ .p = skip, .n = sizeof skip };
}
static void behind_archive(struct attack *a)
{
    tar_end(&a->tar);
    tar_raw(&a->tar, "hidden", 6);
}
static void second_archive(struct attack *a)
{
    uint32_t files = a->tar.files;

    tar_end(&a->tar);
    tar_file(&a->tar, "f", 0644, "");
    a->tar.files = files;
}
static void cut_short(struct attack *a)
{
    a->cut = 1;
}
static void cut_to_one(struct attack *a)
{
    a->cut = (size_t)-1;
}
static void changed(struct attack *a)
{
    a->flip = true;
}
/* ---- the index --------------------------------------------------------------------------------
 */
static void other_index(struct attack *a)
{
    a->other_index = true;
}
/* ---- the entry point --------------------------------------------------------------------------
 */
static void entry_missing(struct attack *a)
{
    a->entry = "/bin/none";
}
static void entry_not_executable(struct attack *a)
{
    tar_file(&a->tar, "f", 0644, "x");
    a->entry = "/f";
}
static void entry_is_dir(struct attack *a)
{
    a->entry = "/bin";
}
static void entry_outside(struct attack *a)
{
    a->entry = "/../../../../../../bin/sh";
}
static void entry_link_loop(struct attack *a)
{
    tar_link(&a->tar, '2', "l", "l");
    a->entry = "/l";
}

static const struct {
    const char *why;
    void (*build)(struct attack *a);
    enum rc rc;
} attacks[] = {
    { "33 ../x", dot_dot, RC_ARCHIVE_PATH },
    { "33 /abs", absolute, RC_ARCHIVE_PATH },
    { "33 bin/../../x", dot_dot_inside, RC_ARCHIVE_PATH },
    { "33 bin/..", dot_dot_last, RC_ARCHIVE_PATH },
    { "33 hard link up", hard_link_up, RC_ARCHIVE_TYPE },
    { "33 hard link absolute", hard_link_abs, RC_ARCHIVE_TYPE },
    { "34 link absolute", link_abs, RC_ARCHIVE_LINK },
    { "34 link up", link_up, RC_ARCHIVE_LINK },
    { "34 link up after down", link_up_late, RC_ARCHIVE_LINK },
    { "34 link to nothing", link_empty, RC_ARCHIVE_LINK },
    { "34 link with escape", link_escape, RC_ARCHIVE_LINK },
    { "35 file through link", through_link, RC_ARCHIVE_PATH },
    { "35 directory becomes link", dir_becomes_link, RC_ARCHIVE_DUPLICATE },
    { "35 link becomes file", link_becomes_file, RC_ARCHIVE_DUPLICATE },
    { "35 file as directory", through_file, RC_ARCHIVE_PATH },
    { "35 no directory", no_parent, RC_ARCHIVE_PATH },
    { "36 duplicate file", duplicate_file, RC_ARCHIVE_DUPLICATE },
    { "36 duplicate directory", duplicate_dir, RC_ARCHIVE_DUPLICATE },
    { "36 ./c and c", dot_alias, RC_ARCHIVE_PATH },
    { "36 bin//c", slash_alias, RC_ARCHIVE_PATH },
    { "37 character device", char_device, RC_ARCHIVE_TYPE },
    { "37 block device", block_device, RC_ARCHIVE_TYPE },
    { "37 fifo", fifo, RC_ARCHIVE_TYPE },
    { "37 setuid", setuid_file, RC_ARCHIVE_MODE },
    { "37 setgid", setgid_file, RC_ARCHIVE_MODE },
    { "37 sticky", sticky_dir, RC_ARCHIVE_MODE },
    { "38 hard link to link", hard_link_to_link, RC_ARCHIVE_TYPE },
    { "39 security.capability", xattr_capability, RC_ARCHIVE_XATTR },
    { "39 libarchive xattr", xattr_libarchive, RC_ARCHIVE_XATTR },
    { "39 access ACL", acl_access, RC_ARCHIVE_XATTR },
    { "39 default ACL", acl_default, RC_ARCHIVE_XATTR },
    { "39 file flags", flags, RC_ARCHIVE_XATTR },
    { "40 newline", name_newline, RC_ARCHIVE_PATH },
    { "40 escape", name_escape, RC_ARCHIVE_PATH },
    { "40 C1 control", name_c1, RC_ARCHIVE_PATH },
    { "40 empty", name_empty, RC_ARCHIVE_PATH },
    { "40 ./", name_dot, RC_ARCHIVE_PATH },
    { "40 not UTF-8", name_utf8, RC_ARCHIVE_PATH },
    { "40 overlong UTF-8", name_overlong, RC_ARCHIVE_PATH },
    { "40 surrogate", name_surrogate, RC_ARCHIVE_PATH },
    { "40 name of 256", name_256, RC_ARCHIVE_PATH },
    { "40 path of 1025", path_1025, RC_ARCHIVE_PATH },
    { "40 too deep", path_deep, RC_ARCHIVE_PATH },
    { "40 file with slash", file_with_slash, RC_ARCHIVE_FORMAT },
    { "40 file in a mount point", mount_point_file, RC_ARCHIVE_PATH },
    { "40 mount point as link", mount_point_link, RC_ARCHIVE_PATH },
    { "41 a byte more than declared", more_bytes, RC_ARCHIVE_BOMB },
    { "41 far more than declared", far_more_bytes, RC_ARCHIVE_BOMB },
    { "41 ratio", ratio, RC_ARCHIVE_BOMB },
    { "41 fewer bytes", fewer_bytes, RC_PACKAGE_SIZE },
    { "41 size beyond the archive", size_lies, RC_ARCHIVE_BOMB },
    { "41 more files", more_files, RC_ARCHIVE_COUNT },
    { "41 fewer files", fewer_files, RC_ARCHIVE_COUNT },
    { "41 many files", many_files, RC_ARCHIVE_COUNT },
    { "41 window", window, RC_ARCHIVE_BOMB },
    { "41 sparse map", sparse_gnu, RC_ARCHIVE_TYPE },
    { "41 sparse size", sparse_size, RC_ARCHIVE_BOMB },
    { "41 pax size", pax_size, RC_ARCHIVE_BOMB },
    { "41 pax size overflows", pax_size_huge, RC_ARCHIVE_FORMAT },
    { "42 zip", is_zip, RC_ARCHIVE_FORMAT },
    { "42 cpio", is_cpio, RC_ARCHIVE_FORMAT },
    { "42 mtree", is_mtree, RC_ARCHIVE_FORMAT },
    { "42 7z", is_7z, RC_ARCHIVE_FORMAT },
    { "42 ar", is_ar, RC_ARCHIVE_FORMAT },
    { "42 text", is_nothing, RC_ARCHIVE_FORMAT },
    { "42 nothing", is_empty_tar, RC_ARCHIVE_COUNT },
    { "42 zstd in zstd", is_double, RC_ARCHIVE_FORMAT },
    { "42 plain tar", is_raw_tar, RC_ARCHIVE_FORMAT },
    { "42 gzip", is_gzip, RC_ARCHIVE_FORMAT },
    { "42 xz", is_xz, RC_ARCHIVE_FORMAT },
    { "42 damaged head", bad_checksum, RC_ARCHIVE_FORMAT },
    { "32 bytes behind the frame", behind_frame, RC_ARCHIVE_FORMAT },
    { "32 second frame", second_frame, RC_ARCHIVE_FORMAT },
    { "32 skippable frame", skippable_frame, RC_ARCHIVE_FORMAT },
    { "32 bytes behind the archive", behind_archive, RC_ARCHIVE_FORMAT },
    { "32 second archive", second_archive, RC_ARCHIVE_FORMAT },
    { "28 a byte short", cut_short, RC_ARCHIVE_FORMAT },
    { "28 one byte", cut_to_one, RC_ARCHIVE_FORMAT },
    { "29 changed after it was verified", changed, RC_DIGEST_MISMATCH },
    { "index of another tree", other_index, RC_INDEX_MISMATCH },
    { "entry missing", entry_missing, RC_ENTRY_POINT },
    { "entry not executable", entry_not_executable, RC_ENTRY_POINT },
    { "entry a directory", entry_is_dir, RC_ENTRY_POINT },
    { "entry outside", entry_outside, RC_ENTRY_POINT },
    { "entry a loop", entry_link_loop, RC_ENTRY_POINT },
};

/* The content of an attack, whole as the attacker wants it. */
static struct content attack_content(struct attack *a)
{
    struct bytes tar = { .p = a->tar.p, .n = a->tar.n };
    struct content c = compress_window(tar, a->window_log);

    if (a->raw) {
        c.p = realloc(c.p, tar.n);
        memcpy(c.p, tar.p, tar.n);
        c.n = tar.n;
    }
    if (a->behind.n > 0) {
        c.p = realloc(c.p, c.n + a->behind.n);
        memcpy(c.p + c.n, a->behind.p, a->behind.n);
        c.n += a->behind.n;
    }
    c.n = a->cut < c.n ? c.n - a->cut : 1;
    return c;
}

static struct content attack_build(void (*build)(struct attack *a), struct unpack_spec *ret_spec)
{
    struct attack a = { .entry = "/bin/app" };

    tar_dir(&a.tar, "bin/");
    tar_file(&a.tar, "bin/app", 0755, "#!/bin/sh\n");
    build(&a);
    tar_end(&a.tar);

    struct content c = attack_content(&a);

    *ret_spec = spec_of(content_view(&c), &a.tar, a.entry);
    ret_spec->unpacked_bytes += (uint64_t)a.extra_bytes;
    ret_spec->files += (uint32_t)a.extra_files;
    if (a.other_index)
        ret_spec->index.b[31] = 1;
    if (a.flip)
        ret_spec->content.b[0] ^= 1;
    tar_done(&a.tar);
    return c;
}

/* A staging directory beside something that must not be touched. */
struct place {
    struct scratch scratch;
    int staging;
    int outside;
};

static struct place place_new(void)
{
    struct place p = { .scratch = scratch_new() };

    p.staging = make_dir(p.scratch.fd, "staging");
    p.outside = make_dir(p.scratch.fd, "outside");
    put_file(p.outside, "canary", "alive", 0644);
    return p;
}

static void place_done(struct place *p)
{
    close_fd(&p->staging);
    close_fd(&p->outside);
    scratch_done(&p->scratch);
}

static void assert_untouched(const char *why, const struct place *p)
{
    uint8_t text[16];
    size_t n = 0;
    struct err err;
    struct stat st;

    if (entries_in(p->staging, ".") != 0)
        fail_msg("%s: staging is not empty", why);
    if (entries_in(p->scratch.fd, ".") != 2 || entries_in(p->outside, ".") != 1)
        fail_msg("%s: something was made outside", why);
    assert_rc(fs_read_file(p->outside, "canary", text, sizeof text, &n, &err), RC_OK);
    assert_memory_equal(text, "alive", 5);
    assert_int_equal(fstatat(p->outside, "canary", &st, 0), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0644);
    assert_int_equal(st.st_nlink, 1);
}

static void test_attacks_in_process(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
        scoped(place_done) struct place place = place_new();
        struct unpack_spec spec;
        struct content c = attack_build(attacks[i].build, &spec);
        scoped(close_fd) int fd = memfd_of(content_view(&c));
        struct err err = { .rc = RC_OK };
        enum rc rc = unpack_content(fd, &spec, place.staging, -1, &err);

        if (rc != attacks[i].rc || err.rc != rc)
            fail_msg("%s: %s (%s)", attacks[i].why, rc_name(rc), err.what);
        assert_untouched(attacks[i].why, &place);
        free(c.p);
    }
}

/* The same, each signed by a real tenant and unpacked by the real program.  What the content's size
 * alone gives away is refused before that. */
static void test_attacks_signed(void **state)
{
    scoped(trust_free) struct trust *trust = signed_trust();
    scoped(close_fd) int program = open_program("berth-unpack");

    (void)state;
    assert_true(program >= 0);
    for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
        scoped(place_done) struct place place = place_new();
        scoped(payload_free) struct verified_payload *payload = NULL;
        struct unpack_spec spec;
        struct content c = attack_build(attacks[i].build, &spec);
        struct err err = { .rc = RC_OK };

        if (strcmp(spec.entry, "/../../../../../../bin/sh") == 0) {
            free(c.p);
            continue; /* the manifest's own check refuses it, so nobody can sign it */
        }

        struct manifest m = signed_manifest(&spec);
        scoped(close_fd) int fd = signed_package(&m, content_view(&c), K_ACME);
        enum rc rc = payload_verify(trust, fd, NOW_MS, &payload, &err);

        if (rc == RC_OK)
            rc = unpack_run(payload, program, place.staging, 300000, &err);
        if (rc != attacks[i].rc)
            fail_msg("%s: %s (%s)", attacks[i].why, rc_name(rc), err.what);
        assert_untouched(attacks[i].why, &place);
        free(c.p);
    }
}

static void test_good_package(void **state)
{
    scoped(trust_free) struct trust *trust = signed_trust();
    scoped(payload_free) struct verified_payload *payload = signed_payload(trust, "#!/bin/sh\n");
    scoped(close_fd) int program = open_program("berth-unpack");
    scoped(place_done) struct place place = place_new();
    struct stat st;
    struct err err;

    (void)state;
    assert_rc(unpack_run(payload, program, place.staging, 300000, &err), RC_OK);
    assert_int_equal(entries_in(place.staging, "."), 1 + POLICY_MOUNT_POINTS);
    assert_int_equal(fstatat(place.staging, "bin/app", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0755);
    assert_int_equal(st.st_uid, geteuid());
    assert_int_equal(st.st_size, 10);

    /* what is there is not mixed with what comes */
    assert_rc(unpack_run(payload, program, place.staging, 300000, &err), RC_EXISTS);
    assert_int_equal(entries_in(place.staging, "."), 1 + POLICY_MOUNT_POINTS);
}

/* Debian's own static busybox, packed by us. */
static void test_real_tree(void **state)
{
    scoped(trust_free) struct trust *trust = signed_trust();
    scoped(payload_free) struct verified_payload *payload = NULL;
    scoped(close_fd) int program = open_program("berth-unpack");
    scoped(place_done) struct place place = place_new();
    scoped(scratch_done) struct scratch tree = scratch_new();
    scoped(close_fd) int bin = make_dir(tree.fd, "bin");
    scoped(close_fd) int content = memfd_create("content", MFD_CLOEXEC);
    scoped(close_fd) int from = open("/bin/busybox", O_RDONLY | O_CLOEXEC);
    scoped(close_fd) int to = openat(bin, "busybox", O_RDWR | O_CREAT | O_CLOEXEC, 0755);
    struct packed packed;
    struct stat st, st_index;
    struct digest before;
    struct digest after;
    struct unpack_job job;
    struct err err;

    (void)state;
    if (from < 0)
        skip();
    assert_int_equal(fstat(from, &st), 0);
    assert_rc(fs_copy_digest(from, to, (uint64_t)st.st_size, before.b, &err), RC_OK);
    assert_int_equal(symlinkat("/bin/busybox", bin, "sh"), 0);
    assert_rc(pack_tree(tree.fd, "/bin/sh", 3, content, &packed, &err), RC_OK);

    struct manifest m = doc_manifest();
    uint8_t *bytes = malloc(packed.content_bytes);

    pack_fill(&packed, &m);
    (void)snprintf(m.arch, sizeof m.arch, "any");
    (void)snprintf(m.args[0], sizeof m.args[0], "/bin/sh");
    assert_rc(fs_pread_exact(content, bytes, packed.content_bytes, 0, &err), RC_OK);

    scoped(close_fd) int package =
        signed_package(&m, (struct bytes){ .p = bytes, .n = packed.content_bytes }, K_ACME);

    free(bytes);
    assert_rc(payload_verify(trust, package, NOW_MS, &payload, &err), RC_OK);

    scoped(close_fd) int index = openat(tree.fd, "index", O_RDWR | O_CREAT | O_CLOEXEC, 0644);

    assert_rc(unpack_start(payload, program, place.staging, index, &job, &err), RC_OK);
    struct pollfd ended = { .fd = job.pidfd, .events = POLLIN };
    assert_int_equal(poll(&ended, 1, 300000), 1);
    assert_rc(unpack_result(&job, &err), RC_OK);
    assert_int_equal(fstat(index, &st_index), 0);
    assert_rc(package_digest(index, 0, (uint64_t)st_index.st_size, after.b, &err), RC_OK);
    assert_memory_equal(&after, &packed.index, sizeof after);

    scoped(close_fd) int out = openat(place.staging, "bin/busybox", O_RDONLY | O_CLOEXEC);

    assert_rc(package_digest(out, 0, (uint64_t)st.st_size, after.b, &err), RC_OK);
    assert_memory_equal(&before, &after, sizeof before);
}

static void test_other_machine(void **state)
{
    scoped(trust_free) struct trust *trust = signed_trust();
    scoped(payload_free) struct verified_payload *payload = NULL;
    scoped(place_done) struct place place = place_new();
    struct unpack_job job = { .pid = -1 };
    struct unpack_spec spec;
    struct content c = attack_build(dot_dot, &spec);
    struct manifest m = signed_manifest(&spec);
    struct err err;

    (void)state;
#if defined(__aarch64__)
    (void)snprintf(m.arch, sizeof m.arch, "x86_64");
#else
    (void)snprintf(m.arch, sizeof m.arch, "aarch64");
#endif
    scoped(close_fd) int fd = signed_package(&m, content_view(&c), K_ACME);

    free(c.p);
    assert_rc(payload_verify(trust, fd, NOW_MS, &payload, &err), RC_OK);
    assert_rc(unpack_start(payload, -1, place.staging, -1, &job, &err), RC_ARCH);
    assert_int_equal(job.pid, -1);
}

/* Whose content nobody has read yet: berth-unpack reads it whole, and looks into none that is not
 * what was signed, not even as far as it is right. */
static void test_content_is_read_before_it_is_used(void **state)
{
    scoped(trust_free) struct trust *trust = signed_trust();
    scoped(payload_free) struct verified_payload *good = signed_payload(trust, "#!/bin/sh\n");
    scoped(payload_free) struct verified_payload *payload = NULL;
    scoped(close_fd) int program = open_program("berth-unpack");
    const int from = payload_fd(good);
    struct stat st = { 0 };
    uint8_t digest[DIGEST_SIZE], byte = 0;
    struct err err = { 0 };

    (void)state;
    assert_true(payload_content_read(good));
    assert_int_equal(fstat(from, &st), 0);
    for (off_t back = 0; back < 8; back++) { /* 0: as it was signed */
        scoped(place_done) struct place place = place_new();
        scoped(close_fd) int fd = memfd_create("package", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        assert_rc(fs_copy_digest(from, fd, (uint64_t)st.st_size, digest, &err), RC_OK);
        if (back > 0) {
            assert_int_equal(pread(fd, &byte, 1, st.st_size - back), 1);
            byte ^= 1;
            assert_int_equal(pwrite(fd, &byte, 1, st.st_size - back), 1);
        }
        assert_int_equal(
            fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
        assert_rc(payload_verify_signed(trust, fd, NOW_MS, &payload, &err), RC_OK);
        assert_false(payload_content_read(payload));
        assert_rc(unpack_run(payload, program, place.staging, 300000, &err),
                  back > 0 ? RC_DIGEST_MISMATCH : RC_OK);
        if (back > 0)
            assert_untouched("content", &place);
        payload_free(&payload);
    }
}

/* A program that ends without a word, and one that is not there. */
static void test_child_without_verdict(void **state)
{
    scoped(trust_free) struct trust *trust = signed_trust();
    scoped(payload_free) struct verified_payload *payload = signed_payload(trust, "x");
    scoped(place_done) struct place place = place_new();
    scoped(close_fd) int silent = open("/bin/true", O_PATH | O_CLOEXEC);
    struct err err;

    (void)state;
    assert_rc(unpack_run(payload, silent, place.staging, 300000, &err), RC_UNPACK_FAILED);
    assert_rc(unpack_run(payload, place.outside, place.staging, 300000, &err), RC_UNPACK_FAILED);
    assert_rc(unpack_run(payload, -1, place.staging, 300000, &err), RC_UNPACK_FAILED);
}

/* A program that does nothing until it is killed: cat, with our standard input replaced by the end
 * of a pipe that nobody writes. */
struct waiting {
    int program;
    int stdin_before;
    int pipe[2];
};

static struct waiting waiting_new(void)
{
    struct waiting w = { .program = open("/bin/cat", O_PATH | O_CLOEXEC),
                         .stdin_before = fcntl(0, F_DUPFD_CLOEXEC, 3) };

    assert_true(w.program >= 0 && w.stdin_before >= 0);
    assert_int_equal(pipe2(w.pipe, O_CLOEXEC), 0);
    assert_int_equal(dup2(w.pipe[0], 0), 0);
    return w;
}

static void waiting_done(struct waiting *w)
{
    assert_int_equal(dup2(w->stdin_before, 0), 0);
    close_fd(&w->stdin_before);
    close_fd(&w->program);
    close_fd(&w->pipe[0]);
    close_fd(&w->pipe[1]);
}

/* The event loop's way: nothing blocks, a running job says so, a cancelled one is gone. */
static void test_job(void **state)
{
    scoped(trust_free) struct trust *trust = signed_trust();
    scoped(payload_free) struct verified_payload *payload = signed_payload(trust, "x");
    scoped(payload_free) struct verified_payload *second = signed_payload(trust, "y");
    scoped(place_done) struct place place = place_new();
    scoped(place_done) struct place other = place_new();
    scoped(close_fd) int program = open_program("berth-unpack");
    struct unpack_job job;
    struct err err;

    (void)state;
    assert_rc(unpack_start(payload, program, place.staging, -1, &job, &err), RC_OK);
    payload_free(&payload);

    struct pollfd ready = { .fd = job.pidfd, .events = POLLIN };

    assert_int_equal(poll(&ready, 1, 300000), 1);
    assert_true(unpack_ended(&job));
    assert_true(unpack_ended(&job)); /* it takes nothing away */
    assert_rc(unpack_result(&job, &err), RC_OK);
    assert_int_equal(job.pidfd, -1);
    assert_int_equal(job.result_fd, -1);
    unpack_cancel(&job);

    struct waiting waiting = waiting_new();

    assert_rc(unpack_start(second, waiting.program, other.staging, -1, &job, &err), RC_OK);
    assert_false(unpack_ended(&job));
    assert_rc(unpack_result(&job, &err), RC_BUSY);
    assert_rc(unpack_result(&job, &err), RC_BUSY);
    unpack_kill(&job);
    struct pollfd gone = { .fd = job.pidfd, .events = POLLIN };
    assert_int_equal(poll(&gone, 1, 300000), 1);
    assert_true(unpack_ended(&job)); /* as often as it is asked */
    assert_true(unpack_ended(&job));
    assert_rc(unpack_result(&job, &err), RC_UNPACK_FAILED);
    assert_rc(unpack_start(second, waiting.program, other.staging, -1, &job, &err), RC_OK);
    unpack_cancel(&job);
    assert_int_equal(job.pidfd, -1);
    assert_int_equal(job.pid, 0);
    assert_rc(unpack_run(second, waiting.program, other.staging, 20, &err), RC_TIMEOUT);
    waiting_done(&waiting);
}

/* When the agent dies, so does the child, whatever it is doing. */
static void test_child_dies_with_parent(void **state)
{
    scoped(trust_free) struct trust *trust = signed_trust();
    scoped(payload_free) struct verified_payload *payload = signed_payload(trust, "x");
    scoped(place_done) struct place place = place_new();
    struct waiting waiting = waiting_new();
    int pair[2];
    pid_t job_pid = -1;
    char go = 0;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);

    pid_t agent = fork();

    if (agent == 0) {
        struct unpack_job job = { .pid = -1 };
        struct err err;

        if (unpack_start(payload, waiting.program, place.staging, -1, &job, &err) != RC_OK ||
            write(pair[1], &job.pid, sizeof job.pid) < 0 || read(pair[1], &go, 1) != 1)
            _exit(1);
        _exit(0);
    }
    assert_int_equal(read(pair[0], &job_pid, sizeof job_pid), sizeof job_pid);

    scoped(close_fd) int pidfd = pidfd_open(job_pid, 0);
    struct pollfd ended = { .fd = pidfd, .events = POLLIN };
    int status = -1;

    assert_true(pidfd >= 0);
    assert_int_equal(poll(&ended, 1, 0), 0);
    assert_int_equal(write(pair[0], &go, 1), 1);
    assert_int_equal(waitpid(agent, &status, 0), agent);
    assert_int_equal(status, 0);
    assert_int_equal(poll(&ended, 1, 300000), 1);
    close_fd(&pair[0]);
    close_fd(&pair[1]);
    waiting_done(&waiting);
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
        cmocka_unit_test(test_attacks_in_process),
        cmocka_unit_test(test_good_package),
        cmocka_unit_test(test_real_tree),
        cmocka_unit_test(test_other_machine),
        cmocka_unit_test(test_content_is_read_before_it_is_used),
        cmocka_unit_test(test_child_without_verdict),
        cmocka_unit_test(test_job),
        cmocka_unit_test(test_child_dies_with_parent),
        cmocka_unit_test(test_attacks_signed),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
