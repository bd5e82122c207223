package instrument_test

import (
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/executor/enginetest/kernels"
	"github.com/bungee-xr/bungee/executor/internal/instrument"
)

// module returns a module of the sections given in hexadecimal, each the identifier
// and the body.
func module(t testing.TB, sections ...string) []byte {
	t.Helper()
	out := []byte("\x00asm\x01\x00\x00\x00")
	for _, s := range sections {
		b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		out = append(append(out, b[0], byte(len(b)-1)), b[1:]...)
	}
	return out
}

// function returns a module with a function of type () -> (), of one local i32, and
// one mutable global, the code being given in hexadecimal.
func function(t testing.TB, code string) []byte {
	t.Helper()
	b := "01 01 7f" + code + "0b"
	n := hex.EncodeToString([]byte{byte(len(strings.ReplaceAll(b, " ", "")) / 2)})
	return module(t, "01 01 60 00 00", "03 01 00", "04 01 70 00 00", "05 01 00 01", "06 01 7f 01 41 00 0b", "0a 01"+n+b)
}

var all = instrument.Options{Fuel: true, CanonicalNaN: true, Refusals: true, Split: true}

// TestHidden checks that a module cannot name what Rewrite adds to it.
func TestHidden(t *testing.T) {
	tests := []struct {
		name string
		wasm []byte
		why  string
	}{
		{"global.get", function(t, "23 01 1a"), "the fuel's index"},
		{"global.set", function(t, "42 7f 24 01"), "a guest that fills its own tank"},
		{"global.set behind it", function(t, "41 00 24 02"), "a guest that forgets that it was refused memory"},
		{"global.set far", function(t, "42 7f 24 ff ff ff ff 0f"), "an index that may wrap"},
		{"dead global.set", function(t, "00 42 7f 24 01"), "dead code is validated, too"},
		{"local.get", function(t, "20 01 1a"), "a temporary"},
		{"local.tee", function(t, "42 00 22 01 1a"), "a temporary"},
		{"export", module(t, "06 00", "07 01 01 66 03 00"), "the fuel under a name that an embedder may give on"},
		{"name", module(t, "06 01 7e 01 42 00 0b", "07 01 0b 62756e6765655f6675656c 03 00"), "a tank of its own"},
		{"another name", module(t, "06 01 7f 01 41 00 0b", "07 01 0e 62756e6765655f72656675736564 03 00"), "a refusal of its own"},
		{"function name", module(t, "01 01 60 00 00", "03 01 00", "07 01 0b 62756e6765655f6675656c 00 00", "0a 01 02 00 0b"), "the name on a function"},
		{"global init", module(t, "06 01 7e 01 23 00 0b"), "a global made of the fuel"},
		{"later global", module(t, "06 02 7e 01 23 01 0b 7e 01 42 00 0b"), "a global made of one behind it"},
		{"element", module(t, "04 01 70 00 01", "09 01 00 23 00 0b 00"), "an offset that is the fuel"},
		{"element expression", module(t, "04 01 70 00 01", "09 01 05 70 01 23 00 0b"), "an element that is the fuel"},
		{"data", module(t, "05 01 00 01", "0b 01 00 23 00 0b 00"), "an offset that is the fuel"},
	}
	for _, tt := range tests {
		_, err := instrument.Rewrite(tt.wasm, all)
		var feature *instrument.FeatureError
		if !errors.Is(err, instrument.ErrModule) || errors.As(err, &feature) {
			t.Errorf("%s: got %v, want ErrModule: %s", tt.name, err, tt.why)
		}
	}
	// With what it has, the same module passes.
	for _, code := range []string{"23 00 24 00", "20 00 21 00"} {
		if _, err := instrument.Rewrite(function(t, code), all); err != nil {
			t.Errorf("%s: %v", code, err)
		}
	}
}

