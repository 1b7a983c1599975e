/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/flatsat/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "link/dircl.h"
#include "sim/proc.h"

#define QEMU "/usr/bin/qemu-system-x86_64"
#define COMMAND_LINE                                                                               \
    "console=ttyS0 quiet panic=-1 cgroup_no_v1=all random.trust_cpu=on mitigations=off "           \
    "no_timer_check "                                                                              \
    "systemd.show_status=0 systemd.log_level=notice"
#define PATH_CAP 512U
#define CUT_WAIT_MS 10000U
#define STEP_MS 20U

/* ---- power on -----------------------------------------------------------------------------------
 */

/* The ends that QEMU gets; it inherits them, so they are not close-on-exec. */
struct plugs {
    int console, radio, exec;
};

static void plugs_close(struct plugs *p)
{
    close_fd(&p->console);
    close_fd(&p->radio);
    close_fd(&p->exec);
}

static enum rc make_plug(int type, int *ret_ours, int *ret_theirs, struct err *err)
{
    int pair[2];

    if (socketpair(AF_UNIX, type, 0, pair) != 0)
        return err_sys(err, RC_IO, "socketpair");
    *ret_ours = pair[0];
    *ret_theirs = pair[1];
    if (fcntl(pair[0], F_SETFD, FD_CLOEXEC) != 0 || fcntl(pair[0], F_SETFL, O_NONBLOCK) != 0)
        return err_sys(err, RC_IO, "socketpair");
    return RC_OK;
}

static enum rc run_qemu(struct guest *g, const struct plugs *p, struct err *err)
{
    char kernel[PATH_CAP], initrd[PATH_CAP], base[PATH_CAP], berth[PATH_CAP], state[PATH_CAP],
        log[PATH_CAP];
    char radio[64], exec[64], words[PATH_CAP];
    const char *fixed[] = { QEMU,
                            "-accel",
                            "tcg,thread=multi",
                            "-cpu",
                            "max",
                            "-smp",
                            "1",
                            "-m",
                            "768",
                            "-nodefaults",
                            "-no-user-config",
                            "-display",
                            "none",
                            "-no-reboot",
                            "-serial",
                            "stdio",
                            "-append",
                            words,
                            "-device",
                            "virtio-rng-pci",
                            "-device",
                            "virtio-serial",
                            "-device",
                            "virtserialport,name=flatsat-radio,chardev=radio",
                            "-device",
                            "virtserialport,name=flatsat-exec,chardev=exec",
                            "-kernel",
                            kernel,
                            "-initrd",
                            initrd,
                            "-drive",
                            base,
                            "-drive",
                            berth,
                            "-chardev",
                            radio,
                            "-chardev",
                            exec,
                            "-drive",
                            state,
                            "-drive",
                            log,
                            NULL };
    char *argv[sizeof fixed / sizeof *fixed];
    size_t n = sizeof fixed / sizeof *fixed;
    const char *images = g->setup.images;

    (void)snprintf(words, sizeof words, COMMAND_LINE " %s", g->setup.words ? g->setup.words : "");
    (void)snprintf(kernel, sizeof kernel, "%s/vmlinuz", images);
    (void)snprintf(initrd, sizeof initrd, "%s/initramfs", images);
    (void)snprintf(base, sizeof base, "file=%s/base.img,format=raw,if=virtio,readonly=on", images);
    (void)snprintf(berth, sizeof berth, "file=%s/berth.img,format=raw,if=virtio,readonly=on",
                   images);
    (void)snprintf(radio, sizeof radio, "socket,id=radio,fd=%d", p->radio);
    (void)snprintf(exec, sizeof exec, "socket,id=exec,fd=%d", p->exec);
    (void)snprintf(state, sizeof state, "file=%s,format=raw,if=virtio,cache=none",
                   g->setup.state ? g->setup.state : "");
    (void)snprintf(log, sizeof log, "file=%s,format=raw,if=virtio,cache=unsafe",
                   g->setup.log ? g->setup.log : "");
    for (size_t i = 0; i < n; i++)
        argv[i] = (char *)(uintptr_t)fixed[i];
    if (!g->setup.log)
        argv[n - 3] = NULL;
    if (!g->setup.state)
        argv[n - 5] = NULL;
    scoped(close_fd) int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (here < 0)
        return err_sys(err, RC_IO, "directory");
    return proc_start(argv, here, p->console, &g->pid, err);
}

static void guest_done(struct guest *g)
{
    close_fd(&g->console);
    close_fd(&g->radio);
    close_fd(&g->exec);
    free_ptr(&g->in);
    free_ptr(&g->out);
    free_ptr(&g->output);
    g->pid = 0;
}

enum rc guest_start(const struct guest_setup *setup, struct guest *ret, struct err *err)
{
    scoped(plugs_close) struct plugs p = { -1, -1, -1 };

