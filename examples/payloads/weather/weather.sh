#!/bin/busybox sh
# A payload written for a shell that knows nothing of Berth: busybox is all it has.
# It averages made-up samples and keeps the last lines in /data.
PATH=/bin
n=0
while :; do
    n=$((n + 1))
    busybox awk -v n="$n" 'BEGIN { srand(n); s = 0; for (i = 0; i < 100; i++) s += 15 + 10 * rand(); printf "sample %d mean %.2f\n", n, s / 100 }' |
        busybox tee -a /data/samples
    busybox tail -n 100 /data/samples >/data/samples.new && busybox mv /data/samples.new /data/samples
    busybox sleep 1
done
