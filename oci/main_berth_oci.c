/* SPDX-License-Identifier: Apache-2.0
 *
 * berth-oci: runs OCI bundles inside the walls of a payload (docs/oci.md), by the command line that
 * engines and test suites use for runtimes.  Needs root.  Not part of what flies.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/version.h"
#include "oci/create.h"
#include "oci/words.h"

#define BIND_FROM_MAX 16U

static const char usage[] =
    "berth-oci: run an OCI bundle inside the walls of a Berth payload.\n"
    "\n"
    "  berth-oci [--root DIR] [--bind-from DIR]... [--ids BASE:COUNT] COMMAND\n"
    "    create [--bundle DIR] [--pid-file FILE] ID   everything but the program itself\n"
    "    start ID                                     let the program run\n"
    "    state ID                                     what it does, as JSON\n"
    "    kill [--all] ID [SIGNAL]                     TERM, unless another signal is named\n"
    "    delete [--force] ID                          remove it; with --force end it first\n"
    "\n"
    "  --root DIR        where the state of containers is (else " OCI_ROOT_DEFAULT ")\n"
    "  --bind-from DIR   containers may be given what lies in DIR, beside their bundle\n"
    "  --ids BASE:COUNT  ids of the host that a config.json may map to ids inside (else none)\n"
    "  --version, --help\n";

struct line {
    struct oci_options options;
    const char *bind_from[BIND_FROM_MAX];
    const char *word[3]; /* command, id, signal */
    size_t n;
    bool all;
};

static enum rc use(struct err *err, const char *what)
{
    return err_set(err, RC_USAGE, "%.80s", what);
}

static enum rc option_value(struct line *l, const char *name, const char *value, struct err *err)
{
    if (strcmp(name, "--root") == 0) {
        l->options.root = value;
    } else if (strcmp(name, "--bundle") == 0 || strcmp(name, "-b") == 0) {
        l->options.bundle = value;
    } else if (strcmp(name, "--pid-file") == 0) {
        l->options.pid_file = value;
    } else if (strcmp(name, "--bind-from") == 0) {
        if (!oci_path_valid(value) || l->options.n_bind_from == BIND_FROM_MAX)
            return use(err, "--bind-from");
        l->bind_from[l->options.n_bind_from++] = value;
    } else if (strcmp(name, "--ids") == 0) {
        if (!oci_map_read(value, &l->options.ids))
            return use(err, "--ids");
    } else {
        return use(err, name);
    }
    return RC_OK;
}

/* "--name value" and "--name=value" both. */
static enum rc option(struct line *l, char **argv, int *at, struct err *err)
{
    char name[32];
    const char *word = argv[*at];
    size_t n = strcspn(word, "=");

    if (strcmp(word, "--force") == 0 || strcmp(word, "-f") == 0) {
        l->options.force = true;
        return RC_OK;
    }
    if (strcmp(word, "--all") == 0 || strcmp(word, "-a") == 0) {
        l->all = true;
        return RC_OK;
    }
    if (n >= sizeof name)
        return use(err, word);
    (void)memcpy(name, word, n);
    name[n] = '\0';
    if (word[n] == '=')
        return option_value(l, name, word + n + 1, err);
    if (argv[*at + 1] == NULL)
        return use(err, word);
    (*at)++;
    return option_value(l, name, argv[*at], err);
}

static enum rc parse(struct line *l, char **argv, struct err *err)
{
    for (int i = 1; argv[i] != NULL; i++) {
        enum rc rc = RC_OK;

        if (argv[i][0] == '-' && argv[i][1] != '\0')
            rc = option(l, argv, &i, err);
        else if (l->n < 3)
            l->word[l->n++] = argv[i];
        else
            rc = use(err, argv[i]);
        if (rc != RC_OK)
            return rc;
    }
    l->options.bind_from = l->bind_from;
    return l->n >= 2 ? RC_OK : use(err, "a command and the id of a container are needed");
}

static enum rc run_kill(const struct line *l, struct err *err)
{
    int signal = 0;

    if (!oci_signal(l->n == 3 ? l->word[2] : "TERM", &signal))
        return use(err, l->word[2]);
    return oci_kill(&l->options, l->word[1], signal, l->all, err);
}

static enum rc run(const struct line *l, struct err *err)
{
    const char *command = l->word[0];
    const char *id = l->word[1];

    if (strcmp(command, "kill") == 0)
        return run_kill(l, err);
    if (l->n != 2)
        return use(err, l->word[2]);
    if (strcmp(command, "create") == 0)
        return oci_create(&l->options, id, err);
    if (strcmp(command, "start") == 0)
        return oci_start(&l->options, id, err);
    if (strcmp(command, "state") == 0)
        return oci_state(&l->options, id, stdout, err);
    if (strcmp(command, "delete") == 0)
        return oci_delete(&l->options, id, err);
    return use(err, command);
}

int main(int argc, char **argv)
{
    struct line line = { .options = { .root = OCI_ROOT_DEFAULT, .bundle = "", .notes = stderr } };
    struct err err = { 0 };

    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        (void)fputs(usage, stdout);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        (void)printf("berth-oci %s\nspec: 1.0.2\n", BERTH_VERSION);
        return 0;
    }
    (void)umask(0); /* modes are what is said */
    enum rc rc = parse(&line, argv, &err);
    if (rc == RC_OK)
        rc = run(&line, &err);
    if (rc == RC_OK)
        return 0;
    (void)fprintf(stderr, "berth-oci: %s: %s%s%s (%s %d)\n", rc_text(rc), err.what,
                  err.sys != 0 ? ": " : "", err.sys != 0 ? strerror(err.sys) : "", rc_name(rc),
                  (int)rc);
    if (rc == RC_USAGE)
        (void)fputs("to fix: berth-oci --help\n", stderr);
    return 1;
}
