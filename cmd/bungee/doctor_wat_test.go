//go:build cgo

package main

import (
	"bytes"
	"flag"
	"os"
	"testing"

	wt "github.com/bytecodealliance/wasmtime-go/v44"
)

var update = flag.Bool("update", false, "write doctor.wasm anew")

// The module of the doctor is what its text says.
func TestDoctorWasm(t *testing.T) {
	text, err := os.ReadFile("doctor.wat")
	if err != nil {
		t.Fatal(err)
	}
	want, err := wt.Wat2Wasm(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("doctor.wasm", want, 0o644); err != nil {
			t.Fatal(err)
		}
		doctorWasm = want
	}
	if !bytes.Equal(doctorWasm, want) {
		t.Errorf("doctor.wasm is not what doctor.wat says: run go test ./cmd/bungee -run TestDoctorWasm -update")
	}
}
