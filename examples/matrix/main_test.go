package main

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/examples/internal/edgetest"
)

func TestMultiply(t *testing.T) {
	one := Matrix{2, 2, []float64{1, 0, 0, 1}}
	tests := []struct {
		why  string
		a, b Matrix
		want []float64
		err  error
	}{
		{"by the identity", one, Matrix{2, 2, []float64{1, 2, 3, 4}}, []float64{1, 2, 3, 4}, nil},
		{"a row by a column", Matrix{1, 3, []float64{1, 2, 3}}, Matrix{3, 1, []float64{4, 5, 6}}, []float64{32}, nil},
		{"a column by a row", Matrix{2, 1, []float64{1, 2}}, Matrix{1, 2, []float64{3, 4}}, []float64{3, 4, 6, 8}, nil},
		{"nothing", Matrix{}, Matrix{}, []float64{}, nil},
		{"shapes that do not fit", one, Matrix{1, 2, []float64{1, 2}}, nil, errShape},
		{"numbers are missing", one, Matrix{2, 2, []float64{1}}, nil, errShape},
		{"a shape that overflows", Matrix{1 << 32, 1 << 32, nil}, Matrix{1 << 32, 1, nil}, nil, errShape},
		{"less than nothing", Matrix{-1, -1, []float64{1}}, Matrix{-1, -1, []float64{1}}, nil, errShape},
	}
	for _, tt := range tests {
		got, err := Multiply(t.Context(), tt.a, tt.b)
		if !errors.Is(err, tt.err) || !slices.Equal(got.Numbers, tt.want) {
			t.Errorf("%s: %v, %v; want %v, %v", tt.why, got, err, tt.want, tt.err)
		}
	}
}

// The edge host comes to the same numbers, to the bit; compare fails where it does not.
func TestAtTheEdge(t *testing.T) {
	edgetest.Prepare(t, &multiplyFunc.Desc)
	var said bytes.Buffer
	if err := compare(t.Context(), &said, 3, 40); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(said.String(), "on "+edgetest.Name); n != 2 {
		t.Errorf("%d of 2 products are of the edge host:\n%s", n, &said)
	}
	if _, err := Multiply(t.Context(), numbered(2), numbered(3)); err == nil {
		t.Error("the edge host multiplies matrices that do not fit")
	}
}
