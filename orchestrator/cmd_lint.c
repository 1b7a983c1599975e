/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_lint: put the files of a payload together and hand them over to berth-lint,
 * which runs and watches it and is installed beside this program.
 *
 * The payload is the caller's own, or a package that somebody gave him: it runs as he would run it,
 * but in namespaces of its own, and not as root.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "orchestrator/checking.h"
#include "orchestrator/cmd.h"
#include "orchestrator/path.h"
#include "orchestrator/payload.h"
#include "orchestrator/scratch.h"
#include "orchestrator/stage.h"
#include "orchestrator/unpacked.h"
#include "update/package.h"

#define LINT "berth-lint"
#define SECONDS_MAX 3600U
#define WORDS_MAX (8U + 2U * PAYLOAD_ENV_MAX + PAYLOAD_ARGS_MAX)

/* A payload as files and the command to run. */
struct linted {
    struct scratch_dir dir;
    struct unpacked unpacked;  /* of a package */
    struct payload_spec *spec; /* of a directory */
    const struct manifest *manifest;
    int root;
};

static void linted_done(struct linted *l)
{
    close_fd(&l->root);
    unpacked_done(&l->unpacked);
    scratch_close(&l->dir);
    free(l->spec);
}

static enum rc from_directory(const char *base, struct linted *l, struct err *err)
{
    scoped(yaml_close) struct yaml *doc = NULL;
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", base, PAYLOAD_FILE);
    enum rc rc = RC_OK;

    l->spec = calloc(1, sizeof *l->spec);
    if (n < 0 || (size_t)n >= sizeof path)
        return err_set(err, RC_TOO_LARGE, "%s", base);
    if (!l->spec)
        return err_set(err, RC_NO_MEMORY, "payload");
    rc = yaml_load(AT_FDCWD, path, &doc, err);
    if (rc == RC_OK)
        rc = payload_read(doc, l->spec, err);
    if (rc == RC_OK && l->spec->image.file[0] != '\0')
        rc = err_set(err, RC_USAGE, "%s names an image", PAYLOAD_FILE);
    if (rc == RC_OK)
        rc = fs_open_dir(l->dir.fd, "root", 0755, &l->root, err);
    if (rc == RC_OK)
        rc = stage_fill(base, l->spec, l->root, err);
    l->manifest = &l->spec->manifest;
    return rc;
}

static enum rc from_package(const char *path, struct linted *l, struct err *err)
{
    scoped(close_fd) int fd = -1;
    scoped(close_fd) int sealed = -1;
    scoped(close_fd) int program = -1;
    uint64_t size = 0;
    enum rc rc = path_open_file(path, PACKAGE_FILE_MAX, &fd, &size, err);

    if (rc == RC_OK)
        rc = payload_seal(fd, &sealed, err);
    if (rc == RC_OK)
        rc = checking_sibling("berth-unpack", &program, err);
    if (rc != RC_OK)
        return rc;
    const struct unpacked_place place = { .dirfd = l->dir.fd, .program = program };

    rc = unpacked_open(sealed, &place, "package", &l->unpacked, err);
    if (rc != RC_OK)
        return rc;
    l->root = fcntl(l->unpacked.root, F_DUPFD_CLOEXEC, 0);
    l->manifest = l->unpacked.manifest;
    return l->root < 0 ? err_sys(err, RC_IO, "package") : RC_OK;
}

/* Where a descriptor's directory lies: berth-lint mounts it, which takes a path. */
static enum rc path_of(int fd, char ret[PATH_MAX], struct err *err)
{
    char link[32];
    ssize_t n;

    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, ret, PATH_MAX - 1);
    if (n <= 0 || ret[0] != '/')
        return err_sys(err, RC_IO, "%s", link);
    ret[n] = '\0';
    return RC_OK;
}

/* execve takes char * for history's sake and changes nothing. */
static void add(char **argv, size_t *n, const char *word)
{
    argv[(*n)++] = (char *)(uintptr_t)word;
}

