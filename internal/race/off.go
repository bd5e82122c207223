//go:build !race

package race

// Enabled says that this program is built with the race detector.
const Enabled = false
