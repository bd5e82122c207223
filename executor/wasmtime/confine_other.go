//go:build cgo && !linux

package wasmtime

import (
	"syscall"
	"time"
)

// confine and bound do nothing: the engine bounds a compiler's time and output alone.
func confine() {}

func bound(uint64, time.Duration) error { return nil }

func childAttr() *syscall.SysProcAttr { return nil }

func setNice(int) {}
