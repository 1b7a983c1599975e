/* SPDX-License-Identifier: Apache-2.0
 *
 * berth-launch: the one program that stays privileged on board, and does one thing with it: it
 * turns plans from berthd into sandboxes, and takes them down again.
 *
 * Input: fixed-size messages with descriptors on descriptor 3 (sandbox/wire), from berthd, which is
 * not root and may have been taken over: a request can choose among the sandboxes that plan_check
 * allows and the directories below descriptor 4 (the slots), and nothing else.  No path from a
 * request is opened outside the payload's own tree.
 * With --door it is not started by berthd but for it, and takes those descriptors and the program
 * of berthd's own version from berthd first (sandbox/door).
 * When the socket closes, or on SIGTERM, everything ends: payloads, mounts, loop devices, cgroups.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/name.h"
#include "sandbox/caps.h"
#include "sandbox/denied.h"
#include "sandbox/door.h"
#include "sandbox/idmap.h"
#include "sandbox/launch.h"

#define SOCKET_FD 3
#define SLOTS_FD 4
#define INSTANCES_MAX (2U * PAYLOADS_MAX) /* during a trial, old and new may overlap */
#define LOCK_WAIT_MS 15000U
#define RELEASE_WAIT_MS 8000U /* for all that ended in one turn: others wait for their answers */
#define END_WAIT_MS 10000U
#define SWEEP_WAIT_MS 4000U /* after that */
#define PREPARE_AFTER_MS 10
#define WAIT_MAX_MS 60000 /* longest sleep while a stop is under way */

static_assert(END_WAIT_MS + SWEEP_WAIT_MS < LOCK_WAIT_MS, "the next launcher waits for the end");

struct server {
    struct launcher launcher;
    struct err refused; /* why nothing is launched at all; RC_OK: it is */
    struct instance instance[INSTANCES_MAX];
    int signals;
    bool ending;
    bool prepares;   /* stems and networks, while nothing else is to do */
    uint64_t end_ms; /* when all must have ended, once nothing is served any more; else 0 */
};

/* One set of descriptors to wait for, and whose they are. */
struct waiting {
    struct pollfd fd[2 + 2 * INSTANCES_MAX];
    struct instance *of[2 + 2 * INSTANCES_MAX];
    nfds_t n;
};

/* ---- answers -------------------------------------------------------------------------------- */

/* A peer that is gone is noticed by reading; nothing else can go wrong with a blocking socket. */
static void answer(struct server *s, const struct wire_head *message, const int *fds, size_t n)
{
    struct err err;

    if (wire_send(SOCKET_FD, message, fds, n, &err) != RC_OK)
        s->ending = true;
}

static struct instance *find(struct server *s, uint64_t id)
{
    for (size_t i = 0; i < INSTANCES_MAX; i++) {
        if (s->instance[i].id == id)
            return &s->instance[i];
    }
    return NULL;
}

static void refuse(struct server *s, uint64_t id, const char *step, const struct err *err)
{
    struct wire_launch_failed m = { .head = wire_head(WIRE_LAUNCH_FAILED, id),
                                    .rc = err->rc,
                                    .sys = err->sys };

    (void)snprintf(m.step, sizeof m.step, "%s", step);
    (void)snprintf(m.what, sizeof m.what, "%s", err->what);
    log_err(LOG_LEVEL_WARN, err, "launch-failed instance=%llu step=%s", (unsigned long long)id,
            step);
    answer(s, &m.head, NULL, 0);
}

/* For the starts to come, while nothing else is to do. */
static void prepare_starts(struct server *s)
{
    s->prepares = s->refused.rc == RC_OK;
}

/* If nothing is to do for so long, the next starts can be made shorter; at once, where the next one
 * would have to wait for it. */
static int prepare_in(const struct server *s, int wait_ms)
{
    if (stems_urgent(s->launcher.stems))
        return 0;
    return wait_ms < 0 || wait_ms > PREPARE_AFTER_MS ? PREPARE_AFTER_MS : wait_ms;
}

/* One thing at a time: somebody may ask for a start meanwhile. */
static void prepare_one(struct server *s)
{
    struct launcher *l = &s->launcher;

    s->prepares = stems_prepare(l->stems, walls_stand(&l->walls, WALL_TIME_NAMESPACE)) ||
                  (walls_stand(&l->walls, WALL_NET_NAMESPACE) && network_prepare(l->networks));
}

