/* SPDX-License-Identifier: Apache-2.0
 *
 * The real berth and berth-seal: what is not sealed for a payload that wants it is refused on the
 * ground already, with what to do; what is sealed is queued, and nothing of the operator's home has
 * what it says, or a key.
 */
#include "tests/unit/test.h"

#include <ftw.h>

#include "link/telemetry.h"
#include "tests/unit/berth_run.h"

#define SECRET "the aperture is f8, do not tell"

static const char quota[] = "memory: 64M\ncpu: 0.5\npids: 16\nfiles: 64\ndata: 8M\ntmp: 4M\n"
                            "store: 16M\npayloads: 4\nprefix: \"\"\ninbox: 8M\noutbox: 8M\n";

static const char fleet[] = "fleet: aurora\nsatellites:\n  - {id: sat-1}\ndesired:\n"
                            "  - select: all\n    payloads:\n"
                            "      acme/cam: 1.0\n      acme/dog: 1.0\n";

static void build(const char *name, const char *mail)
{
    char text[512], words[256];

    print_to(text, sizeof text,
             "name: %s\ntenant: acme\nversion: 1.0\nrelease: 1\nexec: [/bin/cam]\nroot: rootfs\n"
             "arch: any\n%sresources: {memory: 16M, cpu: 0.1, pids: 4, tmp: 1M, files: 16, inbox: "
             "1M, outbox: 1M}\nhealth: {type: alive, ready: 2s}\n",
             name, mail);
    put("p/payload.yaml", text, 0644);
    print_to(words, sizeof words, "build p --level 1 --key keys/acme.key --out %s.berth", name);
    assert_berth(words, 0);
    print_to(words, sizeof words, "push %s.berth", name);
    assert_berth(words, 0);
}

static int set_up(void **state)
{
    char path[PATH_MAX + 128];

    (void)begin(state);
    print_to(path, sizeof path, "%s", program);
    *strrchr(path, '/') = '\0';
    (void)setenv("PATH", path, 1);
    (void)setenv("BERTH_HOME", "home", 1);
    put("quota.yaml", quota, 0644);
    put("fleet.yaml", fleet, 0644);
    assert_rc(fs_make_dirs(dirfd, "p/rootfs/bin", 0755, &err), RC_OK);
    put("p/rootfs/bin/cam", "#!/bin/self\n", 0755);
    assert_berth("key new root --role root --out keys", 0);
    assert_berth("key new next --role root --out keys", 0);
    assert_berth("key new op --role operator --out keys", 0);
    assert_berth("key new acme --role tenant --out keys", 0);
    assert_berth("fleet init aurora --root keys/root.key --operator keys/op.key "
                 "--next-root keys/next.pub",
                 0);
    assert_berth("grant acme --keys keys/acme.pub --quota quota.yaml", 0);
    build("cam", "mail: {sealed: true}\n");
    build("dog", "");
    assert_berth("provision sat-1 --node 42 --out state1", 0);
    assert_berth("apply fleet.yaml --key keys/op.key", 0);
    assert_run("berth-seal keygen --tenant acme --payload cam --satellite 42 ground-keys cam.key",
               0);
    assert_run("berth-seal keygen --tenant acme --payload dog --satellite 42 dog-keys dog.key", 0);
    put("letter", SECRET, 0600);
    return 0;
}

static int truncate_to(const char *name, off_t size)
{
    char whole[PATH_MAX + 128];

    print_to(whole, sizeof whole, "%s/%s", dir, name);
    return truncate(whole, size);
}

static void what_is_not_sealed_is_refused_early(void **state)
{
    (void)state;
    assert_berth("inspect cam.berth --json", 0);
    assert_said("\"sealed\": true");
    assert_berth("mail send acme/cam@sat-1 letter", 1);
    assert_said("(MAIL_SEALED 341)");
    assert_said("fix: berth-seal seal DIR FILE FILE.sealed");
    assert_run("berth-seal seal dog-keys letter for-dog", 0);
    assert_berth("mail send acme/cam@sat-1 for-dog", 1);
    assert_said("(MAIL_ADDRESS 342)");
    assert_berth("mail list --sent", 0);
    assert_null(strstr(said, "acme/"));
    assert_berth("mail send acme/dog@sat-1 fleet.yaml",
                 0); /* who does not want it may go without */
}

