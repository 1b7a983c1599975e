/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/kernfile.h"
#include "sandbox/landlock.h"

#define FD_LISTEN 4
#define FD_PROGRAM 5
#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static_assert(FD_PROGRAM < CHILD_FD_MIN && CHILD_FD_SYNC < FD_LISTEN, "no two are one");

static const struct oci_child *own(const struct child *c)
{
    return (const struct oci_child *)c;
}

/* ---- creator -------------------------------------------------------------------------------- */

static const char *variable(const struct oci_config *config, const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < config->n_env; i++) {
        if (strncmp(config->env[i], name, n) == 0 && config->env[i][n] == '=')
            return config->env[i] + n + 1;
    }
    return NULL;
}

/* Add "/" and n bytes to a text; false if they do not fit. */
static bool add_part(char *out, size_t cap, const char *part, size_t n)
{
    size_t at = strlen(out);

    if (at + n + 2 > cap)
        return false;
    out[at] = '/';
    (void)memcpy(out + at + 1, part, n);
    out[at + 1 + n] = '\0';
    return true;
}

/* What is relative is so to the working directory. */
static bool add_program(struct oci_child *c, const char *dir, size_t n, const char *name)
{
    const char *cwd = n == 0 || dir[0] != '/' ? c->config->cwd : "";

    if (c->n_programs == OCI_PROGRAMS_MAX)
        return false;
    char *out = c->program[c->n_programs++];
    return add_part(out, sizeof c->program[0], cwd, strlen(cwd)) &&
           add_part(out, sizeof c->program[0], dir, n) &&
           add_part(out, sizeof c->program[0], name, strlen(name));
}

/* As a shell looks for it, in the container's own PATH. */
static enum rc list_programs(struct oci_child *c, struct err *err)
{
    const char *name = c->config->args[0];
    const char *path = variable(c->config, "PATH");
    bool fits = true;

    if (strchr(name, '/') != NULL) {
        fits = add_program(c, name[0] == '/' ? "/" : "", name[0] == '/' ? 1 : 0, name);
        return fits ? RC_OK : err_set(err, RC_OCI_FORMAT, "process.args: %.60s", name);
    }
    for (const char *at = path == NULL ? PATH_DEFAULT : path; fits;) {
        size_t n = strcspn(at, ":");

        fits = add_program(c, at, n, name);
        if (at[n] == '\0')
            break;
        at += n + 1;
    }
    return fits ? RC_OK : err_set(err, RC_OCI_FORMAT, "process.env: PATH");
}

static void list_writable(struct oci_child *c)
{
    for (size_t i = 0; i < c->config->n_mounts; i++) {
        const struct oci_mount *m = &c->config->mounts[i];

        if ((m->kind == OCI_MOUNT_TMPFS || m->kind == OCI_MOUNT_BIND ||
             m->kind == OCI_MOUNT_MQUEUE || m->kind == OCI_MOUNT_DEV ||
             m->kind == OCI_MOUNT_DEVPTS) &&
            !m->readonly)
            c->writable[c->n_writable++] = m->path;
    }
}

enum rc oci_child_fill(struct oci_child *c, const char *id, struct err *err)
{
    const struct oci_config *config = c->config;

    for (size_t i = 0; i < config->n_args; i++)
        c->argv[i] = (char *)(uintptr_t)config->args[i];
    for (size_t i = 0; i < config->n_env; i++)
        c->envp[i] = (char *)(uintptr_t)config->env[i];
    for (size_t i = 0; i < config->n_sysctls; i++) {
        int n = snprintf(c->sysctl[i], OCI_SYSCTL_CAP, "/proc/sys/%s", config->sysctls[i].name);

        for (char *at = c->sysctl[i] + 10; n > 0 && *at != '\0'; at++)
            *at = *at == '.' ? '/' : *at;
    }
    (void)snprintf(c->hostname, sizeof c->hostname, "%.64s",
                   config->hostname[0] != '\0' ? config->hostname : id);
    list_writable(c);
    return config->has_process ? list_programs(c, err) : RC_OK;
}

/* ---- steps ---------------------------------------------------------------------------------- */

static int set_sysctls(const struct child *c)
{
    const struct oci_config *config = own(c)->config;

    for (size_t i = 0; i < config->n_sysctls; i++) {
        if (kernfile_put(AT_FDCWD, own(c)->sysctl[i], config->sysctls[i].value) != 0)
            return -1;
    }
    return 0;
}

/* Its own, and all the network there is. */
static int raise_loopback(const struct child *c)
{
    struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    scoped(close_fd) int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    (void)c;
    return sock < 0 ? -1 : ioctl(sock, SIOCSIFFLAGS, &lo);
}

