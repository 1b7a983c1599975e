/* SPDX-License-Identifier: Apache-2.0
 *
 * A version that is a virtual machine, from the ground to its commit: the real berthd, with a
 * program that stands in for a tender.  Needs root.
 */
#include "tests/unit/test.h"

#include "tests/unit/agent_sky.h"

static const struct version machine = { .version = "1.0",
                                        .how = "wait",
                                        .release = 1,
                                        .signer = K_ACME,
                                        .probe = "vm_tender",
                                        .vm = true };

static void provision_machines(bool may)
{
    scoped(close_fd) int trust = openat(sky->state, TRUST_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct grant grant = doc_grant();
    struct err err = { 0 };

    grant.expires_ms = 0;
    grant.total.memory_bytes = 256U << 20;
    grant.may.vm = may;
    doc_signed(&signed_doc_, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
    must(fs_write_file(trust, "grant-acme.cose", signed_doc_.bytes, 0600, &err), &err);
}

/* A tree with the stand-in, and a list that names it. */
static void list_tender(void)
{
    static const char *const dirs[] = { "proc", "dev", "tmp", "run", "data", "slot" };
    static char path[128];
    char line[160];
    scoped(close_fd) int tree = make_dir(sky->dir.fd, "tender");
    scoped(close_fd) int usr = make_dir(tree, "usr");
    scoped(close_fd) int bin = make_dir(usr, "bin");

    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
        int dir = make_dir(tree, dirs[i]);

        assert_int_equal(fchmod(dir, 0755), 0);
        close_fd(&dir);
    }
    copy_built(bin, "tests/probe/vm_tender", "tender");
    assert_int_equal(fchmod(tree, 0755) | fchmod(usr, 0755) | fchmod(bin, 0755), 0);
    assert_int_equal(fchmodat(bin, "tender", 0755, 0), 0);
    (void)snprintf(line, sizeof line, "tender solo5 %s/tender\n", sky->dir.path);
    put_file(sky->dir.fd, "devices.conf", line, 0644);
    (void)snprintf(path, sizeof path, "%s/devices.conf", sky->dir.path);
    sky->devices = path;
}

static void commits_a_machine(void **state)
{
    (void)state;
    provision_machines(true);
    list_tender();
    start_berthd();
    struct digest digest = send_version(&machine);
    send_order(1, &digest);
    await_standing(SLOT_COMMITTED, &digest);
    run_on(2);
    await_standing(SLOT_COMMITTED, &digest);
    end_berthd(SIGTERM, 0);
}

static void refuses_a_machine_where_no_tender_is(void **state)
{
    (void)state;
    provision_machines(true);
    start_berthd();
    struct digest digest = send_version(&machine);
    send_order(1, &digest);
    await_event(RC_NOT_BUILT);
    await("what is not listed", has_event_about,
          "acme/cam-north: mounts: isolation: vm: no tender solo5 is liste");
    assert_false(sky->report.n_payloads > 0 && sky->report.payload[0].is_running);
    end_berthd(SIGTERM, 0);
}

static void refuses_a_machine_that_is_not_granted(void **state)
{
    (void)state;
    provision_machines(false);
    list_tender();
    start_berthd();
    struct digest digest = send_version(&machine);
    send_order(1, &digest);
    await_event(RC_GRANT_EXCEEDED);
    await("what is not granted", has_event_about, "acme/cam-north: isolation");
    end_berthd(SIGTERM, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(commits_a_machine, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(refuses_a_machine_where_no_tender_is, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(refuses_a_machine_that_is_not_granted, sky_open, sky_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
