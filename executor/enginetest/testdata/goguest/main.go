// Command goguest is a Go guest that speaks the guest ABI directly, for the
// conformance suite. It is built with
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -ldflags="-s -w"
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	"unsafe"
)

// The functions of this guest. Package enginetest has the same list.
const (
	fnEcho     = iota
	fnError    // answers with an error
	fnPanic    // panics and answers so
	fnCount    // counts its calls in a map
	fnDeadline // answers the time left until its deadline, as text
	fnLog      // logs its request
	fnExit     // ends the program with status 3
	fnEat      // allocates until something stops it
	fnGorge    // allocates 512 MiB at once
	fnAnswer   // works until its deadline, and then answers "partial"
)

var (
	request []byte
	reply   []byte
	counts  = map[string]int{}
	hoard   [][]byte
)

//go:wasmimport bungee now
func now() int64

//go:wasmimport bungee log
func log(level, ptr, n uint32)

//go:wasmexport bungee_abi
func abi() uint32 { return 1 }

//go:wasmexport bungee_buf
func buf(n uint32) uint32 {
	request = make([]byte, n)
	return address(request)
}

//go:wasmexport bungee_call
func call(fn, ptr, n uint32, deadline int64) uint64 {
	reply = serve(fn, request[:n], deadline)
	return uint64(address(reply))<<32 | uint64(len(reply))
}

// serve answers with status, then payload.
func serve(fn uint32, in []byte, deadline int64) (out []byte) {
	defer func() {
		if p := recover(); p != nil {
			out = fmt.Appendf([]byte{2}, "%v", p)
		}
	}()
	payload, err := run(fn, in, deadline)
	if err != nil {
		return append([]byte{1, 0, 0}, err.Error()...)
	}
	return append([]byte{0}, payload...)
}

func run(fn uint32, in []byte, deadline int64) ([]byte, error) {
	switch fn {
	case fnEcho:
		return in, nil
	case fnError:
		return nil, errors.New(string(in))
	case fnPanic:
		panic(string(in))
	case fnCount:
		counts[string(in)]++
		return fmt.Append(nil, counts[string(in)]), nil
	case fnDeadline:
		return fmt.Append(nil, time.Duration(deadline-now())), nil
	case fnLog:
		log(0, address(in), uint32(len(in)))
		return nil, nil
	case fnExit:
		os.Exit(3)
	case fnEat:
		for {
			hoard = append(hoard, []byte(strings.Repeat("eat", 1<<18)))
		}
	case fnGorge:
		hoard = append(hoard, make([]byte, 512<<20))
		return nil, nil
	}
	return runMore(fn, deadline)
}

func runMore(fn uint32, deadline int64) ([]byte, error) {
	switch fn {
	case fnAnswer:
		for now() < deadline {
		}
		return []byte("partial"), nil
	}
	return nil, errors.New("no such function")
}

func address(b []byte) uint32 { return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }

func main() {}
