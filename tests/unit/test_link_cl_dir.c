/* SPDX-License-Identifier: Apache-2.0
 *
 * link/cl_store and berth-cl dir: files of hosts that have ways of their own.
 */
#include "tests/unit/cl_rig.h"

#include "link/cl_store.h"

/* ---- the store alone ---- */

static void test_names(void **state)
{
    static struct cl_names names;
    int dir = rig_dir("names");
    const char *name = NULL;
    struct err err;
    char want[32];

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(want, sizeof want, "%04u.bundle", i * 7919 % 1000);
        rig_put(dir, want, bytes_of("x"));
    }
    rig_put(dir, "x.part", bytes_of("x"));
    rig_put(dir, "bundle", bytes_of("x"));
    rig_put(dir, ".hidden.bundle", bytes_of("x"));
    cl_names_init(&names, dir, ".bundle");
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 1000; i++) {
            (void)snprintf(want, sizeof want, "%04u.bundle", i);
            assert_rc(cl_names_next(&names, &name, &err), RC_OK);
            assert_non_null(name);
            assert_string_equal(name, want);
        }
        assert_rc(cl_names_next(&names, &name, &err), RC_OK);
        assert_null(name);
        names.hint = true;
    }
    close(dir);
}

static void test_store(void **state)
{
    static struct cl_store store;
    static uint8_t bundle[2000], buf[4096];
    int send = rig_dir("st.send"), recv = rig_dir("st.recv");
    struct bytes b = rig_bundle(7, 1000, bundle);
    struct cl_item item = { .size = -1 };
    struct err err;

    (void)state;
    assert_rc(cl_store_open(send, recv, -1, &store, &err), RC_OK);
    rig_put(send, "a.bundle", (struct bytes){ b.p, b.n / 2 });
    assert_rc(cl_store_read(send, "a.bundle", buf, sizeof buf, &item, &err), RC_SHORT);
    assert_int_equal(item.size, -1);
    cl_store_reject(&store, send, "a.bundle", RC_SHORT); /* somebody may still be writing it */
    assert_int_equal(rig_count(send), 1);
    const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };

    assert_int_equal(utimensat(send, "a.bundle", old, 0), 0);
    cl_store_reject(&store, send, "a.bundle", RC_SHORT);
    assert_int_equal(rig_count(send), 0);
    assert_int_equal(store.counts.garbage, 1);

    rig_put(send, "a.bundle", b);
    assert_rc(cl_store_read(send, "a.bundle", buf, b.n - 1, &item, &err), RC_TOO_LARGE);
    assert_rc(cl_store_read(send, "a.bundle", buf, sizeof buf, &item, &err), RC_OK);
    rig_put(send, "a.bundle", rig_bundle(8, 1000, bundle)); /* another one, under its name */
    cl_store_sent(&store, &item);
    assert_int_equal(rig_count(send), 1);
    assert_rc(cl_store_read(send, "a.bundle", buf, sizeof buf, &item, &err), RC_OK);
    cl_store_sent(&store, &item);
    assert_int_equal(rig_count(send), 0);
    assert_rc(cl_store_read(send, "a.bundle", buf, sizeof buf, &item, &err), RC_NOT_FOUND);

    /* in the order in which they came, behind those that a run before has left */
    assert_rc(cl_store_receive(&store, b, &err), RC_OK);
    assert_rc(cl_store_commit(&store, &err), RC_OK);
    assert_rc(cl_store_open(send, recv, -1, &store, &err), RC_OK);
    assert_int_equal(store.order, 2);
    assert_rc(cl_store_receive(&store, b, &err), RC_OK);
    assert_int_equal(rig_count(recv), 2);
    rig_put(recv, "ffffffffffffffff-0.bundle", b); /* of no use as a number */
    assert_rc(cl_store_open(send, recv, -1, &store, &err), RC_OK);
    assert_int_equal(store.order, 3);
    close(send);
    close(recv);
}

/* ---- berth-cl dir ---- */

static bool is_short_name(void *arg, const char *name)
{
    size_t *n = arg;

    if (name[0] == '.')
        return true;
    if (strlen(name) > 12 || strspn(name, "0123456789abcdef") != 8 || strcmp(name + 8, ".bdl") != 0)
        fail_msg("%s is no name for this host", name);
    ++*n;
    return true;
}

static void write_to(int dir, const char *name, struct bytes part)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, part.p, part.n), part.n);
    (void)fchmod(fd, 0666);
    close(fd);
}

