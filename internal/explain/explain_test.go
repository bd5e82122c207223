package explain_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/internal/explain"
)

// story is a log of a call.
func story() []*explain.Record {
	v := &policy.View{
		At: time.Second, Device: policy.Device{Temperature: policy.Known(41.5)}, Link: policy.Link{Kind: policy.WiFi, RTT: policy.Known(5 * time.Millisecond)},
		Hosts: []policy.Host{{Name: "edge-1", Ready: true}}, Functions: []policy.Function{{Name: "detect", Idempotent: true}},
		Standings: []policy.Standing{{Where: policy.OnEdge, Why: policy.Why{Reason: policy.Hot, A: 41.5, B: 41}}},
	}
	return []*explain.Record{
		{Head: &explain.Head{Version: explain.Version, Policy: "policy.Adaptive"}},
		{At: v.At, View: v},
		{At: 2 * time.Second, Call: &explain.Call{Call: policy.Call{Number: 7, Ready: true}, Where: policy.OnEdge, Reason: policy.Hot, A: 41.5, B: 41, Hedge: time.Millisecond}},
		{At: 3 * time.Second, End: &explain.End{Where: policy.OnEdge, Took: 9 * time.Millisecond, Up: 50_000}},
		{At: 4 * time.Second, Lost: 3},
	}
}

func write(t testing.TB, all []*explain.Record) []byte {
	var b []byte
	for _, r := range all {
		var err error
		if b, err = explain.Append(b, r); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func read(b []byte) (all []*explain.Record, err error) {
	for r, e := range explain.Read(bytes.NewReader(b)) {
		if e != nil {
			return all, e
		}
		all = append(all, r)
	}
	return all, nil
}

func TestReadsWhatWasWritten(t *testing.T) {
	want := story()
	got, err := read(write(t, want))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
}

// A log that is cut at any byte gives the records before, and says that it is cut unless that is the end of a line.
func TestTruncated(t *testing.T) {
	b := write(t, story())
	for n := range b {
		got, err := read(b[:n])
		if whole := bytes.Count(b[:n], []byte("\n")); len(got) != whole {
			t.Fatalf("cut at %d: %d records, want %d", n, len(got), whole)
		}
		if atLine := n == 0 || b[n-1] == '\n'; errors.Is(err, explain.ErrTruncated) == atLine {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
}

func TestRefuses(t *testing.T) {
	view := `{"at":1,"view":{"Functions":[{"Name":"f"}]}}` + "\n"
	for _, tt := range []struct{ name, log, says string }{
		{"no JSON", view + "hello\n", "line 2"},
		{"two records", view[:len(view)-1] + view, "after the record"},
		{"a later version", `{"head":{"version":2}}` + "\n", "version 2"},
		{"a call before a view", `{"call":{"where":0}}` + "\n", "that the view before does not have"},
		{"a function that is not there", view + `{"call":{"Function":1}}` + "\n", "line 2"},
		{"a negative one", view + `{"end":{"function":-1}}` + "\n", "line 2"},
		{"no place", view + `{"call":{"where":2}}` + "\n", "line 2"},
		{"the last place is none", view + `{"call":{"Now":9}}` + "\n", "line 2"},
		{"a time before the begin", `{"at":-1}` + "\n", "before the begin"},
		{"more standings than functions", `{"view":{"Standings":[{}]}}` + "\n", "1 standings"},
		{"many functions", `{"view":{"Functions":[` + strings.Repeat("{},", 2000) + `{}]}}` + "\n", "2001 functions"},
		{"a long line", strings.Repeat(" ", explain.MaxLine+1) + "\n", "more than"},
	} {
		if _, err := read([]byte(tt.log)); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v; want %q", tt.name, err, tt.says)
		}
	}
}

// Whatever a log says, policies can be given it.
func FuzzRead(f *testing.F) {
	f.Add(write(f, story()))
	f.Add([]byte(`{"at":1,"view":{"Functions":[{"Levels":[{}]}],"Standings":[{"Fidelity":[9,9],"Explore":1}]}}` + "\n" + `{"call":{"Function":0}}` + "\n"))
	f.Add([]byte("{\"at\":1}\n{"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var v *policy.View
		all, _ := read(b)
		for _, r := range all {
			switch {
			case r.View != nil:
				v = r.View
				policy.Adaptive{}.Plan(v)
				policy.Threshold{}.Plan(v)
				v.Unmet()
			case r.Call != nil:
				policy.Adaptive{}.Decide(r.Call.Call, v)
				_ = r.Call.Why().String()
			}
		}
	})
}

// A file has no more than it may, of whole lines, and begins with the head.
func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if _, err := explain.Create(path, 1000); err == nil {
		t.Error("a file of 1000 bytes is made")
	}
	l, err := explain.Create(path, explain.MaxLine)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	all := story()
	if _, err := l.Write(write(t, all[:1])); err != nil {
		t.Fatal(err)
	}
	b := write(t, all[1:])
	for range 5 * explain.MaxLine / len(b) {
		if n, err := l.Write(b); n != len(b) || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + ".1"} {
		got, err := os.ReadFile(name)
		if err != nil || len(got) > explain.MaxLine {
			t.Fatalf("%s: %d bytes, %v", name, len(got), err)
		}
		if all, err := read(got); err != nil || all[0].Head == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := l.Write(b); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a closed file takes lines: %v", err)
	}
}
