package determinism_test

import (
	"fmt"

	"github.com/bungee-xr/bungee/executor/enginetest/determinism"
)

// The corpus has more than one input for most functions.
func ExampleCorpus() {
	for _, c := range determinism.Corpus() {
		if c.Name == "i32.div_s" {
			fmt.Println(c.Module.Name, len(c.Requests), len(determinism.Stored()[c.Key()]))
		}
	}
	// Output: operations 144 64
}
