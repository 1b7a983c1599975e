/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/scrub and agent/repair with the real programs: bits flip everywhere in the state directory
 * while a payload runs.  It goes on; what was hit is found, counted and whole again.
 */
#include "tests/unit/test.h"

#include <ftw.h>

#include "agent/repair.h"
#include "tests/unit/agent_sky.h"

static const struct version v1 = { "1.0", "good", 1, 0, K_ACME };
static const struct version v2 = { "2.0", "good", 2, 0, K_ACME };
static const struct version large = { "3.0", "good", 3, 1 << 20, K_ACME };

/* What the ground has: the package that the satellite may ask for, and whether it was offered. */
static struct {
    int package; /* -1 = none */
    struct digest manifest;
    bool offered;
} shop = { .package = -1 };

/* ---- flipping -----------------------------------------------------------------------------------
 */

#define FILES_MAX 96U

static struct {
    size_t n;
    char path[FILES_MAX][256]; /* below the state directory */
} all;

/* Payloads' own data, logs and locks hold no digest to compare with; a slot's note of its package
 * is found out by what it does not name; what provisioning left is read once. */
static bool is_covered(const char *path)
{
    static const char *const parts[] = { "/data/",      "/reserve/",     "/log/", "/staging/",
                                         "/spool/rej/", "/spool/ready/", ".cose", "/lock" };
    size_t n = strlen(path);

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strstr(path, parts[i]))
            return false;
    return n < 7 || strcmp(path + n - 7, "/object") != 0;
}

static int on_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    size_t skip = strlen(sky->dir.path) + strlen("/state/");

    (void)ftw;
    if (type != FTW_F || st->st_size == 0 || !is_covered(path + skip - 1))
        return 0;
    assert_true(all.n < FILES_MAX);
    (void)snprintf(all.path[all.n++], sizeof all.path[0], "%s", path + skip);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void find_all(void)
{
    char top[128];

    all.n = 0;
    (void)snprintf(top, sizeof top, "%s/state", sky->dir.path);
    assert_int_equal(nftw(top, on_file, 16, FTW_PHYS), 0);
    qsort(all.path, all.n, sizeof all.path[0], by_name);
}

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return *seed >> 33;
}

/* One bit of a file, below `end` bytes of it (0 = anywhere).  False: it has gone meanwhile. */
static bool flip(const char *path, uint64_t *seed, uint64_t end)
{
    scoped(close_fd) int fd = openat(sky->state, path, O_RDWR | O_CLOEXEC);
    struct stat st = { 0 };
    uint8_t byte = 0;

    if (fd < 0)
        return false;
    assert_int_equal(fstat(fd, &st), 0);
    off_t at = (off_t)(next_random(seed) % (end > 0 ? end : (uint64_t)st.st_size));
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= (uint8_t)(1U << (next_random(seed) % 8));
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    return true;
}

/* Only what has come of an object under way can be wrong. */
static bool flip_somewhere(const char *path, uint64_t *seed)
{
    return flip(path, seed, strstr(path, ".part") ? 4096 : 0);
}

/* ---- asking for a round -------------------------------------------------------------------------
 */