    *ret = (struct guest){ .setup = *setup, .console = -1, .radio = -1, .exec = -1, .status = -1 };
    ret->in = malloc(FRAME_MAX);
    ret->out = malloc(FRAME_MAX);
    ret->output = malloc(GUEST_OUTPUT_MAX);
    enum rc rc = ret->in && ret->out && ret->output ? RC_OK : err_set(err, RC_NO_MEMORY, "guest");

    if (rc == RC_OK)
        rc = make_plug(SOCK_STREAM, &ret->console, &p.console, err);
    if (rc == RC_OK)
        rc = make_plug(SOCK_STREAM, &ret->radio, &p.radio, err);
    if (rc == RC_OK)
        rc = make_plug(SOCK_STREAM, &ret->exec, &p.exec, err);
    if (rc == RC_OK)
        rc = run_qemu(ret, &p, err);
    if (rc != RC_OK)
        guest_done(ret);
    return rc;
}

/* ---- the console --------------------------------------------------------------------------------
 */

/* Lines end with CR LF; what is too long is cut, what is not text becomes '?'. */
static void console_byte(struct guest *g, char c)
{
    if (c == '\n') {
        g->line[g->line_bytes] = '\0';
        g->line_bytes = 0;
        if (g->setup.on_line)
            g->setup.on_line(g->setup.arg, g->line);
    } else if (c != '\r' && g->line_bytes + 1 < sizeof g->line) {
        g->line[g->line_bytes++] = c >= ' ' && c < 127 ? c : '?';
    }
}

static enum rc read_console(struct guest *g, struct err *err)
{
    char buf[4096];
    ssize_t n = read(g->console, buf, sizeof buf);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return RC_OK;
    if (n <= 0) {
        g->ended = true;
        return err_set(err, RC_SCENARIO, "the guest has ended");
    }
    for (ssize_t i = 0; i < n; i++)
        console_byte(g, buf[i]);
    return fs_write_all(g->setup.log_fd, (struct bytes){ .p = (uint8_t *)buf, .n = (size_t)n },
                        err);
}

/* ---- the radio ----------------------------------------------------------------------------------
 */

/* The next file that goes up becomes a frame; the file is gone then, whatever comes of the frame.
 */
static enum rc load_frame(struct guest *g, struct err *err)
{
    scoped(free_ptr) struct dircl_scan *scan = calloc(1, sizeof *scan);
    struct frame_head head = { .magic = FRAME_MAGIC };
    size_t n = 0;

    if (!scan)
        return err_set(err, RC_NO_MEMORY, "scan");
    enum rc rc = dircl_scan(g->setup.up, clock_unix_ms(), scan, err);

    if (rc != RC_OK || scan->n == 0)
        return rc;
    const char *name = scan->name[0];

    head.name_bytes = (uint32_t)strlen(name);
    rc = dircl_read(g->setup.up, name, g->out + sizeof head + head.name_bytes, FRAME_DATA_MAX, &n,
                    err);
    if (rc != RC_OK)
        return rc;
    head.data_bytes = (uint32_t)n;
    memcpy(g->out, &head, sizeof head);
    memcpy(g->out + sizeof head, name, head.name_bytes);
    g->out_done = 0;
    g->out_bytes = sizeof head + head.name_bytes + head.data_bytes;
    return dircl_remove(g->setup.up, name) ? RC_OK : err_set(err, RC_IO, "%s", name);
}

static enum rc send_up(struct guest *g, struct err *err)
{
    enum rc rc = RC_OK;

    if (g->setup.up < 0)
        return RC_OK;
    if (g->out_done == g->out_bytes)
        rc = load_frame(g, err);
    while (rc == RC_OK && g->out_done < g->out_bytes) {
        ssize_t n = send(g->radio, g->out + g->out_done, g->out_bytes - g->out_done, MSG_NOSIGNAL);

        if (n <= 0)
            break; /* full, or the guest is going down: the console tells */
        g->out_done += (size_t)n;
    }
    return rc;
}

static enum rc land_frame(struct guest *g, const struct frame_head *head, struct err *err)
{
    char name[FRAME_NAME_MAX + 1] = "";
    const uint8_t *body = g->in + sizeof *head;

    memcpy(name, body, head->name_bytes);
    if (g->setup.down < 0)
        return RC_OK;
    return dircl_put(g->setup.down, name,
                     (struct bytes){ .p = body + head->name_bytes, .n = head->data_bytes }, err);
}

static enum rc read_radio(struct guest *g, struct err *err)
{
    ssize_t n = read(g->radio, g->in + g->in_bytes, FRAME_MAX - g->in_bytes);
    enum rc rc = RC_OK;

