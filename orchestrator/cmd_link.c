/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_link: look at bundle files, of any origin, without believing or touching them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/limits.h"
#include "link/bpsec.h"
#include "link/pcapng.h"
#include "orchestrator/auditing.h"
#include "orchestrator/cmd.h"
#include "orchestrator/cmd_link.h"
#include "orchestrator/describe.h"
#include "orchestrator/path.h"

#define ENTRIES_MAX 100000U /* of one directory */

/* One bundle file, handed to whatever looks at it; an error ends the walk. */
struct look {
    enum rc (*file)(struct look *look, const char *name, int fd, uint64_t size, struct err *err);
    struct cli *cli;
    int dirfd; /* of the directory that is being walked, -1 = none */
    const char *dir;
    struct err err; /* what ended the walk of a directory */
    uint64_t files;
    uint64_t skipped; /* entries of directories that are no bundle files */
    json_t *rows;
    struct cli_table *table;
    uint64_t refused; /* dump: what the strict decoder does not take */
    int out;          /* capture */
};

static enum rc one_file(struct look *look, const char *name, int fd, uint64_t size, struct err *err)
{
    look->files++;
    return look->file(look, name, fd, size, err);
}

/* Names that begin with '.' are somebody's temporary files; what is no plain file of a bundle's
 * size is not opened any further. */
static bool on_entry(void *arg, const char *name)
{
    struct look *look = arg;
    scoped(close_fd) int fd = -1;
    char path[512];
    uint64_t size = 0;
    struct err skipped;

    if (name[0] == '.' ||
        fs_open_plain(look->dirfd, name, BUNDLE_MAX, &fd, &size, &skipped) != RC_OK || size == 0) {
        look->skipped++;
        return true;
    }
    (void)snprintf(path, sizeof path, "%s/%s", look->dir, name);
    return one_file(look, path, fd, size, &look->err) == RC_OK;
}

static enum rc walk_one(struct look *look, const char *path, struct err *err)
{
    scoped(close_fd) int fd = -1;
    uint64_t size = 0;
    struct stat st;
    bool more = false;

    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        enum rc rc = path_open_dir(path, false, &fd, err);

        look->dirfd = fd;
        look->dir = path;
        look->err = (struct err){ 0 };
        if (rc == RC_OK)
            rc = fs_list(fd, ".", ENTRIES_MAX, on_entry, look, &more, err);
        if (rc == RC_OK && look->err.rc != RC_OK) {
            *err = look->err;
            rc = err->rc;
        }
        if (rc == RC_OK && more)
            cli_note(look->cli, "note: %s has more than %u entries; the rest was not looked at",
                     path, ENTRIES_MAX);
        return rc;
    }
    enum rc rc = path_open_file(path, BUNDLE_MAX, &fd, &size, err);

    return rc == RC_OK ? one_file(look, path, fd, size, err) : rc;
}

static enum rc walk(struct look *look, struct err *err)
{
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && cli_arg(look->cli, i); i++)
        rc = walk_one(look, cli_arg(look->cli, i), err);
    if (rc == RC_OK && look->skipped > 0)
        cli_note(look->cli, "note: %llu other entries were left alone",
                 (unsigned long long)look->skipped);
    return rc;
}

static enum rc read_bundle(int fd, uint64_t size, uint8_t **ret, struct err *err)
{
    *ret = malloc((size_t)size + 1);
    return *ret ? fs_pread_exact(fd, *ret, (size_t)size, 0, err)
                : err_set(err, RC_NO_MEMORY, "bundle");
}

/* ---- dump ---- */

/* What one level makes of a bundle: {"code", "name"} and where and why, if it is refused. */
static json_t *verdict(struct bytes in, enum bundle_level level, struct bundle *bundle,
                       enum rc *ret)
{
    struct err why = { 0 };

    *ret = bpsec_take(in, level, bundle, &why);
    if (*ret == RC_OK)
        return json_pack("{s:s, s:i}", "name", rc_name(RC_OK), "code", (int)RC_OK);
    return json_pack("{s:s, s:i, s:o, s:o}", "name", rc_name(*ret), "code", (int)*ret, "offset",
                     json_uint(why.at), "rule", json_safe(why.what));
}

static enum rc dump_file(struct look *look, const char *name, int fd, uint64_t size,
                         struct err *err)
{
    scoped(free_ptr) struct bundle *bundle = calloc(1, sizeof *bundle);
    scoped(free_ptr) uint8_t *buf = NULL;
    enum rc rc = bundle ? read_bundle(fd, size, &buf, err) : err_set(err, RC_NO_MEMORY, "bundle");
    char src[64] = "-", dst[64] = "-", bytes[24], blocks[24], at[96];
    enum rc strict, lenient;

