/* SPDX-License-Identifier: Apache-2.0
 *
 * Words for a plan.  What is the same for every payload is said here too, because a reader asks
 * what holds, not what varies.
 */
#include "sandbox/plan.h"

#include "sandbox/rules.h"
#include "sandbox/tender.h"
#include <inttypes.h>

struct layer {
    const char *name;
    const char *text;
};

/* In the order in which the child puts them on (sandbox/child.c). */
static const struct layer layers[] = {
    { "namespaces", "user pid mount ipc uts net cgroup time: all its own, network empty" },
    { "capabilities", "none; bounding, ambient and inheritable sets empty, securebits locked" },
    { "no-new-privileges", "set: setuid bits and file capabilities have no effect" },
    { "landlock", "reads and runs the package; writes /tmp /run /data /inbox /outbox only; no "
                  "signal or abstract "
                  "socket leaves" },
    { "seccomp", "allow-list; unknown calls ENOSYS, dangerous ones EPERM, tampering kills" },
    { "rlimits", "no core dumps unless asked for, no real-time priority, no message queues, 64 KiB "
                 "locked memory" },
    { "keyring", "its own, unreachable" },
    { "process 1", "Berth's reaper; when the payload ends, everything in the sandbox ends" },
};

#define LAYERS (sizeof layers / sizeof layers[0])

const char *plan_op_name(uint32_t type)
{
    static const char *const names[PLAN_OP_TYPES] = {
        [PLAN_OP_NONE] = "none",   [PLAN_OP_ROOT] = "root",     [PLAN_OP_PROC] = "proc",
        [PLAN_OP_DEV] = "dev",     [PLAN_OP_TMPFS] = "tmpfs",   [PLAN_OP_DATA] = "data",
        [PLAN_OP_INBOX] = "inbox", [PLAN_OP_OUTBOX] = "outbox", [PLAN_OP_SLOT] = "slot",
    };

    return type < PLAN_OP_TYPES ? names[type] : "?";
}

static const char *op_text(uint32_t type)
{
    static const char *const texts[PLAN_OP_TYPES] = {
        [PLAN_OP_NONE] = "",
        [PLAN_OP_ROOT] = "the package, read-only nosuid nodev",
        [PLAN_OP_PROC] = "own processes only, nosuid nodev noexec",
        [PLAN_OP_DEV] = "null zero full random urandom, read-only directory",
        [PLAN_OP_TMPFS] = "memory, nosuid nodev noexec",
        [PLAN_OP_DATA] = "data image, persistent, nosuid nodev noexec",
        [PLAN_OP_INBOX] = "mail image, what came, nosuid nodev noexec",
        [PLAN_OP_OUTBOX] = "mail image, what goes, nosuid nodev noexec",
        [PLAN_OP_SLOT] = "the package, read-only nosuid nodev noexec",
    };

    return type < PLAN_OP_TYPES ? texts[type] : "?";
}

/* Text of a plan may be a tenant's: nothing of it reaches a terminal raw. */
static void put_plain(const char *text, FILE *out)
{
    for (; *text != '\0'; text++)
        (void)fputc(*text >= ' ' && *text <= '~' ? *text : '?', out);
}

static void put_size(const char *name, uint64_t bytes, FILE *out)
{
    if (bytes % (1024U * 1024U) == 0)
        (void)fprintf(out, "  %-12s %" PRIu64 " MiB\n", name, bytes / (1024U * 1024U));
    else
        (void)fprintf(out, "  %-12s %" PRIu64 " bytes\n", name, bytes);
}

/* What is exec'd: the payload's own command, or that of its tender. */
static void put_command(const struct plan *p, FILE *out)
{
    static struct tender_args args; /* large, and there is one thread */
    const bool vm = p->vm != PLAN_VM_NONE;

    if (vm)
        tender_args(p, &args);
    for (uint32_t i = 0; i < (vm ? args.n : p->n_args); i++) {
        (void)fputc(' ', out);
        put_plain(vm ? args.text[i] : p->args[i], out);
    }
}

/* Whose tree is "/". */
static const char *root_text(const struct plan *p)
{
    return p->vm != PLAN_VM_NONE ? "the tender, read-only nosuid nodev" : op_text(PLAN_OP_ROOT);
}

