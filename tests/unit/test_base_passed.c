/* SPDX-License-Identifier: Apache-2.0
 *
 * base/passed: whatever number of descriptors comes with a packet, so many are kept as were asked
 * for, and none is left open.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/passed.h"

#define SENT_MAX 8U

static union {
    struct cmsghdr align;
    char buf[PASSED_SPACE(SENT_MAX) + CMSG_SPACE(sizeof(struct ucred))];
} control;

static void send_fds(int sock, const int *fds, size_t n)
{
    char byte = 'x';
    struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
    struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };

    memset(&control, 0, sizeof control);
    if (n > 0)
        passed_put(&hdr, control.buf, fds, n);
    assert_int_equal(sendmsg(sock, &hdr, 0), 1);
}

static size_t receive(int sock, int *fds, size_t max, bool *other)
{
    char byte = 0;
    struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
    struct msghdr hdr = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control.buf,
                          .msg_controllen = sizeof control.buf };

    memset(&control, 0, sizeof control);
    assert_int_equal(recvmsg(sock, &hdr, MSG_CMSG_CLOEXEC), 1);
    return passed_take(&hdr, fds, max, other);
}

/* The lowest free number, which tells whether anything was left open below it. */
static int lowest_free(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    close(fd);
    return fd;
}

static void every_number(void **state)
{
    int pair[2], sent[SENT_MAX];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    for (size_t i = 0; i < SENT_MAX; i++)
        sent[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    const int free_before = lowest_free();

    for (size_t n = 0; n <= SENT_MAX; n++) {
        for (size_t max = 0; max <= SENT_MAX; max++) {
            const size_t kept = n < max ? n : max;
            int got[SENT_MAX];
            bool other = false;

            memset(got, 0xff, sizeof got);
            send_fds(pair[0], sent, n);
            assert_int_equal(receive(pair[1], max > 0 ? got : NULL, max, &other), n);
            assert_false(other);
            for (size_t i = 0; i < SENT_MAX; i++)
                assert_int_equal(got[i] >= 0, i < kept);
            for (size_t i = 0; i < kept; i++) {
                assert_int_equal(fcntl(got[i], F_GETFD), FD_CLOEXEC);
                close_fd(&got[i]);
            }
            assert_int_equal(lowest_free(), free_before);
        }
    }
    for (size_t i = 0; i < SENT_MAX; i++)
        close_fd(&sent[i]);
    close_fd(&pair[0]);
    close_fd(&pair[1]);
}

static void they_are_the_files_that_were_sent(void **state)
{
    int pair[2], pipes[2], got[2] = { -1, -1 };
    struct stat a, b;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    send_fds(pair[0], pipes, 2);
    assert_int_equal(receive(pair[1], got, 2, NULL), 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(fstat(pipes[i], &a), 0);
        assert_int_equal(fstat(got[i], &b), 0);
        assert_true(a.st_ino == b.st_ino && got[i] != pipes[i]);
        assert_int_equal(fcntl(got[i], F_GETFL) & O_ACCMODE, i == 0 ? O_RDONLY : O_WRONLY);
        close_fd(&got[i]);
        close_fd(&pipes[i]);
    }
    close_fd(&pair[0]);
    close_fd(&pair[1]);
}

static void other_control_data_is_told(void **state)
{
    int pair[2], got[1] = { -1 }, fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    const int on = 1;
    bool other = false;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
    send_fds(pair[0], &fd, 1);
    assert_int_equal(receive(pair[1], got, 1, &other), 1);
    assert_true(other && got[0] >= 0);
    close_fd(&got[0]);
    close_fd(&fd);
    close_fd(&pair[0]);
    close_fd(&pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number),
        cmocka_unit_test(they_are_the_files_that_were_sent),
        cmocka_unit_test(other_control_data_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
