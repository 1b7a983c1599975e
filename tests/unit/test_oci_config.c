/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "oci/config.h"
#include "oci/words.h"

static struct oci_config config;
static char text[3 * OCI_CONFIG_MAX];

static enum rc read_text(const char *json, struct err *err)
{
    *err = (struct err){ 0 };
    return oci_config_read(bytes_of(json), &config, err);
}

/* A whole config.json with one more key at the top, in "process" or in "linux". */
static const char *with(const char *top, const char *process, const char *kernel)
{
    (void)snprintf(text, sizeof text,
                   "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\"}%s%s,"
                   "\"process\":{\"args\":[\"sh\"],\"cwd\":\"/\"%s%s},"
                   "\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"network\"},"
                   "{\"type\":\"mount\"},{\"type\":\"ipc\"},{\"type\":\"uts\"}]%s%s}}",
                   top[0] != '\0' ? "," : "", top, process[0] != '\0' ? "," : "", process,
                   kernel[0] != '\0' ? "," : "", kernel);
    return text;
}

static enum rc ids(const char *uids, const char *gids, const char *given, const char *devices,
                   struct err *err)
{
    struct oci_map range = { 0 };
    char part[400];

    if (given[0] != '\0')
        assert_true(oci_map_read(given, &range));
    (void)snprintf(part, sizeof part, "\"uidMappings\":[{%s}],\"gidMappings\":[{%s}]%s", uids, gids,
                   devices);
    assert_rc(read_text(with("", "", part), err), RC_OK);
    enum rc rc = oci_config_ids(&config, &range, err);
    oci_config_done(&config);
    return rc;
}

static const struct oci_mount *mount_at(const char *path)
{
    for (size_t i = 0; i < config.n_mounts; i++) {
        if (strcmp(config.mounts[i].path, path) == 0)
            return &config.mounts[i];
    }
    fail_msg("no mount at %s", path);
    abort();
}

static const struct oci_rlimit *limit_of(int what)
{
    for (size_t i = 0; i < config.n_rlimits; i++) {
        if (config.rlimits[i].what == what)
            return &config.rlimits[i];
    }
    fail_msg("no limit %d", what);
    abort();
}

static bool said(const char *part)
{
    for (size_t i = 0; i < config.n_said; i++) {
        if (strstr(config.said[i], part) != NULL)
            return true;
    }
    return false;
}

