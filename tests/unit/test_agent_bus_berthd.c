/* SPDX-License-Identifier: Apache-2.0
 *
 * Three payloads of the real berthd, each with its bus: one does all that it can to its own; the
 * others, who write to each other, must not notice, nor must berthd.
 */
#include "tests/unit/test.h"

#include <dirent.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/unit/agent_sky.h"

static const struct version versions[] = {
    { "1.0", "hostile", 1, 0, K_ACME, .name = "cam-north", .no_data = true, .probe = "bus_client" },
    { "2.5", "talk-cam-north", 1, 0, K_ACME, .name = "cam-south", .no_data = true,
      .probe = "bus_client", .peer = "cam-north" },
    { "3.0", "talk-cam-south", 1, 0, K_ACME, .name = "cam-west", .no_data = true,
      .probe = "bus_client", .peer = "cam-south" },
};
#define VERSIONS (sizeof versions / sizeof *versions)

/* With room for three, which may have peers. */
static noinline void provision_grant(void)
{
    scoped(close_fd) int trust = openat(sky->state, TRUST_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct grant grant = doc_grant();
    struct err err = { 0 };

    grant.expires_ms = 0;
    grant.total.cpu_permille = 1000;
    grant.total.open_files = 256;
    grant.may.peers = true;
    doc_signed(&signed_doc_, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
    must(fs_write_file(trust, "grant-acme.cose", signed_doc_.bytes, 0600, &err), &err);
}

static noinline void send_all(struct digest digests[VERSIONS])
{
    struct order order = { .satellite = "aurora-1", .generation = 1, .issued_ms = ISSUED_MS };

    for (size_t i = 0; i < VERSIONS; i++) {
        struct order_line *line = &order.line[order.n_lines++];

        digests[i] = send_version(&versions[i]);
        *line = (struct order_line){ .tenant = "acme", .manifest = digests[i] };
        (void)snprintf(line->name, sizeof line->name, "%s", versions[i].name);
    }
    doc_signed(&signed_doc_, DOC_ORDER, order_encode, &order, K_OPERATOR_A);
    send_document(OBJECT_ORDER, signed_doc_.bytes);
}

static bool all_run(const struct report *r, const void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < r->n_payloads; i++)
        if (r->payload[i].state != SLOT_COMMITTED || !r->payload[i].is_running)
            return false;
    return r->n_payloads == VERSIONS;
}

static size_t count(const char *text, const char *word)
{
    size_t n = 0;

    while ((text = strstr(text, word)) != NULL) {
        text += strlen(word);
        n++;
    }
    return n;
}

/* Until the honest one has been answered so many times more. */
static void await_ticks(size_t more)
{
    const uint64_t until = clock_mono_ms() + WAIT_MS;
    const size_t before = count(printed("cam-south"), "tick 200\n");

    while (count(printed("cam-south"), "tick 200\n") < before + more) {
        if (clock_mono_ms() > until)
            fail_msg("%s", printed("cam-south"));
        exchange();
        assert_int_equal(waitpid(sky->berthd, NULL, WNOHANG), 0);
    }
}

/* Tell berthd something and have its answer; how long that took. */
static uint64_t tell(const char *line, const char *want)
{
    const struct sockaddr_un any = { .sun_family = AF_UNIX };
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    char text[256] = "";
    scoped(close_fd) int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const uint64_t began = clock_mono_ms();

    (void)snprintf(to.sun_path, sizeof to.sun_path, "%s/inputs", sky->dir.path);
    assert_int_equal(bind(sock, (const struct sockaddr *)&any, sizeof(sa_family_t)), 0);
    assert_int_equal(connect(sock, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(send(sock, line, strlen(line), 0), strlen(line));
    struct pollfd p = { .fd = sock, .events = POLLIN };
    assert_int_equal(poll(&p, 1, WAIT_MS), 1);
    assert_true(recv(sock, text, sizeof text - 1, 0) > 0);
    if (strncmp(text, want, strlen(want)) != 0)
        fail_msg("%s: %s", line, text);
    return clock_mono_ms() - began;
}

/* Of every berth-bus that berthd has: how many, and what is done with it. */
static size_t each_bus(void (*fn)(pid_t pid))
{
    DIR *dir = opendir("/proc");
    const struct dirent *e;
    size_t n = 0;

    assert_non_null(dir);
    while ((e = readdir(dir)) != NULL) {
        char path[300], text[256] = "";
        int parent = 0;

        (void)snprintf(path, sizeof path, "/proc/%s/stat", e->d_name);
        scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || e->d_name[0] < '1' || e->d_name[0] > '9' ||
            read(fd, text, sizeof text - 1) <= 0 || !strstr(text, " (berth-bus) ") ||
            sscanf(strrchr(text, ')'), ") %*c %d", &parent) != 1 || parent != sky->berthd)
            continue;
        n++;
        fn((pid_t)strtol(e->d_name, NULL, 10));
    }
    (void)closedir(dir);
    return n;
}

static pid_t seen[8];
static size_t n_seen;

static void remember(pid_t pid)
{
    if (n_seen < sizeof seen / sizeof *seen)
        seen[n_seen++] = pid;
}

static void kill_it(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
}

static void measure(pid_t pid)
{
    char path[64], text[2048] = "";

    (void)snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
    scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(read(fd, text, sizeof text - 1) > 0);
    const char *pss = strstr(text, "Pss:"), *dirty = strstr(text, "Private_Dirty:");
    assert_true(pss && dirty);
    print_message("berth-bus: PSS %lu KiB, private dirty %lu KiB\n", strtoul(pss + 4, NULL, 10),
                  strtoul(dirty + 14, NULL, 10));
}

static void assert_said(const char *line)
{
    const char *text = printed("cam-south");

    if (!strstr(text, line))
        fail_msg("no \"%s\" in:\n%.2000s", line, text);
}

static void assert_answers(const struct digest *south)
{
    char hex[2 * DIGEST_SIZE + 1], line[256];

    (void)snprintf(
        line, sizeof line,
        "identity 200 {\"tenant\":\"acme\",\"payload\":\"cam-south\",\"version\":\"2.5\","
        "\"satellite\":\"aurora-1\",\"manifest\":\"%s\"",
        bytes_hex((struct bytes){ south->b, sizeof south->b }, hex));
    assert_said(line);
    assert_said("time 200 {\"unix_ms\":4102444");
    assert_said("\"source\":\"platform\"");
    assert_said("\"uncertainty_ms\":40,\"told_ms_ago\":");
    assert_said("passes 200 {\"mode\":\"nominal\",\"eclipse\":true,\"in_view\":\"kiruna\","
                "\"passes\":[{\"start\":4102450000,\"end\":4102450600,\"station\":\"svalbard\"}]}");
    assert_said("quota 200 {\"memory_bytes\":{\"limit\":");
    assert_said("telemetry 204");
    assert_said("messages 204");
    assert_said("commands 204");
    assert_said("stranger 403 {\"code\":327,\"name\":\"BUS_PEER\"");
    assert_said("unknown 404 {\"code\":9,\"name\":\"NOT_FOUND\"");
}

/* One writes to another, who reads and deletes; one who never reads gets as many as wait. */
static void assert_messages(void)
{
    (void)await_said("cam-west", "peer 204 \n");
    (void)await_said("cam-south", "messages from cam-west: how are you?\ndone 204 \n");
    (void)await_said("cam-south", "messages from cam-west: again\ndone 204 \n");
    (void)await_said("cam-south", "peer 204 \n");
    (void)await_said("cam-south", "again 429 {\"code\":328,\"name\":\"BUS_QUEUE\"");
    assert_null(strstr(printed("cam-west"), "messages from"));
}

static void each_hurts_its_own_bus_only(void **state)
{
    struct digest digests[VERSIONS];

    (void)state;
    provision_grant();
    start_berthd();
    await_reports(1);
    (void)tell("time 4102444800 40", "ok");
    (void)tell("pass 4102450000 4102450600 svalbard", "ok");
    (void)tell("aos kiruna", "ok");
    (void)tell("eclipse in", "ok");
    (void)tell("eclipse maybe", "INPUT_LINE 320 ");
    send_all(digests);
    await("all run", all_run, NULL);
    await_ticks(8);
    assert_answers(&digests[1]);
    assert_messages();
    await_event(RC_BUS_REQUEST);
    assert_true(has_event_about(&sky->report, "acme/cam-north"));
    await_event(RC_NOTIFY_WORD);
    await_event(RC_INPUT_LINE);

    uint64_t slowest = 0;
    for (int i = 0; i < 20; i++) {
        uint64_t took = tell("aos kiruna", "ok");

        slowest = took > slowest ? took : slowest;
        exchange();
    }
    print_message("berthd answers the platform within %llu ms\n", (unsigned long long)slowest);
    assert_true(each_bus(measure) >= 1);

    /* The next call starts another, and nobody else has noticed. */
    for (int i = 0; i < 2; i++) {
        assert_true(each_bus(kill_it) >= 1);
        await_ticks(2);
    }
    run_on(1);
    assert_true(all_run(&sky->report, NULL));
    for (size_t i = 0; i < VERSIONS; i++)
        assert_int_equal(sky->report.payload[i].restarts, 0);
    assert_true(each_bus(remember) >= 1);
    end_berthd(SIGTERM, 0);
    for (size_t i = 0; i < n_seen; i++) /* reaped, not left to anybody */
        assert_int_equal(kill(seen[i], 0), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_hurts_its_own_bus_only, sky_open, sky_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
