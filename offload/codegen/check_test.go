//go:build !wasip1

package codegen_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/internal/route"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
)

// TestCheckNamesTheParameter has functions that change what they are given, run natively: with
// no handler, as a fallback, and beside a call.
func TestCheckNamesTheParameter(t *testing.T) {
	lost := &offload.CallError{Fate: offload.NotStarted, Err: errors.New("lost")}
	for name, place := range map[string]route.Router{
		"no handler": nil,
		"a fallback": &edge{err: lost},
		"beside":     &slowEdge{hedge: time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				defer codegen.Check()()
				if place != nil {
					defer route.Use(route.Use(place))
				}
				f := blur()
				if _, err := f.Call(t.Context(), blurred(10)); err != nil {
					t.Errorf("what inout= names was changed: %v", err)
				}
				f.Params[0].InOut = false
				_, err := f.Call(t.Context(), blurred(10))
				if err == nil || !strings.Contains(err.Error(), "its parameter dst refers to") || route.MayRepeat(err, true) {
					t.Errorf("dst was changed: error %v", err)
				}
				_, err = f.Call(t.Context(), blurred(254))
				if !errors.Is(err, errBlurred) || !strings.Contains(err.Error(), "dst") {
					t.Errorf("dst was changed, and the function failed: error %v", err)
				}
				shared := blurred(10)
				shared.dst = shared.src
				if _, err := f.Call(t.Context(), shared); err != nil {
					t.Errorf("src is dst: %v", err)
				}
			})
		})
	}
}

// TestCheckOfOneParameter has a function whose In is its parameter.
func TestCheckOfOneParameter(t *testing.T) {
	defer codegen.Check()()
	f := brightness
	f.Native = func(_ context.Context, gray []byte) (float64, error) { gray[0]++; return 1, nil }
	if _, err := f.Call(t.Context(), []byte{1}); err != nil {
		t.Errorf("a function made before parameters had names: %v", err)
	}
	f.Params = []codegen.Param{{Name: "gray"}}
	if _, err := f.Call(t.Context(), []byte{1}); err == nil || !strings.Contains(err.Error(), "inout=gray") {
		t.Errorf("gray was changed: error %v", err)
	}
}

// TestNoCheckCostsNothing holds that local calls allocate nothing where nothing is checked.
func TestNoCheckCostsNothing(t *testing.T) {
	f := brightness
	f.Params = []codegen.Param{{Name: "gray"}}
	gray := []byte{1, 2}
	if n := testing.AllocsPerRun(100, func() { f.Call(t.Context(), gray) }); n != 0 {
		t.Errorf("a local call allocates %v times", n)
	}
}
