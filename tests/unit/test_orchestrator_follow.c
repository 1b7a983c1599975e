/* SPDX-License-Identifier: Apache-2.0
 *
 * What satellites tell of, followed: on the ground and through its API the same bytes; nothing
 * twice and nothing lost when the server goes and comes; and what a server may not do.
 */
#include "tests/unit/test.h"

#include <signal.h>
#include <time.h>

#include "orchestrator/api_token.h"
#include "orchestrator/api_told.h"
#include "orchestrator/event_rows.h"
#include "orchestrator/remote_follow.h"
#include "orchestrator/sse.h"
/* last: it has a global err */
#include "tests/unit/berth_run.h"

/* ---- the stream as text -----------------------------------------------------------------------
 */

struct got {
    char text[512]; /* "EVENT/ID/DATA;" of each */
    int left;       /* messages until it wants no more */
};

static enum rc take(void *arg, const struct sse_message *m, struct err *why)
{
    struct got *g = arg;
    size_t n = strlen(g->text);

    print_to(g->text + n, sizeof g->text - n, "%s/%s/%.*s;", m->event, m->id, (int)m->data.n,
             (const char *)m->data.p);
    return g->left-- > 0 ? RC_OK : err_set(why, RC_IO, "enough");
}

/* However it is cut into pieces. */
static void streams_are_taken_apart(void **state)
{
    static const struct {
        const char *in, *out;
        enum rc rc;
    } rows[] = {
        { "event: told\nid: 7\ndata: {}\n\n", "told/7/{};", RC_OK },
        { ": alive\n\ndata:a\n\n\n: x\nretry: 5\nid\ndata: b\r\n\r\n", "//a;//b;", RC_OK },
        { "id: 1\n\ndata: x\n\n", "//x;", RC_OK }, /* what has no data is no message */
        { "data: not ended\n", "", RC_OK },
        { "data\n\n", "//;", RC_OK },
        { "datax: 1\nevents: y\n\n", "", RC_OK },
        { "data: a\ndata: b\n\n", "", RC_API_SERVER },
        { "event: 0123456789012345678901234567890123\ndata: x\n\n", "", RC_API_SERVER },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const size_t size = strlen(rows[i].in);

        for (size_t step = 1; step <= size; step++) {
            scoped(sse_done) struct sse sse = { 0 };
            struct got g = { .left = 9 };
            enum rc rc = RC_OK;

            for (size_t at = 0; rc == RC_OK && at < size; at += step)
                rc = sse_feed(&sse,
                              (struct bytes){ (const uint8_t *)rows[i].in + at,
                                              size - at < step ? size - at : step },
                              take, &g, &err);
            if (rc != rows[i].rc || strcmp(g.text, rows[i].out) != 0)
                fail_msg("row %zu, %zu at once: %s %s", i, step, rc_name(rc), g.text);
        }
    }
}

static void lines_are_bounded(void **state)
{
    scoped(sse_done) struct sse sse = { 0 };
    scoped(free_ptr) uint8_t *noise = malloc(SSE_LINE_MAX);
    struct got g = { .left = 0 };

    (void)state;
    assert_non_null(noise);
    memset(noise, 'x', SSE_LINE_MAX);
    assert_rc(sse_feed(&sse, bytes_of("data: a\n\n"), take, &g, &err), RC_IO); /* fn has the word */
    assert_rc(sse_feed(&sse, (struct bytes){ noise, SSE_LINE_MAX }, take, &g, &err), RC_OK);
    assert_rc(sse_feed(&sse, bytes_of("x"), take, &g, &err), RC_API_SERVER);
}

#define ROW(members) "{\"events\":[{" members "}]}"
#define GOOD                                                                                       \
    "\"satellite\":\"sat-1\",\"seq\":4,\"code\":164,\"name\":\"X\",\"count\":2,"                   \
    "\"received_ms\":9"

