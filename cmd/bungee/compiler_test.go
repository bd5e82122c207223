//go:build cgo

package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The program is the compiler of its own modules: it says that it is ready, and ends when
// there is no module for it.
func TestCompiler(t *testing.T) {
	c := exec.Command(program, "bungee-compile", `{"Pool":true}`)
	c.Env = []string{}
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil || string(out) != "r" {
		t.Errorf("got %q, %v; want only that it is ready", out, err)
	}
	c = exec.Command(program, "bungee-compile", "no settings")
	if out, err := c.CombinedOutput(); err == nil || !strings.Contains(string(out), "compiler:") {
		t.Errorf("without settings: got %q, %v", out, err)
	}
	if out, err := exec.Command(program, "--help").CombinedOutput(); err != nil || strings.Contains(string(out), "bungee-compile") {
		t.Errorf("it is listed among the commands of users: %v\n%s", err, out)
	}
}
