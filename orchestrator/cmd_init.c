/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_init: a new payload's directory that builds as it is.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/name.h"
#include "orchestrator/cmd.h"
#include "orchestrator/path.h"
#include "orchestrator/payload.h"

#define TEXT_MAX 4096U

/* In these texts @NAME@ and @TENANT@ are replaced. */
static const char payload_c[] = "# What the payload is; `berth build` reads this, the satellite "
                                "gets it signed.\n"
                                "name: @NAME@\n"
                                "tenant: @TENANT@\n"
                                "version: 1.0.0\n"
                                "release: 1              # one higher with every release\n"
                                "exec: [/bin/@NAME@]\n"
                                "copy:\n"
                                "  - from: build/@NAME@  # `make` puts it there\n"
                                "    to: /bin/@NAME@\n"
                                "    libs: auto          # and the shared libraries that it needs\n"
                                "resources:\n"
                                "  memory: 32M\n"
                                "  cpu: 0.25\n"
                                "  pids: 8\n"
                                "  data: 0               # /data, persistent: 8M and more, 0 = "
                                "none\n"
                                "  tmp: 4M\n"
                                "  files: 32\n"
                                "health:\n"
                                "  type: notify          # READY=1, as under systemd\n"
                                "  ready: 5s\n"
                                "  soak: 2s\n"
                                "  watchdog: 10s\n";

static const char payload_sh[] = "# What the payload is; `berth build` reads this, the satellite "
                                 "gets it signed.\n"
                                 "name: @NAME@\n"
                                 "tenant: @TENANT@\n"
                                 "version: 1.0.0\n"
                                 "release: 1              # one higher with every release\n"
                                 "exec: [/bin/busybox, sh, /bin/@NAME@.sh]\n"
                                 "root: rootfs\n"
                                 "copy:\n"
                                 "  - /bin/busybox         # Debian: apt install busybox-static\n"
                                 "resources:\n"
                                 "  memory: 32M\n"
                                 "  cpu: 0.25\n"
                                 "  pids: 8\n"
                                 "  data: 0               # /data, persistent: 8M and more, 0 = "
                                 "none\n"
                                 "  tmp: 4M\n"
                                 "  files: 32\n"
                                 "health:\n"
                                 "  type: alive           # healthy if it still runs after "
                                 "`ready`\n"
                                 "  ready: 2s\n"
                                 "  soak: 2s\n";

static const char main_c[] =
    "/* A payload: tells that it is ready, then that it is alive, until it is told to stop. */\n"
    "#include <signal.h>\n"
    "#include <stdio.h>\n"
    "#include <stdlib.h>\n"
    "#include <string.h>\n"
    "#include <sys/socket.h>\n"
    "#include <sys/un.h>\n"
    "#include <unistd.h>\n"
    "\n"
    "static volatile sig_atomic_t stopping;\n"
    "\n"
    "static void on_term(int sig)\n"
    "{\n"
    "    (void)sig;\n"
    "    stopping = 1;\n"
    "}\n"
    "\n"
    "/* sd_notify(3) without a library: one datagram. */\n"
    "static void notify(const char *text)\n"
    "{\n"
    "    struct sockaddr_un to = { .sun_family = AF_UNIX };\n"
    "    const char *path = getenv(\"NOTIFY_SOCKET\");\n"
    "    int fd;\n"
    "\n"
    "    if (!path || strlen(path) >= sizeof to.sun_path)\n"
    "        return;\n"
    "    memcpy(to.sun_path, path, strlen(path) + 1);\n"
    "    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);\n"
    "    if (fd < 0)\n"
    "        return;\n"
    "    (void)!sendto(fd, text, strlen(text), 0, (struct sockaddr *)&to, sizeof to);\n"
    "    close(fd);\n"
    "}\n"
    "\n"
    "int main(void)\n"
    "{\n"
    "    struct sigaction term = { .sa_handler = on_term };\n"
    "\n"
    "    sigaction(SIGTERM, &term, NULL);\n"
    "    puts(\"hello from orbit\");\n"
    "    fflush(stdout);\n"
    "    notify(\"READY=1\\nSTATUS=running\");\n"
    "    while (!stopping) {\n"
    "        sleep(1);\n"
    "        notify(\"WATCHDOG=1\");\n"
    "    }\n"
    "    notify(\"STOPPING=1\");\n"
    "    return 0;\n"
    "}\n";

static const char makefile_c[] = "CFLAGS ?= -O2 -Wall -Wextra\n"
                                 "\n"
                                 "build/@NAME@: main.c\n"
                                 "\t@mkdir -p build\n"
                                 "\t$(CC) $(CFLAGS) -o $@ $<\n"
                                 "\n"
                                 "package: build/@NAME@\n"
                                 "\tberth build\n"
                                 "\n"
                                 ".PHONY: package\n";