/* All of a message or nothing, and nothing that a terminal would obey. */
static void messages_of_strangers(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"events\":{}}",
        ROW(GOOD),
        ROW(GOOD ",\"what\":7"),
        ROW(GOOD ",\"what\":\"a\\u001b[2J\""),
        ROW(GOOD ",\"what\":\"a\\u0000b\""),
        ROW(GOOD ",\"what\":\"\xc2\x9b\""),
        ROW(GOOD ",\"what\":\"0123456789012345678901234567890123456789012345678901234567890123\""),
        ROW(GOOD ",\"seq\":5,\"what\":\"\""),
        ROW("\"satellite\":\"../x\",\"seq\":4,\"code\":1,\"count\":2,\"received_ms\":9,"
            "\"what\":\"\""),
        ROW("\"satellite\":\"s\",\"seq\":-4,\"code\":1,\"count\":2,\"received_ms\":9,\"what\":"
            "\"\""),
        ROW("\"satellite\":\"s\",\"seq\":4,\"code\":4294967296,\"count\":2,\"received_ms\":9,"
            "\"what\":\"\""),
        ROW("\"satellite\":\"s\",\"seq\":4,\"code\":1,\"count\":2.5,\"received_ms\":9,"
            "\"what\":\"\""),
        "{\"events\":[7]}",
    };
    scoped(free_ptr) struct store_event *events = NULL;
    size_t n = 9;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (remote_follow_parse(bytes_of(bad[i]), &events, &n, &err) != RC_API_SERVER || events)
            fail_msg("%s", bad[i]);
    assert_rc(remote_follow_parse(bytes_of(ROW(GOOD ",\"what\":\"w\"")), &events, &n, &err), RC_OK);
    assert_int_equal(n, 1);
    assert_string_equal(events[0].satellite, "sat-1");
    assert_int_equal(events[0].seq, 4);
    assert_int_equal(events[0].count, 2);
    assert_string_equal(events[0].what, "w");
}

/* ---- a ground, its API, and who follows -------------------------------------------------------
 */

static struct store *store;
static pid_t api;
static int api_says = -1;
static char port[8];

static void tell(const char *satellite, uint64_t seq, uint32_t count, const char *what)
{
    struct store_event row = {
        .seq = seq, .code = 164, .count = count, .received_ms = 1796040000000 + seq
    };
    scoped(store_rollback) struct store *open = NULL;

    (void)snprintf(row.satellite, sizeof row.satellite, "%s", satellite);
    (void)snprintf(row.what, sizeof row.what, "%s", what);
    assert_rc(store_begin(store, &open, &err), RC_OK);
    assert_rc(store_put_event(store, &row, &err), RC_OK);
    assert_rc(store_commit(&open, &err), RC_OK);
}

/* Read until a text is there; what was read is kept, with its end. */
static void read_until(int fd, const char *text, char *out, size_t cap)
{
    for (size_t n = strlen(out); !strstr(out, text); out[n] = '\0') {
        const ssize_t got = n + 1 < cap ? read(fd, out + n, cap - n - 1) : 0;

        if (got <= 0)
            fail_msg("no '%s' in\n%s", text, out);
        n += (size_t)got;
    }
}

/* A program of the build, with a pipe on its output (fd 1) or on what it logs (2). */
static pid_t start(const char *line, int on, int *ret)
{
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    const pid_t pid = fork();

    if (pid == 0) {
        if (dup2(ends[1], on) < 0)
            _exit(99);
        become(line);
    }
    assert_true(pid > 0);
    (void)close(ends[1]);
    *ret = ends[0];
    return pid;
}

static void start_api(void)
{
    char program_api[PATH_MAX + 8], line[PATH_MAX + 128], text[1024] = "";

    print_to(program_api, sizeof program_api, "%s-api", program);
    print_to(line, sizeof line, "%s --home home --listen 127.0.0.1:%s", program_api, port);
    api = start(line, 2, &api_says);
    read_until(api_says, "port=", text, sizeof text);
    read_until(api_says, "\n", text, sizeof text);
    print_to(port, sizeof port, "%.*s", (int)strspn(strstr(text, "port=") + 5, "0123456789"),
             strstr(text, "port=") + 5);
}

static void stop_api(void)
{
    assert_int_equal(kill(api, SIGTERM), 0);
    assert_int_equal(exit_of(api), 0);
    close_fd(&api_says);
}

static void add_context(const char *name)
{
    char line[256];

    print_to(line, sizeof line, "token new %s --role viewer", name);
    assert_berth(line, 0);
    const char *secret = strstr(said, "berth_");

    assert_non_null(secret);
    said[(size_t)(secret - said) + strcspn(secret, " \n")] = '\0';
    print_to(line, sizeof line, "%s.token", name);
    put(line, secret, 0600);
    print_to(line, sizeof line, "context add %s --server http://127.0.0.1:%s --token-file %s.token",
             name, port, name);
    assert_berth(line, 0);
}

