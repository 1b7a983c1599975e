/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/mail: what is kept of what a satellite says.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "orchestrator/mail.h"

static char path[48];
static struct home home;
static struct view_satellite sat;
static struct report seen;
static struct sight sight;
static const struct order_line cam = { .tenant = "acme", .name = "cam" };

static int setup(void **state)
{
    (void)state;
    memcpy(path, "/tmp/berth-mail-XXXXXX", sizeof "/tmp/berth-mail-XXXXXX");
    assert_non_null(mkdtemp(path));
    memset(&home, 0, sizeof home);
    memset(&sat, 0, sizeof sat);
    memset(&seen, 0, sizeof seen);
    home.dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void)snprintf(sat.row.id, sizeof sat.row.id, "aurora-1");
    sat.row.node = 7;
    sat.order = (struct want){ .n_lines = 1, .line = &cam };
    return home.dirfd < 0;
}

static int teardown(void **state)
{
    struct err err = { 0 };

    (void)state;
    close_fd(&home.dirfd);
    return fs_remove_tree(AT_FDCWD, path, &err) != RC_OK;
}

static enum rc come(const char *payload, const char *name, const char *content)
{
    struct mail m = { .direction = MAIL_DOWN, .node = 7, .tenant = "acme", .number = 1 };
    uint8_t buf[MAIL_HEAD_MAX + 64];
    struct bytes head = { 0 };
    struct mail got;
    scoped(close_fd) int fd = -1;
    struct err err = { 0 };

    (void)snprintf(m.payload, sizeof m.payload, "%s", payload);
    (void)snprintf(m.name, sizeof m.name, "%s", name);
    m.size = (uint32_t)strlen(content);
    assert_rc(mail_head_encode(&m, buf, &head, &err), RC_OK);
    memcpy(buf + head.n, content, m.size);
    assert_rc(fs_sealed("test", (struct bytes){ buf, head.n + m.size }, &fd, &err), RC_OK);
    return mail_keep(&home, &sat, fd, head.n + m.size, &got, &err);
}

static bool open_it(void *arg, const struct mail_kept *kept)
{
    scoped(close_fd) int fd = -1;
    uint64_t size = 0;
    struct err err = { 0 };

    assert_rc(mail_open_kept(&home, kept->id, &fd, &size, &err), RC_OK);
    assert_int_equal(size, 5);
    ++*(unsigned *)arg;
    return true;
}

static unsigned kept(void)
{
    unsigned n = 0;
    struct err err = { 0 };

    assert_rc(mail_list(&home, NULL, open_it, &n, &err), RC_OK);
    return n;
}

static void nothing_is_lost_under_a_name_that_is_taken(void **state)
{
    char longest[MAIL_NAME_CAP];

    (void)state;
    memset(longest, 'n', MAIL_NAME_MAX);
    longest[MAIL_NAME_MAX] = '\0';
    const char *const names[] = { "letter", longest };

    for (unsigned i = 0; i < 2; i++) {
        for (unsigned twice = 0; twice < 2; twice++) {
            assert_rc(come("cam", names[i], "hello"), RC_OK);
            assert_rc(come("cam", names[i], "other"), RC_OK);
            assert_rc(come("cam", names[i], "third"), RC_OK);
            assert_int_equal(kept(), 3 * (i + 1));
        }
    }
}

static void a_satellite_speaks_for_its_own_payloads(void **state)
{
    (void)state;
    assert_rc(come("radar", "letter", "hello"), RC_MAIL_ADDRESS);
    assert_int_equal(kept(), 0);
    seen.n_payloads = 1;
    (void)snprintf(seen.payload[0].tenant, NAME_CAP, "acme");
    (void)snprintf(seen.payload[0].name, NAME_CAP, "radar");
    sight = sight_of(&seen);
    sat.seen = &sight;
    assert_rc(come("radar", "letter", "hello"), RC_OK);
    assert_rc(come("cam", "letter", "hello"), RC_OK);
    sat.row.node = 8;
    assert_rc(come("cam", "second", "hello"), RC_MAIL_ADDRESS);
    assert_int_equal(kept(), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_lost_under_a_name_that_is_taken, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_satellite_speaks_for_its_own_payloads, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
