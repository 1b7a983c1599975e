/* SPDX-License-Identifier: Apache-2.0
 *
 * Sealed mail, all the way: a ground with berth-seal's keys, the real berthd with its companions,
 * a payload that opens and answers with the berth-seal of its package, and everything that somebody
 * on the way could try.  Afterwards neither what was said nor a key is in any file but the
 * payload's own image.  Needs root.
 */
#include "tests/unit/test.h"

#include "tests/unit/agent_mailing.h"

#include <ftw.h>

#include "link/sealfile.h"

#define DATA "data/acme/cam-north"
#define SECRET "open the shutter at 11:42"
#define ANSWER "I did: " SECRET

static struct keys keys;
static char box_path[32];
static int box_dir = -1;
static struct sealbox box; /* the ground's end, which is on no machine of the operator's */
static char image[400];    /* what the payload alone has */

/* ---- keys -------------------------------------------------------------------------------------
 */

static int run_program(char *const argv[])
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        (void)dup2(null, 1);
        (void)dup2(null, 2);
        (void)execvp(argv[0], argv);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static bool is_mounted(void)
{
    char path[64], backing[400];

    for (unsigned i = 0; i < 256; i++) {
        (void)snprintf(path, sizeof path, "/sys/block/loop%u/loop/backing_file", i);
        scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
        const ssize_t got_n = fd < 0 ? -1 : read(fd, backing, sizeof backing - 1);

        if (got_n <= 0)
            continue;
        backing[got_n] = '\0';
        if (strstr(backing, image) != NULL)
            return true;
    }
    return false;
}

/* As an integrator does before launch: the agent stands still, and the key file goes into the image
 * that is /data. */
static void lay_key_into_image(void)
{
    const uint64_t until = clock_mono_ms() + WAIT_MS;
    uint8_t buf[SEAL_KEYFILE_MAX];
    char file[300];
    struct bytes content = { 0 };
    struct err err = { 0 };

    while (is_mounted()) {
        assert_true(clock_mono_ms() < until);
        (void)poll(NULL, 0, 20);
    }
    must(seal_keyfile_encode(&keys, SEAL_PAYLOAD, buf, &content, &err), &err);
    must(fs_write_file(box_dir, "cam.key", content, 0644, &err), &err);
    (void)snprintf(file, sizeof file, "write %s/cam.key cam.key", box_path);
    char *const argv[] = {
        (char[]){ "/sbin/debugfs" }, (char[]){ "-w" }, (char[]){ "-R" }, file, image, NULL
    };
    assert_int_equal(run_program(argv), 0);
    must(fs_unlink(box_dir, "cam.key", &err), &err);
}

static int open_sealed(void **state)
{
    struct err err = { 0 };

    (void)open_mail(state);
    keys = (struct keys){ .ground = GROUND, .satellite = NODE };
    (void)snprintf(keys.tenant, sizeof keys.tenant, "acme");
    (void)snprintf(keys.payload, sizeof keys.payload, "cam-north");
    must(seal_key_make(&keys, 1, &err), &err);
    memcpy(box_path, "/tmp/berth-seal-XXXXXX", sizeof "/tmp/berth-seal-XXXXXX");
    assert_non_null(mkdtemp(box_path));
    box_dir = open(box_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(sealbox_make(box_dir, SEAL_GROUND, &keys, false, &err), &err);
    must(sealbox_open(box_dir, &box, &err), &err);
    (void)snprintf(image, sizeof image, "%s/state/" DATA "/data.img", sky->dir.path);
    return 0;
}

static int close_sealed(void **state)
{
    struct err err = { 0 };

    sealbox_close(&box);
    close_fd(&box_dir);
    must(fs_remove_tree(AT_FDCWD, box_path, &err), &err);
    return sky_close(state);
}

/* ---- what nobody may find ---------------------------------------------------------------------
 */

static const char *found;
static char found_in[400];
static size_t looked_at;

static void look_for(const uint8_t *bytes, size_t n, const char *path)
{
    const struct {
        const char *what;
        struct bytes bytes;
    } rows[] = {
        { "what was said", bytes_of(SECRET) },
        { "the secret", { keys.secret, sizeof keys.secret } },
        { "a key up", { keys.up.aead, sizeof keys.up.aead } },
        { "a MAC key up", { keys.up.mac, sizeof keys.up.mac } },
        { "a key down", { keys.down.aead, sizeof keys.down.aead } },
        { "a MAC key down", { keys.down.mac, sizeof keys.down.mac } },
    };

    looked_at++;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (memmem(bytes, n, rows[i].bytes.p, rows[i].bytes.n) != NULL) {
            found = rows[i].what;
            (void)snprintf(found_in, sizeof found_in, "%s", path);
        }
    }
}

