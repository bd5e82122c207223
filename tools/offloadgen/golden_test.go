package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

// TestGolden compares the generated Go files, that of the module without its
// digests, and the sources that the guest is built from, with those in testdata/golden. Run it with -update to rewrite them.
func TestGolden(t *testing.T) {
	archives, err := filepath.Glob("testdata/golden/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no goldens:", err)
	}
	for _, path := range archives {
		t.Run(filepath.Base(path), func(t *testing.T) { golden(t, path) })
	}
}

func golden(t *testing.T, path string) {
	text := get(t, path)
	s, e, err := sliced(t, text)
	if err != nil {
		t.Fatal(err)
	}
	got := generatedFiles(t, s, e)
	if *update {
		rewrite(t, path, got)
		return
	}
	want := map[string]string{}
	for _, f := range txtar.Parse([]byte(text)).Files {
		if filepath.Dir(f.Name) == "want" {
			want[f.Name] = string(f.Data)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// generatedFiles returns the generated files, and those of the slice with
// "slice_" before their names.
func generatedFiles(t *testing.T, s *slice, e *emitter) map[string]string {
	offload, err := e.offloadGo()
	if err != nil {
		t.Fatal(err)
	}
	guest, err := e.guestGo()
	if err != nil {
		t.Fatal(err)
	}
	module, err := e.moduleGo(stamp{}, s.ask.Manifest, [32]byte{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{"want/" + offloadFile: string(offload), "want/" + guestFile: string(guest), "want/" + moduleFile: string(module)}
	for _, f := range s.files {
		if text := s.text(f); f.guest && text != nil {
			got["want/slice_"+filepath.Base(f.name)] = trimmed(string(text))
		}
	}
	return got
}

// rewrite replaces the wanted files of an archive.
func rewrite(t *testing.T, path string, got map[string]string) {
	old := txtar.Parse([]byte(get(t, path)))
	next := &txtar.Archive{Comment: old.Comment}
	for _, f := range old.Files {
		if filepath.Dir(f.Name) != "want" {
			next.Files = append(next.Files, f)
		}
	}
	for _, name := range sortedKeys(got) {
		next.Files = append(next.Files, txtar.File{Name: name, Data: []byte(got[name])})
	}
	if err := os.WriteFile(path, txtar.Format(next), 0o644); err != nil {
		t.Fatal(err)
	}
}
