// Package packages tests what users install: the container image, the packages for Debian
// and RPM-based systems with their unit, and the release. It takes what `make image
// packages` built, and runs it against the live kernel: in containers without a network,
// with systemd as the first process where the unit is tested.
//
// `make test-packages` builds everything and runs the tests; they need root, BPF, podman
// and runc.
package packages
