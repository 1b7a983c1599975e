/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_diff: what changes between two packages, and what that costs on the link.
 *
 * Nothing of either file is believed: berth-unpack takes both apart (orchestrator/unpacked), names
 * are made printable.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "orchestrator/checking.h"
#include "orchestrator/cmd.h"
#include "orchestrator/cost.h"
#include "orchestrator/delta_make.h"
#include "orchestrator/describe.h"
#include "orchestrator/diff.h"
#include "orchestrator/draft.h"
#include "orchestrator/fleet.h"
#include "orchestrator/home.h"
#include "orchestrator/path.h"
#include "orchestrator/ride.h"
#include "orchestrator/scratch.h"
#include "orchestrator/screen.h"

#define PATH_SHOWN 44U  /* bytes of a path in the table */
#define VALUE_SHOWN 26U /* of a manifest's value */
#define FIELDS_MAX 256U

/* A field of the manifests that differs; "resources.pids". */
struct field_change {
    char name[64];
    char *old, *new; /* as JSON; NULL = not there */
};

struct comparison {
    struct unpacked old, new;
    struct diff files;
    struct field_change field[FIELDS_MAX];
    uint32_t n_fields;
    bool has_delta;
    struct delta_made delta;
    const char *no_delta; /* why there is none */
    struct cost cost;
};

static void comparison_done(struct comparison *c)
{
    for (uint32_t i = 0; i < c->n_fields; i++) {
        free(c->field[i].old);
        free(c->field[i].new);
    }
    diff_done(&c->files);
    unpacked_done(&c->old);
    unpacked_done(&c->new);
}

/* ---- the two packages -------------------------------------------------------------------------
 */

/* "acme/cam@1.2.0" to its parts. */
static bool split(const char *text, char tenant[NAME_CAP], char name[NAME_CAP],
                  char version[VERSION_CAP])
{
    const char *at = strrchr(text, '@');
    char both[2 * NAME_CAP + 1];

    if (!at || (size_t)(at - text) >= sizeof both || strlen(at + 1) >= VERSION_CAP)
        return false;
    memcpy(both, text, (size_t)(at - text));
    both[at - text] = '\0';
    memcpy(version, at + 1, strlen(at + 1) + 1);
    return version[0] != '\0' && fleet_split(both, tenant, name);
}

static enum rc open_pushed(struct cli *cli, const char *tenant, const char *name,
                           const char *version, int *ret_fd, struct err *err)
{
    scoped(home_close) struct home home = HOME_NONE;
    struct store_package row;
    uint64_t size = 0;
    enum rc rc = home_open(cli->home, false, &home, err);

    if (rc == RC_OK)
        rc = store_package(home.store, tenant, name, version, &row, err);
    return rc == RC_OK ? home_open_object(&home, &row.object, ret_fd, &size, err) : rc;
}

/* A file, or a version in the home; a copy that nobody can change. */
static enum rc open_side(struct cli *cli, const char *text, int *ret_fd, struct err *err)
{
    char tenant[NAME_CAP], name[NAME_CAP], version[VERSION_CAP];
    scoped(close_fd) int fd = -1;
    uint64_t size = 0;
    enum rc rc;

    if (access(text, F_OK) != 0 && split(text, tenant, name, version))
        rc = open_pushed(cli, tenant, name, version, &fd, err);
    else
        rc = path_open_file(text, DRAFT_FILE_MAX, &fd, &size, err);
    return rc == RC_OK ? payload_seal(fd, ret_fd, err) : rc;
}

static enum rc unpack_side(struct cli *cli, const struct unpacked_place *place, size_t i,
                           struct unpacked *ret, struct err *err)
{
    static const char *const names[] = { "old", "new" };
    scoped(close_fd) int fd = -1;
    struct err inner = { 0 };
    enum rc rc = open_side(cli, cli_arg(cli, i), &fd, err);

