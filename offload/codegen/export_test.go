//go:build !wasip1

package codegen

// Check switches on what BUNGEE_CHECK=1 does, and returns a function that switches it off.
func Check() (off func()) {
	checks = true
	return func() { checks = false }
}
