package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// TestRefused checks that each line with "// ERROR: regexp" gives a complaint
// that matches, and no other line does.
func TestRefused(t *testing.T) {
	archives, err := filepath.Glob("testdata/refused/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no archives:", err)
	}
	for _, path := range archives {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text := get(t, path)
			_, _, err := sliced(t, marker.ReplaceAllString(text, ""))
			if err == nil {
				t.Fatalf("%s was not refused", path)
			}
			compare(t, wanted(text), strings.Split(err.Error(), "\n"))
		})
	}
}

var marker = regexp.MustCompile(` // ERROR: .*`)

// wanted returns the expected complaints: regular expressions by file and line.
func wanted(archive string) map[string][]string {
	want := map[string][]string{}
	for _, f := range txtar.Parse([]byte(archive)).Files {
		for i, line := range strings.Split(string(f.Data), "\n") {
			parts := strings.Split(line, "// ERROR: ")
			for _, re := range parts[1:] {
				at := fmt.Sprintf("%s:%d", f.Name, i+1)
				want[at] = append(want[at], strings.TrimSpace(re))
			}
		}
	}
	return want
}

var position = regexp.MustCompile(`^([^:]+:\d+):\d+: (.*)$`)

func compare(t *testing.T, want map[string][]string, got []string) {
	for _, line := range got {
		m := position.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("complaint %q has no file:line:col", line)
		} else if !take(want, m[1], m[2]) {
			t.Errorf("not wanted: %s", line)
		}
	}
	for at, list := range want {
		for _, re := range list {
			t.Errorf("%s: no complaint matches %q", at, re)
		}
	}
}

// take removes the first expression at a line that matches text.
func take(want map[string][]string, at, text string) bool {
	for i, re := range want[at] {
		if regexp.MustCompile(re).MatchString(text) {
			want[at] = append(want[at][:i:i], want[at][i+1:]...)
			return true
		}
	}
	return false
}
