package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// checked runs "bungee host check" and returns what it printed, and its exit status.
func checkHost(t *testing.T, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(program, append([]string{"host", "check"}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_CACHE_HOME=", "XDG_CONFIG_HOME=")
	var faults bytes.Buffer
	cmd.Stderr = &faults
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || faults.Len() > 0 {
		t.Fatalf("%v: %s", err, faults.String())
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func TestCheckOfAGoodHost(t *testing.T) {
	p := startHost(t) // in whose place another one is checked, while it runs
	config := writeConfig(t, fmt.Sprintf("certs = %q\nlisten = %q\ncache = %q\npolicy = %q\nmetrics = \"127.0.0.1:0\"\n",
		p.certs, p.addr, filepath.Join(filepath.Dir(p.certs), "cache"), writePolicy(t, "[default]\n")))
	out, exit := checkHost(t, "--config", config)
	for _, want := range []string{"ok     config: ", "which has 5 settings", "ok     policy: ", "ok     certificates: ", "is in use: by this host", "ok     host.toml:5:1: metrics: ", "ok     cache: "} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q: %s", want, out)
		}
	}
	if exit != 0 || strings.Contains(out, "wrong") {
		t.Errorf("exit %d: %s", exit, out)
	}
	out, exit = checkHost(t, "--listen=127.0.0.1:0")
	if exit != 0 || !strings.Contains(out, "note   certificates: those in ") || !strings.Contains(out, "note   cache: ") || !strings.Contains(out, "ok     policy: the built-in one") {
		t.Errorf("nothing is there yet: exit %d: %s", exit, out)
	}
}

// A folder that neither the check nor the host can make is told, with what to do; the service's is made by systemd, so the check does not fail.
func TestCacheThatCannotBeMade(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc, where nobody makes folders; on Linux: go test -run TestCacheThatCannotBeMade ./cmd/bungee")
	}
	const nowhere = "/proc/bungee/cache"
	if out, exit := checkHost(t, "--listen=127.0.0.1:0", "--cache", nowhere); exit != 0 || !strings.Contains(out, "note   cache: "+nowhere+" is not there, and this user cannot make it") {
		t.Errorf("exit %d: %s", exit, out)
	}
	cmd := exec.Command(program, "host", "--listen=127.0.0.1:0", "--cache", nowhere)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_CACHE_HOME=", "XDG_CONFIG_HOME=")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "name another one with --cache") {
		t.Errorf("the host, %v: %s", err, out)
	}
}

// All that is wrong is told at once, and nothing is made or changed.
func TestCheckFindsWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	rewrite(t, file, "x")
	open := filepath.Join(dir, "open")
	if err := errors.Join(os.Mkdir(open, 0o700), os.Chmod(open, 0o777)); err != nil {
		t.Fatal(err)
	}
	config := writeConfig(t, fmt.Sprintf("calls = -1\nbogus = 1\nlisten = \"203.0.113.7:1\"\ntcp-also = \"nowhere\"\ncerts = %q\ncache = %q\nmodel = [%q]\npolicy = %q\n",
		dir, open, file, writePolicy(t, "[default]\nfoo = 1\nclock = 2\n")))
	out, exit := checkHost(t, "--config", config, "--metrics", "127.0.0.1:99999")
	for _, want := range []string{
		"host.toml:1:1: calls", `host.toml:2:1: "bogus"`, "policy: edge.toml:", "certificates: ", "host.toml:3:1: listen: ", "host.toml:4:1: tcp-also: ", "--metrics: ", "cache: ", "host.toml:7:1: model: ",
	} {
		if !strings.Contains(out, "wrong  "+want) && !strings.Contains(out, "wrong  config: "+want) {
			t.Errorf("it does not say that %s is wrong:\n%s", want, out)
		}
	}
	if exit != 1 {
		t.Errorf("exit %d, want 1", exit)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("the folder has %v, %v; want what there was", left, err)
	}
	if out, exit := checkHost(t, "--listen=127.0.0.1:0", "--ports=20000-20999"); exit != 1 || !strings.Contains(out, "wrong  config: --ports: only leases") {
		t.Errorf("ports without a manager: exit %d: %s", exit, out)
	}
	if out, exit := checkHost(t, "--listen=127.0.0.1:0", "--cache", filepath.Join(dir, "file", "below")); exit != 1 || !strings.Contains(out, "wrong  cache: ") {
		t.Errorf("a cache below a file: exit %d: %s", exit, out)
	}
}
