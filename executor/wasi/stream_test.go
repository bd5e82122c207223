package wasi

import (
	"slices"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/abi"
)

func TestOutput(t *testing.T) {
	long := strings.Repeat("x", abi.MaxLog)
	tests := []struct {
		name   string
		writes []string
		want   []string
		why    string
	}{
		{"lines", []string{"a\nbc\n"}, []string{"a", "bc"}, "one write, two lines"},
		{"pieces", []string{"a", "b", "\n"}, []string{"ab"}, "fmt.Println may write in pieces"},
		{"unended", []string{"a\nb"}, []string{"a", "b"}, "the rest comes when the instance is closed"},
		{"empty line", []string{"a\n\nb\n"}, []string{"a", "", "b"}, "a guest's blank lines are its own"},
		{"longest", []string{long + "\nb\n"}, []string{long, "b"}, "as long as a line may be"},
		{"longest in pieces", []string{long, "\nb\n"}, []string{long, "b"}, "its end comes later"},
		{"longer", []string{long[1:], "yz\n"}, []string{long[1:] + "y", "z"}, "a line is bounded"},
		{"nothing", []string{""}, nil, "an empty write"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var lines []string
			m, err := Functions(Config{Log: func(line string) { lines = append(lines, line) }})
			if err != nil {
				t.Fatal(err)
			}
			funcs, stop := m.New()
			g := start(t, m)
			for _, f := range funcs {
				g.funcs[f.Name] = f
			}
			for _, w := range tt.writes {
				if e := g.write(2, w); e != 0 || g.u32(at0) != uint32(len(w)) {
					t.Fatalf("write of %d bytes: got %v, %d", len(w), e, g.u32(at0))
				}
			}
			stop()
			if !slices.Equal(lines, tt.want) {
				t.Errorf("got %.60q, want %.60q: %s", lines, tt.want, tt.why)
			}
		})
	}
}

// A write is bounded, and tells what it took.
func TestOutputIsBounded(t *testing.T) {
	g := newGuest(t, Config{})
	g.memory = make(memory, 3<<20)
	list, n := g.vector(page, 2<<20)
	g.must("fd_write", 1, list, n, at0)
	if got := g.u32(at0); got != maxTransfer {
		t.Errorf("2 MiB at once: %d taken, want %d", got, maxTransfer)
	}
	tests := []struct {
		list, n uint64
		want    errno
		why     string
	}{
		{page, maxVectors + 1, eInvalid, "too many pieces"},
		{page, 1<<32 - 1, eInvalid, "a length that wraps"},
		{3<<20 - 4, 1, eFault, "the list is outside"},
	}
	for _, tt := range tests {
		if e := g.call("fd_write", 1, tt.list, tt.n, at0); e != tt.want {
			t.Errorf("%d pieces: got %v, want %v: %s", tt.n, e, tt.want, tt.why)
		}
	}
	list, n = g.vector(3<<20-1, 2)
	if e := g.call("fd_write", 1, list, n, at0); e != eFault {
		t.Errorf("a piece outside: got %v, want %v", e, eFault)
	}
}

// What a Go guest calls all the time allocates nothing.
func TestAllocations(t *testing.T) {
	var logged int
	for _, cfg := range []Config{{}, {Clock: true, Random: true, Log: func(string) { logged++ }}} {
		g := newGuest(t, cfg)
		g.must("random_get", buf, 1)
		g.write(2, "x")
		list, n := g.vector(page, 1)
		var mem executor.Memory = g.memory
		for name, args := range map[string][]uint64{
			"clock_time_get": {1, 0, at0}, "random_get": {buf, 64}, "sched_yield": nil, "fd_write": {2, list, n, at0},
		} {
			f := g.funcs[name]
			got := testing.AllocsPerRun(100, func() {
				copy(g.stack[:], args)
				if err := f.Call(g.ctx, mem, g.stack[:]); err != nil || g.stack[0] != 0 {
					t.Fatal(name, err, g.stack[0])
				}
			})
			if got != 0 {
				t.Errorf("%s: got %v allocations, want none", name, got)
			}
		}
	}
}

// BenchmarkFunctions measures what Go guests call all the time, and what an instance costs.
func BenchmarkFunctions(b *testing.B) {
	g := newGuest(b, Config{Clock: true, Random: true})
	var mem executor.Memory = g.memory
	for name, args := range map[string][]uint64{"clock_time_get": {1, 0, at0}, "random_get": {buf, 64}, "sched_yield": nil} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			f := g.funcs[name]
			for b.Loop() {
				copy(g.stack[:], args)
				if err := f.Call(g.ctx, mem, g.stack[:]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("instance", func(b *testing.B) {
		b.ReportAllocs()
		m, err := Functions(Config{})
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			_, stop := m.New()
			stop()
		}
	})
}

// What Go's runtime says of its end comes in pieces, and is bounded.
func TestFatal(t *testing.T) {
	tests := []struct {
		writes []string
		want   string
	}{
		{[]string{"panic: x\n"}, ""},
		{[]string{"fatal error: ", "all goroutines are asleep - deadlock!", "\n", "\ngoroutine 1"}, "all goroutines are asleep - deadlock!"},
		{[]string{"a\nfatal error: stack overflow\nb\n"}, "stack overflow"},
		{[]string{"fatal error: one\n", "fatal error: two\n"}, "two"},
		{[]string{"fatal error: ", strings.Repeat("x", 1000), "y\n"}, strings.Repeat("x", maxFatal)},
	}
	for _, tt := range tests {
		var s stream
		for _, w := range tt.writes {
			if _, err := s.write([]byte(w), 0); err != nil {
				t.Fatal(err)
			}
		}
		if s.fatal != tt.want {
			t.Errorf("%.60q: got %q", tt.writes, s.fatal)
		}
	}
}
