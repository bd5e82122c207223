package host_test

import (
	"fmt"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/nn/host"
	"github.com/bungee-xr/bungee/executor/nn/nntest"
)

// An edge host gives its backend to each instance it makes.
func Example() {
	cfg := executor.InstanceConfig{Host: host.Modules(nntest.Mean())}
	for _, m := range cfg.Host {
		funcs, closeAll := m.New()
		fmt.Println(m.Name, funcs[0].Name, len(funcs))
		closeAll()
	}
	// Output: wasi_ephemeral_nn load_by_name 13
}
