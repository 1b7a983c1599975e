/* SPDX-License-Identifier: Apache-2.0
 *
 * The real berthd with the real berth-link, berth-launch and berth-unpack in a directory of their
 * own; the test is the ground.  Needs root and the sandbox, like berthd itself.
 */
#include "tests/unit/test.h"

#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "agent/state.h"
#include "base/clock.h"
#include "base/statefile.h"
#include "link/ground.h"
#include "link/state.h"
#include "manifest/config.h"
#include "tests/unit/update_signed.h"

#define NODE 101U
#define GROUND 1U
#define WAIT_MS 60000U

/* A satellite, its ground, and what the ground knows. */
struct sky {
    struct scratch dir;
    int state, up, down, ground, watch;
    struct keys keys;
    struct link_ground *link;
    pid_t berthd;
    uint64_t serial;
    struct report report; /* the newest */
    uint32_t reports;     /* since the start of berthd */
    char build[512];
};

static struct sky *sky;

/* ---- making it ----------------------------------------------------------------------------------
 */

static void must(enum rc rc, const struct err *err)
{
    doc_must(rc, err);
}

static noinline void provision_trust(int trust)
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

static void provision(void)
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

static void open_link(void)
{
    const struct link_ground_options options = {
        .state_dirfd = sky->ground,
        .up_dirfd = sky->up,
        .down_dirfd = sky->down,
        .sender = { .flight_ms = 300, .resend_ms = 2000 },
    };
    struct err err = { 0 };

    must(link_ground_open(&options, &sky->link, &err), &err);
}

static int sky_open(void **state)
{
    const char *build = getenv("BERTH_BUILD");
    char cwd[256] = "";

    (void)state;
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
    sky->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    char path[128];
    (void)snprintf(path, sizeof path, "%s/down", sky->dir.path);
    assert_true(inotify_add_watch(sky->watch, path, IN_MOVED_TO) >= 0);
    provision();
    open_link();
    return 0;
}

static void start_berthd(void)
{
    char program[600], state[128], up[128], down[128], cgroup[64];

    (void)snprintf(program, sizeof program, "%s/berthd", sky->build);
    (void)snprintf(state, sizeof state, "%s/state", sky->dir.path);
    (void)snprintf(up, sizeof up, "%s/up", sky->dir.path);
    (void)snprintf(down, sizeof down, "%s/down", sky->dir.path);
    (void)snprintf(cgroup, sizeof cgroup, "berth-test-%d", getpid());
    sky->reports = 0;
    sky->berthd = fork();
    assert_true(sky->berthd >= 0);
    if (sky->berthd == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl(program, "berthd", "--state", state, "--uplink", up, "--downlink", down, "--cgroup",
              cgroup, "--heartbeat-ms", "500", (char *)NULL);
        _exit(127);
    }
}

static void end_berthd(int signal, int want_status)
{
    int status = -1;

    if (sky->berthd <= 0)
        return;
    assert_int_equal(kill(sky->berthd, signal), 0);
    assert_int_equal(waitpid(sky->berthd, &status, 0), sky->berthd);
    sky->berthd = 0;
    assert_int_equal(status, want_status);
}

static int sky_close(void **state)
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
    scratch_done(&sky->dir);
    free(sky);
    sky = NULL;
    return 0;
}

/* ---- being the ground ---------------------------------------------------------------------------
 */

static void send_object(enum object_kind kind, int fd, uint8_t ret_digest[DIGEST_SIZE])
{
    struct sender_object object = { .kind = kind, .serial = ++sky->serial };
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

static void send_document(enum object_kind kind, struct bytes envelope)
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
};

static noinline struct manifest manifest_of(const struct version *v, const struct packed *packed)
{
    struct manifest m = doc_manifest();

    pack_fill(packed, &m);
    (void)snprintf(m.version, sizeof m.version, "%s", v->version);
    (void)snprintf(m.arch, sizeof m.arch, "any");
    (void)snprintf(m.args[0], sizeof m.args[0], "/bin/app");
    (void)snprintf(m.args[1], sizeof m.args[1], "%s", v->how);
    m.release = v->release;
    m.floor = 1;
    m.health = (struct health){
        .type = HEALTH_NOTIFY, .ready_ms = 3000, .soak_ms = 300, .watchdog_ms = 3000
    };
    return m;
}

