package main

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bungee-xr/bungee/internal/cli"
)

// The reference in docs is that of these commands.
func TestReferenceIsCurrent(t *testing.T) {
	have, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(have), string(cli.Reference(rootCommand()))); diff != "" {
		t.Errorf("docs/cli.md is stale; run \"make reference\" and commit it. It has (-), the program says (+):\n%s", diff)
	}
}
