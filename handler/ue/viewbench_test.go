package ue_test

import (
	"io"
	"testing"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/handler/ue/notifier"
	"github.com/bungee-xr/bungee/handler/ue/policy"
)

// What a local call costs beside the function's own: without a handler, with one whose policy looks at nothing, with Adaptive, and with
// a log of decisions.
func BenchmarkLocalCall(b *testing.B) {
	for _, bb := range []struct {
		name string
		cfg  *ue.Config
	}{
		{"plain", nil},
		{"fixed", &ue.Config{Policy: policy.Always(policy.OnUE)}},
		{"adaptive", &ue.Config{Policy: policy.Adaptive{}}},
		{"adaptive/explained", &ue.Config{Policy: policy.Adaptive{}, Explain: io.Discard}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			if bb.cfg != nil {
				h, err := ue.Start(b.Context(), *bb.cfg)
				if err != nil {
					b.Fatal(err)
				}
				defer h.Close()
			}
			f := doubler("local", true, double)
			b.ReportAllocs()
			for b.Loop() {
				f.Call(b.Context(), 4)
			}
		})
	}
}

// What a view costs: three functions with the calls of 50 ms at 30 frames a second, and the device.
func BenchmarkView(b *testing.B) {
	n, err := notifier.New(nil)
	if err != nil {
		b.Fatal(err)
	}
	defer n.Close()
	h, err := ue.Start(b.Context(), ue.Config{Notifier: n, Policy: policy.WhenReady{}})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	for _, name := range []string{"a", "b", "c"} {
		doubler(name, true, double).Call(b.Context(), 1)
	}
	look := ue.Looker(h, n)
	b.ReportAllocs()
	for b.Loop() {
		look()
	}
}