    if (rc != RC_OK)
        return rc;
    struct bytes in = { buf, (size_t)size };
    json_t *row = json_pack("{s:o, s:o}", "file", json_safe(name), "bytes", json_uint(size));

    (void)json_object_set_new(row, "strict", verdict(in, BUNDLE_STRICT, bundle, &strict));
    /* Of a bundle that only the lenient decoder takes, its fields are shown. */
    (void)json_object_set_new(row, "lenient", verdict(in, BUNDLE_LENIENT, bundle, &lenient));
    if (lenient == RC_OK)
        (void)json_object_update_missing_new(row, describe_bundle(bundle));
    look->refused += strict != RC_OK;
    const json_t *why = json_object_get(row, "strict");

    (void)snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)size);
    (void)snprintf(blocks, sizeof blocks, "%zu", bundle->n_blocks);
    if (lenient == RC_OK) {
        (void)eid_text(&bundle->src, src, sizeof src);
        (void)eid_text(&bundle->dst, dst, sizeof dst);
    }
    (void)snprintf(at, sizeof at, "%s, at %lld", json_string_value(json_object_get(why, "rule")),
                   (long long)json_integer_value(json_object_get(why, "offset")));
    cli_table_row(look->table, (const char *const[]){
                                   name, bytes, rc_name(strict), rc_name(lenient), src, dst,
                                   lenient == RC_OK ? blocks : NULL, strict == RC_OK ? NULL : at });
    (void)json_array_append_new(look->rows, row);
    return RC_OK;
}

static int dump(struct cli *cli)
{
    static const char *const headings[] = { "FILE",   "BYTES",       "STRICT", "LENIENT",
                                            "SOURCE", "DESTINATION", "BLOCKS", "WHY NOT" };
    scoped(cli_table_free) struct cli_table *table =
        cli_table_new(headings, sizeof headings / sizeof headings[0]);
    struct look look = { .file = dump_file, .cli = cli, .rows = json_array(), .table = table };
    struct err err;

    if (walk(&look, &err) != RC_OK) {
        json_decref(look.rows);
        return cli_fail(cli, &err, CLI_FIX_PATH);
    }
    cli_table_print(cli, table);
    int code = cli_json(
        cli, json_pack("{s:o, s:o}", "bundles", look.rows, "refused", json_uint(look.refused)));

    return code == CLI_OK && look.refused > 0 ? CLI_FAILED : code;
}

/* ---- capture ---- */

static enum rc capture_file(struct look *look, const char *name, int fd, uint64_t size,
                            struct err *err)
{
    scoped(free_ptr) uint8_t *buf = NULL;
    scoped(free_ptr) uint8_t *record = malloc((size_t)size + PCAPNG_OVERHEAD_MAX);
    struct stat st;
    struct bytes out;

    if (fstat(fd, &st) != 0)
        return err_sys(err, RC_IO, "%s", name);
    const struct timespec *t = &st.st_mtim;
    enum rc rc = record ? read_bundle(fd, size, &buf, err) : err_set(err, RC_NO_MEMORY, "record");

    if (rc != RC_OK)
        return rc;
    const struct pcapng_record r = {
        .unix_us = t->tv_sec < 0 ? 0 : (uint64_t)t->tv_sec * 1000000U + (uint64_t)t->tv_nsec / 1000,
        .direction = cli_flag(look->cli, "in")    ? PCAPNG_IN
                     : cli_flag(look->cli, "out") ? PCAPNG_OUT
                                                  : PCAPNG_UNKNOWN,
        .comment = name,
        .bundle = { buf, (size_t)size },
    };

    rc = pcapng_bundle(&r, record, (size_t)size + PCAPNG_OVERHEAD_MAX, &out, err);
    return rc == RC_OK ? fs_write_all(look->out, out, err) : rc;
}

/* The capture file is new: what is there is never written over. */
static enum rc open_capture(const char *path, int *ret_fd, struct err *err)
{
    uint8_t begin[PCAPNG_BEGIN_SIZE];
    struct bytes out;
    enum rc rc = pcapng_begin(begin, sizeof begin, &out, err);

    if (rc != RC_OK)
        return rc;
    *ret_fd = strcmp(path, "-") == 0
                  ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
                  : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (*ret_fd < 0)
        return err_sys(err, errno == EEXIST ? RC_EXISTS : RC_IO, "%s", path);
    return fs_write_all(*ret_fd, out, err);
}

