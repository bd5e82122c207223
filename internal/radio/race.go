//go:build race

package radio

import "runtime"

// One processor runs a program that has this package and the race detector: Go 1.26
// gives all timers of a bubble one context of the detector, and where two processors
// run timers of one bubble at once, the detector ends the process with "CHECK failed"
// (golang/go#78156). The detector finds races by what orders two accesses, so it needs
// no second processor.
func init() { runtime.GOMAXPROCS(1) }
