/* SPDX-License-Identifier: Apache-2.0
 *
 * Mail, all the way: the real berthd with all of its companions, a payload that answers what it is
 * sent, and the ground.  Power is cut in the middle.  Needs root.
 */
#include "tests/unit/test.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "link/telemetry.h"
#include "tests/unit/agent_mailing.h"

/* Send a message of n bytes, all of them `fill`. */
static void send_mail(const char *payload, const char *name, size_t n, int fill, uint64_t number)
{
    uint8_t *buf = malloc(n);

    memset(buf, fill, n);
    send_content(payload, name, (struct bytes){ buf, n }, number);
    free(buf);
}

/* The berth-post that berthd started first, which carries; the others wait. */
static pid_t find_post(void)
{
    DIR *d = opendir("/proc");
    pid_t found = 0;

    assert_non_null(d);
    for (const struct dirent *e = readdir(d); e; e = readdir(d)) {
        const pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
        char path[64], text[256] = "", name[32] = "";
        char running = '\0';
        int parent = 0;
        scoped(close_fd) int fd = -1;

        (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
        fd = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        if (fd < 0 || read(fd, text, sizeof text - 1) <= 0 ||
            sscanf(text, "%*d (%31[^)]) %c %d", name, &running, &parent) != 3 || running == 'Z')
            continue;
        if (parent == sky->berthd && strcmp(name, "berth-post") == 0 && (found == 0 || pid < found))
            found = pid;
    }
    (void)closedir(d);
    return found;
}

/* Nobody but a start of berthd brought mail back when berth-post had ended. */
static void the_end_of_berth_post_is_passed_over(void)
{
    const pid_t first = find_post();

    assert_true(first > 0);
    assert_int_equal(kill(first, SIGKILL), 0);
    send_mail("cam-north", "after", 20, 'a', 6);
    await_mail(4);
    assert_string_equal(got.mail[3].name, "after.back");
    assert_true(find_post() > first);
    const uint64_t until = clock_mono_ms() + WAIT_MS;
    while (kill(first, 0) == 0) { /* a process that nobody asked for is one still */
        assert_true(clock_mono_ms() < until);
        exchange();
    }
}

static void messages_go_both_ways(void **state)
{
    const struct version v = {
        .version = "1.0.0", .release = 10, .signer = K_ACME, .probe = "agent_mail", .mail = true
    };

    (void)state;
    start_berthd();
    const struct digest manifest = send_version(&v);

    send_order(1, &manifest);
    await_standing(SLOT_COMMITTED, &manifest);
    send_mail("cam-north", "ping", 700, 'p', 1);
    await_mail(1);
    assert_string_equal(got.mail[0].name, "ping.back");
    assert_string_equal(got.mail[0].payload, "cam-north");
    assert_int_equal(got.size[0], 700);
    assert_int_equal(got.content[0][699], 'p');
    await_event(RC_MAIL_JUNK); /* what else lies there is told, and stays */

    /* One in chunks; the agent dies while it is on its way, and what was taken is not lost. */
    send_mail("cam-north", "large", 200000, 'l', 2);
    uint64_t until = clock_mono_ms() + WAIT_MS;
    while (files_below("data/acme/cam-north/sent") == 0 && got.n < 2) {
        assert_true(clock_mono_ms() < until);
        exchange();
        collect();
    }
    end_berthd(SIGKILL, SIGKILL);
    start_berthd();
    await_mail(2);
    assert_string_equal(got.mail[1].name, "large.back");
    assert_int_equal(got.size[1], 200000);
    assert_true(got.mail[1].number > got.mail[0].number);
    await_empty("data/acme/cam-north/sent"); /* the ground has it, and that is known on board */

    /* The day's bytes are used up, and stay so: 300,000 are granted. */
    send_mail("cam-north", "more", 150000, 'm', 3);
    await_event(RC_MAIL_BUDGET);
    assert_int_equal(got.n, 2);
    end_berthd(SIGKILL, SIGKILL);
    start_berthd();
    send_mail("cam-north", "little", 10, 's', 4);
    await_mail(3);
    assert_string_equal(got.mail[2].name, "little.back");

    /* What is for nobody here is refused. */
    send_mail("cam-south", "ping", 10, 'x', 5);
    await_event(RC_MAIL_ADDRESS);
    until = clock_mono_ms() + WAIT_MS;
    while (!log_says("large.back.receipt delivered")) {
        assert_true(clock_mono_ms() < until);
        exchange();
    }
    the_end_of_berth_post_is_passed_over();
}

/* ---- commands ---------------------------------------------------------------------------------
 */

/* The newest word of the ground's about a command. */
static struct mail_answer await_answer(enum mail_outcome outcome)
{
    struct mail_answer answer = { .code = 0 };
    struct err err = { 0 };

    for (uint32_t n = 1; answer.outcome != outcome; n++) {
        await_mail(n);
        if (got.mail[n - 1].direction == MAIL_TELEMETRY)
            continue;
        assert_int_equal(got.mail[n - 1].direction, MAIL_ANSWER);
        assert_string_equal(got.mail[n - 1].name, "point");
        must(mail_answer_decode((struct bytes){ got.content[n - 1], (size_t)got.size[n - 1] },
                                &answer, &err),
             &err);
    }
    return answer;
}

/* A full batch of what the payload counted before it said that it is ready. */
static void await_telemetry(void)
{
    static struct telemetry_batch batch;
    struct err err = { 0 };
    uint32_t n = 1;

    for (await_mail(n); got.mail[n - 1].direction != MAIL_TELEMETRY; await_mail(n))
        n++;
    must(telemetry_decode((struct bytes){ got.content[n - 1], (size_t)got.size[n - 1] }, &batch,
                          &err),
         &err);
    assert_int_equal(batch.first, 1);
    assert_int_equal(batch.n, TELEMETRY_BATCH_MAX);
    for (uint32_t i = 0; i < batch.n; i++) {
        char text[16];

        (void)snprintf(text, sizeof text, "%u", i + 1);
        assert_string_equal(batch.sample[i].key, "count");
        assert_int_equal(batch.sample[i].n, strlen(text));
        assert_memory_equal(batch.sample[i].value, text, strlen(text));
    }
}

/* Over the link, the disk and the bus, and back; power is cut in between. */
static void a_command_is_answered_over_the_bus(void **state)
{
    const struct version v = { .version = "1.0.0",
                               .release = 10,
                               .signer = K_ACME,
                               .probe = "bus_client",
                               .how = "obey",
                               .mail = true };
    struct mail_answer answer;

    (void)state;
    start_berthd();
    const struct digest manifest = send_version(&v);

    send_order(1, &manifest);
    await_standing(SLOT_COMMITTED, &manifest);
    await_telemetry();
    send_as(MAIL_COMMAND, "cam-north", "point", bytes_of("0 0 1"), 1);
    answer = await_answer(MAIL_DONE);
    assert_int_equal(answer.code, 7);
    assert_string_equal(answer.text, "point: 0 0 1");
    await_empty("data/acme/cam-north/came");
    await_empty("data/acme/cam-north/sent");

    /* Where nobody runs it is refused, and the link says so. */
    send_as(MAIL_COMMAND, "cam-south", "point", bytes_of("0 0 1"), 2);
    await_event(RC_MAIL_ADDRESS);

    /* The agent dies when it has taken one: it is answered after the next start. */
    memset(&got, 0, sizeof got);
    send_as(MAIL_COMMAND, "cam-north", "point", bytes_of("1 0 0"), 3);
    const uint64_t until = clock_mono_ms() + WAIT_MS;
    while (files_below("data/acme/cam-north/came") == 0 && got.n == 0) {
        assert_true(clock_mono_ms() < until);
        exchange();
        collect();
    }
    end_berthd(SIGKILL, SIGKILL);
    start_berthd();
    answer = await_answer(MAIL_DONE);
    assert_string_equal(answer.text, "point: 1 0 0");
    await_empty("data/acme/cam-north/came");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_go_both_ways, open_mail, sky_close),
        cmocka_unit_test_setup_teardown(a_command_is_answered_over_the_bus, open_mail, sky_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
