//go:build cgo

package onnx

import (
	"encoding/binary"
	"math"
	"os"
	"testing"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wazero"
	"github.com/bungee-xr/bungee/hostfunc/nn/host"
	"github.com/bungee-xr/bungee/hostfunc/nn/model"
	"github.com/bungee-xr/bungee/hostfunc/nn/share"
)

// TestWasiNNGuest runs the C guest of package host, which brings its network as
// wasi-nn guests do: through load, set_input, compute and get_output.
func TestWasiNNGuest(t *testing.T) {
	network := classifier(0)
	b := open(t, Config{Models: []model.Model{save(t, "served", network, 0)}})
	graphOf(t, b, "served") // a host has its networks warm
	e, err := wazero.New(wazero.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	wasm, err := os.ReadFile("../host/testdata/classify.wasm")
	if err != nil {
		t.Fatal(err)
	}
	m, err := e.Load(t.Context(), executor.Bytes(wasm))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	nnHost := host.Functions(share.New(b, share.Config{}), []string{"served"})
	in, err := m.Instantiate(t.Context(), executor.InstanceConfig{Host: []executor.HostFuncs{nnHost}})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()

	x := []float32{1, 5, 2, 2}
	var request []byte
	for _, v := range []int{len(network), 2, 1, 4} { // bytes, rank, dimensions
		request = binary.LittleEndian.AppendUint32(request, uint32(v))
	}
	request = append(request, network...)
	request = append(request, make([]byte, (4-len(network)%4)%4)...)
	for _, v := range x {
		request = binary.LittleEndian.AppendUint32(request, math.Float32bits(v))
	}
	r, err := in.Call(t.Context(), 1, request)
	if err != nil || r.Status != executor.StatusOK || len(r.Payload) != 16 {
		t.Fatalf("the guest answered %d %q, %v; want a class and three scores", r.Status, r.Payload, err)
	}
	var got []float32
	for i := range 3 {
		got = append(got, math.Float32frombits(binary.LittleEndian.Uint32(r.Payload[4+4*i:])))
	}
	if best := r.Payload[0]; best != 1 || !near(got, softmax(x)) {
		t.Errorf("class %d of %v; want 1 of %v", best, got, softmax(x))
	}
}
