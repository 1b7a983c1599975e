/* SPDX-License-Identifier: Apache-2.0
 *
 * Containers from their creation to their end by berth-oci itself, in bundles with busybox.  Needs
 * root.  Every wait is on a state or a file, with a deadline; what is left behind is looked for.
 */
#include "tests/unit/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "oci/cgroup.h"
#include "tests/unit/escape_table.h"

#define WAIT_MS 60000U

static char dir[64];      /* scratch */
static char output[8192]; /* of the last command */
static char path_buf[8][256];

static const char *in_dir(const char *name)
{
    static unsigned int turn;
    char *out = path_buf[turn = (turn + 1) % 8];

    (void)snprintf(out, 256, "%s/%s", dir, name);
    return out;
}

static void write_text(const char *name, const char *text)
{
    int fd = open(in_dir(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    (void)close(fd);
}

static const char *read_text(const char *name)
{
    static char text[4096];
    int fd = open(in_dir(name), O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);

    if (fd >= 0)
        (void)close(fd);
    text[n < 0 ? 0 : n] = '\0';
    return text;
}

/* Start "berth-oci --root DIR/state ...", or the same through "berth oci", with its output in
 * DIR/name. */
static bool by_berth;
static bool with_groups; /* as who calls has those of the host */

static pid_t spawn(const char *name, const char *const *words)
{
    const char *argv[16] = { by_berth ? "oci" : "--root" };
    const char *build = getenv("BERTH_BUILD");
    char program[256];
    size_t n = by_berth ? 1 : 0;

    argv[n++] = "--root";
    argv[n++] = in_dir("state");

    for (; *words != NULL && n < 14; words++)
        argv[n++] = *words;
    (void)snprintf(program, sizeof program, "%s/%s", build != NULL ? build : "build/release",
                   by_berth ? "berth" : "berth-oci");
    pid_t pid = fork();
    if (pid == 0) {
        const gid_t groups[] = { 0, 42 };
        int in = open("/dev/null", O_RDONLY);
        int out = open(in_dir(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

        (void)dup2(in, 0);
        (void)dup2(out, 1);
        (void)dup2(out, 2);
        if (with_groups && setgroups(2, groups) != 0)
            _exit(125);
        const char *whole[17] = { program };

        (void)memcpy(whole + 1, argv, sizeof argv);
        (void)execv(program, (char *const *)(uintptr_t)whole);
        _exit(126);
    }
    assert_true(pid > 0);
    return pid;
}

static int join(pid_t pid)
{
    int status = 0;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static int run_words(const char *const *words)
{
    int code = join(spawn("out", words));

    (void)snprintf(output, sizeof output, "%s", read_text("out"));
    return code;
}

#define oci(...) run_words((const char *const[]){ __VA_ARGS__, NULL })

static const char *build_path(const char *name)
{
    static char path[256];

    (void)snprintf(path, sizeof path, "%s/%s", rig_build(), name);
    return path;
}

static bool is(const char *id, const char *status)
{
    char want[40];

    (void)snprintf(want, sizeof want, "\"status\": \"%s\"", status);
    return oci("state", id) == 0 && strstr(output, want) != NULL;
}

static void await(const char *id, const char *status)
{
    uint64_t until = clock_mono_ms() + WAIT_MS;

    while (!is(id, status)) {
        if (clock_mono_ms() > until)
            fail_msg("%s is never %s: %s", id, status, output);
        (void)poll(NULL, 0, 5);
    }
}

static void await_file(const char *name)
{
    uint64_t until = clock_mono_ms() + WAIT_MS;

    while (access(in_dir(name), F_OK) != 0) {
        assert_true(clock_mono_ms() < until);
        (void)poll(NULL, 0, 5);
    }
}

/* A config.json whose program is a line for the shell. */
static void bundle(const char *shell, const char *top, const char *kernel)
{
    char text[4096];

    (void)snprintf(text, sizeof text,
                   "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\"}%s,"
                   "\"process\":{\"args\":[\"sh\",\"-c\",\"%s\"],\"env\":[\"PATH=/bin\"],"
                   "\"cwd\":\"/\"},\"annotations\":{\"org.test\":\"x\"},"
                   "\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"network\"},"
                   "{\"type\":\"mount\"},{\"type\":\"ipc\"},{\"type\":\"uts\"}]%s}}",
                   top, shell, kernel);
    write_text("bundle/config.json", text);
}

static int create(const char *id)
{
    return oci("create", "--bundle", in_dir("bundle"), id);
}

static unsigned int count(const char *where)
{
    DIR *d = opendir(where);
    unsigned int n = 0;

    if (d == NULL)
        return 0;
    for (const struct dirent *e; (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.' ? 1 : 0;
    (void)closedir(d);
    return n;
}

/* Ranges of ids that belong to the containers of this test: other tests may run. */
static unsigned int ranges(void)
{
    struct stat st;
    char own[64];
    char owner[256];
    unsigned int n = 0;
    DIR *d = opendir("/run/berth-oci.ids");

    if (d == NULL || stat(in_dir("state"), &st) != 0)
        return 0;
    (void)snprintf(own, sizeof own, "%llx:%llx:", (unsigned long long)st.st_dev,
                   (unsigned long long)st.st_ino);
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        ssize_t size = readlinkat(dirfd(d), e->d_name, owner, sizeof owner - 1);

        owner[size < 0 ? 0 : size] = '\0';
        n += strncmp(owner, own, strlen(own)) == 0 ? 1 : 0;
    }
    (void)closedir(d);
    return n;
}

/* Groups by the names that these tests give. */
static void nothing_left(void)
{
    static const char *const trees[] = { "memory", "pids",    "cpu", "devices",
                                         "cpuset", "unified", "." };
    char path[300];

    assert_int_equal(count(in_dir("state")), 0);
    assert_int_equal(ranges(), 0);
    for (size_t i = 0; i < sizeof trees / sizeof trees[0]; i++) {
        (void)snprintf(path, sizeof path, "/sys/fs/cgroup/%s/berth-oci-test-%d", trees[i],
                       getpid());
        if (access(path, F_OK) == 0)
            fail_msg("left: %s", path);
    }
}

static const char *group_at(const char *name, const char *more)
{
    static char text[600];

    (void)snprintf(text, sizeof text, ",\"cgroupsPath\":\"/berth-oci-test-%d/%s\"%s", getpid(),
                   name, more);
    return text;
}

static const char *group(const char *more)
{
    return group_at("a", more);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void test_life(void **state)
{
    (void)state;
    bundle("cat /proc/self/status >/seen; id >>/seen; mount >>/seen 2>&1; echo hello; exit 3", "",
           group(""));
    (void)unlink(in_dir("bundle/rootfs/seen"));
    assert_int_equal(oci("create", "--bundle", in_dir("bundle"), "--pid-file", in_dir("pid"), "c"),
                     0);
    assert_true(is("c", "created"));
    assert_non_null(strstr(output, "\"org.test\": \"x\""));
    assert_non_null(strstr(output, read_text("pid")));
    assert_int_equal(access(in_dir("bundle/rootfs/seen"), F_OK), -1); /* nothing of it runs yet */
    assert_int_not_equal(create("c"), 0);                             /* the id is taken */
    assert_int_not_equal(oci("delete", "c"), 0);
    assert_true(is("c", "created"));
    /* What is changed now changes nothing. */
    write_text("bundle/config.json", "{}");
    assert_int_equal(oci("start", "c"), 0);
    await("c", "stopped");
    assert_null(strstr(output, "\"pid\""));
    assert_int_not_equal(oci("start", "c"), 0);
    assert_int_not_equal(oci("kill", "c", "TERM"), 0);
    const char *seen = read_text("bundle/rootfs/seen");
    assert_non_null(strstr(seen, "NoNewPrivs:\t1"));
    assert_non_null(strstr(seen, "Seccomp:\t2"));
    assert_non_null(strstr(seen, "CapBnd:\t0000000000000000"));
    assert_non_null(strstr(seen, "uid=0"));
    assert_int_equal(oci("delete", "c"), 0);
    assert_int_not_equal(oci("state", "c"), 0);
    assert_int_not_equal(oci("delete", "c"), 0);
    nothing_left();
}

/* Without `process` there is nothing to start; what waits holds nothing of the host open. */
static void test_no_process(void **state)
{
    char text[800];
    char path[64];

    (void)state;
    (void)snprintf(text, sizeof text,
                   "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\"},"
                   "\"linux\":{\"namespaces\":[{\"type\":\"pid\"}]%s}}",
                   group(""));
    write_text("bundle/config.json", text);
    assert_int_equal(oci("create", "--bundle", in_dir("bundle"), "--pid-file", in_dir("pid"), "c"),
                     0);
    (void)snprintf(path, sizeof path, "/proc/%.20s/fd", read_text("pid"));
    assert_int_equal(count(path), 5); /* three streams, the channel, where it waits */
    assert_int_not_equal(oci("start", "c"), 0);
    assert_non_null(strstr(output, "process"));
    await("c", "stopped");
    assert_int_equal(oci("delete", "c"), 0);
    nothing_left();
}

static void test_kill(void **state)
{
    (void)state;
    bundle("trap 'touch /termed; exit 0' TERM; touch /ready; while true; do sleep 1 & wait; done",
           "", group(""));
    (void)unlink(in_dir("bundle/rootfs/ready"));
    (void)unlink(in_dir("bundle/rootfs/termed"));
    assert_int_equal(create("k"), 0);
    assert_int_equal(oci("start", "k"), 0);
    await_file("bundle/rootfs/ready");
    assert_true(is("k", "running"));
    assert_int_not_equal(oci("delete", "k"), 0);
    assert_int_not_equal(oci("kill", "k", "NONE"), 0);
    assert_int_equal(oci("kill", "k"), 0);
    await("k", "stopped");
    assert_int_equal(access(in_dir("bundle/rootfs/termed"), F_OK), 0);
    assert_int_equal(oci("delete", "k"), 0);

    /* A tree that does not want to end, and a created one that never ran. */
    bundle("trap '' TERM; sh -c 'trap \\\"\\\" TERM; sleep 1000' & sleep 1000", "", group(""));
    assert_int_equal(create("k"), 0);
    assert_int_equal(oci("start", "k"), 0);
    assert_int_equal(oci("delete", "--force", "k"), 0);
    assert_int_equal(create("k"), 0);
    assert_int_equal(oci("kill", "k", "KILL"), 0);
    await("k", "stopped");
    assert_int_equal(oci("delete", "k"), 0);
    nothing_left();
}

/* Of many that start the same container one does; none is left when two delete it. */
static void test_races(void **state)
{
    enum { MANY = 6 };
    pid_t pid[MANY];
    char name[16];
    int good = 0;

    (void)state;
    bundle("echo x >>/times; sleep 1000", "", group(""));
    (void)unlink(in_dir("bundle/rootfs/times"));
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof name, "out%d", i);
        pid[i] =
            spawn(name, (const char *const[]){ "create", "--bundle", in_dir("bundle"), "r", NULL });
    }
    for (int i = 0; i < MANY; i++)
        good += join(pid[i]) == 0 ? 1 : 0;
    assert_int_equal(good, 1);
    good = 0;
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof name, "out%d", i);
        pid[i] = spawn(name, (const char *const[]){ "start", "r", NULL });
    }
    for (int i = 0; i < MANY; i++)
        good += join(pid[i]) == 0 ? 1 : 0;
    assert_int_equal(good, 1);
    await_file("bundle/rootfs/times");
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof name, "out%d", i);
        pid[i] = spawn(name, i % 2 == 0 ? (const char *const[]){ "kill", "r", "KILL", NULL }
                                        : (const char *const[]){ "delete", "--force", "r", NULL });
    }
    for (int i = 0; i < MANY; i++)
        (void)join(pid[i]);
    assert_int_not_equal(oci("state", "r"), 0);
    assert_string_equal(read_text("bundle/rootfs/times"), "x\n");
    nothing_left();
}

/* A creator that is killed at any moment leaves what delete finds, and nothing else. */
static void test_killed_creator(void **state)
{
    int created = 0;

    (void)state;
    bundle("sleep 1000", "", group(""));
    for (int i = 0; i < 60; i++) {
        const struct timespec moment = { .tv_nsec = i * 2000000L };
        pid_t pid = spawn(
            "out", (const char *const[]){ "create", "--bundle", in_dir("bundle"), "x", NULL });

        (void)nanosleep(&moment, NULL);
        (void)kill(pid, SIGKILL);
        (void)join(pid);
        created += is("x", "created") ? 1 : 0;
        if (access(in_dir("state/x"), F_OK) == 0)
            assert_int_equal(oci("delete", "--force", "x"), 0);
        nothing_left();
        /* The same place can be had again. */
    }
    assert_int_equal(create("x"), 0);
    assert_int_equal(oci("delete", "--force", "x"), 0);
    assert_true(created < 60);
    nothing_left();
}

static void refused(const char *why, const char *part)
{
    if (create("no") == 0 || strstr(output, part) == NULL)
        fail_msg("%s: %s", why, output);
    nothing_left();
}

static void test_hostile_bundles(void **state)
{
    (void)state;
    /* A root that is a link, or leads out by one, or above. */
    assert_int_equal(symlink("/", in_dir("bundle/link")), 0);
    write_text("bundle/config.json", "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"link\"}}");
    refused("linked root", "root.path");
    write_text("bundle/config.json", "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"link/etc\"}}");
    refused("root below a link", "root.path");
    write_text("bundle/config.json", "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"../..\"}}");
    refused("root above", "root.path");
    write_text("bundle/config.json", "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"/\"}}");
    refused("the host as root", "of the host");
    write_text("bundle/config.json", "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"/etc\"}}");
    refused("a directory of the host as root", "of the host");
    /* Mount points behind links of the root file system. */
    assert_int_equal(symlink("/tmp", in_dir("bundle/rootfs/escape")), 0);
    bundle("true", ",\"mounts\":[{\"destination\":\"/escape/x\",\"type\":\"tmpfs\"}]", group(""));
    refused("mount point behind a link", "mount at");
    assert_int_equal(access("/tmp/x", F_OK), -1);
    /* What is bound from elsewhere, and through a link of the bundle. */
    bundle("true",
           ",\"mounts\":[{\"destination\":\"/x\",\"source\":\"/etc\",\"options\":[\"bind\"]}]",
           group(""));
    refused("bind of the host", "of the host");
    char mounts[400];
    (void)snprintf(mounts, sizeof mounts,
                   ",\"mounts\":[{\"destination\":\"/x\",\"source\":\"%s\","
                   "\"options\":[\"bind\"]}]",
                   in_dir("bundle/link/etc"));
    bundle("true", mounts, group(""));
    refused("bind through a link", "bind");
    /* A mask that is a link; a program that is not there; a hook. */
    bundle("true", "", group(",\"maskedPaths\":[\"/escape\"]"));
    refused("mask of a link", "mask");
    write_text("bundle/config.json", "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\"},"
                                     "\"process\":{\"args\":[\"nothing\"],\"cwd\":\"/\"}}");
    refused("no such program", "program");
    bundle("true", ",\"hooks\":{\"prestart\":[{\"path\":\"/bin/true\"}]}", group(""));
    refused("hook", "hooks");
    assert_int_not_equal(oci("create", "--bundle", in_dir("bundle"), "../x"), 0);
    assert_int_not_equal(oci("state", ".."), 0);
    assert_int_not_equal(oci("state"), 0);
    (void)unlink(in_dir("bundle/rootfs/escape"));
}

/* What a file of the group of group() says, which lies in a hierarchy of its own on v1. */
static const char *in_group(const char *tree, const char *file)
{
    static char text[64];
    char path[200];
    ssize_t n = 0;

    (void)snprintf(path, sizeof path, "/sys/fs/cgroup/%s/berth-oci-test-%d/a/%s", tree, getpid(),
                   file);
    if (access(path, F_OK) != 0)
        (void)snprintf(path, sizeof path, "/sys/fs/cgroup/berth-oci-test-%d/a/%s", getpid(), file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    n = read(fd, text, sizeof text - 1);
    (void)close(fd);
    text[n < 0 ? 0 : n] = '\0';
    return text;
}

static bool has_cpusets(void)
{
    return access("/sys/fs/cgroup/cpuset/cpuset.cpus", F_OK) == 0 ||
           access("/sys/fs/cgroup/cpuset.cpus.effective", F_OK) == 0;
}

/* Limits are set where the config.json says; a group that is there is not touched.
 * The kernel says a list of cpus in its own words. */
static void test_group(void **state)
{
    (void)state;
    bundle("sleep 1000", "",
           group(has_cpusets()
                     ? ",\"resources\":{\"pids\":{\"limit\":17},\"cpu\":{\"cpus\":\"0-0\","
                       "\"mems\":\"0,0-0\"}}"
                     : ",\"resources\":{\"pids\":{\"limit\":17}}"));
    assert_int_equal(create("g"), 0);
    bundle("true", "", group(""));
    assert_int_not_equal(create("h"), 0);
    assert_non_null(strstr(output, "BUSY"));
    assert_true(is("g", "created"));
    assert_string_equal(in_group("pids", "pids.max"), "17\n");
    if (has_cpusets()) {
        assert_string_equal(in_group("cpuset", "cpuset.cpus"), "0\n");
        assert_string_equal(in_group("cpuset", "cpuset.mems"), "0\n");
    }
    assert_int_equal(oci("delete", "--force", "g"), 0);
    nothing_left();
}

/* Devices can be seen and not opened; masked files are empty; nothing of the host is in sysfs; the
 * container's own filter takes calls away. */
static void test_inside(void **state)
{
    (void)state;
    (void)unlink(in_dir("bundle/rootfs/seen"));
    write_text("bundle/rootfs/secret", "secret\n");
    bundle("exec >/seen 2>&1; test -b /dev/disk && echo node; cat /dev/disk; cat /secret; "
           "find /sys -type f | head -3; find /sys -mindepth 1 | grep -c .; hostname; "
           "mkdir /sub; echo x >/ro/file || echo readonly; ls /proc/sys",
           ",\"hostname\":\"inner\",\"mounts\":[{\"destination\":\"/sys\",\"type\":\"sysfs\"}]",
           group(",\"maskedPaths\":[\"/secret\"],\"readonlyPaths\":[\"/ro\"],"
                 "\"devices\":[{\"path\":\"/dev/disk\",\"type\":\"b\",\"major\":7,\"minor\":0}],"
                 "\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":"
                 "[\"mkdir\",\"mkdirat\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":28}]}"));
    (void)mkdir(in_dir("bundle/rootfs/ro"), 0777);
    assert_int_equal(create("i"), 0);
    assert_non_null(strstr(output, "can be seen, and not opened"));
    assert_int_equal(oci("start", "i"), 0);
    await("i", "stopped");
    const char *seen = read_text("bundle/rootfs/seen");
    assert_non_null(strstr(seen, "node\n"));
    assert_non_null(strstr(seen, "can't open '/dev/disk': Operation not permitted"));
    assert_null(strstr(seen, "secret\n"));
    assert_null(strstr(seen, "/sys/"));
    assert_non_null(strstr(seen, "inner\n"));
    assert_non_null(strstr(seen, "No space left on device"));
    assert_non_null(strstr(seen, "readonly\n"));
    assert_non_null(strstr(seen, "/proc/sys: No such file"));
    assert_int_equal(oci("delete", "i"), 0);
    nothing_left();
}

static const char *filter(const char *fallback, const char *name, const char *rule)
{
    static char text[400];

    (void)snprintf(text, sizeof text,
                   ",\"seccomp\":{\"defaultAction\":%s,\"syscalls\":[{\"names\":[\"%s\"],"
                   "\"action\":%s}]}",
                   fallback, name, rule);
    return group(text);
}

/* A call that seems done and is not would be the loading of our own filter. */
static void test_own_filter(void **state)
{
    static const char *const names[] = { "seccomp", "prctl", "exit" };
    static const char allow[] = "\"SCMP_ACT_ALLOW\"";
    static const char fail[] = "\"SCMP_ACT_ERRNO\",\"errnoRet\":1";

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        bundle("true", "", filter(allow, names[i], "\"SCMP_ACT_ERRNO\",\"errnoRet\":0"));
        refused(names[i], "errnoRet 0 (OCI_WANTS");
        bundle("true", "", filter(allow, names[i], "\"SCMP_ACT_TRACE\",\"errnoRet\":0"));
        refused(names[i], "SCMP_ACT_TRACE (OCI_WANTS");
        bundle("true", "", filter(allow, names[i], "\"SCMP_ACT_NOTIFY\""));
        refused(names[i], "SCMP_ACT_NOTIFY (OCI_WANTS");
        bundle("true", "", filter("\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":0", names[i], allow));
        refused(names[i], "defaultErrnoRet 0 (OCI_WANTS");
        /* With an error number it is denied, and that is all. */
        bundle("grep Seccomp_filters: /proc/self/status >/seen", "", filter(allow, names[i], fail));
        assert_int_equal(create("f"), 0);
        assert_int_equal(oci("start", "f") == 0, i != 0);
        if (i == 0)
            assert_non_null(strstr(output, "seccomp: Operation not permitted"));
        assert_int_equal(oci("delete", "--force", "f"), 0);
        nothing_left();
    }
}

/* What the caller may read by his groups, the container may not. */
static void test_groups(void **state)
{
    static const char run[] = "exec >/seen 2>&1; grep Groups: /proc/self/status; cat /vault/open; "
                              "cat /vault/root; cat /vault/shadow";
    char mounts[400];

    (void)state;
    (void)mkdir(in_dir("bundle/vault"), 0755);
    write_text("bundle/vault/open", "for all\n");
    write_text("bundle/vault/root", "of root\n");
    write_text("bundle/vault/shadow", "of shadow\n");
    assert_int_equal(chmod(in_dir("bundle/vault/root"), 0640), 0);
    assert_int_equal(chown(in_dir("bundle/vault/shadow"), 0, 42), 0);
    assert_int_equal(chmod(in_dir("bundle/vault/shadow"), 0640), 0);
    (void)snprintf(mounts, sizeof mounts,
                   ",\"mounts\":[{\"destination\":\"/proc\",\"type\":\"proc\"},"
                   "{\"destination\":\"/vault\",\"source\":\"%s\",\"options\":[\"bind\"]}]",
                   in_dir("bundle/vault"));
    bundle(run, mounts, group(""));
    (void)unlink(in_dir("bundle/rootfs/seen"));
    with_groups = true;
    assert_int_equal(create("f"), 0);
    with_groups = false;
    assert_int_equal(oci("start", "f"), 0);
    await("f", "stopped");
    const char *seen = read_text("bundle/rootfs/seen");
    assert_non_null(strstr(seen, "Groups:\t \n"));
    assert_non_null(strstr(seen, "for all\n"));
    assert_null(strstr(seen, "of root\n"));
    assert_null(strstr(seen, "of shadow\n"));
    assert_int_equal(oci("delete", "f"), 0);
    nothing_left();
}

/* Where a group lies in a hierarchy; false: there is no such hierarchy. */
static bool other_group(const char *tree, const char *name, char out[300])
{
    (void)snprintf(out, 300, "/sys/fs/cgroup/%s/cgroup.procs", tree);
    if (access(out, F_OK) != 0)
        return false;
    (void)snprintf(out, 300, "/sys/fs/cgroup/%s/%s", tree, name);
    return true;
}

/* A path begins with nobody else's group, in whichever hierarchy that is there: nothing of it is
 * touched, and in the others nothing is left. */
static void test_others_group(void **state)
{
    static const char *const trees[] = { "memory", "pids", "cpu", "cpuset", "unified", "." };
    unsigned int tried = 0;
    char name[64];
    char path[300];

    (void)state;
    (void)snprintf(name, sizeof name, "berth-oci-test-%d", getpid());
    bundle("true", "", group(""));
    for (size_t i = 0; i < sizeof trees / sizeof trees[0]; i++) {
        if (!other_group(trees[i], name, path))
            continue;
        assert_int_equal(mkdir(path, 0755), 0);
        assert_int_not_equal(create("no"), 0);
        assert_non_null(strstr(output, "is there already (BUSY"));
        assert_int_equal(rmdir(path), 0); /* still there, and empty */
        nothing_left();
        tried++;
    }
    assert_true(tried > 0);
}

static bool group_has_processes(const char *name)
{
    static const char *const trees[] = { "pids/", "" };
    char path[300];
    char line[32] = "";

    for (size_t i = 0; i < sizeof trees / sizeof trees[0] && line[0] == '\0'; i++) {
        (void)snprintf(path, sizeof path, "/sys/fs/cgroup/%sberth-oci-test-%d/%s/cgroup.procs",
                       trees[i], getpid(), name);
        FILE *f = fopen(path, "re");
        if (f == NULL)
            continue;
        (void)!fgets(line, sizeof line, f);
        (void)fclose(f);
    }
    return line[0] != '\0';
}

static void start_at(const char *id, const char *name)
{
    bundle("while true; do sleep 1 & wait; done", "", group_at(name, ""));
    assert_int_equal(create(id), 0);
    assert_int_equal(oci("start", id), 0);
    assert_true(group_has_processes(name));
}

/* Containers that run at the same time below one parent: each has its own group, the end of one is
 * nothing to the others, and the parent goes with the last. */
static void test_one_parent(void **state)
{
    static const char *const ids[] = { "a", "b", "c" };

    (void)state;
    for (unsigned int first = 0; first < 3; first++) {
        start_at("a", "a");
        start_at("b", "b");
        start_at("c", "deep/c"); /* a level of its own between */
        bundle("true", "", group_at("a", ""));
        assert_int_not_equal(create("no"), 0); /* but no two have one group */
        assert_non_null(strstr(output, "is there already (BUSY"));
        bundle("true", "", group_at("a/below", ""));
        assert_int_not_equal(create("no"), 0); /* nor lies in another's */
        assert_non_null(strstr(output, "is there already (BUSY"));
        for (unsigned int i = 0; i < 3; i++) {
            assert_int_equal(oci("delete", "--force", ids[(first + i) % 3]), 0);
            for (unsigned int k = i + 1; k < 3; k++) {
                const char *id = ids[(first + k) % 3];

                assert_true(is(id, "running"));
                assert_true(group_has_processes(*id == 'c' ? "deep/c" : id));
            }
        }
        nothing_left();
    }
}

/* A bundle of its own below the scratch directory, whose group lies beside that of the others. */
static void bundle_of(const char *id, char name[16])
{
    char path[64];

    (void)snprintf(name, 16, "bundle-%s", id);
    (void)snprintf(path, sizeof path, "%s/rootfs/bin/sh", name);
    if (access(in_dir(name), F_OK) != 0) {
        assert_int_equal(mkdir(in_dir(name), 0755), 0);
        for (char *at = strchr(path, '/'); (at = strchr(at + 1, '/')) != NULL; *at = '/') {
            *at = '\0';
            assert_int_equal(mkdir(in_dir(path), 0755), 0);
        }
        rig_copy(in_dir("bundle/rootfs/bin/busybox"), in_dir(path), 0755);
    }
    bundle("true", "", group_at(id, ""));
    (void)snprintf(path, sizeof path, "%s/config.json", name);
    assert_int_equal(rename(in_dir("bundle/config.json"), in_dir(path)), 0);
}

static void join_all(const pid_t pid[3], const char *const outs[3])
{
    for (unsigned int i = 0; i < 3; i++) {
        if (join(pid[i]) != 0)
            fail_msg("%s: %s", outs[i], read_text(outs[i]));
    }
}

/* They may come and go in the same moment. */
static void test_one_parent_at_once(void **state)
{
    static const char *const outs[] = { "out-a", "out-b", "out-c" };
    static const char *const ids[] = { "a", "b", "c" };
    pid_t pid[3];
    char name[3][16];

    (void)state;
    for (unsigned int i = 0; i < 3; i++)
        bundle_of(ids[i], name[i]);
    for (int round = 0; round < 6; round++) {
        for (unsigned int i = 0; i < 3; i++)
            pid[i] = spawn(outs[i], (const char *const[]){ "create", "--bundle", in_dir(name[i]),
                                                           ids[i], NULL });
        join_all(pid, outs);
        for (unsigned int i = 0; i < 3; i++)
            pid[i] = spawn(outs[i], (const char *const[]){ "delete", "--force", ids[i], NULL });
        join_all(pid, outs);
        nothing_left();
    }
}

/* Whether it waits for one thing: not for a lock. */
static bool waits_for_process(pid_t pid)
{
    char path[64];
    long nr = -1;
    unsigned long first = 0;
    unsigned long n = 0;

    (void)snprintf(path, sizeof path, "/proc/%d/syscall", pid);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return false;
    (void)!fscanf(f, "%ld %lx %lx", &nr, &first, &n);
    (void)fclose(f);
    return nr == SYS_poll && n == 1;
}

/* One try.  False: this machine was so slow that the program counts as one that will set no handler
 * any more. */
static bool try_early_signal(void)
{
    int status = 0;

    (void)unlink(in_dir("bundle/rootfs/go"));
    (void)unlink(in_dir("bundle/rootfs/got"));
    assert_int_equal(create("h"), 0);
    uint64_t began_ms = clock_mono_ms();
    assert_int_equal(oci("start", "h"), 0);
    pid_t killer = spawn("killed", (const char *const[]){ "kill", "h", "USR1", NULL });
    pid_t ended = 0;

    while (ended == 0 && !waits_for_process(killer)) {
        ended = waitpid(killer, &status, WNOHANG);
        (void)sched_yield();
    }
    if (ended == 0) {
        assert_true(is("h", "running")); /* it can be asked for meanwhile */
        write_text("bundle/rootfs/go", "");
        assert_int_equal(join(killer), 0);
    }
    if (ended == killer || clock_mono_ms() - began_ms > 9000) {
        assert_int_equal(oci("delete", "--force", "h"), 0);
        return false;
    }
    await("h", "stopped");
    assert_int_equal(access(in_dir("bundle/rootfs/got"), F_OK), 0);
    assert_int_equal(oci("delete", "h"), 0);
    return true;
}

/* A signal that comes before a program has set its handler is not lost: process 1 has no default
 * action for it. */
static void test_early_signal(void **state)
{
    uint64_t until = clock_mono_ms() + WAIT_MS;

    (void)state;
    bundle("while [ ! -e /go ]; do :; done; trap 'touch /got; exit 0' USR1; "
           "while true; do sleep 1 & wait; done",
           "", group(""));
    while (!try_early_signal())
        assert_true(clock_mono_ms() < until);
    nothing_left();
}

/* Who loses the race for a group takes nothing of the winner's away, and leaves nothing. */
static void test_lost_race(void **state)
{
    static const char *const trees[] = { "memory", "pids", "cpu", "cpuset", "unified", "." };
    const struct oci_limits none = { .memory = -1,
                                     .reservation = -1,
                                     .swappiness = -1,
                                     .kernel_tcp = -1,
                                     .shares = -1,
                                     .quota = -1,
                                     .period = -1,
                                     .pids = -1 };
    struct oci_cgroup made = OCI_CGROUP_NONE;
    unsigned int tried = 0;
    char name[64];
    char path[300];
    struct err err = { 0 };

    (void)state;
    (void)snprintf(name, sizeof name, "berth-oci-test-%d", getpid());
    for (size_t i = 0; i < sizeof trees / sizeof trees[0]; i++) {
        if (!other_group(trees[i], name, path))
            continue;
        assert_int_equal(mkdir(path, 0755), 0);
        assert_rc(oci_cgroup_make(name, &none, &made, &err), RC_BUSY);
        assert_int_equal(rmdir(path), 0);
        nothing_left();
        tried++;
    }
    assert_true(tried > 0);
    assert_rc(oci_cgroup_make(name, &none, &made, &err), RC_OK);
    assert_rc(oci_cgroup_remove(&made, name, clock_mono_ms() + WAIT_MS, &err), RC_OK);
    oci_cgroup_close(&made);
    nothing_left();
}

/* Only the caller gives ids of the host away. */
static void test_ids(void **state)
{
    static const char maps[] = ",\"uidMappings\":[{\"containerID\":0,\"hostID\":4321,\"size\":10}],"
                               "\"gidMappings\":[{\"containerID\":0,\"hostID\":4321,\"size\":10}]";
    char mounts[400];

    (void)state;
    (void)mkdir(in_dir("bundle/owned"), 0755);
    write_text("bundle/owned/file", "of 4321\n");
    assert_int_equal(chown(in_dir("bundle/owned/file"), 4321, 4321), 0);
    assert_int_equal(chmod(in_dir("bundle/owned/file"), 0600), 0);
    (void)snprintf(mounts, sizeof mounts,
                   ",\"mounts\":[{\"destination\":\"/owned\",\"source\":\"%s\","
                   "\"options\":[\"bind\"]},{\"destination\":\"/tmp\",\"type\":\"tmpfs\"}]",
                   in_dir("bundle/owned"));
    bundle("exec >/owned/out; cat /owned/file", mounts, group(maps));
    write_text("bundle/owned/out", "");
    assert_int_equal(chmod(in_dir("bundle/owned/out"), 0666), 0);
    refused("a range of the host", "linux.uidMappings");
    assert_int_not_equal(oci("--ids", "5000:10", "create", "--bundle", in_dir("bundle"), "no"), 0);
    assert_non_null(strstr(output, "linux.uidMappings"));
    assert_int_not_equal(oci("--ids", "600000:10", "create", "--bundle", in_dir("bundle"), "no"),
                         0);
    assert_non_null(strstr(output, "--ids (USAGE"));
    assert_int_equal(oci("--ids", "4000:1000", "create", "--bundle", in_dir("bundle"), "f"), 0);
    assert_int_equal(oci("start", "f"), 0);
    await("f", "stopped");
    assert_string_equal(read_text("bundle/owned/out"), "of 4321\n");
    assert_int_equal(oci("delete", "f"), 0);
    nothing_left();
}

/* A filter less than the record wants, and the start is refused. */
static void test_filters_counted(void **state)
{
    static char record[4096];
    char wrong[16];

    (void)state;
    bundle("touch /ran", "", group(""));
    (void)unlink(in_dir("bundle/rootfs/ran"));
    assert_int_equal(create("f"), 0);
    (void)snprintf(record, sizeof record, "%s", read_text("state/f/state.json"));
    char *at = strstr(record, "\"filters\":");
    assert_non_null(at);
    at += strlen("\"filters\":");
    (void)snprintf(wrong, sizeof wrong, "%c", *at + 1);
    assert_in_range(*at, '2', '8');
    *at = wrong[0];
    write_text("state/f/state.json", record);
    assert_int_not_equal(oci("start", "f"), 0);
    assert_non_null(strstr(output, "filters of system calls"));
    assert_int_equal(access(in_dir("bundle/rootfs/ran"), F_OK), -1);
    assert_int_equal(oci("delete", "--force", "f"), 0);
    nothing_left();
}

/* ---- the attacks of tests/probe/escape, as root with every capability that a container has ----
 */

/* How it differs from a payload, and that it may. */
static const struct {
    const char *name;
    const char *how;
    const char *why;
} otherwise[] = {
    { "own-exe-write", "ETXTBSY", "read-only all the same: the kernel names what it sees first" },
    { "own-exe-by-descriptor", "ETXTBSY", "the same" },
    { "write-program", "ETXTBSY", "the same" },
    { "init-exe-write", "ETXTBSY", "process 1 is the program itself" },
    { "look-into-init", "through", "the same" },
    { "swap-dev-pts", "EPERM", "there are terminals' names, and no call to mount with" },
    { "exec-setuid", "ECHILD", "this root file system has none packed" },
    { "exec-filecap", "ECHILD", "the same" },
    { "packed-block-device", "ENOENT", "the same" },
    { "packed-dev-mem", "ENOENT", "the same" },
    { "exec-as-root", "through", "it finds the 14 capabilities that were asked for" },
    { "become-any", "through", "SETUID, inside its own range" },
};

static bool as_wanted(const struct row *row)
{
    for (size_t i = 0; i < sizeof otherwise / sizeof otherwise[0]; i++) {
        if (strcmp(row->name, otherwise[i].name) == 0 &&
            strcmp(row->got[COLUMN_GRANTED], otherwise[i].how) == 0)
            return true;
    }
    return table_check(row, COLUMN_GRANTED);
}

static void write_attack(pid_t victim)
{
    static const char caps[] =
        "[\"CAP_CHOWN\",\"CAP_DAC_OVERRIDE\",\"CAP_FSETID\",\"CAP_FOWNER\",\"CAP_MKNOD\","
        "\"CAP_NET_RAW\",\"CAP_SETGID\",\"CAP_SETUID\",\"CAP_SETFCAP\",\"CAP_SETPCAP\","
        "\"CAP_NET_BIND_SERVICE\",\"CAP_SYS_CHROOT\",\"CAP_KILL\",\"CAP_AUDIT_WRITE\"]";
    static char text[8192];

    (void)snprintf(
        text, sizeof text,
        "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\",\"readonly\":true},"
        "\"hostname\":\"probe\",\"process\":{\"args\":[\"/bin/probe\",\"all\",\"host=%d\","
        "\"victim=%d\",\"uid=600000\",\"abstract=test-oci-none\",\"path=%s\",\"secret=%s\","
        "\"data=/data\"],\"cwd\":\"/\",\"env\":[\"PATH=/bin\"],\"capabilities\":{"
        "\"bounding\":%s,\"effective\":%s,\"permitted\":%s,\"inheritable\":%s,\"ambient\":%s},"
        "\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"soft\":1024,\"hard\":1024}]},"
        "\"mounts\":[{\"destination\":\"/proc\",\"type\":\"proc\"},"
        "{\"destination\":\"/dev\",\"type\":\"tmpfs\"},"
        "{\"destination\":\"/dev/pts\",\"type\":\"devpts\"},"
        "{\"destination\":\"/dev/shm\",\"type\":\"tmpfs\",\"options\":[\"size=4m\"]},"
        "{\"destination\":\"/dev/mqueue\",\"type\":\"mqueue\"},"
        "{\"destination\":\"/sys\",\"type\":\"sysfs\"},"
        "{\"destination\":\"/tmp\",\"type\":\"tmpfs\",\"options\":[\"size=4m\",\"noexec\"]},"
        "{\"destination\":\"/run\",\"type\":\"tmpfs\",\"options\":[\"size=256k\",\"noexec\"]},"
        "{\"destination\":\"/data\",\"type\":\"tmpfs\",\"options\":[\"size=16m\",\"noexec\"]}],"
        "\"linux\":{\"resources\":{\"memory\":{\"limit\":402653184},\"pids\":{\"limit\":64}}%s}}",
        getpid(), victim, in_dir("none.sock"), in_dir("secret"), caps, caps, caps, caps, caps,
        group(""));
    write_text("bundle/config.json", text);
}

static void test_escapes(void **state)
{
    static char text[65536];
    unsigned int held = 0;
    pid_t victim = fork();

    (void)state;
    if (victim == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* also where the test fails */
        (void)pause();
        _exit(0);
    }
    write_text("secret", "secret");
    rig_copy(build_path("tests/probe/escape"), in_dir("bundle/rootfs/bin/probe"), 0755);
    write_attack(victim);
    assert_int_equal(join(spawn("said", (const char *const[]){ "create", "--bundle",
                                                               in_dir("bundle"), "e", NULL })),
                     0);
    assert_int_equal(oci("start", "e"), 0);
    await("e", "stopped");
    assert_int_equal(oci("delete", "e"), 0);
    int fd = open(in_dir("said"), O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, text, sizeof text - 1);
    (void)close(fd);
    assert_true(n > 0);
    text[n] = '\0';
    /* The names of namespaces that nobody listed come first, on stderr. */
    char *first = strstr(text, "\n1 ");
    table_take(first != NULL ? first + 1 : text, COLUMN_GRANTED);
    for (size_t i = 0; i < TABLE_ROWS; i++)
        held += as_wanted(&table[i]) ? 1 : 0;
    assert_int_equal(held, TABLE_ROWS);
    assert_int_equal(kill(victim, 0), 0);
    (void)kill(victim, SIGKILL);
    (void)waitpid(victim, NULL, 0);
    nothing_left();
}

/* The same commands as "berth oci". */
static void test_front(void **state)
{
    (void)state;
    bundle("sleep 1000", "", group(""));
    by_berth = true;
    assert_int_equal(oci("create", "--bundle", in_dir("bundle"), "c"), 0);
    assert_int_equal(oci("start", "c"), 0);
    assert_true(is("c", "running"));
    assert_int_equal(oci("kill", "c", "KILL"), 0);
    assert_int_equal(oci("delete", "--force", "c"), 0);
    assert_int_not_equal(oci("state", "c"), 0);
    by_berth = false;
    nothing_left();
}

static int make_scratch(void **state)
{
    static const char *const names[] = { "sh",    "cat",  "id",   "mount", "sleep",
                                         "touch", "true", "find", "grep",  "head",
                                         "mkdir", "ls",   "test", "echo",  "hostname" };
    static const char *const from[] = { "/bin/busybox", "/usr/bin/busybox" };
    struct err err;
    int in = -1;
    struct stat st;

    (void)state;
    (void)umask(022);
    (void)snprintf(dir, sizeof dir, "/tmp/test-oci-%d", getpid());
    if (mkdir(dir, 0755) != 0 || mkdir(in_dir("bundle"), 0755) != 0 ||
        mkdir(in_dir("bundle/rootfs"), 0755) != 0 || mkdir(in_dir("bundle/rootfs/bin"), 0755) != 0)
        return -1;
    for (size_t i = 0; in < 0 && i < 2; i++)
        in = open(from[i], O_RDONLY | O_CLOEXEC);
    int out = open(in_dir("bundle/rootfs/bin/busybox"), O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    uint8_t ignored[32];
    if (in < 0 || out < 0 || fstat(in, &st) != 0 ||
        fs_copy_digest(in, out, (uint64_t)st.st_size, ignored, &err) != RC_OK)
        return -1;
    (void)close(in);
    (void)close(out);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char link[64];

        (void)snprintf(link, sizeof link, "bundle/rootfs/bin/%s", names[i]);
        if (symlink("busybox", in_dir(link)) != 0)
            return -1;
    }
    return 0;
}

static int remove_scratch(void **state)
{
    static const char *const ids[] = { "c", "k", "r", "no", "g", "h", "i", "x", "e", "f" };
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        (void)oci("delete", "--force", ids[i]);
    return fs_remove_tree(AT_FDCWD, dir, &err) == RC_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_no_process),
        cmocka_unit_test(test_kill),
        cmocka_unit_test(test_races),
        cmocka_unit_test(test_hostile_bundles),
        cmocka_unit_test(test_group),
        cmocka_unit_test(test_inside),
        cmocka_unit_test(test_front),
        cmocka_unit_test(test_killed_creator),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_own_filter),
        cmocka_unit_test(test_filters_counted),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_others_group),
        cmocka_unit_test(test_lost_race),
        cmocka_unit_test(test_one_parent),
        cmocka_unit_test(test_one_parent_at_once),
        cmocka_unit_test(test_early_signal),
    };

    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
