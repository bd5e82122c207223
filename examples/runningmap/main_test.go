package main

import (
	"bytes"
	"math"
	"testing"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wasi"
	"github.com/bungee-xr/bungee/executor/wazero"
)

func TestGrid(t *testing.T) {
	ahead := [2]float64{1, 0}
	tests := []struct {
		why   string
		scans []Scan
		want  Counts // of the last one
		ok    bool
	}{
		{"a point a metre ahead, and what is before it", []Scan{{Ahead: ahead, Points: [][2]float64{{1.1, 0}}}}, Counts{5, 5, 1}, true},
		{"the same again says nothing else", []Scan{{Ahead: ahead, Points: [][2]float64{{1.1, 0}}}, {Ahead: ahead, Points: [][2]float64{{1.1, 0}}}}, Counts{0, 5, 1}, true},
		{"the sensor looks up", []Scan{{Ahead: [2]float64{0, 1}, Points: [][2]float64{{1.1, 0}}}}, Counts{5, 5, 1}, true},
		{"no points", []Scan{{Ahead: ahead}}, Counts{}, true},
		{"points beyond the map and of no place", []Scan{{Ahead: ahead, Points: [][2]float64{{1e300, 0}, {math.NaN(), 1}, {math.Inf(-1), 0}}}}, Counts{Changed: 1, Known: 1}, true},
		{"no direction", []Scan{{}}, Counts{}, false},
		{"a direction that is no number", []Scan{{Ahead: [2]float64{math.NaN(), 1}}}, Counts{}, false},
	}
	for _, tt := range tests {
		var g grid
		var got Counts
		var err error
		for _, s := range tt.scans {
			got, err = g.Handle(t.Context(), s)
		}
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%s: %+v came to %+v, %v; want %+v, error %t", tt.why, tt.scans, got, err, tt.want, !tt.ok)
		}
	}
}

func TestRun(t *testing.T) {
	if err := run(t.Context(), 9); err != nil {
		t.Error(err)
	}
}

// TestModule holds that the module makes the map that the native endpoint makes,
// from where that is half-way.
func TestModule(t *testing.T) {
	d, here, ctx := &gridEndpoint, gridEndpoint.Serve(), t.Context()
	wasm := load(t)
	for i := range 10 {
		if i == 5 {
			call(t, wasm, d.Restore(), here.Save(ctx, nil, nil)[1:])
		}
		in := gridEndpoint.AppendIn(nil, scan(i))
		want := here.Handle(ctx, in, nil)
		if i < 5 {
			continue
		}
		if got := call(t, wasm, d.Index, in); !bytes.Equal(got, want) {
			t.Errorf("scan %d came to % x in the module; want % x, as natively", i, got, want)
		}
		if !bytes.Equal(call(t, wasm, d.Save(), nil), here.Save(ctx, nil, nil)) {
			t.Errorf("scan %d left another map in the module", i)
		}
	}
}

// load returns an instance of the module.
func load(t *testing.T) executor.Instance {
	t.Helper()
	wasm, err := bungeeModule.Wasm()
	if err != nil {
		t.Fatal(err)
	}
	engine, err := wazero.New(wazero.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	m, err := engine.Load(t.Context(), executor.Bytes(wasm))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	w, err := wasi.Functions(wasi.Config{})
	if err != nil {
		t.Fatal(err)
	}
	i, err := m.Instantiate(t.Context(), executor.InstanceConfig{Host: []executor.HostFuncs{w}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.Close() })
	return i
}

// call returns a copy of a reply, status first.
func call(t *testing.T, i executor.Instance, fn uint32, request []byte) []byte {
	t.Helper()
	r, err := i.Call(t.Context(), fn, request)
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte{byte(r.Status)}, r.Payload...)
}
