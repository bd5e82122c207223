package bench

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// Whatever the time they take: calls are answered by a host, and each has its figures.
func TestElasticCalls(t *testing.T) {
	s := quick(t)
	r := testRig(t, s)
	c := Channel{Setup: *s}
	wasm := func(certs, cache string) (*exec.Cmd, error) {
		return s.Edge(Host{Certs: certs, Cache: cache, Name: "edge"}), nil
	}
	for name, tt := range map[string]struct {
		host Daemon
		batch
	}{
		"wasm, one in flight": {wasm, batch{Requests: 20, In: small, Out: small}},
		"wasm, paced":         {wasm, batch{Requests: 20, In: image, Out: small, Rate: 500}},
		"native":              {c.native, batch{Requests: 20, In: small, Out: small}},
	} {
		figures, err := c.elasticCalls(r, tt.host, tt.batch, goal{"p50", p50, 1})(t.Context(), name)
		if err != nil || len(figures) != 3 || figures[0].N != 20 {
			t.Errorf("%s: %+v, %v; want 20 calls, their ratio and their allocations", name, figures, err)
		}
	}
}

func TestLocalCall(t *testing.T) {
	s := quick(t)
	testRig(t, s)
	figures, err := Channel{Setup: *s}.localCall(t.Context(), "local/call")
	if err != nil || len(figures) != 2 || figures[1].Value != 0 {
		t.Errorf("%+v, %v; want a time and no allocation", figures, err)
	}
}

// sides makes a series of rounds, of a time each.
func sides(micros ...float64) (s series) {
	for _, t := range micros {
		s.add(measured{Micros: []float64{t, t}})
	}
	return s
}

// The ratio is the median of the rounds', not that of all times together.
func TestOverGRPC(t *testing.T) {
	k := contest{name: "c", ours: sides(1000, 30000, 4000)}
	if f := (&Setup{}).aim(k.overGRPC("p50", "ms", p50), "<=", 1); len(Missed([]Figure{f})) != 1 || f.Note != notBuilt {
		t.Errorf("%+v; a target that could not be checked is missed", f)
	}
	grpc, raw := sides(2000, 10000, 5000), sides(1000, 30000, 4000)
	k.yards = map[string]*series{"grpc": &grpc, "grpcraw": &raw}
	f := k.overGRPC("p50", "ms", p50)
	if f.Value != 0.8 || f.N != 3 || f.Beside["least"] != 0.5 || f.Beside["most"] != 3 || f.Beside["over_grpcraw"] != 1 || f.Beside["ours_ms"] != 4 {
		t.Errorf("%+v; want 0.8 of 0.5, 3 and 0.8", f)
	}
}

// Each load leaves a profile of the UE and one of its host.
func TestProfile(t *testing.T) {
	s := quick(t)
	p := Profile{Setup: *s, Out: t.TempDir(), For: time.Millisecond}
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, load := range []string{"call-1KB", "call-50KB", "message-1KB"} {
		for _, side := range []string{"ue", "host"} {
			if b, err := os.ReadFile(p.file(load, side)); err != nil || len(b) == 0 {
				t.Errorf("profile of %s, %s: %d bytes, %v", load, side, len(b), err)
			}
		}
	}
}
