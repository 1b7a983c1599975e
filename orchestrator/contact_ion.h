/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/contact_ion: contact plans as ION reads them (ionrc(5)): lines "a contact" and
 * "a range" of an ionadmin command file.
 *
 *     @ 2026/11/30-00:00:00
 *     a contact +600 +1200 1 101 1200
 *     a range   +600 +1200 1 101 1
 *
 * Times are absolute or count from the reference time, which "@" sets; rates are bytes a second;
 * ranges are light seconds and hold both ways where the first node's number is the smaller one.
 * Lines of other commands that make no contact (1, s, e, m, v) are passed over; one that takes a
 * contact away, or is not known, is refused: half a plan is worse than none.
 */
#ifndef BERTH_ORCHESTRATOR_CONTACT_ION_H
#define BERTH_ORCHESTRATOR_CONTACT_ION_H

#include "orchestrator/lines.h"

#define CONTACT_ION_BYTES_MAX (8U * 1024U * 1024U)
#define CONTACT_ION_RATE_MAX UINT64_C(125000000000) /* bytes/s */

struct contact_ion_contact {
    int64_t from_ms, to_ms; /* Unix time */
    uint64_t from, to;      /* nodes */
    uint64_t rate;          /* bytes/s */
    uint32_t confidence_ppm;
    unsigned int line;
};

struct contact_ion_range {
    int64_t from_ms, to_ms;
    uint64_t from, to;
    uint64_t light_ms; /* one way */
};

struct contact_ion {
    size_t n_contacts, n_ranges, cap_contacts, cap_ranges;
    struct contact_ion_contact *contact; /* as in the file */
    struct contact_ion_range *range;
};

/* Read a whole file; relative times count from reference_ms until the file says another time.
 * RC_CONTACTS with file, line and reason; RC_NO_MEMORY; RC_TOO_LARGE. */
must_check enum rc contact_ion_read(struct bytes text, const char *name, int64_t reference_ms,
                                    struct contact_ion *ret, struct err *err);
void contact_ion_free(struct contact_ion *plan); /* scope cleaner */

/* One-way light time between two nodes at a time in ms, by the last range that covers it; 0 if none
 * does. */
uint64_t contact_ion_light(const struct contact_ion *plan, uint64_t from, uint64_t to,
                           int64_t at_ms);

#endif
