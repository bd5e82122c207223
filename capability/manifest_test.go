package capability

import (
	"fmt"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	many := make([]string, MaxEntries+1)
	for i := range many {
		many[i] = fmt.Sprintf("m%d", i)
	}
	long := strings.Repeat("x", MaxName+1)
	tests := []struct {
		why  string
		m    Manifest
		want string // empty: it is right
	}{
		{"nothing", Manifest{}, ""},
		{"all", full, ""},
		{"deterministic alone", Manifest{Deterministic: true}, ""},
		{"all models", Manifest{Models: []string{"*"}}, ""},
		{"all addresses", Manifest{Connect: []string{"*"}}, ""},
		{"a clock is not the same each time", Manifest{Deterministic: true, Clock: true}, "neither clock nor random"},
		{"nor is random", Manifest{Deterministic: true, Random: true}, "neither clock nor random"},
		{"host functions are named", Manifest{Host: []string{""}}, "host functions"},
		{"no pattern of host functions", Manifest{Host: []string{"*"}}, "host functions"},
		{"no pattern of models", Manifest{Models: []string{"yolo-*"}}, "no name of a model"},
		{"all and one", Manifest{Models: []string{"*", "a"}}, "stands alone"},
		{"a control character", Manifest{Models: []string{"a\nb"}}, "no name of a model"},
		{"a folder above", Manifest{Folders: []Folder{{"../etc", false}}}, "no name of a folder"},
		{"the root", Manifest{Folders: []Folder{{"/", false}}}, "no name of a folder"},
		{"an address without a port", Manifest{Connect: []string{"example.com"}}, "host:port"},
		{"port 0", Manifest{Connect: []string{"example.com:0"}}, "from 1 to 65535"},
		{"a pattern of addresses", Manifest{Connect: []string{"*.example.com:443"}}, "neither a name"},
		{"a variable's value", Manifest{Env: []string{"A=b"}}, "environment variable"},
		{"an entry twice", Manifest{Env: []string{"A", "A"}}, "twice"},
		{"a folder twice", Manifest{Folders: []Folder{{"a", false}, {"a", true}}}, "twice"},
		{"too many", Manifest{Models: many}, "257 entries; there may be 256"},
		{"too long", Manifest{Models: []string{long}}, "256 bytes"},
		{"an unknown class", Manifest{Class: "fast"}, `"best-effort" and "real-time"`},
		{"a limit below zero", Manifest{Limits: Limits{Memory: -1}}, "negative"},
		{"all at once", Manifest{Class: "fast", Env: []string{"1"}}, "env"},
	}
	for _, tt := range tests {
		err := tt.m.Check()
		if tt.want == "" && err != nil {
			t.Errorf("%s: got %v; want none", tt.why, err)
		}
		if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got %v; want an error with %q", tt.why, err, tt.want)
		}
	}
}

func TestCheckIsBounded(t *testing.T) {
	var m Manifest
	for i := range MaxEntries {
		m.Env = append(m.Env, fmt.Sprintf("%d%s", i, strings.Repeat("-", 200)))
	}
	err := m.Check().Error()
	if n := strings.Count(err, "\n"); n != maxErrors || len(err) > 8<<10 || !strings.Contains(err, "and 240 more") {
		t.Errorf("%d errors gave %d lines, %d bytes, %q at the end; want %d lines", MaxEntries, n+1, len(err), err[len(err)-20:], maxErrors+1)
	}
}

func TestSize(t *testing.T) {
	tests := []struct {
		text string
		want Size
		back string
	}{
		{"0", 0, "0 B"}, {"1", 1, "1 B"}, {"1024", 1024, "1 KiB"}, {"3B", 3, "3 B"}, {"64 MiB", 64 << 20, "64 MiB"},
		{"64MiB", 64 << 20, "64 MiB"}, {"1536 KiB", 1536 << 10, "1536 KiB"}, {"2048 MiB", 2 << 30, "2 GiB"}, {"8388607 TiB", 8388607 << 40, "8388607 TiB"},
	}
	for _, tt := range tests {
		var s Size
		if err := s.UnmarshalText([]byte(tt.text)); err != nil || s != tt.want || s.String() != tt.back {
			t.Errorf("%q is %d, %q, %v; want %d, %q", tt.text, s, s, err, tt.want, tt.back)
		}
	}
	for _, bad := range []string{"", "MiB", "-1", "1.5 GiB", "1 GB", "8388608 TiB", "9223372036854775808", "1 MiB MiB", "0x10"} {
		s := Size(7)
		if err := s.UnmarshalText([]byte(bad)); err == nil || s != 7 {
			t.Errorf("%q is %d, %v; want an error", bad, s, err)
		}
	}
}
