package instrument_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/executor/internal/instrument"
)

// TestSplitWhere checks which bulk instructions get a function in front of them, by the
// types and functions that a module has afterwards.
func TestSplitWhere(t *testing.T) {
	const none, one, two = 0, 1, 2
	tests := []struct {
		name, code string
		functions  int
		why        string
	}{
		{"nothing", "", none, "nothing to split"},
		{"small constant", "41 00 41 07 41 80 08 fc 0b 00", none, "1,024 bytes"},
		{"larger constant", "41 00 41 07 41 81 08 fc 0b 00", one, "1,025 bytes"},
		{"huge constant", "41 00 41 07 41 7f fc 0b 00", one, "2^32-1 bytes"},
		{"computed", "41 00 41 07 20 00 fc 0b 00", one, "nobody knows"},
		{"constant before the last", "41 00 41 07 41 08 41 08 6a fc 0b 00", one, "the sum is not a constant"},
		{"constant of a block", "41 00 41 07 02 7f 41 08 0b fc 0b 00", one, "the end of a block is between"},
		{"twice", "41 00 41 07 20 00 fc 0b 00 41 00 41 07 20 00 fc 0b 00", one, "the same function"},
		{"fill and copy", "41 00 41 07 20 00 fc 0b 00 41 00 41 07 20 00 fc 0a 00 00", two, "a function each"},
		{"dead code", "00 41 00 41 07 20 00 fc 0b 00", none, "it is never reached"},
		{"small table", "41 00 d0 70 41 80 01 fc 11 00", none, "128 elements"},
		{"table", "41 00 d0 70 41 81 01 fc 11 00", one, "129 elements"},
		{"grow", "41 00 40 00 1a", none, "it is no bulk instruction"},
	}
	for _, tt := range tests {
		wasm := function(t, tt.code)
		split := rewrite(t, wasm, instrument.Options{Split: true})
		if got := count(split, 3) - count(wasm, 3); got != tt.functions {
			t.Errorf("%s: %d functions more, want %d: %s", tt.name, got, tt.functions, tt.why)
		}
		if tt.functions == none && !slices.Equal(split, wasm) {
			t.Errorf("%s: it was changed: %s", tt.name, tt.why)
		}
		if err := valid(t, runtime(t), split); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// count returns how many elements a section has whose sizes have one byte.
func count(wasm []byte, id byte) int {
	for at := 8; at < len(wasm); at += 2 + int(wasm[at+1]) {
		if wasm[at] == id {
			return int(wasm[at+2])
		}
	}
	return 0
}

// TestSplitFuel checks that a small constant is paid for as a part of its block, and what is
// split as it is without.
func TestSplitFuel(t *testing.T) {
	costs := instrument.Costs{Bulk: 100}
	for _, tt := range []struct {
		name, code string
		want       int64
	}{
		{"small constant", "41 00 41 07 41 80 08 fc 0b 00", 1600},
		{"no full 64 bytes", "41 00 41 07 41 3f fc 0b 00", 0},
		{"larger constant", "41 00 41 07 41 81 08 fc 0b 00", 1600},
		{"a page", "41 00 41 07 41 80 80 04 fc 0b 00", 102400},
		{"table", "41 00 d0 70 41 08 fc 11 00", 100},
		{"in a loop", "03 40 41 00 41 07 41 c0 00 fc 0b 00 20 00 41 01 6a 22 00 41 03 49 0d 00 0b", 300},
	} {
		wasm := module(t, "01 01 60 00 00", "03 01 00", "04 01 70 00 08", "05 01 00 01", "07 01 01 66 00 00", body(tt.code))
		for _, o := range []instrument.Options{{Fuel: true, Costs: costs}, {Fuel: true, Split: true, Costs: costs}, {Fuel: true, CanonicalNaN: true, Refusals: true, Split: true, Costs: costs}} {
			if got := start(t, runtime(t), rewrite(t, wasm, o)).cost("f"); got != tt.want {
				t.Errorf("%s, %+v: got fuel %d, want %d", tt.name, o, got, tt.want)
			}
		}
	}
}

// body returns the section of a function of code with a local of type i32.
func body(code string) string {
	n := byte(len(strings.ReplaceAll(code, " ", ""))/2 + 4)
	return "0a 01" + hexByte(n) + "01 01 7f" + code + "0b"
}

func hexByte(b byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[b>>4], digits[b&15]})
}

// TestSplitHidden checks that a module cannot name the functions and types that it gets.
func TestSplitHidden(t *testing.T) {
	const fill = "41 00 41 07 20 00 fc 0b 00" // gets function 1 and types 1 to 3
	table, memory := "04 01 70 00 01", "05 01 00 01"
	for _, tt := range []struct {
		name, before, code string
	}{
		{"call", "", "41 00 41 00 41 00 10 01"},
		{"reference", "", "d2 01 1a"},
		{"indirect call", "", "41 00 41 00 41 00 41 00 11 01 00"},
		{"block", "", "41 00 41 00 41 00 02 01 0b"},
		{"export", "07 01 01 66 00 01", ""},
		{"start", "08 01", ""},
		{"element", "09 01 00 41 00 0b 01 01", ""},
		{"element expression", "09 01 04 41 00 0b 01 d2 01 0b", ""},
		{"global", "06 01 70 00 d2 01 0b", ""},
	} {
		sections := []string{"01 01 60 00 00", "03 01 00", table, memory}
		if tt.before != "" {
			sections = append(sections, tt.before)
		}
		wasm := module(t, append(sections, body(fill+tt.code))...)
		_, err := instrument.Rewrite(wasm, instrument.Options{Split: true})
		var feature *instrument.FeatureError
		if !errors.Is(err, instrument.ErrModule) || errors.As(err, &feature) {
			t.Errorf("%s: got %v, want ErrModule", tt.name, err)
		}
		if err := instrument.Check(wasm); !errors.Is(err, instrument.ErrModule) {
			t.Errorf("%s: Check says %v, want ErrModule", tt.name, err)
		}
	}
	// And no function or import may be of them.
	for _, wasm := range [][]byte{
		module(t, "01 01 60 00 00", "03 01 01", memory, body(fill)),
		module(t, "01 01 60 00 00", "02 01 01 61 01 62 00 01", "03 01 00", memory, body(fill)),
	} {
		if _, err := instrument.Rewrite(wasm, instrument.Options{Split: true}); !errors.Is(err, instrument.ErrModule) {
			t.Errorf("function of an added type: got %v, want ErrModule", err)
		}
	}
}

// TestSplitSegments checks instructions that name what there is not.
func TestSplitSegments(t *testing.T) {
	for name, code := range map[string]string{
		"data segment":    "41 00 41 00 20 00 fc 08 00 00",
		"element segment": "41 00 41 00 20 00 fc 0c 00 00",
		"table":           "41 00 d0 70 20 00 fc 11 03",
	} {
		if err := instrument.Check(function(t, code)); !errors.Is(err, instrument.ErrModule) {
			t.Errorf("no such %s: got %v, want ErrModule", name, err)
		}
	}
}
