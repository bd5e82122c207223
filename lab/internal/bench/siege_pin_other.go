//go:build !linux

package bench

import "errors"

var errNoSiege = errors.New("a siege is laid on Linux: nowhere else it is known how to give a host a core of its own")

func pin(int, int) error { return errNoSiege }

func pinSelf(int) (undo func() error, err error) { return func() error { return nil }, errNoSiege }

func lastInLine(int) error { return errNoSiege }

func behind(int) error { return errNoSiege }
