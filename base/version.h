/* SPDX-License-Identifier: Apache-2.0
 *
 * base/version: the one place that says which Berth this is.
 */
#ifndef BERTH_BASE_VERSION_H
#define BERTH_BASE_VERSION_H

#define BERTH_VERSION "0.1.0"

#endif
