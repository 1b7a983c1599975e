/* SPDX-License-Identifier: Apache-2.0
 *
 * boot/record: which agent starts next, as one small record that berthd writes and berth-boot reads
 * (docs/wire/boot.cddl), and every way in which it may change, as a pure function.
 *
 * berth-boot is part of the programs of the launch and is never replaced: the form of the record is
 * fixed for the life of a satellite.  A record that cannot be read is not "empty": nobody knows
 * then which agent is current, and the programs of the launch start.
 */
#ifndef BERTH_BOOT_RECORD_H
#define BERTH_BOOT_RECORD_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"

#define BOOT_FILE "boot" /* state file in the state directory */
#define BOOT_TRIES 3U    /* starts that a candidate has to prove itself in */
#define BOOT_STARTS_MAX                                                                            \
    10U                      /* starts in a row of the current agent that ended before it was well \
                              */
#define BOOT_RECORD_MAX 192U /* bytes of an encoded record */

/* An agent by the SHA-256 of its manifest; all zero = the programs of the launch. */
struct boot_id {
    uint8_t b[DIGEST_SIZE];
};

bool boot_id_none(const struct boot_id *id);
bool boot_id_same(const struct boot_id *a, const struct boot_id *b);

struct boot_record {
    struct boot_id current;   /* committed last */
    struct boot_id previous;  /* committed before that */
    struct boot_id candidate; /* on trial; none = there is no trial */
    uint32_t tries;           /* starts that the candidate has left */
    uint32_t starts;          /* starts of the current agent since it was well last */
    uint32_t reason;          /* enum rc: why the candidate ended itself; 0 = it did not say */
    uint32_t format;          /* of the agent's state: the candidate must write it so until it has
                                 proven itself; 0 = there is no trial, or no state to go back to */
    uint32_t ran;             /* payloads that were well when the candidate was chosen */
    struct boot_id failed;    /* the agent that failed last; none = none */
    uint32_t code;            /* enum rc: and why */
};

enum boot_event {
    BOOT_EV_START = 0, /* berth-boot: something is to be started */
    BOOT_EV_UNSTARTED, /* berth-boot: what was chosen could not be */
    BOOT_EV_SWITCH,    /* berthd: another agent is installed, whole and ordered */
    BOOT_EV_GIVE_UP,   /* berthd on trial: it ends, because it cannot prove itself */
    BOOT_EV_COMMIT,    /* berthd on trial: it has proven itself */
    BOOT_EV_WELL,      /* berthd, the current one: it is well */
    BOOT_EV_LEAVE,     /* berthd, the current one: its version has been revoked */
    BOOT_EV_STOP,      /* berthd, the current one: its start does not count, since it has ended as
                          asked, or was well but for the keys of the link */
    BOOT_EV_EXCUSE,    /* berthd: the slot of the one that never got well is damaged */
    BOOT_EVENTS
};

/* What comes with an event. */
struct boot_news {
    struct boot_id id;    /* SWITCH: who; UNSTARTED: who was chosen; STOP: who ends; EXCUSE: whose
                             slot; none = of    the launch */
    uint32_t format, ran; /* SWITCH */
    uint32_t code;        /* GIVE_UP */
};

/* Change the record.  After START and UNSTARTED *ret_start (else NULL) is who is to be started,
 * once the record is on disk if it differs; none = the programs of the launch.  RC_TRANSITION, and
 * nothing changed, if the event does not fit: a trial that there is none of, or the candidate is
 * the current one.  RC_NOT_FOUND: not even the programs of the launch can be started. */
must_check enum rc boot_next(struct boot_record *record, enum boot_event event,
                             const struct boot_news *news, struct boot_id *ret_start);

/* Without its trial, as if there had been none. */
void boot_end_trial(struct boot_record *record);

/* How long to wait before the next start, in seconds: the more starts in a row have ended badly the
 * longer, so that what keeps every agent from starting (a late mount, a full table of processes)
 * has the time to pass before all starts are used up. */
#define BOOT_PAUSE_MAX_S 60U
uint32_t boot_pause(const struct boot_record *record);

/* Strict, as everything that is read; *ret is untouched on failure. */
must_check enum rc boot_decode(struct bytes in, struct boot_record *ret, struct err *err);
must_check enum rc boot_encode(const struct boot_record *record, uint8_t *buf, size_t cap,
                               struct bytes *ret, struct err *err);

/* Whether a failure says nothing of what was to be read or started: there was no memory, or no
 * descriptor, just then. */
bool boot_passes(const struct err *err);

/* Load from the state directory.  Never written: RC_OK, and an empty record.  RC_STATE_DAMAGED: not
 * to be read.  RC_IO, RC_NO_MEMORY: it could not be read just now (boot_passes), and may be whole.
 * *ret is untouched on failure. */
must_check enum rc boot_load(int state_dirfd, struct boot_record *ret, struct err *err);

/* The same, and again for some seconds while that fails for a reason that passes; blocks. */
must_check enum rc boot_load_patiently(int state_dirfd, struct boot_record *ret, struct err *err);

/* Save durably: both copies, so that the loss of one brings nothing older back, over damaged ones
 * too. */
must_check enum rc boot_save(int state_dirfd, const struct boot_record *record, struct err *err);

/* The same, and again as boot_load_patiently. */
must_check enum rc boot_save_patiently(int state_dirfd, const struct boot_record *record,
                                       struct err *err);

/* "slots/berth/agent/HEX/root/bin" of an agent, which must not be none. */
#define BOOT_PATH_CAP 128U
void boot_path(const struct boot_id *id, char out[BOOT_PATH_CAP]);

/* HEX, or "launch" for the programs of the launch, and back: what berth-boot tells berthd. */
#define BOOT_NAME_CAP (2U * DIGEST_SIZE + 1U)
void boot_name(const struct boot_id *id, char out[BOOT_NAME_CAP]);
bool boot_name_read(const char *text, struct boot_id *ret);

#endif