static void copy_probe(int dir)
{
    char path[700];
    struct stat st = { 0 };
    uint8_t digest[DIGEST_SIZE];
    struct err err = { 0 };

    (void)snprintf(path, sizeof path, "%s/tests/probe/agent_payload", sky->build);
    scoped(close_fd) int in = open(path, O_RDONLY | O_CLOEXEC);
    scoped(close_fd) int out = openat(dir, "app", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    assert_int_equal(fstat(in, &st), 0);
    must(fs_copy_digest(in, out, (uint64_t)st.st_size, digest, &err), &err);
}

static void write_noise(int dir, size_t n)
{
    scoped(free_ptr) uint8_t *noise = malloc(n);
    scoped(close_fd) int out = openat(dir, "noise", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    struct err err = { 0 };

    for (size_t at = 0; at < n; at += 4096)
        crypto_random(noise + at, n - at < 4096 ? n - at : 4096);
    must(fs_write_all(out, (struct bytes){ noise, n }, &err), &err);
}

/* Build, sign, send; the digest of its manifest. */
static noinline struct digest send_version(const struct version *v)
{
    struct scratch tree = scratch_new();
    scoped(close_fd) int bin = make_dir(tree.fd, "bin");
    scoped(close_fd) int content = memfd_create("content", MFD_CLOEXEC);
    scoped(close_fd) int package = memfd_create("package", MFD_CLOEXEC);
    struct packed packed = { 0 };
    struct digest digest = { 0 };
    struct err err = { 0 };

    copy_probe(bin);
    if (v->padding > 0)
        write_noise(tree.fd, v->padding);
    must(pack_tree(tree.fd, "/bin/app", 1, content, &packed, &err), &err);
    struct manifest m = manifest_of(v, &packed);
    doc_signed(&signed_doc_, DOC_MANIFEST, manifest_encode, &m, v->signer);
    must(sha256_of(signed_doc_.payload, digest.b, &err), &err);
    must(pack_assemble(signed_doc_.bytes, content, 0, packed.content_bytes, package, &err), &err);
    send_object(OBJECT_PACKAGE, package, NULL);
    scratch_done(&tree);
    return digest;
}

/* "../x", truly signed by the tenant. */
static noinline void send_hostile_archive(void)
{
    struct tar t = { 0 };

    tar_dir(&t, "bin/");
    tar_file(&t, "bin/app", 0755, "#!/bin/sh\n");
    tar_file(&t, "../x", 0644, "x");
    tar_end(&t);

    struct content c = compress_window((struct bytes){ .p = t.p, .n = t.n }, 0);
    struct unpack_spec spec = spec_of(content_view(&c), &t, "/bin/app");
    struct manifest m = signed_manifest(&spec);
    scoped(close_fd) int fd = signed_package(&m, content_view(&c), K_ACME);

    send_object(OBJECT_PACKAGE, fd, NULL);
    tar_done(&t);
    free(c.p);
}

static noinline void sign_order(uint64_t generation, const struct digest *manifest,
                                enum doc_key who, uint64_t issued_ms)
{
    struct order order = { .satellite = "aurora-1", .generation = generation };

    order.issued_ms = issued_ms;
    order.n_lines = 1;
    order.line[0] = (struct order_line){ .tenant = "acme", .name = "cam-north" };
    order.line[0].manifest = *manifest;
    doc_signed(&signed_doc_, DOC_ORDER, order_encode, &order, who);
}

static void send_order_as(enum object_kind kind, uint64_t generation, const struct digest *manifest)
{
    sign_order(generation, manifest, K_OPERATOR_A, ISSUED_MS);
    send_document(kind, signed_doc_.bytes);
}

static void send_order(uint64_t generation, const struct digest *manifest)
{
    send_order_as(OBJECT_ORDER, generation, manifest);
}

static void on_report(void *arg, enum object_kind kind, struct bytes object)
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
    sky->report = report;
    sky->reports++;
}

static void exchange(void)
{
    struct link_ground_counts counts = { 0 };
    uint64_t budget = 8U << 20;
    uint32_t sent = 0;
    uint8_t drain[4096];
    struct err err = { 0 };

    must(link_ground_send(sky->link, clock_mono_ms(), &budget, &sent, &err), &err);
    must(link_ground_receive(sky->link, 64, on_report, NULL, &counts, &err), &err);
    struct pollfd p = { .fd = sky->watch, .events = POLLIN };
    (void)poll(&p, 1, 50);
    while (read(sky->watch, drain, sizeof drain) > 0)
        continue;
}

static void explain(const char *what)
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

/* Exchange until a report says so. */
static void await(const char *what, bool (*said)(const struct report *r, const void *arg),
                  const void *arg)
{
    uint64_t until = clock_mono_ms() + WAIT_MS;

    while (sky->reports == 0 || !said(&sky->report, arg)) {
        if (clock_mono_ms() > until) {
            explain(what);
            fail_msg("no report said: %s", what);
        }
        exchange();
        assert_int_equal(waitpid(sky->berthd, NULL, WNOHANG), 0);
    }
}

struct standing {
    enum slot_state state;
    const struct digest *running;
};

static bool stands(const struct report *r, const void *arg)
{
    const struct standing *want = arg;

    return r->n_payloads == 1 && r->payload[0].state == want->state && r->payload[0].is_running &&
           memcmp(&r->payload[0].running, want->running, sizeof *want->running) == 0;
}

static bool has_event(const struct report *r, const void *arg)
{
    const enum rc *code = arg;

    for (uint32_t i = 0; i < r->n_events; i++)
        if (r->event[i].code == (uint32_t)*code)
            return true;
    return false;
}

static bool has_event_about(const struct report *r, const void *arg)
{
    for (uint32_t i = 0; i < r->n_events; i++)
        if (strcmp(r->event[i].what, arg) == 0)
            return true;
    return false;
}

static void await_standing(enum slot_state state, const struct digest *running)
{
    const struct standing want = { state, running };

    await(slot_state_name(state), stands, &want);
}

static void await_event(enum rc code)
{
    await(rc_name(code), has_event, &code);
}

/* ---- the courses --------------------------------------------------------------------------------
 */

static const struct version v1 = { "1.0", "good", 1, 0, K_ACME };
static const struct version v2 = { "2.0", "good", 2, 0, K_ACME };
static const struct version v3 = { "3.0", "silent", 3, 0, K_ACME };

static void installs_updates_and_rolls_back(void **state)
{
    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    assert_string_equal(sky->report.payload[0].version, "1.0");
    assert_int_equal(sky->report.generation, 1);
    assert_int_equal(sky->report.n_events, 0);

    struct digest d2 = send_version(&v2);
    send_order(2, &d2);
    await_standing(SLOT_COMMITTED, &d2);

    struct digest d3 = send_version(&v3);
    send_order(3, &d3);
    await_standing(SLOT_ROLLED_BACK, &d2);
    assert_int_equal(sky->report.payload[0].code, RC_HEALTH_TIMEOUT);
    assert_memory_equal(&sky->report.payload[0].wanted, &d3, sizeof d3);
    await_event(RC_ROLLED_BACK);

    /* A clean end, and the same again after it. */
    end_berthd(SIGTERM, 0);
    start_berthd();
    await_standing(SLOT_ROLLED_BACK, &d2);
    assert_int_equal(sky->report.epoch, 2);
    assert_int_equal(sky->report.generation, 3);
}

static void forgeries_change_nothing(void **state)
{
    const struct version forged = { "9.0", "good", 9, 0, K_ZENITH };

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(5, &d1);
    await_standing(SLOT_COMMITTED, &d1);

    struct digest d9 = send_version(&forged); /* another tenant's signature */
    await_event(RC_KEY_UNKNOWN);
    send_order(4, &d9); /* an older order */
    await_event(RC_ORDER_OLD);
    send_order(5, &d9); /* the same number, other content */
    await_event(RC_EQUIVOCATION);
    send_document(OBJECT_ROOT, bytes_of("nonsense"));
    await("root", has_event_about, "root");
    send_order_as(OBJECT_GRANT, 6, &d1); /* truly the operator's, but no grant */
    await("grant", has_event_about, "grant");
    send_hostile_archive();
    await_event(RC_ARCHIVE_PATH);
    await_standing(SLOT_COMMITTED, &d1);
    assert_int_equal(entries_in(sky->state, "staging"), 0);
    assert_int_equal(entries_in(sky->state, "slots/acme/cam-north"), 1);
    assert_int_equal(entries_in(sky->state, "refused"), 6); /* each moved aside to be looked at */
    assert_int_equal(sky->report.generation, 5);
    assert_int_equal(sky->report.payload[0].restarts, 0);
}

static bool look_for_noise(void *arg, const char *name)
{
    char path[300];

    (void)snprintf(path, sizeof path, "staging/%s/root/noise", name);
    if (faccessat(sky->state, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        *(bool *)arg = true;
    return true;
}

/* berth-unpack is writing the large file. */
static bool unpacking(void)
{
    bool found = false;
    struct err err = { 0 };

    must(fs_list(sky->state, "staging", 100, look_for_noise, &found, NULL, &err), &err);
    return found;
}

/* Whether berth-unpack was caught at work on a version.  On a busy machine it can be done before
 * anybody looks. */
static bool caught_unpacking(const struct version *v, uint64_t generation, struct digest *ret)
{
    const struct standing done = { SLOT_COMMITTED, ret };
    const uint64_t until = clock_mono_ms() + WAIT_MS;

    *ret = send_version(v);
    send_order(generation, ret);
    while (!unpacking()) {
        assert_true(clock_mono_ms() < until);
        if (stands(&sky->report, &done))
            return false;
        if (entries_in(sky->state, "staging") == 0)
            exchange(); /* wakes up when something appears there */
    }
    return true;
}

/* SIGKILL while berth-unpack is at work; the next agent finishes from what is in the store. */
static void killed_in_an_install_it_finishes(void **state)
{
    static const char *const names[] = { "1.0", "2.0", "3.0", "4.0", "5.0" };
    char staging[128];
    struct digest digest = { 0 };
    bool caught = false;

    (void)state;
    start_berthd();
    while (sky->reports == 0)
        exchange();
    (void)snprintf(staging, sizeof staging, "%s/state/staging", sky->dir.path);
    assert_true(inotify_add_watch(sky->watch, staging, IN_CREATE) >= 0);
    for (size_t i = 0; i < sizeof names / sizeof *names && !caught; i++) {
        const struct version large = { names[i], "good", i + 1, (40U + i) << 20, K_ACME };

        caught = caught_unpacking(&large, i + 1, &digest);
    }
    assert_true(caught);
    end_berthd(SIGKILL, SIGKILL);

    /* The ground sends nothing any more. */
    link_ground_close(&sky->link);
    open_link();
    start_berthd();
    await_standing(SLOT_COMMITTED, &digest);
    assert_int_equal(entries_in(sky->state, "staging"), 0);
}

static void exits_are_told_and_backed_off(void **state)
{
    const struct version quitter = { "1.0", "exit", 1, 0, K_ACME };

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&quitter);
    send_order(1, &d1);
    await_event(RC_EXITED);
    assert_int_equal(sky->report.payload[0].state, SLOT_FAILED);
    assert_int_equal(sky->report.payload[0].code, RC_EXITED);
    assert_false(sky->report.payload[0].is_running);
}

/* Both copies of the state are gone: what the order names goes on, nothing new is taken. */
static void damaged_state_keeps_what_is_ordered(void **state)
{
    struct err err = { 0 };

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    end_berthd(SIGTERM, 0);
    must(fs_write_file(sky->state, "agent.a", bytes_of("x"), 0644, &err), &err);
    must(fs_write_file(sky->state, "agent.b", bytes_of("y"), 0644, &err), &err);

    start_berthd();
    await_event(RC_STATE_DAMAGED);
    await_standing(SLOT_COMMITTED, &d1);
    send_order(2, &d1);
    uint32_t reports = sky->reports;
    while (sky->reports < reports + 4)
        exchange();
    assert_int_equal(sky->report.generation, 1);
}

static bool count_fan(void *arg, const char *name)
{
    char path[64];

    (void)snprintf(path, sizeof path, "objects/sha256/%s", name);
    *(size_t *)arg += entries_in(sky->state, path);
    return true;
}

static size_t stored_objects(void)
{
    size_t n = 0;
    struct err err = { 0 };

    must(fs_list(sky->state, "objects/sha256", 256, count_fan, &n, NULL, &err), &err);
    return n;
}

/* Whole, and of a tenant that nobody has granted anything. */
static noinline void send_stranger(uint32_t number)
{
    struct tar t = { 0 };
    char text[16];

    (void)snprintf(text, sizeof text, "%u", number);
    tar_dir(&t, "bin/");
    tar_file(&t, "bin/app", 0755, text);
    tar_end(&t);

    struct content c = compress_window((struct bytes){ .p = t.p, .n = t.n }, 0);
    struct unpack_spec spec = spec_of(content_view(&c), &t, "/bin/app");
    struct manifest m = signed_manifest(&spec);
    (void)snprintf(m.tenant, sizeof m.tenant, "nobody");
    scoped(close_fd) int fd = signed_package(&m, content_view(&c), K_STRANGER);

    send_object(OBJECT_PACKAGE, fd, NULL);
    tar_done(&t);
    free(c.p);
}

/* Packages may wait for their grant, but not in the way of those that have one. */
static void strangers_do_not_fill_the_store(void **state)
{
    const size_t places = 64; /* of the store */

    (void)state;
    start_berthd();
    for (uint32_t i = 0; i < places; i++)
        send_stranger(i);
    for (uint64_t until = clock_mono_ms() + WAIT_MS; stored_objects() < places;) {
        assert_true(clock_mono_ms() < until);
        exchange();
    }
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    assert_true(stored_objects() < places);
}

static bool stopped(const struct report *r, const void *arg)
{
    return r->n_payloads == 1 && !r->payload[0].is_running &&
           r->payload[0].code == *(const uint32_t *)arg;
}

static noinline void send_grant_by(enum doc_key who, uint64_t epoch, enum doc_key tenant,
                                   uint64_t issued_ms, uint64_t expires_ms)
{
    struct grant grant = doc_grant();

    grant.epoch = epoch;
    grant.issued_ms = issued_ms;
    grant.expires_ms = expires_ms;
    grant.keys = doc_key_set(1, 1, tenant);
    doc_signed(&signed_doc_, DOC_GRANT, grant_encode, &grant, who);
    send_document(OBJECT_GRANT, signed_doc_.bytes);
}

static void send_grant(uint64_t epoch, enum doc_key tenant, uint64_t expires_ms)
{
    send_grant_by(K_OPERATOR_A, epoch, tenant, ISSUED_MS, expires_ms);
}

/* A grant that leaves the tenant's key out ends what that key signed; one that has it again starts
 * it again. */
static void revoked_key_stops_what_it_signed(void **state)
{
    const uint32_t code = RC_KEY_UNKNOWN;

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    send_grant(4, K_STRANGER, 0);
    await("not running", stopped, &code);
    end_berthd(SIGTERM, 0);
    start_berthd(); /* and it stays so */
    await("not running", stopped, &code);
    send_grant(5, K_ACME, 0);
    await_standing(SLOT_COMMITTED, &d1);
}

/* Time passes for what runs as it does for what is about to start. */
static void expired_grant_stops_what_runs(void **state)
{
    const uint32_t code = RC_EXPIRED;

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    send_grant(4, K_ACME, clock_unix_ms() + 3000);
    await("not running", stopped, &code);
    send_grant(5, K_ACME, 0);
    await_standing(SLOT_COMMITTED, &d1);
}

/* Root v: of the root keys if v is odd, else of the next keys; from root 2 on operator B alone. */
#define SINCE_MS (ISSUED_MS + 2 * DAY_MS)

static noinline void send_root(uint64_t v, bool with_old)
{
    static struct root root; /* too much for a frame, together */
    static struct key_set odd, even;
    struct err err = { 0 };

    root = doc_root();
    odd = doc_key_set(2, 3, K_ROOT_A);
    even = doc_key_set(2, 2, K_NEXT_A);
    root.version = v;
    root.issued_ms = ISSUED_MS + v * DAY_MS;
    root.expires_ms = 0;
    root.root_keys = v % 2 ? odd : even;
    root.operator_keys = doc_key_set(1, 1, K_OPERATOR_B);
    root.operator_since_ms = SINCE_MS;
    must(key_set_digest(v % 2 ? &even : &odd, &root.next_keys, &err), &err);
    if (with_old)
        doc_signed(&signed_doc_, DOC_ROOT, root_encode, &root, K_NEXT_A, K_NEXT_B, K_ROOT_B,
                   K_ROOT_C);
    else if (v % 2)
        doc_signed(&signed_doc_, DOC_ROOT, root_encode, &root, K_ROOT_A, K_ROOT_B);
    else
        doc_signed(&signed_doc_, DOC_ROOT, root_encode, &root, K_NEXT_A, K_NEXT_B);
    send_document(OBJECT_ROOT, signed_doc_.bytes);
}

static bool has_root(const struct report *r, const void *arg)
{
    return r->root_version == *(const uint64_t *)arg;
}

static void await_root(uint64_t version)
{
    await("root", has_root, &version);
}

static bool has_generation(const struct report *r, const void *arg)
{
    return r->generation == *(const uint64_t *)arg;
}

static void await_generation(uint64_t generation)
{
    await("generation", has_generation, &generation);
}

/* As long as so many reports more. */
static void run_on(uint32_t more)
{
    uint32_t reports = sky->reports;

    while (sky->reports < reports + more)
        exchange();
}

/* Root and operator keys change in flight, in any order of arrival; what runs goes on; the stolen
 * operator key had driven the generation to its end; then the root keys are lost. */
static void rotates_in_flight(void **state)
{
    const uint64_t end = INT64_MAX;

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(end, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    uint32_t restarts = sky->report.payload[0].restarts;

    send_root(3, true); /* too early: kept */
    run_on(2);
    assert_int_equal(sky->report.root_version, 1);
    send_root(2, true);
    await_root(3);
    await_generation(0);
    run_on(2);
    assert_true(sky->report.payload[0].is_running); /* no grant, no order, and it goes on */
    assert_false(has_event(&sky->report, &(enum rc){ RC_ROOT_GAP }));
    assert_false(has_event(&sky->report, &(enum rc){ RC_ROOT_RECOVERED }));

    sign_order(1, &d1, K_OPERATOR_A, SINCE_MS);
    send_document(OBJECT_ORDER, signed_doc_.bytes);
    await_event(RC_KEY_UNKNOWN);
    sign_order(1, &d1, K_OPERATOR_B, ISSUED_MS);
    send_document(OBJECT_ORDER, signed_doc_.bytes);
    await_event(RC_ISSUED_BEFORE);
    send_grant_by(K_OPERATOR_B, 1, K_ACME, SINCE_MS, 0);
    sign_order(1, &d1, K_OPERATOR_B, SINCE_MS);
    send_document(OBJECT_ORDER, signed_doc_.bytes);
    await_generation(1);
    await_standing(SLOT_COMMITTED, &d1);
    assert_int_equal(sky->report.payload[0].restarts, restarts);

    send_root(4, false);
    await_root(4);
    await_event(RC_ROOT_RECOVERED);
    end_berthd(SIGKILL, SIGKILL);
    start_berthd();
    await_root(4);
    await_standing(SLOT_COMMITTED, &d1);
    assert_int_equal(sky->report.generation, 1);
}

struct copy {
    uint8_t *p;
    size_t n;
};

static void copy_state(const char *file, struct copy *ret)
{
    struct err err = { 0 };

    ret->p = malloc(STATE_MAX);
    assert_non_null(ret->p);
    if (fs_read_file(sky->state, file, ret->p, STATE_MAX, &ret->n, &err) != RC_OK)
        ret->n = 0;
}

static void put_state(const char *file, struct copy *from)
{
    struct err err = { 0 };

    must(fs_unlink(sky->state, file, &err), &err);
    if (from->n > 0)
        must(fs_write_file(sky->state, file, (struct bytes){ from->p, from->n }, 0600, &err), &err);
    free(from->p);
    assert_int_equal(fchownat(sky->state, file, 64501, 64501, AT_SYMLINK_NOFOLLOW), 0);
}

/* The power goes between the new root and the record that the old order's number is void: the
 * record as it was before is put back. */
static void cut_between_root_and_record(void **state)
{
    struct copy a, b;

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(900, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    end_berthd(SIGTERM, 0);
    copy_state(STATE_FILE ".a", &a);
    copy_state(STATE_FILE ".b", &b);
    start_berthd();
    send_root(2, true);
    await_root(2);
    end_berthd(SIGKILL, SIGKILL);
    put_state(STATE_FILE ".a", &a);
    put_state(STATE_FILE ".b", &b);

    start_berthd();
    await_root(2);
    assert_int_equal(sky->report.generation, 0);
    send_grant_by(K_OPERATOR_B, 1, K_ACME, SINCE_MS, 0);
    sign_order(7, &d1, K_OPERATOR_B, SINCE_MS);
    send_document(OBJECT_ORDER, signed_doc_.bytes);
    await_generation(7);
    await_standing(SLOT_COMMITTED, &d1);
}

/* The whole way up, each of two roots offered twice and killed as soon as the trust directory
 * moves. */
static void killed_at_every_root(void **state)
{
    char trust[128];

    (void)state;
    start_berthd();
    await_root(1);
    (void)snprintf(trust, sizeof trust, "%s/state/trust", sky->dir.path);
    int watch = inotify_add_watch(sky->watch, trust, IN_CREATE | IN_MOVED_TO);
    assert_true(watch >= 0);
    for (uint64_t v = 2; v <= 5; v++) {
        send_root(v, v != 4);
        struct pollfd p = { .fd = sky->watch, .events = POLLIN };
        for (uint64_t until = clock_mono_ms() + WAIT_MS;
             entries_in(sky->state, "trust") == (v == 2 ? 2U : 3U) && clock_mono_ms() < until;) {
            exchange();
            if (poll(&p, 1, 0) < 0 || has_root(&sky->report, &v))
                break;
        }
        end_berthd(SIGKILL, SIGKILL);
        start_berthd();
        await_root(v);
    }
    assert_int_equal(inotify_rm_watch(sky->watch, watch), 0);
}

static struct revoked revoked_version(const struct digest *manifest, enum revoke_policy policy)
{
    return (struct revoked){ .kind = REVOKED_MANIFEST, .policy = policy, .manifest = *manifest };
}

static struct revoked revoked_signer(enum doc_key which, enum revoke_policy policy)
{
    struct revoked e = { .kind = REVOKED_KEY, .policy = policy };

    memcpy(e.key, sign_key_public(doc_key(which))->id, KEY_ID_SIZE);
    return e;
}

static noinline void send_revocation(uint64_t number, struct revoked entry)
{
    struct revocation r = { .number = number, .issued_ms = ISSUED_MS, .n = 1 };

    r.entry[0] = entry;
    doc_signed(&signed_doc_, DOC_REVOCATION, revocation_encode, &r, K_ROOT_A, K_ROOT_B);
    send_document(OBJECT_REVOCATION, signed_doc_.bytes);
}

static bool is_stopped(const struct report *r, const void *arg)
{
    const enum rc *code = arg;

    return r->n_payloads == 1 && !r->payload[0].is_running && r->payload[0].code == (uint32_t)*code;
}

/* Keep, roll back, stop; an older revocation sent again; a restart after each. */
static void revocations_are_for_good(void **state)
{
    const enum rc revoked = RC_MANIFEST_REVOKED;

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    struct digest d2 = send_version(&v2);
    send_order(2, &d2);
    await_standing(SLOT_COMMITTED, &d2);

    send_revocation(1, revoked_signer(K_ACME, REVOKE_KEEP));
    struct digest d4 = send_version(&(struct version){ "4.0", "good", 4, 0, K_ACME });
    await_event(RC_KEY_REVOKED);
    await_standing(SLOT_COMMITTED, &d2);
    end_berthd(SIGKILL, SIGKILL);
    start_berthd(); /* "keep" is for what has to start again, too */
    await_standing(SLOT_COMMITTED, &d2);
    assert_memory_not_equal(&sky->report.payload[0].running, &d4, sizeof d4);

    send_revocation(2, revoked_version(&d2, REVOKE_ROLLBACK));
    await_standing(SLOT_ROLLED_BACK, &d1);
    await_event(RC_MANIFEST_REVOKED);
    end_berthd(SIGKILL, SIGKILL);
    start_berthd();
    await_standing(SLOT_ROLLED_BACK, &d1);
    send_revocation(1, revoked_version(&d4, REVOKE_STOP)); /* an older number */
    await_event(RC_VERSION_OLD);
    await_standing(SLOT_ROLLED_BACK, &d1);

    send_order(3, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    send_revocation(3, revoked_version(&d1, REVOKE_STOP));
    await("stopped", is_stopped, &revoked);
    end_berthd(SIGTERM, 0);
    start_berthd();
    await("stopped", is_stopped, &revoked);
    assert_int_equal(sky->report.generation, 3);
}

/* What a stolen operator key ordered, and granted, ends with the key. */
static void revoked_operator_takes_its_order_along(void **state)
{
    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    send_revocation(1, revoked_signer(K_OPERATOR_A, REVOKE_STOP));
    await_event(RC_KEY_REVOKED);
    uint32_t reports = sky->reports;
    while (sky->reports < reports + 2 || sky->report.n_payloads > 0)
        exchange();
    end_berthd(SIGTERM, 0);
    start_berthd();
    send_order(2, &d1);
    await_event(RC_KEY_REVOKED);
    assert_int_equal(sky->report.n_payloads, 0);
}

static void without_trust_everything_is_refused(void **state)
{
    struct err err = { 0 };

    (void)state;
    must(fs_unlink(sky->state, "trust/root.cose", &err), &err);
    start_berthd();
    await_event(RC_TRUST_MISSING);
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    uint32_t reports = sky->reports;
    while (sky->reports < reports + 6)
        exchange();
    assert_int_equal(sky->report.n_payloads, 0);
    assert_int_equal(sky->report.generation, 0);
    assert_int_equal(entries_in(sky->state, "slots"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(installs_updates_and_rolls_back, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(forgeries_change_nothing, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(killed_in_an_install_it_finishes, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(exits_are_told_and_backed_off, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(damaged_state_keeps_what_is_ordered, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(revoked_key_stops_what_it_signed, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(expired_grant_stops_what_runs, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(strangers_do_not_fill_the_store, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(rotates_in_flight, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(cut_between_root_and_record, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(killed_at_every_root, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(revocations_are_for_good, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(revoked_operator_takes_its_order_along, sky_open,
                                        sky_close),
        cmocka_unit_test_setup_teardown(without_trust_everything_is_refused, sky_open, sky_close),
    };

    if (geteuid() != 0) {
        print_message("needs root\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