/* Remember the package that is kept on board as what the ground has. */
static void stock(const struct digest *manifest)
{
    char hex[2 * DIGEST_SIZE + 1], path[200];
    struct digest object = { 0 };
    uint8_t digest[DIGEST_SIZE];
    struct stat st = { 0 };
    size_t n = 0;
    struct err err = { 0 };

    (void)snprintf(path, sizeof path, "slots/acme/cam-north/%s/object",
                   bytes_hex((struct bytes){ manifest->b, DIGEST_SIZE }, hex));
    must(fs_read_file(sky->state, path, object.b, sizeof object.b, &n, &err), &err);
    (void)bytes_hex((struct bytes){ object.b, DIGEST_SIZE }, hex);
    (void)snprintf(path, sizeof path, "objects/sha256/%.2s/%s", hex, hex + 2);
    scoped(close_fd) int fd = openat(sky->state, path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(fstat(fd, &st), 0);
    close_fd(&shop.package);
    shop.package = memfd_create("package", MFD_CLOEXEC);
    must(fs_copy_digest(fd, shop.package, (uint64_t)st.st_size, digest, &err), &err);
    shop.manifest = *manifest;
    shop.offered = false;
}

/* The ground offers what a report asks for, once. */
static void serve(void)
{
    const struct report_scrub *s = &sky->report.scrub;
    bool wanted = false;

    for (uint32_t i = 0; i < s->n_wanted; i++)
        wanted |= digest_same(&s->wanted[i], &shop.manifest);
    if (wanted && !shop.offered) {
        sky->offer = true;
        send_object(OBJECT_PACKAGE, shop.package, NULL);
        sky->offer = false;
    }
    shop.offered = wanted;
}

static void scrub_until(const char *what, bool (*said)(const struct report *r, const void *arg),
                        const void *arg)
{
    uint64_t until = clock_mono_ms() + WAIT_MS;

    while (!said(&sky->report, arg)) {
        if (clock_mono_ms() > until) {
            const struct report_scrub *s = &sky->report.scrub;

            explain(what);
            fail_msg("%s: rounds %u damaged %u repaired %u asked %u wanted %u", what, s->rounds,
                     s->damaged, s->repaired, s->asked, s->n_wanted);
        }
        serve();
        exchange();
        assert_int_equal(waitpid(sky->berthd, NULL, WNOHANG), 0);
    }
}

static bool has_ended(const struct report *r, const void *arg)
{
    return r->scrub.rounds >= *(const uint32_t *)arg;
}

static bool is_whole(const struct report *r, const void *arg)
{
    return has_ended(r, arg) && r->scrub.damaged == r->scrub.repaired && r->scrub.n_wanted == 0;
}

/* A whole round now, and all that it finds is repaired. */
static void scrub_round(const char *what)
{
    uint32_t rounds = sky->report.scrub.rounds + 1;

    assert_int_equal(kill(sky->berthd, SIGUSR1), 0);
    scrub_until(what, is_whole, &rounds);
}

static void assert_undisturbed(const struct digest *running)
{
    const struct report_payload *p = &sky->report.payload[0];

    assert_true(p->is_running);
    assert_int_equal(p->state, SLOT_COMMITTED);
    assert_int_equal(p->restarts, 0);
    assert_memory_equal(&p->running, running, sizeof *running);
    assert_int_equal(sky->report.lost, 0);
    assert_int_equal(sky->report.generation, 1);
}

/* ---- a satellite with everything on it ----------------------------------------------------------
 */

static noinline void stage_order(const struct digest *manifest)
{
    struct order order = { .satellite = "aurora-1", .generation = 2, .staged = true };

    order.issued_ms = ISSUED_MS;
    order.n_lines = 1;
    order.line[0] = (struct order_line){ .tenant = "acme", .name = "cam-north" };
    order.line[0].manifest = *manifest;
    doc_signed(&signed_doc_, DOC_ORDER, order_encode, &order, K_OPERATOR_A);
    send_document(OBJECT_ORDER, signed_doc_.bytes);
}

static bool has_staged(const struct report *r, const void *arg)
{
    return r->staged == *(const uint64_t *)arg;
}

static bool has_transfer(const struct report *r, const void *arg)
{
    (void)arg;
    return r->n_transfers == 1 && r->transfer[0].chunks > 4 && r->transfer[0].missing[0].first > 1;
}

/* Begin to send a package, and give up.  After each chunk or two a report is waited for: a slow
 * satellite would have all of the package before it says that it has some. */
static void leave_half_a_package(void)
{
    struct sender *sender = link_ground_sender(sky->link);
    struct sender_progress at;
    uint64_t until = clock_mono_ms() + WAIT_MS;

    (void)send_version(&large);
    while (!has_transfer(&sky->report, NULL)) {
        uint32_t reports = sky->reports;

        exchange_some(40000);
        while (sky->reports == reports) {
            assert_true(clock_mono_ms() < until);
            exchange_some(0);
        }
    }
    for (size_t i = 0; sender_at(sender, i, &at);)
        if (at.complete || !sender_remove(sender, at.digest))
            i++;
}

/* One payload runs, an order waits, a package is half there. */
static struct digest furnish(void)
{
    const uint64_t two = 2;

    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    stock(&d1);
    stage_order(&d1);
    await("staged", has_staged, &two);
    leave_half_a_package();
    return d1;
}

/* ---- the tests ----------------------------------------------------------------------------------
 */

/* The programs write these anew by themselves, and may have done so before the round. */
static bool is_rewritten(const char *path)
{
    return strncmp(path, "agent.", 6) == 0 || strncmp(path, "link/counter", 12) == 0 ||
           strncmp(path, "link/replay", 11) == 0 || strncmp(path, "spool/done", 10) == 0;
}

/* Every file that there is, one after the other. */
static void every_file_is_repaired(void **state)
{
    uint64_t seed = 1;

    (void)state;
    struct digest d1 = furnish();
    scrub_round("first round");
    assert_int_equal(sky->report.scrub.damaged, 0);
    find_all();
    assert_true(all.n >= 25);
    for (size_t i = 0; i < all.n; i++) {
        uint32_t before = sky->report.scrub.damaged;

        if (!flip_somewhere(all.path[i], &seed)) {
            assert_true(is_rewritten(all.path[i]));
            continue;
        }
        scrub_round(all.path[i]);
        if (sky->report.scrub.damaged == before && !is_rewritten(all.path[i]))
            fail_msg("%s: nothing was found", all.path[i]);
        assert_undisturbed(&d1);
    }
    uint32_t found = sky->report.scrub.damaged;
    scrub_round("last round");
    assert_int_equal(sky->report.scrub.damaged, found);
    assert_true(found >= all.n - 10);
    await_event(RC_REPAIRED);

    end_berthd(SIGKILL, SIGKILL); /* and a start finds nothing amiss */
    start_berthd();
    await_standing(SLOT_COMMITTED, &d1);
    assert_undisturbed(&d1);
    assert_int_equal(sky->report.staged, 2);
    scrub_round("after a restart");
    assert_int_equal(sky->report.scrub.damaged, 0);
}

/* Anywhere, several at a time, but not in both copies of what only the other copy can mend. */
static void hundreds_of_flips(void **state)
{
    uint64_t seed = 20261129;
    uint32_t flips = 0;

    (void)state;
    struct digest d1 = furnish();
    for (int round = 0; round < 40; round++) {
        find_all();
        for (uint64_t n = 4 + next_random(&seed) % 6; n > 0; n--) {
            const char *path = all.path[next_random(&seed) % all.n];
            size_t len = strlen(path);

            if (strcmp(path + len - 2, ".b") == 0 && strncmp(path, "link/", 5) != 0)
                continue;
            flips += flip_somewhere(path, &seed);
        }
        scrub_round("flips");
        assert_undisturbed(&d1);
    }
    assert_true(flips >= 150);
    print_message("%u flips, %u found, %u asked for\n", flips, sky->report.scrub.damaged,
                  sky->report.scrub.asked);
    end_berthd(SIGTERM, 0);
    start_berthd();
    await_standing(SLOT_COMMITTED, &d1);
    assert_undisturbed(&d1);
    scrub_round("after a restart");
    assert_int_equal(sky->report.scrub.damaged, 0);
}

/* Both copies of what memory holds: written anew from it, and no number is forgotten. */
static void both_copies_from_memory(void **state)
{
    static const char *const names[] = { "agent", "rekey", "trust/root", "trust/grant-acme",
                                         "link/key" };
    uint64_t seed = 5;

    (void)state;
    struct digest d1 = furnish();
    uint64_t events = sky->report.event[0].seq, epoch = sky->report.epoch;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[64];

        (void)snprintf(path, sizeof path, "%s.a", names[i]);
        assert_true(flip(path, &seed, 0));
        (void)snprintf(path, sizeof path, "%s.b", names[i]);
        assert_true(flip(path, &seed, 0));
        scrub_round(names[i]);
        assert_undisturbed(&d1);
    }
    end_berthd(SIGKILL, SIGKILL);
    start_berthd();
    await_standing(SLOT_COMMITTED, &d1);
    assert_undisturbed(&d1);
    assert_int_equal(sky->report.epoch, epoch + 1);
    assert_true(sky->report.n_events == 0 || sky->report.event[0].seq > events);
}

