/* SPDX-License-Identifier: Apache-2.0 */
#include "link/mail.h"

bool mail_name_ok(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                  "._+@~-";
    const size_t n = strnlen(name, MAIL_NAME_CAP);
    const size_t end = strlen(MAIL_RECEIPT);

    return n > 0 && n <= MAIL_NAME_MAX && name[0] != '.' && name[0] != '-' &&
           strspn(name, allowed) == n && (n < end || strcmp(name + n - end, MAIL_RECEIPT) != 0);
}
