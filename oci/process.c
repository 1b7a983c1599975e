/* SPDX-License-Identifier: Apache-2.0
 *
 * The "process" of a config.json.
 */
#include <assert.h>
#include <linux/capability.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>

#include "oci/parts.h"
#include "oci/words.h"

/* ---- user ----------------------------------------------------------------------------------- */

static enum rc read_uid(const json_t *value, struct oci_config *c, struct err *err)
{
    return oci_u32(value, "process.user.uid", 65535, &c->uid, err);
}

static enum rc read_gid(const json_t *value, struct oci_config *c, struct err *err)
{
    return oci_u32(value, "process.user.gid", 65535, &c->gid, err);
}

static enum rc read_umask(const json_t *value, struct oci_config *c, struct err *err)
{
    return oci_u32(value, "process.user.umask", 0777, &c->umask, err);
}

static enum rc read_gids(const json_t *value, struct oci_config *c, struct err *err)
{
    if (value == NULL || json_is_null(value))
        return RC_OK;
    if (!json_is_array(value) || json_array_size(value) > OCI_GIDS_MAX)
        return err_set(err, RC_OCI_FORMAT, "process.user.additionalGids");
    for (size_t i = 0; i < json_array_size(value); i++) {
        enum rc rc = oci_u32(json_array_get(value, i), "process.user.additionalGids", 65535,
                             &c->gids[i], err);

        if (rc != RC_OK)
            return rc;
    }
    c->n_gids = json_array_size(value);
    return RC_OK;
}

static const struct oci_key user_keys[] = {
    { "uid", read_uid },
    { "gid", read_gid },
    { "umask", read_umask },
    { "additionalGids", read_gids },
};

static enum rc read_user(const json_t *value, struct oci_config *c, struct err *err)
{
    return OCI_KEYS(value, "process.user", user_keys, c, err);
}

/* ---- what runs ------------------------------------------------------------------------------ */

static enum rc read_args(const json_t *value, struct oci_config *c, struct err *err)
{
    enum rc rc =
        oci_texts(value, "process.args", OCI_TEXT_MAX, OCI_ARGS_MAX, c->args, &c->n_args, err);

    if (rc == RC_OK && (c->n_args == 0 || c->args[0][0] == '\0'))
        return err_set(err, RC_OCI_FORMAT, "process.args names no program");
    return rc;
}

static enum rc read_env(const json_t *value, struct oci_config *c, struct err *err)
{
    enum rc rc = oci_texts(value, "process.env", OCI_TEXT_MAX, OCI_ENV_MAX, c->env, &c->n_env, err);

    for (size_t i = 0; rc == RC_OK && i < c->n_env; i++) {
        if (c->env[i][0] == '=' || strchr(c->env[i], '=') == NULL)
            rc = err_set(err, RC_OCI_FORMAT, "process.env: %.64s", c->env[i]);
    }
    return rc;
}

static enum rc read_cwd(const json_t *value, struct oci_config *c, struct err *err)
{
    return oci_path(value, "process.cwd", &c->cwd, err);
}

static enum rc read_oom_score(const json_t *value, struct oci_config *c, struct err *err)
{
    int64_t score = c->oom_score;
    enum rc rc = oci_number(value, "process.oomScoreAdj", -1000, 1000, &score, err);

    if (rc == RC_OK && score < 0) {
        oci_say(c, "process.oomScoreAdj %lld is 0: no container outlives the host's own",
                (long long)score);
        score = 0;
    }
    c->oom_score = (int)score;
    return rc;
}

static enum rc read_no_new_privileges(const json_t *value, struct oci_config *c, struct err *err)
{
    bool asked = false;

    (void)c; /* it is always so; the absence of it is the usual case, and not worth a word */
    return oci_bool(value, "process.noNewPrivileges", &asked, err);
}

static enum rc refuse_terminal(const json_t *value, struct oci_config *c, struct err *err)
{
    bool terminal = false;
    enum rc rc = oci_bool(value, "process.terminal", &terminal, err);

    (void)c;
    return rc == RC_OK && terminal ? err_set(err, RC_OCI_WANTS, "process.terminal") : rc;
}

static enum rc refuse_apparmor(const json_t *value, struct oci_config *c, struct err *err)
{
    (void)c;
    return oci_none(value, "process.apparmorProfile", err);
}

static enum rc refuse_selinux(const json_t *value, struct oci_config *c, struct err *err)
{
    (void)c;
    return oci_none(value, "process.selinuxLabel", err);
}

static enum rc refuse_scheduler(const json_t *value, struct oci_config *c, struct err *err)
{
    (void)c;
    return oci_none(value, "process.scheduler", err);
}

