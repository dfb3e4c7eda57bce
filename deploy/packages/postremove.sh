#!/bin/sh
# Runs when the files are gone. The user stays: files elsewhere may belong to it.
set -e

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi

if [ "$1" = purge ]; then
	rm -rf /var/lib/windhover /var/log/windhover
fi
