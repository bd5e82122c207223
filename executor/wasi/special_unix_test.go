//go:build unix

package wasi

import (
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A pipe would hold the guest's thread, and a socket or device is not a file.
func TestSpecialFiles(t *testing.T) {
	dir, err := os.MkdirTemp("", "wasi") // short: the name of a socket is bounded
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	g := newGuest(t, Config{Folders: []Folder{{Name: "d", Path: dir, Write: true}}})
	for _, name := range []string{"pipe", "socket"} {
		for _, rights := range []uint64{toRead, toWrite, rightWrite} {
			if _, e := g.open(name, 0, rights, 0); e != eAccess {
				t.Errorf("open %s: got %v, want %v", name, e, eAccess)
			}
		}
		if _, e := g.open(name, isFolder, toRead, 0); e != eNotDir {
			t.Errorf("open %s as a folder: got %v, want %v", name, e, eNotDir)
		}
	}
	g = newGuest(t, Config{Folders: []Folder{{Name: "dev", Path: "/dev"}}})
	if _, e := g.open("null", 0, toRead, 0); e != eAccess {
		t.Errorf("open /dev/null: got %v, want %v", e, eAccess)
	}
}
