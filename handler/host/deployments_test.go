package host

import (
	"crypto/tls"
	"errors"
	"testing"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/native"
)

// However much one tenant's instances may take, another one finds room for some.
func TestTenantsShareInstanceMemory(t *testing.T) {
	h, err := New(Config{Engine: native.Engine{}, TLS: &tls.Config{}, InstanceMemory: 1600})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	ann, bob := h.enter("ann"), h.enter("bob")
	for n := 0; ; n++ {
		if err := ann.HoldInstance(100); err != nil {
			if n != 12 || !errors.Is(err, executor.ErrQuota) {
				t.Errorf("a lone tenant has %d instances of 16, and then %v; want 12, and %v", n, err, executor.ErrQuota)
			}
			break
		}
	}
	if err := bob.HoldInstance(100); err != nil {
		t.Errorf("the other tenant's first instance: %v", err)
	}
	bob.ReleaseInstance(100)
	ann.ReleaseInstance(100)
	if err := ann.HoldInstance(100); err != nil {
		t.Errorf("an instance in place of one that was closed: %v", err)
	}
	if err := ann.HoldMemory(1 << 32); !errors.Is(err, executor.ErrQuota) || ann.memory.Stats().Refused.TooMuch != 1 {
		t.Errorf("a host function holds 4 GiB for a tenant: %v; want %v, and that it is counted", err, executor.ErrQuota)
	}
}

func TestMayEvict(t *testing.T) {
	for _, tt := range []struct {
		name         string
		held         map[string]int
		owner, taker string
		modules      int
		want         bool
		why          string
	}{
		{"one's own", map[string]int{"a": 1, "b": 7}, "a", "a", 8, true, "it harms nobody else"},
		{"of one who has much", map[string]int{"a": 1, "b": 7}, "b", "a", 8, true, "7 are more than half of 8"},
		{"of one who has little", map[string]int{"a": 1, "b": 7}, "a", "b", 8, false, "1 is less than half of 8"},
		{"of one at its share", map[string]int{"a": 4, "b": 4}, "b", "a", 8, false, "4 are half of 8"},
		{"for a new tenant", map[string]int{"a": 4, "b": 4}, "b", "c", 8, true, "4 are more than a third of 8"},
		{"of many", map[string]int{"a": 1, "b": 1, "c": 1}, "b", "d", 2, false, "each may have one"},
	} {
		if got := mayEvict(tt.held, tt.owner, tt.taker, tt.modules); got != tt.want {
			t.Errorf("%s: a module of %s for one of %s: %t, want %t: %s", tt.name, tt.owner, tt.taker, got, tt.want, tt.why)
		}
	}
}
