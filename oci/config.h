/* SPDX-License-Identifier: Apache-2.0
 *
 * oci/config: an OCI bundle's config.json as what a sandbox can do for it.
 *
 * Pure: bytes in, struct oci_config out; no file is opened.  The input is hostile: its size, its
 * depth, every list and every text in it is bounded, a key that comes twice is refused.  What the
 * walls have no room for is either refused, or left out and named in `said`, which is shown to who
 * asked; docs/oci.md lists each with its reason.  Unknown keys are passed over, as the
 * specification wants.
 *
 * Texts are the JSON tree's own: they live until oci_config_done.
 */
#ifndef BERTH_OCI_CONFIG_H
#define BERTH_OCI_CONFIG_H

#include <jansson.h>
#include <sys/types.h>

#include "base/bytes.h"
#include "base/err.h"

#define OCI_CONFIG_MAX (1024U * 1024U) /* bytes of a config.json */
#define OCI_DEPTH_MAX 16U
#define OCI_ARGS_MAX 256U
#define OCI_ENV_MAX 256U
#define OCI_TEXT_MAX 32768U /* bytes of an argument or a variable */
#define OCI_PATH_MAX 1023U
#define OCI_MOUNTS_MAX 48U
#define OCI_PATHS_MAX 64U /* of maskedPaths, and of readonlyPaths */
#define OCI_RLIMITS_MAX 16U
#define OCI_DEVICES_MAX 16U
#define OCI_SYSCTLS_MAX 32U
#define OCI_GIDS_MAX 32U
#define OCI_SAID_MAX 48U
#define OCI_SAID_CAP 160U
#define OCI_HOSTNAME_MAX 64U
#define OCI_MAP_MIN 1000U /* no id of the host's system below this belongs to a container */

/* How a mount is made. */
enum oci_mount_kind {
    OCI_MOUNT_PROC,   /* own processes only */
    OCI_MOUNT_SYSFS,  /* mounted, and every directory in it covered by an empty one */
    OCI_MOUNT_DEV,    /* the tmpfs at /dev, with the nodes there are */
    OCI_MOUNT_TMPFS,  /* empty */
    OCI_MOUNT_DEVPTS, /* its own */
    OCI_MOUNT_MQUEUE, /* of its own ipc namespace */
    OCI_MOUNT_BIND,   /* of the bundle, or where the caller allows */
};

struct oci_mount {
    enum oci_mount_kind kind;
    const char *path;   /* absolute, no "." or ".." in it */
    const char *source; /* as given; "" = none */
    bool readonly;
    bool noexec;
    bool recursive; /* bind: and what is mounted below */
    uint64_t bytes; /* tmpfs: size; 0 = OCI_TMPFS_BYTES */
    uint32_t mode;  /* tmpfs: of its root */
    uint32_t gid;   /* devpts: of a terminal's group, in the container */
};

#define OCI_TMPFS_BYTES (64ULL * 1024U * 1024U)
#define OCI_TMPFS_INODES 65536U

struct oci_rlimit {
    int what; /* RLIMIT_ */
    uint64_t soft, hard;
    bool ours; /* nobody asked for it: what the host has less of is as good */
};

/* A node in /dev; it can be seen, and not opened unless it is one of the five of every sandbox. */
struct oci_device {
    const char *name; /* below /dev, one level */
    mode_t type;      /* S_IFCHR, S_IFBLK or S_IFIFO */
    uint32_t major, minor;
    uint32_t mode; /* permissions */
    uint32_t uid, gid;
};

struct oci_sysctl {
    const char *name; /* with dots */
    const char *value;
};

/* One range of ids, from 0 inside. */
struct oci_map {
    uint32_t host;
    uint32_t count; /* 0 = none given */
};

/* Limits of a control group; -1 (or NULL) = not asked for. */
struct oci_limits {
    int64_t memory, reservation, swappiness, kernel_tcp;
    bool no_oom_kill;
    int64_t shares, quota, period, pids;
    const char *cpus, *mems;
};

/* Sets of capabilities, bit by number; in the order of a receipt (sandbox/wire). */
enum oci_cap_set { OCI_INHERITABLE, OCI_PERMITTED, OCI_EFFECTIVE, OCI_BOUNDING, OCI_AMBIENT };
#define OCI_CAP_SETS 5U

struct oci_config {
    json_t *json;
    const char *version;
    const char *root; /* as given: relative to the bundle, or absolute */
    bool root_readonly;
    const char *hostname; /* "" = the container's own has none */
    const char *domainname;

    bool has_process;
    const char *args[OCI_ARGS_MAX + 1];
    const char *env[OCI_ENV_MAX + 1];
    size_t n_args, n_env;
    const char *cwd;
    uint32_t uid, gid, umask;
    uint32_t gids[OCI_GIDS_MAX];
    size_t n_gids;
    uint64_t caps[OCI_CAP_SETS];
    struct oci_rlimit rlimits[OCI_RLIMITS_MAX];
    size_t n_rlimits;
    int oom_score;

    struct oci_mount mounts[OCI_MOUNTS_MAX];
    size_t n_mounts;
    const char *masked[OCI_PATHS_MAX];
    size_t n_masked;
    const char *readonly[OCI_PATHS_MAX];
    size_t n_readonly;
    struct oci_device devices[OCI_DEVICES_MAX];
    size_t n_devices;
    struct oci_sysctl sysctls[OCI_SYSCTLS_MAX];
    size_t n_sysctls;
    struct oci_map uids, gids_map;
    const char *cgroup; /* "" = none given */
    struct oci_limits limits;
    const json_t *seccomp;     /* linux.seccomp, or NULL */
    const json_t *annotations; /* an object, or NULL */

    char said[OCI_SAID_MAX][OCI_SAID_CAP]; /* what was left out or narrowed, and why */
    size_t n_said;
};

/* Read a config.json.  RC_TOO_LARGE, RC_OCI_FORMAT (err->what names the key), RC_OCI_WANTS. */
must_check enum rc oci_config_read(struct bytes in, struct oci_config *ret, struct err *err);

/* Whether the ranges that it names lie in the one that the caller gives away (count 0 = none); and
 * whether the ids of devices lie in them.  RC_OCI_WANTS, RC_OCI_FORMAT. */
must_check enum rc oci_config_ids(const struct oci_config *config, const struct oci_map *given,
                                  struct err *err);

/* Read BASE:COUNT, decimal: a range to give away.  False for what is none, begins below
 * OCI_MAP_MIN, or has an id of a range that berthd or berth-oci gives by itself. */
bool oci_map_read(const char *text, struct oci_map *ret);

/* Free it: a scope cleaner; safe on a zeroed one. */
void oci_config_done(struct oci_config *config);

/* Whether text is a container's id: [A-Za-z0-9_.+-], 1 to 128, the first a letter or digit. */
bool oci_id_valid(const char *text);

/* Whether text is an absolute path of at most OCI_PATH_MAX bytes without ".", ".." or empty parts;
 * "/" is one. */
bool oci_path_valid(const char *text);

/* Whether a directory's path is another's, or lies below it. */
bool oci_path_within(const char *outer, const char *path);

#endif
