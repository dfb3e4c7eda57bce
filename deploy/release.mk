# What users install. Everything is made of the commit: its version, its time, its bytes.

##@ Release

# The version of a tagged commit is that of its tag; any other sorts before every tag. A
# tree with changes says so.
RELEASE ?= $(shell { git describe --tags --exact-match 2>/dev/null | sed -n 's/^v\([0-9].*\)/\1/p' | grep . || \
	TZ=UTC git log -1 --abbrev=12 --date=format-local:%Y%m%d --format=0.0.0-%cd.g%h; } | \
	sed "$$(git diff --quiet HEAD || echo '/-/!s/$$/-dirty/;t;s/$$/.dirty/')")
# Every file gets the time of the commit.
EPOCH   ?= $(shell git log -1 --format=%ct)
DIST    := .cache/dist
OUT     := bin/release
IMAGE   := localhost/windhover:$(RELEASE)
# An archive that says nothing of the machine: names sorted, no owners, one time.
ARCHIVE := tar --format=ustar --sort=name --owner=0 --group=0 --numeric-owner --mode=u+rw,go+r,go-w,a+X --mtime=@$(EPOCH)
# Storage of its own: building leaves the images of this machine alone.
BUILDAH  = buildah --root $(CURDIR)/.cache/containers/storage --runroot $(CURDIR)/.cache/containers/run --storage-driver vfs

