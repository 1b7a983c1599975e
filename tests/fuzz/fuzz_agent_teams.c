/* SPDX-License-Identifier: Apache-2.0
 *
 * The record of a team hands on views inside of it, and a file's name is split into names or
 * refused.  What trust makes of the documents is for fuzz_manifest_delegation.
 */
#include <stdlib.h>

#define trust_restore_team fuzz_restore_team
#include "agent/teams.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct bytes whole;

enum rc fuzz_restore_team(struct trust *trust, struct bytes delegation, struct bytes withdrawal,
                          bool lapsed, struct err *err)
{
    const uint8_t *end = whole.p + whole.n;

    (void)trust;
    (void)lapsed;
    (void)err;
    if (delegation.p < whole.p || delegation.p + delegation.n > withdrawal.p ||
        withdrawal.p + withdrawal.n != end)
        abort();
    return RC_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct team_name team;
    char name[256];
    char again[FILE_NAME_CAP];
    struct err err;

    whole = (struct bytes){ data, size };
    (void)!restore(NULL, whole, &err);
    if (!bytes_to_text(whole, name, sizeof name) || strchr(name, '/') ||
        !name_of_file(name, &team) || strlen(strrchr(name, '.')) >= sizeof TRUST_TEAM_SUFFIX)
        return 0;
    file_name(again, team.tenant, team.team, strrchr(name, '.'));
    if (strcmp(name, again) != 0)
        abort();
    return 0;
}