    if (rc != RC_OK)
        return rc;
    rc = unpacked_open(fd, place, names[i], ret, &inner);
    if (rc != RC_OK) {
        char what[sizeof inner.what];

        (void)!err_set(err, rc, "%.30s: %s", cli_arg(cli, i),
                       screen_safe(inner.what, what, sizeof what));
        err->sys = inner.sys;
    }
    return rc;
}

/* ---- the manifests ----------------------------------------------------------------------------
 */

/* What follows from the files, which are shown by themselves. */
static bool is_of_files(const char *name)
{
    static const char *const names[] = { "kind",           "content", "content384", "content_bytes",
                                         "unpacked_bytes", "files",   "index",      "index384" };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static char *text_of(const json_t *value)
{
    return value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS) : NULL;
}

static void add_field(struct comparison *c, const char *group, const char *name, const json_t *old,
                      const json_t *new)
{
    struct field_change *f = &c->field[c->n_fields];

    if (json_equal(old, new) || c->n_fields == FIELDS_MAX)
        return;
    (void)snprintf(f->name, sizeof f->name, "%.30s%s%.30s", group, group[0] ? "." : "", name);
    f->old = text_of(old);
    f->new = text_of(new);
    c->n_fields++;
}

/* Those of one object and of the other. */
static void compare_fields(struct comparison *c, const char *group, json_t *old, json_t *new)
{
    const char *name;
    json_t *value;

    json_object_foreach(old, name, value) if (!is_of_files(name))
        add_field(c, group, name, value, json_object_get(new, name));
    json_object_foreach(new, name, value) if (!is_of_files(name) && !json_object_get(old, name))
        add_field(c, group, name, NULL, value);
}

static void compare_manifests(struct comparison *c)
{
    static const char *const groups[] = { "resources", "health", "wants", "life" };
    json_t *old = describe_manifest(c->old.manifest);
    json_t *new = describe_manifest(c->new.manifest);

    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
        if (json_is_object(json_object_get(old, groups[i])) &&
            json_is_object(json_object_get(new, groups[i]))) {
            compare_fields(c, groups[i], json_object_get(old, groups[i]),
                           json_object_get(new, groups[i]));
            (void)json_object_del(old, groups[i]);
            (void)json_object_del(new, groups[i]);
        }
    compare_fields(c, "", old, new);
    json_decref(old);
    json_decref(new);
}

/* ---- the delta --------------------------------------------------------------------------------
 */

static bool same_everything(const struct comparison *c)
{
    return c->files.n == 0 && c->n_fields == 0;
}

/* How far it is, on a terminal. */
static void tell(void *arg, uint64_t done, uint64_t total)
{
    struct cli *cli = arg;

    (void)fprintf(cli->err, "\rmaking the delta: %u %% ",
                  total > 0 ? (unsigned)(done * 100U / total) : 0);
    (void)fflush(cli->err);
}

/* It is made for its size and thrown away. */
static enum rc try_delta(struct cli *cli, struct comparison *c, struct err *err)
{
    scoped(close_fd) int out = -1;
    struct err why = { 0 };
    enum rc rc;

    if (cli_flag(cli, "no-delta")) {
        c->no_delta = "not asked for";
        return RC_OK;
    }
    if (!delta_make_can(&c->old, &c->new)) {
        c->no_delta = "two payloads, or a manifest without index";
        return RC_OK;
    }
    out = memfd_create("delta", MFD_CLOEXEC);
    if (out < 0)
        return err_sys(err, RC_IO, "memfd");

    bool shows = !cli->json && isatty(STDERR_FILENO);
    const struct make_progress progress = { .tell = shows ? tell : NULL, .arg = cli };

    rc = delta_make(&c->old, &c->new, out, &progress, &c->delta, &why);
    if (shows)
        (void)fputs("\r\033[K", cli->err);
    c->has_delta = rc == RC_OK;
    c->no_delta = rc_text(rc); /* the rest of the comparison is as good without it */
    return RC_OK;
}

