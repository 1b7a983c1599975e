/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/witness_print.h"

void witness_print(struct cli *cli, const struct witness_alarm *alarm)
{
    struct err err;

    if (witness_refuse(alarm, &err) != RC_OK)
        cli_say(cli, "ALARM %s: %s; no new orders: berth audit verify", rc_name(err.rc), err.what);
}

json_t *witness_json(const struct witness_alarm *alarm)
{
    if (alarm->satellites == 0)
        return json_null();
    return json_pack("{s:s, s:o, s:o, s:o, s:i}", "satellite", alarm->satellite, "first",
                     json_uint(alarm->first), "last", json_uint(alarm->last), "head",
                     json_uint(alarm->head), "satellites", (int)alarm->satellites);
}