static enum rc refuse_io_priority(const json_t *value, struct oci_config *c, struct err *err)
{
    (void)c;
    return oci_none(value, "process.ioPriority", err);
}

/* ---- capabilities --------------------------------------------------------------------------- */

/* What may be had over the container's own ids, names and ports.  No other is given: most open
 * parts of the kernel that nobody but the host's root sees otherwise. */
static const struct oci_word caps[] = {
    { "CAP_CHOWN", CAP_CHOWN },
    { "CAP_DAC_OVERRIDE", CAP_DAC_OVERRIDE },
    { "CAP_FSETID", CAP_FSETID },
    { "CAP_FOWNER", CAP_FOWNER },
    { "CAP_MKNOD", CAP_MKNOD },
    { "CAP_NET_RAW", CAP_NET_RAW },
    { "CAP_SETGID", CAP_SETGID },
    { "CAP_SETUID", CAP_SETUID },
    { "CAP_SETFCAP", CAP_SETFCAP },
    { "CAP_SETPCAP", CAP_SETPCAP },
    { "CAP_NET_BIND_SERVICE", CAP_NET_BIND_SERVICE },
    { "CAP_SYS_CHROOT", CAP_SYS_CHROOT },
    { "CAP_KILL", CAP_KILL },
    { "CAP_AUDIT_WRITE", CAP_AUDIT_WRITE },
    { NULL, 0 },
};

#define CAP_NAMES_MAX 64U

static enum rc read_set(const json_t *value, const char *key, enum oci_cap_set set,
                        struct oci_config *c, struct err *err)
{
    const char *name[CAP_NAMES_MAX];
    size_t n = 0;
    enum rc rc = oci_texts(value, key, 40, CAP_NAMES_MAX, name, &n, err);

    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        int64_t number;

        if (oci_word(caps, name[i], &number))
            c->caps[set] |= 1ULL << number;
        else if (set == OCI_BOUNDING) /* said once */
            oci_say(c, "%s %s is left out: no container has it", key, name[i]);
    }
    return rc;
}

static enum rc read_capabilities(const json_t *value, struct oci_config *c, struct err *err)
{
    static const struct {
        const char *key;
        enum oci_cap_set set;
    } sets[] = {
        { "bounding", OCI_BOUNDING },       { "permitted", OCI_PERMITTED },
        { "inheritable", OCI_INHERITABLE }, { "effective", OCI_EFFECTIVE },
        { "ambient", OCI_AMBIENT },
    };

    if (value == NULL || json_is_null(value))
        return RC_OK;
    if (!json_is_object(value))
        return err_set(err, RC_OCI_FORMAT, "process.capabilities is no object");
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        enum rc rc =
            read_set(json_object_get(value, sets[i].key), sets[i].key, sets[i].set, c, err);

        if (rc != RC_OK)
            return rc;
    }
    /* The kernel's own rules between the sets: what breaks them would fail at some later step. */
    c->caps[OCI_PERMITTED] &= c->caps[OCI_BOUNDING];
    c->caps[OCI_INHERITABLE] &= c->caps[OCI_BOUNDING];
    c->caps[OCI_EFFECTIVE] &= c->caps[OCI_PERMITTED];
    c->caps[OCI_AMBIENT] &= c->caps[OCI_PERMITTED] & c->caps[OCI_INHERITABLE];
    return RC_OK;
}

/* ---- resource limits ------------------------------------------------------------------------ */

