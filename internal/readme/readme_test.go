package readme

import (
	"bytes"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A block is a fenced block of a document.
type block struct {
	mark string // the comment before it, what is between <!-- and -->
	lang string
	text string
}

var fenced = regexp.MustCompile("(?m)^(?:<!-- (.+) -->\n)?```(.*)\n((?s:.*?))^```$")

func blocks(t *testing.T, file string) []block {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	var all []block
	for _, m := range fenced.FindAllStringSubmatch(string(text), -1) {
		all = append(all, block{mark: m[1], lang: m[2], text: m[3]})
	}
	return all
}

// marked returns the text of the one block with that mark.
func marked(t *testing.T, all []block, mark string) string {
	t.Helper()
	i := slices.IndexFunc(all, func(b block) bool { return b.mark == mark })
	if i < 0 {
		t.Fatalf("README.md has no block after a line <!-- %s -->", mark)
	}
	return all[i].text
}

// Each program and each block of commands of README.md is tested.
func TestBlocksAreTested(t *testing.T) {
	for _, b := range blocks(t, "README.md") {
		switch {
		case b.lang == "go" && !strings.HasPrefix(b.mark, "file: "):
			t.Errorf("a Go program without a line <!-- file: NAME --> before it:\n%s", b.text)
		case b.lang == "go":
			if formatted, err := format.Source([]byte(b.text)); err != nil || string(formatted) != b.text {
				t.Errorf("%s is not gofmt-ed (%v)", b.mark, err)
			}
		case b.lang == "sh" && b.mark != "run":
			t.Errorf("commands that no test runs, without a line <!-- run --> before them:\n%s", b.text)
		}
	}
}

// The smallest program, in a new module, does what README.md prints.
func TestCommands(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program and its Wasm modules from nothing; go test ./internal/readme")
	}
	u := newUser(t)
	all := blocks(t, "README.md")
	u.write("main.go", marked(t, all, "file: main.go"))
	if diff := cmp.Diff(marked(t, all, "prints"), u.sh(marked(t, all, "run"))); diff != "" {
		t.Errorf("README.md prints (-), its commands print (+):\n%s", diff)
	}
	u.light()
}

// A user is somebody who begins with a new module.
type user struct {
	t   *testing.T
	dir string
	env []string
}

// newUser returns a user who gets our module from the tree and all others from
// the module cache of whoever runs the test, or from where he gets them.
func newUser(t *testing.T) *user {
	goenv := func(name string) string {
		out, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	home := t.TempDir()
	cached := "file://" + filepath.ToSlash(filepath.Join(goenv("GOMODCACHE"), "cache", "download"))
	return &user{t, t.TempDir(), append(os.Environ(),
		"HOME="+home, "XDG_CONFIG_HOME="+home, // no certificates of an edge host
		"GOPROXY=file://"+filepath.ToSlash(proxy(t))+","+cached+","+goenv("GOPROXY"),
		"GOMODCACHE="+filepath.Join(home, "mod"),
		"GOCACHE="+goenv("GOCACHE"),
		"GONOPROXY=none", "GOSUMDB=off", // nobody has published this tree; go.sum holds the others
		"GOFLAGS=-modcacherw -trimpath", // can be deleted; compiles once for all temporary folders
		"GOWORK=off",
	)}
}

func (u *user) write(name, text string) {
	u.t.Helper()
	if err := os.WriteFile(filepath.Join(u.dir, name), []byte(text), 0o644); err != nil {
		u.t.Fatal(err)
	}
}

// sh runs the lines of a script and returns what they print.
func (u *user) sh(script string) string {
	u.t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(u.t.Context(), "sh", "-eu", "-c", script)
	cmd.Dir, cmd.Env, cmd.Stderr = u.dir, u.env, &stderr
	out, err := cmd.Output()
	if err != nil {
		u.t.Fatalf("%v of\n%s\nwhich printed\n%s%s", err, script, out, &stderr)
	}
	return string(out)
}

// light checks that the user neither compiles nor downloads what only edge hosts
// and our own tests need.
func (u *user) light() {
	u.t.Helper()
	heavy := regexp.MustCompile(`wasmtime|wazero|gocv|onnxruntime|gonum|grpc|prometheus|cobra|chromedp`)
	sum, err := os.ReadFile(filepath.Join(u.dir, "go.sum"))
	if err != nil {
		u.t.Fatal(err)
	}
	for what, text := range map[string]string{
		"compiles": u.sh("go list -deps ."),
		"requires": u.sh("go mod edit -print"),
		"has sums": string(sum),
	} {
		for line := range strings.Lines(text) {
			if heavy.MatchString(line) {
				u.t.Errorf("the user's module %s %s", what, line)
			}
		}
	}
}
