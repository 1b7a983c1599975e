/* SPDX-License-Identifier: Apache-2.0
 *
 * Container images, made here byte by byte in both forms, good and hostile.
 */
#include "tests/unit/test.h"

#include <string.h>

#include "orchestrator/image_build.h"
#include "orchestrator/json.h"
#include "tests/unit/update_fixture.h"

#define MANIFEST_TYPE "application/vnd.oci.image.manifest.v1+json"
#define INDEX_TYPE "application/vnd.oci.image.index.v1+json"
#define CONFIG_TYPE "application/vnd.oci.image.config.v1+json"
#define LAYER_TYPE "application/vnd.oci.image.layer.v1.tar"
#define LAYERS 3U

static struct err err;
static struct image_notes notes;

/* How an image departs from a good one. */
struct shape {
    const char *config;      /* what "config" holds; NULL = an entry point */
    const char *machine;     /* NULL = amd64 */
    const char *layer_type;  /* NULL = LAYER_TYPE */
    const char *extra;       /* put into the config's object, with a comma behind it */
    const char *index_extra; /* more entries of the index */
    const char *tag;
    bool saved;   /* in the form of `docker save` */
    bool zip;     /* layers compressed with zstd */
    bool flip;    /* a bit of a layer's blob */
    bool diff_id; /* the config's digest of a layer is another */
    bool strip;
};

/* Behind what is there already. */
static void append(char *out, size_t cap, const char *fmt, ...) printf_like(3, 4);
static void append(char *out, size_t cap, const char *fmt, ...)
{
    size_t at = strlen(out);
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(out + at, cap - at, fmt, args);
    va_end(args);
}

static const char *hex_of(const void *data, size_t n)
{
    static char hex[8][65];
    static unsigned turn;
    uint8_t sha[32];

    assert_rc(sha256_of((struct bytes){ .p = data, .n = n }, sha, &err), RC_OK);
    turn = (turn + 1) % 8;
    return bytes_hex((struct bytes){ .p = sha, .n = 32 }, hex[turn]);
}

static void add_data(struct tar *t, const char *name, const void *data, size_t n)
{
    struct tar_entry e = { .type = '0', .name = name, .mode = 0644, .data = data, .n = n };

    tar_add(t, &e);
}

/* Add a blob under its digest and write its descriptor. */
static void add_blob(struct tar *t, const char *type, const void *data, size_t n, char *out,
                     size_t cap)
{
    char name[100];

    (void)snprintf(name, sizeof name, "blobs/sha256/%s", hex_of(data, n));
    add_data(t, name, data, n);
    (void)snprintf(out, cap, "{\"mediaType\":\"%s\",\"digest\":\"sha256:%s\",\"size\":%zu}", type,
                   hex_of(data, n), n);
}

static void make_config(const struct shape *s, const struct tar *layers, size_t n, char *out,
                        size_t cap)
{
    char ids[1024] = "";

    for (size_t i = 0; i < n; i++) {

        append(ids, sizeof ids, "%s\"sha256:%s\"", i ? "," : "",
               s->diff_id ? hex_of("x", 1) : hex_of(layers[i].p, layers[i].n));
    }
    (void)snprintf(out, cap,
                   "{\"architecture\":\"%s\",\"os\":\"linux\",%s\"config\":%s,"
                   "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[%s]}}",
                   s->machine ? s->machine : "amd64", s->extra ? s->extra : "",
                   s->config ? s->config : "{\"Entrypoint\":[\"/bin/app\"]}", ids);
}

