package guest_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"testing"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/internal/bombs"
	"github.com/bungee-xr/bungee/executor/internal/guest"
	"github.com/bungee-xr/bungee/executor/internal/instrument"
	"github.com/bungee-xr/bungee/executor/internal/startup"
)

func TestPrepare(t *testing.T) {
	plain, err := os.ReadFile("../../enginetest/testdata/basic.wasm")
	if err != nil {
		t.Fatal(err)
	}
	with := func(m capability.Manifest) []byte {
		t.Helper()
		b, err := capability.Append(bytes.Clone(plain), m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	deterministic := capability.Manifest{Deterministic: true}
	tests := []struct {
		why     string
		wasm    []byte
		meter   bool
		want    instrument.Options
		because capability.Manifest
	}{
		{"what each module gets", plain, false, instrument.Options{Refusals: true, Split: true}, capability.Manifest{}},
		{"metered", plain, true, instrument.Options{Fuel: true, Refusals: true, Split: true}, capability.Manifest{}},
		{"its manifest asks for it", with(deterministic), false, instrument.Options{CanonicalNaN: true, Refusals: true, Split: true}, deterministic},
		{"both", with(deterministic), true, instrument.Options{Fuel: true, CanonicalNaN: true, Refusals: true, Split: true}, deterministic},
	}
	for _, tt := range tests {
		src := executor.Bytes(tt.wasm)
		src.Meter = tt.meter
		got, m, err := guest.Prepare(src)
		want, rewriteErr := instrument.Rewrite(tt.wasm, tt.want)
		if rewriteErr == nil {
			want, rewriteErr = startup.Rewrite(want)
		}
		if err := errors.Join(err, rewriteErr); err != nil {
			t.Errorf("%s: %v", tt.why, err)
			continue
		}
		if !bytes.Equal(got, want) || m.Deterministic != tt.because.Deterministic {
			t.Errorf("got %d bytes and %+v, want %d bytes: %s", len(got), m, len(want), tt.why)
		}
	}
}

func TestPrepareRefuses(t *testing.T) {
	broken := errors.New("connection lost")
	section := append([]byte("\x00asm\x01\x00\x00\x00\x00\x10\x0fbungee_manifest"), 0) // then half a section
	tests := []struct {
		why string
		src executor.Source
		is  error // nil: any
		abi bool
	}{
		{"the source's own error", executor.Source{Wasm: func() ([]byte, error) { return nil, broken }}, broken, false},
		{"other bytes", executor.Source{Digest: sha256.Sum256([]byte("mine")), Wasm: func() ([]byte, error) { return []byte("yours"), nil }}, nil, false},
		{"no module", executor.Bytes([]byte("#!/bin/sh")), executor.ErrABI, true},
		{"malformed", executor.Bytes(section), executor.ErrABI, true},
	}
	for _, tt := range tests {
		tt.src.Meter = true
		_, _, err := guest.Prepare(tt.src)
		if err == nil || tt.is != nil && !errors.Is(err, tt.is) || errors.Is(err, executor.ErrABI) != tt.abi {
			t.Errorf("got %v, want %v, blaming the module: %t: %s", err, tt.is, tt.abi, tt.why)
		}
	}
}

// The shape is checked before anything is rewritten.
func TestPrepareChecksTheShape(t *testing.T) {
	src := executor.Bytes(bombs.Loops(10))
	if _, _, err := guest.PrepareWithin(src, executor.Shape{Loops: 9}); !errors.Is(err, executor.ErrTooLarge) || errors.Is(err, executor.ErrABI) {
		t.Errorf("10 loops of 9: got %v, want %v", err, executor.ErrTooLarge)
	}
	if _, _, err := guest.PrepareWithin(src, executor.Shape{Loops: 10}); err != nil {
		t.Errorf("10 loops of 10: %v", err)
	}
	if _, _, err := guest.Prepare(executor.Bytes(bombs.Loops(2000))); !errors.Is(err, executor.ErrTooLarge) {
		t.Errorf("2000 loops: got %v, want %v", err, executor.ErrTooLarge)
	}
}
