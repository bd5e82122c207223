package wasi_test

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/bungee-xr/bungee/executor/wasi"
)

// memory is a guest's, for the example.
type memory []byte

func (m memory) Bytes(ptr, n uint32) ([]byte, bool) {
	if uint64(ptr)+uint64(n) > uint64(len(m)) {
		return nil, false
	}
	return m[ptr : ptr+n], true
}

// Without grants the time is made up, and advances as it is read.
func ExampleFunctions() {
	host, err := wasi.Functions(wasi.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	funcs, stop := host.New()
	defer stop()
	mem := make(memory, 8)
	for _, f := range funcs {
		if f.Name != "clock_time_get" {
			continue
		}
		for range 2 {
			stack := []uint64{0, 1, 0} // the wall clock, precision, where to
			err := f.Call(context.Background(), mem, stack)
			fmt.Println(stack[0], binary.LittleEndian.Uint64(mem), err)
		}
	}
	// Output:
	// 0 946684800000001000 <nil>
	// 0 946684800000002000 <nil>
}