/* What is refused, and where it is said to be wrong. */
static const struct {
    const char *why;
    const char *top, *process, *kernel;
    enum rc rc;
    const char *what;
} refused[] = {
    { "hook", "\"hooks\":{\"prestart\":[{\"path\":\"/bin/sh\"}]}", "", "", RC_OCI_WANTS, "hooks" },
    { "unknown hook", "\"hooks\":{\"later\":[{\"path\":\"/x\"}]}", "", "", RC_OCI_WANTS, "later" },
    { "terminal", "", "\"terminal\":true", "", RC_OCI_WANTS, "terminal" },
    { "apparmor", "", "\"apparmorProfile\":\"x\"", "", RC_OCI_WANTS, "apparmor" },
    { "uid", "", "\"user\":{\"uid\":65536,\"gid\":0}", "", RC_OCI_FORMAT, "uid" },
    { "negative uid", "", "\"user\":{\"uid\":-1}", "", RC_OCI_FORMAT, "uid" },
    { "uid as text", "", "\"user\":{\"uid\":\"0\"}", "", RC_OCI_FORMAT, "uid" },
    { "rlimit", "", "\"rlimits\":[{\"type\":\"RLIMIT_TEST\",\"soft\":1,\"hard\":1}]", "",
      RC_OCI_FORMAT, "RLIMIT_TEST" },
    { "soft above hard", "", "\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"soft\":2,\"hard\":1}]", "",
      RC_OCI_FORMAT, "RLIMIT_CPU" },
    { "rlimit twice", "",
      "\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"soft\":1,\"hard\":1},"
      "{\"type\":\"RLIMIT_CPU\",\"soft\":1,\"hard\":1}]",
      "", RC_OCI_FORMAT, "twice" },
    { "env", "", "\"env\":[\"NOVALUE\"]", "", RC_OCI_FORMAT, "env" },
    { "env without a name", "", "\"env\":[\"=x\"]", "", RC_OCI_FORMAT, "env" },
    { "joined namespace", "", "",
      "\"uidMappings\":[],\"rootfsPropagation\":\"\",\"x\":0,\"seccomp\":null,"
      "\"netDevices\":{\"eth0\":{}}",
      RC_OCI_WANTS, "netDevices" },
    { "ids of the host's system", "", "",
      "\"uidMappings\":[{\"containerID\":0,\"hostID\":0,\"size\":10}],"
      "\"gidMappings\":[{\"containerID\":0,\"hostID\":0,\"size\":10}]",
      RC_OCI_WANTS, "uidMappings" },
    { "ids around the corner", "", "",
      "\"uidMappings\":[{\"containerID\":0,\"hostID\":4294967294,\"size\":10}]", RC_OCI_WANTS,
      "uidMappings" },
    { "two ranges", "", "",
      "\"uidMappings\":[{\"containerID\":0,\"hostID\":5000,\"size\":10},"
      "{\"containerID\":10,\"hostID\":6000,\"size\":10}]",
      RC_OCI_WANTS, "more than one" },
    { "one map alone", "", "", "\"uidMappings\":[{\"containerID\":0,\"hostID\":5000,\"size\":10}]",
      RC_OCI_FORMAT, "alone" },
    { "masked elsewhere", "", "", "\"maskedPaths\":[\"masked\"]", RC_OCI_FORMAT, "maskedPaths" },
    { "masked above", "", "", "\"maskedPaths\":[\"/a/../../etc\"]", RC_OCI_FORMAT, "maskedPaths" },
    { "device elsewhere", "", "", "\"devices\":[{\"path\":\"/etc/x\",\"type\":\"c\"}]",
      RC_OCI_WANTS, "devices" },
    { "device above", "", "", "\"devices\":[{\"path\":\"/dev/../x\",\"type\":\"c\"}]",
      RC_OCI_FORMAT, "devices" },
    { "device type", "", "", "\"devices\":[{\"path\":\"/dev/x\",\"type\":\"d\"}]", RC_OCI_FORMAT,
      "devices" },
    { "sysctl of the host", "", "", "\"sysctl\":{\"kernel.core_pattern\":\"|/x\"}", RC_OCI_WANTS,
      "core_pattern" },
    { "sysctl with a path", "", "", "\"sysctl\":{\"net./../kernel/core_pattern\":\"x\"}",
      RC_OCI_WANTS, "sysctl" },
    { "sysctl above", "", "", "\"sysctl\":{\"net...kernel.core_pattern\":\"x\"}", RC_OCI_WANTS,
      "sysctl" },
    { "cgroup above", "", "", "\"cgroupsPath\":\"../x\"", RC_OCI_FORMAT, "cgroupsPath" },
    { "cgroup of berthd", "", "", "\"cgroupsPath\":\"/berth/t-a/x\"", RC_OCI_WANTS, "cgroupsPath" },
    { "cgroup of berthd, relative", "", "", "\"cgroupsPath\":\"berth\"", RC_OCI_WANTS,
      "cgroupsPath" },
    { "cgroup of another container", "", "", "\"cgroupsPath\":\"/berth-oci/other/x\"", RC_OCI_WANTS,
      "cgroupsPath" },
    { "the root cgroup", "", "", "\"cgroupsPath\":\"/\"", RC_OCI_FORMAT, "cgroupsPath" },
    { "too little memory", "", "", "\"resources\":{\"memory\":{\"limit\":4096}}", RC_OCI_WANTS,
      "memory.limit" },
    { "huge pages", "", "",
      "\"resources\":{\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":1}]}", RC_OCI_WANTS,
      "hugepage" },
    { "block io", "", "", "\"resources\":{\"blockIO\":{\"weight\":10}}", RC_OCI_WANTS, "blockIO" },
    { "personality", "", "", "\"personality\":{\"domain\":\"LINUX32\"}", RC_OCI_WANTS,
      "personality" },
    { "mount type", "\"mounts\":[{\"destination\":\"/x\",\"type\":\"overlay\"}]", "", "",
      RC_OCI_WANTS, "overlay" },
    { "mount option",
      "\"mounts\":[{\"destination\":\"/x\",\"type\":\"tmpfs\","
      "\"options\":[\"lowerdir=/etc\"]}]",
      "", "", RC_OCI_WANTS, "lowerdir" },
    { "mount above", "\"mounts\":[{\"destination\":\"/x/../..\",\"type\":\"tmpfs\"}]", "", "",
      RC_OCI_FORMAT, "destination" },
    { "mount over the root", "\"mounts\":[{\"destination\":\"/\",\"type\":\"tmpfs\"}]", "", "",
      RC_OCI_WANTS, "/" },
    { "mount in proc", "\"mounts\":[{\"destination\":\"/proc/sys\",\"type\":\"tmpfs\"}]", "", "",
      RC_OCI_WANTS, "/proc" },
    { "bind from above",
      "\"mounts\":[{\"destination\":\"/x\",\"source\":\"/a/../etc\","
      "\"options\":[\"bind\"]}]",
      "", "", RC_OCI_FORMAT, "source" },
    { "tmpfs size",
      "\"mounts\":[{\"destination\":\"/x\",\"type\":\"tmpfs\","
      "\"options\":[\"size=99999999999g\"]}]",
      "", "", RC_OCI_WANTS, "size" },
    { "annotation", "\"annotations\":{\"\":\"x\"}", "", "", RC_OCI_FORMAT, "annotations" },
    { "version", "\"ociVersion\":\"1.0.2\"", "", "", RC_OCI_FORMAT, "uplicate" },
};

