package offloadtest

import (
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"
)

// A tree has all kinds of values, and itself.
type tree struct {
	Name   string
	Left   *tree
	Many   []tree
	ByName map[string]float64
	At     time.Time
	hidden [2]int8
}

// TestValue holds that a seed gives the same value each time, and that seeds give values
// of all kinds and of some size, lower-case fields included.
func TestValue(t *testing.T) {
	var left, many, byName, hidden, long int
	for seed := range uint64(200) {
		v := value[tree](seed)
		if a, b := value[[]string](seed), value[[]string](seed); !slices.Equal(a, b) {
			t.Fatalf("seed %d gives %q, and then %q", seed, a, b)
		}
		left += min(1, depth(v.Left))
		many += min(1, len(v.Many))
		byName += min(1, len(v.ByName))
		long += len(value[[]uint16](seed)) / 256
		if v.hidden != [2]int8{} {
			hidden++
		}
	}
	for what, n := range map[string]int{"Left": left, "Many": many, "ByName": byName, "hidden": hidden, "lists longer than 255": long} {
		if n == 0 {
			t.Errorf("no seed of 200 sets %s", what)
		}
	}
	if d := depth(value[*tree](1)); d > maxDepth {
		t.Errorf("a recursive value is %d deep; want at most %d", d, maxDepth)
	}
}

func depth(t *tree) int {
	if t == nil {
		return 0
	}
	d := depth(t.Left)
	for _, m := range t.Many {
		d = max(d, depth(&m))
	}
	return d + 1
}

func TestNear(t *testing.T) {
	type pair struct {
		F float32
		M map[string][]float64
		P *int
	}
	one, other := 1, 1
	nan := math.Float64frombits(0x7ff8000000000002)
	tests := []struct {
		why  string
		a, b any
		ulp  int
		want bool
	}{
		{"equal values behind other pointers", pair{P: &one}, pair{P: &other}, 0, true},
		{"nil and a value", pair{P: &one}, pair{}, 0, false},
		{"NaNs with other bits", math.NaN(), nan, 0, true},
		{"one unit is too much for none", 1.0, math.Nextafter(1, 2), 0, false},
		{"one unit", 1.0, math.Nextafter(1, 2), 1, true},
		{"two units", 1.0, math.Nextafter(math.Nextafter(1, 2), 2), 1, false},
		{"a unit of float32 in a struct", pair{F: 1}, pair{F: math.Nextafter32(1, 0)}, 1, true},
		{"the two zeros differ to the bit", 0.0, math.Copysign(0, -1), 0, false},
		{"the two zeros are near", 0.0, math.Copysign(0, -1), 1, true},
		{"numbers with other signs", 1e-320, -1e-320, 1 << 30, false},
		{"an element in a map", pair{M: map[string][]float64{"a": {1}}}, pair{M: map[string][]float64{"a": {2}}}, 4, false},
		{"another key", pair{M: map[string][]float64{"a": {1}}}, pair{M: map[string][]float64{"b": {1}}}, 4, false},
		{"an empty list and none", []int{}, []int(nil), 0, false},
		{"integers are compared to the bit", uint8(1), uint8(2), 9, false},
	}
	for _, tt := range tests {
		if got := near(reflect.ValueOf(tt.a), reflect.ValueOf(tt.b), tt.ulp); got != tt.want {
			t.Errorf("%s: near(%v, %v, %d) = %t; want %t", tt.why, tt.a, tt.b, tt.ulp, got, tt.want)
		}
	}
}

func TestStale(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("a.go", "package a\n")
	write("b.go", "package b\r\n")
	write("a_test.go", "package a\n")
	write("bungee_offload.go", "package a\n")
	made := Sources{"a.go": "97d2d0f2b7a5a4ae", "c.go": "0000000000000000", "d/d.go": "0000000000000000"}
	got := made.stale(dir)
	if want := []string{"a.go has changed", "b.go was added", "c.go is gone", "d/d.go is gone"}; !slices.Equal(got, want) {
		t.Errorf("stale sources are %q; want %q", got, want)
	}
}
