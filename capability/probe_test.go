package capability

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestProbes(t *testing.T) {
	many := make([]Probe, MaxProbes)
	for i := range many {
		many[i] = Probe{Fn: uint32(i), Request: []byte{}}
	}
	other := custom("name", "x") + custom(Section, `{"clock":true}`)
	tests := []struct {
		why    string
		wasm   string
		probes []Probe
	}{
		{"one", empty, []Probe{{3, []byte("request")}}},
		{"as many as may be", empty + other, many},
		{"as large as may be", empty, []Probe{{1<<32 - 1, make([]byte, MaxProbeSection-8)}}},
		{"earlier ones go", empty + custom(ProbeSection, "x") + other, []Probe{{0, []byte("y")}, {1, []byte{}}}},
		{"none, and earlier ones go", empty + custom(ProbeSection, "x") + other, nil},
	}
	for _, tt := range tests {
		wasm, err := AppendProbes([]byte(tt.wasm), tt.probes)
		if err != nil {
			t.Errorf("%s: %v", tt.why, err)
			continue
		}
		got, err := ReadProbes(wasm)
		if err != nil || !reflect.DeepEqual(got, tt.probes) {
			t.Errorf("%s: %d probes are read, %v; want %d", tt.why, len(got), err, len(tt.probes))
		}
		if strings.Contains(tt.wasm, Section) {
			if m, err := Read(wasm); err != nil || !m.Clock {
				t.Errorf("%s: the manifest is %+v, %v", tt.why, m, err)
			}
		}
		clear(wasm)
		if len(got) > 0 && len(got[0].Request) == 7 && string(got[0].Request) != "request" {
			t.Errorf("%s: what is read changes with the module", tt.why)
		}
	}
}

func TestProbesThatAreRefused(t *testing.T) {
	entry := "\x00\x00\x00\x00\x01\x00\x00\x00x"
	tests := []struct{ why, wasm, says string }{
		{"empty", custom(ProbeSection, ""), "empty"},
		{"half a number", custom(ProbeSection, "\x00\x00"), "cut off"},
		{"half a request", custom(ProbeSection, "\x00\x00\x00\x00\x09\x00\x00\x00abc"), "cut off"},
		{"a request of 4 GB", custom(ProbeSection, "\x00\x00\x00\x00\xff\xff\xff\xff"), "cut off"},
		{"a rest behind an entry", custom(ProbeSection, entry+"\x01"), "cut off"},
		{"two sections", custom(ProbeSection, entry) + custom(ProbeSection, entry), "two sections"},
		{"too many", custom(ProbeSection, strings.Repeat(entry, MaxProbes+1)), "more than 8"},
	}
	for _, tt := range tests {
		got, err := ReadProbes([]byte(empty + tt.wasm))
		if err == nil || got != nil || !strings.Contains(err.Error(), tt.says) || errors.Is(err, ErrWasm) {
			t.Errorf("%s: %v, %v; want an error with %q", tt.why, got, err, tt.says)
		}
	}
	large := []Probe{{0, make([]byte, MaxProbeSection-7)}}
	if _, err := AppendProbes([]byte(empty), large); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("too large to write: %v", err)
	}
	wasm, err := replaceCustom([]byte(empty), ProbeSection, make([]byte, MaxProbeSection+1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReadProbes(wasm); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("too large to read: %v", err)
	}
	for _, bad := range []string{"text", empty + "\x00\x7f"} {
		if _, err := ReadProbes([]byte(bad)); !errors.Is(err, ErrWasm) {
			t.Errorf("probes of %q: %v, want ErrWasm", bad, err)
		}
		if _, err := AppendProbes([]byte(bad), nil); !errors.Is(err, ErrWasm) {
			t.Errorf("probes for %q: %v, want ErrWasm", bad, err)
		}
	}
}

// What an engine keeps of a module tells of its probes what the module does.
func TestOnlyProbes(t *testing.T) {
	entry := "\x00\x00\x00\x00\x01\x00\x00\x00x"
	large, err := replaceCustom([]byte(empty), ProbeSection, make([]byte, 3*MaxProbeSection))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		why, wasm string
		none      bool
	}{
		{"none", empty + custom(Section, "{}"), true},
		{"no module", "text", true},
		{"one", empty + custom("name", strings.Repeat("x", 100)) + custom(ProbeSection, entry), false},
		{"empty", empty + custom(ProbeSection, ""), false},
		{"too large", string(large), false},
		{"two, and a third", empty + custom(ProbeSection, entry) + custom(ProbeSection, entry) + string(large[8:]), false},
		{"too many", empty + custom(ProbeSection, strings.Repeat(entry, MaxProbes+1)), false},
	}
	for _, tt := range tests {
		only := OnlyProbes([]byte(tt.wasm))
		if (only == nil) != tt.none || len(only) > MaxOnlyProbes {
			t.Errorf("%s: %d bytes, and none: %v", tt.why, len(only), only == nil)
		}
		if tt.none {
			continue
		}
		want, why := ReadProbes([]byte(tt.wasm))
		got, err := ReadProbes(only)
		if !reflect.DeepEqual(got, want) || (err == nil) != (why == nil) || err != nil && err.Error()[:25] != why.Error()[:25] {
			t.Errorf("%s: %d probes, %v; want %d, %v", tt.why, len(got), err, len(want), why)
		}
		if m := len(only); tt.why == "one" && m > 100 {
			t.Errorf("%s: %d bytes are kept", tt.why, m)
		}
	}
}

// FuzzReadProbes holds that what is read is within bounds, and can be written and read again.
func FuzzReadProbes(f *testing.F) {
	f.Add([]byte(empty))
	f.Add([]byte(empty + custom(ProbeSection, "\x02\x00\x00\x00\x01\x00\x00\x00x")))
	f.Add([]byte(empty + custom(ProbeSection, "\x02\x00\x00\x00\xff\xff\xff\xffx")))
	f.Fuzz(func(t *testing.T, wasm []byte) {
		probes, err := ReadProbes(wasm)
		if only := OnlyProbes(wasm); only != nil && !errors.Is(err, ErrWasm) {
			if again, why := ReadProbes(only); len(only) > MaxOnlyProbes || !reflect.DeepEqual(again, probes) || (why == nil) != (err == nil) {
				t.Fatalf("of %d probes, %v, there remain in %d bytes %d, %v", len(probes), err, len(only), len(again), why)
			}
		}
		if err != nil {
			if probes != nil {
				t.Fatalf("%d probes, and %v", len(probes), err)
			}
			return
		}
		if len(probes) > MaxProbes {
			t.Fatalf("%d probes", len(probes))
		}
		out, err := AppendProbes(wasm, probes)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		again, err := ReadProbes(out)
		if err != nil || len(again) != len(probes) {
			t.Fatalf("what was written is read as %d probes, %v; want %d", len(again), err, len(probes))
		}
		for i := range again {
			if again[i].Fn != probes[i].Fn || !bytes.Equal(again[i].Request, probes[i].Request) {
				t.Fatalf("probe %d is %v, and was %v", i, again[i], probes[i])
			}
		}
	})
}
