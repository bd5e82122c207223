package stage

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/offload/manager"
)

// bungee is the program under test.
var bungee string

func TestMain(m *testing.M) {
	code := func() int {
		dir, err := os.MkdirTemp("", "stage-test-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		bungee = filepath.Join(dir, "bungee")
		build := exec.Command("go", "build", "-o", bungee, "github.com/bungee-xr/bungee/cmd/bungee")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			panic(err)
		}
		return m.Run()
	}()
	if err := goleak.Find(); err != nil && code == 0 {
		println(err.Error())
		code = 1
	}
	os.Exit(code)
}

// begin starts a stage whose hosts have no networks. One that was killed stays dead for longer than the three beats after which the manager knows.
func begin(t *testing.T) *Stage {
	t.Helper()
	s, err := Start(t.Context(), Config{Bungee: bungee, Host: []string{bungee, "host", "--cache", filepath.Join(t.TempDir(), "cache")}, KilledFor: 6 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// awaitHosts waits until the hosts are as is says.
func awaitHosts(t *testing.T, s *Stage, what string, is func(one, two manager.Host) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var st manager.State
	for {
		var err error
		if st, err = s.State(ctx); err == nil && len(st.Hosts) == 2 && is(st.Hosts[0], st.Hosts[1]) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waiting for %s: %+v, %v", what, st.Hosts, err)
		}
	}
}

// A stage has a manager and two hosts, which can be drained, taken back, and killed. Nothing of it is left at the end.
func TestStage(t *testing.T) {
	s := begin(t)
	ctx := t.Context()
	awaitHosts(t, s, "both hosts", func(one, two manager.Host) bool { return one.State == "ready" && two.State == "ready" })

	h, err := ue.Start(ctx, ue.Config{Managers: ue.Addresses{s.Manager()}, TLS: s.TLS()})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()

	if err := s.Drain(ctx, "edge-1"); err != nil {
		t.Fatal(err)
	}
	awaitHosts(t, s, "edge-1 to drain", func(one, two manager.Host) bool { return one.State == "draining" && two.State == "ready" })
	if err := s.Serve(ctx, "edge-1"); err != nil {
		t.Fatal(err)
	}
	awaitHosts(t, s, "edge-1 to serve", func(one, _ manager.Host) bool { return one.State == "ready" })

	first := s.PID("edge-2")
	if err := s.Kill("edge-2"); err != nil || s.Dead("edge-2") == 0 {
		t.Fatalf("kill: %v, dead for %v; want it dead for a while", err, s.Dead("edge-2"))
	}
	awaitHosts(t, s, "edge-2 to be silent", func(one, two manager.Host) bool { return two.State == "silent" && one.State == "ready" })
	if err := s.Kill("edge-2"); err == nil {
		t.Error("a dead host is killed")
	}
	awaitHosts(t, s, "edge-2 to be back", func(_, two manager.Host) bool { return two.State == "ready" })
	if again := s.PID("edge-2"); again == 0 || again == first {
		t.Errorf("edge-2 has process %d again; want another one", again)
	}
	for name, err := range map[string]error{
		"kill": s.Kill("edge-9"), "drain": s.Drain(ctx, "edge-9"), "fill": s.Fill("edge-9"), "empty": s.Empty("edge-9"), "fill without a crowd": s.Fill("edge-1"),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	j := s.Journal()
	defer j.Close()
	events, err := j.Read()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, e := range events {
		seen[e.Host+" "+e.Text] = true
	}
	for _, want := range []string{"edge-1 has come", "edge-1 is draining", "edge-2 is silent"} {
		if !seen[want] {
			t.Errorf("the events lack %q: %+v", want, events)
		}
	}
}

// A host that cannot begin says so.
func TestHostsThatDoNotStart(t *testing.T) {
	s, err := Start(t.Context(), Config{Bungee: bungee, Host: []string{bungee, "host", "--no-such-flag"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(t.Context()); err == nil {
		t.Error("hosts with a flag that there is not are ready")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Start(t.Context(), Config{Bungee: "/no/such/program", Host: []string{bungee, "host"}}); err == nil {
		t.Error("there is a manager without its program")
	}
}