static const struct oci_word limits[] = {
    { "RLIMIT_AS", RLIMIT_AS },
    { "RLIMIT_CORE", RLIMIT_CORE },
    { "RLIMIT_CPU", RLIMIT_CPU },
    { "RLIMIT_DATA", RLIMIT_DATA },
    { "RLIMIT_FSIZE", RLIMIT_FSIZE },
    { "RLIMIT_LOCKS", RLIMIT_LOCKS },
    { "RLIMIT_MEMLOCK", RLIMIT_MEMLOCK },
    { "RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE },
    { "RLIMIT_NICE", RLIMIT_NICE },
    { "RLIMIT_NOFILE", RLIMIT_NOFILE },
    { "RLIMIT_NPROC", RLIMIT_NPROC },
    { "RLIMIT_RSS", RLIMIT_RSS },
    { "RLIMIT_RTPRIO", RLIMIT_RTPRIO },
    { "RLIMIT_RTTIME", RLIMIT_RTTIME },
    { "RLIMIT_STACK", RLIMIT_STACK },
    { "RLIMIT_SIGPENDING", RLIMIT_SIGPENDING },
    { NULL, 0 },
};

/* What is never higher, whoever asks.  CORE is 1: with 0 the kernel still starts a core handler
 * that is a pipe. */
static const struct oci_rlimit ceilings[] = {
    { RLIMIT_CORE, 1, 1, true },          { RLIMIT_MEMLOCK, 65536, 65536, true },
    { RLIMIT_MSGQUEUE, 0, 0, true },      { RLIMIT_SIGPENDING, 256, 256, true },
    { RLIMIT_NICE, 0, 0, true },          { RLIMIT_RTPRIO, 0, 0, true },
    { RLIMIT_NOFILE, 4096, 65536, true }, /* soft is what it is where nothing is asked for */
};

#define CEILINGS (sizeof ceilings / sizeof ceilings[0])

static_assert(CEILINGS <= OCI_RLIMITS_MAX, "there is room for what is always set");

static struct oci_rlimit *find_limit(struct oci_config *c, int what)
{
    for (size_t i = 0; i < c->n_rlimits; i++) {
        if (c->rlimits[i].what == what)
            return &c->rlimits[i];
    }
    return NULL;
}

/* "No limit" is the largest number there is, or -1. */
static enum rc read_limit_value(const json_t *value, uint64_t *ret, struct err *err)
{
    int64_t number = INT64_MIN;
    enum rc rc = oci_number(value, "process.rlimits", -1, INT64_MAX, &number, err);

    if (rc == RC_OK && number == INT64_MIN)
        return err_set(err, RC_OCI_FORMAT, "process.rlimits: soft and hard");
    if (rc == RC_OK)
        *ret = number < 0 || number == INT64_MAX ? UINT64_MAX : (uint64_t)number;
    return rc;
}

static enum rc read_limit(const json_t *value, struct oci_config *c, struct err *err)
{
    const char *name = "";
    struct oci_rlimit limit = { 0 };
    int64_t what;
    enum rc rc = oci_text(json_object_get(value, "type"), "process.rlimits.type", 40, &name, err);

    if (rc == RC_OK && !oci_word(limits, name, &what))
        return err_set(err, RC_OCI_FORMAT, "process.rlimits.type: %.40s", name);
    if (rc == RC_OK)
        rc = read_limit_value(json_object_get(value, "soft"), &limit.soft, err);
    if (rc == RC_OK)
        rc = read_limit_value(json_object_get(value, "hard"), &limit.hard, err);
    if (rc != RC_OK)
        return rc;
    limit.what = (int)what;
    if (limit.soft > limit.hard)
        return err_set(err, RC_OCI_FORMAT, "process.rlimits: soft %.40s above hard", name);
    if (find_limit(c, limit.what) != NULL)
        return err_set(err, RC_OCI_FORMAT, "process.rlimits: %.40s twice", name);
    c->rlimits[c->n_rlimits++] = limit;
    return RC_OK;
}

/* Bring what was asked for below the ceilings, and set those that nobody asked for. */
static void lower_limits(struct oci_config *c)
{
    for (size_t i = 0; i < CEILINGS; i++) {
        struct oci_rlimit *limit = find_limit(c, ceilings[i].what);

        if (limit == NULL) {
            c->rlimits[c->n_rlimits++] = ceilings[i];
            continue;
        }
        if (limit->hard <= ceilings[i].hard)
            continue;
        oci_say(c, "process.rlimits: %s is at most %llu", oci_word_name(limits, limit->what),
                (unsigned long long)ceilings[i].hard);
        limit->hard = ceilings[i].hard;
        limit->soft = limit->soft < limit->hard ? limit->soft : limit->hard;
    }
}

static enum rc read_rlimits(const json_t *value, struct oci_config *c, struct err *err)
{
    return oci_each(value, "process.rlimits", OCI_RLIMITS_MAX - CEILINGS, read_limit, c, err);
}

/* ---- all of it ------------------------------------------------------------------------------ */

static const struct oci_key process_keys[] = {
    { "terminal", refuse_terminal },
    { "user", read_user },
    { "args", read_args },
    { "env", read_env },
    { "cwd", read_cwd },
    { "capabilities", read_capabilities },
    { "rlimits", read_rlimits },
    { "noNewPrivileges", read_no_new_privileges },
    { "apparmorProfile", refuse_apparmor },
    { "selinuxLabel", refuse_selinux },
    { "oomScoreAdj", read_oom_score },
    { "scheduler", refuse_scheduler },
    { "ioPriority", refuse_io_priority },
};

enum rc oci_read_process(const json_t *value, struct oci_config *c, struct err *err)
{
    enum rc rc = OCI_KEYS(value, "process", process_keys, c, err);

    c->has_process = value != NULL && !json_is_null(value);
    lower_limits(c);
    return rc;
}
