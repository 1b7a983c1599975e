/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/fuzz/document: the fuzz target of a document type.
 */
#ifndef BERTH_TESTS_FUZZ_DOCUMENT_H
#define BERTH_TESTS_FUZZ_DOCUMENT_H

#include <stdlib.h>

#include "manifest/doc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_DOCUMENT(type)                                                                        \
    int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)                                   \
    {                                                                                              \
        static struct type doc;                                                                    \
        static uint8_t buf[1U << 20];                                                              \
        struct bytes in = { data, size }, out;                                                     \
        struct err err;                                                                            \
                                                                                                   \
        if (type##_decode(in, &doc, &err) == RC_OK &&                                              \
            (type##_encode(&doc, buf, sizeof buf, &out, &err) != RC_OK || !bytes_equal(in, out)))  \
            abort();                                                                               \
        return 0;                                                                                  \
    }

#endif
