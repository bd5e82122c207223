package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Each command has a page, which names its flags, and mandoc finds nothing wrong with it.
func TestManualPages(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(program, "man", dir)
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=0")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil || len(pages) < 6 {
		t.Fatalf("pages %v, %v", pages, err)
	}
	for name, want := range map[string]string{
		"bungee.1": ".BR bungee\\-host (1),", "bungee-host.1": "\\fB\\-\\-listen\\fR \\fIstring\\fR", "bungee-doctor.1": "bungee\\-doctor \\- Say what",
		"bungee-completion-bash.1": ".SH DESCRIPTION",
	} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.Contains(string(text), want) || !strings.Contains(string(text), "1970-01-01") {
			t.Errorf("%s lacks %q or its date (%v):\n%s", name, want, err, text)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "bungee-man.1")); err == nil {
		t.Error("there is a page of a hidden command")
	}
	if _, err := exec.LookPath("mandoc"); err != nil {
		t.Skip("no mandoc here: apt-get install mandoc, then go test -run TestManualPages ./cmd/bungee")
	}
	if out, err := exec.Command("mandoc", append([]string{"-T", "lint", "-W", "warning"}, pages...)...).CombinedOutput(); err != nil {
		t.Errorf("mandoc: %v\n%s", err, out)
	}
}

// Text that looks like a request of man(7) stays text.
func TestRoff(t *testing.T) {
	c := &cobra.Command{Use: "x", Short: ".so /etc/passwd", Long: "'br\n.br\na\\b--c\n\n  column", Run: func(*cobra.Command, []string) {}}
	got := string(page(c, "1970-01-01"))
	want := ".SH DESCRIPTION\n\\&'br\n\\&.br\na\\eb\\-\\-c\n.PP\n.nf\n  column\n.fi\n"
	if !strings.Contains(got, want) || strings.Contains(got, "\n.so") || strings.Contains(got, "\n.br") {
		t.Errorf("got\n%s\nwant it to contain\n%s", got, want)
	}
}

// The completions are scripts that their shells accept, and bash completes with them.
func TestCompletions(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		t.Run(shell, func(t *testing.T) {
			script, err := exec.Command(program, "completion", shell).Output()
			if err != nil || len(script) == 0 {
				t.Fatalf("%d bytes, %v", len(script), err)
			}
			if _, err := exec.LookPath(shell); err != nil {
				t.Skipf("no %[1]s here: apt-get install %[1]s, then go test -run TestCompletions ./cmd/bungee", shell)
			}
			file := filepath.Join(t.TempDir(), "completion")
			if err := os.WriteFile(file, script, 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(shell, "-n", file).CombinedOutput(); err != nil {
				t.Errorf("%s -n: %v\n%s", shell, err, out)
			}
		})
	}
	out, err := exec.Command(program, "__complete", "host", "--li").Output()
	if err != nil || !strings.Contains(string(out), "--listen") {
		t.Errorf("host --li completes to %q, %v; want --listen", out, err)
	}
}
