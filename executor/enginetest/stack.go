package enginetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wasi"
	"github.com/bungee-xr/bungee/internal/abi"
)

// Functions of the guest in testdata/deepguest.
const (
	deepAny = iota
	deepTyped
	deepPointer
	deepDown
)

// goNesting is how deep encoding/json goes: it refuses what is deeper.
const goNesting = 10_000

// stack checks that a guest has the stack that Go's standard library needs, metered and not, and
// that one which needs more costs its instance.
func (s suite) stack(t *testing.T) {
	wasm := BuildGo(t, "github.com/bungee-xr/bungee/executor/enginetest/testdata/deepguest")
	for _, meter := range []bool{false, true} {
		t.Run(fmt.Sprintf("meter=%t", meter), func(t *testing.T) {
			host, err := wasi.Functions(wasi.Config{})
			if err != nil {
				t.Fatal(err)
			}
			m := suite{s.newEngine, meter}.module(t, wasm)
			cfg := executor.InstanceConfig{Host: []executor.HostFuncs{host}}
			in := instance(t, m, cfg)
			for _, fn := range []uint32{deepAny, deepTyped, deepPointer, deepDown} {
				call(t, in, fn, fmt.Sprint(goNesting), abi.OK)
			}
			_, text, err := abi.ParseError([]byte(call(t, in, deepAny, fmt.Sprint(goNesting+1), abi.Error)))
			if err != nil || !strings.Contains(text, "exceeded max depth") {
				t.Errorf("one level more: got %q, %v; want the error of encoding/json", text, err)
			}
			// Where this is too deep, it costs the instance.
			if _, err := in.Call(t.Context(), deepDown, []byte("1000000")); err != nil {
				mentions(t, err, executor.ErrTrap)
				mustDiscard(t, in)
			}
			call(t, instance(t, m, cfg), deepDown, "10", abi.OK)
		})
	}
}