static int begin_ground(void **state)
{
    char path[PATH_MAX];

    (void)!begin(state);
    print_to(path, sizeof path, "%s/config", dir);
    (void)setenv("XDG_CONFIG_HOME", path, 1);
    (void)setenv("BERTH_HOME", "home", 1);
    assert_berth("key new root --role root --out keys", 0);
    assert_berth("key new op --role operator --out keys", 0);
    assert_berth("fleet init aurora --root keys/root.key --operator keys/op.key", 0);
    assert_berth("provision sat-1 --node 101 --out state-1", 0);
    assert_berth("provision sat-2 --node 102 --out state-2", 0);
    print_to(path, sizeof path, "%s/home/store.sqlite", dir);
    assert_rc(store_open(path, false, &store, &err), RC_OK);
    print_to(port, sizeof port, "0");
    start_api();
    add_context("eyes");
    add_context("more");
    tell("sat-1", 1, 1, "first");
    tell("sat-2", 8, 1, "second");
    tell("sat-1", 2, 1, "third");
    return 0;
}

static int end_ground(void **state)
{
    store_close(&store);
    if (api > 0)
        stop_api();
    return end(state);
}

/* One that follows, here or there. */
struct follower {
    pid_t pid;
    int fd;
    char out[8192];
};

static struct follower follow(const char *where, const char *words)
{
    struct follower f = { .fd = -1 };
    char line[PATH_MAX + 128];

    print_to(line, sizeof line, "berth events --follow %s%s", where, words);
    f.pid = start(line, 1, &f.fd);
    return f;
}

static void until(struct follower *f, const char *text)
{
    read_until(f->fd, text, f->out, sizeof f->out);
}

static void stop(struct follower *f)
{
    assert_int_equal(kill(f->pid, SIGTERM), 0);
    (void)exit_of(f->pid);
    close_fd(&f->fd);
}

#define FORMS 4U

static void the_same_here_and_there(void **state)
{
    static const char *const words[FORMS] = { " --last 2", " sat-1 -o json", " -o yaml",
                                              " -o name" };
    static const char *const first[FORMS] = { "third", "third", "third", "sat-1/2" };
    static const char *const then[FORMS] = { "fourth", "fourth", "fourth", "sat-1/3" };
    static struct follower here[FORMS], there[FORMS];

    (void)state;
    for (size_t i = 0; i < FORMS; i++) {
        here[i] = follow("--home home", words[i]);
        there[i] = follow("--context eyes", words[i]);
    }
    for (size_t i = 0; i < FORMS; i++) {
        until(&here[i], first[i]);
        until(&there[i], first[i]);
    }
    tell("sat-2", 8, 3, "second"); /* again: news, but for who looks at sat-1 */
    tell("sat-1", 3, 1, "fourth");
    for (size_t i = 0; i < FORMS; i++) {
        until(&here[i], then[i]);
        until(&there[i], then[i]);
        stop(&here[i]);
        stop(&there[i]);
        assert_string_equal(here[i].out, there[i].out);
    }
    assert_null(strstr(there[0].out, "first")); /* --last 2 */
    assert_non_null(strstr(there[0].out, "sat-2 8 "));
    assert_non_null(strstr(there[0].out, "(3 times)"));
    assert_null(strstr(there[1].out, "sat-2"));
    /* a token has four streams: who went makes room soon, although nothing is told */
    int code = 1;

    for (unsigned tries = 0; code == 1 && tries < 200; tries++)
        code = berth("events sat-9 --follow --context eyes");
    assert_int_equal(code, 4);
    assert_said("NO_SATELLITE");
    assert_berth("events --follow --last 0 --context more", 2);
    assert_berth("logs acme/cam@sat-1 --follow --context more", 4);
    assert_said("CONTEXT_LOCAL");
}

static unsigned times(const char *text, const char *what)
{
    unsigned n = 0;

    for (; (text = strstr(text, what)); text++)
        n++;
    return n;
}

/* What was told while the server was away comes once, and what was printed before does not come
 * again; with its token it ends. */
