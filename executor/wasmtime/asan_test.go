//go:build cgo && asan

package wasmtime

// At its end a process is traced to look for leaks. A compiler is confined, so that it cannot be traced, and it would
// end with an error.
func init() { childEnv = append(childEnv, "ASAN_OPTIONS=detect_leaks=0") }
