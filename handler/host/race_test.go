//go:build race

package host_test

// raced says that the race detector is on.
const raced = true
