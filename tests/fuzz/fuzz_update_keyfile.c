/* SPDX-License-Identifier: Apache-2.0
 *
 * A public key file; and the private one with a passphrase that is refused before it is stretched.
 */
#include "tests/fuzz/place.h"
#include "update/keyfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    scoped(sign_key_free) struct sign_key *key = NULL;
    struct bytes in = { data, size };
    struct public_key listed;
    enum key_role role = 0;
    struct err err;

    if (fs_write_file(place(), "a.key", in, 0600, &err) != RC_OK)
        abort();
    if (keyfile_load_public(place(), "a.key", &role, &listed, &err) == RC_OK &&
        (strcmp(key_role_name(role), "?") == 0 || !suite_find(listed.suite)))
        abort();
    if (keyfile_load(place(), "a.key", (struct bytes){ 0 }, &role, &key, &err) == RC_OK)
        abort();
    return 0;
}
