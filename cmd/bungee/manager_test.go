package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/offload/manager"
)

// A managed is a running "bungee manager", and commands to it.
type managed struct {
	process
	t    *testing.T
	dir  string
	args []string
}

func startManager(t *testing.T, args ...string) *managed {
	t.Helper()
	m := &managed{process: process{log: new(output)}, t: t, dir: t.TempDir()}
	ca := filepath.Join(m.dir, "ca")
	m.bungee("ca", "init", "--dir", ca)
	m.bungee("ca", "issue", "manager", "m1", "--dir", ca)
	m.args = append([]string{
		"manager", "--listen", "127.0.0.1:0", "--certs", filepath.Join(ca, "manager", "m1"), "--store", filepath.Join(m.dir, "store"), "-v",
	}, args...)
	m.start(t, m.args)
	t.Cleanup(func() {
		m.kill()
		if t.Failed() {
			t.Logf("the manager said:\n%s", m.log)
		}
	})
	return m
}

// bungee runs a command, which must succeed.
func (m *managed) bungee(args ...string) string {
	m.t.Helper()
	out, err := m.try(args...)
	if err != nil {
		m.t.Fatalf("bungee %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (m *managed) try(args ...string) (string, error) {
	out, err := exec.Command(program, args...).CombinedOutput()
	return string(out), err
}

func (m *managed) socket() string { return "--socket=" + filepath.Join(m.dir, "socket") }

func (m *managed) state() (s manager.State) {
	m.t.Helper()
	if err := json.Unmarshal([]byte(m.bungee("ls", "--json", m.socket())), &s); err != nil {
		m.t.Fatal(err)
	}
	return s
}

// A device enrols with a code, renews, is listed nowhere before it comes, and is revoked for good. The manager goes on after kill -9.
func TestManagerCommands(t *testing.T) {
	m := startManager(t, "--host", "edge-1", "--audit", filepath.Join(t.TempDir(), "audit"))
	code := strings.TrimSpace(m.bungee("manager", "code", "ue", "headset-1", "--tenant", "acme", m.socket()))
	certs := filepath.Join(m.dir, "headset-1")
	enroll := []string{"enroll", "--manager", m.addr, "--code", strings.ToLower(code), "--certs", certs}
	if out := m.bungee(enroll...); !strings.Contains(out, "spiffe://bungee/tenant/acme/ue/headset-1 is enrolled until") {
		t.Errorf("enroll says %q", out)
	}
	first, err := identity.Open(certs, identity.UE, nil)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := m.try(enroll...); err == nil || !strings.Contains(out, "name another folder") {
		t.Errorf("a second enrolment into the folder: %q, %v", out, err)
	}
	if out, err := m.try(append(enroll[:6:6], filepath.Join(m.dir, "thief"))...); err == nil || !strings.Contains(out, "used with another key") {
		t.Errorf("a thief of the code: %q, %v", out, err)
	}
	m.bungee("enroll", "--manager", m.addr, "--renew", "--certs", certs)
	if err := first.Reload(); err != nil {
		t.Errorf("after the renewal: %v", err)
	}

	if s := m.state(); s.Epoch != 1 || len(s.Hosts) != 1 || s.Hosts[0].State != "silent" || !s.Settled {
		t.Errorf("the state is %+v", s)
	}
	m.bungee("manager", "set", "edge-1", "cordon", m.socket())
	if out, err := m.try("manager", "set", "edge-9", "drain", m.socket()); err == nil || !strings.Contains(out, "no member") {
		t.Errorf("a host that is none: %q, %v", out, err)
	}
	if out := m.bungee("ls", m.socket()); !strings.Contains(out, "edge-1  silent") {
		t.Errorf("ls says %q", out)
	}

	m.kill()
	if out, err := m.try("ls", m.socket()); err == nil || !strings.Contains(out, "no manager answers") {
		t.Errorf("without a manager ls says %q, %v", out, err)
	}
	m.start(t, m.args)
	if s := m.state(); s.Epoch != 2 {
		t.Errorf("after a crash the epoch is %d", s.Epoch)
	}
	m.bungee("manager", "revoke", "ue", "headset-1", "--tenant", "acme", m.socket())
	if out, err := m.try("enroll", "--manager", m.addr, "--renew", "--certs", certs); err == nil {
		t.Errorf("a revoked device renews: %q", out)
	}
	if out, err := m.try("manager", "code", "ue", "headset-1", "--tenant", "acme", m.socket()); err == nil || !strings.Contains(out, "is revoked, for good") {
		t.Errorf("a code for a revoked device: %q, %v", out, err)
	}
	if info, err := os.Stat(filepath.Join(m.dir, "socket")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket may be opened by others: %v, %v", info.Mode(), err)
	}
}

// The metrics say what the manager does, and a policy with a fault changes nothing.
func TestManagerPages(t *testing.T) {
	policy := filepath.Join(t.TempDir(), "policy.toml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(policy+".tmp", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(policy+".tmp", policy); err != nil {
			t.Fatal(err)
		}
	}
	write("[default.quota]\ninstances = 4\n")
	m := startManager(t, "--metrics", "127.0.0.1:0", "--policy", policy)
	url := metricsOf(t, &m.process)
	page := func(at string) string {
		r, err := http.Get(at)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	all := page(url)
	docs, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`(?m)^bungee_manager_[a-z_]+`).FindAllString(all, -1) {
		if !strings.Contains(string(docs), "`"+name+"`") {
			t.Errorf("docs/metrics.md does not have %s", name)
		}
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `(bungee_manager_\\w+)`").FindAllStringSubmatch(string(docs), -1) {
		if !regexp.MustCompile(`(?m)^` + row[1] + `(\{.*\})? `).MatchString(all) {
			t.Errorf("docs/metrics.md has %s, and the page has not", row[1])
		}
	}
	for _, want := range []string{"bungee_manager_epoch 1", "bungee_certificate_last_read_successful 1", `bungee_manager_sessions{state="running"} 0`, "bungee_config_last_reload_successful 1"} {
		if !strings.Contains(all, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if ready := page(strings.TrimSuffix(url, "metrics") + "readyz"); ready != "ok\n" {
		t.Errorf("readyz says %q", ready)
	}
	write("[default.quota]\ninstances = many\n")
	await(t, "the log to tell the fault", func() bool { return strings.Contains(m.log.String(), "nothing is reloaded") })
	write("[default.quota]\ninstances = 5\n")
	await(t, "the next policy to be taken", func() bool { return strings.Contains(m.log.String(), "msg=reloaded") })
}

// What is wrong with a command line is said with what to do.
func TestManagerUsage(t *testing.T) {
	m := &managed{t: t}
	for args, want := range map[string]string{
		"enroll --code X":                                  "--manager is missing",
		"enroll --manager 127.0.0.1:1":                     "want --code or --renew",
		"enroll --manager 127.0.0.1:1 --code X --certs /x": "52 letters and digits",
		"manager --placement dice":                         "want one of learned, algorithm-1",
		"manager set edge-1 dance":                         "not serve, cordon or drain",
		"ls planets":                                       "planets",
	} {
		if out, err := m.try(strings.Fields(args)...); err == nil || !strings.Contains(out, want) || strings.Count(strings.TrimSpace(out), "\n") > 3 {
			t.Errorf("bungee %s: %q, %v; want %q", args, out, err, want)
		}
	}
}

// Each flag of the manager is a setting of its file.
func TestManagerConfig(t *testing.T) {
	file := writeConfig(t, "listen = \":1\"\nhost = [\"a\", \"b\"]\ntheta-net = \"7ms\"\nsessions = 9\ntcp = false\n")
	f := newManagerFlags()
	if err := f.set.Parse([]string{"--config", file, "--sessions=12"}); err != nil {
		t.Fatal(err)
	}
	all, err := f.settle()
	if err != nil || all.listen != ":1" || len(all.hosts) != 2 || all.thetaNet != 7*time.Millisecond || all.sessions != 12 || all.tcp {
		t.Errorf("got %+v, %v", all, err)
	}
	if err := f.set.Parse([]string{"--config", writeConfig(t, "lissten = 1")}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.settle(); err == nil || !strings.Contains(err.Error(), "bungee manager --help") {
		t.Errorf("an unknown key: %v", err)
	}
	f.set.VisitAll(func(flag *pflag.Flag) {
		if flag.Usage == "" {
			t.Errorf("--%s says nothing", flag.Name)
		}
	})
}

// From nothing but a manager: two hosts and a UE enrol by codes, a call of a real module runs where the manager says, goes on while the
// manager is killed and begins again, and the UE is revoked.
func TestManagerPlacesRealModules(t *testing.T) {
	m := startManager(t)
	m.startManaged("edge-1")
	m.startManaged("edge-2")
	await(t, "both hosts to register", func() bool {
		s := m.state()
		return len(s.Hosts) == 2 && s.Hosts[0].State == "ready" && s.Hosts[1].State == "ready"
	})
	conf, err := ue.LoadTLS(m.enrol("ue", "headset", "--tenant", "acme"))
	if err != nil {
		t.Fatal(err)
	}
	h, err := ue.Start(t.Context(), ue.Config{Managers: ue.Addresses{m.addr}, TLS: conf, Need: ue.Need{Rate: 100}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	echo := raw(t, "basic", 0, errNative)
	ready(t, h, &echo.Desc)
	call := func(when string) {
		t.Helper()
		if got, err := echo.Call(t.Context(), []byte("hello")); string(got) != "hello" || err != nil {
			t.Errorf("%s: %q, %v", when, got, err)
		}
	}
	call("placed")
	running := func() bool {
		s := m.state()
		return len(s.Sessions) == 1 && s.Sessions[0].State == "running" && s.Sessions[0].Connected && s.Sessions[0].Standby != ""
	}
	await(t, "the session to run with a standby", running)
	if out := m.bungee("ls", "leases", m.socket()); strings.Count(out, "acme/headset") != 2 {
		t.Errorf("the leases are\n%s", out)
	}
	m.kill()
	call("without a manager")
	m.args[indexOf(m.args, "--listen")+1] = m.addr
	m.start(t, m.args)
	await(t, "the session to be known again", running)
	call("with the next manager")
	if s := m.state(); s.Epoch != 2 {
		t.Errorf("the epoch is %d", s.Epoch)
	}
	m.bungee("manager", "revoke", "ue", "headset", "--tenant", "acme", m.socket())
	await(t, "calls to run natively", func() bool {
		_, err := echo.Call(t.Context(), []byte("hello"))
		return errors.Is(err, errNative)
	})
	await(t, "the leases to end", func() bool { return len(m.state().Leases) == 0 })
}
