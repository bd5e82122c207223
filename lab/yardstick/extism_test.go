package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestOrders(t *testing.T) {
	tests := []struct {
		why   string
		order order
		times int
		err   string
	}{
		{"an instance of what is loaded", order{"instantiate", 3}, 3, ""},
		{"from the cache", order{"load", 2}, 2, ""},
		{"calls, a hundred at a time", order{"call", 150}, 2, ""},
		{"instances that stay", order{"crowd", 5}, 0, ""},
		{"more of them", order{"crowd", 10}, 0, ""},
		{"nothing to measure", order{"call", 0}, 0, "n is 1 to"},
		{"too much", order{"crowd", 1 << 30}, 0, "n is 1 to"},
		{"not known", order{"sing", 1}, 0, "are known"},
	}
	var in, out bytes.Buffer
	for _, tt := range tests {
		if err := json.NewEncoder(&in).Encode(tt.order); err != nil {
			t.Fatal(err)
		}
	}
	if err := run([]string{"extism"}, &in, &out); err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(&out)
	for _, tt := range tests {
		var o observed
		if err := d.Decode(&o); err != nil {
			t.Fatalf("%s: %v", tt.why, err)
		}
		if tt.err != "" {
			if !strings.Contains(o.Error, tt.err) {
				t.Errorf("%s: %+v: error %q, want %q in it", tt.why, tt.order, o.Error, tt.err)
			}
			continue
		}
		if o.Error != "" || len(o.Micros) != tt.times || tt.order.Do == "crowd" && o.Pss <= 0 || tt.order.Do == "call" && o.Allocs <= 0 {
			t.Errorf("%s: %+v: %+v; want %d times", tt.why, tt.order, o, tt.times)
		}
	}
}

func TestPluginIsCurrent(t *testing.T) {
	if _, err := exec.LookPath("clang-19"); err != nil {
		t.Skip("no clang-19; apt-get install clang-19 lld-19 and run, in lab/yardstick: go test -run TestPluginIsCurrent .")
	}
	out := filepath.Join(t.TempDir(), "plugin.wasm")
	cmd := exec.Command("clang-19", "--target=wasm32", "-O2", "-nostdlib", "-Wl,--no-entry", "-Wl,--strip-all",
		"-Wl,-z,stack-size=8192", "-o", out, "testdata/plugin.c")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, msg)
	}
	if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, plugin) {
		t.Errorf("testdata/plugin.wasm is not what plugin.c makes (%v); run: %s, with -o testdata/plugin.wasm", err, cmd)
	}
}
