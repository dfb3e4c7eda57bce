package bpf

//go:generate go run ./internal/gen
//go:generate bpf2go -target amd64,arm64 -tags linux -no-global-types probe main.bpf.c -- -O2 -mcpu=v3 -Wall -Wextra -Wno-unused-parameter -Werror
