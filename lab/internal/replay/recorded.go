package replay

import (
	"embed"
	"fmt"
)

//go:embed recorded/*.ndjson
var recorded embed.FS

// Recorded returns the traces that were measured, as "bungee bench policy --record" wrote them.
func Recorded() (all []*Trace, err error) {
	const dir = "recorded"
	entries, err := recorded.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		f, err := recorded.Open(dir + "/" + e.Name())
		if err != nil {
			return nil, err
		}
		t, err := Read(f)
		f.Close() // of what is in memory
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
		all = append(all, t)
	}
	return all, nil
}