static int attach_tree(const struct child *c)
{
    return oci_tree_attach(own(c)->tree);
}

static int mask_paths(const struct child *c)
{
    return oci_tree_mask(own(c)->tree);
}

static int set_names(const struct child *c)
{
    const char *domain = own(c)->config->domainname;

    if (sethostname(own(c)->hostname, strlen(own(c)->hostname)) != 0)
        return -1;
    return domain[0] == '\0' ? 0 : setdomainname(domain, strlen(domain));
}

static int set_groups(const struct child *c)
{
    const struct oci_config *config = own(c)->config;

    return config->n_gids == 0 ? 0 : (int)syscall(SYS_setgroups, config->n_gids, config->gids);
}

static int bound_capabilities(const struct child *c)
{
    uint64_t keep = own(c)->config->caps[OCI_BOUNDING];

    for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0UL, 0UL, 0UL) >= 0; cap++) {
        if ((keep >> cap & 1U) == 0 && prctl(PR_CAPBSET_DROP, cap, 0UL, 0UL, 0UL) != 0)
            return -1;
    }
    return 0;
}

/* With none to keep, root inside is none either, as in a payload. */
static int lock_bits(const struct child *c)
{
    return own(c)->config->caps[OCI_BOUNDING] != 0 ? 0 : child_lock_securebits(c);
}

static int set_capabilities(const uint64_t caps[OCI_CAP_SETS])
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

    for (unsigned int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        data[i] = (struct __user_cap_data_struct){
            .effective = (uint32_t)(caps[OCI_EFFECTIVE] >> (32 * i)),
            .permitted = (uint32_t)(caps[OCI_PERMITTED] >> (32 * i)),
            .inheritable = (uint32_t)(caps[OCI_INHERITABLE] >> (32 * i)),
        };
    }
    if (syscall(SYS_capset, &head, data) != 0)
        return -1;
    for (unsigned long cap = 0; cap < 64; cap++) {
        if ((caps[OCI_AMBIENT] >> cap & 1U) != 0 &&
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0UL, 0UL) != 0)
            return -1;
    }
    return 0;
}

static int become_user(const struct child *c)
{
    const struct oci_config *config = own(c)->config;

    if (config->caps[OCI_BOUNDING] != 0 && prctl(PR_SET_KEEPCAPS, 1UL, 0UL, 0UL, 0UL) != 0)
        return -1;
    if (syscall(SYS_setresgid, config->gid, config->gid, config->gid) != 0 ||
        syscall(SYS_setresuid, config->uid, config->uid, config->uid) != 0 ||
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0UL, 0UL, 0UL) != 0)
        return -1;
    (void)umask(config->umask);
    return set_capabilities(config->caps);
}

/* Until exec nobody inside may look at it, or at the descriptors it holds. */
static int be_hidden(const struct child *c)
{
    (void)c;
    return prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL);
}

static int confine_files(const struct child *c)
{
    const struct oci_child *o = own(c);

    return landlock_apply_tree(!o->config->root_readonly, o->writable, o->n_writable,
                               c->walls->landlock_abi);
}

static int enter_directory(const struct child *c)
{
    return chdir(own(c)->config->cwd);
}

/* The first that is a file which this user may execute; no link leads out of the root. */
static int find_program(const struct oci_child *o, size_t *ret)
{
    const struct open_how how = { .flags = O_PATH | O_CLOEXEC,
                                  .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
    scoped(close_fd) int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int why = ENOENT;

    for (size_t i = 0; root >= 0 && i < o->n_programs; i++) {
        scoped(close_fd) int fd = (int)syscall(SYS_openat2, root, o->program[i], &how, sizeof how);
        struct stat st;

        if (fd < 0) {
            why = errno == ENOENT || errno == ENOTDIR ? why : errno;
        } else if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
                   syscall(SYS_faccessat2, fd, "", X_OK, AT_EMPTY_PATH | AT_EACCESS) != 0) {
            why = EACCES;
        } else {
            *ret = i;
            return take_fd(&fd);
        }
    }
    errno = why;
    return -1;
}

/* Everything else but the caller's stdin, stdout and stderr is closed at exec; the numbers above
 * the four at once, for the process may wait for long. */
static int keep_few(const struct child *c)
{
    const struct oci_child *o = own(c);
    size_t which = 0;
    scoped(close_fd) int program = o->n_programs == 0 ? -1 : find_program(o, &which);

    if (o->n_programs != 0 && program < 0)
        return -1;
    /* The search had the root open below the program: its number is none of the lower ones. */
    if (dup3(o->listen, FD_LISTEN, O_CLOEXEC) < 0 ||
        (program >= 0 && program != FD_PROGRAM && dup3(program, FD_PROGRAM, O_CLOEXEC) < 0))
        return -1;
    unsigned int first = program < 0 ? FD_PROGRAM : FD_PROGRAM + 1U;
    if (program == FD_PROGRAM)
        (void)take_fd(&program);
    return (int)syscall(SYS_close_range, first, ~0U, 0U);
}