static void test_refused(void **state)
{
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        enum rc rc = read_text(with(refused[i].top, refused[i].process, refused[i].kernel), &err);

        if (rc != refused[i].rc || strstr(err.what, refused[i].what) == NULL)
            fail_msg("%s: %s \"%s\"", refused[i].why, rc_name(rc), err.what);
        assert_null(config.json);
    }
}

static void test_hostile_json(void **state)
{
    static const char *const broken[] = {
        "",
        "null",
        "[]",
        "{",
        "{}",
        "{\"ociVersion\":\"1.0.2\"}",
        "{\"ociVersion\":\"2.0.0\",\"root\":{\"path\":\"r\"}}",
        "{\"ociVersion\":\"1.0\",\"root\":{\"path\":\"r\"}}",
        "{\"ociVersion\":\"1.0.2x\",\"root\":{\"path\":\"r\"}}",
        "{\"ociVersion\":\"invalid\",\"root\":{\"path\":\"r\"}}",
        "{\"ociVersion\":1,\"root\":{\"path\":\"r\"}}",
        "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"\"}}",
        "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"a\\u0000b\"}}",
        "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"\xff\"}}",
        "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"r\",\"path\":\"/\"}}",
        "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"r\"}} x",
    };
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        if (read_text(broken[i], &err) != RC_OCI_FORMAT)
            fail_msg("%s: \"%s\"", broken[i], err.what);
    }
    /* Deep: as an unknown key, which is otherwise passed over. */
    size_t n = (size_t)snprintf(text, sizeof text,
                                "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"r\"},\"x\":");
    (void)memset(text + n, '[', 100000);
    (void)memset(text + n + 100000, ']', 100000);
    (void)snprintf(text + n + 200000, 2, "}");
    assert_rc(read_text(text, &err), RC_OCI_FORMAT);
    assert_non_null(strstr(err.what, "deep"));
    /* Large. */
    (void)memset(text, ' ', sizeof text);
    assert_rc(oci_config_read((struct bytes){ .p = (const uint8_t *)text, .n = OCI_CONFIG_MAX + 1 },
                              &config, &err),
              RC_TOO_LARGE);
    /* More of everything than there is room for. */
    n = (size_t)snprintf(
        text, sizeof text,
        "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"r\"},\"process\":{\"args\":[");
    for (unsigned i = 0; i < OCI_ARGS_MAX + 1; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s\"x\"", i == 0 ? "" : ",");
    (void)snprintf(text + n, sizeof text - n, "]}}");
    assert_rc(read_text(text, &err), RC_OCI_FORMAT);
    assert_non_null(strstr(err.what, "args"));
}

