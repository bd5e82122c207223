package bench

import (
	"encoding/json"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/bungee-xr/bungee/internal/needs"
)

// asCaller makes the test's program a UE that calls: a Caller in the environment's variable of
// this name.
const asCaller = "BUNGEE_BENCH_CALLER"

func callAs(conf string) error {
	var c Caller
	if err := json.Unmarshal([]byte(conf), &c); err != nil {
		return err
	}
	return c.Run(untilParent(), os.Stdout)
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
	n := Networks{Setup: *s, UE: func(c Caller) *exec.Cmd {
		conf, err := json.Marshal(c)
		if err != nil {
			panic(err) // a Caller is text and numbers
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), asCaller+"="+string(conf))
		return cmd
	}}
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