static void on_launch(struct server *s, const union wire_message *m, const struct wire_fds *fds)
{
    uint64_t began_ms = clock_mono_ms();

    struct instance *place = find(s, 0);
    struct launch_result result = { .fds = WIRE_FDS_INIT };
    struct err err = { 0 };
    const char *step = "place";

    prepare_starts(s);
    if (s->refused.rc != RC_OK) {
        refuse(s, m->head.instance, "walls", &s->refused);
        return;
    }
    if (find(s, m->head.instance) != NULL || place == NULL) {
        (void)err_set(&err, RC_BUSY, "instance");
        refuse(s, m->head.instance, step, &err);
        return;
    }
    if (launch_start(&s->launcher, &m->launch, fds, place, &result, &step, &err) != RC_OK) {
        refuse(s, m->head.instance, step, &err);
        return;
    }

    struct wire_launched launched = { .head = wire_head(WIRE_LAUNCHED, m->head.instance),
                                      .pid = result.payload,
                                      .start_ms = (uint32_t)(clock_mono_ms() - began_ms),
                                      .receipt = result.receipt };
    answer(s, &launched.head, result.fds.fd, result.fds.n);
    wire_fds_close(&result.fds);
}

static void on_stop(struct server *s, const union wire_message *m, const struct wire_fds *fds)
{
    struct instance *instance = find(s, m->head.instance);

    (void)fds;
    if (instance == NULL)
        return;
    /* Never 0, which means that no stop is under way. */
    instance->kill_at_ms = clock_mono_ms() + m->stop.grace_ms + 1;
    if (m->stop.grace_ms > 0)
        launch_terminate(instance);
    else
        launch_kill(instance);
}

static void on_stat(struct server *s, const union wire_message *m, const struct wire_fds *fds)
{
    const struct instance *instance = find(s, m->head.instance);
    struct wire_stats stats = { .head = wire_head(WIRE_STATS, m->head.instance) };

    (void)fds;
    if (instance == NULL)
        return;
    cgroup_usage(&s->launcher.tree, &instance->cgroup, &stats.usage);
    answer(s, &stats.head, NULL, 0);
}

static void on_freeze(struct server *s, const union wire_message *m, const struct wire_fds *fds)
{
    const struct instance *instance = find(s, m->head.instance);
    struct wire_frozen answered = { .head = wire_head(WIRE_FROZEN, m->head.instance),
                                    .frozen = m->head.type == WIRE_FREEZE };
    struct err err = { 0 };

    (void)fds;
    if (instance == NULL)
        return;
    answered.rc = cgroup_freeze(&instance->cgroup, answered.frozen != 0, &err);
    if (answered.rc != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "freeze instance=%llu", (unsigned long long)m->head.instance);
    answer(s, &answered.head, NULL, 0);
}

static void on_limits(struct server *s, const union wire_message *m, const struct wire_fds *fds)
{
    struct instance *instance = find(s, m->head.instance);
    struct wire_limited answered = { .head = wire_head(WIRE_LIMITED, m->head.instance),
                                     .tag = m->limits.tag };
    struct err err = { 0 };

    (void)fds;
    if (instance == NULL)
        return;
    answered.rc = launch_relimit(&s->launcher, instance, &m->limits.limits, &m->limits.share, &err);
    answered.sys = err.sys;
    (void)snprintf(answered.what, sizeof answered.what, "%s", err.what);
    if (answered.rc != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "limits instance=%llu", (unsigned long long)m->head.instance);
    answer(s, &answered.head, NULL, 0);
}

static void on_audit(struct server *s, const union wire_message *m, const struct wire_fds *fds)
{
    struct instance *instance = find(s, m->head.instance);
    struct wire_audited audited = { .head = wire_head(WIRE_AUDITED, m->head.instance) };
    struct err err = { 0 };

    (void)fds;
    if (instance == NULL)
        return;
    if (launch_audit(&s->launcher, instance, &err) != RC_OK) {
        log_err(LOG_LEVEL_ERROR, &err, "drifted instance=%llu", (unsigned long long)instance->id);
        audited.rc = RC_DRIFT;
        (void)snprintf(audited.what, sizeof audited.what, "%s", err.what);
    }
    answer(s, &audited.head, NULL, 0);
}

struct handler {
    enum wire_type type;
    void (*run)(struct server *s, const union wire_message *m, const struct wire_fds *fds);
};

static const struct handler handlers[] = {
    { WIRE_LAUNCH, on_launch }, { WIRE_STOP, on_stop },   { WIRE_STAT, on_stat },
    { WIRE_FREEZE, on_freeze }, { WIRE_THAW, on_freeze }, { WIRE_LIMITS, on_limits },
    { WIRE_AUDIT, on_audit },
};