$(TOOLS)/packaging: $(wildcard tools/packaging/*/*.go)

.PHONY: programs
programs: $(TOOLS)/packaging
	rm -rf $(DIST) && mkdir -p $(DIST)/share bin
	$(foreach p,$(PLATFORMS),GOOS=$(firstword $(subst /, ,$p)) GOARCH=$(notdir $p) \
		go build -ldflags '-s -w -X main.version=$(RELEASE)' -o $(DIST)/$(subst /,_,$p)/ ./cmd/windhover &&) true
	notices $(DIST)/*_*/windhover* > $(DIST)/share/NOTICES
	gzip -9nc deploy/packages/windhover.1 > $(DIST)/share/windhover.1.gz
	for shell in bash fish zsh; do \
		$(DIST)/$$(go env GOHOSTOS)_$$(go env GOHOSTARCH)/windhover completion $$shell > $(DIST)/share/windhover.$$shell; done

.PHONY: image
image: programs ## build bin/windhover-image.tar, the container image for amd64 and arm64 (needs buildah)
	rm -rf $(DIST)/image .cache/containers && mkdir -p $(DIST)/image .cache/containers
	for arch in amd64 arm64; do \
		rootfs -epoch $(EPOCH) -binary $(DIST)/linux_$$arch/windhover -config deploy/container/windhover.yaml \
			-rules rules/library/linux.yaml -rules rules/library/kubernetes-audit.yaml \
			-doc LICENSE -doc $(DIST)/share/NOTICES > $(DIST)/image/rootfs-$$arch.tar; \
		$(BUILDAH) bud --quiet --isolation chroot --timestamp $(EPOCH) --identity-label=false --omit-history \
			--label org.opencontainers.image.version=$(RELEASE) \
			--label org.opencontainers.image.revision=$$(git rev-parse HEAD) \
			--platform linux/$$arch --manifest windhover --file deploy/container/Containerfile $(DIST)/image; done
	$(BUILDAH) manifest push --quiet --all windhover oci:$(DIST)/image/layout:$(IMAGE)
	$(ARCHIVE) -C $(DIST)/image/layout -cf bin/windhover-image.tar .
	rm -rf .cache/containers $(DIST)/image

.PHONY: packages
packages: programs $(TOOLS)/nfpm ## build the .deb and .rpm packages for amd64 and arm64 into bin/packages
	rm -rf bin/packages && mkdir -p bin/packages
	for arch in amd64 arm64; do for kind in deb rpm; do \
		GOARCH=$$arch RELEASE=$(RELEASE) DIST=$(DIST) SOURCE_DATE_EPOCH=$(EPOCH) \
			nfpm package --config deploy/packages/nfpm.yaml --packager $$kind --target bin/packages/; done; done

.PHONY: chart
chart: $(TOOLS)/helm ## package the Helm chart into bin/
	rm -rf $(DIST)/chart bin/windhover-chart-*.tgz && mkdir -p $(DIST)/chart bin
	helm package deploy/helm/windhover --version $(RELEASE) --app-version $(RELEASE) --destination $(DIST)/chart
	tar -xzf $(DIST)/chart/windhover-$(RELEASE).tgz -C $(DIST)/chart
	$(ARCHIVE) -C $(DIST)/chart -c windhover | gzip -9n > bin/windhover-chart-$(RELEASE).tgz
	rm -rf $(DIST)/chart

.PHONY: release
release: image packages chart $(TOOLS)/cyclonedx-gomod ## everything that a release consists of, with checksums, into bin/release
	rm -rf $(OUT) && mkdir -p $(OUT)
	for dir in $(DIST)/*_*; do \
		platform=$${dir##*/}; name=windhover-$(RELEASE)-$${platform/_/-}; \
		mkdir -p $(DIST)/archive/$$name/rules; \
		cp $$dir/windhover* LICENSE $(DIST)/share/NOTICES config/windhover.yaml deploy/packages/windhover.1 $(DIST)/archive/$$name/; \
		cp rules/library/*.yaml $(DIST)/archive/$$name/rules/; \
		if [[ $$platform == linux_* ]]; then cp deploy/systemd/windhover.service deploy/container/seccomp.json $(DIST)/archive/$$name/; fi; \
		$(ARCHIVE) -C $(DIST)/archive -c $$name | gzip -9n > $(OUT)/$$name.tar.gz; \
		GOOS=$${platform%_*} GOARCH=$${platform#*_} cyclonedx-gomod app -json -licenses -std -noserial -notimestamp \
			-main cmd/windhover -output $(OUT)/$$name.cdx.json .; done
	cp bin/packages/* bin/windhover-chart-$(RELEASE).tgz $(OUT)/
	cp bin/windhover-image.tar $(OUT)/windhover-image-$(RELEASE).tar
	cd $(OUT) && sha256sum * > SHA256SUMS
	rm -rf $(DIST)

# Two clones in directories of different depths, with different file modes and time zones.
.PHONY: release-check
release-check: $(TOOLS)/packaging $(TOOLS)/nfpm $(TOOLS)/cyclonedx-gomod $(TOOLS)/helm ## fail where two builds of the last commit differ in a byte
	rm -rf .cache/release && mkdir -p .cache/release/again/in/another
	for place in 'once 022 UTC' 'again/in/another/place 077 XYZ-9'; do \
		set -- $$place; dir=.cache/release/$$1; umask $$2; export TZ=$$3; \
		git clone -q --no-hardlinks . $$dir && mkdir $$dir/.cache && cp -a $(TOOLS) $$dir/.cache/ && touch $$dir/.cache/bin/*; \
		$(MAKE) -C $$dir release; done
	diff -r .cache/release/once/$(OUT) .cache/release/again/in/another/place/$(OUT)
	cd test/deploy && WINDHOVER_RELEASE=$(CURDIR)/.cache/release/once/$(OUT) go test -count=1 -run '^TestRelease$$|OfAnArchive' ./packages
	cat .cache/release/once/$(OUT)/SHA256SUMS
	rm -rf .cache/release/again

# What the tests of packages take beside them: a minimal Debian with systemd.
.cache/debian.tar: deploy/release.mk
	mkdir -p .cache
	mmdebstrap --quiet --variant=minbase --include=systemd,systemd-sysv --dpkgopt='path-exclude=/usr/share/locale/*' bookworm $@

.PHONY: test-packages
test-packages: image packages .cache/debian.tar ## the image, the packages and the unit against the live kernel; needs root, BPF, podman, runc
	cd test/deploy && go test -count=1 ./packages
