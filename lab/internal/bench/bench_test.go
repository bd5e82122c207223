package bench

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTargets(t *testing.T) {
	tests := []struct {
		op            string
		value, target float64
		ok            bool
	}{
		{">=", 4.1, 4, true}, {">=", 3.9, 4, false}, {"<=", 0.2, 0.2, true}, {"<=", 0.21, 0.2, false}, {"==", 1, 1, false},
	}
	for _, tt := range tests {
		f := Figure{Value: tt.value}.against(tt.op, tt.target)
		if f.OK != tt.ok || len(Missed([]Figure{f, {}})) == 1 == tt.ok {
			t.Errorf("%g %s %g: ok %v, want %v", tt.value, tt.op, tt.target, f.OK, tt.ok)
		}
	}
}

func TestPrintJSON(t *testing.T) {
	var b bytes.Buffer
	f := Figure{Bench: "b", Case: "c", Metric: "m", Value: 2, Unit: "ms", N: 3}.against("<=", 5)
	if err := PrintJSON(&b, []Figure{f}); err != nil {
		t.Fatal(err)
	}
	want := `{"bench":"b","case":"c","metric":"m","value":2,"unit":"ms","n":3,"target":5,"op":"<=","ok":true}` + "\n"
	if b.String() != want {
		t.Errorf("got  %swant %s", b.String(), want)
	}
}

// made are arms of a comparison that nobody measured: they test how figures are
// computed, printed and drawn.
func made() []arm {
	var arms []arm
	for _, share := range []float64{1, 0.25} {
		local := place{Frames: 10, FPS: 28 * share, CPUFrame: 40}
		edge := place{Frames: 10, FPS: 50, CPUFrame: 4, Outside: 7}
		arms = append(arms, arm{share, "local", local, summary{}}, arm{share, "host, native", edge, summary{}},
			arm{share, "host, Wasm", edge, summary{TempSource: "modelled"}}, arm{share, "Wasm over TCP", edge, summary{}})
	}
	return arms
}

func TestFiguresCompareWithTheLocalArmOfTheSameUE(t *testing.T) {
	for _, f := range figures(made()) {
		if f.Case == "0.25 core/host, Wasm" && f.Metric == "fps_over_local" {
			if want := 50 / 7.; f.Value != want || !f.OK || *f.Target != 4 {
				t.Errorf("%+v; want %g against 4", f, want)
			}
			return
		}
	}
	t.Error("no fps_over_local of the weakest UE")
}

func TestPrintAndDraw(t *testing.T) {
	var b bytes.Buffer
	if err := printArms(&b, made()); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "host, Wasm"); n != 2 {
		t.Errorf("%d rows of the Wasm host, want 2:\n%s", n, b.String())
	}
	dir := t.TempDir()
	if err := drawArms(dir, made()); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "paper001.png")); err != nil || !bytes.HasPrefix(b, []byte("\x89PNG")) {
		t.Errorf("the figure is no PNG: %v", err)
	}
}
