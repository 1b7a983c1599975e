/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/fleet: the fleet file: which payload should run at which version on which
 * satellites, and how a change spreads.
 *
 *     fleet: aurora
 *     satellites:
 *       - {id: aurora-1, labels: {canary: yes, plane: a}}
 *       - {id: aurora-2, labels: {plane: b}, capacity: {memory: 512M, cpu: 1.5, pids: 400,
 *          data: 2G, store: 4G, payloads: 20}}           # each of them optional
 *     desired:
 *       - select: all                      # or label=value, or id=aurora-1
 *         payloads:
 *           acme/beacon: 1.0.0             # or {version: 1.0.0, digest: HEX, hold: true}
 *     rollout:                             # all of it optional
 *       default: {waves: [{n: 1, label: canary}, 100%], fail: 1, soak: 0}
 *       acme/beacon: {waves: [{n: 1}, 50%, 100%], first: [{n: 1}, 100%], soak: 3 orbits,
 *                     deadline: 3d, approve: [operator, safety], spread: {plane: 50%, lot: 2}}
 *     stations:                            # with these, plans know passes
 *       - {id: kiruna, lat: 67.86, lon: 20.96, height: 400, mask: 10, antennas: 2, turn: 3m}
 *     links:
 *       uhf: {rate: 9600, setup: 20s, overhead: 5%, goodput: 60%, steps: [{from: 30, rate: 19200}]}
 *     tenants:
 *       acme:
 *         share: 2                         # of every pass, beside others
 *         quota: {memory: 256M, cpu: 0.5, store: 64M, uplink: 2M/day, logs: 64K/pass}
 *         teams:                           # inside of it; together not more than it
 *           imaging: {memory: 128M}        # "imaging/raw" is a team of that team
 *
 * and of a satellite then also `link: uhf` and `orbit: {tle: [LINE, LINE]}`, or `tle: FILE`,
 * `oem: FILE`, `contacts: FILE` with the `node` that the file calls it.
 *
 * Written by the operator: trusted to mean what it says, read strictly.  Whether the satellites and
 * packages exist is orchestrator/plan's to find out.
 */
#ifndef BERTH_ORCHESTRATOR_FLEET_H
#define BERTH_ORCHESTRATOR_FLEET_H

#include "manifest/approval.h"
#include "orchestrator/contact.h"
#include "orchestrator/json.h"
#include "orchestrator/names.h"
#include "orchestrator/rollout.h"
#include "orchestrator/tle.h"
#include "orchestrator/yaml.h"

#define FLEET_SATELLITES_MAX ROLLOUT_TASKS_MAX
#define FLEET_LABELS_MAX 8U
#define FLEET_WANTS_MAX 512U /* in a file */
#define FLEET_POLICIES_MAX 64U
#define FLEET_SPREAD_MAX 4U
#define FLEET_FAIL_MAX FLEET_SATELLITES_MAX
#define FLEET_SILENT_PASSES_MAX 100U
#define FLEET_STATIONS_MAX SKY_STATIONS_MAX
#define FLEET_LINKS_MAX 32U
#define FLEET_PATH_CAP 256U
#define FLEET_DEADLINE_MAX_MS (31ULL * 24 * 3600 * 1000)
#define FLEET_UPLINK_MAX (UINT64_C(1) << 50)
#define FLEET_QUOTAS_MAX (2U * TENANTS_MAX)

/* "key=value".  As a condition: key "" is always true, value "" is true for any value. */
struct fleet_label {
    char key[NAME_CAP];
    char value[NAME_CAP];
};

/* What a satellite has for all payloads together; 0 = not said, and not looked at. */
struct fleet_capacity {
    uint64_t memory_bytes, data_bytes, store_bytes;
    uint32_t cpu_permille, pids, payloads;
};

/* Where a satellite's contacts come from. */
enum fleet_orbit {
    FLEET_NO_ORBIT,
    FLEET_TLE,      /* two lines in the file */
    FLEET_TLE_FILE, /* other files: named from the fleet file's directory */
    FLEET_OEM,
    FLEET_CONTACTS,
    FLEET_ORBITS
};

struct fleet_satellite {
    char id[NAME_CAP];
    uint32_t n_labels;
    struct fleet_label label[FLEET_LABELS_MAX]; /* beside the id: a plan looks at no more */
    struct fleet_capacity capacity;
    enum fleet_orbit orbit;
    char line1[TLE_LINE + 1]; /* FLEET_TLE, checked */
    char line2[TLE_LINE + 1];
    char file[FLEET_PATH_CAP]; /* the others */
    uint64_t node;             /* in contact plans of others, 0 = not said */
    uint64_t period_ms;        /* of the orbit, once period_find has looked; 0 = not known */
    uint32_t link;             /* index; only with an orbit */
    unsigned line;             /* in the file */
};

/* One payload of one entry of `desired`. */
struct fleet_want {
    struct fleet_label select; /* key "id" compares with the satellite's id */
    char tenant[NAME_CAP];
    char name[NAME_CAP];
    char version[VERSION_CAP];
    bool has_digest;
    struct digest manifest; /* the version must be exactly this one */
    bool hold;              /* leave what runs there as it is */
    unsigned line;
};

/* Which satellites come next: of those that are left, those with the label first, then, to fill n
 * up, any. */
struct fleet_wave {
    uint32_t percent; /* until so many percent of all are in a wave; 0 = n and label count */
    uint32_t n;       /* so many; 0 = every one with the label */
    struct fleet_label label;
};

/* Of the satellites that share a value of this label no more than that go in one wave. */
struct fleet_spread {
    char key[NAME_CAP];
    uint32_t n;       /* so many; 0 = percent counts */
    uint32_t percent; /* of those with the value in the file, one at least; 0 = n counts */
    unsigned line;
};

