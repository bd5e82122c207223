package host

import "testing"

// Who reads that imports are missing learns whose turn it is: the developer's, whose manifest does
// not ask, or the operator's, whose host has none.
func TestWithheldSaysWhoseTurnItIs(t *testing.T) {
	c := Config{Functions: []Provider{{Name: "bungee_scratch"}}}
	for name, want := range map[string]string{
		"bungee_scratch":    `its manifest does not ask for host functions "bungee_scratch", see the options of offloadgen`,
		"wasi_ephemeral_nn": `this host has no host functions "wasi_ephemeral_nn"; what it offers is its operator's choice`,
	} {
		if err := c.withheld(name); err == nil || err.Error() != want {
			t.Errorf("%s: got %v; want %s", name, err, want)
		}
	}
}