static void make_oci(const struct shape *s, const struct tar *layers, size_t n, struct tar *out)
{
    char config[4096], blob[400], list[2048] = "", manifest[4096], index[2048];

    for (size_t i = 0; i < n; i++) {
        struct bytes in = { .p = layers[i].p, .n = layers[i].n };
        struct content z = compress_window(in, 0);

        add_blob(out, s->layer_type ? s->layer_type : LAYER_TYPE, s->zip ? z.p : in.p,
                 s->zip ? z.n : in.n, blob, sizeof blob);
        if (s->flip)
            out->p[out->n - 512] ^= 1;
        append(list, sizeof list, "%s%s", i ? "," : "", blob);
        free(z.p);
    }
    make_config(s, layers, n, config, sizeof config);
    add_blob(out, CONFIG_TYPE, config, strlen(config), blob, sizeof blob);
    (void)snprintf(manifest, sizeof manifest, "{\"schemaVersion\":2,\"config\":%s,\"layers\":[%s]}",
                   blob, list);
    add_blob(out, MANIFEST_TYPE, manifest, strlen(manifest), blob, sizeof blob);
    (void)snprintf(index, sizeof index, "{\"schemaVersion\":2,\"manifests\":[%s%s]}", blob,
                   s->index_extra ? s->index_extra : "");
    add_data(out, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}", 30);
    add_data(out, "index.json", index, strlen(index));
}

static void make_saved(const struct shape *s, const struct tar *layers, size_t n, struct tar *out)
{
    char config[4096], name[100], list[512] = "", manifest[1024];

    for (size_t i = 0; i < n; i++) {

        (void)snprintf(name, sizeof name, "layer%zu/layer.tar", i);
        add_data(out, name, layers[i].p, layers[i].n);
        append(list, sizeof list, "%s\"%s\"", i ? "," : "", name);
    }
    make_config(s, layers, n, config, sizeof config);
    (void)snprintf(name, sizeof name, "%s.json", hex_of(config, strlen(config)));
    add_data(out, name, config, strlen(config));
    (void)snprintf(manifest, sizeof manifest,
                   "[{\"Config\":\"%s\",\"RepoTags\":[\"cam:1\"],\"Layers\":[%s]}]", name, list);
    add_data(out, "manifest.json", manifest, strlen(manifest));
}

static enum rc build_file(const struct scratch *s, const struct shape *shape, int *ret_content,
                          struct payload_spec *spec, struct packed *packed)
{
    (void)snprintf(spec->image.file, sizeof spec->image.file, "image.tar");
    (void)snprintf(spec->image.tag, sizeof spec->image.tag, "%s", shape->tag ? shape->tag : "");
    (void)snprintf(spec->manifest.arch, sizeof spec->manifest.arch, "x86_64");
    spec->image.strip_setuid = shape->strip;
    notes.n = 0;
    *ret_content = memfd_create("content", MFD_CLOEXEC);
    return image_build(s->path, spec, 1, *ret_content, packed, &notes, &err);
}

/* Write the image and build it; its layers are ended here. */
static enum rc build_to(const struct shape *shape, struct tar *layers, size_t n, int *ret_content,
                        struct payload_spec *spec, struct packed *packed)
{
    scoped(scratch_done) struct scratch s = scratch_new();
    scoped(tar_done) struct tar image = { 0 };

    for (size_t i = 0; i < n; i++)
        tar_end(&layers[i]);
    if (shape->saved)
        make_saved(shape, layers, n, &image);
    else
        make_oci(shape, layers, n, &image);
    tar_end(&image);
    assert_rc(
        fs_write_file(s.fd, "image.tar", (struct bytes){ .p = image.p, .n = image.n }, 0644, &err),
        RC_OK);
    return build_file(&s, shape, ret_content, spec, packed);
}

static void layers_done(struct tar (*layers)[LAYERS])
{
    for (size_t i = 0; i < LAYERS; i++)
        tar_done(&(*layers)[i]);
}

static struct payload_spec *spec_new(void)
{
    struct payload_spec *spec = calloc(1, sizeof *spec);

    assert_non_null(spec);
    return spec;
}

/* ---- what good images become ---- */

