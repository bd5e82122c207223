package share_test

import (
	"context"
	"fmt"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/nntest"
	"github.com/bungee-xr/bungee/hostfunc/nn/share"
)

// A host wraps its backend once. Whose a computation is the call's context says.
func Example() {
	b := share.New(nntest.Mean(), share.Config{Nets: 1})
	lab := executor.NewTenant("lab", capability.Quota{Weight: 2})
	ctx := executor.WithCall(context.Background(), &executor.Call{Account: &executor.Account{Tenant: lab}})

	g, err := b.Graph(nntest.Name)
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := g.NewSession()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	grey := nn.Tensor{Shape: g.Inputs()[0], Data: make([]float32, 48)}
	fmt.Println(s.SetInput(0, grey), s.Compute(ctx))
	fmt.Println(b.Stats().Computed, "computed in", b.Stats().Runs, "run")
	// Output:
	// <nil> <nil>
	// 1 computed in 1 run
}
