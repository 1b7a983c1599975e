/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/prove/packet.c: link/packet.h, whose one function that reads has its contract there.
 */
#include "link/packet.h"
