package main

import (
	"os/exec"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/bungee-xr/bungee/internal/wire"
)

func TestVersionOf(t *testing.T) {
	rest := "\n" + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH + "\nprotocol " + wire.ALPN + "\n"
	commit := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef0123"}
	tests := []struct {
		why  string
		info debug.BuildInfo
		want string
	}{
		{"go install of a version", debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}, "bungee v1.2.3"},
		{"a checkout", debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: []debug.BuildSetting{commit}},
			"bungee (devel), commit 0123456789ab"},
		{"a checkout with changes", debug.BuildInfo{
			Main: debug.Module{Version: "v0.1.0+dirty"}, Settings: []debug.BuildSetting{commit, {Key: "vcs.modified", Value: "true"}}},
			"bungee v0.1.0+dirty, commit 0123456789ab, modified"},
		{"no build information", debug.BuildInfo{}, "bungee (unknown)"},
	}
	for _, tt := range tests {
		if got := versionOf(&tt.info); got != tt.want+rest {
			t.Errorf("%s: %q; want %q", tt.why, got, tt.want+rest)
		}
	}
}

func TestVersionOnTheCommandLine(t *testing.T) {
	var said [2]string
	for i, args := range [][]string{{"version"}, {"--version"}} {
		out, err := exec.Command(program, args...).Output()
		if err != nil {
			t.Fatalf("bungee %v: %v", args, err)
		}
		said[i] = string(out)
	}
	if said[0] != said[1] || said[0] == "" {
		t.Errorf("version says %q, --version %q", said[0], said[1])
	}
}