/* Both copies of an order: told, and nothing else happens; the next start goes by the record. */
static void both_copies_of_an_order(void **state)
{
    uint64_t seed = 6;

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    assert_true(flip("order.a", &seed, 0));
    assert_true(flip("order.b", &seed, 0));
    uint32_t rounds = sky->report.scrub.rounds + 1;
    assert_int_equal(kill(sky->berthd, SIGUSR1), 0);
    scrub_until("order", has_ended, &rounds);
    await_event(RC_STATE_DAMAGED);
    assert_int_equal(sky->report.scrub.damaged, 2);
    assert_int_equal(sky->report.scrub.repaired, 0);
    assert_undisturbed(&d1);

    end_berthd(SIGTERM, 0);
    start_berthd();
    await_standing(SLOT_COMMITTED, &d1);
    assert_int_equal(sky->report.generation, 1); /* never "none" */
}

/* One flipped bit in a package of 1 MB: the offer of it, and one chunk. */
static void one_bit_costs_one_chunk(void **state)
{
    const uint64_t chunk = 16384;
    uint64_t seed = 7;

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&large);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    stock(&d1);
    /* What is counted is what was asked for, not what is sent twice because a report was slow. */
    link_ground_close(&sky->link);
    open_link_with(WAIT_MS, WAIT_MS);
    find_all();
    size_t i = 0;
    while (i < all.n && strncmp(all.path[i], "objects/", 8) != 0)
        i++;
    assert_true(i < all.n && flip(all.path[i], &seed, 0));
    sky->sent = 0;
    scrub_round("package");
    print_message("%llu bytes on the uplink\n", (unsigned long long)sky->sent);
    assert_int_equal(sky->report.scrub.asked, 1);
    assert_true(sky->sent > chunk && sky->sent < 3 * chunk);
    assert_undisturbed(&d1);
}