static enum rc compare(struct cli *cli, struct comparison *c, struct err *err)
{
    scoped(scratch_close) struct scratch_dir dir = SCRATCH_NONE;
    scoped(close_fd) int program = -1;
    enum rc rc = cost_options(cli, &c->cost, err);

    if (rc == RC_OK)
        rc = checking_sibling("berth-unpack", &program, err);
    if (rc == RC_OK)
        rc = scratch_open(&dir, err);

    const struct unpacked_place place = { .dirfd = dir.fd, .program = program };

    if (rc == RC_OK)
        rc = unpack_side(cli, &place, 0, &c->old, err);
    if (rc == RC_OK)
        rc = unpack_side(cli, &place, 1, &c->new, err);
    if (rc == RC_OK)
        rc = diff_indexes((struct bytes){ c->old.index, c->old.index_bytes },
                          (struct bytes){ c->new.index, c->new.index_bytes }, &c->files, err);
    if (rc == RC_OK)
        compare_manifests(c);
    return rc == RC_OK ? try_delta(cli, c, err) : rc;
}

/* ---- for people -------------------------------------------------------------------------------
 */

/* A path made printable; of a long one the end, which tells more. */
static const char *path_text(struct bytes path, char out[PATH_SHOWN + 1])
{
    size_t skip = path.n > PATH_SHOWN ? path.n - PATH_SHOWN : 0;
    size_t n = path.n - skip;

    for (size_t i = 0; i < n; i++) {
        uint8_t b = path.p[skip + i];

        out[i] = b >= 0x20 && b < 0x7f ? (char)b : '?';
    }
    out[n] = '\0';
    if (skip > 0)
        memcpy(out, "...", 3);
    return out;
}

static const char *size_text(enum index_kind kind, uint64_t size, char out[CLI_SIZE_CAP])
{
    static const char *const words[] = { [0] = "", [INDEX_DIR] = "dir", [INDEX_LINK] = "link" };

    if (kind == INDEX_FILE || kind == INDEX_PROGRAM)
        return cli_size(size, out);
    return words[kind];
}

static void add_entry(struct cli_table *table, const struct diff_entry *e)
{
    char old[CLI_SIZE_CAP], new[CLI_SIZE_CAP], path[PATH_SHOWN + 1], from[PATH_SHOWN + 1];
    const char *cells[] = { diff_what_text(e->what), size_text(e->old_kind, e->old_size, old),
                            size_text(e->new_kind, e->new_size, new), path_text(e->path, path) };
    const char *const origin[] = { "  from", "", "", path_text(e->from, from) };

    if (e->what == DIFF_MODE)
        cells[0] = e->new_kind == INDEX_PROGRAM ? "+x" : "-x";
    cli_table_row(table, cells);
    if (e->what == DIFF_MOVED)
        cli_table_row(table, origin);
}

static void print_files(struct cli *cli, const struct comparison *c)
{
    static const char *const headings[] = { "FILE", "OLD", "NEW", "PATH" };
    scoped(cli_table_free) struct cli_table *table = cli_table_new(headings, 4);
    const uint32_t *count = c->files.count;

    for (uint32_t i = 0; i < c->files.n; i++)
        add_entry(table, &c->files.entries[i]);
    if (c->files.n > 0)
        cli_table_print(cli, table);
    cli_say(cli, "%u added, %u removed, %u changed, %u moved, %u other mode, %u same",
            count[DIFF_ADDED], count[DIFF_REMOVED], count[DIFF_CHANGED], count[DIFF_MOVED],
            count[DIFF_MODE], count[DIFF_SAME]);
}

/* A value of at most VALUE_SHOWN bytes; digests and lists are cut. */
static const char *value_text(const char *value, char out[VALUE_SHOWN + 1])
{
    size_t n = value ? strlen(value) : 0;

    (void)screen_safe(value ? value : "(none)", out, VALUE_SHOWN + 1);
    if (n > VALUE_SHOWN)
        memcpy(out + VALUE_SHOWN - 3, "...", 4);
    return out;
}