static void test_process(void **state)
{
    struct err err;

    (void)state;
    assert_rc(read_text(with("",
                             "\"user\":{\"uid\":10,\"gid\":11,\"umask\":2,"
                             "\"additionalGids\":[5,6]},\"env\":[\"A=1\"],\"cwd\":\"/srv\","
                             "\"oomScoreAdj\":100,\"noNewPrivileges\":false",
                             ""),
                        &err),
              RC_OCI_FORMAT); /* cwd twice */
    assert_rc(read_text(with("",
                             "\"user\":{\"uid\":10,\"gid\":11,\"umask\":2,"
                             "\"additionalGids\":[5,6]},\"env\":[\"A=1\"],"
                             "\"oomScoreAdj\":100,\"noNewPrivileges\":false",
                             ""),
                        &err),
              RC_OK);
    assert_true(config.has_process);
    assert_int_equal(config.uid, 10);
    assert_int_equal(config.gid, 11);
    assert_int_equal(config.umask, 2);
    assert_int_equal(config.n_gids, 2);
    assert_int_equal(config.gids[1], 6);
    assert_string_equal(config.args[0], "sh");
    assert_string_equal(config.env[0], "A=1");
    assert_int_equal(config.oom_score, 100);
    assert_int_equal(config.n_said, 0);
    oci_config_done(&config);

    assert_rc(read_text(with("", "\"oomScoreAdj\":-900", ""), &err), RC_OK);
    assert_int_equal(config.oom_score, 0);
    assert_true(said("oomScoreAdj"));
    oci_config_done(&config);
}

static void test_capabilities(void **state)
{
    struct err err;

    (void)state;
    assert_rc(read_text(with("",
                             "\"capabilities\":{\"bounding\":[\"CAP_CHOWN\",\"CAP_SYS_ADMIN\","
                             "\"CAP_TEST\"],\"permitted\":[\"CAP_CHOWN\",\"CAP_KILL\"],"
                             "\"effective\":[\"CAP_CHOWN\",\"CAP_KILL\"],"
                             "\"ambient\":[\"CAP_CHOWN\"],\"inheritable\":[]}",
                             ""),
                        &err),
              RC_OK);
    assert_int_equal(config.caps[OCI_BOUNDING], 1);
    assert_int_equal(config.caps[OCI_PERMITTED], 1);
    assert_int_equal(config.caps[OCI_EFFECTIVE], 1);
    assert_int_equal(config.caps[OCI_INHERITABLE], 0);
    assert_int_equal(config.caps[OCI_AMBIENT], 0); /* not inheritable */
    assert_true(said("CAP_SYS_ADMIN"));
    assert_true(said("CAP_TEST"));
    oci_config_done(&config);
    assert_rc(read_text(with("", "", ""), &err), RC_OK);
    for (size_t i = 0; i < OCI_CAP_SETS; i++)
        assert_int_equal(config.caps[i], 0);
    oci_config_done(&config);
}

static void test_limits(void **state)
{
    struct err err;

    (void)state;
    assert_rc(
        read_text(with("",
                       "\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"soft\":3,\"hard\":4},"
                       "{\"type\":\"RLIMIT_CPU\",\"soft\":60,\"hard\":18446744073709551615},"
                       "{\"type\":\"RLIMIT_NOFILE\",\"soft\":1024,\"hard\":1024}]",
                       "\"cgroupsPath\":\"/a/b\",\"resources\":{\"memory\":{\"limit\":50593792,"
                       "\"swap\":99999999,\"reservation\":1,\"kernel\":5},"
                       "\"cpu\":{\"shares\":2048,\"quota\":50000,\"period\":100000,"
                       "\"cpus\":\"0-1\",\"mems\":\"0\"},\"pids\":{\"limit\":10},"
                       "\"devices\":[{\"allow\":false,\"access\":\"rwm\"},"
                       "{\"allow\":true,\"type\":\"c\",\"major\":10,\"minor\":229,"
                       "\"access\":\"rwm\"}]}"),
                  &err),
        RC_OK);
    assert_int_equal(limit_of(RLIMIT_CORE)->hard, 1);
    assert_int_equal(limit_of(RLIMIT_CORE)->soft, 1);
    assert_true(limit_of(RLIMIT_CPU)->hard == UINT64_MAX);
    assert_int_equal(limit_of(RLIMIT_NOFILE)->hard, 1024);
    assert_int_equal(limit_of(RLIMIT_MSGQUEUE)->hard, 0);
    assert_true(said("RLIMIT_CORE"));
    assert_string_equal(config.cgroup, "/a/b");
    assert_int_equal(config.limits.memory, 50593792);
    assert_int_equal(config.limits.reservation, 1);
    assert_true(said("swap"));
    assert_true(said("memory.kernel"));
    assert_int_equal(config.limits.shares, 2048);
    assert_int_equal(config.limits.quota, 50000);
    assert_int_equal(config.limits.period, 100000);
    assert_string_equal(config.limits.cpus, "0-1");
    assert_int_equal(config.limits.pids, 10);
    assert_true(said("10:229"));
    oci_config_done(&config);
}