// TestFeatures checks that what Rewrite does not know is refused by its name.
func TestFeatures(t *testing.T) {
	tests := []struct {
		feature string
		wasm    []byte
		offset  int
	}{
		{"threads", module(t, "05 01 03 01 02"), 11},
		{"threads", function(t, "fe 03 00"), 0},
		{"relaxed SIMD", function(t, "fd 80 02"), 0},
		{"memory64", module(t, "05 01 04 01"), 11},
		{"custom page sizes", module(t, "05 01 08 01 00"), 11},
		{"several memories", module(t, "05 02 00 01 00 01"), 13},
		{"several memories", function(t, "41 00 28 42 01 00 1a"), 0},
		{"several memories", function(t, "3f 01 1a"), 0},
		{"exceptions", module(t, "0d 01 00 00"), 8},
		{"exceptions", function(t, "06 40 0b"), 0},
		{"exceptions", function(t, "08 00"), 0},
		{"tail calls", function(t, "12 00"), 0},
		{"tail calls", function(t, "13 00 00"), 0},
		{"typed references", function(t, "14 00"), 0},
		{"typed references", function(t, "02 64 00 0b"), 0},
		{"garbage collection", function(t, "fb 00 00"), 0},
		{"garbage collection", module(t, "01 01 5f 00"), 11},
		{"extended constant expressions", module(t, "06 01 7f 00 41 01 41 01 6a 0b"), 17},
		{"the component model", []byte("\x00asm\x0d\x00\x01\x00"), 4},
	}
	for _, tt := range tests {
		_, err := instrument.Rewrite(tt.wasm, all)
		var feature *instrument.FeatureError
		if !errors.As(err, &feature) || !errors.Is(err, instrument.ErrModule) {
			t.Errorf("%s: %x: got %v, want a FeatureError", tt.feature, tt.wasm, err)
			continue
		}
		if feature.Feature != tt.feature || tt.offset > 0 && feature.Offset != tt.offset {
			t.Errorf("%x: got %q at %d, want %q at %d", tt.wasm, feature.Feature, feature.Offset, tt.feature, tt.offset)
		}
		if err := instrument.Check(tt.wasm); !errors.As(err, &feature) {
			t.Errorf("%s: Check says %v", tt.feature, err)
		}
	}
}

// TestMalformed checks modules whose counts would have an engine reserve what
// the module does not have.
func TestMalformed(t *testing.T) {
	tests := []struct {
		name string
		wasm []byte
	}{
		{"empty", nil},
		{"text", []byte("(module)")},
		{"version", []byte("\x00asm\x02\x00\x00\x00")},
		{"section size", []byte("\x00asm\x01\x00\x00\x00\x01\xff\xff\xff\xff\x0f")},
		{"types", module(t, "01 ff ff ff ff 0f")},
		{"parameters", module(t, "01 01 60 ff ff ff ff 0f")},
		{"imports", module(t, "02 ff ff ff ff 0f")},
		{"import name", module(t, "02 01 ff ff ff ff 0f")},
		{"functions", module(t, "03 ff ff ff ff 0f")},
		{"tables", module(t, "04 ff ff ff ff 0f")},
		{"globals", module(t, "06 ff ff ff ff 0f")},
		{"exports", module(t, "07 ff ff ff ff 0f")},
		{"elements", module(t, "09 01 01 00 ff ff ff ff 0f")},
		{"element expressions", module(t, "09 01 05 70 ff ff ff ff 0f")},
		{"bodies", module(t, "0a ff ff ff ff 0f")},
		{"data", module(t, "0b 01 01 ff ff ff ff 0f")},
		{"function names", module(t, "00 04 6e616d65 01 05 ff ff ff ff 0f")},
		{"local names", module(t, "00 04 6e616d65 02 07 01 00 ff ff ff ff 0f")},
		{"local names behind others", module(t, "00 04 6e616d65 01 01 00 02 07 01 00 ff ff ff ff 0f")},
		{"locals", module(t, "01 01 60 00 00", "03 01 00", "0a 01 08 01 ff ff ff ff 0f 7f 0b")},
		{"br_table", function(t, "41 00 0e ff ff ff ff 0f")},
		{"label", function(t, "0c 05")},
		{"no body", module(t, "01 01 60 00 00", "03 01 00")},
		{"no function", module(t, "01 01 60 00 00", "0a 01 02 00 0b")},
		{"no type", module(t, "03 01 00", "0a 01 02 00 0b")},
		{"no end", module(t, "01 01 60 00 00", "03 01 00", "0a 01 02 00 01")},
		{"after the end", module(t, "01 01 60 00 00", "03 01 00", "0a 01 03 00 0b 01")},
		{"else", function(t, "05")},
		{"order", module(t, "03 00", "01 00")},
		{"twice", module(t, "01 00", "01 00")},
		{"unknown section", module(t, "20 00")},
		{"unknown instruction", function(t, "ff")},
		{"long number", function(t, "0c 80 80 80 80 80 00")},
	}
	for _, tt := range tests {
		_, err := instrument.Rewrite(tt.wasm, all)
		var feature *instrument.FeatureError
		if !errors.Is(err, instrument.ErrModule) || errors.As(err, &feature) {
			t.Errorf("%s: got %v, want ErrModule", tt.name, err)
		}
		if err := instrument.Check(tt.wasm); !errors.Is(err, instrument.ErrModule) {
			t.Errorf("%s: Check says %v, want ErrModule", tt.name, err)
		}
	}
}

