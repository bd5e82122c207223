package main

import (
	"maps"
	"slices"
	"strings"
)

// trimmed returns text without blanks at the ends of lines: an erased
// declaration is an empty line.
func trimmed(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimRight(line, " \t\n") + "\n")
	}
	return b.String()
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
