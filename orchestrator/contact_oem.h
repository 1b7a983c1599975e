/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/contact_oem: ephemerides as flight dynamics teams exchange them: CCSDS 502.0-B,
 * Orbit Ephemeris Message, in its keyword = value notation.
 *
 * Taken: versions 1.0 to 3.0, centre EARTH, time system UTC, positions in km and velocities in
 * km/s; frames TEME, ITRF (any year), and EME2000, ICRF or GCRF, which are turned by the precession
 * since 2000 (nutation and the frames' differences are left out: half a kilometre of a low orbit).
 * One object; several segments, one behind the other in time.  Accelerations and covariances are
 * read past.  Between two states the cubic through both goes; they may be OEM_STEP_MAX_MS apart.
 */
#ifndef BERTH_ORCHESTRATOR_CONTACT_OEM_H
#define BERTH_ORCHESTRATOR_CONTACT_OEM_H

#include "orchestrator/lines.h"
#include "orchestrator/sky.h"

#define OEM_BYTES_MAX (32U * 1024U * 1024U)
#define OEM_STATES_MAX 200000U
#define OEM_STEP_MAX_MS 600000
#define OEM_TEXT_CAP 64U

struct oem_state {
    int64_t at_ms;
    struct vec3 r, v; /* km and km/s, as orchestrator/sgp4 gives them */
};

struct oem {
    char object[OEM_TEXT_CAP]; /* OBJECT_ID */
    size_t n, cap;
    struct oem_state *state; /* by rising time */
};

/* Read a whole file.  RC_CONTACTS with file, line and reason; RC_NO_MEMORY; RC_TOO_LARGE. */
must_check enum rc oem_read(struct bytes text, const char *name, struct oem *ret, struct err *err);
void oem_free(struct oem *oem); /* scope cleaner */

/* The path through the states; a view of oem.  Its at fails with RC_ORBIT outside of the first and
 * the last state, and where two are further apart than OEM_STEP_MAX_MS. */
struct sky_path oem_path(const struct oem *oem);

#endif
