/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/post: what is taken out of an outbox and what is not, whatever a payload puts there; how
 * files come into an inbox; and that nothing of it takes longer than it may.  The test is berthd,
 * and its own user is the payload's.
 */
#include "tests/unit/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/post.h"
#include "base/fs.h"

static char path[32];
static int view = -1, out = -1, in = -1, sock = -1, far = -1, pidfd[2] = { -1, -1 };
static struct post *post;
static uint64_t now_ms;

static void send_to_post(const struct post_message *m, const int *fds)
{
    struct err err;

    assert_rc(post_send(sock, m, fds, &err), RC_OK);
}

static int setup(void **state)
{
    struct post_message m = { .type = POST_OPEN, .instance = 7 };
    int pair[2];
    struct err err;

    (void)state;
    memcpy(path, "/tmp/berth-post-XXXXXX", sizeof "/tmp/berth-post-XXXXXX");
    assert_non_null(mkdtemp(path));
    view = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_rc(fs_open_dir(view, "in", 0700, &in, &err), RC_OK);
    assert_rc(fs_open_dir(view, "out", 0700, &out, &err), RC_OK);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    sock = pair[0];
    far = pair[1];
    assert_int_equal(pipe2(pidfd, O_CLOEXEC), 0); /* readable when its other end is closed */
    assert_rc(post_new(far, &post, &err), RC_OK);
    now_ms = 1000;
    send_to_post(&m, (const int[]){ view, pidfd[0] });
    return 0;
}

static int teardown(void **state)
{
    struct err err;

    (void)state;
    post_free(&post);
    close_fd(&sock);
    close_fd(&far);
    close_fd(&pidfd[0]);
    close_fd(&pidfd[1]);
    close_fd(&in);
    close_fd(&out);
    close_fd(&view);
    return fs_remove_tree(AT_FDCWD, path, &err) != RC_OK;
}

static void turns(unsigned n)
{
    uint64_t wait_ms = 0;
    struct err err;

    for (unsigned i = 0; i < n; i++) {
        assert_rc(post_turn(post, now_ms, &wait_ms, &err), RC_OK);
        now_ms += POST_EVERY_MS;
    }
}

/* The next message of this type, within so many turns; others are passed over. */
static bool hear(enum post_type type, struct post_message *m, int *ret_fd, unsigned within)
{
    for (unsigned i = 0; i <= within; i++) {
        int fds[POST_FDS_MAX] = { -1, -1 };
        struct err err;

        while (post_recv(sock, false, m, fds, &err) == RC_OK) {
            if (m->type == type) {
                if (ret_fd != NULL)
                    *ret_fd = fds[0];
                else
                    close_fd(&fds[0]);
                return true;
            }
            close_fd(&fds[0]);
        }
        if (i < within)
            turns(1);
    }
    return false;
}

static void put_file(int dir, const char *name, const char *content)
{
    struct err err;

    assert_rc(fs_write_file(dir, name, bytes_of(content), 0600, &err), RC_OK);
}

static void taken(struct post_message m, enum post_type type)
{
    m.type = type;
    if (type == POST_LATER) {
        memset(m.name, 0, sizeof m.name);
        m.wait_ms = 10 * POST_EVERY_MS;
    }
    send_to_post(&m, NULL);
}

static void takes_a_file_as_sealed_memory(void **state)
{
    struct post_message m = { 0 };
    char word[8] = "";
    int fd = -1;

    (void)state;
    put_file(out, ".draft", "not yet");
    assert_int_equal(mkdirat(out, ".work", 0700), 0);
    turns(3);
    assert_false(hear(POST_FOUND, &m, NULL, 3)); /* what is hidden is not ready */
    assert_int_equal(renameat(out, ".draft", out, "letter"), 0);
    assert_true(hear(POST_FOUND, &m, &fd, 4));
    assert_string_equal(m.name, "letter");
    assert_int_equal(m.instance, 7);
    assert_int_equal(m.size, 7);
    assert_int_equal(pread(fd, word, 7, 0), 7);
    assert_string_equal(word, "not yet");
    assert_int_equal(pwrite(fd, "x", 1, 0), -1); /* nobody changes it any more */
    assert_int_equal(fcntl(fd, F_GET_SEALS) & F_SEAL_WRITE, F_SEAL_WRITE);
    close_fd(&fd);
    assert_false(hear(POST_FOUND, &m, NULL, 3)); /* it is offered once */
    assert_int_equal(faccessat(out, "letter", F_OK, 0), 0);
}