static void test_files(void **state)
{
    struct err err;

    (void)state;
    assert_rc(
        read_text(
            with("\"mounts\":[{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"p\"},"
                 "{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"options\":[\"size=65536k\"]},"
                 "{\"destination\":\"/dev/shm\",\"type\":\"tmpfs\",\"options\":[\"size=1m\","
                 "\"mode=1777\",\"ro\"]},"
                 "{\"destination\":\"/sys/fs/cgroup\",\"type\":\"cgroup\"},"
                 "{\"destination\":\"/b\",\"source\":\"/x/y\",\"options\":[\"rbind\",\"slave\","
                 "\"dev\"]}]",
                 "",
                 "\"maskedPaths\":[\"/proc/kcore\"],\"readonlyPaths\":[\"/etc\"],"
                 "\"devices\":[{\"path\":\"/dev/t\",\"type\":\"b\",\"major\":8,\"minor\":666,"
                 "\"fileMode\":432,\"uid\":1,\"gid\":2}],"
                 "\"sysctl\":{\"net.ipv4.ip_forward\":\"1\"},\"rootfsPropagation\":\"shared\""),
            &err),
        RC_OK);
    assert_int_equal(config.n_mounts, 4);
    assert_int_equal(mount_at("/dev")->kind, OCI_MOUNT_DEV);
    assert_int_equal(mount_at("/dev/shm")->bytes, 1 << 20);
    assert_int_equal(mount_at("/dev/shm")->mode, 01777);
    assert_true(mount_at("/dev/shm")->readonly);
    assert_int_equal(mount_at("/b")->kind, OCI_MOUNT_BIND);
    assert_true(mount_at("/b")->recursive);
    assert_true(said("control groups"));
    assert_true(said("/b is private"));
    assert_true(said("/b without dev"));
    assert_true(said("rootfsPropagation"));
    assert_string_equal(config.masked[0], "/proc/kcore");
    assert_string_equal(config.readonly[0], "/etc");
    assert_int_equal(config.n_devices, 1);
    assert_int_equal(config.devices[0].type, S_IFBLK);
    assert_int_equal(config.devices[0].mode, 0660);
    assert_true(said("/dev/t can be seen"));
    assert_string_equal(config.sysctls[0].name, "net.ipv4.ip_forward");
    oci_config_done(&config);

    /* Its own /proc and /dev, asked for or not. */
    assert_rc(read_text(with("", "", ""), &err), RC_OK);
    assert_int_equal(mount_at("/dev")->kind, OCI_MOUNT_DEV);
    assert_int_equal(mount_at("/proc")->kind, OCI_MOUNT_PROC);
    assert_int_equal(config.n_said, 0);
    oci_config_done(&config);
}

static void test_namespaces(void **state)
{
    static const char *const joined =
        "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"r\"},\"linux\":{\"namespaces\":["
        "{\"type\":\"network\",\"path\":\"/proc/1/ns/net\"}]}}";
    static const char *const twice =
        "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"r\"},\"linux\":{\"namespaces\":["
        "{\"type\":\"pid\"},{\"type\":\"pid\"}]}}";
    static const char *const missing =
        "{\"ociVersion\":\"1.2.1-rc.1+dev\",\"root\":{\"path\":\"r\"},\"linux\":{\"namespaces\":["
        "{\"type\":\"pid\"}]}}";
    struct err err;

    (void)state;
    assert_rc(read_text(joined, &err), RC_OCI_WANTS);
    assert_rc(read_text(twice, &err), RC_OCI_FORMAT);
    assert_rc(read_text(missing, &err), RC_OK);
    assert_true(said("a new network namespace"));
    assert_false(said("a new pid namespace"));
    assert_false(config.has_process);
    oci_config_done(&config);
}