static const char script_sh[] = "#!/bin/busybox sh\n"
                                "# A payload in shell: every busybox applet is at hand as `busybox "
                                "NAME`.\n"
                                "trap 'exit 0' TERM\n"
                                "echo hello from orbit\n"
                                "while :; do\n"
                                "    busybox date -u\n"
                                "    busybox sleep 5 & wait $!\n"
                                "done\n";

struct template_file {
    const char *path; /* @NAME@ is replaced here too */
    const char *text;
    mode_t mode;
};

static const struct template_set {
    const char *lang;
    const char *next; /* what to do then */
    struct template_file file[4];
} sets[] = {
    { "sh",
      "berth build",
      { { PAYLOAD_FILE, payload_sh, 0644 }, { "rootfs/bin/@NAME@.sh", script_sh, 0755 } } },
    { "c",
      "make && berth build",
      { { PAYLOAD_FILE, payload_c, 0644 },
        { "main.c", main_c, 0644 },
        { "Makefile", makefile_c, 0644 } } },
};

static enum rc expand(const char *text, const char *name, const char *tenant, char *out, size_t cap,
                      struct err *err)
{
    size_t n = 0;

    while (*text != '\0') {
        const char *put = text;
        size_t len = 1, skip = 1;

        if (strncmp(text, "@NAME@", 6) == 0) {
            put = name;
            len = strlen(name);
            skip = 6;
        } else if (strncmp(text, "@TENANT@", 8) == 0) {
            put = tenant;
            len = strlen(tenant);
            skip = 8;
        }
        if (n + len + 1 > cap)
            return err_set(err, RC_TOO_LARGE, "template");
        memcpy(out + n, put, len);
        n += len;
        text += skip;
    }
    out[n] = '\0';
    return RC_OK;
}

static enum rc write_one(int dirfd, const struct template_file *file, const char *name,
                         const char *tenant, struct err *err)
{
    char text[TEXT_MAX], path[128], parent[128];
    char *slash;
    enum rc rc = expand(file->path, name, tenant, path, sizeof path, err);

    if (rc == RC_OK)
        rc = expand(file->text, name, tenant, text, sizeof text, err);
    if (rc != RC_OK)
        return rc;
    memcpy(parent, path, sizeof parent);
    slash = strrchr(parent, '/');
    if (slash) {
        *slash = '\0';
        rc = fs_make_dirs(dirfd, parent, 0755, err);
    }
    return rc == RC_OK ? fs_write_file(dirfd, path, bytes_of(text), file->mode, err) : rc;
}

static enum rc write_all(const struct template_set *set, const char *name, const char *tenant,
                         struct err *err)
{
    scoped(close_fd) int dirfd = -1;
    enum rc rc = path_open_dir(name, true, &dirfd, err);

    if (rc == RC_OK && faccessat(dirfd, PAYLOAD_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        rc = err_set(err, RC_EXISTS, "%s/%s", name, PAYLOAD_FILE);
    for (size_t i = 0; rc == RC_OK && set->file[i].path; i++)
        rc = write_one(dirfd, &set->file[i], name, tenant, err);
    return rc;
}

static int run(struct cli *cli)
{
    const char *name = cli_arg(cli, 0);
    const char *lang = cli_value(cli, "lang") ? cli_value(cli, "lang") : "sh";
    const char *tenant = cli_value(cli, "tenant") ? cli_value(cli, "tenant") : "acme";
    const struct template_set *set = NULL;
    struct err err;
    enum rc rc = RC_OK;

    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        if (strcmp(sets[i].lang, lang) == 0)
            set = &sets[i];
    }
    if (!set)
        rc = err_set(&err, RC_USAGE, "--lang must be c or sh");
    else if (!name_valid(name) || !name_valid(tenant))
        rc = err_set(&err, RC_NAME, "%s", name_valid(name) ? tenant : name);
    if (rc == RC_OK)
        rc = write_all(set, name, tenant, &err);
    if (rc == RC_EXISTS)
        return cli_fail(cli, &err, "choose another name");
    if (rc != RC_OK)
        return cli_fail(cli, &err, "berth init cam --lang c");
    cli_say(cli, "%s/ is ready: cd %s && %s", name, name, set->next);
    return cli_json(cli, json_pack("{s:s, s:s}", "directory", name, "lang", lang));
}

static const struct cli_option options[] = {
    { "lang", CLI_TEXT, "LANG",
      "sh (busybox, builds at once; the default) or c (a program with sd_notify)" },
    { "tenant", CLI_TEXT, "NAME", "the tenant's name, as in its grant (else acme)" },
    { 0 },
};

const struct cli_command cmd_init[] = {
    { .name = "init",
      .group = "Payloads",
      .args = "NAME",
      .summary = "Begin a payload: a directory with payload.yaml and an example that builds",
      .args_min = 1,
      .args_max = 1,
      .options = options,
      .run = run },
    { 0 },
};
