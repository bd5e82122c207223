package bench

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/bungee-xr/bungee/internal/needs"
	"github.com/bungee-xr/bungee/lab/internal/siege"
)

// asProcess makes the test's program one of those that networks start: a role in the environment's
// variable of this name.
const asProcess = "BUNGEE_BENCH_PROCESS"

// A role is what such a process runs: one of them. Sieges, the control plane and the admission experiment have roles, too.
type role struct {
	Caller *Caller `json:",omitempty"`
	Flood  *Flood  `json:",omitempty"`
	Sink   *Sink   `json:",omitempty"`

	Besieger *siege.Besieger `json:",omitempty"`
	Manager  *Manager        `json:",omitempty"`
	UE       *AdmissionUE    `json:",omitempty"`
}

func playRole(conf string) error {
	var r role
	if err := json.Unmarshal([]byte(conf), &r); err != nil {
		return err
	}
	switch {
	case r.Caller != nil:
		return r.Caller.Run(untilParent(), os.Stdout)
	case r.Flood != nil:
		return r.Flood.Run(untilParent(), os.Stdout)
	case r.Besieger != nil:
		return r.Besieger.Run(untilParent(), os.Stdout)
	case r.Manager != nil:
		return r.Manager.Run(untilParent(), os.Stdout)
	case r.UE != nil:
		return r.UE.Run(context.Background(), os.Stdin, os.Stdout)
	}
	return r.Sink.Run(untilParent(), os.Stdout)
}

// process makes the command of such a process.
func (r role) process() *exec.Cmd {
	conf, err := json.Marshal(r)
	if err != nil {
		panic(err) // a role is text and numbers
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asProcess+"="+string(conf))
	return cmd
}

// On each network calls run on the edge host in the end, and again after each change.
func TestNetworks(t *testing.T) {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		needs.Network(t, `networks are made by root on Linux: "sudo env PATH=$PATH go test -run TestNetworks ./lab/internal/bench"`)
	}
	r, err := newRouter()
	if err != nil {
		needs.Network(t, err.Error()) // it names the command
	}
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	s := quick(t)
	n := Networks{
		Setup: *s,
		UE:    func(c Caller) *exec.Cmd { return role{Caller: &c}.process() },
		Flood: func(f Flood) *exec.Cmd { return role{Flood: &f}.process() },
		Sink:  func(s Sink) *exec.Cmd { return role{Sink: &s}.process() },
	}
	figures, err := n.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range figures {
		if f.Metric == "completed" {
			t.Errorf("%s: %s", f.Case, f.Note)
		} else {
			t.Logf("%s: %s is %.3g %s, with %v %s", f.Case, f.Metric, f.Value, f.Unit, f.Beside, f.Note)
		}
	}
}