static void goes_on_where_it_broke_off(void **state)
{
    static struct follower f;

    (void)state;
    f = follow("--context more", "");
    until(&f, "fourth");
    stop_api();
    tell("sat-1", 4, 1, "fifth");
    tell("sat-1", 5, 1, "sixth");
    start_api();
    until(&f, "sixth");
    tell("sat-1", 6, 1, "seventh");
    until(&f, "seventh");
    assert_int_equal(times(f.out, "first"), 1);
    assert_int_equal(times(f.out, "fourth"), 1);
    assert_int_equal(times(f.out, "fifth"), 1);
    assert_int_equal(times(f.out, "sixth"), 1);
    assert_berth("token revoke more", 0);
    assert_int_equal(exit_of(f.pid), 5);
    close_fd(&f.fd);
}

/* ---- without HTTP -----------------------------------------------------------------------------
 */

#define LATER 5000U

static char *message(struct api_told *t, char *out, size_t cap)
{
    scoped(free_ptr) char *text = NULL;
    size_t n = 0;

    assert_rc(api_told_next(t, LATER, &text, &n, &err), RC_OK);
    print_to(out, cap, "%.*s", (int)n, text ? text : "");
    return out;
}

static void ids_are_numbers_of_news(void **state)
{
    static const char *const bad[] = { "0", "4097", "x", "", "-1", "00001" };
    const struct api_who who = { .name = "v", .role = API_VIEWER };
    const uint8_t bits[API_SECRET_SIZE] = { 7 };
    char secret[API_SECRET_CAP], text[4096], id[24];
    struct api_told t = { .token = { .store = store, .secret = secret } }, again = t;
    uint64_t newest = 0;

    (void)state;
    assert_rc(api_token_make(store, &who, bits, 1000, 7000, secret, &err), RC_OK);
    assert_rc(store_news(store, &newest, &err), RC_OK);
    assert_rc(api_told_begin(&t, "", "2", NULL, &err), RC_OK);
    print_to(id, sizeof id, "id: %llu\n", (unsigned long long)newest);
    assert_non_null(strstr(message(&t, text, sizeof text), id));
    assert_int_equal(times(text, "\"satellite\""), 2);
    assert_int_equal(times(text, "\n"), 4); /* no event can make lines of the stream */
    assert_string_equal(message(&t, text, sizeof text), "");
    tell("sat-2", 9, 1, "a"); /* what is not counted higher is no news */
    tell("sat-2", 9, 1, "a");
    tell("sat-2", 10, 1, "b");
    tell("sat-2", 9, 2, "a");
    assert_non_null(strstr(message(&t, text, sizeof text), "\"seq\":10,"));
    assert_true(strstr(text, "\"seq\":10,") < strstr(text, "\"seq\":9,"));
    assert_int_equal(times(text, "\"satellite\""), 2);
    print_to(id, sizeof id, "%llu", (unsigned long long)newest + 1);
    assert_rc(api_told_begin(&again, "sat-2", NULL, id, &err), RC_OK);
    assert_int_equal(times(message(&again, text, sizeof text), "\"satellite\""), 2);
    /* of a store that is behind what a client was told: from now on */
    assert_rc(api_told_begin(&again, "", NULL, "999999", &err), RC_OK);
    assert_string_equal(message(&again, text, sizeof text), "");
    tell("sat-1", 20, 1, "c");
    assert_int_equal(times(message(&again, text, sizeof text), "\"satellite\""), 1);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_rc(api_told_begin(&again, "", bad[i], NULL, &err), RC_API_REQUEST);
    assert_rc(api_told_begin(&again, "", NULL, "1\n", &err), RC_API_REQUEST);
    assert_rc(api_told_begin(&again, "sat-9", NULL, NULL, &err), RC_NO_SATELLITE);
    tell("sat-1", 21, 1, "d");
    scoped(free_ptr) char *late = NULL;
    size_t n = 0;

    assert_rc(api_told_next(&t, 7000, &late, &n, &err), RC_API_AUTH);
    assert_null(late);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_are_taken_apart),    cmocka_unit_test(lines_are_bounded),
        cmocka_unit_test(messages_of_strangers),      cmocka_unit_test(the_same_here_and_there),
        cmocka_unit_test(goes_on_where_it_broke_off), cmocka_unit_test(ids_are_numbers_of_news),
    };

    return cmocka_run_group_tests_name("orchestrator/follow", tests, begin_ground, end_ground);
}
