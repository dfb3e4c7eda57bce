#!/bin/sh
# Runs while the files are still there. $1 is "remove" or 0 unless this is an upgrade.
set -e

case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl disable --now windhover.service
	fi
	;;
esac
