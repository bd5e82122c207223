// Command deepguest is a Go guest that calls itself deeply, as Go's standard library does: it has
// the functions of package encoding/json decode and encode values within values.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unsafe"
)

// The functions of this guest, each to the depth that its request says. Package enginetest has
// the same list.
const (
	fnAny     = iota // decodes arrays in arrays into an any
	fnTyped          // decodes and encodes objects and slices of a type that holds itself
	fnPointer        // encodes pointers to pointers
	fnDown           // calls itself
)

var request, reply []byte

//go:wasmexport bungee_abi
func abi() uint32 { return 1 }

//go:wasmexport bungee_buf
func buf(n uint32) uint32 {
	request = make([]byte, n)
	return address(request)
}

//go:wasmexport bungee_call
func call(fn, ptr, n uint32, deadline int64) uint64 {
	reply = []byte{0}
	if err := serve(fn, string(request[:n])); err != nil {
		reply = append([]byte{1, 0, 0}, err.Error()...)
	}
	return uint64(address(reply))<<32 | uint64(len(reply))
}

// A tree is a type that holds itself, through a slice, a map and a pointer.
type tree struct {
	Slice []tree          `json:",omitempty"`
	Map   map[string]tree `json:",omitempty"`
	Next  *tree           `json:",omitempty"`
}

func serve(fn uint32, in string) error {
	var n int
	if _, err := fmt.Sscan(in, &n); err != nil {
		return err
	}
	switch fn {
	case fnAny:
		var v any
		return json.Unmarshal([]byte(strings.Repeat("[", n)+strings.Repeat("]", n)), &v)
	case fnTyped:
		return typed(n)
	case fnPointer:
		t := &tree{}
		for range n {
			t = &tree{Next: t}
		}
		_, err := json.Marshal(t)
		return err
	case fnDown:
		if down(n) != n {
			return errors.New("wrong depth")
		}
		return nil
	}
	return errors.New("no such function")
}

// typed decodes n objects and slices within each other, and encodes them again.
func typed(n int) error {
	const open, end = `{"Slice":[{"Map":{"x":{"Next":`, `}}}]}`
	n = (n - 1) / (strings.Count(open, "{") + strings.Count(open, "["))
	text := strings.Repeat(open, n) + "{}" + strings.Repeat(end, n)
	var t tree
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return err
	}
	b, err := json.Marshal(t)
	if err == nil && string(b) != text {
		err = errors.New("encoded as another text")
	}
	return err
}

//go:noinline
func down(n int) int {
	if n == 0 {
		return 0
	}
	return down(n-1) + 1
}

func address(b []byte) uint32 { return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }

func main() {}
