package check

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseReadsWhatStringWrites(t *testing.T) {
	for seed := range uint64(200) {
		want := Generate(seed)
		got, err := Parse(want.String())
		if err != nil {
			t.Fatalf("seed %d: %v, of\n%s", seed, err, want)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: got\n%s\nwant\n%s", seed, got, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct{ why, text, want string }{
		{"nothing to do it on", "send n=1", "0 channels"},
		{"a word that is no op", "channel\njump", `"jump"`},
		{"a field that is none", "channel depth=3", `"depth"`},
		{"a channel that is not there", "channel\nsend chan=1 n=1", "1 channels"},
		{"below zero", "channel\nsend n=-1", "below 0"},
		{"too much", "channel\nsend n=1000000000", "over"},
		{"a host that is none", "channel\nmove host=D", `"D"`},
		{"nowhere to move to", "channel\nmove", `""`},
		{"a standby beside itself", "channel\nplace host=A standby=A n=1", "stand by"},
		{"a standby for the UE", "channel\nplace host=UE standby=A n=1", "stand by"},
		{"nowhere to be placed", "channel\nplace n=1", `""`},
		{"the UE does not crash", "channel\ncrash host=UE", "host=A"},
		{"no time", "channel\nwait for=soon", "soon"},
		{"too long", "channel\nwait for=2h", "2h"},
		{"a standby that is none", "channel standby=UE", `"UE"`},
	}
	for _, test := range tests {
		if s, err := Parse(test.text); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %q gave %v, %v; want an error with %s", test.why, test.text, s, err, test.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Generate(1).String())
	f.Add("# a remark\nnet seed=1 delay=1ms\nchannel latest standby=A\nmove host=B patience=1ms\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(s.String())
		if err != nil || !reflect.DeepEqual(again, s) {
			t.Errorf("%q is\n%s\nwhich is read as\n%v, %v", text, s, again, err)
		}
	})
}

// A script that fails when it has a crash while messages are sent by tens.
func TestShrink(t *testing.T) {
	fails := func(s *Script) string {
		many := slices.ContainsFunc(s.Steps, func(st Step) bool { return st.Op == Send && st.N >= 10 && st.Chan == 0 })
		if many && slices.ContainsFunc(s.Steps, func(st Step) bool { return st.Op == Crash }) {
			return "lost 1 message"
		}
		if len(s.Steps) == 0 {
			return "something else"
		}
		return ""
	}
	for seed := range uint64(100) {
		s := Generate(seed)
		if fails(s) == "" {
			continue
		}
		small, why := Shrink(s, fails(s), fails)
		want := []Step{{Op: Send, N: small.Steps[0].N}, {Op: Crash, Host: small.Steps[len(small.Steps)-1].Host}}
		if small.Steps[0].Op == Crash {
			want = []Step{{Op: Crash, Host: small.Steps[0].Host}, {Op: Send, N: small.Steps[1].N}}
		}
		if why != "lost 1 message" || !reflect.DeepEqual(small.Steps, want) || want[0].N+want[1].N > 19 || len(small.Channels) != 1 {
			t.Errorf("seed %d was shrunk to\n%s\n%s", seed, small, why)
		}
	}
}

// Scripts that have failed once are kept, as files of testdata/regressions.
func TestRegressions(t *testing.T) {
	regressions(t, "regressions", func(t *testing.T, s *Script) func() (string, error) {
		return func() (string, error) {
			r := runner{t: t, count: new(Counts)}
			return r.run(s), nil
		}
	})
}

// regressions runs each script of a folder of testdata 20 times, with what runs returns for
// it: how goroutines take turns is not in the script, so once is not enough.
func regressions(t *testing.T, folder string, runs func(t *testing.T, s *Script) func() (why string, err error)) {
	files, err := filepath.Glob(filepath.Join("testdata", folder, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d scripts, %v", len(files), err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			s, err := Parse(string(b))
			if err != nil {
				t.Fatal(err)
			}
			run := runs(t, s)
			for range 20 {
				if why, err := run(); err != nil || why != "" {
					t.Fatalf("%v, %.3000s\n%s", err, why, s)
				}
			}
		})
	}
}

// A seed is the same script for ever, or failures could not be told by seed.
func TestSeedsDiffer(t *testing.T) {
	if a, b := Generate(1).String(), Generate(2).String(); a == b {
		t.Errorf("seeds 1 and 2 are the same script:\n%s", a)
	}
	if a, b := Generate(1).String(), Generate(1).String(); a != b {
		t.Errorf("seed 1 is two scripts:\n%s\n%s", a, b)
	}
	for seed := range uint64(500) {
		for _, st := range Generate(seed).Steps {
			if st.For > maxTime || st.For%time.Millisecond != 0 {
				t.Fatalf("seed %d: a step of %v", seed, st.For)
			}
		}
	}
}
