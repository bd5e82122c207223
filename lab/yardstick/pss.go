package main

import (
	"fmt"
	"os"
	"regexp"
	"runtime/debug"
	"strconv"
)

var pssLine = regexp.MustCompile(`(?m)^Pss: +([0-9]+) kB$`)

// pss returns the bytes of memory of this process, of pages that it shares its share.
// Linux tells.
func pss() (int64, error) {
	debug.FreeOSMemory() // what is garbage is not its own
	text, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		return 0, err
	}
	m := pssLine.FindSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("no Pss in %q", text)
	}
	kb, err := strconv.ParseInt(string(m[1]), 10, 64)
	return kb << 10, err
}
