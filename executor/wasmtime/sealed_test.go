//go:build cgo

package wasmtime

import (
	"bytes"
	"testing"

	"github.com/bungee-xr/bungee/capability"
)

func FuzzUnseal(f *testing.F) {
	probed, err := capability.AppendProbes([]byte("\x00asm\x01\x00\x00\x00"), []capability.Probe{{Fn: 1, Request: []byte("probe")}})
	if err != nil {
		f.Fatal(err)
	}
	end, err := seal(key{}, []byte("code"), capability.Manifest{Host: []string{"test"}}, probed)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append([]byte("code"), end...))
	f.Add(end[1:])
	for _, lengths := range []string{"\xff\xff\xff\xff\x00\x00\x00\x00", "\x00\x00\x00\x00\xff\xff\xff\xff", "\x01\x00\x00\x00\x02\x00\x00\x00"} {
		f.Add([]byte("{}" + lengths + "bungee/2\x00\x00\x00\x00"))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		probes, why := probesIn(bytes.NewReader(b), int64(len(b)))
		if len(probes) > min(len(b), capability.MaxOnlyProbes) {
			t.Fatalf("%d bytes of probes in a file of %d", len(probes), len(b))
		}
		m, err := unseal(key{}, bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		if why != nil {
			t.Fatalf("the probes of a sound file: %v", why)
		}
		// What matches its checksum means what it says, and is another's for others.
		end, err := seal(key{}, nil, m, probes)
		if err != nil {
			t.Fatalf("manifest %+v of a sound file: %v", m, err)
		}
		if again, err := unseal(key{}, bytes.NewReader(end), int64(len(end))); err != nil {
			t.Errorf("sealed again: %+v, %v", again, err)
		}
		if again, err := probesIn(bytes.NewReader(end), int64(len(end))); err != nil || !bytes.Equal(again, probes) {
			t.Errorf("probes of %d bytes, sealed again: %d bytes, %v", len(probes), len(again), err)
		}
		if _, err := unseal(key{1}, bytes.NewReader(b), int64(len(b))); err == nil {
			t.Error("the file was sound under another key, too")
		}
	})
}
