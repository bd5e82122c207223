package model

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/hostfunc/nn"
)

func TestModelCheck(t *testing.T) {
	dir := t.TempDir()
	body := []byte("weights")
	path := filepath.Join(dir, "m.onnx")
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	d := sha256.Sum256(body)
	sum := hex.EncodeToString(d[:])
	file := func(f File) Model {
		return Model{Name: "m", Files: []File{f}, InputW: 32, InputH: 32}
	}
	good := file(File{Path: path})
	noName, tall, noFile, align := good, good, good, good
	noName.Name = ""
	tall.InputH = 1 << 20
	noFile.Files = nil
	align.Align = 7
	tests := []struct {
		name, why string
		m         Model
		want      string // in the error; empty: none
	}{
		{"pinned", "as released", file(File{path, 7, sum}), ""},
		{"upper case", "hex has two cases", file(File{path, 7, strings.ToUpper(sum)}), ""},
		{"not pinned", "a user's own model", good, ""},
		{"missing", "OpenCV would end the process", file(File{Path: path + "x"}), "m.onnxx"},
		{"folder", "a path one level short", file(File{Path: dir}), "no regular file"},
		{"truncated", "a broken download", file(File{path, 8, sum}), "7 bytes, not 8"},
		{"wrong hash", "another file of this size", file(File{path, 7, strings.Repeat("0", 64)}), "sha256 " + sum},
		{"no name", "it could not be loaded", noName, "name has 0 bytes"},
		{"huge input", "its tensor would not fit", tall, "input is 32x1048576"},
		{"no files", "nothing to read", noFile, "has 0 files"},
		{"bad align", "a value that is none", align, "align is 7"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.m.Check()
			if tt.want == "" && err != nil {
				t.Fatalf("Check(%+v) = %v; want nil (%s)", tt.m, err, tt.why)
			}
			if tt.want != "" && (!errors.Is(err, ErrModel) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("Check(%+v) = %v; want ErrModel with %q (%s)", tt.m, err, tt.want, tt.why)
			}
		})
	}
	m := file(File{Path: path + "x"})
	if err := m.Check(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Check of a missing file = %v; want fs.ErrNotExist inside", err)
	}
}

func TestFit(t *testing.T) {
	tests := []struct {
		name, why      string
		align          Align
		w, h           int // of the image
		wantW, wantH   int // of it in the input, 320x320
		wantX, wantY   float32
		wantScaleTimes float32 // 1/Scale
	}{
		{"wide", "bars above and below", Centre, 640, 480, 320, 240, 0, 40, 2},
		{"tall", "bars left and right", Centre, 480, 640, 240, 320, 40, 0, 2},
		{"top left", "YOLOX", TopLeft, 640, 480, 320, 240, 0, 0, 2},
		{"same", "nothing to do", Centre, 320, 320, 320, 320, 0, 0, 1},
		{"small", "scaled up", Centre, 160, 80, 320, 160, 0, 80, 0.5},
		{"line", "OpenCV throws at a height of 0", Centre, 3200, 1, 320, 1, 0, 159, 10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := Model{InputW: 320, InputH: 320, Align: tt.align}
			got, w, h := m.Fit(tt.w, tt.h)
			want := nn.Fit{ImageW: tt.w, ImageH: tt.h, InputW: 320, InputH: 320,
				Scale: 1 / tt.wantScaleTimes, PadX: tt.wantX, PadY: tt.wantY}
			if got != want || w != tt.wantW || h != tt.wantH {
				t.Errorf("Fit(%d, %d) = %+v, %d, %d; want %+v, %d, %d (%s)",
					tt.w, tt.h, got, w, h, want, tt.wantW, tt.wantH, tt.why)
			}
		})
	}
}