static enum rc run_lint(struct cli *cli, const struct linted *l, int *ret_code, struct err *err)
{
    scoped(close_fd) int fd = -1;
    char root[PATH_MAX];
    char seconds[16];
    char *argv[WORDS_MAX];
    size_t n = 0;
    int status = 0;
    uint64_t time = 0;
    enum rc rc = cli_number(cli, "seconds", 10, 1, SECONDS_MAX, &time, err);

    if (rc == RC_OK)
        rc = path_of(l->root, root, err);
    if (rc == RC_OK)
        rc = checking_sibling(LINT, &fd, err);
    if (rc != RC_OK)
        return rc;
    (void)snprintf(seconds, sizeof seconds, "%u", (unsigned)time);
    add(argv, &n, LINT);
    if (cli->json)
        add(argv, &n, "--json");
    add(argv, &n, "--seconds");
    add(argv, &n, seconds);
    for (uint32_t i = 0; i < l->manifest->n_env; i++) {
        add(argv, &n, "--env");
        add(argv, &n, l->manifest->env[i]);
    }
    add(argv, &n, root);
    for (uint32_t i = 0; i < l->manifest->n_args; i++)
        add(argv, &n, l->manifest->args[i]);
    argv[n] = NULL;

    pid_t pid = fork();
    if (pid == 0) {
        (void)execveat(fd, "", argv, environ, AT_EMPTY_PATH);
        _exit(127);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (pid < 0 || !WIFEXITED(status) || WEXITSTATUS(status) == 127)
        return err_sys(err, RC_IO, LINT);
    *ret_code = WEXITSTATUS(status);
    return RC_OK;
}

static bool is_directory(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* What is worth a run: the calls of a machine are those of its tender, which is not here. */
static enum rc check_runnable(const struct linted *l, const char **ret_fix, struct err *err)
{
    if (l->manifest->isolation == ISOLATION_VM) {
        *ret_fix = "lint the program without a machine around it";
        return err_set(err, RC_NOT_BUILT, "isolation: vm: a guest makes no calls of its own");
    }
    if (geteuid() == 0) {
        *ret_fix = "run it as yourself: a payload needs no privilege to be watched";
        return err_set(err, RC_CONFINE, "recording as root");
    }
    return RC_OK;
}

static const char *fix_of(enum rc rc)
{
    if (rc == RC_USAGE)
        return "berth build it, and give the package";
    if (rc == RC_IO)
        return "make install puts berth-lint beside berth";
    return rc == RC_YAML ? "edit " PAYLOAD_FILE : CLI_FIX_PATH;
}

static int run(struct cli *cli)
{
    scoped(linted_done) struct linted l = { .dir = SCRATCH_NONE,
                                            .unpacked = UNPACKED_NONE,
                                            .root = -1 };
    const char *what = cli_arg(cli, 0);
    const char *fix = NULL;
    struct err err = { 0 };
    int code = 1;
    enum rc rc = scratch_open(&l.dir, &err);

    if (rc == RC_OK)
        rc = is_directory(what) ? from_directory(what, &l, &err) : from_package(what, &l, &err);
    if (rc == RC_OK)
        rc = check_runnable(&l, &fix, &err);
    if (rc == RC_OK)
        rc = run_lint(cli, &l, &code, &err);
    if (rc == RC_OK)
        return code;
    return cli_fail(cli, &err, "%s", fix ? fix : fix_of(rc));
}

static const struct cli_option options[] = {
    { "seconds", CLI_TEXT, "N", "how long it may run (else 10)" },
    { 0 },
};

const struct cli_command cmd_lint[] = {
    { .name = "lint payload",
      .group = "Payloads",
      .args = "DIR|FILE",
      .summary = "Run a payload here, watched, and propose the least profile and limits",
      .about =
          "Takes the directory of a payload.yaml or a package, signed or not.  The program runs in "
          "namespaces of its own\nwithout a network, with its own files only; calls that no "
          "profile allows are refused as on board.  Not as root.",
      .args_min = 1,
      .args_max = 1,
      .options = options,
      .run = run },
    { 0 },
};
