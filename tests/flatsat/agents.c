/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/flatsat/agents.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "tests/flatsat/disk.h"
#include "tests/flatsat/ground.h"
#include "tests/flatsat/guest.h"

#define STATE "state.img"
#define STATE_MIB 256U
#define STEP_MS 10U
#define LOOK_MS 1000U
#define UP_MS 300000U /* from power on until an agent is ready, on a busy machine */
#define COURSE_MS 900000U
#define COMMAND_MS 60000U

/* One release of the agent, and how it must end. */
struct course {
    const char *why;
    uint32_t release;   /* 3 is version 0.9.3 */
    uint32_t ends_with; /* the release that runs in the end */
    bool cut;           /* the power goes while it is on trial */
    const char *state, *code;
    const char *change; /* one line of sh that makes it: "$1" is its tree */
};

#define GOOD "sed -i s/0.1.0/0.9.%u/g $1/bin/berthd"
#define BAD "cp %s/tests/probe/agent_broken $1/bin/berthd; echo %s >$1/bin/broken"

static const struct course courses[] = {
    { "a good build", 2, 2, false, "committed", "", "good" },
    { "exits at once, and the power goes", 3, 2, true, "rolled-back", "AGENT_DIED", "exit" },
    { "a good build, and the power goes", 4, 4, true, "committed", "", "good" },
    { "crashes after READY=1", 5, 4, false, "rolled-back", "AGENT_DIED", "crash" },
    { "hangs", 6, 4, false, "rolled-back", "AGENT_DIED", "hang" },
};

struct run {
    const struct agents_options *o;
    uint64_t began_ms, power_ms;
    int work_fd, log_fd, console_fd;
    char work[PATH_MAX], disk_file[PATH_MAX], top[PATH_MAX], build[PATH_MAX];
    struct ground ground;
    struct guest guest;
    struct seen seen;
    bool ready, trial; /* said so since the power came */
    bool lost;         /* an agent, at any time: that its launcher ended before it */
    uint32_t cuts;
};

static void on_line(void *arg, const char *line)
{
    struct run *r = arg;

    r->ready |= strstr(line, "ready satellite=") != NULL;
    r->trial |= strstr(line, "start agent=") != NULL && strstr(line, "on trial") != NULL;
    r->lost |= strstr(line, "berth-launch has ended") != NULL;
}

static enum rc power_on(struct run *r, struct err *err)
{
    const struct guest_setup setup = { .images = r->o->images,
                                       .state = r->disk_file,
                                       .log_fd = r->console_fd,
                                       .up = r->ground.dir[GROUND_DIR_AIR_UP],
                                       .down = r->ground.dir[GROUND_DIR_AIR_DOWN],
                                       .on_line = on_line,
                                       .arg = r };

    r->ready = r->trial = false;
    r->power_ms = clock_mono_ms();
    return guest_start(&setup, &r->guest, err);
}

/* Until a flag is set by a line of the console. */
static enum rc wait_flag(struct run *r, const bool *flag, const char *what, struct err *err)
{
    const uint64_t end = clock_mono_ms() + UP_MS;

