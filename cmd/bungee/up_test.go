package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/offload/manager"
)

// startUp runs "bungee up" as a user with that home.
func startUp(t *testing.T, home string, args ...string) *managed {
	t.Helper()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, "config"))
	t.Setenv("XDG_CACHE_HOME", filepath.Join(home, "cache"))
	m := &managed{process: process{log: new(output)}, t: t, dir: home}
	m.start(t, append([]string{"up", "--listen", "127.0.0.1:0", "-v"}, args...))
	t.Cleanup(func() {
		m.kill()
		if t.Failed() {
			t.Logf("up said:\n%s", m.log)
		}
	})
	return m
}

// own is what "bungee ls" says to a user who names no socket.
func (m *managed) own() (s manager.State) {
	m.t.Helper()
	if err := json.Unmarshal([]byte(m.bungee("ls", "--json")), &s); err != nil {
		m.t.Fatal(err)
	}
	return s
}

// A user who has nothing runs up, and an application of his is placed, and moved when its host drains.
func TestUp(t *testing.T) {
	m := startUp(t, t.TempDir())
	s := m.own()
	if len(s.Hosts) != 2 || s.Hosts[0].State != "ready" || s.Hosts[1].State != "ready" {
		t.Fatalf("the hosts are %+v; want two that are ready", s.Hosts)
	}
	_, h, echo := m.startUE("")
	defer h.Close()
	var first string
	await(t, "a call to run on a host", func() bool { first = ranOn(t, echo); return first != "" })
	m.bungee("manager", "set", first, "drain")
	await(t, "calls to run on the other host", func() bool { at := ranOn(t, echo); return at != "" && at != first })
}

// A folder from before there were managers is kept beside the one that takes its place; one that was named is not touched.
func TestUpOfBefore(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, "config"))
	dir, err := identity.Dir()
	if err != nil {
		t.Fatal(err)
	}
	before := func(dir string) {
		if err := identity.Write(dir); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"manager.pem", "manager.key", "signer.pem", "signer.key"} {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	before(dir)
	startUp(t, home, "--hosts", "1")
	if all, err := filepath.Glob(dir + "-*"); err != nil || len(all) != 1 {
		t.Errorf("folders of before: %v, %v; want one", all, err)
	}

	named := filepath.Join(home, "named")
	before(named)
	m := &managed{t: t}
	if out, err := m.try("up", "--listen", "127.0.0.1:0", "--certs", named, "--store", filepath.Join(home, "store")); err == nil || !strings.Contains(out, named) {
		t.Errorf("up with a folder without a manager: %q, %v; want an error that names it", out, err)
	}
}

// Up ends, and says why, where it cannot serve.
func TestUpFails(t *testing.T) {
	m := startUp(t, t.TempDir(), "--hosts", "1")
	for why, args := range map[string][]string{
		"address already in use": {"up", "--listen", m.addr, "--store", filepath.Join(t.TempDir(), "store")},
		"another process has it": {"up", "--listen", "127.0.0.1:0"}, // the store
		"from 1 to 16":           {"up", "--hosts", "17"},
	} {
		if out, err := m.try(args...); err == nil || !strings.Contains(out, why) {
			t.Errorf("bungee %s: %q, %v; want %q", strings.Join(args, " "), out, err, why)
		}
	}
}
