/* SPDX-License-Identifier: Apache-2.0
 *
 * berth-lint: run a payload on its author's own machine, watch it, and propose the least profile
 * and limits for its payload.yaml.
 *
 * Input: a directory with the files of a package, and the program with its arguments, from `berth
 * lint payload` or a person.  Runs as an ordinary user only (sandbox/record); what the payload
 * prints goes to stderr.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/bytes.h"
#include "base/log.h"
#include "sandbox/plan.h"
#include "sandbox/record.h"
#include "sandbox/record_child.h"

#define SECONDS_DEFAULT 10U
#define MIB (1024U * 1024U)

struct options {
    bool json;
    struct record_job job;
    char *env[PLAN_ENV_MAX + 1];
};

/* What a manifest should ask for: what was seen, and room above it. */
struct proposal {
    uint32_t memory_mib, cpu_percent, pids, files;
};

static struct proposal propose(const struct record *r)
{
    uint64_t memory = r->memory_bytes + r->memory_bytes / 4;
    uint64_t cpu = r->wall_us == 0 ? 0 : r->cpu_us * 150U / r->wall_us;
    struct proposal p = { .memory_mib = (uint32_t)(memory / MIB) + 1,
                          .cpu_percent = (uint32_t)cpu + 1,
                          .pids = r->pids + (r->pids / 2 > 2 ? r->pids / 2 : 2),
                          .files = r->open_files * 2 };

    if (p.memory_mib < PLAN_MEMORY_MIN / MIB)
        p.memory_mib = PLAN_MEMORY_MIN / MIB;
    if (p.cpu_percent < 5)
        p.cpu_percent = 5;
    if (p.files < 2 * PLAN_FILES_MIN)
        p.files = 2 * PLAN_FILES_MIN;
    return p;
}

static const char *words_of(uint32_t profile, char buf[48])
{
    (void)snprintf(buf, 48, "%s%s%s%s%s", (profile & PROFILE_NET) != 0 ? "net" : "",
                   (profile & PROFILE_NET) != 0 && (profile & ~PROFILE_NET) != 0 ? ", " : "",
                   (profile & PROFILE_DEVICE) != 0 ? "device" : "",
                   (profile & PROFILE_DEVICE) != 0 && (profile & PROFILE_LEGACY) != 0 ? ", " : "",
                   (profile & PROFILE_LEGACY) != 0 ? "posix-legacy" : "");
    return buf;
}

static void print_calls(const char *title, const uint64_t counts[CALLS_N])
{
    unsigned int n = 0;

    for (unsigned int i = 0; i < CALLS_N; i++)
        n += counts[i] > 0;
    if (n == 0)
        return;
    (void)printf("%-9s %u:", title, n);
    for (unsigned int i = 0; i < CALLS_N; i++) {
        if (counts[i] > 0)
            (void)printf(" %s", call_name((enum call)i));
    }
    (void)putchar('\n');
}

static void print_end(const struct record *r)
{
    (void)printf("ran       %" PRIu64 ".%" PRIu64 " s, ", r->wall_us / 1000000U,
                 r->wall_us / 100000U % 10U);
    if (!r->ended)
        (void)fputs("until the time was up", stdout);
    else if (WIFEXITED(r->status))
        (void)printf("ended with %d", WEXITSTATUS(r->status));
    else
        (void)printf("ended by signal %d", WTERMSIG(r->status));
    (void)printf("; %s\n", r->said_ready ? "said READY=1" : "did not say READY=1");
}

static void print(const struct record *r)
{
    const struct proposal p = propose(r);
    char words[48];

    print_end(r);
    print_calls("calls", r->counts);
    print_calls("refused", r->refused);
    if (r->unknown > 0)
        (void)printf("refused   %" PRIu64 " calls that have no name\n", r->unknown);
    if (!r->has_proc)
        (void)fputs("note: this machine lets no user mount /proc: the program had none\n", stdout);
    (void)printf("took      %" PRIu64 " KiB at most, %" PRIu64
                 " ms of processor time, %u processes "
                 "and threads, %u open files\n",
                 r->memory_bytes / 1024U, r->cpu_us / 1000U, r->pids, r->open_files);
    (void)printf("\nfor payload.yaml, with a quarter to a half above what was seen:\n");
    if (r->profile != 0)
        (void)printf("calls: [%s]\n", words_of(r->profile, words));
    (void)printf("resources: {memory: %uM, cpu: %u%%, pids: %u, files: %u}\n", p.memory_mib,
                 p.cpu_percent, p.pids, p.files);
    (void)fputs("What it did not do in this time was not seen.  tmp and data are yours to say.\n",
                stdout);
}