    if (n <= 0)
        return RC_OK;
    g->in_bytes += (size_t)n;
    while (rc == RC_OK && g->in_bytes >= sizeof(struct frame_head)) {
        struct frame_head head;

        memcpy(&head, g->in, sizeof head);
        if (head.magic != FRAME_MAGIC || head.name_bytes == 0 || head.name_bytes > FRAME_NAME_MAX ||
            head.data_bytes > FRAME_DATA_MAX)
            return err_set(err, RC_SCENARIO, "the guest's radio sends what is no frame");
        size_t all = sizeof head + head.name_bytes + head.data_bytes;

        if (g->in_bytes < all)
            break;
        rc = land_frame(g, &head, err);
        g->in_bytes -= all;
        memmove(g->in, g->in + all, g->in_bytes);
    }
    return rc;
}

/* ---- commands -----------------------------------------------------------------------------------
 */

static void answer_line(struct guest *g)
{
    g->answer[g->answer_bytes] = '\0';
    g->answer_bytes = 0;
    if (strncmp(g->answer, "= ", 2) == 0) {
        g->status = (int)strtol(g->answer + 2, NULL, 10);
        g->takes_commands = true;
    } else if (strncmp(g->answer, "| ", 2) == 0) {
        int n = snprintf(g->output + g->output_bytes, GUEST_OUTPUT_MAX - g->output_bytes, "%s\n",
                         g->answer + 2);

        if (n > 0 && (size_t)n < GUEST_OUTPUT_MAX - g->output_bytes)
            g->output_bytes += (size_t)n;
    }
}

static void read_exec(struct guest *g)
{
    char buf[4096];
    ssize_t n = read(g->exec, buf, sizeof buf);

    for (ssize_t i = 0; i < n; i++) {
        if (buf[i] == '\n')
            answer_line(g);
        else if (g->answer_bytes + 1 < sizeof g->answer)
            g->answer[g->answer_bytes++] = buf[i];
    }
}

enum rc guest_run(struct guest *g, const char *line, uint32_t timeout_ms, int *ret_status,
                  char **ret_output, struct err *err)
{
    const uint64_t end = clock_mono_ms() + timeout_ms;
    const char *parts[] = { line, "\n" };
    enum rc rc = RC_OK;

    while (rc == RC_OK && !g->takes_commands && clock_mono_ms() < end)
        rc = guest_step(g, STEP_MS, err);
    g->status = -1;
    g->output_bytes = 0;
    g->output[0] = '\0';
    for (size_t i = 0; i < 2 && rc == RC_OK; i++)
        if (send(g->exec, parts[i], strlen(parts[i]), MSG_NOSIGNAL) != (ssize_t)strlen(parts[i]))
            rc = err_sys(err, RC_SCENARIO, "command for the guest");
    while (rc == RC_OK && g->status < 0) {
        if (clock_mono_ms() >= end)
            return err_set(err, RC_TIMEOUT, "%.50s", line);
        rc = guest_step(g, STEP_MS, err);
    }
    if (rc != RC_OK)
        return rc;
    *ret_status = g->status;
    if (ret_output && !(*ret_output = strdup(g->output)))
        return err_set(err, RC_NO_MEMORY, "output");
    return RC_OK;
}

/* ---- all of it ----------------------------------------------------------------------------------
 */

enum rc guest_step(struct guest *g, uint32_t timeout_ms, struct err *err)
{
    struct pollfd p[] = { { .fd = g->console, .events = POLLIN },
                          { .fd = g->radio, .events = POLLIN },
                          { .fd = g->exec, .events = POLLIN } };
    enum rc rc = send_up(g, err);

    if (g->out_done < g->out_bytes)
        p[1].events |= POLLOUT;
    if (rc == RC_OK && poll(p, 3, (int)timeout_ms) < 0 && errno != EINTR)
        rc = err_sys(err, RC_IO, "poll");
    if (rc == RC_OK && (p[1].revents & POLLIN) != 0)
        rc = read_radio(g, err);
    if (rc == RC_OK && (p[2].revents & POLLIN) != 0)
        read_exec(g);
    if (rc == RC_OK && p[0].revents != 0)
        rc = read_console(g, err);
    return rc;
}

void guest_cut(struct guest *g)
{
    if (g->pid > 0)
        proc_stop(g->pid, SIGKILL, CUT_WAIT_MS);
    guest_done(g);
}

enum rc guest_power_off(struct guest *g, uint32_t timeout_ms, struct err *err)
{
    const uint64_t end = clock_mono_ms() + timeout_ms;
    int status = 0;
    enum rc rc = guest_run(g, "systemctl --no-block poweroff", timeout_ms, &status, NULL, err);

    if (rc == RC_OK && status != 0)
        rc = err_set(err, RC_SCENARIO, "poweroff ended with %d", status);
    while (rc == RC_OK && clock_mono_ms() < end)
        rc = guest_step(g, STEP_MS, err);
    const bool ended = g->ended && status == 0;

    guest_cut(g);
    if (ended)
        return RC_OK;
    return rc == RC_OK ? err_set(err, RC_TIMEOUT, "the guest does not power off") : rc;
}