static int on_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    scoped(close_fd) int fd = type == FTW_F && S_ISREG(st->st_mode) && strcmp(path, image) != 0
                                  ? open(path, O_RDONLY | O_CLOEXEC)
                                  : -1;

    (void)ftw;
    if (fd < 0 || st->st_size == 0)
        return 0;
    const size_t n = (size_t)st->st_size;
    void *p = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p != MAP_FAILED) {
        look_for(p, n, path);
        (void)munmap(p, n);
    }
    return 0;
}

static void look_everywhere(void)
{
    found = NULL;
    looked_at = 0;
    assert_int_equal(nftw(sky->dir.path, on_file, 16, FTW_PHYS), 0);
}

/* In the uplink, the downlink, the ground's end of the link and all that is on board but the
 * payload's own image. */
static void nobody_has_it(void)
{
    look_everywhere();
    if (found)
        fail_msg("%s is in %s", found, found_in);
    assert_true(looked_at > 10);
}

/* That what is looked for would be found. */
static void the_look_is_sharp(void)
{
    struct err err = { 0 };

    must(fs_write_file(sky->state, "control", bytes_of("x" SECRET "x"), 0600, &err), &err);
    look_everywhere();
    assert_non_null(found);
    must(fs_unlink(sky->state, "control", &err), &err);
}

/* ---- the run ----------------------------------------------------------------------------------
 */

struct message {
    uint8_t b[2048];
    size_t n;
};

static struct message seal(struct sealbox *from, const char *text)
{
    struct message m = { .n = 0 };
    uint32_t epoch = 0;
    struct err err = { 0 };

    must(sealbox_seal(from, bytes_of(text), clock_unix_ms(), SEALBOX_LIFE_MS, m.b, &m.n, &epoch,
                      &err),
         &err);
    return m;
}

static void send_sealed(const char *name, const struct message *m, uint64_t number)
{
    send_content("cam-north", name, (struct bytes){ m->b, m->n }, number);
    nobody_has_it();
}

/* The answer that came last says what was said, once. */
static void opens_to(uint32_t i, const char *text)
{
    struct sealbox_message m;
    uint8_t copy[1024];
    struct err err = { 0 };

    assert_true(got.size[i] <= sizeof copy);
    memcpy(copy, got.content[i], sizeof copy);
    must(sealbox_open_message(&box, copy, got.size[i], clock_unix_ms(), &m, &err), &err);
    assert_true(bytes_equal(m.plain, bytes_of(text)));
    must(sealbox_accept(&box, &m, clock_unix_ms(), &err), &err);
    assert_rc(sealbox_accept(&box, &m, clock_unix_ms(), &err), RC_REPLAY);
}

static void await_log(const char *text)
{
    const uint64_t until = clock_mono_ms() + WAIT_MS;

    while (!log_says(text)) {
        if (clock_mono_ms() > until) {
            explain(text);
            fail_msg("never said: %s", text);
        }
        exchange();
        collect();
    }
}

static void only_the_two_ends_can_read_and_write(void **state)
{
    const struct version v = { .version = "1.0.0",
                               .release = 10,
                               .signer = K_ACME,
                               .probe = "agent_seal",
                               .mail = true,
                               .sealed = true };
    struct message m, bad;

    (void)state;
    start_berthd();
    const struct digest manifest = send_version(&v);
    send_order(1, &manifest);
    await_standing(SLOT_COMMITTED, &manifest);
    end_berthd(SIGTERM, 0);
    lay_key_into_image();
    start_berthd();
    await_log("clear.receipt refused MAIL_SEALED");

    m = seal(&box, SECRET);
    send_sealed("first", &m, 1);
    await_mail(1);
    nobody_has_it();
    assert_string_equal(got.mail[0].name, "first.back");
    opens_to(0, ANSWER);

    /* Somebody on the way sends it again, changes it, sends in the clear, to another's address,
     * sends back what came down. */
    send_sealed("again", &m, 2);
    await_log("again: exit 5");
    await_log("(REPLAY ");
    bad = seal(&box, SECRET);
    bad.b[bad.n - 2] ^= 1; /* in the ciphertext */
    send_sealed("changed", &bad, 3);
    await_log("changed: exit 5");
    await_log("(BPSEC_AUTH ");
    send_content("cam-north", "open", bytes_of("hello"), 4);
    await_event(RC_MAIL_SEALED);
    send_content("cam-north", "back", (struct bytes){ got.content[0], (size_t)got.size[0] }, 5);
    await_event(RC_MAIL_ADDRESS);

    /* What was seen stays seen, and numbers go on, when power was cut. */
    end_berthd(SIGKILL, SIGKILL);
    start_berthd();
    send_sealed("once-more", &m, 6);
    await_log("once-more: exit 5");
    m = seal(&box, SECRET);
    send_sealed("second", &m, 7);
    await_mail(2);
    opens_to(1, ANSWER);
    nobody_has_it();
    the_look_is_sharp();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_the_two_ends_can_read_and_write, open_sealed,
                                        close_sealed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
