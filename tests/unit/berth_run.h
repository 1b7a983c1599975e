/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/berth_run: run the berth program that was built beside the test, in a directory of the
 * test's own, and look at what it said.  Include "tests/unit/test.h" first.
 */
#ifndef BERTH_TESTS_UNIT_BERTH_RUN_H
#define BERTH_TESTS_UNIT_BERTH_RUN_H

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"

static char dir[40]; /* of a test that defines BERTH_RUN_IN_MEMORY in memory, where there is such */
static char program[PATH_MAX];
static int dirfd = -1;
static char said[65536]; /* stdout and stderr of the last run */
static struct err err;

/* snprintf that must fit. */
static void print_to(char *out, size_t cap, const char *fmt, ...) printf_like(3, 4);
static __attribute__((unused)) void print_to(char *out, size_t cap, const char *fmt, ...)
{
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(out, cap, fmt, args);
    va_end(args);
    assert_true(n >= 0 && (size_t)n < cap);
}

static void put(const char *path, const char *text, mode_t mode)
{
    assert_rc(fs_write_file(dirfd, path, bytes_of(text), mode, &err), RC_OK);
}

/* In the child: become the program that the first word names, in the test's directory. */
static void become(const char *line)
{
    char copy[1024], *rest = NULL, *argv[64] = { NULL };
    size_t n = 0;

    (void)snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok_r(copy, " ", &rest); word && n < 63; word = strtok_r(NULL, " ", &rest))
        argv[n++] = word;
    if (n > 0 && fchdir(dirfd) == 0)
        (void)execvp(strcmp(argv[0], "berth") == 0 ? program : argv[0], argv);
    _exit(98);
}

static void child(const char *line, int in, int out)
{
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
        _exit(99);
    (void)setsid(); /* no terminal to ask on */
    become(line);
}

static int exit_of(pid_t pid)
{
    int status = 0;

    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 200;
}

/* Run a program with words split at blanks; the exit code. */
static int run(const char *line)
{
    scoped(close_fd) int out = -1, in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ssize_t n;
    pid_t pid;
    int code;

    assert_rc(fs_open(dirfd, "said", O_RDWR | O_CREAT | O_TRUNC, 0600, &out, &err), RC_OK);
    pid = fork();
    if (pid == 0)
        child(line, in, out);
    code = exit_of(pid);
    n = pread(out, said, sizeof said - 1, 0);
    assert_true(n >= 0);
    said[n] = '\0';
    return code;
}

#define assert_run(line, code)                                                                     \
    do {                                                                                           \
        int got_ = run(line);                                                                      \
        if (got_ != (code))                                                                        \
            fail_msg("%s: exit %d, want %d\n%s", line, got_, code, said);                          \
    } while (0)

/* The same for berth itself: the words behind its name. */
static __attribute__((unused)) int berth(const char *words)
{
    char line[1024];

    print_to(line, sizeof line, "berth %s", words);
    return run(line);
}

#define assert_berth(words, code)                                                                  \
    do {                                                                                           \
        int got_ = berth(words);                                                                   \
        if (got_ != (code))                                                                        \
            fail_msg("berth %s: exit %d, want %d\n%s", words, got_, code, said);                   \
    } while (0)

#define assert_said(text)                                                                          \
    do {                                                                                           \
        if (!strstr(said, text))                                                                   \
            fail_msg("did not say '%s' but\n%s", text, said);                                      \
    } while (0)

static __attribute__((unused)) bool exists(const char *path)
{
    return faccessat(dirfd, path, F_OK, 0) == 0;
}

static __attribute__((unused)) size_t slurp(const char *path, uint8_t **ret)
{
    size_t n = 0;

    assert_rc(fs_read_alloc(dirfd, path, 64U << 20, ret, &n, &err), RC_OK);
    return n;
}

/* Group set-up: make the directory and name the program; $BERTH_HOME is ground/home in there, and
 * the passphrase of every key is in pw. */
static int begin(void **state)
{
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 16);

    (void)state;
    assert_true(n > 0);
    program[n] = '\0';
    for (unsigned i = 0; i < 3; i++) /* build/FLAVOUR/tests/unit/test_x: up to build/FLAVOUR */
        *strrchr(program, '/') = '\0';
    memcpy(program + strlen(program), "/berth", 7);
#ifdef BERTH_RUN_IN_MEMORY
    const char *const in =
        faccessat(AT_FDCWD, "/dev/shm", W_OK | X_OK, 0) == 0 ? "/dev/shm" : "/tmp";
#else
    const char *const in = "/tmp";
#endif
    print_to(dir, sizeof dir, "%s/berth-test-XXXXXX", in);
    assert_non_null(mkdtemp(dir));
    dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    put("pw", "correct horse\n", 0600);
    (void)setenv("BERTH_PASSPHRASE_FILE", "pw", 1);
    (void)setenv("BERTH_HOME", "ground/home", 1);
    assert_rc(fs_make_dirs(dirfd, "ground", 0755, &err), RC_OK);
    assert_rc(fs_make_dirs(dirfd, "stick", 0755, &err), RC_OK);
    return 0;
}

static int end(void **state)
{
    (void)state;
    close_fd(&dirfd);
    assert_rc(fs_remove_tree(AT_FDCWD, dir, &err), RC_OK);
    return 0;
}

#endif
