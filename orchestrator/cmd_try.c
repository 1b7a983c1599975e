/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_try: run a payload here as it would run in orbit, by berth-try, which is
 * installed beside this program and becomes this process.
 */
#include <fcntl.h>
#include <unistd.h>

#include "orchestrator/checking.h"
#include "orchestrator/cmd.h"

#define TRY "berth-try"

static const struct cli_option options[] = {
    { "grant", CLI_PATH, "FILE", "the grant whose limits apply (else what the payload asks for)" },
    { "scenario", CLI_PATH, "FILE", "passes, mail and faults, and what must follow" },
    { "for", CLI_TEXT, "DURATION", "end it after so long, such as 5s (else when it ends, or ^C)" },
    { "outbox", CLI_PATH, "DIR", "keep there what comes down in a pass" },
    { "require", CLI_TEXT, "WALL,...", "refuse to run where one of these walls is missing" },
    { 0 },
};

#define OPTIONS (sizeof options / sizeof options[0] - 1)

/* execve takes char * for history's sake and changes nothing. */
static char *word(const char *text)
{
    return (char *)(uintptr_t)text;
}

static int run(struct cli *cli)
{
    scoped(close_fd) int fd = -1;
    char names[OPTIONS][24];
    char *argv[2 * OPTIONS + 5];
    size_t n = 0;
    struct err err = { 0 };
    enum rc rc = checking_sibling(TRY, &fd, &err);

    argv[n++] = word(TRY);
    if (cli->json)
        argv[n++] = word("--json");
    for (size_t i = 0; i < OPTIONS; i++) {
        const char *value = cli_value(cli, options[i].name);

        if (value == NULL)
            continue;
        (void)snprintf(names[i], sizeof names[i], "--%s", options[i].name);
        argv[n++] = names[i];
        argv[n++] = word(value);
    }
    argv[n++] = word("--");
    argv[n++] = word(cli_arg(cli, 0));
    argv[n] = NULL;
    if (rc == RC_OK) {
        (void)fflush(cli->out);
        (void)execveat(fd, "", argv, environ, AT_EMPTY_PATH);
        (void)!err_sys(&err, RC_IO, TRY);
    }
    return cli_fail(cli, &err, "make install puts " TRY " beside berth");
}

const struct cli_command cmd_try[] = {
    { .name = "try",
      .group = "Payloads",
      .args = "DIR|FILE",
      .summary = "Run a payload here as in orbit, without root",
      .about =
          "Takes the directory of a payload.yaml or a package, signed or not, and runs it in the "
          "sandbox that a satellite\nmakes, as far as an ordinary user can: first comes a table of "
          "the walls that hold, are weaker, or are missing\nhere, and why.  /data, /inbox, /outbox "
          "and /tmp lie in memory and end with it.  With --scenario passes and\nfaults are played. "
          " Not as root.  What runs here is not thereby safe: it runs as you.",
      .args_min = 1,
      .args_max = 1,
      .options = options,
      .run = run },
    { 0 },
};
