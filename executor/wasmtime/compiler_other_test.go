//go:build cgo && !linux

package wasmtime_test

func compiler() []string { return nil }

func helperMain() {}
