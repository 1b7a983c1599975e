/* SPDX-License-Identifier: Apache-2.0
 *
 * link/quota: how much of a spool each tenant may have, and who makes room for whom.  Pure: what is
 * there comes in as a list, and what it says follows from that list alone.
 *
 * An object belongs to the tenant that its sender names (link/transfer), or to nobody in
 * particular,
 * "", which counts as one tenant more.  What is said is not verified: it decides about room, and
 * about nothing else.
 *
 * Packages and mail are bulk and leave a part of everything to documents.  Of the bulk a tenant's
 * share is one place, and 1/TENANTS_MAX of the bytes.  Nobody is held to it while there is room.
 * When there is not, whoever stays within the share gets it from those who are above theirs
 * (quota_victim); whoever would be above is refused, and so takes nothing from anybody.  Documents
 * are in nobody's account and never make room for bulk.
 */
#ifndef BERTH_LINK_QUOTA_H
#define BERTH_LINK_QUOTA_H

#include "base/limits.h"
#include "link/port.h"

/* What may be in a spool at once. */
struct quota_limits {
    uint64_t bytes;         /* of everything */
    uint64_t bulk_bytes;    /* of packages and mail */
    uint32_t way, bulk_way; /* objects under way */
    uint32_t all, bulk_all; /* objects under way or complete */
    uint32_t mails;         /* of those that are mail */
};

/* One object that is there, or wants to be. */
struct quota_item {
    const char *owner; /* tenant, "" = nobody says */
    const uint8_t *digest;
    uint32_t kind;  /* enum object_kind */
    bool whole;     /* complete, or to come in one piece: takes no place among those under way */
    uint64_t bytes; /* that it takes up, or will */
    uint64_t have;  /* of them, what would have to come again */
};

/* What is missing. */
enum quota_lack {
    QUOTA_FITS = 0,
    QUOTA_WAY,   /* a place among those under way */
    QUOTA_PLACE, /* any place */
    QUOTA_MAILS, /* a place for mail */
    QUOTA_BYTES,
};

/* Whether a kind of object is bulk. */
bool quota_is_bulk(uint32_t kind);

/* Bytes of the bulk that every tenant has to itself, if it wants them. */
uint64_t quota_share(const struct quota_limits *limits);

/* What the object lacks beside the n that are there (it is not among them), a place before bytes.
 * other: bytes of bulk that are nobody's object. */
enum quota_lack quota_lacks(const struct quota_limits *limits, const struct quota_item *items,
                            size_t n, uint64_t other, const struct quota_item *want);

/* Which of the n goes so that an object that lacks this may come; n: none, it is refused.  Of the
 * tenant that has most of what is lacking and more than its share, and anything that may go: what
 * is under way before what is complete, a package before mail, and of those the object with least
 * to come again; where all of that is equal, the lower name and digest.  Mail that is complete
 * counts and never goes: the ground was told that it is there. */
size_t quota_victim(const struct quota_limits *limits, const struct quota_item *items, size_t n,
                    const struct quota_item *want, enum quota_lack lack);

/* ---- what was refused and dropped, by tenant --------------------------------------------------
 */

enum quota_reason {
    QUOTA_REFUSED_ROOM, /* no room in the spool */
    QUOTA_REFUSED_DISK, /* the disk is nearly full */
    QUOTA_DROPPED_OLD,  /* had not moved for long, and room was needed */
    QUOTA_DROPPED_ROOM, /* made room for a tenant within its share */
    QUOTA_REASONS
};

static_assert(QUOTA_REASONS == PORT_SPOOL_COUNTS, "each of them is told");

/* Count one.  Entries are sorted by tenant; once there are PORT_SPOOL_MAX, whoever has none counts
 * as "". */
void quota_count(struct port_spool *spool, const char *owner, enum quota_reason reason);

/* Fill in what each tenant with an entry has there now. */
void quota_fill(struct port_spool *spool, const struct quota_item *items, size_t n);

#endif
