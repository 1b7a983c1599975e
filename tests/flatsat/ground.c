/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/flatsat/ground.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/fs.h"
#include "sim/proc.h"
#include "sim/rng.h"

#define OUTPUT_MAX (4U * 1024U * 1024U)
#define STOP_MS 5000U
#define LINE_CAP 1024U
#define BALLAST_BYTES (768U * 1024U) /* so that an install takes a while */

/* Always in contact; a cut of power is fault enough beside what a link does every day. */
static const struct carrier_link link_params = { .pass_ms = 60000,
                                                 .rate = 6000000,
                                                 .delay_ms = 100,
                                                 .loss_ppm = 20000,
                                                 .duplicate_ppm = 20000,
                                                 .reorder_ppm = 50000,
                                                 .corrupt_ppm = 10000 };

/* Run `berth` with the words of one line; its output is the caller's. */
static enum rc berth_out(struct ground *g, char *line, int *ret_status, char **ret_out,
                         struct err *err)
{
    char program[512];
    char *argv[PROC_ARGS_MAX + 1];
    char *save = NULL;
    size_t n = 0;

    (void)snprintf(program, sizeof program, "%s/berth", g->build);
    argv[n++] = program;
    for (char *word = strtok_r(line, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        if (n == PROC_ARGS_MAX)
            return err_set(err, RC_TOO_LARGE, "words");
        argv[n++] = word;
    }
    argv[n] = NULL;
    return proc_run(argv, g->work_fd, g->log_fd, OUTPUT_MAX, ret_status, ret_out, err);
}

printf_like(3, 4) static enum rc berth(struct ground *g, struct err *err, const char *fmt, ...)
{
    scoped(free_ptr) char *out = NULL;
    char line[LINE_CAP];
    char shown[LINE_CAP];
    int status = 0;
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    memcpy(shown, line, sizeof shown);
    enum rc rc = berth_out(g, line, &status, &out, err);

    if (rc == RC_OK && status != 0) {
        (void)dprintf(g->log_fd, "$ berth %s\n%s", shown, out);
        rc = err_set(err, RC_SCENARIO, "berth %.40s: exit %d, see the log", shown, status);
    }
    return rc;
}

/* ---- before launch ------------------------------------------------------------------------------
 */

static enum rc open_dirs(struct ground *g, struct err *err)
{
    static const char *const names[] = { "up", "air-up", "air-down", "down", "capture" };
    static const char *const others[] = { "beacon", "disk/spool/uplink", "disk/spool/downlink" };
    enum rc rc = RC_OK;

    for (size_t i = 0; i < 3 && rc == RC_OK; i++)
        rc = fs_make_dirs(g->work_fd, others[i], 0755, err);
    for (size_t i = 0; i < 5 && rc == RC_OK; i++) {
        rc = fs_make_dirs(g->work_fd, names[i], 0755, err);
        if (rc == RC_OK)
            rc = fs_open(g->work_fd, names[i], O_RDONLY | O_DIRECTORY, 0, &g->dir[i], err);
    }
    g->lane = (struct carrier_satellite){ .id = GROUND_SATELLITE,
                                          .from_ground = g->dir[GROUND_DIR_UP],
                                          .to_satellite = g->dir[GROUND_DIR_AIR_UP],
                                          .from_satellite = g->dir[GROUND_DIR_AIR_DOWN],
                                          .to_ground = g->dir[GROUND_DIR_DOWN],
                                          .capture = g->dir[GROUND_DIR_CAPTURE] };
    return rc;
}

/* Throw-away keys are encrypted like all others. */
static enum rc write_passphrase(struct ground *g, struct err *err)
{
    uint8_t random[16];
    char hex[2 * sizeof random + 1];

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return err_sys(err, RC_IO, "getrandom");
    (void)bytes_hex((struct bytes){ .p = random, .n = sizeof random }, hex);
    if (setenv("BERTH_PASSPHRASE_FILE", "passphrase", 1) < 0 || setenv("NO_COLOR", "1", 1) < 0 ||
        setenv("BERTH_HOME", "ground", 1) < 0)
        return err_sys(err, RC_IO, "environment");
    return fs_write_file(g->work_fd, "passphrase", bytes_of(hex), 0600, err);
}

static enum rc copy_program(struct ground *g, struct err *err)
{
    scoped(free_ptr) uint8_t *data = NULL;
    char path[512];
    size_t n = 0;
    scoped(close_fd) int dir = -1;

    (void)snprintf(path, sizeof path, "%s/examples", g->build);
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_sys(err, RC_IO, "%s", path);
    enum rc rc = fs_read_alloc(dir, "beacon", 16U << 20, &data, &n, err);

