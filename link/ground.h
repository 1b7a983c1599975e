/* SPDX-License-Identifier: Apache-2.0
 *
 * link/ground: the ground's end of the link to one satellite: a state directory (keys, counter,
 * replay window), an uplink directory to write bundles into, a downlink directory to read them
 * from, and a sender.  Downlink files are hostile until they open.
 *
 * One process at a time may have a satellite's link open: the state directory is locked.
 */
#ifndef BERTH_LINK_GROUND_H
#define BERTH_LINK_GROUND_H

#include "link/sender.h"
#include "link/state.h"

struct link_ground;

/* Descriptors are duplicated; the caller keeps its own. */
struct link_ground_options {
    int state_dirfd; /* made by link_state_make */
    int up_dirfd;
    int down_dirfd;
    int mail_dirfd;        /* where messages of payloads are put together; 0 = none are taken */
    bool owes;             /* link_ground_owes, of when it was closed */
    struct counter left;   /* link_ground_left, the same; zero = nothing */
    uint64_t up_files_max; /* stop sending while so many bundle files wait there; 0 = 4096 */
    struct sender_options sender;
};

/* What a receive pass met. */
struct link_ground_counts {
    uint32_t files;
    uint32_t objects;
    uint32_t mail;       /* parts of messages */
    uint32_t duplicates; /* RC_REPLAY: benign */
    uint32_t refused;
    struct err last; /* of the refused */
    bool more;       /* others are left, and it is worth going on at once */
};

/* RC_KEY_FILE, RC_COUNTER, RC_STATE_DAMAGED: nothing can be sent or received; RC_BUSY: open
 * elsewhere. */
must_check enum rc link_ground_open(const struct link_ground_options *options,
                                    struct link_ground **ret, struct err *err);
void link_ground_close(struct link_ground **link); /* scope cleaner */

/* Queue an object that fd (O_RDONLY, duplicated) holds.  As sender_add. */
must_check enum rc link_ground_add(struct link_ground *link, const struct sender_object *object,
                                   int fd, struct err *err);

/* A report says that the satellite holds this epoch of a tenant's key ("" = the link's): bundles go
 * out under it from now on.  Durable; an epoch that is not held here changes nothing. */
must_check enum rc link_ground_confirm(struct link_ground *link, const char *tenant, uint32_t epoch,
                                       struct err *err);

/* What keys are held; ret holds LINK_KEYRING_MAX. */
void link_ground_held(const struct link_ground *link, struct link_held *ret, uint32_t *ret_n);

/* What an authentic report says of transfers (sender_report) and of the link: from how many of the
 * bundles sent since this link was opened have come, the sender learns the loss.  True: the
 * satellite has seen counters that were not used yet, so older files were put back in the state
 * directory; the counter goes on beyond them (counter_pass), once in the life of a link. */
bool link_ground_report(struct link_ground *link, const struct port_transfers *report,
                        uint64_t now_ms);

/* The newest report that came before this link was opened, once the queue is back and before
 * anything is sent: what it says of transfers, unless on a one-way link, which needs no reports and
 * must not end by an old one; and of the counter, as link_ground_report.  It says nothing of what
 * went later than came_ms. */
bool link_ground_resume(struct link_ground *link, const struct port_transfers *report,
                        uint64_t came_ms);

/* Whether the satellite has yet to be told what came of its mail: what link_ground_close forgets.
 */
bool link_ground_owes(const struct link_ground *link);

/* What is left of a lease of the counter of the key that is sent under (counter_go_on). */
struct counter link_ground_left(const struct link_ground *link);

/* Bundle files that wait in the uplink directory for whoever carries them. */
must_check enum rc link_ground_waiting(const struct link_ground *link, uint64_t *ret,
                                       struct err *err);

/* Bytes of bundles written since the link was opened. */
uint64_t link_ground_written(const struct link_ground *link);

/* The sender, for sender_remove, sender_at and sender_loss. */
struct sender *link_ground_sender(struct link_ground *link);

/* Install keys that were offered (link_state_offer); then write bundles that are due into the
 * uplink directory, durably, until *budget bytes are used up or nothing is due.  *ret_sent counts
 * files, on failure too; RC_OK also for 0. */
must_check enum rc link_ground_send(struct link_ground *link, uint64_t now_ms, uint64_t *budget,
                                    uint32_t *ret_sent, struct err *err);

/* Install keys that were offered; then open what is in the downlink directory, at most max files
 * and 64, remove what is refused, and call fn for each object that is authentic and not a replay.
 * The files of those, and the window on disk, stay until link_ground_let_go: until then each call
 * gives the same objects again and no others, and behind a restart so does the first one.  So fn
 * must bear the same object twice, and none is lost that was not let go of. */
must_check enum rc link_ground_receive(struct link_ground *link, size_t max,
                                       void (*fn)(void *arg, enum object_kind kind,
                                                  struct bytes object),
                                       void *arg, struct link_ground_counts *ret, struct err *err);

/* What came of the objects is durable: save the window, and only then remove their files.  On
 * failure they come again.  RC_OK when there are none. */
must_check enum rc link_ground_let_go(struct link_ground *link, struct err *err);

/* The i-th message of a payload that has come whole and is not done: its digest is checked, and
 * nothing else.  False behind the last. */
bool link_ground_mail(const struct link_ground *link, size_t i, struct port_object *ret);

/* Open it for reading; the descriptor is the caller's. */
must_check enum rc link_ground_mail_open(struct link_ground *link,
                                         const uint8_t digest[DIGEST_SIZE], int *ret_fd,
                                         struct err *err);

/* It is kept elsewhere, durably, or never will be: it goes, and the satellite hears of it. */
must_check enum rc link_ground_mail_done(struct link_ground *link,
                                         const uint8_t digest[DIGEST_SIZE], struct err *err);

#endif
