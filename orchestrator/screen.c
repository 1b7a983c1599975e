/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/screen.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

bool screen_is_terminal(const struct cli *cli)
{
    const char *term = getenv("TERM");

    if (cli->columns > 0)
        return !cli->json;
    return !cli->json && isatty(fileno(cli->out)) && term && strcmp(term, "dumb") != 0;
}

size_t screen_width(const struct cli *cli)
{
    struct winsize size = { 0 };

    if (!screen_is_terminal(cli) || cli->columns > 0)
        return cli->columns;
    return ioctl(fileno(cli->out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void screen_clear(struct cli *cli)
{
    if (screen_is_terminal(cli))
        (void)fputs("\033[H\033[2J", cli->out);
}

bool screen_wait(struct cli *cli)
{
    const struct timespec second = { .tv_sec = 1 };

    if (fflush(cli->out) != 0)
        return false;
    return nanosleep(&second, NULL) == 0;
}

const char *screen_word(const struct cli *cli, enum screen_mark mark, const char *word, char *out,
                        size_t cap)
{
    static const char *const marks[] = {
        [MARK_GOOD] = "✔ ", [MARK_BUSY] = "◌ ", [MARK_BAD] = "✖ ", [MARK_UNKNOWN] = "• "
    };

    (void)snprintf(out, cap, "%s%s", screen_is_terminal(cli) ? marks[mark] : "", word);
    return out;
}

const char *screen_safe(const char *text, char *out, size_t cap)
{
    size_t n = 0;

    for (; text[n] != '\0' && n + 1 < cap; n++)
        out[n] = text[n] >= 0x20 && text[n] < 0x7f ? text[n] : '?';
    out[n] = '\0';
    return out;
}