    if (rc != RC_OK)
        return rc;
    return fs_write_file(g->work_fd, "beacon/beacon", (struct bytes){ .p = data, .n = n }, 0755,
                         err);
}

enum rc ground_found(struct ground *g, struct err *err)
{
    static const char *const lines[] = {
        "key new root-1 --role root --out keys",
        "key new root-2 --role root --out keys",
        "key new operator --role operator --out keys",
        "key new acme --role tenant --out keys",
        "fleet init aurora --root keys/root-1.key --next-root keys/root-2.pub"
        " --operator keys/operator.key",
    };
    enum rc rc = open_dirs(g, err);

    if (rc == RC_OK)
        rc = write_passphrase(g, err);
    if (rc == RC_OK)
        rc = copy_program(g, err);
    for (size_t i = 0; i < sizeof lines / sizeof *lines && rc == RC_OK; i++)
        rc = berth(g, err, "%s", lines[i]);
    if (rc == RC_OK)
        rc = berth(g, err,
                   "grant acme --keys keys/acme.pub --quota %s/examples/quotas/tenant.yaml"
                   " --key keys/operator.key",
                   g->top);
    if (rc == RC_OK)
        rc = berth(g, err,
                   "provision " GROUND_SATELLITE " --node 101 --up up --down down --out disk/lib");
    g->root = 1;
    return rc;
}

/* ---- in flight ----------------------------------------------------------------------------------
 */

enum rc ground_start(struct ground *g, struct err *err)
{
    char program[512];
    char *const argv[] = {
        program,           (char[]){ "--home" },      (char[]){ "ground" }, (char[]){ "--tick-ms" },
        (char[]){ "200" }, (char[]){ "--flight-ms" }, (char[]){ "1500" },   NULL
    };
    enum rc rc = carrier_start(&link_params, g->seed, &g->lane, 1, &g->carrier, err);

    (void)snprintf(program, sizeof program, "%s/berth-ground", g->build);
    return rc == RC_OK ? proc_start(argv, g->work_fd, g->log_fd, &g->pid, err) : rc;
}

void ground_stop(struct ground *g)
{
    if (g->pid > 0)
        proc_stop(g->pid, SIGTERM, STOP_MS);
    if (g->carrier.pid > 0)
        carrier_stop(&g->carrier);
    g->pid = 0;
}

enum rc ground_runs(struct ground *g, struct err *err)
{
    int status = 0;

    if (!proc_running(g->pid, &status)) {
        g->pid = 0;
        return err_set(err, RC_SCENARIO, "berth-ground ended (status %d)", status);
    }
    if (!proc_running(g->carrier.pid, &status)) {
        g->carrier.pid = 0;
        return err_set(err, RC_SCENARIO, "the carrier ended (status %d)", status);
    }
    return RC_OK;
}

static enum rc write_payload(struct ground *g, uint32_t version, bool good, struct err *err)
{
    static const char form[] =
        "tenant: acme\nname: beacon\nversion: %u.0.0\nrelease: %u\nfloor: %u\n"
        "exec: [/bin/beacon%s]\n"
        "copy:\n  - {from: beacon, to: /bin/beacon}\n  - {from: ballast, to: /ballast}\n"
        "resources: {memory: 16M, cpu: 50%%, pids: 8, data: 2M, tmp: 1M, files: 32}\n"
        "health: {type: notify, ready: %s, soak: 1s, watchdog: 60s}\n";
    scoped(free_ptr) uint8_t *ballast = malloc(BALLAST_BYTES);
    struct rng rng = rng_make(g->seed, 1000 + version);
    char text[1024];

    if (!ballast)
        return err_set(err, RC_NO_MEMORY, "ballast");
    for (size_t i = 0; i + 8 <= BALLAST_BYTES; i += 8) {
        const uint64_t word = rng_next(&rng);

        memcpy(ballast + i, &word, sizeof word);
    }
    /* the floor leaves the two versions before this one, for a revocation has to find one */
    (void)snprintf(text, sizeof text, form, version, version, version > 3 ? version - 3 : 0,
                   good ? "" : ", --mute", good ? "60s" : "3s");
    enum rc rc = fs_write_file(g->work_fd, "beacon/payload.yaml", bytes_of(text), 0644, err);

    if (rc != RC_OK)
        return rc;
    return fs_write_file(g->work_fd, "beacon/ballast",
                         (struct bytes){ .p = ballast, .n = BALLAST_BYTES }, 0644, err);
}

static enum rc write_fleet(struct ground *g, uint32_t version, struct err *err)
{
    char text[256];

    (void)snprintf(text, sizeof text,
                   "fleet: aurora\nsatellites:\n  - {id: " GROUND_SATELLITE "}\n"
                   "desired:\n  - select: all\n    payloads: {" GROUND_PAYLOAD ": %u.0.0}\n",
                   version);
    return fs_write_file(g->work_fd, "fleet.yaml", bytes_of(text), 0644, err);
}

enum rc ground_order(struct ground *g, uint32_t version, bool good, struct err *err)
{
    enum rc rc = write_payload(g, version, good, err);

