package host_test

import (
	"context"
	"errors"
	"testing"

	"github.com/bungee-xr/bungee/hostfunc/nn/host"
	"github.com/bungee-xr/bungee/hostfunc/nn/nntest"
)

// What stands for a call runs the first network that there is, and leaves nothing open.
func TestStandIn(t *testing.T) {
	b := nntest.Mean()
	for _, none := range [][]string{nil, {"me*"}, {"*"}, {"other"}} {
		if host.StandIn(b, none) != nil {
			t.Errorf("models %q name a network", none)
		}
	}
	run := host.StandIn(b, []string{"other", nntest.Name})
	if run == nil {
		t.Fatal("there is no stand-in")
	}
	if took, err := run(t.Context()); err != nil || took <= 0 {
		t.Errorf("it takes %v, %v", took, err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("given way")
	cancel(why)
	if _, err := run(ctx); !errors.Is(err, why) {
		t.Errorf("one that is stopped ends with %v, want %v", err, why)
	}
	if n := b.Open(); n != 0 {
		t.Errorf("%d sessions stay open", n)
	}
}
