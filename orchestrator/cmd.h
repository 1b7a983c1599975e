/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd: the command tables, one per cmd_*.c file; cmd_tables.c lists them.
 */
#ifndef BERTH_ORCHESTRATOR_CMD_H
#define BERTH_ORCHESTRATOR_CMD_H

#include "orchestrator/cli.h"

extern const struct cli_command cmd_key[];
extern const struct cli_command cmd_store[];
extern const struct cli_command cmd_fleet_init[];
extern const struct cli_command cmd_grant[];
extern const struct cli_command cmd_trust_rekey[];
extern const struct cli_command cmd_trust_delegate[];
extern const struct cli_command cmd_trust_revoke[];
extern const struct cli_command cmd_trust_rotate[];
extern const struct cli_command cmd_init[];
extern const struct cli_command cmd_build[];
extern const struct cli_command cmd_sign[];
extern const struct cli_command cmd_inspect[];
extern const struct cli_command cmd_verify[];
extern const struct cli_command cmd_diff[];
extern const struct cli_command cmd_push[];
extern const struct cli_command cmd_provision[];
extern const struct cli_command cmd_explain[];
extern const struct cli_command cmd_lint[];
extern const struct cli_command cmd_oci[];
extern const struct cli_command cmd_try[];
extern const struct cli_command cmd_uplink[];
extern const struct cli_command cmd_link[];
extern const struct cli_command cmd_mail[];
extern const struct cli_command cmd_command[];
extern const struct cli_command cmd_telemetry[];
extern const struct cli_command cmd_logs[];
extern const struct cli_command cmd_events[];
extern const struct cli_command cmd_fleet_export[];
extern const struct cli_command cmd_passes[];
extern const struct cli_command cmd_init_fleet[];
extern const struct cli_command cmd_rollout_forecast[];
extern const struct cli_command cmd_packages[];
extern const struct cli_command cmd_quota[];
extern const struct cli_command cmd_plan[];
extern const struct cli_command cmd_apply[];
extern const struct cli_command cmd_status[];
extern const struct cli_command cmd_ps[];
extern const struct cli_command cmd_top[];
extern const struct cli_command cmd_drift[];
extern const struct cli_command cmd_rollout[];
extern const struct cli_command cmd_rollout_approve[];
extern const struct cli_command cmd_retoken[];
extern const struct cli_command cmd_trust[];
extern const struct cli_command cmd_audit[];
extern const struct cli_command cmd_token[];
extern const struct cli_command cmd_context[];

/* All of them, NULL at the end. */
extern const struct cli_command *const cmd_tables[];

#endif
