package startup_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	wz "github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/bungee-xr/bungee/executor/internal/bombs"
	"github.com/bungee-xr/bungee/executor/internal/instrument"
	"github.com/bungee-xr/bungee/executor/internal/startup"
	"github.com/bungee-xr/bungee/executor/internal/wasmbin"
)

const guests = "../../enginetest/testdata"

func file(t testing.TB, name string) []byte {
	t.Helper()
	wasm, err := os.ReadFile(filepath.Join(guests, name+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

func interpreter(t testing.TB) wz.Runtime {
	t.Helper()
	r := wz.NewRuntimeWithConfig(context.Background(), wz.NewRuntimeConfigInterpreter())
	t.Cleanup(func() { r.Close(context.Background()) })
	return r
}

// metered returns the guest of that name, which counts fuel where meter is true.
func metered(t testing.TB, name string, meter bool) []byte {
	t.Helper()
	wasm, err := instrument.Rewrite(file(t, name), instrument.Options{Fuel: meter, Refusals: true})
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// An instance runs nothing by itself. Its _initialize runs the start function, then
// what was its _initialize, and charges for its segments.
func TestAllIsInInitialize(t *testing.T) {
	cost := instrument.DefaultCosts
	work := 1000*int64(cost.Compute+cost.Branch) + 2*int64(cost.Call)
	for _, tt := range []struct {
		why, guest string
		meter      bool
		begun      string // what it calls the host with
		fuel       int64
	}{
		{"both, and segments", "startwork", true, "\x01\x02", 2*work + 4*int64(cost.Bulk)},
		{"both", "startwork", false, "\x01\x02", 0},
		{"a start function only", "start", true, "\x05", int64(cost.Call)},
	} {
		r := interpreter(t)
		var begun []byte
		note := func(_ context.Context, _ api.Module, stack []uint64) {
			begun = append(begun, byte(stack[len(stack)-1]))
		}
		pause := api.GoModuleFunc(func(ctx context.Context, m api.Module, stack []uint64) { note(ctx, m, stack[:1]) })
		log := api.GoModuleFunc(func(ctx context.Context, m api.Module, stack []uint64) { note(ctx, m, stack[:3]) })
		i32 := api.ValueTypeI32
		for module, f := range map[string]struct {
			name   string
			call   api.GoModuleFunc
			params []api.ValueType
		}{"test": {"pause", pause, []api.ValueType{i32}}, "bungee": {"log", log, []api.ValueType{i32, i32, i32}}} {
			_, err := r.NewHostModuleBuilder(module).NewFunctionBuilder().WithGoModuleFunction(f.call, f.params, nil).Export(f.name).Instantiate(t.Context())
			if err != nil {
				t.Fatal(err)
			}
		}
		wasm, err := startup.Rewrite(metered(t, tt.guest, tt.meter))
		if err != nil {
			t.Fatal(err)
		}
		m, err := r.InstantiateWithConfig(t.Context(), wasm, wz.NewModuleConfig().WithStartFunctions())
		if err != nil {
			t.Fatalf("%s: %v", tt.why, err)
		}
		if len(begun) > 0 {
			t.Errorf("%s: it has run %q before it was asked to", tt.why, begun)
		}
		if _, err := m.ExportedFunction("_initialize").Call(t.Context()); err != nil {
			t.Errorf("%s: %v", tt.why, err)
		}
		if string(begun) != tt.begun {
			t.Errorf("%s: it has run %q, want %q", tt.why, begun, tt.begun)
		}
		if tt.meter {
			if used := 1<<63 - 1 - int64(m.ExportedGlobal(instrument.FuelGlobal).Get()); used != tt.fuel {
				t.Errorf("%s: it took %d fuel, want %d", tt.why, used, tt.fuel)
			}
		}
	}
}

// What has nothing to move stays as it is, to the byte, and so does what no engine will
// take.
func TestStays(t *testing.T) {
	for _, tt := range []struct {
		why  string
		wasm []byte
	}{
		{"no start function, no segments, not metered", metered(t, "basic", false)},
		{"the same, metered", metered(t, "inittrap", true)},
		{"segments, which nobody counts", bombs.Segments(10)},
		{"an _initialize that has a parameter", withInit(t, 1)},
	} {
		got, err := startup.Rewrite(tt.wasm)
		if err != nil || !bytes.Equal(got, tt.wasm) {
			t.Errorf("%s: got %d bytes of %d, %v; want the same", tt.why, len(got), len(tt.wasm), err)
		}
	}
}

// withInit returns a module with a start function whose _initialize has that type.
func withInit(t testing.TB, typ byte) []byte {
	t.Helper()
	init := append([]byte("\x0b_initialize"), wasmbin.KindFunc, 0)
	sections := []wasmbin.Section{
		{ID: wasmbin.Type, Body: []byte{2, 0x60, 0, 0, 0x60, 1, 0x7f, 0}},
		{ID: wasmbin.Function, Body: []byte{2, typ, 0}},
		{ID: wasmbin.Export, Body: append([]byte{1}, init...)},
		{ID: wasmbin.Start, Body: []byte{1}},
		{ID: wasmbin.Code, Body: []byte{2, 2, 0, 0x0b, 2, 0, 0x0b}},
	}
	return wasmbin.Join(sections)
}

// A module may lack the sections that are added to, and have no type that fits.
func TestSectionsAreAdded(t *testing.T) {
	importStart := wasmbin.Join([]wasmbin.Section{
		{ID: wasmbin.Custom, Body: []byte("\x01x!")},
		{ID: wasmbin.Type, Body: []byte{1, 0x60, 0, 0}},
		{ID: wasmbin.Import, Body: []byte("\x01\x01m\x01f\x00\x00")},
		{ID: wasmbin.Start, Body: []byte{0}},
		{ID: wasmbin.Custom, Body: []byte("\x01y!")},
	})
	r := interpreter(t)
	wasm, err := startup.Rewrite(importStart)
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.CompileModule(t.Context(), wasm)
	if err != nil {
		t.Fatalf("a module that has no function of its own: %v", err)
	}
	if m.ExportedFunctions()["_initialize"] == nil {
		t.Error("it does not export _initialize")
	}
	data := bombs.Data(1 << 10)
	fueled, err := instrument.Rewrite(data, instrument.Options{Fuel: true})
	if err != nil {
		t.Fatal(err)
	}
	wasm, err = startup.Rewrite(fueled)
	if err != nil || bytes.Equal(wasm, fueled) {
		t.Fatalf("a kilobyte of data that is metered: got %v and the same module: %t", err, bytes.Equal(wasm, fueled))
	}
	if _, err := r.CompileModule(t.Context(), wasm); err != nil {
		t.Error(err)
	}
}

func TestMalformed(t *testing.T) {
	whole := metered(t, "startwork", true)
	for n := range whole {
		if _, err := startup.Rewrite(whole[:n]); err != nil && !errors.Is(err, wasmbin.ErrMalformed) {
			t.Errorf("the first %d bytes: got %v, want %v", n, err, wasmbin.ErrMalformed)
		}
	}
	_, err := startup.Rewrite([]byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x61\x00\x00"))
	if err == nil || !strings.Contains(err.Error(), "section 1: ") || !strings.Contains(err.Error(), "bad type at offset 0x2") {
		t.Errorf("a type that is none: got %v, want the section and the offset in it", err)
	}
}

// FuzzRewrite checks that of a module that is valid Rewrite makes one that is valid, and
// that runs no code as it is instantiated.
func FuzzRewrite(f *testing.F) {
	for _, name := range []string{"startwork", "start", "inittrap", "basic", "hostile", "meter"} {
		f.Add(file(f, name))
		f.Add(metered(f, name, true))
	}
	f.Add(withInit(f, 0))
	r := interpreter(f)
	f.Fuzz(func(t *testing.T, wasm []byte) {
		if instrument.Check(wasm) != nil {
			return // wazero trusts the counts in it
		}
		before, beforeErr := r.CompileModule(t.Context(), wasm)
		got, err := startup.Rewrite(wasm)
		if beforeErr != nil {
			return
		}
		defer before.Close(t.Context())
		if err != nil {
			t.Fatalf("a valid module: %v", err)
		}
		after, err := r.CompileModule(t.Context(), got)
		if err != nil {
			t.Fatalf("a valid module becomes invalid: %v", err)
		}
		after.Close(t.Context())
		sections, _ := wasmbin.Sections(got)
		for _, s := range sections {
			if s.ID == wasmbin.Start && !bytes.Equal(got, wasm) {
				t.Error("it has a start function still")
			}
		}
	})
}