static int capture(struct cli *cli)
{
    scoped(close_fd) int fd = -1;
    struct look look = { .file = capture_file, .cli = cli };
    const char *path = cli_value(cli, "to");
    struct err err;
    enum rc rc = path ? open_capture(path, &fd, &err) : err_set(&err, RC_USAGE, "no --to");

    if (rc == RC_USAGE)
        return cli_fail(cli, &err, "berth link capture %.200s --to FILE.pcapng", cli_arg(cli, 0));
    if (rc != RC_OK)
        return cli_fail(cli, &err, "name a file that is not there yet, or - for stdout");
    look.out = fd;
    if (walk(&look, &err) != RC_OK)
        return cli_fail(cli, &err, CLI_FIX_PATH);
    if (strcmp(path, "-") == 0)
        return CLI_OK;
    cli_say(cli, "%llu bundles in %s; look at them: tshark -r %s -V",
            (unsigned long long)look.files, path, path);
    return cli_json(
        cli, json_pack("{s:o, s:o}", "file", json_safe(path), "bundles", json_uint(look.files)));
}

static const struct cli_option capture_options[] = {
    { "to", CLI_PATH, "FILE", "the capture to make, in pcapng; - writes to stdout" },
    { "in", CLI_FLAG, NULL, "mark the bundles as received" },
    { "out", CLI_FLAG, NULL, "mark the bundles as sent" },
    { 0 },
};

static const struct cli_option send_options[] = {
    { "bytes", CLI_TEXT, "N", "bytes of bundles that the carrier can take (all that is due)" },
    { "files", CLI_TEXT, "N", "bundle files that may wait in the uplink (100000)" },
    AUDITING_OPTIONS,
    CLI_OPTION_PASSPHRASE,
    { 0 },
};

static const struct cli_option status_options[] = {
    CLI_OPTION_WATCH,
    { 0 },
};

const struct cli_command cmd_link[] = {
    { .name = "link status",
      .group = "Link",
      .args = "[SATELLITE...]",
      .names = CLI_SATELLITES,
      .summary = "What waits, what is on its way, and what the last contact brought",
      .about =
          "UP WAITING and DOWN WAITING are bundle files that the carrier has not taken, or "
          "berth-ground has\nnot. QUEUED is what the satellite has not confirmed. USEFUL is the "
          "share of the bytes of the last\ncontact that brought something new. KEYS is the "
          "epoch of the link's key. A satellite that is\nnamed is shown in full.",
      .args_max = CLI_VALUES_MAX,
      .watch = CLI_WATCH,
      .listing = "satellites.id",
      .options = status_options,
      .run = cmd_link_status },
    { .name = "link send",
      .group = "Link",
      .args = "SATELLITE",
      .names = CLI_SATELLITES,
      .summary = "Write what is due into one satellite's uplink directory, once",
      .about =
          "For carriers that are a script or a person with a disk; berth-ground, where it runs, "
          "does this all\nthe time. Takes in first what lies in the downlink, so that nothing "
          "goes up that is there; what no\nreport has confirmed goes again with each call. "
          "Rollouts and orders are moved on, as "
          "berth-ground\ndoes, for the whole fleet.",
      .args_min = 1,
      .args_max = 1,
      .options = send_options,
      .run = cmd_link_send },
    { .name = "link recv",
      .group = "Link",
      .args = "SATELLITE",
      .names = CLI_SATELLITES,
      .summary = "Take in what lies in one satellite's downlink directory, once",
      .about = "Files that are no authentic bundle of this satellite are removed and counted.",
      .args_min = 1,
      .args_max = 1,
      .run = cmd_link_recv },
    { .name = "link dump",
      .group = "Link",
      .args = "FILE|DIR...",
      .summary = "What bundle files are, and why not if they are none",
      .about = "Every plain file of a directory counts, whatever its name. STRICT is what Berth "
               "accepts, LENIENT what\nother implementations are known to send; a refusal names "
               "the rule and the offset. Nothing is\ndecrypted, verified or removed. Exit code 1: "
               "the strict decoder refuses one of them.",
      .args_min = 1,
      .args_max = CLI_VALUES_MAX,
      .run = dump },
    { .name = "link capture",
      .group = "Link",
      .args = "FILE|DIR...",
      .summary = "Bundle files as a capture for Wireshark and tshark",
      .about = "Takes each file as it is, valid or not, with the time of its last change and its "
               "name as a comment.\nNothing is removed.",
      .args_min = 1,
      .args_max = CLI_VALUES_MAX,
      .options = capture_options,
      .run = capture },
    { 0 },
};
