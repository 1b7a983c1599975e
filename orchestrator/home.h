/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/home: the ground's home directory: store.sqlite, or a file "store" that says where
 * the store is (one line: what store_open takes, a path being absolute), objects/ (files named by
 * the hex of their SHA-256), keys/ (private key files, 0700), sats/ID/ (link keys and, unless given
 * elsewhere, up/ and down/).
 *
 * What lies in objects/ was verified when it came in by `berth push`, and may be anything when it
 * came in by `berth uplink`; satellites trust neither.
 */
#ifndef BERTH_ORCHESTRATOR_HOME_H
#define BERTH_ORCHESTRATOR_HOME_H

#include "base/bytes.h"
#include "base/err.h"
#include "manifest/trust.h"
#include "orchestrator/store.h"

#define HOME_PATH_CAP 1024U
#define GROUND_NODE 1U               /* node number of the ground on every link */
#define HOME_FLEET_FILE "fleet-file" /* setting: path of the fleet file that was applied last */

struct home {
    int dirfd;
    char path[HOME_PATH_CAP]; /* absolute */
    struct store *store;
};

/* Open a home directory.  Without create a missing one is RC_NOT_FOUND; with it the directories and
 * the store are made (0700).  Close with home_close (scope cleaner; fine on a zeroed one with dirfd
 * -1). */
#define HOME_NONE                                                                                  \
    {                                                                                              \
        .dirfd = -1                                                                                \
    }
must_check enum rc home_open(const char *path, bool create, struct home *ret, struct err *err);

/* Say where the store of a home is to be, before home_open makes it: the directory and its file
 * "store" (0600: there may be a password in it).  "{home}" in where becomes a name made of the
 * home's path, for fleets that share a database.  RC_EXISTS if the home has a store elsewhere. */
#define HOME_STORE_FILE "store"
#define HOME_STORE_CAP 2048U
must_check enum rc home_place_store(const char *path, const char *where, struct err *err);
/* Where the store of the home at that descriptor and absolute path is. */
must_check enum rc home_store_where(int dirfd, const char *path, char ret[HOME_STORE_CAP],
                                    struct err *err);
/* Replace "{home}" in where; RC_TOO_LARGE. */
must_check enum rc home_store_name(const char *where, const char *path, char ret[HOME_STORE_CAP],
                                   struct err *err);
void home_close(struct home *home);

/* Open a directory that the store names, as those of a satellite's link: a path that is not
 * absolute begins at the home.  The caller closes *ret_fd. */
must_check enum rc home_open_dir(const struct home *home, const char *path, int *ret_fd,
                                 struct err *err);

/* Put bytes, or the first size bytes of a file, into objects/ under their SHA-256; one that is
 * there already is RC_OK.  ret_path gets "objects/HEX", relative to the home.  What a program that
 * was killed left half put is removed by the next home_add_file. */
#define HOME_OBJECT_CAP 80U
must_check enum rc home_add_bytes(const struct home *home, struct bytes content,
                                  struct digest *ret_digest, char ret_path[HOME_OBJECT_CAP],
                                  struct err *err);
must_check enum rc home_add_file(const struct home *home, int fd, uint64_t size,
                                 struct digest *ret_digest, char ret_path[HOME_OBJECT_CAP],
                                 struct err *err);

/* Put a package into objects/ and its row, with an entry of the audit log, into the store: both or
 * neither.  row->object and row->path are set here, all else is the caller's, who has verified the
 * package.  What a program that was killed in between put there is removed by the next that puts a
 * file, unless something else names it by then.  store_put_package's codes. */
must_check enum rc home_add_package(const struct home *home, int fd, struct store_package *row,
                                    uint64_t now_ms, struct err *err);

/* Open an object for reading and give its size. */
must_check enum rc home_open_object(const struct home *home, const struct digest *digest,
                                    int *ret_fd, uint64_t *ret_size, struct err *err);

/* The mission's trust: every root, grant, revocation and delegation of the store taken by the
 * verifier that flies, in the order in which they were published, as a satellite that missed none
 * has taken them.  RC_TRUST_MISSING before `berth fleet init`.  Free with trust_free. */
must_check enum rc home_trust(const struct home *home, uint64_t now_ms, struct trust **ret,
                              struct err *err);

/* The same of one satellite: only what it holds, as far as `holds` says; what cannot be taken after
 * that is left out, as there. */
struct home_holds {
    bool (*holds)(void *arg, const struct store_entry *entry, struct bytes envelope);
    void *arg;
};
must_check enum rc home_trust_of(const struct home *home, const struct home_holds *who,
                                 uint64_t now_ms, struct trust **ret, struct err *err);

/* Path of the operator's private key file: as `berth fleet init` recorded it.  RC_KEY_FILE if none
 * was. */
must_check enum rc home_operator_key(const struct home *home, char *out, size_t cap,
                                     struct err *err);

/* A signed document that every satellite gets: as store_put_document wants it. */
struct home_document {
    enum doc_type type; /* root, grant, revocation or delegation */
    const char *name;
    uint64_t version;
    struct bytes envelope;
};

/* Keep a document and queue it for every satellite, all of it or nothing; within the caller's
 * transaction if one is open.  It lies in objects/ even if there is no satellite yet.  Those that
 * are provisioned later get it then.  ret_satellites: for how many it was queued. */
must_check enum rc home_publish(const struct home *home, const struct home_document *doc,
                                uint64_t now_ms, size_t *ret_satellites, struct err *err);

/* Queue an object for a satellite: add its bytes to objects/ and the row to the store.  again: send
 * it even though it went there before. */
must_check enum rc home_queue_bytes(const struct home *home, const char *satellite, unsigned kind,
                                    struct bytes content, bool again, uint64_t now_ms,
                                    struct err *err);

#endif