static void print_fields(struct cli *cli, const struct comparison *c)
{
    static const char *const headings[] = { "MANIFEST", "OLD", "NEW" };
    scoped(cli_table_free) struct cli_table *table = cli_table_new(headings, 3);

    for (uint32_t i = 0; i < c->n_fields; i++) {
        char old[VALUE_SHOWN + 1], new[VALUE_SHOWN + 1];
        const char *const cells[] = { c->field[i].name, value_text(c->field[i].old, old),
                                      value_text(c->field[i].new, new) };

        cli_table_row(table, cells);
    }
    if (c->n_fields > 0)
        cli_table_print(cli, table);
}

static void print_costs(struct cli *cli, const struct comparison *c)
{
    char bytes[COST_TEXT_CAP], passes[COST_TEXT_CAP], memory[CLI_SIZE_CAP];
    uint64_t full = c->new.full_bytes;

    cli_say(cli, "full   %12s bytes  %s", cost_bytes(full, bytes),
            cost_text(&c->cost, full, passes));
    if (c->has_delta)
        cli_say(cli, "delta  %12s bytes  %s, applying takes %s of memory",
                cost_bytes(c->delta.size, bytes), cost_text(&c->cost, c->delta.size, passes),
                cli_size(c->delta.memory, memory));
    else
        cli_say(cli, "delta  none: %s", c->no_delta);
    cli_say(cli, "at %llu bit/s and %llu s a pass: the %s goes", (unsigned long long)c->cost.rate,
            (unsigned long long)c->cost.pass_s,
            c->has_delta && ride_gains(c->delta.size, full) ? "delta" : "full package");
    if (!c->new.envelope)
        cli_note(cli, "note: not signed yet: signatures come on top of both");
}

static void print(struct cli *cli, const struct comparison *c)
{
    const struct manifest *a = c->old.manifest, *b = c->new.manifest;

    cli_say(cli, "%s/%s %s -> %s/%s %s", a->tenant, a->name, a->version, b->tenant, b->name,
            b->version);
    print_files(cli, c);
    print_fields(cli, c);
    print_costs(cli, c);
}

/* ---- for programs -----------------------------------------------------------------------------
 */

static json_t *path_json(struct bytes path)
{
    char text[PACKAGE_PATH_MAX + 1] = "";

    (void)!bytes_to_text(path, text, sizeof text);
    return path.n > 0 ? json_safe(text) : json_null();
}

static json_t *files_json(const struct comparison *c)
{
    static const char *const kinds[] = { [0] = "",
                                         [INDEX_FILE] = "file",
                                         [INDEX_PROGRAM] = "program",
                                         [INDEX_DIR] = "dir",
                                         [INDEX_LINK] = "link" };
    json_t *list = json_array();

    for (uint32_t i = 0; i < c->files.n; i++) {
        const struct diff_entry *e = &c->files.entries[i];

        (void)json_array_append_new(
            list,
            json_pack("{s:s, s:o, s:o, s:s, s:s, s:o, s:o}", "change", diff_what_text(e->what),
                      "path", path_json(e->path), "from", path_json(e->from), "old_kind",
                      kinds[e->old_kind], "new_kind", kinds[e->new_kind], "old_bytes",
                      json_uint(e->old_size), "new_bytes", json_uint(e->new_size)));
    }
    return list;
}

static json_t *parsed(const char *text)
{
    json_t *value = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;

    return value ? value : json_null();
}

static json_t *fields_json(const struct comparison *c)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < c->n_fields; i++)
        (void)json_array_append_new(list, json_pack("{s:s, s:o, s:o}", "field", c->field[i].name,
                                                    "old", parsed(c->field[i].old), "new",
                                                    parsed(c->field[i].new)));
    return list;
}

