/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/caps.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bytes.h"

/* Everything that berth-launch may do beyond an ordinary process of uid 0:
 *   SYS_ADMIN     mounts, loop devices, new namespaces
 *   SETUID/SETGID write an id map that covers another range than its own
 *   SETPCAP       shrink its own bounding set
 *   MKNOD         the device nodes of a sandbox
 *   CHOWN         hand the root of a fresh data image to the payload
 *   DAC_OVERRIDE  enter that root afterwards
 *   NET_ADMIN     the interfaces of payloads, and to move one of the host's in and back
 *   KILL          end processes that an earlier launcher left in its cgroups */
static const cap_value_t launcher_caps[] = {
    CAP_SYS_ADMIN, CAP_SETUID,       CAP_SETGID, CAP_SETPCAP,   CAP_MKNOD,
    CAP_CHOWN,     CAP_DAC_OVERRIDE, CAP_KILL,   CAP_NET_ADMIN,
};

#define LAUNCHER_CAPS ((int)(sizeof launcher_caps / sizeof launcher_caps[0]))

static void free_caps(cap_t *caps)
{
    if (*caps != NULL)
        (void)cap_free(*caps);
}

static bool launcher_keeps(cap_value_t cap)
{
    for (int i = 0; i < LAUNCHER_CAPS; i++) {
        if (launcher_caps[i] == cap)
            return true;
    }
    return false;
}

enum rc caps_keep_launcher(bool bounding, struct err *err)
{
    for (cap_value_t cap = 0; bounding && cap_get_bound(cap) >= 0; cap++) {
        if (cap_get_bound(cap) == 1 && !launcher_keeps(cap) && cap_drop_bound(cap) != 0)
            return err_sys(err, RC_LAYER_MISSING, "drop capability %d", cap);
    }

    scoped(free_caps) cap_t caps = cap_init();

    if (caps == NULL ||
        cap_set_flag(caps, CAP_PERMITTED, LAUNCHER_CAPS, launcher_caps, CAP_SET) != 0 ||
        cap_set_flag(caps, CAP_EFFECTIVE, LAUNCHER_CAPS, launcher_caps, CAP_SET) != 0 ||
        cap_set_proc(caps) != 0)
        return err_sys(err, RC_LAYER_MISSING, "keep launcher capabilities");
    return RC_OK;
}

int caps_drop_bounding(void)
{
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0UL, 0UL, 0UL) != 0)
        return -1;
    for (unsigned long cap = 0; prctl(PR_CAPBSET_DROP, cap, 0UL, 0UL, 0UL) == 0; cap++)
        continue;
    return errno == EINVAL ? 0 : -1; /* there is no such capability: that was all */
}

int caps_lock_securebits(void)
{
    const unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED |
                               SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                               SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

    return prctl(PR_SET_SECUREBITS, bits, 0UL, 0UL, 0UL);
}

int caps_drop_rest(void)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

    return (int)syscall(SYS_capset, &head, none);
}
