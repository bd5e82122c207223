//go:build !unix

package stage

import "syscall"

// apart does nothing where there are no groups of processes.
func apart() *syscall.SysProcAttr { return nil }
