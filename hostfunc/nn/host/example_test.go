package host_test

import (
	"fmt"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/hostfunc/nn/host"
	"github.com/bungee-xr/bungee/hostfunc/nn/nntest"
)

// An edge host gives its backend to each instance it makes, and names the networks
// that it may use.
func Example() {
	networks := host.Functions(nntest.Mean(), []string{"mean", "yolo*"})
	cfg := executor.InstanceConfig{Host: []executor.HostFuncs{networks}}
	for _, m := range cfg.Host {
		funcs, closeAll := m.New()
		fmt.Println(m.Name, funcs[0].Name, len(funcs))
		closeAll()
	}
	// Output: wasi_ephemeral_nn load 14
}
