/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/api_print: what a tenant sees, printed: no command prints a part of a fleet, so this
 * makes a table of whatever is left of its answer.
 */
#include <stdio.h>

#include "orchestrator/api.h"
#include "orchestrator/cmd.h"

#define COLUMNS 8U
#define CELL_CAP 96U

static bool is_cell(const json_t *value)
{
    return !json_is_object(value) && !json_is_array(value);
}

static void cell_text(const json_t *value, char out[CELL_CAP])
{
    if (json_is_string(value))
        (void)snprintf(out, CELL_CAP, "%s", json_string_value(value));
    else if (json_is_integer(value))
        (void)snprintf(out, CELL_CAP, "%lld", (long long)json_integer_value(value));
    else
        (void)snprintf(out, CELL_CAP, "%s",
                       json_is_true(value)    ? "yes"
                       : json_is_false(value) ? "no"
                                              : "-");
}

/* One row for each item, one column for each of the first one's members that has no members. */
static void print_list(struct cli *cli, json_t *list)
{
    scoped(cli_table_free) struct cli_table *table = NULL;
    const char *heading[COLUMNS];
    size_t n = 0, rows = json_array_size(list);
    const char *name;
    json_t *value;

    json_object_foreach(json_array_get(list, 0), name, value) if (is_cell(value) && n < COLUMNS)
        heading[n++] = name;
    table = cli_table_new(heading, n);
    for (size_t i = 0; i < rows && n > 0; i++) {
        char text[COLUMNS][CELL_CAP];
        const char *cells[COLUMNS];

        for (size_t c = 0; c < n; c++) {
            cell_text(json_object_get(json_array_get(list, i), heading[c]), text[c]);
            cells[c] = text[c];
        }
        cli_table_row(table, cells);
    }
    if (n > 0)
        cli_table_print(cli, table);
}

static void print_object(struct cli *cli, json_t *answer)
{
    const char *name;
    json_t *value;

    json_object_foreach(answer, name, value)
    {
        char text[CELL_CAP];

        if (!is_cell(value))
            continue;
        cell_text(value, text);
        cli_say(cli, "%s: %s", name, text);
    }
    json_object_foreach(answer, name, value)
    {
        if (json_is_array(value) && json_array_size(value) == 0)
            cli_say(cli, "no %s", name);
        else if (json_is_array(value))
            print_list(cli, value);
    }
}

bool api_print(const struct api_call *call, const json_t *answer, FILE *out)
{
    const char *form = strchr(call->form, '=');
    struct cli cli = { .out = out, .err = out, .columns = call->columns };

    if (form)
        (void)cli_form_from(form + 1, &cli.form);
    cli.json = cli.form >= CLI_JSON;
    cli.command = cli_find_command(cmd_tables, call->route->command);
    if (!cli.command || (cli.form == CLI_NAME && !cli.command->listing))
        return false;
    print_object(&cli, (json_t *)(uintptr_t)answer);
    return cli_json(&cli, json_incref((json_t *)(uintptr_t)answer)) == CLI_OK && fflush(out) == 0;
}
