package instrument_test

import (
	"context"
	"math"
	"testing"

	wz "github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/bungee-xr/bungee/executor/internal/instrument"
)

// TestRefusals checks that a module notes that it was refused memory until its next call
// begins.
func TestRefusals(t *testing.T) {
	steps := []struct {
		call    string
		pages   uint64
		refused bool
		why     string
	}{
		{"ask", 1, false, "1 and 1 of 8"},
		{"ask", 100, true, ""},
		{"ask", 1, true, "it got some, but not all that it wanted"},
		{"bungee_buf", 0, false, "the next call"},
		{"twice", 100, true, "the other growth went well"},
		{"bungee_buf", 100, true, "the host's buffer is part of the call"},
		{"bungee_buf", 1, false, "the next call"},
		{"ask", math.MaxUint32, true, "2^32-1 pages"},
	}
	for _, opts := range []instrument.Options{{Refusals: true}, all} {
		r := runtime(t)
		canceled(t, r)
		g := start(t, r, rewrite(t, file(t, "refusals"), opts))
		for k, s := range steps {
			if _, err := g.module.ExportedFunction(s.call).Call(t.Context(), s.pages); err != nil {
				t.Fatal(err)
			}
			if got := g.module.ExportedGlobal(instrument.RefusedGlobal).Get() != 0; got != s.refused {
				t.Errorf("%+v: step %d, %s(%d): refused is %t: %s", opts, k, s.call, s.pages, got, s.why)
			}
		}
		if own := g.module.ExportedGlobal("own").Get(); own != 42 {
			t.Errorf("%+v: the module's own global is %d, want 42", opts, own)
		}
	}
}

// canceled gives r the function that refusals.wat imports.
func canceled(t *testing.T, r wz.Runtime) {
	t.Helper()
	f := r.NewHostModuleBuilder("bungee").NewFunctionBuilder()
	f = f.WithGoFunction(api.GoFunc(func(_ context.Context, stack []uint64) { stack[0] = 0 }), nil, []api.ValueType{api.ValueTypeI32})
	if _, err := f.Export("canceled").Instantiate(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestRefusalsCostNoFuel checks that fuel is the same number with and without.
func TestRefusalsCostNoFuel(t *testing.T) {
	for _, pages := range []uint64{1, 100} {
		var used [2]int64
		for k, refusals := range []bool{false, true} {
			r := runtime(t)
			canceled(t, r)
			g := start(t, r, rewrite(t, file(t, "refusals"), instrument.Options{Fuel: true, Refusals: refusals}))
			used[k] = g.cost("bungee_buf", pages) + g.cost("twice", pages)
		}
		if used[0] != used[1] {
			t.Errorf("grow by %d: fuel %d, with refusals %d", pages, used[0], used[1])
		}
	}
}
