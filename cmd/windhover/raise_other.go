//go:build !linux

package main

// raiseCapabilities does nothing: capabilities are Linux's.
func raiseCapabilities() error { return nil }