/* Who connects is the channel from now on. */
static int await_start(const struct child *c)
{
    int fd = accept4(FD_LISTEN, NULL, NULL, SOCK_CLOEXEC);

    (void)c;
    if (fd < 0 || dup3(fd, CHILD_FD_SYNC, O_CLOEXEC) < 0 || close(fd) != 0 || close(FD_LISTEN) != 0)
        return -1;
    return child_read_go();
}

/* What has no `process` can be created, and not started. */
static int see_process(const struct child *c)
{
    errno = ENODATA;
    return own(c)->n_programs == 0 ? -1 : 0;
}

/* The container's own filter comes first: ours does not let another one be loaded.  It may make our
 * load fail, and then nothing starts; that it made it nothing but seem done, start would see by the
 * number of filters. */
static int filter_own_calls(const struct child *c)
{
    const struct sock_fprog *filter = &own(c)->filter;

    if (filter->len == 0)
        return 0;
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0U, filter);
}

/* By descriptor; a script cannot be, nor where the container's own filter has no word for it: then
 * by the path at which it was found, and found again. */
static int execute(const struct child *c)
{
    const struct oci_child *o = own(c);
    char *const *argv = o->argv;
    char *const *envp = o->envp;

    (void)syscall(SYS_execveat, FD_PROGRAM, "", argv, envp, AT_EMPTY_PATH);
    if (errno != ENOENT && errno != EPERM && errno != ENOSYS)
        return -1;
    for (size_t i = 0; i < o->n_programs; i++) {
        (void)execve(o->program[i], argv, envp);
        if (errno != ENOENT && errno != ENOTDIR)
            return -1;
    }
    return -1;
}

static const struct child_step steps[] = {
    { "channel", child_take_channel, CHILD_ALWAYS },
    { "wait", child_wait, CHILD_ALWAYS },
    { "memfd-exec", child_forbid_memfd_exec, CHILD_ALWAYS },
    { "inner-root", child_inner_root, CHILD_ALWAYS },
    { "user-counts", child_share_counts, CHILD_ALWAYS },
    { "cgroup-namespace", child_cgroup_namespace, CHILD_ALWAYS },
    { "forbid-namespaces", child_forbid_namespaces, CHILD_ALWAYS },
    { "sysctl", set_sysctls, CHILD_ALWAYS },
    { "loopback", raise_loopback, CHILD_ALWAYS },
    { "root", child_attach_root, CHILD_ALWAYS },
    { "tree", attach_tree, CHILD_ALWAYS },
    { "mask", mask_paths, CHILD_ALWAYS },
    { "pivot", child_pivot, CHILD_ALWAYS },
    { "names", set_names, CHILD_ALWAYS },
    { "session", child_session, CHILD_ALWAYS },
    { "keyring", child_keyring, CHILD_ALWAYS },
    { "groups", set_groups, CHILD_ALWAYS },
    { "bounding-set", bound_capabilities, CHILD_ALWAYS },
    { "securebits", lock_bits, CHILD_ALWAYS },
    { "user", become_user, CHILD_ALWAYS },
    { "hidden", be_hidden, CHILD_ALWAYS },
    { "no-new-privs", child_no_new_privs, CHILD_ALWAYS },
    { "cwd", enter_directory, CHILD_ALWAYS },
    { "program", keep_few, CHILD_ALWAYS },
    { "landlock", confine_files, CHILD_ALWAYS },
    { "signals", child_reset_signals, CHILD_ALWAYS },
    { "created", child_confirm, CHILD_ALWAYS },
    { "start", await_start, CHILD_ALWAYS },
    { "process", see_process, CHILD_ALWAYS },
    { "linux.seccomp", filter_own_calls, CHILD_ALWAYS },
    { "seccomp", child_filter_calls, CHILD_ALWAYS },
    { "confirm", child_confirm, CHILD_ALWAYS },
    { "exec", execute, CHILD_ALWAYS },
};

#define STEPS ((uint32_t)(sizeof steps / sizeof steps[0]))

_Noreturn void oci_child_run(const struct oci_child *c)
{
    child_run_steps(&c->base, steps, STEPS, 0);
    _exit(127); /* not reached: exec does not return without failing */
}

const char *oci_child_step_name(uint32_t step)
{
    return step < STEPS ? steps[step].name : "?";
}
