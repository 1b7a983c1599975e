/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/fleet_keys: every key of the fleet file, for those who read it and for the test that
 * holds the template of `berth init fleet` against them.
 */
#include "orchestrator/fleet_parts.h"

/* clang-format off */
#define KEYS(...) (const char *const[]){ __VA_ARGS__, NULL }
const char *const *const fleet_keys[FLEET_MAPS] = {
    [FLEET_KEYS_TOP] = KEYS("fleet", "satellites", "desired", "rollout", "stations", "links", "tenants"),
    [FLEET_KEYS_STATION] = KEYS("id", "lat", "lon", "height", "mask", "antennas", "turn", "node"),
    [FLEET_KEYS_LINK] = KEYS("rate", "setup", "overhead", "goodput", "steps"),
    [FLEET_KEYS_STEP] = KEYS("from", "rate"),
    [FLEET_KEYS_TENANT] = KEYS("share", "uplink", "quota", "teams"),
    [FLEET_KEYS_QUOTA] = KEYS("memory", "cpu", "store", "uplink", "logs"),
    [FLEET_KEYS_SATELLITE] = KEYS("id", "labels", "capacity", "orbit", "link", "node"),
    [FLEET_KEYS_CAPACITY] = KEYS("memory", "cpu", "pids", "data", "store", "payloads"),
    [FLEET_KEYS_ORBIT] = KEYS("tle", "oem", "contacts"),
    [FLEET_KEYS_DESIRED] = KEYS("select", "payloads"),
    [FLEET_KEYS_PAYLOAD] = KEYS("version", "digest", "hold"),
    [FLEET_KEYS_POLICY] = KEYS("waves", "first", "fail", "success", "soak", "deadline", "approve", "silent", "spread"),
    [FLEET_KEYS_WAVE] = KEYS("n", "label"),
    [FLEET_KEYS_FAIL] = KEYS("pct", "min"),
    [FLEET_KEYS_SILENT] = KEYS("passes", "after", "action"),
};
/* clang-format on */
