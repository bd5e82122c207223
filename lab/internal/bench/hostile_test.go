package bench

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/lab/internal/siege"
)

// A host in a process of its own answers each hostile call, over QUIC and TCP, as its kind allows, and the
// honest calls between them, too.
func TestHostile(t *testing.T) {
	s := Hostile{Setup: *quick(t), Calls: 1500, Tenants: 2, Out: t.TempDir()}
	figures, err := s.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, f := range figures {
		switch {
		case !f.OK && !strings.HasSuffix(f.Metric, "_growth"): // the host has just begun
			t.Errorf("%s: %s is %g %s: %s %v", f.Case, f.Metric, f.Value, f.Unit, f.Note, f.Beside)
		case f.Metric == "not_allowed" && f.N > 0:
			seen++
		}
	}
	if seen < leastKinds {
		t.Errorf("calls of %d kinds were made, want %d at least", seen, leastKinds)
	}
	if log, err := os.ReadFile(filepath.Join(s.Out, "hosts.log")); err != nil || strings.Contains(string(log), "goroutine ") {
		t.Errorf("the host's log: %v, or there is a stack in it", err)
	}
}

// What a host must not do is seen: an answer that is not allowed, a lost or a crossed one, growth, and an end.
func TestOutrageJudges(t *testing.T) {
	k := siege.Kind{Name: "k", Share: 1, Allowed: []siege.Response{{Type: 0x12, Code: 6}}}
	for _, tt := range []struct {
		why   string
		spoil func(*outrage)
		want  []string
	}{
		{"all is well", func(o *outrage) {}, nil},
		{"an answer that is not allowed", func(o *outrage) { o.blameLocked("k", "fail internal error") }, []string{"k/not_allowed", "all/not_allowed"}},
		{"an honest call without answer", func(o *outrage) { o.lost++ }, []string{"all/honest_lost"}},
		{"another's answer", func(o *outrage) { o.crossed++ }, []string{"all/honest_crossed"}},
		{"the host has ended", func(o *outrage) { o.after = usage{} }, []string{"all/crashed"}},
		{"descriptors are left", func(o *outrage) { o.after.Files = 60 }, []string{"all/descriptors_growth"}},
		{"goroutines are left", func(o *outrage) { o.after.Goroutines = 200 }, []string{"all/goroutines_growth"}},
		{"too few calls", func(o *outrage) { o.Calls = 4 }, []string{"all/hostile"}},
	} {
		o := &outrage{kinds: slices.Repeat([]siege.Kind{k}, leastKinds), wrong: map[string]int{}, why: map[string][]string{}}
		for i := range o.kinds[1:] {
			o.kinds[1+i].Name = "other"
		}
		o.Calls = 3
		o.seen = map[string]map[siege.Response]int{"k": {k.Allowed[0]: 3}}
		o.before = usage{RSS: 50, Heap: 10, Goroutines: 20, Files: 20}
		o.after = o.before
		tt.spoil(o)
		var got []string
		for _, f := range Missed(o.figures()) {
			got = append(got, f.Case+"/"+f.Metric)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: missed are %q, want %q", tt.why, got, tt.want)
		}
	}
}
