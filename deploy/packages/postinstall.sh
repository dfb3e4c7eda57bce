#!/bin/sh
# Runs after the files are there: of a new installation and of an upgrade.
set -e

if command -v systemd-sysusers >/dev/null 2>&1; then
	systemd-sysusers windhover.conf
elif ! id windhover >/dev/null 2>&1; then
	useradd --system --user-group --no-create-home --home-dir /var/lib/windhover \
		--shell /usr/sbin/nologin windhover
fi

# A new installation starts nothing: its owner looks at the configuration first.
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl try-restart windhover.service
fi