static void on_socket(struct server *s)
{
    static union wire_message m; /* large, and there is one thread */
    scoped(wire_fds_close) struct wire_fds fds = WIRE_FDS_INIT;
    struct err err = { 0 };
    enum rc rc = wire_recv(SOCKET_FD, &m, &fds, &err);

    if (rc == RC_OK) {
        for (size_t i = 0; i < sizeof handlers / sizeof handlers[0]; i++) {
            if (handlers[i].type == m.head.type) {
                handlers[i].run(s, &m, &fds);
                explicit_bzero(&m, sizeof m); /* stems that are made now become another's */
                return;
            }
        }
        rc = err_set(&err, RC_PROTOCOL, "message %u", m.head.type);
    }
    /* A peer that does not keep to the protocol is not berthd as we know it: end like on its end.
     */
    if (rc != RC_SHORT)
        log_err(LOG_LEVEL_ERROR, &err, "socket");
    s->ending = true;
}

/* ---- instances ------------------------------------------------------------------------------ */

static void finish(struct server *s, struct instance *instance, uint64_t until_ms)
{
    struct wire_exited m = launch_finish(&s->launcher, instance, until_ms);

    if (!s->ending)
        answer(s, &m.head, NULL, 0);
}

/* v1 kills one process when the limit is hit; the rest must not go on half. */
static void on_oom(struct instance *instance)
{
    uint64_t times;

    if (read(instance->oom, &times, sizeof times) == sizeof times) {
        instance->oom_hit = true;
        launch_kill(instance);
    }
}

/* Kill what was asked to stop and did not; returns how long to wait for the next one. */
static int kill_overdue(struct server *s)
{
    uint64_t now = clock_mono_ms();
    uint64_t next = UINT64_MAX;

    for (size_t i = 0; i < INSTANCES_MAX; i++) {
        struct instance *instance = &s->instance[i];

        if (instance->id == 0 || instance->kill_at_ms == 0)
            continue;
        if (instance->kill_at_ms <= now) {
            launch_kill(instance);
            instance->kill_at_ms = now + 100; /* until it is gone */
        }
        if (instance->kill_at_ms < next)
            next = instance->kill_at_ms;
    }
    if (next == UINT64_MAX)
        return -1;
    return next - now < WAIT_MAX_MS ? (int)(next - now) : WAIT_MAX_MS;
}

/* ---- loop ----------------------------------------------------------------------------------- */

static void wait_add(struct waiting *w, int fd, struct instance *of)
{
    w->fd[w->n] = (struct pollfd){ .fd = fd, .events = POLLIN };
    w->of[w->n++] = of;
}

static void wait_all(struct server *s, struct waiting *w)
{
    w->n = 0;
    wait_add(w, s->ending ? -1 : SOCKET_FD, NULL);
    wait_add(w, s->ending ? -1 : s->signals, NULL);
    for (size_t i = 0; i < INSTANCES_MAX; i++) {
        struct instance *instance = &s->instance[i];

        if (instance->id == 0)
            continue;
        wait_add(w, instance->pidfd, instance);
        if (instance->oom >= 0 && !instance->oom_hit)
            wait_add(w, instance->oom, instance);
    }
}

static void step(struct server *s, struct waiting *w)
{
    wait_all(s, w);
    int wait_ms = kill_overdue(s);
    if (s->prepares && !s->ending)
        wait_ms = prepare_in(s, wait_ms);
    int ready = poll(w->fd, w->n, wait_ms);
    if (ready == 0 && s->prepares && !s->ending)
        prepare_one(s);
    if (ready <= 0)
        return;

    uint64_t until_ms = s->end_ms != 0 ? s->end_ms : clock_mono_ms() + RELEASE_WAIT_MS;
    for (nfds_t i = 2; i < w->n; i++) {
        struct instance *instance = w->of[i];

        if (w->fd[i].revents == 0 || instance->id == 0)
            continue;
        if (w->fd[i].fd == instance->pidfd)
            finish(s, instance, until_ms);
        else
            on_oom(instance);
    }
    if (w->fd[1].revents != 0)
        s->ending = true;
    else if (w->fd[0].revents != 0)
        on_socket(s);
}

static bool any_left(const struct server *s)
{
    for (size_t i = 0; i < INSTANCES_MAX; i++) {
        if (s->instance[i].id != 0)
            return true;
    }
    return false;
}

