/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/outlook: the contacts of a fleet file's satellites in a span of time: the files that
 * it names are read, elements and ephemerides are held over the stations, contact plans taken in.
 *
 * A file that cannot be read is an error, which names satellite and file.  Elements that are not
 * good for the span are no error: the satellite has no contacts, and a note says why.
 */
#ifndef BERTH_ORCHESTRATOR_OUTLOOK_H
#define BERTH_ORCHESTRATOR_OUTLOOK_H

#include "orchestrator/contact.h"
#include "orchestrator/fleet.h"

#define OUTLOOK_NOTE_CAP 96U
#define OUTLOOK_OLD_MS (14LL * 24 * 3600 * 1000) /* elements this far from the span are told */

struct outlook {
    struct contact_station station[FLEET_STATIONS_MAX]; /* as in the file */
    struct contacts contacts;                           /* sorted */
    char (*note)[OUTLOOK_NOTE_CAP];                     /* of each satellite, "" = none */
    struct digest files; /* over what the files that were read hold, in the order of satellites */
};

struct outlook_input {
    const struct fleet *fleet;
    const char *path;       /* of the fleet file: other files are named from its directory */
    const char *satellite;  /* only this one; NULL = all */
    int64_t from_ms, to_ms; /* Unix time */
    int64_t reference_ms;   /* contact plans' relative times count from here */
    /* As in struct contact_search. */
    struct contact_goodput (*goodput)(void *arg, uint32_t station, uint32_t satellite);
    void *arg;
};

/* RC_TLE, RC_CONTACTS, RC_NOT_FOUND and the like name the file; RC_ORBIT: a span that is too long.
 * Free with outlook_free (scope cleaner). */
must_check enum rc outlook_make(const struct outlook_input *in, struct outlook **ret,
                                struct err *err);
void outlook_free(struct outlook **outlook);

/* The file that a satellite's orbit names, from the directory of the fleet file's path: at most as
 * large as one of its kind may be.  The codes of path_read, naming line and satellite.  The caller
 * frees *ret. */
must_check enum rc outlook_read(const struct fleet *fleet, uint32_t satellite, const char *path,
                                uint8_t **ret, size_t *ret_n, struct err *err);

/* The newest element set of a file: sets of two lines, with or without a name above, all of one
 * satellite; the last one counts.  RC_TLE, RC_CONTACTS with file and line. */
must_check enum rc outlook_tle(struct bytes text, const char *name, struct tle *ret,
                               struct err *err);

#endif
