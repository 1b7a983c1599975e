/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/probe/escape: the attacks on a sandbox, tried from inside of one.
 *
 * Each attack is a row {line, name, what to do}.  The line is the number under which
 * docs/attacks.md knows it.  It says how it ended: 0 when it got through, an errno when something
 * refused it, HELD when it found nothing to go on with.  main.c runs each in a process of its own
 * and prints
 *
 *     LINE NAME through | held | EPERM (any name of an errno) | SIGSYS (any name of a signal)
 *
 * The attacks know nothing of who holds the sandbox: they run under others' as they run under ours.
 */
#ifndef BERTH_TESTS_PROBE_ESCAPE_H
#define BERTH_TESTS_PROBE_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>

#define HELD 10000 /* not an errno: there was nothing there */

/* What the test tells of the world outside. */
struct scene {
    long host_pid;           /* a process of the host */
    long victim_pid;         /* the neighbour's payload, in the host's numbers */
    unsigned int victim_uid; /* its user, in the host's numbers */
    const char *abstract;    /* name of an abstract socket of the host */
    const char *path;        /* of a socket of the host */
    const char *secret;      /* path of a file of the host */
    const char *data;        /* a directory to write in that outlives the program, or NULL */
};

/* A call without preparation has its number and arguments in the row. */
struct attack {
    unsigned int line;
    const char *name;
    int (*run)(const struct scene *scene); /* NULL: make the call */
    long nr;
    long arg[6];
};

struct attacks {
    const struct attack *row;
    size_t n;
};

#define TEXT(s) ((long)(s))
#define ATTACKS(rows)                                                                              \
    {                                                                                              \
        rows, sizeof(rows) / sizeof(rows)[0]                                                       \
    }

extern const struct attacks runtime_attacks; /* 1 to 13: what starts the sandbox, and the image */
extern const struct attacks kernel_attacks;  /* 17 to 36: the kernel */
extern const struct attacks reach_attacks;   /* 37 to 48: the neighbour and the host */
extern const struct attacks bound_attacks;   /* 34, 49 to 58: taking all there is of one thing */
extern const struct attacks alone_attacks;   /* those that end, or may end, all else in there */

extern char zeros[4096];

/* 0, or the errno of a call that returned ret. */
int outcome(long ret);

/* Open, and write one byte: 0, or why not. */
int try_write(const char *path);
int try_open(const char *path, int flags);

/* The neighbour: hold secrets, and say on stdout how it is, until killed.  Does not return. */
_Noreturn void be_victim(const char *abstract);

/* Whether an exec gained anything: exit status 0 if it did.  The user before it is in the text. */
int who_am_i(const char *uid_before);

#endif
