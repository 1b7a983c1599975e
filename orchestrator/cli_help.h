/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cli_help: everything that is printed from the command tables: help, the man page,
 * completion.
 */
#ifndef BERTH_ORCHESTRATOR_CLI_HELP_H
#define BERTH_ORCHESTRATOR_CLI_HELP_H

#include "orchestrator/cli.h"

/* Options that every command has. */
extern const struct cli_option cli_common_options[];

/* The option of a command (or a common one) by name, NULL if there is none. */
const struct cli_option *cli_find_option(const struct cli_command *command, const char *name);

/* Walk all commands of all tables: start with *at = 0; NULL at the end. */
const struct cli_command *cli_next_command(const struct cli_command *const *tables, size_t *at);

/* How many words of argv name a command, and which; 0 and NULL if none do.  The longest name wins.
 */
size_t cli_match_command(const struct cli_command *const *tables, size_t n, char *const *words,
                         const struct cli_command **ret);

void cli_help_overview(const struct cli_command *const *tables, FILE *out);
void cli_help_command(const struct cli_command *command, FILE *out);
void cli_help_man(const struct cli_command *const *tables, FILE *out);

/* The script of a shell (bash, zsh, fish) that asks `berth __complete`; false for another shell.
 */
bool cli_completion(const char *shell, FILE *out);

/* The answer to it: the last of the words is the one being typed.  home_default: where names are
 * looked up unless the words say.  No candidate means: complete file names. */
void cli_complete(const struct cli_command *const *tables, size_t n, char *const *words,
                  const char *home_default, FILE *out);

#endif
