package needs_test

import (
	"testing"

	"github.com/bungee-xr/bungee/internal/needs"
)

// An ending is how a test ends.
type ending struct {
	testing.TB
	how string
}

func (*ending) Helper()                 {}
func (e *ending) Skip(...any)           { e.how = "skipped" }
func (e *ending) Fatalf(string, ...any) { e.how = "failed"; panic(e) }

func TestNetwork(t *testing.T) {
	for set, want := range map[string]string{"": "skipped", "1": "failed"} {
		t.Setenv("BUNGEE_NETWORKS", set)
		e := &ending{}
		func() {
			defer func() { _ = recover() }()
			needs.Network(e, "no root")
		}()
		if e.how != want {
			t.Errorf("with BUNGEE_NETWORKS=%q the test has %s, want %s", set, e.how, want)
		}
	}
}
