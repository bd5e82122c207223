package manager

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
)

// A session has one way to each host, in their order, and never more than twice as many as it may measure at once.
func TestWays(t *testing.T) {
	s := &session{}
	for i := range 4 * wire.MaxHosts {
		h := &host{name: fmt.Sprintf("edge-%d", i*7%64)}
		s.wayTo(h, wire.MaxHosts).Add(0, time.Duration(i+1)*time.Millisecond)
		s.wayTo(h, wire.MaxHosts).Add(time.Second, time.Hour)
		if got := s.waysTo(h.name); len(got) != 1 || got[0].host != h || got[0].RTT() != time.Duration(i+1)*time.Millisecond {
			t.Fatalf("the way to %s is %+v", h.name, got)
		}
		if len(s.ways) > 2*wire.MaxHosts {
			t.Fatalf("a session has %d ways", len(s.ways))
		}
		if !slices.IsSortedFunc(s.ways, func(a, b way) int { return strings.Compare(a.host.name, b.host.name) }) {
			t.Fatalf("the ways are in no order")
		}
	}
	if s.waysTo("nowhere") != nil || s.waysTo("") != nil {
		t.Error("there is a way to a host that was never measured")
	}
}