/* What runs from a damaged slot goes on from the old tree, which is gone when it has ended; what is
 * damaged while nothing runs is repaired before it starts, without the version before it. */
static void slots_are_exchanged(void **state)
{
    static const struct version noisy = { "1.0", "good", 1, 5000, K_ACME };
    static const char *const files[] = { "noise", "bin/app" }; /* nobody can write what runs */
    char path[200], hex[2 * DIGEST_SIZE + 1];
    uint64_t seed = 8;

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&noisy);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    stock(&d1);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        (void)snprintf(path, sizeof path, "slots/acme/cam-north/%s/root/%s",
                       bytes_hex((struct bytes){ d1.b, DIGEST_SIZE }, hex), files[i]);
        assert_true(flip(path, &seed, 0));
        scrub_round("slot");
        assert_undisturbed(&d1);
        assert_int_equal(entries_in(sky->state, "staging"), 1);
    }
    assert_int_equal(sky->report.scrub.asked, 0);
    struct digest d2 = send_version(&v2);
    send_order(2, &d2);
    await_standing(SLOT_COMMITTED, &d2);
    for (uint64_t until = clock_mono_ms() + WAIT_MS; entries_in(sky->state, "staging") > 0;) {
        assert_true(clock_mono_ms() < until);
        exchange();
    }

    end_berthd(SIGTERM, 0);
    (void)snprintf(path, sizeof path, "slots/acme/cam-north/%s/root/bin/app",
                   bytes_hex((struct bytes){ d2.b, DIGEST_SIZE }, hex));
    assert_true(flip(path, &seed, 0));
    start_berthd();
    await_event(RC_REPAIRED);
    await_standing(SLOT_COMMITTED, &d2);
    assert_int_equal(sky->report.scrub.asked, 0);
}

static void wait_grows(void **state)
{
    static const struct {
        uint32_t asks;
        uint64_t hours;
    } rows[] = { { 1, 0 }, { 3, 0 }, { 4, 1 }, { 5, 2 }, { 8, 16 }, { 9, 24 }, { UINT32_MAX, 24 } };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(repair_wait_ms(rows[i].asks), rows[i].hours * 3600U * 1000U);
}

static const char *path_of_slot(const struct digest *manifest, const char *part)
{
    static char path[200];
    char hex[2 * DIGEST_SIZE + 1];

    (void)snprintf(path, sizeof path, "slots/acme/cam-north/%s/%s",
                   bytes_hex((struct bytes){ manifest->b, DIGEST_SIZE }, hex), part);
    return path;
}