static void test_words(void **state)
{
    int signal = 0;

    (void)state;
    assert_true(oci_id_valid("a"));
    assert_true(oci_id_valid("A0_b.c+d-e"));
    assert_false(oci_id_valid(""));
    assert_false(oci_id_valid(".."));
    assert_false(oci_id_valid(".x"));
    assert_false(oci_id_valid("-x"));
    assert_false(oci_id_valid("a/b"));
    assert_false(oci_id_valid("a\nb"));
    (void)memset(text, 'a', 129);
    text[129] = '\0';
    assert_false(oci_id_valid(text));
    assert_true(oci_path_valid("/"));
    assert_true(oci_path_valid("/a/b"));
    assert_false(oci_path_valid("/a/"));
    assert_false(oci_path_valid("/a//b"));
    assert_false(oci_path_valid("/./b"));
    assert_false(oci_path_valid("/a/.."));
    assert_false(oci_path_valid("a"));
    assert_true(oci_path_valid("/..a"));
    assert_true(oci_path_within("/a", "/a/b"));
    assert_false(oci_path_within("/a", "/ab"));
    assert_true(oci_signal("TERM", &signal) && signal == 15);
    assert_true(oci_signal("SIGKILL", &signal) && signal == 9);
    assert_true(oci_signal("10", &signal) && signal == 10);
    assert_false(oci_signal("0", &signal));
    assert_false(oci_signal("65", &signal));
    assert_false(oci_signal("9x", &signal));
    assert_false(oci_signal("SIG", &signal));
    assert_false(oci_signal("", &signal));
}

/* No config.json chooses whose files it owns. */
static void test_ids(void **state)
{
    static const char *const no_range[] = {
        "",
        "1000",
        "1000:",
        ":5",
        "999:5",
        "1000:0",
        "0:70000",
        "-1000:5",
        "+1000:5",
        "1000:5 ",
        "1000:-5",
        "4294967295:1",
        "4e3:5",
        "1000:523289",
        "524288:1",
        "600000:5",
        "67633151:2",
        "134742015:1",
        "1000:4294966295",
        "18446744073709552616:5",
        "1000:18446744073709551617",
    };
    static const char low[] = "\"containerID\":0,\"hostID\":1000,\"size\":2000";
    static const char more[] = "\"containerID\":0,\"hostID\":1000,\"size\":3000";
    static const char taken[] = "\"containerID\":0,\"hostID\":524288,\"size\":65536";
    struct oci_map range = { 0 };
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof no_range / sizeof no_range[0]; i++)
        assert_false(oci_map_read(no_range[i], &range));
    assert_true(oci_map_read("1000:523288", &range));
    assert_int_equal(range.host, 1000);
    assert_int_equal(range.count, 523288);
    assert_true(oci_map_read("134742016:65536", &range));

    assert_rc(ids(low, more, "1000:3000", "", &err), RC_OK);
    assert_rc(ids(low, more, "1000:2999", "", &err), RC_OCI_WANTS);
    assert_non_null(strstr(err.what, "linux.gidMappings"));
    assert_rc(ids(low, low, "", "", &err), RC_OCI_WANTS);
    assert_non_null(strstr(err.what, "linux.uidMappings"));
    assert_rc(ids(low, low, "1001:5000", "", &err), RC_OCI_WANTS);
    assert_rc(ids(low, low, "1000:1999", "", &err), RC_OCI_WANTS);
    assert_rc(ids(taken, taken, "134742016:65536", "", &err), RC_OCI_WANTS);
    assert_rc(ids(low, low, "1000:2000",
                  ",\"devices\":[{\"path\":\"/dev/x\",\"type\":\"p\",\"uid\":2000}]", &err),
              RC_OCI_FORMAT);
    assert_non_null(strstr(err.what, "linux.devices"));
    assert_rc(ids(low, low, "1000:2000",
                  ",\"devices\":[{\"path\":\"/dev/x\",\"type\":\"p\",\"uid\":1999}]", &err),
              RC_OK);
    /* None asked for: none needed. */
    assert_rc(read_text(with("", "", ""), &err), RC_OK);
    assert_rc(oci_config_ids(&config, &(const struct oci_map){ 0 }, &err), RC_OK);
    oci_config_done(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),    cmocka_unit_test(test_hostile_json),
        cmocka_unit_test(test_process),    cmocka_unit_test(test_capabilities),
        cmocka_unit_test(test_limits),     cmocka_unit_test(test_files),
        cmocka_unit_test(test_namespaces), cmocka_unit_test(test_words),
        cmocka_unit_test(test_ids),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