/* Lower: programs, files to go, a directory to be emptied; upper: whiteouts and links. */
static void good_layers(struct tar *layers)
{
    tar_dir(&layers[0], "./");
    tar_dir(&layers[0], "./bin/");
    tar_file(&layers[0], "./bin/real", 0755, "program");
    tar_link(&layers[0], '2', "bin/app", "/bin/real");
    tar_file(&layers[0], "etc/gone", 0644, "1");
    tar_file(&layers[0], "etc/dir/below", 0600, "2");
    tar_file(&layers[0], "opt/a/old", 0644, "3");
    tar_file(&layers[0], "run/pid", 0644, "4");
    tar_file(&layers[0], "was/dir/x", 0644, "5");
    tar_file(&layers[1], "etc/.wh.gone", 0644, "");
    tar_file(&layers[1], "etc/.wh.dir", 0644, "");
    tar_file(&layers[1], "opt/a/new", 0644, "6");
    tar_file(&layers[1], "opt/a/.wh..wh..opq", 0644, "");
    tar_link(&layers[1], '1', "bin/across", "bin/real");
    tar_file(&layers[1], "was/dir", 0644, "a file now");
    tar_file(&layers[2], "etc/dir", 0644, "again");
    tar_file(&layers[2], "caf\303\251", 0644, "7");
    tar_link(&layers[2], '1', "within", "caf\303\251");
}

