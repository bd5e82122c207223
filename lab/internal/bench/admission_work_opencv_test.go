//go:build cgo && opencv

package bench

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wasi"
	"github.com/bungee-xr/bungee/executor/wazero"
	"github.com/bungee-xr/bungee/hostfunc/nn/catalog"
	nnhost "github.com/bungee-xr/bungee/hostfunc/nn/host"
	"github.com/bungee-xr/bungee/hostfunc/nn/opencv"
	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/offload/pack"
)

// The UEs of the experiment send what yolo-demo's module reads, and read what it answers: their codec is written by hand, as a program's functions
// cannot be imported.
func TestWorkIsThatOfTheDemo(t *testing.T) {
	found, err := catalog.Resolve(t.Context(), catalog.Default, catalog.Options{Offline: true})
	if err != nil {
		t.Skipf("%v; then go test -tags opencv -run TestWorkIsThatOfTheDemo ./lab/internal/bench", err)
	}
	picture, err := os.ReadFile(filepath.Join(os.Getenv("BUNGEE_MEDIA"), "dog.jpg")) // with boxes in the answer
	if err != nil {
		t.Skipf("%v; BUNGEE_MEDIA=dir go test -tags opencv -run TestWorkIsThatOfTheDemo ./lab/internal/bench", err)
	}
	backend, err := opencv.New(opencv.Config{Nets: 1, Models: []opencv.Model{found.Model}})
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	f, err := detection("../../../cmd/yolo-demo/bungee_offload.wasm.gz")
	if err != nil {
		t.Fatal(err)
	}
	wasm, err := f.Module.Wasm()
	if err != nil {
		t.Fatal(err)
	}
	engine, err := wazero.New(wazero.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	system, err := wasi.Functions(wasi.Config{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := engine.Load(t.Context(), executor.Bytes(wasm))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	in, err := m.Instantiate(t.Context(), executor.InstanceConfig{Host: []executor.HostFuncs{system, nnhost.Functions(backend, []string{"*"})}})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()

	const number = 7
	reply, err := in.Call(t.Context(), 0, f.AppendIn(nil, videoFrame{number, picture, Work{Network: found.Model.Name, Head: found.Head, Classes: len(found.Labels)}}))
	if err != nil {
		t.Fatal(err)
	}
	if reply.Status != abi.OK {
		t.Fatalf("the module answers %v: %q", reply.Status, reply.Payload)
	}
	r := pack.NewReader(reply.Payload)
	if got := f.ReadOut(&r); got != number || r.Done() != nil {
		t.Errorf("frame %d, %v; want %d: is readDetections that of yolo-demo's Detections?", got, r.Done(), number)
	}
}
