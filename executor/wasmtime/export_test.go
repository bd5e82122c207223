//go:build cgo

package wasmtime

import "context"

// Confine is confine, for a process that a test starts.
var Confine = confine

// SparePID returns the process of the compiler that waits, 0 for none.
func (e *Engine) SparePID() int {
	e.compilers.mu.Lock()
	defer e.compilers.mu.Unlock()
	if e.compilers.spare == nil {
		return 0
	}
	return e.compilers.spare.cmd.Process.Pid
}

// ForgetCompiler lets engines compile in this process, unless they are told otherwise:
// compilers that are built with the race detector take long to start.
func ForgetCompiler() { ownCompiler.Store(false) }

// WaitForCompiler waits until a compiler waits for a module.
func (e *Engine) WaitForCompiler() {
	if !e.hasCompiler() {
		panic("no compiler")
	}
	c := e.compilers
	c.prepare()
	c.mu.Lock()
	spare := c.spare
	c.spare = nil
	c.mu.Unlock()
	if err := spare.ready(context.Background()); err != nil {
		panic(err)
	}
	spare.isReady = true
	c.keep(spare)
}