// TestManyLocals checks the bound on all locals of a module: engines reserve a byte
// or more for each.
func TestManyLocals(t *testing.T) {
	body := []byte{7, 1, 0xa0, 0x8d, 0x06, 0x7f, 0x0b} // 100,000 locals
	body[0] = byte(len(body) - 1)
	build := func(n byte, body []byte) []byte {
		wasm := module(t, "01 01 60 00 00")
		wasm = append(wasm, 3, 1+n, n)
		wasm = append(wasm, make([]byte, n)...)
		wasm = append(wasm, 10, 1+n*byte(len(body)), n)
		return append(wasm, slices.Repeat(body, int(n))...)
	}
	if err := instrument.Check(build(1, body)); !errors.Is(err, instrument.ErrModule) {
		t.Errorf("100,000 locals: got %v", err)
	}
	body = []byte{5, 1, 0xb0, 0x6d, 0x7f, 0x0b} // 14,000
	if err := instrument.Check(build(2, body)); err != nil {
		t.Errorf("2 times 14,000 locals: got %v", err)
	}
	if err := instrument.Check(build(5, body)); !errors.Is(err, instrument.ErrModule) {
		t.Errorf("5 times 14,000 locals: got %v", err)
	}
}

// TestPure checks that the result is a function of the module and the options.
func TestPure(t *testing.T) {
	wasm := slices.Clone(kernels.Wasm())
	seen := map[string]string{}
	for _, opts := range []instrument.Options{{}, {Fuel: true}, {CanonicalNaN: true}, {Refusals: true}, all, {Fuel: true, Costs: each}} {
		out := string(rewrite(t, wasm, opts))
		if again := string(rewrite(t, wasm, opts)); again != out {
			t.Errorf("%+v: other bytes the second time", opts)
		}
		if other, ok := seen[out]; ok {
			t.Errorf("%s gives the same as %s", opts.Key(), other)
		}
		seen[out] = opts.Key()
	}
	if !slices.Equal(wasm, kernels.Wasm()) {
		t.Error("Rewrite changed the bytes that it was given")
	}
	named := instrument.Options{Fuel: true, Costs: instrument.DefaultCosts}
	if got, want := named.Key(), (instrument.Options{Fuel: true}).Key(); got != want {
		t.Errorf("key of the default costs: got %q, want %q", got, want)
	}
}

// TestCustom checks that custom sections stay.
func TestCustom(t *testing.T) {
	wasm := module(t, "00 02 6869 01 02 03", "01 01 60 00 00", "03 01 00", "0a 01 02 00 0b", "00 04 6e616d65 01 04 01 00 01 66")
	out := string(rewrite(t, wasm, all))
	for _, want := range []string{"\x00\x06\x02hi\x01\x02\x03", "\x04name\x01\x04\x01\x00\x01f"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is gone", want)
		}
	}
}
