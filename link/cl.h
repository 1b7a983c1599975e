/* SPDX-License-Identifier: Apache-2.0
 *
 * link/cl: convergence layers: how bundles get from here to the next node.
 *
 * Each kind is one table of functions.  It is opened with full rights (addresses, certificates,
 * directories), then the process gives up everything (main_berth_cl), and from there it lives in a
 * loop: it says what it waits for, and is given turns.  Bundles come from and go to a cl_store; no
 * kind holds a key of the link, and to all of them a bundle is a row of bytes.
 */
#ifndef BERTH_LINK_CL_H
#define BERTH_LINK_CL_H

#include <poll.h>

#include "base/confine.h"
#include "base/err.h"
#include "link/cl_store.h"

#define CL_FDS 16U /* descriptors that one kind waits for */
#define CL_DIRS 3U /* directories of its own */

/* What the command line said.  Strings are borrowed; NULL = not given. */
struct cl_config {
    const char *listen; /* tcp, udp: ADDRESS:PORT or fd:N */
    const char *peer;   /* tcp, udp: ADDRESS:PORT */
    uint64_t size_max;  /* largest bundle, bytes */
    /* tcp */
    const char *node_id;
    const char *peer_id;
    const char *peer_dns; /* a certificate with this DNS name will do */
    const char *ca;       /* PEM files */
    const char *cert;
    const char *key;
    bool plain;        /* no TLS */
    bool ignore_dates; /* of certificates: for machines without a clock */
    uint64_t keepalive_s;
    uint64_t patience_ms;
    /* udp */
    uint64_t rate;    /* bytes in a second; 0 = as fast as it goes */
    const char *from; /* ADDRESS that datagrams must come from; else that of the peer.  tcp, with
                         listen: of the peer, for whom a place is kept */
    /* dir */
    const char *out; /* the host's directories */
    const char *in;
    const char *suffix;   /* of bundle files there */
    const char *temp;     /* of files that are being written there, in its place */
    uint64_t name_max;    /* bytes of a name there */
    uint64_t files_max;   /* that may wait there */
    bool in_place;        /* write under the final name, never rename */
    const char *out_temp; /* where files are written before they are renamed to out */
    bool any_name;        /* in in every name counts that is not hidden and does not end in temp */
    uint64_t settle_s;    /* there a file counts when nobody wrote to it for so long */
    uint64_t stale_s;     /* and what is no bundle by then is removed */
};

struct cl_kind {
    const char *name;
    bool sockets; /* it makes internet sockets after set-up */
    /* The store stays the caller's, and open as long as *ret. */
    enum rc (*open)(const struct cl_config *config, struct cl_store *store, void **ret,
                    struct err *err);
    /* Directories beside the store's that it needs; at most CL_DIRS.  NULL = none. */
    size_t (*dirs)(const void *cl, struct confine_dir *ret);
    /* What it waits for: at most CL_FDS descriptors, and how long at most. */
    size_t (*wait)(void *cl, uint64_t now_ms, struct pollfd *ret, uint64_t *ret_wait_ms);
    /* One turn: do what can be done now. */
    void (*turn)(void *cl, uint64_t now_ms);
    /* Begin the end; true when nothing is under way any more. */
    bool (*stop)(void *cl, uint64_t now_ms);
    void (*close)(void *cl);
};

extern const struct cl_kind cl_tcp;
extern const struct cl_kind cl_udp;
extern const struct cl_kind cl_dir;

#endif
