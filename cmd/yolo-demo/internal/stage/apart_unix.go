//go:build unix

package stage

import "syscall"

// apart has a process be in a group of its own: Ctrl-C is for the demo, which ends its processes when it has written its report.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
