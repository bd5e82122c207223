//go:build cgo

package wasmtime

import (
	"bytes"
	"testing"

	"github.com/bungee-xr/bungee/capability"
)

func FuzzUnseal(f *testing.F) {
	end, err := seal(key{}, []byte("code"), capability.Manifest{Host: []string{"test"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append([]byte("code"), end...))
	f.Add(end[1:])
	f.Add([]byte("\xff\xff\xff\xffbungee/1\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := unseal(key{}, bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		// What matches its checksum means what it says, and is another's for others.
		end, err := seal(key{}, nil, m)
		if err != nil {
			t.Fatalf("manifest %+v of a sound file: %v", m, err)
		}
		if again, err := unseal(key{}, bytes.NewReader(end), int64(len(end))); err != nil {
			t.Errorf("sealed again: %+v, %v", again, err)
		}
		if _, err := unseal(key{1}, bytes.NewReader(b), int64(len(b))); err == nil {
			t.Error("the file was sound under another key, too")
		}
	})
}