static void serve(struct server *s)
{
    static struct waiting w;

    while (!s->ending)
        step(s, &w);
    for (size_t i = 0; i < INSTANCES_MAX; i++) {
        if (s->instance[i].id != 0) {
            launch_kill(&s->instance[i]);
            s->instance[i].kill_at_ms = clock_mono_ms() + 100;
        }
    }
    s->end_ms = clock_mono_ms() + END_WAIT_MS;
    while (any_left(s) && clock_mono_ms() < s->end_ms)
        step(s, &w);
}

/* ---- start ---------------------------------------------------------------------------------- */

struct options {
    const char *cgroup;
    const char *devices; /* file, or NULL */
    bool mail;           /* somebody carries mail: */
    uint32_t mail_uid, mail_gid;
    struct wall_policy walls;
};

static enum rc prepare(struct server *s, struct err *err)
{
    sigset_t mask;

    (void)umask(0);
    (void)sigemptyset(&mask);
    (void)sigaddset(&mask, SIGTERM);
    (void)sigaddset(&mask, SIGINT);
    if (sigprocmask(SIG_BLOCK, &mask, NULL) != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return err_sys(err, RC_CONFINE, "signals");
    s->signals = signalfd(-1, &mask, SFD_CLOEXEC);
    if (s->signals < 0 || fcntl(SOCKET_FD, F_SETFD, FD_CLOEXEC) != 0 ||
        fcntl(SLOTS_FD, F_SETFD, FD_CLOEXEC) != 0)
        return err_sys(err, RC_CONFINE, "descriptors %d and %d", SOCKET_FD, SLOTS_FD);
    s->launcher.slots = SLOTS_FD;
    return setgroups(0, NULL) != 0 ? err_sys(err, RC_CONFINE, "groups") : RC_OK;
}

/* Who carries mail is the payload in its view of the mail image.  Without that view payloads with
 * mail are refused, and no others. */
static void map_mail(struct launcher *l, const struct options *o)
{
    l->mail_uid = o->mail_uid;
    for (uint32_t root = 0; root < 2; root++) {
        const struct plan plan = { .inner_root = root };
        struct err err = { 0 };
        int userns = -1;

        l->mail_userns[root] = -1;
        if (!o->mail)
            continue;
        if (idmap_one(plan_uid(&plan), o->mail_uid, o->mail_gid, &userns, &err) == RC_OK)
            l->mail_userns[root] = userns;
        else
            log_err(LOG_LEVEL_ERROR, &err, "payloads with mail are not launched");
    }
}

/* What is wrong here stops payloads, not us: the ground must hear of it.  Only who finds another
 * launcher at work ends. */
static enum rc build_walls(struct server *s, const struct options *o, struct err *err)
{
    struct launcher *l = &s->launcher;

    static struct networks networks;
    static struct stems stems;