/* A host with short names, no rename, small files, few at a time; uploads that grow in place. */
static void host(int out, int in)
{
    static uint8_t bundle[4096];
    int send = rig_dir("h.send"), recv = rig_dir("h.recv");
    struct bytes b = rig_bundle(1, 1000, bundle);
    size_t n = 0;
    struct err err;

    for (unsigned i = 0; i < 10; i++)
        rig_put_number(send, i, 1000);
    rig_put_number(send, 10, 3000); /* too large for this host */
    struct rig_process p = rig_start("h",
                                     "dir --send @h.send --receive @h.recv --out @h.out --in @h.in "
                                     "--suffix .bdl --name-max 12 --size-max 2000 --files-max 4 "
                                     "--in-place",
                                     -1);

    /* Four wait; when the host has taken them, the next come. */
    rig_until(rig_count(out) == 4, &p);
    rig_until(rig_count(send) == 7, &p);
    assert_rc(fs_list(out, ".", 100, is_short_name, &n, NULL, &err), RC_OK);
    assert_int_equal(n, 4);
    for (unsigned taken = 0; taken < 10;) {
        struct cl_names *names = calloc(1, sizeof *names);
        const char *name = NULL;

        cl_names_init(names, out, ".bdl");
        while (cl_names_next(names, &name, &err) == RC_OK && name) {
            static uint8_t buf[4096];
            struct cl_item item;

            if (cl_store_read(out, name, buf, sizeof buf, &item, &err) == RC_OK) {
                assert_int_equal(unlinkat(out, name, 0), 0);
                taken++;
            }
        }
        free(names);
        assert_true(rig_count(out) <= 4);
        (void)poll(NULL, 0, 5);
    }
    rig_until(rig_count(send) == 1, &p);
    rig_until(rig_said(&p, "too-large-for-host"), &p);

    /* One grows while others come: it is taken when it is whole, and not before. */
    write_to(in, "GROWS.BDL", (struct bytes){ b.p, 500 });
    write_to(in, "UPLOAD.PAR", b);
    write_to(in, "WHOLE.BDL", rig_bundle(0, 1000, bundle));
    rig_until(rig_count(recv) == 1, &p);
    write_to(in, "BROKEN.BDL", bytes_of("\x9f\x88\x06 and so on"));
    rig_until(faccessat(in, "BROKEN.BDL", F_OK, 0) < 0, &p);
    assert_int_equal(faccessat(in, "GROWS.BDL", F_OK, 0), 0);
    assert_int_equal(rig_count(recv), 1);
    b = rig_bundle(1, 1000, bundle);
    write_to(in, "GROWS.BDL", (struct bytes){ b.p + 500, b.n - 500 });
    rig_until(rig_count(recv) == 2, &p);
    rig_until(rig_count(in) == 1, &p);
    assert_int_equal(renameat(in, "UPLOAD.PAR", in, "UPLOAD.BDL"), 0);
    rig_until(rig_count(recv) == 3, &p);
    assert_int_equal(rig_doubles(recv, 2), 1);
    rig_stop(&p);
    if (!rig_said(&p, "sent=10 ") || !rig_said(&p, "received=3 ") || !rig_said(&p, "garbage=1 "))
        fail_msg("%s", rig_log(&p));
    assert_rc(fs_remove_tree(rig.fd, "h.send", &err), RC_OK);
    assert_rc(fs_remove_tree(rig.fd, "h.recv", &err), RC_OK);
    close(send);
    close(recv);
}

static void test_host(void **state)
{
    int out = rig_dir("h.out"), in = rig_dir("h.in");
    struct err err;

    (void)state;
    host(out, in);
    close(out);
    close(in);
    assert_rc(fs_remove_tree(rig.fd, "h.out", &err), RC_OK);
    assert_rc(fs_remove_tree(rig.fd, "h.in", &err), RC_OK);
}

/* With renames, and a temporary file of a run that was cut off. */
static void test_rename(void **state)
{
    int out = rig_dir("r.out"), send = rig_dir("r.send");

    (void)state;
    close(rig_dir("r.in"));
    write_to(out, "0000000000000005.part", bytes_of("cut off"));
    write_to(out, "theirs.part", bytes_of("of the host"));
    write_to(out, "7fffffffffffff00.bundle", bytes_of("of a run before"));
    rig_put_number(send, 0, 100);
    rig_put_number(send, 1, 100);
    struct rig_process p =
        rig_start("r", "dir --send @r.send --receive @r.in --out @r.out --in @r.in", -1);

    rig_until(rig_count(send) == 0, &p);
    rig_stop(&p);
    assert_int_equal(faccessat(out, "7fffffffffffff01.bundle", F_OK, 0), 0);
    assert_int_equal(faccessat(out, "7fffffffffffff02.bundle", F_OK, 0), 0);
    assert_int_equal(faccessat(out, "theirs.part", F_OK, 0), 0);
    assert_int_equal(faccessat(out, "0000000000000005.part", F_OK, 0), -1);
    assert_int_equal(rig_count(out), 4);
    close(out);
    close(send);
}

static int command(const char *program, char *const argv[])
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        if (null < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
            _exit(99);
        (void)execvp(program, argv);
        _exit(98);
    }
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 200;
}

/* The same on FAT: no owners, no modes, two names for one file. */
static void test_vfat(void **state)
{
    char image[128], where[128], options[64];
    int fd = openat(rig.fd, "fat", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    (void)state;
    rig_path(image, "fat");
    rig_path(where, "h");
    assert_int_equal(ftruncate(fd, 4 << 20), 0);
    close(fd);
    assert_int_equal(mkdirat(rig.fd, "h", 0755), 0);
    (void)snprintf(options, sizeof options, "loop,umask=0");
    char *const mkfs[] = { (char[]){ "busybox" }, (char[]){ "mkdosfs" }, image, NULL };
    char *const mount_it[] = { (char[]){ "mount" },
                               (char[]){ "-t" },
                               (char[]){ "vfat" },
                               (char[]){ "-o" },
                               options,
                               image,
                               where,
                               NULL };

    assert_int_equal(command("busybox", mkfs), 0);
    if (command("mount", mount_it) != 0) {
        print_message("skipped: no FAT file system can be mounted here\n");
        skip();
    }
    int fat = openat(rig.fd, "h", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_int_equal(mkdirat(fat, "out", 0777), 0);
    assert_int_equal(mkdirat(fat, "in", 0777), 0);
    assert_int_equal(symlinkat("h/out", rig.fd, "h.out"), 0);
    assert_int_equal(symlinkat("h/in", rig.fd, "h.in"), 0);
    int out = openat(fat, "out", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int in = openat(fat, "in", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    host(out, in);
    close(out);
    close(in);
    close(fat);
    assert_int_equal(umount2(where, MNT_DETACH), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),  cmocka_unit_test(test_store), cmocka_unit_test(test_host),
        cmocka_unit_test(test_rename), cmocka_unit_test(test_vfat),
    };

    return cmocka_run_group_tests(tests, rig_begin_apart, rig_end);
}
