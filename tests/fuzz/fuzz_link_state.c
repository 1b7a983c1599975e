/* SPDX-License-Identifier: Apache-2.0
 *
 * The files of a link besides its keyring: the first byte says which.  What loads makes sense.
 */
#include "base/statefile.h"
#include "link/counter.h"
#include "link/done.h"
#include "link/replay.h"
#include "link/state.h"
#include "tests/fuzz/place.h"

#define KEY 7U
#define FILE_OF_KEY "0000000000000007"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One copy whole, as after a first save. */
static void leave(const char *name, struct bytes content)
{
    static const char *const suffixes[] = { "a", "b" };
    struct err err;

    for (size_t i = 0; i < 2; i++) {
        char file[64];

        (void)snprintf(file, sizeof file, "%s.%s", name, suffixes[i]);
        if (fs_unlink(place(), file, &err) != RC_OK)
            abort();
    }
    if (statefile_save(place(), name, content, &err) != RC_OK)
        abort();
}

static void look(struct bytes offer)
{
    struct link_held held[2 * LINK_KEYRING_MAX];
    uint32_t n = 0;
    struct err err;

    /* There is no keyring, so that looking always ends in a failure: after the offer. */
    if (fs_write_file(place(), "offer-" FILE_OF_KEY, offer, 0600, &err) != RC_OK ||
        link_state_look(place(), held, &n, &err) == RC_OK)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct done done;
    struct bytes in = { 0 };
    struct counter counter;
    struct replay replay;
    struct err err;

    if (size == 0)
        return 0;
    in = (struct bytes){ data + 1, size - 1 };
    switch (data[0] & 3) {
    case 0:
        leave(COUNTER_PREFIX FILE_OF_KEY, in);
        if (counter_load(place(), KEY, &counter, &err) == RC_OK &&
            (counter.next == 0 || counter.key != KEY || counter.next < counter.saved))
            abort();
        break;
    case 1:
        leave(REPLAY_PREFIX FILE_OF_KEY, in);
        if (replay_load(place(), 2, KEY, &replay, &err) == RC_OK &&
            (replay.peer != 2 || replay.key != KEY || replay.high < replay.saved))
            abort();
        break;
    case 2:
        leave("done", in);
        done.n = 0;
        if ((done_load(&done, place(), &err) != RC_OK && done.n > 0) || done.n > DONE_MAX)
            abort();
        break;
    default:
        look(in);
    }
    return 0;
}