/* Another file under the same name is another message, whenever it came there. */
static void removes_what_was_taken_and_nothing_else(void **state)
{
    struct post_message m = { 0 }, gone = { 0 };

    (void)state;
    put_file(out, "letter", "first");
    assert_true(hear(POST_FOUND, &m, NULL, 4));
    put_file(out, "letter", "second"); /* renamed over it */
    taken(m, POST_TAKEN);
    assert_true(hear(POST_REMOVED, &gone, NULL, 2));
    assert_rc((enum rc)gone.rc, RC_NOT_FOUND);
    assert_true(hear(POST_FOUND, &m, NULL, 4));
    assert_int_equal(m.size, 6);
    taken(m, POST_TAKEN);
    assert_true(hear(POST_REMOVED, &gone, NULL, 2));
    assert_rc((enum rc)gone.rc, RC_OK);
    assert_memory_equal(&gone.mark, &m.mark, sizeof m.mark);
    assert_int_equal(faccessat(out, "letter", F_OK, 0), -1);
    assert_false(hear(POST_FOUND, &m, NULL, 4));
}

static void make_fifo(void)
{
    assert_int_equal(mkfifoat(out, "fifo", 0600), 0);
}

static void make_link(void)
{
    assert_int_equal(symlinkat("/etc/passwd", out, "link"), 0);
}

static void make_inner_link(void)
{
    put_file(view, "secret", "of others");
    assert_int_equal(symlinkat("../secret", out, "inner"), 0);
}

static void make_hard_link(void)
{
    put_file(view, "target", "twice");
    assert_int_equal(linkat(view, "target", out, "hard", 0), 0);
}

static void make_directory(void)
{
    assert_int_equal(mkdirat(out, "directory", 0700), 0);
}