    launch_init(l, &o->walls);
    l->networks = &networks;
    l->stems = &stems;
    l->mail_userns[0] = l->mail_userns[1] = -1;
    cgroup_tree_none(&l->tree);
    enum rc rc = cgroup_tree_open(o->cgroup, LOCK_WAIT_MS, &l->tree, err);
    if (rc == RC_BUSY)
        return rc;
    if (rc != RC_OK)
        s->refused = *err;
    walls_try_cgroups(rc == RC_OK ? &l->tree : NULL, &l->walls);
    if (rc == RC_OK)
        rc = walls_check(&l->walls, &s->refused);
    if (rc == RC_OK && o->devices != NULL)
        rc = devices_load(o->devices, &l->listed, &s->refused);
    if (rc == RC_OK)
        map_mail(l, o);
    return RC_OK;
}

/* For berthd, which has no right to it and may be in a network namespace where the kernel tells
 * nothing.  -1: refused calls are refused all the same; only nobody hears of them. */
static int open_denied(void)
{
    struct err err = { 0 };
    int fd = -1;

    if (denied_open(&fd, &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "refused calls are not counted");
    return fd;
}

/* The first thing that berthd hears, and the log. */
static void tell_walls(struct server *s, int denied)
{
    struct wire_walls m = { .head = wire_head(WIRE_WALLS, 0),
                            .seen = launch_walls(&s->launcher),
                            .refused_rc = s->refused.rc,
                            .refused_sys = s->refused.sys };
    char missing[WALLS_TEXT_CAP];
    char waived[WALLS_TEXT_CAP];

    (void)snprintf(m.refused_what, sizeof m.refused_what, "%s", s->refused.what);
    log_event(LOG_LEVEL_INFO, "walls missing=%s waived=%s landlock=%u cgroup=%u",
              walls_list(m.seen.missing, missing), walls_list(m.seen.waived, waived),
              m.seen.landlock_abi, m.seen.cgroup_version);
    if (s->refused.rc != RC_OK)
        log_err(LOG_LEVEL_ERROR, &s->refused, "nothing is launched");
    answer(s, &m.head, &denied, denied >= 0 ? 1 : 0);
}

/* No landlock and no allow-list here: both would be inherited by every payload, and landlock
 * forbids mounting.  What nobody here ever needs is refused for the launcher and all below it. */
static enum rc confine(const struct walls *walls, struct err *err)
{
    static struct seccomp_program filter;
    bool filtered = walls_stand(walls, WALL_SECCOMP);
    enum rc rc = filtered ? seccomp_build(SECCOMP_LAUNCHER, 0, CALLS_NATIVE, &filter, err) : RC_OK;

    if (rc == RC_OK)
        rc = caps_keep_launcher(walls_stand(walls, WALL_BOUNDING_SET), err);
    if (rc != RC_OK)
        return rc;
    if (walls_stand(walls, WALL_NO_NEW_PRIVS) &&
        prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0)
        return err_sys(err, RC_CONFINE, "no_new_privs");
    if (filtered && seccomp_apply(&filter) != 0)
        return err_sys(err, RC_CONFINE, "launcher filter");
    return RC_OK;
}

static bool parse_user(const char *text, struct options *o)
{
    int end = 0;

    /* NOLINTNEXTLINE(cert-err34-c): what it cannot read is refused */
    o->mail = sscanf(text, "%9u:%9u%n", &o->mail_uid, &o->mail_gid, &end) == 2 &&
              text[end] == '\0' && o->mail_uid != 0 && o->mail_gid != 0;
    return o->mail;
}

/* A wall that is to be waived and that this version does not know, or that nobody can do without,
 * is passed over: then it is refused for it, which is the safe way to be wrong. */
static bool parse(int argc, char **argv, struct options *ret)
{
    char passed_over[WALL_NAME_CAP] = "";

    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc)
            return false;
        if (strcmp(argv[i], "--cgroup") == 0)
            ret->cgroup = argv[i + 1];
        else if (strcmp(argv[i], "--mail-user") == 0 && parse_user(argv[i + 1], ret))
            continue;
        else if (strcmp(argv[i], "--devices") == 0)
            ret->devices = argv[i + 1];
        else if (strcmp(argv[i], "--waive") == 0)
            wall_policy_waive(&ret->walls, argv[i + 1], passed_over);
        else if (strcmp(argv[i], "--require") == 0)
            wall_policy_require(&ret->walls, argv[i + 1]);
        else
            return false;
        if (passed_over[0] != '\0')
            log_event(LOG_LEVEL_WARN, "wall cannot be waived name=%s", passed_over);
    }
    return ret->cgroup != NULL && name_valid(ret->cgroup);
}

int main(int argc, char **argv)
{
    static struct server server;
    struct options options = { .cgroup = NULL };
    int denied = -1;
    struct err err = { 0 };

    log_open("berth-launch", LOG_LEVEL_INFO);
    (void)prctl(PR_SET_NAME, "berth-launch"); /* the door starts it by descriptor, without a name */
    if (argc == 2 && strcmp(argv[1], "--door") == 0) {
        (void)door_open(&err);
        log_err(LOG_LEVEL_ERROR, &err, "door");
        return 1;
    }
    if (!parse(argc, argv, &options)) {
        (void)fputs("usage: berth-launch --cgroup NAME [--mail-user UID:GID] [--devices FILE]\n"
                    "                    [--waive WALL,...] [--require WALL,...]\n"
                    "       (started by berthd, socket on 3, slots on 4)\n"
                    "       berth-launch --door\n"
                    "       (started for a connection, which is 3: becomes what berthd asks for)\n",
                    stderr);
        return 2;
    }
    for (size_t i = 0; i < INSTANCES_MAX; i++)
        server.instance[i] = INSTANCE_INIT;
    enum rc rc = prepare(&server, &err);
    if (rc == RC_OK)
        rc = build_walls(&server, &options, &err);
    if (rc == RC_OK) {
        denied = open_denied(); /* while we may */
        rc = confine(&server.launcher.walls, &err);
    }
    if (rc != RC_OK) {
        log_err(LOG_LEVEL_ERROR, &err, "start");
        return 1;
    }
    server.launcher.own_filters = receipt_own_filters();
    tell_walls(&server, denied);
    close_fd(&denied); /* before there is a stem or a payload */
    prepare_starts(&server);
    serve(&server);
    stems_close(server.launcher.stems);
    cgroup_tree_close(&server.launcher.tree, server.end_ms + SWEEP_WAIT_MS);
    return any_left(&server) ? 1 : 0;
}
