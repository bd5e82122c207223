package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestCSVGolden(t *testing.T) {
	var b bytes.Buffer
	if err := WriteCSV(&b, byHand()); err != nil {
		t.Fatal(err)
	}
	golden(t, "metrics.csv", b.Bytes())
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(rows) != 7 {
		t.Errorf("read again: %d rows, %v; want 7", len(rows), err)
	}
}

func TestWriteMakesAllFiles(t *testing.T) {
	for name, r := range map[string]*Run{"600 frames": madeUp(600), "empty": {}} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "new", "out")
			if err := Write(dir, r); err != nil {
				t.Fatal(err)
			}
			want := []string{PNGFile, SVGFile, MetricsFile, SummaryFile}
			if got := list(t, dir); !slices.Equal(got, want) {
				t.Errorf("files are %v; want %v and no temporary one", got, want)
			}
			checkFigures(t, dir)
			var s Summary
			if err := json.Unmarshal(read(t, dir, SummaryFile), &s); err != nil || s.Frames != len(r.Frames) {
				t.Errorf("summary says %d frames, %v; want %d", s.Frames, err, len(r.Frames))
			}
		})
	}
}

func checkFigures(t *testing.T, dir string) {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(read(t, dir, PNGFile)))
	if err != nil {
		t.Fatal(err)
	}
	if size := img.Bounds().Size(); size.X < 900 || size.Y < 900 {
		t.Errorf("%s is %v; want 900 by 900 at least, or it cannot be read", PNGFile, size)
	}
	d := xml.NewDecoder(bytes.NewReader(read(t, dir, SVGFile)))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%s is not XML: %v", SVGFile, err)
		}
	}
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Every figure says where its temperature is from.
func TestFigureNamesTheTemperature(t *testing.T) {
	for source, want := range map[string]string{
		"modelled":        "(modelled from the CPU load, not measured)",
		"unknown":         "UE temperature: unknown",
		"":                "UE temperature: unknown",
		"coretemp_core_0": "(coretemp_core_0)",
	} {
		r := madeUp(60)
		r.TempSource = source
		var b bytes.Buffer
		if err := WriteFigure(&b, r, SVG); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), want) {
			t.Errorf("the figure with source %q does not say %q", source, want)
		}
	}
}

// Who lacks the font of the figure sees one like it.
func TestFigureNamesOtherFonts(t *testing.T) {
	var b bytes.Buffer
	if err := WriteFigure(&b, madeUp(100), SVG); err != nil {
		t.Fatal(err)
	}
	all, good := strings.Count(b.String(), "font-family:"), strings.Count(b.String(), "font-family:Liberation Sans,Arial,Helvetica,sans-serif;")
	if all == 0 || good != all {
		t.Errorf("%d of %d texts name other fonts", good, all)
	}
}

// The figure has a page of its own: its dark ink is for that, also where what is around it is dark.
func TestFigureIsOnAWhitePage(t *testing.T) {
	var b bytes.Buffer
	if err := WriteFigure(&b, madeUp(100), SVG); err != nil {
		t.Fatal(err)
	}
	page, ink := strings.Index(b.String(), "#FFFFFF"), strings.Index(b.String(), "<text")
	if page < 0 || page > ink {
		t.Errorf("white is at byte %d of the file, and the first text at %d; want it before", page, ink)
	}
}

func TestFigureShadesEachOffloadedStretch(t *testing.T) {
	shades := func(r *Run) int {
		var b bytes.Buffer
		if err := WriteFigure(&b, r, SVG); err != nil {
			t.Fatal(err)
		}
		return strings.Count(strings.ToLower(b.String()), "#dbeafe")
	}
	// Four panels, and one patch in the legend.
	for frames, want := range map[int]int{0: 1, 50: 1, 100: 5, 600: 25} {
		if got := shades(madeUp(frames)); got != want {
			t.Errorf("%d frames: %d shaded areas; want %d", frames, got, want)
		}
	}
}

func TestALongRunStaysSmall(t *testing.T) {
	r := madeUp(50)
	for len(r.Frames) < 60000 {
		f := r.Frames[len(r.Frames)%50]
		f.Number = len(r.Frames)
		r.Frames = append(r.Frames, f)
	}
	var b bytes.Buffer
	if err := WriteFigure(&b, r, SVG); err != nil {
		t.Fatal(err)
	}
	if got, limit := b.Len(), 4<<20; got > limit {
		t.Errorf("the figure of %d frames has %d bytes; want up to %d", len(r.Frames), got, limit)
	}
}

func TestWriteKeepsTheOldFileOnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	err := writeFile(path, func(w io.Writer) error {
		_, _ = fmt.Fprint(w, "half of the new")
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("error %v; want %v", err, broken)
	}
	if got := string(read(t, filepath.Dir(path), "f")); got != "old" {
		t.Errorf("the file holds %q; want %q", got, "old")
	}
	if got := list(t, filepath.Dir(path)); len(got) != 1 {
		t.Errorf("files are %v; want f alone", got)
	}
}

func TestWriteIntoWhatIsNoFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	err := Write(filepath.Join(file, "out"), &Run{})
	if err == nil || !strings.Contains(err.Error(), "-out") {
		t.Errorf("error %v; want one that names -out", err)
	}
}

func TestWriteWithoutRights(t *testing.T) {
	if runtime.GOOS == "windows" || os.Getuid() == 0 {
		t.Skip("root may write anywhere; as another user: go test ./cmd/yolo-demo/internal/report")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	err := Write(dir, &Run{})
	if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), MetricsFile) {
		t.Errorf("error %v; want permission denied for %s", err, MetricsFile)
	}
}

func TestTicksAreRound(t *testing.T) {
	tests := []struct {
		why    string
		lo, hi float64
		most   ticks
		want   string
	}{
		{"frames", 0, 600, 13, "0 50 100 150 200 250 300 350 400 450 500 550 600"},
		{"a temperature", 38.4, 58.1, 6, "40 45 50 55"},
		{"small figures keep their digits", 0, 0.11, 6, "0.00 0.02 0.04 0.06 0.08 0.10"},
		{"no width", 5, 5, 6, "5"},
	}
	for _, tt := range tests {
		var got []string
		for _, tick := range tt.most.Ticks(tt.lo, tt.hi) {
			got = append(got, tick.Label)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("ticks of %v to %v are %v; want %s: %s", tt.lo, tt.hi, got, tt.want, tt.why)
		}
	}
}
