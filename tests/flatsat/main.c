/* SPDX-License-Identifier: Apache-2.0
 *
 * flatsat: the program on this side of the guest.  tests/flatsat/guest.h says what the guest is.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/log.h"
#include "tests/flatsat/agents.h"
#include "tests/flatsat/flushes.h"
#include "tests/flatsat/guest.h"
#include "tests/flatsat/powercut.h"

#define IMAGES "build/flatsat"
#define RUN_SECONDS 180U
#define CUTS 25U
#define POINTS 200U

static const char usage_text[] =
    "usage: flatsat run [--state FILE] [--seconds N] [--console FILE] COMMAND\n"
    "       flatsat agents [--keep]\n"
    "       flatsat powercut [--cuts N] [--seed N] [--row FILE] [--keep] [--verbose]\n"
    "       flatsat flushes [--points N] [--seed N] [--row FILE] [--keep] [--verbose]\n"
    "\n"
    "run       boot the guest, run one line of sh as root in it, print what it prints, power off;\n"
    "          the exit status is the command's\n"
    "agents    let the agent replace itself, by good builds and broken ones, and cut the power "
    "while\n"
    "          one is on trial\n"
    "powercut  cut the guest's power at random moments of a loop of updates, and check after each\n"
    "          cut that nothing is lost\n"
    "flushes   log what some errands write, make the disk again as it was at each flush and a "
    "little\n"
    "          later, and check the same\n"
    "\n"
    "All boot what tools/flatsat has put into build/flatsat, and run in the project's directory.\n"
    "  --state FILE    a disk that outlives the boot: an ext4 image with lib/ (/var/lib/berth) "
    "and\n"
    "                  spool/ (/var/spool/berth)\n"
    "  --seconds N     give up after so long (default 180)\n"
    "  --console FILE  where the console goes (default /dev/null)\n"
    "  --cuts N        so many cuts (default 25)\n"
    "  --points N      look at so many flushes at the most (default 200)\n"
    "  --seed N        of every choice, so that a run can be repeated (default: drawn and "
    "printed)\n"
    "  --row FILE      append one line of JSON with the figures\n"
    "  --keep          keep disk and logs also when all is well\n"
    "  --verbose       print what the agent says\n";

/* One option with a value, or a flag (value NULL). */
struct option_row {
    const char *name;
    const char **value;
    bool *flag;
};

/* Options up to the first word that is none; its index, or -1. */
static int parse(int argc, char **argv, const struct option_row *rows, size_t n)
{
    int i = 2;

    while (i < argc && strncmp(argv[i], "--", 2) == 0) {
        size_t k = 0;

        while (k < n && strcmp(rows[k].name, argv[i]) != 0)
            k++;
        if (k == n || (rows[k].value && i + 1 == argc))
            return -1;
        if (rows[k].value)
            *rows[k].value = argv[++i];
        else
            *rows[k].flag = true;
        i++;
    }
    return i;
}

static bool number(const char *text, uint64_t max, uint64_t *ret)
{
    char *rest = NULL;

    errno = 0;
    *ret = strtoull(text, &rest, 10);
    return errno == 0 && text[0] >= '0' && text[0] <= '9' && *rest == '\0' && *ret <= max;
}

static int run_command(const char *state, const char *console, uint64_t seconds, const char *line)
{
    scoped(close_fd) int log = open(console, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    const struct guest_setup setup = {
        .images = IMAGES, .state = state, .log_fd = log, .up = -1, .down = -1
    };
    scoped(free_ptr) char *output = NULL;
    const uint32_t ms = (uint32_t)seconds * 1000U;
    struct guest guest;
    struct err err = { 0 }, off = { 0 };
    char text[256];
    int status = 125;

    if (log < 0) {
        perror(console);
        return 125;
    }
    enum rc rc = guest_start(&setup, &guest, &err);

    if (rc == RC_OK) {
        rc = guest_run(&guest, line, ms, &status, &output, &err);
        if (output)
            (void)fputs(output, stdout);
        if (rc == RC_OK)
            rc = guest_power_off(&guest, ms, &off);
        else
            guest_cut(&guest);
    }
    if (rc == RC_OK)
        return status;
    (void)fprintf(stderr, "flatsat: %s; the console's words: --console FILE\n",
                  err_text(err.rc != RC_OK ? &err : &off, text, sizeof text));
    return 125;
}

static int run_main(int argc, char **argv)
{
    const char *state = NULL, *seconds = NULL, *console = "/dev/null";
    const struct option_row rows[] = { { "--state", &state, NULL },
                                       { "--seconds", &seconds, NULL },
                                       { "--console", &console, NULL } };
    int at = parse(argc, argv, rows, sizeof rows / sizeof *rows);
    uint64_t limit = RUN_SECONDS;

    if (at < 0 || at + 1 != argc || (seconds && !number(seconds, 86400, &limit))) {
        (void)fputs(usage_text, stderr);
        return 2;
    }
    return run_command(state, console, limit, argv[at]);
}

static int powercut_main(int argc, char **argv)
{
    struct powercut_options o = { .images = IMAGES, .cuts = CUTS };
    const char *cuts = NULL, *seed = NULL;
    const struct option_row rows[] = { { "--cuts", &cuts, NULL },
                                       { "--seed", &seed, NULL },
                                       { "--row", &o.row, NULL },
                                       { "--keep", NULL, &o.keep },
                                       { "--verbose", NULL, &o.verbose } };

    if (parse(argc, argv, rows, sizeof rows / sizeof *rows) != argc ||
        (cuts && !number(cuts, 1000000, &o.cuts)) || (seed && !number(seed, UINT64_MAX, &o.seed))) {
        (void)fputs(usage_text, stderr);
        return 2;
    }
    if (!seed && getrandom(&o.seed, 4, 0) != 4)
        return 1;
    return powercut_run(&o);
}

static int agents_main(int argc, char **argv)
{
    struct agents_options o = { .images = IMAGES };
    const struct option_row rows[] = { { "--keep", NULL, &o.keep } };

    if (parse(argc, argv, rows, 1) != argc) {
        (void)fputs(usage_text, stderr);
        return 2;
    }
    return agents_run(&o);
}

static int flushes_main(int argc, char **argv)
{
    struct flushes_options o = { .images = IMAGES, .points = POINTS };
    const char *points = NULL, *seed = NULL;
    const struct option_row rows[] = { { "--points", &points, NULL },
                                       { "--seed", &seed, NULL },
                                       { "--row", &o.row, NULL },
                                       { "--keep", NULL, &o.keep },
                                       { "--verbose", NULL, &o.verbose } };

    if (parse(argc, argv, rows, sizeof rows / sizeof *rows) != argc ||
        (points && !number(points, 1000000, &o.points)) ||
        (seed && !number(seed, UINT64_MAX, &o.seed))) {
        (void)fputs(usage_text, stderr);
        return 2;
    }
    if (!seed && getrandom(&o.seed, 4, 0) != 4)
        return 1;
    return flushes_run(&o);
}

int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN);
    log_open("flatsat", LOG_LEVEL_INFO);
    if (argc > 1 && strcmp(argv[1], "run") == 0)
        return run_main(argc, argv);
    if (argc > 1 && strcmp(argv[1], "agents") == 0)
        return agents_main(argc, argv);
    if (argc > 1 && strcmp(argv[1], "powercut") == 0)
        return powercut_main(argc, argv);
    if (argc > 1 && strcmp(argv[1], "flushes") == 0)
        return flushes_main(argc, argv);
    (void)fputs(usage_text, argc == 2 && strcmp(argv[1], "--help") == 0 ? stdout : stderr);
    return argc == 2 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
}
