module github.com/windhover/windhover/tools/packaging

go 1.26.0

tool (
	github.com/windhover/windhover/tools/packaging/notices
	github.com/windhover/windhover/tools/packaging/rootfs
)

require golang.org/x/crypto/x509roots/fallback v0.0.0-20261030153154-30a33513ff6d
