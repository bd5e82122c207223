//go:build !linux

package authority

import "errors"

func mountSmall(string, int) error { return errors.New("not on this system") }

func unmount(string) {}
