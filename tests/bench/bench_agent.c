/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory of the agent's processes with three payloads running: a small scenario, measured from
 * outside.  Usage: bench_agent OUT.jsonl (BERTH_BUILD names the build directory).
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    const char *build = getenv("BERTH_BUILD");
    char program[512];
    char run[] = "run";
    char scenario[] = "tests/bench/agent-memory.yaml";
    char *args[] = { program, run, scenario, NULL };

    if (argc != 2 || setenv("BERTH_BENCH_OUT", argv[1], 1) != 0)
        return 2;
    (void)unlink(argv[1]); /* rows are appended */
    (void)snprintf(program, sizeof program, "%s/berth-sim", build ? build : "build/release");
    (void)execv(program, args);
    perror(program);
    return 1;
}
