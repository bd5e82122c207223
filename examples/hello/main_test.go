package main

import (
	"bytes"
	"context"
	"math"
	"testing"

	"github.com/bungee-xr/bungee/examples/internal/edgetest"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/pack"
)

func TestBrightness(t *testing.T) {
	tests := []struct {
		why  string
		gray []byte
		want float64
		ok   bool
	}{
		{"black", make([]byte, 100), 0, true},
		{"white", bytes.Repeat([]byte{255}, 100), 1, true},
		{"half of each", []byte{0, 255}, 0.5, true},
		{"no pixels have no mean", nil, 0, false},
	}
	for _, tt := range tests {
		got, err := Brightness(context.Background(), tt.gray)
		if math.Abs(got-tt.want) > 1e-9 || (err == nil) != tt.ok {
			t.Errorf("%s: Brightness = %v, %v; want %v, error %t", tt.why, got, err, tt.want, !tt.ok)
		}
	}
}

// The edge host answers as the UE does.
func TestAtTheEdge(t *testing.T) {
	edgetest.Prepare(t, &brightnessFunc.Desc)
	var at offload.Trace
	got, err := Brightness(offload.WithTrace(t.Context(), &at), []byte{0, 255})
	if got != 0.5 || err != nil || at.Host != edgetest.Name {
		t.Errorf("Brightness = %v, %v, computed on %q; want 0.5 from %s", got, err, at.Host, edgetest.Name)
	}
}

// TestLocalCallIsFree holds what offload promises of a native call.
func TestLocalCallIsFree(t *testing.T) {
	ctx, gray := context.Background(), make([]byte, 64)
	got := testing.AllocsPerRun(100, func() {
		if _, err := Brightness(ctx, gray); err != nil {
			t.Fatal(err)
		}
	})
	if got != 0 {
		t.Errorf("a native call of Brightness: %v allocations; want 0", got)
	}
}

// TestModule checks that the embedded module is the one of its digest, and that
// the codec brings a result back.
func TestModule(t *testing.T) {
	if _, err := bungeeModule.Wasm(); err != nil {
		t.Fatal(err)
	}
	reply := brightnessFunc.Serve(context.Background(), pack.AppendBytes(nil, []byte{255}), nil)
	r := pack.NewReader(reply[1:])
	if got := r.Float64(); reply[0] != 0 || got != 1 || r.Done() != nil {
		t.Errorf("reply %x reads as %v, %v; want 1", reply, got, r.Err())
	}
}

func BenchmarkBrightness(b *testing.B) {
	ctx, gray := context.Background(), make([]byte, 1)
	for name, f := range map[string]func(context.Context, []byte) (float64, error){"plain": brightness, "elastic": Brightness} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f(ctx, gray); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
