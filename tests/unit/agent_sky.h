/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/agent_sky: the real berthd with the real berth-link, berth-launch and berth-unpack in
 * a directory of their own; the test is the ground.  Needs root and the sandbox, like berthd
 * itself.
 */
#ifndef BERTH_TESTS_UNIT_AGENT_SKY_H
#define BERTH_TESTS_UNIT_AGENT_SKY_H

#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "agent/output.h"
#include "agent/state.h"
#include "agent/stored.h"
#include "base/clock.h"
#include "base/statefile.h"
#include "link/dircl.h"
#include "link/ground.h"
#include "link/outbox.h"
#include "link/state.h"
#include "manifest/config.h"
#include "tests/unit/update_signed.h"

#define NODE 101U
#define GROUND 1U
#define WAIT_MS 300000U /* a sanitizer build on a slow machine takes minutes for seconds */

/* A satellite, its ground, and what the ground knows. */
struct sky {
    struct scratch dir;
    int state, up, down, ground, mail, watch;
    struct keys keys;
    struct link_ground *link;
    pid_t berthd;
    uint64_t serial;
    struct report report;                 /* the newest */
    uint64_t ended_epoch;                 /* of the agent before, if it has reported; else 0 */
    bool went_back;                       /* its record was put back: the next has its epoch */
    uint32_t reports;                     /* since the start of berthd */
    bool offer;                           /* send descriptors first, and chunks only when asked */
    uint64_t sent;                        /* bytes on the uplink */
    const char *devices;                  /* the integrator's list; NULL: there is none */
    const char *launcher;                 /* who starts it for berthd; NULL: berthd does */
    const char *link_seconds;             /* until berth-link hangs; NULL: as usual */
    void (*becomes)(void);                /* in the child that becomes berthd; may be NULL */
    uint64_t term_ms;                     /* what `term` gave last; awaited on top of WAIT_MS */
    void (*each)(const struct report *r); /* shown every report; may be NULL */
    char build[512];
};

static struct sky *sky;

/* ---- making it ----------------------------------------------------------------------------------
 */

static maybe_unused void must(enum rc rc, const struct err *err)
{
    doc_must(rc, err);
}

