/* SPDX-License-Identifier: Apache-2.0
 *
 * What is accepted must be the one encoding of what was read, and the look at it before anybody
 * vouched must see the same team.
 */
#include <stdlib.h>

#include "manifest/delegation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct delegation doc;
    static uint8_t buf[1U << 20];
    struct bytes in = { data, size }, out;
    char tenant[NAME_CAP], team[TEAM_CAP];
    bool seen = delegation_peek(in, tenant, team, NULL) == RC_OK;

    if (delegation_decode(in, &doc, NULL) != RC_OK)
        return 0;
    if (delegation_encode(&doc, buf, sizeof buf, &out, NULL) != RC_OK || !bytes_equal(in, out))
        abort();
    if (!seen || strcmp(tenant, doc.tenant) != 0 || strcmp(team, doc.team) != 0)
        abort();
    return 0;
}
