package nntest_test

import (
	"fmt"

	"github.com/bungee-xr/bungee/hostfunc/nn/nntest"
)

func ExampleMean() {
	b := nntest.Mean()
	g, _ := b.Graph(nntest.Name)
	s, _ := g.NewSession()
	fmt.Println(g.Inputs(), b.Open())
	s.Close()
	_, err := b.Graph("yolo")
	fmt.Println(b.Open(), err)
	// Output:
	// [[1 3 4 4]] 1
	// 0 nn: no such graph: "yolo"
}
