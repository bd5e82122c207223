package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestOrder generates for a package before that whose elastic function it calls, as "go
// generate ./..." does.
func TestOrder(t *testing.T) {
	dir := t.TempDir()
	makeModule(t, dir, `
-- a/a.go --
package a

import (
	"context"

	"example.com/app/between"
)

//offload:func
func first(ctx context.Context, n int) (int, error) { return between.Twice(ctx, n) }
-- between/between.go --
package between

import (
	"context"

	"example.com/app/z"
)

func Twice(ctx context.Context, n int) (int, error) { return z.Last(ctx, 2*n) }
-- z/z.go --
package z

import "context"

//offload:func
func last(ctx context.Context, n int) (int, error) { return n, nil }
`)
	generate(t, filepath.Join(dir, "a"))
	for _, p := range []string{"a", "z"} {
		if _, err := os.Stat(filepath.Join(dir, p, moduleFile)); err != nil {
			t.Error(err)
		}
	}
	goBuild(t, dir, os.Environ())
}
