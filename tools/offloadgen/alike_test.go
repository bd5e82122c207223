package main

import "testing"

// show.go prints a call: the function's number, the request, and what the native version
// replies.
const showGo = `
-- show.go --
package main

import (
	"context"
	"fmt"
)

func show(fn int, request []byte, serve func(context.Context, []byte, []byte) []byte) {
	fmt.Printf("%d %x %x\n", fn, request, serve(context.Background(), request, nil))
}
`

// TestInitialisedAlike has a module whose marked functions read what is set in all ways
// before main begins: the module answers as the program does.
func TestInitialisedAlike(t *testing.T) {
	newConsumer(t, light, get(t, "testdata/run/initial.txtar")+showGo).alike(t)
}
