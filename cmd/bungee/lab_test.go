package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// besideBungee puts a copy of the program into a folder of its own.
func besideBungee(t *testing.T) (dir, bungee string) {
	t.Helper()
	dir = t.TempDir()
	bungee = filepath.Join(dir, "bungee")
	if err := os.Link(program, bungee); err != nil {
		t.Fatal(err)
	}
	return dir, bungee
}

// writeLab writes a bungee-lab that is the shell script text.
func writeLab(t *testing.T, dir, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "bungee-lab"), []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
}

func TestBenchRunsTheLab(t *testing.T) {
	beside, bungee := besideBungee(t)
	writeLab(t, beside, `echo beside "$@"; cat; echo trouble >&2; exit 3`)
	_, alone := besideBungee(t)
	onPath := t.TempDir()
	writeLab(t, onPath, `echo path "$@"`)
	tests := []struct {
		name, program string
		args          []string
		out, err      string
		exit          int
	}{
		{"beside", bungee, []string{"bench", "channel", "--quick", "-case", "local"}, "beside bench channel --quick --case local\ninput", "trouble\n", 3},
		{"its own help", bungee, []string{"bench", "-h"}, "beside bench -h\ninput", "trouble\n", 3},
		{"on the path", alone, []string{"bench"}, "path bench\n", "", 0},
	}
	for _, tt := range tests {
		cmd := exec.Command(tt.program, tt.args...)
		cmd.Env = append(os.Environ(), "PATH="+onPath+":"+os.Getenv("PATH"))
		cmd.Stdin = strings.NewReader("input")
		var out, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &stderr
		cmd.Run()
		if out.String() != tt.out || stderr.String() != tt.err || cmd.ProcessState.ExitCode() != tt.exit {
			t.Errorf("%s: %q, %q, exit %d; want %q, %q, exit %d", tt.name, &out, &stderr, cmd.ProcessState.ExitCode(), tt.out, tt.err, tt.exit)
		}
	}
}

func TestBenchPassesSIGTERMOn(t *testing.T) {
	dir, bungee := besideBungee(t)
	writeLab(t, dir, `trap 'exit 7' TERM; echo ready; while :; do read -r line; done`)
	cmd := exec.Command(bungee, "bench")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("%q, %v", line, err)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != 7 {
		t.Errorf("exit %d; want the lab's 7", got)
	}
}
