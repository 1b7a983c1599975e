/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/flatsat/guest: a payload computer that can lose its power: a QEMU guest with Debian's
 * kernel and systemd, Berth as installed, and one disk that lives longer than a boot. tools/flatsat
 * makes what it boots.
 *
 * Three things come out of it: the console, line by line; files that berth-link sends (the radio);
 * and answers to commands.  Nothing happens by itself: whoever holds a guest calls guest_step,
 * often.
 *
 * What a cut is: SIGKILL to QEMU.  The state disk is opened with O_DIRECT (cache=none), so what the
 * guest's kernel had not written is lost, and what it had written stays.  Not modelled: a disk that
 * loses or tears what it has acknowledged.
 */
#ifndef BERTH_TESTS_FLATSAT_GUEST_H
#define BERTH_TESTS_FLATSAT_GUEST_H

#include <sys/types.h>

#include "base/bytes.h"
#include "base/err.h"
#include "tests/flatsat/frame.h"

#define GUEST_LINE_CAP 400U
#define GUEST_OUTPUT_MAX (256U * 1024U)

struct guest_setup {
    const char *images; /* directory that tools/flatsat filled: build/flatsat */
    const char *state;  /* file of the state disk; on a disk, for O_DIRECT; NULL = none */
    const char *log;   /* file that takes a log of every write to it (dm-log-writes); NULL = none */
    const char *words; /* more of the kernel's command line; may be NULL */
    int log_fd;        /* everything that the console says */
    int up;            /* directory: *.bundle files go into the guest and are removed; -1 = none */
    int down;          /* directory: what berth-link sends appears here; -1 = none */
    void (*on_line)(void *arg, const char *line); /* one line of the console; may be NULL */
    void *arg;
};

/* One boot of it. */
struct guest {
    struct guest_setup setup;
    pid_t pid; /* 0 = no power */
    int console, radio, exec;
    bool takes_commands, ended;
    size_t line_bytes;
    char line[GUEST_LINE_CAP];
    size_t out_done, out_bytes; /* frame on its way up */
    size_t in_bytes;            /* frame on its way down */
    uint8_t *out, *in;          /* FRAME_MAX each */
    size_t answer_bytes;
    char answer[GUEST_LINE_CAP];
    char *output; /* of the command under way */
    size_t output_bytes;
    int status; /* of the last command, -1 = it runs */
};

/* Power on.  *ret must be released with guest_cut or guest_power_off. */
must_check enum rc guest_start(const struct guest_setup *setup, struct guest *ret, struct err *err);

/* Carry what there is to carry, for at most timeout_ms.  RC_SCENARIO when QEMU has ended. */
must_check enum rc guest_step(struct guest *g, uint32_t timeout_ms, struct err *err);

/* Run one line of sh as root in the guest, waiting for the guest to take commands first; at most
 * timeout_ms.  *ret_status is its exit status, *ret_output (caller frees, may be NULL) what it
 * printed.  RC_TIMEOUT, or RC_SCENARIO when the guest went down meanwhile. */
must_check enum rc guest_run(struct guest *g, const char *line, uint32_t timeout_ms,
                             int *ret_status, char **ret_output, struct err *err);

/* Off, at once. */
void guest_cut(struct guest *g);

/* Off, in order: what an operator's command would do.  RC_TIMEOUT (and a cut) if it takes longer.
 */
must_check enum rc guest_power_off(struct guest *g, uint32_t timeout_ms, struct err *err);

#endif
