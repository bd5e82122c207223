package stage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each line of the audit that tells something becomes an event, once, also where it is written in parts.
func TestJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit")
	j := &Journal{path: path}
	t.Cleanup(func() { j.Close() })
	read := func() (all []Event) {
		t.Helper()
		all, err := j.Read()
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if all := read(); len(all) != 0 {
		t.Errorf("before there is a file: %+v", all)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	write := func(text string) {
		t.Helper()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	lines := `{"time":"2026-11-30T10:00:00Z","level":"INFO","msg":"audit","what":"registered","host":"edge-1","at":"2026-11-30T10:00:00.5Z"}
{"what":"host is ready","host":"edge-1","at":"2026-11-30T10:00:01Z"}
{"what":"probe","host":"edge-1","why":"module 0102"}
{"what":"probed","host":"edge-1","why":"module 0102 took 18.0 ms"}
{"what":"decided","tenant":"yolo-demo","ue":"yolo-demo","session":17,"state":"asked","verdict":"placed","from":"","primary":"edge-1","standby":"edge-2","why":"placed on edge-1, since it asked","retry":"0s"}
{"what":"decided","tenant":"v","ue":"visitor-edge-1-1","session":18446744073709551615,"verdict":"local","from":"","primary":"","why":"no host, since it asked: edge-1 would use 1.9 turns, over 1.7"}
{"what":"decided","ue":"yolo-demo","verdict":"moves","from":"edge-1","primary":"edge-2","why":"moves from edge-1 to edge-2"}
{"what":"decided","ue":"yolo-demo","verdict":"stays","from":"edge-2","primary":"edge-2","standby":"","why":"edge-1 is silent"}
{"what":"enrolled","why":"x"}
no JSON
{"what":"decided","verdict":"of a later version"}
`
	write(lines[:300])
	all := read()
	write(lines[300:])
	all = append(all, read()...)
	var got []string
	for _, e := range all {
		whose := ""
		if e.Others {
			whose = " (others)"
		}
		got = append(got, string(e.Kind)+whose+" "+e.From+">"+e.Host+": "+e.Text)
	}
	want := []string{
		"host >edge-1: has come",
		"host >edge-1: is ready",
		"probe >edge-1: a call takes 18.0 ms",
		"placed >edge-1: placed on edge-1, since it asked",
		"refusal (others) >: no host, since it asked: edge-1 would use 1.9 turns, over 1.7",
		"move edge-1>edge-2: moves from edge-1 to edge-2",
		"placed edge-2>edge-2: there is no standby: edge-1 is silent",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("events are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if all[0].At.Nanosecond() != 500_000_000 {
		t.Errorf("the first one is of %v; want what the manager says", all[0].At)
	}
	if all := read(); len(all) != 0 {
		t.Errorf("nothing more was written: %+v", all)
	}
}

// Whatever is in the file, nothing breaks and nothing grows.
func FuzzJournal(f *testing.F) {
	f.Add([]byte(`{"what":"decided","verdict":"local"}` + "\n"))
	f.Add([]byte("\n\n{\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "audit")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		j := &Journal{path: path}
		defer j.Close()
		if _, err := j.Read(); err != nil {
			t.Fatal(err)
		}
		if len(j.rest) > maxLine {
			t.Errorf("%d bytes are kept", len(j.rest))
		}
	})
}
