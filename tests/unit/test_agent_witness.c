/* SPDX-License-Identifier: Apache-2.0
 *
 * What a satellite keeps of the ground's audit log: the furthest head that an order brought, over
 * restarts and a damaged copy.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/witness.h"
#include "base/fs.h"
#include "tests/unit/documents.h"

static struct err err;

static struct digest digest_of(uint8_t fill)
{
    struct digest d;

    memset(d.b, fill, sizeof d.b);
    return d;
}

static struct witness seen(uint64_t seq, uint8_t fill)
{
    return (struct witness){ .seq = seq, .head = digest_of(fill) };
}

static void the_file_on_board_is_strict(void **state)
{
    static const struct {
        uint8_t n, bytes[8];
    } bad[] = { { 0, { 0 } },
                { 1, { 0x80 } },
                { 2, { 0x81, 1 } },
                { 3, { 0x82, 0, 0 } },
                { 4, { 0x82, 1, 0x40, 0 } },
                { 3, { 0x83, 1, 1 } } };
    struct witness w = seen(9, 9);

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_not_equal(witness_decode((struct bytes){ bad[i].bytes, bad[i].n }, &w, &err),
                             RC_OK);
        assert_int_equal(w.seq, 9);
    }
}

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/berth-witness-XXXXXX");
    assert_non_null(mkdtemp(dir));
    return 0;
}

static int remove_dir(void **state)
{
    scoped(close_fd) int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)state;
    return fs_remove_tree(tmp, dir + strlen("/tmp/"), &err) == RC_OK ? 0 : 1;
}
static void take(struct agent *a, uint64_t seq, uint8_t fill)
{
    struct order order = doc_order();

    order.witness = seq > 0 ? seen(seq, fill) : (struct witness){ 0 };
    witness_take(a, &order);
}

static void only_what_is_further_is_kept(void **state)
{
    static struct agent a, again;

    (void)state;
    a = again = (struct agent){ .state_dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
    witness_load(&a);
    assert_int_equal(a.witness.seq, 0);
    take(&a, 0, 0);
    assert_int_equal(faccessat(a.state_dir, "witness.a", F_OK, 0), -1);
    take(&a, 5, 1);
    take(&a, 5, 2); /* another log of the same length */
    take(&a, 4, 3);
    take(&a, 0, 0);
    witness_load(&again);
    assert_int_equal(again.witness.seq, 5);
    assert_memory_equal(&again.witness.head, &(struct digest[]){ digest_of(1) }, DIGEST_SIZE);
    take(&a, 6, 4);
    /* one copy that the disk has eaten brings nothing back */
    assert_rc(fs_write_file(a.state_dir, "witness.a", bytes_of("junk"), 0600, &err), RC_OK);
    witness_load(&again);
    assert_int_equal(again.witness.seq, 6);
    assert_rc(fs_write_file(a.state_dir, "witness.b", bytes_of("junk"), 0600, &err), RC_OK);
    again.witness = (struct witness){ 0 };
    witness_load(&again);
    assert_int_equal(again.witness.seq, 0);
    take(&again, 7, 4); /* and the next order is kept again */
    a.witness = (struct witness){ 0 };
    witness_load(&a);
    assert_int_equal(a.witness.seq, 7);
    close_fd(&a.state_dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_file_on_board_is_strict),
        cmocka_unit_test_setup_teardown(only_what_is_further_is_kept, make_dir, remove_dir),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
