package determinism_test

import (
	"bytes"
	"context"
	"testing"

	wz "github.com/tetratelabs/wazero"

	"github.com/bungee-xr/bungee/executor/enginetest/determinism"
)

// starters make instances for a case.
type starters func(determinism.Case) func() (determinism.Machine, error)

// TestNaN shows instructions whose NaNs differ between wazero's interpreter and its
// compiler, and that they do not once they are canonical.
func TestNaN(t *testing.T) {
	i := wz.NewRuntimeWithConfig(t.Context(), wz.NewRuntimeConfigInterpreter())
	defer i.Close(context.Background())
	c := wz.NewRuntime(t.Context())
	defer c.Close(context.Background())
	differ(t, starter(t, i, loose), starter(t, c, loose), starter(t, i, canonical), starter(t, c, canonical))
}

// differ runs the operations, which must differ somewhere between a and b, and
// nowhere between x and y.
func differ(t *testing.T, a, b, x, y starters) {
	t.Helper()
	hash := func(s starters, c determinism.Case) [32]byte {
		sum, err := determinism.Hash(c, s(c))
		if err != nil {
			t.Error(err)
		}
		return sum
	}
	var without []string
	for _, c := range determinism.Corpus() {
		if c.Module.Name != "operations" {
			continue
		}
		if hash(a, c) != hash(b, c) {
			without = append(without, c.Name)
		}
		if hash(x, c) != hash(y, c) {
			t.Errorf("%s differs in spite of canonical NaNs", c.Name)
		}
	}
	if len(without) == 0 {
		t.Skip("on this processor both compute the same NaNs by themselves; on amd64 they differ: go test -run NaN ./executor/enginetest/determinism")
	}
	t.Logf("without canonical NaNs these differ: %q", without)
}

// TestNaNKept checks that the bits of a NaN that the guest stores, without computing
// it, stay as they are.
func TestNaNKept(t *testing.T) {
	r := wz.NewRuntime(t.Context())
	defer r.Close(context.Background())
	start := starter(t, r, canonical)
	const at = 512
	nan := []byte{1, 0, 0xa0, 0x7f, 0x55, 0xaa, 0xd5, 0xff} // two f32, or one f64
	tests := map[string]int{"i32.store": 4, "f32.store": 4, "i64.store": 8, "f64.store": 8}
	for _, c := range determinism.Corpus() {
		n, ok := tests[c.Name]
		if !ok {
			continue
		}
		delete(tests, c.Name)
		m, err := start(c)()
		if err != nil {
			t.Fatal(err)
		}
		request := make([]byte, 32)
		request[1] = at >> 8
		copy(request[16:], nan)
		if _, _, trap, err := m.Call(c.Fn, request); trap || err != nil {
			t.Fatalf("%s: trap %t, %v", c.Name, trap, err)
		}
		if got := m.Memory()[at : at+n]; !bytes.Equal(got, nan[:n]) {
			t.Errorf("%s: got %x, want %x", c.Name, got, nan[:n])
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	for name := range tests {
		t.Errorf("no operation %s", name)
	}
}