static void make_sparse(void)
{
    int fd = openat(out, "sparse", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_int_equal(ftruncate(fd, 1 << 20), 0);
    close_fd(&fd);
}

static void make_huge(void)
{
    int fd = openat(out, "huge", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_int_equal(fallocate(fd, 0, 0, MAIL_CONTENT_MAX + 1), 0);
    close_fd(&fd);
}

static void make_socket(void)
{
    assert_int_equal(mknodat(out, "socket", S_IFSOCK | 0600, 0), 0);
}

static void make_device(void)
{
    assert_int_equal(mknodat(out, "device", S_IFCHR | 0666, makedev(1, 3)), 0);
}

static void make_stranger(void)
{
    put_file(out, "stranger", "of another id");
    assert_int_equal(fchownat(out, "stranger", 12345, 12345, 0), 0);
}

static void make_odd_name(void)
{
    put_file(out, "odd\nname", "x");
}

static void make_receipt(void)
{
    put_file(out, "x.receipt", "x");
}

static void make_option(void)
{
    put_file(out, "-rf", "x");
}

static const struct {
    const char *why;
    void (*make)(void);
    enum rc rc;
} hostile[] = {
    { "FIFO", make_fifo, RC_MAIL_JUNK },
    { "symbolic link out", make_link, RC_MAIL_JUNK },
    { "symbolic link within", make_inner_link, RC_MAIL_JUNK },
    { "hard link", make_hard_link, RC_MAIL_JUNK },
    { "directory", make_directory, RC_MAIL_JUNK },
    { "sparse file", make_sparse, RC_MAIL_JUNK },
    { "too large", make_huge, RC_TOO_LARGE },
    { "socket", make_socket, RC_MAIL_JUNK },
    { "device", make_device, RC_MAIL_JUNK },
    { "another owner", make_stranger, RC_MAIL_JUNK },
    { "control byte in a name", make_odd_name, RC_NAME },
    { "name of a receipt", make_receipt, RC_NAME },
    { "name like an option", make_option, RC_NAME },
};

static void passes_over_everything_else(void **state)
{
    struct post_message m = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        hostile[i].make();
        if (!hear(POST_JUNK, &m, NULL, 4))
            fail_msg("%s: not told", hostile[i].why);
        if (m.count != 1 || m.rc != (uint32_t)hostile[i].rc)
            fail_msg("%s: %u times %s", hostile[i].why, m.count, rc_name((enum rc)m.rc));
        for (const char *c = m.name; *c != '\0'; c++)
            assert_in_range(*c, 0x21, 0x7e);
        put_file(out, "letter", "hello"); /* what is good still goes */
        if (!hear(POST_FOUND, &m, NULL, 4) || strcmp(m.name, "letter") != 0)
            fail_msg("%s: stops others", hostile[i].why);
        taken(m, POST_TAKEN);
        assert_false(hear(POST_JUNK, &m, NULL, 4)); /* and is no news every half second */
        (void)teardown(NULL);
        (void)setup(NULL);
    }
}

/* So many names are looked at in one turn, and no more, and what is behind them is found. */
/* A payload whose junk is never twice the same number of things is told of no oftener. */
static void junk_is_told_at_most_so_often(void **state)
{
    struct post_message m = { 0 };
    char name[32];

    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        (void)snprintf(name, sizeof name, "junk%u.receipt", i);
        put_file(out, name, "x");
        assert_int_equal(hear(POST_JUNK, &m, NULL, 4), i == 0);
    }
    now_ms += POST_AGAIN_MS;
    assert_true(hear(POST_JUNK, &m, NULL, 4));
    assert_int_equal(m.count, 6);
}

static void many_names_are_looked_at_piece_by_piece(void **state)
{
    struct post_message m = { 0 };
    uint64_t wait_ms = 0;
    struct err err;
    unsigned n = 0;

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        char name[32];

        (void)snprintf(name, sizeof name, "junk%u.receipt", i);
        assert_int_equal(mknodat(out, name, S_IFREG | 0600, 0), 0);
    }
    put_file(out, "letter", "hello");
    while (!hear(POST_FOUND, &m, NULL, 0)) {
        assert_rc(post_turn(post, now_ms, &wait_ms, &err), RC_OK);
        assert_true(++n <= 20000 / POST_SCAN_MAX + 3);
    }
    assert_string_equal(m.name, "letter");
}

/* berthd may say "later", and then hears nothing more for a while. */
static void waits_when_it_is_told_to(void **state)
{
    struct post_message m = { 0 };

    (void)state;
    put_file(out, "letter", "hello");
    assert_true(hear(POST_FOUND, &m, NULL, 4));
    taken(m, POST_LATER);
    assert_false(hear(POST_FOUND, &m, NULL, 8));
    assert_true(hear(POST_FOUND, &m, NULL, 8));
}

static void put_message(const char *name, const char *content, uint32_t replace)
{
    struct post_message m = { .type = POST_PUT, .instance = 7, .replace = replace, .offset = 2 };
    struct err err;
    char whole[64];
    int fd = -1;

    (void)snprintf(whole, sizeof whole, "##%s", content);
    (void)snprintf(m.name, sizeof m.name, "%s", name);
    m.size = (uint32_t)strlen(content);
    assert_rc(fs_sealed("content", bytes_of(whole), &fd, &err), RC_OK);
    send_to_post(&m, &fd);
    close_fd(&fd);
}

static enum rc delivered(void)
{
    struct post_message m = { 0 };

    assert_true(hear(POST_DELIVERED, &m, NULL, 3));
    return (enum rc)m.rc;
}

