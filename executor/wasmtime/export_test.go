//go:build cgo

package wasmtime

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
