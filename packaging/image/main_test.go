package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// The same files give the same bytes, and a missing one gives no image.
func TestImageIsRepeatable(t *testing.T) {
	dir := t.TempDir()
	b := build{program: filepath.Join(dir, "bungee"), roots: filepath.Join(dir, "roots"), name: "bungee:test", arch: "amd64"}
	out := filepath.Join(dir, "image.tar")
	if err := b.writeFile(out); err == nil {
		t.Error("there is no program, and an image")
	}
	for _, name := range []string{b.program, b.roots} {
		if err := os.WriteFile(name, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var images [2]bytes.Buffer
	for i := range images {
		if err := b.write(&images[i]); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(images[0].Bytes(), images[1].Bytes()) {
		t.Error("two images of the same files differ")
	}
	if err := b.writeFile(out); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, images[0].Bytes()) {
		t.Errorf("the file has %d bytes, %v; want %d", len(got), err, images[0].Len())
	}
}