/* The same of commands, which are listed by themselves. */
static void commands_too(void **state)
{
    (void)state;
    assert_berth("command send acme/cam@sat-1 open", 1);
    assert_said("(MAIL_SEALED 341)");
    assert_berth("command send acme/dog@sat-1", 2);
    assert_berth("command send acme/dog@sat-1 on --file letter", 2);
    assert_berth("command send acme/dog@sat-1 on --name Not.a.name", 1);
    put("large", "", 0600);
    assert_int_equal(truncate_to("large", 2049), 0);
    assert_berth("command send acme/dog@sat-1 --file large", 1);
    assert_berth("command list --state waiting", 1);
    assert_int_equal(truncate_to("large", 2048), 0);
    assert_berth("command send acme/dog@sat-1 --file large --name upload", 0);
    assert_berth("command send acme/dog@sat-1 --name reboot", 0);
    assert_berth("command list", 0);
    assert_said("acme/dog@sat-1/upload");
    assert_said("acme/dog@sat-1/reboot");
    assert_said("on its way");
    assert_null(strstr(said, "acme/cam"));
    assert_berth("command list --state done", 1);
    assert_berth("mail list --sent", 0);
    assert_null(strstr(said, "reboot"));
}

/* As the ground keeps it: printed in order, with what is missing, and nothing for a terminal. */
static void telemetry_is_printed(void **state)
{
    static const char at[] = "home/mail/.telemetry/acme/sat-1/dog";
    static struct telemetry_batch batch;
    static uint8_t buf[TELEMETRY_BYTES_MAX];
    char path[128];
    struct bytes bytes = { 0 };
    scoped(close_fd) int there = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)state;
    assert_berth("telemetry acme/dog@sat-1", 1);
    assert_said("(NOT_FOUND 9)");
    assert_rc(fs_make_dirs(there, at, 0700, &err), RC_OK);
    for (uint64_t first = 1; first <= 12; first += 11) {
        batch = (struct telemetry_batch){ .instance = 5, .first = first, .n = 1 };
        batch.sample[0] = (struct telemetry_sample){ .key = "temp", .n = 4, .value = "21.5" };
        if (first > 1)
            memcpy(batch.sample[0].value, "\x1b[2J", 4);
        assert_rc(telemetry_encode(&batch, buf, &bytes, &err), RC_OK);
        print_to(path, sizeof path, "%s/%016x-%016x", at, 5U, (unsigned)first);
        assert_rc(fs_write_file(there, path, bytes, 0600, &err), RC_OK);
    }
    assert_berth("telemetry acme/dog@sat-1", 0);
    assert_said("21.5");
    assert_said("10 before the next");
    assert_said("0x1b5b324a");
    assert_said("10 dropped");
    assert_null(strchr(said, '\x1b'));
    assert_berth("telemetry acme/dog@sat-1 --json", 0);
    assert_said("\"dropped\": 10");
    assert_berth("telemetry acme/dog@sat-1 --since-hours 1", 0);
    assert_null(strstr(said, "21.5"));
}

static struct bytes looked_for;
static unsigned found, looked_at;

static int on_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    scoped(close_fd) int fd = type == FTW_F ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    scoped(free_ptr) uint8_t *buf = malloc((size_t)st->st_size + 1U);

    (void)ftw;
    if (fd < 0 || fs_pread_exact(fd, buf, (size_t)st->st_size, 0, &err) != RC_OK)
        return 0;
    looked_at++;
    found += memmem(buf, (size_t)st->st_size, looked_for.p, looked_for.n) != NULL;
    return 0;
}

/* How many files below a path have it. */
static unsigned files_with(const char *path, struct bytes what)
{
    char whole[256];

    print_to(whole, sizeof whole, "%s/%s", dir, path);
    looked_for = what;
    found = looked_at = 0;
    assert_int_equal(nftw(whole, on_file, 8, FTW_PHYS), 0);
    assert_true(looked_at > 0);
    return found;
}

static void the_operator_has_what_is_sealed_only(void **state)
{
    scoped(free_ptr) uint8_t *key = NULL;
    scoped(free_ptr) uint8_t *sealed = NULL;
    const size_t n = slurp("cam.key", &key);

    (void)state;
    assert_run("berth-seal seal ground-keys letter letter.sealed", 0);
    const size_t n_sealed = slurp("letter.sealed", &sealed);
    assert_berth("mail send acme/cam@sat-1 letter.sealed --name letter", 0);
    assert_berth("mail list --sent", 0);
    assert_said("acme/cam@sat-1/letter");
    assert_berth("link send sat-1", 0);
    /* What would be found is: the sealed bytes; the secret in the key file; the letter itself. */
    assert_true(files_with("home", (struct bytes){ sealed, n_sealed }) > 0);
    const struct bytes secret = { key + n - 41, 32 };
    assert_int_equal(files_with("cam.key", secret), 1);
    assert_int_equal(files_with("letter", bytes_of(SECRET)), 1);
    assert_int_equal(files_with("home", bytes_of(SECRET)), 0);
    assert_int_equal(files_with("home", secret), 0);
    assert_int_equal(files_with("state1", secret), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_sealed_is_refused_early),
        cmocka_unit_test(commands_too),
        cmocka_unit_test(telemetry_is_printed),
        cmocka_unit_test(the_operator_has_what_is_sealed_only),
    };

    return cmocka_run_group_tests(tests, set_up, end);
}