/* How a change of one payload spreads. */
struct fleet_policy {
    char tenant[NAME_CAP]; /* "" = the default */
    char name[NAME_CAP];
    uint32_t n_waves;
    struct fleet_wave wave[ROLLOUT_WAVES_MAX];
    uint32_t n_first; /* for a payload that runs nowhere yet: one wave of all, unless given */
    struct fleet_wave first[ROLLOUT_WAVES_MAX];
    uint32_t fail_max; /* pause at this many failed satellites */
    uint32_t fail_pct, fail_min, success_pct, silent_passes; /* as in struct rollout */
    uint64_t silent_ms;
    bool silent_skip;
    uint64_t soak_ms;
    uint32_t soak_orbits; /* instead of soak_ms; 0 = a time */
    uint64_t deadline_ms; /* from the plan on; 0 = none.  Plans are held against it */
    uint32_t approve;     /* roles that must approve: APPROVAL_BITs (manifest/approval) */
    uint32_t n_spread;
    struct fleet_spread spread[FLEET_SPREAD_MAX];
};

/* As it is written: millionths of a degree, so that what is exported is what was read. */
struct fleet_station {
    struct contact_station station;
    int64_t latitude, longitude, mask; /* degrees / 10^6 */
    int64_t height_m;
    unsigned line;
};

struct fleet_link {
    char name[NAME_CAP];
    struct contact_link link;
    int64_t from[CONTACT_STEPS_MAX]; /* of the steps, degrees / 10^6 */
};

/* A tenant's part of the uplink. */
struct fleet_tenant {
    char id[NAME_CAP];
    uint32_t share;        /* 1 to SCHEDULE_WEIGHT_MAX: its part of a full pass, beside others */
    uint64_t uplink_bytes; /* to all satellites in one UTC day; 0 = no limit */
};

/* What a quota may bound.  The first three are sums over what runs, or lies, on one satellite. */
enum fleet_bound {
    FLEET_MEMORY, /* bytes */
    FLEET_CPU,    /* permille of a core */
    FLEET_STORE,  /* bytes: packages, and unpacked */
    FLEET_UPLINK, /* bytes to all satellites in one UTC day */
    FLEET_LOGS,   /* bytes of logs that may come down from one satellite in one pass */
    FLEET_BOUNDS
};

/* What a tenant (team "") or one of its teams may have; it counts what its teams have. */
struct fleet_quota {
    char tenant[NAME_CAP];
    char team[TEAM_CAP];
    uint64_t most[FLEET_BOUNDS]; /* 0 = not said: what is above it counts */
    unsigned line[FLEET_BOUNDS]; /* in the file; 0 = not said */
};

/* How a bound is called in the file, and how much it is: "2.0 MiB/day" into out; returns out. */
#define FLEET_BOUND_CAP 40U
const char *fleet_bound_name(enum fleet_bound bound);
char *fleet_bound_text(enum fleet_bound bound, uint64_t value, char out[FLEET_BOUND_CAP]);

struct fleet {
    char name[NAME_CAP];
    char source[64]; /* file name, for messages */
    uint32_t n_satellites;
    uint32_t n_wants;
    uint32_t n_policies;
    uint32_t n_stations;
    uint32_t n_links;
    uint32_t n_tenants;
    uint32_t n_quotas;
    uint32_t wants_max;                /* there is room for */
    struct fleet_satellite *satellite; /* n_satellites of them; in one block with all of this */
    struct fleet_want *want;
    struct fleet_policy policy[FLEET_POLICIES_MAX];
    struct fleet_station station[FLEET_STATIONS_MAX];
    struct fleet_link link[FLEET_LINKS_MAX];
    struct fleet_tenant tenant[TENANTS_MAX];
    struct fleet_quota quota[FLEET_QUOTAS_MAX];
};

/* An empty fleet with room for so many; NULL without memory.  One block: the caller frees it
 * (scoped(free_ptr)). */
struct fleet *fleet_new(uint32_t satellites, uint32_t wants);

/* The same fleet once more, with room for so many wants; NULL without memory. */
struct fleet *fleet_copy(const struct fleet *fleet, uint32_t wants);

/* Read a parsed document.  source is how messages call the file.  RC_YAML with file, line and
 * column.  The caller frees *ret (scoped(free_ptr)). */
must_check enum rc fleet_read(const struct yaml *doc, const char *source, struct fleet **ret,
                              struct err *err);

/* The same from a file. */
must_check enum rc fleet_load(const char *path, struct fleet **ret, struct err *err);

/* The value of a satellite's label; NULL = it has none of that key. */
const char *fleet_label_of(const struct fleet_satellite *satellite, const char *key);

/* The ids of its satellites, numbered as they stand in the file.  End with names_done. */
must_check enum rc fleet_ids(const struct fleet *fleet, struct names *ret, struct err *err);

/* Whether a satellite meets a condition. */
bool fleet_matches(const struct fleet_satellite *satellite, const struct fleet_label *condition);

/* The policy of a payload: its own, the file's default, or the built-in one: a canary, then all. */
const struct fleet_policy *fleet_policy_of(const struct fleet *fleet, const char *tenant,
                                           const char *name);

/* The quota of a tenant or team itself that says this bound, or NULL. */
const struct fleet_quota *fleet_quota_of(const struct fleet *fleet, const char *tenant,
                                         const char *team, enum fleet_bound bound);

/* The whole of it as JSON, which fleet_read reads as the same fleet; a new reference, NULL without
 * memory. */
json_t *fleet_export(const struct fleet *fleet);

/* "tenant/name" to its parts.  False unless both are valid names. */
bool fleet_split(const char *text, char tenant[NAME_CAP], char name[NAME_CAP]);

#endif