static json_t *side_json(const struct unpacked *u)
{
    return json_pack("{s:s, s:s, s:s, s:o, s:b}", "tenant", u->manifest->tenant, "name",
                     u->manifest->name, "version", u->manifest->version, "manifest",
                     json_digest(&u->digest), "signed", u->envelope != NULL);
}

static json_t *delta_json(const struct comparison *c)
{
    if (!c->has_delta)
        return json_null();
    return json_pack("{s:o, s:o, s:o, s:b}", "bytes", json_uint(c->delta.size), "passes",
                     cost_passes_json(&c->cost, c->delta.size), "memory_bytes",
                     json_uint(c->delta.memory), "goes",
                     (int)ride_gains(c->delta.size, c->new.full_bytes));
}

static json_t *comparison_json(const struct comparison *c)
{
    const uint32_t *count = c->files.count;
    json_t *counts = json_pack("{s:i, s:i, s:i, s:i, s:i, s:i}", "added", (int)count[DIFF_ADDED],
                               "removed", (int)count[DIFF_REMOVED], "changed",
                               (int)count[DIFF_CHANGED], "moved", (int)count[DIFF_MOVED], "mode",
                               (int)count[DIFF_MODE], "same", (int)count[DIFF_SAME]);
    json_t *full = json_pack("{s:o, s:o}", "bytes", json_uint(c->new.full_bytes), "passes",
                             cost_passes_json(&c->cost, c->new.full_bytes));

    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "old", side_json(&c->old),
                     "new", side_json(&c->new), "files", files_json(c), "counts", counts,
                     "manifest", fields_json(c), "full", full, "delta", delta_json(c), "rate",
                     json_uint(c->cost.rate), "pass_seconds", json_uint(c->cost.pass_s));
}

/* ---- the command ------------------------------------------------------------------------------
 */

static int failed(struct cli *cli, const struct err *err)
{
    switch ((int)err->rc) {
    case RC_NOT_FOUND:
        return cli_fail(cli, err, CLI_FIX_PATH ", or a version as tenant/name@version");
    case RC_NO_PACKAGE:
        return cli_fail(cli, err, "berth push FILE.berth, or name a file");
    case RC_PACKAGE_FORMAT:
        return cli_fail(cli, err, "give what berth build or berth sign wrote");
    case RC_USAGE:
        return cli_fail(cli, err, "berth diff --help");
    default:
        return cli_fail(cli, err, "berth inspect FILE");
    }
}

static int run(struct cli *cli)
{
    scoped(free_ptr) struct comparison *c = calloc(1, sizeof *c);
    struct err err = { 0 };
    int code;

    if (!c) {
        (void)!err_set(&err, RC_NO_MEMORY, "diff");
        return cli_fail(cli, &err, NULL);
    }
    c->old = c->new = (struct unpacked)UNPACKED_NONE;
    if (compare(cli, c, &err) != RC_OK) {
        comparison_done(c);
        return failed(cli, &err);
    }
    print(cli, c);
    code = cli_json(cli, comparison_json(c));
    if (code == CLI_OK && !same_everything(c))
        code = CLI_CHANGES;
    comparison_done(c);
    return code;
}

static const struct cli_option options[] = {
    { "no-delta", CLI_FLAG, NULL, "do not make a delta to see how large it is" },
    COST_OPTIONS,
    { 0 },
};

const struct cli_command cmd_diff[] = {
    { .name = "diff",
      .group = "Payloads",
      .args = "OLD NEW",
      .summary = "Show what changes between two packages, and what it costs to send",
      .about = "OLD and NEW are files, signed or not, or versions in the home as "
               "tenant/name@version.  Shows files that\nwere added, removed, changed, moved or got "
               "another mode, and fields of the manifest; the bytes of the\nfull package and of a "
               "delta, and the passes that they take at --rate and --pass.  Nothing is verified "
               "or\nexecuted.  Ends with 3 when the two differ, 0 when they do not.",
      .args_min = 2,
      .args_max = 2,
      .options = options,
      .run = run },
    { 0 },
};
