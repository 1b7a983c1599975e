/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_oci: hand a command of the OCI runtime interface over to berth-oci, which is
 * installed beside this program.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "orchestrator/checking.h"
#include "orchestrator/cmd.h"

#define OCI "berth-oci"
#define WORDS_MAX (3U * CLI_VALUES_MAX + 3U)
#define OPTION_CAP 32U

static int run(struct cli *cli)
{
    static char names[CLI_VALUES_MAX][OPTION_CAP];
    scoped(close_fd) int fd = -1;
    char *argv[WORDS_MAX];
    struct err err = { 0 };
    size_t n = 0;
    enum rc rc = checking_sibling(OCI, &fd, &err);

    /* execve takes char * for history's sake and changes nothing. */
    argv[n++] = (char *)(uintptr_t)OCI;
    for (size_t i = 0; i < cli->n_values; i++) {
        (void)snprintf(names[i], sizeof names[i], "--%s", cli->values[i].name);
        argv[n++] = names[i];
        if (cli->values[i].value)
            argv[n++] = (char *)(uintptr_t)cli->values[i].value;
    }
    for (size_t i = 0; i < cli->n_args; i++)
        argv[n++] = (char *)(uintptr_t)cli->args[i];
    argv[n] = NULL;
    if (rc == RC_OK) {
        (void)execveat(fd, "", argv, environ, AT_EMPTY_PATH);
        (void)!err_sys(&err, RC_IO, OCI);
    }
    return cli_fail(cli, &err, "make install puts " OCI " beside berth");
}

static const struct cli_option options[] = {
    { "root", CLI_PATH, "DIR", "where the state of containers is (else /run/berth-oci)" },
    { "bind-from", CLI_PATH, "DIR",
      "containers may be given what lies in DIR, beside their bundle" },
    { "bundle", CLI_PATH, "DIR", "create: the bundle (else the working directory)" },
    { "pid-file", CLI_PATH, "FILE", "create: write the number of its process there" },
    { "force", CLI_FLAG, NULL, "delete: end it first" },
    { "all", CLI_FLAG, NULL, "kill: everything in it" },
    { 0 },
};

const struct cli_command cmd_oci[] = {
    { .name = "oci",
      .group = "Payloads",
      .args = "create|start|state|kill|delete ID [SIGNAL]",
      .summary = "Run an OCI bundle inside the walls of a payload",
      .about = "For bundles that other tools made, and for suites that judge runtimes; needs root, "
               "and is no part of what flies.\nWhat would take a wall away is refused, or left out "
               "and said: docs/oci.md lists each with its reason.",
      .args_min = 2,
      .args_max = 3,
      .options = options,
      .run = run },
    { 0 },
};