static maybe_unused noinline void provision_trust(int trust)
{
    struct root root = doc_root();
    struct grant grant = doc_grant();
    struct err err = { 0 };

    root.expires_ms = 0;
    grant.expires_ms = 0;
    doc_signed(&signed_doc_, DOC_ROOT, root_encode, &root, K_ROOT_A, K_ROOT_B);
    must(fs_write_file(trust, TRUST_ROOT_FILE, signed_doc_.bytes, 0600, &err), &err);
    doc_signed(&signed_doc_, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
    must(fs_write_file(trust, "grant-acme.cose", signed_doc_.bytes, 0600, &err), &err);
}

static maybe_unused void provision(void)
{
    struct agent_config config = { .satellite = "aurora-1", .node = NODE, .ground = GROUND };
    scoped(close_fd) int trust = make_dir(sky->state, TRUST_DIR);
    scoped(close_fd) int link = make_dir(sky->state, "link");
    uint8_t buf[CONFIG_MAX];
    struct bytes out = { 0 };
    struct err err = { 0 };

    config.mission = doc_mission;
    must(config_encode(&config, buf, sizeof buf, &out, &err), &err);
    must(fs_write_file(sky->state, CONFIG_FILE, out, 0644, &err), &err);
    provision_trust(trust);
    must(keys_make(GROUND, NODE, &sky->keys, &err), &err);
    must(link_state_make(link, LINK_SIDE_SATELLITE, &sky->keys, &err), &err);
    must(link_state_make(sky->ground, LINK_SIDE_GROUND, &sky->keys, &err), &err);
}

/* flight_ms: how long a bundle may be on its way before a report that misses it is believed. */
static maybe_unused void open_link_with(uint32_t flight_ms, uint32_t resend_ms)
{
    const struct link_ground_options options = {
        .state_dirfd = sky->ground,
        .up_dirfd = sky->up,
        .down_dirfd = sky->down,
        .mail_dirfd = sky->mail,
        .sender = { .flight_ms = flight_ms, .resend_ms = resend_ms },
    };
    struct err err = { 0 };

    must(link_ground_open(&options, &sky->link, &err), &err);
}

static maybe_unused void open_link(void)
{
    open_link_with(300, 2000);
}

/* The directories, and nothing in them. */
static maybe_unused void sky_make(void)
{
    const char *build = getenv("BERTH_BUILD");
    char cwd[256] = "";

    sky = calloc(1, sizeof *sky);
    assert_non_null(sky);
    assert_non_null(getcwd(cwd, sizeof cwd));
    (void)snprintf(sky->build, sizeof sky->build, "%s/%s", cwd, build ? build : "build/release");
    /* Not where the other scratch directories are: /dev/shm may be mounted noexec. */
    (void)snprintf(sky->dir.path, sizeof sky->dir.path, "/tmp/berth-agent-XXXXXX");
    assert_non_null(mkdtemp(sky->dir.path));
    sky->dir.fd = open(sky->dir.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    sky->state = make_dir(sky->dir.fd, "state");
    sky->up = make_dir(sky->dir.fd, "up");
    sky->down = make_dir(sky->dir.fd, "down");
    sky->ground = make_dir(sky->dir.fd, "ground");
    sky->mail = make_dir(sky->dir.fd, "mail");
    sky->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    char path[128];
    (void)snprintf(path, sizeof path, "%s/down", sky->dir.path);
    assert_true(inotify_add_watch(sky->watch, path, IN_MOVED_TO) >= 0);
}

static maybe_unused int sky_open(void **state)
{
    (void)state;
    sky_make();
    provision();
    open_link();
    return 0;
}

/* Become berthd, in a child of the test; 127 if that cannot be.  `test` names the cgroup, which is
 * the same at every start. */
static maybe_unused int become_berthd(pid_t test)
{
    char program[600], state[128], up[128], down[128], cgroup[64], inputs[128];

    (void)snprintf(program, sizeof program, "%s/berthd", sky->build);
    (void)snprintf(state, sizeof state, "%s/state", sky->dir.path);
    (void)snprintf(up, sizeof up, "%s/up", sky->dir.path);
    (void)snprintf(down, sizeof down, "%s/down", sky->dir.path);
    (void)snprintf(cgroup, sizeof cgroup, "berth-test-%d", test);
    (void)snprintf(inputs, sizeof inputs, "%s/inputs", sky->dir.path);
    const char *argv[22] = { "berthd", "--state",        state, "--uplink",
                             up,       "--downlink",     down,  "--cgroup",
                             cgroup,   "--heartbeat-ms", "500", "--frozen-passes",
                             "2",      "--inputs",       inputs };
    size_t n = 15;

    if (sky->devices) {
        argv[n++] = "--devices";
        argv[n++] = sky->devices;
    }
    if (sky->launcher) {
        argv[n++] = "--launcher";
        argv[n++] = sky->launcher;
    }
    if (sky->link_seconds) {
        argv[n++] = "--link-seconds";
        argv[n++] = sky->link_seconds;
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (sky->becomes)
        sky->becomes();
    execv(program, (char *const *)(uintptr_t)argv);
    return 127;
}

static maybe_unused void end_berthd(int signal, int want_status)
{
    int status = -1;

    if (sky->berthd <= 0)
        return;
    assert_int_equal(kill(sky->berthd, signal), 0);
    assert_int_equal(waitpid(sky->berthd, &status, 0), sky->berthd);
    sky->berthd = 0;
    assert_int_equal(status, want_status);
}

/* What berthd has left, such as a berth-link that has not noticed yet, may still make a file while
 * its directories go. */
static maybe_unused void remove_sky(void)
{
    const uint64_t until = clock_mono_ms() + WAIT_MS;
    struct err err = { 0 };

    close_fd(&sky->dir.fd);
    while (fs_remove_tree(AT_FDCWD, sky->dir.path, &err) != RC_OK) {
        if (clock_mono_ms() >= until)
            must(err.rc, &err);
        (void)poll(NULL, 0, 10);
    }
}

static maybe_unused int sky_close(void **state)
{
    int status = 0;

    (void)state;
    if (sky->berthd > 0) {
        (void)kill(sky->berthd, SIGTERM);
        (void)waitpid(sky->berthd, &status, 0);
    }
    link_ground_close(&sky->link);
    close_fd(&sky->state);
    close_fd(&sky->up);
    close_fd(&sky->down);
    close_fd(&sky->ground);
    close_fd(&sky->watch);
    close_fd(&sky->mail);
    remove_sky();
    free(sky);
    sky = NULL;
    return 0;
}

/* ---- being the ground ---------------------------------------------------------------------------
 */

static maybe_unused void send_object(enum object_kind kind, int fd, uint8_t ret_digest[DIGEST_SIZE])
{
    struct sender_object object = { .kind = kind, .serial = ++sky->serial, .offer = sky->offer };
    scoped(sha256_free) struct sha256 *hash = NULL;
    uint8_t buf[16384];
    struct err err = { 0 };
    ssize_t n = 0;

    must(sha256_new(&hash, &err), &err);
    while ((n = pread(fd, buf, sizeof buf, (off_t)object.size)) > 0) {
        must(sha256_add(hash, (struct bytes){ buf, (size_t)n }, &err), &err);
        object.size += (uint64_t)n;
    }
    must(sha256_end(hash, object.digest, &err), &err);
    must(link_ground_add(sky->link, &object, fd, &err), &err);
    if (ret_digest)
        memcpy(ret_digest, object.digest, DIGEST_SIZE);
}

static maybe_unused void send_document(enum object_kind kind, struct bytes envelope)
{
    scoped(close_fd) int fd = memfd_of(envelope);

    send_object(kind, fd, NULL);
}

/* One version of acme/cam-north. */
struct version {
    const char *version;
    const char *how; /* for the probe */
    uint64_t release;
    size_t padding; /* bytes that do not compress */
    enum doc_key signer;
    const char *team; /* NULL: the tenant itself */
    const char *name; /* NULL: cam-north */
    bool snapshot;
    const char *tenant; /* NULL: acme */
    size_t zeros;       /* bytes that do compress */
    uint32_t empty;     /* files with nothing in them */
    uint32_t soak_ms;   /* 0: 300 */
    bool no_data;       /* it asks for no /data */
    uint32_t ready_ms;  /* 0: longer than any machine needs */
    const char *probe;  /* NULL: agent_payload */
    const char *peer;   /* NULL: it has none */
    uint32_t pids;      /* 0: as any */
    bool mail;          /* it has /inbox and /outbox, of 1 MiB each, and 300,000 bytes a day */
    bool vm;            /* it is a unikernel, of 96 MiB with the tender, that is ready when alive */
    bool sealed;        /* and its mail is sealed, with the berth-seal that it brings */
    uint64_t core;      /* bytes of a core dump that it may leave */
    uint64_t shm;       /* bytes of its /dev/shm; 0: it has none */
    bool inner_root;    /* it is uid 0 of its own range */
};

static maybe_unused noinline struct manifest manifest_of(const struct version *v,
                                                         const struct packed *packed)
{
    struct manifest m = doc_manifest();

    pack_fill(packed, &m);
    (void)snprintf(m.version, sizeof m.version, "%s", v->version);
    (void)snprintf(m.arch, sizeof m.arch, "any");
    (void)snprintf(m.args[0], sizeof m.args[0], "/bin/app");
    (void)snprintf(m.args[1], sizeof m.args[1], "%s", v->how);
    m.release = v->release;
    m.floor = 1;
    m.snapshot = v->snapshot;
    /* A machine that stalls is no bad release: only what is silent on purpose runs into these. */
    m.health = (struct health){
        .type = HEALTH_NOTIFY, .ready_ms = 120000, .soak_ms = 300, .watchdog_ms = 120000
    };
    if (v->ready_ms > 0)
        m.health.ready_ms = v->ready_ms;
    if (v->soak_ms > 0)
        m.health.soak_ms = v->soak_ms;
    if (v->pids > 0)
        m.limits.pids = v->pids;
    if (v->mail) {
        m.limits.inbox_bytes = m.limits.outbox_bytes = 1U << 20;
        m.limits.outbox_bytes_day = 300000;
        m.sealed = v->sealed;
    }
    if (v->vm) {
        m.isolation = ISOLATION_VM;
        m.image = IMAGE_SOLO5;
        m.n_env = 0;
        m.health = (struct health){ .type = HEALTH_ALIVE, .ready_ms = 300, .soak_ms = 300 };
        m.limits.memory_bytes = 96U << 20;
        m.limits.data_bytes = 16U << 20;
        m.limits.pids = 9;
    }
    m.limits.core_bytes = v->core;
    m.limits.shm_bytes = v->shm;
    m.inner_root = v->inner_root;
    if (v->no_data)
        m.limits.data_bytes = 0;
    if (v->tenant)
        (void)snprintf(m.tenant, sizeof m.tenant, "%s", v->tenant);
    if (v->name)
        (void)snprintf(m.name, sizeof m.name, "%s", v->name);
    if (v->peer)
        (void)snprintf(m.peer[m.n_peers++], NAME_CAP, "%s", v->peer);
    if (v->team)
        memcpy(m.team, v->team, strlen(v->team));
    return m;
}

/* A file of the build becomes a program of the package. */
static maybe_unused void copy_built(int dir, const char *built, const char *name)
{
    char path[700];
    struct stat st = { 0 };
    uint8_t digest[DIGEST_SIZE];
    struct err err = { 0 };

    (void)snprintf(path, sizeof path, "%s/%s", sky->build, built);
    scoped(close_fd) int in = open(path, O_RDONLY | O_CLOEXEC);
    scoped(close_fd) int out = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    if (in < 0)
        fail_msg("%s was not built", path);
    assert_int_equal(fstat(in, &st), 0);
    must(fs_copy_digest(in, out, (uint64_t)st.st_size, digest, &err), &err);
}

static maybe_unused void copy_probe(int dir, const char *probe)
{
    char built[100];

    (void)snprintf(built, sizeof built, "tests/probe/%s", probe ? probe : "agent_payload");
    copy_built(dir, built, "app");
}

static maybe_unused void write_noise(int dir, size_t n)
{
    scoped(free_ptr) uint8_t *noise = malloc(n);
    scoped(close_fd) int out = openat(dir, "noise", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    struct err err = { 0 };

    for (size_t at = 0; at < n; at += 4096)
        crypto_random(noise + at, n - at < 4096 ? n - at : 4096);
    must(fs_write_all(out, (struct bytes){ noise, n }, &err), &err);
}

static maybe_unused void write_rest(int dir, const struct version *v)
{
    if (v->padding > 0)
        write_noise(dir, v->padding);
    if (v->zeros > 0) {
        scoped(close_fd) int out = openat(dir, "zeros", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

        assert_int_equal(ftruncate(out, (off_t)v->zeros), 0);
    }
    for (uint32_t i = 0; i < v->empty; i++) {
        char name[32];

        (void)snprintf(name, sizeof name, "empty-%u", i);
        put_file(dir, name, "", 0644);
    }
}

/* The grant that it has at its start, with so much room for versions. */
static maybe_unused noinline void provision_store(uint64_t store_bytes)
{
    scoped(close_fd) int trust = openat(sky->state, TRUST_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct grant grant = doc_grant();
    struct err err = { 0 };

    grant.expires_ms = 0;
    grant.store_bytes = store_bytes;
    doc_signed(&signed_doc_, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
    must(fs_write_file(trust, "grant-acme.cose", signed_doc_.bytes, 0600, &err), &err);
}

/* Room for two versions with so much padding, and not for the package of one beside them. */
static maybe_unused uint64_t store_for_two(size_t padding)
{
    char path[700];
    struct stat st = { 0 };

    (void)snprintf(path, sizeof path, "%s/tests/probe/agent_payload", sky->build);
    assert_int_equal(stat(path, &st), 0);
    return 2 * (padding + (uint64_t)st.st_size) + padding / 2;
}

/* Build and sign into an empty memfd; the digest of its manifest. */
static maybe_unused noinline struct digest make_version(const struct version *v, int package)
{
    struct scratch tree = scratch_new();
    scoped(close_fd) int bin = make_dir(tree.fd, "bin");
    scoped(close_fd) int content = memfd_create("content", MFD_CLOEXEC);
    struct packed packed = { 0 };
    struct digest digest = { 0 };
    struct err err = { 0 };

    copy_probe(bin, v->probe);
    if (v->sealed)
        copy_built(bin, "berth-seal-static", "berth-seal");
    write_rest(tree.fd, v);
    must(pack_tree(tree.fd, "/bin/app", 1, content, &packed, &err), &err);
    struct manifest m = manifest_of(v, &packed);
    doc_signed(&signed_doc_, DOC_MANIFEST, manifest_encode, &m, v->signer);
    must(sha256_of(signed_doc_.payload, digest.b, &err), &err);
    must(pack_assemble(signed_doc_.bytes, content, 0, packed.content_bytes, package, &err), &err);
    scratch_done(&tree);
    return digest;
}

/* Build, sign, send; the digest of its manifest. */
static maybe_unused struct digest send_version(const struct version *v)
{
    scoped(close_fd) int package = memfd_create("package", MFD_CLOEXEC);
    struct digest digest = make_version(v, package);

    send_object(OBJECT_PACKAGE, package, NULL);
    return digest;
}

/* "../x", truly signed by the tenant; releases differ, and so do their digests. */
static maybe_unused noinline void send_hostile_archive_of(uint64_t release)
{
    struct tar t = { 0 };

    tar_dir(&t, "bin/");
    tar_file(&t, "bin/app", 0755, "#!/bin/sh\n");
    tar_file(&t, "../x", 0644, "x");
    tar_end(&t);

    struct content c = compress_window((struct bytes){ .p = t.p, .n = t.n }, 0);
    struct unpack_spec spec = spec_of(content_view(&c), &t, "/bin/app");
    struct manifest m = signed_manifest(&spec);
    m.release = release;
    scoped(close_fd) int fd = signed_package(&m, content_view(&c), K_ACME);

    send_object(OBJECT_PACKAGE, fd, NULL);
    tar_done(&t);
    free(c.p);
}

static maybe_unused void send_hostile_archive(void)
{
    send_hostile_archive_of(doc_manifest().release);
}

static maybe_unused noinline void sign_order(uint64_t generation, const struct digest *manifest,
                                             enum doc_key who, uint64_t issued_ms)
{
    struct order order = { .satellite = "aurora-1", .generation = generation };

    order.issued_ms = issued_ms;
    order.n_lines = 1;
    order.line[0] = (struct order_line){ .tenant = "acme", .name = "cam-north" };
    order.line[0].manifest = *manifest;
    doc_signed(&signed_doc_, DOC_ORDER, order_encode, &order, who);
}

static maybe_unused void send_order_as(enum object_kind kind, uint64_t generation,
                                       const struct digest *manifest)
{
    sign_order(generation, manifest, K_OPERATOR_A, ISSUED_MS);
    send_document(kind, signed_doc_.bytes);
}

static maybe_unused void send_order(uint64_t generation, const struct digest *manifest)
{
    send_order_as(OBJECT_ORDER, generation, manifest);
}

static maybe_unused void on_report(void *arg, enum object_kind kind, struct bytes object)
{
    static struct report report;
    static struct port_transfers transfers;
    struct err err = { 0 };

    (void)arg;
    assert_int_equal(kind, OBJECT_REPORT);
    assert_rc(report_decode(object, &report, &err), RC_OK);
    memset(&transfers, 0, sizeof transfers);
    transfers.n_transfers = report.n_transfers;
    for (uint32_t i = 0; i < report.n_transfers; i++) {
        const struct report_transfer *from = &report.transfer[i];
        struct transfer_status *to = &transfers.transfer[i];

        memcpy(to->object, from->object.b, DIGEST_SIZE);
        to->chunks = from->chunks;
        to->n_missing = from->n_missing;
        to->more = from->more;
        for (uint32_t k = 0; k < from->n_missing; k++)
            to->missing[k] =
                (struct transfer_range){ from->missing[k].first, from->missing[k].count };
    }
    transfers.n_complete = report.n_objects;
    for (uint32_t i = 0; i < report.n_objects; i++)
        memcpy(transfers.complete[i], report.object[i].b, DIGEST_SIZE);
    sender_report(link_ground_sender(sky->link), &transfers, clock_mono_ms());
    if (sky->each)
        sky->each(&report);
    if (report.epoch == sky->ended_epoch)
        return; /* its berth-link had not come to it before the next agent was started */
    sky->report = report;
    sky->reports++;
}

static maybe_unused void start_berthd(void)
{
    const pid_t test = getpid();
    struct link_ground_counts counts = { 0 };
    struct err err = { 0 };

    /* A late report of the agent before does not say that this one has come up. */
    do {
        must(link_ground_receive(sky->link, SIZE_MAX, on_report, NULL, &counts, &err), &err);
        must(link_ground_let_go(sky->link, &err), &err);
    } while (counts.more);
    sky->ended_epoch = sky->went_back ? 0 : sky->report.epoch;
    sky->went_back = false;
    sky->reports = 0;
    sky->berthd = fork();
    assert_true(sky->berthd >= 0);
    if (sky->berthd == 0)
        _exit(become_berthd(test));
}

/* With so many bytes for the uplink at the most. */
static maybe_unused void exchange_some(uint64_t budget)
{
    struct link_ground_counts counts = { 0 };
    const uint64_t before = budget;
    uint32_t sent = 0;
    uint8_t drain[4096];
    struct err err = { 0 };

    must(link_ground_send(sky->link, clock_mono_ms(), &budget, &sent, &err), &err);
    sky->sent += before - budget;
    must(link_ground_receive(sky->link, 64, on_report, NULL, &counts, &err), &err);
    must(link_ground_let_go(sky->link, &err), &err);
    struct pollfd p = { .fd = sky->watch, .events = POLLIN };
    (void)poll(&p, 1, 50);
    while (read(sky->watch, drain, sizeof drain) > 0)
        continue;
}

static maybe_unused void exchange(void)
{
    exchange_some(8U << 20);
}

static maybe_unused void explain(const char *what)
{
    const struct report_payload *p = &sky->report.payload[0];

    print_error("waiting for: %s; reports %u, generation %llu, payloads %u\n", what, sky->reports,
                (unsigned long long)sky->report.generation, sky->report.n_payloads);
    if (sky->report.n_payloads > 0)
        print_error("  state %s code %s running %d version %s\n", slot_state_name(p->state),
                    rc_name((enum rc)p->code), p->is_running, p->version);
    for (uint32_t i = 0; i < sky->report.n_events; i++)
        print_error("  event %s %s\n", rc_name((enum rc)sky->report.event[i].code),
                    sky->report.event[i].what);
}

/* How long something lasts that must not be over before the test has come to it: some seconds, and
 * a multiple of what the same took on this machine, up to a limit.  That leaves enough of the time
 * that a whole test has, and is still twice what a machine needs that is thirty times slower. */
static maybe_unused uint32_t term(uint32_t least_ms, uint64_t multiple_ms, uint32_t most_more_ms)
{
    sky->term_ms = least_ms + (multiple_ms < most_more_ms ? multiple_ms : most_more_ms);
    return (uint32_t)sky->term_ms;
}

/* Exchange until a report says so. */
static maybe_unused void
await(const char *what, bool (*said)(const struct report *r, const void *arg), const void *arg)
{
    uint64_t until = clock_mono_ms() + WAIT_MS + sky->term_ms;

    while (sky->reports == 0 || !said(&sky->report, arg)) {
        if (clock_mono_ms() > until) {
            explain(what);
            fail_msg("no report said: %s", what);
        }
        exchange();
        assert_int_equal(waitpid(sky->berthd, NULL, WNOHANG), 0);
    }
}

static maybe_unused bool has_reported(const struct report *r, const void *arg)
{
    (void)r;
    return sky->reports >= *(const uint32_t *)arg;
}

/* So many since the start. */
static maybe_unused void await_reports(uint32_t n)
{
    await("a report", has_reported, &n);
}

/* As long as so many reports more. */
static maybe_unused void run_on(uint32_t more)
{
    await_reports(sky->reports + more);
}

/* All that was sent has been put together on board. */
static maybe_unused bool all_arrived(const struct report *r, const void *arg)
{
    struct sender_progress at;

    (void)r;
    (void)arg;
    for (size_t i = 0; sender_at(link_ground_sender(sky->link), i, &at); i++)
        if (!at.complete)
            return false;
    return true;
}

/* All documents that were sent have been taken or refused.  The link tells that it is whole when it
 * hands one to the agent, which takes one at each turn and makes reports in between. */
static maybe_unused void await_taken(void)
{
    await("all has arrived", all_arrived, NULL);
    run_on(2);
}

/* Nothing is being unpacked, or left behind by that.  What was refused may be tried again. */
static maybe_unused void await_no_staging(void)
{
    const uint64_t until = clock_mono_ms() + WAIT_MS;

    while (entries_in(sky->state, "staging") > 0) {
        assert_true(clock_mono_ms() < until);
        exchange();
    }
}

/* What is before the text of each line (agent/logline) goes. */
static maybe_unused void strip_heads(char *text)
{
    char *to = text;

    for (const char *at = text; *at != '\0';) {
        const char *end = strchr(at, '\n');
        const size_t n = end ? (size_t)(end - at) + 1 : strlen(at);
        const char *body = at;

        for (unsigned space = 0; space < 3 && body < at + n; body++)
            space += *body == ' ';
        memmove(to, body, (size_t)(at + n - body));
        to += at + n - body;
        at += n;
    }
    *to = '\0';
}

/* What a payload of acme has printed. */
static maybe_unused char *printed(const char *name)
{
    static char text[OUTPUT_FILE_MAX + 1];
    char path[64];
    size_t n = 0;
    struct err err = { 0 };

    (void)snprintf(path, sizeof path, "log/acme.%s.log", name);
    if (fs_read_file(sky->state, path, (uint8_t *)text, sizeof text - 1, &n, &err) != RC_OK)
        n = 0;
    text[n] = '\0';
    strip_heads(text);
    return text;
}

/* Until a payload has printed this; from there on. */
static maybe_unused char *await_said(const char *name, const char *line)
{
    const uint64_t until = clock_mono_ms() + WAIT_MS;
    char *at = NULL;

    while ((at = strstr(printed(name), line)) == NULL) {
        if (clock_mono_ms() > until)
            fail_msg("%s: no \"%s\" in:\n%.3000s", name, line, printed(name));
        exchange();
    }
    return at;
}

struct standing {
    enum slot_state state;
    const struct digest *running;
};

static maybe_unused bool stands(const struct report *r, const void *arg)
{
    const struct standing *want = arg;

    return r->n_payloads == 1 && r->payload[0].state == want->state && r->payload[0].is_running &&
           memcmp(&r->payload[0].running, want->running, sizeof *want->running) == 0;
}

static maybe_unused bool has_event(const struct report *r, const void *arg)
{
    const enum rc *code = arg;

    for (uint32_t i = 0; i < r->n_events; i++)
        if (r->event[i].code == (uint32_t)*code)
            return true;
    return false;
}

static maybe_unused bool has_event_about(const struct report *r, const void *arg)
{
    for (uint32_t i = 0; i < r->n_events; i++)
        if (strcmp(r->event[i].what, arg) == 0)
            return true;
    return false;
}

static maybe_unused void await_standing(enum slot_state state, const struct digest *running)
{
    const struct standing want = { state, running };

    await(slot_state_name(state), stands, &want);
}

static maybe_unused void await_event(enum rc code)
{
    await(rc_name(code), has_event, &code);
}

#endif