static void json_calls(const char *name, const uint64_t counts[CALLS_N])
{
    const char *comma = "";

    (void)printf("\"%s\":{", name);
    for (unsigned int i = 0; i < CALLS_N; i++) {
        if (counts[i] == 0)
            continue;
        (void)printf("%s\"%s\":%" PRIu64, comma, call_name((enum call)i), counts[i]);
        comma = ",";
    }
    (void)fputs("},", stdout);
}

static void print_json(const struct record *r)
{
    const struct proposal p = propose(r);
    const char *comma = "";
    static const struct {
        uint32_t bit;
        const char *word;
    } bits[] = { { PROFILE_NET, "net" },
                 { PROFILE_DEVICE, "device" },
                 { PROFILE_LEGACY, "posix-legacy" } };

    (void)printf("{\"ended\":%s,\"status\":%d,\"ready\":%s,\"proc\":%s,\"wall_us\":%" PRIu64
                 ",\"cpu_us\":%" PRIu64 ",\"memory_bytes\":%" PRIu64
                 ",\"pids\":%u,\"open_files\":%u,\"unnamed\":%" PRIu64 ",",
                 r->ended ? "true" : "false", r->status, r->said_ready ? "true" : "false",
                 r->has_proc ? "true" : "false", r->wall_us, r->cpu_us, r->memory_bytes, r->pids,
                 r->open_files, r->unknown);
    json_calls("made", r->counts);
    json_calls("refused", r->refused);
    (void)fputs("\"propose\":{\"calls\":[", stdout);
    for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++) {
        if ((r->profile & bits[i].bit) == 0)
            continue;
        (void)printf("%s\"%s\"", comma, bits[i].word);
        comma = ",";
    }
    (void)printf("],\"memory_mib\":%u,\"cpu_percent\":%u,\"pids\":%u,\"files\":%u}}\n",
                 p.memory_mib, p.cpu_percent, p.pids, p.files);
}

/* ---- options -------------------------------------------------------------------------------- */

static bool parse_seconds(const char *text, uint32_t *ret)
{
    char *end = NULL;
    unsigned long n = strtoul(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end != '\0' || n == 0 || n > RECORD_SECONDS_MAX)
        return false;
    *ret = (uint32_t)n;
    return true;
}

/* As a plan sets them for a payload that does not say otherwise (sandbox/plan). */
static char path[] = "PATH=/usr/local/bin:/usr/bin:/bin";
static char home[] = "HOME=/data";
static char notify[] = "NOTIFY_SOCKET=" RECORD_NOTIFY_PATH;
static char *const standing[] = { path, home, notify };

static bool has_name(char *const *env, const char *line)
{
    size_t n = strcspn(line, "=") + 1;

    for (; *env != NULL; env++) {
        if (strncmp(*env, line, n) == 0)
            return true;
    }
    return false;
}

static bool parse(int argc, char **argv, struct options *o)
{
    size_t n_env = 0;
    int i = 1;

    o->job.seconds = SECONDS_DEFAULT;
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            o->json = true;
        } else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc) {
            if (!parse_seconds(argv[++i], &o->job.seconds))
                return false;
        } else if (strcmp(argv[i], "--env") == 0 && i + 1 < argc && n_env < PLAN_ENV_MAX) {
            o->env[n_env++] = argv[++i];
        } else {
            return false;
        }
    }
    if (argc - i < 2 || argv[i][0] != '/' || argv[i + 1][0] != '/')
        return false;
    for (size_t k = 0; k < sizeof standing / sizeof standing[0]; k++) {
        if (!has_name(o->env, standing[k]) && n_env < PLAN_ENV_MAX)
            o->env[n_env++] = standing[k];
    }
    o->job.root = argv[i];
    o->job.argv = argv + i + 1;
    o->job.envp = o->env;
    return true;
}

int main(int argc, char **argv)
{
    static struct record record;
    struct options o = { 0 };
    struct err err = { 0 };
    char text[256];

    log_open("berth-lint", LOG_LEVEL_INFO);
    if (!parse(argc, argv, &o)) {
        (void)fputs(
            "usage: berth-lint [--json] [--seconds N] [--env NAME=VALUE]... ROOT PROGRAM "
            "[ARGUMENT]...\n       ROOT and PROGRAM are absolute; PROGRAM is inside of ROOT\n",
            stderr);
        return 2;
    }
    if (record_run(&o.job, &record, &err) != RC_OK) {
        (void)fprintf(stderr, "berth-lint: %s\n", err_text(&err, text, sizeof text));
        return rc_class(err.rc) == RC_CLASS_REFUSED || err.rc == RC_CONFINE ? 5 : 1;
    }
    if (o.json)
        print_json(&record);
    else
        print(&record);
    return fflush(stdout) == 0 ? 0 : 1;
}
