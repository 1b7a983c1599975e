/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cli_secret: the passphrase, from a file or from the terminal, never from arguments.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/crypto.h"
#include "orchestrator/cli.h"

#define KEY_CTRL_C 0x03
#define KEY_CTRL_D 0x04
#define KEY_BACKSPACE 0x08
#define KEY_CTRL_U 0x15
#define KEY_DELETE 0x7f

/* One line of a file into buf; false at an error, a NUL, or when it does not fit. */
static bool read_line(int fd, uint8_t *buf, size_t cap, size_t *ret_n)
{
    size_t n = 0;
    uint8_t byte;

    for (;;) {
        ssize_t got = read(fd, &byte, 1);

        if (got < 0 || (got > 0 && byte == '\0'))
            return false;
        if (got == 0 || byte == '\n')
            break;
        if (n == cap)
            return false;
        buf[n++] = byte;
    }
    if (n > 0 && buf[n - 1] == '\r')
        n--;
    *ret_n = n;
    return true;
}

/* One line as it is typed; false when the person gave up, or it does not fit. */
static bool type_line(int tty, uint8_t *buf, size_t cap, size_t *ret_n)
{
    size_t n = 0;
    uint8_t byte;

    for (;;) {
        if (read(tty, &byte, 1) != 1)
            return false;
        switch (byte) {
        case '\0':
        case KEY_CTRL_C:
        case KEY_CTRL_D:
            return false;
        case '\n':
            *ret_n = n;
            return true;
        case KEY_BACKSPACE:
        case KEY_DELETE:
            n -= n > 0;
            break;
        case KEY_CTRL_U:
            n = 0;
            break;
        default:
            if (n == cap)
                return false;
            buf[n++] = byte;
        }
    }
}

static enum rc from_file(struct cli *cli, const char *path, uint8_t *buf, size_t cap,
                         struct bytes *ret, struct err *err)
{
    scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat st;
    size_t n = 0;

    if (fd < 0 || fstat(fd, &st) != 0)
        return err_sys(err, RC_KEY_FILE, "passphrase file %s", path);
    if (S_ISREG(st.st_mode) && (st.st_mode & 077U) != 0)
        cli_note(cli, "note: passphrase file %s is readable by others; chmod 600 it", path);
    if (!read_line(fd, buf, cap, &n) || n == 0)
        return err_set(err, RC_KEY_FILE, "passphrase file %s: no first line, or too long", path);
    *ret = (struct bytes){ .p = buf, .n = n };
    return RC_OK;
}

/* Without echo, and byte by byte: ^C comes as a byte, so it cannot leave the terminal mute. */
static bool ask(int tty, const char *what, uint8_t *buf, size_t cap, size_t *ret_n)
{
    struct termios before, quiet;
    bool ok;

    if (tcgetattr(tty, &before) != 0)
        return false;
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ISIG | ICANON);
    quiet.c_cc[VMIN] = 1;
    quiet.c_cc[VTIME] = 0;
    if (tcsetattr(tty, TCSAFLUSH, &quiet) != 0)
        return false;
    (void)dprintf(tty, "%s: ", what);
    ok = type_line(tty, buf, cap, ret_n);
    (void)dprintf(tty, "\n");
    (void)tcsetattr(tty, TCSAFLUSH, &before);
    return ok && *ret_n > 0;
}

static enum rc from_terminal(const char *what, bool twice, uint8_t *buf, size_t cap,
                             struct bytes *ret, struct err *err)
{
    scoped(close_fd) int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    uint8_t repeat[CLI_PASSPHRASE_CAP];
    char prompt[160];
    size_t n = 0, n_repeat = 0;
    bool same = true;

    if (tty < 0)
        return err_set(err, RC_KEY_FILE,
                       "no terminal to ask on: give --passphrase-file or BERTH_PASSPHRASE_FILE");
    (void)snprintf(prompt, sizeof prompt, "Passphrase of %s", what);
    if (!ask(tty, prompt, buf, cap, &n))
        return err_set(err, RC_KEY_FILE, "no passphrase given");
    if (twice) {
        same = ask(tty, "The same again", repeat, sizeof repeat, &n_repeat) &&
               crypto_equal((struct bytes){ .p = buf, .n = n },
                            (struct bytes){ .p = repeat, .n = n_repeat });
        crypto_wipe(repeat, sizeof repeat);
    }
    if (!same)
        return err_set(err, RC_KEY_FILE, "the two passphrases differ");
    *ret = (struct bytes){ .p = buf, .n = n };
    return RC_OK;
}

enum rc cli_passphrase(struct cli *cli, const char *what, bool twice, uint8_t *buf, size_t cap,
                       struct bytes *ret, struct err *err)
{
    const char *path = cli_value(cli, "passphrase-file");

    if (!path)
        path = getenv("BERTH_PASSPHRASE_FILE");
    if (path && path[0] != '\0')
        return from_file(cli, path, buf, cap, ret, err);
    return from_terminal(what, twice, buf, cap, ret, err);
}
