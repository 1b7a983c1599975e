#!/bin/busybox sh
# Debian's sqlite3, unchanged and with its shared libraries, keeps a catalogue in /data.  It locks by a file beside the
# database: locks of byte ranges need posix-legacy.
PATH=/bin
n=0
sqlite3 -vfs unix-dotfile /data/catalog.db 'CREATE TABLE IF NOT EXISTS observation (id INTEGER PRIMARY KEY, target TEXT NOT NULL)' || exit 1
while :; do
    n=$((n + 1))
    sqlite3 -vfs unix-dotfile /data/catalog.db "INSERT INTO observation (target) VALUES ('target-$n'); SELECT 'rows: ' || count(*) FROM observation" || exit 1
    busybox sleep 1
done