static void delivers_whole_files_and_overwrites_none(void **state)
{
    uint8_t buf[16] = { 0 };
    size_t n = 0;
    struct err err;
    struct stat st;

    (void)state;
    put_message("letter", "hello", 0);
    assert_rc(delivered(), RC_OK);
    assert_rc(fs_read_file(in, "letter", buf, sizeof buf, &n, &err), RC_OK);
    assert_int_equal(n, 5);
    assert_memory_equal(buf, "hello", 5);
    put_message("letter", "other", 0);
    assert_rc(delivered(), RC_EXISTS);
    assert_rc(fs_read_file(in, "letter", buf, sizeof buf, &n, &err), RC_OK);
    assert_memory_equal(buf, "hello", 5);
    put_message("x.receipt", "taken", 1);
    assert_rc(delivered(), RC_OK);
    put_message("x.receipt", "delivered", 1);
    assert_rc(delivered(), RC_OK);
    assert_rc(fs_read_file(in, "x.receipt", buf, sizeof buf, &n, &err), RC_OK);
    assert_memory_equal(buf, "delivered", 9);

    /* What the payload does with names in its inbox leads nowhere. */
    assert_int_equal(symlinkat("/tmp/berth-post-elsewhere", in, "trap"), 0);
    put_message("trap", "hello", 0);
    assert_rc(delivered(), RC_EXISTS);
    assert_int_equal(symlinkat("/tmp/berth-post-elsewhere", in, ".draft"), 0);
    put_message("letter2", "hello", 0);
    assert_rc(delivered(), RC_OK);
    assert_int_equal(mkdirat(in, ".draft", 0700), 0);
    put_message("letter3", "hello", 0);
    assert_rc(delivered(), RC_OK);
    assert_int_equal(fstatat(AT_FDCWD, "/tmp/berth-post-elsewhere", &st, 0), -1);
    assert_int_equal(fstatat(in, "letter3", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(S_ISREG(st.st_mode) && st.st_nlink == 1);
}

/* A payload that has ended: what it left is taken, then the view is let go of. */
static void takes_what_is_left_at_the_end(void **state)
{
    struct post_message m = { 0 };

    (void)state;
    turns(4);
    put_file(out, "a", "1");
    put_file(out, "b", "2");
    close_fd(&pidfd[1]); /* it has ended */
    for (unsigned i = 0; i < 2; i++) {
        assert_true(hear(POST_FOUND, &m, NULL, 2));
        taken(m, POST_TAKEN);
    }
    assert_true(hear(POST_CLOSED, &m, NULL, 3));
    assert_int_equal(m.instance, 7);
    put_file(out, "c", "3");
    assert_false(hear(POST_FOUND, &m, NULL, 4));
}

static void does_not_wait_for_ever_at_the_end(void **state)
{
    struct post_message m = { 0 };

    (void)state;
    put_file(out, "a", "1");
    assert_true(hear(POST_FOUND, &m, NULL, 4)); /* and berthd says nothing */
    close_fd(&pidfd[1]);
    assert_true(hear(POST_CLOSED, &m, NULL, POST_LAST_MS / POST_EVERY_MS + 2));
}

/* Whether it is there, and whatever payload there is: none has this number. */
static void answers_when_its_turn_comes(void **state)
{
    const struct post_message ping = { .type = POST_PING, .instance = 4242 };
    struct post_message m;

    (void)state;
    send_to_post(&ping, NULL);
    assert_true(hear(POST_PONG, &m, NULL, 1));
    assert_int_equal(m.instance, 4242);
}

static void ends_with_berthd(void **state)
{
    uint64_t wait_ms = 0;
    struct err err;
    struct post_message m = { .type = POST_FOUND, .instance = 7, .name = "x" };

    (void)state;
    /* Only what berthd may say passes. */
    turns(1);
    assert_int_equal(send(sock, &m, sizeof m, 0), sizeof m);
    assert_rc(post_turn(post, now_ms, &wait_ms, &err), RC_PROTOCOL);
    assert_int_equal(send(sock, &m, 9, 0), 9);
    assert_rc(post_turn(post, now_ms, &wait_ms, &err), RC_PROTOCOL);
    m.type = POST_TAKEN;
    memcpy(m.name, "../x", 5);
    assert_int_equal(send(sock, &m, sizeof m, 0), sizeof m);
    assert_rc(post_turn(post, now_ms, &wait_ms, &err), RC_PROTOCOL);
    close_fd(&sock);
    assert_rc(post_turn(post, now_ms, &wait_ms, &err), RC_SHORT);
}

/* Fill the way to berthd. */
static uint32_t fill(void)
{
    const struct post_message m = { .type = POST_CLOSED, .instance = 99 };
    uint32_t n = 0;
    struct err err;

    while (post_send(far, &m, NULL, &err) == RC_OK)
        n++;
    assert_true(n > 10);
    return n;
}

static void empty(uint32_t n)
{
    struct post_message m;
    int fds[POST_FDS_MAX];
    struct err err;

    for (; n > 0; n--)
        assert_rc(post_recv(sock, false, &m, fds, &err), RC_OK);
    assert_rc(post_recv(sock, false, &m, fds, &err), RC_TIMEOUT);
}

/* Whatever finds no room is told when there is some, once. */
static void says_again_what_found_no_room(void **state)
{
    struct post_message put = { .type = POST_PUT, .instance = 7, .size = 4, .name = "order" };
    struct post_message m = { 0 };
    scoped(close_fd) int mem = -1;
    uint32_t n = 0;
    struct err err;

    (void)state;
    turns(1);
    assert_rc(fs_sealed("test", bytes_of("word"), &mem, &err), RC_OK);
    n = fill();
    send_to_post(&put, (const int[]){ mem });
    turns(2);
    assert_int_equal(faccessat(in, "order", F_OK, 0), 0);
    empty(n);
    turns(1);
    assert_true(hear(POST_DELIVERED, &m, NULL, 0));
    assert_string_equal(m.name, "order");
    assert_int_equal(m.rc, RC_OK);
    turns(2);
    assert_false(hear(POST_DELIVERED, &m, NULL, 0));

    n = fill();
    close_fd(&pidfd[1]); /* the payload ends */
    now_ms += POST_LAST_MS;
    turns(20);
    empty(n);
    turns(1);
    assert_true(hear(POST_CLOSED, &m, NULL, 0));
    assert_int_equal(m.instance, 7);
    turns(2);
    assert_false(hear(POST_CLOSED, &m, NULL, 0));
}

/* berthd tells again of a payload that is known. */
static void one_payload_is_one(void **state)
{
    struct post_message m = { .type = POST_OPEN, .instance = 7 };

    (void)state;
    turns(1);
    send_to_post(&m, (const int[]){ view, pidfd[0] });
    put_file(out, "letter", "once");
    assert_true(hear(POST_FOUND, &m, NULL, 4));
    assert_false(hear(POST_CLOSED, &m, NULL, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(takes_a_file_as_sealed_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(removes_what_was_taken_and_nothing_else, setup, teardown),
        cmocka_unit_test_setup_teardown(passes_over_everything_else, setup, teardown),
        cmocka_unit_test_setup_teardown(junk_is_told_at_most_so_often, setup, teardown),
        cmocka_unit_test_setup_teardown(many_names_are_looked_at_piece_by_piece, setup, teardown),
        cmocka_unit_test_setup_teardown(waits_when_it_is_told_to, setup, teardown),
        cmocka_unit_test_setup_teardown(delivers_whole_files_and_overwrites_none, setup, teardown),
        cmocka_unit_test_setup_teardown(takes_what_is_left_at_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(does_not_wait_for_ever_at_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_when_its_turn_comes, setup, teardown),
        cmocka_unit_test_setup_teardown(ends_with_berthd, setup, teardown),
        cmocka_unit_test_setup_teardown(says_again_what_found_no_room, setup, teardown),
        cmocka_unit_test_setup_teardown(one_payload_is_one, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
