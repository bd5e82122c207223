// Package needs says what a test needs of its machine.
package needs

import (
	"os"
	"testing"
)

// Network skips a test that needs networks of its own, because of why, which names the command that runs
// it. Where BUNGEE_NETWORKS is set the machine makes networks, and the test fails: CI sets it there.
func Network(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("BUNGEE_NETWORKS") != "" {
		t.Fatalf("this machine makes networks (BUNGEE_NETWORKS is set), and the test would skip: %s", why)
	}
	t.Skip(why)
}
