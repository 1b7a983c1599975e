/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_explain: hand over to berth-explain, which knows the sandbox and is installed
 * beside this program.
 */
#include <fcntl.h>
#include <unistd.h>

#include "orchestrator/checking.h"
#include "orchestrator/cmd.h"
#include "orchestrator/path.h"
#include "update/package.h"

/* Told here, in the form of all other commands' errors. */
static enum rc readable(const char *path, struct err *err)
{
    scoped(close_fd) int fd = -1;
    uint64_t size = 0;

    return path_open_file(path, PACKAGE_FILE_MAX, &fd, &size, err);
}

static int run(struct cli *cli)
{
    scoped(close_fd) int fd = -1;
    char *argv[CLI_VALUES_MAX + 4];
    size_t n = 0;
    struct err err;
    const char *grant = cli_value(cli, "grant");
    enum rc rc = readable(cli_arg(cli, 0), &err);

    if (rc == RC_OK && grant)
        rc = readable(grant, &err);
    if (rc != RC_OK)
        return cli_fail(cli, &err, CLI_FIX_PATH);
    rc = checking_sibling("berth-explain", &fd, &err);

    /* execve takes char * for history's sake and changes nothing. */
    argv[n++] = (char *)(uintptr_t) "berth-explain";
    if (cli->json)
        argv[n++] = (char *)(uintptr_t) "--json";
    if (grant) {
        argv[n++] = (char *)(uintptr_t) "--grant";
        argv[n++] = (char *)(uintptr_t)grant;
    }
    for (size_t i = 0; i < cli->n_args; i++)
        argv[n++] = (char *)(uintptr_t)cli->args[i];
    argv[n] = NULL;
    if (rc == RC_OK) {
        (void)execveat(fd, "", argv, environ, AT_EMPTY_PATH);
        (void)!err_sys(&err, RC_IO, "berth-explain");
    }
    return cli_fail(cli, &err, "make install puts berth-explain beside berth");
}

static const struct cli_option options[] = {
    { "grant", CLI_PATH, "FILE", "the grant whose limits apply (else the package's own wishes)" },
    { 0 },
};

const struct cli_command cmd_explain[] = {
    { .name = "explain",
      .group = "Payloads",
      .args = "FILE",
      .summary = "Print the sandbox that a package would run in",
      .args_min = 1,
      .args_max = 1,
      .options = options,
      .run = run },
    { 0 },
};