static void lose_kept_package(const struct digest *manifest)
{
    char path[128], hex[2 * DIGEST_SIZE + 1];
    struct digest object = { 0 };
    struct err err = { 0 };
    size_t n = 0;

    must(fs_read_file(sky->state, path_of_slot(manifest, "object"), object.b, sizeof object.b, &n,
                      &err),
         &err);
    (void)bytes_hex((struct bytes){ object.b, DIGEST_SIZE }, hex);
    (void)snprintf(path, sizeof path, "objects/sha256/%.2s/%s", hex, hex + 2);
    assert_int_equal(unlinkat(sky->state, path, 0), 0);
}

/* The package that is asked for, with a byte of its content changed: of no use. */
static void offer_useless(uint32_t n)
{
    scoped(close_fd) int junk = memfd_create("junk", MFD_CLOEXEC);
    uint8_t digest[DIGEST_SIZE], byte = 0;
    struct stat st = { 0 };
    struct err err = { 0 };

    assert_int_equal(fstat(shop.package, &st), 0);
    assert_int_equal(lseek(shop.package, 0, SEEK_SET), 0);
    must(fs_copy_digest(shop.package, junk, (uint64_t)st.st_size, digest, &err), &err);
    assert_int_equal(pread(junk, &byte, 1, st.st_size - 1 - n), 1);
    byte ^= 1;
    assert_int_equal(pwrite(junk, &byte, 1, st.st_size - 1 - n), 1);
    sky->offer = true;
    send_object(OBJECT_PACKAGE, junk, NULL);
    sky->offer = false;
}

/* Each time that it is asked for, until the satellite has enough of it. */
static uint32_t offer_useless_until_told(void)
{
    uint64_t until = clock_mono_ms() + WAIT_MS;
    uint32_t offered = 0, asked = 0;

    const enum rc code = RC_REPAIR_REFUSED;

    while (!has_event(&sky->report, &code)) {
        assert_true(clock_mono_ms() < until);
        if (sky->report.scrub.n_wanted > 0 && sky->report.scrub.asked > asked) {
            asked = sky->report.scrub.asked;
            offer_useless(offered++);
        }
        exchange();
    }
    return offered;
}

/* A slot that cannot be repaired stays, and is not started; what is sent for it is of no use, three
 * times, and is not asked for at once again.  A good one is welcome all the same. */
static void useless_packages_are_asked_for_less_often(void **state)
{
    uint64_t seed = 9;

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    stock(&d1);
    end_berthd(SIGTERM, 0);
    lose_kept_package(&d1);
    assert_true(flip(path_of_slot(&d1, "root/bin/app"), &seed, 0));

    start_berthd();
    assert_int_equal(offer_useless_until_told(), REPAIR_ASKS_MAX);
    assert_int_equal(sky->report.scrub.n_wanted, 0);
    assert_int_equal(sky->report.payload[0].is_running, false);
    assert_int_equal(faccessat(sky->state, path_of_slot(&d1, "root"), F_OK, 0), 0);

    sky->offer = true;
    send_object(OBJECT_PACKAGE, shop.package, NULL);
    sky->offer = false;
    await_standing(SLOT_COMMITTED, &d1);
    scrub_round("whole again");
    assert_int_equal(sky->report.scrub.n_wanted, 0);
}

static int close_shop(void **state)
{
    close_fd(&shop.package);
    return sky_close(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_file_is_repaired, sky_open, close_shop),
        cmocka_unit_test_setup_teardown(both_copies_from_memory, sky_open, close_shop),
        cmocka_unit_test_setup_teardown(both_copies_of_an_order, sky_open, close_shop),
        cmocka_unit_test_setup_teardown(one_bit_costs_one_chunk, sky_open, close_shop),
        cmocka_unit_test_setup_teardown(slots_are_exchanged, sky_open, close_shop),
        cmocka_unit_test(wait_grows),
        cmocka_unit_test_setup_teardown(useless_packages_are_asked_for_less_often, sky_open,
                                        close_shop),
        cmocka_unit_test_setup_teardown(hundreds_of_flips, sky_open, close_shop),
    };

    if (geteuid() != 0) {
        print_message("needs root\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
