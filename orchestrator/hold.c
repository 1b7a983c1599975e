/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/hold.h"

#include "link/port.h"

/* What the operator signed is refused by a satellite that does not know its new keys yet: it
 * follows when a report shows the root. */
static bool lacks_operator(const struct view *view, const struct store_outgoing *row)
{
    const struct view_satellite *sat = view_find(view, row->satellite);
    bool operators = row->kind == OBJECT_GRANT || row->kind == OBJECT_ORDER ||
                     row->kind == OBJECT_TOKEN || row->kind == OBJECT_REKEY;

    return operators && view->operator_since_ms > 0 && sat && view_root_behind(view, sat);
}

/* What must be there before something else goes up.
 *
 * What the root role signs arrives in the order in which it was made: a revocation counts under one
 * root only, and one that comes after its successor is refused; so it is known to be there before
 * the next one, or the next root, goes up.  Roots follow each other as fast as they can.
 *
 * An order that comes before the grants that it rests on would stop what runs without them. */
static const struct {
    enum object_kind kind, after;
} sequence[] = {
    { OBJECT_REVOCATION, OBJECT_ROOT },  { OBJECT_REVOCATION, OBJECT_REVOCATION },
    { OBJECT_ROOT, OBJECT_REVOCATION },  { OBJECT_ORDER, OBJECT_GRANT },
    { OBJECT_TOKEN, OBJECT_GRANT },      { OBJECT_ORDER, OBJECT_DELEGATION },
    { OBJECT_TOKEN, OBJECT_DELEGATION },
};

static bool is_after(const struct store_outgoing *row, const struct store_outgoing *earlier)
{
    if (earlier->class == CLASS_RAW || earlier->id >= row->id ||
        strcmp(earlier->satellite, row->satellite) != 0)
        return false;
    for (size_t i = 0; i < sizeof sequence / sizeof sequence[0]; i++)
        if (row->kind == sequence[i].kind && earlier->kind == sequence[i].after)
            return true;
    return false;
}

bool hold_back(const struct view *view, const struct store_outgoing *rows, size_t n, size_t i)
{
    if (rows[i].class == CLASS_RAW)
        return false;
    for (size_t k = 0; k < n; k++)
        if (is_after(&rows[i], &rows[k]))
            return true;
    return lacks_operator(view, &rows[i]);
}