    while (!*flag) {
        enum rc rc = guest_step(&r->guest, STEP_MS, err);

        if (rc == RC_OK && clock_mono_ms() > end)
            rc = err_set(err, RC_SCENARIO, "%s: not within %u s", what, UP_MS / 1000U);
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

/* The payload runs, and the agent is what the course says, by a report of this boot. */
static bool has_ended(const struct run *r, const struct course *c)
{
    const struct seen_payload *beacon = seen_payload(&r->seen, GROUND_SATELLITE, GROUND_PAYLOAD);
    const struct seen_payload *agent = seen_payload(&r->seen, GROUND_SATELLITE, GROUND_AGENT);
    char version[VERSION_CAP];

    if (!beacon || !beacon->running || strcmp(beacon->state, "committed") != 0 ||
        r->seen.satellite[0].report_age_ms >= clock_mono_ms() - r->power_ms)
        return false;
    if (!c)
        return true;
    (void)snprintf(version, sizeof version, "0.9.%u", c->ends_with);
    return agent && agent->running && strcmp(agent->version, version) == 0 &&
           strcmp(agent->state, c->state) == 0 && strcmp(agent->code, c->code) == 0;
}

static enum rc wait_end(struct run *r, const struct course *c, struct err *err)
{
    const uint64_t end = clock_mono_ms() + COURSE_MS;
    uint64_t look = clock_mono_ms();

    for (;;) {
        enum rc rc = guest_step(&r->guest, STEP_MS, err);

        if (rc == RC_OK && clock_mono_ms() >= look) {
            rc = ground_look(&r->ground, &r->seen, err);
            if (rc == RC_OK && has_ended(r, c))
                return RC_OK;
            look = clock_mono_ms() + LOOK_MS;
        }
        if (rc == RC_OK && clock_mono_ms() > end)
            rc = err_set(err, RC_SCENARIO, "%s: not within %u s", c ? c->why : "first payload",
                         COURSE_MS / 1000U);
        if (rc != RC_OK)
            return rc;
    }
}

static enum rc check_inside(struct run *r, struct err *err)
{
    scoped(free_ptr) char *output = NULL;
    int status = 0;
    enum rc rc = guest_run(&r->guest, "systemctl is-active berthd; systemctl --failed --plain -q",
                           COMMAND_MS, &status, &output, err);

    if (rc == RC_OK && strcmp(output, "active\n") != 0)
        rc = err_set(err, RC_SCENARIO, "systemd says: %.40s", output);
    return rc;
}

static enum rc one_course(struct run *r, const struct course *c, struct err *err)
{
    const uint64_t began = clock_mono_ms();
    char change[PATH_MAX + 256];

    if (strcmp(c->change, "good") == 0)
        (void)snprintf(change, sizeof change, GOOD, c->release);
    else
        (void)snprintf(change, sizeof change, BAD, r->build, c->change);
    r->trial = false;
    enum rc rc = ground_agent(&r->ground, c->release, change, err);
    if (rc == RC_OK && c->cut)
        rc = wait_flag(r, &r->trial, "the trial", err);
    if (rc == RC_OK && c->cut) {
        guest_cut(&r->guest);
        r->cuts++;
        rc = power_on(r, err);
    }
    if (rc == RC_OK)
        rc = wait_end(r, c, err);
    if (rc == RC_OK)
        rc = check_inside(r, err);
    if (rc == RC_OK && r->lost)
        rc = err_set(err, RC_SCENARIO, "%s: the launcher ended before its agent", c->why);
    if (rc == RC_OK)
        (void)printf("  ok  %s: 0.9.%u runs, the payload too (%llu s)\n", c->why, c->ends_with,
                     (unsigned long long)(clock_mono_ms() - began) / 1000);
    (void)fflush(stdout);
    return rc;
}

/* The launcher is another service, and what is wrong with it is not cleared away with the agent's.
 */
static enum rc hung_launcher(struct run *r, struct err *err)
{
    const uint64_t began = clock_mono_ms();
    scoped(free_ptr) char *output = NULL;
    int status = 0;

    r->ready = false;
    enum rc rc = guest_run(&r->guest,
                           "systemctl kill -s STOP 'berth-launch@*' && "
                           "kill -KILL $(systemctl show -p MainPID --value berthd)",
                           COMMAND_MS, &status, &output, err);

    if (rc == RC_OK && status != 0)
        rc = err_set(err, RC_SCENARIO, "no launcher to stop: %.40s", output);
    r->power_ms = clock_mono_ms();
    if (rc == RC_OK)
        rc = wait_flag(r, &r->ready, "an agent after one whose launcher hangs", err);
    if (rc == RC_OK)
        rc = wait_end(r, NULL, err);
    if (rc == RC_OK)
        rc = check_inside(r, err);
    if (rc == RC_OK)
        (void)printf("  ok  the launcher hangs, and its agent is killed: both run again (%llu s)\n",
                     (unsigned long long)(clock_mono_ms() - began) / 1000);
    return rc;
}

static enum rc open_files(struct run *r, struct err *err)
{
    char real[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", r->build, sizeof r->build - 1);
    char *slash = NULL;

    /* the programs are two directories above this one */
    for (int i = 0; n > 0 && i < 3; i++) {
        r->build[n] = '\0';
        slash = strrchr(r->build, '/');
        n = slash ? slash - r->build : -1;
    }
    if (!slash || !realpath(".", r->top) || !realpath(r->o->images, real))
        return err_sys(err, RC_SCENARIO, "%s", r->o->images);
    *slash = '\0';
    if ((size_t)snprintf(r->work, sizeof r->work, "%.3800s/agents-XXXXXX", real) >=
            sizeof r->work ||
        !mkdtemp(r->work))
        return err_sys(err, RC_IO, "%s", r->work);
    (void)snprintf(r->disk_file, sizeof r->disk_file, "%.4000s/" STATE, r->work);
    r->work_fd = open(r->work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->work_fd < 0)
        return err_sys(err, RC_IO, "%s", r->work);
    enum rc rc =
        fs_open(r->work_fd, "log.txt", O_WRONLY | O_CREAT | O_APPEND, 0644, &r->log_fd, err);
    return rc == RC_OK ? fs_open(r->work_fd, "console.txt", O_WRONLY | O_CREAT | O_APPEND, 0644,
                                 &r->console_fd, err)
                       : rc;
}

static enum rc prepare(struct run *r, struct err *err)
{
    enum rc rc = open_files(r, err);

    if (rc != RC_OK)
        return rc;
    r->ground = (struct ground){
        .build = r->build, .top = r->top, .seed = 1, .work_fd = r->work_fd, .log_fd = r->log_fd
    };
    rc = ground_found(&r->ground, err);
    if (rc == RC_OK)
        rc = ground_let_agents_in(&r->ground, err);
    if (rc == RC_OK)
        rc = disk_make(r->work_fd, r->log_fd, STATE, STATE_MIB, err);
    if (rc == RC_OK)
        rc = ground_start(&r->ground, err);
    if (rc == RC_OK)
        rc = power_on(r, err);
    if (rc == RC_OK)
        rc = wait_flag(r, &r->ready, "the agent of the launch", err);
    if (rc == RC_OK)
        rc = ground_order(&r->ground, 1, true, err);
    return rc == RC_OK ? wait_end(r, NULL, err) : rc;
}

int agents_run(const struct agents_options *options)
{
    struct run *r = calloc(1, sizeof *r);
    struct err err = { 0 }, ignored;
    char text[256];

    if (!r)
        return 1;
    r->o = options;
    r->work_fd = r->log_fd = r->console_fd = -1;
    r->began_ms = clock_mono_ms();
    enum rc rc = prepare(r, &err);
    for (size_t i = 0; rc == RC_OK && i < sizeof courses / sizeof *courses; i++)
        rc = one_course(r, &courses[i], &err);
    if (rc == RC_OK)
        rc = hung_launcher(r, &err);
    if (r->guest.pid > 0)
        guest_cut(&r->guest);
    ground_stop(&r->ground);
    (void)printf("flatsat: agents: %s, %u power cuts, %llu s\n",
                 rc == RC_OK ? "all courses ended as they should"
                             : err_text(&err, text, sizeof text),
                 r->cuts, (unsigned long long)(clock_mono_ms() - r->began_ms) / 1000);
    if (rc != RC_OK)
        (void)printf("disk, console.txt, log.txt: %s\n", r->work);
    else if (!options->keep)
        (void)!fs_remove_tree(AT_FDCWD, r->work, &ignored);
    close_fd(&r->work_fd);
    close_fd(&r->log_fd);
    close_fd(&r->console_fd);
    free(r);
    return rc == RC_OK ? 0 : 1;
}