    if (rc == RC_OK)
        rc = berth(g, err,
                   "build beacon --level 1 --key keys/acme.key --root disk/lib/trust/root.cose"
                   " --out beacon-%u.berth",
                   version);
    if (rc == RC_OK)
        rc = berth(g, err, "push beacon-%u.berth", version);
    if (rc == RC_OK)
        rc = write_fleet(g, version, err);
    if (rc == RC_OK)
        rc = berth(g, err, "apply fleet.yaml --key keys/operator.key --supersede");
    return rc;
}

enum rc ground_revoke(struct ground *g, uint32_t version, struct err *err)
{
    return berth(g, err,
                 "trust revoke --manifest " GROUND_PAYLOAD
                 "@%u.0.0:rollback --root keys/root-%u.key",
                 version, g->root);
}

enum rc ground_rotate(struct ground *g, struct err *err)
{
    enum rc rc = berth(g, err, "key new root-%u --role root --out keys", g->root + 2);

    if (rc == RC_OK)
        rc = berth(g, err,
                   "trust rotate --root keys/root-%u.key --new-root keys/root-%u.key"
                   " --next-root keys/root-%u.pub",
                   g->root, g->root + 1, g->root + 2);
    if (rc == RC_OK)
        g->root++;
    return rc;
}

enum rc ground_let_agents_in(struct ground *g, struct err *err)
{
    static const char quota[] = "memory: 64M\ncpu: 100%\npids: 64\nfiles: 256\ntmp: 16M\n"
                                "data: 1M\nstore: 128M\npayloads: 2\n";
    enum rc rc = fs_write_file(g->work_fd, "agents.yaml", bytes_of(quota), 0644, err);

    if (rc == RC_OK)
        rc = berth(g, err, "key new berth --role tenant --out keys");
    return rc == RC_OK ? berth(g, err,
                               "grant berth --agent --keys keys/berth.pub --quota agents.yaml"
                               " --key keys/operator.key")
                       : rc;
}

/* tools/agent-package, which finds the change by its environment. */
static enum rc make_agent(struct ground *g, uint32_t release, const char *change, struct err *err)
{
    scoped(free_ptr) char *out = NULL;
    char script[2048], tool[512], build[512], number[16], version[32];
    char *const argv[] = { tool, build, (char[]){ "agent" }, number, version, NULL };
    int status = 0;

    (void)snprintf(tool, sizeof tool, "%s/tools/agent-package", g->top);
    (void)snprintf(build, sizeof build, "%s", g->build);
    (void)snprintf(number, sizeof number, "%u", release);
    (void)snprintf(version, sizeof version, "0.9.%u", release);
    (void)snprintf(script, sizeof script, "#!/bin/sh\nset -eu\n%s\n", change);
    enum rc rc = fs_write_file(g->work_fd, "change", bytes_of(script), 0755, err);

    if (rc == RC_OK && setenv("AGENT_CHANGE", "./change", 1) != 0)
        rc = err_sys(err, RC_IO, "environment");
    if (rc == RC_OK)
        rc = proc_run(argv, g->work_fd, g->log_fd, OUTPUT_MAX, &status, &out, err);
    if (rc == RC_OK && status != 0)
        rc = err_set(err, RC_SCENARIO, "agent-package: exit %d, see the log", status);
    return rc;
}

enum rc ground_agent(struct ground *g, uint32_t release, const char *change, struct err *err)
{
    char fleet[256];
    enum rc rc = make_agent(g, release, change, err);

    if (rc == RC_OK)
        rc = berth(g, err,
                   "sign agent/agent-0.9.%u.unsigned --key keys/berth.key"
                   " --root disk/lib/trust/root.cose --out agent-%u.berth",
                   release, release);
    if (rc == RC_OK)
        rc = berth(g, err, "push agent-%u.berth", release);
    (void)snprintf(fleet, sizeof fleet,
                   "fleet: aurora\nsatellites:\n  - {id: " GROUND_SATELLITE "}\n"
                   "desired:\n  - select: all\n    payloads: {" GROUND_PAYLOAD
                   ": 1.0.0, " GROUND_AGENT ": 0.9.%u}\n",
                   release);
    if (rc == RC_OK)
        rc = fs_write_file(g->work_fd, "fleet.yaml", bytes_of(fleet), 0644, err);
    return rc == RC_OK ? berth(g, err, "apply fleet.yaml --key keys/operator.key --supersede") : rc;
}

enum rc ground_look(struct ground *g, struct seen *ret, struct err *err)
{
    scoped(free_ptr) char *status = NULL;
    scoped(free_ptr) char *rollouts = NULL;
    char ask_status[] = "status --json";
    char ask_rollouts[] = "rollout status --json";
    int ended = 0; /* both tell by it how things are, too */
    enum rc rc = berth_out(g, ask_status, &ended, &status, err);

    if (rc == RC_OK)
        rc = berth_out(g, ask_rollouts, &ended, &rollouts, err);
    return rc == RC_OK ? seen_read(status, rollouts, ret, err) : rc;
}
