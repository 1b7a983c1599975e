/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "sandbox/walls.h"

#define WAIT_MS 1000U

static void print_one(const struct walls *walls, unsigned int wall, bool json, bool first,
                      FILE *out)
{
    bool stands = walls_stand(walls, (enum wall)wall);
    const char *kind = wall_kind_name(wall_kind(wall));
    const char *why = stands ? "" : strerror(walls->error[wall]);

    if (json)
        (void)fprintf(out, "%s{\"wall\":\"%s\",\"kind\":\"%s\",\"stands\":%s,\"error\":%d}",
                      first ? "" : ",", wall_name(wall), kind, stands ? "true" : "false",
                      walls->error[wall]);
    else if (stands)
        (void)fprintf(out, "  %-22s %-9s stands\n", wall_name(wall), kind);
    else
        (void)fprintf(out, "  %-22s %-9s MISSING (%s): %s\n", wall_name(wall), kind, why,
                      wall_without(wall));
}

enum rc walls_print(bool json, FILE *out)
{
    const struct wall_policy none = { .waive = 0 };
    struct cgroup_tree tree;
    struct walls walls;
    struct err err = { 0 };
    char name[NAME_CAP];

    (void)snprintf(name, sizeof name, "explain-%d", getpid());
    walls_try(&none, &walls);
    bool grouped = cgroup_tree_open(name, 0, &tree, &err) == RC_OK;
    walls_try_cgroups(grouped ? &tree : NULL, &walls);
    if (grouped)
        cgroup_tree_close(&tree, clock_mono_ms() + WAIT_MS);

    if (json)
        (void)fputs("{\"walls\":[", out);
    for (unsigned int i = 0, n = 0; i < WALLS_MAX; i++) {
        if (wall_name(i) != NULL)
            print_one(&walls, i, json, n++ == 0, out);
    }
    if (json)
        (void)fputs("]}\n", out);
    return walls_check(&walls, &err);
}
