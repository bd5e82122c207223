//go:build race

package determinism_test

// race says that the race detector is on.
const race = true
