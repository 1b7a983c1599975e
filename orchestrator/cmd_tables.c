/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_tables: every command of berth.  Each entry is one array of a cmd_*.c file; help
 * shows them in this order.
 */
#include "orchestrator/cmd.h"

const struct cli_command *const cmd_tables[] = {
    cmd_init,
    cmd_build,
    cmd_sign,
    cmd_inspect,
    cmd_verify,
    cmd_diff,
    cmd_push,
    cmd_explain,
    cmd_try,
    cmd_lint,
    cmd_oci,
    cmd_key,
    cmd_fleet_init,
    cmd_grant,
    cmd_provision,
    cmd_uplink,
    cmd_link,
    cmd_mail,
    cmd_command,
    cmd_telemetry,
    cmd_fleet_export,
    cmd_plan,
    cmd_passes,
    cmd_quota,
    cmd_packages,
    cmd_apply,
    cmd_status,
    cmd_ps,
    cmd_rollout,
    cmd_retoken,
    cmd_trust,
    cmd_trust_rotate,
    cmd_trust_rekey,
    cmd_trust_revoke,
    cmd_trust_delegate,
    cmd_audit,
    cmd_token,
    cmd_store,
    NULL,
};