void plan_print(const struct plan *p, FILE *out)
{
    char name[RULES_PROFILE_CAP];

    (void)fprintf(out, "payload %s/%s\n\nruns\n ", p->tenant, p->name);
    put_command(p, out);
    (void)fputs("\n\nas\n", out);
    (void)fprintf(out, "  host ids     %u to %u; the payload is %u inside, %u on the host\n",
                  p->uid_base, p->uid_base + PLAN_UID_COUNT - 1, plan_uid(p),
                  p->uid_base + plan_uid(p));
    (void)fprintf(out, "  hostname     %s\n\nwith\n", p->hostname);
    for (uint32_t i = 0; i < p->n_env; i++) {
        (void)fputs("  ", out);
        put_plain(p->env[i], out);
        (void)fputc('\n', out);
    }
    (void)fputs("\nsees\n", out);
    for (uint32_t i = 0; i < p->n_ops; i++) {
        const struct plan_op *op = &p->ops[i];

        (void)fprintf(out, "  %-6s %-6s %s", op->path, plan_op_name(op->type),
                      op->type == PLAN_OP_ROOT ? root_text(p) : op_text(op->type));
        if (op->bytes != 0)
            (void)fprintf(out, ", %" PRIu64 " KiB", op->bytes / 1024);
        if (op->inodes != 0)
            (void)fprintf(out, ", %u files", op->inodes);
        (void)fputc('\n', out);
    }
    (void)fputs("\nmay use at most\n", out);
    put_size("memory", p->limits.memory_bytes, out);
    (void)fprintf(out, "  %-12s %u.%03u cores\n", "cpu", p->limits.cpu_permille / 1000,
                  p->limits.cpu_permille % 1000);
    (void)fprintf(out, "  %-12s %u, with the reaper\n", "processes", p->limits.pids);
    (void)fprintf(out, "  %-12s %u\n", "open files", p->limits.open_files);
    if (p->limits.file_bytes != 0)
        put_size("one file", p->limits.file_bytes, out);
    if (p->limits.core_bytes != 0)
        put_size("core dump", p->limits.core_bytes, out);
    (void)fputs("\nbehind\n", out);
    for (size_t i = 0; i < LAYERS; i++)
        (void)fprintf(out, "  %-18s %s\n", layers[i].name, layers[i].text);
    (void)fprintf(out, "  %-18s %s\n", "seccomp profile",
                  rules_profile_name(p->calls, name, sizeof name));
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static void put_string(const char *text, FILE *out)
{
    (void)fputc('"', out);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            (void)fprintf(out, "\\%c", c);
        else if (c < ' ' || c == 0x7f)
            (void)fprintf(out, "\\u%04x", c);
        else
            (void)fputc(c, out);
    }
    (void)fputc('"', out);
}

static void put_strings(const char *name, const char (*list)[PAYLOAD_ARG_CAP], uint32_t n,
                        FILE *out)
{
    (void)fprintf(out, "\"%s\":[", name);
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0)
            (void)fputc(',', out);
        put_string(list[i], out);
    }
    (void)fputs("],", out);
}

void plan_print_json(const struct plan *p, FILE *out)
{
    char name[RULES_PROFILE_CAP];

    (void)fprintf(out,
                  "{\"tenant\":\"%s\",\"name\":\"%s\",\"hostname\":\"%s\",\"uid_base\":%u,"
                  "\"uid_count\":%u,\"uid\":%u,\"tender\":\"%s\",\"profile\":\"%s\",",
                  p->tenant, p->name, p->hostname, p->uid_base, PLAN_UID_COUNT, plan_uid(p),
                  tender_name(p->vm), rules_profile_name(p->calls, name, sizeof name));
    put_strings("args", p->args, p->n_args, out);
    put_strings("env", p->env, p->n_env, out);
    (void)fputs("\"operations\":[", out);
    for (uint32_t i = 0; i < p->n_ops; i++)
        (void)fprintf(out,
                      "%s{\"type\":\"%s\",\"path\":\"%s\",\"bytes\":%" PRIu64 ",\"inodes\":%u}",
                      i > 0 ? "," : "", plan_op_name(p->ops[i].type), p->ops[i].path,
                      p->ops[i].bytes, p->ops[i].inodes);
    (void)fprintf(
        out,
        "],\"limits\":{\"memory_bytes\":%" PRIu64 ",\"tmp_bytes\":%" PRIu64
        ",\"data_bytes\":%" PRIu64 ",\"inbox_bytes\":%" PRIu64 ",\"outbox_bytes\":%" PRIu64
        ",\"file_bytes\":%" PRIu64 ",\"shm_bytes\":%" PRIu64 ",\"core_bytes\":%" PRIu64
        ",\"cpu_permille\":%u,\"pids\":%u,\"open_files\":%u},\"watchdog_ms\":%u,"
        "\"layers\":{",
        p->limits.memory_bytes, p->limits.tmp_bytes, p->limits.data_bytes, p->limits.inbox_bytes,
        p->limits.outbox_bytes, p->limits.file_bytes, p->limits.shm_bytes, p->limits.core_bytes,
        p->limits.cpu_permille, p->limits.pids, p->limits.open_files, p->watchdog_ms);
    for (size_t i = 0; i < LAYERS; i++) {
        (void)fprintf(out, "%s\"%s\":", i > 0 ? "," : "", layers[i].name);
        put_string(layers[i].text, out);
    }
    (void)fputs("}}\n", out);
}
