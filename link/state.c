/* SPDX-License-Identifier: Apache-2.0 */
#include "link/state.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define KEY_NAME "key"

/* Of one side: the node number of the other. */
static uint32_t peer_of(enum link_side side, const struct keys *keys)
{
    return side == LINK_SIDE_GROUND ? keys->satellite : keys->ground;
}

enum rc link_state_make(int dirfd, enum link_side side, const struct keys *keys, struct err *err)
{
    static const char *const names[] = { KEY_NAME ".a", KEY_NAME ".b" };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (faccessat(dirfd, names[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
            return err_set(err, RC_EXISTS, "link key %s", names[i]);
    }
    enum rc rc = counter_make(dirfd, keys->epoch, err);
    if (rc == RC_OK)
        rc = replay_make(dirfd, peer_of(side, keys), keys->epoch, err);
    /* The key comes last: a state that was cut off here has none and can be made again. */
    return rc == RC_OK ? keys_save(dirfd, KEY_NAME, keys, err) : rc;
}

enum rc link_state_open(int dirfd, enum link_side side, struct link_state *ret, struct err *err)
{
    scoped(link_state_done) struct link_state state = { .side = side, .dirfd = dirfd };
    enum rc rc = keys_load(dirfd, KEY_NAME, &state.keys, err);

    if (rc == RC_OK && counter_load(dirfd, state.keys.epoch, &state.counter, err) != RC_OK)
        state.counter.broken = true; /* the other direction still works */
    if (rc == RC_OK)
        rc = replay_load(dirfd, peer_of(side, &state.keys), state.keys.epoch, &state.replay, err);
    if (rc == RC_OK)
        *ret = state;
    return rc;
}

void link_state_done(struct link_state *state)
{
    keys_wipe(&state->keys);
}

uint32_t link_state_self(const struct link_state *state)
{
    return state->side == LINK_SIDE_GROUND ? state->keys.ground : state->keys.satellite;
}

uint32_t link_state_peer(const struct link_state *state)
{
    return peer_of(state->side, &state->keys);
}

const struct link_keys *link_state_send_keys(const struct link_state *state)
{
    return state->side == LINK_SIDE_GROUND ? &state->keys.up : &state->keys.down;
}

const struct link_keys *link_state_receive_keys(const struct link_state *state)
{
    return state->side == LINK_SIDE_GROUND ? &state->keys.down : &state->keys.up;
}
