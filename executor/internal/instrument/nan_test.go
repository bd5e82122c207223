package instrument_test

import (
	"math"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/executor/internal/instrument"
)

const (
	canonical32 = 0x7fc00000
	canonical64 = 0x7ff8000000000000
)

func nan32(v uint64) bool { return v&0x7f800000 == 0x7f800000 && v&0x007fffff != 0 }
func nan64(v uint64) bool { return math.IsNaN(math.Float64frombits(v)) }

// TestNaN checks the bits of NaNs that are computed, and of such that are not, for
// each pair of interesting floats.
func TestNaN(t *testing.T) {
	floats32 := []uint64{0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, // 0, 1, infinity
		canonical32, 0xffc00000, 0x7fa00001, 0xff812345, 0x7fffffff} // NaNs, two of which signal
	floats64 := []uint64{0, 1 << 63, 0x3ff0000000000000, 0x7ff0000000000000, 0xfff0000000000000,
		canonical64, 0xfff8000000000000, 0x7ff4000000000001, 0xffffffffffffffff}
	// What keeps bits, or works on those of a canonical NaN.
	kept := map[string]func(a, b, plain uint64) uint64{
		"move": func(a, _, _ uint64) uint64 { return a },
		"pmin": func(_, _, plain uint64) uint64 { return plain },
		"f32.mix": func(_, _, plain uint64) uint64 {
			if nan32(plain) {
				return canonical32 | 1<<31
			}
			return plain
		},
		"f32.keep": func(_, _, plain uint64) uint64 {
			if nan32(plain) {
				return canonical32 | 1<<31
			}
			return plain
		},
		"f64x2.promote": func(_, _, plain uint64) uint64 { // the upper half of a double
			if plain&0x7ff00000 == 0x7ff00000 && plain&0xfffff != 0 {
				return canonical64 >> 32
			}
			return plain
		},
	}
	r := runtime(t)
	plain := start(t, r, file(t, "nan"))
	rewritten := start(t, r, rewrite(t, file(t, "nan"), instrument.Options{CanonicalNaN: true}))
	differ := 0
	for name := range plain.module.ExportedFunctionDefinitions() {
		values, canonical, isNaN := floats32, uint64(canonical32), nan32
		if strings.HasPrefix(name, "f64.") || name == "f64x2.mul" {
			values, canonical, isNaN = floats64, canonical64, nan64
		}
		for _, a := range values {
			for _, b := range values {
				was, got := plain.bits(name, a, b), rewritten.bits(name, a, b)
				want := was
				if keep := kept[name]; keep != nil {
					want = keep(a, b, was)
				} else if isNaN(was) {
					want = canonical
				}
				if got != want {
					t.Errorf("%s(%#x, %#x): got %#x, want %#x; it was %#x", name, a, b, got, want, was)
				}
				if got != was {
					differ++
				}
			}
		}
	}
	if differ == 0 {
		t.Error("this processor computes canonical NaNs only; the test shows nothing")
	}
}

// bits calls a function that returns the bits of a float.
func (g guest) bits(name string, args ...uint64) uint64 {
	g.t.Helper()
	results, err := g.module.ExportedFunction(name).Call(g.t.Context(), args...)
	if err != nil {
		g.t.Fatalf("%s: %v", name, err)
	}
	return results[0]
}

// TestSinks checks that a NaN which only another operation takes costs nothing, and
// that each operation whose result is looked at is made canonical.
func TestSinks(t *testing.T) {
	const canonical = 5 + 4*2 + 1 + 2 + 1 // f32.const, local.tee, get, set, get, f32.ne, if, end
	grown := func(code string) int {
		wasm := function(t, code)
		return len(rewrite(t, wasm, instrument.Options{CanonicalNaN: true})) - len(wasm)
	}
	const declare = 2 // of the temporary
	const a, b = "43 0000803f", "43 00000040"
	tests := []struct {
		name, code string
		want       int
	}{
		{"dropped", a + b + "92 1a", 0},
		{"looked at", a + b + "92 bc 1a", 1},
		{"kept", a + b + "92 8c bc 1a", 1},
		{"chain", a + b + "92" + b + "94 bc 1a", 1},
		{"two into one", a + b + "92" + a + b + "94 93 bc 1a", 1},
		{"compared", a + b + "92" + a + "5d 1a", 0},
		{"truncated", a + b + "92 fc 00 1a", 0},
		{"across a block", a + b + "92 03 7d" + a + "0b 92 bc 1a", -1},
		{"an integer between", "41 00" + a + b + "92 38 02 00", 1},
	}
	for _, tt := range tests {
		want := tt.want * canonical
		if tt.want > 0 {
			want += declare
		}
		if got := grown(tt.code); tt.want >= 0 && got != want {
			t.Errorf("%s: %d bytes more, want %d", tt.name, got, want)
		} else if tt.want < 0 && got < 2*canonical {
			t.Errorf("%s: %d bytes more; a NaN that crosses a block must be made canonical", tt.name, got)
		}
	}
}