static bool is_there(const struct scratch *out, const char *path)
{
    return faccessat(out->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void check_tree(int content, const struct payload_spec *spec, const struct packed *packed)
{
    static const char *const there[] = { "bin/across", "bin/app", "etc/dir",    "opt/a/new",
                                         "was/dir",    "within",  "caf\303\251" };
    static const char *const not_there[] = { "etc/gone", "opt/a/old", "run/pid", "etc/.wh.gone" };
    scoped(scratch_done) struct scratch out = scratch_new();
    struct unpack_spec unpack = { .content_bytes = packed->content_bytes,
                                  .unpacked_bytes = packed->unpacked_bytes,
                                  .content = packed->content,
                                  .content384 = packed->content384,
                                  .files = packed->files,
                                  .index = packed->index,
                                  .index384 = packed->index384 };

    (void)snprintf(unpack.entry, sizeof unpack.entry, "%s", spec->manifest.args[0]);
    assert_rc(unpack_content(content, &unpack, out.fd, -1, &err), RC_OK);
    for (size_t i = 0; i < sizeof there / sizeof there[0]; i++)
        assert_true(is_there(&out, there[i]));
    for (size_t i = 0; i < sizeof not_there / sizeof not_there[0]; i++)
        assert_false(is_there(&out, not_there[i]));
}

static void both_forms_give_the_same_package(void **state)
{
    static const struct shape shapes[] = { { .saved = true }, { 0 }, { .zip = true } };
    struct packed packed[3];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        scoped(layers_done) struct tar layers[LAYERS] = { 0 };
        scoped(free_ptr) struct payload_spec *spec = spec_new();
        scoped(close_fd) int content = -1;

        good_layers(layers);
        assert_rc(build_to(&shapes[i], layers, LAYERS, &content, spec, &packed[i]), RC_OK);
        check_tree(content, spec, &packed[i]);
        assert_memory_equal(&packed[i].content, &packed[0].content, DIGEST_SIZE);
        assert_int_equal(notes.n, 1); /* of run/pid */
    }
}

/* The config's fields, where they go and what is said of those that go nowhere. */
static void config_becomes_start(void **state)
{
    const struct shape shape = {
        .config = "{\"Entrypoint\":[\"app\",\"-a\"],\"Cmd\":[\"-b\"],\"WorkingDir\":\"/\","
                  "\"Env\":[\"PATH=/x:/bin\",\"TZ=UTC\",\"A=1\"],\"User\":\"5\","
                  "\"Volumes\":{\"/v\":{}},\"Labels\":{\"x\":\"y\"},\"OnBuild\":null}",
    };
    scoped(layers_done) struct tar layers[LAYERS] = { 0 };
    scoped(free_ptr) struct payload_spec *spec = spec_new();
    scoped(close_fd) int content = -1;
    const struct manifest *m = &spec->manifest;
    struct packed packed;

    (void)state;
    memcpy(spec->manifest.env[spec->manifest.n_env++], "TZ=CET", 7);
    good_layers(layers);
    assert_rc(build_to(&shape, layers, LAYERS, &content, spec, &packed), RC_OK);
    assert_int_equal(m->n_args, 3);
    assert_string_equal(m->args[0], "/bin/app");
    assert_string_equal(m->args[1], "-a");
    assert_string_equal(m->args[2], "-b");
    assert_int_equal(m->n_env, 3);
    assert_string_equal(m->env[0], "TZ=CET");
    assert_string_equal(m->env[1], "PATH=/x:/bin");
    assert_string_equal(m->env[2], "A=1");
    assert_int_equal(notes.n, 3);
    assert_non_null(strstr(notes.note[0], "User"));
    assert_non_null(strstr(notes.note[1], "Volumes"));
}

static void setuid_is_stripped_only_if_asked(void **state)
{
    const struct shape shape = { .strip = true };
    scoped(layers_done) struct tar layers[LAYERS] = { 0 };
    scoped(free_ptr) struct payload_spec *spec = spec_new();
    scoped(close_fd) int content = -1;
    struct packed packed;

    (void)state;
    tar_file(&layers[0], "bin/app", 04755, "x");
    assert_rc(build_to(&shape, layers, 1, &content, spec, &packed), RC_OK);
    assert_int_equal(notes.n, 1);
    assert_non_null(strstr(notes.note[0], "bin/app"));
}

/* ---- images whose documents are wrong ---- */

static void documents_are_checked(void **state)
{
    static const char foreign[] = ",{\"mediaType\":\"" MANIFEST_TYPE "\",\"digest\":\"sha256:"
                                  "00000000000000000000000000000000000000000000000000000000000000ff"
                                  "\",\"size\":9,\"platform\":{\"architecture\":\"s390x\",\"os\":"
                                  "\"linux\"}}";
    static const char second[] = ",{\"mediaType\":\"" MANIFEST_TYPE "\",\"digest\":\"sha256:"
                                 "00000000000000000000000000000000000000000000000000000000000000ff"
                                 "\",\"size\":9}";
    static const struct {
        struct shape shape;
        enum rc want;
    } rows[] = {
        { { .index_extra = foreign }, RC_OK },
        { { .index_extra = second }, RC_IMAGE_CHOICE },
        { { .tag = "2" }, RC_NOT_FOUND },
        { { .tag = "2", .saved = true }, RC_NOT_FOUND },
        { { .tag = "1", .saved = true }, RC_OK },
        { { .tag = "cam:1", .saved = true }, RC_OK },
        { { .machine = "arm64" }, RC_ARCH },
        { { .machine = "arm64", .saved = true }, RC_ARCH },
        { { .flip = true }, RC_DIGEST_MISMATCH },
        { { .diff_id = true }, RC_DIGEST_MISMATCH },
        { { .diff_id = true, .saved = true }, RC_DIGEST_MISMATCH },
        { { .layer_type = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" },
          RC_IMAGE_FORMAT },
        { { .extra = "\"os\":\"linux\"," }, RC_IMAGE_FORMAT }, /* a key twice */
        { { .extra =
                "\"x\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]," },
          RC_IMAGE_FORMAT },
        { { .extra = "\"x\":nope," }, RC_IMAGE_FORMAT },
        { { .config = "{}" }, RC_IMAGE_CONFIG },
        { { .config = "[1]" }, RC_IMAGE_FORMAT },
        { { .config = "{\"Cmd\":[\"/bin/app\"],\"WorkingDir\":\"/app\"}" }, RC_IMAGE_CONFIG },
        { { .config = "{\"Cmd\":\"/bin/app\"}" }, RC_IMAGE_FORMAT },
        { { .config = "{\"Cmd\":[1]}" }, RC_IMAGE_FORMAT },
        { { .config = "{\"Cmd\":[\"/bin/app\\u0000x\"]}" }, RC_IMAGE_FORMAT },
        { { .config = "{\"Cmd\":[\"/bin/app\",\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\","
                      "\"9\",\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\"]}" },
          RC_IMAGE_CONFIG },
        { { .config = "{\"Cmd\":[\"/bin/none\"]}" }, RC_ENTRY_POINT },
        { { .config = "{\"Cmd\":[\"/etc/dir\"]}" }, RC_ENTRY_POINT },
        { { .config = "{\"Cmd\":[\"bin/app\"]}" }, RC_ENTRY_POINT },
        { { .config = "{\"Cmd\":[\"none\"]}" }, RC_ENTRY_POINT },
        { { .config = "{\"Cmd\":[\"/bin/../../../bin/app\"]}" }, RC_OK },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        scoped(layers_done) struct tar layers[LAYERS] = { 0 };
        scoped(free_ptr) struct payload_spec *spec = spec_new();
        scoped(close_fd) int content = -1;
        struct packed packed;
        enum rc rc;

        good_layers(layers);
        rc = build_to(&rows[i].shape, layers, LAYERS, &content, spec, &packed);
        if (rc != rows[i].want)
            fail_msg("row %zu: %s (%s), want %s", i, rc_name(rc), err.what, rc_name(rows[i].want));
    }
}

/* ---- layers that are wrong ---- */

struct hostile {
    struct tar_entry lower, upper; /* beside bin/app; no name = none */
    enum rc want;
};

#define FILE_AT(path)                                                                              \
    {                                                                                              \
        .type = '0', .name = (path), .mode = 0644, .data = "x", .n = 1                             \
    }
#define MARK(path)                                                                                 \
    {                                                                                              \
        .type = '0', .name = (path), .mode = 0644                                                  \
    }
#define DIR_AT(path)                                                                               \
    {                                                                                              \
        .type = '5', .name = (path), .mode = 0755                                                  \
    }
#define LINK_AT(path, to)                                                                          \
    {                                                                                              \
        .type = '2', .name = (path), .link = (to), .mode = 0777                                    \
    }
#define HARD_AT(path, to)                                                                          \
    {                                                                                              \
        .type = '1', .name = (path), .link = (to), .mode = 0644                                    \
    }

static void layers_are_checked(void **state)
{
    static const struct hostile rows[] = {
        { { 0 }, FILE_AT("../x"), RC_ARCHIVE_PATH },
        { { 0 }, FILE_AT("a/../../x"), RC_ARCHIVE_PATH },
        { { 0 }, FILE_AT("/etc/passwd"), RC_ARCHIVE_PATH },
        { { 0 }, FILE_AT("a//b"), RC_ARCHIVE_PATH },
        { { 0 }, FILE_AT("a/./b"), RC_ARCHIVE_PATH },
        { { 0 }, FILE_AT("dev/../../x"), RC_ARCHIVE_PATH },
        { { 0 }, FILE_AT("a\033[2Jb"), RC_ARCHIVE_PATH },
        { LINK_AT("a", "/etc"), FILE_AT("a/passwd"), RC_ARCHIVE_LINK },
        { LINK_AT("a", "."), MARK("a/.wh.bin"), RC_ARCHIVE_LINK },
        { LINK_AT("a", "bin"), MARK("a/.wh..wh..opq"), RC_ARCHIVE_LINK },
        { LINK_AT("a", "bin"), DIR_AT("a"), RC_OK },
        { FILE_AT("a"), FILE_AT("a/b"), RC_ARCHIVE_PATH },
        { { 0 }, LINK_AT("a", "../x"), RC_ARCHIVE_LINK },
        { { 0 }, LINK_AT("a", "b/../../x"), RC_ARCHIVE_LINK },
        { { 0 }, HARD_AT("a", "none"), RC_ARCHIVE_LINK },
        { { 0 }, HARD_AT("a", "../etc/passwd"), RC_ARCHIVE_LINK },
        { { 0 }, HARD_AT("a", "bin"), RC_ARCHIVE_LINK },
        { LINK_AT("l", "bin/app"), HARD_AT("a", "l"), RC_ARCHIVE_LINK },
        { LINK_AT("l", "bin"), HARD_AT("a", "l/app"), RC_ARCHIVE_LINK },
        { { 0 }, HARD_AT("a", "bin/app"), RC_OK },
        { { 0 }, HARD_AT("../a", "bin/app"), RC_ARCHIVE_PATH },
        { { 0 }, MARK(".wh."), RC_ARCHIVE_PATH },
        { { 0 }, MARK(".wh..."), RC_ARCHIVE_PATH },
        { { 0 }, MARK("bin/.wh..wh.plnk"), RC_ARCHIVE_PATH },
        { { 0 }, MARK("../.wh.x"), RC_ARCHIVE_PATH },
        { { 0 }, FILE_AT(".wh.x/y"), RC_ARCHIVE_PATH },
        { { 0 }, DIR_AT(".wh.x"), RC_ARCHIVE_TYPE },
        { { 0 }, FILE_AT(".wh.x"), RC_ARCHIVE_TYPE },
        { { 0 }, MARK(".wh.none"), RC_OK },
        { { 0 }, MARK(".wh.bin"), RC_ENTRY_POINT },
        { { 0 }, MARK("bin/.wh.app"), RC_ENTRY_POINT },
        { { 0 }, MARK(".wh..wh..opq"), RC_OK },
        { { 0 }, { .type = '0', .name = "s", .mode = 04755 }, RC_ARCHIVE_MODE },
        { { 0 }, { .type = '0', .name = "s", .mode = 02755 }, RC_ARCHIVE_MODE },
        { { 0 }, { .type = '5', .name = "t", .mode = 01777 }, RC_OK },
        { { 0 }, { .type = '3', .name = "c", .mode = 0644 }, RC_ARCHIVE_TYPE },
        { { 0 }, { .type = '4', .name = "b", .mode = 0644 }, RC_ARCHIVE_TYPE },
        { { 0 }, { .type = '6', .name = "p", .mode = 0644 }, RC_ARCHIVE_TYPE },
        { { 0 }, { .type = '3', .name = "dev/null", .mode = 0644 }, RC_OK },
        { { 0 }, { .type = '0', .name = "big", .mode = 0644, .n = 0x1ffffffff }, RC_ARCHIVE_BOMB },
        { { 0 }, { .type = '0', .name = "lie", .mode = 0644, .n = 1000000 }, RC_ARCHIVE_FORMAT },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        scoped(layers_done) struct tar layers[LAYERS] = { 0 };
        scoped(free_ptr) struct payload_spec *spec = spec_new();
        scoped(close_fd) int content = -1;
        bool root_opaque = rows[i].upper.name && strcmp(rows[i].upper.name, ".wh..wh..opq") == 0;
        struct packed packed;
        enum rc rc;

        tar_file(&layers[0], "bin/app", 0755, "x");
        if (rows[i].lower.name)
            tar_add(&layers[0], &rows[i].lower);
        tar_add(&layers[1], &rows[i].upper);
        if (root_opaque) /* what the same layer brings stays */
            tar_file(&layers[1], "bin/app", 0755, "y");
        rc = build_to(&(struct shape){ .saved = i % 2 }, layers, 2, &content, spec, &packed);
        if (rc != rows[i].want)
            fail_msg("row %zu, %s: %s (%s), want %s", i, rows[i].upper.name, rc_name(rc), err.what,
                     rc_name(rows[i].want));
    }
}

static void same_path_twice_in_a_layer(void **state)
{
    scoped(layers_done) struct tar layers[LAYERS] = { 0 };
    scoped(free_ptr) struct payload_spec *spec = spec_new();
    scoped(close_fd) int content = -1;
    struct packed packed;

    (void)state;
    tar_file(&layers[0], "bin/app", 0755, "x");
    tar_file(&layers[0], "./bin/app", 0755, "y");
    assert_rc(build_to(&(struct shape){ 0 }, layers, 1, &content, spec, &packed),
              RC_ARCHIVE_DUPLICATE);
}

/* A small layer that unpacks to far more than it may. */
static void bombs_are_refused(void **state)
{
    scoped(layers_done) struct tar layers[LAYERS] = { 0 };
    scoped(free_ptr) struct payload_spec *spec = spec_new();
    scoped(free_ptr) char *zeros = calloc(1, 64U << 20);
    scoped(close_fd) int content = -1;
    struct packed packed;

    (void)state;
    assert_non_null(zeros);
    tar_file(&layers[0], "bin/app", 0755, "x");
    add_data(&layers[0], "zeros", zeros, 64U << 20);
    assert_rc(build_to(&(struct shape){ .zip = true }, layers, 1, &content, spec, &packed),
              RC_ARCHIVE_BOMB);
}

/* ---- files that hold no image ---- */

static enum rc build_bytes(struct tar *image)
{
    scoped(scratch_done) struct scratch s = scratch_new();
    scoped(free_ptr) struct payload_spec *spec = spec_new();
    scoped(close_fd) int content = -1;
    struct packed packed;

    assert_rc(fs_write_file(s.fd, "image.tar", (struct bytes){ .p = image->p, .n = image->n }, 0644,
                            &err),
              RC_OK);
    return build_file(&s, &(struct shape){ 0 }, &content, spec, &packed);
}

static void outer_tar_is_checked(void **state)
{
    static const struct {
        struct tar_entry first, second;
        enum rc want;
    } rows[] = {
        { FILE_AT("x"), FILE_AT("y"), RC_IMAGE_FORMAT },
        { FILE_AT("x"), FILE_AT("x"), RC_ARCHIVE_DUPLICATE },
        { FILE_AT("x"), FILE_AT("./x"), RC_ARCHIVE_DUPLICATE },
        { FILE_AT("index.json"), FILE_AT("y"), RC_IMAGE_FORMAT },
        { FILE_AT("manifest.json"), FILE_AT("y"), RC_IMAGE_FORMAT },
        { LINK_AT("index.json", "/etc/passwd"), FILE_AT("y"), RC_IMAGE_FORMAT },
        { HARD_AT("index.json", "index.json"), FILE_AT("y"), RC_IMAGE_FORMAT },
        { { .type = 'L', .name = "x", .mode = 0644 }, FILE_AT("y"), RC_IMAGE_FORMAT },
        { { .type = '0', .name = "x", .magic = "GNUtar  " }, FILE_AT("y"), RC_IMAGE_FORMAT },
        { { .type = '0', .name = "x", .n = 0x1ffffffff }, FILE_AT("y"), RC_SHORT },
        { { .type = 'x', .name = "x", .data = "10 path=a\n", .n = 10 },
          FILE_AT("y"),
          RC_IMAGE_FORMAT },
        { { .type = 'x', .name = "x", .data = "99 mtime=1\n", .n = 11 },
          FILE_AT("y"),
          RC_IMAGE_FORMAT },
        { { .type = '0', .name = "index.json", .mode = 0644 }, FILE_AT("y"), RC_TOO_LARGE },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        scoped(tar_done) struct tar image = { 0 };
        enum rc rc;

        tar_add(&image, &rows[i].first);
        tar_add(&image, &rows[i].second);
        tar_end(&image);
        rc = build_bytes(&image);
        if (rc != rows[i].want)
            fail_msg("row %zu: %s (%s), want %s", i, rc_name(rc), err.what, rc_name(rows[i].want));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_forms_give_the_same_package),
        cmocka_unit_test(config_becomes_start),
        cmocka_unit_test(setuid_is_stripped_only_if_asked),
        cmocka_unit_test(documents_are_checked),
        cmocka_unit_test(layers_are_checked),
        cmocka_unit_test(same_path_twice_in_a_layer),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test(outer_tar_is_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
