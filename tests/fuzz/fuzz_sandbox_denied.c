/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/fuzz/fuzz_sandbox_denied: the text of an audit record, with names that a payload chose.  A
 * user or call that is read stands in the text as a number: nothing between comm and the end of the
 * program's name decides.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox/denied.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char head[] = "audit(1.2:3): auid=1 uid=589824 gid=1 pid=7 comm=";
    static const char tail[] = " sig=0 arch=c000003e syscall=165 compat=0 ip=0x1 code=0x50000";
    uint8_t text[1024];
    struct denied_record r = { 0 };
    struct denied d = { 0 };
    size_t n = size < sizeof text - sizeof head - sizeof tail
                   ? size
                   : sizeof text - sizeof head - sizeof tail;

    if (denied_parse((struct bytes){ .p = data, .n = size }, &r))
        (void)denied_count(&d, &r);

    memcpy(text, head, sizeof head - 1);
    memcpy(text + sizeof head - 1, data, n);
    memcpy(text + sizeof head - 1 + n, tail, sizeof tail - 1);
    if (!denied_parse((struct bytes){ .p = text, .n = sizeof head + sizeof tail - 2 + n }, &r) ||
        r.uid != 589824 || r.nr != 165 || r.killed)
        abort();
    return 0;
}
