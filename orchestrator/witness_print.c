/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/witness_print.h"

void witness_print(struct cli *cli, const struct witness_alarm *alarm)
{
    struct err err;

    if (witness_refuse(alarm, &err) != RC_OK)
        cli_say(cli, "ALARM %s: %s; no new orders: berth audit verify", rc_name(err.rc), err.what);
    if (witness_accuse(alarm, &err) == RC_OK)
        return;
    cli_say(cli, "ALARM %s: %s; no order to it: berth audit accept-loss --satellite %s",
            rc_name(err.rc), err.what, alarm->accuses);
    if (alarm->accused > 1)
        cli_say(cli, "  and %u more such satellites", alarm->accused - 1);
}

json_t *witness_accused_json(const struct witness_alarm *alarm)
{
    if (alarm->accused == 0)
        return json_null();
    return json_pack("{s:s, s:o, s:i}", "satellite", alarm->accuses, "seq",
                     json_uint(alarm->accused_seq), "satellites", (int)alarm->accused);
}

json_t *witness_json(const struct witness_alarm *alarm)
{
    if (alarm->satellites == 0)
        return json_null();
    return json_pack("{s:s, s:o, s:o, s:o, s:i}", "satellite", alarm->satellite, "first",
                     json_uint(alarm->first), "last", json_uint(alarm->last), "head",
                     json_uint(alarm->head), "satellites", (int)alarm->satellites);
}
