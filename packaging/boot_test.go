package packaging

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/internal/needs"
)

// The commands of docs/operate.md install the package and serve a call, under systemd and with the unit's
// sandbox. Then the service reloads, drains, is upgraded and purged, and leaves nothing.
func TestOperator(t *testing.T) {
	b := built(t)
	text, err := os.ReadFile("../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)<!-- install -->\n```sh\n(.*?)```").FindSubmatch(text)
	if block == nil {
		t.Fatal("docs/operate.md has no block after a line <!-- install -->")
	}
	commands := strings.TrimSpace(string(block[1]))
	if n := strings.Count(commands, "\n") + 1; n > 8 {
		t.Errorf("%d commands to a served call; want 8 at most", n)
	}
	rest, err := os.ReadFile("testdata/operator.sh")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script := "set -x; cd /packages; begin=$(date +%s%N)\n" + commands + "\nset +x; echo served after $((($(date +%s%N) - begin) / 1000000)) ms\n" + string(rest)
	if err := os.WriteFile(filepath.Join(dir, "operator"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	packages := filepath.Join(dir, "packages")
	for name, deb := range map[string]string{"bungee_1_amd64.deb": b.deb, "next.deb": b.next} {
		if err := os.MkdirAll(packages, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Link(deb, filepath.Join(packages, name)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "testdata/boot.sh", dir, packages)
	out, err := cmd.CombinedOutput()
	said, _ := os.ReadFile(filepath.Join(dir, "said"))
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == 77 {
		why, _ := os.ReadFile(filepath.Join(dir, "why"))
		needs.Network(t, "no system of its own here, "+string(why)+"; as root, with systemd installed: go test -run TestOperator ./packaging\n"+string(out))
	}
	t.Logf("\n%s", said)
	if err != nil || !strings.Contains(string(said), "all is well") {
		console, _ := os.ReadFile(filepath.Join(dir, "console"))
		t.Errorf("%v\n%s\n%s", err, out, console)
	}
}
